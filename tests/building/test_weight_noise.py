"""The page on weight noise, from made-up evaluations whose gain is known."""

import json

import numpy as np
import pandas as pd
import pytest

from nasbench_imc.building.weight_noise import FLOATING, gain, write_page
from nasbench_imc.errors import BenchmarkError

CODES = ("c16x1-m24x2-a32x1", "a16x1-a24x1-a32x1")


@pytest.fixture
def folders(tmp_path, evaluation):
    """With noise every label is 3 points higher on PCM, and the floating-point accuracy 1 point lower."""

    def leave(folder, code, protocol, on_pcm, floating):
        members = evaluation(code)
        about = json.loads(str(members["about"])) | {"protocol": protocol}
        pcm = np.char.startswith(members["cell_class"].astype(str), "pcm")
        score = np.where(pcm[:, None], 50.0 + on_pcm, 60.0) * np.ones(8)
        flat = {f"{kind}_subset": np.full_like(members[f"{kind}_subset"], 70) for kind in ("score", "search")}
        flat |= {f"{kind}_full": np.full_like(members[f"{kind}_full"], 70) for kind in ("score", "search")}
        members |= flat | {"about": np.array(json.dumps(about)), "score_accuracy": score}
        members["accuracy_digital"] = np.array([floating, 70.0])
        folder.mkdir(exist_ok=True)
        np.savez_compressed(folder / f"{code}.npz", **members)

    for code in CODES:
        leave(tmp_path / "noisy", code, "long", 3, 74.0)
        leave(tmp_path / "clean", code, "long-clean", 0, 75.0)
    leave(tmp_path / "clean", "c32x1-c24x1-c32x1", "long-clean", 0, 75.0)  # has no partner
    return tmp_path / "noisy", tmp_path / "clean"


def test_gains_are_found_for_each_family_and_time(folders, tmp_path):
    found = gain(*folders)
    assert found.recipes == ("long", "long-clean")
    assert set(found.frame.arch) == set(CODES)
    gains = (found.frame.with_noise - found.frame.without_noise).groupby(found.frame.family).unique()
    assert {name: values.tolist() for name, values in gains.items() if name in ("pcm", FLOATING)} == {
        "pcm": [3.0],
        FLOATING: [-1.0],
    }
    assert all(values.tolist() == [0.0] for name, values in gains.items() if name not in ("pcm", FLOATING))
    page = next(path for path in write_page(found, tmp_path / "out") if path.suffix == ".md").read_text()
    assert "2 networks trained by `long`" in page
    assert "| pcm | 30d |" in page
    assert "| +3.00 | +3.00 to +3.00 |" in page
    assert "(+3.00 points), least by floating point (-1.00)" in page
    written = pd.read_csv(tmp_path / "out" / "weight_noise.csv", keep_default_na=False)
    assert len(written) == len(found.frame)


def test_folders_without_a_network_in_common_are_refused(folders):
    noisy, clean = folders
    for code in CODES:
        (clean / f"{code}.npz").unlink()
    with pytest.raises(BenchmarkError, match=r"noisy and .*clean have no network in common"):
        gain(noisy, clean)
