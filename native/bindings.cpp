// The native core as Python sees it: arrays in, arrays out. The interpreter's lock is released while it works.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "network.h"

namespace nb = nanobind;
using namespace smidgen;

namespace {

constexpr int MAX_BATCH = 1 << 24, MAX_THREADS = 1 << 10;

template <typename T, typename... Options>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu, Options...>;
template <typename T, typename... Options>
using Output = nb::ndarray<T, nb::c_contig, nb::device::cpu, Options...>;

struct Variant {
    const char* name;
    const Kernels* kernels;
    bool here;
};

std::vector<Variant> variants() {
#if defined(__x86_64__)
    return {{"v4", kernels_v4(), bool(__builtin_cpu_supports("x86-64-v4"))},
            {"v3", kernels_v3(), bool(__builtin_cpu_supports("x86-64-v3"))},
            {"v2", kernels_v2(), bool(__builtin_cpu_supports("x86-64-v2"))}};
#else
    return {{"neon", kernels_neon(), true}};
#endif
}

// The best instruction set of this processor, or the one that is named.
const Variant& choose(const std::string& wanted) {
    static const std::vector<Variant> all = variants();
    for (const Variant& variant : all)
        if (variant.here && (wanted.empty() || wanted == variant.name)) return variant;
    throw std::invalid_argument("this processor has no instruction set '" + wanted + "'");
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Variant& variant : variants())
        if (variant.here) names.push_back(variant.name);
    return names;
}

std::vector<LayerRequest> requests(const Array<int32_t, nb::shape<-1, 7>>& layers, const Array<float, nb::ndim<1>>& values) {
    std::vector<LayerRequest> list;
    if (layers.shape(0) != values.shape(0)) throw std::invalid_argument("layers and values differ in length");
    for (size_t i = 0; i < layers.shape(0); ++i) {
        const int32_t* row = layers.data() + i * 7;
        list.push_back({LayerKind(row[0]), row[1], row[2], row[3], row[4] != 0, row[5] != 0, values.data()[i], row[6]});
    }
    return list;
}

Images images_of(const nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>& array, const Plan& plan) {
    const size_t pixels = size_t(plan.input.channels) * plan.input.height * plan.input.width;
    if (array.ndim() < 2 || array.size() != array.shape(0) * pixels)
        throw std::invalid_argument("the images do not have the network's input shape");
    if (array.dtype() == nb::dtype<uint8_t>())
        return {static_cast<const uint8_t*>(array.data()), nullptr, long(array.shape(0))};
    if (array.dtype() == nb::dtype<float>())
        return {nullptr, static_cast<const float*>(array.data()), long(array.shape(0))};
    throw std::invalid_argument("images must be uint8 or float32");
}

using ImageArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

// What is learned from, checked where the order leads, so that no index can leave its array.
class Lesson {
   public:
    Lesson(Network& network, const ImageArray& images, const Array<int32_t, nb::ndim<1>>& labels,
           const Array<float, nb::ndim<2>>& targets, const Array<float, nb::ndim<1>>& inverse_std,
           const Array<uint32_t, nb::ndim<1>>& order, const Array<float, nb::ndim<3>>& warps)
        : examples{images_of(images, network.plan()), labels.data(), targets.size() ? targets.data() : nullptr,
                   inverse_std.data(), warps.size() ? warps.data() : nullptr} {
        const size_t count = size_t(examples.images.count), classes = size_t(network.plan().classes);
        if (labels.shape(0) != count) throw std::invalid_argument("labels and images differ in number");
        if (targets.size() && (targets.shape(0) != count || targets.shape(1) != classes))
            throw std::invalid_argument("targets must be [images, classes]");
        if (targets.size() && inverse_std.shape(0) != classes) throw std::invalid_argument("inverse_std must be [classes]");
        if (warps.size() && (warps.shape(0) != count || warps.shape(1) != 2 || warps.shape(2) != 3))
            throw std::invalid_argument("warps must be [images, 2, 3]");
        for (size_t i = 0; i < order.shape(0); ++i) {
            const size_t image = order.data()[i];
            if (image >= count) throw std::invalid_argument("the order names an image that is not there");
            if (labels.data()[image] < 0 || size_t(labels.data()[image]) >= classes)
                throw std::invalid_argument("a label is not a class of the network");
            for (size_t k = 6 * image; warps.size() && k < 6 * image + 6; ++k)
                if (!std::isfinite(warps.data()[k])) throw std::invalid_argument("a warp is not finite");
        }
    }

