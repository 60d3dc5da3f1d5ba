"""The validation page: published macros, ratios, calibration and sensitivity. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasbench_imc.building.calibration import CALIBRATED, Fit, calibrate, chip_errors
from nasbench_imc.building.pages import READING, markdown_table, png, reading, styled, write_files
from nasbench_imc.building.sensitivity import METRICS, NODES, nb201_space, sensitivity
from nasbench_imc.hardware.constants import FloatArray, load_constants, published_constants, with_values
from nasbench_imc.hardware.macros import Macro, shipped_macros
from nasbench_imc.hardware.silicon import Comparison, compare, summarise

_table = partial(markdown_table, words=99)  # most columns are text

_COLOURS = {"digital SRAM": "#0072B2", "analog SRAM": "#009E73", "RRAM": "#D55E00", "PCM": "#CC79A7"}
# Energy, model over silicon, that ZigZag-IMC publishes of itself for the chips transcribed from it.
_ZIGZAG = {"AIMC1": 0.89, "AIMC3": 1.01, "DIMC1": 1.01, "DIMC2": 1.39, "DIMC3": 0.98}


@dataclass(frozen=True, slots=True)
class Validation:
    """All that the page shows.

    Attributes
    ----------
    compared, uncalibrated, survey : list of Comparison
        The shipped macros with the model, with the constants as published, and with the other ADC model.
    fit : Fit
    spread : dict of str to tuple of float
        Least and largest value of each factor when one chip of the calibration half is left out.
    left_out, left_out_published : ndarray
        |ln ratio| of each chip of the calibration half, by factors fitted without it and with the constants
        as published.
    ranks : pandas.DataFrame
        From :func:`~nasbench_imc.building.sensitivity.sensitivity`.
    """

    compared: list[Comparison]
    uncalibrated: list[Comparison]
    survey: list[Comparison]
    fit: Fit
    spread: dict[str, tuple[float, float]]
    left_out: FloatArray
    left_out_published: FloatArray
    ranks: pd.DataFrame


def validation(*, log: Callable[[str], None] = print) -> Validation:
    """Compute everything, minutes on one core; of the macros the calibration reads its half alone."""
    macros = shipped_macros()
    log("calibrating, and again without each chip")
    fit, (spread, left_out) = calibrate(macros), _leave_one_out(macros)
    log("rankings of nb201 under other assumptions")
    return Validation(
        compared=compare(macros),
        uncalibrated=compare(macros, constants=published_constants()),
        survey=compare(macros, adc_model="survey"),
        fit=fit,
        spread=spread,
        left_out=left_out,
        left_out_published=np.array(list(chip_errors(macros, published_constants()).values())),
        ranks=sensitivity(nb201_space(), log=lambda text: log(f"  {text}")),
    )


def _leave_one_out(macros: Sequence[Macro]) -> tuple[dict[str, tuple[float, float]], FloatArray]:
    """Range of each factor over fits without one chip, and the error of that chip by each."""
    fits, errors = [], []
    for chip in chip_errors(macros, load_constants()):
        fits.append(calibrate([macro for macro in macros if macro.reference != chip]).values)
        alone = [macro for macro in macros if macro.reference == chip]
        errors.append(chip_errors(alone, with_values(load_constants(), fits[-1]))[chip])
    spread = {name: (min(f[name] for f in fits), max(f[name] for f in fits)) for name in CALIBRATED}
    return spread, np.array(errors)


def write_page(done: Validation, folder: Path) -> list[Path]:
    """Write ``README.md``, ``macros.csv``, ``sensitivity.csv`` and three figures.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    contents: dict[str, bytes] = {
        "macros.csv": _csv(macro_table(done)),
        "sensitivity.csv": _csv(done.ranks),
        "tops_per_w.png": _scatter(done.compared, area=False),
        "tops_per_mm2.png": _scatter(done.compared, area=True),
        "sensitivity.png": _sensitivity_figure(done.ranks),
        "README.md": readme(done, reading(folder)).encode(),
    }
    return write_files(folder, contents)


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, float_format="%.4g", lineterminator="\n").encode()


