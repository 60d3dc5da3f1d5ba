"""Writing a table: atomically, compressed, and to the same bytes each time."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import h5py
import numpy as np

from nasbench_imc._version import __version__
from nasbench_imc.files import replacing
from nasbench_imc.hardware import HardwareConfig
from nasbench_imc.hardware.metrics import FIELD_UNITS, PRIMARY
from nasbench_imc.tables import layout
from nasbench_imc.tables.files import Release, file_sha256


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset of a table; ``unit``, ``direction`` and ``axes`` are empty for keys."""

    path: str
    values: np.ndarray
    description: str
    unit: str = ""
    direction: str = ""
    axes: str = ""


def write_table(
    out: Path,
    datasets: Iterable[Dataset],
    *,
    space: str,
    version: str,
    sources: Mapping[str, str],
    licences: Mapping[str, str],
    generator: Sequence[str] = (),
) -> Path:
    """Write a table file; it appears whole or not at all, and holds no time stamp.

    Parameters
    ----------
    out : pathlib.Path
    datasets : iterable of Dataset
    space, version : str
        Root attributes.
    sources, licences : mapping of str to str
        Where each part comes from and under which licence, stored as JSON.
    generator : sequence of str
        Files, relative to the package, that decide this table's contents beside those of every table.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    # In memory first: HDF5 does not survive a disk that fills up under it.
    packed = io.BytesIO()
    with h5py.File(packed, "w", libver=("v110", "v110")) as file:
        file.attrs.update(
            schema=layout.SCHEMA,
            space=space,
            version=version,
            generator=f"nasbench-imc {__version__}",
            generator_commit=_commit(generator),
            libraries=json.dumps(
                {"numpy": np.__version__, "h5py": h5py.__version__, "hdf5": h5py.version.hdf5_version}
            ),
            sources=json.dumps(dict(sources)),
            licences=json.dumps(dict(licences)),
        )
        for dataset in datasets:
            made = file.create_dataset(
                dataset.path,
                data=dataset.values,
                chunks=dataset.values.shape,  # columns are read whole
                compression="gzip",
                compression_opts=9,
                shuffle=True,
                fletcher32=True,
                track_times=False,
            )
            for key in ("unit", "direction", "axes", "description"):
                if getattr(dataset, key):
                    made.attrs[key] = getattr(dataset, key)
    with replacing(out) as temporary:
        temporary.write_bytes(packed.getvalue())
    return out


def hardware_datasets(
    configs: Sequence[HardwareConfig], classes: Sequence[str], times: Sequence[Iterable[str]]
) -> list[Dataset]:
    """The configurations, one dataset a field; None is stored as -1 (numbers) or '' (text).

    Parameters
    ----------
    configs : sequence of HardwareConfig, length H
    classes : sequence of str
        The accuracy classes of which the table has accuracies.
    times : sequence of iterables of str, length H
        Times at which each configuration may be asked for.
    """
    datasets = []
    for field in fields(HardwareConfig):
        values = [getattr(config, field.name) for config in configs]
        text = any(isinstance(value, str) for value in values)
        column = (
            np.array(["" if value is None else value for value in values], dtype="S")
            if text
            else np.array([-1 if value is None else value for value in values])
        )
        datasets.append(
            Dataset(
                f"hardware/{field.name}",
                column,
                "see nasbench_imc.hardware.HardwareConfig",
                unit=FIELD_UNITS.get(field.name, ""),
            )
        )
    index = [classes.index(c.accuracy_class) if c.accuracy_class in classes else -1 for c in configs]
    return [
        *datasets,
        Dataset(
            "hardware/accuracy_class_index",
            np.array(index, dtype=np.int16),
            "position in accuracy_classes; -1: this table has no accuracy for it",
        ),
        Dataset(
            "hardware/times",
            np.array([" ".join(each) for each in times], dtype="S"),
            "times at which an accuracy may exist",
        ),
    ]


def cost_datasets(costs: Mapping[str, np.ndarray], axes: str) -> list[Dataset]:
    """Primary hardware metrics; those that no configuration changes are stored without that axis.

    Parameters
    ----------
    costs : mapping of str to ndarray
    axes : str
        Names of the arrays' axes, the last of which is ``hardware``.
    """
    datasets = []
    for name, metric in PRIMARY.items():
        values = costs[name].astype(np.float32)
        if not np.isfinite(values).all():
            raise ValueError(f"the cost model returned a value of {name} that is not finite")
        constant = bool((values == values[..., :1]).all()) and name in (
            "macs",
            "weight_memory",
            "activation_memory",
        )
        datasets.append(
            Dataset(
                f"cost/{name}",
                values[..., 0] if constant else values,
                metric.description,
                unit=metric.unit,
                direction=metric.direction,
                axes=axes.removesuffix(" hardware") if constant else axes,
            )
        )
    return datasets


def update_manifest(manifest: Path, name: str, table: Path, version: str) -> Release:
    """Record a table's version, size and hash in the package's ``manifest.json``."""
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    release = Release(table.name, version, file_sha256(table), table.stat().st_size)
    entries[name] = asdict(release)
    with replacing(manifest) as temporary:
        temporary.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return release


#: What decides the contents of every table, relative to the package.
_GENERATOR = ("building/packing.py", "hardware", "networks.py", "spaces/base.py", "tables/layout.py")


def _commit(generator: Sequence[str] = ()) -> str:
    """Last commit that changed the generator, marked ``+`` where the working tree differs from it.

    Later commits that leave the generator alone do not change a table's bytes.
    """
    files = (*_GENERATOR, *generator)
    package = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(package), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("log", "-1", "--format=%H", "--", *files)
        changed = git("status", "--porcelain", "--", *files)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return (commit or "unknown") + ("+" if changed else "")
