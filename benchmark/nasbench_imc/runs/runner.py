"""Processes that make runs, watched from outside.

Each imports searchers and reads tables once, and forks a process for each run, which answers with the packed
log. So whatever a run does to its process, or keeps in a module, ends with it: neither a later run nor the
number of processes makes a difference. What importing a searcher does stays; a process in which it started
threads is not forked, but makes one run and is replaced. The same serves runs on this machine and on the
workers of a cluster.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from multiprocessing.connection import Connection, Pipe, wait
from queue import SimpleQueue
from typing import NoReturn

import numpy as np

from nasbench_imc.errors import BenchmarkError
from nasbench_imc.runs.execute import execute
from nasbench_imc.runs.log import pack_log
from nasbench_imc.runs.methods import Method, Searcher
from nasbench_imc.suites import Task

#: A run that outlives its time limit by this much is ended from outside [s].
GRACE = 15.0

#: How soon a process that was told to end must have ended, with the run that it watches [s].
ENDING = 5.0

#: Longest time from an order to the begin of its run: Python starts, libraries are imported [s].
STARTING = 300.0

#: What results may depend on, fixed in every runner: the order of sets of strings, and of sums in BLAS.
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

_MAIN = (
    "import sys; sys.path[:] = {path!r}; from nasbench_imc.runs.runner import serve; serve({pipe}, {parent})"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A searcher as it is sent to another process.

    Attributes
    ----------
    method : Method
    code : bytes or None
        What its file holds; None where it is a module, which must be installed there.
    fingerprint : str
        :meth:`Method.fingerprint`.
    """

    method: Method
    code: bytes | None
    fingerprint: str

    @staticmethod
    def of(method: Method) -> Sent:
        """Read a searcher here.

        Raises
        ------
        UnknownNameError
            Where its file is missing.
        """
        code = method.code()
        return Sent(method, code, method.fingerprint() if code is None else sha256(code).hexdigest())

    def check(self) -> None:
        """Raise BenchmarkError where this process would load another version of the searcher."""
        try:
            found = self.method.fingerprint() if self.code is None else sha256(self.code).hexdigest()
        except ModuleNotFoundError:
            found = ""
        if found != self.fingerprint:
            raise BenchmarkError(
                f"it has {'another version of ' if found else 'no '}{self.method.source} (SHA-256 of its "
                f"file {found[:12] or '-'}..., not {self.fingerprint[:12]}...)"
            )


@dataclass(frozen=True, slots=True)
class Posed:
    """A task as it is sent to another process.

    Attributes
    ----------
    table : str
        Name of its table.
    table_sha256 : str
        Hash of the table that is to answer.
    text : str
        The task file.
    """

    table: str
    table_sha256: str
    text: str

    @staticmethod
    def of(task: Task) -> Posed:
        """With the table that this process finds; see :func:`nasbench_imc.load`."""
        return Posed(task.table, task.load_table().sha256, task.to_json())

    def check(self, found: str) -> None:
        """Raise BenchmarkError where ``found`` is not the hash of the table that is to answer."""
        if found != self.table_sha256:
            raise BenchmarkError(
                f"it has another table {self.table!r} (SHA-256 {found[:12]}..., not "
                f"{self.table_sha256[:12]}...)"
            )


@dataclass(frozen=True, slots=True)
class Order:
    """A run to be made.

    Attributes
    ----------
    searcher : Sent
    task : Posed
    seed : int
    timeout : float
        Longest time that the searcher may take [s].
    grace : float
        A run that outlives that by this much is ended from outside [s].
    """

    searcher: Sent
    task: Posed
    seed: int
    timeout: float
    grace: float = field(default_factory=lambda: GRACE)

    @property
    def limit(self) -> float:
        """When the run is ended from outside [s]."""
        return self.timeout + self.grace


