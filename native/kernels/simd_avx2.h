// AVX2: 8 lanes, 16 registers, fused multiply-add.
#pragma once

#include <immintrin.h>

#define VECTOR_LANES 8
#define VECTOR_REGISTERS 16
#define FUSED_MULTIPLY_ADD true
#define ANY_VECTOR(v) "+x"(v)

namespace {

typedef float V __attribute__((vector_size(32)));

inline V broadcast(float s) { return (V)_mm256_set1_ps(s); }

inline V fma(V a, V b, V c) { return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }

// The larger of two, b where they are equal or either is NaN.
inline V larger(V a, V b) { return (V)_mm256_max_ps((__m256)a, (__m256)b); }

// Converts one vector of bytes; the compiler's own conversion takes them one by one.
inline V from_bytes(const void* p) {
    return (V)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}

// p[k] += v[k] for the first `count` lanes.
inline void add_first(float* p, V v, int count) {
    for (int k = 0; k < count; ++k) p[k] += v[k];
}

}  // namespace
