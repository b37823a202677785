/// `lattice demo`: a sweep through a small sparse network and back to its points, with a table and a picture.
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "demo_network.h"
#include "demo_view.h"
#include "simulate_street.h"

static const char verb[] = "demo";

enum { N_INPUT_CHANNELS = 5, N_SHOWN_CHANNELS = 8, PICTURE_WIDTH = 1200, PATH_BYTES = 4096 };

/// What the demo works with.
typedef struct job {
  lat_context *context;
  lat_cloud *scan;
  double voxel; ///< 0: to be chosen
  lat_tensor *voxels;
  double quantize_ms, devoxelize_ms;
  demo_network network;
  lat_array *features; ///< (N, channels of all levels)
  lat_array *colours;  ///< (N, 3)
  char ply_path[PATH_BYTES], png_path[PATH_BYTES];
} job;

static lat_status count_voxels(job *j, double size, int64_t *n_voxels) {
  lat_voxel_grid grid = lat_voxel_grid_cube(size);
  lat_array_view points = lat_cloud_positions(j->scan);
  lat_quantization *voxels = NULL;
  lat_status status = lat_sparse_quantize(j->context, &points, &grid, &voxels);
  if (!status) *n_voxels = lat_coords_count(lat_quantization_coords(voxels));
  lat_quantization_release(voxels);
  return status;
}

/// Chooses a voxel size for the scan's scale: 0.05, halved or doubled until a voxel holds 1.15 to 4 points on average.
static lat_status choose_voxel(job *j) {
  lat_status status = LAT_STATUS_OK;
  double n_points = (double)lat_cloud_count(j->scan), size = 0.05;
  int last = 0;
  for (int i = 0; i < 40; i++) {
    int64_t n_voxels = 1;
    CLI_TRY(count_voxels(j, size, &n_voxels), done);
    double filling = n_points / (double)(n_voxels > 0 ? n_voxels : 1);
    int step = filling < 1.15 ? 1 : filling > 4.0 ? -1 : 0;
    if (step == 0 || step == -last || n_points < 2) break; // a turn back means that no power of two fits
    size = step > 0 ? 2.0 * size : 0.5 * size;
    last = step;
  }
  j->voxel = size;
done:
  return status;
}

/// `(N, 5)` input features: place in the voxel (-1 to 1 on each axis), height over the lowest points, intensity.
static lat_status make_inputs(job *j, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view positions = lat_cloud_positions(j->scan);
  int32_t index = lat_cloud_find_field(j->scan, "intensity");
  lat_array_view intensity = lat_cloud_field(j->scan, index);
  cli_stats heights = cli_compute_stats(&positions, 2, 3, positions.shape[0]);
  cli_stats brightness = {0, 0.0, 1.0, 0.0};
  if (index >= 0) brightness = cli_compute_stats(&intensity, 0, 1, positions.shape[0]);
  double height_range = heights.max > heights.min ? heights.max - heights.min : 1.0;
  double brightest = brightness.max > 0.0 ? brightness.max : 1.0;
  int64_t shape[2] = {positions.shape[0], N_INPUT_CHANNELS};
  CLI_TRY(lat_array_full(j->context, LAT_DTYPE_F32, 2, shape, 0.0, out), done);
  float *row = lat_array_data(*out);
  for (int64_t i = 0; i < shape[0]; i++, row += N_INPUT_CHANNELS) {
    for (int axis = 0; axis < 3; axis++) {
      double cell = cli_value(&positions, i * 3 + axis) / j->voxel;
      row[axis] = (float)(2.0 * (cell - floor(cell)) - 1.0);
    }
    row[3] = (float)((cli_value(&positions, i * 3 + 2) - heights.min) / height_range);
    row[4] = index >= 0 ? (float)(cli_value(&intensity, i) / brightest) : 0.0f;
  }
done:
  return status;
}

