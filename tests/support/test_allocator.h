/// An allocator that counts what lives and fails on request, and the out-of-memory loop built on it.
#ifndef LAT_TEST_ALLOCATOR_H
#define LAT_TEST_ALLOCATOR_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <lattice/tensor.h>

/// Counters of one allocator. Zero-initialise; `fail_at` and `fail_for` may be set before use.
typedef struct lat_test_allocator {
  atomic_llong n_calls;     ///< allocations asked for so far
  atomic_llong n_failed;    ///< of them refused
  atomic_llong live_blocks; ///< blocks not freed yet
  atomic_llong live_bytes;  ///< their bytes
  long long fail_at;        ///< the first allocation to refuse, from 1; 0: none
  long long fail_for;       ///< how many in a row are refused from there; 0: all of them
} lat_test_allocator;

/// Hooks for lat_context_opts.allocator. They fail the test on a bad alignment, a zero size, a `free` whose size differs
/// from the allocation's, and a pointer that is not theirs.
lat_allocator lat_test_allocator_hooks(lat_test_allocator *counter);

/// A context on a counting allocator, with `n_threads` threads (0: the default number). Fails the test on an error.
lat_context *lat_test_context_create(lat_test_allocator *counter, int n_threads);

/// Destroys the context and fails the test when a block still lives.
void lat_test_context_finish(lat_context *context, lat_test_allocator *counter);

/// Runs `body` with the n-th allocation failing, for n = 1, 2, … until nothing fails any more; once with that one
/// refused and once with all from there on refused. Each run must give LAT_STATUS_OUT_OF_MEMORY with a text, or (after a
/// single refusal: the library may make room and try again) success; every run must leave no block behind, and every
/// success must record the same bytes as a run without failure. `body` releases what it made on every path.
void lat_test_oom(const char *name, lat_status (*body)(lat_context *context));

/// Called by a body that succeeded, as often as it likes: adds bytes to the result that is compared between runs.
void lat_test_oom_record(const void *data, size_t bytes);
void lat_test_oom_record_view(lat_array_view view);        ///< elements of a contiguous view
void lat_test_oom_record_tensor(const lat_tensor *tensor); ///< coordinates and features

#endif
