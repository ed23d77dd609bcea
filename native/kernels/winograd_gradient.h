// The gradient of the weights of 3x3 convolutions of many channels. The formulas are in winograd.h.
#pragma once

#include "winograd.h"

namespace {

// Transforms the gradients of one row or column of a tile to four factors; gather_gradients halves the products.
INLINE void spread_gradients(V h0, V h1, V (&to)[4]) { to[0] = h0, to[1] = h0 + h1, to[2] = h0 - h1, to[3] = h1; }

INLINE void spread_gradient_column(Rows& rows, V (&to)[4]) {
    spread_gradients(load(rows.row[0]), load(rows.row[1]), to);
    UNROLL for (int j = 0; j < 2; ++j) rows.row[j] += rows.step[j];
}

// Transforms one row of tiles of one channel to out: [position] `stride` apart, [tile][lane].
void transform_gradients(Rows from, int width, float* out, ptrdiff_t stride) {
    for (int lane = 0; lane < LANES; lane += VL) {
        Rows rows = from;
        UNROLL for (int j = 0; j < 2; ++j) rows.row[j] += lane;
        for (int x = 0; x < width; x += 2) {
            V left[4], right[4] = {}, to[4][4];
            spread_gradient_column(rows, left);
            if (x + 1 < width) spread_gradient_column(rows, right);
            UNROLL for (int j = 0; j < 4; ++j) spread_gradients(left[j], right[j], to[j]);
            store_positions(to, out + x / 2 * LANES + lane, stride);
        }
    }
}

// Transforms `count` channels from `first` on; the last channel is repeated for those past it.
void gradients_of_band(const Map& gradient, Band band, int first, int count, float* h, ptrdiff_t stride) {
    for (int o = 0; o < count; ++o)
        for (int row = 0; row < band.rows; ++row) {
            const int channel = first + o < gradient.channels ? first + o : gradient.channels - 1;
            const ptrdiff_t tile = ptrdiff_t(o) * band.tiles() + row * band.columns;
            transform_gradients(rows_of(gradient, channel, 2 * (band.first + row), 0), gradient.width, h + tile * LANES,
                                stride);
        }
}

constexpr int GRADIENT_INS = VECTOR_REGISTERS == 32 ? 4 : 3;

// total[in][out] += the sum over the lanes of sum[in][out]. `parts` collects the vectors that make up 16 lanes.
template <int IN>
INLINE void add_lane_sums(const V (&sum)[IN][WINOGRAD_OUTS], int lane, float (&parts)[IN * WINOGRAD_OUTS][LANES],
                          float* total) {
    UNROLL for (int i = 0; i < IN; ++i)
        UNROLL for (int o = 0; o < WINOGRAD_OUTS; ++o) store(parts[i * WINOGRAD_OUTS + o] + lane, sum[i][o]);
    if (lane + VL < LANES) return;
    for (int i = 0; i < IN; ++i, total += WINOGRAD_OUTS)
        store4(total, load4(total) + lane_sums(parts + i * WINOGRAD_OUTS));
}

#if VECTOR_LANES == 16
// The same without leaving the registers, which makes the whole gradient a quarter faster. A fold adds one half of each
// group of 16, 8, 4 or 2 lanes to the other half, for two vectors at once.
INLINE V fold16(V a, V b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}

INLINE V fold8(V a, V b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

INLINE V fold4(V a, V b) {
    return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}

INLINE V fold2(V a, V b) {
    return __builtin_shufflevector(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
           __builtin_shufflevector(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
}

template <>
INLINE void add_lane_sums<4>(const V (&sum)[4][WINOGRAD_OUTS], int, float (&)[4 * WINOGRAD_OUTS][LANES], float* total) {
    V out[WINOGRAD_OUTS];
    UNROLL for (int o = 0; o < WINOGRAD_OUTS; ++o)
        out[o] = fold8(fold16(sum[0][o], sum[1][o]), fold16(sum[2][o], sum[3][o]));
    store(total, load(total) + fold2(fold4(out[0], out[1]), fold4(out[2], out[3])));
}
#endif

// total[in][out] += the sum over tiles and lanes of h[out][tile] * v[in][tile], for four channels out and IN
// channels in.
template <int IN>
void gradient_product(const float* h, const float* v, int tiles, float* total) {
    const ptrdiff_t row = ptrdiff_t(tiles) * LANES;
    float parts[IN * WINOGRAD_OUTS][LANES];
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[IN][WINOGRAD_OUTS] = {};
        const float* gradient = h + lane;
        const float* in = v + lane;
        for (int tile = 0; tile < tiles; ++tile, gradient += LANES, in += LANES) {
            OPAQUE(in);
            V value[IN];
            UNROLL for (int i = 0; i < IN; ++i) value[i] = load_shared(in + i * row);
            UNROLL for (int o = 0; o < WINOGRAD_OUTS; ++o) {
                const V slope = load_shared(gradient + o * row);
                UNROLL for (int i = 0; i < IN; ++i) sum[i][o] = fma(slope, value[i], sum[i][o]);
            }
        }
        add_lane_sums<IN>(sum, lane, parts, total);
    }
}

// The products of all input channels with `outs` output channels, at one position.
void gradient_products(const float* h, const float* v, int ins, int outs, int tiles, float* total) {
    const ptrdiff_t row = ptrdiff_t(tiles) * LANES;
    for (int o = 0; o < outs; o += WINOGRAD_OUTS, h += WINOGRAD_OUTS * row, total += ptrdiff_t(ins) * WINOGRAD_OUTS) {
        int c = 0;
        for (; c + GRADIENT_INS <= ins; c += GRADIENT_INS)
            gradient_product<GRADIENT_INS>(h, v + c * row, tiles, total + ptrdiff_t(c) * WINOGRAD_OUTS);
        for (; c < ins; ++c) gradient_product<1>(h, v + c * row, tiles, total + ptrdiff_t(c) * WINOGRAD_OUTS);
    }
}

INLINE void gather_gradients(V4 m0, V4 m1, V4 m2, V4 m3, V4 (&y)[3]) {
    const V4 sum = 0.5f * (m1 + m2);
    y[0] = m0 + sum, y[1] = 0.5f * (m1 - m2), y[2] = sum + m3;
}

// Adds the gradient of four output channels and one input channel, from m: [position] `stride` apart, to the weights.
void add_kernels(const float* m, ptrdiff_t stride, float* weights, ptrdiff_t w_out, int outs) {
    V4 columns[4][3];
    UNROLL for (int i = 0; i < 4; ++i) {
        const float* p = m + i * stride;
        gather_gradients(load4(p), load4(p + 4 * stride), load4(p + 8 * stride), load4(p + 12 * stride), columns[i]);
    }
    for (int j = 0; j < 3; ++j) {
        V4 y[3];
        gather_gradients(columns[0][j], columns[1][j], columns[2][j], columns[3][j], y);
        for (int o = 0; o < outs; ++o)
            for (int i = 0; i < 3; ++i) weights[o * w_out + 3 * j + i] += y[i][o];
    }
}

void winograd_gradient_of_band(const WeightGradient& w, Band band, float* totals) {
    const int ins = w.in.channels, outs = (w.gradient.channels + WINOGRAD_OUTS - 1) / WINOGRAD_OUTS * WINOGRAD_OUTS;
    const ptrdiff_t stride = ptrdiff_t(ins) * outs, v_stride = winograd_stride(ptrdiff_t(ins) * band.tiles());
    const ptrdiff_t h_stride = winograd_stride(WINOGRAD_BLOCK * band.tiles());
    float* v = totals + WINOGRAD_POSITIONS * stride;
    float* h = v + WINOGRAD_POSITIONS * v_stride;
    transform_band(w.in, w.row0, w.col0, w.gradient.width, band, v, v_stride);
    for (int first = 0; first < outs; first += WINOGRAD_BLOCK) {
        const int count = outs - first < WINOGRAD_BLOCK ? outs - first : WINOGRAD_BLOCK;
        gradients_of_band(w.gradient, band, first, count, h, h_stride);
        for (int position = 0; position < WINOGRAD_POSITIONS; ++position)
            gradient_products(h + position * h_stride, v + position * v_stride, ins, count, band.tiles(),
                              totals + position * stride + ptrdiff_t(first) * ins);
    }
}

// The gradient of a block of input channels, whose weights begin at w.weights and are w_out apart.
void winograd_gradient_of(const WeightGradient& w, ptrdiff_t w_out, int band_rows) {
    const int ins = w.in.channels, outs = w.gradient.channels;
    const ptrdiff_t totals = smidgen::winograd_weight_floats(ins, outs);
    for (ptrdiff_t k = 0; k < totals; ++k) w.scratch[k] = 0.0f;
    const int rows = (w.gradient.height + 1) / 2, columns = (w.gradient.width + 1) / 2;
    const ptrdiff_t bands = (rows - 1) / band_rows + 1;
    for (ptrdiff_t band = 0; band < bands; ++band) {
        const int begin = int(rows * band / bands), end = int(rows * (band + 1) / bands);
        winograd_gradient_of_band(w, {.first = begin, .rows = end - begin, .columns = columns}, w.scratch);
    }
    for (int o = 0; o < outs; o += WINOGRAD_OUTS)
        for (int c = 0; c < ins; ++c)
            add_kernels(w.scratch + ptrdiff_t(o) * ins + ptrdiff_t(c) * WINOGRAD_OUTS, totals / WINOGRAD_POSITIONS,
                        w.weights + o * w_out + ptrdiff_t(9) * c, w_out, outs - o < WINOGRAD_OUTS ? outs - o : WINOGRAD_OUTS);
}

// Works on a block of input channels at a time: bands are longer then, and sums over lanes fewer.
void winograd_gradient(const WeightGradient& w) {
    const int ins = w.in.channels, blocks = smidgen::winograd_blocks(ins);
    const int band_rows = winograd_band((ins + blocks - 1) / blocks, (w.gradient.width + 1) / 2);
    for (ptrdiff_t block = 0; block < blocks; ++block) {
        const int begin = int(ins * block / blocks), end = int(ins * (block + 1) / blocks);
        WeightGradient part = w;
        part.in.data += begin * w.in.plane, part.in.channels = end - begin;
        part.weights += 9 * begin;
        winograd_gradient_of(part, ptrdiff_t(9) * ins, band_rows);
    }
}

}  // namespace
