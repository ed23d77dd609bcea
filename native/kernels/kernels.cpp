// The kernels of one instruction set: compiled once for each, with -DKERNELS=kernels_v4 and the like.
#include "kernels.h"

#include "kernels/convolution.h"
#include "kernels/loader.h"
#include "kernels/loss.h"
#include "kernels/normalization.h"
#include "kernels/optimizer.h"
#include "kernels/pool.h"
#include "kernels/warp.h"
#include "kernels/weight_gradient.h"
#include "kernels/winograd.h"
#include "simd.h"

namespace {

// What this processor can do at most: independent multiply-adds on registers alone.
double multiply_add_peak(long rounds) {
    constexpr int CHAINS = 12;
    V sum[CHAINS];
    for (int k = 0; k < CHAINS; ++k) sum[k] = broadcast(float(k));  // equal chains would be merged into one
    V a = broadcast(0.999f), b = broadcast(1e-3f);
    for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; ++k) sum[k] = fma(sum[k], a, b);
        asm volatile("" : ANY_VECTOR(a), ANY_VECTOR(b));  // each round is done, nothing is taken out of the loop
    }
    float total = 0;
    for (int k = 0; k < CHAINS; ++k) total += sum[k][0];
    return total == -1.0f ? 0.0 : double(rounds) * CHAINS * VL;
}

}  // namespace

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

namespace smidgen {

const Kernels* KERNELS() {
    static const Kernels table = {
        STRINGIFY(KERNELS),
#if defined(__AVX2__) || defined(__ARM_NEON)
        true,
#else
        false,
#endif
        convolve, winograd_weights, weight_gradient, dense_gradient, max_pool, max_pool_backward, avg_pool,
        avg_pool_backward, dropout, channel_sums, channel_squares, normalize, normalize_sums, normalize_backward, prelu,
        prelu_backward, loss, optimize, load_bytes, load_floats, warp<uint8_t>, warp<float>, multiply_add_peak,
    };
    return &table;
}

}  // namespace smidgen
