/// The scanner in the street: beams and turns, and the cloud they give.
#include "simulate_street.h"

#include "cli.h"
#include "street_scene.h"

/// Beams of the scanner. Like the common 64-beam model, the upper half is closer together than the lower half.
enum { N_BEAMS = 64, PILOT_COLUMNS = 512, MOST_COLUMNS = 1 << 22 };

static const char *const class_names[STREET_N_CLASSES] = {"unlabelled", "road", "sidewalk",   "terrain", "building",
                                                          "vehicle",    "pole", "vegetation", "person",  "fence"};

const char *street_class_name(int label) {
  return label >= 0 && label < STREET_N_CLASSES ? class_names[label] : NULL;
}

/// What the scanner works with.
typedef struct scanner {
  uint64_t seed;
  street_scene scene;
  street_point beams[N_BEAMS]; ///< x: cosine, z: sine of the elevation
  int *indices;                ///< room for the shapes of one column
} scanner;

/// Returns of all rays, beam by beam. Range 0: none.
typedef struct sweep {
  int64_t n_columns;
  double ahead;         ///< x of the scanner in the frame of the cloud
  street_point *points; ///< where range > 0
  float *intensity;
  uint8_t *label; ///< STREET_UNLABELLED: no return
  int64_t n_returns;
} sweep;

static void aim_beams(scanner *s) {
  for (int i = 0; i < N_BEAMS; i++) {
    double degrees = i < 32 ? 2.0 - i / 3.0 : -8.83 - (i - 32) * 0.515;
    street_turn(degrees / 360.0, &s->beams[i].x, &s->beams[i].z);
  }
}

/// Casts the 64 rays of one column. `out` NULL: they are only counted.
static int64_t cast_column(const scanner *s, int64_t column, int64_t n_columns, sweep *out) {
  double cosine, sine;
  int64_t n_returns = 0;
  street_turn((double)column / (double)n_columns - 0.5, &cosine, &sine);
  int n = street_gather(&s->scene, cosine, sine, s->indices);
  for (int beam = 0; beam < N_BEAMS; beam++) {
    const street_point *aim = &s->beams[beam];
    street_ray ray = {{aim->x * cosine, aim->x * sine, aim->z}, (uint64_t)column * N_BEAMS + (uint64_t)beam};
    street_return r = street_cast(&s->scene, s->seed, &ray, s->indices, n);
    if (r.range <= 0.0) continue;
    n_returns++;
    if (!out) continue;
    int64_t slot = beam * n_columns + column;
    out->points[slot] = (street_point){r.range * ray.direction.x, r.range * ray.direction.y, r.range * ray.direction.z};
    out->intensity[slot] = (float)r.intensity;
    out->label[slot] = (uint8_t)r.label;
  }
  return n_returns;
}

/// Number of columns that gives about `n_points` returns.
static int64_t choose_columns(const scanner *s, int64_t n_points) {
  int64_t n_returns = 0;
  for (int64_t column = 0; column < PILOT_COLUMNS; column++) n_returns += cast_column(s, column, PILOT_COLUMNS, NULL);
  double columns = floor((double)n_points * PILOT_COLUMNS / (double)(n_returns > 0 ? n_returns : 1) + 0.5);
  return columns < 1 ? 1 : columns > MOST_COLUMNS ? MOST_COLUMNS : (int64_t)columns;
}

