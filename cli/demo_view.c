/// Colours by principal components: the projection to three channels that keeps most of what tells features apart. Means
/// and covariance come from a sample of the points; power iteration is plenty for three directions.
#include "demo_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MOST_SAMPLES = 4096, N_ITERATIONS = 100, N_COLOURS = 3 };

static lat_status new_f64(lat_context *context, int64_t n, lat_array **out) {
  return lat_array_full(context, LAT_DTYPE_F64, 1, &n, 0.0, out);
}

/// A sample of the rows: every `step`-th.
typedef struct sample {
  const float *features;
  int64_t n_rows, n_channels, step, n;
} sample;

static sample take_sample(const lat_array_view *features) {
  sample s = {features->data, features->shape[0], features->shape[1], 1, 0};
  s.step = s.n_rows / MOST_SAMPLES + 1;
  s.n = (s.n_rows + s.step - 1) / s.step;
  return s;
}

/// Covariance of the sampled rows, `(C, C)`; `mean` has C entries.
static void compute_covariance(const sample *s, double *mean, double *covariance) {
  int64_t c = s->n_channels;
  for (int64_t i = 0; i < s->n; i++) {
    for (int64_t a = 0; a < c; a++) mean[a] += (double)s->features[i * s->step * c + a] / (double)s->n;
  }
  for (int64_t i = 0; i < s->n; i++) {
    const float *row = s->features + i * s->step * c;
    for (int64_t a = 0; a < c; a++) {
      double centred = (double)row[a] - mean[a];
      for (int64_t b = 0; b <= a; b++) covariance[a * c + b] += centred * ((double)row[b] - mean[b]);
    }
  }
  for (int64_t a = 0; a < c; a++) {
    for (int64_t b = 0; b < a; b++) covariance[b * c + a] = covariance[a * c + b];
  }
}

/// Makes `v` orthogonal to the `n` directions before it and of length 1; false when nothing is left of it.
static bool orthonormalize(double *v, const double *before, int n, int64_t c) {
  for (int k = 0; k < n; k++) {
    double dot = 0.0;
    for (int64_t a = 0; a < c; a++) dot += v[a] * before[k * c + a];
    for (int64_t a = 0; a < c; a++) v[a] -= dot * before[k * c + a];
  }
  double norm = 0.0;
  for (int64_t a = 0; a < c; a++) norm += v[a] * v[a];
  if (!(norm > 1e-24)) return false;
  for (int64_t a = 0; a < c; a++) v[a] /= sqrt(norm);
  return true;
}

