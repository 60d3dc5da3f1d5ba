"""Finding and verifying a table's file: damaged, missing, replaced, or of another version."""

import os
import random
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

import nasbench_imc as nbi
from nasbench_imc import Design, TableError, UnknownNameError
from nasbench_imc.tables import files, layout

SHIPPED = files.find("nb201").path


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A copy of the table that NASBENCH_IMC_DATA points to."""
    monkeypatch.setenv(files.DATA_VARIABLE, str(tmp_path))
    return shutil.copy(SHIPPED, tmp_path / "nb201.h5")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A copy of the table in the place where an installed package has it."""
    package = tmp_path / "site-packages" / "nasbench_imc"
    (package / "data").mkdir(parents=True)
    files.releases()  # read before the package seems to lie elsewhere
    monkeypatch.delenv(files.DATA_VARIABLE, raising=False)
    monkeypatch.setattr(files.resources, "files", lambda name: package)
    return shutil.copy(SHIPPED, package / "data" / "nb201.h5")


def flip(path, position, bit=0):
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1 << bit]))


def chunk_middle(dataset_path):
    """Position in the file of a byte in the middle of a dataset's compressed values."""
    with h5py.File(SHIPPED) as file:
        chunk = file[dataset_path].id.get_chunk_info(0)
    return chunk.byte_offset + chunk.size // 2


def read_everything(bench):
    """Every column is read whole, and compared in some of its rows."""
    archs = bench.architectures[::16]
    values = [bench.array(name, archs) for name in bench.metrics if name != "accuracy"]
    accuracy = bench.array("accuracy", archs, bench.accuracy_hardware())
    return [*values, accuracy, np.array(bench.hardware.to_csv())]


# ---- the shipped table --------------------------------------------------------------------------------


def test_the_shipped_table_is_official(monkeypatch):
    monkeypatch.delenv(files.DATA_VARIABLE, raising=False)
    found = files.find("nb201")
    assert found.official
    assert found.sha256 == files.file_sha256(found.path) == files.releases()["nb201"].sha256


def test_an_installed_table_is_found_in_the_package(installed):
    found = files.find("nb201")
    assert (found.path, found.official) == (installed, True)


def test_a_flipped_bit_gives_the_hashes(installed):
    flip(installed, installed.stat().st_size // 2)
    with pytest.raises(TableError, match="SHA-256") as caught:
        nbi.load("nb201")
    assert files.file_sha256(installed) in str(caught.value)
    assert files.releases()["nb201"].sha256 in str(caught.value)
    assert "reinstall" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 1_000_000])
def test_a_truncated_table_gives_the_sizes(installed, keep):
    os.truncate(installed, keep)
    with pytest.raises(TableError, match=rf"has {keep:,} bytes where .* truncated"):
        nbi.load("nb201")


def test_a_longer_file_is_refused(installed):
    with installed.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(TableError, match="of another version"):
        nbi.load("nb201")


def test_a_text_file_is_refused(installed):
    installed.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(TableError, match="reinstall"):
        nbi.load("nb201")


def test_a_missing_table_names_the_place_and_the_remedy(installed):
    installed.unlink()
    with pytest.raises(TableError) as caught:
        nbi.load("nb201")
    assert str(installed) in str(caught.value)
    assert files.DATA_VARIABLE in str(caught.value)


def test_an_unknown_table_names_the_known():
    with pytest.raises(UnknownNameError, match="'hybrid', 'nb201'"):
        nbi.load("cifar")


# ---- a table of one's own -----------------------------------------------------------------------------


def test_a_copy_of_the_release_is_official(own):
    bench = nbi.load("nb201")
    assert bench.official
    assert bench._path == own


def test_an_altered_table_loads_and_is_not_official(own):
    with h5py.File(own, "r+") as file:
        file["cost/energy"][0, 0] = 12.5
    bench = nbi.load("nb201")
    assert not bench.official
    assert bench.sha256 == files.file_sha256(own)
    assert bench.array("energy", bench.architectures[:1], bench.hardware_ids[0]) == 12.5


def test_the_variable_may_be_empty(monkeypatch):
    monkeypatch.setenv(files.DATA_VARIABLE, "")
    assert nbi.load("nb201").official


