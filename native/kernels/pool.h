// Pooling in one pass; the backward pass is in place over the input.
#pragma once

#include "kernels.h"
#include "maps.h"
#include "simd.h"

namespace {

using smidgen::Pool;

// Calls f(in, out) for the window of every output, once per group of lanes.
template <typename F>
void windows(const Pool& p, F f) {
    for (int c = 0; c < p.out.channels; ++c)
        for (int y = 0; y < p.out.height; ++y)
            for (int x = 0; x < p.out.width; ++x)
                for (int lane = 0; lane < LANES; lane += VL)
                    f(at(p.in, c, y * p.size_y, x * p.size_x) + lane, at(p.out, c, y, x) + lane);
}

// Rows and columns that no window covers have no gradient.
void clear_remainder(const Pool& p) {
    const int height = p.out.height * p.size_y, width = p.out.width * p.size_x;
    for (int c = 0; c < p.in.channels; ++c)
        for (int y = 0; y < p.in.height; ++y)
            for (int x = y < height ? width : 0; x < p.in.width; ++x)
                for (int lane = 0; lane < LANES; lane += VL) store(at(p.in, c, y, x) + lane, V{});
}

// Propagates NaN: comparisons drop it, so the window's sum is tested.
void max_pool_any(const Pool& p) {
    windows(p, [&](const float* in, float* out) {
        V most = load(in), sum = {};
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) {
                const V value = load(in + j * p.in.row + i * LANES);
                most = value > most ? value : most;
                sum += value;
            }
        store(out, sum == sum ? most : sum);
    });
}

// Finds the maximum again; of several equal ones, the first takes the whole gradient.
void max_pool_backward_any(const Pool& p) {
    const V slope = broadcast(p.slope), zero = {};
    windows(p, [&](float* in, const float* out) {
        V most = load(in);
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) {
                const V value = load(in + j * p.in.row + i * LANES);
                most = value > most ? value : most;
            }
        V gradient = load(out);
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) {
                float* position = in + j * p.in.row + i * LANES;
                const V value = load(position);
                store(position, value == most ? through(gradient, value, slope) : zero);
                gradient = value == most ? zero : gradient;
            }
    });
}

// The same for windows of 2 x 2, whose four values stay in registers.
struct Four {
    V a, b, c, d;

    explicit Four(const Pool& p, const float* in)
        : a(load(in)), b(load(in + LANES)), c(load(in + p.in.row)), d(load(in + p.in.row + LANES)) {}

    V most() const { return larger(larger(larger(a, b), c), d); }
};

void max_pool_two(const Pool& p) {
    windows(p, [&](const float* in, float* out) {
        const Four f(p, in);
        const V sum = (f.a + f.b) + (f.c + f.d);
        store(out, sum == sum ? f.most() : sum);
    });
}

void max_pool_backward_two(const Pool& p) {
    const V slope = broadcast(p.slope), zero = {};
    windows(p, [&](float* in, const float* out) {
        const Four f(p, in);
        const V most = f.most(), gradient = through(load(out), most, slope);
        const VI a = f.a == most, b = (f.b == most) & ~a, c = (f.c == most) & ~a & ~b, d = (f.d == most) & ~a & ~b & ~c;
        store(in, a ? gradient : zero);
        store(in + LANES, b ? gradient : zero);
        store(in + p.in.row, c ? gradient : zero);
        store(in + p.in.row + LANES, d ? gradient : zero);
    });
}

bool is_two(const Pool& p) { return p.size_y == 2 && p.size_x == 2; }

void max_pool(const Pool& p) { is_two(p) ? max_pool_two(p) : max_pool_any(p); }

void max_pool_backward(const Pool& p) {
    is_two(p) ? max_pool_backward_two(p) : max_pool_backward_any(p);
    clear_remainder(p);
}

void avg_pool_any(const Pool& p) {
    const V share = broadcast(1.0f / float(p.size_y * p.size_x));
    windows(p, [&](const float* in, float* out) {
        V sum = {};
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) sum += load(in + j * p.in.row + i * LANES);
        store(out, sum * share);
    });
}

void avg_pool_two(const Pool& p) {
    const V share = broadcast(0.25f);
    windows(p, [&](const float* in, float* out) {
        const Four f(p, in);
        store(out, (f.a + f.b + f.c + f.d) * share);
    });
}

void avg_pool_backward_any(const Pool& p) {
    const V slope = broadcast(p.slope), share = broadcast(1.0f / float(p.size_y * p.size_x));
    windows(p, [&](float* in, const float* out) {
        const V gradient = load(out) * share;
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) {
                float* position = in + j * p.in.row + i * LANES;
                store(position, through(gradient, load(position), slope));
            }
    });
}

void avg_pool_backward_two(const Pool& p) {
    const V slope = broadcast(p.slope), share = broadcast(0.25f);
    windows(p, [&](float* in, const float* out) {
        const V above = load(out) * share, below = above * slope, zero = {};
        const Four f(p, in);
        store(in, f.a > zero ? above : below);
        store(in + LANES, f.b > zero ? above : below);
        store(in + p.in.row, f.c > zero ? above : below);
        store(in + p.in.row + LANES, f.d > zero ? above : below);
    });
}

void avg_pool(const Pool& p) { is_two(p) ? avg_pool_two(p) : avg_pool_any(p); }

void avg_pool_backward(const Pool& p) {
    is_two(p) ? avg_pool_backward_two(p) : avg_pool_backward_any(p);
    clear_remainder(p);
}

}  // namespace
