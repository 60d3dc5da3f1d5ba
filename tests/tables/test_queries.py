"""Asking a table: single designs, batches and data frames agree, and bad questions are answered clearly."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nasbench_imc as nbi
from nasbench_imc import Design, UnavailableError, UnknownNameError
from nasbench_imc.hardware.metrics import DERIVED
from nasbench_imc.tables.benchmark import MAX_VIEWS

BENCH = nbi.load("nb201")
CODE = BENCH.architectures[9_000]
SRAM, PCM, RRAM, OTHER_PCM = (
    "sram-digital-r128",
    "pcm-r512-adc8-mux4",
    "rram-sliced-r128-adc8-mux4",
    "pcm-r256-adc8-mux4",
)

archs = st.sampled_from(BENCH.architectures)
hardware = st.sampled_from(BENCH.hardware_ids)
metrics = st.sampled_from([name for name in BENCH.metrics if name != "accuracy"])


# ---- three ways to ask --------------------------------------------------------------------------------


@given(archs, hardware, metrics)
def test_query_and_array_agree(arch, hardware_id, metric):
    single = BENCH.query(Design(arch, hardware_id))[metric]
    batch = BENCH.array(metric, [arch], hardware_id)
    assert batch.shape == (1,)
    assert batch.dtype == np.float32
    # Derived metrics are computed in double precision for one design, in single for many.
    assert single == pytest.approx(float(batch[0]), rel=1e-6 if metric in DERIVED else 0)


@given(archs, st.sampled_from(BENCH.accuracy_hardware()), st.sampled_from(BENCH.times))
def test_accuracy_of_query_and_array_agree_at_every_time(arch, hardware_id, at):
    assert (
        BENCH.query(Design(arch, hardware_id), at)["accuracy"]
        == BENCH.array("accuracy", [arch], hardware_id, at=at)[0]
    )


@given(archs, st.sampled_from(BENCH.accuracy_hardware()), st.integers(0, 2**128 - 1))
def test_search_labels_of_query_and_array_agree(arch, hardware_id, seed):
    single = BENCH.query(Design(arch, hardware_id), labels="search", seed=seed)["accuracy"]
    assert single == BENCH.array("accuracy", [arch], hardware_id, labels="search", seed=seed)[0]


@pytest.mark.parametrize("hardware_id", ["sram-digital-r64", "rram-analog-r256-adc5-mux16"])
def test_table_and_array_agree(hardware_id):
    names = ["energy", "macs", "accuracy_digital", "tops_per_mm2"]
    frame = BENCH.table(names, hardware_id)
    assert frame.index.name == "arch"
    assert tuple(frame.index) == BENCH.architectures
    assert list(frame.columns) == names
    assert (frame.dtypes == np.float32).all()
    np.testing.assert_array_equal(frame.to_numpy(), BENCH.array(names, hardware=hardware_id))


def test_table_needs_no_hardware_where_nothing_depends_on_it():
    assert BENCH.table(["macs", "accuracy_qat_int8"]).shape == (15_625, 2)
    assert BENCH.table("weight_memory").columns.tolist() == ["weight_memory"]


def test_table_takes_accuracy_at_a_time_and_seed():
    frame = BENCH.table("accuracy", PCM, at="30d", labels="search", seed=4)
    expected = BENCH.array("accuracy", hardware=PCM, at="30d", labels="search", seed=4)
    np.testing.assert_array_equal(frame["accuracy"], expected)


@given(archs, hardware)
def test_derived_metrics_follow_from_stored_ones(arch, hardware_id):
    m = BENCH.query(Design(arch, hardware_id))
    operations = 2 * m["macs"]
    joules, seconds = m["energy"] * 1e-6, m["latency"] * 1e-6
    assert m["edp"] * 1e-12 == pytest.approx(joules * seconds)
    assert m["edap"] * 1e-12 == pytest.approx(joules * seconds * m["area"])
    assert m["tops_per_w"] * 1e12 == pytest.approx(operations / joules)
    assert m["tops_per_mm2"] * 1e12 == pytest.approx(operations * m["throughput"] / m["area"])


@given(st.lists(archs, max_size=20))
def test_array_keeps_order_and_duplicates(drawn):
    drawn += drawn[:3]
    values = BENCH.array(["area", "macs"], drawn, ["sram-digital-r64", RRAM])
    assert values.shape == (len(drawn), 2, 2)
    for arch, row in zip(drawn, values, strict=True):
        assert row[1, 0] == BENCH.query(Design(arch, RRAM))["area"]
        assert row[0, 1] == row[1, 1] == BENCH.query(Design(arch, RRAM))["macs"]


def test_axes_of_array():
    two = BENCH.architectures[:2]
    assert BENCH.array("energy", two).shape == (2, 76)
    assert BENCH.array("energy", two, RRAM).shape == (2,)
    assert BENCH.array("energy", two, [RRAM]).shape == (2, 1)
    assert BENCH.array("macs", two).shape == BENCH.array("macs", two, [RRAM]).shape == (2,)
    assert BENCH.array(["macs"], two).shape == (2, 1)
    assert BENCH.array(["macs", "energy"], two).shape == (2, 76, 2)
    assert BENCH.array(["macs", "energy"], two, RRAM).shape == (2, 2)
    assert BENCH.array("energy").shape == (15_625, 76)


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        ("energy", (0, 76)),
        ("edp", (0, 76)),
        ("macs", (0,)),
        ("accuracy_digital", (0,)),
        (["area", "macs"], (0, 76, 2)),
    ],
)
def test_no_architectures_give_no_rows(names, shape):
    assert BENCH.array(names, []).shape == shape


def test_array_takes_any_iterable_of_names():
    few = BENCH.architectures[:3]
    expected = BENCH.array(["energy", "area"], list(few), [RRAM, PCM])
    for kind in (tuple, iter, np.array):
        np.testing.assert_array_equal(
            BENCH.array(kind(["energy", "area"]), kind(few), kind([RRAM, PCM])), expected
        )


def test_array_is_a_copy():
    for name in ("accuracy_digital", "energy", "macs", "accuracy"):
        taken = BENCH.array(name, hardware=SRAM)
        before = taken.copy()
        taken[:] = -1
        np.testing.assert_array_equal(BENCH.array(name, hardware=SRAM), before)


def test_numpy_strings_and_integers_are_names_and_seeds():
    design = Design(np.array([CODE])[0], np.array([SRAM])[0], np.int64(8), np.float64(0))
    value = BENCH.query(design, labels="search", seed=np.int64(3))["accuracy"]
    assert value == BENCH.query(Design(CODE, SRAM), labels="search", seed=3)["accuracy"]


# ---- what does not exist ------------------------------------------------------------------------------


def test_misspelt_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'energy'"):
        BENCH.query(Design(CODE, SRAM))["enrgy"]
    with pytest.raises(UnknownNameError, match="did you mean 'latency'"):
        BENCH.array("latncy")
    with pytest.raises(UnknownNameError, match="did you mean 'pcm-r256-adc8-mux4'"):
        BENCH.query(Design(CODE, "pcm-r256-adc8-mux-4"))
    with pytest.raises(UnknownNameError, match="did you mean 'search'"):
        BENCH.query(Design(CODE, SRAM), labels="serch")
    with pytest.raises(UnknownNameError, match="did you mean 'nb201'"):
        nbi.load("nb-201")
    with pytest.raises(UnknownNameError, match="did you mean 'nor_conv_3x3'"):
        BENCH.query(Design(CODE.replace(CODE.split("~")[0], "|nor_conv3x3"), SRAM))


NOT_NAMES = [None, float("nan"), 3, "", "\n", ["x"], {}, b"energy", "a" * 1_000_000, object()]


@pytest.mark.parametrize("wrong", NOT_NAMES, ids=lambda value: repr(value)[:12])
def test_anything_else_than_a_name_is_refused(wrong):
    design = Design(CODE, SRAM)
    for ask in (
        lambda: BENCH.query(Design(wrong, SRAM)),
        lambda: BENCH.query(Design(CODE, wrong)),
        lambda: BENCH.query(design)[wrong],
        lambda: BENCH.query(design, at=wrong),
        lambda: BENCH.query(design, labels=wrong),
        lambda: BENCH.array([wrong]),
        lambda: BENCH.array("energy", [CODE, wrong]),
        lambda: BENCH.array("energy", hardware=[wrong]),
        lambda: BENCH.array("energy", at=wrong),
        lambda: BENCH.table([wrong], SRAM),
        lambda: BENCH.canonical(wrong),
        lambda: BENCH.label_noise(wrong),
        lambda: nbi.load(wrong),
    ):
        with pytest.raises(UnknownNameError) as caught:
            ask()
        assert len(str(caught.value)) < 700


@pytest.mark.parametrize("wrong", [None, 5, object()])
def test_no_sequence_of_names_is_refused(wrong):
    with pytest.raises(UnknownNameError, match="metrics must be"):
        BENCH.array(wrong)
    with pytest.raises(UnknownNameError, match="metrics must be"):
        BENCH.table(wrong)
    if wrong is not None:
        with pytest.raises(UnknownNameError, match="archs must be"):
            BENCH.array("energy", wrong)
        with pytest.raises(UnknownNameError, match="hardware must be"):
            BENCH.array("energy", hardware=wrong)


def test_no_metric_is_refused():
    with pytest.raises(UnknownNameError, match="no metric"):
        BENCH.array([])
    with pytest.raises(UnknownNameError, match="no metric"):
        BENCH.table([])


def test_one_code_is_not_a_sequence_of_codes():
    with pytest.raises(UnknownNameError, match="sequence of codes, not one string"):
        BENCH.array("energy", CODE)  # type: ignore[arg-type]


def test_table_takes_one_hardware_id():
    with pytest.raises(UnknownNameError, match="hardware"):
        BENCH.table("energy", [SRAM])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, CODE, (CODE, SRAM), {"arch": CODE}, 3])
def test_a_query_takes_a_design(wrong):
    with pytest.raises(UnknownNameError, match=f"expected a Design, not {type(wrong).__name__}"):
        BENCH.query(wrong)


@pytest.mark.parametrize("arch", [float("nan"), None, [CODE], CODE[1:], CODE + " "])
def test_a_malformed_code_names_the_valid_form(arch):
    with pytest.raises(UnknownNameError, match=r"'\|nor_conv_3x3~0\|\+\|"):
        BENCH.query(Design(arch, SRAM))
    with pytest.raises(UnknownNameError, match=r"'\|nor_conv_3x3~0\|\+\|"):
        BENCH.array("energy", [CODE, arch])


@pytest.mark.parametrize(
    ("bits", "sparsity"),
    [(4, 0.0), (8, 0.5), (4, 0.5), (None, 0.0), (8, None), (8, float("nan")), ("8", 0.0)],
)
def test_compression_that_the_table_lacks(bits, sparsity):
    with pytest.raises(UnavailableError, match=r"it has weight_bits=8, sparsity=0\.0"):
        BENCH.query(Design(CODE, SRAM, bits, sparsity))
    with pytest.raises(UnavailableError, match=r"it has weight_bits=8, sparsity=0\.0"):
        BENCH.table("energy", SRAM, weight_bits=bits, sparsity=sparsity)


@pytest.mark.parametrize("hardware_id", [RRAM, OTHER_PCM, "sram-analog-r128-adc6-mux4"])
def test_accuracy_that_the_table_lacks_names_what_exists(hardware_id):
    for ask in (
        lambda: BENCH.query(Design(CODE, hardware_id))["accuracy"],
        lambda: BENCH.array("accuracy", [CODE], hardware_id),
        lambda: BENCH.array(["energy", "accuracy"], [CODE], [SRAM, hardware_id]),
        lambda: BENCH.table(["accuracy"], hardware_id),
        lambda: BENCH.label_noise(hardware_id),
    ):
        with pytest.raises(UnavailableError) as caught:
            ask()
        message = str(caught.value)
        assert hardware_id in message
        assert all(repr(id_) in message for id_ in BENCH.accuracy_hardware())
        assert "'accuracy_digital'" in message
    assert BENCH.query(Design(CODE, hardware_id))["energy"] > 0


def test_accuracy_on_all_hardware_at_once_does_not_exist():
    with pytest.raises(UnavailableError, match="no 'accuracy' on sram-analog"):
        BENCH.array("accuracy")


@pytest.mark.parametrize("at", ["t0", "60s", "1h", "30d"])
def test_rram_has_one_time(at):
    with pytest.raises(UnavailableError, match=rf"{RRAM} has no data at '{at}'; it has \['1d'\]"):
        BENCH.query(Design(CODE, RRAM), at=at)
    with pytest.raises(UnavailableError, match=rf"{RRAM} has no data at '{at}'"):
        BENCH.array("accuracy", [CODE], RRAM, at=at)


def test_an_unknown_time_names_the_known():
    with pytest.raises(UnknownNameError, match="'t0', '60s', '1h', '1d', '30d'"):
        BENCH.query(Design(CODE, PCM), at="1w")
    with pytest.raises(UnknownNameError, match="'t0', '60s', '1h', '1d', '30d'"):
        BENCH.label_noise(PCM, "1w")


def test_a_cost_needs_hardware_in_a_table():
    for metric in ("energy", "edp", "tops_per_w", "accuracy"):
        with pytest.raises(UnavailableError, match="depend on hardware: name one id"):
            BENCH.table(["macs", metric])


@pytest.mark.parametrize("seed", [-1, 2**128, 1.5, "1", [1], float("nan")])
def test_a_label_seed_is_a_whole_number(seed):
    with pytest.raises(UnavailableError, match="label seed is an integer"):
        BENCH.query(Design(CODE, SRAM), labels="search", seed=seed)
    with pytest.raises(UnavailableError, match="label seed is an integer"):
        BENCH.array("accuracy", [CODE], SRAM, labels="search", seed=seed)


def test_score_labels_have_no_seed():
    with pytest.raises(UnavailableError, match="score labels have no seed"):
        BENCH.query(Design(CODE, SRAM), seed=0)


def test_an_error_leaves_the_table_usable():
    before = BENCH.query(Design(CODE, SRAM))["energy"]
    with pytest.raises(UnknownNameError):
        BENCH.query(Design(CODE, SRAM))["x"]
    assert BENCH.query(Design(CODE, SRAM))["energy"] == before


def test_many_label_seeds_do_not_pile_up():
    for seed in range(2 * MAX_VIEWS):
        BENCH.query(Design(CODE, SRAM), labels="search", seed=seed)
    assert len(BENCH._views) <= MAX_VIEWS


# ---- what a query returns -----------------------------------------------------------------------------


def test_measurement_is_a_mapping():
    m = BENCH.query(Design(CODE, PCM), at="1h")
    assert set(m) == set(BENCH.metrics)
    assert len(m) == len(BENCH.metrics) == len(dict(m))
    assert all(isinstance(value, float) and np.isfinite(value) for value in m.values())
    assert dict(m)["energy"] == m["energy"]
    assert (m.at, m.design) == ("1h", Design(CODE, PCM))
    assert set(m.units) >= set(m)
    assert (m.units["latency"], m.units["accuracy"]) == ("us", "%")


def test_measurement_without_accuracy_does_not_hold_it():
    m = BENCH.query(Design(CODE, RRAM))
    assert "accuracy" not in m
    assert "accuracy" not in set(m)
    assert "accuracy" not in dict(m)
    assert len(m) == len(BENCH.metrics) - 1
    assert m.get("accuracy") is None
    assert m.get("accuracy", 7.0) == 7.0


def test_membership_of_measurement():
    m = BENCH.query(Design(CODE, SRAM))
    assert "energy" in m
    assert "edap" in m
    assert "accuracy" in m
    for other in ("enrgy", None, float("nan"), [], 3):
        assert other not in m
    assert m.get("energy") == m["energy"]


def test_measurements_of_one_design_are_equal():
    assert BENCH.query(Design(CODE, SRAM)) == BENCH.query(Design(CODE, SRAM))
    assert BENCH.query(Design(CODE, SRAM)) != BENCH.query(Design(CODE, "sram-digital-r256"))


def test_measurement_is_read_only():
    m = BENCH.query(Design(CODE, SRAM))
    with pytest.raises(TypeError):
        m["energy"] = 0.0  # type: ignore[index]
    with pytest.raises(TypeError):
        del m["energy"]  # type: ignore[attr-defined]
    for name in ("design", "at", "_row", "other"):
        with pytest.raises(AttributeError):
            setattr(m, name, 0)
    with pytest.raises(AttributeError):
        del m.design
    with pytest.raises(TypeError):
        m.units["energy"] = "J"  # type: ignore[index]


def test_measurement_shows_its_design():
    measured = BENCH.query(Design(CODE, SRAM), "1h")
    assert repr(Design(CODE, SRAM)) in repr(measured)
    assert f"at 1h: accuracy={measured['accuracy']:.5g} %, energy={measured['energy']:.5g} uJ" in repr(
        measured
    )


def test_canonical_ids_are_those_of_single_cells():
    ids = BENCH.canonical_ids
    assert len(set(ids)) == BENCH.distinct_networks == 5_425
    for row in range(0, 15_625, 1_001):
        assert ids[row] == BENCH.canonical(BENCH.architectures[row])


def test_a_design_is_a_value():
    assert Design(CODE, SRAM) == Design(CODE, SRAM, 8, 0.0)
    assert len({Design(CODE, SRAM), Design(CODE, SRAM), Design(CODE, PCM)}) == 2
    with pytest.raises(AttributeError):
        Design(CODE, SRAM).arch = "x"  # type: ignore[misc]


def test_table_shows_its_size(bench):
    size = "15,625 architectures, 76 hardware configurations"
    assert repr(bench) == f"<Benchmark nb201 {bench.version}: {size}>"


def test_hardware_says_what_a_configuration_does_not_have(bench):
    chips = bench.hardware
    assert list(chips.index) == list(bench.hardware_ids)
    assert chips.adc_bits.isna().tolist() == (chips.family == "sram-digital").tolist()
    assert chips.tiles.isna().all()  # every chip of the table is sized to its network
    assert chips.loc["pcm-r256-adc8-mux4", "adc_bits"] == 8
    assert (chips.reference != "").sum() == 8


def test_a_benchmark_that_was_pickled_answers_as_before(bench):
    other = pickle.loads(pickle.dumps(bench))
    design = Design(bench.architectures[77], "pcm-r128-adc5-mux16")
    assert len(pickle.dumps(bench)) < 1_000
    assert other.query(design)["edap"] == bench.query(design)["edap"]
