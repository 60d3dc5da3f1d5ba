"""Packing ``hybrid.h5``: evaluated accuracies of networks trained here, and their hardware costs."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path

import numpy as np

from nasbench_imc.building import archive, parts
from nasbench_imc.building.audit import audit_list, networks
from nasbench_imc.building.branches import branch_of
from nasbench_imc.building.cifar10 import ARCHIVE_MD5
from nasbench_imc.building.clock import Clock, read_clock
from nasbench_imc.building.evaluation_files import Evaluation, Grid, read_evaluations
from nasbench_imc.building.packing import Dataset, cost_datasets, hardware_datasets, write_table
from nasbench_imc.building.study import REFERENCE
from nasbench_imc.building.training_log import TrainingRun, shared_seconds
from nasbench_imc.errors import TableError
from nasbench_imc.hardware import FAMILY_TIMES, HardwareConfig, grid, network_costs
from nasbench_imc.hardware.metrics import PRIMARY
from nasbench_imc.spaces import Hybrid
from nasbench_imc.tables.layout import TIMES

VERSION = "0.3.0"

#: Training seeds of the networks that are trained again.
REPEATED_SEEDS = (1, 2)

RunKey = tuple[str, int, str]  # recipe, seed, network or branch

#: What evaluations call their pixels, in words.
PIXELS = {
    "folder": "a copy as JPEG images of quality 75, whose archive has the SHA-256 "
    "e82212b8f8580e3e79f41a32c7db0e6a5b8fb10188d1723b706e150379c98be9",
    "official": f"the official archive, MD5 {ARCHIVE_MD5}",
}

# The tables of a release differ in nothing else between networks; these would make labels of two kinds.
_EQUAL = ("protocol", "pixels", "evaluator")


def pack(
    evaluated: Path,
    out: Path,
    *,
    runs: Iterable[TrainingRun] = (),
    proxies: Path | None = None,
    clock: Path | None = None,
    release: bool = False,
    log: Callable[[str], None] = print,
) -> Path:
    """Write the table; what is not a release is called a pilot.

    Parameters
    ----------
    evaluated : pathlib.Path
        Folder of evaluations, ``*.npz`` or shards of them, ``*.zip``, in it or below.
    out : pathlib.Path
        The file to write; it appears whole or not at all.
    runs : iterable of TrainingRun
        Those of the super-networks from which networks inherited, and of the audit list's long training.
    proxies : pathlib.Path, optional
        Zero-cost proxies of all networks, as :func:`parts.join` writes them; the table has none without.
    clock : pathlib.Path, optional
        Seconds of all networks on an idle machine, in the same form. Without, the table's seconds are those
        of the runs themselves, whatever else the machine was doing.
    release : bool
        Whether it is to be published, and must be whole (:func:`lacking`); of the training seeds after the
        first either all networks that are to have them, or none yet.
    log : callable
        Told what is being done.

    Raises
    ------
    TableError
        Where a release lacks something; where there are no evaluations, one is damaged or incomplete, they do
        not fit together or with the log, or a super-network's run, a network's proxies or its seconds are
        missing (a GPU's say nothing of a core's) or of other pixels; the message names the file.
    """
    evaluations, runs = read_evaluations(evaluated), list(runs)
    log(f"read {len(evaluations):,} evaluations")
    configs = grid()
    check_together(evaluations, configs)
    by_key = {run.key: run for run in runs}
    check_runs(evaluations, by_key)
    if release and (absent := lacking(evaluations, runs, proxies, clock)):
        raise TableError(f"this is no release: it lacks {'; '.join(absent)}")
    first, space = evaluations[0], Hybrid()
    pixels = first.about["pixels"]
    found = {(evaluation.seed, evaluation.code): evaluation for evaluation in evaluations}
    codes = [code for code in space.architectures if (0, code) in found]
    seeds = sorted({evaluation.seed for evaluation in evaluations})
    ordered = [[found.get((seed, code)) for code in codes] for seed in seeds]
    log(f"costing {len(codes):,} networks, {len(first.grid.compressions)} compressions, {len(configs)} chips")
    classes = list(dict.fromkeys(first.grid.cell_class))
    datasets = [
        *_keys(codes, classes, first.grid),
        *hardware_datasets(configs, classes, [times(config, configs, first.grid) for config in configs]),
        *_training(
            seeds,
            ordered,
            first.grid,
            evaluations,
            by_key,
            read_clock(clock, codes, pixels) if clock else None,
        ),
        *(_proxies(proxies, codes, pixels) if proxies else ()),
        *_references(runs),
        *_labels(ordered, first.grid),
        *cost_datasets(costs(space, codes, first.grid, configs), "compression class hardware"),
    ]
    log(f"writing {out}")
    return write_table(
        out,
        datasets,
        space=space.name,
        version=VERSION if release else f"{VERSION}-pilot",
        sources={
            "accuracy": "trained and evaluated by nasbench-imc; SHA-256 over those of the evaluations: "
            + _digest(ordered),
            "data": "CIFAR-10, Krizhevsky, 2009; 45,000 training, 5,000 validation and 10,000 test images, "
            + PIXELS.get(pixels, pixels),
            "hardware": "the cost model of nasbench-imc; constants in nasbench_imc/hardware/constants.csv",
            "training seeds": _seeds_in_words(evaluations),
            **_abouts(evaluations),
        },
        licences={"accuracy": "Apache-2.0", "hardware": "Apache-2.0"},
        generator=(
            "building/audit.py",
            "building/audit_list.txt",
            "building/clock.py",
            "building/evaluation_files.py",
            "building/hybrid.py",
            "building/parts.py",
            "building/training_log.py",
            "spaces/hybrid.py",
        ),
    )


def lacking(
    evaluations: Sequence[Evaluation], runs: Iterable[TrainingRun], proxies: Path | None, clock: Path | None
) -> list[str]:
    """What a release must have and this lacks, as phrases: every one of these in the whole space."""
    from nasbench_imc.building.evaluation import COMPRESSIONS, DRAWS, declared_grid

    found = []
    cells = declared_grid()
    grid_of = evaluations[0].grid
    declared = [(c.compression, c.config.accuracy_class, c.time) for c in cells]
    if (
        list(zip(grid_of.cell_compression, grid_of.cell_class, grid_of.cell_time, strict=True)) != declared
        or grid_of.compressions != COMPRESSIONS
        or grid_of.draws != DRAWS
    ):
        found.append(f"the declared grid of {len(cells)} cells, {DRAWS} draws each")
    everything, again = networks("all"), networks("repeated")
    for seed, wanted in ((0, everything), *((seed, again) for seed in REPEATED_SEEDS)):
        have = {each.code for each in evaluations if each.seed == seed}
        # A repeated seed may be left to a later release, but not begun.
        if (missing := set(wanted) - have) and (have or seed == 0):
            found.append(f"{len(missing)} of {len(wanted)} networks of training seed {seed}")
    runs = list(runs)
    known = {run.key for run in runs}
    if unknown := sum(_key(each) not in known for each in evaluations):
        found.append(f"the training of {unknown} evaluated networks in the log")
    long = {run.code for run in runs if run.recipe == REFERENCE and run.seed == 0}
    if missing := set(audit_list()) - long:
        found.append(f"the long training of {len(missing)} of {len(audit_list())} networks")
    if any("parameters" not in each.about for each in evaluations):
        found.append("counts of parameters")
    found += ["zero-cost proxies"] * (proxies is None) + ["the clock's seconds"] * (clock is None)
    return found


def _seeds_in_words(evaluations: Iterable[Evaluation]) -> str:
    """How many networks there are of each training seed, and what is still to come."""
    count = Counter(each.seed for each in evaluations)
    said = [f"{count[seed]} networks of seed {seed}" for seed in sorted(count)]
    later = [str(seed) for seed in REPEATED_SEEDS if not count[seed]]
    if later:
        said.append(f"none yet of {' and '.join(later)}, with which {len(networks('repeated'))} are to be")
    return ", ".join(said)


def check_together(evaluations: Sequence[Evaluation], configs: Sequence[HardwareConfig]) -> None:
    """Check that evaluations make one table.

    Raises
    ------
    TableError
        Where two are of one network and seed, differ in what they declare, name an accuracy class that no
        configuration has, or a network lacks training seed 0.
    """
    first = evaluations[0]
    known = {config.accuracy_class for config in configs if config.accuracy_class}
    strange = sorted(set(first.grid.cell_class) - known)
    if strange:
        raise TableError(f"{first.path}: no configuration is of accuracy class {', '.join(strange)}")
    seen: dict[tuple[str, int], Path] = {}
    for each in evaluations:
        key = each.code, each.seed
        if key in seen:
            raise TableError(
                f"{each.path} and {seen[key]} are of one network and seed: {each.code}, {each.seed}"
            )
        seen[key] = each.path
        for name in Grid.__slots__:
            if getattr(each.grid, name) != getattr(first.grid, name):
                raise TableError(f"{each.path} declares another grid than {first.path}: its {name} differ")
        for name in _EQUAL:
            own, other = each.about.get(name), first.about.get(name)
            if own != other:
                raise TableError(f"{each.path} has {name} {own!r}, {first.path} has {other!r}")
    for (code, _), path in seen.items():
        if (code, 0) not in seen:
            raise TableError(
                f"{path}: {code} lacks an evaluation of training seed 0, which every network needs"
            )


def check_runs(evaluations: Iterable[Evaluation], runs: Mapping[RunKey, TrainingRun]) -> None:
    """Check that networks were evaluated as the log says that they were trained; those not in it pass.

    Raises
    ------
    TableError
        Where recipe, pixels, learning curve or accuracy of an evaluation differ from its run's.
    """
    for each in evaluations:
        run = runs.get(_key(each))
        if run is None:
            continue
        inherited = [run.values["inherited_accuracy"]] if "inherited_accuracy" in run.values else []
        told = {
            "recipe": (each.about.get("recipe") or {}, run.about.get("recipe") or {}),
            "pixels": (each.about["pixels"], run.about.get("pixels")),
            "learning curve": (
                each.learning_curve.tolist(),
                [*inherited, *np.atleast_1d(run.values["validation_accuracy"]).tolist()],
            ),
            "test accuracy": (np.float32(each.score_digital), np.float32(run.values["test_accuracy"])),
        }
        for name, (own, logged) in told.items():
            if own != logged:
                raise TableError(
                    f"{each.path} was not made from the run in the log, {run.name}: its {name} is {own}, "
                    f"the run's {logged}; evaluate it again, or gather the run that it is of"
                )


def _key(evaluation: Evaluation) -> RunKey:
    """What its training run is called in the log."""
    return evaluation.about["protocol"], evaluation.seed, evaluation.code


def times(config: HardwareConfig, configs: Sequence[HardwareConfig], declared: Grid) -> list[str]:
    """Times at which a configuration may be asked for: those of its accuracy class.

    Where the grid lacks the class, those of its family's other classes; where it lacks the family, all that
    the family may have.
    """
    family = {other.accuracy_class for other in configs if other.family == config.family}
    for classes in ({config.accuracy_class}, family):
        found = {
            t for kind, t in zip(declared.cell_class, declared.cell_time, strict=True) if kind in classes
        }
        if found:
            return [time for time in TIMES if time in found or "" in found]
    return list(FAMILY_TIMES[config.family])


def costs(
    space: Hybrid, codes: Iterable[str], declared: Grid, configs: Sequence[HardwareConfig]
) -> dict[str, np.ndarray]:
    """Hardware metrics of networks by compression, (P, A, H)."""
    codes = list(codes)
    by_compression = [
        network_costs([space.network(code, sparsity) for code in codes], configs, bits)
        for bits, sparsity in declared.compressions
    ]
    return {name: np.stack([each[name] for each in by_compression]) for name in PRIMARY}


def _keys(codes: Sequence[str], classes: Sequence[str], declared: Grid) -> list[Dataset]:
    own = np.arange(len(codes), dtype=np.int32)
    bits, sparsity = zip(*declared.compressions, strict=True)
    of_cell = [classes.index(kind) for kind in declared.cell_class]
    return [
        Dataset(
            "architectures", np.array(codes, dtype="S"), "code of the network, such as c32x1-m40x2-a56x1"
        ),
        Dataset("class_of", own, "canonical class of each architecture; no two codes are one network"),
        Dataset("representatives", own, "row of the architecture that names each class"),
        Dataset("times", np.array(list(TIMES), dtype="S"), "time since programming"),
        Dataset("accuracy_classes", np.array(classes, dtype="S"), "see hardware/accuracy_class"),
        Dataset("compression/weight_bits", np.array(bits, dtype=np.int16), "bits a weight", unit="bit"),
        Dataset("compression/sparsity", np.array(sparsity), "share of the inner channels removed", unit="1"),
        Dataset(
            "cell/compression",
            np.array(declared.cell_compression, dtype=np.int16),
            "position of the compression of each cell that has an accuracy",
        ),
        Dataset("cell/accuracy_class", np.array(of_cell, dtype=np.int16), "position in accuracy_classes"),
        Dataset(
            "cell/time",
            np.array(declared.cell_time, dtype="S"),
            "time since programming; empty where the accuracy serves every time",
        ),
    ]


def _labels(ordered: Sequence[Sequence[Evaluation | None]], declared: Grid) -> list[Dataset]:
    datasets = []
    cells = (len(declared.cell_class), declared.draws)
    for kind, images in (("score", "test"), ("search", "validation")):
        datasets += [
            Dataset(
                f"{kind}/accuracy",
                _filled(ordered, cells, attrgetter(kind)),
                f"label of each noise draw on {images} images: accuracy of the exact 8-bit digital network "
                "on all of them, plus the difference between the draw and that network on the draw's images",
                unit="%",
                direction="maximise",
                axes="training_seed architecture cell draw",
            ),
            Dataset(
                f"{kind}/accuracy_digital",
                _filled(ordered, (), attrgetter(f"{kind}_digital")),
                f"floating-point accuracy, before weights are coded in 8 bits; {images} images",
                unit="%",
                direction="maximise",
                axes="training_seed architecture",
            ),
        ]
    return datasets


def supernet_seconds(
    evaluations: Iterable[Evaluation],
    seeds: Iterable[int],
    runs: Iterable[TrainingRun],
    epoch: float | None = None,
) -> list[float]:
    """What the super-networks took from which the networks of each seed inherit [core-s].

    0 where they inherit from none; with all that those descend from. ``epoch`` as in
    :func:`training_log.shared_seconds`.

    Raises
    ------
    TableError
        Where ``runs`` lack a super-network.
    """
    took = shared_seconds(runs, epoch)
    parents: dict[int, tuple[str | None, int]] = {}
    for each in evaluations:
        recipe = each.about.get("recipe") or {}
        seed = recipe.get("parent_seed")
        parents[each.seed] = (recipe.get("parent"), each.seed if seed is None else seed)
    found = []
    for seed in seeds:
        name, parent_seed = parents[seed]
        if name is not None and not took.get((name, parent_seed), math.nan) > 0:
            raise TableError(
                f"networks of seed {seed} inherit from the super-network {name} of seed {parent_seed}, "
                "whose training is not in the log of runs; gather it first: nasbench-imc build gather"
            )
        found.append(0.0 if name is None else took[name, parent_seed])
    return found


def _proxies(path: Path, codes: Sequence[str], pixels: str) -> list[Dataset]:
    held = archive.read(path)
    taken = parts.taken(path, held, codes, "proxies", pixels)
    datasets = []
    for column, name in enumerate(held["names"].astype(str).tolist()):
        values, seconds = held["values"][taken, column], held["measured/seconds"][taken, column]
        if not np.isfinite(values).all():
            raise TableError(f"{path}: {name} is not finite for {codes[int(np.argmin(np.isfinite(values)))]}")
        datasets += [
            Dataset(
                f"proxy/{name}",
                values.astype(np.float32),
                f"zero-cost proxy {name} of the untrained network, one batch of training images; meant to "
                "rise with accuracy",
                unit="1",
                direction="none",
                axes="architecture",
            ),
            Dataset(
                f"proxy_seconds/{name}",
                seconds.astype(np.float32),
                f"what computing {name} took",
                unit="core-s",
                direction="minimise",
                axes="architecture",
            ),
        ]
    return datasets


def _references(runs: Iterable[TrainingRun]) -> list[Dataset]:
    """Accuracies of the networks that were also trained alone and long, in the audit list's order."""
    found = {(run.code, run.seed): run.values["test_accuracy"] for run in runs if run.recipe == REFERENCE}
    if not found:
        return []
    listed = [*audit_list(), *sorted({str(code) for code, _ in found} - set(audit_list()))]
    codes = [code for code in listed if any(code == other for other, _ in found)]
    seeds = sorted({seed for _, seed in found})
    values = [[found.get((code, seed), math.nan) for seed in seeds] for code in codes]
    return [
        Dataset("reference/code", np.array(codes, dtype="S"), "networks also trained alone and long"),
        Dataset("reference/seed", np.array(seeds, dtype=np.int32), "training seeds of these"),
        Dataset(
            "reference/accuracy",
            np.array(values, dtype=np.float32),
            "floating-point accuracy on test images of networks trained alone for 30 epochs; NaN where a "
            "network was not trained so with a seed",
            unit="%",
            direction="maximise",
            axes="network training_seed",
        ),
    ]


