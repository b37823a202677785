"""Pooling (semantics 5)."""
from __future__ import annotations

import functools
from typing import Any, List, Optional

from .._library import NULL, check, ffi, lib
from .._operation import run, run_directly
from ..core.relations import check_support, create_relation, kernel_opts
from ..core.sparse import SparseTensor, require_tensor
from ..core.types import IntOrTriple, KernelSpec, kernel_spec, positive_triple
from .convolution import _place, check_float, gather_map, out_stride, x_shell

MODES = {"sum": 0, "max": 1, "avg": 2}


def mode_code(op: str, mode: str) -> int:
    code = MODES.get(mode)
    if code is None:
        raise ValueError(f"{op}: mode must be 'sum', 'max' or 'avg': got {mode!r}")
    return code


def _reduce(math: Any, feats: Any, table: Any, n_in: int, mode: str) -> Any:
    """Reduces gathered rows: table is `(groups, D)` with n_in for none."""
    groups, depth = table.shape
    fill = float("-inf") if mode == "max" else 0.0
    rows = math.take(math.f32(feats), table.reshape(-1), fill).reshape(groups, depth, feats.shape[1])
    if mode == "max":
        return math.max(rows, 1)
    total = math.sum(rows, 1)
    if mode == "avg":
        count = math.sum(math.f32(table < n_in), 1, True)
        total = total * (1.0 / math.maximum(count, math.full(count.shape, 1.0, count)))
    return total


def _make_geometry(size: Any, stride: Any, padding: Any, dilation: Any, support: str, bounds: Any) -> Any:
    spec, reach = kernel_spec(size, stride, padding, dilation), check_support("pool3d", support, bounds)
    return spec, reach, kernel_opts(spec, reach)


_known_geometry = functools.lru_cache(maxsize=256, typed=True)(_make_geometry)


def _geometry(*arguments: Any) -> Any:
    """KernelSpec, support and options of C; operations ask for the same few again and again."""
    try:
        return _known_geometry(*arguments)
    except TypeError:  # lists and arrays have no hash; whatever else is wrong is said again
        return _make_geometry(*arguments)


def _one(out: Any) -> List[Any]:
    return [out[0]]


def pool3d(
    x: SparseTensor,
    *,
    mode: str = "sum",
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    support: str = "floor",
    bounds: Optional[IntOrTriple] = None,
) -> SparseTensor:
    """Local pool over the forward relation: mode "sum", "max" or "avg" (of the contributors that are there).

    An output row without contributors is 0, for max -inf. ValueError for dtypes, mode and geometry.
    """
    op = "pool3d"
    require_tensor(op, x)
    check_float(op, "pooling", x)
    code = mode_code(op, mode)
    spec, reach, opts = _geometry(kernel_size, stride, padding, dilation, support, bounds)
    of = x._library

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        return lib.lat_pool3d(context, tensors[0], code, opts, out)  # type: ignore[no-any-return]

    if of.is_direct((x._feats,)):
        return run_directly((x,), (), call)  # type: ignore[no-any-return]
    shell = x_shell(x)

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_pool3d_backward(context, tensors[0], code, opts, grad, out))
        return _one(out)

    def jvp(context: Any, tensors: Any, views: Any, tangents: Any, out: Any) -> int:
        return lib.lat_pool3d_jvp(context, tensors[0], code, opts, tangents[0], out)  # type: ignore[no-any-return]

    def composed(math: Any, feats: Any) -> Any:
        handle = create_relation("forward", shell._entry.handle, None, spec, reach)
        table, _, _ = gather_map(math, of, handle, shell._entry.rows)
        return math.like(_reduce(math, feats, table, shell._entry.rows, mode), feats)

    place = _place(shell, "pool", None, spec, reach)
    return run(op, [x], [], call, backward=backward, jvp=jvp, composed=composed, place=place)  # type: ignore[no-any-return]


