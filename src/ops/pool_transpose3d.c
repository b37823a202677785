// Pools from coarse to fine: the average of all coarse contributors, and trilinear upsampling. Both walk the transposed
// relation of the coarse set, or the transposed geometry onto a target.

#include <stdio.h>

#include <lattice/pool.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/pool_internal.h"

/// The relation of one call and the set its rows live on, both retained.
typedef struct transpose_setup {
  lat__geometry geometry;
  lat_relation *relation;
  lat_coords *out_coords;
  float *kernel_weights; ///< from lat__alloc, or NULL
} transpose_setup;

// --- check_inputs -----------------------------------------------------------------------------------------------------

/// `fine`: the stride of the result.
static lat_status check_stride(const char *op, const lat_tensor *x, lat_triple stride, lat_triple *fine) {
  lat_triple coarse = x->coords->stride;
  *fine = (lat_triple){coarse.x / stride.x, coarse.y / stride.y, coarse.z / stride.z};
  if (coarse.x % stride.x == 0 && coarse.y % stride.y == 0 && coarse.z % stride.z == 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: transpose stride must divide input stride: got (%d, %d, %d), expected divisors of (%d, %d, %d)",
                  op, (int)stride.x, (int)stride.y, (int)stride.z, (int)coarse.x, (int)coarse.y, (int)coarse.z);
}

static lat_status check_target(const char *op, const lat_tensor *target, lat_triple fine) {
  lat_triple got = target->coords->stride;
  char got_text[48], expected_text[48];
  if (got.x == fine.x && got.y == fine.y && got.z == fine.z) return LAT_STATUS_OK;
  snprintf(got_text, sizeof got_text, "(%d, %d, %d)", (int)got.x, (int)got.y, (int)got.z);
  snprintf(expected_text, sizeof expected_text, "(%d, %d, %d)", (int)fine.x, (int)fine.y, (int)fine.z);
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: target stride %s does not match transposed output stride %s: got %s, expected %s", op, got_text,
                  expected_text, got_text, expected_text);
}

// --- infer_output and get_relation ------------------------------------------------------------------------------------

static lat_status get_relation(lat_context *context, const char *op, const lat_tensor *x, const lat_tensor *target,
                               transpose_setup *setup) {
  lat_triple fine;
  lat_status status = check_stride(op, x, setup->geometry.stride, &fine);
  if (status) return status;
  if (!target) {
    return lat__relation_transposed(context, op, x->coords, &setup->geometry, &setup->relation, &setup->out_coords);
  }
  status = check_target(op, target, fine);
  if (!status) {
    status =
        lat__relation_target_transposed(context, op, x->coords, target->coords, &setup->geometry, &setup->relation);
  }
  if (!status) setup->out_coords = lat_coords_retain(target->coords);
  return status;
}

static void close_setup(lat_context *context, transpose_setup *setup) {
  if (context) lat__free(context, setup->kernel_weights);
  lat_relation_release(setup->relation);
  lat_coords_release(setup->out_coords);
}

static lat_status open_average(lat_context *context, const char *op, const lat_tensor *x, const lat_tensor *target,
                               const lat_kernel_opts *opts, transpose_setup *setup) {
  lat_status status = lat__geometry_check(op, opts, &lat__transposed_defaults, &setup->geometry);
  if (!status) status = lat__geometry_check_floor(op, &setup->geometry);
  if (!status) status = get_relation(context, op, x, target, setup);
  return status;
}

/// 1 - |j - (s - 1)| / s.
static float axis_weight(int32_t j, int32_t s) {
  int32_t distance = j < s - 1 ? s - 1 - j : j - (s - 1);
  return (float)(s - distance) / (float)s;
}

static lat_status make_weights(lat_context *context, const char *op, lat_triple stride, transpose_setup *setup) {
  void *memory = NULL;
  lat_status status = lat__alloc_items(context, op, setup->geometry.n_kernels, sizeof(float), &memory);
  if (status) return status;
  float *weight = setup->kernel_weights = memory;
  for (int32_t x = 0; x < 2 * stride.x - 1; x++) {
    for (int32_t y = 0; y < 2 * stride.y - 1; y++) {
      for (int32_t z = 0; z < 2 * stride.z - 1; z++) {
        *weight++ = axis_weight(x, stride.x) * axis_weight(y, stride.y) * axis_weight(z, stride.z);
      }
    }
  }
  return LAT_STATUS_OK;
}

