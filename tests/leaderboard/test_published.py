"""What the README says of the published leaderboard is what the leaderboard says."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from nasbench_imc.submissions.collect import score_places

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "results" / "leaderboard" / "test" / "leaderboard.csv"


def test_the_readme_shows_the_published_board() -> None:
    text = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("## Leaderboard")[2].partition("\n## ")[0]
    )
    shown = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \((\S+) to (\S+)\) \|$", text, flags=re.MULTILINE
    )
    board = pd.read_csv(BOARD)
    board = board[board.board == "main"]
    scores = board[["score [1]", "score_low_95 [1]", "score_high_95 [1]"]].to_numpy()
    rows = zip(board.method, board.mean_rank, scores, strict=True)
    assert shown == [(method, f"{rank:.1f}", *(f"{s:.2f}" for s in three)) for method, rank, three in rows]


@pytest.mark.slow
def test_the_published_board_is_that_of_the_published_runs() -> None:
    """Where a table or a task has changed, they are refused: ``scripts/baselines`` makes them again."""
    found = score_places([ROOT / "results" / "baselines" / "test"]).boards()[0].scores.leaderboard()
    board = pd.read_csv(BOARD)
    board = board[board.board == "main"].set_index("method")
    assert found.index.tolist() == board.index.tolist()
    assert found.score.to_numpy() == pytest.approx(board["score [1]"].to_numpy())
