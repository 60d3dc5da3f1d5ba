"""Cheaper labels than the search label, and the time that each takes: for multi-fidelity search.

The fidelities of a table of measured accuracies, cheapest first: ``curve-0``, ``curve-1``, ..., the entries
of the learning curve (digital validation accuracy; :meth:`Benchmark.training` says after how many epochs;
where networks inherit from a super-network, ``curve-0`` is as inherited), then ``draws-1``,
``draws-2``, ``draws-4``, ..., the mean over that many noise draws on the design's own hardware; the last of
them is the search label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasbench_imc.errors import UnavailableError, unknown

if TYPE_CHECKING:
    from nasbench_imc.design import Design
    from nasbench_imc.tables.benchmark import Benchmark


@dataclass(frozen=True, slots=True)
class FidelityLabel:
    """A label and what it takes from scratch.

    Attributes
    ----------
    accuracy : float
        [%]
    seconds : float
        On the simulated clock, training included; the shared super-network is not [core-s].
    """

    accuracy: float
    seconds: float


def fidelities(bench: Benchmark) -> tuple[str, ...]:
    """Names of a table's fidelities, cheapest first.

    Raises
    ------
    UnavailableError
        Where the table's accuracies are published ones, without learning curves or draws.
    """
    if not bench.draws:
        raise UnavailableError(f"table {bench.name!r} has no learning curves and no noise draws")
    entries = len(bench.training(bench.architectures[0]).seconds)
    draws = [n for n in (2**k for k in range(bench.draws)) if n < bench.draws]
    return (
        *(f"curve-{entry}" for entry in range(entries)),
        *(f"draws-{n}" for n in (*draws, bench.draws)),
    )


def fidelity_label(bench: Benchmark, design: Design, at: str, fidelity: str, seed: int) -> FidelityLabel:
    """A design's label at a fidelity.

    An entry of the learning curve takes the seconds of training up to it. Draws take what they have in common
    and, each, their share of the network's evaluation: one cell of all, one draw of all.

    Parameters
    ----------
    bench : Benchmark
    design : Design
    at : str
        Time since programming.
    fidelity : str
        One of :func:`fidelities`.
    seed : int
        Label seed: which draws come first.

    Raises
    ------
    UnknownNameError, UnavailableError
        As :meth:`Benchmark.query`, or where the table has no such fidelity.
    """
    training = bench.training(design.arch)
    kind, _, count = fidelity.partition("-")
    if fidelity not in fidelities(bench):
        raise unknown("fidelity", fidelity, fidelities(bench))
    if kind == "curve":
        entry = int(count)
        return FidelityLabel(
            float(training.learning_curve[entry]), float(training.seconds[: entry + 1].sum())
        )
    measured = bench.query(design, at, labels="search", seed=seed, draws=int(count))
    evaluation = training.evaluation_seconds / bench.cells * int(count) / bench.draws
    seconds = float(training.seconds.sum()) + training.anchor_seconds + evaluation
    return FidelityLabel(measured["accuracy"], seconds)
