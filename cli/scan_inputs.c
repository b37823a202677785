/// Groups of a model's inputs, the columns of a cloud that are features, voxels and points for every group.
#include "scan_inputs.h"

#include <stdio.h>
#include <string.h>

enum { MOST_COLUMNS = 256, COLUMN_ONES = -1 };

// --- groups ---------------------------------------------------------------------------------------------------------

static bool port_is(const lat_model *model, int64_t index, const char *role, int32_t rank, int64_t last) {
  if (index >= lat_model_n_inputs(model)) return false;
  lat_model_port port = lat_model_input(model, index);
  return strcmp(port.role, role) == 0 && port.rank == rank && (last < 0 || port.shape[rank - 1] == last);
}

static bool is_sparse(const lat_model *model, int64_t at) {
  return port_is(model, at, "sparse_coords", 2, 4) && port_is(model, at + 1, "sparse_features", 2, -1) &&
         port_is(model, at + 2, "sparse_active", 1, 1);
}

static bool is_points(const lat_model *model, int64_t at) {
  return port_is(model, at, "tensor", 2, 3) && port_is(model, at + 1, "tensor", 2, -1) &&
         port_is(model, at + 2, "tensor", 1, -1) && port_is(model, at + 3, "tensor", 1, 1);
}

/// The name of a sparse input: what its three arrays' names begin with.
static void name_group(const char *coords, char *name) {
  const char *ending = strstr(coords, "_coords");
  snprintf(name, SCAN_NAME_BYTES, "%.*s", ending ? (int)(ending - coords) : 5, ending ? coords : "input");
}

lat_status scan_find_groups(const char *verb, const lat_model *model, scan_group groups[SCAN_MOST_GROUPS],
                            int *n_groups) {
  *n_groups = 0;
  for (int64_t at = 0; at < lat_model_n_inputs(model);) {
    lat_model_port port = lat_model_input(model, at);
    bool points = is_points(model, at);
    if ((!points && !is_sparse(model, at)) || *n_groups == SCAN_MOST_GROUPS) {
      return lat_fail(LAT_STATUS_UNSUPPORTED,
                      "%s: input %s is neither voxels nor points: expected sparse inputs, or points, features, batch "
                      "indices and active rows in this order%s",
                      verb, port.name, *n_groups == SCAN_MOST_GROUPS ? ", at most 16 of them" : "");
    }
    lat_model_port features = lat_model_input(model, at + 1);
    scan_group *group = &groups[(*n_groups)++];
    *group = (scan_group){points, at, "", features.shape[1], port.stride};
    if (!points) name_group(port.name, group->name);
    at += points ? 4 : 3;
  }
  return LAT_STATUS_OK;
}

// --- features -------------------------------------------------------------------------------------------------------

/// Columns by number: x, y, z, then the fields; COLUMN_ONES.
typedef struct column_list {
  int32_t columns[MOST_COLUMNS];
  int64_t n;
} column_list;

static lat_status add_named(const char *verb, const lat_cloud *cloud, const char *name, size_t n_bytes,
                            column_list *list) {
  static const char axes[] = "xyz";
  char field[MOST_COLUMNS];
  const char *axis = n_bytes == 1 ? strchr(axes, name[0]) : NULL;
  int32_t column = COLUMN_ONES;
  snprintf(field, sizeof field, "%.*s", (int)(n_bytes < sizeof field ? n_bytes : sizeof field - 1), name);
  if (axis) {
    column = (int32_t)(axis - axes);
  } else if (strcmp(field, "1") != 0) {
    int32_t index = lat_cloud_find_field(cloud, field);
    if (index < 0)
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: --features: the scan has no field '%s'", verb, field);
    column = 3 + index;
  }
  if (list->n == MOST_COLUMNS)
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: --features: more than %d", verb, MOST_COLUMNS);
  list->columns[list->n++] = column;
  return LAT_STATUS_OK;
}

static lat_status add_listed(const char *verb, const lat_cloud *cloud, const char *names, column_list *list) {
  lat_status status = LAT_STATUS_OK;
  while (names) {
    const char *comma = strchr(names, ',');
    CLI_TRY(add_named(verb, cloud, names, comma ? (size_t)(comma - names) : strlen(names), list), done);
    names = comma ? comma + 1 : NULL;
  }
done:
  return status;
}

/// Columns for `channels` features when none were named: all, the axes, the fields, axes and intensity, or ones.
static void choose_columns(const lat_cloud *cloud, int64_t channels, column_list *list) {
  int32_t n_fields = lat_cloud_n_fields(cloud), intensity = lat_cloud_find_field(cloud, "intensity");
  int32_t first = 0, n = 0;
  list->n = 0;
  if (channels == 3 + n_fields || channels == 3) {
    n = (int32_t)channels;
  } else if (channels == n_fields) {
    first = 3, n = n_fields;
  } else if (channels == 4 && intensity >= 0) {
    n = 3;
  } else if (channels == 1) {
    list->columns[list->n++] = COLUMN_ONES;
  }
  for (int32_t i = 0; i < n && list->n < MOST_COLUMNS; i++) list->columns[list->n++] = first + i;
  if (channels == 4 && n == 3) list->columns[list->n++] = 3 + intensity;
}

