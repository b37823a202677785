"""Exchange of arrays: without copying, with strides, of no size, of other libraries."""
import gc
import sys
import weakref

import numpy as np
import pytest
from conftest import Arrays, need

import lattice
from lattice import SparseTensor, ops
from lattice._arrays import library_of

hypothesis = pytest.importorskip("hypothesis", reason="skipped: hypothesis is not installed")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


def address(array):
    view, keep = library_of(array).view(array)
    return int(lattice._library.ffi.cast("intptr_t", view.data))


def test_arrays_come_in_without_copying():
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert address(a) == a.ctypes.data
    assert address(a[1:, ::-1]) == a[1:, ::-1].ctypes.data
    a.flags.writeable = False
    assert address(a) == a.ctypes.data


def test_torch_arrays_come_in_without_copying(torch):
    a = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    assert address(a) == a.data_ptr() and address(a.t()) == a.data_ptr()
    assert address(a[1:]) == a[1:].data_ptr()
    b = a.to(torch.bfloat16).requires_grad_()
    assert address(b) == b.data_ptr()


def test_mlx_arrays_come_in_without_copying(mx):
    a = mx.arange(12, dtype=mx.float32).reshape(3, 4)
    mx.eval(a)
    assert address(a) == np.array(a, copy=False).ctypes.data
    assert address(a.astype(mx.bfloat16)) != 0
    x = SparseTensor(mx.zeros((4, 4), dtype=mx.int32), a.T)
    assert ops.leaky_relu(x, negative_slope=1.0).feats.tolist() == a.T.tolist()
    x = x.replace(feats=mx.broadcast_to(mx.array([[1.0, 2.0]]), (4, 2)))
    assert ops.relu(x).feats.tolist() == [[1, 2]] * 4


def test_results_share_the_memory_of_c(A):
    if A.name == "mlx":
        pytest.skip("skipped: MLX keeps arrays in memory of its own, results are copied once")
    x = SparseTensor(A.line(0, 1), A.f32([[1], [2]]))
    y = ops.relu(x)
    tensor = y._c[0]
    assert address(y.feats) == int(lattice._library.ffi.cast("intptr_t", lattice._library.lib.lat_tensor_feats(tensor).data))


def test_results_outlive_what_made_them(A):
    x = SparseTensor(A.line(0, 1, 2), A.f32([[1], [2], [3]]))
    y = ops.sum_pool3d(x, kernel_size=(3, 1, 1), stride=1)
    feats, rows = y.feats, ops.kernel_relation(x).in_rows
    del x, y
    gc.collect()
    _ = [np.zeros(1000) for _ in range(50)]
    assert A.np(feats)[:, 0].tolist() == [3, 6, 5] and A.np(rows).min() >= 0


LAYOUTS = ["plain", "reversed", "every_other", "transposed", "offset", "read_only"]


def laid_out(values, layout):
    n, c = values.shape
    if layout == "reversed":
        return np.ascontiguousarray(values[::-1])[::-1]
    if layout == "every_other":
        big = np.zeros((2 * n, 3 * c), values.dtype)
        big[::2, ::3] = values
        return big[::2, ::3]
    if layout == "transposed":
        return np.ascontiguousarray(values.T).T
    if layout == "offset":
        big = np.zeros((n + 1, c + 1), values.dtype)
        big[1:, 1:] = values
        return big[1:, 1:]
    found = values.copy()
    if layout == "read_only":
        found.flags.writeable = False
    return found


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS), st.integers(0, 7), st.integers(0, 5), st.booleans())
def test_any_layout(feat_layout, coord_layout, n, channels, wide):
    rng = np.random.default_rng(n * 8 + channels)
    feats = rng.normal(size=(n, channels)).astype(np.float32)
    coords = np.zeros((n, 4), np.int64 if wide else np.int32)
    coords[:, 1] = rng.permutation(n)
    x = SparseTensor(laid_out(coords, coord_layout), laid_out(feats, feat_layout))
    y = ops.relu(x)
    np.testing.assert_array_equal(y.feats, np.maximum(feats, 0))
    assert y.feats.shape == (n, channels)
    z = ops.sum_pool3d(x, kernel_size=1, stride=1)
    np.testing.assert_array_equal(z.feats, feats)
    np.testing.assert_array_equal(z.coords, coords)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["plain", "transposed", "offset", "every_other"]), st.integers(0, 6), st.integers(0, 4))
