"""Croissant metadata: valid, of this very table, and up to date with it."""

import json
import logging
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from nasbench_imc import cli
from nasbench_imc.building import hybrid
from nasbench_imc.building.croissant import SECTIONS, croissant, write_croissant
from nasbench_imc.errors import BenchmarkError, TableError
from nasbench_imc.tables.files import file_sha256, find, releases

REPOSITORY = Path(__file__).parents[2]
DATASETS, CITATION = REPOSITORY / "datasets", REPOSITORY / "CITATION.cff"
SHIPPED = {name: DATASETS / f"{name}.croissant.json" for name in releases()}


@pytest.fixture(scope="module")
def pilot_table(pilot, tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "hybrid.h5"
    return hybrid.pack(pilot, path, log=lambda message: None)


@pytest.fixture
def validated(caplog):
    """Reads a file by MLCommons' own reader, which raises where it is not valid; returns it and warnings."""
    mlcroissant = pytest.importorskip("mlcroissant")

    def read(path):
        with caplog.at_level(logging.WARNING):
            dataset = mlcroissant.Dataset(str(path))
        return dataset.metadata, dataset.metadata.ctx.issues.warnings

    return read


def fields(metadata):
    return {field.uuid: field for record_set in metadata.record_sets for field in record_set.fields}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_file_is_what_the_command_writes_now(name, tmp_path, monkeypatch):
    again = tmp_path / "again.json"
    monkeypatch.setattr(sys, "argv", ["nasbench-imc", "build", "croissant", name, "--out", str(again)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert again.read_bytes() == SHIPPED[name].read_bytes(), f"run: nasbench-imc build croissant {name}"


@pytest.mark.parametrize("name", SHIPPED)
def test_hash_size_and_version_are_those_of_the_table_and_of_the_manifest(name):
    held = json.loads(SHIPPED[name].read_text(encoding="utf-8"))
    (file,) = held["distribution"]
    release, table = releases()[name], DATASETS / f"{name}.h5"
    assert file["sha256"] == release.sha256 == file_sha256(table)
    assert file["contentSize"] == f"{release.bytes} B" == f"{table.stat().st_size} B"
    assert held["version"] == release.version
    assert (DATASETS / file["contentUrl"]).samefile(table)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_file_is_valid(name, validated):
    metadata, warnings = validated(SHIPPED[name])
    (warning,) = warnings  # what a release will bring; nothing else may be amiss
    assert "datePublished" in warning
    assert metadata.license == ["https://spdx.org/licenses/Apache-2.0"]
    assert [creator.name for creator in metadata.creators] == ["The NAS-Bench-IMC authors"]


@pytest.mark.parametrize("which", ["nb201", "pilot", "inheriting"])
def test_every_dataset_is_a_field_with_its_shape_type_unit_and_axes(which, validated, tmp_path, request):
    tables = {"nb201": lambda: find("nb201").path, "pilot": lambda: request.getfixturevalue("pilot_table")}
    tables["inheriting"] = lambda: request.getfixturevalue("inheriting") / "hybrid.h5"
    table = tables[which]()
    metadata, _ = validated(write_croissant(table, CITATION, None, tmp_path / "made.json"))
    found = fields(metadata)
    with h5py.File(table) as file:
        held = {}
        file.visititems(
            lambda path, item: held.update({path: item}) if isinstance(item, h5py.Dataset) else None
        )
        assert {field.name.lstrip("/") for field in found.values()} == set(held)
        for path, dataset in held.items():
            field = found[path if "/" in path else f"root/{path}"]
            assert field.array_shape_tuple == dataset.shape
            expected = bytes if dataset.dtype.kind == "S" else dataset.dtype.type
            assert np.dtype(field.data_type) == np.dtype(expected)
            stated = {each.name: each.value for each in field.annotations}
            assert stated == {k: v for k, v in dataset.attrs.items() if k != "description"}
            assert field.description.startswith(dataset.attrs["description"])


def test_what_was_not_measured_is_counted(pilot_table, bench):
    gaps = croissant(pilot_table, CITATION)["rai:dataCollectionMissingData"]
    # Seven networks, three seeds: seeds 1 and 2 of five networks are missing.
    assert "score/accuracy_digital (10 of 21 values)" in gaps
    assert "cost/" not in gaps
    assert json.loads(SHIPPED["nb201"].read_text())["rai:dataCollectionMissingData"] == "No value is missing."
    assert not any(np.isnan(bench.array(name)).any() for name in bench.metrics if name != "accuracy")


def test_the_datasheet_is_quoted_and_its_headings_exist():
    quoted = json.loads(SHIPPED["nb201"].read_text(encoding="utf-8"))
    datasheets = [(DATASETS / name).read_text(encoding="utf-8") for name in ("nb201.md", "hybrid.md")]
    assert set(SECTIONS) <= set(quoted)
    assert quoted["rai:dataUseCases"][0].split(". ", 1)[1] in datasheets[0]
    for heading in (heading for headings in SECTIONS.values() for heading in headings):
        assert any(f"# {heading}\n" in text for text in datasheets), heading
    page = croissant(find("nb201").path, CITATION, DATASETS / "hybrid.md")
    assert page["rai:dataCollection"].count("\n\n") >= 2  # three sections, and Croissant allows one text


def test_a_release_brings_address_date_and_people(tmp_path, pilot_table, validated):
    citation = tmp_path / "CITATION.cff"
    citation.write_text(
        "title: A benchmark\nurl: https://example.org/b\ndate-released: 2027-01-31\n"
        "authors:\n- given-names: Ada\n  family-names: Lovelace\n- name: A group\n"
    )
    metadata, warnings = validated(write_croissant(pilot_table, citation, None, tmp_path / "made.json"))
    assert not warnings
    assert (metadata.url, str(metadata.date_published.date())) == ("https://example.org/b", "2027-01-31")
    assert [creator.name for creator in metadata.creators] == ["Ada Lovelace", "A group"]
    assert "author = {{Ada Lovelace} and {A group}}, year = {2027}" in metadata.cite_as
    assert metadata.version == f"{hybrid.VERSION}-pilot"


def test_what_cannot_be_read_is_named(tmp_path, pilot_table):
    empty = tmp_path / "empty.h5"
    with h5py.File(empty, "w") as file:
        file["x"] = 1
    with pytest.raises(TableError, match=r"empty\.h5 is not a table"):
        croissant(empty, CITATION)
    with pytest.raises(TableError, match=r"CITATION\.cff is missing, damaged or not an HDF5 file"):
        croissant(CITATION, CITATION)
    with pytest.raises(BenchmarkError, match=r"nothing\.md cannot be read"):
        croissant(pilot_table, CITATION, tmp_path / "nothing.md")
    with pytest.raises(BenchmarkError, match=r"cannot be read as CITATION\.cff"):
        croissant(pilot_table, tmp_path / "nothing.cff")
    (tmp_path / "half.cff").write_text("title: A benchmark\n")
    with pytest.raises(BenchmarkError, match="lacks authors"):
        croissant(pilot_table, tmp_path / "half.cff")
