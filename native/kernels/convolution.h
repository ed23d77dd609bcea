// Convolution, forward and with respect to its input, and dense layers as the case of a 1x1 map.
//
// The sums of a tile of OUT channels x COLUMNS stay in registers while the loops over input channels and kernel run:
// OUT broadcast weights and COLUMNS loads serve OUT * COLUMNS multiply-adds. A kernel of three columns streams:
// COLUMNS + 2 loads serve three times as many, and columns outside the map are left out.
//
// A stride moves the input under a tile forward. With respect to the input, the outputs of each phase (row modulo stride,
// column modulo stride) are a convolution of stride 1 with the part of the kernel that meets them.
#pragma once

#include "convolution_tiles.h"
#include "kernels.h"
#include "simd.h"
#include "winograd.h"

namespace {

using smidgen::Convolution;
using smidgen::Map;

int at_least_zero(int value) { return value > 0 ? value : 0; }

// A convolution whose columns follow each other at any step.
struct Steps {
    ptrdiff_t in, out;
    bool consecutive() const { return in == LANES && out == LANES; }
};

TileKind tile_kind(const Convolution& c, Steps steps, int out, int x0, int x1) {
    if (steps.in != LANES) return TileKind::spaced;
    if (c.kernel_x != 3 || steps.out != LANES || out > 2 || x1 - x0 > stream_columns(out)) return TileKind::columns;
    const int left = at_least_zero(-x0 - c.col0), right = at_least_zero(x1 + 2 + c.col0 - c.in.width);
    if (left == 2 && right == 2) return TileKind::stream_22;
    if (left == 2) return TileKind::stream_20;
    if (right == 2) return TileKind::stream_02;
    if (left == 1 && right == 1) return TileKind::stream_11;
    return left ? TileKind::stream_10 : right ? TileKind::stream_01 : TileKind::stream_00;
}

void convolve_rows(const Convolution& c, Steps steps, int first, int out, int tiles) {
    for (int part = 0; part < tiles; ++part) {
        const int x0 = int(ptrdiff_t(c.out.width) * part / tiles), x1 = int(ptrdiff_t(c.out.width) * (part + 1) / tiles);
        const TileFunction function = find_tile(out, x1 - x0, tile_kind(c, steps, out, x0, x1));
        for (int y = 0; y < c.out.height; ++y) {
            const int top = y * c.stride_y + c.row0;
            const int j0 = top < 0 ? -top : 0;
            const int j1 = c.in.height - top < c.kernel_y ? c.in.height - top : c.kernel_y;
            const ptrdiff_t column = x0 * steps.in + ptrdiff_t(c.col0) * LANES;
            function(c, {.in = c.in.data + (top + j0) * c.in.row + column,
                         .weights = c.weights + first * c.w_out + j0 * c.w_y,
                         .bias = c.bias ? c.bias + first : nullptr,
                         .out = c.out.data + first * c.out.plane + y * c.out.row + x0 * steps.out,
                         .rows = j1 > j0 ? j1 - j0 : 0,
                         .in_step = steps.in,
                         .out_step = steps.out});
        }
    }
}

// For a 1x1 kernel, a map without a halo is one long row.
Convolution flattened(Convolution c, Steps steps) {
    const bool whole = c.in.row == ptrdiff_t(c.in.width) * LANES && c.out.row == ptrdiff_t(c.out.width) * LANES;
    if (c.kernel_y * c.kernel_x != 1 || c.stride_y != 1 || !steps.consecutive() || !whole) return c;
    c.in.data += c.row0 * c.in.row;  // a band of rows begins below the first
    c.row0 = 0;
    c.out.width *= c.out.height, c.out.height = 1;
    c.in.width = c.out.width, c.in.height = 1;
    return c;
}

// Kernels of three columns take two channels a tile if the registers have room for the weights of both.
Choice choose_stream(int channels, int width) {
    const int out = channels > 1 && stream_columns(2) ? 2 : 1, most = stream_columns(out);
    return {.out = out, .tiles = (width + most - 1) / most, .cost = 0.0};
}

// A tile of a large dense layer, whose columns are chunks, takes few columns and more channels: each tile reads the
// columns' vectors again, and those of many columns do not fit the second-level cache.
constexpr ptrdiff_t CACHED_VECTORS = 1 << 13;
constexpr int FEW_COLUMNS = 4;

int most_columns(const Convolution& c) {
    const ptrdiff_t columns = c.chunk_stride ? CACHED_VECTORS / c.in.channels : MAX_COLUMNS;
    return columns < FEW_COLUMNS ? FEW_COLUMNS : columns < MAX_COLUMNS ? int(columns) : MAX_COLUMNS;
}

// The tiles of a region of a given width, by the number of channels that are left. Each is chosen when it is first needed.
struct Choices {
    int width = 0;
    Choice of_left[MAX_OUT + 1];

