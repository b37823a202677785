/// `lattice explain`: what a network does on a scene, layer by layer, and where its time goes.
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "scan_inputs.h"
#include "scene.h"

static const char verb[] = "explain";

enum { N_WARM_RUNS = 7 };

/// What the command line asks for, and what is made of it.
typedef struct job {
  const char *folder, *network, *scan, *scene, *type;
  double voxel;
  int64_t n_rows, n_items, n_threads;
  bool json, no_fusion;

  lat_context *context;
  lat_model *model;
  lat_program *program;
  lat_array *rows, *points, *batch, *active;
  scan_group groups[SCAN_MOST_GROUPS];
  int n_groups;
  lat_array *feats[SCAN_MOST_GROUPS];
  double cold_ms, warm_ms;
  double peak_gflops; ///< limit of the context's threads, measured in the same run
  lat_explanation *explanation;
} job;

// --- model and inputs -----------------------------------------------------------------------------------------------

static lat_status make_model(job *j) {
  if (j->network) return lat_zoo_build(j->context, j->network, NULL, &j->model);
  return lat_model_load(j->context, j->folder, NULL, &j->model);
}

/// The rows of the scene.
static lat_status make_rows(job *j) {
  lat_status status = LAT_STATUS_OK;
  char text[256];
  problem item;
  snprintf(text, sizeof text, "relation:scene=%.64s", j->scan ? "street" : j->scene);
  CLI_TRY(problem_parse(text, &item), done);
  if (j->scan) {
    item.scene = PROBLEM_SCENE_SCAN;
    item.n = PROBLEM_ANY_COUNT;
    snprintf(item.scan, sizeof item.scan, "%s", j->scan);
  }
  if (j->n_rows) item.n = j->n_rows;
  if (j->voxel > 0.0) item.voxel = j->voxel;
  if (j->n_items) item.batch = (int32_t)j->n_items;
  j->voxel = item.voxel;
  CLI_TRY(scene_rows(j->context, &item, &j->rows), done);
done:
  return status;
}

/// Features that are drawn: what they are changes no time.
static lat_status draw_features(job *j, int g) {
  const double range[2] = {-1.0, 1.0};
  lat_model_port port = lat_model_input(j->model, j->groups[g].first + 1);
  const int64_t shape[2] = {lat_array_as_view(j->rows).shape[0], port.shape[1]};
  if (shape[1] < 1) {
    return lat_fail(LAT_STATUS_UNSUPPORTED, "model: input %s has no known number of channels", port.name);
  }
  return lat_array_uniform(j->context, LAT_DTYPE_F32, 2, shape, range, 1, &j->feats[g]);
}

/// A point in the middle of every voxel, with its batch item.
static lat_status make_points(job *j) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view rows = lat_array_as_view(j->rows);
  const int64_t n = rows.shape[0], one = 1, shape[2] = {n, 3};
  CLI_TRY(lat_array_full(j->context, LAT_DTYPE_F32, 2, shape, 0.0, &j->points), done);
  CLI_TRY(lat_array_full(j->context, LAT_DTYPE_I32, 1, &n, 0.0, &j->batch), done);
  CLI_TRY(lat_array_full(j->context, LAT_DTYPE_I32, 1, &one, (double)n, &j->active), done);
  const int32_t *row = rows.data;
  float *points = lat_array_data(j->points);
  int32_t *batch = lat_array_data(j->batch);
  for (int64_t i = 0; i < n; i++) {
    batch[i] = row[4 * i];
    for (int axis = 0; axis < 3; axis++) points[3 * i + axis] = (float)((row[4 * i + axis + 1] + 0.5) * j->voxel);
  }
done:
  return status;
}

static lat_status make_inputs(job *j) {
  lat_status status = LAT_STATUS_OK;
  CLI_TRY(scan_find_groups(verb, j->model, j->groups, &j->n_groups), done);
  CLI_TRY(make_rows(j), done);
  CLI_TRY(make_points(j), done);
  for (int g = 0; g < j->n_groups; g++) {
    lat_triple stride = j->groups[g].stride;
    if (stride.x != 1 || stride.y != 1 || stride.z != 1) {
      status =
          lat_fail(LAT_STATUS_UNSUPPORTED, "model: input %s has the stride (%d, %d, %d), expected 1: scenes have one",
                   j->groups[g].name, (int)stride.x, (int)stride.y, (int)stride.z);
      goto done;
    }
    CLI_TRY(draw_features(j, g), done);
  }
done:
  return status;
}

