"""Two runs of one training job give the same bytes, be one of them killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building import archive, supernet, train_jobs  # noqa: E402
from nasbench_imc.building.checkpoint import Checkpoint  # noqa: E402
from nasbench_imc.building.cifar10 import Cifar10  # noqa: E402
from nasbench_imc.building.supernet import SharedRecipe  # noqa: E402
from nasbench_imc.building.train_jobs import Folders, SharedTrainJob, TrainJob  # noqa: E402
from nasbench_imc.building.training import Recipe  # noqa: E402
from nasbench_imc.errors import BenchmarkError  # noqa: E402


@pytest.fixture(scope="module")
def data(coloured) -> Cifar10:
    return Cifar10(coloured(192, 1), coloured(50, 2), coloured(50, 3), "generated")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, data):
    monkeypatch.setattr(train_jobs, "prepare", lambda *given: data)
    monkeypatch.setitem(train_jobs.RECIPES, "tiny", Recipe(epochs=2, batch=64))
    for sampling in ("uniform", "fair"):
        monkeypatch.setitem(
            train_jobs.SHARED_RECIPES, sampling, SharedRecipe(epochs=5, batch=64, sampling=sampling)
        )
    monkeypatch.setattr(supernet, "CHECKPOINT_EVERY", 2)


def shared(out: Path, recipe: str = "uniform", seed: int = 0) -> SharedTrainJob:
    return SharedTrainJob(seed, recipe, Folders(out, None, out))


def same(first: Path, second: Path) -> bool:
    """Whether two results agree in all bytes but the measured ones."""
    parts = []
    for path in (first, second):
        with zipfile.ZipFile(path) as opened:
            end = min(m.header_offset for m in opened.infolist() if m.filename.startswith("measured/"))
        parts.append(path.read_bytes()[:end])
    assert (parts[0] == parts[1]) == (archive.digest(first) == archive.digest(second))
    return parts[0] == parts[1]


class Killed(BaseException):
    """Stands in for the end of a process."""


def interrupt(job: SharedTrainJob, monkeypatch, saves: int) -> Path:
    """Stop a job in the epoch after so many states were kept; the checkpoint's path."""
    made = []
    epoch = supernet.SharedTraining.epoch
    keep = Checkpoint.save

    def save(self, state):
        keep(self, state)
        made.append(self.path)

    def stop(self):
        if len(made) == saves:
            raise Killed
        return epoch(self)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save)
        patch.setattr(supernet.SharedTraining, "epoch", stop)
        with pytest.raises(Killed):
            job.run()
    assert not job.path.exists()
    assert made[-1].exists()
    return made[-1]


def test_two_runs_of_a_training_job_differ_in_what_was_measured_alone(tmp_path):
    first, second, other = (
        TrainJob("m16x1-a24x1-c32x2", seed, "tiny", Folders(tmp_path / name, None, tmp_path))
        for name, seed in (("1", 0), ("2", 0), ("3", 1))
    )
    for job in (first, second, other):
        job.run()
    assert same(first.path, second.path)
    assert not same(first.path, other.path)
    arrays = archive.read(first.path)
    assert {name for name in arrays if name.startswith("measured/")} == {
        "measured/seconds",
        "measured/processor",
        "measured/device",
    }
    assert arrays["measured/seconds"].shape == (4,)
    assert (arrays["measured/seconds"] > 0).all()
    assert set(json.loads(str(arrays["about"]))) == {"code", "seed", "recipe", "pixels", "torch"}


@pytest.mark.parametrize("sampling", ["uniform", "fair"])
def test_a_super_network_goes_on_from_its_checkpoint_to_the_same_bytes(tmp_path, monkeypatch, sampling):
    whole, broken = shared(tmp_path / "whole", sampling), shared(tmp_path / "broken", sampling)
    whole.run()
    assert [path.name for path in whole.path.parent.iterdir()] == ["seed-0.npz"]
    interrupt(broken, monkeypatch, saves=1)
    interrupt(broken, monkeypatch, saves=1)  # goes on from epoch 2 and is stopped again after epoch 4
    epochs = []
    epoch = supernet.SharedTraining.epoch
    monkeypatch.setattr(supernet.SharedTraining, "epoch", lambda self: epochs.append(0) or epoch(self))
    broken.run()
    assert len(epochs) == 1
    assert same(whole.path, broken.path)
    assert [path.name for path in broken.path.parent.iterdir()] == ["seed-0.npz"]
    assert archive.read(broken.path)["measured/seconds"].shape == (5,)


