"""MLX's transformations: gradients with values, and the composed operations that mx.compile sees."""
import inspect
import re

import numpy as np
import pytest
from conftest import random_rows

mx = pytest.importorskip("mlx.core", reason="skipped: mlx is not installed")

from lattice import SparseTensor, _autodiff_mlx, ops, quantize_weight  # noqa: E402

RNG = np.random.default_rng(5)
COORDS = mx.array(random_rows(RNG, 40, 4))
OTHER = mx.array(random_rows(RNG, 30, 4))
BASE = SparseTensor(COORDS, mx.zeros((40, 1)))
COARSE = SparseTensor(COORDS, mx.zeros((40, 1)), 4, coord_manager=BASE.coord_manager)
SIDE = SparseTensor(OTHER, mx.zeros((30, 1)))
POINTS = mx.array(RNG.uniform(-2, 2, (40, 3)).astype(np.float32))
VOXELS = ops.voxelize(POINTS, mx.zeros((40, 1)), 0.7)
ROWS = mx.array(RNG.integers(0, 40, 50).astype(np.int32))
NEAR = ops.radius_relation(BASE, radius=1.5)
UP = {"kernel_size": 3, "stride": 2, "padding": 1}
HALF = ops.conv3d(BASE, mx.zeros((1, 3, 3, 3, 1)), stride=2)
TWICE = mx.concatenate([COORDS, COORDS[:20]])
MASK = mx.array(RNG.integers(0, 2, (2, 3, 4, 2)).astype(np.uint8))


def packed(bits, *shape):
    """A packed weight with float16 scales, which C widens."""
    return quantize_weight(mx.array(RNG.normal(size=shape).astype(np.float16)), bits=bits, group_size=32)


PACKED, PACKED_8, PACKED_LINEAR = packed(4, 5, 3, 3, 3, 32), packed(8, 5, 3, 3, 3, 32), packed(4, 5, 32)


def array(*shape):
    return mx.array(RNG.normal(size=shape).astype(np.float32))


