"""What the replay and the state dict refuse."""

import array
import itertools
import os
import random

from convert_support import (
    RUN,
    cloud,
    dense_convolution,
    dense_kernel,
    detection,
    expect,
    in_layout,
    path,
    refused,
    unet,
)

import torch_zip
from _convert import checkpoint_layouts, network_layers
from _convert.checkpoint_converter import command_runner, convert, read_checkpoint
from _convert.safetensors_file import write_safetensors
from _convert.torch_checkpoint import Tensor


def case_replay_refuses():
    """A conversion that errs in tap order, axis order or support is caught, and nothing is written."""
    tensors, description = unet("minkowski", random.Random(4))
    torch_zip.write_checkpoint(path("bad.pt"), tensors)
    held = read_checkpoint(path("bad.pt"))
    honest = checkpoint_layouts.tap_strides
    checkpoint_layouts.tap_strides = lambda library, kernel: (kernel[1] * kernel[2], kernel[2], 1)
    refused("permuted taps", "replay differs", lambda: convert(held, description, path("bad"), RUN))
    checkpoint_layouts.tap_strides = honest
    honest = network_layers.lattice_kernel
    network_layers.lattice_kernel = lambda values, layout, zyx: honest(values, layout, not zyx)
    refused("exchanged axes", "replay", lambda: convert(held, description, path("bad"), RUN))
    network_layers.lattice_kernel = honest
    refused(
        "a program that fails", "lattice run", lambda: convert(held, description, path("bad"), command_runner("false"))
    )
    refused("tolerance", "tolerance 0", lambda: convert(held, description, path("bad"), RUN, 0.0))

    def shortened(rows):  # a runner that loses the first outputs, or gives the last one twice
        def run(folder, arrays):
            held = dict(RUN(folder, arrays))
            for part in ("output.coords", "output.features"):
                tensor, width = held[part], held[part].shape[1]
                values = tensor.values()
                values = values[rows * width :] if rows > 0 else values + values[-width:]
                held[part] = Tensor(tensor.dtype, (len(values) // width, width), lambda kept=values: kept)
            return held

        return run

    refused("lost outputs", "2 missing, 0 too many", lambda: convert(held, description, path("bad"), shortened(2)))
    refused("double outputs", "1 outputs lie on", lambda: convert(held, description, path("bad"), shortened(0)))
    expect("nothing is written", not os.path.exists(path("bad")))


def case_recorded():
    """A run that the library recorded tells layouts apart that have one shape."""
    sizes, c_in, c_out = (3, 3, 3), 2, 2
    kernel, x = dense_kernel(c_out, c_in, sizes), cloud(c_in)
    dense = dense_convolution(x, kernel, c_out, sizes, (1, 1, 1), (1, 1, 1))
    shape, numbers = in_layout("torchsparse", kernel, c_out, c_in, sizes)
    torch_zip.write_checkpoint(path("ts.pt"), {"c.kernel": (shape, numbers)})
    torch_zip.write_checkpoint(path("tl.pt"), {"c.weight": (shape, numbers)})
    ints, floats = (
        (lambda cells: array.array("i", itertools.chain(*cells))),
        (lambda rows: array.array("f", itertools.chain(*rows))),
    )
    write_safetensors(
        path("recorded.safetensors"),
        {
            "coords": ((len(x), 4), ints(x)),
            "features": ((len(x), c_in), floats(x.values())),
            "expected.coords": ((len(x), 4), ints(x)),
            "expected.features": ((len(x), c_out), floats(dense[cell] for cell in x)),
        },
    )
    description = {"library": "torchsparse", "channels": c_in, "layers": [{"type": "subm", "name": "c", "kernel": 3}]}

    def attempt(checkpoint, **changes):
        return convert(
            read_checkpoint(path(checkpoint)),
            {**description, **changes},
            None,
            RUN,
            recorded=path("recorded.safetensors"),
        )

    expect("recorded run", attempt("ts.pt").errors["recorded"] == 0.0)
    refused(
        "recorded run of another library",
        "recorded run: replay differs",
        lambda: attempt("tl.pt", library="torch-lattice"),
    )
    expect("the name of the axes changes no number", attempt("ts.pt", axes="zyx").errors["recorded"] == 0.0)


def case_state_dict():
    """Missing, unexpected and wrong tensors by name; descriptions that contradict themselves."""
    tensors, description = unet("minkowski", random.Random(4))

    def attempt(fragment, change=None, **changes):
        held = dict(tensors)
        if change:
            change(held)
        torch_zip.write_checkpoint(path("state.pt"), held)
        refused(
            fragment,
            fragment,
            lambda: convert(read_checkpoint(path("state.pt")), {**description, **changes}, path("state"), RUN),
        )

    attempt("missing tensor down.kernel", lambda held: held.pop("down.kernel"))
    attempt("missing tensor bn2.running_mean (6,)", lambda held: held.pop("bn2.bn.running_mean"))
    attempt(
        "unexpected tensor extra.kernel (8, 1, 1)", lambda held: held.update({"extra.kernel": ((8, 1, 1), [1.0] * 8)})
    )
    attempt(
        "mid.kernel: shape (27, 6, 6), expected (125, 6, C_out)",
        layers=[dict(layer, kernel=5) if layer.get("name") == "mid" else layer for layer in description["layers"]],
    )
    attempt(
        "stem.kernel: shape (27, 4, 3), expected (27, 3, C_out)",
        lambda held: held.update({"stem.kernel": ((27, 4, 3), held["stem.kernel"][1])}),
    )
    attempt("bn1.bn.bias: shape (3,), expected (4,)", lambda held: held.update({"bn1.bn.bias": ((3,), [0.0] * 3)}))
    attempt("library: got", library="other")
    attempt("missing tensor stem.weight", library="spconv2")
    attempt("unknown fields stride", layers=[{"type": "subm", "name": "stem", "kernel": 3, "stride": 2}])
    attempt(
        "'eps' is needed", layers=[{"type": "subm", "name": "stem", "kernel": 3}, {"type": "batch_norm", "name": "bn1"}]
    )
    attempt("'kernel' is needed", layers=[{"type": "subm", "name": "stem"}])
    attempt("odd sizes, got (2, 2, 2)", layers=[{"type": "subm", "name": "stem", "kernel": 2}])
    attempt("no earlier layer nowhere", layers=[{"type": "relu", "from": "nowhere"}])
    attempt(
        "is no strided convolution",
        layers=[*description["layers"][:3], {"type": "inverse", "name": "up", "of": "stem"}],
    )
    attempt("minkowski has none", layers=[{"type": "conv", "name": "stem", "kernel": 3, "stride": 2, "padding": 1}])
    attempt("but minkowski has floor", support="reach")
    second, described = detection()
    torch_zip.write_checkpoint(path("state.pt"), second)
    for field, fragment in (("axes", "'axes' is needed"), ("shape", "'shape' is needed for layer a")):
        refused(
            fragment,
            fragment,
            lambda: convert(
                read_checkpoint(path("state.pt")),
                {key: value for key, value in described.items() if key != field},
                None,
                RUN,
            ),
        )
    torch_zip.write_checkpoint(path("ints.pt"), second, kind="i")
    refused(
        "dtype",
        "a.weight: int32, expected a float tensor",
        lambda: convert(read_checkpoint(path("ints.pt")), described, None, RUN),
    )
    held = {**tensors, "extra.kernel": ((8, 1, 1), [1.0] * 8)}
    torch_zip.write_checkpoint(path("state.pt"), held)
    convert(read_checkpoint(path("state.pt")), {**description, "ignore": ["extra.*"]}, None, None)
