"""When layers run, and on how many copies of their weights: the pipeline of mapping rule 6."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from nasbench_imc.hardware import mapping
from nasbench_imc.hardware.constants import FloatArray
from nasbench_imc.hardware.mapping import BoolArray, ConfigArrays, LayerArrays
from nasbench_imc.networks import Network

_HALVINGS = 40  # of the interval sought: down to 1e-12 of it
_ALONE, _UNIT, _ATTENTION = (
    0,
    1,
    2,
)  # where a layer runs: arrays of its own, the digital unit, attention arrays


_Producers = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Networks as lists of distinct layers, and what copies of their weights a chip holds.

    Attributes
    ----------
    networks : sequence of Network, length A
    members : sequence of ndarray of int
        Distinct layer of each layer of each network.
    counts : ndarray (A, L)
        How often each distinct layer stands in each network.
    layer : LayerArrays
        The distinct layers.
    latency : ndarray (L, H)
        Time of each with one copy of its weights [ns].
    copied : ndarray of int (R,)
        The configurations that hold copies.
    interval : ndarray (A, R)
        Time that a layer may take there; it has as many copies as that needs [ns].
    """

    networks: Sequence[Network]
    members: Sequence[np.ndarray]
    counts: FloatArray
    layer: LayerArrays
    latency: FloatArray
    copied: np.ndarray
    interval: FloatArray

    def total(self, values: FloatArray) -> FloatArray:
        """Sum of a quantity of the layers' copies over each network; (L, H) -> (A, H)."""
        result = self.counts @ values
        if self.copied.size:
            result[:, self.copied] = _sum_of_copies(
                self.counts, self.layer, self.latency[:, self.copied], values[:, self.copied], self.interval
            )
        return result

    def own(self, a: int, latency: FloatArray) -> FloatArray:
        """Time of each layer of network ``a``, its pixels shared among its copies [ns]; (layers, H).

        Parameters
        ----------
        a : int
        latency : ndarray (L, H)
            Times with one copy [ns].
        """
        indices = self.members[a]
        times = latency[indices]
        if self.copied.size:
            pixels, is_mvm = self.layer.pixels[indices], self.layer.is_mvm[indices]
            product = self.latency[indices][:, self.copied] / pixels
            share = np.ceil(pixels / mapping.copies(pixels, product, self.interval[a]))
            single = times[:, self.copied]
            times[:, self.copied] = np.where(is_mvm, single * share / pixels, single)
        return times


def schedule(
    networks: Sequence[Network],
    members: Sequence[np.ndarray],
    layer: LayerArrays,
    latency: FloatArray,
    arrays: FloatArray,
    hw: ConfigArrays,
) -> Schedule:
    """Decide on copies: as many as make the slowest product layer as fast as the arrays allow.

    Arrays that may hold weights are ``replication`` times those of one copy, and no more than a chip of
    fixed size has. A network that does not fit has no copies.

    Parameters
    ----------
    networks, members, layer, latency
        As in :class:`Schedule`.
    arrays : ndarray (L, H)
        Arrays of one copy of each distinct layer.
    hw : ConfigArrays
    """
    counts = layer_counts(members, latency.shape[0])
    copied = np.flatnonzero(hw.replication > 1)
    interval = np.zeros((len(networks), 0))
    if copied.size:
        one_copy = counts @ arrays[:, copied]
        installed = hw.tiles[copied] * hw.arrays_per_tile[copied]
        capacity = np.fmin(one_copy * hw.replication[copied], installed)
        interval = _shortest_interval(counts, layer, latency[:, copied], arrays[:, copied], capacity)
    return Schedule(networks, members, counts, layer, latency, copied, interval)


def layer_counts(members: Sequence[np.ndarray], distinct: int) -> FloatArray:
    """How often each of ``distinct`` layers stands in each network; (A, L)."""
    counts = np.zeros((len(members), distinct))
    for row, indices in zip(counts, members, strict=True):
        np.add.at(row, indices, 1.0)
    return counts


def _sum_of_copies(
    counts: FloatArray, layer: LayerArrays, latency: FloatArray, values: FloatArray, interval: FloatArray
) -> FloatArray:
    """Sum over layers of count x copies x value; (A, R)."""
    total = np.zeros_like(interval)
    for i in range(counts.shape[1]):
        copies: FloatArray | float = 1.0
        if layer.is_mvm[i, 0]:
            copies = mapping.copies(layer.pixels[i], latency[i] / layer.pixels[i], interval)
        total += counts[:, i, None] * copies * values[i]
    return total


