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

void normalize(const Normalization& n) {
    const Activation activation = activation_of(n.slope, n.ceiling);
    for (int c = 0; c < n.in.channels; ++c) {
        const V centre = broadcast(n.mean[c]), factor = broadcast(n.scale[c] * n.inverse_std[c]), shift = broadcast(n.shift[c]);
        each_pair(n.in, n.out, c, [&](const float* in, float* out, int) {
            store(out, activate((load(in) - centre) * factor + shift, activation));
        });
    }
}

// Sums of each channel: of the gradients, and of the gradients times the normalized values.
void normalize_sums(const Normalization& n) {
    for (int c = 0; c < n.in.channels; ++c) {
        const V centre = broadcast(n.mean[c]), inverse = broadcast(n.inverse_std[c]);
        n.sums[c] = map_sum(n.out, n.lanes, [&](int y, int x, int lane) { return load(at(n.out, c, y, x) + lane); });
        n.sums[n.in.channels + c] = map_sum(n.out, n.lanes, [&](int y, int x, int lane) {
            return load(at(n.out, c, y, x) + lane) * ((load(at(n.in, c, y, x) + lane) - centre) * inverse);
        });
    }
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
