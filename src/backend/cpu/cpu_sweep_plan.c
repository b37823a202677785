// Keys for sweeps. A key has a field for each of batch, x, y and z, z lowest; a field counts from a little below the least
// input coordinate and has room for what the kernel adds, so that fields never carry into one another:
//
//     key of input (b, x, y, z)  =  sum of (coordinate - low + reach + 1) << shift      reach = (size - 1) * dilation
//     query of output o          =  key of (o.batch, o.xyz * stride + start), start as for kernel element 0
//     element (ix, iy, iz)          looks for query + (ix * dilation << shift of x) + ...
//
// A query that lies outside of the inputs by more than the reach meets nothing; it is moved to where it just meets nothing.
// Outputs of ascending coordinates have ascending queries, since strides are positive.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_sweep.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define KEY_BITS 61 // differences of keys and of what stands above all of them are signed
#define ABOVE_ALL ((uint64_t)1 << 62)
#define KEY_GRAIN 16384
#define MAX_MIRRORED_KERNELS 1024 // a mirrored list keeps pairs for later blocks

static const char op[] = "relation";

/// How one axis maps an output coordinate, and its field.
typedef struct key_axis {
  int64_t stride, start, dilation;
  int32_t size;
  int64_t least, most; ///< of inputs
  int64_t reach;       ///< (size - 1) * dilation
  int shift;
} key_axis;

typedef struct key_job {
  const lat__coord_order *in, *out;
  key_axis axes[4];
  lat__sweep_plan *plan;
  int64_t n_places; ///< consecutive places that `taken` covers
} key_job;

static int bits_of(uint64_t value) {
  return value ? 64 - __builtin_clzll(value) : 0;
}

/// Lays the fields out; false when they take too many bits.
static bool place_fields(key_job *job, const lat__relation_desc *desc) {
  lat_triple size = desc->kernel_size, stride = desc->stride, padding = desc->padding, dilation = desc->dilation;
  const int64_t sizes[4] = {1, size.x, size.y, size.z}, strides[4] = {1, stride.x, stride.y, stride.z};
  const int64_t paddings[4] = {0, padding.x, padding.y, padding.z},
                dilations[4] = {1, dilation.x, dilation.y, dilation.z};
  int shift = 0;
  for (int c = 3; c >= 0; c--) {
    int64_t centre = c > 0 && sizes[c] % 2 && !desc->taps_from_zero ? sizes[c] / 2 : 0;
    key_axis *axis = &job->axes[c];
    *axis = (key_axis){.stride = strides[c],
                       .start = -centre * dilations[c] - paddings[c],
                       .dilation = dilations[c],
                       .size = (int32_t)sizes[c],
                       .least = job->in->fields[c].low,
                       .most = (int64_t)job->in->fields[c].low + job->in->fields[c].range,
                       .reach = (sizes[c] - 1) * dilations[c],
                       .shift = shift};
    shift += bits_of((uint64_t)(axis->most - axis->least + 2 * axis->reach + 2));
  }
  return shift <= KEY_BITS;
}

static LAT_ALWAYS_INLINE int64_t coordinate(const lat__coord_order *order, uint64_t key, int c) {
  const lat__key_field *field = &order->fields[c];
  return field->low + (int64_t)(key >> field->shift & (((uint64_t)1 << field->bits) - 1));
}

static LAT_ALWAYS_INLINE uint64_t field_of(const key_axis *axis, int64_t value) {
  return (uint64_t)(value - axis->least + axis->reach + 1) << axis->shift;
}

static void make_keys(void *arg, int64_t begin, int64_t end, int worker) {
  const key_job *job = arg;
  const lat__coord_order in = *job->in; // stores to keys cannot change it
  const key_axis axes[4] = {job->axes[0], job->axes[1], job->axes[2], job->axes[3]};
  uint64_t *keys = job->plan->in;
  (void)worker;
  for (int64_t p = begin; p < end; p++) {
    uint64_t key = in.key[p];
    keys[p] = field_of(&axes[0], coordinate(&in, key, 0)) + field_of(&axes[1], coordinate(&in, key, 1)) +
              field_of(&axes[2], coordinate(&in, key, 2)) + field_of(&axes[3], coordinate(&in, key, 3));
  }
}

