#include "layer_request.h"

#include <algorithm>
#include <stdexcept>

#include "size_limits.h"

namespace smidgen {

namespace {

// Channels, in and out, from which Winograd's algorithm is worth its transforms.
constexpr ptrdiff_t WINOGRAD_CHANNELS = 16;

bool is_between(ptrdiff_t value, ptrdiff_t least, ptrdiff_t most) { return value >= least && value <= most; }

bool convolves(const LayerRequest& r) { return r.kind == LayerKind::conv || r.kind == LayerKind::depthwise; }
bool pools(const LayerRequest& r) { return r.kind == LayerKind::max_pool || r.kind == LayerKind::avg_pool; }

bool is_kernel(const LayerRequest& r) {
    const ptrdiff_t small = std::min(r.kernel_y, r.kernel_x), large = std::max(r.kernel_y, r.kernel_x);
    return small >= 1 && large <= (small == 1 ? MAX_KERNEL_OF_ONE : MAX_KERNEL);
}

// A pool's window; its stride may be another.
bool is_window(const LayerRequest& r) {
    const bool global = r.kernel_y == 0 && r.kernel_x == 0;
    return global || (is_between(r.kernel_y, 1, MAX_VALUES) && is_between(r.kernel_x, 1, MAX_VALUES));
}

bool is_plain(const LayerRequest& r) {
    return r.kernel_y == 1 && r.kernel_x == 1 && r.stride_y == 1 && r.stride_x == 1;
}

bool is_possible(const LayerRequest& r) {
    const bool strides = is_between(r.stride_y, 1, MAX_VALUES) && is_between(r.stride_x, 1, MAX_VALUES);
    if (r.source < -1 || !strides || !(r.ceiling > 0.0f)) return false;
    if (!is_between(r.shared, 0, r.kind == LayerKind::depthwise ? MAX_VALUES : 0)) return false;
    switch (r.kind) {
        case LayerKind::conv: return is_between(r.out, 1, MAX_VALUES) && is_kernel(r);
        case LayerKind::depthwise: return is_kernel(r);
        case LayerKind::max_pool:
        case LayerKind::avg_pool: return is_window(r);
        case LayerKind::dense: return is_between(r.out, 1, MAX_VALUES) && is_plain(r);
        case LayerKind::dropout: return r.rate >= 0.0f && r.rate < 1.0f && is_plain(r);
        case LayerKind::batch_norm:
        case LayerKind::prelu:
        case LayerKind::crelu:
        case LayerKind::add: return is_plain(r);
    }
    return false;
}

// The outputs along one side: of windows that fit, or of TensorFlow's `same`.
ptrdiff_t windows(ptrdiff_t side, ptrdiff_t kernel, ptrdiff_t stride, bool same) {
    if (same) return (side + stride - 1) / stride;
    return side < kernel ? 0 : (side - kernel) / stride + 1;
}

// Both paddings of `same` together: TensorFlow's rule, whose smaller half is above or left.
ptrdiff_t total_padding(ptrdiff_t side, ptrdiff_t kernel, ptrdiff_t stride) {
    return std::max<ptrdiff_t>((windows(side, kernel, stride, true) - 1) * stride + kernel - side, 0);
}

}  // namespace

void check_possible(const LayerRequest& r) {
    if (!is_possible(r)) throw std::invalid_argument("the core has no such layer, or not with such sizes");
}

bool is_identity(const LayerRequest& r) { return r.kind == LayerKind::avg_pool && is_plain(r); }

LayerRequest resolved(LayerRequest r, const Size& in) {
    if (r.kernel_y == 0) r.kernel_y = r.stride_y = in.height, r.kernel_x = r.stride_x = in.width;
    return r;
}

Size output_size(const LayerRequest& r, const Size& in) {
    if (r.kind == LayerKind::dense) return {r.out, 1, 1};
    if (r.kind == LayerKind::crelu) return {2 * in.channels, in.height, in.width};
    if (!convolves(r) && !pools(r)) return in;
    const bool same = convolves(r) && r.same;
    return {r.kind == LayerKind::conv ? r.out : in.channels, windows(in.height, r.kernel_y, r.stride_y, same),
            windows(in.width, r.kernel_x, r.stride_x, same)};
}

Padding padding(const LayerRequest& r, const Size& in) {
    if (!convolves(r) || !r.same) return {};
    return {total_padding(in.height, r.kernel_y, r.stride_y) / 2, total_padding(in.width, r.kernel_x, r.stride_x) / 2};
}

Halo read_forward(const LayerRequest& r, const Size& in) {
    if (!convolves(r) || !r.same) return {};
    const ptrdiff_t total = total_padding(in.width, r.kernel_x, r.stride_x);
    return {total / 2, total - total / 2};
}

// A gradient of the input at x sums those of the outputs at (x + padding - i) / stride for the kernel's columns i.
Halo read_backward(const LayerRequest& r, const Size& in) {
    if (!convolves(r)) return {};
    const ptrdiff_t low = padding(r, in).x, last = output_size(r, in).width - 1;
    const ptrdiff_t left = std::max<ptrdiff_t>(r.kernel_x - 1 - low, 0), right = (in.width - 1 + low) / r.stride_x - last;
    return {(left + r.stride_x - 1) / r.stride_x, std::max<ptrdiff_t>(right, 0)};
}

ptrdiff_t weight_count(const LayerRequest& r, const Size& in) {
    const ptrdiff_t kernel = r.kernel_y * r.kernel_x;
    if (r.kind == LayerKind::conv) return r.out * in.channels * kernel;
    if (r.kind == LayerKind::depthwise) return (r.shared ? r.shared : in.channels) * kernel;
    if (r.kind == LayerKind::dense) return r.out * in.values();
    if (r.kind == LayerKind::batch_norm || r.kind == LayerKind::prelu) return in.channels;
    return 0;
}

ptrdiff_t bias_count(const LayerRequest& r, const Size& in) {
    if (r.kind == LayerKind::batch_norm) return 3 * in.channels;
    const bool biased = convolves(r) || r.kind == LayerKind::dense;
    return r.bias && biased ? output_size(r, in).channels : 0;
}

bool winograd_pays(const LayerRequest& r, const Size& in) {
    return r.kind == LayerKind::conv && r.kernel_y == 3 && r.kernel_x == 3 && r.stride_y == 1 && r.stride_x == 1 &&
           std::min(in.channels, r.out) >= WINOGRAD_CHANNELS;
}

}  // namespace smidgen
