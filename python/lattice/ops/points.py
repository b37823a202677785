"""Points and voxels (semantics 8)."""
from __future__ import annotations

from typing import Any, List, NamedTuple, Optional

from .._arrays import F32, F64, Library, common_library, library_of, make_view
from .._library import NULL, check, context, ffi, lib, options
from .._math import math_of
from .._operation import run
from ..core.manager import CoordinateManager, retain_set
from ..core.point_map import (
    Scalars,
    active_count,
    create_point_map,
    interpolation_code,
    quantize_points,
    sparse_quantize,
    voxel_grid,
)
from ..core.sparse import UNDECLARED, SparseTensor, make, require_tensor
from ..core.types import IntOrTriple, PointVoxelMap, SparseQuantization, require, triple
from .features import _dense
from .pooling import _reduce

REDUCTIONS = {"mean": 0, "sum": 1, "max": 2}


def _reduction_code(op: str, reduction: str) -> int:
    code = REDUCTIONS.get(reduction)
    if code is None:
        raise ValueError(f"{op}: reduction must be 'sum', 'mean' or 'max': got {reduction!r}")
    return code


def _feats_rows(op: str, feats: Any, points: int) -> None:
    shape = library_of(feats, "feats").shape(feats)
    if len(shape) != 2 or shape[0] != points:
        raise ValueError(f"{op}: points and features must have matching rows: got {shape}, expected ({points}, C)")


def groups_table(of: Library, inverse: List[int], groups: int, n: int) -> Any:
    """`(groups, D)`: the points of each group, ascending, n for none."""
    members: List[List[int]] = [[] for _ in range(groups)]
    for point, group in enumerate(inverse):
        if group >= 0:
            members[group].append(point)
    depth = max([len(found) for found in members] + [1])
    flat = [point for found in members for point in found + [n] * (depth - len(found))]
    return of.integers(flat).reshape(groups, depth)


def _ints(array: Any) -> List[int]:
    view, keep = library_of(array).view(array)
    found = list(ffi.unpack(ffi.cast("const int32_t *", view.data), view.shape[0])) if view.shape[0] else []
    del keep
    return found


def reduce_points(op: str, feats: Any, inverse: Any, groups: int, reduction: str) -> Any:
    """Reduces the rows of each group with the library's own operations: "first", "sum", "mean" or "max"."""
    of = library_of(feats)
    math = math_of(of)
    n = of.shape(feats)[0]
    table = groups_table(of, _ints(inverse), groups, n)
    if reduction == "first":
        return math.like(math.take(math.f32(feats), table[:, 0]), feats)
    mode = "avg" if reduction == "mean" else reduction
    return math.like(_reduce(math, feats, table, n, mode), feats)


def voxelize(
    points: Any,
    feats: Any,
    voxel_size: Scalars = 1.0,
    *,
    batch_indices: Any = None,
    origin: Scalars = 0.0,
    active_rows: Any = None,
    reduction: str = "mean",
    stride: IntOrTriple = 1,
) -> SparseTensor:
    """Points `(N, 3)` and their features `(N, C)` to a tensor of voxels `floor((p - origin) / voxel_size)`.

    reduction: "mean", "sum" or "max" of the points of a voxel. stride is only written on the result.
    ValueError for shapes, dtypes, sizes, NaN or infinite points.
    """
    op = "voxelize"
    of = common_library(op, points, feats, batch_indices)
    code = _reduction_code(op, reduction)
    n = require(points, "points", (F32, F64), 2, 3)[0]
    _feats_rows(op, feats, n)
    handle, _, _ = quantize_points(op, points, voxel_size, batch_indices, origin, active_rows)
    count = active_count(active_rows, n)
    used = feats if count == n else of.rows(feats, 0, count)
    return _voxelize(op, of, handle, used, code, triple(stride, name="stride"), None)


