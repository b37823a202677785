// Kernel relations: the object, its cache on the input set, and the three ways to make one. Edges and grouped views are
// in relation_views.c.

#include <string.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "relation/relation_internal.h"

void lat__pairs_free(lat_context *context, lat__pairs *pairs) {
  lat__free(context, pairs->offsets);
  lat__free(context, pairs->in_rows);
  lat__free(context, pairs->local_rows);
  lat__free(context, pairs->out_rows);
  memset(pairs, 0, sizeof *pairs);
}

lat_relation *lat_relation_retain(const lat_relation *relation) {
  lat_relation *shared = (lat_relation *)relation; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_relation_release(lat_relation *relation) {
  if (!relation || atomic_fetch_sub_explicit(&relation->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = relation->context;
  lat__pairs_free(context, &relation->pairs);
  lat__pairs_free(context, &relation->by_input);
  lat__free(context, relation->edge_in);
  lat__free(context, relation->edge_out);
  lat__free(context, relation->edge_kernel);
  for (int group = 0; group < 3; group++) {
    lat__free(context, relation->row_offsets[group]);
    lat__free(context, relation->edge_ids[group]);
  }
  lat__gemm_views_free(context, &relation->gemm);
  lat_coords_release(relation->out_coords);
  pthread_mutex_destroy(&relation->lock);
  lat__free(context, relation);
  lat__context_release(context);
}

static void *retain_object(void *object) {
  return lat_relation_retain(object);
}

static void release_object(void *object) {
  lat_relation_release(object);
}

const lat__cache_ops lat__relation_cache_ops = {retain_object, release_object};

lat__cache_key lat__relation_key(lat__cache_kind kind, uint64_t other_id, const lat__geometry *geometry) {
  lat__cache_key key;
  memset(&key, 0, sizeof key); // compared byte by byte
  key.kind = (int32_t)kind;
  key.other_id = other_id;
  key.kernel_size = geometry->kernel_size;
  key.stride = geometry->stride;
  key.padding = geometry->padding;
  key.dilation = geometry->dilation;
  key.bounds = geometry->bounds;
  key.support = (int32_t)geometry->support;
  return key;
}

lat_status lat__relation_new(lat_context *context, const char *op, lat_relation_kind kind,
                             const lat__geometry *geometry, lat_relation **out) {
  void *memory = NULL;
  *out = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat_relation), &memory);
  if (status) return status;
  lat_relation *relation = memory;
  atomic_init(&relation->refcount, 1);
  relation->context = lat__context_retain(context);
  relation->kind = kind;
  relation->geometry = *geometry;
  pthread_mutex_init(&relation->lock, NULL);
  *out = relation;
  return LAT_STATUS_OK;
}

/// New relation of `input` onto `output`, offered to the cache of `input`. `own_output` is the set that the relation
/// shall keep alive, or NULL.
static lat_status build(lat_context *context, const char *op, const lat__cache_key *key, lat_relation_kind kind,
                        const lat__geometry *geometry, const lat_coords *input, const lat_coords *output,
                        const lat_coords *own_output, lat_relation **out) {
  lat_status status = LAT_STATUS_OK;
  lat_relation *relation = NULL;
  const lat__coord_order *in_order = NULL, *out_order = NULL;
  LAT_TRY(lat__relation_new(context, op, kind, geometry, &relation), done);
  LAT_TRY(lat__coords_order(context, input, &in_order), done);
  LAT_TRY(lat__coords_order(context, output, &out_order), done);
  lat__relation_desc desc = {
      .in_order = in_order,
      .n_in = input->n_rows,
      .out_order = out_order,
      .n_out = output->n_rows,
      .kernel_size = geometry->kernel_size,
      .stride = geometry->stride,
      .padding = geometry->padding,
      .dilation = geometry->dilation,
      .n_kernels = geometry->n_kernels,
      .taps_from_zero = geometry->support == LAT_SUPPORT_REACH,
  };
  LAT_TRY(lat__backend_of(context)->relation_build(context, &desc, &relation->pairs), done);
  relation->out_coords = lat_coords_retain(own_output);
  *out = lat__coords_cache_put(input, key, &lat__relation_cache_ops, relation);
  relation = NULL;
done:
  lat_relation_release(relation);
  return status;
}

/// Last output of an axis that a dense convolution of extent `bound` has; below 0: none.
static int32_t last_output(int32_t bound, int32_t size, int32_t stride, int32_t padding, int32_t dilation) {
  // The geometry was checked: bound + 2 padding and (size - 1) dilation fit int32.
  return lat__floor_div_i32(bound + 2 * padding - dilation * (size - 1) - 1, stride);
}

/// The output set of reach support.
static lat_status reach_support(lat_context *context, const char *op, const lat_coords *coords, const lat__geometry *g,
                                lat_coords **out) {
  lat_status status = LAT_STATUS_OK;
  const lat__coord_order *order = NULL;
  lat__coord_order *out_order = NULL;
  lat_triple stride, size = g->kernel_size, by = g->stride, padding = g->padding, dilation = g->dilation;
  int32_t *rows = NULL;
  int64_t n_rows = 0;
  LAT_TRY(lat__coords_coarser_stride(op, coords->stride, by, &stride), done);
  LAT_TRY(lat__coords_order(context, coords, &order), done);
  lat__reach_desc desc = {.in_order = order,
                          .n_in = coords->n_rows,
                          .kernel_size = size,
                          .stride = by,
                          .padding = padding,
                          .dilation = dilation,
                          .bounded = g->bounds.x > 0};
  if (desc.bounded) {
    desc.last = (lat_triple){last_output(g->bounds.x, size.x, by.x, padding.x, dilation.x),
                             last_output(g->bounds.y, size.y, by.y, padding.y, dilation.y),
                             last_output(g->bounds.z, size.z, by.z, padding.z, dilation.z)};
  }
  LAT_TRY(lat__backend_of(context)->reach(context, &desc, &rows, &n_rows, &out_order), done);
  LAT_TRY(lat__coords_adopt(context, op, rows, n_rows, stride, out), done);
  (*out)->order = out_order;
  out_order = NULL;
done:
  lat__backend_of(context)->order_destroy(out_order);
  return status;
}

lat_status lat__relation_forward(lat_context *context, const char *op, const lat_coords *coords,
                                 const lat__geometry *geometry, lat_relation **relation, lat_coords **out_coords) {
  lat_status status = LAT_STATUS_OK;
  lat_coords *made = NULL;
  lat__cache_key key = lat__relation_key(LAT__CACHE_FORWARD, 0, geometry);
  *out_coords = NULL;
  *relation = lat__coords_cache_get(coords, &key);
  if (!*relation) {
    if (lat__geometry_keeps_support(geometry)) {
      made = NULL;
    } else if (geometry->support == LAT_SUPPORT_REACH) {
      LAT_TRY(reach_support(context, op, coords, geometry, &made), done);
    } else {
      LAT_TRY(lat__coords_downsample(context, op, coords, geometry->stride, &made), done);
    }
    LAT_TRY(build(context, op, &key, LAT_RELATION_FORWARD, geometry, coords, made ? made : coords, made, relation),
            done);
  }
  *out_coords = lat_coords_retain((*relation)->out_coords ? (*relation)->out_coords : coords);
done:
  lat_coords_release(made);
  return status;
}

lat_status lat__relation_subm(lat_context *context, const char *op, const lat_coords *coords,
                              const lat__geometry *geometry, lat_relation **relation) {
  lat__cache_key key = lat__relation_key(LAT__CACHE_SUBMANIFOLD, 0, geometry);
  *relation = lat__coords_cache_get(coords, &key);
  if (*relation) return LAT_STATUS_OK;
  return build(context, op, &key, LAT_RELATION_SUBMANIFOLD, geometry, coords, coords, NULL, relation);
}

lat_status lat__relation_target(lat_context *context, const char *op, const lat_coords *coords,
                                const lat_coords *target, const lat__geometry *geometry, lat_relation **relation) {
  lat__cache_key key = lat__relation_key(LAT__CACHE_TARGET, target->id, geometry);
  *relation = lat__coords_cache_get(coords, &key);
  if (*relation) return LAT_STATUS_OK;
  return build(context, op, &key, LAT_RELATION_TARGET, geometry, coords, target, NULL, relation);
}

lat_status lat__relation_check_arguments(const char *op, const lat_context *context, const lat_coords *input,
                                         lat_relation **out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the handle", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!input) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: input: got NULL, expected a coordinate set", op);
  return LAT_STATUS_OK;
}

