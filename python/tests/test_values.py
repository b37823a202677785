"""Values that the specification works out, in every array library."""
import numpy as np
import pytest

import lattice
from lattice import SparseTensor, core, ops


def ints(A, array):
    return A.np(array).tolist()


def line(A, *xs, feats=None, **options):
    rows = [(0, x, 0, 0) for x in xs]
    return SparseTensor(A.coords(rows), A.f32([[v] for v in feats or range(1, len(xs) + 1)]), **options)


def test_forward_relation_of_a_line(A):
    r = ops.build_kernel_relation(A.line(0, 1, 2), kernel_size=(3, 1, 1))
    assert ints(A, r.in_rows) == [0, 1, 0, 1, 2, 1, 2]
    assert ints(A, r.out_rows) == [0, 0, 1, 1, 1, 2, 2]
    assert ints(A, r.kernel_ids) == [1, 2, 0, 1, 2, 0, 1]
    assert ints(A, r.row_offsets) == [0, 2, 5, 7] and ints(A, r.in_row_offsets) == [0, 2, 5, 7]
    assert ints(A, r.in_edge_ids) == [0, 2, 1, 3, 5, 4, 6]
    assert ints(A, r.kernel_row_offsets) == [0, 2, 5, 7] and ints(A, r.kernel_edge_ids) == [2, 5, 0, 3, 6, 1, 4]
    assert ints(A, r.counts) == [7, 3] and ints(A, r.edge_count) == [7] and ints(A, r.out_count) == [3]
    gemm = r.require_implicit_gemm()
    assert gemm is r.require_implicit_gemm()
    assert ints(A, gemm.out_in_map) == [[-1, 0, 1], [0, 1, 2], [1, 2, -1]] and ints(A, gemm.row_masks) == [[6], [7], [3]]
    sorted_view = r.require_sorted_implicit_gemm()
    assert ints(A, sorted_view.reorder_rows) == [2, 0, 1] and ints(A, sorted_view.tile_masks) == [7, 0, 0, 0]
    assert ints(A, sorted_view.sorted_kv_out_in_map) == np.array([[1, 2, -1], [-1, 0, 1], [0, 1, 2]]).T.tolist()
    assert A.owns(r.in_rows) and A.np(r.in_rows).dtype == np.int32


def test_padding_shifts_the_window(A):
    r = ops.build_kernel_relation(A.line(0, 1, 2), kernel_size=(3, 1, 1), padding=(1, 0, 0))
    assert ints(A, r.in_rows) == [0, 0, 1, 0, 1, 2] and ints(A, r.out_rows) == [0, 1, 1, 2, 2, 2]
    assert ints(A, r.kernel_ids) == [2, 1, 2, 0, 1, 2] and ints(A, r.row_offsets) == [0, 1, 3, 6]


def test_transposed_relation(A):
    r = ops.build_transposed_kernel_relation(A.line(0, 1), None, (3, 1, 1), (2, 1, 1), (1, 0, 0))
    assert [row[1] for row in ints(A, r.out_coords)] == [-1, 0, 1, 2, 3]
    assert ints(A, r.in_rows) == [0, 0, 1, 0, 1, 1] and ints(A, r.out_rows) == [0, 1, 2, 2, 3, 4]
    assert ints(A, r.kernel_ids) == [0, 1, 0, 2, 1, 2] and ints(A, r.row_offsets) == [0, 1, 2, 4, 5, 6]
    with pytest.raises(ValueError, match="implicit gemm"):
        r.require_implicit_gemm()


def test_relations_are_cached_and_shared(A):
    x = line(A, 0, 1, 2)
    r = ops.submanifold_kernel_relation(x, kernel_size=(3, 1, 1))
    assert r is ops.submanifold_kernel_relation(x, kernel_size=(3, 1, 1))
    assert r is x.coord_manager.submanifold_kernel_relation(x.coord_key, kernel_size=(3, 1, 1))
    assert r.out_coords is x.coords and r.contract.target_active_rows is r.contract.source_active_rows
    y = line(A, 0, 2)
    assert ops.target_kernel_relation(x, y) is ops.target_kernel_relation(x, y)
    with pytest.raises(ValueError, match="does not belong"):
        x.coord_manager.coords(y.coord_key)


