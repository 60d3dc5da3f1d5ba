"""What training and evaluating a network takes on an idle machine: the simulated clock of track F.

A table's networks are trained over weeks beside other work, and what a run took tells of that as well. So
what each network's labels are made of is timed apart, on one thread of a machine that does nothing else, and
a table's seconds are these times the epochs, entries and draws. They are processor time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_imc.building import archive, parts
from nasbench_imc.errors import TableError

#: What is timed: an epoch of training; inheriting from a super-network, since statistics are estimated anew;
#: an entry of the learning curve (all validation images); what the draws of a cell have in common (converters
#: calibrated, the exact digital network on all validation images, to which a label is anchored); and a draw
#: (devices programmed and read, the images of a search label).
NAMES = ("epoch", "inheritance", "validation", "anchor", "draw")


@dataclass(frozen=True)
class Clock:
    """Seconds of networks, in the order in which they were asked for.

    Attributes
    ----------
    epoch, inheritance, validation, anchor, draw : numpy.ndarray, shape (networks,)
        As :data:`NAMES` says [core-s].
    shared_epoch : float
        An epoch of a super-network that trains one network a step, all of the space equally often [core-s].
    """

    epoch: np.ndarray
    inheritance: np.ndarray
    validation: np.ndarray
    anchor: np.ndarray
    draw: np.ndarray
    shared_epoch: float

    def training(self, epochs: Sequence[float], inherits: bool) -> np.ndarray:
        """What each entry of the learning curve takes beyond the one before, (networks, entries) [core-s].

        Parameters
        ----------
        epochs : sequence of float
            At each entry.
        inherits : bool
            Whether the first entry is that of inherited weights.
        """
        seconds = self.epoch[:, None] * np.diff(np.array(epochs), prepend=0.0) + self.validation[:, None]
        if inherits:
            seconds[:, 0] += self.inheritance
        return seconds


def read_clock(path: Path, codes: Sequence[str], pixels: str) -> Clock:
    """What was measured of some networks.

    Parameters
    ----------
    path : pathlib.Path
        File of all networks, as :func:`parts.join` writes it.
    codes : sequence of str
    pixels : str
        What the networks were trained on, as their evaluations say.

    Raises
    ------
    TableError
        Where the file lacks a network, has other pixels, or is of an older version, which timed other things.
    BenchmarkError
        Where it is damaged.
    """
    held = archive.read(path)
    if (names := tuple(held["names"].astype(str).tolist())) != NAMES:
        raise TableError(
            f"{path} times {', '.join(names)}, not {', '.join(NAMES)}; run again: nasbench-imc build clock"
        )
    rows = parts.taken(path, held, codes, "seconds", pixels)
    seconds = held["measured/seconds"]
    own = {name: seconds[rows, k] for k, name in enumerate(NAMES)}
    return Clock(**own, shared_epoch=float(seconds[:, NAMES.index("epoch")].mean()))
