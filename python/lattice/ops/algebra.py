"""Algebra between sparse tensors, aligned by coordinate value, and choice of rows (semantics 7)."""
from __future__ import annotations

from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple

from .._arrays import F32, I32, I64, NAMES, U8, as_array, common_library, library_of, make_view
from .._library import NULL, check, context, ffi, lib, options
from .._operation import Place, run
from ..core.coords import align_sets, alignment, join_code
from ..core.manager import CoordinateManager
from ..core.sparse import SparseTensor, make, require_tensor
from ..core.types import IntOrTriple, SparseAlignment, check_feats, require

_OPS = {"add": 0, "sub": 1, "mul": 2, "maximum": 3, "minimum": 4}


def _two(op: str, lhs: Any, rhs: Any) -> None:
    require_tensor(op, lhs, "lhs")
    require_tensor(op, rhs, "rhs")
    if lhs._library is not rhs._library:
        raise TypeError(f"{op}: mixed array libraries: got {rhs._library.name}, expected {lhs._library.name}")
    if lhs.stride != rhs.stride:
        raise ValueError(f"{op}: sparse tensor strides must match: got {rhs.stride}, expected {lhs.stride}")


def align_sparse(lhs: SparseTensor, rhs: SparseTensor, *, join: str = "inner") -> SparseAlignment:
    """Joins the coordinates of two tensors of equal stride: SparseAlignment."""
    _two("align_sparse", lhs, rhs)
    join_code(join)
    return alignment(lhs._library, lhs._entry.handle, rhs._entry.handle, join)


def _aligned(lhs: SparseTensor, rhs: SparseTensor, join: str) -> Callable[[], Tuple[Any, Any, Any]]:
    """The joined set and the rows of both sides, computed once and when needed."""
    found: List[Any] = []

    def rows() -> Tuple[Any, Any, Any]:
        if not found:
            found.append(align_sets(lhs._entry.handle, rhs._entry.handle, join, lhs._library))
        return found[0]  # type: ignore[no-any-return]

    return rows


def _same_set(lhs: SparseTensor, rhs: SparseTensor) -> bool:
    return lhs._entry.set_id == rhs._entry.set_id


def _combine(math: Any, a: Any, b: Any, op: int) -> Any:
    if op == 0:
        return a + b
    if op == 1:
        return a - b
    if op == 2:
        return a * b
    return math.maximum(a, b) if op == 3 else math.minimum(a, b)


def _binary(
    name: str, lhs: SparseTensor, rhs: SparseTensor, op: int, join: str, lhs_fill: float = 0.0, rhs_fill: float = 0.0
) -> SparseTensor:
    _two(name, lhs, rhs)
    code = join_code(join)
    opts = options("lat_binary_opts", op=op, join=code, lhs_fill=float(lhs_fill), rhs_fill=float(rhs_fill))
    same = _same_set(lhs, rhs)
    left, right = _bare(lhs), _bare(rhs)
    rows = _aligned(left, right, join)

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        return lib.lat_sparse_binary(context, tensors[0], tensors[1], opts, out)  # type: ignore[no-any-return]

    def composed(math: Any, a: Any, b: Any) -> Any:
        x, y = math.f32(a), math.f32(b)
        if not same:
            _, lhs_rows, rhs_rows = rows()
            x, y = math.take(x, lhs_rows, lhs_fill), math.take(y, rhs_rows, rhs_fill)
        return math.promoted(_combine(math, x, y, op), a, b)

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_binary_grads *")
        check(lib.lat_sparse_binary_backward(context, tensors[0], tensors[1], opts, grad, out))
        return [out.lhs, out.rhs]

    return run(  # type: ignore[no-any-return]
        name, [lhs, rhs], [], call, backward=backward, composed=composed, place=_joined_place(left, right, code)
    )


def _bare(x: SparseTensor) -> SparseTensor:
    return make(None, x._entry, x._manager, x._batch, x._library)


