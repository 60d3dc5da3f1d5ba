"""Trust tiers, and the files that grant them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_imc.errors import SubmissionError

if TYPE_CHECKING:
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
        What is to be shown. A replayed method's must be those that the verdict states.

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
        methods = [str(name) for name in named]
        if tier == TIERS[1]:
            _check_scores(path, verdict, scores, methods)
        for method in methods:
            found[method] = max(found.get(method, TIERS[0]), tier, key=TIERS.index)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        verdict = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SubmissionError(f"{path} is no verdict: {type(error).__name__} {error}") from error
    if not isinstance(verdict, dict):
        raise SubmissionError(f"{path} is no verdict: it holds no object")
    return verdict


def _check_scores(path: Path, verdict: dict[str, Any], scores: Scores, methods: Sequence[str]) -> None:
    try:
        stated = {(row["task"], row["method"]): (row["score"], row["runs"]) for row in verdict["scores"]}
    except (KeyError, TypeError) as error:
        raise SubmissionError(f"{path} is no verdict: malformed scores") from error
    for row in scores.by_task().itertuples(index=False):
        if row.method not in methods:
            continue
        score, runs = stated.get((row.task, row.method), (float("nan"), 0))
        if runs != row.runs or not abs(score - row.score) <= _CLOSE:
            raise SubmissionError(
                f"{path} is of other runs: it states {score!r:.20} over {runs} runs for {row.method} on "
                f"{row.task}, these logs give {row.score!r:.20} over {row.runs}"
            )
