// Batch norm: what one chunk adds to the sums of its channels, and how its values are normalized with them.
#pragma once

#include "kernels.h"
#include "maps.h"
#include "simd.h"

namespace {

using smidgen::ChannelSums;
using smidgen::Normalization;

void channel_sums(const ChannelSums& s) {
    for (int c = 0; c < s.map.channels; ++c)
        s.sums[c] = map_sum(s.map, s.lanes, [&](int y, int x, int lane) {
            const float* p = at(s.map, c, y, x) + lane;
            __builtin_prefetch(p + s.ahead);
            return load(p);
        });
}

void channel_squares(const ChannelSums& s) {
    for (int c = 0; c < s.map.channels; ++c) {
        const V centre = broadcast(s.centre[c]);
        s.sums[c] = map_sum(s.map, s.lanes, [&](int y, int x, int lane) {
            const V d = load(at(s.map, c, y, x) + lane) - centre;
            return d * d;
        });
    }
}

void normalize(const Normalization& n) {
    const Activation activation = activation_of(n.slope, n.ceiling);
    for (int c = 0; c < n.in.channels; ++c) {
        const V centre = broadcast(n.mean[c]), factor = broadcast(n.scale[c] * n.inverse_std[c]), shift = broadcast(n.shift[c]);
        each_pair(n.in, n.out, c, [&](const float* in, float* out, int) {
            __builtin_prefetch(out + n.ahead, 1);
            store(out, activate((load(in) - centre) * factor + shift, activation));
        });
    }
}

// Sums of one channel: of the gradients, and of the gradients times the normalized values. Each is in the order of
// map_sum.
void normalize_sums_of(const Normalization& n, int c) {
    const V centre = broadcast(n.mean[c]), inverse = broadcast(n.inverse_std[c]);
    const int width = n.out.width;
    float sums[2][LANES];
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[4] = {}, product[4] = {};
        for (int y = 0; y < n.out.height; ++y) {
            const float *gradients = at(n.out, c, y, 0) + lane, *values = at(n.in, c, y, 0) + lane;
            const auto add = [&](int x, int k) {
                __builtin_prefetch(gradients + ptrdiff_t(x) * LANES + n.ahead);
                __builtin_prefetch(values + ptrdiff_t(x) * LANES + n.ahead);
                const V gradient = load(gradients + ptrdiff_t(x) * LANES);
                sum[k] += gradient;
                product[k] += gradient * ((load(values + ptrdiff_t(x) * LANES) - centre) * inverse);
            };
            int x = 0;
            for (; x + 4 <= width; x += 4) UNROLL for (int k = 0; k < 4; ++k) add(x + k, k);
            for (; x < width; ++x) add(x, 0);
        }
        store(sums[0] + lane, (sum[0] + sum[1]) + (sum[2] + sum[3]));
        store(sums[1] + lane, (product[0] + product[1]) + (product[2] + product[3]));
    }
    for (int lane = n.lanes; lane < LANES; ++lane) sums[0][lane] = sums[1][lane] = 0.0f;  // lanes without an image
    n.sums[c] = lane_sum(sums[0]);
    n.sums[n.in.channels + c] = lane_sum(sums[1]);
}

void normalize_sums(const Normalization& n) {
    for (int c = 0; c < n.in.channels; ++c) normalize_sums_of(n, c);
}

// Ioffe & Szegedy 2015, section 3; `sums` are means over the batch here.
void normalize_backward(const Normalization& n) {
    const Activation below = activation_of(n.slope, n.ceiling);
    const V zero = {};
    V present[LANES / VL];
    for (int lane = 0; lane < LANES; ++lane) present[lane / VL][lane % VL] = lane < n.lanes ? 1.0f : 0.0f;
    for (int c = 0; c < n.in.channels; ++c) {
        const V centre = broadcast(n.mean[c]), inverse = broadcast(n.inverse_std[c]);
        const V factor = broadcast(n.scale[c] * n.inverse_std[c]);
        const V mean = broadcast(n.sums[c]), product = broadcast(n.sums[n.in.channels + c]);
        each_pair(n.in, n.out, c, [&](float* in, const float* out, int lane) {
            const V value = load(in), hat = (value - centre) * inverse;
            const V gradient = (load(out) - mean - hat * product) * factor;
            store(in, through(present[lane / VL] > zero ? gradient : zero, value, below));
        });
    }
}

}  // namespace
