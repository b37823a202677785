// Several relations over a pyramid in one call. Orders and coarser sets are kept by the sets, so that what one geometry
// needed is there for the next.

#include <stdio.h>

#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "relation/relation_internal.h"

#define NAME_BYTES 64

/// Writes the name that errors of geometry i have: "relation_build_many: geometry 3".
static const char *name_of(int64_t i, char *name) {
  snprintf(name, NAME_BYTES, "relation_build_many: geometry %lld", (long long)i);
  return name;
}

static bool has_target(lat_relation_kind kind) {
  return kind == LAT_RELATION_TARGET || kind == LAT_RELATION_TARGET_TRANSPOSED;
}

static lat_status check_set(const char *name, const char *argument, int32_t set, int64_t last) {
  if (set >= 0 && set <= last) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got set %d, expected 0 to %lld", name, argument, (int)set,
                  (long long)last);
}

static lat_status check_geometry(int64_t i, const lat_relation_geometry *given, lat__geometry *checked) {
  char name[NAME_BYTES];
  const char *op = name_of(i, name);
  lat_relation_kind kind = given->kind;
  lat_status status = LAT_STATUS_OK;
  if ((int)kind < LAT_RELATION_FORWARD || kind > LAT_RELATION_TARGET_TRANSPOSED) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: kind is unknown: got %d, expected 0 to %d", op, (int)kind,
                    (int)LAT_RELATION_TARGET_TRANSPOSED);
  }
  LAT_TRY(check_set(op, "input_set", given->input_set, i), done);
  LAT_TRY(check_set(op, "target_set", given->target_set, has_target(kind) ? i : 0), done);
  bool transposed =
      kind == LAT_RELATION_TRANSPOSED || kind == LAT_RELATION_GENERATIVE || kind == LAT_RELATION_TARGET_TRANSPOSED;
  LAT_TRY(lat__geometry_check(op, given->kernel, transposed ? &lat__transposed_defaults : NULL, checked), done);
  if (kind == LAT_RELATION_SUBMANIFOLD) status = lat__geometry_check_subm(op, checked);
  if (kind == LAT_RELATION_TARGET) status = lat__geometry_check_unbounded(op, checked);
  if (transposed) LAT_TRY(lat__geometry_check_floor(op, checked), done);
  if (kind == LAT_RELATION_GENERATIVE) status = lat__geometry_check_generative(op, checked);
done:
  return status;
}

/// Builds relation i and its output set.
static lat_status build_one(lat_context *context, int64_t i, const lat_relation_geometry *given,
                            const lat__geometry *geometry, lat_coords **sets, lat_relation **out) {
  char name[NAME_BYTES];
  const char *op = name_of(i, name);
  const lat_coords *input = sets[given->input_set], *target = sets[given->target_set];
  lat_coords **out_set = &sets[i + 1];
  lat_status status = LAT_STATUS_OK;
  switch (given->kind) {
  case LAT_RELATION_FORWARD:
    return lat__relation_forward(context, op, input, geometry, out, out_set);
  case LAT_RELATION_TRANSPOSED:
    return lat__relation_transposed(context, op, input, geometry, out, out_set);
  case LAT_RELATION_GENERATIVE:
    return lat__relation_generative(context, op, input, geometry, out, out_set);
  case LAT_RELATION_SUBMANIFOLD:
    target = input;
    status = lat__relation_subm(context, op, input, geometry, out);
    break;
  case LAT_RELATION_TARGET:
    status = lat__relation_target(context, op, input, target, geometry, out);
    break;
  case LAT_RELATION_TARGET_TRANSPOSED:
    status = lat__relation_target_transposed(context, op, input, target, geometry, out);
    break;
  }
  if (!status) *out_set = lat_coords_retain(target);
  return status;
}

static lat_status check_arguments(const lat_context *context, const lat_coords *input,
                                  const lat_relation_geometry *geometries, int64_t n, lat_relation **out) {
  static const char op[] = "relation_build_many";
  if (n < 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: n must be non-negative: got %lld, expected 0 or more", op,
                    (long long)n);
  }
  for (int64_t i = 0; out && i < n; i++) out[i] = NULL;
  const char *missing = !context ? "context" : !input ? "input" : !geometries ? "geometries" : !out ? "out" : NULL;
  if (!missing) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected an object", op, missing);
}

lat_status lat_relation_build_many(lat_context *context, const lat_coords *input,
                                   const lat_relation_geometry *geometries, int64_t n, lat_relation **out) {
  static const char op[] = "relation_build_many";
  lat_status status = check_arguments(context, input, geometries, n, out);
  void *checked = NULL, *memory = NULL;
  lat_coords **sets = NULL;
  if (status) return status;
  LAT_TRY(lat__alloc_items(context, op, n, sizeof(lat__geometry), &checked), done);
  for (int64_t i = 0; i < n; i++) {
    LAT_TRY(check_geometry(i, &geometries[i], (lat__geometry *)checked + i), done);
  }
  LAT_TRY(lat__alloc_zero(context, op, n + 1, sizeof(lat_coords *), &memory), done);
  sets = memory;
  sets[0] = lat_coords_retain(input);
  for (int64_t i = 0; i < n; i++) {
    LAT_TRY(build_one(context, i, &geometries[i], (lat__geometry *)checked + i, sets, &out[i]), done);
  }
done:
  for (int64_t i = 0; sets && i <= n; i++) lat_coords_release(sets[i]);
  for (int64_t i = 0; status && i < n; i++) {
    lat_relation_release(out[i]);
    out[i] = NULL;
  }
  lat__free(context, memory);
  lat__free(context, checked);
  return status;
}
