// Gradients with respect to the weights of convolutions: sums over the whole map.
#pragma once

#include "kernels.h"
#include "maps.h"
#include "simd.h"
#include "winograd_gradient.h"

namespace {

using smidgen::WeightGradient;

constexpr int GRADIENT_ACCUMULATORS = VECTOR_REGISTERS == 32 ? 26 : 12;

// Sums of OUT channels of the gradient against KY x KX shifted inputs, kept in registers over the rows
// [y0, y1) and added up over the lanes at the end.
template <int OUT, int KY, int KX, bool BIAS = false>
void kernel_sums(const WeightGradient& w, int o, const float* in, int y0, int y1, float* weights, ptrdiff_t w_out) {
    float sums[OUT * KY * KX][LANES], biases[OUT][LANES];
    const ptrdiff_t step = w.stride_x * ptrdiff_t(LANES);
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][KY][KX] = {}, bias[OUT] = {};
        for (int y = y0; y < y1; ++y) {
            const float* g = w.gradient.data + o * w.gradient.plane + y * w.gradient.row + lane;
            const float* x0 = in + y * w.stride_y * w.in.row + lane;
            for (int x = 0; x < w.gradient.width; ++x, g += LANES, x0 += step) {
                OPAQUE(x0);
                V gradient[OUT];
                UNROLL for (int k = 0; k < OUT; ++k) gradient[k] = load_shared(g + k * w.gradient.plane);
                if constexpr (BIAS) UNROLL for (int k = 0; k < OUT; ++k) bias[k] += gradient[k];
                UNROLL for (int j = 0; j < KY; ++j)
                    UNROLL for (int i = 0; i < KX; ++i) {
                        const V value = load_shared(x0 + j * w.in.row + i * LANES);
                        UNROLL for (int k = 0; k < OUT; ++k) sum[k][j][i] = fma(gradient[k], value, sum[k][j][i]);
                    }
            }
        }
        UNROLL for (int k = 0; k < OUT; ++k)
            UNROLL for (int j = 0; j < KY; ++j)
                UNROLL for (int i = 0; i < KX; ++i) store(sums[(k * KY + j) * KX + i] + lane, sum[k][j][i]);
        UNROLL for (int k = 0; k < OUT; ++k) store(biases[k] + lane, bias[k]);
    }
    if constexpr (BIAS) add_lane_sums(biases, OUT, w.bias + o);
    for (int k = 0; k < OUT; ++k) add_lane_sums(sums + k * KY * KX, KY * KX, weights + k * w_out);
}

// The same for 3x3 kernels with 32 registers: the nine inputs under the kernel stay in registers, and a step to the next
// column loads three new ones.
template <int OUT, bool BIAS>
void window_sums(const WeightGradient& w, int o, const float* in, int y0, int y1, float* weights, ptrdiff_t w_out) {
    float sums[OUT * 9][LANES], biases[OUT][LANES];
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][3][3] = {}, bias[OUT] = {};
        for (int y = y0; y < y1; ++y) {
            const float* g = w.gradient.data + o * w.gradient.plane + y * w.gradient.row + lane;
            const float* p = in + y * w.stride_y * w.in.row + lane;
            V window[3][3];
            UNROLL for (int j = 0; j < 3; ++j)
                UNROLL for (int i = 0; i < 2; ++i) window[j][i] = load_shared(p + j * w.in.row + i * LANES);
            for (int x = 0; x < w.gradient.width; ++x, g += LANES, p += LANES) {
                V gradient[OUT];
                UNROLL for (int k = 0; k < OUT; ++k) gradient[k] = load_shared(g + k * w.gradient.plane);
                if constexpr (BIAS) UNROLL for (int k = 0; k < OUT; ++k) bias[k] += gradient[k];
                UNROLL for (int j = 0; j < 3; ++j) window[j][2] = load_shared(p + j * w.in.row + 2 * LANES);
                UNROLL for (int j = 0; j < 3; ++j)
                    UNROLL for (int i = 0; i < 3; ++i)
                        UNROLL for (int k = 0; k < OUT; ++k) sum[k][j][i] = fma(gradient[k], window[j][i], sum[k][j][i]);
                UNROLL for (int j = 0; j < 3; ++j) window[j][0] = window[j][1], window[j][1] = window[j][2];
            }
        }
        UNROLL for (int k = 0; k < OUT; ++k)
            UNROLL for (int n = 0; n < 9; ++n) store(sums[k * 9 + n] + lane, sum[k][n / 3][n % 3]);
        UNROLL for (int k = 0; k < OUT; ++k) store(biases[k] + lane, bias[k]);
    }
    if constexpr (BIAS) add_lane_sums(biases, OUT, w.bias + o);
    for (int k = 0; k < OUT; ++k) add_lane_sums(sums + k * 9, 9, weights + k * w_out);
}