CASES = {
    "conv3d": (lambda x, w, b: ops.conv3d(BASE.replace(feats=x), w, b, stride=2).feats, (40, 4), (5, 3, 3, 3, 4), (5,)),
    "conv3d_pointwise": (lambda x, w: ops.conv3d(BASE.replace(feats=x), w, kernel_size=1).feats, (40, 4), (5, 4)),
    "conv3d_reach": (lambda x, w: ops.conv3d(BASE.replace(feats=x), w, stride=2, support="reach").feats, (40, 4), (5, 3, 3, 3, 4)),
    "conv3d_target": (lambda x, w: ops.conv3d(BASE.replace(feats=x), w, coordinates=OTHER).feats, (40, 4), (5, 3, 3, 3, 4)),
    "subm_conv3d": (lambda x, w, b: ops.subm_conv3d(BASE.replace(feats=x), w, b).feats, (40, 4), (5, 3, 3, 3, 4), (5,)),
    "conv_transpose3d": (lambda x, w: ops.conv_transpose3d(COARSE.replace(feats=x), w, **UP).feats, (40, 4), (5, 3, 3, 3, 4)),
    "generative": (lambda x, w: ops.generative_conv_transpose3d(COARSE.replace(feats=x), w).feats, (40, 4), (5, 2, 2, 2, 4)),
    "normalized": (lambda x, w, b: ops.normalized_subm_conv3d(BASE.replace(feats=x), w, b).feats, (40, 4), (5, 3, 3, 3, 4), (5,)),
    "sum_pool3d": (lambda x: ops.sum_pool3d(BASE.replace(feats=x)).feats, (40, 3)),
    "avg_pool3d": (lambda x: ops.avg_pool3d(BASE.replace(feats=x)).feats, (40, 3)),
    "max_pool3d": (lambda x: ops.max_pool3d(BASE.replace(feats=x), kernel_size=3, stride=1).feats, (40, 3)),
    "pool_transpose3d": (lambda x: ops.pool_transpose3d(COARSE.replace(feats=x), **UP).feats, (40, 3)),
    "trilinear": (lambda x: ops.trilinear_upsample3d(COARSE.replace(feats=x)).feats, (40, 3)),
    "global_sum_pool": (lambda x: ops.global_sum_pool(BASE.replace(feats=x)), (40, 3)),
    "global_avg_pool": (lambda x: ops.global_avg_pool(BASE.replace(feats=x)), (40, 3)),
    "global_max_pool": (lambda x: ops.global_max_pool(BASE.replace(feats=x)), (40, 3)),
    "linear": (lambda x, w, b: ops.linear(BASE.replace(feats=x), w, b).feats, (40, 4), (5, 4), (5,)),
    "relu": (lambda x: ops.relu(BASE.replace(feats=x)).feats, (40, 4)),
    "sigmoid": (lambda x: ops.sigmoid(BASE.replace(feats=x)).feats, (40, 4)),
    "silu": (lambda x: ops.silu(BASE.replace(feats=x)).feats, (40, 4)),
    "tanh": (lambda x: ops.tanh(BASE.replace(feats=x)).feats, (40, 4)),
    "leaky_relu": (lambda x: ops.leaky_relu(BASE.replace(feats=x)).feats, (40, 4)),
    "gelu": (lambda x: ops.gelu(BASE.replace(feats=x)).feats, (40, 4)),
    "gelu_tanh": (lambda x: ops.gelu(BASE.replace(feats=x), approximate="tanh").feats, (40, 4)),
    "gelu_fast": (lambda x: ops.gelu(BASE.replace(feats=x), approximate="fast").feats, (40, 4)),
    "softplus": (lambda x: ops.softplus(BASE.replace(feats=x)).feats, (40, 4)),
    "batch_norm": (lambda x, w, b: ops.batch_norm(BASE.replace(feats=x), weight=w, bias=b).feats, (40, 4), (4,), (4,)),
    "layer_norm": (lambda x, w, b: ops.layer_norm(BASE.replace(feats=x), weight=w, bias=b).feats, (40, 4), (4,), (4,)),
    "rms_norm": (lambda x, w: ops.rms_norm(BASE.replace(feats=x), weight=w).feats, (40, 4), (4,)),
    "sparse_add": (lambda a, b: ops.sparse_add(BASE.replace(feats=a), SIDE.replace(feats=b)).feats, (40, 3), (30, 3)),
    "sparse_mul": (lambda a, b: ops.sparse_mul(BASE.replace(feats=a), SIDE.replace(feats=b)).feats, (40, 3), (30, 3)),
    "sparse_cat": (lambda a, b: ops.sparse_cat_aligned(BASE.replace(feats=a), SIDE.replace(feats=b), join="outer").feats, (40, 3), (30, 2)),
    "reindex_sparse": (lambda a: ops.reindex_sparse(BASE.replace(feats=a), SIDE, fill=2.0).feats, (40, 3)),
    "prune": (lambda a: ops.prune(BASE.replace(feats=a), ROWS).feats, (40, 3)),
    "crop": (lambda a: ops.crop(BASE.replace(feats=a), min_coord=(-1, -9, -9), max_coord=(1, 9, 9)).feats, (40, 3)),
    "gather_neighbors": (lambda a: ops.gather_neighbor_features(a, NEAR), (40, 3)),
    "voxelize": (lambda f: ops.voxelize(POINTS, f, 0.7).feats, (40, 3)),
    "conv3d_groups": (lambda x, w, b: ops.conv3d(BASE.replace(feats=x), w, b, stride=2, groups=2).feats, (40, 4), (6, 3, 3, 3, 2), (6,)),
    "subm_conv3d_depthwise": (lambda x, w: ops.subm_conv3d(BASE.replace(feats=x), w, groups=4).feats, (40, 4), (4, 3, 3, 3, 1)),
    "conv_transpose3d_groups": (lambda x, w: ops.conv_transpose3d(COARSE.replace(feats=x), w, groups=2, **UP).feats, (40, 4), (6, 3, 3, 3, 2)),
    "conv3d_groups_pointwise": (lambda x, w: ops.conv3d(BASE.replace(feats=x), w, kernel_size=1, groups=2).feats, (40, 4), (6, 1, 1, 1, 2)),
    "conv3d_packed": (lambda x, b: ops.conv3d(BASE.replace(feats=x), PACKED, b, stride=2).feats, (40, 32), (5,)),
    "conv_transpose3d_packed": (lambda x: ops.conv_transpose3d(COARSE.replace(feats=x), PACKED, **UP).feats, (40, 32)),
    "subm_conv3d_packed": (lambda x: ops.subm_conv3d(BASE.replace(feats=x), PACKED_8).feats, (40, 32)),
    "linear_packed": (lambda x, b: ops.linear(BASE.replace(feats=x), PACKED_LINEAR, b).feats, (40, 32), (5,)),
    "inverse_conv3d": (lambda x, w, b: ops.inverse_conv3d(HALF.replace(feats=x), w, b, coordinates=BASE, stride=2).feats, (HALF.capacity, 4), (5, 3, 3, 3, 4), (5,)),
    "inverse_conv3d_padded": (lambda x, w: ops.inverse_conv3d(HALF.replace(feats=x), w, coordinates=BASE, stride=2, padding=1).feats, (HALF.capacity, 4), (5, 3, 3, 3, 4)),
    "instance_norm": (lambda x, w, b: ops.instance_norm(BASE.replace(feats=x), weight=w, bias=b).feats, (40, 4), (4,), (4,)),
    "group_norm": (lambda x, w, b: ops.group_norm(BASE.replace(feats=x), 2, weight=w, bias=b).feats, (40, 4), (4,), (4,)),
    "to_dense": (lambda x: ops.to_dense(BASE.replace(feats=x), min_coord=-2), (40, 3)),
    "to_dense_box": (lambda x: ops.to_dense(BASE.replace(feats=x), min_coord=-1, shape=(2, 3, 2), batch_size=3, outside="drop", layout="channels_first"), (40, 3)),
    "to_dense_folded": (lambda x: ops.to_dense(BASE.replace(feats=x), min_coord=-2, fold="z", layout="channels_first"), (40, 3)),
    "to_dense_folded_x": (lambda x: ops.to_dense(BASE.replace(feats=x), min_coord=-2, fold="x"), (40, 3)),
    "from_dense": (lambda d: ops.from_dense(d, mask=MASK).feats, (2, 3, 4, 2, 5)),
    "from_dense_first": (lambda d: ops.from_dense(d, mask=MASK, layout="channels_first").feats, (2, 5, 3, 4, 2)),
    "from_dense_folded": (lambda d: ops.from_dense(d, mask=MASK, fold="y", shape=(0, 4, 0)).feats, (2, 3, 2, 20)),
    "merged_mean": (lambda x: ops.sparse_from_coordinates(TWICE, x, duplicate_reduction="mean").feats, (60, 3)),
    "merged_max": (lambda x: ops.sparse_from_coordinates(TWICE, x, duplicate_reduction="max").feats, (60, 3)),
    "merged_first": (lambda x: ops.sparse_from_coordinates(TWICE, x, duplicate_reduction="first").feats, (60, 3)),
    "merged_sum": (lambda x: ops.sparse_from_coordinates(TWICE, x, duplicate_reduction="sum").feats, (60, 3)),
    "merged_error": (lambda x: ops.sparse_from_coordinates(COORDS, x, duplicate_reduction="error").feats, (40, 3)),
    "voxelize_capped": (lambda f: ops.voxelize_capped(POINTS, f, 0.9, max_points=2, max_voxels=9).voxels.feats, (40, 3)),
    "voxelize_max": (lambda f: ops.voxelize(POINTS, f, 0.9, reduction="max").feats, (40, 3)),
    "interpolate": (lambda f: ops.devoxelize(POINTS, VOXELS.replace(feats=f), 0.7), (VOXELS.capacity, 3)),
}