def macro_table(done: Validation) -> pd.DataFrame:
    """Every row of the shipped file with what the model says of it."""
    return pd.DataFrame(
        [
            {
                "name": item.macro.name,
                "half": item.macro.half,
                "published_tops_per_w": item.macro.tops_per_w,
                "predicted_tops_per_w": item.tops_per_w,
                "at_90_percent_activity": item.interval[0],
                "at_10_percent_activity": item.interval[1],
                "ratio": item.ratio,
                "ratio_uncalibrated": plain.ratio,
                "ratio_survey_adc": survey.ratio,
                "published_tops_per_w_1b": item.macro.tops_per_w_1b,
                "predicted_tops_per_w_1b": item.tops_per_w_1b,
                "published_tops_per_mm2": item.macro.tops_per_mm2,
                "predicted_tops_per_mm2": item.tops_per_mm2,
                "published_tops_per_mm2_1b": item.macro.tops_per_mm2_1b,
                "predicted_tops_per_mm2_1b": item.tops_per_mm2_1b,
                "counts_for_goals": item.counts,
                "activity_known": item.activity_known,
                "skipped_because": item.skipped_because,
                "assumptions": "; ".join(item.assumptions),
            }
            for item, plain, survey in zip(done.compared, done.uncalibrated, done.survey, strict=True)
        ]
    )


def _family(item: Comparison) -> str:
    if item.macro.kind == "DIMC":
        return "digital SRAM"
    return "analog SRAM" if item.macro.device == "SRAM" else item.macro.device


def _figures(item: Comparison, area: bool) -> tuple[float, float, bool]:
    """Published and predicted figure of a row, and whether it is the row's own and not one a bit."""
    macro = item.macro
    if area:
        own = not math.isnan(macro.tops_per_mm2)
        pair = (macro.tops_per_mm2, item.tops_per_mm2)
        return (*(pair if own else (macro.tops_per_mm2_1b, item.tops_per_mm2_1b)), own)
    own = not math.isnan(macro.tops_per_w)
    pair = (macro.tops_per_w, item.tops_per_w)
    return (*(pair if own else (macro.tops_per_w_1b, item.tops_per_w_1b)), own)


def _scatter(compared: Sequence[Comparison], area: bool) -> bytes:
    silicon = [item for item in compared if not (item.macro.simulated or item.skipped_because)]
    unit = "TOPS/mm²" if area else "TOPS/W"
    with styled(axes_grid=False, savefig_dpi=130):
        figure = Figure(figsize=(10.0, 5.6), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for panel, half in zip(panels, ("calibration", "check"), strict=True):
            panel.set(xscale="log", yscale="log", title=f"{half} half", xlabel=f"published {unit}")
            for item in (member for member in silicon if member.macro.half == half):
                published, predicted, own = _figures(item, area)
                if math.isnan(published):
                    continue
                colour = _COLOURS[_family(item)]
                if not area and not item.activity_known:
                    scale = predicted / item.tops_per_w
                    panel.plot(
                        [published] * 2, [scale * v for v in item.interval], color=colour, lw=0.8, alpha=0.5
                    )
                panel.plot(
                    published,
                    predicted,
                    "o" if own else "^",
                    ms=5.5,
                    mfc=colour if own else "white",
                    mec=colour,
                    mew=1.0,
                )
        low, high = panels[0].get_xlim()
        bottom, top = panels[0].get_ylim()
        ends = np.array([min(low, bottom), max(high, top)])
        for panel in panels:
            panel.fill_between(ends, ends / 3, ends * 3, color="#000000", alpha=0.05, lw=0)
            panel.fill_between(ends, ends / 1.5, ends * 1.5, color="#000000", alpha=0.08, lw=0)
            panel.plot(ends, ends, color="#666666", lw=0.8)
            panel.set(xlim=ends, ylim=ends)
            panel.set_aspect("equal")
        panels[0].set_ylabel(f"predicted {unit}")
        for name, colour in _COLOURS.items():
            panels[0].plot([], [], "o", color=colour, label=name)
        panels[0].plot([], [], "^", mfc="white", mec="#444444", label="figure per one-bit operation")
        handles, labels = panels[0].get_legend_handles_labels()  # outside: points lie in all corners
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8
        )
        return png(figure)


