"""A table of measured accuracies: declared cells as evaluated, others raise, a pilot says that it is one."""

import pickle
import random

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nasbench_imc as nbi
from nasbench_imc import Design, TableError, UnavailableError, UnknownNameError
from nasbench_imc.building import hybrid
from nasbench_imc.building.evaluation_files import read_evaluation
from nasbench_imc.hardware import grid
from nasbench_imc.tables import files
from nasbench_imc.tables.layout import TIMES

CONFIGS = grid()
SRAM, PCM, RRAM = "sram-digital-r128", "pcm-r256-adc8-mux4", "rram-analog-r256-adc8-mux16"
PLAIN_PCM = "pcm-r64-adc5-mux16"  # of a class that no reference chip has
NO_CLASS = "pcm-r512-adc8-mux4"  # of a class that these evaluations lack


@pytest.fixture(scope="module")
def table(pilot, tmp_path_factory):
    """Folder of the packed table."""
    folder = tmp_path_factory.mktemp("tables")
    hybrid.pack(pilot, folder / "hybrid.h5", log=lambda message: None)
    return folder


@pytest.fixture(scope="module")
def bench(table):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(files.DATA_VARIABLE, str(table))
        return nbi.load("hybrid")


@pytest.fixture(scope="module")
def evaluated(pilot):
    read = [read_evaluation(path) for path in pilot.rglob("*.npz")]
    return {(each.code, each.seed): each for each in read}


def expected(evaluation, kind, compression, accuracy_class, at, chosen=slice(None)):
    """Label of a cell, found by looking through what was declared; None where it was not."""
    declared = evaluation.grid
    for cell, place in enumerate(
        zip(declared.cell_compression, declared.cell_class, declared.cell_time, strict=True)
    ):
        if place in ((compression, accuracy_class, at), (compression, accuracy_class, "")):
            return np.float32(getattr(evaluation, kind)[cell][chosen].mean(dtype=np.float64))
    return None


# ---- finding it ---------------------------------------------------------------------------------------


def test_a_pilot_loads_and_is_not_official(bench, table):
    assert not bench.official
    assert bench.sha256 == files.file_sha256(table / "hybrid.h5")
    assert (bench.name, bench.version) == ("hybrid", f"{hybrid.VERSION}-pilot")
    assert len(bench.architectures) == bench.distinct_networks == 7
    assert len(bench.space.architectures) == 1_728
    assert bench.compressions == ((8, 0.0), (4, 0.0), (8, 0.5), (4, 0.5))
    assert (bench.draws, bench.training_seeds, bench.times) == (8, (0, 1, 2), tuple(TIMES))
    assert bench.canonical(bench.architectures[3]) == bench.architectures[3]


def test_a_network_that_a_pilot_lacks(bench):
    absent = bench.space.architectures[1]
    for ask in (
        lambda: bench.query(Design(absent, SRAM)),
        lambda: bench.array("energy", [bench.architectures[0], absent]),
        lambda: bench.training(absent),
        lambda: bench.canonical(absent),
    ):
        with pytest.raises(UnavailableError, match=r"not in this table \(7 of 1,728 networks: a pilot\)"):
            ask()
    with pytest.raises(UnknownNameError, match="c32x1-m40x2-a56x1"):
        bench.query(Design("c16", SRAM))


def test_a_table_that_changed_is_not_read_for_a_pickled_one(bench, tmp_path, monkeypatch):
    copy = tmp_path / "hybrid.h5"
    copy.write_bytes(bench._path.read_bytes())
    monkeypatch.setenv(files.DATA_VARIABLE, str(tmp_path))
    data = pickle.dumps(nbi.load("hybrid"))
    with copy.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(nbi.TableError, match="has changed since it was loaded"):
        pickle.loads(data)


