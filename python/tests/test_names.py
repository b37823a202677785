"""Every exported name of semantics section 14 with the signature that sections 1 to 11 give it."""
import importlib
import inspect
import re

import pytest
from conftest import need, shared

import lattice

MODULES = {
    "mlx_lattice": "lattice",
    "mlx_lattice.core": "lattice.core",
    "mlx_lattice.core.coords": "lattice.core.coords",
    "mlx_lattice.core.relations": "lattice.core.relations",
    "mlx_lattice.ops": "lattice.ops",
    "mlx_lattice.ops.coords": "lattice.ops.coords",
    "mlx_lattice.artifact": "lattice.artifact",
}


def text():
    return open(shared("spec", "semantics.md"), encoding="utf-8").read()


@pytest.mark.parametrize("theirs", sorted(MODULES))
def test_names_of_module(theirs):
    found = re.search(rf"^### `{re.escape(theirs)}` — (\d+) names\n(.*?)(?=^### |\Z)", text(), re.M | re.S)
    names = re.findall(r"^\| `(\w+)` \|", found.group(2), re.M)
    assert len(names) == int(found.group(1))
    ours = importlib.import_module(MODULES[theirs])
    assert [name for name in names if not hasattr(ours, name)] == []
    assert [name for name in names if name not in ours.__all__] == []
    for name in names:
        value = getattr(ours, name)
        if inspect.isfunction(value) or inspect.isclass(value) and value.__module__.startswith("lattice"):
            assert value.__doc__, name


@pytest.mark.parametrize("framework", ["numpy", "torch", "mlx"])
def test_names_of_nn(framework):
    need(framework)
    section = re.search(r"^### `mlx_lattice.nn` — 33 names\n(.*?)(?=^### )", text(), re.M | re.S).group(1)
    names = re.findall(r"`(\w+)`", section.split(":", 1)[1])
    assert len(names) == 33
    nn = importlib.import_module(f"lattice.{framework}.nn")
    assert [name for name in names if not hasattr(nn, name)] == []


# name(arguments) as the specification writes it; what follows a star is keyword-only there and here.
SIGNATURES = """
downsample_coords(coords, stride=2)
build_sparse_alignment(lhs_coords, lhs_active_rows, rhs_coords, rhs_active_rows, *, join='inner')
align_sparse(lhs, rhs, *, join='inner')
build_kernel_relation(coords, active_rows=None, kernel_size=3, stride=1, padding=0, dilation=1)
build_submanifold_kernel_relation(coords, active_rows=None, kernel_size=3, dilation=1)
build_generative_relation(coords, active_rows=None, kernel_size=2, stride=2)
build_transposed_kernel_relation(coords, active_rows=None, kernel_size=2, stride=2, padding=0, dilation=1)
build_target_kernel_relation(coords, target_coords, *, active_rows=None, target_active_rows=None, kernel_size=3, stride=1, padding=0, dilation=1)
build_knn_relation(source_coords, query_coords=None, *, source_active_rows=None, query_active_rows=None, k)
build_radius_relation(source_coords, query_coords=None, *, source_active_rows=None, query_active_rows=None, radius, max_neighbors=None)
kernel_offsets(kernel_size, dilation=1)
kernel_relation(x, *, kernel_size=3, stride=1, padding=0, dilation=1)
submanifold_kernel_relation(x, *, kernel_size=3, dilation=1)
generative_kernel_relation(x, *, kernel_size=2, stride=2)
transposed_kernel_relation(x, *, kernel_size=2, stride=2, padding=0, dilation=1)
target_kernel_relation(x, target, *, kernel_size=3, stride=1, padding=0, dilation=1)
knn_relation(source, query=None, *, k)
radius_relation(source, query=None, *, radius, max_neighbors=None)
gather_neighbor_features(source, relation)
conv3d(x, weight, bias=None, *, kernel_size=3, stride=1, padding=0, dilation=1, coordinates=None)
subm_conv3d(x, weight, bias=None, *, kernel_size=3, dilation=1)
conv_transpose3d(x, weight, bias=None, *, kernel_size=2, stride=2, padding=0, dilation=1, coordinates=None)
generative_conv_transpose3d(x, weight, bias=None, *, kernel_size=2, stride=2, coordinates=None)
normalized_subm_conv3d(x, weight, bias=None, *, kernel_size=3, dilation=1, eps=1e-8)
normalized_conv_transpose3d(x, weight, bias=None, *, kernel_size=2, stride=2, padding=0, dilation=1, eps=1e-8, coordinates=None)
normalized_generative_conv_transpose3d(x, weight, bias=None, *, kernel_size=2, stride=2, eps=1e-8, coordinates=None)
pool3d(x, *, mode='sum', kernel_size=2, stride=2, padding=0, dilation=1)
sum_pool3d(x, *, kernel_size=2, stride=2, padding=0, dilation=1)
max_pool3d(x, *, kernel_size=2, stride=2, padding=0, dilation=1)
avg_pool3d(x, *, kernel_size=2, stride=2, padding=0, dilation=1)
pool_transpose3d(x, target=None, *, kernel_size=2, stride=2, padding=0, dilation=1)
trilinear_upsample3d(x, target=None, *, stride=2)
global_pool(x, *, mode='sum', batch_size=None)
global_sum_pool(x, *, batch_size=None)
global_avg_pool(x, *, batch_size=None)
global_max_pool(x, *, batch_size=None)
linear(x, weight, bias=None)
linear_features(x, weight, bias=None)
activation(x, *, kind, approximate='none', alpha=0.01, beta=1.0, threshold=20.0)
leaky_relu(x, *, negative_slope=0.01)
gelu(x, *, approximate='none')
softplus(x, *, beta=1.0, threshold=20.0)
dropout(x, *, p=0.5, training=True)
batch_norm(x, *, weight=None, bias=None, mean=None, var=None, eps=1e-5)
batch_norm_features(x, scale, bias, mean, var, *, eps=1e-5)
layer_norm(x, *, weight=None, bias=None, eps=1e-5)
layer_norm_features(x, scale, bias, *, eps=1e-5)
rms_norm(x, *, weight=None, eps=1e-5)
rms_norm_features(x, scale, *, eps=1e-5)
sparse_from_coordinates(coords, feats, *, stride=1, batch_counts=None, duplicate_reduction='none')
sparse_collate(coords, feats, *, stride=1, duplicate_reduction='none')
gather_aligned_features(x, rows, *, fill=0.0)
reindex_sparse(input, target, *, fill=0.0)
sparse_binary_op(lhs, rhs, op, *, join='outer', lhs_fill=0.0, rhs_fill=0.0)
sparse_binary(lhs, rhs, op, *, join='outer', lhs_fill=0.0, rhs_fill=0.0)
sparse_add(lhs, rhs, *, join='outer')
sparse_sub(lhs, rhs, *, join='outer')
sparse_mul(lhs, rhs, *, join='inner')
sparse_maximum(lhs, rhs, *, join='inner')
sparse_minimum(lhs, rhs, *, join='inner')
sparse_cat_aligned(lhs, rhs, *, join='inner')
cat(tensors, *, join='inner')
prune(x, rows)
prune_mask(x, mask)
crop(x, *, min_coord, max_coord)
topk_rows(x, counts, *, rho=1.0)
replace_feature(x, feats)
sparse_quantize(points, voxel_size=1.0, *, batch_indices=None, origin=0.0, active_rows=None)
voxelize(points, feats, voxel_size=1.0, *, batch_indices=None, origin=0.0, active_rows=None, reduction='mean', stride=1)
voxelize_with_quantization(quantization, feats, *, active_rows=None, reduction='mean', stride=1, template=None)
build_point_voxel_map(points, voxel_coords, voxel_active_rows, voxel_size=1.0, *, batch_indices=None, point_active_rows=None, origin=0.0, interpolation='linear')
interpolate_point_features(voxel_feats, map)
devoxelize(points, voxels, voxel_size=1.0, *, batch_indices=None, point_active_rows=None, origin=0.0, interpolation='linear', point_voxel_map=None)
occupancy_downsample(coords, active_rows=None)
occupancy_expand(coords, occupancy, active_rows=None)
child_coords_from_indices(parent_coords, child_indices)
"""
RENAMED = {"map": "point_voxel_map"}  # it would hide the built-in


