"""Reading evaluations: one file an architecture and training seed, with accuracies of every declared cell."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_imc.building.shards import read_shard
from nasbench_imc.errors import BenchmarkError, TableError, UnknownNameError
from nasbench_imc.spaces import Hybrid
from nasbench_imc.tables.layout import TIMES

_MEMBERS = (
    "about",
    "compressions",
    "cell_compression",
    "cell_class",
    "cell_time",
    "score_accuracy",
    "search_accuracy",
    "score_subset",
    "search_subset",
    "score_full",
    "search_full",
    "accuracy_digital",
    "curve_epochs",
    "learning_curve",
    "measured/training_seconds",
    "measured/evaluation_seconds",
    "measured/processor",
    "weights_sha256",
)
_ABOUT = {"code": str, "seed": int, "protocol": str, "pixels": str}


@dataclass(frozen=True, slots=True)
class Grid:
    """What every evaluation of a table declares: G cells of P compressions.

    Attributes
    ----------
    compressions : tuple of (int, float)
        Bits a weight and sparsity; the first is (8, 0.0).
    cell_compression : tuple of int, length G
        Position in ``compressions``.
    cell_class, cell_time : tuple of str, length G
        Accuracy class, and time since programming or "" where the accuracy serves every time.
    draws : int
        Noise draws of every accuracy.
    epochs : tuple of float, length E
        Epochs of individual training at each entry of the learning curve, rising; 0: before it.
    """

    compressions: tuple[tuple[int, float], ...]
    cell_compression: tuple[int, ...]
    cell_class: tuple[str, ...]
    cell_time: tuple[str, ...]
    draws: int
    epochs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One trained network, evaluated.

    Attributes
    ----------
    path : pathlib.Path
    sha256 : str
        Of the file.
    code : str
    seed : int
        Training seed.
    about : mapping
        All that the file says of itself: protocol, pixels, library versions, processor, ...
    grid : Grid
    score, search : ndarray, shape (G, D), float32
        Labels [%]: accuracy on the full set of the exact 8-bit digital network, plus what the draw's
        accuracy differs from that network's on the images of the draw.
    score_digital, search_digital : float
        Accuracy in floating point, before coding [%].
    learning_curve : ndarray, shape (E,)
        Validation accuracy at each of the grid's epochs [%].
    training_seconds : ndarray, shape (E,)
        [core-s]; NaN where a GPU trained.
    evaluation_seconds : float
        [core-s]; NaN where a GPU evaluated.
    processor : str
        That evaluated.
    weights_sha256 : str
    """

    path: Path
    sha256: str
    code: str
    seed: int
    about: Mapping[str, Any]
    grid: Grid
    score: np.ndarray
    search: np.ndarray
    score_digital: float
    search_digital: float
    learning_curve: np.ndarray
    training_seconds: np.ndarray
    evaluation_seconds: float
    processor: str
    weights_sha256: str


def read_evaluation(path: Path) -> Evaluation:
    """Read and check one file, as :class:`~nasbench_imc.building.evaluate_jobs.EvaluateJob` writes it.

    Raises
    ------
    TableError
        Where the file is damaged or incomplete, or a value is not what it must be; the message names it.
    """
    try:
        return _evaluation(path, path.read_bytes())
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error}") from error


def read_evaluations(folder: Path) -> list[Evaluation]:
    """All evaluations in a folder and below, ``*.npz`` and those in shards, ``*.zip``.

    Raises
    ------
    TableError
        As :func:`read_evaluation`, or where there is none.
    """
    found = [read_evaluation(path) for path in sorted(folder.rglob("*.npz"))]
    for shard in sorted(folder.rglob("*.zip")):
        try:
            found += [_evaluation(shard / name, packed) for name, packed in read_shard(shard)]
        except BenchmarkError as error:
            raise error if isinstance(error, TableError) else TableError(str(error)) from error
    if not found:
        raise TableError(f"there are no evaluations (*.npz, or shards *.zip) in {folder}")
    return found


def _evaluation(path: Path, packed: bytes) -> Evaluation:
    """Parse a file's bytes; ``path`` names it."""
    try:
        return _checked(path, hashlib.sha256(packed).hexdigest(), _unpack(packed))
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise TableError(f"{path} is damaged or not an evaluation: {error}") from error


