/// `lattice bench`: measures problems, or the limits of the machine.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_bench.h"

static const char verb[] = "bench";

enum { MOST_OPERANDS = 256 };

/// What the command line asks for.
typedef struct bench_request {
  const char *file, *commit, *history;
  bool json, record, cpu_time, explain;
  int64_t repeats, rounds;
  double seconds;
  const char *operands[MOST_OPERANDS];
  int n_operands;

  bench_origin origin;
  FILE *log; ///< of --record, else NULL
} bench_request;

/// CPU time of several threads is no time that anybody waits.
static lat_status check_clock(const problem_list *list) {
  char text[PROBLEM_TEXT_BYTES];
  for (int64_t i = 0; i < list->n; i++) {
    if (list->items[i].threads == 1) continue;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "--cpu-time: got '%.300s', expected threads=1",
                    problem_print(&list->items[i], text));
  }
  bench_use_cpu_time();
  return LAT_STATUS_OK;
}

static lat_status collect(const bench_request *request, problem_list *list) {
  lat_status status = LAT_STATUS_OK;
  if (request->file) status = problem_read_file(request->file, list);
  for (int i = 0; !status && i < request->n_operands; i++) status = problem_expand(request->operands[i], list);
  if (!status && request->cpu_time) status = check_clock(list);
  return status;
}

static int open_log(bench_request *request) {
  char path[1200];
  if (!request->record) return CLI_OK;
  snprintf(path, sizeof path, "%.1000s/%s.jsonl", request->history, request->origin.machine);
  request->log = fopen(path, "a");
  if (request->log) return CLI_OK;
  return cli_failure(verb, "--record: cannot write '%s': %s (start in the project's root, or give --history)", path,
                     strerror(errno));
}

/// Writes a line to the history, if there is one. Takes the reference.
static int log_json(bench_request *request, json_t *json) {
  int failed =
      !json || json_dumpf(json, request->log, JSON_REAL_PRECISION(15)) != 0 || fputc('\n', request->log) == EOF;
  json_decref(json);
  return failed || fflush(request->log) ? cli_failure(verb, "--record: cannot write the line") : CLI_OK;
}

static int close_log(bench_request *request) {
  if (!request->log) return CLI_OK;
  FILE *log = request->log;
  request->log = NULL;
  return fclose(log) ? cli_failure(verb, "--record: %s", strerror(errno)) : CLI_OK;
}

static int report(bench_request *request, bench_result *result) {
  int code = CLI_OK;
  if (!request->explain) result->ways.count = 0; // lines of a history stay short
  if (request->json) {
    code = cli_print_json(verb, bench_result_json(result, NULL));
  } else {
    bench_print_row(result);
    if (request->explain) bench_print_ways(result);
  }
  fflush(stdout);
  if (code == CLI_OK && request->log) code = log_json(request, bench_result_json(result, &request->origin));
  return code;
}

static bench_times less_disturbed(bench_times a, bench_times b) {
  return !a.n || (b.n && b.median < a.median) ? b : a;
}

/// Of two rounds of a problem: each time from the round that was disturbed less, the limits from the one that was not.
static void merge(bench_result *best, const bench_result *other) {
  best->run = less_disturbed(best->run, other->run);
  best->map = less_disturbed(best->map, other->map);
  best->first = less_disturbed(best->first, other->first);
  best->peer = less_disturbed(best->peer, other->peer);
  best->peak_gflops = fmax(best->peak_gflops, other->peak_gflops);
  best->copy_gbs = fmax(best->copy_gbs, other->copy_gbs);
}

/// Measures the whole list once more. A problem that fails is named on stderr and the others go on. With one round
/// results are reported as they come.
static int run_round(bench_request *request, const problem_list *list, int64_t round, bench_result *results) {
  const bench_policy policy = {request->repeats, request->seconds, request->cpu_time};
  int code = CLI_OK;
  for (int64_t i = 0; i < list->n; i++) {
    char text[PROBLEM_TEXT_BYTES];
    bench_result result;
    cli_progress(verb, "%lld of %lld: %s", (long long)(round * list->n + i + 1), (long long)(request->rounds * list->n),
                 problem_print(&list->items[i], text));
    lat_status status = bench_measure(&list->items[i], &policy, &result);
    cli_progress_end();
    if (status) {
      code = cli_failure(verb, "%s: %s", text, lat_last_error());
      continue;
    }
    if (results[i].run.n) merge(&result, &results[i]);
    results[i] = result;
    if (round + 1 < request->rounds) continue;
    int reported = report(request, &result);
    if (reported != CLI_OK) code = reported;
  }
  return code;
}

static int run_problems(bench_request *request, const problem_list *list) {
  bench_result *results = calloc((size_t)list->n + 1, sizeof *results);
  int code = results ? CLI_OK : cli_failure(verb, "no memory for %lld problems", (long long)list->n);
  if (results && !request->json) bench_print_head();
  for (int64_t round = 0; results && round < request->rounds; round++) {
    int one = run_round(request, list, round, results);
    if (one != CLI_OK) code = one;
  }
  free(results);
  return code;
}

