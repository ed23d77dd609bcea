// The tiles of a convolution: sums that stay in registers, and which size of tile is the fastest.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace {

using smidgen::Convolution;
using smidgen::NO_CEILING;

// One tile of one row. `in` points to the first column of the first kernel row that is inside the map.
struct Tile {
    const float* in;
    const float* weights;  // of the first kernel row
    const float* bias;
    float* out;
    int rows;  // kernel rows inside the map
    ptrdiff_t in_step, out_step;  // from one column to the next
};

template <int OUT, int COLUMNS, typename F>
INLINE void each_sum(const Convolution& c, V (&sum)[OUT][COLUMNS], float* out, ptrdiff_t step, F f) {
    UNROLL for (int o = 0; o < OUT; ++o)
        UNROLL for (int x = 0; x < COLUMNS; ++x) {
            float* p = out + o * c.out.plane + x * step;
            store(p, f(sum[o][x], p));
        }
}

// Stores the sums of a tile: forward through this layer's activation, backward through the one below.
template <int OUT, int COLUMNS>
INLINE void finish(const Convolution& c, V (&sum)[OUT][COLUMNS], float* out, ptrdiff_t step) {
    const V zero = {};
    if (c.slope == 0.0f && c.ceiling == NO_CEILING) {
        if (!c.backward) return each_sum(c, sum, out, step, [](V v, const float*) { return relu(v); });
        return each_sum(c, sum, out, step, [=](V v, const float* p) { return load(p) > zero ? v : zero; });
    }
    const Activation a = activation_of(c.slope, c.ceiling);
    if (c.backward) return each_sum(c, sum, out, step, [=](V v, const float* p) { return through(v, load(p), a); });
    each_sum(c, sum, out, step, [=](V v, const float*) { return activate(v, a); });
}

template <int OUT, int COLUMNS>
INLINE void start(const Tile& t, V (&sum)[OUT][COLUMNS]) {
    UNROLL for (int o = 0; o < OUT; ++o) {
        const V bias = t.bias ? broadcast(t.bias[o]) : V{};
        UNROLL for (int x = 0; x < COLUMNS; ++x) sum[o][x] = bias;
    }
}

// With SPACED the columns of the input are any step apart. Four of them share a pointer: the compiler would otherwise keep
// an offset for each, more than there are registers.
template <int OUT, int COLUMNS, bool SPACED>
void tile(const Convolution& c, const Tile& t) {
    constexpr int POINTERS = SPACED ? (COLUMNS + 3) / 4 : 1, SHARED = SPACED ? 4 : COLUMNS;
    const ptrdiff_t step = SPACED ? t.in_step : LANES;
    const ptrdiff_t plane = c.in.plane, row = c.in.row, w_out = c.w_out, w_in = c.w_in, w_y = c.w_y, w_x = c.w_x;
    const int channels = c.in.channels, kernel_x = c.kernel_x;
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][COLUMNS];
        start<OUT, COLUMNS>(t, sum);
        for (int channel = 0; channel < channels; ++channel)
            for (int j = 0; j < t.rows; ++j) {
                const float* in = t.in + channel * plane + j * row + lane;
                const float* w = t.weights + channel * w_in + j * w_y;
                const float* columns[POINTERS];
                UNROLL for (int k = 0; k < POINTERS; ++k) columns[k] = in + k * SHARED * step;
                for (int i = 0; i < kernel_x; ++i, w += w_x) {
                    UNROLL for (int k = 0; k < POINTERS; ++k) OPAQUE(columns[k]);
                    V weight[OUT];
                    UNROLL for (int o = 0; o < OUT; ++o) weight[o] = broadcast(w[o * w_out]);
                    UNROLL for (int x = 0; x < COLUMNS; ++x) {
                        const V value = load_shared(columns[x / SHARED] + x % SHARED * step);
                        UNROLL for (int o = 0; o < OUT; ++o) sum[o][x] = fma(weight[o], value, sum[o][x]);
                    }
                    UNROLL for (int k = 0; k < POINTERS; ++k) columns[k] += LANES;
                }
            }
        finish<OUT, COLUMNS>(c, sum, t.out + lane, t.out_step);
    }
}

// A kernel of 3 columns keeps its weights in registers, so that each value is loaded once for all the sums that it is
// a term of. The first LEFT and the last RIGHT columns under the kernel are zero and are not read. A sum takes its
// terms in the same order as in `tile`.
template <int OUT, int COLUMNS, int LEFT, int RIGHT>
void stream(const Convolution& c, const Tile& t) {
    const ptrdiff_t plane = c.in.plane, row = c.in.row, w_out = c.w_out, w_in = c.w_in, w_y = c.w_y, w_x = c.w_x;
    for (int lane = 0; lane < LANES; lane += VL) {
        V sum[OUT][COLUMNS];
        start<OUT, COLUMNS>(t, sum);
        for (int channel = 0; channel < c.in.channels; ++channel)
            for (int j = 0; j < t.rows; ++j) {
                const float* in = t.in + channel * plane + j * row + lane;
                const float* w = t.weights + channel * w_in + j * w_y;
                OPAQUE(in);
                V weight[OUT][3];
                UNROLL for (int o = 0; o < OUT; ++o)
                    UNROLL for (int i = 0; i < 3; ++i) weight[o][i] = broadcast(w[o * w_out + i * w_x]);
                UNROLL for (int x = LEFT; x < COLUMNS + 2 - RIGHT; ++x) {
                    const V value = load_shared(in + x * LANES);
                    UNROLL for (int i = 0; i < 3; ++i)
                        if (x >= i && x - i < COLUMNS)
                            UNROLL for (int o = 0; o < OUT; ++o) sum[o][x - i] = fma(weight[o][i], value, sum[o][x - i]);
                }
            }
        finish<OUT, COLUMNS>(c, sum, t.out + lane, LANES);
    }
}

