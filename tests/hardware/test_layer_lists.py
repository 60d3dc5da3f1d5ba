"""Layer lists: the shipped networks against published figures, reading, writing and refusing."""

from __future__ import annotations

import contextlib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_imc.building.layer_lists import LAYER_LISTS, write_all
from nasbench_imc.errors import LayerListError, UnknownNameError
from nasbench_imc.hardware.layer_lists import (
    COLUMNS,
    load_layers,
    parse_layers,
    shipped_layer_lists,
    write_layers,
)
from nasbench_imc.networks import Layer

HEADER = ",".join(COLUMNS)
TINY = f"""# a comment
{HEADER}
conv,mvm,27,16,1024,1,3072,input

depthwise,mvm,9,16,1024,16,16384,conv
add,vector,1,16,1024,1,32768,depthwise;conv
fc,mvm,16,10,1,,16,
"""


# Multiply-accumulates, parameters: torchvision 0.20 (resnet18: 1.81 GFLOPS, 11,689,512; mobilenet_v2: 0.30,
# 3,504,872) and Sandler et al., CVPR 2018, Table 4 (300 M multiply-adds); timm's model card of
# deit_tiny_patch16_224 (1.3 GMACs) and Touvron et al., ICML 2021, Table 1 (5 M); BERT-Tiny: 4.4 M
# parameters, github.com/google-research/bert, of which 4,385,920 = embeddings and encoder counted below.
def test_published_multiply_accumulates() -> None:
    macs = {name: load_layers(name).network.macs / 1e6 for name in shipped_layer_lists()}
    assert macs["resnet18"] == pytest.approx(1814, abs=1)
    assert macs["mobilenet_v2"] == pytest.approx(300.8, abs=0.1)
    assert macs["deit_tiny"] == pytest.approx(1300, rel=0.05)
    # 2 layers of 12 x 128^2 a token and 2 x 128 x 128 x 128 for attention, and the pooler
    assert macs["bert_tiny"] == (2 * (12 * 128**2 * 128 + 2 * 128**3) + 128**2) / 1e6


def test_published_parameters() -> None:
    weights = {name: load_layers(name).network.weights for name in shipped_layer_lists()}
    # Parameters less those of batch normalisation (two a channel) and biases.
    assert weights["resnet18"] == 11_689_512 - 2 * 4800 - 1000
    assert weights["mobilenet_v2"] == 3_504_872 - 2 * 17_056 - 1000
    # DeiT: 12 x (two norms of 384; biases 576, 192, 768, 192), last norm, head and patch biases, position,
    # class token
    others = 12 * (2 * 384 + 576 + 192 + 768 + 192) + 384 + 1000 + 192 + 197 * 192 + 192
    assert weights["deit_tiny"] + others == 5_717_416
    # BERT: embeddings of 30,522 words, 512 positions and 2 segments; norms; biases
    others = (30_522 + 512 + 2) * 128 + 256 + 2 * (2 * 256 + 3 * 128 + 128 + 512 + 128) + 128
    assert weights["bert_tiny"] + others == 4_385_920


def test_shipped_lists_are_what_their_makers_write(tmp_path: Path) -> None:
    assert set(shipped_layer_lists()) == set(LAYER_LISTS)
    for path in write_all(tmp_path):
        shipped = files("nasbench_imc.hardware").joinpath("layers", path.name)
        assert path.read_bytes() == shipped.read_bytes(), "run: nasbench-imc build layers"
        assert load_layers(path.stem) == LAYER_LISTS[path.stem]()


def test_a_file_as_a_user_writes_it(tmp_path: Path) -> None:
    layers = parse_layers(TINY)
    assert layers.names == ("conv", "depthwise", "add", "fc")
    assert layers.network.layers[1] == Layer("mvm", 9, 16, 1024, 16, 16384)
    assert layers.network.producers == ((), (0,), (1, 0), (2,))
    assert layers.network.input_elements == 3072
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbf" + TINY.replace("\n", "\r\n").encode())  # as spreadsheets write it
    assert load_layers(path) == layers
    write_layers(path, layers, ["two", "lines"])
    assert load_layers(path) == layers


def test_columns_may_stand_in_any_order_and_two_may_be_left_out() -> None:
    text = "kind,name,pixels,outputs,fan_in,input_elements\nmvm,a,4,2,3,12\nmvm,b,4,2,2,8\n"
    layers = parse_layers(text)
    assert layers.network.layers == (Layer("mvm", 3, 2, 4, 1, 12), Layer("mvm", 2, 2, 4, 1, 8))
    assert layers.network.producers == ((), (0,))


def test_the_page_s_example_works() -> None:
    page = files("nasbench_imc.hardware").joinpath("layers", "README.md").read_text(encoding="utf-8")
    assert parse_layers(page.split("```\n")[1].split("```")[0]).network.macs > 0
    assert all(f"`{column}`" in page for column in COLUMNS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("conv,mvm", "conv,conv", r"line 3: unknown kind 'conv'; valid: 'mvm', 'matmul', 'vector'"),
        ("27,16,1024", "27.0,16,1024", r"line 3: fan_in must be an integer from 1 .*, not '27\.0'"),
        ("27,16,1024", "-27,16,1024", r"line 3: fan_in"),
        ("27,16,1024", "0,16,1024", r"line 3: fan_in"),
        ("27,16,1024", "9999999999999999,16,1024", r"line 3: fan_in"),
        ("27,16,1024", ",16,1024", r"line 3: fan_in .* not ''"),
        ("27,16,1024", "²,16,1024", r"line 3: fan_in"),
        ("1024,16,16384", "1024,5,16384", r"line 5: .*multiple of groups"),
        ("depthwise;conv", "depthwise;fc", r"line 6: unknown layer above among inputs 'fc'"),
        ("depthwise;conv", "add", r"line 6: unknown layer above among inputs 'add'"),
        ("fc,mvm", "conv,mvm", r"line 7: name 'conv' must be given once"),
        ("fc,mvm", "input,mvm", r"line 7: name 'input'"),
        ("fc,mvm", ",mvm", r"line 7: name ''"),
        ("fc,mvm,16", "fc,mvm,16,16", r"line 7: 9 cells, but the header has 8 columns"),
        ("fan_in", "fanin", r"line 2: unknown column 'fanin'; did you mean 'fan_in'"),
        ("fan_in", "pixels", r"line 2: column 'pixels' stands twice"),
        ("kind,", "", r"line 2: columns are missing: kind"),
        ("fc,mvm", '"fc,mvm', r"line 7: unexpected end of data"),
        ("fc,mvm", "f" * 200_000 + ",mvm", r"line 7: field larger than field limit"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, message: str) -> None:
    assert old in TINY
    with pytest.raises(LayerListError, match=message):
        parse_layers(TINY.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "\n# nothing\n", HEADER + "\n"])
def test_an_empty_list_is_refused(text: str) -> None:
    with pytest.raises(LayerListError, match="no layers"):
        parse_layers(text)


def test_unknown_names_and_odd_bytes(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="resnet18"):
        load_layers("resnet19")
    path = tmp_path / "odd.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LayerListError, match=r"odd\.csv"):
        load_layers(path)


@given(text=st.text(alphabet='abc,;\n"#019.-mv', max_size=60))
def test_no_text_ends_in_another_error(text: str) -> None:
    for content in (text, f"{HEADER}\n{text}"):
        with contextlib.suppress(LayerListError):
            parse_layers(content)
