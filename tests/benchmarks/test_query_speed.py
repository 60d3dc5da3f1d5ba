"""How fast and how large: this package beside AnalogNAS-Bench's own loader, in one run on one machine.

Nothing here fails for being slow. Run it alone for figures::

    pytest tests/benchmarks --benchmark-columns=median,iqr,rounds --benchmark-json=speed.json

The JSON file's ``extra_info`` holds the other side's figure and the ratio. ``analog-nasbench`` needs
``pkg_resources``, which setuptools no longer has; a stub stands in for the one function that it calls.
"""

import json
import statistics
import subprocess
import sys
import time
from importlib import metadata

import numpy as np
import pytest

from nasbench_imc import Design
from nasbench_imc.building.analognas import CODES, KEY_EDGES

pytest.importorskip("pytest_benchmark")

DESIGNS = 100_000
PROCESSES = 3

STUB = """
import sys, types
from importlib import resources
stub = types.ModuleType("pkg_resources")
stub.resource_filename = lambda package, name: str(resources.files(package) / name)
sys.modules["pkg_resources"] = stub
"""
MEASURE = """
import json, time
import psutil
begin = time.perf_counter()
{work}
seconds = time.perf_counter() - begin
mebibytes = psutil.Process().memory_info().rss / 2**20
print(json.dumps(dict(seconds=seconds, mebibytes=mebibytes, answer=float(answer))))
"""
OURS = """
import nasbench_imc as nbi
bench = nbi.load("nb201")
code = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
answer = bench.query(nbi.Design(code, "sram-digital-r128"))["{metric}"]
"""
THEIRS = """
from analognasbench.data import AnalogNASBench
answer = AnalogNASBench().query_metric((2, 2, 2, 2, 2, 2), "{metric}")
"""


def needs_theirs():
    try:
        metadata.distribution("analog-nasbench")
    except metadata.PackageNotFoundError:
        pytest.skip("analog-nasbench is not installed")


def first_answer(work: str, before: str = "") -> dict[str, float]:
    """Time from import to first answer [s] and resident memory [MiB] of a fresh interpreter."""
    script = before + MEASURE.format(work=work)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def ours(metric: str = "accuracy_digital") -> dict[str, float]:
    return first_answer(OURS.format(metric=metric))


def theirs(metric: str = "baseline_accuracy") -> dict[str, float]:
    return first_answer(THEIRS.format(metric=metric), STUB)


@pytest.fixture(scope="module")
def their_bench():
    needs_theirs()
    scope: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pkg_resources", None)
        exec(STUB, scope)
        from analognasbench.data import AnalogNASBench

        return AnalogNASBench()


@pytest.fixture(scope="module")
def designs(bench):
    """100,000 distinct designs in random order, and the keys of their cells."""
    drawn = np.random.default_rng(0).choice(len(bench.architectures) * 76, DESIGNS, replace=False)
    codes = [bench.architectures[k // 76] for k in drawn]
    of_edge = [{f"edge_{i}_{j}": (i, j) for i, j in KEY_EDGES}[name] for name in bench.space.variables]
    keys = []
    for code in codes:
        operation = dict(zip(of_edge, bench.space.values(code).values(), strict=True))
        keys.append(tuple(CODES.index(operation[edge]) for edge in KEY_EDGES))
    ids = [bench.hardware_ids[k % 76] for k in drawn]
    return [Design(code, id_) for code, id_ in zip(codes, ids, strict=True)], codes, keys


def query_all(query, designs, metric):
    for design in designs:
        query(design)[metric]


def query_all_theirs(query, keys, metric):
    for key in keys:
        query(key, metric)


def median_seconds(function, rounds=3):
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def note(benchmark, **figures):
    benchmark.extra_info.update({name: float(f"{value:.4g}") for name, value in figures.items()})


def taken(benchmark, function, *arguments, rounds=3):
    """Median time [s] of a call, through pytest-benchmark (one call where that is disabled)."""
    benchmark.pedantic(function, args=arguments, rounds=rounds, iterations=1, warmup_rounds=1)
    return (
        benchmark.stats.stats.median if benchmark.stats else median_seconds(lambda: function(*arguments), 1)
    )


def test_both_give_the_same_answers(bench, designs, their_bench):
    _, codes, keys = designs
    read = [their_bench.query_metric(key, "baseline_accuracy") for key in keys[:500]]
    np.testing.assert_array_equal(
        bench.array("accuracy_digital", codes[:500]), np.array(read, dtype=np.float32)
    )


@pytest.mark.parametrize("metric", ["energy", "accuracy_digital", "edp"])
def test_single_query_of_one_metric(benchmark, bench, designs, their_bench, metric):
    asked, _, keys = designs
    assert len(set(asked)) == DESIGNS
    seconds = taken(benchmark, query_all, bench.query, asked, metric)
    other = median_seconds(lambda: query_all_theirs(their_bench.query_metric, keys, "baseline_accuracy"))
    note(
        benchmark,
        microseconds_a_query=seconds / DESIGNS * 1e6,
        analog_nasbench_microseconds=other / DESIGNS * 1e6,
        ours_to_theirs=seconds / other,
    )


def test_batch_of_one_metric_on_all_hardware(benchmark, bench, their_bench):
    seconds = taken(benchmark, bench.array, "energy", rounds=5)
    keys = their_bench.list_available_architectures()
    other = median_seconds(lambda: [their_bench.query_metric(key, "baseline_accuracy") for key in keys])
    ours_rate, their_rate = bench.array("energy").size / seconds, len(keys) / other
    note(
        benchmark,
        million_values_a_second=ours_rate / 1e6,
        analog_nasbench_million=their_rate / 1e6,
        ours_to_theirs=ours_rate / their_rate,
    )


def test_batch_of_a_column(benchmark, bench, their_bench):
    seconds = taken(benchmark, bench.array, "accuracy_digital", rounds=20)
    keys = their_bench.list_available_architectures()
    other = median_seconds(lambda: [their_bench.query_metric(key, "baseline_accuracy") for key in keys])
    note(
        benchmark,
        million_values_a_second=len(keys) / seconds / 1e6,
        analog_nasbench_million=len(keys) / other / 1e6,
        ours_to_theirs=other / seconds,
    )


def test_batch_of_named_designs(benchmark, bench, designs):
    _, codes, _ = designs
    seconds = taken(benchmark, bench.array, "energy", codes, "sram-digital-r128")
    note(benchmark, million_values_a_second=DESIGNS / seconds / 1e6)


def test_time_from_import_to_first_answer(benchmark):
    needs_theirs()
    runs = []
    benchmark.pedantic(lambda: runs.append(ours()), rounds=PROCESSES, iterations=1)
    others = [theirs() for _ in range(PROCESSES)]
    seconds = statistics.median(run["seconds"] for run in runs)
    other = statistics.median(run["seconds"] for run in others)
    # float32 here, float64 there.
    assert runs[0]["answer"] == np.float32(others[0]["answer"])
    note(benchmark, seconds=seconds, analog_nasbench_seconds=other, ours_to_theirs=seconds / other)


@pytest.mark.parametrize("metric", ["accuracy_digital", "accuracy", "energy"])
def test_resident_memory_after_the_first_answer(benchmark, metric):
    needs_theirs()
    runs = []
    benchmark.pedantic(lambda: runs.append(ours(metric)), rounds=1, iterations=1)
    mebibytes, other = runs[0]["mebibytes"], theirs()["mebibytes"]
    note(benchmark, mebibytes=mebibytes, analog_nasbench_mebibytes=other, ours_to_theirs=mebibytes / other)
