/// `lattice run DIR`: a model over the tensors of a file, or (cmd_run_scan.c) over a point cloud.
#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_run.h"

enum { NAME_BYTES = 256, ARRAYS_PER_OUTPUT = 4 };

static const char verb[] = "run";

// --- tensors of files -----------------------------------------------------------------------------------------------

/// Runs the program on every tensor of the file, each under its own name.
static lat_status run_on_file(run_job *job, const char *path) {
  lat_status status = LAT_STATUS_OK;
  lat_safetensors *file = NULL;
  lat_run_opts opts = LAT_RUN_OPTS_INIT;
  lat_binding *inputs = NULL;
  lat_array_view *views = NULL;
  opts.logical_coords = job->logical;
  CLI_TRY(lat_safetensors_open(job->context, path, &file), done);
  size_t n = (size_t)lat_safetensors_count(file);
  inputs = calloc(n + 1, sizeof *inputs);
  views = calloc(n + 1, sizeof *views);
  if (!inputs || !views) {
    status = lat_fail(LAT_STATUS_OUT_OF_MEMORY, "run: no memory for %zu inputs", n);
    goto done;
  }
  for (size_t i = 0; i < n; i++) {
    views[i] = lat_array_as_view(lat_safetensors_array(file, (int64_t)i));
    inputs[i] = (lat_binding){lat_safetensors_name(file, (int64_t)i), NULL, &views[i]};
  }
  CLI_TRY(lat_program_run(job->context, job->program, inputs, (int64_t)n, &opts, &job->results), done);
done:
  free(inputs);
  free(views);
  lat_safetensors_release(file);
  return status;
}

/// The arrays of the file to write, and what they need.
typedef struct output_list {
  lat_named_array *arrays;
  char (*names)[NAME_BYTES];
  lat_array **owned;
  int64_t n;
} output_list;

static lat_status add_array(output_list *list, const char *name, const char *ending, lat_array_view view) {
  char *full = list->names[list->n];
  if (snprintf(full, NAME_BYTES, "%s%s", name, ending) >= NAME_BYTES) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "run: output name is too long: expected at most %d bytes",
                    NAME_BYTES - 10);
  }
  list->arrays[list->n++] = (lat_named_array){full, view};
  return LAT_STATUS_OK;
}

/// Adds a new array that the list keeps.
static lat_status add_ints(run_job *job, output_list *list, const char *name, const char *ending, const int32_t *values,
                           int64_t n) {
  lat_array_view view = lat_view_1d(values, LAT_DTYPE_I32, n);
  lat_array **place = &list->owned[list->n];
  lat_status status = lat_array_create(job->context, &view, place);
  return status ? status : add_array(list, name, ending, lat_array_as_view(*place));
}

/// The rows of a set as they are written: times its stride unless `logical`.
static lat_status add_coords(run_job *job, output_list *list, const char *name, const lat_coords *coords) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view rows = lat_coords_rows(coords);
  lat_triple stride = lat_coords_stride(coords);
  const int64_t steps[4] = {1, stride.x, stride.y, stride.z};
  lat_array **place = &list->owned[list->n];
  CLI_TRY(lat_array_create(job->context, &rows, place), done);
  int32_t *data = lat_array_data(*place);
  for (int64_t i = 0; !job->logical && i < 4 * rows.shape[0]; i++) {
    int64_t value = data[i] * steps[i % 4];
    if (value < INT32_MIN || value > INT32_MAX) {
      status = lat_fail(LAT_STATUS_OVERFLOW,
                        "run: physical coordinates of output %s leave int32: expected --coords logical", name);
      goto done;
    }
    data[i] = (int32_t)value;
  }
  CLI_TRY(add_array(list, name, ".coords", lat_array_as_view(*place)), done);
done:
  return status;
}

static lat_status add_output(run_job *job, output_list *list, const char *name) {
  lat_status status = LAT_STATUS_OK;
  const lat_tensor *tensor = lat_results_tensor(job->results, name);
  if (!tensor) return add_array(list, name, "", lat_array_as_view(lat_results_array(job->results, name)));
  lat_triple stride = lat_tensor_stride(tensor);
  const int32_t active = (int32_t)lat_tensor_count(tensor), steps[3] = {stride.x, stride.y, stride.z};
  CLI_TRY(add_coords(job, list, name, lat_tensor_coords(tensor)), done);
  CLI_TRY(add_array(list, name, ".features", lat_tensor_feats(tensor)), done);
  CLI_TRY(add_ints(job, list, name, ".active", &active, 1), done);
  CLI_TRY(add_ints(job, list, name, ".stride", steps, 3), done);
done:
  return status;
}

