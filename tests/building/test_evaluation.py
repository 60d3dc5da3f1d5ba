"""The declared grid, and a network that goes through all of it to a served table."""

import gc
import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import nasbench_imc as nbi  # noqa: E402
from nasbench_imc.building import (  # noqa: E402
    archive,
    evaluate_jobs,
    evaluation,
    hybrid,
    serial_audit,
    train_jobs,
)
from nasbench_imc.building.cifar10 import Cifar10  # noqa: E402
from nasbench_imc.building.codes import decode, encode  # noqa: E402
from nasbench_imc.building.crossbar import ranges, serial  # noqa: E402
from nasbench_imc.building.crossbar.chip import Chip  # noqa: E402
from nasbench_imc.building.crossbar.devices import SECONDS  # noqa: E402
from nasbench_imc.building.crossbar.layers import Rounder  # noqa: E402
from nasbench_imc.building.evaluation_files import read_evaluations  # noqa: E402
from nasbench_imc.building.networks import HybridNetwork  # noqa: E402
from nasbench_imc.building.serial_audit import AuditJob, serial_configs, write_audit  # noqa: E402
from nasbench_imc.building.train_jobs import Folders, TrainJob  # noqa: E402
from nasbench_imc.errors import BenchmarkError, UnavailableError  # noqa: E402
from nasbench_imc.hardware import grid  # noqa: E402

CODE = "m16x1-a24x1-c32x1"


def test_the_declared_grid_is_what_the_datasheet_says():
    cells = evaluation.declared_grid()
    keys = [(cell.compression, cell.config.accuracy_class, cell.time) for cell in cells]
    assert len(set(keys)) == len(keys) == 60
    assert len({key[1] for key in keys if key[0] == 0}) == 32
    references = {config.accuracy_class for config in grid() if config.reference}
    for compression in (1, 2, 3):
        assert {key[1] for key in keys if key[0] == compression} == references
        assert {key[2] for key in keys if key[0] == compression} == {"", "1d"}
    for name in (key[1] for key in keys if key[1].startswith("pcm")):
        times = {"1h", "1d", "30d"} if name in references else {"1d"}
        assert {key[2] for key in keys if key[:2] == (0, name)} == times
    assert {cell.time for cell in cells if cell.config.family.startswith("rram")} == {"1d"}  # data end there
    assert {cell.time for cell in cells if cell.config.family.startswith("sram")} == {""}
    classes = {config.accuracy_class for config in grid()} - {"pcm-aihwkit-t512"}
    assert classes == {key[1] for key in keys}


def test_configurations_of_one_class_are_simulated_alike():
    """What differs within a class must not reach the simulation."""
    fixed = (
        "family",
        "active_rows",
        "cell_bits",
        "differential",
        "combine",
        "input_mode",
        "dac_bits",
        "adc_bits",
    )
    by_class: dict[str, set] = {}
    for config in grid():
        by_class.setdefault(config.accuracy_class, set()).add(tuple(getattr(config, f) for f in fixed))
    for name, kinds in by_class.items():
        if name != "sram-digital-int8":  # exact, whatever the rows
            assert len(kinds) == 1, name


@pytest.mark.parametrize(("part", "available", "each"), [("score", 10_000, 250), ("search", 5_000, 125)])
def test_each_draw_has_images_of_its_own(part, available, each):
    taken = evaluation.subset(part, available)
    assert taken.shape == (8, each)
    assert len(np.unique(taken)) == 8 * each
    assert taken.max() < available
    np.testing.assert_array_equal(taken, evaluation.subset(part, available))


