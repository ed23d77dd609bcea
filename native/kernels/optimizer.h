// One step of an optimizer, elementwise. The formulas and their sources are in records/recipe.py.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace {

using smidgen::OptimizerKind;
using smidgen::OptimizerStep;

// Runs `step` on every weight in a plain loop, which the compiler vectorises. Without contraction every instruction set
// and every vector length rounds the same way.
template <typename F>
void each(const OptimizerStep& s, F step) {
    float *__restrict w = s.weights, *__restrict g = s.gradient, *__restrict a = s.first, *__restrict b = s.second;
#pragma GCC ivdep
    for (ptrdiff_t i = 0; i < s.count; ++i) {
        step(w[i], g[i], a[i], b[i]);
        g[i] = 0.0f;
    }
}

void optimize(const OptimizerStep& s) {
    const float rate = s.rate, momentum = s.momentum, rho = s.beta2, epsilon = s.epsilon;
    switch (s.kind) {
        case OptimizerKind::adam: {
            const float rest1 = 1.0f - momentum, rest2 = 1.0f - rho;
            const float scale = rate / s.correction1, inverse2 = 1.0f / s.correction2;
            return each(s, [=](float& w, float g, float& m, float& v) {
                m = momentum * m + rest1 * g;
                v = rho * v + rest2 * (g * g);
                w -= scale * m / (__builtin_sqrtf(v * inverse2) + epsilon);
            });
        }
        case OptimizerKind::sgd:
            return each(s, [=](float& w, float g, float& m, float&) {
                m = momentum * m + g;
                w -= rate * m;
            });
        case OptimizerKind::nesterov:
            return each(s, [=](float& w, float g, float& m, float&) {
                m = momentum * m + g;
                w -= rate * (g + momentum * m);
            });
        case OptimizerKind::rmsprop:
            return each(s, [=](float& w, float g, float&, float& v) {
                v = rho * v + (1.0f - rho) * (g * g);
                w -= rate * g / __builtin_sqrtf(v + epsilon);
            });
        case OptimizerKind::adadelta:
            return each(s, [=](float& w, float g, float& x, float& a) {
                a = rho * a + (1.0f - rho) * (g * g);
                const float d = g * __builtin_sqrtf(x + epsilon) / __builtin_sqrtf(a + epsilon);
                x = rho * x + (1.0f - rho) * (d * d);
                w -= rate * d;
            });
    }
}

}  // namespace
