"""The commands that train and compare, up to where computing begins."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_imc.building.audit import audit_list
from nasbench_imc.building.training_log import TrainingRun, write_log

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]) -> Run:
    """A command under ``build``, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(call, "build")


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
        "--networks",
        "study",
        "--seed",
        1,
        "--out",
        "o",
    )
    assert run("train", *options).status == 0
    assert [(job.recipe, job.code) for job in jobs] == [
        (recipe, code) for recipe in ("alone-4", "alone-3") for code in audit_list()[:24]
    ]
    assert jobs[0].path == Path("o/alone-4/seed-1").resolve() / f"{audit_list()[0]}.npz"


def test_runs_that_a_log_has_can_be_left_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    jobs = []
    monkeypatch.setattr(
        "nasbench_imc.building.jobs.run_jobs", lambda queued, **options: jobs.extend(queued) or []
    )
    there = TrainingRun("alone-3", 1, audit_list()[0], {}, {"seconds": [1.0]})
    other_seed = TrainingRun("alone-3", 0, audit_list()[1], {}, {"seconds": [1.0]})
    write_log(tmp_path / "log.gz", [there, other_seed])
    options = ("--recipe", "alone-3", "--networks", "study", "--seed", 1, "--out", "o")
    assert run("train", *options, "--skip-logged", tmp_path / "log.gz").status == 0
    assert [job.code for job in jobs] == list(audit_list()[1:24])


def test_results_are_kept_in_shards_and_come_back(run: Run) -> None:
    pytest.importorskip("torch")
    leave(Path("results"), "alone-3", 1, np.array([70.0, 71.0]))
    leave(Path("results/evaluation"), "alone-3", 1, np.array([60.0]))
    Path("datasets").mkdir()
    options = ("--recipe", "alone-3", "--seed", 1, "--datasets", "datasets")
    kept = run("shards", *options, "--networks", "study", "--results", "results")
    assert kept.status == 0
    assert [line.split(":")[0] for line in kept.out.splitlines()] == [
        "datasets/weights/alone-3-seed1-study-part.zip",
        "datasets/raw/evaluation/alone-3-seed1-study-part.zip",
    ]
    assert run("restore", *options, "--results", "again").status == 0
    files = [path.relative_to("results") for path in sorted(Path("results").rglob("*.npz"))]
    assert [path.relative_to("again") for path in sorted(Path("again").rglob("*.npz"))] == files
    assert all((Path("results") / file).read_bytes() == (Path("again") / file).read_bytes() for file in files)
    assert "unknown recipe 'alone'" in run("restore", "--recipe", "alone", "--datasets", "datasets").err
    assert "does not exist" in run("shards", *options, "--results", "none").err


def test_unknown_recipes_and_missing_super_networks_are_named_before_anything_runs(run: Run) -> None:
    pytest.importorskip("torch")
    done = run("train", "--recipe", "alone-3,alone-33")
    assert (done.status, done.out) == (1, "")
    assert "unknown recipe 'alone-33'" in done.err
    done = run("train", "--recipe", "alone-3,uniform-300+1", "--seed", 2)
    assert (done.status, done.out) == (1, "")
    assert "supernet/uniform-300/seed-2.npz" in done.err
    assert not Path("datasets").exists()


def test_results_are_gathered_and_compared(run: Run) -> None:
    truth = np.linspace(70, 78, 24)
    leave(Path("results"), "reference", 0, truth)
    assert "24 runs, 24 of them new" in run("gather", "--results", "results", "--log", "log.gz").out
    first = Path("log.gz").read_bytes()
    assert "24 runs, 0 of them new" in run("gather", "--results", "results", "--log", "log.gz").out
    assert Path("log.gz").read_bytes() == first
    leave(Path("later"), "alone-3", 0, truth[:12] - 9)  # elsewhere: what was gathered stays
    assert "36 runs, 12 of them new" in run("gather", "--results", "later", "--log", "log.gz").out
    done = run("study", "--log", "log.gz", "--out", "page")
    assert done.status == 0, done.err
    assert "| `alone-3`, 0 | 12 | 3.0 | 0.0 | 1.00 [1.00, 1.00] |" in Path("page/README.md").read_text()
