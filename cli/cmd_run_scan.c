/// `lattice run --scan`: a model over a point cloud. A model with one sparse input gets the voxels; one that voxelizes by
/// itself (inputs points, features, batch indices, active rows) gets the points.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_run.h"

enum { MOST_COLUMNS = 256, COLUMN_ONES = -1 };

/// What the steps work with.
typedef struct scan_job {
  run_job *run;
  const run_scan *asked;
  lat_cloud *cloud;
  lat_array *features; ///< (N, channels) float32
  lat_quantization *quantization;
  lat_tensor *voxels;
  int64_t n_points;
} scan_job;

// --- features -------------------------------------------------------------------------------------------------------

/// Columns by number: x, y, z, then the fields; COLUMN_ONES.
typedef struct column_list {
  int32_t columns[MOST_COLUMNS];
  int64_t n;
} column_list;

static lat_status add_named(const scan_job *j, const char *name, size_t n_bytes, column_list *list) {
  static const char axes[] = "xyz";
  char field[MOST_COLUMNS];
  const char *axis = n_bytes == 1 ? strchr(axes, name[0]) : NULL;
  int32_t column = COLUMN_ONES;
  snprintf(field, sizeof field, "%.*s", (int)(n_bytes < sizeof field ? n_bytes : sizeof field - 1), name);
  if (axis) {
    column = (int32_t)(axis - axes);
  } else if (strcmp(field, "1") != 0) {
    int32_t index = lat_cloud_find_field(j->cloud, field);
    if (index < 0) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "run: --features: the scan has no field '%s'", field);
    column = 3 + index;
  }
  if (list->n == MOST_COLUMNS)
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "run: --features: more than %d", MOST_COLUMNS);
  list->columns[list->n++] = column;
  return LAT_STATUS_OK;
}

static lat_status add_listed(const scan_job *j, const char *names, column_list *list) {
  lat_status status = LAT_STATUS_OK;
  while (names) {
    const char *comma = strchr(names, ',');
    CLI_TRY(add_named(j, names, comma ? (size_t)(comma - names) : strlen(names), list), done);
    names = comma ? comma + 1 : NULL;
  }
done:
  return status;
}

/// Columns for `channels` features when none were named: all, the axes, the fields, axes and intensity, or ones.
static void choose_columns(const scan_job *j, int64_t channels, column_list *list) {
  int32_t n_fields = lat_cloud_n_fields(j->cloud), intensity = lat_cloud_find_field(j->cloud, "intensity");
  int32_t first = 0, n = 0;
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

static lat_status make_features(scan_job *j, const lat_model_port *port) {
  lat_status status = LAT_STATUS_OK;
  column_list list = {{0}, 0};
  int64_t channels = port->rank == 2 ? port->shape[1] : -1;
  if (j->asked->features) {
    CLI_TRY(add_listed(j, j->asked->features, &list), done);
  } else {
    choose_columns(j, channels, &list);
  }
  if (list.n == 0 || (channels >= 0 && list.n != channels)) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "run: input %s takes %lld features: got %lld columns, expected --features with that many",
                      port->name, (long long)channels, (long long)list.n);
    goto done;
  }
  const int64_t shape[2] = {j->n_points, list.n};
  CLI_TRY(lat_array_full(j->run->context, LAT_DTYPE_F32, 2, shape, 1.0, &j->features), done);
  float *features = lat_array_data(j->features);
  for (int64_t c = 0; c < list.n; c++) {
    int32_t column = list.columns[c];
    lat_array_view view = column < 3 ? lat_cloud_positions(j->cloud) : lat_cloud_field(j->cloud, column - 3);
    for (int64_t i = 0; column != COLUMN_ONES && i < j->n_points; i++) {
      features[i * list.n + c] = (float)cli_value(&view, column < 3 ? 3 * i + column : i);
    }
  }
done:
  return status;
}

// --- running --------------------------------------------------------------------------------------------------------

/// The name of a sparse input: what its three arrays' names begin with.
static void group_name(const lat_model_port *coords, char *name, size_t name_bytes) {
  const char *ending = strstr(coords->name, "_coords");
  if (ending) {
    snprintf(name, name_bytes, "%.*s", (int)(ending - coords->name), coords->name);
  } else {
    snprintf(name, name_bytes, "input");
  }
}

