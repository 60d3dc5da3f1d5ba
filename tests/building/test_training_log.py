"""The log of training runs: what is gathered from result files, and how it is kept."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_imc.building.training_log import (
    TrainingRun,
    merged,
    read_folder,
    read_log,
    shared_seconds,
    write_log,
)
from nasbench_imc.errors import LogError

CODE = "c16x1-a24x1-m32x1"
ABOUT = {"recipe": {"epochs": 2, "parent": None}, "pixels": "generated", "torch": "2"}


def result(folder, recipe="alone-3", seed=0, code=CODE, about_code=None, **arrays):
    """Leave a result file as a training job does."""
    path = folder / recipe / f"seed-{seed}" / f"{code}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {**ABOUT, "seed": seed, "code": about_code or code}
    values = {"seconds": np.array([1.5, 0.1 + 0.2]), "test_accuracy": np.array(71.25)} | arrays
    np.savez_compressed(path, about=np.array(json.dumps(about)), **values)
    return path


def test_a_folder_is_gathered_without_weights_and_read_back_as_it_was(tmp_path):
    result(tmp_path, **{"state/stem.0.0.weight": np.ones((64, 64))})
    shared = tmp_path / "supernet" / "uniform-100" / "seed-2.npz"
    shared.parent.mkdir(parents=True)
    about = np.array(json.dumps({**ABOUT, "seed": 2}))
    np.savez_compressed(shared, about=about, seconds=np.array([3.0]), **{"state/a.b": np.ones(4)})
    log = tmp_path / "runs.jsonl.gz"
    write_log(log, merged(read_folder(tmp_path)))
    alone, parent = read_log(log)
    assert (alone.recipe, alone.seed, alone.code) == ("alone-3", 0, CODE)
    assert alone.about == ABOUT
    assert alone.values == {"seconds": [1.5, 0.1 + 0.2], "test_accuracy": 71.25}
    assert (parent.recipe, parent.seed, parent.code) == ("uniform-100", 2, None)
    assert log.stat().st_size < 500


def test_branches_are_gathered_each_by_its_name(tmp_path):
    for branch in ("c32x1", "a56x2"):
        path = tmp_path / "supernet" / "uniform-9-s3-1" / "seed-1" / f"{branch}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"recipe": {"branch_stages": 1}, "seed": 1, "branch": branch}
        np.savez_compressed(path, about=np.array(json.dumps(about)), seconds=np.array([3.0]))
    found = read_folder(tmp_path)
    assert [(run.recipe, run.seed, run.code) for run in found] == [
        ("uniform-9-s3-1", 1, "a56x2"),
        ("uniform-9-s3-1", 1, "c32x1"),
    ]
    assert all(run.shared for run in found)
    path.rename(path.with_name("m32x1.npz"))
    with pytest.raises(LogError, match="holds another run"):
        read_folder(tmp_path)


def test_a_super_network_costs_what_all_it_descends_from_took():
    def run(recipe, seconds, code=None, **settings):
        return TrainingRun(recipe, 0, code, {"recipe": settings}, {"seconds": seconds})

    on_gpu = run("three", [900.0], "m32x1", parent="root", branch_stages=1)
    runs = [
        replace(on_gpu, values={**on_gpu.values, "device": "cuda"}),
        run("root", [100.0, 20.0]),
        run("three", [7.0], "c32x1", parent="root", branch_stages=1),
        run("three", [5.0, 4.0], "c32x2", parent="root", branch_stages=1),  # two of twelve
        run("orphan", [1.0], "c32x2", parent="lost", branch_stages=1),
        run("three+1", [5.0], CODE, parent="three"),
    ]
    found = shared_seconds(runs)
    assert found["root", 0] == 120
    assert found["three", 0] == 120 + 12 * 8
    assert np.isnan(found["orphan", 0])
    assert ("three+1", 0) not in found


numbers = st.floats(0, 100)
runs = st.builds(
    TrainingRun,
    st.sampled_from(["alone-3", "uniform-300+1"]),
    st.integers(0, 2),
    st.sampled_from([None, CODE, "c16x1-c24x1-c32x1"]),
    st.just(ABOUT),
    st.fixed_dictionaries({"seconds": st.lists(numbers, max_size=3), "test_accuracy": numbers}),
)


@given(st.lists(runs, unique_by=lambda run: run.key))
def test_order_and_repeats_do_not_change_the_log(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("log")
    write_log(folder / "a.gz", merged(made))
    write_log(folder / "b.gz", merged(reversed(made), made, read_log(folder / "a.gz")))
    assert (folder / "a.gz").read_bytes() == (folder / "b.gz").read_bytes()
    assert sorted(read_log(folder / "a.gz"), key=lambda r: r.key) == sorted(made, key=lambda r: r.key)


def test_what_other_commands_leave_beside_the_runs_is_passed_over(tmp_path):
    path = result(tmp_path)
    beside = tmp_path / "evaluation" / path.relative_to(tmp_path)
    beside.parent.mkdir(parents=True)
    beside.write_bytes(b"not a run")
    assert len(read_folder(tmp_path)) == 1


def test_two_different_runs_of_one_network_are_refused():
    run = TrainingRun("alone-3", 0, CODE, ABOUT, {"seconds": [1.0], "test_accuracy": 70.0})
    other = replace(run, values={**run.values, "test_accuracy": 70.1})
    with pytest.raises(LogError, match=rf"two different runs of alone-3, seed 0, {CODE}"):
        merged([run], [other])


def test_a_run_made_again_does_not_replace_the_first_ones_seconds():
    run = TrainingRun("alone-3", 0, CODE, ABOUT, {"seconds": [1.0], "test_accuracy": 70.0})
    again = replace(run, values={**run.values, "seconds": [2.0], "processor": "Q", "device": "cuda"})
    assert np.isnan(again.seconds)
    assert merged([run], [again]) == [run]
    with pytest.raises(LogError, match="two different runs"):
        merged([run], [replace(again, about={**ABOUT, "pixels": "Q"})])


def test_damaged_and_misplaced_results_are_named(tmp_path):
    path = result(tmp_path / "a")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(LogError, match="is not a result of training"):
        read_folder(tmp_path / "a")
    result(tmp_path / "b", code="c16x1-c24x1-c32x1", about_code=CODE)
    with pytest.raises(LogError, match="holds another run"):
        read_folder(tmp_path / "b")


def test_a_truncated_or_foreign_log_is_refused(tmp_path):
    log = tmp_path / "runs.jsonl.gz"
    with pytest.raises(LogError, match="cannot be read"):
        read_log(log)
    write_log(log, [TrainingRun("alone-3", 0, CODE, ABOUT, {"seconds": [1.0]})])
    log.write_bytes(log.read_bytes()[:-12])
    with pytest.raises(LogError, match="cannot be read"):
        read_log(log)
    log.write_bytes(gzip.compress(b'{"recipe": "alone-3"}\n'))
    with pytest.raises(LogError, match="no training run"):
        read_log(log)
