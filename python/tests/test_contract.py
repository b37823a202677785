"""lattice_contract: the dialect, the builder, the order of kernels; and plans made from records."""
import copy
import re
import subprocess
import sys

import lattice_contract
import numpy as np
import pytest
from conftest import random_rows, shared
from lattice_contract import (
    DIALECT_SCHEMA_DIGEST,
    LATTICE_DIALECT,
    MLIRModuleBuilder,
    SparseTensorType,
    TensorType,
    WeightType,
    centered_kernel_offsets,
    dense_packing,
    indexed_kernel_offsets,
    kernel_positions,
    kernel_row_permutation,
    quantized_packing,
    schema_digest,
    schema_fingerprint,
    sparse_kernel_offsets,
    submanifold_conv3d_f32_to_f64,
)

import lattice
from lattice import SparseTensor, artifact, ops

SPARSE = SparseTensorType("f32")
ROWS, POINTS, INDICES, ONE = (TensorType(f"tensor<{t}>") for t in ("?x4xf32", "?x3xf32", "?xi32", "1xi32"))
CUBE = {"kernel_size": (3, 3, 3), "stride": (1, 1, 1), "padding": (0, 0, 0), "dilation": (1, 1, 1)}


def test_every_name_is_there():
    text = open(shared("spec", "semantics.md"), encoding="utf-8").read()
    section = re.search(r"^### `lattice_contract` — 37 names\n(.*?)(?=^`mlx_lattice|\Z)", text, re.M | re.S).group(1)
    names = re.findall(r"`(\w+)`", section.split("):", 1)[1])
    assert len(names) == 37 and sorted(lattice_contract.__all__) == sorted(names)
    assert [name for name in names if not hasattr(lattice_contract, name)] == []
    assert lattice_contract.__version__ == lattice.__version__


def test_needs_nothing_else():
    code = "import sys, lattice_contract; assert not {'lattice', 'numpy', 'cffi', 'torch', 'mlx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_constants():
    assert (lattice_contract.CURRENT_DIALECT_VERSION, lattice_contract.ARTIFACT_GRAPH_FILE) == (2, "graph.mlir")
    assert lattice_contract.ARTIFACT_WEIGHT_FILE == "weights.safetensors"
    assert lattice_contract.CANONICAL_CONV3D_WEIGHT_LAYOUT == "conv3d_o_xyz_i"
    assert DIALECT_SCHEMA_DIGEST == "1380f1e819fc0eb1af587202ecec3c14ec2c981d249333c5061f0263f82072ad"


def test_schema():
    digest = schema_digest(LATTICE_DIALECT)
    assert digest["types"] == ("SparseTensor", "Weight") and len(digest["ops"]) == 31
    assert {"conv3d", "sparse.cat", "target_normalized_conv_transpose3d"} < set(digest["ops"])
    assert LATTICE_DIALECT.op_by_python_name("sparse_make").name == "sparse.make"
    assert LATTICE_DIALECT.qualified_op_name("sparse.make") == "lattice.sparse.make"
    assert LATTICE_DIALECT.resolve_op("lattice.conv3d") is LATTICE_DIALECT.resolve_op("conv3d")
    assert LATTICE_DIALECT.resolve_qualified_op("lattice.conv3d").python_name == "conv3d"
    assert [a.name for a in LATTICE_DIALECT.attrs["Packing"].parameters] == ["kind", "group_size", "scale_dtype", "mode"]
    for call, error in ((lambda: LATTICE_DIALECT.op_by_python_name("conv4d"), AttributeError), (lambda: LATTICE_DIALECT.resolve_op("conv4d"), KeyError)):
        with pytest.raises(error):
            call()
    assert schema_fingerprint(LATTICE_DIALECT) == DIALECT_SCHEMA_DIGEST
    other = copy.deepcopy(LATTICE_DIALECT)

    @other.op("mine", operands=[lattice_contract.operand("x", "Tensor")], results=[lattice_contract.result("y", "Tensor")])
    def mine():
        pass

    assert other.ops["mine"].python_name == "mine" and re.fullmatch("[0-9a-f]{64}", schema_fingerprint(other))
    assert schema_fingerprint(other) != DIALECT_SCHEMA_DIGEST
    with pytest.raises(ValueError, match="duplicate operation"):
        other.op("mine")


