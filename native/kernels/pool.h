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
    const int channels = p.out.channels, height = p.out.height, width = p.out.width;
    const ptrdiff_t step = p.stride_x * ptrdiff_t(LANES);
    for (int c = 0; c < channels; ++c)
        for (int y = 0; y < height; ++y) {
            float *in = at(p.in, c, y * p.stride_y, 0), *out = at(p.out, c, y, 0);
            for (int x = 0; x < width; ++x, in += step, out += LANES)
                for (int lane = 0; lane < LANES; lane += VL) f(in + lane, out + lane);
        }
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
    const Activation below = activation_of(p.slope, p.ceiling);
    const V zero = {};
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
                store(position, value == most ? through(gradient, value, below) : zero);
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
    const Activation below = activation_of(p.slope, p.ceiling);
    const V zero = {};
    windows(p, [&](float* in, const float* out) {
        const Four f(p, in);
        const V most = f.most(), gradient = through(load(out), most, below);
        const VI a = f.a == most, b = (f.b == most) & ~a, c = (f.c == most) & ~a & ~b, d = (f.d == most) & ~a & ~b & ~c;
        store(in, a ? gradient : zero);
        store(in + LANES, b ? gradient : zero);
        store(in + p.in.row, c ? gradient : zero);
        store(in + p.in.row + LANES, d ? gradient : zero);
    });
}

bool is_two(const Pool& p) { return p.size_y == 2 && p.size_x == 2 && p.stride_y == 2 && p.stride_x == 2; }

// Whether the windows tile the map, so that each input belongs to one window at most and the gradient can be in place.
bool is_tiled(const Pool& p) { return p.size_y == p.stride_y && p.size_x == p.stride_x; }

// Any other windows, channel by channel: the activations are copied to the scratch memory, `add` adds the gradient of one
// window to gradients that begin as zero, and the sums go through the activation below.
template <typename F>
void pool_backward_copied(Pool p, F add) {
    const Activation below = activation_of(p.slope, p.ceiling);
    const int channels = p.in.channels;
    p.in.channels = p.out.channels = 1;
    const ptrdiff_t row = ptrdiff_t(p.in.width) * LANES;
    const Map copy{p.scratch, 1, p.in.height, p.in.width, p.in.height * row, row};
    for (int c = 0; c < channels; ++c, p.in.data += p.in.plane, p.out.data += p.out.plane) {
        each_pair(p.in, copy, 0, [](float* in, float* value, int) { store(value, load(in)), store(in, V{}); });
        for (int y = 0; y < p.out.height; ++y)
            for (int x = 0; x < p.out.width; ++x)
                for (int lane = 0; lane < LANES; lane += VL)
                    add(at(copy, 0, y * p.stride_y, x * p.stride_x) + lane, row,
                        at(p.in, 0, y * p.stride_y, x * p.stride_x) + lane, load(at(p.out, 0, y, x) + lane));
        each_pair(p.in, copy, 0, [=](float* in, const float* value, int) { store(in, through(load(in), load(value), below)); });
    }
}

void max_pool_backward_copied(const Pool& p) {
    pool_backward_copied(p, [&](const float* values, ptrdiff_t row, float* gradients, V gradient) {
        V most = load(values);
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) {
                const V value = load(values + j * row + i * LANES);
                most = value > most ? value : most;
            }
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) {
                const VI first = load(values + j * row + i * LANES) == most;
                float* to = gradients + j * p.in.row + i * LANES;
                store(to, load(to) + (first ? gradient : V{}));
                gradient = first ? V{} : gradient;
            }
    });
}

void max_pool(const Pool& p) { is_two(p) ? max_pool_two(p) : max_pool_any(p); }

void max_pool_backward(const Pool& p) {
    if (!is_tiled(p)) return max_pool_backward_copied(p);
    is_two(p) ? max_pool_backward_two(p) : max_pool_backward_any(p);
    clear_remainder(p);
}

V share_of(const Pool& p) { return broadcast(1.0f / (float(p.size_y) * float(p.size_x))); }

// A sum of this many values is exact to 1e-5 one after the other. Larger windows are halved until their parts are as small:
// the error of a sum grows with the length of its longest chain of additions.
constexpr ptrdiff_t CHAINED_VALUES = 1024;

// The sum of `count` values of a window, row after row from value `first` on.
V window_sum(const Pool& p, const float* in, ptrdiff_t first, ptrdiff_t count) {
    if (count > CHAINED_VALUES) {
        const ptrdiff_t half = count / 2;
        return window_sum(p, in, first, half) + window_sum(p, in, first + half, count - half);
    }
    V sum = {};
    ptrdiff_t j = first / p.size_x, i = first % p.size_x;
    for (ptrdiff_t k = 0; k < count; ++k) {
        sum += load(in + j * p.in.row + i * LANES);
        if (++i == p.size_x) i = 0, ++j;
    }
    return sum;
}

void avg_pool_any(const Pool& p) {
    const V share = share_of(p);
    const bool is_long = ptrdiff_t(p.size_y) * p.size_x > CHAINED_VALUES;
    windows(p, [&](const float* in, float* out) {
        V sum = {};
        for (int j = 0; j < p.size_y && !is_long; ++j)
            for (int i = 0; i < p.size_x; ++i) sum += load(in + j * p.in.row + i * LANES);
        if (is_long) sum = window_sum(p, in, 0, ptrdiff_t(p.size_y) * p.size_x);
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
    const Activation below = activation_of(p.slope, p.ceiling);
    const V share = share_of(p);
    windows(p, [&](float* in, const float* out) {
        const V gradient = load(out) * share;
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) {
                float* position = in + j * p.in.row + i * LANES;
                store(position, through(gradient, load(position), below));
            }
    });
}

void avg_pool_backward_two(const Pool& p) {
    const Activation below = activation_of(p.slope, p.ceiling);
    const V share = broadcast(0.25f);
    windows(p, [&](float* in, const float* out) {
        const V gradient = load(out) * share;
        const Four f(p, in);
        store(in, through(gradient, f.a, below));
        store(in + LANES, through(gradient, f.b, below));
        store(in + p.in.row, through(gradient, f.c, below));
        store(in + p.in.row + LANES, through(gradient, f.d, below));
    });
}

void avg_pool(const Pool& p) { is_two(p) ? avg_pool_two(p) : avg_pool_any(p); }

void avg_pool_backward_copied(const Pool& p) {
    const V share = share_of(p);
    pool_backward_copied(p, [&](const float*, ptrdiff_t, float* gradients, V gradient) {
        for (int j = 0; j < p.size_y; ++j)
            for (int i = 0; i < p.size_x; ++i) {
                float* to = gradients + j * p.in.row + i * LANES;
                store(to, load(to) + gradient * share);
            }
    });
}

void avg_pool_backward(const Pool& p) {
    if (!is_tiled(p)) return avg_pool_backward_copied(p);
    is_two(p) ? avg_pool_backward_two(p) : avg_pool_backward_any(p);
    clear_remainder(p);
}

}  // namespace
