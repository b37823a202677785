/// Activations and norms in double, from their formulas.
#ifndef LAT_REF_FEATURE_H
#define LAT_REF_FEATURE_H

#include <stdint.h>

double ref_relu(double x);

/// form 0: 0.5 x (1 + erf(x / sqrt 2)); 1: the tanh form; 2: x sigmoid(1.702 x). Limits at the infinities.
double ref_gelu(double x, int form);

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

#endif
