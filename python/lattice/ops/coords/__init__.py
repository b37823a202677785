"""Functions on coordinate arrays, as in `lattice.core.coords`."""
from ...core.coords import (
    CoordinateOrdering,
    CoordinateSet,
    OccupancyExpansion,
    PointVoxelMap,
    SparseAlignment,
    SparseOccupancy,
    SparseQuantization,
    build_point_voxel_map,
    build_sparse_alignment,
    child_coords_from_indices,
    contains_coords,
    downsample_coords,
    interpolate_point_features,
    intersection_coords,
    inverse_map,
    lookup_coords,
    morton_codes,
    morton_order,
    morton_sort_coords,
    occupancy_downsample,
    occupancy_expand,
    sparse_quantize,
    union_coords,
)

__all__ = [
    "CoordinateOrdering", "CoordinateSet", "OccupancyExpansion", "PointVoxelMap", "SparseAlignment", "SparseOccupancy",
    "SparseQuantization", "build_point_voxel_map", "build_sparse_alignment", "child_coords_from_indices",
    "contains_coords", "downsample_coords", "interpolate_point_features", "intersection_coords", "inverse_map",
    "lookup_coords", "morton_codes", "morton_order", "morton_sort_coords", "occupancy_downsample", "occupancy_expand",
    "sparse_quantize", "union_coords",
]  # fmt: skip
