"""Run logs: JSON lines, gzipped. The first line names the run, the last one how it ended.

Equal runs have equal bytes but for the last line's measured seconds. A log may come from a stranger, so it is
read line by line: each is bounded in length, and checked before the next one is unpacked.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_imc._version import __version__
from nasbench_imc.errors import LogError
from nasbench_imc.files import replacing
from nasbench_imc.runs import strict_json

FORMAT = 2
SUFFIX = ".jsonl.gz"

#: How a run may end. ``finished``: the searcher returned; ``budget``: it met the end of its budget;
#: ``proposals``: it met the cap on proposals; ``failed``: it raised; ``timeout``: it was stopped.
ENDS = ("finished", "budget", "proposals", "failed", "timeout")

#: Ends that are the searcher's trouble.
TROUBLE = ("failed", "timeout")

#: A log larger than this, unpacked, is not read [bytes]; the largest honest one is under 2 MB.
MAX_BYTES = 16 * 2**20

#: Longest line [bytes]: the text of an error, each character escaped, is shorter.
MAX_LINE = 64 * 2**10

#: Most queries and recommendations of a log.
MAX_EVENTS = 100_000

_HEADER = (
    "format",
    "method",
    "task",
    "task_sha256",
    "seed",
    "table",
    "table_sha256",
    "official",
    "package",
    "searcher",
)
_FOOTER = ("end", "error", "charged", "proposals", "seconds")
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("method", "task", "task_sha256", "table", "table_sha256", "package", "searcher", "end", "error"),
        (str,),
    ),
    **dict.fromkeys(("seed", "proposals"), (int,)),
    "official": (bool,),
    **dict.fromkeys(("charged", "seconds"), (int, float)),
}


@dataclass(frozen=True)
class RunLog:
    """One run of one method on one task.

    Attributes
    ----------
    method, task : str
    task_sha256 : str
        :attr:`nasbench_imc.Task.sha256`: which task bore that name.
    seed : int
        Seed of the searcher and of the search labels.
    table, table_sha256 : str
        Version and hash of the table that answered.
    official : bool
        Whether that table is a released one.
    events : tuple of mapping
        Charged queries (``{"query": ..., "values": ..., "proposals": ...}``, on track F also ``fidelity``
        and ``charged``), on track F charged looks at proxies (``{"proxies": ..., "charged": ...,
        "proposals": ...}``), and recommendations (``{"recommend": [...]}``), in order.
    end : str
        One of :data:`ENDS`.
    error : str
        What was raised, else empty.
    charged : float
        What was charged, in the task's unit: queries, or core-seconds of the simulated clock.
    proposals : int
    seconds : float
        Wall-clock time that the searcher took, table look-ups included [s].
    package : str
        Version of nasbench-imc.
    searcher : str
        SHA-256 of the file that holds the searcher; empty where there is none.
    """

    method: str
    task: str
    task_sha256: str
    seed: int
    table: str
    table_sha256: str
    official: bool
    events: tuple[Mapping[str, Any], ...]
    end: str
    error: str
    charged: float
    proposals: int
    seconds: float
    package: str = __version__
    searcher: str = ""


def log_path(folder: Path, task: str, method: str, seed: int) -> Path:
    """Where a run's log lies below an output folder."""
    return folder / task / method / f"seed-{seed:04d}{SUFFIX}"


def pack_log(log: RunLog) -> bytes:
    """The bytes of a log's file.

    Raises
    ------
    ValueError
        Where an event holds a NaN or an infinity.
    """
    header = {"format": FORMAT} | {name: getattr(log, name) for name in _HEADER[1:]}
    footer = {name: getattr(log, name) for name in _FOOTER}
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in (header, *log.events, footer))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:  # no name, no time stamp
        file.write(text.encode("utf-8"))
    return packed.getvalue()