static lat_status make_voxels(job *j) {
  lat_status status = LAT_STATUS_OK;
  lat_array *inputs = NULL;
  lat_array_view points = lat_cloud_positions(j->scan);
  if (j->voxel <= 0.0) CLI_TRY(choose_voxel(j), done);
  CLI_TRY(make_inputs(j, &inputs), done);
  lat_voxel_grid grid = lat_voxel_grid_cube(j->voxel);
  lat_array_view features = lat_array_as_view(inputs);
  double start = cli_seconds();
  CLI_TRY(lat_voxelize(j->context, &points, &features, &grid, LAT_VOXEL_MEAN, &j->voxels), done);
  j->quantize_ms = 1e3 * (cli_seconds() - start);
done:
  lat_array_release(inputs);
  return status;
}

/// Reads one level's features at the points into columns `first_column` on of the feature table.
static lat_status add_level(job *j, const lat_tensor *level, int64_t first_column) {
  lat_status status = LAT_STATUS_OK;
  lat_array *values = NULL;
  lat_array_view points = lat_cloud_positions(j->scan);
  double size = j->voxel * (double)lat_tensor_stride(level).x;
  lat_voxel_grid grid = lat_voxel_grid_cube(size);
  // Nearest reading rounds to lattice points; half a voxel of shift turns that into the voxel the point lies in.
  for (int axis = 0; axis < 3; axis++) grid.origin[axis] = 0.5 * size;
  double start = cli_seconds();
  CLI_TRY(lat_devoxelize(j->context, &points, level, &grid, LAT_INTERPOLATION_NEAREST, &values), done);
  j->devoxelize_ms += 1e3 * (cli_seconds() - start);
  int64_t n_columns = lat_array_as_view(j->features).shape[1], n_channels = lat_tensor_channels(level);
  const float *source = lat_array_data(values);
  float *target = (float *)lat_array_data(j->features) + first_column;
  for (int64_t i = 0; i < points.shape[0]; i++) {
    memcpy(target + i * n_columns, source + i * n_channels, (size_t)n_channels * sizeof *target);
  }
done:
  lat_array_release(values);
  return status;
}

static lat_status read_back(job *j) {
  lat_status status = LAT_STATUS_OK;
  int64_t shape[2] = {lat_cloud_count(j->scan), 0}, column = 0;
  for (int i = 0; i < DEMO_LEVELS; i++) shape[1] += lat_tensor_channels(j->network.levels[i]);
  CLI_TRY(lat_array_full(j->context, LAT_DTYPE_F32, 2, shape, 0.0, &j->features), done);
  for (int i = 0; i < DEMO_LEVELS; i++) {
    CLI_TRY(add_level(j, j->network.levels[i], column), done);
    column += lat_tensor_channels(j->network.levels[i]);
  }
done:
  return status;
}

static lat_status write_features(job *j) {
  lat_status status = LAT_STATUS_OK;
  lat_cloud *cloud = NULL;
  static const char *const colour_names[3] = {"red", "green", "blue"};
  lat_array_view positions = lat_cloud_positions(j->scan), features = lat_array_as_view(j->features);
  int64_t n = positions.shape[0];
  CLI_TRY(lat_cloud_create(j->context, &positions, &cloud), done);
  for (int k = 0; k < 3; k++) {
    lat_array_view channel = lat_view_1d((const uint8_t *)lat_array_data(j->colours) + k, LAT_DTYPE_U8, n);
    channel.stride[0] = 3;
    CLI_TRY(lat_cloud_add_field(j->context, cloud, colour_names[k], &channel), done);
  }
  int32_t label = lat_cloud_find_field(j->scan, "label");
  lat_array_view labels = lat_cloud_field(j->scan, label);
  if (label >= 0) CLI_TRY(lat_cloud_add_field(j->context, cloud, "label", &labels), done);
  for (int64_t k = 0; k < N_SHOWN_CHANNELS; k++) {
    char name[16];
    snprintf(name, sizeof name, "feature_%d", (int)k);
    lat_array_view channel = lat_view_1d((const float *)lat_array_data(j->features) + k, LAT_DTYPE_F32, n);
    channel.stride[0] = features.shape[1];
    CLI_TRY(lat_cloud_add_field(j->context, cloud, name, &channel), done);
  }
  CLI_TRY(lat_cloud_write_ply(j->context, cloud, j->ply_path, NULL), done);
done:
  lat_cloud_release(cloud);
  return status;
}

