#include "plan.h"

#include <algorithm>
#include <stdexcept>

namespace smidgen {
namespace {

// A dense layer is batched when its weights outweigh what a chunk has in memory: reading them once for a
// whole batch then saves more than keeping every chunk's activations costs.
constexpr long BATCHED_WEIGHTS = 1 << 13, BATCHED_RATIO = 4;

// From so many channels on, in and out, Winograd's way with a 3x3 kernel is worth its transforms.
constexpr int WINOGRAD_CHANNELS = 16;

// Far above what fits a memory, and far below what overflows: a map's values are counted in an int.
constexpr int MAX_KERNEL = 7, MAX_SIDE = 1 << 15, MAX_CHANNELS = 1 << 24;
constexpr long MAX_FLOATS = 1l << 31;

struct Halo {
    int left = 0, right = 0;
};

bool is_between(int value, int least, int most) { return value >= least && value <= most; }

// Whether a layer is one that the core has, with sizes that it can have.
bool is_possible(const LayerRequest& r) {
    const int small = std::min(r.kernel_y, r.kernel_x), large = std::max(r.kernel_y, r.kernel_x);
    const bool global = small == 0 && large == 0;
    switch (r.kind) {
        case LayerKind::conv: return is_between(r.out, 1, MAX_CHANNELS) && small >= 1 && large <= MAX_KERNEL;
        case LayerKind::depthwise: return small >= 1 && large <= MAX_KERNEL;
        case LayerKind::max_pool:
        case LayerKind::avg_pool: return global || (small >= 1 && small == large);
        case LayerKind::dense: return is_between(r.out, 1, MAX_CHANNELS) && small == 1 && large == 1;
        case LayerKind::dropout: return r.value >= 0.0f && r.value < 1.0f && small == 1 && large == 1;
        case LayerKind::batch_norm:
        case LayerKind::prelu: return small == 1 && large == 1;
    }
    return false;
}

bool convolves(const LayerRequest& r) { return r.kind == LayerKind::conv || r.kind == LayerKind::depthwise; }

int pad_low(const LayerRequest& r, int kernel) { return r.same ? (kernel - 1) / 2 : 0; }

// Zero columns that a convolution reads beside the map that it is given.
Halo read_forward(const LayerRequest& r) {
    if (!convolves(r) || !r.same) return {};
    const int low = pad_low(r, r.kernel_x);
    return {low, r.kernel_x - 1 - low};
}

// Zero columns that its backward pass reads beside the gradient of its output.
Halo read_backward(const LayerRequest& r) {
    if (!convolves(r)) return {};
    const int low = pad_low(r, r.kernel_x);
    return {r.kernel_x - 1 - low, r.same ? low : r.kernel_x - 1};
}

// A map with its halo: the columns right of a row are those left of the next.
Map place(int channels, int height, int width, Halo halo, long& end) {
    if (channels < 1 || height < 1 || width < 1) throw std::invalid_argument("a layer has no output");
    if (channels > MAX_CHANNELS || std::max(height, width) > MAX_SIDE) throw std::invalid_argument("a layer is too large");
    const long row = long(width + std::max(halo.left, halo.right)) * LANES_PER_CHUNK;
    const Map map{offset_data(end + halo.left * LANES_PER_CHUNK), channels, height, width, height * row, row};
    end += long(halo.left + halo.right) * LANES_PER_CHUNK + channels * map.plane;
    if (end > MAX_FLOATS) throw std::invalid_argument("a layer is too large");
    return map;
}

bool compact(const Map& map) { return map.row == long(map.width) * LANES_PER_CHUNK; }

void shape_of(const LayerRequest& r, const Map& in, int& channels, int& height, int& width) {
    channels = r.kind == LayerKind::conv || r.kind == LayerKind::dense ? r.out : in.channels;
    height = in.height, width = in.width;
    if (r.kind == LayerKind::dense) height = width = 1;
    if (convolves(r) && !r.same) height -= r.kernel_y - 1, width -= r.kernel_x - 1;
    if (r.kind == LayerKind::max_pool || r.kind == LayerKind::avg_pool) height /= r.kernel_y, width /= r.kernel_x;
}

long weight_count(const LayerRequest& r, const Map& in) {
    const long kernel = long(r.kernel_y) * r.kernel_x;
    if (r.kind == LayerKind::conv) return long(r.out) * in.channels * kernel;
    if (r.kind == LayerKind::depthwise) return in.channels * kernel;
    if (r.kind == LayerKind::dense) return long(r.out) * in.channels * in.height * in.width;
    if (r.kind == LayerKind::batch_norm || r.kind == LayerKind::prelu) return in.channels;
    return 0;
}

// Shifts, and the moments of a batch norm behind them.
long bias_count(const LayerRequest& r, const Map& out) {
    if (r.kind == LayerKind::batch_norm) return 3l * out.channels;
    return r.bias && r.kind != LayerKind::prelu ? out.channels : 0;
}

bool winograd_pays(const LayerRequest& r, const Map& in) {
    return r.kind == LayerKind::conv && r.kernel_y == 3 && r.kernel_x == 3 &&
           std::min(in.channels, r.out) >= WINOGRAD_CHANNELS;
}

// A pool of size 1 copies a map: the dense layers and the loss know none with a halo.
constexpr LayerRequest COPY = {LayerKind::avg_pool, 0, 1, 1, false, false, 1.0f};

std::vector<LayerRequest> with_copies(const std::vector<LayerRequest>& requests) {
    std::vector<LayerRequest> all;
    for (size_t place = 0; place < requests.size(); ++place) {
        LayerRequest r = requests[place];
        if (!is_possible(r)) throw std::invalid_argument("a layer is not one that the core has");
        r.place = int(place);
        if (r.kind == LayerKind::dense) all.push_back(COPY);
        all.push_back(r);
        if (r.kind == LayerKind::dense) all.push_back(COPY);
    }
    all.push_back(COPY);
    return all;
}

}  // namespace

Plan::Plan(const std::vector<LayerRequest>& given, int channels, int height, int width) {
    const std::vector<LayerRequest> requests = with_copies(given);
    const auto halo_after = [&](size_t index) {  // what the next layer that is not a dropout reads
        for (size_t next = index; next < requests.size(); ++next)
            if (requests[next].kind != LayerKind::dropout) return read_forward(requests[next]);
        return Halo{};
    };
    owners_.resize(given.size());
    input = place(channels, height, width, halo_after(0), chunk_floats);
    Map in = input;
    float slope = 1.0f;
    for (size_t index = 0; index < requests.size(); ++index) {
        LayerRequest r = requests[index];
        const Halo forward = halo_after(index + 1);
        if (r.kind == LayerKind::avg_pool && r.kernel_y == 1 && compact(in) && !forward.left && !forward.right)
            continue;  // no copy is needed
        if (r.kernel_y == 0) r.kernel_y = in.height, r.kernel_x = in.width;
        Layer layer;
        layer.kind = r.kind;
        layer.in = in;
        layer.in_slope = slope;
        layer.needs_input_gradient = parameters > 0;
        if (r.kind == LayerKind::dropout) {
            layer.out = in;
            layer.rate = r.value;
            layers.push_back(layer);
            continue;
        }
        int c, h, w;
        shape_of(r, in, c, h, w);
        const Halo backward = layer.needs_input_gradient ? read_backward(r) : Halo{};
        layer.out = place(c, h, w, {std::max(forward.left, backward.left), std::max(forward.right, backward.right)},
                          chunk_floats);
        layer.kernel_y = r.kernel_y, layer.kernel_x = r.kernel_x;
        layer.pad_y = pad_low(r, r.kernel_y), layer.pad_x = pad_low(r, r.kernel_x);
        place_weights(r, layer);
        in = layer.out;
        slope = layer.slope;
        layers.push_back(layer);
    }
    output = in;
    classes = in.channels * in.height * in.width;
    for (Layer& l : layers) {
        l.batched = l.kind == LayerKind::dense && l.count >= BATCHED_WEIGHTS &&
                    l.count >= BATCHED_RATIO * chunk_floats / LANES_PER_CHUNK;
        layered |= l.whole();
    }
}

// Where a layer's weights stand: its own, or those of the layer that it repeats.
void Plan::place_weights(const LayerRequest& r, Layer& l) {
    const long weights = weight_count(r, l.in), biases = weights ? bias_count(r, l.out) : 0;
    l.slope = weights && r.kind != LayerKind::prelu ? r.value : 1.0f;
    l.bias = biases > 0;
    l.count = weights + biases;
    l.weights = parameters;
    if (r.source >= 0) {
        if (r.source >= r.place || owners_[r.source].kind != r.kind || owners_[r.source].count != l.count)
            throw std::invalid_argument("a layer cannot use the weights of the one that it names");
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
        l.statistics = statistics_floats;
        statistics_floats += 2l * l.out.channels;
    }
    if (r.place >= 0) owners_[r.place] = l;
}

}  // namespace smidgen
