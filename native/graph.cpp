#include "graph.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "size_limits.h"

namespace smidgen {

namespace {

constexpr LayerKind COPY_KIND = LayerKind::avg_pool;  // of size 1

Halo larger(Halo a, Halo b) { return {std::max(a.left, b.left), std::max(a.right, b.right)}; }

std::string text_of(const Size& s) {
    return std::to_string(s.channels) + "x" + std::to_string(s.height) + "x" + std::to_string(s.width);
}

void check(bool condition, const std::string& message) {
    if (!condition) throw std::invalid_argument(message);
}

// Multiplies no two numbers whose product could overflow.
void check_size(const Size& s) {
    check(s.channels >= 1 && s.height >= 1 && s.width >= 1, "a layer has no output: its map would be " + text_of(s));
    const bool fits = s.channels <= MAX_VALUES && s.height <= MAX_VALUES / s.channels &&
                      s.width <= MAX_VALUES / (s.channels * s.height);
    check(fits, "a map of " + text_of(s) + " is too large: the most values are " + std::to_string(MAX_VALUES) +
                    "; use fewer channels, a smaller input, or strides and pools before it");
}

bool is_activated(LayerKind kind) {
    return kind == LayerKind::conv || kind == LayerKind::depthwise || kind == LayerKind::dense ||
           kind == LayerKind::batch_norm || kind == LayerKind::add;
}

bool is_linear(const LayerRequest& r) { return r.slope == 1.0f && r.ceiling == NO_CEILING; }

}  // namespace

Graph::Graph(const std::vector<LayerRequest>& requests, const Size& input, Purpose purpose)
    : requests_(requests), purpose_(purpose), readers_(requests.size() + 1), outputs_(requests.size() + 1) {
    check(ptrdiff_t(requests.size()) <= MAX_LAYERS, "a network of " + std::to_string(requests.size()) +
                                                        " layers is too large: the most are " +
                                                        std::to_string(MAX_LAYERS));
    check_size(input);
    check_and_link();
    add_tensor({.size = input, .halo = halo_after(-1, input)});
    for (size_t index = 0; index < requests.size(); ++index) add_request(int(index));
    output = compact(outputs_.back());
}

// --- what the requests say ---------------------------------------------------------------------------

void Graph::check_and_link() {
    for (size_t index = 0; index < requests_.size(); ++index) {
        LayerRequest& r = requests_[index];
        check_possible(r);
        if (r.inputs.empty()) r.inputs = {int(index) - 1};
        const std::string name = "layer " + std::to_string(index);
        check(r.inputs.size() == (r.kind == LayerKind::add ? 2 : 1), name + " has a wrong number of inputs");
        for (int input : r.inputs) {
            check(input >= -1 && input < int(index), name + " reads a layer that does not come before it");
            readers_[size_t(input + 1)].push_back(int(index));
        }
    }
    for (size_t index = 0; index + 1 < readers_.size(); ++index)
        check(!readers_[index].empty(), "no layer reads the output of layer " + std::to_string(ptrdiff_t(index) - 1));
}

// The request whose tensor an identity may hand on.
int Graph::root(int index) const {
    while (index >= 0 && is_identity(request(index))) index = request(index).inputs[0];
    return index;
}

// How many layers read a tensor, those behind identities counted for them.
int Graph::count_readers(int index) const {
    int count = readers(index).empty() ? 1 : 0;  // the loss
    for (int reader : readers(index)) count += is_identity(request(reader)) ? count_readers(reader) : 1;
    return count;
}

// Whether an add writes its output over its first input. In training the gradient of the output is then that of the input.
bool Graph::is_added_in_place(int index) const {
    const LayerRequest& r = request(index);
    if (r.kind != LayerKind::add || r.inputs[0] < 0 || r.inputs[0] == r.inputs[1]) return false;
    const LayerRequest& first = request(r.inputs[0]);
    const bool written = is_activated(first.kind) && first.kind != LayerKind::dense;
    return written && count_readers(r.inputs[0]) == 1 && (purpose_ == Purpose::prediction || is_linear(first));
}

// The halo that the readers of a request's output need around it, also those that read what is written in its place.
Halo Graph::halo_after(int index, const Size& size) const {
    Halo halo;
    for (int reader : readers(index)) {
        const LayerRequest& r = request(reader);
        const bool drops = r.kind == LayerKind::dropout &&
                           (purpose_ == Purpose::prediction || count_readers(root(index)) == 1);
        const bool in_place = drops || (is_added_in_place(reader) && r.inputs[0] == index);
        halo = larger(halo, in_place ? halo_after(reader, size) : read_forward(r, size));
    }
    return halo;
}

// --- nodes and tensors -------------------------------------------------------------------------------

int Graph::add_tensor(Tensor tensor) {
    check_size(tensor.size);
    if (tensor.home < 0) tensor.home = int(tensors.size());
    tensors.push_back(std::move(tensor));
    return int(tensors.size()) - 1;
}

// Adds a node that writes a map of its own, or over its input's.
int Graph::add_node(Node node, Halo halo) {
    const LayerRequest& r = node.request;
    const Tensor& in = tensors[size_t(node.inputs[0])];
    Tensor out{.size = output_size(r, in.size), .halo = halo, .node = int(nodes.size())};
    out.trained = weight_count(r, in.size) > 0;
    for (int input : node.inputs) out.trained |= tensors[size_t(input)].trained;
    if (is_activated(r.kind)) out.slope = r.slope, out.ceiling = r.ceiling;
    if (r.kind == LayerKind::dropout) out.slope = in.slope, out.ceiling = in.ceiling;
    const bool in_place = r.kind == LayerKind::dropout || (node.index >= 0 && is_added_in_place(node.index));
    if (in_place) out.home = in.home, out.halo = in.halo;
    for (size_t slot = 0; slot < node.inputs.size(); ++slot)
        tensors[size_t(node.inputs[slot])].readers.push_back({int(nodes.size()), int(slot)});
    node.output = add_tensor(out);
    nodes.push_back(std::move(node));
    return nodes.back().output;
}

int Graph::copy(int tensor, Halo halo) {
    return add_node({.request = {.kind = COPY_KIND}, .index = -1, .inputs = {tensor}, .output = -1}, halo);
}

// Dense layers and the loss read maps without a halo.
int Graph::compact(int tensor) { return tensors[size_t(tensor)].halo == Halo{} ? tensor : copy(tensor, {}); }

// The tensor that a request reads: a copy of it for a layer that needs another layout, or that would overwrite what
// others read.
int Graph::input_of(int index, size_t slot, Halo after) {
    const LayerRequest& r = request(index);
    const int tensor = tensor_of(r.inputs[slot]);
    if (r.kind == LayerKind::dense) return compact(tensor);
    const bool shared = r.kind == LayerKind::dropout && count_readers(root(r.inputs[slot])) > 1;
    return shared ? copy(tensor, after) : tensor;
}

void Graph::add_request(int index) {
    const Tensor given = tensors[size_t(tensor_of(request(index).inputs[0]))];
    const LayerRequest r = resolved(request(index), given.size);
    const Size size = output_size(r, given.size);
    check_size(size);
    const Halo after = halo_after(index, size);
    const bool dropped = r.kind == LayerKind::dropout && purpose_ == Purpose::prediction;
    if (dropped || (is_identity(r) && given.halo == Halo{} && after == Halo{})) {
        tensor_of(index) = tensor_of(r.inputs[0]);
        return;
    }
    Node node{.request = r, .index = index, .inputs = {}, .output = -1};
    for (size_t slot = 0; slot < r.inputs.size(); ++slot) node.inputs.push_back(input_of(index, slot, after));
    for (int input : node.inputs)
        check(tensors[size_t(input)].size == given.size, "layer " + std::to_string(index) + " adds maps of " +
                                                             text_of(given.size) + " and " +
                                                             text_of(tensors[size_t(input)].size));
    const bool down = purpose_ == Purpose::training && tensors[size_t(node.inputs[0])].trained;
    const bool is_dense = r.kind == LayerKind::dense;
    const int out = add_node(node, is_dense ? Halo{} : larger(after, down ? read_backward(r, given.size) : Halo{}));
    tensor_of(index) = is_dense && after != Halo{} ? copy(out, after) : out;
}

}  // namespace smidgen
