"""Operations on features alone (semantics 6): linear, activations, norms, dropout."""
from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from typing import Any, Callable, List, Optional

from .._arrays import I32, common_library, library_of, make_view
from .._library import NULL, check, context, ffi, lib, options
from .._operation import grads_list, run, run_directly
from ..core.manager import CoordinateManager, Entry, own_set
from ..core.quantized import QuantizedWeight
from ..core.sparse import UNDECLARED, SparseTensor, make, require_tensor
from .convolution import _weight, widened

# Coordinate sets of dense arrays: operations on features never look at the rows.
_dense_sets: "OrderedDict[int, Entry]" = OrderedDict()
_dense_manager = CoordinateManager()


def _dense(op: str, feats: Any) -> SparseTensor:
    """A dense `(N, C)` array as a tensor whose coordinates do not matter."""
    of = library_of(feats, op)
    shape = of.shape(feats)
    if len(shape) != 2:
        raise ValueError(f"{op} expects a rank-2 array: got {shape}")
    rows = shape[0]
    entry = _dense_sets.get(rows)
    if entry is None:
        zeros, out = ffi.new("int32_t[4]"), ffi.new("lat_coords **")
        view = make_view(zeros, I32, (rows, 4), (0, 1))
        check(lib.lat_coords_create(context(), view, NULL, out))
        entry = _dense_sets[rows] = Entry(own_set(out[0]))
        while len(_dense_sets) > 16:
            try:
                _dense_sets.popitem(last=False)
            except KeyError:
                break
    return make(feats, entry, _dense_manager, UNDECLARED, of)


# --- linear -----------------------------------------------------------------------------------------------------------


def linear(x: SparseTensor, weight: Any, bias: Any = None) -> SparseTensor:
    """`x @ W.T (+ bias)`: weight `(C_out, C_in)` or a pointwise QuantizedWeight, bias `(C_out,)`."""
    op = "linear"
    require_tensor(op, x)
    packed = weight if isinstance(weight, QuantizedWeight) else None

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        return lib.lat_linear(context, tensors[0], _weight(views[0], packed), views[1], out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        names = ["x"] + (["weight"] if packed is None else []) + (["bias"] if views[1] != NULL else [])
        flags = sum({"x": 1, "weight": 2, "bias": 4}[name] for name, need in zip(names, needs) if need)
        out = ffi.new("lat_conv_grads *")
        check(lib.lat_linear_backward(context, tensors[0], _weight(views[0], packed), grad, flags, out))
        return grads_list(out, *names)

    def composed(math: Any, feats: Any, w: Any, b: Any) -> Any:
        # A packed weight computes in float32 and gives the dtype of the features.
        wide = math.f32(w) if packed is None else math.f32(widened(packed)).reshape(packed.out_channels, packed.in_channels)
        y = math.f32(feats) @ math.permute(wide, (1, 0))
        y = y if b is None else y + math.f32(b)
        return math.promoted(y, feats, w, b) if packed is None else math.like(y, feats)

    return run(  # type: ignore[no-any-return]
        op, [x], [None if packed is not None else weight, bias], call, backward=backward,
        composed=composed,
    )  # fmt: skip


def linear_features(x: Any, weight: Any, bias: Any = None) -> Any:
    """linear of a dense `(N, C)` array."""
    return linear(_dense("linear_features", x), weight, bias)._feats


# --- activations ------------------------------------------------------------------------------------------------------

_KINDS = {"relu": 0, "sigmoid": 1, "silu": 2, "tanh": 3, "leaky_relu": 4, "gelu": 5, "softplus": 8, "exp": 9}
_GELUS = {"none": 5, "precise": 5, "tanh": 6, "fast": 7}
_GELU_FORMS = {5: 0, 6: 1, 7: 2}  # as lat_gelu counts them


def _gelu_code(approximate: str) -> int:
    code = _GELUS.get(approximate)
    if code is None:
        raise ValueError(f"gelu: approximate must be 'none', 'precise', 'tanh' or 'fast': got {approximate!r}")
    return code


def _formula(code: int, alpha: float, beta: float, threshold: float) -> Callable[[Any, Any], Any]:
    def composed(math: Any, feats: Any) -> Any:
        x = math.f32(feats)
        if code == 0:
            y = math.maximum(x, x * 0)
        elif code == 1:
            y = math.sigmoid(x)
        elif code == 2:
            y = x * math.sigmoid(x)
        elif code == 3:
            y = math.tanh(x)
        elif code == 4:
            y = math.where(x >= 0, x, x * alpha)
        elif code == 5:
            y = 0.5 * x * (1 + math.erf(x * 0.7071067811865476))
        elif code == 6:
            y = 0.5 * x * (1 + math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))
        elif code == 7:
            y = x * math.sigmoid(1.702 * x)
        elif code == 8:
            s = x * beta
            high = s > threshold
            y = math.where(high, x, math.log1p(math.exp(math.where(high, s * 0, s))) / beta)
        else:
            y = math.exp(x)
        return math.like(y, feats)

    return composed


