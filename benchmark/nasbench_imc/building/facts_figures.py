"""The figures of the page of facts, as PNG. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nasbench_imc.building.facts import AT, BEST, COSTS, DIGITAL, LEVEL, TAKEN, TOP, Facts, groups
from nasbench_imc.building.pages import png, styled

# Okabe and Ito's colours; a marker or a pattern beside each, so that no figure is read by colour alone.
_FAMILY_LOOKS = {"CNN": ("#0072B2", "o"), "mixed": ("#009E73", "s"), "transformer": ("#D55E00", "^")}
_OPERATOR_LOOKS = {
    "mostly c": ("#0072B2", "o"),
    "mostly m": ("#56B4E9", "D"),
    "mostly a": ("#D55E00", "^"),
    "tie": ("#999999", "s"),
}
_COMPRESSION_LOOKS = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"))
_CHIP_LOOKS = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
    ("#882255", "X"),
    ("#332288", "h"),
)
_AXES = {"energy": "Energy [µJ/inference]", "latency": "Latency [µs]", "edap": "EDAP [µJ µs mm²]"}
#: Costs as they are written.
COST_WORDS = {"energy": "energy", "latency": "latency", "edap": "EDAP"}


def compression_name(bits: int, sparsity: float) -> str:
    """Such as ``4 bits and sparsity 0.5``."""
    return f"{bits} bits and sparsity {sparsity:g}"


def _boxes(facts: Facts) -> bytes:
    """Accuracy by chip: boxes by family, and by dominant operator."""
    masks, names = groups(facts.networks), (DIGITAL, *facts.chips)
    with styled():
        figure = Figure(figsize=(9.6, 6.6), dpi=130, layout="constrained")
        panels = figure.subplots(2, 1, sharex=True, sharey=True)
        for panel, looks in zip(panels, (_FAMILY_LOOKS, _OPERATOR_LOOKS), strict=True):
            width = 0.8 / len(looks)
            for k, (group, (colour, _)) in enumerate(looks.items()):
                values = [facts.networks.loc[masks[group], name].to_numpy() for name in names]
                if not len(values[0]):
                    continue
                drawn = panel.boxplot(
                    values,
                    positions=np.arange(len(names)) + (k - (len(looks) - 1) / 2) * width,
                    widths=0.85 * width,
                    whis=(0, 100),
                    patch_artist=True,
                    manage_ticks=False,
                    medianprops={"color": "black"},
                    boxprops={"facecolor": colour, "linewidth": 0.5},
                )
                drawn["boxes"][0].set_label(f"{group} ({len(values[0]):,})")
            panel.legend(frameon=False, fontsize=8, ncols=len(looks), loc="lower left", bbox_to_anchor=(0, 1))
            panel.set_ylabel("Accuracy [%]")
        _name_chips(panels[1], names)
        return png(figure)


def _name_chips(panel: Axes, names: Sequence[str]) -> None:
    panel.set_xticks(range(len(names)), names, rotation=25, ha="right")
    panel.tick_params(axis="x", length=0)


def _taus(facts: Facts) -> bytes | None:
    """Tau and overlap of every accuracy class."""
    frame = facts.correlation[facts.correlation["at"] == AT].dropna(subset=["tau"])
    if frame.empty:
        return None
    frame = frame.sort_values("tau", ascending=False)
    places = np.arange(len(frame))
    with styled():
        figure = Figure(figsize=(9.2, 1.2 + 0.19 * len(frame)), dpi=130, layout="constrained")
        taus, regrets = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
        taus.plot(frame["tau"], places, "o", color="#0072B2", markersize=4.5, label="all networks")
        taus.plot(
            frame["tau_digital_top"],
            places,
            "^",
            color="#D55E00",
            markersize=4.5,
            label=f"best {TOP:.0%} on validation images, by these",
        )
        taus.plot(
            frame["tau_labels_top"],
            places,
            "x",
            color="#555555",
            markersize=4.5,
            label=f"best {TOP:.0%} by search labels, by these",
        )
        taus.axvline(0, color="#888888", linewidth=0.8)
        taus.set_xlabel(f"Kendall's τ of digital accuracy to accuracy on hardware, {AT}")
        taus.set_yticks(places, list(frame["accuracy_class"]), fontsize=7.5)
        taus.set_ylim(len(frame) - 0.4, -0.6)
        taus.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
        regrets.barh(places, frame["regret"], color="#9ecae1", height=0.65)
        regrets.set_xlabel(f"{TAKEN} digitally best below {TAKEN} best\nby search labels [points]")
        return png(figure)


def _front_figure(cost: str) -> Callable[[Facts], bytes | None]:
    def draw(facts: Facts) -> bytes | None:
        frame = facts.fronts[facts.fronts["cost"] == cost]
        columns = min(4, len(facts.chips))
        rows = -(-len(facts.chips) // columns)
        kinds = list(dict.fromkeys(zip(frame["weight_bits"], frame["sparsity"], strict=True)))
        with styled():
            figure = Figure(figsize=(2.6 * columns + 0.4, 2.5 * rows + 0.7), dpi=130, layout="constrained")
            panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
            for panel in panels.flat[len(facts.chips) :]:
                panel.set_visible(False)
            for panel, chip in zip(panels.flat, facts.chips, strict=False):
                for kind, (colour, marker) in zip(kinds, _COMPRESSION_LOOKS, strict=False):
                    here = (frame["chip"] == chip) & (frame["weight_bits"] == kind[0])
                    part = frame[here & (frame["sparsity"] == kind[1])]
                    look = {"color": colour, "marker": marker, "markersize": 3, "linewidth": 1.1}
                    panel.step(
                        part["value"],
                        part["accuracy"],
                        where="post",
                        label=compression_name(*kind),
                        alpha=0.9,
                        **look,
                    )
                _log_axis(panel)
                panel.set_title(chip, fontsize=8)
            figure.supxlabel(_AXES[cost])
            figure.supylabel(f"Accuracy [%], {AT}")
            handles, labels = panels.flat[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper center", ncols=len(kinds), frameon=False)
            return png(figure)

    return draw


def _log_axis(panel: Axes) -> None:
    """A logarithmic x axis, after plotting, with a few labels that are plain numbers."""
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if high < 10 * low else (1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="x", labelsize=7.5)


def _losses(facts: Facts) -> bytes:
    """Loss by family on every class, and transformers against CNNs at equal energy on reference chips."""
    frame = facts.transformers[facts.transformers["at"] == AT]
    losses = frame.pivot_table(index="accuracy_class", columns="group", values="loss", sort=False)
    losses = losses.sort_values("all")
    places = np.arange(len(losses))
    with styled():
        figure = Figure(figsize=(10.2, 1.3 + 0.19 * len(losses)), dpi=130, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        for name, (colour, marker) in (_FAMILY_LOOKS | {"only c": ("#000000", "x")}).items():
            if name in losses:
                left.plot(losses[name], places, marker, color=colour, markersize=4.5, label=name, alpha=0.9)
        left.axvline(0, color="#888888", linewidth=0.8)
        left.set_yticks(places, list(losses.index), fontsize=7.5)
        left.set_ylim(len(losses) - 0.4, -0.6)
        left.set_xlabel(f"Mean loss from digital to hardware [points], {AT}")
        left.legend(frameon=False, fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
        _equal_energy(right, facts, frame)
        return png(figure)


def _equal_energy(panel: Axes, facts: Facts, frame: pd.DataFrame) -> None:
    own = frame[(frame["group"] == "transformer") & frame["hardware"].isin(facts.chips)]
    places = np.arange(own["hardware"].nunique())
    for beside, name, offset, colour, marker, label in (
        ("CNN", "digital_difference", -0.24, "#555555", "o", "CNNs, digitally"),
        ("CNN", "difference", 0.0, "#D55E00", "^", "CNNs, on the chip"),
        ("only c", "difference", 0.24, "#0072B2", "s", "only c, on the chip"),
    ):
        part = own[own["beside"] == beside]
        # A percentile interval need not hold the mean itself, and there is none of too few networks.
        ends = [part[name] - part[f"{name}_low"], part[f"{name}_high"] - part[name]]
        panel.errorbar(
            part[name],
            places + offset,
            xerr=np.nan_to_num(ends).clip(min=0),
            fmt=marker,
            color=colour,
            markersize=5,
            capsize=2,
            label=label,
        )
    panel.axvline(0, color="#888888", linewidth=0.8)
    panel.set_yticks(places, list(own["hardware"].unique()), fontsize=7.5)
    panel.set_ylim(len(places) - 0.4, -0.6)
    panel.set_xlabel(f"Transformers minus others of equal energy [points],\n{LEVEL:.0%} interval")
    panel.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def _noises(facts: Facts) -> bytes:
    """Noise and the spread of the best, by chip."""
    looks = {
        "draw_error": ("#56B4E9", "o", "error of the mean of all draws"),
        "draw_sd": ("#0072B2", "s", "SD of one draw"),
        "seed_sd": ("#D55E00", "^", "SD over training seeds"),
        "best_sd": ("#000000", "D", f"SD of the best {BEST:.0%} of networks"),
    }
    places = np.arange(len(facts.noise))
    with styled():
        figure = Figure(figsize=(8.6, 1.4 + 0.32 * len(facts.noise)), dpi=130, layout="constrained")
        panel = figure.subplots()
        apart = np.linspace(-0.21, 0.21, len(looks))  # several are often equal, and would hide one another
        for (name, (colour, marker, label)), shift in zip(looks.items(), apart, strict=True):
            if facts.noise[name].notna().any():
                panel.plot(
                    facts.noise[name],
                    places + shift,
                    marker,
                    color=colour,
                    markersize=5.5,
                    label=label,
                    clip_on=False,
                )
        panel.set_yticks(places, list(facts.noise["chip"]))
        panel.set_ylim(len(places) - 0.4, -0.6)
        panel.set_xlim(left=0)
        panel.set_xlabel(f"Accuracy [points], {AT}")
        panel.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
        return png(figure)


def _fidelities(facts: Facts) -> bytes | None:
    """Tau of each fidelity, cheapest first, a line for each chip."""
    frame = facts.fidelity
    if frame["tau"].isna().all():
        return None
    seconds = frame.drop_duplicates("fidelity").set_index("fidelity")["seconds"]
    labels = [f"{name}\n{value:.1f}" for name, value in seconds.items()]
    with styled():
        figure = Figure(figsize=(9.6, 4.4), dpi=130, layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        titles = {"tau": "all networks", "tau_top": f"best {TOP:.0%} by score label"}
        for panel, (name, title) in zip(panels, titles.items(), strict=True):
            for chip, (colour, marker) in zip(facts.chips, _CHIP_LOOKS, strict=False):
                values = frame.loc[frame["chip"] == chip, name]
                look = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.1}
                panel.plot(range(len(labels)), values, label=chip, **look)
            panel.set_xticks(range(len(labels)), labels, fontsize=7.5)
            panel.set_xlabel("Fidelity, and its time a network from scratch [core-s]")
            panel.set_title(title, fontsize=9)
        panels[0].set_ylabel("Kendall's τ to the score label")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        return png(figure)


#: Figures by name: how each is drawn, and what stands for it where it is not seen.
FIGURES: dict[str, tuple[Callable[[Facts], bytes | None], str]] = {
    "distribution": (_boxes, "Accuracy by chip, family and operator"),
    "correlation": (_taus, "Tau of digital accuracy to accuracy on each class"),
    **{
        f"fronts_{cost}": (
            _front_figure(cost),
            f"Fronts of accuracy against {COST_WORDS[cost]} by compression",
        )
        for cost in COSTS
    },
    "transformers": (_losses, "Loss by family, and transformers against CNNs at equal energy"),
    "noise": (_noises, "Noise beside the spread of the best networks"),
    "fidelity": (_fidelities, "Tau of each fidelity to the score label"),
}
