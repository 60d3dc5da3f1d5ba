"""Methods that are asked for designs and told what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nasbench_imc.design import Design

if TYPE_CHECKING:
    from nasbench_imc.suites import Session


class AskTell(Protocol):
    """What :func:`run_ask_tell` drives."""

    def ask(self) -> Design | Sequence[Design]:
        """The design to be queried next, or several; none of them ends the run."""

    def tell(self, seen: Any, /) -> object:
        """What was seen: an Observation where one design was asked for, else a list of them."""


def run_ask_tell(session: Session, optimiser: AskTell) -> None:
    """Query what the optimiser asks for and tell it what was seen, until the budget is spent.

    All that is asked for is queried. An optimiser that would rather not spend a query on a design that
    breaks a limit looks at its cost first, by :func:`~nasbench_imc.bridges.keeps_limits`.

    Parameters
    ----------
    session : Session
    optimiser : object
        With ``ask()`` and ``tell(seen)``; see :class:`AskTell`.

    Raises
    ------
    BudgetExhausted
        Where the budget is spent; of a batch that it cut short nothing is told.
    UnknownNameError
        Where the optimiser asks for something else than designs of the task.
    """
    while True:
        asked = optimiser.ask()
        if asked is None or isinstance(asked, (Design, str)) or not hasattr(asked, "__iter__"):
            optimiser.tell(session.query(asked))  # type: ignore[arg-type]  # the session says what is wrong
            continue
        batch = list(asked)
        if not batch:
            return
        optimiser.tell([session.query(design) for design in batch])
