"""The facts page on a made-up table: what was planted is what the figures and sentences say."""

import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import nasbench_imc as nbi
from nasbench_imc import cli
from nasbench_imc.building import hybrid
from nasbench_imc.building.facts import (
    DIGITAL,
    TAKEN,
    _seed_noise,
    _trainings,
    best_of,
    facts,
    fidelity,
    largest,
    matched_differences,
    pure_family,
    rank_correlation,
    resolved,
    root_mean_variance,
    seed_pairs,
)
from nasbench_imc.building.facts_figures import FIGURES
from nasbench_imc.building.facts_page import readme, sentences, write_page
from nasbench_imc.errors import UnavailableError
from nasbench_imc.spaces import Hybrid
from nasbench_imc.tables import files

# Transformers are few: all of every second one, and a part of the rest.
CODES = sorted(
    {*[code for code in Hybrid().architectures if pure_family(code) == "transformer"][::2]}
    | {*Hybrid().architectures[::14]}
)
SEEDED = CODES[::3]  # trained with three seeds
GAIN = {"CNN": 0.0, "mixed": 1.0, "transformer": 3.0}  # digital [points]
LOSS = {"CNN": 2.0, "mixed": 4.0, "transformer": 8.0}  # on PCM and RRAM pairs [points]
SEED_SD, DRAW_SD, SPREAD = 0.5, 1.0, 3.0
CURVE_SD = (6.0, 3.0, 0.0)  # noise of each entry of the learning curve
PCM, SRAM = "pcm-r256-adc8-mux4", "sram-digital-r128"
REVERSED = "rram-sliced-r16-adc5"  # ranks the other way round
COMPRESSED = np.array([0.0, 1.0, 12.0, 14.0])  # lost by compression [points]


def planted(evaluation, code, seed):
    """An evaluation's members with the structure above."""
    members, rng = evaluation(code, seed), np.random.default_rng([7, seed, *code.encode()])
    quality = np.random.default_rng([1, *code.encode()]).normal(0, SPREAD)
    digital = 65 + GAIN[pure_family(code)] + quality + (rng.normal(0, SEED_SD) if seed else 0)
    classes = members["cell_class"].astype(str)
    compression = members["cell_compression"]
    pairs = np.char.startswith(classes, "pcm") | np.char.startswith(classes, "rram-analog")
    label = digital - COMPRESSED[compression] - np.where(pairs, LOSS[pure_family(code)], 0.2)
    label = np.where(classes == REVERSED, 120 - digital, label)
    noisy = (classes != "sram-digital-int8") & (classes != REVERSED)
    for kind in ("score", "search"):
        full = digital - 0.2 - COMPRESSED
        noise = rng.normal(0, DRAW_SD, (len(classes), 8)) * noisy[:, None]
        members |= {
            f"{kind}_full": full.astype(np.float32),
            f"{kind}_subset": np.repeat(full[:, None], 8, axis=1).astype(np.float32),
            f"{kind}_accuracy": (label[:, None] + noise).astype(np.float32),
        }
    curve = digital - np.array([20, 10, 0]) + rng.normal(0, 1, 3) * CURVE_SD
    return members | {
        "accuracy_digital": np.array([digital, curve[-1]], dtype=np.float32),
        "learning_curve": curve.astype(np.float32),
        "measured/training_seconds": np.array([1.0, 10.0, 10.0]),
        "measured/evaluation_seconds": np.array(74.0 * 8),  # one second a cell and draw
    }


