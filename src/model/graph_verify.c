// The rules of a graph that the table of operations cannot say by itself: semantics 12.4, and docs/artifact.md for what
// version 3 adds. Graphs that were read and graphs that were built go through the same checks.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "model/artifact.h"
#include "model/graph_text.h"
#include "model/model_file.h"

/// The operation under check.
typedef struct check {
  const char *label;
  const lat_model *model;
  const lat__op *op;
  const lat__op_desc *desc;
  int32_t index;
} check;

static lat_status fail(const check *c, const char *format, ...) LAT_PRINTF(2, 3);

static lat_status fail(const check *c, const char *format, ...) {
  char what[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  if (c->op->line > 0) {
    return lat__text_fail(c->label, c->op->line, c->op->column, "lattice.%s%s", c->desc->name, what);
  }
  return lat_fail(LAT_STATUS_BAD_DATA, "%s: operation %d: lattice.%s%s", c->label, (int)c->index, c->desc->name, what);
}

// --- operands and attributes ----------------------------------------------------------------------------------------

static const lat__type *operand_type(const check *c, int32_t index) {
  return &c->model->values[c->op->operands[index]].type;
}

static const lat__type *result_type(const check *c, int32_t index) {
  return &c->model->values[c->op->results[index]].type;
}

/// What the table says of operand `index`; the last one may repeat.
static const lat__operand_desc *operand_desc(const check *c, int32_t index) {
  return &c->desc->operands[index < c->desc->n_operands ? index : c->desc->n_operands - 1];
}

static lat_status check_operands(const check *c) {
  int32_t least = lat__op_least_operands(c->desc, 3), most = c->desc->n_operands;
  if (c->op->n_operands < least || (c->op->n_operands > most && !c->desc->repeats)) {
    return fail(c, ": SSA operands: got %d, expected %d to %d", c->op->n_operands, least, most);
  }
  for (int32_t i = 0; i < c->op->n_operands; i++) {
    const lat__operand_desc *desc = operand_desc(c, i);
    int32_t value = c->op->operands[i];
    if (value < 0 || value >= c->model->n_values || c->model->values[value].op >= c->index) {
      return fail(c, ": uses undefined value: operand %s", desc->name);
    }
    const lat__type *type = operand_type(c, i);
    if (type->kind != desc->kind) {
      return fail(c, ": operand %s: got %s, expected %s", desc->name, lat__type_kind_name(type->kind),
                  lat__type_kind_name(desc->kind));
    }
    if (desc->kind == LAT__TYPE_WEIGHT && type->family != desc->family) {
      return fail(c, ": operand %s: got weight family %s, expected %s", desc->name, lat__family_name(type->family),
                  lat__family_name(desc->family));
    }
  }
  return LAT_STATUS_OK;
}

static lat_status check_ints(const check *c, const lat__attr_desc *desc, const int64_t *values, int n) {
  for (int i = 0; i < n; i++) {
    int64_t value = values[i];
    const char *expected = NULL;
    if (desc->range == LAT__RANGE_POSITIVE && value <= 0) expected = "positive";
    if (desc->range == LAT__RANGE_NOT_NEGATIVE && value < 0) expected = "non-negative";
    if (desc->range == LAT__RANGE_FROM_MINUS_ONE && value < -1) expected = "-1 or more";
    if (!expected && n == 3 && (value > INT32_MAX || value < INT32_MIN)) expected = "32-bit numbers";
    if (expected) return fail(c, ": %s must be %s: got %lld", desc->name, expected, (long long)value);
  }
  return LAT_STATUS_OK;
}

static lat_status check_reals(const check *c, const lat__attr_desc *desc, const double *values, int n) {
  for (int i = 0; i < n; i++) {
    double value = values[i];
    // Written so that NaN fails too.
    if (desc->range == LAT__RANGE_POSITIVE && !(value > 0.0)) {
      return fail(c, ": %s must be positive: got %g", desc->name, value);
    }
    if (desc->range == LAT__RANGE_NOT_NEGATIVE && !(value >= 0.0)) {
      return fail(c, ": %s must be non-negative: got %g", desc->name, value);
    }
  }
  return LAT_STATUS_OK;
}

static lat_status check_attrs(const check *c) {
  lat_status status = LAT_STATUS_OK;
  for (int32_t i = 0; i < c->desc->n_attrs; i++) {
    const lat__attr *attr = &c->op->attrs[i];
    const lat__attr_desc *desc = &lat__attr_table[c->desc->attrs[i].key];
    if (!attr->present && c->desc->attrs[i].key == LAT__ATTR_ACCUMULATION) {
      return fail(c, " requires accumulation = \"canonical_f32\": missing required attrs: accumulation");
    }
    if (!attr->present && !c->desc->attrs[i].optional) return fail(c, ": missing required attrs: %s", desc->name);
    if (!attr->present) continue;
    if (desc->kind == LAT__ATTR_KIND_INT) LAT_TRY(check_ints(c, desc, attr->u.i64, 1), done);
    if (desc->kind == LAT__ATTR_KIND_INTS) LAT_TRY(check_ints(c, desc, attr->u.i64, 3), done);
    if (desc->kind == LAT__ATTR_KIND_FLOAT) LAT_TRY(check_reals(c, desc, attr->u.f64, 1), done);
    if (desc->kind == LAT__ATTR_KIND_FLOATS) LAT_TRY(check_reals(c, desc, attr->u.f64, 3), done);
  }
done:
  return status;
}

// --- types ----------------------------------------------------------------------------------------------------------

/// Fails unless a tensor has `rank` axes, `elem` elements and (where `last` is not negative) `last` as its last length.
static lat_status check_tensor(const check *c, const char *name, const lat__type *type, int32_t rank, lat__elem elem,
                               int64_t last) {
  char got[LAT__TYPE_TEXT_BYTES];
  lat__type wanted = {.kind = LAT__TYPE_TENSOR, .elem = elem, .rank = rank, .dims = {-1, -1, -1, -1, -1, -1}};
  bool fits = type->rank == rank && type->elem == elem;
  if (last >= 0) wanted.dims[rank - 1] = last;
  // An unknown length may turn out right where it is not part of the convention (x, y, z).
  if (fits && last >= 0) fits = type->dims[rank - 1] == last;
  if (fits) return LAT_STATUS_OK;
  char expected[LAT__TYPE_TEXT_BYTES];
  return fail(c, ": %s: got %s, expected %s", name, lat__type_text(type, got, sizeof got),
              lat__type_text(&wanted, expected, sizeof expected));
}

static lat_status check_elem(const check *c, const char *name, lat__elem got, const char *other, lat__elem expected) {
  if (got == expected) return LAT_STATUS_OK;
  return fail(c, ": %s dtype must match %s: got %s, expected %s", name, other, lat__elem_name(got),
              lat__elem_name(expected));
}

static lat_status check_rank_2(const check *c, const char *name, const lat__type *type) {
  if (type->rank == 2) return LAT_STATUS_OK;
  return fail(c, ": %s must have rank 2: got %d", name, (int)type->rank);
}

/// Static row counts of the first `n` operands agree.
static lat_status check_rows(const check *c, const int32_t *operands, int n) {
  int64_t rows = -1;
  for (int i = 0; i < n; i++) {
    int64_t own = operand_type(c, operands[i])->dims[0];
    if (own >= 0 && rows >= 0 && own != rows) {
      return fail(c, ": static row counts must agree: got %lld and %lld", (long long)rows, (long long)own);
    }
    if (own >= 0) rows = own;
  }
  return LAT_STATUS_OK;
}

// --- rules of single operations -------------------------------------------------------------------------------------

static lat_status check_weight(const check *c) {
  const lat__attr *key = lat__op_attr_of(c->op, LAT__ATTR_STORAGE_KEY);
  const lat__packing packing = lat__op_attr_of(c->op, LAT__ATTR_PACKING)->u.packing;
  lat__family family = result_type(c, 0)->family;
  int32_t layout = lat__op_choice(c->op, LAT__ATTR_LAYOUT, 0);
  if (!key->u.text || !key->u.text[0]) return fail(c, ": storage_key must be non-empty");
  if (layout != (int32_t)family) {
    return fail(c, ": layout %s does not belong to weight family %s",
                lat__attr_table[LAT__ATTR_LAYOUT].words->words[layout], lat__family_name(family));
  }
  if (packing.bits && family != LAT__FAMILY_CONV3D && family != LAT__FAMILY_LINEAR) {
    return fail(c, ": int%d packing needs weight family conv3d or linear: got %s", (int)packing.bits,
                lat__family_name(family));
  }
  if (packing.bits && packing.group_size <= 0) {
    return fail(c, ": packing: group_size must be positive: got %d", (int)packing.group_size);
  }
  return LAT_STATUS_OK;
}

static lat_status check_make(const check *c) {
  lat_status status = LAT_STATUS_OK;
  const lat__type *active = operand_type(c, 2);
  LAT_TRY(check_tensor(c, "coords", operand_type(c, 0), 2, LAT__ELEM_I32, 4), done);
  LAT_TRY(check_rank_2(c, "features", operand_type(c, 1)), done);
  LAT_TRY(check_tensor(c, "active", active, 1, LAT__ELEM_I32, 1), done);
  LAT_TRY(check_rows(c, (const int32_t[]){0, 1}, 2), done);
  LAT_TRY(check_elem(c, "result", result_type(c, 0)->elem, "features", operand_type(c, 1)->elem), done);
done:
  return status;
}

static lat_status check_decompose(const check *c) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(check_tensor(c, "result coords", result_type(c, 0), 2, LAT__ELEM_I32, 4), done);
  LAT_TRY(check_rank_2(c, "result features", result_type(c, 1)), done);
  LAT_TRY(check_elem(c, "result features", result_type(c, 1)->elem, "input", operand_type(c, 0)->elem), done);
  LAT_TRY(check_tensor(c, "result active", result_type(c, 2), 1, LAT__ELEM_I32, 1), done);
done:
  return status;
}

