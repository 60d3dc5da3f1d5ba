"""The protocol study: how cheap recipes rank the audit list's head, beside the long reference.

A recipe is judged by Kendall's tau-b (Biometrika 1945) of its test accuracies to the reference's. Single
runs are compared with single runs: tau to each seed of the reference is averaged, and its ceiling is tau
between the reference's own seeds. Intervals are percentile bootstraps over networks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from nasbench_imc.building.training_log import TrainingRun, mean_seconds, shared_seconds
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.spaces.hybrid import OPERATORS, Hybrid, stages

REFERENCE = "reference"

#: Families by the majority of blocks: convolutions (``c``, ``m``) against attention.
FAMILIES = ("CNN", "mixed", "transformer")

#: Fewer networks in common than this give no tau.
MIN_NETWORKS = 8

RESAMPLES = 10_000
LEVEL = 0.9

#: Goals of a recipe: lower end of tau's interval, tau over its ceiling, core-seconds a network with the
#: super-network's share, best accuracy [%], gap between CNNs and transformers [points].
GOALS = {
    "tau": ("tau_low", ">=", 0.6),
    "ceiling": ("tau_over_ceiling", ">=", 0.8),
    "seconds": ("total_seconds", "<=", 50.0),
    "best": ("best_accuracy", ">=", 75.0),
    "gap": ("absolute_gap", "<=", 2.0),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its bootstrap interval; NaN where there are too few networks."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One recipe and seed beside the reference, over the networks that both have.

    Attributes
    ----------
    recipe : str
    seed : int
    networks : int
    left_out : int
        Networks that the recipe has trained and the reference has not (another seed of it, where the
        recipe is the reference itself).
    seconds : float
        Mean a network, without its super-network, over those trained on a CPU [core-s]; NaN: none.
    shared_seconds : float
        The super-network's, divided by all networks of the space [core-s]; 0 where there is none, NaN
        where its run is not known.
    tau, tau_better, tau_over_ceiling : Estimate
        Over all networks; over the better half by the reference; the first over its ceiling.
    networks_better : int
        Networks in the better half.
    best_accuracy, mean_accuracy : float
        [%].
    difference : float
        Mean of recipe minus reference [points].
    by_operator, by_family : dict of str to float
        That mean over networks in which an operator has the most blocks, and over each family; NaN where
        there are none.
    gap : Estimate
        ``by_family`` of CNNs minus that of transformers [points].
    """

    recipe: str
    seed: int
    networks: int
    left_out: int
    seconds: float
    shared_seconds: float
    tau: Estimate
    tau_better: Estimate
    networks_better: int
    tau_over_ceiling: Estimate
    best_accuracy: float
    mean_accuracy: float
    difference: float
    by_operator: dict[str, float]
    by_family: dict[str, float]
    gap: Estimate

    @property
    def name(self) -> str:
        return column(self.recipe, self.seed)

    @property
    def total_seconds(self) -> float:
        return self.seconds + self.shared_seconds

    @property
    def tau_low(self) -> float:
        return self.tau.low

    @property
    def absolute_gap(self) -> float:
        return abs(self.gap.value)

    @property
    def goals(self) -> dict[str, bool | None]:
        """Which goals are met, by their names in :data:`GOALS`; None where that is not known."""
        met: dict[str, bool | None] = {}
        for goal, (attribute, sense, bound) in GOALS.items():
            value = getattr(self, attribute)
            value = value.value if isinstance(value, Estimate) else value
            met[goal] = None if np.isnan(value) else bool(value >= bound if sense == ">=" else value <= bound)
        return met

    def record(self) -> dict[str, object]:
        """All of it as one row of a table."""
        row: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Estimate):
                row |= {field.name: value.value, f"{field.name}_low": value.low}
                row[f"{field.name}_high"] = value.high
            elif isinstance(value, dict):
                row |= {f"difference_{name}": each for name, each in value.items()}
            else:
                row[field.name] = value
        return row | {
            f"meets_{goal}": "" if met is None else ("yes" if met else "no")
            for goal, met in self.goals.items()
        }


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """What another training seed changes.

    Attributes
    ----------
    recipe : str
    seeds : tuple of int
    networks : int
        That all of these seeds have.
    shift : float
        Largest difference between the seeds' mean accuracies [points].
    deviation : float
        Standard deviation of one run, networks' and seeds' means taken out [points].
    tau : float
        Mean over pairs of seeds.
    """

    recipe: str
    seeds: tuple[int, ...]
    networks: int
    shift: float
    deviation: float
    tau: float


