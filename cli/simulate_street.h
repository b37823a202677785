/// A simulated lidar sweep of a street: what `lattice simulate` writes, and the default scan of the demo and of the
/// benchmarks.
#ifndef LATTICE_SIMULATE_STREET_H
#define LATTICE_SIMULATE_STREET_H

#include <lattice/io.h>

/// Points of a sweep when nothing else is asked for: those of a 64-beam scanner at ten turns a second.
#define STREET_DEFAULT_POINTS 120000

/// Most points that can be asked for.
#define STREET_MOST_POINTS 20000000

/// Most sweeps that are taken one after another: the street has an end.
#define STREET_MOST_SWEEPS 50

/// Labels. Values are fixed: files and models rely on them.
typedef enum street_class {
  STREET_UNLABELLED = 0,
  STREET_ROAD = 1,
  STREET_SIDEWALK = 2,
  STREET_TERRAIN = 3,
  STREET_BUILDING = 4,
  STREET_VEHICLE = 5,
  STREET_POLE = 6,
  STREET_VEGETATION = 7,
  STREET_PERSON = 8,
  STREET_FENCE = 9,
  STREET_N_CLASSES = 10
} street_class;

/// Name of a class, e.g. "sidewalk"; NULL outside the enum. Static storage.
const char *street_class_name(int label);

/// Makes a sweep of about `n_points` points (within a few percent for 1000 and more; 1 to STREET_MOST_POINTS).
///
/// Positions are float32 in metres in the scanner's frame: x ahead, y left, z up, the ground near z = -1.73. Fields:
/// `intensity` (float32, 0 to 1), `label` (uint8, street_class), `ring` (uint8, 0 the uppermost beam). Points go ring by
/// ring, each ring around the scanner, as in the files of spinning scanners.
///
/// The cloud depends on `seed` and `n_points` alone: the arithmetic uses nothing but + - * / sqrt and floor in double
/// without contraction, and the library's counter-based generator, so every machine gives the same bits. `verb`: progress
/// is shown in its name, NULL: not at all. Errors: OUT_OF_MEMORY, OVERFLOW.
LAT_CHECKED lat_status simulate_street(lat_context *context, uint64_t seed, int64_t n_points, const char *verb,
                                       lat_cloud **out);

/// One of several sweeps of the same street, each a metre further ahead than the one before it, as a car of 36 km/h gives
/// them. Positions are in the frame of sweep 0, which is simulate_street's. `sweep_index`: 0 to STREET_MOST_SWEEPS - 1.
LAT_CHECKED lat_status simulate_street_sweep(lat_context *context, uint64_t seed, int64_t n_points, int32_t sweep_index,
                                             const char *verb, lat_cloud **out);

#endif
