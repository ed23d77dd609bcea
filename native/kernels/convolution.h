// Convolution, forward and with respect to its input, and dense layers as the case of a 1x1 map.
//
// A tile of OUT channels x COLUMNS is held in registers while the sum over input channels and kernel
// runs: OUT broadcast weights and COLUMNS loads serve OUT * COLUMNS multiply-adds.
#pragma once

#include "../kernels.h"
#include "../simd.h"
#include "winograd.h"

namespace {

using smidgen::Convolution;
using smidgen::Map;

// One tile of one row. `in` stands at the first column of the first kernel row that is inside the map.
struct Tile {
    const float* in;
    const float* weights;  // of the first kernel row
    const float* bias;
    float* out;
    int rows;  // kernel rows inside the map
};

// The sums of a tile to where they belong: through the activation, or back through the one below.
template <int OUT, int COLUMNS>
INLINE void finish(const Convolution& c, V (&sum)[OUT][COLUMNS], float* out, long step) {
    const V slope = broadcast(c.slope);
    const long plane = c.out.plane;
    if (c.backward) {
        UNROLL for (int o = 0; o < OUT; ++o)
            UNROLL for (int x = 0; x < COLUMNS; ++x) {
                float* p = out + o * plane + x * step;
                store(p, through(sum[o][x], load(p), slope));
            }
    } else {
        UNROLL for (int o = 0; o < OUT; ++o)
            UNROLL for (int x = 0; x < COLUMNS; ++x) store(out + o * plane + x * step, activate(sum[o][x], slope));
    }
}

template <int OUT, int COLUMNS>
INLINE void start(const Tile& t, V (&sum)[OUT][COLUMNS]) {
    UNROLL for (int o = 0; o < OUT; ++o) {
        const V bias = t.bias ? broadcast(t.bias[o]) : V{};
        UNROLL for (int x = 0; x < COLUMNS; ++x) sum[o][x] = bias;
    }
}

template <int OUT, int COLUMNS, bool CHUNKED>
void tile(const Convolution& c, const Tile& t) {
    const long step = CHUNKED ? c.chunk_stride : LANES;
    const long plane = c.in.plane, row = c.in.row, w_out = c.w_out, w_in = c.w_in, w_y = c.w_y, w_x = c.w_x;
    const int channels = c.in.channels, kernel_x = c.kernel_x;
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][COLUMNS];
        start<OUT, COLUMNS>(t, sum);
        for (int channel = 0; channel < channels; ++channel)
            for (int j = 0; j < t.rows; ++j) {
                const float* in = t.in + channel * plane + j * row + lane;
                const float* w = t.weights + channel * w_in + j * w_y;
                for (int i = 0; i < kernel_x; ++i, in += LANES, w += w_x) {
                    OPAQUE(in);
                    V weight[OUT];
                    UNROLL for (int o = 0; o < OUT; ++o) weight[o] = broadcast(w[o * w_out]);
                    UNROLL for (int x = 0; x < COLUMNS; ++x) {
                        const V value = load_shared(in + x * step);
                        UNROLL for (int o = 0; o < OUT; ++o) sum[o][x] = fma(weight[o], value, sum[o][x]);
                    }
                }
            }
        finish<OUT, COLUMNS>(c, sum, t.out + lane, step);
    }
}

// One output channel has one multiply-add for each value that it loads, so a kernel of 3 columns keeps its
// weights in registers and serves three from each value. A sum still takes its terms in the same order.
template <int COLUMNS>
void tile_of_one(const Convolution& c, const Tile& t) {
    const long plane = c.in.plane, row = c.in.row, w_in = c.w_in, w_y = c.w_y, w_x = c.w_x;
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[1][COLUMNS];
        start<1, COLUMNS>(t, sum);
        for (int channel = 0; channel < c.in.channels; ++channel)
            for (int j = 0; j < t.rows; ++j) {
                const float* in = t.in + channel * plane + j * row + lane;
                const float* w = t.weights + channel * w_in + j * w_y;
                const V w0 = broadcast(w[0]), w1 = broadcast(w[w_x]), w2 = broadcast(w[2 * w_x]);
                V a = load_shared(in), b = load_shared(in + LANES);
                UNROLL for (int x = 0; x < COLUMNS; ++x) {
                    const V next = load_shared(in + (x + 2) * LANES);
                    sum[0][x] = fma(w2, next, fma(w1, b, fma(w0, a, sum[0][x])));
                    a = b, b = next;
                }
            }
        finish<1, COLUMNS>(c, sum, t.out + lane, LANES);
    }
}

using TileFunction = void (*)(const Convolution&, const Tile&);

// Accumulators that fit in the registers beside the weights and one value.
constexpr int ACCUMULATORS = VECTOR_REGISTERS == 32 ? 26 : 12;
constexpr int MAX_OUT = VECTOR_REGISTERS == 32 ? 16 : 8;
constexpr int MAX_COLUMNS = 13;
constexpr int OUT_TILES[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16};

constexpr bool fits(int out, int columns) { return out <= MAX_OUT && out * columns <= ACCUMULATORS; }