static lat_status draw(job *j) {
  lat_status status = LAT_STATUS_OK;
  lat_array *picture = NULL;
  lat_array_view features = lat_array_as_view(j->features), positions = lat_cloud_positions(j->scan);
  CLI_TRY(demo_colour_features(j->context, &features, &j->colours), done);
  lat_array_view colours = lat_array_as_view(j->colours);
  CLI_TRY(demo_draw_view(j->context, &positions, &colours, PICTURE_WIDTH, &picture), done);
  lat_array_view image = lat_array_as_view(picture);
  CLI_TRY(lat_image_write_png(j->context, &image, j->png_path), done);
done:
  lat_array_release(picture);
  return status;
}

static lat_status run(job *j) {
  lat_status status = LAT_STATUS_OK;
  cli_progress(verb, "voxelizing");
  CLI_TRY(make_voxels(j), done);
  CLI_TRY(demo_network_create(j->context, N_INPUT_CHANNELS, &j->network), done);
  CLI_TRY(demo_network_run(j->context, j->voxels, verb, &j->network), done);
  CLI_TRY(read_back(j), done);
  cli_progress(verb, "drawing");
  CLI_TRY(draw(j), done);
  CLI_TRY(write_features(j), done);
done:
  cli_progress_end();
  return status;
}

// --- what it prints -------------------------------------------------------------------------------------------------

static void print_row(const demo_row *row) {
  char edges[24] = "";
  if (row->n_edges >= 0) snprintf(edges, sizeof edges, "%lld", (long long)row->n_edges);
  printf("%-22s %9lld %9lld %10s %9.2f", row->name, (long long)row->n_rows, (long long)row->n_channels, edges,
         row->first_ms);
  if (row->again_ms > 0.0) printf(" %9.2f", row->again_ms);
  printf("\n");
}

static void print_table(const job *j, const char *name) {
  double first = j->quantize_ms + j->devoxelize_ms, again = first;
  int64_t n_edges = 0, n_features = lat_array_as_view(j->features).shape[1];
  for (int i = 0; i < j->network.n_rows; i++) {
    first += j->network.rows[i].first_ms;
    again += j->network.rows[i].again_ms;
    if (j->network.rows[i].n_edges > 0) n_edges += j->network.rows[i].n_edges;
  }
  printf("%s: %lld points, %lld voxels of %g, %lld edges; %d threads, level %s\n\n", name,
         (long long)lat_cloud_count(j->scan), (long long)lat_tensor_count(j->voxels), j->voxel, (long long)n_edges,
         (int)lat_context_threads(j->context), lat_cpu_level_name(lat_context_cpu_level(j->context)));
  printf("%-22s %9s %9s %10s %9s %9s\n", "layer", "rows", "channels", "edges", "ms", "ms again");
  demo_row ends[2] = {{"voxelize", lat_tensor_count(j->voxels), N_INPUT_CHANNELS, -1, j->quantize_ms, 0.0},
                      {"devoxelize", lat_cloud_count(j->scan), n_features, -1, j->devoxelize_ms, 0.0}};
  print_row(&ends[0]);
  for (int i = 0; i < j->network.n_rows; i++) print_row(&j->network.rows[i]);
  print_row(&ends[1]);
  printf("%-22s %9s %9s %10s %9.2f %9.2f\n\n", "total", "", "", "", first, again);
  printf("(ms: the first run builds the relations; ms again: it finds them in the cache)\n");
  printf("features of the points  %s\nview from above         %s\n", j->ply_path, j->png_path);
}

