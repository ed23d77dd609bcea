// Zeroed float arrays that begin on a cache line: a vector that straddles two lines costs twice.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace smidgen {

constexpr std::align_val_t LINE{64}, HUGE_PAGE{size_t(1) << 21};

// Not nested in the class that uses it: its default initializer would not be known there yet.
struct DeleteFloats {
    std::align_val_t alignment = LINE;
    void operator()(float* floats) const { ::operator delete[](floats, alignment); }
};

class AlignedFloats {
   public:
    AlignedFloats() = default;
    explicit AlignedFloats(size_t count) : floats_(allocate(count), DeleteFloats{alignment_of(count)}) {
        ask_for_huge_pages(floats_.get(), count);
        std::fill_n(floats_.get(), count, 0.0f);
    }

    float* data() { return floats_.get(); }

   private:
    static bool is_huge(size_t count) { return count * sizeof(float) >= size_t(HUGE_PAGE); }
    static std::align_val_t alignment_of(size_t count) { return is_huge(count) ? HUGE_PAGE : LINE; }

    static float* allocate(size_t count) {
        return static_cast<float*>(::operator new[](count * sizeof(float), alignment_of(count)));
    }

    // The maps of a batch take hundreds of megabytes, and kernels step from plane to plane: with small pages, most of their
    // loads from memory would first miss the table of pages. A system without huge pages goes on without.
    static void ask_for_huge_pages([[maybe_unused]] float* floats, [[maybe_unused]] size_t count) {
#ifdef __linux__
        if (is_huge(count)) madvise(floats, count * sizeof(float), MADV_HUGEPAGE);
#endif
    }

    std::unique_ptr<float[], DeleteFloats> floats_;
};

}  // namespace smidgen
