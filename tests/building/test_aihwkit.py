"""Crossbars beside AIHWKit on the same weights: converters, PCM and RRAM devices, speed.

Run by ``scripts/compare-aihwkit``, in an environment of its own. The simulators have the same codes, the
same ranges of converters and no wires: AIHWKit's torch tile has no IR drop. If the environment variable
``NASBENCH_IMC_AGREEMENT`` names a folder, the figures are written there.

A layer's gain is the slope of its outputs over the ideal ones, its error what is left of them. AIHWKit maps
what it reads from cells back to weights by the largest noisy weight after programming, M times the largest
target, where it had mapped the targets by their own largest. It is compared as it is, and with one mapping
throughout (``FixedScale``).
"""

import csv
import dataclasses
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the build extra")
pytest.importorskip("aihwkit", reason="AIHWKit is in an environment of its own: scripts/compare-aihwkit")

from importlib import metadata  # noqa: E402

from aihwkit.inference import (  # noqa: E402
    GlobalDriftCompensation,
    PCMLikeNoiseModel,
    ReRamWan2022NoiseModel,
)
from aihwkit.inference.converter.conductance import SinglePairConductanceConverter  # noqa: E402
from aihwkit.nn import AnalogConv2dMapped, AnalogLinearMapped  # noqa: E402
from aihwkit.simulator.configs import TorchInferenceRPUConfig  # noqa: E402
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from nasbench_imc.building.codes import Codes, coded  # noqa: E402
from nasbench_imc.building.crossbar import devices  # noqa: E402
from nasbench_imc.building.crossbar.blocks import block_codes, blocks  # noqa: E402
from nasbench_imc.building.crossbar.chip import Chip  # noqa: E402
from nasbench_imc.building.crossbar.layers import Rounder, apply_layer  # noqa: E402
from nasbench_imc.building.crossbar.ranges import Calibration, output_spans  # noqa: E402
from nasbench_imc.building.jobs import ENVIRONMENT  # noqa: E402
from nasbench_imc.building.networks import Tap  # noqa: E402
from nasbench_imc.files import replacing  # noqa: E402
from nasbench_imc.hardware import grid  # noqa: E402

pytestmark = pytest.mark.slow

ROWS = 128
STEP = 1 / 127  # of inputs and of weights
DRAWS = 64
SEED = 0
CONFIGS = {config.id: config for config in grid()}
SPEED = Path(__file__).parents[1] / "benchmarks" / "crossbar_speed.py"

LAYERS = {
    "linear 128 x 64": lambda: nn.Linear(128, 64, bias=False),
    "linear 384 x 64": lambda: nn.Linear(384, 64, bias=False),  # three row blocks
    "convolution 3 x 3 x 14 x 64": lambda: nn.Conv2d(14, 64, 3, bias=False),  # 126 rows
}
TIMES = {"pcm": (0.0, 3_600.0, 86_400.0, 2_592_000.0), "rram-analog": (1.0, 86_400.0)}


