// Constraints on weights during training: fixed weights, tied weights, and weights that are quantized to the levels of a
// codebook (quantization-aware training with a straight-through gradient).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace smidgen {

// One entry for each weight, in the order of the weights; an empty list constrains nothing. See Start and Projection in
// engine/start.py.
struct ConstraintSettings {
    std::vector<uint8_t> fixed;     // 1: the weight never changes
    std::vector<int32_t> tied;      // weights of one number share the sum of their gradients; -1: free
    std::vector<int32_t> codebook;  // the number of the weight's codebook; -1: not quantized
    std::vector<std::vector<float>> levels, costs;  // of each codebook; costs may be empty
};

class WeightConstraints {
   public:
    WeightConstraints() = default;

    // Throws std::invalid_argument if a length or a number does not fit.
    WeightConstraints(ConstraintSettings settings, ptrdiff_t parameters);

    bool quantize() const { return !settings_.codebook.empty(); }
    bool all_fixed(ptrdiff_t begin, ptrdiff_t end) const;  // all weights of [begin, end)

    // Writes the nearest level of each quantized weight, and the other weights as they are, to `quantized`.
    void project(const std::vector<float>& weights, std::vector<float>& quantized) const;

    // Adds the slope of the costs, sums over ties, and clears the gradient of fixed weights; in this order.
    void constrain_gradient(const std::vector<float>& weights, std::vector<float>& gradient);

   private:
    // A codebook, prepared for lookups. If its levels are about evenly spaced, a lookup starts from a guess.
    struct Codebook {
        Codebook(const std::vector<float>& levels, const std::vector<float>& costs);
        ptrdiff_t nearest(float weight) const;  // the number of the nearest level
        float cost_slope(const std::vector<float>& levels, float weight) const;

        std::vector<float> midpoints, slopes;  // slopes: below all levels, between each two, above all
        float first, per_step = 0;             // per_step: 1 / spacing, or 0 if the levels are not evenly spaced
    };

    void add_cost_slopes(const std::vector<float>& weights, std::vector<float>& gradient) const;
    void sum_ties(std::vector<float>& gradient);

    ConstraintSettings settings_;
    std::vector<Codebook> codebooks_;
    std::vector<float> sums_;
};

}  // namespace smidgen
