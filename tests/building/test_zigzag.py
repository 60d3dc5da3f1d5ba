"""The comparison with ZigZag: what is asked of it, and that the published page follows from its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_imc.building import zigzag, zigzag_study
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.hardware import layer_costs
from nasbench_imc.networks import Layer

RESULTS = Path(__file__).parents[2] / "results" / "validation"


@pytest.mark.parametrize(
    ("layer", "kernel", "stride"),
    [
        (Layer("mvm", 144, 32, 64, 1, 16 * 64), 3, 1),
        (Layer("mvm", 27, 16, 256, 1, 3072), 3, 2),
        (Layer("mvm", 9, 48, 16, 48, 48 * 64), 3, 2),
        (Layer("mvm", 16, 24, 64, 1, 16 * 64), 1, 1),
        (Layer("mvm", 16, 24, 16, 1, 16 * 64), 1, 2),
        (Layer("mvm", 56, 10, 1, 1, 56), 1, 1),
        (Layer("mvm", 147, 64, 112**2, 1, 3 * 224**2), 7, 2),
    ],
)
def test_kernels_are_found_again(layer: Layer, kernel: int, stride: int) -> None:
    assert zigzag.kernel_of(layer) == (kernel, stride)


def test_every_compared_layer_is_a_convolution() -> None:
    for layer in zigzag.layers_of(list(zigzag_study.networks().values())):
        kernel, stride = zigzag.kernel_of(layer)
        loops = zigzag._workload(layer)
        sizes = dict(zip(loops["loop_dims"], loops["loop_sizes"], strict=True))
        assert np.prod(loops["loop_sizes"]) == layer.macs
        assert sizes["FX"] == kernel
        assert sizes["OX"] ** 2 == layer.pixels
        assert (sizes["OX"] * stride) ** 2 * layer.fan_in * layer.groups // kernel**2 == layer.input_elements
    with pytest.raises(ValueError, match="no convolution"):
        zigzag.kernel_of(Layer("mvm", 5, 3, 7, 1, 11))


def test_at_least_200_pairs() -> None:
    configs = zigzag.configurations()
    assert len(zigzag_study.networks()) * len(configs) >= 200
    assert len({config.id for config in configs}) == len(configs)
    assert {config.family for config in configs} == {"sram-digital", "sram-analog"}


def test_published_pairs_are_those_of_the_measurements() -> None:
    pairs = pd.read_csv(RESULTS / zigzag_study.PAIRS_FILE)
    layers = pd.read_csv(RESULTS / zigzag_study.LAYERS_FILE)
    nets, configs = zigzag_study.networks(), zigzag.configurations()
    assert list(pairs["network"].unique()) == list(nets)
    assert set(layers["lpf_limit"]) == {zigzag.LPF_LIMIT}
    name, config = list(nets)[3], configs[7]
    total = 0.0
    for layer in nets[name].layers:
        if layer.kind == "mvm":
            same = layers["configuration"] == config.id
            for field in ("fan_in", "outputs", "pixels", "groups", "input_elements"):
                same &= layers[field] == getattr(layer, field)
            (row,) = layers[same].to_dict("records")
            total += sum(row[f"energy_{part}"] for part in zigzag_study.PARTS)
    (pair,) = pairs[(pairs["network"] == name) & (pairs["configuration"] == config.id)].to_dict("records")
    assert pair["zigzag_energy"] == pytest.approx(total * 1e-6, rel=1e-4)


def test_measurements_of_other_layers_are_refused(tmp_path: Path) -> None:
    frame = pd.read_csv(RESULTS / zigzag_study.LAYERS_FILE)
    frame.iloc[1:].to_csv(tmp_path / zigzag_study.LAYERS_FILE, index=False)
    with pytest.raises(ValueError, match="measure again"):
        zigzag_study.write_page(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [zigzag_study.LAYERS_FILE]


def test_the_page_is_written_from_measurements_alone(tmp_path: Path) -> None:
    (tmp_path / zigzag_study.LAYERS_FILE).write_bytes((RESULTS / zigzag_study.LAYERS_FILE).read_bytes())
    page = zigzag_study.write_page(tmp_path).read_text(encoding="utf-8")
    assert "228 pairs" in page
    assert "nan" not in page
    known = pd.read_csv(tmp_path / zigzag_study.KNOWN_FILE)
    assert len(known) == 4 * 76
    taus = pd.read_csv(tmp_path / zigzag_study.KNOWN_TAU_FILE)
    assert ((taus.drop(columns="network") > 0) & (taus.drop(columns="network") <= 1)).all().all()


def test_zigzag_on_one_layer() -> None:
    try:
        zigzag.require()
    except BenchmarkError as error:
        pytest.skip(str(error))
    # Fills a 64 x 8 macro in every cycle: both count the same gates, ours at half the activity.
    layer, config = Layer("mvm", 64, 8, 64, 1, 64 * 64), zigzag.configurations()[0]
    found, ours = zigzag.evaluate(layer, config), layer_costs([layer], [config])
    assert found.energy["array"] == pytest.approx(2 * ours.energy["array"][0, 0], rel=1e-6)
    assert found.energy["buffer"] == pytest.approx(ours.energy["buffer"][0, 0], rel=0.05)
    assert found.compute_latency == pytest.approx(ours.latency[0, 0], rel=0.2)


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    monkeypatch.setattr(metadata, "version", lambda _: "3.8.0")
    with pytest.raises(BenchmarkError, match=r"3\.9\.1 is needed, found 3\.8\.0"):
        zigzag.require()
