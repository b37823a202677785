/// Graphs in text for the tests of artifacts.
#ifndef LAT_TEST_ARTIFACT_CASES_H
#define LAT_TEST_ARTIFACT_CASES_H

#include <lattice/lattice.h>

/// The text of a graph, static storage:
///   "points": points to voxels and back, no parameters
///   "int4": int4 convolution, bias, relu, global pool, with every liberty that the grammar has
///   "all": every operation of version 2
///   "version3": everything that version 3 adds
const char *lat_test_graph(const char *name);

/// Parses a text. `bytes` is copied to a block of exactly its size.
lat_status lat_test_parse_graph(lat_context *context, const char *text, lat_model **out);

/// The text with the first `from` behind the first `anchor` replaced by `to`; the caller frees it. Fails the test when
/// one of them is not there. `*line` becomes the anchor's line.
char *lat_test_replace(const char *text, const char *anchor, const char *from, const char *to, int *line);

/// Gives every parameter without a value one of zeros with plausible shape: 5-D weights get `kernel`, `channels` in and
/// out. (Graphs that were parsed have no values.)
lat_status lat_test_fill_parameters(lat_context *context, lat_model *model, lat_triple kernel, int64_t channels);

#endif