def test_kernel_rows():
    assert kernel_positions((2, 1, 2)) == ((0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1))
    assert indexed_kernel_offsets((3, 1, 1), 2) == ((0, 0, 0), (2, 0, 0), (4, 0, 0))
    assert centered_kernel_offsets((3, 1, 1)) == ((-1, 0, 0), (0, 0, 0), (1, 0, 0))
    assert sparse_kernel_offsets((3, 2, 1)) == tuple(ops.kernel_offsets((3, 2, 1)))
    assert sparse_kernel_offsets(3, (1, 2, 3)) == tuple(ops.kernel_offsets(3, (1, 2, 3)))
    assert kernel_row_permutation(((0, 0, 0), (1, 0, 0), (0, 0, 1), (1, 0, 1)), kernel_positions((2, 1, 2))) == (0, 2, 1, 3)
    for call, match in (
        (lambda: centered_kernel_offsets(2), "odd kernel_size"),
        (lambda: kernel_positions(0), "kernel_size values must be positive"),
        (lambda: kernel_positions((1, 2)), "3-tuple"),
        (lambda: kernel_row_permutation(((0, 0, 0),) * 2, kernel_positions((2, 1, 1))), "unique"),
        (lambda: kernel_row_permutation(kernel_positions(1), ((1, 0, 0),)), "same kernel positions"),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_binary64_reference():
    rng = np.random.default_rng(3)
    rows, size = random_rows(rng, 30, 4), (3, 1, 5)
    feats, weight, bias = (rng.normal(size=s).astype(np.float32) for s in ((30, 3), (15, 3, 2), (2,)))
    want = submanifold_conv3d_f32_to_f64(rows.tolist(), feats.tolist(), weight.tolist(), kernel_size=size, bias=bias.tolist())
    got = ops.subm_conv3d(SparseTensor(rows, feats), weight, bias, kernel_size=size).feats
    assert np.abs(got - np.array(want)).max() < 1e-5
    line = ((0, 0, 0, 0), (0, 1, 0, 0), (0, 2, 0, 0))  # the worked example of the specification
    assert submanifold_conv3d_f32_to_f64(line, [[1], [2], [3]], [[[1]], [[2]], [[3]]], kernel_size=(3, 1, 1)) == ((8.0,), (14.0,), (8.0,))
    for coords, taps, match in (
        (((0, 0, 0, 0),) * 2, [[[1.0]]], "unique"),
        (((0, 0, 0, 0), (0, 1, 0, 0)), [[[1.0]]] * 2, "weight kernel rows must match"),
        (((0, 0, 0, 0), (0, 1, 0, 0)), [[[1.0], [1.0]]], "weight input channels must match"),
        (((0, 0, 0), (0, 1, 0)), [[[1.0]]], "batch, x, y, z"),
    ):
        with pytest.raises(ValueError, match=match):
            submanifold_conv3d_f32_to_f64(coords, ((1.0,), (2.0,)), taps, kernel_size=1)


class Graph(MLIRModuleBuilder):
    """A builder with a sparse input and short words for what graphs are made of."""

    def __init__(self):
        super().__init__()
        parts = [("x_coords", TensorType("tensor<?x4xi32>"), "coords"), ("x_features", ROWS, "features"), ("x_active", ONE, "active")]
        self.parts = [self.argument(name, kind, role="sparse_" + role) for name, kind, role in parts]
        coords, features, active = self.parts
        self.x = self.sparse_make(
            coords=coords, features=features, active=active, stride=(2, 2, 2), coord_order="batch_x_y_z", result_type=SPARSE
        )

    def kept(self, family, layout, packing=None, elem="f32"):
        name = f"{family}{len(self._lines)}"
        return self.weight(
            sym_name=name, storage_key=name, layout=layout, packing=packing or dense_packing(), result_type=WeightType(family, elem)
        )

    def kernel(self):
        return self.kept("conv3d", "conv3d_o_xyz_i")


def build_everything():
    """A graph with every operation of the dialect."""
    g = Graph()
    points, indices = g.argument("points", POINTS), g.argument("indices", INDICES)
    features, active = g.parts[1:]
    w, b, c = g.kernel(), g.kept("bias", "bias_c"), g.kept("channel", "channel_c")
    packed = g.kept("conv3d", "conv3d_o_xyz_i", quantized_packing("int4", group_size=32), "i4")
    flat, table = g.kept("linear", "linear_o_i"), g.kept("embedding", "embedding_n_c")
    up = {"kernel_size": (2, 2, 2), "stride": (2, 2, 2), "result_type": SPARSE}
    wide = {**up, "padding": (0, 0, 0), "dilation": (1, 1, 1)}
    y = g.conv3d(input=g.x, weight=w, bias=b, **CUBE, result_type=SPARSE)
    y = g.subm_conv3d(input=y, weight=packed, kernel_size=(3, 3, 3), dilation=(1, 1, 1), result_type=SPARSE)
    y = g.normalized_subm_conv3d(input=y, weight=w, kernel_size=(3, 3, 3), dilation=(1, 1, 1), eps=1e-8, result_type=SPARSE)
    y = g.target_conv3d(input=y, target=g.x, weight=w, **CUBE, result_type=SPARSE)
    fine = [
        g.conv_transpose3d(input=y, weight=w, bias=b, **wide),
        g.normalized_conv_transpose3d(input=y, weight=w, eps=1e-8, **wide),
        g.generative_conv_transpose3d(input=y, weight=w, **up),
        g.normalized_generative_conv_transpose3d(input=y, weight=w, eps=1e-8, **up),
    ]
    for target in fine[:2]:
        g.target_conv_transpose3d(input=y, target=target, weight=w, **wide)
        g.target_normalized_conv_transpose3d(input=y, target=target, weight=w, eps=1e-8, **wide)
    g.pool_transpose3d(input=y, **wide)
    g.pool_transpose3d(input=y, target=fine[0], **wide)
    g.trilinear_upsample3d(input=y, stride=(2, 2, 2), result_type=SPARSE)
    g.pool3d(input=y, mode="avg", **CUBE, result_type=SPARSE)
    _, rows, _ = g.sparse_decompose(input=y, result_types=(TensorType("tensor<?x4xi32>"), ROWS, ONE))
    rows = g.linear(input=rows, weight=flat, bias=b, result_type=ROWS)
    gelu = {"kind": "gelu", "approximate": "tanh", "alpha": 0.01, "beta": 1.0, "threshold": 20.0}
    rows = g.activation(input=rows, **gelu, result_type=ROWS)
    rows = g.batch_norm(input=rows, scale=c, bias=b, mean=c, var=c, eps=1e-5, result_type=ROWS)
    rows = g.layer_norm(input=rows, scale=c, bias=b, eps=1e-5, result_type=ROWS)
    rows = g.rms_norm(input=rows, scale=c, eps=1e-5, result_type=ROWS)
    rows = g.softmax(input=g.elementwise(input=rows, kind="exp", result_type=ROWS), axis=-1, result_type=ROWS)
    g.embedding_lookup(input=indices, weight=table, result_type=ROWS)
    z = g.sparse_with_features(input=y, features=rows, result_type=SPARSE)
    z = g.sparse_binary(lhs=z, rhs=y, op="maximum", join="inner", lhs_fill=0.0, rhs_fill=-1.5, result_type=SPARSE)
    z = g.sparse_reindex(input=z, target=y, fill=0.0, result_type=SPARSE)
    z = g.sparse_cat(lhs=z, rhs=y, join="inner", result_type=SPARSE)
    box = {"voxel_size": (0.1, 0.1, 0.1), "origin": (0.0, 0.0, 0.0)}
    cells = g.voxelize(
        points=points, features=features, batch_indices=indices, active_rows=active, reduction="mean", stride=(1, 1, 1), **box,
        result_type=SPARSE,
    )  # fmt: skip
    per_point = g.devoxelize(
        points=points, voxels=cells, batch_indices=indices, point_active_rows=active, interpolation="linear", **box, result_type=ROWS
    )
    pooled = g.global_pool(input=z, mode="sum", batch_size=-1, result_type=ROWS)
    g.return_(z, per_point, pooled, names=["z", "per_point", "pooled"])
    return g.to_mlir()


def test_the_builder_writes_valid_graphs_of_every_operation():
    graph = build_everything()
    artifact.validate_lattice_graph(graph)
    names = {name[len("lattice.") :] for name in artifact.lattice_graph_operation_names(graph)}
    assert names == set(LATTICE_DIALECT.ops)
    plan = artifact.RuntimePlan(graph)
    assert [o.role for o in plan.outputs] == ["sparse_tensor", "tensor", "tensor"] and plan.ir_version == 2
    for text in ("eps = 0.00000001 : f32", "array<f64: 0.1, 0.1, 0.1>", "rhs_fill = -1.5 : f32", "lattice.weight @bias2 {", "%weight1 = "):
        assert text in graph


def test_what_the_builder_refuses():
    g = Graph()
    for call, error, match in (
        (lambda: g.conv4d(), AttributeError, "conv4d"),
        (lambda: g.pool3d(input=g.x, mode="avg", **CUBE), TypeError, "missing result_type"),
        (lambda: g.pool3d(mode="avg", **CUBE, result_type=SPARSE), TypeError, "missing operand: input"),
        (lambda: g.pool3d(input=g.x, mode="avg", kernel_size=2, result_type=SPARSE), TypeError, "missing attribute: stride"),
        (lambda: g.pool3d(input=g.x, mode="avg", **CUBE, color=1, result_type=SPARSE), TypeError, "unknown operands or attributes: color"),
        (lambda: g.pool3d(input=g.x, mode="most", **CUBE, result_type=SPARSE), ValueError, "sum, max, avg"),
        (lambda: g.pool3d(input=g.x, mode="avg", **{**CUBE, "stride": (1, 2)}, result_type=SPARSE), ValueError, "three values"),
        (lambda: g.sparse_decompose(input=g.x, result_types=(ROWS,)), ValueError, "result_types"),
        (lambda: g.argument("y", ROWS, role="sparse"), ValueError, "role"),
        (lambda: g.return_(), ValueError, "at least one value"),
        (lambda: g.return_(g.x, names=["a", "b"]), ValueError, "one for each"),
        (lambda: g.return_(g.x, roles=["sparse"]), ValueError, "role"),
        (lambda: g.to_mlir(), ValueError, "does not return"),
        (lambda: quantized_packing("int2", group_size=32), ValueError, "kind"),
        (lambda: quantized_packing("int4", group_size=0), ValueError, "group_size must be positive"),
        (lambda: quantized_packing("int4", group_size=32, scale_dtype="f64"), ValueError, "scale_dtype"),
        (lambda: quantized_packing("int4", group_size=32, mode="symmetric"), ValueError, "mode"),
    ):
        with pytest.raises(error, match=match):
            call()


RECORDS = {
    "ir_version": 2, "schema_digest": DIALECT_SCHEMA_DIGEST, "weight_file": "weights.safetensors", "name": "forward",
    "args": [
        {"name": "arg0", "abi_name": "x_coords", "type": "tensor<?x4xi32>", "role": "sparse_coords"},
        {"name": "arg1", "abi_name": "x_features", "type": ROWS.text, "role": "sparse_features"},
        {"name": "arg2", "abi_name": "x_active", "type": "tensor<1xi32>", "role": "sparse_active"},
    ],
    "ops": [
        {"name": "lattice.sparse.make", "operands": ["arg0", "arg1", "arg2"], "results": ["v3"],
         "attrs": {"stride": [1, 1, 1], "coord_order": "batch_x_y_z"},
         "operand_types": ["tensor<?x4xi32>", ROWS.text, "tensor<1xi32>"], "result_types": [SPARSE.to_mlir()]},
        {"name": "lattice.weight", "operands": [], "results": ["v4"],
         "attrs": {"sym_name": "w", "storage_key": "w", "layout": "conv3d_o_xyz_i", "packing": {"kind": "dense", "mode": "affine"}},
         "operand_types": [], "result_types": ["!lattice.weight<conv3d, f32>"]},
        {"name": "lattice.subm_conv3d", "operands": ["v3", "v4"], "results": ["v5"],
         "attrs": {"kernel_size": [3, 3, 3], "dilation": [1, 1, 1], "accumulation": "canonical_f32"},
         "operand_types": [SPARSE.to_mlir(), "!lattice.weight<conv3d, f32>"], "result_types": [SPARSE.to_mlir()]},
    ],
    "returns": ["v5"],
    "outputs": [{"name": "v5", "abi_name": "output", "type": SPARSE.to_mlir(), "role": "sparse_tensor"}],
}  # fmt: skip


def records(**changes):
    """RECORDS with `path__to__key=value`; numbers stand for places in lists."""
    found = copy.deepcopy(RECORDS)
    for path, value in changes.items():
        *way, last = [int(key) if key.isdigit() else key for key in path.split("__")]
        place = found
        for key in way:
            place = place[key]
        place[last] = value
    return found


def test_a_plan_of_records_runs():
    plan = artifact.RuntimePlan.from_native(RECORDS)
    same = artifact.RuntimePlan(plan.graph)
    assert [(o.name, o.operands, o.results) for o in plan.ops] == [(o.name, o.operands, o.results) for o in same.ops]
    assert (plan.args, plan.returns, plan.outputs) == (same.args, same.returns, same.outputs)
    assert plan.ops[2].definition is LATTICE_DIALECT.ops["subm_conv3d"] and plan.ops[2].attrs["kernel_size"] == (3, 3, 3)
    rng = np.random.default_rng(7)
    x = SparseTensor(random_rows(rng, 40, 4), rng.normal(size=(40, 4)).astype(np.float32))
    weight = rng.normal(size=(5, 3, 3, 3, 4)).astype(np.float32)
    y = artifact.LatticeProgram(plan, {"w": weight})(x)
    assert np.array_equal(y.feats, ops.subm_conv3d(x, weight).feats)


def test_a_plan_cannot_be_changed():
    plan = artifact.RuntimePlan.from_native(RECORDS)
    with pytest.raises(TypeError):
        plan.ops[0].attrs["stride"] = (2, 2, 2)
    with pytest.raises(TypeError):
        plan.ops[1].attrs["packing"]["kind"] = "int4"
    with pytest.raises(AttributeError):
        plan.graph = ""
    with pytest.raises(AttributeError):
        plan.ops[0].name = "lattice.conv3d"


def test_a_plan_without_types_does_not_run():
    raw = copy.deepcopy(RECORDS)
    for op in raw["ops"]:
        del op["operand_types"], op["result_types"]
    plan = artifact.RuntimePlan.from_native(raw)
    assert plan.ops[0].result_types == () and len(plan.ops) == 3
    with pytest.raises(RuntimeError, match="no graph to run"):
        artifact.LatticeProgram(plan, {})


INT4 = {"kind": "int4", "group_size": 32, "scale_dtype": "f16", "mode": "affine"}


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"ir_version": 3}, r"unsupported lattice.ir_version: 3 \(expected 2\)"),
        ({"schema_digest": "0"}, "unsupported lattice.schema_digest"),
        ({"weight_file": "w"}, "unsupported lattice.weight_file"),
        ({"name": "main"}, "entry must be forward"),
        ({"returns": []}, "at least one value"),
        ({"ops__0__name": "lattice.conv4d"}, "unknown lattice operation"),
        ({"ops__2__operands": ["v3"]}, "SSA operands"),
        ({"ops__2__operands": ["v3", "v4", "v4", "v4"]}, "SSA operands"),
        ({"ops__2__results": ["v5", "v6"]}, "1 results"),
        ({"ops__2__attrs": {"kernel_size": [3, 3, 3]}}, "missing required attrs: accumulation, dilation"),
        ({"ops__2__attrs__stride": [1, 1, 1]}, "unknown attrs: stride"),
        ({"ops__2__attrs__kernel_size": [3, 3]}, "three whole numbers"),
        ({"ops__2__attrs__kernel_size": [3, 3, 1.5]}, "three whole numbers"),
        ({"ops__2__attrs__accumulation": "f16"}, "accumulation must be canonical_f32"),
        ({"ops__0__attrs__coord_order": "x_y_z"}, "batch_x_y_z"),
        ({"ops__1__attrs__storage_key": 3}, "expected a string"),
        ({"ops__1__attrs__packing": "dense"}, "a record with the kind"),
        ({"ops__1__attrs__packing": {**INT4, "group_size": 0}}, "group_size must be positive"),
        ({"ops__1__attrs__packing": {**INT4, "scale_dtype": "f64"}}, "scale_dtype"),
        ({"ops__1__attrs__packing": {**INT4, "mode": "log"}}, "mode"),
        ({"ops__1__attrs__packing": {"kind": "int4"}}, "expected group_size, kind, mode, scale_dtype"),
        ({"ops__2__operand_types": ["x"]}, "operand_types: got 1, expected 2"),
        ({"ops__2__result_types": ["x", "y"]}, "result_types: got 2, expected 1"),
        ({"ops__2__results": ["v3"]}, "duplicate runtime value label"),
        ({"args__1__name": "arg0"}, "duplicate runtime value label"),
        ({"args__1__abi_name": "x_coords"}, "duplicate or empty ABI name"),
        ({"ops__2__operands": ["v9", "v4"]}, "uses undefined value"),
        ({"returns": ["v9"], "outputs__0__name": "v9"}, "return uses undefined value"),
        ({"outputs__0__name": "v3"}, "outputs must be those returned"),
        ({"args__0__role": "sparse"}, "unsupported role"),
        ({"outputs__0__role": "sparse_coords"}, "unsupported role"),
        ({"args__0": {"name": "arg0"}}, "lacks abi_name"),
        ({"ops__2__attrs__kernel_size": [2, 3, 3]}, "odd"),
    ],
)
def test_what_is_wrong_in_records(changes, match):
    with pytest.raises(ValueError, match=match):
        artifact.RuntimePlan.from_native(records(**changes))


@pytest.mark.parametrize("key", sorted(RECORDS))
def test_missing_records(key):
    raw = copy.deepcopy(RECORDS)
    del raw[key]
    with pytest.raises(KeyError, match=key):
        artifact.RuntimePlan.from_native(raw)
