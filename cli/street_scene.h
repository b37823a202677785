/// The scene of the simulated street: a ground surface with zones, and convex shapes on it. street_scene.c lays the
/// street out, street_objects.c knows how a car or a tree is made of shapes, street_cast.c sends rays into it.
///
/// The scanner is the origin. The street runs along x in a slight bend; (s, w) are its own coordinates: s metres along,
/// w metres to the left of its middle.
#ifndef LATTICE_STREET_SCENE_H
#define LATTICE_STREET_SCENE_H

#include <math.h>
#include <stdbool.h>

#include <lattice/context.h>

#include "simulate_street.h"

enum { STREET_MOST_SHAPES = 4096, STREET_CUTS = 4, STREET_CROSSINGS = 2 };

/// Lateral measures of the street, in metres from its middle.
#define STREET_LANE_EDGE 4.4    ///< where the parking strip begins
#define STREET_CURB 7.2         ///< where the sidewalk begins
#define STREET_WALK_EDGE 10.2   ///< where the front gardens begin
#define STREET_CURB_HEIGHT 0.13 ///< of sidewalk and terrain over the road
#define STREET_REACH 115.0      ///< how far the scene goes ahead and behind
#define STREET_RANGE 120.0      ///< of the scanner

typedef struct street_point {
  double x, y, z;
} street_point;

/// A stream of random numbers.
typedef struct street_rng {
  uint64_t seed, stream, counter;
  uint32_t words[4];
  int n_left;
} street_rng;

/// Uniform in [0, 1).
static inline double street_uniform(street_rng *rng) {
  if (rng->n_left == 0) {
    lat_random_block(rng->seed, rng->stream, rng->counter++, rng->words);
    rng->n_left = 4;
  }
  return (double)rng->words[--rng->n_left] * 0x1p-32;
}

/// Uniform in [low, high).
static inline double street_between(street_rng *rng, double low, double high) {
  return low + (high - low) * street_uniform(rng);
}

typedef enum street_kind { STREET_BOX, STREET_CYLINDER, STREET_ELLIPSOID } street_kind;

/// A convex shape. In its own frame it is centred at 0 with `half` sizes (of a cylinder: radius, radius, half height).
typedef struct street_shape {
  street_kind kind;
  street_class label;
  street_point centre;
  double cos_yaw, sin_yaw;
  street_point half;
  double bound;                ///< horizontal radius around the centre
  double reflectance;          ///< 0 to 1
  double free_path;            ///< mean way that light goes inside before it hits; 0: solid
  double glass;                ///< share of hits that give no return
  bool windows;                ///< a facade
  int n_cuts;                  ///< boxes: planes that cut corners off
  double cuts[STREET_CUTS][4]; ///< normal (unit) and offset: inside is n . p <= offset
} street_shape;

/// A side street at `s`. `side` +1 or -1: only there; 0: on both sides.
typedef struct street_crossing {
  double s;
  int side;
} street_crossing;

typedef struct street_scene {
  double ahead;     ///< metres that the scanner has moved along x since the street was laid out
  double bend;      ///< the middle runs along y = offset + bend * x^2
  double offset;    ///< y of the middle beside the scanner
  double ground[6]; ///< road height = g0 + g1 x + g2 y + g3 x^2 + g4 y^2 + g5 x y
  street_crossing crossings[STREET_CROSSINGS];
  int n_shapes;
  street_shape *shapes; ///< STREET_MOST_SHAPES of them
} street_scene;

/// A place on the street and the direction of the street there.
typedef struct street_pose {
  street_point at; ///< on the ground
  double cos_yaw, sin_yaw;
} street_pose;

/// Height of the road surface (the curb's height not included).
static inline double street_road_height(const street_scene *scene, double x, double y) {
  const double *g = scene->ground;
  x += scene->ahead;
  return g[0] + g[1] * x + g[2] * y + g[3] * x * x + g[4] * y * y + g[5] * x * y;
}

/// Lateral position of (x, y).
static inline double street_lateral(const street_scene *scene, double x, double y) {
  x += scene->ahead;
  double slope = 2.0 * scene->bend * x;
  return (y - scene->offset - scene->bend * x * x) / sqrt(1.0 + slope * slope);
}

/// Which kind of ground (x, y) is: ROAD, SIDEWALK or TERRAIN.
street_class street_zone(const street_scene *scene, double x, double y);

/// The ground at (s, w), facing along the street.
street_pose street_pose_at(const street_scene *scene, double s, double w);

/// The pose turned by a quarter to the left.
static inline street_pose street_pose_turned(street_pose pose) {
  street_pose turned = {pose.at, -pose.sin_yaw, pose.cos_yaw};
  return turned;
}

/// Adds a shape whose centre is at `local` in the pose's frame (x along, y left, z over the ground). Returns it for more
/// settings; past STREET_MOST_SHAPES the last one is overwritten.
street_shape *street_add(street_scene *scene, street_kind kind, street_class label, const street_pose *pose,
                         street_point local, street_point half);

/// Cuts a corner off a box: in its frame, inside is nx x + ny y + nz z <= offset.
void street_cut(street_shape *box, double nx, double ny, double nz, double offset);

/// Objects, standing at a pose. They draw their measures from `rng`.
void street_add_vehicle(street_scene *scene, street_rng *rng, const street_pose *pose);
void street_add_tree(street_scene *scene, street_rng *rng, const street_pose *pose);
void street_add_bush(street_scene *scene, street_rng *rng, const street_pose *pose);
void street_add_person(street_scene *scene, street_rng *rng, const street_pose *pose);
void street_add_lamp(street_scene *scene, street_rng *rng, const street_pose *pose);
void street_add_sign(street_scene *scene, street_rng *rng, const street_pose *pose);
/// A building whose front is centred at the pose and faces its right (`inward` +1: the house extends to the left).
void street_add_building(street_scene *scene, street_rng *rng, const street_pose *pose, double width, double inward);
/// A hedge, wall or fence of a length along the pose.
void street_add_barrier(street_scene *scene, street_rng *rng, const street_pose *pose, double length);

/// Lays the street of a seed out. `scene->shapes` must point at room for STREET_MOST_SHAPES.
void street_build(uint64_t seed, street_scene *scene);

/// Moves the scanner along x: everything comes nearer by `metres`.
void street_move(street_scene *scene, double metres);

/// Direction of a ray, a unit vector.
typedef struct street_ray {
  street_point direction;
  uint64_t id; ///< names the ray's random numbers
} street_ray;

/// What a ray gives. `range` 0: no return.
typedef struct street_return {
  double range;
  double intensity;
  street_class label;
} street_return;

/// Sine and cosine of a share of the full circle: polynomials, the same bits everywhere.
void street_turn(double turns, double *cosine, double *sine);

/// Collects the shapes that the vertical plane of a direction can meet. Returns how many.
int street_gather(const street_scene *scene, double cosine, double sine, int *indices);

/// Sends a ray against the ground and the given shapes.
street_return street_cast(const street_scene *scene, uint64_t seed, const street_ray *ray, const int *indices, int n);

#endif