@pytest.fixture
def folders(tmp_path, monkeypatch, coloured) -> Folders:
    """Little data, few images a draw, one class of each family."""
    data = Cifar10(coloured(4_096, 1), coloured(40, 2), coloured(40, 3), "generated")
    monkeypatch.setattr(train_jobs, "prepare", lambda *given: data)
    monkeypatch.setattr(evaluate_jobs, "prepare", lambda *given: data)
    monkeypatch.setattr(serial_audit, "prepare", lambda *given: data)
    monkeypatch.setattr(evaluation, "IMAGES_A_DRAW", {"score": 4, "search": 3})
    monkeypatch.setattr(evaluation, "CALIBRATION_IMAGES", 16)
    short = replace(train_jobs.RECIPES["alone-3"], epochs=1, batch=64)
    monkeypatch.setitem(train_jobs.RECIPES, "alone-3", short)
    few = (
        "sram-digital",
        "sram-analog-r64-adc8",
        "rram-analog-r64-adc6",
        "pcm-r128-adc6",
        "rram-sliced-r64-adc8",
    )
    cells = tuple(
        cell
        for cell in evaluation.declared_grid()
        if cell.compression < 2 and cell.config.accuracy_class.startswith(few)
    )
    for module in (evaluation, evaluate_jobs, serial_audit):
        monkeypatch.setattr(module, "declared_grid", lambda: cells)
    monkeypatch.setattr(evaluation, "COMPRESSIONS", evaluation.COMPRESSIONS[:2])
    monkeypatch.setattr(evaluate_jobs, "COMPRESSIONS", evaluation.COMPRESSIONS)
    return Folders(tmp_path / "out", None, tmp_path)


@pytest.fixture
def trained(folders) -> Folders:
    TrainJob(CODE, 0, "alone-3", folders).run()
    return folders


def job(folders: Folders) -> evaluate_jobs.EvaluateJob:
    return evaluate_jobs.EvaluateJob(CODE, 0, "alone-3", folders)


def test_no_accuracy_depends_on_which_others_are_measured(trained, monkeypatch):
    """A time, a class or a compression may be left out, or added later."""
    job(trained).run()
    (whole,) = read_evaluations(trained.out / "evaluation")
    every = evaluation.declared_grid()
    kept = tuple(c for c in every if c.time != "1h" and not c.config.accuracy_class.startswith("rram-analog"))
    assert 5 < len(kept) < len(every)
    for module in (evaluation, evaluate_jobs):
        monkeypatch.setattr(module, "declared_grid", lambda: kept)
    job(trained).path.unlink()
    job(trained).run()
    (fewer,) = read_evaluations(trained.out / "evaluation")
    rows = [every.index(cell) for cell in kept]
    assert np.array_equal(fewer.score, whole.score[rows])
    assert np.array_equal(fewer.search, whole.search[rows])


def test_what_other_source_made_is_not_taken_for_done(trained):
    assert evaluate_jobs.made_otherwise([job(trained)]) == []  # nothing is there
    job(trained).run()
    assert evaluate_jobs.made_otherwise([job(trained)]) == []
    held = archive.read(job(trained).path)
    about = json.loads(held["about"].item())
    assert len(about["evaluator"]) == 64
    for changed in ({**about, "evaluator": "0" * 64}, {k: v for k, v in about.items() if k != "evaluator"}):
        archive.write(job(trained).path, held | {"about": np.array(json.dumps(changed))})
        assert evaluate_jobs.made_otherwise([job(trained)]) == [job(trained).path]


def test_what_other_weights_gave_is_not_taken_for_done(trained):
    job(trained).run()
    weights = archive.read(job(trained).trained)
    archive.write(job(trained).trained, weights | {"codes": weights["codes"][::-1].copy()})
    assert evaluate_jobs.made_otherwise([job(trained)]) == [job(trained).path]
    job(trained).trained.unlink()
    assert evaluate_jobs.made_otherwise([job(trained)]) == []  # nothing says that they have changed


