"""What a searcher's process gets: the package without its data, its own file, and what Python needs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

import nasbench_imc
from nasbench_imc.errors import BenchmarkError, TableError
from nasbench_imc.runs.methods import Method
from nasbench_imc.runs.runner import ENVIRONMENT
from nasbench_imc.submissions.pipe import Channel
from nasbench_imc.suites import Frozen, Task
from nasbench_imc.tables import files

#: What of a package is copied: code and small text, so that a table of whatever format is not.
_COPIED = (".py", ".json", ".csv", ".toml")

#: Installed packages that hold published accuracies of the tables, beside this one.
HOLDERS = ("nasbench_imc", "analognasbench", "nas_201_api", "nats_bench", "naslib")

_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo")
_SMALL = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system/cpu",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_PASSED = ("LANG", "LD_LIBRARY_PATH")
_MAX_STDERR = 4_000  # characters kept of what a process says


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What every process of one re-run shares.

    Attributes
    ----------
    view : pathlib.Path
        Folder with copies of the packages, without data, and of the searcher's file.
    method : Method
        The searcher, by its copy where it is a file.
    hidden : tuple of pathlib.Path
        The tables' files, which must not be readable.
    grants : mapping of str to list of str
        As :func:`nasbench_imc.submissions.confine.confine` takes them.
    imports : tuple of str
        Further folders from which modules are imported, once the process is confined.
    running : set of subprocess.Popen
        Processes at work.
    """

    view: Path
    method: Method
    hidden: tuple[Path, ...]
    grants: Mapping[str, Sequence[str]]
    imports: tuple[str, ...]
    running: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def stop(self) -> None:
        """End all processes at once; those who wait for them see them closed."""
        for running in list(self.running):
            running.kill()


@dataclass(frozen=True, slots=True)
class Searcher:
    """A searcher's process.

    Attributes
    ----------
    channel : Channel
        Its deadline is for the caller to set.
    scratch : str
        The folder that the process may write.
    said : collections.deque of str
        The last characters that it wrote to its error output.
    """

    channel: Channel
    scratch: str
    said: deque[str]


@contextlib.contextmanager
def sandbox(method: Method, readable: Iterable[Path] = ()) -> Iterator[Sandbox]:
    """Make the shared part in a temporary folder, which is removed afterwards.

    Parameters
    ----------
    method : Method
        It is not imported here.
    readable : iterable of pathlib.Path
        Further files and folders that the searcher may read.

    Raises
    ------
    BenchmarkError
        Where the searcher's file is not there, or a path that is to be readable holds a table.
    """
    with tempfile.TemporaryDirectory(prefix="nasbench-imc-") as name:
        view = Path(os.path.realpath(name))
        _copy(Path(nasbench_imc.__file__).parent, view / "nasbench_imc")
        for path in sorted((view / "nasbench_imc/suites/data").glob("*.json")):
            made = withheld(Task.from_json(path.read_text(encoding="utf-8"), path.name))
            path.write_text(made.to_json(), encoding="utf-8")
        with contextlib.suppress(ModuleNotFoundError):
            _copy(Path(str(resources.files("nasbench_imc_baselines"))), view / "nasbench_imc_baselines")
        place, _, attribute = method.source.rpartition(":")
        if place.endswith(".py"):
            copy = view / "searcher" / Path(place).name
            copy.parent.mkdir()
            try:
                shutil.copyfile(place, copy)
            except OSError as error:
                raise BenchmarkError(f"{place} cannot be read: {error.strerror}") from error
            method = Method(method.name, f"{copy}:{attribute}")
        further = [Path(os.path.realpath(path)) for path in readable]
        imports = tuple(str(path) for path in further if path.is_dir())
        yield Sandbox(view, method, *_grants(view, further), imports)


