"""Multi-objective Bayesian optimisation by noisy expected hypervolume improvement, with BoTorch.

Daulton, Balandat and Bakshy, "Parallel Bayesian optimization of multiple noisy objectives with expected
hypervolume improvement", NeurIPS 2021; with one objective the noisy expected improvement of Letham, Karrer,
Ottoni and Bakshy, "Constrained Bayesian optimization with noisy experiments", Bayesian Analysis 2019, its
logarithm after Ament et al., NeurIPS 2023.

    query a few random designs
    repeat
        fit a Gaussian process to the labels of accuracy, over encodings and logarithms of costs
        draw what the accuracies of all designs seen may truly be, and take the front of each draw
        query the candidates by which these fronts gain most hypervolume on average, one after another:
            each counts the gain beyond those chosen before it

Only accuracy is uncertain: costs of candidates are looked up, which counts as proposals, and tell much of
their accuracies. Candidates are new mutants of the front and random designs that keep the limits. With one
objective the gain is that over the best design of each draw. Where a task asks for a least accuracy, draws
that miss it gain nothing, and the gain is that in accuracy until a design has reached it.

The hypervolume's gain is not taken by its logarithm, as BoTorch advises where gradients are followed: among
given candidates there are none, and that function is compiled for the machine when first used, so that equal
seeds would not give equal runs everywhere.

A step takes a tenth of a second and more. Needs the extra ``[bo]``.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.monte_carlo import qNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.exceptions.warnings import BotorchWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.optim import optimize_acqf_discrete
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

from nasbench_imc import Design, Session
from nasbench_imc_baselines.candidates import near_the_best
from nasbench_imc_baselines.common import begin, draw, draws, scalarised
from nasbench_imc_baselines.fronts import WINDOW, dominators
from nasbench_imc_baselines.one_thread import one_thread

#: A step takes longer than 0.05 s: fewer runs.
SLOW = True

#: What was tuned on the suite ``dev`` (results/tuning); the defaults below came out first.
SPACE = {"initial": (5, 10, 20), "parents": (5, 10, 20), "candidates": (30, 60, 120), "batch": (1, 2, 4)}

DRAWS = 64  # of what the accuracies may be; labels below the window count as at its end

#: The same with three objectives and more, where the boxes above the front of each draw take most of a run.
DRAWS_OF_MANY = 16

#: Relative change of the likelihood at which a fit ends. At SciPy's default of 2e-9 runs took three times as
#: long and came no nearer to the best: scores on dev of 0.947, and 0.935 here (8 seeds).
TOLERANCE = 1e-4


def search(
    session: Session,
    rng: np.random.Generator,
    *,
    initial: int = 5,
    parents: int = 5,
    candidates: int = 30,
    batch: int = 1,
) -> None:
    task = session.task
    begin(session, draws(session, initial, rng))
    rows = _Rows(session)
    while len(session.observations) < len(task.domain):
        fitness = scalarised(session, rng) if len(task.objectives) == 1 else dominators(session)
        designs = near_the_best(session, fitness, parents, candidates, batch, rng, looks=1)
        designs = designs or [draw(session, rng)]
        choices = rows.of(designs)
        with one_thread(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            for category in (BotorchWarning, NumericalWarning):
                warnings.simplefilter("ignore", category)
            torch.manual_seed(int(rng.integers(2**31)))  # for second attempts at a fit
            gain = _acquisition(session, rows, int(rng.integers(2**31)))
            best, _ = optimize_acqf_discrete(gain, min(batch, len(designs)), choices)
        for row in best:
            session.query(designs[int((choices == row).all(dim=1).nonzero()[0, 0])])


def _acquisition(session: Session, rows: _Rows, seed: int) -> AcquisitionFunction:
    """What designs gain on average, by a model of the labels seen so far."""
    seen, least = session.observations, session.task.least
    observed = rows.of([each.design for each in seen])
    labels = torch.tensor([[each.values["accuracy"]] for each in seen], dtype=torch.double)
    labels = labels.clamp(min=float(labels.max()) - WINDOW)
    kernel = ScaleKernel(MaternKernel(2.5, active_dims=rows.encoding))
    kernel += ScaleKernel(MaternKernel(2.5, active_dims=rows.costs))
    model = SingleTaskGP(observed, labels, covar_module=kernel, outcome_transform=Standardize(1))
    fit_gpytorch_mll(
        ExactMarginalLogLikelihood(model.likelihood, model), optimizer_kwargs={"options": {"ftol": TOLERANCE}}
    )
    drawn = DRAWS if len(session.task.objectives) < 3 else DRAWS_OF_MANY
    sampler = SobolQMCNormalSampler(torch.Size([drawn]), seed=seed)
    if least and not any(each.feasible for each in seen):  # accuracy first
        return qLogNoisyExpectedImprovement(model, observed, sampler=sampler)
    if len(session.task.objectives) == 1:
        return qLogNoisyExpectedImprovement(
            model,
            observed,
            sampler=sampler,
            objective=GenericMCObjective(lambda drawn, X: rows.outcomes(drawn, X)[..., 0]),
            # Negative where it is reached.
            constraints=[lambda drawn: least["accuracy"] - drawn[..., 0]] if least else None,
        )
    outcomes = rows.outcomes(labels, observed)
    counted = outcomes[labels[:, 0] > labels.max() - WINDOW]
    return qNoisyExpectedHypervolumeImprovement(
        model,
        infer_reference_point(counted[is_non_dominated(counted)]),
        observed,
        sampler=sampler,
        objective=GenericMCMultiOutputObjective(rows.outcomes),
        constraints=[lambda drawn: least["accuracy"] - drawn[..., 0]] if least else None,
        prune_baseline=True,
    )


class _Rows:
    """Designs as the model's inputs: their encodings, then the logarithms of their costs."""

    def __init__(self, session: Session) -> None:
        self.session = session
        first = session.observations[0]
        self.names = [name for name in first.values if name != "accuracy"]
        width = len(session.task.domain.encode(first.design))
        self.encoding = tuple(range(width))
        self.costs = tuple(range(width, width + len(self.names)))
        #: -1 where a cost is to be minimised: BoTorch maximises.
        self.signs = [-float(np.sign(value)) for value in first.objectives]
        self.known: dict[Design, np.ndarray] = {}

    def of(self, designs: list[Design]) -> Tensor:
        """Rows of designs, (designs, encoding + costs). What is not known yet is looked up."""
        values = {seen.design: seen.values for seen in self.session.observations}
        for design in designs:
            if design not in self.known:
                costs = values.get(design) or self.session.cost(design)
                logs = np.log([costs[name] for name in self.names])
                self.known[design] = np.concatenate([self.session.task.domain.encode(design), logs])
        return torch.tensor(np.array([self.known[design] for design in designs]))

    def outcomes(self, accuracy: Tensor, X: Tensor | None) -> Tensor:
        """The objectives, to be maximised, of accuracies (..., designs, 1) and rows (..., designs, d)."""
        assert X is not None
        columns = []
        for name, sign in zip(self.session.task.objectives, self.signs, strict=True):
            if name == "accuracy":
                columns.append(accuracy[..., 0])
            else:
                cost = X[..., self.costs[self.names.index(name)]]
                columns.append(sign * cost.expand(accuracy.shape[:-1]))
        return torch.stack(columns, dim=-1)
