// Interleaves sixteen images, which lie anywhere in memory, into [pixel][16] floats.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd.h"

namespace {

typedef uint8_t B16 __attribute__((vector_size(16)));
typedef uint8_t B16u __attribute__((vector_size(16), aligned(1), may_alias));

#define INTERLEAVE(a, b, k)                                                                            \
    __builtin_shufflevector(a, b, k, k + 16, k + 1, k + 17, k + 2, k + 18, k + 3, k + 19, k + 4, k + 20, \
                            k + 5, k + 21, k + 6, k + 22, k + 7, k + 23)

// Four rounds of interleaving row r with row r + 8 transpose 16 x 16 bytes.
inline void transpose_bytes(B16* rows) {
    UNROLL for (int round = 0; round < 4; ++round) {
        B16 next[16];
        UNROLL for (int r = 0; r < 8; ++r) {
            next[2 * r] = INTERLEAVE(rows[r], rows[r + 8], 0);
            next[2 * r + 1] = INTERLEAVE(rows[r], rows[r + 8], 8);
        }
        UNROLL for (int r = 0; r < 16; ++r) rows[r] = next[r];
    }
}

void load_bytes(const uint8_t* const* rows, ptrdiff_t pixels, float* out) {
    constexpr float scale = 1.0f / 255.0f;
    const V factor = broadcast(scale);
    ptrdiff_t p = 0;
    for (; p + 16 <= pixels; p += 16) {
        B16 block[16];
        UNROLL for (int r = 0; r < 16; ++r) block[r] = *reinterpret_cast<const B16u*>(rows[r] + p);
        transpose_bytes(block);
        UNROLL for (int k = 0; k < 16; ++k)
            UNROLL for (int lane = 0; lane < LANES; lane += VL) {
                const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&block[k]) + lane;
                store(out + (p + k) * LANES + lane, from_bytes(bytes) * factor);
            }
    }
    for (; p < pixels; ++p)
        for (int lane = 0; lane < LANES; ++lane) out[p * LANES + lane] = float(int(rows[lane][p])) * scale;
}

void load_floats(const float* const* rows, ptrdiff_t pixels, float* out) {
    for (ptrdiff_t p = 0; p < pixels; ++p)
        for (int lane = 0; lane < LANES; ++lane) out[p * LANES + lane] = rows[lane][p];
}

}  // namespace
