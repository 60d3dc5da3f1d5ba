"""The page of facts: tables, and sentences made of the numbers. Its figures need matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench_imc.building.facts import (
    AT,
    BEST,
    COSTS,
    DIGITAL,
    FAMILIES,
    GOOD,
    LEVEL,
    MATCH,
    MIN_NETWORKS,
    OPERATOR_GROUPS,
    RESOLVED,
    TAKEN,
    TOP,
    Facts,
)
from nasbench_imc.building.facts_figures import COST_WORDS, FIGURES, compression_name
from nasbench_imc.building.pages import READING, markdown_table, number, reading, write_files

_NO_FIGURE = "Too few networks for a figure."


def write_page(facts: Facts, folder: Path) -> list[Path]:
    """Write ``README.md``, one CSV file an answer, and the figures for which there are enough networks.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    tables = {
        "distribution": facts.distribution,
        "correlation": facts.correlation,
        "compression": facts.compression,
        "fronts": facts.fronts,
        "transformers": facts.transformers,
        "noise": facts.noise,
        "seed_pairs": facts.seed_pairs,
        "floors": facts.floors,
        "fidelity": facts.fidelity,
    }
    files: dict[str, bytes] = {
        f"{name}.csv": frame.to_csv(index=False, float_format="%.5g", lineterminator="\n").encode()
        for name, frame in tables.items()
    }
    drawn = {f"{name}.png": draw(facts) for name, (draw, _) in FIGURES.items()}
    files |= {name: content for name, content in drawn.items() if content is not None}
    files["README.md"] = readme(facts, reading(folder), set(files)).encode()
    return write_files(folder, files)


# ---- text -------------------------------------------------------------------------------------------------


def readme(facts: Facts, reading: str | None, files: set[str] | None = None) -> str:
    """The page as Markdown.

    Parameters
    ----------
    facts : Facts
    reading : str or None
        What a person has to say about it, as Markdown.
    files : set of str, optional
        Names of the figures that there are; all by default.
    """
    said = sentences(facts)

    def figure(name: str) -> str:
        there = files is None or f"{name}.png" in files
        return f"![{FIGURES[name][1]}]({name}.png)" if there else _NO_FIGURE

    lacks = "\n".join(f"- {line}" for line in facts.missing)
    parts = [
        f"# Facts of the `{facts.name}` table",
        f"Made by `nasbench-imc build facts` from table version {facts.version}, SHA-256 `{facts.sha256}`; "
        f"text by hand is in `{READING}` and taken in below. {len(facts.networks):,} networks on "
        f"{len(facts.chips)} reference chips, at `{AT}` since programming; accuracies are score labels. How "
        "each figure is computed stands at the end.",
        f"**What this table lacks:**\n\n{lacks}" if lacks else "The table is complete.",
        "## 1. How accurate are the networks?",
        " ".join(said[1]),
        _distribution_table(facts),
        figure("distribution"),
        "All groups and quartiles: `distribution.csv`.",
        "## 2. Does digital accuracy rank networks on IMC hardware?",
        " ".join(said[2]),
        _correlation_table(facts),
        figure("correlation"),
        "All classes and times: `correlation.csv`.",
        "## 3. What does compression do to the fronts?",
        " ".join(said[3]),
        _compression_table(facts),
        *(figure(f"fronts_{cost}") for cost in COSTS),
        "All shares: `compression.csv`; the networks on the fronts: `fronts.csv`.",
        "## 4. Where do transformers win and lose?",
        " ".join(said[4]),
        figure("transformers"),
        "All classes, times and groups: `transformers.csv`.",
        "## 5. How large is the noise?",
        " ".join(said[5]),
        _noise_table(facts),
        figure("noise"),
        "All columns: `noise.csv`; training seeds in pairs: `seed_pairs.csv`; the noise floor of every "
        "accuracy class and time: `floors.csv`.",
        "## 6. What does a cheap label tell?",
        " ".join(said[6]),
        figure("fidelity"),
        "All chips and fidelities: `fidelity.csv`.",
        "## Reading",
        reading or "Nobody has written one yet.",
        "## How it was computed",
        _METHOD,
    ]
    return "\n\n".join(parts) + "\n"


#: Pairs of equal networks that seem to differ, with normal noise.
CHANCE = math.erfc(RESOLVED / math.sqrt(2))

