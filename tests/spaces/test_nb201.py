"""Codes of the NAS-Bench-201 space: reading, varying, encoding."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nasbench_imc import UnknownNameError, spaces
from nasbench_imc.spaces.nb201 import EDGES, NB201, OPERATIONS

SPACE = NB201()
CODES = SPACE.architectures
VALID_FORM = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"

codes = st.sampled_from(CODES)
choices = st.fixed_dictionaries({f"edge_{i}_{j}": st.sampled_from(OPERATIONS) for i, j in EDGES})
seeds = st.integers(0, 2**32 - 1)


def changed(a: str, b: str) -> int:
    """How many edges differ."""
    first, second = SPACE.values(a), SPACE.values(b)
    return sum(first[name] != second[name] for name in first)


def test_space_has_15625_distinct_codes():
    assert len(SPACE) == len(CODES) == len(set(CODES)) == 15_625 == 5**6


def test_code_lists_edges_by_target():
    values = {
        "edge_0_1": "none",
        "edge_0_2": "skip_connect",
        "edge_1_2": "nor_conv_1x1",
        "edge_0_3": "nor_conv_3x3",
        "edge_1_3": "avg_pool_3x3",
        "edge_2_3": "none",
    }
    code = "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
    assert SPACE.from_values(values) == code
    assert SPACE.values(code) == values


@given(choices)
def test_values_and_codes_are_inverse(values):
    code = SPACE.from_values(values)
    assert code in CODES
    assert SPACE.values(code) == values


@given(codes)
def test_codes_and_values_are_inverse(code):
    assert SPACE.from_values(SPACE.values(code)) == code


def test_get_finds_the_space_and_names_the_valid_ones():
    assert isinstance(spaces.get("nb201"), NB201)
    with pytest.raises(UnknownNameError, match="did you mean 'nb201'"):
        spaces.get("nb-201")


MALFORMED = {
    "empty": "",
    "bars alone": "|||",
    "missing bar": VALID_FORM[1:],
    "missing last bar": VALID_FORM[:-1],
    "missing plus": VALID_FORM.replace("+", "", 1),
    "wrong index": VALID_FORM.replace("none~2", "none~1"),
    "index out of range": VALID_FORM.replace("none~2", "none~3"),
    "missing index": VALID_FORM.replace("none~2", "none"),
    "missing edge": VALID_FORM.replace("none~0|", ""),
    "additional node": VALID_FORM + "+|none~0|",
    "leading space": " " + VALID_FORM,
    "trailing newline": VALID_FORM + "\n",
    "lower arrow": VALID_FORM.replace("~", "-"),
    "row number": "77",
    "number": 77,
    "float": 1.5,
    "None": None,
    "NaN": float("nan"),
    "list": [VALID_FORM],
    "dict": {},
    "bytes": VALID_FORM.encode(),
    "array": np.zeros(6),
}


@pytest.mark.parametrize("code", MALFORMED.values(), ids=MALFORMED)
def test_malformed_code_names_the_valid_form(code):
    with pytest.raises(UnknownNameError) as caught:
        SPACE.values(code)
    assert VALID_FORM in str(caught.value)


@pytest.mark.parametrize("code", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("method", ["canonical_form", "network", "neighbors", "encode"])
def test_every_method_refuses_a_malformed_code(method, code):
    with pytest.raises(UnknownNameError):
        getattr(SPACE, method)(code)


def test_mutate_and_crossover_refuse_a_malformed_code():
    rng = np.random.default_rng(0)
    with pytest.raises(UnknownNameError):
        SPACE.mutate("none", rng)
    with pytest.raises(UnknownNameError):
        SPACE.crossover(CODES[0], "none", rng)


def test_unknown_operation_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'nor_conv_5x5'; did you mean 'nor_conv_\dx\d'"):
        SPACE.values(VALID_FORM.replace("nor_conv_3x3", "nor_conv_5x5"))


def test_unknown_operation_names_all_where_none_is_near():
    with pytest.raises(UnknownNameError) as caught:
        SPACE.values(VALID_FORM.replace("nor_conv_3x3", "xyz"))
    assert all(repr(operation) in str(caught.value) for operation in OPERATIONS)


@pytest.mark.parametrize(
    "code", ["a" * 1_000_000, "|" + "a" * 1_000_000, VALID_FORM * 12_000, ["a" * 1_000_000]]
)
def test_message_on_a_megabyte_is_short(code):
    with pytest.raises(UnknownNameError) as caught:
        SPACE.values(code)
    assert VALID_FORM in str(caught.value)
    assert len(str(caught.value)) < 500


def test_message_on_a_megabyte_of_an_operation_is_short():
    with pytest.raises(UnknownNameError) as caught:
        SPACE.values(VALID_FORM.replace("nor_conv_3x3", "a" * 1_000_000))
    assert "nor_conv_3x3" in str(caught.value)
    assert len(str(caught.value)) < 500


@given(st.text())
def test_any_text_is_a_code_or_refused(text):
    if text in CODES:
        SPACE.values(text)
    else:
        with pytest.raises(UnknownNameError):
            SPACE.values(text)


@given(codes, st.integers(0, 95), st.characters())
def test_one_altered_character_is_refused_or_another_code(code, position, character):
    position %= len(code)
    altered = code[:position] + character + code[position + 1 :]
    if altered not in CODES:
        with pytest.raises(UnknownNameError):
            SPACE.values(altered)


@pytest.mark.parametrize("wrong", [None, float("nan"), "conv", 3, ["none"]])
def test_from_values_refuses_another_operation(wrong):
    values = SPACE.values(VALID_FORM) | {"edge_1_2": wrong}
    with pytest.raises(UnknownNameError, match=r"edge_1_2.*'none'"):
        SPACE.from_values(values)


def test_from_values_names_a_missing_edge():
    values = SPACE.values(VALID_FORM)
    del values["edge_0_3"]
    with pytest.raises(UnknownNameError, match="edge_0_3"):
        SPACE.from_values(values)


@given(codes)
def test_a_code_has_24_neighbors_one_edge_away(code):
    near = SPACE.neighbors(code)
    assert len(near) == len(set(near)) == 24
    assert all(changed(code, other) == 1 for other in near)


@given(codes, st.integers(0, 23))
def test_neighborhood_is_symmetric(code, k):
    assert code in SPACE.neighbors(SPACE.neighbors(code)[k])


@given(codes, seeds)
def test_mutation_changes_one_edge(code, seed):
    assert changed(code, SPACE.mutate(code, np.random.default_rng(seed))) == 1


def test_mutation_reaches_all_neighbors_alike():
    rng = np.random.default_rng(1)
    counts = Counter(SPACE.mutate(VALID_FORM, rng) for _ in range(4_800))
    assert set(counts) == set(SPACE.neighbors(VALID_FORM))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


@given(codes, codes, seeds)
def test_crossover_takes_each_edge_from_a_parent(a, b, seed):
    child = SPACE.values(SPACE.crossover(a, b, np.random.default_rng(seed)))
    first, second = SPACE.values(a), SPACE.values(b)
    assert all(child[name] in (first[name], second[name]) for name in child)


def test_crossover_takes_from_both_parents_with_equal_chance():
    a, b = CODES[0], CODES[-1]  # they differ in every edge
    rng = np.random.default_rng(2)
    children = Counter(SPACE.crossover(a, b, rng) for _ in range(6_400))
    assert len(children) == 64
    assert stats.chisquare(list(children.values())).pvalue > 1e-3


@given(codes)
def test_encoding_is_one_hot(code):
    encoded = SPACE.encode(code)
    assert encoded.shape == (30,)
    assert encoded.dtype == np.float64
    groups = encoded.reshape(6, 5)
    assert (groups.sum(axis=1) == 1).all()
    assert [OPERATIONS[k] for k in groups.argmax(axis=1)] == list(SPACE.values(code).values())


def test_encoding_is_injective():
    assert len({SPACE.encode(code).tobytes() for code in CODES[::5]}) == len(CODES[::5])


def test_random_repeats_for_a_seed():
    first, second = ([SPACE.random(np.random.default_rng(seed)) for seed in range(50)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 45


def test_random_is_uniform():
    rng = np.random.default_rng(3)
    rows = {code: row for row, code in enumerate(CODES)}
    drawn = np.array([rows[SPACE.random(rng)] for _ in range(20_000)])
    for place in range(6):  # every edge
        counts = np.bincount(drawn // 5**place % 5, minlength=5)
        assert stats.chisquare(counts).pvalue > 1e-3
    blocks = np.bincount(drawn // 25, minlength=625)  # and edges together
    assert stats.chisquare(blocks).pvalue > 1e-3


def test_configspace_samples_are_codes():
    space = SPACE.configspace()
    space.seed(4)
    assert set(space) == set(SPACE.variables)
    for configuration in space.sample_configuration(50):
        values = dict(configuration)
        assert SPACE.values(SPACE.from_values(values)) == values


def test_configspace_has_as_many_points():
    assert SPACE.configspace().estimate_size() == 15_625


def test_variables_are_read_only():
    with pytest.raises(TypeError):
        SPACE.variables["edge_0_1"] = ("none",)  # type: ignore[index]
