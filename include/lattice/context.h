/// \file context.h
/// A context: threads, memory, CPU level, logging and the random seed of a stream of calls.
///
/// Thread rule: one context is used by one thread at a time; different contexts may work in parallel. Objects (arrays,
/// coordinate sets, relations, tensors) are immutable after creation and may be shared by threads and used with any
/// context; what they build lazily inside themselves is guarded by the library. Objects keep what they need of their
/// context alive, so contexts and objects may be destroyed in any order.
#ifndef LATTICE_CONTEXT_H
#define LATTICE_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <lattice/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque context. Created by `lat_context_create`, ended by `lat_context_destroy`.
typedef struct lat_context lat_context;

/// Host memory hooks. Both functions must be callable from any thread.
typedef struct lat_allocator {
  /// Returns `bytes` bytes aligned to `align` (a power of two, at most 4096), or NULL. `bytes` is never 0.
  void *(*alloc)(void *user, size_t bytes, size_t align);
  /// Frees what `alloc` returned; `bytes` is the size that was asked for. `pointer` is never NULL.
  void (*free)(void *user, void *pointer, size_t bytes);
  void *user; ///< handed to both functions
} lat_allocator;

/// Host executor. When given, the library starts no threads of its own. Otherwise a context starts its threads when it
/// first has work for them; they sleep between calls, block all signals and end with lat_context_destroy.
typedef struct lat_executor {
  /// Runs `job(arg, i)` exactly once for every i in [0, n_jobs), in any order, at the same time where it can, and
  /// returns when all are done. `n_jobs` is at most the context's thread count; running them one after the other is
  /// correct (and gives the same bits).
  void (*run)(void *user, int n_jobs, void (*job)(void *arg, int index), void *arg);
  void *user; ///< handed to `run`
} lat_executor;

/// Instruction-set levels of the CPU kernels. float32 convolution and linear give the same bits at every level.
typedef enum lat_cpu_level {
  LAT_CPU_LEVEL_AUTO = 0,   ///< the best this machine has (the default)
  LAT_CPU_LEVEL_SCALAR = 1, ///< portable C: the meaning of every kernel
  LAT_CPU_LEVEL_NEON = 2,   ///< 64-bit Arm
  LAT_CPU_LEVEL_AVX2 = 3,   ///< AVX2 + FMA + F16C
  LAT_CPU_LEVEL_AVX512 = 4  ///< AVX-512 F, BW, DQ and VL
} lat_cpu_level;

/// Importance of a log line.
typedef enum lat_log_level { LAT_LOG_DEBUG = 0, LAT_LOG_INFO = 1, LAT_LOG_WARNING = 2 } lat_log_level;

/// Receives the library's log lines (no newline). Borrowed until the function returns.
typedef void (*lat_log_fn)(void *user, lat_log_level level, const char *message);

/// Options of a context. Zero in a field means its default.
typedef struct lat_context_opts {
  size_t struct_bytes;       ///< sizeof(lat_context_opts)
  int32_t n_threads;         ///< threads to use; 0: what affinity and cgroup quota allow. Never changes a result
  lat_cpu_level cpu_level;   ///< highest level to use; the environment variable LATTICE_CPU_LEVEL caps it further
  lat_allocator allocator;   ///< both functions NULL: the C library's
  lat_executor executor;     ///< `run` NULL: the context's own threads
  uint64_t memory_cap_bytes; ///< most bytes the context may hold at once; 0: no cap
  uint64_t seed;             ///< seed of the counter-based generator
  lat_log_fn log;            ///< NULL: nothing is logged
  void *log_user;            ///< handed to `log`
  lat_log_level log_level;   ///< lines below it are dropped
  int32_t keeps_no_blocks;   ///< non-zero: freed blocks go back at once, for allocators that keep blocks themselves
} lat_context_opts;

/// Default options: `lat_context_opts opts = LAT_CONTEXT_OPTS_INIT; opts.n_threads = 4;`
#define LAT_CONTEXT_OPTS_INIT                                                                                          \
  {                                                                                                                    \
    sizeof(lat_context_opts), 0, LAT_CPU_LEVEL_AUTO, {NULL, NULL, NULL}, {NULL, NULL}, 0, 0, NULL, NULL,               \
        LAT_LOG_DEBUG, 0                                                                                               \
  }

