"""Small value classes: triples, kernel geometry, keys, and what the coordinate functions give back."""
from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Iterable, Optional, Tuple, Union

from .._arrays import F32, I32, I64, NAMES, as_array, library_of

Triple = Tuple[int, int, int]
IntOrTriple = Union[int, Iterable[int]]


def triple(value: IntOrTriple, *, name: str = "value") -> Triple:
    """`v` or three of them as `(x, y, z)`. Raises ValueError ("<name> must be an int or a 3-tuple")."""
    if isinstance(value, int):
        return (int(value), int(value), int(value))
    values = tuple(int(item) for item in value)
    if len(values) != 3:
        raise ValueError(f"{name} must be an int or a 3-tuple: got {len(values)} values")
    return values


def positive_triple(value: IntOrTriple, name: str) -> Triple:
    found = triple(value, name=name)
    if min(found) <= 0:
        raise ValueError(f"{name} values must be positive: got {found}")
    return found


def non_negative_triple(value: IntOrTriple, name: str) -> Triple:
    found = triple(value, name=name)
    if min(found) < 0:
        raise ValueError(f"{name} values must be non-negative: got {found}")
    return found


@dataclass(frozen=True)
class KernelSpec:
    """Kernel geometry: every field an int or a triple, kept as triples.

    Raises ValueError for a size, stride or dilation that is not positive and for a negative padding.
    """

    size: Triple = (3, 3, 3)
    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)

    def __init__(
        self, size: IntOrTriple = 3, stride: IntOrTriple = 1, padding: IntOrTriple = 0, dilation: IntOrTriple = 1
    ) -> None:
        object.__setattr__(self, "size", positive_triple(size, "kernel_size"))
        object.__setattr__(self, "stride", positive_triple(stride, "stride"))
        object.__setattr__(self, "padding", non_negative_triple(padding, "padding"))
        object.__setattr__(self, "dilation", positive_triple(dilation, "dilation"))

    @property
    def volume(self) -> int:
        """Number of kernel elements."""
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def is_pointwise(self) -> bool:
        """Whether size and stride are 1, padding 0 and dilation 1."""
        ones = (1, 1, 1)
        return self.size == ones and self.stride == ones and self.padding == (0, 0, 0) and self.dilation == ones

    @property
    def is_centered_submanifold(self) -> bool:
        """Whether stride is 1, padding 0 and every size odd."""
        odd = all(size % 2 for size in self.size)
        return odd and self.stride == (1, 1, 1) and self.padding == (0, 0, 0)


@functools.lru_cache(maxsize=512, typed=True)
def _known_spec(size: Any, stride: Any, padding: Any, dilation: Any) -> KernelSpec:
    return KernelSpec(size, stride, padding, dilation)


def kernel_spec(size: IntOrTriple, stride: IntOrTriple, padding: IntOrTriple, dilation: IntOrTriple) -> KernelSpec:
    """KernelSpec of arguments; operations ask for the same few again and again."""
    known: Any = _known_spec
    try:
        return known(size, stride, padding, dilation)  # type: ignore[no-any-return]
    except TypeError:  # lists and arrays have no hash
        return KernelSpec(size, stride, padding, dilation)


@dataclass(frozen=True)
class CoordinateMapKey:
    """Identity of a coordinate set inside its manager. The set lives as long as its keys and tensors do."""

    id: int
    stride: Triple
    manager_id: int
    _entry: Any = field(default=None, init=False, repr=False, compare=False)


def require(array: Any, name: str, codes: Tuple[int, ...], rank: int, columns: Optional[int] = None) -> Tuple[int, ...]:
    """Checks dtype and shape of an array; returns the shape."""
    of = library_of(array, name)
    shape = of.shape(array)
    if len(shape) != rank or (columns is not None and shape[-1] != columns):
        wanted = "(N,)" if rank == 1 else f"(N, {columns if columns is not None else 'C'})"
        raise ValueError(f"{name} must have shape {wanted}: got {shape}")
    code = of.dtype_code(array)
    if code not in codes:
        raise ValueError(f"{name} must be {' or '.join(NAMES[c] for c in codes)}: got {NAMES[code]}")
    return shape


def check_coords(coords: Any, name: str = "coords") -> Any:
    require(coords, name, (I32, I64), 2, 4)
    return coords


def check_active(active_rows: Any, name: str = "active_rows") -> None:
    of = library_of(active_rows, name)
    if of.shape(active_rows) != (1,) or of.dtype_code(active_rows) != I32:
        raise ValueError(f"{name} must have shape (1,) and int32 dtype: got {of.shape(active_rows)}")


class _SetLike:
    """What has coordinates and an active row count."""

    coords: Any
    active_rows: Any

    @property
    def capacity(self) -> int:
        """Number of rows."""
        return int(library_of(self.coords).shape(self.coords)[0])

    @property
    def active_count(self) -> Any:
        """The same as active_rows."""
        return self.active_rows