def test_a_checkpoint_of_other_data_seed_recipe_code_or_torch_is_refused(
    tmp_path, monkeypatch, data, coloured
):
    job = shared(tmp_path)
    path = interrupt(job, monkeypatch, saves=1)
    before = path.read_bytes()

    def refused(job: SharedTrainJob, named: str) -> None:
        with pytest.raises(BenchmarkError, match=rf"another job \({named}: [^;]*\); delete it"):
            job.run()
        assert path.read_bytes() == before
        assert not job.path.exists()

    with monkeypatch.context() as patch:
        other = Cifar10(coloured(192, 4), data.validation, data.test, data.source)
        patch.setattr(train_jobs, "prepare", lambda *given: other)
        refused(job, "images")
    with monkeypatch.context() as patch:
        patch.setitem(train_jobs.SHARED_RECIPES, "uniform", SharedRecipe(epochs=5, batch=64, warmup=0.3))
        refused(job, "recipe")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0.1")
        refused(job, "torch")
    with monkeypatch.context() as patch:
        patch.setattr(train_jobs, "processor", lambda device: "abacus")
        refused(job, "processor")
    with monkeypatch.context() as patch:
        patch.setattr(train_jobs, "_code", lambda: "edited")
        refused(job, "code")
    seed = shared(tmp_path, seed=1)
    path = path.rename(path.with_name("seed-1.checkpoint"))
    refused(seed, "seed")


def test_a_checkpoint_that_does_not_fit_the_disk_leaves_the_last_one(tmp_path, monkeypatch):
    job = shared(tmp_path)
    path = interrupt(job, monkeypatch, saves=1)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            job.run()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


_PROGRAM = """
import os, signal, sys
from pathlib import Path
import numpy as np
from nasbench_imc.building import supernet, train_jobs
from nasbench_imc.building.checkpoint import Checkpoint
from nasbench_imc.building.cifar10 import Cifar10, Images
from nasbench_imc.building.supernet import SharedRecipe

rng = np.random.default_rng(0)
images = Images(rng.integers(0, 256, (128, 32, 32, 3)).astype(np.uint8), rng.integers(10, size=128))
train_jobs.load = lambda *_: Cifar10(images, images, images, "generated")
train_jobs.SHARED_RECIPES["tiny"] = SharedRecipe(epochs=2, batch=64)
supernet.CHECKPOINT_EVERY = 1
if sys.argv[2] == "kill":
    save = Checkpoint.save
    def last(self, state):
        save(self, state)
        os.kill(os.getpid(), signal.SIGKILL)
    Checkpoint.save = last
folders = train_jobs.Folders(Path(sys.argv[1]), None, Path("."))
train_jobs.SharedTrainJob(0, "tiny", folders).run()
"""


def test_another_process_goes_on_where_one_was_killed(tmp_path):
    from nasbench_imc.building.jobs import ENVIRONMENT

    def run(name: str, mode: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(tmp_path / name), mode],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **ENVIRONMENT},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr, done.stderr
        return done.returncode

    assert run("whole", "run") == 0
    assert run("broken", "kill") == -signal.SIGKILL
    folder = tmp_path / "broken" / "supernet" / "tiny"
    assert [path.name for path in folder.iterdir()] == ["seed-0.checkpoint"]
    assert run("broken", "run") == 0
    assert [path.name for path in folder.iterdir()] == ["seed-0.npz"]
    assert same(tmp_path / "whole" / "supernet" / "tiny" / "seed-0.npz", folder / "seed-0.npz")
