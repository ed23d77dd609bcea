// Moves an image by an affine map: each new pixel is interpolated between four old ones, and is zero outside.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace {

using smidgen::Warp;

inline float value_of(uint8_t byte) { return float(int(byte)) * (1.0f / 255.0f); }
inline float value_of(float value) { return value; }

// Copies one channel into a frame of zeros, so that no position needs a test.
template <typename T>
void frame(const Warp& w, const T* image) {
    const ptrdiff_t row = w.width + 3;
    for (ptrdiff_t i = 0; i < (w.height + 3) * row; ++i) w.padded[i] = 0.0f;
    for (int y = 0; y < w.height; ++y)
        for (int x = 0; x < w.width; ++x) w.padded[(y + 1) * row + x + 1] = value_of(image[ptrdiff_t(y) * w.width + x]);
}

// Clips a position to [0, most]. NaN (which finite maps near 3e38 give, as inf - inf) fails every comparison and must not
// become an index: it ends at 0, which lies in the frame.
inline float clipped(float value, float most) { return value >= 0.0f ? (value > most ? most : value) : 0.0f; }

template <typename T>
void warp(const Warp& w, const T* image) {
    const ptrdiff_t row = w.width + 3, pixels = ptrdiff_t(w.height) * w.width;
    const float* m = w.map;
    for (int c = 0; c < w.channels; ++c, image += pixels) {
        frame(w, image);
        float* out = w.out + c * pixels;
        for (int y = 0; y < w.height; ++y)
            for (int x = 0; x < w.width; ++x) {
                const float fy = clipped(m[0] * float(y) + m[1] * float(x) + m[2] + 1.0f, float(w.height + 1));
                const float fx = clipped(m[3] * float(y) + m[4] * float(x) + m[5] + 1.0f, float(w.width + 1));
                const int top = int(fy), left = int(fx);
                const float down = fy - float(top), right = fx - float(left);
                const float* p = w.padded + top * row + left;
                const float upper = p[0] + (p[1] - p[0]) * right, lower = p[row] + (p[row + 1] - p[row]) * right;
                out[ptrdiff_t(y) * w.width + x] = upper + (lower - upper) * down;
            }
    }
}

}  // namespace
