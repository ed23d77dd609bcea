// 3x3 convolutions of many channels with 16 multiplications instead of the 36 of the direct algorithm: Lavin & Gray,
// "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), section 4.1. A tile of 2x2 outputs is computed
// from 4x4 inputs. In one dimension, with inputs d, weights g and outputs y:
//
//     m0 = (d0 - d2) g0    m1 = (d1 + d2) (g0 + g1 + g2) / 2    y0 = m0 + m1 + m2
//     m3 = (d3 - d1) g2    m2 = (d2 - d1) (g0 - g1 + g2) / 2    y1 = m1 - m2 + m3
//
// In two dimensions this is applied to the columns and then to the rows, and each of the 16 products is a matrix product
// over the channels. The gradient of the weights has 3x3 outputs, from the same 4x4 inputs and 2x2 "weights", which are
// the gradients h of the outputs:
//
//     m0 = (d0 - d2) h0    m1 = (d1 + d2) (h0 + h1) / 2    y0 = m0 + m1 + m2    y1 = m1 - m2
//     m3 = (d3 - d1) h1    m2 = (d2 - d1) (h0 - h1) / 2    y2 = m1 + m2 + m3
//
// Lanes are images, so that no step shuffles. A map is worked on in bands of tiles, so that intermediate values stay in
// the second-level cache.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace {

using smidgen::Convolution;
using smidgen::Map;
using smidgen::WeightGradient;
using smidgen::WINOGRAD_BLOCK;
using smidgen::WINOGRAD_OUTS;
using smidgen::WINOGRAD_POSITIONS;
using smidgen::winograd_band;
using smidgen::winograd_stride;

// --- the weights -----------------------------------------------------------------------------------

// Transforms the three weights of one row or column to four factors.
INLINE void spread(V4 g0, V4 g1, V4 g2, V4 (&u)[4]) {
    const V4 outer = 0.5f * (g0 + g2), inner = 0.5f * g1;
    u[0] = g0, u[1] = outer + inner, u[2] = outer - inner, u[3] = g2;
}

// Transforms the weights of four output channels and one input channel to u: [position] `stride` apart, [4].
INLINE void transform_kernels(const V4 (&g)[3][3], float* u, ptrdiff_t stride) {
    V4 columns[3][4];
    UNROLL for (int i = 0; i < 3; ++i) spread(g[0][i], g[1][i], g[2][i], columns[i]);
    UNROLL for (int j = 0; j < 4; ++j) {
        V4 row[4];
        spread(columns[0][j], columns[1][j], columns[2][j], row);
        UNROLL for (int i = 0; i < 4; ++i) store4(u + (4 * j + i) * stride, row[i]);
    }
}

// Transforms all weights to [position][out / 4][in][4]; the last channel is repeated up to a multiple of 4.
void winograd_weights(const Convolution& c, float* transformed) {
    const int ins = c.in.channels, outs = c.out.channels;
    const ptrdiff_t stride = smidgen::winograd_weight_floats(ins, outs) / WINOGRAD_POSITIONS;
    for (int first = 0; first < outs; first += WINOGRAD_OUTS) {
        const float* w[WINOGRAD_OUTS];
        for (int o = 0; o < WINOGRAD_OUTS; ++o) w[o] = c.weights + (first + o < outs ? first + o : outs - 1) * c.w_out;
        for (int channel = 0; channel < ins; ++channel) {
            V4 g[3][3];
            for (int j = 0; j < 3; ++j)
                for (int i = 0; i < 3; ++i) {
                    const ptrdiff_t at = channel * c.w_in + j * c.w_y + i * c.w_x;
                    g[j][i] = V4{w[0][at], w[1][at], w[2][at], w[3][at]};
                }
            transform_kernels(g, transformed + ptrdiff_t(first) * ins + ptrdiff_t(channel) * WINOGRAD_OUTS, stride);
        }
    }
}

// --- the inputs ------------------------------------------------------------------------------------

alignas(64) const float ZEROS[LANES] = {};

// The four rows of one channel that a row of tiles reads; those outside the map are zero.
struct Rows {
    const float* row[4];
    ptrdiff_t step[4];  // from column to column
};

Rows rows_of(const Map& map, int channel, int top, int left) {
    Rows rows;
    for (int j = 0; j < 4; ++j) {
        const bool inside = top + j >= 0 && top + j < map.height;
        rows.row[j] = inside ? map.data + channel * map.plane + (top + j) * map.row + ptrdiff_t(left) * LANES : ZEROS;
        rows.step[j] = inside ? LANES : 0;
    }
    return rows;
}

// Transforms the inputs of one column or row of a tile to four factors.
INLINE void spread_inputs(const V (&d)[4], V (&v)[4]) {
    v[0] = d[0] - d[2], v[1] = d[1] + d[2], v[2] = d[2] - d[1], v[3] = d[3] - d[1];
}

