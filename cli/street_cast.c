/// Rays against the scene. Every shape is convex, so a ray is inside it on one interval; the nearest entry wins. Foliage
/// lets light in for a random way, windows swallow it or give it back from behind the front, and weak returns (dark, far,
/// grazing) are lost, as on real scanners.
#include "street_scene.h"

/// Streams of the generator for rays; the layout uses small numbers.
enum { STREAM_RAY = 1000, STREAM_SHAPE = 2000 };

static const double far_away = 1e9;

/// The part of a ray inside a shape, and how squarely it enters (cosine of the angle of incidence).
typedef struct span {
  double enter, leave, incidence;
} span;

void street_turn(double turns, double *cosine, double *sine) {
  double quarter = floor(4.0 * turns + 0.5);
  double a = (turns - 0.25 * quarter) * 6.283185307179586, b = a * a; // |a| <= pi/4
  double s =
      a * (1.0 + b * (-1.0 / 6 +
                      b * (1.0 / 120 +
                           b * (-1.0 / 5040 + b * (1.0 / 362880 + b * (-1.0 / 39916800 + b * (1.0 / 6227020800.0)))))));
  double c =
      1.0 + b * (-0.5 + b * (1.0 / 24 +
                             b * (-1.0 / 720 + b * (1.0 / 40320 + b * (-1.0 / 3628800 + b * (1.0 / 479001600.0))))));
  switch ((int)(quarter - 4.0 * floor(0.25 * quarter))) {
  case 0:
    *cosine = c, *sine = s;
    break;
  case 1:
    *cosine = -s, *sine = c;
    break;
  case 2:
    *cosine = -c, *sine = -s;
    break;
  default:
    *cosine = s, *sine = -c;
    break;
  }
}

/// Narrows a span to the half space n . p <= offset, for a ray from `o` along `d`.
static void clip(span *part, double no, double nd, double offset) {
  double distance = offset - no;
  if (nd < -1e-12) { // enters
    double t = distance / nd;
    if (t > part->enter) {
      part->enter = t;
      part->incidence = -nd;
    }
  } else if (nd > 1e-12) {
    double t = distance / nd;
    if (t < part->leave) part->leave = t;
  } else if (distance < 0) {
    part->leave = -far_away;
  }
}

static span cross_box(const street_shape *box, street_point o, street_point d) {
  span part = {-far_away, far_away, 1.0};
  clip(&part, o.x, d.x, box->half.x);
  clip(&part, -o.x, -d.x, box->half.x);
  clip(&part, o.y, d.y, box->half.y);
  clip(&part, -o.y, -d.y, box->half.y);
  clip(&part, o.z, d.z, box->half.z);
  clip(&part, -o.z, -d.z, box->half.z);
  for (int i = 0; i < box->n_cuts; i++) {
    const double *n = box->cuts[i];
    clip(&part, n[0] * o.x + n[1] * o.y + n[2] * o.z, n[0] * d.x + n[1] * d.y + n[2] * d.z, n[3]);
  }
  return part;
}

/// The interval on which |o + t d|^2 <= 1, given the three dot products.
static span cross_unit(double oo, double od, double dd) {
  span part = {far_away, -far_away, 1.0};
  double discriminant = od * od - dd * (oo - 1.0);
  if (dd < 1e-12 || discriminant <= 0) return part;
  double root = sqrt(discriminant);
  part.enter = (-od - root) / dd;
  part.leave = (-od + root) / dd;
  part.incidence = root / sqrt(dd); // exact for a sphere, close enough for what it dims
  return part;
}

static span cross_cylinder(const street_shape *post, street_point o, street_point d) {
  double r = 1.0 / post->half.x, x = o.x * r, y = o.y * r, u = d.x * r, v = d.y * r;
  span part = cross_unit(x * x + y * y, x * u + y * v, u * u + v * v);
  clip(&part, o.z, d.z, post->half.z);
  clip(&part, -o.z, -d.z, post->half.z);
  return part;
}

static span cross_ellipsoid(const street_shape *blob, street_point o, street_point d) {
  street_point p = {o.x / blob->half.x, o.y / blob->half.y, o.z / blob->half.z};
  street_point q = {d.x / blob->half.x, d.y / blob->half.y, d.z / blob->half.z};
  return cross_unit(p.x * p.x + p.y * p.y + p.z * p.z, p.x * q.x + p.y * q.y + p.z * q.z,
                    q.x * q.x + q.y * q.y + q.z * q.z);
}

