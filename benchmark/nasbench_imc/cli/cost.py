"""``cost``: what networks cost on a chip described in a file."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from nasbench_imc.cli.common import json_option, print_json, print_table
from nasbench_imc.errors import BenchmarkError, LayerListError
from nasbench_imc.files import replacing
from nasbench_imc.hardware import METRICS
from nasbench_imc.hardware.chip import Chip, load_chip, shipped_chips
from nasbench_imc.hardware.cost import AREA_COMPONENTS, ENERGY_COMPONENTS, layer_costs
from nasbench_imc.hardware.layer_lists import LayerList, load_layers, shipped_layer_lists
from nasbench_imc.networks import Network
from nasbench_imc.spaces import NB201, Hybrid

_OUTPUT = click.Path(dir_okay=False, path_type=Path)
_DEPLOYMENT_UNITS = {
    "programming_time": "us",
    "reload_rounds": "count",
    "reload_energy": "uJ",
    "lifetime": "inferences",
}
_LAYER_UNITS = {"arrays": "count", "utilisation": "%", "latency": "us", "energy": "uJ"} | {
    f"energy_{name}": "uJ" for name in ENERGY_COMPONENTS[:7]
}
_LABELS = {"adc": "ADC", "dac": "DAC", "attention": "attention, element-wise", "off_chip": "off-chip"}
UNITS = {name: metric.unit for name, metric in METRICS.items()} | _DEPLOYMENT_UNITS


@click.command()
@click.option(
    "--chip",
    "chip_name",
    required=True,
    help=f"A TOML file, or one that ships: {', '.join(shipped_chips())}.",
)
@click.option("--space", type=click.Choice(["nb201", "hybrid"]), help="Cost all networks of a space.")
@click.option(
    "--layers",
    "layers_name",
    help=f"Cost one network: a CSV file, or one that ships: {', '.join(shipped_layer_lists())}.",
)
@click.option(
    "--weight-bits", type=click.IntRange(1, 8), help="Bits a weight; those of the chip's file by default."
)
@click.option(
    "--sparsity",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Share of the inner channels removed (hybrid only).",
)
@click.option("--out", type=_OUTPUT, help="Write all metrics as CSV: a row a network, or a row a layer.")
@click.option("--chart", type=_OUTPUT, help="Draw energy and area by component; PNG, PDF or SVG by its name.")
@json_option
def cost(
    chip_name: str,
    space: str | None,
    layers_name: str | None,
    weight_bits: int | None,
    sparsity: float,
    out: Path | None,
    chart: Path | None,
    as_json: bool,
) -> None:
    """Energy, latency and area of a space's networks, or of one network, on a chip."""
    if (space is None) == (layers_name is None):
        raise click.UsageError("name either --space or --layers")
    if math.isnan(sparsity):  # which a range lets pass
        raise click.BadParameter("nan is no number", param_hint="'--sparsity'")
    if sparsity and space != "hybrid":
        raise click.UsageError("--sparsity is for --space hybrid")
    for path in (out, chart):
        if path is not None and not path.absolute().parent.is_dir():
            raise BenchmarkError(f"{path}: there is no folder {path.parent}")
    chip = load_chip(chip_name)
    bits = chip.weight_bits if weight_bits is None else weight_bits
    begin = time.perf_counter()
    about: dict[str, Any] = {"chip": chip.config.id, "weight_bits": bits}
    if space is not None:
        codes, networks = _space(space, sparsity)
        costs = chip.costs(networks, bits)
        summary = {name: _spread(values) for name, values in costs.items()}
        about |= {"space": space, "sparsity": sparsity, "networks": len(codes)}
        if out is not None:
            _write(out, ["arch", *costs], zip(codes, *costs.values(), strict=True))
        shown: Mapping[str, Any] = {**about, "units": UNITS, "costs": summary}
    else:
        assert layers_name is not None
        layers = _layers(layers_name)
        with np.errstate(divide="ignore"):  # a network without weights has no layer to copy
            costs = chip.costs([layers.network], bits)
        rows = _layer_rows(chip, layers, bits)
        about |= {"network": Path(layers_name).stem, "layers": len(rows)}
        if out is not None:
            _write(out, list(rows[0]), (row.values() for row in rows))
        single = {name: _finite(values[0]) for name, values in costs.items()}
        shown = {**about, "units": UNITS, "costs": single, "layer_units": _LAYER_UNITS, "by_layer": rows}
    if chart is not None:
        title = f"{space or about['network']} on {chip.config.id}, {bits}-bit weights"
        _draw(chart, costs, title + (f", sparsity {sparsity:g}" if sparsity else ""))
    if as_json:
        print_json(shown)
        return
    click.echo(", ".join(f"{name} {value}" for name, value in about.items()))
    if space is not None:
        print_table(
            ("metric", "unit", "least", "median", "most"),
            [
                (name, UNITS[name], *(_text(spread[part]) for part in ("min", "median", "max")))
                for name, spread in shown["costs"].items()
            ],
        )
    else:
        print_table(
            ("metric", "unit", "value"),
            [(name, UNITS[name], _text(value)) for name, value in shown["costs"].items()],
        )
        click.echo("\nBy layer; interconnect at one hop, without leakage and off-chip traffic:")
        columns = ("arrays", "utilisation", "latency", "energy")
        print_table(
            ("layer", "kind", *(f"{name} [{_LAYER_UNITS[name]}]" for name in columns)),
            [(row["name"], row["kind"], *(_text(row[name]) for name in columns)) for row in rows],
        )
    click.echo(f"costed in {time.perf_counter() - begin:.1f} s")