    Examples examples;
};

LossSettings loss_settings(int kind, float temperature, float label_weight, bool targets) {
    if (kind < int(LossKind::labels) || kind > int(LossKind::probabilities)) throw std::invalid_argument("no such loss");
    if (LossKind(kind) != LossKind::labels && !targets) throw std::invalid_argument("this loss needs targets");
    return {LossKind(kind), temperature, label_weight};
}

OptimizerSettings optimizer_settings(int kind, float momentum, float beta2, float epsilon, float average) {
    if (kind < int(OptimizerKind::adam) || kind > int(OptimizerKind::adadelta))
        throw std::invalid_argument("no such optimizer");
    return {OptimizerKind(kind), momentum, beta2, epsilon, average};
}

template <typename T>
std::vector<T> vector_of(const Array<T, nb::ndim<1>>& array) {
    return {array.data(), array.data() + array.shape(0)};
}

using FloatArrays = std::vector<Array<float, nb::ndim<1>>>;

std::vector<std::vector<float>> vectors_of(const FloatArrays& arrays) {
    std::vector<std::vector<float>> all;
    for (const auto& array : arrays) all.push_back(vector_of<float>(array));
    return all;
}

double multiply_add_peak(const std::string& wanted, long rounds) {
    const auto start = std::chrono::steady_clock::now();
    const double done = choose(wanted).kernels->multiply_add_peak(rounds);
    return done / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "The native training core; smidgen.engine.native is its face.";
    m.def("instruction_sets", &instruction_sets, "The instruction sets of this processor that were compiled in, best first.");
    m.def("fused", [](const std::string& wanted) { return choose(wanted).kernels->fused; }, nb::arg("instruction_set"),
          "Whether multiply-adds round once; all sets that fuse give the same bits.");
    m.def("multiply_add_peak", &multiply_add_peak, nb::arg("instruction_set"), nb::arg("rounds"),
          nb::call_guard<nb::gil_scoped_release>(), "Multiply-adds a second that one thread reaches on registers alone.");

    nb::class_<Network>(m, "Network")
        .def("__init__",
             [](Network* self, Array<int32_t, nb::shape<-1, 7>> layers, Array<float, nb::ndim<1>> values,
                std::array<int, 3> input_shape, Array<float, nb::ndim<1>> weights, int batch_size, int threads,
                uint64_t seed, const std::string& instruction_set) {
                 Plan plan(requests(layers, values), input_shape[0], input_shape[1], input_shape[2]);
                 if (long(weights.shape(0)) != plan.parameters)
                     throw std::invalid_argument("the network has another number of weights");
                 if (batch_size < 1 || batch_size > MAX_BATCH || threads < 1 || threads > MAX_THREADS)
                     throw std::invalid_argument("batch_size or threads is below 1 or too large");
                 new (self) Network(std::move(plan), *choose(instruction_set).kernels, batch_size, threads, seed);
                 self->start(weights.data(), {});
             },
             nb::arg("layers").noconvert(), nb::arg("values").noconvert(), nb::arg("input_shape"),
             nb::arg("weights").noconvert(), nb::arg("batch_size"), nb::arg("threads"), nb::arg("seed"),
             nb::arg("instruction_set"))
        .def("start",
             [](Network& self, Array<float, nb::ndim<1>> weights, Array<uint8_t, nb::ndim<1>> fixed,
                Array<int32_t, nb::ndim<1>> tied, Array<int32_t, nb::ndim<1>> codebook, FloatArrays levels,
                FloatArrays costs) {
                 if (long(weights.shape(0)) != self.plan().parameters)
                     throw std::invalid_argument("the network has another number of weights");
                 self.start(weights.data(), {vector_of<uint8_t>(fixed), vector_of<int32_t>(tied),
                                             vector_of<int32_t>(codebook), vectors_of(levels), vectors_of(costs)});
             },
             nb::arg("weights").noconvert(), nb::arg("fixed").noconvert(), nb::arg("tied").noconvert(),
             nb::arg("codebook").noconvert(), nb::arg("levels"), nb::arg("costs"),
             "Before training: start from these weights, held to what is asked; an empty array asks nothing.")
        .def("train",
             [](Network& self, ImageArray images, Array<int32_t, nb::ndim<1>> labels, Array<float, nb::ndim<2>> targets,
                Array<float, nb::ndim<1>> inverse_std, Array<uint32_t, nb::ndim<1>> order,
                Array<float, nb::ndim<1>> rates, int loss, float temperature, float label_weight, int optimizer,
                float momentum, float beta2, float epsilon, float average, Array<float, nb::ndim<3>> warps) {
                 const Lesson lesson(self, images, labels, targets, inverse_std, order, warps);
                 if (rates.shape(0) * self.batch_size() < order.shape(0)) throw std::invalid_argument("too few learning rates");
                 const LossSettings settings = loss_settings(loss, temperature, label_weight, targets.size());
                 const OptimizerSettings steps = optimizer_settings(optimizer, momentum, beta2, epsilon, average);
                 nb::gil_scoped_release release;
                 return self.train(lesson.examples, order.data(), long(order.shape(0)), rates.data(), settings, steps);
             },
             nb::arg("images").noconvert(), nb::arg("labels").noconvert(), nb::arg("targets").noconvert(),
             nb::arg("inverse_std").noconvert(), nb::arg("order").noconvert(), nb::arg("rates").noconvert(),
             nb::arg("loss"), nb::arg("temperature"), nb::arg("label_weight"), nb::arg("optimizer"),
             nb::arg("momentum"), nb::arg("beta2"), nb::arg("epsilon"), nb::arg("average"), nb::arg("warps").noconvert(),
             "Train over the images that `order` names; the sum of their losses, or NaN where it diverged.")
        .def("gradient",
             [](Network& self, ImageArray images, Array<int32_t, nb::ndim<1>> labels, Array<float, nb::ndim<2>> targets,
                Array<float, nb::ndim<1>> inverse_std, Array<uint32_t, nb::ndim<1>> order, int loss,
                float temperature, float label_weight, Output<float, nb::ndim<1>> out) {
                 const Lesson lesson(self, images, labels, targets, inverse_std, order, {});
                 if (out.shape(0) != self.gradient().size()) throw std::invalid_argument("out has the wrong length");
                 if (order.shape(0) > size_t(self.batch_size())) throw std::invalid_argument("more images than a batch");
                 const LossSettings settings = loss_settings(loss, temperature, label_weight, targets.size());
                 const double total = self.backpropagate(lesson.examples, order.data(), int(order.shape(0)), settings);
                 std::copy(self.gradient().begin(), self.gradient().end(), out.data());
                 return total;
             },
             nb::arg("images").noconvert(), nb::arg("labels").noconvert(), nb::arg("targets").noconvert(),
             nb::arg("inverse_std").noconvert(), nb::arg("order").noconvert(), nb::arg("loss"),
             nb::arg("temperature"), nb::arg("label_weight"), nb::arg("out").noconvert(),
             "The gradient of the mean loss of one batch into `out`, for tests; call it once on a fresh network.")
        .def("weights",
             [](Network& self, Output<float, nb::ndim<1>> out) {
                 const std::vector<float> kept = self.kept();
                 if (out.shape(0) != kept.size()) throw std::invalid_argument("out has the wrong length");
                 std::copy(kept.begin(), kept.end(), out.data());
             },
             nb::arg("out").noconvert(), "Copy the weights that are kept into `out`.")
        .def_prop_rw("threads", &Network::threads,
                     [](Network& self, int threads) {
                         if (threads < 1 || threads > MAX_THREADS)
                             throw std::invalid_argument("threads is below 1 or too large");
                         self.share(threads);
                     },
                     "The threads that share a batch: 1 unless a layer sees all of it. No bit depends on them.")
        .def("predict",
             [](Network& self, ImageArray images, long first, Output<float, nb::ndim<2>> logits) {
                 const Images all = images_of(images, self.plan());
                 const long count = long(logits.shape(0));
                 if (long(logits.shape(1)) != self.plan().classes || first < 0 || first > all.count - count)
                     throw std::invalid_argument("logits must be [images, classes]");
                 nb::gil_scoped_release release;
                 self.predict(all, first, count, logits.data());
             },
             nb::arg("images").noconvert(), nb::arg("first"), nb::arg("logits").noconvert(),
             "Logits of the images from `first` on, as many as `logits` has rows.");
}
