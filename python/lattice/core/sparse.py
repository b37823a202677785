"""SparseTensor: a coordinate set and one feature row for each of its rows."""
from __future__ import annotations

from typing import Any, Iterable, List, Optional, Tuple

from .._arrays import NAMES, Library, as_array, is_contiguous, library_of, make_view
from .._library import NULL, check, collect, context, ffi, lib, options
from .manager import CoordinateManager, Entry
from .types import (
    CoordinateMapKey,
    IntOrTriple,
    SparseTensorComponents,
    Triple,
    check_active,
    check_batch_counts,
    check_coords,
    check_feats,
    triple,
)


class Batch:
    """Batch metadata of a tensor: declared rows per item, or the number of items alone, or nothing (size -1)."""

    __slots__ = ("counts", "size", "template")

    def __init__(self, counts: Optional[Tuple[int, ...]] = None, size: int = -1) -> None:
        self.counts = counts
        self.size = len(counts) if counts is not None else size
        self.template: Any = None  # a C tensor without channels, whose metadata was checked once

    def opts(self) -> Any:
        if self.size < 0:
            return NULL, None
        counts = NULL if self.counts is None else ffi.new("int64_t[]", self.counts)
        return options("lat_tensor_opts", batch_counts=counts, n_batches=self.size), counts


UNDECLARED = Batch()


def own_tensor(handle: Any) -> Any:
    return collect(handle, lib.lat_tensor_release)


_TENSOR_OUT = ffi.typeof("lat_tensor **")
_ARRAY_OUT = ffi.typeof("lat_array **")


