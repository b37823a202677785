/// Reports of `lattice bench`: where a measurement was made, the JSON object, the line of the table.
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd_bench.h"

// --- origin ---------------------------------------------------------------------------------------------------------

/// Value of a "key : value" line, or NULL.
static const char *value_of(char *line, const char *key) {
  size_t n = strlen(key);
  if (strncmp(line, key, n) != 0) return NULL;
  char *colon = line + n + strspn(line + n, " \t");
  if (*colon != ':') return NULL;
  colon++;
  colon += strspn(colon, " \t");
  colon[strcspn(colon, "\n")] = '\0';
  return colon;
}

/// Lower case, runs of anything else than letters and digits become one dash.
static void make_slug(const char *text, char *out, size_t bytes) {
  size_t used = 0;
  for (; *text && used + 1 < bytes; text++) {
    if (isalnum((unsigned char)*text)) {
      out[used++] = (char)tolower((unsigned char)*text);
    } else if (used > 0 && out[used - 1] != '-') {
      out[used++] = '-';
    }
  }
  while (used > 0 && out[used - 1] == '-') used--;
  out[used] = '\0';
}

/// The CPU's name and a form of it for file names. Makers give the same name to different generations, so family and
/// model go with it.
static void find_machine(bench_origin *out) {
  char line[512], family[24] = "", model[24] = "", name[96] = "";
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file) && line[0] != '\n') {
    const char *value;
    if ((value = value_of(line, "model name"))) snprintf(name, sizeof name, "%.90s", value);
    if ((value = value_of(line, "cpu family")) || (value = value_of(line, "CPU implementer"))) {
      snprintf(family, sizeof family, "%.20s", value);
    }
    if ((value = value_of(line, "model")) || (value = value_of(line, "CPU part"))) {
      snprintf(model, sizeof model, "%.20s", value);
    }
  }
  if (file) fclose(file);
  snprintf(out->cpu, sizeof out->cpu, "%s", name[0] ? name : "unknown CPU");
  char text[256];
  snprintf(text, sizeof text, "%s %s %s %ldcpu", out->cpu, family, model, sysconf(_SC_NPROCESSORS_ONLN));
  make_slug(text, out->machine, sizeof out->machine);
}

static void find_commit(const char *commit, char *out, size_t bytes) {
  snprintf(out, bytes, "%s", commit ? commit : "");
  FILE *pipe = commit ? NULL : popen("git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null", "r");
  if (pipe) {
    if (!fgets(out, (int)bytes, pipe)) out[0] = '\0';
    pclose(pipe);
    out[strcspn(out, "\n")] = '\0';
  }
  if (!out[0]) snprintf(out, bytes, "unknown");
}