def test_reach_support(A):
    floor = ops.build_kernel_relation(A.line(1), kernel_size=(3, 1, 1), stride=(2, 1, 1))
    reach = ops.build_kernel_relation(A.line(1, 2), kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0), support="reach")
    assert [row[1] for row in ints(A, floor.out_coords)] == [0]
    assert [row[1] for row in ints(A, reach.out_coords)] == [1, 0] and reach.kernel_offsets[0] == (0, 0, 0)
    with pytest.raises(ValueError, match="bounds without reach"):
        ops.build_kernel_relation(A.line(1), bounds=4)
    x = line(A, 1, 2, feats=[1, 2])
    w = A.f32(np.ones((1, 3, 1, 1, 1)))
    y = ops.conv3d(x, w, kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0), support="reach", bounds=(3, 1, 1))
    assert sorted(zip([r[1] for r in ints(A, y.coords)], A.np(y.feats)[:, 0].tolist())) == [(0, 1.0), (1, 3.0)]


def test_normalized_convolution(A):
    x = line(A, 0, 1, 2)
    w = A.f32(np.array([1, 2, 3]).reshape(1, 3, 1, 1, 1))
    y = ops.normalized_subm_conv3d(x, w, A.f32([0.25]), kernel_size=(3, 1, 1))
    want = np.array([8 / 13**0.5, 14 / 14**0.5, 8 / 5**0.5]) + 0.25
    np.testing.assert_allclose(A.np(y.feats)[:, 0], want, rtol=1e-6)


def test_target_convolution_and_identity(A):
    x = line(A, 0, 1, 2)
    w = A.f32(np.array([1, 2, 3]).reshape(1, 3, 1, 1, 1))
    target = A.line(1, 3)
    y = ops.conv3d(x, w, kernel_size=(3, 1, 1), coordinates=target)
    assert A.np(y.feats)[:, 0].tolist() == [14.0, 3.0] and y.coords is target
    again = ops.conv3d(x, w, kernel_size=(3, 1, 1), coordinates=y.coord_key)
    assert again.same_coords(y) and again.coords is target
    same = ops.conv3d(x, w, kernel_size=(3, 1, 1), coordinates=SparseTensor(x.coords, x.feats))
    assert same.same_coords(x) and same.coords is x.coords
    a, b = (ops.conv3d(x, w, kernel_size=(3, 1, 1), stride=(2, 1, 1)) for _ in range(2))
    assert a.same_coords(b) and a.coords is b.coords and a.stride == (2, 1, 1)
    assert ops.sparse_add(a, b).same_coords(a)
    with pytest.raises(ValueError, match="must use the convolution output stride"):
        ops.conv3d(x, w, kernel_size=(3, 1, 1), coordinates=a)


