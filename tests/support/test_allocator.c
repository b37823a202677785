// A block carries its size in front of it, so that a wrong size at `free` and a foreign pointer are seen at once.
#include "support/test_allocator.h"

#include <stdlib.h>
#include <string.h>

#include "support/test_support.h"

#define BLOCK_MAGIC UINT64_C(0x6c61747469636521)
#define MAX_ALLOCATIONS 100000

typedef struct block_header {
  uint64_t magic;
  size_t bytes;
  void *start; // what malloc returned
} block_header;

static uint64_t recorded_hash;

static void *counting_alloc(void *user, size_t bytes, size_t align) {
  lat_test_allocator *counter = user;
  if (bytes == 0 || align == 0 || (align & (align - 1)) != 0 || align > 4096) {
    fail_msg("alloc hook: got %zu bytes aligned to %zu", bytes, align);
  }
  long long call = atomic_fetch_add(&counter->n_calls, 1) + 1;
  long long end = counter->fail_for == 0 ? INT64_MAX : counter->fail_at + counter->fail_for;
  if (counter->fail_at > 0 && call >= counter->fail_at && call < end) {
    atomic_fetch_add(&counter->n_failed, 1);
    return NULL;
  }
  if (bytes > PTRDIFF_MAX - sizeof(block_header) - align) return NULL;
  char *start = malloc(bytes + sizeof(block_header) + align);
  if (start == NULL) return NULL;
  uintptr_t first = (uintptr_t)start + sizeof(block_header);
  char *pointer = start + sizeof(block_header) + (align - first % align) % align;
  block_header header = {BLOCK_MAGIC, bytes, start};
  memcpy(pointer - sizeof header, &header, sizeof header);
  atomic_fetch_add(&counter->live_blocks, 1);
  atomic_fetch_add(&counter->live_bytes, (long long)bytes);
  return pointer;
}

static void counting_free(void *user, void *pointer, size_t bytes) {
  lat_test_allocator *counter = user;
  block_header header;
  if (pointer == NULL) fail_msg("free hook: got NULL");
  memcpy(&header, (char *)pointer - sizeof header, sizeof header);
  if (header.magic != BLOCK_MAGIC) fail_msg("free hook: a pointer that is not a live block");
  if (header.bytes != bytes) fail_msg("free hook: got %zu bytes, expected %zu", bytes, header.bytes);
  memset((char *)pointer - sizeof header, 0, sizeof header);
  atomic_fetch_sub(&counter->live_blocks, 1);
  atomic_fetch_sub(&counter->live_bytes, (long long)bytes);
  free(header.start);
}

lat_allocator lat_test_allocator_hooks(lat_test_allocator *counter) {
  lat_allocator hooks = {counting_alloc, counting_free, counter};
  return hooks;
}

static lat_status create_counted(lat_test_allocator *counter, int n_threads, lat_context **out) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.allocator = lat_test_allocator_hooks(counter);
  opts.n_threads = n_threads;
  return lat_context_create(&opts, out);
}

lat_context *lat_test_context_create(lat_test_allocator *counter, int n_threads) {
  lat_context *context = NULL;
  lat_test_assert_ok(create_counted(counter, n_threads, &context));
  return context;
}

void lat_test_context_finish(lat_context *context, lat_test_allocator *counter) {
  lat_context_destroy(context);
  if (atomic_load(&counter->live_blocks) != 0) {
    fail_msg("%lld blocks (%lld bytes) leaked", atomic_load(&counter->live_blocks), atomic_load(&counter->live_bytes));
  }
}

void lat_test_oom_record(const void *data, size_t bytes) {
  const unsigned char *byte = data;
  for (size_t i = 0; i < bytes; i++) recorded_hash = (recorded_hash ^ byte[i]) * UINT64_C(0x100000001b3); // FNV-1a
}

void lat_test_oom_record_view(lat_array_view view) {
  size_t bytes = lat_dtype_bytes(view.dtype);
  for (int32_t axis = 0; axis < view.rank; axis++) bytes *= (size_t)view.shape[axis];
  lat_test_oom_record(view.data, bytes);
}

void lat_test_oom_record_tensor(const lat_tensor *tensor) {
  lat_test_oom_record_view(lat_coords_rows(lat_tensor_coords(tensor)));
  lat_test_oom_record_view(lat_tensor_feats(tensor));
}

// One thread: with more, which allocation is the n-th would change from run to run.
static lat_status run_once(lat_test_allocator *counter, lat_status (*body)(lat_context *)) {
  lat_context *context = NULL;
  recorded_hash = UINT64_C(0xcbf29ce484222325);
  lat_status status = create_counted(counter, 1, &context);
  if (status == LAT_STATUS_OK) {
    status = body(context);
  } else if (context != NULL) {
    fail_msg("lat_context_create: failed but set its output");
  }
  lat_test_context_finish(context, counter);
  return status;
}

// Returns 1 when the allocation number `fail_at` was never asked for, that is, when the loop is over.
static int fail_and_check(const char *name, lat_status (*body)(lat_context *), long long fail_at, long long fail_for,
                          uint64_t expected_hash) {
  lat_test_allocator counter = {.fail_at = fail_at, .fail_for = fail_for};
  lat_status status = run_once(&counter, body);
  int failed = atomic_load(&counter.n_failed) > 0;
  int may_succeed = !failed || fail_for == 1;
  if (status == LAT_STATUS_OK && may_succeed) {
    if (recorded_hash != expected_hash) fail_msg("%s: other result after allocation %lld failed", name, fail_at);
  } else if (status != LAT_STATUS_OUT_OF_MEMORY || !failed) {
    fail_msg("%s: allocation %lld failed: got %s (%s), expected LAT_STATUS_OUT_OF_MEMORY", name, fail_at,
             lat_status_name(status), lat_last_error());
  } else if (strchr(lat_last_error(), ':') == NULL) {
    fail_msg("%s: allocation %lld failed: no text beside the status", name, fail_at);
  }
  return !failed;
}

void lat_test_oom(const char *name, lat_status (*body)(lat_context *context)) {
  lat_test_allocator counter = {.fail_at = 0};
  lat_test_assert_ok(run_once(&counter, body));
  uint64_t expected_hash = recorded_hash;
  for (int fail_for = 0; fail_for <= 1; fail_for++) {
    long long n = 1;
    while (!fail_and_check(name, body, n, fail_for, expected_hash)) {
      if (++n > MAX_ALLOCATIONS) fail_msg("%s: still failing at allocation %lld", name, n);
    }
    if (n == 1) fail_msg("%s: allocated nothing", name);
  }
}