def test_a_pickled_table_answers_as_before(bench):
    other = pickle.loads(pickle.dumps(bench))
    design = Design(bench.architectures[2], PCM, 4, 0.5)
    assert other.query(design)["accuracy"] == bench.query(design)["accuracy"]


def read_everything(bench):
    """Every column is read whole, at the last compression, and labels of the third training seed too."""
    values = [
        bench.array(name, weight_bits=4, sparsity=0.5, labels="search")
        for name in bench.metrics
        if name != "accuracy"
    ]
    for kind in ("score", "search"):
        values.append(bench.array("accuracy", hardware=bench.accuracy_hardware(), labels=kind))
        values.append(
            bench.array("accuracy", bench.trained(2), PCM, labels=kind, weight_bits=4, training_seed=2)
        )
    training = bench.training(bench.trained(2)[0], 2)
    return [*values, training.learning_curve, training.seconds, np.array(bench.hardware.to_csv())]


def test_flipped_bits_anywhere_give_the_right_numbers_or_an_error(bench, table, tmp_path, monkeypatch):
    whole, expected_values = (table / "hybrid.h5").read_bytes(), read_everything(bench)
    monkeypatch.setenv(files.DATA_VARIABLE, str(tmp_path))
    rng, refused = random.Random(0), 0
    for _ in range(40):
        position = rng.randrange(len(whole))
        flipped = bytes([whole[position] ^ 1 << rng.randrange(8)])
        (tmp_path / "hybrid.h5").write_bytes(whole[:position] + flipped + whole[position + 1 :])
        try:
            read = read_everything(nbi.load("hybrid"))
        except TableError:
            refused += 1
        else:
            assert all(np.array_equal(a, b) for a, b in zip(read, expected_values, strict=True)), position
    assert refused > 10


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("training/seconds", "tramning_seed architecture epoch"),
        ("score/accuracy_digital", "architecture training_seed"),
        ("cost/energy", "compression class"),
        ("proxy/snip", "class hardware"),
    ],
)
def test_axes_that_are_not_those_of_the_values_are_refused(inheriting, tmp_path, monkeypatch, name, axes):
    """No checksum is over attributes."""
    copy = tmp_path / "hybrid.h5"
    copy.write_bytes((inheriting / "hybrid.h5").read_bytes())
    with h5py.File(copy, "r+") as file:
        file[name].attrs["axes"] = axes
    monkeypatch.setenv(files.DATA_VARIABLE, str(tmp_path))
    bench = nbi.load("hybrid")
    asks = [
        lambda: bench.training(bench.architectures[0]),
        lambda: bench.array(["accuracy_digital", "energy", "proxy_snip"]),
    ]
    with pytest.raises(TableError, match=rf"damaged: {name} has axes '{axes}' and shape"):
        asks[not name.startswith("training")]()


# ---- accuracy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["score", "search"])
@pytest.mark.parametrize("at", TIMES)
def test_every_cell_is_served_as_evaluated_and_no_other(bench, evaluated, kind, at):
    served = 0
    for compression, (bits, sparsity) in enumerate(bench.compressions):
        for config in CONFIGS:
            design = Design(bench.architectures[2], config.id, bits, sparsity)
            label = expected(evaluated[design.arch, 0], kind, compression, config.accuracy_class, at)
            if label is None:
                with pytest.raises(UnavailableError):
                    bench.query(design, at, labels=kind)["accuracy"]
                with pytest.raises(UnavailableError):
                    bench.array(
                        "accuracy",
                        hardware=config.id,
                        at=at,
                        labels=kind,
                        weight_bits=bits,
                        sparsity=sparsity,
                    )
            else:
                measured = bench.query(design, at, labels=kind)
                assert measured["accuracy"] == label
                assert "accuracy" in measured
                assert bench.array(
                    "accuracy",
                    [design.arch],
                    [config.id],
                    at=at,
                    labels=kind,
                    weight_bits=bits,
                    sparsity=sparsity,
                ) == [[label]]
                served += 1
    plain = 3 + 18 + (18 if at in ("1h", "1d", "30d") else 0) + (36 if at == "1d" else 0)
    references = sum(1 for c in CONFIGS if c.reference)
    assert plain < served
    assert at != "1d" or served >= plain + 3 * references


