#include "network.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

namespace smidgen {

namespace {

// The length of what only a training needs: one number a parameter.
size_t trained_floats(const Plan& plan) { return plan.purpose == Purpose::training ? size_t(plan.parameters) : 0; }

ptrdiff_t kept_chunks(const Plan& plan, int batch_size) { return plan.layered ? (batch_size + LANES - 1) / LANES : 1; }

// Refuses what the system would grant and then end the process for: it may give more memory than it has.
Plan checked_memory(Plan plan, int batch_size) {
    const double machine = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
    const double chunks = double(kept_chunks(plan, batch_size)), weights = double(plan.parameters);
    const double needed = sizeof(float) * (chunks * double(plan.chunk_floats) + 4 * weights);
    if (needed <= machine) return plan;
    char text[256];
    std::snprintf(text, sizeof text,
                  "the network needs %.1f GiB for %d images at once, and this machine has %.1f; use a smaller batch, fewer "
                  "channels, or strides and pools earlier",
                  needed / (1 << 30), int(chunks) * LANES, machine / (1 << 30));
    throw NotEnoughMemory(text);
}

}  // namespace

Network::Network(Plan plan, const Kernels& kernels, int batch_size, int threads, uint64_t seed)
    : plan_(checked_memory(std::move(plan), batch_size)),
      kernels_(kernels),
      loader_(kernels, plan_),
      batch_size_(batch_size),
      chunks_((batch_size + LANES - 1) / LANES),
      seed_(seed),
      weights_(plan_.parameters),
      gradient_(trained_floats(plan_)),
      first_(trained_floats(plan_)),
      second_(trained_floats(plan_)),
      memory_(plan_.layered ? size_t(chunks_ * plan_.chunk_floats) : 0),
      transformed_(plan_.transformed_floats),
      batch_statistics_(plan_.batch_statistics_floats) {
    ptrdiff_t unbatched = 0;
    for (const Layer& l : plan_.layers)
        if (!l.batched) unbatched = std::max(unbatched, l.weights + l.count);
    if ((plan_.layered && plan_.purpose == Purpose::training) || plan_.parallel)
        chunk_gradients_.assign(chunks_, std::vector<float>(unbatched));
    set_threads(threads);
}

void Network::set_threads(int threads) {
    if (!plan_.layered) threads = plan_.parallel ? std::min(threads, chunks_) : 1;
    if (team_ && threads == team_->size()) return;
    team_ = std::make_unique<ThreadTeam>(threads);
    if (!plan_.layered) memory_ = AlignedFloats(size_t(team_->size() * plan_.chunk_floats));
    scratch_.clear();
    for (int thread = 0; thread < team_->size(); ++thread) scratch_.emplace_back(scratch_floats(plan_, chunks_));
}

void Network::start(const float* weights, ConstraintSettings constraints) {
    constraints_ = WeightConstraints(std::move(constraints), plan_.parameters);
    std::copy(weights, weights + plan_.parameters, weights_.begin());
    if (constraints_.quantize()) {
        quantized_.resize(weights_.size());
        constraints_.project(weights_, quantized_);
    }
    std::vector<bool> needed(size_t(plan_.tensors));  // the gradient of a tensor: a layer below it is trained
    for (Layer& l : plan_.layers) {
        for (Input* in : {&l.in, &l.shortcut}) in->needed = in->tensor >= 0 && needed[size_t(in->tensor)];
        const bool trains = l.count > 0 && !constraints_.all_fixed(l.weights, l.weights + l.count);
        l.runs_backward = trains || l.in.needed || l.shortcut.needed;
        needed[size_t(l.tensor)] = l.runs_backward;
    }
}

std::vector<float> Network::trained_weights() const {
    if (average_.empty()) return used_weights();
    std::vector<float> weights = average_;
    if (constraints_.quantize()) constraints_.project(average_, weights);
    return weights;
}

uint64_t Network::mask_seed(int chunk, size_t layer) const {
    return ((seed_ * 0x9e3779b97f4a7c15ull + uint64_t(step_)) * 0xbf58476d1ce4e5b9ull + uint64_t(chunk)) *
               0x94d049bb133111ebull + (uint64_t(layer) << 8);
}

// --- one layer -------------------------------------------------------------------------------------

float* Network::transformed(const Layer& l, bool backward) {
    return transformed_.data() + l.transformed +
           (backward ? winograd_weight_floats(l.in.map.channels, l.out.channels) : 0);
}

void Network::transform_weights() {
    const float* weights = used_weights().data();
    for (const Layer& l : plan_.layers) {
        if (!l.winograd) continue;
        kernels_.winograd_weights(forward_convolution(l, weights, chunk_memory(0)), transformed(l, false));
        if (!l.in.needed) continue;
        kernels_.winograd_weights(backward_convolution(l, weights, chunk_memory(0)), transformed(l, true));
    }
}

void Network::convolve(const Layer& l, Convolution c, float* scratch) {
    if (l.winograd) c.transformed = transformed(l, c.backward), c.scratch = scratch;
    if (l.kind == LayerKind::depthwise) kernels_.convolve_channels(c, ptrdiff_t(l.kernel_y) * l.kernel_x, l.shared);
    else kernels_.convolve(c);
}

// Zeroes the columns on either side of a map, where other maps have been.
void clear_halo(const MapLayout& map, float* memory) {
    std::fill(memory + map.begin(), memory + map.offset, 0.0f);
    for (ptrdiff_t y = 0; y < map.channels * map.height; ++y)
        std::fill(memory + map.offset + y * map.row + map.width * LANES, memory + map.offset + (y + 1) * map.row, 0.0f);
    std::fill(memory + map.offset + map.channels * map.plane, memory + map.end(), 0.0f);
}

void Network::forward(const Layer& l, float* memory, int chunks, bool training, uint64_t seed, float* scratch) {
    const float* weights = used_weights().data();
    for (int chunk = 0; l.clears_halo && chunk < chunks; ++chunk)
        clear_halo(l.out, memory + chunk * plan_.chunk_floats);
    if (plan_.pools_images && &l == plan_.layers.data()) return;  // computed while the images were loaded
    switch (l.kind) {
        case LayerKind::conv:
        case LayerKind::depthwise: return convolve(l, forward_convolution(l, weights, memory), scratch);
        case LayerKind::dense: return kernels_.convolve(dense_forward(l, weights, memory, chunks, plan_.chunk_floats));
        case LayerKind::max_pool: return kernels_.max_pool(pool_of(l, l.in.map, memory, scratch));
        case LayerKind::avg_pool: return kernels_.avg_pool(pool_of(l, l.in.map, memory, scratch));
        case LayerKind::dropout: return training ? kernels_.dropout(dropout_of(l, memory, seed)) : void();
        case LayerKind::batch_norm:
            return kernels_.normalize(normalization_by_running_stats(l, weights, memory, scratch));
        case LayerKind::prelu: return kernels_.prelu(prelu_of(l, l.in.map, weights, nullptr, memory));
        case LayerKind::crelu: return kernels_.crelu(crelu_of(l, l.in.map, memory));
        case LayerKind::add: return kernels_.add(addition_of(l, memory));
    }
}

void Network::backward(const Layer& l, float* memory, float* gradient, uint64_t seed, float* scratch) {
    if (l.shares_input) copy_inputs(l, memory);
    own_gradients(l, memory, gradient, seed, scratch);
    if (l.shares_input) sum_gradients(l, memory);
}

// The gradients of a layer's weights and of its inputs, those that other layers leave not counted.
void Network::own_gradients(const Layer& l, float* memory, float* gradient, uint64_t seed, float* scratch) {
    const bool down = l.in.needed;
    const float* weights = used_weights().data();
    const MapLayout& in = l.in.gradient;
    switch (l.kind) {
        case LayerKind::conv:
        case LayerKind::depthwise:
            kernels_.weight_gradient(weight_gradient_of(l, gradient, memory, scratch));
            return down ? convolve(l, backward_convolution(l, weights, memory), scratch) : void();
        case LayerKind::dense:
            kernels_.dense_gradient(dense_gradient_of(l, gradient, memory, 1, 0, scratch));
            return down ? kernels_.convolve(dense_backward(l, weights, memory, 1, 0)) : void();
        case LayerKind::max_pool: return down ? kernels_.max_pool_backward(pool_of(l, in, memory, scratch)) : void();
        case LayerKind::avg_pool: return down ? kernels_.avg_pool_backward(pool_of(l, in, memory, scratch)) : void();
        case LayerKind::dropout: return down ? kernels_.dropout(dropout_of(l, memory, seed)) : void();
        case LayerKind::prelu: return kernels_.prelu_backward(prelu_of(l, in, weights, gradient, memory));
        case LayerKind::crelu: return down ? kernels_.crelu_backward(crelu_of(l, in, memory)) : void();
        case LayerKind::add:
            for (const Input* input : {&l.in, &l.shortcut})
                if (input->needed && input->written) kernels_.add_backward(added_gradient(l, *input, memory));
            return;
        case LayerKind::batch_norm: return;  // it needs the whole batch, see normalize_backward
    }
}

// A backward kernel that works in place finds its input where it writes the gradient.
void Network::copy_inputs(const Layer& l, float* memory) {
    if (!l.in.copies || !(l.in.needed || l.count > 0)) return;
    const MapLayout &from = l.in.map, &to = l.in.gradient;
    for (ptrdiff_t y = 0; y < from.channels * from.height; ++y) {
        const float* row = memory + from.offset + y * from.row;
        std::copy(row, row + from.width * LANES, memory + to.offset + y * to.row);
    }
}

// Sums the gradients that all readers of an input have left: this layer is the last of them in the backward pass.
void Network::sum_gradients(const Layer& l, float* memory) {
    for (const Input* in : {&l.in, &l.shortcut}) {
        if (!in->needed) continue;
        for (const GradientSum& sum : in->sums) {
            const Addition addition = summed_gradient(*in, sum, memory);
            sum.last ? kernels_.add_backward(addition) : kernels_.add(addition);
        }
    }
}

// --- one chunk -------------------------------------------------------------------------------------

void Network::load_chunk(const Batch& batch, int chunk, int thread) {
    const Images& images = batch.examples.images;
    const int count = batch.images_in(chunk);
    const uint32_t* order = batch.order.images + ptrdiff_t(chunk) * LANES;
    const ptrdiff_t left = batch.count + batch.following - ptrdiff_t(chunk) * LANES - count;
    loader_.prefetch(images, order + count, std::min<ptrdiff_t>(LANES, left));
    const float* maps = batch.order.affine_maps;
    if (maps) loader_.load_warped(images, maps, order, count, chunk_memory(chunk, thread), scratch(thread));
    else loader_.load(images, order, count, chunk_memory(chunk, thread));
}

void Network::forward_chunk(int chunk, size_t first, size_t last, int thread) {
    for (size_t i = first; i < last; ++i)
        forward(plan_.layers[i], chunk_memory(chunk, thread), 1, true, mask_seed(chunk, i), scratch(thread));
}

void Network::backward_chunk(int chunk, size_t first, size_t last, float* gradient, int thread) {
    for (size_t i = last; i-- > first;)
        if (plan_.layers[i].runs_backward)
            backward(plan_.layers[i], chunk_memory(chunk, thread), gradient, mask_seed(chunk, i), scratch(thread));
}

double Network::chunk_loss(const Batch& batch, int chunk, int thread) {
    float* outputs = plan_.output.at(chunk_memory(chunk, thread)).data;
    if (plan_.outputs > 1) return loss_of_logits(batch, chunk, outputs, scratch(thread));
    // One output z has the logits (0, z): it takes the gradient of the second.
    float* logits = scratch(thread) + size_t(5) * plan_.classes * LANES;
    std::fill(logits, logits + LANES, 0.0f);
    std::copy(outputs, outputs + LANES, logits + LANES);
    const double loss = loss_of_logits(batch, chunk, logits, scratch(thread));
    std::copy(logits + LANES, logits + 2 * LANES, outputs);
    return loss;
}

// Turns the logits of a chunk into their gradient. scratch: [5][classes][16].
double Network::loss_of_logits(const Batch& batch, int chunk, float* logits, float* scratch) {
    const TrainingExamples& examples = batch.examples;
    const int lanes = batch.images_in(chunk), classes = plan_.classes;
    const uint32_t* order = batch.order.images + ptrdiff_t(chunk) * LANES;
    int32_t labels[LANES];
    float* targets = scratch + size_t(4) * classes * LANES;
    for (int lane = 0; lane < LANES; ++lane) {
        const size_t image = order[lane < lanes ? lane : 0];
        labels[lane] = examples.labels[image];
        if (examples.targets)
            for (int k = 0; k < classes; ++k) targets[k * LANES + lane] = examples.targets[image * classes + k];
    }
    return kernels_.loss({.kind = batch.loss.kind,
                          .temperature = batch.loss.temperature,
                          .label_weight = batch.loss.label_weight,
                          .scale = 1.0f / float(batch.count),
                          .classes = classes,
                          .lanes = lanes,
                          .logits = logits,
                          .targets = targets,
                          .inverse_std = examples.inverse_std,
                          .labels = labels,
                          .scratch = scratch});
}

// Copies the outputs of a chunk to rows, of which there are `rows` from the first chunk on.
void Network::copy_outputs(int chunk, ptrdiff_t rows, float* outputs) {
    const float* out = plan_.output.at(chunk_memory(chunk)).data;
    for (ptrdiff_t lane = 0, row = ptrdiff_t(chunk) * LANES; lane < LANES && row < rows; ++lane, ++row)
        for (int k = 0; k < plan_.outputs; ++k) outputs[row * plan_.outputs + k] = out[k * LANES + lane];
}

// --- prediction ------------------------------------------------------------------------------------

// Takes as many chunks at a time as there is memory for, so that a batched layer reads its weights once for all.
void Network::predict(const Images& images, ptrdiff_t first, ptrdiff_t count, float* outputs) {
    const ptrdiff_t most = plan_.layered ? ptrdiff_t(chunks_) * LANES : LANES;
    transform_weights();
    for (ptrdiff_t done = 0; done < count; done += most)
        predict_block(images, first + done, std::min(most, count - done), outputs + done * plan_.outputs);
}

void Network::predict_block(const Images& images, ptrdiff_t first, ptrdiff_t count, float* outputs) {
    const int chunks = int((count + LANES - 1) / LANES);
    for (int chunk = 0; chunk < chunks; ++chunk) {
        const ptrdiff_t done = ptrdiff_t(chunk) * LANES;
        uint32_t order[LANES];
        for (int lane = 0; lane < LANES; ++lane) order[lane] = uint32_t(first + done + lane);
        if (plan_.clears_input_halo) clear_halo(plan_.input, chunk_memory(chunk));
        loader_.load(images, order, int(std::min<ptrdiff_t>(LANES, count - done)), chunk_memory(chunk));
    }
    for (const Layer& l : plan_.layers) {
        const int together = l.batched ? chunks : 1;
        for (int chunk = 0; chunk < chunks; chunk += together)
            forward(l, chunk_memory(chunk), together, false, 0, scratch(0));
    }
    for (int chunk = 0; chunk < chunks; ++chunk) copy_outputs(chunk, count, outputs);
}

}  // namespace smidgen