/// A hit before noise and losses.
typedef struct hit {
  double range, incidence, reflectance, glass, roughness;
  street_class label;
} hit;

/// What happens at a facade: bands of wall between windows, which are set back or give nothing.
static void meet_facade(const street_shape *house, street_point local, double u, hit *h) {
  bool on_side = fabs(fabs(local.x) - house->half.x) < fabs(fabs(local.y) - house->half.y);
  double along = on_side ? local.y : local.x, up = local.z + house->half.z - 1.0; // the block starts 1 m deep
  double column = along / 2.9, row = up / 3.1;
  column -= floor(column);
  row -= floor(row);
  bool window = column > 0.3 && column < 0.75 && row > 0.3 && row < 0.82;
  if (!window) return;
  h->range += u < 0.75 ? 0.14 : 0.14 + 4.0 * (u - 0.75);
  h->glass = 0.45;
  h->reflectance *= 0.6;
}

/// Intersects one shape and keeps the hit when it is nearer than `nearest`.
static void meet_shape(const street_scene *scene, uint64_t seed, const street_ray *ray, int index, hit *nearest) {
  const street_shape *shape = &scene->shapes[index];
  street_point d = ray->direction, c = shape->centre;
  // The scanner is the origin, so the ray starts at minus the centre.
  street_point o_local = {-(shape->cos_yaw * c.x + shape->sin_yaw * c.y), shape->sin_yaw * c.x - shape->cos_yaw * c.y,
                          -c.z};
  street_point d_local = {shape->cos_yaw * d.x + shape->sin_yaw * d.y, -shape->sin_yaw * d.x + shape->cos_yaw * d.y,
                          d.z};
  span part = shape->kind == STREET_BOX        ? cross_box(shape, o_local, d_local)
              : shape->kind == STREET_CYLINDER ? cross_cylinder(shape, o_local, d_local)
                                               : cross_ellipsoid(shape, o_local, d_local);
  if (part.enter >= part.leave || part.enter <= 0.5 || part.enter >= nearest->range) return;
  hit h = {part.enter, part.incidence, shape->reflectance, shape->glass, 0.0, shape->label};
  if (shape->free_path > 0 || shape->windows) {
    uint32_t words[4];
    lat_random_block(seed, STREAM_SHAPE + (uint64_t)index, ray->id, words);
    double u = (double)words[0] * 0x1p-32;
    if (shape->free_path > 0) {
      h.range += shape->free_path * u / (1.0 - u); // long tails, median = free_path
      h.incidence = 0.5 + 0.5 * (double)words[1] * 0x1p-32;
      if (h.range >= part.leave) return;
    } else {
      street_point at = {o_local.x + h.range * d_local.x, o_local.y + h.range * d_local.y,
                         o_local.z + h.range * d_local.z};
      meet_facade(shape, at, u, &h);
    }
  }
  if (h.range < nearest->range) *nearest = h;
}

/// First crossing of the ground surface raised by `lift`; far_away when there is none.
static double meet_surface(const street_scene *scene, street_point d, double lift) {
  const double *g = scene->ground;
  double a = g[3] * d.x * d.x + g[4] * d.y * d.y + g[5] * d.x * d.y, b = g[1] * d.x + g[2] * d.y - d.z, c = g[0] + lift;
  double discriminant = b * b - 4.0 * a * c;
  if (discriminant < 0) return far_away;
  double root = sqrt(discriminant), best = far_away;
  // c < 0: the scanner is above. This form of the solution has no cancellation and no division by a.
  double p = -b - root, q = -b + root;
  if (fabs(p) > 1e-12 && 2.0 * c / p > 0 && 2.0 * c / p < best) best = 2.0 * c / p;
  if (fabs(q) > 1e-12 && 2.0 * c / q > 0 && 2.0 * c / q < best) best = 2.0 * c / q;
  return best;
}

