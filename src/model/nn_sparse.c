// The modules of nn.h that change or join supports: pools, algebra, points and voxels, dense arrays.
#include <math.h>

#include "model/nn_internal.h"

// --- pools ----------------------------------------------------------------------------------------------------------

/// Options with defaults filled in, the module named, x and the target checked.
static bool open_pool(lat_nn *nn, const char *op, lat_value x, const lat_nn_pool_opts *opts, lat_nn_pool_opts *o) {
  *o = (lat_nn_pool_opts)LAT_NN_POOL_OPTS_INIT;
  if (!lat__nn_options(nn, opts, sizeof *o, o) || !lat__nn_module(nn, op, NULL)) return false;
  if (!lat__nn_sparse(nn, "x", x) || (o->target && !lat__nn_sparse(nn, "target", o->target))) return false;
  if (!lat__nn_check_support(nn, o->support, &o->bounds)) return false;
  return lat__nn_triple(nn, "kernel_size", &o->kernel_size, 2, 1) && lat__nn_triple(nn, "stride", &o->stride, 2, 1) &&
         lat__nn_triple(nn, "padding", &o->padding, 0, 0) && lat__nn_triple(nn, "dilation", &o->dilation, 1, 1);
}

static void set_window(lat__op *op, const lat_nn_pool_opts *o) {
  lat__op_set_triple(op, LAT__ATTR_KERNEL_SIZE, o->kernel_size);
  lat__op_set_triple(op, LAT__ATTR_STRIDE, o->stride);
  lat__op_set_triple(op, LAT__ATTR_PADDING, o->padding);
  lat__op_set_triple(op, LAT__ATTR_DILATION, o->dilation);
}

lat_value lat_nn_pool3d(lat_nn *nn, lat_value x, lat_pool_mode mode, const lat_nn_pool_opts *opts) {
  lat_nn_pool_opts o;
  if (!open_pool(nn, "pool3d", x, opts, &o)) return 0;
  if (mode < LAT_POOL_SUM || mode > LAT_POOL_AVG || o.target) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "mode and target: got %d and %d, expected a lat_pool_mode and none",
                   (int)mode, (int)o.target);
    return 0;
  }
  lat__type type = *lat__nn_type(nn, "x", x);
  int32_t at = lat__nn_emit(nn, LAT__OP_POOL3D, &x, 1, &type);
  if (at < 0) return 0;
  set_window(lat__nn_op(nn, at), &o);
  lat__op_set_choice(lat__nn_op(nn, at), LAT__ATTR_POOL_MODE, (int32_t)mode);
  lat__nn_set_support(lat__nn_op(nn, at), o.support, o.bounds);
  return lat__nn_result(nn, at);
}

lat_value lat_nn_sum_pool3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts) {
  return lat_nn_pool3d(nn, x, LAT_POOL_SUM, opts);
}

lat_value lat_nn_max_pool3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts) {
  return lat_nn_pool3d(nn, x, LAT_POOL_MAX, opts);
}

lat_value lat_nn_avg_pool3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts) {
  return lat_nn_pool3d(nn, x, LAT_POOL_AVG, opts);
}

lat_value lat_nn_pool_transpose3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts) {
  lat_nn_pool_opts o;
  if (!open_pool(nn, "pool_transpose3d", x, opts, &o)) return 0;
  lat__type type = *lat__nn_type(nn, "x", x);
  const lat_value operands[2] = {x, o.target};
  int32_t at = lat__nn_emit(nn, LAT__OP_POOL_TRANSPOSE3D, operands, 2, &type);
  if (at < 0) return 0;
  set_window(lat__nn_op(nn, at), &o);
  return lat__nn_result(nn, at);
}

lat_value lat_nn_trilinear_upsample3d(lat_nn *nn, lat_value x, const lat_nn_pool_opts *opts) {
  lat_nn_pool_opts o;
  if (!open_pool(nn, "trilinear_upsample3d", x, opts, &o)) return 0;
  lat__type type = *lat__nn_type(nn, "x", x);
  const lat_value operands[2] = {x, o.target};
  int32_t at = lat__nn_emit(nn, LAT__OP_TRILINEAR_UPSAMPLE3D, operands, 2, &type);
  if (at < 0) return 0;
  lat__op_set_triple(lat__nn_op(nn, at), LAT__ATTR_STRIDE, o.stride);
  return lat__nn_result(nn, at);
}

