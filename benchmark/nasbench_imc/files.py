"""Writing files that appear whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without an error.

    An error, a full disk among them, leaves ``path`` as it was and removes the temporary file. Of a link,
    the file is replaced to which it leads.

    Raises
    ------
    OSError
        Where ``path`` is something else than a file, a device or a pipe say, or its folder cannot be
        written to.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a file that could be replaced", str(path))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_SUFFIX}")
    # The user's umask says who may read it; tempfile would let nobody else.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove what writers of ``path`` that were killed left behind; nobody may be writing it now."""
    path = path.resolve()
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*{_SUFFIX}"):
        leftover.unlink(missing_ok=True)
