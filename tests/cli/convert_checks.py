"""Converts checkpoints written by hand and holds the results to a dense convolution of this file's own.

usage: LATTICE_CLI=path/of/lattice convert_checks.py [CASE...]
"""

import array
import itertools
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "python", "lattice")]

import torch_zip  # noqa: E402
from _convert import checkpoint_layouts, network_layers  # noqa: E402
from _convert.checkpoint_converter import command_runner, convert, read_checkpoint  # noqa: E402
from _convert.golden_replay import Cloud, arrays_of, cloud_of  # noqa: E402
from _convert.safetensors_file import read_safetensors, write_safetensors  # noqa: E402
from _convert.torch_checkpoint import Refused, Tensor, read_torch_checkpoint  # noqa: E402

PROGRAM = os.environ["LATTICE_CLI"]
RUN = command_runner(PROGRAM)
LIBRARIES = ("spconv1", "spconv2", "spconv2-rskc", "minkowski", "torchsparse", "torch-lattice")
FOLDER = tempfile.TemporaryDirectory()
failures, checks = [], 0


def path(name):
    return os.path.join(FOLDER.name, name)


def expect(what, truth):
    global checks
    checks += 1
    if not truth:
        failures.append(what)
        print("FAILED:", what)


def refused(what, fragment, call):
    """The call is refused with a text that has the fragment."""
    try:
        call()
    except Refused as error:
        expect(f"{what}: '{error}' has no '{fragment}'", fragment in str(error))
    else:
        expect(f"{what}: not refused", False)


# --- a dense convolution, and kernels in each library's layout -------------------------------------------------------


def dense_kernel(c_out, c_in, sizes, seed=1):
    """{(co, ci, a, b, c): whole number}, all different, so that a wrong order cannot hide."""
    places = list(itertools.product(range(c_out), range(c_in), *(range(size) for size in sizes)))
    values = list(range(1, len(places) + 1))
    random.Random(seed).shuffle(values)
    return {place: float(value) for place, value in zip(places, values)}


def in_layout(library, kernel, c_out, c_in, sizes):
    """(shape, numbers) of a dense kernel as the library stores it."""
    k0, k1, k2 = sizes
    volume = k0 * k1 * k2
    shape = {
        "spconv1": (k0, k1, k2, c_in, c_out),
        "spconv2": (c_out, k0, k1, k2, c_in),
        "spconv2-rskc": (k0, k1, k2, c_out, c_in),
    }.get(library, (volume, c_in, c_out))
    numbers = [0.0] * (volume * c_in * c_out)
    for (co, ci, a, b, c), value in kernel.items():
        last_fastest, first_fastest = (a * k1 + b) * k2 + c, a + k0 * b + k0 * k1 * c
        if library == "spconv2":
            place = (co * volume + last_fastest) * c_in + ci
        elif library == "spconv2-rskc":
            place = (last_fastest * c_out + co) * c_in + ci
        elif library == "minkowski" or (library == "torchsparse" and volume % 2):
            place = (first_fastest * c_in + ci) * c_out + co
        else:
            place = (last_fastest * c_in + ci) * c_out + co
        numbers[place] = value
    return shape, numbers


def cloud(c_in, seed=3):
    source = random.Random(seed)
    cells = [(0, *cell) for cell in itertools.product(range(5), range(4), range(3))] + [(1, 0, 0, 0), (1, 4, 3, 2)]
    return {cell: [float(source.randint(-3, 3)) for _ in range(c_in)] for cell in cells if source.random() < 0.5}


def dense_convolution(x, kernel, c_out, sizes, stride, begin):
    """Every cell of a generous box: out = sum of kernel * input at out * stride - begin + digit; cells nothing reaches are left out."""
    out = {}
    for cell in itertools.product(range(2), *(range(-2, 8) for _ in range(3))):
        row, touched = [0.0] * c_out, False
        for digits in itertools.product(*(range(size) for size in sizes)):
            source = x.get((cell[0], *(cell[i + 1] * stride[i] - begin[i] + digits[i] for i in range(3))))
            if source is not None:
                touched = True
                for co in range(c_out):
                    row[co] += sum(kernel[(co, ci, *digits)] * value for ci, value in enumerate(source))
        if touched:
            out[cell] = row
    return out


