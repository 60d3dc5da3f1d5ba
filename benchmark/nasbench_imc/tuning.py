"""Tuning a method's hyperparameters, under an effort that is stated and the same for every method.

A method states what may be tuned in its module, beside its function::

    SPACE = {"population": (5, 10, 20), "tournament": (2, 3, 5)}

    def search(session, rng, *, population=20, tournament=5): ...

Random search over the product of the choices (Bergstra and Bengio, JMLR 2012), the defaults first: simple,
and equally good or bad for everyone. What is best after a few seeds is best by luck to a good part, so the
best few are run with more seeds, and those decide (one step of successive halving, Jamieson and Talwalkar,
AISTATS 2016). The defaults are always among them: what replaces them must beat them on equal terms.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_imc.errors import BenchmarkError, SearchError
from nasbench_imc.runs import Method, read_logs, run_all
from nasbench_imc.scoring import score
from nasbench_imc.suites import Task

if TYPE_CHECKING:
    import pandas as pd

#: Seeds the draw of configurations.
SEED = 20_261


@dataclass(frozen=True)
class Tunable:
    """What a method lets be tuned.

    Attributes
    ----------
    method : Method
    choices : mapping of str to tuple
        Hyperparameter -> values that it may take.
    defaults : mapping of str to object
    """

    method: Method
    choices: Mapping[str, tuple[Any, ...]]
    defaults: Mapping[str, Any]


def tunable(method: Method) -> Tunable:
    """Read ``SPACE`` of a method's module.

    Raises
    ------
    SearchError
        Where there is none, or a name in it is no keyword-only argument of the method's function, with a
        default among the choices.
    """
    searcher = method.load()
    space = method.stated("SPACE")
    if not isinstance(space, Mapping) or not space:
        raise SearchError(
            f"method {method.name!r} has nothing to tune: its module needs SPACE, a dict of choices such as "
            "{'population': (10, 20)}"
        )
    arguments = inspect.signature(searcher).parameters
    valid = [name for name, each in arguments.items() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    defaults = {}
    for name, choices in space.items():
        argument = arguments.get(name)
        if argument is None or name not in valid:
            raise SearchError(
                f"method {method.name!r}: SPACE names {name!r}, no keyword-only argument of it; "
                f"those are {valid}"
            )
        if argument.default not in choices:
            raise SearchError(
                f"method {method.name!r}: the default of {name!r}, {argument.default!r}, is not among its "
                f"choices {tuple(choices)!r}"
            )
        defaults[name] = argument.default
    return Tunable(method, {name: tuple(choices) for name, choices in space.items()}, defaults)


def configurations(found: Tunable, count: int) -> list[dict[str, Any]]:
    """The defaults and uniform draws without replacement; fewer than ``count`` where there are no more.

    The first of a longer list are those of a shorter one.
    """
    names, lengths = list(found.choices), [len(choices) for choices in found.choices.values()]
    order = np.random.default_rng(SEED).permutation(math.prod(lengths))
    drawn = (
        {name: found.choices[name][k] for name, k in zip(names, np.unravel_index(n, lengths), strict=True)}
        for n in order
    )
    others = [values for values in drawn if values != found.defaults]
    return [dict(found.defaults), *others[: max(0, count - 1)]]


@dataclass(frozen=True)
class Effort:
    """What is spent on tuning one method.

    Attributes
    ----------
    configurations : int
        How many are tried, the defaults among them.
    seeds : int
        Each with seeds 0 to this less 1.
    finalists : int
        How many of them, the best, are tried with more; the defaults besides, where they are not among them.
    final_seeds : int
        Those with seeds 0 to this less 1; with no more than ``seeds`` there is no second round.
    """

    configurations: int = 20
    seeds: int = 5
    finalists: int = 5
    final_seeds: int = 30


def tune(
    method: Method,
    tasks: Sequence[Task],
    effort: Effort,
    out: Path,
    *,
    jobs: int = 1,
    timeout: float = 600.0,
    progress: bool = True,
) -> pd.DataFrame:
    """Run a method in several configurations and score each.

    Parameters
    ----------
    method : Method
    tasks : sequence of Task
        Of the suite ``dev``.
    effort : Effort
    out : pathlib.Path
        Folder of the logs; those found there are kept, so that an interrupted call is resumed.
    jobs, timeout, progress
        As in :func:`nasbench_imc.runs.run_all`.

    Returns
    -------
    pandas.DataFrame
        One row a configuration, the finalists first, each part by ``score``: its hyperparameters, ``score``
        (mean over tasks; 0: the table's best, 1: what random search is expected to reach), ``seeds`` of which
        that is the mean, ``default``, whether it is the defaults', ``seconds`` that its runs took in all, and
        the score on each task that the method is for.

    Raises
    ------
    SearchError
        Where there is nothing to tune, or a task is not of the suite ``dev``.
    BenchmarkError
        Where a run failed; its log says why.
    """
    import pandas as pd

    other = [task.name for task in tasks if task.suite != "dev"]
    if other:
        raise SearchError(f"tuning is for the suite 'dev'; {', '.join(other)} would no longer be a test")
    found = tunable(method)
    variants = [
        replace(method, name=f"{method.name}-{k:02}", options=tuple(options.items()))
        for k, options in enumerate(configurations(found, effort.configurations))
    ]

    def tried(some: Sequence[Method], seeds: int) -> pd.DataFrame:
        """A row each, by name; the best first."""
        report = run_all(some, tasks, range(seeds), out, jobs=jobs, timeout=timeout, progress=progress)
        if report.troubled:
            first = report.troubled[0]
            reason = first.error.strip().splitlines()[-1] if first.error else first.end
            raise BenchmarkError(
                f"{len(report.troubled)} runs failed, among them {first.job.task.name} with "
                f"{dict(first.job.method.options)}: {reason}"
            )
        names = {variant.name for variant in some}
        logs = [log for log in read_logs(out) if log.method in names and log.seed < seeds]
        runs = score(logs).runs
        rows = []
        for variant in some:
            own = runs[runs["method"] == variant.name]
            means = own.groupby("task")["score"].mean()
            rows.append(
                {
                    "name": variant.name,
                    **dict(variant.options),
                    "score": float(means.mean()),
                    "seeds": int(own["seed"].nunique()),
                    "default": dict(variant.options) == found.defaults,
                    "seconds": float(own["seconds"].sum()),
                    # A method makes the runs that it is for.
                    **{task.name: float(means[task.name]) for task in tasks if task.name in means},
                }
            )
        return pd.DataFrame(rows).set_index("name").sort_values("score", kind="stable")

    frame = tried(variants, effort.seeds)
    if effort.finalists and effort.final_seeds > effort.seeds:
        best = set(frame.index[: effort.finalists]) | set(frame.index[frame["default"]])
        final = tried([variant for variant in variants if variant.name in best], effort.final_seeds)
        frame = pd.concat([final, frame.drop(list(best))])
    return frame.reset_index(drop=True)
