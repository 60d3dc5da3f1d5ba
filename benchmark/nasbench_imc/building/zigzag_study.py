"""Does the cost model rank networks and SRAM chips as ZigZag does, and known networks rank chips alike?

:func:`measure` runs ZigZag on every distinct layer of some networks on every configuration of
:func:`nasbench_imc.building.zigzag.configurations`; :func:`write_page` compares. The page can be written
again from the measurements alone.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from nasbench_imc.building import zigzag
from nasbench_imc.building.layer_lists import LAYER_LISTS
from nasbench_imc.files import replacing
from nasbench_imc.hardware import (
    HardwareConfig,
    derive,
    grid,
    layer_costs,
    load_constants,
    mapping,
    network_costs,
    with_values,
)
from nasbench_imc.hardware.constants import Constants
from nasbench_imc.networks import Layer, Network
from nasbench_imc.spaces import NB201, Hybrid

LAYERS_FILE, PAIRS_FILE, PAGE = "zigzag_layers.csv", "zigzag_pairs.csv", "zigzag.md"
KNOWN_FILE, KNOWN_TAU_FILE = "known_networks.csv", "known_networks_tau.csv"

# Every 150th and every 2,604th code: networks of all operators that share many layers.
_HYBRID_STEP, _NB201_STEP = 150, 2604

PARTS = ("array", "adc", "dac", "accumulation", "buffer")
_SHAPE = ("fan_in", "outputs", "pixels", "groups", "input_elements")
_GOAL = 0.85
# ZigZag's assumption where ours differs: every gate of an adder switches.
_THEIR_VALUES = {"activity": 1.0}
_KNOWN_METRICS = ("energy", "latency", "area", "throughput", "edp", "edap", "utilisation", "arrays")


def networks() -> dict[str, Network]:
    """The networks that are compared, by space and code."""
    hybrid, cells = Hybrid(), NB201()
    found = {f"hybrid {code}": hybrid.network(code) for code in hybrid.architectures[::_HYBRID_STEP]}
    found |= {f"nb201 {code}": cells.network(code) for code in cells.architectures[::_NB201_STEP]}
    return found


def measure(folder: Path, log: Callable[[str], None] = print) -> Path:
    """Run ZigZag and write ``zigzag_layers.csv``: a row a layer and configuration, about 0.2 CPU s each.

    Raises
    ------
    BenchmarkError
        If ZigZag is missing or of another version.
    """
    zigzag.require()
    layers, configs = zigzag.layers_of(list(networks().values())), zigzag.configurations()
    rows = []
    for i, layer in enumerate(layers):
        log(f"layer {i + 1} of {len(layers)}, {len(configs)} configurations")
        for config in configs:
            found = zigzag.evaluate(layer, config)
            rows.append(
                {
                    **{field: getattr(layer, field) for field in _SHAPE},
                    "configuration": config.id,
                    **{f"energy_{part}": f"{found.energy[part]:.6g}" for part in PARTS},
                    "latency": f"{found.latency:.6g}",
                    "compute_latency": f"{found.compute_latency:.6g}",
                    "lpf_limit": zigzag.LPF_LIMIT,
                }
            )
    path = folder / LAYERS_FILE
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return path


def _ours(layers: Sequence[Layer], configs: Sequence[HardwareConfig], constants: Constants) -> pd.DataFrame:
    """Our costs of layers in the form and order of the measurements: all configurations of each layer."""
    costs = layer_costs(layers, configs, zigzag.WEIGHT_BITS, constants=constants)
    parts = {f"energy_{part}": costs.energy[part].ravel() for part in PARTS}
    return pd.DataFrame({**parts, "latency": costs.latency.ravel()})


def _with_idle_multipliers(
    costs: pd.DataFrame, layers: Sequence[Layer], configs: Sequence[HardwareConfig]
) -> pd.DataFrame:
    """Our costs as if every multiplier of a digital macro toggled, used or not, as in ZigZag.

    A depthwise filter has a macro of its own there.
    """
    shape, hw = mapping.layer_arrays(layers), mapping.config_arrays(configs, zigzag.WEIGHT_BITS)
    macros = np.where(shape.groups > 1, shape.groups, mapping.arrays(shape, hw))
    all_of_used = macros * hw.rows * hw.columns / mapping.used_cells(shape, hw)
    result = costs.copy()
    result["energy_array"] *= np.where(hw.has_adc, 1.0, all_of_used).ravel()
    return result


def _energy(frame: pd.DataFrame) -> np.ndarray:
    return np.asarray(sum(frame[f"energy_{part}"] for part in PARTS), dtype=np.float64)


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    return float(kendalltau(np.ravel(a), np.ravel(b)).statistic)


def _goals(energy: float, latency: float) -> str:
    """Whether the taus of whole networks, as shipped, reach the goal."""
    parts = [
        f"{metric} {'**met**' if tau >= _GOAL else '**not met**'} ({tau:.3f})"
        for metric, tau in (("energy", energy), ("latency", latency))
    ]
    return f"Goal, tau of at least {_GOAL} as shipped on whole networks: {', '.join(parts)}."


def _kind(layer: Layer) -> str:
    if layer.groups > 1:
        return "3 x 3 depthwise"
    kernel, _ = zigzag.kernel_of(layer)
    return f"{kernel} x {kernel}" if layer.pixels > 1 else "linear"


def write_page(folder: Path) -> Path:
    """Compare the measurements in ``folder`` with the model as it is; write the page and the pairs.

    Raises
    ------
    OSError
        If there are no measurements.
    ValueError
        If they are of other layers or configurations than those that are compared now.
    """
    theirs = pd.read_csv(folder / LAYERS_FILE)
    nets, configs = networks(), zigzag.configurations()
    layers = zigzag.layers_of(list(nets.values()))
    expected = [(*(getattr(x, f) for f in _SHAPE), c.id) for x in layers for c in configs]
    if list(theirs[[*_SHAPE, "configuration"]].itertuples(index=False, name=None)) != expected:
        raise ValueError(f"{folder / LAYERS_FILE} is of other layers or configurations; measure again")
    ours = _ours(layers, configs, load_constants())
    aligned = _ours(layers, configs, with_values(load_constants(), _THEIR_VALUES))

    counts = np.zeros((len(nets), len(layers)))
    for row, net in zip(counts, nets.values(), strict=True):
        for layer in net.layers:
            if layer.kind == "mvm":
                row[layers.index(layer)] += 1

    def over_networks(values: np.ndarray | pd.Series) -> np.ndarray:
        return counts @ np.asarray(values, dtype=np.float64).reshape(len(layers), len(configs))

    whole = network_costs(list(nets.values()), configs, zigzag.WEIGHT_BITS)
    energy, latency = over_networks(_energy(theirs)) * 1e-6, over_networks(theirs["latency"]) * 1e-3
    same = over_networks(_energy(ours)) * 1e-6, over_networks(ours["latency"]) * 1e-3
    idle = _with_idle_multipliers(aligned, layers, configs)
    variants = {
        "as shipped, whole network": (whole["energy"], whole["latency"]),
        "as shipped, the same layers": same,
        "and activity 1": (
            over_networks(_energy(aligned)),
            over_networks(aligned["latency"]),
        ),
        "and idle multipliers toggle": (over_networks(_energy(idle)), over_networks(idle["latency"])),
    }
    digital = np.array([config.adc_bits is None for config in configs])
    overall = pd.DataFrame(
        [
            (
                name,
                *(_tau(e[:, chosen], energy[:, chosen]) for chosen in (digital | True, digital, ~digital)),
                *(_tau(t[:, chosen], latency[:, chosen]) for chosen in (digital | True, digital, ~digital)),
            )
            for name, (e, t) in variants.items()
        ],
        columns=[
            "our model",
            *(
                f"{metric}, {part}"
                for metric in ("energy", "latency")
                for part in ("all", "digital", "analog")
            ),
        ],
    )
    pairs = pd.DataFrame(
        {
            "network": np.repeat(list(nets), len(configs)),
            "configuration": [config.id for config in configs] * len(nets),
            "energy": whole["energy"].ravel(),
            "energy_same_layers": same[0].ravel(),
            "zigzag_energy": energy.ravel(),
            "latency": whole["latency"].ravel(),
            "latency_same_layers": same[1].ravel(),
            "zigzag_latency": latency.ravel(),
        }
    )
    _save(pairs, folder / PAIRS_FILE)
    known = known_networks(folder)
    text = _PAGE.format(
        version=zigzag.VERSION,
        lpf=zigzag.LPF_LIMIT,
        pairs=len(pairs),
        networks=len(nets),
        configs=len(configs),
        overall=_table(overall),
        goals=_goals(*overall[["energy, all", "latency, all"]].iloc[0]),
        within=_table(_within(pairs)),
        kinds=_table(_by_kind(layers, configs, ours, aligned, theirs)),
        furthest=_table(_furthest(layers, configs, aligned, theirs)),
        known=_table(known),
    )
    with replacing(folder / PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / PAGE


def _save(frame: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def _within(pairs: pd.DataFrame) -> pd.DataFrame:
    """Taus over networks within a configuration, and over configurations within a network."""
    rows = []
    for key, label in (("configuration", "networks on one configuration"), ("network", "configurations")):
        for metric in ("energy", "latency"):
            taus = [
                _tau(group[metric].to_numpy(), group[f"zigzag_{metric}"].to_numpy())
                for _, group in pairs.groupby(key)
            ]
            rows.append((label, metric, np.median(taus), np.min(taus)))
    return pd.DataFrame(rows, columns=["ranking of", "metric", "median tau", "least tau"])


def _by_kind(
    layers: Sequence[Layer],
    configs: Sequence[HardwareConfig],
    ours: pd.DataFrame,
    aligned: pd.DataFrame,
    theirs: pd.DataFrame,
) -> pd.DataFrame:
    """Ratios, ours over ZigZag's, by kind of layer and of macro: median, 10th and 90th percentile."""
    # Small layers stay in ZigZag's registers and never read the buffer: no ratio.
    buffer = theirs["energy_buffer"].where(theirs["energy_buffer"] > 0)
    frame = pd.DataFrame(
        {
            "layer": np.repeat([_kind(layer) for layer in layers], len(configs)),
            "macro": [config.family.removeprefix("sram-") for config in configs] * len(layers),
            "energy": _energy(ours) / _energy(theirs),
            "energy, aligned": _energy(aligned) / _energy(theirs),
            "circuit": _circuit(aligned) / _circuit(theirs),
            "buffer": (ours["energy_buffer"] / buffer).to_numpy(),
            "latency": (ours["latency"] / theirs["latency"]).to_numpy(),
            "latency, aligned": (aligned["latency"] / theirs["latency"]).to_numpy(),
        }
    )
    rows = []
    for (layer, macro), group in frame.groupby(["layer", "macro"]):
        cells = [f"{len(group)}"]
        for column in group.columns[2:]:
            low, middle, high = np.nanquantile(group[column], (0.1, 0.5, 0.9))
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        rows.append((layer, macro, *cells))
    return pd.DataFrame(rows, columns=["layer", "macro", "pairs", *frame.columns[2:]])