class FixedScale(SinglePairConductanceConverter):
    """Maps a weight of 1 to g_max, whatever the largest weight is."""

    def convert_to_conductances(self, weights):
        ratio = torch.tensor(self.g_max)
        scaled = weights * ratio
        return [scaled.clamp(min=0.0), (-scaled).clamp(min=0.0)], {"scale_ratio": ratio}


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer with whole codes over 127 as weights, inputs, and what both simulators are set to."""

    layer: nn.Linear | nn.Conv2d
    codes: Codes
    inputs: Tensor
    calibration: Calibration
    span: float

    @property
    def ideal(self) -> Tensor:
        return self.layer((self.inputs / STEP).round() * STEP).detach()


def case(name: str) -> Case:
    rng = torch.Generator().manual_seed(SEED)
    layer = LAYERS[name]()
    weight = torch.empty(layer.weight.shape).normal_(generator=rng).clamp_(-2.5, 2.5)
    codes = dataclasses.replace(coded(weight), scale=torch.full((len(weight),), STEP))
    layer.weight.data = codes.weight
    shape = (256, layer.in_features) if isinstance(layer, nn.Linear) else (32, layer.in_channels, 5, 5)
    inputs = (torch.empty(shape).normal_(generator=rng) / 3).clamp_(-1, 1)
    rounder = Rounder(STEP, -127, 127)
    whole = (inputs / STEP).round()
    calibration = Calibration({"0": rounder}, {}, {"1": whole}, {"1": STEP}, {"1": True})
    spans = output_spans("1", layer, codes, calibration, ROWS)
    (key,) = calibration.spans
    calibration.spans[key] = (max(spans),) * len(spans)  # AIHWKit's tiles have one range
    return Case(layer, codes, inputs, calibration, max(spans))


def ours(of: Case, family: str, adc_bits: int = 8) -> Chip:
    config = CONFIGS[f"{family}-r{ROWS}-adc{adc_bits}-mux4"]
    network = nn.Sequential(Tap(), of.layer)
    rng = torch.Generator().manual_seed(SEED + 1)
    return Chip(network, {"1": of.codes}, of.calibration, config, rng, wires=False)


def theirs(of: Case, noise=None, compensation=None, adc_bits: int = 8) -> nn.Module:
    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size, config.mapping.max_output_size = ROWS, 0
    config.mapping.weight_scaling_omega = 0.0  # weights are within -1 to 1 already
    io = config.forward
    io.inp_bound, io.inp_res, io.inp_noise = 1.0, 1 / 254, 0.0
    io.out_bound, io.out_res, io.out_noise = of.span * STEP**2, 1 / (2**adc_bits - 2), 0.0
    io.noise_management, io.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    config.noise_model, config.drift_compensation = noise, compensation
    if isinstance(of.layer, nn.Linear):
        model = AnalogLinearMapped(of.layer.in_features, of.layer.out_features, False, config)
    else:
        layer = of.layer
        model = AnalogConv2dMapped(
            layer.in_channels, layer.out_channels, layer.kernel_size, bias=False, rpu_config=config
        )
    model.set_weights(of.layer.weight.detach().clone(), None)
    return model.eval()


def noise_model(family: str, *, fixed: bool):
    kind, g_max = {
        "pcm": (PCMLikeNoiseModel, devices.PCM_G_MAX),
        "rram-analog": (ReRamWan2022NoiseModel, devices.RRAM_G_MAX),
    }[family]
    converter = FixedScale if fixed else SinglePairConductanceConverter
    # Given a converter alone, the RRAM model scales its noise as it does where g_max is given.
    return kind(g_converter=converter(g_max=g_max), g_max=g_max)


def gain_and_error(outputs: list[Tensor], ideal: Tensor) -> tuple[float, float]:
    """Mean gain, and standard deviation of the error over that of the ideal output, over draws."""
    gains = [(y * ideal).sum() / ideal.square().sum() for y in outputs]
    errors = [(y - gain * ideal).square().mean() for y, gain in zip(outputs, gains, strict=True)]
    return float(torch.stack(gains).mean()), float(torch.stack(errors).mean().sqrt() / ideal.std())


def our_draws(of: Case, family: str, seconds: float) -> tuple[float, float]:
    chip = ours(of, family)
    rng = torch.Generator().manual_seed(SEED + 2)
    outputs = []
    for _ in range(DRAWS):
        chip.program(rng)
        chip.read(seconds, rng)
        outputs.append(chip(of.inputs))
    return gain_and_error(outputs, of.ideal)


@torch.no_grad()
def their_draws(of: Case, family: str, seconds: float, *, fixed: bool) -> tuple[float, float, float]:
    """Gain, error, and the mean of M, the largest weight after programming."""
    compensation = GlobalDriftCompensation() if family == "pcm" else None
    model = theirs(of, noise_model(family, fixed=fixed), compensation)
    outputs, largest = [], []
    with torch.random.fork_rng():
        torch.manual_seed(SEED + 3)
        for _ in range(DRAWS):
            for tile in model.analog_tiles():
                tile.program_weights()
                largest.append(float(tile.programmed_weights.abs().max()))
                tile.drift_weights(seconds)
            outputs.append(model(of.inputs))
    return *gain_and_error(outputs, of.ideal), sum(largest) / len(largest)


@dataclasses.dataclass
class Report:
    """What was measured: rows of the table, time ratios, and outputs that differ by a step of the ADC."""

    rows: list[dict] = dataclasses.field(default_factory=list)
    speed: dict = dataclasses.field(default_factory=dict)
    differing: dict[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    outputs: int = 0

    @property
    def complete(self) -> bool:
        rows = 2 * len(LAYERS) * sum(map(len, TIMES.values()))
        return len(self.rows) == rows and len(self.differing) == len(LAYERS) * 3 and bool(self.speed)


@pytest.fixture(scope="module")
def report():
    """Written at the end, agreement or not, if a folder is named and nothing was left out."""
    measured = Report()
    yield measured
    folder = os.environ.get("NASBENCH_IMC_AGREEMENT")
    if folder and measured.complete:
        Path(folder).mkdir(parents=True, exist_ok=True)
        write(Path(folder), measured)


def on_edge(of: Case, step: float) -> Tensor:
    """Outputs for which a row block's sum, a whole number, lies between two codes to float rounding."""
    found = []
    for block in blocks(of.layer, ROWS):
        whole = of.calibration.inputs["1"]
        taken = whole[..., block.inputs] if isinstance(of.layer, nn.Linear) else whole[:, block.inputs]
        sums = apply_layer(of.layer, taken, block_codes(of.layer, of.codes.codes, block, packed=False))
        found.append(((sums.double() / step).remainder(1.0) - 0.5).abs() < 1e-4)
    return torch.stack(found).any(0)


