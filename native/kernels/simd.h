// One vector of the instruction set that this translation unit is compiled for.
//
// Every kernel works on LANES = 16 images at once, whatever the vector length: a chunk of 16 images is
// one AVX-512 vector, two AVX2 vectors or four SSE or NEON vectors. Each lane sees the same operations in
// the same order on every instruction set that has a fused multiply-add, so the results are the same bits.
//
// Kernel files use no template of the standard library: it would become a weak symbol, of which the
// linker keeps one copy, possibly the AVX-512 one, for every instruction set.
#pragma once

#include "kernels.h"

namespace {

using smidgen::LANES;

typedef float V4 __attribute__((vector_size(16)));
typedef float V4u __attribute__((vector_size(16), aligned(4), may_alias));

inline V4 load4(const float* p) { return *reinterpret_cast<const V4u*>(p); }
inline void store4(float* p, V4 v) { *reinterpret_cast<V4u*>(p) = v; }

}  // namespace

#if defined(__SANITIZE_ADDRESS__)
#define UNROLL  // unrolled loops with a check at every access would take half an hour to compile
#elif defined(__clang__)
#define UNROLL _Pragma("unroll 32")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define INLINE inline __attribute__((always_inline))

// GCC before 12 has this builtin under another name, with the lanes as a vector of integers.
#if !defined(__clang__) && __GNUC__ < 12
#define __builtin_shufflevector(a, b, ...) __builtin_shuffle(a, b, (decltype((a) == (b))){__VA_ARGS__})
#endif

// Each of these defines VECTOR_LANES, VECTOR_REGISTERS, FUSED_MULTIPLY_ADD, ANY_VECTOR (an operand of inline assembly
// in a vector register), the vector V, and broadcast, fma, larger, from_bytes, add_first.
#if defined(SMIDGEN_GENERIC)
#include "simd_generic.h"
#elif defined(__AVX512F__)
#include "simd_avx512.h"
#elif defined(__AVX2__)
#include "simd_avx2.h"
#elif defined(__x86_64__)
#include "simd_sse4.h"
#elif defined(__aarch64__)
#include "simd_neon.h"
#else
#include "simd_generic.h"
#endif

namespace {

constexpr int VL = VECTOR_LANES;

typedef int VI __attribute__((vector_size(4 * VL)));
typedef unsigned VU __attribute__((vector_size(4 * VL)));
typedef float Vu __attribute__((vector_size(4 * VL), aligned(4), may_alias));

inline V load(const float* p) { return *reinterpret_cast<const Vu*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<Vu*>(p) = v; }

// Loads a value that several multiply-adds share: the compiler would otherwise load it again for each of them.
inline V load_shared(const float* p) {
    V v = load(p);
    asm("" : ANY_VECTOR(v));
    return v;
}

// Hides where a pointer comes from. The compiler would otherwise keep what one step of a loop loaded for the next,
// in registers that the sums need.
#define OPAQUE(pointer) asm("" : "+r"(pointer))

inline V relu(V v) { return larger(V{}, v); }  // a NaN stays one

// relu, leaky relu and linear differ in their slope below zero only.
inline V activate(V v, V slope) { return v > 0.0f ? v : v * slope; }

// The gradient through an activation, from the activation's own value.
inline V through(V gradient, V value, V slope) { return value > 0.0f ? gradient : gradient * slope; }

// The same with a ceiling, at and above which the gradient is zero.
struct Activation {
    V slope, ceiling;
};

inline Activation activation_of(float slope, float ceiling) { return {broadcast(slope), broadcast(ceiling)}; }

inline V activate(V v, Activation a) { return v > 0.0f ? (v < a.ceiling ? v : a.ceiling) : v * a.slope; }

inline V through(V gradient, V value, Activation a) {
    return value > 0.0f ? (value < a.ceiling ? gradient : V{}) : gradient * a.slope;
}

// The sum over the 16 lanes at p, always in this order: l + (l + 8), then + (l + 4), (l + 2), (l + 1).
inline float lane_sum(const float* p) {
    const V4 s = (load4(p) + load4(p + 8)) + (load4(p + 4) + load4(p + 12));
    return (s[0] + s[2]) + (s[1] + s[3]);
}

// The sums of four rows of 16 lanes, in the order of lane_sum.
INLINE V4 lane_sums(const float (*rows)[LANES]) {
    V4 s[4];
    UNROLL for (int k = 0; k < 4; ++k) {
        const float* p = rows[k];
        s[k] = (load4(p) + load4(p + 8)) + (load4(p + 4) + load4(p + 12));
    }
    const V4 a = __builtin_shufflevector(s[0], s[1], 0, 1, 4, 5) + __builtin_shufflevector(s[0], s[1], 2, 3, 6, 7);
    const V4 b = __builtin_shufflevector(s[2], s[3], 0, 1, 4, 5) + __builtin_shufflevector(s[2], s[3], 2, 3, 6, 7);
    return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

// to[k] += lane_sum of row k, for `count` rows of 16.
INLINE void add_lane_sums(const float (*rows)[LANES], int count, float* to) {
    int k = 0;
    for (; k + 4 <= count; k += 4) store4(to + k, load4(to + k) + lane_sums(rows + k));
    for (; k < count; ++k) to[k] += lane_sum(rows[k]);
}

}  // namespace
