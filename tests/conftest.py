"""Fixtures that every test may use."""

import hashlib
import json
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings

import nasbench_imc as nbi
from nasbench_imc import cli
from nasbench_imc.hardware import grid
from nasbench_imc.spaces import Hybrid

# A first call may import a library or read a column; no property is about time.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

COMPRESSIONS = ((8, 0.0), (4, 0.0), (8, 0.5), (4, 0.5))
DRAWS, EPOCHS = 8, 3
PILOT_CODES = Hybrid().architectures[::247]  # seven


class Result(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch, capsys):
    """The command as a user calls it, but in this process: (arguments) -> Result; it always exits."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["nasbench-imc", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Result(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def bench():
    """The shipped NAS-Bench-201 table, loaded once."""
    return nbi.load("nb201")


def declared_cells():
    """Cells (compression, class, time): all classes uncompressed, reference chips' compressed too."""
    configs = [config for config in grid() if config.accuracy_class != "pcm-aihwkit-t512"]
    times = {"pcm": ("1h", "1d", "30d"), "sram-digital": ("",), "sram-analog": ("",)}
    cells = [
        (0, config.accuracy_class, time) for config in configs for time in times.get(config.family, ("1d",))
    ]
    for compression in range(1, len(COMPRESSIONS)):
        for config in configs:
            if config.reference:
                time = "" if config.family.startswith("sram") else "1d"
                cells.append((compression, config.accuracy_class, time))
    return list(dict.fromkeys(cells))


@pytest.fixture(scope="session")
def evaluation():
    """Makes what evaluating a network would give: (code, seed) -> members of its file, drawn at random."""

    def make(code, seed=0):
        rng = np.random.default_rng([seed, *code.encode()])
        cells = declared_cells()
        compressions = len(COMPRESSIONS)

        def accuracies(*shape):
            return rng.uniform(20, 90, shape).astype(np.float32)

        members = {
            "about": np.array(
                json.dumps(
                    {"code": code, "seed": seed, "protocol": "short", "pixels": "folder", "torch": "2.0"}
                )
            ),
            "compressions": np.array(COMPRESSIONS),
            "cell_compression": np.array([cell[0] for cell in cells]),
            "cell_class": np.array([cell[1] for cell in cells], dtype="S"),
            "cell_time": np.array([cell[2] for cell in cells], dtype="S"),
            "accuracy_digital": accuracies(2),
            "curve_epochs": np.arange(EPOCHS, dtype=float),
            "learning_curve": accuracies(EPOCHS),
            "measured/training_seconds": rng.uniform(0, 20, EPOCHS),
            "measured/evaluation_seconds": np.array(rng.uniform(1, 9)),
            "measured/processor": np.array("an evaluator"),
            "weights_sha256": np.array(hashlib.sha256(f"{code} {seed}".encode()).hexdigest()),
        }
        exact = np.array([cell[1] == "sram-digital-int8" for cell in cells])
        for kind in ("score", "search"):
            members[f"{kind}_subset"] = accuracies(compressions, DRAWS)
            members[f"{kind}_full"] = accuracies(compressions)
            members[f"{kind}_accuracy"] = accuracies(len(cells), DRAWS)
            members[f"{kind}_accuracy"][exact] = members[f"{kind}_subset"][members["cell_compression"][exact]]
        return members

    return make


@pytest.fixture(scope="session")
def pilot(tmp_path_factory, evaluation):
    """A folder of evaluations of seven networks, two of them with training seeds 0, 1 and 2."""
    folder = tmp_path_factory.mktemp("evaluated")
    for row, code in enumerate(PILOT_CODES[::-1]):
        for seed in (0, 1, 2) if row in (1, 4) else (0,):
            (folder / f"seed-{seed}").mkdir(exist_ok=True)
            np.savez_compressed(folder / f"seed-{seed}" / f"{row}.npz", **evaluation(code, seed))
    return folder


@pytest.fixture(scope="session")
def inheriting(tmp_path_factory, evaluation):
    """A folder with a table of four networks, of a super-network of 500 core-s and with one proxy."""
    # These import what only building needs.
    from nasbench_imc.building import archive, hybrid
    from nasbench_imc.building.training_log import TrainingRun

    folder = tmp_path_factory.mktemp("inheriting")
    codes = Hybrid().architectures[::500]
    for code in codes:
        members = evaluation(code)
        about = json.loads(members["about"].item()) | {"recipe": {"parent": "super", "parent_seed": None}}
        archive.write(folder / "evaluated" / f"{code}.npz", members | {"about": np.array(json.dumps(about))})
    archive.write(
        folder / "proxies.npz",
        {
            "about": np.array('{"pixels": "folder"}'),
            "codes": np.array(codes, "S"),
            "names": np.array(["snip"], "S"),
            "values": np.arange(float(len(codes)))[:, None],
        },
        measured={"seconds": np.full((len(codes), 1), 0.25)},
    )
    runs = [TrainingRun("super", 0, None, {}, {"seconds": [200.0, 300.0]})]
    out = folder / "hybrid.h5"
    proxies = folder / "proxies.npz"
    hybrid.pack(folder / "evaluated", out, runs=runs, proxies=proxies, log=lambda message: None)
    return folder