static lat_status compile(job *j) {
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  opts.no_fusion = j->no_fusion;
  if (strcmp(j->type, "f16") == 0) opts.dtype = LAT_DTYPE_F16;
  if (strcmp(j->type, "bf16") == 0) opts.dtype = LAT_DTYPE_BF16;
  return lat_model_compile(j->context, j->model, &opts, &j->program);
}

// --- measuring ------------------------------------------------------------------------------------------------------

/// What a run is given. Sets are made anew: nothing is cached on them.
typedef struct given {
  lat_tensor *tensors[SCAN_MOST_GROUPS];
  lat_array_view views[SCAN_MOST_GROUPS * SCAN_MOST_ARRAYS];
  lat_binding bindings[SCAN_MOST_GROUPS * SCAN_MOST_ARRAYS];
  int64_t n;
} given;

static lat_status give(job *j, given *to) {
  lat_status status = LAT_STATUS_OK;
  lat_coords *coords = NULL;
  lat_array_view rows = lat_array_as_view(j->rows);
  *to = (given){.n = 0};
  CLI_TRY(lat_coords_create(j->context, &rows, NULL, &coords), done);
  for (int g = 0; g < j->n_groups; g++) {
    if (!j->groups[g].takes_points) {
      CLI_TRY(lat_tensor_share(j->context, coords, j->feats[g], NULL, &to->tensors[g]), done);
      to->bindings[to->n++] = (lat_binding){j->groups[g].name, to->tensors[g], NULL};
      continue;
    }
    const lat_array *arrays[4] = {j->points, j->feats[g], j->batch, j->active};
    for (int i = 0; i < 4; i++) {
      lat_array_view *view = &to->views[to->n];
      *view = lat_array_as_view(arrays[i]);
      to->bindings[to->n++] = (lat_binding){lat_model_input(j->model, j->groups[g].first + i).name, NULL, view};
    }
  }
done:
  lat_coords_release(coords);
  return status;
}

static void take_back(given *from) {
  for (int g = 0; g < SCAN_MOST_GROUPS; g++) lat_tensor_release(from->tensors[g]);
}

/// The first run of a session, with everything to build, and the least of those after it.
static lat_status measure(job *j) {
  lat_status status = LAT_STATUS_OK;
  given inputs;
  lat_session *session = NULL;
  CLI_TRY(give(j, &inputs), done);
  CLI_TRY(lat_session_create(j->context, j->program, &session), done);
  for (int i = 0; i <= N_WARM_RUNS; i++) {
    lat_results *results = NULL;
    double start = cli_seconds();
    CLI_TRY(lat_session_run(session, inputs.bindings, inputs.n, NULL, &results), done);
    double ms = 1e3 * (cli_seconds() - start);
    lat_results_release(results);
    if (i == 0) j->cold_ms = ms;
    if (i == 1 || (i > 1 && ms < j->warm_ms)) j->warm_ms = ms;
  }
done:
  lat_session_destroy(session);
  take_back(&inputs);
  return status;
}

static lat_status explain(job *j) {
  given inputs;
  lat_status status = give(j, &inputs);
  if (!status) {
    status = lat_program_explain(j->context, j->program, inputs.bindings, inputs.n, NULL, &j->explanation);
  }
  take_back(&inputs);
  return status;
}

// --- printing -------------------------------------------------------------------------------------------------------

/// A length, or "-" where there is none.
static const char *length_text(int64_t value, char text[24]) {
  snprintf(text, 24, value < 0 ? "-" : "%lld", (long long)value);
  return text;
}

static double mib(uint64_t bytes) {
  return (double)bytes / (1024.0 * 1024.0);
}

/// Share of the multiply-add limit, in percent; 0 where nothing multiplies.
static double share(const job *j, const lat_layer *l) {
  if (l->products <= 0.0 || l->compute_ms <= 0.0 || j->peak_gflops <= 0.0) return 0.0;
  return 100.0 * 2e-6 * l->products / l->compute_ms / j->peak_gflops;
}