static uint64_t query_of(const key_job *job, uint64_t out_key) {
  uint64_t query = 0;
  for (int c = 0; c < 4; c++) {
    const key_axis *axis = &job->axes[c];
    int64_t value = coordinate(job->out, out_key, c) * axis->stride + axis->start;
    value = lat__max_i64(axis->least - axis->reach - 1, lat__min_i64(axis->most + 1, value));
    query += field_of(axis, value);
  }
  return query;
}

static void make_queries(void *arg, int64_t begin, int64_t end, int worker) {
  const key_job *job = arg;
  (void)worker;
  for (int64_t p = begin; p < end; p++) job->plan->own_queries[p] = query_of(job, job->out->key[p]);
}

/// Which of the places that follow a key are keys too.
static void mark_taken(void *arg, int64_t begin, int64_t end, int worker) {
  const key_job *job = arg;
  const uint64_t *in = job->plan->in;
  uint64_t n_places = (uint64_t)job->n_places;
  uint8_t *taken = job->plan->taken;
  (void)worker;
  for (int64_t p = begin; p < end; p++) {
    uint32_t bits = 1;
    for (int64_t next = 1; next < job->n_places; next++) {
      uint64_t distance = in[p + next] - in[p]; // keys are distinct, so that none beyond counts
      bits |= (uint32_t)(distance < n_places) << (distance & 7);
    }
    taken[p] = (uint8_t)bits;
  }
}

/// Outputs with equal coordinates follow one another: every row is an output of its own.
static void list_twins(const key_job *job) {
  const lat__coord_order *out = job->out;
  lat__sweep_plan *plan = job->plan;
  int64_t n = 0;
  for (int64_t leaf = 0; leaf < out->n_leaves; leaf++) {
    uint64_t query = query_of(job, out->key[leaf]);
    for (int32_t row = out->row[leaf]; row >= 0; row = out->next_twin[row]) {
      plan->own_queries[n] = query;
      plan->out_rows[n++] = row;
    }
  }
}

/// True when every leaf is a row of its own, in the order of the rows.
static bool rows_ascend(const lat__coord_order *order) {
  bool ascend = !order->next_twin;
  for (int64_t leaf = 0; ascend && leaf < order->n_leaves; leaf++) ascend = order->row[leaf] == leaf;
  return ascend;
}

/// Queries and rows of the outputs.
static lat_status list_outputs(lat_context *context, key_job *job, bool same) {
  lat_status status = LAT_STATUS_OK;
  const lat__coord_order *out = job->out;
  lat__sweep_plan *plan = job->plan;
  void *queries = NULL, *rows = NULL;
  bool in_order = rows_ascend(out);
  if (!in_order) LAT_TRY(lat__alloc_items(context, op, plan->n_out, sizeof(int32_t), &rows), done);
  plan->out_rows = rows;
  plan->queries = plan->in;
  if (!same || out->next_twin) {
    LAT_TRY(lat__alloc_items(context, op, plan->n_out, sizeof(uint64_t), &queries), done);
    plan->queries = plan->own_queries = queries;
  }
  if (out->next_twin) {
    list_twins(job);
  } else {
    if (!in_order) memcpy(rows, out->row, (size_t)out->n_leaves * sizeof(int32_t));
    if (!same) lat__parallel_for(context, out->n_leaves, KEY_GRAIN, make_queries, job);
  }
done:
  return status;
}

