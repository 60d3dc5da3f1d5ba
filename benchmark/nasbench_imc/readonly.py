"""Read-only mappings can be pickled and copied wherever this package is imported.

Tasks, observations and proxies hold them, and people send these to other processes or copy them; Python's own
mappingproxy refuses both.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


def read_only(values: Mapping[Any, Any]) -> MappingProxyType[Any, Any]:
    """A read-only copy."""
    return MappingProxyType(dict(values))


def _reduce(values: MappingProxyType[Any, Any]) -> tuple[Any, ...]:
    return read_only, (dict(values),)


copyreg.pickle(MappingProxyType, _reduce)
