// AVX-512: 16 lanes, 32 registers, fused multiply-add.
#pragma once

#include <immintrin.h>

#define VECTOR_LANES 16
#define VECTOR_REGISTERS 32
#define FUSED_MULTIPLY_ADD true
#define ANY_VECTOR(v) "+v"(v)

namespace {

typedef float V __attribute__((vector_size(64)));

inline V broadcast(float s) { return (V)_mm512_set1_ps(s); }

inline V fma(V a, V b, V c) { return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }

// The larger of two, b where they are equal or either is NaN.
inline V larger(V a, V b) { return (V)_mm512_max_ps((__m512)a, (__m512)b); }

// Converts one vector of bytes; the compiler's own conversion takes them one by one.
inline V from_bytes(const void* p) {
    return (V)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
}

// p[k] += v[k] for the first `count` lanes.
inline void add_first(float* p, V v, int count) {
    const __mmask16 mask = __mmask16((1u << count) - 1u);
    _mm512_mask_storeu_ps(p, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, p), (__m512)v));
}

}  // namespace
