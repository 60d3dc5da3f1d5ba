"""What weight noise in training buys on analog hardware, and what it costs in floating point."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nasbench_imc.building.evaluation_files import Evaluation, read_evaluations
from nasbench_imc.building.pages import markdown_table, write_files
from nasbench_imc.errors import BenchmarkError
from nasbench_imc.hardware import grid

FLOATING = "floating point"


@dataclass(frozen=True)
class Gain:
    """Accuracies of the same networks, trained with and without noise.

    Attributes
    ----------
    recipes : tuple of str
        Trained with noise, and without it.
    frame : pandas.DataFrame
        A row for each network and cell without compression: ``arch``, ``family``, ``accuracy_class``, ``at``,
        ``with_noise`` and ``without_noise``, mean test accuracy over draws [%].
    """

    recipes: tuple[str, str]
    frame: pd.DataFrame


def gain(with_noise: Path, without_noise: Path) -> Gain:
    """Compare two folders of evaluations over the networks and seeds that both have.

    Parameters
    ----------
    with_noise, without_noise : pathlib.Path
        As ``nasbench-imc build evaluate`` leaves them, of one recipe each.

    Raises
    ------
    BenchmarkError
        Where they have no network in common, one is damaged, or their grids differ.
    """
    first, second = (
        {(each.code, each.seed): each for each in read_evaluations(folder)}
        for folder in (with_noise, without_noise)
    )
    common = [key for key in first if key in second]
    if not common:
        raise BenchmarkError(f"{with_noise} and {without_noise} have no network in common")
    a, b = first[common[0]], second[common[0]]
    if a.grid != b.grid:
        raise BenchmarkError(f"{a.path} and {b.path} were evaluated on different grids")
    families = {config.accuracy_class: config.family for config in grid()}
    rows = [
        (key[0], *cell, value, other)
        for key in common
        for cell, value, other in zip(
            _cells(a, families), _values(first[key]), _values(second[key]), strict=True
        )
    ]
    columns = ["arch", "family", "accuracy_class", "at", "with_noise", "without_noise"]
    recipes = str(a.about["protocol"]), str(b.about["protocol"])
    return Gain(recipes, pd.DataFrame(rows, columns=columns))


def _cells(of: Evaluation, families: dict[str, str]) -> list[tuple[str, str, str]]:
    plain = [k for k, compression in enumerate(of.grid.cell_compression) if compression == 0]
    cells = [(families[of.grid.cell_class[k]], of.grid.cell_class[k], of.grid.cell_time[k]) for k in plain]
    return [(FLOATING, FLOATING, ""), *cells]


def _values(of: Evaluation) -> list[float]:
    plain = np.array(of.grid.cell_compression) == 0
    return [of.score_digital, *of.score[plain].mean(axis=1).tolist()]


def write_page(found: Gain, folder: Path) -> list[Path]:
    """Write ``weight_noise.csv``, a row a network and cell, and ``weight_noise.md``, what they say."""
    return write_files(
        folder,
        {
            "weight_noise.csv": found.frame.to_csv(index=False, float_format="%.3f").encode(),
            "weight_noise.md": _page(found).encode(),
        },
    )


def _page(found: Gain) -> str:
    networks = found.frame.arch.nunique()
    header = (
        "family",
        "at",
        "classes",
        "with [%]",
        "without [%]",
        "gain [points]",
        "networks, least to most",
    )
    rows = []
    for (family, at), group in found.frame.groupby(["family", "at"], sort=False):
        each = group.groupby("arch")[["with_noise", "without_noise"]].mean()
        gains = each.with_noise - each.without_noise
        rows.append(
            (
                str(family),
                str(at) or "any",
                str(group.accuracy_class.nunique()),
                f"{each.with_noise.mean():.2f}",
                f"{each.without_noise.mean():.2f}",
                f"{gains.mean():+.2f}",
                f"{gains.min():+.2f} to {gains.max():+.2f}",
            )
        )
    parts = [
        "# Weight noise in training",
        f"{networks} networks trained by `{found.recipes[0]}`, which adds noise to the weights of each step "
        f"and clips them, and by `{found.recipes[1]}`, which does neither; else alike, one run each, JPEG "
        "copy of CIFAR-10. Test accuracy, mean over 8 draws and over all accuracy classes of a family; 8-bit "
        "weights, no sparsity. Two runs of one network differ by half a point (`results/protocol`). "
        "`nasbench-imc build weight-noise` makes this page from `datasets/raw/weight_noise/`; "
        "`weight_noise.csv` has each network and class.",
        markdown_table(header, rows, words=2),
        _best_and_worst(found.frame),
    ]
    return "\n\n".join(parts) + "\n"


def _best_and_worst(frame: pd.DataFrame) -> str:
    """The class that gains most and the one that gains least, on average over networks."""
    named = frame.accuracy_class.where(frame["at"] == "", frame.accuracy_class + " at " + frame["at"])
    gains = (frame.with_noise - frame.without_noise).groupby(named).mean().sort_values()
    return (
        f"Most is gained by {gains.index[-1]} ({gains.iloc[-1]:+.2f} points), least by {gains.index[0]} "
        f"({gains.iloc[0]:+.2f})."
    )
