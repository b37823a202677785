"""Functions on coordinate arrays: sets, lookup, Morton order, octrees, alignment, relation builders, points and voxels.

Every function takes `(N, 4)` int32 or int64 arrays of one library and gives int32 arrays of the same library.
"""
from __future__ import annotations

from typing import Any, Optional, Tuple

from .._arrays import I32, Library, Views, common_library, library_of
from .._library import check, context, ffi, lib, options
from .manager import (
    CoordinateManager,
    create_set,
    own_set,
    rows_array,
)
from .point_map import build_point_voxel_map, interpolate_point_features, sparse_quantize
from .relations import (
    KernelRelation,
    NeighborRelation,
    RelationImplicitGemmView,
    check_support,
    neighbors_of_sets,
    relation_of_sets,
    set_of,
)
from .types import (
    CoordinateMapKey,
    CoordinateOrdering,
    CoordinateSet,
    IntOrTriple,
    KernelSpec,
    OccupancyExpansion,
    PointVoxelMap,
    SparseAlignment,
    SparseOccupancy,
    SparseQuantization,
    Triple,
    check_coords,
    positive_triple,
    require,
)

__all__ = [
    "CoordinateManager", "CoordinateMapKey", "CoordinateOrdering", "CoordinateSet", "OccupancyExpansion",
    "PointVoxelMap", "SparseAlignment", "SparseOccupancy", "SparseQuantization", "build_generative_relation",
    "build_kernel_relation", "build_knn_relation", "build_point_voxel_map", "build_radius_relation",
    "build_sparse_alignment", "build_submanifold_kernel_relation", "build_target_kernel_relation",
    "build_target_transposed_implicit_gemm_view", "build_transposed_kernel_relation", "child_coords_from_indices",
    "contains_coords", "downsample_coords", "interpolate_point_features", "intersection_coords", "inverse_map",
    "kernel_offsets", "lookup_coords", "morton_codes", "morton_order", "morton_sort_coords", "occupancy_downsample",
    "occupancy_expand", "sparse_quantize", "union_coords", "validate_coords",
]  # fmt: skip


def validate_coords(coords: Any, *, name: str = "coords") -> None:
    """Raises ValueError unless `coords` is `(N, 4)` int32 or int64."""
    check_coords(coords, name)


def _array(function: Any, of: Library, *arguments: Any) -> Any:
    out = ffi.new("lat_array **")
    check(function(context(), *arguments, out))
    return of.take(out[0])


def _set(handle: Any, of: Library) -> CoordinateSet:
    return CoordinateSet(rows_array(handle, of), of.integers([int(lib.lat_coords_count(handle))]))


def downsample_coords(coords: Any, stride: IntOrTriple = 2) -> CoordinateSet:
    """Distinct `floor(coords / stride)`, first-seen. ValueError for a stride that is not positive."""
    steps = positive_triple(stride, "stride")
    source = set_of(coords)
    out = ffi.new("lat_coords **")
    check(lib.lat_coords_downsample(context(), source, _triple(steps), out))
    return _set(own_set(out[0]), library_of(coords))


def _triple(values: Triple) -> Any:
    return ffi.new("lat_triple *", values)[0]


def union_coords(lhs: Any, rhs: Any) -> CoordinateSet:
    """Distinct rows of lhs, then those of rhs that lhs lacks; first-seen.

    Both `(N, 4)` int32 or int64; a CoordinateSet of int32 rows. ValueError for other shapes and dtypes.
    """
    return _pair(lib.lat_coords_union, "union_coords", lhs, rhs)


def intersection_coords(lhs: Any, rhs: Any) -> CoordinateSet:
    """Distinct rows of lhs that are in rhs, in lhs's order.

    Both `(N, 4)` int32 or int64; a CoordinateSet of int32 rows. ValueError for other shapes and dtypes.
    """
    return _pair(lib.lat_coords_intersection, "intersection_coords", lhs, rhs)


def _pair(function: Any, op: str, lhs: Any, rhs: Any) -> CoordinateSet:
    of = common_library(op, lhs, rhs)
    first, second = set_of(lhs, "lhs"), set_of(rhs, "rhs")
    out = ffi.new("lat_coords **")
    check(function(context(), first, second, out))
    return _set(own_set(out[0]), of)


def lookup_coords(coords: Any, queries: Any) -> Any:
    """For each query the first row of `coords` that equals it, or -1: `(Q,)` int32."""
    of = common_library("lookup_coords", coords, queries)
    check_coords(queries, "queries")
    source, views = set_of(coords), Views(of)
    return _array(lib.lat_coords_lookup, of, source, views(queries))


