"""The figures of the leaderboard page, as SVG to be put into HTML. Needs matplotlib.

matplotlib never sees the name of a method: the page's own legend explains colours and markers, and where a
figure names methods, they are put into the finished SVG, escaped. So text which others wrote is never
drawn, measured or taken for mark-up.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from PIL import Image

from nasbench_imc.design import Design
from nasbench_imc.scoring.attainment import LEVELS, surfaces
from nasbench_imc.scoring.bootstrap import mean_interval
from nasbench_imc.scoring.front import ACCURACY_WINDOW, front_mask
from nasbench_imc.scoring.ratings import CriticalDifference
from nasbench_imc.suites import Task
from nasbench_imc.tables import Benchmark

#: Okabe and Ito's and Tol's colours, told apart with any kind of colour vision; black and grey are for
#: references. As many markers are one more, so that colour and marker together repeat late.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#332288",
    "#999933",
    "#117733",
    "#AA4499",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "<", ">", "p", "d")

#: Inches; small, since the page scales a figure to its column and its text should still be readable.
SIZE = (5.2, 3.7)

#: Resolution of what is drawn as a raster: designs in their thousands [dots/inch].
DPI = 200

#: Colours of a raster, opacities counted apart [1].
PALETTE = 128

#: Points of one method beyond which they are drawn as a raster [1].
MAX_VECTOR_POINTS = 120

#: Designs of a table beyond which not all are drawn; a page stays small.
MAX_CLOUD = 16_000

_STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "text.parse_math": False,  # a dollar sign in a metric's name is a dollar sign
    "svg.fonttype": "none",  # text stays text: smaller, and a reader can search it
}

_UNITS = {"uJ": "µJ", "us": "µs", "mm2": "mm²"}


@dataclass(frozen=True, slots=True)
class Look:
    """How a method is drawn, on every figure of a page."""

    colour: str
    marker: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure.

    Attributes
    ----------
    svg : str
        An ``<svg>`` element without width and height.
    remarks : tuple of str
        What lies outside the frame, as sentences.
    """

    svg: str
    remarks: tuple[str, ...]


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Colour and marker of each method, by its place in the list."""
    return {
        method: Look(COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]) for k, method in enumerate(methods)
    }


def glyph(look: Look) -> str:
    """A method's line and marker as a small SVG, for a legend."""
    style = MarkerStyle(look.marker)
    outline = style.get_path().transformed(style.get_transform())
    polygons = [np.asarray(polygon) for polygon in outline.to_polygons(width=0, height=0)]
    size = 10.0  # the unit outline is 1 high
    path = "".join(
        "M" + "L".join(f"{13 + size * x:.1f} {8 - size * y:.1f}" for x, y in polygon) + "Z"
        for polygon in polygons
    )
    return (
        '<svg class="glyph" viewBox="0 0 26 16" aria-hidden="true">'
        f'<path d="M0 8H26" stroke="{look.colour}" stroke-width="2"/>'
        f'<path d="{path}" fill="{look.colour}"/></svg>'
    )


