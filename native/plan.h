// A network placed in memory: what each layer reads and writes, and where its weights are.
#pragma once

#include <cstddef>
#include <vector>

#include "graph.h"
#include "kernels/kernels.h"

namespace smidgen {

// A map in the memory of every chunk, `offset` floats from where the chunk begins. The columns right of a row are those
// left of the next.
struct MapLayout {
    ptrdiff_t offset = 0;
    ptrdiff_t channels = 0, height = 0, width = 0;
    ptrdiff_t plane = 0, row = 0;  // from one channel to the next, from one row to the next
    Halo halo;

    ptrdiff_t values() const { return channels * height * width; }
    ptrdiff_t begin() const { return offset - halo.left * LANES; }
    ptrdiff_t end() const { return offset + channels * plane + halo.right * LANES; }  // with its halo
    bool is_compact() const { return row == width * LANES; }  // it has no halo
    Map at(float* chunk) const { return {chunk + offset, int(channels), int(height), int(width), plane, row}; }
};

// out = first + second: one step of the sum of the gradients that the readers of a map have left. The last step ends in
// the map itself and goes through the activation that the map came from.
struct GradientSum {
    MapLayout first, second, out;
    bool last;
};

// One input of a layer, and where the layer's backward pass leaves the gradient of it. A map that one layer reads is
// overwritten by its gradient. If several read it, the map must stay: each writes to a place of its own, without going
// through the activation, and the last of them in the backward pass sums what they have left.
struct Input {
    MapLayout map, gradient;
    float slope = 1.0f, ceiling = NO_CEILING;  // of the activation that the gradient goes through
    bool copies = false;   // the kernel works in place, so that `gradient` must be a copy of `map` first
    bool written = true;   // false: the gradient of an add's output is that of its input as it is, where it is
    bool needed = false;   // the gradient; false if no layer below is trained
    int tensor = -1;       // whose gradient it is
    std::vector<GradientSum> sums = {};  // after this layer's backward pass
    float sum_slope = 1.0f, sum_ceiling = NO_CEILING;  // of the activation that the sum goes through
};

struct Layer {
    LayerKind kind;
    Input in, shortcut = {};  // the second of an add only
    MapLayout out;
    int tensor = -1;  // that it writes
    int kernel_y = 1, kernel_x = 1, pad_y = 0, pad_x = 0, stride_y = 1, stride_x = 1;
    int shared = 0;  // depthwise: channel c uses kernel c % shared; 0: a kernel of its own
    float slope = 1.0f, ceiling = NO_CEILING;  // of this layer's activation
    float rate = 0.0f;                         // dropout
    bool bias = false;
    ptrdiff_t weights = 0, biases = 0, count = 0;  // offsets into the parameters, and how many there are
    bool runs_backward = false;      // it or a layer below is trained
    bool shares_input = false;       // other layers read an input of it
    bool winograd = false;           // a 3x3 convolution with enough channels for Winograd's algorithm to be faster
    ptrdiff_t transformed = 0;       // offset of its transformed weights: those for forward, then those for backward
    bool batched = false;            // a dense layer so large that all chunks of a batch share one pass over its weights
    ptrdiff_t batch_statistics = 0;  // batch norm: offset of the batch's mean and inverse deviation, [2][channels]
    bool clears_halo = false;        // other maps use the memory of `out` before it
    bool by_channel = false;         // in training, a channel takes the whole batch before the next one begins
    bool continues = false;          // by channel, on what the layer before it left, which no other layer reads
};

// The memory of a chunk of 16 images. For training it has every map: in the backward pass each gradient overwrites the map
// that it belongs to. For prediction a map takes the place of others that no later layer reads.
struct Plan {
    std::vector<Layer> layers;
    MapLayout input, output;
    Purpose purpose;
    int tensors = 0;           // maps, counting those that are written in place of another
    ptrdiff_t parameters = 0;  // a batch norm has four a channel: scale, shift, running mean, running variance
    ptrdiff_t chunk_floats = 0, transformed_floats = 0, batch_statistics_floats = 0;
    int outputs = 0;       // values of the output; those of a map are in the order [channel][y][x]
    int classes = 0;       // one for each output; a single output z stands for two classes with the logits (0, z)
    bool layered = false;  // some layer needs the whole batch at once: every chunk keeps its memory
    bool parallel = false;  // of the others, those whose chunks take so long that threads may share them
    bool clears_input_halo = false;  // other maps use the memory of `input`
    bool pools_images = false;       // the first layer is a pool that BatchLoader computes

    // Throws std::invalid_argument for an impossible layer, or for a network beyond the limits of size_limits.h.
    Plan(const std::vector<LayerRequest>& requests, const Size& input, Purpose purpose);

    bool needs_whole_batch(const Layer& layer) const { return layer.batched || layer.by_channel; }

   private:
    void place_in_sequence(const Graph& graph, std::vector<MapLayout>& maps);
    void place_by_lifetime(const Graph& graph, std::vector<MapLayout>& maps);
    void add_layer(const Graph& graph, const Node& node, const std::vector<MapLayout>& maps);
    void place_weights(const Size& in, const Node& node, Layer& layer);
    std::vector<MapLayout> place_parts(const Tensor& tensor);
    void place_gradients(const Tensor& tensor, const MapLayout& map);
    void clear_halos(const Graph& graph, const std::vector<MapLayout>& maps);
    MapLayout append(MapLayout map);
    void join_channels();
    bool can_pool_images(const Graph& graph) const;

    std::vector<Layer> owners_;  // of weights, by the index of the request
};

}  // namespace smidgen