static lat_status write_results(run_job *job, const char *path) {
  lat_status status = LAT_STATUS_OK;
  int64_t n_outputs = lat_results_count(job->results);
  size_t room = (size_t)n_outputs * ARRAYS_PER_OUTPUT + 1;
  output_list list = {calloc(room, sizeof *list.arrays), calloc(room, sizeof *list.names), calloc(room, sizeof(void *)),
                      0};
  if (!list.arrays || !list.names || !list.owned) {
    status = lat_fail(LAT_STATUS_OUT_OF_MEMORY, "run: no memory for %lld outputs", (long long)n_outputs);
    goto done;
  }
  for (int64_t i = 0; i < n_outputs; i++) CLI_TRY(add_output(job, &list, lat_results_name(job->results, i)), done);
  CLI_TRY(lat_safetensors_write(job->context, path, list.arrays, list.n), done);
done:
  for (size_t i = 0; list.owned && i < room; i++) lat_array_release(list.owned[i]);
  free(list.arrays);
  free(list.names);
  free(list.owned);
  return status;
}

// --- the report -----------------------------------------------------------------------------------------------------

static json_t *results_json(const run_job *job) {
  json_t *list = json_array();
  for (int64_t i = 0; i < lat_results_count(job->results); i++) {
    const char *name = lat_results_name(job->results, i);
    const lat_tensor *tensor = lat_results_tensor(job->results, name);
    lat_array_view view = tensor ? lat_tensor_feats(tensor) : lat_array_as_view(lat_results_array(job->results, name));
    json_t *shape = json_array();
    for (int32_t axis = 0; axis < view.rank; axis++) json_array_append_new(shape, json_integer(view.shape[axis]));
    json_array_append_new(list, json_pack("{s:s, s:b, s:s, s:o}", "name", name, "sparse", tensor != NULL, "dtype",
                                          lat_dtype_name(view.dtype), "shape", shape));
  }
  return list;
}

static void print_results(const run_job *job) {
  for (int64_t i = 0; i < lat_results_count(job->results); i++) {
    const char *name = lat_results_name(job->results, i);
    const lat_tensor *tensor = lat_results_tensor(job->results, name);
    lat_array_view view = tensor ? lat_tensor_feats(tensor) : lat_array_as_view(lat_results_array(job->results, name));
    printf("%s: %s %s (", name, tensor ? "sparse" : "dense", lat_dtype_name(view.dtype));
    for (int32_t axis = 0; axis < view.rank; axis++) printf("%s%" PRId64, axis ? ", " : "", view.shape[axis]);
    printf(")");
    if (tensor) {
      lat_triple stride = lat_tensor_stride(tensor);
      printf(", stride (%d, %d, %d)", (int)stride.x, (int)stride.y, (int)stride.z);
    }
    printf("\n");
  }
}

// --- the verb -------------------------------------------------------------------------------------------------------

/// What the command line says.
typedef struct run_arguments {
  const char *model, *inputs, *outputs, *coords;
  run_scan scan;
  bool json;
} run_arguments;

/// CLI_PARSED, or the exit code for options that do not go together.
static int check_arguments(const run_arguments *a) {
  bool files = a->inputs || a->outputs || a->coords,
       scan = a->scan.request.paths.n || a->scan.outs.n || a->scan.request.features || a->scan.request.voxel > 0.0;
  if (files == scan) {
    return cli_usage_error(verb, "got %s, expected --inputs and --outputs, or --scan, --voxel and -o",
                           files ? "options of both ways" : "no input");
  }
  if (files && (!a->inputs || !a->outputs)) {
    return cli_usage_error(verb, "no %s given, expected both --inputs and --outputs",
                           a->inputs ? "--outputs" : "--inputs");
  }
  if (scan && (!a->scan.request.paths.n || !a->scan.outs.n || a->scan.request.voxel <= 0.0)) {
    const char *missing = !a->scan.request.paths.n ? "--scan" : !a->scan.outs.n ? "-o" : "--voxel";
    return cli_usage_error(verb, "no %s given, expected --scan FILE, --voxel S and -o OUT.ply", missing);
  }
  if (scan && a->scan.request.paths.n != a->scan.outs.n) {
    return cli_usage_error(verb, "got %d of -o for %d of --scan, expected one file to write for each scan",
                           a->scan.outs.n, a->scan.request.paths.n);
  }
  if (a->coords && strcmp(a->coords, "physical") != 0 && strcmp(a->coords, "logical") != 0) {
    return cli_usage_error(verb, "--coords: got '%s', expected physical or logical", a->coords);
  }
  return CLI_PARSED;
}

static json_t *texts_json(const cli_texts *texts) {
  json_t *list = json_array();
  for (int i = 0; i < texts->n; i++) json_array_append_new(list, json_string(texts->items[i]));
  return list;
}