@pytest.mark.parametrize("adc_bits", [8, 6, 5])
@pytest.mark.parametrize("name", LAYERS)
def test_converters_are_the_same(monkeypatch, report, name, adc_bits):
    monkeypatch.setattr(devices, "read_rram_pairs", lambda weights, seconds, rng: weights)
    of = case(name)
    chip = ours(of, "rram-analog", adc_bits)
    chip.read(1.0, torch.Generator())
    with torch.no_grad():
        other = theirs(of, adc_bits=adc_bits)(of.inputs)
    same = chip(of.inputs)
    step = of.span * STEP**2 / (2 ** (adc_bits - 1) - 1)
    assert step > 1e-3
    assert not torch.equal(same, of.ideal)
    # A sum on the edge between two codes may be rounded either way.
    differ = (same - other).abs() > 1e-3 * step
    report.differing[name, adc_bits] = int(differ.sum())
    report.outputs += differ.numel()
    assert differ.float().mean() < 1e-3
    assert not (differ & ~on_edge(of, of.span / (2 ** (adc_bits - 1) - 1))).any()
    assert float((same - other).abs().max()) < 1.001 * step


@pytest.mark.parametrize("seconds", TIMES["pcm"])
@pytest.mark.parametrize("name", LAYERS)
def test_pcm_agrees(report, name, seconds):
    default, fixed = compared(report, name, "pcm", seconds)
    assert abs(default["error_difference_percent"]) < 5, default
    assert abs(default["gain_difference_percent"]) < 2, default
    assert abs(fixed["error_difference_percent"]) < 1.5, fixed
    assert abs(fixed["gain_difference_percent"]) < 0.6, fixed


@pytest.mark.parametrize("target", [0.0, 0.003, 0.03, 0.1, 0.3, 1.0])
def test_pcm_drift_exponents_have_the_same_distribution(target):
    """What compensation hides: how fast devices drift, by their target."""
    targets = torch.full((50_000,), target)
    ours = devices.program_pcm(targets, torch.Generator().manual_seed(SEED)).exponent[0]
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        theirs = noise_model("pcm", fixed=True).generate_drift_coefficients(targets * devices.PCM_G_MAX)
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), rel=0.01)
    assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.02)


@pytest.mark.parametrize("seconds", TIMES["rram-analog"])
@pytest.mark.parametrize("name", LAYERS)
def test_rram_agrees_but_for_the_mapping(report, name, seconds):
    default, fixed = compared(report, name, "rram-analog", seconds)
    assert abs(fixed["error_difference_percent"]) < 1, fixed
    assert abs(fixed["gain_difference_percent"]) < 0.3, fixed
    # The mapping multiplies output and error by M: what is left without it is the same again.
    largest = default["largest_weight_aihwkit"]
    assert largest > 1.02
    assert default["gain"] * largest == pytest.approx(default["gain_aihwkit"], rel=0.01)
    assert default["error"] * largest == pytest.approx(default["error_aihwkit"], rel=0.02)