def packed(folder, evaluation, codes, seeds):
    """A table of networks; ``seeds`` gives those of each code."""
    (folder / "evaluated").mkdir()
    for row, code in enumerate(codes):
        for seed in seeds(code):
            np.savez(folder / "evaluated" / f"{row}-{seed}.npz", **planted(evaluation, code, seed))
    hybrid.pack(folder / "evaluated", folder / "hybrid.h5", log=lambda message: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(files.DATA_VARIABLE, str(folder))
        return nbi.load("hybrid")


@pytest.fixture(scope="module")
def bench(tmp_path_factory, evaluation):
    folder = tmp_path_factory.mktemp("planted")
    return packed(folder, evaluation, CODES, lambda code: (0, 1, 2) if code in SEEDED else (0,))


@pytest.fixture(scope="module")
def found(bench):
    return facts(bench)


def only(frame, **values):
    """The one row in which columns have these values."""
    for name, value in values.items():
        frame = frame[frame[name] == value]
    (row,) = frame.to_dict("records")
    return row


# ---- the answers --------------------------------------------------------------------------------------


def test_families_are_pure_ones():
    codes = Hybrid().architectures
    counts = pd.Series([pure_family(code) for code in codes]).value_counts()
    assert counts.to_dict() == {"CNN": 512, "mixed": 1_152, "transformer": 64}
    assert pure_family("c32x1-m40x2-a56x1") == "mixed"


def test_distribution_is_that_of_the_planted_families(found):
    for family, gain in GAIN.items():
        row = only(found.distribution, chip=DIGITAL, group=family)
        assert row["mean"] == pytest.approx(65 + gain, abs=4 * SPREAD / math.sqrt(row["networks"]))
        on_pcm = only(found.distribution, chip=PCM, group=family)
        assert on_pcm["mean"] == pytest.approx(row["mean"] - LOSS[family], abs=0.3)
        members = found.networks.loc[found.networks["family"] == family, DIGITAL]
        assert (row["q50"], row["max"]) == pytest.approx((members.median(), members.max()))
        assert members[row["best"]] == members.max()
    groups = found.distribution[found.distribution["chip"] == DIGITAL].set_index("group")["networks"]
    assert groups["all"] == len(CODES) == groups[["CNN", "mixed", "transformer"]].sum()
    assert groups["all"] == groups[["mostly c", "mostly m", "mostly a", "tie"]].sum()


def test_correlation_knows_the_class_without_noise_and_the_reversed_one(found):
    seen = [f"{name}_{what}" for what in ("digital", "labels") for name in ("tau", "shared")]
    same = only(found.correlation, accuracy_class="sram-digital-int8")
    assert [same[k] for k in ("tau", "rho", "tau_digital_top", *seen)] == pytest.approx([1.0] * 7)
    assert same["regret"] == 0
    assert same["networks_top"] == math.ceil(0.1 * len(CODES))
    other = only(found.correlation, accuracy_class=REVERSED)
    assert [other[k] for k in ("tau", "rho", "tau_digital", "tau_digital_top")] == pytest.approx([-1.0] * 4)
    assert (other["shared_digital"], other["shared_labels"]) == (0, 1)
    digital = np.sort(found.networks[DIGITAL])
    assert other["regret"] == pytest.approx(digital[-10:].mean() - digital[:10].mean(), abs=1e-4)
    pcm = found.correlation[found.correlation["accuracy_class"] == "pcm-r256-adc8"]
    assert sorted(pcm["at"]) == ["1d", "1h", "30d"]
    assert (pcm["tau"] < 0.95).all()
    assert len(found.correlation["accuracy_class"].unique()) == 32


def test_a_compression_that_loses_twelve_points_adds_nothing_and_four_bits_add_what_is_left(found):
    for chip in found.chips:
        rows = found.compression[(found.compression["chip"] == chip)]
        energy = rows[rows["cost"] == "energy"].set_index(["weight_bits", "sparsity"])
        assert energy.loc[(4, 0.0), "accuracy_change"] == pytest.approx(-1, abs=0.2)
        assert energy.loc[(8, 0.5), "accuracy_change"] == pytest.approx(-12, abs=0.3)
        assert energy.loc[(8, 0.0), "cost_factor"] == 1
        assert energy.loc[(8, 0.5), "cost_factor"] < 1
        # Chosen by labels with noise, a part may do better than the whole, though hardly.
        assert ((rows["share"] >= 0) & (rows["share"] < 1.1)).all()
        assert (rows["adds"] <= rows["share"] + 0.1).all()
        assert energy["joint_points"].sum() == energy["all_joint_points"].iloc[0]


def test_hypervolume_shares_are_areas_under_steps(bench, found):
    """Score labels of the front that search labels show; costs on a log scale."""
    front = found.fronts[(found.fronts["chip"] == PCM) & (found.fronts["cost"] == "energy")]
    joint = front[front["joint"]]
    best, worst = joint["accuracy"].max(), joint["accuracy"].min()
    low, high = np.log(joint["value"].min()), np.log(joint["value"].max())

    def area(kinds):
        rows = []
        for bits, sparsity in kinds:
            own = {"weight_bits": bits, "sparsity": sparsity}
            score = bench.table(["accuracy", "energy"], PCM, **own).astype(float)
            seen = bench.table("accuracy", PCM, labels="search", **own).astype(float)["accuracy"]
            rows += zip(score["energy"], seen, score["accuracy"], strict=True)
        least = max(seen for _, seen, _ in rows) - 10
        chosen = [
            row
            for row in rows
            if row[1] >= least
            and not any(a <= row[0] and b >= row[1] and (a, b) != row[:2] for a, b, _ in rows)
        ]
        steps = [((np.log(a) - low) / (high - low), (best - c) / (best - worst)) for a, _, c in chosen]
        total, floor = 0.0, 1.1
        for place, loss in sorted(steps):
            if place < 1.1 and loss < floor:
                total += (1.1 - place) * (floor - loss)
                floor = loss
        return total

    for kind in bench.compressions:
        row = only(found.compression, chip=PCM, cost="energy", weight_bits=kind[0], sparsity=kind[1])
        others = [other for other in bench.compressions if other != kind]
        assert row["share"] == pytest.approx(area([kind]) / area(bench.compressions), rel=1e-6)
        assert row["adds"] == pytest.approx(1 - area(others) / area(bench.compressions), abs=1e-6)


def test_transformers_win_digitally_and_lose_on_pairs_at_equal_energy(found):
    beside = {"group": "transformer", "beside": "CNN"}
    pcm = only(found.transformers, accuracy_class="pcm-r256-adc8", at="1d", **beside)
    assert pcm["loss"] == pytest.approx(8, abs=0.3)
    assert pcm["matched"] >= 8
    assert pcm["digital_difference_low"] <= pcm["digital_difference"] <= pcm["digital_difference_high"]
    # The noise of the matched CNNs' own quality remains.
    assert pcm["digital_difference"] == pytest.approx(3, abs=2)
    assert pcm["difference"] - pcm["digital_difference"] == pytest.approx(-6, abs=0.3)
    sram = only(found.transformers, accuracy_class="sram-digital-int8", **beside)
    assert sram["loss"] == pytest.approx(0.2, abs=1e-4)
    assert sram["difference"] == pytest.approx(sram["digital_difference"], abs=1e-4)
    cnn = only(found.transformers, accuracy_class="pcm-r256-adc8", at="1d", group="CNN")
    assert math.isnan(cnn["difference"])  # nothing is held beside itself
    pure = found.networks.index.str.fullmatch(r"c\d+x\d-c\d+x\d-c\d+x\d")
    row = only(found.transformers, accuracy_class="pcm-r256-adc8", at="1d", group="only c")
    assert row["networks"] == pure.sum() > 0
    assert row["loss"] == pytest.approx((found.networks[DIGITAL] - found.networks[PCM])[pure].mean())
    alone = only(
        found.transformers, accuracy_class="pcm-r256-adc8", at="1d", group="transformer", beside="only c"
    )
    assert alone["loss"] == pcm["loss"]
    assert 0 < alone["matched"] < pcm["matched"]


def labels_of(bench, seed):
    """Digital accuracy, on test images, of the networks that have all seeds."""
    return bench.array("accuracy_digital", sorted(SEEDED), training_seed=seed).astype(float)


def test_noise_is_what_was_planted(bench, found):
    pcm, sram, digital = (only(found.noise, chip=chip) for chip in (PCM, SRAM, DIGITAL))
    assert pcm["draw_sd"] == pytest.approx(DRAW_SD, rel=0.1)
    assert pcm["draw_error"] == pytest.approx(pcm["draw_sd"] / math.sqrt(8))
    assert sram["draw_sd"] == pytest.approx(0, abs=1e-3)
    assert math.isnan(digital["draw_sd"])
    # Seed 0 has no noise of its own here: two of three deviate.
    assert digital["seed_sd"] == pytest.approx(SEED_SD * math.sqrt(2 / 3), rel=0.25)
    assert digital["seed_networks"] == len(SEEDED)
    ranks = [
        rank_correlation(*(labels_of(bench, seed) for seed in pair))[0] for pair in ((0, 1), (0, 2), (1, 2))
    ]
    assert digital["seed_tau"] == pytest.approx(np.mean(ranks))
    assert pcm["seed_tau"] < 1
    assert pcm["seed_sd"] > digital["seed_sd"]  # draws differ between trainings
    seen = bench.table("accuracy", PCM, labels="search")["accuracy"].astype(float)
    best = found.networks.loc[seen.nlargest(pcm["best_networks"]).index, PCM]
    assert pcm["best_range"] == pytest.approx(best.max() - best.min(), abs=1e-4)
    assert pcm["best_error"] == pytest.approx(DRAW_SD / math.sqrt(8), rel=0.3)
    assert pcm["best_error"] != pcm["draw_error"]  # of their own draws alone
    assert sram["resolved_draws"] == 1
    assert 0 <= pcm["resolved_draws"] < 1


def test_every_class_has_a_noise_floor(found):
    """Search and score labels are means of eight draws each."""
    assert len(found.floors["accuracy_class"].unique()) == 32
    pcm = only(found.floors, accuracy_class="pcm-r256-adc8", at="1d")
    assert pcm["label_sd"] == pytest.approx(DRAW_SD * math.sqrt(2 / 8), rel=0.2)
    assert pcm["draw_error"] == pytest.approx(DRAW_SD / math.sqrt(8), rel=0.1)
    assert only(found.floors, accuracy_class="sram-digital-int8")["label_sd"] == pytest.approx(0, abs=1e-3)


def test_labels_bound_what_a_class_can_be_ranked_by(found):
    same = only(found.correlation, accuracy_class="sram-digital-int8")
    assert (same["tau_labels"], same["tau_labels_top"]) == (1, 1)
    assert same["shared_labels"] == 1
    pcm = only(found.correlation, accuracy_class="pcm-r256-adc8", at="1d")
    assert pcm["tau_labels_top"] < pcm["tau_labels"] < 1


def test_a_shift_of_all_networks_is_no_noise():
    low = np.arange(1.0, 11.0)
    swapped = low[[1, 0, *range(2, 10)]]  # 1 of 45 pairs the other way round: tau 1 - 2 / 45
    shifted = np.stack([low, low + 5])
    found = _seed_noise(shifted, shifted)
    assert (found["seed_networks"], found["seed_sd"]) == (10, 0)
    assert found["seed_shift"] == pytest.approx(5 / math.sqrt(2))
    assert found["seed_tau"] == pytest.approx(1)
    assert np.isnan([found["seed_lead"], found["seed_lead_other"]]).all()  # all ten would be chosen
    assert _seed_noise(np.stack([low, swapped + 5]), shifted)["seed_tau"] == pytest.approx(1 - 2 / 45)


def test_a_lead_is_judged_by_the_same_training_and_by_another():
    rising = np.arange(40.0)  # the best ten are 15 above the mean
    score = np.stack([rising, np.roll(rising, 1) + 5])  # the last comes first: 9 of the best ten in common
    search = np.stack([rising, -rising])  # which misleads with the second seed
    found = _seed_noise(score, search)
    (best, best_other), (worst, worst_other) = (
        score[:, ten].mean(axis=1) for ten in (range(30, 40), range(10))
    )
    low, high = score.mean(axis=1)
    assert best - low == 15
    assert found["seed_lead"] == pytest.approx((best - low + worst_other - high) / 2)
    assert found["seed_lead_other"] == pytest.approx((best_other - high + worst - low) / 2)


def test_networks_with_all_seeds_are_taken_in_the_tables_order():
    """Of equal labels the first of the table counts, not of the alphabet; each value stays its network's."""
    codes = tuple(f"n{row:02}" for row in range(29, -1, -1))
    value = {code: float(row) for row, code in enumerate(codes)}
    made_up = SimpleNamespace(
        architectures=codes,
        training_seeds=(0, 1),
        trained=lambda seed: codes if seed == 0 else codes[19::-1],
        array=lambda metric, asked, *, training_seed, labels: np.array(
            [value[code] + training_seed if labels == "score" else 0 for code in asked]
        ),
    )
    score, search = _trainings(made_up, DIGITAL)
    np.testing.assert_array_equal(score, [np.arange(20), np.arange(1, 21)])
    np.testing.assert_array_equal(search, np.zeros((2, 20)))
    only_pair = seed_pairs(made_up, ()).to_dict("records")
    pair = {"seed": 0, "other": 1, "networks": 20, "shift": 1, "sd": 0, "tau": pytest.approx(1), "shared": 10}
    assert only_pair == [{"chip": DIGITAL} | pair]


def test_trainings_of_different_networks_say_nothing():
    made_up = SimpleNamespace(
        architectures=("a", "b"),
        training_seeds=(0, 1),
        trained=lambda seed: ("a", "b")[seed : seed + 1],
        array=lambda metric, asked, **options: np.zeros(len(asked)),
    )
    labels = _trainings(made_up, DIGITAL)
    assert seed_pairs(made_up, ()).empty
    assert _seed_noise(*labels)["seed_networks"] == 0
    assert math.isnan(_seed_noise(*labels)["seed_sd"])


def test_seeds_in_pairs_are_those_of_the_table(bench, found):
    digital = found.seed_pairs[found.seed_pairs["chip"] == DIGITAL]
    assert list(zip(digital["seed"], digital["other"], strict=True)) == [(0, 1), (0, 2), (1, 2)]
    for row in digital.to_dict("records"):
        first, second = (labels_of(bench, row[name]) for name in ("seed", "other"))
        assert row["shift"] == pytest.approx((second - first).mean())
        assert row["sd"] == pytest.approx((second - first).std(ddof=1) / math.sqrt(2))
        assert 0 <= row["shared"] <= TAKEN
    assert digital["tau"].mean() == pytest.approx(only(found.noise, chip=DIGITAL)["seed_tau"])


def test_single_draws_are_those_of_the_file(bench):
    import h5py

    from nasbench_imc.building.facts import _draws

    with h5py.File(bench._path) as file:
        cells = file["cell/accuracy_class"][:], file["cell/time"][:], file["cell/compression"][:]
        name = list(file["accuracy_classes"][:]).index(b"pcm-r256-adc8")
        (cell,) = np.flatnonzero((cells[0] == name) & (cells[1] == b"1d") & (cells[2] == 0))
        held = file["score/accuracy"][0, :, cell, :]
    np.testing.assert_allclose(_draws(bench, PCM), held, atol=1e-3)


def test_fidelities_rank_as_their_noise_allows(found):
    rows = found.fidelity[found.fidelity["chip"] == SRAM].set_index("fidelity")
    assert list(rows.index) == ["curve-0", "curve-1", "curve-2", "draws-1", "draws-2", "draws-4", "draws-8"]
    assert rows["tau"].is_monotonic_increasing
    assert rows.loc["curve-2", "tau"] == pytest.approx(1)
    # Greiner: tau = 2 / pi asin(rho), rho from the planted variances.
    variance = found.networks[DIGITAL].var()
    expected = 2 / math.pi * math.asin(math.sqrt(variance / (variance + CURVE_SD[0] ** 2)))
    assert rows.loc["curve-0", "tau"] == pytest.approx(expected, abs=0.12)
    assert rows["seconds"].tolist() == pytest.approx([1, 11, 21, 22, 23, 25, 29])
    pcm = found.fidelity[found.fidelity["chip"] == PCM].set_index("fidelity")
    draws = pcm["tau"][["draws-1", "draws-2", "draws-4", "draws-8"]]
    assert draws.is_monotonic_increasing


# ---- their parts --------------------------------------------------------------------------------------


def test_parts_by_hand():
    assert best_of(np.array([1.0, 3.0, 3.0, 2.0]), 0.5).tolist() == [1, 2]
    assert best_of(np.arange(7.0), 0.1).tolist() == [6]
    assert largest(np.array([1.0, 3.0, 3.0, 2.0]), 3).tolist() == [1, 2, 3]
    assert np.isnan(rank_correlation(np.arange(7.0), np.arange(7.0))).all()
    assert np.isnan(rank_correlation(np.arange(9.0), np.ones(9))).all()
    assert rank_correlation(np.arange(9.0), -np.arange(9.0)) == pytest.approx((-1, -1))
    values = np.array([[1.0, 3.0, np.nan], [5.0, np.nan, np.nan], [2.0, 2.0, 2.0]])
    assert root_mean_variance(values) == pytest.approx(math.sqrt((2 + 0) / 2))
    assert math.isnan(root_mean_variance(values[1:2]))
    assert resolved(np.array([0.0, 1.0, 10.0]), 1.0) == pytest.approx(2 / 3)  # bound: 2.83
    accuracy, cost = np.array([10.0, 20.0, 30.0, 50.0]), np.log([1.0, 1.05, 1.2, 1.0])
    group, base = np.array([False, False, False, True]), np.array([True, True, True, False])
    assert matched_differences(accuracy, cost, group, base).tolist() == [50 - 15]
    cost[3] = 9.0
    assert np.isnan(matched_differences(accuracy, cost, group, base)).all()


# ---- the page -----------------------------------------------------------------------------------------


def test_sentences_say_what_was_planted(found):
    text = {number: " ".join(lines) for number, lines in sentences(found).items()}
    assert text[1].startswith("Median digital accuracy by family: transformer ")
    assert f"`{REVERSED}` (tau -1.00)" in text[2]
    assert "4 bits and sparsity 0.5 and 8 bits and sparsity 0.5 add under 0.1 %" in text[3]
    assert "lose most on" in text[4]
    assert f"measured on {len(SEEDED)} networks" in text[5]
    shift = only(found.noise, chip=DIGITAL)["seed_shift"]
    assert f"all networks together from seed to seed by {shift:.2f} and " in text[5]
    tau = only(found.noise, chip=DIGITAL)["seed_tau"]
    assert f"ranks them as another does with a tau of {tau:.2f} digitally" in text[5]
    assert f"The {TAKEN} that search labels of one training choose among them lead the mean by " in text[5]
    assert not any("Training seeds" in line for line in found.missing)
    taus = found.fidelity.groupby("fidelity", sort=False)["tau"].mean()
    enough = taus.index[np.flatnonzero(taus >= 0.9 * taus["draws-8"])[0]]
    assert enough not in ("curve-0", "curve-1")  # their noise is planted
    assert f"first reached by `{enough}`" in text[6]
    assert "after 0, 1, 2 epochs of individual training" in text[6]
    assert "super-network" not in text[6]
    assert not [line for line in text.values() if re.search(r"\bnan\b", line)]


def test_the_page_is_written_with_its_figures_tables_and_text_by_hand(found, tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "reading.md").write_text("What a person saw.\n")
    paths = write_page(found, folder)
    text = (folder / "README.md").read_text()
    for path in paths:
        assert path.is_file()
        assert path.name == "README.md" or f"{path.name})" in text or f"`{path.name}`" in text, path.name
    assert sum(path.suffix == ".png" for path in paths) == 8
    assert "What a person saw." in text
    assert f"Networks: {len(CODES)} of 1,728 (" in text
    assert not re.search(r"\bnan\b", text)
    assert readme(found, "What a person saw.") == text  # the same each time
    assert FIGURES["noise"][0](found) == (folder / "noise.png").read_bytes()
    again = pd.read_csv(folder / "noise.csv")
    assert again["draw_sd"].tolist()[1:] == pytest.approx(found.noise["draw_sd"].tolist()[1:], abs=1e-4)


def test_the_command_writes_a_page_of_a_pilot_of_seven_that_says_what_it_lacks(
    pilot, tmp_path, monkeypatch, capsys
):
    hybrid.pack(pilot, tmp_path / "hybrid.h5", log=lambda message: None)
    monkeypatch.setenv(files.DATA_VARIABLE, str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["nasbench-imc", "build", "facts", "--out", str(tmp_path / "page")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    written = {Path(line).name for line in capsys.readouterr().out.split()}
    assert written == {path.name for path in (tmp_path / "page").iterdir()}
    assert {"README.md", "distribution.csv", "distribution.png", "noise.csv"} <= written
    assert not {"correlation.png", "fidelity.png"} & written
    text = (tmp_path / "page" / "README.md").read_text()
    assert "Networks: 7 of 1,728 (" in text
    assert "The top 10% are too few networks for a rank correlation." in text
    assert "Too few networks for a figure." in text
    assert not re.search(r"\bnan\b", text)


def test_a_table_of_one_seed_says_so(tmp_path, evaluation):
    made = facts(packed(tmp_path, evaluation, CODES[::12], lambda code: (0,)))
    assert "Training seeds: 0 only, of 0 to 2, so the noise of training is unknown." in made.missing
    assert made.noise["seed_sd"].isna().all()
    text = readme(made, None)
    assert "the noise of training is unknown" in text
    assert not re.search(r"\bnan\b", text)


def test_time_of_a_shared_super_network_is_told_apart(inheriting, monkeypatch):
    monkeypatch.setenv(files.DATA_VARIABLE, str(inheriting))
    bench = nbi.load("hybrid")
    rows = fidelity(bench, [PCM])
    assert set(rows["supernet_seconds"]) == {500.0}
    own = [bench.training(code).seconds[0] for code in bench.architectures]
    assert rows["seconds"][0] == pytest.approx(np.mean(own))


def test_a_table_of_published_accuracies_has_no_such_facts():
    with pytest.raises(UnavailableError, match="no learning curves"):
        facts(nbi.load("nb201"))
