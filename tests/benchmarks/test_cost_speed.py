"""How fast costs are: this model beside ZigZag (zigzag-dse 3.9.1) on the same layers, in one run.

Nothing here fails for being slow. Run it alone for figures, on one core::

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_cost_speed.py --benchmark-only --benchmark-json=cost.json

ZigZag is the extra ``[zigzag]``; without it its ratio is left out, and pytest says so.
"""

import pytest

from nasbench_imc.building import zigzag
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.hardware import grid, layer_costs, network_costs
from nasbench_imc.spaces import NB201, Hybrid

pytest.importorskip("pytest_benchmark")

CONFIGS = grid()[:75]
COMPARED = 4  # layers that ZigZag sees, 0.1 to 0.4 CPU s each


def layers():
    hybrid = Hybrid()
    return list(
        dict.fromkeys(layer for code in hybrid.architectures for layer in hybrid.network(code).layers)
    )


def note(benchmark, **figures):
    benchmark.extra_info.update({name: float(f"{value:.4g}") for name, value in figures.items()})


def median(benchmark):
    if not benchmark.stats:
        pytest.skip("timing is disabled: run with --benchmark-only")
    return benchmark.stats.stats.median


def test_layer_evaluations_a_second(benchmark):
    rows = (layers() * 20)[:1000]
    benchmark.pedantic(layer_costs, args=(rows, CONFIGS), rounds=7, warmup_rounds=1)
    note(benchmark, million_evaluations_a_second=len(rows) * len(CONFIGS) / median(benchmark) / 1e6)


def test_a_whole_space_on_75_configurations(benchmark):
    space = NB201()

    def cost_all():
        return network_costs([space.network(code) for code in space.architectures], CONFIGS)

    costs = benchmark.pedantic(cost_all, rounds=1)
    assert costs["energy"].shape == (15_625, 75)
    note(benchmark, seconds=median(benchmark))


def test_ratio_to_zigzag(benchmark):
    try:
        zigzag.require()
    except BenchmarkError as error:
        pytest.skip(str(error))
    config = zigzag.configurations()[0]
    rows = [layer for layer in layers() if layer.kind == "mvm" and layer.groups == 1]
    rows = rows[:: len(rows) // COMPARED][:COMPARED]
    zigzag.evaluate(rows[0], config)  # imports
    theirs = zigzag.seconds_per_layer(rows, config)
    # As each is meant to be used: layers one by one there, as one table here.
    table = (rows * 250)[:1000]
    benchmark.pedantic(layer_costs, args=(table, [config] * 75), rounds=5, warmup_rounds=1)
    ours = median(benchmark) / (len(table) * 75)
    note(benchmark, zigzag_seconds=theirs, seconds=ours, zigzag_to_ours=theirs / ours)
    benchmark.extra_info["lpf_limit"] = zigzag.LPF_LIMIT