lat_status lat_relation_create_forward(lat_context *context, const lat_coords *input, const lat_kernel_opts *opts,
                                       lat_relation **out) {
  static const char op[] = "relation_create_forward";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__relation_check_arguments(op, context, input, out), done);
  LAT_TRY(lat__geometry_check(op, opts, NULL, &geometry), done);
  LAT_TRY(lat__relation_forward(context, op, input, &geometry, out, &out_coords), done);
done:
  lat_coords_release(out_coords);
  return status;
}

lat_status lat_relation_create_subm(lat_context *context, const lat_coords *input, const lat_kernel_opts *opts,
                                    lat_relation **out) {
  static const char op[] = "relation_create_subm";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  LAT_TRY(lat__relation_check_arguments(op, context, input, out), done);
  LAT_TRY(lat__geometry_check(op, opts, NULL, &geometry), done);
  LAT_TRY(lat__geometry_check_subm(op, &geometry), done);
  LAT_TRY(lat__relation_subm(context, op, input, &geometry, out), done);
done:
  return status;
}

lat_status lat_relation_create_target(lat_context *context, const lat_coords *input, const lat_coords *target,
                                      const lat_kernel_opts *opts, lat_relation **out) {
  static const char op[] = "relation_create_target";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  LAT_TRY(lat__relation_check_arguments(op, context, input, out), done);
  if (!target) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: target: got NULL, expected a coordinate set", op);
    goto done;
  }
  LAT_TRY(lat__geometry_check(op, opts, NULL, &geometry), done);
  LAT_TRY(lat__geometry_check_unbounded(op, &geometry), done);
  LAT_TRY(lat__relation_target(context, op, input, target, &geometry, out), done);
done:
  return status;
}

lat_relation_kind lat_relation_kind_of(const lat_relation *relation) {
  return relation->kind;
}

int64_t lat_relation_n_edges(const lat_relation *relation) {
  return relation->pairs.n_edges;
}

int64_t lat_relation_n_in(const lat_relation *relation) {
  return relation->pairs.n_in;
}

int64_t lat_relation_n_out(const lat_relation *relation) {
  return relation->pairs.n_out;
}

int32_t lat_relation_n_kernels(const lat_relation *relation) {
  return relation->pairs.n_kernels;
}

const lat_coords *lat_relation_out_coords(const lat_relation *relation) {
  return relation->out_coords;
}
