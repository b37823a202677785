// Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). Stateless, so any thread can draw any element.

#include <lattice/context.h>

#define ROUNDS 10
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0 0x9E3779B9u
#define WEYL_1 0xBB67AE85u

void lat_random_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]) {
  uint32_t key_0 = (uint32_t)seed, key_1 = (uint32_t)(seed >> 32);
  uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
  uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t product_0 = (uint64_t)MULTIPLIER_0 * c0;
    uint64_t product_1 = (uint64_t)MULTIPLIER_1 * c2;
    c0 = (uint32_t)(product_1 >> 32) ^ c1 ^ key_0;
    c1 = (uint32_t)product_1;
    c2 = (uint32_t)(product_0 >> 32) ^ c3 ^ key_1;
    c3 = (uint32_t)product_0;
    key_0 += WEYL_0;
    key_1 += WEYL_1;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}