static lat_value global_pool(lat_nn *nn, const char *name, lat_pool_mode mode, lat_value x) {
  if (!lat__nn_module(nn, name, NULL)) return 0;
  const lat__type *sparse = lat__nn_sparse(nn, "x", x);
  if (!sparse) return 0;
  lat__type type = {.kind = LAT__TYPE_TENSOR, .elem = sparse->elem, .rank = 2, .dims = {-1, sparse->channels}};
  int32_t at = lat__nn_emit(nn, LAT__OP_GLOBAL_POOL, &x, 1, &type);
  if (at < 0) return 0;
  lat__op_set_choice(lat__nn_op(nn, at), LAT__ATTR_POOL_MODE, (int32_t)mode);
  lat__op_set_int(lat__nn_op(nn, at), LAT__ATTR_BATCH_SIZE, -1);
  return lat__nn_result(nn, at);
}

lat_value lat_nn_global_sum_pool(lat_nn *nn, lat_value x) {
  return global_pool(nn, "global_sum_pool", LAT_POOL_SUM, x);
}

lat_value lat_nn_global_avg_pool(lat_nn *nn, lat_value x) {
  return global_pool(nn, "global_avg_pool", LAT_POOL_AVG, x);
}

lat_value lat_nn_global_max_pool(lat_nn *nn, lat_value x) {
  return global_pool(nn, "global_max_pool", LAT_POOL_MAX, x);
}

// --- algebra --------------------------------------------------------------------------------------------------------

/// Joins are no modules: they take no number.
static bool open_join(lat_nn *nn, const char *op) {
  if (!nn || nn->status) return false;
  nn->op = op;
  nn->module[0] = 0;
  for (size_t i = 0; nn->path[i]; i++) { // messages and results go by the scope
    nn->module[i] = nn->path[i + 1] ? nn->path[i] : 0;
    nn->module[i + 1] = 0;
  }
  return true;
}

/// The result without a name of its own.
static lat_value unnamed(lat_nn *nn, int32_t op) {
  return op < 0 ? 0 : nn->model->ops[op].results[0] + 1;
}

lat_value lat_nn_binary(lat_nn *nn, lat_value a, lat_value b, const lat_binary_opts *opts) {
  lat_binary_opts o = LAT_BINARY_OPTS_INIT;
  if (!lat__nn_options(nn, opts, sizeof o, &o) || !open_join(nn, "binary")) return 0;
  const lat__type *type = lat__nn_sparse(nn, "a", a);
  if (!type || !lat__nn_sparse(nn, "b", b)) return 0;
  lat_join join = o.join ? o.join : LAT_JOIN_OUTER;
  if (lat_nn_channels(nn, a) != lat_nn_channels(nn, b)) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE,
                   "operands must have matching channels: got %lld and %lld, expected equal",
                   (long long)lat_nn_channels(nn, a), (long long)lat_nn_channels(nn, b));
    return 0;
  }
  if (o.op < LAT_BINARY_ADD || o.op > LAT_BINARY_MINIMUM || join < LAT_JOIN_INNER || join > LAT_JOIN_OUTER) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "op and join: got %d and %d, expected a lat_binary and a lat_join",
                   (int)o.op, (int)join);
    return 0;
  }
  lat__type result = *type;
  const lat_value operands[2] = {a, b};
  int32_t at = lat__nn_emit(nn, LAT__OP_SPARSE_BINARY, operands, 2, &result);
  if (at < 0) return 0;
  lat__op *op = lat__nn_op(nn, at);
  lat__op_set_choice(op, LAT__ATTR_BINARY_OP, (int32_t)o.op);
  lat__op_set_choice(op, LAT__ATTR_JOIN, (int32_t)join - 1);
  lat__op_set_float(op, LAT__ATTR_LHS_FILL, o.lhs_fill);
  lat__op_set_float(op, LAT__ATTR_RHS_FILL, o.rhs_fill);
  return unnamed(nn, at);
}

lat_value lat_nn_add(lat_nn *nn, lat_value a, lat_value b) {
  return lat_nn_binary(nn, a, b, NULL);
}

lat_value lat_nn_cat(lat_nn *nn, const lat_value *values, int64_t n, lat_join join) {
  enum { MOST = 16 };
  if (!open_join(nn, "cat")) return 0;
  if (!values || n < 1 || n > MOST || join < LAT_JOIN_DEFAULT || join > LAT_JOIN_OUTER) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "values and join: got %lld and %d, expected 1 to %d and a lat_join",
                   (long long)n, (int)join, (int)MOST);
    return 0;
  }
  int64_t channels = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!lat__nn_sparse(nn, "values", values[i])) return 0;
    channels += lat_nn_channels(nn, values[i]);
  }
  if (n == 1) return values[0];
  lat__type type = *lat__nn_type(nn, "values", values[0]);
  type.channels = channels;
  int32_t at = lat__nn_emit(nn, LAT__OP_SPARSE_CAT, values, (int32_t)n, &type);
  if (at < 0) return 0;
  lat__op_set_choice(lat__nn_op(nn, at), LAT__ATTR_JOIN, join ? (int32_t)join - 1 : LAT_JOIN_INNER - 1);
  return unnamed(nn, at);
}