// The rows of the gradient [y0, y1). A map that the cache does not hold is worked on in bands of rows for all channels;
// totals [out][in][16] keep the sums from band to band, in their order.
struct PointwiseBand {
    int y0, y1;
    float* totals;  // null: the band is the whole map
};

// The same for 1x1 kernels, with OUT channels of the gradient and IN channels of the input.
template <int OUT, int IN>
void pointwise_sums(const WeightGradient& w, PointwiseBand band, int o, int c) {
    float sums[OUT * IN][LANES];
    const ptrdiff_t step = w.stride_x * ptrdiff_t(LANES), ins = w.in.channels;
    float* totals = band.totals ? band.totals + (o * ins + c) * LANES : nullptr;
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][IN] = {};
        if (totals)
            UNROLL for (int k = 0; k < OUT; ++k)
                UNROLL for (int i = 0; i < IN; ++i) sum[k][i] = load(totals + (k * ins + i) * LANES + lane);
        for (int y = band.y0; y < band.y1; ++y) {
            const float* g = w.gradient.data + o * w.gradient.plane + y * w.gradient.row + lane;
            const float* in = w.in.data + c * w.in.plane + y * w.stride_y * w.in.row + lane;
            for (int x = 0; x < w.gradient.width; ++x, g += LANES, in += step) {
                OPAQUE(in);
                V gradient[OUT];
                UNROLL for (int k = 0; k < OUT; ++k) gradient[k] = load_shared(g + k * w.gradient.plane);
                UNROLL for (int i = 0; i < IN; ++i) {
                    const V value = load_shared(in + i * w.in.plane);
                    UNROLL for (int k = 0; k < OUT; ++k) sum[k][i] = fma(gradient[k], value, sum[k][i]);
                }
            }
        }
        UNROLL for (int k = 0; k < OUT; ++k)
            UNROLL for (int i = 0; i < IN; ++i)
                store(totals ? totals + (k * ins + i) * LANES + lane : sums[k * IN + i] + lane, sum[k][i]);
    }
    for (int k = 0; k < OUT && !totals; ++k) add_lane_sums(sums + k * IN, IN, w.weights + (o + k) * ins + c);
}

template <int OUT>
void pointwise_row(const WeightGradient& w, PointwiseBand band, int o) {
    int c = 0;
    constexpr int IN = GRADIENT_ACCUMULATORS >= 16 ? 4 : 3;
    for (; c + IN <= w.in.channels; c += IN) pointwise_sums<OUT, IN>(w, band, o, c);
    for (; c + 2 <= w.in.channels; c += 2) pointwise_sums<OUT, 2>(w, band, o, c);
    for (; c < w.in.channels; ++c) pointwise_sums<OUT, 1>(w, band, o, c);
}

void pointwise_band(const WeightGradient& w, PointwiseBand band) {
    int o = 0;
    for (; o + 4 <= w.gradient.channels; o += 4) pointwise_row<4>(w, band, o);
    for (; o < w.gradient.channels; ++o) pointwise_row<1>(w, band, o);
}

// Sums that are kept from band to band, at most; floats of a map that stays in the second-level cache, and of a band.
constexpr int MOST_TOTALS = 1024;
constexpr ptrdiff_t CACHED_FLOATS = 1 << 18, GRADIENT_BAND_FLOATS = 1 << 16;

