// SSE4 (x86-64-v2): 4 lanes, 16 registers. There is no fused multiply-add, so its bits differ from the other sets'.
#pragma once

#include <immintrin.h>

#define VECTOR_LANES 4
#define VECTOR_REGISTERS 16
#define FUSED_MULTIPLY_ADD false
#define ANY_VECTOR(v) "+x"(v)

namespace {

typedef float V __attribute__((vector_size(16)));

inline V broadcast(float s) { return (V)_mm_set1_ps(s); }

inline V fma(V a, V b, V c) { return a * b + c; }

// The larger of two, b where they are equal or either is NaN.
inline V larger(V a, V b) { return (V)_mm_max_ps((__m128)a, (__m128)b); }

// Converts one vector of bytes; the compiler's own conversion takes them one by one. No _mm_loadu_si32: GCC 11.2 gives
// its value a wrong place (GCC bug 99754).
inline V from_bytes(const void* p) {
    int bytes;
    __builtin_memcpy(&bytes, p, sizeof bytes);
    return (V)_mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes)));
}

// p[k] += v[k] for the first `count` lanes.
inline void add_first(float* p, V v, int count) {
    for (int k = 0; k < count; ++k) p[k] += v[k];
}

}  // namespace
