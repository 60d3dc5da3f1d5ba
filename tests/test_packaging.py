"""The wheel, and what it is worth in an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import nasbench_imc as nbi
from nasbench_imc.tables.files import file_sha256, releases

REPOSITORY = Path(__file__).parents[1]
CONSTRAINTS = REPOSITORY / "scripts" / "constraints.txt"

USE = """
import importlib.util
import sys
from pathlib import Path

import numpy as np
import nasbench_imc as nbi

assert "site-packages" in Path(nbi.__file__).parts, nbi.__file__
assert Path(nbi.__file__).is_relative_to(sys.prefix)
for name in ("torch", "matplotlib", "optuna", "pymoo", "pytest", "analog_nasbench"):
    assert importlib.util.find_spec(name) is None, name

bench = nbi.load("nb201")
assert bench.official
m = bench.query(nbi.Design(bench.architectures[-1], "sram-digital-r128"))
assert 0 < m["accuracy"] < 100 and m["energy"] > 0

from nasbench_imc_baselines import random_search

task = nbi.task("nb201/pcm-t0/C-energy")
with task.session(seed=7) as session:
    try:
        random_search.search(session, np.random.default_rng(0))
    except nbi.BudgetExhausted:
        pass
assert session.charged == task.budget
assert bench.table("energy", hardware="sram-digital-r128").shape == (15625, 1)

from nasbench_imc import bridges

assert bridges.function(task.session(seed=0)).bounds == [(0, 4)] * 6
for name in ("run_optuna", "run_pymoo", "configuration_space"):
    try:
        getattr(bridges, name)
    except nbi.BenchmarkError as error:
        assert 'not installed: pip install "nasbench-imc[search]"' in str(error)
    else:
        raise AssertionError(name)
try:
    import nasbench_imc.testing
except nbi.BenchmarkError as error:
    assert "needs pytest" in str(error)
else:
    raise AssertionError("pytest")
print("used")
"""


def run(*command: object, cwd: Path, **variables: str) -> str:
    """A command's output, away from the repository and from what this process set."""
    clean = {name: os.environ[name] for name in os.environ if name not in ("PYTHONPATH", "NASBENCH_IMC_DATA")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = (sys.executable, "-m", "build", "--wheel", "--outdir", out, REPOSITORY)
    run(*command, cwd=out, PIP_CONSTRAINT=str(CONSTRAINTS))
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel and what it needs, and nothing else."""
    place = tmp_path_factory.mktemp("empty")
    run(sys.executable, "-m", "venv", place / "venv", cwd=place)
    made = place / "venv" / "bin" / "python"
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    run(made, *install, "--constraint", CONSTRAINTS, wheel, cwd=place)
    return made


def test_wheel_holds_the_tables_and_the_tasks(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for release in releases().values():
            path = f"nasbench_imc/data/{release.file}"
            assert archive.getinfo(path).file_size == release.bytes
            (wheel.parent / release.file).write_bytes(archive.read(path))
            assert file_sha256(wheel.parent / release.file) == release.sha256
    assert "nasbench_imc/manifest.json" in names
    assert "nasbench_imc/hardware/constants.csv" in names
    tasks = [name for name in names if name.startswith("nasbench_imc/suites/data/")]
    assert len(tasks) == len(nbi.tasks()) > 36
    assert "nasbench_imc_baselines/nsga2.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"nasbench_imc", "nasbench_imc_baselines"}
    others = [name for name in names if not name.startswith("nasbench_imc/testing/")]
    assert not [name for name in others if "test" in name]
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    assert wheel.stat().st_size < 80e6


def test_use_in_an_empty_environment(python: Path, tmp_path: Path) -> None:
    assert run(python, "-c", USE, cwd=tmp_path) == "used\n"


def test_command_in_an_empty_environment(python: Path, tmp_path: Path) -> None:
    command = python.with_name("nasbench-imc")
    assert "tpe" in run(command, "methods", cwd=tmp_path)
    args = ("--task", "nb201/sram-digital/S-accuracy", "--seeds", 1, "--jobs", 1, "--quiet", "--out", "logs")
    assert "1 runs made" in run(command, "run", "--methods", "random_search", *args, cwd=tmp_path)
    assert "random_search" in run(command, "score", "logs", "--json", cwd=tmp_path)
    missing = subprocess.run(
        [command, "run", "--methods", "tpe", *map(str, args)], cwd=tmp_path, capture_output=True, text=True
    )
    assert missing.returncode == 1
    assert 'pip install "nasbench-imc[search]"' in missing.stderr
    assert missing.stderr.count("\n") == 1