def test_pools(A):
    x = line(A, 0, 1, 2)
    same = {"kernel_size": (3, 1, 1), "stride": 1}
    assert A.np(ops.sum_pool3d(x, **same).feats)[:, 0].tolist() == [3, 6, 5]
    assert A.np(ops.avg_pool3d(x, **same).feats)[:, 0].tolist() == [1.5, 2, 2.5]
    assert A.np(ops.max_pool3d(x, **same).feats)[:, 0].tolist() == [2, 3, 3]
    coarse = line(A, 0, 1, feats=[2, 6], stride=(2, 1, 1))
    fine = line(A, 0, 1, 2)
    up = ops.pool_transpose3d(coarse, fine, kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
    assert A.np(up.feats)[:, 0].tolist() == [2, 4, 6] and up.coords is fine.coords
    four = line(A, 0, 1, 2, 3)
    assert A.np(ops.trilinear_upsample3d(coarse, four, stride=(2, 1, 1)).feats)[:, 0].tolist() == [2, 4, 6, 6]
    lonely = ops.max_pool3d(line(A, 1), kernel_size=1, stride=2)
    assert A.np(lonely.feats)[0, 0] == -np.inf


def test_global_pools(A):
    rows = [(0, 0, 0, 0), (0, 1, 0, 0), (2, 0, 0, 0)]
    x = SparseTensor(A.coords(rows), A.f32([[1], [3], [5]]), batch_counts=(2, 0, 1))
    assert A.np(ops.global_sum_pool(x)).tolist() == [[4], [0], [5]]
    assert A.np(ops.global_avg_pool(x)).tolist() == [[2], [0], [5]]
    with pytest.raises(ValueError, match="empty batches"):
        ops.global_max_pool(x)
    with pytest.raises(ValueError, match="must match batch_counts"):
        ops.global_sum_pool(x, batch_size=2)
    pooled = ops.sum_pool3d(x)
    assert pooled.batch_counts is None and A.np(ops.global_sum_pool(pooled)).shape == (3, 1)
    assert len(x.batch_rows) == 3 and ints(A, x.batch_rows[2]) == [2]
    assert ints(A, x.decomposed_coordinates[0]) == [[0, 0, 0], [1, 0, 0]] and A.np(x.decomposed_features[2]).tolist() == [[5]]


def test_coordinate_functions(A):
    rows = A.coords([(0, 1, 1, 0), (1, 0, 0, 0), (0, 0, 1, 1), (0, 0, 0, 0)])
    ordering = ops.morton_sort_coords(rows)
    assert ints(A, ordering.order) == [3, 0, 2, 1] and ints(A, ordering.inverse_rows) == [1, 3, 2, 0]
    codes = ops.morton_codes(A.coords([(0, 1, 2, 4), (0, -1, 0, 0), (9, 0, 0, 0)]))
    assert ints(A, codes) == [273, 1317624576693539401, -8070450532247928832]
    assert ints(A, ops.downsample_coords(A.line(-1, 0, 1, 3), (2, 1, 1)).coords) == [[0, -1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert ints(A, ops.union_coords(A.line(1, 0, 1), A.line(2, 0)).coords) == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 2, 0, 0]]
    assert ints(A, ops.intersection_coords(A.line(1, 0, 1), A.line(2, 0, 1)).coords) == [[0, 1, 0, 0], [0, 0, 0, 0]]
    assert ints(A, ops.lookup_coords(A.line(5, 6, 5), A.line(5, 7))) == [0, -1]
    contains = ops.contains_coords(A.line(5, 6), A.line(5, 7))
    assert A.np(contains).dtype == np.bool_ and ints(A, contains) == [True, False]
    down = ops.occupancy_downsample(A.coords([(0, 0, 0, 0), (0, 1, 1, 0), (0, 2, 0, 0)]))
    assert ints(A, down.occupancy) == [9, 1] and ints(A, down.active_rows) == [2] and down.active_count is down.active_rows
    up = ops.occupancy_expand(down.coords, down.occupancy)
    assert ints(A, up.coords) == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 2, 0, 0]]
    assert ints(A, up.parent_rows) == [0, 0, 1] and ints(A, up.child_indices) == [0, 3, 0]
    children = ops.child_coords_from_indices(down.coords, A(np.array([7, 8 + 1], np.int32)))
    assert ints(A, children) == [[0, 1, 1, 1], [0, 3, 0, 0]]
    assert ops.kernel_offsets((3, 2, 1), (2, 1, 1)) == ((-2, 0, 0), (-2, 1, 0), (0, 0, 0), (0, 1, 0), (2, 0, 0), (2, 1, 0))
    few = ops.occupancy_downsample(A.line(0, 4, 8), A(np.array([2], np.int32)))
    assert ints(A, few.active_rows) == [2]


