"""Coordinate sets and their identity: CoordinateManager, and the entries that tensors hold."""
from __future__ import annotations

import functools
import itertools
import threading
import weakref
from typing import Any, Dict, Optional, Tuple

from .._arrays import Library, as_array, library_of
from .._library import check, collect, context, ffi, lib, options
from .types import CoordinateMapKey, IntOrTriple, KernelSpec, Triple, check_active, check_coords, triple

_manager_ids = itertools.count()


def create_set(coords: Any, stride: Triple = (1, 1, 1), rows: Optional[int] = None) -> Any:
    """A `lat_coords *` of the first `rows` rows of an array (all by default)."""
    view, keep = library_of(coords, "coords").view(coords)
    if rows is not None:
        view.shape[0] = rows
    out = ffi.new("lat_coords **")
    check(lib.lat_coords_create(context(), view, _coords_opts(stride), out))
    del keep
    return own_set(out[0])


@functools.lru_cache(maxsize=256)
def _coords_opts(stride: Triple) -> Any:
    return options("lat_coords_opts", stride=stride)


def own_set(handle: Any) -> Any:
    """Takes over a reference to a `lat_coords *`."""
    return ffi.gc(handle, lib.lat_coords_release)


def retain_set(handle: Any) -> Any:
    """Another reference to a borrowed `const lat_coords *`."""
    return own_set(lib.lat_coords_retain(handle))


def stride_of(handle: Any) -> Triple:
    stride = lib.lat_coords_stride(handle)
    return (stride.x, stride.y, stride.z)


def rows_array(handle: Any, of: Library) -> Any:
    """The rows of a set as an `(N, 4)` int32 array; the set lives as long as the array."""
    return of.borrow(ffi.new("lat_array_view *", lib.lat_coords_rows(handle)), handle)


def read_count(active_rows: Any, rows: int) -> int:
    """The value of an active_rows array, checked against the number of rows."""
    check_active(active_rows)
    view, keep = library_of(active_rows).view(active_rows)
    count = int(ffi.cast("const int32_t *", view.data)[0])
    del keep
    if not 0 <= count <= rows:
        raise ValueError(f"active_rows must be between 0 and the number of rows: got {count}, expected 0 to {rows}")
    return count


class _Living:
    """Entries by key, as long as something else holds them.

    weakref.WeakValueDictionary does the same, with a callback for each value that costs every operation microseconds:
    here the places of dead entries are swept when as many have gathered as live ones.
    """

    __slots__ = ("found", "limit")

    def __init__(self) -> None:
        self.found: Dict[Any, "weakref.ref[Entry]"] = {}
        self.limit = 64

    def get(self, key: Any) -> "Optional[Entry]":
        reference = self.found.get(key)
        return None if reference is None else reference()

    def put(self, key: Any, entry: "Entry") -> None:
        if len(self.found) >= self.limit:
            self.found = {k: reference for k, reference in self.found.items() if reference() is not None}
            self.limit = 2 * len(self.found) + 64
        self.found[key] = weakref.ref(entry)

    def __contains__(self, key: Any) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return sum(reference() is not None for reference in list(self.found.values()))


class Entry:
    """One coordinate set of a manager: the C set, its identity, its rows in the libraries that asked for them."""

    __slots__ = ("handle", "set_id", "rows", "_stride", "source", "given", "arrays", "active", "relations", "key_id", "__weakref__")

    def __init__(self, handle: Any, source: Any = None, given: Any = None, set_id: Optional[int] = None) -> None:
        self.handle = handle
        self.set_id: int = lib.lat_coords_id(handle) if set_id is None else set_id
        self.rows: int = lib.lat_coords_count(handle)
        self._stride: Optional[Triple] = None
        self.source = source  # the caller's own array, where there is one
        self.given = given  # what must stay alive because its id() stands in the manager's table
        self.arrays: Dict[str, Any] = {}
        self.active: Dict[str, Any] = {}
        self.relations: Dict[Any, Any] = {}
        self.key_id = -1  # until somebody asks for the key

    @property
    def stride(self) -> Triple:
        found = self._stride
        if found is None:
            found = self._stride = stride_of(self.handle)
        return found

    def array(self, of: Library) -> Any:
        """The rows in a library: the caller's own array where it is of that library."""
        found = self.arrays.get(of.name)
        if found is None:
            if self.source is not None and library_of(self.source) is of:
                found = self.source
            else:
                found = rows_array(self.handle, of)
            self.arrays[of.name] = found
        return found

    def active_rows(self, of: Library) -> Any:
        found = self.active.get(of.name)
        if found is None:
            found = self.active[of.name] = of.integers([self.rows])
        return found


