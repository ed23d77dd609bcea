// Training: the gradient of a batch, by chunk or by layer, and the optimizer's steps.
#include <algorithm>
#include <cmath>
#include <limits>

#include "network.h"

namespace smidgen {

// --- one batch -------------------------------------------------------------------------------------

double Network::backpropagate(const TrainingExamples& examples, const TrainingOrder& order, const LossSettings& loss,
                              ptrdiff_t following) {
    const Batch batch{
        .examples = examples, .order = order, .count = int(order.count), .following = following, .loss = loss};
    transform_weights();
    return plan_.layered ? backpropagate_by_layer(batch) : backpropagate_by_chunk(batch);
}

double sum(const std::vector<double>& values) {
    double total = 0;
    for (double value : values) total += value;
    return total;
}

// Takes each chunk forward and backward at once, so that all that it needs stays in the cache. Of a parallel plan the
// threads share the chunks, and each chunk has a gradient of its own, also on one thread.
double Network::backpropagate_by_chunk(const Batch& batch) {
    const size_t layers = plan_.layers.size();
    std::vector<double> losses(batch.chunks());
    team_->each(batch.chunks(), [&](int chunk, int thread) {
        load_chunk(batch, chunk, thread);
        forward_chunk(chunk, 0, layers, thread);
        losses[chunk] = chunk_loss(batch, chunk, thread);
        backward_chunk(chunk, 0, layers, plan_.parallel ? chunk_gradients_[chunk].data() : gradient_.data(), thread);
    });
    if (plan_.parallel) add_chunk_gradients();
    return sum(losses);
}

// Takes layer after layer if some layer needs the whole batch: a batched layer reads its weights once for all chunks,
// and the layers between two of them go chunk by chunk. Neither the terms of a sum nor their order depend on the number
// of threads.
double Network::backpropagate_by_layer(const Batch& batch) {
    team_->each(batch.chunks(), [&](int chunk, int thread) { load_chunk(batch, chunk, thread); });
    forward_by_layer(batch);
    const double total = loss_of_batch(batch);
    backward_by_layer(batch);
    add_chunk_gradients();
    return total;
}

double Network::loss_of_batch(const Batch& batch) {
    std::vector<double> losses(batch.chunks());
    team_->each(batch.chunks(), [&](int chunk, int thread) { losses[chunk] = chunk_loss(batch, chunk, thread); });
    return sum(losses);
}

void Network::forward_by_layer(const Batch& batch) {
    const std::vector<Layer>& layers = plan_.layers;
    for (size_t begin = 0, end; begin < layers.size(); begin = end) {
        for (end = begin; end < layers.size() && !plan_.needs_whole_batch(layers[end]);) ++end;
        if (end > begin) {
            team_->each(batch.chunks(), [&](int chunk, int thread) { forward_chunk(chunk, begin, end, thread); });
            continue;
        }
        const Layer& layer = layers[end++];
        if (layer.batched) {
            batched_forward(layer, batch.chunks());
            continue;
        }
        while (end < layers.size() && layers[end].continues) ++end;
        forward_by_channel(batch, begin, end);
    }
}

void Network::backward_by_layer(const Batch& batch) {
    const std::vector<Layer>& layers = plan_.layers;
    for (size_t end = layers.size(), begin; end > 0; end = begin) {
        for (begin = end; begin > 0 && !plan_.needs_whole_batch(layers[begin - 1]);) --begin;
        if (begin < end) {
            team_->each(batch.chunks(), [&](int chunk, int thread) {
                backward_chunk(chunk, begin, end, chunk_gradients_[chunk].data(), thread);
            });
            continue;
        }
        const Layer& layer = layers[--begin];
        if (layer.by_channel) {
            while (layers[begin].continues) --begin;
            backward_by_channel(batch, begin, end);
            continue;
        }
        if (!layer.runs_backward) continue;
        batched_weight_gradient(layer, batch.chunks());
        if (layer.in.needed) batched_input_gradient(layer, batch.chunks());
    }
}

// Adds the chunks' gradients in the order of the chunks, so that the sum does not depend on the threads.
void Network::add_chunk_gradients() {
    for (std::vector<float>& part : chunk_gradients_)
        for (const Layer& l : plan_.layers)
            for (ptrdiff_t k = l.weights; !l.batched && k < l.weights + l.count; ++k)
                gradient_[k] += part[k], part[k] = 0;
}

// Where part `part` of `parts` about equal parts of `count` begins.
int share(ptrdiff_t count, ptrdiff_t part, ptrdiff_t parts) { return int(count * part / parts); }

void Network::batched_forward(const Layer& l, int chunks) {
    const int parts = std::min(chunks, team_->size());
    team_->each(parts, [&](int part, int) {
        const int begin = share(chunks, part, parts), end = share(chunks, part + 1, parts);
        forward(l, chunk_memory(begin), end - begin, true, 0, nullptr);
    });
}

void Network::batched_weight_gradient(const Layer& l, int chunks) {
    const int outs = int(l.out.channels), blocks = std::min(outs, team_->size());
    team_->each(blocks, [&](int block, int thread) {
        DenseGradient part =
            dense_gradient_of(l, gradient_.data(), chunk_memory(0), chunks, plan_.chunk_floats, scratch(thread));
        part.first = share(outs, block, blocks);
        part.last = share(outs, block + 1, blocks);
        kernels_.dense_gradient(part);
    });
}

void Network::batched_input_gradient(const Layer& l, int chunks) {
    const int parts = std::min(chunks, team_->size());
    team_->each(parts, [&](int part, int thread) {
        const int begin = share(chunks, part, parts), end = share(chunks, part + 1, parts);
        Convolution c =
            dense_backward(l, used_weights().data(), chunk_memory(begin), end - begin, plan_.chunk_floats);
        c.scratch = scratch(thread);
        kernels_.convolve(c);
        for (int chunk = begin; chunk < end; ++chunk) sum_gradients(l, chunk_memory(chunk));
    });
}

// --- training --------------------------------------------------------------------------------------

void Network::optimize(float rate, const OptimizerSettings& s) {
    const bool adam = s.kind == OptimizerKind::adam;  // the only one that reads the corrections
    const float correction1 = adam ? float(1.0 - std::pow(double(s.momentum), double(step_))) : 1.0f;
    const float correction2 = adam ? float(1.0 - std::pow(double(s.beta2), double(step_))) : 1.0f;
    const int parts = team_->size();
    team_->each(parts, [&](int part, int) {
        const ptrdiff_t begin = plan_.parameters * part / parts, end = plan_.parameters * (part + 1) / parts;
        kernels_.optimize({.kind = s.kind,
                           .rate = rate,
                           .momentum = s.momentum,
                           .beta2 = s.beta2,
                           .epsilon = s.epsilon,
                           .correction1 = correction1,
                           .correction2 = correction2,
                           .weights = weights_.data() + begin,
                           .gradient = gradient_.data() + begin,
                           .first = first_.data() + begin,
                           .second = second_.data() + begin,
                           .count = end - begin});
    });
}

// An exponential moving average whose decay grows from 2/11 to `decay`. A weight that does not change is its own average,
// bit for bit.
void Network::update_average(float decay) {
    const double most = double(1 + step_) / double(10 + step_);
    const float rest = float(1.0 - std::min(double(decay), most));
    for (size_t k = 0; k < weights_.size(); ++k) average_[k] += rest * (weights_[k] - average_[k]);
}

double Network::train(const TrainingExamples& examples, const TrainingOrder& order, const float* rates,
                      const LossSettings& loss, const OptimizerSettings& optimizer, float average) {
    if (average > 0 && average_.empty()) average_ = weights_;
    double total = 0;
    for (ptrdiff_t first = 0; first < order.count; first += batch_size_) {
        ++step_;
        const ptrdiff_t count = std::min<ptrdiff_t>(batch_size_, order.count - first);
        const TrainingOrder part{.images = order.images + first, .count = count, .affine_maps = order.affine_maps};
        total += backpropagate(examples, part, loss, order.count - first - count);
        if (!std::isfinite(total)) return std::numeric_limits<double>::quiet_NaN();
        constraints_.constrain_gradient(weights_, gradient_);
        optimize(*rates++, optimizer);
        if (constraints_.quantize()) constraints_.project(weights_, quantized_);
        if (average > 0) update_average(average);
    }
    return total;
}

}  // namespace smidgen
