"""Proxy jobs: zero-cost proxies of some networks, kept as one small file; and all of them in one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nasbench_imc.building import archive
from nasbench_imc.building.proxies import PROXIES, proxies
from nasbench_imc.building.train_jobs import Folders, prepare, processor
from nasbench_imc.errors import BenchmarkError

#: Networks of one job: about a minute.
PART = 216


@dataclass(frozen=True)
class ProxyJob:
    """The proxies of some networks.

    Attributes
    ----------
    number : int
        Which part of the list it is.
    codes : tuple of str
    seed : int
        Training seed.
    folders : Folders
    """

    number: int
    codes: tuple[str, ...]
    seed: int
    folders: Folders

    @property
    def path(self) -> Path:
        return self.folders.out / "proxies" / f"seed-{self.seed}" / f"part-{self.number}.npz"

    def run(self) -> None:
        """Write ``codes``, ``names``, ``values`` (networks, proxies) and measured ``seconds``."""
        data = prepare(self.folders.images, self.folders.cache)
        made = [proxies(code, data.train, self.seed) for code in self.codes]
        about = {"seed": self.seed, "pixels": data.source, "torch": torch.__version__}
        values, seconds = (np.array([[each[name][k] for name in PROXIES] for each in made]) for k in (0, 1))
        archive.write(
            self.path,
            {
                "about": np.array(json.dumps(about, sort_keys=True)),
                "codes": np.array(self.codes, dtype="S"),
                "names": np.array(list(PROXIES), dtype="S"),
                "values": values,
            },
            measured={"seconds": seconds, "processor": np.array(processor())},
        )


def proxy_jobs(codes: Sequence[str], seed: int, folders: Folders) -> list[ProxyJob]:
    """The jobs of a list of networks."""
    return [
        ProxyJob(k, tuple(codes[first : first + PART]), seed, folders)
        for k, first in enumerate(range(0, len(codes), PART))
    ]


def join(parts: Sequence[Path], out: Path) -> None:
    """Write the contents of all parts into one file of the same members.

    Raises
    ------
    BenchmarkError
        Where parts were made from other pixels, by another torch, or are damaged.
    """
    read = [archive.read(path) for path in parts]
    for path, part in zip(parts, read, strict=True):
        for name in ("about", "names"):
            if part[name].tolist() != read[0][name].tolist():
                raise BenchmarkError(f"{path} and {parts[0]} differ in {name}; make both again")
    archive.write(
        out,
        {
            "about": read[0]["about"],
            "codes": np.concatenate([part["codes"] for part in read]),
            "names": read[0]["names"],
            "values": np.concatenate([part["values"] for part in read]),
        },
        measured={
            "seconds": np.concatenate([part["measured/seconds"] for part in read]),
            "processor": read[0]["measured/processor"],
        },
    )
