"""Confining this process, before any code of a stranger runs in it, with what the kernel offers.

Files are held by Landlock (Linux 5.13 and later): what is not granted cannot be opened, by whatever means,
nor can another process's memory or descriptors be reached. Namespaces take away the network and other
processes. Where there is no Landlock an audit hook refuses files in Python; native code passes it, so the
result says which of the two it was. Standard library only: numpy would start threads, which Landlock would
not hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import stat
import struct
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

#: What a grant allows: reading; listing a folder's names; reading and writing; a device such as /dev/null.
KINDS = ("read", "list", "write", "device")

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # one number on all architectures
_VERSION_QUERY, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE

_NEWUSER, _NEWIPC, _NEWPID, _NEWNET = 0x1000_0000, 0x0800_0000, 0x2000_0000, 0x4000_0000
_SET_DEATH_SIGNAL, _DROP_BOUNDING, _NO_NEW_PRIVILEGES = 1, 24, 38
_CAPABILITY_VERSION = 0x2008_0522

# For the audit hook: what starts a program or reaches another, and what opens files without Python's notice.
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")
_NATIVE_READERS = ("h5py", "_ctypes", "netCDF4", "tables")

_libc = ctypes.CDLL(None, use_errno=True)


def isolate() -> dict[str, str]:
    """Leave the network, and the other processes' sight, where the kernel allows it.

    The process forks: the parent waits, and the child, the first of its process namespace, returns. When
    either is killed, so is everything that the child started.

    Returns
    -------
    dict of str to str
        What is in force for ``network`` and ``processes``; nothing of the network where it is not left.
    """
    shared = _NEWNET | _NEWIPC | _NEWPID
    if _libc.unshare(shared) and _libc.unshare(_NEWUSER | shared):
        return {"processes": "shared with the machine"}
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    _libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    return {"network": "none (namespace)", "processes": "own namespace"}


def confine(grants: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Hold this process, and all that it starts, to the files granted.

    Parameters
    ----------
    grants : mapping of str to sequence of str
        Kind (:data:`KINDS`) -> paths; a folder is granted with all below it. Paths that are not there are
        left out. Nothing may be executed.

    Returns
    -------
    dict of str to str
        What is in force for ``files``, ``privileges`` and, of this alone, ``network``.

    Raises
    ------
    RuntimeError
        Where the process has several threads, of which only one would be held.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("the process has several threads; only one would be confined")
    for capability in range(64):
        _libc.prctl(_DROP_BOUNDING, capability, 0, 0, 0)
    privileges = "none can be gained" if not _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) else "unchanged"
    version = _libc.syscall(_CREATE_RULESET, None, 0, _VERSION_QUERY)
    if version > 0:
        _landlock(version, grants)
        files = f"only those granted (Landlock, version {version})"
    else:
        _hook(grants)
        files = "only those granted, in Python alone (audit hook; native code is not held)"
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    if not _libc.capset(header, bytes(24)) and privileges != "unchanged":
        privileges = "none, and none can be gained"
    network = "no TCP (Landlock)" if version >= 4 else "open"
    return {"files": files, "privileges": privileges, "network": network}


def _landlock(version: int, grants: Mapping[str, Sequence[str]]) -> None:
    handled = (1 << (13 + (version >= 2) + (version >= 3))) - 1
    if version >= 5:
        handled |= _IOCTL_DEVICE
    network = 3 if version >= 4 else 0  # bind and connect over TCP; no port is granted
    scoped = 3 if version >= 6 else 0  # abstract sockets and signals stay within
    attributes = struct.pack("=QQQ", handled, network, scoped)
    ruleset = _called(_libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    rights = {
        "read": _READ_FILE | _READ_DIR,
        "list": _READ_DIR,
        "write": handled & ~(_EXECUTE | _MAKE_DEVICES | _IOCTL_DEVICE),
        "device": _READ_FILE | _WRITE_FILE,
    }
    for kind, paths in grants.items():
        for path in paths:
            try:
                end = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            allowed = rights[kind] & (-1 if stat.S_ISDIR(os.fstat(end).st_mode) else _OF_FILES)
            if allowed:
                _called(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, end), 0))
            os.close(end)
    _called(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _called(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise RuntimeError(f"confinement failed: {os.strerror(number)}")
    return result


def _hook(grants: Mapping[str, Sequence[str]]) -> None:
    """Refuse, in Python, opening what is not granted, starting programs, and the ways round that."""
    readable = [
        os.path.realpath(path) for kind in ("read", "write", "device") for path in grants.get(kind, ())
    ]
    listable = [*readable, *(os.path.realpath(path) for path in grants.get("list", ()))]

    def within(path: Any, granted: Sequence[str]) -> bool:
        if isinstance(path, int):
            return True  # already open
        real = os.path.realpath(os.fsdecode(path))
        return any(real == root or real.startswith(root.rstrip("/") + "/") for root in granted)

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not within(arguments[0], readable):
            raise PermissionError(13, "confined", str(arguments[0]))
        if event in ("os.listdir", "os.scandir") and not within(arguments[0] or ".", listable):
            raise PermissionError(13, "confined", str(arguments[0]))
        loads = arguments[0].split(".")[0] if event == "import" else ""
        if event in _STARTS or event.startswith("ctypes.") or loads in _NATIVE_READERS:
            raise PermissionError(13, f"confined: {event} {loads}")

    sys.modules.setdefault("h5py", ModuleType("h5py"))  # so that what merely imports it goes on
    sys.addaudithook(refuse)


def readable(paths: Sequence[str]) -> list[str]:
    """Those of the paths that this process can read, to prove that it cannot."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.read(1)
            found.append(path)
    return found
