// Trains random networks and prints a digest of the bits of each: `make test-arm64` compares those of two processors.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "../../native/network.h"

namespace smidgen {
const Kernels* KERNELS();
}

using namespace smidgen;

namespace {

constexpr int NETWORKS = 120, IMAGES = 70, CLASSES = 10, BATCH = 32;

// A generator without libm, whose numbers are the same everywhere.
struct Draw {
    uint64_t state;

    uint32_t next() {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return uint32_t(state >> 33);
    }
    int below(int limit) { return int(next() % uint32_t(limit)); }
    bool often() { return below(3) > 0; }
    float weight() { return float(below(4001) - 2000) / 4096.0f; }
};

LayerRequest map_layer(Draw& draw) {
    const float slope = draw.often() ? 0.0f : 0.125f, ceiling = draw.often() ? NO_CEILING : 6.0f;
    const ptrdiff_t y = 1 + draw.below(4), x = 1 + draw.below(4), stride = draw.often() ? 1 : 2;
    switch (draw.below(8)) {
        case 0: return {.kind = LayerKind::max_pool, .kernel_y = 2, .kernel_x = 2, .stride_y = 2, .stride_x = 2};
        case 1: return {.kind = LayerKind::avg_pool, .kernel_y = 2, .kernel_x = 2, .stride_y = 2, .stride_x = 2};
        case 2: return {.kind = LayerKind::depthwise, .kernel_y = y, .kernel_x = x, .stride_y = stride, .stride_x = stride,
                        .same = draw.often(), .bias = true, .slope = slope, .ceiling = ceiling};
        case 3: return {.kind = LayerKind::batch_norm};
        case 4: return {.kind = LayerKind::prelu};
        case 5: return {.kind = LayerKind::crelu};
        default: return {.kind = LayerKind::conv, .out = 1 + draw.below(12), .kernel_y = y, .kernel_x = x,
                         .stride_y = stride, .stride_x = stride, .same = draw.often(), .bias = draw.often(),
                         .slope = slope, .ceiling = ceiling};
    }
}

std::vector<LayerRequest> network(Draw& draw) {
    std::vector<LayerRequest> layers;
    for (int k = draw.below(5); k >= 0; --k) layers.push_back(map_layer(draw));
    if (draw.often()) layers.push_back({.kind = LayerKind::dense, .out = 1 + draw.below(200), .bias = true, .slope = 0.0f});
    if (!draw.often()) layers.push_back({.kind = LayerKind::dropout, .rate = 0.25f});
    layers.push_back({.kind = LayerKind::dense, .out = CLASSES, .bias = true});
    return layers;
}

struct Data {
    std::vector<uint8_t> bytes;
    std::vector<int32_t> labels;
    std::vector<float> targets, inverse_std = std::vector<float>(CLASSES, 0.5f);
    std::vector<uint32_t> order;

    Data(Draw& draw, const Size& input) : bytes(size_t(IMAGES * input.values())), targets(IMAGES * CLASSES) {
        for (uint8_t& byte : bytes) byte = uint8_t(draw.below(256));
        for (int n = 0; n < IMAGES; ++n) {
            labels.push_back(draw.below(CLASSES));
            order.push_back(uint32_t(draw.below(IMAGES)));
            float total = 0;
            for (int c = 0; c < CLASSES; ++c) total += targets[size_t(n * CLASSES + c)] = float(1 + draw.below(64));
            for (int c = 0; c < CLASSES; ++c) targets[size_t(n * CLASSES + c)] /= total;
        }
    }
};

// FNV-1a over the bits. A NaN counts as one value: its sign and payload differ between processors.
uint64_t digest(const std::vector<float>& values) {
    uint64_t sum = 14695981039346656037u;
    for (float value : values) {
        uint32_t bits = 0x7fc00000;
        if (value == value) std::memcpy(&bits, &value, 4);
        for (int k = 0; k < 4; ++k) sum = (sum ^ ((bits >> (8 * k)) & 255)) * 1099511628211u;
    }
    return sum;
}

// Returns whether the network is possible; most random ones are.
bool run(int number) {
    Draw draw{uint64_t(number)};
    const Size input{1 + draw.below(3), 3 + draw.below(26), 3 + draw.below(26)};
    const auto layers = network(draw);
    const auto loss = LossKind(number % 4);
    const auto optimizer = OptimizerKind(number % 5);
    try {
        Network net(Plan(layers, input, Purpose::training), *KERNELS(), BATCH, 1 + number % 3, uint64_t(number));
        std::vector<float> weights(size_t(net.plan().parameters));
        for (float& weight : weights) weight = draw.weight();
        net.start(weights.data(), {});
        const Data data(draw, input);
        const Images images{data.bytes.data(), nullptr, IMAGES};
        const std::vector<float> rates(3, 1.0f / 512);
        const double sum = net.train({images, data.labels.data(), data.targets.data(), data.inverse_std.data()},
                                     {data.order.data(), IMAGES}, rates.data(), {loss, 2.0f, 0.25f},
                                     {optimizer, 0.9f, 0.99f, 1e-6f}, number % 2 ? 0.5f : 0.0f);
        std::vector<float> logits(IMAGES * CLASSES);
        net.predict(images, 0, IMAGES, logits.data());
        std::printf("%d %zu layers, %zu weights, loss %.17g, weights %016llx, logits %016llx\n", number, layers.size(),
                    weights.size(), sum == sum ? sum : 0.0, static_cast<unsigned long long>(digest(net.trained_weights())),
                    static_cast<unsigned long long>(digest(logits)));
        return true;
    } catch (const std::invalid_argument&) {
        return false;
    }
}

}  // namespace

int main() {
    int possible = 0;
    for (int number = 0; number < NETWORKS; ++number) possible += run(number);
    std::printf("%d networks\n", possible);
    return possible > NETWORKS / 3 ? 0 : 1;
}