def weight_key(library, name):
    return f"{name}.{'kernel' if library in ('minkowski', 'torchsparse') else 'weight'}"


def run_artifact(folder, x, zyx):
    """Rows of the output by cell along the library's axes."""
    with tempfile.TemporaryDirectory() as work:
        for file in ("graph.mlir", "weights.safetensors"):
            os.symlink(os.path.join(folder, file), os.path.join(work, file))
        return cloud_of(RUN(work, arrays_of("x", Cloud(x, (1, 1, 1)))), "output", zyx).rows


def graph_of(folder):
    with open(os.path.join(folder, "graph.mlir"), encoding="utf-8") as file:
        return file.read()


# --- cases -----------------------------------------------------------------------------------------------------------


def case_layouts():
    """Every library, both orders of axes: asymmetric kernel, strided, against the dense convolution."""
    sizes, stride, c_in, c_out = (3, 2, 1), (2, 2, 1), 3, 2
    for library, axes in itertools.product(LIBRARIES, ("xyz", "zyx")):
        kernel = dense_kernel(c_out, c_in, sizes)
        begin = (1, 0, 0)  # the centre of MinkowskiEngine's odd axis, padding of the others
        checkpoint, folder = path("layout.pt"), path(f"layout_{library}_{axes}")
        torch_zip.write_checkpoint(
            checkpoint, {weight_key(library, "conv"): in_layout(library, kernel, c_out, c_in, sizes)}
        )
        layer = {"type": "conv", "name": "conv", "kernel": list(sizes), "stride": list(stride)}
        if library != "minkowski":
            layer["padding"] = list(begin)
        description = {"library": library, "axes": axes, "channels": c_in, "shape": None, "layers": [layer]}
        conversion = convert(read_checkpoint(checkpoint), description, folder, RUN)
        x = cloud(c_in)
        expected = dense_convolution(x, kernel, c_out, sizes, stride, begin)
        if library == "minkowski":  # its outputs are the cells over an input, reached or not
            cells = {(c[0], c[1] // 2, c[2] // 2, c[3]) for c in x}
            expected = {cell: expected.get(cell, [0.0] * c_out) for cell in cells}
        expect(
            f"{library} {axes}: the artifact equals the dense convolution",
            run_artifact(folder, x, axes == "zyx") == expected,
        )
        expect(f"{library} {axes}: whole numbers have no error", set(conversion.errors.values()) == {0.0})
        version = 2 if library == "minkowski" and axes == "xyz" else 3
        expect(f"{library} {axes}: version {version}", f"lattice.ir_version = {version}," in graph_of(folder))
        expect(
            f"{library} {axes}: support recorded", ("support<reach>" in graph_of(folder)) == (library != "minkowski")
        )


def case_submanifold():
    """Odd kernels keep the coordinates; positions of torch-lattice are believed over any order."""
    sizes, c_in, c_out = (3, 1, 5), 2, 3
    for library in LIBRARIES:
        kernel = dense_kernel(c_out, c_in, sizes)
        shape, numbers = in_layout(library, kernel, c_out, c_in, sizes)
        tensors = {
            weight_key(library, "0"): (shape, numbers),
            "0.bias": ((1, 3) if library == "minkowski" else (3,), [1.0, 2.0, 3.0]),
        }
        if library == "torch-lattice":
            digits = list(itertools.product(*(range(size) for size in sizes)))
            order = list(range(15))
            random.Random(2).shuffle(order)
            block = c_in * c_out
            tensors[weight_key(library, "0")] = (
                shape,
                [v for k in order for v in numbers[k * block : (k + 1) * block]],
            )
            tensors["0.kernel_positions"] = (
                (15, 3),
                [p for k in order for p in (digits[k][0] - 1, digits[k][1], digits[k][2] - 2)],
            )
        torch_zip.write_checkpoint(path("subm.pt"), tensors, parameter=True)
        description = {
            "library": library,
            "axes": "xyz",
            "channels": c_in,
            "layers": [{"type": "subm", "name": "0", "kernel": list(sizes), "bias": True}],
        }
        folder = path(f"subm_{library}")
        convert(read_checkpoint(path("subm.pt")), description, folder, RUN)
        x = cloud(c_in)
        dense = dense_convolution(x, kernel, c_out, sizes, (1, 1, 1), (1, 0, 2))
        expected = {cell: [a + b for a, b in zip(dense[cell], (1, 2, 3))] for cell in x}
        expect(f"{library}: submanifold", run_artifact(folder, x, False) == expected)
        expect(f"{library}: version 2", "lattice.ir_version = 2," in graph_of(folder))


def norm(prefix, channels, source):
    return {
        f"{prefix}.{role}": ((channels,), [source.uniform(0.5, 1.5) for _ in range(channels)])
        for role in ("weight", "bias", "running_mean", "running_var")
    }


def unet(library, source):
    """A small network with a skip: its tensors and its description."""
    kernels = {"stem": (3, 4, (3, 3, 3)), "down": (4, 6, (2, 2, 2)), "mid": (6, 6, (3, 3, 3)), "up": (6, 4, (2, 2, 2))}
    tensors = {}
    for name, (c_in, c_out, sizes) in kernels.items():
        count = c_in * c_out * math.prod(sizes)
        shape, _ = in_layout(library, {}, c_out, c_in, sizes)
        tensors[weight_key(library, name)] = (shape, [source.uniform(-1, 1) for _ in range(count)])
    dot = ".bn" if library == "minkowski" else ""
    tensors.update(norm(f"bn1{dot}", 4, source))
    tensors[f"bn1{dot}.num_batches_tracked"] = ((), [7])
    tensors.update(norm(f"bn2{dot}", 6, source))
    dot = ".linear" if library == "minkowski" else ""
    tensors[f"head{dot}.weight"] = ((5, 8), [source.uniform(-1, 1) for _ in range(40)])
    tensors[f"head{dot}.bias"] = ((5,), [source.uniform(-1, 1) for _ in range(5)])
    layers = [
        {"type": "subm", "name": "stem", "kernel": 3},
        {"type": "batch_norm", "name": "bn1", "eps": 1e-5},
        {"type": "relu", "name": "skip"},
        {"type": "conv", "name": "down", "kernel": 2, "stride": 2},
        {"type": "batch_norm", "name": "bn2", "eps": 1e-3},
        {"type": "leaky_relu", "slope": 0.1},
        {"type": "subm", "name": "mid", "kernel": 3},
        {"type": "silu"},
        {"type": "add", "with": "bn2"},
        {"type": "inverse", "name": "up", "of": "down"},
        {"type": "cat", "with": "skip"},
        {"type": "linear", "name": "head"},
    ]
    return tensors, {"library": library, "axes": "xyz", "channels": 3, "shape": None, "layers": layers}


def case_networks():
    """Norms, activations, a skip and an inverse convolution; half precision; training checkpoints; safetensors."""
    for library, kind in (("minkowski", "e"), ("torchsparse", "b16"), ("spconv2", "d"), ("torch-lattice", "f")):
        tensors, description = unet(library, random.Random(4))
        wrap = {
            "minkowski": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"lr": 0.1, "steps": [1, 2, None]}},
            "spconv2": lambda s: {"model_state": s, "version": "1"},
            "torchsparse": lambda s: {"model": {"state_dict": s}},
        }.get(library)
        torch_zip.write_checkpoint(path("unet.pt"), tensors, wrap, kind)
        folder = path(f"unet_{library}")
        conversion = convert(read_checkpoint(path("unet.pt")), description, folder, RUN)
        expect(f"{library}: whole network replayed", 0.0 <= conversion.errors[""] < 1e-6)
        expect(
            f"{library}: eps recorded",
            "eps = 0.00001 : f32" in graph_of(folder) and "eps = 0.001 : f32" in graph_of(folder),
        )
        names = set(read_safetensors(os.path.join(folder, "weights.safetensors")))
        expect(
            f"{library}: Lattice names {names}",
            {"stem.weight", "bn1.running_var", "bn2.weight", "up.weight", "head.bias"} <= names,
        )
        valid = subprocess.run([PROGRAM, "validate", folder], capture_output=True, text=True)
        expect(f"{library}: lattice validate: {valid.stderr}", valid.returncode == 0)
    write_safetensors(
        path("unet.safetensors"), {name: (shape, array.array("f", values)) for name, (shape, values) in tensors.items()}
    )
    convert(read_checkpoint(path("unet.safetensors")), description, path("unet_safetensors"), RUN)
    expect("the same graph from safetensors", graph_of(path("unet_safetensors")) == graph_of(folder))