lat_value lat_nn_reindex(lat_nn *nn, lat_value x, lat_value target, double fill) {
  if (!open_join(nn, "reindex")) return 0;
  if (!lat__nn_sparse(nn, "x", x) || !lat__nn_sparse(nn, "target", target)) return 0;
  lat__type type = *lat__nn_type(nn, "x", x);
  const lat_value operands[2] = {x, target};
  int32_t at = lat__nn_emit(nn, LAT__OP_SPARSE_REINDEX, operands, 2, &type);
  if (at < 0) return 0;
  lat__op_set_float(lat__nn_op(nn, at), LAT__ATTR_FILL, fill);
  return unnamed(nn, at);
}

lat_value lat_nn_features(lat_nn *nn, lat_value x) {
  if (!open_join(nn, "features") || !lat__nn_sparse(nn, "x", x)) return 0;
  return lat__nn_open(nn, x);
}

lat_value lat_nn_with_features(lat_nn *nn, lat_value x, lat_value features) {
  if (!open_join(nn, "with_features") || !lat__nn_sparse(nn, "x", x)) return 0;
  const lat__type *type = lat__nn_type(nn, "features", features);
  if (!type) return 0;
  if (type->kind != LAT__TYPE_TENSOR || type->rank != 2) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "features: got %s, expected a tensor of rank 2",
                   lat__type_kind_name(type->kind));
    return 0;
  }
  return lat__nn_close(nn, x, features);
}

lat_value lat_nn_concat_reduce(lat_nn *nn, const lat_value *values, int64_t n, lat_duplicates duplicates) {
  enum { MOST = 16 };
  if (!open_join(nn, "concat_reduce")) return 0;
  bool fits = values && n >= 1 && n <= MOST && duplicates >= LAT_DUPLICATES_NONE && duplicates <= LAT_DUPLICATES_MAX;
  if (!fits) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                   "values and duplicates: got %lld and %d, expected 1 to %d and a lat_duplicates", (long long)n,
                   (int)duplicates, (int)MOST);
    return 0;
  }
  for (int64_t i = 0; i < n; i++) {
    if (!lat__nn_sparse(nn, "values", values[i])) return 0;
    if (lat_nn_channels(nn, values[i]) == lat_nn_channels(nn, values[0])) continue;
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "values must have matching channels: got %lld, expected %lld",
                   (long long)lat_nn_channels(nn, values[i]), (long long)lat_nn_channels(nn, values[0]));
    return 0;
  }
  lat__type type = *lat__nn_type(nn, "values", values[0]);
  int32_t at = lat__nn_emit(nn, LAT__OP_CONCAT_REDUCE, values, (int32_t)n, &type);
  if (at < 0) return 0;
  lat__op_set_choice(lat__nn_op(nn, at), LAT__ATTR_DUPLICATES, (int32_t)duplicates);
  return unnamed(nn, at);
}

lat_value lat_nn_to_dense(lat_nn *nn, lat_value x, int32_t zyx, const lat_dense_opts *opts) {
  lat_dense_opts o = LAT_DENSE_OPTS_INIT;
  if (!lat__nn_options(nn, opts, sizeof o, &o) || !lat__nn_module(nn, "to_dense", NULL)) return 0;
  const lat__type *sparse = lat__nn_sparse(nn, "x", x);
  if (!sparse) return 0;
  if (o.layout < LAT_DENSE_CHANNELS_LAST || o.layout > LAT_DENSE_CHANNELS_FIRST || o.fold < LAT_DENSE_FOLD_NONE ||
      o.fold > LAT_DENSE_FOLD_Z || o.outside < LAT_DENSE_OUTSIDE_ERROR || o.outside > LAT_DENSE_OUTSIDE_DROP ||
      o.batch_size < 0) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                   "layout, fold, outside, batch_size: got %d, %d, %d, %lld, expected values of dense.h", (int)o.layout,
                   (int)o.fold, (int)o.outside, (long long)o.batch_size);
    return 0;
  }
  lat__type type = {
      .kind = LAT__TYPE_TENSOR, .elem = sparse->elem, .rank = o.fold ? 4 : 5, .dims = {-1, -1, -1, -1, -1}};
  int32_t at = lat__nn_emit(nn, LAT__OP_TO_DENSE, &x, 1, &type);
  if (at < 0) return 0;
  lat__op *op = lat__nn_op(nn, at);
  lat__op_set_triple(op, LAT__ATTR_MIN_COORD, o.min_coord);
  lat__op_set_triple(op, LAT__ATTR_SHAPE, o.shape);
  lat__op_set_int(op, LAT__ATTR_BATCH_SIZE, o.batch_size ? o.batch_size : -1);
  lat__op_set_choice(op, LAT__ATTR_DENSE_LAYOUT, (int32_t)o.layout);
  lat__op_set_choice(op, LAT__ATTR_FOLD, (int32_t)o.fold);
  lat__op_set_choice(op, LAT__ATTR_OUTSIDE, (int32_t)o.outside);
  if (zyx) lat__op_set_choice(op, LAT__ATTR_AXES, 1);
  return lat__nn_result(nn, at);
}

