"""A small network with all three operators, as if trained: statistics settled, weights coded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest


class Small(NamedTuple):
    network: object
    codes: dict
    calibration: object
    images: object


@pytest.fixture(scope="session")
def small() -> Callable[[str], Small]:
    """Makes a network (code): decoded, its codes, a calibration on 16 images, and 16 other images."""
    torch = pytest.importorskip("torch")

    from nasbench_imc.building.codes import decode, encode
    from nasbench_imc.building.crossbar.ranges import calibrate
    from nasbench_imc.building.networks import HybridNetwork

    made: dict[str, Small] = {}

    def make(code: str) -> Small:
        if code not in made:
            rng = torch.Generator().manual_seed(0)
            network = HybridNetwork(code, rng).to(memory_format=torch.channels_last)
            network.train()
            for _ in range(8):
                network(pictures(torch, 64, rng))
            network, codes = decode(code, encode(network.eval()))
            calibration = calibrate(network, pictures(torch, 16, rng))
            made[code] = Small(network, codes, calibration, pictures(torch, 16, rng))
        return made[code]

    return make


def pictures(torch, count, rng):
    """Smooth normalised images."""
    coarse = torch.randn(count, 3, 8, 8, generator=rng)
    fine = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    fine += 0.1 * torch.randn(count, 3, 32, 32, generator=rng)
    return fine.to(memory_format=torch.channels_last)