_METHOD = f"""\
- Families: CNN without any attention stage, transformer of attention alone, mixed the rest. "Mostly" goes by
  the operator (`c`, `m`, `a`) with most blocks; `tie`: two are level.
- Networks, fronts and the best few are chosen by search labels (validation images, draws of their own) and
  judged by score labels: the largest of many noisy numbers would seem better than it is.
- Rank correlations: Kendall's tau-b and Spearman's rho, from {MIN_NETWORKS} networks on. The top {TOP:.0%}
  are chosen by what is correlated with the score label in 2, and by the score label in 6. Such a choice
  narrows the range of what is correlated, so tau within the top is lower than overall even where noise is
  the same. Search labels of the hardware itself show what noise alone leaves of a perfect ranking. It is no
  ceiling for digital accuracy on test images, since score labels are made of the same images.
- Fronts: networks within 10 points of the best. Hypervolume as in scoring: between ideal and nadir of the
  front of all compressions together, costs on a log scale.
- Equal energy: a network's accuracy minus the mean of the CNNs (of those of `c` alone, of the networks mostly
  `c`) whose energy on the same configuration is within a factor {MATCH}. Intervals: {LEVEL:.0%} percentile
  bootstrap over the networks so matched, with a seeded generator; those beside them are taken as given.
- Noise of training is over seeds of one network and holds the noise of draws with it. Beside it stands that
  of the best {GOOD:.0%} of these networks, by search labels and mean over seeds. The networks of a seed
  share a super-network, so they shift together: the SD of these shifts, which rank none above another,
  stands apart. The tau of trainings is between the ranks of these networks with one seed and with another,
  mean over pairs of seeds. The lead is that of the {TAKEN} of these networks that are best by search labels
  of a training over the mean of all, by score labels of that training and of the others. A draw has devices
  and images of its own. Two networks are told apart where they differ by more than {RESOLVED:g} standard
  errors of a difference, of draws by the error of these networks' own draws, of trainings by the SD of the
  best {GOOD:.0%} of those with several; of equal networks {CHANCE:.1%} would be, a little fewer where labels
  of the same training chose them. The score labels of the best {BEST:.0%} hold noise too, and so does their
  spread.
- Fidelities: `curve-k` is the validation accuracy at entry k of the learning curve, `draws-n` the mean of n
  noise draws on validation images, averaged over label seeds. Seconds are from scratch, without the
  super-network.
- Where too few networks stand behind a figure it is left out (–, or empty in the CSV files)."""


def sentences(facts: Facts) -> dict[int, list[str]]:
    """What the numbers say, by question; nothing of it is fixed beforehand."""
    return {
        1: _say_distribution(facts),
        2: _say_correlation(facts),
        3: _say_compression(facts),
        4: _say_transformers(facts),
        5: _say_noise(facts),
        6: _say_fidelity(facts),
    }


def _say_distribution(facts: Facts) -> list[str]:
    frame = facts.distribution[facts.distribution["networks"] > 0]
    families = frame[frame["group"].isin(FAMILIES)]
    digital = families[families["chip"] == DIGITAL].sort_values("q50", ascending=False)
    medians = ", ".join(f"{row['group']} {row['q50']:.1f} %" for row in _rows(digital))
    whole = frame[frame["group"] == "all"]
    best = _highest(whole[whole["chip"] == DIGITAL], "q50")
    on_chips = whole[whole["chip"] != DIGITAL]
    high, low = _highest(on_chips, "q50"), _lowest(on_chips, "q50")
    winners = [
        _highest(part, "q50")["group"]
        for chip, part in families.groupby("chip", sort=False)
        if chip != DIGITAL
    ]
    led = ", ".join(f"{name} on {winners.count(name)}" for name in FAMILIES if name in winners)
    return [
        f"Median digital accuracy by family: {medians}; the best network, `{best['best']}`, reaches "
        f"{best['max']:.1f} %.",
        f"Over all networks the median is highest on `{high['chip']}` ({high['q50']:.1f} %) and lowest on "
        f"`{low['chip']}` ({low['q50']:.1f} %).",
        f"Family with the highest median, by number of chips: {led}.",
    ]


