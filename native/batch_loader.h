// Loads images, sixteen at a time, into the first map of a network.
//
// Where the first layer is a pool of large images, its output is all that the network needs of them. The loader then brings
// a band of rows into the memory of the first map and pools it while it is in the cache.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "plan.h"

namespace smidgen {

// Exactly one of `bytes` and `floats` is not null.
struct Images {
    const uint8_t* bytes;  // [count][pixels], read as value / 255
    const float* floats;   // [count][pixels]
    ptrdiff_t count;
};

class BatchLoader {
   public:
    BatchLoader(const Kernels& kernels, const Plan& plan);

    // Loads the images order[0 .. count). In a chunk of fewer than sixteen, the first image fills the other lanes; the
    // loss gives those no gradient.
    void load(const Images& images, const uint32_t* order, int count, float* chunk) const;

    // Loads the same images, each moved by its own affine map: float [images][2][3]. The scratch memory has room for
    // sixteen images and one padded channel.
    void load_warped(const Images& images, const float* affine_maps, const uint32_t* order, int count, float* chunk,
                     float* scratch) const;

    // Fetches images into the cache while the chunk before them is worked on: they may lie anywhere in memory.
    void prefetch(const Images& images, const uint32_t* order, ptrdiff_t count) const;

   private:
    template <typename T>
    void load_images(const T** images, float* chunk) const;
    template <typename T>
    void load_map(const T** rows, float* chunk) const;
    template <typename T>
    void load_pooled(const T* const* images, float* chunk) const;

    const Kernels& kernels_;
    MapLayout input_;
    const Layer* pool_;  // the first layer, if it is computed here
    ptrdiff_t pixels_;
};

}  // namespace smidgen
