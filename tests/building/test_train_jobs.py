"""Training jobs, on a small generated set and a super-network of fresh weights."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building import supernet, train_jobs, training  # noqa: E402
from nasbench_imc.building.audit import audit_list, networks  # noqa: E402
from nasbench_imc.building.cifar10 import Cifar10  # noqa: E402
from nasbench_imc.building.codes import crossbar_layers, decode  # noqa: E402
from nasbench_imc.building.train_jobs import RECIPES, SHARED_RECIPES, Folders, SharedTrainJob, TrainJob  # noqa: E402
from nasbench_imc.errors import BenchmarkError, UnknownNameError  # noqa: E402
from nasbench_imc.spaces.hybrid import stages  # noqa: E402

CODE = "m16x1-a24x1-c32x1"


@pytest.fixture(scope="module")
def data(coloured) -> Cifar10:
    return Cifar10(coloured(512, 1), coloured(100, 2), coloured(100, 3), "generated")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, data) -> Iterator[Folders]:
    """Results go to a folder of these tests' own; jobs get the generated images and small batches."""
    short = {name: replace(recipe, batch=64) for name, recipe in RECIPES.items()}
    shared = {name: replace(recipe, batch=64, epochs=1) for name, recipe in SHARED_RECIPES.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_jobs, "prepare", lambda *given: data)
        patch.setattr(train_jobs, "STATISTICS_BATCHES", 2)
        patch.setattr(train_jobs, "RECIPES", short)
        patch.setattr(train_jobs, "SHARED_RECIPES", shared)
        out = tmp_path_factory.mktemp("training")
        yield Folders(out, None, out / "cache")


@pytest.fixture(scope="module")
def shared(folders) -> Folders:
    """With super-networks of seeds 0 and 1."""
    for seed in (0, 1):
        SharedTrainJob(seed, "uniform-100", folders).run()
    return folders


