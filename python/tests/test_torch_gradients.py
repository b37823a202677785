"""Gradients in PyTorch against the same operators in float64: 1e-5 of the largest value of each gradient."""
import numpy as np
import pytest
from conftest import random_rows

torch = pytest.importorskip("torch", reason="skipped: torch is not installed")

import float64_reference as ref  # noqa: E402

import lattice  # noqa: E402
from lattice import SparseTensor, ops  # noqa: E402

RNG = np.random.default_rng(11)
COORDS = torch.from_numpy(random_rows(RNG, 60, 5))
OTHER = torch.from_numpy(random_rows(RNG, 50, 5))
BATCH = COORDS[:, 0].long()
BASE = SparseTensor(COORDS, torch.zeros(60, 1))
COARSE = SparseTensor(COORDS, torch.zeros(60, 1), 4, coord_manager=BASE.coord_manager)
FINE = SparseTensor(torch.from_numpy(random_rows(RNG, 70, 8)), torch.zeros(70, 1), 2)


def tensor(*shape):
    return torch.from_numpy(RNG.normal(size=shape).astype(np.float32))


def rel(name, *arguments, **options):
    return getattr(ops, name)(*arguments, **options)


def on(base, feats):
    return base.replace(feats=feats)


S2 = {"kernel_size": 3, "stride": 2, "padding": 1}
POOL = {"kernel_size": 3, "stride": 2}
UP = {"kernel_size": 3, "stride": 2, "padding": 1}
POINTS = torch.from_numpy(RNG.uniform(-2, 2, (60, 3)).astype(np.float32))
VOXELS = ops.voxelize(POINTS, torch.zeros(60, 1), 0.7)
QUANT = ops.sparse_quantize(POINTS, 0.7)
MAP = ops.build_point_voxel_map(POINTS, VOXELS.coords, None, 0.7)
JOIN = ops.align_sparse(BASE, SparseTensor(OTHER, torch.zeros(50, 1)), join="outer")
ROWS = torch.from_numpy(RNG.integers(0, 60, 80).astype(np.int32))
NEAR = ops.radius_relation(BASE, radius=1.5)

