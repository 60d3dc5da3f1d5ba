"""Leaderboards show what the scores say, and survive names and messages that others wrote."""

import base64
import csv
import io
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import nasbench_imc as nbi
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.leaderboard import TIERS, as_csv, as_latex, as_markdown, as_terminal, write_page
from nasbench_imc.leaderboard.figures import _all_designs, _front, shown_cost
from nasbench_imc.leaderboard.text import notes
from nasbench_imc.scoring import Scores
from nasbench_imc.scoring.ratings import method_set
from nasbench_imc.suites import Task

ATTACK = "<script>alert(1)</script>"
METHODS = ("random_search", "b|a*r", ATTACK)
CHECKPOINTS = [5, 10, 20]
RANDOM = [3.0, 2.0, 1.0]


def _task(bench, name, track):
    costs = {"S": [], "C": [], "M": ["energy"]}[track]
    hardware = "sram-digital-r128"
    limit = float(np.median(bench.array("energy", hardware=hardware)))
    ends = {"accuracy": [93.0, 85.0], "energy": [3.0, 40.0]} if track == "M" else {}
    data = {
        "name": name,
        "track": track,
        "suite": "dev",
        "table": "nb201",
        "table_version": "9.8.7",
        "table_sha256": "0" * 64,
        "hardware": [hardware],
        "weight_bits": [8],
        "sparsity": [0.0],
        "sources": [],
        "at": "1d",
        "objectives": ["accuracy", *costs],
        "limits": {"energy": limit} if track == "C" else {},
        "least": {},
        "fidelities": [],
        "budget": CHECKPOINTS[-1],
        "max_proposals": 400,
        "checkpoints": CHECKPOINTS,
        "label_seeds": 3,
        "frozen": {
            "best": 93.0,
            "worst": 10.0,
            "ideal": {key: value[0] for key, value in ends.items()},
            "nadir": {key: value[1] for key, value in ends.items()},
            "best_hypervolume": 0.8,
            "noise_floor": 0.2,
            "margin": 0.0,
            "reachable_regret": 0.1,
            "random_regret": RANDOM,
            "random_regret_error": [0.0, 0.0, 0.0],
        },
    }
    return Task.from_json(json.dumps(data), name)


def _designs(task, method, seed):
    """A few designs that overlap from method to method; none where a run failed at once."""
    archs = task.domain.space.architectures[7 + 13 * method + seed : 900 : 150]
    return tuple(nbi.Design(arch, task.hardware[0]) for arch in archs[: task.max_recommended])


def _scores(tasks, methods=METHODS, seeds=4, official=True, error="boom"):
    """Scores whose regret is random; the last method's first run failed."""
    rng = np.random.default_rng(1)
    lines = []
    for task in tasks:
        for k, method in enumerate(methods):
            for seed in range(seeds):
                random = np.array(task.frozen.random_regret)
                regret = (0.2 + 0.2 * k) * random * rng.uniform(0.8, 1.2, len(random))
                failed = method == methods[-1] and seed == 0 and len(methods) > 1
                lines.append(
                    {
                        "task": task.name,
                        "method": method,
                        "seed": seed,
                        "end": "failed" if failed else "budget",
                        "error": error if failed else "",
                        "charged": 20,
                        "proposals": 20,
                        "seconds": 0.5 + k,
                        "official": official,
                        "score": regret.sum() / random.sum(),
                        "regret": regret,
                        "recommended": _designs(task, k, seed),
                    }
                )
    return Scores(tuple(tasks), tuple(sorted(methods)), pd.DataFrame(lines))


@pytest.fixture(scope="module")
def tasks(bench):
    return [_task(bench, f"nb201/chip/{track}-x_y", track) for track in "CMS"]


@pytest.fixture(scope="module")
def scores(tasks):
    return _scores(tasks)


