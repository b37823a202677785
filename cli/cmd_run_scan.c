/// `lattice run --scan`: a model over point clouds, and its results brought back to the points.
#include <stdio.h>
#include <string.h>

#include "cmd_run.h"

/// What the steps work with.
typedef struct scan_job {
  run_job *run;
  const run_scan *asked;
  scan_inputs inputs;
  int64_t n_points, n_scans;
} scan_job;

/// Which row of a table of results belongs to each point.
typedef enum row_rule { ROWS_OF_VOXELS, ROWS_OF_POINTS, ROWS_OF_SCANS, ROWS_ONE, ROWS_NONE } row_rule;

/// The rule for a table of `n_rows`; `*group`: of whose voxels.
static row_rule find_rule(const scan_job *j, int64_t n_rows, int *group) {
  for (*group = 0; *group < j->inputs.n_groups; ++*group) {
    const lat_tensor *voxels = j->inputs.voxels[*group];
    if (voxels && lat_tensor_count(voxels) == n_rows) return ROWS_OF_VOXELS;
  }
  return n_rows == j->n_points  ? ROWS_OF_POINTS
         : n_rows == j->n_scans ? ROWS_OF_SCANS
         : n_rows == 1          ? ROWS_ONE
                                : ROWS_NONE;
}

/// The group on whose voxels a result lies, or -1.
static int group_of(const scan_job *j, const lat_tensor *result) {
  for (int g = 0; g < j->inputs.n_groups; g++) {
    if (j->inputs.voxels[g] && lat_tensor_same_coords(result, j->inputs.voxels[g])) return g;
  }
  return -1;
}

/// Row of `table` for each point, as a new (N, channels) float32 array.
static lat_status rows_of_points(const scan_job *j, const lat_array_view *table, row_rule rule, int group,
                                 lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *wide = NULL;
  const int64_t shape[2] = {j->n_points, table->shape[1]};
  const int32_t *voxels = NULL, *scans = lat_array_data(j->inputs.batch);
  if (rule == ROWS_OF_VOXELS) voxels = lat_quantization_inverse_rows(j->inputs.quantized[group]).data;
  CLI_TRY(lat_array_cast(j->run->context, table, LAT_DTYPE_F32, &wide), done);
  CLI_TRY(lat_array_full(j->run->context, LAT_DTYPE_F32, 2, shape, 0.0, out), done);
  float *target = lat_array_data(*out);
  const float *source = lat_array_data(wide);
  for (int64_t i = 0; i < j->n_points; i++) {
    int64_t row = rule == ROWS_OF_VOXELS   ? voxels[i]
                  : rule == ROWS_OF_POINTS ? i
                  : rule == ROWS_OF_SCANS  ? scans[i]
                                           : 0;
    memcpy(target + i * shape[1], source + row * shape[1], (size_t)shape[1] * sizeof *target);
  }
done:
  lat_array_release(wide);
  return status;
}

static lat_status table_of_points(const scan_job *j, const char *name, const lat_array_view *table, lat_array **out) {
  int group = 0;
  row_rule rule = table->rank == 2 ? find_rule(j, table->shape[0], &group) : ROWS_NONE;
  if (rule != ROWS_NONE) return rows_of_points(j, table, rule, group, out);
  if (table->rank != 2) {
    return lat_fail(LAT_STATUS_UNSUPPORTED, "run: output %s does not belong to the points: got rank %d, expected rows",
                    name, (int)table->rank);
  }
  return lat_fail(LAT_STATUS_UNSUPPORTED,
                  "run: output %s does not belong to the points: got %lld rows, expected one for each voxel, point or "
                  "scan (%lld), or one",
                  name, (long long)table->shape[0], (long long)j->n_scans);
}

