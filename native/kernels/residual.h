// The layers without weights of residual networks and of concatenated relus.
#pragma once

#include "kernels.h"
#include "maps.h"
#include "simd.h"

namespace {

using smidgen::Addition;
using smidgen::CRelu;

// Calls f(first, second, out, lane) for every vector of three maps of one size.
template <typename F>
void each_triple(const Addition& a, F f) {
    for (int c = 0; c < a.out.channels; ++c)
        for (int y = 0; y < a.out.height; ++y) {
            const float *first = at(a.first, c, y, 0), *second = at(a.second, c, y, 0);
            float* out = at(a.out, c, y, 0);
            for (ptrdiff_t k = 0; k < ptrdiff_t(a.out.width) * LANES; k += VL) f(first + k, second + k, out + k);
        }
}

void add(const Addition& a) {
    const Activation activation = activation_of(a.slope, a.ceiling);
    each_triple(a, [=](const float* first, const float* second, float* out) {
        store(out, activate(load(first) + load(second), activation));
    });
}

void add_backward(const Addition& a) {
    const Activation below = activation_of(a.slope, a.ceiling);
    if (!a.second.data) {
        Addition single = a;
        single.second = a.first;
        return each_triple(single, [=](const float* first, const float*, float* out) {
            store(out, through(load(first), load(out), below));
        });
    }
    each_triple(a, [=](const float* first, const float* second, float* out) {
        store(out, through(load(first) + load(second), load(out), below));
    });
}

// Shang et al. 2016, arXiv 1603.05201, section 2.2.
void crelu(const CRelu& s) {
    for (int c = 0; c < s.in.channels; ++c) {
        each_pair(s.in, s.out, c, [](const float* in, float* out, int) { store(out, relu(load(in))); });
        Map negative = s.out;
        negative.data += s.in.channels * s.out.plane;
        each_pair(s.in, negative, c, [](const float* in, float* out, int) { store(out, relu(-load(in))); });
    }
}

void crelu_backward(const CRelu& s) {
    const Activation below = activation_of(s.slope, s.ceiling);
    const V zero = {};
    const ptrdiff_t negative = s.in.channels * s.out.plane;
    for (int c = 0; c < s.in.channels; ++c)
        each_pair(s.in, s.out, c, [=](float* in, const float* out, int) {
            const V value = load(in);
            const V gradient = value > zero ? load(out) : value < zero ? -load(out + negative) : zero;
            store(in, through(gradient, value, below));
        });
}

}  // namespace
