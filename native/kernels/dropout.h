// Dropout, in place; the backward pass draws the same mask from the same seed.
#pragma once

#include "kernels.h"
#include "maps.h"
#include "simd.h"

namespace {

using smidgen::Dropout;

inline uint64_t splitmix(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// Multiplies by 0 or 1 / (1 - rate): values forward, gradients backward. Each lane has a xorshift generator of its own
// (Marsaglia 2003). The plan admits rates in [0, 1) only, so that the threshold fits an unsigned.
void dropout(const Dropout& d) {
    const unsigned threshold = unsigned(double(d.rate) * 4294967296.0);
    const V keep = broadcast(1.0f / (1.0f - d.rate)), zero = {};
    for (int lane = 0; lane < LANES; lane += VL) {
        VU state;
        for (int k = 0; k < VL; ++k) state[k] = unsigned(splitmix(d.seed + uint64_t(lane + k))) | 1u;
        for (int c = 0; c < d.map.channels; ++c)
            for (int y = 0; y < d.map.height; ++y)
                for (int x = 0; x < d.map.width; ++x) {
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    float* p = at(d.map, c, y, x) + lane;
                    store(p, load(p) * (state >= threshold ? keep : zero));
                }
    }
}

}  // namespace
