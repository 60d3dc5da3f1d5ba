"""Facts of a table of measured accuracies: six questions that a reader will ask of ``hybrid``.

Whatever is chosen (the best network, a front, the best few) is chosen by search labels and judged by score
labels: the largest of 1,728 noisy numbers would seem better than it is. Each answer is a data frame computed
from arrays of the public API; figures and sentences are made of these by
:mod:`~nasbench_imc.building.facts_page`. What a table lacks (networks of a pilot, training seeds,
compressions) is left out of the answers and listed in :attr:`Facts.missing`; a figure that too few networks
stand behind is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr

from nasbench_imc.building.study import dominant, residual_sd
from nasbench_imc.design import Design
from nasbench_imc.errors import UnavailableError
from nasbench_imc.scoring.front import front_mask, hypervolume, normalise
from nasbench_imc.spaces.hybrid import OPERATORS, stages
from nasbench_imc.tables import Benchmark
from nasbench_imc.tables.fidelity import fidelities, fidelity_label
from nasbench_imc.tables.labels import Kind

#: Time since programming at which chips are compared.
AT = "1d"

#: Without any attention stage, with some, of nothing else.
FAMILIES = ("CNN", "mixed", "transformer")

#: By the operator that has most blocks.
OPERATOR_GROUPS = (*(f"mostly {operator}" for operator in OPERATORS), "tie")

#: Of one operator in all stages; such of attention are the family of transformers.
PURE_GROUPS = ("only c", "only m")

#: Costs of the fronts.
COSTS = ("energy", "latency", "edap")

#: Shares of networks called the top, by digital accuracy, and the best, by the chip's own.
TOP, BEST = 0.1, 0.05

#: So many networks are taken where one alone would be a matter of luck.
TAKEN = 10

#: Best share of the networks with several seeds whose trainings stand for those of the best few of all, which
#: are less sensitive to noise than most.
GOOD = 0.2

#: Fewer networks than this give no correlation and no interval.
MIN_NETWORKS = 8

#: Networks whose energies differ by no more than this factor count as of equal energy.
MATCH = 1.1

#: Standard errors of a difference beyond which two networks are told apart.
RESOLVED = 2.0

LEVEL = 0.9
RESAMPLES = 1_000

_SEEDS = 3  # with which networks of a full table were trained
_COMPRESSIONS = ((8, 0.0), (4, 0.0), (8, 0.5), (4, 0.5))  # of a full table

_OF_SEEDS = ("seed_sd", "seed_shift", "seed_tau", "seed_sd_best", "seed_lead", "seed_lead_other")
_KINDS: tuple[Kind, Kind] = ("score", "search")

DIGITAL = "digital"  # stands for floating point where chips are listed


@dataclass(frozen=True)
class Facts:
    """All answers.

    Attributes
    ----------
    name, version, sha256 : str
        Of the table.
    networks : pandas.DataFrame
        Indexed by code; ``family``, ``operator`` (that has most blocks, or ``tie``), and accuracy [%]:
        ``digital`` and one column a reference chip.
    chips : tuple of str
        Ids of the reference chips that have an accuracy.
    distribution, correlation, compression, fronts, transformers : pandas.DataFrame
        From the functions of the same names.
    noise, seed_pairs, floors, fidelity : pandas.DataFrame
        From the functions of the same names.
    missing : tuple of str
        What a full table would have and this one lacks, as sentences.
    """

    name: str
    version: str
    sha256: str
    networks: pd.DataFrame
    chips: tuple[str, ...]
    distribution: pd.DataFrame
    correlation: pd.DataFrame
    compression: pd.DataFrame
    fronts: pd.DataFrame
    transformers: pd.DataFrame
    noise: pd.DataFrame
    seed_pairs: pd.DataFrame
    floors: pd.DataFrame
    fidelity: pd.DataFrame
    missing: tuple[str, ...]


def facts(bench: Benchmark) -> Facts:
    """Answer all questions.

    Raises
    ------
    UnavailableError
        Where the table's accuracies are published ones, or it has none on any reference chip.
    """
    fidelities(bench)  # says what is wrong with a table of published accuracies
    chips = reference_chips(bench)
    if not chips:
        raise UnavailableError(f"table {bench.name!r} has no accuracy on any reference chip at {AT!r}")
    held = networks(bench, chips)
    fronts, compressed = compression(bench, chips)
    return Facts(
        name=bench.name,
        version=bench.version,
        sha256=bench.sha256,
        networks=held,
        chips=chips,
        distribution=distribution(held, chips),
        correlation=correlation(bench, held),
        compression=compressed,
        fronts=fronts,
        transformers=transformers(bench, held),
        noise=noise(bench, chips),
        seed_pairs=seed_pairs(bench, chips),
        floors=floors(bench),
        fidelity=fidelity(bench, chips),
        missing=missing(bench, chips, held),
    )


# ---- what there is ----------------------------------------------------------------------------------------


def pure_family(code: str) -> str:
    """One of :data:`FAMILIES`: how many of the three stages are attention, none, some or all."""
    attention = [stage.operator == "a" for stage in stages(code)]
    return "transformer" if all(attention) else "mixed" if any(attention) else "CNN"


def reference_chips(bench: Benchmark) -> tuple[str, ...]:
    """Ids of the reference chips that have an accuracy at :data:`AT`."""
    named = bench.hardware.index[bench.hardware["reference"] != ""]
    return tuple(id_ for id_ in named if accuracy(bench, id_) is not None)


def accuracy(
    bench: Benchmark,
    chip: str,
    at: str = AT,
    *,
    labels: Kind = "score",
    weight_bits: int = 8,
    sparsity: float = 0.0,
) -> np.ndarray | None:
    """Labels of all networks [%], (A,), float64; None where the table has none."""
    try:
        found = bench.array(
            "accuracy", hardware=chip, at=at, labels=labels, weight_bits=weight_bits, sparsity=sparsity
        )
    except UnavailableError:
        return None
    return found.astype(np.float64)


def networks(bench: Benchmark, chips: Sequence[str]) -> pd.DataFrame:
    """:attr:`Facts.networks`."""
    codes = bench.architectures
    columns: dict[str, object] = {
        "family": [pure_family(code) for code in codes],
        "operator": [dominant(code) for code in codes],
        DIGITAL: bench.array("accuracy_digital").astype(np.float64),
    }
    columns |= {chip: accuracy(bench, chip) for chip in chips}
    return pd.DataFrame(columns, index=pd.Index(codes, name="arch"))


def groups(held: pd.DataFrame) -> dict[str, np.ndarray]:
    """Masks of all networks, of :data:`FAMILIES`, :data:`OPERATOR_GROUPS` and :data:`PURE_GROUPS`, (A,)."""
    named = {"all": np.ones(len(held), dtype=bool)}
    named |= {name: (held["family"] == name).to_numpy() for name in FAMILIES}
    named |= {name: (held["operator"] == name.removeprefix("mostly ")).to_numpy() for name in OPERATOR_GROUPS}
    used = [{stage.operator for stage in stages(code)} for code in held.index]
    return named | {
        name: np.array([each == {name.removeprefix("only ")} for each in used]) for name in PURE_GROUPS
    }


def accuracy_classes(bench: Benchmark) -> Iterator[tuple[str, str, str]]:
    """Accuracy class, time and a configuration of each class; :data:`AT` alone where it does not drift.

    The configuration is the reference chip where one is of the class.
    """
    rows = bench.hardware.loc[bench.accuracy_hardware()]
    first = rows.sort_values("reference", key=lambda names: names == "", kind="stable").drop_duplicates(
        "accuracy_class"
    )
    for name in rows["accuracy_class"].unique():
        chip = str(first.index[first["accuracy_class"] == name][0])
        listed = str(first.loc[chip, "times"]).split()
        for time in listed if len(listed) < len(bench.times) else [AT]:
            yield str(name), time, chip


# ---- 1: distribution --------------------------------------------------------------------------------------


def distribution(held: pd.DataFrame, chips: Sequence[str]) -> pd.DataFrame:
    """Accuracy [%] by chip (or ``digital``) and group: mean, SD, quartiles, extremes, code of the best."""
    rows = []
    for chip in (DIGITAL, *chips):
        for group, mask in groups(held).items():
            values = held.loc[mask, chip]
            rows.append(
                {
                    "chip": chip,
                    "group": group,
                    "networks": len(values),
                    "mean": values.mean(),
                    "sd": values.std(ddof=1),
                    "min": values.min(),
                    **{f"q{100 * q:.0f}": values.quantile(q) for q in (0.25, 0.5, 0.75)},
                    "max": values.max(),
                    "best": values.idxmax() if len(values) else "",
                }
            )
    return pd.DataFrame(rows)


# ---- 2: rank correlation ----------------------------------------------------------------------------------


def rank_correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Kendall's tau-b and Spearman's rho.

    NaN for fewer than :data:`MIN_NETWORKS` networks, or where one of the two is constant.
    """
    if len(first) < MIN_NETWORKS or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan, math.nan
    return float(kendalltau(first, second).statistic), float(spearmanr(first, second).statistic)


