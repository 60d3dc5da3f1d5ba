"""Run logs: written whole, read back, and refused where anything is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import RunLog, read_log, read_logs
from nasbench_imc.runs.log import log_path, write_log

EVENTS = (
    {"query": {"arch": "a\u2028b"}, "values": {"accuracy": 91.25, "energy": 3}, "proposals": 1},
    {"query": {"arch": "c"}, "values": {"accuracy": 0.1 + 0.2}, "proposals": 4},
    {"recommend": [{"arch": "c"}]},
)
LOG = RunLog(
    method="m",
    task="nb201/x",
    task_sha256="cd" * 32,
    seed=3,
    table="0.1.0",
    table_sha256="ab" * 32,
    official=True,
    events=EVENTS,
    end="failed",
    error='line\n"quoted" \ud800',
    charged=2,
    proposals=4,
    seconds=0.5,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = log_path(tmp_path, LOG.task, LOG.method, LOG.seed)
    write_log(LOG, made)
    return made


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]]


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the lines of a log, by rules more lax than the writer's."""
    data = lines(path)
    change(data)
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in data).encode()))


def test_round_trip(path: Path) -> None:
    assert read_log(path) == LOG
    assert path.name == "seed-0003.jsonl.gz"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert len(lines(path)) == 5


def test_same_bytes_but_for_the_seconds(path: Path, tmp_path: Path) -> None:
    first = path.read_bytes()
    write_log(LOG, path)
    assert path.read_bytes() == first
    other = tmp_path / "other.jsonl.gz"
    write_log(replace(LOG, seconds=9.0), other)
    assert lines(other)[:-1] == lines(path)[:-1]
    assert {**lines(other)[-1], "seconds": 0.5} == lines(path)[-1]


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(nbi.LogError, match="there is no log"):
        read_log(tmp_path / "none.jsonl.gz")


def test_truncated_at_any_byte(path: Path) -> None:
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(nbi.LogError):
            read_log(path)


def test_flipped_bytes_never_crash(path: Path) -> None:
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert read_log(path) == LOG
        except nbi.LogError:
            refused += 1
    assert refused > len(whole) - 12  # all but unused bytes of the gzip header


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    "content", [b"", b"not gzip", packed(b""), packed(b"garbage\nmore\n"), packed(b"\xff\xfe")]
)
def test_not_a_log(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(nbi.LogError, match="seed-0003"):
        read_log(path)


@pytest.mark.parametrize(
    "content",
    [
        b"[]\n[]\n",
        b"1\n2\n",
        b"{}\n{}\n",
        b"null\nnull\n",
        b"{}, {}\n{}\n",
        b"{}\n\n{}\n",
        b"]\n[",
        b"[" * 90_000,
    ],
)
def test_json_that_is_no_log(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content))
    with pytest.raises(nbi.LogError, match="is not a run log"):
        read_log(path)


def test_folder_in_place_of_a_log(tmp_path: Path) -> None:
    with pytest.raises(nbi.LogError):
        read_log(tmp_path)


@pytest.mark.parametrize("number", [0, 3, "2", 2.0, True, None])
def test_other_format(path: Path, number: Any) -> None:
    rewrite(path, lambda data: data[0].update(format=number))
    with pytest.raises(nbi.LogError, match="this version reads 2"):
        read_log(path)


def test_earlier_format(path: Path) -> None:
    """Logs of format 1 named no task's content."""
    rewrite(path, lambda data: (data[0].update(format=1), data[0].pop("task_sha256")))
    with pytest.raises(nbi.LogError, match="was made by an earlier version; run it again"):
        read_log(path)


def test_missing_footer(path: Path) -> None:
    rewrite(path, lambda data: data.pop())
    with pytest.raises(nbi.LogError, match="is not a run log"):
        read_log(path)