def contains_coords(coords: Any, queries: Any) -> Any:
    """For each query whether `coords` has it: `(Q,)` bool."""
    of = common_library("contains_coords", coords, queries)
    check_coords(queries, "queries")
    source, views = set_of(coords), Views(of)
    return of.as_bool(_array(lib.lat_coords_contains, of, source, views(queries)))


def inverse_map(source: Any, target: Any) -> Any:
    """`lookup_coords(source, target)`."""
    return lookup_coords(source, target)


def morton_codes(coords: Any) -> Any:
    """Z-order codes, `(N,)` int64: 21 bits of each axis, 4 bits of the batch."""
    check_coords(coords)
    of = library_of(coords)
    return _array(lib.lat_morton_codes, of, Views(of)(coords))


def morton_order(coords: Any) -> Any:
    """Rows in ascending order of their signed codes, ties in row order: `(N,)` int32."""
    check_coords(coords)
    of = library_of(coords)
    return _array(lib.lat_morton_order, of, Views(of)(coords))


def morton_sort_coords(coords: Any) -> CoordinateOrdering:
    """The rows in Z-order, with the permutation there and back.

    A CoordinateOrdering, int32. ValueError for coordinates that are not `(N, 4)` int32 or int64.
    """
    of, source = library_of(coords), set_of(coords)
    out, order, inverse = ffi.new("lat_coords **"), ffi.new("lat_array **"), ffi.new("lat_array **")
    check(lib.lat_coords_morton_sort(context(), source, out, order, inverse))
    return CoordinateOrdering(rows_array(own_set(out[0]), of), of.take(order[0]), of.take(inverse[0]))


def occupancy_downsample(coords: Any, active_rows: Any = None) -> SparseOccupancy:
    """Octree step up: parents `floor(coord / 2)`, first-seen, and an int32 mask of the children of each."""
    of, source = library_of(coords), set_of(coords, "coords", active_rows)
    parents, masks = ffi.new("lat_coords **"), ffi.new("lat_array **")
    check(lib.lat_occupancy_downsample(context(), source, parents, masks))
    found = _set(own_set(parents[0]), of)
    return SparseOccupancy(found.coords, found.active_rows, of.take(masks[0]))


def occupancy_expand(coords: Any, occupancy: Any, active_rows: Any = None) -> OccupancyExpansion:
    """Octree step down: for each parent and each set bit c of its mask the child `2 p + (c & 1, c >> 1 & 1, c >> 2 & 1)`."""
    of = common_library("occupancy_expand", coords, occupancy)
    check_coords(coords)
    require(occupancy, "occupancy", (I32,), 1)
    rows = of.shape(coords)[0]
    count = rows
    if active_rows is not None:
        from .manager import read_count

        count = read_count(active_rows, rows)
        occupancy = of.rows(occupancy, 0, count)
    parents, views = create_set(coords, (2, 2, 2), count), Views(of)
    out, rows_out, indices = ffi.new("lat_coords **"), ffi.new("lat_array **"), ffi.new("lat_array **")
    check(lib.lat_occupancy_expand(context(), parents, views(occupancy), out, rows_out, indices))
    found = _set(own_set(out[0]), of)
    return OccupancyExpansion(found.coords, found.active_rows, of.take(rows_out[0]), of.take(indices[0]))


def child_coords_from_indices(parent_coords: Any, child_indices: Any) -> Any:
    """Row by row the child `2 p + bits(index)`: `(N, 4)` int32; the low 3 bits of an index count."""
    of = common_library("child_coords_from_indices", parent_coords, child_indices)
    check_coords(parent_coords, "parent_coords")
    parents, views = create_set(parent_coords, (2, 2, 2)), Views(of)
    out = ffi.new("lat_coords **")
    check(lib.lat_child_coords(context(), parents, views(child_indices), out))
    return rows_array(own_set(out[0]), of)


JOINS = {"inner": 1, "left": 2, "right": 3, "outer": 4}


def join_code(join: str) -> int:
    code = JOINS.get(join)
    if code is None:
        raise ValueError(f"join must be 'inner', 'left', 'right', or 'outer': got {join!r}")
    return code