    const Choice& get(const Convolution& c, bool streams, int left) {
        if (width != c.out.width) {
            width = c.out.width;
            for (Choice& choice : of_left) choice.out = 0;
        }
        Choice& choice = of_left[left < MAX_OUT ? left : MAX_OUT];
        if (!choice.out) choice = streams ? choose_stream(left, width) : choose_tile(left, width, most_columns(c));
        return choice;
    }
};

void convolve_region(const Convolution& c, Steps steps, Choices& choices) {
    const bool streams = c.kernel_x == 3 && steps.consecutive();
    for (int first = 0; first < c.out.channels;) {
        const Choice& choice = choices.get(c, streams, c.out.channels - first);
        convolve_rows(c, steps, first, choice.out, choice.tiles);
        first += choice.out;
    }
}

// The part of a convolution that has the outputs [y0, y0 + rows) x [x0, x0 + columns).
Convolution region_of(Convolution c, Steps steps, int y0, int rows, int x0, int columns) {
    c.out.data += y0 * c.out.row + x0 * steps.out;
    c.out.height = rows, c.out.width = columns;
    c.row0 += y0 * c.stride_y;
    c.in.data += x0 * steps.in;
    c.in.width -= x0;
    return c;
}

// Floats of the first-level cache that a region of a pointwise convolution may take, and of the second-level cache that a
// band of any other may take: all output channels read the same inputs.
constexpr ptrdiff_t REGION_FLOATS = 1 << 13, BAND_FLOATS = 1 << 17;
constexpr int FEWEST_COLUMNS = 3, FEW_CHANNELS = 8;

int parts_of(ptrdiff_t length, ptrdiff_t most) { return most > 1 ? int((length + most - 1) / most) : int(length); }

// Covers a map by regions of at most so many rows and columns, as equal as possible.
void convolve_regions(const Convolution& c, Steps steps, ptrdiff_t most_rows, ptrdiff_t most_columns) {
    const int bands = parts_of(c.out.height, most_rows), blocks = parts_of(c.out.width, most_columns);
    Choices choices;
    for (int band = 0; band < bands; ++band)
        for (int block = 0; block < blocks; ++block) {
            const int y0 = int(ptrdiff_t(c.out.height) * band / bands), y1 = int(ptrdiff_t(c.out.height) * (band + 1) / bands);
            const int x0 = int(ptrdiff_t(c.out.width) * block / blocks), x1 = int(ptrdiff_t(c.out.width) * (block + 1) / blocks);
            convolve_region(region_of(c, steps, y0, y1 - y0, x0, x1 - x0), steps, choices);
        }
}

void convolve_tiles(const Convolution& request, Steps steps) {
    const Convolution c = flattened(request, steps);
    const ptrdiff_t column = ptrdiff_t(c.in.channels) * LANES, row = column * c.out.width;
    const bool pointwise = c.kernel_y == 1 && c.kernel_x == 1 && !c.chunk_stride && c.out.channels > FEW_CHANNELS;
    if (!pointwise) return convolve_regions(c, steps, c.out.height, c.out.width);
    const ptrdiff_t columns = REGION_FLOATS / column;
    convolve_regions(c, steps, REGION_FLOATS / row, columns > FEWEST_COLUMNS ? columns : FEWEST_COLUMNS);
}

void convolve_all(const Convolution& c) {
    if (c.chunk_stride) return convolve_tiles(c, {c.chunk_stride, c.chunk_stride});
    convolve_tiles(c, {c.stride_x * ptrdiff_t(LANES), LANES});
}

// The part of one side of a kernel that meets the outputs phase, phase + stride, ... of a gradient with respect to the
// input: kernel positions first, first + stride, ...
struct Phase {
    int first, count, offset;  // offset: of the input under the first of them, from the output's number in its phase

