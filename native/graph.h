// The layers of a network and the maps between them, before they are placed in memory.
#pragma once

#include <vector>

#include "layer_request.h"

namespace smidgen {

enum class Purpose { training, prediction };

struct Reader {
    int node, slot;  // which of the node's inputs
};

struct Tensor {
    Size size;
    Halo halo;
    float slope = 1.0f, ceiling = NO_CEILING;  // of the activation that it came from
    bool trained = false;                      // a layer below has weights
    int home = -1;                             // the tensor in whose place it is written, or itself
    int node = -1;                             // that writes it; -1: the network's input
    std::vector<Reader> readers = {};          // in order of execution
};

struct Node {
    LayerRequest request;
    int index;  // of the request; -1 for a copy, which Python did not ask for
    std::vector<int> inputs;
    int output;
};

class Graph {
   public:
    std::vector<Tensor> tensors;  // the first is the network's input
    std::vector<Node> nodes;
    int output;

    // Throws std::invalid_argument for an impossible layer, or for a network beyond the limits of size_limits.h.
    Graph(const std::vector<LayerRequest>& requests, const Size& input, Purpose purpose);

   private:
    const std::vector<int>& readers(int request) const { return readers_[size_t(request + 1)]; }
    const LayerRequest& request(int index) const { return requests_[size_t(index)]; }
    int& tensor_of(int request) { return outputs_[size_t(request + 1)]; }

    void check_and_link();
    int root(int request) const;
    int count_readers(int request) const;
    bool is_added_in_place(int request) const;
    Halo halo_after(int request, const Size& size) const;

    void add_request(int index);
    int input_of(int index, size_t slot, Halo after);
    int add_tensor(Tensor tensor);
    int add_node(Node node, Halo halo);
    int copy(int tensor, Halo halo);
    int compact(int tensor);

    std::vector<LayerRequest> requests_;
    Purpose purpose_;
    std::vector<std::vector<int>> readers_;  // by the request that is read, from the network's input on
    std::vector<int> outputs_;               // the tensors of the same
};

}  // namespace smidgen
