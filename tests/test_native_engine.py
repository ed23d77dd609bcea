"""The native core against torch in float64, against itself, and against arrays that are wrong.

Gradients are held to 1e-5 of the largest one. A value within rounding of the corner of a relu, or of a
tie in a max-pool, may go the other way in float32: of 10,000 random networks none does with these seeds.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from smidgen.engine import Examples, initial_weights, native, torch_engine
from smidgen.errors import RequestError, SpecError
from smidgen.losses import loss_and_gradient, prepare
from smidgen.records import LOSSES, OPTIMIZERS, Recipe
from smidgen.spec import parse_spec

_core = pytest.importorskip("smidgen._core", reason="the native core was not built")
torch = pytest.importorskip("torch")

SETS = _core.instruction_sets()
FUSED = [name for name in SETS if _core.fused(name)]

MNIST = (1, 28, 28)
CNN = parse_spec("conv 3x3x3 relu, maxpool 2, conv 5x3x3 relu, maxpool 2, dense 4")
# Its first dense layer is so large that a batch goes through it as one, on several threads.
LAYERED = parse_spec("conv 4x3x3 relu, maxpool 2, dropout 0.2, dense 121 relu, dropout 0.5, dense 4")
# Its second and third convolution have channels enough for Winograd's way.
WIDE = parse_spec("conv 18x3x3 relu, conv 17x3x3 relu, maxpool 2, conv 37x3x3 same relu, maxpool 2, dense 400, dense 4")
EVERY_LAYER = parse_spec(
    "conv 6x3x3 same leaky_relu(0.2), maxpool 2, dropout 0.1, depthwise 3x2 same relu, pointwise 9 relu, avgpool 2, "
    "conv 5x2x4, dropout 0, depthwise 2x3, pointwise 7 relu, globalavgpool, dense 4"
)

SOFT_RECIPES = (
    Recipe(loss="kl", temperature=4, label_weight=0.3),
    Recipe(loss="logits"),
    Recipe(loss="standardised-logits", label_weight=0.5),
    Recipe(loss="probabilities"),
)
RECIPES = (Recipe(), *SOFT_RECIPES)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cpu")
    monkeypatch.delenv("SMIDGEN_INSTRUCTION_SET", raising=False)


@pytest.fixture(params=SETS)
def instruction_set(request, monkeypatch):
    monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", request.param)
    return request.param


def random_examples(shape, classes, images, seed, pixels="bytes"):
    """Bytes are four fifths background, as in MNIST, so that max-pools have ties; floats have none."""
    random = np.random.default_rng(seed)
    size = (images, *shape)
    if pixels == "bytes":
        values = (random.integers(1, 256, size) * (random.random(size) > 0.8)).astype(np.uint8)
    else:
        values = random.random(size).astype(np.float32)
    labels = random.integers(0, classes, images).astype(np.int32)
    return Examples(values, labels, (3 * random.standard_normal((images, classes))).astype(np.float32))


def random_weights(spec, shape, seed):
    """Initial weights with biases, which start at zero, moved as well."""
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


def torch_values(images):
    return torch.tensor(images.astype(np.float64) / (255 if images.dtype == np.uint8 else 1))


def torch_gradient(spec, recipe, data, weights):
    """Loss, gradient and logits in float64."""
    module = torch_engine.module_of(spec, data.input_shape, weights).double()
    logits = module(torch_values(data.images))
    outputs = logits.detach().numpy()
    loss, slope = loss_and_gradient(recipe, outputs, data.labels, prepare(recipe, data.teacher_logits))
    logits.backward(torch.tensor(slope))
    return loss, torch.cat([p.grad.flatten() for p in module.parameters()]).numpy(), outputs


def largest_miss(spec, recipe, data, weights, threads=1):
    """How far loss, gradient and logits are from torch's, each relative to the largest of its values."""
    loss, gradient = native.gradient(spec, recipe, data, weights, threads)
    logits = native.predict(spec, weights, data.images, threads)
    pairs = zip((loss, gradient, logits), torch_gradient(spec, recipe, data, weights), strict=True)
    return max(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-3) for ours, theirs in pairs)


def assert_is_torchs(text, shape, recipe=RECIPES[0], images=37, pixels="bytes", seed=0):
    spec = parse_spec(text)
    data = random_examples(shape, spec.output_shape(shape)[0], images, seed, pixels)
    assert largest_miss(spec, recipe, data, random_weights(spec, shape, seed)) < 1e-5


# --- gradients against torch ------------------------------------------------------------------

