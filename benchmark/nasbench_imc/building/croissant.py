"""Croissant metadata of a table: what MLCommons' vocabulary can say of an HDF5 file.

All of it is read from the table, CITATION.cff and the table's datasheet, so that nothing is stated twice.
Croissant 1.1 (https://mlcommons.org/croissant/1.1) has no way to extract values from HDF5: the file is
described with its hash, and its groups as record sets of one record each, whose fields are whole datasets.
Readers that know Croissant alone learn what there is; values are read by :func:`nasbench_imc.load` or h5py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from nasbench_imc.errors import BenchmarkError, TableError
from nasbench_imc.files import replacing
from nasbench_imc.tables.files import file_sha256
from nasbench_imc.tables.layout import ROOT_ATTRIBUTES

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")

#: Sections of a datasheet, by heading, that a Responsible-AI property quotes.
SECTIONS = {
    "rai:dataCollection": ("Where the accuracies come from", "Data", "Training", "Accuracy on hardware"),
    "rai:dataPreprocessingProtocol": ("Reading the keys", "Canonical classes", "Compression"),
    "rai:dataLimitations": ("What looks wrong in the published data", "Known limits"),
    "rai:dataUseCases": ("What it is for, and what not",),
}

#: Properties that Croissant allows once.
_ONE = ("rai:dataCollection",)

_GROUPS = {
    "": "Keys: codes of the architectures, and the names of the other axes.",
    "cell": "Declared cells: compression, accuracy class and time of each column of accuracies.",
    "compression": "How weights are compressed.",
    "cost": "Hardware metrics by the cost model.",
    "hardware": "The IMC configurations: one value each in every field.",
    "proxy": "Zero-cost proxies of the untrained networks.",
    "proxy_seconds": "What each proxy took.",
    "published": "Accuracies as published elsewhere.",
    "score": "Score labels: what a recommendation is scored on.",
    "search": "Search labels: what a search sees.",
    "training": "How each network was trained, by training seed.",
}

# As the specification recommends; readers warn where one of these is missing.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "annotation": "cr:annotation",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_croissant(table: Path, citation: Path, datasheet: Path | None, out: Path) -> Path:
    """Write the metadata as JSON-LD; the same table, citation and datasheet give the same bytes.

    Parameters
    ----------
    table : pathlib.Path
        A table file.
    citation : pathlib.Path
        CITATION.cff.
    datasheet : pathlib.Path or None
        Markdown whose :data:`SECTIONS` are quoted.
    out : pathlib.Path
        The file to write; it appears whole or not at all.

    Raises
    ------
    BenchmarkError
        As :func:`croissant`.
    """
    text = json.dumps(croissant(table, citation, datasheet), indent=1, ensure_ascii=False, allow_nan=False)
    with replacing(out) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return out


def croissant(table: Path, citation: Path, datasheet: Path | None = None) -> dict[str, Any]:
    """The metadata of a table; parameters as in :func:`write_croissant`.

    ``url`` and ``datePublished``, which Croissant asks for, are there where CITATION.cff has a ``url`` (or
    ``repository-code``) and a ``date-released``.

    Raises
    ------
    TableError
        Where the file is not a table.
    BenchmarkError
        Where CITATION.cff or the datasheet cannot be read.
    """
    cited, sections = _citation(citation), _sections(datasheet)
    try:
        with h5py.File(table, "r") as file:
            missing = [name for name in ROOT_ATTRIBUTES if name not in file.attrs]
            if missing:
                raise TableError(f"{table} is not a table of nasbench-imc: it lacks the attributes {missing}")
            attributes = dict(file.attrs)
            datasets = dict(_datasets(file))
            shapes = {path: dataset.shape for path, dataset in datasets.items()}
            record_sets = _record_sets(datasets, table.name)
            gaps = _gaps(datasets)
    except OSError as error:
        raise TableError(f"{table} is missing, damaged or not an HDF5 file ({error})") from error
    space, version = str(attributes["space"]), str(attributes["version"])
    sources, licences = (json.loads(attributes[name]) for name in ("sources", "licences"))
    name = f"nasbench-imc-{space}"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "conformsTo": list(CONFORMS_TO),
        "description": _description(space, shapes, len(record_sets)),
        "version": version,
        "license": sorted({_licence(text) for text in licences.values()}),
        **({"url": url} if (url := cited.get("url") or cited.get("repository-code")) else {}),
        **({"datePublished": str(cited["date-released"])} if "date-released" in cited else {}),
        "creator": [_creator(author) for author in cited["authors"]],
        "citeAs": _bibtex(name, version, cited),
        "keywords": [
            "neural architecture search",
            "in-memory computing",
            "hardware-aware",
            "benchmark",
            "CIFAR-10",
        ],
        "isLiveDataset": False,
        "isBasedOn": [
            {
                "@type": "sc:CreativeWork",
                "name": part,
                "description": text,
                **({"license": licences[part]} if part in licences else {}),
            }
            for part, text in sources.items()
        ],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": table.name,
                "name": table.name,
                "description": f"HDF5, written by {attributes['generator']}, "
                f"generator commit {attributes['generator_commit']}.",
                "contentUrl": table.name,
                "contentSize": f"{table.stat().st_size} B",
                "encodingFormat": "application/x-hdf5",
                "sha256": file_sha256(table),
            }
        ],
        "recordSet": record_sets,
        **{name: texts for name in SECTIONS if (texts := _quoted(sections, name))},
        "rai:dataCollectionMissingData": gaps,
        "rai:personalSensitiveInformation": [
            "None: a table holds codes of networks, accuracies and hardware costs, no images and no people."
        ],
        "rai:dataReleaseMaintenancePlan": "A released version's SHA-256 is in the package's manifest.json, "
        "and every score names the version. Below version 1.0 costs may change with the cost model.",
    }


def _datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """All datasets by their path, those of the root first."""
    found: list[tuple[str, h5py.Dataset]] = []
    file.visititems(lambda path, item: found.append((path, item)) if isinstance(item, h5py.Dataset) else None)
    yield from sorted(found, key=lambda each: (each[0].rpartition("/")[0], each[0]))


def _record_sets(datasets: Mapping[str, h5py.Dataset], file: str) -> list[dict[str, Any]]:
    """A record set for each group."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, dataset in datasets.items():
        groups.setdefault(path.rpartition("/")[0], []).append(_field(path, dataset, file))
    return [
        {
            "@type": "cr:RecordSet",
            "@id": group or "root",
            "name": f"/{group}",
            "description": f"{_GROUPS.get(group, f'Group {group}.')} "
            "One record: each field is a whole dataset, and its name the path in the HDF5 file.",
            "field": fields,
        }
        for group, fields in groups.items()
    ]


