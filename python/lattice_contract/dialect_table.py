"""The dialect of artifacts of version 2: its types, attributes and operations (docs/artifact.md)."""
from __future__ import annotations

from .dialect_schema import (
    AttrDef,
    DialectSchema,
    OpAttributeDef,
    OpDef,
    OperandDef,
    TypeDef,
    attr_param,
    op_attr,
    operand,
    result,
    text_fingerprint,
    type_param,
)

CURRENT_DIALECT_VERSION = 2
ARTIFACT_GRAPH_FILE = "graph.mlir"
ARTIFACT_WEIGHT_FILE = "weights.safetensors"
CANONICAL_CONV3D_WEIGHT_LAYOUT = "conv3d_o_xyz_i"
# What artifacts of version 2 carry: the fingerprint of the published declaration of this dialect, which differs from ours in
# its wording and therefore in its SHA-256.
DIALECT_SCHEMA_DIGEST = "1380f1e819fc0eb1af587202ecec3c14ec2c981d249333c5061f0263f82072ad"
CANONICAL_ACCUMULATION = "canonical_f32"

# mnemonic: name, words
_WORDS = {
    "coord": ("Coord", "batch_x_y_z"),
    "feature_layout": ("FeatureLayout", "row_channel"),
    "weight_layout": ("WeightLayout", "conv3d_o_xyz_i linear_o_i embedding_n_c channel_c bias_c"),
    "pool_mode": ("PoolMode", "sum max avg"),
    "voxel_reduction": ("VoxelReduction", "sum mean"),
    "point_interpolation": ("PointInterpolation", "nearest linear"),
    "activation": ("Activation", "relu sigmoid gelu silu leaky_relu tanh softplus"),
    "gelu_approx": ("GeluApprox", "none precise tanh fast"),
    "binary_op": ("BinaryOp", "add sub mul maximum minimum"),
    "join": ("Join", "inner left right outer"),
}

_GEOMETRY = "kernel_size:i64_triple stride:i64_triple padding:i64_triple dilation:i64_triple"
_SUMS = "accumulation:str"

# name | operands (`?` may be left out) | attributes (a kind after `:`) | results
_OPERATIONS = f"""
weight | @symbol | storage_key:str layout:weight_layout packing:packing | weight
sparse.make | coords features active | stride:i64_triple coord_order:coord | sparse
sparse.decompose | ~input | | tensor tensor tensor
sparse.with_features | ~input features | | sparse
sparse.reindex | ~input ~target | fill:f32 | sparse
conv3d | ~input !weight !bias? | {_GEOMETRY} {_SUMS} | sparse
subm_conv3d | ~input !weight !bias? | kernel_size:i64_triple dilation:i64_triple {_SUMS} | sparse
normalized_subm_conv3d | ~input !weight !bias? | kernel_size:i64_triple dilation:i64_triple eps:f32 {_SUMS} | sparse
target_conv3d | ~input ~target !weight !bias? | {_GEOMETRY} {_SUMS} | sparse
conv_transpose3d | ~input !weight !bias? | {_GEOMETRY} {_SUMS} | sparse
target_conv_transpose3d | ~input ~target !weight !bias? | {_GEOMETRY} {_SUMS} | sparse
normalized_conv_transpose3d | ~input !weight !bias? | {_GEOMETRY} eps:f32 {_SUMS} | sparse
target_normalized_conv_transpose3d | ~input ~target !weight !bias? | {_GEOMETRY} eps:f32 {_SUMS} | sparse
generative_conv_transpose3d | ~input !weight !bias? | kernel_size:i64_triple stride:i64_triple {_SUMS} | sparse
normalized_generative_conv_transpose3d | ~input !weight !bias? | kernel_size:i64_triple stride:i64_triple eps:f32 {_SUMS} | sparse
pool3d | ~input | mode:pool_mode {_GEOMETRY} | sparse
pool_transpose3d | ~input ~target? | {_GEOMETRY} | sparse
trilinear_upsample3d | ~input ~target? | stride:i64_triple | sparse
global_pool | ~input | mode:pool_mode batch_size:i64 | tensor
voxelize | points features batch_indices active_rows | voxel_size:f64_triple origin:f64_triple reduction:voxel_reduction stride:i64_triple | sparse
devoxelize | points ~voxels batch_indices point_active_rows | voxel_size:f64_triple origin:f64_triple interpolation:point_interpolation | tensor
linear | input !weight !bias? | | tensor
embedding_lookup | input !weight | | tensor
elementwise | input | kind:str | tensor
softmax | input | axis:i64 | tensor
activation | input | kind:activation approximate:gelu_approx alpha:f32 beta:f32 threshold:f32 | tensor
batch_norm | input !scale !bias !mean !var | eps:f32 | tensor
layer_norm | input !scale !bias | eps:f32 | tensor
rms_norm | input !scale | eps:f32 | tensor
sparse.binary | ~lhs ~rhs | op:binary_op join:join lhs_fill:f32 rhs_fill:f32 | sparse
sparse.cat | ~lhs ~rhs | join:join | sparse
"""  # noqa: E501
_TYPES = {"~": "SparseTensor", "!": "Weight", "@": "Symbol"}
_RESULTS = {"sparse": "SparseTensor", "weight": "Weight", "tensor": "Tensor"}
_ASSEMBLY = {"weight": "symbol", "sparse.decompose": "results"}


