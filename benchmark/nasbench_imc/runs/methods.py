"""Finding searchers: by name among the installed ones, by module, or by file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib import metadata
from importlib.abc import SourceLoader
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_imc.errors import BenchmarkError, SearchError, UnknownNameError, unknown
from nasbench_imc.tables.files import file_sha256

if TYPE_CHECKING:
    from nasbench_imc.suites import Session, Task

GROUP = "nasbench_imc.searchers"

_BASELINES = "nasbench_imc_baselines"

#: Reference searchers whose libraries are in an extra of their own; those of all others are in ``search``.
_EXTRAS = {"gp": "bo", "qnehvi": "bo", "smac": "bo"}

Searcher = Callable[["Session", np.random.Generator], object]

#: What a slow method runs: so many of the first seeds, on tasks of at most so many queries. With ten, no
#: difference between two of 15 methods could be significant after Holm's correction.
SLOW_SEEDS, SLOW_BUDGET = 14, 100


@dataclass(frozen=True, slots=True)
class Reach:
    """Which runs a method is for, as its module says.

    Attributes
    ----------
    suits : callable
        ``suits(task)``: whether the method is made for a task. A module without it suits all.
    slow : bool
        ``SLOW = True``: a step takes longer than 0.05 s. Such a method makes fewer runs, and ranks beside
        others on these alone.
    """

    suits: Callable[[Task], object]
    slow: bool

    def covers(self, task: Task, seed: int) -> bool:
        """Whether the method is for this run."""
        short = task.unit != "queries" or task.budget <= SLOW_BUDGET
        return bool(self.suits(task)) and (not self.slow or (seed < SLOW_SEEDS and short))


@dataclass(frozen=True, slots=True)
class Method:
    """A searcher under the name that its logs bear.

    Attributes
    ----------
    name : str
    source : str
        What finds it again in another process: ``module:function`` or ``file.py:function``.
    options : tuple of (str, object)
        Keyword arguments of the function that are not its defaults.
    """

    name: str
    source: str
    options: tuple[tuple[str, Any], ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 of the file that holds the searcher; empty where there is no such file.

        Of a package, or a module of one, it is of all modules of the package, since they may be parts of the
        searcher. What the reference searchers share is of this package, whose version the logs name.
        """
        place = self.source.rpartition(":")[0]
        origin = place if place.endswith(".py") else _origin(place)
        if not origin or not Path(origin).is_file():
            return ""
        package = place.partition(".")[0]
        alone = package == place and Path(origin).name != "__init__.py"
        if place.endswith(".py") or alone or package == _BASELINES:
            return file_sha256(Path(origin))
        folder = Path(origin).parents[place.count(".") - (Path(origin).name != "__init__.py")]
        files = [path for path in folder.rglob("*.py") if path.is_file()]
        parts = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
        return sha256(
            "".join(f"{part} {name}\n" for name, part in sorted(parts.items())).encode()
        ).hexdigest()

    def code(self) -> bytes | None:
        """What the file holds that the source names; None where it names a module.

        Raises
        ------
        UnknownNameError
            Where there is no such file.
        """
        place = self.source.rpartition(":")[0]
        if not place.endswith(".py"):
            return None
        try:
            return Path(place).read_bytes()
        except FileNotFoundError:
            raise UnknownNameError(f"method {self.name!r}: there is no file {place}") from None

    def load(self, code: bytes | None = None) -> Searcher:
        """Import the searcher.

        Parameters
        ----------
        code : bytes, optional
            What its file holds, for a machine that does not have it; read from the file by default.

        Raises
        ------
        UnknownNameError
            Where the module, the file or the function is not there, or is not callable.
        BenchmarkError
            Where the module or the file raises when it is imported.
        """
        searcher = self._function(self._module(code))
        return partial(searcher, **dict(self.options)) if self.options else searcher

    def _function(self, module: ModuleType) -> Searcher:
        place, _, attribute = self.source.rpartition(":")
        searcher = getattr(module, attribute, None)
        if not callable(searcher):
            raise UnknownNameError(f"method {self.name!r}: {place} has no function {attribute!r}")
        return searcher

    def _module(self, code: bytes | None = None) -> ModuleType:
        """Import the module or the file; see :meth:`load`."""
        place = self.source.rpartition(":")[0]
        if code is None:
            code = self.code()
        try:
            return importlib.import_module(place) if code is None else _file_module(Path(place), code)
        except ModuleNotFoundError as error:
            raise UnknownNameError(
                f"method {self.name!r} needs the module {error.name!r}, which is not installed"
                + _advice(place)
            ) from error
        except Exception as error:
            raise BenchmarkError(
                f"method {self.name!r}: {place} cannot be imported: {type(error).__name__}: {error}"
            ) from error

    def stated(self, name: str) -> Any:
        """What the module or file of the searcher holds under a name; None where it holds nothing.

        Where the function was made in another module, that is asked too.

        Raises
        ------
        UnknownNameError, BenchmarkError
            As :meth:`load`.
        """
        module = self._module()
        made_in = sys.modules.get(getattr(self._function(module), "__module__", ""))
        return getattr(module, name, getattr(made_in, name, None))

    def reach(self) -> Reach:
        """Which runs the method is for.

        Raises
        ------
        SearchError
            Where its module's ``suits`` is no function, or its ``SLOW`` is neither True nor False.
        UnknownNameError, BenchmarkError
            As :meth:`load`.
        """
        suits, slow = self.stated("suits"), self.stated("SLOW")
        if suits is not None and not callable(suits):
            raise SearchError(f"method {self.name!r}: suits is {suits!r}, not a function of a task")
        if slow not in (None, True, False):
            raise SearchError(f"method {self.name!r}: SLOW is {slow!r}; it is True or False")
        return Reach(suits or (lambda task: True), bool(slow))


