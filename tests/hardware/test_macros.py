"""Files of macros: what they may lack, and what is an error."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_imc.errors import MacroFileError
from nasbench_imc.hardware.macros import Macro, parse_number, read_macros, shipped_macros
from nasbench_imc.hardware.silicon import compare

HEADER = "name,type,device,node_nm,rows,cols,weight_bits,input_bits,adc_bits,supply_v,tops_per_w"
LINE = "one,AIMC,SRAM,28,64,64,4,4,6,0.9,50"


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_one(path: Path, *lines: str) -> Macro:
    (macro,) = read_macros(written(path, *lines))
    return macro


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("28", {"nm": 1.0}, 28.0),
        (" 28 NM ", {"nm": 1.0}, 28.0),
        ("900mV", {"v": 1.0, "mv": 1e-3}, 0.9),
        ("1e3", {}, 1000.0),
        (".5", {}, 0.5),
        ("0.1 µm2", {"um2": 1e-6}, 1e-7),
    ],
)
def test_numbers_with_units(text: str, unit: dict[str, float], value: float) -> None:
    assert parse_number(text, unit) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", " ", "n/a", "NaN", "-", "unknown"])
def test_missing_numbers(text: str) -> None:
    value = parse_number(text, {})
    assert value is not None
    assert math.isnan(value)


@pytest.mark.parametrize("text", ["0.6-1.0", "twelve", "28 parsec", "1,5", "1e999", "28nm FinFET"])
def test_what_is_not_a_number_is_not_guessed(text: str) -> None:
    assert parse_number(text, {"nm": 1.0}) is None


def test_units_order_case_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    plain = read_one(tmp_path / "a.csv", HEADER, LINE)
    other = read_one(
        tmp_path / "b.csv",
        "\ufeffTOPS_per_W, Cols ,rows,fab,node_nm,device,type,name,input_bits,weight_bits,adc_bits,supply_v",
        "50 TOPS/W,64,64,X,28nm,SRAM,aimc,one,4b,4 bits,6,900 mV",
    )
    for field in ("node_nm", "rows", "columns", "supply_v", "tops_per_w", "kind", "weight_bits", "adc_bits"):
        assert getattr(other, field) == pytest.approx(getattr(plain, field)), field
    assert compare([other])[0].tops_per_w == compare([plain])[0].tops_per_w


def test_line_ends_and_quoted_breaks_are_those_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    quoted = LINE.replace("one", '"one, \u2028of ""two""\r\nlines"')
    path.write_bytes(f"{HEADER}\r\n\r\n{quoted}\r\n{LINE}".encode())
    first, second = read_macros(path)
    assert first.name == 'one, \u2028of "two"\r\nlines'
    assert first.tops_per_w == second.tops_per_w == 50.0


def test_a_short_row_lacks_its_last_fields(tmp_path: Path) -> None:
    macro = read_one(tmp_path / "a.csv", HEADER, "one,AIMC,SRAM,28,64,64,4,4")
    assert math.isnan(macro.adc_bits)
    assert not compare([macro])[0].skipped_because


def test_notes_are_read(tmp_path: Path) -> None:
    notes = "2b/cycle; dot-product N=16; T_core_ns=5.5; 37.5% toggle, 50% weight sparsity; 1b serial input"
    macro = read_one(tmp_path / "a.csv", HEADER + ",notes", f'{LINE},"{notes}"')
    assert (macro.dot_product, macro.cycle_ns, macro.toggle, macro.sparsity) == (16, 5.5, 0.375, 0.5)
    assert (macro.bits_a_cycle, macro.serial, macro.phases) == (2, True, 1)
    plain = read_one(tmp_path / "b.csv", HEADER, LINE)
    assert math.isnan(plain.dot_product)
    assert not plain.serial


def test_current_domain_is_not_redistribution(tmp_path: Path) -> None:
    for model, expected in [("IS", True), ("QS", True), ("QR", False), ("QS-QR", False), ("DIMC", False)]:
        notes = f"compute model {model} (QS charge-sharing/QR charge-redistribution/IS current-summing)"
        macro = read_one(tmp_path / f"{model}.csv", HEADER + ",notes", f"{LINE},{notes}")
        assert macro.current_domain is expected, model


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (HEADER.encode(), "no macros"),
        (b"name,device,rows,cols\na,SRAM,1,1\n", "lacks node_nm"),
        (HEADER.replace(",", ";").encode(), "semicolons"),
        (f"{HEADER},rows\n{LINE},1\n".encode(), "names rows more than once"),
        (f"{HEADER}\n{LINE},1,2,3\n".encode(), "line 2: 14 fields"),
        (b"\xff\xfe\x00n", "UTF-8"),
        (f'{HEADER}\n"open quote,{LINE}\n'.encode(), "not a CSV file"),
        (f"{HEADER}\na\0b\n".encode(), "NUL"),
    ],
)
def test_a_malformed_file_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(MacroFileError, match=message) as error:
        read_macros(path)
    assert str(path) in str(error.value)


FIELDS = st.one_of(
    st.sampled_from(["", "nan", "0", "-1", "1e30", "1e-30", "28", "0.9", "0.6-1.0", "SRAM", "RRAM", "AIMC"]),
    st.floats(allow_nan=False).map(str),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters='",'), max_size=6),
)


@given(fields=st.lists(FIELDS, min_size=11, max_size=11))
def test_any_row_is_predicted_or_skipped_with_a_reason(fields: list[str]) -> None:
    from nasbench_imc.hardware.macros import _macro

    item = compare([_macro(dict(zip(HEADER.split(","), fields, strict=True)), 1)])[0]
    if item.skipped_because:
        assert math.isnan(item.tops_per_w)
    else:
        assert 0 < item.tops_per_w < math.inf
        assert 0 < item.tops_per_mm2 < math.inf


def test_every_shipped_macro_has_a_source_and_a_half() -> None:
    macros = shipped_macros()
    assert len(macros) == 87
    assert all(macro.half in {"calibration", "check", "none"} for macro in macros)
    assert all((macro.half == "none") == macro.simulated for macro in macros)
    assert not any(macro.problems for macro in macros)