static int report(const run_job *job, const run_arguments *a, int64_t n_points, int64_t n_voxels) {
  const char *out = a->inputs ? a->outputs : a->scan.outs.items[0];
  if (a->json) {
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:o}", "artifact", a->model, "in",
                  a->inputs ? a->inputs : a->scan.request.paths.items[0], "out", out, "results", results_json(job));
    if (json && a->scan.outs.n > 1) {
      json_object_set_new(json, "in", texts_json(&a->scan.request.paths));
      json_object_set_new(json, "out", texts_json(&a->scan.outs));
    }
    if (json && n_points >= 0) json_object_set_new(json, "points", json_integer(n_points));
    if (json && n_voxels >= 0) json_object_set_new(json, "voxels", json_integer(n_voxels));
    return cli_print_json(verb, json);
  }
  if (n_voxels >= 0)
    printf("%" PRId64 " points, %" PRId64 " voxels of %g\n", n_points, n_voxels, a->scan.request.voxel);
  print_results(job);
  printf("in %s\n", out);
  for (int i = 1; i < a->scan.outs.n; i++) printf("in %s\n", a->scan.outs.items[i]);
  return CLI_OK;
}

static lat_status run(run_job *job, const run_arguments *a, int64_t *n_points, int64_t *n_voxels) {
  lat_status status = LAT_STATUS_OK;
  cli_progress(verb, "reading %s", a->model);
  CLI_TRY(lat_model_load(job->context, a->model, NULL, &job->model), done);
  CLI_TRY(lat_model_compile(job->context, job->model, NULL, &job->program), done);
  cli_progress(verb, "running");
  if (a->inputs) {
    CLI_TRY(run_on_file(job, a->inputs), done);
    CLI_TRY(write_results(job, a->outputs), done);
  } else {
    CLI_TRY(run_on_scans(job, &a->scan, n_points, n_voxels), done);
  }
done:
  cli_progress_end();
  return status;
}

int cmd_run(int argc, char **argv) {
  run_arguments a = {.json = false};
  int64_t threads = 0, n_points = -1, n_voxels = -1;
  const cli_option options[] = {
      {"--inputs", NULL, "IN", CLI_TEXT, &a.inputs, 0, 0, "safetensors file with the model's inputs by name"},
      {"--outputs", NULL, "OUT", CLI_TEXT, &a.outputs, 0, 0, "safetensors file to write"},
      {"--coords", NULL, "WAY", CLI_TEXT, &a.coords, 0, 0,
       "coordinates in both files: physical (times the stride;\ndefault) or logical"},
      {"--scan", NULL, "FILE", CLI_TEXTS, &a.scan.request.paths, 0, 0,
       "point cloud to run over; several are the items of one batch"},
      {"--voxel", NULL, "S", CLI_REAL, &a.scan.request.voxel, 0.0, FLT_MAX,
       "edge length of a voxel, in the unit of the points"},
      {"--features", NULL, "LIST", CLI_TEXT, &a.scan.request.features, 0, 0,
       "columns that are the features: x, y, z, fields, 1 for\nones; separated by commas (default: by their number), "
       "for the\ninputs of as many channels"},
      {"--out", "-o", "OUT.ply", CLI_TEXTS, &a.scan.outs, 0, 0,
       "points with the model's results to write, one for each scan"},
      CLI_OPTION_FLOATS(&a.scan.request.floats),
      CLI_OPTION_THREADS(&threads),
      CLI_OPTION_JSON(&a.json)};
  const cli_syntax syntax = {
      verb,
      "DIR",
      "Runs a model artifact. With --inputs and --outputs: over the tensors of a file. With --scan,\n"
      "--voxel and -o: voxelizes a point cloud, runs, and brings the results back to the points.\n",
      options,
      CLI_COUNT(options),
      1,
      1,
      "A sparse output NAME is written as NAME.coords (int32), NAME.features, NAME.active (int32, one\n"
      "number) and NAME.stride (int32, three), a dense one as NAME. In OUT.ply every channel is a field.\n"};
  run_job job = {.logical = false};
  lat_status status = LAT_STATUS_OK;
  int code = cli_parse(&syntax, argc, argv, &a.model, NULL);
  if (code != CLI_PARSED || (code = check_arguments(&a)) != CLI_PARSED) return code;
  job.logical = a.coords && strcmp(a.coords, "logical") == 0;
  CLI_TRY(cli_context_create(threads, 0, &job.context), done);
  CLI_TRY(run(&job, &a, &n_points, &n_voxels), done);
  code = report(&job, &a, n_points, n_voxels);
done:
  if (status) code = cli_exit_code(verb, status);
  lat_results_release(job.results);
  lat_program_release(job.program);
  lat_model_release(job.model);
  lat_context_destroy(job.context);
  return code;
}
