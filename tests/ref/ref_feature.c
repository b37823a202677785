// Sums go through long double: the reference must not be the one that is off.
#include "ref/ref_feature.h"

#include <math.h>
#include <stdlib.h>

double ref_relu(double x) {
  return isnan(x) || x > 0 ? x : 0.0;
}

double ref_gelu(double x, int form) {
  if (isnan(x)) return x;
  if (isinf(x)) return x > 0 ? x : -0.0;
  if (form == 0) return 0.5 * x * erfc(-x / sqrt(2.0)); // 1 + erf(z) = erfc(-z), without cancellation
  if (form == 2) return x / (1.0 + exp(-1.702 * x));
  double u = sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x);
  return x / (1.0 + exp(-2.0 * u)); // 0.5 (1 + tanh u) = 1 / (1 + exp(-2 u))
}

static double scaled(const ref_norm *norm, int64_t c, double value) {
  return value * (norm->weight ? norm->weight[c] : 1.0) + (norm->bias ? norm->bias[c] : 0.0);
}

/// Mean and population variance of n elements that are `step` apart.
static void moments(const double *x, int64_t n, int64_t step, double *mean, double *var) {
  long double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i * step];
  long double m = sum / n;
  for (int64_t i = 0; i < n; i++) squares += (x[i * step] - m) * (x[i * step] - m);
  *mean = (double)m;
  *var = (double)(squares / n);
}

void ref_batch_norm(const ref_norm *norm, const double *x, double *y) {
  for (int64_t c = 0; c < norm->channels; c++) {
    double mean = 0, var = 0;
    moments(x + c, norm->n_rows, norm->channels, &mean, &var);
    if (norm->mean) mean = norm->mean[c];
    if (norm->var) var = norm->var[c];
    for (int64_t r = 0; r < norm->n_rows; r++) {
      y[r * norm->channels + c] = scaled(norm, c, (x[r * norm->channels + c] - mean) / sqrt(var + norm->eps));
    }
  }
}

void ref_layer_norm(const ref_norm *norm, const double *x, double *y) {
  for (int64_t r = 0; r < norm->n_rows; r++) {
    const double *row = x + r * norm->channels;
    double mean = 0, var = 0;
    moments(row, norm->channels, 1, &mean, &var);
    for (int64_t c = 0; c < norm->channels; c++) {
      y[r * norm->channels + c] = scaled(norm, c, (row[c] - mean) / sqrt(var + norm->eps));
    }
  }
}

void ref_rms_norm(const ref_norm *norm, const double *x, double *y) {
  for (int64_t r = 0; r < norm->n_rows; r++) {
    const double *row = x + r * norm->channels;
    long double squares = 0;
    for (int64_t c = 0; c < norm->channels; c++) squares += (long double)row[c] * row[c];
    double root = sqrt((double)(squares / norm->channels) + norm->eps);
    for (int64_t c = 0; c < norm->channels; c++) y[r * norm->channels + c] = scaled(norm, c, row[c] / root);
  }
}

static double logistic(double x) {
  return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/// log(1 + exp(s)) without overflow.
static double log_one_plus_exp(double s) {
  return s > 0 ? s + log1p(exp(-s)) : log1p(exp(s));
}

double ref_activation_value(const ref_activation *activation, double x) {
  if (isnan(x)) return x;
  switch (activation->kind) {
  case 0:
    return ref_relu(x);
  case 1:
    return logistic(x);
  case 2:
    return x < -1000 ? -0.0 : x * logistic(x);
  case 3:
    return tanh(x);
  case 4:
    return x >= 0 ? x : x * activation->alpha;
  case 5:
  case 6:
  case 7:
    return ref_gelu(x, activation->kind - 5);
  case 8:
    return x * activation->beta > activation->threshold ? x : log_one_plus_exp(x * activation->beta) / activation->beta;
  default:
    return exp(x);
  }
}

/// d/dx of x logistic(y(x)) with y' = slope.
static double gated_slope(double x, double y, double slope) {
  return logistic(y) + x * slope * logistic(y) * logistic(-y);
}

double ref_activation_slope(const ref_activation *activation, double x) {
  const double pi = 3.14159265358979323846;
  if (isnan(x)) return x;
  if (activation->kind != 9) x = fmax(-1000, fmin(1000, x)); // every other slope is level there
  double c = 2 * sqrt(2 / pi), one = 1 / cosh(fmin(fabs(x), 300));
  switch (activation->kind) {
  case 0:
    return x > 0;
  case 1:
    return logistic(x) * logistic(-x);
  case 2:
    return gated_slope(x, x, 1);
  case 3:
    return one * one;
  case 4:
    return x >= 0 ? 1 : activation->alpha;
  case 5:
    return 0.5 * erfc(-x / sqrt(2.0)) + x * exp(-0.5 * x * x) / sqrt(2 * pi);
  case 6:
    return gated_slope(x, c * (x + 0.044715 * x * x * x), c * (1 + 3 * 0.044715 * x * x));
  case 7:
    return gated_slope(x, 1.702 * x, 1.702);
  case 8:
    return x * activation->beta > activation->threshold ? 1 : logistic(x * activation->beta);
  default:
    return exp(x);
  }
}

void ref_softmax(const double *x, int64_t n_rows, int64_t channels, double *y) {
  for (int64_t r = 0; r < n_rows; r++) {
    const double *row = x + r * channels;
    double most = -INFINITY;
    long double sum = 0;
    for (int64_t c = 0; c < channels; c++) most = fmax(most, row[c]);
    for (int64_t c = 0; c < channels; c++) sum += expl((long double)row[c] - most);
    for (int64_t c = 0; c < channels; c++) y[r * channels + c] = (double)(expl((long double)row[c] - most) / sum);
  }
}

void ref_softmax_grad(const double *x, const double *dy, int64_t n_rows, int64_t channels, double *dx) {
  ref_softmax(x, n_rows, channels, dx);
  for (int64_t r = 0; r < n_rows; r++) {
    long double dot = 0;
    for (int64_t c = r * channels; c < (r + 1) * channels; c++) dot += dy[c] * dx[c];
    for (int64_t c = r * channels; c < (r + 1) * channels; c++) dx[c] = dx[c] * (dy[c] - (double)dot);
  }
}

void ref_group_norm(const ref_norm *norm, const int32_t *rows, int64_t groups, const double *x, double *y) {
  int64_t width = norm->channels / groups, n_items = 0;
  double *values = malloc(((size_t)(norm->n_rows * width) + 1) * sizeof *values);
  for (int64_t r = 0; r < norm->n_rows; r++) n_items = rows[4 * r] >= n_items ? rows[4 * r] + 1 : n_items;
  for (int64_t item = 0; item < n_items; item++) {
    for (int64_t first = 0; first < norm->channels; first += width) {
      int64_t n = 0;
      double mean = 0, var = 0;
      for (int64_t i = 0; i < norm->n_rows * norm->channels; i++) {
        int64_t c = i % norm->channels;
        if (rows[4 * (i / norm->channels)] == item && c >= first && c < first + width) values[n++] = x[i];
      }
      if (n == 0) continue;
      moments(values, n, 1, &mean, &var);
      for (int64_t i = 0; i < norm->n_rows * norm->channels; i++) {
        int64_t c = i % norm->channels;
        if (rows[4 * (i / norm->channels)] != item || c < first || c >= first + width) continue;
        y[i] = scaled(norm, c, (x[i] - mean) / sqrt(var + norm->eps));
      }
    }
  }
  free(values);
}
