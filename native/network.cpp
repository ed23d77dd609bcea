#include "network.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "layers.h"

namespace smidgen {

Network::Network(Plan plan, const Kernels& kernels, int batch_size, int threads, uint64_t seed)
    : plan_(std::move(plan)), kernels_(kernels), batch_size_(batch_size), chunks_((batch_size + LANES - 1) / LANES),
      seed_(seed), weights_(plan_.parameters), gradient_(plan_.parameters),
      first_(plan_.parameters), second_(plan_.parameters),
      memory_(size_t(plan_.layered ? chunks_ : 1) * plan_.chunk_floats / LANES + 1),
      transformed_(plan_.transformed_floats / LANES), statistics_(plan_.statistics_floats) {
    for (Layer& l : plan_.layers)
        if (!l.batched) unbatched_ = std::max(unbatched_, l.weights + l.count);
    if (plan_.layered) chunk_gradients_.assign(chunks_, std::vector<float>(unbatched_));
    share(threads);
}

void Network::share(int threads) {
    if (team_ && (threads == team_->size() || !plan_.layered)) return;
    team_ = std::make_unique<Team>(plan_.layered ? threads : 1);
    scratch_.assign(team_->size(), std::vector<Line>(scratch_floats(plan_, chunks_) / LANES + 1));
}

uint64_t Network::mask_seed(int chunk, size_t layer) const {
    return ((seed_ * 0x9e3779b97f4a7c15ull + uint64_t(step_)) * 0xbf58476d1ce4e5b9ull + uint64_t(chunk)) *
               0x94d049bb133111ebull + (uint64_t(layer) << 8);
}

void Network::start(const float* weights, HoldRequest request) {
    hold_ = Hold(std::move(request), plan_.parameters);
    std::copy(weights, weights + plan_.parameters, weights_.begin());
    if (hold_.projects()) {
        projected_.resize(weights_.size());
        hold_.project(weights_, projected_);
    }
    const auto trains = [&](const Layer& l) { return l.count > 0 && !hold_.is_fixed(l.weights, l.weights + l.count); };
    const auto first = std::find_if(plan_.layers.begin(), plan_.layers.end(), trains);
    first_trained_ = size_t(first - plan_.layers.begin());
    for (size_t i = 0; i <= first_trained_ && i < plan_.layers.size(); ++i) plan_.layers[i].needs_input_gradient = false;
}

std::vector<float> Network::kept() const {
    if (average_.empty()) return used();
    std::vector<float> weights = average_;
    if (hold_.projects()) hold_.project(average_, weights);
    return weights;
}

// Sixteen images, wherever they lie, into the first map, a row at a time where it has a halo.
template <typename T>
void Network::load_rows(const T** rows, float* memory) {
    const Map in = at_chunk(plan_.input, memory);
    const long pixels = long(in.channels) * in.height * in.width;
    const int width = in.row == long(in.width) * LANES ? int(pixels) : in.width;
    for (long done = 0; done < pixels; done += width) {
        const long row = done / in.width;
        float* out = in.data + row / in.height * in.plane + row % in.height * in.row;
        if constexpr (sizeof(T) == 1) kernels_.load_bytes(rows, width, out);
        else kernels_.load_floats(rows, width, out);
        for (int lane = 0; lane < LANES; ++lane) rows[lane] += width;
    }
}

// Where fewer than sixteen are left, the first stands in and its gradient is zero.
void Network::load(const Images& images, const uint32_t* order, int count, float* memory) {
    const Map& in = plan_.input;
    const size_t pixels = size_t(in.channels) * in.height * in.width;
    const uint8_t* bytes[LANES];
    const float* floats[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        const size_t image = order[lane < count ? lane : 0] * pixels;
        if (images.bytes) bytes[lane] = images.bytes + image;
        else floats[lane] = images.floats + image;
    }
    images.bytes ? load_rows(bytes, memory) : load_rows(floats, memory);
}

// Images lie anywhere in memory: those of the next chunk are asked for while this one is worked on.
void prefetch(const Images& images, size_t pixels, const uint32_t* order, int count) {
    if (!images.bytes) return;
    for (int lane = 0; lane < count; ++lane)
        for (size_t byte = 0; byte < pixels; byte += 64) __builtin_prefetch(images.bytes + order[lane] * pixels + byte);
}

// The same, each image moved by its map first.
void Network::load_moved(const Examples& e, const uint32_t* order, int count, float* memory, float* scratch) {
    const Map& in = plan_.input;
    const size_t pixels = size_t(in.channels) * in.height * in.width;
    const float* rows[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        const size_t image = order[lane < count ? lane : 0];
        rows[lane] = scratch + (lane < count ? lane : 0) * pixels;
        if (lane >= count) continue;
        const Warp warp{in.channels, in.height, in.width, e.warps + image * 6, scratch + LANES * pixels, scratch + lane * pixels};
        if (e.images.bytes) kernels_.warp_bytes(warp, e.images.bytes + image * pixels);
        else kernels_.warp_floats(warp, e.images.floats + image * pixels);
    }
    load_rows(rows, memory);
}

float* Network::transformed(const Layer& l, bool backward) {
    return transformed_.data()->values + l.transformed +
           (backward ? winograd_weight_floats(l.in.channels, l.out.channels) : 0);
}

void Network::transform_weights() {
    for (const Layer& l : plan_.layers) {
        if (!l.winograd) continue;
        kernels_.winograd_weights(forward_convolution(l, used().data(), chunk_memory(0)), transformed(l, false));
        if (!l.needs_input_gradient) continue;
        kernels_.winograd_weights(backward_convolution(l, used().data(), chunk_memory(0)), transformed(l, true));
    }
}

void Network::convolve(const Layer& l, Convolution c, float* scratch) {
    if (l.winograd) c.transformed = transformed(l, c.backward), c.scratch = scratch;
    if (l.kind == LayerKind::depthwise) convolve_channels(kernels_, c, long(l.kernel_y) * l.kernel_x);
    else kernels_.convolve(c);
}

void Network::forward(const Layer& l, float* memory, int chunks, bool training, uint64_t seed, float* scratch) {
    switch (l.kind) {
        case LayerKind::conv:
        case LayerKind::depthwise: return convolve(l, forward_convolution(l, used().data(), memory), scratch);
        case LayerKind::dense: return kernels_.convolve(dense(l, used().data(), memory, chunks, plan_.chunk_floats, false));
        case LayerKind::max_pool: return kernels_.max_pool(pool(l, memory));
        case LayerKind::avg_pool: return kernels_.avg_pool(pool(l, memory));
        case LayerKind::dropout: return training ? kernels_.dropout({at_chunk(l.in, memory), l.rate, seed}) : void();
        case LayerKind::batch_norm: return kernels_.normalize(by_moments(l, used().data(), memory, scratch));
        case LayerKind::prelu: return kernels_.prelu(slopes(l, used().data(), nullptr, memory));
    }
}

void Network::backward(const Layer& l, float* memory, float* gradient, int chunks, uint64_t seed, float* scratch) {
    const bool down = l.needs_input_gradient;
    switch (l.kind) {
        case LayerKind::conv:
        case LayerKind::depthwise:
            kernels_.weight_gradient({at_chunk(l.in, memory), at_chunk(l.out, memory), l.kernel_y, l.kernel_x, -l.pad_y,
                                      -l.pad_x, gradient + l.weights, bias_of(l, gradient),
                                      l.kind == LayerKind::depthwise, l.winograd ? scratch : nullptr});
            if (down) convolve(l, backward_convolution(l, used().data(), memory), scratch);
            return;
        case LayerKind::dense: {
            const Map in = vector_of(at_chunk(l.in, memory)), out = at_chunk(l.out, memory);
            kernels_.dense_gradient({in.data, out.data, 0, 0, 1, in.channels, 0, out.channels, gradient + l.weights,
                                     bias_of(l, gradient), scratch});
            if (down) kernels_.convolve(dense(l, used().data(), memory, chunks, plan_.chunk_floats, true));
            return;
        }
        case LayerKind::max_pool: return down ? kernels_.max_pool_backward(pool(l, memory)) : void();
        case LayerKind::avg_pool: return down ? kernels_.avg_pool_backward(pool(l, memory)) : void();
        case LayerKind::dropout: return down ? kernels_.dropout({at_chunk(l.in, memory), l.rate, seed}) : void();
        case LayerKind::prelu: return kernels_.prelu_backward(slopes(l, used().data(), gradient, memory));
        case LayerKind::batch_norm: return;  // with the whole batch, see normalize_backward
    }
}

void Network::load_chunk(const Batch& batch, int chunk, float* scratch) {
    const int count = batch.lanes(chunk);
    const uint32_t* order = batch.order + chunk * LANES;
    const size_t pixels = size_t(plan_.input.channels) * plan_.input.height * plan_.input.width;
    const long left = batch.count + batch.following - chunk * LANES - count;
    prefetch(batch.examples.images, pixels, order + count, int(std::min<long>(LANES, left)));
    if (batch.examples.warps) load_moved(batch.examples, order, count, chunk_memory(chunk), scratch);
    else load(batch.examples.images, order, count, chunk_memory(chunk));
}

void Network::forward_chunk(int chunk, size_t first, size_t last, float* scratch) {
    for (size_t i = first; i < last; ++i)
        forward(plan_.layers[i], chunk_memory(chunk), 1, true, mask_seed(chunk, i), scratch);
}

void Network::backward_chunk(int chunk, size_t first, size_t last, float* gradient, float* scratch) {
    for (size_t i = last; i-- > std::max(first, first_trained_);)
        backward(plan_.layers[i], chunk_memory(chunk), gradient, 1, mask_seed(chunk, i), scratch);
}

double Network::chunk_loss(const Batch& batch, int chunk, float* scratch) {
    const int start = chunk * LANES, lanes = batch.lanes(chunk), classes = plan_.classes;
    int32_t labels[LANES];
    float* targets = scratch + size_t(4) * classes * LANES;
    for (int lane = 0; lane < LANES; ++lane) {
        const size_t image = batch.order[start + (lane < lanes ? lane : 0)];
        labels[lane] = batch.examples.labels[image];
        if (batch.examples.targets)
            for (int k = 0; k < classes; ++k) targets[k * LANES + lane] = batch.examples.targets[image * classes + k];
    }
    float* logits = at_chunk(plan_.output, chunk_memory(chunk)).data;
    return kernels_.loss({batch.loss.kind, batch.loss.temperature, batch.loss.label_weight, 1.0f / float(batch.count),
                          classes, lanes, logits, targets, batch.examples.inverse_std, labels, scratch});
}

// Chunk after chunk, forward and backward, so that all that a chunk needs stays in the cache.
double Network::by_chunk(const Batch& batch) {
    const size_t layers = plan_.layers.size();
    double total = 0;
    for (int chunk = 0; chunk * LANES < batch.count; ++chunk) {
        load_chunk(batch, chunk, scratch_[0][0].values);
        forward_chunk(chunk, 0, layers, scratch_[0][0].values);
        total += chunk_loss(batch, chunk, scratch_[0][0].values);
        backward_chunk(chunk, 0, layers, gradient_.data(), scratch_[0][0].values);
    }
    return total;
}

// Layer after layer where weights are many: a batched layer reads them once for all chunks, and the
// layers between two of them go chunk by chunk. What is added up, and in which order, does not depend on
// the number of threads.
double Network::by_layer(const Batch& batch) {
    const int chunks = batch.chunks();
    const size_t layers = plan_.layers.size();
    const auto& all = plan_.layers;
    team_->each(chunks, [&](int c, int t) { load_chunk(batch, c, scratch_[t][0].values); });
    for (size_t i = 0, end; i < layers; i = end) {
        for (end = i; end < layers && !all[end].whole();) ++end;
        if (end > i) team_->each(chunks, [&](int c, int t) { forward_chunk(c, i, end, scratch_[t][0].values); });
        else whole_forward(all[end++], batch);
    }
    std::vector<double> losses(chunks);
    team_->each(chunks, [&](int c, int t) { losses[c] = chunk_loss(batch, c, scratch_[t][0].values); });
    for (size_t i = layers, begin; i > first_trained_; i = begin) {
        for (begin = i; begin > 0 && !all[begin - 1].whole();) --begin;
        if (begin < i)
            team_->each(chunks, [&](int c, int t) {
                backward_chunk(c, begin, i, chunk_gradients_[c].data(), scratch_[t][0].values);
            });
        else whole_backward(all[--begin], batch);
    }
    for (std::vector<float>& part : chunk_gradients_)
        for (const Layer& l : all)
            for (long k = l.weights; !l.batched && k < l.weights + l.count; ++k) gradient_[k] += part[k], part[k] = 0;
    double total = 0;
    for (double loss : losses) total += loss;
    return total;
}

void Network::whole_forward(const Layer& l, const Batch& batch) {
    l.batched ? batched_forward(l, batch.chunks()) : normalize_forward(l, batch);
}

void Network::whole_backward(const Layer& l, const Batch& batch) {
    l.batched ? batched_backward(l, batch.chunks()) : normalize_backward(l, batch);
}

void Network::batched_forward(const Layer& l, int chunks) {
    const int parts = std::min(chunks, team_->size());
    team_->each(parts, [&](int part, int) {
        const int begin = chunks * part / parts, end = chunks * (part + 1) / parts;
        forward(l, chunk_memory(begin), end - begin, true, 0, nullptr);
    });
}

void Network::batched_backward(const Layer& l, int chunks) {
    const int outs = l.out.channels, blocks = std::min(outs, team_->size());
    team_->each(blocks, [&](int block, int thread) {
        const Map in = vector_of(at_chunk(l.in, chunk_memory(0))), out = at_chunk(l.out, chunk_memory(0));
        kernels_.dense_gradient({in.data, out.data, plan_.chunk_floats, plan_.chunk_floats, chunks, in.channels,
                                 outs * block / blocks, outs * (block + 1) / blocks, gradient_.data() + l.weights,
                                 bias_of(l, gradient_.data()), scratch_[thread][0].values});
    });
    if (!l.needs_input_gradient) return;
    const int parts = std::min(chunks, team_->size());
    team_->each(parts, [&](int part, int thread) {
        const int begin = chunks * part / parts, end = chunks * (part + 1) / parts;
        Convolution c = dense(l, used().data(), chunk_memory(begin), end - begin, plan_.chunk_floats, true);
        c.scratch = scratch_[thread][0].values;
        kernels_.convolve(c);
    });
}

double Network::backpropagate(const Examples& examples, const uint32_t* order, int count, const LossSettings& loss,
                              long following) {
    const Batch batch{examples, order, count, following, loss};
    transform_weights();
    return plan_.layered ? by_layer(batch) : by_chunk(batch);
}

void Network::optimize(float rate, const OptimizerSettings& s) {
    const bool adam = s.kind == OptimizerKind::adam;  // nobody else reads them
    const float correction1 = adam ? float(1.0 - std::pow(double(s.momentum), double(step_))) : 1.0f;
    const float correction2 = adam ? float(1.0 - std::pow(double(s.beta2), double(step_))) : 1.0f;
    const int parts = team_->size();
    team_->each(parts, [&](int part, int) {
        const long begin = plan_.parameters * part / parts, end = plan_.parameters * (part + 1) / parts;
        kernels_.optimize({s.kind, rate, s.momentum, s.beta2, s.epsilon, correction1, correction2,
                           weights_.data() + begin, gradient_.data() + begin, first_.data() + begin,
                           second_.data() + begin, end - begin});
    });
}

// A weight that stays is its own average, bit for bit.
void Network::average(float decay) {
    const double most = double(1 + step_) / double(10 + step_);
    const float rest = float(1.0 - std::min(double(decay), most));
    for (size_t k = 0; k < weights_.size(); ++k) average_[k] += rest * (weights_[k] - average_[k]);
}

double Network::train(const Examples& examples, const uint32_t* order, long count, const float* rates,
                      const LossSettings& loss, const OptimizerSettings& optimizer) {
    if (optimizer.average > 0 && average_.empty()) average_ = weights_;
    double total = 0;
    for (long start = 0; start < count; start += batch_size_) {
        ++step_;
        const int here = int(std::min<long>(batch_size_, count - start));
        total += backpropagate(examples, order + start, here, loss, count - start - here);
        if (!std::isfinite(total)) return std::numeric_limits<double>::quiet_NaN();
        hold_.change(weights_, gradient_);
        optimize(*rates++, optimizer);
        if (hold_.projects()) hold_.project(weights_, projected_);
        if (optimizer.average > 0) average(optimizer.average);
    }
    return total;
}

// As many chunks at a time as there is memory for, so that a batched layer reads its weights once for all.
void Network::predict(const Images& images, long first, long count, float* logits) {
    const long most = plan_.layered ? long(chunks_) * LANES : LANES;
    transform_weights();
    for (long start = 0; start < count; start += most) {
        const int chunks = int((std::min(most, count - start) + LANES - 1) / LANES);
        for (int chunk = 0; chunk < chunks; ++chunk) {
            uint32_t order[LANES];
            for (int lane = 0; lane < LANES; ++lane) order[lane] = uint32_t(first + start + chunk * LANES + lane);
            load(images, order, int(std::min<long>(LANES, count - start - chunk * LANES)), chunk_memory(chunk));
        }
        for (const Layer& l : plan_.layers) {
            const int together = l.batched ? chunks : 1;
            for (int chunk = 0; chunk < chunks; chunk += together)
                forward(l, chunk_memory(chunk), together, false, 0, scratch_[0][0].values);
        }
        for (int chunk = 0; chunk < chunks; ++chunk) keep_logits(chunk, count - start, logits + start * plan_.classes);
    }
}

// The logits of a chunk to their rows, of which there are `rows` from the first chunk on.
void Network::keep_logits(int chunk, long rows, float* logits) {
    const float* out = at_chunk(plan_.output, chunk_memory(chunk)).data;
    for (long lane = 0, row = long(chunk) * LANES; lane < LANES && row < rows; ++lane, ++row)
        for (int k = 0; k < plan_.classes; ++k) logits[row * plan_.classes + k] = out[k * LANES + lane];
}

}  // namespace smidgen
