"""What the shipped table holds: complete, described, plausible, and as published."""

import pickle
from importlib import metadata
from itertools import pairwise
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from nasbench_imc.hardware.metrics import DERIVED, PRIMARY
from nasbench_imc.spaces import NB201
from nasbench_imc.tables import files, layout

KEYS = {"architectures", "class_of", "representatives", "times", "accuracy_classes"}
UNITS = {
    "%",
    "uJ",
    "us",
    "inferences/s",
    "mm2",
    "mW",
    "KiB",
    "MAC",
    "count",
    "uJ*us",
    "uJ*us*mm2",
    "TOPS/W",
    "TOPS/mm2",
}
ALL_SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"

#: Metric -> bounds that no network of 0.07 to 1.5 M weights should leave on any configuration.
PLAUSIBLE = {
    "energy": (0.1, 2_000),  # uJ
    "latency": (1, 1e6),  # us
    "throughput": (1, 1e6),
    "area": (0.05, 1_000),  # mm2
    "utilisation": (0.1, 100),
    "arrays": (1, 1e5),
    "leakage_power": (1e-3, 1e3),  # mW
    "programming_energy": (1e-3, 1e5),
    "weight_memory": (70, 1_600),  # KiB
    "activation_memory": (16, 256),
    "macs": (7.78e6, 220.2e6),
    "tops_per_w": (0.1, 200),
    "tops_per_mm2": (1e-3, 20),
}