@contextlib.contextmanager
def process(box: Sandbox) -> Iterator[Searcher]:
    """Start a searcher's process in an empty folder of its own; at the end all that it started is killed."""
    with tempfile.TemporaryDirectory(prefix="nasbench-imc-", ignore_cleanup_errors=True) as name:
        scratch = os.path.realpath(name)
        reading, theirs_out = os.pipe()
        theirs_in, writing = os.pipe()
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        environment |= ENVIRONMENT | {
            "HOME": scratch,
            "MPLCONFIGDIR": scratch,
            "PATH": os.defpath,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(box.view),  # and no stranger's folder: Python would import from it unconfined
            "TMPDIR": scratch,
        }
        running = subprocess.Popen(
            [sys.executable, "-P", "-m", "nasbench_imc.submissions.child", str(theirs_in), str(theirs_out)],
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        said: deque[str] = deque(maxlen=_MAX_STDERR)
        listener = threading.Thread(target=_listen, args=(running, said), daemon=True)
        listener.start()
        channel = Channel(reading, writing)
        box.running.add(running)
        try:
            yield Searcher(channel, scratch, said)
        finally:
            channel.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            box.running.discard(running)
            listener.join(timeout=1.0)


def _listen(running: subprocess.Popen[bytes], said: deque[str]) -> None:
    assert running.stderr is not None
    with running.stderr as stream:
        while part := os.read(stream.fileno(), 4_096):
            said.extend(part.decode("utf-8", errors="replace"))


def _copy(package: Path, target: Path) -> None:
    """Copy a package's code and small text; building tables is no searcher's business."""

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [
            name
            for name in names
            if name == "building" or not ((Path(folder) / name).is_dir() or name.endswith(_COPIED))
        ]

    shutil.copytree(package, target, ignore=left_out)


def withheld(task: Task) -> Task:
    """The task with stand-ins for all that was frozen from the whole table but the margin.

    They are such as :func:`nasbench_imc.suites.rules.rules` admits, and the same for all tasks.
    """
    points = len(task.checkpoints)
    ideal, nadir = (dict.fromkeys(task.frozen.ideal, end) for end in (1.0, 2.0))
    frozen = Frozen(0.0, 0.0, ideal, nadir, 0.0, 0.0, task.margin, 0.0, (1.0,) * points, (0.0,) * points)
    return replace(task, frozen=frozen)


def _grants(view: Path, further: Sequence[Path]) -> tuple[tuple[Path, ...], dict[str, list[str]]]:
    """The files that must stay hidden, and what is granted around them."""
    tables, holes = _known_tables(), set[Path]()
    names = {path.name for path in tables} | {release.file for release in files.releases().values()}
    roots = _roots()
    for root in roots:
        holes |= set(_holes(root, names))
    for path in further:
        inside = [*_holes(path, names), *(table for table in tables if table.is_relative_to(path))]
        if inside:
            raise BenchmarkError(f"{path} cannot be made readable, since it holds {inside[0]}")
    hidden = tuple(sorted(tables | {hole for hole in holes if hole.is_file()}))
    granted: dict[str, list[str]] = {
        "read": [str(view), *map(str, further), *_SMALL, "/proc/self"],
        "list": [],
        "device": list(_DEVICES),
    }
    for root in roots:
        for kind, path in _around(root, holes | tables):
            granted[kind].append(str(path))
    return hidden, granted


def _known_tables() -> set[Path]:
    found = set()
    for name in files.releases():
        with contextlib.suppress(TableError):
            found.add(Path(os.path.realpath(files.find(name).path)))
    return found


def _roots() -> list[Path]:
    """Folders of the standard library, of installed packages and of shared libraries."""
    paths = sysconfig.get_paths()
    named = [*(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")), *_SYSTEM]
    named.append(os.path.join(sys.base_prefix, "lib"))
    if site.ENABLE_USER_SITE:
        named.append(site.getusersitepackages())
    found = sorted({Path(os.path.realpath(path)) for path in named if os.path.isdir(path)})
    return [
        path for path in found if not any(path != other and path.is_relative_to(other) for other in found)
    ]


def _holes(root: Path, names: set[str]) -> Iterator[Path]:
    """Files below a folder that are called as a table is, and packages that hold published accuracies."""
    for folder, subfolders, entries in os.walk(root):
        for name in HOLDERS:
            if name in subfolders:
                subfolders.remove(name)
                yield Path(folder) / name
        for name in names.intersection(entries):
            yield Path(folder) / name


def _around(root: Path, holes: set[Path]) -> Iterator[tuple[str, Path]]:
    """Grants for all below a folder but the holes: names are listed everywhere, contents are not."""
    if root in holes or root.is_symlink():  # what a link leads to is granted by itself, or not
        return
    if not any(hole.is_relative_to(root) for hole in holes):
        yield "read", root
        return
    yield "list", root
    for entry in root.iterdir():
        yield from _around(entry, holes)
