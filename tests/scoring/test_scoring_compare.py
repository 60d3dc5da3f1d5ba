"""Comparisons within a task, against scipy, statsmodels and values worked out by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import PermutationMethod, rankdata, wilcoxon

from nasbench_imc.scoring.compare import (
    MIN_PAIRS,
    Comparison,
    compare,
    holm,
    least_pairs,
    noise_floor,
    shared_ranks,
    signed_rank,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
SCORES = st.lists(st.floats(0, 3).map(lambda x: round(x, 3)), min_size=6, max_size=14)


def seeds(values: object) -> dict[int, float]:
    return {k: float(value) for k, value in enumerate(np.asarray(values))}


def test_signed_rank_by_hand() -> None:
    """All of six differences have one sign: two of 2**6 sign patterns are as extreme."""
    assert signed_rank(np.array([1.0, 2, 3, 4, 5, 6])) == pytest.approx(2 / 64)
    # Ranks 1 to 6, of which 2 is negative: sums 2 and 19; W <= 2 has 3 patterns (none, 1, 2) a side.
    assert signed_rank(np.array([1.0, -2, 3, 4, 5, 6])) == pytest.approx(6 / 64)
    assert signed_rank(np.zeros(9)) == 1.0
    assert signed_rank(np.arange(1.0, MIN_PAIRS)) is None


@pytest.mark.parametrize("size", [6, 13, 30, 50])
def test_signed_rank_is_scipys(size: int) -> None:
    for shift in (0, 0.3):
        d = np.random.default_rng(size).normal(shift, 1, size)
        assert signed_rank(d) == pytest.approx(wilcoxon(d, method="exact").pvalue, rel=1e-9)


@pytest.mark.parametrize(
    "d", [[1, 1, 2, -2, 3, 4, 5], [0, 0, 1, 2, 3, -1, 4, 6], [0, 0, 0, 0, 0, 1, -1, -1, -1]]
)
def test_signed_rank_with_equal_differences_is_scipys_permutation_test(d: list[float]) -> None:
    theirs = wilcoxon(d, zero_method="zsplit", method=PermutationMethod(n_resamples=np.inf)).pvalue
    assert signed_rank(np.array(d, dtype=float)) == pytest.approx(theirs, rel=1e-9)


def test_signed_rank_of_many_equal_differences_is_near_the_normal_approximation() -> None:
    d = np.random.default_rng(1).integers(-3, 5, 60).astype(float)
    theirs = wilcoxon(d, zero_method="zsplit", method="asymptotic").pvalue
    assert signed_rank(d) == pytest.approx(theirs, rel=0.05)


@given(st.lists(st.integers(-3, 3), min_size=6, max_size=9))
def test_signed_rank_counts_all_signs(drawn: list[int]) -> None:
    """Against the definition: every way to sign the ranks, those of zeros split evenly."""
    d = np.array(drawn, dtype=float)
    placed = rankdata(np.abs(d))[d != 0]
    sums = np.array([np.dot(signs, placed) for signs in product((-1, 1), repeat=len(placed))])
    expected = np.mean(np.abs(sums) >= abs(np.dot(np.sign(d[d != 0]), placed)))
    assert signed_rank(d) == pytest.approx(expected)


def test_methods_that_agree_in_nearly_all_runs_hardly_differ() -> None:
    """The few runs in which they differ are all that has a sign."""
    assert signed_rank(np.r_[np.zeros(25), np.arange(1.0, 6)]) == pytest.approx(2 / 2**5)
    assert signed_rank(np.r_[np.zeros(29), 1.0]) == 1


def test_holm_by_hand() -> None:
    # Holm (1979): 3 p1, 2 p2, p3, each at least the one before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


@given(P_VALUES)
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    theirs = multitest.multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values), theirs, atol=1e-12)


@given(SCORES, SCORES, st.floats(0, 0.5))
def test_the_other_way_round_is_the_mirror_image(a: list[float], b: list[float], floor: float) -> None:
    first, second = dict(enumerate(a)), dict(enumerate(b))
    (one,) = compare({"a": first, "b": second}, floor)
    (other,) = compare({"b": second, "a": first}, floor)
    assert one.pairs == min(len(a), len(b))
    assert other.difference == -one.difference
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=1e-12)
    assert other.p == pytest.approx(one.p, rel=1e-9)
    mirror = {"better": "worse", "worse": "better", "tie": "tie"}
    assert other.verdict == mirror[one.verdict]


@given(st.permutations(range(12)))
def test_order_of_the_seeds_does_not_matter(order: list[int]) -> None:
    rng = np.random.default_rng(0)
    a, b = seeds(rng.normal(size=12)), seeds(rng.normal(size=12))
    assert compare({"a": {k: a[k] for k in order}, "b": b}, 0.1) == compare({"a": a, "b": b}, 0.1)


def test_pairs_are_of_common_seeds() -> None:
    a = {seed: 0.1 * seed for seed in range(20)}
    b = {seed: 0.1 * seed + 0.5 + 0.001 * seed for seed in range(8, 30)}
    (made,) = compare({"a": a, "b": b}, 0.0)
    assert made.pairs == 12
    assert made.difference == pytest.approx(-0.5 - 0.001 * np.mean(range(8, 20)))
    assert made.low <= made.difference <= made.high < 0
    assert made.p == pytest.approx(2 / 2**12)
    assert made.verdict == "better"


def test_paired_differences_see_what_seeds_share() -> None:
    shared = 5 * np.random.default_rng(0).normal(size=20)
    own = np.random.default_rng(1).normal(0.3, 0.1, 20)
    (made,) = compare({"a": seeds(shared), "b": seeds(shared + own)}, 0.0)
    assert made.high - made.low < 0.15  # unpaired it would be about 6
    assert made.verdict == "better"


def test_a_difference_under_the_noise_floor_is_a_tie() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=30)
    scores = {"a": seeds(a), "b": seeds(a + rng.uniform(0.1, 0.2, 30))}
    (seen,), (hidden,) = compare(scores, 0.05), compare(scores, 0.25)
    assert seen.p_holm == hidden.p_holm < 1e-6
    assert (seen.verdict, hidden.verdict) == ("better", "tie")


def test_better_in_most_runs_but_worse_on_average_is_a_tie() -> None:
    """The test is of ranks: it tells that most runs are better, not that the mean is."""
    d = np.r_[np.full(28, -0.01), 3.0, 3.0]
    (one,) = compare({"a": seeds(d), "b": seeds(0 * d)}, 0.0)
    (other,) = compare({"a": seeds(-d), "b": seeds(0 * d)}, 0.0)
    assert one.p_holm == other.p_holm
    assert one.p_holm is not None
    assert one.p_holm < 1e-4
    assert one.difference == -other.difference == pytest.approx(0.19, abs=0.01)
    assert one.verdict == other.verdict == "tie"
    (agreeing,) = compare({"a": seeds(np.abs(d)), "b": seeds(0 * d)}, 0.0)
    assert agreeing.verdict == "worse"


def test_noise_floor_is_in_units_of_score() -> None:
    """Scores differ by the floor just where mean regrets over the checkpoints differ by the noise."""
    random = (3.0, 2.0, 1.0)
    regrets = np.array([[2.0, 1.5, 0.7], [1.6, 1.1, 0.3]])  # 0.4 apart
    scores = regrets.sum(axis=1) / np.sum(random)
    assert scores[0] - scores[1] == pytest.approx(noise_floor(0.4, random))


def test_too_few_seeds_are_no_test() -> None:
    scores = {name: seeds(np.arange(5.0) + k) for k, name in enumerate("ab")}
    (made,) = compare(scores, 0.0)
    assert (made.pairs, made.p, made.p_holm, made.verdict) == (5, None, None, "untested")
    assert made.difference == -1
    (apart,) = compare({"a": {0: 1.0}, "b": {1: 2.0}}, 0.0)
    assert (apart.pairs, apart.verdict) == (0, "untested")
    assert np.isnan([apart.difference, apart.low, apart.high]).all()


def test_untested_pairs_do_not_count_for_holm() -> None:
    rng = np.random.default_rng(2)
    full = {name: seeds(rng.normal(k, 0.1, 10)) for k, name in enumerate("ab")}
    (alone,) = compare(full, 0.0)
    beside = compare({**full, "c": {0: 0.0}}, 0.0)
    assert beside[0] == alone
    assert [made.verdict for made in beside[1:]] == ["untested"] * 2


def test_correction_depends_on_the_number_of_pairs() -> None:
    rng = np.random.default_rng(2)
    scores = {name: seeds(rng.normal(0.5 * k, 0.5, 20)) for k, name in enumerate("abcd")}
    made = compare(scores, 0.0)
    assert [(m.first, m.second) for m in made] == [
        tuple(pair) for pair in ("ab", "ac", "ad", "bc", "bd", "cd")
    ]
    assert [m.p_holm for m in made] == pytest.approx(holm([m.p for m in made if m.p is not None]))
    for m in made:
        d = [scores[m.first][k] - scores[m.second][k] for k in range(20)]
        assert m.p == pytest.approx(wilcoxon(d).pvalue, rel=1e-6)


@pytest.mark.parametrize(("tests", "pairs"), [(1, 6), (3, 7), (10, 9), (66, 12)])
def test_least_pairs(tests: int, pairs: int) -> None:
    assert least_pairs(tests) == pairs
    assert tests * 2 / 2**pairs <= 0.05 < tests * 2 / 2 ** (pairs - 1)


def comparison(first: str, second: str, verdict: str) -> Comparison:
    return Comparison(first, second, 30, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, verdict)  # type: ignore[arg-type]


def test_ties_share_a_rank() -> None:
    # a ties b, b ties c, but a is better than c; d is worse than all.
    made = [
        comparison("a", "b", "tie"),
        comparison("a", "c", "better"),
        comparison("b", "c", "tie"),
        *(comparison("d", name, "worse") for name in "abc"),
    ]
    assert shared_ranks("abcd", made) == {"a": 1, "b": 1, "c": 2, "d": 4}