@pytest.mark.parametrize(("bits", "sparsity"), [(8, 0.0), (4, 0.5)])
def test_table_and_array_agree(bench, evaluated, bits, sparsity):
    frame = bench.table(["accuracy", "energy", "edap"], PCM, weight_bits=bits, sparsity=sparsity)
    assert tuple(frame.index) == bench.architectures
    values = bench.array(["accuracy", "energy", "edap"], hardware=PCM, weight_bits=bits, sparsity=sparsity)
    np.testing.assert_array_equal(frame.to_numpy(), values)
    compression = bench.compressions.index((bits, sparsity))
    for code in bench.architectures:
        label = expected(evaluated[code, 0], "score", compression, "pcm-r256-adc8", "1d")
        assert frame.accuracy[code] == label


def test_accuracy_classes_that_do_not_exist_name_those_that_do(bench):
    code = bench.architectures[0]
    with pytest.raises(UnavailableError) as caught:
        bench.query(Design(code, PLAIN_PCM, 4))["accuracy"]
    message = str(caught.value)
    assert f"at weight_bits=4, sparsity=0.0 on {PLAIN_PCM} at '1d'" in message
    assert "exists on these accuracy classes only: sram-digital-int8 (any time)" in message
    assert "pcm-r256-adc8 (1d)" in message
    assert "pcm-r64-adc5" not in message.split("only:")[1]
    with pytest.raises(UnavailableError, match=r"pcm-r256-adc8 \(1h, 1d, 30d\)"):
        bench.array("accuracy", [code], NO_CLASS)
    with pytest.raises(UnavailableError, match="no 'accuracy' at weight_bits=4"):
        bench.array("accuracy", weight_bits=4)


def test_times_that_a_family_lacks(bench):
    code = bench.architectures[0]
    with pytest.raises(UnavailableError, match=rf"{PCM} has no data at 't0'; it has \['1h', '1d', '30d'\]"):
        bench.query(Design(code, PCM), at="t0")
    with pytest.raises(UnavailableError, match=rf"{RRAM} has no data at '1h'; it has \['1d'\]"):
        bench.query(Design(code, RRAM), at="1h")
    with pytest.raises(UnavailableError, match=r"pcm-r256-adc8 \(1d\)"):
        bench.query(Design(code, PCM, 4), at="1h")["accuracy"]
    for at in TIMES:
        assert bench.query(Design(code, SRAM), at=at)["accuracy"] > 0


@pytest.mark.parametrize(
    ("bits", "sparsity"), [(2, 0.0), (8, 0.25), (4, None), ("8", 0.5), (8, float("nan")), ([8], 0.0)]
)
def test_compressions_that_the_table_lacks(bench, bits, sparsity):
    message = (
        r"weight_bits=8, sparsity=0\.0 and weight_bits=4, sparsity=0\.0 and weight_bits=8, sparsity=0\.5"
    )
    with pytest.raises(UnavailableError, match=message):
        bench.query(Design(bench.architectures[0], SRAM, bits, sparsity))
    with pytest.raises(UnavailableError, match=message):
        bench.table("energy", SRAM, weight_bits=bits, sparsity=sparsity)


def test_hardware_with_accuracy_by_compression(bench):
    plain, compressed = bench.accuracy_hardware(), bench.accuracy_hardware(4, 0.5)
    assert len(plain) == 75
    assert NO_CLASS not in plain
    classes = {config.accuracy_class for config in CONFIGS if config.reference}
    assert compressed == [config.id for config in CONFIGS if config.accuracy_class in classes]
    assert bench.hardware.accuracy_class[PCM] == "pcm-r256-adc8"


