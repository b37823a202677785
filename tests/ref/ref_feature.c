// Sums go through long double: the reference must not be the one that is off.
#include "ref/ref_feature.h"

#include <math.h>

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