@dataclass(frozen=True)
class Study:
    """The whole comparison.

    Attributes
    ----------
    accuracies : pandas.DataFrame
        Test accuracy [%]: a row for each network of the study, a column for each recipe and seed.
    comparisons : tuple of Comparison
        Reference first, then by name.
    ceiling : Estimate
        Tau between the reference's seeds.
    ceiling_networks : int
        Networks over which it was taken.
    """

    accuracies: pd.DataFrame
    comparisons: tuple[Comparison, ...]
    ceiling: Estimate
    ceiling_networks: int

    @property
    def references(self) -> pd.DataFrame:
        """The columns of the reference."""
        return self.accuracies[[c for c in self.accuracies if str(c).startswith(f"{REFERENCE}/")]]

    @property
    def table(self) -> pd.DataFrame:
        """One row a recipe and seed."""
        return pd.DataFrame([comparison.record() for comparison in self.comparisons])


def seed_noise(accuracies: pd.DataFrame) -> list[SeedNoise]:
    """Each recipe that has several seeds, by name; of :attr:`Study.accuracies`.

    A recipe ``NAME-from-0`` inherits from the super-network of seed 0 whatever its seed, so that its run of
    seed 0 is that of ``NAME``.
    """
    found: dict[str, dict[int, str]] = {}
    for name in map(str, accuracies):
        recipe, seed = name.rsplit("/seed-", 1)
        found.setdefault(recipe, {})[int(seed)] = name
    noise = []
    for recipe, columns in sorted(found.items()):
        base = recipe.removesuffix("-from-0")
        if base != recipe and column(base, 0) in accuracies:
            columns = {0: column(base, 0)} | columns
        seeds = tuple(sorted(columns))
        values = accuracies[[columns[seed] for seed in seeds]].dropna().to_numpy()
        if len(seeds) < 2 or len(values) < MIN_NETWORKS:
            continue
        means = values.mean(axis=0)
        taus = [
            kendalltau(values[:, a], values[:, b]).statistic for a, b in combinations(range(len(seeds)), 2)
        ]
        shift, tau = float(means.max() - means.min()), float(np.mean(taus))
        noise.append(SeedNoise(recipe, seeds, len(values), shift, residual_sd(values), tau))
    return noise


def residual_sd(values: np.ndarray) -> float:
    """What neither row nor column explains of values, (rows, columns): an SD in their unit.

    The root of the residual mean square of a two-way analysis of variance with one value a cell (Fisher,
    Statistical Methods for Research Workers, 1925), on (rows - 1)(columns - 1) degrees of freedom; NaN where
    there are none.
    """
    if min(values.shape) < 2:
        return math.nan
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return math.sqrt((rest**2).sum() / ((len(values) - 1) * (values.shape[1] - 1)))


def column(recipe: str, seed: int) -> str:
    """Name of a recipe's and seed's column."""
    return f"{recipe}/seed-{seed}"


def dominant(code: str) -> str:
    """The operator with the most blocks, or ``"tie"``."""
    (first, most), *others = _blocks(code).most_common()
    return "tie" if others and others[0][1] == most else first


def family(code: str) -> str:
    """One of :data:`FAMILIES`."""
    blocks = _blocks(code)
    convolutions = blocks["c"] + blocks["m"]
    if convolutions == blocks["a"]:
        return "mixed"
    return "CNN" if convolutions > blocks["a"] else "transformer"


def _blocks(code: str) -> Counter[str]:
    counted: Counter[str] = Counter()
    for stage in stages(code):
        counted[stage.operator] += stage.depth
    return counted


