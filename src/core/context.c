// Contexts: options, threads the machine allows, CPU level, logging, lifetime. The only file that reads the environment.

#define _GNU_SOURCE // sched_getaffinity and CPU_COUNT

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/version.h>

#include "backend/backend.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define MAX_THREADS 1024
#define LOG_LINE_BYTES 512

extern const lat_allocator lat__host_allocator;

static const struct {
  lat_cpu_level level;
  const char *name;
} level_names[] = {
    {LAT_CPU_LEVEL_AUTO, "auto"}, {LAT_CPU_LEVEL_SCALAR, "scalar"}, {LAT_CPU_LEVEL_NEON, "neon"},
    {LAT_CPU_LEVEL_AVX2, "avx2"}, {LAT_CPU_LEVEL_AVX512, "avx512"},
};

#define N_LEVELS (sizeof level_names / sizeof level_names[0])

const char *lat_cpu_level_name(lat_cpu_level level) {
  for (size_t i = 0; i < N_LEVELS; i++) {
    if (level_names[i].level == level) return level_names[i].name;
  }
  return "unknown";
}

lat_status lat__opts_copy(const char *op, const void *source, size_t known_bytes, void *target) {
  memset(target, 0, known_bytes);
  if (!source) return LAT_STATUS_OK;
  size_t given_bytes = 0;
  memcpy(&given_bytes, source, sizeof given_bytes);
  if (given_bytes < sizeof(size_t) || given_bytes > (size_t)1 << 16) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: opts.struct_bytes must be the size of the options struct: got %zu, expected %zu", op,
                    given_bytes, known_bytes);
  }
  const unsigned char *bytes = source;
  for (size_t i = known_bytes; i < given_bytes; i++) {
    if (bytes[i] != 0) {
      return lat_fail(LAT_STATUS_UNSUPPORTED,
                      "%s: opts has a field that this library version does not know: got byte %zu set, expected the "
                      "fields of %s",
                      op, i, lat_version());
    }
  }
  memcpy(target, source, given_bytes < known_bytes ? given_bytes : known_bytes);
  return LAT_STATUS_OK;
}

/// CPUs that a cgroup quota allows (version 2, then version 1), or a large number when there is none.
static int32_t cgroup_cpu_limit(void) {
  long long quota = -1, period = 100000;
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
  if (file) {
    if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = -1;
    fclose(file);
  } else if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"))) {
    if (fscanf(file, "%lld", &quota) != 1) quota = -1;
    fclose(file);
    if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r"))) {
      if (fscanf(file, "%lld", &period) != 1) period = 100000;
      fclose(file);
    }
  }
  if (quota <= 0 || period <= 0) return MAX_THREADS;
  return (int32_t)lat__min_i64(MAX_THREADS, lat__ceil_div_i64(quota, period));
}

static int32_t allowed_threads(void) {
  int32_t by_affinity = 1;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) by_affinity = CPU_COUNT(&set);
  int32_t by_quota = cgroup_cpu_limit();
  int32_t n = by_affinity < by_quota ? by_affinity : by_quota;
  return n < 1 ? 1 : n;
}

/// Level named by LATTICE_CPU_LEVEL, AUTO when it is unset or empty.
static lat_status level_from_environment(lat_cpu_level *out) {
  *out = LAT_CPU_LEVEL_AUTO;
  const char *name = getenv("LATTICE_CPU_LEVEL");
  if (!name || !*name) return LAT_STATUS_OK;
  for (size_t i = 0; i < N_LEVELS; i++) {
    if (strcmp(level_names[i].name, name) == 0) {
      *out = level_names[i].level;
      return LAT_STATUS_OK;
    }
  }
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "context_create: LATTICE_CPU_LEVEL is no level: got '%.40s', expected auto, scalar, neon, avx2 or "
                  "avx512",
                  name);
}

/// The lower of two caps, where AUTO is no cap.
static lat_cpu_level lower_cap(lat_cpu_level a, lat_cpu_level b) {
  if (a == LAT_CPU_LEVEL_AUTO) return b;
  if (b == LAT_CPU_LEVEL_AUTO) return a;
  return a < b ? a : b;
}

static lat_status check_opts(const lat_context_opts *opts) {
  if (opts->n_threads < 0 || opts->n_threads > MAX_THREADS) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "context_create: n_threads: got %d, expected 0 to %d",
                    (int)opts->n_threads, MAX_THREADS);
  }
  if (!opts->allocator.alloc != !opts->allocator.free) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "context_create: allocator: got one of alloc and free, expected both "
                                                 "or neither");
  }
  if ((int)opts->cpu_level < LAT_CPU_LEVEL_AUTO || opts->cpu_level > LAT_CPU_LEVEL_AVX512) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "context_create: cpu_level: got %d, expected 0 to %d",
                    (int)opts->cpu_level, (int)LAT_CPU_LEVEL_AVX512);
  }
  return LAT_STATUS_OK;
}

