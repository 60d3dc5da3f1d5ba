"""The datasheet states facts of the shipped table; they must stay true when it is rebuilt."""

import re
from pathlib import Path

import numpy as np
import pytest

DATASHEET = (Path(__file__).parents[2] / "datasets" / "nb201.md").read_text(encoding="utf-8")


def test_datasheet_states_the_number_of_distinct_values_of_every_metric(bench):
    stated = {
        name: (unit, int(count.replace(",", "")))
        for name, unit, count in re.findall(r"^\| (\w+) \| (\S+) \| ([\d,]+) \|$", DATASHEET, re.MULTILINE)
    }
    costs = [name for name in bench.metrics if not name.startswith("accuracy")]
    assert stated == {name: (bench.units[name], len(np.unique(bench.array(name)))) for name in costs}


def test_datasheet_states_the_version_and_the_label_noise(bench):
    assert f"Version {bench.version}." in DATASHEET
    noise = [f"{bench.label_noise('pcm-r512-adc8-mux4', at):.2f}" for at in bench.times]
    assert ", ".join(noise) in DATASHEET
    assert f"{bench.label_noise('sram-digital-r128'):.2f} (SRAM-digital)" in DATASHEET


@pytest.mark.parametrize(
    ("column", "before", "points", "count"),
    [
        ("accuracy_ptq_int8", "accuracy_digital", 10, 212),
        ("accuracy_qat_int8", "accuracy_digital", 10, 193),
        ("accuracy_pcm_hwa_t0", "accuracy_digital", 20, 147),
    ],
)
def test_datasheet_counts_the_cells_whose_training_failed(bench, column, before, points, count):
    lost = bench.array(before) - bench.array(column)
    assert (lost > points).sum() == count
    assert f"{count} cells" in DATASHEET or f"in {count} (" in DATASHEET
