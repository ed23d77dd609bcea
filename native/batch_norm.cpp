// Batch norm in training: the only layer whose outputs depend on the other images of the batch.
//
// Chunks are added in their order, and each channel is one thread's, so that the threads do not change a bit.
#include "network.h"

namespace smidgen {

// The floats from a channel in one chunk to what follows it: the same channel in the next chunk, or the next channel.
ptrdiff_t Network::ahead(const MapLayout& map, const Batch& batch, int chunk) const {
    const bool last = chunk + 1 == batch.chunks();
    return last ? map.plane - chunk * plan_.chunk_floats : plan_.chunk_floats;
}

Normalization Network::normalization(const Layer& l, const Batch& batch, int chunk, ptrdiff_t channel) {
    const ptrdiff_t channels = l.out.channels;
    const float* scale = used_weights().data() + l.weights + channel;
    const float* mean = batch_statistics_.data() + l.batch_statistics + channel;
    return {.in = channel_of(l.in.map.at(chunk_memory(chunk)), channel),
            .out = channel_of(l.out.at(chunk_memory(chunk)), channel),
            .lanes = batch.images_in(chunk),
            .mean = mean,
            .inverse_std = mean + channels,
            .scale = scale,
            .shift = scale + channels,
            .slope = l.slope,
            .ceiling = l.ceiling,
            .ahead = ahead(l.out, batch, chunk)};
}

// The mean of a channel over the whole batch; around a centre, of the squares.
float Network::channel_mean(const Layer& l, const Batch& batch, ptrdiff_t channel, const float* centre) {
    double total = 0;
    for (int chunk = 0; chunk < batch.chunks(); ++chunk) {
        float sum;
        const ChannelSums sums{.map = channel_of(l.in.map.at(chunk_memory(chunk)), channel),
                               .lanes = batch.images_in(chunk),
                               .centre = centre,
                               .sums = &sum,
                               .ahead = ahead(l.in.map, batch, chunk)};
        centre ? kernels_.channel_squares(sums) : kernels_.channel_sums(sums);
        total += sum;
    }
    return float(total / (double(batch.count) * double(l.out.height * l.out.width)));
}

// Normalizes by the mean and the biased variance of the batch, and updates the running statistics with them.
void Network::normalize_forward(const Layer& l, const Batch& batch, ptrdiff_t c) {
    const ptrdiff_t channels = l.out.channels;
    float* statistics = batch_statistics_.data() + l.batch_statistics;
    float* running_stats = weights_.data() + l.biases + channels;  // mean and variance
    const float mean = channel_mean(l, batch, c, nullptr), variance = channel_mean(l, batch, c, &mean);
    statistics[c] = mean;
    statistics[channels + c] = inverse_deviation(variance);
    running_stats[c] += (1.0f - BATCH_NORM_MOMENTUM) * (mean - running_stats[c]);
    running_stats[channels + c] += (1.0f - BATCH_NORM_MOMENTUM) * (variance - running_stats[channels + c]);
    for (int chunk = 0; chunk < batch.chunks(); ++chunk) kernels_.normalize(normalization(l, batch, chunk, c));
}

// The means over the batch of a channel's gradients, and of the gradients times the normalized values.
std::array<float, 2> Network::gradient_means(const Layer& l, const Batch& batch, ptrdiff_t channel, double values) {
    double totals[2] = {};
    for (int chunk = 0; chunk < batch.chunks(); ++chunk) {
        float sums[2];
        Normalization n = normalization(l, batch, chunk, channel);
        n.sums = sums;
        kernels_.normalize_sums(n);
        totals[0] += sums[0], totals[1] += sums[1];
    }
    return {float(totals[0] / values), float(totals[1] / values)};
}

void Network::normalize_backward(const Layer& l, const Batch& batch, ptrdiff_t c) {
    const double values = double(batch.count) * double(l.out.height * l.out.width);
    std::array<float, 2> means = gradient_means(l, batch, c, values);
    gradient_[l.weights + c] += means[1] * float(values);
    gradient_[l.biases + c] += means[0] * float(values);
    for (int chunk = 0; chunk < batch.chunks() && l.in.needed; ++chunk) {
        Normalization n = normalization(l, batch, chunk, c);
        n.in = channel_of(l.in.gradient.at(chunk_memory(chunk)), c);
        n.sums = means.data(), n.slope = l.in.slope, n.ceiling = l.in.ceiling;
        kernels_.normalize_backward(n);
    }
}

}  // namespace smidgen
