"""Random search: the reference that every score is measured against.

Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 2012.

    repeat
        draw a design uniformly from those that keep the limits, and query it
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Session
from nasbench_imc_baselines.common import draw


def search(session: Session, rng: np.random.Generator) -> None:
    while True:
        session.query(draw(session, rng))
