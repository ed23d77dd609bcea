#include "plan.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "lifetimes.h"
#include "size_limits.h"

namespace smidgen {

namespace {

// A dense layer is batched if it has this many weights, and this many times the activations of a chunk: reading the
// weights once for a whole batch then saves more than it costs to keep the activations of every chunk.
constexpr ptrdiff_t BATCHED_WEIGHTS = 1 << 13, BATCHED_RATIO = 4;

bool is_batched(const Layer& l, ptrdiff_t chunk_floats) {
    return l.kind == LayerKind::dense && l.count >= BATCHED_WEIGHTS && l.count >= BATCHED_RATIO * chunk_floats / LANES;
}

// Whether the backward kernel reads the input where it writes the gradient, so that it must be there.
bool works_in_place(LayerKind kind) {
    return kind != LayerKind::conv && kind != LayerKind::depthwise && kind != LayerKind::dense;
}

// A depthwise convolution goes channel by channel if its maps have this many values: the call then costs little.
constexpr ptrdiff_t JOINED_VALUES = 64;

bool is_joinable(const Layer& l) {
    const bool large = l.out.height * l.out.width >= JOINED_VALUES;
    return l.kind == LayerKind::depthwise && l.shared == 0 && !l.shares_input && large;
}

// Threads share the chunks of a batch if an image takes at least so many multiply-accumulates: a chunk then takes longer
// than waking a thread. Each thread keeps the maps of a chunk, of at most so many floats.
constexpr ptrdiff_t PARALLEL_MACS = 1 << 15, PARALLEL_FLOATS = 1 << 24;

// Multiply-accumulates of an image.
ptrdiff_t macs(const Layer& l) {
    const bool multiplies = l.kind == LayerKind::conv || l.kind == LayerKind::depthwise || l.kind == LayerKind::dense;
    return multiplies ? (l.biases - l.weights) * l.out.height * l.out.width : 0;
}

// A map and its halo that begin at 0.
MapLayout layout_of(const Size& size, Halo halo) {
    const ptrdiff_t row = (size.width + std::max(halo.left, halo.right)) * LANES;
    return {.offset = halo.left * LANES,
            .channels = size.channels,
            .height = size.height,
            .width = size.width,
            .plane = size.height * row,
            .row = row,
            .halo = halo};
}

// Images of this many floats, sixteen at a time, would leave the second-level cache before a pool reads them.
constexpr ptrdiff_t LARGE_IMAGES = 1 << 17;

MapLayout moved(MapLayout map, ptrdiff_t by) {
    map.offset += by;
    return map;
}

void check_most(ptrdiff_t count, ptrdiff_t most, const char* what) {
    if (count > most)
        throw std::invalid_argument("the network has " + std::to_string(count) + what + "; the most are " +
                                    std::to_string(most) + ": use fewer channels or units, or a smaller input");
}

// Whether another map, which is not one written in its place, uses a part of a map's memory.
bool shares_memory(const std::vector<MapLayout>& maps, const Graph& graph, size_t index) {
    const MapLayout& map = maps[index];
    for (size_t other = 0; other < maps.size(); ++other)
        if (graph.tensors[other].home != graph.tensors[index].home && maps[other].begin() < map.end() &&
            map.begin() < maps[other].end())
            return true;
    return false;
}

}  // namespace

Plan::Plan(const std::vector<LayerRequest>& requests, const Size& input_size, Purpose purpose_)
    : purpose(purpose_), owners_(requests.size()) {
    const Graph graph(requests, input_size, purpose);
    std::vector<MapLayout> maps;
    for (const Tensor& tensor : graph.tensors) maps.push_back(layout_of(tensor.size, tensor.halo));
    purpose == Purpose::training ? place_in_sequence(graph, maps) : place_by_lifetime(graph, maps);
    for (const Node& node : graph.nodes) add_layer(graph, node, maps);
    if (purpose == Purpose::training)
        for (size_t i = 0; i < maps.size(); ++i) place_gradients(graph.tensors[i], maps[i]);
    else
        clear_halos(graph, maps);
    input = maps[0], output = maps[size_t(graph.output)];
    tensors = int(maps.size());
    outputs = int(output.values());
    classes = outputs == 1 ? 2 : outputs;
    if (purpose == Purpose::training) join_channels();
    pools_images = can_pool_images(graph);
    ptrdiff_t image_macs = 0;
    for (Layer& l : layers) {
        l.batched = is_batched(l, chunk_floats);
        layered |= needs_whole_batch(l);
        image_macs += macs(l);
    }
    const bool pays = image_macs >= PARALLEL_MACS && chunk_floats <= PARALLEL_FLOATS;
    parallel = purpose == Purpose::training && !layered && pays;
}

// --- memory ------------------------------------------------------------------------------------------

// Places a map behind all others.
MapLayout Plan::append(MapLayout map) {
    map = moved(map, chunk_floats);
    chunk_floats = map.end();
    check_most(chunk_floats, MAX_FLOATS, " floats of activations for sixteen images");
    return map;
}

void Plan::place_in_sequence(const Graph& graph, std::vector<MapLayout>& maps) {
    for (size_t i = 0; i < maps.size(); ++i) {
        const size_t home = size_t(graph.tensors[i].home);
        maps[i] = home == i ? append(maps[i]) : maps[home];
    }
}

// A map lives from the layer that writes it to the last that reads it, or that reads what is written in its place.
void Plan::place_by_lifetime(const Graph& graph, std::vector<MapLayout>& maps) {
    std::vector<Lifetime> lifetimes;
    for (size_t i = 0; i < maps.size(); ++i) {
        const Tensor& tensor = graph.tensors[i];
        const int first = std::max(tensor.node, 0);
        lifetimes.push_back({.floats = size_t(tensor.home) == i ? maps[i].end() : 0, .first = first, .last = first});
        int& last = lifetimes[size_t(tensor.home)].last;
        for (const Reader& reader : tensor.readers) last = std::max(last, reader.node);
        if (int(i) == graph.output) last = int(graph.nodes.size());
    }
    chunk_floats = place_by_lifetimes(lifetimes);
    check_most(chunk_floats, MAX_FLOATS, " floats of activations for sixteen images");
    for (size_t i = 0; i < maps.size(); ++i) maps[i] = moved(maps[i], lifetimes[size_t(graph.tensors[i].home)].offset);
}

void Plan::clear_halos(const Graph& graph, const std::vector<MapLayout>& maps) {
    const auto is_soiled = [&](size_t i) {
        return size_t(graph.tensors[i].home) == i && maps[i].halo != Halo{} && shares_memory(maps, graph, i);
    };
    clears_input_halo = is_soiled(0);
    for (Layer& l : layers) l.clears_halo = is_soiled(size_t(l.tensor));
}

// --- layers ------------------------------------------------------------------------------------------

void Plan::add_layer(const Graph& graph, const Node& node, const std::vector<MapLayout>& maps) {
    const LayerRequest& r = node.request;
    const auto input_of = [&](int tensor) {
        const Tensor& t = graph.tensors[size_t(tensor)];
        const MapLayout& map = maps[size_t(tensor)];
        return Input{.map = map, .gradient = map, .slope = t.slope, .ceiling = t.ceiling, .tensor = tensor};
    };
    const Tensor& in = graph.tensors[size_t(node.inputs[0])];
    const Tensor& out = graph.tensors[size_t(node.output)];
    const Padding pad = padding(r, in.size);
    Layer layer{.kind = r.kind, .in = input_of(node.inputs[0]), .out = maps[size_t(node.output)], .tensor = node.output};
    if (r.kind == LayerKind::add) {
        layer.shortcut = input_of(node.inputs[1]);
        layer.in.written = in.home != out.home;
    }
    layer.kernel_y = int(r.kernel_y), layer.kernel_x = int(r.kernel_x);
    layer.stride_y = int(r.stride_y), layer.stride_x = int(r.stride_x);
    layer.pad_y = int(pad.y), layer.pad_x = int(pad.x);
    layer.shared = int(r.shared), layer.rate = r.rate, layer.slope = out.slope, layer.ceiling = out.ceiling;
    place_weights(in.size, node, layer);
    layers.push_back(layer);
}

// Decides where a layer's weights are: they are its own, or those of the layer that it repeats.
void Plan::place_weights(const Size& in, const Node& node, Layer& l) {
    const LayerRequest& r = node.request;
    const ptrdiff_t weights = weight_count(r, in), biases = weights ? bias_count(r, in) : 0;
    l.bias = biases > 0;
    l.count = weights + biases;
    l.weights = parameters;
    if (r.source >= 0) {
        if (r.source >= node.index || owners_[size_t(r.source)].kind != r.kind || owners_[size_t(r.source)].count != l.count)
            throw std::invalid_argument("a layer cannot use the weights of the layer that it names");
        l.weights = owners_[size_t(r.source)].weights;
    } else {
        parameters += l.count;
    }
    check_most(parameters, MAX_PARAMETERS, " parameters");
    l.biases = l.weights + weights;
    if ((l.winograd = winograd_pays(r, in))) {
        l.transformed = transformed_floats;
        transformed_floats += ptrdiff_t(winograd_weight_floats(in.channels, l.out.channels) +
                                        winograd_weight_floats(l.out.channels, in.channels));
    }
    if (r.kind == LayerKind::batch_norm) {
        l.batch_statistics = batch_statistics_floats;
        batch_statistics_floats += 2 * l.out.channels;
    }
    if (node.index >= 0) owners_[size_t(node.index)] = l;
}

// Batch norms take the whole batch channel by channel. A depthwise convolution next to one does so too: what the one leaves
// of a channel, the other finds in the cache.
void Plan::join_channels() {
    const auto reads = [&](size_t i) { return i > 0 && layers[i].in.tensor == layers[i - 1].tensor && !layers[i].shares_input; };
    const auto is_norm = [&](size_t i) { return i < layers.size() && layers[i].kind == LayerKind::batch_norm; };
    for (size_t i = 0; i < layers.size(); ++i) {
        Layer& l = layers[i];
        const bool joins = (reads(i) && layers[i - 1].by_channel) || (is_norm(i + 1) && reads(i + 1));
        l.by_channel = is_norm(i) || (is_joinable(l) && joins);
        l.continues = l.by_channel && reads(i) && layers[i - 1].by_channel;
    }
}

// Whether the first layer is a pool, and the only one that reads the images.
bool Plan::can_pool_images(const Graph& graph) const {
    if (layers.empty() || graph.tensors[0].readers.size() != 1 || graph.tensors[0].readers[0].node != 0) return false;
    const bool pools = layers[0].kind == LayerKind::max_pool || layers[0].kind == LayerKind::avg_pool;
    return pools && input.is_compact() && input.values() * LANES >= LARGE_IMAGES;
}

// --- gradients of maps that several layers read --------------------------------------------------------

// Where the readers of a map leave its gradient, in their order: an add does so in the gradient of its own output.
std::vector<MapLayout> Plan::place_parts(const Tensor& tensor) {
    std::vector<MapLayout> parts;
    for (const Reader& reader : tensor.readers) {
        Layer& l = layers[size_t(reader.node)];
        Input& in = reader.slot ? l.shortcut : l.in;
        in.slope = 1.0f, in.ceiling = NO_CEILING;
        l.shares_input = true;
        if (l.kind == LayerKind::add) {
            in.written = false;
            parts.push_back(l.out);
        } else {
            in.gradient = append(layout_of(tensor.size, {}));
            in.copies = works_in_place(l.kind);
            parts.push_back(in.gradient);
        }
    }
    return parts;
}

void Plan::place_gradients(const Tensor& tensor, const MapLayout& map) {
    if (tensor.readers.size() < 2 || !tensor.trained) return;
    const Reader& reader = tensor.readers[0];
    const std::vector<MapLayout> parts = place_parts(tensor);
    Input& in = reader.slot ? layers[size_t(reader.node)].shortcut : layers[size_t(reader.node)].in;
    in.sum_slope = tensor.slope, in.sum_ceiling = tensor.ceiling;
    MapLayout sum = parts[0];
    if (parts.size() > 2 && layers[size_t(reader.node)].kind == LayerKind::add) sum = append(layout_of(tensor.size, {}));
    for (size_t i = 1; i < parts.size(); ++i) {
        const bool last = i + 1 == parts.size();
        const MapLayout& first = i == 1 ? parts[0] : sum;
        in.sums.push_back({.first = first, .second = parts[i], .out = last ? map : sum, .last = last});
    }
}

}  // namespace smidgen