def ran(job: TrainJob) -> dict[str, np.ndarray]:
    job.run()
    with np.load(job.path, allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def test_a_recipe_without_epochs_is_inheritance_alone(shared, data):
    job = TrainJob(CODE, 1, "uniform-100+0", shared)
    held = ran(job)
    weights = train_jobs.load_weights(shared.supernet("uniform-100", 1, "c16x1-c24x1-c32x1"))
    network = supernet.inherit(weights, CODE, data.train, 2, seed=1)
    assert held["test_accuracy"] == training.accuracy(network, data.test)
    assert held["inherited_accuracy"] == training.accuracy(network, data.validation)
    assert held["validation_accuracy"].shape == held["measured/seconds"].shape == (0,)
    assert held["measured/inheritance_seconds"] > 0


@pytest.mark.parametrize("recipe", ["uniform-100+1", "uniform-100+2-ema", "alone-3"])
def test_equal_jobs_give_equal_results(shared, recipe):
    job = TrainJob(CODE, 0, recipe, shared)
    first, second = ran(job), ran(job)
    assert first.keys() == second.keys()
    for name in (n for n in first if not n.startswith("measured/")):
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize(("ending", "parent"), [("", 1), ("-from-0", 0)])
def test_weights_are_inherited_from_the_seed_that_the_recipe_says(shared, data, ending, parent):
    held = ran(TrainJob(CODE, 1, f"uniform-100+0{ending}", shared))
    weights = train_jobs.load_weights(shared.supernet("uniform-100", parent, "c16x1-c24x1-c32x1"))
    network = supernet.inherit(weights, CODE, data.train, 2, seed=1)
    assert held["test_accuracy"] == training.accuracy(network, data.test)
    assert held["inherited_accuracy"] == training.accuracy(network, data.validation)


def test_codes_are_kept_and_are_near_the_accuracy_written(folders, data, monkeypatch):
    short = replace(train_jobs.RECIPES["reference"], epochs=1)
    monkeypatch.setitem(train_jobs.RECIPES, "reference", short)
    job = TrainJob(CODE, 0, "reference", folders)
    held = ran(job)
    network, codes = decode(CODE, held)
    assert codes.keys() == crossbar_layers(network).keys()
    # Accuracy is that of the floats before they were coded; of 100 images few change their class.
    assert abs(training.accuracy(network, data.test) - held["test_accuracy"]) <= 10
    assert "inherited_accuracy" not in held


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_differs_by_rounding_alone(data):
    recipe = replace(RECIPES["alone-3"], batch=64, epochs=1)
    there, here = (training.train(CODE, data, recipe, 0, device=device) for device in ("cuda", "cpu"))
    assert there.training_loss == pytest.approx(here.training_loss, abs=0.02)
    shared = replace(SHARED_RECIPES["uniform-100"], batch=64, epochs=1)
    there, here = (supernet.train_shared(data, shared, 0, device=device) for device in ("cuda", "cpu"))
    assert there.training_loss == pytest.approx(here.training_loss, abs=0.02)


def test_all_of_a_step_is_computed_on_the_device(data, monkeypatch):
    """Tensors of the device "meta" hold no numbers, but may not meet those of the CPU."""
    monkeypatch.setattr(supernet, "float", lambda value: 0.0, raising=False)
    recipe = replace(SHARED_RECIPES["uniform-100"], batch=256, sampling="fair")
    made = supernet.SharedTraining(data, recipe, 0, device="meta")
    made.epoch()
    assert {weight.device.type for weight in made.weights.values()} == {"meta"}


def test_a_missing_super_network_is_named(folders):
    with pytest.raises(BenchmarkError, match=r"no super-network .*uniform-100.*seed-3"):
        TrainJob(CODE, 3, "uniform-100+1", folders).run()


def test_an_average_follows_the_weights_with_its_decay(data):
    # One step an epoch: the average of two steps is known from the weights after each.
    one = training.Recipe(epochs=2, batch=512, learning_rate=0.1)
    last, first, averaged = (
        training.train(CODE, data, replace(one, averaging=decay), seed=0).network
        for decay in (0.0, 1.0, 0.75)  # a decay of one never leaves the first step
    )
    for a, b, c in zip(averaged.parameters(), first.parameters(), last.parameters(), strict=True):
        assert torch.allclose(a, 0.75 * b + 0.25 * c, atol=1e-6)
    assert not torch.equal(last.classifier.weight, first.classifier.weight)


def test_without_noise_and_clipping_weights_are_neither_disturbed_nor_bounded():
    weight = torch.linspace(-1, 1, 100).reshape(10, 10)
    assert training.noisy(weight, 0.0, torch.Generator()) is weight
    training.clip([weight], None)
    assert torch.equal(weight, torch.linspace(-1, 1, 100).reshape(10, 10))


def test_every_recipe_has_a_parent_that_there_is_and_files_of_its_own(tmp_path):
    folders = Folders(tmp_path, None, tmp_path)
    assert {recipe.parent for recipe in RECIPES.values()} <= {None, *SHARED_RECIPES}
    assert all(recipe.epochs > 0 for recipe in RECIPES.values() if recipe.parent is None)
    paths = {TrainJob(CODE, 0, name, folders).path for name in RECIPES}
    assert len(paths) == len(RECIPES)
    assert all(Path(name).name == name for name in RECIPES)


def test_the_repeated_list_is_fixed_and_takes_evenly_of_all_operators():
    listed = networks("repeated")
    assert listed == networks("repeated")
    assert len(listed) == len(set(listed)) == 100
    assert listed[:2] == ("c16x1-c24x2-m56x1", "c16x1-c40x1-c56x1")
    everything = networks("all")
    assert list(listed) == [code for code in everything if code in listed]
    groups = Counter("".join(stage[0] for stage in code.split("-")) for code in listed)
    assert len(groups) == 27
    assert set(groups.values()) == {3, 4}


def test_the_audit_list_holds_forty_networks_and_its_head_all_operators_in_all_stages():
    listed = audit_list()
    assert len(listed) == len(set(listed)) == 40
    head = [[stage.operator for stage in stages(code)] for code in listed[:24]]
    assert all({operators[k] for operators in head} == {"c", "m", "a"} for k in range(3))


def test_lists_of_networks_have_names_and_others_are_given_by_their_codes():
    assert networks("audit") == audit_list()
    assert networks(f"{CODE},c16x1-c24x1-c32x1") == (CODE, "c16x1-c24x1-c32x1")
    assert networks(CODE) == (CODE,)
    with pytest.raises(UnknownNameError, match=r"list of networks 'everything'.*pilot"):
        networks("everything")
    with pytest.raises(UnknownNameError, match="c17x1"):
        networks(f"{CODE},c17x1-c24x1-c32x1")