/// Features of the cell that each point lies in; zero where the result has no such cell.
static lat_status cells_of_points(const scan_job *j, const lat_tensor *result, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *own = NULL;
  lat_array_view points = lat_array_as_view(j->inputs.positions), batch = lat_array_as_view(j->inputs.batch);
  lat_triple stride = lat_tensor_stride(result);
  const int32_t steps[3] = {stride.x, stride.y, stride.z};
  lat_voxel_grid grid = lat_voxel_grid_cube(j->asked->request.voxel);
  grid.batch_indices = &batch;
  // Nearest reading rounds to lattice points; half a cell of shift turns that into the cell that the point lies in.
  for (int axis = 0; axis < 3; axis++) {
    grid.voxel_size[axis] *= steps[axis];
    grid.origin[axis] = 0.5 * grid.voxel_size[axis];
  }
  CLI_TRY(lat_devoxelize(j->run->context, &points, result, &grid, LAT_INTERPOLATION_NEAREST, &own), done);
  lat_array_view view = lat_array_as_view(own);
  CLI_TRY(lat_array_cast(j->run->context, &view, LAT_DTYPE_F32, out), done);
done:
  lat_array_release(own);
  return status;
}

/// The values of one output at every point.
static lat_status values_of_points(const scan_job *j, const char *name, lat_array **out) {
  const lat_tensor *tensor = lat_results_tensor(j->run->results, name);
  int group = tensor ? group_of(j, tensor) : -1;
  if (tensor && group < 0) return cells_of_points(j, tensor, out);
  lat_array_view table =
      tensor ? lat_tensor_feats(tensor) : lat_array_as_view(lat_results_array(j->run->results, name));
  return tensor ? rows_of_points(j, &table, ROWS_OF_VOXELS, group, out) : table_of_points(j, name, &table, out);
}

/// Adds an output to every cloud, a field for each channel.
static lat_status add_output(scan_job *j, const char *name) {
  lat_status status = LAT_STATUS_OK;
  lat_array *values = NULL;
  CLI_TRY(values_of_points(j, name, &values), done);
  int64_t channels = lat_array_as_view(values).shape[1];
  for (int64_t i = 0; i < channels * j->n_scans; i++) {
    char field[280];
    int64_t c = i % channels, scan = i / channels, first = j->inputs.starts[scan];
    snprintf(field, sizeof field, "%s_%lld", name, (long long)c);
    lat_array_view channel = lat_view_1d((const float *)lat_array_data(values) + first * channels + c, LAT_DTYPE_F32,
                                         j->inputs.starts[scan + 1] - first);
    channel.stride[0] = channels;
    CLI_TRY(lat_cloud_add_field(j->run->context, j->inputs.clouds[scan], field, &channel), done);
  }
done:
  lat_array_release(values);
  return status;
}

lat_status run_on_scans(run_job *job, const run_scan *scan, int64_t *n_points, int64_t *n_voxels) {
  lat_status status = LAT_STATUS_OK;
  scan_job j = {.run = job, .asked = scan, .n_scans = scan->request.paths.n};
  CLI_TRY(scan_inputs_make(job->context, "run", job->model, &scan->request, &j.inputs), done);
  j.n_points = *n_points = scan_inputs_count(&j.inputs);
  for (int g = j.inputs.n_groups - 1; g >= 0; g--) {
    if (j.inputs.voxels[g]) *n_voxels = lat_tensor_count(j.inputs.voxels[g]);
  }
  CLI_TRY(lat_program_run(job->context, job->program, j.inputs.bindings, j.inputs.n_bindings, NULL, &job->results),
          done);
  for (int64_t i = 0; i < lat_results_count(job->results); i++) {
    CLI_TRY(add_output(&j, lat_results_name(job->results, i)), done);
  }
  for (int64_t s = 0; s < j.n_scans; s++) {
    CLI_TRY(lat_cloud_write_ply(job->context, j.inputs.clouds[s], scan->outs.items[s], NULL), done);
  }
done:
  scan_inputs_end(&j.inputs);
  return status;
}
