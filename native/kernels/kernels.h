// The table between the code that is compiled once and the kernels that are compiled once per instruction set.
//
// A map of activations is float [channel][y][x][16 images]. Strides are counted in floats. A map may have a halo of
// zero columns on either side, which kernels may read; rows above and below it do not exist and are clipped.
//
// Functions here are `static`: an `inline` one would be a weak symbol, of which the linker keeps one copy, possibly
// the one compiled for AVX-512.
#pragma once

#include <cstddef>
#include <cstdint>

namespace smidgen {

constexpr int LANES = 16;  // images that are worked on at once, one in each lane of a vector

struct Map {
    float* data;  // channel 0, row 0, column 0
    int channels, height, width;
    ptrdiff_t plane, row;  // from one channel to the next, from one row to the next
};

constexpr float NO_CEILING = __builtin_inff();

// A convolution by the strides of its weights. Forward:
// out[o][y][x] = bias[o] + sum over c, j, i of w(o, c, j, i) * in[c][y * stride_y + j + row0][x * stride_x + i + col0]
// With respect to its input, over those j and i for which both divisions are exact:
// out[o][y][x] = sum over c, j, i of w(o, c, j, i) * in[c][(y + j + row0) / stride_y][(x + i + col0) / stride_x]
struct Convolution {
    Map in, out;
    int kernel_y, kernel_x;
    int row0, col0;
    const float* weights;
    ptrdiff_t w_out, w_in, w_y, w_x;  // strides of the weights
    const float* bias = nullptr;      // null: the sums start from zero
    bool backward;                    // false: out = activate(sum); true: out = through(sum, out), in place
    float slope;                      // of the activation below zero
    float ceiling = NO_CEILING;       // of the activation; its gradient is zero at and above it
    int stride_y = 1, stride_x = 1;
    ptrdiff_t chunk_stride = 0;       // dense layers only: `width` counts chunks, this far apart
    const float* transformed = nullptr;  // 3x3 kernels only: the result of winograd_weights; null: the direct algorithm
    float* scratch = nullptr;  // winograd_scratch_floats with `transformed`; [16] a channel of `in` for a dense layer
};

// dW[o][c][j][i] += sum over y, x and lanes of
//                   gradient[o][y][x] * in[c][y * stride_y + j + row0][x * stride_x + i + col0]
struct WeightGradient {
    Map in, gradient;
    int kernel_y, kernel_x;
    int row0, col0;
    float *weights, *bias;  // bias: null for a layer without one
    bool depthwise;         // o = c
    int shared = 0;         // depthwise: channel c uses kernel c % shared; 0: a kernel of its own
    int stride_y = 1, stride_x = 1;
    float* scratch = nullptr;  // winograd_gradient_scratch_floats for a 3x3 kernel; null: the direct algorithm
};

// dW[o][i] += sum over the samples of gradient[o] * inputs[i], for o in [first, last)
struct DenseGradient {
    const float *inputs, *gradient;          // [chunk][count][16]
    ptrdiff_t input_stride, gradient_stride;  // from one chunk to the next
    int chunks, in_count, first, last;
    float *weights, *bias;  // bias: null for a layer without one
    float* scratch;         // dense_scratch_floats(chunks, in_count, last - first)
};

// Windows are not padded. Backward in place over `in`; the gradients of overlapping windows add up in the order of the
// windows.
struct Pool {
    Map in, out;
    int size_y, size_x, stride_y, stride_x;
    float slope;                 // of the activation that produced `in`; used backward only
    float ceiling = NO_CEILING;  // of the same activation
    float* scratch = nullptr;    // pool_scratch_floats; used backward where windows overlap
};

// out = activate(first + second). Backward, in place over the activation `out`: out = through(first + second, out), of
// one or two gradients.
struct Addition {
    Map first, second, out;  // backward: second.data is null for a single gradient
    float slope, ceiling = NO_CEILING;
};

// Twice the channels: relu(in), then relu(-in). Backward in place over `in`.
struct CRelu {
    Map in, out;
    float slope, ceiling = NO_CEILING;  // of the activation that produced `in`; used backward only
};

struct Dropout {
    Map map;
    float rate;
    uint64_t seed;  // the same seed gives the same mask, so that the backward pass draws it again
};

// sums[c] = the sum over a channel's map and the first `lanes` images of its values, or of (value - centre[c])^2.
struct ChannelSums {
    Map map;
    int lanes;
    const float* centre = nullptr;  // [channels], for the squares
    float* sums;                    // [channels]
    ptrdiff_t ahead = 0;            // floats from each value to one that is read soon
};

// Batch norm of one chunk: out = activate((in - mean) * inverse_std * scale + shift); backward in place over `in`.
struct Normalization {
    Map in, out;
    int lanes;                                        // images in the chunk; the other lanes take no part
    const float *mean, *inverse_std, *scale, *shift;  // [channels]
    float slope;                                      // forward: of this layer; backward: of the one that produced `in`
    float ceiling = NO_CEILING;                       // of the same activation as `slope`
    float* sums = nullptr;  // [2][channels]: of the gradient, and of the gradient times the normalized value
    ptrdiff_t ahead = 0;    // floats from each value to one that is read or written soon
};

// PReLU: out = in > 0 ? in : in * slopes[channel]; backward in place over `in`.
struct PRelu {
    Map in, out;
    const float* slopes;  // [channels]
    float* gradient;      // of the slopes; null forward
    float in_slope;       // of the layer that produced `in`
    bool needs_input_gradient;
    float in_ceiling = NO_CEILING;
};

// Moves one image by an affine map: see affine_maps in streams.py.
struct Warp {
    int channels, height, width;
    const float* map;  // [2][3]
    float* padded;     // scratch: [height + 3][width + 3]
    float* out;        // [channels][height][width]
};

enum class LossKind : int { labels, kl, squared, probabilities };

// Turns logits into the gradient of the loss, in place, for the first `lanes` images of a chunk.
struct Loss {
    LossKind kind;
    float temperature, label_weight;
    float scale;  // 1 / images in the batch
    int classes, lanes;
    float* logits;             // [class][16]
    const float* targets;      // [class][16], of the teacher; not read by `labels`
    const float* inverse_std;  // [class], read by `squared` only
    const int32_t* labels;     // [16]
    float* scratch;            // [4][classes][16]
};

enum class OptimizerKind : int { adam, sgd, nesterov, rmsprop, adadelta };

struct OptimizerStep {
    OptimizerKind kind;
    float rate, momentum, beta2, epsilon;
    float correction1, correction2;                // Adam: 1 - momentum^step, 1 - beta2^step
    float *weights, *gradient, *first, *second;  // [count]; the gradient is set to zero
    ptrdiff_t count;
};

// The kernels of one instruction set.
struct Kernels {
    const char* name;
    bool fused;  // multiply-adds round once
    void (*convolve)(const Convolution&);
    // Depthwise: one convolution a channel, with kernels of `size` weights; channel c uses kernel c % shared, or its own
    // if `shared` is 0.
    void (*convolve_channels)(const Convolution&, ptrdiff_t size, int shared);
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
    void (*prelu)(const PRelu&);
    void (*prelu_backward)(const PRelu&);
    void (*crelu)(const CRelu&);
    void (*crelu_backward)(const CRelu&);
    void (*add)(const Addition&);
    void (*add_backward)(const Addition&);
    float (*loss)(const Loss&);  // returns the sum over the images
    void (*optimize)(const OptimizerStep&);
    // 16 images of `pixels` values each, image k at rows[k], into [pixel][16] at `out`.
    void (*load_bytes)(const uint8_t* const* rows, ptrdiff_t pixels, float* out);
    void (*load_floats)(const float* const* rows, ptrdiff_t pixels, float* out);
    void (*warp_bytes)(const Warp&, const uint8_t* image);
    void (*warp_floats)(const Warp&, const float* image);
    double (*multiply_add_peak)(int64_t rounds);  // returns the number of multiply-adds that were done
};

// One per instruction set that was compiled in.
const Kernels* kernels_v2();
const Kernels* kernels_v3();
const Kernels* kernels_v4();
const Kernels* kernels_neon();
const Kernels* kernels_generic();

// Overlapping windows need a copy of one channel.
static inline size_t pool_scratch_floats(int height, int width) { return size_t(height) * width * LANES; }

// The dense gradient transposes this many inputs and outputs at a time. Its scratch memory has the smaller side whole
// and a piece of the other.
constexpr int DENSE_BLOCK = 64, DENSE_PANEL = 16;

static inline size_t dense_whole_floats(int chunks, int ins, int outs) {
    const size_t blocks = (size_t(ins) + DENSE_BLOCK - 1) / DENSE_BLOCK;
    const size_t panels = (size_t(outs) + DENSE_PANEL - 1) / DENSE_PANEL;
    return size_t(chunks) * LANES * (ins <= outs ? blocks * DENSE_BLOCK : panels * DENSE_PANEL);
}

static inline size_t dense_scratch_floats(int chunks, int ins, int outs) {
    return dense_whole_floats(chunks, ins, outs) + size_t(chunks) * LANES * DENSE_BLOCK;
}

// Winograd convolutions with 3x3 kernels, see winograd.h. Inputs are worked on in bands of whole rows of tiles, sized
// to half of a second-level cache of 1 MB, and outputs in blocks of channels.
constexpr int WINOGRAD_POSITIONS = 16, WINOGRAD_OUTS = 4, WINOGRAD_BLOCK = 16;
constexpr int WINOGRAD_TILES = 448;        // in a band, over all its channels: 16 x 64 bytes each
constexpr int WINOGRAD_GRADIENT_INS = 32;  // input channels that the weight gradient works on at a time

// The rows of `columns` tiles that make a band.
static inline int winograd_band(int ins, int columns) {
    const ptrdiff_t rows = WINOGRAD_TILES / (ptrdiff_t(ins) * columns);
    return rows > 1 ? int(rows) : 1;
}

static inline int winograd_blocks(int ins) { return (ins + WINOGRAD_GRADIENT_INS - 1) / WINOGRAD_GRADIENT_INS; }

// The floats from one position to the next: an odd number of cache lines, so that the 16 positions do not compete for
// one set of the cache.
static inline ptrdiff_t winograd_stride(ptrdiff_t vectors) { return (vectors | 1) * LANES; }

static inline size_t winograd_scratch_floats(int ins, int columns) {
    const ptrdiff_t tiles = ptrdiff_t(winograd_band(ins, columns)) * columns;
    return WINOGRAD_POSITIONS * size_t(winograd_stride(ins * tiles) + winograd_stride(WINOGRAD_BLOCK * tiles));
}

static inline size_t winograd_weight_floats(int ins, int outs) {
    return size_t(WINOGRAD_POSITIONS) * ins * ((outs + WINOGRAD_OUTS - 1) / WINOGRAD_OUTS * WINOGRAD_OUTS);
}

static inline size_t winograd_gradient_scratch_floats(int ins, int outs, int columns) {
    const int blocks = winograd_blocks(ins), largest = (ins + blocks - 1) / blocks;
    return winograd_weight_floats(largest, outs) + winograd_scratch_floats(largest, columns);
}

}  // namespace smidgen