def study(runs: Iterable[TrainingRun], networks: Sequence[str], *, resamples: int = RESAMPLES) -> Study:
    """Compare all recipes with the reference.

    Parameters
    ----------
    runs : iterable of TrainingRun
        Runs of other networks are left out.
    networks : sequence of str
        Codes of the study.
    resamples : int
        Of the bootstrap, whose generator is seeded: equal runs give equal intervals.

    Raises
    ------
    BenchmarkError
        Where no network of the study has a reference.
    """
    held = list(runs)
    shared = shared_seconds(held)
    groups: dict[tuple[str, int], dict[str, TrainingRun]] = {}
    for run in held:
        if run.code is not None and not run.shared and run.code in networks:
            groups.setdefault((run.recipe, run.seed), {})[run.code] = run
    order = sorted(groups, key=lambda group: (group[0] != REFERENCE, group))
    accuracies = pd.DataFrame(
        {
            column(*group): [
                groups[group][code].values["test_accuracy"] if code in groups[group] else np.nan
                for code in networks
            ]
            for group in order
        },
        index=pd.Index(networks, name="code"),
        dtype=float,
    )
    known = [column(*group) for group in order if group[0] == REFERENCE]
    if not known:
        raise BenchmarkError(f"none of the study's networks has a run of recipe {REFERENCE!r}")
    references = accuracies[known].to_numpy()
    comparisons = []
    for group in order:
        others = np.array([name != column(*group) for name in known])
        compared = _compare(
            group,
            groups[group],
            shared,
            accuracies[column(*group)].to_numpy(),
            references[:, others],
            references,
            list(networks),
            resamples,
        )
        comparisons.append(compared)
    both = (~np.isnan(references)).sum(axis=1) >= 2
    ceiling = _estimate(*_ceiling(references, np.flatnonzero(both), resamples))
    return Study(accuracies, tuple(comparisons), ceiling, int(both.sum()))


def _compare(
    group: tuple[str, int],
    trained: dict[str, TrainingRun],
    shared: dict[tuple[str, int], float],
    accuracy: np.ndarray,
    references: np.ndarray,
    all_references: np.ndarray,
    networks: list[str],
    resamples: int,
) -> Comparison:
    """Compare one recipe and seed; ``references`` (networks, seeds) are those but itself."""
    recipe, seed = group
    reached = ~np.isnan(accuracy)
    common = np.flatnonzero(reached & ~np.isnan(references).all(axis=1))
    target = _mean(references)
    better = _better_half(_mean(all_references))
    chosen_better = np.array([k for k in common if better[k]], dtype=int)

    difference = accuracy - target
    families = np.array([family(code) for code in networks])
    operators = np.array([dominant(code) for code in networks])

    tau, tau_draws = _mean_tau(accuracy, references, common, resamples)
    ceiling, ceiling_draws = _ceiling(all_references, common, resamples)
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample's ceiling may be 0
        over_ceiling = tau_draws / ceiling_draws
    by_family = {f: common[families[common] == f] for f in FAMILIES}
    gap, gap_draws = _gap(difference, by_family["CNN"], by_family["transformer"], common, resamples)

    # Accuracies and seconds are over the networks compared, so that they can be held beside tau.
    counted = common if len(common) else np.flatnonzero(reached)
    return Comparison(
        recipe=recipe,
        seed=seed,
        networks=len(common),
        left_out=int(reached.sum()) - len(common),
        seconds=mean_seconds([trained[networks[k]].seconds for k in counted]),
        shared_seconds=_share(next(iter(trained.values())), shared),
        tau=_estimate(tau, tau_draws),
        tau_better=_estimate(*_mean_tau(accuracy, references, chosen_better, resamples)),
        networks_better=len(chosen_better),
        tau_over_ceiling=_estimate(tau / ceiling, over_ceiling),
        best_accuracy=float(accuracy[counted].max()),
        mean_accuracy=float(accuracy[counted].mean()),
        difference=_average(difference[common]),
        by_operator={o: _average(difference[common[operators[common] == o]]) for o in OPERATORS},
        by_family={f: _average(difference[chosen]) for f, chosen in by_family.items()},
        gap=_estimate(gap, gap_draws),
    )


def _share(run: TrainingRun, shared: dict[tuple[str, int], float]) -> float:
    """The super-network's seconds that fall on one network of the space."""
    recipe = run.about["recipe"]
    if recipe.get("parent") is None:
        return 0.0
    own = recipe["parent_seed"]
    seconds = shared.get((recipe["parent"], run.seed if own is None else own), float("nan"))
    return seconds / len(Hybrid().architectures)


