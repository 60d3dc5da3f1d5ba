"""Messages between a runner and a searcher's process: JSON behind its length, over two pipes.

Neither side trusts the other's bytes to be short, well-formed or in time. Standard library only, since the
searcher's side is imported before its process is confined.
"""

from __future__ import annotations

import json
import math
import os
import select
import struct
import time
from typing import Any

#: Largest message [bytes].
MAX_MESSAGE = 2**20

_LENGTH = struct.Struct(">I")


class Closed(Exception):
    """The other side is gone, or sent what is no message."""


class Late(Exception):
    """The deadline passed."""


class Channel:
    """One end of a pair of pipes.

    Parameters
    ----------
    reading, writing : int
        File descriptors.

    Attributes
    ----------
    deadline : float
        On :func:`time.monotonic`'s clock; sending and receiving end by then [s].
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self.deadline = math.inf
        for end in (reading, writing):
            os.set_blocking(end, False)

    def send(self, message: Any) -> None:
        """Send a message.

        Raises
        ------
        Closed
            Where the other side is gone.
        Late
        """
        data = json.dumps(message, allow_nan=False).encode("ascii")
        view = memoryview(_LENGTH.pack(len(data)) + data)
        while view:
            self._wait(self._writing, select.POLLOUT)
            try:
                view = view[os.write(self._writing, view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Closed(str(error)) from None

    def receive(self) -> Any:
        """The next message.

        Raises
        ------
        Closed
            Where the other side is gone, or sent something too long or not JSON.
        Late
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if length > MAX_MESSAGE:
            raise Closed(f"a message of {length:,} bytes")
        try:
            return json.loads(self._read(length), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Closed(f"a message that is not JSON: {error}") from None

    def close(self) -> None:
        """Close both ends."""
        for end in (self._reading, self._writing):
            os.close(end)

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._wait(self._reading, select.POLLIN)
            try:
                part = os.read(self._reading, length - len(data))
            except BlockingIOError:
                continue
            if not part:
                raise Closed("it ended")
            data += part
        return bytes(data)

    def _wait(self, end: int, event: int) -> None:
        poll = select.poll()
        poll.register(end, event)
        left = self.deadline - time.monotonic()
        if left <= 0 or not poll.poll(None if left == math.inf else min(left, 3_600) * 1_000):
            raise Late


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
