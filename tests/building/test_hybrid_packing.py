"""Packing evaluations: labels by hand, the same bytes each time, and every bad file is named."""

import json
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nasbench_imc as nbi
from nasbench_imc.building import archive, hybrid
from nasbench_imc.building.audit import audit_list
from nasbench_imc.building.clock import NAMES
from nasbench_imc.building.evaluation_files import Grid, read_evaluation
from nasbench_imc.building.training_log import TrainingRun
from nasbench_imc.errors import TableError
from nasbench_imc.hardware import grid, network_costs
from nasbench_imc.spaces import Hybrid
from nasbench_imc.tables.files import DATA_VARIABLE
from nasbench_imc.tables.layout import TIMES

CODE = "c16x1-m24x2-a32x1"


def quiet(message):
    pass


def with_about(members, **changes):
    about = json.loads(str(members["about"])) | changes
    return {**members, "about": np.array(json.dumps(about))}


@pytest.fixture
def write(tmp_path, evaluation):
    """Writes an evaluation into the test's folder, members changed or (None) left out."""

    def make(name="one.npz", code=CODE, seed=0, **changes):
        members = {**evaluation(code, seed), **changes}
        path = tmp_path / "evaluated" / name
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, **{name: value for name, value in members.items() if value is not None})
        return path

    return make


# ---- one file -----------------------------------------------------------------------------------------


def test_labels_are_the_full_accuracy_and_the_paired_difference(write, evaluation):
    members = evaluation(CODE)
    read = read_evaluation(write())
    for kind in ("score", "search"):
        labels = getattr(read, kind)
        assert labels.dtype == np.float32
        for cell, compression in enumerate(members["cell_compression"]):
            for draw in range(8):
                full = float(members[f"{kind}_full"][compression])
                drawn = float(members[f"{kind}_accuracy"][cell, draw])
                subset = float(members[f"{kind}_subset"][compression, draw])
                assert labels[cell, draw] == pytest.approx(full + drawn - subset, abs=1e-5)
        exact = members["cell_class"] == b"sram-digital-int8"
        np.testing.assert_allclose(
            labels[exact], np.tile(members[f"{kind}_full"][members["cell_compression"][exact], None], 8)
        )


def test_text_may_be_str_or_bytes(write, evaluation):
    changed = {name: evaluation(CODE)[name].astype(str) for name in ("cell_class", "cell_time")}
    sha = np.array(b"0" * 64)
    read = read_evaluation(write(weights_sha256=sha, **changed))
    assert read.grid == read_evaluation(write("two.npz")).grid
    assert read.weights_sha256 == "0" * 64


@pytest.mark.parametrize("name", ["about", "cell_time", "score_accuracy", "search_full", "weights_sha256"])
def test_a_missing_member_is_named(write, name):
    path = write(**{name: None})
    with pytest.raises(TableError, match=rf"one\.npz.* lacks {name}"):
        read_evaluation(path)