class SparseTensor:
    """Rows `(batch, x, y, z)` and features `(N, C)`; row i of one belongs to row i of the other.

    coords: `(N, 4)` int32, or int64 where the values fit int32. Logical: a row lies at `coords * stride`.
    feats: `(N, C)` of the same array library; operations take float32, float16 and bfloat16.
    stride: int or triple, positive.
    coord_key, coord_manager: an identity that exists; `coords` must then be the manager's own array.
    batch_counts: rows of each batch item; must agree with the batch column.
    active_rows: `(1,)` int32 array A: the tensor has the first A rows.

    Raises ValueError for shapes, dtypes, strides and batch metadata, TypeError for things that are no arrays and for
    arrays of two libraries. Immutable; the arrays are kept as they are (`x.feats is feats`).
    """

    __slots__ = ("_feats", "_entry", "_manager", "_batch", "_library", "_key", "_c", "__weakref__")
    _feats: Any
    _entry: Entry
    _manager: CoordinateManager
    _batch: Batch
    _library: Library
    _key: Optional[CoordinateMapKey]
    _c: Any  # what cached_c_tensor made of these very features, or None

    def __init__(
        self,
        coords: Any,
        feats: Any,
        stride: IntOrTriple = 1,
        *,
        coord_key: Optional[CoordinateMapKey] = None,
        coord_manager: Optional[CoordinateManager] = None,
        batch_counts: Optional[Iterable[int]] = None,
        active_rows: Any = None,
    ) -> None:
        steps = triple(stride, name="stride")
        coords, feats = as_array(coords), as_array(feats)
        check_coords(coords)
        of = library_of(coords, "coords")
        if library_of(feats, "feats") is not of:
            raise TypeError(
                f"SparseTensor: mixed array libraries: got {library_of(feats).name} feats, expected {of.name} as coords are"
            )
        rows = of.shape(coords)[0]
        if coord_manager is not None and not isinstance(coord_manager, CoordinateManager):
            raise TypeError(f"coord_manager: wrong class: got {type(coord_manager).__name__}, expected CoordinateManager")
        if coord_key is None:
            manager = coord_manager if coord_manager is not None else CoordinateManager()
            entry = manager._insert(coords, steps, active_rows)
        else:
            entry = _entry_of_key(coord_key, coord_manager, coords, steps)
            assert coord_manager is not None
            manager = coord_manager
            if active_rows is not None:
                check_active(active_rows)
        check_feats(feats, rows)
        if entry.rows != rows:
            feats = of.rows(feats, 0, entry.rows)
        batch = UNDECLARED
        if batch_counts is not None:
            batch = Batch(check_batch_counts(batch_counts, entry.rows))
        _set(self, feats, entry, manager, batch, of)
        if batch_counts is not None:
            _template(self)  # compares the counts with the batch column

    @property
    def coords(self) -> Any:
        """`(N, 4)`: the array that was given, or int32 rows that an operation made."""
        return self._entry.array(self._library)

    @property
    def feats(self) -> Any:
        """`(N, C)`."""
        return self._feats

    @property
    def stride(self) -> Triple:
        """Lattice scale of the logical coordinates."""
        return self._entry.stride

    @property
    def coord_key(self) -> CoordinateMapKey:
        """Key of the coordinate set; it keeps the set alive."""
        key = self._key
        if key is None:
            key = self._manager._key(self._entry)
            object.__setattr__(self, "_key", key)
        return key

    @property
    def coord_manager(self) -> CoordinateManager:
        """Owner of the coordinate set."""
        return self._manager

    @property
    def batch_counts(self) -> Optional[Tuple[int, ...]]:
        """Declared rows of each batch item, or None."""
        return self._batch.counts

    @property
    def active_rows(self) -> Any:
        """The number of rows, `(1,)` int32."""
        return self._entry.active_rows(self._library)

    @property
    def active_count(self) -> Any:
        """The same as active_rows."""
        return self.active_rows

    @property
    def capacity(self) -> int:
        """Number of rows N."""
        return self._entry.rows

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return int(self._library.shape(self._feats)[1])

    @property
    def shape(self) -> Tuple[int, int]:
        """`(N, C)`."""
        return (self._entry.rows, self.channels)

    @property
    def dtype(self) -> Any:
        """The library's own dtype object of the features."""
        return self._library.dtype_object(self._library.dtype_code(self._feats))

    @property
    def batch_indices(self) -> Any:
        """`(N,)`: the batch column."""
        return self.coords[:, 0]

    def _rows_by_batch(self) -> List[List[int]]:
        view = lib.lat_coords_rows(self._entry.handle)
        column = ffi.unpack(ffi.cast("const int32_t *", view.data), 4 * self._entry.rows)[::4] if self._entry.rows else []
        size = self._batch.size
        if size < 0:
            size = max(column) + 1 if column else 0
        groups: List[List[int]] = [[] for _ in range(size)]
        for row, item in enumerate(column):
            if 0 <= item < size:
                groups[item].append(row)
        return groups

    @property
    def batch_rows(self) -> Tuple[Any, ...]:
        """For each batch item its rows, ascending, int32; by the batch column."""
        return tuple(self._library.integers(rows) for rows in self._rows_by_batch())

    @property
    def decomposed_coordinates(self) -> Tuple[Any, ...]:
        """For each batch item `(n, 3)` spatial coordinates."""
        coords = self.coords
        return tuple(coords[rows][:, 1:] for rows in self.batch_rows)

    @property
    def decomposed_features(self) -> Tuple[Any, ...]:
        """For each batch item `(n, C)` features."""
        return tuple(self._feats[rows] for rows in self.batch_rows)

    @property
    def decomposed_coordinates_and_features(self) -> Tuple[Tuple[Any, ...], Tuple[Any, ...]]:
        """The pair of decomposed_coordinates and decomposed_features."""
        return self.decomposed_coordinates, self.decomposed_features

    def astype(self, dtype: Any) -> "SparseTensor":
        """The same tensor with features of another dtype (an object of the array library, or a name)."""
        return self.replace(feats=self._library.cast(self._feats, self._library.parse_dtype(dtype)))

    def replace(self, *, coords: Any = None, feats: Any = None, stride: Optional[IntOrTriple] = None) -> "SparseTensor":
        """A tensor with some parts exchanged. Identity and batch metadata stay when coords and stride do."""
        new_feats = self._feats if feats is None else as_array(feats)
        of = self._library
        if feats is not None and library_of(new_feats, "feats") is not of:
            raise TypeError(f"replace: mixed array libraries: got {library_of(new_feats).name}, expected {of.name}")
        steps = self.stride if stride is None else triple(stride, name="stride")
        if (coords is None or coords is self.coords) and steps == self.stride:
            check_feats(new_feats, self._entry.rows)
            return make(new_feats, self._entry, self._manager, self._batch, of)
        return SparseTensor(
            self.coords if coords is None else coords, new_feats, steps, coord_manager=self._manager
        )

    def same_coords(self, other: "SparseTensor") -> bool:
        """Whether both hold the same coordinate set of the same manager (identity, never values)."""
        return self._manager is other._manager and self._entry is other._entry

    def reuse_coords_from(self, other: "SparseTensor") -> "SparseTensor":
        """These features on the other's identity; both must share it already ("coordinates must match")."""
        if not self.same_coords(other):
            raise ValueError("reuse_coords_from: coordinates must match: got tensors of two identities")
        return make(self._feats, other._entry, other._manager, other._batch, self._library)

    def export_components(self) -> SparseTensorComponents:
        """The parts that `from_components` makes the tensor of again."""
        return SparseTensorComponents(self.coords, self._feats, self.active_rows, self.stride, self.batch_counts)

    @classmethod
    def from_components(
        cls, components: SparseTensorComponents, *, coord_manager: Optional[CoordinateManager] = None
    ) -> "SparseTensor":
        """A tensor of its parts, in `coord_manager` where one is given. ValueError as of the constructor."""
        return cls(
            components.coords,
            components.feats,
            components.stride,
            coord_manager=coord_manager,
            batch_counts=components.batch_counts,
            active_rows=components.active_rows,
        )

    def to_dense(self, **options: Any) -> Any:
        """A dense array of the features (`lattice.ops.to_dense`)."""
        from ..ops.dense import to_dense

        return to_dense(self, **options)

    def __add__(self, other: Any) -> Any:
        return _algebra("sparse_add", self, other)

    def __sub__(self, other: Any) -> Any:
        return _algebra("sparse_sub", self, other)

    def __mul__(self, other: Any) -> Any:
        return _algebra("sparse_mul", self, other)

    __and__ = __mul__

    def __len__(self) -> int:
        return self._entry.rows

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        dtype = NAMES[self._library.dtype_code(self._feats)]
        parts = [f"{self._entry.rows} rows x {self.channels} channels, {dtype}, {self._library.name}"]
        if self.stride != (1, 1, 1):
            parts.append(f"stride {self.stride}")
        if self._batch.counts is not None:
            counts = self._batch.counts
            shown = str(counts) if len(counts) <= 6 else f"{len(counts)} items of {min(counts)} to {max(counts)} rows"
            parts.append(f"batch_counts {shown}")
        elif self._batch.size >= 0:
            parts.append(f"batch size {self._batch.size}")
        return f"SparseTensor({', '.join(parts)})"

    def __copy__(self) -> "SparseTensor":
        return self

    def __deepcopy__(self, memo: Any) -> "SparseTensor":
        import copy

        if self._library.name == "buffer":
            return self
        feats = self._feats.clone() if self._library.name == "torch" else copy.deepcopy(self._feats, memo)
        return make(feats, self._entry, self._manager, self._batch, self._library)

    def __reduce__(self) -> Any:
        return (_restore, (self.coords, self._feats, self.stride, self.batch_counts, self._batch.size))


