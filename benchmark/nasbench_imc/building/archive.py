"""Files of arrays: NumPy archives without pickles, with equal bytes for equal contents.

What was measured (seconds, the processor) differs between two runs of one job. It is kept in members of its
own below ``measured/``, last in the file; all other members have the same bytes, and :func:`digest` leaves
it out.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from nasbench_imc.errors import BenchmarkError
from nasbench_imc.files import replacing

MEASURED = "measured/"


def write(
    path: Path,
    arrays: Mapping[str, ArrayLike],
    *,
    measured: Mapping[str, ArrayLike] | None = None,
    compressed: bool = True,
) -> None:
    """Write an archive, whole or not at all; missing folders are made.

    Parameters
    ----------
    path : pathlib.Path
    arrays : mapping of str to array_like
        Stored in this order.
    measured : mapping of str to array_like, optional
        Stored behind them, under ``measured/NAME``.
    compressed : bool
    """
    members = dict(arrays) | {MEASURED + name: value for name, value in (measured or {}).items()}
    save = np.savez_compressed if compressed else np.savez
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        save(file, allow_pickle=False, **members)


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an archive, checked by their CRC-32.

    Raises
    ------
    BenchmarkError
        Where the file is damaged.
    FileNotFoundError
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # parsers of damaged archives raise nearly anything
        raise BenchmarkError(f"{path} is damaged or no archive of arrays ({error!r})") from error


def digest(path: Path) -> str:
    """SHA-256 of an archive's members, by name and bytes; those below ``measured/`` are left out.

    Two runs of one job give one digest on one type of processor.
    """
    total = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.startswith(MEASURED):
                total.update(name.encode() + b"\0" + hashlib.sha256(archive.read(name)).digest())
    return total.hexdigest()
