"""What artifacts are made of, without any array library: the dialect of graphs, a builder, and the order of kernels.

Pure Python with no dependency, not even on `lattice`, so that programs that only write artifacts need nothing else.
"""
from __future__ import annotations

from .binary64_convolution import submanifold_conv3d_f32_to_f64
from .dialect_schema import (
    AttrDef,
    AttrParameter,
    DialectSchema,
    OpAttributeDef,
    OpDef,
    OperandDef,
    ResultDef,
    TypeDef,
    TypeParameter,
    attr_param,
    op_attr,
    operand,
    result,
    schema_digest,
    type_param,
)
from .dialect_table import (
    ARTIFACT_GRAPH_FILE,
    ARTIFACT_WEIGHT_FILE,
    CANONICAL_CONV3D_WEIGHT_LAYOUT,
    CURRENT_DIALECT_VERSION,
    DIALECT_SCHEMA_DIGEST,
    LATTICE_DIALECT,
    schema_fingerprint,
)
from .kernel_rows import (
    centered_kernel_offsets,
    indexed_kernel_offsets,
    kernel_positions,
    kernel_row_permutation,
    sparse_kernel_offsets,
)
from .module_builder import (
    MLIRModuleBuilder,
    Packing,
    SparseTensorType,
    SSAValue,
    TensorType,
    WeightType,
    dense_packing,
    quantized_packing,
)

__version__ = "0.1.0"

__all__ = [
    "ARTIFACT_GRAPH_FILE", "ARTIFACT_WEIGHT_FILE", "AttrDef", "AttrParameter", "CANONICAL_CONV3D_WEIGHT_LAYOUT",
    "CURRENT_DIALECT_VERSION", "DIALECT_SCHEMA_DIGEST", "DialectSchema", "LATTICE_DIALECT", "MLIRModuleBuilder",
    "OpAttributeDef", "OpDef", "OperandDef", "Packing", "ResultDef", "SSAValue", "SparseTensorType", "TensorType", "TypeDef",
    "TypeParameter", "WeightType", "__version__", "attr_param", "centered_kernel_offsets", "dense_packing",
    "indexed_kernel_offsets", "kernel_positions", "kernel_row_permutation", "op_attr", "operand", "quantized_packing", "result",
    "schema_digest", "schema_fingerprint", "sparse_kernel_offsets", "submanifold_conv3d_f32_to_f64", "type_param",
]  # fmt: skip