static lat_status run_on_voxels(scan_job *j) {
  lat_status status = LAT_STATUS_OK;
  char name[256];
  lat_context *context = j->run->context;
  lat_voxel_grid grid = lat_voxel_grid_cube(j->asked->voxel);
  lat_array_view points = lat_cloud_positions(j->cloud);
  lat_model_port coords = lat_model_input(j->run->model, 0), features = lat_model_input(j->run->model, 1);
  CLI_TRY(make_features(j, &features), done);
  CLI_TRY(lat_sparse_quantize(context, &points, &grid, &j->quantization), done);
  lat_array_view view = lat_array_as_view(j->features);
  CLI_TRY(lat_voxelize_quantized(context, j->quantization, &view, NULL, &j->voxels), done);
  group_name(&coords, name, sizeof name);
  const lat_binding input = {name, j->voxels, NULL};
  CLI_TRY(lat_program_run(context, j->run->program, &input, 1, NULL, &j->run->results), done);
done:
  return status;
}

static lat_status run_on_points(scan_job *j) {
  lat_status status = LAT_STATUS_OK;
  lat_context *context = j->run->context;
  const lat_model *model = j->run->model;
  lat_array *points = NULL, *batch = NULL;
  lat_array_view views[4] = {lat_cloud_positions(j->cloud)};
  lat_binding inputs[4];
  const int32_t active = (int32_t)j->n_points;
  lat_model_port features = lat_model_input(model, 1);
  CLI_TRY(make_features(j, &features), done);
  CLI_TRY(lat_array_cast(context, &views[0], LAT_DTYPE_F32, &points), done);
  CLI_TRY(lat_array_full(context, LAT_DTYPE_I32, 1, &j->n_points, 0.0, &batch), done);
  views[0] = lat_array_as_view(points);
  views[1] = lat_array_as_view(j->features);
  views[2] = lat_array_as_view(batch);
  views[3] = lat_view_1d(&active, LAT_DTYPE_I32, 1);
  for (int i = 0; i < 4; i++) inputs[i] = (lat_binding){lat_model_input(model, i).name, NULL, &views[i]};
  CLI_TRY(lat_program_run(context, j->run->program, inputs, 4, NULL, &j->run->results), done);
done:
  lat_array_release(points);
  lat_array_release(batch);
  return status;
}

static bool port_is(const lat_model *model, int64_t index, const char *role, int32_t rank, int64_t last) {
  lat_model_port port = lat_model_input(model, index);
  return strcmp(port.role, role) == 0 && port.rank == rank && (last < 0 || port.shape[rank - 1] == last);
}

static lat_status run_model(scan_job *j) {
  const lat_model *model = j->run->model;
  int64_t n = lat_model_n_inputs(model);
  if (n == 3 && port_is(model, 0, "sparse_coords", 2, 4) && port_is(model, 1, "sparse_features", 2, -1) &&
      port_is(model, 2, "sparse_active", 1, 1)) {
    return run_on_voxels(j);
  }
  if (n == 4 && port_is(model, 0, "tensor", 2, 3) && port_is(model, 1, "tensor", 2, -1) &&
      port_is(model, 2, "tensor", 1, -1) && port_is(model, 3, "tensor", 1, 1)) {
    return run_on_points(j);
  }
  return lat_fail(LAT_STATUS_UNSUPPORTED, "run: --scan needs a model with one sparse input, or with points, features, "
                                          "batch indices and active rows as inputs");
}

// --- back to the points ---------------------------------------------------------------------------------------------

