"""Shards: whole blocks only, equal bytes, damage named, and networks that come back."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building import archive, shards  # noqa: E402
from nasbench_imc.building.codes import encode  # noqa: E402
from nasbench_imc.building.networks import HybridNetwork  # noqa: E402
from nasbench_imc.errors import BenchmarkError  # noqa: E402

CODES = ("c16x1-c24x1-c32x1", "a16x1-m24x1-a32x1", "m16x1-a24x1-c32x1")


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    for seed, code in enumerate(CODES):
        network = HybridNetwork(code, torch.Generator().manual_seed(seed))
        archive.write(folder / f"{code}.npz", encode(network), measured={"seconds": np.ones(2)})
    return folder


def members(path):
    return {name.removesuffix(".npz") for name, _ in shards.read_shard(path)}


def test_whole_blocks_are_written_once_and_the_rest_in_one_file(results, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BLOCK", 2)
    out = tmp_path / "weights"
    (results / f"{CODES[0]}.npz").rename(tmp_path / "last")
    second, part = shards.keep(results, out, "r", 0, "all", CODES)
    assert (second.name, part.name) == ("r-seed0-all-1.zip", "r-seed0-all-part.zip")
    assert members(second) == {CODES[2]}
    assert members(part) == {CODES[1]}
    before = {path: path.stat().st_mtime_ns for path in (second, part)}
    assert shards.keep(results, out, "r", 0, "all", CODES) == []
    assert {path: path.stat().st_mtime_ns for path in (second, part)} == before
    # What was kept counts, though its result is gone.
    (results / f"{CODES[1]}.npz").unlink()
    assert shards.keep(results, out, "r", 0, "all", CODES) == []
    (tmp_path / "last").rename(results / f"{CODES[0]}.npz")
    (first,) = shards.keep(results, out, "r", 0, "all", CODES)
    assert members(first) == {CODES[0], CODES[1]}
    assert sorted(path.name for path in out.iterdir()) == [first.name, second.name]


def test_a_damaged_rest_is_named_and_not_replaced(results, tmp_path):
    part = tmp_path / "r-seed0-all-part.zip"
    part.write_bytes(b"cut")
    (results / f"{CODES[0]}.npz").unlink()
    with pytest.raises(BenchmarkError, match=r"part\.zip is missing or a damaged shard"):
        shards.keep(results, tmp_path, "r", 0, "all", CODES)
    assert part.read_bytes() == b"cut"


def test_results_come_back_from_shards_and_what_is_there_stays(results, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BLOCK", 2)
    there = {path.name: path.read_bytes() for path in results.iterdir()}
    shards.keep(results, tmp_path / "kept", "r", 0, "all", (*CODES, "c32x1-c24x1-c32x1"))
    assert {path.stem for path in (tmp_path / "kept").iterdir()} >= {"r-seed0-all-part"}
    again = tmp_path / "again"
    again.mkdir()
    (again / f"{CODES[0]}.npz").write_bytes(b"mine")
    assert shards.restore(tmp_path / "kept", again, "r", 0) == 2
    assert {path.name: path.read_bytes() for path in again.iterdir()} == there | {f"{CODES[0]}.npz": b"mine"}
    assert shards.restore(tmp_path / "kept", tmp_path / "none", "r", 1) == 0


def test_networks_of_one_branch_go_into_one_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BLOCK", 2)
    apart = ("c16x1-c24x1-c32x1", "c16x1-m24x1-c32x1", "a16x1-c24x1-c32x1", "a16x1-m24x1-c32x1")
    for code in apart:
        archive.write(tmp_path / "in" / f"{code}.npz", {"a": np.zeros(1)})
    made = shards.keep(tmp_path / "in", tmp_path / "out", "r", 0, "all", apart)
    held = [{name.split("-", 1)[1] for name, _ in shards.read_shard(path)} for path in made]
    assert held == [{"c24x1-c32x1.npz"}, {"m24x1-c32x1.npz"}]


def test_equal_files_give_equal_bytes(results, tmp_path):
    (a,) = shards.keep(results, tmp_path / "a", "r", 0, "all", CODES)
    (b,) = shards.keep(results, tmp_path / "b", "r", 0, "all", CODES)
    assert a.read_bytes() == b.read_bytes()


def test_a_network_comes_back_from_its_shard(results, tmp_path):
    shards.keep(results, tmp_path, "r", 0, "all", CODES)
    network, codes = shards.load_network(tmp_path, CODES[1], "r")
    with np.load(results / f"{CODES[1]}.npz") as held:
        flat = torch.cat([layer.codes.flatten() for layer in codes.values()])
        np.testing.assert_array_equal(flat.numpy(), held["codes"])
    assert not network.training
    for name, layer in codes.items():
        assert torch.equal(network.get_submodule(name).weight, layer.weight)


def test_what_is_not_there_is_named(results, tmp_path):
    shards.keep(results, tmp_path, "r", 0, "all", CODES)
    with pytest.raises(BenchmarkError, match=r"none of the 1 shards .*r-seed0.* holds c16x2"):
        shards.load_network(tmp_path, "c16x2-c24x1-c32x1", "r")
    with pytest.raises(BenchmarkError, match="none of the 0 shards"):
        shards.load_network(tmp_path, CODES[0], "r", seed=1)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_cut_shard_is_named(results, tmp_path, keep):
    (path,) = shards.keep(results, tmp_path, "r", 0, "all", CODES)
    packed = path.read_bytes()
    path.write_bytes(packed[: int(keep * len(packed))])
    with pytest.raises(BenchmarkError, match=r"r-seed0-all-0\.zip is missing or a damaged shard"):
        list(shards.read_shard(path))


def test_a_flipped_bit_is_found(results, tmp_path):
    (path,) = shards.keep(results, tmp_path, "r", 0, "all", CODES)
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 1
    path.write_bytes(bytes(packed))
    with pytest.raises(BenchmarkError, match="damaged shard"):
        list(shards.read_shard(path))
