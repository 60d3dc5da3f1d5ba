"""``nasbench-imc cost``: spaces and layer lists on chips, as a user calls it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nasbench_imc.hardware import METRICS
from nasbench_imc.hardware.chip import load_chip
from nasbench_imc.hardware.layer_lists import load_layers
from nasbench_imc.spaces import Hybrid

Cost = Callable[..., Any]


@pytest.fixture
def cost(call: Callable[..., Any]) -> Cost:
    """``nasbench-imc cost``, in this process."""
    return partial(call, "cost")


def test_a_space_on_a_chip(cost: Cost, tmp_path: Path) -> None:
    out, chart = tmp_path / "hybrid.csv", tmp_path / "hybrid.png"
    done = cost("--chip", "edge-pcm", "--space", "hybrid", "--json", "--out", out, "--chart", chart)
    assert done.status == 0, done.err
    shown = json.loads(done.out)
    assert shown["networks"] == 1728
    assert shown["chip"] == "edge-pcm"
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["arch"] for row in rows] == list(Hybrid().architectures)
    assert set(rows[0]) == {
        "arch",
        *METRICS,
        "programming_time",
        "reload_rounds",
        "reload_energy",
        "lifetime",
    }
    energies = [float(row["energy"]) for row in rows]
    assert shown["costs"]["energy"]["min"] == min(energies)
    assert shown["costs"]["energy"]["max"] == max(energies)
    expected = load_chip("edge-pcm").costs([Hybrid().network(rows[5]["arch"])])
    assert energies[5] == pytest.approx(expected["energy"][0])
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert len(chart.read_bytes()) > 10_000


def test_sparsity_and_weight_bits(cost: Cost) -> None:
    def memory(*options: object) -> float:
        done = cost("--chip", "pcm-r256-adc8-mux4", "--space", "hybrid", "--json", *options)
        value = json.loads(done.out)["costs"]["weight_memory"]["max"]
        assert isinstance(value, float)
        return value

    whole = memory()
    assert memory("--weight-bits", 4) == whole / 2
    assert memory("--sparsity", 0.5) < whole


def test_one_network_with_its_layers(cost: Cost, tmp_path: Path) -> None:
    out = tmp_path / "layers.csv"
    done = cost("--chip", "sram-digital-r128", "--layers", "resnet18", "--json", "--out", out)
    assert done.status == 0, done.err
    shown = json.loads(done.out)
    layers = load_layers("resnet18")
    assert [row["name"] for row in shown["by_layer"]] == list(layers.names)
    for part in ("array", "accumulation", "buffer", "attention"):
        total = sum(row[f"energy_{part}"] for row in shown["by_layer"])
        assert total == pytest.approx(shown["costs"][f"energy_{part}"]), part
    assert sum(row["arrays"] for row in shown["by_layer"]) == shown["costs"]["arrays"]
    assert shown["costs"]["lifetime"] is None  # nothing is reloaded
    assert set(shown["costs"]) <= set(shown["units"])
    with out.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(layers.names)


def test_own_files_in_text(cost: Cost, tmp_path: Path) -> None:
    chip, layers = tmp_path / "own.toml", tmp_path / "net.csv"
    chip.write_text(
        'name = "own"\nfamily = "pcm"\n[array]\nrows = 100\ncolumns = 60\n'
        "[adc]\nbits = 7\ncolumns_per_adc = 3\n",
        encoding="utf-8",
    )
    layers.write_text(
        "name,kind,fan_in,outputs,pixels,input_elements\nfc,mvm,250,70,1,250\n", encoding="utf-8"
    )
    done = cost("--chip", chip, "--layers", layers)
    assert done.status == 0, done.err
    # 250 rows in blocks of 100, 70 outputs in blocks of 30: 9 arrays
    assert "\narrays               count         9\n" in done.out
    assert "network net" in done.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--chip", "edge-pcm"), "name either --space or --layers"),
        (("--chip", "edge-pcm", "--space", "hybrid", "--layers", "resnet18"), "name either"),
        (("--chip", "edge-pcm", "--space", "nb201", "--sparsity", "0.5"), "--sparsity is for"),
        (("--chip", "edge-pcm", "--space", "hybrid", "--sparsity", "nan"), "nan is no number"),
        (("--chip", "edge-pcm", "--layers", "resnet18", "--out", "no/such/x.csv"), "no folder no/such"),
        (("--chip", "edge-pcm", "--layers", "resnet18", "--chart", "no/such/x.png"), "no folder no/such"),
        (("--chip", "nothing", "--space", "hybrid"), "unknown chip"),
        (("--chip", "edge-pcm", "--layers", "nothing"), "unknown layer list"),
    ],
)
def test_errors_are_one_line(cost: Cost, args: tuple[str, ...], message: str) -> None:
    done = cost(*args)
    assert done.status in (1, 2)
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_chart_of_an_unknown_kind_leaves_no_file(cost: Cost, tmp_path: Path) -> None:
    done = cost("--chip", "edge-pcm", "--layers", "bert_tiny", "--chart", tmp_path / "c.xyz")
    assert done.status == 1
    assert "xyz" in done.err
    assert not list(tmp_path.iterdir())


def test_thousands_of_digits_are_refused(cost: Cost, tmp_path: Path) -> None:
    layers = tmp_path / "net.csv"
    layers.write_text(
        f"name,kind,fan_in,outputs,pixels,input_elements\nfc,mvm,{'9' * 5000},7,1,250\n", encoding="utf-8"
    )
    done = cost("--chip", "edge-pcm", "--layers", layers)
    assert done.status == 1
    assert done.err.startswith(f"nasbench-imc: error: {layers}: ")
    assert done.err.count("\n") == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("row", ["pool,vector,9,16,4,1,144", "scores,matmul,9,16,4,1,144"])
def test_a_network_without_weights(cost: Cost, tmp_path: Path, row: str) -> None:
    layers = tmp_path / "net.csv"
    layers.write_text(f"name,kind,fan_in,outputs,pixels,groups,input_elements\n{row}\n", encoding="utf-8")
    done = cost("--chip", "edge-pcm", "--layers", layers, "--json")
    assert done.status == 0, done.err
    costs = json.loads(done.out)["costs"]
    assert costs["weight_memory"] == costs["energy_array"] == 0
    assert costs["energy"] > 0
