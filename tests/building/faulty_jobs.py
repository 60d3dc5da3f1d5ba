"""Jobs that go wrong in chosen ways, and a program that runs some: ``python faulty_jobs.py WORKERS JOB...``.

A job on the command line is ``KIND:NUMBER:FOLDER``.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nasbench_imc.building.jobs import run_jobs
from nasbench_imc.files import replacing


@dataclass(frozen=True)
class Faulty:
    """Writes a number's square, if it comes to that."""

    kind: str
    number: int
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / f"{self.kind}-{self.number}.txt"

    def run(self) -> None:
        getattr(self, f"_{self.kind}")()

    def _good(self, text: str = "") -> None:
        with replacing(self.path) as temporary:
            temporary.write_text(text or str(self.number**2))

    def _where(self) -> None:
        time.sleep(0.1)
        self._good(str(os.getpid()))

    def _raising(self) -> None:
        raise ValueError(f"{self.number} has no square here")

    def _killer(self) -> None:
        with replacing(self.path) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    def _once(self) -> None:
        """Kills its worker the first time, in the midst of writing."""
        marker = self.folder / f"{self.kind}-{self.number}.marker"
        if not marker.exists():
            marker.touch()
            self._killer()
        self._good()

    def _patient(self) -> None:
        """Says in which process it is, and waits until the file ``go`` is there."""
        self.path.with_suffix(".pid").write_text(str(os.getpid()))
        while not (self.folder / "go").exists():
            time.sleep(0.02)
        self._good()

    def _large(self) -> None:
        self._good("x" * 300_000)


if __name__ == "__main__":
    # Under the module's name, by which the workers find it.
    from faulty_jobs import Faulty as Job

    chosen = []
    for argument in sys.argv[2:]:
        kind, number, folder = argument.split(":")
        chosen.append(Job(kind, int(number), Path(folder)))
    for job, error in run_jobs(chosen, workers=int(sys.argv[1])):
        print(f"{job.path.name}: {error}")
