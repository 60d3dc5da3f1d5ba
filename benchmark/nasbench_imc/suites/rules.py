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
    "J": "networks, compression and hardware together",
    "F": "accuracy, or a front, with labels of several fidelities, by the simulated clock",
    "T": "accuracy, or a front, on one hardware, with labels on others for free",
}

#: A task's name is also the folder of its logs.
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


def rules(made: Task) -> Iterator[tuple[bool, str]]:
    """Each rule as whether it is kept and what it says; a rule relies on those before it."""
    yield from rules_of_statement(made)
    yield from _rules_of_frozen(made)


def rules_of_statement(made: Task) -> Iterator[tuple[bool, str]]:
    """The rules of all but what is frozen."""
    for name in ("name", "track", "suite", "table", "table_version", "table_sha256", "at"):
        yield isinstance(getattr(made, name), str), f"{name} must be a string"
    yield bool(_NAME.fullmatch(made.name)), f"name {made.name!r} must be words joined by /"
    yield made.track in TRACKS, f"track {made.track!r} must be one of {list(TRACKS)}"
    yield made.suite in SUITES, f"suite {made.suite!r} must be one of {list(SUITES)}"
    yield _is_names(made.hardware), "hardware must be a list of different ids"
    for name, kind in (("weight_bits", int), ("sparsity", float)):
        values = getattr(made, name)
        yield (
            isinstance(values, tuple) and _differ(values) and all(type(value) is kind for value in values),
            f"{name} must be a list of different numbers of type {kind.__name__}",
        )
    for name in ("sources", "fidelities"):
        value = getattr(made, name)
        yield value == () or _is_names(value), f"{name} must be a list of different names, or empty"
    yield not set(made.sources) & set(made.hardware), "sources must be other hardware than the task's"
    yield _is_names(made.objectives), "objectives must be a list of different metrics"
    yield (
        made.objectives[0] == "accuracy" or len(made.objectives) == 1,
        "the first of several objectives must be accuracy",
    )
    costs = [name for name in made.objectives if name != "accuracy"]
    yield _is_positive(made.limits), "limits must be a mapping of metrics to positive numbers"
    yield _is_positive(made.least), "least must be a mapping of metrics to positive numbers"
    yield (
        set(made.least) == (set() if made.objectives[0] == "accuracy" else {"accuracy"}),
        "least must hold accuracy where a cost is the objective, and nothing elsewhere",
    )
    yield (
        not any(name.startswith("accuracy") for name in (*costs, *made.limits)),
        "an accuracy is no cost, since costs are seen without being charged",
    )
    # What makes a track: each of these is there on its own track, and on no other but J, T and, for costs, F.
    free = len(made.hardware) * len(made.weight_bits) * len(made.sparsity) > 1
    for track, others, there, what in (
        ("M", "JTF", len(made.objectives) > 1, "costs as further objectives"),
        ("C", "JT", bool(made.limits), "limits"),
        ("J", "JT", made.objectives[0] != "accuracy", "a cost as the objective"),
    ):
        yield not there or made.track in (track, *others), f"track {made.track} has no {what}"
        yield there or made.track != track or track == "J", f"track {track} has {what}"
    for track, there, what in (
        ("J", free, "several choices of hardware, weight_bits or sparsity"),
        ("T", bool(made.sources), "sources"),
        ("F", bool(made.fidelities), "fidelities"),
    ):
        yield there == (made.track == track), f"track {track} has {what}, and no other has"
    for name in ("budget", "max_proposals", "label_seeds"):
        yield _is_count(getattr(made, name)), f"{name} must be a positive integer"
    least = 0 if made.track == "T" else 1  # with free labels something may be recommended before a charge
    yield (
        isinstance(made.checkpoints, tuple)
        and all(_is_count(value) or value == least == 0 for value in made.checkpoints),
        f"checkpoints must be a list of integers of at least {least}",
    )
    yield (
        made.checkpoints == tuple(sorted(set(made.checkpoints))) and made.budget in made.checkpoints[-1:],
        "checkpoints must rise and end at the budget",
    )


def _rules_of_frozen(made: Task) -> Iterator[tuple[bool, str]]:
    frozen = made.frozen
    for name in ("best", "worst", "best_hypervolume", "noise_floor", "margin", "reachable_regret"):
        yield _is_number(getattr(frozen, name)), f"frozen {name} must be a number"
    if made.goal == "cost":
        yield frozen.best <= frozen.worst, "frozen best must not be above frozen worst: a cost is minimised"
    else:
        yield frozen.best >= frozen.worst, "frozen best must not be below frozen worst"
    yield (
        frozen.margin == 0 or (made.goal == "cost" and frozen.margin > 0),
        "frozen margin must be 0 or more, and 0 but for a cost",
    )
    for name in ("random_regret", "random_regret_error"):
        values = getattr(frozen, name)
        yield (
            isinstance(values, tuple)
            and len(values) == len(made.checkpoints)
            and all(_is_number(value) and value >= 0 for value in values),
            f"frozen {name} must hold a number of at least 0 for each checkpoint",
        )
    yield sum(frozen.random_regret) > 0, "frozen random_regret must not be 0 at all checkpoints"
    expected = set(made.objectives) if made.goal == "front" else set()
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
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value) and _differ(value)


def _differ(values: tuple[Any, ...]) -> bool:
    return 0 < len(values) == len(set(values))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_positive(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_number(v) and v > 0 for v in value.values())