def methods() -> Mapping[str, Method]:
    """The installed searchers by name: entry points of the group ``nasbench_imc.searchers``."""
    found = metadata.entry_points(group=GROUP)
    return {point.name: Method(point.name, point.value) for point in sorted(found, key=lambda p: p.name)}


def find_method(text: str) -> Method:
    """The method that a text names: an installed one, ``module:function`` or ``file.py:function``.

    One that is not installed is called after its module or file, and also after its function where that
    is not ``search``.

    Raises
    ------
    UnknownNameError
        Where it names none.
    """
    method = parse_method(text)
    if text not in methods():
        method.load()
    return method


def parse_method(text: str) -> Method:
    """As :func:`find_method`, but nothing is imported: the text may name a stranger's code.

    Raises
    ------
    UnknownNameError
        Where it is not the form of one.
    """
    if text in methods():
        return methods()[text]
    place, separator, attribute = text.rpartition(":")
    if not separator or not place.strip(".") or not attribute.isidentifier():
        if text.endswith(".py"):
            raise UnknownNameError(f"method {text!r}: name the function as well, for example {text}:search")
        names = [*methods(), "module:function", "file.py:function"]
        raise unknown("method", text, names, show=len(names))
    if place.endswith(".py"):
        place = str(Path(place).resolve())
    name = Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
    return Method(name if attribute == "search" else f"{name}.{attribute}", f"{place}:{attribute}")


def _advice(module: str) -> str:
    """Which extra a reference searcher needs; empty for any other."""
    package, _, name = module.rpartition(".")
    if package != _BASELINES:
        return ""
    extra = _EXTRAS.get(name, "search")
    return f'; this reference searcher needs the extra: pip install "nasbench-imc[{extra}]"'


def _origin(module: str) -> str | None:
    """The file of a module; unlike ``find_spec`` it does not import the packages that hold it."""
    path: Sequence[str] | None = None
    spec = None
    parts = module.split(".")
    for k in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: k + 1]), path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec.origin if spec else None


class _CodeLoader(SourceLoader):
    """Loads a file from what it holds, wherever that was read; tracebacks show its lines all the same."""

    def __init__(self, path: str, code: bytes) -> None:
        self._path, self._code = path, code

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        return self._code


def _file_module(path: Path, code: bytes) -> ModuleType:
    name = f"_searcher_{path.stem}_{zlib.crc32(str(path).encode('utf-8')):08x}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_CodeLoader(str(path), code))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
