// Depthwise convolutions, forward and with respect to their input.
//
// A kernel of at most 3x3 stays in registers while its outputs are computed, up to four at a time. Larger kernels are
// convolutions of one channel each.
#pragma once

#include "convolution.h"
#include "kernels.h"
#include "simd.h"

namespace {

constexpr int SMALL_KERNEL = 3, BLOCK_COLUMNS = 4;

// Rows of outputs of one channel under which the same rows of the kernel are inside the map.
struct DepthwiseRows {
    const float *in, *weights;  // at the first kernel row inside the map
    V bias;
    float* out;
    ptrdiff_t out_step;
    int count;
};

// COLUMNS outputs next to each other. A sum takes its terms in the same order as in `tile`.
template <int KY, int KX, int STRIDE, int COLUMNS>
INLINE void depthwise_block(const Convolution& c, const V (&weight)[KY][KX], V bias, const float* in, float* out,
                            ptrdiff_t out_step) {
    V sum[1][COLUMNS];
    UNROLL for (int x = 0; x < COLUMNS; ++x) sum[0][x] = bias;
    UNROLL for (int j = 0; j < KY; ++j, in += c.in.row)
        UNROLL for (int v = 0; v < (COLUMNS - 1) * STRIDE + KX; ++v) {
            const V value = load_shared(in + v * LANES);
            UNROLL for (int i = 0; i < KX; ++i)
                if (v >= i && (v - i) % STRIDE == 0 && (v - i) / STRIDE < COLUMNS)
                    sum[0][(v - i) / STRIDE] = fma(weight[j][i], value, sum[0][(v - i) / STRIDE]);
        }
    finish<1, COLUMNS>(c, sum, out, out_step);
}

template <int KY, int KX, int STRIDE>
INLINE void depthwise_blocks(const Convolution& c, const V (&weight)[KY][KX], V bias, const float* in, float* out,
                             ptrdiff_t out_step) {
    int left = c.out.width;
    for (; left > BLOCK_COLUMNS + 1 || left == BLOCK_COLUMNS; left -= BLOCK_COLUMNS) {
        depthwise_block<KY, KX, STRIDE, BLOCK_COLUMNS>(c, weight, bias, in, out, out_step);
        in += BLOCK_COLUMNS * STRIDE * LANES, out += BLOCK_COLUMNS * out_step;
    }
    if (left >= 3) {
        depthwise_block<KY, KX, STRIDE, 3>(c, weight, bias, in, out, out_step);
        in += 3 * STRIDE * LANES, out += 3 * out_step, left -= 3;
    }
    if (left == 2) depthwise_block<KY, KX, STRIDE, 2>(c, weight, bias, in, out, out_step);
    if (left == 1) depthwise_block<KY, KX, STRIDE, 1>(c, weight, bias, in, out, out_step);
}

template <int KY, int KX, int STRIDE>
void depthwise_rows(const Convolution& c, const DepthwiseRows& r) {
    V weight[KY][KX];
    UNROLL for (int j = 0; j < KY; ++j)
        UNROLL for (int i = 0; i < KX; ++i) weight[j][i] = broadcast(r.weights[j * c.w_y + i * c.w_x]);
    for (int lane = 0; lane < LANES; lane += VL)
        for (int y = 0; y < r.count; ++y)
            depthwise_blocks<KY, KX, STRIDE>(c, weight, r.bias, r.in + y * c.stride_y * c.in.row + lane,
                                             r.out + y * c.out.row + lane, r.out_step);
}

// Outputs that no input reaches.
void depthwise_empty(const Convolution& c, const DepthwiseRows& r) {
    for (int y = 0; y < r.count; ++y)
        for (int x = 0; x < c.out.width; ++x)
            for (int lane = 0; lane < LANES; lane += VL) {
                V sum[1][1] = {{r.bias}};
                finish<1, 1>(c, sum, r.out + y * c.out.row + x * r.out_step + lane, r.out_step);
            }
}

using DepthwiseFunction = void (*)(const Convolution&, const DepthwiseRows&);

template <int STRIDE>
DepthwiseFunction find_depthwise(int rows, int columns) {
    switch (rows * 10 + columns) {
        case 11: return &depthwise_rows<1, 1, STRIDE>;
        case 12: return &depthwise_rows<1, 2, STRIDE>;
        case 13: return &depthwise_rows<1, 3, STRIDE>;
        case 21: return &depthwise_rows<2, 1, STRIDE>;
        case 22: return &depthwise_rows<2, 2, STRIDE>;
        case 23: return &depthwise_rows<2, 3, STRIDE>;
        case 31: return &depthwise_rows<3, 1, STRIDE>;
        case 32: return &depthwise_rows<3, 2, STRIDE>;
        case 33: return &depthwise_rows<3, 3, STRIDE>;
        default: return &depthwise_empty;
    }
}

// The kernel rows [first, first + count) that are inside the map under a row of outputs.
struct RowsInside {
    int first, count;

