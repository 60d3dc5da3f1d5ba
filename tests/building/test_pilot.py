"""The pilot's evaluations that the repository holds: packed, and served."""

from pathlib import Path

import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc.building import hybrid
from nasbench_imc.building.audit import networks
from nasbench_imc.building.training_log import read_log
from nasbench_imc.errors import UnavailableError
from nasbench_imc.tables.files import DATA_VARIABLE

DATASETS = Path(__file__).parents[2] / "datasets"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """With the packed table, and what was packed a second time."""
    out = tmp_path_factory.mktemp("pilot")
    runs = read_log(DATASETS / "raw/training/runs.jsonl.gz")
    for name in ("hybrid.h5", "again.h5"):
        hybrid.pack(
            DATASETS / "raw/pilot/evaluation",
            out / name,
            runs=runs,
            clock=DATASETS / "raw/pilot/clock.npz",
            log=lambda message: None,
        )
    return out


def test_packing_twice_gives_equal_bytes(folder):
    assert (folder / "hybrid.h5").read_bytes() == (folder / "again.h5").read_bytes()


def test_what_was_measured_is_served(folder, monkeypatch):
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    bench = nbi.load("hybrid")
    assert set(bench.architectures) == set(networks("pilot"))
    digital = bench.array("accuracy", hardware=["sram-digital-r128"])[:, 0]
    floating = bench.array("accuracy_digital")
    assert np.abs(digital - floating).mean() < 0.5  # 8-bit weights and activations
    for hardware in ("pcm-r256-adc8-mux4", "rram-analog-r256-adc8-mux16"):
        assert (bench.array("accuracy", hardware=[hardware])[:, 0] < digital).all()
    pcm = [
        bench.array("accuracy", hardware=["pcm-r256-adc8-mux4"], at=at).mean() for at in ("1h", "1d", "30d")
    ]
    assert pcm[0] > pcm[1] > pcm[2]
    design = nbi.Design(bench.architectures[0], "pcm-r256-adc8-mux4", weight_bits=4)
    with pytest.raises(UnavailableError, match="30d"):
        bench.query(design, at="30d")["accuracy"]
    curve = bench.training(bench.architectures[0])
    assert curve.seconds.min() > 0
    assert len(bench.reference) >= 24