class _Page(HTMLParser):
    """Collects what a browser would load, run or nest."""

    VOID = ("meta", "br", "path", "image", "use", "rect")

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.scripts, self.opened, self.text = [], [], 0, [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href", "action", "srcset")]
        self.ids += [value for key, value in attributes if key == "id"]
        assert not any(key.startswith("on") for key, _ in attributes)
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.opened.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.opened.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(scores, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(scores, path)
    return path.read_text(encoding="utf-8")


def _markdown_rows(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return cells[0], cells[2:]


def test_csv_holds_every_value_in_full_precision(scores, tasks):
    rows = list(csv.DictReader(io.StringIO(as_csv(scores))))
    board = scores.leaderboard()
    assert [row["method"] for row in rows] == list(board.index)
    for row in rows:
        line = board.loc[row["method"]]
        named = {"mean_rank": "mean_rank", "score [1]": "score", "score_low_95 [1]": "low"}
        assert all(float(row[column]) == line[name] for column, name in named.items())
        assert float(row["overhead [s]"]) == line["seconds"]
        assert (row["board"], row["trust"]) == ("own tasks", "self-reported")
        assert row["elo"] == row["elo_low_95"] == ""  # three tasks show no rating and no spread
        assert (int(row["rank"]), int(row["runs"])) == (line["rank"], line["runs"])
        assert int(row["failed_runs"]) == line["failed"]
        for task in tasks:
            runs = scores.runs[(scores.runs.task == task.name) & (scores.runs.method == row["method"])]
            assert float(row[f"score {task.name} [1]"]) == pytest.approx(runs.score.mean(), rel=1e-14)
        assert (row["official"], row["tables"]) == ("true", "nb201 9.8.7")


def test_markdown_shows_the_scores_with_the_best_in_bold(scores, tasks):
    head, rows = _markdown_rows(as_markdown(scores))
    board = scores.leaderboard()
    assert [row[1].replace("\\", "") for row in rows] == list(board.index)
    for task in tasks:
        column = head.index(task.name.removeprefix("nb201/"))
        shown = [row[column] for row in rows]
        assert [float(cell.strip("*")) for cell in shown] == list(board[task.name].round(3))
        bold = [cell.startswith("**") for cell in shown]
        assert bold == list(board[task.name].round(3) == board[task.name].round(3).min())
    assert [row[head.index("score")] for row in rows] == [
        f"{line.score:.3f} ({line.low:.3f} to {line.high:.3f})" for line in board.itertuples()
    ]
    assert {row[head.index("Elo")] for row in rows} == {"-"}  # of three tasks
    assert [int(row[-2]) for row in rows] == list(board.failed)


def test_scores_that_look_equal_are_bold_together(tasks):
    scores = _scores(tasks[:1], methods=("a", "b"), seeds=1)
    scores.runs["score"] = [0.50001, 0.50002]
    _, rows = _markdown_rows(as_markdown(scores))
    assert [row[6] for row in rows] == ["**0.500**", "**0.500**"]


def test_latex_escapes_names_and_marks_the_best(scores, tasks):
    text = as_latex(scores)
    assert r"random\_search" in text
    assert not re.search(r"(?<!\\)_", text)
    assert r"\textless{}script\textgreater{}" in text
    assert not re.search(r"\\\\\s*\[", text)  # LaTeX would read a length there, and never end
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    board = scores.leaderboard()
    for line, (_, values) in zip(body, board.iterrows(), strict=True):
        cells = [cell.strip() for cell in line.removesuffix(r"\\").split(" & ")]
        for cell, task in zip(cells[6:9], tasks, strict=True):
            value = f"{values[task.name]:.3f}"
            best = values[task.name] == board[task.name].min()
            assert cell == (rf"\textbf{{{value}}}" if best else value)
    columns = re.search(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}", text)[1]
    assert all(line.count(" & ") == len(columns) - 1 for line in body)


def test_notes_say_what_a_score_is_and_where_it_comes_from(scores):
    text = as_markdown(scores)
    assert "lower is better" in text
    assert "nb201 9.8.7" in text
    assert "36 runs (4 a method and task; 3 failed)" in text
    assert "nofficial" not in text


def test_a_board_with_an_unofficial_run_says_so_everywhere(tasks, tmp_path):
    scores = _scores(tasks[:1])
    scores.runs.loc[2, "official"] = False
    for text in (as_markdown(scores), as_latex(scores)):
        assert "(unofficial)" in text
        assert "1 of 12 runs" in text
    flags = {row["method"]: row["official"] for row in csv.DictReader(io.StringIO(as_csv(scores)))}
    assert flags == {"random_search": "false", "b|a*r": "true", ATTACK: "true"}
    write_page(scores, tmp_path / "page.html")
    assert "1 of 12 runs" in _Page((tmp_path / "page.html").read_text()).text


@pytest.mark.parametrize(("width", "has_tasks"), [(200, True), (80, False)])
def test_terminal_table_fits_its_width(scores, width, has_tasks):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(as_terminal(scores, width))
    text = console.file.getvalue()
    board = scores.leaderboard()
    assert f"{board.score.iloc[0]:.3f}" in text
    for value in board[scores.tasks[0].name]:
        assert (f" {value:.3f} " in text) == has_tasks
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert ("wider terminal" in text) != has_tasks


def test_control_characters_never_reach_a_terminal(tasks):
    scores = _scores(tasks[:1], methods=("ok", "\x1b[2Jgone\n"))
    for text in (as_markdown(scores), as_latex(scores)):
        assert "\x1b" not in text
        assert "gone\n" not in text


def test_page_is_well_formed_and_loads_nothing(page, scores, bench):
    parsed = _Page(page)
    assert parsed.opened == []
    assert parsed.scripts == 1
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in parsed.links)
    assert not re.search(r"url\((?!#)|@import|https?://", page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)
    assert page.count('<svg class="plot"') == 2 * len(scores.tasks) + 1  # one task has two objectives
    assert bench.sha256 in parsed.text
    assert len(page) < 1_000_000


def test_page_shows_the_scores(page, scores):
    rows = page.split("<tbody>")[1].split("</tbody>")[0].split("</tr>")[:-1]
    board = scores.leaderboard()
    for row, (method, line) in zip(rows, board.iterrows(), strict=True):
        cells = [cell.strip() for cell in _cells(row)]
        assert cells[:2] == [f"{line['rank']:.0f}", method]
        interval = f"{line.score:.3f} {line.low:.3f} to {line.high:.3f}"
        assert cells[4:9] == ["-", interval, *(f"{line[t.name]:.3f}" for t in scores.tasks)]


def _cells(row):
    parsed = []
    for cell in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row, flags=re.DOTALL):
        parsed.append(_Page(cell).text)
    return parsed


def test_page_escapes_names_and_errors(tasks, tmp_path):
    error = 'Traceback\n<img src=x onerror="alert(2)"> & \x00\ud800 {{ 7 * 7 }}'
    methods = (ATTACK, '"><b onclick=x>$\\frac{1}$')
    write_page(_scores(tasks[:1], methods=methods, error=error), tmp_path / "page.html")
    parsed = _Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert parsed.scripts == 1
    assert all(method in parsed.text for method in methods)
    assert '<img src=x onerror="alert(2)"> & ' in parsed.text
    assert "{{ 7 * 7 }}" in parsed.text


def test_page_has_the_same_bytes_each_time(page, scores, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 20, "axes.grid": False}):  # a user's own settings
        before = dict(matplotlib.rcParams)
        write_page(_scores(scores.tasks), tmp_path / "again.html")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_one_run_of_one_method_on_one_task(tasks, tmp_path):
    scores = _scores(tasks[2:], methods=("only",), seeds=1)
    score = f"{scores.runs.score[0]:.3f}"
    _, rows = _markdown_rows(as_markdown(scores))
    span = f"{score} ({score} to {score})"
    assert rows == [["1", "only", "self-reported", "1.00", "-", span, f"**{score}**", "1", "0", "0.5"]]
    write_page(scores, tmp_path / "page.html")
    parsed = _Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert score in parsed.text
    assert "1 task, 1 run (1 a method and task; none failed)" in parsed.text


