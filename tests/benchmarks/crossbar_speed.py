"""Times simulated chips beside plain networks, interleaved in one process; prints JSON.

Run by ``test_crossbar_speed.py`` and ``tests/building/test_aihwkit.py``, as a process of its own with the
environment of :data:`nasbench_imc.building.jobs.ENVIRONMENT`, which must be there before Python starts::

    python crossbar_speed.py [--aihwkit]

Answer: by network, ``plain`` [ms a forward], and by simulator its time over the plain network's. Each is the
least processor time of all repeats, in one thread: a busy machine stretches the wall-clock time of one or
the other. Devices are programmed and read once, before: a forward of 250 images is what is timed.
"""

import json
import sys
import time

import torch

from nasbench_imc.building.codes import coded, crossbar_layers
from nasbench_imc.building.crossbar.chip import Chip
from nasbench_imc.building.crossbar.ranges import calibrate
from nasbench_imc.building.networks import HybridNetwork
from nasbench_imc.hardware import grid

NETWORKS = {"cnn": "c32x2-c40x2-c56x2", "transformer": "a32x2-a40x2-a56x2"}
CONFIGS = ("pcm-r128-adc8-mux4", "sram-analog-r128-adc8-mux4", "rram-sliced-r128-adc8-mux4")
ROWS, BITS = 128, 8
IMAGES = 250
REPEATS = 5


def chips(network, images, rng):
    """Chips of a network, programmed and read at 1 day."""
    codes = {}
    for name, layer in crossbar_layers(network).items():
        codes[name] = coded(layer.weight)
        layer.weight.data = codes[name].weight
    calibration = calibrate(network, images, BITS)
    configs = {config.id: config for config in grid()}
    made = {}
    for name in CONFIGS:
        made[name] = Chip(network, codes, calibration, configs[name], rng)
        made[name].program(rng)
        made[name].read(86_400.0, rng)
    return made


def aihwkit_model(network):
    """The same network in AIHWKit: torch tiles of 128 rows, 8-bit converters, PCM at 1 day."""
    from aihwkit.inference import PCMLikeNoiseModel
    from aihwkit.nn import AnalogConv2dMapped, AnalogLinearMapped
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator.configs import TorchInferenceRPUConfig
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType

    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size, config.mapping.max_output_size = ROWS, 0
    config.mapping.weight_scaling_omega, config.mapping.weight_scaling_columnwise = 1.0, True
    io = config.forward
    io.inp_res = io.out_res = 1 / (2**BITS - 2)
    io.inp_noise = io.out_noise = 0.0
    io.noise_management, io.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    config.noise_model = PCMLikeNoiseModel(g_max=25.0)
    mapped = {torch.nn.Linear: AnalogLinearMapped, torch.nn.Conv2d: AnalogConv2dMapped}
    model = convert_to_analog(network, config, conversion_map=mapped).eval()
    model.program_analog_weights()
    model.drift_analog_weights(86_400.0)
    return model


@torch.no_grad()
def least_seconds(functions, images):
    """Least time of each function over interleaved repeats, after one call that is not counted."""
    least = dict.fromkeys(functions, float("inf"))
    for repeat in range(REPEATS + 1):
        for name, function in functions.items():
            begin = time.process_time()
            function(images)
            if repeat:
                least[name] = min(least[name], time.process_time() - begin)
    return least


def main(with_aihwkit):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rng = torch.Generator().manual_seed(0)
    answer = {}
    for kind, code in NETWORKS.items():
        network = HybridNetwork(code, rng).eval().to(memory_format=torch.channels_last)
        images = torch.randn(IMAGES, 3, 32, 32, generator=rng).to(memory_format=torch.channels_last)
        functions = {"plain": network, **chips(network, images[:64], rng)}
        if with_aihwkit:
            functions["aihwkit"] = aihwkit_model(network)
        seconds = least_seconds(functions, images)
        plain = seconds.pop("plain")
        answer[kind] = {"plain": plain * 1e3, **{name: taken / plain for name, taken in seconds.items()}}
    print(json.dumps(answer))


if __name__ == "__main__":
    main("--aihwkit" in sys.argv[1:])
