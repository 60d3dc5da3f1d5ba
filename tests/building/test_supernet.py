"""The super-network, on a small generated set."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building import supernet  # noqa: E402
from nasbench_imc.building.branches import branch_of, branches  # noqa: E402
from nasbench_imc.building.cifar10 import Cifar10  # noqa: E402
from nasbench_imc.building.networks import HybridNetwork  # noqa: E402
from nasbench_imc.spaces.hybrid import OPERATORS, Hybrid, stages  # noqa: E402

SPACE = Hybrid()


@pytest.fixture(scope="module")
def data(coloured) -> Cifar10:
    return Cifar10(coloured(640, 1), coloured(100, 2), coloured(100, 3), "generated")


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return supernet.fresh(seed=0)


def test_every_network_can_be_cut_from_the_super_network(weights):
    for code in SPACE.architectures[::23]:
        expected = {name: p.shape for name, p in HybridNetwork(code, None).named_parameters()}
        parts = supernet.cut(weights, code)
        assert {name: part.shape for name, part in parts.items()} == expected


def test_networks_share_the_weights_of_equal_choices_and_no_others(weights):
    a = supernet.cut(weights, "c16x2-m40x1-a56x1")
    b = supernet.cut(weights, "a32x1-m40x2-a56x1")
    c = supernet.cut(weights, "c16x2-m24x1-a56x1")

    def storage(parts: dict[str, torch.Tensor], ending: str) -> list[int]:
        return [p.untyped_storage().data_ptr() for name, p in parts.items() if name.endswith(ending)]

    assert storage(a, "depthwise.0.weight")[0] == storage(b, "depthwise.0.weight")[0]
    assert storage(a, "depthwise.0.weight")[0] != storage(c, "depthwise.0.weight")[0]
    assert storage(a, "classifier.weight") == storage(b, "classifier.weight")


def test_a_step_changes_what_the_sampled_networks_have_and_nothing_else(data):
    before = supernet.fresh(seed=0)
    recipe = supernet.SharedRecipe(epochs=1, batch=640, weight_decay=0.5, clip_sigma=1e9)
    after = supernet.train_shared(data, recipe, seed=0).weights
    sampled = next(supernet.sampled("uniform", np.random.default_rng([0, 1])))
    touched = {shared for code in sampled for shared in supernet.shared_names(code).values()}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert changed <= touched


def test_fair_groups_hold_each_operator_of_each_stage_once():
    groups = supernet.sampled("fair", np.random.default_rng(0))
    for _ in range(20):
        group = next(groups)
        for k in range(3):
            assert sorted(stages(code)[k].operator for code in group) == sorted(OPERATORS)


def test_an_inherited_network_has_the_shared_weights_and_statistics_of_the_data(data, weights):
    code = "m16x1-a24x1-c32x2"
    network = supernet.inherit(weights, code, data.train, batches=2, seed=0)
    again = supernet.inherit(weights, code, data.train, batches=2, seed=0)
    parts = supernet.cut(weights, code)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, parts[name])
    for a, b in zip(network.buffers(), again.buffers(), strict=True):
        assert torch.equal(a, b)
    norm = network.stem[0][1]
    assert norm.momentum == 0.1
    assert not network.training
    # A plain mean over both batches: the network's own output is normalised by it.
    assert norm.num_batches_tracked == 2
    assert not torch.allclose(norm.running_var, torch.ones_like(norm.running_var))


def test_training_lowers_the_loss_and_is_repeatable(data):
    recipe = supernet.SharedRecipe(epochs=8, batch=64)
    first, second = (supernet.train_shared(data, recipe, seed=1) for _ in range(2))
    assert first.training_loss == second.training_loss
    assert np.mean(first.training_loss[-3:]) < np.mean(first.training_loss[:3]) - 0.1


def test_branches_partition_the_space():
    for stages_fixed, count in ((0, 1), (1, 12), (2, 144), (3, 1_728)):
        found = branches(stages_fixed)
        assert len(found) == count
        of = [branch_of(code, stages_fixed) for code in SPACE.architectures]
        assert set(of) == set(found)
        assert {of.count(branch) for branch in found[:3]} == {1_728 // count}


@pytest.mark.parametrize("sampling", ["uniform", "fair"])
def test_a_branch_samples_its_own_networks_alone(sampling):
    groups = supernet.sampled(sampling, np.random.default_rng(0), "a40x2-c56x1")
    seen = {code for _ in range(60) for code in next(groups)}
    assert {code.split("-", 1)[1] for code in seen} == {"a40x2-c56x1"}
    assert len(seen) > 8  # of twelve


def test_a_branch_starts_from_its_parent_and_holds_what_its_networks_need(data, weights):
    start = {name: weight.detach() + 1 for name, weight in weights.items()}
    recipe = supernet.SharedRecipe(epochs=0, branch_stages=1)
    kept = supernet.train_shared(data, recipe, 0, branch="m56x2", start=start).weights
    for code in SPACE.architectures[11::97]:
        inside = code.endswith("m56x2")
        assert (set(supernet.shared_names(code).values()) <= set(kept)) == inside
    assert all(torch.equal(value, start[name]) for name, value in kept.items())
    trained = supernet.train_shared(
        data, supernet.SharedRecipe(epochs=1, batch=64, branch_stages=1), 0, branch="m56x2", start=start
    ).weights
    again = supernet.train_shared(
        data, supernet.SharedRecipe(epochs=1, batch=64, branch_stages=1), 0, branch="m56x2", start=start
    ).weights
    assert any(not torch.equal(value, start[name]) for name, value in trained.items())
    assert all(torch.equal(value, again[name]) for name, value in trained.items())