def test_many_methods_look_different(tasks, tmp_path):
    from nasbench_imc.leaderboard.figures import glyph, looks

    methods = [f"method-{k:02}" for k in range(30)]
    assert len({glyph(look) for look in looks(methods).values()}) == 30
    scores = _scores(tasks[:1], methods=methods[:12], seeds=2)
    write_page(scores, tmp_path / "page.html")
    assert all(method in (tmp_path / "page.html").read_text() for method in methods[:12])


def test_a_missing_library_is_named_with_its_remedy(scores, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(BenchmarkError, match=r"jinja2.*nasbench-imc\[search\]"):
        write_page(scores, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_page(scores, tmp_path, monkeypatch):
    (tmp_path / "page.html").write_text("old")
    monkeypatch.setattr("nasbench_imc.leaderboard.page._render", lambda *_: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        write_page(scores, tmp_path / "page.html")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def _table(scores, method, **fields):
    """A copy of a method's runs under another name."""
    rows = scores.runs[scores.runs.method == METHODS[0]].copy()
    return rows.assign(method=method, **fields)


def _with(scores, *more):
    runs = pd.concat([scores.runs, *more], ignore_index=True)
    return Scores(scores.tasks, tuple(sorted(set(runs.method))), runs)


@pytest.fixture(scope="module")
def mixed(scores, tasks):
    """Beside the complete methods two slow ones: two seeds on two tasks."""
    slow = [_table(scores, f"slow-{k}", official=k > 0) for k in range(2)]
    few = [rows[rows.task.isin([task.name for task in tasks[:2]]) & (rows.seed < 2)] for rows in slow]
    return _with(scores, *few)


def test_slow_methods_rank_in_a_table_of_their_own(scores, mixed, tasks):
    rows = list(csv.DictReader(io.StringIO(as_csv(mixed))))
    main, subset = (
        [row for row in rows if row["board"] == name] for name in ("own tasks", "own tasks subset 1")
    )
    alone = list(csv.DictReader(io.StringIO(as_csv(scores))))
    assert main == alone
    assert {row["method"] for row in subset} == {*METHODS, "slow-0", "slow-1"}
    assert {row["runs"] for row in subset} == {"4"}
    assert all(row[f"score {tasks[2].name} [1]"] == "" for row in subset)
    first = next(row for row in subset if row["method"] == METHODS[0])
    twin = next(row for row in subset if row["method"] == "slow-1")
    same = [name for name in first if name not in ("method", "official")]
    assert [first[name] for name in same] == [twin[name] for name in same]
    runs = scores.runs[(scores.runs.method == METHODS[0]) & (scores.runs.seed < 2)]
    expected = runs[runs.task == tasks[0].name].score.mean()
    assert float(first[f"score {tasks[0].name} [1]"]) == pytest.approx(expected, rel=1e-14)
    for text in (as_markdown(mixed), as_latex(mixed)):
        assert text.count("subset 1: 2 tasks, 2 seeds") == 1
        assert text.count("slow-1") == 2  # a row, and the list of the set
        assert text.count("Left out, as not on the tasks and seeds of this board: 8 runs each of ") == 1


def test_slow_methods_on_the_page(mixed, tmp_path):
    write_page(mixed, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    parsed = _Page(text)
    assert parsed.opened == []
    assert text.count('<table class="sortable">') == 2
    assert "subset 1: 2 tasks, 2 seeds" in parsed.text
    assert len(parsed.ids) == len(set(parsed.ids))


def test_a_task_on_the_page_is_of_the_runs_of_its_board(tasks, tmp_path):
    """A seed more of one method does not count in its numbers; own tasks are tested among each other."""
    shipped = nbi.task("nb201/sram-digital/S-accuracy")
    plain = _scores([shipped, tasks[2]], seeds=7)
    more = plain.runs[(plain.runs.method == METHODS[0]) & (plain.runs.seed == 0)]
    write_page(plain, tmp_path / "plain.html")
    write_page(_with(plain, more.assign(seed=7, score=-9e6)), tmp_path / "more.html")
    sections = [
        (tmp_path / name).read_text(encoding="utf-8").split('<section class="card" id="task-')[1:]
        for name in ("plain.html", "more.html")
    ]
    assert len(sections[0]) == 2
    assert all(section.count("<td>better</td>") + section.count("<td>worse</td>") for section in sections[0])
    assert sections[0] == sections[1]
    notes_ = (tmp_path / "more.html").read_text(encoding="utf-8")
    assert notes_.count("this board: 1 run of random_search") == 2


def test_every_format_carries_the_set_of_methods(scores, tmp_path):
    stamp = method_set(METHODS)
    write_page(scores, tmp_path / "page.html")
    page = _Page((tmp_path / "page.html").read_text(encoding="utf-8")).text
    console = Console(width=300, file=io.StringIO(), color_system=None)
    console.print(as_terminal(scores, 300))
    for text in (as_markdown(scores), as_latex(scores), page, console.file.getvalue()):
        assert f"method set {stamp} (" in text
        assert text.count("random") >= 2
    for row in csv.DictReader(io.StringIO(as_csv(scores))):
        assert (row["method_set"], row["methods"].split("; ")) == (stamp, sorted(METHODS))


def test_trust_tiers(scores, tmp_path):
    tiers = {"random_search": TIERS[1], ATTACK: TIERS[2]}
    found = {row["method"]: row["trust"] for row in csv.DictReader(io.StringIO(as_csv(scores, tiers)))}
    assert found == {"random_search": "replayed", ATTACK: "re-run", "b|a*r": "self-reported"}
    write_page(scores, tmp_path / "page.html", tiers)
    for text in (as_markdown(scores, tiers), as_latex(scores, tiers), (tmp_path / "page.html").read_text()):
        rows = text.split("1,000")[0]
        assert all(rows.count(tier) >= 2 for tier in TIERS)
    with pytest.raises(nbi.UnknownNameError, match="unknown trust tier 'sworn'"):
        as_markdown(scores, {"random_search": "sworn"})


def test_many_tasks_have_no_columns_but_in_the_csv_file(bench):
    tasks = [_task(bench, f"nb201/chip/S-{k}", "S") for k in range(9)]
    scores = _scores(tasks)
    head, _ = _markdown_rows(as_markdown(scores))
    assert head == [
        "rank", "method", "trust", "mean rank", "Elo", "score", "runs", "failed runs", "overhead \\[s\\]"
    ]  # fmt: skip
    assert f"score {tasks[8].name} [1]" in as_csv(scores)
    assert "bold" not in as_markdown(scores)


@pytest.fixture(scope="module")
def wide(bench):
    """Eight tasks, eight methods, eleven seeds: enough for intervals and the diagram."""
    tasks = [_task(bench, f"nb201/chip/S-{k}", "S") for k in range(8)]
    return _scores(tasks, methods=(ATTACK, *(f"method-{k}" for k in range(6)), "random_search"), seeds=11)


def test_page_compares_methods(wide, tmp_path):
    write_page(wide, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    parsed = _Page(text)
    assert parsed.opened == []
    assert parsed.scripts == 1
    diagram = re.search(r'aria-label="Critical-difference diagram".*?<svg.*?</svg>', text, flags=re.DOTALL)
    board = wide.leaderboard()
    shown = _Page(diagram.group()).text
    for method in wide.methods:
        assert method[:23] in shown
        assert f"({board.loc[method, 'mean_rank']:.2f})" in shown
    assert "@" not in shown
    assert "CD 3.71 (of independent tasks)" in shown  # k = 8, N = 8: 3.031 sqrt(8 * 9 / (6 * 8)) = 3.71
    assert "these 8 are of one such pair, so methods may be apart less than CD makes it look" in parsed.text
    assert "has the same sign as the sum of signed ranks" in " ".join(parsed.text.split())
    duels = text.split('<table class="duels">')[1].split("</table>")[0]
    rows = [_cells(row)[1:] for row in duels.split("<tbody>")[1].split("</tr>")[:-1]]
    counts = [[[int(n) for n in cell.split(" / ")] if cell else None for cell in row] for row in rows]
    for i, row in enumerate(counts):
        assert row[i] is None
        for j, cell in enumerate(row):
            if i != j:
                assert sum(cell) == 8
                assert cell == counts[j][i][::-1]
    assert counts[0][7] == [8, 0, 0]  # 0.2 against 1.6 times random search's regret


def test_page_says_why_there_is_no_diagram(page, wide, bench, tmp_path):
    assert "takes at least 5 tasks; these are 3." in _Page(page).text
    scores = _scores(wide.tasks, methods=[f"m{k}" for k in range(21)], seeds=1)
    write_page(scores, tmp_path / "page.html")
    text = _Page((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "of 21 methods it would not be legible (20 at most)" in text
    assert "Too many to list here" in text
    two = _scores(wide.tasks[:1], methods=("a", "b"), seeds=1)
    write_page(two, tmp_path / "page.html")
    assert "fewer than three methods" in (tmp_path / "page.html").read_text()


def test_notes_say_that_seeds_are_too_few(scores, wide):
    note = "With 4 seeds no difference within a task can be significant: 3 pairs of methods"
    assert note in as_markdown(scores)
    assert "no difference within a task" not in as_markdown(wide)  # 28 pairs need 11


def test_notes_say_whether_tasks_or_clusters_are_too_few(scores, wide):
    one = "1 cluster of tasks (table x hardware family), and it takes 4"
    assert f"No Elo, and no intervals: 3 tasks, and it takes 5; {one}." in _plain(scores)
    assert f"No intervals of them: {one}." in _plain(wide)
    chips = wide.tasks[0].load_table().hardware.groupby("family").head(1).index  # one of each family
    tasks = [replace(task, hardware=(chips[k % 4],)) for k, task in enumerate(wide.tasks)]
    assert "Their intervals: 95 % bootstrap over 4 clusters of tasks" in _plain(_scores(tasks))
    assert "No Elo, and no intervals: 4 tasks, and it takes 5." in _plain(_scores(tasks[:4]))


def _plain(scores):
    return " ".join(notes(scores))


def test_methods_that_recommend_nothing_or_share_no_seed(tasks, tmp_path):
    scores = _scores(tasks[1:2], methods=("a", "b"), seeds=7)
    scores.runs["recommended"] = [()] * len(scores.runs)
    scores.runs.loc[scores.runs.method == "b", "seed"] += 7
    write_page(scores, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "nan" not in _Page(text).text
    assert text.count('<svg class="plot"') == 3


@pytest.mark.parametrize("name", ["hybrid/joint/J-energy-area", "nb201/sram-sizes/J-energy-area"])
def test_the_true_front_keeps_the_limits_that_the_axes_do_not_show(name):
    task = nbi.task(name)
    cost = shown_cost(task)
    accuracy, costs, feasible, others = _all_designs(task, task.load_table(), cost)
    front = _front(accuracy, costs, others, accuracy[feasible].max())
    (hidden,) = set(task.limits) - {cost}
    within = front[costs[front] <= task.limits[cost]]
    assert len(within)
    assert feasible[within].all(), hidden
    for place in within:  # and no other beats it
        beats = feasible & (accuracy >= accuracy[place]) & (costs <= costs[place])
        assert not (beats & ((accuracy > accuracy[place]) | (costs < costs[place]))).any()


def test_shipped_tasks_of_other_tracks(tmp_path):
    names = ("joint/J-edap", "joint/J-front", "sram-to-pcm-t0/T-energy")
    write_page(_scores([nbi.task(f"nb201/{name}") for name in names], seeds=2), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    parsed = _Page(text)
    joint = nbi.task("nb201/joint/J-edap")
    limits = f"accuracy ≥ {joint.least['accuracy']:g} %"
    assert f"least edap · {limits} · hardware {len(joint.hardware)} configurations" in parsed.text
    assert "EDAP [µJ·µs·mm²]" in parsed.text
    assert "Mean regret [decades]" in parsed.text
    assert "With 3 objectives no attainment surface is drawn" in parsed.text
    assert parsed.text.count("recommended at full budget by the run of median score of each method.") == 2
    assert parsed.text.count("recommended at full budget; a larger marker stands for more runs.") == 1
    assert "labels of sram-digital-r128 are free" in parsed.text
    assert text.count('<svg class="plot"') == 2 * 3 + 1
    assert "Of the grey designs one in" in parsed.text
    rasters = [base64.b64decode(data) for data in re.findall('data:image/png;base64,([^"]+)', text)]
    assert rasters
    assert {raster[25] for raster in rasters} == {3}  # colour type of a palette


def test_with_more_costs_hypervolume_alone_is_shown(bench, tmp_path):
    task = _task(bench, "nb201/chip/M-two", "M")
    data = json.loads(task.to_json())
    data["objectives"] = ["accuracy", "energy", "area"]
    for end, area in (("ideal", 1.0), ("nadir", 9.0)):
        data["frozen"][end]["area"] = area
    scores = _scores([Task.from_json(json.dumps(data), "two costs")])
    write_page(scores, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "With 3 objectives no attainment surface is drawn" in text
    assert text.count('<svg class="plot"') == 2