@dataclass(frozen=True, slots=True)
class Made:
    """What became of an order.

    Attributes
    ----------
    end : str
        As in its log; empty where the run could not be made.
    error : str
    charged : float
        What was charged.
    log : bytes
        The packed log; empty where the process was lost before it could answer.
    seconds : float
        What a run took that was lost with its process [s].
    """

    end: str
    error: str
    charged: float = 0
    log: bytes = b""
    seconds: float = 0


class Runners:
    """A number of processes, for as many threads that wait for runs.

    Parameters
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        self._all = [_Runner() for _ in range(count)]
        self._idle: SimpleQueue[_Runner] = SimpleQueue()
        for runner in self._all:
            self._idle.put(runner)

    def make(self, order: Order) -> Made:
        """Make a run in an idle process, or wait for one; a dead process is replaced by the next run.

        Raises
        ------
        Closed
            Where :meth:`close` was called before the run had ended.
        """
        runner = self._idle.get()
        try:
            return runner.make(order)
        finally:
            self._idle.put(runner)

    def close(self) -> None:
        """End the processes; runs under way are lost, and no other is made."""
        for runner in self._all:
            runner.close()


#: None: the run has begun. Else what became of it.
_Answer = Made | None


class Closed(Exception):
    """The processes were told to end while a run was to be made."""


class _Lost(Exception):
    """The process is no more."""


class _Runner:
    """One process, started when first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._lock = threading.Lock()  # between starting and closing
        self._closed = False

    def make(self, order: Order) -> Made:
        begin = time.monotonic()
        try:
            try:
                made = self._begun(order)
            except _Lost:  # it ended between two runs, which is not the next one's doing
                self._end()
                made = self._begun(order)
            begin = time.monotonic()
            if made is None:
                made = self._answer(order.limit + ENDING)
        except _Lost as lost:
            self._end()
            if self._closed:
                raise Closed from None
            return Made("failed", f"the run's process died ({lost})", seconds=time.monotonic() - begin)
        except TimeoutError:
            self._end()
            return _too_long(order, time.monotonic() - begin)
        assert made is not None
        return made

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._process is not None:
                _stop(self._process)

    def _begun(self, order: Order) -> _Answer:
        """Send an order; the answer is None where its run has begun."""
        if self._process is None:
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send(order)
        except OSError:
            raise self._lost() from None
        try:
            return self._answer(STARTING)
        except TimeoutError:
            raise _Lost(f"it did not start within {STARTING:g} s") from None

    def _answer(self, limit: float) -> _Answer:
        """What the process sends next; TimeoutError where it sends nothing in time."""
        assert self._pipe is not None
        try:
            if self._pipe.poll(limit):
                return self._pipe.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        raise TimeoutError

    def _start(self) -> None:
        self._pipe, far = Pipe()
        with far, self._lock:
            if self._closed:
                raise Closed
            main = _MAIN.format(path=sys.path, pipe=far.fileno(), parent=os.getpid())
            self._process = subprocess.Popen(
                [sys.executable, "-c", main],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ENVIRONMENT},
                pass_fds=(far.fileno(),),
            )

    def _lost(self) -> _Lost:
        """The error that says how the process ended; it has closed its end of the pipe."""
        assert self._process is not None
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return _Lost("it closed its connection")
        return _Lost(_signal_name(-code) if code < 0 else f"exit code {code}")

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _stop(process)
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, which ends the run that it watches first, if it still can."""
    process.terminate()
    try:
        process.wait(ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _too_long(order: Order, seconds: float) -> Made:
    return Made("timeout", f"ended from outside after {order.limit:g} s", seconds=seconds)


def serve(pipe: int, parent: int) -> None:
    """Make the runs that another process orders, until it closes the pipe or ends.

    Parameters
    ----------
    pipe : int
        File descriptor.
    parent : int
        Id of the other process.
    """
    os.set_inheritable(pipe, False)  # no process that a searcher starts shall keep it open
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the other process decides
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    connection = Connection(pipe)
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        try:
            task, searcher = _task(order.task), _searcher(order.searcher)
        except Exception as error:  # the table, the task or the searcher cannot be loaded here
            connection.send(Made("", f"it could not be made: {type(error).__name__}: {error}"))
            continue
        connection.send(None)  # what loading took is not the searcher's time
        if _threads() > 2:  # this one and the one that watches the parent: locks of others would stay locked
            alone = _run(searcher, task, order)
            sys.stdout.flush()
            connection.send(alone)
            os._exit(0)  # without waiting for these threads
        made = _apart(searcher, task, order, connection)
        if made is None:
            return
        connection.send(made)


def _threads() -> int:
    """Threads of this process, those of libraries included."""
    return len(os.listdir("/proc/self/task"))


@cache
def _task(posed: Posed) -> Task:
    """A task, and what its sessions read of the table: each run begins with a copy of both."""
    task = Task.from_json(posed.text, "the task of a run")
    posed.check(task.load_table().sha256)
    with suppress(BenchmarkError), task.session(0) as session:
        session.query(task.domain.random(np.random.default_rng(0)))
    return task


@cache
def _searcher(sent: Sent) -> Searcher:
    """One import a process."""
    sent.check()
    return sent.method.load(sent.code)


def _apart(searcher: Searcher, task: Task, order: Order, connection: Connection) -> Made | None:
    """Make a run in a process of its own; None where who ordered it is gone."""
    near, far = Pipe(duplex=False)
    child = _forked(searcher, task, order, far, (near, connection))
    far.close()
    with suppress(OSError):
        os.setpgid(child, child)  # as it does itself: whoever is first
    before = signal.signal(signal.SIGTERM, lambda signum, frame: _end_all(child))
    try:
        return _watched(child, order, near, connection)
    finally:
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # and what it started
        os.waitpid(child, 0)
        signal.signal(signal.SIGTERM, before)
        near.close()


def _forked(
    searcher: Searcher, task: Task, order: Order, far: Connection, others: Iterable[Connection]
) -> int:
    """Fork a process that makes a run, sends what became of it and ends; its id."""
    parent = os.getpid()
    sys.stdout.flush()  # else both would write what is held back
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        for other in others:
            other.close()
        threading.Thread(target=_end_with, args=(parent, True), daemon=True).start()
        try:
            made = _run(searcher, task, order)
        except Exception as error:
            made = Made("", f"it could not be made: {type(error).__name__}: {error}")
        sys.stdout.flush()
        far.send(made)
    finally:
        os._exit(0)


def _watched(child: int, order: Order, near: Connection, connection: Connection) -> Made | None:
    """What a run's process says, or how it ended; None where the connection to who ordered it is closed."""
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < order.limit:
        ready = wait([near, connection], min(0.5, order.limit - passed))
        if connection in ready:  # nothing is sent meanwhile
            return None
        if near in ready or _ended(child):  # its end may go unseen where what it started holds the pipe
            break
    else:
        return _too_long(order, passed)
    with suppress(EOFError, OSError):
        if near.poll():
            return near.recv()
    while not (found := _ended(child)) and time.monotonic() < begin + order.limit:
        time.sleep(0.05)
    if not found:
        how = "it closed its connection"
    elif found.si_code == os.CLD_EXITED:
        how = f"exit code {found.si_status}"
    else:
        how = _signal_name(found.si_status)
    return Made("failed", f"the run's process died ({how})", seconds=time.monotonic() - begin)


def _ended(child: int) -> os.waitid_result | None:
    """How a process ended, None where it goes on; its id is kept."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def _end_all(child: int) -> NoReturn:
    """End a run's process, what it started, and this one."""
    with suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    os._exit(1)


def _run(searcher: Searcher, task: Task, order: Order) -> Made:
    sent = order.searcher
    log = execute(searcher, sent.method.name, task, order.seed, order.timeout, fingerprint=sent.fingerprint)
    return Made(log.end, log.error, log.charged, pack_log(log))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return f"signal {number}"


def _end_with(parent: int, group: bool = False) -> None:
    """End this process, or its group, when the one that started it has ended, whatever it is doing."""
    while os.getppid() == parent:
        time.sleep(1.0)
    if group:
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
