"""What is computed for every network and is small: files of some networks each, and one of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nasbench_imc.building import archive
from nasbench_imc.errors import BenchmarkError, TableError

#: Networks of one part: a minute or a few.
PART = 216

#: Members that all parts have in common.
_SHARED = ("about", "names")
_PROCESSOR = "measured/processor"


def split(codes: Sequence[str]) -> list[tuple[str, ...]]:
    """The networks of each part."""
    return [tuple(codes[first : first + PART]) for first in range(0, len(codes), PART)]


def join(parts: Sequence[Path], out: Path) -> None:
    """Write the contents of all parts into one file of the same members.

    Raises
    ------
    BenchmarkError
        Where parts were made from other pixels, by another torch, or are damaged.
    """
    read = [archive.read(path) for path in parts]
    for path, part in zip(parts, read, strict=True):
        for name in _SHARED:
            if part[name].tolist() != read[0][name].tolist():
                raise BenchmarkError(f"{path} and {parts[0]} differ in {name}; make both again")
    joined: Mapping[str, np.ndarray] = {
        name: value if name in (*_SHARED, _PROCESSOR) else np.concatenate([part[name] for part in read])
        for name, value in read[0].items()
    }
    measured = {name for name in joined if name.startswith(archive.MEASURED)}
    archive.write(
        out,
        {name: value for name, value in joined.items() if name not in measured},
        measured={name.removeprefix(archive.MEASURED): joined[name] for name in joined if name in measured},
    )


def taken(
    path: Path, held: Mapping[str, np.ndarray], codes: Sequence[str], what: str, pixels: str
) -> np.ndarray:
    """Rows of a joined file that are of some networks, in their order.

    Raises
    ------
    TableError
        Where the file lacks one, or was made from other pixels.
    """
    if (own := json.loads(str(held["about"])).get("pixels")) != pixels:
        raise TableError(f"{path} was made from pixels {own!r}, the table's networks from {pixels!r}")
    row = {code.decode("ascii"): k for k, code in enumerate(held["codes"])}
    missing = [code for code in codes if code not in row]
    if missing:
        raise TableError(f"{path} lacks the {what} of {len(missing)} networks, {missing[0]} among them")
    return np.array([row[code] for code in codes])