def write_packed(packed: bytes, path: Path) -> None:
    """Write the bytes of a log, whole or not at all.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(packed)


def write_log(log: RunLog, path: Path) -> None:
    """Write a log, whole or not at all.

    Raises
    ------
    ValueError
        Where an event holds a NaN or an infinity.
    OSError
        Where the file cannot be written.
    """
    write_packed(pack_log(log), path)


def read_log(path: Path) -> RunLog:
    """Read a log.

    Raises
    ------
    LogError
        Where it is missing, truncated, too large, of another format, or lacks a field.
    """
    try:
        with gzip.open(path, "rb") as file:
            return parse_log(file, str(path))
    except FileNotFoundError:
        raise LogError(f"there is no log {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"{path} is not a whole gzip file ({error}); delete it and run again") from error


def parse_log(file: io.BufferedIOBase, name: str) -> RunLog:
    """Read a log from its unpacked lines.

    Parameters
    ----------
    file : io.BufferedIOBase
        Only ``readline`` is called, with a size, so that no more is unpacked than is kept.
    name : str
        What errors call it.

    Raises
    ------
    LogError
        Where it is too large, of another format, or lacks a field; the message names the line.
    """
    header: Any = None
    last: Any = None
    events: list[Mapping[str, Any]] = []
    number = total = 0
    while line := file.readline(MAX_LINE + 1):
        number, total = number + 1, total + len(line)
        if total > MAX_BYTES:
            raise LogError(f"{name} unpacks to more than {MAX_BYTES:,} bytes; a run log is smaller")
        if len(line) > MAX_LINE:
            raise LogError(f"{name} is not a run log: line {number} has more than {MAX_LINE:,} bytes")
        try:
            read = strict_json.loads(line)
        except ValueError as error:
            raise LogError(f"{name} is not a run log: line {number}: {error}") from error
        if number == 1:
            header = read
            _check_header(header, name)
            continue
        if number > 2:
            if not _is_event(last):
                raise LogError(
                    f"{name} is not a run log: line {number - 1} is neither a query nor a recommendation "
                    "nor a look at proxies"
                )
            events.append(last)
        if len(events) > MAX_EVENTS:
            raise LogError(f"{name} has more than {MAX_EVENTS:,} queries and recommendations")
        last = read
    if number < 2:
        raise LogError(f"{name} is not a run log: it has {number} lines")
    if not isinstance(last, dict) or set(last) != set(_FOOTER):
        raise LogError(
            f"{name} is not a run log: its last line must hold {', '.join(_FOOTER)}; is it cut off?"
        )
    _check_kinds(last, name)
    if last["end"] not in ENDS:
        raise LogError(f"{name} is not a run log: malformed end")
    fields = {key: value for key, value in header.items() if key != "format"}
    return RunLog(events=tuple(events), **fields, **last)


def _check_header(header: Any, name: str) -> None:
    if not isinstance(header, dict) or "format" not in header:
        raise LogError(f"{name} is not a run log: its first line states no format")
    if type(header["format"]) is int and 0 < header["format"] < FORMAT:
        raise LogError(
            f"{name} (log format {header['format']}) was made by an earlier version; run it again, with "
            "another --out"
        )
    if header["format"] != FORMAT or type(header["format"]) is not int:
        raise LogError(f"{name} has log format {header['format']!r:.40}; this version reads {FORMAT}")
    if set(header) != set(_HEADER):
        raise LogError(f"{name} is not a run log: its first line must hold {', '.join(_HEADER)}")
    _check_kinds(header, name)


def _check_kinds(fields: Mapping[str, Any], name: str) -> None:
    wrong = [key for key, value in fields.items() if key in _KINDS and type(value) not in _KINDS[key]]
    if wrong:
        raise LogError(f"{name} is not a run log: malformed {', '.join(wrong)}")


def _is_event(event: object) -> bool:
    if not isinstance(event, dict):
        return False
    if "recommend" in event:
        designs = event["recommend"]
        return (
            len(event) == 1 and isinstance(designs, list) and bool(designs) and all(map(_is_design, designs))
        )
    if "proxies" in event:
        return (
            set(event) == {"proxies", "charged", "proposals"}
            and _is_design(event["proxies"])
            and type(event["charged"]) in _NUMBERS
            and type(event["proposals"]) is int
        )
    values = event.get("values")
    return (
        _is_design(event.get("query"))
        and isinstance(values, dict)
        and _NUMBERS.issuperset(map(type, values.values()))
        and type(event.get("proposals")) is int
        and all(_is_scalar(value) for key, value in event.items() if key not in ("query", "values"))
    )


def _is_design(fields: object) -> bool:
    return (
        isinstance(fields, dict)
        and isinstance(fields.get("arch"), str)
        and all(map(_is_scalar, fields.values()))
    )


_NUMBERS = frozenset((int, float))
_SCALARS = frozenset((str, int, float))


def _is_scalar(value: object) -> bool:
    return type(value) in _SCALARS


def read_logs(folder: Path) -> Iterator[RunLog]:
    """All logs below a folder, in the order of their paths.

    Raises
    ------
    LogError
        Where there are none, or one cannot be read.
    """
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    if not paths:
        raise LogError(f"there are no run logs (*{SUFFIX}) below {folder}; make some with `nasbench-imc run`")
    for path in paths:
        yield read_log(path)
