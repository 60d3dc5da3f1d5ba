"""Reading AnalogNAS-Bench: nothing but its two record classes, and all of its cells."""

import io
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from nasbench_imc import TableError
from nasbench_imc.building import analognas
from nasbench_imc.building.analognas import CODES, KEY_EDGES, RestrictedUnpickler, code_of, columns
from nasbench_imc.spaces import NB201


def load(data: bytes):
    return RestrictedUnpickler(io.BytesIO(data)).load()


class Runs:
    """Pickles to a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def by_name(module_name: str, global_name: str, protocol: int) -> bytes:
    """A pickle of nothing but a global, in the spelling of protocol 0 or 4."""
    if protocol == 0:
        return f"c{module_name}\n{global_name}\n.".encode()
    first, second = (b"\x8c" + bytes([len(name)]) + name.encode() for name in (module_name, global_name))
    return b"\x80\x04" + first + second + b"\x93."


def test_a_call_of_the_shell_is_refused(tmp_path):
    import os

    target = tmp_path / "made"
    data = pickle.dumps(Runs(os.system, f"touch {target}"))
    with pytest.raises(
        pickle.UnpicklingError, match=r"refused to load posix\.system; admitted: analognasbench"
    ):
        load(data)
    assert not target.exists()


@pytest.mark.parametrize("protocol", [0, 4])
@pytest.mark.parametrize(
    ("module_name", "global_name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("copyreg", "_reconstructor"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("analognasbench.data", "AnalogNASBench"),
        ("analognasbench.data", "pickle.loads"),
        ("analognasbench.data", "os"),
        ("analognasbench.data", "Architecture.__init__.__globals__"),
        ("analognasbench.data", "architecture"),
        ("analognasbench", "Architecture"),
        ("analognasbench.data.Architecture", "__class__"),
        ("analog", "Architecture"),
    ],
)
def test_every_other_name_is_refused(module_name, global_name, protocol):
    with pytest.raises(pickle.UnpicklingError, match="refused to load"):
        load(by_name(module_name, global_name, protocol))


def test_a_numpy_array_is_refused():
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        load(pickle.dumps(np.zeros(3)))


def test_persistent_ids_are_refused():
    with pytest.raises(pickle.UnpicklingError):
        load(b"Pname\n.")


@pytest.mark.parametrize("protocol", [0, 4])
def test_the_two_classes_are_bound_to_empty_ones(protocol):
    for name in ("Architecture", "DriftMeasurement"):
        admitted = load(by_name("analognasbench.data", name, protocol))
        assert admitted.__module__ == "nasbench_imc.building.analognas"
        assert not [member for member in vars(admitted) if not member.startswith("__")]


def test_a_key_is_spelt_by_source():
    assert list(KEY_EDGES) == sorted(KEY_EDGES)
    assert CODES[:2] == ("skip_connect", "none")
    code = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
    assert code_of((0, 1, 2, 3, 4, 1)) == code


@pytest.mark.parametrize("key", [(), (0,) * 5, (0,) * 7, (0, 0, 0, 0, 0, 5), (0, 0, 0, 0, 0, -1), ("0",) * 6])
def test_a_wrong_key_is_refused(key):
    with pytest.raises(TableError, match="expected six codes from 0 to 4"):
        code_of(key)


# ---- made-up records ----------------------------------------------------------------------------------


def key_of(row: int) -> tuple[int, ...]:
    return tuple(row // 5**place % 5 for place in range(6))


def record(value: float = 50.0):
    made = analognas._Architecture()
    for column, attribute in analognas.COLUMNS.items():
        held = value
        if "_pcm_" in column and not column.endswith("_t0"):
            held = analognas._DriftMeasurement()
            held.value, held.uncertainty = value, 0.5
        setattr(made, attribute, held)
    return made


@pytest.fixture
def records():
    shared = record()
    return {key_of(row): shared for row in range(15_625)}


def test_columns_are_in_the_order_of_the_space(records):
    records[0, 1, 2, 3, 4, 1] = record(77.0)
    made = columns(records)
    row = NB201().architectures.index(code_of((0, 1, 2, 3, 4, 1)))
    assert len(made) == 13 + 8
    assert list(made)[-2:] == ["accuracy_pcm_hwa_30d", "accuracy_pcm_hwa_30d_spread"]
    for name, values in made.items():
        assert values.shape == (15_625,)
        if not name.endswith("_spread"):
            assert np.flatnonzero(values == 77.0).tolist() == [row], name


def test_missing_cells_are_counted_and_named(records):
    del records[0, 1, 2, 3, 4, 1], records[0, 0, 0, 0, 0, 0]
    with pytest.raises(TableError, match="2 cells are missing") as caught:
        columns(records)
    assert code_of((0, 1, 2, 3, 4, 1)) in str(caught.value)


def test_a_wrong_key_among_the_records_is_refused(records):
    records[0, 0, 0, 0, 0, 5] = record()
    with pytest.raises(TableError, match="not a key"):
        columns(records)


def test_a_missing_attribute_is_named(records):
    lacking = record()
    del lacking.qat_accuracy
    records[key_of(99)] = lacking
    with pytest.raises(TableError, match="qat_accuracy"):
        columns(records)


@pytest.mark.parametrize("wrong", [None, "60.1", 60.1, SimpleNamespace(value=1.0)])
def test_a_drift_without_spread_is_refused(records, wrong):
    lacking = record()
    lacking.analog_drift_60 = wrong
    records[key_of(99)] = lacking
    with pytest.raises(TableError, match="analog_drift_60"):
        columns(records)


@pytest.mark.parametrize("wrong", [None, "high", float("nan"), float("inf"), [1.0]])
def test_what_is_no_finite_number_is_refused(records, wrong):
    records[key_of(99)] = record()
    records[key_of(99)].baseline_accuracy = wrong
    with pytest.raises(TableError, match="accuracy"):
        columns(records)


def test_a_missing_distribution_names_the_extra(monkeypatch):
    monkeypatch.setattr(analognas, "DISTRIBUTION", "analog-nasbench-that-is-not-there")
    with pytest.raises(TableError, match=r'pip install "nasbench-imc\[build\]"'):
        analognas.read()
