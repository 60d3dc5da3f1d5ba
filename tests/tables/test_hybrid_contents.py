"""What the shipped hybrid table holds: every declared cell, described, plausible, of one piece."""

import h5py
import numpy as np
import pytest
from scipy.stats import kendalltau

import nasbench_imc as nbi
from nasbench_imc import Design
from nasbench_imc.building.audit import audit_list, networks
from nasbench_imc.hardware import grid
from nasbench_imc.hardware.metrics import PRIMARY
from nasbench_imc.spaces import Hybrid
from nasbench_imc.tables import files, layout

CONFIGS = [config for config in grid() if config.accuracy_class != "pcm-aihwkit-t512"]
CLASSES = {config.accuracy_class for config in CONFIGS}
REFERENCES = {config.accuracy_class for config in CONFIGS if config.reference}
COMPRESSIONS = ((8, 0.0), (4, 0.0), (8, 0.5), (4, 0.5))


@pytest.fixture(scope="module")
def hybrid():
    return nbi.load("hybrid")


@pytest.fixture(scope="module")
def datasets():
    """Path -> (values, attributes) of every dataset in the file."""
    found = {}
    with h5py.File(files.find("hybrid").path) as file:
        file.visititems(
            lambda path, item: (
                found.update({path: (item[()], dict(item.attrs))}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def chip(accuracy_class):
    return next(config.id for config in CONFIGS if config.accuracy_class == accuracy_class)


# ---- complete -----------------------------------------------------------------------------------------


def test_it_is_the_release_and_small(hybrid):
    release = files.releases()["hybrid"]
    assert hybrid.official
    assert (hybrid.version, hybrid.sha256) == (release.version, release.sha256)
    assert release.bytes < 60e6
    assert set(layout.ROOT_ATTRIBUTES) <= set(hybrid.attributes)
    assert "JPEG" in hybrid.attributes["sources"]["data"]


def test_every_network_of_the_space_is_there(hybrid):
    assert hybrid.architectures == Hybrid().architectures
    assert len(hybrid.architectures) == hybrid.distinct_networks == 1_728


def test_no_value_is_missing(datasets):
    trained = datasets["training/valid"][0].astype(bool)
    assert trained[0].all()
    for path, (values, attributes) in datasets.items():
        if values.dtype.kind != "f" or path == "reference/accuracy":
            continue
        if attributes.get("axes", "").startswith("training_seed architecture"):
            assert np.isnan(values[~trained]).all(), path
            values = values[trained]
        assert np.isfinite(values).all(), path


def test_every_label_of_every_declared_cell(datasets, hybrid):
    """All classes at 8 bits and sparsity 0; the reference chips' also at the other three; PCM also later."""
    cells = set(
        zip(
            datasets["cell/compression"][0].tolist(),
            datasets["accuracy_classes"][0][datasets["cell/accuracy_class"][0]].astype(str).tolist(),
            datasets["cell/time"][0].astype(str).tolist(),
            strict=True,
        )
    )
    plain = {name for compression, name, _ in cells if compression == 0}
    assert plain == CLASSES
    for compression in (1, 2, 3):
        assert {name for each, name, _ in cells if each == compression} == REFERENCES
    later = {(name, time) for compression, name, time in cells if compression == 0 and time in ("1h", "30d")}
    assert later == {(n, time) for n in REFERENCES if n.startswith("pcm") for time in ("1h", "30d")}
    seeds = len(hybrid.training_seeds)
    for kind in ("score", "search"):
        assert datasets[f"{kind}/accuracy"][0].shape == (seeds, 1_728, len(cells), 8)


@pytest.mark.parametrize("labels", ["score", "search"])
def test_what_is_declared_is_served(hybrid, labels):
    served = hybrid.array("accuracy", hardware=[chip(name) for name in sorted(CLASSES)], labels=labels)
    assert np.isfinite(served).all()
    for bits, sparsity in COMPRESSIONS:
        names = [chip(name) for name in sorted(REFERENCES)]
        found = hybrid.array("accuracy", hardware=names, labels=labels, weight_bits=bits, sparsity=sparsity)
        assert np.isfinite(found).all()
    for at in ("1h", "30d"):
        names = [chip(name) for name in sorted(REFERENCES) if name.startswith("pcm")]
        assert np.isfinite(hybrid.array("accuracy", hardware=names, at=at, labels=labels)).all()


def test_long_training_of_the_audit_list(hybrid):
    assert sorted(hybrid.reference.index) == sorted(audit_list())
    assert hybrid.reference.notna().any(axis=1).all()


def test_a_begun_training_seed_is_whole(hybrid):
    for seed in hybrid.training_seeds[1:]:
        assert sorted(hybrid.trained(seed)) == sorted(networks("repeated"))


def test_every_dataset_is_described_and_checked(datasets):
    assert all(attributes["description"] for _, attributes in datasets.values())
    with h5py.File(files.find("hybrid").path) as file:
        assert all(file[path].fletcher32 for path in datasets)


# ---- plausible ----------------------------------------------------------------------------------------


def test_networks_learnt_something_and_hardware_costs_accuracy(hybrid):
    digital = hybrid.array("accuracy_digital")
    assert 60 < digital.min() < np.median(digital) < digital.max() < 90
    exact = hybrid.array("accuracy", hardware="sram-digital-r128")
    assert abs(float((exact - digital).mean())) < 0.2  # 8 bits, nothing else
    for name in sorted(CLASSES - {"sram-digital-int8"}):
        assert hybrid.array("accuracy", hardware=chip(name)).mean() < exact.mean() + 0.1, name


def test_more_bits_of_an_adc_and_less_time_never_cost_accuracy_on_average(hybrid):
    def mean(config, at="1d"):
        return float(hybrid.array("accuracy", hardware=config, at=at).mean())

    for family in ("sram-analog", "rram-analog", "pcm"):
        for rows in (64, 128, 256):
            ladder = [mean(f"{family}-r{rows}-adc{bits}-mux4") for bits in (5, 6, 8)]
            assert ladder == sorted(ladder), (family, rows)
    aged = [mean("pcm-r256-adc8-mux4", at) for at in ("30d", "1d", "1h")]
    assert aged == sorted(aged)


def test_search_and_score_labels_agree_but_are_not_the_same(hybrid):
    for name in sorted(REFERENCES):
        score = hybrid.array("accuracy", hardware=chip(name))
        search = hybrid.array("accuracy", hardware=chip(name), labels="search")
        assert (score != search).mean() > 0.9
        assert kendalltau(score, search).statistic > 0.6, name


def test_smaller_networks_cost_less(hybrid):
    energy = hybrid.array("energy", hardware="pcm-r256-adc8-mux4")
    macs = hybrid.array("macs", hardware="pcm-r256-adc8-mux4")
    assert kendalltau(energy, macs).statistic > 0.3
    for name in PRIMARY:
        for bits, sparsity in COMPRESSIONS:
            values = hybrid.array(name, weight_bits=bits, sparsity=sparsity)
            assert values.min() >= 0, name
    halved = hybrid.array("weight_memory", weight_bits=4) / hybrid.array("weight_memory")
    assert (halved < 0.7).all()


def test_training_and_proxies_have_seconds(hybrid):
    code = "c32x1-m40x2-a56x1"
    run = hybrid.training(code)
    assert run.supernet_seconds > 10_000
    assert (run.seconds > 0).all()
    assert run.learning_curve[-1] > 60
    proxies = [f"proxy_{name}" for name in ("grad_norm", "snip", "synflow", "jacob_cov", "naswot")]
    assert set(hybrid.metrics) >= set(proxies)
    values = hybrid.array(proxies)
    assert (values.reshape(-1, 5).std(axis=0) > 0).all()


def test_draws_average_to_the_label(hybrid):
    design = Design("c32x1-m40x2-a56x1", "pcm-r256-adc8-mux4", 4, 0.5)
    whole = hybrid.query(design, labels="search")["accuracy"]
    assert hybrid.query(design, labels="search", draws=8)["accuracy"] == pytest.approx(whole, abs=1e-4)
    assert hybrid.query(design, labels="search", draws=1)["accuracy"] != whole