def regret_plot(task: Task, regrets: Mapping[str, np.ndarray], look: Mapping[str, Look]) -> Plot:
    """Mean regret of each method against the queries charged, with 95 % bootstrap bands.

    Parameters
    ----------
    task : Task
    regrets : mapping of str to numpy.ndarray, shape (runs, checkpoints)
        Method -> regret of its runs.
    look : mapping of str to Look
    """
    budgets = _places(task.checkpoints)
    frozen = task.frozen
    means = {method: curves.mean(axis=0) for method, curves in regrets.items()}
    # A few runs that recommend nothing would squeeze all else into the bottom of the frame.
    roof = 2 * max(*frozen.random_regret, frozen.reachable_regret, frozen.noise_floor)
    highest = max([*(mean.max() for mean in means.values()), *frozen.random_regret])
    top = 1.06 * max(min(highest, roof), frozen.reachable_regret, min(frozen.noise_floor, highest))
    bottom = min(0.0, *(mean.min() for mean in means.values()))

    with _figure() as figure:
        axes = figure.add_subplot()
        axes.axhspan(bottom, frozen.noise_floor, color="#f0f0f0", linewidth=0, zorder=0)
        for method, curves in regrets.items():
            bands = np.array([mean_interval(column) for column in curves.T])
            style = look[method]
            axes.fill_between(
                budgets, bands[:, 0], bands[:, 1], color=style.colour, alpha=0.13, linewidth=0, zorder=2
            )
            axes.plot(
                budgets,
                means[method],
                color=style.colour,
                marker=style.marker,
                markersize=5,
                markeredgewidth=0,
                linewidth=1.5,
                zorder=4,
            )
        axes.plot(
            budgets, frozen.random_regret, color="black", linestyle=(0, (5, 2.5)), linewidth=1.2, zorder=3
        )
        axes.axhline(frozen.reachable_regret, color="black", linestyle=(0, (1, 1.8)), linewidth=1.2, zorder=3)
        _log_axis(axes, budgets.tolist(), budgets[0] / 1.12, budgets[-1] * 1.12)
        shown = _thinned(range(len(budgets)))
        axes.set_xticks(budgets[shown], [f"{task.checkpoints[k]:,}" for k in shown])
        axes.set_ylim(bottom, top)
        axes.set_xlabel(f"{task.unit.capitalize()} charged")
        axes.set_ylabel(f"Mean regret [{regret_unit(task)}]")
        svg = _svg(figure, f"regret {task.name}")
    above = [method for method, mean in means.items() if mean.max() > top]
    remarks = [f"Partly above the frame: {', '.join(above)}."] if above else []
    if frozen.noise_floor >= top:
        remarks.append("The whole frame is within the noise floor.")
    return Plot(svg, tuple(remarks))


def regret_unit(task: Task) -> str:
    """What a regret on a task is counted in."""
    units = {"accuracy": "points of accuracy", "cost": "decades", "front": "hypervolume"}
    return units[task.goal]


def _places(checkpoints: Sequence[int]) -> np.ndarray:
    """Where checkpoints stand on a logarithmic axis: a budget of 0 one step before the next one."""
    places = np.array(checkpoints, dtype=float)
    if places[0] == 0:
        later = places[1:]
        step = later[1] / later[0] if len(later) > 1 else 2.0
        places[0] = later[0] / step if len(later) else 1.0
    return places


def unit_sign(unit: str) -> str:
    """A table's unit with the signs of print: ``µJ`` for ``uJ``."""
    return "·".join(_UNITS.get(part, part) for part in unit.split("*"))


def spoken(metric: str) -> str:
    """A metric's name as print has it: ``weight memory``, ``EDAP``."""
    return metric.upper() if metric in ("edp", "edap") else metric.replace("_", " ")


def _cost_label(bench: Benchmark, cost: str) -> str:
    name = spoken(cost)
    return f"{name[0].upper()}{name[1:]} [{unit_sign(bench.units[cost])}]"


def shown_cost(task: Task) -> str:
    """The metric on the horizontal axis: the first cost objective or limited metric, else energy."""
    costs = [name for name in (*task.objectives, *task.limits) if name != "accuracy"]
    return costs[0] if costs else "energy"


