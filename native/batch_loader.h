// Loads images, sixteen at a time, into the first map of a network.
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
    BatchLoader(const Kernels& kernels, const MapLayout& input);

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
    void load_rows(const T** rows, float* chunk) const;

    const Kernels& kernels_;
    MapLayout input_;
    ptrdiff_t pixels_;
};

}  // namespace smidgen