static int print_json(const job *j, const char *name) {
  json_t *rows = json_array();
  for (int i = 0; i < j->network.n_rows; i++) {
    const demo_row *row = &j->network.rows[i];
    json_array_append_new(rows, json_pack("{s:s, s:I, s:I, s:o, s:f, s:f}", "layer", row->name, "rows",
                                          (json_int_t)row->n_rows, "channels", (json_int_t)row->n_channels, "edges",
                                          row->n_edges < 0 ? json_null() : json_integer(row->n_edges), "ms",
                                          row->first_ms, "ms_again", row->again_ms));
  }
  return cli_print_json(
      verb, json_pack("{s:s, s:I, s:I, s:f, s:i, s:s, s:f, s:f, s:o, s:s, s:s}", "scan", name, "points",
                      (json_int_t)lat_cloud_count(j->scan), "voxels", (json_int_t)lat_tensor_count(j->voxels),
                      "voxel_size", j->voxel, "threads", (int)lat_context_threads(j->context), "level",
                      lat_cpu_level_name(lat_context_cpu_level(j->context)), "voxelize_ms", j->quantize_ms,
                      "devoxelize_ms", j->devoxelize_ms, "layers", rows, "features", j->ply_path, "view", j->png_path));
}

/// Makes the output folder when it is missing, and the paths in it.
static int prepare_folder(job *j, const char *folder) {
  int n = snprintf(j->ply_path, PATH_BYTES, "%s/features.ply", folder);
  snprintf(j->png_path, PATH_BYTES, "%s/view.png", folder);
  if (n < 0 || n >= PATH_BYTES) return cli_failure(verb, "--out: the path is too long");
  if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
    return cli_failure(verb, "%s: cannot make the folder: %s", folder, strerror(errno));
  }
  return CLI_OK;
}

static void release(job *j) {
  demo_network_release(&j->network);
  lat_array_release(j->features);
  lat_array_release(j->colours);
  lat_tensor_release(j->voxels);
  lat_cloud_release(j->scan);
  lat_context_destroy(j->context);
}

int cmd_demo(int argc, char **argv) {
  job j = {.voxel = 0.0};
  bool json = false;
  int64_t threads = 0, floats = 0, seed = 0;
  const char *scan_path = NULL, *folder = "out";
  const cli_option options[] = {
      {"--scan", NULL, "FILE", CLI_TEXT, &scan_path, 0, 0, "point cloud to use (default: a simulated street sweep)"},
      {"--out", "-o", "FOLDER", CLI_TEXT, &folder, 0, 0, "where to write features.ply and view.png (default out)"},
      {"--voxel", NULL, "S", CLI_REAL, &j.voxel, 0.0, FLT_MAX,
       "edge length of a voxel (default: 0.05, halved or doubled until\na voxel holds 1.15 to 4 points on average)"},
      {"--seed", NULL, "N", CLI_INT, &seed, 0, 0x1p53, "number of the street and of the weights (default 0)"},
      CLI_OPTION_FLOATS(&floats),
      CLI_OPTION_THREADS(&threads),
      CLI_OPTION_JSON(&json)};
  const cli_syntax syntax = {
      verb,
      "",
      "Runs a small sparse network with random weights over a sweep: voxelize, convolutions, norms,\n"
      "pools at three resolutions, and back to the points. Prints a line for each layer, writes the\n"
      "points with their features, and draws them from above, coloured by the features.\n",
      options,
      CLI_COUNT(options),
      0,
      0,
      "The colours are the three principal components of the features. The weights are untrained:\n"
      "what the picture shows is the geometry that convolutions see.\n"};
  int code = cli_parse(&syntax, argc, argv, NULL, NULL);
  if (code != CLI_PARSED) return code;
  lat_status status = LAT_STATUS_OK;
  const char *name = scan_path ? scan_path : "simulated street";
  CLI_TRY(cli_context_create(threads, (uint64_t)seed, &j.context), done);
  if (scan_path) {
    CLI_TRY(cli_read_cloud(j.context, scan_path, floats, &j.scan), done);
  } else {
    CLI_TRY(simulate_street(j.context, (uint64_t)seed, STREET_DEFAULT_POINTS, verb, &j.scan), done);
  }
  code = prepare_folder(&j, folder);
  if (code != CLI_OK) goto done;
  CLI_TRY(run(&j), done);
  if (json) {
    code = print_json(&j, name);
  } else {
    print_table(&j, name);
  }
done:
  if (status) code = cli_exit_code(verb, status);
  release(&j);
  return code;
}