@functools.lru_cache(maxsize=64)
def _activation_opts(alpha: float, beta: float, threshold: float) -> Any:
    return options("lat_activation_opts", alpha=alpha, beta=beta, threshold=threshold)


def _activate(
    op: str, x: SparseTensor, code: int, alpha: float = 0.0, beta: float = 1.0, threshold: float = 20.0
) -> SparseTensor:
    require_tensor(op, x)
    # A slope of exactly 0 means "default" in the options of C, so it goes through its own function.
    if code == 4 and alpha == 0.0:
        opts = None
    else:
        opts = _activation_opts(float(alpha), float(beta), float(threshold))

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        if code == 0:
            return lib.lat_relu(context, tensors[0], out)  # type: ignore[no-any-return]
        if code in _GELU_FORMS:
            return lib.lat_gelu(context, tensors[0], _GELU_FORMS[code], out)  # type: ignore[no-any-return]
        if opts is None:
            return lib.lat_leaky_relu(context, tensors[0], 0.0, out)  # type: ignore[no-any-return]
        return lib.lat_activation(context, tensors[0], code, opts, out)  # type: ignore[no-any-return]

    if x._library.is_direct((x._feats,)):
        return run_directly((x,), (), call)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_activation_backward(context, tensors[0], code, grad, opts, out))
        return [out[0]]

    composed = _formula(code, alpha, beta, threshold)
    return run(op, [x], [], call, backward=None if opts is None else backward, composed=composed)  # type: ignore[no-any-return]


def activation(
    x: Any,
    *,
    kind: str,
    approximate: str = "none",
    alpha: float = 0.01,
    beta: float = 1.0,
    threshold: float = 20.0,
) -> Any:
    """Any activation of a dense `(N, C)` array by its name. ValueError for an unknown kind (lists the kinds)."""
    code = _KINDS.get(kind)
    if code is None or kind == "exp":
        kinds = ", ".join(name for name in _KINDS if name != "exp")
        raise ValueError(f"activation: unknown kind: got {kind!r}, expected one of {kinds}")
    if kind == "gelu":
        code = _gelu_code(approximate)
    if kind == "softplus" and not beta > 0:
        raise ValueError(f"activation: beta must be positive: got {beta}")
    return _activate("activation", _dense("activation", x), code, alpha, beta, threshold)._feats


def relu(x: SparseTensor) -> SparseTensor:
    """`max(x, 0)`."""
    return _activate("relu", x, 0)


def sigmoid(x: SparseTensor) -> SparseTensor:
    """`1 / (1 + exp(-x))`."""
    return _activate("sigmoid", x, 1)


def silu(x: SparseTensor) -> SparseTensor:
    """`x * sigmoid(x)`."""
    return _activate("silu", x, 2)


def tanh(x: SparseTensor) -> SparseTensor:
    """Hyperbolic tangent `(exp(2x) - 1) / (exp(2x) + 1)`."""
    return _activate("tanh", x, 3)