def _unpack(packed: bytes) -> dict[str, np.ndarray]:
    loaded = np.load(io.BytesIO(packed), allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("it is one array, not a file of arrays")
    with loaded:
        missing = [name for name in _MEMBERS if name not in loaded.files]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return {name: loaded[name] for name in _MEMBERS}


def _checked(path: Path, sha256: str, arrays: dict[str, np.ndarray]) -> Evaluation:
    about = _about(arrays["about"])
    grid = _grid(arrays)
    digital = _accuracies(arrays, "accuracy_digital", (2,))
    seconds = _numbers(arrays, "measured/training_seconds", (len(grid.epochs),), missing=True)
    evaluation = _numbers(arrays, "measured/evaluation_seconds", (), missing=True)
    if (seconds < 0).any() or evaluation < 0:
        raise ValueError("a number of seconds is negative")
    weights = _text(arrays["weights_sha256"])
    if not re.fullmatch("[0-9a-f]{64}", weights):
        raise ValueError(f"weights_sha256 is not 64 hexadecimal digits: {weights!r:.80}")
    return Evaluation(
        path=path,
        sha256=sha256,
        code=about["code"],
        seed=about["seed"],
        about=about,
        grid=grid,
        score=_labels(arrays, grid, "score"),
        search=_labels(arrays, grid, "search"),
        score_digital=float(digital[0]),
        search_digital=float(digital[1]),
        learning_curve=_accuracies(arrays, "learning_curve", (len(grid.epochs),)),
        training_seconds=seconds,
        evaluation_seconds=float(evaluation),
        processor=_text(arrays["measured/processor"]),
        weights_sha256=weights,
    )


def _about(member: np.ndarray) -> dict[str, Any]:
    about = json.loads(_text(member))
    if not isinstance(about, dict):
        raise ValueError("about is not a JSON object")
    for name, kind in _ABOUT.items():
        if isinstance(about.get(name), bool) or not isinstance(about.get(name), kind):
            raise ValueError(f"about[{name!r}] is missing or not of type {kind.__name__}")
    try:
        Hybrid().values(about["code"])
    except UnknownNameError as error:
        raise ValueError(str(error)) from error
    if about["seed"] < 0:
        raise ValueError(f"the training seed is negative: {about['seed']}")
    return about


def _grid(arrays: dict[str, np.ndarray]) -> Grid:
    compressions = arrays["compressions"]
    if compressions.ndim != 2 or compressions.shape[1] != 2:
        raise ValueError(f"compressions has shape {compressions.shape}, not (P, 2)")
    pairs = tuple((int(bits), float(sparsity)) for bits, sparsity in compressions)
    if pairs[:1] != ((8, 0.0),) or len(set(pairs)) < len(pairs):
        raise ValueError(f"compressions must be distinct, and the first (8, 0.0): {pairs}")
    for (bits, _), (given, sparsity) in zip(pairs, compressions, strict=True):
        if bits != given or not 1 <= bits <= 8 or not 0 <= sparsity < 1:
            raise ValueError(
                f"a compression is 1 to 8 bits and a sparsity from 0 to 1, not {(given, sparsity)}"
            )
    of_cell = arrays["cell_compression"]
    kinds, times = ([_text(item) for item in arrays[name].ravel()] for name in ("cell_class", "cell_time"))
    if (
        of_cell.ndim != 1
        or of_cell.dtype.kind not in "iu"
        or len({len(of_cell), len(kinds), len(times)}) != 1
    ):
        raise ValueError("cell_compression, cell_class and cell_time are not flat and of one length")
    if not len(of_cell) or of_cell.min() < 0 or of_cell.max() >= len(pairs):
        raise ValueError("cell_compression holds no cell, or one of an unknown compression")
    cells = list(zip(of_cell.tolist(), kinds, times, strict=True))
    drifting = {(cell, kind) for cell, kind, time in cells if time}
    for cell in cells:
        if cells.count(cell) > 1 or (not cell[2] and cell[:2] in drifting):
            raise ValueError(f"cell {cell} is declared twice")
        if cell[2] and cell[2] not in TIMES:
            raise ValueError(f"cell {cell} has an unknown time; valid: '', {', '.join(map(repr, TIMES))}")
    scores, epochs = arrays["score_accuracy"], arrays["curve_epochs"]
    if scores.ndim != 2 or not scores.shape[1]:
        raise ValueError(f"score_accuracy has shape {scores.shape}, not (G, D)")
    if epochs.ndim != 1 or not len(epochs):
        raise ValueError(f"curve_epochs has shape {epochs.shape}, not (E,)")
    if not (np.isfinite(epochs).all() and epochs[0] >= 0 and (np.diff(epochs) > 0).all()):
        raise ValueError(f"curve_epochs must rise from 0 or more: {epochs.tolist()}")
    return Grid(
        pairs, tuple(of_cell.tolist()), tuple(kinds), tuple(times), scores.shape[1], tuple(epochs.tolist())
    )


def _labels(arrays: dict[str, np.ndarray], grid: Grid, kind: str) -> np.ndarray:
    """Labels [%] of every draw, (G, D), float32."""
    cells, compressions = len(grid.cell_class), len(grid.compressions)
    accuracy = _accuracies(arrays, f"{kind}_accuracy", (cells, grid.draws))
    subset = _accuracies(arrays, f"{kind}_subset", (compressions, grid.draws))
    full = _accuracies(arrays, f"{kind}_full", (compressions,))
    of_cell = np.array(grid.cell_compression)
    return (full[of_cell, None] + (accuracy - subset[of_cell])).astype(np.float32)


def _accuracies(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = _numbers(arrays, name, shape)
    if (values < 0).any() or (values > 100).any():
        raise ValueError(f"{name} has a value outside 0 to 100 %")
    return values


def _numbers(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], *, missing: bool = False
) -> np.ndarray:
    """A member of the shape that it must have, float64; it may be all NaN where it may be missing."""
    values = arrays[name]
    if values.dtype.kind not in "fiu" or values.shape != shape:
        raise ValueError(f"{name} is {values.dtype} of shape {values.shape}, not numbers of shape {shape}")
    if not np.isfinite(values).all() and not (missing and np.isnan(values).all()):
        raise ValueError(f"{name} has {int((~np.isfinite(values)).sum())} values that are not finite")
    return values.astype(np.float64)


def _text(member: np.ndarray) -> str:
    """A string or bytes, as an array without axes."""
    value = np.asarray(member)[()]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, str):
        raise ValueError(f"text is expected, not {value!r:.40}")
    return str(value)
