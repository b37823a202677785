/// The LZF compression of binary_compressed PCD files, in the direction that reading needs.
#ifndef LATTICE_IO_LZF_H
#define LATTICE_IO_LZF_H

#include <stdbool.h>
#include <stdint.h>

/// Walks a stream without writing anything: `*n_out` = how many bytes it really decodes to, which bounds the memory that
/// it deserves. False with `*bad_at` = the place when it is cut off or refers to bytes before its beginning.
bool lat__lzf_measure(const uint8_t *in, int64_t n_in, int64_t *n_out, int64_t *bad_at);

/// Decodes a stream that lat__lzf_measure accepted into `out`, which has room for what it measured.
void lat__lzf_decode(const uint8_t *in, int64_t n_in, uint8_t *out, int64_t n_out);

#endif
