"""What the modules of every framework have in common: their arguments, parameters and the operation they call.

Each class here is mixed with a framework's own base class (`lattice.torch.nn`, `lattice.mlx.nn`, `lattice.numpy.nn`), which
provides `_new_parameter`, `_new_buffer`, `_uniform`, `_filled`, `_cast` and `_amp`.
"""
from __future__ import annotations

import math
from typing import Any, Optional

from . import ops
from .core.quantized import QuantizedWeight, quantize_weight
from .core.sparse import SparseTensor, require_tensor
from .core.types import IntOrTriple, KernelSpec, positive_triple


class Common:
    """Base of the mixins. `_library_name` is the array library that the framework's modules take."""

    _library_name = ""
    training: bool

    def _new_parameter(self, name: str, array: Any) -> None:
        raise NotImplementedError

    def _new_buffer(self, name: str, array: Any) -> None:
        raise NotImplementedError

    def _uniform(self, shape: Any, bound: float) -> Any:
        raise NotImplementedError

    def _filled(self, shape: Any, value: float) -> Any:
        raise NotImplementedError

    def _amp(self, x: SparseTensor) -> SparseTensor:
        """x in the dtype that the framework's mixed precision asks for."""
        return x

    @staticmethod
    def _value(parameter: Any) -> Any:
        """The array of a parameter, without its history."""
        return parameter

    def _freeze(self) -> None:
        """Takes the module's parameters out of training."""

    def _freeze_statistics(self) -> None:
        """Frameworks that would train the running statistics do not."""

    def _check(self, x: Any, name: str = "x") -> SparseTensor:
        where = type(self).__name__
        require_tensor(where, x, name)
        if x._library.name != self._library_name:
            raise TypeError(f"{where}: {name} is of another array library: got {x._library.name}, expected {self._library_name}")
        return x  # type: ignore[no-any-return]

    @staticmethod
    def _cast(array: Any, x: SparseTensor) -> Any:
        """A parameter in the dtype of the features."""
        return None if array is None else x._library.cast(array, x._library.dtype_code(x._feats))

    def _bias(self) -> Any:
        return getattr(self, "bias", None)

    @staticmethod
    def _rounded(y: SparseTensor, x: SparseTensor) -> SparseTensor:
        """y in the dtype of x."""
        code = x._library.dtype_code(x._feats)
        if y._library.dtype_code(y._feats) == code:
            return y
        return y.replace(feats=y._library.cast(y._feats, code))


# --- convolutions -----------------------------------------------------------------------------------------------------


class _Convolution(Common):
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
        import sys

        return getattr(sys.modules[type(self)._home], name)  # type: ignore[attr-defined]


class Conv3d(_Convolution):
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


class SubmConv3d(_Convolution):
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


class _Normalized(_Convolution):
    eps: float

    def to_quantized(self, *arguments: Any, **options: Any) -> Any:
        """Refused: packed weights would drop the normalisation."""
        raise ValueError(
            f"to_quantized: {type(self).__name__} does not support packed weights: packing would drop the normalization"
        )


class NormalizedSubmConv3d(_Normalized, SubmConv3d):
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


class ConvTranspose3d(_Convolution):
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


class NormalizedConvTranspose3d(_Normalized, ConvTranspose3d):
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


class GenerativeConvTranspose3d(_Convolution):
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


class NormalizedGenerativeConvTranspose3d(_Normalized, GenerativeConvTranspose3d):
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


# --- packed convolutions ----------------------------------------------------------------------------------------------


class _Packed(Common):
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