def _all_designs(
    task: Task, bench: Benchmark, cost: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy [%] and cost on score labels of every design of the task; whether it keeps all limits, and all
    that the axes do not show.
    """
    names = ["accuracy", cost, *task.limits]
    parts = [
        bench.array(
            names, hardware=list(task.hardware), at=task.at, weight_bits=bits, sparsity=sparsity
        ).reshape(-1, len(names))
        for bits, sparsity in product(task.weight_bits, task.sparsity)
    ]
    values = np.concatenate(parts)
    kept = values[:, 2:] <= list(task.limits.values())
    others = np.all(kept[:, [name != cost for name in task.limits]], axis=1)
    feasible = np.all(kept, axis=1) & (values[:, 0] >= task.least.get("accuracy", -np.inf))
    accuracy, costs = values[:, :2].T.astype(float)
    return accuracy, costs, feasible, others


def _front(accuracy: np.ndarray, costs: np.ndarray, admitted: np.ndarray, best: float) -> np.ndarray:
    """Positions of the designs on the front of those that are admitted, cheapest first."""
    found = np.flatnonzero(admitted)
    found = found[front_mask(accuracy[found], costs[found, None], best)]
    return found[np.argsort(costs[found])]


def pareto_plot(
    task: Task, bench: Benchmark, recommended: Mapping[str, Sequence[Design]], look: Mapping[str, Look]
) -> Plot:
    """Accuracy against cost: every design of the task, the true front and what methods recommended.

    Parameters
    ----------
    task : Task
    bench : Benchmark
        The task's table.
    recommended : mapping of str to sequence of Design
        Method -> designs that stood at the end of its runs; one that several runs name comes several
        times.
    look : mapping of str to Look
    """
    cost = shown_cost(task)
    accuracy, costs, feasible, others = _all_designs(task, bench, cost)
    best = float(accuracy[feasible].max())
    low, high = best - ACCURACY_WINDOW, float(accuracy.max()) + 0.06 * ACCURACY_WINDOW
    inside = accuracy >= low
    front = _front(accuracy, costs, others, best)
    edges = [costs[inside].min(), costs[inside].max()]
    limit = task.limits.get(cost)
    if limit is not None:  # no more room for what is beyond the limit than for what keeps it
        edges[1] = max(min(edges[1], limit * max(limit / edges[0], 1.2)), limit)

    below = 0
    cloud = np.flatnonzero(inside)
    thinned = -(-len(cloud) // MAX_CLOUD)
    cloud = cloud[::thinned]
    with _figure() as figure:
        axes = figure.add_subplot()
        axes.scatter(
            costs[cloud], accuracy[cloud], s=3, color="#9a9a9a", alpha=0.2, linewidths=0, rasterized=True
        )
        if limit is not None:
            axes.axvspan(limit, 1e3 * max(edges), color="#f8ebe8", linewidth=0, zorder=0)
            axes.axvline(limit, color="#8c2d19", linewidth=1.2, zorder=3)
        for least in task.least.values():
            axes.axhspan(low, least, color="#f8ebe8", linewidth=0, zorder=0)
            axes.axhline(least, color="#8c2d19", linewidth=1.2, zorder=3)
        if task.goal != "front":
            merit = accuracy if task.goal == "accuracy" else -costs
            top = np.flatnonzero(feasible)[np.argmax(merit[feasible])]
            axes.plot(
                costs[top],
                accuracy[top],
                marker="*",
                markersize=13,
                markerfacecolor="#ffe680",
                markeredgecolor="black",
                markeredgewidth=0.8,
                linestyle="none",
                zorder=4,
            )
        for method, designs in recommended.items():
            counted = Counter(designs)
            if not counted:
                continue
            measured = [bench.query(design, task.at) for design in counted]
            x = np.array([m[cost] for m in measured])
            y = np.array([m["accuracy"] for m in measured])
            times = np.array(list(counted.values()))
            below += int(times[y < low].sum())
            edges += [x.min(), x.max()]
            axes.scatter(
                x,
                np.maximum(y, low),
                s=np.minimum(26 * np.sqrt(times), 130),
                facecolors=to_rgba(look[method].colour, 0.3),  # what lies below shows through
                edgecolors=look[method].colour,
                linewidths=1.1,
                marker=look[method].marker,
                clip_on=False,
                zorder=5,
                rasterized=len(counted) > MAX_VECTOR_POINTS,
            )
        left, right = min(edges), max(edges)
        margin = max((right / left) ** 0.04, 1.02)
        left, right = left / margin, right * margin
        _true_front(axes, costs[front], accuracy[front], (left, right), (low, high))
        axes.set_xlabel(_cost_label(bench, cost))
        svg = _svg(figure, f"pareto {task.name}")
    remarks = []
    if below:
        remarks.append(
            f"{below} recommendation{'s' * (below != 1)} below {low:.1f} % drawn on the lower edge."
        )
    if thinned > 1:
        remarks.append(f"Of the grey designs one in {thinned} is drawn.")
    return Plot(svg, tuple(remarks))


def attainment_plot(
    task: Task,
    bench: Benchmark,
    recommended: Mapping[str, Sequence[Sequence[Design]]],
    look: Mapping[str, Look],
) -> Plot:
    """Empirical attainment surfaces of what methods recommended: the median, between quartiles.

    Parameters
    ----------
    task : Task
        With two objectives, accuracy and a cost.
    bench : Benchmark
        The task's table.
    recommended : mapping of str to sequence of sequence of Design
        Method -> the designs that stood at the end of each of its runs.
    look : mapping of str to Look
    """
    cost = shown_cost(task)
    accuracy, costs, _, others = _all_designs(task, bench, cost)
    best = float(accuracy[others].max())
    low, high = best - ACCURACY_WINDOW, best + 0.06 * ACCURACY_WINDOW
    front = _front(accuracy, costs, others, best)
    attained = {
        method: surfaces([_points(task, bench, designs, cost) for designs in runs])
        for method, runs in recommended.items()
        if len(runs)
    }
    corners = [corner[0] for found in attained.values() for level in LEVELS for corner in found[level]]
    left, right = min([costs[front[0]], *corners]), max([costs[front[-1]], *corners])
    margin = max((right / left) ** 0.04, 1.02)
    left, right = left / margin, right * margin
    with _figure() as figure:
        axes = figure.add_subplot()
        for method, found in attained.items():
            style = look[method]
            grid = np.unique(np.concatenate([[left, right], *(found[level][:, 0] for level in LEVELS)]))
            quarter, median, three = (_attained(found[level], grid, low) for level in LEVELS)
            axes.fill_between(
                grid, three, quarter, step="post", color=style.colour, alpha=0.13, linewidth=0, zorder=2
            )
            axes.plot(grid, median, drawstyle="steps-post", color=style.colour, linewidth=1.5, zorder=4)
            here = found[50][-found[50][:, 1] >= low]
            axes.plot(
                here[:, 0],
                -here[:, 1],
                color=style.colour,
                marker=style.marker,
                markersize=4.5,
                markeredgewidth=0,
                linestyle="none",
                zorder=4,
            )
        _true_front(axes, costs[front], accuracy[front], (left, right), (low, high))
        axes.set_xlabel(_cost_label(bench, cost))
        svg = _svg(figure, f"attainment {task.name}")
    return Plot(svg, ())


def _true_front(
    axes: Axes, costs: np.ndarray, accuracy: np.ndarray, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """The front as steps, in a frame from ``x`` to ``y``: costs, to the right, and accuracies [%]."""
    axes.plot(
        [*costs, x[1]],
        [*accuracy, accuracy[-1]],
        color="black",
        linewidth=1.1,
        drawstyle="steps-post",
        zorder=3,
    )
    _log_axis(axes, _readable_ticks(*x), *x)
    axes.set_ylim(*y)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_ylabel("Accuracy, score labels [%]")


def _points(task: Task, bench: Benchmark, designs: Sequence[Design], cost: str) -> np.ndarray:
    """(cost, minus accuracy) of designs on score labels, to be minimised; (designs, 2)."""
    measured = [bench.query(design, task.at) for design in designs]
    return np.array([[m[cost], -m["accuracy"]] for m in measured]).reshape(-1, 2)


def _attained(corners: np.ndarray, grid: np.ndarray, low: float) -> np.ndarray:
    """Highest accuracy attained at no more than each cost of a rising grid, not below ``low``."""
    heights = np.maximum.accumulate(np.r_[-np.inf, -corners[:, 1]])
    return np.maximum(heights[np.searchsorted(corners[:, 0], grid, side="right")], low)


#: Methods up to which a critical-difference diagram can be read.
MAX_DIAGRAM = 20

_NAME_LENGTH = 24


def critical_difference_plot(
    found: CriticalDifference, methods: Sequence[str], look: Mapping[str, Look]
) -> Plot:
    """Mean ranks on a line, with bars over methods that ranks cannot tell apart (Demsar, 2006).

    Parameters
    ----------
    found : CriticalDifference
    methods : sequence of str
        In the order of its mean ranks; at most :data:`MAX_DIAGRAM`.
    look : mapping of str to Look
    """
    count = len(methods)
    order = np.argsort(found.mean_ranks, kind="stable")
    place = {int(method): k for k, method in enumerate(order)}
    left_half = -(-count // 2)
    bars = 0.32 * len(found.cliques)
    depth = bars + 0.5 + left_half * 0.62
    names: dict[str, str] = {}
    with _figure() as figure:
        figure.set_size_inches(9.2, 0.62 + 0.34 * depth + 0.3)
        axes = figure.add_subplot()
        axes.set_axis_off()
        span = count - 1
        edge = 0.78 * span  # room for names
        axes.set_xlim(1 - edge, count + edge)
        axes.set_ylim(-depth, 1.75)
        axes.plot([1, count], [0, 0], color="#222222", linewidth=1)
        step = -(-count // 10)
        for rank in range(1, count + 1, step):
            axes.plot([rank, rank], [0, 0.18], color="#222222", linewidth=1)
            axes.text(rank, 0.28, str(rank), ha="center", va="bottom", color="#444444")
        width = min(found.difference, span)
        axes.plot([1, 1 + width], [1.25, 1.25], color="#222222", linewidth=1.4, marker="|", markersize=7)
        axes.text(
            1 + width / 2, 1.4, f"CD {found.difference:.2f} (of independent tasks)", ha="center", va="bottom"
        )
        for k, clique in enumerate(found.cliques):
            ends = found.mean_ranks[list(clique)]
            height = -0.34 - 0.32 * k
            reach = 0.006 * span
            axes.plot(
                [ends.min() - reach, ends.max() + reach],
                [height, height],
                color="#222222",
                linewidth=3.2,
                solid_capstyle="round",
                zorder=3,
            )
        for k, method in enumerate(methods):
            rank, position = found.mean_ranks[k], place[k]
            is_left = position < left_half
            row = position if is_left else count - 1 - position
            height = -bars - 0.5 - 0.62 * row
            side = 1 - 0.06 * span if is_left else count + 0.06 * span
            style = look[method]
            axes.plot([rank, rank, side], [0, height, height], color=style.colour, linewidth=1.1, zorder=2)
            axes.plot(
                [rank],
                [0],
                color=style.colour,
                marker=style.marker,
                markersize=6,
                markeredgewidth=0,
                zorder=4,
            )
            mark = f"@{k:02d}@"
            names[mark] = f"{_cut(method)} ({rank:.2f})" if is_left else f"({rank:.2f}) {_cut(method)}"
            gap = -0.015 * span if is_left else 0.015 * span
            axes.text(side + gap, height, mark, ha="right" if is_left else "left", va="center")
        svg = _svg(figure, "critical difference")
    return Plot(re.sub(r"@\d\d@", lambda mark: html.escape(names[mark.group()]), svg), ())


def _cut(name: str) -> str:
    """A name that fits its place, without control characters."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return text if len(text) <= _NAME_LENGTH else text[: _NAME_LENGTH - 1] + "…"


@contextmanager
def _figure() -> Iterator[Figure]:
    """An empty figure in the page's style, whatever the user's own settings of matplotlib."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield Figure(figsize=SIZE, dpi=DPI, layout="constrained")


def _log_axis(axes: Axes, ticks: Sequence[float], left: float, right: float) -> None:
    """A logarithmic x axis whose ticks are plain numbers."""
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.9g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _thinned(values: Sequence[int], most: int = 9) -> list[int]:
    """At most about ``most`` of the values, the last among them."""
    step = -(-len(values) // most)
    return list(values[::-1][::step][::-1])


def _readable_ticks(left: float, right: float) -> list[float]:
    """Round numbers between two limits of a log axis: about three to nine."""
    decades = range(int(np.floor(np.log10(left))), int(np.ceil(np.log10(right))) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if left <= tick <= right]
        if len(ticks) >= 4:
            return ticks
    return [float(tick) for tick in MaxNLocator(6).tick_values(left, right) if left <= tick <= right]


def _svg(figure: Figure, salt: str) -> str:
    """The figure as an SVG element for HTML: no prologue, no metadata, no ids but those referred to.

    ``salt`` keeps those apart from the ids of other figures on the page.
    """
    matplotlib.rcParams["svg.hashsalt"] = salt  # restored with the rest of the style
    file = io.BytesIO()
    figure.savefig(file, format="svg", dpi=DPI, transparent=True, metadata={"Date": None})
    text = file.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    text = '<svg class="plot" ' + box.group() + text[text.index(">") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r' (d|x|y|transform)="[^"]*"', _short_numbers, text)
    text = re.sub(r'(?<=data:image/png;base64,)[^"]+', _few_colours, text)
    return re.sub(r">\s+<", "><", text).strip()


def _short_numbers(attribute: re.Match[str]) -> str:
    """Coordinates to a hundredth of a point, beyond which nobody sees a difference."""
    return re.sub(
        r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), attribute[0]
    )


def _few_colours(encoded: re.Match[str]) -> str:
    """A raster with a palette: markers of a dozen colours, a quarter of the bytes."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(encoded[0]))) as image:
        image.quantize(PALETTE, Image.Quantize.FASTOCTREE).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
