"""Files of arrays and checkpoints: equal bytes, and no damage unseen."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_imc.building import archive
from nasbench_imc.building.checkpoint import Checkpoint
from nasbench_imc.errors import BenchmarkError

ARRAYS = {
    "state/a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "about": np.array('{"seed": 0}'),
    "empty": np.zeros((0, 3), dtype=np.uint8),
}
ABOUT = {"seed": 1, "recipe": {"epochs": 3, "betas": (0.9, 0.999)}, "torch": "2.4"}


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back_and_equal_ones_have_equal_bytes(tmp_path, compressed):
    one, two = tmp_path / "new" / "1.npz", tmp_path / "2.npz"
    for path in (one, two):
        archive.write(path, ARRAYS, measured={"seconds": [1.5]}, compressed=compressed)
    read = archive.read(one)
    assert list(read) == [*ARRAYS, "measured/seconds"]
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)
    assert one.read_bytes() == two.read_bytes()
    # No time stamps: a zip archive's zero is 1980.
    assert {member.date_time for member in zipfile.ZipFile(one).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_measured_values_stand_last_and_alone_differ(tmp_path):
    paths = [tmp_path / "1.npz", tmp_path / "2.npz", tmp_path / "3.npz"]
    for k, path in enumerate(paths[:2]):
        archive.write(path, ARRAYS, measured={"seconds": [float(k)], "processor": np.array("x" * (k + 1))})
    archive.write(paths[2], ARRAYS | {"about": np.array("another")})
    first, second, third = (archive.digest(path) for path in paths)
    assert first == second != third
    # All bytes before the measured members are the same.
    with zipfile.ZipFile(paths[0]) as opened:
        begin = min(m.header_offset for m in opened.infolist() if m.filename.startswith("measured/"))
        assert begin > max(
            m.header_offset for m in opened.infolist() if not m.filename.startswith("measured/")
        )
    assert paths[0].read_bytes()[:begin] == paths[1].read_bytes()[:begin]


def test_pickles_are_neither_written_nor_read(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(ValueError, match="allow_pickle"):
        archive.write(path, {"object": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []
    np.savez(path, np.array([{}], dtype=object))
    with pytest.raises(BenchmarkError, match="damaged or no archive"):
        archive.read(path)


def test_a_file_that_may_not_grow_leaves_nothing(tmp_path):
    script = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from nasbench_imc.building import archive\n"
        "noise = np.random.default_rng(0).random(100_000)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    archive.write(Path(sys.argv[1]), {'noise': noise})\n"
        "except OSError as error:\n"
        "    print('refused:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.npz")], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("refused:"), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Checkpoint:
    checkpoint = Checkpoint(tmp_path_factory.mktemp("kept") / "a.checkpoint", ABOUT)
    checkpoint.save({"weight": np.arange(20.0)})
    return checkpoint


def test_a_checkpoint_is_kept_replaced_and_removed(tmp_path):
    checkpoint = Checkpoint(tmp_path / "folder" / "a.checkpoint", ABOUT)
    assert checkpoint.load() is None
    for value in (1.0, 2.0):
        checkpoint.save({"weight": np.array([value])})
        state = checkpoint.load()
        assert list(state) == ["weight"]
        assert state["weight"] == [value]
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.load() is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "seed: 1, now 2"),
        ({"recipe": {"epochs": 4, "betas": (0.9, 0.999)}}, "recipe: .*'epochs': 3.*now .*'epochs': 4"),
        ({"torch": "2.5"}, "torch: '2.4', now '2.5'"),
        ({"images": "abc"}, "images: None, now 'abc'"),
    ],
)
def test_a_checkpoint_of_another_job_is_refused(kept, change, named):
    with pytest.raises(BenchmarkError, match=f"another job.*{named}.*delete it"):
        Checkpoint(kept.path, ABOUT | change).load()
    assert kept.load() is not None


def test_an_archive_that_is_no_checkpoint_is_refused(tmp_path):
    archive.write(tmp_path / "a.checkpoint", {"weight": np.zeros(3)})
    with pytest.raises(BenchmarkError, match=r"checkpoint .* is damaged; delete it"):
        Checkpoint(tmp_path / "a.checkpoint", ABOUT).load()


@settings(max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255), cut=st.booleans())
def test_no_damage_is_taken_for_a_state(kept, place, bits, cut):
    """A flipped byte or a missing end is refused, or sits where nothing is read."""
    content = bytearray(kept.path.read_bytes())
    index = int(place * len(content))
    if cut:
        del content[index:]
    else:
        content[index] ^= bits
    damaged = Checkpoint(kept.path.with_suffix(".damaged"), ABOUT)
    damaged.path.write_bytes(content)
    try:
        state = damaged.load()
    except BenchmarkError:
        return
    assert not cut
    assert list(state) == ["weight"]
    assert np.array_equal(state["weight"], np.arange(20.0))
