#include "batch_loader.h"

#include <algorithm>

#include "kernel_calls.h"

namespace smidgen {

namespace {

// Floats of the second-level cache that a band may take, and bytes of it for the images that follow.
constexpr ptrdiff_t BAND_FLOATS = 1 << 16, FETCHED_BYTES = 1 << 19;

void interleave(const Kernels& kernels, const uint8_t* const* rows, ptrdiff_t pixels, float* out) {
    kernels.load_bytes(rows, pixels, out);
}

void interleave(const Kernels& kernels, const float* const* rows, ptrdiff_t pixels, float* out) {
    kernels.load_floats(rows, pixels, out);
}

// The rows of outputs whose inputs are a band.
ptrdiff_t rows_of_band(const Pool& pool) {
    const ptrdiff_t rows = BAND_FLOATS / pool.in.row;
    return rows > pool.size_y ? (rows - pool.size_y) / pool.stride_y + 1 : 1;
}

}  // namespace

BatchLoader::BatchLoader(const Kernels& kernels, const Plan& plan)
    : kernels_(kernels),
      input_(plan.input),
      pool_(plan.pools_images ? &plan.layers[0] : nullptr),
      pixels_(plan.input.values()) {}

template <typename T>
void BatchLoader::load_images(const T** images, float* chunk) const {
    pool_ ? load_pooled(images, chunk) : load_map(images, chunk);
}

// Interleaves sixteen images into the first map: at once, or row by row if the map has a halo.
template <typename T>
void BatchLoader::load_map(const T** rows, float* chunk) const {
    const Map in = input_.at(chunk);
    const ptrdiff_t width = input_.is_compact() ? pixels_ : in.width;
    for (ptrdiff_t done = 0; done < pixels_; done += width) {
        const ptrdiff_t row = done / in.width;
        float* out = in.data + row / in.height * in.plane + row % in.height * in.row;
        interleave(kernels_, rows, width, out);
        for (int lane = 0; lane < LANES; ++lane) rows[lane] += width;
    }
}

// Interleaves a band of rows at the beginning of the first map, and pools it, until the whole map was there.
template <typename T>
void BatchLoader::load_pooled(const T* const* images, float* chunk) const {
    const Pool whole = pool_of(*pool_, input_, chunk, nullptr);
    const ptrdiff_t most = rows_of_band(whole);
    for (ptrdiff_t channel = 0; channel < input_.channels; ++channel)
        for (ptrdiff_t y = 0, count; y < whole.out.height; y += count) {
            count = std::min(most, whole.out.height - y);
            const ptrdiff_t rows = (count - 1) * whole.stride_y + whole.size_y;
            const T* band[LANES];
            for (int lane = 0; lane < LANES; ++lane)
                band[lane] = images[lane] + (channel * input_.height + y * whole.stride_y) * input_.width;
            interleave(kernels_, band, rows * input_.width, whole.in.data);
            Pool part = whole;
            part.in.channels = part.out.channels = 1;
            part.in.height = int(rows), part.out.height = int(count);
            part.out.data += channel * whole.out.plane + y * whole.out.row;
            pool_->kind == LayerKind::max_pool ? kernels_.max_pool(part) : kernels_.avg_pool(part);
        }
}

void BatchLoader::load(const Images& images, const uint32_t* order, int count, float* chunk) const {
    const uint8_t* bytes[LANES];
    const float* floats[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        const ptrdiff_t first = order[lane < count ? lane : 0] * pixels_;
        if (images.bytes) bytes[lane] = images.bytes + first;
        else floats[lane] = images.floats + first;
    }
    images.bytes ? load_images(bytes, chunk) : load_images(floats, chunk);
}

void BatchLoader::load_warped(const Images& images, const float* affine_maps, const uint32_t* order, int count,
                              float* chunk, float* scratch) const {
    const float* rows[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        rows[lane] = scratch + (lane < count ? lane : 0) * pixels_;
        if (lane >= count) continue;
        const ptrdiff_t image = order[lane];
        const Warp warp{.channels = int(input_.channels),
                        .height = int(input_.height),
                        .width = int(input_.width),
                        .map = affine_maps + image * 6,
                        .padded = scratch + LANES * pixels_,
                        .out = scratch + lane * pixels_};
        if (images.bytes) kernels_.warp_bytes(warp, images.bytes + image * pixels_);
        else kernels_.warp_floats(warp, images.floats + image * pixels_);
    }
    load_images(rows, chunk);
}

void BatchLoader::prefetch(const Images& images, const uint32_t* order, ptrdiff_t count) const {
    if (!images.bytes || LANES * pixels_ > FETCHED_BYTES) return;
    for (ptrdiff_t lane = 0; lane < count; ++lane)
        for (ptrdiff_t byte = 0; byte < pixels_; byte += 64)
            __builtin_prefetch(images.bytes + order[lane] * pixels_ + byte);
}

}  // namespace smidgen
