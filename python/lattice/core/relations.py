"""Kernel and neighbour relations: which input row meets which output row."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

try:
    from typing import Literal
except ImportError:  # pragma: no cover
    from typing_extensions import Literal  # type: ignore[assignment]

from .._arrays import F32, F64, I32, I64, Library, library_of, make_view
from .._library import NULL, check, context, ffi, lib, options
from .manager import create_set, retain_set, rows_array
from .types import KernelSpec, Triple, check_coords, positive_triple, triple

RelationKind = Literal["forward", "target", "submanifold", "transposed", "generative"]
_KINDS = ("forward", "target", "submanifold", "transposed", "generative", "target_transposed")
_CREATE = {
    "forward": "lat_relation_create_forward",
    "submanifold": "lat_relation_create_subm",
    "target": "lat_relation_create_target",
    "transposed": "lat_relation_create_transposed",
    "generative": "lat_relation_create_generative",
    "target_transposed": "lat_relation_create_target_transposed",
}


Reach = Optional[Tuple[str, Triple]]
_SUPPORTS = {"floor": 0, "reach": 1}


def check_support(op: str, support: str, bounds: Any) -> Tuple[str, Triple]:
    """The support rule and its bounds, `(0, 0, 0)` for none."""
    if support not in _SUPPORTS:
        raise ValueError(f"{op}: support must be 'floor' or 'reach': got {support!r}")
    found = (0, 0, 0) if bounds is None else positive_triple(bounds, "bounds")
    if bounds is not None and support != "reach":
        raise ValueError(f"{op}: bounds without reach support: got bounds {found}, expected support='reach'")
    return support, found


def support_fields(reach: Reach) -> Dict[str, Any]:
    return {} if reach is None else {"support": _SUPPORTS[reach[0]], "bounds": reach[1]}


def kernel_opts(spec: KernelSpec, reach: Reach = None) -> Any:
    return options(
        "lat_kernel_opts", kernel_size=spec.size, stride=spec.stride, padding=spec.padding, dilation=spec.dilation,
        **support_fields(reach),
    )  # fmt: skip


def create_relation(kind: str, source: Any, target: Any, spec: KernelSpec, reach: Reach = None) -> Any:
    """A `lat_relation *`."""
    out = ffi.new("lat_relation **")
    function = getattr(lib, _CREATE[kind])
    if kind in ("target", "target_transposed"):
        check(function(context(), source, target, kernel_opts(spec, reach), out))
    else:
        check(function(context(), source, kernel_opts(spec, reach), out))
    return ffi.gc(out[0], lib.lat_relation_release)


@dataclass(frozen=True)
class RelationEdges:
    """Parallel int32 lists, ordered by (out_row, kernel_id)."""

    in_rows: Any
    out_rows: Any
    kernel_ids: Any

    def __post_init__(self) -> None:
        _same_lengths("relation edges", self.in_rows, self.out_rows, self.kernel_ids)


@dataclass(frozen=True)
class NeighborEdges:
    """Parallel int32 lists, ordered by (query_row, neighbor_id)."""

    query_rows: Any
    source_rows: Any
    neighbor_ids: Any

    def __post_init__(self) -> None:
        _same_lengths("neighbor edges", self.query_rows, self.source_rows, self.neighbor_ids)


@dataclass(frozen=True)
class RelationCSRView:
    """Edges grouped by a row: group g is `edge_ids[row_offsets[g]:row_offsets[g + 1]]`, ascending."""

    row_offsets: Any
    edge_ids: Any


RelationView = RelationCSRView


@dataclass(frozen=True)
class RelationImplicitGemmView:
    """`out_in_map` `(N_out, K)`: the input row of each output row and kernel element, -1 for none; `row_masks`
    `(N_out, ceil(K / 32))`: bit `k % 32` of word `k // 32` is set where there is one."""

    out_in_map: Any
    row_masks: Any


@dataclass(frozen=True)
class RelationSortedImplicitGemmView:
    """The map with its rows in ascending order of their masks, its transpose, and an OR of masks for each 16 rows."""

    sorted_out_in_map: Any
    sorted_kv_out_in_map: Any
    reorder_rows: Any
    tile_masks: Any


@dataclass(frozen=True)
class SparseRelationContract:
    """What a relation is about: its kind, sizes, geometry and sets."""

    kind: str
    n_in_capacity: int
    n_out_capacity: int
    n_kernels: int
    kernel_offsets: Tuple[Triple, ...]
    stride: Triple
    padding: Triple
    source_coords: Any = None
    source_active_rows: Any = None
    target_coords: Any = None
    target_active_rows: Any = None


def _same_lengths(what: str, *arrays: Any) -> None:
    lengths = [library_of(a, what).shape(a) for a in arrays]
    if any(len(shape) != 1 for shape in lengths) or len(set(lengths)) != 1:
        raise ValueError(f"{what} must have the same row count: got {lengths}")


class KernelRelation:
    """Edges `(in_row, out_row, kernel_id)` of a kernel geometry, with grouped views of them (semantics 3.8).

    Every array is int32, of the library that asked for the relation; lengths are exact.
    """

    def __init__(
        self,
        in_rows: Any,
        out_rows: Any,
        kernel_ids: Any,
        *,
        row_offsets: Any = None,
        counts: Any = None,
        in_row_offsets: Any = None,
        in_edge_ids: Any = None,
        kernel_row_offsets: Any = None,
        kernel_edge_ids: Any = None,
        kernel_offsets: Tuple[Triple, ...] = (),
        out_coords: Any = None,
        n_in_capacity: Optional[int] = None,
        n_out_capacity: Optional[int] = None,
        n_kernels: Optional[int] = None,
        source_coords: Any = None,
        source_active_rows: Any = None,
        target_coords: Any = None,
        target_active_rows: Any = None,
        stride: Triple = (1, 1, 1),
        padding: Triple = (0, 0, 0),
        kind: str = "forward",
        implicit_gemm: Any = None,
        sorted_implicit_gemm: Any = None,
    ) -> None:
        if kind not in _KINDS:
            raise ValueError(f"relation kind: got {kind!r}, expected one of {', '.join(_KINDS[:5])}")
        of = library_of(in_rows, "in_rows")
        self.edges = RelationEdges(in_rows, out_rows, kernel_ids)
        n_edges = of.shape(in_rows)[0]
        offsets = tuple(triple(offset, name="kernel_offsets") for offset in kernel_offsets)
        if n_kernels is None:
            n_kernels = len(offsets)
        elif offsets and n_kernels != len(offsets):
            raise ValueError(f"n_kernels must match kernel_offsets: got {n_kernels}, expected {len(offsets)}")
        if n_out_capacity is None:
            n_out_capacity = 0 if out_coords is None else of.shape(out_coords)[0]
        if out_coords is not None and of.shape(out_coords)[0] != n_out_capacity:
            raise ValueError(
                f"out_coords must have n_out_capacity rows: got {of.shape(out_coords)[0]}, expected {n_out_capacity}"
            )
        if n_in_capacity is None:
            n_in_capacity = 0 if source_coords is None else of.shape(source_coords)[0]
        if counts is None:
            counts = of.integers([n_edges, n_out_capacity])
        elif of.shape(counts) != (2,) or of.dtype_code(counts) != I32:
            raise ValueError(f"counts must have shape (2,) and int32 dtype: got {of.shape(counts)}")
        if row_offsets is None:
            row_offsets = of.integers([0] * (n_out_capacity + 1))
        elif of.shape(row_offsets) != (n_out_capacity + 1,):
            raise ValueError(
                f"row_offsets must have length n_out_capacity + 1: got {of.shape(row_offsets)}, expected {n_out_capacity + 1}"
            )
        self._library = of
        self._handle: Any = None
        self._counts = counts
        self._out_coords = out_coords
        self._csr: Dict[str, RelationCSRView] = {
            "output": RelationCSRView(row_offsets, of.integers(range(n_edges))),
            "input": RelationCSRView(
                of.integers([0] * (n_in_capacity + 1)) if in_row_offsets is None else in_row_offsets,
                of.integers([0] * n_edges) if in_edge_ids is None else in_edge_ids,
            ),
            "kernel": RelationCSRView(
                of.integers([0] * (n_kernels + 1)) if kernel_row_offsets is None else kernel_row_offsets,
                of.integers([0] * n_edges) if kernel_edge_ids is None else kernel_edge_ids,
            ),
        }
        self.implicit_gemm = implicit_gemm
        self.sorted_implicit_gemm = sorted_implicit_gemm
        self.contract = SparseRelationContract(
            kind, n_in_capacity, n_out_capacity, n_kernels, offsets, triple(stride, name="stride"),
            triple(padding, name="padding"), source_coords, source_active_rows, target_coords, target_active_rows,
        )  # fmt: skip

    def __repr__(self) -> str:
        c = self.contract
        return (
            f"KernelRelation({c.kind}, {self.edge_capacity} edges, {c.n_in_capacity} -> {c.n_out_capacity} rows, "
            f"{c.n_kernels} kernel elements)"
        )

    def _grouped(self, name: str) -> RelationCSRView:
        found = self._csr.get(name)
        if found is None:
            found = self._csr[name] = _csr_view(self._handle, name, self._library)
        return found

    @property
    def output_csr(self) -> RelationCSRView:
        """Edges by output row."""
        return self._grouped("output")

    @property
    def input_csr(self) -> RelationCSRView:
        """Edges by input row."""
        return self._grouped("input")

    @property
    def kernel_csr(self) -> RelationCSRView:
        """Edges by kernel element."""
        return self._grouped("kernel")

    out_view, in_view, kernel_view = output_csr, input_csr, kernel_csr

    @property
    def in_rows(self) -> Any:
        """`(E,)` int32: the input row of each edge."""
        return self.edges.in_rows

    @property
    def out_rows(self) -> Any:
        """`(E,)` int32: the output row of each edge."""
        return self.edges.out_rows

    @property
    def kernel_ids(self) -> Any:
        """`(E,)` int32: the kernel element of each edge."""
        return self.edges.kernel_ids

    @property
    def edge_capacity(self) -> int:
        """Number of edges E."""
        return int(self._library.shape(self.edges.in_rows)[0])

    @property
    def counts(self) -> Any:
        """`[edges, output rows]`."""
        return self._counts

    @property
    def edge_count(self) -> Any:
        """`(1,)` int32: number of edges."""
        return self._counts[:1]

    @property
    def out_count(self) -> Any:
        """`(1,)` int32: number of output rows."""
        return self._counts[1:2]

    @property
    def kernel_offsets(self) -> Tuple[Triple, ...]:
        """Offset of each kernel element."""
        return self.contract.kernel_offsets

    @property
    def out_coords(self) -> Any:
        """`(n_out, 4)` coordinates of the output rows."""
        return self._out_coords

    @property
    def n_in_capacity(self) -> int:
        """Number of input rows."""
        return self.contract.n_in_capacity

    @property
    def n_out_capacity(self) -> int:
        """Number of output rows."""
        return self.contract.n_out_capacity

    @property
    def n_kernels(self) -> int:
        """Number of kernel elements K."""
        return self.contract.n_kernels

    @property
    def kind(self) -> str:
        """"forward", "target", "submanifold", "transposed" or "generative"."""
        return self.contract.kind

    @property
    def row_offsets(self) -> Any:
        """`(n_out + 1,)` int32: where the edges of each output row begin."""
        return self.output_csr.row_offsets

    @property
    def in_row_offsets(self) -> Any:
        """`(n_in + 1,)` int32: where the edges of each input row begin in in_edge_ids."""
        return self.input_csr.row_offsets

    @property
    def in_edge_ids(self) -> Any:
        """`(E,)` int32: edges by input row."""
        return self.input_csr.edge_ids

    @property
    def kernel_row_offsets(self) -> Any:
        """`(K + 1,)` int32: where the edges of each kernel element begin in kernel_edge_ids."""
        return self.kernel_csr.row_offsets

    @property
    def kernel_edge_ids(self) -> Any:
        """`(E,)` int32: edges by kernel element."""
        return self.kernel_csr.edge_ids

    def _need_handle(self, what: str) -> Any:
        if self._handle is None:
            raise ValueError(f"{what}: the relation was made of arrays: expected one that a builder made")
        return self._handle

    def require_implicit_gemm(self) -> RelationImplicitGemmView:
        """The gather map of a forward, target or submanifold relation; built once. ValueError for the other kinds."""
        if self.implicit_gemm is None:
            if self.contract.kind not in ("forward", "target", "submanifold", "target_transposed"):
                raise ValueError(
                    f"implicit gemm: relation kind: got {self.contract.kind}, expected forward, target or submanifold"
                )
            self.implicit_gemm = _gather_map(self)
        return self.implicit_gemm  # type: ignore[no-any-return]

    def require_sorted_implicit_gemm(self) -> RelationSortedImplicitGemmView:
        """The sorted map; built once. ValueError for more than 32 kernel elements."""
        if self.sorted_implicit_gemm is None:
            if self.contract.n_kernels > 32:
                raise ValueError(f"sorted implicit gemm: kernel elements: got {self.contract.n_kernels}, expected at most 32")
            self.sorted_implicit_gemm = _sorted_map(self)
        return self.sorted_implicit_gemm  # type: ignore[no-any-return]


def _gather_map(relation: KernelRelation) -> RelationImplicitGemmView:
    handle = relation._need_handle("implicit gemm")
    found = ffi.new("lat_implicit_gemm *")
    check(lib.lat_relation_implicit_gemm(context(), handle, found))
    of, rows = relation._library, found.n_out
    return RelationImplicitGemmView(
        of.borrow(make_view(found.out_in_map, I32, (rows, found.n_kernels)), handle),
        of.borrow(make_view(found.row_masks, I32, (rows, found.n_words)), handle),
    )


def _sorted_map(relation: KernelRelation) -> RelationSortedImplicitGemmView:
    handle = relation._need_handle("sorted implicit gemm")
    found = ffi.new("lat_sorted_implicit_gemm *")
    check(lib.lat_relation_sorted_implicit_gemm(context(), handle, found))
    of, rows, volume = relation._library, found.n_out, found.n_kernels

    def array(data: Any, *shape: int) -> Any:
        return of.borrow(make_view(data, I32, shape), handle)

    return RelationSortedImplicitGemmView(
        array(found.sorted_out_in_map, rows, volume),
        array(found.sorted_kv_out_in_map, volume, rows),
        array(found.reorder_rows, rows),
        array(found.tile_masks, found.n_tile_masks),
    )


_GROUPS = {"output": 0, "input": 1, "kernel": 2}


def narrow(of: Library, data: Any, n: int, owner: Any) -> Any:
    """64-bit numbers of C as an int32 array. ValueError where they do not fit."""
    out = ffi.new("lat_array **")
    check(lib.lat_array_cast(context(), make_view(data, I64, (n,)), I32, out))
    del owner
    return of.take(out[0])


def _csr_view(handle: Any, name: str, of: Library) -> RelationCSRView:
    csr = ffi.new("lat_relation_csr *")
    check(lib.lat_relation_group_edges(context(), handle, _GROUPS[name], csr))
    n_edges = int(lib.lat_relation_n_edges(handle))
    offsets = narrow(of, csr.row_offsets, csr.n_groups + 1, handle)
    if csr.edge_ids == NULL:
        return RelationCSRView(offsets, of.integers(range(n_edges)))
    return RelationCSRView(offsets, narrow(of, csr.edge_ids, n_edges, handle))


def edge_arrays(handle: Any, of: Library) -> Tuple[Any, Any, Any]:
    """The three lists of a relation; they share its memory."""
    edges = ffi.new("lat_relation_edge_list *")
    check(lib.lat_relation_edges(context(), handle, edges))
    n = edges.n_edges
    lists = (edges.in_rows, edges.out_rows, edges.kernel_ids)
    return tuple(of.borrow(make_view(data, I32, (n,)), handle) for data in lists)  # type: ignore[return-value]


def _offsets(kind: str, spec: KernelSpec) -> Tuple[Triple, ...]:
    centred = kind in ("forward", "submanifold", "target")
    axes = []
    for size, dilation in zip(spec.size, spec.dilation):
        shift = size // 2 if centred and size % 2 else 0
        axes.append([(i - shift) * dilation for i in range(size)])
    return tuple((x, y, z) for x in axes[0] for y in axes[1] for z in axes[2])


def relation_of_sets(
    kind: str,
    spec: KernelSpec,
    of: Library,
    source: Any,
    source_coords: Any,
    target: Any = None,
    target_coords: Any = None,
    source_active_rows: Any = None,
    reach: Reach = None,
) -> KernelRelation:
    """The KernelRelation of C sets, with arrays in a library."""
    handle = create_relation(kind, source, target, spec, reach)
    made = lib.lat_relation_out_coords(handle)
    if made != NULL:
        out_coords = rows_array(retain_set(made), of)
    else:
        out_coords = source_coords if target is None else target_coords
    n_out = int(lib.lat_relation_n_out(handle))
    relation = KernelRelation.__new__(KernelRelation)
    relation.edges = RelationEdges(*edge_arrays(handle, of))
    relation._library = of
    relation._handle = handle
    relation._counts = of.integers([int(lib.lat_relation_n_edges(handle)), n_out])
    relation._out_coords = out_coords
    relation._csr = {}
    relation.implicit_gemm = None
    relation.sorted_implicit_gemm = None
    out_active = source_active_rows if made == NULL and target is None else of.integers([n_out])
    relation.contract = SparseRelationContract(
        kind, int(lib.lat_relation_n_in(handle)), n_out, int(lib.lat_relation_n_kernels(handle)),
        _offsets("transposed" if reach is not None and reach[0] == "reach" else kind, spec),
        spec.stride, spec.padding, source_coords, source_active_rows, out_coords, out_active,
    )  # fmt: skip
    return relation


class NeighborRelation:
    """Edges `(query_row, source_row, neighbor_id)` with squared distances (semantics 3.8, 3.9).

    distances: float32, `dx^2 + dy^2 + dz^2` in logical units. counts: `[edges, queries]`.
    """

    def __init__(
        self,
        query_rows: Any,
        source_rows: Any,
        neighbor_ids: Any,
        distances: Any,
        *,
        row_offsets: Any = None,
        counts: Any = None,
        n_query_capacity: Optional[int] = None,
        n_source_capacity: Optional[int] = None,
        max_neighbors: Optional[int] = None,
    ) -> None:
        of = library_of(query_rows, "query_rows")
        self.edges = NeighborEdges(query_rows, source_rows, neighbor_ids)
        n_edges = of.shape(query_rows)[0]
        if of.shape(distances) != (n_edges,) or of.dtype_code(distances) not in (F32, F64):
            raise ValueError(f"distances must be floats, one for each edge: got {of.shape(distances)}, expected {n_edges}")
        self.distances = distances
        self.n_query_capacity = 0 if n_query_capacity is None else int(n_query_capacity)
        self.n_source_capacity = 0 if n_source_capacity is None else int(n_source_capacity)
        self.max_neighbors = max_neighbors
        if counts is None:
            counts = of.integers([n_edges, self.n_query_capacity])
        elif of.shape(counts) != (2,) or of.dtype_code(counts) != I32:
            raise ValueError(f"counts must have shape (2,) and int32 dtype: got {of.shape(counts)}")
        self.counts = counts
        self.row_offsets = of.integers([0] * (self.n_query_capacity + 1)) if row_offsets is None else row_offsets
        self._library = of
        self._handle: Any = None

    def __repr__(self) -> str:
        return f"NeighborRelation({self.edge_capacity} edges, {self.n_query_capacity} queries, {self.n_source_capacity} sources)"

    @property
    def query_rows(self) -> Any:
        """`(E,)` int32: the query of each edge."""
        return self.edges.query_rows

    @property
    def source_rows(self) -> Any:
        """`(E,)` int32: the source of each edge."""
        return self.edges.source_rows

    @property
    def neighbor_ids(self) -> Any:
        """`(E,)` int32: rank of each source among those of its query, from 0."""
        return self.edges.neighbor_ids

    @property
    def edge_capacity(self) -> int:
        """Number of edges E."""
        return int(self._library.shape(self.edges.query_rows)[0])

    @property
    def edge_count(self) -> Any:
        """`(1,)` int32: number of edges."""
        return self.counts[:1]

    @property
    def query_count(self) -> Any:
        """`(1,)` int32: number of queries."""
        return self.counts[1:2]


def neighbors_of_sets(kind: str, sources: Any, queries: Any, of: Library, opts: Any, limit: Optional[int]) -> NeighborRelation:
    out = ffi.new("lat_neighbors **")
    function = lib.lat_neighbors_create_knn if kind == "knn" else lib.lat_neighbors_create_radius
    check(function(context(), sources, NULL if queries is None else queries, opts, out))
    handle = ffi.gc(out[0], lib.lat_neighbors_release)
    edges = lib.lat_neighbors_edges(handle)
    n = int(edges.n_edges)
    lists = [
        of.borrow(make_view(data, I32, (n,)), handle) for data in (edges.query_rows, edges.source_rows, edges.neighbor_ids)
    ]
    relation = NeighborRelation(
        lists[0],
        lists[1],
        lists[2],
        of.borrow(make_view(edges.squared_distances, F32, (n,)), handle),
        row_offsets=narrow(of, edges.row_offsets, edges.n_queries + 1, handle),
        n_query_capacity=int(edges.n_queries),
        n_source_capacity=int(edges.n_sources),
        max_neighbors=limit,
    )
    relation._handle = handle
    return relation


def _active(active_rows: Any, rows: int) -> Optional[int]:
    from .manager import read_count

    return None if active_rows is None else read_count(active_rows, rows)


def set_of(coords: Any, name: str = "coords", active_rows: Any = None) -> Any:
    """A `lat_coords *` of the first rows of a coordinate array."""
    check_coords(coords, name)
    return create_set(coords, (1, 1, 1), _active(active_rows, library_of(coords).shape(coords)[0]))


__all__ = [
    "KernelRelation", "KernelSpec", "NeighborEdges", "NeighborRelation", "RelationCSRView", "RelationEdges",
    "RelationImplicitGemmView", "RelationKind", "RelationSortedImplicitGemmView", "RelationView",
    "SparseRelationContract",
]  # fmt: skip