def _say_correlation(facts: Facts) -> list[str]:
    frame = facts.correlation[facts.correlation["at"] == AT].dropna(subset=["tau"])
    if frame.empty:
        return [f"Fewer than {MIN_NETWORKS} networks have both accuracies: no rank correlation."]
    low, high, worst = _lowest(frame, "tau"), _highest(frame, "tau"), _highest(frame, "regret")
    within = frame.dropna(subset=["tau_digital_top", "tau_labels_top"])
    digital, labels = (within[f"tau_{what}_top"] for what in ("digital", "labels"))
    top = [
        f"Within the best {TOP:.0%} by digital accuracy on validation images its tau to the score label is "
        f"{digital.median():.2f} in the median ({_span(digital)}); within the best {TOP:.0%} by search "
        f"labels of the hardware theirs is {labels.median():.2f} ({_span(labels)})."
    ]
    return [
        f"Kendall's tau of digital accuracy to accuracy on hardware at {AT}, over {len(frame)} accuracy "
        f"classes: median {frame['tau'].median():.2f}, lowest on `{low['accuracy_class']}` "
        f"(tau {low['tau']:.2f}), highest on `{high['accuracy_class']}` (tau {high['tau']:.2f}).",
        *(top if len(within) else []),
        f"The {TAKEN} digitally best networks are {frame['regret'].median():.1f} points below the {TAKEN} "
        f"that search labels choose in the median class, and {worst['regret']:.1f} on "
        f"`{worst['accuracy_class']}`.",
    ]


def _say_compression(facts: Facts) -> list[str]:
    said = []
    for cost in COSTS:
        part = facts.compression[facts.compression["cost"] == cost].dropna(subset=["adds"])
        if part.empty:
            said.append(f"Against {COST_WORDS[cost]} one network beats all others on every chip.")
            continue
        means = part.groupby(["weight_bits", "sparsity"])[["share", "adds"]].mean().reset_index()
        alone, adding = _highest(means, "share"), _highest(means, "adds")
        idle = [_name(row) for row in _rows(means) if row["adds"] < 0.001]
        nothing = f"; {' and '.join(idle)} add under 0.1 %" if idle else ""
        said.append(
            f"Of the hypervolume against {COST_WORDS[cost]}, mean over chips, {_name(alone)} reach most "
            f"alone ({alone['share']:.0%}) and {_name(adding)} add most to the others "
            f"({adding['adds']:.1%}){nothing}."
        )
    return said


def _name(row: Mapping[str, Any]) -> str:
    return compression_name(int(row["weight_bits"]), row["sparsity"])


def _say_transformers(facts: Facts) -> list[str]:
    frame = facts.transformers[facts.transformers["at"] == AT]
    losses = frame.pivot_table(index="accuracy_class", columns="group", values="loss", sort=False)
    if not {"CNN", "transformer"} <= set(losses.columns):
        return ["CNNs or transformers are missing, so that their losses cannot be compared."]
    operators = ", ".join(
        f"{losses[name].median():.1f} {name.replace('mostly ', 'mostly `')}`"
        for name in OPERATOR_GROUPS
        if name in losses and name != "tie"
    )
    said = [f"By operator the loss from digital to hardware at {AT} is, in the median class, {operators}."]
    for base, words in (("CNN", "CNNs"), ("only c", "networks of `c` alone")):
        if base in losses:
            said.append(_say_losses(losses, base, words))
        said.append(_say_equal_energy(frame[frame["beside"] == base], words))
    return said


def _say_losses(losses: pd.DataFrame, base: str, words: str) -> str:
    losses = losses.assign(gap=losses["transformer"] - losses[base]).reset_index()
    more, less = _highest(losses, "gap"), _lowest(losses, "gap")
    return (
        f"Transformers lose more than {words} on {int((losses['gap'] > 0).sum())} of {len(losses)} classes, "
        f"{losses['gap'].median():+z.1f} points in the median; beside them they lose most on "
        f"`{more['accuracy_class']}` ({more['transformer']:.1f} against {more[base]:.1f} points) and least "
        f"on `{less['accuracy_class']}` ({less['transformer']:.1f} against {less[base]:.1f})."
    )


def _say_equal_energy(frame: pd.DataFrame, words: str) -> str:
    equal = frame[frame["group"] == "transformer"].dropna(subset=["difference_low"])
    if equal.empty:
        return f"Fewer than {MIN_NETWORKS} transformers have {words} of equal energy beside them."
    high, low = _highest(equal, "difference"), _lowest(equal, "difference")
    return (
        f"At equal energy they are above {words} on {int((equal['difference_low'] > 0).sum())} of "
        f"{len(equal)} classes and below on {int((equal['difference_high'] < 0).sum())} ({LEVEL:.0%} "
        f"interval clear of zero): from {high['difference']:+z.1f} points on `{high['hardware']}` to "
        f"{low['difference']:+z.1f} on `{low['hardware']}`. The same pairs differ digitally by "
        f"{equal['digital_difference'].median():+z.1f} points in the median class."
    )


