/// The octree of a cloud: points are rounded to voxels, voxels have parents with occupancy codes, until fewer than 64
/// parents are left. Every level is kept in the order in which its codes are coded: ascending by (z, y, x).
#include <math.h>
#include <stdlib.h>

#include "model/codec_internal.h"

/// A level with fewer voxels than this is stored as it is.
enum { COARSEST_BELOW = 64 };

/// What is added to millimetres before they are divided, so that voxels of a scan around its sensor are not negative.
#define ORIGIN_MM INT64_C(131072)

static int compare_voxels(const void *a, const void *b) {
  const lat__codec_voxel *p = a, *q = b;
  if (p->z != q->z) return p->z < q->z ? -1 : 1;
  if (p->y != q->y) return p->y < q->y ? -1 : 1;
  return (p->x > q->x) - (p->x < q->x);
}

lat_status lat__codec_level_new(lat_context *context, int64_t n, lat__codec_level *out) {
  *out = (lat__codec_level){.n = n};
  int64_t shape[2] = {n, (int64_t)(sizeof(lat__codec_voxel) / sizeof(int32_t))};
  lat_status status = lat_array_full(context, LAT_DTYPE_I32, 2, shape, 0.0, &out->memory);
  if (status == LAT_STATUS_OK) out->voxels = lat_array_data(out->memory);
  return status;
}

void lat__codec_level_release(lat__codec_level *level) {
  lat_array_release(level->memory);
  *level = (lat__codec_level){.n = 0};
}

void lat__codec_octree_release(lat__codec_octree *octree) {
  for (int32_t i = 0; i < LAT__CODEC_LEVELS; i++) lat__codec_level_release(&octree->levels[i]);
  octree->n_levels = 0;
}

/// Sorted level of the rows of a set. `codes` may be NULL: 0.
static lat_status level_from_rows(lat_context *context, const lat_coords *coords, const int32_t *codes,
                                  lat__codec_level *out) {
  int64_t n = lat_coords_count(coords);
  const int32_t *rows = lat_coords_rows(coords).data;
  lat_status status = lat__codec_level_new(context, n, out);
  if (status) return status;
  for (int64_t i = 0; i < n; i++) {
    const int32_t *row = rows + 4 * i;
    out->voxels[i] = (lat__codec_voxel){.z = row[3], .y = row[2], .x = row[1], .code = codes ? codes[i] : 0};
  }
  qsort(out->voxels, (size_t)n, sizeof(lat__codec_voxel), compare_voxels);
  return LAT_STATUS_OK;
}

/// The coordinate set of a level, with that stride.
static lat_status level_coords(lat_context *context, const lat__codec_level *level, int32_t stride, lat_coords **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *rows = NULL;
  int64_t shape[2] = {level->n, 4};
  LAT_TRY(lat_array_full(context, LAT_DTYPE_I32, 2, shape, 0.0, &rows), done);
  int32_t *row = lat_array_data(rows);
  for (int64_t i = 0; i < level->n; i++, row += 4) {
    row[1] = level->voxels[i].x;
    row[2] = level->voxels[i].y;
    row[3] = level->voxels[i].z;
  }
  lat_array_view view = lat_array_as_view(rows);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = lat_triple_all(stride);
  LAT_TRY(lat_coords_create(context, &view, &opts, out), done);
done:
  lat_array_release(rows);
  return status;
}

/// 1000 x rounded to a whole number, ties to even, as if the product were exact: a product that was rounded onto a tie is
/// taken back to the side it came from.
static double round_millimetres(double x) {
  double mm = x * 1000.0, rest = fma(x, 1000.0, -mm), below = floor(mm);
  if (mm - below == 0.5 && rest != 0.0) return rest < 0.0 ? below : below + 1.0;
  return rint(mm);
}

/// m / size rounded to the nearest whole number, ties to even.
static int64_t divide_to_even(int64_t m, int64_t size) {
  int64_t quotient = m / size, rest = m % size;
  if (rest < 0) {
    rest += size;
    quotient -= 1;
  }
  int64_t twice = 2 * rest;
  return quotient + (twice > size || (twice == size && (quotient & 1)) ? 1 : 0);
}

/// Checks one point and gives its voxel. `spacing` is the float32 spacing allowed, in metres (infinite for float64).
static lat_status round_point(const double at[3], int64_t index, int32_t voxel_mm, double spacing, int32_t voxel[3]) {
  for (int axis = 0; axis < 3; axis++) {
    if (!isfinite(at[axis])) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "codec_encode: points must be finite: got (%.9g, %.9g, %.9g) at point %lld, expected no NaN or "
                      "infinity",
                      at[0], at[1], at[2], (long long)index);
    }
  }
  for (int axis = 0; axis < 3; axis++) {
    if (isfinite(spacing)) {
      float value = fabsf((float)at[axis]);
      double step = (double)nextafterf(value, INFINITY) - (double)value;
      if (step > spacing) {
        return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                        "codec_encode: float32 points are too coarse for the voxel size: got a spacing of %g at point "
                        "%lld (%.9g, %.9g, %.9g), expected at most a quarter of %g: use float64 points, or subtract "
                        "the origin before the conversion to float32",
                        step, (long long)index, at[0], at[1], at[2], 0.001 * voxel_mm);
      }
    }
    double mm = round_millimetres(at[axis]);
    bool fits = fabs(mm) < 0x1p62;
    int64_t q = fits ? divide_to_even((int64_t)mm + ORIGIN_MM, voxel_mm) : 0;
    if (!fits || q < INT32_MIN || q > INT32_MAX) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "codec_encode: voxel leaves int32: got %.17g mm in voxels of %d mm at point %lld (%.9g, %.9g, "
                      "%.9g), expected voxels %lld to %lld",
                      mm, (int)voxel_mm, (long long)index, at[0], at[1], at[2], (long long)INT32_MIN,
                      (long long)INT32_MAX);
    }
    voxel[axis] = (int32_t)q;
  }
  return LAT_STATUS_OK;
}

