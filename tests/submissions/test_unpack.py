"""Archives that are no submission: each refused with its reason, in bounded memory, nothing written."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nasbench_imc as nbi
from nasbench_imc.submissions import unpack
from nasbench_imc.submissions.manifest import MEMBER
from nasbench_imc.submissions.replay import replay

from .conftest import Forge, contents, member, write

#: Replays in a process that may hold little memory beyond what the table and the scores take.
BOUNDED = """
import resource, sys
from pathlib import Path
import nasbench_imc as nbi
from nasbench_imc.scoring import score
from nasbench_imc.submissions.replay import replay
nbi.task("nb201/sram-digital/C-memory").session(0).__exit__(None, None, None)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    replay(Path(sys.argv[1]))
except nbi.SubmissionError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def refused(path: Path, reason: str) -> None:
    before = {entry for folder in (path.parent, Path.cwd()) for entry in folder.iterdir()}
    with pytest.raises(nbi.SubmissionError, match=reason) as caught:
        replay(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2_000
    assert {entry for folder in (path.parent, Path.cwd()) for entry in folder.iterdir()} == before


def refused_in_little_memory(path: Path, reason: str, megabytes: int = 150) -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", BOUNDED, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said, grown = done.stdout.splitlines()
    assert reason in said
    assert int(grown) < megabytes
    assert time.monotonic() - start < 30


@pytest.fixture
def altered(submission: Path, tmp_path: Path) -> Callable[..., Path]:
    """The honest submission with one member more, whose header a test changes."""

    def made(name: str, change: Callable[[zipfile.ZipInfo], object] = lambda info: None) -> Path:
        path = tmp_path / "altered.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for known, data in contents(submission).items():
                archive.writestr(known, data)
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            change(info)
            archive.writestr(info, b"/etc/passwd")
        return path

    return made


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.py", "leaves its folder"),
        ("logs/../../evil", "leaves its folder"),
        ("logs/./a", "leaves its folder"),
        ("logs//a", "leaves its folder"),
        ("..", "leaves its folder"),
        ("logs/", "is a folder"),
        ("/etc/passwd", "an absolute path"),
        ("\\\\server\\share", "an absolute path"),
        ("C:\\evil", "an absolute path"),
        ("..\\evil", "leaves its folder"),
        ("logs\\evil", "backslash"),
        ("logs/\x1b[2Jx", "control character"),
        ("logs/a\nb", "control character"),
        ("setup.py", "'setup.py' is unknown: the manifest does not declare it"),
        ("nested.zip", "is unknown"),
        ("__MACOSX", "is unknown"),
        (MEMBER.upper(), "is unknown"),
        ("a" * 900, "is unknown"),
    ],
)
def test_names(altered: Callable[..., Path], name: str, reason: str) -> None:
    refused(altered(name), reason)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (0o120777, "symbolic link"),
        (0o060660, "device or another special"),
        (0o020660, "device or another special"),
        (0o010660, "device or another special"),
        (0o040755, "device or another special"),
    ],
)
def test_special_files(altered: Callable[..., Path], mode: int, reason: str) -> None:
    refused(altered("x", lambda info: setattr(info, "external_attr", mode << 16)), reason)


def test_encrypted(submission: Path, tmp_path: Path) -> None:
    data = bytearray(submission.read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", "is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression(altered: Callable[..., Path], method: int) -> None:
    refused(altered("x", lambda info: setattr(info, "compress_type", method)), "neither stored nor deflated")


def test_duplicate_member(submission: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents(submission).items():
            archive.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(MEMBER, b"{}")
    refused(path, f"'{MEMBER}' stands twice")


def test_nul_in_a_name(altered: Callable[..., Path]) -> None:
    """Some readers stop at it, so that two members would have one name."""
    path = altered("manifest.json#evil")
    path.write_bytes(path.read_bytes().replace(b"manifest.json#evil", b"manifest.json\x00evil"))
    refused(path, "control character")


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"not a zip archive at all, but long enough to be one", b"\x00" * 500]
)
def test_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", "not a zip archive")