def _space(name: str, sparsity: float) -> tuple[Sequence[str], list[Network]]:
    if name == "hybrid":
        hybrid = Hybrid()
        return hybrid.architectures, [hybrid.network(code, sparsity) for code in hybrid.architectures]
    cells = NB201()
    return cells.architectures, [cells.network(code) for code in cells.architectures]


def _layers(name: str) -> LayerList:
    try:
        return load_layers(name)
    except LayerListError:
        raise
    except ValueError as error:  # thousands of digits, which int() refuses
        raise LayerListError(f"{name}: {error}") from None


def _finite(value: float) -> float | None:
    """A number as JSON knows it: what is infinite (a lifetime without writes) has none."""
    return float(value) if math.isfinite(value) else None


def _spread(values: np.ndarray) -> dict[str, float | None]:
    return {name: _finite(f(values)) for name, f in (("min", np.min), ("median", np.median), ("max", np.max))}


def _text(value: float | None) -> str:
    return "unlimited" if value is None else f"{value:.6g}"


def _layer_rows(chip: Chip, layers: LayerList, bits: int) -> list[dict[str, Any]]:
    """Costs of each layer by component, interconnect at one hop."""
    costs = layer_costs(
        layers.network.layers, [chip.config], bits, constants=chip.constants, adc_model=chip.adc_model
    )
    rows = []
    for i, (name, layer) in enumerate(zip(layers.names, layers.network.layers, strict=True)):
        parts = {f"energy_{part}": float(energy[i, 0]) * 1e-6 for part, energy in costs.energy.items()}
        rows.append(
            {
                "name": name,
                "kind": layer.kind,
                "macs": layer.macs,
                "arrays": int(costs.arrays[i, 0]),
                "utilisation": 100.0 * float(costs.utilisation[i, 0]),
                "latency": float(costs.latency[i, 0]) * 1e-3,
                "energy": sum(parts.values()),
                **parts,
            }
        )
    return rows


def _write(path: Path, header: Sequence[str], rows: Any) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def _draw(path: Path, costs: Mapping[str, np.ndarray], title: str) -> None:
    """Energy and area by component: of one network, or the median over many with their quartiles."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise BenchmarkError("--chart needs matplotlib: pip install 'nasbench-imc[search]'") from None
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    figure.suptitle(title)
    parts = (("energy", "uJ", ENERGY_COMPONENTS), ("area", "mm2", AREA_COMPONENTS))
    for axes, (metric, unit, names) in zip(figure.subplots(1, 2), parts, strict=True):
        bars = {_LABELS.get(name, name.replace("_", " ")): costs[f"{metric}_{name}"] for name in names}
        if metric == "energy" and costs["reload_energy"].any():
            bars["array"] = bars["array"] - costs["reload_energy"]
            bars["reloading weights"] = costs["reload_energy"]
        values = list(bars.values())
        low, middle, high = np.array([np.quantile(value, (0.25, 0.5, 0.75)) for value in values]).T
        many = len(costs[metric]) > 1
        spread = np.array([middle - low, high - middle]) if many else None
        axes.barh(range(len(bars)), middle, xerr=spread, color="#4878a8", ecolor="#303030")
        axes.set_yticks(range(len(bars)), list(bars))
        axes.invert_yaxis()
        axes.set_xlabel(f"{metric} [{unit}]" + (", median and quartiles" if many else ""))
        axes.spines[["top", "right"]].set_visible(False)
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:] or "png", dpi=150)
    except ValueError as error:  # a format that matplotlib does not know
        raise BenchmarkError(f"--chart {path}: {error}") from None
