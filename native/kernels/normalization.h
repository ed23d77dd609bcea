// Batch norm and PReLU: what one chunk adds to the sums of its channels, and what is done with the sums.
// The order in which a sum takes its terms is the same on every instruction set.
#pragma once

#include "kernels.h"
#include "simd.h"
#include "pool.h"

namespace {

using smidgen::ChannelSums;
using smidgen::Normalization;
using smidgen::Slopes;

// The sum of term(y, x, lane) over a map, in four turns, then over the first `lanes` lanes.
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
    for (int lane = lanes; lane < LANES; ++lane) sums[lane] = 0.0f;  // nobody's images
    return lane_sum(sums);
}

void channel_sums(const ChannelSums& s) {
    for (int c = 0; c < s.map.channels; ++c)
        s.sums[c] = map_sum(s.map, s.lanes, [&](int y, int x, int lane) { return load(at(s.map, c, y, x) + lane); });
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

// Calls f(p, q) for every vector of a channel of two maps of one size.
template <typename F>
void each_pair(const Map& a, const Map& b, int channel, F f) {
    for (int y = 0; y < a.height; ++y)
        for (int x = 0; x < a.width; ++x)
            for (int lane = 0; lane < LANES; lane += VL) f(at(a, channel, y, x) + lane, at(b, channel, y, x) + lane, lane);
}

void normalize(const Normalization& n) {
    const V slope = broadcast(n.slope);
    for (int c = 0; c < n.in.channels; ++c) {
        const V centre = broadcast(n.mean[c]), factor = broadcast(n.scale[c] * n.inverse_std[c]), shift = broadcast(n.shift[c]);
        each_pair(n.in, n.out, c, [&](const float* in, float* out, int) {
            store(out, activate((load(in) - centre) * factor + shift, slope));
        });
    }
}

// Of each channel: the sum of the gradients, and of the gradients times what they normalize.
void normalize_sums(const Normalization& n) {
    for (int c = 0; c < n.in.channels; ++c) {
        const V centre = broadcast(n.mean[c]), inverse = broadcast(n.inverse_std[c]);
        n.sums[c] = map_sum(n.out, n.lanes, [&](int y, int x, int lane) { return load(at(n.out, c, y, x) + lane); });
        n.sums[n.in.channels + c] = map_sum(n.out, n.lanes, [&](int y, int x, int lane) {
            return load(at(n.out, c, y, x) + lane) * ((load(at(n.in, c, y, x) + lane) - centre) * inverse);
        });
    }
}

// Ioffe & Szegedy 2015, section 3; `sums` are now means over the batch.
void normalize_backward(const Normalization& n) {
    const V slope = broadcast(n.slope), zero = {};
    V present[LANES / VL];
    for (int lane = 0; lane < LANES; ++lane) present[lane / VL][lane % VL] = lane < n.lanes ? 1.0f : 0.0f;
    for (int c = 0; c < n.in.channels; ++c) {
        const V centre = broadcast(n.mean[c]), inverse = broadcast(n.inverse_std[c]);
        const V factor = broadcast(n.scale[c] * n.inverse_std[c]);
        const V mean = broadcast(n.sums[c]), product = broadcast(n.sums[n.in.channels + c]);
        each_pair(n.in, n.out, c, [&](float* in, const float* out, int lane) {
            const V value = load(in), hat = (value - centre) * inverse;
            const V gradient = (load(out) - mean - hat * product) * factor;
            store(in, through(present[lane / VL] > zero ? gradient : zero, value, slope));
        });
    }
}

void prelu(const Slopes& s) {
    for (int c = 0; c < s.in.channels; ++c) {
        const V slope = broadcast(s.slopes[c]);
        each_pair(s.in, s.out, c, [&](const float* in, float* out, int) { store(out, activate(load(in), slope)); });
    }
}

void prelu_backward(const Slopes& s) {
    const V below = broadcast(s.in_slope), zero = {};
    for (int c = 0; c < s.in.channels; ++c) {
        const V slope = broadcast(s.slopes[c]);
        s.gradient[c] += map_sum(s.out, LANES, [&](int y, int x, int lane) {
            const V value = load(at(s.in, c, y, x) + lane);
            return value > zero ? zero : load(at(s.out, c, y, x) + lane) * value;
        });
        if (!s.down) continue;
        each_pair(s.in, s.out, c, [&](float* in, const float* out, int) {
            const V value = load(in);
            store(in, through(through(load(out), value, slope), value, below));
        });
    }
}

}  // namespace
