// Neighbour relations: checks and the object; the search is the device's.

#include <math.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "relation/neighbors_internal.h"

static lat_status check_strides(const char *op, lat_triple a, lat_triple b) {
  if (a.x == b.x && a.y == b.y && a.z == b.z) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: sources and queries must have the same coordinate stride: got (%d, %d, %d) and (%d, %d, %d), "
                  "expected equal strides",
                  op, (int)a.x, (int)a.y, (int)a.z, (int)b.x, (int)b.y, (int)b.z);
}

static lat_status check_radius(const char *op, const lat_radius_opts *opts) {
  if (!(opts->radius >= 0) || isinf(opts->radius)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: radius must be non-negative and finite: got %g, expected 0 or more", op, opts->radius);
  }
  if (opts->max_neighbors < 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: max_neighbors must be positive: got %lld, expected 1 or more, or 0 for all", op,
                    (long long)opts->max_neighbors);
  }
  return LAT_STATUS_OK;
}

static lat_status check_arguments(const char *op, const lat_context *context, const lat_coords *sources,
                                  lat_neighbors **out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the handle", op);
  *out = NULL;
  if (context && sources) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a handle", op,
                  context ? "sources" : "context");
}

/// New relation without edges.
static lat_status object_new(lat_context *context, const char *op, const lat_coords *sources, const lat_coords *queries,
                             lat_neighbors **out) {
  void *memory = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat_neighbors), &memory);
  if (status) return status;
  lat_neighbors *neighbors = memory;
  atomic_init(&neighbors->refcount, 1);
  neighbors->context = lat__context_retain(context);
  neighbors->n_queries = queries->n_rows;
  neighbors->n_sources = sources->n_rows;
  *out = neighbors;
  return LAT_STATUS_OK;
}

lat_status lat_neighbors_create_radius(lat_context *context, const lat_coords *sources, const lat_coords *queries,
                                       const lat_radius_opts *opts, lat_neighbors **out) {
  static const char op[] = "neighbors_create_radius";
  lat_status status = LAT_STATUS_OK;
  lat_radius_opts o;
  lat_neighbors *neighbors = NULL;
  LAT_TRY(check_arguments(op, context, sources, out), done);
  if (!queries) queries = sources;
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(check_radius(op, &o), done);
  LAT_TRY(check_strides(op, sources->stride, queries->stride), done);
  LAT_TRY(object_new(context, op, sources, queries, &neighbors), done);
  lat__radius_desc desc = {
      .query_rows = queries->rows, .n_queries = queries->n_rows, .radius = o.radius, .max_neighbors = o.max_neighbors};
  LAT_TRY(lat__coords_order(context, sources, &desc.source_order), done);
  LAT_TRY(lat__backend_of(context)->radius(context, &desc, &neighbors->edges), done);
  *out = neighbors;
  neighbors = NULL;
done:
  lat_neighbors_release(neighbors);
  return status;
}

lat_status lat_neighbors_create_knn(lat_context *context, const lat_coords *sources, const lat_coords *queries,
                                    const lat_knn_opts *opts, lat_neighbors **out) {
  static const char op[] = "neighbors_create_knn";
  lat_status status = LAT_STATUS_OK;
  lat_knn_opts o;
  lat_neighbors *neighbors = NULL;
  LAT_TRY(check_arguments(op, context, sources, out), done);
  if (!queries) queries = sources;
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  if (o.k <= 0) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: k must be positive: got %lld, expected 1 or more", op,
                      (long long)o.k);
    goto done;
  }
  LAT_TRY(check_strides(op, sources->stride, queries->stride), done);
  LAT_TRY(object_new(context, op, sources, queries, &neighbors), done);
  lat__knn_desc desc = {.query_rows = queries->rows, .n_queries = queries->n_rows, .k = o.k};
  LAT_TRY(lat__coords_order(context, sources, &desc.source_order), done);
  LAT_TRY(lat__backend_of(context)->knn(context, &desc, &neighbors->edges), done);
  *out = neighbors;
  neighbors = NULL;
done:
  lat_neighbors_release(neighbors);
  return status;
}

lat_neighbor_list lat_neighbors_edges(const lat_neighbors *neighbors) {
  const lat__neighbor_edges *edges = &neighbors->edges;
  return (lat_neighbor_list){.n_edges = edges->n_edges,
                             .n_queries = neighbors->n_queries,
                             .n_sources = neighbors->n_sources,
                             .query_rows = edges->query_rows,
                             .source_rows = edges->source_rows,
                             .neighbor_ids = edges->neighbor_ids,
                             .squared_distances = edges->squared_distances,
                             .row_offsets = edges->row_offsets};
}

lat_neighbors *lat_neighbors_retain(const lat_neighbors *neighbors) {
  lat_neighbors *shared = (lat_neighbors *)neighbors; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_neighbors_release(lat_neighbors *neighbors) {
  if (!neighbors || atomic_fetch_sub_explicit(&neighbors->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = neighbors->context;
  lat__free(context, neighbors->edges.row_offsets);
  lat__free(context, neighbors->edges.query_rows);
  lat__free(context, neighbors->edges.source_rows);
  lat__free(context, neighbors->edges.neighbor_ids);
  lat__free(context, neighbors->edges.squared_distances);
  lat__free(context, neighbors);
  lat__context_release(context);
}
