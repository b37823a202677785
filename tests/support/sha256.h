/// SHA-256 (FIPS 180-4) as lower-case hexadecimal text.
#ifndef LAT_TEST_SHA256_H
#define LAT_TEST_SHA256_H

#include <stddef.h>

void lat_test_sha256(const void *bytes, size_t n_bytes, char text[65]);

#endif
