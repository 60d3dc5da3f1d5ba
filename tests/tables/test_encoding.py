"""Operation codes and edge order of AnalogNAS-Bench's keys, proven from the accuracies alone.

A key is six codes. Were its edges in another order, or its codes other operations, cells whose output is
cut off would not all sit at chance.
"""

from itertools import permutations, product

import numpy as np
import pytest

from nasbench_imc.building.analognas import CODES, KEY_EDGES
from nasbench_imc.spaces.nb201 import EDGES, OPERATIONS

CHANCE = 10.0
MIRROR_EDGES = tuple((3 - j, 3 - i) for i, j in KEY_EDGES)


def connected(open_edges: set[tuple[int, int]]) -> bool:
    """Whether a path leads from node 0 to node 3, by walking."""
    reached = {0}
    for _ in range(3):
        reached |= {j for i, j in open_edges if i in reached}
    return 3 in reached


@pytest.fixture(scope="module")
def digital(bench):
    """Published digital accuracy by cell: six axes, the operations of the edges in the order of a key."""
    order = [EDGES.index(edge) for edge in KEY_EDGES]
    by_string = bench.array("accuracy_digital").reshape((5,) * 6).transpose(order)
    codes = [OPERATIONS.index(operation) for operation in CODES]
    return by_string[np.ix_(*[codes] * 6)]  # now indexed by a key itself


@pytest.fixture(scope="module")
def operations(bench):
    """(15,625, 6): the operations of every code, in the order of EDGES."""
    return np.array([list(bench.space.values(code).values()) for code in bench.architectures])


@pytest.fixture(scope="module")
def is_connected(operations):
    return np.array(
        [connected({e for e, op in zip(EDGES, row, strict=True) if op != "none"}) for row in operations]
    )


def test_reshaping_finds_the_cell_of_a_key(bench, digital):
    key = (2, 0, 3, 1, 4, 2)
    values = {f"edge_{i}_{j}": CODES[k] for k, (i, j) in zip(key, KEY_EDGES, strict=True)}
    assert digital[key] == bench.array("accuracy_digital", [bench.space.from_values(values)])[0]


def test_cut_off_cells_sit_at_chance(bench, is_connected):
    assert (~is_connected).sum() == 341
    assert (bench.array("accuracy_digital")[~is_connected] == CHANCE).all()


def test_the_all_none_cell_sits_at_chance(bench):
    code = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert bench.array("accuracy_digital", [code])[0] == CHANCE


def test_connected_cells_are_above_chance(bench, is_connected):
    """Single trainings may fail; the mean over a class of identical cells does not."""
    accuracy = bench.array("accuracy_digital").astype(float)
    classes = np.unique([bench.canonical(code) for code in bench.architectures], return_inverse=True)[1]
    mean = np.bincount(classes, weights=accuracy) / np.bincount(classes)
    assert mean[classes[is_connected]].min() > 20
    assert set(mean[classes[~is_connected]]) == {CHANCE}


def test_only_one_order_and_its_mirror_image_put_cut_off_cells_at_chance(digital):
    """Of all 720 orders of the edges and five choices of the code for 'none'."""
    masks = np.array(list(product((False, True), repeat=6)))  # which positions hold another code
    accepted = []
    for zero in range(5):
        others = [code for code in range(5) if code != zero]
        at_chance = np.array(
            [
                (digital[np.ix_(*[others if held else [zero] for held in mask])] == CHANCE).all()
                for mask in masks
            ]
        )
        for order in permutations(KEY_EDGES):
            cut_off = [
                not connected({e for e, held in zip(order, mask, strict=True) if held}) for mask in masks
            ]
            if at_chance[cut_off].all():
                accepted.append((CODES[zero], order))
    assert sorted(accepted) == sorted([("none", KEY_EDGES), ("none", MIRROR_EDGES)])


def test_string_order_would_not_put_cut_off_cells_at_chance(digital):
    """The likeliest mistake: a key taken for a string, whose edges are ordered by target."""
    zero = CODES.index("none")
    wrong = 0
    for key in product(range(5), repeat=6):
        open_edges = {edge for edge, code in zip(EDGES, key, strict=True) if code != zero}
        wrong += not connected(open_edges) and digital[key] != CHANCE
    assert wrong > 50


def test_cells_of_many_3x3_convolutions_are_at_the_top(bench, operations):
    accuracy = bench.array("accuracy_digital")
    count = (operations == "nor_conv_3x3").sum(axis=1)
    means = [accuracy[count == n].mean() for n in range(7)]
    assert means == sorted(means)
    top = count[np.argsort(accuracy)[-500:]]
    assert top.min() >= 1
    assert top.mean() > 2 * count.mean()
    assert means[6] > 93


def test_1x1_convolutions_stand_between_pooling_and_3x3(bench, operations):
    accuracy = bench.array("accuracy_digital")
    with_op = {op: np.median(accuracy[(operations == op).sum(axis=1) >= 4]) for op in OPERATIONS}
    assert with_op["avg_pool_3x3"] < with_op["nor_conv_1x1"] < with_op["nor_conv_3x3"]


def within_class_sd(bench, contracted: str) -> float:
    """Pooled SD of digital accuracy over classes formed as though ``contracted`` were the identity."""
    swap = {"skip_connect": contracted, contracted: "skip_connect"}
    codes = [
        bench.space.from_values({name: swap.get(op, op) for name, op in bench.space.values(code).items()})
        for code in bench.architectures
    ]
    classes = np.unique([bench.canonical(code) for code in codes], return_inverse=True)[1]
    accuracy = bench.array("accuracy_digital").astype(float)
    size = np.bincount(classes)
    mean = np.bincount(classes, weights=accuracy) / size
    kept = (size[classes] > 1) & (mean[classes] > 85)  # trained well, on the whole
    freedom = kept.sum() - len(np.unique(classes[kept]))
    return float(np.sqrt(((accuracy - mean[classes])[kept] ** 2).sum() / freedom))


def test_skip_is_the_operation_that_can_be_contracted(bench):
    skip = within_class_sd(bench, "skip_connect")
    assert skip < 0.25
    for other in ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"):
        assert within_class_sd(bench, other) > 3 * skip, other