def best_of(values: np.ndarray, share: float) -> np.ndarray:
    """Positions of the best share of values, at least one; of equal ones the first."""
    return largest(values, max(1, math.ceil(share * len(values))))


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """Positions of so many of the largest values, the largest first; of equal ones the first."""
    return np.argsort(-values, kind="stable")[:count]


def correlation(bench: Benchmark, held: pd.DataFrame) -> pd.DataFrame:
    """How digital accuracy ranks networks on each accuracy class and time.

    ``hardware``: a configuration of the class. ``tau``, ``rho``: of digital accuracy and score label, which
    share their test images. The others are of what a search can see, beside the score label: ``digital``, the
    digital accuracy on validation images, and ``labels``, the class's own search labels, which say what noise
    alone leaves of a perfect ranking. ``tau_digital``, ``tau_labels``: over all networks;
    ``tau_digital_top``, ``tau_labels_top``: over the top that each chooses itself; ``shared_digital``,
    ``shared_labels``: share of that top that is in the top by score label; ``regret``: what the
    :data:`TAKEN` digitally best are below as many best by search labels, mean of score labels [points].
    """
    digital, rows = held[DIGITAL].to_numpy(), []
    validated = bench.array("accuracy_digital", labels="search").astype(np.float64)
    for name, at, chip in accuracy_classes(bench):
        values, labels = (accuracy(bench, chip, at, labels=kind) for kind in _KINDS)
        if values is None or labels is None:
            continue
        tau, rho = rank_correlation(digital, values)
        best = best_of(values, TOP)
        row = {
            "accuracy_class": name,
            "at": at,
            "hardware": chip,
            "networks": len(values),
            "tau": tau,
            "rho": rho,
            "networks_top": len(best),
        }
        for what, seen in (("digital", validated), ("labels", labels)):
            top = best_of(seen, TOP)
            row |= {
                f"tau_{what}": rank_correlation(seen, values)[0],
                f"tau_{what}_top": rank_correlation(seen[top], values[top])[0],
                f"shared_{what}": len(np.intersect1d(top, best)) / len(top),
            }
        taken, held_to = (values[largest(seen, TAKEN)].mean() for seen in (validated, labels))
        rows.append(row | {"regret": held_to - taken})
    return pd.DataFrame(rows)


