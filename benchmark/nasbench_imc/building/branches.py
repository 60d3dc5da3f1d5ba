"""Branches of a super-network: the networks of the space that agree in their last stages."""

from __future__ import annotations

from nasbench_imc.spaces import Hybrid


def branch_of(code: str, stages: int) -> str:
    """The last stages of a code, which name its branch; "" where ``stages`` is 0.

    A branch's name may stand for its networks, as long as it has as many stages.
    """
    parts = code.split("-")
    return "-".join(parts[len(parts) - stages :])


def branches(stages: int) -> list[str]:
    """Every branch of so many stages, in the space's order; one, "", where that is 0."""
    return list(dict.fromkeys(branch_of(code, stages) for code in Hybrid().architectures))