def close(a, b):
    a, b = np.array(a), np.array(b)
    assert a.shape == b.shape
    finite = np.isfinite(b)
    assert (np.isfinite(a) == finite).all()
    scale = max(np.abs(b[finite]).max(initial=0), 1)
    assert np.abs(a[finite] - b[finite]).max(initial=0) <= 1e-5 * scale


# MLX compiles C++ for what it fuses, which takes seconds: a choice goes through mx.compile, all through the same composed
# operations without it.
COMPILED = [
    "conv3d", "conv_transpose3d", "max_pool3d", "global_avg_pool", "layer_norm", "sparse_add", "voxelize", "conv3d_groups",
    "conv3d_packed", "linear_packed", "to_dense", "from_dense", "merged_mean", "group_norm", "inverse_conv3d",
]  # fmt: skip


@pytest.fixture
def composed(monkeypatch):
    def switch(on):
        monkeypatch.setattr(_autodiff_mlx, "_traced", lambda arrays: True) if on else monkeypatch.undo()

    return switch


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_equals_c(name):
    function, *shapes = CASES[name]
    inputs = [array(*shape) for shape in shapes]
    close(mx.compile(function)(*inputs), function(*inputs))


@pytest.mark.parametrize("name", list(CASES))
def test_composed_equals_c(name, composed):
    function, *shapes = CASES[name]
    inputs = [array(*shape) for shape in shapes]
    want = function(*inputs)
    composed(True)
    close(function(*inputs), want)