def _joined_place(lhs: SparseTensor, rhs: SparseTensor, code: int) -> Callable[[], Place]:
    """Where the result of a join lies: asked of C with tensors without channels, so the identity is the same."""

    def place() -> Place:
        if _same_set(lhs, rhs):
            return lhs._entry, lhs._batch
        from ..core.sparse import own_tensor, place_of

        handles = []
        for side in (lhs, rhs):
            opts, keep = side._batch.opts()
            out = ffi.new("lat_tensor **")
            check(lib.lat_tensor_create(context(), side._entry.handle, make_view(NULL, F32, (side._entry.rows, 0)), opts, out))
            del keep
            handles.append(own_tensor(out[0]))
        out = ffi.new("lat_tensor **")
        check(lib.lat_sparse_binary(context(), *handles, options("lat_binary_opts", join=code), out))
        return place_of(lhs, own_tensor(out[0]))

    return place


def sparse_binary_op(
    lhs: SparseTensor, rhs: SparseTensor, op: str, *, join: str = "outer", lhs_fill: float = 0.0, rhs_fill: float = 0.0
) -> SparseTensor:
    """op "add", "sub", "mul", "maximum" or "minimum" of two tensors; a missing row of a side is made of its fill.

    ValueError for strides that differ, an unknown join or channels that do not fit; TypeError for mixed libraries.
    """
    code = _OPS.get(op)
    if code is None:
        raise ValueError(f"unknown sparse binary op: {op}: expected one of {', '.join(_OPS)}")
    return _binary("sparse_binary_op", lhs, rhs, code, join, lhs_fill, rhs_fill)


sparse_binary = sparse_binary_op


def sparse_add(lhs: SparseTensor, rhs: SparseTensor, *, join: str = "outer") -> SparseTensor:
    """`lhs + rhs`; a missing row counts as zeros."""
    return _binary("sparse_add", lhs, rhs, 0, join)


def sparse_sub(lhs: SparseTensor, rhs: SparseTensor, *, join: str = "outer") -> SparseTensor:
    """`lhs - rhs`."""
    return _binary("sparse_sub", lhs, rhs, 1, join)


def sparse_mul(lhs: SparseTensor, rhs: SparseTensor, *, join: str = "inner") -> SparseTensor:
    """`lhs * rhs`."""
    return _binary("sparse_mul", lhs, rhs, 2, join)


def sparse_maximum(lhs: SparseTensor, rhs: SparseTensor, *, join: str = "inner") -> SparseTensor:
    """The larger of the two; NaN wins.

    ValueError for strides that differ, an unknown join or channels that do not fit; TypeError for mixed libraries.
    """
    return _binary("sparse_maximum", lhs, rhs, 3, join)


def sparse_minimum(lhs: SparseTensor, rhs: SparseTensor, *, join: str = "inner") -> SparseTensor:
    """The smaller of the two; NaN wins.

    ValueError for strides that differ, an unknown join or channels that do not fit; TypeError for mixed libraries.
    """
    return _binary("sparse_minimum", lhs, rhs, 4, join)


def sparse_cat_aligned(lhs: SparseTensor, rhs: SparseTensor, *, join: str = "inner") -> SparseTensor:
    """Channels of lhs, then of rhs; missing rows are zeros.

    ValueError for strides that differ, an unknown join or channels that do not fit; TypeError for mixed libraries.
    """
    return _cat("sparse_cat_aligned", lhs, rhs, join)


