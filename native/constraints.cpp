#include "hold.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace smidgen {
namespace {

void check(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

void check_numbers(const std::vector<int32_t>& numbers, long end, const char* what) {
    for (int32_t number : numbers) check(number >= -1 && number < end, what);
}

bool ascends(const std::vector<float>& levels) {
    bool rising = !levels.empty() && std::isfinite(levels.front()) && std::isfinite(levels.back());
    for (size_t i = 1; i < levels.size(); ++i) rising &= levels[i - 1] < levels[i];
    return rising;
}

bool is_even(const std::vector<float>& levels) {
    const double step = (double(levels.back()) - levels.front()) / double(levels.size() - 1);
    for (size_t i = 0; i < levels.size(); ++i)
        if (!(std::abs(levels[i] - (levels.front() + step * double(i))) < 0.25 * step)) return false;
    return true;
}

// How many of so many ascending bounds are passed, near a guess.
template <typename Passed>
long count(long bounds, float guess, const Passed& passed) {
    long found = guess > 0 ? long(std::min(guess, float(bounds))) : 0;
    while (found < bounds && passed(found)) ++found;
    while (found > 0 && !passed(found - 1)) --found;
    return found;
}

}  // namespace

long Hold::Book::nearest(float weight) const {
    if (per_step == 0) return std::lower_bound(midpoints.begin(), midpoints.end(), weight) - midpoints.begin();
    return count(long(midpoints.size()), (weight - first) * per_step + 0.5f,
                 [&](long i) { return midpoints[i] < weight; });
}

float Hold::Book::slope(const std::vector<float>& levels, float weight) const {
    if (per_step == 0) return slopes[std::upper_bound(levels.begin(), levels.end(), weight) - levels.begin()];
    return slopes[count(long(levels.size()), (weight - first) * per_step + 1.0f,
                        [&](long i) { return !(weight < levels[i]); })];
}

Hold::Book::Book(const std::vector<float>& levels, const std::vector<float>& costs) : first(levels.front()) {
    for (size_t i = 1; i < levels.size(); ++i) midpoints.push_back(0.5f * (levels[i - 1] + levels[i]));
    if (is_even(levels)) per_step = float(levels.size() - 1) / (levels.back() - levels.front());
    if (costs.empty()) return;
    slopes.assign(levels.size() + 1, 0.0f);
    for (size_t i = 1; i < levels.size(); ++i) slopes[i] = (costs[i] - costs[i - 1]) / (levels[i] - levels[i - 1]);
}

Hold::Hold(HoldRequest request, long parameters) : request_(std::move(request)) {
    const auto fits = [&](size_t length) { return length == 0 || long(length) == parameters; };
    check(fits(request_.fixed.size()) && fits(request_.tied.size()) && fits(request_.codebook.size()),
          "what is held has another length than the weights");
    check_numbers(request_.tied, parameters, "a tie must be numbered from 0, below the number of weights, or -1");
    check_numbers(request_.codebook, long(request_.levels.size()), "a weight names a codebook that is not there");
    check(request_.costs.empty() || request_.costs.size() == request_.levels.size(), "costs and levels differ in number");
    for (size_t book = 0; book < request_.levels.size(); ++book) {
        const std::vector<float>& levels = request_.levels[book];
        check(ascends(levels), "the levels of a codebook must be finite and ascend");
        check(request_.costs.empty() || request_.costs[book].size() == levels.size(), "costs and levels differ in length");
        books_.emplace_back(levels, request_.costs.empty() ? std::vector<float>() : request_.costs[book]);
    }
    if (!request_.tied.empty()) sums_.resize(*std::max_element(request_.tied.begin(), request_.tied.end()) + 1);
}

bool Hold::is_fixed(long begin, long end) const {
    if (request_.fixed.empty()) return false;
    return std::all_of(request_.fixed.begin() + begin, request_.fixed.begin() + end, [](uint8_t f) { return f != 0; });
}

void Hold::project(const std::vector<float>& weights, std::vector<float>& projected) const {
    for (size_t k = 0; k < weights.size(); ++k) {
        const int32_t book = request_.codebook[k];
        if (book < 0) {
            projected[k] = weights[k];
            continue;
        }
        projected[k] = request_.levels[book][books_[book].nearest(weights[k])];
    }
}

void Hold::change(const std::vector<float>& weights, std::vector<float>& gradient) {
    for (size_t k = 0; k < weights.size() && !request_.costs.empty(); ++k) {
        const int32_t book = request_.codebook[k];
        if (book < 0) continue;
        gradient[k] += books_[book].slope(request_.levels[book], weights[k]);
    }
    if (!request_.tied.empty()) {
        std::fill(sums_.begin(), sums_.end(), 0.0f);
        for (size_t k = 0; k < gradient.size(); ++k)
            if (request_.tied[k] >= 0) sums_[request_.tied[k]] += gradient[k];
        for (size_t k = 0; k < gradient.size(); ++k)
            if (request_.tied[k] >= 0) gradient[k] = sums_[request_.tied[k]];
    }
    for (size_t k = 0; k < request_.fixed.size(); ++k)
        if (request_.fixed[k]) gradient[k] = 0.0f;
}

}  // namespace smidgen
