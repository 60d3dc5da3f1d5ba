import pytest

torch = pytest.importorskip("torch")

from nasbench_imc.building.networks import HybridNetwork  # noqa: E402
from nasbench_imc.building.training import crossbar_weights  # noqa: E402
from nasbench_imc.spaces.hybrid import Hybrid  # noqa: E402

SPACE = Hybrid()
SAMPLE = [*SPACE.architectures[::97], "c32x2-m40x2-a56x2", "a32x2-c40x2-m56x2", "m32x2-a40x2-c56x2"]


def network(code: str, seed: int = 0) -> HybridNetwork:
    return HybridNetwork(code, torch.Generator().manual_seed(seed)).eval()


@pytest.mark.parametrize("code", SAMPLE)
def test_crossbar_weights_are_those_that_the_cost_model_counts(code):
    assert sum(w.numel() for w in crossbar_weights(network(code))) == SPACE.network(code).weights


@pytest.mark.parametrize("code", SAMPLE)
def test_multiply_accumulates_are_those_that_the_cost_model_counts(code):
    made, macs = network(code), []

    def count(module, inputs, output):
        pixels = output.numel() // output.shape[1 if output.dim() == 4 else -1]
        fan_in = module.weight[0].numel()
        macs.append(fan_in * module.weight.shape[0] * pixels)

    for module in made.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(count)
    made(torch.zeros(1, 3, 32, 32))
    static = sum(layer.macs for layer in SPACE.network(code).layers if layer.kind == "mvm")
    assert sum(macs) == static


def test_initial_weights_depend_on_the_generator_alone():
    before = torch.random.get_rng_state()
    a, b, c = network("a16x1-m24x1-c32x1"), network("a16x1-m24x1-c32x1"), network("a16x1-m24x1-c32x1", seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y)
    assert not torch.equal(a.classifier.weight, c.classifier.weight)