static lat_status check_with_features(const check *c) {
  lat_status status = check_rank_2(c, "features", operand_type(c, 1));
  if (!status) status = check_elem(c, "result", result_type(c, 0)->elem, "features", operand_type(c, 1)->elem);
  return status;
}

/// All operands and the result have one dtype.
static lat_status check_same_elem(const check *c) {
  lat_status status = LAT_STATUS_OK;
  for (int32_t i = 0; i < c->op->n_operands; i++) {
    if (operand_desc(c, i)->kind != LAT__TYPE_SPARSE) continue;
    LAT_TRY(check_elem(c, operand_desc(c, i)->name, operand_type(c, i)->elem, "result", result_type(c, 0)->elem), done);
  }
done:
  return status;
}

static lat_status check_conv(const check *c) {
  const lat__attr *kernel = lat__op_attr_of(c->op, LAT__ATTR_KERNEL_SIZE);
  const lat__attr *bounds = lat__op_attr_of(c->op, LAT__ATTR_BOUNDS);
  bool subm = c->op->kind == LAT__OP_SUBM_CONV3D || c->op->kind == LAT__OP_NORMALIZED_SUBM_CONV3D;
  for (int i = 0; subm && i < 3; i++) {
    if (kernel->u.i64[i] % 2 == 0) {
      return fail(c, ": kernel_size must be odd: got %lld", (long long)kernel->u.i64[i]);
    }
  }
  if (bounds && bounds->present && lat__op_choice(c->op, LAT__ATTR_SUPPORT, 0) != 1) {
    return fail(c, ": bounds need support = #lattice.support<reach>");
  }
  return LAT_STATUS_OK;
}

