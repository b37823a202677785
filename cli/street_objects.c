/// How the things of a street are made of boxes, cylinders and ellipsoids. Sizes are in metres, of common things.
///
/// C leaves open in which order arguments and initialisers are evaluated, so here and in street_scene.c an expression
/// draws at most one random number: otherwise compilers would build different streets.
#include <string.h>

#include "street_scene.h"

street_shape *street_add(street_scene *scene, street_kind kind, street_class label, const street_pose *pose,
                         street_point local, street_point half) {
  if (scene->n_shapes == STREET_MOST_SHAPES) scene->n_shapes--;
  street_shape *shape = &scene->shapes[scene->n_shapes++];
  memset(shape, 0, sizeof *shape);
  shape->kind = kind;
  shape->label = label;
  shape->centre.x = pose->at.x + pose->cos_yaw * local.x - pose->sin_yaw * local.y;
  shape->centre.y = pose->at.y + pose->sin_yaw * local.x + pose->cos_yaw * local.y;
  shape->centre.z = pose->at.z + local.z;
  shape->cos_yaw = pose->cos_yaw;
  shape->sin_yaw = pose->sin_yaw;
  shape->half = half;
  shape->bound = sqrt(half.x * half.x + half.y * half.y);
  shape->reflectance = 0.3;
  return shape;
}

void street_cut(street_shape *box, double nx, double ny, double nz, double offset) {
  double norm = sqrt(nx * nx + ny * ny + nz * nz);
  double *cut = box->cuts[box->n_cuts++];
  cut[0] = nx / norm;
  cut[1] = ny / norm;
  cut[2] = nz / norm;
  cut[3] = offset / norm;
}

/// A box given by its middle on the ground, its extent and the heights of its bottom and top.
static street_shape *add_block(street_scene *scene, street_class label, const street_pose *pose, double x, double y,
                               double length, double width, double bottom, double top) {
  street_point local = {x, y, 0.5 * (bottom + top)}, half = {0.5 * length, 0.5 * width, 0.5 * (top - bottom)};
  return street_add(scene, STREET_BOX, label, pose, local, half);
}

static street_shape *add_post(street_scene *scene, street_class label, const street_pose *pose, double x, double y,
                              double radius, double bottom, double top) {
  street_point local = {x, y, 0.5 * (bottom + top)}, half = {radius, radius, 0.5 * (top - bottom)};
  return street_add(scene, STREET_CYLINDER, label, pose, local, half);
}

static street_shape *add_blob(street_scene *scene, street_class label, const street_pose *pose, street_point at,
                              double rx, double ry, double rz) {
  street_point half = {rx, ry, rz};
  return street_add(scene, STREET_ELLIPSOID, label, pose, at, half);
}

/// Slopes the front and back of a box: the top is shorter by `front` and `back`, the sides lean in by `side`.
static void lean(street_shape *box, double front, double back, double side) {
  double h = 2.0 * box->half.z;
  // A plane through the bottom edge at half.x that has moved in by `front` at the top.
  if (front > 0) street_cut(box, h, 0, front, h * box->half.x - front * box->half.z);
  if (back > 0) street_cut(box, -h, 0, back, h * box->half.x - back * box->half.z);
  if (side > 0) {
    street_cut(box, 0, h, side, h * box->half.y - side * box->half.z);
    street_cut(box, 0, -h, side, h * box->half.y - side * box->half.z);
  }
}

static void add_car(street_scene *scene, street_rng *rng, const street_pose *pose) {
  double length = street_between(rng, 3.7, 4.7), width = street_between(rng, 1.68, 1.86);
  double top = street_between(rng, 1.42, 1.62), belt = 0.6 * top, paint = street_between(rng, 0.12, 0.65);
  bool estate = street_uniform(rng) < 0.5;
  street_shape *part = add_block(scene, STREET_VEHICLE, pose, 0, 0, 0.94 * length, 0.92 * width, 0.06, 0.34);
  part->reflectance = 0.08; // tyres and what is between them
  part = add_block(scene, STREET_VEHICLE, pose, 0, 0, length, width, 0.32, belt);
  part->reflectance = paint;
  lean(part, 0.12, 0.06, 0.05);
  double cabin = estate ? 0.68 * length : 0.56 * length, middle = estate ? -0.13 * length : -0.06 * length;
  part = add_block(scene, STREET_VEHICLE, pose, middle, 0, cabin, 0.94 * width, belt, top);
  part->reflectance = 0.7 * paint;
  part->glass = 0.4;
  lean(part, 0.55, estate ? 0.2 : 0.45, 0.16);
}

