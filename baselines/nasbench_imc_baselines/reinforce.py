"""REINFORCE with an entropy bonus.

Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine
Learning, 1992; for network search Zoph and Le, ICLR 2017. Reinforcement learning searches IMC networks and
hardware in NACIM (Jiang et al., IEEE Transactions on Computers, 2021).

    give each choice of each variable a logit of zero
    repeat
        sample a design from the softmax of the logits; one that was queried before is mutated
        query it
        reward = share of the earlier observations that are worse
        logits += rate (reward - mean reward) grad log(chance of the design) + rate_of_entropy grad entropy

The reward is a rank, so that no unit or outlier matters. With several objectives each step draws a new
weighting of them. Without the mutants a policy that has settled would ask for one design for ever.
"""

from __future__ import annotations

import numpy as np

from nasbench_imc import Design, Session
from nasbench_imc_baselines.common import TRIES, instead, keeps_limits, scalarised

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"rate": (0.2, 0.5, 1.0, 2.0), "entropy": (0.02, 0.1, 0.3), "memory": (0.8, 0.9, 0.95)}


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    rate: float = 2.0,
    entropy: float = 0.1,
    memory: float = 0.9,
) -> None:
    domain = session.task.domain
    logits = {name: np.zeros(len(choices)) for name, choices in domain.variables.items()}
    baseline = 0.5
    while True:
        chance = {name: _softmax(values) for name, values in logits.items()}
        design = instead(session, _sample(session, chance, rng), rng)
        seen = session.query(design)
        fitness = scalarised(session, rng)
        own = fitness(seen)
        reward = float(np.mean([_worse(fitness(other), own) for other in session.observations]))
        for name, value in domain.values(design).items():
            p, chosen = chance[name], domain.variables[name].index(value)
            likelihood = np.eye(len(p))[chosen] - p
            surprise = np.log(np.maximum(p, 1e-12))
            bonus = -p * (surprise - p @ surprise)
            logits[name] += rate * (reward - baseline) * likelihood + entropy * bonus
        baseline = memory * baseline + (1 - memory) * reward


def _sample(session: Session, chance: dict[str, np.ndarray], rng: np.random.Generator) -> Design:
    """A design by the policy that keeps the limits, or the last of some that do not."""
    domain = session.task.domain
    for _ in range(TRIES):
        design = domain.from_values(
            {
                name: choices[rng.choice(len(choices), p=chance[name])]
                for name, choices in domain.variables.items()
            }
        )
        if keeps_limits(session, design):
            break
    return design


def _worse(other: float, own: float) -> float:
    """1 where the other is worse, a half where it is as good."""
    return 1.0 if other > own else 0.5 if other == own else 0.0


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()
