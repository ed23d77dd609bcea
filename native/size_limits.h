// The largest network that the core takes; Plan checks these limits once, before anything of that size is made. Each side,
// channel and count within them fits an int, and their products are computed in 64 bits. spec/limits.py has the same limits
// for the texts that people write.
#pragma once

#include <cstddef>

namespace smidgen {

constexpr ptrdiff_t MAX_KERNEL = 11, MAX_KERNEL_OF_ONE = 63;  // the second if the other side is 1
constexpr ptrdiff_t MAX_VALUES = ptrdiff_t(1) << 26;          // of one map: 64 channels of 1024 x 1024
constexpr ptrdiff_t MAX_PARAMETERS = ptrdiff_t(1) << 28;
constexpr ptrdiff_t MAX_LAYERS = 4096;
constexpr ptrdiff_t MAX_FLOATS = ptrdiff_t(1) << 36;  // of all maps that sixteen images need at once, 256 GiB

}  // namespace smidgen