@pytest.mark.parametrize("name", list(CASES))
def test_gradients_of_c_and_of_the_composed_operation(name, composed):
    function, *shapes = CASES[name]
    inputs = [array(*shape) for shape in shapes]
    y = function(*inputs)
    direction = array(*y.shape)
    mx.eval(y, direction)

    def loss(*arrays):
        return (mx.where(mx.isinf(y), 0, function(*arrays)) * direction).sum()

    everything = list(range(len(inputs)))
    ours = mx.grad(loss, everything)(*inputs)
    mx.eval(ours)
    composed(True)
    theirs = mx.grad(loss, everything)(*inputs)
    mx.eval(theirs)
    composed(False)
    ours, theirs = (found if isinstance(found, (list, tuple)) else [found] for found in (ours, theirs))
    for a, b in zip(ours, theirs):
        close(a, b)
    # Along a direction: the forward-mode product agrees with the gradient.
    if name not in ("max_pool3d", "global_max_pool"):
        tangents = [array(*shape) for shape in shapes]
        _, (moved,) = mx.jvp(function, inputs, tangents)
        inside = mx.where(mx.isinf(y), 0, moved * direction).sum().item()
        across = sum((g * t).sum().item() for g, t in zip(ours, tangents))
        assert abs(inside - across) <= 2e-4 * max(abs(inside), abs(across), 1)


# Operations on features that other rows of CASES go through, and those that need values: what they give depends on them.
SAME_CODE = {
    "activation": "relu", "avg_pool3d": "pool3d", "batch_norm_features": "batch_norm", "cat": "sparse_cat_aligned", "dropout": "dropout",
    "gather_aligned_features": "reindex_sparse", "global_pool": "global_sum_pool", "interpolate_point_features": "devoxelize",
    "layer_norm_features": "layer_norm", "linear_features": "linear", "normalized_conv_transpose3d": "normalized_subm_conv3d",
    "normalized_generative_conv_transpose3d": "normalized_subm_conv3d", "pool3d": "sum_pool3d", "prune_mask": "prune",
    "replace_feature": "relu", "rms_norm_features": "rms_norm", "sparse_binary": "sparse_add", "sparse_binary_op": "sparse_add",
    "sparse_collate": "sparse_from_coordinates", "sparse_maximum": "sparse_mul", "sparse_minimum": "sparse_mul", "sparse_sub": "sparse_add",
    "voxelize_with_quantization": "voxelize",
}  # fmt: skip
NEED_VALUES = {
    "topk_rows": lambda f: ops.topk_rows(SparseTensor(ONE_ITEM, f, batch_counts=(4,)), (2,)),
    "from_dense": lambda f: ops.from_dense(f.reshape(1, 2, 2, 1, 2)).feats,
    "normalized_cdf": ops.normalized_cdf,
    "range_encode": lambda f: ops.range_encode(f, mx.zeros((4,), dtype=mx.int32)),
    "range_encode_from_prob": lambda f: ops.range_encode_from_prob(f, mx.zeros((4,), dtype=mx.int32)),
    "rans_encode_from_prob": lambda f: ops.rans_encode_from_prob(f, mx.zeros((4,), dtype=mx.int32)),
    "range_decode": lambda f: ops.range_decode(f, b""),
    "range_decode_from_prob": lambda f: ops.range_decode_from_prob(f, b""),
    "rans_decode_from_prob": lambda f: ops.rans_decode_from_prob(f, b""),
}
ONE_ITEM = mx.array([[0, x, 0, 0] for x in range(4)], dtype=mx.int32)
COORDINATES = re.compile("relation|coords|morton|offsets|occupancy|align_sparse|build_|inverse_map|sparse_quantize")


def test_every_operation_is_traced_or_says_why_not():
    text = open(__file__, encoding="utf-8").read()
    traced = set(re.findall(r"ops\.(\w+)\(", text[text.index("CASES = {") : text.index("def close")])) | {"dropout"}
    names = [n for n in ops.__all__ if inspect.isfunction(getattr(ops, n)) and not COORDINATES.search(n)]
    assert [n for n in names if n not in traced and n not in NEED_VALUES and SAME_CODE.get(n) not in traced | set(SAME_CODE)] == []


@pytest.mark.parametrize("name", list(NEED_VALUES))
def test_operations_that_need_values_say_so(name):
    with pytest.raises(RuntimeError, match="without a value|depend on the values"):
        mx.compile(NEED_VALUES[name])(mx.full((4, 2), 0.5))


