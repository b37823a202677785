// Which of the tables of products this build and this machine have.

#include "backend/cpu/kernel/cpu_products.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#define HAS_DOT_PRODUCT (1ul << 20) // HWCAP_ASIMDDP
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#endif

extern const lat__cpu_products lat__products_scalar;
extern const lat__cpu_products lat__products_neon_dot;
extern const lat__cpu_products lat__products_avx2_vnni;
extern const lat__cpu_products lat__products_avx512_vnni;
extern const lat__cpu_products lat__products_avx512_bf16;

static bool always(void) {
  return true;
}

static bool never(void) {
  return false;
}

static bool has_neon_dot(void) {
#if defined(__aarch64__) && defined(__linux__)
  return (getauxval(AT_HWCAP) & HAS_DOT_PRODUCT) != 0;
#else
  return false;
#endif
}

/// A bit of EAX of cpuid leaf 7, 1: compilers of some years know no names for them.
static bool has_leaf7_bit(unsigned bit) {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> bit & 1u);
#else
  (void)bit;
  return false;
#endif
}

static bool has_avx_vnni(void) {
  return has_leaf7_bit(4);
}

static bool has_avx512_vnni(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

static bool has_avx512_bf16(void) {
  return has_avx512_vnni() && has_leaf7_bit(5);
}

/// Whether the machine's bfloat16 products are faster than widening and multiply-adds. Intel's are half as fast (measured
/// on Sapphire Rapids), AMD's twice. The result differs in the last bits, so the choice may not come from a measurement.
static bool bf16_pays(void) {
#if defined(__x86_64__)
  return __builtin_cpu_is("amd");
#else
  return false;
#endif
}

/// The better one of a level first.
static const struct {
  lat_cpu_level level;
  const lat__cpu_products *table;
  bool (*machine_has)(void); ///< beyond the level
  bool (*pays)(void);
} tables[] = {
    {LAT_CPU_LEVEL_SCALAR, &lat__products_scalar, always, never},
    {LAT_CPU_LEVEL_NEON, &lat__products_neon_dot, has_neon_dot, always},
    {LAT_CPU_LEVEL_AVX2, &lat__products_avx2_vnni, has_avx_vnni, always},
    {LAT_CPU_LEVEL_AVX512, &lat__products_avx512_bf16, has_avx512_bf16, bf16_pays},
    {LAT_CPU_LEVEL_AVX512, &lat__products_avx512_vnni, has_avx512_vnni, always},
};

#define N_TABLES ((int)(sizeof tables / sizeof tables[0]))

static bool runs(int i) {
  return tables[i].table->name && lat__cpu_kernels_of(tables[i].level) && tables[i].machine_has();
}

const lat__cpu_products *lat__cpu_products_at(int index) {
  for (int i = 0; i < N_TABLES; i++) {
    if (runs(i) && index-- == 0) return tables[i].table;
  }
  return NULL;
}

const lat__cpu_products *lat__cpu_products_of(lat_cpu_level level) {
  for (int i = 0; i < N_TABLES; i++) {
    if (tables[i].level == level && runs(i) && tables[i].pays()) return tables[i].table;
  }
  return NULL;
}