    RowsInside(const Convolution& c, int y) {
        const int top = y * c.stride_y + c.row0, end = c.in.height - top < c.kernel_y ? c.in.height - top : c.kernel_y;
        first = at_least_zero(-top), count = at_least_zero(end - first);
    }

    bool operator==(const RowsInside& other) const { return first == other.first && count == other.count; }
};

// All rows of one channel, or of one of its phases.
void depthwise_map(const Convolution& c, ptrdiff_t out_step) {
    const V bias = c.bias ? broadcast(*c.bias) : V{};
    for (int y = 0, end; y < c.out.height; y = end) {
        const RowsInside rows(c, y);
        for (end = y + 1; end < c.out.height && rows == RowsInside(c, end);) ++end;
        const auto function =
            c.stride_x == 2 ? find_depthwise<2>(rows.count, c.kernel_x) : find_depthwise<1>(rows.count, c.kernel_x);
        const int top = y * c.stride_y + c.row0 + rows.first;
        function(c, {.in = c.in.data + top * c.in.row + ptrdiff_t(c.col0) * LANES,
                     .weights = c.weights + rows.first * c.w_y,
                     .bias = bias,
                     .out = c.out.data + y * c.out.row,
                     .out_step = out_step,
                     .count = end - y});
    }
}

// Whether every row of outputs can be computed by depthwise_rows.
bool is_small(const Convolution& c) {
    if (!has_phases(c)) return c.kernel_y <= SMALL_KERNEL && c.kernel_x <= SMALL_KERNEL && c.stride_x <= 2;
    return c.kernel_y <= SMALL_KERNEL * c.stride_y && c.kernel_x <= SMALL_KERNEL * c.stride_x;
}

// What all channels have in common: the phases of a small kernel, of which a stride of 2 has four at most.
constexpr int MOST_PHASES = 4;

struct DepthwisePlan {
    Convolution parts[MOST_PHASES];
    ptrdiff_t out_step = LANES;
    int count = 0;  // 0: the channel is an ordinary convolution

    explicit DepthwisePlan(const Convolution& c) {
        if (!is_small(c)) return;
        if (!has_phases(c)) parts[count++] = c;
        else if (c.stride_y * c.stride_x <= MOST_PHASES) add_phases(c);
    }

    void add_phases(const Convolution& c) {
        out_step *= c.stride_x;
        for (int y = 0; y < c.stride_y && y < c.out.height; ++y)
            for (int x = 0; x < c.stride_x && x < c.out.width; ++x) parts[count++] = phase_of(c, y, x);
    }
};

void depthwise_channel(const DepthwisePlan& plan, const Convolution& all, ptrdiff_t weights, int channel) {
    for (int k = 0; k < plan.count; ++k) {
        Convolution c = plan.parts[k];
        c.in.data += channel * all.in.plane, c.out.data += channel * all.out.plane, c.weights += weights;
        if (c.bias) c.bias += channel;
        depthwise_map(c, plan.out_step);
    }
}

void ordinary_channel(const Convolution& all, ptrdiff_t weights, int channel) {
    Convolution c = all;
    c.in.channels = c.out.channels = 1;
    c.in.data += channel * all.in.plane, c.out.data += channel * all.out.plane, c.weights += weights;
    if (c.bias) c.bias += channel;
    convolve(c);
}

// Each channel has a kernel of `size` weights, or shares it: channel c uses kernel c % shared.
void convolve_channels(const Convolution& all, ptrdiff_t size, int shared) {
    const DepthwisePlan plan(all);
    for (int channel = 0; channel < all.out.channels; ++channel) {
        const ptrdiff_t weights = (shared ? channel % shared : channel) * size;
        plan.count ? depthwise_channel(plan, all, weights, channel) : ordinary_channel(all, weights, channel);
    }
}

}  // namespace