def test_worked_example():
    x = SparseTensor(mx.array([[0, i, 0, 0] for i in range(3)], dtype=mx.int32), mx.array([[1.0], [2.0], [3.0]]))
    w = mx.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1, 1)

    def conv(feats, weight):
        return ops.subm_conv3d(x.replace(feats=feats), weight, kernel_size=(3, 1, 1)).feats

    dx, dw = mx.grad(lambda f, v: conv(f, v).sum(), [0, 1])(x.feats, w)
    assert dx[:, 0].tolist() == [3, 6, 5] and dw.reshape(-1).tolist() == [3, 6, 5]
    _, (moved,) = mx.jvp(conv, [x.feats, w], [mx.ones((3, 1)), mx.ones(w.shape)])
    assert moved[:, 0].tolist() == [8, 12, 8]

    def pool(feats):
        return ops.max_pool3d(x.replace(feats=feats), kernel_size=(3, 1, 1), stride=1).feats

    tied = mx.array([[2.0], [2.0], [1.0]])
    _, (grad,) = mx.vjp(pool, [tied], [mx.ones((3, 1))])
    assert grad[:, 0].tolist() == [1, 2, 0]
    _, (moved,) = mx.jvp(pool, [tied], [mx.array([[10.0], [20.0], [30.0]])])
    assert moved[:, 0].tolist() == [10, 10, 20]


def test_compiled_gradient():
    function, *shapes = CASES["subm_conv3d"]
    inputs = [array(*shape) for shape in shapes]
    gradient = mx.grad(lambda *arrays: (function(*arrays) ** 2).sum(), [0, 1, 2])
    for a, b in zip(mx.compile(gradient)(*inputs), gradient(*inputs)):
        close(a, b)


def test_identity_is_the_same_when_compiled():
    seen = []

    def function(feats):
        y = ops.conv3d(BASE.replace(feats=feats), mx.ones((2, 3, 3, 3, 4)), stride=2)
        seen.append(y)
        return y.feats

    function(mx.ones((40, 4)))
    mx.compile(function)(mx.ones((40, 4)))
    assert seen[0].same_coords(seen[1]) and seen[0].stride == seen[1].stride == (2, 2, 2)


def test_coordinates_must_be_constants():
    def function(coords):
        return SparseTensor(coords, mx.ones((40, 1))).feats

    with pytest.raises(RuntimeError, match="must be constants"):
        mx.compile(function)(COORDS)


def test_dropout():
    x = mx.abs(array(40, 4)) + 1

    def function(feats):
        return ops.dropout(BASE.replace(feats=feats), p=0.25).feats

    (y,), (moved,) = mx.jvp(function, [x], [mx.ones(x.shape)])
    assert np.array_equal(np.array(moved) > 0, np.array(y) > 0)
    got = np.array(mx.compile(function)(x))
    kept = got != 0
    assert 0.5 < kept.mean() < 0.95
    np.testing.assert_allclose(got[kept], (np.array(x) / 0.75)[kept], rtol=1e-6)


def test_a_compiled_training_step_equals_the_plain_one():
    import mlx.nn
    import mlx.optimizers

    from lattice.mlx import nn

    feats = array(40, 4)

    def train(compiled):
        mx.random.seed(1)
        net = mlx.nn.Sequential(nn.SubmConv3d(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Linear(8, 2))
        optimizer = mlx.optimizers.SGD(learning_rate=0.1)
        state = [net.state, optimizer.state]

        def step(f):
            loss, grads = mlx.nn.value_and_grad(net, lambda f: (net(BASE.replace(feats=f)).feats ** 2).mean())(f)
            optimizer.update(net, grads)
            return loss

        run = mx.compile(step, inputs=state, outputs=state) if compiled else step
        losses = [run(feats).item() for _ in range(2)]
        mx.eval(state)
        return losses, net.layers[1].running_mean, net.layers[0].weight

    (losses, mean, weight), (want_losses, want_mean, want_weight) = train(True), train(False)
    np.testing.assert_allclose(losses, want_losses, rtol=1e-4)
    close(mean, want_mean)
    close(weight, want_weight)


def test_packed_weights_must_be_constants():
    from lattice.mlx import nn

    net, x = nn.QuantizedSubmConv3d(4, 6), BASE.replace(feats=array(40, 4))

    def function(feats):
        return net(x.replace(feats=feats)).feats

    close(mx.compile(function)(x.feats), net(x).feats)
    with pytest.raises(RuntimeError, match="must be constants"):
        mx.compile(function, inputs=net.state)(x.feats)