def test_from_training_to_a_served_table(trained, tmp_path, monkeypatch):
    job(trained).run()
    (read,) = read_evaluations(trained.out / "evaluation")
    assert (read.code, read.seed, read.about["protocol"]) == (CODE, 0, "alone-3")
    assert np.isfinite(read.score).all()
    digital = read.grid.cell_class.index("sram-digital-int8")
    # The exact network's label is its accuracy on all images, whatever the draw.
    held = archive.read(job(trained).path)
    np.testing.assert_allclose(read.score[digital], held["score_full"][0])
    hybrid.pack(trained.out / "evaluation", tmp_path / "data" / "hybrid.h5", log=lambda line: None)
    monkeypatch.setenv("NASBENCH_IMC_DATA", str(tmp_path / "data"))
    bench = nbi.load("hybrid")
    design = nbi.Design(CODE, "pcm-r128-adc6-mux4")
    cells = list(zip(read.grid.cell_class, read.grid.cell_time, strict=True))
    row = cells.index(("pcm-r128-adc6", "30d"))
    assert bench.query(design, at="30d")["accuracy"] == pytest.approx(read.score[row].mean(), abs=1e-4)
    with pytest.raises(UnavailableError):
        bench.query(nbi.Design(CODE, "pcm-r128-adc6-mux4", sparsity=0.5))
    assert bench.query(design)["energy"] > 0


@pytest.mark.parametrize("config", evaluation.declared_grid()[::7], ids=lambda cell: cell.config.id)
def test_all_of_a_chip_is_on_the_networks_device(config, coloured, monkeypatch):
    """Tensors of the device "meta" hold no numbers, but may not meet those of the CPU."""
    images, code = coloured(256, 1), "c16x1-m24x1-a32x1"
    network, codes = decode(code, encode(HybridNetwork(code, torch.Generator().manual_seed(0))))
    for module in (ranges, serial):
        monkeypatch.setattr(module, "span", lambda values: 1.0)
    monkeypatch.setattr(ranges, "rounder", lambda values, bits: Rounder(1.0, -127, 127))
    monkeypatch.setattr(serial, "float", lambda value: 1.0, raising=False)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: torch.zeros(self.shape, device="cpu"))
    with torch.device("meta"):
        network, codes = network.to("meta"), evaluation.on_device(codes, "meta")
        calibration = ranges.calibrate(network, evaluation.calibration_images(images, "meta"))
        rng = torch.Generator().manual_seed(0)
        chip = Chip(network, codes, calibration, config.config, rng)
        chip.program(rng)
        chip.read(SECONDS["1d"], rng)
        assert evaluation.hits(chip, images).shape == (256,)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_what_a_cpu_finds(trained):
    here, there = job(trained), replace(job(trained), device="cuda")
    here.run()
    first = archive.read(here.path)
    there.run()
    second = archive.read(there.path)
    assert np.isnan(second["measured/evaluation_seconds"])
    for part in ("score", "search"):
        assert np.abs(first[f"{part}_full"] - second[f"{part}_full"]).max() <= 5  # two of 40 images
        assert np.abs(first[f"{part}_accuracy"] - second[f"{part}_accuracy"]).mean() < 5


def test_two_evaluations_differ_in_what_was_measured_alone(trained):
    first = job(trained)
    first.run()
    before = archive.digest(first.path)
    first.path.unlink()
    first.run()
    assert archive.digest(first.path) == before


def test_no_hooks_or_activations_outlive_an_evaluation(trained):
    """Hooks left on what chips share once kept every activation in memory."""

    def held() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    job(trained).run()
    before = held()
    job(trained).run()
    assert held() <= before + 50


def test_a_network_that_was_not_trained_is_named(folders):
    with pytest.raises(BenchmarkError, match=rf"{CODE}\.npz is missing; run `nasbench-imc build train`"):
        job(folders).run()


def test_the_audit_holds_surrogate_beside_exact(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(serial_audit, "IMAGES", 4)
    audit = AuditJob(CODE, 0, "alone-3", trained)
    audit.run()
    held = archive.read(audit.path)
    assert held["exact"].shape == held["surrogate"].shape == (len(serial_configs()), 4)
    table, page = write_audit([audit.path], tmp_path / "page")
    assert table.read_text().count("\n") == 1 + len(serial_configs())
    assert f"{json.loads(held['about'].item())['recipe']}" in page.read_text()
    with pytest.raises(BenchmarkError, match="no audits"):
        write_audit([], tmp_path / "page")