@pytest.mark.parametrize(
    "join, coords, left, right",
    [
        ("inner", [1, 0], [0, 1], [1, 0]),
        ("left", [1, 0, 4], [0, 1, 2], [1, 0, -1]),
        ("right", [0, 1, 9], [1, 0, -1], [0, 1, 2]),
        ("outer", [1, 0, 4, 9], [0, 1, 2, -1], [1, 0, -1, 2]),
    ],
)
def test_alignment(A, join, coords, left, right):
    found = ops.build_sparse_alignment(A.line(1, 0, 4), None, A.line(0, 1, 9), None, join=join)
    assert [row[1] for row in ints(A, found.coords)] == coords
    assert ints(A, found.lhs_rows) == left and ints(A, found.rhs_rows) == right
    with pytest.raises(ValueError, match="join must be"):
        ops.align_sparse(line(A, 0), line(A, 1), join="full")


def test_algebra(A):
    a, b = line(A, 1, 0, 4, feats=[1, 2, 3]), line(A, 0, 1, 9, feats=[10, 20, 30])
    assert A.np((a + b).feats)[:, 0].tolist() == [21, 12, 3, 30]
    assert A.np((a - b).feats)[:, 0].tolist() == [-19, -8, 3, -30]
    assert A.np((a * b).feats)[:, 0].tolist() == [20, 20] and A.np((a & b).feats)[:, 0].tolist() == [20, 20]
    assert A.np(ops.sparse_maximum(a, b, join="left").feats)[:, 0].tolist() == [20, 10, 3]
    assert A.np(ops.sparse_minimum(a, b).feats)[:, 0].tolist() == [1, 2]
    assert A.np(ops.sparse_binary_op(a, b, "mul", join="outer", lhs_fill=2, rhs_fill=3).feats)[:, 0].tolist() == [20, 20, 9, 60]
    assert A.np(ops.cat([a, b, a], join="outer").feats).tolist() == [[1, 20, 1], [2, 10, 2], [3, 0, 3], [0, 30, 0]]
    assert (a + b).same_coords(a + b)
    moved = ops.reindex_sparse(a, b, fill=-1)
    assert A.np(moved.feats)[:, 0].tolist() == [2, 1, -1] and moved.same_coords(b)
    assert A.np(ops.gather_aligned_features(a.feats, A(np.array([2, -1], np.int32)), fill=7.0))[:, 0].tolist() == [3, 7]
    with pytest.raises(ValueError, match="unknown sparse binary op"):
        ops.sparse_binary_op(a, b, "div")
    with pytest.raises(ValueError, match="strides must match"):
        ops.sparse_add(a, line(A, 0, stride=2))
    with pytest.raises(ValueError, match="matching channels"):
        ops.sparse_add(a, SparseTensor(A.line(0), A.f32([[1, 2]])))
    with pytest.raises(ValueError, match="at least one"):
        ops.cat([])


def test_row_choice(A):
    rows = [(0, 0, 0, 0), (0, 1, 0, 0), (1, 5, 0, 0), (1, 6, 0, 0)]
    x = SparseTensor(A.coords(rows), A.f32([[3], [1], [2], [2]]), batch_counts=(2, 2))
    p = ops.prune(x, A(np.array([3, 0, 0], np.int64)))
    assert A.np(p.feats)[:, 0].tolist() == [2, 3, 3] and p.batch_counts == (2, 1)
    m = ops.prune_mask(x, A(np.array([True, False, False, True])))
    assert A.np(m.feats)[:, 0].tolist() == [3, 2] and m.batch_counts == (1, 1)
    c = ops.crop(x, min_coord=(1, 0, 0), max_coord=(5, 0, 0))
    assert A.np(c.feats)[:, 0].tolist() == [1, 2]
    assert ints(A, ops.topk_rows(x, (1, 1))) == [0, 3]
    with pytest.raises(ValueError, match="rows must index"):
        ops.prune(x, A(np.array([4], np.int32)))
    with pytest.raises(ValueError, match="mask must match"):
        ops.prune_mask(x, A(np.array([True])))
    with pytest.raises(ValueError, match="mask must be boolean"):
        ops.prune_mask(x, A.f32([1, 0, 0, 1]))
    with pytest.raises(ValueError, match="batch_counts metadata is required"):
        ops.topk_rows(line(A, 0), (1,))