def _training(
    seeds: Sequence[int],
    ordered: Sequence[Sequence[Evaluation | None]],
    declared: Grid,
    evaluations: Sequence[Evaluation],
    runs: Mapping[RunKey, TrainingRun],
    clock: Clock | None,
) -> list[Dataset]:
    shared = supernet_seconds(
        evaluations, seeds, runs.values(), None if clock is None else clock.shared_epoch
    )
    valid = np.array([[evaluation is not None for evaluation in row] for row in ordered], dtype=np.uint8)
    training = _filled(ordered, (len(declared.epochs),), attrgetter("training_seconds"))
    evaluating = _filled(ordered, (), attrgetter("evaluation_seconds"))
    anchoring = np.where(valid, 0.0, np.nan)  # part of evaluating
    if clock is not None:
        inherits = declared.epochs[0] == 0
        training = np.where(valid[..., None], clock.training(declared.epochs, inherits), np.nan)
        every = clock.draw * len(declared.cell_class) * declared.draws
        evaluating = np.where(valid, every, np.nan)
        anchoring = np.where(valid, clock.anchor, np.nan)
    else:
        for each in evaluations:
            if np.isnan([*each.training_seconds, each.evaluation_seconds]).any():
                raise TableError(
                    f"{each.path} was trained or evaluated on a GPU, which says nothing of core-seconds; "
                    "pack it with the seconds of an idle machine: --clock"
                )
    weights = [["" if each is None else each.weights_sha256 for each in row] for row in ordered]
    counts = [0 if each is None else each.about.get("parameters", 0) for each in ordered[0]]
    made = [[("",) * 3 if each is None else processors(each, runs) for each in row] for row in ordered]
    per_epoch = "training_seed architecture epoch"
    return [
        Dataset("training/seed", np.array(seeds, dtype=np.int32), "training seed"),
        Dataset("training/valid", valid, "1 where the network was trained with the seed"),
        Dataset(
            "training/parameters",
            np.array(counts, dtype=np.int32),
            "parameters that are trained; 0 where that is not known",
            unit="count",
            direction="minimise",
            axes="architecture",
        ),
        Dataset(
            "training/epoch",
            np.array(declared.epochs, dtype=np.float32),
            "epochs of individual training at each entry of the learning curve; 0: as inherited",
            unit="epochs",
            direction="none",
            axes="epoch",
        ),
        Dataset(
            "training/supernet_seconds",
            np.array(shared, dtype=np.float32),
            "what training the super-network took from which networks of the seed inherit; 0: there is none",
            unit="core-s",
            direction="minimise",
            axes="training_seed",
        ),
        Dataset(
            "training/learning_curve",
            _filled(ordered, (len(declared.epochs),), attrgetter("learning_curve")),
            "validation accuracy at each of training/epoch, floating point",
            unit="%",
            direction="maximise",
            axes=per_epoch,
        ),
        Dataset(
            "training/seconds",
            training.astype(np.float32),
            "what each entry of the learning curve took beyond the one before",
            unit="core-s",
            direction="minimise",
            axes=per_epoch,
        ),
        Dataset(
            "training/evaluation_seconds",
            evaluating.astype(np.float32),
            "what all noise draws of all cells take; one draw of one cell is its share",
            unit="core-s",
            direction="minimise",
            axes="training_seed architecture",
        ),
        Dataset(
            "training/anchor_seconds",
            anchoring.astype(np.float32),
            "what a cell's draws take together, however many: calibration, and the exact digital network on "
            "all validation images; 0 where the draws' seconds have it",
            unit="core-s",
            direction="minimise",
            axes="training_seed architecture",
        ),
        Dataset(
            "training/weights_sha256",
            np.array(weights, dtype="S"),
            "SHA-256 over the bytes of the kept codes, scales and other weights, in this order",
            axes="training_seed architecture",
        ),
        *(
            Dataset(
                f"training/{name}",
                np.array([[each[k] for each in row] for row in made], dtype="S"),
                f"processor that {what}; empty where that is not known",
                axes="training_seed architecture",
            )
            for k, (name, what) in enumerate(
                (
                    ("processor", "trained the network"),
                    ("parent_processor", "trained what it inherits from"),
                    ("evaluation_processor", "evaluated it"),
                )
            )
        ),
    ]


