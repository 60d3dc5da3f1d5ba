"""What is kept of a network, and what comes back."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from nasbench_imc.building.codes import (  # noqa: E402
    Codes,
    coded,
    crossbar_layers,
    decode,
    encode,
    full_scale,
    requantised,
)
from nasbench_imc.building.networks import HybridNetwork  # noqa: E402
from nasbench_imc.errors import BenchmarkError  # noqa: E402

CODE = "c16x1-m24x1-a32x1"


@pytest.fixture
def network() -> HybridNetwork:
    rng = torch.Generator().manual_seed(0)
    made = HybridNetwork(CODE, rng).to(memory_format=torch.channels_last)
    made.train()
    made(torch.randn(32, 3, 32, 32, generator=rng))
    return made.eval()


def through_a_file(arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    buffer.seek(0)
    with np.load(buffer) as stored:
        return dict(stored)


@pytest.mark.parametrize("bits", range(2, 9))
def test_full_scale_is_symmetric(bits):
    assert full_scale(bits) == 2 ** (bits - 1) - 1


def test_every_channel_uses_the_whole_range_and_no_weight_is_off_by_more_than_half_a_step():
    weight = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(1))
    weight *= torch.logspace(-6, 3, 6).view(-1, 1, 1, 1)
    codes = coded(weight)
    assert torch.equal(codes.codes.abs().amax(dim=(1, 2, 3)), torch.full((6,), 127.0))
    assert torch.equal(codes.codes, codes.codes.round())
    step = codes.scale.view(-1, 1, 1, 1)
    assert bool(((codes.weight - weight).abs() <= 0.5001 * step).all())
    assert codes.bits == 8


def test_a_channel_of_zeros_has_codes_of_zero():
    codes = coded(torch.zeros(2, 3))
    assert torch.equal(codes.weight, torch.zeros(2, 3))


def test_coding_leaves_the_weight_as_it_is():
    weight = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    before = weight.clone()
    coded(weight)
    assert torch.equal(weight, before)


@given(bits=st.integers(2, 8), seed=st.integers(0, 99))
def test_requantised_codes_are_the_nearest_of_their_precision(bits, seed):
    codes = coded(torch.randn(3, 40, generator=torch.Generator().manual_seed(seed)))
    fewer = requantised(codes, bits)
    assert fewer.bits == bits
    assert float(fewer.codes.abs().max()) == full_scale(bits)
    assert torch.equal(fewer.codes, fewer.codes.round())
    step = fewer.scale.view(-1, 1)
    assert bool(((fewer.weight - codes.weight).abs() <= 0.501 * step).all())
    # The largest weight of a channel stays what it was.
    torch.testing.assert_close(fewer.weight.abs().amax(1), codes.weight.abs().amax(1))


@pytest.mark.parametrize(("of", "to"), [(8, 1), (8, 9), (4, 8), (8, 0)])
def test_codes_have_no_more_bits_than_they_had(of, to):
    with pytest.raises(ValueError, match=f"from 2 to {of}, not {to}"):
        requantised(Codes(torch.zeros(2, 2), torch.ones(2), of), to)


def test_what_is_kept_is_small_and_complete(network):
    arrays = encode(network)
    assert {name: array.dtype for name, array in arrays.items()} == {
        "codes": np.int8,
        "scales": np.float16,
        "other": np.float16,
    }
    layers = crossbar_layers(network)
    assert len(arrays["codes"]) == sum(layer.weight.numel() for layer in layers.values())
    assert len(arrays["scales"]) == sum(len(layer.weight) for layer in layers.values())
    state = {n: v for n, v in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    assert len(arrays["codes"]) + len(arrays["other"]) == sum(v.numel() for v in state.values())


def test_a_network_survives_a_file_and_a_second_round_changes_nothing(network):
    arrays = through_a_file(encode(network))
    first, codes = decode(CODE, arrays)
    second, again = decode(CODE, through_a_file(encode(first)))
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=0), name
    for name, each in codes.items():
        assert torch.equal(each.codes, again[name].codes)
        assert torch.equal(each.weight, first.get_submodule(name).weight)
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert not first.training
        torch.testing.assert_close(first(x), network(x), rtol=0.05, atol=0.05)


def test_decoding_twice_gives_the_same_bytes_and_shares_nothing(network):
    arrays = encode(network)
    for array in arrays.values():
        array.flags.writeable = False
    (a, a_codes), (b, b_codes) = decode(CODE, arrays), decode(CODE, arrays)
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y)
        assert x.data_ptr() != y.data_ptr()
    name = "stem.0.0"
    a_codes[name].scale.zero_()
    assert float(b_codes[name].scale.min()) > 0
    assert arrays["scales"].min() > 0


def test_other_arrays_do_no_harm_and_a_missing_one_is_named(network):
    arrays = encode(network)
    decode(CODE, {**arrays, "about": np.array("x")})
    for name in ("codes", "scales", "other"):
        with pytest.raises(BenchmarkError, match=rf"kept weights of {CODE} lack '{name}'"):
            decode(CODE, {k: v for k, v in arrays.items() if k != name})


@pytest.mark.parametrize("name", ["codes", "scales", "other"])
def test_an_array_of_another_shape_is_named_with_both_shapes(network, name):
    arrays = encode(network)
    right, wrong = arrays[name].shape, arrays[name][:-1]
    with pytest.raises(BenchmarkError) as error:
        decode(CODE, {**arrays, name: wrong})
    for part in (name, str(tuple(right)), str(wrong.shape)):
        assert part in str(error.value)


def test_arrays_of_another_network_are_refused(network):
    with pytest.raises(BenchmarkError):
        decode("c16x1-m24x1-a32x2", encode(network))
    with pytest.raises(BenchmarkError):
        decode("c32x1-m24x1-a32x1", encode(network))


@pytest.mark.parametrize("value", [1e6, float("nan"), float("-inf")])
def test_what_half_precision_cannot_hold_is_refused(network, value):
    with torch.no_grad():
        network.norm.bias[0] = value
    with pytest.raises(BenchmarkError, match=r"norm\.bias does not fit half precision"):
        encode(network)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(network, value):
    with torch.no_grad():
        network.classifier.weight[1, 2] = value
    with pytest.raises(BenchmarkError, match="classifier"):
        encode(network)
