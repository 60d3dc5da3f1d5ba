"""What simulating a chip costs beside a plain forward of the network, as a ratio in one run.

Nothing here fails for being slow; ``extra_info`` holds the ratios.
``scripts/compare-aihwkit`` has AIHWKit beside them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nasbench_imc.building.jobs import ENVIRONMENT

pytest.importorskip("pytest_benchmark")
pytest.importorskip("torch", reason="needs the build extra")

SCRIPT = Path(__file__).with_name("crossbar_speed.py")


def test_a_simulated_forward_beside_a_plain_one(benchmark):
    def run():
        done = subprocess.run(
            [sys.executable, SCRIPT], env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    ratios = benchmark.pedantic(run, rounds=1, iterations=1)
    assert set(ratios) == {"cnn", "transformer"}
    for kind, figures in ratios.items():
        plain = figures.pop("plain")
        benchmark.extra_info[f"{kind}: plain forward [ms]"] = float(f"{plain:.4g}")
        for name, ratio in figures.items():
            assert ratio > 0
            benchmark.extra_info[f"{kind}: {name}"] = float(f"{ratio:.4g}")