def _cat(name: str, lhs: SparseTensor, rhs: SparseTensor, join: str) -> SparseTensor:
    _two(name, lhs, rhs)
    code = join_code(join)
    same = _same_set(lhs, rhs)
    left, right = _bare(lhs), _bare(rhs)
    rows = _aligned(left, right, join)

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        return lib.lat_sparse_cat_aligned(context, tensors[0], tensors[1], code, out)  # type: ignore[no-any-return]

    def composed(math: Any, a: Any, b: Any) -> Any:
        x, y = math.f32(a), math.f32(b)
        if not same:
            _, lhs_rows, rhs_rows = rows()
            x, y = math.take(x, lhs_rows), math.take(y, rhs_rows)
        return math.promoted(math.concat([x, y], 1), a, b)

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array *[2]")
        check(lib.lat_sparse_cat_backward(context, ffi.new("lat_tensor *[2]", tensors), 2, code, grad, out))
        return list(out)

    return run(  # type: ignore[no-any-return]
        name, [lhs, rhs], [], call, backward=backward, composed=composed, place=_joined_place(left, right, code)
    )


def cat(tensors: Iterable[SparseTensor], *, join: str = "inner") -> SparseTensor:
    """sparse_cat_aligned of any number of tensors, joined pairwise from the left."""
    found = list(tensors)
    if not found:
        raise ValueError("cat: expected at least one sparse tensor: got none")
    join_code(join)
    result = require_tensor("cat", found[0], "tensors[0]")
    for other in found[1:]:
        result = _cat("cat", result, other, join)
    return result


def gather_aligned_features(x: Any, rows: Any, *, fill: float = 0.0) -> Any:
    """`x[rows]` of a dense `(N, C)` array; a negative row number gives a row of `fill`."""
    op = "gather_aligned_features"
    of = common_library(op, x, rows)
    require(rows, "rows", (I32,), 1)
    from .features import _dense

    tensor = _dense(op, x)
    view, keep = of.view(rows)

    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = keep) -> int:
        feats = ffi.new("lat_array_view *", lib.lat_tensor_feats(tensors[0]))
        return lib.lat_gather_aligned_features(context, feats, view, float(fill), out)  # type: ignore[no-any-return]

    def composed(math: Any, a: Any) -> Any:
        return math.like(math.take(math.f32(a), rows, fill), a)

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any, alive: Any = keep) -> List[Any]:
        feats = ffi.new("lat_array_view *", lib.lat_tensor_feats(tensors[0]))
        out = ffi.new("lat_array **")
        check(lib.lat_gather_aligned_features_backward(context, feats, view, grad, out))
        return [out[0]]

    return run(op, [tensor], [], call, backward=backward, composed=composed, dense=True)


def reindex_sparse(input: SparseTensor, target: SparseTensor, *, fill: float = 0.0) -> SparseTensor:
    """input's features on target's set, matched by coordinates; rows that input lacks get `fill`."""
    op = "reindex_sparse"
    require_tensor(op, input, "input")
    require_tensor(op, target, "target")
    _two(op, input, target)
    if _same_set(input, target):
        return target.replace(feats=input._feats)
    source, goal, of = _bare(input), _bare(target), input._library
    from .pooling import _target_handle

    handle, keep = _target_handle(target)

    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = keep) -> int:
        return lib.lat_reindex_sparse(context, tensors[0], handle, float(fill), out)  # type: ignore[no-any-return]

    def composed(math: Any, a: Any) -> Any:
        out = ffi.new("lat_array **")
        check(lib.lat_coords_inverse_map(context(), source._entry.handle, goal._entry.handle, out))
        return math.like(math.take(math.f32(a), of.take(out[0]), fill), a)

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any, alive: Any = keep) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_reindex_sparse_backward(context, tensors[0], handle, grad, out))
        return [out[0]]

    place = (goal._entry, goal._batch)
    result = run(op, [input], [], call, backward=backward, composed=composed, place=lambda: place)
    return make(result._feats, target._entry, target._manager, target._batch, of)


