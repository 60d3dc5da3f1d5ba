"""Tasks: the shipped ones, and task files that are malformed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nasbench_imc as nbi
from nasbench_imc.suites import Task
from nasbench_imc.suites.definition import shipped_task

NAMES = [task.name for task in nbi.tasks()]
S, C, M = "nb201/sram-digital/S-accuracy", "nb201/pcm-t0/C-energy", "nb201/sram-digital/M-energy"
EDAP, T = "nb201/joint/J-edap", "nb201/sram-to-pcm-t0/T-energy"


def changed(name: str, change: Callable[[dict[str, Any]], object]) -> str:
    data = json.loads(nbi.task(name).to_json())
    change(data)
    return json.dumps(data)


def test_every_track_in_each_suite() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 13
    tracks = set("SCMJTF") if any(name.startswith("hybrid/") for name in NAMES) else set("SCMJT")
    for suite in ("dev", "test"):
        assert {task.track for task in nbi.tasks(suite)} == tracks
        assert all(task.suite == suite for task in nbi.tasks(suite=suite))


@pytest.mark.parametrize("name", NAMES)
def test_task_file_round_trip(name: str) -> None:
    task = nbi.task(name)
    again = Task.from_json(task.to_json(), "here")
    assert again == task
    assert hash(again) == hash(task)
    assert again.to_json() == task.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_task_agrees_with_its_name(name: str) -> None:
    task = nbi.task(name)
    track = name.split("/")[-1][0]
    assert task.track == track
    assert bool(task.sources) == (track == "T")
    assert task.max_recommended == (20 if len(task.objectives) > 1 else 1)
    assert task.max_proposals == (4_000 if task.fidelities else max(4_000, 100 * task.budget))
    assert task.checkpoints[-1] == task.budget
    architectures = {"nb201": 15_625, "hybrid": 1_728}[task.table]
    choices = len(task.hardware) * len(task.weight_bits) * len(task.sparsity)
    assert len(task.domain) == architectures * choices


@pytest.mark.parametrize("name", ["", "nb201", "nb201/sram-digital/S-acuracy", None, 3, [], 1.5])
def test_unknown_task(name: Any) -> None:
    with pytest.raises(nbi.UnknownNameError, match=r"unknown task.*(nb201|hybrid)/"):
        nbi.task(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.json", r"there is no task file no\.json"),
        ("mine.toml", r"`nasbench-imc build task mine\.toml --out"),
    ],
)
def test_what_is_no_task_file(name: str, message: str) -> None:
    with pytest.raises(nbi.TaskError, match=message):
        nbi.task(name)


def test_the_hash_of_a_task_is_that_of_its_file() -> None:
    task = nbi.task(S)
    assert task.sha256 == hashlib.sha256(task.to_json().encode()).hexdigest()
    assert Task.from_json(task.to_json(), "here").sha256 == task.sha256
    assert replace(task, budget=task.budget + 1).sha256 != task.sha256


def test_a_shipped_task_is_found_by_its_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(nbi.task(S).to_json())
    assert shipped_task(S) is nbi.task(S)
    for name in (str(path), "", None, []):
        with pytest.raises(nbi.UnknownNameError, match="unknown task"):
            shipped_task(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("suite", ["", "prod", 3, []])
def test_unknown_suite(suite: Any) -> None:
    with pytest.raises(nbi.UnknownNameError, match=r"unknown suite.*'dev', 'test'"):
        nbi.tasks(suite)


def test_task_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(changed(S, lambda data: data.update(name="mine/S")))
    assert nbi.task(str(path)).name == "mine/S"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"3", b"{}", b"{", b"\xff\xfe\x00", b'{"frozen": 3}', b"[" * 100_000]
)
def test_not_a_task_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(nbi.TaskError, match=r"bad.json"):
        nbi.task(str(path))


@pytest.mark.parametrize("name", [S, C, M])
def test_every_field_is_needed(name: str) -> None:
    data = json.loads(nbi.task(name).to_json())
    for field in data:
        with pytest.raises(nbi.TaskError, match="is not a task file"):
            Task.from_json(changed(name, lambda d, f=field: d.pop(f)), "here")
    for field in data["frozen"]:
        with pytest.raises(nbi.TaskError, match="is not a task file"):
            Task.from_json(changed(name, lambda d, f=field: d["frozen"].pop(f)), "here")
    with pytest.raises(nbi.TaskError, match="extra"):
        Task.from_json(changed(name, lambda d: d.update(extra=1)), "here")


@pytest.mark.parametrize("name", [S, C, M])
@pytest.mark.parametrize("value", [None, True, -1, "x y", [], ["a", "a"], [1], {}, {"accuracy": 0}])
def test_no_field_takes_just_anything(name: str, value: Any) -> None:
    """Each value is refused in each field, but where it is right."""
    data = json.loads(nbi.task(name).to_json())
    for field in data:
        if field in ("table", "table_version", "table_sha256", "at") and isinstance(value, str):
            continue  # strings that the table judges
        if value == data[field] or (field, value) == ("weight_bits", [1]):
            continue
        with pytest.raises(nbi.TaskError, match=r"^here"):
            Task.from_json(changed(name, lambda d, f=field: d.update({f: value})), "here")
    for field in data["frozen"]:
        if value == data["frozen"][field] or (value == -1 and not isinstance(data["frozen"][field], list)):
            continue
        with pytest.raises(nbi.TaskError, match=r"^here"):
            Task.from_json(changed(name, lambda d, f=field: d["frozen"].update({f: value})), "here")


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (S, {"name": "../../etc"}, "name"),
        (S, {"name": "/abs"}, "name"),
        (S, {"track": "X"}, "track 'X' must be one of"),
        (S, {"track": "J"}, "track J has several choices"),
        (S, {"track": "T"}, "track T has sources"),
        (S, {"track": "F"}, "track F has fidelities"),
        (S, {"track": "M"}, "track M has costs"),
        (S, {"sources": ["pcm-r512-adc8-mux4"]}, "track T has sources, and no other"),
        (S, {"fidelities": ["draws-1"]}, "track F has fidelities, and no other"),
        (S, {"hardware": ["a", "b"]}, "track J has several choices"),
        (S, {"weight_bits": [8, 4]}, "track J has several choices"),
        (S, {"weight_bits": [8.0]}, "weight_bits must be"),
        (S, {"sparsity": [0]}, "sparsity must be"),
        (S, {"sparsity": []}, "sparsity must be"),
        (T, {"sources": ["pcm-r512-adc8-mux4"]}, "other hardware than the task's"),
        (T, {"checkpoints": [-1, 5, 20, 50]}, "at least 0"),
        (S, {"checkpoints": [0, 7, 9, 12, 16, 22, 30]}, "at least 1"),
        (EDAP, {"least": {}}, "least must hold accuracy"),
        (EDAP, {"objectives": ["edap", "energy"]}, "first of several objectives must be accuracy"),
        (S, {"least": {"accuracy": 90.0}}, "nothing elsewhere"),
        (S, {"suite": "prod"}, "suite 'prod' must be one of"),
        (S, {"hardware": "sram-digital-r128"}, "hardware must be"),
        (S, {"hardware": ["a", "a"]}, "hardware must be"),
        (S, {"objectives": ["energy"]}, "accuracy"),
        (S, {"objectives": ["accuracy", "energy"]}, "track S has no costs"),
        (M, {"objectives": ["accuracy"]}, "track M"),
        (M, {"objectives": ["accuracy", "accuracy_digital"]}, "no cost"),
        (S, {"limits": {"energy": 1.0}}, "track S has no limits"),
        (C, {"limits": {}}, "track C"),
        (C, {"limits": {"accuracy": 50.0}}, "no cost"),
        (C, {"limits": {"energy": "1"}}, "limits must be"),
        (S, {"budget": 29}, "end at the budget"),
        (S, {"budget": 2.5}, "budget must be"),
        (S, {"checkpoints": [25]}, "for each checkpoint"),
        (S, {"checkpoints": [7, 5, 9, 12, 16, 22, 30]}, "rise"),
        (S, {"checkpoints": [5, 5, 9, 12, 16, 22, 30]}, "rise"),
    ],
)
def test_malformed_field(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(nbi.TaskError, match=message):
        Task.from_json(changed(name, lambda data: data.update(fields)), "here")


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (S, {"best": 1.0}, "best must not be below"),
        (EDAP, {"best": 9.0}, "best must not be above"),
        (S, {"noise_floor": "low"}, "noise_floor must be a number"),
        (S, {"random_regret": [0.0] * 7}, "must not be 0"),
        (S, {"random_regret": [1.0] * 6}, "for each checkpoint"),
        (S, {"ideal": {"accuracy": 90.0}}, "ideal"),
        (M, {"ideal": {"accuracy": 90.0}}, "ideal"),
        (EDAP, {"ideal": {"edap": 90.0}}, "ideal"),
        (M, {"nadir": {"accuracy": 90.0, "energy": 0.0}}, "nadir"),
    ],
)
def test_malformed_frozen_field(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(nbi.TaskError, match=message):
        Task.from_json(changed(name, lambda data: data["frozen"].update(fields)), "here")


def test_nan_in_a_task_file() -> None:
    text = nbi.task(S).to_json().replace('"worst": 10.0', '"worst": NaN')
    assert "NaN" in text
    with pytest.raises(nbi.TaskError, match="NaN"):
        Task.from_json(text, "here")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hardware": ["sram-digital-r127"]}, "unknown hardware"),
        ({"hardware": ["rram-sliced-r64-adc8-mux16"], "at": "1d"}, "no 'accuracy' on rram"),
        ({"at": "1y"}, "unknown time"),
        ({"limits": {"energi": 1.0}}, "unknown metric"),
        ({"table_sha256": "0" * 64}, "belongs to table 'nb201'"),
    ],
)
def test_task_that_its_table_cannot_answer(
    bench: nbi.Benchmark, fields: dict[str, Any], message: str
) -> None:
    task = Task.from_json(changed(C, lambda data: data.update(fields)), "here")
    with pytest.raises(nbi.TaskError, match=message):
        task.session(0, bench)


def test_other_table_is_refused_unless_unofficial(bench: nbi.Benchmark) -> None:
    task = nbi.task(S)
    answers = {name: getattr(bench, name) for name in ("label_noise", "query", "architectures", "metrics")}

    def table(**fields: Any) -> Any:
        given = {"name": "nb201", "version": "9.9", "official": True, "sha256": "0" * 64}
        return SimpleNamespace(**{**given, **answers, **fields})

    with pytest.raises(nbi.TaskError, match=r"not to 'nb201' 9\.9"):
        task.check_table(table())
    with pytest.raises(nbi.TaskError, match="not to 'hybrid'"):
        task.check_table(table(name="hybrid", official=False))
    task.check_table(table(official=False))
    task.check_table(bench)
