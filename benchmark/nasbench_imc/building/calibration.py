"""Calibration of the cost model on one half of the published macros; the other half is never read here.

The factors of :data:`CALIBRATED` multiply published constants, which stay as they are. They minimise a
robust loss of ln(predicted / published) TOPS/W over the chips of the calibration half, one vote a chip, with
a prior at 1 (the published constants) that keeps what the chips say little about where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from nasbench_imc.hardware.constants import Constants, FloatArray, load_constants, with_values
from nasbench_imc.hardware.macros import Macro
from nasbench_imc.hardware.silicon import Layout, layout, predict, reason_to_skip

#: Factor -> standard deviation of its logarithm in the prior.
CALIBRATED: Mapping[str, float] = {
    "adc_energy_calibration": 0.4,  # two published models, which differ by 2.3 times at most
    "adder_energy_calibration": 0.7,
    "cell_energy_calibration": 0.7,
    "current_domain_calibration": 0.7,
    "rram_read_calibration": 0.7,
    "pcm_read_calibration": 0.7,
    "energy_node_exponent": 0.35,
}
# Where the loss turns from squared to linear: chips beyond it pull no harder.
_KNEE = math.log(1.5)
# A chip without a TOPS/W of its own is judged by the bank-level figure per one-bit operation, at half a vote.
_ONE_BIT_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Fit:
    """Result of :func:`calibrate`.

    Attributes
    ----------
    values : dict of str to float
        The factors of :data:`CALIBRATED`.
    chips : int
        Chips that voted.
    before, after : float
        exp of the median |ln ratio| over chips, with all factors 1 and with ``values``.
    """

    values: dict[str, float]
    chips: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class _Target:
    layouts: list[Layout]
    published: FloatArray
    native: np.ndarray
    chip: np.ndarray
    weight: FloatArray  # of each chip

    def errors(self, constants: Constants) -> FloatArray:
        predicted = predict(self.layouts, constants=constants)
        return np.log(np.where(self.native, predicted.tops_per_w, predicted.tops_per_w_1b) / self.published)


def _target(macros: Sequence[Macro]) -> _Target:
    layouts, published, native, chips = [], [], [], []
    votes: dict[str, float] = {}
    for macro in macros:
        if macro.half != "calibration" or macro.simulated or not macro.energy_usable or reason_to_skip(macro):
            continue
        own = not math.isnan(macro.tops_per_w)
        figure = macro.tops_per_w if own else macro.tops_per_w_1b
        if math.isnan(figure):
            continue
        layouts.append(layout(macro))
        published.append(figure)
        native.append(own)
        chips.append(macro.reference)
        votes[macro.reference] = max(votes.get(macro.reference, 0.0), 1.0 if own else _ONE_BIT_WEIGHT)
    numbers = {name: i for i, name in enumerate(votes)}
    return _Target(
        layouts,
        np.array(published),
        np.array(native, dtype=bool),
        np.array([numbers[name] for name in chips], dtype=np.intp),
        np.array(list(votes.values())),
    )


def calibrate(macros: Sequence[Macro]) -> Fit:
    """Fit the factors to the macros of the calibration half; all other rows are passed over.

    Raises
    ------
    ValueError
        If no row of the calibration half can be predicted.
    """
    target = _target(macros)
    if not target.layouts:
        raise ValueError("no macro of the calibration half can be predicted")
    names, sds = list(CALIBRATED), np.array(list(CALIBRATED.values()))
    base = load_constants()
    rows = np.bincount(target.chip)

    def constants(logs: np.ndarray) -> Constants:
        return with_values(base, dict(zip(names, np.exp(logs), strict=True)))

    def loss(logs: np.ndarray) -> float:
        error = target.errors(constants(logs)) / _KNEE
        robust = np.sqrt(1.0 + error**2) - 1.0
        by_chip = np.bincount(target.chip, weights=robust) / rows
        return float(target.weight @ by_chip + 0.5 * np.sum((logs / sds) ** 2))

    def median_factor(logs: np.ndarray) -> float:
        error = np.abs(target.errors(constants(logs)))
        return math.exp(float(np.median([np.median(error[target.chip == i]) for i in range(rows.size)])))

    start = np.zeros(len(names))
    best = minimize(loss, start, method="Powell", options={"xtol": 1e-4, "ftol": 1e-9})
    values = {name: float(f"{math.exp(log):.3g}") for name, log in zip(names, best.x, strict=True)}
    return Fit(values, int(rows.size), median_factor(start), median_factor(best.x))


def chip_errors(macros: Sequence[Macro], constants: Constants) -> dict[str, float]:
    """Median |ln(predicted / published)| of each chip of the calibration half, by its reference."""
    target = _target(macros)
    if not target.layouts:
        return {}
    errors = np.abs(target.errors(constants))
    names = list(dict.fromkeys(item.macro.reference for item in target.layouts))
    return {name: float(np.median(errors[target.chip == i])) for i, name in enumerate(names)}