def align_sets(lhs: Any, rhs: Any, join: str, of: Library) -> Tuple[Any, Any, Any]:
    """Joins two C sets of equal stride: the joined set, and the int32 rows of both sides."""
    out = ffi.new("lat_sparse_alignment *")
    check(lib.lat_sparse_align(context(), lhs, rhs, join_code(join), out))
    return own_set(out.coords), of.take(out.lhs_rows), of.take(out.rhs_rows)


def build_sparse_alignment(
    lhs_coords: Any, lhs_active_rows: Any, rhs_coords: Any, rhs_active_rows: Any, *, join: str = "inner"
) -> SparseAlignment:
    """Joins two coordinate arrays by value (semantics 2.4). `*_active_rows` may be None: all rows."""
    of = common_library("build_sparse_alignment", lhs_coords, rhs_coords)
    join_code(join)
    lhs = set_of(lhs_coords, "lhs_coords", lhs_active_rows)
    rhs = set_of(rhs_coords, "rhs_coords", rhs_active_rows)
    return alignment(of, lhs, rhs, join)


def alignment(of: Library, lhs: Any, rhs: Any, join: str) -> SparseAlignment:
    joined, lhs_rows, rhs_rows = align_sets(lhs, rhs, join, of)
    n = int(lib.lat_coords_count(joined))
    return SparseAlignment(rows_array(joined, of), of.integers([n]), lhs_rows, rhs_rows)


def kernel_offsets(kernel_size: IntOrTriple, dilation: IntOrTriple = 1) -> Tuple[Triple, ...]:
    """Kernel offsets in kernel order: centred on odd axes, forward on even ones, times dilation.

    A tuple of K triples. ValueError for sizes and dilations that are not positive.
    """
    spec = KernelSpec(kernel_size, 1, 0, dilation)
    out = ffi.new("lat_array **")
    opts = options("lat_kernel_opts", kernel_size=spec.size, dilation=spec.dilation)
    check(lib.lat_kernel_offsets(context(), opts, out))
    try:
        flat = ffi.unpack(ffi.cast("const int32_t *", lib.lat_array_as_view(out[0]).data), 3 * spec.volume)
    finally:
        lib.lat_array_release(out[0])
    return tuple((flat[3 * k], flat[3 * k + 1], flat[3 * k + 2]) for k in range(spec.volume))


def _relation(kind: str, coords: Any, active_rows: Any, spec: KernelSpec, reach: Any = None) -> KernelRelation:
    of = library_of(coords, "coords")
    source = set_of(coords, "coords", active_rows)
    full = int(lib.lat_coords_count(source)) == of.shape(coords)[0]
    rows = coords if full else rows_array(source, of)
    active = active_rows if active_rows is not None else of.integers([of.shape(coords)[0]])
    return relation_of_sets(kind, spec, of, source, rows, source_active_rows=active, reach=reach)


def build_kernel_relation(
    coords: Any,
    active_rows: Any = None,
    kernel_size: IntOrTriple = 3,
    stride: IntOrTriple = 1,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    *,
    support: str = "floor",
    bounds: Optional[IntOrTriple] = None,
) -> KernelRelation:
    """The forward relation of a coordinate array (semantics 3.3). support "reach": every output that an input meets (0.10).

    ValueError for coordinates that are not `(N, 4)` int32 or int64 and for geometry that is not positive.
    """
    spec = KernelSpec(kernel_size, stride, padding, dilation)
    return _relation("forward", coords, active_rows, spec, check_support("build_kernel_relation", support, bounds))


def build_submanifold_kernel_relation(
    coords: Any, active_rows: Any = None, kernel_size: IntOrTriple = 3, dilation: IntOrTriple = 1
) -> KernelRelation:
    """The submanifold relation: the output support is the input. ValueError for an even kernel size."""
    return _relation("submanifold", coords, active_rows, KernelSpec(kernel_size, 1, 0, dilation))


def build_generative_relation(
    coords: Any, active_rows: Any = None, kernel_size: IntOrTriple = 2, stride: IntOrTriple = 2
) -> KernelRelation:
    """The generative relation: output row `in_row * volume + k`, never merged."""
    return _transposed("generative", coords, active_rows, KernelSpec(kernel_size, stride))


def build_transposed_kernel_relation(
    coords: Any,
    active_rows: Any = None,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
) -> KernelRelation:
    """The transposed relation (semantics 3.4).

    ValueError for coordinates that are not `(N, 4)` int32 or int64 and for geometry that is not positive.
    """
    return _transposed("transposed", coords, active_rows, KernelSpec(kernel_size, stride, padding, dilation))


