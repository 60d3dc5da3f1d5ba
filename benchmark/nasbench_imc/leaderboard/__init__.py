"""Leaderboards: scores as a table for a terminal, Markdown, CSV or LaTeX, and as a web page."""

from nasbench_imc.leaderboard.page import recommendations, write_page
from nasbench_imc.leaderboard.text import as_csv, as_latex, as_markdown, as_terminal

__all__ = ["as_csv", "as_latex", "as_markdown", "as_terminal", "recommendations", "write_page"]
