"""Networks as the cost model sees them, and those that the NAS-Bench-201 space makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_imc.networks import Layer, Network
from nasbench_imc.spaces import NB201

SPACE = NB201()
CODES = SPACE.architectures
STAGES = ((16, 32), (32, 16), (64, 8))  # channels, pixels a side
CONV = Layer("mvm", 27, 16, 1024, 1, 3072)

codes = st.sampled_from(CODES)


def cell(**operations: str) -> str:
    """A code with these operations and 'none' elsewhere, for example ``cell(edge_0_3="skip_connect")``."""
    return SPACE.from_values(dict.fromkeys(SPACE.variables, "none") | operations)


@pytest.fixture(scope="module")
def sizes(bench) -> dict[str, tuple[int, int]]:
    """Code -> (MACs, weights) of every distinct network."""
    networks = {code: SPACE.network(code) for code in {bench.canonical(code) for code in CODES}}
    return {code: (network.macs, network.weights) for code, network in networks.items()}


def test_layer_counts_a_convolution():
    # 3 x 3 x 3 inputs, 16 outputs, 32 x 32 pixels.
    assert (CONV.macs, CONV.weights, CONV.output_elements) == (27 * 16 * 1024, 27 * 16, 16 * 1024)


def test_layer_counts_a_matmul_without_weights():
    layer = Layer("matmul", 32, 64, 64, 4, 4096)
    assert (layer.macs, layer.weights) == (32 * 64 * 64, 0)


def test_layer_counts_vector_work_without_macs():
    assert (Layer("vector", 9, 16, 64, 1, 1024).macs, Layer("vector", 9, 16, 64, 1, 1024).weights) == (0, 0)


@pytest.mark.parametrize("field", ["fan_in", "outputs", "pixels", "groups", "input_elements"])
@pytest.mark.parametrize("value", [0, -1])
def test_layer_refuses_sizes_below_one(field, value):
    sizes = {"fan_in": 9, "outputs": 16, "pixels": 4, "groups": 1, "input_elements": 4}
    with pytest.raises(ValueError, match=f"{field} must be at least 1, not {value}"):
        Layer("mvm", **(sizes | {field: value}))


def test_layer_refuses_an_unknown_kind_and_uneven_groups():
    with pytest.raises(ValueError, match=r"'conv'.*'mvm', 'matmul', 'vector'"):
        Layer("conv", 9, 16, 4, 1, 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(10\) must be a multiple of groups \(4\)"):
        Layer("mvm", 9, 10, 4, 4, 4)


@pytest.mark.parametrize("producers", [((), (1,)), ((), (2,)), ((), (-1,)), ((0,), ())])
def test_network_refuses_producers_that_do_not_stand_before(producers):
    with pytest.raises(ValueError, match="producers must stand before it"):
        Network((CONV, CONV), producers, 3072)


def test_network_refuses_another_number_of_producers():
    with pytest.raises(ValueError, match="2 layers but 1 lists"):
        Network((CONV, CONV), ((),), 3072)


def test_macs_span_the_published_range(sizes):
    # The NAS-Bench-201 paper calls them FLOPs: 7.78 M to 220.12 M.
    macs = [macs for macs, _ in sizes.values()]
    assert (round(min(macs) / 1e6, 2), round(max(macs) / 1e6, 2)) == (7.78, 220.12)


def test_weights_span_the_published_range(sizes):
    # Published 0.07 M to 1.53 M, with two numbers a channel of each batch norm and the classifier's bias.
    skeleton = 2 * 16 + 2 * 2 * (32 + 64) + 2 * 64 + 10
    densest = skeleton + 5 * 6 * 2 * (16 + 32 + 64)
    weights = [weights for _, weights in sizes.values()]
    assert min(weights) + skeleton == 73_306
    assert max(weights) + densest == 1_531_546


def test_the_two_ends_of_the_range_are_known_cells(sizes):
    densest = SPACE.from_values(dict.fromkeys(SPACE.variables, "nor_conv_3x3"))
    assert max(sizes.values()) == sizes[densest]
    assert min(sizes.values()) == sizes[cell()]


@pytest.mark.parametrize(("operation", "kernel"), [("nor_conv_3x3", 9), ("nor_conv_1x1", 1)])
def test_one_convolution_adds_its_weights_and_macs(operation, kernel):
    empty, one = SPACE.network(cell()), SPACE.network(cell(edge_0_3=operation))
    assert one.weights - empty.weights == sum(5 * kernel * c * c for c, _ in STAGES)
    assert one.macs - empty.macs == sum(5 * kernel * c * c * side**2 for c, side in STAGES)
    assert len(one.layers) - len(empty.layers) == 15


def test_skips_alone_add_no_layer():
    assert SPACE.network(cell(edge_0_3="skip_connect")).layers == SPACE.network(cell()).layers


@pytest.mark.parametrize("edge", ["edge_0_1", "edge_1_3", "edge_1_2", "edge_2_3"])
def test_operations_on_no_path_have_no_layer(edge):
    alive = cell(edge_0_3="nor_conv_1x1")
    assert SPACE.network(cell(edge_0_3="nor_conv_1x1", **{edge: "nor_conv_3x3"})) == SPACE.network(alive)


def test_a_cut_off_cell_keeps_the_skeleton():
    network = SPACE.network(cell(edge_0_1="nor_conv_3x3", edge_1_2="avg_pool_3x3"))
    assert network == SPACE.network(cell())
    # Stem; two blocks of two convolutions, a pooling and a shortcut; pooling; classifier.
    kinds = [layer.kind for layer in network.layers]
    assert (kinds.count("mvm"), network.layers[-1].outputs) == (1 + 2 * 3 + 1, 10)


def test_a_sum_of_branches_is_a_vector_layer_that_reads_them():
    network = SPACE.network(cell(edge_0_3="nor_conv_1x1", edge_0_1="nor_conv_3x3", edge_1_3="skip_connect"))
    # The first cell: 0 is the stem, then the two convolutions in the order of the code, then their sum.
    assert [layer.fan_in for layer in network.layers[1:4]] == [9 * 16, 16, 1]
    assert [sorted(producers) for producers in network.producers[1:4]] == [[0], [0], [1, 2]]
    assert network.layers[3] == Layer("vector", 1, 16, 1024, 1, 2 * 16 * 1024)


@given(codes)
def test_every_layer_reads_what_its_producers_make(code):
    network = SPACE.network(code)
    for layer, producers in zip(network.layers, network.producers, strict=True):
        if producers:
            assert layer.input_elements == sum(network.layers[k].output_elements for k in producers)


@given(codes)
def test_producers_stand_before_and_every_output_is_read(code):
    network = SPACE.network(code)
    read = {k for i, producers in enumerate(network.producers) for k in producers if k < i}
    assert all(k < i for i, producers in enumerate(network.producers) for k in producers)
    cut_off = network == SPACE.network(cell())
    unread = set(range(len(network.layers) - 1)) - read
    # Of a network cut in its cells only the stem and the blocks between them are unread.
    assert not unread or cut_off


@given(codes)
def test_macs_follow_from_weights_and_pixels(code):
    network = SPACE.network(code)
    assert network.macs == sum(layer.weights * layer.pixels for layer in network.layers)
    assert network.input_elements == 3 * 32 * 32
