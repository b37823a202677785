"""SparseTensor: what it keeps, what it refuses, identity, copies."""
import copy
import gc
import pickle

import numpy as np
import pytest

from lattice import SparseTensor, SparseTensorComponents, core, ops


def make(A, n=3, **options):
    return SparseTensor(A.line(*range(n)), A.f32(np.ones((n, 2))), **options)


def test_keeps_the_objects(A):
    coords, feats = A.line(0, 1), A.f32([[1], [2]])
    x = SparseTensor(coords, feats, 2, batch_counts=[2])
    assert x.coords is coords and x.feats is feats and x.stride == (2, 2, 2) and x.batch_counts == (2,)
    assert x.dtype == feats.dtype and x.shape == (2, 1) and x.capacity == 2 and x.channels == 1 and len(x) == 2
    assert x.active_rows is x.active_count and A.np(x.active_rows).tolist() == [2]
    assert A.np(x.batch_indices).tolist() == [0, 0]
    assert "2 rows x 1 channels, float32" in repr(x) and "stride (2, 2, 2)" in repr(x)
    with pytest.raises(AttributeError):
        x.feats = feats


def test_int64_coordinates(A):
    coords = A(np.array([[0, 1, 2, 3]], np.int64))
    x = SparseTensor(coords, A.f32([[1]]))
    assert x.coords is coords
    y = ops.sum_pool3d(x)
    assert A.np(y.coords).dtype == np.int32
    with pytest.raises(ValueError, match="int32"):
        SparseTensor(A(np.array([[0, 2**31, 0, 0]], np.int64)), A.f32([[1]]))


def test_errors(A):
    coords, feats = A.line(0, 1), A.f32([[1], [2]])
    manager = core.CoordinateManager()
    key = manager.insert_coords(coords)
    other = core.CoordinateManager()
    for build, kind, match in (
        (lambda: SparseTensor(A.f32([[0, 0, 0]]), feats), ValueError, r"coords must have shape \(N, 4\)"),
        (lambda: SparseTensor(A.f32([[0, 0, 0, 0]]), feats), ValueError, "coords must be int32 or int64"),
        (lambda: SparseTensor(coords, A.f32([1, 2])), ValueError, r"feats must have shape \(N, C\)"),
        (lambda: SparseTensor(coords, A.f32([[1]])), ValueError, "same row count"),
        (lambda: SparseTensor(coords, feats, 0), ValueError, "stride"),
        (lambda: SparseTensor(coords, feats, (1, 2)), ValueError, "must be an int or a 3-tuple"),
        (lambda: SparseTensor(coords, feats, batch_counts=(3,)), ValueError, "must cover all sparse rows"),
        (lambda: SparseTensor(coords, feats, batch_counts=(-1, 3)), ValueError, "must be non-negative"),
        (lambda: SparseTensor(coords, feats, batch_counts=(1, 1)), ValueError, "batch_counts must equal"),
        (lambda: SparseTensor(coords, feats, coord_key=key), ValueError, "coord_manager is required"),
        (lambda: SparseTensor(coords, feats, coord_key=key, coord_manager=other), ValueError, "does not belong to coord_manager"),
        (lambda: SparseTensor(coords, feats, 2, coord_key=key, coord_manager=manager), ValueError, "stride must match"),
        (lambda: SparseTensor(A.line(0, 1), feats, coord_key=key, coord_manager=manager), ValueError, "manager-owned array"),
        (lambda: SparseTensor(coords, feats, active_rows=A.f32([1])), ValueError, "active_rows must have shape"),
        (lambda: SparseTensor(coords, feats, active_rows=A(np.array([3], np.int32))), ValueError, "active_rows must be between"),
        (lambda: SparseTensor([[0, 0, 0, 0]], feats), TypeError, "wrong class"),
        (lambda: SparseTensor(coords, "feats"), TypeError, "wrong class"),
        (lambda: ops.relu(feats), TypeError, "expected SparseTensor"),
        (lambda: ops.conv3d(SparseTensor(coords, feats), "w"), TypeError, "wrong class"),
    ):
        with pytest.raises(kind, match=match):
            build()


