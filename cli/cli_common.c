/// Messages, context, progress and the small questions about clouds that several verbs ask.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

int cli_failure(const char *verb, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  cli_progress_end();
  fprintf(stderr, "lattice %s: ", verb);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  return CLI_FAILURE;
}

int cli_exit_code(const char *verb, lat_status status) {
  return status ? cli_failure(verb, "%s", lat_last_error()) : CLI_OK;
}

lat_status cli_context_create(int64_t n_threads, uint64_t seed, lat_context **out) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.n_threads = (int32_t)n_threads;
  opts.seed = seed;
  return lat_context_create(&opts, out);
}

int cli_print_json(const char *verb, json_t *json) {
  int failed = !json || json_dumpf(json, stdout, JSON_REAL_PRECISION(15)) != 0;
  json_decref(json);
  if (failed) return cli_failure(verb, "cannot print the result as JSON");
  putchar('\n');
  return CLI_OK;
}

double cli_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// --- progress -------------------------------------------------------------------------------------------------------

static double progress_start; ///< of the first step
static double progress_last;  ///< when a line was shown
static bool progress_shown;

void cli_progress(const char *verb, const char *format, ...) {
  if (!isatty(STDERR_FILENO)) return;
  double now = cli_seconds();
  if (progress_start <= 0.0) progress_start = now;
  if (now - progress_start < 0.5 || now - progress_last < 0.1) return;
  progress_last = now;
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "\r\033[Klattice %s: ", verb);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fflush(stderr);
  progress_shown = true;
}

void cli_progress_end(void) {
  if (progress_shown) fprintf(stderr, "\r\033[K");
  progress_shown = false;
}

// --- clouds ---------------------------------------------------------------------------------------------------------

lat_status cli_read_cloud(lat_context *context, const char *path, int64_t floats, lat_cloud **out) {
  lat_cloud_read_opts opts = LAT_CLOUD_READ_OPTS_INIT;
  opts.floats_per_point = (int32_t)floats;
  return lat_cloud_read(context, path, &opts, out);
}

double cli_value(const lat_array_view *view, int64_t index) {
  switch (view->dtype) {
  case LAT_DTYPE_F32:
    return (double)((const float *)view->data)[index];
  case LAT_DTYPE_F16:
    return (double)lat_f16_to_f32(((const uint16_t *)view->data)[index]);
  case LAT_DTYPE_BF16:
    return (double)lat_bf16_to_f32(((const uint16_t *)view->data)[index]);
  case LAT_DTYPE_F64:
    return ((const double *)view->data)[index];
  case LAT_DTYPE_I32:
    return (double)((const int32_t *)view->data)[index];
  case LAT_DTYPE_I64:
    return (double)((const int64_t *)view->data)[index];
  case LAT_DTYPE_U8:
    return (double)((const uint8_t *)view->data)[index];
  case LAT_DTYPE_U32:
    return (double)((const uint32_t *)view->data)[index];
  case LAT_DTYPE_I16:
    return (double)((const int16_t *)view->data)[index];
  }
  return NAN;
}

cli_stats cli_compute_stats(const lat_array_view *view, int64_t first, int64_t step, int64_t n) {
  cli_stats stats = {0, NAN, NAN, NAN};
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) {
    double value = cli_value(view, first + i * step);
    if (!isfinite(value)) continue;
    if (!stats.n_finite || value < stats.min) stats.min = value;
    if (!stats.n_finite || value > stats.max) stats.max = value;
    sum += value;
    stats.n_finite++;
  }
  if (stats.n_finite) stats.mean = sum / (double)stats.n_finite;
  return stats;
}

int64_t cli_count_finite(const lat_cloud *cloud) {
  lat_array_view positions = lat_cloud_positions(cloud);
  int64_t n_finite = 0;
  for (int64_t i = 0; i < lat_cloud_count(cloud); i++) {
    n_finite += isfinite(cli_value(&positions, i * 3)) && isfinite(cli_value(&positions, i * 3 + 1)) &&
                isfinite(cli_value(&positions, i * 3 + 2));
  }
  return n_finite;
}

json_t *cli_json_real(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}
