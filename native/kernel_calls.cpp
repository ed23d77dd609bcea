#include "layers.h"

#include <algorithm>
#include <cmath>

namespace smidgen {
namespace {

size_t winograd_floats(const Layer& l) {
    const int ins = l.in.channels, outs = l.out.channels, columns = (l.out.width + 1) / 2;
    return std::max({winograd_scratch_floats(ins, columns), winograd_scratch_floats(outs, (l.in.width + 1) / 2),
                     winograd_gradient_scratch_floats(ins, outs, columns)});
}

}  // namespace

Convolution forward_convolution(const Layer& l, const float* parameters, float* chunk) {
    const long kernel = long(l.kernel_y) * l.kernel_x;
    return {at_chunk(l.in, chunk), at_chunk(l.out, chunk), l.kernel_y, l.kernel_x, -l.pad_y, -l.pad_x,
            parameters + l.weights, l.in.channels * kernel, kernel, l.kernel_x, 1,
            bias_of(l, parameters), false, l.slope, 0};
}

Convolution backward_convolution(const Layer& l, const float* parameters, float* chunk) {
    const long kernel = long(l.kernel_y) * l.kernel_x;
    return {at_chunk(l.out, chunk), at_chunk(l.in, chunk), l.kernel_y, l.kernel_x,
            l.pad_y - (l.kernel_y - 1), l.pad_x - (l.kernel_x - 1),
            parameters + l.weights + kernel - 1, kernel, l.in.channels * kernel, -l.kernel_x, -1,
            nullptr, true, l.in_slope, 0};
}

Convolution dense(const Layer& l, const float* parameters, float* chunk, int chunks, long chunk_stride, bool backward) {
    const Map in = vector_of(at_chunk(l.in, chunk)), out = at_chunk(l.out, chunk);
    Convolution c{backward ? out : in, backward ? in : out, 1, 1, 0, 0,
                  parameters + l.weights, backward ? 1 : in.channels, backward ? in.channels : 1, 0, 0,
                  backward ? nullptr : bias_of(l, parameters), backward, backward ? l.in_slope : l.slope,
                  chunks > 1 ? chunk_stride : 0};
    c.out.width = chunks;
    return c;
}

float inverse_deviation(float variance) { return 1.0f / std::sqrt(variance + BATCH_NORM_EPSILON); }

void convolve_channels(const Kernels& kernels, Convolution c, long weights) {
    const int channels = c.out.channels;
    c.in.channels = c.out.channels = 1;
    for (int channel = 0; channel < channels; ++channel) {
        kernels.convolve(c);
        c.in.data += c.in.plane;
        c.out.data += c.out.plane;
        c.weights += weights;
        if (c.bias) ++c.bias;
    }
}

Pool pool(const Layer& l, float* chunk) {
    return {at_chunk(l.in, chunk), at_chunk(l.out, chunk), l.kernel_y, l.kernel_x, l.in_slope};
}

Slopes slopes(const Layer& l, const float* parameters, float* gradient, float* chunk) {
    return {at_chunk(l.in, chunk), at_chunk(l.out, chunk), parameters + l.weights,
            gradient ? gradient + l.weights : nullptr, l.in_slope, l.needs_input_gradient};
}

Normalization by_moments(const Layer& l, const float* parameters, float* chunk, float* scratch) {
    const int channels = l.out.channels;
    const float *scale = parameters + l.weights, *shift = scale + channels, *mean = shift + channels;
    for (int c = 0; c < channels; ++c) scratch[c] = inverse_deviation(mean[channels + c]);
    return {at_chunk(l.in, chunk), at_chunk(l.out, chunk), LANES, mean, scratch, scale, shift, l.slope};
}

size_t scratch_floats(const Plan& plan, int chunks) {
    size_t most = size_t(5) * plan.classes * LANES;
    const Map& in = plan.input;
    most = std::max(most, size_t(LANES) * in.channels * in.height * in.width + size_t(in.height + 3) * (in.width + 3));
    for (const Layer& l : plan.layers) {
        if (l.winograd) most = std::max(most, winograd_floats(l));
        if (l.batched) most = std::max(most, size_t(l.out.channels) * LANES);
        if (l.kind == LayerKind::batch_norm) most = std::max(most, size_t(l.out.channels));
        if (l.kind == LayerKind::dense)
            most = std::max(most, dense_scratch_floats(l.batched ? chunks : 1, vector_of(l.in).channels, l.out.channels));
    }
    return most;
}

}  // namespace smidgen
