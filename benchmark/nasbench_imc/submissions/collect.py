"""Scoring runs wherever they lie: in folders of logs, and in submissions, which are not unpacked for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nasbench_imc.errors import LogError, TaskError
from nasbench_imc.runs.log import SUFFIX, RunLog, read_log
from nasbench_imc.runs.own_tasks import own_tasks
from nasbench_imc.scoring import Scores, score, score_folder
from nasbench_imc.submissions.unpack import Archive
from nasbench_imc.suites import Task

#: Of a submission's file.
ARCHIVE = ".zip"


def score_places(places: Sequence[Path], jobs: int = 1) -> Scores:
    """Score all runs in some places, together.

    Parameters
    ----------
    places : sequence of pathlib.Path
        Each a submission (``*.zip``), a folder of run logs, or one of submissions; where a folder has both,
        they are likely to be the same runs, and the logs count. Tasks of one's own are found in folders.
    jobs : int
        Processes that read, where there is nothing but one folder of logs.

    Raises
    ------
    LogError, UnknownNameError, TaskError
        As :func:`nasbench_imc.scoring.score_folder`; also where a place holds no run, or two places hold
        tasks of one name that differ. A run that two places hold counts once.
    SubmissionError
        Where a submission cannot be read.
    """
    folders = [place for place in places if place.is_dir()]
    if len(places) == 1 and folders and not _submissions(folders[0]):
        return score_folder(folders[0], jobs)
    own: dict[str, Task] = {}
    for folder in folders:
        for name, task in own_tasks(folder).items():
            if own.setdefault(name, task) != task:
                raise TaskError(f"{folder} holds another task {name!r} than the places before it")
    return score(_logs(places), own)


def _logs(places: Iterable[Path]) -> Iterator[RunLog]:
    for place in places:
        archives = _submissions(place) if place.is_dir() else [place]
        for archive in archives:
            yield from _submitted(archive)
        if archives:
            continue
        packed = sorted(place.rglob(f"*{SUFFIX}"))
        if not packed:
            raise LogError(
                f"there are neither run logs (*{SUFFIX}) nor submissions (*{ARCHIVE}) below {place}"
            )
        yield from map(read_log, packed)


def _submissions(folder: Path) -> list[Path]:
    """The submissions in a folder; none where there are logs."""
    return [] if any(folder.rglob(f"*{SUFFIX}")) else sorted(folder.rglob(f"*{ARCHIVE}"))


def _submitted(path: Path) -> Iterator[RunLog]:
    with Archive(path) as archive:
        for name in archive.manifest.logs:
            yield archive.log(name)
