"""The cell space of NAS-Bench-201 (Dong and Yang, ICLR 2020) in its CIFAR-10 skeleton.

A cell has four nodes and an operation on each of the six edges ``i -> j`` with ``i < j``; a node is the
sum of its incoming edges. The skeleton is a 3 x 3 stem, three stages of five cells at 16, 32 and 64
channels, a residual block of stride 2 between stages, global average pooling and a linear classifier.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import permutations, product
from types import MappingProxyType

from nasbench_imc.errors import UnknownNameError, unknown
from nasbench_imc.networks import Network, NetworkBuilder
from nasbench_imc.spaces.base import Space

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

#: (source, target) of the six edges in the order in which a code writes them.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

CHANNELS = (16, 32, 64)
SIZES = (32, 16, 8)  # pixels a side of each stage's feature maps
CELLS = 5  # a stage
CLASSES = 10

_VARIABLES = MappingProxyType({f"edge_{i}_{j}": OPERATIONS for i, j in EDGES})
_EXAMPLE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
_PATTERN = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")

Cell = tuple[str, ...]  # one operation an edge, in the order of EDGES


class NB201(Space):
    """The 15,625 cells; a code is a NAS-Bench-201 string such as ``|nor_conv_3x3~0|+|...|``."""

    name = "nb201"

    @property
    def variables(self) -> Mapping[str, tuple[str, ...]]:
        return _VARIABLES

    def from_values(self, values: Mapping[str, str]) -> str:
        cell = []
        for name in self.variables:
            operation = values.get(name)
            if operation not in OPERATIONS:
                raise unknown(f"operation for {name}", operation, OPERATIONS)
            cell.append(str(operation))
        return _write(tuple(cell))

    def values(self, point: str) -> dict[str, str]:
        return dict(zip(self.variables, _read(point), strict=True))

    def canonical_form(self, code: str) -> tuple:
        """See :func:`_canonical_form`."""
        return _canonical_form(_read(code))

    def network(self, code: str) -> Network:
        """The network of a cell; operations on no path from the cell's input to its output are left out.

        The skeleton always stays, also where every cell is cut off: a chip would carry it all the same.
        """
        return _network(_prune(_read(code)))


def _write(cell: Cell) -> str:
    a, b, c, d, e, f = cell
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def _read(code: str) -> Cell:
    if not isinstance(code, str):
        raise UnknownNameError(
            f"unknown nb201 architecture {code!r:.120}; a code is a string such as {_EXAMPLE!r}"
        )
    return _parse(code)


@cache
def _parse(code: str) -> Cell:
    match = _PATTERN.fullmatch(code)
    if not match:
        shown = code if len(code) <= 120 else code[:120] + "..."
        raise UnknownNameError(f"malformed nb201 architecture {shown!r}; expected the form {_EXAMPLE!r}")
    for operation in match.groups():
        if operation not in OPERATIONS:
            raise unknown("nb201 operation", operation, OPERATIONS)
    return match.groups()


def _prune(cell: Cell) -> Cell:
    """The cell with ``none`` on every edge that lies on no path from node 0 to node 3."""
    reached, needed = {0}, {3}
    for operation, (i, j) in zip(cell, EDGES, strict=True):
        if operation != "none" and i in reached:
            reached.add(j)
    # Backwards by target, so that a node is known to be needed before its own inputs are looked at.
    for operation, (i, j) in reversed(list(zip(cell, EDGES, strict=True))):
        if operation != "none" and j in needed:
            needed.add(i)
    return tuple(
        operation if i in reached and j in needed else "none"
        for operation, (i, j) in zip(cell, EDGES, strict=True)
    )


@cache
def _canonical_form(cell: Cell) -> tuple:
    """A form equal for two cells exactly where they are the same graph of operations.

    The cell is pruned, ``skip_connect`` is contracted, and what is left is a graph of operations, each
    reading a sum (a multiset) of the cell's input and other operations. Two cells are the same where
    these graphs are isomorphic: they compute one function with the same layers. That differs from the
    strings by which NAS-Bench-201 finds 6,466 classes in three ways. A zero branch vanishes from its sum
    (there it leaves a mark, so that ``a + 0`` and ``a`` differ). Sums are flat (there ``(a + c) + b`` and
    ``a + (b + c)`` differ, since a skipped sum keeps its place in the text). Two operations of one kind
    on one input stay apart from a single operation that is read twice (there they are merged, although
    they have twice the weights).

    Returns
    -------
    tuple
        ``(operations, output)``: a tuple of ``(operation, inputs)`` and the output's terms, where terms
        are sorted indices of operations, -1 for the cell's input.
    """
    cell = _prune(cell)
    terms: dict[int, list[int]] = {0: [-1], 1: [], 2: [], 3: []}
    operations: list[tuple[str, list[int]]] = []
    for operation, (i, j) in zip(cell, EDGES, strict=True):  # ordered by j: node i is complete
        if operation == "none":
            continue
        if operation == "skip_connect":
            terms[j] = terms[j] + terms[i]
        else:
            operations.append((operation, terms[i]))
            terms[j] = [*terms[j], len(operations) - 1]

    # An operation's signature spells out all that it reads. Ordered by length, then text, an operation
    # stands behind its inputs; only operations with equal signatures can be exchanged.
    signatures: list[str] = []
    for operation, inputs in operations:
        parts = sorted("x" if k < 0 else signatures[k] for k in inputs)
        signatures.append(f"{operation}({'+'.join(parts)})")
    ranked = sorted(set(signatures), key=lambda s: (len(s), s))
    groups = [[k for k, s in enumerate(signatures) if s == signature] for signature in ranked]

    def relabelled(order: list[int]) -> tuple:
        label = {-1: -1} | {k: rank for rank, k in enumerate(order)}
        graph = tuple((operations[k][0], tuple(sorted(label[i] for i in operations[k][1]))) for k in order)
        return graph, tuple(sorted(label[k] for k in terms[3]))

    return min(
        relabelled([k for group in choice for k in group])
        for choice in product(*(permutations(group) for group in groups))
    )


@cache
def _network(cell: Cell) -> Network:
    net = NetworkBuilder()
    x: int | None = net.conv(3, 3, CHANNELS[0], SIZES[0], None)
    for stage, (channels, size) in enumerate(zip(CHANNELS, SIZES, strict=True)):
        if stage:
            x = _reduction(net, CHANNELS[stage - 1], channels, size, x)
        for _ in range(CELLS):
            x = _cell(net, cell, channels, size, x)
    channels, size = CHANNELS[-1], SIZES[-1]
    pooled = net.add("vector", size**2, channels, 1, x, input_elements=channels * size**2)
    net.add("mvm", channels, CLASSES, 1, pooled, input_elements=channels)
    return net.build(3 * SIZES[0] ** 2)


def _cell(net: NetworkBuilder, cell: Cell, channels: int, size: int, x: int | None) -> int | None:
    incoming: dict[int, list[int | None]] = {1: [], 2: [], 3: []}
    node: dict[int, int | None] = {0: x}
    for edge, (operation, (i, j)) in enumerate(zip(cell, EDGES, strict=True)):
        if operation == "skip_connect":
            incoming[j].append(node[i])
        elif operation == "avg_pool_3x3":
            pooled = net.add("vector", 9, channels, size**2, node[i], input_elements=channels * size**2)
            incoming[j].append(pooled)
        elif operation != "none":
            kernel = 3 if operation == "nor_conv_3x3" else 1
            incoming[j].append(net.conv(kernel, channels, channels, size, node[i]))
        if edge + 1 == len(EDGES) or EDGES[edge + 1][1] != j:  # the last edge into node j
            node[j] = net.sum(channels, size, incoming[j])
    return node[3]


def _reduction(net: NetworkBuilder, c_in: int, c_out: int, size: int, x: int | None) -> int | None:
    """The residual block between stages: two 3 x 3 convolutions, and 2 x 2 pooling with 1 x 1 beside."""
    main = net.conv(3, c_out, c_out, size, net.conv(3, c_in, c_out, size, x, stride=2))
    pooled = net.add("vector", 4, c_in, size**2, x, input_elements=c_in * (2 * size) ** 2)
    return net.sum(c_out, size, [main, net.conv(1, c_in, c_out, size, pooled)])