def _voxelize(op: str, of: Library, handle: Any, feats: Any, code: int, stride: Any, template: Optional[SparseTensor]) -> SparseTensor:
    points = _dense(op, feats)
    fields: Any = {"reduction": code, "stride": stride}
    cell: List[Any] = []

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        view = ffi.new("lat_array_view *", lib.lat_tensor_feats(tensors[0]))
        made = ffi.new("lat_tensor **")
        status = lib.lat_voxelize_quantized(context, handle, view, options("lat_voxelize_opts", **fields), made)
        if status:
            return int(status)
        tensor = ffi.gc(made[0], lib.lat_tensor_release)
        cell[:] = [tensor]
        out[0] = lib.lat_array_retain(lib.lat_tensor_feats_array(tensor))
        return 0

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        view = ffi.new("lat_array_view *", lib.lat_tensor_feats(tensors[0]))
        out = ffi.new("lat_array **")
        # The maximum needs features and gradient of one dtype, which is the dtype of the result already.
        check(lib.lat_voxelize_backward(context, handle, view, grad, options("lat_voxelize_opts", **fields), out))
        return [out[0]]

    def composed(math: Any, a: Any) -> Any:
        inverse = lib.lat_quantization_inverse_rows(handle)
        rows = list(ffi.unpack(ffi.cast("const int32_t *", inverse.data), inverse.shape[0])) if inverse.shape[0] else []
        voxels = int(lib.lat_coords_count(lib.lat_quantization_coords(handle)))
        table = groups_table(of, rows, voxels, len(rows))
        return math.like(_reduce(math, a, table, len(rows), ("avg", "sum", "max")[code]), a)

    out = run(op, [points], [], call, backward=backward, composed=composed, dense=True)
    if template is not None:
        return template.replace(feats=out)
    manager = CoordinateManager()
    manager._library = of
    if cell:
        coords = lib.lat_tensor_coords(cell[0])
    else:  # traced: ask C for the set alone
        none = make_view(NULL, F32, (int(lib.lat_quantization_inverse_rows(handle).shape[0]), 0))
        made = ffi.new("lat_tensor **")
        check(lib.lat_voxelize_quantized(context(), handle, none, options("lat_voxelize_opts", **fields), made))
        cell.append(ffi.gc(made[0], lib.lat_tensor_release))
        coords = lib.lat_tensor_coords(cell[0])
    entry = manager._of_set(coords)
    return make(out, entry, manager, UNDECLARED, of)


def voxelize_with_quantization(
    quantization: SparseQuantization,
    feats: Any,
    *,
    active_rows: Any = None,
    reduction: str = "mean",
    stride: IntOrTriple = 1,
    template: Optional[SparseTensor] = None,
) -> SparseTensor:
    """voxelize for points that were quantized before. template: a tensor on the same coordinates to take the place of."""
    op = "voxelize_with_quantization"
    if not isinstance(quantization, SparseQuantization):
        raise TypeError(f"{op}: quantization has the wrong class: got {type(quantization).__name__}, expected SparseQuantization")
    of = common_library(op, feats, quantization.coords)
    code = _reduction_code(op, reduction)
    n = of.shape(quantization.inverse_rows)[0]
    _feats_rows(op, feats, n)
    if template is not None:
        require_tensor(op, template, "template")
        if template.coords is not quantization.coords:
            raise ValueError(f"{op}: template must be built on the coords of the quantization: got another array")
    if quantization._handle is None:
        rows = of.shape(quantization.coords)[0]
        values = reduce_points(op, feats, quantization.inverse_rows, rows, reduction)
        if template is not None:
            return template.replace(feats=values)
        return SparseTensor(quantization.coords, values, stride)
    active = int(lib.lat_quantization_inverse_rows(quantization._handle).shape[0])
    used = feats if active == n else of.rows(feats, 0, active)
    return _voxelize(op, of, quantization._handle, used, code, triple(stride, name="stride"), template)


class CappedVoxels(NamedTuple):
    """voxelize_capped: the tensor, the quantization of its points, and what was dropped."""

    voxels: SparseTensor
    quantization: SparseQuantization
    points_over: int
    points_outside: int


