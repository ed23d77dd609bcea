#include "batch_loader.h"

namespace smidgen {

BatchLoader::BatchLoader(const Kernels& kernels, const MapLayout& input)
    : kernels_(kernels), input_(input), pixels_(input.values()) {}

// Interleaves sixteen images into the first map: at once, or row by row if the map has a halo.
template <typename T>
void BatchLoader::load_rows(const T** rows, float* chunk) const {
    const Map in = input_.at(chunk);
    const ptrdiff_t width = input_.is_compact() ? pixels_ : in.width;
    for (ptrdiff_t done = 0; done < pixels_; done += width) {
        const ptrdiff_t row = done / in.width;
        float* out = in.data + row / in.height * in.plane + row % in.height * in.row;
        if constexpr (sizeof(T) == 1) kernels_.load_bytes(rows, width, out);
        else kernels_.load_floats(rows, width, out);
        for (int lane = 0; lane < LANES; ++lane) rows[lane] += width;
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
    images.bytes ? load_rows(bytes, chunk) : load_rows(floats, chunk);
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
    load_rows(rows, chunk);
}

void BatchLoader::prefetch(const Images& images, const uint32_t* order, ptrdiff_t count) const {
    if (!images.bytes) return;
    for (ptrdiff_t lane = 0; lane < count; ++lane)
        for (ptrdiff_t byte = 0; byte < pixels_; byte += 64)
            __builtin_prefetch(images.bytes + order[lane] * pixels_ + byte);
}

}  // namespace smidgen