def _field(path: str, dataset: h5py.Dataset, file: str) -> dict[str, Any]:
    """A dataset as a field; its unit, direction and axes are annotations."""
    attributes = {name: str(value) for name, value in dataset.attrs.items()}
    identity = path if "/" in path else f"root/{path}"
    described = attributes.get("description", "")
    return {
        "@type": "cr:Field",
        "@id": identity,
        "name": f"/{path}",
        "description": described + (f" [{attributes['unit']}]" if attributes.get("unit") else ""),
        "dataType": _data_type(dataset.dtype),
        "isArray": True,
        "arrayShape": ",".join(map(str, dataset.shape)),
        "source": {"fileObject": {"@id": file}},
        "annotation": [
            {
                "@type": "cr:Field",
                "@id": f"{identity}/{name}",
                "name": name,
                "dataType": "sc:Text",
                "value": attributes[name],
            }
            for name in ("unit", "direction", "axes")
            if name in attributes
        ],
    }


def _data_type(dtype: np.dtype[Any]) -> str:
    if dtype.kind in "SUO":
        return "sc:Text"
    if dtype.kind == "b":
        return "sc:Boolean"
    return {"f": "cr:Float", "i": "cr:Int", "u": "cr:UInt"}[dtype.kind] + str(8 * dtype.itemsize)


def _description(space: str, shapes: Mapping[str, tuple[int, ...]], groups: int) -> str:
    architectures, networks = shapes["architectures"][0], shapes["representatives"][0]
    distinct = "" if architectures == networks else f" ({networks:,} distinct networks)"
    costs = sum(path.startswith("cost/") for path in shapes)
    return (
        f"The table {space} of NAS-Bench-IMC, a benchmark for hardware-aware neural architecture search on "
        f"in-memory-computing hardware: accuracies of {architectures:,} architectures{distinct} and {costs} "
        f"metrics of their hardware costs on {shapes['hardware/id'][0]} IMC configurations. One HDF5 file; "
        f"its {groups} groups are described as record sets."
    )


def _gaps(datasets: Mapping[str, h5py.Dataset]) -> str:
    """Which datasets hold NaN, and how many values of how many."""
    counted = {
        path: int(np.isnan(dataset[:]).sum())
        for path, dataset in datasets.items()
        if dataset.dtype.kind == "f"
    }
    found = [
        f"{path} ({count:,} of {datasets[path].size:,} values)" for path, count in counted.items() if count
    ]
    return f"NaN stands for what was not measured: {', '.join(found)}." if found else "No value is missing."


def _licence(text: str) -> str:
    """A licence's address at SPDX where the text starts with one of its identifiers, else the text."""
    found = re.match(r"(Apache-2\.0|BSD-3-Clause|CC-BY-4\.0|CC0-1\.0|MIT)(?![\w.-])", text)
    return f"https://spdx.org/licenses/{found[1]}" if found else text


def _citation(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BenchmarkError(f"{path} cannot be read as CITATION.cff: {error}") from error
    missing = [key for key in ("title", "authors") if not isinstance(found, dict) or not found.get(key)]
    if missing:
        raise BenchmarkError(f"{path} lacks {', '.join(missing)}, which a CITATION.cff must have")
    return found


def _creator(author: Mapping[str, str]) -> dict[str, str]:
    """A person has family and given names, an organisation one name (CFF 1.2.0)."""
    if "family-names" in author:
        return {"@type": "sc:Person", "name": _author_name(author)}
    return {"@type": "sc:Organization", "name": _author_name(author)}


def _author_name(author: Mapping[str, str]) -> str:
    parts = [author[key] for key in ("given-names", "family-names", "name") if key in author]
    return " ".join(parts)


def _bibtex(key: str, version: str, cited: Mapping[str, Any]) -> str:
    authors = " and ".join(f"{{{_author_name(author)}}}" for author in cited["authors"])
    year = f", year = {{{str(cited['date-released'])[:4]}}}" if "date-released" in cited else ""
    return (
        f"@misc{{{key}, title = {{{cited['title']}}}, author = {{{authors}}}{year}, "
        f"note = {{Table version {version}}}}}"
    )


def _sections(datasheet: Path | None) -> dict[str, str]:
    """Text under each heading of a Markdown page."""
    if datasheet is None:
        return {}
    try:
        text = datasheet.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"the datasheet {datasheet} cannot be read: {error}") from error
    parts = re.split(r"^#{1,6} +(.+)$", text, flags=re.MULTILINE)
    return {heading.strip(): body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def _quoted(sections: Mapping[str, str], name: str) -> str | list[str]:
    """A property's sections, one text each; one text in all where only one is allowed."""
    texts = [f"{heading}. {sections[heading]}" for heading in SECTIONS[name] if sections.get(heading)]
    return "\n\n".join(texts) if name in _ONE else texts
