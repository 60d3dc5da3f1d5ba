"""A torch module as a layer list: run once on tensors without data, and write down what happened.

Every operation that reaches torch's dispatcher is seen, whatever module or function called it: convolutions
and products with parameters become layers with stationary weights, products of two activations (attention,
also through ``scaled_dot_product_attention`` and ``MultiheadAttention``) layers without, pooling and sums of
activations element-wise layers. Everything else passes its inputs on: normalisation, activation functions and
softmax are post-processing of the layer before; look-ups of embeddings are inputs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from nasbench_imc.errors import LayerListError
from nasbench_imc.hardware.layer_lists import LayerList
from nasbench_imc.networks import Kind, Layer, Network

aten = torch.ops.aten


def layers_from_torch(
    module: nn.Module, input_shape: Sequence[int], *, input_dtype: torch.dtype = torch.float32
) -> LayerList:
    """The layers of a module, for one input (batch 1).

    The module is copied without its parameters' data (device ``meta``) and called once in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
        Takes one tensor.
    input_shape : sequence of int
        Shape of one input, without the batch, for example ``(3, 224, 224)``.
    input_dtype : torch.dtype
        ``torch.int64`` for a module that takes tokens.

    Returns
    -------
    LayerList
        Layers are named after the submodule that they run in.

    Raises
    ------
    LayerListError
        If the module holds an operation that has no layer (transposed or three-dimensional convolutions,
        recurrent cells), or cannot run without data.
    """
    if any(not isinstance(n, int) or n < 1 for n in input_shape):
        raise LayerListError(f"input_shape must be positive integers, not {tuple(input_shape)!r}")
    silent = copy.deepcopy(module).to("meta").eval()  # a copy: hooks are left in it
    image = torch.empty(1, *input_shape, dtype=input_dtype, device="meta")
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operation would hide the products inside
    try:
        with torch.no_grad(), _Recorder(silent, image) as recorder:
            silent(image)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise LayerListError(f"the module does not run on an input without data: {error}") from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return recorder.layers(image.numel())


class _Recorder(TorchDispatchMode):
    """Writes down layers. A tensor's producers are known by its storage, which its views share."""

    def __init__(self, module: nn.Module, image: Tensor) -> None:
        super().__init__()
        self._names: list[str] = []
        self._layers: list[Layer] = []
        self._producers: list[tuple[int, ...]] = []
        self._sources: dict[int, tuple[int, ...]] = {_key(image): ()}
        self._kept: list[Any] = [image.untyped_storage()]  # a freed storage's address would be used again
        held = [*module.parameters(), *module.buffers()]
        self._stationary = {_key(tensor) for tensor in held}
        self._where: list[str] = [""]
        for name, child in module.named_modules():
            child.register_forward_pre_hook(self._enter(name))
            child.register_forward_hook(self._leave, always_call=True)

    def _enter(self, name: str) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            self._where.append(name)

        return enter

    def _leave(self, *_: Any) -> None:
        self._where.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        operation = func.overloadpacket
        if operation in _REFUSED:
            raise LayerListError(f"{self._where[-1] or 'the module'}: {operation} has no layer")
        inputs = [x for x in tree_flatten((args, kwargs or {}))[0] if isinstance(x, Tensor)]
        outputs = [x for x in tree_flatten(result)[0] if isinstance(x, Tensor)]
        made = _LAYERS[operation](self, args, outputs[0]) if operation in _LAYERS and outputs else None
        sources = self._merged(inputs)
        if made is not None:
            sources = (self._append(made, sources),)
        moving = any(self.moves(x) for x in inputs)
        for tensor in outputs:
            key = _key(tensor)
            self._kept.append(tensor.untyped_storage())
            if key in self._stationary:
                continue  # a view of weights
            if moving or made is not None:
                self._sources[key] = sources
            elif inputs and all(_key(x) in self._stationary for x in inputs):
                self._stationary.add(key)  # computed from weights alone
        return result

    def moves(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on the module's input."""
        return _key(tensor) in self._sources

    def stationary(self, tensor: Tensor) -> bool:
        """Whether a tensor is made of weights alone."""
        return _key(tensor) in self._stationary

    def _merged(self, tensors: Sequence[Tensor]) -> tuple[int, ...]:
        found = (source for tensor in tensors for source in self._sources.get(_key(tensor), ()))
        return tuple(sorted(set(found)))

    def _append(self, layer: Layer, sources: tuple[int, ...]) -> int:
        base = (self._where[-1] or layer.kind).replace(";", "_")
        name, k = base, 1
        while name in self._names:
            k += 1
            name = f"{base}:{k}"
        self._names.append(name)
        self._layers.append(layer)
        self._producers.append(sources)
        return len(self._layers) - 1

    def layers(self, input_elements: int) -> LayerList:
        """What was written down.

        Raises
        ------
        LayerListError
            If it was nothing.
        """
        if not self._layers:
            raise LayerListError("the module holds no convolution, linear layer, product or pooling")
        return LayerList(
            tuple(self._names), Network(tuple(self._layers), tuple(self._producers), input_elements)
        )


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _convolution(recorder: _Recorder, args: Sequence[Any], out: Tensor) -> Layer | None:
    image, weight, transposed, groups = args[0], args[1], args[6], args[8]
    if transposed or weight.dim() > 4:
        raise LayerListError("transposed and three-dimensional convolutions have no layer")
    pixels = out.numel() // out.shape[1]
    return _layer("mvm", math.prod(weight.shape[1:]), weight.shape[0], pixels, image.numel(), groups)


def _product(recorder: _Recorder, left: Tensor, right: Tensor) -> Layer | None:
    """left (..., P, K) x right (..., K, N); a stationary operand may stand on either side."""
    batch = math.prod(left.shape[:-2])
    if recorder.stationary(left) and recorder.stationary(right):
        return None
    if recorder.stationary(right) and batch == 1:
        return _layer("mvm", left.shape[-1], right.shape[-1], left.shape[-2], left.numel())
    if recorder.stationary(left) and batch == 1:
        return _layer("mvm", left.shape[-1], left.shape[-2], right.shape[-1], right.numel())
    inputs = sum(x.numel() for x in (left, right) if recorder.moves(x))
    return _layer("matmul", left.shape[-1], right.shape[-1] * batch, left.shape[-2], inputs, batch)


def _mm(recorder: _Recorder, args: Sequence[Any], out: Tensor) -> Layer | None:
    return _product(recorder, args[0], args[1])


def _addmm(recorder: _Recorder, args: Sequence[Any], out: Tensor) -> Layer | None:
    return _product(recorder, args[1], args[2])


def _pool(recorder: _Recorder, args: Sequence[Any], out: Tensor) -> Layer | None:
    window = math.prod(args[1]) if len(args[1]) > 1 else args[1][0] ** 2
    return _layer("vector", window, out.shape[1], out.numel() // out.shape[1], args[0].numel())


def _reduction(recorder: _Recorder, args: Sequence[Any], out: Tensor) -> Layer | None:
    """Adaptive pooling, and means and sums over an axis: one operation for each element read."""
    if not recorder.moves(args[0]) or args[0].numel() == out.numel():
        return None
    channels = out.shape[1] if out.dim() > 1 else 1
    return _layer(
        "vector", args[0].numel() // out.numel(), channels, out.numel() // channels, args[0].numel()
    )


def _element_wise(recorder: _Recorder, args: Sequence[Any], out: Tensor) -> Layer | None:
    """A sum or product of activations of one shape; with weights or numbers it is post-processing."""
    operands = [x for x in args[:2] if isinstance(x, Tensor) and recorder.moves(x)]
    if len(operands) < 2 or out.dim() < 2:
        return None
    # Channels come first in maps (N, C, H, W) and last in tokens (N, T, C).
    channels = out.shape[1] if out.dim() == 4 else out.shape[-1]
    return _layer("vector", 1, channels, out.numel() // channels, sum(x.numel() for x in operands))


def _layer(kind: Kind, fan_in: int, outputs: int, pixels: int, input_elements: int, groups: int = 1) -> Layer:
    return Layer(kind, int(fan_in), int(outputs), int(pixels), int(groups), int(input_elements))


_LAYERS: Mapping[Any, Callable[[_Recorder, Sequence[Any], Tensor], Layer | None]] = {
    aten.convolution: _convolution,
    aten.mm: _mm,
    aten.bmm: _mm,
    aten.addmm: _addmm,
    aten.max_pool2d_with_indices: _pool,
    aten.avg_pool2d: _pool,
    aten._adaptive_avg_pool2d: _reduction,
    aten.mean: _reduction,
    aten.sum: _reduction,
    aten.add: _element_wise,
    aten.add_: _element_wise,
    aten.mul: _element_wise,
    aten.mul_: _element_wise,
}
_REFUSED = frozenset(
    getattr(aten, name)
    for name in ("_native_multi_head_attention", "lstm", "gru", "rnn_tanh", "rnn_relu", "baddbmm", "addbmm")
)
