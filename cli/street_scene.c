/// Lays a street out: two lanes in a slight bend, parked cars, sidewalks with trees and lamps, front gardens, houses, and
/// two side streets.
#include "street_scene.h"

/// Streams of the generator: one for each kind of thing, so that a change to one leaves the others in place.
enum { STREAM_GROUND = 1, STREAM_HOUSES, STREAM_CARS, STREAM_TREES, STREAM_LAMPS, STREAM_PEOPLE, STREAM_GARDENS };

static street_rng open_stream(uint64_t seed, uint64_t stream) {
  street_rng rng = {.seed = seed, .stream = stream};
  return rng;
}

street_class street_zone(const street_scene *scene, double x, double y) {
  double w = street_lateral(scene, x, y), away = fabs(w);
  if (away < STREET_CURB) return STREET_ROAD;
  street_class zone = away < STREET_WALK_EDGE ? STREET_SIDEWALK : STREET_TERRAIN;
  for (int i = 0; i < STREET_CROSSINGS; i++) {
    const street_crossing *crossing = &scene->crossings[i];
    if (crossing->side != 0 && (w > 0) != (crossing->side > 0)) continue;
    double along = fabs(x + scene->ahead - crossing->s);
    if (along < STREET_LANE_EDGE) return STREET_ROAD;
    if (along < STREET_CURB) zone = STREET_SIDEWALK;
  }
  return zone;
}

street_pose street_pose_at(const street_scene *scene, double s, double w) {
  double slope = 2.0 * scene->bend * s, norm = sqrt(1.0 + slope * slope);
  street_pose pose;
  pose.cos_yaw = 1.0 / norm;
  pose.sin_yaw = slope / norm;
  pose.at.x = s - w * pose.sin_yaw;
  pose.at.y = scene->offset + scene->bend * s * s + w * pose.cos_yaw;
  bool raised = street_zone(scene, pose.at.x, pose.at.y) != STREET_ROAD;
  pose.at.z = street_road_height(scene, pose.at.x, pose.at.y) + (raised ? STREET_CURB_HEIGHT : 0.0);
  return pose;
}

static street_pose facing_back(street_pose pose) {
  pose.cos_yaw = -pose.cos_yaw;
  pose.sin_yaw = -pose.sin_yaw;
  return pose;
}

/// Whether [s - reach, s + reach] on the side of `w` keeps clear of the side streets.
static bool clear_of_crossings(const street_scene *scene, double s, double w, double reach) {
  for (int i = 0; i < STREET_CROSSINGS; i++) {
    const street_crossing *crossing = &scene->crossings[i];
    if (crossing->side != 0 && (w > 0) != (crossing->side > 0)) continue;
    if (fabs(s - crossing->s) < reach) return false;
  }
  return true;
}

static void lay_ground(uint64_t seed, street_scene *scene) {
  street_rng rng = open_stream(seed, STREAM_GROUND);
  scene->bend = street_between(&rng, -0.0009, 0.0009);
  scene->offset = 2.1; // the scanner drives in the right lane
  scene->ground[0] = -1.73;
  scene->ground[1] = street_between(&rng, -0.012, 0.012);
  scene->ground[2] = street_between(&rng, -0.008, 0.008);
  scene->ground[3] = street_between(&rng, -0.00007, 0.00007);
  scene->ground[4] = street_between(&rng, -0.00005, 0.00005);
  scene->ground[5] = street_between(&rng, -0.00004, 0.00004);
  scene->crossings[0].s = street_between(&rng, 16.0, 42.0);
  scene->crossings[1].s = street_between(&rng, -62.0, -28.0);
  for (int i = 0; i < STREET_CROSSINGS; i++) {
    double kind = street_uniform(&rng);
    scene->crossings[i].side = kind < 0.5 ? 0 : kind < 0.75 ? 1 : -1;
  }
}

/// What grows in a gap between houses, from `s` on, and behind it.
static void lay_yard(street_scene *scene, street_rng *rng, double s, double gap, double front) {
  int side = front > 0 ? 1 : -1;
  if (gap < 2.5 || !clear_of_crossings(scene, s + 0.5 * gap, front, 9.0 + 0.5 * gap)) return;
  for (double depth = street_between(rng, 2.0, 6.0); depth < 45.0; depth += street_between(rng, 2.5, 9.0)) {
    double spread = 1.0 + 0.5 * depth; // what can be seen through the gap widens behind it
    street_pose pose = street_pose_at(scene, s + 0.5 * gap + street_between(rng, -0.5, 0.5) * (gap + spread) * 0.8,
                                      front + side * depth);
    if (street_uniform(rng) < 0.55) {
      street_add_bush(scene, rng, &pose);
    } else {
      street_add_tree(scene, rng, &pose);
    }
  }
}

