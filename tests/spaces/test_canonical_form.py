"""Which cells are the same network, against independent implementations.

``multigraph`` describes a cell by its operations and how often each reads each other; it is built from
paths, not from edges as the package does. ``published_string`` is the rule of NAS-Bench-201.
"""

from collections import defaultdict
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_imc.spaces.nb201 import EDGES, NB201, OPERATIONS

SPACE = NB201()
CODES = SPACE.architectures
PATHS = (((0, 3),), ((0, 1), (1, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3)))


def edges_of(code: str) -> dict[tuple[int, int], str]:
    return dict(zip(EDGES, SPACE.values(code).values(), strict=True))


def code_of(edges: dict[tuple[int, int], str]) -> str:
    return SPACE.from_values({f"edge_{i}_{j}": edges[i, j] for i, j in EDGES})


def live_edges(edges: dict[tuple[int, int], str]) -> set[tuple[int, int]]:
    """Edges on a path from node 0 to node 3 without 'none'."""
    return {edge for path in PATHS if all(edges[e] != "none" for e in path) for edge in path}


def skip_paths(edges: dict[tuple[int, int], str], start: int, end: int) -> int:
    """In how many ways a tensor gets from one node to another by skips alone."""
    if start == end:
        return 1
    return sum(
        skip_paths(edges, j, end)
        for (i, j), operation in edges.items()
        if i == start and j <= end and operation == "skip_connect"
    )


def multigraph(code: str) -> tuple[list[str], list[list[int]]]:
    """Live operations, and how often each (a row; the last is the output) reads input and operations."""
    edges = edges_of(code)
    live = [e for e in EDGES if e in live_edges(edges) and edges[e] != "skip_connect"]
    sources = [0, *(j for _, j in live)]
    readers = [*(i for i, _ in live), 3]
    reads = [[skip_paths(edges, s, r) if s <= r else 0 for s in sources] for r in readers]
    return [edges[e] for e in live], reads


def isomorphic(first: str, second: str) -> bool:
    """By trying every way to match the operations."""
    (ops_a, reads_a), (ops_b, reads_b) = multigraph(first), multigraph(second)
    n = len(ops_a)
    if n != len(ops_b):
        return False
    for order in permutations(range(n)):
        if [ops_b[k] for k in order] != ops_a:
            continue
        rows, columns = [*order, n], [0, *(k + 1 for k in order)]
        if [[reads_b[r][c] for c in columns] for r in rows] == reads_a:
            return True
    return False


def published_string(code: str, *, zero: bool) -> str:
    """``Structure.to_unique_str`` of NAS-Bench-201: skips contracted, sums sorted, '#' for a zero."""
    edges = edges_of(code)
    nodes = {0: "0"}
    for j in (1, 2, 3):
        terms = []
        for i in range(j):
            operation = edges[i, j]
            if zero and (operation == "none" or nodes[i] == "#"):
                terms.append("#")
            elif operation == "skip_connect":
                terms.append(nodes[i])
            else:
                terms.append(f"({nodes[i]})@{operation}")
        nodes[j] = "+".join(sorted(terms))
    return nodes[3]


def flat_string(code: str) -> str:
    """The same with zeros and dead operations dropped and the terms of skipped sums sorted among the rest."""
    edges = edges_of(code)
    nodes = {0: ["0"]}
    for j in (1, 2, 3):
        nodes[j] = []
        for i in range(j):
            if edges[i, j] == "skip_connect":
                nodes[j] += nodes[i]
            elif edges[i, j] != "none" and nodes[i]:
                nodes[j].append(f"({'+'.join(nodes[i])})@{edges[i, j]}")
        nodes[j].sort()
    return "+".join(nodes[3])


@pytest.fixture(scope="module")
def classes() -> dict[str, int]:
    """Code -> number of its canonical class."""
    numbers: dict[object, int] = {}
    return {code: numbers.setdefault(SPACE.canonical_form(code), len(numbers)) for code in CODES}


def test_there_are_5425_classes(classes):
    assert len(set(classes.values())) == 5_425


def test_published_rule_gives_6466_classes():
    assert len({published_string(code, zero=True) for code in CODES}) == 6_466


def test_published_rule_without_zeros_gives_12751_classes():
    assert len({published_string(code, zero=False) for code in CODES}) == 12_751


def test_an_added_zero_is_nothing_to_us_and_a_mark_to_the_published_rule(classes):
    # a = conv(x); 0->1 feeds nothing in the first; in the second node 1 is zero and joins the sum.
    alone = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    with_zero = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    assert classes[alone] == classes[with_zero]
    assert published_string(alone, zero=True) != published_string(with_zero, zero=True)


