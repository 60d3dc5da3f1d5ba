"""Searchers of strangers: they look for the table, or misbehave. Loaded by path in a confined process.

What each found goes out through the only way there is, the error of a run that fails.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import glob
import json
import os
import socket
import subprocess
import sys
import time

TABLE = "nb201.h5"


def tells_its_threads(session, rng):
    tell([os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")])


def nests(session, rng):
    """Names hardware by lists in lists, too deep for what would write them into a message."""
    design = session.task.domain.random(rng)
    for depth in range(500, 1_000):
        hardware = "[" * depth + "]" * depth
        data = f'{{"query":{{"arch":"{design.arch}","hardware":{hardware}}}}}'.encode()
        os.write(session._channel._writing, len(data).to_bytes(4, "big") + data)
        session._channel.receive()


def tell(found):
    raise RuntimeError("FOUND " + json.dumps(found))


def read(path):
    with open(path, "rb") as file:
        return file.read(4)


def can_be_read(path):
    try:
        return bool(read(path))
    except OSError:
        return False


def attempt(found, name, function):
    """What a way to the table gives: an error's kind, or that it worked."""
    try:
        result = function()
        found[name] = f"worked: {result!r:.100}"
    except BaseException as error:
        found[name] = f"{type(error).__name__}"


def candidates():
    """Where a table might be: told by nobody, guessed from what a process can know."""
    import nasbench_imc

    package = os.path.dirname(nasbench_imc.__file__)
    places = [os.path.join(package, "data", TABLE)]
    for folder in sys.path:
        places.append(os.path.join(folder, "nasbench_imc", "data", TABLE))
        places.append(os.path.join(os.path.dirname(folder), "datasets", TABLE))
    published = [name for folder in sys.path for name in glob.glob(f"{folder}/analognasbench/*/*")]
    return [*places, *published, os.environ.get("STRANGER_HINT", "")]


def hunts(session, rng):
    """Every way to the table that the author could think of."""
    import h5py

    import nasbench_imc as nbi
    from nasbench_imc.tables import files

    found = {}
    attempt(found, "load", lambda: nbi.load("nb201"))
    attempt(found, "load_table", session.task.load_table)
    attempt(found, "session", lambda: session.task.session(0))
    attempt(found, "find", lambda: files.find("nb201"))
    os.environ["NASBENCH_IMC_DATA"] = os.path.dirname(HINT)
    attempt(found, "load from the environment", lambda: nbi.load("nb201"))
    del os.environ["NASBENCH_IMC_DATA"]
    attempt(found, "open", lambda: read(HINT))
    attempt(found, "h5py", lambda: h5py.File(HINT, "r"))
    attempt(found, "through the root of this process", lambda: read("/proc/self/root" + HINT))
    libc = ctypes.CDLL(None, use_errno=True)

    def native():
        end = libc.open(HINT.encode(), 0)
        if end < 0:
            raise OSError(ctypes.get_errno(), "open")
        return end

    attempt(found, "native open", native)
    attempt(found, "link", lambda: os.link(HINT, "linked"))
    attempt(found, "symlink", lambda: (os.symlink(HINT, "soft"), read("soft")))
    attempt(found, "rename", lambda: os.rename(HINT, "moved"))
    attempt(found, "cat", lambda: subprocess.check_output(["/bin/cat", HINT]))
    attempt(found, "python", lambda: subprocess.check_output([sys.executable, "-c", "print(1)"]))
    attempt(found, "fork", lambda: forked(lambda: read(HINT)))
    attempt(found, "disk", lambda: read("/dev/vda"))
    attempt(found, "device", lambda: os.mknod("disk", 0o60600, os.makedev(254, 0)))
    attempt(found, "chroot", lambda: os.chroot("/"))

    def mount():
        if libc.mount(os.path.dirname(HINT).encode(), b".", None, 4096, None):
            raise OSError(ctypes.get_errno(), "mount")

    attempt(found, "mount", mount)
    attempt(found, "user namespace", lambda: forked(lambda: in_namespace(libc)))
    for parent in {os.getppid(), 1, *RUNNER}:
        for way in ("environ", "maps", "mem", "cmdline", f"root{HINT}", f"cwd/{TABLE}", "fd"):
            path = f"/proc/{parent}/{way}"
            attempt(found, path, lambda p=path: os.listdir(p) if p.endswith("fd") else read(p))
    for parent in RUNNER:
        attempt(found, f"signal {parent}", lambda p=parent: os.kill(p, 0))
    attempt(found, "connect", lambda: socket.create_connection(("127.0.0.1", PORT), timeout=2))
    attempt(found, "resolve", lambda: socket.getaddrinfo("pypi.org", 443))
    attempt(found, "published data", lambda: __import__("analognasbench"))
    worked = {name: result for name, result in found.items() if result.startswith("worked")}
    things = [kind for kind in map(type, gc.get_objects()) if kind.__name__ == "Benchmark"]
    tell(
        {
            "tried": len(found),
            "worked": worked,
            "objects": len(things),
            "environment": [name for name in os.environ if name.startswith(("NASBENCH", "STRANGER"))],
            "files": [place for place in candidates() if can_be_read(place)],
            "descriptors": [os.path.basename(os.readlink(f"/proc/self/fd/{end}")) for end in descriptors()],
            "seed": session.seed,
        }
    )