NETWORKS = {
    "conv 2x3x3 relu, conv 2x3x3 relu, maxpool 2, conv 4x3x3 relu, conv 4x3x3 relu, maxpool 2, dense 10": MNIST,
    "dense 7": (3, 5, 4),
    "dense 33 relu, dense 5": (20, 1, 1),
    "pointwise 6 relu, depthwise 3x3 same, dropout 0, dense 3": (20, 1, 1),
    "conv 3x5x5 same leaky_relu(0.2), maxpool 3, conv 5x4x2 same relu, avgpool 2, dense 6 relu, dense 4": (3, 21, 25),
    "conv 6x3x3 same relu, maxpool 2, depthwise 3x3, pointwise 9 relu, pointwise 10, globalavgpool": (3, 17, 19),
    "maxpool 2, conv 3x7x7 relu, conv 5x1x3 relu, depthwise 2x2 same relu, globalavgpool, dense 3": (1, 26, 33),
    "conv 13x3x3 relu, conv 17x3x3, dense 11 relu, dense 200 relu, dense 10": (1, 9, 12),
    "avgpool 3, conv 4x2x2 relu, conv 4x6x6 leaky_relu(0.1), pointwise 10, globalavgpool": (1, 29, 28),
    # Maps with a halo where a dense layer, a copy or the loss has to do with one.
    "dense 4 relu, conv 5x3x3 same relu, dense 3": (2, 6, 6),
    "dense 4 relu, dropout 0, depthwise 5x5 same": (2, 6, 6),
    "avgpool 1, conv 2x3x3 same relu, avgpool 1, conv 2x4x4 same, dense 3": (2, 6, 6),
    "pointwise 3 relu, conv 5x6x4": (2, 6, 4),
    "conv 5x3x3 nobias relu, depthwise 2x2 nobias, pointwise 3 nobias, dense 6 nobias relu, dense 3 nobias": (2, 8, 8),
    "dense 200 nobias relu, dense 90 nobias, dense 4": (1, 20, 20),
    "conv 3x3x3 same, depthwise 5x5 same, maxpool 2, avgpool 1, maxpool 1, dense 3": (2, 7, 7),
    "dense 300 relu, dense 300 leaky_relu(0.3), dense 10": MNIST,  # batched, on several threads
    "conv 2x3x3 relu, maxpool 2, dense 130 relu, dense 9 relu, pointwise 90 relu, dense 120 relu, dense 10": MNIST,
    # Winograd's way: odd and even sides, counts of channels that leave tiles and blocks with a rest, one band and
    # several, a single pixel, halos on either side.
    "conv 16x3x3 relu, conv 17x3x3 relu, conv 16x3x3 relu, dense 5": (1, 9, 12),
    "pointwise 16 relu, conv 16x3x3 same relu, conv 19x3x3 same leaky_relu(0.1), dense 5": (2, 7, 8),
    "conv 20x3x3 same relu, maxpool 2, conv 33x3x3 relu, conv 18x3x3 nobias, dense 4": (1, 16, 15),
    "pointwise 35 relu, conv 16x3x3, conv 66x3x3 same, depthwise 5x5 same, conv 16x3x3, dense 3": (2, 9, 7),
    "conv 18x3x3, conv 16x3x3 relu, dense 4": (16, 5, 5),
    "conv 16x3x3 same, conv 17x3x3 same relu, conv 18x3x3 same, dense 3": (17, 2, 1),
    "conv 17x3x3 relu, conv 18x3x3 same relu, conv 16x3x3 same relu, globalavgpool": (1, 7, 61),
}


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("text", NETWORKS)
def test_gradients_are_torchs(text, pixels, instruction_set):
    spec, shape = parse_spec(text), NETWORKS[text]
    data = random_examples(shape, spec.output_shape(shape)[0], 37, 1, pixels)
    weights = random_weights(spec, shape, 1)
    for recipe in RECIPES:
        assert largest_miss(spec, recipe, data, weights, threads=2) < 1e-5, recipe


@pytest.mark.parametrize("kernel_x", range(1, 8))
@pytest.mark.parametrize("kernel_y", range(1, 8))
def test_every_kernel_is_torchs(kernel_y, kernel_x, instruction_set):
    kernel, shape = f"{kernel_y}x{kernel_x}", (2, 9, 11)
    assert_is_torchs(f"conv 3x{kernel} same relu, conv 2x{kernel}, dense 3", shape, images=5)
    assert_is_torchs(f"pointwise 3, depthwise {kernel} same, depthwise {kernel} relu, dense 3", shape, images=5)


@pytest.mark.parametrize("channels", range(1, 20))
def test_every_tile_is_torchs(channels, instruction_set):
    for width in range(3, 33):
        assert_is_torchs(f"pointwise 2, conv {channels}x3x3 relu, pointwise 2, dense 2", (1, 3, width), images=2)


@pytest.mark.parametrize("images", [1, 2, 15, 16, 17, 31, 32, 33])
def test_batches_of_any_size_are_torchs(images, instruction_set):
    assert_is_torchs(str(CNN), MNIST, images=images)
    assert_is_torchs("dense 120 relu, dense 4", MNIST, images=images)


@pytest.mark.parametrize("classes", [2, 3, 100])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_any_number_of_classes(recipe, classes, instruction_set):
    assert_is_torchs(f"dense 5 relu, dense {classes}", (1, 4, 4), recipe)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_large_logits_are_torchs(recipe, instruction_set):
    """A student and a teacher so sure that most exponentials underflow."""
    spec, data = parse_spec("dense 6"), random_examples((1, 4, 4), 6, 37, 5, "floats")
    data = Examples(data.images, data.labels, 30 * data.teacher_logits)
    assert largest_miss(spec, recipe, data, 40 * random_weights(spec, (1, 4, 4), 5)) < 1e-5


