"""When layers run, and on how many copies of their weights: the pipeline of mapping rule 6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_imc.hardware import mapping
from nasbench_imc.hardware.constants import FloatArray
from nasbench_imc.hardware.mapping import BoolArray, ConfigArrays, LayerArrays
from nasbench_imc.networks import Network

_HALVINGS = 40  # of the interval sought: down to 1e-12 of it


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


def critical_paths(plan: Schedule) -> FloatArray:
    """Longest path through each network's producer graph [ns]; (A, H).

    A layer starts when all its producers have finished; branches run at once, on arrays of their own.
    """
    result = np.zeros((len(plan.networks), plan.latency.shape[1]))
    for a, net in enumerate(plan.networks):
        finish: list[FloatArray] = []
        for sources, own in zip(net.producers, plan.own(a, plan.latency), strict=True):
            if not sources:
                finish.append(own)
            elif len(sources) == 1:
                finish.append(finish[sources[0]] + own)
            else:
                start = finish[sources[0]]
                for j in sources[1:]:
                    start = np.maximum(start, finish[j])
                finish.append(start + own)
        # A maximum over all layers equals one over the last ones, since no latency is negative.
        np.max(finish, axis=0, out=result[a])
    return result


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