# ---- 3: compression ---------------------------------------------------------------------------------------


def compression(bench: Benchmark, chips: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fronts of accuracy against each cost by compression, and what each compression adds to their union.

    Fronts are those of search labels, with the score labels of their networks. Hypervolume as in scoring:
    between ideal and nadir of the union's front, costs on a log scale.

    Returns
    -------
    fronts : pandas.DataFrame
        Networks on the front of a compression on a chip, cheapest first; ``joint`` where also on the union's.
    table : pandas.DataFrame
        By chip, cost and compression: ``share`` of the union's hypervolume that it reaches alone, ``adds``
        the share that the other compressions lack, ``joint_points`` of ``all_joint_points`` on the union's
        front, ``accuracy_change`` [points] and ``cost_factor``: mean and median over networks, against 8 bits
        and sparsity 0.
    """
    fronts, table = [], []
    for chip in chips:
        kinds = [
            kind
            for kind in bench.compressions
            if accuracy(bench, chip, weight_bits=kind[0], sparsity=kind[1]) is not None
        ]
        label, seen = (
            np.stack([_accuracy(bench, chip, labels, kind) for kind in kinds]) for labels in _KINDS
        )
        for cost in COSTS:
            price = np.stack([_cost(bench, cost, chip, kind) for kind in kinds])
            joint = front_mask(seen.ravel(), price.reshape(-1, 1), seen.max()).reshape(seen.shape)
            share, adds = _hypervolumes(label, seen, price, joint, cost)
            for k, (bits, sparsity) in enumerate(kinds):
                here = {"chip": chip, "cost": cost, "weight_bits": bits, "sparsity": sparsity}
                own = np.flatnonzero(front_mask(seen[k], price[k][:, None], seen[k].max()))
                own = own[np.argsort(price[k][own], kind="stable")]
                fronts += [
                    here
                    | {
                        "arch": bench.architectures[row],
                        "accuracy": label[k][row],
                        "value": price[k][row],
                        "joint": bool(joint[k][row]),
                    }
                    for row in own
                ]
                table.append(
                    here
                    | {
                        "share": share[k],
                        "adds": adds[k],
                        "joint_points": int(joint[k].sum()),
                        "all_joint_points": int(joint.sum()),
                        "best_accuracy": label[k][np.argmax(seen[k])],
                        "accuracy_change": (label[k] - label[0]).mean(),
                        "cost_factor": float(np.median(price[k] / price[0])),
                    }
                )
    return pd.DataFrame(fronts), pd.DataFrame(table)


def _accuracy(bench: Benchmark, chip: str, labels: Kind, kind: tuple[int, float]) -> np.ndarray:
    found = accuracy(bench, chip, labels=labels, weight_bits=kind[0], sparsity=kind[1])
    assert found is not None
    return found


def _cost(bench: Benchmark, cost: str, chip: str, kind: tuple[int, float]) -> np.ndarray:
    found = bench.array(cost, hardware=chip, weight_bits=kind[0], sparsity=kind[1])
    return found.astype(np.float64)


def _hypervolumes(
    label: np.ndarray, seen: np.ndarray, price: np.ndarray, joint: np.ndarray, cost: str
) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the union's hypervolume that each compression reaches, and that is lost without it, (P,)."""

    def reached(kinds: Sequence[int]) -> float:
        """Score labels of the front that search labels show of some compressions."""
        own, costs, points = (np.concatenate([each[k] for k in kinds]) for each in (seen, price, whole))
        return hypervolume(points[front_mask(own, costs[:, None], own.max())])

    ideal = {"accuracy": label[joint].max(), cost: price[joint].min()}
    nadir = {"accuracy": label[joint].min(), cost: price[joint].max()}
    unknown = np.full(len(label), math.nan)
    if ideal["accuracy"] == nadir["accuracy"] or ideal[cost] == nadir[cost]:
        return unknown, unknown  # one network beats all others: a front without extent
    whole = [
        normalise(own, prices[:, None], [cost], ideal, nadir)
        for own, prices in zip(label, price, strict=True)
    ]
    every = range(len(label))
    most = reached(every)
    alone = np.array([reached([k]) for k in every]) / most
    if len(label) == 1:
        return alone, np.ones(1)
    return alone, 1 - np.array([reached([other for other in every if other != k]) for k in every]) / most


# ---- 4: transformers --------------------------------------------------------------------------------------


def transformers(bench: Benchmark, held: pd.DataFrame) -> pd.DataFrame:
    """What each group loses from digital to each accuracy class, and how it does at equal energy.

    ``loss`` is digital minus the class's accuracy [points], mean and SD over the group. Some groups are held
    ``beside`` another, transformers beside CNNs and, since these have two operators, beside those of residual
    pairs alone: a network's ``difference`` is its accuracy minus the mean of those whose energy on the
    configuration is within a factor :data:`MATCH` of its own; ``matched`` networks have any.
    ``digital_difference`` is the same in floating point. Intervals: percentile bootstrap over the matched
    networks of the group.
    """
    masks, digital, rows = groups(held), held[DIGITAL].to_numpy(), []
    for name, at, chip in accuracy_classes(bench):
        values = accuracy(bench, chip, at)
        if values is None:
            continue
        energy = np.log(bench.array("energy", hardware=chip).astype(np.float64))
        for group, mask in masks.items():
            loss = (digital - values)[mask]
            row = {
                "accuracy_class": name,
                "at": at,
                "hardware": chip,
                "group": group,
                "networks": int(mask.sum()),
                "loss": loss.mean() if len(loss) else math.nan,
                "loss_sd": loss.std(ddof=1) if len(loss) > 1 else math.nan,
            }
            rows += [
                row
                | {"beside": base}
                | (_at_equal_energy(values, digital, energy, mask, masks[base]) if base else {})
                for base in _BESIDE.get(group, ("",))
            ]
    return pd.DataFrame(rows)


#: Which groups each is held beside.
_BESIDE = {
    "mixed": ("CNN",),
    "transformer": ("CNN", "only c"),
    "mostly m": ("mostly c",),
    "mostly a": ("mostly c",),
}


def _at_equal_energy(
    values: np.ndarray, digital: np.ndarray, energy: np.ndarray, group: np.ndarray, base: np.ndarray
) -> dict[str, float]:
    found = {
        "difference": matched_differences(values, energy, group, base),
        "digital_difference": matched_differences(digital, energy, group, base),
    }
    row: dict[str, float] = {"matched": int((~np.isnan(found["difference"])).sum())}
    for name, differences in found.items():
        known = differences[~np.isnan(differences)]
        low, high = mean_interval(known)
        row |= {name: known.mean() if len(known) else math.nan, f"{name}_low": low, f"{name}_high": high}
    return row


def matched_differences(
    values: np.ndarray, log_cost: np.ndarray, group: np.ndarray, base: np.ndarray
) -> np.ndarray:
    """Each network's value minus the mean of the base networks that cost as much.

    Parameters
    ----------
    values, log_cost : ndarray, shape (A,)
        ``log_cost`` is the natural logarithm.
    group, base : ndarray of bool, shape (A,)

    Returns
    -------
    numpy.ndarray, shape (networks of the group,)
        NaN where no base network costs within a factor :data:`MATCH`.
    """
    near = np.abs(log_cost[group][:, None] - log_cost[base]) <= math.log(MATCH)
    counts = near.sum(axis=1)
    means = np.divide(near @ values[base], counts, out=np.full(len(near), math.nan), where=counts > 0)
    return values[group] - means


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Bootstrap interval of a mean, with a seeded generator; NaN for fewer than :data:`MIN_NETWORKS`."""
    if len(values) < MIN_NETWORKS:
        return math.nan, math.nan
    chosen = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[chosen].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


# ---- 5: noise ---------------------------------------------------------------------------------------------


def noise(bench: Benchmark, chips: Sequence[str]) -> pd.DataFrame:
    """Noise of trainings and of device draws beside the spread of the best networks, by chip [points].

    ``seed_sd``: over training seeds, of the ``seed_networks`` that have all of them, less ``seed_shift``, the
    SD of what these together change by from seed to seed, which ranks none above another; ``seed_sd_best``:
    the same of the best :data:`GOOD` of them by search labels, mean over seeds.
    ``seed_tau`` [1]: Kendall's tau between their labels with one seed and with another, mean over pairs.
    ``seed_lead``, ``seed_lead_other``: by how much the :data:`TAKEN` of them that are best by search labels
    of a training are above the mean of all by score labels of that training, and of another (means).
    ``draw_sd``: over single draws of the score label, each with images of its own; ``draw_error``: of the
    mean over all draws. ``best_sd``, ``best_range``: of the ``best_networks`` best on this chip by search
    labels, ``best_error`` the error of their own draws' mean, and ``resolved_draws``, ``resolved_seeds``:
    share of their pairs that differ by more than :data:`RESOLVED` standard errors of a difference, by that
    error and by ``seed_sd_best``.
    """
    rows = []
    for chip in (DIGITAL, *chips):
        values = _labels(bench, chip)
        chosen = best_of(_labels(bench, chip, labels="search"), BEST)
        best = values[chosen]
        of_seeds = _seed_noise(*_trainings(bench, chip))
        draw_sd = best_error = math.nan
        if chip != DIGITAL:
            draws = _draws(bench, chip)
            draw_sd = root_mean_variance(draws)
            best_error = root_mean_variance(draws[chosen]) / math.sqrt(bench.draws)
        several = len(best) > 1
        rows.append(
            {
                "chip": chip,
                **of_seeds,
                "draw_sd": draw_sd,
                "draw_error": draw_sd / math.sqrt(bench.draws),
                "best_networks": len(best),
                "best_error": best_error,
                "best_sd": best.std(ddof=1) if several else math.nan,
                "best_range": np.ptp(best) if several else math.nan,
                "resolved_draws": resolved(best, best_error),
                "resolved_seeds": resolved(best, of_seeds["seed_sd_best"]),
            }
        )
    return pd.DataFrame(rows)


def seed_pairs(bench: Benchmark, chips: Sequence[str]) -> pd.DataFrame:
    """Two training seeds of the same networks beside one another, by chip; no row where there is but one.

    ``shift``: mean score label with ``other`` minus that with ``seed`` [points]; ``sd``: of a training,
    means of networks and of seeds taken out [points]; ``tau`` [1]: Kendall's, between the two; ``shared``:
    so many of the :data:`TAKEN` best by search labels of the one are among those of the other.
    """
    rows = []
    for chip in (DIGITAL, *chips):
        score, search = _trainings(bench, chip)
        if not score.size:
            continue
        for first, second in combinations(range(len(score)), 2):
            pair = [first, second]
            taken, others = (largest(search[each], TAKEN) for each in pair)
            rows.append(
                {
                    "chip": chip,
                    "seed": bench.training_seeds[first],
                    "other": bench.training_seeds[second],
                    "networks": score.shape[1],
                    "shift": float((score[second] - score[first]).mean()),
                    "sd": residual_sd(score[pair]),
                    "tau": rank_correlation(*score[pair])[0],
                    "shared": len(np.intersect1d(taken, others)),
                }
            )
    columns = ("chip", "seed", "other", "networks", "shift", "sd", "tau", "shared")
    return pd.DataFrame(rows, columns=columns)


def floors(bench: Benchmark) -> pd.DataFrame:
    """The noise floor of every accuracy class and time [points].

    ``label_sd``: SD over networks of search minus score label, their mean difference left out: what the noise
    floor of a task is. ``draw_error``: standard error of the score label's mean over draws, the part of it
    that images and devices of the score label make.
    """
    rows = []
    for name, at, chip in accuracy_classes(bench):
        score, search = (accuracy(bench, chip, at, labels=labels) for labels in _KINDS)
        if score is None or search is None:
            continue
        rows.append(
            {
                "accuracy_class": name,
                "at": at,
                "hardware": chip,
                "networks": len(score),
                "label_sd": (search - score).std(ddof=1) if len(score) > 1 else math.nan,
                "draw_error": root_mean_variance(_draws(bench, chip, at)) / math.sqrt(bench.draws),
            }
        )
    return pd.DataFrame(rows)


def root_mean_variance(values: np.ndarray) -> float:
    """SD over the last axis, NaN left out: root of the mean of variances; NaN where none has two values."""
    values = values[(~np.isnan(values)).sum(axis=-1) > 1]
    if not len(values):
        return math.nan
    return float(np.sqrt(np.nanvar(values, axis=-1, ddof=1).mean()))


def resolved(values: np.ndarray, error: float) -> float:
    """Share of pairs that differ by more than :data:`RESOLVED` times ``sqrt(2)`` errors."""
    if len(values) < 2 or math.isnan(error):
        return math.nan
    first, second = np.triu_indices(len(values), 1)
    return float((np.abs(values[first] - values[second]) > RESOLVED * math.sqrt(2) * error).mean())


def _labels(
    bench: Benchmark, chip: str, seed: int = 0, labels: Kind = "score", codes: Sequence[str] | None = None
) -> np.ndarray:
    """Labels of networks, (A,): by default of those that were trained with a seed, in the table's order."""
    codes = bench.trained(seed) if codes is None else codes
    if chip == DIGITAL:
        found = bench.array("accuracy_digital", codes, labels=labels, training_seed=seed)
    else:
        found = bench.array("accuracy", codes, chip, at=AT, labels=labels, training_seed=seed)
    return found.astype(np.float64)


def _trainings(bench: Benchmark, chip: str) -> tuple[np.ndarray, np.ndarray]:
    """Score and search labels, (S, A) each, of the networks that have all training seeds, in their order."""
    every = set.intersection(*(set(bench.trained(seed)) for seed in bench.training_seeds))
    codes = [code for code in bench.architectures if code in every]
    score, search = (
        np.stack([_labels(bench, chip, seed, kind, codes) for seed in bench.training_seeds])
        for kind in _KINDS
    )
    return score, search


def _seed_noise(score: np.ndarray, search: np.ndarray) -> dict[str, float]:
    """What :func:`noise` says of training seeds, from labels (S, A)."""
    found = {"seed_networks": score.shape[1]} | dict.fromkeys(_OF_SEEDS, math.nan)
    if len(score) < 2 or not score.size:
        return found | {"seed_networks": 0}
    found |= {
        "seed_sd": residual_sd(score),
        "seed_shift": float(score.mean(axis=1).std(ddof=1)),
        "seed_tau": float(np.mean([rank_correlation(a, b)[0] for a, b in combinations(score, 2)])),
        "seed_sd_best": residual_sd(score[:, best_of(search.mean(axis=0), GOOD)]),
    }
    if score.shape[1] > TAKEN:  # else all are chosen, and lead nothing
        above = score - score.mean(axis=1, keepdims=True)
        leads = np.stack([above[:, largest(labels, TAKEN)].mean(axis=1) for labels in search])
        same = np.eye(len(score), dtype=bool)
        found |= {"seed_lead": float(leads[same].mean()), "seed_lead_other": float(leads[~same].mean())}
    return found


def _draws(bench: Benchmark, chip: str, at: str = AT) -> np.ndarray:
    """Single draws of the score label, (A, D): differences of the means over the first of them."""
    means = [
        bench.array("accuracy", hardware=chip, at=at, draws=count).astype(np.float64)
        for count in range(1, bench.draws + 1)
    ]
    sums = np.stack(means, axis=-1) * np.arange(1, bench.draws + 1)
    return np.diff(sums, axis=-1, prepend=0.0)


# ---- 6: fidelities ----------------------------------------------------------------------------------------


def fidelity(bench: Benchmark, chips: Sequence[str]) -> pd.DataFrame:
    """How each fidelity ranks networks by their score label, by chip.

    ``tau``, ``rho``: over all networks; ``tau_top``, ``rho_top``: over the top by score label. Of a mean
    over n draws they are averaged over all label seeds. ``seconds`` is the mean over networks of what the
    label takes from scratch [core-s], without ``supernet_seconds``, those of the super-network that all
    share. ``epochs``: of individual training, at an entry of the learning curve.
    """
    names, codes = fidelities(bench), bench.architectures
    training = bench.training(codes[0])
    rows = []
    for name in names:
        # Seconds, and accuracies of the learning curve, are the same on every chip.
        taken = [fidelity_label(bench, Design(code, chips[0]), AT, name, 0) for code in codes]
        seconds = float(np.mean([label.seconds for label in taken]))
        kind, _, count = name.partition("-")
        curve = np.array([label.accuracy for label in taken])
        for chip in chips:
            score = _labels(bench, chip, 0)
            cheap = [curve] if kind == "curve" else _means_of_draws(bench, chip, int(count))
            top = best_of(score, TOP)
            over = [rank_correlation(values, score) for values in cheap]
            within = [rank_correlation(values[top], score[top]) for values in cheap]
            tau, rho = np.mean(over, axis=0)
            tau_top, rho_top = np.mean(within, axis=0)
            rows.append(
                {
                    "chip": chip,
                    "fidelity": name,
                    "epochs": float(training.epochs[int(count)]) if kind == "curve" else math.nan,
                    "seconds": seconds,
                    "supernet_seconds": training.supernet_seconds,
                    "networks": len(score),
                    "tau": tau,
                    "rho": rho,
                    "networks_top": len(top),
                    "tau_top": tau_top,
                    "rho_top": rho_top,
                }
            )
    return pd.DataFrame(rows)


def _means_of_draws(bench: Benchmark, chip: str, count: int) -> list[np.ndarray]:
    """Search labels of so many draws, (A,), for every label seed that makes a difference."""
    seeds = range(bench.draws if count < bench.draws else 1)
    return [
        bench.array("accuracy", hardware=chip, at=AT, labels="search", seed=seed, draws=count).astype(float)
        for seed in seeds
    ]


# ---- what is missing --------------------------------------------------------------------------------------


def missing(bench: Benchmark, chips: Sequence[str], held: pd.DataFrame) -> tuple[str, ...]:
    """What a full table has and this one lacks, as sentences."""
    found = []
    space = bench.space.architectures
    if len(held) < len(space):
        whole = pd.Series([pure_family(code) for code in space]).value_counts()
        have = held["family"].value_counts()
        parts = [f"{have.get(name, 0):,} of {whole[name]:,} {name}" for name in FAMILIES]
        found.append(f"Networks: {len(held):,} of {len(space):,} ({', '.join(parts)}).")
    seeds = bench.training_seeds
    if len(seeds) < _SEEDS:
        unknown = ", so the noise of training is unknown" if len(seeds) == 1 else ""
        found.append(f"Training seeds: {' and '.join(map(str, seeds))} only, of 0 to {_SEEDS - 1}{unknown}.")
    named = bench.hardware.index[bench.hardware["reference"] != ""]
    for chip in named.difference(list(chips), sort=False):
        found.append(f"Reference chip `{chip}`: no accuracy at {AT}.")
    for bits, sparsity in _COMPRESSIONS:
        lacking = [
            chip
            for chip in chips
            if (bits, sparsity) not in bench.compressions
            or accuracy(bench, chip, weight_bits=bits, sparsity=sparsity) is None
        ]
        if lacking:
            where = "any chip" if len(lacking) == len(chips) else ", ".join(f"`{chip}`" for chip in lacking)
            found.append(f"Compression to {bits} bits, sparsity {sparsity}: no accuracy on {where}.")
    few = [name for name in FAMILIES if (held["family"] == name).sum() < MIN_NETWORKS]
    if few:
        found.append(
            f"Fewer than {MIN_NETWORKS} networks, so no interval, of these families: {', '.join(few)}."
        )
    if math.ceil(TOP * len(held)) < MIN_NETWORKS:
        found.append(f"The top {TOP:.0%} are too few networks for a rank correlation.")
    return tuple(found)
