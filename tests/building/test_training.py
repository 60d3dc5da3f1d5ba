"""Training on a small generated set: colours that tell the classes apart."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building import cifar10, train_jobs, training  # noqa: E402
from nasbench_imc.building.cifar10 import Cifar10  # noqa: E402
from nasbench_imc.errors import BenchmarkError  # noqa: E402

CODE = "c16x1-a24x1-m32x1"


@pytest.fixture(scope="module")
def data(coloured) -> Cifar10:
    return Cifar10(coloured(1_280, 1), coloured(200, 2), coloured(200, 3), "generated")


def test_a_network_learns_and_equal_runs_give_equal_weights(data):
    recipe = training.Recipe(epochs=3, batch=64)
    first, second = (training.train(CODE, data, recipe, seed=0) for _ in range(2))
    assert first.test_accuracy > 60
    assert first.training_loss[-1] < first.training_loss[0]
    assert first.validation_accuracy == second.validation_accuracy
    for a, b in zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_validated_at_quarters_or_after_each_epoch(data):
    assert training.marks(0, 175) == ()
    assert training.marks(1, 175) == (44, 88, 131, 175)
    assert training.marks(2, 175) == (88, 175, 262, 350)
    assert training.marks(30, 175) == tuple(range(175, 30 * 175 + 1, 175))
    told = []
    done = training.train(
        CODE, data, training.Recipe(epochs=2, batch=64), seed=0, on_mark=lambda *mark: told.append(mark)
    )
    assert told == list(zip((0.5, 1.0, 1.5, 2.0), done.validation_accuracy, strict=True))
    assert len(done.training_loss) == len(done.seconds) == 4
    assert all(0 < loss < 5 for loss in done.training_loss)


def test_another_seed_gives_another_network(data):
    recipe = training.Recipe(epochs=1, batch=64)
    a, b = (training.train(CODE, data, recipe, seed=seed).network for seed in (0, 1))
    assert not torch.equal(a.classifier.weight, b.classifier.weight)


def test_weights_are_clipped_at_a_multiple_of_their_spread(data):
    network = training.train(CODE, data, training.Recipe(epochs=1, batch=64, clip_sigma=1.5), seed=0).network
    for weight in training.crossbar_weights(network):
        # The bound is taken before clipping, when the spread was a little larger.
        assert weight.abs().max() < 1.5 * 1.5 * weight.std()


def test_noise_is_taken_back_before_the_step(data):
    # With a learning rate of zero and no clipping the weights stay as they were drawn.
    still = training.Recipe(epochs=1, batch=64, learning_rate=0.0, weight_noise=0.5, clip_sigma=1e9)
    network = training.train(CODE, data, still, seed=3).network
    fresh = training.HybridNetwork(CODE, training.generators(CODE, 3)[0])
    for a, b in zip(training.crossbar_weights(network), training.crossbar_weights(fresh), strict=True):
        assert torch.equal(a, b)


def test_learning_rate_rises_to_one_and_falls_to_zero():
    values = [training.one_cycle(t, 0.2) for t in np.linspace(0, 1, 101)]
    assert values[20] == pytest.approx(1.0)
    assert values[-1] == pytest.approx(0.0, abs=1e-12)
    assert np.all(np.diff(values[:21]) > 0)
    assert np.all(np.diff(values[20:]) < 0)


def test_an_augmented_image_is_a_crop_or_its_mirror_image(coloured):
    images = coloured(4, 5)
    padded = training.pad(images)
    made = training.augmented(padded, torch.arange(4), torch.Generator().manual_seed(0))
    assert made.shape == (4, 3, 32, 32)
    for k in range(4):
        crops = [padded[k, i : i + 32, j : j + 32] for i in range(9) for j in range(9)]
        crops += [crop.flip(1) for crop in crops]
        assert any(torch.equal(training.normalised(crop[None])[0], made[k]) for crop in crops)


def test_the_split_is_fixed_balanced_and_without_overlap():
    ranks = cifar10.validation_ranks()
    assert ranks.shape == (10, 500)
    assert all(len(set(row)) == 500 for row in ranks.tolist())
    assert ranks[0, :5].tolist() == [22, 24, 30, 32, 42]
    # Each image carries its class and rank in two of its pixels.
    train = np.zeros((10, 5_000, 32, 32, 3), dtype=np.uint8)
    train[:, :, 0, 0, 0] = np.arange(10)[:, None]
    train[:, :, 0, 0, 1] = np.arange(5_000) // 256
    train[:, :, 0, 0, 2] = np.arange(5_000) % 256
    made = cifar10.split(train, np.zeros((10, 1_000, 32, 32, 3), dtype=np.uint8), "generated")
    assert [len(part) for part in (made.train, made.validation, made.test)] == [45_000, 5_000, 10_000]
    seen = {tuple(p) for part in (made.train, made.validation) for p in part.pixels[:, 0, 0].tolist()}
    assert len(seen) == 50_000
    for part in (made.train, made.validation):
        assert np.array_equal(part.pixels[:, 0, 0, 0], part.labels)


def test_an_image_folder_with_missing_images_is_refused(tmp_path):
    (tmp_path / "train" / "airplane").mkdir(parents=True)
    with pytest.raises(cifar10.BenchmarkError, match=r"has 0 images, expected 5000"):
        cifar10.load(tmp_path, tmp_path / "cache")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with pytest.raises(BenchmarkError, match=r"finds no GPU; .*--device cpu"):
        train_jobs.prepare(None, tmp_path, "cuda")
