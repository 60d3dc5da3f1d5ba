"""Zero-cost proxies: definitions checked on small networks, and the file that holds them all."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from nasbench_imc.building import archive, proxies  # noqa: E402
from nasbench_imc.building.networks import HybridNetwork  # noqa: E402
from nasbench_imc.building.parts import join  # noqa: E402
from nasbench_imc.errors import BenchmarkError  # noqa: E402

CODES = ("c16x1-c24x1-c32x1", "m16x1-m24x1-m32x1", "a16x1-a24x1-a32x1")


@pytest.fixture(scope="module")
def images(coloured):
    return coloured(200, 1)


@pytest.fixture
def linear():
    """One linear layer on three pixels."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 4, bias=False))
    pixels, labels = torch.randn(6, 3, 1, 1), torch.tensor([0, 1, 2, 3, 0, 1])
    return network, pixels, labels


@pytest.mark.parametrize("code", CODES)
def test_all_are_finite_and_repeat(images, code):
    first, again = (proxies.proxies(code, images, 0) for _ in range(2))
    assert list(first) == list(proxies.PROXIES)
    for name, (value, seconds) in first.items():
        assert math.isfinite(value)
        assert value == again[name][0]
        assert seconds >= 0
    other = proxies.proxies(code, images, 1)
    assert all(other[name][0] != first[name][0] for name in first)


def test_gradients_of_a_linear_layer(linear):
    network, pixels, labels = linear
    weight, x = network[1].weight.detach(), pixels.flatten(1)
    error = torch.softmax(x @ weight.T, 1) - torch.eye(4)[labels]
    gradient = error.T @ x / len(x)
    assert proxies.grad_norm(copy.deepcopy(network), pixels, labels) == pytest.approx(
        float(gradient.norm()), rel=1e-5
    )
    expected = float((weight * gradient).abs().sum())
    assert proxies.snip(copy.deepcopy(network), pixels, labels) == pytest.approx(expected, rel=1e-5)
    flow = math.log(float(weight.abs().sum()))  # an image of ones
    assert proxies.synflow(copy.deepcopy(network), pixels, labels) == pytest.approx(flow, rel=1e-6)


@pytest.mark.parametrize("code", [*CODES, "a32x2-a40x2-a56x2", "c16x2-a24x2-c56x2"])
@pytest.mark.parametrize("layer", ["stem", "last"])
def test_flow_is_proportional_to_the_weights_of_a_layer(code, layer):
    """Absolute weights without normalisation: all that flows passes the stem and the last layer once."""
    network = HybridNetwork(code, torch.Generator().manual_seed(0))
    weighted = [each for each in network.modules() if isinstance(each, (nn.Conv2d, nn.Linear))]
    chosen = weighted[0 if layer == "stem" else -1]
    before = proxies.synflow(copy.deepcopy(network), torch.ones(1, 3, 32, 32), torch.zeros(1))
    with torch.no_grad():
        chosen.weight *= 2
    after = proxies.synflow(network, torch.ones(1, 3, 32, 32), torch.zeros(1))
    assert after - before == pytest.approx(math.log(2), abs=5e-3)  # embeddings of positions pass the stem by


def test_jacobians_that_agree_score_low(linear):
    """A linear network has one Jacobian for all images; so its correlations are all one."""
    network, pixels, labels = linear
    score = proxies.jacob_cov(network, pixels, labels)
    values = np.array([6.0, 0, 0, 0, 0, 0]) + 1e-5
    assert score == pytest.approx(-(np.log(values) + 1 / values).sum(), rel=1e-3)


@pytest.mark.parametrize("code", CODES)
def test_jacobians_are_no_rounding(images, code):
    """Double precision gives what single gives, and other images another gradient."""
    network = HybridNetwork(code, torch.Generator().manual_seed(0))
    pixels = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(16, dtype=torch.long)
    single = proxies.jacob_cov(copy.deepcopy(network), pixels, labels)
    double = proxies.jacob_cov(copy.deepcopy(network).double(), pixels.double(), labels)
    assert single == pytest.approx(double, rel=1e-3)


def test_all_networks_see_one_batch(images, monkeypatch):
    seen = []
    monkeypatch.setattr(
        proxies, "PROXIES", {"look": lambda network, pixels, labels: seen.append(pixels) or 0.0}
    )
    for code in CODES:
        proxies.proxies(code, images, 0)
    assert all(torch.equal(each, seen[0]) for each in seen)


def test_patterns_of_relus():
    """Kernel and determinant by hand: two images that agree in one unit of three."""
    network = nn.Sequential(nn.Flatten(), nn.ReLU())
    pixels = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])[:, :, None, None]
    kernel = np.array([[3.0, 1.0], [1.0, 3.0]])
    expected = np.log(np.linalg.det(kernel))
    assert proxies.naswot(network, pixels, torch.tensor([0, 1])) == pytest.approx(expected)


def test_every_relu_of_a_network_counts():
    network = HybridNetwork("c16x1-m24x1-a32x1", torch.Generator().manual_seed(0))
    with torch.no_grad(), proxies._Patterns() as patterns:
        network(torch.randn(2, 3, 32, 32))
    assert len(patterns.seen) == 2 + 2 + 2 + 1  # stem, pair, expanded and depthwise, MLP


def part(path, codes, **about):
    text = json.dumps({"seed": 0, "pixels": "folder", "torch": "2", **about})
    archive.write(
        path,
        {
            "about": np.array(text),
            "codes": np.array(codes, dtype="S"),
            "names": np.array(["snip"], dtype="S"),
            "values": np.arange(len(codes), dtype=float)[:, None],
        },
        measured={"seconds": np.ones((len(codes), 1)), "processor": np.array("P")},
    )
    return path


def test_parts_are_joined_in_order_or_refused(tmp_path):
    first, second = part(tmp_path / "0.npz", ["a", "b"]), part(tmp_path / "1.npz", ["c"])
    join([first, second], tmp_path / "all.npz")
    held = archive.read(tmp_path / "all.npz")
    assert held["codes"].tolist() == [b"a", b"b", b"c"]
    assert held["values"].ravel().tolist() == [0.0, 1.0, 0.0]
    assert held["measured/seconds"].shape == (3, 1)
    with pytest.raises(BenchmarkError, match=r"1.npz and .*0.npz differ in about"):
        join([first, part(tmp_path / "1.npz", ["c"], pixels="official")], tmp_path / "all.npz")