static lat_status check_global_pool(const check *c) {
  lat_status status = check_rank_2(c, "result", result_type(c, 0));
  if (!status) status = check_elem(c, "result", result_type(c, 0)->elem, "input", operand_type(c, 0)->elem);
  return status;
}

/// Points, batch indices and active rows of voxelize and devoxelize.
static lat_status check_points(const check *c) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(check_tensor(c, "points", operand_type(c, 0), 2, LAT__ELEM_F32, 3), done);
  LAT_TRY(check_tensor(c, "batch_indices", operand_type(c, 2), 1, LAT__ELEM_I32, -1), done);
  LAT_TRY(check_tensor(c, c->desc->operands[3].name, operand_type(c, 3), 1, LAT__ELEM_I32, 1), done);
  if (c->op->kind == LAT__OP_VOXELIZE) {
    LAT_TRY(check_tensor(c, "features", operand_type(c, 1), 2, LAT__ELEM_F32, -1), done);
    LAT_TRY(check_rows(c, (const int32_t[]){0, 1, 2}, 3), done);
    LAT_TRY(check_elem(c, "result", result_type(c, 0)->elem, "features", LAT__ELEM_F32), done);
  } else {
    LAT_TRY(check_rows(c, (const int32_t[]){0, 2}, 2), done);
    LAT_TRY(check_tensor(c, "result", result_type(c, 0), 2, LAT__ELEM_F32, -1), done);
    LAT_TRY(check_elem(c, "result", result_type(c, 0)->elem, "voxels", operand_type(c, 1)->elem), done);
  }
