// Gradients with respect to weights: convolutions over the whole map, dense layers over the batch.
#pragma once

#include "kernels.h"
#include "simd.h"
#include "winograd_gradient.h"

namespace {

using smidgen::DENSE_BLOCK;
using smidgen::DENSE_PANEL;
using smidgen::dense_whole_floats;
using smidgen::DenseGradient;
using smidgen::Map;
using smidgen::WeightGradient;

inline int least(int a, int b) { return a < b ? a : b; }

constexpr int GRADIENT_ACCUMULATORS = VECTOR_REGISTERS == 32 ? 26 : 12;

// Sums of OUT channels of the gradient against KY x KX shifted inputs, kept in registers over the rows
// [y0, y1) and added up over the lanes at the end.
template <int OUT, int KY, int KX, bool BIAS = false>
void kernel_sums(const WeightGradient& w, int o, const float* in, int y0, int y1, float* weights, long w_out) {
    float sums[OUT * KY * KX][LANES], biases[OUT][LANES];
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][KY][KX] = {}, bias[OUT] = {};
        for (int y = y0; y < y1; ++y) {
            const float* g = w.gradient.data + o * w.gradient.plane + y * w.gradient.row + lane;
            const float* x0 = in + y * w.in.row + lane;
            for (int x = 0; x < w.gradient.width; ++x, g += LANES, x0 += LANES) {
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

// The same for 3x3 kernels where registers are many: the nine inputs under the kernel stay in them, and a step to
// the next column loads three new ones.
template <int OUT, bool BIAS>
void window_sums(const WeightGradient& w, int o, const float* in, int y0, int y1, float* weights, long w_out) {
    float sums[OUT * 9][LANES], biases[OUT][LANES];
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][3][3] = {}, bias[OUT] = {};
        for (int y = y0; y < y1; ++y) {
            const float* g = w.gradient.data + o * w.gradient.plane + y * w.gradient.row + lane;
            const float* p = in + y * w.in.row + lane;
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
    for (int k = 0; k < OUT; ++k) add_lane_sums(sums + k * IN, IN, w.weights + (o + k) * w.in.channels + c);
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

// A 3x3 kernel at once where all of its rows are inside the map, row by row at the upper and the lower edge; and,
// where asked, the gradient of the biases, whose terms pass by.
template <int OUT, bool BIAS>
void kernel_of_three(const WeightGradient& w, int o, int c, float* weights, long w_out) {
    const int height = w.gradient.height, end = w.in.height - 2 - w.row0;
    const int y0 = least(-w.row0, height), y1 = end < y0 ? y0 : least(end, height);
    const float* in = w.in.data + c * w.in.plane + w.row0 * w.in.row + long(w.col0) * LANES;
    if constexpr (OUT <= 2 && VECTOR_REGISTERS == 32) window_sums<OUT, BIAS>(w, o, in, y0, y1, weights, w_out);
    else kernel_sums<OUT, 3, 3, BIAS>(w, o, in, y0, y1, weights, w_out);
    for (int y = 0; y < height; ++y) {
        if (y == y0) y = y1;
        bool bias = BIAS;
        for (int j = 0; j < 3 && y < height; ++j) {
            if (y + j + w.row0 < 0 || y + j + w.row0 >= w.in.height) continue;
            const auto sums = bias ? &kernel_sums<OUT, 1, 3, true> : &kernel_sums<OUT, 1, 3, false>;
            sums(w, o, in + j * w.in.row, y, y + 1, weights + j * 3, w_out);
            bias = false;
        }
    }
}

bool is_three(const WeightGradient& w) { return w.kernel_y == 3 && w.kernel_x == 3; }

template <int OUT>
void kernel_of(const WeightGradient& w, int o, int c, float* weights, long w_out) {
    if constexpr (OUT * 9 <= GRADIENT_ACCUMULATORS) {
        const bool bias = w.bias && (c == 0 || w.depthwise);
        if (is_three(w) && bias) return kernel_of_three<OUT, true>(w, o, c, weights, w_out);
        if (is_three(w)) return kernel_of_three<OUT, false>(w, o, c, weights, w_out);
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
    const int most = GRADIENT_ACCUMULATORS / (is_three(w) ? 9 : w.kernel_x);
    if (most >= 4 && left >= 4) return 4;
    return most >= 2 && left >= 2 ? 2 : 1;
}

void weight_gradient(const WeightGradient& w) {
    if (w.bias && (w.scratch || !is_three(w))) bias_gradient(w.gradient, w.bias);
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
// The lanes are inputs here, so that no sum over lanes is needed: both sides are transposed to [sample][feature]
// first, inputs in blocks and outputs in panels.

// [16 features][16 lanes] -> [16 lanes][16 features], rows of the result `stride` apart.
#if VECTOR_LANES == 16
void transpose16(const float* in, float* out, long stride) {
    typedef double D __attribute__((vector_size(64)));
    V rows[16], next[16];
    UNROLL for (int r = 0; r < 16; ++r) rows[r] = load(in + r * LANES);
    // Within each quarter of a vector: 4 x 4 blocks.
    UNROLL for (int r = 0; r < 16; r += 2) {
        next[r] = __builtin_shufflevector(rows[r], rows[r + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
        next[r + 1] = __builtin_shufflevector(rows[r], rows[r + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    }
    UNROLL for (int r = 0; r < 16; r += 4)
        UNROLL for (int k = 0; k < 2; ++k) {
            const D a = (D)next[r + k], b = (D)next[r + k + 2];
            rows[r + 2 * k] = (V)__builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
            rows[r + 2 * k + 1] = (V)__builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
        }
    // Quarters to their places.
    UNROLL for (int k = 0; k < 4; ++k) {
        const D a = (D)rows[k], b = (D)rows[k + 4], c = (D)rows[k + 8], d = (D)rows[k + 12];
        const D ab0 = __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13), ab1 = __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
        const D cd0 = __builtin_shufflevector(c, d, 0, 1, 4, 5, 8, 9, 12, 13), cd1 = __builtin_shufflevector(c, d, 2, 3, 6, 7, 10, 11, 14, 15);
        store(out + k * stride, (V)__builtin_shufflevector(ab0, cd0, 0, 1, 4, 5, 8, 9, 12, 13));
        store(out + (k + 8) * stride, (V)__builtin_shufflevector(ab0, cd0, 2, 3, 6, 7, 10, 11, 14, 15));
        store(out + (k + 4) * stride, (V)__builtin_shufflevector(ab1, cd1, 0, 1, 4, 5, 8, 9, 12, 13));
        store(out + (k + 12) * stride, (V)__builtin_shufflevector(ab1, cd1, 2, 3, 6, 7, 10, 11, 14, 15));
    }
}
#else
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
#endif

// `count` features from `first` of every chunk into [sample][width]; up to the next multiple of 16 the rest are zero.
void transpose_features(const float* in, long chunk_stride, int chunks, int first, int count, int width, float* out) {
    for (int chunk = 0; chunk < chunks; ++chunk)
        for (int f = 0; f < count; f += LANES) {
            const float* block = in + chunk * chunk_stride + long(first + f) * LANES;
            float* to = out + long(chunk) * LANES * width + f;
            if (f + LANES <= count) {
                transpose16(block, to, width);
                continue;
            }
            float padded[LANES * LANES];
            for (int k = 0; k < LANES * LANES; k += VL) store(padded + k, k < (count - f) * LANES ? load(block + k) : V{});
            transpose16(padded, to, width);
        }
}

constexpr int DENSE_IN = VECTOR_REGISTERS == 32 ? 4 : 2;  // vectors

// Where a tile stands: `valid` of the inputs count.
struct DenseTile {
    const float *gradient, *in;  // [sample][DENSE_PANEL] and [sample][DENSE_BLOCK]
    int samples, valid;
    float* weights;
    long w_out;
};

template <int OUT, int IN>
void dense_tile(const DenseTile& t) {
    V sum[OUT][IN] = {};
    const float *gradient = t.gradient, *in = t.in;
    for (int s = 0; s < t.samples; ++s, gradient += DENSE_PANEL, in += DENSE_BLOCK) {
        V value[IN];
        UNROLL for (int i = 0; i < IN; ++i) value[i] = load_shared(in + i * VL);
        UNROLL for (int o = 0; o < OUT; ++o) {
            const V g = broadcast(gradient[o]);
            UNROLL for (int i = 0; i < IN; ++i) sum[o][i] = fma(g, value[i], sum[o][i]);
        }
    }
    UNROLL for (int o = 0; o < OUT; ++o)
        UNROLL for (int i = 0; i < IN; ++i) {
            float* w = t.weights + o * t.w_out + i * VL;
            if ((i + 1) * VL <= t.valid) store(w, load(w) + sum[o][i]);
            else if (i * VL < t.valid) add_first(w, sum[o][i], t.valid - i * VL);
        }
}

template <int OUT>
void dense_tile_of(const DenseTile& t) {
    if (t.valid > 2 * VL && DENSE_IN > 2) return dense_tile<OUT, DENSE_IN>(t);
    t.valid > VL ? dense_tile<OUT, 2>(t) : dense_tile<OUT, 1>(t);
}

// One panel of outputs against one block of inputs.
void dense_panel(DenseTile t, int outs) {
    for (int o = 0; o < outs;) {
        const int tile = outs - o == 5 ? 5 : least(4, outs - o);
        switch (tile) {
            case 1: dense_tile_of<1>(t); break;
            case 2: dense_tile_of<2>(t); break;
            case 3: dense_tile_of<3>(t); break;
            case 4: dense_tile_of<4>(t); break;
            case 5: dense_tile_of<5>(t); break;
        }
        t.gradient += tile, t.weights += tile * t.w_out, o += tile;
    }
}

void dense_block(const DenseGradient& d, const float* panel, int first_out, const float* block, int first_in) {
    const int outs = least(DENSE_PANEL, d.last - first_out), count = least(DENSE_BLOCK, d.in_count - first_in);
    for (int i = 0; i < count; i += DENSE_IN * VL)
        dense_panel({panel, block + i, d.chunks * LANES, count - i,
                     d.weights + long(first_out) * d.in_count + first_in + i, d.in_count}, outs);
}

void load_panel(const DenseGradient& d, int first, float* panel) {
    transpose_features(d.gradient, d.gradient_stride, d.chunks, first, least(DENSE_PANEL, d.last - first), DENSE_PANEL, panel);
}

void load_block(const DenseGradient& d, int first, float* block) {
    transpose_features(d.inputs, d.input_stride, d.chunks, first, least(DENSE_BLOCK, d.in_count - first), DENSE_BLOCK, block);
}

// Panels of so many outputs meet a block while it is in the cache.
constexpr int DENSE_GROUP = DENSE_BLOCK;

// The smaller side is transposed whole; the other goes by, a group of panels or a block at a time.
void dense_gradient(const DenseGradient& d) {
    const long samples = long(d.chunks) * LANES, panel = samples * DENSE_PANEL, block = samples * DENSE_BLOCK;
    for (int chunk = 0; chunk < d.chunks && d.bias; ++chunk) {
        const float* rows = d.gradient + chunk * d.gradient_stride + long(d.first) * LANES;
        add_lane_sums(reinterpret_cast<const float(*)[LANES]>(rows), d.last - d.first, d.bias + d.first);
    }
    float *whole = d.scratch, *part = d.scratch + dense_whole_floats(d.chunks, d.in_count, d.last - d.first);
    if (d.in_count <= d.last - d.first) {
        for (int i = 0; i < d.in_count; i += DENSE_BLOCK) load_block(d, i, whole + i / DENSE_BLOCK * block);
        for (int group = d.first; group < d.last; group += DENSE_GROUP) {
            const int end = least(group + DENSE_GROUP, d.last);
            for (int o = group; o < end; o += DENSE_PANEL) load_panel(d, o, part + (o - group) / DENSE_PANEL * panel);
            for (int i = 0; i < d.in_count; i += DENSE_BLOCK)
                for (int o = group; o < end; o += DENSE_PANEL)
                    dense_block(d, part + (o - group) / DENSE_PANEL * panel, o, whole + i / DENSE_BLOCK * block, i);
        }
        return;
    }
    for (int o = d.first; o < d.last; o += DENSE_PANEL) load_panel(d, o, whole + (o - d.first) / DENSE_PANEL * panel);
    for (int i = 0; i < d.in_count; i += DENSE_BLOCK) {
        load_block(d, i, part);
        for (int o = d.first; o < d.last; o += DENSE_PANEL)
            dense_block(d, whole + (o - d.first) / DENSE_PANEL * panel, o, part, i);
    }
}

}  // namespace
