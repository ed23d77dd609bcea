// NEON: 4 lanes, 32 registers, fused multiply-add.
#pragma once

#include <arm_neon.h>

#define VECTOR_LANES 4
#define VECTOR_REGISTERS 32
#define FUSED_MULTIPLY_ADD true
#define ANY_VECTOR(v) "+w"(v)

namespace {

typedef float V __attribute__((vector_size(16)));

inline V broadcast(float s) { return (V)vdupq_n_f32(s); }

inline V fma(V a, V b, V c) { return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }

// The larger of two, b where they are equal or either is NaN.
inline V larger(V a, V b) { return a > b ? a : b; }

inline V from_bytes(const void* p) {
    const unsigned char* bytes = static_cast<const unsigned char*>(p);
    return V{float(bytes[0]), float(bytes[1]), float(bytes[2]), float(bytes[3])};
}

// p[k] += v[k] for the first `count` lanes.
inline void add_first(float* p, V v, int count) {
    for (int k = 0; k < count; ++k) p[k] += v[k];
}

}  // namespace