def _furthest(
    layers: Sequence[Layer],
    configs: Sequence[HardwareConfig],
    aligned: pd.DataFrame,
    theirs: pd.DataFrame,
    shown: int = 12,
) -> pd.DataFrame:
    """The layers whose energy or latency differ most, and what differs in them.

    Of energy, the component with the largest difference; of latency, ZigZag's computing time over ours (a
    longer cycle, more passes) and its whole time over its computing time (filling, stalls and draining).
    """
    rows = []
    for i, layer in enumerate(layers):
        for macro in ("digital", "analog"):
            chosen = [
                i * len(configs) + j for j, config in enumerate(configs) if config.family == f"sram-{macro}"
            ]
            a, b = aligned.iloc[chosen], theirs.iloc[chosen]
            gaps = {part: float((a[f"energy_{part}"] - b[f"energy_{part}"]).sum()) for part in PARTS}
            part = max(gaps, key=lambda name: abs(gaps[name]))
            energy, latency = np.median(_energy(a) / _energy(b)), np.median(a["latency"] / b["latency"])
            rows.append(
                (
                    f"{_kind(layer)}, K {layer.fan_in}, N {layer.outputs}, P {layer.pixels}",
                    macro,
                    f"{energy:.2f}",
                    f"{part} ({'more' if gaps[part] > 0 else 'less'})",
                    f"{latency:.2f}",
                    f"{np.median(b['compute_latency'] / a['latency']):.2f}",
                    f"{np.median(b['latency'] / b['compute_latency']):.2f}",
                    max(abs(np.log(energy)), abs(np.log(latency))),
                )
            )
    rows.sort(key=lambda row: -float(row[-1]))
    return pd.DataFrame(
        [row[:-1] for row in rows[:shown]],
        columns=[
            "layer",
            "macro",
            "energy",
            "mostly by ours in",
            "latency",
            "ZigZag's computing over ours",
            "its whole over its computing",
        ],
    )


