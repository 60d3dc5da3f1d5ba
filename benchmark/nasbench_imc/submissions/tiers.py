"""Trust tiers, and the files that grant them.

A verdict is a file, which its owner may have written by hand: what is checked is that it speaks of the runs
shown, not that it is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_imc.errors import SubmissionError
from nasbench_imc.runs import strict_json

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_imc.scoring import Scores

#: How far a method's scores can be trusted, from least to most: computed from logs that somebody sent,
#: recomputed from such logs against the table, or of runs made again where the table could not be read.
TIERS = ("self-reported", "replayed", "re-run")

#: How far a score may be from the one in a verdict: that of the last digits of a float.
_CLOSE = 1e-9


def tiers(paths: Iterable[Path], scores: Scores) -> dict[str, str]:
    """The tiers that verdicts grant to methods; of several for one method the highest.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        What ``nasbench-imc replay --out`` and ``nasbench-imc re-run`` wrote.
    scores : Scores
        What is to be shown. The verdict on a method must state its scores and the tables that they come
        from. One of running again must also be of the searcher that made the runs shown, on all their tasks,
        and have found that the runs of its submission came out as their logs say.

    Returns
    -------
    dict of str to str
        Method -> tier.

    Raises
    ------
    SubmissionError
        Where a file is no such verdict, refuses the submission, or is of other runs.
    """
    found: dict[str, str] = {}
    for path in paths:
        verdict = _read(path)
        if verdict.get("accepted") is False:
            raise SubmissionError(f"{path} refuses the submission: {verdict.get('reason')!s:.200}")
        tier = verdict.get("tier")
        if tier not in TIERS[1:]:
            raise SubmissionError(f"{path} grants no trust tier (tier {tier!r:.40}); one of {TIERS[1:]} does")
        named = [verdict.get("method")] if tier == TIERS[2] else verdict.get("methods")
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise SubmissionError(f"{path} is no verdict: it names no method")
        for method in map(str, named):
            runs = scores.runs[scores.runs.method == method]
            if tier == TIERS[1]:
                _check_scores(path, method, runs, *_stated(path, verdict, method))
            else:
                _check_searcher(path, verdict, method, runs)
                _check_submission(path, verdict, method, runs)
            _check_tables(path, verdict, scores, set(runs.task))
            found[method] = max(found.get(method, TIERS[0]), tier, key=TIERS.index)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        verdict = strict_json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SubmissionError(f"{path} is no verdict: {type(error).__name__} {error}") from error
    if not isinstance(verdict, dict):
        raise SubmissionError(f"{path} is no verdict: it holds no object")
    return verdict


def _stated(path: Path, verdict: Mapping[str, Any], method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores, and numbers of runs, of a method by task, as replaying found them."""
    try:
        rows = [row for row in verdict["scores"] if row["method"] == method]
        return {row["task"]: row["score"] for row in rows}, {row["task"]: row["runs"] for row in rows}
    except (KeyError, TypeError) as error:
        raise SubmissionError(f"{path} is no verdict: malformed scores") from error


def _check_scores(
    path: Path,
    method: str,
    runs: pd.DataFrame,
    scores: Mapping[str, Any],
    counts: Mapping[str, Any] | None = None,
) -> None:
    """Each task's mean score is the one stated, and the number of its runs where these are stated."""
    for name, rows in runs.groupby("task", sort=True):
        task, shown = str(name), float(rows.score.mean())
        score = scores.get(task, "no score")
        close = type(score) in (int, float) and abs(score - shown) <= _CLOSE
        count = len(rows) if counts is None else counts.get(task)
        if not close or count != len(rows):
            over = "" if counts is None else f" over {count!s:.20} runs"
            raise SubmissionError(
                f"{path} is of other runs: it states {score!s:.20}{over} for {method} on {task}, these logs "
                f"give {shown!r:.20} over {len(rows)}"
            )


def _check_tables(path: Path, verdict: Mapping[str, Any], scores: Scores, shown: set[str]) -> None:
    tables = verdict.get("tables")
    if not isinstance(tables, dict):
        raise SubmissionError(f"{path} is no verdict: it names no tables")
    for task in scores.tasks:
        bench = task.load_table()  # scoring has checked that it answered the runs
        if task.name in shown and tables.get(task.table) != bench.sha256:
            raise SubmissionError(
                f"{path} is of other runs: it names table {task.table} {tables.get(task.table)!s:.12}..., "
                f"those shown on {task.name} were made with {bench.sha256[:12]}... ({bench.version})"
            )


def _check_searcher(path: Path, verdict: Mapping[str, Any], method: str, runs: pd.DataFrame) -> None:
    """One searcher, of a known file, made the runs shown and was run again on all their tasks."""
    searcher, rows = verdict.get("searcher"), verdict.get("tasks")
    if not isinstance(searcher, str) or not searcher:
        raise SubmissionError(f"{path} grants no tier: it does not state the SHA-256 of a searcher's file")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SubmissionError(f"{path} is no verdict: malformed tasks")
    if runs.empty:
        raise SubmissionError(f"{path} is of {method!r:.120}, of which no runs are shown")
    others = set(runs.searcher) - {searcher}
    if others:
        raise SubmissionError(
            f"{path} is of another searcher: SHA-256 {searcher:.12}..., where runs of {method} shown here "
            + (f"were made by {max(others)[:12]}..." if any(others) else "name no file of theirs")
        )
    lacking = set(runs.task) - {row.get("task") for row in rows if isinstance(row.get("task"), str)}
    if lacking:
        raise SubmissionError(
            f"{path} lacks {len(lacking)} of the tasks on which {method} is shown, first {min(lacking)}"
        )


def _check_submission(path: Path, verdict: Mapping[str, Any], method: str, runs: pd.DataFrame) -> None:
    """The runs shown are the submission's, and those of them that were made again came out alike."""
    compared = verdict.get("submission")
    if compared is None:
        raise SubmissionError(
            f"{path} grants no tier: {method} was run again, but not compared with the runs that it "
            "submitted; do it with `nasbench-imc re-run --of SUBMISSION`"
        )
    try:
        differ, again, stated = compared["differ"], compared["runs_again"], dict(compared["scores"])
        few = again < len(set(runs.task))
    except (KeyError, TypeError, ValueError) as error:
        raise SubmissionError(f"{path} is no verdict: malformed submission") from error
    if differ != []:
        count = len(differ) if isinstance(differ, list) else "some"
        raise SubmissionError(
            f"{path} grants no tier: {count} of {again!r:.20} runs made again differ from those submitted"
        )
    if few:
        raise SubmissionError(
            f"{path} grants no tier: not every task on which {method} is shown had a submitted run made again"
        )
    _check_scores(path, method, runs, stated)
