"""Shards: many small result files in one, for keeping and for publishing.

A shard is a zip archive whose members are result files as they are (they are compressed already): 216
networks of a list, those together that agree in their last two stages. Equal files give equal bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from nasbench_imc.building.branches import branch_of, branches
from nasbench_imc.building.codes import Codes, decode
from nasbench_imc.building.networks import HybridNetwork
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.files import replacing

BLOCK = 216  # networks a shard

# Result files are zip archives themselves: in a shard that was cut short, the last of them would be taken for
# the shard, were it not for this mark at the end.
_MARK = b"nasbench-imc shard"
_STAMP = (1980, 1, 1, 0, 0, 0)  # no time of day in the bytes


def write_complete(
    results: Path, out: Path, recipe: str, seed: int, networks: str, codes: Sequence[str]
) -> list[Path]:
    """Write the shards whose networks all have a result, and that are not there yet.

    Parameters
    ----------
    results : pathlib.Path
        Folder with one ``CODE.npz`` a network.
    out : pathlib.Path
        Folder of shards; theirs are ``RECIPE-seedS-NETWORKS-K.zip``.
    recipe : str
    seed : int
    networks : str
        Name of the list of networks.
    codes : sequence of str
        The list. Networks trained from one branch go into one shard, so that few shards wait for a branch.

    Returns
    -------
    list of pathlib.Path
        The shards written.
    """
    place = {branch: k for k, branch in enumerate(branches(2))}
    codes = sorted(codes, key=lambda code: place[branch_of(code, 2)])
    written = []
    for number, start in enumerate(range(0, len(codes), BLOCK)):
        path = out / f"{_stem(recipe, seed)}-{networks}-{number}.zip"
        files = {code: results / f"{code}.npz" for code in codes[start : start + BLOCK]}
        if not path.exists() and all(file.is_file() for file in files.values()):
            write_shard(path, {f"{code}.npz": file.read_bytes() for code, file in files.items()})
            written.append(path)
    return written


def _stem(recipe: str, seed: int) -> str:
    return f"{recipe}-seed{seed}"


def write_shard(path: Path, files: Mapping[str, bytes]) -> None:
    """Write members by name, sorted; the shard appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = _MARK
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _STAMP), files[name])


def read_shard(path: Path, only: str = "") -> Iterator[tuple[str, bytes]]:
    """Members of a shard, checked by their CRC-32.

    Parameters
    ----------
    path : pathlib.Path
    only : str
        The one member that is wanted; "" for all.

    Raises
    ------
    BenchmarkError
        Where the shard is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.comment != _MARK:
                raise zipfile.BadZipFile("its end is missing, or it is no shard")
            for name in archive.namelist():
                if only in ("", name):
                    yield name, archive.read(name)
    except (OSError, zipfile.BadZipFile, ValueError, EOFError) as error:
        raise BenchmarkError(f"{path} is missing or a damaged shard ({error})") from error


def load_network(
    folder: Path, code: str, recipe: str, seed: int = 0
) -> tuple[HybridNetwork, dict[str, Codes]]:
    """A trained network from the shards of weights.

    Parameters
    ----------
    folder : pathlib.Path
        ``datasets/weights`` of the repository.
    code : str
    recipe : str
        That trained it, such as the table's ``protocol``.
    seed : int
        Of training.

    Returns
    -------
    network : HybridNetwork
        In evaluation mode, with decoded weights.
    codes : dict of str to Codes
        By crossbar layer.

    Raises
    ------
    BenchmarkError
        Where no shard holds the network, or one is damaged.
    """
    wanted, stem = f"{code}.npz", _stem(recipe, seed)
    paths = sorted(folder.glob(f"{stem}-*.zip"))
    for path in paths:
        for _, packed in read_shard(path, only=wanted):
            with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
                return decode(code, dict(arrays))
    raise BenchmarkError(f"none of the {len(paths)} shards {folder / stem}-*.zip holds {wanted}")