def voxelize_capped(
    points: Any,
    feats: Any,
    voxel_size: Scalars = 1.0,
    *,
    max_points: int = 0,
    max_voxels: int = 0,
    batch_indices: Any = None,
    origin: Scalars = 0.0,
) -> CappedVoxels:
    """Mean of the first `max_points` points of each of the first `max_voxels` voxels of a batch item (0: no limit)."""
    op = "voxelize_capped"
    of = common_library(op, points, feats, batch_indices)
    _feats_rows(op, feats, require(points, "points", (F32, F64), 2, 3)[0])
    from .._arrays import Views
    from ..core.manager import rows_array

    views = Views(of)
    grid = voxel_grid(op, points, voxel_size, origin, batch_indices, views)
    out = ffi.new("lat_capped_voxels *")
    opts = options("lat_capped_opts", max_points=int(max_points), max_voxels=int(max_voxels))
    # Without the features: they follow below, where libraries that trace and differentiate can see them.
    none = make_view(NULL, F32, (of.shape(feats)[0], 0))
    check(lib.lat_voxelize_capped(context(), views(points), none, grid, opts, out))
    tensor = ffi.gc(out.voxels, lib.lat_tensor_release)
    handle = ffi.gc(out.quantization, lib.lat_quantization_release)
    coords = retain_set(lib.lat_quantization_coords(handle))
    quantization = SparseQuantization(
        rows_array(coords, of), of.integers([int(lib.lat_coords_count(coords))]),
        of.borrow(ffi.new("lat_array_view *", lib.lat_quantization_inverse_rows(handle)), handle),
        of.borrow(ffi.new("lat_array_view *", lib.lat_quantization_counts(handle)), handle), handle,
    )  # fmt: skip
    manager = CoordinateManager()
    manager._library = of
    del tensor
    voxels = _voxelize(op, of, handle, feats, 0, (1, 1, 1), None)
    return CappedVoxels(voxels, quantization, int(out.n_points_over), int(out.n_points_outside))


def interpolate(voxel_feats: Any, point_voxel_map: PointVoxelMap) -> Any:
    """Reads voxel features `(V, C)` through a PointVoxelMap: `(N, C)`."""
    op = "interpolate_point_features"
    if not isinstance(point_voxel_map, PointVoxelMap):
        raise TypeError(f"{op}: wrong class: got {type(point_voxel_map).__name__}, expected PointVoxelMap")
    of = common_library(op, voxel_feats, point_voxel_map.rows)
    voxels = _dense(op, voxel_feats)
    handle = point_voxel_map._handle
    rows, weights = point_voxel_map.rows, point_voxel_map.weights

    def composed(math: Any, a: Any) -> Any:
        n = a.shape[0]
        places = math.where(rows < n, rows, -1)
        read = math.take(math.f32(a), places.reshape(-1)).reshape(rows.shape[0], 8, a.shape[1])
        return math.like(math.sum(read * weights[:, :, None], 1), a)

    if handle is None:
        return composed(math_of(of), voxel_feats)

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        view = ffi.new("lat_array_view *", lib.lat_tensor_feats(tensors[0]))
        return lib.lat_interpolate(context, view, handle, out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_interpolate_backward(context, handle, grad, out))
        return [out[0]]

    return run(op, [voxels], [], call, backward=backward, composed=composed, dense=True)


def devoxelize(
    points: Any,
    voxels: SparseTensor,
    voxel_size: Scalars = 1.0,
    *,
    batch_indices: Any = None,
    point_active_rows: Any = None,
    origin: Scalars = 0.0,
    interpolation: str = "linear",
    point_voxel_map: Optional[PointVoxelMap] = None,
) -> Any:
    """Reads voxel features at points: `(N, C)`; "linear" over the eight voxels around, or "nearest"."""
    op = "devoxelize"
    require_tensor(op, voxels, "voxels")
    if point_voxel_map is not None:
        return interpolate(voxels._feats, point_voxel_map)
    interpolation_code(op, interpolation)
    of = common_library(op, voxels._feats, points, batch_indices)
    n = require(points, "points", (F32, F64), 2, 3)[0]
    if point_active_rows is not None and active_count(point_active_rows, n) != n:
        from ..core.point_map import build_point_voxel_map

        found = build_point_voxel_map(
            points, voxels.coords, None, voxel_size, batch_indices=batch_indices,
            point_active_rows=point_active_rows, origin=origin, interpolation=interpolation,
        )  # fmt: skip
        return interpolate(voxels._feats, found)
    handle = create_point_map(op, points, voxels._entry.handle, voxel_size, batch_indices, origin, interpolation)
    rows, weights = lib.lat_point_map_rows(handle), lib.lat_point_map_weights(handle)
    found = PointVoxelMap(
        of.borrow(ffi.new("lat_array_view *", rows), handle), of.borrow(ffi.new("lat_array_view *", weights), handle), handle
    )
    return interpolate(voxels._feats, found)


__all__ = [
    "CappedVoxels", "devoxelize", "interpolate", "sparse_quantize", "voxelize", "voxelize_capped",
    "voxelize_with_quantization",
]  # fmt: skip