/// Moves the returns of a sweep, which has holes, into a cloud without.
static lat_status make_cloud(lat_context *context, const sweep *rays, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *positions = NULL, *intensity = NULL, *label = NULL, *ring = NULL;
  int64_t shape[2] = {rays->n_returns, 3}, row = 0;
  CLI_TRY(lat_array_full(context, LAT_DTYPE_F32, 2, shape, 0.0, &positions), done);
  CLI_TRY(lat_array_full(context, LAT_DTYPE_F32, 1, shape, 0.0, &intensity), done);
  CLI_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, shape, 0.0, &label), done);
  CLI_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, shape, 0.0, &ring), done);
  float *xyz = lat_array_data(positions), *intensities = lat_array_data(intensity);
  uint8_t *labels = lat_array_data(label), *rings = lat_array_data(ring);
  for (int64_t slot = 0; slot < rays->n_columns * N_BEAMS; slot++) {
    if (rays->label[slot] == STREET_UNLABELLED) continue;
    xyz[row * 3] = (float)(rays->points[slot].x + rays->ahead);
    xyz[row * 3 + 1] = (float)rays->points[slot].y;
    xyz[row * 3 + 2] = (float)rays->points[slot].z;
    intensities[row] = rays->intensity[slot];
    labels[row] = rays->label[slot];
    rings[row++] = (uint8_t)(slot / rays->n_columns);
  }
  lat_array_view views[4] = {lat_array_as_view(positions), lat_array_as_view(intensity), lat_array_as_view(label),
                             lat_array_as_view(ring)};
  CLI_TRY(lat_cloud_create(context, &views[0], out), done);
  CLI_TRY(lat_cloud_add_field(context, *out, "intensity", &views[1]), done);
  CLI_TRY(lat_cloud_add_field(context, *out, "label", &views[2]), done);
  CLI_TRY(lat_cloud_add_field(context, *out, "ring", &views[3]), done);
done:
  if (status) {
    lat_cloud_release(*out);
    *out = NULL;
  }
  lat_array_release(positions);
  lat_array_release(intensity);
  lat_array_release(label);
  lat_array_release(ring);
  return status;
}

static lat_status new_bytes(lat_context *context, int64_t count, size_t item_bytes, lat_array **out) {
  int64_t n_bytes = count * (int64_t)item_bytes; // counts are capped: no overflow
  return lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, out);
}

static lat_status scan(lat_context *context, const scanner *s, int64_t n_points, const char *verb, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *points = NULL, *intensity = NULL, *label = NULL;
  sweep rays = {.n_columns = choose_columns(s, n_points), .ahead = s->scene.ahead};
  int64_t n_slots = rays.n_columns * N_BEAMS;
  CLI_TRY(new_bytes(context, n_slots, sizeof *rays.points, &points), done);
  CLI_TRY(new_bytes(context, n_slots, sizeof *rays.intensity, &intensity), done);
  CLI_TRY(new_bytes(context, n_slots, sizeof *rays.label, &label), done);
  rays.points = lat_array_data(points);
  rays.intensity = lat_array_data(intensity);
  rays.label = lat_array_data(label);
  for (int64_t column = 0; column < rays.n_columns; column++) {
    rays.n_returns += cast_column(s, column, rays.n_columns, &rays);
    if (verb && column % 256 == 0) {
      cli_progress(verb, "simulating, %d %%", (int)(100 * column / rays.n_columns));
    }
  }
  CLI_TRY(make_cloud(context, &rays, out), done);
done:
  if (verb) cli_progress_end();
  lat_array_release(points);
  lat_array_release(intensity);
  lat_array_release(label);
  return status;
}

lat_status simulate_street_sweep(lat_context *context, uint64_t seed, int64_t n_points, int32_t sweep_index,
                                 const char *verb, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *shapes = NULL, *indices = NULL;
  scanner s = {.seed = seed + (uint64_t)sweep_index * 0x9e3779b97f4a7c15u}; // every sweep has noise of its own
  *out = NULL;
  if (n_points < 1 || n_points > STREET_MOST_POINTS) {
    return lat_fail(LAT_STATUS_OVERFLOW, "simulate_street: n_points: got %lld, expected 1 to %d", (long long)n_points,
                    STREET_MOST_POINTS);
  }
  CLI_TRY(new_bytes(context, STREET_MOST_SHAPES, sizeof *s.scene.shapes, &shapes), done);
  CLI_TRY(new_bytes(context, STREET_MOST_SHAPES, sizeof *s.indices, &indices), done);
  s.scene.shapes = lat_array_data(shapes);
  s.indices = lat_array_data(indices);
  street_build(seed, &s.scene);
  street_move(&s.scene, (double)sweep_index);
  aim_beams(&s);
  CLI_TRY(scan(context, &s, n_points, verb, out), done);
done:
  lat_array_release(shapes);
  lat_array_release(indices);
  return status;
}

lat_status simulate_street(lat_context *context, uint64_t seed, int64_t n_points, const char *verb, lat_cloud **out) {
  return simulate_street_sweep(context, seed, n_points, 0, verb, out);
}
