// A network that trains and predicts: batches of images through the layers of a plan.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "hold.h"
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
    const float* warps;        // [images][2][3], null: the images as they are
};

struct LossSettings {
    LossKind kind;
    float temperature, label_weight;
};

struct OptimizerSettings {
    OptimizerKind kind;
    float momentum, beta2, epsilon;
    float average;  // the decay of the average of the weights that is kept; 0: the last weights are
};

class Network {
   public:
    Network(Plan plan, const Kernels& kernels, int batch_size, int threads, uint64_t seed);

    const Plan& plan() const { return plan_; }
    int batch_size() const { return batch_size_; }
    int threads() const { return team_->size(); }
    const std::vector<float>& gradient() const { return gradient_; }

    // From the next batch on, so many threads share one; no bit depends on it.
    void share(int threads);

    // Start from these weights, of which there are plan().parameters, held to what is asked.
    void start(const float* weights, HoldRequest request);

    // The weights that are kept: the average where one is taken, at their levels where they have some.
    std::vector<float> kept() const;

    // One optimizer step a batch, over the images named by order[0 .. count). Returns the sum of the
    // losses; stops at the first batch whose loss is not finite.
    double train(const Examples& examples, const uint32_t* order, long count, const float* rates,
                 const LossSettings& loss, const OptimizerSettings& optimizer);

    // The loss summed over one batch; its mean's gradient is left in gradient().
    double backpropagate(const Examples& examples, const uint32_t* order, int count, const LossSettings& loss,
                         long following = 0);

    // logits: [count][classes]
    void predict(const Images& images, long first, long count, float* logits);

   private:
    // Which images a batch is made of, and what is learned from them.
    struct Batch {
        const Examples& examples;
        const uint32_t* order;
        int count;
        long following;  // images that the order names after these
        const LossSettings& loss;

        int chunks() const { return (count + LANES_PER_CHUNK - 1) / LANES_PER_CHUNK; }
        int lanes(int chunk) const { return std::min(LANES_PER_CHUNK, count - chunk * LANES_PER_CHUNK); }
    };

    float* chunk_memory(int chunk) {
        return memory_[0].values + (plan_.layered ? chunk : 0) * plan_.chunk_floats;
    }
    const std::vector<float>& used() const { return hold_.projects() ? projected_ : weights_; }
    void load(const Images& images, const uint32_t* order, int count, float* memory);
    void load_moved(const Examples& examples, const uint32_t* order, int count, float* memory, float* scratch);
    template <typename T>
    void load_rows(const T** rows, float* memory);
    float* transformed(const Layer& layer, bool backward);
    void transform_weights();
    void convolve(const Layer& layer, Convolution convolution, float* scratch);
    void forward(const Layer& layer, float* memory, int chunks, bool training, uint64_t mask_seed, float* scratch);
    void backward(const Layer& layer, float* memory, float* gradient, int chunks, uint64_t mask_seed, float* scratch);
    void load_chunk(const Batch& batch, int chunk, float* scratch);
    std::vector<float> channel_means(const Layer& layer, const Batch& batch, int sums,
                                     const std::function<void(int chunk, float* sums)>& add);
    Normalization normalization(const Layer& layer, const Batch& batch, int chunk);
    void normalize_forward(const Layer& layer, const Batch& batch);
    void normalize_backward(const Layer& layer, const Batch& batch);
    void forward_chunk(int chunk, size_t first, size_t last, float* scratch);
    void backward_chunk(int chunk, size_t first, size_t last, float* gradient, float* scratch);
    double chunk_loss(const Batch& batch, int chunk, float* scratch);
    double by_chunk(const Batch& batch);
    double by_layer(const Batch& batch);
    void whole_forward(const Layer& layer, const Batch& batch);
    void whole_backward(const Layer& layer, const Batch& batch);
    void batched_forward(const Layer& layer, int chunks);
    void batched_backward(const Layer& layer, int chunks);
    void optimize(float rate, const OptimizerSettings& settings);
    void average(float decay);
    void keep_logits(int chunk, long rows, float* logits);
    uint64_t mask_seed(int chunk, size_t layer) const;

    Plan plan_;
    const Kernels& kernels_;
    int batch_size_, chunks_;
    std::unique_ptr<Team> team_;
    uint64_t seed_;
    long step_ = 0;
    std::vector<float> weights_, gradient_, first_, second_;
    Hold hold_;
    std::vector<float> projected_;  // the weights at their levels, where they have some
    std::vector<float> average_;    // of the weights, where one is taken
    size_t first_trained_ = 0;      // layers below have no weights, or fixed ones: nobody needs their gradients
    std::vector<Line> memory_;                      // of one chunk, or of all where the plan is layered
    std::vector<std::vector<float>> chunk_gradients_;  // layered: each chunk adds into its own, then all in order
    std::vector<Line> transformed_;                 // weights for Winograd's way, once a batch
    std::vector<float> statistics_;                 // of the batch norms, see Layer::statistics
    std::vector<std::vector<Line>> scratch_;        // one a thread
    long unbatched_ = 0;                            // parameters that stand in chunk_gradients_
};

}  // namespace smidgen
