// One layer as Python describes it (see engine/native.py), and what follows from it for a given input.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernels.h"

namespace smidgen {

enum class LayerKind : int { conv, depthwise, max_pool, avg_pool, dense, dropout, batch_norm, prelu, crelu, add };

struct LayerRequest {
    LayerKind kind;
    ptrdiff_t out = 0;                     // output channels, of conv and dense
    ptrdiff_t kernel_y = 1, kernel_x = 1;  // a pool of size 0 x 0 is global
    ptrdiff_t stride_y = 1, stride_x = 1;
    bool same = false, bias = false;
    float slope = 1.0f;            // of the activation below zero
    float ceiling = NO_CEILING;    // of the activation
    float rate = 0.0f;             // of a dropout
    ptrdiff_t shared = 0;          // depthwise: channel c uses kernel c % shared; 0: a kernel of its own
    int source = -1;               // the index of the request whose weights this one uses, or -1
    std::vector<int> inputs = {};  // the requests whose outputs it reads, -1 for the network's input; none: the one before
};

struct Size {
    ptrdiff_t channels, height, width;

    bool operator==(const Size&) const = default;
    ptrdiff_t values() const { return channels * height * width; }
};

// Zero columns on either side of a map.
struct Halo {
    ptrdiff_t left = 0, right = 0;

    bool operator==(const Halo&) const = default;
};

// Padding above and left; what a convolution needs below and right follows from its output.
struct Padding {
    ptrdiff_t y = 0, x = 0;
};

// Throws std::invalid_argument if the core has no such layer, or not with such sizes.
void check_possible(const LayerRequest& request);

// Whether it copies its input: dense layers and the loss read maps without a halo, and a pool of size 1 makes one.
bool is_identity(const LayerRequest& request);

// The request with the kernel that a global pool has for this input.
LayerRequest resolved(LayerRequest request, const Size& in);

Size output_size(const LayerRequest& request, const Size& in);
Padding padding(const LayerRequest& request, const Size& in);

// The halo that a layer reads around its input, and that its backward pass reads around the gradient of its output.
Halo read_forward(const LayerRequest& request, const Size& in);
Halo read_backward(const LayerRequest& request, const Size& in);

ptrdiff_t weight_count(const LayerRequest& request, const Size& in);

// Biases; of a batch norm its shifts and, behind them, its running statistics.
ptrdiff_t bias_count(const LayerRequest& request, const Size& in);

bool winograd_pays(const LayerRequest& request, const Size& in);

}  // namespace smidgen
