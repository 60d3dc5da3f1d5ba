"""Text of strangers on a terminal. Standard library only: every command imports it."""

from __future__ import annotations


def printable(text: str) -> str:
    """A name or message on one line, without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
