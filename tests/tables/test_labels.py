"""Synthetic label noise: it repeats, it is as large as said, and identical cells share it."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_imc import Design
from nasbench_imc.tables.labels import standard_normal

HARDWARE = ("sram-digital-r128", "pcm-r512-adc8-mux4")
MASK = 2**64 - 1


def philox(key: int, block: int) -> list[int]:
    """One block of four words of Philox4x64-10 (Salmon et al., SC 2011), in plain integers."""
    c = [block, 0, 0, 0]
    k = [key & MASK, key >> 64]
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(b >> 64) ^ c[1] ^ k[0], b & MASK, (a >> 64) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return c


def independent_normal(seed: int, size: int) -> list[float]:
    words = [word for block in range(1, size // 4 + 2) for word in philox(seed, block)]
    return [NormalDist().inv_cdf(((word >> 11) + 0.5) / 2**53) for word in words[:size]]


def test_first_numbers_are_pinned():
    assert standard_normal(0, 3) == pytest.approx(
        [-2.27188414832459, -0.701327920628698, -1.21898019107976], rel=1e-12
    )


@settings(max_examples=20)
@given(st.integers(0, 2**128 - 1))
def test_numbers_agree_with_an_independent_generator(seed):
    assert standard_normal(seed, 11) == pytest.approx(independent_normal(seed, 11), rel=1e-12, abs=1e-14)


def test_numbers_are_standard_normal():
    drawn = standard_normal(1, 200_000)
    assert np.isfinite(drawn).all()
    assert stats.kstest(drawn, "norm").pvalue > 1e-3


@pytest.mark.parametrize("word", [0, 2**11 - 1, 2**63, 2**64 - 1])
def test_every_word_gives_a_finite_number(monkeypatch, word):
    class Constant:
        def __init__(self, key):
            pass

        def random_raw(self, size):
            return np.full(size, word, dtype=np.uint64)

    monkeypatch.setattr(np.random, "Philox", Constant)
    assert np.isfinite(standard_normal(0, 2)).all()


def test_more_numbers_begin_with_the_same():
    np.testing.assert_array_equal(standard_normal(5, 100)[:10], standard_normal(5, 10))


def labels(bench, hardware, seed=None, at="1d", archs=None):
    return bench.array("accuracy", archs, hardware, at=at, labels="search", seed=seed).astype(float)


@pytest.mark.parametrize("hardware", HARDWARE)
def test_a_seed_repeats_and_another_differs(bench, hardware):
    first = labels(bench, hardware, 3)
    np.testing.assert_array_equal(first, labels(bench, hardware, 3))
    assert (first != labels(bench, hardware, 4)).mean() > 0.99


def test_a_search_label_is_not_the_score_label(bench):
    score = bench.array("accuracy", hardware=HARDWARE[1])
    assert (labels(bench, HARDWARE[1], 0) != score).mean() > 0.99


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("at", ["t0", "1d", "30d"])
def test_noise_has_mean_zero_and_the_stated_deviation(bench, hardware, at):
    archs = sorted({bench.canonical(code) for code in bench.architectures})[::10]
    score = bench.array("accuracy", archs, hardware, at=at).astype(float)
    noise = np.stack([labels(bench, hardware, seed, at, archs) for seed in range(60)]) - score
    stated = bench.label_noise(hardware, at)
    n = noise.size  # 32,580 independent draws
    assert abs(noise.mean()) < 4 * stated / np.sqrt(n)
    assert noise.std() == pytest.approx(stated, rel=4 / np.sqrt(2 * n))
    over_seeds = noise.mean(axis=0)  # each label nears its score as seeds are averaged
    assert over_seeds.std() == pytest.approx(stated / np.sqrt(60), rel=0.15)


def test_identical_cells_have_identical_labels(bench):
    canonical = [bench.canonical(code) for code in bench.architectures]
    for hardware in HARDWARE:
        np.testing.assert_array_equal(
            labels(bench, hardware, 11), labels(bench, hardware, 11, archs=canonical)
        )


def test_different_cells_have_independent_noise(bench):
    archs = sorted({bench.canonical(code) for code in bench.architectures})
    noise = labels(bench, HARDWARE[0], 2, archs=archs) - bench.array("accuracy", archs, HARDWARE[0])
    assert len(set(noise)) > 0.95 * len(archs)
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.06


def test_without_a_seed_search_labels_are_score_labels(bench):
    np.testing.assert_array_equal(
        labels(bench, HARDWARE[0]), bench.array("accuracy", hardware=HARDWARE[0]).astype(float)
    )


def test_costs_have_no_noise(bench):
    design = Design(bench.architectures[500], HARDWARE[1])
    assert bench.query(design, labels="search", seed=9)["energy"] == bench.query(design)["energy"]


def test_published_columns_have_no_noise(bench):
    np.testing.assert_array_equal(
        bench.array("accuracy_pcm_hwa_1d", labels="search", seed=1), bench.array("accuracy_pcm_hwa_1d")
    )
