"""Relations of tensors: cached kernel relations, neighbour queries, gathering along neighbours."""
from __future__ import annotations

from typing import Any, List, Optional

from .._arrays import common_library
from .._library import check, ffi, lib
from .._operation import run
from ..core.coords import knn_of_sets, radius_of_sets
from ..core.manager import entry_relation
from ..core.relations import KernelRelation, NeighborRelation
from ..core.sparse import SparseTensor, require_tensor
from ..core.types import IntOrTriple, KernelSpec
from .features import _dense


def kernel_relation(
    x: SparseTensor,
    *,
    kernel_size: IntOrTriple = 3,
    stride: IntOrTriple = 1,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
) -> KernelRelation:
    """The forward relation of a tensor; the same object when asked again.

    A KernelRelation of int32 arrays. ValueError for geometry that is not positive.
    """
    require_tensor("kernel_relation", x)
    return _cached("forward", x, None, KernelSpec(kernel_size, stride, padding, dilation))


def submanifold_kernel_relation(
    x: SparseTensor, *, kernel_size: IntOrTriple = 3, dilation: IntOrTriple = 1
) -> KernelRelation:
    """The submanifold relation of a tensor.

    A KernelRelation of int32 arrays. ValueError for geometry that is not positive.
    """
    require_tensor("submanifold_kernel_relation", x)
    return _cached("submanifold", x, None, KernelSpec(kernel_size, 1, 0, dilation))


def generative_kernel_relation(
    x: SparseTensor, *, kernel_size: IntOrTriple = 2, stride: IntOrTriple = 2
) -> KernelRelation:
    """The generative relation of a tensor.

    A KernelRelation of int32 arrays. ValueError for geometry that is not positive.
    """
    require_tensor("generative_kernel_relation", x)
    return _cached("generative", x, None, KernelSpec(kernel_size, stride))


def transposed_kernel_relation(
    x: SparseTensor,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
) -> KernelRelation:
    """The transposed relation of a tensor.

    A KernelRelation of int32 arrays. ValueError for geometry that is not positive.
    """
    require_tensor("transposed_kernel_relation", x)
    return _cached("transposed", x, None, KernelSpec(kernel_size, stride, padding, dilation))


def target_kernel_relation(
    x: SparseTensor,
    target: SparseTensor,
    *,
    kernel_size: IntOrTriple = 3,
    stride: IntOrTriple = 1,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
) -> KernelRelation:
    """The forward geometry onto the rows of another tensor.

    A KernelRelation of int32 arrays. ValueError for geometry that is not positive.
    """
    op = "target_kernel_relation"
    require_tensor(op, x)
    require_tensor(op, target, "target")
    return _cached("target", x, target, KernelSpec(kernel_size, stride, padding, dilation))


def _cached(kind: str, x: SparseTensor, target: Optional[SparseTensor], spec: KernelSpec) -> KernelRelation:
    entry = None
    if target is not None:
        entry = target._entry if target._manager is x._manager else x._manager._adopt(target._entry)
    return entry_relation(kind, x._entry, entry, spec, x._library)  # type: ignore[no-any-return]


def _stride_check(op: str, source: SparseTensor, query: Optional[SparseTensor]) -> None:
    require_tensor(op, source, "source")
    if query is None:
        return
    require_tensor(op, query, "query")
    if query.stride != source.stride:
        raise ValueError(f"{op}: tensors must have the same coordinate stride: got {query.stride}, expected {source.stride}")


def knn_relation(source: SparseTensor, query: Optional[SparseTensor] = None, *, k: int) -> NeighborRelation:
    """For each row of query (source itself by default) its k nearest rows of source, in logical coordinates.

    A NeighborRelation of int32 rows and float32 squared distances. ValueError for strides that differ ("same coordinate stride").
    """
    _stride_check("knn_relation", source, query)
    return knn_of_sets(source._entry.handle, None if query is None else query._entry.handle, source._library, k)


def radius_relation(
    source: SparseTensor,
    query: Optional[SparseTensor] = None,
    *,
    radius: float,
    max_neighbors: Optional[int] = None,
) -> NeighborRelation:
    """For each row of query the rows of source within a closed ball, nearest first.

    A NeighborRelation of int32 rows and float32 squared distances. ValueError for strides that differ ("same coordinate stride").
    """
    _stride_check("radius_relation", source, query)
    handle = None if query is None else query._entry.handle
    return radius_of_sets(source._entry.handle, handle, source._library, radius, max_neighbors)


def gather_neighbor_features(source: Any, relation: NeighborRelation) -> Any:
    """The source feature row of every edge: `(edges, C)`. source: a SparseTensor or a feature array `(N, C)`."""
    op = "gather_neighbor_features"
    if not isinstance(relation, NeighborRelation):
        raise TypeError(f"{op}: relation has the wrong class: got {type(relation).__name__}, expected NeighborRelation")
    feats = source._feats if isinstance(source, SparseTensor) else source
    of = common_library(op, feats, relation.edges.source_rows)
    tensor = _dense(op, feats)
    rows, handle = relation.edges.source_rows, relation._handle
    n_sources = relation.n_source_capacity
    if handle is None or n_sources != of.shape(feats)[0]:
        from .algebra import gather_aligned_features

        if handle is not None:
            raise ValueError(f"{op}: features must have one row for each source: got {of.shape(feats)[0]}, expected {n_sources}")
        return gather_aligned_features(feats, rows)

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        view = ffi.new("lat_array_view *", lib.lat_tensor_feats(tensors[0]))
        return lib.lat_gather_neighbor_features(context, view, handle, out)  # type: ignore[no-any-return]

    def composed(math: Any, a: Any) -> Any:
        return math.like(math.take(math.f32(a), rows), a)

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        view = ffi.new("lat_array_view *", lib.lat_tensor_feats(tensors[0]))
        out = ffi.new("lat_array **")
        check(lib.lat_gather_neighbor_features_backward(context, view, handle, grad, out))
        return [out[0]]

    return run(op, [tensor], [], call, backward=backward, composed=composed, dense=True)


__all__ = [
    "gather_neighbor_features", "generative_kernel_relation", "kernel_relation", "knn_relation", "radius_relation",
    "submanifold_kernel_relation", "target_kernel_relation", "transposed_kernel_relation",
]  # fmt: skip