enum class Walk { columns, chunks, three };  // what `width` counts; kernels of three columns

template <int OUT, int COLUMNS>
constexpr TileFunction tile_of(Walk walk) {
    if constexpr (OUT == 1) if (walk == Walk::three) return &tile_of_one<COLUMNS>;
    if constexpr (fits(OUT, COLUMNS)) return walk == Walk::chunks ? &tile<OUT, COLUMNS, true> : &tile<OUT, COLUMNS, false>;
    return nullptr;
}

template <int OUT>
TileFunction tile_of_columns(int columns, Walk walk) {
    switch (columns) {
        case 1: return tile_of<OUT, 1>(walk);
        case 2: return tile_of<OUT, 2>(walk);
        case 3: return tile_of<OUT, 3>(walk);
        case 4: return tile_of<OUT, 4>(walk);
        case 5: return tile_of<OUT, 5>(walk);
        case 6: return tile_of<OUT, 6>(walk);
        case 7: return tile_of<OUT, 7>(walk);
        case 8: return tile_of<OUT, 8>(walk);
        case 9: return tile_of<OUT, 9>(walk);
        case 10: return tile_of<OUT, 10>(walk);
        case 11: return tile_of<OUT, 11>(walk);
        case 12: return tile_of<OUT, 12>(walk);
        case 13: return tile_of<OUT, 13>(walk);
    }
    return nullptr;
}

TileFunction find_tile(int out, int columns, Walk walk) {
    switch (out) {
        case 1: return tile_of_columns<1>(columns, walk);
        case 2: return tile_of_columns<2>(columns, walk);
        case 3: return tile_of_columns<3>(columns, walk);
        case 4: return tile_of_columns<4>(columns, walk);
        case 5: return tile_of_columns<5>(columns, walk);
        case 6: return tile_of_columns<6>(columns, walk);
        case 8: return tile_of_columns<8>(columns, walk);
        case 10: return tile_of_columns<10>(columns, walk);
        case 12: return tile_of_columns<12>(columns, walk);
        case 16: return tile_of_columns<16>(columns, walk);
    }
    return nullptr;
}

// Of the tiles that fit, the one that takes the least time for one step of the sum over a whole row of one
// channel: in half cycles, on two multiply-add ports with four cycles of latency. Loads are hidden, nearly.
struct Choice {
    int out, tiles;
    double cost;
};

Choice choose_tile(int channels, int width) {
    Choice best{1, width, 1e30};
    for (int out : OUT_TILES) {
        if (out > MAX_OUT || out > channels) continue;
        const int widest = ACCUMULATORS / out < MAX_COLUMNS ? ACCUMULATORS / out : MAX_COLUMNS;
        const int tiles = (width + widest - 1) / widest, columns = (width + tiles - 1) / tiles;
        const int work = out * columns, loads = out + columns;
        const int busy = work > loads ? work : loads;
        const double cost = tiles * ((busy > 8 ? busy : 8) + 1 + 0.2 * loads) / out;
        if (cost < best.cost) best = {out, tiles, cost};
    }
    return best;
}

void convolve_rows(const Convolution& c, int first, int out, int tiles) {
    const Walk walk = c.chunk_stride ? Walk::chunks : c.kernel_x == 3 ? Walk::three : Walk::columns;
    const long step = c.chunk_stride ? c.chunk_stride : LANES;
    for (int part = 0; part < tiles; ++part) {
        const int x0 = c.out.width * part / tiles, x1 = c.out.width * (part + 1) / tiles;
        const TileFunction function = find_tile(out, x1 - x0, walk);
        for (int y = 0; y < c.out.height; ++y) {
            const int top = y + c.row0;
            const int j0 = top < 0 ? -top : 0;
            const int j1 = c.in.height - top < c.kernel_y ? c.in.height - top : c.kernel_y;
            const long column = x0 * step + long(c.col0) * LANES;
            function(c, {c.in.data + (top + j0) * c.in.row + column, c.weights + first * c.w_out + j0 * c.w_y,
                         c.bias ? c.bias + first : nullptr,
                         c.out.data + first * c.out.plane + y * c.out.row + x0 * step, j1 > j0 ? j1 - j0 : 0});
        }
    }
}

// A 1x1 kernel over maps without halo sees one long row.
Convolution flattened(Convolution c) {
    const bool whole = c.in.row == long(c.in.width) * LANES && c.out.row == long(c.out.width) * LANES;
    if (c.kernel_y * c.kernel_x != 1 || c.chunk_stride || !whole) return c;
    c.in.width *= c.in.height, c.in.height = 1;
    c.out.width *= c.out.height, c.out.height = 1;
    return c;
}

void convolve(const Convolution& request) {
    if (request.transformed) return winograd_convolve(request);
    const Convolution c = flattened(request);
    for (int first = 0; first < c.out.channels;) {
        const Choice choice = choose_tile(c.out.channels - first, c.out.width);
        convolve_rows(c, first, choice.out, choice.tiles);
        first += choice.out;
    }
}

}  // namespace
