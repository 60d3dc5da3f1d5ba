"""Networks as layer lists in CSV: the form in which a user's own network enters the cost model.

One row a layer, in an order in which they can run; columns are those of :data:`COLUMNS`. Lines that start
with ``#`` are comments. ``layers/README.md`` beside this file says how to write one, and ``layers/*.csv``
ship.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from nasbench_imc.errors import LayerListError, unknown
from nasbench_imc.files import replacing
from nasbench_imc.networks import Layer, Network

COLUMNS = ("name", "kind", "fan_in", "outputs", "pixels", "groups", "input_elements", "inputs")
_NUMBERS = COLUMNS[2:7]
_KINDS = ("mvm", "matmul", "vector")
_INPUT = "input"  # stands for the network's input among a layer's inputs
_LARGEST = 10**12


@dataclass(frozen=True, slots=True)
class LayerList:
    """A network whose layers have names.

    Attributes
    ----------
    names : tuple of str
    network : Network
    """

    names: tuple[str, ...]
    network: Network


def shipped_layer_lists() -> tuple[str, ...]:
    """Names of the layer lists that ship, sorted."""
    folder = files(__package__).joinpath("layers")
    return tuple(sorted(path.name[:-4] for path in folder.iterdir() if path.name.endswith(".csv")))


def load_layers(source: str | Path) -> LayerList:
    """Read a layer list: a file, or the name of one that ships.

    Raises
    ------
    LayerListError
        If a row is not valid; the message names the file and the line.
    UnknownNameError
        If it is neither a file nor the name of a shipped list.
    """
    path = Path(source)
    if path.is_file():
        content = path.read_bytes()
    elif str(source) in shipped_layer_lists():
        content = files(__package__).joinpath("layers", f"{source}.csv").read_bytes()
    else:
        raise unknown("layer list (neither a file nor a name that ships)", str(source), shipped_layer_lists())
    try:
        return parse_layers(content.decode("utf-8-sig"), str(source))
    except UnicodeDecodeError as error:
        raise LayerListError(f"{source}: {error}") from None


def parse_layers(text: str, source: str = "layers") -> LayerList:
    """Read a layer list from the text of a CSV file.

    Parameters
    ----------
    text : str
    source : str
        What errors call the file.

    Raises
    ------
    LayerListError
        As for :func:`load_layers`.
    """
    header: list[str] | None = None
    names: list[str] = []
    layers: list[Layer] = []
    producers: list[tuple[int, ...]] = []
    input_elements = 0
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip() or content.lstrip().startswith("#"):
            continue
        place = f"{source}, line {line}"
        try:
            cells = [cell.strip() for cell in next(csv.reader([content], strict=True))]
        except csv.Error as error:
            raise LayerListError(f"{place}: {error}") from None
        if header is None:
            header = _header(cells, place)
            continue
        if len(cells) != len(header):
            raise LayerListError(f"{place}: {len(cells)} cells, but the header has {len(header)} columns")
        row = dict(zip(header, cells, strict=True))
        name = row["name"]
        if not name or name == _INPUT or ";" in name or name in names:
            raise LayerListError(
                f"{place}: name {name!r} must be given once, not be {_INPUT!r}, and have no ';'"
            )
        sources = _sources(row.get("inputs", ""), names, place)
        layer = _layer(row, place)
        if not sources:
            input_elements = max(input_elements, layer.input_elements)
        names.append(name)
        layers.append(layer)
        producers.append(sources)
    if not layers:
        raise LayerListError(f"{source}: no layers; the columns are {', '.join(COLUMNS)}")
    return LayerList(tuple(names), Network(tuple(layers), tuple(producers), input_elements))


def _header(cells: Sequence[str], place: str) -> list[str]:
    for cell in cells:
        if cell not in COLUMNS:
            raise LayerListError(f"{place}: {unknown('column', cell, COLUMNS, show=len(COLUMNS))}")
        if cells.count(cell) > 1:
            raise LayerListError(f"{place}: column {cell!r} stands twice")
    optional = ("groups", "inputs")
    missing = [name for name in COLUMNS if name not in cells and name not in optional]
    if missing:
        raise LayerListError(f"{place}: columns are missing: {', '.join(missing)}")
    return list(cells)


def _layer(row: dict[str, str], place: str) -> Layer:
    kind = row["kind"]
    if kind not in _KINDS:
        raise LayerListError(f"{place}: {unknown('kind', kind, _KINDS)}")
    values = {}
    for name in _NUMBERS:
        text = row.get(name, "") or ("1" if name == "groups" else "")
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LARGEST):
            raise LayerListError(f"{place}: {name} must be an integer from 1 to {_LARGEST:.0e}, not {text!r}")
        values[name] = int(text)
    try:
        return Layer(kind, **values)  # type: ignore[arg-type]
    except ValueError as error:
        raise LayerListError(f"{place}: {error}") from None


def _sources(text: str, names: Sequence[str], place: str) -> tuple[int, ...]:
    """Producers that a cell of ``inputs`` names: by default the layer above, or the network's input."""
    if not text:
        return (len(names) - 1,) if names else ()
    sources = []
    for name in (part.strip() for part in text.split(";")):
        if name == _INPUT:
            continue
        if name not in names:
            valid = [_INPUT, *names]
            raise LayerListError(f"{place}: {unknown('layer above among inputs', name, valid)}")
        sources.append(names.index(name))
    return tuple(sources)


def write_layers(path: Path, layers: LayerList, comment: Sequence[str] = ()) -> None:
    """Write a layer list, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
    layers : LayerList
    comment : sequence of str
        Lines to stand above, without their ``#``.
    """
    out = io.StringIO()
    for line in comment:
        out.write(f"# {line}\n")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for name, layer, sources in zip(
        layers.names, layers.network.layers, layers.network.producers, strict=True
    ):
        inputs = ";".join(layers.names[j] for j in sources) or _INPUT
        table.writerow([name, layer.kind, *(getattr(layer, field) for field in _NUMBERS), inputs])
    with replacing(path) as temporary:
        temporary.write_text(out.getvalue(), encoding="utf-8")
