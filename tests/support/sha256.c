// SHA-256 straight from FIPS 180-4: the constants are the fractional parts of roots of the first primes, computed here.
#include "support/sha256.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t rotate(uint32_t x, int n) {
  return (x >> n) | (x << (32 - n));
}

/// First 32 bits of the fraction of the square (2) or cube (3) root of n, by integer search.
static uint32_t root_fraction(uint32_t n, int power) {
  // The largest r with (r / 2^32)^power <= n; r < 2^36, so r^3 needs more than 64 bits: compare in parts.
  unsigned __int128 target = (unsigned __int128)n << 64;
  uint64_t low = 0, high = (uint64_t)1 << 37;
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    unsigned __int128 square = (unsigned __int128)middle * middle;
    int above = power == 2 ? square > target : square > (target << 32) / middle;
    if (above) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return (uint32_t)low;
}

static void constants(uint32_t start[8], uint32_t k[64]) {
  int n = 0;
  for (uint32_t candidate = 2; n < 64; candidate++) {
    int prime = 1;
    for (uint32_t d = 2; d * d <= candidate; d++) prime = prime && candidate % d;
    if (!prime) continue;
    if (n < 8) start[n] = root_fraction(candidate, 2);
    k[n++] = root_fraction(candidate, 3);
  }
}

static void block(uint32_t state[8], const uint32_t k[64], const unsigned char bytes[64]) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++) {
    w[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 | (uint32_t)bytes[4 * i + 2] << 8 |
           bytes[4 * i + 3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
    uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
  memcpy(v, state, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t e = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
    uint32_t a = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
    uint32_t one = v[7] + e + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
    uint32_t two = a + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; i++) state[i] += v[i];
}

void lat_test_sha256(const void *bytes, size_t n_bytes, char text[65]) {
  uint32_t state[8], k[64];
  const unsigned char *data = bytes;
  unsigned char last[128] = {0};
  size_t whole = n_bytes / 64 * 64, rest = n_bytes - whole, tail = rest < 56 ? 64 : 128;
  constants(state, k);
  for (size_t at = 0; at < whole; at += 64) block(state, k, data + at);
  if (rest) memcpy(last, data + whole, rest);
  last[rest] = 0x80;
  for (int i = 0; i < 8; i++) last[tail - 1 - (size_t)i] = (unsigned char)((uint64_t)n_bytes * 8 >> (8 * i));
  for (size_t at = 0; at < tail; at += 64) block(state, k, last + at);
  for (int i = 0; i < 8; i++) snprintf(text + 8 * i, 9, "%08x", (unsigned)state[i]);
}
