// Losses and their gradients with respect to the logits. The definitions are in engine/losses.py.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace {

using smidgen::Loss;
using smidgen::LossKind;

// exp by range reduction and a polynomial (Cephes expf); relative error about 2e-7. The range bounds the integer n. A NaN
// passes both comparisons: whatever n it then gives only scales the polynomial, which is NaN, and n is no index.
inline V exponential(V x) {
    const V low = broadcast(-87.3f), high = broadcast(88.3f);
    x = x < low ? low : x > high ? high : x;
    const V scaled = x * 1.44269504088896341f + 0.5f;
    VI n = __builtin_convertvector(scaled, VI);
    V whole = __builtin_convertvector(n, V);
    n += whole > scaled;  // truncation rounds negative numbers up; a true comparison is -1
    whole = __builtin_convertvector(n, V);
    const V r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return (p * r * r + r + 1.0f) * (V)((n + 127) << 23);
}

// log of a positive normal number (Cephes logf).
inline V logarithm(V x) {
    VI bits = (VI)x;
    VI exponent = (bits >> 23) - 126;
    V m = (V)((bits & 0x7fffff) | 0x3f000000);
    const VI small = m < 0.707106781186547524f;
    exponent += small;
    m = small ? m + m - 1.0f : m - 1.0f;
    const V e = __builtin_convertvector(exponent, V), z = m * m;
    V p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return m + (m * z * p + e * -2.12194440e-4f - z * 0.5f) + e * 0.693359375f;
}

inline V log_of(V x) {
    const V least = broadcast(1.17549435e-38f);
    return logarithm(x > least ? x : least);
}

// Writes the softmax of logits / temperature to `out`; returns the log of the sum of exp(logits / temperature).
V softmax(const Loss& l, int lane, float temperature, float* out) {
    const V inverse = broadcast(1.0f / temperature);
    V most = load(l.logits + lane) * inverse, sum = {};
    for (int k = 1; k < l.classes; ++k) {
        const V z = load(l.logits + k * LANES + lane) * inverse;
        most = z > most ? z : most;
    }
    for (int k = 0; k < l.classes; ++k) {
        const V e = exponential(load(l.logits + k * LANES + lane) * inverse - most);
        store(out + k * LANES + lane, e);
        sum += e;
    }
    const V share = 1.0f / sum;
    for (int k = 0; k < l.classes; ++k) store(out + k * LANES + lane, load(out + k * LANES + lane) * share);
    return (sum > 0.0f ? logarithm(sum) : sum) + most;  // a NaN stays one
}

// Each of the following returns the loss of VL images and writes its gradient.
V label_loss(const Loss& l, int lane, float* gradient) {
    V loss = softmax(l, lane, 1.0f, gradient);
    for (int k = 0; k < VL; ++k) {
        const ptrdiff_t position = ptrdiff_t(l.labels[lane + k]) * LANES + lane + k;
        loss[k] -= l.logits[position];
        gradient[position] -= 1.0f;
    }
    return loss;
}

V kl_loss(const Loss& l, int lane, float* gradient) {
    const V log_sum = softmax(l, lane, l.temperature, gradient), t = broadcast(l.temperature);
    V loss = {};
    for (int k = 0; k < l.classes; ++k) {
        const int at = k * LANES + lane;
        const V target = load(l.targets + at);
        loss += target * (log_of(target) - (load(l.logits + at) / t - log_sum));
        store(gradient + at, (load(gradient + at) - target) * t);
    }
    return loss * t * t;
}

V squared_loss(const Loss& l, int lane, float* gradient) {
    const V share = broadcast(1.0f / float(l.classes));
    V loss = {};
    for (int k = 0; k < l.classes; ++k) {
        const int at = k * LANES + lane;
        const V inverse_std = broadcast(l.inverse_std[k]);
        const V error = (load(l.logits + at) - load(l.targets + at)) * inverse_std;
        loss += error * error;
        store(gradient + at, 2.0f * share * error * inverse_std);
    }
    return loss * share;
}

V probability_loss(const Loss& l, int lane, float* gradient) {
    softmax(l, lane, 1.0f, gradient);
    const V share = broadcast(1.0f / float(l.classes));
    V loss = {}, dot = {};
    for (int k = 0; k < l.classes; ++k) {
        const V p = load(gradient + k * LANES + lane), error = p - load(l.targets + k * LANES + lane);
        loss += error * error;
        dot += error * p;
    }
    for (int k = 0; k < l.classes; ++k) {
        const V p = load(gradient + k * LANES + lane), error = p - load(l.targets + k * LANES + lane);
        store(gradient + k * LANES + lane, 2.0f * share * p * (error - dot));
    }
    return loss * share;
}

// Zero for a gradient that moves no weight. Products of such gradients are denormal, and a processor takes a hundred cycles
// for each: a training whose loss is near zero would be many times slower. No processor's own mode of flushing is used:
// ARM's looks at a result before it is rounded, x86-64's after.
constexpr float TINY = 0x1p-100f;

V without_tiny(V gradient) { return (gradient < TINY) & (gradient > -TINY) ? V{} : gradient; }

V teacher_loss(const Loss& l, int lane, float* gradient) {
    switch (l.kind) {
        case LossKind::kl: return kl_loss(l, lane, gradient);
        case LossKind::squared: return squared_loss(l, lane, gradient);
        default: return probability_loss(l, lane, gradient);
    }
}

// scratch: [2][classes][16], the gradient by labels and the gradient by the teacher.
float loss(const Loss& l) {
    float losses[LANES];
    const bool labels_only = l.kind == LossKind::labels;
    const float label_share = labels_only ? 1.0f : l.label_weight;
    float *by_label = l.scratch, *by_teacher = l.scratch + ptrdiff_t(l.classes) * LANES;
    for (int lane = 0; lane < LANES; lane += VL) {
        V total = {};
        if (label_share > 0) total += label_loss(l, lane, by_label) * label_share;
        if (!labels_only) total += teacher_loss(l, lane, by_teacher) * (1.0f - label_share);
        store(losses + lane, total);
        V scale;
        for (int k = 0; k < VL; ++k) scale[k] = lane + k < l.lanes ? l.scale : 0.0f;
        for (int k = 0; k < l.classes; ++k) {
            const int at = k * LANES + lane;
            V gradient = {};
            if (label_share > 0) gradient += load(by_label + at) * label_share;
            if (!labels_only) gradient += load(by_teacher + at) * (1.0f - label_share);
            store(l.logits + at, without_tiny(gradient * scale));
        }
    }
    for (int lane = l.lanes; lane < LANES; ++lane) losses[lane] = 0.0f;
    return lane_sum(losses);
}

}  // namespace