NAN = np.float32("nan")
BAD = {
    "score_accuracy": (lambda a: np.where(np.arange(8) == 3, NAN, a), "score_accuracy has .* not finite"),
    "search_accuracy": (lambda a: a[:, :7], r"search_accuracy is .* of shape \(\d+, 8\)"),
    "score_subset": (lambda a: a + 100, "score_subset has a value outside 0 to 100"),
    "search_full": (lambda a: -a, "search_full has a value outside"),
    "accuracy_digital": (lambda a: a[:1], "accuracy_digital"),
    "curve_epochs": (lambda a: a[::-1], "curve_epochs must rise"),
    "learning_curve": (lambda a: a[:0], r"learning_curve is .* of shape \(0,\)"),
    "measured/training_seconds": (lambda a: a[:-1], "training_seconds"),
    "measured/evaluation_seconds": (lambda a: -a, "negative"),
    "weights_sha256": (lambda a: np.array("abc"), "hexadecimal"),
    "compressions": (lambda a: a[::-1], r"first \(8, 0.0\)"),
    "cell_compression": (lambda a: a + 1, "unknown compression"),
    "cell_class": (lambda a: a[:-1], "of one length"),
    "cell_time": (lambda a: np.full_like(a, b"1d"), "is declared twice"),
    "about": (lambda a: np.array("{"), "is damaged or not an evaluation"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_member_is_named(write, evaluation, name):
    change, message = BAD[name]
    path = write(**{name: change(evaluation(CODE)[name])})
    with pytest.raises(TableError, match=rf"one\.npz.*{message}"):
        read_evaluation(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": "c16x1-m24x2-a32x3"}, "depth_3"),
        ({"code": None}, "'code'"),
        ({"seed": -1}, "negative"),
        ({"seed": True}, "'seed'"),
        ({"seed": "0"}, "'seed'"),
        ({"protocol": None}, "'protocol'"),
    ],
)
def test_what_a_file_says_of_itself_is_checked(write, evaluation, changes, message):
    path = write(about=with_about(evaluation(CODE), **changes)["about"])
    with pytest.raises(TableError, match=rf"one\.npz.*{message}"):
        read_evaluation(path)


def test_an_unknown_time_is_refused(write, evaluation):
    times = evaluation(CODE)["cell_time"].astype("S4")
    times[times == b"30d"] = b"31d"
    with pytest.raises(TableError, match="unknown time; valid: '', 't0'"):
        read_evaluation(write(cell_time=times))


def test_a_time_beside_every_time_is_refused(write, evaluation):
    kinds, times = evaluation(CODE)["cell_class"], evaluation(CODE)["cell_time"].copy()
    kinds[1], times[1] = kinds[0], b"1d"
    assert times[0] == b""
    with pytest.raises(TableError, match="is declared twice"):
        read_evaluation(write(cell_class=kinds, cell_time=times))


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"code,accuracy\n", b"PK\x03\x04" + bytes(99)])
def test_another_kind_of_file_is_named(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"bad\.npz is damaged or not an evaluation"):
        read_evaluation(path)


