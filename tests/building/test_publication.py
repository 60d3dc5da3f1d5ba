"""Reference searchers' runs as submissions: what is said of them, and that tuned means tuned."""

from __future__ import annotations

from pathlib import Path

import pytest

import nasbench_imc as nbi
from nasbench_imc.building.publication import about, publish
from nasbench_imc.runs import find_method, methods, run_all
from nasbench_imc.submissions.collect import score_places
from nasbench_imc.submissions.unpack import Archive
from nasbench_imc.tuning import tunable

TASKS = [nbi.task("nb201/sram-digital/S-accuracy"), nbi.task("nb201/pcm-t0/C-energy")]
DEFAULTS = tunable(find_method("local_search")).defaults
TUNED = f"""\
initial,restart,score,seeds,default,seconds,nb201/sram-digital/S-accuracy
77,2,{{other}},{{seeds}},True,1.8,{{other}}
{DEFAULTS["initial"]},{DEFAULTS["restart"]},{{own}},5,False,1.8,{{own}}
"""


def test_runs_become_submissions_that_replay(tmp_path: Path) -> None:
    names = ["random_search", "local_search"]
    run_all([find_method(name) for name in names], TASKS, range(2), tmp_path / "logs", progress=False)
    (tmp_path / "local_search.csv").write_text(TUNED.format(own=0.8, other=0.9, seeds=5))
    verdicts = publish(methods(), tmp_path / "logs", tmp_path, tmp_path / "out")
    assert sorted(verdicts) == sorted(names)
    assert {verdict.runs for verdict in verdicts.values()} == {4}
    assert score_places([tmp_path / "out"]).by_task().equals(score_places([tmp_path / "logs"]).by_task())
    with Archive(tmp_path / "out" / "local_search.zip") as archive:
        said = archive.manifest
    assert said.code == "nasbench_imc_baselines.local_search"
    assert said.description.startswith("Local search from random starts. White, Nolen and Savani")
    assert said.tuning.configurations == 2
    assert said.tuning.tasks == ("nb201/sram-digital/S-accuracy",)
    assert said.tuning.core_hours == 0.001
    with Archive(tmp_path / "out" / "random_search.zip") as archive:
        assert archive.manifest.tuning.configurations == 0


def test_defaults_that_are_not_the_best_are_not_called_tuned(tmp_path: Path) -> None:
    path = tmp_path / "local_search.csv"
    path.write_text(TUNED.format(own=0.9, other=0.8, seeds=5))
    with pytest.raises(
        nbi.BenchmarkError, match=r"defaults of local_search.* are not the best of its tuning"
    ):
        about(find_method("local_search"), path)


def test_few_seeds_of_another_configuration_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "local_search.csv"
    path.write_text(TUNED.format(own=0.9, other=0.8, seeds=2))
    assert about(find_method("local_search"), path).tuning.configurations == 2