# ---- draws and training seeds -------------------------------------------------------------------------


@given(st.integers(1, 8), st.none() | st.integers(0, 2**128 - 1), st.sampled_from(["score", "search"]))
def test_fewer_draws_are_the_first_from_the_label_seed_on(bench, evaluated, draws, seed, kind):
    if kind == "score":
        seed = None
    design = Design(bench.architectures[5], PCM, 4, 0.0)
    chosen = [((seed or 0) + k) % 8 for k in range(draws)] if draws < 8 else slice(None)
    label = expected(evaluated[design.arch, 0], kind, 1, "pcm-r256-adc8", "1d", chosen)
    got = bench.query(design, labels=kind, seed=seed, draws=draws)["accuracy"]
    assert got == label
    batch = bench.array("accuracy", [design.arch], PCM, labels=kind, seed=seed, draws=draws, weight_bits=4)
    assert batch == [label]


def test_all_draws_are_one_label_whatever_the_seed(bench):
    design = Design(bench.architectures[1], PCM)
    labels = {bench.query(design, labels="search", seed=seed)["accuracy"] for seed in (None, 0, 3, 10**9)}
    assert len(labels) == 1
    assert labels != {bench.query(design)["accuracy"]}


@pytest.mark.parametrize("draws", [0, 9, -1, 1.5, "2", True, [1], float("nan")])
def test_a_number_of_draws_that_does_not_exist(bench, draws):
    with pytest.raises(UnavailableError, match="draws is an integer from 1 to 8"):
        bench.query(Design(bench.architectures[0], PCM), draws=draws)
    with pytest.raises(UnavailableError, match="draws is an integer from 1 to 8"):
        bench.array("accuracy", hardware=PCM, draws=draws)


def test_label_noise_is_the_standard_error_over_draws(bench, evaluated):
    cells = next(iter(evaluated.values())).grid
    cell = list(zip(cells.cell_compression, cells.cell_class, cells.cell_time, strict=True)).index(
        (0, "pcm-r256-adc8", "30d")
    )
    variances = [evaluated[code, 0].search[cell].var(ddof=1) / 8 for code in bench.architectures]
    assert bench.label_noise(PCM, "30d") == pytest.approx(np.sqrt(np.mean(variances)), rel=1e-5)
    assert bench.label_noise(SRAM) == pytest.approx(0, abs=1e-4)
    with pytest.raises(UnavailableError, match="no 'accuracy'"):
        bench.label_noise(NO_CLASS)


def test_other_training_seeds_serve_the_networks_that_have_them(bench, evaluated):
    trained = bench.trained(2)
    assert len(trained) == 2
    frame = bench.table("accuracy", PCM, training_seed=2)
    assert tuple(frame.index) == trained
    for code in trained:
        label = expected(evaluated[code, 2], "score", 0, "pcm-r256-adc8", "1d")
        for _ in range(2):  # the second time the view is there
            assert bench.query(Design(code, PCM), training_seed=2)["accuracy"] == label
        assert frame.accuracy[code] == label
        assert label != bench.query(Design(code, PCM))["accuracy"]
    without = next(code for code in bench.architectures if code not in trained)
    for _ in range(2):
        with pytest.raises(
            UnavailableError, match=rf"{without} was not trained with training_seed=2, as 2 of 7"
        ):
            bench.query(Design(without, PCM), training_seed=2)
    with pytest.raises(UnavailableError, match="was not trained"):
        bench.array("accuracy", hardware=PCM, training_seed=2)
    assert bench.trained(np.int64(2)) == trained
    for seed in (3, -1, "0", None, [0], float("nan"), True, 1.0, np.array(1), np.array([1, 2])):
        with pytest.raises(UnavailableError, match=r"it has \[0, 1, 2\]"):
            bench.query(Design(without, PCM), training_seed=seed)
        with pytest.raises(UnavailableError, match=r"it has \[0, 1, 2\]"):
            bench.trained(seed)