/// Houses and front gardens on the side `side` of the street.
static void lay_house_row(street_scene *scene, street_rng *rng, int side) {
  double s = -STREET_REACH;
  while (s < STREET_REACH) {
    double width = street_between(rng, 8.0, 21.0), setback = STREET_WALK_EDGE + street_between(rng, 0.3, 6.5);
    double gap = street_uniform(rng) < 0.4 ? 0.0 : street_between(rng, 1.5, 11.0), middle = s + 0.5 * width;
    s += width + gap;
    if (!clear_of_crossings(scene, middle, side, 0.5 * width + STREET_CURB + 0.8)) continue;
    street_pose pose = street_pose_at(scene, middle, side * setback);
    street_add_building(scene, rng, &pose, width, side);
    if (setback > STREET_WALK_EDGE + 1.4) {
      street_pose edge = street_pose_at(scene, middle, side * (STREET_WALK_EDGE + 0.35));
      street_add_barrier(scene, rng, &edge, 0.86 * width);
    }
    lay_yard(scene, rng, s - gap, gap, side * setback);
  }
}

/// Houses along a side street, seen through the crossing.
static void lay_side_street(street_scene *scene, street_rng *rng, const street_crossing *crossing, int side) {
  for (int edge = -1; edge <= 1; edge += 2) {
    double w = 27.0 + street_between(rng, 0.0, 4.0);
    while (w < 100.0) {
      double width = street_between(rng, 9.0, 18.0), setback = STREET_CURB + street_between(rng, 0.4, 3.0);
      street_pose pose =
          street_pose_turned(street_pose_at(scene, crossing->s + edge * setback, side * (w + 0.5 * width)));
      // Turned to the left, the pose's own left is back along the street.
      street_add_building(scene, rng, &pose, width, -edge);
      w += width + (street_uniform(rng) < 0.5 ? 0.0 : street_between(rng, 2.0, 6.0));
    }
  }
}

static void lay_houses(uint64_t seed, street_scene *scene) {
  street_rng rng = open_stream(seed, STREAM_HOUSES);
  for (int side = -1; side <= 1; side += 2) lay_house_row(scene, &rng, side);
  for (int i = 0; i < STREET_CROSSINGS; i++) {
    for (int side = -1; side <= 1; side += 2) {
      const street_crossing *crossing = &scene->crossings[i];
      if (crossing->side == 0 || crossing->side == side) lay_side_street(scene, &rng, crossing, side);
    }
  }
}

static void lay_parked_cars(street_scene *scene, street_rng *rng, int side) {
  double s = -STREET_REACH;
  while (s < STREET_REACH) {
    s += street_between(rng, 5.6, 7.5);
    if (street_uniform(rng) < 0.3) s += street_between(rng, 4.0, 16.0); // a gap between groups of cars
    if (!clear_of_crossings(scene, s, side, 12.0) || fabs(s) < 7.0) continue;
    street_pose pose = street_pose_at(scene, s, side * street_between(rng, 6.0, 6.2));
    if (side > 0) pose = facing_back(pose);
    street_add_vehicle(scene, rng, &pose);
  }
}

static void lay_driving_cars(street_scene *scene, street_rng *rng) {
  for (double s = street_between(rng, 11.0, 28.0); s < STREET_REACH; s += street_between(rng, 12.0, 45.0)) {
    street_pose ahead = street_pose_at(scene, s, -2.1);
    street_add_vehicle(scene, rng, &ahead);
  }
  for (double s = -street_between(rng, 10.0, 30.0); s > -STREET_REACH; s -= street_between(rng, 15.0, 50.0)) {
    street_pose behind = street_pose_at(scene, s, -2.1);
    street_add_vehicle(scene, rng, &behind);
  }
  for (double s = street_between(rng, -STREET_REACH, -70.0); s < STREET_REACH; s += street_between(rng, 14.0, 55.0)) {
    if (fabs(s) < 7.0) continue; // a truck beside the scanner would hide half of the street
    street_pose oncoming = facing_back(street_pose_at(scene, s, 2.1));
    street_add_vehicle(scene, rng, &oncoming);
  }
}

