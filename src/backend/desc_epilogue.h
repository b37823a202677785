/// What follows the bias of a convolution. Part of desc.h.
#ifndef LATTICE_BACKEND_DESC_EPILOGUE_H
#define LATTICE_BACKEND_DESC_EPILOGUE_H

#include <stdbool.h>

#include <lattice/activation.h>

/// Steps on every row of the result, in the order of the fields. Each computes in float32 and rounds to the result's dtype.
typedef struct lat__epilogue_desc {
  const float *mean, *scale, *shift; ///< (c_out,): y = (y - mean) * scale + shift; all NULL: no such step
  bool adds_residual;                ///< y = y + residual, before the activation or after it
  bool residual_last;
  bool activates;
  lat_activation_kind kind;
  float alpha, beta, threshold;
} lat__epilogue_desc;

/// A weight as the kernels of one device read it, and what else a convolution prepares once: made and read through slots of
/// backend.h.
typedef struct lat__conv_packed lat__conv_packed;

#endif