done:
  return status;
}

/// linear, activations, norms: rank 2 in and out, equal elements.
static lat_status check_rows_in_rows_out(const check *c) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(check_rank_2(c, "input", operand_type(c, 0)), done);
  LAT_TRY(check_rank_2(c, "result", result_type(c, 0)), done);
  LAT_TRY(check_elem(c, "result", result_type(c, 0)->elem, "input", operand_type(c, 0)->elem), done);
done:
  return status;
}

static lat_status check_batch_norm(const check *c) {
  if (c->op->n_operands == 4) return fail(c, ": SSA operands: got mean without var, expected both or none");
  return check_rows_in_rows_out(c);
}

/// elementwise and softmax: float32.
static lat_status check_f32_rows(const check *c) {
  lat_status status = LAT_STATUS_OK;
  int64_t axis = lat__op_int(c->op, LAT__ATTR_AXIS, 1);
  LAT_TRY(check_tensor(c, "input", operand_type(c, 0), 2, LAT__ELEM_F32, -1), done);
  LAT_TRY(check_tensor(c, "result", result_type(c, 0), 2, LAT__ELEM_F32, -1), done);
  if (axis != 1 && axis != -1) return fail(c, ": axis must be -1 or 1: got %lld", (long long)axis);
done:
  return status;
}

static lat_status check_embedding(const check *c) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(check_tensor(c, "input", operand_type(c, 0), 1, LAT__ELEM_I32, -1), done);
  LAT_TRY(check_tensor(c, "result", result_type(c, 0), 2, LAT__ELEM_F32, -1), done);
done:
  return status;
}

static lat_status check_dropout(const check *c) {
  double p = lat__op_float(c->op, LAT__ATTR_P, 0.0);
  if (p >= 1.0) return fail(c, ": p must be below 1: got %g", p);
  return check_rows_in_rows_out(c);
}

static lat_status check_to_dense(const check *c) {
  int32_t rank = lat__op_choice(c->op, LAT__ATTR_FOLD, 0) ? 4 : 5;
  return check_tensor(c, "result", result_type(c, 0), rank, operand_type(c, 0)->elem, -1);
}

