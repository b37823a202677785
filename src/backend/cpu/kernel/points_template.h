// Points to lattice cells: floor((x - origin) / size + shift) of every coordinate, in float32 with each step rounded.
//
// POINTS_AT_ONCE points are one run of coordinates, so that three axes fill whole vectors.

#define POINTS_AT_ONCE 16
#define POINT_COORDINATES (3 * POINTS_AT_ONCE)

/// The cells of one run. Lanes of the result are 0 where a coordinate or a cell was at fault (NaN compares false), else as in `fit`.
static LAT_ALWAYS_INLINE vf32 point_cells_run(const float *points, const float *origin, const float *size,
                                              const float *limit, vf32 shift, vf32 fit, int32_t *cells) {
  const vf32 zero = v_set1(0.0f), one = v_set1(1.0f);
  KERNEL_UNROLL
  for (int j = 0; j < POINT_COORDINATES; j += V_LANES) {
    vf32 x = v_load(points + j);
    vf32 shifted = (x - v_load(origin + j)) / v_load(size + j) + shift;
    vf32 fits = v_where_above(v_load(limit + j), v_abs(x), one, zero);
    fits = v_where_above(v_set1(0x1p31f), shifted, fits, zero);
    fits = v_where_above(shifted, v_set1(-0x1.000002p31f), fits, zero);
    v_store_floor(cells + j, v_where_above(fits, zero, shifted, zero));
    fit = v_min(fit, fits);
  }
  return fit;
}

static int KERNEL(point_cells_f32)(const lat__point_cells_args *args, const float *points, int64_t n, int32_t *rows) {
  float origin[POINT_COORDINATES], size[POINT_COORDINATES], limit[POINT_COORDINATES], last[POINT_COORDINATES];
  int32_t cells[POINT_COORDINATES];
  vf32 fit = v_set1(1.0f);
  float lanes[V_LANES];
  int all = 1;
  for (int j = 0; j < POINT_COORDINATES; j++) {
    origin[j] = last[j] = args->origin[j % 3];
    size[j] = args->size[j % 3];
    limit[j] = args->limit[j % 3];
    if (!(fabsf(last[j]) < limit[j])) last[j] = 0.0f; // behind the last point: anything that fits
  }
  for (int64_t p = 0; p < n; p += POINTS_AT_ONCE) {
    int64_t n_points = n - p < POINTS_AT_ONCE ? n - p : POINTS_AT_ONCE;
    const float *run = points + 3 * p;
    if (n_points < POINTS_AT_ONCE) {
      memcpy(last, run, (size_t)(3 * n_points) * sizeof *last);
      run = last;
    }
    fit = point_cells_run(run, origin, size, limit, v_set1(args->shift), fit, cells);
    for (int64_t i = 0; i < n_points; i++) {
      const int32_t row[4] = {0, cells[3 * i], cells[3 * i + 1], cells[3 * i + 2]};
      memcpy(rows + 4 * (p + i), row, sizeof row);
    }
  }
  v_store(lanes, fit);
  for (int l = 0; l < V_LANES; l++) all = all && lanes[l] > 0.0f;
  return all;
}

#undef POINT_COORDINATES
#undef POINTS_AT_ONCE