def leaky_relu(x: SparseTensor, *, negative_slope: float = 0.01) -> SparseTensor:
    """`x >= 0 ? x : x * negative_slope`."""
    return _activate("leaky_relu", x, 4, float(negative_slope))


def gelu(x: SparseTensor, *, approximate: str = "none") -> SparseTensor:
    """Gaussian error linear unit: approximate "none" or "precise" (erf), "tanh", "fast" (`x * sigmoid(1.702 x)`)."""
    return _activate("gelu", x, _gelu_code(approximate))


def softplus(x: SparseTensor, *, beta: float = 1.0, threshold: float = 20.0) -> SparseTensor:
    """`log(1 + exp(beta x)) / beta`, x itself where `beta x > threshold`. ValueError ("beta must be positive")."""
    if not beta > 0:
        raise ValueError(f"softplus: beta must be positive: got {beta}")
    return _activate("softplus", x, 8, 0.0, beta, threshold)


_streams = itertools.count()


def dropout(x: SparseTensor, *, p: float = 0.5, training: bool = True) -> SparseTensor:
    """Drops elements with probability p and divides the others by 1 - p; identity when not training or p is 0.

    Masks come from the seed of `lattice.set_options` and a number that rises with each call. ValueError ("p must").
    """
    op = "dropout"
    require_tensor(op, x)
    if not 0 <= p < 1:
        raise ValueError(f"{op}: p must be in [0, 1): got {p}")
    if not training or p == 0:
        return x
    opts = options("lat_dropout_opts", p=float(p), stream=next(_streams), training=1)

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        return lib.lat_dropout(context, tensors[0], opts, out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_dropout_backward(context, tensors[0], grad, opts, out))
        return [out[0]]

    def jvp(context: Any, tensors: Any, views: Any, tangents: Any, out: Any) -> int:
        # The mask is the same both ways, and the map is its own transpose.
        return lib.lat_dropout_backward(context, tensors[0], tangents[0], opts, out)  # type: ignore[no-any-return]

    def composed(math: Any, feats: Any) -> Any:
        if x._library.name != "mlx":
            raise RuntimeError("dropout: only MLX arrays are traced")
        kept = math.np.random.bernoulli(1 - p, feats.shape)
        return math.like(math.where(kept, math.f32(feats) / (1 - p), 0.0), feats)

    return run(op, [x], [], call, backward=backward, jvp=jvp, composed=composed)  # type: ignore[no-any-return]


# --- norms ------------------------------------------------------------------------------------------------------------


def _norm_opts(views: List[Any], eps: float, mean: Any = NULL, var: Any = NULL) -> Any:
    return options("lat_norm_opts", weight=views[0], bias=views[1], mean=mean, var=var, eps=float(eps))


def _check_eps(op: str, eps: float) -> None:
    if not eps > 0:
        raise ValueError(f"{op}: eps must be positive: got {eps}")