using TileFunction = void (*)(const Convolution&, const Tile&);

// Accumulators that fit in the registers beside the weights and one value.
constexpr int ACCUMULATORS = VECTOR_REGISTERS == 32 ? 26 : 12;
constexpr int MAX_OUT = VECTOR_REGISTERS == 32 ? 16 : 8;
constexpr int MAX_COLUMNS = 13;
constexpr int OUT_TILES[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16};

constexpr bool fits(int out, int columns) { return out <= MAX_OUT && out * columns <= ACCUMULATORS; }

// How a tile is computed: by `tile`, whose columns follow each other or are some step apart, or by
// `stream<..., LEFT, RIGHT>`.
enum class TileKind {
    columns, spaced, stream_00, stream_20, stream_02, stream_22, stream_11, stream_10, stream_01
};

constexpr int stream_columns(int out) { return VECTOR_REGISTERS == 32 ? (out == 1 ? 13 : 12) : (out == 1 ? 12 : 0); }

template <int OUT, int COLUMNS>
constexpr TileFunction tile_of(TileKind kind) {
    if constexpr (OUT <= 2 && COLUMNS <= stream_columns(OUT)) {
        switch (kind) {
            case TileKind::stream_00: return &stream<OUT, COLUMNS, 0, 0>;
            case TileKind::stream_20: return &stream<OUT, COLUMNS, 2, 0>;
            case TileKind::stream_02: return &stream<OUT, COLUMNS, 0, 2>;
            case TileKind::stream_22: return &stream<OUT, COLUMNS, 2, 2>;
            case TileKind::stream_11: return &stream<OUT, COLUMNS, 1, 1>;
            case TileKind::stream_10: return &stream<OUT, COLUMNS, 1, 0>;
            case TileKind::stream_01: return &stream<OUT, COLUMNS, 0, 1>;
            default: break;
        }
    }
    if constexpr (fits(OUT, COLUMNS)) return kind == TileKind::spaced ? &tile<OUT, COLUMNS, true> : &tile<OUT, COLUMNS, false>;
    return nullptr;
}

template <int OUT>
TileFunction tile_of_columns(int columns, TileKind kind) {
    switch (columns) {
        case 1: return tile_of<OUT, 1>(kind);
        case 2: return tile_of<OUT, 2>(kind);
        case 3: return tile_of<OUT, 3>(kind);
        case 4: return tile_of<OUT, 4>(kind);
        case 5: return tile_of<OUT, 5>(kind);
        case 6: return tile_of<OUT, 6>(kind);
        case 7: return tile_of<OUT, 7>(kind);
        case 8: return tile_of<OUT, 8>(kind);
        case 9: return tile_of<OUT, 9>(kind);
        case 10: return tile_of<OUT, 10>(kind);
        case 11: return tile_of<OUT, 11>(kind);
        case 12: return tile_of<OUT, 12>(kind);
        case 13: return tile_of<OUT, 13>(kind);
    }
    return nullptr;
}

TileFunction find_tile(int out, int columns, TileKind kind) {
    switch (out) {
        case 1: return tile_of_columns<1>(columns, kind);
        case 2: return tile_of_columns<2>(columns, kind);
        case 3: return tile_of_columns<3>(columns, kind);
        case 4: return tile_of_columns<4>(columns, kind);
        case 5: return tile_of_columns<5>(columns, kind);
        case 6: return tile_of_columns<6>(columns, kind);
        case 8: return tile_of_columns<8>(columns, kind);
        case 10: return tile_of_columns<10>(columns, kind);
        case 12: return tile_of_columns<12>(columns, kind);
        case 16: return tile_of_columns<16>(columns, kind);
    }
    return nullptr;
}

// The shape and number of the tiles that cover a row. `cost` estimates the time for one step of the sums over a row of
// one channel: in half cycles, on two multiply-add ports with four cycles of latency. Loads are nearly free.
struct Choice {
    int out, tiles;
    double cost;
};

// The cheapest of the tiles that fit the registers.
Choice choose_tile(int channels, int width, int most_columns) {
    Choice best{.out = 1, .tiles = width, .cost = 1e30};
    for (int out : OUT_TILES) {
        if (out > MAX_OUT || out > channels) continue;
        const int fitting = ACCUMULATORS / out, widest = fitting < most_columns ? fitting : most_columns;
        const int tiles = (width + widest - 1) / widest, columns = (width + tiles - 1) / tiles;
        const int work = out * columns, loads = out + columns;
        const int busy = work > loads ? work : loads;
        const double cost = tiles * ((busy > 8 ? busy : 8) + 1 + 0.2 * loads) / out;
        if (cost < best.cost) best = {.out = out, .tiles = tiles, .cost = cost};
    }
    return best;
}

}  // namespace
