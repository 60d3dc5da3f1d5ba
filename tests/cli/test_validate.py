"""``nasbench-imc validate``: tables for people, a list for programs, one line for an error."""

from __future__ import annotations

import csv
import json
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from nasbench_imc import cli

SHIPPED = Path(str(files("nasbench_imc.hardware").joinpath("silicon_macros.csv")))
KEYS = {
    "name",
    "published_tops_per_w",
    "predicted_tops_per_w",
    "published_tops_per_mm2",
    "predicted_tops_per_mm2",
    "skipped_because",
}


def run(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    monkeypatch.setattr(sys, "argv", ["nasbench-imc", "validate", *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_json_is_a_list_with_one_object_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, SHIPPED, "--json") == 0
    shown = capsys.readouterr()
    records = json.loads(shown.out)
    rows = list(csv.DictReader(SHIPPED.read_text(encoding="utf-8").splitlines()))
    assert [record["name"] for record in records] == [row["name"] for row in rows]
    for record, row in zip(records, rows, strict=True):
        assert record.keys() >= KEYS
        assert record["published_tops_per_w"] == (float(row["tops_per_w"]) if row["tops_per_w"] else None)
        if record["skipped_because"] is None:
            assert record["predicted_tops_per_w"] > 0
            assert record["predicted_tops_per_mm2"] > 0
        else:
            assert record["predicted_tops_per_w"] is record["predicted_tops_per_mm2"] is None
    assert "check half: 11 chips" in shown.err


def test_table_shows_ratios_reasons_and_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "IBM HERMES project chip 64 cores (1-phase)" in shown
    assert "device 'eDRAM' has no model" in shown
    assert "within 1.5x" in shown
    assert "within 3x" in shown


def test_file_with_nothing_to_compare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "macros.csv"
    path.write_text("name,device,node_nm,rows,cols\na,MRAM,22,64,64\nb,SRAM,,64,64\n", encoding="utf-8")
    assert run(monkeypatch, path, "--json") == 0
    records = json.loads(capsys.readouterr().out)
    assert "no model" in records[0]["skipped_because"]
    assert records[1]["skipped_because"] == "node_nm not given"
    assert run(monkeypatch, path) == 0
    assert "no rows" in capsys.readouterr().out


def test_malformed_file_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "macros.csv"
    path.write_text("name,device\na,SRAM\n", encoding="utf-8")
    assert run(monkeypatch, path) == 1
    error = capsys.readouterr().err
    assert error.startswith("nasbench-imc: error: ")
    assert error.count("\n") == 1
    assert "lacks node_nm, rows, cols" in error
