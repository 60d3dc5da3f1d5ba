"""Reading a table: one design at a time, in batches, or as a data frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from nasbench_imc import spaces
from nasbench_imc.design import Design
from nasbench_imc.errors import TableError, UnavailableError, UnknownNameError, unknown
from nasbench_imc.hardware.metrics import DERIVED, Metric
from nasbench_imc.readonly import read_only
from nasbench_imc.tables import files, layout
from nasbench_imc.tables.labels import Kind, Labels, MeasuredLabels, Selection, SyntheticLabels

if TYPE_CHECKING:
    import pandas as pd

Reader = Callable[[int, int], float]  # (architecture row, hardware column) -> value

MAX_VIEWS = 256  # label seeds whose labels are kept in memory, 50 KB each

ACCURACY = Metric("accuracy", "%", "maximise", "accuracy of the design on its hardware at the time asked for")
_PLAIN = (8, 0.0)  # bits a weight and sparsity of a network that is not compressed


def load(name: str) -> Benchmark:
    """Open a table: ``"nb201"`` or ``"hybrid"``.

    The file that ships with the package is read, or the one in the folder ``$NASBENCH_IMC_DATA``; its
    SHA-256 is checked against the release. Columns are read when they are first asked for, and the file
    is closed after each read.

    Raises
    ------
    UnknownNameError
        Where no table has this name.
    TableError
        Where the file is missing, truncated, altered or of a schema that this version cannot read.
    """
    return Benchmark(files.find(name))


@dataclass(frozen=True, slots=True)
class _Column:
    """A dataset in memory: values with their axes."""

    axes: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Training:
    """How a network was trained.

    Attributes
    ----------
    epochs : ndarray, shape (E,)
        Epochs of individual training at each entry of the learning curve; 0: before it.
    learning_curve : ndarray, shape (E,)
        Validation accuracy [%].
    seconds : ndarray, shape (E,)
        What each entry of the learning curve took beyond the one before [core-s].
    supernet_seconds : float
        What training the super-network took from which it inherits, as all networks of the seed do
        [core-s]; 0: from none.
    evaluation_seconds : float
        What all noise draws of its accuracy on all hardware take [core-s].
    anchor_seconds : float
        What the draws of one accuracy take together beside them [core-s].
    weights_sha256 : str
        SHA-256 over the bytes of the kept codes, scales and other weights, in this order.
    parameters : int
        That are trained; 0 where the table does not know.
    processor, parent_processor, evaluation_processor : str
        What trained the network, trained what it inherits from, and evaluated it; "" where it is not known.
    """

    epochs: np.ndarray
    learning_curve: np.ndarray
    seconds: np.ndarray
    supernet_seconds: float
    evaluation_seconds: float
    anchor_seconds: float
    weights_sha256: str
    parameters: int
    processor: str
    parent_processor: str
    evaluation_processor: str


@dataclass(frozen=True, slots=True)
class Proxies:
    """Zero-cost proxies of a network.

    Attributes
    ----------
    values : mapping of str to float
        Name -> value [1].
    seconds : float
        What computing all of them took [core-s].
    """

    values: Mapping[str, float] = field(hash=False)
    seconds: float


class Measurement(Mapping[str, float]):
    """What the table says of one design: a read-only mapping from metric to value.

    ``m["energy"]`` is a float in the unit ``m.units["energy"]``. It holds the metrics that exist for
    this design; any other raises an error that says why, never a NaN.
    """

    __slots__ = ("_column", "_row", "_view", "design")

    design: Design

    def __init__(self, view: _View, design: Design, row: int, column: int) -> None:
        put = object.__setattr__
        put(self, "_view", view)
        put(self, "design", design)
        put(self, "_row", row)
        put(self, "_column", column)

    def __getitem__(self, metric: str) -> float:
        view = self._view  # type: ignore[attr-defined]
        try:
            read = view.readers[metric]
        except (KeyError, TypeError):
            read = view.reader(metric)
        return read(self._row, self._column)  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[str]:
        view: _View = self._view  # type: ignore[attr-defined]
        return view.available(self._column)  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, metric: object) -> bool:
        return any(metric == name for name in self)

    def get(self, metric: str, default: Any = None) -> Any:
        """The value, or ``default`` where this design has no such metric."""
        if metric not in self:
            return default
        return self[metric]

    def __reduce__(self) -> tuple[Any, ...]:
        return Measurement, (self._view, self.design, self._row, self._column)  # type: ignore[attr-defined]

    def __deepcopy__(self, memo: object) -> Measurement:
        return self  # nothing of it can change

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Measurement is read-only")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Measurement is read-only")

    def __repr__(self) -> str:
        shown = [name for name in ("accuracy", "energy", "latency", "area") if name in self]
        values = ", ".join(f"{name}={self[name]:.5g} {self.units[name]}" for name in shown)
        return f"<Measurement of {self.design} at {self.at}: {values}, ... ({len(self)} metrics)>"

    @property
    def at(self) -> str:
        """Time since programming."""
        view: _View = self._view  # type: ignore[attr-defined]
        return view.selection.at

    @property
    def units(self) -> Mapping[str, str]:
        """Metric name -> unit; ``"1"`` where a metric has none."""
        view: _View = self._view  # type: ignore[attr-defined]
        return view.benchmark.units


class _View:
    """The readers of single values for one selection; each is made when first asked for."""

    __slots__ = ("benchmark", "readers", "selection")

    def __init__(self, benchmark: Benchmark, selection: Selection) -> None:
        self.benchmark, self.selection = benchmark, selection
        self.readers: dict[str, Reader] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _View, (self.benchmark, self.selection)

    def available(self, column: int) -> Iterator[str]:
        """Names of the metrics that designs on a configuration have."""
        bench, selection = self.benchmark, self.selection
        has_accuracy = bench._labels.cells(selection.at, selection.compression)[column] >= 0
        return (name for name in bench.metrics if name != "accuracy" or has_accuracy)

    def reader(self, metric: str) -> Reader:
        bench = self.benchmark
        bench._check_metric(metric)
        if metric == "accuracy":
            made = self._accuracy_reader()
        elif metric in DERIVED:
            inputs = [self.readers.get(name) or self.reader(name) for name in DERIVED[metric].inputs]
            function = DERIVED[metric].function

            def made(row: int, column: int) -> float:
                return float(function(*(read(row, column) for read in inputs)))
        else:
            made = self._stored_reader(bench._column(metric, self.selection))
        self.readers[metric] = made
        return made

    def _stored_reader(self, column: _Column) -> Reader:
        item, class_of = column.values.ravel().item, self.benchmark._class_list
        if column.axes == ("class", "hardware"):
            width = column.values.shape[1]
            return lambda row, hardware: item(class_of[row] * width + hardware)
        if column.axes == ("class",):
            return lambda row, hardware: item(class_of[row])
        return lambda row, hardware: item(row)

    def _accuracy_reader(self) -> Reader:
        bench, selection = self.benchmark, self.selection
        labels = bench._labels.values(selection)
        item, width = labels.ravel().item, labels.shape[1]
        class_of = bench._class_list
        cell_of = bench._labels.cells(selection.at, selection.compression).tolist()

        def read(row: int, hardware: int) -> float:
            cell = cell_of[hardware]
            if cell < 0:
                raise bench._no_accuracy([hardware], selection)
            return item(class_of[row] * width + cell)

        return read


class Benchmark:
    """A table in memory. Made by :func:`nasbench_imc.load`.

    Attributes
    ----------
    name, version, sha256 : str
        Which table it is.
    official : bool
        Whether the file is the released one.
    space : Space
        The search space whose architectures the table holds.
    hardware_ids : tuple of str
        Ids of the IMC configurations.
    times : tuple of str
        Times since programming.
    compressions : tuple of (int, float)
        Bits a weight and sparsity of each compression that has hardware costs.
    draws : int
        Noise draws of each accuracy label; 0 where labels are not made of draws.
    training_seeds : tuple of int
        Seeds with which networks were trained; all of them with the first.
    proxy_names : tuple of str
        Zero-cost proxies that the table has; each is also a metric, ``proxy_NAME``.
    """

    def __init__(self, source: files.TableFile) -> None:
        self._path: Path = source.path
        self._stamp = _stamp(source.path)
        self.sha256, self.official = source.sha256, source.official
        with self._open() as file:
            self.attributes: Mapping[str, Any] = read_only(_root_attributes(file, self._path))
            self.name, self.version = str(self.attributes["space"]), str(self.attributes["version"])
            codes = [code.decode("ascii") for code in file["architectures"][:].tolist()]
            self._class_of: np.ndarray = file["class_of"][:]
            self._representatives: np.ndarray = file["representatives"][:]
            self.accuracy_classes = tuple(
                name.decode("ascii") for name in file["accuracy_classes"][:].tolist()
            )
            self.times = tuple(time.decode("ascii") for time in file["times"][:].tolist())
            self.hardware_ids = tuple(id_.decode("ascii") for id_ in file["hardware/id"][:].tolist())
            self._accuracy_class: np.ndarray = file["hardware/accuracy_class_index"][:]
            hardware_times = [text.decode("ascii").split() for text in file["hardware/times"][:].tolist()]
            self._stored = {name: f"cost/{name}" for name in file["cost"]}
            self._stored |= {name: f"score/{name}" for name in file["score"] if name != "accuracy"}
            self.proxy_names = tuple(file["proxy"]) if "proxy" in file else ()
            self._stored |= {f"proxy_{name}": f"proxy/{name}" for name in self.proxy_names}
            if "cell" in file:  # measured here, not published elsewhere
                self.compressions = _compressions(file)
                self.training_seeds = tuple(file["training/seed"][:].tolist())
                self._trained: np.ndarray | None = file["training/valid"][:]
                self._labels: Labels = MeasuredLabels(
                    self._read, self._accuracy_class, file["score/accuracy"].shape[-1]
                )
            else:
                self._stored |= {name: f"published/{name}" for name in file["published"]}
                self.compressions, self.training_seeds, self._trained = (_PLAIN,), (0,), None
                self._labels = SyntheticLabels(self._read, self._accuracy_class, self.times)
        try:
            self.space = spaces.get(self.name)
        except UnknownNameError as error:
            raise TableError(f"{self._path} is a table of another space: {error}") from error
        self._codes = tuple(codes)
        self._row = {code: row for row, code in enumerate(codes)}
        self._class_list: list[int] = self._class_of.tolist()
        self._hardware_column = {id_: column for column, id_ in enumerate(self.hardware_ids)}
        self._hardware_times = [frozenset(times) for times in hardware_times]
        self.draws = self._labels.draws
        self._compression = {compression: index for index, compression in enumerate(self.compressions)}
        self._columns: dict[str, _Column] = {}
        # Keys: the arguments of _view. Only views that serve every architecture are in the first.
        self._views: dict[tuple[Any, ...], _View] = {}
        self._partial_views: dict[tuple[Any, ...], _View] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads the file again: neither its contents nor a handle are pickled."""
        return _read_again, (files.TableFile(self._path, self.sha256, self.official),)

    def __repr__(self) -> str:
        return (
            f"<Benchmark {self.name} {self.version}: {len(self._codes):,} architectures, "
            f"{len(self.hardware_ids)} hardware configurations>"
        )

    # ---- what there is ------------------------------------------------------------------------------

    @property
    def architectures(self) -> tuple[str, ...]:
        """Codes in the table's order."""
        return self._codes

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """Every metric that a query may name, with unit, direction and description."""
        with self._open() as file:
            stored = {name: _metric(name, file[path]) for name, path in self._stored.items()}
        derived = {name: rule.metric for name, rule in DERIVED.items()}
        return read_only({"accuracy": ACCURACY, **stored, **derived})

    @cached_property
    def units(self) -> Mapping[str, str]:
        """Metric name -> unit."""
        return read_only({name: metric.unit for name, metric in self.metrics.items()})

    @cached_property
    def hardware(self) -> pd.DataFrame:
        """One row an IMC configuration, indexed by its id; columns are the fields of its record.

        ``NA`` stands for what a configuration does not have, such as the ADC bits of digital SRAM.
        """
        import pandas as pd

        with self._open() as file:
            columns = {name: dataset[:] for name, dataset in file["hardware"].items()}
        frame = pd.DataFrame(
            {name: (v.astype(str) if v.dtype.kind == "S" else v) for name, v in columns.items()}
        )
        frame = frame.drop(columns="accuracy_class_index").set_index("id")
        for name, column in frame.select_dtypes("int64").items():
            if (column < 0).any():
                frame[name] = column.astype("Int64").mask(column < 0)
        return frame

    def canonical(self, arch: str) -> str:
        """The code that stands for all cells functionally identical to ``arch``: its canonical id.

        Raises
        ------
        UnknownNameError
            Where the code is malformed.
        UnavailableError
            Where the table does not hold the network.
        """
        return self._codes[self._representatives[self._class_of[self._rows([arch])[0]]]]

    @cached_property
    def canonical_ids(self) -> tuple[str, ...]:
        """Canonical id of every architecture, in the table's order."""
        return tuple(self._codes[row] for row in self._representatives[self._class_of])

    def accuracy_hardware(self, weight_bits: int = 8, sparsity: float = 0.0) -> list[str]:
        """Ids of the configurations for which the table has :data:`accuracy <ACCURACY>`, at any time.

        Raises
        ------
        UnavailableError
            A compression that the table does not have.
        """
        compression = self._compression_index(weight_bits, sparsity)
        cells = np.stack([self._labels.cells(at, compression) for at in self.times])
        return [self.hardware_ids[column] for column in np.flatnonzero((cells >= 0).any(axis=0))]

    def trained(self, training_seed: int = 0) -> tuple[str, ...]:
        """Codes of the networks that were trained with a seed, in the table's order.

        Raises
        ------
        UnavailableError
            A training seed that the table does not have.
        """
        index = self._training_index(training_seed)
        if self._trained is None:
            return self._codes
        return tuple(code for code, valid in zip(self._codes, self._trained[index], strict=True) if valid)

    def training(self, arch: str, training_seed: int = 0) -> Training:
        """Learning curve, seconds and weights of a network.

        Raises
        ------
        UnknownNameError
            Where the code is malformed.
        UnavailableError
            Where the table does not hold the network or the seed, or its networks were trained elsewhere.
        """
        if self._trained is None:
            raise UnavailableError(f"the networks of table {self.name!r} were trained elsewhere")
        row, index = self._rows([arch])[0], self._training_index(training_seed)
        self._check_trained([row], index)

        def read(name: str) -> np.ndarray:
            return self._raw(f"training/{name}").values

        return Training(
            epochs=read("epoch").copy(),
            learning_curve=read("learning_curve")[index, row].copy(),
            seconds=read("seconds")[index, row].copy(),
            supernet_seconds=float(read("supernet_seconds")[index]),
            evaluation_seconds=float(read("evaluation_seconds")[index, row]),
            anchor_seconds=float(read("anchor_seconds")[index, row]),
            weights_sha256=read("weights_sha256")[index, row].decode("ascii"),
            parameters=int(read("parameters")[row]),
            processor=read("processor")[index, row].decode("ascii"),
            parent_processor=read("parent_processor")[index, row].decode("ascii"),
            evaluation_processor=read("evaluation_processor")[index, row].decode("ascii"),
        )

    def proxies(self, arch: str) -> Proxies:
        """Zero-cost proxies of a network, and what they took.

        Raises
        ------
        UnknownNameError
            Where the code is malformed.
        UnavailableError
            Where the table does not hold the network, or has no proxies.
        """
        row = self._rows([arch])[0]
        if not self.proxy_names:
            raise UnavailableError(f"table {self.name!r} has no zero-cost proxies")
        values = {name: float(self._raw(f"proxy/{name}").values[row]) for name in self.proxy_names}
        seconds = sum(float(self._raw(f"proxy_seconds/{name}").values[row]) for name in self.proxy_names)
        return Proxies(read_only(values), seconds)

    @cached_property
    def reference(self) -> pd.DataFrame:
        """What long training of single networks reaches: how far the table's ranking can be trusted.

        Returns
        -------
        pandas.DataFrame
            One row a network of the audit list that was trained so, one column a training seed:
            floating-point accuracy on test images [%], NaN where the network was not trained so with that
            seed. Without rows where the table has none.
        """
        import pandas as pd

        with self._open() as file:
            if "reference" not in file:
                return pd.DataFrame(index=pd.Index([], name="arch"))
            held = {name: file[f"reference/{name}"][:] for name in ("code", "seed", "accuracy")}
        codes = pd.Index(held["code"].astype(str), name="arch")
        return pd.DataFrame(held["accuracy"], codes, pd.Index(held["seed"], name="training_seed"))

    @property
    def cells(self) -> int:
        """How many accuracies each network has: pairs of a compression and an accuracy class at a time.

        0 where accuracies are published ones.
        """
        return self._labels.declared if isinstance(self._labels, MeasuredLabels) else 0

    @property
    def distinct_networks(self) -> int:
        """How many of the architectures are different networks."""
        return len(self._representatives)

    def label_noise(
        self, hardware: str, at: str = "1d", weight_bits: int = 8, sparsity: float = 0.0
    ) -> float:
        """Standard deviation of the search labels' noise on one configuration [% accuracy].

        Where labels are means over noise draws: the standard error of that mean, root mean square over
        networks. It holds what devices and the choice of images do, not how far validation is from test,
        and is that of training seed 0, which every network has.

        Raises
        ------
        UnknownNameError, UnavailableError
            Unknown hardware, time or compression, or hardware for which the table has no accuracy.
        """
        column = int(self._hardware_columns([hardware])[0])
        selection = self._view(at, "search", None, None, 0, weight_bits, sparsity).selection
        cell = self._labels.cells(at, selection.compression)[column]
        if cell < 0:
            raise self._no_accuracy([column], selection)
        return float(self._labels.noise(at, selection.compression)[cell])

    # ---- queries ------------------------------------------------------------------------------------

    def query(
        self,
        design: Design,
        at: str = "1d",
        *,
        labels: Kind = "score",
        seed: int | None = None,
        draws: int | None = None,
        training_seed: int = 0,
    ) -> Measurement:
        """What the table says of a design.

        Parameters
        ----------
        design : Design
        at : {"t0", "60s", "1h", "1d", "30d"}
            Time since programming; configurations that do not drift take any.
        labels : {"score", "search"}
            Which accuracy: the one that is scored, or the one that a search sees.
        seed : int, optional
            Label seed of search labels. Without one they are the mean over seeds; on ``nb201`` their
            noise is synthetic with mean zero, so that mean is the score label. Where labels are means
            of noise draws, the seed says which of them come first; it matters to ``draws`` only.
        draws : int, optional
            Average only so many noise draws, the cheaper and noisier label: with a label seed s the
            draws s, s + 1, ... modulo their number, without one the first. All by default.
        training_seed : int
            Which training of the network; every network has 0, those of :meth:`trained` another.

        Raises
        ------
        UnknownNameError
            Unknown architecture, hardware, time or kind of label.
        UnavailableError
            A time or compression that the table does not have for this design. An accuracy that it
            does not have raises when that metric is read.
        """
        try:
            row = self._row[design.arch]
            column = self._hardware_column[design.hardware]
            view = self._views[at, labels, seed, draws, training_seed, design.weight_bits, design.sparsity]
            known = at in self._hardware_times[column]
        except (KeyError, TypeError, AttributeError):
            known = False
        if not known:
            row, column, view = self._locate(design, at, labels, seed, draws, training_seed)
        return Measurement(view, design, row, column)

    def array(
        self,
        metrics: str | Sequence[str],
        archs: Iterable[str] | None = None,
        hardware: str | Iterable[str] | None = None,
        *,
        at: str = "1d",
        labels: Kind = "score",
        seed: int | None = None,
        weight_bits: int = 8,
        sparsity: float = 0.0,
        draws: int | None = None,
        training_seed: int = 0,
    ) -> np.ndarray:
        """Values of many designs at once.

        Parameters
        ----------
        metrics : str or sequence of str
        archs : iterable of str, optional
            Architecture codes; all of them, in the table's order, by default. A ``training_seed`` that
            not all networks have needs those that have it: ``bench.trained(training_seed)``.
        hardware : str or iterable of str, optional
            Hardware ids; all by default.
        at, labels, seed, draws, training_seed
            As in :meth:`query`, except that costs, which do not depend on time, are had at any.
        weight_bits, sparsity
            As in :class:`~nasbench_imc.Design`.

        Returns
        -------
        numpy.ndarray, float32
            Axes: architecture, hardware, metric. The hardware axis is missing where ``hardware`` is one
            id or no metric depends on hardware; the metric axis where ``metrics`` is one name.

        Raises
        ------
        UnknownNameError, UnavailableError
            As in :meth:`query`; asked for an accuracy on hardware for which the table has none, the
            message lists the ids that have one.
        """
        names = self._metric_names(metrics)
        rows = None if archs is None else self._rows(archs)
        single = isinstance(hardware, str)
        ids = None if hardware is None else _listed(hardware, "hardware")
        columns = None if ids is None else self._hardware_columns(ids)
        selection = self._view(at, labels, seed, draws, training_seed, weight_bits, sparsity).selection
        self._check_trained(range(len(self._codes)) if rows is None else rows, selection.training)
        self._check_times(range(len(self.hardware_ids)) if columns is None else columns, at, names)
        parts = [self._values(name, rows, columns, selection) for name in names]
        if any(part.ndim == 2 for part in parts):
            width = max(part.shape[1] for part in parts if part.ndim == 2)
            parts = [
                part if part.ndim == 2 else np.broadcast_to(part[:, None], (len(part), width))
                for part in parts
            ]
            if single:
                parts = [part[:, 0] for part in parts]
        return parts[0] if isinstance(metrics, str) else np.stack(parts, axis=-1)

    def table(
        self,
        metrics: str | Sequence[str],
        hardware: str | None = None,
        *,
        at: str = "1d",
        labels: Kind = "score",
        seed: int | None = None,
        weight_bits: int = 8,
        sparsity: float = 0.0,
        draws: int | None = None,
        training_seed: int = 0,
    ) -> pd.DataFrame:
        """A data frame over architectures, for analysis.

        Parameters
        ----------
        metrics : str or sequence of str
        hardware : str, optional
            One hardware id; may be left out where no metric depends on hardware.
        at, labels, seed, draws, training_seed
            As in :meth:`query`.
        weight_bits, sparsity
            As in :class:`~nasbench_imc.Design`.

        Returns
        -------
        pandas.DataFrame
            Indexed by architecture code, one float32 column a metric; the networks that were trained
            with ``training_seed``.

        Raises
        ------
        UnknownNameError, UnavailableError
            As in :meth:`query`.
        """
        import pandas as pd

        names = self._metric_names(metrics)
        if hardware is not None and not isinstance(hardware, str):
            raise unknown("hardware", hardware, self.hardware_ids)
        if hardware is None:
            needy = [name for name in names if self._needs_hardware(name)]
            if needy:
                raise UnavailableError(
                    f"metrics {needy} depend on hardware: name one id, "
                    f"hardware={self.hardware_ids[0]!r} for example"
                )
        codes = self.trained(training_seed)
        values = self.array(
            names,
            None if codes == self._codes else codes,
            hardware,
            at=at,
            labels=labels,
            seed=seed,
            weight_bits=weight_bits,
            sparsity=sparsity,
            draws=draws,
            training_seed=training_seed,
        )
        return pd.DataFrame(values, index=pd.Index(codes, name="arch"), columns=names)

    # ---- checks, each with its message --------------------------------------------------------------

    def _locate(
        self,
        design: Design,
        at: str,
        labels: str,
        seed: int | None,
        draws: int | None,
        training_seed: int,
    ) -> tuple[int, int, _View]:
        if not isinstance(design, Design):
            raise UnknownNameError(f"expected a Design, not {type(design).__name__}: {design!r:.120}")
        row = self._rows([design.arch])[0]
        column = self._hardware_columns([design.hardware])[0]
        view = self._view(at, labels, seed, draws, training_seed, design.weight_bits, design.sparsity)
        self._check_trained([row], view.selection.training)
        self._check_times([column], at, ["accuracy"])
        return int(row), int(column), view

    def _rows(self, archs: Iterable[str]) -> np.ndarray:
        if isinstance(archs, str):
            raise UnknownNameError("archs must be a sequence of codes, not one string")
        archs = _listed(archs, "archs")
        try:
            return np.fromiter(map(self._row.__getitem__, archs), dtype=np.int64, count=len(archs))
        except (KeyError, TypeError):
            for arch in archs:
                if not isinstance(arch, str) or arch not in self._row:
                    self.space.values(arch)  # says what is malformed
                    held, space = len(self._codes), len(self.space)
                    pilot = ": a pilot" if held < space else ""
                    raise UnavailableError(
                        f"architecture {arch!r} is not in this table ({held:,} of {space:,} networks{pilot})"
                    ) from None
            raise

    def _hardware_columns(self, ids: Sequence[str]) -> np.ndarray:
        for id_ in ids:
            if not isinstance(id_, str) or id_ not in self._hardware_column:
                raise unknown("hardware", id_, self.hardware_ids)
        return np.array([self._hardware_column[id_] for id_ in ids], dtype=np.int64)

    def _metric_names(self, metrics: str | Iterable[str]) -> list[str]:
        names = _listed(metrics, "metrics")
        if not names:
            raise UnknownNameError("no metric is named; 'energy' is one")
        for name in names:
            self._check_metric(name)
        return names

    def _check_metric(self, name: str) -> None:
        if not isinstance(name, str) or (
            name != "accuracy" and name not in self._stored and name not in DERIVED
        ):
            raise unknown("metric", name, ["accuracy", *self._stored, *DERIVED])

    def _compression_index(self, weight_bits: int, sparsity: float) -> int:
        try:
            return self._compression[weight_bits, sparsity]
        except (KeyError, TypeError):
            raise UnavailableError(
                f"table {self.name!r} has no weight_bits={weight_bits!r:.40}, sparsity={sparsity!r:.40}; "
                "it has " + " and ".join(_compression_text(*each) for each in self.compressions)
            ) from None

    def _training_index(self, training_seed: int) -> int:
        whole = isinstance(training_seed, (int, np.integer)) and not isinstance(training_seed, bool)
        if not whole or training_seed not in self.training_seeds:
            raise UnavailableError(
                f"table {self.name!r} has no training_seed={training_seed!r:.40}; "
                f"it has {list(self.training_seeds)}"
            )
        return self.training_seeds.index(training_seed)

    def _check_trained(self, rows: Iterable[int], training: int) -> None:
        if training == 0 or self._trained is None:  # every network was trained with the first seed
            return
        valid = self._trained[training]
        for row in rows:
            if not valid[row]:
                seed = self.training_seeds[training]
                raise UnavailableError(
                    f"{self._codes[row]} was not trained with training_seed={seed}, as "
                    f"{int(valid.sum()):,} of {len(valid):,} networks were: those of trained({seed})"
                )

    def _check_times(self, columns: Iterable[int], at: str, names: Sequence[str]) -> None:
        if "accuracy" not in names:
            return
        for column in columns:
            times = self._hardware_times[column]
            if at not in times:
                valid = [time for time in layout.TIMES if time in times]
                raise UnavailableError(f"{self.hardware_ids[column]} has no data at {at!r}; it has {valid}")

    def _no_accuracy(self, columns: Sequence[int], selection: Selection) -> UnavailableError:
        """What to say where none of these configurations has an accuracy."""
        ids = [self.hardware_ids[column] for column in columns]
        asked = f"{', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''}"
        if isinstance(self._labels, MeasuredLabels):
            text = _compression_text(*self.compressions[selection.compression])
            return UnavailableError(
                f"table {self.name!r} has no 'accuracy' at {text} on {asked} at {selection.at!r}; "
                f"accuracy at {text} exists on these accuracy classes only: "
                f"{self._classes_with_accuracy(self._labels, selection.compression)}; "
                "column accuracy_class of .hardware gives each configuration's"
            )
        published = [
            name for name in self._stored if name.startswith("accuracy_") and not name.endswith("_spread")
        ]
        return UnavailableError(
            f"table {self.name!r} has no 'accuracy' on {asked}; "
            f"it has one on {self.accuracy_hardware()}; the published columns, {published[0]!r} to "
            f"{published[-1]!r}, do not depend on hardware"
        )

    def _classes_with_accuracy(self, labels: MeasuredLabels, compression: int) -> str:
        parts = []
        for index, name in enumerate(self.accuracy_classes):
            times = labels.times(index, compression)
            if times:
                parts.append(
                    f"{name} ({'any time' if len(times) == len(layout.TIMES) else ', '.join(times)})"
                )
        return ", ".join(parts)

    # ---- reading ------------------------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[h5py.File]:
        try:
            changed = _stamp(self._path) != self._stamp
        except OSError:
            changed = True
        if changed:
            raise TableError(f"{self._path} has changed since it was loaded; load the table again")
        try:
            with h5py.File(self._path, "r") as file:
                yield file
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            # All of these are what h5py makes of a damaged file.
            raise TableError(f"{self._path} is damaged or not a table of nasbench-imc ({error})") from error

    def _read(self, path: str) -> np.ndarray:
        with self._open() as file:
            return _read(file[path], self._path)

    def _raw(self, path: str) -> _Column:
        """A dataset as it is stored."""
        if path not in self._columns:
            with self._open() as file:
                axes = tuple(str(file[path].attrs["axes"]).split())
                column = _Column(axes, _read(file[path], self._path))
            self._check_axes(path, column)
            self._columns[path] = column
        return self._columns[path]

    def _check_axes(self, path: str, column: _Column) -> None:
        """Raise TableError where what a dataset says of its axes is not so: no checksum is over that."""
        lengths = {
            "class": len(self._representatives),
            "architecture": len(self._codes),
            "hardware": len(self.hardware_ids),
            "compression": len(self.compressions),
            "training_seed": len(self.training_seeds),
        }
        shape = column.values.shape
        fit = [lengths.get(axis) == n or axis == "epoch" for axis, n in zip(column.axes, shape, strict=False)]
        if len(column.axes) != len(shape) or not all(fit):
            raise TableError(
                f"{self._path} is damaged: {path} has axes {' '.join(column.axes)!r} and shape {shape}"
            )

    def _column(self, name: str, selection: Selection) -> _Column:
        """A stored metric, at the compression and training seed and of the labels selected."""
        path = self._stored[name]
        if selection.labels == "search" and path.startswith("score/"):
            path = "search/" + path.removeprefix("score/")
        raw = self._raw(path)
        # These axes come first, so that what is left is a view without a copy.
        if raw.axes[0] == "compression":
            return _Column(raw.axes[1:], raw.values[selection.compression])
        if raw.axes[0] == "training_seed":
            return _Column(raw.axes[1:], raw.values[selection.training])
        return raw

    def _view(
        self,
        at: str,
        labels: str,
        seed: int | None,
        draws: int | None,
        training_seed: int,
        weight_bits: int,
        sparsity: float,
    ) -> _View:
        compression = self._compression_index(weight_bits, sparsity)
        if at not in self.times:
            raise unknown("time", at, self.times)
        if labels not in ("score", "search"):
            raise unknown("kind of label", labels, ("score", "search"))
        if seed is not None:
            if labels == "score":
                raise UnavailableError("score labels have no seed; labels='search' takes one")
            if not isinstance(seed, (int, np.integer)) or not 0 <= int(seed) < 2**128:
                raise UnavailableError(f"a label seed is an integer from 0 to 2**128 - 1, not {seed!r}")
        training = self._training_index(training_seed)
        self._check_draws(draws)
        key = (at, labels, seed, draws, training_seed, weight_bits, sparsity)
        views = self._views if training == 0 else self._partial_views
        if key not in views:
            if len(views) >= MAX_VIEWS:
                views.clear()
            views[key] = _View(self, Selection(at, labels, seed, draws, training, compression))  # type: ignore[arg-type]
        return views[key]

    def _check_draws(self, draws: int | None) -> None:
        if draws is None:
            return
        if not self.draws:
            raise UnavailableError(f"labels of table {self.name!r} are not made of noise draws")
        if (
            isinstance(draws, bool)
            or not isinstance(draws, (int, np.integer))
            or not 1 <= draws <= self.draws
        ):
            raise UnavailableError(f"draws is an integer from 1 to {self.draws}, not {draws!r:.40}")

    def _needs_hardware(self, name: str) -> bool:
        self._check_metric(name)
        if name in DERIVED:
            return any(self._needs_hardware(part) for part in DERIVED[name].inputs)
        return name == "accuracy" or "hardware" in self._raw(self._stored[name]).axes

    def _values(
        self, name: str, rows: np.ndarray | None, columns: np.ndarray | None, selection: Selection
    ) -> np.ndarray:
        """Values of one metric: (architectures,) or (architectures, hardware), float32."""
        classes = self._class_of if rows is None else self._class_of[rows]
        if name == "accuracy":
            asked = np.arange(len(self.hardware_ids)) if columns is None else columns
            cells = self._labels.cells(selection.at, selection.compression)[asked]
            if (cells < 0).any():
                raise self._no_accuracy(asked[cells < 0].tolist(), selection)
            return self._labels.values(selection)[classes[:, None], cells[None, :]]
        if name in DERIVED:
            parts = [self._values(part, rows, columns, selection) for part in DERIVED[name].inputs]
            parts = [part[:, None] if part.ndim == 1 else part for part in parts]
            return DERIVED[name].function(*parts).astype(np.float32)
        column = self._column(name, selection)
        if column.axes == ("architecture",):
            return column.values.copy() if rows is None else column.values[rows]
        if column.axes == ("class",):
            return column.values[classes]
        values = column.values if columns is None else column.values[:, columns]
        return np.take(values, classes, axis=0)