_PANELS = (
    ("tau_networks_energy", "tau of networks\nenergy"),
    ("tau_networks_latency", "tau of networks\nlatency"),
    ("front_networks", "front of networks kept\naccuracy, energy"),
    ("tau_configs_energy", "tau of configurations\nenergy"),
    ("tau_configs_latency", "tau of configurations\nlatency"),
    ("tau_configs_area", "tau of configurations\narea"),
    ("front_configs", "front of configurations kept\nenergy, latency, area"),
)


def _sensitivity_figure(ranks: pd.DataFrame) -> bytes:
    groups = list(dict.fromkeys(ranks["group"]))
    labels: list[str] = []
    for group in groups:
        changes = ranks.loc[ranks["group"] == group, "change"].astype(str).tolist()
        steps = [change for change in changes if change.endswith("30 %")]
        others = [change for change in changes if change not in steps]
        labels += [f"{group} ±30 %"] if steps else []
        labels += [f"{group} {change}" for change in others]
    position = {label: -i for i, label in enumerate(labels)}
    lowest = float(ranks[[f"{column}_min" for column, _ in _PANELS]].min().min())
    with styled(axes_grid=False, savefig_dpi=130):
        figure = Figure(figsize=(15.0, 0.235 * len(labels) + 1.4), layout="constrained")
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for panel, (column, title) in zip(panels, _PANELS, strict=True):
            for row in ranks.to_dict("records"):
                step = row["change"].endswith("30 %")
                y = 0.0 + position[f"{row['group']} ±30 %" if step else f"{row['group']} {row['change']}"]
                up = not row["change"].startswith("-")
                y += 0.0 if not step else 0.17 if up else -0.17
                colour = "#D55E00" if step and up else "#0072B2" if step else "#333333"
                panel.plot([row[f"{column}_min"], row[column]], [y, y], color=colour, lw=0.9, alpha=0.5)
                panel.plot(row[column], y, "o", color=colour, ms=3.6)
            panel.set_title(title, fontsize=8.5)
            panel.axvline(1.0, color="#999999", lw=0.7)
            panel.grid(axis="both", color="#ececec", lw=0.6)
            panel.set_xlim(lowest - 0.03, 1.03)
            panel.set_ylim(-len(labels) + 0.4, 0.6)
        panels[0].set_yticks(list(position.values()), list(position), fontsize=8)
        return png(figure)


