"""Sparse tensors to dense arrays and back."""
from __future__ import annotations

from math import prod
from typing import Any, List, Optional, Sequence, Tuple

from .._arrays import F32, library_of, make_view, own, view_shape
from .._arrays.mlx_arrays import MlxLibrary
from .._library import NULL, check, context, ffi, lib, options
from .._math import math_of
from .._operation import run
from ..core.manager import CoordinateManager, Entry
from ..core.sparse import Batch, SparseTensor, feats_of, make, own_tensor, require_tensor
from ..core.types import IntOrTriple, triple
from .convolution import x_shell

_LAYOUTS = {"channels_last": 0, "channels_first": 1}
_FOLDS = {None: 0, "x": 1, "y": 2, "z": 3}
_OUTSIDE = {"error": 0, "drop": 1}


def _choice(op: str, name: str, table: Any, value: Any) -> int:
    if value not in table:
        raise ValueError(f"{op}: {name}: got {value!r}, expected one of {', '.join(map(repr, table))}")
    return int(table[value])


def to_dense(
    x: SparseTensor,
    *,
    min_coord: IntOrTriple = 0,
    shape: Optional[IntOrTriple] = None,
    batch_size: Optional[int] = None,
    layout: str = "channels_last",
    fold: Optional[str] = None,
    outside: str = "error",
) -> Any:
    """A dense array `(B, X, Y, Z, C)`, or `(B, C, X, Y, Z)` with layout "channels_first", zero where there is no row.

    min_coord: coordinate of the first cell. shape: cells along x, y, z (None: up to the largest coordinates).
    fold: axis ("x", "y", "z") that goes into the channels, the bird's-eye form. outside: "error" or "drop".
    """
    op = "to_dense"
    require_tensor(op, x)
    opts = options(
        "lat_dense_opts", min_coord=triple(min_coord, name="min_coord"),
        shape=(0, 0, 0) if shape is None else triple(shape, name="shape"), batch_size=int(batch_size or 0),
        layout=_choice(op, "layout", _LAYOUTS, layout), fold=_choice(op, "fold", _FOLDS, fold),
        outside=_choice(op, "outside", _OUTSIDE, outside),
    )  # fmt: skip

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        return lib.lat_to_dense(context, tensors[0], opts, out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_to_dense_backward(context, tensors[0], grad, opts, out))
        return [out[0]]

    shell = x_shell(x)

    def composed(math: Any, feats: Any) -> Any:
        cells, shape = _cells(shell, opts)
        rows = math.take(math.f32(feats), cells).reshape(*shape, feats.shape[1])
        return math.like(_laid_out(math, rows, layout, fold), feats)

    return run(op, [x], [], call, backward=backward, composed=composed, dense=True)


