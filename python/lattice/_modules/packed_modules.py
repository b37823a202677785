"""Convolutions and a linear map with packed int4 or int8 weights."""
from __future__ import annotations

import math
from typing import Any, Optional

from .. import ops
from ..core.quantized import QuantizedWeight, quantize_weight
from ..core.sparse import SparseTensor
from ..core.types import IntOrTriple, KernelSpec
from .convolution_modules import Convolution, Normalized
from .module_base import Common


class Packed(Common):
    """Holds a packed weight as `weight`, `scales`, `biases`; the object of C is made when needed."""

    weight: Any
    scales: Any
    biases: Any
    group_size: int
    bits: int
    _packed_weight: Any = None

    def _store(self, packed: QuantizedWeight, bias: Any) -> None:
        self.group_size, self.bits = packed.group_size, packed.bits
        self._facts = (packed.in_channels, packed.out_channels, packed.kernel_size, packed.layout)
        for name in ("weight", "scales", "biases"):
            self._new_buffer(name, getattr(packed, name))
        if bias is not None:
            self._new_buffer("bias", bias)
        self._freeze()

    def _packed(self) -> QuantizedWeight:
        parts = (self.weight, self.scales, self.biases)
        found = self._packed_weight
        if found is None or any(a is not b for a, b in zip(found[0], parts)):
            channels_in, channels_out, size, layout = self._facts
            made = QuantizedWeight(*parts, self.group_size, self.bits, channels_in, channels_out, size, layout)
            found = (parts, made)
            object.__setattr__(self, "_packed_weight", found)
        return found[1]  # type: ignore[no-any-return]

    def __getstate__(self) -> Any:
        inherited: Any = super()
        state = dict(inherited.__getstate__() if hasattr(inherited, "__getstate__") else self.__dict__)
        state.pop("_packed_weight", None)
        return state


class PackedConvolution(Packed, Convolution):
    def _pack(self, in_channels: int, out_channels: int, spec: KernelSpec, bias: bool, group_size: Any, bits: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.spec = int(in_channels), int(out_channels), spec
        bound = math.sqrt(1.0 / max(self.in_channels * spec.volume, 1))
        weight = self._uniform((self.out_channels, *spec.size, self.in_channels), bound)
        self._store(quantize_weight(weight, group_size=group_size, bits=bits), self._filled((out_channels,), 0.0) if bias else None)

    @classmethod
    def from_conv(cls, source: Any, group_size: Optional[int] = None, bits: int = 4) -> Any:
        """The packed form of a convolution module."""
        if isinstance(source, Normalized):
            source.to_quantized()
        made = cls.__new__(cls)
        super(PackedConvolution, made).__init__()
        made.in_channels, made.out_channels, made.spec = source.in_channels, source.out_channels, source.spec
        bias = source._bias()
        made._store(quantize_weight(source._value(source.weight), group_size=group_size, bits=bits), source._value(bias))
        return made

    def _describe(self) -> str:
        return super()._describe() + f", bits={self.bits}, group_size={self.group_size}"

    extra_repr = _describe

    def _parameters_for(self, x: SparseTensor) -> Any:
        return self._packed(), self._cast(self._bias(), x)


class QuantizedConv3d(PackedConvolution):
    """Conv3d with a packed weight; call `(x, *, coordinates=None)`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: IntOrTriple = 3,
        stride: IntOrTriple = 1,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
        bias: bool = True,
        group_size: Optional[int] = None,
        bits: int = 4,
    ) -> None:
        self._pack(in_channels, out_channels, KernelSpec(kernel_size, stride, padding, dilation), bias, group_size, bits)

    def forward(self, x: SparseTensor, *, coordinates: Any = None) -> SparseTensor:
        weight, bias = self._parameters_for(self._check(x))
        return ops.conv3d(x, weight, bias, coordinates=coordinates, **self._geometry())


class QuantizedSubmConv3d(PackedConvolution):
    """SubmConv3d with a packed weight."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: IntOrTriple = 3,
        dilation: IntOrTriple = 1,
        bias: bool = True,
        group_size: Optional[int] = None,
        bits: int = 4,
    ) -> None:
        self._pack(in_channels, out_channels, KernelSpec(kernel_size, 1, 0, dilation), bias, group_size, bits)

    def forward(self, x: SparseTensor) -> SparseTensor:
        weight, bias = self._parameters_for(self._check(x))
        return ops.subm_conv3d(x, weight, bias, kernel_size=self.spec.size, dilation=self.spec.dilation)


class QuantizedConvTranspose3d(PackedConvolution):
    """ConvTranspose3d with a packed weight."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
        bias: bool = True,
        group_size: Optional[int] = None,
        bits: int = 4,
    ) -> None:
        self._pack(in_channels, out_channels, KernelSpec(kernel_size, stride, padding, dilation), bias, group_size, bits)

    def forward(self, x: SparseTensor) -> SparseTensor:
        weight, bias = self._parameters_for(self._check(x))
        return ops.conv_transpose3d(x, weight, bias, **self._geometry())


class QuantizedGenerativeConvTranspose3d(PackedConvolution):
    """GenerativeConvTranspose3d with a packed weight."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        bias: bool = True,
        group_size: Optional[int] = None,
        bits: int = 4,
    ) -> None:
        self._pack(in_channels, out_channels, KernelSpec(kernel_size, stride), bias, group_size, bits)

    def forward(self, x: SparseTensor) -> SparseTensor:
        weight, bias = self._parameters_for(self._check(x))
        return ops.generative_conv_transpose3d(x, weight, bias, kernel_size=self.spec.size, stride=self.spec.stride)


class QuantizedLinear(Packed):
    """Linear with a packed weight."""

    input_dims: int
    output_dims: int

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: Optional[int] = None,
        bits: int = 4,
        mode: str = "affine",
    ) -> None:
        self._mode(mode)
        super().__init__()
        bound = math.sqrt(1.0 / max(input_dims, 1))
        self.input_dims, self.output_dims = int(input_dims), int(output_dims)
        weight = self._uniform((output_dims, input_dims), bound)
        self._store(
            quantize_weight(weight, group_size=group_size, bits=bits), self._filled((output_dims,), 0.0) if bias else None
        )

    @staticmethod
    def _mode(mode: str) -> None:
        if mode != "affine":
            raise ValueError(f"QuantizedLinear: mode: got {mode!r}, expected 'affine'")

    @classmethod
    def from_linear(cls, linear: Any, group_size: Optional[int] = None, bits: int = 4, mode: str = "affine") -> Any:
        """The packed form of a Linear module."""
        cls._mode(mode)
        made = cls.__new__(cls)
        super(QuantizedLinear, made).__init__()
        weight = made._value(linear.weight)
        made.output_dims, made.input_dims = int(weight.shape[0]), int(weight.shape[1])
        bias = getattr(linear, "bias", None)
        made._store(quantize_weight(weight, group_size=group_size, bits=bits), made._value(bias))
        return made

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        return ops.linear(x, self._packed(), self._cast(self._bias(), x))