def test_empty_archive(tmp_path: Path) -> None:
    refused(write({}, tmp_path / "a.zip"), f"holds no {MEMBER}")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(nbi.SubmissionError, match="cannot be read"):
        replay(tmp_path / "none.zip")


def test_bytes_around_the_archive(submission: Path, tmp_path: Path) -> None:
    data = submission.read_bytes()
    for name, changed, reason in (
        ("before", b"#!/bin/sh\n" + data, "belong to no member"),
        ("behind", data + b"x", "or other bytes behind"),
        ("cut", data[:-1], "not a zip archive"),
        ("half", data[: len(data) // 2], "not a zip archive"),
    ):
        (tmp_path / name).write_bytes(changed)
        refused(tmp_path / name, reason)


def test_comment(submission: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(submission.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"
    refused(path, "comment")


def test_zip64_and_volumes(submission: Path, tmp_path: Path) -> None:
    data = submission.read_bytes()
    end = data[-22:]
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(data), 1)
    (tmp_path / "a.zip").write_bytes(data[:-22] + locator + end)
    refused(tmp_path / "a.zip", "zip64")
    (tmp_path / "b.zip").write_bytes(data[:-22] + end[:4] + b"\x01\x00" + end[6:])
    refused(tmp_path / "b.zip", "several volumes")


def test_directory_bombs(tmp_path: Path) -> None:
    """Many members, or a directory that is large for its members: neither is parsed."""
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for k in range(10_002):
            archive.writestr(f"{k}", b"")
    refused(many, "10,002 members; the most are 10,001")
    wide = tmp_path / "wide.zip"
    with zipfile.ZipFile(wide, "w") as archive:
        archive.writestr("a" * 60_000, b"")
    refused(wide, "directory has")


def test_large_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.truncate(unpack.MAX_ARCHIVE + 1)  # a sparse file
    refused(path, "the largest read is 536,870,912")


def test_flipped_bytes_never_crash(submission: Path, tmp_path: Path) -> None:
    whole, accepted = submission.read_bytes(), 0
    path = tmp_path / "a.zip"
    for place in [*range(0, len(whole), 997), *range(len(whole) - 1_100, len(whole), 7)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            replay(path)
            accepted += 1  # a date or a version number of a header
        except nbi.BenchmarkError:
            continue
    assert accepted < 60


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_garbage_between_the_ends(tmp_path: Path, data: bytes) -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(data), 0, 0)
    (tmp_path / "a.zip").write_bytes(data + end)
    with pytest.raises(nbi.SubmissionError):
        replay(tmp_path / "a.zip")


def stretched(path: Path, name: str, claimed: int) -> Path:
    """Replaces the sizes that the headers state for a member: they lie."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    struct.pack_into("<L", data, info.header_offset + 22, claimed)
    place = data.index(b"PK\x01\x02")
    while data[place + 46 : place + 46 + len(name)] != name.encode():
        place = data.index(b"PK\x01\x02", place + 4)
    struct.pack_into("<L", data, place + 24, claimed)
    path.write_bytes(data)
    return path


def test_zip_bomb(submission: Path, tmp_path: Path) -> None:
    """200 MB as 200 kB, for the manifest and for a log, under true and false sizes."""
    members = contents(submission)
    for name in (MEMBER, member()):
        path = tmp_path / "bomb.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for known, data in members.items():
                if known != name:
                    archive.writestr(known, data)
            with archive.open(zipfile.ZipInfo(name), "w") as file:
                file._compress_type = zipfile.ZIP_DEFLATED  # type: ignore[attr-defined]
                file._compressor = zlib.compressobj(9, zlib.DEFLATED, -15)  # type: ignore[attr-defined]
                file._zinfo.compress_type = zipfile.ZIP_DEFLATED  # type: ignore[attr-defined]
                for _ in range(20):
                    file.write(b" " * 10**7)
        assert path.stat().st_size < 300_000
        reason = "unpacks to more than"
        refused_in_little_memory(path, f"{name} {reason}")
        refused(stretched(path, name, 20), f"{name} ({reason}|cannot be unpacked)")


def test_ratio(forge: Forge, submission: Path, tmp_path: Path) -> None:
    """A manifest within its size that deflates suspiciously well."""
    members = contents(submission)
    padded = members[MEMBER] + b" " * 3_000_000
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**members, MEMBER: padded}.items():
            archive.writestr(name, data)
    refused(path, "more than 200 times its size: a zip bomb")


def test_deflated_members_are_read(submission: Path, tmp_path: Path) -> None:
    """Packed again by another program."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents(submission).items():
            archive.writestr(name, data)
    assert replay(path).runs == 6


def ten_gigabytes(line: bytes, header: bytes = b"") -> bytes:
    """A gzip file of 10 GB: one compressed block over and over, since members are concatenated."""
    block = gzip.compress(line * (10**7 // len(line)), 9, mtime=0)
    return gzip.compress(header, mtime=0) + block * 1_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"recommend": [{"arch": "' + b"x" * 9_000 + b'"}]}\n', "unpacks to more than 16,777,216 bytes"),
        (
            b'{"query": {"arch": "' + b"x" * 9_000 + b'"}, "values": {}, "proposals": 1}\n',
            "unpacks to more than 16,777,216 bytes",
        ),
        (b"[" * 10_000, "line 2 has more than 65,536 bytes"),
        (b'"' + b"x" * 9_998 + b'"', "line 2 has more than 65,536 bytes"),
        (b"\n", "line 2: Expecting value"),
    ],
)
def test_ten_gigabytes_of_json(forge: Forge, submission: Path, line: bytes, reason: str) -> None:
    header = gzip.decompress(contents(submission)[member()]).splitlines(keepends=True)[0]
    bomb = ten_gigabytes(line, header)
    assert len(bomb) < 16 * 2**20
    refused_in_little_memory(forge({member(): bomb}), f"{member()} ", 200)
    refused(forge({member(): bomb}), reason)


def test_gzip_in_gzip(forge: Forge) -> None:
    refused(forge({member(): gzip.compress(gzip.compress(b"x" * 10**6))}), "is not a run log: line 1")


def test_all_logs_together(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_UNPACKED", 50_000)
    refused(forge(), "unpack to more than 50,000 bytes")
    monkeypatch.setattr(unpack, "MAX_ARCHIVE", 10**6)
    path = forge(manifest=lambda about: about["logs"].update({member(): ["0" * 64, 10**9]}))
    refused(path, "declares have more than 1,000,000 bytes")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b'{"query": {"arch": "x"}, "values": {"accuracy": NaN}, "proposals": 1}', "NaN is not a number"),
        (b'{"query": {"arch": "x"}, "values": {"accuracy": -Infinity}, "proposals": 1}', "-Infinity is not"),
        (b'{"query": {"arch": "x"}, "values": {"accuracy": 1e400}, "proposals": 1}', "overflows"),
        (b'{"query": {"arch": "x"}, "values": {"accuracy": ' + b"9" * 60_000 + b"}}", "more than 19 digits"),
        (b'{"query": {"arch": "x"}, "query": {"arch": "y"}}', "key 'query' stands twice"),
        (b'{"recommend": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "nested too deep"),
        (b'{"recommend": [{"arch": "\xc3\x28"}]}', "can't decode byte"),
        (b'{"__class__": "os.system", "args": ["touch evil"]}', "neither a query nor a recommendation"),
        (b"\x80\x04\x95", "can't decode byte"),
    ],
)
def test_lines_that_no_log_has(forge: Forge, submission: Path, event: bytes, reason: str) -> None:
    lines = gzip.decompress(contents(submission)[member()]).splitlines(keepends=True)
    data = gzip.compress(b"".join([lines[0], event + b"\n", *lines[1:]]))
    refused(forge({member(): data}), rf"{member()} is not a run log: line 2.*{reason}")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Expecting value"),
        (b"[]", "it must be an object"),
        (b"{}", "lacks field"),
        (b'{"format": 1, "format": 1}', "stands twice"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": ' + b"1" * 10**6 + b"}", "more than 19 digits"),
        (b"\xff\xfe", "can't decode"),
        (b" " * (4 * 2**20 + 1), "unpacks to more than 4,194,304 bytes"),
    ],
)
def test_manifest_that_is_none(submission: Path, tmp_path: Path, data: bytes, reason: str) -> None:
    refused(write({**contents(submission), MEMBER: data}, tmp_path / "a.zip"), reason)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("format", 2, "must have format 1"),
        ("format", True, "must have format 1"),
        ("method", "", "method must be"),
        ("method", "../x", "method must be"),
        ("method", "a/b", "method must be"),
        ("method", 3, "method must be"),
        ("authors", [], "authors must be"),
        ("authors", "me", "authors must be"),
        ("authors", ["\x1b[31m"], "authors must be"),
        ("description", "two\nlines", "description must be"),
        ("description", "x" * 4_001, "description must be"),
        ("code", "javascript:alert(1)", "code must be"),
        ("code", "file:///etc/passwd", "code must be"),
        ("code", "", "code must be"),
        ("paper", "somewhere", "paper must be"),
        ("searcher", "xyz", "searcher must be"),
        ("packages", [], "packages must be"),
        ("tables", {}, "tables must map"),
        ("tables", {"nb201": ["0.1.0", "xyz"]}, "tables must map"),
        ("suite", None, "suite must be"),
        ("tasks", [], "tasks must be"),
        ("tasks", ["b", "a"], "tasks must be"),
        ("tasks", [[1]], "tasks must be"),
        ("seeds", 0, "seeds must be"),
        ("seeds", 3.0, "seeds must be"),
        ("seeds", True, "seeds must be"),
        ("seeds", 10**18, "are more than 10,000 runs"),
        ("failures", -1, "failures must be"),
        ("failures", 7, "failures must be"),
        ("logs", [], "logs must map"),
        ("logs", {"x": 1}, "logs must map"),
        ("logs", {"x": ["0" * 64, 0]}, "logs must map"),
        ("logs", {}, "6 of 6 runs are missing"),
        ("tuning", 3, "tuning must be an object"),
        ("tuning", {"configurations": 1}, "lacks field tuning."),
        ("tuning", {"configurations": -1, "tasks": [], "core_hours": 0}, r"tuning\.configurations must be"),
        ("tuning", {"configurations": 1, "tasks": 3, "core_hours": 0}, r"tuning\.tasks must be"),
        ("tuning", {"configurations": 1, "tasks": [], "core_hours": "0"}, r"tuning\.core_hours must be"),
        ("environment", [], "environment must be an object"),
    ],
)
def test_manifest_fields(forge: Forge, field: str, value: Any, reason: str) -> None:
    refused(forge(manifest=lambda about: about.update({field: value})), reason)


def test_manifest_keys(forge: Forge, submission: Path) -> None:
    for name in json.loads(contents(submission)[MEMBER]):
        refused(forge(manifest=lambda about, n=name: about.pop(n)), f"lacks field '{name}'")
    refused(forge(manifest=lambda about: about.update(score=0.0)), "unknown field 'score'")
    for name in ("python", "platform", "cpus", "distributions"):
        path = forge(manifest=lambda about, n=name: about["environment"].update({n: None}))
        refused(path, rf"environment\.{name} must")


def test_undeclared_log(forge: Forge) -> None:
    extra = member().replace("0000", "0009")
    path = forge(manifest=lambda about: about["logs"].update({extra: ["0" * 64, 10]}))
    refused(path, "of no declared run")


def test_hash_is_of_the_archive(submission: Path) -> None:
    assert replay(submission).sha256 == hashlib.sha256(submission.read_bytes()).hexdigest()