def _shortest_interval(
    counts: FloatArray, layer: LayerArrays, latency: FloatArray, arrays: FloatArray, capacity: FloatArray
) -> FloatArray:
    """The shortest time of the slowest product layer whose copies fit into ``capacity`` arrays; (A, R).

    Fewer nanoseconds never need fewer copies, so that halving finds it; no layer can be faster than one
    product.
    """
    present = (counts > 0)[:, :, None] & layer.is_mvm[None]
    shortest = np.where(present, (latency / layer.pixels)[None], 0.0).max(axis=1)
    longest = np.where(present, latency[None], 0.0).max(axis=1)
    # A network without products has no layer to copy; any positive interval does.
    low, high = np.maximum(shortest, 1e-9), np.maximum(longest, 1e-9)
    fits = _sum_of_copies(counts, layer, latency, arrays, low) <= capacity
    high = np.where(fits, low, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        fits = _sum_of_copies(counts, layer, latency, arrays, middle) <= capacity
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    return high


def critical_paths(plan: Schedule, on_attention_arrays: BoolArray) -> FloatArray:
    """Time of one inference [ns]; (A, H): the longest path through each network's producer graph.

    A layer starts when all its producers have finished. Branches run at once, those with stationary weights
    on arrays of their own; the layers on the chip's one digital unit take turns, and so do those on its
    arrays for attention. First come, first served: in the order in which they would start with nothing to
    wait for, and again in the order in which that had their inputs ready, whichever ends sooner.

    Parameters
    ----------
    plan : Schedule
    on_attention_arrays : ndarray of bool (L, H)
        Where a layer's second operand is written into arrays.
    """
    shared = np.where(plan.layer.is_mvm, _ALONE, np.where(on_attention_arrays, _ATTENTION, _UNIT))
    result = np.zeros((len(plan.networks), plan.latency.shape[1]))
    in_turns = cache(_in_turns)  # cells of a network repeat
    for a, net in enumerate(plan.networks):
        own, where = plan.own(a, plan.latency), shared[plan.members[a]]
        start = _starts(net.producers, own)
        np.max(start + own, axis=0, out=result[a])
        crowded = np.flatnonzero(_collide(start, own, where))
        pieces = _pieces(net.producers) if crowded.size else []
        for h in crowded:
            times, places = own[:, h].tolist(), where[:, h].tolist()
            result[a, h] = sum(
                in_turns(part, tuple(times[first:end]), tuple(places[first:end]))
                for first, end, part in pieces
            )
    return result


def _pieces(producers: Sequence[Sequence[int]]) -> list[tuple[int, int, _Producers]]:
    """Runs of layers, one after the other: each ends at a layer that waits for all before and all wait for.

    Returns
    -------
    list of (int, int, tuple of tuple of int)
        First layer, the one after the last, and the producers within the run, counted from its first layer.
    """
    count = len(producers)
    last_reader = [count] * count  # of outputs of the network: none
    for i, sources in enumerate(producers):
        for j in sources:
            last_reader[j] = i
    earliest = [min(sources, default=-1) for sources in producers]
    for i in range(count - 2, -1, -1):
        earliest[i] = min(earliest[i], earliest[i + 1])
    found, first, needed = [], 0, 0
    for i in range(count):
        if i + 1 == count or (needed <= i and earliest[i + 1] >= i):
            part = tuple(tuple(j - first for j in producers[k] if j >= first) for k in range(first, i + 1))
            found.append((first, i + 1, part))
            first = i + 1
        needed = max(needed, last_reader[i])
    return found


def _starts(producers: Sequence[Sequence[int]], own: FloatArray) -> FloatArray:
    """When each layer starts if none waits for another's place [ns]; (layers, H)."""
    start = np.zeros_like(own)
    for i, sources in enumerate(producers):
        for j in sources:
            np.maximum(start[i], start[j] + own[j], out=start[i])
    return start


def _collide(start: FloatArray, own: FloatArray, where: np.ndarray) -> BoolArray:
    """Where two layers would be in one shared place at once; (H,)."""
    found = np.zeros(start.shape[1], dtype=bool)
    for place in (_UNIT, _ATTENTION):
        here = where == place
        begin = np.where(here, start, np.inf)
        order = np.argsort(begin, axis=0, kind="stable")
        begin = np.take_along_axis(begin, order, axis=0)
        end = begin + np.take_along_axis(own, order, axis=0)
        found |= (begin[1:] < end[:-1]).any(axis=0)
    return found


def _in_turns(producers: _Producers, own: tuple[float, ...], where: tuple[int, ...]) -> float:
    """Time of a run of layers on one configuration that take turns in shared places [ns].

    Parameters
    ----------
    producers : tuple of tuple of int
    own : tuple of float
        Time of each layer [ns].
    where : tuple of int
        Its place.
    """
    wanted = _ready_times(producers, own)
    best = math.inf
    for _ in range(2):
        ready, finish = [0.0] * len(own), [0.0] * len(own)
        free = {_UNIT: 0.0, _ATTENTION: 0.0}
        # No layer wants to start before one that it reads, and of equals the earlier goes first.
        for i in sorted(range(len(own)), key=wanted.__getitem__):
            start = ready[i] = max((finish[j] for j in producers[i]), default=0.0)
            if where[i] == _ALONE:
                finish[i] = start + own[i]
            else:
                finish[i] = free[where[i]] = max(start, free[where[i]]) + own[i]
        best = min(best, max(finish))
        wanted = ready
    return best


def _ready_times(producers: _Producers, own: tuple[float, ...]) -> list[float]:
    """When each layer's inputs are there if none waits for another's place [ns]."""
    ready: list[float] = []
    for sources in producers:
        ready.append(max((ready[j] + own[j] for j in sources), default=0.0))
    return ready


def slowest_stage(plan: Schedule, on_attention_arrays: BoolArray) -> FloatArray:
    """Time between two inferences in a layer pipeline [ns]; (A, H).

    A layer with stationary weights is a stage of its own, max over l of ceil(P_l / d_l) t_MVM,l with d_l
    copies. The layers on the chip's one digital unit share a stage, and so do those on its arrays for
    attention.

    Parameters
    ----------
    plan : Schedule
    on_attention_arrays : ndarray of bool (L, H)
        Where a layer's second operand is written into arrays.
    """
    products = np.where(plan.layer.is_mvm, plan.latency, 0.0)
    on_unit = ~plan.layer.is_mvm & ~on_attention_arrays
    slowest = np.zeros((len(plan.networks), plan.latency.shape[1]))
    for a, row in enumerate(slowest):
        plan.own(a, products).max(axis=0, initial=0.0, out=row)
    for shared in (on_unit, on_attention_arrays):
        slowest = np.maximum(slowest, plan.counts @ np.where(shared, plan.latency, 0.0))
    return slowest