def descriptors():
    return [end for end in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{end}")]


def in_namespace(libc):
    """Root in a user namespace of one's own, and a mount there."""
    if libc.unshare(0x10000000 | 0x00020000):
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(os.path.dirname(HINT).encode(), b".", None, 4096, None):
        raise OSError(ctypes.get_errno(), "mount")


def forked(function):
    """What a function gives in another process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, repr(function()).encode())
        except BaseException as error:
            os.write(writing, f"error {type(error).__name__}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    said = os.read(reading, 100).decode()
    if said.startswith("error"):
        raise PermissionError(said)
    return said


def works_with_files(session, rng):
    """What an honest searcher may do: use its folder, threads and large libraries."""
    import sklearn.ensemble

    with open("notes.txt", "w") as file:
        file.write("mine")
    assert read("notes.txt") == b"mine"
    assert os.listdir(".") == ["notes.txt"]
    domain = session.task.domain
    seen = [session.query(domain.random(rng)) for _ in range(20)]
    forest = sklearn.ensemble.RandomForestRegressor(5, n_jobs=2, random_state=0)
    forest.fit([domain.encode(s.design) for s in seen], [s.objectives[0] for s in seen])
    session.recommend(min(seen, key=lambda s: s.objectives).design)


def uses_the_interface(session, rng):
    """All that a session offers, checked where the searcher is."""
    from dataclasses import FrozenInstanceError

    import numpy as np

    import nasbench_imc as nbi

    task = session.task
    design = task.domain.random(rng)
    with session as s:
        assert (s.charged, s.proposals, s.budget_left, s.observations) == (0, 0, task.budget, ())
        costs = s.cost(design)
        assert set(costs) >= {"energy", "latency", "area"}
        assert (s.charged, s.proposals) == (0, 1)
        seen = s.query(design)
        assert seen.design == design
        assert set(seen.values) == {"accuracy", *costs}
        signs = [-1 if name == "accuracy" else 1 for name in task.objectives]
        assert seen.objectives == tuple(
            sign * seen.values[name] for sign, name in zip(signs, task.objectives, strict=True)
        )
        assert seen.cost_charged == 1
        assert isinstance(seen.feasible, bool)
        with contextlib.suppress(FrozenInstanceError):
            seen.feasible = True
            raise AssertionError("an observation can be changed")
        bits, sparsity = np.int64(design.weight_bits), np.float64(design.sparsity)
        again = s.query(nbi.Design(np.str_(design.arch), design.hardware, bits, sparsity))
        assert type(again.design.weight_bits) is int
        assert (again.values, again.cost_charged) == (seen.values, 0)
        assert s.observations == (seen,)
        assert (s.charged, s.proposals, s.budget_left) == (1, 3, task.budget - 1)
        s.recommend(design)
        s.recommend([design])
        for wrong in (task.domain.random(rng), [], 3, None, [design, "x"]):
            try:
                s.recommend(wrong)
            except nbi.BenchmarkError:
                continue
            raise AssertionError(wrong)
        for wrong in ("x", None, nbi.Design("x", task.hardware[0]), nbi.Design(design.arch, "x")):
            try:
                s.query(wrong)
            except nbi.UnknownNameError:
                continue
            raise AssertionError(wrong)
    while True:
        session.query(task.domain.random(rng))


def transfers(session, rng):
    """Track T: free labels of the source, then a guess before anything was charged."""
    import nasbench_imc as nbi

    task = session.task
    known = [session.query(task.source_domain.random(rng)) for _ in range(30)]
    assert {seen.cost_charged for seen in known} == {0}
    assert (session.charged, session.proposals, session.observations) == (0, 30, ())
    assert set(session.cost(known[0].design)) >= {"energy"}
    best = max(known, key=lambda seen: seen.values["accuracy"]).design
    guess = nbi.Design(best.arch, task.hardware[0])
    session.recommend(guess)
    seen = session.query(guess)
    assert session.observations == (seen,)
    while True:
        session.query(task.domain.random(rng))


def repeats(session, rng):
    design = session.task.domain.random(rng)
    while True:
        session.query(design)


def claims_the_budget(session, rng):
    from nasbench_imc import BudgetExhausted

    session.query(session.task.domain.random(rng))
    raise BudgetExhausted("it is spent, believe me")


def dies(session, rng):
    session.query(session.task.domain.random(rng))
    ctypes.string_at(0)


def sleeps(session, rng):
    session.query(session.task.domain.random(rng))
    if not os.fork():
        os.setsid()
    while True:
        time.sleep(1)


def talks_nonsense(session, rng):
    """Bytes of its own in the pipe: a message of 4 GB, announced."""
    channel = session._channel
    os.write(channel._writing, b"\xff\xff\xff\xff" + b"[" * 1_000)
    time.sleep(60)


def sends_what_is_no_request(session, rng):
    session._channel.send([1, 2, 3])
    session._channel.receive()


def asks_for_what_is_not_there(session, rng):
    """Requests that no searcher makes: each is refused, none ends the runner."""
    answers = []
    for request in (
        {},
        {"query": 3},
        {"query": {"arch": 1}},
        {"query": {"arch": "x", "self": 1}},
        {"query": session.task.domain.free(session.task.domain.random(rng)), "options": {"seed": 1}},
        {"query": session.task.domain.free(session.task.domain.random(rng)), "options": 7},
        {"cost": None},
        {"recommend": 5},
        {"recommend": [{}]},
        {"events": True},
    ):
        session._channel.send(request)
        answers.append(session._channel.receive()["error"])
    tell(answers)


def floods(session, rng):
    """Requests without ever reading a reply."""
    request = {"cost": session.task.domain.free(session.task.domain.random(rng))}
    while True:
        session._channel.send(request)


def remembers(session, rng):
    """The best architecture of the table, known by heart: asked for first."""
    domain = session.task.domain
    session.query(next(d for d in domain.points if d.arch == KNOWN))
    while True:
        session.query(domain.random(rng))


HINT, RUNNER, PORT, KNOWN = "", (), 0, ""  # what a test tells a copy of this file
