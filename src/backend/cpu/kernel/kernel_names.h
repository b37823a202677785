/// How kernels are named and unrolled. Included by kernel_families.h and product_families.h.
#ifndef LATTICE_BACKEND_CPU_KERNEL_KERNEL_NAMES_H
#define LATTICE_BACKEND_CPU_KERNEL_KERNEL_NAMES_H

#define KERNEL_PASTE(name, level) name##_##level
#define KERNEL_EXPAND(name, level) KERNEL_PASTE(name, level)
#define KERNEL_TEXT(text) #text
#define KERNEL_TEXT_EXPAND(text) KERNEL_TEXT(text)
/// The name of a kernel at this level: KERNEL(fma_peak) is fma_peak_avx2.
#define KERNEL(name) KERNEL_EXPAND(name, LEVEL)

/// Before a loop whose bounds are constants after inlining: it disappears, and its arrays live in registers.
#if defined(__clang__)
#define KERNEL_UNROLL _Pragma("clang loop unroll(full)")
#define KERNEL_UNROLL_TWICE _Pragma("clang loop unroll_count(2)")
#else
#define KERNEL_UNROLL _Pragma("GCC unroll 32")
#define KERNEL_UNROLL_TWICE _Pragma("GCC unroll 2")
#endif

#endif