lat_status lat_context_create(const lat_context_opts *opts, lat_context **out) {
  lat_status status = LAT_STATUS_OK;
  lat_context_opts o;
  lat_cpu_level environment_cap = LAT_CPU_LEVEL_AUTO;
  lat_context *context = NULL;
  if (!out)
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "context_create: out: got NULL, expected a place for the handle");
  *out = NULL;
  LAT_TRY(lat__opts_copy("context_create", opts, sizeof o, &o), done);
  LAT_TRY(check_opts(&o), done);
  LAT_TRY(level_from_environment(&environment_cap), done);

  lat_allocator allocator = o.allocator.alloc ? o.allocator : lat__host_allocator;
  int32_t n_threads = o.n_threads ? o.n_threads : allowed_threads();
  size_t own_bytes = sizeof *context + (size_t)n_threads * sizeof(pthread_t);
  context = allocator.alloc(allocator.user, own_bytes, LAT_ALIGN);
  if (!context) {
    status =
        lat_fail(LAT_STATUS_OUT_OF_MEMORY, "context_create: out of memory: the allocator refused %zu bytes", own_bytes);
    goto done;
  }
  memset(context, 0, own_bytes);
  context->own_bytes = own_bytes;
  atomic_init(&context->refcount, 1);
  context->allocator = allocator;
  context->executor = o.executor;
  context->n_threads = n_threads;
  context->memory_cap_bytes = o.memory_cap_bytes;
  context->seed = o.seed;
  context->log = o.log;
  context->log_user = o.log_user;
  context->log_level = o.log_level;
  context->keeps_no_blocks = o.keeps_no_blocks != 0;
  pthread_mutex_init(&context->memory_lock, NULL);
  context->pool.threads = (pthread_t *)(context + 1);
  lat__thread_pool_open(&context->pool);
  context->backend = lat__backend_cpu();
  context->cpu_level = lat__backend_cpu_level(lower_cap(o.cpu_level, environment_cap));
  lat__log(context, LAT_LOG_INFO, "context: %d threads, level %s", (int)context->n_threads,
           lat_cpu_level_name(context->cpu_level));
  *out = context;
done:
  return status;
}

lat_context *lat__context_retain(lat_context *context) {
  atomic_fetch_add_explicit(&context->refcount, 1, memory_order_relaxed);
  return context;
}

void lat__context_release(lat_context *context) {
  if (atomic_fetch_sub_explicit(&context->refcount, 1, memory_order_acq_rel) != 1) return;
  lat__cache_drain(context);
  lat__thread_pool_stop(&context->pool);
  lat__thread_pool_close(&context->pool);
  pthread_mutex_destroy(&context->memory_lock);
  lat_allocator allocator = context->allocator;
  allocator.free(allocator.user, context, context->own_bytes);
}

void lat_context_destroy(lat_context *context) {
  if (!context) return;
  lat__thread_pool_stop(&context->pool);
  pthread_mutex_lock(&context->memory_lock);
  context->closed = true;
  pthread_mutex_unlock(&context->memory_lock);
  lat__cache_drain(context);
  lat__context_release(context);
}

lat_status lat_context_get_opts(const lat_context *context, lat_context_opts *out) {
  if (!context || !out) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "context_get_opts: %s: got NULL, expected one",
                    context ? "out" : "context");
  }
  *out = (lat_context_opts){.struct_bytes = sizeof *out,
                            .n_threads = context->n_threads,
                            .cpu_level = context->cpu_level,
                            .allocator = context->allocator,
                            .executor = context->executor,
                            .memory_cap_bytes = context->memory_cap_bytes,
                            .seed = context->seed,
                            .log = context->log,
                            .log_user = context->log_user,
                            .log_level = context->log_level,
                            .keeps_no_blocks = context->keeps_no_blocks};
  return LAT_STATUS_OK;
}

int32_t lat_context_threads(const lat_context *context) {
  return context->n_threads;
}

lat_cpu_level lat_context_cpu_level(const lat_context *context) {
  return context->cpu_level;
}

uint64_t lat_context_seed(const lat_context *context) {
  return context->seed;
}

static uint64_t read_locked(const lat_context *context, const uint64_t *value) {
  pthread_mutex_t *lock = (pthread_mutex_t *)&context->memory_lock; // the lock of a const object stays lockable
  pthread_mutex_lock(lock);
  uint64_t result = *value;
  pthread_mutex_unlock(lock);
  return result;
}

uint64_t lat_context_bytes(const lat_context *context) {
  return read_locked(context, &context->live_bytes);
}

uint64_t lat_context_peak_bytes(const lat_context *context) {
  return read_locked(context, &context->peak_bytes);
}

void lat_context_reset_peak(lat_context *context) {
  pthread_mutex_lock(&context->memory_lock);
  context->peak_bytes = context->live_bytes;
  pthread_mutex_unlock(&context->memory_lock);
}

void lat_context_trim(lat_context *context) {
  lat__cache_drain(context);
}

void lat__log(lat_context *context, lat_log_level level, const char *format, ...) {
  if (!context->log || level < context->log_level) return;
  char line[LOG_LINE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  context->log(context->log_user, level, line);
}
