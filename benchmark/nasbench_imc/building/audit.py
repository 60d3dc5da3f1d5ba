"""The networks that are trained by the reference recipe."""

from __future__ import annotations

from importlib import resources

#: The list's first so many networks are those of the protocol study.
STUDY_NETWORKS = 24


def audit_list() -> tuple[str, ...]:
    """The 40 networks that are trained by the reference recipe; the first 24 are the protocol study's."""
    text = resources.files("nasbench_imc.building").joinpath("audit_list.txt").read_text(encoding="ascii")
    return tuple(line for line in text.split() if not line.startswith("#"))
