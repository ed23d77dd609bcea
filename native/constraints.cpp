#include "constraints.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace smidgen {
namespace {

void check(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

void check_numbers(const std::vector<int32_t>& numbers, ptrdiff_t end, const char* message) {
    for (int32_t number : numbers) check(number >= -1 && number < end, message);
}

bool ascends(const std::vector<float>& levels) {
    bool rising = !levels.empty() && std::isfinite(levels.front()) && std::isfinite(levels.back());
    for (size_t i = 1; i < levels.size(); ++i) rising &= levels[i - 1] < levels[i];
    return rising;
}

// Whether a level is found near where even spacing puts it. A single level divides 0 by 0: NaN fails the comparison.
bool is_even(const std::vector<float>& levels) {
    const double step = (double(levels.back()) - levels.front()) / double(levels.size() - 1);
    for (size_t i = 0; i < levels.size(); ++i)
        if (!(std::abs(levels[i] - (levels.front() + step * double(i))) < 0.25 * step)) return false;
    return true;
}

// The number of ascending bounds that are passed, of `bounds`, searched from a guess. NaN fails every comparison and must
// not become an index: the search then starts at 0. A guess above `bounds` is cut to it after it has become an integer,
// because float(bounds) may round up.
template <typename Passed>
ptrdiff_t count_passed(ptrdiff_t bounds, float guess, const Passed& passed) {
    ptrdiff_t found = guess > 0 ? std::min(ptrdiff_t(std::min(guess, float(bounds))), bounds) : 0;
    while (found < bounds && passed(found)) ++found;
    while (found > 0 && !passed(found - 1)) --found;
    return found;
}

}  // namespace

ptrdiff_t WeightConstraints::Codebook::nearest(float weight) const {
    if (per_step == 0) return std::lower_bound(midpoints.begin(), midpoints.end(), weight) - midpoints.begin();
    return count_passed(ptrdiff_t(midpoints.size()), (weight - first) * per_step + 0.5f,
                        [&](ptrdiff_t i) { return midpoints[i] < weight; });
}

float WeightConstraints::Codebook::cost_slope(const std::vector<float>& levels, float weight) const {
    if (per_step == 0) return slopes[std::upper_bound(levels.begin(), levels.end(), weight) - levels.begin()];
    return slopes[count_passed(ptrdiff_t(levels.size()), (weight - first) * per_step + 1.0f,
                               [&](ptrdiff_t i) { return !(weight < levels[i]); })];
}

WeightConstraints::Codebook::Codebook(const std::vector<float>& levels, const std::vector<float>& costs)
    : first(levels.front()) {
    for (size_t i = 1; i < levels.size(); ++i) midpoints.push_back(0.5f * (levels[i - 1] + levels[i]));
    if (is_even(levels)) per_step = float(levels.size() - 1) / (levels.back() - levels.front());
    if (costs.empty()) return;
    slopes.assign(levels.size() + 1, 0.0f);
    for (size_t i = 1; i < levels.size(); ++i) slopes[i] = (costs[i] - costs[i - 1]) / (levels[i] - levels[i - 1]);
}

WeightConstraints::WeightConstraints(ConstraintSettings settings, ptrdiff_t parameters)
    : settings_(std::move(settings)) {
    const auto& [fixed, tied, codebook, levels, costs] = settings_;
    const auto fits = [&](size_t length) { return length == 0 || ptrdiff_t(length) == parameters; };
    check(fits(fixed.size()) && fits(tied.size()) && fits(codebook.size()),
          "fixed, tied and codebook must have one entry for each weight");
    check_numbers(tied, parameters, "tied must have numbers from 0 to the number of weights - 1, or -1");
    check_numbers(codebook, ptrdiff_t(levels.size()), "codebook names a codebook that does not exist");
    check(costs.empty() || costs.size() == levels.size(), "costs and levels differ in number");
    for (size_t book = 0; book < levels.size(); ++book) {
        check(ascends(levels[book]), "the levels of a codebook must be finite and ascend");
        check(costs.empty() || costs[book].size() == levels[book].size(), "costs and levels differ in length");
        codebooks_.emplace_back(levels[book], costs.empty() ? std::vector<float>() : costs[book]);
    }
    if (!tied.empty()) sums_.resize(size_t(ptrdiff_t(*std::max_element(tied.begin(), tied.end())) + 1));
}

bool WeightConstraints::all_fixed(ptrdiff_t begin, ptrdiff_t end) const {
    const std::vector<uint8_t>& fixed = settings_.fixed;
    if (fixed.empty()) return false;
    return std::all_of(fixed.begin() + begin, fixed.begin() + end, [](uint8_t f) { return f != 0; });
}

void WeightConstraints::project(const std::vector<float>& weights, std::vector<float>& quantized) const {
    for (size_t k = 0; k < weights.size(); ++k) {
        const int32_t book = settings_.codebook[k];
        quantized[k] = book < 0 ? weights[k] : settings_.levels[book][codebooks_[book].nearest(weights[k])];
    }
}

void WeightConstraints::constrain_gradient(const std::vector<float>& weights, std::vector<float>& gradient) {
    add_cost_slopes(weights, gradient);
    sum_ties(gradient);
    for (size_t k = 0; k < settings_.fixed.size(); ++k)
        if (settings_.fixed[k]) gradient[k] = 0.0f;
}

void WeightConstraints::add_cost_slopes(const std::vector<float>& weights, std::vector<float>& gradient) const {
    if (settings_.costs.empty()) return;
    for (size_t k = 0; k < settings_.codebook.size(); ++k) {
        const int32_t book = settings_.codebook[k];
        if (book >= 0) gradient[k] += codebooks_[book].cost_slope(settings_.levels[book], weights[k]);
    }
}

void WeightConstraints::sum_ties(std::vector<float>& gradient) {
    const std::vector<int32_t>& tied = settings_.tied;
    std::fill(sums_.begin(), sums_.end(), 0.0f);
    for (size_t k = 0; k < tied.size(); ++k)
        if (tied[k] >= 0) sums_[tied[k]] += gradient[k];
    for (size_t k = 0; k < tied.size(); ++k)
        if (tied[k] >= 0) gradient[k] = sums_[tied[k]];
}

}  // namespace smidgen
