// Gradients with respect to weights: convolutions over the whole map, dense layers over the batch.
#pragma once

#include "../kernels.h"
#include "../simd.h"
#include "winograd.h"

namespace {

using smidgen::DENSE_BLOCK;
using smidgen::DenseGradient;
using smidgen::Map;
using smidgen::WeightGradient;

constexpr int GRADIENT_ACCUMULATORS = VECTOR_REGISTERS == 32 ? 26 : 12;

// Sums of OUT channels of the gradient against KY x KX shifted inputs, kept in registers over the rows
// [y0, y1) and added up over the lanes at the end.
template <int OUT, int KY, int KX>
void kernel_sums(const WeightGradient& w, int o, const float* in, int y0, int y1, float* weights, long w_out) {
    float sums[OUT * KY * KX][LANES];
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][KY][KX] = {};
        for (int y = y0; y < y1; ++y) {
            const float* g = w.gradient.data + o * w.gradient.plane + y * w.gradient.row + lane;
            const float* x0 = in + y * w.in.row + lane;
            for (int x = 0; x < w.gradient.width; ++x, g += LANES, x0 += LANES) {
                OPAQUE(x0);
                V gradient[OUT];
                UNROLL for (int k = 0; k < OUT; ++k) gradient[k] = load_shared(g + k * w.gradient.plane);
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
    }
    for (int k = 0; k < OUT; ++k)
        for (int n = 0; n < KY * KX; ++n) weights[k * w_out + n] += lane_sum(sums[k * KY * KX + n]);
}

// The same for 1x1 kernels: OUT channels of the gradient against IN channels of the input.
template <int OUT, int IN>
void pointwise_sums(const WeightGradient& w, int o, int c) {
    float sums[OUT * IN][LANES];
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][IN] = {};
        for (int y = 0; y < w.gradient.height; ++y) {
            const float* g = w.gradient.data + o * w.gradient.plane + y * w.gradient.row + lane;
            const float* in = w.in.data + c * w.in.plane + y * w.in.row + lane;
            for (int x = 0; x < w.gradient.width; ++x, g += LANES, in += LANES) {
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
            UNROLL for (int i = 0; i < IN; ++i) store(sums[k * IN + i] + lane, sum[k][i]);
    }
    for (int k = 0; k < OUT; ++k)
        for (int i = 0; i < IN; ++i) w.weights[(o + k) * w.in.channels + c + i] += lane_sum(sums[k * IN + i]);
}

template <int OUT>
void pointwise_row(const WeightGradient& w, int o) {
    int c = 0;
    constexpr int IN = GRADIENT_ACCUMULATORS >= 16 ? 4 : 3;
    for (; c + IN <= w.in.channels; c += IN) pointwise_sums<OUT, IN>(w, o, c);
    for (; c + 2 <= w.in.channels; c += 2) pointwise_sums<OUT, 2>(w, o, c);
    for (; c < w.in.channels; ++c) pointwise_sums<OUT, 1>(w, o, c);
}

// One row of the kernel at a time, its columns unrolled; rows outside the map are left out.
template <int OUT, int KX>
void kernel_rows(const WeightGradient& w, int o, int c, float* weights, long w_out) {
    if constexpr (OUT * KX <= GRADIENT_ACCUMULATORS) {
        for (int j = 0; j < w.kernel_y; ++j) {
            const int shift = j + w.row0;
            const int y0 = shift < 0 ? -shift : 0;
            const int y1 = w.in.height - shift < w.gradient.height ? w.in.height - shift : w.gradient.height;
            const float* in = w.in.data + c * w.in.plane + shift * w.in.row + long(w.col0) * LANES;
            kernel_sums<OUT, 1, KX>(w, o, in, y0, y1, weights + j * KX, w_out);
        }
    }
}

template <int OUT>
void kernel_of(const WeightGradient& w, int o, int c, float* weights, long w_out) {
    if constexpr (OUT * 9 <= GRADIENT_ACCUMULATORS) {
        if (w.kernel_y == 3 && w.kernel_x == 3 && w.row0 == 0) {
            const float* in = w.in.data + c * w.in.plane + long(w.col0) * LANES;
            return kernel_sums<OUT, 3, 3>(w, o, in, 0, w.gradient.height, weights, w_out);
        }
    }
    switch (w.kernel_x) {
        case 1: return kernel_rows<OUT, 1>(w, o, c, weights, w_out);
        case 2: return kernel_rows<OUT, 2>(w, o, c, weights, w_out);
        case 3: return kernel_rows<OUT, 3>(w, o, c, weights, w_out);
        case 4: return kernel_rows<OUT, 4>(w, o, c, weights, w_out);
        case 5: return kernel_rows<OUT, 5>(w, o, c, weights, w_out);
        case 6: return kernel_rows<OUT, 6>(w, o, c, weights, w_out);
        case 7: return kernel_rows<OUT, 7>(w, o, c, weights, w_out);
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

// Gradients of OUT channels fit in the registers for a kernel this wide.
int out_tile(const WeightGradient& w, int left) {
    const bool whole = w.kernel_y == 3 && w.kernel_x == 3 && w.row0 == 0 && GRADIENT_ACCUMULATORS >= 18;
    const int most = whole ? 2 : GRADIENT_ACCUMULATORS / w.kernel_x;
    if (most >= 4 && left >= 4) return 4;
    return most >= 2 && left >= 2 ? 2 : 1;
}

void weight_gradient(const WeightGradient& w) {
    if (w.bias) bias_gradient(w.gradient, w.bias);
    if (w.scratch) return winograd_gradient(w);
    const long size = long(w.kernel_y) * w.kernel_x;
    const int outs = w.gradient.channels;
    if (w.depthwise) {
        for (int c = 0; c < outs; ++c) kernel_of<1>(w, c, c, w.weights + c * size, size);
        return;
    }
    const long w_out = w.in.channels * size;
    if (size == 1) {
        int o = 0;
        for (; o + 4 <= outs; o += 4) pointwise_row<4>(w, o);
        for (; o < outs; ++o) pointwise_row<1>(w, o);
        return;
    }
    for (int o = 0; o < outs;) {
        const int tile = out_tile(w, outs - o);
        for (int c = 0; c < w.in.channels; ++c) {
            float* weights = w.weights + o * w_out + c * size;
            if (tile == 4) kernel_of<4>(w, o, c, weights, w_out);
            else if (tile == 2) kernel_of<2>(w, o, c, weights, w_out);
            else kernel_of<1>(w, o, c, weights, w_out);
        }
        o += tile;
    }
}

// --- dense -----------------------------------------------------------------------------------------
// The lanes are inputs here, so that no sum over lanes is needed: both sides are transposed to
// [sample][feature] first, a block of inputs at a time.

// [16 features][16 lanes] -> [16 lanes][16 features], rows of the result `stride` apart.
void transpose16(const float* in, float* out, long stride) {
    for (int r = 0; r < LANES; r += 4)
        for (int q = 0; q < LANES; q += 4) {
            const V4 a = load4(in + r * LANES + q), b = load4(in + (r + 1) * LANES + q);
            const V4 c = load4(in + (r + 2) * LANES + q), d = load4(in + (r + 3) * LANES + q);
            const V4 ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            const V4 cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            store4(out + q * stride + r, __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5));
            store4(out + (q + 1) * stride + r, __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7));
            store4(out + (q + 2) * stride + r, __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5));
            store4(out + (q + 3) * stride + r, __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7));
        }
}