static void add_van(street_scene *scene, street_rng *rng, const street_pose *pose) {
  double length = street_between(rng, 4.8, 6.0), top = street_between(rng, 1.95, 2.6);
  street_shape *part = add_block(scene, STREET_VEHICLE, pose, 0, 0, 0.95 * length, 1.85, 0.06, 0.4);
  part->reflectance = 0.08;
  part = add_block(scene, STREET_VEHICLE, pose, 0, 0, length, 2.0, 0.36, 1.1);
  part->reflectance = street_between(rng, 0.3, 0.75);
  double paint = part->reflectance;
  part = add_block(scene, STREET_VEHICLE, pose, -0.3, 0, length - 0.6, 1.96, 1.1, top);
  part->reflectance = paint;
  part->glass = 0.1;
  lean(part, 0.7, 0.05, 0.1);
}

static void add_truck(street_scene *scene, street_rng *rng, const street_pose *pose) {
  double length = street_between(rng, 4.5, 6.5);
  street_shape *part = add_block(scene, STREET_VEHICLE, pose, -0.5, 0, length + 1.8, 2.1, 0.35, 0.9);
  part->reflectance = 0.1;
  part = add_block(scene, STREET_VEHICLE, pose, 0.5 * length + 0.7, 0, 1.9, 2.25, 0.6, 2.6);
  part->reflectance = street_between(rng, 0.2, 0.6);
  part->glass = 0.15;
  lean(part, 0.25, 0, 0.05);
  part = add_block(scene, STREET_VEHICLE, pose, -0.6, 0, length, 2.4, 0.9, street_between(rng, 2.9, 3.5));
  part->reflectance = street_between(rng, 0.4, 0.8);
}

void street_add_vehicle(street_scene *scene, street_rng *rng, const street_pose *pose) {
  double kind = street_uniform(rng);
  if (kind < 0.82) {
    add_car(scene, rng, pose);
  } else if (kind < 0.95) {
    add_van(scene, rng, pose);
  } else {
    add_truck(scene, rng, pose);
  }
}

void street_add_tree(street_scene *scene, street_rng *rng, const street_pose *pose) {
  double trunk = street_between(rng, 1.5, 2.9), size = street_between(rng, 1.5, 2.7);
  street_shape *part =
      add_post(scene, STREET_VEGETATION, pose, 0, 0, street_between(rng, 0.11, 0.24), -0.1, trunk + 0.5 * size);
  part->reflectance = 0.25;
  int n_blobs = 3 + (int)(3.0 * street_uniform(rng));
  for (int i = 0; i < n_blobs; i++) {
    street_point at;
    at.x = size * street_between(rng, -0.6, 0.6);
    at.y = size * street_between(rng, -0.6, 0.6);
    at.z = trunk + size * street_between(rng, 0.5, 1.5);
    double radius = size * street_between(rng, 0.55, 0.9);
    part = add_blob(scene, STREET_VEGETATION, pose, at, radius, radius, radius * street_between(rng, 0.7, 1.0));
    part->reflectance = street_between(rng, 0.35, 0.55);
    part->free_path = 0.7;
  }
}

void street_add_bush(street_scene *scene, street_rng *rng, const street_pose *pose) {
  int n_blobs = 2 + (int)(3.0 * street_uniform(rng));
  for (int i = 0; i < n_blobs; i++) {
    double radius = street_between(rng, 0.4, 0.95);
    street_point at = {street_between(rng, -0.8, 0.8), 0.0, 0.6 * radius};
    at.y = street_between(rng, -0.6, 0.6);
    street_shape *part = add_blob(scene, STREET_VEGETATION, pose, at, radius, radius, 0.9 * radius);
    part->reflectance = street_between(rng, 0.35, 0.55);
    part->free_path = 0.2;
  }
}