class _PackedConvolution(_Packed, _Convolution):
    def _pack(self, in_channels: int, out_channels: int, spec: KernelSpec, bias: bool, group_size: Any, bits: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.spec = int(in_channels), int(out_channels), spec
        bound = math.sqrt(1.0 / max(self.in_channels * spec.volume, 1))
        weight = self._uniform((self.out_channels, *spec.size, self.in_channels), bound)
        self._store(quantize_weight(weight, group_size=group_size, bits=bits), self._filled((out_channels,), 0.0) if bias else None)

    @classmethod
    def from_conv(cls, source: Any, group_size: Optional[int] = None, bits: int = 4) -> Any:
        """The packed form of a convolution module."""
        if isinstance(source, _Normalized):
            source.to_quantized()
        made = cls.__new__(cls)
        super(_PackedConvolution, made).__init__()
        made.in_channels, made.out_channels, made.spec = source.in_channels, source.out_channels, source.spec
        bias = source._bias()
        made._store(quantize_weight(source._value(source.weight), group_size=group_size, bits=bits), source._value(bias))
        return made

    def _describe(self) -> str:
        return super()._describe() + f", bits={self.bits}, group_size={self.group_size}"

    extra_repr = _describe

    def _parameters_for(self, x: SparseTensor) -> Any:
        return self._packed(), self._cast(self._bias(), x)


class QuantizedConv3d(_PackedConvolution):
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


class QuantizedSubmConv3d(_PackedConvolution):
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


class QuantizedConvTranspose3d(_PackedConvolution):
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


class QuantizedGenerativeConvTranspose3d(_PackedConvolution):
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


# --- linear -----------------------------------------------------------------------------------------------------------


class Linear(Common):
    """`x @ W.T + bias` of the features; weight and bias start uniform in +-1/sqrt(input_dims)."""

    weight: Any

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True) -> None:
        super().__init__()
        bound = math.sqrt(1.0 / max(input_dims, 1))
        self._new_parameter("weight", self._uniform((output_dims, input_dims), bound))
        if bias:
            self._new_parameter("bias", self._uniform((output_dims,), bound))

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self._amp(self._check(x))
        return ops.linear(x, self._cast(self.weight, x), self._cast(self._bias(), x))

    def to_quantized(
        self, group_size: Optional[int] = None, bits: Optional[int] = None, mode: str = "affine", quantize_input: bool = False
    ) -> Any:
        """The module with its weight packed (bits 4 by default)."""
        if quantize_input:
            raise ValueError("to_quantized: quantize_input is not supported: got True, expected False")
        import sys

        quantized = sys.modules[type(self)._home].QuantizedLinear  # type: ignore[attr-defined]
        return quantized.from_linear(self, group_size=group_size, bits=4 if bits is None else bits, mode=mode)


class QuantizedLinear(_Packed):
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


# --- activations and norms --------------------------------------------------------------------------------------------


class ReLU(Common):
    """`max(x, 0)`."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.relu(self._check(x))


class Sigmoid(Common):
    """`1 / (1 + exp(-x))`."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.sigmoid(self._check(x))


class SiLU(Common):
    """`x * sigmoid(x)`."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.silu(self._check(x))


class Tanh(Common):
    """Hyperbolic tangent."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.tanh(self._check(x))


class GELU(Common):
    """Gaussian error linear unit: approx "none" or "precise" (erf), "tanh", "fast"."""

    def __init__(self, approx: str = "none") -> None:
        super().__init__()
        self.approx = approx

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.gelu(self._check(x), approximate=self.approx)


class LeakyReLU(Common):
    """`x >= 0 ? x : x * negative_slope`."""

    def __init__(self, negative_slope: float = 1e-2) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.leaky_relu(self._check(x), negative_slope=self.negative_slope)


class Softplus(Common):
    """`log(1 + exp(x))`, x itself above 20."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.softplus(self._check(x))


class Dropout(Common):
    """Drops elements with probability p while training."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p must be in [0, 1): got {p}")
        self.p = p

    def forward(self, x: SparseTensor) -> SparseTensor:
        return ops.dropout(self._check(x), p=self.p, training=self.training)


class BatchNorm(Common):
    """Batch norm over all rows: population statistics; running statistics float32, with the biased variance."""

    running_mean: Any
    running_var: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = int(num_features), eps, momentum
        self.track_running_stats = track_running_stats
        if affine:
            self._new_parameter("weight", self._filled((num_features,), 1.0))
            self._new_parameter("bias", self._filled((num_features,), 0.0))
        if track_running_stats:
            self._new_buffer("running_mean", self._filled((num_features,), 0.0))
            self._new_buffer("running_var", self._filled((num_features,), 1.0))
            self._freeze_statistics()

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        weight, bias = getattr(self, "weight", None), self._bias()
        mean = var = None
        if self.track_running_stats:
            if self.training:
                self._update(x)
            else:
                mean, var = self.running_mean, self.running_var
        return self._rounded(ops.batch_norm(x, weight=weight, bias=bias, mean=mean, var=var, eps=self.eps), x)

    def _update(self, x: SparseTensor) -> None:
        from .ops.features import update_running

        mean, var = update_running(x, self.running_mean, self.running_var, self.momentum)
        self._set_statistics(mean, var)

    def _set_statistics(self, mean: Any, var: Any) -> None:
        self.running_mean, self.running_var = mean, var