def _mean_tau(
    accuracy: np.ndarray, references: np.ndarray, chosen: np.ndarray, resamples: int
) -> tuple[float, np.ndarray]:
    """Mean over the reference's seeds of tau over the networks that both have, and its bootstrap draws.

    Parameters
    ----------
    accuracy : numpy.ndarray, shape (networks,)
    references : numpy.ndarray, shape (networks, seeds)
    chosen : numpy.ndarray of int
        Networks to use.
    resamples : int

    Returns
    -------
    (float, numpy.ndarray of shape (resamples,))
        NaN where all seeds have too few networks in common with the recipe.
    """
    counts = resampled(chosen, len(accuracy), resamples)
    taus, draws = [], []
    for reference in references.T:
        known = ~np.isnan(accuracy) & ~np.isnan(reference)
        both = chosen[known[chosen]]
        if len(both) >= MIN_NETWORKS:
            taus.append(kendalltau(accuracy[both], reference[both]).statistic)
            draws.append(weighted_tau(accuracy[known], reference[known], counts[:, known]))
    if not taus:
        return float("nan"), np.full(resamples, np.nan)
    return float(np.mean(taus)), np.mean(draws, axis=0)


def _ceiling(references: np.ndarray, chosen: np.ndarray, resamples: int) -> tuple[float, np.ndarray]:
    """Mean tau between seeds of the reference and its draws, as :func:`_mean_tau`."""
    pairs = [
        _mean_tau(references[:, a], references[:, [b]], chosen, resamples)
        for a, b in combinations(range(references.shape[1]), 2)
    ]
    known = [pair for pair in pairs if not np.isnan(pair[0])]
    if not known:
        return float("nan"), np.full(resamples, np.nan)
    return float(np.mean([tau for tau, _ in known])), np.mean([draws for _, draws in known], axis=0)


def _gap(
    difference: np.ndarray, first: np.ndarray, second: np.ndarray, chosen: np.ndarray, resamples: int
) -> tuple[float, np.ndarray]:
    """Mean difference over the first networks minus that over the second ones, and its draws."""
    counts = resampled(chosen, len(difference), resamples)
    with np.errstate(invalid="ignore"):  # a resample without networks of a kind has no gap
        a, b = (counts[:, k] @ difference[k] / counts[:, k].sum(axis=1) for k in (first, second))
    return _average(difference[first]) - _average(difference[second]), a - b


def resampled(chosen: np.ndarray, networks: int, resamples: int) -> np.ndarray:
    """How often each network comes in bootstrap resamples of some; the same for equal arguments.

    Returns
    -------
    numpy.ndarray of int, shape (resamples, networks)
    """
    counts = np.zeros((resamples, networks), dtype=int)
    if len(chosen):
        shares = np.full(len(chosen), 1 / len(chosen))
        counts[:, chosen] = np.random.default_rng(0).multinomial(len(chosen), shares, size=resamples)
    return counts


def weighted_tau(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Tau-b where each network comes ``counts`` times, for all resamples at once.

    Parameters
    ----------
    a, b : numpy.ndarray, shape (networks,)
    counts : numpy.ndarray of int, shape (resamples, networks)

    Returns
    -------
    numpy.ndarray, shape (resamples,)
        NaN where all values of a resample are equal.
    """
    first, second = (np.sign(x[:, None] - x[None, :]) for x in (a, b))

    def pairs(signs: np.ndarray) -> np.ndarray:
        return ((counts @ signs) * counts).sum(axis=1)

    with np.errstate(invalid="ignore"):
        return pairs(first * second) / np.sqrt(pairs(np.abs(first)) * pairs(np.abs(second)))


def _estimate(value: float, draws: np.ndarray) -> Estimate:
    """A figure and the interval of its draws; draws in which it is not defined are left out."""
    known = draws[np.isfinite(draws)]
    if np.isnan(value) or len(known) == 0:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _better_half(reference: np.ndarray) -> np.ndarray:
    """Which networks are in the better half of those that have a reference; an odd one is in."""
    known = np.flatnonzero(~np.isnan(reference))
    best = known[np.argsort(-reference[known], kind="stable")][: (len(known) + 1) // 2]
    return np.isin(np.arange(len(reference)), best)


def _mean(references: np.ndarray) -> np.ndarray:
    """Mean over the seeds that each network has; NaN where it has none."""
    counts = (~np.isnan(references)).sum(axis=1)
    totals = np.nansum(references, axis=1)
    return np.divide(totals, counts, out=np.full(len(totals), np.nan), where=counts > 0)


def _average(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
