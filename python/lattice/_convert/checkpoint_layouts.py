"""How each library lays out a convolution kernel, and the same numbers as (C_out, Kx, Ky, Kz, C_in).

Tap digits d0, d1, d2 count along the library's coordinate columns, the first spatial column being axis 0. Every layout is
linear in the digits, so one is fully said by an element stride for each of C_out, d0, d1, d2 and C_in.
"""

from __future__ import annotations

import array
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from .torch_checkpoint import Refused, Tensor, count_of, gather

Triple = Tuple[int, int, int]

LIBRARIES = ("spconv1", "spconv2", "spconv2-rskc", "minkowski", "torchsparse", "torch-lattice")
SHAPED = {  # the shape says the kernel: where C_out, the taps and C_in stand
    "spconv1": (4, (0, 1, 2), 3),
    "spconv2": (0, (1, 2, 3), 4),
    "spconv2-rskc": (3, (0, 1, 2), 4),
}
FLAT = ("minkowski", "torchsparse", "torch-lattice")  # (K, C_in, C_out), or (C_in, C_out) of a single tap


class KernelLayout(NamedTuple):
    """Element strides of a kernel tensor."""

    kernel: Triple  # along the library's axes
    c_out: int
    c_in: int
    out_stride: int
    tap_strides: Triple
    in_stride: int


def weight_name(library: str) -> str:
    return "kernel" if library in ("minkowski", "torchsparse") else "weight"


def tap_strides(library: str, kernel: Triple) -> Triple:
    """Distance in the flat tap index of one step along each axis."""
    k0, k1, k2 = kernel
    first_fastest = library == "minkowski" or (library == "torchsparse" and k0 * k1 * k2 % 2 == 1)
    return (1, k0, k0 * k1) if first_fastest else (k1 * k2, k2, 1)


