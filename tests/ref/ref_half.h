/// binary16 rounding from its definition: a multiple of a power of two, found with double arithmetic.
#ifndef LAT_REF_HALF_H
#define LAT_REF_HALF_H

/// Nearest binary16 value, ties to even; beyond 65520 infinity.
double ref_half_round(double value);

#endif
