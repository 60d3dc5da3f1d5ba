"""What the pages of results share: figures of one style, Markdown tables, and files that appear whole."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_imc.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Text by hand that a page takes in, where there is such a file beside it.
READING = "reading.md"

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


def reading(folder: Path) -> str | None:
    """The text by hand in a page's folder, None where there is none."""
    path = folder / READING
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files by name into a folder, which is made; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content)
    return [folder / name for name in contents]


@contextmanager
def styled(**changes: Any) -> Iterator[None]:
    """Draw in one style, whatever matplotlib is set to elsewhere; ``changes`` with ``_`` for points."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            _STYLE | {name.replace("_", "."): value for name, value in changes.items()}
        )
        yield


def png(figure: Figure) -> bytes:
    """A figure as PNG, without the name of what made it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """A table whose first ``words`` columns are text, to the left, and the others numbers, to the right."""
    ruler = ["---" if column < words else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ruler, *rows))


def number(value: float, digits: int) -> str:
    """A number with so many digits behind the point; a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