def compared(report, name: str, family: str, seconds: float) -> list[dict]:
    """Rows of the table: AIHWKit as it is, and with one mapping throughout."""
    of = case(name)
    gain, error = our_draws(of, family, seconds)
    rows = []
    for mapping in ("as it is", "fixed"):
        other_gain, other_error, largest = their_draws(of, family, seconds, fixed=mapping == "fixed")
        rows.append(
            {
                "layer": name,
                "family": family,
                "seconds": seconds,
                "mapping_aihwkit": mapping,
                "draws": DRAWS,
                "seed": SEED,
                "gain": gain,
                "gain_aihwkit": other_gain,
                "gain_difference_percent": (gain / other_gain - 1) * 100,
                "error": error,
                "error_aihwkit": other_error,
                "error_difference_percent": (error / other_error - 1) * 100,
                "largest_weight_aihwkit": largest,
            }
        )
    report.rows.extend(rows)
    return rows


def test_speed_beside_aihwkit(report):
    done = subprocess.run(
        [sys.executable, SPEED, "--aihwkit"],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    ratios = json.loads(done.stdout)
    for figures in ratios.values():
        # A weak bound, for a busy machine: the figures are in the table.
        assert figures["pcm-r128-adc8-mux4"] < figures["aihwkit"] * 1.5
    report.speed.update(ratios)


HEADER = """# Agreement with AIHWKit

Made by `scripts/compare-aihwkit`. AIHWKit {aihwkit} (torch tiles), torch {torch}, Python {python}, {machine}.
{draws} programming draws for each row and simulator; seed {seed}. Weights: normal, clipped at 2.5 sigma,
rounded to 8-bit codes with one scale a column. Row blocks of {rows}, 8-bit DAC and ADC, no wires on either
side, global drift compensation for PCM. Without device noise, with 8, 6 and 5-bit ADCs, both give the same
outputs to float rounding but for {differing} of {outputs}: sums on the edge between two codes, which either
rounds its way.

Gain: slope of the outputs over the ideal ones. Error: standard deviation of what is left, over that of the
ideal outputs. Differences are ours over AIHWKit's. PCM is asked to agree within 2 % (gain) and 5 % (error).
Mapping: AIHWKit maps cells back to weights by the largest noisy weight, M, where targets were mapped by their
own largest; that multiplies RRAM's outputs and errors by M. "fixed" is AIHWKit with one mapping throughout.

| layer | family | time | mapping | gain | AIHWKit | difference | error | AIHWKit | difference | M |
|---|---|---|---|---|---|---|---|---|---|---|
"""
SPEED_HEADER = """
## Time of a forward over the plain network's

Least processor time of interleaved repeats in one thread, 250 random images, row blocks of 128, 8-bit
converters, randomly initialised networks. Programming and reading of the cells are not in it.

| network | plain [ms] | {names} |
|---|---|{dashes}
"""
NAMES = {0.0: "first reading", 1.0: "1 s", 3_600.0: "1 h", 86_400.0: "1 day", 2_592_000.0: "30 days"}


def write(folder: Path, report: Report) -> None:
    rows = sorted(report.rows, key=lambda r: (r["family"], r["layer"], r["seconds"], r["mapping_aihwkit"]))
    with replacing(folder / "aihwkit.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    text = HEADER.format(
        aihwkit=metadata.version("aihwkit"),
        torch=torch.__version__,
        python=platform.python_version(),
        machine=platform.machine(),
        draws=DRAWS,
        seed=SEED,
        rows=ROWS,
        differing=sum(report.differing.values()),
        outputs=f"{report.outputs:,}",
    )
    for r in rows:
        text += (
            f"| {r['layer']} | {r['family']} | {NAMES[r['seconds']]} | {r['mapping_aihwkit']} "
            f"| {r['gain']:.4f} | {r['gain_aihwkit']:.4f} | {r['gain_difference_percent']:+.2f} % "
            f"| {r['error']:.4f} | {r['error_aihwkit']:.4f} | {r['error_difference_percent']:+.2f} % "
            f"| {r['largest_weight_aihwkit']:.3f} |\n"
        )
    names = [name for name in next(iter(report.speed.values())) if name != "plain"]
    text += SPEED_HEADER.format(names=" | ".join(names), dashes="---|" * len(names))
    for kind, figures in report.speed.items():
        ratios = " | ".join(f"{figures[name]:.2f}" for name in names)
        text += f"| {kind} | {figures['plain']:.1f} | {ratios} |\n"
    with replacing(folder / "aihwkit.md") as path:
        path.write_text(text, encoding="utf-8")
