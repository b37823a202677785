"""Sparse tensors to dense arrays and back."""
from __future__ import annotations

from typing import Any, List, Optional

from .._arrays import library_of
from .._library import NULL, check, context, ffi, lib, options
from .._operation import run
from ..core.manager import CoordinateManager
from ..core.sparse import Batch, SparseTensor, feats_of, make, own_tensor, require_tensor
from ..core.types import IntOrTriple, triple

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

    return run(op, [x], [], call, backward=backward, dense=True)


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
    view, keep = of.view(of.detach(dense))
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
    return make(feats, entry, manager, batch, of)


__all__ = ["from_dense", "to_dense"]