def _norm(
    op: str,
    function: Any,
    gradient: Any,
    x: SparseTensor,
    weight: Any,
    bias: Any,
    eps: float,
    mean: Any = None,
    var: Any = None,
    groups: Optional[int] = None,
) -> SparseTensor:
    require_tensor(op, x)
    _check_eps(op, eps)
    of = x._library
    middle = () if groups is None else (int(groups),)
    if mean is not None or var is not None:
        common_library(op, x._feats, mean, var)
    if of.is_direct((x._feats, weight, bias)):
        common_library(op, x._feats, weight, bias)

        def direct(context: Any, tensors: Any, views: Any, out: Any) -> int:
            return function(context, tensors[0], *middle, _norm_opts(views, eps, views[2], views[3]), out)  # type: ignore[no-any-return]

        return run_directly((x,), (weight, bias, mean, var), direct)  # type: ignore[no-any-return]
    statistics = [None if array is None else of.detach(array) for array in (mean, var)]
    kept = [(NULL, None) if array is None else of.view(array) for array in statistics]

    def opts(views: List[Any]) -> Any:
        return _norm_opts(views, eps, kept[0][0], kept[1][0])

    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = kept) -> int:
        return function(context, tensors[0], *middle, opts(views), out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any, alive: Any = kept) -> List[Any]:
        names = ["x"] + [name for name, view in zip(("weight", "bias"), views) if view != NULL]
        flags = sum({"x": 1, "weight": 2, "bias": 4}[name] for name, need in zip(names, needs) if need)
        out = ffi.new("lat_norm_grads *")
        if middle:
            check(gradient(context, tensors[0], grad, *middle, opts(views), flags, out))
        else:
            check(gradient(context, tensors[0], grad, opts(views), flags, out))
        return grads_list(out, *names)

    def composed(math: Any, feats: Any, w: Any, b: Any) -> Any:
        a = math.f32(feats)
        if op in ("instance_norm", "group_norm"):
            y = _by_item(math, a, shell, groups)
            return math.promoted(_scaled(math, y, w, b, eps), feats, w, b)
        if op == "batch_norm":
            rows = max(feats.shape[0], 1)
            mu = math.sum(a, 0) / rows if statistics[0] is None else math.f32(statistics[0])
            v = math.sum((a - mu) * (a - mu), 0) / rows if statistics[1] is None else math.f32(statistics[1])
        elif op == "layer_norm":
            channels = feats.shape[1]
            mu = math.sum(a, 1, True) / channels
            v = math.sum((a - mu) * (a - mu), 1, True) / channels
        else:
            mu, v = 0.0, math.sum(a * a, 1, True) / feats.shape[1]
        y = (a - mu) / math.sqrt(v + eps)
        y = y if w is None else y * math.f32(w)
        return math.promoted(y if b is None else y + math.f32(b), feats, w, b, *statistics)

    shell = make(None, x._entry, x._manager, x._batch, of)
    return run(op, [x], [weight, bias], call, backward=backward, composed=composed)  # type: ignore[no-any-return]


