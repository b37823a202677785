"""Points and voxels on arrays: quantize points, build the map that reads voxels at points, read through it."""
from __future__ import annotations

from typing import Any, Iterable, Tuple, Union

from .._arrays import F32, F64, I32, Library, Views, common_library, make_view
from .._library import check, context, ffi, lib
from .manager import retain_set, rows_array
from .types import PointVoxelMap, SparseQuantization, require

Scalars = Union[float, Iterable[float]]


def three(value: Scalars, name: str) -> Tuple[float, float, float]:
    """A number or three of them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    values = [float(v) for v in value] if isinstance(value, (list, tuple)) else [float(value)] * 3  # type: ignore[arg-type]
    if len(values) != 3:
        raise ValueError(f"{name} must be a number or 3 of them: got {len(values)}")
    return (values[0], values[1], values[2])


def voxel_grid(op: str, points: Any, voxel_size: Scalars, origin: Scalars, batch_indices: Any, views: Views) -> Any:
    """A `lat_voxel_grid *`; checks points and batch indices."""
    shape = require(points, "points", (F32, F64), 2, 3)
    if batch_indices is not None and require(batch_indices, "batch_indices", (I32,), 1) != shape[:1]:
        raise ValueError(f"{op}: batch_indices must have one entry for each point: got {len(batch_indices)}, expected {shape[0]}")
    sizes = three(voxel_size, "voxel_size")
    if min(sizes) <= 0:
        raise ValueError(f"{op}: voxel_size must be positive: got {sizes}")
    return ffi.new("lat_voxel_grid *", (sizes, three(origin, "origin"), views(batch_indices)))


def active_count(active_rows: Any, rows: int) -> int:
    from .manager import read_count

    return rows if active_rows is None else read_count(active_rows, rows)


def quantize_points(
    op: str, points: Any, voxel_size: Scalars, batch_indices: Any, origin: Scalars, active_rows: Any
) -> Tuple[Any, Library, int]:
    """A `lat_quantization *` of the first active points, the library, the number of points in all."""
    of = common_library(op, points, batch_indices)
    shape = require(points, "points", (F32, F64), 2, 3)
    count = active_count(active_rows, shape[0])
    if count != shape[0]:
        points = of.rows(points, 0, count)
        batch_indices = None if batch_indices is None else of.rows(batch_indices, 0, count)
    views = Views(of)
    grid = voxel_grid(op, points, voxel_size, origin, batch_indices, views)
    out = ffi.new("lat_quantization **")
    check(lib.lat_sparse_quantize(context(), views(points), grid, out))
    return ffi.gc(out[0], lib.lat_quantization_release), of, shape[0]


def sparse_quantize(
    points: Any,
    voxel_size: Scalars = 1.0,
    *,
    batch_indices: Any = None,
    origin: Scalars = 0.0,
    active_rows: Any = None,
) -> SparseQuantization:
    """Assigns points `(N, 3)` float32 or float64 to voxels `floor((p - origin) / voxel_size)`.

    batch_indices: `(N,)` int32. active_rows: only the first A points; the others get the inverse row -1.
    Voxels are in the order of their first point. ValueError for shapes, dtypes, sizes, NaN or infinite points.
    """
    handle, of, n = quantize_points("sparse_quantize", points, voxel_size, batch_indices, origin, active_rows)
    coords = retain_set(lib.lat_quantization_coords(handle))
    inverse = of.borrow(ffi.new("lat_array_view *", lib.lat_quantization_inverse_rows(handle)), handle)
    active = of.shape(inverse)[0]
    if active != n:
        inverse = pad_rows(of, handle, active, n)
    counts = of.borrow(ffi.new("lat_array_view *", lib.lat_quantization_counts(handle)), handle)
    rows = int(lib.lat_coords_count(coords))
    return SparseQuantization(rows_array(coords, of), of.integers([rows]), inverse, counts, handle)


def pad_rows(of: Library, handle: Any, active: int, n: int) -> Any:
    view = lib.lat_quantization_inverse_rows(handle)
    data = ffi.new("int32_t[]", [-1] * n)
    if active:
        ffi.memmove(data, view.data, 4 * active)
    return of.borrow(make_view(data, I32, (n,)), data)


INTERPOLATIONS = {"linear": 0, "nearest": 1}


def interpolation_code(op: str, interpolation: str) -> int:
    code = INTERPOLATIONS.get(interpolation)
    if code is None:
        raise ValueError(f"{op}: interpolation must be 'nearest' or 'linear': got {interpolation!r}")
    return code


def create_point_map(
    op: str, points: Any, voxels: Any, voxel_size: Scalars, batch_indices: Any, origin: Scalars, interpolation: str
) -> Any:
    """A `lat_point_map *` of points on a C set."""
    of = common_library(op, points, batch_indices)
    views = Views(of)
    grid = voxel_grid(op, points, voxel_size, origin, batch_indices, views)
    out = ffi.new("lat_point_map **")
    code = interpolation_code(op, interpolation)
    check(lib.lat_point_map_create(context(), views(points), voxels, grid, code, out))
    return ffi.gc(out[0], lib.lat_point_map_release)


def build_point_voxel_map(
    points: Any,
    voxel_coords: Any,
    voxel_active_rows: Any,
    voxel_size: Scalars = 1.0,
    *,
    batch_indices: Any = None,
    point_active_rows: Any = None,
    origin: Scalars = 0.0,
    interpolation: str = "linear",
) -> PointVoxelMap:
    """Finds the voxels around each point: `(N, 8)` rows (-1: none) and weights. Missing voxels are dropped."""
    from .relations import set_of

    op = "build_point_voxel_map"
    of = common_library(op, points, voxel_coords, batch_indices)
    voxels = set_of(voxel_coords, "voxel_coords", voxel_active_rows)
    n = require(points, "points", (F32, F64), 2, 3)[0]
    count = active_count(point_active_rows, n)
    if count != n:
        points = of.rows(points, 0, count)
        batch_indices = None if batch_indices is None else of.rows(batch_indices, 0, count)
    handle = create_point_map(op, points, voxels, voxel_size, batch_indices, origin, interpolation)
    rows, weights = lib.lat_point_map_rows(handle), lib.lat_point_map_weights(handle)
    if count == n:
        return PointVoxelMap(
            of.borrow(ffi.new("lat_array_view *", rows), handle), of.borrow(ffi.new("lat_array_view *", weights), handle), handle
        )
    row_data, weight_data = ffi.new("int32_t[]", [-1] * (8 * n)), ffi.new("float[]", 8 * n)
    ffi.memmove(row_data, rows.data, 32 * count)
    ffi.memmove(weight_data, weights.data, 32 * count)
    return PointVoxelMap(
        of.borrow(make_view(row_data, I32, (n, 8)), row_data), of.borrow(make_view(weight_data, F32, (n, 8)), weight_data)
    )


def interpolate_point_features(voxel_feats: Any, point_voxel_map: PointVoxelMap) -> Any:
    """Reads voxel features `(V, C)` through a map: `(N, C)`, the sum over slots of weight times feature."""
    from ..ops.points import interpolate

    return interpolate(voxel_feats, point_voxel_map)
