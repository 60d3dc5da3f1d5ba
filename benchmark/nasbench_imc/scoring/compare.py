"""Methods compared within a task, run by run: paired differences, tests and verdicts.

A run is paired with the other method's run of the same seed, since both saw the same search labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from nasbench_imc.scoring import bootstrap
from nasbench_imc.scoring.ratings import ALPHA

Verdict = Literal["better", "worse", "tie", "untested"]

#: Pairs below which no two-sided signed-rank test can reach p < 0.05: with five, the least p is 2 / 2**5.
MIN_PAIRS = 6


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods on one task.

    Attributes
    ----------
    first, second : str
        Methods.
    pairs : int
        Seeds that both ran.
    difference, low, high : float
        Mean of the first's score minus the second's over these seeds, below 0 where the first is better,
        with a 95 % percentile-bootstrap interval. NaN without a pair.
    p, p_holm : float or None
        Wilcoxon's signed-rank test, two-sided, and the same corrected by Holm over the task's tested pairs
        of methods. None where fewer than :data:`MIN_PAIRS` pairs make a test impossible.
    floor : float
        The task's noise floor in units of score.
    verdict : {"better", "worse", "tie", "untested"}
        Of the first method. ``tie``: the difference is not significant at 5 %, smaller than the floor, or of
        another sign than the sum of signed ranks, which is what the test is of: a method that is slightly
        better in most runs and far worse in a few is neither better nor worse.
    """

    first: str
    second: str
    pairs: int
    difference: float
    low: float
    high: float
    p: float | None
    p_holm: float | None
    floor: float
    verdict: Verdict


def noise_floor(noise: float, random_regret: Sequence[float]) -> float:
    """A task's noise floor, which is a regret, as a difference of scores.

    A score is the mean regret over the checkpoints, divided by that of random search. So a difference of
    scores lies under this floor where the mean regrets over the checkpoints differ by less than ``noise``.

    Parameters
    ----------
    noise : float
        The frozen noise floor, in the unit of the task's regret.
    random_regret : sequence of float
        Expected regret of random search at each checkpoint, in the same unit.
    """
    return noise / float(np.mean(random_regret))


def compare(scores: Mapping[str, Mapping[int, float]], floor: float) -> list[Comparison]:
    """All pairs of methods on one task.

    Parameters
    ----------
    scores : mapping of str to mapping of int to float
        Method -> seed -> score.
    floor : float
        From :func:`noise_floor`.

    Returns
    -------
    list of Comparison
        In the order of the methods; each pair once.
    """
    pairs = list(combinations(scores, 2))
    differences = [_paired(scores[first], scores[second]) for first, second in pairs]
    p_values = [signed_rank(d) for d in differences]
    tested = [k for k, p in enumerate(p_values) if p is not None]
    corrected = dict(zip(tested, holm([p for p in p_values if p is not None]), strict=True))
    result = []
    for k, ((first, second), d) in enumerate(zip(pairs, differences, strict=True)):
        mean, low, high = math.nan, math.nan, math.nan
        if len(d):
            mean = float(d.mean())
            low, high = bootstrap.mean_interval(d)
        p_holm = corrected.get(k)
        verdict = _verdict(d, p_holm, floor)
        result.append(Comparison(first, second, len(d), mean, low, high, p_values[k], p_holm, floor, verdict))
    return result


def _paired(first: Mapping[int, float], second: Mapping[int, float]) -> np.ndarray:
    """Differences over common seeds; rounded, so that what differs by rounding alone is equal."""
    seeds = sorted(first.keys() & second.keys())
    return np.round([first[seed] - second[seed] for seed in seeds], 12)


def _verdict(differences: np.ndarray, p_holm: float | None, floor: float) -> Verdict:
    if p_holm is None:
        return "untested"
    mean = float(differences.mean())
    positive, negative = _rank_sums(differences)
    if p_holm > ALPHA or abs(mean) < floor or mean * (positive - negative) <= 0:
        return "tie"
    return "better" if mean < 0 else "worse"


def _rank_sums(differences: np.ndarray) -> tuple[int, int]:
    """Sums of the ranks, doubled, of differences above and below 0."""
    doubled = _doubled_ranks(differences)
    return int(doubled[differences > 0].sum()), int(doubled[differences < 0].sum())


def _doubled_ranks(differences: np.ndarray) -> np.ndarray:
    """Ranks of the differences' sizes, twice, so that shared ranks are whole numbers."""
    return (2 * rankdata(np.abs(differences))).astype(np.int64)


def signed_rank(differences: np.ndarray) -> float | None:
    """p-value of Wilcoxon's signed-rank test, two-sided; None below :data:`MIN_PAIRS` differences.

    It is exact, also where differences are equal or 0, which scipy's is not for more than 13 pairs: of all
    ways to sign the ranks, the share whose sum of positive ranks is as far out. Equal differences share
    the mean of their ranks; those of 0 are ranked with the rest, but have no sign (Pratt, 1959), so that
    two methods that agree in nearly all runs hardly differ.
    """
    if len(differences) < MIN_PAIRS:
        return None
    positive, negative = _rank_sums(differences)
    total = positive + negative
    chance = np.zeros(total + 1)  # of each sum of positive ranks
    chance[0] = 1
    for rank in _doubled_ranks(differences)[differences != 0]:
        chance[rank:] += chance[: total + 1 - rank].copy()
        chance /= 2
    return min(1.0, 2 * float(chance[: min(positive, negative) + 1].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm's step-down method (1979), in the order given."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected.tolist()


def least_pairs(tests: int) -> int:
    """Seeds below which no difference can be significant among so many tests corrected by Holm.

    The least p-value of n pairs is 2 / 2**n, and the first of m tests must reach 0.05 / m.
    """
    return math.ceil(math.log2(2 * max(tests, 1) / ALPHA))


def shared_ranks(methods: Sequence[str], comparisons: Sequence[Comparison]) -> dict[str, int]:
    """A rank on one task that ties share: 1 and the number of methods that are better by verdict.

    Ties by verdict need not be transitive, so a method may share a rank with two that differ.
    """
    behind = dict.fromkeys(methods, 1)
    for made in comparisons:
        if made.verdict == "worse":
            behind[made.first] += 1
        elif made.verdict == "better":
            behind[made.second] += 1
    return behind
