"""Logs of a small honest method, its submission, and the means to forge one."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc.runs.execute import execute
from nasbench_imc.runs.log import log_path, write_log
from nasbench_imc.submissions.manifest import MEMBER, Tuning
from nasbench_imc.submissions.pack import About, pack

TASKS = ("nb201/sram-digital/C-memory", "nb201/sram-digital/M-energy")
METHOD = "honest"
SEEDS = 3
FAILS_AT = 8  # queries, within the budget of track C
SAID = About(
    ("A. Author", "Bé"),
    "It draws, and looks at costs.",
    "https://example.org/code",
    "",
    Tuning(4, ("a", "b"), 0.5),
)

Lines = list[dict[str, Any]]
Change = Callable[[Lines], object]
Forge = Callable[..., Path]


def honest(session: nbi.Session, rng: np.random.Generator) -> None:
    """Draws feasible designs, repeats and recommends one now and then; fails with seed 2 on track C."""
    task = session.task
    while True:
        design = task.domain.random(rng)
        costs = session.cost(design)
        if any(costs[name] > limit for name, limit in task.limits.items()):
            continue
        session.query(design)
        if session.charged % 20 == 10:
            seen = session.query(design)
            session.recommend(seen.design)
        if session.seed == 2 and task.track == "C" and session.charged == FAILS_AT:
            raise RuntimeError("on purpose")


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs, one of which failed."""
    folder = tmp_path_factory.mktemp("honest")
    for name in TASKS:
        for seed in range(SEEDS):
            log = execute(honest, METHOD, nbi.task(name), seed, 60.0, fingerprint="ab" * 32)
            write_log(log, log_path(folder, name, METHOD, seed))
    return folder


@pytest.fixture(scope="session")
def submission(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The honest submission."""
    path = tmp_path_factory.mktemp("submission") / "honest.zip"
    pack(logs, METHOD, SAID, path)
    return path


def member(task: int = 0, seed: int = 0) -> str:
    return f"logs/{TASKS[task]}/{METHOD}/seed-{seed:04d}.jsonl.gz"


def unpacked(data: bytes) -> Lines:
    return [json.loads(line) for line in gzip.decompress(data).splitlines()]


def packed(lines: Lines) -> bytes:
    return gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode(), mtime=0)


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(members: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def forge(submission: Path, tmp_path: Path) -> Forge:
    """Changes logs, and the manifest with them: the forger knows the format.

    Takes member -> what to do to its lines (or its new bytes, or None to leave it out), and a function that
    changes the manifest in the end.
    """

    def forged(
        logs: dict[str, Change | bytes | None] | None = None,
        manifest: Callable[[dict[str, Any]], object] | None = None,
    ) -> Path:
        members = contents(submission)
        about = json.loads(members[MEMBER])
        for name, change in (logs or {}).items():
            if change is None:
                del members[name], about["logs"][name]
                continue
            if isinstance(change, bytes):
                data = change
            else:
                lines = unpacked(members[name])
                change(lines)
                data = packed(lines)
            members[name] = data
            about["logs"][name] = [hashlib.sha256(data).hexdigest(), len(data)]
        if manifest:
            manifest(about)
        return write({**members, MEMBER: json.dumps(about).encode()}, tmp_path / "forged.zip")

    return forged


@pytest.fixture
def folder(logs: Path, tmp_path: Path) -> Path:
    """A copy of the honest logs."""
    return Path(shutil.copytree(logs, tmp_path / "logs"))