void street_add_person(street_scene *scene, street_rng *rng, const street_pose *pose) {
  double height = street_between(rng, 1.5, 1.9), stride = street_between(rng, 0.0, 0.22);
  double cloth = street_between(rng, 0.15, 0.6);
  for (int leg = -1; leg <= 1; leg += 2) {
    street_shape *part = add_post(scene, STREET_PERSON, pose, leg * stride, leg * 0.1, 0.08, 0.0, 0.5 * height);
    part->reflectance = 0.8 * cloth;
  }
  street_point chest = {0, 0, 0.66 * height}, head = {0.02, 0, 0.93 * height};
  add_blob(scene, STREET_PERSON, pose, chest, 0.16, 0.25, 0.21 * height)->reflectance = cloth;
  add_blob(scene, STREET_PERSON, pose, head, 0.1, 0.09, 0.07 * height)->reflectance = 0.4;
  for (int arm = -1; arm <= 1; arm += 2) {
    street_point at = {-arm * 0.5 * stride, arm * 0.27, 0.62 * height};
    add_blob(scene, STREET_PERSON, pose, at, 0.07, 0.06, 0.17 * height)->reflectance = cloth;
  }
}

void street_add_lamp(street_scene *scene, street_rng *rng, const street_pose *pose) {
  double height = street_between(rng, 5.5, 8.0);
  add_post(scene, STREET_POLE, pose, 0, 0, street_between(rng, 0.07, 0.11), -0.1, height)->reflectance = 0.5;
  add_post(scene, STREET_POLE, pose, 0, 0, 0.14, -0.1, 0.9)->reflectance = 0.45;
  add_block(scene, STREET_POLE, pose, 0, 0.8, 0.18, 1.6, height - 0.15, height)->reflectance = 0.5;
}

void street_add_sign(street_scene *scene, street_rng *rng, const street_pose *pose) {
  double height = street_between(rng, 2.2, 2.9);
  add_post(scene, STREET_POLE, pose, 0, 0, 0.04, -0.1, height)->reflectance = 0.55;
  add_block(scene, STREET_POLE, pose, -0.06, 0, 0.03, street_between(rng, 0.5, 0.75), height - 0.65, height)
      ->reflectance = 0.95; // retro-reflecting sheet
}

void street_add_building(street_scene *scene, street_rng *rng, const street_pose *pose, double width, double inward) {
  double depth = street_between(rng, 8.5, 13.0), height = street_between(rng, 6.5, 17.0);
  double stone = street_between(rng, 0.25, 0.55);
  street_shape *house = add_block(scene, STREET_BUILDING, pose, 0, 0.5 * inward * depth, width, depth, -1.0, height);
  house->reflectance = stone;
  house->windows = true;
  if (street_uniform(rng) < 0.6) { // a porch or an oriel
    double x = street_between(rng, -0.3, 0.3) * width;
    double across = street_between(rng, 1.6, 3.2), top = street_uniform(rng) < 0.5 ? 2.6 : height;
    add_block(scene, STREET_BUILDING, pose, x, -0.35 * inward, across, 0.9, -0.5, top)->reflectance = 0.9 * stone;
  }
  if (street_uniform(rng) < 0.7) { // steps
    double x = street_between(rng, -0.35, 0.35) * width;
    add_block(scene, STREET_BUILDING, pose, x, -0.3 * inward, 1.4, 0.8, -0.3, 0.35)->reflectance = stone;
  }
}

void street_add_barrier(street_scene *scene, street_rng *rng, const street_pose *pose, double length) {
  double kind = street_uniform(rng);
  street_shape *part;
  if (kind < 0.5) {
    double across = street_between(rng, 0.5, 0.9), top = street_between(rng, 0.8, 1.9);
    part = add_block(scene, STREET_VEGETATION, pose, 0, 0, length, across, -0.3, top);
    part->reflectance = 0.45;
    part->free_path = 0.1;
  } else if (kind < 0.8) {
    part = add_block(scene, STREET_FENCE, pose, 0, 0, length, 0.06, -0.3, street_between(rng, 0.9, 1.5));
    part->reflectance = 0.4;
    part->free_path = 0.07; // half of the light goes between the bars
  } else {
    part = add_block(scene, STREET_FENCE, pose, 0, 0, length, 0.25, -0.3, street_between(rng, 0.5, 1.1));
    part->reflectance = 0.35;
  }
}