def _chosen(
    op: str, x: SparseTensor, call: Callable[..., int], gradient: Callable[..., int], rows_of: Callable[[], Any]
) -> SparseTensor:
    """A choice of rows: `rows_of` gives them where the arrays have no values."""

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array **")
        check(gradient(context, tensors[0], grad, out))
        return [out[0]]

    def composed(math: Any, a: Any) -> Any:
        return math.like(math.take(math.f32(a), rows_of()), a)

    shell = _bare(x)

    def place() -> Place:
        from ..core.sparse import own_tensor, place_of

        opts, keep = shell._batch.opts()
        out = ffi.new("lat_tensor **")
        check(lib.lat_tensor_create(context(), shell._entry.handle, make_view(NULL, F32, (shell._entry.rows, 0)), opts, out))
        bare = own_tensor(out[0])
        out = ffi.new("lat_tensor **")
        check(call(context(), [bare], [], out))
        return place_of(shell, own_tensor(out[0]))

    return run(op, [x], [], call, backward=backward, composed=composed, place=place)  # type: ignore[no-any-return]


def _as_int32(op: str, rows: Any) -> Any:
    of = library_of(rows, op)
    if len(of.shape(rows)) != 1:
        raise ValueError(f"{op}: rows must have shape (K,): got {of.shape(rows)}")
    code = of.dtype_code(rows)
    if code not in (I32, I64, U8, 7, 8):
        raise ValueError(f"{op}: rows must be whole numbers: got {NAMES[code]}")
    return of.cast(rows, I32)


def prune(x: SparseTensor, rows: Any) -> SparseTensor:
    """The rows that `rows` `(K,)` names, in its order, repetitions included. ValueError ("rows must index")."""
    op = "prune"
    require_tensor(op, x)
    of = common_library(op, x._feats, rows)
    rows = _as_int32(op, rows)
    view, keep = of.view(rows)

    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = keep) -> int:
        return lib.lat_prune(context, tensors[0], view, out)  # type: ignore[no-any-return]

    def gradient(context: Any, tensor: Any, grad: Any, out: Any, alive: Any = keep) -> int:
        return lib.lat_prune_backward(context, tensor, view, grad, out)  # type: ignore[no-any-return]

    return _chosen(op, x, call, gradient, lambda: rows)


def _mask_rows(of: Any, view: Any) -> Any:
    n = view.shape[0]
    step = view.stride[0]
    data = ffi.cast("const uint8_t *", view.data)
    return of.integers([row for row in range(n) if data[row * step]])


def prune_mask(x: SparseTensor, mask: Any) -> SparseTensor:
    """The rows whose entry of a bool `(N,)` mask is true, ascending."""
    op = "prune_mask"
    require_tensor(op, x)
    of = common_library(op, x._feats, mask)
    if of.shape(mask) != (x.capacity,):
        raise ValueError(f"{op}: mask must match the sparse tensor capacity: got {of.shape(mask)}, expected ({x.capacity},)")
    if of.dtype_code(mask) != U8:
        raise ValueError(f"{op}: mask must be boolean: got {mask.dtype}")
    view, keep = of.view(mask)

    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = keep) -> int:
        return lib.lat_prune_mask(context, tensors[0], view, out)  # type: ignore[no-any-return]

    def gradient(context: Any, tensor: Any, grad: Any, out: Any, alive: Any = keep) -> int:
        return lib.lat_prune_mask_backward(context, tensor, view, grad, out)  # type: ignore[no-any-return]

    return _chosen(op, x, call, gradient, lambda: _mask_rows(of, view))


def crop(x: SparseTensor, *, min_coord: Iterable[int], max_coord: Iterable[int]) -> SparseTensor:
    """The rows inside a box of logical coordinates, both corners included, ascending.

    min_coord, max_coord: three whole numbers each, else ValueError.
    """
    op = "crop"
    require_tensor(op, x)
    low, high = tuple(int(v) for v in min_coord), tuple(int(v) for v in max_coord)
    if len(low) != 3 or len(high) != 3:
        raise ValueError(f"{op}: min_coord and max_coord must have 3 values: got {len(low)} and {len(high)}")
    c_low, c_high = ffi.new("lat_triple *", low), ffi.new("lat_triple *", high)
    entry, of = x._entry, x._library

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        return lib.lat_crop(context, tensors[0], c_low[0], c_high[0], out)  # type: ignore[no-any-return]

    def rows_of() -> Any:
        data = ffi.cast("const int32_t *", lib.lat_coords_rows(entry.handle).data)
        inside = [
            row for row in range(entry.rows) if all(low[a] <= data[4 * row + 1 + a] <= high[a] for a in range(3))
        ]
        return of.integers(inside)

    def gradient(context: Any, tensor: Any, grad: Any, out: Any) -> int:
        return lib.lat_crop_backward(context, tensor, c_low[0], c_high[0], grad, out)  # type: ignore[no-any-return]

    return _chosen(op, x, call, gradient, rows_of)


