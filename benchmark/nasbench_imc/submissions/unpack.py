"""Reading an archive made by a stranger: nothing is extracted, and nothing is believed of its headers.

Members are read into memory one at a time. Sizes are counted while unpacking, since a header may lie, and the
directory's size is checked before it is parsed, since a directory of millions of entries is itself a bomb.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO

from nasbench_imc.errors import LogError, SubmissionError
from nasbench_imc.runs.log import RunLog, parse_log
from nasbench_imc.submissions import manifest
from nasbench_imc.submissions.manifest import Manifest

#: Largest archive, and the largest log as it lies in it [bytes]; 10,000 honest logs take 150 MB.
MAX_ARCHIVE = 512 * 2**20
MAX_PACKED_LOG = 16 * 2**20

#: All logs together, unpacked [bytes].
MAX_UNPACKED = 2 * 2**30

#: A deflated member that grows by more than this is no log or manifest; deflate itself ends at 1,032.
MAX_RATIO = 200

_MAX_ENTRY = 1_024  # bytes of a directory's entry, its name among them
_END = struct.Struct("<4s4H2LH")  # the end of the central directory, without a comment
_ZIP64 = struct.Struct("<4sLQL")  # the locator that stands before it in a zip64 archive
_CHUNK = 64 * 2**10

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)


class Archive:
    """An archive open for reading, its directory and manifest checked.

    Parameters
    ----------
    path : pathlib.Path

    Attributes
    ----------
    sha256 : str
        Of the whole file.
    manifest : Manifest

    Raises
    ------
    SubmissionError
        Where it is not a plain zip archive of a manifest and the logs that this declares.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise SubmissionError(f"{path} cannot be read: {error.strerror}") from error
        try:
            _check_ends(self._file)
            self._file.seek(0)
            self.sha256 = hashlib.file_digest(self._file, "sha256").hexdigest()
            try:
                self._zip = zipfile.ZipFile(self._file)
            except _BROKEN as error:
                raise SubmissionError(f"{path} is not a whole zip archive: {error}") from error
            self._members = _checked(self._zip.infolist())
            self._unpacked = 0
            self.manifest = Manifest.from_json(self._read(manifest.MEMBER, manifest.MAX_BYTES))
            self._check_members()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def log(self, name: str) -> RunLog:
        """A run's log.

        Raises
        ------
        SubmissionError
            Where its bytes are not those that the manifest declares, or it is not a log.
        """
        sha256, size = self.manifest.logs[name]
        packed = self._read(name, min(size, MAX_PACKED_LOG))
        if len(packed) != size:
            raise SubmissionError(f"{name} has {len(packed):,} bytes where the manifest declares {size:,}")
        if hashlib.sha256(packed).hexdigest() != sha256:
            raise SubmissionError(f"{name} is not the log that the manifest declares: its SHA-256 differs")
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
                log = parse_log(file, name)
                self._unpacked += file.tell()
        except LogError as error:
            raise SubmissionError(str(error)) from error
        except (OSError, EOFError, zlib.error) as error:
            raise SubmissionError(f"{name} is not a whole gzip file: {error}") from error
        if self._unpacked > MAX_UNPACKED:
            raise SubmissionError(f"the logs up to {name} unpack to more than {MAX_UNPACKED:,} bytes")
        return log

    def _check_members(self) -> None:
        declared = {manifest.MEMBER, *self.manifest.logs}
        if sum(size for _, size in self.manifest.logs.values()) > MAX_ARCHIVE:
            raise SubmissionError(f"the logs that the manifest declares have more than {MAX_ARCHIVE:,} bytes")
        for name in self._members:
            if name not in declared:
                raise SubmissionError(f"member {name!r:.200} is unknown: the manifest does not declare it")
        for name in declared:
            if name not in self._members:
                raise SubmissionError(f"{name} is declared by the manifest, but is not in the archive")

    def _read(self, name: str, limit: int) -> bytes:
        """A member's bytes, counted as they are unpacked."""
        if name not in self._members:
            raise SubmissionError(f"the archive holds no {name}")
        info = self._members[name]
        limit_by_ratio = MAX_RATIO * max(info.compress_size, 1)
        found = bytearray()
        try:
            with self._zip.open(info) as file:
                while chunk := file.read(_CHUNK):
                    found += chunk
                    if len(found) > limit:
                        raise SubmissionError(f"{name} unpacks to more than {limit:,} bytes")
                    if len(found) > limit_by_ratio:
                        raise SubmissionError(
                            f"{name} unpacks to more than {MAX_RATIO} times its size: a zip bomb"
                        )
        except _BROKEN as error:
            raise SubmissionError(f"{name} cannot be unpacked: {str(error)[:200]}") from error
        return bytes(found)


def _check_ends(file: IO[bytes]) -> None:
    """Check the size of the file and of its directory before anything is made of them."""
    size = file.seek(0, os.SEEK_END)
    if size > MAX_ARCHIVE:
        raise SubmissionError(f"the archive has {size:,} bytes; the largest read is {MAX_ARCHIVE:,}")
    if size < _END.size:
        raise SubmissionError("the file is not a zip archive: it is too short")
    file.seek(-min(size, _END.size + _ZIP64.size), os.SEEK_END)
    tail = file.read()
    mark, disk, start_disk, here, entries, length, offset, comment = _END.unpack(tail[-_END.size :])
    if mark != b"PK\x05\x06" or comment:
        raise SubmissionError(
            "the file is not a zip archive, or has a comment or other bytes behind its directory"
        )
    if tail[: -_END.size].startswith(b"PK\x06\x07"):
        raise SubmissionError("the archive is in the zip64 format, which no submission needs")
    if disk or start_disk or here != entries:
        raise SubmissionError("the archive is one of several volumes")
    if entries > manifest.MAX_LOGS + 1:
        raise SubmissionError(f"the archive has {entries:,} members; the most are {manifest.MAX_LOGS + 1:,}")
    if length > entries * _MAX_ENTRY:
        raise SubmissionError(f"the archive's directory has {length:,} bytes for {entries:,} members")
    if offset + length + _END.size != size:
        raise SubmissionError("the archive has bytes before or between its parts that belong to no member")


def _checked(members: list[zipfile.ZipInfo]) -> Mapping[str, zipfile.ZipInfo]:
    """The members by name, each a plain file with a plain name."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in members:
        name, shown = info.orig_filename, f"member {info.orig_filename!r:.200}"
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.startswith(("/", "\\")) or name[1:2] == ":":
            raise SubmissionError(f"{shown} has an absolute path")
        if any(part in ("", ".", "..") for part in name.replace("\\", "/").split("/")):
            raise SubmissionError(f"{shown} has a path that leaves its folder, or is a folder")
        if "\\" in name or not name.isprintable():
            raise SubmissionError(f"{shown} has a name with a backslash or a control character")
        if kind == stat.S_IFLNK:
            raise SubmissionError(f"{shown} is a symbolic link")
        if kind not in (0, stat.S_IFREG):
            raise SubmissionError(f"{shown} is a device or another special file")
        if info.flag_bits & 0x1:
            raise SubmissionError(f"{shown} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SubmissionError(f"{shown} is neither stored nor deflated")
        if name in found:
            raise SubmissionError(f"{shown} stands twice in the archive")
        found[name] = info
    return MappingProxyType(found)