// `count` features from `first` of every chunk, transposed; features past the last are zero.
void transpose_features(const float* in, long chunk_stride, int chunks, int first, int count, int width, float* out) {
    for (int chunk = 0; chunk < chunks; ++chunk)
        for (int f = 0; f < width; f += LANES) {
            const float* block = in + chunk * chunk_stride + long(first + f) * LANES;
            float* to = out + long(chunk) * LANES * width + f;
            if (f + LANES <= count) {
                transpose16(block, to, width);
                continue;
            }
            for (int lane = 0; lane < LANES; ++lane)
                for (int k = 0; k < LANES; ++k) to[lane * width + k] = f + k < count ? block[k * LANES + lane] : 0.0f;
        }
}

constexpr int DENSE_OUT = VECTOR_REGISTERS == 32 ? 6 : 4;
constexpr int DENSE_IN = VECTOR_REGISTERS == 32 ? 4 : 2;  // vectors

template <int OUT>
void dense_tile(const float* gradient, long g_row, const float* in, int samples, int valid, float* weights, long w_out) {
    V sum[OUT][DENSE_IN] = {};
    for (int s = 0; s < samples; ++s, gradient += g_row, in += DENSE_BLOCK) {
        V value[DENSE_IN];
        UNROLL for (int i = 0; i < DENSE_IN; ++i) value[i] = load_shared(in + i * VL);
        UNROLL for (int o = 0; o < OUT; ++o) {
            const V g = broadcast(gradient[o]);
            UNROLL for (int i = 0; i < DENSE_IN; ++i) sum[o][i] = fma(g, value[i], sum[o][i]);
        }
    }
    UNROLL for (int o = 0; o < OUT; ++o)
        UNROLL for (int i = 0; i < DENSE_IN; ++i) {
            float* w = weights + o * w_out + i * VL;
            if ((i + 1) * VL <= valid) store(w, load(w) + sum[o][i]);
            else
                for (int k = 0; k < VL && i * VL + k < valid; ++k) w[k] += sum[o][i][k];
        }
}

// All outputs against one block of inputs.
void dense_block(const DenseGradient& d, const float* gradients, long g_row, int first_in, int count) {
    const int samples = d.chunks * LANES, outs = d.last - d.first;
    for (int i = 0; i < count; i += DENSE_IN * VL) {
        const float* in = d.scratch + i;
        float* w = d.weights + long(d.first) * d.in_count + first_in + i;
        int o = 0;
        for (; o + DENSE_OUT <= outs; o += DENSE_OUT)
            dense_tile<DENSE_OUT>(gradients + o, g_row, in, samples, count - i, w + long(o) * d.in_count, d.in_count);
        for (; o + 2 <= outs; o += 2)
            dense_tile<2>(gradients + o, g_row, in, samples, count - i, w + long(o) * d.in_count, d.in_count);
        for (; o < outs; ++o)
            dense_tile<1>(gradients + o, g_row, in, samples, count - i, w + long(o) * d.in_count, d.in_count);
    }
}

void dense_gradient(const DenseGradient& d) {
    const int outs = d.last - d.first, padded = (outs + LANES - 1) / LANES * LANES;
    float* gradients = d.scratch + long(d.chunks) * LANES * DENSE_BLOCK;
    for (int o = d.first; o < d.last && d.bias; ++o)
        for (int chunk = 0; chunk < d.chunks; ++chunk)
            d.bias[o] += lane_sum(d.gradient + chunk * d.gradient_stride + long(o) * LANES);
    transpose_features(d.gradient, d.gradient_stride, d.chunks, d.first, outs, padded, gradients);
    for (int i = 0; i < d.in_count; i += DENSE_BLOCK) {
        const int count = d.in_count - i < DENSE_BLOCK ? d.in_count - i : DENSE_BLOCK;
        transpose_features(d.inputs, d.input_stride, d.chunks, i, count, DENSE_BLOCK, d.scratch);
        dense_block(d, gradients, padded, i, count);
    }
}

}  // namespace