def test_one_operation_read_twice_is_not_two_operations(classes):
    twice = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|"
    two = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"
    assert classes[twice] != classes[two]
    assert flat_string(twice) == flat_string(two)
    assert SPACE.network(two).weights - SPACE.network(twice).weights == 5 * 9 * (16**2 + 32**2 + 64**2)


def test_sums_are_flat(classes):
    # conv1x1(x) + conv3x3(x) + 2x; the skipped sum x + conv stands first in one text, second in the other.
    first = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|"
    second = "|skip_connect~0|+|skip_connect~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
    assert classes[first] == classes[second]
    assert published_string(first, zero=True) == "(0)@nor_conv_1x1+(0)@nor_conv_3x3+0+0"
    assert published_string(second, zero=True) == "(0)@nor_conv_1x1+0+(0)@nor_conv_3x3+0"


def test_no_other_difference_from_the_published_rule(classes):
    """With zeros dropped and sums flat, that rule differs only by merging operations on one input."""
    ours_by_theirs = defaultdict(set)
    theirs_by_ours = defaultdict(set)
    operations = {}
    for code, number in classes.items():
        text = flat_string(code)
        ours_by_theirs[text].add(number)
        theirs_by_ours[number].add(text)
        operations[number] = len(multigraph(code)[0])
    assert all(len(texts) == 1 for texts in theirs_by_ours.values())
    merged = [numbers for numbers in ours_by_theirs.values() if len(numbers) > 1]
    assert all(len({operations[number] for number in numbers}) > 1 for numbers in merged)
    assert len(ours_by_theirs) == 4_930


@given(st.sampled_from(CODES), st.lists(st.sampled_from(OPERATIONS), min_size=6, max_size=6))
def test_operations_on_dead_edges_do_not_matter(code, replacements):
    edges = edges_of(code)
    live = live_edges(edges)
    replaced = {e: edges[e] if e in live else new for e, new in zip(EDGES, replacements, strict=True)}
    # A replacement may bring a dead edge to life; then it is another network.
    if live_edges(replaced) == live:
        assert SPACE.canonical_form(code_of(replaced)) == SPACE.canonical_form(code)


@given(st.sampled_from([code for code in CODES if edges_of(code)[1, 2] == "none"]))
def test_nodes_1_and_2_may_be_exchanged_where_no_edge_joins_them(code):
    swap = {0: 0, 1: 2, 2: 1, 3: 3}
    edges = edges_of(code)
    exchanged = {(swap[i], swap[j]): op for (i, j), op in edges.items() if (i, j) != (1, 2)} | {
        (1, 2): "none"
    }
    assert SPACE.canonical_form(code_of(exchanged)) == SPACE.canonical_form(code)
    assert isomorphic(code, code_of(exchanged))


def test_members_of_a_class_are_isomorphic(classes):
    rng = np.random.default_rng(0)
    members = defaultdict(list)
    for code, number in classes.items():
        members[number].append(code)
    several = [group for group in members.values() if len(group) > 1]
    for k in rng.permutation(len(several))[:400]:
        first, second = rng.choice(several[k], 2, replace=False)
        assert isomorphic(first, second), (first, second)


def test_cells_of_different_classes_are_not_isomorphic(classes):
    """Pairs with the same live operations, since others differ trivially."""
    rng = np.random.default_rng(1)
    alike = defaultdict(dict)
    for code, number in classes.items():
        alike[tuple(sorted(multigraph(code)[0]))].setdefault(number, code)
    groups = [list(group.values()) for group in alike.values() if len(group) > 1]
    for _ in range(400):
        first, second = rng.choice(groups[rng.integers(len(groups))], 2, replace=False)
        assert not isomorphic(first, second), (first, second)


def test_partition_agrees_with_the_oracle_on_random_cells(classes):
    rng = np.random.default_rng(2)
    drawn = [CODES[k] for k in rng.permutation(len(CODES))[:120]]
    for i, first in enumerate(drawn):
        for second in drawn[:i]:
            assert isomorphic(first, second) == (classes[first] == classes[second]), (first, second)


def test_members_of_a_class_have_one_size(classes):
    seen = {}
    for code in CODES[::7]:
        network = SPACE.network(code)
        size = (network.macs, network.weights)
        assert seen.setdefault(classes[code], size) == size


def test_cut_off_cells_are_one_class(classes):
    cut_off = [code for code in CODES if not live_edges(edges_of(code))]
    assert len(cut_off) == 341
    assert len({classes[code] for code in cut_off}) == 1
