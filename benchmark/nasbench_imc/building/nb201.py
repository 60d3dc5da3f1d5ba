"""Packing ``nb201.h5``: published accuracies, label statistics and our hardware costs for every cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from nasbench_imc.building import analognas
from nasbench_imc.building.packing import Dataset, cost_datasets, hardware_datasets, write_table
from nasbench_imc.hardware import FAMILY_TIMES, grid, network_costs
from nasbench_imc.spaces import NB201
from nasbench_imc.tables.layout import TIMES

VERSION = "0.3.0"

#: Accuracy class of a configuration -> the published column that is its accuracy at each time.
ACCURACY_COLUMNS = {
    "sram-digital-int8": dict.fromkeys(TIMES, "accuracy_ptq_int8"),
    "pcm-aihwkit-t512": {time: f"accuracy_pcm_hwa_{time}" for time in TIMES},
}

_METHODS = {
    "accuracy_digital": "floating point",
    "accuracy_ptq_int8": "8-bit post-training quantisation",
    "accuracy_qat_int8": "8-bit quantisation-aware training",
    "accuracy_pcm_direct": "PCM without hardware-aware training",
    "accuracy_pcm_hwa": "PCM after hardware-aware training",
}


def pack(out: Path, *, log: Callable[[str], None] = print) -> Path:
    """Write the table.

    Parameters
    ----------
    out : pathlib.Path
        The file to write; it appears whole or not at all.
    log : callable
        Told what is being done.

    Raises
    ------
    TableError
        Where AnalogNAS-Bench is not installed or not as expected.
    """
    log("reading AnalogNAS-Bench")
    published = analognas.read()
    space, configs = NB201(), grid()
    class_of, representatives = canonical_classes(space)
    log(f"costing {len(representatives):,} distinct cells on {len(configs)} configurations")
    networks = [space.network(space.architectures[row]) for row in representatives]
    costs = network_costs(networks, configs)
    datasets = [
        *_keys(space, class_of, representatives),
        *hardware_datasets(configs, list(ACCURACY_COLUMNS), [FAMILY_TIMES[c.family] for c in configs]),
        *_labels(published.values, class_of),
        *(_published(name, values) for name, values in published.values.items()),
        *cost_datasets(costs, "class hardware"),
    ]
    log(f"writing {out}")
    return write_table(
        out,
        datasets,
        space=space.name,
        version=VERSION,
        sources={
            "accuracy": "AnalogNAS-Bench, arXiv:2506.18495, as published in the PyPI distribution "
            f"analog-nasbench {published.version}; data.anb SHA-256 {published.sha256}",
            "hardware": "the cost model of nasbench-imc; constants in nasbench_imc/hardware/constants.csv",
            "space": "NAS-Bench-201, Dong and Yang, ICLR 2020",
        },
        licences={
            "accuracy": "Apache-2.0, as github.com/IBM/analog-nas; the distribution on PyPI names none",
            "hardware": "Apache-2.0",
        },
        generator=("building/analognas.py", "building/nb201.py", "spaces/nb201.py"),
    )


def canonical_classes(space: NB201) -> tuple[np.ndarray, np.ndarray]:
    """Group functionally identical cells.

    Returns
    -------
    class_of : numpy.ndarray, shape (A,), int32
        Class of each architecture; classes are numbered by their first member.
    representatives : numpy.ndarray, shape (K,), int32
        The first member of each class.
    """
    numbers: dict[object, int] = {}
    class_of = np.array(
        [numbers.setdefault(space.canonical_form(code), len(numbers)) for code in space.architectures],
        dtype=np.int32,
    )
    _, representatives = np.unique(class_of, return_index=True)
    return class_of, representatives.astype(np.int32)


def class_means(values: np.ndarray, class_of: np.ndarray) -> np.ndarray:
    """Mean of ``values`` (A,) over each class, (K,)."""
    return np.bincount(class_of, weights=values) / np.bincount(class_of)


def identical_cell_sd(values: np.ndarray, class_of: np.ndarray) -> float:
    """Median, over classes of two cells and more, of the sample SD of ``values`` within the class.

    Cells of one class are one network trained again, so this is what a retraining changes.
    """
    size = np.bincount(class_of)
    squares = np.bincount(class_of, weights=(values - class_means(values, class_of)[class_of]) ** 2)
    several = size > 1
    return float(np.median(np.sqrt(squares[several] / (size[several] - 1))))


def _keys(space: NB201, class_of: np.ndarray, representatives: np.ndarray) -> list[Dataset]:
    return [
        Dataset("architectures", np.array(space.architectures, dtype="S"), "NAS-Bench-201 cell string"),
        Dataset("class_of", class_of, "canonical class of each architecture"),
        Dataset("representatives", representatives, "row of the architecture that names each class"),
        Dataset("times", np.array(list(TIMES), dtype="S"), "time since programming"),
        Dataset(
            "accuracy_classes", np.array(list(ACCURACY_COLUMNS), dtype="S"), "see hardware/accuracy_class"
        ),
    ]


def _labels(values: Mapping[str, np.ndarray], class_of: np.ndarray) -> list[Dataset]:
    score = np.stack(
        [
            np.stack([class_means(values[name], class_of) for name in by_time.values()], axis=-1)
            for by_time in ACCURACY_COLUMNS.values()
        ],
        axis=1,
    )
    sd = [
        [identical_cell_sd(values[name], class_of) for name in by_time.values()]
        for by_time in ACCURACY_COLUMNS.values()
    ]
    return [
        Dataset(
            "score/accuracy",
            score.astype(np.float32),
            "score label: mean of the published accuracy over functionally identical cells",
            unit="%",
            direction="maximise",
            axes="class accuracy_class time",
        ),
        Dataset(
            "search/noise_sd",
            np.array(sd, dtype=np.float32),
            "search label = score label + this SD x a standard normal draw, one a label seed and class; "
            "synthetic; median over classes of identical cells of the SD of the published accuracy",
            unit="%",
            direction="none",
            axes="accuracy_class time",
        ),
    ]


def _published(name: str, values: np.ndarray) -> Dataset:
    spread = name.endswith("_spread")
    stem = name.removesuffix("_spread")
    time = stem.rsplit("_", 1)[1] if "_pcm_" in stem else ""
    method = _METHODS[stem.removesuffix(f"_{time}")]
    when = f", {time} after programming" if time else ""
    note = " (no device noise in this column)" if time == "t0" else ""
    kind = "spread over repeated evaluations of" if spread else "published CIFAR-10 test accuracy:"
    return Dataset(
        f"published/{name}",
        values.astype(np.float32),
        f"{kind} {method}{when}{note}; AnalogNAS-Bench",
        unit="%",
        direction="none" if spread else "maximise",
        axes="architecture",
    )