def _restore(coords: Any, feats: Any, stride: Triple, counts: Optional[Tuple[int, ...]], size: int) -> SparseTensor:
    x = SparseTensor(coords, feats, stride, batch_counts=counts)
    if counts is None and size >= 0:
        return make(feats, x._entry, x._manager, Batch(None, size), x._library)
    return x


def _entry_of_key(key: CoordinateMapKey, manager: Optional[CoordinateManager], coords: Any, stride: Triple) -> Entry:
    if manager is None:
        raise ValueError("SparseTensor: coord_manager is required with a coord_key: got None")
    if not isinstance(key, CoordinateMapKey):
        raise TypeError(f"coord_key: wrong class: got {type(key).__name__}, expected CoordinateMapKey")
    if not manager.owns(key):
        raise ValueError(f"SparseTensor: coord_key does not belong to coord_manager: got {key}")
    if key.stride != stride:
        raise ValueError(f"SparseTensor: stride must match coord_key stride: got {stride}, expected {key.stride}")
    entry = manager._of_key(key)
    if coords is not entry.array(library_of(coords)):
        raise ValueError("SparseTensor: coords must be the manager-owned array of coord_key: got another array")
    return entry


def _set(x: SparseTensor, feats: Any, entry: Entry, manager: CoordinateManager, batch: Batch, of: Library) -> None:
    x._feats = feats
    x._entry = entry
    x._manager = manager
    x._batch = batch
    x._library = of
    x._key = None
    x._c = None