void bench_find_origin(const char *commit, bench_origin *out) {
  time_t now = time(NULL);
  struct tm utc;
  memset(out, 0, sizeof *out);
  find_machine(out);
  find_commit(commit, out->commit, sizeof out->commit);
#if defined(__clang__)
  snprintf(out->compiler, sizeof out->compiler, "%s", __VERSION__);
#elif defined(__GNUC__)
  snprintf(out->compiler, sizeof out->compiler, "gcc %s", __VERSION__);
#endif
  if (gmtime_r(&now, &utc)) strftime(out->date, sizeof out->date, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

// --- JSON -----------------------------------------------------------------------------------------------------------

/// A number of six significant digits, null when it does not apply.
static json_t *number(double value) {
  char text[40];
  snprintf(text, sizeof text, "%.6g", value);
  return cli_json_real(strtod(text, NULL));
}

static json_t *milliseconds(const bench_times *times, double seconds) {
  return number(times->n ? 1e3 * seconds : NAN);
}

static int set_origin(json_t *object, const bench_origin *origin) {
  if (!origin) return 0;
  return json_object_set_new(object, "machine", json_string(origin->machine)) ||
         json_object_set_new(object, "cpu", json_string(origin->cpu)) ||
         json_object_set_new(object, "commit", json_string(origin->commit)) ||
         json_object_set_new(object, "compiler", json_string(origin->compiler)) ||
         json_object_set_new(object, "date", json_string(origin->date));
}

/// Gives the object back, or NULL when building it `failed`.
static json_t *finish(json_t *object, int failed) {
  if (!failed) return object;
  json_decref(object);
  return NULL;
}

static double gflops(const bench_result *result) {
  return result->flops / result->run.median * 1e-9;
}

static const char *product_name(lat_product product) {
  return product == LAT_PRODUCT_INT8 ? "int8" : product == LAT_PRODUCT_BF16 ? "bf16" : "fma";
}

static double share_of_peak(const bench_result *result) {
  return gflops(result) / result->peak_gflops;
}

static double share_of_bandwidth(const bench_result *result) {
  return result->bytes / result->run.median * 1e-9 / result->copy_gbs;
}

static int set_times(json_t *object, const bench_result *result) {
  const bench_times *run = &result->run;
  return json_object_set_new(object, "map_ms", milliseconds(&result->map, result->map.median)) ||
         json_object_set_new(object, "first_ms", milliseconds(&result->first, result->first.median)) ||
         json_object_set_new(object, "ms_median", milliseconds(run, run->median)) ||
         json_object_set_new(object, "ms_min", milliseconds(run, run->min)) ||
         json_object_set_new(object, "spread", number(run->spread)) ||
         json_object_set_new(object, "repeats", json_integer(run->n));
}

static int set_rates(json_t *object, const bench_result *result) {
  return json_object_set_new(object, "gflops", number(gflops(result))) ||
         json_object_set_new(object, "share_of_peak", number(share_of_peak(result))) ||
         json_object_set_new(object, "peak",
                             json_string(isfinite(result->peak_gflops) ? product_name(result->product) : "copy")) ||
         json_object_set_new(object, "peak_gflops", number(result->peak_gflops)) ||
         json_object_set_new(object, "bytes", number(result->bytes)) ||
         json_object_set_new(object, "share_of_bandwidth", number(share_of_bandwidth(result))) ||
         json_object_set_new(object, "copy_gbs", number(result->copy_gbs)) ||
         json_object_set_new(object, "peak_bytes", json_integer((json_int_t)result->peak_bytes));
}

static int set_peer(json_t *object, const bench_result *result) {
  if (!result->peer.n) return 0;
  return json_object_set_new(object, "peer_ms", milliseconds(&result->peer, result->peer.median)) ||
         json_object_set_new(object, "speedup", number(result->peer.median / result->run.median));
}

/// Why way `index` does not run; NULL for the one that does.
static const char *reason_of(const lat_conv_candidates *ways, int64_t index) {
  if (index == ways->taken) return NULL;
  const char *refusal = ways->items[index].refusal;
  return refusal ? refusal : "stands behind the one that was taken";
}

/// `[{"way", "taken", "reason"}]`.
static json_t *ways_json(const lat_conv_candidates *ways) {
  json_t *list = json_array();
  for (int64_t i = 0; i < ways->count; i++) {
    json_array_append_new(list, json_pack("{s:s, s:b, s:s?}", "way", ways->items[i].name, "taken", i == ways->taken,
                                          "reason", reason_of(ways, i)));
  }
  return list;
}

json_t *bench_result_json(const bench_result *result, const bench_origin *origin) {
  char text[PROBLEM_TEXT_BYTES];
  json_t *edges = result->edges >= 0 ? json_integer(result->edges) : json_null();
  const char *algorithm = result->algorithm[0] ? result->algorithm : NULL;
  json_t *object = json_pack(
      "{s:s, s:s, s:s, s:i, s:I, s:I, s:o, s:s?, s:s}", "problem", problem_print(&result->item, text), "device", "cpu",
      "level", lat_cpu_level_name(result->level), "threads", result->threads, "n_in", (json_int_t)result->n_in, "n_out",
      (json_int_t)result->n_out, "edges", edges, "algorithm", algorithm, "clock", result->cpu_time ? "cpu" : "wall");
  if (!object) return NULL;
  return finish(object, (result->ways.count && json_object_set_new(object, "ways", ways_json(&result->ways))) ||
                            set_times(object, result) || set_rates(object, result) || set_peer(object, result) ||
                            set_origin(object, origin));
}

json_t *bench_limits_json(const bench_limits *limits, const bench_origin *origin) {
  json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o}", "problem", "limits", "device", "cpu", "level",
                             lat_cpu_level_name(limits->level), "threads", limits->threads, "fma_peak_gflops",
                             number(limits->fma_gflops), "bf16_peak_gflops", number(limits->bf16_gflops),
                             "int8_peak_gops", number(limits->int8_gflops), "copy_gbs", number(limits->copy_gbs));
  return object ? finish(object, set_origin(object, origin)) : NULL;
}

// --- table ----------------------------------------------------------------------------------------------------------

static void print_cell(double value, int width, int digits) {
  if (isfinite(value)) {
    printf("%*.*f ", width, digits, value);
  } else {
    printf("%*s ", width, "-");
  }
}

void bench_print_head(void) {
  printf("%9s %9s %10s %9s %9s %9s %5s %8s %10s %8s  %s\n", "rows in", "rows out", "edges", "map ms", "first ms", "ms",
         "+-%", "GFLOP/s", "of limit", "x naive", "problem");
}

void bench_print_row(const bench_result *result) {
  char text[PROBLEM_TEXT_BYTES];
  printf("%9lld %9lld ", (long long)result->n_in, (long long)result->n_out);
  print_cell(result->edges >= 0 ? (double)result->edges : NAN, 10, 0);
  print_cell(result->map.n ? 1e3 * result->map.median : NAN, 9, 3);
  print_cell(result->first.n ? 1e3 * result->first.median : NAN, 9, 3);
  print_cell(1e3 * result->run.median, 9, 3);
  print_cell(100.0 * result->run.spread, 5, 1);
  print_cell(gflops(result), 8, 1);
  bool arithmetic = isfinite(result->peak_gflops);
  double share = arithmetic ? share_of_peak(result) : share_of_bandwidth(result);
  printf("%3.0f %% %-5s ", 100.0 * share, arithmetic ? product_name(result->product) : "copy");
  print_cell(result->peer.n ? result->peer.median / result->run.median : NAN, 8, 1);
  printf(" %s\n", problem_print(&result->item, text));
}

void bench_print_ways(const bench_result *result) {
  const lat_conv_candidates *ways = &result->ways;
  if (ways->count == 0) printf("    one way: nothing to choose\n");
  for (int64_t i = 0; i < ways->count; i++) {
    const char *reason = reason_of(ways, i);
    printf("    %s %-16s %s\n", reason ? " " : "*", ways->items[i].name, reason ? reason : result->algorithm);
  }
}