def readme(done: Validation, reading: str | None) -> str:
    """The page as Markdown.

    Parameters
    ----------
    done : Validation
    reading : str or None
        What a person has to say about it, as Markdown.
    """
    skipped = [item for item in done.compared if item.skipped_because]
    simulated = [item for item in done.compared if item.macro.simulated and not item.skipped_because]
    parts = [
        "# The cost model beside silicon",
        "Made by `nasbench-imc build validation` from the macros that ship with the package "
        "(`benchmark/nasbench_imc/hardware/silicon_macros.csv`, each with its source); text by hand is in "
        f"`{READING}`. `nasbench-imc validate FILE.csv` does the comparison for other macros.",
        "Ratio = predicted / published; one vote a chip (publication), the median over its rows.",
        _summary_table(done),
        _goals(done),
        reading or "",
        "![Published and predicted TOPS/W](tops_per_w.png)",
        "Bands: factors 1.5 and 3. Thin lines: 10 to 90 % activity where it is not published (50 % assumed). "
        "Circles: TOPS/W of the macro's own precision. Triangles: bank-level figures that were published per "
        "one-bit operation; they are no part of the goals.",
        "## Calibration",
        _calibration_text(done),
        "## All ratios, TOPS/W of the row's own precision",
        _ratio_table(done),
        "## TOPS/mm²",
        _area_text(done),
        "![Published and predicted TOPS/mm2](tops_per_mm2.png)",
        "## Our use of ZigZag-IMC's equations",
        _zigzag_text(done),
        "## Simulators",
        "In no goal and no calibration: what other models say, beside a macro of ours without the buffers "
        "and networks that these figures have in them. Whole chips (ISAAC, VGG-8 on SRAM) are tests: "
        "`tests/hardware/test_silicon.py`.",
        _table(
            ("simulated", "published", "predicted", "ratio"),
            [
                (item.macro.name, _g(item.macro.tops_per_w), _g(item.tops_per_w), f"{item.ratio:.2f}")
                for item in simulated
            ],
        ),
        "## Not modelled",
        _table(("macro", "because"), [(item.macro.name, item.skipped_because) for item in skipped]),
        "## Which rankings stand",
        _sensitivity_text(done.ranks),
        "![Rankings under other assumptions](sensitivity.png)",
        "Orange: 30 % more; blue: 30 % less; black: all else.",
        _sensitivity_table(done.ranks),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _groups(done: Validation) -> list[tuple[str, Callable[[Comparison], bool]]]:
    return [
        ("check half", lambda item: item.macro.half == "check"),
        ("calibration half", lambda item: item.macro.half == "calibration"),
        ("activity known (both halves)", lambda item: item.activity_known),
        *((f"{name} (both halves)", lambda item, name=name: _family(item) == name) for name in _COLOURS),
    ]


def _summary_table(done: Validation) -> str:
    rows = []
    for name, keep in _groups(done):
        found = summarise([item for item in done.compared if keep(item)])
        plain = summarise([item for item in done.uncalibrated if keep(item)])
        survey = summarise([item for item in done.survey if keep(item)])
        rows.append(
            (
                name,
                str(found.chips),
                f"{found.median_factor:.2f}",
                f"{found.within_1_5:.0%}",
                f"{found.within_3:.0%}",
                f"{plain.median_factor:.2f}, {plain.within_3:.0%}",
                f"{survey.median_factor:.2f}, {survey.within_3:.0%}",
            )
        )
    header = ("rows with a TOPS/W of their own", "chips", "median factor", "within 1.5x", "within 3x")
    return _table((*header, "uncalibrated: median, 3x", "survey ADC: median, 3x"), rows)


def _goals(done: Validation) -> str:
    half = [item for item in done.compared if item.macro.half == "check"]
    check, rows = summarise(half), summarise(half, by_chip=False)
    return (
        f"Goals on the check half: median within 1.5x {_met(check.median_factor <= 1.5)} "
        f"({check.median_factor:.2f}x), 90 % within 3x {_met(check.within_3 >= 0.9)} ({check.within_3:.0%}). "
        f"With one vote a row instead ({rows.rows} rows): {rows.median_factor:.2f}x, {rows.within_3:.0%}."
    )


def _met(reached: bool) -> str:
    return "**met**" if reached else "**not met**"


def _calibration_text(done: Validation) -> str:
    constants = load_constants()
    rows = [
        (f"`{name}`", f"{constants[name].value:g}", f"{low:g} to {high:g}", constants[name].notes)
        for name, (low, high) in done.spread.items()
    ]
    fit = done.fit
    with_fit, without = (
        f"a factor {math.exp(float(np.median(errors))):.2f} in the median, "
        f"mean |ln ratio| {errors.mean():.2f}"
        for errors in (done.left_out, done.left_out_published)
    )
    return f"""\
{len(CALIBRATED)} factors, 1 as published, were fitted to the {fit.chips} chips of the calibration half
(bank-level figures per one-bit operation at half a vote) by a robust loss with a prior at 1: the median
factor there falls from {fit.before:.2f} to {fit.after:.2f}. All other constants stay as their sources
have them.

How the check half was kept out: the split was committed before the model first predicted a macro (within
each stratum, that is digital SRAM or the device, with and without a TOPS/W of its own, publications in
order of year and reference alternate). `building/calibration.py` passes over every row of another half,
and a test alters those rows a hundredfold to see that the fit does not move. The form of the macro model
and the factors were settled on the calibration half and committed before the check half was first
predicted. What was added after that (rules for NVM slices with inputs of several bits) changes no
prediction of a silicon row.

How much the factors are worth: a chip of the calibration half, predicted by factors fitted without it,
is off by {with_fit}; with the constants as published
{without}.

""" + _table(("factor", "value", "when one chip is left out", "stands for"), rows)


def _ratio_table(done: Validation) -> str:
    rows = []
    for item, plain in zip(done.compared, done.uncalibrated, strict=True):
        macro = item.macro
        if math.isnan(item.ratio) or macro.simulated:
            continue
        spread = "known" if item.activity_known else f"{item.interval[0]:.3g} to {item.interval[1]:.3g}"
        remark = "" if macro.energy_usable else "not usable for energy"
        largest = max(item.energy or {"": 0.0}, key=lambda name: (item.energy or {})[name])
        rows.append(
            (
                macro.name,
                macro.half,
                _g(macro.tops_per_w),
                _g(item.tops_per_w),
                f"{item.ratio:.2f}",
                spread,
                f"{plain.ratio:.2f}",
                largest,
                remark,
            )
        )
    rows.sort(key=lambda row: (row[1], row[0]))
    header = ("macro", "half", "published", "predicted", "ratio", "10 to 90 % activity", "uncalibrated")
    return _table((*header, "largest part", "remark"), rows)


def _area_text(done: Validation) -> str:
    own = [item for item in done.compared if not (math.isnan(item.area_ratio) or item.macro.simulated)]
    bank = [
        item.tops_per_mm2_1b / item.macro.tops_per_mm2_1b
        for item in done.compared
        if not (item.macro.simulated or item.skipped_because or math.isnan(item.macro.tops_per_mm2_1b))
    ]
    errors = np.abs(np.log(bank))
    rows = [
        (item.macro.name, _g(item.macro.tops_per_mm2), _g(item.tops_per_mm2), f"{item.area_ratio:.2f}")
        for item in own
    ]
    return (
        "Areas are not calibrated. Two chips publish a TOPS/mm² of their own:\n\n"
        + _table(("macro", "published", "predicted", "ratio"), rows)
        + f"\n\nOf {len(bank)} bank-level rows the median ratio is {np.median(bank):.2f}, the median factor "
        f"{math.exp(float(np.median(errors))):.1f}, and {np.mean(errors <= math.log(3)):.0%} lie within 3x. "
        "The area of a macro depends on how many columns share an ADC and how many rows are read at once, "
        "which rows do not say; processors count their whole die."
    )


def _zigzag_text(done: Validation) -> str:
    rows = []
    for item, plain in zip(done.compared, done.uncalibrated, strict=True):
        if item.macro.name.startswith("ZigZag-IMC"):
            chip = item.macro.name.split()[1]
            rows.append((chip, f"{_ZIGZAG[chip]:.2f}", f"{1 / plain.ratio:.2f}", f"{1 / item.ratio:.2f}"))
    return (
        "Energy, model over silicon. Theirs is what ZigZag-IMC publishes; ours uses their constants and the "
        "row's activity (50 % for DIMC2 and DIMC3, where theirs was fitted; DIMC2's is unknown).\n\n"
        + _table(("chip", "theirs", "ours, their constants", "ours, calibrated"), rows)
    )


def _sensitivity_text(ranks: pd.DataFrame) -> str:
    steps = ranks[ranks["change"].str.endswith("30 %")]

    def worst(column: str) -> str:
        row = steps.sort_values(column, kind="stable").to_dict("records")[0]
        return f"{row[column]:.2f} ({row['group']} {row['change']})"

    nodes = ", ".join(f"{node:g} nm" for node in NODES)
    return f"""\
Every distinct network of `nb201` (5,425) was costed again on its 76 configurations under each changed
assumption. Kendall's tau compares rankings with the model's own; *front kept* is the share of the
non-dominated designs that are non-dominated still. Points are medians over configurations (for networks)
or over a sample of networks (for configurations); lines reach to the worst one. At other nodes ({nodes}) all
configurations move there together.

Lowest medians with one constant changed by 30 %: networks by energy {worst("tau_networks_energy")}, by
latency {worst("tau_networks_latency")}, their front {worst("front_networks")}; configurations by energy
{worst("tau_configs_energy")}, by latency {worst("tau_configs_latency")}, by area
{worst("tau_configs_area")}, their front {worst("front_configs")}."""


def _sensitivity_table(ranks: pd.DataFrame) -> str:
    rows = [
        (
            f"{row['group']} {row['change']}",
            *(f"{row[f'factor_{name}']:.2f}" for name in METRICS),
            *(f"{row[column]:.3f}" for column, _ in _PANELS),
        )
        for row in ranks.to_dict("records")
    ]
    titles = [title.replace("\n", ", ") for _, title in _PANELS]
    return _table(("assumption", *(f"{name} x" for name in METRICS), *titles), rows)


def _g(value: float) -> str:
    return f"{value:.4g}"
