"""All training runs in one file, without weights: JSON lines, gzipped, one line a run.

A result file of :mod:`nasbench_imc.building.train_jobs` may hold weights and is then large; what a run
took and reached is a few hundred bytes. Numbers are written so that reading gives the same ones.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_imc.building.archive import MEASURED
from nasbench_imc.building.branches import branches
from nasbench_imc.errors import LogError
from nasbench_imc.files import replacing

_KEYS = {"recipe", "seed", "code", "about", "values"}
_LEFT_OUT = {"about", "codes", "scales", "other"}  # of a result file: weights, and what is read apart
#: Values that differ between two runs of one job.
_MEASURED = {"seconds", "inheritance_seconds", "processor", "device"}


@dataclass(frozen=True)
class TrainingRun:
    """What one run took and reached.

    Attributes
    ----------
    recipe : str
        Name of the recipe.
    seed : int
    code : str or None
        The network, or the branch of a super-network; None for a super-network without branches.
    about : mapping
        ``recipe`` (its settings), ``pixels`` and ``torch``.
    values : mapping of str to float, list of float or str
        ``training_loss`` and ``seconds`` [core-s] by epoch; of a network also ``validation_accuracy`` [%]
        by epoch, ``test_accuracy`` [%] and, where it inherited weights, ``inherited_accuracy`` [%] and
        ``inheritance_seconds`` [core-s]; ``processor``; ``device``, ``"cuda"`` where a GPU trained.
    """

    recipe: str
    seed: int
    code: str | None
    about: Mapping[str, Any]
    values: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, int, str]:
        """What no two runs share; super-networks have no code."""
        return self.recipe, self.seed, self.code or ""

    @property
    def name(self) -> str:
        return f"{self.recipe}, seed {self.seed}, {self.code or 'super-network'}"

    @property
    def shared(self) -> bool:
        """Whether it is of a super-network."""
        return self.code is None or "branch_stages" in self.about["recipe"]

    @property
    def seconds(self) -> float:
        """All that the run took, without its super-network [core-s]; NaN where a GPU trained."""
        if self.values.get("device", "cpu") != "cpu":
            return math.nan
        return float(sum(self.values["seconds"]) + self.values.get("inheritance_seconds", 0.0))


def read_folder(folder: Path) -> list[TrainingRun]:
    """The runs whose result files are in a folder of results.

    Raises
    ------
    LogError
        Where a file is damaged or holds another run than its name says.
    """
    patterns = ("*/seed-*/*.npz", "supernet/*/seed-*.npz", "supernet/*/seed-*/*.npz")
    return [_read_result(path, folder) for pattern in patterns for path in sorted(folder.glob(pattern))]


def _read_result(path: Path, folder: Path) -> TrainingRun:
    recipe = path.relative_to(folder).parts[0]
    try:
        with np.load(path, allow_pickle=False) as held:
            about = json.loads(held["about"].item())
            names = {name.removeprefix(MEASURED): name for name in held.files if name not in _LEFT_OUT}
            values = {name: held[stored].tolist() for name, stored in names.items() if "/" not in name}
        if recipe == "supernet":
            recipe = path.relative_to(folder).parts[1]
        if "processor" in about:  # the first files had it there
            values["processor"] = about.pop("processor")
        run = TrainingRun(
            recipe, about.pop("seed"), about.pop("code", about.pop("branch", None)), about, values
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise LogError(f"{path} is not a result of training ({error}); delete it and train again") from error
    ending = f"seed-{run.seed}.npz" if run.code is None else f"seed-{run.seed}/{run.code}.npz"
    if not path.as_posix().endswith(f"/{run.recipe}/{ending}"):
        raise LogError(f"{path} holds another run: {run.name}")
    return run


def shared_seconds(runs: Iterable[TrainingRun], epoch: float | None = None) -> dict[tuple[str, int], float]:
    """What super-networks took, all that they descend from included [core-s].

    Of a recipe with branches all count; those not in the log, or trained by a GPU, as much as those timed on
    a CPU, on average.

    Parameters
    ----------
    runs : iterable of TrainingRun
    epoch : float, optional
        Seconds of an epoch that trains one network a step; those that the runs took by default.

    Returns
    -------
    dict of (str, int) to float
        Recipe and seed -> seconds.
    """
    found: dict[tuple[str, int], list[TrainingRun]] = {}
    for run in runs:
        if run.shared:
            found.setdefault((run.recipe, run.seed), []).append(run)

    def total(recipe: str, seed: int) -> float:
        group = found.get((recipe, seed))
        if group is None:
            return math.nan
        settings = group[0].about.get("recipe", {})
        seconds = [run.seconds for run in group] if epoch is None else [epoch * _passes(settings)]
        own = mean_seconds(seconds) * len(branches(settings.get("branch_stages", 0)))
        parent = settings.get("parent")
        return own if parent is None else own + total(parent, seed)

    return {key: total(*key) for key in found}


def mean_seconds(seconds: Sequence[float]) -> float:
    """Mean over the runs that have a time; NaN where none has."""
    known = [value for value in seconds if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _passes(settings: Mapping[str, Any]) -> int:
    """Epochs of one network a step that a super-network's training is worth; fair sampling trains three."""
    return int(settings["epochs"]) * (3 if settings["sampling"] == "fair" else 1)


def merged(*groups: Iterable[TrainingRun]) -> list[TrainingRun]:
    """All runs of several groups, each once, sorted; of runs that differ in measured values alone, the first.

    Raises
    ------
    LogError
        Where two runs of one recipe, seed and network differ in more than their seconds and processor.
    """
    runs: dict[tuple[str, int, str], TrainingRun] = {}
    for group in groups:
        for run in group:
            first = runs.setdefault(run.key, run)
            if (first.about, _lasting(first)) != (run.about, _lasting(run)):
                raise LogError(f"there are two different runs of {run.name}; delete the one that is wrong")
    return [runs[key] for key in sorted(runs)]


def _lasting(run: TrainingRun) -> dict[str, Any]:
    return {name: value for name, value in run.values.items() if name not in _MEASURED}


def write_log(path: Path, runs: Iterable[TrainingRun]) -> None:
    """Write runs; equal runs give equal bytes."""
    lines = [
        {"recipe": r.recipe, "seed": r.seed, "code": r.code, "about": r.about, "values": r.values}
        for r in runs
    ]
    text = "".join(json.dumps(line, sort_keys=True, allow_nan=False) + "\n" for line in lines)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:  # no name, no time stamp
        file.write(text.encode("ascii"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getvalue())


def read_log(path: Path) -> list[TrainingRun]:
    """The runs in a file.

    Raises
    ------
    LogError
        Where the file is missing, truncated or malformed.
    """
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            lines = [json.loads(line) for line in file]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise LogError(f"{path} cannot be read ({error})") from error
    if not all(isinstance(line, dict) and line.keys() == _KEYS for line in lines):
        raise LogError(f"{path} holds a line that is no training run")
    return [TrainingRun(**line) for line in lines]