def _check_rows(value: Any, name: str, rows: int) -> None:
    shape = require(value, name, (I32,), 1)
    if shape[0] != rows:
        raise ValueError(f"{name} must have one entry for each row: got {shape[0]}, expected {rows}")


@dataclass(frozen=True)
class CoordinateSet(_SetLike):
    """Coordinates `(N, 4)` and their number `(1,)` int32."""

    coords: Any
    active_rows: Any

    def __post_init__(self) -> None:
        check_coords(self.coords)
        check_active(self.active_rows)


@dataclass(frozen=True)
class CoordinateOrdering:
    """Sorted coordinates, the old row of each new row, the new row of each old row (int32)."""

    coords: Any
    order: Any
    inverse_rows: Any

    def __post_init__(self) -> None:
        rows = check_coords(self.coords).shape[0]
        _check_rows(self.order, "order", rows)
        _check_rows(self.inverse_rows, "inverse_rows", rows)


@dataclass(frozen=True)
class SparseAlignment(_SetLike):
    """A join: its coordinates and for each the row of either side, -1 where that side lacks it (int32)."""

    coords: Any
    active_rows: Any
    lhs_rows: Any
    rhs_rows: Any

    def __post_init__(self) -> None:
        rows = check_coords(self.coords).shape[0]
        check_active(self.active_rows)
        _check_rows(self.lhs_rows, "lhs_rows", rows)
        _check_rows(self.rhs_rows, "rhs_rows", rows)


@dataclass(frozen=True)
class SparseOccupancy(_SetLike):
    """Octree parents and an int32 mask of the children of each."""

    coords: Any
    active_rows: Any
    occupancy: Any

    def __post_init__(self) -> None:
        rows = check_coords(self.coords).shape[0]
        check_active(self.active_rows)
        _check_rows(self.occupancy, "occupancy", rows)


@dataclass(frozen=True)
class OccupancyExpansion(_SetLike):
    """Octree children, the parent row and the child index (0 to 7) of each (int32)."""

    coords: Any
    active_rows: Any
    parent_rows: Any
    child_indices: Any

    def __post_init__(self) -> None:
        rows = check_coords(self.coords).shape[0]
        check_active(self.active_rows)
        _check_rows(self.parent_rows, "parent_rows", rows)
        _check_rows(self.child_indices, "child_indices", rows)


@dataclass(frozen=True)
class SparseQuantization(_SetLike):
    """Voxels of points: int32 coordinates, the voxel of each point (-1: none), the points of each voxel."""

    coords: Any
    active_rows: Any
    inverse_rows: Any
    counts: Any
    _handle: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = require(self.coords, "coords", (I32,), 2, 4)[0]
        check_active(self.active_rows)
        require(self.inverse_rows, "inverse_rows", (I32,), 1)
        _check_rows(self.counts, "counts", rows)


@dataclass(frozen=True)
class PointVoxelMap:
    """Which voxel rows each point reads, `(N, 8)` int32 with -1 for none, and with what weights, `(N, 8)` float32."""

    rows: Any
    weights: Any
    _handle: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = require(self.rows, "rows", (I32,), 2, 8)
        if require(self.weights, "weights", (F32,), 2, 8) != shape:
            raise ValueError(f"weights must have the shape of rows: got {self.weights.shape}, expected {shape}")

    @property
    def point_count(self) -> int:
        """Number of points."""
        return int(self.rows.shape[0])


@dataclass(frozen=True)
class SparseTensorComponents:
    """The parts that a SparseTensor can be made from again."""

    coords: Any
    feats: Any
    active_rows: Any
    stride: Triple = (1, 1, 1)
    batch_counts: Optional[Tuple[int, ...]] = None

    def __post_init__(self) -> None:
        rows = library_of(self.coords).shape(check_coords(as_array(self.coords)))[0]
        check_feats(self.feats, rows)
        check_active(self.active_rows)
        object.__setattr__(self, "stride", triple(self.stride, name="stride"))
        if self.batch_counts is not None:
            object.__setattr__(self, "batch_counts", check_batch_counts(self.batch_counts, rows))


def check_feats(feats: Any, rows: int) -> Tuple[int, ...]:
    shape = library_of(feats, "feats").shape(feats)
    if len(shape) != 2:
        raise ValueError(f"feats must have shape (N, C): got {shape}")
    if shape[0] != rows:
        raise ValueError(f"coords and feats must have the same row count: got {shape[0]} feats, expected {rows}")
    return shape


def check_batch_counts(counts: Iterable[int], rows: int) -> Tuple[int, ...]:
    found = tuple(int(count) for count in counts)
    if found and min(found) < 0:
        raise ValueError(f"batch_counts must be non-negative: got {found}")
    if sum(found) != rows:
        raise ValueError(f"batch_counts must cover all sparse rows: got {sum(found)}, expected {rows}")
    return found
