// Dropout and its gradient: the same mask from the same options, by a generator that any thread can ask for any element.

#include <math.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/feature_internal.h"

static lat_status check_options(const char *op, const lat_dropout_opts *opts, lat_dropout_opts *o) {
  static const lat_dropout_opts defaults = LAT_DROPOUT_OPTS_INIT;
  lat_status status = lat__opts_copy(op, opts ? opts : &defaults, sizeof *o, o);
  if (status) return status;
  if (!(o->p >= 0.0 && o->p < 1.0)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: p must be in [0, 1): got %g, expected 0 <= p < 1", op, o->p);
  }
  return LAT_STATUS_OK;
}

/// `*out` = x itself where nothing is dropped (in `dtype`), else a new array.
static lat_status run(lat_context *context, const char *op, const lat_dropout_opts *o, const lat_array *x,
                      lat_dtype dtype, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *result = NULL;
  const lat_array_view *view = &x->view;
  int is_identity = !o->training || o->p == 0.0;
  if (is_identity && dtype == view->dtype) {
    *out = lat_array_retain(x);
    return LAT_STATUS_OK;
  }
  LAT_TRY(lat__array_new_2d(context, op, dtype, view->shape[0], view->shape[1], &result), done);
  lat__dropout_desc desc = {.count = lat_array_count(result),
                            .dtype_in = view->dtype,
                            .dtype_out = dtype,
                            .seed = context->seed,
                            .stream = o->stream,
                            .threshold = is_identity ? 0 : (uint64_t)ceil(o->p * 0x1p32),
                            .keep = is_identity ? 1.0 : 1.0 - o->p,
                            .x = view->data,
                            .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->dropout(context, &desc), done);
  *out = lat_array_retain(result);
done:
  lat_array_release(result);
  return status;
}

lat_status lat_dropout(lat_context *context, const lat_tensor *x, const lat_dropout_opts *opts, lat_tensor **out) {
  static const char op[] = "dropout";
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL;
  lat_dropout_opts o;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_options(op, opts, &o), done);
  LAT_TRY(run(context, op, &o, x->feats, lat_tensor_dtype(x), &feats), done);
  LAT_TRY(lat__tensor_new(context, op, x->coords, feats, x, out), done);
done:
  lat_array_release(feats);
  return status;
}

lat_status lat_dropout_backward(lat_context *context, const lat_tensor *x, const lat_array_view *grad_out,
                                const lat_dropout_opts *opts, lat_array **grad_x) {
  static const char op[] = "dropout_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *grad = NULL;
  lat_dropout_opts o;
  LAT_TRY(lat__array_op_check(op, context, grad_x), done);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  LAT_TRY(check_options(op, opts, &o), done);
  LAT_TRY(lat__grad_view(context, op, grad_out, lat_tensor_count(x), lat_tensor_channels(x), &grad), done);
  // The view belongs to the caller: an identity must not hand it back as an owned array.
  if (!o.training || o.p == 0.0) {
    LAT_TRY(lat_array_cast(context, grad_out, lat_tensor_dtype(x), grad_x), done);
  } else {
    LAT_TRY(run(context, op, &o, grad, lat_tensor_dtype(x), grad_x), done);
  }
done:
  lat_array_release(grad);
  return status;
}