static lat_status check_rules(const check *c) {
  switch (c->op->kind) {
  case LAT__OP_WEIGHT:
    return check_weight(c);
  case LAT__OP_SPARSE_MAKE:
    return check_make(c);
  case LAT__OP_SPARSE_DECOMPOSE:
    return check_decompose(c);
  case LAT__OP_SPARSE_WITH_FEATURES:
    return check_with_features(c);
  case LAT__OP_SPARSE_REINDEX:
    return check_elem(c, "result", result_type(c, 0)->elem, "input", operand_type(c, 0)->elem);
  case LAT__OP_SPARSE_CAT:
  case LAT__OP_CONCAT_REDUCE:
  case LAT__OP_INSTANCE_NORM:
  case LAT__OP_GROUP_NORM:
    return check_same_elem(c);
  case LAT__OP_GLOBAL_POOL:
    return check_global_pool(c);
  case LAT__OP_VOXELIZE:
  case LAT__OP_DEVOXELIZE:
    return check_points(c);
  case LAT__OP_LINEAR:
  case LAT__OP_ACTIVATION:
  case LAT__OP_LAYER_NORM:
  case LAT__OP_RMS_NORM:
    return check_rows_in_rows_out(c);
  case LAT__OP_BATCH_NORM:
    return check_batch_norm(c);
  case LAT__OP_ELEMENTWISE:
  case LAT__OP_SOFTMAX:
    return check_f32_rows(c);
  case LAT__OP_EMBEDDING_LOOKUP:
    return check_embedding(c);
  case LAT__OP_DROPOUT:
    return check_dropout(c);
  case LAT__OP_TO_DENSE:
    return check_to_dense(c);
  default:
    return check_conv(c);
  }
}

// --- the graph ------------------------------------------------------------------------------------------------------

/// Names of inputs or outputs: there, and distinct.
static lat_status check_ports(lat_context *context, const char *label, const char *what, const lat_model *model,
                              const lat__port *ports, int64_t n) {
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  lat__names names = {NULL, 0, 0};
  for (int64_t i = 0; i < n; i++) {
    const char *name = ports[i].name;
    if (!name || !name[0]) {
      status = lat_fail(LAT_STATUS_BAD_DATA, "%s: lattice.%s_names must be non-empty", label, what);
      goto done;
    }
    if (ports[i].value < 0 || ports[i].value >= model->n_values) {
      status = lat_fail(LAT_STATUS_BAD_DATA, "%s: return uses undefined value: %s %lld", label, what, (long long)i);
      goto done;
    }
    if (lat__names_find(&names, name, (int64_t)strlen(name)) >= 0) {
      status = lat_fail(LAT_STATUS_BAD_DATA, "%s: lattice.%s_names must be unique: got '%s' twice", label, what,
                        lat__show_text(name, (int64_t)strlen(name)).text);
      goto done;
    }
    LAT_TRY(lat__names_add(context, &arena, &names, name, i), done);
  }
done:
  lat__arena_end(&arena);
  return status;
}

lat_status lat__model_verify(lat_context *context, const char *label, const lat_model *model) {
  lat_status status = LAT_STATUS_OK;
  if (!model->n_outputs) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: func.func @forward must return at least one value", label);
  }
  LAT_TRY(check_ports(context, label, "input", model, model->inputs, model->n_inputs), done);
  LAT_TRY(check_ports(context, label, "output", model, model->outputs, model->n_outputs), done);
  for (int32_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    check c = {label, model, op, &lat__op_table[op->kind], i};
    LAT_TRY(check_operands(&c), done);
    LAT_TRY(check_attrs(&c), done);
    LAT_TRY(check_rules(&c), done);
  }
done:
  return status;
}

// --- parameters -----------------------------------------------------------------------------------------------------

static lat_status fail_parameter(const char *label, const lat__parameter *parameter, const char *what) {
  return lat_fail(LAT_STATUS_BAD_DATA, "%s: parameter '%s': %s", label,
                  lat__show_text(parameter->key, (int64_t)strlen(parameter->key)).text, what);
}

