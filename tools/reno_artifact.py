#!/usr/bin/env python3
"""Turns a RENO checkpoint (torch zip file) into a codec folder that `lattice compress --model` reads.

    reno_artifact.py CHECKPOINT.pt FOLDER
    reno_artifact.py --random CHANNELS SEED FOLDER      a network of that width with random weights, for tests

FOLDER/trunk  artifact: coarse voxels and their occupancy codes, occupied children -> features, P(low 4 bits)
FOLDER/high   artifact: features and the known low 4 bits of every child -> P(high 4 bits)

Only tensors are read: the pickle inside the zip is walked, never run (python/lattice/_convert/torch_checkpoint.py).

The checkpoint keeps kernels as (tap, C_in, C_out) with x the fastest tap axis; an artifact wants
(C_out, Kx, Ky, Kz, C_in).
"""
import array
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python", "lattice"))

from _convert.safetensors_file import write_safetensors  # noqa: E402
from _convert.torch_checkpoint import Refused, read_torch_checkpoint  # noqa: E402

DIGEST = "1380f1e819fc0eb1af587202ecec3c14ec2c981d249333c5061f0263f82072ad"
SPARSE = "!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>"


def read_checkpoint(path):
    """{name: (shape, array of float32)} of a torch zip file."""
    tensors = read_torch_checkpoint(path)
    for name, tensor in tensors.items():
        if tensor.dtype != "float32":
            raise Refused(f"{name}: {tensor.dtype}, expected float32")
    return {name: (tensor.shape, tensor.values()) for name, tensor in tensors.items()}


def random_checkpoint(channels, seed):
    source = random.Random(seed)
    tensors = {}
    for name, shape in checkpoint_shapes(channels).items():
        count = 1
        for size in shape:
            count *= size
        tensors[name] = (shape, array.array("f", (source.uniform(-0.2, 0.2) for _ in range(count))))
    return tensors


def checkpoint_shapes(channels):
    shapes = {"prior_embedding.weight": (256, channels), "target_embedding.target_res_embedding.weight": (8, channels),
              "pred_head_s1_emb.weight": (16, channels)}
    for side in ("prior", "target"):
        for layer in ("0", "2.conv0", "2.conv1", "3.conv0", "3.conv1"):
            shapes[f"{side}_resnet.{layer}.kernel"] = (27, channels, channels)
    for head in ("pred_head_s0", "pred_head_s1"):
        shapes.update({f"{head}.0.weight": (channels, channels), f"{head}.0.bias": (channels,),
                       f"{head}.2.weight": (16, channels), f"{head}.2.bias": (16,)})
    return shapes


def artifact_kernel(shape, values):
    """(tap, C_in, C_out), x fastest -> (C_out, 3, 3, 3, C_in)."""
    _, c_in, c_out = shape
    out = array.array("f")
    for co in range(c_out):
        for ix in range(3):
            for iy in range(3):
                for iz in range(3):
                    start = (ix + 3 * iy + 9 * iz) * c_in * c_out + co
                    out.extend(values[start : start + c_in * c_out : c_out])
    return (c_out, 3, 3, 3, c_in), out