CASES = {
    "conv3d": (lambda x, w, b: ops.conv3d(on(BASE, x), w, b, **S2).feats,
               lambda x, w, b: ref.conv(ops.kernel_relation(BASE, **S2), x, w, b), (60, 4), (5, 3, 3, 3, 4), (5,)),
    "conv3d_reach": (lambda x, w: ops.conv3d(on(BASE, x), w, **S2, support="reach").feats,
                     lambda x, w: ref.conv(ops.build_kernel_relation(COORDS, **S2, support="reach"), x, w), (60, 4), (5, 3, 3, 3, 4)),
    "conv3d_pointwise": (lambda x, w, b: ops.conv3d(on(BASE, x), w, b, kernel_size=1).feats,
                         lambda x, w, b: x @ w.t() + b, (60, 4), (5, 4), (5,)),
    "conv3d_groups": (lambda x, w, b: ops.conv3d(on(BASE, x), w, b, **S2, groups=2).feats,
                      lambda x, w, b: ref.conv(ops.kernel_relation(BASE, **S2), x, w, b, 2), (60, 4), (6, 3, 3, 3, 2), (6,)),
    "conv3d_target": (lambda x, w: ops.conv3d(on(BASE, x), w, coordinates=OTHER).feats,
                      lambda x, w: ref.conv(ops.build_target_kernel_relation(COORDS, OTHER), x, w), (60, 4), (5, 3, 3, 3, 4)),
    "subm_conv3d": (lambda x, w, b: ops.subm_conv3d(on(BASE, x), w, b, dilation=2).feats,
                    lambda x, w, b: ref.conv(ops.submanifold_kernel_relation(BASE, dilation=2), x, w, b), (60, 4), (5, 3, 3, 3, 4), (5,)),
    "depthwise": (lambda x, w: ops.subm_conv3d(on(BASE, x), w, groups=4).feats,
                  lambda x, w: ref.conv(ops.submanifold_kernel_relation(BASE), x, w, None, 4), (60, 4), (4, 3, 3, 3, 1)),
    "conv_transpose3d": (lambda x, w, b: ops.conv_transpose3d(on(COARSE, x), w, b, **UP).feats,
                         lambda x, w, b: ref.conv(ops.transposed_kernel_relation(COARSE, **UP), x, w, b), (60, 4), (5, 3, 3, 3, 4), (5,)),
    "generative": (lambda x, w: ops.generative_conv_transpose3d(on(COARSE, x), w).feats,
                   lambda x, w: ref.conv(ops.generative_kernel_relation(COARSE), x, w), (60, 4), (5, 2, 2, 2, 4)),
    "normalized_subm": (lambda x, w, b: ops.normalized_subm_conv3d(on(BASE, x), w, b).feats,
                        lambda x, w, b: ref.normalized(ops.submanifold_kernel_relation(BASE), x, w, b), (60, 4), (5, 3, 3, 3, 4), (5,)),
    "normalized_transpose": (lambda x, w: ops.normalized_conv_transpose3d(on(COARSE, x), w, **UP).feats,
                             lambda x, w: ref.normalized(ops.transposed_kernel_relation(COARSE, **UP), x, w), (60, 4), (5, 3, 3, 3, 4)),
    "sum_pool3d": (lambda x: ops.sum_pool3d(on(BASE, x), **POOL).feats, lambda x: ref.pool(ops.kernel_relation(BASE, **POOL), x, "sum"), (60, 3)),
    "avg_pool3d": (lambda x: ops.avg_pool3d(on(BASE, x), **POOL).feats, lambda x: ref.pool(ops.kernel_relation(BASE, **POOL), x, "avg"), (60, 3)),
    "max_pool3d": (lambda x: ops.max_pool3d(on(BASE, x), kernel_size=3, stride=1).feats,
                   lambda x: ref.pool(ops.kernel_relation(BASE), x, "max"), (60, 3)),
    "pool_transpose3d": (lambda x: ops.pool_transpose3d(on(COARSE, x), **UP).feats,
                         lambda x: ref.pool(ops.transposed_kernel_relation(COARSE, **UP), x, "avg"), (60, 3)),
    "trilinear": (lambda x: ops.trilinear_upsample3d(on(COARSE, x)).feats,
                  lambda x: ref.trilinear(ops.transposed_kernel_relation(COARSE, kernel_size=3, stride=2, padding=1), x, (2, 2, 2)), (60, 3)),
    "global_sum_pool": (lambda x: ops.global_sum_pool(on(BASE, x)), lambda x: ref.reduce_edges(x, torch.arange(60), BATCH, 2, "sum"), (60, 3)),
    "global_avg_pool": (lambda x: ops.global_avg_pool(on(BASE, x)), lambda x: ref.reduce_edges(x, torch.arange(60), BATCH, 2, "avg"), (60, 3)),
    "global_max_pool": (lambda x: ops.global_max_pool(on(BASE, x)), lambda x: ref.reduce_edges(x, torch.arange(60), BATCH, 2, "max"), (60, 3)),
    "linear": (lambda x, w, b: ops.linear(on(BASE, x), w, b).feats, lambda x, w, b: x @ w.t() + b, (60, 4), (5, 4), (5,)),
    "linear_features": (lambda x, w: ops.linear_features(x, w), lambda x, w: x @ w.t(), (60, 4), (5, 4)),
    "relu": (lambda x: ops.relu(on(BASE, x)).feats, torch.relu, (60, 4)),
    "sigmoid": (lambda x: ops.sigmoid(on(BASE, x)).feats, torch.sigmoid, (60, 4)),
    "silu": (lambda x: ops.silu(on(BASE, x)).feats, torch.nn.functional.silu, (60, 4)),
    "tanh": (lambda x: ops.tanh(on(BASE, x)).feats, torch.tanh, (60, 4)),
    "leaky_relu": (lambda x: ops.leaky_relu(on(BASE, x), negative_slope=0.25).feats, lambda x: torch.nn.functional.leaky_relu(x, 0.25), (60, 4)),
    "leaky_relu_0": (lambda x: ops.leaky_relu(on(BASE, x), negative_slope=0.0).feats, torch.relu, (60, 4)),
    "gelu": (lambda x: ops.gelu(on(BASE, x)).feats, torch.nn.functional.gelu, (60, 4)),
    "gelu_tanh": (lambda x: ops.gelu(on(BASE, x), approximate="tanh").feats, lambda x: torch.nn.functional.gelu(x, approximate="tanh"), (60, 4)),
    "gelu_fast": (lambda x: ops.gelu(on(BASE, x), approximate="fast").feats, lambda x: x * torch.sigmoid(1.702 * x), (60, 4)),
    "softplus": (lambda x: ops.softplus(on(BASE, x), beta=2.0).feats, lambda x: torch.nn.functional.softplus(x, 2.0), (60, 4)),
    "activation": (lambda x: ops.activation(x, kind="silu"), torch.nn.functional.silu, (60, 4)),
    "batch_norm": (lambda x, w, b: ops.batch_norm(on(BASE, x), weight=w, bias=b).feats, ref.batch_norm, (60, 4), (4,), (4,)),
    "layer_norm": (lambda x, w, b: ops.layer_norm(on(BASE, x), weight=w, bias=b).feats, ref.layer_norm, (60, 4), (4,), (4,)),
    "rms_norm": (lambda x, w: ops.rms_norm(on(BASE, x), weight=w).feats, ref.rms_norm, (60, 4), (4,)),
    "instance_norm": (lambda x, w, b: ops.instance_norm(on(BASE, x), weight=w, bias=b).feats,
                      lambda x, w, b: ref.items(x, BATCH, 4, w, b), (60, 4), (4,), (4,)),
    "group_norm": (lambda x, w, b: ops.group_norm(on(BASE, x), 2, weight=w, bias=b).feats,
                   lambda x, w, b: ref.items(x, BATCH, 2, w, b), (60, 4), (4,), (4,)),
    "sparse_add": (lambda a, b: ops.sparse_add(on(BASE, a), SparseTensor(OTHER, b)).feats,
                   lambda a, b: ref.take(a, JOIN.lhs_rows) + ref.take(b, JOIN.rhs_rows), (60, 3), (50, 3)),
    "sparse_mul": (lambda a, b: ops.sparse_mul(on(BASE, a), SparseTensor(OTHER, b), join="outer").feats,
                   lambda a, b: ref.take(a, JOIN.lhs_rows) * ref.take(b, JOIN.rhs_rows), (60, 3), (50, 3)),
    "sparse_maximum": (lambda a, b: ops.sparse_maximum(on(BASE, a), on(BASE, b)).feats, torch.maximum, (60, 3), (60, 3)),
    "sparse_cat": (lambda a, b: ops.cat([on(BASE, a), SparseTensor(OTHER, b)], join="outer").feats,
                   lambda a, b: torch.cat([ref.take(a, JOIN.lhs_rows), ref.take(b, JOIN.rhs_rows)], 1), (60, 3), (50, 2)),
    "reindex_sparse": (lambda a: ops.reindex_sparse(on(BASE, a), SparseTensor(OTHER, torch.zeros(50, 1))).feats,
                       lambda a: ref.take(a, ops.lookup_coords(COORDS, OTHER)), (60, 3)),
    "gather_aligned": (lambda a: ops.gather_aligned_features(a, JOIN.lhs_rows, fill=2.0), lambda a: ref.take(a, JOIN.lhs_rows, 2.0), (60, 3)),
    "gather_neighbors": (lambda a: ops.gather_neighbor_features(on(BASE, a), NEAR), lambda a: ref.take(a, NEAR.source_rows), (60, 3)),
    "prune": (lambda a: ops.prune(on(BASE, a), ROWS).feats, lambda a: ref.take(a, ROWS), (60, 3)),
    "prune_mask": (lambda a: ops.prune_mask(on(BASE, a), BATCH == 1).feats, lambda a: a[BATCH == 1], (60, 3)),
    "crop": (lambda a: ops.crop(on(BASE, a), min_coord=(-1, -9, -9), max_coord=(1, 9, 9)).feats,
             lambda a: a[(COORDS[:, 1] >= -1) & (COORDS[:, 1] <= 1)], (60, 3)),
    "duplicates": (lambda a: ops.sparse_from_coordinates(COORDS // 2, a, duplicate_reduction="mean").feats,
                   lambda a: ref.reduce_edges(a, torch.arange(60), ops.lookup_coords(ops.union_coords(COORDS // 2, COORDS // 2).coords, COORDS // 2).long(),
                                              len(ops.union_coords(COORDS // 2, COORDS // 2).coords), "avg"), (60, 3)),
    "voxelize": (lambda f: ops.voxelize(POINTS, f, 0.7).feats,
                 lambda f: ref.reduce_edges(f, torch.arange(60), QUANT.inverse_rows.long(), QUANT.capacity, "avg"), (60, 3)),
    "voxelize_max": (lambda f: ops.voxelize(POINTS, f, 0.7, reduction="max").feats,
                     lambda f: ref.reduce_edges(f, torch.arange(60), QUANT.inverse_rows.long(), QUANT.capacity, "max"), (60, 3)),
    "interpolate": (lambda f: ops.devoxelize(POINTS, on(VOXELS, f), 0.7),
                    lambda f: sum(ref.take(f, MAP.rows[:, j]) * MAP.weights[:, j : j + 1].double() for j in range(8)), (VOXELS.capacity, 3)),
    "to_dense": (lambda f: ops.to_dense(on(BASE, f), min_coord=-3, shape=6),
                 lambda f: torch.zeros(2, 6, 6, 6, 3, dtype=f.dtype).index_put(
                     (BATCH, *(COORDS[:, a].long() + 3 for a in (1, 2, 3))), f), (60, 3)),
    "from_dense": (lambda d: ops.from_dense(d).feats, lambda d: d.reshape(-1, 2), (1, 2, 3, 2, 2)),
    "inverse_conv3d": (lambda x, w: ops.inverse_conv3d(ops.sum_pool3d(on(BASE, x), kernel_size=1), w, kernel_size=2, stride=2, coordinates=BASE).feats,
                       None, (60, 4), (5, 2, 2, 2, 4)),
}  # fmt: skip


def inverse(x, w):
    down = ops.kernel_relation(BASE, kernel_size=1, stride=2)
    pooled = ref.pool(down, x, "sum")
    i, o, k = ref.edges(ops.kernel_relation(BASE, kernel_size=2, stride=2))
    major = ref.kernel_major(w)
    return torch.zeros(60, 5, dtype=x.dtype).index_add(0, i, torch.einsum("ec,ecd->ed", pooled[o], major[k]))


@pytest.mark.parametrize("name", list(CASES))
def test_gradient(name):
    ours, theirs, *shapes = CASES[name]
    theirs = theirs or inverse
    inputs = [tensor(*shape) for shape in shapes]
    ones = [a.clone().requires_grad_() for a in inputs]
    twos = [a.double().requires_grad_() for a in inputs]
    y, want = ours(*ones), theirs(*twos)
    assert y.shape == want.shape and y.requires_grad
    finite = torch.isfinite(want)
    assert torch.equal(finite, torch.isfinite(y))
    torch.testing.assert_close(y[finite].double(), want[finite], rtol=1e-5, atol=1e-5)
    direction = torch.where(finite, tensor(*y.shape), torch.zeros(()))
    y.backward(direction)
    torch.where(finite, want, torch.zeros((), dtype=want.dtype)).backward(direction.double())
    for one, two in zip(ones, twos):
        worst = (one.grad.double() - two.grad).abs().max()
        assert worst <= 1e-5 * max(two.grad.abs().max(), 1e-6), f"{worst} of {two.grad.abs().max()}"


def network(x, w, v):
    h = ops.relu(ops.subm_conv3d(on(BASE, x), w))
    return ops.linear(ops.layer_norm(h), v).feats


def network_inputs():
    return [tensor(60, 4).requires_grad_(), tensor(6, 3, 3, 3, 4).requires_grad_(), tensor(3, 6).requires_grad_()]


def test_no_grad_and_inference_mode():
    x, w, v = network_inputs()
    with torch.no_grad():
        assert not network(x, w, v).requires_grad
    with torch.inference_mode():
        assert not network(x, w, v).requires_grad
    assert network(x, w, v).requires_grad


def test_checkpointing():
    from torch.utils.checkpoint import checkpoint

    x, w, v = network_inputs()
    network(x, w, v).sum().backward()
    plain = [a.grad.clone() for a in (x, w, v)]
    for a in (x, w, v):
        a.grad = None
    checkpoint(network, x, w, v, use_reentrant=False).sum().backward()
    for a, b in zip((x, w, v), plain):
        torch.testing.assert_close(a.grad, b, rtol=0, atol=0)


def test_only_what_is_asked_for():
    x, w, v = network_inputs()
    w.requires_grad_(False)
    network(x, w, v).sum().backward()
    assert w.grad is None and x.grad is not None and v.grad is not None


def test_second_derivative_is_refused():
    x, w, v = network_inputs()
    (grad,) = torch.autograd.grad(network(x, w, v).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        grad.sum().backward()


def test_expanded_gradients_and_half_precision():
    x = tensor(60, 4).requires_grad_()
    w = tensor(5, 3, 3, 3, 4)
    ops.subm_conv3d(on(BASE, x), w).feats.sum().backward()  # a gradient of strides 0
    full = x.grad.clone()
    for dtype in (torch.float16, torch.bfloat16):
        x.grad = None
        h = ops.subm_conv3d(on(BASE, x.to(dtype)), w.to(dtype))
        assert h.dtype == dtype
        h.feats.float().sum().backward()
        assert (x.grad - full).abs().max() < 0.05 * full.abs().max()


def test_packed_weights_have_a_gradient_of_x():
    x = tensor(60, 32).requires_grad_()
    packed = lattice.quantize_weight(tensor(5, 3, 3, 3, 32), bits=8, group_size=32)
    ops.subm_conv3d(on(BASE, x), packed).feats.sum().backward()
    got = x.grad.clone()
    x.grad = None
    ops.subm_conv3d(on(BASE, x), lattice.dequantize_weight(packed)).feats.sum().backward()
    torch.testing.assert_close(got, x.grad, rtol=1e-4, atol=1e-4)


def test_dropout_uses_one_mask_both_ways():
    x = tensor(60, 4).abs().add(1).requires_grad_()
    y = ops.dropout(on(BASE, x), p=0.5)
    y.feats.sum().backward()
    torch.testing.assert_close(x.grad, (y.feats != 0).float() * 2)
