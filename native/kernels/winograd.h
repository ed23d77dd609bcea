// 3x3 convolutions of many channels with 16 multiplications where the direct way has 36: Lavin & Gray, "Fast
// Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), section 4.1. A tile of 2x2 outputs comes of
// 4x4 inputs; in one dimension, of inputs d, weights g and outputs y:
//
//     m0 = (d0 - d2) g0    m1 = (d1 + d2) (g0 + g1 + g2) / 2    y0 = m0 + m1 + m2
//     m3 = (d3 - d1) g2    m2 = (d2 - d1) (g0 - g1 + g2) / 2    y1 = m1 - m2 + m3
//
// In two dimensions rows and columns go through this one after the other, and each of the 16 products is a
// matrix product over the channels. The gradient of the weights has 3x3 outputs of the same 4x4 inputs and 2x2
// "weights", which are the gradients h of the outputs:
//
//     m0 = (d0 - d2) h0    m1 = (d1 + d2) (h0 + h1) / 2    y0 = m0 + m1 + m2    y1 = m1 - m2
//     m3 = (d3 - d1) h1    m2 = (d2 - d1) (h0 - h1) / 2    y2 = m1 + m2 + m3
//
// Lanes are images, so that no step shuffles. The map goes through in bands of tiles, so that what stands
// between the steps stays in the second-level cache.
#pragma once

#include "../kernels.h"
#include "../simd.h"

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

// The three weights of one row or column to the four that are multiplied with.
INLINE void spread(V4 g0, V4 g1, V4 g2, V4 (&u)[4]) {
    const V4 outer = 0.5f * (g0 + g2), inner = 0.5f * g1;
    u[0] = g0, u[1] = outer + inner, u[2] = outer - inner, u[3] = g2;
}

// The weights of four output channels and one input channel, to u: [position] `stride` apart, [4].
INLINE void transform_kernels(const V4 (&g)[3][3], float* u, long stride) {
    V4 columns[3][4];
    UNROLL for (int i = 0; i < 3; ++i) spread(g[0][i], g[1][i], g[2][i], columns[i]);
    UNROLL for (int j = 0; j < 4; ++j) {
        V4 row[4];
        spread(columns[0][j], columns[1][j], columns[2][j], row);
        UNROLL for (int i = 0; i < 4; ++i) store4(u + (4 * j + i) * stride, row[i]);
    }
}

// To [position][out / 4][in][4]; the last channel stands in for those past it.
void winograd_weights(const Convolution& c, float* transformed) {
    const int ins = c.in.channels, outs = c.out.channels;
    const long stride = smidgen::winograd_weight_floats(ins, outs) / WINOGRAD_POSITIONS;
    for (int first = 0; first < outs; first += WINOGRAD_OUTS) {
        const float* w[WINOGRAD_OUTS];
        for (int o = 0; o < WINOGRAD_OUTS; ++o) w[o] = c.weights + (first + o < outs ? first + o : outs - 1) * c.w_out;
        for (int channel = 0; channel < ins; ++channel) {
            V4 g[3][3];
            for (int j = 0; j < 3; ++j)
                for (int i = 0; i < 3; ++i) {
                    const long at = channel * c.w_in + j * c.w_y + i * c.w_x;
                    g[j][i] = V4{w[0][at], w[1][at], w[2][at], w[3][at]};
                }
            transform_kernels(g, transformed + long(first) * ins + channel * WINOGRAD_OUTS, stride);
        }
    }
}

// --- the inputs ------------------------------------------------------------------------------------

alignas(64) const float ZEROS[LANES] = {};

// Four rows that a row of tiles reads, of one channel; those outside the map are zero.
struct Rows {
    const float* row[4];
    long step[4];  // from column to column
};

Rows rows_of(const Map& map, int channel, int top, int left) {
    Rows rows;
    for (int j = 0; j < 4; ++j) {
        const bool inside = top + j >= 0 && top + j < map.height;
        rows.row[j] = inside ? map.data + channel * map.plane + (top + j) * map.row + long(left) * LANES : ZEROS;
        rows.step[j] = inside ? LANES : 0;
    }
    return rows;
}

// The inputs of one column, or row, of a tile to the four that are multiplied with.
INLINE void spread_inputs(const V (&d)[4], V (&v)[4]) {
    v[0] = d[0] - d[2], v[1] = d[1] + d[2], v[2] = d[2] - d[1], v[3] = d[3] - d[1];
}

