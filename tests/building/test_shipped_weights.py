"""The weights in ``datasets/weights``: one set for every network, and networks that are what the log says.

``NASBENCH_IMC_IMAGES=FOLDER ./scripts/test -m slow -k rebuilt`` rebuilds some and measures them again, on the
image folder that trained them (the JPEG copy of CIFAR-10; the official pixels give other accuracies).
"""

import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building import cifar10, shards  # noqa: E402
from nasbench_imc.building.training import accuracy  # noqa: E402
from nasbench_imc.building.training_log import read_log  # noqa: E402
from nasbench_imc.spaces import Hybrid  # noqa: E402

ROOT = Path(__file__).parents[2]
FOLDER, LOG = ROOT / "datasets/weights", ROOT / "datasets/raw/training/runs.jsonl.gz"
RECIPE = "uniform-1000-s3-30-s23-10+1"
IMAGES = "NASBENCH_IMC_IMAGES"
SAMPLE = np.random.default_rng(20_261).choice(Hybrid().architectures, 12, replace=False).tolist()


@pytest.fixture(scope="module")
def logged():
    return {run.code: run.values for run in read_log(LOG) if run.recipe == RECIPE and run.code}


def test_every_network_has_its_weights_once(logged):
    held = Counter()
    for path in sorted(FOLDER.glob(f"{RECIPE}-seed0-*.zip")):
        with zipfile.ZipFile(path) as archive:
            held.update(name.removesuffix(".npz") for name in archive.namelist())
    assert set(held.values()) == {1}
    assert set(held) == set(logged) == set(Hybrid().architectures)


@pytest.mark.parametrize("code", SAMPLE)
def test_a_network_is_rebuilt_with_finite_weights_of_its_size(code):
    network, codes = shards.load_network(FOLDER, code, RECIPE)
    assert all(torch.isfinite(each).all() for each in network.state_dict().values())
    assert sum(layer.codes.numel() for layer in codes.values()) == Hybrid().network(code).weights
    assert not network.training


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    """The test images; decoding them takes half a minute."""
    if not os.environ.get(IMAGES):
        pytest.skip(f"{IMAGES} names no image folder")
    return cifar10.load(Path(os.environ[IMAGES]), tmp_path_factory.mktemp("cache")).test


@pytest.mark.slow
@pytest.mark.parametrize("code", SAMPLE)
def test_rebuilt_networks_reach_the_accuracy_that_was_logged(code, logged, pixels):
    """Codes of 8 bits cost at most 15 of 10,000 images in these networks."""
    network, _ = shards.load_network(FOLDER, code, RECIPE)
    with torch.inference_mode():
        found = accuracy(network, pixels)
    assert found == pytest.approx(logged[code]["test_accuracy"], abs=0.25)
