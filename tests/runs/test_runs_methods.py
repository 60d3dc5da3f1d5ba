"""Finding searchers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nasbench_imc as nbi
from nasbench_imc.runs import find_method, methods

BASELINES = ["local_search", "nsga2", "random_search", "regularized_evolution", "tpe"]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_baselines_are_installed() -> None:
    assert [name for name in methods() if name in BASELINES] == BASELINES
    for name in BASELINES:
        assert find_method(name) == methods()[name]
        assert find_method(name).source == f"nasbench_imc_baselines.{name}:search"
        assert callable(find_method(name).load())


def test_module_and_function() -> None:
    method = find_method("nasbench_imc_baselines.local_search:search")
    assert method.name == "local_search"
    assert find_method("nasbench_imc_baselines.common:draw").name == "common.draw"


def test_file_and_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine.py", "def search(session, rng): return 5\ndef other(session, rng): return 6\n")
    monkeypatch.chdir(tmp_path)
    one, other = find_method("mine.py:search"), find_method("mine.py:other")
    assert (one.name, other.name) == ("mine", "mine.other")
    assert Path(one.source.rpartition(":")[0]).is_absolute()
    assert (one.load()(None, None), other.load()(None, None)) == (5, 6)  # type: ignore[arg-type]


def test_parts_of_a_searcher_in_a_package_are_part_of_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "parted" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        write(folder / "__init__.py", "def search(session, rng): return 2\n")
    write(package / "main.py", "from parted.help import K\ndef search(session, rng): return K\n")
    write(package.parent / "help.py", "K = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    (package / ".#main.py").symlink_to("nowhere")  # as an editor leaves it
    sources = ["parted.inner.main:search", "parted.inner:search", "parted:search"]
    first = [find_method(source).fingerprint() for source in sources]
    alone = find_method(f"{package / 'main.py'}:search").fingerprint()
    write(package.parent / "help.py", "K = 5\n")
    second = [find_method(source).fingerprint() for source in sources]
    assert len({*first, *second}) == 2
    assert first != second
    assert alone == find_method(f"{package / 'main.py'}:search").fingerprint()


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        text = f"name = {folder!r}\ndef search(session, rng): return name\n"
        found.append(find_method(f"{write(tmp_path / folder / 'm.py', text)}:search").load())
    assert [searcher(None, None) for searcher in found] == ["a", "b"]  # type: ignore[arg-type]


def test_file_with_a_dataclass(tmp_path: Path) -> None:
    """Its annotations are looked up in the module, which must be found by name."""
    text = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar

@dataclass
class State:
    count: int = 0
    kinds: ClassVar[int] = 1

def search(session, rng):
    return State(3).count
"""
    path = write(tmp_path / "state.py", text)
    assert find_method(f"{path}:search").load()(None, None) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["randomsearch", "random_serch", "Random_Search"])
def test_misspelt_name_suggests(text: str) -> None:
    with pytest.raises(nbi.UnknownNameError, match=r"unknown method .*did you mean.*'random_search'"):
        find_method(text)


@pytest.mark.parametrize("text", ["", "x", ":", ":search", ".:search", "mod:", "mod:1x"])
def test_what_is_no_method_lists_the_forms(text: str) -> None:
    with pytest.raises(nbi.UnknownNameError, match="unknown method"):
        find_method(text)
    with pytest.raises(nbi.UnknownNameError, match=r"'zero_cost', 'module:function', 'file.py:function'"):
        find_method("??")


def test_a_file_without_a_function_is_told_how_to_name_one() -> None:
    with pytest.raises(nbi.UnknownNameError, match=r"for example mine.py:search"):
        find_method("mine.py")


def test_missing_file_module_and_function(tmp_path: Path) -> None:
    with pytest.raises(nbi.UnknownNameError, match=r"there is no file .*none\.py"):
        find_method(f"{tmp_path}/none.py:search")
    with pytest.raises(nbi.UnknownNameError, match=r"needs the module 'no_such_module'"):
        find_method("no_such_module:search")
    with pytest.raises(nbi.UnknownNameError, match="has no function 'seek'"):
        find_method("nasbench_imc_baselines.tpe:seek")
    with pytest.raises(nbi.UnknownNameError, match="has no function 'STARTUP'"):
        find_method("nasbench_imc_baselines.tpe:STARTUP")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_package\n", "needs the module 'no_such_package', which is not installed"),
        ("def search(:\n", "cannot be imported: SyntaxError"),
        ("raise RuntimeError('not today')\n", "cannot be imported: RuntimeError: not today"),
        ("from math import nothing\n", "cannot be imported: ImportError"),
    ],
)
def test_file_that_cannot_be_imported(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "bad.py", text)
    with pytest.raises(nbi.BenchmarkError, match=message):
        find_method(f"{path}:search")


def test_missing_dependency_of_a_baseline_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from nasbench_imc.runs import find_method\n"
        "find_method('random_search').load()\n"
        "find_method('tpe').load()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert "UnknownNameError: method 'tpe' needs the module 'optuna'" in last
    assert 'pip install "nasbench-imc[search]"' in last
