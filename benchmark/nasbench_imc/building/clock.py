"""What training and evaluating a network takes on an idle machine: the simulated clock of track F.

A table's networks are trained over weeks beside other work, and what a run took tells of that as well. So
each network's training step, forward pass and noise draw is timed apart, on one thread of a machine that does
nothing else, and a table's seconds are these times the steps, images and draws. They are processor time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_imc.building import archive, parts

#: What is timed: an epoch of training; inheriting from a super-network, since statistics are estimated anew;
#: and a noise draw of one cell (devices programmed and read, the images of a search label).
NAMES = ("epoch", "inheritance", "draw")


@dataclass(frozen=True)
class Clock:
    """Seconds of networks, in the order in which they were asked for.

    Attributes
    ----------
    epoch, inheritance, draw : numpy.ndarray, shape (networks,)
        As :data:`NAMES` says [core-s].
    shared_epoch : float
        An epoch of a super-network that trains one network a step, all of the space equally often [core-s].
    """

    epoch: np.ndarray
    inheritance: np.ndarray
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
        seconds = self.epoch[:, None] * np.diff(np.array(epochs), prepend=0.0)
        if inherits:
            seconds[:, 0] += self.inheritance
        return seconds


def read_clock(path: Path, codes: Sequence[str]) -> Clock:
    """What was measured of some networks.

    Parameters
    ----------
    path : pathlib.Path
        File of all networks, as :func:`parts.join` writes it.
    codes : sequence of str

    Raises
    ------
    TableError
        Where the file lacks a network.
    BenchmarkError
        Where it is damaged.
    """
    held = archive.read(path)
    rows = parts.taken(path, held, codes, "seconds")
    seconds = held["measured/seconds"]
    own = {name: seconds[rows, k] for k, name in enumerate(NAMES)}
    return Clock(**own, shared_epoch=float(seconds[:, NAMES.index("epoch")].mean()))