def test_missing_and_wrong_fields(path: Path) -> None:
    whole = path.read_bytes()
    for line, wrong in ((0, [None, 1.5, [], {}]), (-1, [None, True, [], {}])):
        for name in lines(path)[line]:
            path.write_bytes(whole)
            rewrite(path, lambda data, k=line, n=name: data[k].pop(n))
            with pytest.raises(nbi.LogError):
                read_log(path)
            for value in wrong:
                path.write_bytes(whole)
                rewrite(path, lambda data, k=line, n=name, v=value: data[k].update({n: v}))
                with pytest.raises(nbi.LogError):
                    read_log(path)


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        3,
        {"query": {"arch": "a"}},
        {"query": {"arch": "a"}, "values": {}, "proposals": "1"},
        {"query": "a", "values": {}, "proposals": 1},
        {"query": {"arch": 3}, "values": {}, "proposals": 1},
        {"query": {"arch": "a"}, "values": {"accuracy": "90"}, "proposals": 1},
        {"query": {"arch": "a"}, "values": {"accuracy": None}, "proposals": 1},
        {"query": {"arch": "a"}, "values": [90.0], "proposals": 1},
        {"recommend": []},
        {"recommend": {"arch": "a"}},
        {"recommend": ["a"]},
        {"recommend": None},
    ],
)
def test_malformed_event(path: Path, event: Any) -> None:
    rewrite(path, lambda data: data.insert(2, event))
    with pytest.raises(nbi.LogError, match="line 3 is neither a query nor a recommendation"):
        read_log(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_nan_is_written_or_read(path: Path, value: float) -> None:
    before = path.read_bytes()
    event = {"query": {"arch": "a"}, "values": {"accuracy": value}, "proposals": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_log(replace(LOG, events=(event,)), path)
    assert path.read_bytes() == before
    rewrite(path, lambda data: data.insert(1, event))
    with pytest.raises(nbi.LogError, match="is not a number"):
        read_log(path)


@pytest.mark.parametrize("end", ["", "done", "FINISHED", None])
def test_unknown_end(path: Path, end: Any) -> None:
    rewrite(path, lambda data: data[-1].update(end=end))
    with pytest.raises(nbi.LogError, match=r"malformed.* end"):
        read_log(path)


def test_bomb_of_good_lines(path: Path) -> None:
    header, *_, footer = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    event = json.dumps({"recommend": [{"arch": "c" * 60_000}]}).encode() + b"\n"
    path.write_bytes(gzip.compress(header + event * 300 + footer, compresslevel=9))
    assert path.stat().st_size < 100_000
    with pytest.raises(nbi.LogError, match="unpacks to more than 16,777,216 bytes"):
        read_log(path)


def test_bomb_of_one_line(path: Path) -> None:
    path.write_bytes(gzip.compress(b" " * (64 * 2**20), compresslevel=9))
    with pytest.raises(nbi.LogError, match="line 1 has more than 65,536 bytes"):
        read_log(path)


def test_too_many_events(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasbench_imc.runs.log.MAX_EVENTS", 2)
    with pytest.raises(nbi.LogError, match="more than 2 queries and recommendations"):
        read_log(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"recommend": [{"arch": "c", "arch": "d"}]}', "key 'arch' stands twice"),
        (b'{"query": {"arch": "c"}, "values": {"accuracy": 1e999}, "proposals": 2}', "1e999 overflows"),
        (b'{"recommend": ' + b"9" * 5_000 + b"}", "an integer of more than 19 digits"),
        (b"[" * 60_000, "nested too deep"),
        (b'{"recommend": [{"arch": "\xff"}]}', "can't decode byte 0xff"),
        (b'{"recommend": [{"arch": "c"}]} {}', "Extra data"),
        (b"", "Expecting value"),
        (b'{"recommend": [{"arch": "c", "more": [1]}]}', "neither a query nor a recommendation"),
        (b'{"recommend": [{"arch": "c"}], "more": 1}', "neither a query nor a recommendation"),
    ],
)
def test_what_json_forgives_is_refused_with_its_line(path: Path, line: bytes, reason: str) -> None:
    old = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join([*old[:2], line + b"\n", *old[2:]])))
    with pytest.raises(nbi.LogError, match=rf"line 3.*{reason}"):
        read_log(path)


def test_folder_of_logs(path: Path, tmp_path: Path) -> None:
    write_log(replace(LOG, seed=4), path.with_name("seed-0004.jsonl.gz"))
    (path.parent / f".{path.name}.abc.tmp").write_bytes(b"half a log")
    (path.parent / "notes.txt").write_text("mine")
    assert [log.seed for log in read_logs(tmp_path)] == [3, 4]


def test_folder_without_logs(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(nbi.LogError, match="no run logs"):
            list(read_logs(folder))
