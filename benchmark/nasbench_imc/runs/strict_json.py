"""JSON from strangers: the standard library's reader without what it forgives."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

#: Digits of the largest 64-bit integer.
_MAX_DIGITS = 19


def loads(data: bytes) -> Any:
    """Read one JSON value.

    Parameters
    ----------
    data : bytes
        Its length is for the caller to bound; what is made of it takes at most some 30 times as much.

    Raises
    ------
    ValueError
        Where it is not UTF-8 or not JSON, holds a NaN, an infinity, a number that overflows or an integer of
        more than 19 digits, names a key twice, or is nested too deep.
    """
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {twice!r:.80} stands twice in one object")
    return made


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text:.40} overflows")
    return value


def _bounded(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS:
        raise ValueError(f"an integer of more than {_MAX_DIGITS} digits")
    return int(text)


#: Made once, since making one takes longer than reading a line of a log.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_bounded
)
