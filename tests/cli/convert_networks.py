"""What converts, held to a dense convolution: layouts, support rules, whole networks."""

import array
import itertools
import math
import os
import random
import subprocess
import tempfile

from convert_support import (
    LIBRARIES,
    PROGRAM,
    RUN,
    cloud,
    dense_convolution,
    dense_kernel,
    detection,
    expect,
    graph_of,
    in_layout,
    norm,
    path,
    refused,
    run_artifact,
    unet,
    weight_key,
)

import torch_zip
from _convert.checkpoint_converter import convert, read_checkpoint
from _convert.golden_replay import Cloud, arrays_of
from _convert.safetensors_file import read_safetensors, write_safetensors


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


def case_crosses_and_channels():
    """MinkowskiEngine's HYPER_CROSS (the centre, then each axis up and down) and its channelwise kernels."""
    sizes, c_in, c_out = (5, 3, 1), 3, 2
    cross = [(2, 1, 0), (3, 1, 0), (4, 1, 0), (0, 1, 0), (1, 1, 0), (2, 2, 0), (2, 0, 0)]
    source = random.Random(8)
    for kind, stride, channelwise in itertools.product(("subm", "conv"), ((1, 1, 1), (2, 2, 1)), (False, True)):
        if kind == "subm" and stride != (1, 1, 1):
            continue
        outs = c_in if channelwise else c_out
        kernel = {place: 0.0 for place in itertools.product(range(outs), range(c_in), *(range(size) for size in sizes))}
        numbers = []
        for digits in cross:
            for ci, co in itertools.product(range(c_in), range(outs)):
                if channelwise and ci != co:
                    continue
                kernel[(co, ci, *digits)] = float(source.randint(1, 99))
                numbers.append(kernel[(co, ci, *digits)])
        shape = (7, c_in) if channelwise else (7, c_in, c_out)
        torch_zip.write_checkpoint(path("cross.pt"), {"c.kernel": (shape, numbers)})
        layer = {"type": kind, "name": "c", "kernel": list(sizes), "region": "cross", "channelwise": channelwise}
        if kind == "conv":
            layer["stride"] = list(stride)
        description = {"library": "minkowski", "channels": c_in, "layers": [layer]}
        conversion = convert(read_checkpoint(path("cross.pt")), description, path("cross"), RUN)
        x = cloud(c_in)
        dense = dense_convolution(x, kernel, outs, sizes, stride, (2, 1, 0))
        cells = {(c[0], *(c[i + 1] // stride[i] for i in range(3))) for c in x}
        expected = {cell: dense.get(cell, [0.0] * outs) for cell in cells}
        what = f"cross {kind} {stride} {channelwise}"
        expect(what, run_artifact(path("cross"), x, False) == expected)
        expect(f"{what}: no error", set(conversion.errors.values()) == {0.0})
        expect(f"{what}: groups", ("groups = 3" in graph_of(path("cross"))) == channelwise)
    layer.update(kernel=[5, 2, 1])
    refused("even cross", "a cross has odd sizes", lambda: convert({}, description, None, None))
    layer.update(kernel=[3, 3, 1])
    refused(
        "other cross",
        "expected (5, 3) of minkowski",
        lambda: convert(read_checkpoint(path("cross.pt")), description, None, None),
    )
    layer.update(region="ball")
    refused("region", "expected one of cube, cross", lambda: convert({}, description, None, None))
    layer.update(region="cube", channelwise=1)
    refused("channelwise", "channelwise: got 1", lambda: convert({}, description, None, None))
    layer.update(channelwise=True)
    refused(
        "spconv",
        "spconv2 has no such kernels",
        lambda: convert({}, {**description, "library": "spconv2", "axes": "xyz"}, None, None),
    )


def case_dense_output():
    """VoxelBackBone8x's end: an array (B, C D0, D1, D2), or (B, C, D0, D1, D2)."""
    for axes, fold in itertools.product(("xyz", "zyx"), (0, 1, 2, None)):
        tensors, description = detection(axes)
        description["layers"].append({"type": "to_dense", "name": "bev", "fold": fold})
        torch_zip.write_checkpoint(path("dense.pt"), tensors)
        conversion = convert(read_checkpoint(path("dense.pt")), description, path("dense"), RUN)
        expect(f"to_dense {axes} {fold}: replayed", conversion.errors["bev"] == 0.0 and conversion.errors[""] < 1e-6)
        x = cloud(2)
        with tempfile.TemporaryDirectory() as work:
            for file in ("graph.mlir", "weights.safetensors"):
                os.symlink(os.path.join(path("dense"), file), os.path.join(work, file))
            got = RUN(work, arrays_of("x", Cloud(x, (1, 1, 1))))["output"]
            values = got.values()
        # a: (11, 8, 6) -> (5, 4, 3); b: -> (2, 4, 3)
        shapes = {0: (6, 4, 3), 1: (12, 2, 3), 2: (9, 2, 4), None: (3, 2, 4, 3)}
        expect(f"to_dense {axes} {fold}: shape {got.shape}", got.shape[1:] == shapes[fold])
        expect(f"to_dense {axes} {fold}: some cells", any(values) and not all(values))
    refused(
        "last",
        "to_dense is the last layer",
        lambda: convert({}, {**description, "layers": [description["layers"][-1], {"type": "relu"}]}, None, None),
    )
    description["layers"][-1]["fold"] = 3
    refused("fold", "fold: got 3, expected 0, 1 or 2", lambda: convert({}, description, None, None))
    description["layers"][-1]["fold"] = 0
    refused(
        "no grid",
        "'shape' is needed for layer bev",
        lambda: convert(read_checkpoint(path("dense.pt")), {**description, "shape": None}, None, None),
    )


def case_birds_eye():
    """VoxelNeXt's end: three strides on one, summed over the first axis, then convolutions of two axes."""
    source = random.Random(12)

    def weights(*shape):
        return shape, [source.uniform(-1, 1) for _ in range(math.prod(shape))]

    tensors = {
        "a.weight": weights(3, 3, 3, 3, 2),
        "b.weight": weights(3, 3, 3, 3, 3),
        "c.weight": weights(3, 3, 3, 3, 3),
    }
    tensors.update({"out.weight": weights(4, 3, 3, 3), "shared.weight": weights(4, 3, 3, 4), "shared.bias": weights(4)})
    tensors.update(norm("bn", 4, source))
    half = {"type": "conv", "stride": 2, "padding": 1}
    layers = [
        {**half, "name": "a"},
        {**half, "name": "b"},
        {**half, "name": "c"},
        {"type": "bev", "name": "flat", "from": "a", "with": ["b", "c"]},
        {"type": "conv", "name": "out", "padding": [0, 1, 1]},
        {"type": "batch_norm", "name": "bn", "eps": 1e-3},
        {"type": "relu"},
        {"type": "subm", "name": "shared"},
    ]
    for axes, shape in itertools.product(("xyz", "zyx"), ([9, 8, 6], [8, 8, 6])):
        description = {"library": "spconv2", "axes": axes, "channels": 2, "shape": shape, "layers": layers}
        torch_zip.write_checkpoint(path("next.pt"), tensors)
        conversion = convert(read_checkpoint(path("next.pt")), description, path("next"), RUN)
        expect(f"bev {axes} {shape}: alone", conversion.errors["flat"] == 0.0)
        expect(f"bev {axes} {shape}: whole network", conversion.errors[""] < 1e-6)
        rows = run_artifact(path("next"), cloud(2), axes == "zyx")
        expect(f"bev {axes} {shape}: one layer of cells", rows and {cell[1] for cell in rows} == {0})
    narrow = [*layers[:2], {**half, "name": "c", "from": "a"}, {**layers[3], "from": "b", "with": ["a"]}]
    refused(
        "finer rows",
        "flat: a has the stride (2, 2, 2), expected multiples of (4, 4, 4)",
        lambda: convert(read_checkpoint(path("next.pt")), {**description, "layers": narrow}, None, None),
    )
    refused(
        "no grid",
        "'shape' is needed for layer flat",
        lambda: convert(read_checkpoint(path("next.pt")), {**description, "shape": None}, None, None),
    )