def test_any_layout_of_torch(layout, n, channels):
    torch = pytest.importorskip("torch", reason="skipped: torch is not installed")
    feats = np.random.default_rng(n).normal(size=(n, channels)).astype(np.float32)
    coords = np.zeros((n, 4), np.int32)
    coords[:, 2] = np.arange(n)
    base = laid_out(feats, layout)
    tensor = torch.as_strided(torch.from_numpy(base.base if base.base is not None else base), *_strided(base))
    x = SparseTensor(torch.from_numpy(coords), tensor)
    np.testing.assert_array_equal(ops.relu(x).feats.numpy(), np.maximum(feats, 0))


def _strided(base):
    root = base.base if base.base is not None else base
    offset = (base.__array_interface__["data"][0] - root.__array_interface__["data"][0]) // 4 if base.size else 0
    return base.shape, tuple(s // 4 for s in base.strides), offset


def test_arrays_of_no_rows_and_no_channels(A):
    x = SparseTensor(A.coords(np.zeros((0, 4))), A.f32(np.zeros((0, 3))))
    w = A.f32(np.ones((2, 3, 3, 3, 3)))
    y = ops.conv3d(x, w, stride=2)
    assert y.shape == (0, 2) and A.owns(y.feats) and A.owns(y.coords)
    assert A.np(ops.global_sum_pool(x, batch_size=2)).tolist() == [[0, 0, 0]] * 2
    r = ops.kernel_relation(x)
    assert r.edge_capacity == 0 and r.n_out_capacity == 0
    none = SparseTensor(A.line(0, 1), A.f32(np.zeros((2, 0))))
    assert ops.relu(none).shape == (2, 0)


@pytest.mark.parametrize("dtype", ["complex64", "object", "U3", "float64", "int32"])
def test_feature_dtypes_that_no_operation_takes(dtype):
    feats = np.zeros((1, 1), dtype)
    with pytest.raises(ValueError):
        ops.relu(SparseTensor(np.zeros((1, 4), np.int32), feats))


def test_complex_torch_arrays(torch):
    coords = torch.zeros((1, 4), dtype=torch.int32)
    with pytest.raises(ValueError, match="dtype"):
        ops.relu(SparseTensor(coords, torch.zeros((1, 1), dtype=torch.complex64)))
    meta = torch.zeros((1, 1), device="meta")
    with pytest.raises(RuntimeError, match="no CUDA module"):
        ops.relu(SparseTensor(coords, meta))


def test_mixed_libraries(torch):
    a = Arrays("numpy")
    x = SparseTensor(a.line(0), a.f32([[1]]))
    weight = torch.ones((1, 1))
    with pytest.raises(TypeError, match="mixed array libraries: got torch, expected numpy"):
        ops.linear(x, weight)
    with pytest.raises(TypeError, match="mixed array libraries"):
        SparseTensor(a.line(0), torch.ones((1, 1)))
    with pytest.raises(TypeError, match="mixed array libraries"):
        ops.lookup_coords(a.line(0), torch.zeros((1, 4), dtype=torch.int32))
    y = SparseTensor(torch.zeros((1, 4), dtype=torch.int32), weight)
    with pytest.raises(TypeError, match="mixed array libraries"):
        ops.sparse_add(x, y)
    with pytest.raises(TypeError, match="mixed array libraries"):
        ops.conv3d(x, a.f32(np.ones((1, 3, 3, 3, 1))), coordinates=y)


class Foreign:
    """An array of a library that this package has never heard of."""

    def __init__(self, array):
        self.array = np.ascontiguousarray(array)
        self.shape = self.array.shape

    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def from_dlpack(lender):
    return Foreign(np.from_dlpack(lender))


def test_anything_with_dlpack():
    x = SparseTensor(Foreign(np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.int32)), Foreign(np.array([[-1], [2]], np.float32)))
    y = ops.relu(x)
    assert isinstance(y.feats, Foreign) and y.feats.array.tolist() == [[0], [2]]
    assert isinstance(ops.sum_pool3d(x).coords, Foreign)
    y = None
    gc.collect()


def test_foreign_devices():
    class Elsewhere(Foreign):
        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(RuntimeError, match="no CUDA module"):
        SparseTensor(Elsewhere(np.zeros((1, 4), np.int32)), Elsewhere(np.zeros((1, 1), np.float32)))


def test_anything_with_array():
    class Wrapped:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    x = SparseTensor(Wrapped(np.zeros((1, 4), np.int32)), Wrapped(np.array([[-1]], np.float32)))
    assert ops.relu(x).feats.tolist() == [[0]]


