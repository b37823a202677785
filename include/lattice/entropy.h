/// \file entropy.h
/// Entropy coding of symbol rows: probabilities to cumulative counts, a range coder and a rANS coder.
///
/// Every row has its own distribution over `alphabet` symbols. Counts have 16 bits: a cumulative row is
/// `0 = c[0] < c[1] < … < c[alphabet] = 65536`, kept in int16 elements that hold uint16 bit patterns, so that the last
/// entry is stored as 0. Streams are the same bytes on every machine.
///
/// Streams begin with 10 magic bytes ("MLXGERNG01" range, "MLXGERNS01" rANS), then the number of rows and the alphabet as
/// little-endian uint32. Range payload: a 32-bit integer arithmetic coder, most significant bit first, zero bits at the
/// end. rANS payload: the final state as little-endian uint32, then renormalization bytes (state of at least 2^23).
#ifndef LATTICE_ENTROPY_H
#define LATTICE_ENTROPY_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Cumulative counts of probability rows: `prob` is `(rows, alphabet)` float32, float16 or bfloat16 with 2 <= alphabet
/// < 65536; `*out` is a new `(rows, alphabet + 1)` int16 array. Probabilities are clamped to [0, 1] and summed in
/// float32; every symbol keeps a count of at least 1; the last probability of a row is what is left and is never read.
/// Errors: INVALID_ARGUMENT (NULL; "probabilities must be finite": names row and symbol), INVALID_SHAPE, INVALID_DTYPE,
/// OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_normalized_cdf(lat_context *context, const lat_array_view *prob, lat_array **out);

/// Codes one symbol of each row with the range coder. `cdf` is `(rows, alphabet + 1)` int16, `symbols` `(rows,)` of an
/// integer dtype; `*out` is a new uint8 array.
/// Errors: INVALID_ARGUMENT (NULL; "symbol outside the alphabet": names the row; a cumulative row that does not start at 0,
/// is not "strictly increasing" or does not end at 65536: names row and entry), INVALID_SHAPE, INVALID_DTYPE, OVERFLOW
/// (2^32 rows), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_range_encode(lat_context *context, const lat_array_view *cdf,
                                                const lat_array_view *symbols, lat_array **out);

/// Reads the symbols back: `stream` is a uint8 view, `*out` a new `(rows,)` int32 array. A payload that is too short reads
/// as zero bits (as the format says), so a truncated stream gives wrong symbols, not an error.
/// Errors: as range_encode; BAD_DATA ("magic", "header shape": rows or alphabet other than the cdf's, a stream shorter
/// than its header).
LAT_API LAT_CHECKED lat_status lat_range_decode(lat_context *context, const lat_array_view *cdf,
                                                const lat_array_view *stream, lat_array **out);

/// As lat_range_encode with the counts of lat_normalized_cdf(prob): the same bytes, without the table in memory.
/// Errors: as lat_normalized_cdf and lat_range_encode.
LAT_API LAT_CHECKED lat_status lat_range_encode_from_prob(lat_context *context, const lat_array_view *prob,
                                                          const lat_array_view *symbols, lat_array **out);

/// As lat_range_decode with the counts of lat_normalized_cdf(prob). Errors: as lat_normalized_cdf and lat_range_decode.
LAT_API LAT_CHECKED lat_status lat_range_decode_from_prob(lat_context *context, const lat_array_view *prob,
                                                          const lat_array_view *stream, lat_array **out);

/// As lat_range_encode_from_prob with the rANS coder. Errors: as there.
LAT_API LAT_CHECKED lat_status lat_rans_encode_from_prob(lat_context *context, const lat_array_view *prob,
                                                         const lat_array_view *symbols, lat_array **out);

/// Reads the symbols of a rANS stream back.
/// Errors: as lat_range_decode; BAD_DATA for a payload that is truncated, has bytes left over, or does not return to the
/// initial state.
LAT_API LAT_CHECKED lat_status lat_rans_decode_from_prob(lat_context *context, const lat_array_view *prob,
                                                         const lat_array_view *stream, lat_array **out);

#ifdef __cplusplus
}
#endif
#endif