void pointwise_gradient(const WeightGradient& w) {
    const ptrdiff_t ins = w.in.channels, outs = w.gradient.channels, height = w.gradient.height;
    const ptrdiff_t row = ins * w.in.row * w.stride_y + outs * w.gradient.row;
    if (row * height <= CACHED_FLOATS || ins * outs > MOST_TOTALS) return pointwise_band(w, {0, int(height), nullptr});
    float totals[MOST_TOTALS][LANES];
    for (ptrdiff_t k = 0; k < ins * outs; ++k)
        for (int lane = 0; lane < LANES; lane += VL) store(totals[k] + lane, V{});
    const ptrdiff_t fitting = GRADIENT_BAND_FLOATS / row, rows = fitting > 1 ? fitting : 1;
    for (ptrdiff_t y = 0; y < height; y += rows)
        pointwise_band(w, {int(y), int(y + rows < height ? y + rows : height), totals[0]});
    add_lane_sums(totals, int(ins * outs), w.weights);
}

// The rows of the gradient [first, last) under which `rows` rows of the input from `shift` on are inside the map.
struct RowRange {
    int first, last;

    RowRange(const WeightGradient& w, int shift, int rows) {
        const int end = w.in.height - rows - shift, below = end < 0 ? 0 : end / w.stride_y + 1;
        first = shift < 0 ? least((w.stride_y - 1 - shift) / w.stride_y, w.gradient.height) : 0;
        last = below < first ? first : least(below, w.gradient.height);
    }
};

// Takes KX columns of one row of the kernel at a time, from column `i` on; rows outside the map are left out.
template <int OUT, int KX>
void kernel_rows(const WeightGradient& w, int o, int c, int i, float* weights, ptrdiff_t w_out) {
    if constexpr (OUT * KX <= GRADIENT_ACCUMULATORS) {
        for (int j = 0; j < w.kernel_y; ++j) {
            const int shift = j + w.row0;
            const RowRange rows(w, shift, 1);
            const float* in = w.in.data + c * w.in.plane + shift * w.in.row + ptrdiff_t(w.col0 + i) * LANES;
            kernel_sums<OUT, 1, KX>(w, o, in, rows.first, rows.last, weights + j * w.kernel_x + i, w_out);
        }
    }
}

// Takes a 3x3 kernel at once where all of its rows are inside the map, and row by row at the upper and lower edge. With
// BIAS it sums the gradient of the biases too, whose terms are loaded anyway.
template <int OUT, bool BIAS>
void kernel_of_three(const WeightGradient& w, int o, int c, float* weights, ptrdiff_t w_out) {
    const int height = w.gradient.height;
    const RowRange inside(w, w.row0, 3);
    const int y0 = inside.first, y1 = inside.last;
    const float* in = w.in.data + c * w.in.plane + w.row0 * w.in.row + ptrdiff_t(w.col0) * LANES;
    if (OUT <= 2 && VECTOR_REGISTERS == 32 && w.stride_x == 1) window_sums<OUT, BIAS>(w, o, in, y0, y1, weights, w_out);
    else kernel_sums<OUT, 3, 3, BIAS>(w, o, in, y0, y1, weights, w_out);
    for (int y = 0; y < height; ++y) {
        if (y == y0) y = y1;
        bool bias = BIAS;
        for (int j = 0; j < 3 && y < height; ++j) {
            const int row = y * w.stride_y + j + w.row0;
            if (row < 0 || row >= w.in.height) continue;
            const auto sums = bias ? &kernel_sums<OUT, 1, 3, true> : &kernel_sums<OUT, 1, 3, false>;
            sums(w, o, in + j * w.in.row, y, y + 1, weights + j * 3, w_out);
            bias = false;
        }
    }
}

bool is_three(const WeightGradient& w) { return w.kernel_y == 3 && w.kernel_x == 3; }

template <int OUT>
void kernel_columns(const WeightGradient& w, int columns, int o, int c, int i, float* weights, ptrdiff_t w_out) {
    switch (columns) {
        case 1: return kernel_rows<OUT, 1>(w, o, c, i, weights, w_out);
        case 2: return kernel_rows<OUT, 2>(w, o, c, i, weights, w_out);
        case 3: return kernel_rows<OUT, 3>(w, o, c, i, weights, w_out);
        case 4: return kernel_rows<OUT, 4>(w, o, c, i, weights, w_out);
        case 5: return kernel_rows<OUT, 5>(w, o, c, i, weights, w_out);
        case 6: return kernel_rows<OUT, 6>(w, o, c, i, weights, w_out);
        case 7: return kernel_rows<OUT, 7>(w, o, c, i, weights, w_out);
    }
}

