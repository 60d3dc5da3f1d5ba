import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_imc.errors import UnknownNameError
from nasbench_imc.spaces.hybrid import Hybrid, kept_channels, stages

SPACE = Hybrid()
CODES = st.sampled_from(SPACE.architectures)


def test_space_has_1728_networks_of_three_kinds():
    operators = [{stage.operator for stage in stages(code)} for code in SPACE.architectures]
    assert len(set(SPACE.architectures)) == 1_728
    assert sum(found <= {"c", "m"} for found in operators) == 512
    assert sum(found == {"a"} for found in operators) == 64


@given(CODES)
def test_a_code_and_its_values_say_the_same(code):
    assert SPACE.from_values(SPACE.values(code)) == code


@given(CODES, st.integers(0, 2**32 - 1))
def test_a_mutant_differs_in_one_variable_and_is_a_neighbour(code, seed):
    mutant = SPACE.mutate(code, np.random.default_rng(seed))
    before, after = SPACE.values(code), SPACE.values(mutant)
    assert sum(before[name] != after[name] for name in before) == 1
    assert mutant in SPACE.neighbors(code)
    assert len(SPACE.neighbors(code)) == 3 * (2 + 1 + 1)


@pytest.mark.parametrize(
    "code",
    ["", "c32x1", "c32x1-m40x2-a56x3", "c31x1-m40x2-a56x1", "x32x1-m40x2-a56x1", None, float("nan"), [1]],
)
def test_a_malformed_code_is_refused_and_the_message_says_what_is_valid(code):
    with pytest.raises(UnknownNameError, match=r"c32x1-m40x2-a56x1|valid|did you mean"):
        SPACE.network(code) if isinstance(code, str) else SPACE.values(code)


def test_counts_of_a_small_convolutional_network_by_hand():
    # Stem 3>16>16; stage 1: 3x3 pair at 16; stage 2: pair 16>24 with stride and shortcut; stage 3: 24>32.
    weights = 27 * 16 + 144 * 16
    weights += 2 * 9 * 16 * 16
    weights += 9 * 16 * 24 + 9 * 24 * 24 + 16 * 24
    weights += 9 * 24 * 32 + 9 * 32 * 32 + 24 * 32
    weights += 32 * 10
    macs = 27 * 16 * 256 + 144 * 16 * 64
    macs += 2 * 9 * 16 * 16 * 64
    macs += 16 * (9 * 16 * 24 + 9 * 24 * 24 + 16 * 24 + 9 * 24 * 32 + 9 * 32 * 32 + 24 * 32)
    macs += 32 * 10
    network = SPACE.network("c16x1-c24x1-c32x1")
    assert network.weights == weights
    assert network.macs == macs


def test_attention_has_two_dynamic_products_of_tokens_squared_times_channels():
    products = [x for x in SPACE.network("a16x1-a24x1-a32x1").layers if x.kind == "matmul"]
    # 64 tokens at 8 x 8, 16 at 4 x 4; Q K^T and A V take tokens^2 x channels each.
    assert [x.macs for x in products] == [64**2 * 16] * 2 + [16**2 * 24] * 2 + [16**2 * 32] * 2
    assert all(x.weights == 0 for x in products)


def fan_ins_and_outputs(network):
    return [(x.fan_in, x.outputs, x.groups) for x in network.layers if x.kind == "mvm"]


def test_sparsity_removes_inner_channels_of_each_operator_by_hand():
    # Depths 1; stage 1 at width 16 keeps its input's, so that c has no shortcut and m a residual.
    plain, sparse = (
        [fan_ins_and_outputs(SPACE.network(code, s)) for code in ("c16x1-m24x1-a32x1", "a16x1-c24x1-m32x1")]
        for s in (0.0, 0.5)
    )
    stem = [(27, 16, 1), (144, 16, 1)]
    assert plain[0] == [
        *stem,
        *[(144, 16, 1), (144, 16, 1)],  # c
        *[(16, 48, 1), (9, 48, 48), (48, 24, 1)],  # m
        *[(24, 32, 1), (32, 96, 1), (32, 32, 1), (32, 64, 1), (64, 32, 1)],  # a: patches, QKV, out, MLP
        (32, 10, 1),
    ]
    assert sparse[0] == [
        *stem,
        *[(144, 8, 1), (72, 16, 1)],
        *[(16, 24, 1), (9, 24, 24), (24, 24, 1)],
        *[(24, 32, 1), (32, 96, 1), (32, 32, 1), (32, 32, 1), (32, 32, 1)],
        (32, 10, 1),
    ]
    assert sparse[1] == [
        *stem,
        *[(16, 48, 1), (16, 16, 1), (16, 16, 1), (16, 16, 1)],
        *[(144, 12, 1), (108, 24, 1), (16, 24, 1)],  # c: a shortcut, since stride and width change
        *[(24, 36, 1), (9, 36, 36), (36, 32, 1)],
        (32, 10, 1),
    ]


@given(CODES)
def test_half_sparsity_halves_inner_layers_and_leaves_the_rest(code):
    plain, sparse = SPACE.network(code), SPACE.network(code, 0.5)
    assert sparse.producers == plain.producers
    inner_weights = inner_macs = 0
    for before, after in zip(plain.layers, sparse.layers, strict=True):
        if before != after:
            assert before.kind == "mvm"
            # All inner widths of the space are even: each changed layer has exactly half.
            assert 2 * after.weights == before.weights
            assert 2 * after.macs == before.macs
            inner_weights += after.weights
            inner_macs += after.macs
    assert plain.weights - sparse.weights == inner_weights > 0
    assert plain.macs - sparse.macs == inner_macs > 0
    changed = sum(before != after for before, after in zip(plain.layers, sparse.layers, strict=True))
    blocks = {"c": 2, "m": 3, "a": 2}
    assert changed == sum(blocks[stage.operator] * stage.depth for stage in stages(code))


@given(CODES, st.floats(0, 0.99))
def test_more_sparsity_never_takes_more(code, sparsity):
    plain, sparse = SPACE.network(code), SPACE.network(code, sparsity)
    assert sparse.weights <= plain.weights
    assert SPACE.network(code, 0.99).weights <= sparse.weights
    assert SPACE.network(code, 0.0) == plain


@pytest.mark.parametrize(
    ("inner", "sparsity", "kept"),
    [
        (16, 0.0, 16),
        (16, 0.5, 8),
        (7, 0.5, 4),
        (1, 0.5, 1),
        (100, 0.29, 71),
        (10, 0.7, 3),
        (10, 0.9, 1),
        (3, 0.99, 1),
    ],
)
def test_kept_channels_are_rounded_up(inner, sparsity, kept):
    assert kept_channels(inner, sparsity) == kept


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 2, float("nan")])
def test_a_sparsity_out_of_range_is_refused(sparsity):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        SPACE.network("c16x1-c24x1-c32x1", sparsity)


def test_mean_number_of_weights_fits_the_repository():
    weights = [SPACE.network(code).weights for code in SPACE.architectures]
    assert np.mean(weights) < 70_000


@given(CODES)
def test_costs_of_a_network_are_finite_and_positive(code):
    from nasbench_imc.hardware import grid, network_costs

    costs = network_costs([SPACE.network(code)], grid()[::15])
    for name in ("energy", "latency", "area", "throughput"):
        assert np.isfinite(costs[name]).all()
        assert (costs[name] > 0).all()
