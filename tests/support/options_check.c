// Options structs by their size, see the header.
#include "support/options_check.h"

#include <string.h>

#include "support/test_support.h"

#define TAIL_BYTES 16
#define MAX_OPTS_BYTES 512

/// Calls with zeroed options of the given size; the byte at `marked` (0: none) is set.
static lat_status call_with(const options_call *c, size_t struct_bytes, size_t marked) {
  static union {
    size_t struct_bytes;
    unsigned char bytes[MAX_OPTS_BYTES];
  } opts;
  memset(&opts, 0, sizeof opts);
  opts.struct_bytes = struct_bytes;
  if (marked) opts.bytes[marked] = 1;
  return c->call(&opts);
}

static int n_faults;

static void expect_refused(const options_call *c, size_t struct_bytes, size_t marked, lat_status expected,
                           const char *fragment) {
  lat_status status = call_with(c, struct_bytes, marked);
  const char *text = lat_last_error();
  if (status == expected && strstr(text, fragment) && strncmp(text, c->op, strlen(c->op)) == 0) return;
  print_error("%s with struct_bytes %zu: got %s (%s)\n", c->op, struct_bytes, lat_status_name(status), text);
  n_faults++;
}

static void expect_accepted(const options_call *c, size_t struct_bytes) {
  if (call_with(c, struct_bytes, 0) == LAT_STATUS_OK) return;
  print_error("%s with struct_bytes %zu: %s\n", c->op, struct_bytes, lat_last_error());
  n_faults++;
}

void options_check_wrong_sizes(const options_call *calls, size_t n_calls) {
  n_faults = 0;
  for (size_t c = 0; c < n_calls; c++) {
    expect_refused(&calls[c], 0, 0, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
    expect_refused(&calls[c], sizeof(size_t) - 1, 0, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
    expect_refused(&calls[c], (size_t)1 << 24, 0, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
    expect_refused(&calls[c], SIZE_MAX, 0, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
  }
  assert_int_equal(n_faults, 0);
}

void options_check_unknown_fields(const options_call *calls, size_t n_calls) {
  n_faults = 0;
  for (size_t c = 0; c < n_calls; c++) {
    assert_true(calls[c].opts_bytes + TAIL_BYTES <= MAX_OPTS_BYTES);
    expect_accepted(&calls[c], calls[c].opts_bytes + TAIL_BYTES);
    expect_refused(&calls[c], calls[c].opts_bytes + TAIL_BYTES, calls[c].opts_bytes + TAIL_BYTES - 1,
                   LAT_STATUS_UNSUPPORTED, "does not know");
  }
  assert_int_equal(n_faults, 0);
}

void options_check_small_structs(const options_call *calls, size_t n_calls) {
  n_faults = 0;
  for (size_t c = 0; c < n_calls; c++) {
    expect_accepted(&calls[c], sizeof(size_t));
    expect_accepted(&calls[c], calls[c].opts_bytes);
  }
  assert_int_equal(n_faults, 0);
}