def _transposed(kind: str, coords: Any, active_rows: Any, spec: KernelSpec) -> KernelRelation:
    # A bare array carries no stride that the relation could divide: take one that it divides.
    from .manager import read_count

    check_coords(coords)
    of = library_of(coords)
    rows = of.shape(coords)[0]
    count = rows if active_rows is None else read_count(active_rows, rows)
    source = create_set(coords, spec.stride, count)
    array = coords if count == rows else rows_array(source, of)
    return relation_of_sets(kind, spec, of, source, array, source_active_rows=of.integers([count]))


def build_target_kernel_relation(
    coords: Any,
    target_coords: Any,
    *,
    active_rows: Any = None,
    target_active_rows: Any = None,
    kernel_size: IntOrTriple = 3,
    stride: IntOrTriple = 1,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
) -> KernelRelation:
    """The forward geometry onto given rows, all kept.

    ValueError for coordinates that are not `(N, 4)` int32 or int64 and for geometry that is not positive.
    """
    of = common_library("build_target_kernel_relation", coords, target_coords)
    source = set_of(coords, "coords", active_rows)
    target = set_of(target_coords, "target_coords", target_active_rows)
    spec = KernelSpec(kernel_size, stride, padding, dilation)
    rows = target_coords if int(lib.lat_coords_count(target)) == of.shape(target_coords)[0] else rows_array(target, of)
    return relation_of_sets("target", spec, of, source, coords, target, rows, active_rows)


def build_target_transposed_implicit_gemm_view(
    source_coords: Any,
    target_coords: Any,
    *,
    source_active_rows: Any,
    target_active_rows: Any,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
) -> RelationImplicitGemmView:
    """`(N_target, K)`: the first input row with `i = (t + padding - k dilation) / stride`, -1 where there is none."""
    of = common_library("build_target_transposed_implicit_gemm_view", source_coords, target_coords)
    source = set_of(source_coords, "source_coords", source_active_rows)
    target = set_of(target_coords, "target_coords", target_active_rows)
    spec = KernelSpec(kernel_size, stride, padding, dilation)
    relation = relation_of_sets("target_transposed", spec, of, source, source_coords, target, target_coords)
    return relation.require_implicit_gemm()


def build_knn_relation(
    source_coords: Any,
    query_coords: Any = None,
    *,
    source_active_rows: Any = None,
    query_active_rows: Any = None,
    k: int,
) -> NeighborRelation:
    """For each query its k nearest sources of the same batch by (squared distance, source row).

    ValueError ("k must be positive") and for coordinates that are not `(N, 4)` int32 or int64.
    """
    of = common_library("build_knn_relation", source_coords, query_coords)
    source = set_of(source_coords, "source_coords", source_active_rows)
    query = None if query_coords is None else set_of(query_coords, "query_coords", query_active_rows)
    return knn_of_sets(source, query, of, k)


def knn_of_sets(source: Any, query: Any, of: Library, k: int) -> NeighborRelation:
    if int(k) <= 0:
        raise ValueError(f"k must be positive: got {k}")
    return neighbors_of_sets("knn", source, query, of, options("lat_knn_opts", k=int(k)), int(k))


def build_radius_relation(
    source_coords: Any,
    query_coords: Any = None,
    *,
    source_active_rows: Any = None,
    query_active_rows: Any = None,
    radius: float,
    max_neighbors: Optional[int] = None,
) -> NeighborRelation:
    """For each query the sources of the same batch within a closed ball, nearest first, at most max_neighbors.

    ValueError ("radius must be non-negative", max_neighbors) and for coordinates that are not `(N, 4)` int32 or int64.
    """
    of = common_library("build_radius_relation", source_coords, query_coords)
    source = set_of(source_coords, "source_coords", source_active_rows)
    query = None if query_coords is None else set_of(query_coords, "query_coords", query_active_rows)
    return radius_of_sets(source, query, of, radius, max_neighbors)


def radius_of_sets(source: Any, query: Any, of: Library, radius: float, max_neighbors: Optional[int]) -> NeighborRelation:
    if max_neighbors is not None and int(max_neighbors) <= 0:
        raise ValueError(f"max_neighbors must be positive: got {max_neighbors}")
    limit = 0 if max_neighbors is None else int(max_neighbors)
    opts = options("lat_radius_opts", radius=float(radius), max_neighbors=limit)
    return neighbors_of_sets("radius", source, query, of, opts, max_neighbors)
