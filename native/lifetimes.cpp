#include "lifetimes.h"

#include <algorithm>
#include <numeric>

namespace smidgen {

namespace {

bool meet(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

// The lowest offset at which `array` fits between the placed arrays, which ascend by offset.
ptrdiff_t lowest_gap(const Lifetime& array, const std::vector<const Lifetime*>& placed) {
    ptrdiff_t offset = 0;
    for (const Lifetime* other : placed) {
        if (!meet(array, *other)) continue;
        if (offset + array.floats <= other->offset) break;
        offset = std::max(offset, other->offset + other->floats);
    }
    return offset;
}

}  // namespace

// The largest first, each as low as it fits: "greedy by size" of Pisarchyk & Lee, "Efficient Memory Management for Deep
// Neural Net Inference" (arXiv 2001.03288), section 5.
ptrdiff_t place_by_lifetimes(std::vector<Lifetime>& arrays) {
    std::vector<size_t> order(arrays.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return arrays[a].floats > arrays[b].floats; });
    std::vector<const Lifetime*> placed;
    ptrdiff_t end = 0;
    for (size_t index : order) {
        Lifetime& array = arrays[index];
        array.offset = lowest_gap(array, placed);
        end = std::max(end, array.offset + array.floats);
        const auto above = [](const Lifetime* a, const Lifetime* b) { return a->offset < b->offset; };
        placed.insert(std::upper_bound(placed.begin(), placed.end(), &array, above), &array);
    }
    return end;
}

}  // namespace smidgen