class Graph:
    """Text of one artifact; `lines` are its operations in order."""

    def __init__(self, channels, inputs, outputs, roles):
        self.rows = f"tensor<?x{channels}xf32>"
        self.inputs, self.outputs, self.roles = inputs, outputs, roles
        self.lines, self.names = [], set()

    def op(self, result, text):
        self.lines.append(f"    %{result} = lattice.{text}")
        return result

    def weight(self, key, family, layout):
        name = key.replace(".", "_")
        if name not in self.names:
            self.names.add(name)
            self.op(name, f'weight @{name} {{storage_key = "{key}", layout = #lattice.weight_layout<{layout}>, '
                          f"packing = #lattice.packing<dense>}} : !lattice.weight<{family}, f32>")
        return name

    def embedding(self, result, indices, key):
        weight = self.weight(key, "embedding", "embedding_n_c")
        return self.op(result, f"embedding_lookup %{indices}, %{weight} : (tensor<?xi32>, !lattice.weight<embedding, f32>) -> {self.rows}")

    def make(self, result, coords, features, active, stride):
        return self.op(result, f"sparse.make %{coords}, %{features}, %{active} {{stride = array<i64: {stride}, {stride}, {stride}>, "
                               f"coord_order = #lattice.coord<batch_x_y_z>}} : (tensor<?x4xi32>, {self.rows}, tensor<1xi32>) -> {SPARSE}")

    def conv(self, result, x, key):
        weight = self.weight(key, "conv3d", "conv3d_o_xyz_i")
        return self.op(result, f"subm_conv3d %{x}, %{weight} {{kernel_size = array<i64: 3, 3, 3>, dilation = array<i64: 1, 1, 1>, "
                               f'accumulation = "canonical_f32"}} : ({SPARSE}, !lattice.weight<conv3d, f32>) -> {SPARSE}')

    def features(self, result, x):
        self.op(f"{result}_c, %{result}, %{result}_a", f"sparse.decompose %{x} : {SPARSE} -> (tensor<?x4xi32>, {self.rows}, tensor<1xi32>)")
        return result

    def relu_rows(self, result, rows):
        return self.op(result, f"activation %{rows} {{kind = #lattice.activation<relu>, approximate = #lattice.gelu_approx<none>, "
                               f"alpha = 0.01 : f32, beta = 1.0 : f32, threshold = 20.0 : f32}} : ({self.rows}) -> {self.rows}")

    def with_features(self, result, x, rows):
        return self.op(result, f"sparse.with_features %{x}, %{rows} : ({SPARSE}, {self.rows}) -> {SPARSE}")

    def relu(self, result, x):
        return self.with_features(result, x, self.relu_rows(f"{result}_r", self.features(f"{result}_f", x)))

    def add(self, result, a, b):
        return self.op(result, f"sparse.binary %{a}, %{b} {{op = #lattice.binary_op<add>, join = #lattice.join<inner>, "
                               f"lhs_fill = 0.0 : f32, rhs_fill = 0.0 : f32}} : ({SPARSE}, {SPARSE}) -> {SPARSE}")

    def resnet(self, side, x):
        x = self.relu(f"{side}0", self.conv(f"{side}0_y", x, f"{side}_resnet.0.kernel"))
        for block in (2, 3):
            name = f"{side}{block}"
            y = self.relu(f"{name}_h", self.conv(f"{name}_y0", x, f"{side}_resnet.{block}.conv0.kernel"))
            y = self.conv(f"{name}_y1", y, f"{side}_resnet.{block}.conv1.kernel")
            x = self.relu(name, self.add(f"{name}_s", y, x))
        return x

    def linear(self, result, rows, key, width):
        weight, bias = self.weight(f"{key}.weight", "linear", "linear_o_i"), self.weight(f"{key}.bias", "bias", "bias_c")
        return self.op(result, f"linear %{rows}, %{weight}, %{bias} : ({self.rows}, !lattice.weight<linear, f32>, !lattice.weight<bias, f32>) -> {width}")

    def head(self, result, rows, key):
        hidden = self.relu_rows(f"{result}_h", self.linear(f"{result}_l", rows, f"{key}.0", self.rows))
        logits = self.linear(f"{result}_z", hidden, f"{key}.2", "tensor<?x16xf32>")
        return self.op(result, f"softmax %{logits} {{axis = -1}} : (tensor<?x16xf32>) -> tensor<?x16xf32>")

    def text(self, results):
        def strings(values):
            return "[" + ", ".join(f'"{value}"' for value in values) + "]"
        names = [name for name, _ in self.inputs]
        arguments = ", ".join(f"%{name}: {kind}" for name, kind in self.inputs)
        kinds = ", ".join(kind for _, kind in results)
        values = ", ".join(f"%{name}" for name, _ in results)
        lines = ["module attributes {", "  lattice.ir_version = 2,", f'  lattice.schema_digest = "{DIGEST}",',
                 f"  lattice.input_names = {strings(names)},", f"  lattice.input_roles = {strings(self.roles)},",
                 f"  lattice.output_names = {strings(self.outputs)},", f'  lattice.output_roles = {strings(["tensor"] * len(self.outputs))},',
                 '  lattice.weight_file = "weights.safetensors"', "} {", f"  func.func @forward({arguments}) -> ({kinds}) {{"]
        return "\n".join(lines + self.lines + [f"    return {values} : {kinds}", "  }", "}", ""])


