"""The state of an unfinished job, kept beside the result that it will become."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_imc.building import archive
from nasbench_imc.errors import BenchmarkError

_ABOUT = "about"


@dataclass(frozen=True)
class Checkpoint:
    """One file, replaced by each later state.

    Attributes
    ----------
    path : pathlib.Path
    about : mapping of str to JSON value
        All that decides the job's result. A state is taken up again only where it agrees in all of it.
    """

    path: Path
    about: Mapping[str, Any]

    def save(self, state: Mapping[str, np.ndarray]) -> None:
        """Keep a state; what was kept before stays until the new one is whole."""
        about = np.array(json.dumps(self.about, sort_keys=True))
        archive.write(self.path, {**state, _ABOUT: about}, compressed=False)

    def load(self) -> dict[str, np.ndarray] | None:
        """The state kept last, None where there is none.

        Raises
        ------
        BenchmarkError
            Where the file is damaged, or belongs to a job that differs in ``about``.
        """
        try:
            state = archive.read(self.path)
            about = json.loads(str(state.pop(_ABOUT)))
        except FileNotFoundError:
            return None
        except (BenchmarkError, KeyError, ValueError) as error:
            raise BenchmarkError(
                f"the checkpoint {self.path} is damaged; delete it to start this job over ({error})"
            ) from error
        mine = json.loads(json.dumps(self.about))  # tuples become lists
        differing = sorted(key for key in about.keys() | mine.keys() if about.get(key) != mine.get(key))
        if differing:
            listed = "; ".join(f"{key}: {about.get(key)!r}, now {mine.get(key)!r}" for key in differing)
            raise BenchmarkError(
                f"the checkpoint {self.path} belongs to another job ({listed}); "
                "delete it to start this job over"
            )
        return state

    def remove(self) -> None:
        """Forget the state, if any."""
        self.path.unlink(missing_ok=True)
