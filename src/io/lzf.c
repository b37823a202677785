/// LZF decoding in two passes: the first one checks every length and distance, so that a hostile stream costs no memory
/// and the second one has nothing left to doubt.
///
/// A stream is a sequence of two kinds of chunks. A first byte below 32 is followed by that many plus one literal bytes.
/// Any other first byte `c` copies from what has been decoded: length `c >> 5` plus 2 (7 means that a further byte is
/// added), distance `(c & 31) * 256` plus the last byte plus 1. Distances below the length repeat the copied bytes.
#include "io/lzf.h"

#include <assert.h>
#include <string.h>

/// One chunk, with its place in the stream.
typedef struct lzf_chunk {
  int64_t length;   ///< bytes it gives
  int64_t distance; ///< 0: literal bytes
  int64_t next;     ///< offset behind the chunk's own bytes (behind the literals)
} lzf_chunk;

/// Reads the chunk at `at`; false when the stream ends inside.
static bool read_chunk(const uint8_t *in, int64_t n_in, int64_t at, lzf_chunk *chunk) {
  uint8_t first = in[at++];
  if (first < 32) {
    *chunk = (lzf_chunk){first + 1, 0, at + first + 1};
    return chunk->next <= n_in;
  }
  int64_t length = first >> 5;
  if (length == 7) {
    if (at >= n_in) return false;
    length += in[at++];
  }
  if (at >= n_in) return false;
  *chunk = (lzf_chunk){length + 2, (int64_t)(first & 31) * 256 + in[at] + 1, at + 1};
  return true;
}

bool lat__lzf_measure(const uint8_t *in, int64_t n_in, int64_t *n_out, int64_t *bad_at) {
  lzf_chunk chunk;
  *n_out = 0;
  for (int64_t at = 0; at < n_in; at = chunk.next) {
    *bad_at = at;
    if (!read_chunk(in, n_in, at, &chunk) || chunk.distance > *n_out) return false;
    *n_out += chunk.length; // at most 88 bytes for each byte of the stream: far from overflow
  }
  return true;
}

void lat__lzf_decode(const uint8_t *in, int64_t n_in, uint8_t *out, int64_t n_out) {
  lzf_chunk chunk = {0};
  int64_t used = 0;
  for (int64_t at = 0; at < n_in; at = chunk.next) {
    bool whole = read_chunk(in, n_in, at, &chunk);
    assert(whole && chunk.distance <= used && chunk.length <= n_out - used);
    (void)whole;
    if (chunk.distance == 0) {
      memcpy(out + used, in + (chunk.next - chunk.length), (size_t)chunk.length);
    } else {
      for (int64_t i = used; i < used + chunk.length; i++) out[i] = out[i - chunk.distance];
    }
    used += chunk.length;
  }
  assert(used == n_out);
  (void)n_out;
}