def test_duplicates_and_collate(A):
    coords, feats = A.line(3, 1, 3), A.f32([[1], [2], [5]])
    merged = ops.sparse_from_coordinates(coords, feats, duplicate_reduction="mean", batch_counts=(3,))
    assert A.np(merged.feats)[:, 0].tolist() == [3, 2] and merged.batch_counts == (2,)
    for how, want in (("sum", [6, 2]), ("max", [5, 2]), ("first", [1, 2])):
        assert A.np(ops.sparse_from_coordinates(coords, feats, duplicate_reduction=how).feats)[:, 0].tolist() == want
    assert ops.sparse_from_coordinates(coords, feats).coords is coords
    with pytest.raises(ValueError, match="duplicate"):
        ops.sparse_from_coordinates(coords, feats, duplicate_reduction="error")
    with pytest.raises(ValueError, match="duplicate_reduction"):
        ops.sparse_from_coordinates(coords, feats, duplicate_reduction="median")
    parts = [A(np.array([[1, 2, 3]], np.int32)), A(np.array([[4, 5, 6], [7, 8, 9]], np.int32))]
    x = ops.sparse_collate(parts, [A.f32([[1]]), A.f32([[2], [3]])], stride=2)
    assert ints(A, x.coords) == [[0, 1, 2, 3], [1, 4, 5, 6], [1, 7, 8, 9]] and x.batch_counts == (1, 2) and x.stride == (2, 2, 2)
    with pytest.raises(ValueError, match="batch sizes must match"):
        ops.sparse_collate(parts, [A.f32([[1]])])
    with pytest.raises(ValueError, match="at least one sparse tensor batch"):
        ops.sparse_collate([], [])


def test_points(A):
    points = A.f32([[0.2, 0, 0], [0.8, 0, 0], [1.2, 0, 0], [-0.1, 0, 0], [0, 2.1, 0]])
    batches = A(np.array([0, 0, 0, 0, 1], np.int32))
    q = ops.sparse_quantize(points, batch_indices=batches)
    assert ints(A, q.coords) == [[0, 0, 0, 0], [0, 1, 0, 0], [0, -1, 0, 0], [1, 0, 2, 0]]
    assert ints(A, q.inverse_rows) == [0, 0, 1, 2, 3] and ints(A, q.counts) == [2, 1, 1, 1]
    feats = A.f32([[1], [3], [5], [7], [9]])
    x = ops.voxelize(points, feats, batch_indices=batches)
    assert A.np(x.feats)[:, 0].tolist() == [2, 5, 7, 9]
    assert A.np(ops.voxelize(points, feats, batch_indices=batches, reduction="max").feats)[:, 0].tolist() == [3, 5, 7, 9]
    y = ops.voxelize_with_quantization(q, feats, reduction="sum", stride=2)
    assert A.np(y.feats)[:, 0].tolist() == [4, 5, 7, 9] and y.stride == (2, 2, 2)
    nearest = ops.devoxelize(A.f32([[0.9, 0, 0]]), x, interpolation="nearest")
    assert A.np(nearest).tolist() == [[5]]
    table = ops.build_point_voxel_map(A.f32([[0.25, 0, 0]]), x.coords, None)
    assert table.point_count == 1 and A.np(table.weights)[0, :2].tolist() == [0.75, 0.25]
    assert A.np(ops.interpolate_point_features(x.feats, table)).tolist() == [[0.75 * 2 + 0.25 * 5]]
    part = ops.sparse_quantize(points, batch_indices=batches, active_rows=A(np.array([2], np.int32)))
    assert ints(A, part.inverse_rows) == [0, 0, -1, -1, -1]
    capped = ops.voxelize_capped(points, feats, max_points=1, batch_indices=batches)
    assert A.np(capped.voxels.feats)[:, 0].tolist() == [1, 5, 7, 9] and capped.points_over == 1
    with pytest.raises(ValueError, match="points must have shape"):
        ops.sparse_quantize(A.f32([[1, 2]]))
    with pytest.raises(ValueError, match="voxel_size"):
        ops.sparse_quantize(points, 0.0)
    with pytest.raises(ValueError, match="reduction"):
        ops.voxelize(points, feats, reduction="median")
    with pytest.raises(ValueError, match="matching rows"):
        ops.voxelize(points, A.f32([[1]]))
    with pytest.raises(ValueError, match="interpolation"):
        ops.devoxelize(points, x, interpolation="cubic")


