/// Cumulative rows as the coders read them: from a stored table, or made from probabilities row by row.
#ifndef LATTICE_ENTROPY_CDF_H
#define LATTICE_ENTROPY_CDF_H

#include <stdbool.h>

#include <lattice/entropy.h>

/// All counts of a row together.
#define LAT__CDF_TOTAL 65536u

/// Magic, rows, alphabet.
#define LAT__STREAM_MAGIC_BYTES 10
#define LAT__STREAM_HEADER_BYTES 18

/// Where rows come from. Zero-initialise; ends with lat__cdf_close.
typedef struct lat__cdf_source {
  lat_context *context;
  const char *op;
  bool from_prob;
  int64_t n_rows;
  int64_t alphabet;
  lat_array *values; ///< contiguous int16 `(rows, alphabet + 1)` or float `(rows, alphabet)`
  uint32_t *row;     ///< alphabet + 1 counts of the row loaded last
} lat__cdf_source;

/// Checks `view` as a cumulative table, or as probabilities when `from_prob`.
LAT_CHECKED lat_status lat__cdf_open(lat__cdf_source *source, lat_context *context, const char *op, bool from_prob,
                                     const lat_array_view *view);
void lat__cdf_close(lat__cdf_source *source);

/// Fills `source->row` with `0 = c[0] < … < c[alphabet] = 65536`. Errors name the row.
LAT_CHECKED lat_status lat__cdf_load(lat__cdf_source *source, int64_t row);

/// Symbol whose interval of the loaded row holds `count` (< 65536).
int64_t lat__cdf_find(const lat__cdf_source *source, uint32_t count);

/// Checks `symbols` as one symbol for each row and widens them to a new int32 array.
LAT_CHECKED lat_status lat__symbols_open(const lat__cdf_source *source, const lat_array_view *symbols, lat_array **out);

/// Writes the header of a stream: 18 bytes.
void lat__stream_put_header(uint8_t *bytes, const char *magic, const lat__cdf_source *source);

/// Checks `stream` and its header; `*out` = its bytes as a contiguous array.
LAT_CHECKED lat_status lat__stream_open(const lat__cdf_source *source, const char *magic, const lat_array_view *stream,
                                        lat_array **out);

#endif
