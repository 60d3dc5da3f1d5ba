"""Run logs: JSON lines, gzipped. The first line names the run, the last one how it ended.

Equal runs have equal bytes but for the last line's measured seconds.
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

FORMAT = 1
SUFFIX = ".jsonl.gz"

#: How a run may end. ``finished``: the searcher returned; ``budget``: it met the end of its budget;
#: ``proposals``: it met the cap on proposals; ``failed``: it raised; ``timeout``: it was stopped.
ENDS = ("finished", "budget", "proposals", "failed", "timeout")

#: Ends that are the searcher's trouble.
TROUBLE = ("failed", "timeout")

#: A log larger than this, unpacked, is not read [bytes]; the largest honest one is under 2 MB.
MAX_BYTES = 64 * 2**20

_HEADER = ("format", "method", "task", "seed", "table", "table_sha256", "official", "package", "searcher")
_FOOTER = ("end", "error", "charged", "proposals", "seconds")
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("method", "task", "table", "table_sha256", "package", "searcher", "end", "error"), (str,)
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
    seed : int
        Seed of the searcher and of the search labels.
    table, table_sha256 : str
        Version and hash of the table that answered.
    official : bool
        Whether that table is a released one.
    events : tuple of mapping
        Charged queries (``{"query": ..., "values": ..., "proposals": ...}``, on track F also ``fidelity``
        and ``charged``) and recommendations (``{"recommend": [...]}``), in order.
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


def write_log(log: RunLog, path: Path) -> None:
    """Write a log, whole or not at all.

    Raises
    ------
    ValueError
        Where an event holds a NaN or an infinity.
    OSError
        Where the file cannot be written.
    """
    header = {"format": FORMAT} | {name: getattr(log, name) for name in _HEADER[1:]}
    footer = {name: getattr(log, name) for name in _FOOTER}
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in (header, *log.events, footer))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:  # no name, no time stamp
        file.write(text.encode("utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getvalue())


def read_log(path: Path) -> RunLog:
    """Read a log.

    Raises
    ------
    LogError
        Where it is missing, truncated, too large, of another format, or lacks a field.
    """
    try:
        with gzip.open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise LogError(f"there is no log {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"{path} is not a whole gzip file ({error}); delete it and run again") from error
    if len(data) > MAX_BYTES:
        raise LogError(f"{path} unpacks to more than {MAX_BYTES:,} bytes; a run log is smaller")
    try:
        text = data.decode("utf-8").splitlines()
        lines = _DECODER.decode(f"[{','.join(text)}]")  # at once: twice as fast or more as one by one
        if len(lines) != len(text):
            raise ValueError("a line is not one JSON value")
        header, *events, footer = lines
        if header["format"] != FORMAT:
            raise LogError(f"{path} has log format {header['format']!r}; this version reads {FORMAT}")
        log = RunLog(
            events=tuple(events),
            **{name: header[name] for name in _HEADER if name != "format"},
            **{name: footer[name] for name in _FOOTER},
        )
        wrong = [name for name, kind in _KINDS.items() if type(getattr(log, name)) not in kind] + ["end"] * (
            log.end not in ENDS
        )
    except LogError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LogError(f"{path} is not a run log: {type(error).__name__} {error}") from error
    if wrong:
        raise LogError(f"{path} is not a run log: malformed {', '.join(wrong)}")
    for number, event in enumerate(events, start=2):
        if not _is_event(event):
            raise LogError(f"{path} is not a run log: line {number} is neither a query nor a recommendation")
    return log


def _is_event(event: object) -> bool:
    if not isinstance(event, dict):
        return False
    if "recommend" in event:
        designs = event["recommend"]
        return isinstance(designs, list) and bool(designs) and all(map(_is_design, designs))
    values = event.get("values")
    return (
        _is_design(event.get("query"))
        and isinstance(values, dict)
        and _NUMBERS.issuperset(map(type, values.values()))
        and type(event.get("proposals")) is int
    )


def _is_design(fields: object) -> bool:
    return isinstance(fields, dict) and isinstance(fields.get("arch"), str)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


_NUMBERS = frozenset((int, float))
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


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
