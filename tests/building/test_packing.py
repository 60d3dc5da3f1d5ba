"""Packing: statistics of classes, files that are the same each time, and the shipped table is not stale."""

import errno
import json
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np
import pytest

from nasbench_imc.building import hybrid, nb201, packing
from nasbench_imc.building.nb201 import canonical_classes, class_means, identical_cell_sd
from nasbench_imc.building.packing import Dataset, update_manifest, write_table
from nasbench_imc.building.training_log import read_log
from nasbench_imc.hardware import grid
from nasbench_imc.hardware.metrics import PRIMARY
from nasbench_imc.spaces import NB201
from nasbench_imc.tables import files

RAW = Path(__file__).parents[2] / "datasets" / "raw"
DATASETS = (
    Dataset(
        "cost/energy",
        np.arange(600, dtype=np.float32).reshape(30, 20),
        "energy",
        "uJ",
        "minimise",
        "class hardware",
    ),
    Dataset("times", np.array(["t0", "1d"], dtype="S"), "times"),
)


def write(path, datasets=DATASETS):
    return write_table(path, datasets, space="nb201", version="9", sources={"a": "b"}, licences={"a": "c"})


def contents(path):
    """Path -> (values, attributes) of every dataset, and the root's attributes under ''."""
    with h5py.File(path) as file:
        found = {"": (np.array(0), dict(file.attrs))}
        file.visititems(
            lambda name, item: (
                found.update({name: (item[:], dict(item.attrs))}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


# ---- statistics over classes --------------------------------------------------------------------------


def test_class_means():
    values = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    assert class_means(values, np.array([0, 1, 0, 1, 2])).tolist() == [2.0, 3.0, 10.0]


def test_identical_cell_sd_is_the_median_over_classes_of_several():
    # Sample SDs: class 0 (1, 3) sqrt 2; class 1 (2, 2, 2) 0; class 2 alone; class 3 (0, 3, 6) 3.
    values = np.array([1.0, 2.0, 3.0, 2.0, 99.0, 2.0, 0.0, 3.0, 6.0])
    class_of = np.array([0, 1, 0, 1, 2, 1, 3, 3, 3])
    assert identical_cell_sd(values, class_of) == pytest.approx(np.sqrt(2))


def test_identical_cell_sd_of_two_classes_is_their_middle():
    values = np.array([0.0, 2.0, 10.0, 14.0])
    assert identical_cell_sd(values, np.array([0, 0, 1, 1])) == pytest.approx((np.sqrt(2) + np.sqrt(8)) / 2)


def test_classes_are_numbered_by_their_first_member():
    class_of, first = canonical_classes(NB201())
    assert class_of.shape == (15_625,)
    assert len(first) == class_of.max() + 1 == 5_425
    assert (np.diff(first) > 0).all()
    assert (class_of[first] == np.arange(5_425)).all()
    assert first[class_of[0]] == 0


def test_a_cost_that_is_not_finite_is_refused():
    costs = {name: np.ones((3, 2)) for name in PRIMARY}
    costs["latency"][1, 1] = np.nan
    with pytest.raises(ValueError, match="latency that is not finite"):
        packing.cost_datasets(costs, "class hardware")


def test_costs_that_no_hardware_changes_are_stored_once_a_class():
    costs = {name: np.ones((3, 2)) for name in PRIMARY}
    made = {d.path: d for d in packing.cost_datasets(costs, "class hardware")}
    assert (made["cost/macs"].values.shape, made["cost/macs"].axes) == ((3,), "class")
    assert (made["cost/energy"].values.shape, made["cost/energy"].axes) == ((3, 2), "class hardware")


def test_hardware_datasets_store_none_as_minus_one():
    times = [["1d"]] * len(grid())
    made = {d.path: d.values for d in packing.hardware_datasets(grid(), list(nb201.ACCURACY_COLUMNS), times)}
    assert made["hardware/tiles"].tolist() == [-1] * len(grid())
    digital = made["hardware/family"] == b"sram-digital"
    assert (made["hardware/adc_bits"][digital] <= 0).all()
    assert (made["hardware/accuracy_class_index"] >= 0).sum() == 4


# ---- writing ------------------------------------------------------------------------------------------


def test_writing_twice_gives_the_same_bytes(tmp_path):
    first = write(tmp_path / "a.h5")
    time.sleep(1.1)  # HDF5 keeps times in whole seconds
    assert first.read_bytes() == write(tmp_path / "b.h5").read_bytes()


def test_a_written_table_holds_what_it_was_given(tmp_path):
    found = contents(write(tmp_path / "deep" / "folder" / "a.h5"))
    values, attributes = found["cost/energy"]
    np.testing.assert_array_equal(values, DATASETS[0].values)
    assert attributes == {
        "unit": "uJ",
        "direction": "minimise",
        "axes": "class hardware",
        "description": "energy",
    }
    assert found["times"][1] == {"description": "times"}
    assert json.loads(found[""][1]["sources"]) == {"a": "b"}
    assert found[""][1]["version"] == "9"


def test_an_error_while_writing_leaves_nothing(tmp_path):
    bad = (*DATASETS, Dataset("x", np.array([object()]), "no numbers"))
    with pytest.raises(TypeError):
        write(tmp_path / "a.h5", bad)
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_writing_leaves_the_old_table(tmp_path):
    old = write(tmp_path / "a.h5").read_bytes()

    def broken():
        yield DATASETS[0]
        raise RuntimeError("costing failed")

    with pytest.raises(RuntimeError, match="costing failed"):
        write(tmp_path / "a.h5", broken())
    assert (tmp_path / "a.h5").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(h5py.File, "create_dataset", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_grow_leaves_nothing(tmp_path):
    """The system itself refuses to write on, as on a full disk."""
    script = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from nasbench_imc.building.packing import Dataset, write_table\n"
        "noise = np.random.default_rng(0).random(200_000)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    datasets = [Dataset('cost/x', noise, 'noise')]\n"
        "    write_table(Path(sys.argv[1]), datasets, space='a', version='9', sources={}, licences={})\n"
        "except (OSError, RuntimeError) as error:\n"
        "    print('refused:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.h5")], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("refused:"), done.stderr
    assert done.returncode == 0  # HDF5 itself would crash when it is unloaded
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_records_a_table(tmp_path):
    table, manifest = write(tmp_path / "t.h5"), tmp_path / "manifest.json"
    release = update_manifest(manifest, "one", table, "9")
    update_manifest(manifest, "two", table, "8")
    entries = json.loads(manifest.read_text())
    assert set(entries) == {"one", "two"}
    assert entries["one"] == {
        "file": "t.h5",
        "version": "9",
        "sha256": files.file_sha256(table),
        "bytes": table.stat().st_size,
    }
    assert files.Release(**entries["one"]) == release


def test_the_generator_commit_is_unknown_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert packing._commit() == "unknown"


# ---- the shipped table --------------------------------------------------------------------------------


def assert_as_shipped(name, packed):
    fresh, shipped = contents(packed), contents(files.find(name).path)
    assert set(fresh) == set(shipped)
    for path, (values, attributes) in fresh.items():
        before, before_attributes = shipped[path]
        np.testing.assert_array_equal(values, before, err_msg=path)
        assert values.dtype == before.dtype, path
        for name in ("generator_commit", "libraries"):
            attributes.pop(name, None), before_attributes.pop(name, None)
        assert attributes == before_attributes, path


def test_the_shipped_table_is_what_the_code_packs(tmp_path):
    try:
        metadata.distribution("analog-nasbench")
    except metadata.PackageNotFoundError:
        pytest.skip("analog-nasbench is not installed")
    told = []
    packed = nb201.pack(tmp_path / "fresh.h5", log=told.append)
    assert len(told) == 3
    assert_as_shipped("nb201", packed)


def test_the_shipped_hybrid_table_is_what_the_code_packs(tmp_path):
    packed = hybrid.pack(
        RAW / "evaluation",
        tmp_path / "fresh.h5",
        runs=read_log(RAW / "training" / "runs.jsonl.gz"),
        proxies=RAW / "proxies.npz",
        clock=RAW / "clock.npz",
        release=True,
        log=lambda message: None,
    )
    assert_as_shipped("hybrid", packed)