def test_neighbors(A):
    coords = A.line(0, 1, 3)
    r = ops.build_radius_relation(coords, radius=2.0)
    assert ints(A, r.query_rows) == [0, 0, 1, 1, 1, 2, 2] and ints(A, r.source_rows) == [0, 1, 1, 0, 2, 2, 1]
    assert ints(A, r.neighbor_ids) == [0, 1, 0, 1, 2, 0, 1] and A.np(r.distances).tolist() == [0, 1, 0, 1, 4, 0, 4]
    assert ints(A, r.counts) == [7, 3] and ints(A, r.row_offsets) == [0, 2, 5, 7]
    k = ops.build_knn_relation(coords, A.line(2), k=2)
    assert ints(A, k.source_rows) == [1, 2] and A.np(k.distances).tolist() == [1, 1]
    x = line(A, 0, 1, 3, feats=[1, 2, 3])
    for source in (x, x.feats):
        assert A.np(ops.gather_neighbor_features(source, r))[:, 0].tolist() == [1, 2, 2, 1, 3, 3, 2]
    assert ints(A, ops.knn_relation(x, k=1).source_rows) == [0, 1, 2]
    with pytest.raises(ValueError, match="k must be positive"):
        ops.build_knn_relation(coords, k=0)
    with pytest.raises(ValueError, match="radius must be non-negative"):
        ops.build_radius_relation(coords, radius=-1)
    with pytest.raises(ValueError, match="same coordinate stride"):
        ops.radius_relation(x, line(A, 0, stride=2), radius=1.0)


def test_features_and_norms(A):
    x = SparseTensor(A.line(0, 1), A.f32([[1, -2], [3, 4]]))
    assert A.np(ops.relu(x).feats).tolist() == [[1, 0], [3, 4]]
    assert A.np(ops.leaky_relu(x, negative_slope=0.5).feats).tolist() == [[1, -1], [3, 4]]
    assert A.np(ops.leaky_relu(x, negative_slope=0.0).feats).tolist() == [[1, 0], [3, 4]]
    assert A.np(ops.linear(x, A.f32([[1, 1]]), A.f32([10])).feats).tolist() == [[9], [17]]
    assert A.np(ops.linear_features(x.feats, A.f32([[1, 1]]))).tolist() == [[-1], [7]]
    assert A.np(ops.activation(x.feats, kind="relu")).tolist() == [[1, 0], [3, 4]]
    np.testing.assert_allclose(A.np(ops.batch_norm(x, eps=1e-12).feats), [[-1, -1], [1, 1]], rtol=1e-5)
    np.testing.assert_allclose(A.np(ops.layer_norm(x).feats)[0], [1, -1], rtol=1e-4)
    np.testing.assert_allclose(A.np(ops.rms_norm(x).feats)[1], np.array([3, 4]) / np.sqrt(12.5), rtol=1e-4)
    half = x.astype("float16")
    assert A.np(ops.layer_norm(half, weight=A.f32([1, 1])).feats).dtype == np.float32
    assert ops.dropout(x, training=False) is x
    for bad, match in (
        (lambda: ops.gelu(x, approximate="no"), "approximate"),
        (lambda: ops.softplus(x, beta=0), "beta must be positive"),
        (lambda: ops.dropout(x, p=1.0), "p must"),
        (lambda: ops.layer_norm(x, eps=0), "eps"),
        (lambda: ops.layer_norm(x, weight=A.f32([1])), "must have shape"),
        (lambda: ops.activation(x.feats, kind="no"), "unknown kind"),
        (lambda: ops.activation(A.f32([1, 2]), kind="relu"), "rank-2"),
        (lambda: ops.linear(x, A.f32([[1]])), "weight"),
    ):
        with pytest.raises(ValueError, match=match):
            bad()