def test_the_variable_points_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv(files.DATA_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(TableError) as caught:
        nbi.load("nb201")
    assert str(tmp_path / "none" / "nb201.h5") in str(caught.value)
    assert files.DATA_VARIABLE in str(caught.value)


def test_a_folder_in_place_of_the_table(own):
    own.unlink()
    own.mkdir()
    with pytest.raises(TableError, match="there is no"):
        nbi.load("nb201")


@pytest.mark.parametrize(
    "content", [b"", b"arch,energy\n", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(4096)]
)
def test_another_kind_of_file_is_refused(own, content):
    own.write_bytes(content)
    with pytest.raises(TableError, match="damaged or not a table"):
        nbi.load("nb201")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_table_of_ones_own(own, share):
    os.truncate(own, int(own.stat().st_size * share))
    with pytest.raises(TableError, match="damaged or not a table"):
        nbi.load("nb201")


@pytest.mark.parametrize("schema", [0, 2, 99])
def test_another_schema_is_refused(own, schema):
    with h5py.File(own, "r+") as file:
        file.attrs["schema"] = schema
    with pytest.raises(TableError, match=f"has schema {schema}, this version reads schema {layout.SCHEMA}"):
        nbi.load("nb201")


def test_a_schema_that_is_no_number_is_refused(own):
    with h5py.File(own, "r+") as file:
        file.attrs["schema"] = "first"
    with pytest.raises(TableError):
        nbi.load("nb201")


@pytest.mark.parametrize("name", layout.ROOT_ATTRIBUTES)
def test_a_missing_root_attribute_is_named(own, name):
    with h5py.File(own, "r+") as file:
        del file.attrs[name]
    with pytest.raises(TableError, match=f"lacks the attributes .*'{name}'"):
        nbi.load("nb201")


def test_an_hdf5_file_of_something_else_is_refused(own):
    with h5py.File(own, "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(TableError, match="lacks the attributes"):
        nbi.load("nb201")


@pytest.mark.parametrize("name", ["architectures", "class_of", "hardware/id", "cost", "published"])
def test_a_missing_dataset_is_refused(own, name):
    with h5py.File(own, "r+") as file:
        del file[name]
    with pytest.raises(TableError, match="damaged or not a table"):
        nbi.load("nb201")


def test_a_table_of_another_space_is_refused(own):
    with h5py.File(own, "r+") as file:
        file.attrs["space"] = "darts"
    with pytest.raises(TableError, match="another space"):
        nbi.load("nb201")


def test_a_flipped_byte_of_a_column_gives_an_error_and_no_numbers(own):
    flip(own, chunk_middle("cost/energy"))
    bench = nbi.load("nb201")
    assert not bench.official
    with pytest.raises(TableError, match="energy is damaged"):
        bench.array("energy")
    with pytest.raises(TableError, match="energy is damaged"):
        bench.query(Design(bench.architectures[0], bench.hardware_ids[0]))["edp"]
    assert bench.array("latency").min() > 0  # other columns are whole


@pytest.mark.parametrize("name", ["score/accuracy", "search/noise_sd"])
def test_a_flipped_byte_of_the_labels_gives_an_error(own, name):
    flip(own, chunk_middle(name))
    bench = nbi.load("nb201")
    with pytest.raises(TableError, match="damaged"):
        bench.array("accuracy", hardware="sram-digital-r64", labels="search", seed=0)


@pytest.mark.parametrize("name", ["architectures", "class_of", "times", "hardware/id"])
def test_a_flipped_byte_of_a_key_gives_an_error(own, name):
    flip(own, chunk_middle(name))
    with pytest.raises(TableError, match="damaged"):
        nbi.load("nb201")


def test_flipped_bits_anywhere_give_the_right_numbers_or_an_error(own):
    """Half of them in the first 60 kB, where most of the file's structure lies."""
    rng = random.Random(0)
    expected = read_everything(nbi.load("nb201"))
    refused = 0
    for trial in range(40):
        position, bit = rng.randrange(60_000 if trial % 2 else own.stat().st_size), rng.randrange(8)
        flip(own, position, bit)
        try:
            read = read_everything(nbi.load("nb201"))
        except TableError:
            refused += 1
        else:
            assert len(read) == len(expected)
            assert all(np.array_equal(a, b) for a, b in zip(read, expected, strict=True)), (position, bit)
        flip(own, position, bit)  # back
    assert refused > 10


def test_a_table_that_changes_after_loading_is_refused(own):
    bench = nbi.load("nb201")
    before = bench.array("energy")
    with h5py.File(own, "r+") as file:
        file["cost/latency"][0, 0] = 0.0
    os.utime(own, ns=(0, 0))
    with pytest.raises(TableError, match="has changed since it was loaded"):
        bench.array("latency")
    np.testing.assert_array_equal(bench.array("energy"), before)  # what was read stays


def test_a_table_that_vanishes_after_loading_is_refused(own):
    bench = nbi.load("nb201")
    own.unlink()
    with pytest.raises(TableError, match="has changed since it was loaded"):
        bench.array("latency")


def test_reading_leaves_the_file_closed(own):
    bench = nbi.load("nb201")
    bench.array("energy")
    open_files = os.listdir("/proc/self/fd")
    assert not any(os.path.realpath(f"/proc/self/fd/{number}") == str(own) for number in open_files)


# ---- what loading costs -------------------------------------------------------------------------------


def test_a_query_imports_neither_pandas_nor_scipy_nor_torch():
    script = (
        "import sys, nasbench_imc as nbi\n"
        "bench = nbi.load('nb201')\n"
        "m = bench.query(nbi.Design(bench.architectures[0], 'pcm-r512-adc8-mux4'))\n"
        "assert m['energy'] > 0 and m['accuracy'] > 0 and bench.array('edp').size\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "h5py" in imported
    assert not imported & {"pandas", "scipy", "torch", "matplotlib", "moocore", "click", "analognasbench"}


def test_the_package_names_what_it_exports():
    assert set(nbi.__all__) <= set(dir(nbi))
    for name in nbi.__all__:
        assert getattr(nbi, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        nbi.laod  # noqa: B018