// The column that `rows` stand at.
INLINE void spread_column(Rows& rows, V (&v)[4]) {
    V d[4];
    UNROLL for (int j = 0; j < 4; ++j) d[j] = load(rows.row[j]), rows.row[j] += rows.step[j];
    spread_inputs(d, v);
}

// Sixteen vectors to as many positions. One pointer that moves: the compiler would keep an offset for each.
INLINE void store_positions(const V (&v)[4][4], float* out, long stride) {
    UNROLL for (int j = 0; j < 4; ++j, out += 4 * stride) {
        OPAQUE(out);
        UNROLL for (int i = 0; i < 4; ++i) store(out + i * stride, v[j][i]);
    }
}

// Columns a, b and the next two to one tile; those two are the next tile's a and b. The last tile of an odd
// width has a column that no output needs.
INLINE void transform_tile(Rows& rows, bool whole, V (&a)[4], V (&b)[4], float* out, long stride) {
    V c[4], d[4], v[4][4];
    spread_column(rows, c);
    if (whole) spread_column(rows, d);
    else UNROLL for (int j = 0; j < 4; ++j) d[j] = V{};
    UNROLL for (int j = 0; j < 4; ++j) spread_inputs({a[j], b[j], c[j], d[j]}, v[j]);
    store_positions(v, out, stride);
    UNROLL for (int j = 0; j < 4; ++j) a[j] = c[j], b[j] = d[j];
}

