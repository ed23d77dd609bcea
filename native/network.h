// A network that trains and predicts: batches of images through the layers of a plan.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "aligned_floats.h"
#include "batch_loader.h"
#include "constraints.h"
#include "kernel_calls.h"
#include "kernels/kernels.h"
#include "plan.h"
#include "thread_team.h"

namespace smidgen {

struct TrainingExamples {
    Images images;
    const int32_t* labels;     // [images]
    const float* targets;      // [images][classes] of a teacher; null for a loss on labels alone
    const float* inverse_std;  // [classes], of the targets; null for a loss on labels alone
};

struct LossSettings {
    LossKind kind;
    float temperature = 1.0f, label_weight = 0.0f;
};

struct OptimizerSettings {
    OptimizerKind kind;
    float momentum = 0.0f, beta2 = 0.0f, epsilon = 0.0f;
};

// The examples of one or more batches: order[0 .. count), each image moved by its affine map if there are maps.
struct TrainingOrder {
    const uint32_t* images;
    ptrdiff_t count;
    const float* affine_maps = nullptr;  // [images][2][3]; null: the images are not moved
};

// The network needs more memory than the machine has.
struct NotEnoughMemory : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Network {
   public:
    // Throws NotEnoughMemory.
    Network(Plan plan, const Kernels& kernels, int batch_size, int threads, uint64_t seed);

    const Plan& plan() const { return plan_; }
    int batch_size() const { return batch_size_; }
    int threads() const { return team_->size(); }
    const std::vector<float>& gradient() const { return gradient_; }

    // Sets the number of threads that share a batch, from the next batch on. No bit depends on it.
    void set_threads(int threads);

    // Sets the first weights, of which there are plan().parameters, and their constraints.
    void start(const float* weights, ConstraintSettings constraints);

    // The trained weights: their average if one is taken, quantized if they are constrained to levels.
    std::vector<float> trained_weights() const;

    // Takes one optimizer step a batch. Returns the sum of the losses; stops with NaN at the first batch whose loss is not
    // finite. rates: one learning rate a batch. average: the decay of the average of the weights; 0: no average is taken.
    double train(const TrainingExamples& examples, const TrainingOrder& order, const float* rates,
                 const LossSettings& loss, const OptimizerSettings& optimizer, float average);

    // Returns the loss summed over one batch; leaves the gradient of its mean in gradient(). following: images that
    // `order` names after this batch.
    double backpropagate(const TrainingExamples& examples, const TrainingOrder& order, const LossSettings& loss,
                         ptrdiff_t following = 0);

    // Writes the outputs for `count` images from `first` on: [count][outputs].
    void predict(const Images& images, ptrdiff_t first, ptrdiff_t count, float* outputs);

   private:
    struct Batch {
        const TrainingExamples& examples;
        const TrainingOrder& order;
        int count;
        ptrdiff_t following;
        const LossSettings& loss;

        int chunks() const { return (count + LANES - 1) / LANES; }
        int images_in(int chunk) const { return std::min(LANES, count - chunk * LANES); }
    };

    // Where a thread has the maps of a chunk: a layered plan keeps those of all chunks, any other one chunk a thread.
    float* chunk_memory(int chunk, int thread = 0) {
        return memory_.data() + (plan_.layered ? chunk : thread) * plan_.chunk_floats;
    }
    float* scratch(int thread) { return scratch_[thread].data(); }
    const std::vector<float>& used_weights() const { return constraints_.quantize() ? quantized_ : weights_; }
    uint64_t mask_seed(int chunk, size_t layer) const;

    // One layer of one chunk, or of several with a dense layer.
    float* transformed(const Layer& layer, bool backward);
    void transform_weights();
    void convolve(const Layer& layer, Convolution convolution, float* scratch);
    void forward(const Layer& layer, float* memory, int chunks, bool training, uint64_t mask_seed, float* scratch);
    void backward(const Layer& layer, float* memory, float* gradient, uint64_t mask_seed, float* scratch);
    void own_gradients(const Layer& layer, float* memory, float* gradient, uint64_t mask_seed, float* scratch);
    void copy_inputs(const Layer& layer, float* memory);
    void sum_gradients(const Layer& layer, float* memory);

    // Several layers of one chunk.
    void load_chunk(const Batch& batch, int chunk, int thread);
    void forward_chunk(int chunk, size_t first, size_t last, int thread);
    void backward_chunk(int chunk, size_t first, size_t last, float* gradient, int thread);
    double chunk_loss(const Batch& batch, int chunk, int thread);
    double loss_of_logits(const Batch& batch, int chunk, float* logits, float* scratch);
    void copy_outputs(int chunk, ptrdiff_t rows, float* outputs);

    // Whole batches.
    double backpropagate_by_chunk(const Batch& batch);
    double backpropagate_by_layer(const Batch& batch);
    double loss_of_batch(const Batch& batch);
    void forward_by_layer(const Batch& batch);
    void backward_by_layer(const Batch& batch);
    void add_chunk_gradients();
    void batched_forward(const Layer& layer, int chunks);
    void batched_weight_gradient(const Layer& layer, int chunks);
    void batched_input_gradient(const Layer& layer, int chunks);
    void predict_block(const Images& images, ptrdiff_t first, ptrdiff_t count, float* outputs);

    // Layers whose channels do not meet, in channels.cpp.
    void forward_by_channel(const Batch& batch, size_t first, size_t last);
    void backward_by_channel(const Batch& batch, size_t first, size_t last);
    void convolve_forward(const Layer& layer, const Batch& batch, ptrdiff_t channel);
    void convolve_backward(const Layer& layer, const Batch& batch, ptrdiff_t channel);

    // Batch norm, in batch_norm.cpp.
    ptrdiff_t ahead(const MapLayout& map, const Batch& batch, int chunk) const;
    Normalization normalization(const Layer& layer, const Batch& batch, int chunk, ptrdiff_t channel);
    float channel_mean(const Layer& layer, const Batch& batch, ptrdiff_t channel, const float* centre);
    std::array<float, 2> gradient_means(const Layer& layer, const Batch& batch, ptrdiff_t channel, double values);
    void normalize_forward(const Layer& layer, const Batch& batch, ptrdiff_t channel);
    void normalize_backward(const Layer& layer, const Batch& batch, ptrdiff_t channel);

    void optimize(float rate, const OptimizerSettings& settings);
    void update_average(float decay);

    Plan plan_;
    const Kernels& kernels_;
    BatchLoader loader_;
    int batch_size_, chunks_;
    std::unique_ptr<ThreadTeam> team_;
    uint64_t seed_;
    int64_t step_ = 0;
    std::vector<float> weights_, gradient_;
    std::vector<float> first_, second_;  // the optimizer's running means
    WeightConstraints constraints_;
    std::vector<float> quantized_;  // the weights at their levels; empty without constraints
    std::vector<float> average_;    // of the weights; empty if none is taken
    AlignedFloats memory_;          // of one chunk a thread, or of all chunks of a layered plan
    std::vector<std::vector<float>> chunk_gradients_;  // of a layered or parallel plan: each chunk adds into its own
    AlignedFloats transformed_;                        // weights for Winograd's algorithm, once a batch
    std::vector<float> batch_statistics_;              // of the batch norms, see Layer::batch_statistics
    std::vector<AlignedFloats> scratch_;               // one a thread
};

}  // namespace smidgen