def test_quantized_weights(A):
    rng = np.random.default_rng(3)
    weight = A.f32(rng.normal(size=(8, 3, 3, 3, 32)))
    packed = lattice.quantize_weight(weight, bits=8, group_size=32)
    assert packed.kernel_size == (3, 3, 3) and packed.layout == "dense_5d" and not packed.is_pointwise
    assert tuple(packed.weight.shape) == (27, 8, 8) and A.owns(packed.scales)
    back = lattice.dequantize_weight(packed)
    np.testing.assert_allclose(A.np(back), A.np(weight), atol=0.02)
    again = core.QuantizedWeight(
        packed.weight, packed.scales, packed.biases, 32, 8, 32, 8, (3, 3, 3), "dense_5d"
    )
    x = SparseTensor(A.line(0, 1, 2), A.f32(rng.normal(size=(3, 32))))
    exact = ops.subm_conv3d(x, back)
    for q in (packed, again):
        np.testing.assert_allclose(A.np(ops.subm_conv3d(x, q).feats), A.np(exact.feats), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="bits"):
        lattice.quantize_weight(weight, bits=5)
    with pytest.raises(ValueError, match="group_size must be 32, 64, or 128"):
        lattice.quantize_weight(weight, group_size=33)
    with pytest.raises(ValueError, match="does not support packed weights"):
        ops.normalized_subm_conv3d(x, packed)
    with pytest.raises(ValueError, match="pointwise"):
        ops.linear(x, packed)


def test_entropy(A):
    prob = A.f32([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], [0.25] * 4])
    symbols = A(np.array([0, 3, 2], np.int32))
    cdf = ops.normalized_cdf(prob)
    assert A.np(cdf).view(np.uint16)[0].tolist() == [0, 26214, 45874, 58982, 0]
    stream = ops.range_encode(cdf, symbols)
    assert stream.hex() == "4d4c584745524e473031030000000400000054"
    assert ops.range_encode_from_prob(prob, symbols) == stream
    assert ints(A, ops.range_decode(cdf, stream)) == [0, 3, 2] == ints(A, ops.range_decode_from_prob(prob, stream))
    rans = ops.rans_encode_from_prob(prob, symbols)
    assert rans.hex().endswith("9c20840c") and ints(A, ops.rans_decode_from_prob(prob, rans)) == [0, 3, 2]
    with pytest.raises(ValueError, match="symbol"):
        ops.range_encode(cdf, A(np.array([0, 3, 4], np.int32)))
    with pytest.raises(ValueError):
        ops.rans_decode_from_prob(prob, rans + b"x")