def _listed(names: str | Iterable[str], what: str) -> list[str]:
    """One name, or several, as a list."""
    if isinstance(names, str):
        return [names]
    try:
        return list(names)
    except TypeError:
        raise UnknownNameError(f"{what} must be a name or a sequence of names, not {names!r:.120}") from None


def _compressions(file: h5py.File) -> tuple[tuple[int, float], ...]:
    bits, sparsity = (file[f"compression/{name}"][:].tolist() for name in ("weight_bits", "sparsity"))
    return tuple(zip(bits, sparsity, strict=True))


def _compression_text(weight_bits: int, sparsity: float) -> str:
    return f"weight_bits={weight_bits}, sparsity={sparsity}"


def _read_again(source: files.TableFile) -> Benchmark:
    """The table of a file that must be what it was."""
    if files.file_sha256(source.path) != source.sha256:
        raise TableError(f"{source.path} has changed since it was loaded; load the table again")
    return Benchmark(source)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _root_attributes(file: h5py.File, path: Path) -> dict[str, Any]:
    attributes = dict(file.attrs)
    missing = [name for name in layout.ROOT_ATTRIBUTES if name not in attributes]
    if missing:
        raise TableError(f"{path} is not a table of nasbench-imc: it lacks the attributes {missing}")
    if int(attributes["schema"]) != layout.SCHEMA:
        raise TableError(
            f"{path} has schema {attributes['schema']}, this version reads schema {layout.SCHEMA}; "
            "install the version of nasbench-imc that the table was made for"
        )
    return {
        name: json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value
        for name, value in attributes.items()
    }


def _metric(name: str, dataset: h5py.Dataset) -> Metric:
    unit, direction, description = (str(dataset.attrs[key]) for key in ("unit", "direction", "description"))
    return Metric(name, unit, direction, description)  # type: ignore[arg-type]


def _read(dataset: h5py.Dataset, path: Path) -> np.ndarray:
    try:
        return dataset[:]
    except OSError as error:  # the Fletcher-32 checksum of a chunk
        raise TableError(f"{path}: {dataset.name} is damaged ({error})") from error