/// The sweeps of the kernel in order. `offset` is what every query lacks.
static void list_sweeps(const key_job *job, uint64_t offset) {
  lat__sweep_plan *plan = job->plan;
  const key_axis *x = &job->axes[1], *y = &job->axes[2], *z = &job->axes[3];
  int32_t middle_x = x->size / 2, middle_y = y->size / 2, middle_z = z->size / 2;
  bool by_column = z->reach < LAT__WINDOW_PLACES;
  plan->n_sweeps = 0;
  plan->step = by_column ? (int32_t)z->dilation : 1;
  for (int32_t ix = plan->mirrored ? middle_x : 0; ix < x->size; ix++) {
    bool half = plan->mirrored && ix == middle_x;
    for (int32_t iy = half ? middle_y : 0; iy < y->size; iy++) {
      bool own = half && iy == middle_y;
      for (int32_t iz = own ? middle_z + 1 : 0; iz < z->size; iz += by_column ? z->size : 1) {
        uint64_t delta = offset + ((uint64_t)(ix * x->dilation) << x->shift);
        delta += ((uint64_t)(iy * y->dilation) << y->shift) + (uint64_t)(iz * z->dilation);
        plan->sweeps[plan->n_sweeps++] =
            (lat__sweep){.delta = delta,
                         .n_places = by_column ? (int32_t)((z->size - 1 - iz) * z->dilation + 1) : 1,
                         .first_kernel = (ix * y->size + iy) * z->size + iz,
                         .is_own = own && by_column && z->dilation == 1};
      }
    }
  }
}

/// True when the kernel is symmetric about an element that meets the row itself.
static bool is_symmetric(const lat__relation_desc *desc) {
  lat_triple size = desc->kernel_size, padding = desc->padding;
  bool odd = !desc->taps_from_zero && size.x % 2 && size.y % 2 && size.z % 2;
  return odd && !padding.x && !padding.y && !padding.z;
}

static lat_status make_plan(lat_context *context, const lat__relation_desc *desc, key_job *job) {
  lat_status status = LAT_STATUS_OK;
  lat__sweep_plan *plan = job->plan;
  lat_triple stride = desc->stride;
  bool same = job->in == job->out && stride.x == 1 && stride.y == 1 && stride.z == 1;
  void *keys = NULL, *taken = NULL, *sweeps = NULL;
  plan->mirrored = same && !job->out->next_twin && is_symmetric(desc) && desc->n_kernels <= MAX_MIRRORED_KERNELS;
  plan->first_list = plan->mirrored ? desc->n_kernels / 2 + 1 : 0;
  LAT_TRY(lat__alloc_items(context, op, plan->n_in + LAT__WINDOW_PLACES, sizeof(uint64_t), &keys), done);
  plan->in = keys;
  LAT_TRY(lat__alloc_items(context, op, plan->n_in + 1, 1, &taken), done);
  plan->taken = taken;
  plan->taken[plan->n_in] = 0;
  LAT_TRY(lat__alloc_items(context, op, desc->n_kernels, sizeof(lat__sweep), &sweeps), done);
  plan->sweeps = sweeps;
  lat__parallel_for(context, plan->n_in, KEY_GRAIN, make_keys, job);
  for (int64_t p = 0; p < LAT__WINDOW_PLACES; p++) plan->in[plan->n_in + p] = ABOVE_ALL;
  job->n_places = job->axes[3].reach < LAT__WINDOW_PLACES ? job->axes[3].reach + 1 : 1;
  lat__parallel_for(context, plan->n_in, KEY_GRAIN, mark_taken, job);
  LAT_TRY(list_outputs(context, job, same), done);
  uint64_t offset = 0; // keys in place of queries lack the starts
  for (int c = 1; plan->queries == plan->in && c < 4; c++) offset += (uint64_t)job->axes[c].start << job->axes[c].shift;
  list_sweeps(job, offset);
done:
  return status;
}

lat_status lat__sweep_plan_open(lat_context *context, const lat__relation_desc *desc, lat__sweep_plan *plan,
                                bool *fits) {
  key_job job = {.in = desc->in_order, .out = desc->out_order, .plan = plan};
  memset(plan, 0, sizeof *plan);
  *fits = job.in->n_leaves > 0 && job.out->n_leaves > 0 && job.in->key && job.out->key && place_fields(&job, desc) &&
          (context->deals_rows || rows_ascend(job.out));
  if (!*fits) return LAT_STATUS_OK;
  plan->n_in = job.in->n_leaves;
  plan->n_out = desc->n_out;
  plan->n_kernels = desc->n_kernels;
  plan->in_row = job.in->row;
  return make_plan(context, desc, &job);
}

void lat__sweep_plan_close(lat_context *context, lat__sweep_plan *plan) {
  lat__free(context, plan->in);
  lat__free(context, plan->taken);
  lat__free(context, plan->own_queries);
  lat__free(context, plan->out_rows);
  lat__free(context, plan->sweeps);
}