static void print_layer(const job *j, const lat_layer *l) {
  char rows[24], channels[24], edges[24], percent[24] = "-";
  if (l->products > 0.0) snprintf(percent, sizeof percent, "%.0f %%", share(j, l));
  const char *algorithm = strchr(l->algorithm, ':'); // behind the operation's name, which has a column of its own
  algorithm = algorithm ? algorithm + 2 : "";
  printf("%-30.30s %-38.38s %-10s %8s %5s %10s %6.2f %8.2f %8.2f %8.2f %6s  %.*s\n", l->name, l->op, l->support,
         length_text(l->rows, rows), length_text(l->channels, channels), length_text(l->edges, edges), l->neighbors,
         mib(l->bytes), l->map_ms, l->compute_ms, percent, (int)strcspn(algorithm, ","), algorithm);
}

static int print_text(const job *j) {
  double map_ms = 0.0, compute_ms = 0.0;
  lat_session_memory memory = lat_explanation_memory(j->explanation);
  printf("%-30s %-38s %-10s %8s %5s %10s %6s %8s %8s %8s %6s  %s\n", "layer", "operations", "support", "rows", "chan",
         "edges", "mean", "MiB", "map ms", "ms", "limit", "algorithm");
  for (int64_t i = 0; i < lat_explanation_count(j->explanation); i++) {
    const lat_layer *layer = lat_explanation_layer(j->explanation, i);
    map_ms += layer->map_ms;
    compute_ms += layer->compute_ms;
    print_layer(j, layer);
  }
  printf("\n%lld input rows, %lld parameters, %s, %d threads\n", (long long)lat_array_as_view(j->rows).shape[0],
         (long long)lat_model_count_elements(j->model), j->type, (int)lat_context_threads(j->context));
  printf("layers: maps %.1f ms, the rest %.1f ms; whole: first run %.1f ms, later runs %.1f ms; limit %.0f GFLOP/s\n",
         map_ms, compute_ms, j->cold_ms, j->warm_ms, j->peak_gflops);
  printf("memory: values all together %.1f MiB, live at once %.1f MiB; arena %.1f MiB; peak with relations %.1f MiB, "
         "held %.1f MiB\n",
         mib(memory.total_bytes), mib(memory.live_bytes), mib(memory.arena_bytes), mib(memory.peak_bytes),
         mib(memory.held_bytes));
  return CLI_OK;
}

static json_t *layer_json(const job *j, const lat_layer *l) {
  return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:I,s:f,s:f,s:f,s:f}", "name", l->name, "op", l->op,
                   "support", l->support, "algorithm", l->algorithm, "in_rows", (json_int_t)l->in_rows, "in_channels",
                   (json_int_t)l->in_channels, "rows", (json_int_t)l->rows, "channels", (json_int_t)l->channels,
                   "edges", (json_int_t)l->edges, "neighbors", l->neighbors, "bytes", (json_int_t)l->bytes,
                   "weight_bytes", (json_int_t)l->weight_bytes, "map_ms", l->map_ms, "compute_ms", l->compute_ms,
                   "products", l->products, "limit_percent", share(j, l));
}

static int print_json(const job *j) {
  lat_session_memory memory = lat_explanation_memory(j->explanation);
  json_t *layers = json_array();
  for (int64_t i = 0; i < lat_explanation_count(j->explanation); i++) {
    json_array_append_new(layers, layer_json(j, lat_explanation_layer(j->explanation, i)));
  }
  return cli_print_json(
      verb, json_pack("{s:s,s:I,s:I,s:s,s:i,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:o}", "model",
                      j->network ? j->network : j->folder, "rows", (json_int_t)lat_array_as_view(j->rows).shape[0],
                      "parameters", (json_int_t)lat_model_count_elements(j->model), "type", j->type, "threads",
                      (int)lat_context_threads(j->context), "first_ms", j->cold_ms, "run_ms", j->warm_ms, "peak_bytes",
                      (json_int_t)memory.peak_bytes, "live_bytes", (json_int_t)memory.live_bytes, "total_bytes",
                      (json_int_t)memory.total_bytes, "arena_bytes", (json_int_t)memory.arena_bytes, "held_bytes",
                      (json_int_t)memory.held_bytes, "layers", layers));
}

