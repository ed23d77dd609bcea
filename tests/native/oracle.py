"""The reference that the core is compared with, torch in float64, and the networks and examples of the tests.

A value within rounding of the corner of a relu, or of a tie in a max-pool, may go the other way in float32, and torch's
own float32 need not go with it. Then torch must give the core's answers for weights that differ by rounding alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict

import numpy as np
import pytest

from smidgen.engine import Examples, native, torch_engine
from smidgen.engine.losses import class_logits, loss_and_gradient, prepare
from smidgen.records import Recipe
from smidgen.spec import classes_of, parse_spec
from smidgen.streams import initial_weights

_core = pytest.importorskip("smidgen._core", reason="the native core was not built")
torch = pytest.importorskip("torch")

SETS = _core.instruction_sets()
FUSED = [name for name in SETS if _core.fused(name)]

MNIST = (1, 28, 28)
CNN = parse_spec("conv 3x3x3 relu, maxpool 2, conv 5x3x3 relu, maxpool 2, dense 4")
# Its first dense layer is so large that it takes a whole batch at once, on several threads.
LAYERED = parse_spec("conv 4x3x3 relu, maxpool 2, dropout 0.2, dense 121 relu, dropout 0.5, dense 4")
# Its second and third convolution have enough channels for Winograd's algorithm.
WIDE = parse_spec("conv 18x3x3 relu, conv 17x3x3 relu, maxpool 2, conv 37x3x3 same relu, maxpool 2, dense 400, dense 4")
# Layers of the second language, a batch norm, dropouts and a batched dense layer within residuals.
RESIDUAL = parse_spec(
    "conv 5x5x5 stride 2 same relu6, residual [conv 5x3x3 same relu, dropout 0.1, depthwise 3x3 shared 2 same, "
    "batchnorm] relu, residual [dropout 0.1, crelu, pointwise 8 stride 2 | maxpool 2, residual [pointwise 5], "
    "pointwise 8] relu6, maxpool 3 stride 2, dense 200 relu, residual [dense 300 relu, dense 200], avgpool 1, dense 4"
)
# Batch norms and depthwise convolutions, which take the whole batch channel by channel; the last is too small for it.
SEPARABLE = parse_spec(
    "conv 4x3x3 same, batchnorm relu, depthwise 3x3 same, batchnorm relu, pointwise 6 nobias, batchnorm relu6, "
    "depthwise 5x3 stride 2 same nobias, batchnorm relu, residual [depthwise 3x3 same, batchnorm relu, pointwise 6 | "
    "batchnorm, depthwise 1x3 same relu], depthwise 2x2 shared 2, batchnorm, maxpool 2, depthwise 3x3, batchnorm relu, "
    "dense 4"
)
EVERY_LAYER = parse_spec(
    "conv 6x3x3 same leaky_relu(0.2), maxpool 2, dropout 0.1, depthwise 3x2 same relu, pointwise 9, batchnorm relu, "
    "avgpool 2, conv 5x2x4, dropout 0, prelu, repeat 2 [depthwise 2x1 same, pointwise 5 relu], depthwise 2x3, "
    "pointwise 7 relu, globalavgpool, dense 4"
)

SOFT_RECIPES = (
    Recipe(loss="kl", temperature=4, label_weight=0.3),
    Recipe(loss="logits"),
    Recipe(loss="standardised-logits", label_weight=0.5),
    Recipe(loss="probabilities"),
)
RECIPES = (Recipe(), *SOFT_RECIPES)

RATES = {"adam": 0.01, "adam-keras": 0.01, "sgd": 0.05, "nesterov": 0.05, "rmsprop": 0.003, "adadelta": 5.0}


def random_examples(shape, classes, images, seed, pixels="bytes"):
    """Random examples. Bytes are four fifths background, as in MNIST, so that max-pools have ties; floats have none."""
    random = np.random.default_rng(seed)
    size = (images, *shape)
    if pixels == "bytes":
        values = (random.integers(1, 256, size) * (random.random(size) > 0.8)).astype(np.uint8)
    else:
        values = random.random(size).astype(np.float32)
    labels = random.integers(0, classes, images).astype(np.int32)
    return Examples(values, labels, (3 * random.standard_normal((images, classes))).astype(np.float32))


def random_weights(spec, shape, seed):
    """Initial weights plus noise, so that biases are not zero."""
    weights = initial_weights(spec, shape, seed)
    return weights + (0.05 * np.random.default_rng(seed).standard_normal(weights.shape)).astype(np.float32)


def patterns(images=600, classes=4, shape=MNIST):
    """Noisy copies of one pattern a class, which a network can learn: uint8 [n, *shape]."""
    random = np.random.default_rng(3)
    prototypes = random.integers(0, 256, (classes, *shape)) * (random.random((classes, *shape)) > 0.7)
    labels = random.integers(0, classes, images).astype(np.int32)
    noisy = np.clip(prototypes[labels] + random.normal(0, 40, (images, *shape)), 0, 255).astype(np.uint8)
    logits = (4 * np.eye(classes)[labels] + random.normal(0, 0.5, (images, classes))).astype(np.float32)
    return Examples(noisy, labels, logits)


def correct_rate(spec, weights, data):
    return (native.predict(spec, weights, data.images).argmax(1) == data.labels).mean()


def assert_is_torchs(spec, recipe, data, weights, threads=1, note=""):
    """Compare loss, gradient and predicted logits with torch, each to 1e-5 of the largest of its values.

    A batch norm may divide by a small number: if torch misses in float32, thirty times its miss is allowed. A value may
    lie at the corner of a relu: if the answers jump there, those on the other side are right too. Two batch norms in a
    row leave gradients that are sums to 0 of thousands of values: twice as much is allowed.
    """
    loss, gradient = native.gradient(spec, recipe, data, weights, threads)
    ours = (loss, gradient, native.predict(spec, weights, data.images, threads))
    right = right_answers(spec, recipe, data, weights)
    allowed, miss = 1e-5, largest_miss(ours, right)
    if miss >= allowed:
        allowed = 30 * largest_miss(torch_answers(spec, recipe, data, weights, torch.float32), right)
        allowed = max(allowed, 2e-5 if STACKED_NORMS.search(str(spec)) else 1e-5)
    if miss >= allowed:
        miss = min(largest_miss(ours, near) for near in answers_nearby(spec, recipe, data, weights))
    assert miss < allowed, f"{note} {spec} of {data.input_shape}, {len(data.images)} images, {recipe}"


STACKED_NORMS = re.compile(r"batchnorm[^,]*, batchnorm")


def answers_nearby(spec, recipe, data, weights, count=40):
    """Torch's answers in float64 for weights that differ by about a unit in the last place of float32."""
    random = np.random.default_rng(0)
    for _ in range(count):
        moved = weights * (1 + 2.0**-22 * random.standard_normal(weights.shape))
        yield torch_answers(spec, recipe, data, moved, torch.float64)