// --- points ---------------------------------------------------------------------------------------------------------

static bool open_points(lat_nn *nn, const char *name, const lat_nn_points *points, const lat_nn_voxel_opts *opts,
                        lat_nn_voxel_opts *o) {
  *o = (lat_nn_voxel_opts)LAT_NN_VOXEL_OPTS_INIT;
  if (!lat__nn_options(nn, opts, sizeof *o, o) || !lat__nn_module(nn, name, NULL)) return false;
  for (int axis = 0; axis < 3; axis++) {
    if (o->voxel_size[axis] > 0.0 && isfinite(o->voxel_size[axis]) && isfinite(o->origin[axis])) continue;
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                          "voxel_size must be positive: got %g (origin %g), expected finite numbers",
                          o->voxel_size[axis], o->origin[axis]);
  }
  if (!lat__nn_triple(nn, "stride", &o->stride, 1, 1)) return false;
  if (points) {
    return lat__nn_type(nn, "points", points->points) && lat__nn_type(nn, "batch_indices", points->batch_indices) &&
           lat__nn_type(nn, "active", points->active);
  }
  return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "points: got NULL, expected what lat_nn_input_points gave");
}

lat_value lat_nn_voxelize(lat_nn *nn, const lat_nn_points *points, lat_value features, const lat_nn_voxel_opts *opts) {
  lat_nn_voxel_opts o;
  if (!open_points(nn, "voxelize", points, opts, &o)) return 0;
  int64_t channels = lat_nn_channels(nn, features);
  if (channels <= 0 || o.reduction < LAT_VOXEL_MEAN || o.reduction > LAT_VOXEL_MAX) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                   "features and reduction: got %lld channels and %d, expected a rank-2 tensor and a "
                   "lat_voxel_reduction",
                   (long long)channels, (int)o.reduction);
    return 0;
  }
  lat__type type = {.kind = LAT__TYPE_SPARSE, .elem = LAT__ELEM_F32, .channels = channels};
  const lat_value operands[4] = {points->points, features, points->batch_indices, points->active};
  int32_t at = lat__nn_emit(nn, LAT__OP_VOXELIZE, operands, 4, &type);
  if (at < 0) return 0;
  lat__op *op = lat__nn_op(nn, at);
  lat__op_set_reals(op, LAT__ATTR_VOXEL_SIZE, o.voxel_size);
  lat__op_set_reals(op, LAT__ATTR_ORIGIN, o.origin);
  lat__op_set_choice(op, LAT__ATTR_VOXEL_REDUCTION, (int32_t)o.reduction);
  lat__op_set_triple(op, LAT__ATTR_STRIDE, o.stride);
  return lat__nn_result(nn, at);
}

lat_value lat_nn_devoxelize(lat_nn *nn, const lat_nn_points *points, lat_value voxels, const lat_nn_voxel_opts *opts) {
  lat_nn_voxel_opts o;
  if (!open_points(nn, "devoxelize", points, opts, &o) || !lat__nn_sparse(nn, "voxels", voxels)) return 0;
  if (o.interpolation < LAT_INTERPOLATION_LINEAR || o.interpolation > LAT_INTERPOLATION_NEAREST) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "interpolation: got %d, expected a lat_interpolation",
                   (int)o.interpolation);
    return 0;
  }
  lat__type type = {
      .kind = LAT__TYPE_TENSOR, .elem = LAT__ELEM_F32, .rank = 2, .dims = {-1, lat_nn_channels(nn, voxels)}};
  const lat_value operands[4] = {points->points, voxels, points->batch_indices, points->active};
  int32_t at = lat__nn_emit(nn, LAT__OP_DEVOXELIZE, operands, 4, &type);
  if (at < 0) return 0;
  lat__op *op = lat__nn_op(nn, at);
  lat__op_set_reals(op, LAT__ATTR_VOXEL_SIZE, o.voxel_size);
  lat__op_set_reals(op, LAT__ATTR_ORIGIN, o.origin);
  lat__op_set_choice(op, LAT__ATTR_INTERPOLATION, (int32_t)o.interpolation);
  return lat__nn_result(nn, at);
}