def trunk_graph(channels):
    inputs = [("parent_coords", "tensor<?x4xi32>"), ("parent_codes", "tensor<?xi32>"), ("parent_active", "tensor<1xi32>"),
              ("child_coords", "tensor<?x4xi32>"), ("child_octants", "tensor<?xi32>"), ("child_active", "tensor<1xi32>")]
    g = Graph(channels, inputs, ["features", "low"], ["tensor"] * len(inputs))
    parents = g.make("parents", "parent_coords", g.embedding("parent_rows", "parent_codes", "prior_embedding.weight"), "parent_active", 2)
    prior = g.resnet("prior", parents)
    children = g.make("children", "child_coords", g.embedding("child_rows", "child_octants", "target_embedding.target_res_embedding.weight"),
                      "child_active", 1)
    up = g.op("up", f"pool_transpose3d %{prior}, %{children} {{kernel_size = array<i64: 2, 2, 2>, stride = array<i64: 2, 2, 2>, "
                    f"padding = array<i64: 0, 0, 0>, dilation = array<i64: 1, 1, 1>}} : ({SPARSE}, {SPARSE}) -> {SPARSE}")
    rows = g.features("features", g.resnet("target", g.add("joined", up, children)))
    low = g.head("low", rows, "pred_head_s0")
    return g.text([(rows, g.rows), (low, "tensor<?x16xf32>")])


def high_graph(channels):
    rows = f"tensor<?x{channels}xf32>"
    inputs = [("child_coords", "tensor<?x4xi32>"), ("child_features", rows), ("child_active", "tensor<1xi32>"), ("child_low", "tensor<?xi32>")]
    g = Graph(channels, inputs, ["high"], ["tensor"] * len(inputs))
    children = g.make("children", "child_coords", "child_features", "child_active", 1)
    known = g.with_features("known", children, g.embedding("low_rows", "child_low", "pred_head_s1_emb.weight"))
    joined = g.features("joined", g.add("sum", children, known))
    return g.text([(g.head("high", joined, "pred_head_s1"), "tensor<?x16xf32>")])


def write_artifact(folder, graph, tensors):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "graph.mlir"), "w", encoding="utf-8") as file:
        file.write(graph)
    write_safetensors(os.path.join(folder, "weights.safetensors"), dict(sorted(tensors.items())))


def convert(tensors, folder):
    channels = tensors["prior_embedding.weight"][0][1] if "prior_embedding.weight" in tensors else 0
    expected = checkpoint_shapes(channels)
    extra = {"fog.conv.kernel": (8, 1, 1)}  # all ones: lat_occupancy_downsample does its work
    for name, shape in expected.items():
        if name not in tensors:
            raise Refused(f"missing tensor {name} {shape}")
        if tensors[name][0] != shape:
            raise Refused(f"{name}: shape {tensors[name][0]}, expected {shape}")
    for name, (shape, _) in tensors.items():
        if name not in expected and extra.get(name) != shape:
            raise Refused(f"unexpected tensor {name} {shape}")
    parts = {"trunk": {}, "high": {}}
    for name in expected:
        shape, values = tensors[name]
        part = "high" if name.startswith("pred_head_s1") else "trunk"
        parts[part][name] = artifact_kernel(shape, values) if name.endswith(".kernel") else (shape, values)
    write_artifact(os.path.join(folder, "trunk"), trunk_graph(channels), parts["trunk"])
    write_artifact(os.path.join(folder, "high"), high_graph(channels), parts["high"])
    count = sum(len(values) for part in parts.values() for _, values in part.values())
    print(f"{folder}: {channels} channels, {count} values")


def main(arguments):
    try:
        if len(arguments) == 4 and arguments[0] == "--random":
            convert(random_checkpoint(int(arguments[1]), int(arguments[2])), arguments[3])
        elif len(arguments) == 2:
            convert(read_checkpoint(arguments[0]), arguments[1])
        else:
            print(__doc__.strip().splitlines()[2:4], file=sys.stderr)
            return 2
    except (Refused, OSError, KeyError, ValueError, IndexError) as error:
        print(f"reno_artifact: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
