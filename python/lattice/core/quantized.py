"""Packed int4 and int8 weights."""
from __future__ import annotations

from typing import Any, Optional

from .._arrays import F16, F32, Library, Views, common_library, library_of
from .._library import check, context, ffi, lib, options
from .types import IntOrTriple, Triple, triple

try:
    from typing import Literal
except ImportError:  # pragma: no cover
    from typing_extensions import Literal  # type: ignore[assignment]

QuantizedWeightLayout = Literal["linear", "kernel_major", "dense_5d"]
_LAYOUTS = ("linear", "kernel_major", "dense_5d")


class QuantizedWeight:
    """A packed weight (semantics 9). Immutable.

    weight: uint32 words, `(1, C_out, P)` for one kernel element, `(K, P, C_out)` otherwise.
    scales, biases: float16 or float32, `(1, C_out, G)` or `(K, G, C_out)`.
    ValueError for every rule of the storage that does not hold.
    """

    __slots__ = (
        "weight", "scales", "biases", "group_size", "bits", "in_channels", "out_channels", "kernel_size", "layout",
        "_handle", "_library", "__weakref__",
    )  # fmt: skip
    weight: Any
    scales: Any
    biases: Any
    group_size: int
    bits: int
    in_channels: int
    out_channels: int
    kernel_size: Triple
    layout: str
    _handle: Any
    _library: Library

    def __init__(
        self,
        weight: Any,
        scales: Any,
        biases: Any,
        group_size: int,
        bits: int,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTriple,
        layout: str,
    ) -> None:
        of = common_library("QuantizedWeight", weight, scales, biases)
        if layout not in _LAYOUTS:
            raise ValueError(f"QuantizedWeight: layout: got {layout!r}, expected one of {', '.join(_LAYOUTS)}")
        size = triple(kernel_size, name="kernel_size")
        views = Views(of)
        info = ffi.new("lat_quantized_info *")
        info.bits, info.group_size = int(bits), int(group_size)
        info.in_channels, info.out_channels = int(in_channels), int(out_channels)
        info.kernel_size = ffi.new("lat_triple *", size)[0]
        info.layout = _LAYOUTS.index(layout)
        info.words, info.scales, info.biases = views(weight)[0], views(scales)[0], views(biases)[0]
        out = ffi.new("lat_quantized_weight **")
        check(lib.lat_quantized_weight_create(context(), info, out))
        self._fill(ffi.gc(out[0], lib.lat_quantized_weight_release), of, weight, scales, biases)

    def _fill(self, handle: Any, of: Library, weight: Any, scales: Any, biases: Any) -> None:
        info = lib.lat_quantized_weight_info(handle)
        put = object.__setattr__
        put(self, "weight", weight)
        put(self, "scales", scales)
        put(self, "biases", biases)
        put(self, "group_size", int(info.group_size))
        put(self, "bits", int(info.bits))
        put(self, "in_channels", int(info.in_channels))
        put(self, "out_channels", int(info.out_channels))
        put(self, "kernel_size", (info.kernel_size.x, info.kernel_size.y, info.kernel_size.z))
        put(self, "layout", _LAYOUTS[info.layout])
        put(self, "_handle", handle)
        put(self, "_library", of)

    @classmethod
    def _of(cls, handle: Any, of: Library) -> "QuantizedWeight":
        info = lib.lat_quantized_weight_info(handle)
        arrays = [of.borrow(ffi.new("lat_array_view *", view), handle) for view in (info.words, info.scales, info.biases)]
        made = cls.__new__(cls)
        made._fill(handle, of, *arrays)
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"QuantizedWeight is immutable: cannot set {name}")

    def __reduce__(self) -> Any:
        return (
            QuantizedWeight,
            (self.weight, self.scales, self.biases, self.group_size, self.bits, self.in_channels, self.out_channels,
             self.kernel_size, self.layout),
        )  # fmt: skip

    def __repr__(self) -> str:
        return (
            f"QuantizedWeight(int{self.bits}, {self.in_channels} -> {self.out_channels} channels, kernel {self.kernel_size}, "
            f"groups of {self.group_size}, {self.layout}, {self.nbytes} bytes)"
        )

    @property
    def storage_in_channels(self) -> int:
        """Input channels rounded up to whole groups."""
        return int(lib.lat_quantized_weight_info(self._handle).storage_in_channels)

    @property
    def is_pointwise(self) -> bool:
        """Whether the kernel has one element."""
        return bool(self.kernel_size == (1, 1, 1))

    @property
    def nbytes(self) -> int:
        """Bytes of words, scales and biases."""
        return int(lib.lat_quantized_weight_info(self._handle).bytes)


def quantize_weight(weight: Any, *, group_size: Optional[int] = None, bits: int = 4) -> QuantizedWeight:
    """Packs a float16 or float32 weight `(C_out, C_in)`, `(K, C_in, C_out)` or `(C_out, Kx, Ky, Kz, C_in)`.

    bits: 4 or 8. group_size: 32, 64 or 128; None: 64 from 64 input channels on, else 32.
    """
    of = library_of(weight, "weight")
    code = of.dtype_code(weight)
    if code not in (F16, F32):
        raise ValueError(f"quantize_weight: weight quantization supports float16 and float32: got {weight.dtype}")
    if bits not in (4, 8):
        raise ValueError(f"quantize_weight: bits must be 4 or 8: got {bits}")
    if group_size is not None and group_size not in (32, 64, 128):
        raise ValueError(f"quantize_weight: group_size must be 32, 64, or 128: got {group_size}")
    views = Views(of)
    opts = options("lat_quantize_opts", bits=int(bits), group_size=int(group_size or 0))
    out = ffi.new("lat_quantized_weight **")
    check(lib.lat_quantize_weight(context(), views(of.detach(weight)), opts, out))
    return QuantizedWeight._of(ffi.gc(out[0], lib.lat_quantized_weight_release), of)


def dequantize_weight(weight: QuantizedWeight) -> Any:
    """The packed weight as floats of the scales' dtype, in its logical layout."""
    if not isinstance(weight, QuantizedWeight):
        raise TypeError(f"dequantize_weight: wrong class: got {type(weight).__name__}, expected QuantizedWeight")
    out = ffi.new("lat_array **")
    check(lib.lat_dequantize_weight(context(), weight._handle, out))
    return weight._library.take(out[0])