    Phase(int phase, int stride, int kernel, int low) {
        first = ((-(phase + low)) % stride + stride) % stride;
        count = first < kernel ? (kernel - 1 - first) / stride + 1 : 0;
        offset = (phase + low + first) / stride;
    }
};

// One phase, as a convolution of stride 1: outputs (y0, x0), (y0, x0 + stride_x), ...
Convolution phase_of(Convolution c, int y0, int x0) {
    const Phase rows(y0, c.stride_y, c.kernel_y, c.row0), columns(x0, c.stride_x, c.kernel_x, c.col0);
    c.out.data += y0 * c.out.row + ptrdiff_t(x0) * LANES;
    c.out.height = (c.out.height - y0 + c.stride_y - 1) / c.stride_y;
    c.out.width = (c.out.width - x0 + c.stride_x - 1) / c.stride_x;
    c.out.row *= c.stride_y;
    c.kernel_y = columns.count ? rows.count : 0, c.kernel_x = columns.count;  // no rows: a gradient of zero
    c.row0 = rows.offset, c.col0 = columns.offset;
    c.weights += rows.first * c.w_y + columns.first * c.w_x;
    c.w_y *= c.stride_y, c.w_x *= c.stride_x;
    c.stride_y = c.stride_x = 1;
    return c;
}

void convolve_phases(const Convolution& c) {
    for (int y = 0; y < c.stride_y && y < c.out.height; ++y)
        for (int x = 0; x < c.stride_x && x < c.out.width; ++x)
            convolve_tiles(phase_of(c, y, x), {LANES, c.stride_x * ptrdiff_t(LANES)});
}

bool has_phases(const Convolution& c) { return c.backward && (c.stride_y > 1 || c.stride_x > 1); }

// The rows of outputs whose inputs are a band: all if the whole map stays in the cache.
int rows_of_band(const Convolution& c) {
    if (c.chunk_stride || c.in.channels * c.in.plane <= 2 * BAND_FLOATS) return c.out.height;
    const ptrdiff_t row = c.in.channels * c.in.row * (has_phases(c) ? 1 : c.stride_y);
    const ptrdiff_t rows = BAND_FLOATS / row;
    return (rows > 1 ? int(rows) : 1) * (has_phases(c) ? c.stride_y : 1);
}

// Works on bands of rows, so that the inputs of all output channels, and of all phases, are in the cache.
void convolve_bands(const Convolution& c) {
    const int most = rows_of_band(c);
    for (int y0 = 0; y0 < c.out.height; y0 += most) {
        Convolution band = c;
        band.out.data += y0 * c.out.row;
        band.out.height = c.out.height - y0 < most ? c.out.height - y0 : most;
        band.row0 += y0 * (has_phases(c) ? 1 : c.stride_y);
        has_phases(c) ? convolve_phases(band) : convolve_all(band);
    }
}

// The gradient with respect to the input of a dense layer reads the weights across their rows. A panel of 16 columns is
// copied together first, so that each cache line is read once. Scratch: [16] a channel.
void convolve_panels(Convolution c) {
    const int channels = c.in.channels, outs = c.out.channels;
    for (int first = 0; first < outs; first += LANES) {
        const int count = outs - first < LANES ? outs - first : LANES;
        for (int i = 0; i < channels; ++i) {
            const float* row = c.weights + ptrdiff_t(i) * c.w_in + first;
            for (int k = 0; k < count; ++k) c.scratch[ptrdiff_t(i) * LANES + k] = row[k];
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
    panels ? convolve_panels(c) : convolve_bands(c);
}

}  // namespace
