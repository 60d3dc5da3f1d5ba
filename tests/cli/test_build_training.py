"""The commands that train and compare, up to where computing begins."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from nasbench_imc.building.audit import audit_list
from nasbench_imc.cli.build import build
from nasbench_imc.errors import BenchmarkError, UnknownNameError

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command under ``build``, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(build, list(map(str, args)))


def leave(folder: Path, recipe: str, seed: int, accuracies: np.ndarray) -> None:
    """Result files of the first networks of the list."""
    path = folder / recipe / f"seed-{seed}"
    path.mkdir(parents=True)
    for code, accuracy in zip(audit_list(), accuracies, strict=False):
        about = {"code": code, "seed": seed, "recipe": {"parent": None}, "pixels": "generated"}
        np.savez(
            path / f"{code}.npz",
            about=np.array(json.dumps(about)),
            seconds=np.ones(3),
            test_accuracy=np.array(accuracy),
        )


def test_several_recipes_become_one_queue(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    jobs = []
    monkeypatch.setattr(
        "nasbench_imc.building.jobs.run_jobs", lambda queued, **options: jobs.extend(queued) or []
    )
    options = (
        "--recipe",
        "alone-4,alone-3",
        "--recipe",
        "alone-4",
        "--first",
        "2",
        "--seed",
        1,
        "--out",
        "o",
    )
    assert run("train", *options).exit_code == 0
    assert [(job.recipe, job.code) for job in jobs] == [
        (recipe, code) for recipe in ("alone-4", "alone-3") for code in audit_list()[:2]
    ]
    assert jobs[0].path == Path("o/alone-4/seed-1").resolve() / f"{audit_list()[0]}.npz"


def test_unknown_recipes_and_missing_super_networks_are_named_before_anything_runs(run: Run) -> None:
    pytest.importorskip("torch")
    error = run("train", "--recipe", "alone-3,alone-33").exception
    assert isinstance(error, UnknownNameError)
    assert "unknown recipe 'alone-33'" in str(error)
    error = run("train", "--recipe", "alone-3,uniform-300+1", "--seed", 2).exception
    assert isinstance(error, BenchmarkError)
    assert "supernet/uniform-300/seed-2.npz" in str(error)
    assert not Path("datasets").exists()


def test_results_are_gathered_and_compared(run: Run) -> None:
    truth = np.linspace(70, 78, 24)
    leave(Path("results"), "reference", 0, truth)
    assert "24 runs, 24 of them new" in run("gather", "--results", "results", "--log", "log.gz").output
    first = Path("log.gz").read_bytes()
    assert "24 runs, 0 of them new" in run("gather", "--results", "results", "--log", "log.gz").output
    assert Path("log.gz").read_bytes() == first
    leave(Path("later"), "alone-3", 0, truth[:12] - 9)  # elsewhere: what was gathered stays
    assert "36 runs, 12 of them new" in run("gather", "--results", "later", "--log", "log.gz").output
    done = run("study", "--log", "log.gz", "--out", "page")
    assert done.exit_code == 0, done.exception
    assert "| `alone-3`, 0 | 12 | 3.0 | 0.0 | 1.00 [1.00, 1.00] |" in Path("page/README.md").read_text()