def expected(arguments):
    keyword_only, found = False, []
    for part in filter(None, (p.strip() for p in arguments.split(", "))):
        if part == "*":
            keyword_only = True
            continue
        name, _, default = part.partition("=")
        value = inspect.Parameter.empty if not default else eval(default)
        found.append((RENAMED.get(name, name), value, keyword_only))
    return found


@pytest.mark.parametrize("line", SIGNATURES.strip().splitlines(), ids=lambda line: line.split("(")[0])
def test_signature(line):
    name, arguments = re.fullmatch(r"(\w+)\((.*)\)", line).groups()
    parameters = list(inspect.signature(getattr(lattice.ops, name)).parameters.values())
    wanted = expected(arguments)
    for (what, default, keyword_only), parameter in zip(wanted, parameters):
        assert parameter.name == what
        assert parameter.default == default
        assert (parameter.kind is inspect.Parameter.KEYWORD_ONLY) == keyword_only
    # What this library adds comes after, by keyword, and may be left out.
    for parameter in parameters[len(wanted) :]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is not inspect.Parameter.empty


def test_coordinate_signatures():
    view = inspect.signature(lattice.core.coords.build_target_transposed_implicit_gemm_view).parameters
    assert list(view) == [
        "source_coords", "target_coords", "source_active_rows", "target_active_rows", "kernel_size", "stride", "padding", "dilation",
    ]  # fmt: skip
    assert str(inspect.signature(lattice.core.triple)).startswith("(value: ")
    assert list(inspect.signature(lattice.core.coords.validate_coords).parameters) == ["coords", "name"]
    assert list(inspect.signature(lattice.SparseTensor).parameters) == [
        "coords", "feats", "stride", "coord_key", "coord_manager", "batch_counts", "active_rows",
    ]  # fmt: skip


def test_backend_info():
    info = lattice.backend_info()
    assert set(info) == {"version", "capabilities"} and info["version"] == lattice.__version__
    assert set(info["capabilities"]) == {"cpu", "metal", "mlir"}
    assert all(isinstance(v, bool) for v in info["capabilities"].values()) and info["capabilities"]["cpu"]


def test_use():
    lattice.use("numpy")
    assert lattice.nn.Conv3d.__module__ == "lattice.numpy.nn"
    with pytest.raises(ValueError, match="framework"):
        lattice.use("other")