def sum_pool3d(
    x: SparseTensor,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    support: str = "floor",
    bounds: Optional[IntOrTriple] = None,
) -> SparseTensor:
    """pool3d with mode "sum"."""
    return pool3d(
        x, mode="sum", kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, support=support,
        bounds=bounds,
    )  # fmt: skip


def max_pool3d(
    x: SparseTensor,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    support: str = "floor",
    bounds: Optional[IntOrTriple] = None,
) -> SparseTensor:
    """pool3d with mode "max"."""
    return pool3d(
        x, mode="max", kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, support=support,
        bounds=bounds,
    )  # fmt: skip


def avg_pool3d(
    x: SparseTensor,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    support: str = "floor",
    bounds: Optional[IntOrTriple] = None,
) -> SparseTensor:
    """pool3d with mode "avg"."""
    return pool3d(
        x, mode="avg", kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, support=support,
        bounds=bounds,
    )  # fmt: skip


def _target(op: str, x: SparseTensor, target: Optional[SparseTensor], stride: Any) -> Optional[SparseTensor]:
    """The target as a tensor of x's manager."""
    if target is None:
        return None
    require_tensor(op, target, "target")
    if target._library is not x._library:
        raise TypeError(f"{op}: mixed array libraries: got {target._library.name}, expected {x._library.name}")
    if target.stride != stride:
        raise ValueError(f"{op}: target stride {target.stride} does not match transposed output stride {stride}")
    entry = target._entry if target._manager is x._manager else x._manager._adopt(target._entry)
    from ..core.sparse import make

    return make(target._feats, entry, x._manager, target._batch, target._library)


def _target_handle(target: Optional[SparseTensor]) -> Any:
    if target is None:
        return NULL, None
    from ..core.sparse import c_tensor

    return c_tensor(target, target._library.detach(target._feats))


def pool_transpose3d(
    x: SparseTensor,
    target: Optional[SparseTensor] = None,
    *,
    kernel_size: IntOrTriple = 2,
    stride: IntOrTriple = 2,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
) -> SparseTensor:
    """Average of all coarse contributors, onto the transposed support or a target's rows (semantics 5.2).

    ValueError for dtypes, geometry and a target of another stride; TypeError for mixed libraries.
    """
    op = "pool_transpose3d"
    require_tensor(op, x)
    spec = kernel_spec(kernel_size, stride, padding, dilation)
    goal = _target(op, x, target, out_stride(op, x, spec.stride, True, "input stride"))
    handle, keep = _target_handle(goal)
    opts = kernel_opts(spec)
    shell, of = x_shell(x), x._library

    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = keep) -> int:
        return lib.lat_pool_transpose3d(context, tensors[0], handle, opts, out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any, alive: Any = keep) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_pool_transpose3d_backward(context, tensors[0], handle, opts, grad, out))
        return _one(out)

    kind, entry = ("transposed", None) if goal is None else ("target_transposed", goal._entry)

    def composed(math: Any, feats: Any) -> Any:
        relation = create_relation(kind, shell._entry.handle, None if entry is None else entry.handle, spec)
        table, _, _ = gather_map(math, of, relation, shell._entry.rows)
        return math.like(_reduce(math, feats, table, shell._entry.rows, "avg"), feats)

    place = _place(shell, kind, entry, spec)
    return run(op, [x], [], call, backward=backward, composed=composed, place=place)  # type: ignore[no-any-return]


