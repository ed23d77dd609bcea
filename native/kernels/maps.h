// Loops over the vectors of maps, shared by several kernels.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace {

using smidgen::Map;

inline int least(int a, int b) { return a < b ? a : b; }

inline float* at(const Map& map, int channel, int y, int x) {
    return map.data + channel * map.plane + y * map.row + ptrdiff_t(x) * LANES;
}

// The sum of term(y, x, lane) over a map, as four partial sums, then over the first `lanes` lanes. The terms are added
// in the same order on every instruction set.
template <typename F>
float map_sum(const Map& map, int lanes, F term) {
    float sums[LANES];
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[4] = {};
        for (int y = 0; y < map.height; ++y) {
            int x = 0;
            for (; x + 4 <= map.width; x += 4)
                UNROLL for (int k = 0; k < 4; ++k) sum[k] += term(y, x + k, lane);
            for (; x < map.width; ++x) sum[0] += term(y, x, lane);
        }
        store(sums + lane, (sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    for (int lane = lanes; lane < LANES; ++lane) sums[lane] = 0.0f;  // lanes without an image
    return lane_sum(sums);
}

// Calls f(p, q, lane) for every vector of a channel of two maps of one size.
template <typename F>
void each_pair(const Map& a, const Map& b, int channel, F f) {
    const int height = a.height;
    const ptrdiff_t row = ptrdiff_t(a.width) * LANES;
    for (int y = 0; y < height; ++y) {
        float *p = at(a, channel, y, 0), *q = at(b, channel, y, 0);
        for (ptrdiff_t k = 0; k < row; k += VL) f(p + k, q + k, int(k % LANES));
    }
}

}  // namespace