def assert_random_is_torchs(text, shape, recipe=RECIPES[0], images=37, pixels="bytes", seed=0):
    spec = parse_spec(text)
    data = random_examples(shape, classes_of(spec.output_shape(shape)[0]), images, seed, pixels)
    assert_is_torchs(spec, recipe, data, random_weights(spec, shape, seed))


def assert_every_recipe_is_torchs(text, shape, images, pixels):
    """Compare with torch on one random batch in every recipe, on two threads."""
    spec = parse_spec(text)
    data = random_examples(shape, classes_of(spec.output_shape(shape)[0]), images, 1, pixels)
    weights = random_weights(spec, shape, 1)
    for recipe in RECIPES:
        assert_is_torchs(spec, recipe, data, weights, threads=2)


_RIGHT = OrderedDict()
"""The last answers of torch in float64: every instruction set is compared with the same ones."""


def right_answers(spec, recipe, data, weights):
    logits = np.empty(0) if data.teacher_logits is None else data.teacher_logits
    arrays = (data.images, data.labels, logits, weights)
    content = b"".join(f"{array.dtype}{array.shape}".encode() + array.tobytes() for array in arrays)
    key = str(spec), recipe, hashlib.sha256(content).digest()
    if key not in _RIGHT:
        _RIGHT[key] = torch_answers(spec, recipe, data, weights, torch.float64)
    if len(_RIGHT) > 512:
        _RIGHT.popitem(last=False)
    return _RIGHT[key]


def largest_miss(found, right):
    return max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3) for a, b in zip(found, right, strict=True))


def torch_answers(spec, recipe, data, weights, dtype):
    """Loss, gradient (zero for the running statistics of a batch norm) and predicted logits, by torch."""
    module = torch_engine.module_of(spec, data.input_shape, weights).to(dtype)
    pixels = torch.tensor(data.images.astype(np.float64) / (255 if data.images.dtype == np.uint8 else 1)).to(dtype)
    with torch.no_grad():
        predicted = class_logits(module.eval()(pixels).numpy())
    logits = module.train()(pixels)
    outputs, targets = logits.detach().double().numpy(), prepare(recipe, data.teacher_logits, logits.shape[1])
    loss, slope = loss_and_gradient(recipe, outputs, data.labels, targets)
    logits.backward(torch.tensor(slope).to(dtype))
    return loss, gradient_of(module), predicted


def gradient_of(module):
    """The gradient of a torch module, flat, in the order of the weights."""
    for parameter in module.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    for running_stat in module.buffers():
        running_stat.zero_()
    return torch_engine.flat_weights(module)
