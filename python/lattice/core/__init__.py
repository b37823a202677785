"""The nouns: sparse tensors, coordinate sets, relations, packed weights, and functions on coordinate arrays."""
from . import coords, relations
from .coords import (
    build_sparse_alignment,
    child_coords_from_indices,
    occupancy_downsample,
    occupancy_expand,
)
from .manager import CoordinateManager
from .point_map import build_point_voxel_map, interpolate_point_features
from .quantized import QuantizedWeight, QuantizedWeightLayout, dequantize_weight, quantize_weight
from .relations import KernelRelation, NeighborRelation
from .sparse import SparseTensor
from .types import (
    CoordinateMapKey,
    CoordinateOrdering,
    CoordinateSet,
    KernelSpec,
    OccupancyExpansion,
    PointVoxelMap,
    SparseAlignment,
    SparseOccupancy,
    SparseQuantization,
    SparseTensorComponents,
    Triple,
    triple,
)

__all__ = [
    "CoordinateManager", "CoordinateMapKey", "CoordinateOrdering", "CoordinateSet", "KernelRelation", "KernelSpec",
    "NeighborRelation", "OccupancyExpansion", "PointVoxelMap", "QuantizedWeight", "QuantizedWeightLayout",
    "SparseAlignment", "SparseOccupancy", "SparseQuantization", "SparseTensor", "SparseTensorComponents", "Triple",
    "build_point_voxel_map", "build_sparse_alignment", "child_coords_from_indices", "dequantize_weight",
    "interpolate_point_features", "occupancy_downsample", "occupancy_expand", "quantize_weight", "triple",
]  # fmt: skip
