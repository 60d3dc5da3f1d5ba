"""Attacks on replaying: each is refused, with its reason and its place."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nasbench_imc as nbi
from nasbench_imc.runs.execute import execute
from nasbench_imc.submissions.pack import pack
from nasbench_imc.submissions.replay import Refused, refusal, replay, replay_log

from .conftest import FAILS_AT, METHOD, SAID, TASKS, Forge, Lines, contents, honest, member, packed, unpacked

C, M = (nbi.task(name) for name in TASKS)


def refused(path: Path, reason: str, **place: Any) -> nbi.BenchmarkError:
    """Replay must refuse with this reason, at this place."""
    with pytest.raises(nbi.SubmissionError, match=reason) as caught:
        replay(path)
    if place:
        assert isinstance(caught.value, Refused)
        found = caught.value.difference
        assert {name: getattr(found, name) for name in place} == place
        for part in (found.file, found.field, *(f"line {found.line}" for _ in range(found.line > 0))):
            assert part in str(caught.value)
    said = refusal(caught.value)
    assert (said["accepted"], said["tier"]) == (False, None)
    json.dumps(said, allow_nan=False)
    return caught.value


def test_the_honest_one_is_accepted(submission: Path) -> None:
    verdict = replay(submission)
    assert (verdict.runs, verdict.failures, verdict.seeds, verdict.notes) == (6, 1, 3, ())
    assert verdict.queries == 2 * C.budget + FAILS_AT + 3 * M.budget


@pytest.mark.parametrize("up", [0.01, 1e-9, -3.0, 1e30])
def test_inflated_value(forge: Forge, up: float) -> None:
    def inflate(lines: Lines) -> None:
        lines[7]["values"]["accuracy"] += up
        lines[9]["values"]["accuracy"] += up  # the first one is named

    error = refused(
        forge({member(): inflate}),
        "it is not the search label",
        file=member(),
        line=8,
        field="values.accuracy",
    )
    logged, recomputed = re.findall(r"(?:logged|recomputed) (\S+?)[,:]", str(error))
    assert float(logged) == pytest.approx(float(recomputed) + up)


def test_altered_cost(forge: Forge) -> None:
    """A cost made smaller lets an infeasible design pass."""
    path = forge({member(): lambda lines: lines[7]["values"].update(weight_memory=0.001)})
    refused(path, "not what a session says", line=8, field="values.weight_memory", logged="0.001")


def test_missing_and_added_values(forge: Forge) -> None:
    path = forge({member(): lambda lines: lines[7]["values"].pop("weight_memory")})
    refused(path, "logged nothing", line=8, field="values.weight_memory", logged="nothing")
    path = forge({member(): lambda lines: lines[7]["values"].update(bonus=5)})
    refused(path, "recomputed nothing", line=8, field="values.bonus")
    path = forge({member(): lambda lines: lines[7].update(note="trust me")})
    refused(path, "recomputed nothing", line=8, field="note")


def test_score_label_pasted_in(forge: Forge, bench: nbi.Benchmark) -> None:
    def paste(lines: Lines) -> None:
        for event in lines[1:-1]:
            if "query" in event:
                event["values"]["accuracy"] = bench.query(C.domain.design(event["query"]), C.at)["accuracy"]

    refused(forge({member(): paste}), "it is the design's score label", line=2, field="values.accuracy")


def test_rounded_values(forge: Forge) -> None:
    def shorten(lines: Lines) -> None:
        for event in lines[1:-1]:
            if "query" in event:
                event["values"]["accuracy"] = round(event["values"]["accuracy"], 3)

    refused(forge({member(): shorten}), "it is the search label, rounded", line=2)


def test_reordered_rows(forge: Forge) -> None:
    def swap(lines: Lines) -> None:
        lines[3], lines[8] = lines[8], lines[3]

    refused(forge({member(): swap}), "rows are out of order", line=5, field="proposals")


def test_best_first(forge: Forge) -> None:
    """All rows in the order of their values."""
    path = forge(
        {
            member(1): lambda lines: lines.__setitem__(
                slice(1, -1),
                sorted(
                    (line for line in lines[1:-1] if "query" in line),
                    key=lambda line: -line["values"]["accuracy"],
                ),
            )
        }
    )
    refused(path, "rows are out of order", field="proposals")


def test_recommendation_before_its_query(forge: Forge) -> None:
    def early(lines: Lines) -> None:
        place = next(k for k, line in enumerate(lines) if "recommend" in line)
        lines.insert(2, lines.pop(place))

    refused(forge({member(): early}), "only a queried design can be recommended", line=3, field="recommend")


def test_recommendation_of_what_was_never_queried(forge: Forge, bench: nbi.Benchmark) -> None:
    best = max(
        bench.architectures, key=lambda arch: bench.query(nbi.Design(arch, C.hardware[0]), C.at)["accuracy"]
    )
    path = forge({member(): lambda lines: lines.insert(-1, {"recommend": [{"arch": best}]})})
    refused(path, "only a queried design can be recommended", field="recommend")


def test_too_many_recommended(forge: Forge) -> None:
    def many(lines: Lines) -> None:
        lines.insert(-1, {"recommend": [line["query"] for line in lines[1:-1] if "query" in line][:21]})

    refused(forge({member(1): many}), "names 1 to 20 designs, not 21", field="recommend")


def test_one_recommended_twice(forge: Forge) -> None:
    path = forge({member(1): lambda lines: lines.insert(-1, {"recommend": [lines[1]["query"]] * 2})})
    refused(path, "not what a session says", field="recommend")


def test_extra_budget(forge: Forge, bench: nbi.Benchmark) -> None:
    """An honest query more than the budget, with its true label."""

    def extend(lines: Lines) -> None:
        asked = {json.dumps(line["query"]) for line in lines[1:-1] if "query" in line}
        fields = next(
            {"arch": arch} for arch in bench.architectures if json.dumps({"arch": arch}) not in asked
        )
        seen = bench.query(M.domain.design(fields), M.at, labels="search", seed=0)
        values = {name: seen[name] for name in M.metrics}
        count = lines[-1]["proposals"] + 1
        lines.insert(-1, {"query": fields, "values": values, "proposals": count})
        lines[-1].update(charged=201, proposals=count)

    refused(forge({member(1): extend}), "the budget of 200 queries .* is spent", field="query")


def test_query_charged_twice(forge: Forge) -> None:
    def double(lines: Lines) -> None:
        lines[5] = {**lines[2], "proposals": lines[5]["proposals"]}

    refused(
        forge({member(): double}), "a free query is neither logged nor charged, and line 3 has it", line=6
    )


def test_wrong_design(forge: Forge) -> None:
    for fields, reason in (
        ({"arch": "x"}, "malformed nb201 architecture"),
        ({"arch": "\x1b[31m" * 100}, "malformed nb201 architecture"),
        ({"arch": "x", "hardware": "sram-digital-r64"}, "hardware"),
        ({"arch": "x", "colour": 3}, "colour"),
    ):
        path = forge({member(): lambda lines, f=fields: lines[4].update(query=f)})
        error = refused(path, reason, line=5, field="query")
        assert str(error).isprintable()
        assert len(str(error)) < 2_000


def test_redundant_field(forge: Forge) -> None:
    path = forge({member(): lambda lines: lines[4]["query"].update(weight_bits=8)})
    refused(path, "not what a session says", line=5, field="query.weight_bits", recomputed="nothing")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        (lambda last: last.update(charged=C.budget - 1), "charged", "the log's queries are not so many"),
        (lambda last: last.update(charged=C.budget + 1), "charged", "the log's queries are not so many"),
        (lambda last: last.update(proposals=C.budget), "proposals", "an earlier line counts more"),
        (lambda last: last.update(proposals=4_001), "proposals", "a session ends at that number"),
        (lambda last: last.update(end="proposals"), "proposals", "all proposals were spent"),
        (lambda last: last.update(end="failed"), "error", "does not go with the end 'failed'"),
        (lambda last: last.update(error="oh"), "error", "does not go with the end 'budget'"),
        (lambda last: last.update(seconds=-1), "seconds", "at least 0"),
    ],
)
def test_last_line(forge: Forge, change: Callable[[dict[str, Any]], object], field: str, reason: str) -> None:
    path = forge({member(): lambda lines: change(lines[-1])})
    refused(path, reason, field=field, line=len(unpacked(contents(path)[member()])))


def test_finished_after_fewer_proposals(forge: Forge) -> None:
    path = forge({member(): lambda lines: lines[-1].update(end="finished", proposals=C.budget + 1)})
    refused(path, "an earlier line counts more: is it cut off", field="proposals")


def test_miscounted_proposals(forge: Forge) -> None:
    def fewer(lines: Lines) -> None:
        for count, line in enumerate(line for line in lines[1:-1] if "query" in line):
            line["proposals"] = count  # one less than the queries so far

    refused(forge({member(1): fewer}), "each query is a proposal", line=2, field="proposals")

    def more(lines: Lines) -> None:
        next(line for line in reversed(lines[:-1]) if "query" in line)["proposals"] = M.max_proposals + 1

    refused(forge({member(1): more}), "a session ends at that number", field="proposals")


def test_truncated(forge: Forge) -> None:
    """With the last lines gone, and with a whole end put on."""
    path = forge({member(): lambda lines: lines.__delitem__(slice(9, None))})
    refused(path, "its last line must hold end, error, charged, proposals, seconds; is it cut off")

    def end(lines: Lines) -> None:
        del lines[9:-1]
        lines[-1]["charged"] = sum("query" in line for line in lines)

    refused(forge({member(): end}), "budget is not spent: the log is cut off", field="end", logged="budget")


def test_truncated_by_one(forge: Forge) -> None:
    def shorten(lines: Lines) -> None:
        last = max(k for k, line in enumerate(lines) if "query" in line)
        del lines[last]
        lines[-1]["charged"] -= 1

    refused(
        forge({member(1): shorten}), "budget is not spent", field="end", recomputed="1 of 200 queries left"
    )


def test_cut_gzip(forge: Forge, submission: Path) -> None:
    refused(forge({member(): contents(submission)[member()][:-9]}), f"{member()} is not a whole gzip file")


def test_dropped_failure(forge: Forge) -> None:
    """The failed run is left out: of the archive, of the manifest, and by counting fewer seeds."""
    name = member(0, 2)
    refused(forge({name: None}, lambda about: about.update(failures=0)), f"1 of 6 runs are missing.*{name}")
    path = forge({name: None}, lambda about: about.update(failures=0, seeds=2))
    refused(path, "1 logs are of no declared run")
    path = forge({name: None}, lambda about: about["logs"].update({name: ["0" * 64, 5]}))
    refused(path, f"{name} is declared by the manifest, but is not in the archive")
    refused(forge(manifest=lambda about: about.update(failures=0)), "declares 0 failed runs, the logs hold 1")


def test_failure_made_up_as_another_seed(forge: Forge, submission: Path) -> None:
    """A good run's log in the place of the failed one."""
    good = unpacked(contents(submission)[member(0, 1)])
    path = forge({member(0, 2): packed(good)})
    refused(path, "of another run than its place says", file=member(0, 2), line=1, field="seed", logged="1")


