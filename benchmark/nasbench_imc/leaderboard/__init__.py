"""Leaderboards: scores as a table for a terminal, Markdown, CSV or LaTeX, and as a web page."""

from nasbench_imc.leaderboard.columns import TIERS
from nasbench_imc.leaderboard.page import write_page
from nasbench_imc.leaderboard.text import as_csv, as_latex, as_markdown, as_terminal

__all__ = ["TIERS", "as_csv", "as_latex", "as_markdown", "as_terminal", "write_page"]
