// A network placed in memory: what each layer reads and writes, and where its weights are.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernels.h"

namespace smidgen {

enum class LayerKind : int { conv, depthwise, max_pool, avg_pool, dense, dropout, batch_norm, prelu };

// One layer as Python describes it: see engine/native.py.
struct LayerRequest {
    LayerKind kind;
    int out = 0;                      // output channels, of conv and dense
    int kernel_y = 1, kernel_x = 1;   // a pool of size 0 x 0 is global
    bool same = false, bias = false;
    float slope = 1.0f;  // of the activation below zero
    float rate = 0.0f;   // of a dropout
    int source = -1;     // the index of the request whose weights this one uses, or -1
    int index = -1;      // its own index; -1 for a copy, which Python did not ask for
};

// A map in the memory of every chunk, `offset` floats from where the chunk begins.
struct MapLayout {
    ptrdiff_t offset;
    int channels, height, width;
    ptrdiff_t plane, row;  // from one channel to the next, from one row to the next

    ptrdiff_t values() const { return ptrdiff_t(channels) * height * width; }
    bool is_compact() const { return row == ptrdiff_t(width) * LANES; }  // it has no halo
    Map at(float* chunk) const { return {chunk + offset, channels, height, width, plane, row}; }
};

// Zero columns on either side of a map.
struct Halo {
    int left = 0, right = 0;
};

struct Layer {
    LayerKind kind;
    MapLayout in, out;
    int kernel_y = 1, kernel_x = 1, pad_y = 0, pad_x = 0;
    int stride_y = 1, stride_x = 1;
    int shared = 0;         // depthwise: channel c uses kernel c % shared; 0: a kernel of its own
    float slope = 1.0f;     // of this layer's activation
    float ceiling = NO_CEILING;
    float in_slope = 1.0f;  // of the activation that produced `in`: the backward pass goes through it
    float in_ceiling = NO_CEILING;
    float rate = 0.0f;      // dropout
    bool bias = false;
    ptrdiff_t weights = 0, biases = 0, count = 0;  // offsets into the parameters, and how many there are
    bool needs_input_gradient = false;
    bool winograd = false;          // a 3x3 convolution with enough channels for Winograd's algorithm to be faster
    ptrdiff_t transformed = 0;      // offset of its transformed weights: those for forward, then those for backward
    bool batched = false;           // a dense layer so large that all chunks of a batch share one pass over its weights
    ptrdiff_t batch_statistics = 0;  // batch norm: offset of the batch's mean and inverse deviation, [2][channels]

    bool needs_whole_batch() const { return batched || kind == LayerKind::batch_norm; }
};

// The memory of a chunk of 16 images has the input and the output of every layer. In the backward pass each gradient
// overwrites the activation that it belongs to.
struct Plan {
    std::vector<Layer> layers;
    MapLayout input, output;
    ptrdiff_t parameters = 0;  // a batch norm has four a channel: scale, shift, running mean, running variance
    ptrdiff_t chunk_floats = 0, transformed_floats = 0, batch_statistics_floats = 0;
    int classes = 0;      // values of the output; those of a map are in the order [channel][y][x]
    bool layered = false;  // some layer needs the whole batch at once: every chunk keeps its memory

    // Throws std::invalid_argument for an impossible layer: no index may leave its map, no size its type.
    Plan(const std::vector<LayerRequest>& requests, int channels, int height, int width);

   private:
    void add_layer(const LayerRequest& request, MapLayout in, float in_slope, Halo after);
    void place_weights(const LayerRequest& request, Layer& layer);
    std::vector<Layer> owners_;  // by the index of the request
};

}  // namespace smidgen
