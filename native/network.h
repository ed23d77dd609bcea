// A network that trains and predicts: batches of images through the layers of a plan.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "plan.h"
#include "team.h"

namespace smidgen {

// Sixteen floats on a cache line of their own: a vector that straddles two costs twice.
struct alignas(64) Line {
    float values[LANES_PER_CHUNK];
};

struct Images {
    const uint8_t* bytes;  // [count][pixels], read as value / 255
    const float* floats;   // or this
    long count;
};

struct Examples {
    Images images;
    const int32_t* labels;     // [count]
    const float* targets;      // [count][classes], null for a loss on labels alone
    const float* inverse_std;  // [classes]
};

struct LossSettings {
    LossKind kind;
    float temperature, label_weight;
};

struct OptimizerSettings {
    OptimizerKind kind;
    float momentum, beta2, epsilon;
};

class Network {
   public:
    Network(Plan plan, const Kernels& kernels, int batch_size, int threads, uint64_t seed);

    const Plan& plan() const { return plan_; }
    int batch_size() const { return batch_size_; }
    int threads() const { return team_.size(); }
    std::vector<float>& weights() { return weights_; }
    const std::vector<float>& gradient() const { return gradient_; }

    // One optimizer step a batch, over the images named by order[0 .. count). Returns the sum of the
    // losses; stops at the first batch whose loss is not finite.
    double train(const Examples& examples, const uint32_t* order, long count, const float* rates,
                 const LossSettings& loss, const OptimizerSettings& optimizer);

    // The loss summed over one batch; its mean's gradient is left in gradient().
    double backpropagate(const Examples& examples, const uint32_t* order, int count, const LossSettings& loss);

    // logits: [count][classes]
    void predict(const Images& images, long first, long count, float* logits);

   private:
    // Which images a batch is made of, and what is learned from them.
    struct Batch {
        const Examples& examples;
        const uint32_t* order;
        int count;
        const LossSettings& loss;
    };

    float* chunk_memory(int chunk) {
        return memory_[0].values + (plan_.layered ? chunk : 0) * plan_.chunk_floats;
    }
    void load(const Images& images, const uint32_t* order, int count, float* memory);
    float* transformed(const Layer& layer, bool backward);
    void transform_weights();
    void convolve(const Layer& layer, Convolution convolution, float* scratch);
    void forward(const Layer& layer, float* memory, int chunks, bool training, uint64_t mask_seed, float* scratch);
    void backward(const Layer& layer, float* memory, float* gradient, int chunks, uint64_t mask_seed, float* scratch);
    void load_chunk(const Batch& batch, int chunk);
    void forward_chunk(int chunk, size_t first, size_t last, float* scratch);
    void backward_chunk(int chunk, size_t first, size_t last, float* gradient, float* scratch);
    double chunk_loss(const Batch& batch, int chunk, float* scratch);
    double by_chunk(const Batch& batch);
    double by_layer(const Batch& batch);
    void batched_forward(const Layer& layer, int chunks);
    void batched_backward(const Layer& layer, int chunks);
    void optimize(float rate, const OptimizerSettings& settings);
    void keep_logits(int chunk, long rows, float* logits);
    uint64_t mask_seed(int chunk, size_t layer) const;

    Plan plan_;
    const Kernels& kernels_;
    int batch_size_, chunks_;
    Team team_;
    uint64_t seed_;
    long step_ = 0;
    std::vector<float> weights_, gradient_, first_, second_;
    std::vector<Line> memory_;                      // of one chunk, or of all where the plan is layered
    std::vector<std::vector<float>> chunk_gradients_;  // layered: each chunk adds into its own, then all in order
    std::vector<Line> transformed_;                 // weights for Winograd's way, once a batch
    std::vector<std::vector<Line>> scratch_;        // one a thread
    long unbatched_ = 0;                            // parameters that stand in chunk_gradients_
};

}  // namespace smidgen
