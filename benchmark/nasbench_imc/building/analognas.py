"""Reading AnalogNAS-Bench (arXiv 2506.18495) from the wheel ``analog-nasbench``, without running it.

The wheel holds a pickle of two record classes. A pickle can run any code, so it goes through an unpickler
that admits these two names and nothing else, and binds them to empty classes of our own. The package
itself is never imported.

Encoding, verified in ``tests/tables/test_encoding.py``: a key is a tuple of six operation codes, in NASLib's
order of operations and of edges (``naslib/search_spaces/nasbench201/conversions.py``). Its edges are
ordered by source, those of a NAS-Bench-201 string by target.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_imc.errors import TableError
from nasbench_imc.spaces.nb201 import EDGES, NB201
from nasbench_imc.tables.layout import TIMES

DISTRIBUTION = "analog-nasbench"

#: Operation codes of the keys.
CODES = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")

#: (source, target) of the six edges in the order of the keys.
KEY_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))

#: Our name of a column -> its attribute in the pickle. Means [% top-1 on the CIFAR-10 test set].
COLUMNS = {
    "accuracy_digital": "baseline_accuracy",
    "accuracy_ptq_int8": "ptq_accuracy",
    "accuracy_qat_int8": "qat_accuracy",
    "accuracy_pcm_direct_t0": "noisy_accuracy",
    "accuracy_pcm_hwa_t0": "analog_accuracy",
} | {
    f"accuracy_pcm_{ours}_{time}": f"{theirs}_drift_{seconds}"
    for ours, theirs in (("direct", "baseline"), ("hwa", "analog"))
    for time, seconds in TIMES.items()
    if seconds
}


class _Record:
    """Stands in for a class of the pickle; takes its attributes and nothing else."""


class _Architecture(_Record):
    pass


class _DriftMeasurement(_Record):
    pass


_ADMITTED = {
    ("analognasbench.data", "Architecture"): _Architecture,
    ("analognasbench.data", "DriftMeasurement"): _DriftMeasurement,
}


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that knows the two record classes of AnalogNAS-Bench and refuses all else."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in _ADMITTED:
            raise pickle.UnpicklingError(
                f"refused to load {module_name}.{global_name}; "
                f"admitted: {', '.join('.'.join(name) for name in _ADMITTED)}"
            )
        return _ADMITTED[module_name, global_name]


@dataclass(frozen=True, slots=True)
class Published:
    """What AnalogNAS-Bench publishes, as it is published.

    Attributes
    ----------
    values : mapping of str to numpy.ndarray, shape (15,625,), float64
        Our column name -> means [%], in the order of ``NB201().architectures``. A column
        ``NAME_spread`` holds the published spread of NAME [%], where there is one.
    sha256 : str
        Of the pickle.
    version : str
        Of the distribution.
    """

    values: Mapping[str, np.ndarray]
    sha256: str
    version: str


def read() -> Published:
    """Read the installed distribution.

    Raises
    ------
    TableError
        Where it is not installed (``pip install "nasbench-imc[build]"``), or its data are not as
        described here.
    """
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise TableError(f'{DISTRIBUTION} is not installed: pip install "nasbench-imc[build]"') from None
    path = next(
        (Path(str(f.locate())) for f in distribution.files or () if str(f) == "analognasbench/data.anb"), None
    )
    if path is None or not path.is_file():
        raise TableError(f"{DISTRIBUTION} {distribution.version} has no analognasbench/data.anb")
    data = path.read_bytes()
    records = RestrictedUnpickler(io.BytesIO(data)).load()
    return Published(columns(records), hashlib.sha256(data).hexdigest(), distribution.version)


def code_of(key: tuple[int, ...]) -> str:
    """The NAS-Bench-201 string of a key.

    Raises
    ------
    TableError
        Where the key is not six codes from 0 to 4.
    """
    if len(key) != len(KEY_EDGES) or any(k not in range(len(CODES)) for k in key):
        raise TableError(f"not a key of AnalogNAS-Bench: {key!r}; expected six codes from 0 to 4")
    operation = {edge: CODES[k] for edge, k in zip(KEY_EDGES, key, strict=True)}
    return NB201().from_values({f"edge_{i}_{j}": operation[i, j] for i, j in EDGES})


def columns(records: Mapping[tuple[int, ...], Any]) -> dict[str, np.ndarray]:
    """The records as columns in the order of ``NB201().architectures``.

    Raises
    ------
    TableError
        Where a cell is missing, or a record lacks a column or holds no finite number there.
    """
    by_code = {code_of(key): record for key, record in records.items()}
    codes = NB201().architectures
    missing = [code for code in codes if code not in by_code]
    if missing or len(by_code) != len(codes):
        raise TableError(f"{len(missing)} cells are missing, for example {missing[:2]}")
    values: dict[str, np.ndarray] = {}
    for name, attribute in COLUMNS.items():
        try:
            cells = [getattr(by_code[code], attribute) for code in codes]
            if isinstance(cells[0], _DriftMeasurement):
                values[name] = np.array([cell.value for cell in cells], dtype=float)
                values[f"{name}_spread"] = np.array([cell.uncertainty for cell in cells], dtype=float)
            else:
                values[name] = np.array(cells, dtype=float)
        except (AttributeError, TypeError, ValueError) as error:
            raise TableError(f"a record lacks {attribute!r}, or it is no number ({error})") from error
    for name, column in values.items():
        if not np.isfinite(column).all():
            raise TableError(f"{name} is not finite in {codes[int(np.flatnonzero(~np.isfinite(column))[0])]}")
    return values
