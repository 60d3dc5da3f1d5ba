"""The simulated clock: what is timed, and what entries of a curve cost by it."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building import archive, clock_jobs, parts  # noqa: E402
from nasbench_imc.building.cifar10 import Cifar10  # noqa: E402
from nasbench_imc.building.clock import NAMES, read_clock  # noqa: E402
from nasbench_imc.building.train_jobs import STATISTICS_BATCHES, Folders  # noqa: E402
from nasbench_imc.building.training import Recipe  # noqa: E402
from nasbench_imc.errors import TableError  # noqa: E402

SMALL, LARGE = "c16x1-c24x1-c32x1", "c32x2-c40x2-c56x2"


@pytest.fixture
def job(coloured, tmp_path, monkeypatch) -> clock_jobs.ClockJob:
    data = Cifar10(coloured(640, 1), coloured(130, 2), coloured(10, 3), "generated")
    monkeypatch.setattr(clock_jobs, "prepare", lambda *given: data)
    monkeypatch.setattr(clock_jobs, "Recipe", lambda epochs: replace(Recipe(epochs=epochs), batch=64))
    monkeypatch.setattr(clock_jobs, "processor", lambda: "P")
    return clock_jobs.ClockJob(0, (SMALL, LARGE), Folders(tmp_path, None, tmp_path))


def test_seconds_are_medians_times_what_is_done(job, monkeypatch):
    """Time passes by a second at each look at the clock, and training says what its marks took."""
    ticks = count()
    monkeypatch.setattr(clock_jobs.time, "process_time", lambda: float(next(ticks)))
    train = clock_jobs.train
    monkeypatch.setattr(
        clock_jobs, "train", lambda *given: replace(train(*given), seconds=(9.0, 2.0, 4.0, 3.0))
    )
    job.run()
    found = read_clock(job.path, [LARGE, SMALL], "generated")
    assert found.epoch.tolist() == [15.0, 15.0]  # 8 steps in 4 marks of 3 s, 10 steps of 64 images an epoch
    assert found.shared_epoch == 15.0
    assert found.inheritance.tolist() == [STATISTICS_BATCHES / 2] * 2  # two batches were timed
    assert found.validation == pytest.approx([1.0, 1.0])  # all 130 images at once
    assert found.anchor == pytest.approx([2.0, 2.0])
    assert found.draw.tolist() == [1.0, 1.0]


def test_real_seconds_are_positive(job):
    job.run()
    with np.load(job.path) as held:
        assert held["measured/seconds"].shape == (2, len(NAMES))
        assert (held["measured/seconds"] > 0).all()


def test_entries_of_the_curve_cost_the_epochs_between_them(job):
    archive.write(
        job.path,
        {
            "about": np.array('{"pixels": "folder"}'),
            "codes": np.array([SMALL], "S"),
            "names": np.array(NAMES, "S"),
        },
        measured={"seconds": np.array([[8.0, 1.0, 0.5, 7.0, 0.1]])},
    )
    clock = read_clock(job.path, [SMALL], "folder")
    assert clock.training([0.0, 0.25, 1.0], inherits=True).tolist() == [[1.5, 2.5, 6.5]]
    assert clock.training([1.0, 2.0], inherits=False).tolist() == [[8.5, 8.5]]


def test_seconds_on_other_pixels_are_refused(job):
    archive.write(
        job.path,
        {
            "about": np.array('{"pixels": "official"}'),
            "codes": np.array([SMALL], "S"),
            "names": np.array(NAMES, "S"),
        },
        measured={"seconds": np.ones((1, len(NAMES)))},
    )
    with pytest.raises(TableError, match="made from pixels 'official', the table's networks from 'folder'"):
        read_clock(job.path, [SMALL], "folder")


def test_a_file_that_timed_other_things_is_refused(job):
    archive.write(
        job.path,
        {
            "about": np.array('{"pixels": "folder"}'),
            "codes": np.array([SMALL], "S"),
            "names": np.array(["epoch", "draw"], "S"),
        },
        measured={"seconds": np.ones((1, 2))},
    )
    with pytest.raises(TableError, match=r"times epoch, draw, not epoch, inheritance, .* build clock$"):
        read_clock(job.path, [SMALL], "folder")


def test_all_networks_are_in_some_part_once():
    codes = [str(k) for k in range(500)]
    made = parts.split(codes)
    assert sum(made, ()) == tuple(codes)
    assert max(map(len, made)) == parts.PART
    jobs = clock_jobs.clock_jobs(codes, Folders(*[None] * 3))
    assert [job.codes for job in jobs] == made