static int run_limits(bench_request *request) {
  bench_limits limits;
  if (!request->json) {
    printf("%8s %-8s %14s %14s %14s %14s\n", "threads", "level", "fma GFLOP/s", "bf16 GFLOP/s", "int8 GOP/s",
           "copy GB/s");
  }
  for (int32_t threads = 1;; threads = 0) { // one thread, then all that the machine allows
    cli_progress(verb, "limits of %s", threads ? "one thread" : "all threads");
    lat_status status = bench_measure_limits(threads, &limits);
    cli_progress_end();
    if (status) return cli_exit_code(verb, status);
    int code = CLI_OK;
    if (request->json) {
      code = cli_print_json(verb, bench_limits_json(&limits, NULL));
    } else {
      printf("%8d %-8s %14.1f %14.1f %14.1f %14.2f\n", limits.threads, lat_cpu_level_name(limits.level),
             limits.fma_gflops, limits.bf16_gflops, limits.int8_gflops, limits.copy_gbs);
    }
    if (code == CLI_OK && request->log) code = log_json(request, bench_limits_json(&limits, &request->origin));
    if (code != CLI_OK || !threads) return code;
  }
}

static const char purpose[] = "Measures operators on a scene, each named by a problem string:\n\n"
                              "  lattice bench subm_conv3d:cin=64,cout=64,k=3,type=f32,scene=street,threads=1\n"
                              "  lattice bench linear:cin=64,weights=f32,int8,int4,scan=my.bin,voxel=0.1\n"
                              "  lattice bench limits\n\n"
                              "A value may be a list; every combination is measured. `limits` measures products "
                              "(float32, bfloat16, int8) and copies.\n";

static const char notes[] =
    "operators: conv3d, subm_conv3d, conv_transpose3d, linear, pool3d, global_pool, relu, gelu, activation,\n"
    "           batch_norm, layer_norm, rms_norm, sparse_add, sparse_cat, voxelize, devoxelize, relation, radius, "
    "knn,\n"
    "           network\n"
    "keys:      cin, cout, groups, k, s, p, d (3 or 3x1x5), mode, radius, neighbors, type (f32, f16, bf16),\n"
    "           weights (f32, f16, bf16, int8, int4), grad (x, weight), scene (random, street, cpu_lidar, "
    "cpu_indoor),\n"
    "           sweeps, scan=FILE, voxel, density, n (120k, 1.5M), order (scene, lex), batch, seed, level,\n"
    "           threads (0: all), peer (none, naive); of network: name, type, fusion (on, off)\n"
    "columns:   map ms: the relation on a new set; first ms: the first call on a new set; ms: the operator, relation\n"
    "           cached, median; +-%: quartile range; of limit: share of what the machine can do, measured beside:\n"
    "           float32 multiply-adds (fma) or a copy of the bytes that must move (copy); x naive: with peer=naive\n";

static int parse(int argc, char **argv, bench_request *request) {
  const cli_option options[] = {
      {"--file", NULL, "FILE", CLI_TEXT, &request->file, 0, 0, "also the problems of FILE, one a line"},
      {"--repeats", NULL, "N", CLI_INT, &request->repeats, 1, 1000, "repeat each at least N times (default 7)"},
      {"--seconds", NULL, "T", CLI_REAL, &request->seconds, 0, 3600,
       "and at least T seconds (default 0.3); slow ones\nend after 20 T and three repeats"},
      {"--rounds", NULL, "N", CLI_INT, &request->rounds, 1, 100,
       "measure the list N times and report each problem's least\ndisturbed round (default 1)"},
      {"--cpu-time", NULL, NULL, CLI_FLAG, &request->cpu_time, 0, 0,
       "CPU time instead of wall time: for a machine that others\nwork on; takes problems of one thread only"},
      {"--explain", NULL, NULL, CLI_FLAG, &request->explain, 0, 0,
       "below each line the ways there are in their order: the one\nthat was taken (*), why the others were not"},
      CLI_OPTION_JSON(&request->json),
      {"--record", NULL, NULL, CLI_FLAG, &request->record, 0, 0,
       "append the results to <history>/<CPU model>.jsonl with\ncommit, compiler and date"},
      {"--history", NULL, "FOLDER", CLI_TEXT, &request->history, 0, 0, "folder of --record (default bench/history)"},
      {"--commit", NULL, "TEXT", CLI_TEXT, &request->commit, 0, 0, "commit to record (default: what git says)"},
  };
  const cli_syntax syntax = {verb, "PROBLEM... | limits", purpose, options, CLI_COUNT(options),
                             0,    MOST_OPERANDS,         notes};
  int code = cli_parse(&syntax, argc, argv, request->operands, &request->n_operands);
  if (code == CLI_PARSED && !request->file && request->n_operands == 0) {
    return cli_usage_error(verb, "no PROBLEM given");
  }
  return code;
}

int cmd_bench(int argc, char **argv) {
  bench_request request = {.history = "bench/history", .repeats = 7, .rounds = 1, .seconds = 0.3};
  problem_list list = {0};
  int code = parse(argc, argv, &request);
  if (code != CLI_PARSED) return code;
  bool limits = request.n_operands == 1 && strcmp(request.operands[0], "limits") == 0 && !request.file;
  if (!limits) {
    lat_status status = collect(&request, &list);
    if (status == LAT_STATUS_INVALID_ARGUMENT)
      code = cli_usage_error(verb, "%s", lat_last_error());
    else if (status)
      code = cli_exit_code(verb, status);
  }
  if (code == CLI_PARSED && request.record) bench_find_origin(request.commit, &request.origin);
  if (code == CLI_PARSED) {
    code = open_log(&request);
    if (code == CLI_OK) code = limits ? run_limits(&request) : run_problems(&request, &list);
  }
  problem_list_release(&list);
  int closed = close_log(&request);
  return code == CLI_OK ? closed : code;
}