/// The columns of one cloud for one group: those that were named if they are as many, else chosen ones.
static lat_status find_columns(scan_inputs *inputs, const lat_cloud *cloud, const scan_group *group, const char *input,
                               column_list *list) {
  lat_status status = LAT_STATUS_OK;
  list->n = 0;
  if (inputs->asked->features) CLI_TRY(add_listed(inputs->verb, cloud, inputs->asked->features, list), done);
  bool listed_fit = list->n > 0 && (group->channels < 0 || list->n == group->channels);
  inputs->took_features = inputs->took_features || listed_fit;
  if (!listed_fit && (!inputs->asked->features || inputs->n_groups > 1)) choose_columns(cloud, group->channels, list);
  if (list->n == 0 || (group->channels >= 0 && list->n != group->channels)) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: input %s takes %lld features: got %lld columns, expected --features with that many",
                      inputs->verb, input, (long long)group->channels, (long long)list->n);
  }
done:
  return status;
}

/// Writes a cloud's columns into rows of `list->n` numbers.
static void copy_columns(const lat_cloud *cloud, const column_list *list, float *rows) {
  for (int64_t c = 0; c < list->n; c++) {
    int32_t column = list->columns[c];
    lat_array_view view = column < 3 ? lat_cloud_positions(cloud) : lat_cloud_field(cloud, column - 3);
    for (int64_t i = 0; column != COLUMN_ONES && i < lat_cloud_count(cloud); i++) {
      rows[i * list->n + c] = (float)cli_value(&view, column < 3 ? 3 * i + column : i);
    }
  }
}

/// (N, channels) float32 features of all clouds for a group.
static lat_status make_features(scan_inputs *inputs, const lat_model *model, const scan_group *group, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_model_port port = lat_model_input(model, group->first + 1);
  column_list list = {{0}, 0};
  int64_t channels = 0;
  for (int s = 0; s < inputs->asked->paths.n; s++) {
    CLI_TRY(find_columns(inputs, inputs->clouds[s], group, port.name, &list), done);
    if (s == 0) {
      const int64_t shape[2] = {scan_inputs_count(inputs), channels = list.n};
      CLI_TRY(lat_array_full(inputs->context, LAT_DTYPE_F32, 2, shape, 1.0, out), done);
    }
    if (list.n != channels) {
      status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: scans have other numbers of columns: got %lld, expected %lld",
                        inputs->verb, (long long)list.n, (long long)channels);
      goto done;
    }
    copy_columns(inputs->clouds[s], &list, (float *)lat_array_data(*out) + inputs->starts[s] * channels);
  }
done:
  return status;
}

// --- clouds ---------------------------------------------------------------------------------------------------------

/// All positions one after the other (float64 if one cloud has it), and the batch item of each point.
static lat_status join_clouds(scan_inputs *inputs) {
  lat_status status = LAT_STATUS_OK;
  lat_dtype dtype = LAT_DTYPE_F32;
  int64_t n = scan_inputs_count(inputs);
  const int64_t shape[2] = {n, 3};
  for (int s = 0; s < inputs->asked->paths.n; s++) {
    if (lat_cloud_positions(inputs->clouds[s]).dtype == LAT_DTYPE_F64) dtype = LAT_DTYPE_F64;
  }
  CLI_TRY(lat_array_full(inputs->context, dtype, 2, shape, 0.0, &inputs->positions), done);
  CLI_TRY(lat_array_full(inputs->context, LAT_DTYPE_I32, 1, &n, 0.0, &inputs->batch), done);
  int32_t *batch = lat_array_data(inputs->batch);
  for (int s = 0; s < inputs->asked->paths.n; s++) {
    lat_array_view view = lat_cloud_positions(inputs->clouds[s]);
    int64_t first = inputs->starts[s], n_own = inputs->starts[s + 1] - first;
    for (int64_t i = 0; i < n_own; i++) batch[first + i] = s;
    for (int64_t i = 0; i < 3 * n_own; i++) {
      double value = cli_value(&view, i);
      if (dtype == LAT_DTYPE_F64) ((double *)lat_array_data(inputs->positions))[3 * first + i] = value;
      if (dtype == LAT_DTYPE_F32) ((float *)lat_array_data(inputs->positions))[3 * first + i] = (float)value;
    }
  }
done:
  return status;
}