class CoordinateManager:
    """Owner of coordinate sets, their keys and their relations.

    Identity is that of the coords array: the same array object with the same stride is the same key. Sets and relations
    live as long as a key or a tensor holds them; relations are cached on the set that they were asked of.
    """

    def __init__(self) -> None:
        self.id = next(_manager_ids)
        self._next_key = itertools.count()
        self._lock = threading.RLock()
        self._by_key = _Living()
        self._by_object = _Living()  # by the id() of what the caller gave; `Entry.given` keeps that alive
        self._by_set = _Living()
        self._library: Optional[Library] = None

    def __repr__(self) -> str:
        return f"CoordinateManager(id={self.id}, sets={len(self._by_set)})"

    # --- entries, for this package ---

    def _add(self, entry: Entry) -> Entry:
        if entry.set_id not in self._by_set:
            self._by_set.put(entry.set_id, entry)
        return entry

    def _key(self, entry: Entry) -> CoordinateMapKey:
        """The key of an entry; it keeps the entry alive."""
        with self._lock:
            if entry.key_id < 0:
                entry.key_id = next(self._next_key)
                self._by_key.put(entry.key_id, entry)
        key = CoordinateMapKey(entry.key_id, entry.stride, self.id)
        object.__setattr__(key, "_entry", entry)
        return key

    def _of_key(self, key: Any) -> Entry:
        if not isinstance(key, CoordinateMapKey):
            raise TypeError(f"coordinate key: wrong class: got {type(key).__name__}, expected CoordinateMapKey")
        entry = self._by_key.get(key.id) if key.manager_id == self.id else None
        if entry is None or entry.stride != key.stride:
            raise ValueError("coordinate key does not belong to this manager: got " + repr(key))
        return entry

    def _insert(self, coords: Any, stride: Triple, active_rows: Any = None) -> Entry:
        if min(stride) <= 0:
            raise ValueError(f"stride values must be positive: got {stride}")
        of = library_of(coords, "coords")
        with self._lock:
            if self._library is None:
                self._library = of
            name = (id(coords), id(active_rows) if active_rows is not None else 0, stride)
            entry = self._by_object.get(name)
            if entry is not None:
                return entry
            rows = of.shape(coords)[0]
            count = rows if active_rows is None else read_count(active_rows, rows)
            entry = Entry(create_set(coords, stride, count), coords if count == rows else None, (coords, active_rows))
            if active_rows is not None and count == rows:
                entry.active[of.name] = active_rows
            self._add(entry)
            self._by_object.put(name, entry)
            return entry

    def _of_set(self, handle: Any, set_id: Optional[int] = None) -> Entry:
        """The entry of a C set that an operation made (a borrowed handle)."""
        if set_id is None:
            set_id = lib.lat_coords_id(handle)
        entry = self._by_set.get(set_id)
        if entry is not None:
            return entry
        with self._lock:
            entry = self._by_set.get(set_id)
            if entry is None:
                entry = Entry(collect(lib.lat_coords_retain(handle), lib.lat_coords_release), None, None, set_id)
                self._by_set.put(set_id, entry)
            return entry

    def _adopt(self, entry: Entry) -> Entry:
        """The entry of another manager's set in this one."""
        with self._lock:
            found = self._by_set.get(entry.set_id)
            if found is None and entry.source is not None:
                found = self._by_object.get((id(entry.source), 0, entry.stride))
            if found is None:
                found = Entry(entry.handle, entry.source, entry.given)
                found.active.update(entry.active)
                self._add(found)
                if entry.source is not None:
                    self._by_object.put((id(entry.source), 0, entry.stride), found)
            return found

    # --- the public methods ---

    def insert_coords(self, coords: Any, stride: IntOrTriple = 1, active_rows: Any = None) -> CoordinateMapKey:
        """Registers an `(N, 4)` int32 or int64 array and returns its key.

        active_rows: a `(1,)` int32 array A: only the first A rows count.
        Raises ValueError for shapes, dtypes, a stride that is not positive, A outside 0..N.
        """
        coords = check_coords(as_array(coords))
        entry = self._insert(coords, triple(stride, name="stride"), active_rows)
        return self._key(entry)

    def owns(self, key: CoordinateMapKey) -> bool:
        """Whether a key is of this manager and its set lives."""
        return key.manager_id == self.id and key.id in self._by_key

    def coords(self, key: CoordinateMapKey) -> Any:
        """The `(N, 4)` array of a key: the very array that was inserted, where there is one."""
        entry = self._of_key(key)
        return entry.source if entry.source is not None else entry.array(self._library_or_default())

    def active_rows(self, key: CoordinateMapKey) -> Any:
        """The number of rows of a key, `(1,)` int32. ValueError for a foreign key."""
        entry = self._of_key(key)
        return entry.active_rows(self._library_or_default())

    def _library_or_default(self) -> Library:
        if self._library is None:
            from .._arrays import library

            self._library = library("numpy")
        return self._library

    def inverse_map(self, source_key: CoordinateMapKey, target_key: CoordinateMapKey) -> Any:
        """For each row of the target the first equal row of the source, or -1: `(N,)` int32."""
        source, target = self._of_key(source_key), self._of_key(target_key)
        out = ffi.new("lat_array **")
        check(lib.lat_coords_inverse_map(context(), source.handle, target.handle, out))
        return self._library_or_default().take(out[0])

    def kernel_relation(
        self,
        key: CoordinateMapKey,
        *,
        kernel_size: IntOrTriple = 3,
        stride: IntOrTriple = 1,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> Any:
        """The forward KernelRelation of a set (semantics 3.3); the same object when asked again."""
        return self._relation("forward", key, None, KernelSpec(kernel_size, stride, padding, dilation))

    def submanifold_kernel_relation(
        self, key: CoordinateMapKey, *, kernel_size: IntOrTriple = 3, dilation: IntOrTriple = 1
    ) -> Any:
        """The submanifold relation: the output support is the input's. Raises ValueError for even kernel sizes."""
        return self._relation("submanifold", key, None, KernelSpec(kernel_size, 1, 0, dilation))

    def generative_relation(
        self, key: CoordinateMapKey, *, kernel_size: IntOrTriple = 2, stride: IntOrTriple = 2
    ) -> Any:
        """The generative relation: every kernel element of every row, never merged."""
        return self._relation("generative", key, None, KernelSpec(kernel_size, stride))

    def transposed_kernel_relation(
        self,
        key: CoordinateMapKey,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> Any:
        """The transposed relation (semantics 3.4)."""
        return self._relation("transposed", key, None, KernelSpec(kernel_size, stride, padding, dilation))

    def target_kernel_relation(
        self,
        key: CoordinateMapKey,
        target_key: CoordinateMapKey,
        *,
        kernel_size: IntOrTriple = 3,
        stride: IntOrTriple = 1,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> Any:
        """The forward geometry onto the rows of another key of this manager."""
        return self._relation("target", key, target_key, KernelSpec(kernel_size, stride, padding, dilation))

    def target_transposed_view(
        self,
        key: CoordinateMapKey,
        target_key: CoordinateMapKey,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> Any:
        """The transposed geometry onto the rows of another key: a RelationImplicitGemmView."""
        spec = KernelSpec(kernel_size, stride, padding, dilation)
        return self._relation("target_transposed", key, target_key, spec).require_implicit_gemm()

    def _relation(self, kind: str, key: CoordinateMapKey, target_key: Optional[CoordinateMapKey], spec: KernelSpec) -> Any:
        entry = self._of_key(key)
        target = None if target_key is None else self._of_key(target_key)
        return entry_relation(kind, entry, target, spec, self._library_or_default())


def entry_relation(kind: str, entry: Entry, target: Optional[Entry], spec: KernelSpec, of: Library) -> Any:
    """The KernelRelation of an entry, cached on it."""
    from .relations import relation_of_sets

    name = (kind, spec, None if target is None else target.set_id, of.name)
    found = entry.relations.get(name)
    if found is None:
        found = relation_of_sets(
            kind,
            spec,
            of,
            entry.handle,
            entry.array(of),
            None if target is None else target.handle,
            None if target is None else target.array(of),
            entry.active_rows(of),
        )
        entry.relations[name] = found
    return found