def _cells(x: SparseTensor, opts: Any) -> Tuple[Any, Tuple[int, ...]]:
    """The row of each cell, -1 for none, and the shape `(B, X, Y, Z)`: asked of C with row numbers in place of features."""
    low, of = 1 << 16, x._library  # float32 holds either half of a row number
    numbers = ffi.new("float[]", [v for row in range(x.capacity) for v in (row // low + 1, row % low)] or 1)
    entry, out = x._entry, ffi.new("lat_tensor **")
    batch, counts = x._batch.opts()
    check(lib.lat_tensor_create(context(), entry.handle, make_view(numbers, F32, (entry.rows, 2)), batch, out))
    tensor = own_tensor(out[0])
    plain = ffi.new("lat_dense_opts *", opts[0])
    plain.layout, plain.fold = 0, 0
    made = ffi.new("lat_array **")
    check(lib.lat_to_dense(context(), tensor, plain, made))
    dense = own(made[0])
    view = lib.lat_array_as_view(dense)
    shape = view_shape(view)[:4]
    halves = ffi.unpack(ffi.cast("const float *", view.data), 2 * prod(shape))
    return of.integers([int(high - 1) * low + int(rest) if high else -1 for high, rest in zip(halves[::2], halves[1::2])]), shape


def _gathered(math: Any, dense: Any, entry: Entry, fields: Any, layout: str, fold: Optional[str]) -> Any:
    """The channels of the cells of a set, made of the library's own operations, which it differentiates and traces."""
    low, of = fields["min_coord"], library_of(dense)
    grid = _plain(math, dense, layout, fold, fields["shape"])
    _, x, y, z, channels = grid.shape
    rows = ffi.unpack(ffi.cast("const int32_t *", lib.lat_coords_rows(entry.handle).data), 4 * entry.rows) if entry.rows else []
    places = [
        ((rows[at] * x + rows[at + 1] - low[0]) * y + rows[at + 2] - low[1]) * z + rows[at + 3] - low[2]
        for at in range(0, len(rows), 4)
    ]
    return grid.reshape(-1, channels)[math.indices(of.integers(places))]


def _plain(math: Any, dense: Any, layout: str, fold: Optional[str], shape: Sequence[int]) -> Any:
    """`(B, X, Y, Z, C)` of an array in another layout."""
    if layout == "channels_first":
        dense = math.permute(dense, (0, *range(2, len(dense.shape)), 1))
    if fold is not None:
        axis = "xyz".index(fold)
        dense = dense.reshape(*dense.shape[:3], dense.shape[3] // shape[axis], shape[axis])
        rest = [1, 2]
        rest.insert(axis, 4)
        dense = math.permute(dense, (0, *rest, 3))
    return dense


def _laid_out(math: Any, dense: Any, layout: str, fold: Optional[str]) -> Any:
    """`(B, X, Y, Z, C)` with an axis folded into the channels, where it runs fastest, and the channels first."""
    if fold is not None:
        axis = 1 + "xyz".index(fold)
        rest = [a for a in (1, 2, 3) if a != axis]
        dense = math.permute(dense, (0, *rest, 4, axis))
        dense = dense.reshape(*dense.shape[:3], dense.shape[3] * dense.shape[4])
    if layout == "channels_first":
        last = len(dense.shape) - 1
        dense = math.permute(dense, (0, last, *range(1, last)))
    return dense


def from_dense(
    dense: Any,
    *,
    min_coord: IntOrTriple = 0,
    shape: Optional[IntOrTriple] = None,
    layout: str = "channels_last",
    fold: Optional[str] = None,
    stride: IntOrTriple = 1,
    mask: Any = None,
) -> SparseTensor:
    """A tensor of the cells of a dense array that have a channel other than zero, or whose `mask` is true.

    dense: `(B, X, Y, Z, C)` or channels first; with `fold` one axis less, and its length in `shape`.
    mask: `(B, X, Y, Z)` uint8 or bool.
    """
    op = "from_dense"
    of = library_of(dense, op)
    fields: Any = {
        "min_coord": triple(min_coord, name="min_coord"),
        "shape": (0, 0, 0) if shape is None else triple(shape, name="shape"),
        "layout": _choice(op, "layout", _LAYOUTS, layout),
        "fold": _choice(op, "fold", _FOLDS, fold),
        "stride": triple(stride, name="stride"),
    }
    values = of.detach(dense)
    if isinstance(of, MlxLibrary) and of.is_traced(dense):
        if mask is None:
            raise RuntimeError(
                "from_dense: the rows depend on the values: expected a mask while arrays have no values (mx.compile, mx.vmap)"
            )
        values = of.mx.zeros(dense.shape, dense.dtype)
    view, keep = of.view(values)
    mask_view, mask_keep = (NULL, None) if mask is None else of.view(mask)
    opts = options("lat_dense_opts", mask=mask_view, **fields)
    out = ffi.new("lat_tensor **")
    check(lib.lat_from_dense(context(), view, opts, out))
    del keep, mask_keep
    tensor = own_tensor(out[0])
    manager = CoordinateManager()
    manager._library = of
    entry = manager._of_set(lib.lat_tensor_coords(tensor))
    size = int(lib.lat_tensor_batch_size(tensor))
    counts = lib.lat_tensor_batch_counts(tensor)
    found = None if counts == NULL or size < 0 else tuple(ffi.unpack(counts, size)) if size else ()
    batch = Batch(found, size)
    feats = feats_of(of, tensor)
    if of.name == "torch" and dense.requires_grad:
        from ..ops.dense_torch import gather_cells

        feats = gather_cells(dense, feats, tensor, opts, (mask, mask_view))
    elif of.name == "mlx":
        feats = _gathered(math_of(of), dense, entry, fields, layout, fold)
    return make(feats, entry, manager, batch, of)


__all__ = ["from_dense", "to_dense"]
