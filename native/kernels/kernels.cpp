// The kernels of one instruction set: compiled once for each, with -DKERNELS=kernels_v4 and the like.
#include "kernels.h"

#include "convolution.h"
#include "dense_gradient.h"
#include "depthwise.h"
#include "dropout.h"
#include "loader.h"
#include "loss.h"
#include "normalization.h"
#include "optimizer.h"
#include "pool.h"
#include "prelu.h"
#include "residual.h"
#include "simd.h"
#include "warp.h"
#include "weight_gradient.h"
#include "winograd.h"

namespace {

// The most that this processor can do: independent multiply-adds on registers alone.
double multiply_add_peak(int64_t rounds) {
    constexpr int CHAINS = 12;
    V sum[CHAINS];
    for (int k = 0; k < CHAINS; ++k) sum[k] = broadcast(float(k));  // the compiler would merge equal chains into one
    V a = broadcast(0.999f), b = broadcast(1e-3f);
    for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; ++k) sum[k] = fma(sum[k], a, b);
        asm volatile("" : ANY_VECTOR(a), ANY_VECTOR(b));  // keeps every round, and nothing is moved out of the loop
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
        .name = STRINGIFY(KERNELS),
        .fused = FUSED_MULTIPLY_ADD,
        .convolve = convolve,
        .convolve_channels = convolve_channels,
        .winograd_weights = winograd_weights,
        .weight_gradient = weight_gradient,
        .dense_gradient = dense_gradient,
        .max_pool = max_pool,
        .max_pool_backward = max_pool_backward,
        .avg_pool = avg_pool,
        .avg_pool_backward = avg_pool_backward,
        .dropout = dropout,
        .channel_sums = channel_sums,
        .channel_squares = channel_squares,
        .normalize = normalize,
        .normalize_sums = normalize_sums,
        .normalize_backward = normalize_backward,
        .prelu = prelu,
        .prelu_backward = prelu_backward,
        .crelu = crelu,
        .crelu_backward = crelu_backward,
        .add = add,
        .add_backward = add_backward,
        .loss = loss,
        .optimize = optimize,
        .load_bytes = load_bytes,
        .load_floats = load_floats,
        .warp_bytes = warp<uint8_t>,
        .warp_floats = warp<float>,
        .multiply_add_peak = multiply_add_peak,
    };
    return &table;
}

}  // namespace smidgen
