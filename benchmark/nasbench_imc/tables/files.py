"""Where a table's file is, and whether it is the one that was released."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from nasbench_imc.errors import TableError, unknown

#: Environment variable that names a folder of tables to use in place of the shipped ones.
DATA_VARIABLE = "NASBENCH_IMC_DATA"


@dataclass(frozen=True, slots=True)
class Release:
    """What the package knows of a released table."""

    file: str
    version: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table found on disk; ``official`` where its SHA-256 is that of the release."""

    path: Path
    sha256: str
    official: bool


@cache
def releases() -> Mapping[str, Release]:
    """The released tables by name, from the package's ``manifest.json``."""
    text = resources.files("nasbench_imc").joinpath("manifest.json").read_text(encoding="utf-8")
    return MappingProxyType({name: Release(**entry) for name, entry in json.loads(text).items()})


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(name: str) -> TableFile:
    """Locate and verify a table: in the package, else in the repository that it was installed from.

    Where ``$NASBENCH_IMC_DATA`` is set, that folder alone is looked into.

    Raises
    ------
    UnknownNameError
        Where no table has this name.
    TableError
        Where the file is missing, or is not the released one. A file under ``$NASBENCH_IMC_DATA`` may
        differ from the release; it is then not ``official``.
    """
    folder = os.environ.get(DATA_VARIABLE)
    if not isinstance(name, str) or name not in releases():
        raise unknown("table", name, releases())
    release = releases()[name]
    if folder:
        path = Path(folder) / release.file
        if not path.is_file():
            raise TableError(
                f"{DATA_VARIABLE} is set, but there is no {path}; "
                f"put the table there, or unset {DATA_VARIABLE} to use the shipped one"
            )
        sha256 = file_sha256(path)
        return TableFile(path, sha256, official=sha256 == release.sha256)
    package = Path(str(resources.files("nasbench_imc")))
    candidates = [package / "data" / release.file]
    repository = package.parents[1]
    if (repository / "pyproject.toml").is_file():  # an editable install
        candidates.append(repository / "datasets" / release.file)
    path = next((candidate for candidate in candidates if candidate.is_file()), candidates[-1])
    if not path.is_file():
        raise TableError(
            f"table {name!r} is missing: no {path}; reinstall nasbench-imc, "
            f"or set {DATA_VARIABLE} to the folder that holds {release.file}"
        )
    size = path.stat().st_size
    if size != release.bytes:
        raise TableError(
            f"{path} has {size:,} bytes where table {name!r} {release.version} has {release.bytes:,}: "
            "it is truncated or of another version; reinstall nasbench-imc"
        )
    sha256 = file_sha256(path)
    if sha256 != release.sha256:
        raise TableError(
            f"{path} is damaged or of another version: SHA-256 {sha256}, "
            f"expected {release.sha256}; reinstall nasbench-imc"
        )
    return TableFile(path, sha256, official=True)