def detection(axes="zyx"):
    source = random.Random(9)
    tensors = {
        "a.weight": ((4, 3, 3, 3, 2), [source.uniform(-1, 1) for _ in range(216)]),
        "b.weight": ((3, 3, 1, 1, 4), [source.uniform(-1, 1) for _ in range(36)]),
    }
    layers = [
        {"type": "conv", "name": "a", "stride": 2, "padding": [0, 1, 1]},
        {"type": "conv", "name": "b", "kernel": [3, 1, 1], "stride": [2, 1, 1]},
    ]
    return tensors, {"library": "spconv2", "axes": axes, "channels": 2, "shape": [11, 8, 6], "layers": layers}


def case_bounds():
    """spconv's grid: outputs outside are dropped; sizes along z, y, x are recorded along x, y, z."""
    tensors, description = detection()
    torch_zip.write_checkpoint(path("second.pt"), tensors)
    conversion = convert(read_checkpoint(path("second.pt")), description, path("second"), RUN)
    graph = graph_of(path("second"))
    for text in (
        "bounds = array<i64: 6, 8, 11>",
        "padding = array<i64: 1, 1, 0>",
        "axes = #lattice.axes<zyx>",
        "bounds = array<i64: 3, 4, 5>",
        "kernel_size = array<i64: 1, 1, 3>",
        "stride = array<i64: 1, 1, 2>",
    ):
        expect(f"bounds: the graph has {text}", text in graph)
    expect("bounds: replayed", conversion.errors[""] < 1e-6)


