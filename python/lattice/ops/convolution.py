"""Sparse convolutions (semantics 4)."""
from __future__ import annotations

import functools
from typing import Any, Callable, List, Optional, Tuple, Union

from .._arrays import F32, FLOATS, NAMES, common_library, library_of
from .._library import NULL, check, ffi, lib, new, options
from .._operation import Place, grads_list, run, run_directly
from ..core.manager import Entry
from ..core.quantized import QuantizedWeight, dequantize_weight
from ..core.relations import Reach, check_support, create_relation, edge_arrays, support_fields
from ..core.sparse import UNDECLARED, Batch, SparseTensor, make, require_tensor
from ..core.types import CoordinateMapKey, IntOrTriple, KernelSpec, Triple, check_coords, kernel_spec

Coordinates = Union[SparseTensor, CoordinateMapKey, Any]

# name: C function, C gradient or None, relation without and with coordinates
_MEMBERS = {
    "conv3d": ("forward", "target"),
    "subm_conv3d": ("submanifold", None),
    "conv_transpose3d": ("transposed", "target_transposed"),
    "generative_conv_transpose3d": ("generative", "target_transposed"),
    "normalized_subm_conv3d": ("submanifold", None),
    "normalized_conv_transpose3d": ("transposed", "target_transposed"),
    "normalized_generative_conv_transpose3d": ("generative", "target_transposed"),
}


def _gradient(name: str) -> Any:
    try:
        return getattr(lib, f"lat_{name}_backward")
    except AttributeError:
        return None


_BACKWARD = {name: _gradient(name) for name in _MEMBERS}