@pytest.fixture(scope="module")
def datasets():
    """Path -> (values, attributes) of every dataset in the file."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = (item[:], dict(item.attrs))

    with h5py.File(files.find("nb201").path) as file:
        file.visititems(visit)
    return found


def is_key(path):
    return path in KEYS or path.startswith("hardware/")


def test_every_dataset_is_described(datasets):
    assert all(attributes["description"] for _, attributes in datasets.values())


def test_every_quantity_has_unit_direction_and_axes(datasets):
    quantities = {path: both for path, both in datasets.items() if not is_key(path)}
    assert len(quantities) == len(PRIMARY) + 21 + 2
    for path, (values, attributes) in quantities.items():
        assert attributes["unit"] in UNITS, path
        assert attributes["direction"] in {"minimise", "maximise", "none"}, path
        assert len(attributes["axes"].split()) == values.ndim, path
        assert values.dtype == np.float32, path


def test_numbers_of_a_configuration_have_units(datasets):
    for path, (values, attributes) in datasets.items():
        if path.startswith("hardware/") and path != "hardware/accuracy_class_index":
            assert ("unit" in attributes) == (values.dtype.kind in "iuf"), path


def test_axes_are_as_long_as_what_they_name(datasets):
    lengths = {"architecture": 15_625, "class": 5_425, "hardware": 76, "accuracy_class": 2, "time": 5}
    for path, (values, attributes) in datasets.items():
        if "axes" in attributes:
            assert values.shape == tuple(lengths[axis] for axis in attributes["axes"].split()), path


def test_nothing_is_missing(datasets):
    for path, (values, _) in datasets.items():
        if values.dtype.kind == "f":
            assert np.isfinite(values).all(), path


def test_every_chunk_has_a_checksum():
    with h5py.File(files.find("nb201").path) as file:
        found = []
        file.visititems(
            lambda name, item: found.append(item.fletcher32) if isinstance(item, h5py.Dataset) else None
        )
    assert len(found) > 50
    assert all(found)


def test_root_names_versions_sources_and_licences(bench):
    assert set(layout.ROOT_ATTRIBUTES) <= set(bench.attributes)
    assert bench.attributes["schema"] == layout.SCHEMA
    assert "2506.18495" in bench.attributes["sources"]["accuracy"]
    assert "Apache-2.0" in bench.attributes["licences"]["accuracy"]
    assert set(bench.attributes["libraries"]) == {"numpy", "h5py", "hdf5"}


def test_table_is_small(bench):
    release = files.releases()["nb201"]
    assert release.bytes < 35e6
    assert (release.sha256, release.version) == (bench.sha256, bench.version)
    assert bench.official


def test_architectures_are_the_space(bench):
    assert bench.architectures == NB201().architectures == bench.space.architectures


def test_classes_are_those_of_the_space(bench):
    numbers = {}
    for code in bench.architectures:
        assert numbers.setdefault(bench.space.canonical_form(code), bench.canonical(code)) == bench.canonical(
            code
        )
    assert len(set(numbers.values())) == bench.distinct_networks == 5_425


def test_the_name_of_a_class_stands_for_itself(bench):
    for code in bench.architectures[::97]:
        assert bench.canonical(bench.canonical(code)) == bench.canonical(code)


def test_metrics_have_units_and_descriptions(bench):
    assert set(bench.metrics) >= {"accuracy", *PRIMARY, *DERIVED}
    for name, metric in bench.metrics.items():
        assert metric.name == name
        assert metric.unit in UNITS, name
        assert metric.description, name
    assert bench.units["energy"] == "uJ"


def test_stored_metrics_are_described_as_the_cost_model_describes_them(bench):
    for name, metric in PRIMARY.items():
        assert bench.metrics[name] == metric


@pytest.mark.parametrize("metric", PLAUSIBLE)
def test_costs_are_plausible(bench, metric):
    values = bench.array(metric)
    low, high = PLAUSIBLE[metric]
    assert low <= values.min()
    assert values.max() <= high
    assert values.min() < values.max()


def test_every_cost_is_positive_or_a_component_that_may_be_absent(bench):
    for name in PRIMARY:
        values = bench.array(name)
        assert values.min() >= 0, name
        if not name.startswith(("energy_", "area_")):
            assert values.min() > 0, name


@pytest.mark.parametrize("total", ["energy", "area"])
def test_components_add_up(bench, total):
    parts = [name for name in PRIMARY if name.startswith(f"{total}_")]
    assert len(parts) >= 7
    archs = bench.architectures[::11]
    values = bench.array(parts, archs)
    np.testing.assert_allclose(values.sum(axis=-1, dtype=float), bench.array(total, archs), rtol=1e-5)


def test_accuracies_are_percentages_above_guessing(bench):
    means = [name for name in bench.metrics if name.startswith("accuracy_") and "_spread" not in name]
    assert len(means) == 13
    for name in means:
        values = bench.array(name)
        assert 7.5 < values.min() < 10.5, name  # below 10: noise on a network that guesses
        assert 60 < values.max() < 95, name


def test_spreads_are_small(bench):
    spreads = [name for name in bench.metrics if name.endswith("_spread")]
    assert len(spreads) == 8
    for name in spreads:
        values = bench.array(name)
        assert values.min() >= 0, name
        assert 0 < np.median(values) < 5, name
        assert values.max() < 20, name


def test_identical_cells_cost_the_same(bench):
    costs = bench.array(list(PRIMARY), hardware="rram-sliced-r64-adc8-mux16")
    first = [bench.architectures.index(bench.canonical(code)) for code in bench.architectures[::53]]
    np.testing.assert_array_equal(costs[::53], costs[first])


def test_drift_lowers_accuracy_on_average(bench):
    means = [bench.array("accuracy", hardware="pcm-r512-adc8-mux4", at=time).mean() for time in bench.times]
    assert bench.times == ("t0", "60s", "1h", "1d", "30d")
    assert all(later < earlier for earlier, later in pairwise(means))


def test_sram_does_not_drift(bench):
    first = bench.array("accuracy", hardware="sram-digital-r64", at="t0")
    np.testing.assert_array_equal(first, bench.array("accuracy", hardware="sram-digital-r256", at="30d"))


def test_a_published_anomaly_stays(bench):
    row = [bench.architectures.index(ALL_SKIP)]
    assert bench.array("accuracy_pcm_hwa_t0", [ALL_SKIP]) == np.float32(57.49)
    assert bench.array("accuracy_pcm_hwa_60s")[row] == np.float32(87.4944)


def test_score_label_is_the_mean_over_identical_cells(bench):
    published = bench.array("accuracy_pcm_hwa_1d").astype(float)
    groups = {}
    for code, value in zip(bench.architectures, published, strict=True):
        groups.setdefault(bench.canonical(code), []).append(value)
    names = list(groups)
    labels = bench.array("accuracy", names, "pcm-r512-adc8-mux4")
    assert labels == pytest.approx([np.mean(groups[name]) for name in names], rel=1e-6)


def test_label_noise_is_the_median_spread_of_identical_cells(bench):
    published = bench.array("accuracy_pcm_hwa_1h").astype(float)
    groups = {}
    for code, value in zip(bench.architectures, published, strict=True):
        groups.setdefault(bench.canonical(code), []).append(value)
    spread = np.median([np.std(group, ddof=1) for group in groups.values() if len(group) > 1])
    assert bench.label_noise("pcm-r512-adc8-mux4", "1h") == pytest.approx(spread, rel=1e-4)


def test_hardware_frame_has_every_configuration(bench):
    frame = bench.hardware
    assert frame.index.name == "id"
    assert tuple(frame.index) == bench.hardware_ids
    assert len(frame) == 76
    assert frame.index.is_unique
    assert set(frame.columns[frame.isna().any()]) == {
        "adc_area",
        "adc_bits",
        "adc_energy",
        "adc_time",
        "attention_arrays",
        "attention_columns",
        "attention_rows",
        "columns_per_adc",
        "tiles",
    }
    assert frame.loc["pcm-r256-adc8-mux4", ["family", "rows", "adc_bits", "columns_per_adc"]].tolist() == [
        "pcm",
        256,
        8,
        4,
    ]


def test_accuracy_exists_on_digital_sram_and_one_pcm_configuration(bench):
    assert bench.accuracy_hardware() == [
        "sram-digital-r64",
        "sram-digital-r128",
        "sram-digital-r256",
        "pcm-r512-adc8-mux4",
    ]


class AnyRecord(pickle.Unpickler):
    """Makes a plain object of whatever class a pickle names."""

    def find_class(self, module_name, global_name):
        return SimpleNamespace


def published_by_code():
    """The wheel's records by NAS-Bench-201 string, decoded here without the package's reader."""
    try:
        distribution = metadata.distribution("analog-nasbench")
    except metadata.PackageNotFoundError:
        pytest.skip("analog-nasbench is not installed")
    with distribution.locate_file("analognasbench/data.anb").open("rb") as file:
        records = AnyRecord(file).load()
    names = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
    found = {}
    for key, record in records.items():
        op01, op02, op03, op12, op13, op23 = (names[k] for k in key)
        found[f"|{op01}~0|+|{op02}~0|{op12}~1|+|{op03}~0|{op13}~1|{op23}~2|"] = record
    return found


def test_published_columns_equal_the_source(bench):
    records = published_by_code()
    assert set(records) == set(bench.architectures)
    in_order = [records[code] for code in bench.architectures]
    attributes = {
        "accuracy_digital": "baseline_accuracy",
        "accuracy_ptq_int8": "ptq_accuracy",
        "accuracy_qat_int8": "qat_accuracy",
        "accuracy_pcm_direct_t0": "noisy_accuracy",
        "accuracy_pcm_hwa_t0": "analog_accuracy",
    }
    for column, attribute in attributes.items():
        values = np.array([getattr(record, attribute) for record in in_order], dtype=np.float32)
        np.testing.assert_array_equal(bench.array(column), values, err_msg=column)
    seconds = {"60s": 60, "1h": 3600, "1d": 86400, "30d": 2592000}
    for ours, theirs in {"direct": "baseline", "hwa": "analog"}.items():
        for time, elapsed in seconds.items():
            drifted = [getattr(record, f"{theirs}_drift_{elapsed}") for record in in_order]
            column = f"accuracy_pcm_{ours}_{time}"
            value = np.array([entry.value for entry in drifted], dtype=np.float32)
            spread = np.array([entry.uncertainty for entry in drifted], dtype=np.float32)
            np.testing.assert_array_equal(bench.array(column), value, err_msg=column)
            np.testing.assert_array_equal(bench.array(f"{column}_spread"), spread, err_msg=column)