def test_duplicated_seed(forge: Forge, submission: Path) -> None:
    """The same with its header changed: the labels are those of the other seed."""
    good = unpacked(contents(submission)[member(0, 1)])
    good[0]["seed"] = 2
    path = forge({member(0, 2): packed(good)}, lambda about: about.update(failures=0))
    refused(path, "it is the search label of seed 1", file=member(0, 2), line=2, field="values.accuracy")


def test_duplicated_seed_of_the_suite_test() -> None:
    """Its labels are others than those of the same seed in the suite ``dev``."""
    task = next(task for task in nbi.tasks("test") if task.track == "S" and task.table == "nb201")
    log = execute(honest, METHOD, task, 1, 60.0)
    replay_log(task, log, "log")
    with pytest.raises(Refused, match="it is the search label of seed 1"):
        replay_log(task, replace(log, seed=2), "log", seeds=3)


def test_mined_seed(forge: Forge, tmp_path: Path) -> None:
    """The best of many seeds, presented as one of the first."""
    mined = execute(honest, METHOD, C, 17, 60.0, fingerprint="ab" * 32)
    header = {
        "format": 2,
        "method": METHOD,
        "task": C.name,
        "task_sha256": C.sha256,
        "seed": 0,
        "table": mined.table,
        "table_sha256": mined.table_sha256,
        "official": True,
        "package": mined.package,
        "searcher": mined.searcher,
    }
    footer = {name: getattr(mined, name) for name in ("end", "error", "charged", "proposals", "seconds")}
    path = forge({member(): packed([header, *map(dict, mined.events), footer])})
    refused(path, "it is not the search label", file=member(), line=2, field="values.accuracy")


