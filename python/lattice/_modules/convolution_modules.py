"""Convolutions with a dense weight."""
from __future__ import annotations

import math
import sys
from typing import Any, Optional

from .. import ops
from ..core.sparse import SparseTensor
from ..core.types import IntOrTriple, KernelSpec
from .module_base import Common


class Convolution(Common):
    _quantized = ""
    in_channels: int
    out_channels: int
    spec: KernelSpec
    weight: Any

    def _build(self, in_channels: int, out_channels: int, spec: KernelSpec, bias: bool) -> None:
        super().__init__()
        self.in_channels = int(in_channels)
        self.out_channels = int(out_channels)
        self.spec = spec
        self._fill(bias)

    def _fill(self, bias: bool) -> None:
        bound = math.sqrt(1.0 / max(self.in_channels * self.spec.volume, 1))
        shape = (self.out_channels, *self.spec.size, self.in_channels)
        self._new_parameter("weight", self._uniform(shape, bound))
        if bias:
            self._new_parameter("bias", self._filled((self.out_channels,), 0.0))

    def _geometry(self) -> Any:
        s = self.spec
        return {"kernel_size": s.size, "stride": s.stride, "padding": s.padding, "dilation": s.dilation}

    def _describe(self) -> str:
        s = self.spec
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={s.size}"]
        if s.stride != (1, 1, 1):
            parts.append(f"stride={s.stride}")
        if s.padding != (0, 0, 0):
            parts.append(f"padding={s.padding}")
        if s.dilation != (1, 1, 1):
            parts.append(f"dilation={s.dilation}")
        return ", ".join(parts + [f"bias={self._bias() is not None}"])

    extra_repr = _describe

    def _parameters_for(self, x: SparseTensor) -> Any:
        return self._cast(self.weight, x), self._cast(self._bias(), x)

    def to_quantized(
        self, group_size: Optional[int] = None, bits: Optional[int] = None, *, mode: str = "affine", quantize_input: bool = False
    ) -> Any:
        """The module with its weight packed (bits 4 by default)."""
        if mode != "affine":
            raise ValueError(f"to_quantized: mode: got {mode!r}, expected 'affine'")
        if quantize_input:
            raise ValueError("to_quantized: quantize_input is not supported: got True, expected False")
        return self._sibling(self._quantized).from_conv(self, group_size=group_size, bits=4 if bits is None else bits)

    def _sibling(self, name: str) -> Any:
        return getattr(sys.modules[type(self)._home], name)  # type: ignore[attr-defined]


class Conv3d(Convolution):
    """Sparse convolution. weight `(C_out, Kx, Ky, Kz, C_in)`, bias `(C_out,)`; call `(x, *, coordinates=None)`."""

    _quantized = "QuantizedConv3d"

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
    ) -> None:
        self._build(in_channels, out_channels, KernelSpec(kernel_size, stride, padding, dilation), bias)

    def forward(self, x: SparseTensor, *, coordinates: Any = None) -> SparseTensor:
        x = self._amp(self._check(x))
        weight, bias = self._parameters_for(x)
        return ops.conv3d(x, weight, bias, coordinates=coordinates, **self._geometry())


class SubmConv3d(Convolution):
    """Submanifold convolution: the result has x's identity. Even kernel sizes are refused when called."""

    _quantized = "QuantizedSubmConv3d"

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: IntOrTriple = 3, dilation: IntOrTriple = 1, bias: bool = True
    ) -> None:
        self._build(in_channels, out_channels, KernelSpec(kernel_size, 1, 0, dilation), bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self._amp(self._check(x))
        weight, bias = self._parameters_for(x)
        return ops.subm_conv3d(x, weight, bias, kernel_size=self.spec.size, dilation=self.spec.dilation)


class Normalized(Convolution):
    eps: float

    def to_quantized(self, *arguments: Any, **options: Any) -> Any:
        """Refused: packed weights would drop the normalisation."""
        raise ValueError(
            f"to_quantized: {type(self).__name__} does not support packed weights: packing would drop the normalization"
        )


class NormalizedSubmConv3d(Normalized, SubmConv3d):
    """SubmConv3d divided by the length of the weights that met each output element."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: IntOrTriple = 3,
        dilation: IntOrTriple = 1,
        bias: bool = True,
        eps: float = 1e-8,
    ) -> None:
        self._build(in_channels, out_channels, KernelSpec(kernel_size, 1, 0, dilation), bias)
        self.eps = eps

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self._amp(self._check(x))
        weight, bias = self._parameters_for(x)
        size, dilation = self.spec.size, self.spec.dilation
        return ops.normalized_subm_conv3d(x, weight, bias, kernel_size=size, dilation=dilation, eps=self.eps)


class ConvTranspose3d(Convolution):
    """Transposed convolution; call `(x, coordinates=None)`."""

    _quantized = "QuantizedConvTranspose3d"

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
    ) -> None:
        self._build(in_channels, out_channels, KernelSpec(kernel_size, stride, padding, dilation), bias)

    def forward(self, x: SparseTensor, coordinates: Any = None) -> SparseTensor:
        x = self._amp(self._check(x))
        weight, bias = self._parameters_for(x)
        return ops.conv_transpose3d(x, weight, bias, coordinates=coordinates, **self._geometry())


class NormalizedConvTranspose3d(Normalized, ConvTranspose3d):
    """Normalized ConvTranspose3d."""

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
        eps: float = 1e-8,
    ) -> None:
        self._build(in_channels, out_channels, KernelSpec(kernel_size, stride, padding, dilation), bias)
        self.eps = eps

    def forward(self, x: SparseTensor, coordinates: Any = None) -> SparseTensor:
        x = self._amp(self._check(x))
        weight, bias = self._parameters_for(x)
        return ops.normalized_conv_transpose3d(x, weight, bias, coordinates=coordinates, eps=self.eps, **self._geometry())


class GenerativeConvTranspose3d(Convolution):
    """Generative transposed convolution; call `(x, coordinates=None)`."""

    _quantized = "QuantizedGenerativeConvTranspose3d"

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: IntOrTriple = 2, stride: IntOrTriple = 2, bias: bool = True
    ) -> None:
        self._build(in_channels, out_channels, KernelSpec(kernel_size, stride), bias)

    def forward(self, x: SparseTensor, coordinates: Any = None) -> SparseTensor:
        x = self._amp(self._check(x))
        weight, bias = self._parameters_for(x)
        size, stride = self.spec.size, self.spec.stride
        return ops.generative_conv_transpose3d(x, weight, bias, kernel_size=size, stride=stride, coordinates=coordinates)


class NormalizedGenerativeConvTranspose3d(Normalized, GenerativeConvTranspose3d):
    """Normalized GenerativeConvTranspose3d."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        bias: bool = True,
        eps: float = 1e-8,
    ) -> None:
        self._build(in_channels, out_channels, KernelSpec(kernel_size, stride), bias)
        self.eps = eps

    def forward(self, x: SparseTensor, coordinates: Any = None) -> SparseTensor:
        x = self._amp(self._check(x))
        weight, bias = self._parameters_for(x)
        size, stride = self.spec.size, self.spec.stride
        return ops.normalized_generative_conv_transpose3d(
            x, weight, bias, kernel_size=size, stride=stride, eps=self.eps, coordinates=coordinates
        )