/// The first three eigenvectors, rows of `directions`; a direction that the data lacks stays 0. `next` has C entries.
static void find_directions(const double *covariance, int64_t c, double *directions, double *next) {
  for (int k = 0; k < N_COLOURS; k++) {
    double *v = directions + k * c;
    for (int64_t a = 0; a < c; a++) v[a] = 1.0 + (double)((a * 7 + k * 3) % 11); // any start that is not special
    bool found = orthonormalize(v, directions, k, c);
    for (int i = 0; i < N_ITERATIONS && found; i++) {
      for (int64_t a = 0; a < c; a++) {
        next[a] = 0.0;
        for (int64_t b = 0; b < c; b++) next[a] += covariance[a * c + b] * v[b];
      }
      memcpy(v, next, (size_t)c * sizeof *v);
      found = orthonormalize(v, directions, k, c);
    }
    if (!found) memset(v, 0, (size_t)c * sizeof *v);
  }
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/// Value below which the share `p` of the sorted values lies.
static double percentile(const double *sorted, int64_t n, double p) {
  return sorted[(int64_t)(p * (double)(n - 1) + 0.5)];
}

/// Share of the sorted values below `value`: spreads crowded values over the whole range.
static double rank_of(const double *sorted, int64_t n, double value) {
  int64_t low = 0, high = n;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (sorted[middle] < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return (double)low / (double)n;
}

/// Projects every row on direction `k` and writes it as colour channel `k`. `values` and `sorted` have N entries.
static void paint_channel(const sample *s, const double *mean, const double *direction, int k, double *values,
                          double *sorted, uint8_t *colours) {
  int64_t c = s->n_channels;
  for (int64_t i = 0; i < s->n_rows; i++) {
    values[i] = 0.0;
    for (int64_t a = 0; a < c; a++) values[i] += ((double)s->features[i * c + a] - mean[a]) * direction[a];
  }
  memcpy(sorted, values, (size_t)s->n_rows * sizeof *sorted);
  qsort(sorted, (size_t)s->n_rows, sizeof *sorted, compare_doubles);
  for (int64_t i = 0; i < s->n_rows; i++) {
    double share = rank_of(sorted, s->n_rows, values[i]);
    colours[i * N_COLOURS + k] = (uint8_t)(45.5 + 209.0 * share); // never as dark as the background
  }
}

lat_status demo_colour_features(lat_context *context, const lat_array_view *features, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *mean = NULL, *covariance = NULL, *directions = NULL, *next = NULL, *values = NULL, *sorted = NULL;
  sample s = take_sample(features);
  int64_t c = s.n_channels, shape[2] = {s.n_rows, N_COLOURS};
  CLI_TRY(new_f64(context, c, &mean), done);
  CLI_TRY(new_f64(context, c * c, &covariance), done);
  CLI_TRY(new_f64(context, c * N_COLOURS, &directions), done);
  CLI_TRY(new_f64(context, c, &next), done);
  CLI_TRY(new_f64(context, s.n_rows, &values), done);
  CLI_TRY(new_f64(context, s.n_rows, &sorted), done);
  CLI_TRY(lat_array_full(context, LAT_DTYPE_U8, 2, shape, 0.0, out), done);
  if (s.n_rows == 0) goto done;
  compute_covariance(&s, lat_array_data(mean), lat_array_data(covariance));
  find_directions(lat_array_data(covariance), c, lat_array_data(directions), lat_array_data(next));
  for (int k = 0; k < N_COLOURS; k++) {
    paint_channel(&s, lat_array_data(mean), (double *)lat_array_data(directions) + k * c, k, lat_array_data(values),
                  lat_array_data(sorted), lat_array_data(*out));
  }
done:
  lat_array_release(mean);
  lat_array_release(covariance);
  lat_array_release(directions);
  lat_array_release(next);
  lat_array_release(values);
  lat_array_release(sorted);
  return status;
}

// --- the picture ----------------------------------------------------------------------------------------------------

/// The part of the ground that the picture shows, and its scale.
typedef struct frame {
  double left, top;
  double pixels_per_unit;
  int64_t width, height;
} frame;

/// Range of coordinate `axis` between its 1st and 99th percentile, with a margin. `sorted` has N entries.
static void find_range(const lat_array_view *positions, int axis, double *sorted, double range[2]) {
  int64_t n = positions->shape[0];
  for (int64_t i = 0; i < n; i++) sorted[i] = cli_value(positions, i * 3 + axis);
  qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
  double low = percentile(sorted, n, 0.01), high = percentile(sorted, n, 0.99), margin = 0.06 * (high - low);
  range[0] = low - margin;
  range[1] = high + margin;
}

static frame choose_frame(const double x[2], const double y[2], int64_t width) {
  double across = x[1] - x[0] > 1e-9 ? x[1] - x[0] : 1.0, up = y[1] - y[0];
  frame f = {x[0], y[1], (double)width / across, width, (int64_t)(up / across * (double)width)};
  int64_t lowest = width / 2, highest = width;
  if (f.height > highest) { // a tall scene: fit its height and centre it
    f.height = highest;
    f.pixels_per_unit = (double)highest / up;
    f.left -= 0.5 * ((double)width / f.pixels_per_unit - across);
  } else if (f.height < lowest) {
    f.top += 0.5 * ((double)(lowest - f.height) / f.pixels_per_unit);
    f.height = lowest;
  }
  return f;
}

/// Points of sparse scans are drawn larger, so that surfaces close.
static int64_t choose_point_size(const frame *f, int64_t n_points) {
  double spacing = sqrt((double)(f->width * f->height) / (double)(n_points > 0 ? n_points : 1));
  return spacing < 3.0 ? 2 : spacing > 10.0 ? 7 : (int64_t)(0.7 * spacing);
}

static void fill_background(const frame *f, uint8_t *pixels) {
  static const uint8_t ground[3] = {12, 15, 22};
  for (int64_t i = 0; i < f->width * f->height * 3; i++) pixels[i] = ground[i % 3];
}

/// Draws a point as a square of `size` pixels where nothing higher is drawn yet.
static void draw_point(const frame *f, const double p[3], const uint8_t *colour, int64_t size, float *tops,
                       uint8_t *pixels) {
  double column = (p[0] - f->left) * f->pixels_per_unit, row = (f->top - p[1]) * f->pixels_per_unit;
  if (!(column >= 0 && row >= 0 && column < (double)f->width && row < (double)f->height)) return;
  for (int64_t y = (int64_t)row; y < (int64_t)row + size && y < f->height; y++) {
    for (int64_t x = (int64_t)column; x < (int64_t)column + size && x < f->width; x++) {
      int64_t pixel = y * f->width + x;
      if (tops[pixel] > (float)p[2]) continue;
      tops[pixel] = (float)p[2];
      memcpy(pixels + pixel * 3, colour, 3);
    }
  }
}

lat_status demo_draw_view(lat_context *context, const lat_array_view *positions, const lat_array_view *colours,
                          int64_t width, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *sorted = NULL, *tops = NULL;
  int64_t n = positions->shape[0];
  double x[2] = {0, 1}, y[2] = {0, 1};
  CLI_TRY(new_f64(context, n, &sorted), done);
  if (n) {
    find_range(positions, 0, lat_array_data(sorted), x);
    find_range(positions, 1, lat_array_data(sorted), y);
  }
  frame f = choose_frame(x, y, width);
  int64_t shape[3] = {f.height, f.width, 3}, size = choose_point_size(&f, n);
  CLI_TRY(lat_array_full(context, LAT_DTYPE_F32, 2, shape, -INFINITY, &tops), done);
  CLI_TRY(lat_array_full(context, LAT_DTYPE_U8, 3, shape, 0.0, out), done);
  fill_background(&f, lat_array_data(*out));
  for (int64_t i = 0; i < n; i++) {
    double p[3] = {cli_value(positions, i * 3), cli_value(positions, i * 3 + 1), cli_value(positions, i * 3 + 2)};
    draw_point(&f, p, (const uint8_t *)colours->data + i * 3, size, lat_array_data(tops), lat_array_data(*out));
  }
done:
  lat_array_release(sorted);
  lat_array_release(tops);
  return status;
}
