"""``validate``: the cost model beside published macros."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from nasbench_imc.cli.common import json_option, print_json, print_table
from nasbench_imc.hardware.macros import Macro, read_macros, shipped_macros
from nasbench_imc.hardware.silicon import Comparison, Summary, compare, summarise

# What no macro is: beyond this a figure is a slip, and would overflow. Units as in Macro.
_PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    "frequency_mhz": (1e-6, 1e6),
    "tops_per_w": (1e-6, 1e9),
    "tops_per_mm2": (1e-6, 1e9),
    "tops_per_w_1b": (1e-6, 1e9),
    "tops_per_mm2_1b": (1e-6, 1e9),
    "cycle_ns": (1e-6, 1e9),
    "bits_a_cycle": (1e-3, 64.0),
    "precision_product": (1.0, 4096.0),
}


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, exists=True, path_type=Path))
@json_option
@click.option(
    "--details", is_flag=True, help="With --json: ratios, intervals, figures a bit and assumptions, too."
)
def validate(file: Path | None, as_json: bool, details: bool) -> None:
    """Predict published macros from their parameters and compare.

    FILE is a CSV file in the columns of the macros that ship with the package, which are compared if no file
    is named. With --json a list with one object a macro is printed; the summary then goes to stderr.
    """
    if details and not as_json:
        raise click.UsageError("--details is for --json")
    macros = shipped_macros() if file is None else read_macros(file)
    compared = compare([plausible(macro) for macro in macros])
    if as_json:
        print_json([record(item) | (more(item) if details else {}) for item in compared])
        for line in summary_lines(compared):
            click.echo(line, err=True)
        return
    predicted = [item for item in compared if not item.skipped_because]
    if predicted:
        _print_predictions(predicted)
    skipped = [item for item in compared if item.skipped_because]
    if skipped:
        click.echo("\nNot modelled:")
        print_table(("macro", "because"), [(item.macro.name, item.skipped_because) for item in skipped])
    unread = [item.macro for item in predicted if item.macro.problems]
    if unread:
        click.echo("\nLeft out, since they cannot be read:")
        print_table(("macro", "fields"), [(macro.name, "; ".join(macro.problems)) for macro in unread])
    click.echo()
    for line in summary_lines(compared):
        click.echo(line)


def plausible(macro: Macro) -> Macro:
    """The macro without figures that none has, which stand among its problems instead."""
    strange = {
        name: value
        for name, (low, high) in _PLAUSIBLE.items()
        if not (math.isnan(value := getattr(macro, name)) or low <= value <= high)
    }
    problems = (*macro.problems, *(f"{name} is {value:g}" for name, value in strange.items()))
    unknown: dict[str, Any] = dict.fromkeys(strange, math.nan)
    return replace(macro, **unknown, problems=problems)


def record(item: Comparison) -> dict[str, Any]:
    """A comparison for JSON; what is not known is None."""
    macro = item.macro
    return {
        "name": macro.name,
        "published_tops_per_w": _number(macro.tops_per_w),
        "predicted_tops_per_w": _number(item.tops_per_w),
        "published_tops_per_mm2": _number(macro.tops_per_mm2),
        "predicted_tops_per_mm2": _number(item.tops_per_mm2),
        "skipped_because": item.skipped_because or None,
    }


def more(item: Comparison) -> dict[str, Any]:
    """What else is known of a comparison, for JSON."""
    macro = item.macro
    return {
        "ratio_tops_per_w": _number(item.ratio),
        "ratio_tops_per_mm2": _number(item.area_ratio),
        "predicted_tops_per_w_low": _number(item.interval[0]),
        "predicted_tops_per_w_high": _number(item.interval[1]),
        "published_tops_per_w_1b": _number(macro.tops_per_w_1b),
        "predicted_tops_per_w_1b": _number(item.tops_per_w_1b),
        "published_tops_per_mm2_1b": _number(macro.tops_per_mm2_1b),
        "predicted_tops_per_mm2_1b": _number(item.tops_per_mm2_1b),
        "activity_known": item.activity_known,
        "counts_for_goals": item.counts,
        "half": macro.half or None,
        "assumptions": list(item.assumptions),
        "problems": list(macro.problems),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print_predictions(compared: Sequence[Comparison]) -> None:
    rows = []
    for item in compared:
        macro, (low, high) = item.macro, item.interval
        remark = "simulated" if macro.simulated else "" if macro.energy_usable else "not usable for energy"
        spread = "activity known" if item.activity_known else f"{low:.3g} to {high:.3g}"
        rows.append(
            (
                macro.name,
                _text(macro.tops_per_w),
                _text(item.tops_per_w),
                _text(item.ratio, 2),
                spread,
                _text(macro.tops_per_mm2),
                _text(item.tops_per_mm2),
                _text(item.area_ratio, 2),
                remark,
            )
        )
    header = ("macro", "TOPS/W", "predicted", "ratio", "at 90 to 10 % activity")
    print_table((*header, "TOPS/mm2", "predicted", "ratio", "remark"), rows)


def _text(value: float, decimals: int | None = None) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def summary_lines(compared: Sequence[Comparison]) -> list[str]:
    """What :func:`~nasbench_imc.hardware.silicon.summarise` finds, in words: all, and each half."""
    lines = [
        "TOPS/W, published in the row's own right on silicon; ratio = predicted / published; one vote a chip:"
    ]
    groups = [("all", list(compared))]
    halves = sorted({item.macro.half for item in compared} - {"", "none"})
    groups += [(half + " half", [item for item in compared if item.macro.half == half]) for half in halves]
    groups += [("activity known", [item for item in compared if item.activity_known])]
    for name, members in groups:
        lines.append(f"  {name}: {_summary(summarise(members))}")
    for name, members in groups[:-1]:
        lines.append(
            f"  {name}, one vote a row: {_summary(summarise(members, by_chip=False), by_chip=False)}"
        )
    return lines


def _summary(summary: Summary, by_chip: bool = True) -> str:
    if not summary.rows:
        return "no rows"
    factor = summary.median_factor
    return (
        f"{f'{summary.chips} chips, ' if by_chip else ''}{summary.rows} rows; "
        f"median |ln ratio| {math.log(factor):.3f} (a factor {factor:.2f}); "
        f"within 1.5x: {summary.within_1_5:.0%}, within 3x: {summary.within_3:.0%}"
    )
