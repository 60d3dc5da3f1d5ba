"""Shards: many small result files in one, for keeping and for publishing.

A shard is a zip archive whose members are result files as they are (they are compressed already): 216
networks of a list, those together that agree in their last two stages, and one shard of what is left.
Equal files give equal bytes.
"""

from __future__ import annotations

import glob
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


def keep(results: Path, out: Path, recipe: str, seed: int, networks: str, codes: Sequence[str]) -> list[Path]:
    """Write finished networks into shards: each block of the list that is whole, for good, the rest together.

    Parameters
    ----------
    results : pathlib.Path
        Folder with one ``CODE.npz`` a network.
    out : pathlib.Path
        Folder of shards. Whole blocks are ``RECIPE-seedS-NETWORKS-K.zip``, and stay as they are. All other
        finished networks, those that were kept before among them, are in ``RECIPE-seedS-NETWORKS-part.zip``,
        which goes when the last block is whole.
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

    Raises
    ------
    BenchmarkError
        Where the shard of the rest is damaged.
    """
    place = {branch: k for k, branch in enumerate(branches(2))}
    codes = sorted(codes, key=lambda code: place[branch_of(code, 2)])
    part = out / f"{_stem(recipe, seed)}-{networks}-part.zip"
    before = dict(read_shard(part)) if part.exists() else {}
    rest: dict[str, bytes] = {}
    written = []
    for number, start in enumerate(range(0, len(codes), BLOCK)):
        path = out / f"{_stem(recipe, seed)}-{networks}-{number}.zip"
        if path.exists():
            continue
        block = [f"{code}.npz" for code in codes[start : start + BLOCK]]
        found = {name: before[name] for name in block if name in before}
        found |= {name: (results / name).read_bytes() for name in block if (results / name).is_file()}
        if len(found) == len(block):
            write_shard(path, found)
            written.append(path)
        else:
            rest |= found
    if not rest:
        part.unlink(missing_ok=True)
    elif rest != before:
        write_shard(part, rest)
        written.append(part)
    return written


def restore(folder: Path, results: Path, recipe: str, seed: int) -> int:
    """Unpack a recipe's shards into a folder of results, so that work goes on from what is kept.

    Parameters
    ----------
    folder : pathlib.Path
        Of shards, as :func:`keep` writes them.
    results : pathlib.Path
        Where each network's file belongs; files that are there stay.
    recipe : str
    seed : int

    Returns
    -------
    int
        How many files were written.

    Raises
    ------
    BenchmarkError
        Where a shard is damaged.
    """
    count = 0
    for path in _shards(folder, recipe, seed):
        for name, packed in read_shard(path):
            target = results / name
            if not target.exists():
                results.mkdir(parents=True, exist_ok=True)
                with replacing(target) as temporary:
                    temporary.write_bytes(packed)
                count += 1
    return count


def _shards(folder: Path, recipe: str, seed: int) -> list[Path]:
    return sorted(folder.glob(f"{glob.escape(_stem(recipe, seed))}-*.zip"))


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
    wanted, paths = f"{code}.npz", _shards(folder, recipe, seed)
    for path in paths:
        for _, packed in read_shard(path, only=wanted):
            with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
                return decode(code, dict(arrays))
    raise BenchmarkError(
        f"none of the {len(paths)} shards {folder / _stem(recipe, seed)}-*.zip holds {wanted}"
    )