/// Row of `table` for each point, as a new (N, channels) float32 array: of its voxel, its own, or the only one.
static lat_status rows_of_points(scan_job *j, const char *name, const lat_array_view *table, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *wide = NULL;
  int64_t n_rows = table->rank > 0 ? table->shape[0] : 0, n_voxels = j->voxels ? lat_tensor_count(j->voxels) : -1;
  if (table->rank != 2 || (n_rows != n_voxels && n_rows != j->n_points && n_rows != 1)) {
    return lat_fail(LAT_STATUS_UNSUPPORTED,
                    "run: output %s does not belong to the points: expected a row for each voxel or point, or one row",
                    name);
  }
  const int64_t shape[2] = {j->n_points, table->shape[1]};
  const int32_t *voxel_of = n_rows == n_voxels ? lat_quantization_inverse_rows(j->quantization).data : NULL;
  CLI_TRY(lat_array_cast(j->run->context, table, LAT_DTYPE_F32, &wide), done);
  CLI_TRY(lat_array_full(j->run->context, LAT_DTYPE_F32, 2, shape, 0.0, out), done);
  float *target = lat_array_data(*out);
  const float *source = lat_array_data(wide);
  for (int64_t i = 0; i < j->n_points; i++) {
    int64_t row = voxel_of ? voxel_of[i] : n_rows == 1 ? 0 : i;
    memcpy(target + i * shape[1], source + row * shape[1], (size_t)shape[1] * sizeof *target);
  }
done:
  lat_array_release(wide);
  return status;
}

/// Features of the cell that each point lies in; zero where the result has no such cell.
static lat_status cells_of_points(scan_job *j, const lat_tensor *result, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *own = NULL;
  lat_array_view points = lat_cloud_positions(j->cloud);
  lat_triple stride = lat_tensor_stride(result);
  const int32_t steps[3] = {stride.x, stride.y, stride.z};
  lat_voxel_grid grid = lat_voxel_grid_cube(j->asked->voxel);
  // Nearest reading rounds to lattice points; half a cell of shift turns that into the cell that the point lies in.
  for (int axis = 0; axis < 3; axis++) {
    grid.voxel_size[axis] = j->asked->voxel * steps[axis];
    grid.origin[axis] = 0.5 * grid.voxel_size[axis];
  }
  CLI_TRY(lat_devoxelize(j->run->context, &points, result, &grid, LAT_INTERPOLATION_NEAREST, &own), done);
  lat_array_view view = lat_array_as_view(own);
  CLI_TRY(lat_array_cast(j->run->context, &view, LAT_DTYPE_F32, out), done);
done:
  lat_array_release(own);
  return status;
}

static lat_status add_output(scan_job *j, const char *name) {
  lat_status status = LAT_STATUS_OK;
  lat_array *values = NULL;
  const lat_tensor *tensor = lat_results_tensor(j->run->results, name);
  if (tensor && !(j->voxels && lat_tensor_same_coords(tensor, j->voxels))) {
    CLI_TRY(cells_of_points(j, tensor, &values), done);
  } else {
    lat_array_view table =
        tensor ? lat_tensor_feats(tensor) : lat_array_as_view(lat_results_array(j->run->results, name));
    CLI_TRY(rows_of_points(j, name, &table, &values), done);
  }
  int64_t channels = lat_array_as_view(values).shape[1];
  for (int64_t c = 0; c < channels; c++) {
    char field[280];
    snprintf(field, sizeof field, "%s_%lld", name, (long long)c);
    lat_array_view channel = lat_view_1d((const float *)lat_array_data(values) + c, LAT_DTYPE_F32, j->n_points);
    channel.stride[0] = channels;
    CLI_TRY(lat_cloud_add_field(j->run->context, j->cloud, field, &channel), done);
  }
done:
  lat_array_release(values);
  return status;
}

lat_status run_on_scan(run_job *job, const run_scan *scan, int64_t *n_points, int64_t *n_voxels) {
  lat_status status = LAT_STATUS_OK;
  scan_job j = {.run = job, .asked = scan};
  CLI_TRY(cli_read_cloud(job->context, scan->path, scan->floats, &j.cloud), done);
  j.n_points = *n_points = lat_cloud_count(j.cloud);
  CLI_TRY(run_model(&j), done);
  *n_voxels = j.voxels ? lat_tensor_count(j.voxels) : -1;
  for (int64_t i = 0; i < lat_results_count(job->results); i++) {
    CLI_TRY(add_output(&j, lat_results_name(job->results, i)), done);
  }
  CLI_TRY(lat_cloud_write_ply(job->context, j.cloud, scan->out, NULL), done);
done:
  lat_array_release(j.features);
  lat_tensor_release(j.voxels);
  lat_quantization_release(j.quantization);
  lat_cloud_release(j.cloud);
  return status;
}