class LayerNorm(Common):
    """Layer norm of each row."""

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.dims, self.eps = int(dims), eps
        if affine:
            self._new_parameter("weight", self._filled((dims,), 1.0))
            if bias:
                self._new_parameter("bias", self._filled((dims,), 0.0))

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        weight = getattr(self, "weight", None)
        return self._rounded(ops.layer_norm(x, weight=weight, bias=self._bias(), eps=self.eps), x)


class RMSNorm(Common):
    """`x / sqrt(mean(x^2) + eps) * weight` of each row."""

    weight: Any

    def __init__(self, dims: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.dims, self.eps = int(dims), eps
        self._new_parameter("weight", self._filled((dims,), 1.0))

    def forward(self, x: SparseTensor) -> SparseTensor:
        return self._rounded(ops.rms_norm(self._check(x), weight=self.weight, eps=self.eps), x)


class InstanceNorm(Common):
    """Norm of each batch item and channel."""

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__()
        self.num_features, self.eps = int(num_features), eps
        if affine:
            self._new_parameter("weight", self._filled((num_features,), 1.0))
            self._new_parameter("bias", self._filled((num_features,), 0.0))

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        weight = getattr(self, "weight", None)
        return self._rounded(ops.instance_norm(x, weight=weight, bias=self._bias(), eps=self.eps), x)


class GroupNorm(Common):
    """Norm of each batch item and run of channels."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.num_groups, self.num_channels, self.eps = int(num_groups), int(num_channels), eps
        if affine:
            self._new_parameter("weight", self._filled((num_channels,), 1.0))
            self._new_parameter("bias", self._filled((num_channels,), 0.0))

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        weight = getattr(self, "weight", None)
        return self._rounded(ops.group_norm(x, self.num_groups, weight=weight, bias=self._bias(), eps=self.eps), x)


# --- pooling ----------------------------------------------------------------------------------------------------------


class Pool3d(Common):
    """Local pool; mode "sum", "max" or "avg"."""

    def __init__(
        self,
        *,
        mode: str = "sum",
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.spec = KernelSpec(kernel_size, stride, padding, dilation)

    def forward(self, x: SparseTensor) -> SparseTensor:
        s = self.spec
        return ops.pool3d(
            self._check(x), mode=self.mode, kernel_size=s.size, stride=s.stride, padding=s.padding, dilation=s.dilation
        )


class _FixedPool(Common):
    """A Pool3d whose mode is fixed; stands before a framework's Pool3d."""

    _mode = "sum"

    def __init__(
        self,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> None:
        super().__init__(  # type: ignore[call-arg]
            mode=self._mode, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation
        )


class PoolTranspose3d(Common):
    """Average of all coarse contributors; call `(x, target=None)`."""

    def __init__(
        self,
        *,
        kernel_size: IntOrTriple = 2,
        stride: IntOrTriple = 2,
        padding: IntOrTriple = 0,
        dilation: IntOrTriple = 1,
    ) -> None:
        super().__init__()
        self.spec = KernelSpec(kernel_size, stride, padding, dilation)

    def forward(self, x: SparseTensor, target: Optional[SparseTensor] = None) -> SparseTensor:
        s = self.spec
        return ops.pool_transpose3d(
            self._check(x), target, kernel_size=s.size, stride=s.stride, padding=s.padding, dilation=s.dilation
        )


class TrilinearUpsample3d(Common):
    """Trilinear upsampling; call `(x, target=None)`."""

    def __init__(self, *, stride: IntOrTriple = 2) -> None:
        super().__init__()
        self.stride = positive_triple(stride, "stride")

    def forward(self, x: SparseTensor, target: Optional[SparseTensor] = None) -> SparseTensor:
        return ops.trilinear_upsample3d(self._check(x), target, stride=self.stride)


class GlobalSumPool(Common):
    """Sum of the rows of each batch item: a dense `(B, C)` array."""

    def forward(self, x: SparseTensor) -> Any:
        return ops.global_sum_pool(self._check(x))


class GlobalAvgPool(Common):
    """Average of the rows of each batch item: a dense `(B, C)` array."""

    def forward(self, x: SparseTensor) -> Any:
        return ops.global_avg_pool(self._check(x))


class GlobalMaxPool(Common):
    """Maximum of the rows of each batch item: a dense `(B, C)` array."""

    def forward(self, x: SparseTensor) -> Any:
        return ops.global_max_pool(self._check(x))
