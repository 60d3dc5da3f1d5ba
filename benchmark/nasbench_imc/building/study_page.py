"""The protocol study's page: tables, figures and a README that holds them together. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nasbench_imc.building.pages import READING, markdown_table, number, png, reading, styled, write_files
from nasbench_imc.building.study import (
    FAMILIES,
    GOALS,
    LEVEL,
    MIN_NETWORKS,
    REFERENCE,
    Comparison,
    Estimate,
    SeedNoise,
    Study,
    family,
    seed_noise,
)
from nasbench_imc.spaces.hybrid import OPERATORS

_COLOURS = {"CNN": "#0072B2", "mixed": "#009E73", "transformer": "#D55E00"}
_MARKERS = {"CNN": "o", "mixed": "s", "transformer": "^"}
_GOAL_WORDS = {
    "tau": "lower end of tau's interval at least 0.6",
    "ceiling": "tau at least 0.8 of its ceiling",
    "seconds": "at most 50 core-seconds a network, the super-network's share among them",
    "best": "best network at least 75 %",
    "gap": "CNNs and transformers within 2 points of each other",
}


def write_page(study: Study, folder: Path, unseen: Study | None = None) -> list[Path]:
    """Write ``study.csv``, ``accuracies.csv``, ``accuracies.png``, ``tau.png`` and ``README.md``.

    Parameters
    ----------
    study : Study
    folder : pathlib.Path
    unseen : Study, optional
        The same of networks by which nothing was chosen: ``unseen.csv`` and ``unseen_accuracies.csv``.

    Returns
    -------
    list of pathlib.Path
        The files written; ``tau.png`` is not where no recipe has a tau.
    """
    files = _tables(study, "study.csv", "accuracies.csv")
    if unseen is not None:
        files |= _tables(unseen, "unseen.csv", "unseen_accuracies.csv")
    judged = _judged(study)
    if judged:
        files |= {"accuracies.png": _panels(study, judged), "tau.png": _overview(study, judged)}
    files["README.md"] = readme(study, reading(folder), unseen).encode()
    return write_files(folder, files)


def _tables(study: Study, comparisons: str, accuracies: str) -> dict[str, bytes]:
    """All figures of a recipe and seed, and all accuracies, under these names."""
    return {
        comparisons: study.table.to_csv(index=False, float_format="%.4f", lineterminator="\n").encode(),
        accuracies: study.accuracies.to_csv(float_format="%.2f", lineterminator="\n").encode(),
    }


def _judged(study: Study) -> list[Comparison]:
    """Cheap recipes that have a tau."""
    return [c for c in study.comparisons if c.recipe != REFERENCE and not np.isnan(c.tau.value)]


def readme(study: Study, reading: str | None, unseen: Study | None = None) -> str:
    """The page as Markdown.

    Parameters
    ----------
    study : Study
    reading : str or None
        What a person has to say about it, as Markdown.
    unseen : Study, optional
        The same of networks by which nothing was chosen.
    """
    judged = _judged(study)
    few = [c for c in study.comparisons if c.recipe != REFERENCE and c not in judged]
    total = len(study.accuracies)
    counts = ", ".join(
        f"seed {str(name).rsplit('-', 1)[1]} {values.notna().sum()} of {total}"
        for name, values in study.references.items()
    )
    parts = [
        "# A training protocol for the `hybrid` space",
        "Made by `nasbench-imc build study` from `datasets/raw/training/runs.jsonl.gz`; text by hand is in "
        f"`{READING}` and taken in below.",
        f"{total} networks, the head of `benchmark/nasbench_imc/building/audit_list.txt`, are trained by "
        f"cheap recipes and by a long reference (recipe `{REFERENCE}`). Networks with a reference: {counts}. "
        "A network without one is left out of all comparisons.",
        _ceiling_text(study),
        "## Recipes",
        _recipe_table(judged) if judged else "No cheap recipe has been run on enough networks yet.",
    ]
    if judged:
        parts += [
            _goals_text(judged),
            "![Tau, core-seconds and accuracy of each recipe](tau.png)",
            "## Who gains and who loses",
            _difference_table(judged),
            "![Accuracy of each recipe against the reference](accuracies.png)",
        ]
    if unseen is not None and (held_out := _judged(unseen)):
        parts += ["## Networks that the choice did not see", _unseen_text(unseen, held_out)]
    noise = seed_noise(study.accuracies)
    if noise:
        parts += ["## Training seeds", _seed_table(noise)]
    if few:
        names = ", ".join(f"`{c.name}` ({c.networks})" for c in few)
        parts += [
            f"Too few networks beside the reference for a tau (fewer than {MIN_NETWORKS}): {names}. Their "
            "accuracies are in `accuracies.csv`."
        ]
    parts += ["## Reading", reading or "Nobody has written one yet.", "## How it was computed", _METHOD]
    return "\n\n".join(parts) + "\n"


_METHOD = f"""\
- Recipes: `alone-E` trains a fresh network for E epochs; `PARENT+E` inherits weights from a super-network
  of recipe PARENT and of the network's seed, re-estimates the statistics of batch normalisation and trains
  E epochs; a PARENT of `ROOT-s3-E` branches from ROOT by the last stage, `-s23-E` from that by the last two,
  for E epochs each; `-from-0`: from the super-network of seed 0 whatever the seed; `-ema`: a moving average
  of the weights; `-clean`: no weight noise and no clipping; `-lrN`: a peak learning rate of N thousandths.