def test_an_image_without_ink_is_one_great_tie(instruction_set):
    spec = parse_spec("maxpool 2, conv 3x3x3 relu, maxpool 2, conv 2x2x2 leaky_relu(0.1), maxpool 3, dense 3")
    data = Examples(np.zeros((17, *MNIST), np.uint8), np.arange(17, dtype=np.int32) % 3)
    assert largest_miss(spec, Recipe(), data, random_weights(spec, MNIST, 2)) < 1e-5


def random_text(random, shape):
    """Up to six layers that fit, and a head of `classes` outputs: (text, classes)."""
    pieces = []
    for _ in range(random.integers(0, 7)):
        piece = random_layer(random)
        try:
            parse_spec(", ".join([*pieces, piece])).plan(shape)
        except SpecError:
            continue
        pieces.append(piece)
    classes = random.integers(2, 13)
    _, height, width = parse_spec(", ".join(pieces)).output_shape(shape) if pieces else shape
    heads = [f"dense {classes}", f"pointwise {classes}, globalavgpool"]
    if max(height, width) <= 7:
        heads.append(f"conv {classes}x{height}x{width}")
    return ", ".join([*pieces, random.choice(heads)]), classes


def random_layer(random):
    channels, units = random.integers(1, 20), random.integers(1, 160)
    kernel = "{}x{}".format(*random.integers(1, 8, 2))
    same, nobias = random.choice(["", " same"]), random.choice(["", "", " nobias"])
    act = random.choice(["", " relu", " leaky_relu(0.2)"])
    size = random.integers(1, 4)
    layers = [
        f"conv {channels}x{kernel}{same}{nobias}{act}",
        f"depthwise {kernel}{same}{nobias}{act}",
        f"pointwise {channels}{nobias}{act}",
        f"maxpool {size}",
        f"avgpool {size}",
        f"dense {units}{nobias}{act}",
        "dropout 0",
        "globalavgpool",
    ]
    return str(random.choice(layers, p=[0.32, 0.15, 0.1, 0.15, 0.1, 0.1, 0.05, 0.03]))


def fuzz(seed):
    """One random network on one random batch: its largest miss and its text."""
    random = np.random.default_rng([seed, 77])
    shape = (int(random.integers(1, 4)), int(random.integers(1, 17)), int(random.integers(1, 17)))
    text, classes = random_text(random, shape)
    recipe = RECIPES[random.integers(len(RECIPES))]
    images, pixels = int(random.integers(1, 40)), random.choice(["bytes", "floats"])
    spec, data = parse_spec(text), random_examples(shape, classes, images, seed, pixels)
    miss = largest_miss(spec, recipe, data, random_weights(spec, shape, seed), threads=1 + seed % 3)
    return miss, f"seed {seed}: {text} of {shape}, {images} images, {recipe}"


def test_random_networks_are_torchs(instruction_set):
    for seed in range(200):
        miss, text = fuzz(seed)
        assert miss < 1e-5, text


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_ten_thousand_random_networks_are_torchs(block, monkeypatch):
    for seed in range(1000 * (block + 1), 1000 * (block + 2)):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", SETS[seed % len(SETS)])
        miss, text = fuzz(seed)
        assert miss < 1e-5, text


# --- training against torch -------------------------------------------------------------------

RATES = {"adam": 0.01, "adam-keras": 0.01, "sgd": 0.05, "nesterov": 0.05, "rmsprop": 0.003, "adadelta": 5.0}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_starts_as_torchs_does(optimizer, instruction_set):
    """Five steps, each an epoch of one batch; the sixth loss would be of the weights that they left."""
    data = patterns(images=90)
    recipe = Recipe(optimizer=optimizer, learning_rate=RATES[optimizer] / 10, epochs=5, batch_size=90)
    ours, theirs = (engine.train(CNN, recipe, data, seed=4) for engine in (native, torch_engine))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
    moved = np.abs(theirs.weights - initial_weights(CNN, MNIST, 4)).max()
    assert np.abs(ours.weights - theirs.weights).max() < 1e-3 * moved


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_hundred_steps_lead_where_torchs_lead(optimizer, instruction_set):
    data = patterns()
    recipe = Recipe(optimizer=optimizer, learning_rate=RATES[optimizer], epochs=10, batch_size=64)
    ours, theirs = (engine.train(CNN, recipe, data, seed=4) for engine in (native, torch_engine))
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=0.05, atol=0.005)
    rates = [correct_rate(CNN, training.weights, data) for training in (ours, theirs)]
    assert min(rates) > 0.9 and abs(rates[0] - rates[1]) < 0.01


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_it_learns_from_every_loss(recipe):
    data = patterns()
    training = native.train(LAYERED, Recipe(loss=recipe.loss, epochs=6, batch_size=32, learning_rate=0.01), data, 1)
    assert training.diverged_at == 0 and len(training.losses) == 6
    assert training.losses[-1] < training.losses[0]
    assert correct_rate(LAYERED, training.weights, data) > 0.9


