// Points and voxels in a program, and the table of what runs each operation.
#include <string.h>

#include <lattice/points.h>

#include "core/compiler.h"
#include "model/program_internal.h"

/// The points of an operation that take part: the first `active` ones.
typedef struct point_input {
  lat_array_view points, batch;
  lat_voxel_grid grid;
  int64_t n_points, n_active;
} point_input;

/// Operands 0, 2 and 3 of voxelize and devoxelize, and their grid.
static lat_status open_points(lat_session *session, const lat__op *op, point_input *in) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__run_view(session, op->operands[0], &in->points), done);
  LAT_TRY(lat__run_view(session, op->operands[2], &in->batch), done);
  if (in->points.rank != 2 || in->batch.rank != 1 || in->batch.shape[0] != in->points.shape[0]) {
    status =
        lat_fail(LAT_STATUS_INVALID_SHAPE, "points and batch_indices must have matching rows: got %lld, expected %lld",
                 (long long)in->batch.shape[0], (long long)in->points.shape[0]);
    goto done;
  }
  in->n_points = in->points.shape[0];
  LAT_TRY(lat__run_active(session, op->operands[3], in->n_points, &in->n_active), done);
  in->points.shape[0] = in->n_active;
  in->batch.shape[0] = in->n_active;
  memcpy(in->grid.voxel_size, lat__op_attr_of(op, LAT__ATTR_VOXEL_SIZE)->u.f64, sizeof in->grid.voxel_size);
  memcpy(in->grid.origin, lat__op_attr_of(op, LAT__ATTR_ORIGIN)->u.f64, sizeof in->grid.origin);
  in->grid.batch_indices = &in->batch;
done:
  return status;
}

lat_status lat__run_voxelize(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  point_input in;
  lat_array_view feats;
  lat_quantization *quantization = NULL;
  lat_tensor *voxels = NULL;
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  LAT_TRY(open_points(session, op, &in), done);
  LAT_TRY(lat__run_view(session, op->operands[1], &feats), done);
  if (feats.rank != 2 || feats.shape[0] != in.n_points) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE, "points and features must have matching rows: got %lld, expected %lld",
                      (long long)feats.shape[0], (long long)in.n_points);
    goto done;
  }
  feats.shape[0] = in.n_active;
  opts.reduction = (lat_voxel_reduction)lat__op_choice(op, LAT__ATTR_VOXEL_REDUCTION, LAT_VOXEL_MEAN);
  opts.stride = lat__op_triple(op, LAT__ATTR_STRIDE, lat_triple_all(1));
  LAT_TRY(lat_sparse_quantize(session->context, &in.points, &in.grid, &quantization), done);
  LAT_TRY(lat_voxelize_quantized(session->context, quantization, &feats, &opts, &voxels), done);
  lat__run_give(session, op->results[0], voxels, NULL);
done:
  lat_quantization_release(quantization);
  return status;
}

/// Rows of zeros behind the active ones.
static lat_status pad_rows(lat_context *context, int64_t n_rows, lat_array **rows) {
  lat_array_view view = lat_array_as_view(*rows);
  const int64_t shape[2] = {n_rows, view.shape[1]};
  lat_array *padded = NULL;
  lat_status status = lat_array_full(context, view.dtype, 2, shape, 0.0, &padded);
  if (status) return status;
  status = lat_array_copy_to(&view, lat_array_data(padded),
                             (size_t)(view.shape[0] * view.shape[1]) * lat_dtype_bytes(view.dtype));
  lat_array_release(*rows);
  *rows = padded;
  return status;
}

lat_status lat__run_devoxelize(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  point_input in;
  lat_array *rows = NULL;
  const lat_tensor *voxels = session->slots[op->operands[1]].tensor;
  lat_interpolation how = (lat_interpolation)lat__op_choice(op, LAT__ATTR_INTERPOLATION, LAT_INTERPOLATION_LINEAR);
  LAT_TRY(open_points(session, op, &in), done);
  LAT_TRY(lat_devoxelize(session->context, &in.points, voxels, &in.grid, how, &rows), done);
  if (in.n_active < in.n_points) LAT_TRY(pad_rows(session->context, in.n_points, &rows), done);
  lat__run_give(session, op->results[0], NULL, rows);
  rows = NULL;
done:
  lat_array_release(rows);
  return status;
}

static const lat__run_fn functions[LAT__N_OPS] = {
    [LAT__OP_SPARSE_MAKE] = lat__run_make,
    [LAT__OP_SPARSE_DECOMPOSE] = lat__run_decompose,
    [LAT__OP_SPARSE_WITH_FEATURES] = lat__run_with_features,
    [LAT__OP_SPARSE_REINDEX] = lat__run_reindex,
    [LAT__OP_CONV3D] = lat__run_conv,
    [LAT__OP_SUBM_CONV3D] = lat__run_conv,
    [LAT__OP_NORMALIZED_SUBM_CONV3D] = lat__run_conv,
    [LAT__OP_TARGET_CONV3D] = lat__run_conv,
    [LAT__OP_CONV_TRANSPOSE3D] = lat__run_conv,
    [LAT__OP_TARGET_CONV_TRANSPOSE3D] = lat__run_conv,
    [LAT__OP_NORMALIZED_CONV_TRANSPOSE3D] = lat__run_conv,
    [LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D] = lat__run_conv,
    [LAT__OP_GENERATIVE_CONV_TRANSPOSE3D] = lat__run_conv,
    [LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D] = lat__run_conv,
    [LAT__OP_POOL3D] = lat__run_pool,
    [LAT__OP_POOL_TRANSPOSE3D] = lat__run_pool,
    [LAT__OP_TRILINEAR_UPSAMPLE3D] = lat__run_pool,
    [LAT__OP_GLOBAL_POOL] = lat__run_global_pool,
    [LAT__OP_VOXELIZE] = lat__run_voxelize,
    [LAT__OP_DEVOXELIZE] = lat__run_devoxelize,
    [LAT__OP_LINEAR] = lat__run_linear,
    [LAT__OP_EMBEDDING_LOOKUP] = lat__run_embedding,
    [LAT__OP_ELEMENTWISE] = lat__run_elementwise,
    [LAT__OP_SOFTMAX] = lat__run_softmax,
    [LAT__OP_ACTIVATION] = lat__run_activation,
    [LAT__OP_BATCH_NORM] = lat__run_norm,
    [LAT__OP_LAYER_NORM] = lat__run_norm,
    [LAT__OP_RMS_NORM] = lat__run_norm,
    [LAT__OP_SPARSE_BINARY] = lat__run_binary,
    [LAT__OP_SPARSE_CAT] = lat__run_cat,
    [LAT__OP_INSTANCE_NORM] = lat__run_norm,
    [LAT__OP_GROUP_NORM] = lat__run_norm,
    [LAT__OP_TO_DENSE] = lat__run_to_dense,
    [LAT__OP_CONCAT_REDUCE] = lat__run_concat_reduce,
    [LAT__OP_DROPOUT] = lat__run_dropout,
};

lat__run_fn lat__run_fn_of(lat__op_kind kind) {
  return functions[kind];
}
