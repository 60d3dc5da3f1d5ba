from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("distributed")


from nasbench_imc.building.jobs import run_jobs
from nasbench_imc.files import replacing


@dataclass(frozen=True)
class Squaring:
    """Writes a number's square; 13 is unlucky."""

    number: int
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number}.txt"

    def run(self) -> None:
        if self.number == 13:
            raise ValueError("13 has no square here")
        with replacing(self.path) as temporary:
            temporary.write_text(str(self.number**2))


def test_jobs_leave_their_files_and_a_failed_one_costs_no_other(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # the workers import this module
    (tmp_path / "3.txt").write_text("there before")
    jobs = [Squaring(number, tmp_path) for number in (3, 4, 13, 5)]
    failed = run_jobs(jobs, workers=1)
    assert [(job.number, "no square" in error) for job, error in failed] == [(13, True)]
    assert (tmp_path / "3.txt").read_text() == "there before"
    assert (tmp_path / "4.txt").read_text() == "16"
    assert (tmp_path / "5.txt").read_text() == "25"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3.txt", "4.txt", "5.txt"]
