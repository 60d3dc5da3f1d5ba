"""Networks as the cost model sees them: layers with shapes, and who feeds whom.

A search space turns an architecture into a :class:`Network`; the cost model reads nothing else,
so every space is costed by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["mvm", "matmul", "vector"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's shape, without a name: equal shapes are equal layers and are costed once.

    Attributes
    ----------
    kind : {"mvm", "matmul", "vector"}
        ``mvm``: matrix-vector products with stationary weights (convolution, linear), which live in
        crossbars. ``matmul``: products of two activations (the Q K^T and A V of attention), which have
        no stationary operand. ``vector``: element-wise work on the digital unit (pooling, addition).
    fan_in : int
        Rows needed by one output, K: input channels of a group times the kernel's area. For
        ``vector``: digital operations for one output element.
    outputs : int
        Output channels, N, over all groups.
    pixels : int
        Output pixels or tokens, P.
    groups : int
        Groups of a convolution, or heads of a matmul; depthwise: ``groups == outputs``.
    input_elements : int
        Activations in the layer's input tensors [elements].
    """

    kind: Kind
    fan_in: int
    outputs: int
    pixels: int
    groups: int
    input_elements: int

    def __post_init__(self) -> None:
        if self.kind not in ("mvm", "matmul", "vector"):
            raise ValueError(f"unknown layer kind {self.kind!r}; valid: 'mvm', 'matmul', 'vector'")
        for field in ("fan_in", "outputs", "pixels", "groups", "input_elements"):
            if getattr(self, field) < 1:
                raise ValueError(f"Layer.{field} must be at least 1, not {getattr(self, field)}")
        if self.outputs % self.groups:
            raise ValueError(f"Layer.outputs ({self.outputs}) must be a multiple of groups ({self.groups})")

    @property
    def output_elements(self) -> int:
        """Activations in the output tensor [elements]."""
        return self.outputs * self.pixels

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference [MAC]; 1 MAC = 2 operations. 0 for ``vector``."""
        return 0 if self.kind == "vector" else self.fan_in * self.outputs * self.pixels

    @property
    def weights(self) -> int:
        """Stationary weights [elements], without biases. 0 unless ``mvm``."""
        return self.fan_in * self.outputs if self.kind == "mvm" else 0


@dataclass(frozen=True, slots=True)
class Network:
    """Layers in an order in which they can run, and the producers of each one's inputs.

    Attributes
    ----------
    layers : tuple of Layer
    producers : tuple of tuple of int
        ``producers[i]``: indices (below ``i``) of the layers whose outputs layer ``i`` reads; empty
        where it reads the network's input or a constant.
    input_elements : int
        Elements of the network's input, 8 bits each, for example 3 x 32 x 32.
    """

    layers: tuple[Layer, ...]
    producers: tuple[tuple[int, ...], ...]
    input_elements: int

    def __post_init__(self) -> None:
        if len(self.layers) != len(self.producers):
            raise ValueError(f"{len(self.layers)} layers but {len(self.producers)} lists of producers")
        for i, sources in enumerate(self.producers):
            if any(not 0 <= j < i for j in sources):
                raise ValueError(f"layer {i} reads {sources}; producers must stand before it")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference [MAC]."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        """Stationary weights [elements], without biases."""
        return sum(layer.weights for layer in self.layers)


class NetworkBuilder:
    """Collects the layers of a network. A tensor is the index of the layer that makes it.

    None stands for a tensor that no layer makes: the network's input, or a constant.
    """

    def __init__(self) -> None:
        self._layers: list[Layer] = []
        self._producers: list[tuple[int, ...]] = []

    def add(
        self,
        kind: Kind,
        fan_in: int,
        outputs: int,
        pixels: int,
        *sources: int | None,
        input_elements: int,
        groups: int = 1,
    ) -> int:
        """Append a layer; see :class:`Layer`."""
        self._layers.append(Layer(kind, fan_in, outputs, pixels, groups, input_elements))
        self._producers.append(tuple(source for source in sources if source is not None))
        return len(self._layers) - 1

    def conv(
        self,
        kernel: int,
        c_in: int,
        c_out: int,
        size: int,
        source: int | None,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> int:
        """Append a convolution; ``size`` is the side of its output [pixels]."""
        fan_in = kernel**2 * c_in // groups
        read = c_in * (size * stride) ** 2
        return self.add("mvm", fan_in, c_out, size**2, source, input_elements=read, groups=groups)

    def sum(self, channels: int, size: int, sources: Sequence[int | None]) -> int | None:
        """Append the sum of tensors of one shape; one passes through, none gives a constant zero."""
        if len(sources) < 2:
            return sources[0] if sources else None
        elements = channels * size**2
        return self.add(
            "vector", len(sources) - 1, channels, size**2, *sources, input_elements=len(sources) * elements
        )

    def build(self, input_elements: int) -> Network:
        """The network, whose input has so many elements."""
        return Network(tuple(self._layers), tuple(self._producers), input_elements)
