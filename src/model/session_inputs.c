// Inputs of a run: named tensors and arrays into the slots of the graph's arguments.
#include <string.h>

#include <lattice/feature.h>

#include "core/compiler.h"
#include "model/program_internal.h"

// --- binding --------------------------------------------------------------------------------------------------------

/// The sparse input of that name, or -1.
static int64_t find_group(const lat_program *program, const char *name) {
  for (int64_t i = 0; i < program->n_groups; i++) {
    if (strcmp(program->groups[i].name, name) == 0) return i;
  }
  return -1;
}

static int64_t find_port(const lat_program *program, const char *name) {
  for (int64_t i = 0; i < program->model->n_inputs; i++) {
    if (strcmp(program->model->inputs[i].name, name) == 0) return i;
  }
  return -1;
}

static bool is_empty(const lat__slot *slot) {
  return !slot->tensor && !slot->array;
}

static lat_status twice(const char *name) {
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "run: input %s is given twice: got another one, expected one", name);
}

/// Three arguments from one tensor.
static lat_status bind_tensor(lat_session *session, int64_t group, const lat_binding *input) {
  const lat_program *program = session->program;
  const lat__port *ports = &program->model->inputs[program->groups[group].first];
  lat_tensor *tensor = NULL;
  for (int i = 0; i < 3; i++) {
    if (is_empty(&session->slots[ports[i].value])) continue;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "run: input %s cannot be combined with its arrays: got %s as well, expected one of the two ways",
                    input->name, ports[i].name);
  }
  lat_dtype dtype = program->dtype ? program->dtype : lat_tensor_dtype(input->tensor);
  lat_status status = lat_cast(session->context, input->tensor, dtype, &tensor);
  if (status) return status;
  int64_t declared = program->model->values[ports[1].value].type.dims[1];
  if (declared >= 0 && lat_tensor_channels(tensor) != declared) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE, "run: input %s: channels: got %lld, expected %lld", input->name,
                      (long long)lat_tensor_channels(tensor), (long long)declared);
  }
  for (int i = 0; i < 3 && !status; i++) {
    session->slots[ports[i].value] = (lat__slot){lat_tensor_retain(tensor), NULL, NULL, true};
  }
  lat_tensor_release(tensor);
  return status;
}

/// The array must have the declared rank and the declared lengths, and integers the declared width.
static lat_status check_array(const lat__type *type, const lat_binding *input) {
  const lat_array_view *view = input->array;
  bool floats = type->elem <= LAT__ELEM_F64;
  bool fits = floats ? view->dtype == LAT_DTYPE_F32 || view->dtype == LAT_DTYPE_F16 || view->dtype == LAT_DTYPE_BF16 ||
                           view->dtype == LAT_DTYPE_F64
                     : view->dtype == LAT_DTYPE_I32 || view->dtype == LAT_DTYPE_I64;
  if (!fits) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "run: input %s: dtype: got %s, expected %s", input->name,
                    lat_dtype_name(view->dtype), floats ? "floats" : "int32");
  }
  if (view->rank != type->rank) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "run: input %s: rank: got %d, expected %d", input->name, (int)view->rank,
                    (int)type->rank);
  }
  for (int32_t axis = 0; axis < type->rank; axis++) {
    if (type->dims[axis] < 0 || view->shape[axis] == type->dims[axis]) continue;
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "run: input %s: length of axis %d: got %lld, expected %lld", input->name,
                    (int)axis, (long long)view->shape[axis], (long long)type->dims[axis]);
  }
  return LAT_STATUS_OK;
}

static lat_status bind_array(lat_session *session, int64_t port, const lat_binding *input) {
  const lat_model *model = session->program->model;
  const lat__port *p = &model->inputs[port];
  const lat__type *type = &model->values[p->value].type;
  lat_array *array = NULL;
  if (!is_empty(&session->slots[p->value])) return twice(input->name);
  lat_status status = check_array(type, input);
  if (status) return status;
  lat_dtype dtype = input->array->dtype;
  if (type->elem == LAT__ELEM_I32) dtype = LAT_DTYPE_I32;
  if (p->role == LAT__ROLE_SPARSE_FEATURES && session->program->dtype) dtype = session->program->dtype;
  status = dtype == input->array->dtype ? lat_array_create(session->context, input->array, &array)
                                        : lat_array_cast(session->context, input->array, dtype, &array);
  if (!status) lat__run_give(session, p->value, NULL, array);
  return status;
}

static lat_status bind_one(lat_session *session, const lat_binding *input) {
  if (!input->name || !input->tensor == !input->array) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "run: input %s: got %s, expected a name and a tensor or an array",
                    input->name ? input->name : "without a name", input->tensor ? "both" : "none");
  }
  int64_t at = input->tensor ? find_group(session->program, input->name) : find_port(session->program, input->name);
  if (at >= 0) return input->tensor ? bind_tensor(session, at, input) : bind_array(session, at, input);
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "run: unexpected artifact inputs: %s: got %s, expected one of the model's", input->name,
                  input->tensor ? "a tensor of that name" : "an array of that name");
}

lat_status lat__session_bind(lat_session *session, const lat_binding *inputs, int64_t n_inputs) {
  lat_status status = LAT_STATUS_OK;
  const lat_model *model = session->program->model;
  for (int64_t i = 0; i < n_inputs; i++) LAT_TRY(bind_one(session, &inputs[i]), done);
  for (int64_t i = 0; i < model->n_inputs; i++) {
    if (!is_empty(&session->slots[model->inputs[i].value])) continue;
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "run: missing artifact input: %s: got none, expected one",
                      model->inputs[i].name);
    goto done;
  }
done:
  return status;
}

// --- arrays of a bound tensor ---------------------------------------------------------------------------------------

/// Logical rows times the stride.
lat_status lat__physical_rows(lat_context *context, const lat_coords *coords, lat_array **out) {
  lat_array_view rows = lat_coords_rows(coords);
  lat_triple stride = lat_coords_stride(coords);
  const int64_t steps[4] = {1, stride.x, stride.y, stride.z};
  lat_status status = lat_array_create(context, &rows, out);
  if (status) return status;
  int32_t *data = lat_array_data(*out);
  for (int64_t i = 0; i < 4 * rows.shape[0]; i++) {
    int64_t value = data[i] * steps[i % 4];
    if (value < INT32_MIN || value > INT32_MAX) {
      lat_array_release(*out);
      *out = NULL;
      return lat_fail(LAT_STATUS_OVERFLOW,
                      "physical coordinates leave int32: got row %lld times the stride, expected int32",
                      (long long)(i / 4));
    }
    data[i] = (int32_t)value;
  }
  return LAT_STATUS_OK;
}

lat_status lat__run_materialize(lat_session *session, int32_t value) {
  lat__slot *slot = &session->slots[value];
  const lat_model *model = session->program->model;
  lat_status status = LAT_STATUS_OK;
  if (!slot->bound || slot->array) return LAT_STATUS_OK;
  lat__role role = model->inputs[model->values[value].result].role;
  const lat_coords *coords = lat_tensor_coords(slot->tensor);
  if (role == LAT__ROLE_SPARSE_ACTIVE) {
    const int64_t one = 1;
    status = lat_array_full(session->context, LAT_DTYPE_I32, 1, &one, (double)lat_coords_count(coords), &slot->array);
  } else if (role == LAT__ROLE_SPARSE_COORDS) {
    status = lat__physical_rows(session->context, coords, &slot->array);
  }
  return status;
}
