"""Lists of networks: those trained by the reference recipe, the pilot's, the whole space."""

from __future__ import annotations

from importlib import resources

from nasbench_imc.errors import unknown
from nasbench_imc.spaces import Hybrid

#: The list's first so many networks are those of the protocol study.
STUDY_NETWORKS = 24


def audit_list() -> tuple[str, ...]:
    """The 40 networks that are trained by the reference recipe; the first 24 are the protocol study's."""
    text = resources.files("nasbench_imc.building").joinpath("audit_list.txt").read_text(encoding="ascii")
    return tuple(line for line in text.split() if not line.startswith("#"))


def networks(name: str) -> tuple[str, ...]:
    """Networks by the name of their list, or by their codes.

    Parameters
    ----------
    name : str
        ``study``: the first 24 of the audit list. ``audit``: all 40. ``pilot``: these and eight more, spread
        evenly over the space. ``all``: the whole space, in its order. Else codes, separated by commas.

    Raises
    ------
    UnknownNameError
        If the name is none of these.
    """
    everything, audit = Hybrid().architectures, audit_list()
    spread = tuple(code for code in everything[:: len(everything) // 8] if code not in audit)
    lists = {
        "study": audit[:STUDY_NETWORKS],
        "audit": audit,
        "pilot": audit + spread,
        "all": tuple(everything),
    }
    if name in lists:
        return lists[name]
    codes = tuple(name.split(","))
    if len(codes) > 1 or "-" in name:
        for code in codes:
            Hybrid().values(code)
        return codes
    raise unknown("list of networks", name, lists)
