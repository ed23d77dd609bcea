// Convolution, forward and with respect to its input, and dense layers as the case of a 1x1 map.
//
// A tile of OUT channels x COLUMNS is held in registers while the sum over input channels and kernel
// runs: OUT broadcast weights and COLUMNS loads serve OUT * COLUMNS multiply-adds. A kernel of three columns
// streams: COLUMNS + 2 loads serve three times as many, and columns beyond the map take no part.
#pragma once

#include "kernels.h"
#include "simd.h"
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

template <int OUT, int COLUMNS, typename F>
INLINE void each_sum(const Convolution& c, V (&sum)[OUT][COLUMNS], float* out, long step, F f) {
    UNROLL for (int o = 0; o < OUT; ++o)
        UNROLL for (int x = 0; x < COLUMNS; ++x) {
            float* p = out + o * c.out.plane + x * step;
            store(p, f(sum[o][x], p));
        }
}

// The sums of a tile to where they belong: through the activation, or back through the one below.
template <int OUT, int COLUMNS>
INLINE void finish(const Convolution& c, V (&sum)[OUT][COLUMNS], float* out, long step) {
    const V slope = broadcast(c.slope), zero = {};
    if (c.slope == 0.0f && c.backward)
        return each_sum(c, sum, out, step, [=](V v, const float* p) { return load(p) > zero ? v : zero; });
    if (c.slope == 0.0f) return each_sum(c, sum, out, step, [](V v, const float*) { return relu(v); });
    if (c.backward) return each_sum(c, sum, out, step, [=](V v, const float* p) { return through(v, load(p), slope); });
    each_sum(c, sum, out, step, [=](V v, const float*) { return activate(v, slope); });
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

// A kernel of 3 columns keeps its weights in registers, so that each value is loaded once and serves all that
// it is in. Of the first LEFT and the last RIGHT columns that the kernel reaches nothing is read: they are zero.
// A sum takes its terms in the same order as in `tile`.
template <int OUT, int COLUMNS, int LEFT, int RIGHT>
void stream(const Convolution& c, const Tile& t) {
    const long plane = c.in.plane, row = c.in.row, w_out = c.w_out, w_in = c.w_in, w_y = c.w_y, w_x = c.w_x;
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

// How a tile walks: `width` counts columns or chunks; or by `stream`, with so many columns left out on either side.
enum class Walk { columns, chunks, s00, s20, s02, s22, s11, s10, s01 };

constexpr int stream_columns(int out) { return VECTOR_REGISTERS == 32 ? (out == 1 ? 13 : 12) : (out == 1 ? 12 : 0); }

template <int OUT, int COLUMNS>
constexpr TileFunction tile_of(Walk walk) {
    if constexpr (OUT <= 2 && COLUMNS <= stream_columns(OUT)) {
        switch (walk) {
            case Walk::s00: return &stream<OUT, COLUMNS, 0, 0>;
            case Walk::s20: return &stream<OUT, COLUMNS, 2, 0>;
            case Walk::s02: return &stream<OUT, COLUMNS, 0, 2>;
            case Walk::s22: return &stream<OUT, COLUMNS, 2, 2>;
            case Walk::s11: return &stream<OUT, COLUMNS, 1, 1>;
            case Walk::s10: return &stream<OUT, COLUMNS, 1, 0>;
            case Walk::s01: return &stream<OUT, COLUMNS, 0, 1>;
            default: break;
        }
    }
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

Choice choose_tile(int channels, int width, int most_columns) {
    Choice best{1, width, 1e30};
    for (int out : OUT_TILES) {
        if (out > MAX_OUT || out > channels) continue;
        const int fitting = ACCUMULATORS / out, widest = fitting < most_columns ? fitting : most_columns;
        const int tiles = (width + widest - 1) / widest, columns = (width + tiles - 1) / tiles;
        const int work = out * columns, loads = out + columns;
        const int busy = work > loads ? work : loads;
        const double cost = tiles * ((busy > 8 ? busy : 8) + 1 + 0.2 * loads) / out;
        if (cost < best.cost) best = {out, tiles, cost};
    }
    return best;
}

int at_least_zero(int value) { return value > 0 ? value : 0; }

Walk walk_of(const Convolution& c, int out, int x0, int x1) {
    if (c.chunk_stride) return Walk::chunks;
    if (c.kernel_x != 3 || out > 2 || x1 - x0 > stream_columns(out)) return Walk::columns;
    const int left = at_least_zero(-x0 - c.col0), right = at_least_zero(x1 + 2 + c.col0 - c.in.width);
    if (left == 2 && right == 2) return Walk::s22;
    if (left == 2) return Walk::s20;
    if (right == 2) return Walk::s02;
    if (left == 1 && right == 1) return Walk::s11;
    return left ? Walk::s10 : right ? Walk::s01 : Walk::s00;
}

void convolve_rows(const Convolution& c, int first, int out, int tiles) {
    const long step = c.chunk_stride ? c.chunk_stride : LANES;
    for (int part = 0; part < tiles; ++part) {
        const int x0 = c.out.width * part / tiles, x1 = c.out.width * (part + 1) / tiles;
        const TileFunction function = find_tile(out, x1 - x0, walk_of(c, out, x0, x1));
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

// For kernels of three columns: two channels a tile where the registers hold both kernels' weights.
Choice choose_stream(int channels, int width) {
    const int out = channels > 1 && stream_columns(2) ? 2 : 1, most = stream_columns(out);
    return {out, (width + most - 1) / most, 0.0};
}

// Where columns are chunks of a large dense layer, a tile takes few, and more channels: their vectors are read again for
// each tile, and many do not fit the second-level cache.
constexpr long CACHED_VECTORS = 1 << 13;
constexpr int FEW_COLUMNS = 4;

int most_columns(const Convolution& c) {
    const long columns = c.chunk_stride ? CACHED_VECTORS / c.in.channels : MAX_COLUMNS;
    return columns < FEW_COLUMNS ? FEW_COLUMNS : columns < MAX_COLUMNS ? int(columns) : MAX_COLUMNS;
}

void convolve_all(const Convolution& request) {
    const Convolution c = flattened(request);
    for (int first = 0; first < c.out.channels;) {
        const int left = c.out.channels - first;
        const bool streams = c.kernel_x == 3 && !c.chunk_stride;
        const Choice choice = streams ? choose_stream(left, c.out.width) : choose_tile(left, c.out.width, most_columns(c));
        convolve_rows(c, first, choice.out, choice.tiles);
        first += choice.out;
    }
}

// The gradient with respect to the input of a dense layer reads its weights across their rows: a panel of 16
// columns is copied together first, so that each line of the cache is read once. Scratch: [16] a channel.
void convolve_panels(Convolution c) {
    const int channels = c.in.channels, outs = c.out.channels;
    for (int first = 0; first < outs; first += LANES) {
        const int count = outs - first < LANES ? outs - first : LANES;
        for (int i = 0; i < channels; ++i) {
            const float* row = c.weights + long(i) * c.w_in + first;
            for (int k = 0; k < count; ++k) c.scratch[long(i) * LANES + k] = row[k];
        }
        Convolution panel = c;
        panel.weights = c.scratch, panel.w_in = LANES, panel.scratch = nullptr;
        panel.out.channels = count, panel.out.data += first * c.out.plane;
        convolve_all(panel);
    }
}

void convolve(const Convolution& c) {
    if (c.transformed) return winograd_convolve(c);
    const bool panels = c.chunk_stride && c.scratch && c.backward && c.w_in >= 4 * LANES && c.in.channels >= 4 * LANES;
    panels ? convolve_panels(c) : convolve_all(c);
}

}  // namespace