// One row of tiles of one channel, to out: [position] `stride` apart, [tile][lane].
void transform_inputs(Rows from, int width, float* out, long stride) {
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

void transform_band(const Map& in, int row0, int col0, int width, Band band, float* v, long stride) {
    for (int channel = 0; channel < in.channels; ++channel)
        for (int row = 0; row < band.rows; ++row) {
            const Rows rows = rows_of(in, channel, 2 * (band.first + row) + row0, col0);
            const long tile = long(channel) * band.tiles() + row * band.columns;
            transform_inputs(rows, width, v + tile * LANES, stride);
        }
}

// --- the products ----------------------------------------------------------------------------------

constexpr int PRODUCT_COLUMNS = VECTOR_REGISTERS == 32 ? 6 : 3;

// m[o][tile] = sum over channels of u[channel][o] * v[channel][tile], for four channels o and COLUMNS tiles.
template <int COLUMNS>
void product(const float* u, const float* v, int channels, long row, float* m) {
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

void product_of(int columns, const float* u, const float* v, int channels, long row, float* m) {
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

// All tiles of a band against `outs` output channels, at one position.
void products(const float* u, const float* v, int channels, int outs, int tiles, float* m) {
    const int parts = (tiles + PRODUCT_COLUMNS - 1) / PRODUCT_COLUMNS;
    const long row = long(tiles) * LANES;
    for (int o = 0; o < outs; o += WINOGRAD_OUTS)
        for (int part = 0; part < parts; ++part) {
            const int begin = tiles * part / parts, end = tiles * (part + 1) / parts;
            product_of(end - begin, u + long(o) * channels, v + begin * LANES, channels, row,
                       m + o * row + begin * LANES);
        }
}

// --- the outputs -----------------------------------------------------------------------------------

INLINE void gather_outputs(const V (&m)[4], V& y0, V& y1) { y0 = (m[0] + m[1]) + m[2], y1 = (m[1] - m[2]) + m[3]; }

INLINE void finish_value(bool backward, V sum, V bias, V slope, float* out) {
    store(out, backward ? through(sum, load(out), slope) : activate(sum + bias, slope));
}

// One row of tiles of one output channel, of which `height` rows are inside the map.
void transform_outputs(const Convolution& c, const float* m, long stride, float bias_value, int height, float* out) {
    const V bias = broadcast(bias_value), slope = broadcast(c.slope);
    const bool backward = c.backward;
    const int width = c.out.width;
    const long out_row = c.out.row;
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
            finish_value(backward, y[0][0], bias, slope, to);
            if (whole) finish_value(backward, y[0][1], bias, slope, to + LANES);
            if (height == 1) continue;
            finish_value(backward, y[1][0], bias, slope, to + out_row);
            if (whole) finish_value(backward, y[1][1], bias, slope, to + out_row + LANES);
        }
    }
}

void outputs_of_band(const Convolution& c, Band band, int first, int outs, const float* m, long stride) {
    for (int o = 0; o < outs && first + o < c.out.channels; ++o)
        for (int row = 0; row < band.rows; ++row) {
            const int y = 2 * (band.first + row), left = c.out.height - y;
            transform_outputs(c, m + (long(o) * band.tiles() + row * band.columns) * LANES, stride,
                              c.bias ? c.bias[first + o] : 0.0f, left < 2 ? left : 2,
                              c.out.data + (first + o) * c.out.plane + y * c.out.row);
        }
}

void winograd_band_of(const Convolution& c, Band band) {
    const int ins = c.in.channels, outs = (c.out.channels + WINOGRAD_OUTS - 1) / WINOGRAD_OUTS * WINOGRAD_OUTS;
    const long u_stride = long(ins) * outs, v_stride = winograd_stride(ins * band.tiles());
    const long m_stride = winograd_stride(WINOGRAD_BLOCK * band.tiles());
    float* v = c.scratch;
    float* m = v + WINOGRAD_POSITIONS * v_stride;
    transform_band(c.in, c.row0, c.col0, c.out.width, band, v, v_stride);
    for (int first = 0; first < outs; first += WINOGRAD_BLOCK) {
        const int count = outs - first < WINOGRAD_BLOCK ? outs - first : WINOGRAD_BLOCK;
        for (int position = 0; position < WINOGRAD_POSITIONS; ++position)
            products(c.transformed + position * u_stride + long(first) * ins, v + position * v_stride, ins, count,
                     band.tiles(), m + position * m_stride);
        outputs_of_band(c, band, first, count, m, m_stride);
    }
}

void winograd_convolve(const Convolution& c) {
    const int rows = (c.out.height + 1) / 2, columns = (c.out.width + 1) / 2;
    const int bands = (rows - 1) / winograd_band(c.in.channels, columns) + 1;
    for (int band = 0; band < bands; ++band) {
        const int begin = rows * band / bands, end = rows * (band + 1) / bands;
        winograd_band_of(c, {begin, end - begin, columns});
    }
}

// --- the gradient of the weights -------------------------------------------------------------------

// The gradients of one row or column of a tile to the four that are multiplied with; they are halved at the end.
INLINE void spread_gradients(V h0, V h1, V (&to)[4]) { to[0] = h0, to[1] = h0 + h1, to[2] = h0 - h1, to[3] = h1; }

INLINE void spread_gradient_column(Rows& rows, V (&to)[4]) {
    spread_gradients(load(rows.row[0]), load(rows.row[1]), to);
    UNROLL for (int j = 0; j < 2; ++j) rows.row[j] += rows.step[j];
}

// One row of tiles of one channel, to out: [position] `stride` apart, [tile][lane].
void transform_gradients(Rows from, int width, float* out, long stride) {
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

// Of `count` channels, from `first` on; the last one stands in for those past it.
void gradients_of_band(const Map& gradient, Band band, int first, int count, float* h, long stride) {
    for (int o = 0; o < count; ++o)
        for (int row = 0; row < band.rows; ++row) {
            const int channel = first + o < gradient.channels ? first + o : gradient.channels - 1;
            const long tile = long(o) * band.tiles() + row * band.columns;
            transform_gradients(rows_of(gradient, channel, 2 * (band.first + row), 0), gradient.width, h + tile * LANES,
                                stride);
        }
}

// The sums of four times 16 lanes, in the order of lane_sum.
INLINE V4 lane_sums(const float* p) {
    V4 s[4];
    UNROLL for (int k = 0; k < 4; ++k, p += LANES) s[k] = (load4(p) + load4(p + 8)) + (load4(p + 4) + load4(p + 12));
    const V4 a = __builtin_shufflevector(s[0], s[1], 0, 1, 4, 5) + __builtin_shufflevector(s[0], s[1], 2, 3, 6, 7);
    const V4 b = __builtin_shufflevector(s[2], s[3], 0, 1, 4, 5) + __builtin_shufflevector(s[2], s[3], 2, 3, 6, 7);
    return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

constexpr int GRADIENT_INS = VECTOR_REGISTERS == 32 ? 4 : 3;

// total[in][out] += the lanes' sum of sum[in][out]. `parts` collects the vectors that 16 lanes take.
template <int IN>
INLINE void add_lane_sums(const V (&sum)[IN][WINOGRAD_OUTS], int lane, float (&parts)[IN * WINOGRAD_OUTS][LANES],
                          float* total) {
    UNROLL for (int i = 0; i < IN; ++i)
        UNROLL for (int o = 0; o < WINOGRAD_OUTS; ++o) store(parts[i * WINOGRAD_OUTS + o] + lane, sum[i][o]);
    if (lane + VL < LANES) return;
    for (int i = 0; i < IN; ++i, total += WINOGRAD_OUTS)
        store4(total, load4(total) + lane_sums(parts[i * WINOGRAD_OUTS]));
}

#if VECTOR_LANES == 16
// The same without leaving the registers, which makes the whole gradient a quarter faster. A fold adds the one
// half of each group of 16, 8, 4 or 2 lanes to the other, of two vectors at once.
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
    const long row = long(tiles) * LANES;
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

// All input channels against `outs` output channels, at one position.
void gradient_products(const float* h, const float* v, int ins, int outs, int tiles, float* total) {
    const long row = long(tiles) * LANES;
    for (int o = 0; o < outs; o += WINOGRAD_OUTS, h += WINOGRAD_OUTS * row, total += long(ins) * WINOGRAD_OUTS) {
        int c = 0;
        for (; c + GRADIENT_INS <= ins; c += GRADIENT_INS)
            gradient_product<GRADIENT_INS>(h, v + c * row, tiles, total + c * WINOGRAD_OUTS);
        for (; c < ins; ++c) gradient_product<1>(h, v + c * row, tiles, total + c * WINOGRAD_OUTS);
    }
}

INLINE void gather_gradients(V4 m0, V4 m1, V4 m2, V4 m3, V4 (&y)[3]) {
    const V4 sum = 0.5f * (m1 + m2);
    y[0] = m0 + sum, y[1] = 0.5f * (m1 - m2), y[2] = sum + m3;
}

// The sums of four output channels and one input channel, [position] `stride` apart, to where they belong.
void add_kernels(const float* m, long stride, float* weights, long w_out, int outs) {
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
    const long stride = long(ins) * outs, v_stride = winograd_stride(ins * band.tiles());
    const long h_stride = winograd_stride(WINOGRAD_BLOCK * band.tiles());
    float* v = totals + WINOGRAD_POSITIONS * stride;
    float* h = v + WINOGRAD_POSITIONS * v_stride;
    transform_band(w.in, w.row0, w.col0, w.gradient.width, band, v, v_stride);
    for (int first = 0; first < outs; first += WINOGRAD_BLOCK) {
        const int count = outs - first < WINOGRAD_BLOCK ? outs - first : WINOGRAD_BLOCK;
        gradients_of_band(w.gradient, band, first, count, h, h_stride);
        for (int position = 0; position < WINOGRAD_POSITIONS; ++position)
            gradient_products(h + position * h_stride, v + position * v_stride, ins, count, band.tiles(),
                              totals + position * stride + long(first) * ins);
    }
}

// The gradient of some of the input channels, whose weights begin at w.weights and are w_out apart.
void winograd_gradient_of(const WeightGradient& w, long w_out, int band_rows) {
    const int ins = w.in.channels, outs = w.gradient.channels;
    const long totals = smidgen::winograd_weight_floats(ins, outs);
    for (long k = 0; k < totals; ++k) w.scratch[k] = 0.0f;
    const int rows = (w.gradient.height + 1) / 2, columns = (w.gradient.width + 1) / 2;
    const int bands = (rows - 1) / band_rows + 1;
    for (int band = 0; band < bands; ++band) {
        const int begin = rows * band / bands, end = rows * (band + 1) / bands;
        winograd_gradient_of_band(w, {begin, end - begin, columns}, w.scratch);
    }
    for (int o = 0; o < outs; o += WINOGRAD_OUTS)
        for (int c = 0; c < ins; ++c)
            add_kernels(w.scratch + long(o) * ins + c * WINOGRAD_OUTS, totals / WINOGRAD_POSITIONS,
                        w.weights + o * w_out + 9 * c, w_out, outs - o < WINOGRAD_OUTS ? outs - o : WINOGRAD_OUTS);
}

// A block of input channels at a time: bands are longer then, and sums over lanes fewer.
void winograd_gradient(const WeightGradient& w) {
    const int ins = w.in.channels, blocks = smidgen::winograd_blocks(ins);
    const int band_rows = winograd_band((ins + blocks - 1) / blocks, (w.gradient.width + 1) / 2);
    for (int block = 0; block < blocks; ++block) {
        const int begin = ins * block / blocks, end = ins * (block + 1) / blocks;
        WeightGradient part = w;
        part.in.data += begin * w.in.plane, part.in.channels = end - begin;
        part.weights += 9 * begin;
        winograd_gradient_of(part, 9l * ins, band_rows);
    }
}

}  // namespace
