"""Tuning: what is tried, under which effort, and what comes out."""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import find_method, methods
from nasbench_imc.tuning import Effort, configurations, tunable, tune

TASK = "nb201/pcm-t0/S-accuracy"
TUNED = sorted(Path(__file__).parents[1].glob("results/tuning/*.csv"))
SOURCE = '''
"""Takes the best of a few designs; quality says how well it looks."""

SPACE = {"quality": (1, 20), "luck": (0, 7, 8)}


def search(session, rng, *, quality=1, luck=7):
    bench = session.task.load_table()
    while True:
        pool = [session.task.domain.random(rng) for _ in range(quality)]
        session.query(max(pool, key=lambda design: bench.query(design)["accuracy"]))
'''


@pytest.fixture
def method(tmp_path):
    path = tmp_path / "seer.py"
    path.write_text(SOURCE)
    return find_method(f"{path}:search")


def test_the_defaults_come_first_and_nothing_twice(method):
    found = tunable(method)
    tried = configurations(found, 100)
    assert tried[0] == found.defaults == {"quality": 1, "luck": 7}
    assert len(tried) == len({tuple(each.items()) for each in tried}) == 6
    assert configurations(found, 4) == tried[:4]
    assert configurations(found, 1) == [found.defaults]


def test_the_better_configuration_is_found_and_a_second_call_makes_no_run(method, tmp_path):
    tasks, out = [nbi.task(TASK)], tmp_path / "logs"
    frame = tune(method, tasks, Effort(6, 2, finalists=0), out, progress=False)
    assert list(frame.columns) == ["quality", "luck", "score", "seeds", "default", "seconds", TASK]
    assert (frame["seconds"] > 0).all()
    assert sorted(frame["quality"][:3]) == [20, 20, 20]
    assert frame["score"].is_monotonic_increasing
    assert frame.loc[frame["default"], ["quality", "luck"]].to_numpy().tolist() == [[1, 7]]
    assert (frame["score"] == frame[TASK]).all()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.gz")}
    assert len(times) == 12
    again = tune(method, tasks, Effort(6, 2, finalists=0), out, progress=False)
    assert again.equals(frame)
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*.gz")}


def test_the_best_and_the_defaults_are_tried_with_more_seeds_which_decide(method, tmp_path):
    tasks, out, chosen = [nbi.task(TASK)], tmp_path / "logs", ["quality", "luck"]
    first = tune(method, tasks, Effort(6, 2, finalists=0), out, progress=False)
    assert not first["default"][:3].any()
    frame = tune(method, tasks, Effort(6, 2, finalists=3, final_seeds=5), out, progress=False)
    assert frame["seeds"].tolist() == [5, 5, 5, 5, 2, 2]
    assert frame["score"][:4].is_monotonic_increasing
    assert frame["score"][4:].is_monotonic_increasing
    best = pd.concat([first[:3], first[first["default"]]])
    assert sorted(map(tuple, frame[chosen][:4].to_numpy())) == sorted(map(tuple, best[chosen].to_numpy()))
    rest = first[3:][~first["default"][3:]]
    assert frame[4:].reset_index(drop=True).equals(rest.reset_index(drop=True))
    assert len(list(out.rglob("*.gz"))) == 6 * 2 + 4 * 3


def test_defaults_among_the_best_are_counted_once(tmp_path):
    path = tmp_path / "wise.py"
    path.write_text(SOURCE.replace("quality=1,", "quality=20,"))
    wise = find_method(f"{path}:search")
    frame = tune(wise, [nbi.task(TASK)], Effort(6, 2, 3, final_seeds=3), tmp_path / "logs", progress=False)
    assert frame["default"][:3].any()
    assert frame["seeds"].tolist() == [3, 3, 3, 2, 2, 2]


def test_only_what_a_method_is_for_counts(tmp_path):
    path = tmp_path / "seer.py"
    path.write_text(SOURCE + "\n\ndef suits(task):\n    return not task.limits\n")
    tasks = [nbi.task(TASK), nbi.task("nb201/pcm-t0/C-energy")]
    effort = Effort(2, 1, finalists=0)
    frame = tune(find_method(f"{path}:search"), tasks, effort, tmp_path / "logs", progress=False)
    assert list(frame.columns)[-2:] == ["seconds", TASK]


def test_test_tasks_are_refused(method, tmp_path):
    with pytest.raises(nbi.SearchError, match="tuning is for the suite 'dev'; nb201/sram-digital/S-accuracy"):
        tune(method, [nbi.task("nb201/sram-digital/S-accuracy")], Effort(1, 1), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SPACE =", "ROOM =", "nothing to tune"),
        ('"luck": (0, 7, 8)', '"charm": (0, 7)', "names 'charm', no keyword-only argument"),
        ("luck=7", "luck=5", "the default of 'luck', 5, is not among its choices"),
        ("*, quality", "quality", "names 'quality', no keyword-only argument"),
    ],
)
def test_a_wrong_space_is_explained(tmp_path, old, new, message):
    path = tmp_path / "wrong.py"
    path.write_text(SOURCE.replace(old, new))
    with pytest.raises(nbi.SearchError, match=message):
        tunable(find_method(f"{path}:search"))


def test_a_failing_configuration_is_named(tmp_path):
    path = tmp_path / "fails.py"
    path.write_text(SOURCE.replace("    bench =", "    assert quality == 1\n    bench ="))
    with pytest.raises(nbi.BenchmarkError, match=r"runs failed, among them .*'quality': 20.*AssertionError"):
        tune(find_method(f"{path}:search"), [nbi.task(TASK)], Effort(6, 1), tmp_path / "logs", progress=False)


@pytest.mark.parametrize("name", [name for name in methods() if name not in ("random_search",)])
def test_the_reference_searchers_say_what_may_be_tuned(name):
    found = tunable(methods()[name])
    tried = configurations(found, 20)
    assert len(tried) >= min(20, int(np.prod([len(choices) for choices in found.choices.values()])))


@pytest.mark.parametrize("path", TUNED, ids=lambda path: path.stem)
def test_defaults_are_what_came_first_among_most_seeds(path):
    """In the shipped tables, from which the searchers' files took them by hand."""
    module = inspect.getmodule(methods()[path.stem].load())
    frame = pd.read_csv(path)
    best = frame[frame.seeds == frame.seeds.max()].sort_values("score").iloc[0]
    parameters = inspect.signature(module.search).parameters
    assert {name: best[name] for name in module.SPACE} == {
        name: parameters[name].default for name in module.SPACE
    }


def test_every_searcher_that_lists_what_to_tune_was_tuned():
    own = (m for m in methods().values() if m.source.startswith("nasbench_imc_baselines."))
    assert sorted(m.name for m in own if m.stated("SPACE")) == [path.stem for path in TUNED]