/// Creates a context. `opts` may be NULL (all defaults) and is copied.
/// Errors: INVALID_ARGUMENT (out NULL, negative thread count, half an allocator, a level this build does not know,
/// an unknown name in LATTICE_CPU_LEVEL), UNSUPPORTED (non-zero fields this library version does not know),
/// OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_context_create(const lat_context_opts *opts, lat_context **out);

/// Ends the caller's use of the context; NULL is accepted. Objects made with it stay valid.
LAT_API void lat_context_destroy(lat_context *context);

/// The options that make a context like this one: its hooks, limits and seed, and the threads and level that it uses.
/// Errors: INVALID_ARGUMENT (NULL).
LAT_API LAT_CHECKED lat_status lat_context_get_opts(const lat_context *context, lat_context_opts *out);

/// An executor on the threads of `context` (its own host executor, if it has one), for contexts beside it that shall start
/// none: `opts.executor = lat_context_executor(context)`. While `context` has work for its threads itself, the thread that
/// calls does all jobs alone. The context must outlive whatever uses it. `run` is NULL when `context` is NULL.
LAT_API lat_executor lat_context_executor(lat_context *context);

/// Number of threads the context uses, at least 1.
LAT_API int32_t lat_context_threads(const lat_context *context);

/// The CPU level in use: never AUTO.
LAT_API lat_cpu_level lat_context_cpu_level(const lat_context *context);

/// Lower-case name of a level: "auto", "scalar", "neon", "avx2", "avx512"; "unknown" otherwise. Static storage.
LAT_API const char *lat_cpu_level_name(lat_cpu_level level);

/// Seed the context was created with.
LAT_API uint64_t lat_context_seed(const lat_context *context);

/// Bytes held now by the context's objects and workspace (cached free blocks excluded).
LAT_API uint64_t lat_context_bytes(const lat_context *context);

/// Highest value of `lat_context_bytes` since creation or since the last reset.
LAT_API uint64_t lat_context_peak_bytes(const lat_context *context);

/// Sets the peak to the current value.
LAT_API void lat_context_reset_peak(lat_context *context);

/// Gives free cached blocks and unused workspace back to the allocator. The context keeps large blocks it has freed for
/// reuse, because first touch of fresh pages costs more than the arithmetic of a small layer.
LAT_API void lat_context_trim(lat_context *context);

/// One block of the counter-based generator (Philox 4x32-10, Salmon et al. 2011): four independent 32-bit words that
/// depend on nothing but the three arguments. The same on every machine and thread.
LAT_API void lat_random_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);

/// Measures the float32 multiply-add limit of the context's threads and CPU level: independent chains in registers, run
/// for `seconds` (wall clock) on every thread. `*gflops` = 1e9 floating-point operations (a multiply-add is two) a
/// second, all threads together. The share of it that an operator reaches says how much faster it could be at most.
/// Errors: INVALID_ARGUMENT (NULL; seconds not above 0 and at most 60), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_measure_fma_peak(lat_context *context, double seconds, double *gflops);

/// Products whose limit lat_measure_product_peak measures: those that convolution and linear use for features of that kind at the
/// context's CPU level.
typedef enum lat_product {
  LAT_PRODUCT_F32 = 0, ///< float32 multiply-adds; float16 features take them too
  LAT_PRODUCT_BF16 =
      1,               ///< bfloat16 products of AVX-512 BF16 where they pay (docs/numerics.md), else as LAT_PRODUCT_F32
  LAT_PRODUCT_INT8 = 2 ///< bytes by AVX-512 VNNI, AVX-VNNI or Arm's dot product, else 16-bit pairs (or one by one)
} lat_product;

/// As lat_measure_fma_peak for other products: `*gops` = 1e9 operations (a product and its sum are two) a second.
/// Errors: as lat_measure_fma_peak; INVALID_ARGUMENT for a `product` outside the enum.
LAT_API LAT_CHECKED lat_status lat_measure_product_peak(lat_context *context, lat_product product, double seconds,
                                                        double *gops);

#ifdef __cplusplus
}
#endif
#endif