def topk_rows(x: SparseTensor, counts: Iterable[int], *, rho: float = 1.0) -> Any:
    """For each batch item the `min(int(count * rho), rows)` rows of highest channel 0, in ascending score: int32 rows."""
    op = "topk_rows"
    require_tensor(op, x)
    wanted = [int(c) for c in (counts.tolist() if hasattr(counts, "tolist") else counts)]
    if x.batch_counts is None:
        raise ValueError(f"{op}: batch_counts metadata is required: got None")
    if len(wanted) != len(x.batch_counts):
        raise ValueError(f"{op}: counts must have one entry for each batch item: got {len(wanted)}, expected {len(x.batch_counts)}")
    from ..core.sparse import c_tensor

    tensor, keep = c_tensor(x, x._library.detach(x._feats))
    out = ffi.new("lat_array **")
    check(lib.lat_topk_rows(context(), tensor, ffi.new("int64_t[]", wanted), len(wanted), float(rho), out))
    del keep
    return x._library.take(out[0])


# --- construction -----------------------------------------------------------------------------------------------------

_REDUCTIONS = {"none": 0, "error": 1, "first": 2, "sum": 3, "mean": 4, "max": 5}


def _reduction(op: str, reduction: str) -> int:
    code = _REDUCTIONS.get(reduction)
    if code is None:
        raise ValueError(f"{op}: duplicate_reduction: got {reduction!r}, expected one of {', '.join(_REDUCTIONS)}")
    return code


def sparse_from_coordinates(
    coords: Any,
    feats: Any,
    *,
    stride: IntOrTriple = 1,
    batch_counts: Optional[Iterable[int]] = None,
    duplicate_reduction: str = "none",
) -> SparseTensor:
    """A tensor of rows that may repeat: "none" keeps them, "error" refuses them, "first", "sum", "mean" and "max" merge them.

    Merged rows are in first-seen order; declared batch_counts are counted again.

    coords `(N, 4)`, feats `(N, C)`. ValueError as of SparseTensor, for an unknown rule, and for repeated rows with "error".
    """
    op = "sparse_from_coordinates"
    code = _reduction(op, duplicate_reduction)
    x = SparseTensor(coords, feats, stride, batch_counts=batch_counts)
    if duplicate_reduction == "none":
        return x
    return _merged(op, x, code)