// Transforms the current column of `rows` and moves on to the next.
INLINE void spread_column(Rows& rows, V (&v)[4]) {
    V d[4];
    UNROLL for (int j = 0; j < 4; ++j) d[j] = load(rows.row[j]), rows.row[j] += rows.step[j];
    spread_inputs(d, v);
}

// Stores sixteen vectors, one for each position, through one moving pointer: the compiler would keep an offset for each.
INLINE void store_positions(const V (&v)[4][4], float* out, ptrdiff_t stride) {
    UNROLL for (int j = 0; j < 4; ++j, out += 4 * stride) {
        OPAQUE(out);
        UNROLL for (int i = 0; i < 4; ++i) store(out + i * stride, v[j][i]);
    }
}

// Transforms columns a, b and the next two to one tile; those two are the next tile's a and b. The last tile of an odd
// width has a column that no output needs.
INLINE void transform_tile(Rows& rows, bool whole, V (&a)[4], V (&b)[4], float* out, ptrdiff_t stride) {
    V c[4], d[4], v[4][4];
    spread_column(rows, c);
    if (whole) spread_column(rows, d);
    else UNROLL for (int j = 0; j < 4; ++j) d[j] = V{};
    UNROLL for (int j = 0; j < 4; ++j) spread_inputs({a[j], b[j], c[j], d[j]}, v[j]);
    store_positions(v, out, stride);
    UNROLL for (int j = 0; j < 4; ++j) a[j] = c[j], b[j] = d[j];
}

// Transforms one row of tiles of one channel to out: [position] `stride` apart, [tile][lane].
void transform_inputs(Rows from, int width, float* out, ptrdiff_t stride) {
    for (int lane = 0; lane < LANES; lane += VL) {
        Rows rows = from;
        UNROLL for (int j = 0; j < 4; ++j) rows.row[j] += lane;
        V a[4], b[4];
        spread_column(rows, a);
        spread_column(rows, b);
        for (int x = 0; x < width; x += 2)
            transform_tile(rows, x + 1 < width, a, b, out + x / 2 * LANES + lane, stride);
    }
}

struct Band {
    int first, rows, columns;  // its first row of tiles, how many there are, and tiles a row
    int tiles() const { return rows * columns; }
};

void transform_band(const Map& in, int row0, int col0, int width, Band band, float* v, ptrdiff_t stride) {
    for (int channel = 0; channel < in.channels; ++channel)
        for (int row = 0; row < band.rows; ++row) {
            const Rows rows = rows_of(in, channel, 2 * (band.first + row) + row0, col0);
            const ptrdiff_t tile = ptrdiff_t(channel) * band.tiles() + row * band.columns;
            transform_inputs(rows, width, v + tile * LANES, stride);
        }
}

// --- the products ----------------------------------------------------------------------------------

constexpr int PRODUCT_COLUMNS = VECTOR_REGISTERS == 32 ? 6 : 3;

// m[o][tile] = sum over channels of u[channel][o] * v[channel][tile], for four channels o and COLUMNS tiles.
template <int COLUMNS>
void product(const float* u, const float* v, int channels, ptrdiff_t row, float* m) {
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[WINOGRAD_OUTS][COLUMNS] = {};
        const float* weights = u;
        const float* in = v + lane;
        for (int channel = 0; channel < channels; ++channel, weights += WINOGRAD_OUTS, in += row) {
            OPAQUE(in);
            V value[COLUMNS];
            UNROLL for (int x = 0; x < COLUMNS; ++x) value[x] = load_shared(in + x * LANES);
            UNROLL for (int o = 0; o < WINOGRAD_OUTS; ++o) {
                V weight = broadcast(weights[o]);
                asm("" : ANY_VECTOR(weight));
                UNROLL for (int x = 0; x < COLUMNS; ++x) sum[o][x] = fma(weight, value[x], sum[o][x]);
            }
        }
        UNROLL for (int o = 0; o < WINOGRAD_OUTS; ++o)
            UNROLL for (int x = 0; x < COLUMNS; ++x) store(m + o * row + x * LANES + lane, sum[o][x]);
    }
}

void product_of(int columns, const float* u, const float* v, int channels, ptrdiff_t row, float* m) {
    switch (columns) {
        case 1: return product<1>(u, v, channels, row, m);
        case 2: return product<2>(u, v, channels, row, m);
        case 3: return product<3>(u, v, channels, row, m);
#if VECTOR_REGISTERS == 32
        case 4: return product<4>(u, v, channels, row, m);
        case 5: return product<5>(u, v, channels, row, m);
        case 6: return product<6>(u, v, channels, row, m);
#endif
    }
}