def test_one_array_is_not_an_evaluation(tmp_path):
    with (tmp_path / "bad.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(TableError, match="one array"):
        read_evaluation(tmp_path / "bad.npz")


def test_a_pickle_is_not_read(tmp_path, evaluation):
    members = evaluation(CODE) | {"about": np.array({"code": CODE}, dtype=object)}
    np.savez(tmp_path / "bad.npz", allow_pickle=True, **members)
    with pytest.raises(TableError, match="allow_pickle"):
        read_evaluation(tmp_path / "bad.npz")


@given(st.data())
def test_a_flipped_bit_or_a_lost_end_gives_the_same_values_or_names_the_file(
    tmp_path_factory, evaluation, data
):
    folder = tmp_path_factory.mktemp("damaged")
    np.savez_compressed(folder / "whole.npz", **evaluation(CODE))
    whole = (folder / "whole.npz").read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        flipped = bytes([whole[position] ^ 1 << data.draw(st.integers(0, 7))])
        damaged = whole[:position] + flipped + whole[position + 1 :]
    else:
        damaged = whole[:position]
    (folder / "bad.npz").write_bytes(damaged)
    expected = read_evaluation(folder / "whole.npz")
    error = ""
    try:
        read = read_evaluation(folder / "bad.npz")
    except TableError as caught:
        error = str(caught)
    if error:
        assert "bad.npz" in error
    else:
        assert read.grid == expected.grid
        np.testing.assert_array_equal(read.score, expected.score)
        np.testing.assert_array_equal(read.search, expected.search)


# ---- files together -----------------------------------------------------------------------------------


def pack(path):
    return hybrid.pack(path.parent, path.parent.parent / "hybrid.h5", log=quiet)


def test_another_grid_names_the_file_and_what_differs(write, evaluation):
    write("a.npz")
    other = evaluation("a16x1-a24x2-a32x1")
    times = np.where(other["cell_time"] == b"1h", b"60s", other["cell_time"])
    path = write("b.npz", "a16x1-a24x2-a32x1", cell_time=times)
    with pytest.raises(TableError, match=r"b\.npz declares another grid than .*a\.npz: its cell_time"):
        pack(path)
    assert not (path.parent.parent / "hybrid.h5").exists()


def test_fewer_draws_or_epochs_are_another_grid(write, evaluation):
    write("a.npz")
    other = evaluation("a16x1-a24x2-a32x1")
    path = write(
        "b.npz",
        "a16x1-a24x2-a32x1",
        **{name: other[name][1:] for name in ("curve_epochs", "learning_curve", "measured/training_seconds")},
    )
    with pytest.raises(TableError, match=r"b\.npz declares another grid .* epochs"):
        pack(path)


@pytest.mark.parametrize("name", ["protocol", "pixels"])
def test_labels_of_two_kinds_are_refused(write, evaluation, name):
    write("a.npz")
    code = "a16x1-a24x2-a32x1"
    path = write("b.npz", code, about=with_about(evaluation(code), **{name: "other"})["about"])
    with pytest.raises(TableError, match=rf"b\.npz has {name} 'other', .*a\.npz has"):
        pack(path)


def test_one_network_and_seed_twice_is_refused(write):
    write("a.npz")
    with pytest.raises(TableError, match=r"b\.npz and .*a\.npz are of one network and seed"):
        pack(write("b.npz"))


def test_every_network_needs_seed_0(write):
    with pytest.raises(TableError, match=r"one\.npz: .* lacks an evaluation of training seed 0"):
        pack(write(seed=1))


def test_an_accuracy_class_that_no_chip_has_is_refused(write, evaluation):
    kinds = evaluation(CODE)["cell_class"].astype("S32")
    kinds[kinds == kinds[-1]] = b"pcm-of-tomorrow"
    with pytest.raises(TableError, match=r"one\.npz: no configuration is of accuracy class pcm-of-tomorrow"):
        pack(write(cell_class=kinds))


def test_a_folder_without_evaluations_is_refused(tmp_path):
    with pytest.raises(TableError, match="there are no evaluations"):
        hybrid.pack(tmp_path, tmp_path / "hybrid.h5", log=quiet)


def test_a_damaged_file_leaves_the_old_table(write):
    path = write()
    old = pack(path).read_bytes()
    (path.parent / "bad.npz").write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(TableError, match=r"bad\.npz"):
        pack(path)
    assert (path.parent.parent / "hybrid.h5").read_bytes() == old


def test_packing_twice_gives_the_same_bytes_whatever_the_files_are_called(pilot, tmp_path):
    first = hybrid.pack(pilot, tmp_path / "a.h5", log=quiet)
    other = tmp_path / "renamed"
    other.mkdir()
    for number, path in enumerate(sorted(pilot.rglob("*.npz"), reverse=True)):
        shutil.copy(path, other / f"{number:03}.npz")
    assert first.read_bytes() == hybrid.pack(other, tmp_path / "b.h5", log=quiet).read_bytes()


INHERITS = {"parent": "uniform-9", "parent_seed": None}


def test_a_supernetwork_that_no_run_tells_of_is_refused(write, evaluation):
    path = write(about=with_about(evaluation(CODE), recipe=INHERITS)["about"])
    with pytest.raises(
        TableError, match="super-network uniform-9 of seed 0, whose training is not in the log"
    ):
        pack(path)


def test_seconds_of_supernetworks_by_training_seed(write, evaluation, tmp_path):
    runs = [
        TrainingRun("uniform-9", seed, code, {"recipe": {}}, {"seconds": [100.0 + seed, 20.0]})
        for seed, code in ((0, None), (1, None), (2, "a network"))
    ]
    own = {"recipe": INHERITS}
    path = write("a.npz", about=with_about(evaluation(CODE), **own)["about"])
    write("b.npz", seed=1, about=with_about(evaluation(CODE, 1), **own)["about"])
    table = hybrid.pack(path.parent, tmp_path / "own.h5", runs=runs, log=quiet)
    with h5py.File(table) as file:
        assert file["training/supernet_seconds"][:].tolist() == [120.0, 121.0]
    shared = {"recipe": {**INHERITS, "parent_seed": 0}}
    write("b.npz", seed=1, about=with_about(evaluation(CODE, 1), **shared)["about"])
    table = hybrid.pack(path.parent, tmp_path / "shared.h5", runs=runs, log=quiet)
    with h5py.File(table) as file:
        assert file["training/supernet_seconds"][:].tolist() == [120.0, 120.0]


def proxies_file(path, codes, values):
    """Two proxies of each network."""
    seconds = np.arange(2.0 * len(codes)).reshape(-1, 2)
    archive.write(
        path,
        {
            "about": np.array('{"pixels": "folder"}'),
            "codes": np.array(codes, "S"),
            "names": np.array(["snip", "naswot"], "S"),
            "values": values,
        },
        measured={"seconds": seconds},
    )  # fmt: skip
    return path


def test_proxies_are_packed_in_the_tables_order(write, tmp_path):
    codes = ["a32x2-a24x2-a32x1", CODE, "c16x1-c24x1-c32x1"]
    values = np.array([[1.5, -2.0], [3.25, 4.0], [0.0, 7.0]])
    kept = proxies_file(tmp_path / "proxies.npz", codes, values)
    write("a.npz", codes[2])
    path = write("b.npz")
    with h5py.File(hybrid.pack(path.parent, tmp_path / "t.h5", proxies=kept, log=quiet)) as file:
        rows = [codes.index(code.decode()) for code in file["architectures"][:]]
        for column, name in enumerate(("snip", "naswot")):
            assert file[f"proxy/{name}"][:].tolist() == values[rows, column].tolist()
            assert file[f"proxy_seconds/{name}"][:].tolist() == [2 * row + column for row in rows]


def test_missing_or_infinite_proxies_are_named(write, tmp_path):
    path = write()
    kept = proxies_file(tmp_path / "few.npz", ["c16x1-c24x1-c32x1"], np.zeros((1, 2)))
    with pytest.raises(TableError, match=rf"few\.npz lacks the proxies of 1 networks, {CODE}"):
        hybrid.pack(path.parent, tmp_path / "t.h5", proxies=kept, log=quiet)
    kept = proxies_file(tmp_path / "nan.npz", [CODE], np.array([[1.0, np.inf]]))
    with pytest.raises(TableError, match=rf"nan\.npz: naswot is not finite for {CODE}"):
        hybrid.pack(path.parent, tmp_path / "t.h5", proxies=kept, log=quiet)


@pytest.mark.parametrize("seconds", [1e6, np.nan], ids=["cpu", "gpu"])
def test_a_clock_takes_the_place_of_what_runs_took(write, evaluation, tmp_path, seconds):
    """Seconds of an idle machine: by epochs, inheritance and draws, and of super-networks by their epochs."""
    codes = ["a32x2-a24x2-a32x1", CODE]
    kept = tmp_path / "clock.npz"
    archive.write(
        kept,
        {
            "about": np.array('{"pixels": "folder"}'),
            "codes": np.array(codes, "S"),
            "names": np.array(NAMES, "S"),
        },
        measured={"seconds": np.array([[20.0, 3.0, 0.5, 9.0, 0.5], [12.0, 2.0, 0.125, 1.5, 0.25]])},
    )
    shared = {"parent": "uniform-9", "parent_seed": 0}
    settings = {"epochs": 9, "sampling": "fair"}
    runs = [TrainingRun("uniform-9", 0, None, {"recipe": settings}, {"seconds": [1e9]})]
    changed = {"curve_epochs": np.array([0.0, 0.5, 1.0]), "learning_curve": np.array([50.0, 55.0, 60.0]),
               "measured/training_seconds": np.full(3, seconds)}  # fmt: skip
    path = write("a.npz", **changed, about=with_about(evaluation(CODE), recipe=shared)["about"])
    with h5py.File(hybrid.pack(path.parent, tmp_path / "t.h5", runs=runs, clock=kept, log=quiet)) as file:
        assert file["training/seconds"][0, 0].tolist() == [2.125, 6.125, 6.125]
        assert file["training/anchor_seconds"][0, 0] == 1.5
        cells, draws = file["search/accuracy"].shape[2:]
        assert file["training/evaluation_seconds"][0, 0] == 0.25 * cells * draws
        assert file["training/supernet_seconds"][0] == 16.0 * 9 * 3  # of the mean over all networks
    few = tmp_path / "few.npz"
    archive.write(
        few,
        {
            "about": np.array('{"pixels": "folder"}'),
            "codes": np.array(codes[:1], "S"),
            "names": np.array(NAMES, "S"),
        },
        measured={"seconds": np.ones((1, len(NAMES)))},
    )
    with pytest.raises(TableError, match=rf"few\.npz lacks the seconds of 1 networks, {CODE}"):
        hybrid.pack(path.parent, tmp_path / "t.h5", runs=runs, clock=few, log=quiet)
    if np.isnan(seconds):
        with pytest.raises(TableError, match=r"a\.npz was trained or evaluated on a GPU, .* --clock"):
            hybrid.pack(path.parent, tmp_path / "t.h5", runs=runs, log=quiet)


def test_a_release_lacks_nothing(pilot, evaluation, write, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from nasbench_imc.building.evaluation import declared_grid

    with pytest.raises(TableError) as refused:
        hybrid.pack(pilot, tmp_path / "t.h5", release=True, log=quiet)
    said = str(refused.value).partition("lacks ")[2].split("; ")
    assert said == [
        "the declared grid of 60 cells, 8 draws each",
        "1721 of 1728 networks of training seed 0",
        "100 of 100 networks of training seed 1",
        "100 of 100 networks of training seed 2",
        "the training of 11 evaluated networks in the log",
        "the long training of 40 of 40 networks",
        "counts of parameters",
        "zero-cost proxies",
        "the clock's seconds",
    ]
    assert not (tmp_path / "t.h5").exists()
    # A space of one network, whole in all respects.
    monkeypatch.setattr(hybrid, "networks", lambda name: (CODE,))
    monkeypatch.setattr(hybrid, "audit_list", lambda: (CODE,))
    cells = declared_grid()
    for seed in (0, 1, 2):
        members = evaluation(CODE, seed)
        held = list(zip(members["cell_compression"], members["cell_class"].astype(str), strict=True))
        rows = [held.index((cell.compression, cell.config.accuracy_class)) for cell in cells]
        for name in ("cell_compression", "cell_class", "score_accuracy", "search_accuracy"):
            members[name] = members[name][rows]
        members["cell_time"] = np.array([cell.time for cell in cells], dtype="S")
        path = write(f"{seed}.npz", seed=seed, **with_about(members, parameters=12_345))
    runs = [TrainingRun("reference", 0, CODE, {"recipe": {}}, {"seconds": [1.0], "test_accuracy": 70.0})]
    runs += [run_of(evaluation(CODE, seed)) for seed in (0, 1, 2)]
    archive.write(
        tmp_path / "clock.npz",
        {
            "about": np.array('{"pixels": "folder"}'),
            "codes": np.array([CODE], "S"),
            "names": np.array(NAMES, "S"),
        },
        measured={"seconds": np.ones((1, len(NAMES)))},
    )
    whole = {
        "runs": runs,
        "clock": tmp_path / "clock.npz",
        "proxies": proxies_file(tmp_path / "proxies.npz", [CODE], np.ones((1, 2))),
    }
    hybrid.pack(path.parent, tmp_path / "hybrid.h5", release=True, log=quiet, **whole)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert nbi.load("hybrid").version == hybrid.VERSION
    assert nbi.load("hybrid").training(CODE).parameters == 12_345
    with h5py.File(tmp_path / "hybrid.h5") as file:
        said = json.loads(file.attrs["sources"])["training seeds"]
    assert said == "1 networks of seed 0, 1 networks of seed 1, 1 networks of seed 2"
    for name, lost in (("proxies", "zero-cost proxies"), ("clock", "the clock's seconds"), ("runs", "long")):
        with pytest.raises(TableError, match=f"no release: it lacks .*{lost}"):
            hybrid.pack(
                path.parent,
                tmp_path / "t.h5",
                release=True,
                log=quiet,
                **whole | {name: [] if name == "runs" else None},
            )
    # A training seed after the first may come with a later release.
    (path.parent / "2.npz").unlink()
    hybrid.pack(path.parent, tmp_path / "hybrid.h5", release=True, log=quiet, **whole)
    with h5py.File(tmp_path / "hybrid.h5") as file:
        said = json.loads(file.attrs["sources"])["training seeds"]
    assert said.endswith("1 networks of seed 1, none yet of 2, with which 1 are to be")
    (path.parent / "0.npz").unlink()
    with pytest.raises(TableError, match="lacks an evaluation of training seed 0"):
        hybrid.pack(path.parent, tmp_path / "t.h5", release=True, log=quiet, **whole)


def run_of(members, recipe=None, **values):
    """The training run that an evaluation is of, as the log would have it."""
    about = json.loads(str(members["about"]))
    curve = members["learning_curve"].astype(float).tolist()
    values = {
        "seconds": [1.0],
        "inherited_accuracy": curve[0],
        "validation_accuracy": curve[1:],
        "test_accuracy": float(members["accuracy_digital"][0]),
    } | values
    return TrainingRun(
        about["protocol"], about["seed"], about["code"], {"recipe": recipe or {}, "pixels": "folder"}, values
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_accuracy": 12.5}, "its test accuracy is .*, the run's 12.5"),
        ({"validation_accuracy": [1.0]}, r"its learning curve is \[.*\], the run's \[.*1.0\]"),
        ({"recipe": {"epochs": 2}}, r"its recipe is {}, the run's \{'epochs': 2\}"),
    ],
)
def test_an_evaluation_of_another_training_is_refused(write, evaluation, tmp_path, changes, message):
    path = write("a.npz")
    hybrid.pack(path.parent, tmp_path / "t.h5", runs=[run_of(evaluation(CODE))], log=quiet)
    with pytest.raises(TableError, match=rf"a\.npz was not made from the run in the log.*{message}"):
        hybrid.pack(path.parent, tmp_path / "t.h5", runs=[run_of(evaluation(CODE), **changes)], log=quiet)


@pytest.mark.parametrize("branch", ["m24x2-a32x1", "a32x1", None])
def test_processors_are_those_of_the_runs(write, evaluation, tmp_path, monkeypatch, branch):
    shared = {"parent": "uniform-9", "parent_seed": 0}
    path = write("a.npz", about=with_about(evaluation(CODE), recipe=shared)["about"])
    other = "c16x1-c24x1-c32x1"
    write("b.npz", other, about=with_about(evaluation(other), recipe={"parent": None})["about"])
    runs = [
        TrainingRun(
            "uniform-9", 0, branch, {"recipe": {"epochs": 9}}, {"seconds": [1.0], "processor": "GPU"}
        ),
        run_of(evaluation(CODE), recipe=shared, processor="CPU"),
    ]
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    hybrid.pack(path.parent, tmp_path / "hybrid.h5", runs=runs, log=quiet)
    trained = nbi.load("hybrid").training(CODE)
    assert (trained.processor, trained.parent_processor) == ("CPU", "GPU")
    assert trained.evaluation_processor == "an evaluator"
    alone = nbi.load("hybrid").training(other)
    assert (alone.processor, alone.parent_processor) == ("", "")


def test_long_training_is_kept_beside_the_table(write, tmp_path, bench, monkeypatch):
    """In the audit list's order; a seed that a network lacks is NaN, and nothing else is."""
    listed = audit_list()
    runs = [
        TrainingRun("reference", seed, code, {"recipe": {}}, {"seconds": [1.0], "test_accuracy": accuracy})
        for code, seed, accuracy in ((listed[3], 0, 70.5), (listed[1], 0, 60.0), (listed[1], 1, 61.0))
    ]
    runs.append(TrainingRun("alone-3", 0, listed[5], {"recipe": {}}, {"test_accuracy": 5.0}))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    path = write("a.npz")
    hybrid.pack(path.parent, tmp_path / "hybrid.h5", runs=iter(runs), log=quiet)
    frame = nbi.load("hybrid").reference
    assert frame.index.tolist() == [listed[1], listed[3]]
    assert frame.columns.tolist() == [0, 1]
    np.testing.assert_array_equal(frame.to_numpy(), [[60.0, 61.0], [70.5, np.nan]])
    hybrid.pack(path.parent, tmp_path / "hybrid.h5", log=quiet)
    assert nbi.load("hybrid").reference.empty
    assert bench.reference.empty


# ---- what is in the file ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(pilot, tmp_path_factory):
    return hybrid.pack(pilot, tmp_path_factory.mktemp("table") / "hybrid.h5", log=quiet)


def test_values_are_complete_where_the_mask_says_so_and_nowhere_else(packed):
    with h5py.File(packed) as file:
        valid = file["training/valid"][:].astype(bool)
        assert valid.sum(axis=1).tolist() == [7, 2, 2]
        checked = 0
        for path in (
            "score/accuracy",
            "search/accuracy",
            "score/accuracy_digital",
            "search/accuracy_digital",
            "training/learning_curve",
            "training/seconds",
            "training/evaluation_seconds",
            "training/anchor_seconds",
        ):
            values = file[path][:]
            assert values.dtype == np.float32
            assert np.isfinite(values[valid]).all()
            assert np.isnan(values[~valid]).all()
            checked += 1
        assert checked == 8
        assert (file["training/weights_sha256"][:] == b"").tolist() == (~valid).tolist()


def test_every_dataset_but_the_keys_says_what_it_is(packed):
    def check(name, item):
        if not isinstance(item, h5py.Dataset):
            return
        assert item.attrs["description"]
        assert item.fletcher32
        if name.split("/")[0] in ("score", "search", "cost"):
            assert item.attrs["unit"]
            assert item.attrs["direction"] in ("minimise", "maximise", "none")
            assert len(item.attrs["axes"].split()) == item.ndim

    with h5py.File(packed) as file:
        file.visititems(check)
        assert file.attrs["version"] == f"{hybrid.VERSION}-pilot"
        sources = json.loads(file.attrs["sources"])
        assert sources["evaluation: protocol"] == "short"
        assert sources["evaluation: pixels"] == "folder"
        assert sources["evaluation: torch"] == "2.0"


def test_costs_are_those_of_each_compression(packed):
    space = Hybrid()
    with h5py.File(packed) as file:
        codes = [code.decode() for code in file["architectures"][:]]
        assert codes == [code for code in space.architectures if code in codes]
        for index, (bits, sparsity) in enumerate(((8, 0.0), (4, 0.0), (8, 0.5), (4, 0.5))):
            expected = network_costs([space.network(codes[3], sparsity)], grid(), bits)
            for name in ("energy", "area_array", "arrays"):
                np.testing.assert_array_equal(
                    file[f"cost/{name}"][index, 3], expected[name][0].astype(np.float32)
                )
            assert file["cost/macs"][index, 3] == np.float32(expected["macs"][0, 0])
        assert (file["cost/weight_memory"][1] < file["cost/weight_memory"][0]).all()
        assert (file["cost/energy"][3] < file["cost/energy"][0]).mean() > 0.99


def test_times_of_a_chip_are_those_of_its_class_else_of_its_family():
    configs = grid()
    by_id = {config.id: config for config in configs}
    pcm, sram = by_id["pcm-r128-adc6-mux4"], by_id["sram-analog-r64-adc6-mux4"]
    declared = Grid(
        ((8, 0.0),),
        (0, 0, 0),
        (pcm.accuracy_class, pcm.accuracy_class, sram.accuracy_class),
        ("1d", "1h", ""),
        8,
        1,
    )
    assert hybrid.times(pcm, configs, declared) == ["1h", "1d"]
    assert hybrid.times(by_id["pcm-r512-adc8-mux4"], configs, declared) == ["1h", "1d"]
    assert hybrid.times(sram, configs, declared) == list(TIMES)
    assert hybrid.times(by_id["rram-analog-r64-adc5-mux4"], configs, declared) == ["1d"]
