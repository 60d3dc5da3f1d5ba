"""Tasks that are not the benchmark's: kept beside their logs, so that these can be scored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nasbench_imc.errors import TaskError
from nasbench_imc.files import replacing
from nasbench_imc.suites import Task
from nasbench_imc.suites.definition import is_shipped

FILE = "task.json"


def keep_own_tasks(tasks: Iterable[Task], out: Path) -> None:
    """Write the task files of those that are not the benchmark's into the folders of their logs.

    Raises
    ------
    TaskError
        Where a task bears the name of another one, of the benchmark or below ``out``.
    OSError
        Where a file cannot be written.
    """
    for task in tasks:
        if is_shipped(task):
            continue
        path = out / task.name / FILE
        if path.exists():
            if _read(path).sha256 != task.sha256:
                raise TaskError(
                    f"{path} is another task of this name; give another --out, or rename the task"
                )
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(task.to_json(), encoding="utf-8")


def own_tasks(folder: Path) -> dict[str, Task]:
    """The tasks below a folder of logs, by name.

    Raises
    ------
    TaskError
        Where one is malformed, differs from one of the same name, or bears the name of the benchmark's.
    """
    found: dict[str, Task] = {}
    for path in sorted(folder.rglob(FILE)):
        task = _read(path)
        if not is_shipped(task) and found.setdefault(task.name, task).sha256 != task.sha256:
            raise TaskError(f"{path} differs from another task {task.name!r} below {folder}")
    return found


def _read(path: Path) -> Task:
    return Task.from_json(path.read_text(encoding="utf-8", errors="replace"), str(path))
