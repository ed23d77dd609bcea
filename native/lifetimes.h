// Places arrays in one memory: those that are needed at the same time do not overlap, others may.
#pragma once

#include <cstddef>
#include <vector>

namespace smidgen {

struct Lifetime {
    ptrdiff_t floats;
    int first, last;       // the steps in which it is needed, both included
    ptrdiff_t offset = 0;  // where it is placed
};

// Sets every offset; returns the floats of the whole memory.
ptrdiff_t place_by_lifetimes(std::vector<Lifetime>& arrays);

}  // namespace smidgen
