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

import nasbench_imc as nbi  # noqa: E402
from nasbench_imc.building import cifar10, shards  # noqa: E402
from nasbench_imc.building.audit import repeated_list  # noqa: E402
from nasbench_imc.building.hybrid import REPEATED_SEEDS  # noqa: E402
from nasbench_imc.building.training import accuracy  # noqa: E402
from nasbench_imc.building.training_log import read_log  # noqa: E402
from nasbench_imc.spaces import Hybrid  # noqa: E402

ROOT = Path(__file__).parents[2]
FOLDER, LOG = ROOT / "datasets/weights", ROOT / "datasets/raw/training/runs.jsonl.gz"
RECIPE = "uniform-1000-s3-30-s23-10+1"
IMAGES = "NASBENCH_IMC_IMAGES"
SAMPLE = [
    (code, 0)
    for code in np.random.default_rng(20_261).choice(Hybrid().architectures, 12, replace=False).tolist()
]
SAMPLE += [(code, seed) for seed in REPEATED_SEEDS for code in repeated_list()[::25]]


@pytest.fixture(scope="module")
def logged():
    """Values by network and training seed."""
    return {(run.code, run.seed): run.values for run in read_log(LOG) if run.recipe == RECIPE and run.code}


@pytest.fixture(scope="module")
def released():
    """Training seeds that the table has."""
    return nbi.load("hybrid").training_seeds


def held(seed):
    """How often each network is in the shards of a seed."""
    found = Counter()
    for path in sorted(FOLDER.glob(f"{RECIPE}-seed{seed}-*.zip")):
        with zipfile.ZipFile(path) as archive:
            found.update(name.removesuffix(".npz") for name in archive.namelist())
    return found


def test_every_network_has_its_weights_once(logged, released):
    for seed in (0, *REPEATED_SEEDS):
        names = repeated_list() if seed else Hybrid().architectures
        wanted = dict.fromkeys(names if seed in released else (), 1)
        assert held(seed) == wanted
        assert {code for code, of in logged if of == seed} == set(wanted)


@pytest.mark.parametrize(("code", "seed"), SAMPLE)
def test_a_network_is_rebuilt_with_finite_weights_of_its_size(code, seed, released):
    if seed not in released:
        pytest.skip(f"the table has no training seed {seed}")
    network, codes = shards.load_network(FOLDER, code, RECIPE, seed)
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
@pytest.mark.parametrize(("code", "seed"), SAMPLE)
def test_rebuilt_networks_reach_the_accuracy_that_was_logged(code, seed, released, logged, pixels):
    """Codes of 8 bits cost at most 15 of 10,000 images in these networks."""
    if seed not in released:
        pytest.skip(f"the table has no training seed {seed}")
    network, _ = shards.load_network(FOLDER, code, RECIPE, seed)
    with torch.inference_mode():
        found = accuracy(network, pixels)
    assert found == pytest.approx(logged[code, seed]["test_accuracy"], abs=0.25)