def _operand(word: str) -> OperandDef:
    name = word.strip("~!@?")
    return operand(name, _TYPES.get(word[0], "Tensor"), kind="symbol" if word[0] == "@" else "ssa", required=word[-1] != "?")


def _attribute(word: str) -> OpAttributeDef:
    name, kind = word.split(":")
    return op_attr(name, kind)


def _operation(line: str) -> OpDef:
    name, operands, attributes, results = (part.strip() for part in line.split("|"))
    kinds = results.split()
    names = ["coords", "features", "active"] if len(kinds) == 3 else ["output"]
    return OpDef(
        name,
        name.replace(".", "_"),
        tuple(_operand(word) for word in operands.split()),
        tuple(result(own, _RESULTS[kind]) for own, kind in zip(names, kinds)),
        tuple(_attribute(word) for word in attributes.split()),
        _ASSEMBLY.get(name, "functional"),
    )


def declare_dialect() -> DialectSchema:
    """The dialect of version 2, declared anew."""
    schema = DialectSchema("lattice")
    sparse = ("rank", "i64"), ("coord", "coord"), ("feature", "feature_layout"), ("dtype", "type")
    schema.add_type(TypeDef("SparseTensor", "sparse_tensor", tuple(type_param(*p) for p in sparse)))
    schema.add_type(TypeDef("Weight", "weight", (type_param("family", "str"), type_param("elem", "type"))))
    for mnemonic, (name, words) in _WORDS.items():
        schema.add_attr(AttrDef(name, mnemonic, (attr_param("value", "str"),), tuple(words.split())))
    packing = ("kind", "str"), ("group_size", "i64"), ("scale_dtype", "type"), ("mode", "str")
    schema.add_attr(AttrDef("Packing", "packing", tuple(attr_param(*p) for p in packing), ("dense", "int4", "int8")))
    for line in _OPERATIONS.strip().splitlines():
        schema.add_op(_operation(line))
    return schema


LATTICE_DIALECT = declare_dialect()
_OWN_FINGERPRINT = text_fingerprint(LATTICE_DIALECT)


def schema_fingerprint(schema: DialectSchema) -> str:
    """SHA-256 that names a dialect: DIALECT_SCHEMA_DIGEST for the dialect of version 2, of its own text for any other."""
    found = text_fingerprint(schema)
    return DIALECT_SCHEMA_DIGEST if found == _OWN_FINGERPRINT else found
