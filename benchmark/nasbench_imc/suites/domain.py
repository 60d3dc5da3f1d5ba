"""The designs of a task: its free fields vary, its fixed ones are filled in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cached_property
from typing import Any

from nasbench_imc.design import Design
from nasbench_imc.errors import UnknownNameError, unknown
from nasbench_imc.spaces import Choices, Space

_FIELDS = ("hardware", "weight_bits", "sparsity")


class Domain(Choices[Design]):
    """All designs that a task admits.

    Parameters
    ----------
    space : Space
        Where the architectures come from.
    hardware, weight_bits, sparsity : tuple
        What a design may take; a field with one choice is fixed.
    """

    def __init__(
        self,
        space: Space,
        hardware: tuple[str, ...],
        weight_bits: tuple[int, ...] = (8,),
        sparsity: tuple[float, ...] = (0.0,),
    ) -> None:
        self.space = space
        self._choices = dict(zip(_FIELDS, (hardware, weight_bits, sparsity), strict=True))
        self._fixed = {name: choices[0] for name, choices in self._choices.items() if len(choices) == 1}

    @cached_property
    def variables(self) -> Mapping[str, tuple[Any, ...]]:
        """The space's variables, and those fields of a design that the task leaves free."""
        free = {name: choices for name, choices in self._choices.items() if len(choices) > 1}
        return {**self.space.variables, **free}

    def from_values(self, values: Mapping[str, Any]) -> Design:
        fields: dict[str, Any] = dict(self._fixed)
        fields |= {name: values.get(name) for name in self.variables if name in _FIELDS}
        for name, value in fields.items():
            if value not in self._choices[name]:
                raise unknown(name, value, map(str, self._choices[name]))
        return Design(self.space.from_values(values), **fields)

    def values(self, point: Design) -> dict[str, Any]:
        self.check(point)
        fields = {name: getattr(point, name) for name in self.variables if name in _FIELDS}
        return {**self.space.values(point.arch), **fields}

    def check(self, design: Design) -> None:
        """Raise UnknownNameError where ``design`` is not one that the task admits; say which are."""
        self.admit(design)

    def admit(self, design: Design) -> Design:
        """The design with the task's own values in place of equal ones, such as NumPy's numbers.

        Raises
        ------
        UnknownNameError
            Where the task does not admit the design; the message says which it does.
        """
        if not isinstance(design, Design):
            raise UnknownNameError(f"expected a Design, not {type(design).__name__}: {design!r:.120}")
        self.space.values(design.arch)
        try:
            hash(design)
        except TypeError:
            raise UnknownNameError(f"the fields of a design are plain values, not {design!r:.120}") from None
        own: dict[str, Any] = {}
        for name, choices in self._choices.items():
            value = getattr(design, name)
            if isinstance(value, bool) or value not in choices:
                raise unknown(f"{name} for this task", value, choices)
            own[name] = choices[choices.index(value)]
        return Design(str(design.arch), **own)

    def canonical_form(self, design: Design) -> Hashable:
        """Equal for designs that are one network, with the same labels and costs, on one hardware."""
        form = self.space.canonical_form(design.arch)
        return form, design.hardware, design.weight_bits, design.sparsity

    def free(self, design: Design) -> dict[str, Any]:
        """The fields of a design that the task leaves free, for a log."""
        return {"arch": design.arch} | {
            name: getattr(design, name) for name in _FIELDS if name not in self._fixed
        }

    def design(self, fields: Mapping[str, Any]) -> Design:
        """The design of the free fields; inverse of :meth:`free`."""
        return Design(**{**self._fixed, **fields})
