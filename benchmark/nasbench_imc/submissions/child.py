"""The searcher's process: it confines itself, then runs the searcher on a session at the end of a pipe.

    python -P -m nasbench_imc.submissions.child READING WRITING

The arguments are file descriptors. The first message says what is granted, the second what is to be run.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nasbench_imc.submissions.confine import confine, isolate, readable
from nasbench_imc.submissions.pipe import Channel

if TYPE_CHECKING:
    from nasbench_imc.design import Design
    from nasbench_imc.suites import Observation, Task

MAX_ERROR_TEXT = 4_000


class PipedSession:
    """What a searcher sees of a session that lives in another process.

    It has the attributes and methods of :class:`nasbench_imc.suites.Session` that a searcher uses. ``seed``
    is one for the searcher's own use: the label seed stays with the runner, as from it the labels' noise
    could be computed.
    """

    def __init__(self, channel: Channel, task: Task, seed: int) -> None:
        self.task = task.as_searched
        self.seed = seed
        self.charged = self.proposals = 0
        self.budget_left: Any = task.budget
        self._channel = channel
        self._seen: dict[Any, Observation] = {}

    def __enter__(self) -> PipedSession:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    @property
    def observations(self) -> tuple[Observation, ...]:
        return tuple(self._seen.values())

    def query(self, design: Design, fidelity: str | None = None) -> Observation:
        """See :meth:`nasbench_imc.suites.Session.query`."""
        from types import MappingProxyType

        from nasbench_imc.design import Design
        from nasbench_imc.suites import Observation

        named = self._named(design)
        design = Design(**named)
        said = self._ask({"query": named, "fidelity": fidelity})
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
        }
        fields["values"] = MappingProxyType(fields["values"])
        made = Observation(design=design, **fields)
        if design.hardware not in self.task.sources:
            self._seen.setdefault((design, made.fidelity), made)
        return made

    def cost(self, design: Design) -> Mapping[str, float]:
        """See :meth:`nasbench_imc.suites.Session.cost`."""
        return self._ask({"cost": self._named(design)})

    def proxies(self, design: Design) -> Mapping[str, float]:
        """See :meth:`nasbench_imc.suites.Session.proxies`."""
        return self._ask({"proxies": self._named(design)})

    def recommend(self, designs: Design | Iterable[Design]) -> None:
        """See :meth:`nasbench_imc.suites.Session.recommend`."""
        from nasbench_imc.design import Design
        from nasbench_imc.errors import SearchError

        try:
            chosen = [designs] if isinstance(designs, Design) else list(designs)
        except TypeError:
            raise SearchError(f"a recommendation is a Design or several, not {designs!r:.120}") from None
        self._ask({"recommend": [self._named(design) for design in chosen]})

    def _named(self, design: Design) -> dict[str, Any]:
        """A design's fields, of plain values; checked here, so that what is wrong is said even where labels
        are permuted.
        """
        from dataclasses import asdict

        from nasbench_imc.design import Design

        sources = self.task.source_domain
        on_source = (
            sources is not None and isinstance(design, Design) and design.hardware in self.task.sources
        )
        return asdict((sources if sources is not None and on_source else self.task.domain).admit(design))

    def _ask(self, request: Mapping[str, Any]) -> Any:
        from nasbench_imc import errors

        self._channel.send(request)
        reply = self._channel.receive()
        self.charged, self.proposals, self.budget_left = reply["state"]
        if "error" in reply:
            raise getattr(errors, reply["error"])(reply["message"])
        return reply["said"]


def main() -> None:
    """Confine the process and run what the second message says."""
    channel = Channel(int(sys.argv[1]), int(sys.argv[2]))
    order = channel.receive()
    isolated = isolate()
    confined = confine(order["grants"])
    channel.send({"confinement": {**confined, **isolated}, "readable": readable(order["hidden"])})
    channel.send(_run(channel, channel.receive()))


def _run(channel: Channel, order: Mapping[str, Any]) -> dict[str, str]:
    """Run a searcher; how it ended, which the runner checks against what it saw."""
    from nasbench_imc.errors import BenchmarkError, BudgetExhausted, ProposalsExhausted
    from nasbench_imc.runs.execute import searcher_rng, seed_globals
    from nasbench_imc.runs.methods import Method
    from nasbench_imc.suites import Task

    task, seed = Task.from_json(order["task"], "the task of a run"), order["seed"]
    sys.path += order["imports"]
    try:
        searcher = Method(*order["method"]).load()
    except BenchmarkError as error:
        return {"unloadable": str(error)[:MAX_ERROR_TEXT]}
    channel.send({"ready": True})
    seed_globals(seed)
    try:
        searcher(PipedSession(channel, task, seed), searcher_rng(task, seed))  # type: ignore[arg-type]
    except ProposalsExhausted:
        return {"end": "proposals", "error": ""}
    except BudgetExhausted:
        return {"end": "budget", "error": ""}
    except BaseException:  # SystemExit too
        return {"end": "failed", "error": traceback.format_exc(limit=-8)[-MAX_ERROR_TEXT:]}
    return {"end": "finished", "error": ""}


if __name__ == "__main__":
    main()
