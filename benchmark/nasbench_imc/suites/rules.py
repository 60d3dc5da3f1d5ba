"""What must hold of a task that was read from a file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_imc.suites.definition import Task

SUITES = ("dev", "test")
TRACKS = {
    "S": "accuracy on one hardware",
    "C": "accuracy under limits on costs",
    "M": "accuracy against costs",
}

#: A task's name is also the folder of its logs.
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


def rules(made: Task) -> Iterator[tuple[bool, str]]:
    """Each rule as whether it is kept and what it says; a rule relies on those before it."""
    frozen = made.frozen
    for name in ("name", "track", "suite", "table", "table_version", "table_sha256", "at"):
        yield isinstance(getattr(made, name), str), f"{name} must be a string"
    yield bool(_NAME.fullmatch(made.name)), f"name {made.name!r} must be words joined by /"
    yield made.track in TRACKS, f"track {made.track!r} must be one of {list(TRACKS)}"
    yield made.suite in SUITES, f"suite {made.suite!r} must be one of {list(SUITES)}"
    yield _is_names(made.hardware), "hardware must be a list of different ids"
    yield _is_names(made.objectives), "objectives must be a list of different metrics"
    yield made.objectives[0] == "accuracy", "the first objective must be accuracy"
    costs = made.objectives[1:]
    yield bool(costs) == (made.track == "M"), "track M has costs as further objectives, and no other has"
    yield _is_positive(made.limits), "limits must be a mapping of metrics to positive numbers"
    yield bool(made.limits) == (made.track == "C"), "track C has limits, and no other has"
    yield (
        not any(name.startswith("accuracy") for name in (*costs, *made.limits)),
        "an accuracy is no cost, since costs are seen without being charged",
    )
    for name in ("budget", "label_seeds"):
        yield _is_count(getattr(made, name)), f"{name} must be a positive integer"
    yield (
        isinstance(made.checkpoints, tuple) and all(map(_is_count, made.checkpoints)),
        "checkpoints must be a list of positive integers",
    )
    yield (
        made.checkpoints == tuple(sorted(set(made.checkpoints))) and made.budget in made.checkpoints[-1:],
        "checkpoints must rise and end at the budget",
    )
    for name in ("best", "worst", "best_hypervolume", "noise_floor", "reachable_regret"):
        yield _is_number(getattr(frozen, name)), f"frozen {name} must be a number"
    yield frozen.best >= frozen.worst, "frozen best must not be below frozen worst"
    for name in ("random_regret", "random_regret_error"):
        values = getattr(frozen, name)
        yield (
            isinstance(values, tuple)
            and len(values) == len(made.checkpoints)
            and all(_is_number(value) and value >= 0 for value in values),
            f"frozen {name} must hold a number of at least 0 for each checkpoint",
        )
    yield sum(frozen.random_regret) > 0, "frozen random_regret must not be 0 at all checkpoints"
    expected = set(made.objectives) if made.track == "M" else set()
    for name in ("ideal", "nadir"):
        point = getattr(frozen, name)
        yield (
            _is_positive(point) and set(point) == expected,
            f"frozen {name} must have positive numbers for {sorted(expected)}, and no others",
        )
    yield (
        all(frozen.ideal[name] != frozen.nadir[name] for name in expected),
        "frozen ideal and nadir must differ",
    )


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and all(isinstance(name, str) for name in value)
        and 0 < len(value) == len(set(value))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_positive(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_number(v) and v > 0 for v in value.values())