/// Paint on the road: edge lines, a dashed middle line, a zebra crossing before the first side street.
static bool painted(const street_scene *scene, double x, double y) {
  double w = street_lateral(scene, x, y), dash = x / 9.0, before = scene->crossings[0].s - x;
  if (before > 5.2 && before < 8.2) {
    double stripe = w - floor(w);
    return fabs(w) < STREET_CURB - 0.4 && stripe < 0.5;
  }
  if (fabs(x - scene->crossings[0].s) < STREET_CURB || fabs(x - scene->crossings[1].s) < STREET_CURB) return false;
  if (fabs(w) < 0.08) return dash - floor(dash) < 0.4;
  return fabs(fabs(w) - STREET_LANE_EDGE) < 0.07;
}

static street_class zone_along(const street_scene *scene, street_point d, double t) {
  return street_zone(scene, t * d.x, t * d.y);
}

/// The ground: sidewalk and terrain lie a curb higher than the road; between them stands the curb's face.
static void meet_ground(const street_scene *scene, street_point d, hit *nearest) {
  double upper = meet_surface(scene, d, STREET_CURB_HEIGHT), lower = meet_surface(scene, d, 0.0);
  if (upper >= nearest->range) return;
  street_class zone = zone_along(scene, d, upper);
  double t = upper, incidence = fabs(d.z);
  if (zone == STREET_ROAD) {
    if (lower >= STREET_RANGE) return;
    t = lower;
    if (zone_along(scene, d, lower) != STREET_ROAD) { // went through the curb's face on the way down
      double on_road = upper;
      for (int i = 0; i < 24; i++) {
        double middle = 0.5 * (on_road + t);
        if (zone_along(scene, d, middle) == STREET_ROAD) {
          on_road = middle;
        } else {
          t = middle;
        }
      }
      zone = STREET_SIDEWALK;
      incidence = 0.6;
    }
  }
  if (t >= nearest->range) return;
  double reflectance = zone == STREET_ROAD ? 0.17 : zone == STREET_SIDEWALK ? 0.28 : 0.38;
  if (zone == STREET_ROAD && painted(scene, t * d.x, t * d.y)) reflectance = 0.6;
  hit ground = {t, incidence, reflectance, 0.0, zone == STREET_TERRAIN ? 0.04 : 0.0, zone};
  *nearest = ground;
}

int street_gather(const street_scene *scene, double cosine, double sine, int *indices) {
  int n = 0;
  for (int i = 0; i < scene->n_shapes; i++) {
    const street_shape *shape = &scene->shapes[i];
    double ahead = cosine * shape->centre.x + sine * shape->centre.y;
    double aside = cosine * shape->centre.y - sine * shape->centre.x;
    if (ahead > -shape->bound && fabs(aside) < shape->bound) indices[n++] = i;
  }
  return n;
}

street_return street_cast(const street_scene *scene, uint64_t seed, const street_ray *ray, const int *indices, int n) {
  hit nearest = {.range = STREET_RANGE, .label = STREET_UNLABELLED};
  street_return nothing = {0.0, 0.0, STREET_UNLABELLED};
  meet_ground(scene, ray->direction, &nearest);
  for (int i = 0; i < n; i++) meet_shape(scene, seed, ray, indices[i], &nearest);
  if (nearest.label == STREET_UNLABELLED) return nothing;
  uint32_t words[4];
  lat_random_block(seed, STREAM_RAY, ray->id, words);
  double u = (double)words[0] * 0x1p-32, v = (double)words[1] * 0x1p-32;
  double signal = nearest.reflectance * (0.15 + 0.85 * nearest.incidence);
  double attenuation = 115.0 / (nearest.range + 12.0);
  if (signal * attenuation * attenuation < 0.02 + 0.07 * u || v < 0.012 || v > 1.0 - nearest.glass) return nothing;
  // A sum of four uniform numbers is near enough to normal: standard deviation sqrt(1/3).
  double bell = ((double)(words[2] & 0xffff) + (double)(words[2] >> 16) + (double)(words[3] & 0xffff) +
                 (double)(words[3] >> 16)) *
                    0x1p-16 -
                2.0;
  street_return result;
  result.range = nearest.range + bell * (0.03 + nearest.roughness);
  result.intensity = signal + 0.06 * (u - 0.5);
  result.intensity = result.intensity < 0.0 ? 0.0 : result.intensity > 1.0 ? 1.0 : result.intensity;
  result.label = nearest.label;
  return result;
}