static lat_status read_clouds(scan_inputs *inputs) {
  lat_status status = LAT_STATUS_OK;
  for (int s = 0; s < inputs->asked->paths.n; s++) {
    CLI_TRY(cli_read_cloud(inputs->context, inputs->asked->paths.items[s], inputs->asked->floats, &inputs->clouds[s]),
            done);
    inputs->starts[s + 1] = inputs->starts[s] + lat_cloud_count(inputs->clouds[s]);
  }
  CLI_TRY(join_clouds(inputs), done);
done:
  return status;
}

int64_t scan_inputs_count(const scan_inputs *inputs) {
  return inputs->asked ? inputs->starts[inputs->asked->paths.n] : 0;
}

// --- values ---------------------------------------------------------------------------------------------------------

void scan_bind_array(scan_inputs *inputs, const char *name, lat_array *array) {
  int at = inputs->n_arrays++;
  inputs->arrays[at] = array;
  inputs->views[at] = lat_array_as_view(array);
  inputs->bindings[inputs->n_bindings++] = (lat_binding){name, NULL, &inputs->views[at]};
}

static lat_status make_voxels(scan_inputs *inputs, const lat_model *model, int g) {
  lat_status status = LAT_STATUS_OK;
  const scan_group *group = &inputs->groups[g];
  const int32_t steps[3] = {group->stride.x, group->stride.y, group->stride.z};
  lat_array *features = NULL;
  lat_voxel_grid grid = lat_voxel_grid_cube(inputs->asked->voxel);
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_array_view points = lat_array_as_view(inputs->positions), batch = lat_array_as_view(inputs->batch);
  for (int axis = 0; axis < 3; axis++) grid.voxel_size[axis] *= steps[axis];
  grid.batch_indices = &batch;
  opts.stride = group->stride;
  CLI_TRY(make_features(inputs, model, group, &features), done);
  CLI_TRY(lat_sparse_quantize(inputs->context, &points, &grid, &inputs->quantized[g]), done);
  lat_array_view view = lat_array_as_view(features);
  CLI_TRY(lat_voxelize_quantized(inputs->context, inputs->quantized[g], &view, &opts, &inputs->voxels[g]), done);
  inputs->bindings[inputs->n_bindings++] = (lat_binding){group->name, inputs->voxels[g], NULL};
done:
  lat_array_release(features);
  return status;
}

static lat_status make_points(scan_inputs *inputs, const lat_model *model, int g) {
  lat_status status = LAT_STATUS_OK;
  const scan_group *group = &inputs->groups[g];
  lat_array *made[4] = {NULL, NULL, NULL, NULL};
  lat_array_view points = lat_array_as_view(inputs->positions), batch = lat_array_as_view(inputs->batch);
  const int64_t one = 1;
  CLI_TRY(lat_array_cast(inputs->context, &points, LAT_DTYPE_F32, &made[0]), done);
  CLI_TRY(make_features(inputs, model, group, &made[1]), done);
  CLI_TRY(lat_array_create(inputs->context, &batch, &made[2]), done);
  CLI_TRY(lat_array_full(inputs->context, LAT_DTYPE_I32, 1, &one, (double)scan_inputs_count(inputs), &made[3]), done);
  for (int i = 0; i < 4; i++) {
    scan_bind_array(inputs, lat_model_input(model, group->first + i).name, made[i]);
    made[i] = NULL;
  }
done:
  for (int i = 0; i < 4; i++) lat_array_release(made[i]);
  return status;
}

lat_status scan_inputs_make(lat_context *context, const char *verb, const lat_model *model, const scan_request *asked,
                            scan_inputs *inputs) {
  lat_status status = LAT_STATUS_OK;
  inputs->context = context;
  inputs->verb = verb;
  inputs->asked = asked;
  CLI_TRY(scan_find_groups(verb, model, inputs->groups, &inputs->n_groups), done);
  CLI_TRY(read_clouds(inputs), done);
  for (int g = 0; g < inputs->n_groups; g++) {
    CLI_TRY(inputs->groups[g].takes_points ? make_points(inputs, model, g) : make_voxels(inputs, model, g), done);
  }
  if (asked->features && !inputs->took_features) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: --features: no input takes as many columns: got %s", verb,
                      asked->features);
  }
done:
  return status;
}

void scan_inputs_end(scan_inputs *inputs) {
  for (int s = 0; s < CLI_MOST_TEXTS; s++) lat_cloud_release(inputs->clouds[s]);
  for (int g = 0; g < SCAN_MOST_GROUPS; g++) {
    lat_quantization_release(inputs->quantized[g]);
    lat_tensor_release(inputs->voxels[g]);
  }
  for (int i = 0; i < inputs->n_arrays; i++) lat_array_release(inputs->arrays[i]);
  lat_array_release(inputs->positions);
  lat_array_release(inputs->batch);
}
