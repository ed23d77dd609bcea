// One layer in the memory of one chunk, as the kernels are asked for it.
#pragma once

#include <cstddef>

#include "kernels.h"
#include "plan.h"

namespace smidgen {

constexpr int LANES = LANES_PER_CHUNK;

// Keras's constants.
constexpr float BATCH_NORM_EPSILON = 1e-3f, BATCH_NORM_MOMENTUM = 0.99f;

inline Map vector_of(const Map& map) { return {map.data, map.channels * map.height * map.width, 1, 1, LANES, LANES}; }

template <typename T>
T* bias_of(const Layer& l, T* parameters) {
    return l.bias ? parameters + l.biases : nullptr;
}

Convolution forward_convolution(const Layer& l, const float* parameters, float* chunk);

// The gradient with respect to the input is a convolution with the kernel turned around.
Convolution backward_convolution(const Layer& l, const float* parameters, float* chunk);

// A dense layer as a convolution whose columns are chunks.
Convolution dense(const Layer& l, const float* parameters, float* chunk, int chunks, long chunk_stride, bool backward);

// A depthwise convolution is one convolution a channel, of so many weights each.
void convolve_channels(const Kernels& kernels, Convolution c, long weights);

Pool pool(const Layer& l, float* chunk);
Slopes slopes(const Layer& l, const float* parameters, float* gradient, float* chunk);

float inverse_deviation(float variance);

// Batch norm by its running moments; scratch: [channels].
Normalization by_moments(const Layer& l, const float* parameters, float* chunk, float* scratch);

// The least that a layer's gradient, Winograd's way and the loss need beside the activations.
size_t scratch_floats(const Plan& plan, int chunks);

}  // namespace smidgen
