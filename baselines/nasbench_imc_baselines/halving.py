"""What the multi-fidelity searchers share: rungs of fidelities, which designs are best, which are new."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice

import moocore
import numpy as np

from nasbench_imc import Design, Observation, Session, Task
from nasbench_imc_baselines.common import draw, logged


class Ladder:
    """Fidelities as rungs, each about ``eta`` times as dear as the one below.

    What a label takes is known only once it is asked for, so one random design climbs through all
    fidelities first. It pays each second once, so that this takes no more than its full label, and it shows
    all prices: networks differ much in the time that they take, but little in the share of it that an epoch
    or a noise draw has. Its labels are compared with no others. The first label of a run pays for the
    super-network as well; it is another design's, at the lowest fidelity, so that no price holds that.
    Without fidelities there is one rung, and nothing to ask first.

    Where nothing is recommended the highest fidelity asked for counts, and that would be the design that
    showed the prices; so whenever a better one is found at the highest rung that others have reached, that
    one is recommended, and with several objectives the best few.

    Parameters
    ----------
    session : Session
    eta : int
        One in so many designs climbs on, to a label that takes about so many times as long.
    rng : numpy.random.Generator
        Draws the two designs that are asked for first.

    Attributes
    ----------
    levels : list of str or None
        Fidelity of each rung, cheapest first; None where the task has one alone.
    prices : numpy.ndarray, shape (rungs,)
        Of each rung's label from scratch, as that design shows it [unit of the budget].
    top : int
        The highest rung: the full label.
    """

    def __init__(self, session: Session, eta: int, rng: np.random.Generator) -> None:
        self._session, self._eta = session, eta
        levels: tuple[str | None, ...] = session.task.fidelities
        prices = np.ones(1)
        if levels:
            payer, first = islice(new_designs(session, rng), 2)
            session.query(payer, levels[0])
            prices = np.cumsum([session.query(first, level).cost_charged for level in levels])
        rungs = spaced(prices.tolist(), eta)
        self.levels = [levels[k] if levels else None for k in rungs]
        self.prices = prices[rungs]
        self.top = len(rungs) - 1
        self._highest = 0
        self._standing: list[Observation] = []

    def query(self, design: Design, rung: int) -> Observation:
        """A design's label at a rung; what it has paid on lower rungs it does not pay again."""
        seen = self._session.query(design, self.levels[rung])
        if self.top and rung >= self._highest:
            self._recommend(seen, rung)
        return seen

    def plan(self, lowest: int) -> np.ndarray:
        """What successive halving from a rung on takes at each rung, for each design that enters.

        Returns
        -------
        numpy.ndarray, shape (top + 1 - lowest,)
            One in ``eta`` climbs on, and pays what the next label takes beyond the last [unit of the
            budget].
        """
        rises = np.diff(self.prices[lowest:], prepend=0.0)
        return rises / float(self._eta) ** np.arange(len(rises))

    def _recommend(self, seen: Observation, rung: int) -> None:
        if rung > self._highest:
            self._highest, self._standing = rung, []
        if any(seen.design == other.design for other in self._standing):
            return
        task = self._session.task
        best = best_first(task, [*self._standing, seen], task.max_recommended)
        if best != self._standing:
            self._standing = best
            self._session.recommend([each.design for each in best])


def spaced(prices: list[float], eta: int) -> list[int]:
    """Positions of the prices nearest to each power of ``1 / eta`` of the last, and of the last.

    By ratio; a power that has none within half a step is passed over.

    Parameters
    ----------
    prices : list of float
        Rising. Those of 0 are left out: a label that takes nothing is no rung of a ladder of prices.
    eta : int
    """
    depth = {k: math.log(prices[-1] / price, eta) for k, price in enumerate(prices[:-1]) if price > 0}
    nearest: dict[int, int] = {}
    for k in sorted(depth, key=lambda k: abs(depth[k] - round(depth[k]))):
        nearest.setdefault(round(depth[k]), k)
    return [*sorted(k for step, k in nearest.items() if step), len(prices) - 1]


def best_first(task: Task, seen: Iterable[Observation], count: int) -> list[Observation]:
    """The best of some observations, in order; feasible ones come first.

    With several objectives: front by front of the non-dominated sorting, each in the order of its
    epsilon-net, so that a share of a front is spread along it (Schmucker et al., 2021).

    Parameters
    ----------
    task : Task
    seen : iterable of Observation
        Labels of one fidelity.
    count : int
        How many.
    """
    seen = list(seen)
    if not seen or not count:
        return []
    infeasible = np.array([not each.feasible for each in seen])
    if len(task.objectives) == 1:
        order = np.lexsort((np.array([each.objectives[0] for each in seen]), infeasible))[:count]
        return [seen[k] for k in order]
    points = np.array([logged(task, each) for each in seen])
    points = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-12)
    front = moocore.pareto_rank(points) + len(points) * infeasible
    chosen: list[int] = []
    for rank in np.unique(front):
        if len(chosen) == count:
            break
        members = np.flatnonzero(front == rank)
        chosen += members[epsilon_net(points[members], count - len(chosen))].tolist()
    return [seen[k] for k in chosen]


def epsilon_net(points: np.ndarray, count: int) -> list[int]:
    """Up to ``count`` points, each the one farthest from those before; first the least in the first axis.

    Any beginning of the list is a net: all points lie within the distance of the next one chosen from it.

    Parameters
    ----------
    points : numpy.ndarray, shape (n, m)
        On axes of one scale.
    count : int
    """
    order = [int(np.argmin(points[:, 0]))]
    distance = np.full(len(points), np.inf)
    while len(order) < min(count, len(points)):
        distance = np.minimum(distance, np.linalg.norm(points - points[order[-1]], axis=1))
        distance[order[-1]] = -1.0  # equal points have a distance of 0, and are taken once each
        order.append(int(np.argmax(distance)))
    return order


def new_designs(session: Session, rng: np.random.Generator) -> Iterator[Design]:
    """Uniform draws of designs that keep the limits, without repeats, for as long as there are any."""
    drawn: set[Design] = set()
    while len(drawn) < len(session.task.domain):
        design = draw(session, rng)
        if design not in drawn:
            drawn.add(design)
            yield design