static bool is_float(lat_dtype dtype) {
  return dtype == LAT_DTYPE_F32 || dtype == LAT_DTYPE_F16 || dtype == LAT_DTYPE_BF16;
}

static lat_status check_dense(const char *label, const lat__parameter *parameter) {
  static const int32_t ranks[LAT__N_FAMILIES] = {5, 2, 2, 1, 1};
  lat_array_view view = lat_array_as_view(parameter->dense);
  if (!is_float(view.dtype)) return fail_parameter(label, parameter, "dtype must be float32, float16 or bfloat16");
  if (view.rank == ranks[parameter->family]) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_BAD_DATA, "%s: parameter '%s': rank: got %d, expected %d for weight family %s", label,
                  lat__show_text(parameter->key, (int64_t)strlen(parameter->key)).text, (int)view.rank,
                  (int)ranks[parameter->family], lat__family_name(parameter->family));
}

static lat_status check_packed(const char *label, const lat__parameter *parameter) {
  lat_array_view words = lat_array_as_view(parameter->words), scales = lat_array_as_view(parameter->scales);
  lat_array_view biases = lat_array_as_view(parameter->biases);
  if (words.dtype != LAT_DTYPE_U32 || words.rank != 3) {
    return fail_parameter(label, parameter, "packed words must be uint32 of rank 3");
  }
  if (scales.dtype != lat__elem_dtype(parameter->packing.scale_elem)) {
    return fail_parameter(label, parameter, "scales dtype mismatch: expected the declared scale_dtype");
  }
  bool same = biases.dtype == scales.dtype && biases.rank == scales.rank && scales.rank == 3;
  for (int32_t axis = 0; same && axis < 3; axis++) same = biases.shape[axis] == scales.shape[axis];
  return same ? LAT_STATUS_OK : fail_parameter(label, parameter, "scales and biases must have one shape, of rank 3");
}

/// A convolution's kernel must be that of its weight.
static lat_status check_kernel(const check *c) {
  const lat__attr *kernel = lat__op_attr_of(c->op, LAT__ATTR_KERNEL_SIZE);
  for (int32_t i = 0; kernel && i < c->op->n_operands; i++) {
    const lat__op *source =
        c->model->values[c->op->operands[i]].op >= 0 ? &c->model->ops[c->model->values[c->op->operands[i]].op] : NULL;
    if (!source || source->kind != LAT__OP_WEIGHT || source->parameter < 0) continue;
    const lat__parameter *held = &c->model->parameters[source->parameter];
    if (held->family != LAT__FAMILY_CONV3D || !held->dense) continue;
    lat_array_view view = lat_array_as_view(held->dense);
    for (int axis = 0; axis < 3; axis++) {
      if (view.shape[1 + axis] == kernel->u.i64[axis]) continue;
      return fail(c, ": kernel_size does not match weight '%s': got %lld, expected %lld",
                  lat__show_text(held->key, (int64_t)strlen(held->key)).text, (long long)kernel->u.i64[axis],
                  (long long)view.shape[1 + axis]);
    }
  }
  return LAT_STATUS_OK;
}

lat_status lat__model_verify_parameters(const char *label, const lat_model *model) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t i = 0; i < model->n_parameters; i++) {
    const lat__parameter *parameter = &model->parameters[i];
    bool packed = parameter->packing.bits != 0;
    if (packed ? !parameter->words || !parameter->scales || !parameter->biases : !parameter->dense) {
      return fail_parameter(label, parameter, "has no value");
    }
    LAT_TRY(packed ? check_packed(label, parameter) : check_dense(label, parameter), done);
  }
  for (int32_t i = 0; i < model->n_ops; i++) {
    check c = {label, model, &model->ops[i], &lat__op_table[model->ops[i].kind], i};
    LAT_TRY(check_kernel(&c), done);
  }
done:
  return status;
}