def test_gap_in_the_seeds(forge: Forge, submission: Path) -> None:
    """Seeds 0, 2 and 3: one was left out because it went badly."""
    data = contents(submission)[member(0, 1)]
    path = forge(
        {member(0, 1): None},
        lambda about: about["logs"].update({member(0, 3): ["0" * 64, len(data)]}),
    )
    refused(path, "1 of 6 runs are missing")


def test_another_task_renamed(forge: Forge, submission: Path) -> None:
    other = unpacked(contents(submission)[member(1, 0)])
    refused(
        forge({member(0, 0): packed(other)}),
        "of another run",
        field="task",
        logged=TASKS[1],
        recomputed=TASKS[0],
    )
    other[0] |= {"task": TASKS[0], "task_sha256": C.sha256}
    refused(
        forge({member(0, 0): packed(other)}), "not what a session says", line=2, field="values.weight_memory"
    )


def test_another_table_version(forge: Forge) -> None:
    old = "12" * 32
    path = forge({member(): lambda lines: lines[0].update(table="0.1.0", table_sha256=old)})
    refused(path, "another version of table nb201", line=1, field="table_sha256", logged=old)
    path = forge({member(): lambda lines: lines[0].update(table="0.1.0")})
    refused(path, "another version of table nb201", line=1, field="table", logged="0.1.0")
    path = forge(manifest=lambda about: about.update(tables={"nb201": ["0.1.0", old]}))
    refused(path, r"the manifest declares table nb201 0\.1\.0 \(121212121212\.\.\.\).*run it again")
    path = forge(manifest=lambda about: about.update(tables={"other": ["0.1.0", old]}))
    refused(path, "the manifest declares table nb201 of no version")


