// What the kernels of one instruction set do: the contract between net.cpp, compiled once, and
// kernels.cpp, compiled once per instruction set.
//
// A map of activations is [channel][y][x][16 images]. Strides are in floats. A map may have a halo of
// zero columns on either side, so that a kernel may read beyond its edges; rows are clipped instead.
#pragma once

#include <cstddef>
#include <cstdint>

namespace smidgen {

constexpr int LANES_PER_CHUNK = 16;

struct Map {
    float* data;  // channel 0, row 0, column 0
    int channels, height, width;
    long plane, row;  // distance between channels, between rows
};

// A convolution of stride 1, forward or backward by the strides of its weights.
// out[o][y][x] = bias[o] + sum over c, j, i of w(o, c, j, i) * in[c][y + j + row0][x + i + col0]
struct Convolution {
    Map in, out;
    int kernel_y, kernel_x;
    int row0, col0;
    const float* weights;
    long w_out, w_in, w_y, w_x;  // strides of the weights
    const float* bias;           // null: start from zero
    bool backward;               // false: out = activate(sum); true: out = through(sum, out), in place
    float slope;
    long chunk_stride;  // dense layers only: `width` counts chunks, this far apart; else 0
    const float* transformed = nullptr;  // by winograd_weights, where the kernel is 3x3; null: the direct way
    float* scratch = nullptr;            // winograd_scratch_floats, where transformed; [16] a channel of `in`, where dense
};

// dW[o][c][j][i] += sum over y, x and lanes of g[o][y][x] * in[c][y + j + row0][x + i + col0]
struct WeightGradient {
    Map in, gradient;
    int kernel_y, kernel_x;
    int row0, col0;
    float *weights, *bias;  // bias: null where there is none
    bool depthwise;  // o = c
    float* scratch = nullptr;  // winograd_gradient_scratch_floats, for a 3x3 kernel; null: the direct way
};

// dW[o][i] += sum over the samples of g[o] * x[i], for o in [first, last)
struct DenseGradient {
    const float *inputs, *gradient;  // [chunk][count][16], chunks the given strides apart
    long input_stride, gradient_stride;
    int chunks, in_count, first, last;
    float *weights, *bias;
    float* scratch;  // dense_scratch_floats(chunks, in_count, last - first)
};

struct Pool {
    Map in, out;
    int size_y, size_x;
    float slope;  // of the layer that produced `in`, backward only
};

struct Dropout {
    Map map;
    float rate;
    uint64_t seed;  // the same seed gives the same mask, so that backward draws it again
};

// sums[c] = over a channel's map and the first `lanes` images: the values, or the squares of value - centre[c]
struct ChannelSums {
    Map map;
    int lanes;
    const float* centre;
    float* sums;
};

// Batch norm of one chunk: out = activate((in - mean) * inverse_std * scale + shift); backward in place over `in`.
struct Normalization {
    Map in, out;
    int lanes;  // images in the chunk; the rest take no part
    const float *mean, *inverse_std, *scale, *shift;  // [channels]
    float slope;  // forward: of this layer's activation; backward: of the one that produced `in`
    float* sums = nullptr;  // [2][channels]: of the gradient, and of the gradient times the normalized value
};

// PReLU: out = in > 0 ? in : in * slopes[channel]; backward in place over `in`.
struct Slopes {
    Map in, out;
    const float* slopes;
    float* gradient;  // of the slopes
    float in_slope;
    bool down;  // whether `in` needs its gradient
};

// How an image of `channels` maps is moved: see affine_maps in engine/__init__.py.
struct Warp {
    int channels, height, width;
    const float* map;  // [2][3]
    float* padded;     // [height + 3][width + 3]
    float* out;        // [channels][height][width]
};

enum class LossKind : int { labels = 0, kl = 1, squared = 2, probabilities = 3 };

// Logits [class][16] in place to the gradient of the loss, for `lanes` images of the chunk.
struct Loss {
    LossKind kind;
    float temperature, label_weight, scale;  // scale: 1 / images in the batch
    int classes, lanes;
    float* logits;
    const float* targets;  // [class][16], of the teacher; null for labels
    const float* inverse_std;
    const int32_t* labels;  // [16]
    float* scratch;         // [4][classes][16]
};

enum class OptimizerKind : int { adam = 0, sgd = 1, nesterov = 2, rmsprop = 3, adadelta = 4 };

struct OptimizerStep {
    OptimizerKind kind;
    float rate, momentum, beta2, epsilon, correction1, correction2;
    float *weights, *gradient, *first, *second;  // [count]; the gradient is set to zero
    long count;
};

struct Kernels {
    const char* name;
    bool fused;  // multiply-adds round once
    void (*convolve)(const Convolution&);
    void (*winograd_weights)(const Convolution&, float* transformed);  // winograd_weight_floats
    void (*weight_gradient)(const WeightGradient&);
    void (*dense_gradient)(const DenseGradient&);
    void (*max_pool)(const Pool&);
    void (*max_pool_backward)(const Pool&);
    void (*avg_pool)(const Pool&);
    void (*avg_pool_backward)(const Pool&);
    void (*dropout)(const Dropout&);
    void (*channel_sums)(const ChannelSums&);
    void (*channel_squares)(const ChannelSums&);
    void (*normalize)(const Normalization&);
    void (*normalize_sums)(const Normalization&);
    void (*normalize_backward)(const Normalization&);
    void (*prelu)(const Slopes&);
    void (*prelu_backward)(const Slopes&);
    float (*loss)(const Loss&);  // the sum over the images
    void (*optimize)(const OptimizerStep&);
    // 16 images of `pixels` values each, at the given rows, into [pixel][16] at out
    void (*load_bytes)(const uint8_t* const* rows, int pixels, float* out);
    void (*load_floats)(const float* const* rows, int pixels, float* out);
    void (*warp_bytes)(const Warp&, const uint8_t* image);
    void (*warp_floats)(const Warp&, const float* image);
    double (*multiply_add_peak)(long rounds);  // the number of multiply-adds that were done
};

// How many inputs, and how many outputs, the dense gradient transposes at a time; its scratch holds the smaller
// side whole and a piece of the other.
constexpr int DENSE_BLOCK = 64, DENSE_PANEL = 16;

static inline size_t dense_whole_floats(int chunks, int ins, int outs) {
    const size_t blocks = (ins + DENSE_BLOCK - 1) / DENSE_BLOCK, panels = (outs + DENSE_PANEL - 1) / DENSE_PANEL;
    return size_t(chunks) * LANES_PER_CHUNK * (ins <= outs ? blocks * DENSE_BLOCK : panels * DENSE_PANEL);
}

static inline size_t dense_scratch_floats(int chunks, int ins, int outs) {
    return dense_whole_floats(chunks, ins, outs) + size_t(chunks) * LANES_PER_CHUNK * DENSE_BLOCK;
}

// Winograd's way with 3x3 kernels, see kernels/winograd.h. Inputs go through in bands of whole rows of tiles,
// as many as half a second-level cache of 1 MB holds, and outputs in blocks of channels.
constexpr int WINOGRAD_POSITIONS = 16, WINOGRAD_OUTS = 4, WINOGRAD_BLOCK = 16;
constexpr int WINOGRAD_TILES = 448;        // in a band, over all its channels: 16 x 64 bytes each
constexpr int WINOGRAD_GRADIENT_INS = 32;  // channels that the gradient of the weights takes of the input at a time

// How many rows of `columns` tiles make a band.
static inline int winograd_band(int ins, int columns) {
    const int rows = WINOGRAD_TILES / (ins * columns);
    return rows > 1 ? rows : 1;
}

static inline int winograd_blocks(int ins) { return (ins + WINOGRAD_GRADIENT_INS - 1) / WINOGRAD_GRADIENT_INS; }

// The floats from one position to the next: an odd number of cache lines, so that 16 do not share one set.
static inline long winograd_stride(int vectors) { return long(vectors | 1) * LANES_PER_CHUNK; }

static inline size_t winograd_scratch_floats(int ins, int columns) {
    const int tiles = winograd_band(ins, columns) * columns;
    return WINOGRAD_POSITIONS * size_t(winograd_stride(ins * tiles) + winograd_stride(WINOGRAD_BLOCK * tiles));
}

static inline size_t winograd_weight_floats(int ins, int outs) {
    return size_t(WINOGRAD_POSITIONS) * ins * ((outs + WINOGRAD_OUTS - 1) / WINOGRAD_OUTS * WINOGRAD_OUTS);
}

static inline size_t winograd_gradient_scratch_floats(int ins, int outs, int columns) {
    const int blocks = winograd_blocks(ins), largest = (ins + blocks - 1) / blocks;
    return winograd_weight_floats(largest, outs) + winograd_scratch_floats(largest, columns);
}

// One per instruction set that was compiled in; null elsewhere.
const Kernels* kernels_v2();
const Kernels* kernels_v3();
const Kernels* kernels_v4();
const Kernels* kernels_neon();

}  // namespace smidgen
