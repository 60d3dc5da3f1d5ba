"""From run logs to scores: regret against the table's best, in units of random search's regret."""

from nasbench_imc.scoring.regret import regret_curve, standing
from nasbench_imc.scoring.score import Board, Scores, score, score_folder

__all__ = ["Board", "Scores", "regret_curve", "score", "score_folder", "standing"]