def test_every_layer_learns():
    data = patterns()
    training = native.train(EVERY_LAYER, Recipe(epochs=15, batch_size=32), data, seed=1)
    assert correct_rate(EVERY_LAYER, training.weights, data) > 0.9


def test_a_batch_larger_than_the_data_is_all_of_it():
    data = patterns(images=50)
    whole, larger = (native.train(LAYERED, Recipe(batch_size=size), data, 1) for size in (50, 10**12))
    np.testing.assert_array_equal(whole.weights, larger.weights)


def test_labels_and_images_may_lie_anyhow_in_memory():
    data = patterns(images=80)
    odd = Examples(data.images.transpose(0, 1, 3, 2)[::2], data.labels.astype(np.int64)[::2])
    plain = Examples(np.ascontiguousarray(odd.images), np.ascontiguousarray(odd.labels, np.int32))
    trained = [native.train(CNN, Recipe(batch_size=16), examples, 1).weights for examples in (odd, plain)]
    np.testing.assert_array_equal(*trained)
    np.testing.assert_array_equal(*(native.predict(CNN, trained[0], e.images) for e in (odd, plain)))


# --- the same bits ----------------------------------------------------------------------------

SHORT = Recipe(loss="kl", temperature=3, label_weight=0.2, epochs=2, batch_size=50)


def trained(spec, recipe=SHORT, seed=5, threads=1):
    training = native.train(spec, recipe, patterns(images=170), seed, threads=threads)
    assert training.diverged_at == 0
    return training