def test_buffers_without_any_library():
    coords = memoryview(np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.int32))
    feats = memoryview(np.array([[-1], [2]], np.float32))
    x = SparseTensor(coords, feats)
    y = ops.relu(x)
    assert isinstance(y.feats, memoryview) and y.feats.tolist() == [[0], [2]] and x.coords is coords
    assert ops.sum_pool3d(x).feats.tolist() == [[1.0]]


def test_freed_arrays(torch):
    rows = torch.zeros((3, 4), dtype=torch.int32)
    rows[:, 1] = torch.arange(3)
    feats = torch.ones((4, 2))
    x = SparseTensor(rows, feats[1:])
    assert ops.relu(x).shape == (3, 2)
    feats.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="storage was freed"):
        ops.relu(x)
    taken = memoryview(bytearray(16)).cast("B").cast("i", (1, 4))
    taken.release()
    with pytest.raises(ValueError, match="released"):
        SparseTensor(taken, memoryview(bytearray(4)).cast("f", (1, 1)))


MLX_LAYOUTS = {
    "plain": lambda mx, v: mx.array(v),
    "transposed": lambda mx, v: mx.transpose(mx.array(np.ascontiguousarray(v.T))),
    "reversed": lambda mx, v: mx.array(v[::-1].copy())[::-1],
    "every_other": lambda mx, v: mx.array(np.repeat(v, 2, axis=0))[::2],
    "offset": lambda mx, v: mx.array(np.pad(v, ((1, 0), (2, 0))))[1:, 2:],
    "lazy": lambda mx, v: mx.array(v) + mx.zeros(v.shape, dtype=mx.array(v).dtype),
}


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(MLX_LAYOUTS)), st.sampled_from(sorted(MLX_LAYOUTS)), st.integers(0, 6), st.integers(0, 4))
def test_any_layout_of_mlx(feat_layout, coord_layout, n, channels):
    mx = pytest.importorskip("mlx.core", reason="skipped: mlx is not installed")
    feats = np.random.default_rng(n).normal(size=(n, channels)).astype(np.float32)
    coords = np.zeros((n, 4), np.int32)
    coords[:, 3] = np.arange(n)
    x = SparseTensor(MLX_LAYOUTS[coord_layout](mx, coords), MLX_LAYOUTS[feat_layout](mx, feats))
    y = ops.relu(x).feats
    assert y.shape == (n, channels) and y.tolist() == np.maximum(feats, 0).tolist()
    assert ops.sum_pool3d(x, kernel_size=1, stride=1).coords.tolist() == coords.tolist()


@pytest.mark.parametrize("name", ["numpy", "torch", "mlx"])
def test_thousands_of_calls_keep_nothing(name):
    """Reference counts of what the caller gave, and objects that the calls made."""
    need(name)
    a = Arrays(name)
    rows, values, weight, bias = a.line(*range(8)), a.f32(np.ones((8, 2))), a.f32(np.ones((2, 2))), a.f32(np.ones(2))
    given = [rows, values, weight, bias]
    x = SparseTensor(rows, values)
    made = []

    def work(times):
        for _ in range(times):
            y = ops.conv3d(ops.linear(ops.relu(x), weight, bias), a_weight, stride=2)
            made.append(weakref.ref(y))

    a_weight = a.f32(np.ones((2, 3, 3, 3, 2)))
    work(20)
    gc.collect()
    counts, alive = [sys.getrefcount(array) for array in given], len(gc.get_objects())
    made.clear()
    work(2000)
    gc.collect()
    assert all(reference() is None for reference in made)
    made.clear()
    assert [sys.getrefcount(array) for array in given] == counts
    assert len(gc.get_objects()) - alive < 200
    assert len(x.coord_manager._by_set) <= 2


@pytest.mark.parametrize("name", ["numpy", "torch", "mlx"])
def test_nothing_leaks(name):
    resource = pytest.importorskip("resource")
    need(name)
    a = Arrays(name)
    weight = a.f32(np.ones((8, 3, 3, 3, 8)))
    rows, values = a.line(*range(500)), a.f32(np.ones((500, 8)))

    def work(times):
        for _ in range(times):
            x = SparseTensor(rows, values, batch_counts=(500,))
            y = ops.relu(ops.conv3d(x, weight, stride=2))
            ops.global_avg_pool(y)
            ops.kernel_relation(y).require_implicit_gemm()

    if name == "mlx":
        a.mx.set_cache_limit(0)
    work(150)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work(600)
    gc.collect()
    # Each round would leave more than 100 KiB behind if it kept its arrays and relations.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024