def _circuit(frame: pd.DataFrame) -> np.ndarray:
    return np.asarray(_energy(frame) - frame["energy_buffer"], dtype=np.float64)


def known_networks(folder: Path) -> pd.DataFrame:
    """Costs of known networks on the grid, and whether they rank its configurations as ``hybrid`` does.

    Writes ``known_networks.csv`` (a row a network and configuration) and ``known_networks_tau.csv``. The
    ranking of ``hybrid`` is that of the geometric mean over its 1,728 networks.

    Returns
    -------
    pandas.DataFrame
        Kendall's tau over configurations by network and metric.
    """
    configs, hybrid = grid(), Hybrid()
    space = _costs([hybrid.network(code) for code in hybrid.architectures], configs)
    known = {name: make().network for name, make in LAYER_LISTS.items()}
    costs = _costs(list(known.values()), configs)
    frame = pd.DataFrame(
        {
            "network": np.repeat(list(known), len(configs)),
            "hardware": [config.id for config in configs] * len(known),
            **{metric: costs[metric].ravel() for metric in _KNOWN_METRICS},
        }
    )
    _save(frame, folder / KNOWN_FILE)
    rows = []
    for a, name in enumerate(known):
        of_network = [
            _tau(costs[metric][a], np.log(space[metric]).mean(axis=0))
            for metric in ("energy", "latency", "area", "edap")
        ]
        rows.append((name, *of_network))
    taus = pd.DataFrame(rows, columns=["network", "energy", "latency", "area", "edap"])
    _save(taus, folder / KNOWN_TAU_FILE)
    return taus