def make(feats: Any, entry: Entry, manager: CoordinateManager, batch: Batch, of: Library) -> SparseTensor:
    """A tensor of parts that are known to fit."""
    x = SparseTensor.__new__(SparseTensor)
    _set(x, feats, entry, manager, batch, of)
    return x


def _algebra(name: str, lhs: SparseTensor, rhs: Any) -> Any:
    if not isinstance(rhs, SparseTensor):
        return NotImplemented
    from .. import ops

    return getattr(ops, name)(lhs, rhs)


def require_tensor(op: str, x: Any, name: str = "x") -> SparseTensor:
    if not isinstance(x, SparseTensor):
        raise TypeError(f"{op}: {name} has the wrong class: got {type(x).__name__}, expected SparseTensor")
    return x


def _template(x: SparseTensor) -> Any:
    batch = x._batch
    if batch.template is None:
        opts, keep = batch.opts()
        out = ffi.new(_TENSOR_OUT)
        none = make_view(NULL, 1, (x._entry.rows, 0))
        check(lib.lat_tensor_create(context(), x._entry.handle, none, opts, out))
        del keep
        batch.template = own_tensor(out[0])
    return batch.template


def c_tensor(x: SparseTensor, feats: Any) -> Tuple[Any, Any]:
    """A `lat_tensor *` of x's set and metadata over `feats`, and what keeps its memory alive.

    The features are borrowed where they are contiguous, else copied.
    """
    view, keep = x._library.view(feats)
    out = ffi.new(_TENSOR_OUT)
    current = context()
    if not is_contiguous(view) or view.rank != 2:
        opts, counts = x._batch.opts()
        check(lib.lat_tensor_create(current, x._entry.handle, view, opts, out))
        del counts
        return own_tensor(out[0]), None
    array = ffi.new(_ARRAY_OUT)
    check(lib.lat_array_wrap(current, view, NULL, NULL, array))
    if x._batch.size < 0:
        status = lib.lat_tensor_share(current, x._entry.handle, array[0], NULL, out)
    else:
        try:
            status = lib.lat_tensor_with_feats(current, _template(x), array[0], out)
        except BaseException:
            lib.lat_array_release(array[0])
            raise
    lib.lat_array_release(array[0])
    check(status)
    return own_tensor(out[0]), (view, keep)


def cached_c_tensor(x: SparseTensor) -> Tuple[Any, Any, int, Any]:
    """c_tensor of x itself, its address and its data; kept on x where the library's arrays stay where they are."""
    found = x._c
    address = x._library.address(x._feats)
    if found is None or address != found[2]:
        handle, keep = c_tensor(x, x._feats)
        found = (handle, keep, address, lib.lat_tensor_feats(handle).data)
        if keep is not None and x._library.stays:
            x._c = found
    return found  # type: ignore[no-any-return]


def feats_of(of: Library, tensor: Any, view: Any = None) -> Any:
    """The features of a result tensor, sharing its memory. view: of the features, where the caller has it."""
    handle = lib.lat_array_retain(lib.lat_tensor_feats_array(tensor))
    if view is None or not of.stays:
        return of.take(handle)
    release, shape = lib.lat_array_release, view.shape
    return of.over(view.data, view.dtype, (shape[0], shape[1]), lambda _: release(handle), True)


def place_of(x: SparseTensor, tensor: Any) -> Tuple[Entry, Batch]:
    """The entry and the batch metadata of a C tensor that was made from x."""
    coords = lib.lat_tensor_coords(tensor)
    entry = x._entry
    set_id = lib.lat_coords_id(coords)
    if set_id != entry.set_id:
        entry = x._manager._of_set(coords, set_id)
    size: int = lib.lat_tensor_batch_size(tensor)
    if size < 0:
        return entry, UNDECLARED
    counts = lib.lat_tensor_batch_counts(tensor)
    found = None if counts == NULL else tuple(ffi.unpack(counts, size)) if size else ()
    if entry is x._entry and size == x._batch.size and found == x._batch.counts:
        return entry, x._batch
    return entry, Batch(found, size)
