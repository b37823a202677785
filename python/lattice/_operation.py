"""How an operation runs: arrays in, one C call, arrays out, and its derivative where the library has derivatives.

`call(context, tensors, views, out)` makes the C call. `backward(context, tensors, views, grad, needs)` gives one
`lat_array *` (owned) or None for each array. `composed(math, *arrays)` computes the same of the library's own operations
over constant index arrays: what mx.compile traces, and what is differentiated where C has no derivative.
"""
from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

from ._arrays import Library, common_library, is_contiguous
from ._library import NULL, check, collect, context, fail, ffi, lib, new
from ._math import math_of
from .core.sparse import Batch, SparseTensor, c_tensor, cached_c_tensor, feats_of, make, own_tensor, place_of

_TENSOR_OUT = ffi.typeof("lat_tensor **")
_ARRAY_OUT = ffi.typeof("lat_array **")

Place = Tuple[Any, Batch]


class Operation:
    """One call. `tensors` come first among its arrays, then the `params` that are not None."""

    __slots__ = ("name", "of", "shells", "present", "call", "c_backward", "c_jvp", "formula", "dense", "result")

    def __init__(
        self,
        name: str,
        of: Library,
        tensors: Sequence[SparseTensor],
        params: Sequence[Any],
        call: Callable[..., int],
        backward: Optional[Callable[..., List[Any]]],
        composed: Optional[Callable[..., Any]],
        jvp: Optional[Callable[..., int]],
        dense: bool,
    ) -> None:
        self.name = name
        self.of = of
        # Without their features: an operation that waits for its backward must not hold arrays that autograd frees.
        self.shells = [make(None, x._entry, x._manager, x._batch, of) for x in tensors]
        self.present = [p is not None for p in params]
        self.call = call
        self.c_backward = backward
        self.c_jvp = jvp
        self.formula = composed
        self.dense = dense
        self.result: Any = None

    def _inputs(self, arrays: Sequence[Any]) -> Tuple[List[Any], List[Any], List[Any]]:
        handles, views, kept = [], [], []
        for shell, array in zip(self.shells, arrays):
            handle, keep = c_tensor(shell, array)
            handles.append(handle)
            kept.append(keep)
        rest = iter(arrays[len(self.shells) :])
        for there in self.present:
            if there:
                view, keep = self.of.view(next(rest))
                views.append(view)
                kept.append(keep)
            else:
                views.append(NULL)
        return handles, views, kept

    def forward(self, *arrays: Any) -> Any:
        handles, views, kept = self._inputs(arrays)
        if self.dense:
            out = ffi.new(_ARRAY_OUT)
            check(self.call(context(), handles, views, out))
            del kept
            return self.of.take(out[0])
        out = ffi.new(_TENSOR_OUT)
        check(self.call(context(), handles, views, out))
        tensor = own_tensor(out[0])
        self.result = tensor
        # Where C shares the features of an input, so does Python: the memory is the caller's.
        data = lib.lat_tensor_feats(tensor).data
        if data != NULL:
            for handle, array in zip(handles, arrays):
                if lib.lat_tensor_feats(handle).data == data:
                    return array
        return feats_of(self.of, tensor)

    def backward(self, grad: Any, arrays: Sequence[Any], needs: Sequence[bool]) -> List[Any]:
        assert self.c_backward is not None
        handles, views, kept = self._inputs(arrays)
        view, keep = self.of.view(grad)
        if not is_contiguous(view):
            copied = ffi.new(_ARRAY_OUT)
            check(lib.lat_array_create(context(), view, copied))
            keep = ffi.gc(copied[0], lib.lat_array_release)
            view = ffi.new("lat_array_view *", lib.lat_array_as_view(keep))
        found = self.c_backward(context(), handles, views, view, needs)
        del kept, keep
        return [None if handle is None or handle == NULL else self.of.take(handle) for handle in found]

    def jvp(self, arrays: Sequence[Any], tangents: Sequence[Any]) -> Any:
        assert self.c_jvp is not None
        handles, views, kept = self._inputs(arrays)
        tangent_views = []
        for tangent in tangents:
            view, keep = (NULL, None) if tangent is None else self.of.view(tangent)
            tangent_views.append(view)
            kept.append(keep)
        out = ffi.new(_ARRAY_OUT)
        check(self.c_jvp(context(), handles, views, tangent_views, out))
        del kept
        return self.of.take(out[0])

    def composed(self, *arrays: Any) -> Any:
        if self.formula is None:
            raise RuntimeError(f"{self.name}: not available while arrays have no values (mx.compile, mx.vmap)")
        rest = iter(arrays[len(self.shells) :])
        params = [next(rest) if there else None for there in self.present]
        return self.formula(math_of(self.of), *arrays[: len(self.shells)], *params)


def run_directly(tensors: Sequence[SparseTensor], params: Sequence[Any], call: Callable[..., int], dense: bool = False) -> Any:
    """One call of C on arrays that nobody differentiates or traces."""
    x = tensors[0]
    of = x._library
    inputs = [cached_c_tensor(t) for t in tensors]
    views, kept = [], []
    for p in params:
        if p is None:
            views.append(NULL)
        else:
            view, keep = of.view(p)
            views.append(view)
            kept.append(keep)
    out = new(_ARRAY_OUT if dense else _TENSOR_OUT, None)
    status = call(context(), [c[0] for c in inputs], views, out)
    if status:
        fail(status)
    if dense:
        return of.take(out[0])
    tensor = collect(out[0], lib.lat_tensor_release)
    found = lib.lat_tensor_feats(tensor)
    data, feats = found.data, None
    # Where C shares the features of an input, so does Python: the memory is the caller's.
    for t, c in zip(tensors, inputs):
        if c[3] == data and data != NULL:
            feats = t._feats
    if feats is None:
        feats = feats_of(of, tensor, found)
    entry, batch = place_of(x, tensor)
    y = make(feats, entry, x._manager, batch, of)
    if of.stays:
        y._c = (tensor, tensor, of.address(feats), data)
    return y


def run(
    name: str,
    tensors: Sequence[SparseTensor],
    params: Sequence[Any],
    call: Callable[..., int],
    *,
    backward: Optional[Callable[..., List[Any]]] = None,
    composed: Optional[Callable[..., Any]] = None,
    jvp: Optional[Callable[..., int]] = None,
    place: Optional[Callable[[], Place]] = None,
    dense: bool = False,
) -> Any:
    """Runs an operation on sparse tensors; gives a SparseTensor, or an array when `dense`.

    place: the result's entry and batch where the call did not happen (traced arrays); x's own by default.
    """
    x = tensors[0]
    of = x._library
    arrays = [t._feats for t in tensors]
    for p in params:
        if p is not None:
            arrays.append(p)
    if len(arrays) > 1:
        common_library(name, *arrays)
    if of.is_direct(arrays):
        return run_directly(tensors, params, call, dense)
    operation = Operation(name, of, tensors, params, call, backward, composed, jvp, dense)
    feats = of.apply(operation, arrays)
    if dense:
        return feats
    result, operation.result = operation.result, None
    if result is not None:
        entry, batch = place_of(x, result)
    elif place is not None:
        entry, batch = place()
    else:
        entry, batch = x._entry, x._batch
    y = make(feats, entry, x._manager, batch, of)
    if result is not None and of.stays:
        y._c = (result, result, of.address(feats), lib.lat_tensor_feats(result).data)
    return y


def grads_list(grads: Any, *names: str) -> List[Any]:
    """The handles of a struct of gradients."""
    return [getattr(grads, name) for name in names]
