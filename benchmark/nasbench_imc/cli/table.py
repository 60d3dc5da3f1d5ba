"""``info`` and ``query``: what the tables hold."""

from __future__ import annotations

from typing import Any

import click

from nasbench_imc.cli.common import json_option, print_json, print_table
from nasbench_imc.design import Design
from nasbench_imc.tables import load
from nasbench_imc.tables.layout import TIMES


@click.command()
@click.argument("table", default="nb201")
@json_option
def info(table: str, as_json: bool) -> None:
    """What TABLE holds: its size, version, sources, metrics and hardware."""
    bench = load(table)
    facts: dict[str, Any] = {
        "name": bench.name,
        "version": bench.version,
        "sha256": bench.sha256,
        "official": bench.official,
        "architectures": len(bench.architectures),
        "distinct_networks": bench.distinct_networks,
        "space": len(bench.space),
        "times": list(bench.times),
        "compressions": [
            {"weight_bits": bits, "sparsity": sparsity} for bits, sparsity in bench.compressions
        ],
        "draws": bench.draws,
        "training_seeds": list(bench.training_seeds),
        "sources": bench.attributes["sources"],
        "licences": bench.attributes["licences"],
    }
    metrics = {
        name: {"unit": m.unit, "direction": m.direction, "description": m.description}
        for name, m in bench.metrics.items()
    }
    if as_json:
        print_json({**facts, "metrics": metrics, "hardware": list(bench.hardware_ids)})
        return
    for name, value in facts.items():
        click.echo(f"{name}: {value}")
    click.echo()
    print_table(
        ("metric", "unit", "better", "meaning"),
        [(name, m["unit"], m["direction"], m["description"]) for name, m in metrics.items()],
    )
    click.echo()
    chips, have = bench.hardware, set(bench.accuracy_hardware())
    print_table(
        ("hardware", "reference", "accuracy"),
        [(id_, chips.reference[id_], "yes" if id_ in have else "") for id_ in bench.hardware_ids],
    )


@click.command()
@click.argument("arch")
@click.option("--table", default="nb201", show_default=True, help="Which table to ask.")
@click.option("--hardware", required=True, help="Id of an IMC configuration; `nasbench-imc info` lists them.")
@click.option(
    "--at", type=click.Choice(list(TIMES)), default="1d", show_default=True, help="Time since programming."
)
@click.option("--weight-bits", type=int, default=8, show_default=True, help="Bits a weight.")
@click.option(
    "--sparsity", type=float, default=0.0, show_default=True, help="Share of the inner channels removed."
)
@click.option("--metric", "metrics", multiple=True, help="Metric to show; may be repeated. All by default.")
@json_option
def query(
    arch: str,
    table: str,
    hardware: str,
    at: str,
    weight_bits: int,
    sparsity: float,
    metrics: tuple[str, ...],
    as_json: bool,
) -> None:
    """What the table says of the architecture ARCH, a code such as '|nor_conv_3x3~0|+|...|'."""
    bench = load(table)
    measured = bench.query(Design(arch, hardware, weight_bits, sparsity), at=at)
    values = {name: measured[name] for name in (metrics or measured)}
    if as_json:
        print_json(
            {
                "arch": arch,
                "canonical": bench.canonical(arch),
                "hardware": hardware,
                "at": at,
                "weight_bits": weight_bits,
                "sparsity": sparsity,
                "values": values,
                "units": {name: measured.units[name] for name in values},
            }
        )
        return
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"{name:<{width}}  {value:>12.6g} {measured.units[name]}")