def test_active_rows(A):
    coords = A.line(0, 1, 2)
    x = SparseTensor(coords, A.f32([[1], [2], [3]]), active_rows=A(np.array([2], np.int32)), batch_counts=(2,))
    assert x.shape == (2, 1) and A.np(x.coords).shape == (2, 4) and A.np(x.feats)[:, 0].tolist() == [1, 2]
    full = SparseTensor(coords, A.f32([[1], [2], [3]]), active_rows=A(np.array([3], np.int32)))
    assert full.coords is coords


def test_replace_and_identity(A):
    x = make(A, batch_counts=(3,))
    y = x.replace(feats=A.f32(np.zeros((3, 5))))
    assert y.same_coords(x) and y.coords is x.coords and y.batch_counts == (3,) and y.channels == 5
    assert x.astype("float16").same_coords(x) and x.astype(x.dtype).feats is x.feats
    z = x.replace(stride=2)
    assert not z.same_coords(x) and z.stride == (2, 2, 2) and z.coords is x.coords and z.batch_counts is None
    assert z.coord_manager is x.coord_manager and z.coord_key != x.coord_key
    moved = x.replace(coords=A.line(5, 6, 7))
    assert moved.coord_manager is x.coord_manager and not moved.same_coords(x)
    assert y.reuse_coords_from(x).feats is y.feats
    with pytest.raises(ValueError, match="coordinates must match"):
        moved.reuse_coords_from(x)
    other = SparseTensor(x.coords, x.feats)
    assert not other.same_coords(x)
    again = SparseTensor(x.coords, x.feats, coord_manager=x.coord_manager)
    assert again.same_coords(x) and again.coord_key == x.coord_key and hash(again.coord_key) == hash(x.coord_key)
    keyed = SparseTensor(x.coords, x.feats, coord_key=x.coord_key, coord_manager=x.coord_manager)
    assert keyed.same_coords(x)


def test_components(A):
    x = make(A, stride=2, batch_counts=(3,))
    parts = x.export_components()
    assert isinstance(parts, SparseTensorComponents) and parts.stride == (2, 2, 2)
    y = SparseTensor.from_components(parts)
    assert y.coords is x.coords and y.feats is x.feats and y.batch_counts == (3,) and y.stride == x.stride


def test_manager(A):
    manager = core.CoordinateManager()
    coords, target = A.line(0, 1, 2), A.line(2, 5)
    key, goal = manager.insert_coords(coords), manager.insert_coords(target)
    assert manager.insert_coords(coords) == key and manager.owns(key) and manager.coords(key) is coords
    assert manager.insert_coords(coords, 2) != key and A.np(manager.active_rows(key)).tolist() == [3]
    assert A.np(manager.inverse_map(key, goal)).tolist() == [2, -1]
    relation = manager.target_kernel_relation(key, goal, kernel_size=(3, 1, 1))
    assert relation is manager.target_kernel_relation(key, goal, kernel_size=(3, 1, 1))
    assert A.np(relation.in_rows).tolist() == [1, 2] and relation.out_coords is target
    view = manager.target_transposed_view(key, goal, kernel_size=(2, 1, 1), stride=(2, 1, 1))
    assert A.np(view.out_in_map).tolist() == [[1, -1], [-1, 2]]
    foreign = core.CoordinateManager()
    with pytest.raises(ValueError, match="does not belong to this manager"):
        foreign.kernel_relation(key)


def test_copies(A):
    x = make(A, batch_counts=(3,))
    for y in (copy.deepcopy(x), copy.copy(x)):
        assert y.same_coords(x) and A.np(y.feats).tolist() == A.np(x.feats).tolist()
    if A.name != "mlx":  # MLX arrays cannot be pickled
        y = pickle.loads(pickle.dumps(x))
        assert y.batch_counts == (3,) and A.np(y.coords).tolist() == A.np(x.coords).tolist()


def test_sets_live_as_long_as_what_uses_them(A):
    x = make(A)
    manager = x.coord_manager
    pooled = ops.sum_pool3d(x)
    key = pooled.coord_key
    rows = pooled.coords
    want = A.np(rows).tolist()
    del pooled
    gc.collect()
    assert manager.owns(key) and A.np(manager.coords(key)).tolist() == want
    del key
    gc.collect()
    assert len(manager._by_set) == 1  # x's own
    del x, manager
    gc.collect()
    assert A.np(rows).tolist() == want
