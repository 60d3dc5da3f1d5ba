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
        assert record.keys() == KEYS
        assert record["published_tops_per_w"] == (float(row["tops_per_w"]) if row["tops_per_w"] else None)
        if record["skipped_because"] is None:
            assert record["predicted_tops_per_w"] > 0
            assert record["predicted_tops_per_mm2"] > 0
        else:
            assert record["predicted_tops_per_w"] is record["predicted_tops_per_mm2"] is None
    assert "check half: 11 chips" in shown.err
    assert "check half, one vote a row: 17 rows" in shown.err


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


def test_details_add_to_the_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, SHIPPED, "--json", "--details") == 0
    for record in json.loads(capsys.readouterr().out):
        assert record.keys() > KEYS
        low, high = record["predicted_tops_per_w_low"], record["predicted_tops_per_w_high"]
        if record["skipped_because"] is None:
            assert low <= record["predicted_tops_per_w"] <= high
            assert isinstance(record["assumptions"], list)
    assert run(monkeypatch, SHIPPED, "--details") == 2


HOSTILE_NUMBERS = ("nan", "-1", "0", "inf", "1e308", "1e-308", "", " 5 ", "many", "1e400")
HOSTILE_NOTES = ("T_core_ns=0", f"T_core_ns={'9' * 300}", "0b/cycle", "input_bits*weight_bits product 0")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("kind", "adc_bits"), [("AIMC", "6"), ("DIMC", "")])
def test_hostile_values_end_in_a_list_and_no_warning(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    kind: str,
    adc_bits: str,
) -> None:
    usual = {
        "name": "A",
        "type": kind,
        "device": "SRAM",
        "node_nm": "28",
        "rows": "64",
        "cols": "256",
        "cell_bits": "",
        "weight_bits": "4",
        "input_bits": "4",
        "adc_bits": adc_bits,
        "supply_v": "0.9",
        "freq_mhz": "100",
        "tops_per_w": "20",
        "tops_per_mm2": "1",
        "tops_per_w_1b": "320",
        "notes": "",
    }
    numbers = [name for name in usual if name not in ("name", "type", "device", "notes")]
    rows = [usual | {name: value} for name in numbers for value in HOSTILE_NUMBERS]
    rows += [usual | {"tops_per_w_1b": "", "notes": note} for note in HOSTILE_NOTES]
    path = tmp_path / "macros.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(usual))
        table.writeheader()
        table.writerows(rows)
    assert run(monkeypatch, path, "--json") == 0
    records = json.loads(capsys.readouterr().out)
    assert len(records) == len(rows)
    for record in records:
        assert (record["predicted_tops_per_w"] is None) == (record["skipped_because"] is not None)
    assert run(monkeypatch, path) == 0
    shown = capsys.readouterr().out
    assert "tops_per_w is 1e+308" in shown
    assert "tops_per_w is 'many'" in shown
