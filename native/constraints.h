// What weights are held to: fixed ones, ones that share a gradient, and the values that they may take.
#pragma once

#include <cstdint>
#include <vector>

namespace smidgen {

// By place in the weights; an empty list holds nothing. See Start and Projection in engine/__init__.py.
struct HoldRequest {
    std::vector<uint8_t> fixed;     // 1: the weight stays as it is
    std::vector<int32_t> tied;      // weights of one number share the sum of their gradients; -1: none
    std::vector<int32_t> codebook;  // the number of the weight's codebook; -1: free
    std::vector<std::vector<float>> levels, costs;  // of each codebook; costs may be empty
};

class Hold {
   public:
    Hold() = default;
    // Throws std::invalid_argument where a length or a number does not fit.
    Hold(HoldRequest request, long parameters);

    bool projects() const { return !request_.codebook.empty(); }
    bool is_fixed(long begin, long end) const;  // all weights of [begin, end)

    // Each weight's nearest level, and a free weight as it is.
    void project(const std::vector<float>& weights, std::vector<float>& projected) const;

    // The gradient that the optimizer gets: with the slope of the costs, summed where tied, zero where fixed.
    void change(const std::vector<float>& weights, std::vector<float>& gradient);

   private:
    // A codebook as it is looked up. Near which of its levels a weight lies is guessed where they lie about evenly.
    struct Book {
        Book(const std::vector<float>& levels, const std::vector<float>& costs);
        long nearest(float weight) const;  // the number of its level
        float slope(const std::vector<float>& levels, float weight) const;  // of the costs

        std::vector<float> midpoints, slopes;  // slopes: below all levels, between each two, above all
        float first, per_step = 0;             // per_step: 0 where levels do not lie evenly
    };

    HoldRequest request_;
    std::vector<Book> books_;
    std::vector<float> sums_;
};

}  // namespace smidgen
