"""What is asked for: a network on a chip."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Design:
    """A network, compressed or not, on an IMC configuration. It is checked when it is queried.

    Attributes
    ----------
    arch : str
        Architecture code of the space, for example a NAS-Bench-201 cell string.
    hardware : str
        Id of an IMC configuration, for example ``"pcm-r256-adc8-mux4"``.
    weight_bits : int
        Bits a weight [bit].
    sparsity : float
        Share of the inner channels removed, 0 to 1 [1].
    """

    arch: str
    hardware: str
    weight_bits: int = 8
    sparsity: float = 0.0
