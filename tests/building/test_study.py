"""The protocol study on made-up results whose tau is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from nasbench_imc.building.audit import audit_list
from nasbench_imc.building.study import (
    Study,
    column,
    dominant,
    family,
    resampled,
    residual_sd,
    seed_noise,
    study,
    weighted_tau,
)
from nasbench_imc.building.study_page import readme, write_page
from nasbench_imc.building.training_log import TrainingRun
from nasbench_imc.errors import BenchmarkError

NETWORKS = audit_list()[:24]
TRUTH = np.linspace(70, 79, 24)


def made(recipe, accuracies, *, seed=0, epochs=2, parent=None, parent_seed=None, networks=NETWORKS):
    """A run of each network with an accuracy; NaN: not trained."""
    values = {"seconds": [10.0] * epochs}
    if parent:
        values["inheritance_seconds"] = 1.0
    about = {"recipe": {"parent": parent, "parent_seed": parent_seed}}
    return [
        TrainingRun(recipe, seed, code, about, {**values, "test_accuracy": float(accuracy)})
        for code, accuracy in zip(networks, accuracies, strict=False)
        if not np.isnan(accuracy)
    ]


def references(second=TRUTH):
    return made("reference", TRUTH, epochs=30) + made("reference", second, seed=1, epochs=30)


def compared(runs, name="cheap/seed-0", resamples=200):
    done = study(runs, NETWORKS, resamples=resamples)
    return next(c for c in done.comparisons if c.name == name)


def test_the_same_order_has_tau_one_and_the_reverse_minus_one():
    same = compared(references() + made("cheap", TRUTH - 5))
    assert (same.tau.value, same.tau.low, same.tau.high) == pytest.approx((1, 1, 1))
    assert same.tau_better.value == pytest.approx(1)
    assert same.networks == 24
    assert same.networks_better == 12
    assert same.difference == pytest.approx(-5)
    assert compared(references() + made("cheap", -TRUTH)).tau.value == pytest.approx(-1)


def test_tau_is_known_where_a_few_neighbours_are_swapped():
    swapped = TRUTH.copy()
    swapped[[0, 1, 22, 23]] = swapped[[1, 0, 23, 22]]  # one pair in each half
    run = compared(references() + made("cheap", swapped))
    assert run.tau.value == pytest.approx(1 - 2 * 2 / (24 * 23 / 2))
    assert run.tau_better.value == pytest.approx(1 - 2 * 1 / (12 * 11 / 2))
    assert run.tau.low <= run.tau.value <= run.tau.high == pytest.approx(1)


def test_tau_is_averaged_over_the_seeds_of_the_reference_and_divided_by_theirs():
    rng = np.random.default_rng(3)
    second, cheap = TRUTH + rng.normal(0, 1, 24), TRUTH + rng.normal(0, 3, 24)
    run = compared(references(second) + made("cheap", cheap))
    tau = np.mean([kendalltau(cheap, r).statistic for r in (TRUTH, second)])
    ceiling = kendalltau(TRUTH, second).statistic
    assert run.tau.value == pytest.approx(tau)
    assert run.tau_over_ceiling.value == pytest.approx(tau / ceiling)
    assert run.tau.low < tau < run.tau.high
    own = compared(references(second) + made("cheap", cheap), column("reference", 1))
    assert own.tau.value == pytest.approx(ceiling)  # never to itself


def test_a_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    # Bivariate normal with correlation rho: tau = 2 / pi asin(rho) (Greiner).
    rho, hits, repeats = 0.8, 0, 200
    rng = np.random.default_rng(0)
    for _ in range(repeats):
        truth = rng.normal(size=24)
        cheap = rho * truth + np.sqrt(1 - rho**2) * rng.normal(size=24)
        run = compared(made("reference", truth) + made("cheap", cheap), resamples=200)
        hits += run.tau.low <= 2 / np.pi * np.arcsin(rho) <= run.tau.high
    assert 0.8 <= hits / repeats <= 0.97


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 2), min_size=2, max_size=12), st.integers(0, 99))
def test_tau_of_a_resample_is_that_of_its_repeated_networks(pairs, seed):
    a, b = np.array(pairs, dtype=float).T
    counts = np.random.default_rng(seed).integers(0, 4, size=(3, len(a)))
    counts[:, :2] += 1  # of a single network nobody asks
    expected = [kendalltau(np.repeat(a, count), np.repeat(b, count)).statistic for count in counts]
    assert np.allclose(weighted_tau(a, b, counts), expected, equal_nan=True)


def test_resamples_hold_as_many_networks_as_were_chosen_and_no_others():
    counts = resampled(np.array([1, 3, 4]), 6, 500)
    assert (counts.sum(axis=1) == 3).all()
    assert counts[:, [0, 2, 5]].sum() == 0
    assert np.allclose(counts[:, [1, 3, 4]].mean(axis=0), 1, atol=0.15)


def test_intervals_are_the_same_each_time():
    runs = references() + made("cheap", np.random.default_rng(0).normal(size=24))
    assert compared(runs) == compared(list(reversed(runs)))


def test_networks_without_a_reference_are_left_out_and_counted():
    some = np.where(np.arange(24) < 10, TRUTH, np.nan)
    others = np.where(np.arange(24) < 10, TRUTH - 5, 99 - TRUTH)  # wrong where nobody can tell
    run = compared(made("reference", some) + made("cheap", others))
    assert (run.networks, run.left_out) == (10, 14)
    assert run.tau.value == pytest.approx(1)
    assert run.best_accuracy == pytest.approx(TRUTH[9] - 5)
    assert np.isnan(run.tau_over_ceiling.value)
    assert np.isnan(run.tau_better.value)  # five networks are too few
    assert run.goals["ceiling"] is None


def test_too_few_networks_give_no_tau_and_no_verdict():
    few = np.where(np.arange(24) < 7, TRUTH, np.nan)
    run = compared(references() + made("cheap", few))
    assert run.networks == 7
    assert np.isnan([run.tau.value, run.tau.low, run.tau.high]).all()
    assert run.goals["tau"] is None
    page = readme(study(references() + made("cheap", few), NETWORKS, resamples=10), None)
    assert "`cheap/seed-0` (7)" in page
    assert "No cheap recipe has been run on enough networks yet." in page


def test_without_any_reference_there_is_no_study():
    with pytest.raises(BenchmarkError, match="'reference'"):
        study(made("cheap", TRUTH), NETWORKS)


def test_networks_beyond_the_study_do_not_count():
    others = made("cheap", [1.0, 2.0], networks=audit_list()[30:32])
    assert compared(references() + made("cheap", TRUTH) + others).networks == 24


@pytest.mark.parametrize(("own_seed", "expected"), [(None, 172.8), (0, 345.6)])
def test_a_super_network_is_shared_by_the_space_whichever_seed_it_has(own_seed, expected):
    parents = [
        TrainingRun("parent", seed, None, {"recipe": {}}, {"seconds": [seconds, seconds]})
        for seed, seconds in ((0, 172_800.0 * 1.728), (1, 86_400.0 * 1.728))
    ]
    cheap = made("cheap", TRUTH, seed=1, parent="parent", parent_seed=own_seed)
    run = compared(references() + cheap + parents, "cheap/seed-1", resamples=5)
    assert run.seconds == pytest.approx(21)  # two epochs and the inheritance
    assert run.shared_seconds == pytest.approx(expected)
    assert run.goals["seconds"] is False
    unknown = compared(references() + cheap, "cheap/seed-1", resamples=5)
    assert np.isnan(unknown.shared_seconds)
    assert unknown.goals["seconds"] is None


def test_the_gap_between_families_is_found_with_its_sign():
    penalty = np.array([{"CNN": 4.0, "mixed": 2.0, "transformer": 1.0}[family(code)] for code in NETWORKS])
    run = compared(references() + made("cheap", TRUTH - penalty))
    assert run.by_family == pytest.approx({"CNN": -4, "mixed": -2, "transformer": -1})
    assert (run.gap.value, run.gap.low, run.gap.high) == pytest.approx((-3, -3, -3))
    assert run.goals["gap"] is False


@pytest.mark.parametrize(
    ("code", "operator", "kind"),
    [
        ("c16x1-m24x1-a32x1", "tie", "CNN"),
        ("a16x2-m24x1-a32x1", "a", "transformer"),
        ("c16x1-m24x1-a32x2", "a", "mixed"),
        ("m16x2-c24x1-c32x2", "c", "CNN"),
        ("a16x1-m24x2-m32x1", "m", "CNN"),
    ],
)
def test_operators_and_families_of_networks(code, operator, kind):
    assert (dominant(code), family(code)) == (operator, kind)


def test_the_noise_of_seeds_is_that_of_a_run_without_what_all_networks_share():
    rng = np.random.default_rng(2)
    runs = references(TRUTH + 1)
    for seed in range(40):
        runs += made("cheap", TRUTH + 5 * seed + rng.normal(0, 0.3, 24), seed=seed)
    runs += made("cheap-from-0", TRUTH - 7, seed=1) + made("once", TRUTH)
    cheap, from_0, reference = seed_noise(study(runs, NETWORKS, resamples=5).accuracies)
    assert (cheap.recipe, from_0.recipe, reference.recipe) == ("cheap", "cheap-from-0", "reference")
    assert cheap.seeds == tuple(range(40))
    assert cheap.deviation == pytest.approx(0.3, rel=0.05)
    assert cheap.shift == pytest.approx(5 * 39, abs=0.5)
    assert (from_0.seeds, from_0.networks) == ((0, 1), 24)  # its seed 0 is the run of "cheap"
    assert from_0.shift == pytest.approx(7, abs=0.2)
    assert (reference.shift, reference.deviation, reference.tau) == pytest.approx((1, 0, 1), abs=1e-9)


def test_residual_sd_is_of_what_neither_row_nor_column_explains():
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.4, (3, 4000))
    shifted = noise + rng.normal(0, 5, (3, 1)) + rng.normal(0, 2, 4000)
    assert residual_sd(shifted) == pytest.approx(residual_sd(noise))
    assert residual_sd(noise) == pytest.approx(0.4, rel=0.03)
    assert residual_sd(np.array([[0.0, 1], [1, 0]])) == 1  # residuals of 1/2 on one degree of freedom
    assert math.isnan(residual_sd(noise[:, :1]))


@pytest.fixture(scope="module")
def whole() -> Study:
    rng = np.random.default_rng(1)
    runs = references(TRUTH + rng.normal(0, 0.3, 24))
    runs += made("good", TRUTH - 1 + rng.normal(0, 0.1, 24)) + made("cheap", TRUTH - 9, epochs=9)
    return study(runs + made("few", TRUTH[:3]), NETWORKS, resamples=50)


def test_the_page_says_which_goals_are_met_and_leaves_equal_files(whole, tmp_path):
    first, second = (write_page(whole, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == [
        "study.csv",
        "accuracies.csv",
        "accuracies.png",
        "tau.png",
        "README.md",
    ]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
    page = (tmp_path / "a" / "README.md").read_text()
    assert "All of them: `good/seed-0`." in page
    row = next(line for line in page.splitlines() if line.startswith("| `cheap`, 0 | 24"))
    assert row.endswith("| not seconds, best |")
    assert "Nobody has written one yet." in page


def test_networks_by_which_nothing_was_chosen_are_judged_apart(whole, tmp_path):
    others, truth = audit_list()[24:], np.linspace(71, 78, 16)
    runs = made("reference", truth, networks=others) + made("good", truth + 2, networks=others)
    unseen = study(runs + made("few", truth[:3], networks=others), others, resamples=50)
    write_page(whole, tmp_path, unseen)
    page = (tmp_path / "README.md").read_text()
    part = page[page.index("## Networks that the choice did not see") :]
    assert "| `good`, 0 | 16 | 1.00 [1.00, 1.00] | 80.0 | 76.5 | +2.0 |" in part
    assert "`few`" not in part[: part.index("## Training seeds")]
    assert pd.read_csv(tmp_path / "unseen.csv").set_index("recipe").loc["good", "tau"] == 1
    assert pd.read_csv(tmp_path / "unseen_accuracies.csv").shape == (16, 4)
    # Nothing that was said of the networks of the study changes.
    write_page(whole, tmp_path / "without")
    assert (tmp_path / "study.csv").read_bytes() == (tmp_path / "without" / "study.csv").read_bytes()


def test_a_reading_by_hand_is_taken_in_and_left_alone(whole, tmp_path):
    (tmp_path / "reading.md").write_text("The good one is good.\n")
    write_page(whole, tmp_path)
    assert "## Reading\n\nThe good one is good.\n" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "reading.md").read_text() == "The good one is good.\n"


def test_tables_hold_what_was_measured(whole, tmp_path):
    write_page(whole, tmp_path)
    accuracies = pd.read_csv(tmp_path / "accuracies.csv", index_col="code")
    assert accuracies.shape == (24, 5)
    assert np.allclose(accuracies["cheap/seed-0"], TRUTH - 9, atol=0.005)
    assert accuracies["few/seed-0"].count() == 3
    table = pd.read_csv(tmp_path / "study.csv").set_index(["recipe", "seed"])
    assert table.loc[("cheap", 0), "meets_best"] == "no"
    assert table.loc[("good", 0), ["tau_low", "tau_high"]].between(0.9, 1).all()
    assert table.loc[("few", 0), "meets_tau"] != table.loc[("good", 0), "meets_tau"] == "yes"