// The most columns of a kernel that are taken at once, and the parts of equal size that a wider one is cut into.
constexpr int KERNEL_COLUMNS = 7, PART_COLUMNS = 6;

int kernel_parts(int kernel_x, int out) {
    const int most = kernel_x <= KERNEL_COLUMNS ? KERNEL_COLUMNS : least(PART_COLUMNS, GRADIENT_ACCUMULATORS / out);
    return (kernel_x + most - 1) / most;
}

template <int OUT>
void kernel_of(const WeightGradient& w, int o, int c, float* weights, ptrdiff_t w_out) {
    if constexpr (OUT * 9 <= GRADIENT_ACCUMULATORS) {
        const bool bias = w.bias && (c == 0 || w.depthwise);
        if (is_three(w) && bias) return kernel_of_three<OUT, true>(w, o, c, weights, w_out);
        if (is_three(w)) return kernel_of_three<OUT, false>(w, o, c, weights, w_out);
    }
    const int parts = kernel_parts(w.kernel_x, OUT);
    for (int part = 0; part < parts; ++part) {
        const int begin = w.kernel_x * part / parts, end = w.kernel_x * (part + 1) / parts;
        kernel_columns<OUT>(w, end - begin, o, c, begin, weights, w_out);
    }
}

void bias_gradient(const Map& gradient, float* bias) {
    for (int o = 0; o < gradient.channels; ++o) {
        float sums[LANES];
        for (int lane = 0; lane < LANES; lane += VL) {
            V sum[4] = {};
            for (int y = 0; y < gradient.height; ++y) {
                const float* g = gradient.data + o * gradient.plane + y * gradient.row + lane;
                int x = 0;
                for (; x + 4 <= gradient.width; x += 4)
                    UNROLL for (int k = 0; k < 4; ++k) sum[k] += load(g + (x + k) * LANES);
                for (; x < gradient.width; ++x) sum[0] += load(g + x * LANES);
            }
            store(sums + lane, (sum[0] + sum[1]) + (sum[2] + sum[3]));
        }
        bias[o] += lane_sum(sums);
    }
}

// The channels whose sums fit in the registers for a kernel this wide.
int out_tile(const WeightGradient& w, int left) {
    const int columns = w.kernel_x <= KERNEL_COLUMNS ? w.kernel_x : 1;  // a wider one is cut into parts that fit
    const int most = GRADIENT_ACCUMULATORS / (is_three(w) ? 9 : columns);
    if (most >= 4 && left >= 4) return 4;
    return most >= 2 && left >= 2 ? 2 : 1;
}

// The kernels of one input channel for as many output channels from `o` on as a tile has; returns how many.
int kernel_tile(const WeightGradient& w, int o, int c) {
    const ptrdiff_t size = ptrdiff_t(w.kernel_y) * w.kernel_x, w_out = w.in.channels * size;
    float* weights = w.weights + o * w_out + c * size;
    const int tile = out_tile(w, w.gradient.channels - o);
    if (tile == 4) kernel_of<4>(w, o, c, weights, w_out);
    else if (tile == 2) kernel_of<2>(w, o, c, weights, w_out);
    else kernel_of<1>(w, o, c, weights, w_out);
    return tile;
}

void weight_gradient(const WeightGradient& w) {
    if (w.bias && (w.scratch || !is_three(w))) bias_gradient(w.gradient, w.bias);
    if (w.scratch) return winograd_gradient(w);
    const ptrdiff_t size = ptrdiff_t(w.kernel_y) * w.kernel_x;
    const int outs = w.gradient.channels;
    if (w.depthwise) {
        const int kernels = w.shared ? w.shared : outs;
        for (int c = 0; c < outs; ++c) kernel_of<1>(w, c, c, w.weights + c % kernels * size, size);
        return;
    }
    if (size == 1) return pointwise_gradient(w);
    // The larger planes stay in the cache while the others pass.
    const bool inputs_first = w.in.plane > out_tile(w, outs) * w.gradient.plane;
    for (int c = 0; c < w.in.channels && inputs_first; ++c)
        for (int o = 0; o < outs;) o += kernel_tile(w, o, c);
    for (int o = 0, tile; o < outs && !inputs_first; o += tile)
        for (int c = 0; c < w.in.channels; ++c) tile = kernel_tile(w, o, c);
}

}  // namespace