def test_digital_accuracy_is_that_of_the_labels_asked_for(bench, evaluated):
    for (code, seed), each in evaluated.items():
        design = Design(code, NO_CLASS, 4, 0.5)
        for kind in ("score", "search"):
            got = bench.query(design, labels=kind, training_seed=seed)["accuracy_digital"]
            assert got == np.float32(getattr(each, f"{kind}_digital"))
    codes = list(bench.architectures)
    for kind in ("score", "search"):
        digital = [np.float32(getattr(evaluated[code, 0], f"{kind}_digital")) for code in codes]
        assert bench.array("accuracy_digital", labels=kind).tolist() == digital
        assert bench.table("accuracy_digital", labels=kind).accuracy_digital.tolist() == digital
    assert bench.metrics["accuracy_digital"].direction == "maximise"


def test_training_is_served_by_seed(bench, evaluated):
    for (code, seed), each in evaluated.items():
        training = bench.training(code, seed)
        np.testing.assert_array_equal(training.learning_curve, each.learning_curve.astype(np.float32))
        np.testing.assert_array_equal(training.seconds, each.training_seconds.astype(np.float32))
        assert training.evaluation_seconds == np.float32(each.evaluation_seconds)
        assert training.weights_sha256 == each.weights_sha256
    without = next(code for code in bench.architectures if code not in bench.trained(1))
    with pytest.raises(UnavailableError, match="was not trained with training_seed=1"):
        bench.training(without, 1)


# ---- costs --------------------------------------------------------------------------------------------


@given(st.data())
def test_costs_exist_for_every_compression_on_every_chip(bench, data):
    bits, sparsity = data.draw(st.sampled_from(bench.compressions))
    hardware_id = data.draw(st.sampled_from(bench.hardware_ids))
    arch = data.draw(st.sampled_from(bench.architectures))
    metric = data.draw(st.sampled_from([name for name in bench.metrics if name != "accuracy"]))
    value = bench.query(Design(arch, hardware_id, bits, sparsity))[metric]
    assert np.isfinite(value)
    batch = bench.array(metric, [arch], hardware_id, weight_bits=bits, sparsity=sparsity)
    assert value == pytest.approx(float(batch[0]), rel=1e-6)


def test_compression_makes_networks_smaller(bench):
    memory = [bench.array("weight_memory", weight_bits=b, sparsity=s) for b, s in bench.compressions]
    assert (memory[1] == memory[0] / 2).all()
    assert (memory[2] < memory[0]).all()
    assert (memory[3] == memory[2] / 2).all()
    plain, sparse = (bench.array("macs", sparsity=s) for s in (0.0, 0.5))
    assert (sparse < plain).all()


def test_measurements_show_what_they_have(bench):
    code = bench.architectures[0]
    whole, costs = bench.query(Design(code, PCM)), bench.query(Design(code, NO_CLASS))
    assert set(whole) == set(bench.metrics)
    assert set(whole) - set(costs) == {"accuracy"}
    assert "accuracy=" in repr(whole)
    assert "accuracy=" not in repr(costs)
    assert "accuracy" not in bench.query(Design(code, PCM, 4), at="30d")


# ---- a table of published accuracies has none of this --------------------------------------------------


def test_published_accuracies_have_neither_draws_nor_trainings():
    published = nbi.load("nb201")
    design = Design(published.architectures[0], SRAM)
    with pytest.raises(UnavailableError, match="not made of noise draws"):
        published.query(design, draws=1)
    with pytest.raises(UnavailableError, match=r"no training_seed=1; it has \[0\]"):
        published.query(design, training_seed=1)
    with pytest.raises(UnavailableError, match="trained elsewhere"):
        published.training(published.architectures[0])
    assert published.trained() == published.architectures
    assert (published.draws, published.compressions, published.training_seeds) == (0, ((8, 0.0),), (0,))