/// The voxels of all points, duplicates included, as a coordinate set.
static lat_status round_points(lat_context *context, const lat_array_view *points, int32_t voxel_mm, lat_coords **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *exact = NULL, *rows = NULL;
  int64_t n = points->shape[0], shape[2] = {n, 4};
  double spacing = points->dtype == LAT_DTYPE_F32 ? 0.001 * voxel_mm / 4 : (double)INFINITY;
  LAT_TRY(lat_array_cast(context, points, LAT_DTYPE_F64, &exact), done);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_I32, 2, shape, 0.0, &rows), done);
  const double *at = lat_array_data(exact);
  int32_t *row = lat_array_data(rows);
  for (int64_t i = 0; i < n; i++) LAT_TRY(round_point(at + 3 * i, i, voxel_mm, spacing, row + 4 * i + 1), done);
  lat_array_view view = lat_array_as_view(rows);
  LAT_TRY(lat_coords_create(context, &view, NULL, out), done);
done:
  lat_array_release(exact);
  lat_array_release(rows);
  return status;
}

/// Sorted parents of a set, with their codes.
static lat_status make_parents(lat_context *context, const lat_coords *children, lat__codec_level *out) {
  lat_status status = LAT_STATUS_OK;
  lat_coords *parents = NULL;
  lat_array *occupancy = NULL;
  LAT_TRY(lat_occupancy_downsample(context, children, &parents, &occupancy), done);
  LAT_TRY(level_from_rows(context, parents, lat_array_data(occupancy), out), done);
done:
  lat_coords_release(parents);
  lat_array_release(occupancy);
  return status;
}

static int64_t count_children(const lat__codec_level *level) {
  int64_t count = 0;
  for (int64_t i = 0; i < level->n; i++) {
    for (int32_t code = level->voxels[i].code; code; code &= code - 1) count++;
  }
  return count;
}

static void reverse_levels(lat__codec_octree *octree) {
  for (int32_t i = 0, j = octree->n_levels - 1; i < j; i++, j--) {
    lat__codec_level level = octree->levels[i];
    octree->levels[i] = octree->levels[j];
    octree->levels[j] = level;
  }
}

lat_status lat__codec_octree_build(lat_context *context, const lat_array_view *points, int32_t voxel_mm,
                                   lat__codec_octree *out) {
  lat_status status = LAT_STATUS_OK;
  lat_coords *coords = NULL;
  *out = (lat__codec_octree){.n_levels = 0};
  LAT_TRY(round_points(context, points, voxel_mm, &coords), done);
  do {
    lat__codec_level *level = &out->levels[out->n_levels];
    LAT_TRY(make_parents(context, coords, level), done);
    out->n_levels++;
    if (out->n_levels == 1) out->n_voxels = count_children(level);
    lat_coords_release(coords);
    coords = NULL;
    LAT_TRY(level_coords(context, level, 1, &coords), done);
  } while (out->levels[out->n_levels - 1].n >= COARSEST_BELOW);
  reverse_levels(out);
done:
  lat_coords_release(coords);
  if (status) lat__codec_octree_release(out);
  return status;
}

/// Codes of a level as an array; BAD_DATA for one without a child.
static lat_status level_codes(lat_context *context, const lat__codec_level *level, lat_array **out) {
  lat_status status = lat_array_full(context, LAT_DTYPE_I32, 1, &level->n, 0.0, out);
  int32_t *codes = status ? NULL : lat_array_data(*out);
  for (int64_t i = 0; status == LAT_STATUS_OK && i < level->n; i++) {
    codes[i] = level->voxels[i].code;
    if (codes[i] < 1 || codes[i] > 255) {
      status = lat_fail(LAT_STATUS_BAD_DATA,
                        "codec_decode: a voxel without children: got code %d at voxel (%d, %d, %d), expected 1 to 255",
                        (int)codes[i], (int)level->voxels[i].x, (int)level->voxels[i].y, (int)level->voxels[i].z);
    }
  }
  return status;
}

lat_status lat__codec_level_expand(lat_context *context, const lat__codec_level *parents, int64_t limit,
                                   lat__codec_level *out) {
  lat_status status = LAT_STATUS_OK;
  lat_coords *coarse = NULL, *fine = NULL;
  lat_array *codes = NULL;
  *out = (lat__codec_level){.n = 0};
  int64_t n = count_children(parents);
  if (n > limit) {
    return lat_fail(LAT_STATUS_BAD_DATA, "codec_decode: more voxels than the header says: got %lld, expected %lld",
                    (long long)n, (long long)limit);
  }
  LAT_TRY(level_codes(context, parents, &codes), done);
  LAT_TRY(level_coords(context, parents, 2, &coarse), done);
  lat_array_view view = lat_array_as_view(codes);
  status = lat_occupancy_expand(context, coarse, &view, &fine, NULL, NULL);
  if (status == LAT_STATUS_OVERFLOW) {
    status = lat_fail(LAT_STATUS_BAD_DATA, "codec_decode: a voxel leaves int32: expected levels that fit");
  }
  if (status) goto done;
  LAT_TRY(level_from_rows(context, fine, NULL, out), done);
done:
  lat_coords_release(coarse);
  lat_coords_release(fine);
  lat_array_release(codes);
  if (status) lat__codec_level_release(out);
  return status;
}
