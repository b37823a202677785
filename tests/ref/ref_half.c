// binary16 rounding from its definition.
#include "ref/ref_half.h"

#include <math.h>

double ref_half_round(double value) {
  if (isnan(value) || isinf(value) || value == 0.0) return value;
  int exponent = ilogb(value);
  if (exponent < -14) exponent = -14; // subnormal: the spacing stops shrinking
  double spacing = ldexp(1.0, exponent - 10);
  double rounded = rint(value / spacing) * spacing;
  return fabs(rounded) > 65504.0 ? copysign(INFINITY, value) : rounded;
}
