"""The order of a kernel's elements: row `k = (ix * Ky + iy) * Kz + iz`, x slowest."""
from __future__ import annotations

from typing import Iterable, Sequence, Tuple, Union

Triple = Tuple[int, int, int]
IntOrTriple = Union[int, Iterable[int]]


def _triple(value: IntOrTriple, name: str) -> Triple:
    found = (value,) * 3 if isinstance(value, int) else tuple(int(v) for v in value)
    if len(found) != 3:
        raise ValueError(f"{name} must be an int or a 3-tuple: got {len(found)} values")
    if min(found) <= 0:
        raise ValueError(f"{name} values must be positive: got {found}")
    return found[0], found[1], found[2]


def kernel_positions(kernel_size: IntOrTriple) -> Tuple[Triple, ...]:
    """The index `(ix, iy, iz)` of each kernel row."""
    x, y, z = _triple(kernel_size, "kernel_size")
    return tuple((i, j, k) for i in range(x) for j in range(y) for k in range(z))


def _offsets(kernel_size: IntOrTriple, dilation: IntOrTriple, centre: Triple) -> Tuple[Triple, ...]:
    (dx, dy, dz), (cx, cy, cz) = _triple(dilation, "dilation"), centre
    return tuple(((i - cx) * dx, (j - cy) * dy, (k - cz) * dz) for i, j, k in kernel_positions(kernel_size))


def indexed_kernel_offsets(kernel_size: IntOrTriple, dilation: IntOrTriple = 1) -> Tuple[Triple, ...]:
    """Offsets that count from 0 on every axis: of transposed and generative convolutions."""
    return _offsets(kernel_size, dilation, (0, 0, 0))


def centered_kernel_offsets(kernel_size: IntOrTriple, dilation: IntOrTriple = 1) -> Tuple[Triple, ...]:
    """Offsets around the middle of an odd kernel: of submanifold convolutions. ValueError for an even size."""
    size = _triple(kernel_size, "kernel_size")
    if any(s % 2 == 0 for s in size):
        raise ValueError(f"centered_kernel_offsets requires odd kernel_size values: got {size}")
    return sparse_kernel_offsets(size, dilation)


def sparse_kernel_offsets(kernel_size: IntOrTriple, dilation: IntOrTriple = 1) -> Tuple[Triple, ...]:
    """Offsets of forward convolutions: around the middle on axes of odd size, from 0 on the others."""
    x, y, z = (s // 2 if s % 2 else 0 for s in _triple(kernel_size, "kernel_size"))
    return _offsets(kernel_size, dilation, (x, y, z))


def kernel_row_permutation(source: Sequence[Triple], target: Sequence[Triple]) -> Tuple[int, ...]:
    """For each row of `target` its index in `source`. ValueError unless both hold the same positions, each once."""
    rows = {tuple(position): row for row, position in enumerate(source)}
    if len(rows) != len(source) or len({tuple(position) for position in target}) != len(target):
        raise ValueError("kernel_row_permutation: kernel positions must be unique in both layouts")
    if rows.keys() != {tuple(position) for position in target}:
        raise ValueError("kernel_row_permutation: both layouts must have the same kernel positions")
    return tuple(rows[tuple(position)] for position in target)
