// Gradients with respect to the weights of dense layers: sums over the batch.
//
// Lanes are inputs here, so that no sum over lanes is needed: both sides are transposed to [sample][feature] first,
// inputs in blocks and outputs in panels.
#pragma once

#include "kernels.h"
#include "maps.h"
#include "simd.h"

namespace {

using smidgen::DENSE_BLOCK;
using smidgen::DENSE_PANEL;
using smidgen::dense_whole_floats;
using smidgen::DenseGradient;

// [16 features][16 lanes] -> [16 lanes][16 features], rows of the result `stride` apart.
#if VECTOR_LANES == 16
void transpose16(const float* in, float* out, ptrdiff_t stride) {
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
void transpose16(const float* in, float* out, ptrdiff_t stride) {
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

// Copies `count` features from `first` of every chunk into [sample][width], with zeros up to the next multiple of 16.
void transpose_features(const float* in, ptrdiff_t chunk_stride, int chunks, int first, int count, int width, float* out) {
    for (int chunk = 0; chunk < chunks; ++chunk)
        for (int f = 0; f < count; f += LANES) {
            const float* block = in + chunk * chunk_stride + ptrdiff_t(first + f) * LANES;
            float* to = out + ptrdiff_t(chunk) * LANES * width + f;
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

// One tile; the first `valid` of its inputs exist.
struct DenseTile {
    const float *gradient, *in;  // [sample][DENSE_PANEL] and [sample][DENSE_BLOCK]
    int samples, valid;
    float* weights;
    ptrdiff_t w_out;
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
        dense_panel({.gradient = panel,
                     .in = block + i,
                     .samples = d.chunks * LANES,
                     .valid = count - i,
                     .weights = d.weights + ptrdiff_t(first_out) * d.in_count + first_in + i,
                     .w_out = d.in_count},
                    outs);
}

void load_panel(const DenseGradient& d, int first, float* panel) {
    transpose_features(d.gradient, d.gradient_stride, d.chunks, first, least(DENSE_PANEL, d.last - first), DENSE_PANEL, panel);
}

void load_block(const DenseGradient& d, int first, float* block) {
    transpose_features(d.inputs, d.input_stride, d.chunks, first, least(DENSE_BLOCK, d.in_count - first), DENSE_BLOCK, block);
}

// Outputs whose panels are multiplied with a block while it is in the cache.
constexpr int DENSE_GROUP = DENSE_BLOCK;

// Transposes the smaller side whole, and the other a group of panels or a block at a time.
void dense_gradient(const DenseGradient& d) {
    const ptrdiff_t samples = ptrdiff_t(d.chunks) * LANES, panel = samples * DENSE_PANEL, block = samples * DENSE_BLOCK;
    for (int chunk = 0; chunk < d.chunks && d.bias; ++chunk) {
        const float* rows = d.gradient + chunk * d.gradient_stride + ptrdiff_t(d.first) * LANES;
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
