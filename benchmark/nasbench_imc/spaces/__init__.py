"""Search spaces: codes, how they vary, and the networks they stand for."""

from nasbench_imc.errors import unknown
from nasbench_imc.spaces.base import Choices, Space
from nasbench_imc.spaces.hybrid import Hybrid
from nasbench_imc.spaces.nb201 import NB201

__all__ = ["NB201", "Choices", "Hybrid", "Space", "get"]


def get(name: str) -> Space:
    """The space of a table.

    Raises
    ------
    UnknownNameError
        Where no space has this name.
    """
    spaces: dict[str, type[Space]] = {"nb201": NB201, "hybrid": Hybrid}
    if name not in spaces:
        raise unknown("space", name, spaces)
    return spaces[name]()
