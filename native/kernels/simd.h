// One vector of the instruction set that this translation unit is compiled for.
//
// Every kernel works on LANES = 16 images at once, whatever the vector length: a chunk of 16 images is
// one AVX-512 vector, two AVX2 vectors or four SSE or NEON vectors. Each lane sees the same operations in
// the same order on every instruction set that has a fused multiply-add, so the results are the same bits.
//
// Kernel files use no template of the standard library: it would become a weak symbol, of which the
// linker keeps one copy, possibly the AVX-512 one, for every instruction set.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#define VECTOR_LANES 16
#define VECTOR_REGISTERS 32
#define ANY_VECTOR(v) "+v"(v)
#elif defined(__AVX2__)
#include <immintrin.h>
#define VECTOR_LANES 8
#define VECTOR_REGISTERS 16
#define ANY_VECTOR(v) "+x"(v)
#elif defined(__x86_64__)
#include <immintrin.h>
#define VECTOR_LANES 4
#define VECTOR_REGISTERS 16
#define ANY_VECTOR(v) "+x"(v)
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#define VECTOR_LANES 4
#define VECTOR_REGISTERS 32
#define ANY_VECTOR(v) "+w"(v)
#else
#error "no kernel for this processor"
#endif

namespace {

constexpr int LANES = 16;
constexpr int VL = VECTOR_LANES;

typedef float V __attribute__((vector_size(4 * VL)));
typedef int VI __attribute__((vector_size(4 * VL)));
typedef unsigned VU __attribute__((vector_size(4 * VL)));
typedef float V4 __attribute__((vector_size(16)));

typedef float Vu __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef float V4u __attribute__((vector_size(16), aligned(4), may_alias));

inline V load(const float* p) { return *reinterpret_cast<const Vu*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<Vu*>(p) = v; }
inline V4 load4(const float* p) { return *reinterpret_cast<const V4u*>(p); }
inline void store4(float* p, V4 v) { *reinterpret_cast<V4u*>(p) = v; }

#if defined(__AVX512F__)
inline V broadcast(float s) { return (V)_mm512_set1_ps(s); }
inline V fma(V a, V b, V c) { return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif defined(__AVX2__)
inline V broadcast(float s) { return (V)_mm256_set1_ps(s); }
inline V fma(V a, V b, V c) { return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#elif defined(__x86_64__)
inline V broadcast(float s) { return (V)_mm_set1_ps(s); }
inline V fma(V a, V b, V c) { return a * b + c; }  // x86-64-v2 has no fused multiply-add: its bits differ
#else
inline V broadcast(float s) { return (V)vdupq_n_f32(s); }
inline V fma(V a, V b, V c) { return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#endif

#define UNROLL _Pragma("GCC unroll 32")
#define INLINE inline __attribute__((always_inline))

// A value that several multiply-adds share: the compiler would otherwise load it again for each of them.
inline V load_shared(const float* p) {
    V v = load(p);
    asm("" : ANY_VECTOR(v));
    return v;
}

// The compiler would otherwise carry what one step of a loop loaded into the next, in registers that the
// sums need.
#define OPAQUE(pointer) asm("" : "+r"(pointer))

// The larger of two, b where they are equal or either is NaN.
#if defined(__AVX512F__)
inline V larger(V a, V b) { return (V)_mm512_max_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__)
inline V larger(V a, V b) { return (V)_mm256_max_ps((__m256)a, (__m256)b); }
#elif defined(__x86_64__)
inline V larger(V a, V b) { return (V)_mm_max_ps((__m128)a, (__m128)b); }
#else
inline V larger(V a, V b) { return a > b ? a : b; }
#endif

// VL bytes as floats; the compiler's own way takes them one by one.
#if defined(__AVX512F__)
inline V from_bytes(const void* p) { return (V)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p))); }
#elif defined(__AVX2__)
inline V from_bytes(const void* p) { return (V)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p))); }
#elif defined(__x86_64__)
inline V from_bytes(const void* p) { return (V)_mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_loadu_si32(p))); }
#else
inline V from_bytes(const void* p) {
    const unsigned char* bytes = static_cast<const unsigned char*>(p);
    return V{float(bytes[0]), float(bytes[1]), float(bytes[2]), float(bytes[3])};
}
#endif

// p[k] += v[k] for the first `count` of them.
inline void add_first(float* p, V v, int count) {
#if defined(__AVX512F__)
    const __mmask16 mask = __mmask16((1u << count) - 1u);
    _mm512_mask_storeu_ps(p, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, p), (__m512)v));
#else
    for (int k = 0; k < count; ++k) p[k] += v[k];
#endif
}

inline V relu(V v) { return larger(V{}, v); }  // a NaN stays one

// relu, leaky relu and linear are one thing: the slope below zero.
inline V activate(V v, V slope) { return v > 0.0f ? v : v * slope; }

// The gradient through an activation, from the activation's own value.
inline V through(V gradient, V value, V slope) { return value > 0.0f ? gradient : gradient * slope; }

// The sum over the 16 lanes at p, always in this order: l + (l + 8), then + (l + 4), (l + 2), (l + 1).
inline float lane_sum(const float* p) {
    const V4 s = (load4(p) + load4(p + 8)) + (load4(p + 4) + load4(p + 12));
    return (s[0] + s[2]) + (s[1] + s[3]);
}

// The sums of four times 16 lanes, in the order of lane_sum.
INLINE V4 lane_sums(const float* p) {
    V4 s[4];
    UNROLL for (int k = 0; k < 4; ++k, p += LANES) s[k] = (load4(p) + load4(p + 8)) + (load4(p + 4) + load4(p + 12));
    const V4 a = __builtin_shufflevector(s[0], s[1], 0, 1, 4, 5) + __builtin_shufflevector(s[0], s[1], 2, 3, 6, 7);
    const V4 b = __builtin_shufflevector(s[2], s[3], 0, 1, 4, 5) + __builtin_shufflevector(s[2], s[3], 2, 3, 6, 7);
    return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

// to[k] += lane_sum of row k, for `count` rows of 16.
INLINE void add_lane_sums(const float (*rows)[LANES], int count, float* to) {
    int k = 0;
    for (; k + 4 <= count; k += 4) store4(to + k, load4(to + k) + lane_sums(rows[k]));
    for (; k < count; ++k) to[k] += lane_sum(rows[k]);
}

}  // namespace
