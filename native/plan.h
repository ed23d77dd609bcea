// A network placed in memory: what each layer reads and writes, and where its weights stand.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"

namespace smidgen {

enum class LayerKind : int {
    conv = 0, depthwise = 1, max_pool = 2, avg_pool = 3, dense = 4, dropout = 5, batch_norm = 6, prelu = 7
};

// One layer as Python gives it: see engine/native.py.
struct LayerRequest {
    LayerKind kind;
    int out, kernel_y, kernel_x;  // a pool of size 0 x 0 is global
    bool same, bias;
    float value;  // slope below zero, or the rate of a dropout
    int source = -1;  // the place of the request whose weights this one uses, or -1
    int place = -1;   // its own
};

struct Layer {
    LayerKind kind;
    Map in, out;  // `data` is an offset from the start of a chunk's memory, see at_chunk
    int kernel_y = 1, kernel_x = 1, pad_y = 0, pad_x = 0;
    float slope = 1.0f;      // of this layer's activation
    float in_slope = 1.0f;   // of the activation that produced `in`: the backward pass goes through it
    float rate = 0.0f;       // dropout
    bool bias = false;
    long weights = 0, biases = 0, count = 0;  // offsets into the parameters, and how many
    bool needs_input_gradient = false;
    bool winograd = false;  // a 3x3 convolution of so many channels that Winograd's way is the faster one
    long transformed = 0;   // where its weights stand, transformed for the way forward and then for the way back
    bool batched = false;  // a dense layer so large that all chunks of a batch share one pass over its weights
    long statistics = 0;   // batch norm: where the mean and the inverse deviation of the batch stand, [2][channels]

    // Whether the layer sees a whole batch at once.
    bool whole() const { return batched || kind == LayerKind::batch_norm; }
};

// A chunk of 16 images has the input and every layer's output in one piece of memory. Backward, each
// gradient overwrites the activation that it belongs to.
struct Plan {
    std::vector<Layer> layers;
    Map input, output;
    long parameters = 0;  // with the moments of batch norms: scale, shift, mean, variance
    long chunk_floats = 0, transformed_floats = 0, statistics_floats = 0;
    int classes = 0;  // the values of the output; of a map, in the order [channel][y][x]
    bool layered = false;  // some layer sees a whole batch at once: every chunk of it keeps its memory

    // Throws std::invalid_argument where a layer cannot be: no index may leave its map, no size its type.
    Plan(const std::vector<LayerRequest>& requests, int channels, int height, int width);

   private:
    void place_weights(const LayerRequest& request, Layer& layer);
    std::vector<Layer> owners_;  // by the place of its request
};

// The `data` of a map that stands so many floats from the start of a chunk's memory.
inline float* offset_data(long floats) { return reinterpret_cast<float*>(uintptr_t(floats) * sizeof(float)); }

// `map` in the memory of a chunk.
inline Map at_chunk(Map map, float* chunk) {
    map.data = chunk + reinterpret_cast<uintptr_t>(map.data) / sizeof(float);
    return map;
}

}  // namespace smidgen