def test_another_version_of_the_task(forge: Forge) -> None:
    """As after tasks were frozen anew on the same table."""
    older = replace(C, budget=C.budget + 1).sha256
    path = forge({member(): lambda lines: lines[0].update(task_sha256=older)})
    refused(
        path,
        f"another version of task {C.name}",
        line=1,
        field="task_sha256",
        logged=older,
        recomputed=C.sha256,
    )
    path = forge({member(): lambda lines: (lines[0].update(format=1), lines[0].pop("task_sha256"))})
    refused(path, "was made by an earlier version; run it again")


def test_a_task_file_in_place_of_a_task(folder: Path, tmp_path: Path) -> None:
    """No file is opened because a log names it."""
    evil = tmp_path / "evil.json"
    evil.write_text(replace(C, name="evil/C").to_json())
    path = folder / TASKS[0] / METHOD / "seed-0000.jsonl.gz"
    lines = unpacked(path.read_bytes())
    lines[0]["task"] = str(evil)
    place = folder / str(evil).lstrip("/") / METHOD / path.name
    place.parent.mkdir(parents=True)
    place.write_bytes(packed(lines))
    path.unlink()
    with pytest.raises(nbi.SubmissionError, match=r"evil\.json: not of the benchmark"):
        pack(folder, METHOD, SAID, tmp_path / "evil.zip")
    shutil.rmtree(folder / "nb201")
    refused(folder, r"evil\.json' is not a task of the benchmark")


def test_unofficial_table(forge: Forge) -> None:
    path = forge({member(): lambda lines: lines[0].update(official=False)})
    refused(path, "not a released one", line=1, field="official")