def cross_digits(kernel: Triple) -> List[Triple]:
    """The taps of MinkowskiEngine's HYPER_CROSS in its order: the centre, then along each axis +1 to +r and -r to -1."""
    centre = [size // 2 for size in kernel]
    found = [list(centre)]
    for axis, middle in enumerate(centre):
        for step in [*range(1, middle + 1), *range(-middle, 0)]:
            digits = list(centre)
            digits[axis] += step
            found.append(digits)
    return [(digits[0], digits[1], digits[2]) for digits in found]


def expected_shape(
    library: str, kernel: Optional[Triple], c_in: Optional[int], cross: bool = False, channelwise: bool = False
) -> str:
    ci = "C_in" if c_in is None else str(c_in)
    if kernel is not None and (cross or channelwise):
        rows = len(cross_digits(kernel)) if cross else count_of(kernel)
        return f"({rows}, {ci})" if channelwise else f"({rows}, {ci}, C_out)"
    taps = ["K0", "K1", "K2"] if kernel is None else [str(size) for size in kernel]
    if library in SHAPED:
        parts = [""] * 5
        out_axis, tap_axes, in_axis = SHAPED[library]
        parts[out_axis], parts[in_axis] = "C_out", ci
        for axis, text in zip(tap_axes, taps):
            parts[axis] = text
        return f"({', '.join(parts)})"
    volume = "K" if kernel is None else str(count_of(kernel))
    return f"({volume}, {ci}, C_out)" + (f" or ({ci}, C_out)" if kernel == (1, 1, 1) else "")


def _flat_layout(shape: Sequence[int], kernel: Triple, cross: bool, channelwise: bool, s: Triple) -> KernelLayout:
    """Of (K, C_in, C_out), (C_in, C_out) of a single tap, or (K, C) of a channelwise kernel. Raises ValueError."""
    if channelwise:
        taps, co = shape
        ci, step = 1, co
    else:
        taps, ci, co = (1, *shape) if len(shape) == 2 and kernel == (1, 1, 1) else shape
        step = ci * co
    if taps != (len(cross_digits(kernel)) if cross else count_of(kernel)):
        raise ValueError
    return KernelLayout(kernel, co, ci, 1, (s[0] * step, s[1] * step, s[2] * step), co)


def kernel_layout(
    library: str,
    name: str,
    shape: Sequence[int],
    kernel: Optional[Triple],
    c_in: Optional[int],
    cross: bool = False,
    channelwise: bool = False,
) -> KernelLayout:
    """The layout of tensor `name`. Raises Refused when its shape does not fit."""
    wrong = Refused(
        f"{name}: shape {tuple(shape)}, expected {expected_shape(library, kernel, c_in, cross, channelwise)} of {library}"
    )
    if library in SHAPED:
        out_axis, tap_axes, in_axis = SHAPED[library]
        if len(shape) == 4:  # a convolution of two axes: the first one has a single tap
            shape = [*shape[: tap_axes[0]], 1, *shape[tap_axes[0] :]]
        if len(shape) != 5:
            raise wrong
        held: Triple = (shape[tap_axes[0]], shape[tap_axes[1]], shape[tap_axes[2]])
        strides, step = [0] * 5, 1
        for axis in (4, 3, 2, 1, 0):
            strides[axis] = step
            step *= shape[axis]
        layout = KernelLayout(
            held,
            shape[out_axis],
            shape[in_axis],
            strides[out_axis],
            (strides[tap_axes[0]], strides[tap_axes[1]], strides[tap_axes[2]]),
            strides[in_axis],
        )
    else:
        if kernel is None:
            raise Refused(f"{name}: 'kernel' is needed: the tensor's shape {tuple(shape)} does not say it")
        try:
            layout = _flat_layout(shape, kernel, cross, channelwise, tap_strides(library, kernel))
        except ValueError:
            raise wrong from None
    channels = layout.c_out if channelwise else layout.c_in
    if (kernel is not None and layout.kernel != kernel) or (c_in is not None and channels != c_in) or 0 in shape:
        raise wrong
    return layout


def tap_order(library: str, kernel: Triple) -> List[int]:
    """For each tap, last axis fastest, its place in the library's flat order; for the report."""
    s0, s1, s2 = tap_strides(library, kernel) if library in FLAT else tap_strides("spconv2", kernel)
    return [s0 * a + s1 * b + s2 * c for a in range(kernel[0]) for b in range(kernel[1]) for c in range(kernel[2])]


def positions_digits(name: str, layout: KernelLayout, positions: Tensor) -> List[Triple]:
    """The tap digits of each row of a flat kernel, as its `kernel_positions` (K, 3) say."""
    taps = count_of(layout.kernel)
    if positions.shape != (taps, 3) or not positions.dtype.startswith("int"):
        raise Refused(f"{name}: {positions.dtype} {positions.shape}, expected integers of shape ({taps}, 3)")
    numbers = positions.values()
    low = [min(numbers[axis::3]) for axis in range(3)]
    rows: List[Triple] = [
        (numbers[i] - low[0], numbers[i + 1] - low[1], numbers[i + 2] - low[2]) for i in range(0, 3 * taps, 3)
    ]
    for row, digits in enumerate(rows):
        if any(digit >= size for digit, size in zip(digits, layout.kernel)):
            raise Refused(f"{name}: position {row} lies outside the kernel {layout.kernel}")
    if len(set(rows)) != taps:
        raise Refused(f"{name}: two rows of one position")
    return rows


def dense_rows(values: "array.array[Any]", layout: KernelLayout, digits: Sequence[Triple]) -> "array.array[Any]":
    """The rows of a flat kernel at their places among all taps, last axis fastest; zeros at the others."""
    block = layout.c_in * layout.c_out
    _, k1, k2 = layout.kernel
    out: "array.array[Any]" = array.array(values.typecode, bytes(values.itemsize * count_of(layout.kernel) * block))
    for row, (a, b, c) in enumerate(digits):
        place = (a * k1 + b) * k2 + c
        out[place * block : (place + 1) * block] = values[row * block : (row + 1) * block]
    return out


def sorted_rows(values: "array.array[Any]", layout: KernelLayout, digits: Sequence[Triple]) -> "array.array[Any]":
    """The rows of a flat kernel, last axis fastest."""
    block = layout.c_in * layout.c_out
    out: "array.array[Any]" = array.array(values.typecode)
    for row in sorted(range(len(digits)), key=lambda index: digits[index]):
        out.extend(values[row * block : (row + 1) * block])
    return out


def lattice_kernel(
    values: "array.array[Any]", layout: KernelLayout, zyx: bool
) -> Tuple[Tuple[int, ...], "array.array[Any]"]:
    """Shape and numbers of (C_out, Kx, Ky, Kz, C_in)."""
    taps, strides = list(layout.kernel), list(layout.tap_strides)
    if zyx:
        taps.reverse()
        strides.reverse()
    shape = (layout.c_out, taps[0], taps[1], taps[2], layout.c_in)
    return shape, gather(values, 0, shape, (layout.out_stride, *strides, layout.in_stride))


def as_float32(name: str, tensor: Tensor) -> "array.array[Any]":
    if tensor.dtype not in ("float32", "float16", "bfloat16", "float64"):
        raise Refused(f"{name}: {tensor.dtype}, expected a float tensor")
    values = tensor.values()
    return array.array("f", values) if values.typecode == "d" else values
