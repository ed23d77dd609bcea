// The kernels' arguments for one layer in the memory of one chunk.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"
#include "plan.h"

namespace smidgen {

// Keras's defaults.
constexpr float BATCH_NORM_EPSILON = 1e-3f, BATCH_NORM_MOMENTUM = 0.99f;

template <typename T>
T* bias_of(const Layer& l, T* parameters) {
    return l.bias ? parameters + l.biases : nullptr;
}

Convolution forward_convolution(const Layer& l, const float* parameters, float* chunk);

// The gradient with respect to the input is a convolution with the kernel turned around.
Convolution backward_convolution(const Layer& l, const float* parameters, float* chunk);

// A dense layer is a 1x1 convolution whose columns are chunks, `chunk_stride` floats apart.
Convolution dense_forward(const Layer& l, const float* parameters, float* chunk, int chunks, ptrdiff_t chunk_stride);
Convolution dense_backward(const Layer& l, const float* parameters, float* chunk, int chunks, ptrdiff_t chunk_stride);

WeightGradient weight_gradient_of(const Layer& l, float* gradient, float* chunk, float* scratch);

// One channel of a map, and of a depthwise convolution whose channels have kernels of their own.
Map channel_of(Map map, ptrdiff_t channel);
Convolution channel_of(Convolution convolution, ptrdiff_t channel);
WeightGradient channel_of(WeightGradient gradient, ptrdiff_t channel);

// The gradient of all outputs of a dense layer, for `chunks` chunks.
DenseGradient dense_gradient_of(const Layer& l, float* gradient, float* chunk, int chunks, ptrdiff_t chunk_stride,
                                float* scratch);

// `in` is the layer's input or, in the backward pass, the place of its gradient, which has a copy of the input.
Pool pool_of(const Layer& l, const MapLayout& in, float* chunk, float* scratch);
CRelu crelu_of(const Layer& l, const MapLayout& in, float* chunk);
Dropout dropout_of(const Layer& l, float* chunk, uint64_t seed);

// gradient: null in the forward pass.
PRelu prelu_of(const Layer& l, const MapLayout& in, const float* parameters, float* gradient, float* chunk);

// An add forward, the gradient of one of its inputs, and a step of the sum of the gradients of one map.
Addition addition_of(const Layer& l, float* chunk);
Addition added_gradient(const Layer& l, const Input& in, float* chunk);
Addition summed_gradient(const Input& in, const GradientSum& sum, float* chunk);

float inverse_deviation(float variance);

// Batch norm by its running statistics; scratch: [channels].
Normalization normalization_by_running_stats(const Layer& l, const float* parameters, float* chunk, float* scratch);

// The scratch memory of a thread: enough for every layer's kernels, the loss and the loading of a batch.
size_t scratch_floats(const Plan& plan, int chunks);

}  // namespace smidgen