def _costs(nets: Sequence[Network], configs: Sequence[HardwareConfig]) -> dict[str, np.ndarray]:
    metrics = network_costs(nets, configs)
    return metrics | derive(metrics)


def _table(frame: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * len(frame.columns)]
    for row in frame.itertuples(index=False, name=None):
        cells = (f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


_PAGE = """# The cost model beside ZigZag

Written by `nasbench-imc build zigzag` (extra `[zigzag]`: zigzag-dse {version} and six), from the
measurements in `zigzag_layers.csv`; `--reuse` writes the page again without running ZigZag. lpf limit
{lpf}, objective EDP.

{networks} networks of `hybrid` and `nb201` on {configs} SRAM configurations, {pairs} pairs
(`zigzag_pairs.csv`). How the chip is described to ZigZag stands in
`benchmark/nasbench_imc/building/zigzag.py`: as many macros as the layer takes arrays, weights in place, one
SRAM of our tile buffer's energy a bit. ZigZag sees the layers with stationary weights, one after another.

Both share ZigZag-IMC's gate capacitances and its ADC formula by design, so that this is a test of mapping,
counting and of what is left out, not of these constants; silicon is the test of those.

## Kendall's tau over all pairs

{overall}

{goals}

"Whole network" is what the tables hold: with interconnect, attention products, element-wise layers,
off-chip traffic and leakage, and latency along the critical path. "The same layers" sums the layers that
ZigZag sees; the lines after it take over, one after another, assumptions of ZigZag: all gates of an adder
switch in every cycle (ours: the stated activity of 0.5), and every multiplier of a digital macro toggles
(ours: those of cells with weights). They are assumptions about data and circuits, not about mapping, and
silicon decides between them; the defaults stay.

Taus of whole networks, within one configuration or one network:

{within}

The five digital and seven analog configurations lie within a factor of a few of each other in energy, and the
activity alone moves all digital ones by almost two against the analog ones: hence the low tau over
configurations.

## Where they differ, layer by layer

Ratios, ours over ZigZag's: median (10th to 90th percentile) over layers and configurations. "Aligned" takes
an activity of 1; "circuit" is the aligned energy without the buffer.

{kinds}

The layers that lie furthest apart, aligned, medians over the configurations of a kind:

{furthest}

- **Digital macros**: the activity halves the energy of our adder trees. ZigZag lets idle multipliers
  toggle, which weighs most where few cells hold weights: depthwise layers, which are described to it as one
  filter a macro.
- **Analog macros**: ZigZag adds the bit columns of a weight in one tree of adders; ours makes an addition
  and a register write a conversion, and one MAC(16,8) an output for scale, bias and activation.
- **Buffer**: ZigZag fetches pixels that neighbouring windows share once where its registers can pass them
  on; ours reads every window afresh (im2col), up to nine times a pixel for 3 x 3 kernels. Layers that stay
  in registers altogether read no buffer there.
- **Latency**: an analog cycle of ZigZag adds shift-and-add and accumulation, which ours overlaps with the
  next conversion. ZigZag unrolls whole loops onto rows and columns, so that a fan-in which is no product of
  loop sizes that fit takes more passes; ours splits a fan-in anywhere. Filling and draining registers takes
  it some cycles a layer, most where there is one pixel (linear).

## Known networks rank configurations as `hybrid` does?

Kendall's tau over the 76 configurations of the grid, between a network's costs and the geometric mean over
the 1,728 networks of `hybrid` (`known_networks.csv`, `known_networks_tau.csv`; no accuracies).

{known}
"""
