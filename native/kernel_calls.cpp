#include "kernel_calls.h"

#include <algorithm>
#include <cmath>

namespace smidgen {
namespace {

ptrdiff_t kernel_size(const Layer& l) { return l.kernel_y * l.kernel_x; }

// A map without a halo as channels of one value each.
Map flat(const MapLayout& layout, float* chunk) {
    return {layout.at(chunk).data, int(layout.values()), 1, 1, LANES, LANES};
}

// Whether a layer is a pool whose windows do not tile the map.
bool is_overlapping(const Layer& l) {
    const bool pools = l.kind == LayerKind::max_pool || l.kind == LayerKind::avg_pool;
    return pools && (l.stride_y != l.kernel_y || l.stride_x != l.kernel_x);
}

size_t winograd_floats(const Layer& l) {
    const int ins = int(l.in.map.channels), outs = int(l.out.channels), columns = int((l.out.width + 1) / 2);
    return std::max({winograd_scratch_floats(ins, columns), winograd_scratch_floats(outs, int((l.in.map.width + 1) / 2)),
                     winograd_gradient_scratch_floats(ins, outs, columns)});
}

}  // namespace

Convolution forward_convolution(const Layer& l, const float* parameters, float* chunk) {
    return {.in = l.in.map.at(chunk),
            .out = l.out.at(chunk),
            .kernel_y = l.kernel_y,
            .kernel_x = l.kernel_x,
            .row0 = -l.pad_y,
            .col0 = -l.pad_x,
            .weights = parameters + l.weights,
            .w_out = l.in.map.channels * kernel_size(l),
            .w_in = kernel_size(l),
            .w_y = l.kernel_x,
            .w_x = 1,
            .bias = bias_of(l, parameters),
            .backward = false,
            .slope = l.slope,
            .ceiling = l.ceiling,
            .stride_y = l.stride_y,
            .stride_x = l.stride_x};
}

Convolution backward_convolution(const Layer& l, const float* parameters, float* chunk) {
    return {.in = l.out.at(chunk),
            .out = l.in.gradient.at(chunk),
            .kernel_y = l.kernel_y,
            .kernel_x = l.kernel_x,
            .row0 = l.pad_y - (l.kernel_y - 1),
            .col0 = l.pad_x - (l.kernel_x - 1),
            .weights = parameters + l.weights + kernel_size(l) - 1,
            .w_out = kernel_size(l),
            .w_in = l.in.map.channels * kernel_size(l),
            .w_y = -l.kernel_x,
            .w_x = -1,
            .backward = true,
            .slope = l.in.slope,
            .ceiling = l.in.ceiling,
            .stride_y = l.stride_y,
            .stride_x = l.stride_x};
}

Convolution dense_forward(const Layer& l, const float* parameters, float* chunk, int chunks, ptrdiff_t chunk_stride) {
    Convolution c{.in = flat(l.in.map, chunk),
                  .out = l.out.at(chunk),
                  .kernel_y = 1,
                  .kernel_x = 1,
                  .row0 = 0,
                  .col0 = 0,
                  .weights = parameters + l.weights,
                  .w_out = l.in.map.values(),
                  .w_in = 1,
                  .w_y = 0,
                  .w_x = 0,
                  .bias = bias_of(l, parameters),
                  .backward = false,
                  .slope = l.slope,
                  .ceiling = l.ceiling,
                  .chunk_stride = chunks > 1 ? chunk_stride : 0};
    c.out.width = chunks;
    return c;
}

Convolution dense_backward(const Layer& l, const float* parameters, float* chunk, int chunks, ptrdiff_t chunk_stride) {
    Convolution c{.in = l.out.at(chunk),
                  .out = flat(l.in.gradient, chunk),
                  .kernel_y = 1,
                  .kernel_x = 1,
                  .row0 = 0,
                  .col0 = 0,
                  .weights = parameters + l.weights,
                  .w_out = 1,
                  .w_in = l.in.map.values(),
                  .w_y = 0,
                  .w_x = 0,
                  .backward = true,
                  .slope = l.in.slope,
                  .ceiling = l.in.ceiling,
                  .chunk_stride = chunks > 1 ? chunk_stride : 0};
    c.out.width = chunks;
    return c;
}

WeightGradient weight_gradient_of(const Layer& l, float* gradient, float* chunk, float* scratch) {
    return {.in = l.in.map.at(chunk),
            .gradient = l.out.at(chunk),
            .kernel_y = l.kernel_y,
            .kernel_x = l.kernel_x,
            .row0 = -l.pad_y,
            .col0 = -l.pad_x,
            .weights = gradient + l.weights,
            .bias = bias_of(l, gradient),
            .depthwise = l.kind == LayerKind::depthwise,
            .shared = l.shared,
            .stride_y = l.stride_y,
            .stride_x = l.stride_x,
            .scratch = l.winograd ? scratch : nullptr};
}

Map channel_of(Map map, ptrdiff_t channel) {
    map.data += channel * map.plane;
    map.channels = 1;
    return map;
}

Convolution channel_of(Convolution c, ptrdiff_t channel) {
    c.in = channel_of(c.in, channel), c.out = channel_of(c.out, channel);
    c.weights += channel * c.kernel_y * c.kernel_x;
    if (c.bias) c.bias += channel;
    return c;
}

WeightGradient channel_of(WeightGradient w, ptrdiff_t channel) {
    w.in = channel_of(w.in, channel), w.gradient = channel_of(w.gradient, channel);
    w.weights += channel * w.kernel_y * w.kernel_x;
    if (w.bias) w.bias += channel;
    return w;
}

DenseGradient dense_gradient_of(const Layer& l, float* gradient, float* chunk, int chunks, ptrdiff_t chunk_stride,
                                float* scratch) {
    return {.inputs = l.in.map.at(chunk).data,
            .gradient = l.out.at(chunk).data,
            .input_stride = chunk_stride,
            .gradient_stride = chunk_stride,
            .chunks = chunks,
            .in_count = int(l.in.map.values()),
            .first = 0,
            .last = int(l.out.channels),
            .weights = gradient + l.weights,
            .bias = bias_of(l, gradient),
            .scratch = scratch};
}

float inverse_deviation(float variance) { return 1.0f / std::sqrt(variance + BATCH_NORM_EPSILON); }

Pool pool_of(const Layer& l, const MapLayout& in, float* chunk, float* scratch) {
    return {.in = in.at(chunk),
            .out = l.out.at(chunk),
            .size_y = l.kernel_y,
            .size_x = l.kernel_x,
            .stride_y = l.stride_y,
            .stride_x = l.stride_x,
            .slope = l.in.slope,
            .ceiling = l.in.ceiling,
            .scratch = scratch};
}

Dropout dropout_of(const Layer& l, float* chunk, uint64_t seed) {
    return {.map = l.in.map.at(chunk), .rate = l.rate, .seed = seed};
}

PRelu prelu_of(const Layer& l, const MapLayout& in, const float* parameters, float* gradient, float* chunk) {
    return {.in = in.at(chunk),
            .out = l.out.at(chunk),
            .slopes = parameters + l.weights,
            .gradient = gradient ? gradient + l.weights : nullptr,
            .in_slope = l.in.slope,
            .needs_input_gradient = l.in.needed,
            .in_ceiling = l.in.ceiling};
}

CRelu crelu_of(const Layer& l, const MapLayout& in, float* chunk) {
    return {.in = in.at(chunk), .out = l.out.at(chunk), .slope = l.in.slope, .ceiling = l.in.ceiling};
}

Addition addition_of(const Layer& l, float* chunk) {
    return {.first = l.in.map.at(chunk),
            .second = l.shortcut.map.at(chunk),
            .out = l.out.at(chunk),
            .slope = l.slope,
            .ceiling = l.ceiling};
}

Addition added_gradient(const Layer& l, const Input& in, float* chunk) {
    return {.first = l.out.at(chunk),
            .second = {},
            .out = in.gradient.at(chunk),
            .slope = in.slope,
            .ceiling = in.ceiling};
}

Addition summed_gradient(const Input& in, const GradientSum& sum, float* chunk) {
    return {.first = sum.first.at(chunk),
            .second = sum.second.at(chunk),
            .out = sum.out.at(chunk),
            .slope = sum.last ? in.sum_slope : 1.0f,
            .ceiling = sum.last ? in.sum_ceiling : NO_CEILING};
}

Normalization normalization_by_running_stats(const Layer& l, const float* parameters, float* chunk, float* scratch) {
    const ptrdiff_t channels = l.out.channels;
    const float *scale = parameters + l.weights, *shift = scale + channels, *mean = shift + channels;
    for (ptrdiff_t c = 0; c < channels; ++c) scratch[c] = inverse_deviation(mean[channels + c]);
    return {.in = l.in.map.at(chunk),
            .out = l.out.at(chunk),
            .lanes = LANES,
            .mean = mean,
            .inverse_std = scratch,
            .scale = scale,
            .shift = shift,
            .slope = l.slope,
            .ceiling = l.ceiling};
}

size_t scratch_floats(const Plan& plan, int chunks) {
    const MapLayout& in = plan.input;
    const size_t loss = size_t(plan.outputs == 1 ? 6 : 5) * plan.classes * LANES;
    const size_t warp = size_t(LANES * in.values() + (in.height + 3) * (in.width + 3));
    size_t most = std::max(loss, warp);
    for (const Layer& l : plan.layers) {
        if (l.winograd) most = std::max(most, winograd_floats(l));
        if (is_overlapping(l)) most = std::max(most, pool_scratch_floats(int(l.in.map.height), int(l.in.map.width)));
        if (l.batched) most = std::max(most, size_t(l.out.channels * LANES));
        if (l.kind == LayerKind::batch_norm) most = std::max(most, size_t(l.out.channels));
        if (l.kind == LayerKind::dense)
            most = std::max(most, dense_scratch_floats(l.batched ? chunks : 1, int(l.in.map.values()), int(l.out.channels)));
    }
    return most;
}

}  // namespace smidgen
