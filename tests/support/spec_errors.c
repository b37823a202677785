// See spec_errors.h.
#include "support/spec_errors.h"

#include <string.h>

#include "support/test_allocator.h"

spec_line line;
spec_out out;

static lat_test_allocator counter;
static char no_handle; // handles point here before a call
static double zeros[4096];

static void spoil_out(void) {
  void *handles[sizeof out / sizeof(void *)];
  for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) handles[i] = &no_handle;
  memcpy(&out, handles, sizeof out);
}

static int count_cleared(void) {
  void *handles[sizeof out / sizeof(void *)];
  memcpy(handles, &out, sizeof out);
  int n = 0;
  for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) n += !handles[i];
  return n;
}

int spec_line_set_up(void **state) {
  (void)state;
  static const int32_t rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
  static const float feats[3] = {1, 2, 3}, weights[3] = {1, 2, 3};
  memset(&counter, 0, sizeof counter);
  memset(&line, 0, sizeof line);
  line.context = lat_test_context_create(&counter, 1);
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4), feat_view = lat_view_2d(feats, LAT_DTYPE_F32, 3, 1);
  lat_coords_opts twice = LAT_COORDS_OPTS_INIT;
  twice.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_coords_create(line.context, &row_view, NULL, &line.coords));
  lat_test_assert_ok(lat_coords_create(line.context, &row_view, &twice, &line.twice));
  lat_test_assert_ok(lat_tensor_create(line.context, line.coords, &feat_view, NULL, &line.x));
  lat_test_assert_ok(lat_tensor_create(line.context, line.twice, &feat_view, NULL, &line.on_twice));
  lat_test_assert_ok(lat_cast(line.context, line.x, LAT_DTYPE_F16, &line.half));
  lat_array_view wide = some_2d(LAT_DTYPE_F32, 3, 2);
  lat_test_assert_ok(lat_tensor_create(line.context, line.coords, &wide, NULL, &line.wide));
  int64_t counts[2] = {3, 0};
  lat_tensor_opts counted = {sizeof counted, counts, 2};
  lat_test_assert_ok(lat_tensor_create(line.context, line.coords, &feat_view, &counted, &line.counted));
  lat_array_view point = lat_view_2d(weights, LAT_DTYPE_F32, 1, 1);
  lat_array_view taps = lat_view(weights, LAT_DTYPE_F32, 3, (int64_t[]){3, 1, 1});
  lat_test_assert_ok(lat_quantize_weight(line.context, &point, NULL, &line.packed_point));
  lat_test_assert_ok(lat_quantize_weight(line.context, &taps, NULL, &line.packed_line));
  spoil_out();
  return 0;
}

int spec_line_tear_down(void **state) {
  (void)state;
  lat_quantized_weight_release(line.packed_line);
  lat_quantized_weight_release(line.packed_point);
  lat_tensor_release(line.counted);
  lat_tensor_release(line.wide);
  lat_tensor_release(line.half);
  lat_tensor_release(line.on_twice);
  lat_tensor_release(line.x);
  lat_coords_release(line.twice);
  lat_coords_release(line.coords);
  lat_test_context_finish(line.context, &counter);
  return 0;
}

void refused(const char *section, lat_status got, int expected, const char *fragment) {
  if ((int)got != expected || !strstr(lat_last_error(), fragment))
    fail_msg("section %s: got %s \"%s\", expected %s with \"%s\"", section, lat_status_name(got),
             got ? lat_last_error() : "", lat_status_name((lat_status)expected), fragment);
  int n_cleared = count_cleared();
  if (n_cleared != 1) fail_msg("section %s: \"%s\" cleared %d handles, expected 1", section, fragment, n_cleared);
  spoil_out();
}

lat_array_view some(lat_dtype dtype, int32_t rank, const int64_t *shape) {
  return lat_view(zeros, dtype, rank, shape);
}

lat_array_view some_1d(lat_dtype dtype, int64_t n) {
  return lat_view_1d(zeros, dtype, n);
}

lat_array_view some_2d(lat_dtype dtype, int64_t rows, int64_t columns) {
  return lat_view_2d(zeros, dtype, rows, columns);
}
