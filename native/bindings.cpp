// The native core for Python: arrays and small structs in, arrays out. Training and prediction release the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <chrono>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "network.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace smidgen;

namespace {

constexpr int MAX_BATCH = 1 << 24, MAX_THREADS = 1 << 10;

template <typename T, typename... Options>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu, Options...>;
template <typename T, typename... Options>
using Output = nb::ndarray<T, nb::c_contig, nb::device::cpu, Options...>;
using ImageArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using FloatArrays = std::vector<Array<float, nb::ndim<1>>>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

#if defined(__clang__)
constexpr const char* COMPILER = "clang " __clang_version__;
#else
constexpr const char* COMPILER = "GCC " __VERSION__;
#endif

// --- instruction sets ------------------------------------------------------------------------------

struct InstructionSet {
    const char* name;
    const Kernels* kernels;
    bool available;
};

#if defined(__x86_64__)
// The features that the levels are made of, which compilers name alike; a compiler knows the levels' own names from
// GCC 12 and clang 18 on. Every processor with BMI2 and FMA has the rest of v3 (F16C, LZCNT, MOVBE) too.
bool has_v2() { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"); }
bool has_v3() {
    return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
bool has_v4() {
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

// Those that were compiled in, best first.
const std::vector<InstructionSet>& compiled_sets() {
    static const std::vector<InstructionSet> all = {
#if defined(SMIDGEN_GENERIC)
        {.name = "generic", .kernels = kernels_generic(), .available = true},
#elif defined(__x86_64__)
        {.name = "v4", .kernels = kernels_v4(), .available = has_v4()},
        {.name = "v3", .kernels = kernels_v3(), .available = has_v3()},
        {.name = "v2", .kernels = kernels_v2(), .available = has_v2()},
#else
        {.name = "neon", .kernels = kernels_neon(), .available = true},
#endif
    };
    return all;
}

// The named set, or the best of this processor for "".
const Kernels& kernels_of(const std::string& name) {
    for (const InstructionSet& set : compiled_sets())
        if (set.available && (name.empty() || name == set.name)) return *set.kernels;
    throw std::invalid_argument("this processor has no instruction set '" + name + "'");
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const InstructionSet& set : compiled_sets())
        if (set.available) names.push_back(set.name);
    return names;
}

double multiply_add_peak(const std::string& instruction_set, int64_t rounds) {
    const auto start = std::chrono::steady_clock::now();
    const double done = kernels_of(instruction_set).multiply_add_peak(rounds);
    return done / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// --- arrays ----------------------------------------------------------------------------------------

template <typename T>
using OptionalVector = std::optional<Array<T, nb::ndim<1>>>;

template <typename T>
std::vector<T> vector_of(const OptionalVector<T>& array) {
    return array ? std::vector<T>(array->data(), array->data() + array->shape(0)) : std::vector<T>();
}

std::vector<std::vector<float>> vectors_of(const FloatArrays& arrays) {
    std::vector<std::vector<float>> all;
    for (const auto& array : arrays) all.emplace_back(array.data(), array.data() + array.shape(0));
    return all;
}

Images images_of(const ImageArray& array, const Plan& plan) {
    require(array.ndim() >= 2 && array.size() == array.shape(0) * size_t(plan.input.values()),
            "images must have the network's input shape");
    const bool bytes = array.dtype() == nb::dtype<uint8_t>();
    require(bytes || array.dtype() == nb::dtype<float>(), "images must be uint8 or float32");
    return {.bytes = bytes ? static_cast<const uint8_t*>(array.data()) : nullptr,
            .floats = bytes ? nullptr : static_cast<const float*>(array.data()),
            .count = ptrdiff_t(array.shape(0))};
}

// --- what a network learns from ----------------------------------------------------------------------

// Keeps the arrays of the examples alive. Their values are checked each time that an order names them.
struct ExampleArrays {
    ImageArray images;
    Array<int32_t, nb::ndim<1>> labels;
    std::optional<Array<float, nb::ndim<2>>> targets;
    OptionalVector<float> inverse_std;

    TrainingExamples checked(const Plan& plan) const {
        const TrainingExamples examples{.images = images_of(images, plan),
                                        .labels = labels.data(),
                                        .targets = targets ? targets->data() : nullptr,
                                        .inverse_std = inverse_std ? inverse_std->data() : nullptr};
        const size_t count = size_t(examples.images.count), classes = size_t(plan.classes);
        require(labels.shape(0) == count, "labels and images differ in number");
        require(!targets || (targets->shape(0) == count && targets->shape(1) == classes),
                "targets must be [images, classes]");
        require(!inverse_std || inverse_std->shape(0) == classes, "inverse_std must be [classes]");
        return examples;
    }
};

using OrderArray = Array<uint32_t, nb::ndim<1>>;
using MapsArray = std::optional<Array<float, nb::shape<-1, 2, 3>>>;

// Checks every value that leads to an index, so that none can leave its array.
TrainingOrder checked_order(const TrainingExamples& examples, const Plan& plan, const OrderArray& order,
                            const MapsArray& affine_maps) {
    const size_t count = size_t(examples.images.count);
    const float* maps = affine_maps ? affine_maps->data() : nullptr;
    require(!maps || affine_maps->shape(0) == count, "affine_maps must be [images, 2, 3]");
    for (size_t i = 0; i < order.shape(0); ++i) {
        const size_t image = order.data()[i];
        require(image < count, "the order names an image that does not exist");
        const int32_t label = examples.labels[image];
        require(label >= 0 && label < plan.classes, "a label is not a class of the network");
        for (size_t k = 6 * image; maps && k < 6 * image + 6; ++k)
            require(std::isfinite(maps[k]), "an affine map is not finite");
    }
    return {.images = order.data(), .count = ptrdiff_t(order.shape(0)), .affine_maps = maps};
}

void check_loss(const LossSettings& loss, const TrainingExamples& examples) {
    require(loss.kind == LossKind::labels || examples.targets, "this loss needs targets");
    require(loss.kind != LossKind::squared || examples.inverse_std, "this loss needs inverse_std");
}

// --- the network -------------------------------------------------------------------------------------

void check_threads(int threads) {
    require(threads >= 1 && threads <= MAX_THREADS, "threads is below 1 or too large");
}

void check_weights(const Plan& plan, size_t length) {
    require(ptrdiff_t(length) == plan.parameters, "the network has a different number of weights");
}

void make_network(Network* self, const std::vector<LayerRequest>& layers, std::array<ptrdiff_t, 3> input_shape,
                  const Array<float, nb::ndim<1>>& weights, int batch_size, int threads, uint64_t seed,
                  const std::string& instruction_set, bool training) {
    const Size input{input_shape[0], input_shape[1], input_shape[2]};
    Plan plan(layers, input, training ? Purpose::training : Purpose::prediction);
    check_weights(plan, weights.shape(0));
    require(batch_size >= 1 && batch_size <= MAX_BATCH, "batch_size is below 1 or too large");
    check_threads(threads);
    new (self) Network(std::move(plan), kernels_of(instruction_set), batch_size, threads, seed);
    self->start(weights.data(), {});
}

void start(Network& self, const Array<float, nb::ndim<1>>& weights, const ConstraintSettings& constraints) {
    check_weights(self.plan(), weights.shape(0));
    self.start(weights.data(), constraints);
}

void check_training(const Network& self) {
    require(self.plan().purpose == Purpose::training, "the network was made for prediction; give training=True");
}

double train(Network& self, const ExampleArrays& arrays, const OrderArray& order,
             const Array<float, nb::ndim<1>>& rates, const LossSettings& loss, const OptimizerSettings& optimizer,
             float average, const MapsArray& affine_maps) {
    check_training(self);
    const TrainingExamples examples = arrays.checked(self.plan());
    const TrainingOrder checked = checked_order(examples, self.plan(), order, affine_maps);
    require(rates.shape(0) * size_t(self.batch_size()) >= order.shape(0), "too few learning rates");
    check_loss(loss, examples);
    nb::gil_scoped_release release;
    return self.train(examples, checked, rates.data(), loss, optimizer, average);
}

double gradient(Network& self, const ExampleArrays& arrays, const OrderArray& order, const LossSettings& loss,
                const Output<float, nb::ndim<1>>& out) {
    check_training(self);
    const TrainingExamples examples = arrays.checked(self.plan());
    const TrainingOrder checked = checked_order(examples, self.plan(), order, std::nullopt);
    require(out.shape(0) == self.gradient().size(), "out must have the length of the weights");
    require(order.shape(0) <= size_t(self.batch_size()), "the order names more images than a batch has");
    check_loss(loss, examples);
    const double total = self.backpropagate(examples, checked, loss);
    std::copy(self.gradient().begin(), self.gradient().end(), out.data());
    return total;
}

void weights(Network& self, const Output<float, nb::ndim<1>>& out) {
    const std::vector<float> trained = self.trained_weights();
    require(out.shape(0) == trained.size(), "out must have the length of the weights");
    std::copy(trained.begin(), trained.end(), out.data());
}

void predict(Network& self, const ImageArray& array, ptrdiff_t first, const Output<float, nb::ndim<2>>& logits) {
    const Images images = images_of(array, self.plan());
    const ptrdiff_t count = ptrdiff_t(logits.shape(0));
    require(logits.shape(1) == size_t(self.plan().outputs), "logits must be [images, outputs]");
    require(first >= 0 && first <= images.count - count, "logits has more rows than there are images from `first` on");
    nb::gil_scoped_release release;
    self.predict(images, first, count, logits.data());
}

void set_threads(Network& self, int threads) {
    check_threads(threads);
    self.set_threads(threads);
}

// --- the module --------------------------------------------------------------------------------------

void bind_kinds(nb::module_& m) {
    nb::enum_<LayerKind>(m, "LayerKind")
        .value("CONV", LayerKind::conv)
        .value("DEPTHWISE", LayerKind::depthwise)
        .value("MAX_POOL", LayerKind::max_pool)
        .value("AVG_POOL", LayerKind::avg_pool)
        .value("DENSE", LayerKind::dense)
        .value("DROPOUT", LayerKind::dropout)
        .value("BATCH_NORM", LayerKind::batch_norm)
        .value("PRELU", LayerKind::prelu)
        .value("CRELU", LayerKind::crelu)
        .value("ADD", LayerKind::add);
    nb::enum_<LossKind>(m, "LossKind")
        .value("LABELS", LossKind::labels)
        .value("KL", LossKind::kl)
        .value("SQUARED", LossKind::squared)
        .value("PROBABILITIES", LossKind::probabilities);
    nb::enum_<OptimizerKind>(m, "OptimizerKind")
        .value("ADAM", OptimizerKind::adam)
        .value("SGD", OptimizerKind::sgd)
        .value("NESTEROV", OptimizerKind::nesterov)
        .value("RMSPROP", OptimizerKind::rmsprop)
        .value("ADADELTA", OptimizerKind::adadelta);
}

void bind_structs(nb::module_& m) {
    nb::class_<LayerRequest>(m, "Layer", "One layer. A pool with kernel (0, 0) is global; its stride is its kernel. Without inputs it reads the layer before.")
        .def("__init__",
             [](LayerRequest* self, LayerKind kind, ptrdiff_t out, std::array<ptrdiff_t, 2> kernel,
                std::optional<std::array<ptrdiff_t, 2>> stride, bool same, bool bias, float slope, float ceiling,
                float rate, ptrdiff_t shared, int source, std::vector<int> inputs) {
                 const bool pools = kind == LayerKind::max_pool || kind == LayerKind::avg_pool;
                 const auto steps = stride.value_or(pools && kernel[0] ? kernel : std::array<ptrdiff_t, 2>{1, 1});
                 new (self) LayerRequest{.kind = kind, .out = out, .kernel_y = kernel[0], .kernel_x = kernel[1],
                                         .stride_y = steps[0], .stride_x = steps[1], .same = same, .bias = bias,
                                         .slope = slope, .ceiling = ceiling, .rate = rate, .shared = shared,
                                         .source = source, .inputs = std::move(inputs)};
             },
             "kind"_a, nb::kw_only(), "out"_a = 0, "kernel"_a = std::array<ptrdiff_t, 2>{1, 1},
             "stride"_a = nb::none(), "same"_a = false, "bias"_a = false, "slope"_a = 1.0f, "ceiling"_a = NO_CEILING,
             "rate"_a = 0.0f, "shared"_a = 0, "source"_a = -1, "inputs"_a = std::vector<int>());
    nb::class_<ExampleArrays>(m, "Examples", "Images, labels and a teacher's targets; the arrays are not copied.")
        .def("__init__",
             [](ExampleArrays* self, ImageArray images, Array<int32_t, nb::ndim<1>> labels,
                std::optional<Array<float, nb::ndim<2>>> targets, OptionalVector<float> inverse_std) {
                 new (self) ExampleArrays{.images = std::move(images), .labels = std::move(labels),
                                          .targets = std::move(targets), .inverse_std = std::move(inverse_std)};
             },
             "images"_a.noconvert(), "labels"_a.noconvert(), nb::kw_only(), "targets"_a.noconvert() = nb::none(),
             "inverse_std"_a.noconvert() = nb::none());
    nb::class_<LossSettings>(m, "Loss")
        .def("__init__",
             [](LossSettings* self, LossKind kind, float temperature, float label_weight) {
                 new (self) LossSettings{.kind = kind, .temperature = temperature, .label_weight = label_weight};
             },
             "kind"_a, nb::kw_only(), "temperature"_a = 1.0f, "label_weight"_a = 0.0f);
    nb::class_<OptimizerSettings>(m, "Optimizer")
        .def("__init__",
             [](OptimizerSettings* self, OptimizerKind kind, float momentum, float beta2, float epsilon) {
                 new (self) OptimizerSettings{.kind = kind, .momentum = momentum, .beta2 = beta2, .epsilon = epsilon};
             },
             "kind"_a, nb::kw_only(), "momentum"_a = 0.0f, "beta2"_a = 0.0f, "epsilon"_a = 0.0f);
    nb::class_<ConstraintSettings>(m, "Constraints", "Constraints on weights; None and [] constrain nothing.")
        .def("__init__",
             [](ConstraintSettings* self, const OptionalVector<uint8_t>& fixed, const OptionalVector<int32_t>& tied,
                const OptionalVector<int32_t>& codebook, const FloatArrays& levels, const FloatArrays& costs) {
                 new (self) ConstraintSettings{.fixed = vector_of<uint8_t>(fixed), .tied = vector_of<int32_t>(tied),
                                               .codebook = vector_of<int32_t>(codebook), .levels = vectors_of(levels),
                                               .costs = vectors_of(costs)};
             },
             nb::kw_only(), "fixed"_a.noconvert() = nb::none(), "tied"_a.noconvert() = nb::none(),
             "codebook"_a.noconvert() = nb::none(), "levels"_a = FloatArrays(), "costs"_a = FloatArrays());
}

void bind_network(nb::module_& m) {
    nb::class_<Network>(m, "Network")
        .def("__init__", &make_network, nb::kw_only(), "layers"_a, "input_shape"_a, "weights"_a.noconvert(),
             "batch_size"_a, "threads"_a, "seed"_a, "instruction_set"_a, "training"_a = true)
        .def("start", &start, "weights"_a.noconvert(), "constraints"_a,
             "Set the first weights and their constraints, before training.")
        .def("train", &train, "examples"_a, nb::kw_only(), "order"_a.noconvert(), "rates"_a.noconvert(), "loss"_a,
             "optimizer"_a, "average"_a = 0.0f, "affine_maps"_a.noconvert() = nb::none(),
             "Train on the images that `order` names. Return the sum of their losses, or NaN if it diverges.")
        .def("gradient", &gradient, "examples"_a, nb::kw_only(), "order"_a.noconvert(), "loss"_a, "out"_a.noconvert(),
             "Write the gradient of the mean loss of one batch to `out`, for tests; call it once on a new network.")
        .def("weights", &weights, "out"_a.noconvert(), "Copy the trained weights to `out`.")
        .def_prop_rw("threads", &Network::threads, &set_threads,
                     "The threads that share a batch: 1 for a small network. No bit depends on it.")
        .def_prop_ro("activation_floats", [](const Network& self) { return self.plan().chunk_floats; },
                     "The floats of all maps of sixteen images; for prediction, those that are needed at once.")
        .def("predict", &predict, "images"_a.noconvert(), "first"_a, "logits"_a.noconvert(),
             "Write the outputs for the images from `first` on to `logits`, as many as it has rows.");
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "The native training core, used through smidgen.engine.native.";
    m.attr("compiler") = COMPILER;
    m.def("instruction_sets", &instruction_sets, "The instruction sets that this processor can run, best first.");
    m.def("fused", [](const std::string& instruction_set) { return kernels_of(instruction_set).fused; },
          "instruction_set"_a, "Whether multiply-adds round once; all sets that fuse give the same bits.");
    m.def("multiply_add_peak", &multiply_add_peak, "instruction_set"_a, "rounds"_a,
          nb::call_guard<nb::gil_scoped_release>(), "Multiply-adds a second of one thread that works on registers alone.");
    nb::exception<NotEnoughMemory>(m, "NotEnoughMemory", PyExc_MemoryError);
    bind_kinds(m);
    bind_structs(m);
    bind_network(m);
}