def out_stride(op: str, x: SparseTensor, stride: Triple, transposed: bool, what: str = "the input tensor stride") -> Triple:
    if not transposed:
        return tuple(a * b for a, b in zip(x.stride, stride))  # type: ignore[return-value]
    if any(a % b for a, b in zip(x.stride, stride)):
        raise ValueError(f"{op}: transpose stride must divide {what}: got {stride}, expected a divisor of {x.stride}")
    return tuple(a // b for a, b in zip(x.stride, stride))  # type: ignore[return-value]


def check_float(op: str, family: str, x: SparseTensor) -> None:
    code = x._library.dtype_code(x._feats)
    if code not in FLOATS:
        raise ValueError(
            f"{op}: {family} supports float32 and float16 tensors: got {NAMES[code]}, expected float32, float16 or bfloat16"
        )


def target_entry(op: str, x: SparseTensor, coordinates: Coordinates, stride: Triple) -> Entry:
    """The entry, in x's manager, of a target tensor, key or coordinate array."""
    manager = x._manager
    if isinstance(coordinates, SparseTensor):
        if coordinates.stride != stride:
            raise ValueError(
                f"{op}: coordinates must use the convolution output stride: got {coordinates.stride}, expected {stride}"
            )
        if coordinates._library is not x._library:
            raise TypeError(f"{op}: mixed array libraries: got {coordinates._library.name}, expected {x._library.name}")
        return coordinates._entry if coordinates._manager is manager else manager._adopt(coordinates._entry)
    if isinstance(coordinates, CoordinateMapKey):
        entry = manager._of_key(coordinates)
        if entry.stride != stride:
            raise ValueError(f"{op}: coordinates must use the convolution output stride: got {entry.stride}, expected {stride}")
        return entry
    if library_of(coordinates, op) is not x._library:
        raise TypeError(f"{op}: mixed array libraries: got {library_of(coordinates).name}, expected {x._library.name}")
    check_coords(coordinates, "coordinates")
    return manager._insert(coordinates, stride)


_WEIGHT = ffi.typeof("lat_weight *")


def _weight(view: Any, packed: Any) -> Any:
    found = new(_WEIGHT, None)
    if packed is not None:
        found.packed = packed._handle
    else:
        found.dense = view[0]
    return found


def kernel_major(math: Any, weight: Any, volume: int) -> Any:
    """A dense weight of any layout as `(K, C_in, C_out)`."""
    if len(weight.shape) == 3:
        return weight
    if len(weight.shape) == 2:
        return math.permute(weight, (1, 0))[None]
    c_out, c_in = weight.shape[0], weight.shape[4]
    return math.permute(weight.reshape(c_out, volume, c_in), (1, 2, 0))


def gather_map(math: Any, of: Any, handle: Any, n_in: int) -> Tuple[Any, int, int]:
    """The `(n_out, K)` map of a relation, with n_in for "none", made of the library's own operations."""
    n_out, volume = int(lib.lat_relation_n_out(handle)), int(lib.lat_relation_n_kernels(handle))
    in_rows, out_rows, kernel_ids = edge_arrays(handle, of)
    flat = math.scatter(n_out * volume, out_rows * volume + kernel_ids, in_rows, n_in)
    return flat.reshape(n_out, volume), n_out, volume


class _Geometry:
    """What a convolution is but for its arrays; operations ask for the same few again and again."""

    __slots__ = ("op", "function", "gradient", "kind", "with_target", "spec", "groups", "eps", "reach", "opts", "transposed")

    def __init__(self, op: str, spec: KernelSpec, groups: Any, eps: Optional[float], support: str, bounds: Any) -> None:
        if eps is not None and not eps > 0:
            raise ValueError(f"{op}: eps must be positive: got {eps}")
        self.op, self.spec, self.groups, self.eps = op, spec, int(groups), eps
        self.function, self.gradient = getattr(lib, "lat_" + op), _BACKWARD[op]
        self.kind, self.with_target = _MEMBERS[op]
        self.transposed = self.kind in ("transposed", "generative")
        self.reach = check_support(op, support, bounds)
        fields: Any = {"kernel_size": spec.size, "dilation": spec.dilation, "groups": self.groups, **support_fields(self.reach)}
        if self.kind != "submanifold":
            fields.update(stride=spec.stride, padding=spec.padding)
        if eps is not None:
            fields["eps"] = float(eps)
        self.opts = options("lat_conv3d_opts", **fields)


def _make_geometry(
    op: str, size: Any, stride: Any, padding: Any, dilation: Any, groups: Any, eps: Any, support: str, bounds: Any
) -> _Geometry:
    return _Geometry(op, kernel_spec(size, stride, padding, dilation), groups, eps, support, bounds)


_known_geometry = functools.lru_cache(maxsize=512, typed=True)(_make_geometry)


def _geometry(
    op: str,
    size: IntOrTriple,
    stride: IntOrTriple,
    padding: IntOrTriple,
    dilation: IntOrTriple,
    groups: int = 1,
    eps: Optional[float] = None,
    support: str = "floor",
    bounds: Optional[IntOrTriple] = None,
) -> _Geometry:
    known: Any = _known_geometry
    try:
        return known(op, size, stride, padding, dilation, groups, eps, support, bounds)  # type: ignore[no-any-return]
    except TypeError:  # lists and arrays have no hash; whatever else is wrong is said again
        return _make_geometry(op, size, stride, padding, dilation, groups, eps, support, bounds)


def widened(packed: QuantizedWeight) -> Any:
    """A packed weight as float32, which is how C computes with it whatever the dtype of its scales."""
    of = packed._library
    scales, biases = of.cast(packed.scales, F32), of.cast(packed.biases, F32)
    facts = (packed.group_size, packed.bits, packed.in_channels, packed.out_channels, packed.kernel_size, packed.layout)
    return dequantize_weight(QuantizedWeight(packed.weight, scales, biases, *facts))


def _product(math: Any, rows: Any, weight: Any, groups: int) -> Any:
    """Gathered rows `(N, K, C_in)` times a weight `(K, C_in / groups, C_out)`."""
    n, volume, c_in = rows.shape
    c_group, c_out = weight.shape[1], weight.shape[2]
    if groups == 1:
        return rows.reshape(n, volume * c_in) @ weight.reshape(volume * c_in, c_out)
    parts = math.permute(rows.reshape(n, volume, groups, c_group), (2, 0, 1, 3)).reshape(groups, n, volume * c_group)
    taps = math.permute(weight.reshape(volume, c_group, groups, c_out // groups), (2, 0, 1, 3))
    product = parts @ taps.reshape(groups, volume * c_group, c_out // groups)
    return math.permute(product, (1, 0, 2)).reshape(n, c_out)


def _composed(x: SparseTensor, kind: str, target: Optional[Entry], geometry: _Geometry, packed: Any) -> Any:
    entry, of, spec, groups, reach = x._entry, x._library, geometry.spec, geometry.groups, geometry.reach
    eps = None if spec.is_pointwise and kind == "submanifold" else geometry.eps
    pointwise = spec.is_pointwise and target is None and kind in ("forward", "submanifold")

    def formula(math: Any, feats: Any, weight: Any, bias: Any) -> Any:
        w = math.f32(kernel_major(math, weight if packed is None else widened(packed), spec.volume))
        if pointwise:
            y = _product(math, math.f32(feats)[:, None, :], w, groups)
        else:
            handle = create_relation(kind, entry.handle, None if target is None else target.handle, spec, reach)
            table, n_out, volume = gather_map(math, of, handle, entry.rows)
            rows = math.take(math.f32(feats), table.reshape(-1)).reshape(n_out, volume, feats.shape[1])
            y = _product(math, rows, w, groups)
            if eps is not None:
                there = math.f32(table < entry.rows)
                y = y / math.sqrt(there @ math.sum(w * w, 1) + eps)
        if bias is not None:
            y = y + math.f32(math.like(bias, feats))
        return math.like(y, feats)

    return formula


def _place(
    x: SparseTensor, kind: str, target: Optional[Entry], spec: KernelSpec, reach: Reach = None
) -> Callable[[], Place]:
    def place() -> Place:
        if target is not None and target is not x._entry:
            return target, carried(x)
        if target is not None or kind == "submanifold" or spec.is_pointwise and kind == "forward":
            return x._entry, x._batch
        # A pool's 1x1x1 kernel goes through the relation as every other: "pool" is "forward" without that exception.
        handle = create_relation("forward" if kind == "pool" else kind, x._entry.handle, None, spec, reach)
        made = lib.lat_relation_out_coords(handle)
        if made == NULL:
            return x._entry, carried(x)
        return x._manager._of_set(made), carried(x)

    return place


def carried(x: SparseTensor) -> Batch:
    """What a new support keeps of the batch metadata: the number of items."""
    return UNDECLARED if x._batch.size < 0 else Batch(None, x._batch.size)


def _with_target(opts: Any, target: Entry) -> Any:
    found = ffi.new("lat_conv3d_opts *", opts[0])
    found.coordinates = target.handle
    return found


def _convolution(
    x: SparseTensor, weight: Any, bias: Any, geometry: _Geometry, coordinates: Optional[Coordinates] = None
) -> SparseTensor:
    op, spec = geometry.op, geometry.spec
    require_tensor(op, x)
    check_float(op, "convolution", x)
    of = x._library
    packed = None
    if isinstance(weight, QuantizedWeight):
        packed, weight = weight, None
        if packed._library is not of:
            raise TypeError(f"{op}: mixed array libraries: got {packed._library.name} weight, expected {of.name}")
    relation, opts, target = geometry.kind, geometry.opts, None
    if geometry.transposed or coordinates is not None:
        stride = out_stride(op, x, spec.stride, geometry.transposed)
        if coordinates is not None:
            target = target_entry(op, x, coordinates, stride)
            opts = _with_target(opts, target)
            relation = geometry.with_target or relation
    function = geometry.function

    # `opts` points at the target's set: whatever outlives this call holds the target too.
    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = target) -> int:
        return function(context, tensors[0], _weight(views[0], packed), views[1], opts, out)  # type: ignore[no-any-return]

    common_library(op, x._feats, weight, bias)
    if of.is_direct((x._feats, weight, bias)):
        return run_directly((x,), (weight, bias), call)  # type: ignore[no-any-return]
    gradient = geometry.gradient

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any, alive: Any = target) -> List[Any]:
        names, flags, at = ["x"], 1 if needs[0] else 0, 1
        if packed is None:
            names.append("weight")
            flags |= 2 if needs[at] else 0
            at += 1
        if views[1] != NULL:
            names.append("bias")
            flags |= 4 if needs[at] else 0
        out = ffi.new("lat_conv_grads *")
        how = options("lat_conv3d_backward_opts", forward=opts, grads=flags)
        check(gradient(context, tensors[0], _weight(views[0], packed), grad, how, out))
        return grads_list(out, *names)

    shell = x_shell(x)
    composed = _composed(shell, relation, target, geometry, packed)
    return run(  # type: ignore[no-any-return]
        op, [x], [weight, bias], call, backward=backward if gradient is not None else None, composed=composed,
        place=_place(shell, relation, target, spec, geometry.reach),
    )  # fmt: skip


def x_shell(x: SparseTensor) -> SparseTensor:
    """x without its features, for closures that outlive the call."""
    return make(None, x._entry, x._manager, x._batch, x._library)


def conv3d(
    x: SparseTensor,
    weight: Any,
    bias: Any = None,
    *,
    kernel_size: IntOrTriple = 3,
    stride: IntOrTriple = 1,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    coordinates: Optional[Coordinates] = None,
    groups: int = 1,
    support: str = "floor",
    bounds: Optional[IntOrTriple] = None,
) -> SparseTensor:
    """Convolution over the forward relation of x, or onto given coordinates (semantics 4.3).

    weight: `(C_out, Kx, Ky, Kz, C_in)`, `(K, C_in, C_out)`, for a pointwise kernel `(C_out, C_in)`, of the dtype of the
    features, or a QuantizedWeight. bias: `(C_out,)`.
    coordinates: output support: a SparseTensor, a CoordinateMapKey of x's manager, or an `(M, 4)` array.
    groups: divides the channels of both sides; C_in of the weight is then x.channels / groups.
    support: "floor", or "reach": every output that meets an input, as dense convolutions have it; with `bounds` the
    extent of the input box (semantics 0.10).
    Raises ValueError for shapes, dtypes and geometry, TypeError for mixed array libraries.
    """
    geometry = _geometry("conv3d", kernel_size, stride, padding, dilation, groups, None, support, bounds)
    return _convolution(x, weight, bias, geometry, coordinates)


def subm_conv3d(
    x: SparseTensor,
    weight: Any,
    bias: Any = None,
    *,
    kernel_size: IntOrTriple = 3,
    dilation: IntOrTriple = 1,
    groups: int = 1,
) -> SparseTensor:
    """Submanifold convolution: the result has x's identity. ValueError for even kernel sizes ("odd kernel_size")."""
    return _convolution(x, weight, bias, _geometry("subm_conv3d", kernel_size, 1, 0, dilation, groups))


def conv_transpose3d(
    x: SparseTensor,
    weight: Any,
    bias: Any = None,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    coordinates: Optional[Coordinates] = None,
    groups: int = 1,
) -> SparseTensor:
    """Transposed convolution; the stride must divide x's ("must divide") (semantics 4.5).

    Weight, bias, coordinates and groups as in conv3d. ValueError for shapes, dtypes, geometry; TypeError for mixed libraries.
    """
    geometry = _geometry("conv_transpose3d", kernel_size, stride, padding, dilation, groups)
    return _convolution(x, weight, bias, geometry, coordinates)


def generative_conv_transpose3d(
    x: SparseTensor,
    weight: Any,
    bias: Any = None,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    coordinates: Optional[Coordinates] = None,
    groups: int = 1,
) -> SparseTensor:
    """Generative transposed convolution: every output of every input, never merged (semantics 4.6).

    Weight, bias, coordinates and groups as in conv3d. ValueError for shapes, dtypes, geometry; TypeError for mixed libraries.
    """
    geometry = _geometry("generative_conv_transpose3d", kernel_size, stride, 0, 1, groups)
    return _convolution(x, weight, bias, geometry, coordinates)


def normalized_subm_conv3d(
    x: SparseTensor,
    weight: Any,
    bias: Any = None,
    *,
    kernel_size: IntOrTriple = 3,
    dilation: IntOrTriple = 1,
    eps: float = 1e-8,
) -> SparseTensor:
    """subm_conv3d divided by the length of the weights that met each output element (semantics 4.7)."""
    return _convolution(x, weight, bias, _geometry("normalized_subm_conv3d", kernel_size, 1, 0, dilation, 1, eps))


def normalized_conv_transpose3d(
    x: SparseTensor,
    weight: Any,
    bias: Any = None,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    eps: float = 1e-8,
    coordinates: Optional[Coordinates] = None,
) -> SparseTensor:
    """Normalized conv_transpose3d."""
    geometry = _geometry("normalized_conv_transpose3d", kernel_size, stride, padding, dilation, 1, eps)
    return _convolution(x, weight, bias, geometry, coordinates)


def normalized_generative_conv_transpose3d(
    x: SparseTensor,
    weight: Any,
    bias: Any = None,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    eps: float = 1e-8,
    coordinates: Optional[Coordinates] = None,
) -> SparseTensor:
    """Normalized generative_conv_transpose3d."""
    geometry = _geometry("normalized_generative_conv_transpose3d", kernel_size, stride, 0, 1, 1, eps)
    return _convolution(x, weight, bias, geometry, coordinates)


def inverse_conv3d(
    x: SparseTensor,
    weight: Any,
    bias: Any = None,
    *,
    coordinates: Coordinates,
    kernel_size: IntOrTriple = 3,
    stride: IntOrTriple = 1,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
) -> SparseTensor:
    """From the output set of a forward convolution back to its input set, over the same relation.

    coordinates: the finer set; the geometry is the forward convolution's.

    Weight and bias as in conv3d. ValueError for shapes, dtypes, geometry; TypeError for mixed libraries and without coordinates.
    """
    op = "inverse_conv3d"
    require_tensor(op, x)
    spec = kernel_spec(kernel_size, stride, padding, dilation)
    if coordinates is None:
        raise TypeError(f"{op}: coordinates: got None, expected the finer set")
    finer = target_entry(op, x, coordinates, out_stride(op, x, spec.stride, True))
    opts = options(
        "lat_conv3d_opts", kernel_size=spec.size, stride=spec.stride, padding=spec.padding, dilation=spec.dilation,
        coordinates=finer.handle,
    )  # fmt: skip
    packed = weight if isinstance(weight, QuantizedWeight) else None

    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = finer) -> int:
        return lib.lat_inverse_conv3d(context, tensors[0], _weight(views[0], packed), views[1], opts, out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any, alive: Any = finer) -> List[Any]:
        out = ffi.new("lat_conv_grads *")
        flags = sum(flag for flag, need in zip((1, 2, 4), needs) if need)
        how = options("lat_conv3d_backward_opts", forward=opts, grads=flags)
        check(lib.lat_inverse_conv3d_backward(context, tensors[0], _weight(views[0], packed), grad, how, out))
        return grads_list(out, "x", "weight", "bias") if views[1] != NULL else grads_list(out, "x", "weight")

    shell, of = x_shell(x), x._library

    def composed(math: Any, feats: Any, weight: Any, bias: Any) -> Any:
        # The relation of the forward convolution, read from its inputs: a row of the finer set gathers its outputs.
        handle = create_relation("target", finer.handle, shell._entry.handle, spec)
        fine_rows, coarse_rows, kernel_ids = edge_arrays(handle, of)
        n_out, volume, n_in = finer.rows, spec.volume, shell._entry.rows
        table = math.scatter(n_out * volume, fine_rows * volume + kernel_ids, coarse_rows, n_in)
        rows = math.take(math.f32(feats), table).reshape(n_out, volume, feats.shape[1])
        w = kernel_major(math, weight if packed is None else widened(packed), volume)
        y = _product(math, rows, math.f32(w), 1)
        if bias is not None:
            y = y + math.f32(math.like(bias, feats))
        return math.like(y, feats)

    return run(  # type: ignore[no-any-return]
        op, [x], [None if packed is not None else weight, bias], call, backward=backward, composed=composed,
        place=lambda: (finer, carried(shell)),
    )  # fmt: skip
