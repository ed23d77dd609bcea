// PReLU: one trained slope a channel (He et al. 2015, arXiv 1502.01852).
#pragma once

#include "kernels.h"
#include "maps.h"
#include "simd.h"

namespace {

using smidgen::PRelu;

void prelu(const PRelu& s) {
    for (int c = 0; c < s.in.channels; ++c) {
        const V slope = broadcast(s.slopes[c]);
        each_pair(s.in, s.out, c, [&](const float* in, float* out, int) { store(out, activate(load(in), slope)); });
    }
}

void prelu_backward(const PRelu& s) {
    const Activation below = activation_of(s.in_slope, s.in_ceiling);
    const V zero = {};
    for (int c = 0; c < s.in.channels; ++c) {
        const V slope = broadcast(s.slopes[c]);
        s.gradient[c] += map_sum(s.out, LANES, [&](int y, int x, int lane) {
            const V value = load(at(s.in, c, y, x) + lane);
            return value > zero ? zero : load(at(s.out, c, y, x) + lane) * value;
        });
        if (!s.needs_input_gradient) continue;
        each_pair(s.in, s.out, c, [&](float* in, const float* out, int) {
            const V value = load(in);
            store(in, through(through(load(out), value, slope), value, below));
        });
    }
}

}  // namespace
