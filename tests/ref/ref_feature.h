/// Activations and norms in double, from their formulas.
#ifndef LAT_REF_FEATURE_H
#define LAT_REF_FEATURE_H

#include <stdint.h>

double ref_relu(double x);

/// form 0: 0.5 x (1 + erf(x / sqrt 2)); 1: the tanh form; 2: x sigmoid(1.702 x). Limits at the infinities.
double ref_gelu(double x, int form);

/// Activations by name; `kind` counts relu, sigmoid, silu, tanh, leaky_relu, gelu, gelu_tanh, gelu_fast, softplus, exp.
typedef struct ref_activation {
  int kind;
  double alpha, beta, threshold;
} ref_activation;

/// f(x) and f'(x); limits at the infinities.
double ref_activation_value(const ref_activation *activation, double x);
double ref_activation_slope(const ref_activation *activation, double x);

/// y = softmax of every row of x, both (n_rows, channels).
void ref_softmax(const double *x, int64_t n_rows, int64_t channels, double *y);

/// dx from x and dy.
void ref_softmax_grad(const double *x, const double *dy, int64_t n_rows, int64_t channels, double *dx);

/// Parameters of a norm, `(channels,)` each; NULL: absent.
typedef struct ref_norm {
  int64_t n_rows, channels;
  const double *weight, *bias;
  const double *mean, *var; ///< batch norm only; NULL: of the rows
  double eps;
} ref_norm;

/// y = norm of x, both (n_rows, channels).
void ref_batch_norm(const ref_norm *norm, const double *x, double *y);
void ref_layer_norm(const ref_norm *norm, const double *x, double *y);
void ref_rms_norm(const ref_norm *norm, const double *x, double *y);

/// Group norm per batch item; `rows` (n_rows, 4) starts each row with its batch. groups = channels is instance norm.
void ref_group_norm(const ref_norm *norm, const int32_t *rows, int64_t groups, const double *x, double *y);

#endif