static void lay_cars(uint64_t seed, street_scene *scene) {
  street_rng rng = open_stream(seed, STREAM_CARS);
  for (int side = -1; side <= 1; side += 2) lay_parked_cars(scene, &rng, side);
  lay_driving_cars(scene, &rng);
  for (int i = 0; i < STREET_CROSSINGS; i++) {
    const street_crossing *crossing = &scene->crossings[i];
    for (int side = -1; side <= 1; side += 2) {
      if (crossing->side != 0 && crossing->side != side) continue;
      for (double w = street_between(&rng, 14.0, 20.0); w < 60.0; w += street_between(&rng, 7.0, 25.0)) {
        double lane = street_uniform(&rng) < 0.5 ? -2.4 : 2.4;
        street_pose pose = street_pose_turned(street_pose_at(scene, crossing->s + lane, side * w));
        street_add_vehicle(scene, &rng, &pose);
      }
    }
  }
}

static void lay_trees(uint64_t seed, street_scene *scene) {
  street_rng rng = open_stream(seed, STREAM_TREES);
  for (int side = -1; side <= 1; side += 2) {
    for (double s = -STREET_REACH; s < STREET_REACH; s += street_between(&rng, 7.0, 17.0)) {
      if (street_uniform(&rng) < 0.25 || !clear_of_crossings(scene, s, side, 9.0)) continue;
      street_pose pose = street_pose_at(scene, s, side * street_between(&rng, 7.8, 8.2));
      street_add_tree(scene, &rng, &pose);
    }
  }
}

static void lay_gardens(uint64_t seed, street_scene *scene) {
  street_rng rng = open_stream(seed, STREAM_GARDENS);
  for (int side = -1; side <= 1; side += 2) {
    for (double s = -STREET_REACH; s < STREET_REACH; s += street_between(&rng, 4.0, 13.0)) {
      if (!clear_of_crossings(scene, s, side, 8.0)) continue;
      street_pose pose = street_pose_at(scene, s, side * street_between(&rng, 10.9, 13.0));
      street_add_bush(scene, &rng, &pose);
    }
  }
}

static void lay_poles(uint64_t seed, street_scene *scene) {
  street_rng rng = open_stream(seed, STREAM_LAMPS);
  for (int side = -1; side <= 1; side += 2) {
    for (double s = -STREET_REACH + street_between(&rng, 0.0, 20.0); s < STREET_REACH;
         s += street_between(&rng, 22.0, 31.0)) {
      if (!clear_of_crossings(scene, s, side, 8.0)) continue;
      street_pose pose = street_pose_at(scene, s, side * 7.5);
      if (side > 0) pose = facing_back(pose); // the arm reaches over the road
      street_add_lamp(scene, &rng, &pose);
    }
    for (int i = 0; i < STREET_CROSSINGS; i++) {
      for (int edge = -1; edge <= 1; edge += 2) {
        street_pose pose = street_pose_at(scene, scene->crossings[i].s + edge * 8.0, side * 7.6);
        street_add_sign(scene, &rng, &pose);
      }
    }
    for (double s = -80.0; s < 80.0; s += street_between(&rng, 14.0, 50.0)) {
      street_pose pose = street_pose_at(scene, s, side * 7.5);
      if (clear_of_crossings(scene, s, side, 8.5)) street_add_sign(scene, &rng, &pose);
    }
  }
}

static void lay_people(uint64_t seed, street_scene *scene) {
  street_rng rng = open_stream(seed, STREAM_PEOPLE);
  for (int side = -1; side <= 1; side += 2) {
    for (double s = -55.0; s < 60.0; s += street_between(&rng, 3.0, 24.0)) {
      street_pose pose = street_pose_at(scene, s, side * street_between(&rng, 8.3, 9.9));
      if (!clear_of_crossings(scene, s, side, 4.5)) continue;
      if (street_uniform(&rng) < 0.5) pose = facing_back(pose);
      street_add_person(scene, &rng, &pose);
    }
  }
  double s = scene->crossings[0].s - 6.5; // on the zebra crossing
  for (int i = 0; i < 3; i++) {
    double along = s + street_between(&rng, -1.0, 1.0), across = street_between(&rng, -6.5, 6.5);
    street_pose pose = street_pose_turned(street_pose_at(scene, along, across));
    street_add_person(scene, &rng, &pose);
  }
}

void street_move(street_scene *scene, double metres) {
  scene->ahead += metres;
  for (int i = 0; i < scene->n_shapes; i++) scene->shapes[i].centre.x -= metres;
}

void street_build(uint64_t seed, street_scene *scene) {
  scene->n_shapes = 0;
  scene->ahead = 0.0;
  lay_ground(seed, scene);
  lay_houses(seed, scene);
  lay_cars(seed, scene);
  lay_trees(seed, scene);
  lay_gardens(seed, scene);
  lay_poles(seed, scene);
  lay_people(seed, scene);
}