@pytest.mark.parametrize("spec", [EVERY_LAYER, LAYERED], ids=["by chunk", "by layer"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(spec, instruction_set):
    one, again, other = trained(spec), trained(spec), trained(spec, seed=6)
    assert one.weights.tobytes() == again.weights.tobytes() and one.losses == again.losses
    assert np.abs(one.weights - other.weights).max() > 0.01


@pytest.mark.parametrize("spec", [LAYERED, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_do_not_change_a_bit(threads, spec, instruction_set):
    one, shared = trained(spec), trained(spec, threads=threads)
    assert one.weights.tobytes() == shared.weights.tobytes() and one.losses == shared.losses


def test_only_networks_with_a_large_dense_layer_use_threads():
    def threads(spec):
        return native._network(spec, MNIST, initial_weights(spec, MNIST, 0), 64, 3, 0).threads

    assert threads(LAYERED) == threads(WIDE) == 3 and threads(CNN) == threads(EVERY_LAYER) == 1


def test_two_trainings_at_once_do_not_disturb_each_other():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(trained, [LAYERED, EVERY_LAYER] * 3))
    for training, spec in zip(both, [LAYERED, EVERY_LAYER] * 3, strict=True):
        assert training.weights.tobytes() == trained(spec).weights.tobytes()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_instruction_sets_that_fuse_give_the_same_bits(loss, optimizer, monkeypatch):
    recipe = Recipe(loss=loss, optimizer=optimizer, learning_rate=RATES[optimizer], epochs=1, batch_size=50)
    bits = set()
    for name in FUSED:
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", name)
        bits.add(b"".join(trained(spec, recipe).weights.tobytes() for spec in (EVERY_LAYER, LAYERED)))
    assert len(bits) == 1


def test_wide_networks_have_the_same_bits_on_all_sets_that_fuse(monkeypatch):
    bits = set()
    for name in FUSED:
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", name)
        bits.add(trained(WIDE).weights.tobytes())
    assert len(bits) == 1


@pytest.mark.skipif(len(SETS) == len(FUSED), reason="every instruction set here fuses")
def test_an_instruction_set_that_does_not_fuse_is_close_and_named_apart(monkeypatch):
    found = {}
    for name in (FUSED[0], "v2"):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", name)
        found[native.name()] = trained(EVERY_LAYER, Recipe(epochs=1, batch_size=50)).weights
    fused, unfused = found[f"native-{native.ARITHMETIC}-fused"], found[f"native-{native.ARITHMETIC}-unfused"]
    assert fused.tobytes() != unfused.tobytes()
    np.testing.assert_allclose(fused, unfused, atol=1e-4)


def test_the_arithmetic_is_the_one_that_its_number_names():
    """Outcomes in stores are found again by this number. Count `native.ARITHMETIC` up when the bits change."""
    recipe = Recipe(loss="kl", temperature=3, label_weight=0.2, epochs=1, batch_size=50)
    bits = b"".join(trained(spec, recipe).weights.tobytes() for spec in (EVERY_LAYER, LAYERED))
    digest = hashlib.sha256(bits).hexdigest()[:16]
    assert (native.name(), digest) == ("native-1-fused", "c4d73cdf85c2627d")
    wide = hashlib.sha256(trained(WIDE, recipe).weights.tobytes()).hexdigest()[:16]
    assert (native.name(), wide) == ("native-1-fused", "82bf3e37ae39312f")


def test_an_instruction_set_that_is_not_here_is_named(monkeypatch):
    monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", "v9")
    with pytest.raises(ValueError, match="v9"):
        native.predict(CNN, initial_weights(CNN, MNIST, 0), np.zeros((1, *MNIST), np.uint8))


# --- dropout ----------------------------------------------------------------------------------


def masks(rate, images=48, features=100):
    """What dropout multiplies each feature of each image with: float32 [images, features].

    All features are one, all weights zero and the targets one hot, one output an image: the gradient of
    output i is the mask of image i times -2 / (outputs * images).
    """
    spec = parse_spec(f"dropout {rate}, dense {images}")
    ones, labels = np.ones((images, features, 1, 1), np.float32), np.zeros(images, np.int32)
    data = Examples(ones, labels, np.eye(images, dtype=np.float32))
    _, gradient = native.gradient(spec, Recipe("logits"), data, np.zeros(images * (features + 1), np.float32))
    return gradient[: images * features].reshape(images, features) * np.float32(-0.5 * images * images)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(rate, instruction_set):
    found = masks(rate)
    kept = found != 0
    np.testing.assert_allclose(found[kept], 1 / (1 - rate), rtol=1e-6)
    spread = np.sqrt(rate * (1 - rate) / found.size)
    assert abs(kept.mean() - (1 - rate)) <= 4 * spread


@pytest.mark.parametrize("features", [150, 400], ids=["by chunk", "by layer"])
def test_every_image_and_feature_has_a_mask_of_its_own(features, instruction_set):
    kept = masks(0.5, features=features) != 0
    for rows in (kept, kept.T):
        agreement = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
        assert np.abs(agreement).max() < 6 / np.sqrt(rows.shape[1])


def test_every_step_draws_another_mask():
    """A rate so small that the weights stay near zero: what moved is what was kept."""
    spec, shape = parse_spec("dropout 0.5, dense 2"), (400, 1, 1)
    weights = np.zeros(spec.parameters(shape), np.float32)
    network = native._network(spec, shape, weights, 1, 1, 0)
    images, nothing = np.ones((1, *shape), np.float32), np.empty((0, 0), np.float32)
    moved = []
    for _ in range(2):
        before, after = np.empty_like(weights), np.empty_like(weights)
        network.weights(before)
        network.train(images, np.zeros(1, np.int32), nothing, np.ones(0, np.float32), np.zeros(1, np.uint32),
                      np.full(1, 1e-6, np.float32), 0, 1.0, 0.0, 1, 0.0, 0.0, 0.0)  # fmt: skip
        network.weights(after)
        moved.append((after != before)[:400])
    assert all(abs(kept.mean() - 0.5) < 0.1 for kept in moved)
    assert abs((moved[0] == moved[1]).mean() - 0.5) < 0.1


def test_gradients_go_through_the_mask_that_the_values_went_through(instruction_set):
    """One image: the gradient of the second layer tells the mask, and the first layer's follows from it."""
    spec, shape = parse_spec("dense 60 relu, dropout 0.4, dense 3"), (30, 1, 1)
    random = np.random.default_rng(1)
    pixels = random.random((1, *shape)).astype(np.float32)
    weights = random_weights(spec, shape, 1)
    _, gradient = native.gradient(spec, Recipe(), Examples(pixels, np.zeros(1, np.int32)), weights)
    matrix1, matrix2 = weights[:1800].reshape(60, 30), weights[1860:2040].reshape(3, 60)
    hidden = np.maximum(matrix1 @ pixels.ravel() + weights[1800:1860], 0)
    slope2 = gradient[2040:]  # of the logits: the gradient of the last biases
    kept = gradient[1860:2040].reshape(3, 60)[0] != 0
    np.testing.assert_allclose(gradient[1860:2040], np.outer(slope2, hidden * kept / 0.6).ravel(), atol=1e-6)
    slope1 = (slope2 @ matrix2) * kept / 0.6 * (hidden > 0)
    np.testing.assert_allclose(gradient[:1800], np.outer(slope1, pixels).ravel(), atol=1e-6)
    assert 10 < kept.sum() < (hidden > 0).sum()


def test_dropout_is_off_in_prediction(instruction_set):
    plain = parse_spec("conv 4x3x3 relu, maxpool 2, dense 121 relu, dense 4")
    weights, images = random_weights(LAYERED, MNIST, 1), patterns(images=20).images
    np.testing.assert_array_equal(native.predict(LAYERED, weights, images), native.predict(plain, weights, images))


# --- divergence -------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [EVERY_LAYER, LAYERED], ids=["by chunk", "by layer"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_divergence_is_an_outcome(optimizer, spec, instruction_set):
    recipe = Recipe("logits", optimizer=optimizer, learning_rate=1e30, schedule="constant", epochs=5, batch_size=60)
    training = native.train(spec, recipe, patterns(images=60), seed=1)
    assert 1 <= training.diverged_at <= 5
    assert len(training.losses) == training.diverged_at - 1
    assert np.isfinite(training.losses).all()
    np.testing.assert_array_equal(training.weights, initial_weights(spec, MNIST, 1))


def test_a_last_step_that_overshoots_has_diverged(instruction_set):
    """No loss is computed after it."""
    recipe = Recipe("logits", optimizer="sgd", learning_rate=1e38, schedule="constant", epochs=1, batch_size=60)
    data = patterns(images=60)
    data = Examples(data.images, data.labels, 1e6 * data.teacher_logits)
    training = native.train(CNN, recipe, data, seed=1)
    assert training.diverged_at == 1 and training.losses == ()
    assert np.isfinite(training.weights).all()


@pytest.mark.parametrize("text", ["dense 3", "conv 3x3x3 relu, dense 3", "maxpool 2, dense 3", "avgpool 2, dense 3"])
def test_a_pixel_that_is_not_a_number_diverges_at_once(text, instruction_set):
    images = random_examples((1, 6, 6), 3, 20, 0, "floats").images
    images[13, 0, 1, 1] = np.nan
    training = native.train(parse_spec(text), Recipe(), Examples(images, np.zeros(20, np.int32)), seed=1)
    assert training.diverged_at == 1 and training.losses == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.loss)
def test_a_logit_that_is_not_finite_is_not_hidden(recipe, value, instruction_set):
    """In a class that no image has, after others that are finite."""
    spec, data = parse_spec("dense 3"), random_examples((4, 1, 1), 3, 20, 0, "floats")
    data = Examples(data.images, np.zeros(20, np.int32), data.teacher_logits)
    weights = random_weights(spec, (4, 1, 1), 0)
    weights[-1] = value
    loss, _ = native.gradient(spec, recipe, data, weights)
    hidden = recipe.loss in ("labels", "probabilities") and value == -np.inf  # the softmax is 0, as in torch
    assert np.isfinite(loss) == hidden
    assert not np.isfinite(native.predict(spec, weights, data.images)[:, 2]).any()


# --- prediction -------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [0, 1, 15, 16, 17, 50])
@pytest.mark.parametrize("spec", [EVERY_LAYER, LAYERED, WIDE], ids=["by chunk", "by layer", "wide"])
def test_predictions_do_not_depend_on_threads(spec, images, instruction_set):
    data, weights = patterns(images=50), random_weights(spec, MNIST, 3)
    logits = native.predict(spec, weights, data.images)[:images]
    for threads in (1, 2, 3, 60):
        found = native.predict(spec, weights, data.images[:images], threads)
        assert found.dtype == np.float32 and found.shape == (images, 4)
        np.testing.assert_array_equal(found, logits)


def test_an_image_gets_the_same_logits_in_any_company(instruction_set):
    data, weights = patterns(images=50), random_weights(EVERY_LAYER, MNIST, 3)
    order = np.random.default_rng(0).permutation(50)
    logits = native.predict(EVERY_LAYER, weights, data.images)
    np.testing.assert_array_equal(native.predict(EVERY_LAYER, weights, data.images[order]), logits[order])


def test_every_byte_is_read_as_its_fraction(instruction_set):
    """Each of 256 images shows one byte in 17 pixels: 16 that are loaded together and one that is left over."""
    bytes_ = np.repeat(np.arange(256, dtype=np.uint8), 17).reshape(256, 17, 1, 1)
    spec = parse_spec("dense 17")
    weights = np.concatenate([np.eye(17).ravel(), np.zeros(17)], dtype=np.float32)
    found = native.predict(spec, weights, bytes_)
    np.testing.assert_allclose(found, bytes_[:, :, 0, 0] / 255, rtol=2e-7)


# --- watching ---------------------------------------------------------------------------------


def test_watch_is_told_the_steps():
    seen = []
    recipe = Recipe(epochs=2, batch_size=1)
    native.train(CNN, recipe, patterns(images=120), 1, watch=lambda *steps: seen.append(steps))
    assert seen == [(0, 240), (50, 240), (100, 240), (120, 240), (170, 240), (220, 240)]


@pytest.mark.parametrize("threads", [1, 3])
def test_what_watch_raises_stops_the_training(threads):
    seen = []

    def stop(*steps):
        seen.append(steps)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        native.train(LAYERED, Recipe(epochs=9, batch_size=1), patterns(images=60), 1, stop, threads)
    assert len(seen) == 3


# --- arrays that are wrong --------------------------------------------------------------------

REFUSED = (ValueError, TypeError)
NETWORK = {
    "layers": np.array([[0, 2, 3, 3, 0, 1], [2, 0, 2, 2, 0, 0], [4, 3, 1, 1, 0, 1]], np.int32),
    "values": np.array([0, 1, 1], np.float32),
    "input_shape": [1, 6, 6],
    "weights": np.zeros(47, np.float32),
    "batch_size": 8,
    "threads": 2,
    "seed": 0,
    "instruction_set": "",
}
LESSON = {
    "images": np.zeros((5, 1, 6, 6), np.uint8),
    "labels": np.zeros(5, np.int32),
    "targets": np.zeros((5, 3), np.float32),
    "inverse_std": np.ones(3, np.float32),
    "order": np.arange(5, dtype=np.uint32),
    "loss": 2,
    "temperature": 1.0,
    "label_weight": 0.5,
}
TRAIN = LESSON | {"rates": np.ones(1, np.float32), "optimizer": 0, "momentum": 0.9, "beta2": 0.9, "epsilon": 1e-8}
GRADIENT = LESSON | {"out": np.zeros(47, np.float32)}
PREDICT = {"images": LESSON["images"], "first": 0, "logits": np.zeros((5, 3), np.float32)}


def layer(*row):
    return {"layers": np.array([row], np.int32), "values": np.ones(1, np.float32), "weights": np.zeros(0, np.float32)}


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def test_the_arrays_that_are_bent_below_are_right():
    network = _core.Network(**NETWORK)
    assert np.isfinite(network.train(**TRAIN))
    network.predict(**PREDICT)
    assert np.isfinite(_core.Network(**NETWORK).gradient(**GRADIENT))


@pytest.mark.parametrize(
    "changes",
    [
        layer(99, 3, 1, 1, 0, 1),
        layer(-1, 3, 1, 1, 0, 1),
        layer(0, 0, 3, 3, 0, 1),
        layer(0, -2, 3, 3, 0, 1),
        layer(0, 2**31 - 1, 3, 3, 0, 1),
        layer(0, 2, 0, 0, 0, 1),
        layer(0, 2, -3, 3, 0, 1),
        layer(0, 2, 3, 8, 1, 1),
        layer(0, 2, 7, 7, 0, 1),
        layer(1, 0, 3, 0, 0, 1),
        layer(1, 0, 9, 9, 1, 1),
        layer(2, 0, 2, 0, 0, 1),
        layer(2, 0, 0, 2, 0, 1),
        layer(2, 0, -2, -2, 0, 1),
        layer(2, 0, 7, 7, 0, 1),
        layer(3, 0, 1, 2, 0, 1),
        layer(4, 0, 1, 1, 0, 1),
        layer(4, -5, 1, 1, 0, 1),
        layer(4, 2**31 - 1, 1, 1, 0, 1),
        layer(4, 2**24, 1, 1, 0, 1),
        layer(4, 3, 2, 2, 0, 1),
        layer(5, 0, 1, 1, 0, 1),  # a rate of 1
        layer(5, 0, 1, 1, 0, 1) | {"values": np.array([np.nan], np.float32)},
        layer(5, 0, 1, 1, 0, 1) | {"values": np.array([-0.5], np.float32)},
        layer(3, 0, 2, 2, 0, 1),  # ends in a map
        {"layers": np.zeros((3, 5), np.int32)},
        {"layers": NETWORK["layers"].astype(np.int64)},
        {"layers": NETWORK["layers"][:2]},
        {"layers": np.asfortranarray(NETWORK["layers"])},
        {"values": np.zeros(2, np.float32)},
        {"values": np.zeros(3)},
        {"input_shape": [1, 6]},
        {"input_shape": [1, 6, 6, 1]},
        {"input_shape": [0, 6, 6]},
        {"input_shape": [1, -6, -6]},
        {"input_shape": [2**31 - 1, 2**31 - 1, 2**31 - 1]},
        {"input_shape": [2**24, 2**15, 2**15]},
        {"input_shape": [1, 2**31, 6]},
        {"weights": np.zeros(46, np.float32)},
        {"weights": np.zeros(48, np.float32)},
        {"weights": np.zeros(47)},
        {"weights": np.zeros((47, 1), np.float32)},
        {"weights": np.zeros(94, np.float32)[::2]},
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": 2**31 - 1},
        {"batch_size": 2**40},
        {"threads": 0},
        {"threads": 2**31 - 1},
        {"seed": -1},
        {"instruction_set": "v1"},
    ],
    ids=str,
)
def test_a_network_that_cannot_be_is_refused(changes):
    with pytest.raises(REFUSED):
        _core.Network(**(NETWORK | changes))


BAD_LESSONS = [
    {"images": np.zeros((5, 1, 6, 7), np.uint8)},
    {"images": np.zeros((4, 1, 6, 6), np.uint8)},
    {"images": np.zeros((0, 1, 6, 6), np.uint8)},
    {"images": np.zeros(180, np.uint8)},
    {"images": np.zeros((5, 1, 6, 6))},
    {"images": np.zeros((5, 1, 6, 6), np.int8)},
    {"images": np.zeros((5, 1, 6, 6), bool)},
    {"images": np.zeros((5, 1, 6, 6), np.float16)},
    {"images": np.zeros((5, 1, 6, 6), ">f4")},
    {"images": np.zeros((10, 1, 6, 6), np.uint8)[::2]},
    {"images": np.zeros((5, 1, 6, 12), np.uint8)[..., ::2]},
    {"images": [[0] * 36] * 5},
    {"images": None},
    {"labels": np.zeros(4, np.int32)},
    {"labels": np.zeros(5, np.int64)},
    {"labels": np.array([0, 1, 2, 3, 0], np.int32)},
    {"labels": np.array([0, 1, 2, -1, 0], np.int32)},
    {"labels": np.zeros((5, 1), np.int32)},
    {"targets": np.zeros((0, 0), np.float32)},
    {"targets": np.zeros((5, 4), np.float32)},
    {"targets": np.zeros((4, 3), np.float32)},
    {"targets": np.zeros((5, 3))},
    {"targets": np.zeros(15, np.float32)},
    {"targets": None},
    {"inverse_std": np.ones(2, np.float32)},
    {"inverse_std": np.ones(3)},
    {"order": np.array([5], np.uint32)},
    {"order": np.array([2**32 - 1], np.uint32)},
    {"order": np.arange(5)},
    {"order": np.zeros((1, 5), np.uint32)},
    {"loss": 4},
    {"loss": -1},
    {"temperature": "hot"},
]


@pytest.mark.parametrize("changes", BAD_LESSONS, ids=str)
def test_a_lesson_that_cannot_be_is_refused(changes):
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).train(**(TRAIN | changes))
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).gradient(**(GRADIENT | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"rates": np.zeros(0, np.float32)},
        {"rates": np.ones(1)},
        {"order": np.zeros(9, np.uint32)},  # two batches and one rate
        {"optimizer": 5},
        {"optimizer": -1},
    ],
    ids=str,
)
def test_steps_that_cannot_be_are_refused(changes):
    network = _core.Network(**NETWORK)
    with pytest.raises(REFUSED):
        network.train(**(TRAIN | changes))
    after = np.ones(47, np.float32)
    network.weights(after)
    np.testing.assert_array_equal(after, NETWORK["weights"])


