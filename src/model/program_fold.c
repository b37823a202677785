// Folding: the batch norm behind a convolution goes into its weight and bias when a program is compiled.
//
//     y = (x W + b - mean) / sqrt(var + eps) * scale + shift = x (W s) + (b - mean) s + shift,   s = scale / sqrt(var + eps)
//
// W s and the new bias are computed in double and rounded once to float32, then to the program's dtype, so a result differs
// from the unfolded one by rounding: n products of float32 by at most (n + 4) 2^-23 (sum |x W s| + |bias|).
#include <math.h>

#include "core/compiler.h"
#include "model/program_internal.h"

static const float *values_of(const lat_program *program, int32_t value) {
  const lat_model *model = program->model;
  lat_array *array = model->parameters[model->ops[model->values[value].op].parameter].dense;
  return array && lat_array_as_view(array).dtype == LAT_DTYPE_F32 ? lat_array_data(array) : NULL;
}

/// The norm's factor of channel c.
static double factor(const float *const norm[4], double eps, int64_t c) {
  return (double)norm[0][c] / sqrt((double)norm[3][c] + eps);
}

/// The array in the program's dtype.
static lat_status narrow(lat_context *context, lat_dtype dtype, const lat_array *array, lat_array **out) {
  lat_array_view view = lat_array_as_view(array);
  if (dtype && dtype != view.dtype) return lat_array_cast(context, &view, dtype, out);
  *out = lat_array_retain(array);
  return LAT_STATUS_OK;
}

/// A dense convolution that nothing divides, with float32 parameters.
static bool foldable(const lat_program *program, const lat__chain *chain, const float *sources[6]) {
  const lat__op *conv = &program->model->ops[chain->conv], *norm = &program->model->ops[chain->norm];
  int32_t first = lat__has_target(conv->kind) ? 2 : 1;
  if (lat__op_attr_of(conv, LAT__ATTR_EPS)) return false;
  sources[0] = values_of(program, conv->operands[first]);
  sources[1] = conv->n_operands > first + 1 ? values_of(program, conv->operands[first + 1]) : NULL;
  if (!sources[0] || (conv->n_operands > first + 1 && !sources[1])) return false;
  for (int32_t i = 0; i < 4; i++) {
    sources[i + 2] = values_of(program, norm->operands[i + 1]);
    if (!sources[i + 2]) return false;
  }
  return true;
}

static lat_status fold(lat_context *context, lat_program *program, lat__chain *chain) {
  lat_status status = LAT_STATUS_OK;
  const lat_model *model = program->model;
  const lat__op *conv = &model->ops[chain->conv];
  const float *sources[6];
  lat_array *weight = NULL, *bias = NULL;
  if (!foldable(program, chain, sources)) return LAT_STATUS_OK;
  int32_t operand = conv->operands[lat__has_target(conv->kind) ? 2 : 1];
  lat_array *dense = model->parameters[model->ops[model->values[operand].op].parameter].dense;
  lat_array_view view = lat_array_as_view(dense);
  int64_t c_out = view.shape[0], each = c_out ? lat_array_count(dense) / c_out : 0;
  double eps = lat__op_float(&model->ops[chain->norm], LAT__ATTR_EPS, 1e-5);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_F32, view.rank, view.shape, 0.0, &weight), done);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_F32, 1, &c_out, 0.0, &bias), done);
  float *w = lat_array_data(weight), *b = lat_array_data(bias);
  for (int64_t c = 0; c < c_out; c++) {
    double s = factor(&sources[2], eps, c);
    for (int64_t i = c * each; i < (c + 1) * each; i++) w[i] = (float)(sources[0][i] * s);
    b[c] = (float)(((sources[1] ? (double)sources[1][c] : 0.0) - sources[4][c]) * s + sources[3][c]);
  }
  LAT_TRY(narrow(context, program->dtype, weight, &chain->folded_weight), done);
  LAT_TRY(narrow(context, program->dtype, bias, &chain->folded_bias), done);
done:
  lat_array_release(weight);
  lat_array_release(bias);
  return status;
}

lat_status lat__program_fold(lat_context *context, lat_program *program) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t i = 0; i < program->n_chains && !status; i++) {
    if (program->chains[i].norm >= 0) status = fold(context, program, &program->chains[i]);
  }
  return status;
}