- Tau is Kendall's tau-b between test accuracies, averaged over the reference's seeds (single runs beside
  single runs). The better half is that of the mean over these seeds.
- Intervals: {LEVEL:.0%} percentile bootstrap over networks, with a seeded generator.
- Core-seconds are processor time of one thread on a machine shared with other work, evaluation left out:
  upper bounds. Runs on a GPU differ by rounding and by the order of some noise; they count for accuracy, not
  for seconds. The share is the super-network's time over the 1,728 networks of the space.
- Differences are recipe minus mean of the reference. A network counts to the operator that has the most
  blocks (none where two are level). CNN: more convolutional blocks (`c`, `m`) than attention blocks;
  transformer: fewer; mixed: as many.
- `study.csv` has all figures of a recipe and seed, `accuracies.csv` all test accuracies [%]; `unseen.csv` and
  `unseen_accuracies.csv` those of the networks that the choice did not see."""


def _ceiling_text(study: Study) -> str:
    if np.isnan(study.ceiling.value):
        return f"The reference's seeds share {study.ceiling_networks} networks, too few for tau's ceiling."
    better = next(c for c in study.comparisons if c.recipe == REFERENCE)
    within = "too few networks yet" if np.isnan(better.tau_better.value) else _interval(better.tau_better)
    return (
        f"Tau between the reference's own seeds, its ceiling: {_interval(study.ceiling)} over "
        f"{study.ceiling_networks} networks; within the better half: {within}."
    )


def _recipe_table(judged: Sequence[Comparison]) -> str:
    header = (
        "recipe, seed",
        "networks",
        "core-s",
        "+ share",
        f"tau [{LEVEL:.0%}]",
        "tau, better half",
        "tau / ceiling",
        "best [%]",
        "mean [%]",
        "minus reference",
        "goals",
    )
    rows = [
        (
            f"`{c.recipe}`, {c.seed}",
            str(c.networks),
            number(c.seconds, 1),
            number(c.shared_seconds, 1),
            _interval(c.tau),
            _interval(c.tau_better),
            _interval(c.tau_over_ceiling),
            f"{c.best_accuracy:.1f}",
            f"{c.mean_accuracy:.1f}",
            _signed(c.difference),
            _goals(c),
        )
        for c in judged
    ]
    return markdown_table(header, rows)


def _difference_table(judged: Sequence[Comparison]) -> str:
    header = (
        "recipe, seed",
        *(f"mostly `{operator}`" for operator in OPERATORS),
        *FAMILIES,
        f"gap CNN - transformer [{LEVEL:.0%}]",
    )
    rows = [
        (
            f"`{c.recipe}`, {c.seed}",
            *(_signed(c.by_operator[operator]) for operator in OPERATORS),
            *(_signed(c.by_family[name]) for name in FAMILIES),
            _interval(c.gap, "+z.1f"),
        )
        for c in judged
    ]
    return "Mean accuracy minus the reference's [points].\n\n" + markdown_table(header, rows)


def _unseen_text(unseen: Study, judged: Sequence[Comparison]) -> str:
    header = ("recipe, seed", "networks", f"tau [{LEVEL:.0%}]", "best [%]", "mean [%]", "minus reference")
    rows = [
        (
            f"`{c.recipe}`, {c.seed}",
            str(c.networks),
            _interval(c.tau),
            f"{c.best_accuracy:.1f}",
            f"{c.mean_accuracy:.1f}",
            _signed(c.difference),
        )
        for c in judged
    ]
    return (
        f"The other {len(unseen.accuracies)} networks of the audit list, with one seed of the reference; no "
        "recipe was chosen by them.\n\n" + markdown_table(header, rows)
    )


def _seed_table(noise: Sequence[SeedNoise]) -> str:
    header = ("recipe", "seeds", "networks", "shift [points]", "s.d. of a run [points]", "tau between seeds")
    rows = [
        (
            f"`{each.recipe}`",
            ", ".join(map(str, each.seeds)),
            str(each.networks),
            f"{each.shift:.2f}",
            f"{each.deviation:.2f}",
            f"{each.tau:.2f}",
        )
        for each in noise
    ]
    return (
        "What another seed changes: all networks together (shift, as super-networks differ), and one run "
        "about its network's mean. With `-from-0` the super-network stays that of seed 0.\n\n"
        + markdown_table(header, rows)
    )


def _goals_text(judged: Sequence[Comparison]) -> str:
    lines = ["Goals, and the recipes that meet each:", ""]
    for goal in GOALS:
        met = [f"`{c.name}`" for c in judged if c.goals[goal]]
        unknown = sum(c.goals[goal] is None for c in judged)
        note = f" (not known yet of {unknown})" if unknown else ""
        lines.append(f"- {goal}: {_GOAL_WORDS[goal]}: {', '.join(met) or 'none'}{note}")
    full = [f"`{c.name}`" for c in judged if all(c.goals.values())]
    return "\n".join([*lines, "", f"All of them: {', '.join(full) or 'none'}."])


def _goals(comparison: Comparison) -> str:
    goals = comparison.goals
    failed = [goal for goal, met in goals.items() if met is False]
    unknown = [f"{goal}?" for goal, met in goals.items() if met is None]
    return "all" if not failed and not unknown else "not " + ", ".join([*failed, *unknown])


def _signed(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:+z.1f}"


def _interval(estimate: Estimate, form: str = ".2f") -> str:
    if np.isnan(estimate.value):
        return "–"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _panels(study: Study, judged: Sequence[Comparison]) -> bytes:
    """Accuracy against the reference's, a panel for each recipe and seed."""
    columns = min(5, len(judged))
    rows = -(-len(judged) // columns)
    reference = study.references.mean(axis=1)
    shown = study.accuracies.loc[reference.notna()]
    values = shown[[c.name for c in judged]].to_numpy()
    low = float(np.nanmin([np.nanmin(values), reference.min()])) - 1
    high = float(np.nanmax([np.nanmax(values), reference.max()])) + 1
    left, right = float(reference.min()) - 0.5, float(reference.max()) + 0.5
    families = np.array([family(str(code)) for code in study.accuracies.index])
    with styled():
        figure = Figure(figsize=(2.3 * columns + 0.6, 2.35 * rows + 0.6), dpi=130, layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel in panels.flat[len(judged) :]:
            panel.set_visible(False)
        for panel in panels.flat[max(len(judged) - columns, 0) : len(judged)]:  # the lowest of each column
            panel.tick_params(labelbottom=True)
        for panel, comparison in zip(panels.flat, judged, strict=False):
            panel.plot([left, right], [left, right], color="#888888", linewidth=0.8, zorder=1)
            for name in FAMILIES:
                chosen = families == name
                panel.scatter(
                    reference[chosen],
                    study.accuracies[comparison.name][chosen],
                    s=16,
                    color=_COLOURS[name],
                    marker=_MARKERS[name],
                    label=name,
                    alpha=0.85,
                    linewidths=0,
                    zorder=2,
                )
            panel.set_title(f"{comparison.recipe}, seed {comparison.seed}\nτ = {comparison.tau.value:.2f}")
            panel.set_xlim(left, right)
            panel.set_ylim(low, high)
        figure.supxlabel("Reference, mean of its seeds [%]")
        figure.supylabel("Recipe [%]")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(FAMILIES), frameon=False)
        return png(figure)


def _overview(study: Study, judged: Sequence[Comparison]) -> bytes:
    """Tau with its interval, core-seconds a network and accuracies, side by side."""
    with styled():
        figure = Figure(figsize=(9.2, 0.6 + 0.3 * max(len(judged), 6)), dpi=130, layout="constrained")
        taus, costs, means = figure.subplots(1, 3, sharey=True, width_ratios=(2, 1.2, 1.2))
        places = np.arange(len(judged))
        values = np.array([c.tau.value for c in judged])
        # A percentile interval need not hold the figure itself.
        ends = np.array([(c.tau.value - c.tau.low, c.tau.high - c.tau.value) for c in judged]).T
        ends = ends.clip(min=0)
        taus.errorbar(values, places, xerr=ends, fmt="o", color="#0072B2", markersize=4, capsize=2)
        if not np.isnan(study.ceiling.value):
            taus.axvspan(study.ceiling.low, study.ceiling.high, color="#f0f0f0", linewidth=0, zorder=0)
            taus.axvline(study.ceiling.value, color="#888888", linewidth=1, label="between reference's seeds")
            taus.legend(loc="lower left", frameon=False, fontsize=8)
        taus.set_xlabel(f"Kendall's τ to the reference, {LEVEL:.0%} interval")
        taus.set_yticks(places, [f"{c.recipe}, seed {c.seed}" for c in judged])
        taus.set_ylim(len(judged) - 0.4, -0.6)
        costs.barh(places, np.nan_to_num([c.total_seconds for c in judged]), color="#9ecae1", height=0.6)
        costs.set_xlabel("Core-seconds a network")
        means.plot(
            [c.mean_accuracy for c in judged], places, "o", color="#009E73", markersize=4, label="mean"
        )
        means.plot(
            [c.best_accuracy for c in judged], places, "^", color="#D55E00", markersize=5, label="best"
        )
        means.legend(loc="lower left", frameon=False, fontsize=8)
        means.set_xlabel("Accuracy [%]")
        return png(figure)