// --- the verb -------------------------------------------------------------------------------------------------------

static int check_request(const job *j, int n_operands) {
  if ((n_operands == 1) == (j->network != NULL)) {
    return cli_usage_error(verb, "got %s, expected a folder or --network", j->network ? "both" : "no model");
  }
  if (strcmp(j->type, "f32") != 0 && strcmp(j->type, "f16") != 0 && strcmp(j->type, "bf16") != 0) {
    return cli_usage_error(verb, "--type: got '%s', expected f32, f16 or bf16", j->type);
  }
  return CLI_PARSED;
}

static lat_status work(job *j) {
  lat_status status = LAT_STATUS_OK;
  CLI_TRY(cli_context_create(j->n_threads, 0, &j->context), done);
  cli_progress(verb, "building the model");
  CLI_TRY(make_model(j), done);
  CLI_TRY(make_inputs(j), done);
  CLI_TRY(compile(j), done);
  cli_progress(verb, "running");
  CLI_TRY(lat_measure_fma_peak(j->context, 0.2, &j->peak_gflops), done);
  CLI_TRY(measure(j), done);
  CLI_TRY(explain(j), done);
done:
  cli_progress_end();
  return status;
}

int cmd_explain(int argc, char **argv) {
  job j = {.scene = "street", .type = "f32"};
  const cli_option options[] = {
      {"--network", NULL, "NAME", CLI_TEXT, &j.network, 0, 0,
       "a reference network with initial weights instead of an artifact:\nminkunet14, minkunet18a, minkunet34c, "
       "sparse_resunet42, sparse_resnet21d, spvcnn"},
      {"--scan", NULL, "FILE", CLI_TEXT, &j.scan, 0, 0, "point cloud to run on"},
      {"--scene", NULL, "SCENE", CLI_TEXT, &j.scene, 0, 0,
       "or a scene of `lattice bench`: street (default), random, cpu_lidar, cpu_indoor"},
      {"--voxel", NULL, "S", CLI_REAL, &j.voxel, 0.0, FLT_MAX, "edge length of a voxel, in the unit of the points"},
      {"--rows", NULL, "N", CLI_INT, &j.n_rows, 1, 1e9, "at most N rows (random), points (street, scan)"},
      {"--items", NULL, "B", CLI_INT, &j.n_items, 1, 4096, "batch items: the scene B times (random: dealt out)"},
      {"--type", NULL, "TYPE", CLI_TEXT, &j.type, 0, 0, "f32 (default), f16 or bf16"},
      {"--no-fusion", NULL, NULL, CLI_FLAG, &j.no_fusion, 0, 0, "run norms, sums and activations by themselves"},
      CLI_OPTION_THREADS(&j.n_threads),
      CLI_OPTION_JSON(&j.json)};
  const cli_syntax syntax = {
      verb,
      "[DIR]",
      "Runs a model over a scene and prints a line for each layer: how its output set is made, rows,\n"
      "channels, edges of its relation, their mean for each row, bytes of the result, time to build sets\n"
      "and relations the first time, time of the layer itself, its share of the multiply-add limit\n"
      "measured beside it, and the algorithm of a convolution.\n",
      options,
      CLI_COUNT(options),
      0,
      1,
      "The features are random numbers. Times are wall clock: the least of three runs for a layer, of\n"
      "seven for the whole.\n"};
  int n_operands = 0, code = cli_parse(&syntax, argc, argv, &j.folder, &n_operands);
  if (code != CLI_PARSED || (code = check_request(&j, n_operands)) != CLI_PARSED) return code;
  lat_status status = work(&j);
  code = status ? cli_exit_code(verb, status) : j.json ? print_json(&j) : print_text(&j);
  lat_explanation_release(j.explanation);
  lat_program_release(j.program);
  lat_model_release(j.model);
  lat_array_release(j.rows);
  lat_array_release(j.points);
  lat_array_release(j.batch);
  lat_array_release(j.active);
  for (int g = 0; g < SCAN_MOST_GROUPS; g++) lat_array_release(j.feats[g]);
  lat_context_destroy(j.context);
  return code;
}
