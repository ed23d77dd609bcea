// Batch norm in training: the only layer whose outputs depend on the other images of the batch.
#include "network.h"

namespace smidgen {

// Means over the whole batch of `sums` quantities, whose sums over a chunk `add` computes. Chunks are added in their
// order, so that the threads do not change a bit.
std::vector<float> Network::channel_means(const Layer& l, const Batch& batch, int sums,
                                          const std::function<void(int, float*)>& add) {
    const int chunks = batch.chunks();
    std::vector<float> parts(size_t(chunks) * sums);
    team_->each(chunks, [&](int chunk, int) { add(chunk, parts.data() + size_t(chunk) * sums); });
    const double values = double(batch.count) * l.out.height * l.out.width;
    std::vector<float> means(sums);
    for (int k = 0; k < sums; ++k) {
        double sum = 0;
        for (int chunk = 0; chunk < chunks; ++chunk) sum += parts[size_t(chunk) * sums + k];
        means[k] = float(sum / values);
    }
    return means;
}

Normalization Network::normalization(const Layer& l, const Batch& batch, int chunk) {
    const int channels = l.out.channels;
    const float *scale = used_weights().data() + l.weights, *mean = batch_statistics_.data() + l.batch_statistics;
    return {.in = l.in.at(chunk_memory(chunk)),
            .out = l.out.at(chunk_memory(chunk)),
            .lanes = batch.images_in(chunk),
            .mean = mean,
            .inverse_std = mean + channels,
            .scale = scale,
            .shift = scale + channels,
            .slope = l.slope};
}

// Normalizes by the mean and the biased variance of the batch, and updates the running statistics with them.
void Network::normalize_forward(const Layer& l, const Batch& batch) {
    const int channels = l.out.channels;
    const auto sums_of = [&](int chunk, const float* centre, float* sums) {
        return ChannelSums{.map = l.in.at(chunk_memory(chunk)),
                           .lanes = batch.images_in(chunk),
                           .centre = centre,
                           .sums = sums};
    };
    const std::vector<float> mean = channel_means(l, batch, channels, [&](int chunk, float* sums) {
        kernels_.channel_sums(sums_of(chunk, nullptr, sums));
    });
    const std::vector<float> variance = channel_means(l, batch, channels, [&](int chunk, float* sums) {
        kernels_.channel_squares(sums_of(chunk, mean.data(), sums));
    });
    float* statistics = batch_statistics_.data() + l.batch_statistics;
    float* running_stats = weights_.data() + l.biases + channels;  // mean and variance
    for (int c = 0; c < channels; ++c) {
        statistics[c] = mean[c];
        statistics[channels + c] = inverse_deviation(variance[c]);
        running_stats[c] += (1.0f - BATCH_NORM_MOMENTUM) * (mean[c] - running_stats[c]);
        running_stats[channels + c] += (1.0f - BATCH_NORM_MOMENTUM) * (variance[c] - running_stats[channels + c]);
    }
    team_->each(batch.chunks(), [&](int chunk, int) { kernels_.normalize(normalization(l, batch, chunk)); });
}

void Network::normalize_backward(const Layer& l, const Batch& batch) {
    const int channels = l.out.channels;
    std::vector<float> means = channel_means(l, batch, 2 * channels, [&](int chunk, float* sums) {
        Normalization n = normalization(l, batch, chunk);
        n.sums = sums;
        kernels_.normalize_sums(n);
    });
    const float values = float(batch.count) * float(l.out.height * l.out.width);
    for (int c = 0; c < channels; ++c) {
        gradient_[l.weights + c] += means[channels + c] * values;
        gradient_[l.biases + c] += means[c] * values;
    }
    if (!l.needs_input_gradient) return;
    team_->each(batch.chunks(), [&](int chunk, int) {
        Normalization n = normalization(l, batch, chunk);
        n.sums = means.data(), n.slope = l.in_slope;
        kernels_.normalize_backward(n);
    });
}

}  // namespace smidgen
