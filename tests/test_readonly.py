"""What people send to other processes and copy: tasks, sessions and what they answer."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from operator import attrgetter

import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc.readonly import read_only

TASK = "hybrid/pcm-1d/C-memory"


def random_designs(task, count):
    rng = np.random.default_rng(0)
    return [task.domain.random(rng) for _ in range(count)]


@pytest.fixture
def things():
    bench, task = nbi.load("hybrid"), nbi.task(TASK)
    (design,) = random_designs(task, 1)
    return {
        "task": task,
        "observation": task.session(0).query(design),
        "proxies": bench.proxies(design.arch),
        "measurement": bench.query(design),
        "values": read_only({"a": 1.0}),
    }


@pytest.mark.parametrize("name", ["task", "observation", "proxies", "measurement", "values"])
@pytest.mark.parametrize(
    "through", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]
)
def test_copies_are_the_same_and_still_read_only(things, name, through):
    thing = things[name]
    again = through(thing)
    assert type(again) is type(thing)
    assert (dict(again) == dict(thing)) if name in ("measurement", "values") else (again == thing)
    mapping = {"task": "limits", "observation": "values", "proxies": "values"}.get(name)
    with pytest.raises(TypeError):
        (getattr(again, mapping) if mapping else again)["accuracy"] = 100.0


def test_records_become_dictionaries(things):
    assert asdict(things["observation"])["values"] == things["observation"].values
    assert asdict(things["task"])["limits"] == things["task"].limits


def test_observations_are_keys(things):
    seen = things["observation"]
    assert {seen: 1}[copy.deepcopy(seen)] == 1


def test_a_session_goes_on_in_another_process():
    task = nbi.task(TASK)
    session = task.session(0)
    first, second = random_designs(task, 2)
    session.query(first)
    again = pickle.loads(pickle.dumps(session))
    assert again.query(second) == session.query(second)
    assert again.charged == session.charged == 2
    assert again.events() == session.events()


def test_tasks_reach_the_processes_of_a_pool():
    some, best = nbi.tasks("dev")[:3], attrgetter("frozen.best")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(best, some)) == [best(task) for task in some]