def _by_item(math: Any, a: Any, x: SparseTensor, groups: Optional[int]) -> Any:
    """The rows less the mean of their batch item and run of channels, and that run's variance: two arrays `(N, G, C / G)`."""
    n, channels = a.shape
    runs = channels if groups is None else groups
    members = x._rows_by_batch()
    depth = max([len(rows) for rows in members] + [1])
    item = [0] * n
    for number, rows in enumerate(members):
        for row in rows:
            item[row] = number
    table = x._library.integers([row for rows in members for row in rows + [n] * (depth - len(rows))])
    rows = math.take(a, table).reshape(len(members), depth, runs, channels // runs)
    there = math.f32(table < n).reshape(len(members), depth, 1, 1)
    count = math.maximum(math.sum(there, 1, True), math.full((1, 1, 1, 1), 1.0, a)) * (channels // runs)
    mean = math.sum(math.sum(rows, 1, True), 3, True) / count
    off = (rows - mean) * there
    variance = math.sum(math.sum(off * off, 1, True), 3, True) / count
    places = math.indices(x._library.integers(item))
    own_mean, own_variance = mean.reshape(len(members), runs, 1)[places], variance.reshape(len(members), runs, 1)[places]
    return a.reshape(n, runs, channels // runs) - own_mean, own_variance


def _scaled(math: Any, parts: Any, weight: Any, bias: Any, eps: float) -> Any:
    off, variance = parts
    y = (off / math.sqrt(variance + eps)).reshape(off.shape[0], off.shape[1] * off.shape[2])
    y = y if weight is None else y * math.f32(weight)
    return y if bias is None else y + math.f32(bias)


def batch_norm(
    x: SparseTensor, *, weight: Any = None, bias: Any = None, mean: Any = None, var: Any = None, eps: float = 1e-5
) -> SparseTensor:
    """Per channel `(x - mean) / sqrt(var + eps) * weight + bias`; missing statistics come from all rows (population)."""
    return _norm("batch_norm", lib.lat_batch_norm, lib.lat_batch_norm_backward, x, weight, bias, eps, mean, var)


def layer_norm(x: SparseTensor, *, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> SparseTensor:
    """Per row, with the row's mean and population variance.

    weight, bias: `(C,)` or None; computed in float32. ValueError for shapes and an eps that is not positive.
    """
    return _norm("layer_norm", lib.lat_layer_norm, lib.lat_layer_norm_backward, x, weight, bias, eps)


def rms_norm(x: SparseTensor, *, weight: Any = None, eps: float = 1e-5) -> SparseTensor:
    """Per row `x / sqrt(mean(x^2) + eps) * weight`."""
    return _norm("rms_norm", lib.lat_rms_norm, lib.lat_rms_norm_backward, x, weight, None, eps)


def instance_norm(x: SparseTensor, *, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> SparseTensor:
    """Per batch item and channel.

    weight, bias: `(C,)` or None; computed in float32. ValueError for shapes and an eps that is not positive.
    """
    return _norm("instance_norm", lib.lat_instance_norm, lib.lat_instance_norm_backward, x, weight, bias, eps)


def group_norm(
    x: SparseTensor, groups: int, *, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> SparseTensor:
    """Per batch item and each of `groups` equal runs of channels."""
    return _norm("group_norm", lib.lat_group_norm, _group_backward, x, weight, bias, eps, groups=groups)


def _group_backward(context: Any, x: Any, grad: Any, groups: int, opts: Any, flags: int, out: Any) -> int:
    return lib.lat_group_norm_backward(context, x, groups, grad, opts, flags, out)  # type: ignore[no-any-return]


def batch_norm_features(x: Any, scale: Any, bias: Any, mean: Any, var: Any, *, eps: float = 1e-5) -> Any:
    """batch_norm of a dense `(N, C)` array with all four vectors given."""
    return batch_norm(_dense("batch_norm_features", x), weight=scale, bias=bias, mean=mean, var=var, eps=eps)._feats


def layer_norm_features(x: Any, scale: Any, bias: Any, *, eps: float = 1e-5) -> Any:
    """layer_norm of a dense `(N, C)` array."""
    return layer_norm(_dense("layer_norm_features", x), weight=scale, bias=bias, eps=eps)._feats


def rms_norm_features(x: Any, scale: Any, *, eps: float = 1e-5) -> Any:
    """rms_norm of a dense `(N, C)` array."""
    return rms_norm(_dense("rms_norm_features", x), weight=scale, eps=eps)._feats


def replace_feature(x: SparseTensor, feats: Any) -> SparseTensor:
    """`x.replace(feats=feats)`."""
    return require_tensor("replace_feature", x).replace(feats=feats)


def update_running(x: SparseTensor, mean: Any, var: Any, momentum: float) -> Any:
    """New running mean and variance of batch norm: `(1 - momentum) * old + momentum * batch`, float32."""
    from ..core.sparse import c_tensor

    of = x._library
    feats = of.detach(x._feats)
    if of.name == "mlx" and of.is_traced(feats):  # type: ignore[attr-defined]
        from .._math import math_of

        math = math_of(of)
        a, rows = math.f32(feats), max(x.capacity, 1)
        batch_mean = math.sum(a, 0) / rows
        batch_var = math.sum((a - batch_mean) * (a - batch_mean), 0) / rows
        keep = 1 - momentum
        return keep * mean + momentum * batch_mean, keep * var + momentum * batch_var
    tensor, kept = c_tensor(x, feats)
    mean_view, mean_kept = of.view(of.detach(mean))
    var_view, var_kept = of.view(of.detach(var))
    out = ffi.new("lat_running_stats *")
    check(lib.lat_batch_norm_update_running(context(), tensor, mean_view, var_view, float(momentum), out))
    del kept, mean_kept, var_kept
    return of.take(out.mean), of.take(out.var)
