"""Every module of semantics section 11 in every framework: what its constructor, its call and its conversions take."""
import importlib
import inspect
import re

import pytest
from conftest import need, shared
from test_names import expected

CONV = "in_channels, out_channels, *, kernel_size=3, stride=1, padding=0, dilation=1, bias=True"
SUBM = "in_channels, out_channels, *, kernel_size=3, dilation=1, bias=True"
UP = "in_channels, out_channels, *, kernel_size=2, stride=2, padding=0, dilation=1, bias=True"
GENERATIVE = "in_channels, out_channels, *, kernel_size=2, stride=2, bias=True"
POOL = "kernel_size=2, stride=2, padding=0, dilation=1"
PACKED = ", group_size=None, bits=4"

# class: constructor, call
MODULES = {
    "Conv3d": (CONV, "x, *, coordinates=None"),
    "SubmConv3d": (SUBM, "x"),
    "NormalizedSubmConv3d": (SUBM + ", eps=1e-8", "x"),
    "ConvTranspose3d": (UP, "x, coordinates=None"),
    "NormalizedConvTranspose3d": (UP + ", eps=1e-8", "x, coordinates=None"),
    "GenerativeConvTranspose3d": (GENERATIVE, "x, coordinates=None"),
    "NormalizedGenerativeConvTranspose3d": (GENERATIVE + ", eps=1e-8", "x, coordinates=None"),
    "Linear": ("input_dims, output_dims, bias=True", "x"),
    "ReLU": ("", "x"),
    "Sigmoid": ("", "x"),
    "SiLU": ("", "x"),
    "Tanh": ("", "x"),
    "GELU": ("approx='none'", "x"),
    "LeakyReLU": ("negative_slope=1e-2", "x"),
    "Softplus": ("", "x"),
    "Dropout": ("p=0.5", "x"),
    "BatchNorm": ("num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True", "x"),
    "LayerNorm": ("dims, eps=1e-5, affine=True, bias=True", "x"),
    "RMSNorm": ("dims, eps=1e-5", "x"),
    "Pool3d": (f"*, mode='sum', {POOL}", "x"),
    "SumPool3d": (f"*, {POOL}", "x"),
    "MaxPool3d": (f"*, {POOL}", "x"),
    "AvgPool3d": (f"*, {POOL}", "x"),
    "PoolTranspose3d": (f"*, {POOL}", "x, target=None"),
    "TrilinearUpsample3d": ("*, stride=2", "x, target=None"),
    "GlobalSumPool": ("", "x"),
    "GlobalAvgPool": ("", "x"),
    "GlobalMaxPool": ("", "x"),
    "QuantizedConv3d": (CONV + PACKED, "x, *, coordinates=None"),
    "QuantizedSubmConv3d": (SUBM + PACKED, "x"),
    "QuantizedConvTranspose3d": (UP + PACKED, "x"),
    "QuantizedGenerativeConvTranspose3d": (GENERATIVE + PACKED, "x"),
    "QuantizedLinear": ("input_dims, output_dims, bias=True, group_size=None, bits=4, mode='affine'", "x"),
}
CONVERSIONS = {
    "from_conv": ("source, group_size=None, bits=4", [name for name in MODULES if re.match(r"Quantized\w*Conv", name)]),
    "from_linear": ("linear, group_size=None, bits=4, mode='affine'", ["QuantizedLinear"]),
    "to_quantized": (
        "group_size=None, bits=None, *, mode='affine', quantize_input=False",
        ["Conv3d", "SubmConv3d", "ConvTranspose3d", "GenerativeConvTranspose3d"],
    ),
}
LINEAR_TO_QUANTIZED = "group_size=None, bits=None, mode='affine', quantize_input=False"


def check(function, arguments, bound=True):
    parameters = list(inspect.signature(function).parameters.values())
    if not bound and parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    found = [(p.name, p.default, p.kind is inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    assert found == expected(arguments)
    assert all(p.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for p in parameters)


def test_the_table_is_that_of_the_specification():
    text = open(shared("spec", "semantics.md"), encoding="utf-8").read()
    section = re.search(r"^### `mlx_lattice.nn` — 33 names\n(.*?)(?=^### )", text, re.M | re.S).group(1)
    assert sorted(re.findall(r"`(\w+)`", section.split(":", 1)[1])) == sorted(MODULES)
    # What section 11 writes out in full stands here in the same words.
    table = re.search(r"^## 11\..*?(?=^## 12)", text, re.M | re.S).group(0)
    rows = re.findall(r"^\| `([\w, ]+)` \| `\(([^`]*)\)`", table, re.M)
    written = {name.strip(): arguments for names, arguments in rows for name in names.split(",")}
    for name, arguments in written.items():
        if not arguments.startswith(("in, out", "*, kernel_size=2, stride=2, padding=0, dilation=1)` without")):
            assert expected(MODULES[name][0]) == expected(arguments), name


@pytest.mark.parametrize("name", list(MODULES))
@pytest.mark.parametrize("framework", ["numpy", "torch", "mlx"])
def test_module(framework, name):
    need(framework)
    kind = getattr(importlib.import_module(f"lattice.{framework}.nn"), name)
    constructor, call = MODULES[name]
    check(kind.__init__, constructor, bound=False)
    check(kind.forward, call, bound=False)


@pytest.mark.parametrize("framework", ["numpy", "torch", "mlx"])
def test_conversions(framework):
    need(framework)
    nn = importlib.import_module(f"lattice.{framework}.nn")
    for method, (arguments, names) in CONVERSIONS.items():
        for name in names:
            check(getattr(getattr(nn, name), method), arguments, bound=False)
    check(nn.Linear.to_quantized, LINEAR_TO_QUANTIZED, bound=False)
    for name in ("Pool3d", "SumPool3d"):
        assert issubclass(getattr(nn, name), nn.Pool3d)
