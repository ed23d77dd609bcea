// Any processor: 4 lanes in the compiler's own vectors, fused multiply-add where the processor has one.
#pragma once

#define VECTOR_LANES 4
#define VECTOR_REGISTERS 16
#define ANY_VECTOR(v) "+m"(v)
#if defined(__FP_FAST_FMAF) || defined(__FMA__)
#define FUSED_MULTIPLY_ADD true
#else
#define FUSED_MULTIPLY_ADD false
#endif

namespace {

typedef float V __attribute__((vector_size(16)));

inline V broadcast(float s) { return V{s, s, s, s}; }

inline V fma(V a, V b, V c) {
#if defined(__FP_FAST_FMAF) || defined(__FMA__)
    return V{__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]), __builtin_fmaf(a[2], b[2], c[2]),
             __builtin_fmaf(a[3], b[3], c[3])};
#else
    return a * b + c;
#endif
}

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