// The products of all tiles of a band with `outs` output channels, at one position.
void products(const float* u, const float* v, int channels, int outs, int tiles, float* m) {
    const ptrdiff_t parts = (tiles + PRODUCT_COLUMNS - 1) / PRODUCT_COLUMNS;
    const ptrdiff_t row = ptrdiff_t(tiles) * LANES;
    for (int o = 0; o < outs; o += WINOGRAD_OUTS)
        for (ptrdiff_t part = 0; part < parts; ++part) {
            const int begin = int(tiles * part / parts), end = int(tiles * (part + 1) / parts);
            product_of(end - begin, u + ptrdiff_t(o) * channels, v + ptrdiff_t(begin) * LANES, channels, row,
                       m + o * row + ptrdiff_t(begin) * LANES);
        }
}

// --- the outputs -----------------------------------------------------------------------------------

INLINE void gather_outputs(const V (&m)[4], V& y0, V& y1) { y0 = (m[0] + m[1]) + m[2], y1 = (m[1] - m[2]) + m[3]; }

INLINE void finish_value(bool backward, V sum, V bias, Activation activation, float* out) {
    store(out, backward ? through(sum, load(out), activation) : activate(sum + bias, activation));
}

// Writes one row of tiles of one output channel; `height` of its rows are inside the map.
void transform_outputs(const Convolution& c, const float* m, ptrdiff_t stride, float bias_value, int height, float* out) {
    const V bias = broadcast(bias_value);
    const Activation activation = activation_of(c.slope, c.ceiling);
    const bool backward = c.backward;
    const int width = c.out.width;
    const ptrdiff_t out_row = c.out.row;
    for (int lane = 0; lane < LANES; lane += VL) {
        const float* from = m + lane;
        float* to = out + lane;
        for (int x = 0; x < width; x += 2, from += LANES, to += 2 * LANES) {
            V left[4], right[4];  // of the four rows of products
            const float* row = from;
            UNROLL for (int j = 0; j < 4; ++j, row += 4 * stride) {
                OPAQUE(row);
                gather_outputs({load(row), load(row + stride), load(row + 2 * stride), load(row + 3 * stride)}, left[j],
                               right[j]);
            }
            V y[2][2];
            gather_outputs(left, y[0][0], y[1][0]);
            gather_outputs(right, y[0][1], y[1][1]);
            const bool whole = x + 1 < width;
            finish_value(backward, y[0][0], bias, activation, to);
            if (whole) finish_value(backward, y[0][1], bias, activation, to + LANES);
            if (height == 1) continue;
            finish_value(backward, y[1][0], bias, activation, to + out_row);
            if (whole) finish_value(backward, y[1][1], bias, activation, to + out_row + LANES);
        }
    }
}

void outputs_of_band(const Convolution& c, Band band, int first, int outs, const float* m, ptrdiff_t stride) {
    for (int o = 0; o < outs && first + o < c.out.channels; ++o)
        for (int row = 0; row < band.rows; ++row) {
            const int y = 2 * (band.first + row), left = c.out.height - y;
            transform_outputs(c, m + (ptrdiff_t(o) * band.tiles() + row * band.columns) * LANES, stride,
                              c.bias ? c.bias[first + o] : 0.0f, left < 2 ? left : 2,
                              c.out.data + (first + o) * c.out.plane + y * c.out.row);
        }
}

void winograd_band_of(const Convolution& c, Band band) {
    const int ins = c.in.channels, outs = (c.out.channels + WINOGRAD_OUTS - 1) / WINOGRAD_OUTS * WINOGRAD_OUTS;
    const ptrdiff_t u_stride = ptrdiff_t(ins) * outs, v_stride = winograd_stride(ptrdiff_t(ins) * band.tiles());
    const ptrdiff_t m_stride = winograd_stride(WINOGRAD_BLOCK * band.tiles());
    float* v = c.scratch;
    float* m = v + WINOGRAD_POSITIONS * v_stride;
    transform_band(c.in, c.row0, c.col0, c.out.width, band, v, v_stride);
    for (int first = 0; first < outs; first += WINOGRAD_BLOCK) {
        const int count = outs - first < WINOGRAD_BLOCK ? outs - first : WINOGRAD_BLOCK;
        for (int position = 0; position < WINOGRAD_POSITIONS; ++position)
            products(c.transformed + position * u_stride + ptrdiff_t(first) * ins, v + position * v_stride, ins, count,
                     band.tiles(), m + position * m_stride);
        outputs_of_band(c, band, first, count, m, m_stride);
    }
}

void winograd_convolve(const Convolution& c) {
    const int rows = (c.out.height + 1) / 2, columns = (c.out.width + 1) / 2;
    const ptrdiff_t bands = (rows - 1) / winograd_band(c.in.channels, columns) + 1;
    for (ptrdiff_t band = 0; band < bands; ++band) {
        const int begin = int(rows * band / bands), end = int(rows * (band + 1) / bands);
        winograd_band_of(c, {.first = begin, .rows = end - begin, .columns = columns});
    }
}

}  // namespace
