"""Proxy jobs: zero-cost proxies of some networks, kept as one small file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nasbench_imc.building import archive, parts
from nasbench_imc.building.proxies import PROXIES, proxies
from nasbench_imc.building.train_jobs import Folders, prepare, processor


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
    return [ProxyJob(k, part, seed, folders) for k, part in enumerate(parts.split(codes))]