@pytest.mark.parametrize(
    "changes",
    [
        {"out": np.zeros(46, np.float32)},
        {"out": np.zeros(47)},
        {"out": np.zeros(94, np.float32)[::2]},
        {"out": read_only(np.zeros(47, np.float32))},
        {"order": np.zeros(9, np.uint32)},  # more than a batch
    ],
    ids=str,
)
def test_a_gradient_that_does_not_fit_is_refused(changes):
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).gradient(**(GRADIENT | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"first": 1},
        {"first": -1},
        {"first": 2**63 - 1},
        {"first": -(2**63)},
        {"first": 2**63},
        {"first": 0.5},
        {"images": np.zeros((5, 1, 6, 5), np.uint8)},
        {"logits": np.zeros((6, 3), np.float32)},
        {"logits": np.zeros((5, 4), np.float32)},
        {"logits": np.zeros((5, 3))},
        {"logits": np.zeros(15, np.float32)},
        {"logits": np.zeros((5, 6), np.float32)[:, ::2]},
        {"logits": read_only(np.zeros((5, 3), np.float32))},
    ],
    ids=str,
)
def test_a_prediction_that_does_not_fit_is_refused(changes):
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).predict(**(PREDICT | changes))


@pytest.mark.parametrize("out", [np.zeros(46, np.float32), np.zeros(47), read_only(np.zeros(47, np.float32))])
def test_weights_go_only_where_they_fit(out):
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).weights(out)