def _merged(op: str, x: SparseTensor, code: int) -> SparseTensor:
    """x with its duplicates refused or merged, on a manager of its own."""
    shell = _bare(x)
    counts = None if x.batch_counts is None else ffi.new("int64_t[]", x.batch_counts)

    def opts() -> Any:
        return options(
            "lat_from_coordinates_opts", stride=shell.stride, duplicates=code,
            batch_counts=NULL if counts is None else counts, n_batches=max(shell._batch.size, 0),
        )  # fmt: skip

    def views(tensor: Any) -> Any:
        rows = ffi.new("lat_array_view *", lib.lat_coords_rows(shell._entry.handle))
        return rows, ffi.new("lat_array_view *", lib.lat_tensor_feats(tensor))

    def call(context: Any, tensors: Any, _: Any, out: Any) -> int:
        return lib.lat_sparse_from_coordinates(context, *views(tensors[0]), opts(), out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, _: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_sparse_from_coordinates_backward(context, *views(tensors[0]), grad, opts(), out))
        return [out[0]]

    of = x._library
    manager = CoordinateManager()
    manager._library = of
    own = make(x._feats, manager._adopt(x._entry), manager, x._batch, of)
    shell = _bare(own)

    def place() -> Place:
        from ..core.sparse import own_tensor, place_of

        rows, out = ffi.new("lat_array_view *", lib.lat_coords_rows(shell._entry.handle)), ffi.new("lat_tensor **")
        none = make_view(NULL, F32, (shell._entry.rows, 0))
        check(lib.lat_sparse_from_coordinates(context(), rows, none, opts(), out))
        return place_of(shell, own_tensor(out[0]))

    def composed(math: Any, feats: Any) -> Any:
        merged, _ = place()
        out = ffi.new("lat_array **")
        check(lib.lat_coords_inverse_map(context(), merged.handle, shell._entry.handle, out))
        from .points import reduce_points

        names = {number: name for name, number in _REDUCTIONS.items()}
        how = "first" if names[code] == "error" else names[code]
        return reduce_points(op, feats, of.take(out[0]), merged.rows, how)

    return run(op, [own], [], call, backward=backward, composed=composed, place=place)  # type: ignore[no-any-return]


def sparse_collate(
    coords: Sequence[Any], feats: Sequence[Any], *, stride: IntOrTriple = 1, duplicate_reduction: str = "none"
) -> SparseTensor:
    """One batch of unbatched parts: coords `(n, 3)`, feats `(n, C)` each; the batch column is the part's place."""
    op = "sparse_collate"
    _reduction(op, duplicate_reduction)
    parts, values = [as_array(c) for c in coords], [as_array(f) for f in feats]
    if len(parts) != len(values):
        raise ValueError(f"{op}: coords and feats batch sizes must match: got {len(values)} feats, expected {len(parts)}")
    if not parts:
        raise ValueError(f"{op}: expected at least one sparse tensor batch: got none")
    of = common_library(op, *parts, *values)
    codes = set()
    total = 0
    for part, value in zip(parts, values):
        shape = require(part, "coords", (I32, I64), 2)
        if shape[1] != 3:
            raise ValueError(f"{op}: coords must have shape (N, 3): got {shape}")
        check_feats(value, shape[0])
        codes.add(of.dtype_code(part))
        total += shape[0]
    if len(codes) > 1:
        raise ValueError(f"{op}: collated coords must share a dtype: got {', '.join(NAMES[c] for c in sorted(codes))}")
    rows = ffi.new("int32_t[]", max(4 * total, 1))
    at, counts = 0, []
    for item, part in enumerate(parts):
        n = of.shape(part)[0]
        _copy_spatial(of, part, rows + 4 * at, n, item)
        counts.append(n)
        at += n
    joined = of.borrow(make_view(rows, I32, (total, 4)), rows)
    return sparse_from_coordinates(
        joined, of.concatenate(values), stride=stride, batch_counts=counts, duplicate_reduction=duplicate_reduction
    )


def _copy_spatial(of: Any, part: Any, target: Any, n: int, item: int) -> None:
    """Writes `(item, x, y, z)` rows."""
    if n == 0:
        return
    view, keep = of.view(part)
    out = ffi.new("lat_array **")
    check(lib.lat_array_cast(context(), view, I32, out))
    del keep
    handle = ffi.gc(out[0], lib.lat_array_release)
    data = ffi.cast("const int32_t *", lib.lat_array_as_view(handle).data)
    source, to = memoryview(ffi.buffer(data, 12 * n)).cast("B").cast("i"), memoryview(ffi.buffer(target, 16 * n)).cast("B").cast("i")
    to[0::4] = memoryview(ffi.buffer(ffi.new("int32_t[]", [item] * n))).cast("B").cast("i")
    for axis in range(3):
        to[axis + 1 :: 4] = source[axis::3]
