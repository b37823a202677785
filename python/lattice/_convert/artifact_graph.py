"""The text of graph.mlir for described layers, in the lowest artifact version that says them (docs/artifact.md)."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Sequence, Tuple

from .checkpoint_layouts import Triple
from .network_layers import Layer

DIGESTS = {
    2: "1380f1e819fc0eb1af587202ecec3c14ec2c981d249333c5061f0263f82072ad",
    3: "5bdbc16b5ecd7456a5c1b4c54c0880e0ebd506e6e7ac29c5981f15ff9e2c14f8",
}
SPARSE = "!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>"
LAYOUTS = {"conv3d": "conv3d_o_xyz_i", "linear": "linear_o_i", "channel": "channel_c", "bias": "bias_c"}
ROLES = {"weight": "channel", "bias": "bias", "running_mean": "channel", "running_var": "channel"}  # of a norm


def _rows(channels: int) -> str:
    return f"tensor<?x{channels}xf32>"


def _float(value: float) -> str:
    text = f"{value:.12f}".rstrip("0")
    if value and abs(float(text or 0) - value) > 1e-7 * abs(value):
        text = f"{value:.9e}"
        return text if "." in text else text.replace("e", ".0e")
    return text + "0" if text.endswith(".") else text


class GraphWriter:
    """Operations in order; names are made from those of layers."""

    def __init__(self, zyx: bool) -> None:
        self.zyx = zyx
        self.version = 3 if zyx else 2
        self.lines: List[str] = []
        self.inputs: List[str] = []
        self.outputs: List[Tuple[str, str, str]] = []  # name, value, type
        self.types: Dict[str, str] = {}  # of layers that are not sparse
        self.names: Dict[str, str] = {}
        self.arguments: List[str] = []
        self.values: Dict[str, Tuple[str, int]] = {}  # layer: value, channels

    def fresh(self, stem: str) -> str:
        stem = re.sub(r"[^A-Za-z0-9_]", "_", stem)
        stem = stem if re.match(r"[A-Za-z_]", stem) else "n" + stem
        name, number = stem, 1
        while name in self.names:
            name, number = f"{stem}_{number}", number + 1
        self.names[name] = name
        return name

    def op(self, result: str, text: str) -> None:
        self.lines.append(f"    %{result} = lattice.{text}")

    def triple(self, value: Triple) -> str:
        x, y, z = reversed(value) if self.zyx else value
        return f"array<i64: {x}, {y}, {z}>"

    def input(self, name: str, channels: int, stride: Triple = (1, 1, 1)) -> None:
        coords, features, active = (self.fresh(f"{name}_{part}") for part in ("coords", "features", "active"))
        self.inputs += [f"{name}_coords", f"{name}_features", f"{name}_active"]
        self.arguments += [
            f"%{coords}: tensor<?x4xi32>",
            f"%{features}: {_rows(channels)}",
            f"%{active}: tensor<1xi32>",
        ]
        value = self.fresh(name)
        axes = ", axes = #lattice.axes<zyx>" if self.zyx else ""
        self.op(
            value,
            f"sparse.make %{coords}, %{features}, %{active} {{stride = {self.triple(stride)}, "
            f"coord_order = #lattice.coord<batch_x_y_z>{axes}}} : (tensor<?x4xi32>, {_rows(channels)}, tensor<1xi32>) -> {SPARSE}",
        )
        self.values[name] = (value, channels)

    def weight(self, layer: Layer, role: str, family: str) -> str:
        name = self.fresh(f"{layer.step.name}_{role}")
        key = f"{layer.step.name}.{role}"
        self.op(
            name,
            f'weight @{name} {{storage_key = "{key}", layout = #lattice.weight_layout<{LAYOUTS[family]}>, '
            f"packing = #lattice.packing<dense>}} : !lattice.weight<{family}, f32>",
        )
        return name

    def call(self, stem: str, name: str, operands: Sequence[Tuple[str, str]], attributes: str, result: str) -> str:
        value = self.fresh(stem)
        kinds = ", ".join(kind for _, kind in operands)
        braces = f" {{{attributes}}}" if attributes else ""
        self.op(value, f"{name} {', '.join('%' + operand for operand, _ in operands)}{braces} : ({kinds}) -> {result}")
        return value

    def convolution(self, layer: Layer, target: Optional[str]) -> str:
        step = layer.step
        operands = [(self.values[layer.sources[0]][0], SPARSE)]
        if target is not None:
            operands.append((self.values[target][0], SPARSE))
        operands.append((self.weight(layer, "weight", "conv3d"), "!lattice.weight<conv3d, f32>"))
        if "bias" in layer.params:
            operands.append((self.weight(layer, "bias", "bias"), "!lattice.weight<bias, f32>"))
        attributes = f"kernel_size = {self.triple(layer.kernel)}, "
        if step.kind != "subm":
            attributes += f"stride = {self.triple(layer.stride)}, padding = {self.triple(layer.padding)}, "
        attributes += f'dilation = {self.triple(layer.dilation)}, accumulation = "canonical_f32"'
        if step.kind == "conv" and layer.support == "reach":
            self.version = 3
            attributes += ", support = #lattice.support<reach>"
            attributes += f", bounds = {self.triple(layer.bounds)}" if layer.bounds else ""
        if step.channelwise and layer.c_out > 1:
            self.version = 3
            attributes += f", groups = {layer.c_out}"
        names = {
            "subm": "subm_conv3d",
            "conv": "conv3d",
            "inverse": "target_conv_transpose3d",
            "transpose": "conv_transpose3d",
        }
        return self.call(step.name, names[step.kind], operands, attributes, SPARSE)

    def on_rows(self, layer: Layer) -> str:
        """A layer that works on feature rows."""
        step, stem = layer.step, layer.step.name
        x, (given, made) = self.values[layer.sources[0]][0], (_rows(layer.c_in), _rows(layer.c_out))
        coords, rows, active = (self.fresh(f"{stem}_{part}") for part in ("c", "f", "a"))
        self.lines.append(
            f"    %{coords}, %{rows}, %{active} = lattice.sparse.decompose %{x} : {SPARSE} -> (tensor<?x4xi32>, {given}, tensor<1xi32>)"
        )
        operands, attributes, name = [(rows, given)], "", step.kind
        if step.kind.endswith("_norm"):
            for role in layer.params:
                operands.append((self.weight(layer, role, ROLES[role]), f"!lattice.weight<{ROLES[role]}, f32>"))
            attributes = f"eps = {_float(step.eps)} : f32"
        elif step.kind == "linear":
            operands.append((self.weight(layer, "weight", "linear"), "!lattice.weight<linear, f32>"))
            if "bias" in layer.params:
                operands.append((self.weight(layer, "bias", "bias"), "!lattice.weight<bias, f32>"))
        else:
            name = "activation"
            attributes = (
                f"kind = #lattice.activation<{step.kind}>, approximate = #lattice.gelu_approx<none>, "
                f"alpha = {_float(step.slope)} : f32, beta = 1.0 : f32, threshold = 20.0 : f32"
            )
        rows = self.call(f"{stem}_rows", name, operands, attributes, made)
        return self.call(stem, "sparse.with_features", [(x, SPARSE), (rows, made)], "", SPARSE)

    def join(self, layer: Layer) -> str:
        operands = [(self.values[source][0], SPARSE) for source in layer.sources]
        if layer.step.kind == "cat":
            self.version = 3 if len(operands) > 2 else self.version
            return self.call(layer.step.name, "sparse.cat", operands, "join = #lattice.join<inner>", SPARSE)
        attributes = (
            "op = #lattice.binary_op<add>, join = #lattice.join<inner>, lhs_fill = 0.0 : f32, rhs_fill = 0.0 : f32"
        )
        return self.call(layer.step.name, "sparse.binary", operands, attributes, SPARSE)

    def bev(self, layer: Layer) -> str:
        """Rows put together and summed, then summed along an axis."""
        name, self.version = layer.step.name, 3
        operands = [(self.values[source][0], SPARSE) for source in layer.sources]
        value = self.call(f"{name}_rows", "concat_reduce", operands, "duplicates = #lattice.duplicates<sum>", SPARSE)
        size = [1, 1, 1]
        size[layer.step.axis] = layer.height
        window = self.triple((size[0], size[1], size[2]))
        attributes = (
            f"mode = #lattice.pool_mode<sum>, kernel_size = {window}, stride = {window}, "
            f"padding = array<i64: 0, 0, 0>, dilation = array<i64: 1, 1, 1>"
        )
        return self.call(name, "pool3d", [(value, SPARSE)], attributes, SPARSE)

    def dense(self, layer: Layer) -> str:
        """(B, C, axes in the library's order), or with an axis folded into the channels."""
        assert layer.cells is not None
        self.version = 3
        fold = layer.step.axis
        axis = "none" if fold < 0 else ("zyx" if self.zyx else "xyz")[fold]
        kind = f"tensor<{'?x' * (5 if fold < 0 else 4)}f32>"
        self.types[layer.step.name] = kind
        attributes = (
            f"min_coord = array<i64: 0, 0, 0>, shape = {self.triple(layer.cells)}, batch_size = -1, "
            f"layout = #lattice.dense_layout<channels_first>, fold = #lattice.fold<{axis}>, outside = #lattice.outside<drop>"
            + (", axes = #lattice.axes<zyx>" if self.zyx else "")
        )
        return self.call(layer.step.name, "to_dense", [(self.values[layer.sources[0]][0], SPARSE)], attributes, kind)

    def layer(self, layer: Layer, target: Optional[str] = None) -> None:
        kind = layer.step.kind
        if kind in ("subm", "conv", "inverse", "transpose"):
            value = self.convolution(layer, target)
        elif kind in ("bev", "to_dense"):
            value = self.bev(layer) if kind == "bev" else self.dense(layer)
        else:
            value = self.join(layer) if kind in ("add", "cat") else self.on_rows(layer)
        self.values[layer.step.name] = (value, layer.c_out)

    def output(self, name: str, layer: str) -> None:
        self.outputs.append((name, self.values[layer][0], self.types.get(layer, SPARSE)))

    def text(self) -> str:
        def strings(values: Sequence[str]) -> str:
            return "[" + ", ".join(f'"{value}"' for value in values) + "]"

        roles = ["sparse_coords", "sparse_features", "sparse_active"] * (len(self.inputs) // 3)
        kinds = ", ".join(kind for _, _, kind in self.outputs)
        output_roles = ["sparse_tensor" if kind == SPARSE else "tensor" for _, _, kind in self.outputs]
        head = [
            "module attributes {",
            f"  lattice.ir_version = {self.version},",
            f'  lattice.schema_digest = "{DIGESTS[self.version]}",',
            f"  lattice.input_names = {strings(self.inputs)},",
            f"  lattice.input_roles = {strings(roles)},",
            f"  lattice.output_names = {strings([name for name, _, _ in self.outputs])},",
            f"  lattice.output_roles = {strings(output_roles)},",
            '  lattice.weight_file = "weights.safetensors"',
            "} {",
            f"  func.func @forward({', '.join(self.arguments)}) -> {kinds if len(self.outputs) == 1 else '(' + kinds + ')'} {{",
        ]
        values = ", ".join("%" + value for _, value, _ in self.outputs)
        return "\n".join([*head, *self.lines, f"    return {values} : {kinds}", "  }", "}", ""])


def network_graph(zyx: bool, name: str, channels: int, layers: Sequence[Layer], output: str) -> str:
    """A whole network: one sparse input, one output, sparse or dense."""
    writer = GraphWriter(zyx)
    writer.input(name, channels)
    made = {layer.step.name: layer for layer in layers}
    for layer in layers:
        writer.layer(layer, made[layer.step.of].sources[0] if layer.step.kind == "inverse" else None)
    writer.output(output, layers[-1].step.name)
    return writer.text()