def trilinear_upsample3d(
    x: SparseTensor, target: Optional[SparseTensor] = None, *, stride: IntOrTriple = 2
) -> SparseTensor:
    """Trilinear upsampling by `stride`, onto its own support or a target's rows (semantics 5.3)."""
    op = "trilinear_upsample3d"
    require_tensor(op, x)
    steps = positive_triple(stride, "stride")
    goal = _target(op, x, target, out_stride(op, x, steps, True, "input stride"))
    handle, keep = _target_handle(goal)
    c_stride = ffi.new("lat_triple *", steps)
    shell, of = x_shell(x), x._library
    spec = KernelSpec(tuple(2 * s - 1 for s in steps), steps, tuple(s - 1 for s in steps))

    def call(context: Any, tensors: Any, views: Any, out: Any, alive: Any = keep) -> int:
        return lib.lat_trilinear_upsample3d(context, tensors[0], handle, c_stride[0], out)  # type: ignore[no-any-return]

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any, alive: Any = keep) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_trilinear_upsample3d_backward(context, tensors[0], handle, c_stride[0], grad, out))
        return _one(out)

    kind, entry = ("transposed", None) if goal is None else ("target_transposed", goal._entry)

    def composed(math: Any, feats: Any) -> Any:
        relation = create_relation(kind, shell._entry.handle, None if entry is None else entry.handle, spec)
        n_in = shell._entry.rows
        table, n_out, volume = gather_map(math, of, relation, n_in)
        axes = [[1 - abs(j - (s - 1)) / s for j in range(2 * s - 1)] for s in steps]
        taps = [a * b * c for a in axes[0] for b in axes[1] for c in axes[2]]
        weights = math.f32(table < n_in) * math.vector(taps, feats)[None, :]
        rows = math.take(math.f32(feats), table.reshape(-1)).reshape(n_out, volume, feats.shape[1])
        total = math.sum(rows * weights[:, :, None], 1)
        length = math.sum(weights, 1, True)
        return math.like(total / math.maximum(length, math.full(length.shape, 1e-12, length)), feats)

    place = _place(shell, kind, entry, spec)
    return run(op, [x], [], call, backward=backward, composed=composed, place=place)  # type: ignore[no-any-return]


def global_pool(x: SparseTensor, *, mode: str = "sum", batch_size: Optional[int] = None) -> Any:
    """Reduces the rows of each batch item to one: a dense `(B, C)` array (semantics 5.4, 0.19).

    B is the declared number of items, else batch_size, else what the tensor carries, else the largest batch index + 1.
    """
    op = "global_pool"
    require_tensor(op, x)
    code = mode_code(op, mode)
    if batch_size is not None and batch_size < 0:
        raise ValueError(f"{op}: batch_size must be non-negative: got {batch_size}")
    wanted = -1 if batch_size is None else int(batch_size)
    shell, of = x_shell(x), x._library

    def call(context: Any, tensors: Any, views: Any, out: Any) -> int:
        return lib.lat_global_pool(context, tensors[0], code, wanted, out)  # type: ignore[no-any-return]

    def composed(math: Any, feats: Any) -> Any:
        groups = shell._rows_by_batch()
        if wanted >= 0 and shell._batch.counts is None:
            groups = (groups + [[] for _ in range(wanted)])[:wanted]
        if mode == "max" and not all(groups):
            raise ValueError("global_max_pool does not support empty batches")
        depth = max([len(rows) for rows in groups] + [1])
        n_in = shell._entry.rows
        flat = [row for rows in groups for row in rows + [n_in] * (depth - len(rows))]
        table = of.integers(flat).reshape(len(groups), depth)
        return math.like(_reduce(math, feats, table, n_in, mode), feats)

    def backward(context: Any, tensors: Any, views: Any, grad: Any, needs: Any) -> List[Any]:
        out = ffi.new("lat_array **")
        check(lib.lat_global_pool_backward(context, tensors[0], code, wanted, grad, out))
        return _one(out)

    return run(op, [x], [], call, backward=backward, composed=composed, dense=True)


def global_sum_pool(x: SparseTensor, *, batch_size: Optional[int] = None) -> Any:
    """global_pool with mode "sum"."""
    return global_pool(x, mode="sum", batch_size=batch_size)


def global_avg_pool(x: SparseTensor, *, batch_size: Optional[int] = None) -> Any:
    """global_pool with mode "avg"."""
    return global_pool(x, mode="avg", batch_size=batch_size)


def global_max_pool(x: SparseTensor, *, batch_size: Optional[int] = None) -> Any:
    """global_pool with mode "max"; ValueError for an item without rows ("empty batches")."""
    return global_pool(x, mode="max", batch_size=batch_size)
