/// Per-point features as colours, and a picture of them from above.
#ifndef LATTICE_DEMO_VIEW_H
#define LATTICE_DEMO_VIEW_H

#include <lattice/io.h>

/// Turns `(N, C)` float32 features into `(N, 3)` uint8 colours: the projections on the three directions of largest
/// variance, each by its rank among all points, so that every shade is used. Errors: OUT_OF_MEMORY.
LAT_CHECKED lat_status demo_colour_features(lat_context *context, const lat_array_view *features, lat_array **out);

/// Draws points from above on a dark ground, x to the right and y up, `width` pixels wide, higher points over lower
/// ones. What the outermost percent of the points would add is cut. `*out` is `(H, W, 3)` uint8. Errors: OUT_OF_MEMORY.
LAT_CHECKED lat_status demo_draw_view(lat_context *context, const lat_array_view *positions,
                                      const lat_array_view *colours, int64_t width, lat_array **out);

#endif
