// Zeroed float arrays that begin on a cache line: a vector that straddles two lines costs twice.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace smidgen {

class AlignedFloats {
   public:
    AlignedFloats() = default;
    explicit AlignedFloats(size_t count) : floats_(new (LINE) float[count]()) {}

    float* data() { return floats_.get(); }

   private:
    static constexpr std::align_val_t LINE{64};
    struct Delete {
        void operator()(float* floats) const { ::operator delete[](floats, LINE); }
    };

    std::unique_ptr<float[], Delete> floats_;
};

}  // namespace smidgen
