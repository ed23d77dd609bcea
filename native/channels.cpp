// Layers whose channels do not meet: batch norms, and depthwise convolutions next to one. A channel of the whole batch takes
// all passes of all these layers before the next channel begins: what one pass leaves is in the cache for the next.
#include "network.h"

namespace smidgen {

void Network::forward_by_channel(const Batch& batch, size_t first, size_t last) {
    team_->each(int(plan_.layers[first].out.channels), [&](int channel, int) {
        for (size_t i = first; i < last; ++i) {
            const Layer& l = plan_.layers[i];
            l.kind == LayerKind::batch_norm ? normalize_forward(l, batch, channel) : convolve_forward(l, batch, channel);
        }
    });
}

// Only the first layer may share its input with others: the layers behind it read what no other layer reads.
void Network::backward_by_channel(const Batch& batch, size_t first, size_t last) {
    const Layer& lowest = plan_.layers[first];
    if (lowest.shares_input)
        team_->each(batch.chunks(), [&](int chunk, int) { copy_inputs(lowest, chunk_memory(chunk)); });
    team_->each(int(lowest.out.channels), [&](int channel, int) {
        for (size_t i = last; i-- > first;) {
            const Layer& l = plan_.layers[i];
            if (!l.runs_backward) continue;
            l.kind == LayerKind::batch_norm ? normalize_backward(l, batch, channel) : convolve_backward(l, batch, channel);
        }
    });
    if (lowest.shares_input)
        team_->each(batch.chunks(), [&](int chunk, int) { sum_gradients(lowest, chunk_memory(chunk)); });
}

void Network::convolve_forward(const Layer& l, const Batch& batch, ptrdiff_t channel) {
    for (int chunk = 0; chunk < batch.chunks(); ++chunk) {
        const Convolution c = forward_convolution(l, used_weights().data(), chunk_memory(chunk));
        kernels_.convolve_channels(channel_of(c, channel), 0, 0);
    }
}

void Network::convolve_backward(const Layer& l, const Batch& batch, ptrdiff_t channel) {
    for (int chunk = 0; chunk < batch.chunks(); ++chunk) {
        float* memory = chunk_memory(chunk);
        kernels_.weight_gradient(channel_of(weight_gradient_of(l, chunk_gradients_[chunk].data(), memory, nullptr), channel));
        if (!l.in.needed) continue;
        kernels_.convolve_channels(channel_of(backward_convolution(l, used_weights().data(), memory), channel), 0, 0);
    }
}

}  // namespace smidgen