def test_dense(A):
    x = SparseTensor(A.coords([(0, 0, 0, 0), (1, 1, 0, 1)]), A.f32([[1, 2], [3, 4]]))
    dense = x.to_dense(shape=(2, 1, 2))
    assert A.np(dense).shape == (2, 2, 1, 2, 2) and A.np(dense)[1, 1, 0, 1].tolist() == [3, 4]
    bev = ops.to_dense(x, shape=(2, 1, 2), layout="channels_first", fold="z")
    assert A.np(bev).shape == (2, 4, 2, 1)
    back = ops.from_dense(dense)
    assert ints(A, back.coords) == ints(A, x.coords) and A.np(back.feats).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="outside of the box"):
        x.to_dense(shape=1)
    with pytest.raises(ValueError, match="fold"):
        x.to_dense(fold="w")


def test_inverse_convolution(A):
    x = line(A, 0, 1, 4)
    w = A.f32(np.array([1, 10]).reshape(1, 2, 1, 1, 1))
    down = ops.conv3d(x, w, kernel_size=(2, 1, 1), stride=(2, 1, 1))
    up = ops.inverse_conv3d(down, w, kernel_size=(2, 1, 1), stride=(2, 1, 1), coordinates=x)
    assert up.coords is x.coords and A.np(down.feats)[:, 0].tolist() == [21, 3]
    assert A.np(up.feats)[:, 0].tolist() == [21, 210, 3]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(A, dtype):
    if A.name == "numpy" and dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="skipped: ml_dtypes is not installed")
    x = line(A, 0, 1, 2)
    half = x.astype(dtype)
    w = A.cast(A.f32(np.array([1, 2, 3]).reshape(1, 3, 1, 1, 1)), dtype)
    y = ops.conv3d(half, w, kernel_size=(3, 1, 1))
    assert y.dtype == half.dtype and dtype in str(y.dtype)
    assert A.np(A.cast(y.feats, "float32"))[:, 0].tolist() == [8, 14, 8]
    with pytest.raises(ValueError, match="must match feature dtype"):
        ops.conv3d(x, w, kernel_size=(3, 1, 1))


def test_messages_of_the_specification(A):
    x = line(A, 0, 1, 2)
    w = A.f32(np.ones((1, 2, 2, 2, 1)))
    integers = x.replace(feats=A(np.array([[1], [2], [3]], np.int32)))
    for call, match in (
        (lambda: ops.conv3d(integers, w, kernel_size=2), "convolution supports float32 and float16 tensors"),
        (lambda: ops.sum_pool3d(integers), "pooling supports float32 and float16 tensors"),
        (lambda: ops.conv_transpose3d(x, w), "transpose stride must divide the input tensor stride"),
        (lambda: ops.pool_transpose3d(x), "transpose stride must divide input stride"),
        (lambda: ops.pool_transpose3d(x.replace(stride=2), x.replace(stride=4)), "does not match transposed output stride"),
        (lambda: ops.conv3d(x, A.f32(np.ones((1, 27, 1)))), "weight kernel rows must match|weight input channels must match"),
        (lambda: ops.conv3d(x, A.f32(np.ones((1, 3, 3, 3, 5)))), "weight input channels must match x.channels"),
        (lambda: ops.conv3d(x, w), "weight kernel rows must match the convolution kernel"),
        (lambda: ops.conv3d(x, w, A.f32([[1]]), kernel_size=2), "bias must have shape"),
        (lambda: ops.conv3d(x, w, A.f32([1, 2]), kernel_size=2), "bias channels must match output channels"),
        (lambda: ops.conv3d(x, w, kernel_size=0), "kernel_size values must be positive"),
        (lambda: ops.conv3d(x, w, kernel_size=2, stride=-1), "stride values must be positive"),
        (lambda: ops.conv3d(x, w, kernel_size=2, padding=-1), "padding values must be non-negative"),
        (lambda: ops.subm_conv3d(x, w, kernel_size=2), "subm_conv3d requires odd kernel_size values"),
        (lambda: ops.pool3d(x, mode="median"), "mode"),
        (lambda: ops.downsample_coords(x.coords, 0), "stride values must be positive"),
        (lambda: core.triple((1, 2), name="size"), "size must be an int or a 3-tuple"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(TypeError):
        core.triple(1.5, name="size")