def test_a_network_without_layers_gives_its_input_back():
    nothing = {"layers": np.zeros((0, 6), np.int32), "values": np.zeros(0, np.float32), "input_shape": [3, 1, 1]}
    network = _core.Network(**(NETWORK | nothing | {"weights": np.zeros(0, np.float32)}))
    images, logits = np.arange(15, dtype=np.float32).reshape(5, 3), np.zeros((5, 3), np.float32)
    network.predict(images, 0, logits)
    np.testing.assert_array_equal(logits, images)
    assert np.isfinite(network.train(**(TRAIN | {"images": images})))


def test_an_order_may_be_empty_or_say_an_image_twice():
    network, nothing = _core.Network(**NETWORK), np.zeros(0, np.uint32)
    assert network.train(**(TRAIN | {"order": nothing})) == 0
    assert network.gradient(**(GRADIENT | {"order": nothing})) == 0
    assert np.isfinite(network.train(**(TRAIN | {"order": np.zeros(8, np.uint32)})))


def test_arrays_may_be_read_only():
    bent = {name: read_only(value) if isinstance(value, np.ndarray) else value for name, value in TRAIN.items()}
    assert np.isfinite(_core.Network(**(NETWORK | {"weights": read_only(NETWORK["weights"])})).train(**bent))


def test_a_missing_teacher_is_refused():
    data = patterns(images=20)
    with pytest.raises(RequestError, match="needs a teacher"):
        native.train(CNN, Recipe(loss="kl"), Examples(data.images, data.labels), seed=1)


def test_wrong_weights_and_labels_are_refused():
    data = patterns(images=20)
    with pytest.raises(ValueError, match="number of weights"):
        native.predict(CNN, np.zeros(3, np.float32), data.images)
    with pytest.raises(ValueError, match="not a class"):
        native.train(CNN, Recipe(), Examples(data.images, data.labels + 4), seed=1)