def case_floor_rules():
    """TorchSparse takes the floor rule where strides are 1 or the kernel's size; its taps count from 0 all the same."""
    for sizes, stride, padding, rule in (
        ((3, 2, 2), (1, 2, 2), (1, 0, 0), "floor"),
        ((3, 2, 2), (1, 2, 2), (2, 1, 0), "floor"),
        ((2, 2, 2), (2, 2, 2), (0, 0, 0), "floor"),
        ((3, 3, 3), (3, 3, 3), (0, 0, 0), "reach"),
    ):
        kernel = dense_kernel(2, 2, sizes)
        layer = {"type": "conv", "name": "c", "kernel": list(sizes), "stride": list(stride), "padding": list(padding)}
        torch_zip.write_checkpoint(path("floor.pt"), {"c.kernel": in_layout("torchsparse", kernel, 2, 2, sizes)})
        description = {"library": "torchsparse", "channels": 2, "shape": [5, 4, 3], "layers": [layer]}
        convert(read_checkpoint(path("floor.pt")), description, path("floor"), RUN)
        x = cloud(2)
        dense = dense_convolution(x, kernel, 2, sizes, stride, padding)
        cells = {(c[0], *(c[i + 1] // stride[i] for i in range(3))) for c in x}
        expected = {cell: dense.get(cell, [0.0, 0.0]) for cell in cells}
        expect(f"floor {sizes} {stride} {padding}", run_artifact(path("floor"), x, False) == expected)
        version = 2 if rule == "floor" else 3
        expect(f"{rule} recorded", f"lattice.ir_version = {version}," in graph_of(path("floor")))
        expect("nothing is cropped", "bounds" not in graph_of(path("floor")))
        refused(
            "shape",
            "'shape' is needed",
            lambda: convert(
                read_checkpoint(path("floor.pt")),
                {"library": "torchsparse", "channels": 2, "layers": [{**layer, "stride": 4}]},
                None,
                None,
            ),
        )
    layer.update(kernel=[3, 3, 3], stride=[1, 3, 3])
    refused(
        "uncentred taps",
        "no operation says less",
        lambda: convert(read_checkpoint(path("floor.pt")), description, None, None),
    )


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


def case_tensors():
    """Dtypes, views that are not contiguous, storages that tensors share."""
    values = [1.5, -2.0, 0.25, 3.0, 65504.0, -0.125]
    for kind in ("f", "d", "e", "b16"):
        held = [60928.0 if kind == "b16" and v == 65504.0 else v for v in values]
        state = {
            "a": torch_zip.Stored("0", kind, 6, (2, 3)),
            "t": torch_zip.Stored("0", kind, 6, (3, 2), (1, 3)),
            "tail": torch_zip.Stored("0", kind, 6, (2,), (1,), 4),
            "wide": torch_zip.Stored("0", kind, 6, (2, 2), (0, 1), 1),
            "one": torch_zip.Stored("0", kind, 6, (), (), 2),
        }
        torch_zip.write_zip(
            path("t.pt"),
            b"\x80\x02" + torch_zip.tree(state) + b".",
            {"0": torch_zip.pack(kind, held)},
            extra=[("archive/byteorder", b"little")],
        )
        read = read_torch_checkpoint(path("t.pt"))
        v = held
        for name, numbers in {
            "a": v,
            "t": [v[0], v[3], v[1], v[4], v[2], v[5]],
            "tail": v[4:],
            "wide": [v[1], v[2]] * 2,
            "one": [v[2]],
        }.items():
            expect(f"{kind} {name}: {list(read[name].values())}", list(read[name].values()) == numbers)
    state = {"n": torch_zip.Stored("0", "q", 2, (2,)), "flag": torch_zip.Stored("1", "?", 2, (2,))}
    torch_zip.write_zip(
        path("t.pt"),
        b"\x80\x02" + torch_zip.tree(state) + b".",
        {"0": torch_zip.pack("q", [-5, 1 << 40]), "1": b"\x01\x00"},
    )
    read = read_torch_checkpoint(path("t.pt"))
    expect("int64", list(read["n"].values()) == [-5, 1 << 40] and list(read["flag"].values()) == [1, 0])


def case_hostile():
    """Pickles that would do something, and files that lie. None is run, all are named."""
    marker = path("marker")
    call = b"(" + torch_zip.text(f"touch {marker}") + b"t"
    good = {"w": torch_zip.Stored("0", "f", 4, (2, 2))}

    def attempt(fragment, pickle, storages=None, **options):
        torch_zip.write_zip(
            path("h.pt"), b"\x80\x02" + pickle, {"0": bytes(16)} if storages is None else storages, **options
        )
        refused(fragment, fragment, lambda: read_torch_checkpoint(path("h.pt")))

    def view(**changes):
        return (
            torch_zip.tree({"w": torch_zip.Stored(**{**dict(key="0", kind="f", count=4, shape=(2, 2)), **changes})})
            + b"."
        )

    attempt("names 'posix system'", torch_zip.glob("posix", "system") + call + b"R.")
    attempt("names 'os system'", torch_zip.text("os") + torch_zip.text("system") + b"\x93" + call + b"R.")
    attempt("names 'builtins eval'", b"}(" + torch_zip.text("w") + torch_zip.glob("builtins", "eval") + call + b"Ru.")
    attempt("uses INST", b"(" + torch_zip.text("x") + b"ios\nsystem\n.")
    attempt("uses NEWOBJ", torch_zip.glob("collections", "OrderedDict") + b")\x81.")
    attempt("calls 'torch FloatStorage'", torch_zip.glob("torch", "FloatStorage") + call + b"R.")
    attempt("would call something", torch_zip.tree("x") + call + b"R.")
    attempt("gives attributes", b"]}b.")
    attempt("holds no dictionary", b"].")
    attempt("no tensors", torch_zip.tree({"epoch": 3}) + b".")
    attempt("before seeing STOP", torch_zip.tree(good))
    attempt("pickle is damaged", b"h\x07.")
    attempt("pickle is damaged", b"a.")
    attempt("uses EMPTY_SET", b"\x8f.")
    attempt("uses EXT1", b"\x82\x01.")
    attempt("key that is neither text nor number", b"}())s.")
    attempt("leaves storage 0", view(offset=1))
    attempt("leaves storage 0", view(strides=(3, 2)))
    attempt("tensor record with offset 0", view(strides=(-2, 1)))
    attempt("repeats the 4 values", view(shape=(1 << 20, 1 << 20), strides=(0, 0)))
    attempt("no file, expected 16 bytes", view(key="9"))
    attempt("without a plain name", view(key="../0"))
    attempt("16 bytes, expected 4000 bytes", view(count=1000))
    attempt("compressed", view(), compress=zipfile.ZIP_DEFLATED)
    attempt("2 files named data.pkl", view(), extra=[("other/data.pkl", b".")])
    attempt("byte order 'big'", view(), extra=[("archive/byteorder", b"big")])
    with open(path("old.pt"), "wb") as file:
        file.write(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    refused("old form", "before 1.6", lambda: read_torch_checkpoint(path("old.pt")))
    with open(path("h.pt"), "rb") as file:
        data = file.read()
    for cut in range(10, len(data), 37):
        with open(path("cut.pt"), "wb") as file:
            file.write(data[:cut])
        refused(f"cut at {cut}", "cut.pt", lambda: read_torch_checkpoint(path("cut.pt")))
    for text, fragment in (
        (b"", "no safetensors file"),
        (b"\xff" * 16, "no safetensors file"),
        (b"\x02\0\0\0\0\0\0\0[]", "is no object"),
        (b'\x08\0\0\0\0\0\0\0{"a":{}}', "a: dtype, shape or data_offsets missing"),
    ):
        with open(path("h.safetensors"), "wb") as file:
            file.write(text)
        refused(fragment, fragment, lambda: read_safetensors(path("h.safetensors")))
    expect("nothing of a pickle was run", not os.path.exists(marker))


def case_command():
    """The tool as a user runs it."""
    tensors, description = detection()
    torch_zip.write_checkpoint(path("tool.pth"), tensors)
    with open(path("tool.json"), "w", encoding="utf-8") as file:
        json.dump(description, file)
    tool = [
        sys.executable,
        "-B",
        os.path.join(ROOT, "tools", "convert_checkpoint.py"),
        path("tool.pth"),
        path("tool.json"),
        path("tool"),
    ]
    done = subprocess.run(tool, capture_output=True, text=True, env={**os.environ, "LATTICE_CLI": PROGRAM})
    expect(
        f"tool: {done.stderr}", done.returncode == 0 and "a.weight 4x3x3x3x2 -> a.weight 4x3x3x3x2: conv" in done.stdout
    )
    expect(
        f"tool: {done.stdout}", "support reach" in done.stdout and "golden kernel of spconv2: error 0" in done.stdout
    )
    done = subprocess.run([*tool, "--lattice", path("none")], capture_output=True, text=True)
    expect(f"tool without program: {done.stderr}", done.returncode == 1 and "to replay with" in done.stderr)


def main(names):
    for name, case in list(globals().items()):
        if name.startswith("case_") and (not names or name[5:] in names):
            case()
    print(f"{checks} checks, {len(failures)} failed")
    return 1 if failures or not checks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
