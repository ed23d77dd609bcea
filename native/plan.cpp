#include "plan.h"

#include <algorithm>
#include <stdexcept>

namespace smidgen {

namespace {

// A dense layer is batched if it has this many weights, and this many times the activations of a chunk: reading the
// weights once for a whole batch then saves more than it costs to keep the activations of every chunk.
constexpr ptrdiff_t BATCHED_WEIGHTS = 1 << 13, BATCHED_RATIO = 4;

// Channels, in and out, from which Winograd's algorithm is worth its transforms.
constexpr int WINOGRAD_CHANNELS = 16;

// Far above what fits in memory, and low enough that the values of a map can be counted in an int.
constexpr int MAX_KERNEL = 7, MAX_SIDE = 1 << 15, MAX_CHANNELS = 1 << 24;
constexpr ptrdiff_t MAX_FLOATS = ptrdiff_t(1) << 31;

bool is_between(int value, int least, int most) { return value >= least && value <= most; }

// Whether the core has such a layer, with such sizes.
bool is_possible(const LayerRequest& r) {
    if (r.source < -1) return false;
    const int small = std::min(r.kernel_y, r.kernel_x), large = std::max(r.kernel_y, r.kernel_x);
    const bool global = small == 0 && large == 0;
    switch (r.kind) {
        case LayerKind::conv: return is_between(r.out, 1, MAX_CHANNELS) && small >= 1 && large <= MAX_KERNEL;
        case LayerKind::depthwise: return small >= 1 && large <= MAX_KERNEL;
        case LayerKind::max_pool:
        case LayerKind::avg_pool: return global || (small >= 1 && small == large);
        case LayerKind::dense: return is_between(r.out, 1, MAX_CHANNELS) && small == 1 && large == 1;
        case LayerKind::dropout: return r.rate >= 0.0f && r.rate < 1.0f && small == 1 && large == 1;
        case LayerKind::batch_norm:
        case LayerKind::prelu: return small == 1 && large == 1;
    }
    return false;
}

bool convolves(const LayerRequest& r) { return r.kind == LayerKind::conv || r.kind == LayerKind::depthwise; }

int pad_low(const LayerRequest& r, int kernel) { return r.same ? (kernel - 1) / 2 : 0; }

// The halo that a convolution reads around its input.
Halo read_forward(const LayerRequest& r) {
    if (!convolves(r) || !r.same) return {};
    const int low = pad_low(r, r.kernel_x);
    return {low, r.kernel_x - 1 - low};
}

// The halo that its backward pass reads around the gradient of its output.
Halo read_backward(const LayerRequest& r) {
    if (!convolves(r)) return {};
    const int low = pad_low(r, r.kernel_x);
    return {r.kernel_x - 1 - low, r.same ? low : r.kernel_x - 1};
}

// Appends a map and its halo to a chunk's memory. The columns right of a row are those left of the next.
MapLayout place(int channels, int height, int width, Halo halo, ptrdiff_t& end) {
    if (channels < 1 || height < 1 || width < 1) throw std::invalid_argument("a layer has no output");
    if (channels > MAX_CHANNELS || std::max(height, width) > MAX_SIDE) throw std::invalid_argument("a layer is too large");
    const ptrdiff_t row = ptrdiff_t(width + std::max(halo.left, halo.right)) * LANES;
    const MapLayout map{.offset = end + ptrdiff_t(halo.left) * LANES,
                        .channels = channels,
                        .height = height,
                        .width = width,
                        .plane = height * row,
                        .row = row};
    end += ptrdiff_t(halo.left + halo.right) * LANES + channels * map.plane;
    if (end > MAX_FLOATS) throw std::invalid_argument("a layer is too large");
    return map;
}

void shape_of(const LayerRequest& r, const MapLayout& in, int& channels, int& height, int& width) {
    channels = r.kind == LayerKind::conv || r.kind == LayerKind::dense ? r.out : in.channels;
    height = in.height, width = in.width;
    if (r.kind == LayerKind::dense) height = width = 1;
    if (convolves(r) && !r.same) height -= r.kernel_y - 1, width -= r.kernel_x - 1;
    if (r.kind == LayerKind::max_pool || r.kind == LayerKind::avg_pool) height /= r.kernel_y, width /= r.kernel_x;
}

ptrdiff_t weight_count(const LayerRequest& r, const MapLayout& in) {
    const ptrdiff_t kernel = ptrdiff_t(r.kernel_y) * r.kernel_x;
    if (r.kind == LayerKind::conv) return ptrdiff_t(r.out) * in.channels * kernel;
    if (r.kind == LayerKind::depthwise) return in.channels * kernel;
    if (r.kind == LayerKind::dense) return r.out * in.values();
    if (r.kind == LayerKind::batch_norm || r.kind == LayerKind::prelu) return in.channels;
    return 0;
}

// Biases; of a batch norm its shifts and, behind them, its running statistics.
ptrdiff_t bias_count(const LayerRequest& r, const MapLayout& out) {
    if (r.kind == LayerKind::batch_norm) return ptrdiff_t(3) * out.channels;
    return r.bias && r.kind != LayerKind::prelu ? out.channels : 0;
}

bool winograd_pays(const LayerRequest& r, const MapLayout& in) {
    return r.kind == LayerKind::conv && r.kernel_y == 3 && r.kernel_x == 3 &&
           std::min(in.channels, r.out) >= WINOGRAD_CHANNELS;
}

// Dense layers and the loss read maps without a halo: an average pool of size 1 copies a map to one.
constexpr LayerRequest COPY = {.kind = LayerKind::avg_pool};

std::vector<LayerRequest> with_copies(const std::vector<LayerRequest>& requests) {
    std::vector<LayerRequest> all;
    for (size_t index = 0; index < requests.size(); ++index) {
        LayerRequest r = requests[index];
        if (!is_possible(r)) throw std::invalid_argument("the core has no such layer, or not with such sizes");
        r.index = int(index);
        if (r.kind == LayerKind::dense) all.push_back(COPY);
        all.push_back(r);
        if (r.kind == LayerKind::dense) all.push_back(COPY);
    }
    all.push_back(COPY);
    return all;
}

// What the next layer from `index` on reads around its input; a dropout works in place.
Halo halo_before(const std::vector<LayerRequest>& requests, size_t index) {
    while (index < requests.size() && requests[index].kind == LayerKind::dropout) ++index;
    return index < requests.size() ? read_forward(requests[index]) : Halo{};
}

bool is_needless_copy(const LayerRequest& r, const MapLayout& in, Halo after) {
    return r.kind == LayerKind::avg_pool && r.kernel_y == 1 && in.is_compact() && !after.left && !after.right;
}

bool is_batched(const Layer& l, ptrdiff_t chunk_floats) {
    return l.kind == LayerKind::dense && l.count >= BATCHED_WEIGHTS &&
           l.count >= BATCHED_RATIO * chunk_floats / LANES;
}

}  // namespace

Plan::Plan(const std::vector<LayerRequest>& given, int channels, int height, int width) : owners_(given.size()) {
    const std::vector<LayerRequest> requests = with_copies(given);
    output = input = place(channels, height, width, halo_before(requests, 0), chunk_floats);
    float slope = 1.0f;
    for (size_t i = 0; i < requests.size(); ++i) {
        const Halo after = halo_before(requests, i + 1);
        if (is_needless_copy(requests[i], output, after)) continue;
        add_layer(requests[i], output, slope, after);
        output = layers.back().out;
        if (requests[i].kind != LayerKind::dropout) slope = layers.back().slope;
    }
    classes = int(output.values());
    for (Layer& l : layers) {
        l.batched = is_batched(l, chunk_floats);
        layered |= l.needs_whole_batch();
    }
}

void Plan::add_layer(const LayerRequest& request, MapLayout in, float in_slope, Halo after) {
    LayerRequest r = request;
    if (r.kernel_y == 0) r.kernel_y = in.height, r.kernel_x = in.width;
    Layer layer{.kind = r.kind, .in = in, .out = in, .in_slope = in_slope, .needs_input_gradient = parameters > 0};
    if (r.kind == LayerKind::dropout) {
        layer.rate = r.rate;
    } else {
        int c, h, w;
        shape_of(r, in, c, h, w);
        const Halo backward = layer.needs_input_gradient ? read_backward(r) : Halo{};
        layer.out = place(c, h, w, {std::max(after.left, backward.left), std::max(after.right, backward.right)},
                          chunk_floats);
        layer.kernel_y = r.kernel_y, layer.kernel_x = r.kernel_x;
        if (r.kind == LayerKind::max_pool || r.kind == LayerKind::avg_pool)
            layer.stride_y = r.kernel_y, layer.stride_x = r.kernel_x;
        layer.pad_y = pad_low(r, r.kernel_y), layer.pad_x = pad_low(r, r.kernel_x);
        place_weights(r, layer);
    }
    layers.push_back(layer);
}

// Decides where a layer's weights are: they are its own, or those of the layer that it repeats.
void Plan::place_weights(const LayerRequest& r, Layer& l) {
    const ptrdiff_t weights = weight_count(r, l.in), biases = weights ? bias_count(r, l.out) : 0;
    l.slope = weights && r.kind != LayerKind::prelu ? r.slope : 1.0f;
    l.bias = biases > 0;
    l.count = weights + biases;
    l.weights = parameters;
    if (r.source >= 0) {
        if (r.source >= r.index || owners_[r.source].kind != r.kind || owners_[r.source].count != l.count)
            throw std::invalid_argument("a layer cannot use the weights of the layer that it names");
        l.weights = owners_[r.source].weights;
    } else {
        parameters += l.count;
    }
    if (parameters > MAX_FLOATS) throw std::invalid_argument("a layer is too large");
    l.biases = l.weights + weights;
    if ((l.winograd = winograd_pays(r, l.in))) {
        l.transformed = transformed_floats;
        transformed_floats += winograd_weight_floats(l.in.channels, l.out.channels) +
                              winograd_weight_floats(l.out.channels, l.in.channels);
    }
    if (r.kind == LayerKind::batch_norm) {
        l.batch_statistics = batch_statistics_floats;
        batch_statistics_floats += ptrdiff_t(2) * l.out.channels;
    }
    if (r.index >= 0) owners_[r.index] = l;
}

}  // namespace smidgen
