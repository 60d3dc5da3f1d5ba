"""The page of what the reference searchers' runs teach: tables, figures and a README. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nasbench_imc.building.comparison import (
    FAMILIES,
    SEQUENTIAL,
    STAGES,
    Standing,
    by_budget,
    by_hardware,
    by_track,
    curve_shares,
    sequential,
    standings,
)
from nasbench_imc.building.pages import READING, markdown_table, number, png, reading, styled, write_files
from nasbench_imc.scoring import Scores
from nasbench_imc.scoring.score import Board
from nasbench_imc.suites.rules import TRACKS

# Okabe and Ito's colours and black, with a marker each, so that no figure is read by colour alone.
_LOOKS = {
    "random search": ("#000000", "x"),
    "local search": ("#0072B2", "o"),
    "evolution": ("#D55E00", "s"),
    "multi-objective evolution": ("#E69F00", "D"),
    "policy gradient": ("#999999", "v"),
    "predictor": ("#009E73", "^"),
    "Bayesian optimisation": ("#CC79A7", "P"),
    "multi-fidelity": ("#56B4E9", "X"),
    "zero-cost proxies": ("#882255", "h"),
    "network first": ("#332288", "<"),
}
_OTHER = ("#777777", "*")


def write_comparison(boards: Sequence[Board], folder: Path) -> list[Path]:
    """Write ``README.md``, ``standings.csv``, ``budgets.csv``, ``sequential.csv`` and two figures.

    Parameters
    ----------
    boards : sequence of Board
        The main one first.
    folder : pathlib.Path

    Returns
    -------
    list of pathlib.Path
    """
    main = boards[0].scores
    tracks, hardware = standings(main, by_track), standings(main, by_hardware)
    budgets, joint = by_budget(main), sequential(_with_sequential(boards))
    frame = pd.DataFrame(
        [
            {"by": by, "family": FAMILIES.get(row.method, ""), **asdict(row)}
            for by, rows in (("track", tracks), ("hardware", hardware))
            for row in rows
        ]
    )
    files = {
        "standings.csv": _csv(frame),
        "budgets.csv": _csv(budgets),
        "sequential.csv": _csv(joint),
        "tracks.png": _tracks_figure(tracks),
        "budgets.png": _budgets_figure(main),
        "README.md": _readme(boards, tracks, hardware, budgets, joint, reading(folder)).encode(),
    }
    return write_files(folder, files)


def _with_sequential(boards: Sequence[Board]) -> Scores:
    """The scores of the first board that the sequential method is on, or of the first of all."""
    return next((b.scores for b in boards if SEQUENTIAL in b.scores.methods), boards[0].scores)


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, float_format="%.4f", lineterminator="\n").encode()


def _readme(
    boards: Sequence[Board],
    tracks: Sequence[Standing],
    hardware: Sequence[Standing],
    budgets: pd.DataFrame,
    joint: pd.DataFrame,
    text: str | None,
) -> str:
    main = boards[0].scores
    seeds = sorted(set(main.runs.groupby(["task", "method"]).size()))
    parts = [
        "# What the comparison of search methods teaches",
        f"Made by `nasbench-imc build comparison` from {len(main.runs):,} runs: {len(main.methods)} methods, "
        f"{len(main.tasks)} tasks, {' or '.join(map(str, seeds))} seeds; text by hand is in `{READING}` and "
        "taken in below.",
        "A score is regret in units of random search's: 0 is the table's best, 1 what random "
        "search is expected to reach. **Bold**: "
        "the best of a column and those whose paired difference to it has a 95 % interval that reaches 0.",
        "## By track",
        _standings_table(tracks, list(TRACKS)),
        "Tracks: " + "; ".join(f"{track} {TRACKS[track]}" for track in TRACKS) + ".",
        "![Score of each method on each track](tracks.png)",
        "## By budget",
        "Regret over that of random search at the first, the middle and the last checkpoint of each task: "
        "the best method, and the share that it leaves.",
        _budget_table(budgets),
        "![Regret over random search's along the budget, by track](budgets.png)",
        "## By hardware",
        _standings_table(hardware, list(dict.fromkeys(row.group for row in hardware))),
        "## Network first, or network and hardware together",
        _joint_text(joint),
    ]
    for board in boards[1:]:
        parts += [
            f"## Board `{board.name}`",
            f"{len(board.scores.methods)} methods on {len(board.scores.tasks)} tasks and "
            f"{board.scores.runs.seed.nunique()} seeds, the runs that all of them made.",
            _standings_table(standings(board.scores, by_track), list(TRACKS)),
        ]
    parts += ["## Reading", text or "Nobody has written one yet."]
    return "\n\n".join(parts) + "\n"


def _standings_table(rows: Sequence[Standing], order: Sequence[str]) -> str:
    """Methods by groups, these in an order; the best on average first."""
    found = {(row.method, row.group): row for row in rows}
    groups = [group for group in order if any(row.group == group for row in rows)]
    tasks = {row.group: row.tasks for row in rows}
    methods = {row.method for row in rows}

    def mean(method: str) -> tuple[int, float]:
        own = [found[method, group].score for group in groups if (method, group) in found]
        return -len(own), float(np.mean(own))

    def cell(method: str, group: str) -> str:
        row = found.get((method, group))
        if row is None:
            return "–"
        return f"**{row.score:.2f}**" if row.leads else f"{row.score:.2f}"

    return markdown_table(
        ["method", "family", *(f"{g} ({tasks[g]})" for g in groups)],
        [
            [f"`{m}`", FAMILIES.get(m, "–"), *(cell(m, group) for group in groups)]
            for m in sorted(methods, key=mean)
        ],
        words=2,
    )


def _budget_table(frame: pd.DataFrame) -> str:
    rows = []
    for track, part in frame.groupby("track"):
        row = [str(track)]
        for stage in STAGES:
            here = part[part.stage == stage].sort_values("method")
            best = here.method[here.share <= here.share.min() + 1e-9]
            names = "all" if len(best) == len(here) else ", ".join(f"`{name}`" for name in best)
            row.append(f"{names} {here.share.min():.2f}")
        rows.append(row)
    return markdown_table(["track", *STAGES], rows, words=4)


def _joint_text(frame: pd.DataFrame) -> str:
    if frame.empty:
        return f"`{SEQUENTIAL}` was not run."
    rows = [
        [
            f"`{row['task']}`",
            f"`{row['method']}`",
            f"{number(row['difference'], 2)} ({number(row['low'], 2)} to {number(row['high'], 2)})",
            str(row["verdict"]),
        ]
        for row in frame.sort_values(["task", "difference"], ascending=[True, False]).to_dict("records")
    ]
    words = (
        f"`{SEQUENTIAL}` searches networks on one hardware, that of a random design, and chooses hardware "
        "for the best of them. Its score minus that of methods that search both together, by paired seeds: "
        f"above 0, joint search is better. The verdict is of `{SEQUENTIAL}`, by Wilcoxon's test after Holm's "
        "correction over all pairs of methods, and the noise floor: a tie where most runs are alike and a "
        "few are far worse, whatever the mean."
    )
    return words + "\n\n" + markdown_table(["task", "against", "difference", "verdict"], rows, words=2)


def _look(method: str) -> tuple[str, str]:
    return _LOOKS.get(FAMILIES.get(method, ""), _OTHER)


def _tracks_figure(rows: Sequence[Standing]) -> bytes:
    """A panel a track: score of each method with its interval, the best above."""
    groups = list(dict.fromkeys(row.group for row in rows))
    most = max(sum(row.group == group for row in rows) for group in groups)
    with styled():
        figure = Figure(figsize=(2.3 * len(groups) + 0.6, 0.5 + 0.19 * most), dpi=130, layout="constrained")
        panels = figure.subplots(1, len(groups), squeeze=False)[0]
        for panel, group in zip(panels, groups, strict=True):
            here = [row for row in rows if row.group == group]
            for place, row in enumerate(here):
                colour, marker = _look(row.method)
                panel.plot([row.low, row.high], [place, place], color=colour, linewidth=1.2)
                panel.plot(row.score, place, marker, color=colour, markersize=4.5)
            panel.axvline(1, color="#888888", linewidth=0.8)
            panel.set_yticks(range(len(here)), [row.method for row in here], fontsize=6.5)
            panel.set_ylim(most - 0.4, -0.6)
            panel.set_title(f"{group} ({here[0].tasks} tasks)", fontsize=8.5)
            panel.set_xlabel("score", fontsize=8)
        return png(figure)


def _budgets_figure(scores: Scores) -> bytes:
    """A panel a track: the best method of each family along the budget, over random search."""
    tracks = sorted({task.track for task in scores.tasks})
    columns = min(3, len(tracks))
    lines = -(-len(tracks) // columns)
    with styled():
        figure = Figure(figsize=(3.1 * columns, 2.4 * lines + 0.7), dpi=130, layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False)
        for panel in panels.flat[len(tracks) :]:
            panel.set_visible(False)
        for panel, track in zip(panels.flat, tracks, strict=False):
            _draw_budgets(panel, scores, track)
            panel.set_title(track, fontsize=8.5)
        figure.supxlabel("part of the budget spent")
        figure.supylabel("regret over random search's")
        drawn = {line.get_label(): line for panel in panels.flat for line in panel.get_lines()}
        shown = {label: line for label, line in drawn.items() if not str(label).startswith("_")}
        figure.legend(
            shown.values(), map(str, shown), loc="outside upper center", ncols=4, frameon=False, fontsize=7
        )
        return png(figure)


def _draw_budgets(panel: Axes, scores: Scores, track: str) -> None:
    tasks = [task for task in scores.tasks if task.track == track]
    parts = np.geomspace(0.02, 1.0, 60)
    best: dict[str, tuple[float, np.ndarray]] = {}
    for method in scores.methods:
        shares = [curve_shares(scores, task, method) for task in tasks]
        if any(not len(share) for share in shares):
            continue
        curves = [
            np.interp(
                np.log(parts),
                np.log(np.maximum(task.checkpoints, 1e-9) / task.budget),
                share,
                left=np.nan,
            )
            for task, share in zip(tasks, shares, strict=True)
        ]
        family, curve = FAMILIES.get(method, "others"), np.mean(curves, axis=0)
        if family not in best or np.nanmean(curve) < best[family][0]:
            best[family] = float(np.nanmean(curve)), curve
    for family, (_, curve) in sorted(best.items()):
        colour, marker = _LOOKS.get(family, _OTHER)
        panel.plot(
            parts, curve, color=colour, marker=marker, markevery=12, markersize=4, linewidth=1.1, label=family
        )
    panel.axhline(1, color="#888888", linewidth=0.8)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