def _say_noise(facts: Facts) -> list[str]:
    digital, chips = (
        facts.noise[facts.noise["chip"] == DIGITAL],
        facts.noise[facts.noise["chip"] != DIGITAL],
    )
    seeds, draws, best = (chips[name].dropna() for name in ("seed_sd", "draw_sd", "best_sd"))
    said = []
    if len(seeds):
        said.append(
            f"Trainings of one network differ by an SD of {digital['seed_sd'].max():.2f} points digitally "
            f"and {_span(seeds)} on the chips, measured on {chips['seed_networks'].max()} networks, and all "
            f"networks together from seed to seed by {digital['seed_shift'].max():.2f} and "
            f"{_span(chips['seed_shift'])}."
        )
        if len(taus := chips["seed_tau"].dropna()):
            said.append(
                f"One training ranks them as another does with a tau of {digital['seed_tau'].max():.2f} "
                f"digitally and {_span(taus)} on the chips."
            )
        leads = chips[["seed_lead", "seed_lead_other"]].dropna()
        if len(leads):
            said.append(
                f"The {TAKEN} that search labels of one training choose among them lead the mean by "
                f"{_span(leads['seed_lead'])} points on the chips, and by {_span(leads['seed_lead_other'])} "
                "where another training judges."
            )
    else:
        said.append("No network was trained with two seeds: the noise of training is unknown.")
    if len(draws):
        said.append(
            f"A single noise draw has an SD of {_span(draws)} points (largest on "
            f"`{_highest(chips, 'draw_sd')['chip']}`), the mean of all draws an error of "
            f"{_span(chips['draw_error'])}."
        )
    if best.empty:
        return [*said, f"The best {BEST:.0%} are a single network: no spread to compare with."]
    said.append(f"The best {BEST:.0%} of the networks spread by an SD of {_span(best)} points on chips.")
    for column, what in (("resolved_draws", "draws"), ("resolved_seeds", "trainings")):
        shares = chips[column].dropna()
        if len(shares):
            said.append(
                f"Given the noise of {what}, {shares.min():.0%} to {shares.max():.0%} of their pairs are "
                "told apart."
            )
    return said


def _span(values: pd.Series) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"


