"""The page on evaluating a method: its files and commands are run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nasbench_imc as nbi
from nasbench_imc import bridges

PAGE = Path(__file__).parents[2] / "scripts" / "tutorials" / "evaluate_your_method.md"
TEXT = PAGE.read_text(encoding="utf-8")
PYTHON, COMMANDS = (re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL) for kind in ("python", "bash"))
FILES = {re.match(r"# (\w+\.py)", code)[1]: code for code in PYTHON}  # type: ignore[index]
SEARCHERS = sorted(name.removesuffix(".py") for name in FILES if not name.startswith("test_"))


def run(command: str, folder: Path) -> str:
    binaries = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join((binaries, os.environ["PATH"]))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    for name, code in FILES.items():
        (made / name).write_text(code, encoding="utf-8")
    return made


def test_short() -> None:
    assert len(TEXT.splitlines()) <= 150
    assert all(len(code.splitlines()) <= 20 for code in PYTHON)
    assert len(FILES) == len(PYTHON) == TEXT.count("```python") == 7
    assert TEXT.count("```") == 2 * (len(PYTHON) + len(COMMANDS))


def test_every_bridge_is_shown() -> None:
    for name in bridges.__all__:
        if name.startswith("run_") or name in ("configuration_space", "scalarised", "keeps_limits"):
            assert any(name in code for code in PYTHON)
    for name in re.findall(r"nasbench_imc\.bridges\.(\w+)", TEXT):
        assert (Path(bridges.__file__).parent / f"{name}.py").is_file()


def test_commands(folder: Path) -> None:
    """As they stand, but for one seed instead of three."""
    (commands,) = COMMANDS
    assert "--seeds 3 " in commands
    printed = run(commands.replace("--seeds 3 ", "--seeds 1 "), folder)
    assert re.search(r"\d+ passed", printed)
    runs = (1 + len(SEARCHERS)) * len(nbi.tasks("dev"))
    assert f"{runs} runs made, 0 were there, 0 in trouble; logs in runs/mine" in printed
    early = re.search(r"(\d+) runs ended before their budget was spent: \S+ on (\S+),", printed)
    timed = [task.name for task in nbi.tasks("dev") if task.fidelities]  # a clock's rest is too little to use
    assert early is None or (int(early[1]) <= len(timed) * (1 + len(SEARCHERS)) and early[2] in timed)
    ranked = printed[printed.index("NAS-Bench-IMC leaderboard") :]
    for name in ("random_search", *SEARCHERS):
        assert re.search(rf"^ +\d+ +{name} ", ranked, re.MULTILINE)
    assert (folder / "runs" / "mine" / "leaderboard.html").is_file()


def test_every_searcher_conforms(folder: Path) -> None:
    classes = "".join(
        f"class Test_{name}(SearcherSuite):\n"
        f"    searcher = staticmethod({name}.search)\n"
        "    tracks = ('C', 'M')\n"
        for name in SEARCHERS
    )
    (folder / "test_all.py").write_text(
        f"import {', '.join(SEARCHERS)}\nfrom nasbench_imc.testing import SearcherSuite\n{classes}"
    )
    assert re.search(r"\d+ passed", run("pytest -q test_all.py", folder))