static lat_status open_trilinear(lat_context *context, const char *op, const lat_tensor *x, const lat_tensor *target,
                                 lat_triple stride, transpose_setup *setup) {
  if (stride.x == 0 && stride.y == 0 && stride.z == 0) stride = lat_triple_all(2);
  const int32_t most = INT32_MAX / 2;
  if (stride.x < 1 || stride.y < 1 || stride.z < 1 || stride.x > most || stride.y > most || stride.z > most) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: stride values must be positive: got (%d, %d, %d), expected 1 to "
                    "2^30",
                    op, (int)stride.x, (int)stride.y, (int)stride.z);
  }
  lat_kernel_opts opts = {.struct_bytes = sizeof opts,
                          .kernel_size = {2 * stride.x - 1, 2 * stride.y - 1, 2 * stride.z - 1},
                          .stride = stride,
                          .padding = {stride.x - 1, stride.y - 1, stride.z - 1}};
  lat_status status = lat__geometry_check(op, &opts, NULL, &setup->geometry);
  if (!status) status = make_weights(context, op, stride, setup);
  if (!status) status = get_relation(context, op, x, target, setup);
  return status;
}

// --- run --------------------------------------------------------------------------------------------------------------

static lat__pool_call call_of(const char *op, const lat_tensor *x, const transpose_setup *setup) {
  return (lat__pool_call){op, x, LAT_POOL_AVG, setup->relation, setup->out_coords->n_rows, setup->kernel_weights};
}

/// The result takes the target's declared batch size, or x's where it has none.
static lat_status run_forward(lat_context *context, const char *op, const lat_tensor *x, const lat_tensor *target,
                              const transpose_setup *setup, lat_tensor **out) {
  lat_array *feats = NULL;
  lat__pool_call call = call_of(op, x, setup);
  lat_status status = lat__pool_run(context, &call, x->feats->view.data, &feats);
  const lat_tensor *batches = target && target->batch_size >= 0 ? target : x;
  if (!status) status = lat__tensor_new(context, op, setup->out_coords, feats, batches, out);
  lat_array_release(feats);
  return status;
}

lat_status lat_pool_transpose3d(lat_context *context, const lat_tensor *x, const lat_tensor *target,
                                const lat_kernel_opts *opts, lat_tensor **out) {
  static const char op[] = "pool_transpose3d";
  transpose_setup setup = {.relation = NULL};
  lat_status status = lat__op_check(op, context, "x", x, out);
  if (!status) status = open_average(context, op, x, target, opts, &setup);
  if (!status) status = run_forward(context, op, x, target, &setup, out);
  close_setup(context, &setup);
  return status;
}

lat_status lat_pool_transpose3d_backward(lat_context *context, const lat_tensor *x, const lat_tensor *target,
                                         const lat_kernel_opts *opts, const lat_array_view *grad_out, lat_array **out) {
  static const char op[] = "pool_transpose3d_backward";
  transpose_setup setup = {.relation = NULL};
  lat_status status = lat__array_op_check(op, context, out);
  if (!status) status = lat__tensor_check(op, "x", x);
  if (!status) status = open_average(context, op, x, target, opts, &setup);
  if (!status) {
    lat__pool_call call = call_of(op, x, &setup);
    status = lat__pool_run_grad(context, &call, grad_out, out);
  }
  close_setup(context, &setup);
  return status;
}

lat_status lat_trilinear_upsample3d(lat_context *context, const lat_tensor *x, const lat_tensor *target,
                                    lat_triple stride, lat_tensor **out) {
  static const char op[] = "trilinear_upsample3d";
  transpose_setup setup = {.relation = NULL};
  lat_status status = lat__op_check(op, context, "x", x, out);
  if (!status) status = open_trilinear(context, op, x, target, stride, &setup);
  if (!status) status = run_forward(context, op, x, target, &setup, out);
  close_setup(context, &setup);
  return status;
}

lat_status lat_trilinear_upsample3d_backward(lat_context *context, const lat_tensor *x, const lat_tensor *target,
                                             lat_triple stride, const lat_array_view *grad_out, lat_array **out) {
  static const char op[] = "trilinear_upsample3d_backward";
  transpose_setup setup = {.relation = NULL};
  lat_status status = lat__array_op_check(op, context, out);
  if (!status) status = lat__tensor_check(op, "x", x);
  if (!status) status = open_trilinear(context, op, x, target, stride, &setup);
  if (!status) {
    lat__pool_call call = call_of(op, x, &setup);
    status = lat__pool_run_grad(context, &call, grad_out, out);
  }
  close_setup(context, &setup);
  return status;
}
