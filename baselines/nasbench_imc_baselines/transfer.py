"""Warm start from other hardware: for track T.

Labels of one device tell much of another's, so that few queries suffice (Lee et al., "HELP: Hardware-adaptive
efficient latency prediction for NAS via meta-learning", NeurIPS 2021); here a ridge regression corrects them.

    ask for the free labels of many designs on the source hardware
    recommend the best of them, as they would be on the target, before anything is charged
    repeat
        fit the target's labels to the source's labels and the encodings
        query the candidate that is best by the fit

Costs on the target are known without a query. With several objectives the first recommendation is the
middle of the front by the source's labels, and each step draws a new weighting of them, scaled by what the
fit foresees of all candidates.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nasbench_imc import Design, Observation, Session, Task
from nasbench_imc_baselines.common import draw, imagined, logged, queried, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {
    "initial": (1, 3, 6),
    "penalty": (0.1, 1.0, 10.0),  # of the squared weights of the encoding
    "window": (5.0, 10.0, 20.0),  # labels further below the best one count as that far below it [points]
}

SOURCES = 600  # designs whose free labels are asked for


def suits(task: Task) -> bool:
    """Track T: elsewhere there are no free labels."""
    return task.track == "T"


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    initial: int = 1,
    penalty: float = 10.0,
    window: float = 10.0,
) -> None:
    look, free = _Costs(session), _free_labels(session, rng)
    best = _best(session, [look.imagined(design, float(labels.mean())) for design, labels in free.items()])
    session.recommend(best[len(best) // 2])  # one may be named blindly
    for design in sorted(free, key=lambda design: -free[design].mean())[:initial]:
        session.query(design)
        _recommend(session)
    while True:
        known, form = queried(session), session.task.domain.canonical_form
        designs = [design for design in free if form(design) not in known]
        if not designs:
            return
        predicted = _fit(session, free, designs, penalty, window)
        guesses = [look.imagined(design, value) for design, value in zip(designs, predicted, strict=True)]
        # Scaled by what is foreseen: the few labels that are there span a piece of the front.
        session.query(min(guesses, key=scalarised(session, rng, guesses)).design)
        _recommend(session)


class _Costs:
    """Costs of designs, each looked at once, and only where the task asks for costs."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.needed = bool(session.task.limits) or session.task.objectives != ("accuracy",)
        self.known: dict[Design, dict[str, float]] = {}

    def imagined(self, design: Design, accuracy: float) -> Observation:
        """What a query would show if the design had this accuracy [%]."""
        if design not in self.known:
            self.known[design] = dict(self.session.cost(design)) if self.needed else {}
        return imagined(self.session, design, self.known[design], accuracy)


def _free_labels(session: Session, rng: np.random.Generator) -> dict[Design, np.ndarray]:
    """Designs of different networks on the target, each with its labels on the sources [%]."""
    form = session.task.domain.canonical_form
    designs = {form(design): design for design in (draw(session, rng) for _ in range(SOURCES))}
    return {
        design: np.array(
            [
                session.query(replace(design, hardware=source)).values["accuracy"]
                for source in session.task.sources
            ]
        )
        for design in designs.values()
    }


def _features(session: Session, free: dict[Design, np.ndarray], designs: list[Design]) -> np.ndarray:
    encoded = np.array([session.task.domain.encode(design) for design in designs])
    # Scaled up, so that the penalty hardly reaches the source's label.
    return np.hstack([10 * np.array([free[design] for design in designs]), encoded])


def _fit(
    session: Session, free: dict[Design, np.ndarray], designs: list[Design], penalty: float, window: float
) -> np.ndarray:
    """Accuracies of designs by ridge regression on what was observed [%]."""
    observed = [seen.design for seen in session.observations]
    labels = np.array([seen.values["accuracy"] for seen in session.observations])
    labels = np.maximum(labels, labels.max() - window)
    x = _features(session, free, observed)
    centre = x.mean(axis=0)
    gram = (x - centre) @ (x - centre).T + penalty * np.eye(len(x))
    dual = np.linalg.solve(gram, labels - labels.mean())
    return labels.mean() + (_features(session, free, designs) - centre) @ ((x - centre).T @ dual)


def _best(session: Session, guesses: list[Observation]) -> list[Design]:
    """The best feasible design; with several objectives some of the front, spread along it."""
    feasible = [guess for guess in guesses if guess.feasible] or guesses
    points = np.array([logged(session.task, guess) for guess in feasible])
    on_front = [k for k, p in enumerate(points) if not _is_dominated(p, points)]
    on_front.sort(key=lambda k: points[k].tolist())
    spread = np.linspace(0, len(on_front) - 1, min(len(on_front), session.task.max_recommended))
    return list(dict.fromkeys(feasible[on_front[round(float(k))]].design for k in spread))


def _is_dominated(point: np.ndarray, points: np.ndarray) -> bool:
    return bool(((points <= point).all(axis=1) & (points < point).any(axis=1)).any())


def _recommend(session: Session) -> None:
    """Replace the guess that was recommended first: it would stand for ever."""
    session.recommend(_best(session, list(session.observations)))