def test_no_released_table_here(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(C.load_table(), "official", False)
    with pytest.raises(nbi.SubmissionError, match="here is not the released one"):
        replay(submission)


def test_other_searcher_and_package(forge: Forge) -> None:
    path = forge({member(0, 1): lambda lines: lines[0].update(searcher="cd" * 32)})
    refused(path, "another searcher's log", file=member(0, 1), line=1, field="searcher")
    path = forge({member(0, 1): lambda lines: lines[0].update(package="9.9")})
    refused(path, "the manifest lacks it", line=1, field="package")


def test_altered_log_under_the_old_manifest(submission: Path, tmp_path: Path) -> None:
    from .conftest import MEMBER, write

    members = contents(submission)
    lines = unpacked(members[member()])
    lines[-1]["seconds"] = 0.0
    changed = {**members, member(): packed(lines)}
    refused(
        write(changed, tmp_path / "a.zip"),
        f"{member()} (has .* bytes where|is not the log that)|unpacks to more than",
    )
    flipped = bytearray(members[member()])
    flipped[4] ^= 1  # the time stamp of the gzip header
    refused(
        write({**members, member(): bytes(flipped)}, tmp_path / "b.zip"),
        f"{member()} is not the log that the manifest declares: its SHA-256 differs",
    )
    assert MEMBER in members


def test_suite_that_is_not_whole(forge: Forge) -> None:
    missing = len(nbi.tasks("dev")) - 2
    path = forge(manifest=lambda about: about.update(suite="dev"))
    refused(path, f"suite 'dev', of which {missing} tasks are missing")
    refused(forge(manifest=lambda about: about.update(suite="best")), "suite 'best' is unknown")


def test_task_of_ones_own(forge: Forge) -> None:
    def rename(about: dict[str, Any]) -> None:
        about["tasks"][0] = "nb201/aaa"
        about["logs"] = {name.replace(TASKS[0], "nb201/aaa"): entry for name, entry in about["logs"].items()}

    refused(forge(manifest=rename), "'logs/nb201/sram-digital/C-memory/.*is unknown|is not in the archive")


def test_same_events_under_two_seeds_are_noted(folder: Path) -> None:
    """Runs that failed at once are alike, and no reason to refuse; alike with queries is said."""
    for seed in range(3):
        path = folder / TASKS[0] / METHOD / f"seed-{seed:04d}.jsonl.gz"
        lines = unpacked(path.read_bytes())
        del lines[1:-1]
        lines[-1].update(charged=0, proposals=0, end="failed", error="it broke")
        path.write_bytes(packed(lines))
    assert replay(folder).notes == ()


class TestFolder:
    def test_honest(self, folder: Path) -> None:
        verdict = replay(folder)
        assert (verdict.runs, verdict.failures, verdict.sha256) == (6, 1, "")
        assert verdict.to_json()["tier"] == "self-check"

    def test_dropped_failure(self, folder: Path) -> None:
        (folder / TASKS[0] / METHOD / "seed-0002.jsonl.gz").unlink()
        refused(folder, f"{METHOD} on {TASKS[0]} lacks seed 2")

    def test_renamed(self, folder: Path) -> None:
        place = folder / TASKS[0] / METHOD
        (place / "seed-0002.jsonl.gz").rename(place / "seed-0003.jsonl.gz")
        refused(folder, "its name says otherwise")

    def test_inflated(self, folder: Path) -> None:
        path = folder / TASKS[1] / METHOD / "seed-0001.jsonl.gz"
        lines = unpacked(path.read_bytes())
        lines[3]["values"]["accuracy"] += 1
        path.write_bytes(packed(lines))
        refused(folder, "not the search label", file=f"{TASKS[1]}/{METHOD}/seed-0001.jsonl.gz", line=4)

    def test_twice(self, folder: Path) -> None:
        twin = folder / "copy" / TASKS[0] / METHOD
        twin.mkdir(parents=True)
        (twin / "seed-0000.jsonl.gz").write_bytes(
            (folder / TASKS[0] / METHOD / "seed-0000.jsonl.gz").read_bytes()
        )
        refused(folder, "are of one run")

    def test_empty(self, tmp_path: Path) -> None:
        refused(tmp_path, "no run logs")

    def test_damaged(self, folder: Path) -> None:
        (folder / TASKS[0] / METHOD / "seed-0000.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
        with pytest.raises(nbi.LogError, match="states no format"):
            replay(folder)
