"""Lists of networks: those trained by the reference recipe, the pilot's, those trained thrice, the space."""

from __future__ import annotations

from importlib import resources

import numpy as np

from nasbench_imc.errors import unknown
from nasbench_imc.spaces import Hybrid

#: The list's first so many networks are those of the protocol study.
STUDY_NETWORKS = 24

#: Networks that are trained with seeds 1 and 2 too, and the key that fixes which.
REPEATED, _REPEATED_SEED = 100, 20_263


def audit_list() -> tuple[str, ...]:
    """The 40 networks that are trained by the reference recipe; the first 24 are the protocol study's."""
    text = resources.files("nasbench_imc.building").joinpath("audit_list.txt").read_text(encoding="ascii")
    return tuple(line for line in text.split() if not line.startswith("#"))


def repeated_list() -> tuple[str, ...]:
    """The 100 networks that are trained with seeds 1 and 2 too, in the space's order.

    A systematic sample: the space is put in order of the operators of its three stages, at random within
    each of these 27 groups, and every 17.28th network is taken. So each group gives three or four.
    """
    everything = Hybrid().architectures
    bits = np.random.Philox(key=_REPEATED_SEED).random_raw(len(everything) + 1)
    rank = dict(zip(everything, bits.tolist(), strict=False))
    ordered = sorted(everything, key=lambda code: ([stage[0] for stage in code.split("-")], rank[code]))
    step = len(everything) / REPEATED
    first = step * float(bits[-1]) / 2**64
    taken = {ordered[int(first + step * k)] for k in range(REPEATED)}
    return tuple(code for code in everything if code in taken)


def networks(name: str) -> tuple[str, ...]:
    """Networks by the name of their list, or by their codes.

    Parameters
    ----------
    name : str
        ``study``: the first 24 of the audit list. ``audit``: all 40. ``pilot``: these and eight more, spread
        evenly over the space. ``repeated``: :func:`repeated_list`. ``all``: the whole space, in its order.
        Else codes, separated by commas.

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
        "repeated": repeated_list(),
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
