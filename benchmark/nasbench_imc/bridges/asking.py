"""Asking for each network once: isomorphic cells have one label, and a session charges for each."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from nasbench_imc.design import Design

if TYPE_CHECKING:
    from nasbench_imc.suites import Observation, Session


def queried(session: Session) -> dict[Hashable, Design]:
    """Canonical form (:meth:`Domain.canonical_form`) -> the first design of this form that was queried."""
    form = session.task.domain.canonical_form
    found: dict[Hashable, Design] = {}
    for seen in session.observations:
        found.setdefault(form(seen.design), seen.design)
    return found


def ask(session: Session, design: Design) -> Observation:
    """What is observed of a design; where the same network was queried before, of that, which is free.

    On track F it is free only where that was queried for its full label.

    Raises
    ------
    BudgetExhausted, ProposalsExhausted, UnknownNameError, SearchError
        As :meth:`Session.query`.
    """
    if design.hardware in session.task.sources:  # free in any case
        return session.query(design)
    form = session.task.domain.canonical_form(session.task.domain.admit(design))
    return session.query(queried(session).get(form, design))
