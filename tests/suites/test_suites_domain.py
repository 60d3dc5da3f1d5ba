"""The designs of a task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nasbench_imc as nbi
from nasbench_imc import spaces
from nasbench_imc.suites import Domain

IDS = ("sram-digital-r64", "sram-digital-r128", "sram-digital-r256")
SPACE = spaces.get("nb201")
FIXED = Domain(SPACE, IDS[:1])
FREE = Domain(SPACE, IDS)
ALL_FREE = Domain(SPACE, IDS, (4, 8), (0.0, 0.5))

domains = st.sampled_from([FIXED, FREE, ALL_FREE])
generators = st.integers(0, 2**32).map(np.random.default_rng)


def differences(domain: Domain, a: nbi.Design, b: nbi.Design) -> int:
    one, other = domain.values(a), domain.values(b)
    return sum(one[name] != other[name] for name in one)


def test_sizes() -> None:
    assert [len(domain) for domain in (FIXED, FREE, ALL_FREE)] == [15_625, 46_875, 187_500]
    assert len(set(FIXED.points)) == 15_625


@given(domains, generators)
def test_random_design_is_admitted_with_fixed_fields_filled_in(
    domain: Domain, rng: np.random.Generator
) -> None:
    design = domain.random(rng)
    domain.check(design)
    assert design.hardware in IDS
    if domain is not ALL_FREE:
        assert (design.weight_bits, design.sparsity) == (8, 0.0)
    if domain is FIXED:
        assert design.hardware == IDS[0]


@given(domains, generators)
def test_neighbors(domain: Domain, rng: np.random.Generator) -> None:
    design = domain.random(rng)
    near = domain.neighbors(design)
    assert len(set(near)) == len(near) == sum(len(choices) - 1 for choices in domain.variables.values())
    assert all(differences(domain, design, other) == 1 for other in near)
    assert domain.mutate(design, rng) in near


@given(domains, generators)
def test_crossover_takes_each_variable_from_a_parent(domain: Domain, rng: np.random.Generator) -> None:
    a, b = domain.random(rng), domain.random(rng)
    child, from_a, from_b = domain.values(domain.crossover(a, b, rng)), domain.values(a), domain.values(b)
    assert all(child[name] in (from_a[name], from_b[name]) for name in child)


@given(domains, generators)
def test_encoding_is_one_hot_and_tells_designs_apart(domain: Domain, rng: np.random.Generator) -> None:
    a, b = domain.random(rng), domain.random(rng)
    code = domain.encode(a)
    assert code.shape == (sum(map(len, domain.variables.values())),)
    assert set(code) == {0.0, 1.0}
    assert code.sum() == len(domain.variables)
    assert np.abs(code - domain.encode(b)).sum() == 2 * differences(domain, a, b)


@given(domains, generators)
def test_values_and_log_fields_are_inverted(domain: Domain, rng: np.random.Generator) -> None:
    design = domain.random(rng)
    assert domain.from_values(domain.values(design)) == design
    assert domain.design(domain.free(design)) == design
    assert ("hardware" in domain.free(design)) == (domain is not FIXED)


def test_every_hardware_is_drawn() -> None:
    rng = np.random.default_rng(0)
    assert {FREE.random(rng).hardware for _ in range(100)} == set(IDS)
    start = FREE.random(rng)
    assert {FREE.mutate(start, rng).hardware for _ in range(200)} == set(IDS)


ARCH = SPACE.architectures[7]


@pytest.mark.parametrize(
    "design",
    [
        None,
        float("nan"),
        ARCH,
        (ARCH, IDS[0]),
        [nbi.Design(ARCH, IDS[0])],
        nbi.Design("", IDS[0]),
        nbi.Design(ARCH[:-1], IDS[0]),
        nbi.Design(None, IDS[0]),  # type: ignore[arg-type]
        nbi.Design(float("nan"), IDS[0]),  # type: ignore[arg-type]
        nbi.Design([ARCH], IDS[0]),  # type: ignore[arg-type]
        nbi.Design(ARCH, "sram-digital-r512"),
        nbi.Design(ARCH, None),  # type: ignore[arg-type]
        nbi.Design(ARCH, [IDS[0]]),  # type: ignore[arg-type]
        nbi.Design(ARCH, IDS[0], 4),
        nbi.Design(ARCH, IDS[0], float("nan")),  # type: ignore[arg-type]
        nbi.Design(ARCH, IDS[0], np.array([8])),  # type: ignore[arg-type]
        nbi.Design(ARCH, IDS[0], np.array([8, 8])),  # type: ignore[arg-type]
        nbi.Design(ARCH, IDS[0], 8, 0.5),
        nbi.Design(ARCH, IDS[0], 8, float("nan")),
    ],
)
def test_what_is_not_admitted(design: Any) -> None:
    for domain in (FIXED, FREE):
        with pytest.raises(nbi.UnknownNameError):
            domain.check(design)


def test_message_names_what_is_admitted() -> None:
    with pytest.raises(nbi.UnknownNameError, match=r"unknown hardware for this task.*sram-digital-r64"):
        FIXED.check(nbi.Design(ARCH, "sram-digital-r128"))
    with pytest.raises(nbi.UnknownNameError, match=r"unknown hardware None.*sram-digital-r256"):
        FREE.from_values({**SPACE.values(ARCH)})
