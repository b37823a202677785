/// `lattice voxelize FILE --size S -o OUT.ply`: one point per occupied voxel, at its centre, with the mean of every field.
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const char verb[] = "voxelize";

/// What the verb works with.
typedef struct job {
  lat_context *context;
  const lat_cloud *cloud;
  double size;
  lat_quantization *voxels;
  lat_cloud *out;
} job;

static int64_t voxel_count(const job *j) {
  return lat_coords_count(lat_quantization_coords(j->voxels));
}

/// New cloud with the voxel centres, in the precision of the points.
static lat_status make_centres(job *j) {
  lat_status status = LAT_STATUS_OK;
  lat_array *centres = NULL;
  lat_dtype dtype = lat_cloud_positions(j->cloud).dtype;
  const int32_t *rows = lat_coords_rows(lat_quantization_coords(j->voxels)).data;
  int64_t shape[2] = {voxel_count(j), 3};
  CLI_TRY(lat_array_full(j->context, dtype, 2, shape, 0.0, &centres), done);
  void *data = lat_array_data(centres);
  for (int64_t i = 0; i < shape[0] * 3; i++) {
    double centre = ((double)rows[i / 3 * 4 + 1 + i % 3] + 0.5) * j->size;
    if (dtype == LAT_DTYPE_F64) {
      ((double *)data)[i] = centre;
    } else {
      ((float *)data)[i] = (float)centre;
    }
  }
  lat_array_view view = lat_array_as_view(centres);
  CLI_TRY(lat_cloud_create(j->context, &view, &j->out), done);
done:
  lat_array_release(centres);
  return status;
}

/// Mean of a field over the points of each voxel, summed in double in point order.
static lat_status add_mean(job *j, const char *name, const lat_array_view *field) {
  lat_status status = LAT_STATUS_OK;
  lat_array *sums = NULL, *means = NULL;
  int64_t n_voxels = voxel_count(j);
  const int32_t *voxel_of = lat_quantization_inverse_rows(j->voxels).data;
  const int32_t *counts = lat_quantization_counts(j->voxels).data;
  CLI_TRY(lat_array_full(j->context, LAT_DTYPE_F64, 1, &n_voxels, 0.0, &sums), done);
  double *sum = lat_array_data(sums);
  for (int64_t i = 0; i < field->shape[0]; i++) sum[voxel_of[i]] += cli_value(field, i);
  for (int64_t i = 0; i < n_voxels; i++) sum[i] /= (double)counts[i];
  lat_array_view view = lat_array_as_view(sums);
  if (field->dtype != LAT_DTYPE_F64) {
    CLI_TRY(lat_array_cast(j->context, &view, LAT_DTYPE_F32, &means), done);
    view = lat_array_as_view(means);
  }
  CLI_TRY(lat_cloud_add_field(j->context, j->out, name, &view), done);
done:
  lat_array_release(sums);
  lat_array_release(means);
  return status;
}

static lat_status add_fields(job *j) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view counts = lat_quantization_counts(j->voxels);
  CLI_TRY(lat_cloud_add_field(j->context, j->out, "count", &counts), done);
  for (int32_t i = 0; i < lat_cloud_n_fields(j->cloud); i++) {
    lat_array_view field = lat_cloud_field(j->cloud, i);
    const char *name = lat_cloud_field_name(j->cloud, i);
    cli_progress(verb, "field %s", name);
    CLI_TRY(add_mean(j, strcmp(name, "count") == 0 ? "count_mean" : name, &field), done);
  }
done:
  return status;
}

static lat_status run(job *j, const char *out_path) {
  lat_status status = LAT_STATUS_OK;
  lat_voxel_grid grid = lat_voxel_grid_cube(j->size);
  lat_array_view points = lat_cloud_positions(j->cloud);
  cli_progress(verb, "%lld points", (long long)lat_cloud_count(j->cloud));
  CLI_TRY(lat_sparse_quantize(j->context, &points, &grid, &j->voxels), done);
  CLI_TRY(make_centres(j), done);
  CLI_TRY(add_fields(j), done);
  cli_progress(verb, "writing %s", out_path);
  CLI_TRY(lat_cloud_write_ply(j->context, j->out, out_path, NULL), done);
done:
  cli_progress_end();
  return status;
}

static int print_result(const job *j, const char *in_path, const char *out_path, bool json) {
  int64_t n_points = lat_cloud_count(j->cloud), n_voxels = voxel_count(j);
  if (json) {
    return cli_print_json(verb, json_pack("{s:s, s:s, s:f, s:I, s:I}", "file", in_path, "out", out_path, "voxel_size",
                                          j->size, "points", (json_int_t)n_points, "voxels", (json_int_t)n_voxels));
  }
  printf("%lld points -> %lld voxels of %g, in %s\n", (long long)n_points, (long long)n_voxels, j->size, out_path);
  return CLI_OK;
}

int cmd_voxelize(int argc, char **argv) {
  bool json = false;
  int64_t floats = 0, threads = 0;
  const char *in_path = NULL, *out_path = NULL;
  job j = {.size = 0.0};
  const cli_option options[] = {
      {"--size", NULL, "S", CLI_REAL, &j.size, 0.0, FLT_MAX, "edge length of a voxel, in the unit of the points"},
      {"--out", "-o", "OUT.ply", CLI_TEXT, &out_path, 0, 0, "file to write"},
      CLI_OPTION_FLOATS(&floats),
      CLI_OPTION_THREADS(&threads),
      CLI_OPTION_JSON(&json)};
  const cli_syntax syntax = {
      verb,
      "FILE",
      "Writes one point for each voxel that holds points: the centre of the voxel, `count` (its\n"
      "points) and the mean of every field. --size and -o must be given.\n",
      options,
      CLI_COUNT(options),
      1,
      1,
      "A point p lies in voxel floor(p / S). Voxels are in the order of their first point.\n"
      "A field called count becomes count_mean.\n"};
  int code = cli_parse(&syntax, argc, argv, &in_path, NULL);
  if (code != CLI_PARSED) return code;
  if (!out_path) return cli_usage_error(verb, "no output given, expected -o OUT.ply");
  if (j.size <= 0.0) return cli_usage_error(verb, "no voxel size given, expected --size S");
  lat_status status = LAT_STATUS_OK;
  lat_cloud *cloud = NULL;
  CLI_TRY(cli_context_create(threads, 0, &j.context), done);
  CLI_TRY(cli_read_cloud(j.context, in_path, floats, &cloud), done);
  j.cloud = cloud;
  CLI_TRY(run(&j, out_path), done);
  code = print_result(&j, in_path, out_path, json);
done:
  if (status) code = cli_exit_code(verb, status);
  lat_quantization_release(j.voxels);
  lat_cloud_release(j.out);
  lat_cloud_release(cloud);
  lat_context_destroy(j.context);
  return code;
}