def processors(evaluation: Evaluation, runs: Mapping[RunKey, TrainingRun]) -> tuple[str, str, str]:
    """Which processors trained a network, trained what it inherits from, and evaluated it."""
    recipe, code = evaluation.about.get("recipe") or {}, evaluation.code
    parent, parent_seed = recipe.get("parent"), recipe.get("parent_seed")
    own = runs.get(_key(evaluation))
    above = [
        runs.get((str(parent), evaluation.seed if parent_seed is None else parent_seed, branch))
        for branch in (branch_of(code, 2), branch_of(code, 1), "")
    ]
    found = (own, next((run for run in above if run is not None), None))
    first, second = ("" if run is None else str(run.values.get("processor", "")) for run in found)
    return first, second, evaluation.processor


def _filled(
    ordered: Sequence[Sequence[Evaluation | None]],
    shape: tuple[int, ...],
    value: Callable[[Evaluation], np.ndarray | float],
) -> np.ndarray:
    """Values by training seed and architecture, (S, A, *shape), float32; NaN where there is no evaluation."""
    empty = np.full(shape, np.nan)
    return np.array(
        [[empty if each is None else value(each) for each in row] for row in ordered], dtype=np.float32
    )


def _digest(ordered: Sequence[Sequence[Evaluation | None]]) -> str:
    """SHA-256 over the files' hashes, in the table's order."""
    digest = hashlib.sha256()
    for row in ordered:
        for each in row:
            digest.update(b"-" if each is None else each.sha256.encode("ascii"))
    return digest.hexdigest()


def _abouts(evaluations: Iterable[Evaluation], most: int = 20) -> dict[str, str]:
    """What the evaluations say of themselves, but for code and seed: every value where they are few."""
    found: dict[str, set[str]] = {}
    for each in evaluations:
        for name, value in each.about.items():
            if name not in ("code", "seed", "parameters"):
                text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                found.setdefault(name, set()).add(text)
    return {
        f"evaluation: {name}": "; ".join(sorted(values)) if len(values) <= most else f"{len(values)} values"
        for name, values in sorted(found.items())
    }