def _say_fidelity(facts: Facts) -> list[str]:
    mean = facts.fidelity.groupby("fidelity", sort=False)[["seconds", "tau", "tau_top"]].mean()
    known = _rows(mean.dropna(subset=["tau"]).reset_index())
    if not known:
        return [f"Fewer than {MIN_NETWORKS} networks: no rank correlation."]
    said = [
        f"`{row['fidelity']}` {row['tau']:.2f}"
        + ("" if math.isnan(row["tau_top"]) else f" (best {TOP:.0%}: {row['tau_top']:.2f})")
        + f" at {row['seconds']:.1f} core-s"
        for row in known
    ]
    epochs = facts.fidelity.drop_duplicates("fidelity")["epochs"].dropna()
    shared = facts.fidelity["supernet_seconds"].iloc[0]
    once = f" The super-network from which all networks inherit took {shared:,.0f} core-s, once."
    last = known[-1]
    enough = next(row for row in known if row["tau"] >= 0.9 * last["tau"])
    return [
        f"Kendall's tau to the score label, mean over chips: {'; '.join(said)}.",
        f"Nine tenths of the last fidelity's tau are first reached by `{enough['fidelity']}`, in "
        f"{enough['seconds'] / last['seconds']:.0%} of its time.",
        f"The entries of the learning curve are after {', '.join(f'{epoch:g}' for epoch in epochs)} epochs "
        f"of individual training.{once if shared else ''}",
    ]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _highest(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    """The row with the largest value; the first of equal ones."""
    return _rows(frame.dropna(subset=[name]).sort_values(name, ascending=False, kind="stable").head(1))[0]


def _lowest(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    return _rows(frame.dropna(subset=[name]).sort_values(name, kind="stable").head(1))[0]


def _distribution_table(facts: Facts) -> str:
    names = ("all", *FAMILIES, *OPERATOR_GROUPS)
    held = {(row["chip"], row["group"]): row for row in _rows(facts.distribution)}
    header = ("chip", *(f"{name} ({held[DIGITAL, name]['networks']:,})" for name in names))
    rows = [
        (_chip(chip), *(number(held[chip, name]["q50"], 1) for name in names))
        for chip in (DIGITAL, *facts.chips)
    ]
    return "Median accuracy [%] by group (number of networks).\n\n" + markdown_table(header, rows)


def _correlation_table(facts: Facts) -> str:
    frame = facts.correlation[facts.correlation["at"] == AT]
    rows = [
        (
            _chip(row["hardware"]),
            number(row["tau"], 2),
            *(
                f"{shown(row[name.format('digital')])} / {shown(row[name.format('labels')])}"
                for name, shown in (("tau_{}", _two), ("tau_{}_top", _two), ("shared_{}", _percent))
            ),
            f"{row['regret']:.1f}",
        )
        for row in _rows(frame[frame["hardware"].isin(facts.chips)])
    ]
    header = (
        "chip",
        "tau",
        "tau, seen",
        f"tau, seen, best {TOP:.0%}",
        f"shared best {TOP:.0%}",
        "lost [points]",
    )
    return (
        "How digital accuracy ranks networks on each reference chip. tau: both accuracies on test images. "
        "Then what a search can see, digital accuracy on validation images / search labels of the chip, "
        f"beside the score label: tau over all networks; over the best {TOP:.0%} that each chooses; share "
        f"of these that are among the best {TOP:.0%} by score label. Lost: by the {TAKEN} digitally best, "
        f"beside the {TAKEN} best by search labels.\n\n" + markdown_table(header, rows)
    )


def _two(value: float) -> str:
    return number(value, 2)


def _compression_table(facts: Facts) -> str:
    names = ["accuracy_change", "cost_factor", "share", "adds"]
    means = facts.compression.groupby(["weight_bits", "sparsity", "cost"], sort=False)[names].mean()
    held = {(row["weight_bits"], row["sparsity"], row["cost"]): row for row in _rows(means.reset_index())}
    rows = []
    for bits, sparsity in dict.fromkeys((bits, sparsity) for bits, sparsity, _ in held):
        by_cost = [held[bits, sparsity, cost] for cost in COSTS]
        rows.append(
            (
                compression_name(bits, sparsity),
                f"{by_cost[0]['accuracy_change']:+z.1f}",
                *(f"{row['cost_factor']:.2f}" for row in by_cost),
                *(f"{_percent(row['share'])} / {_percent(row['adds'])}" for row in by_cost),
            )
        )
    header = (
        "weights",
        "accuracy [points]",
        *(f"{COST_WORDS[cost]} factor" for cost in COSTS),
        *(f"{COST_WORDS[cost]}: alone / adds" for cost in COSTS),
    )
    return (
        "Mean over chips: change of accuracy and factor of cost against 8 bits and sparsity 0; share of the "
        "hypervolume of all compressions that is reached alone, and that is lost without.\n\n"
        + markdown_table(header, rows)
    )


def _noise_table(facts: Facts) -> str:
    points = (
        "seed_sd",
        "seed_sd_best",
        "seed_shift",
        "draw_sd",
        "draw_error",
        "best_sd",
        "best_range",
        "best_error",
    )
    rows = [
        (
            _chip(row["chip"]),
            *(number(row[name], 2) for name in points),
            *(_percent(row[name]) for name in ("resolved_draws", "resolved_seeds")),
            number(row["seed_tau"], 2),
            f"{number(row['seed_lead'], 2)} / {number(row['seed_lead_other'], 2)}",
        )
        for row in _rows(facts.noise)
    ]
    header = (
        "chip",
        "SD, trainings",
        f"SD, trainings, best {GOOD:.0%}",
        "shift, seeds",
        "SD, one draw",
        "error, all draws",
        f"SD, best {BEST:.0%}",
        f"range, best {BEST:.0%}",
        f"error, best {BEST:.0%}",
        "told apart (draws)",
        "told apart (trainings)",
        "tau, trainings",
        f"lead of {TAKEN}, same / another training",
    )
    floors = facts.floors["label_sd"].dropna()
    said = ""
    if len(floors):
        low, high = _lowest(facts.floors, "label_sd"), _highest(facts.floors, "label_sd")
        said = (
            f" The noise floor of a label (SD of search minus score label) is {floors.median():.2f} in the "
            f"median accuracy class, from {low['label_sd']:.2f} (`{low['accuracy_class']}`) to "
            f"{high['label_sd']:.2f} (`{high['accuracy_class']}`, {high['at']})."
        )
    return f"Points of accuracy.{said}\n\n" + markdown_table(header, rows)


def _chip(name: str) -> str:
    return name if name == DIGITAL else f"`{name}`"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0%}"
