"""The torch engine's trainings, modules and weights."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.engine import Examples, TrainControl, torch_engine
from smidgen.engine.losses import loss_and_gradient, prepare
from smidgen.errors import EngineError, RequestError
from smidgen.records import LOSSES, OPTIMIZERS, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import epoch_order, initial_weights

torch = pytest.importorskip("torch")

SHAPE = (1, 8, 8)
EVERY_LAYER = parse_spec(
    "conv 4x3x3 same relu, batchnorm, maxpool 2, dropout 0.1, depthwise 2x3 same leaky_relu(0.1), pointwise 6 relu, "
    "prelu, avgpool 2, repeat 2 [conv 6x2x2 same, batchnorm, prelu], dense 12, batchnorm relu, pointwise 8 relu, "
    "globalavgpool, prelu, dense 4"
)
SMALL = parse_spec("conv 3x3x3 relu, maxpool 2, dropout 0.2, dense 4")


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cpu")


def examples(images=600, classes=4, teacher=False):
    """Noisy copies of one pattern a class: uint8 [n, 1, 8, 8]."""
    random = np.random.default_rng(3)
    patterns = random.integers(0, 200, (classes, *SHAPE))
    labels = random.integers(0, classes, images).astype(np.int32)
    noisy = np.clip(patterns[labels] + random.normal(0, 30, (images, *SHAPE)), 0, 255).astype(np.uint8)
    logits = (4 * np.eye(classes)[labels] + random.normal(0, 0.5, (images, classes))).astype(np.float32)
    return Examples(noisy, labels, logits if teacher else None)


def correct_rate(spec, weights, data):
    return (torch_engine.predict(spec, weights, data.images).argmax(1) == data.labels).mean()


# --- training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_it_learns_from_every_loss(loss):
    data = examples(teacher=True)
    recipe = Recipe(loss=loss, epochs=6, batch_size=32, label_weight=0.1)
    training = torch_engine.train(SMALL, recipe, data, seed=1)
    assert training.diverged_at == 0 and len(training.losses) == 6
    assert training.losses[-1] < training.losses[0]
    assert correct_rate(SMALL, training.weights, data) > 0.9


RATES = {"adam": 0.01, "adam-keras": 0.01, "sgd": 0.1, "nesterov": 0.1, "rmsprop": 0.01, "adadelta": 10.0}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_learns_by_every_optimizer(optimizer):
    recipe = Recipe(optimizer=optimizer, learning_rate=RATES[optimizer], epochs=6, batch_size=32)
    training = torch_engine.train(SMALL, recipe, examples(), seed=1)
    assert correct_rate(SMALL, training.weights, examples()) > 0.9


def test_every_layer_learns():
    recipe = Recipe(epochs=12, batch_size=16)  # the running statistics of a batch norm need a few hundred steps
    training = torch_engine.train(EVERY_LAYER, recipe, examples(300), seed=1)
    assert correct_rate(EVERY_LAYER, training.weights, examples()) > 0.9
    assert training.weights.size == initial_weights(EVERY_LAYER, SHAPE, 1).size


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    recipe = Recipe(epochs=2, batch_size=64)
    torch.manual_seed(1)
    first = torch_engine.train(EVERY_LAYER, recipe, examples(), seed=7)
    torch.manual_seed(2)
    again = torch_engine.train(EVERY_LAYER, recipe, examples(), seed=7)
    other = torch_engine.train(EVERY_LAYER, recipe, examples(), seed=8)
    assert first.weights.tobytes() == again.weights.tobytes() and first.losses == again.losses
    assert first.weights.tobytes() != other.weights.tobytes()


def test_torch_is_left_as_it_was():
    before = torch.get_num_threads(), torch.get_rng_state()
    torch_engine.train(
        EVERY_LAYER, Recipe(epochs=1), examples(100), seed=1, control=TrainControl(threads=before[0] + 1)
    )
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_step_follows_the_defined_loss(loss, outputs):
    """One linear layer, plain gradient descent, one batch: the step by hand, from `smidgen.engine.losses`."""
    spec, data = parse_spec(f"dense {outputs}"), examples(40, teacher=True)
    if outputs == 1:
        data = Examples(data.images, data.labels % 2, data.teacher_logits[:, :2])
    recipe = Recipe(loss, 2.0, 0.3, "sgd", learning_rate=0.1, schedule="constant", epochs=1, batch_size=40)
    training = torch_engine.train(spec, recipe, data, seed=2)

    start = initial_weights(spec, SHAPE, 2).astype(np.float64)
    inputs = data.images.reshape(40, 64) / 255
    logits = inputs @ start[: 64 * outputs].reshape(outputs, 64).T + start[64 * outputs :]
    targets = prepare(recipe, data.teacher_logits, outputs)
    value, gradient = loss_and_gradient(recipe, logits, data.labels, targets)
    wanted = start - 0.1 * np.concatenate([(gradient.T @ inputs).ravel(), gradient.sum(0)])
    assert training.losses[0] == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(training.weights, wanted, atol=1e-6)


def test_batches_come_in_the_order_of_the_epoch_and_the_last_is_short():
    """Two epochs of batches of 4, 4, 2 by hand; the loss of an epoch is the mean over its images."""
    spec, data = parse_spec("dense 4"), examples(10)
    recipe = Recipe(optimizer="sgd", learning_rate=0.5, epochs=2, batch_size=4)
    training = torch_engine.train(spec, recipe, data, seed=5)

    weights, velocity = initial_weights(spec, SHAPE, 5).astype(np.float64), np.zeros(260)
    rates, losses = iter(recipe.learning_rates(10)), []
    for epoch in range(2):
        order, total = epoch_order(10, 5, epoch), 0.0
        for chosen in (order[:4], order[4:8], order[8:]):
            inputs = data.images[chosen].reshape(-1, 64) / 255
            logits = inputs @ weights[:256].reshape(4, 64).T + weights[256:]
            value, slope = loss_and_gradient(recipe, logits, data.labels[chosen], prepare(recipe, None))
            velocity = 0.9 * velocity + np.concatenate([(slope.T @ inputs).ravel(), slope.sum(0)])
            weights = weights - next(rates) * velocity
            total += value * len(chosen)
        losses.append(total / 10)
    np.testing.assert_allclose(training.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(training.weights, weights, atol=1e-5)


def test_divergence_is_an_outcome():
    recipe = Recipe(optimizer="sgd", learning_rate=1e15, schedule="constant", epochs=5, batch_size=300, loss="logits")
    training = torch_engine.train(SMALL, recipe, examples(teacher=True), seed=1)
    assert 1 <= training.diverged_at <= 5
    assert len(training.losses) == training.diverged_at - 1
    assert np.isfinite(training.losses).all()
    np.testing.assert_array_equal(training.weights, initial_weights(SMALL, SHAPE, 1))


def test_nan_pixels_diverge_at_once():
    images = np.full((20, *SHAPE), np.nan, np.float32)
    training = torch_engine.train(SMALL, Recipe(), Examples(images, np.zeros(20, np.int32)), seed=1)
    assert training.diverged_at == 1 and training.losses == ()
    np.testing.assert_array_equal(training.weights, initial_weights(SMALL, SHAPE, 1))


def test_progress_gets_the_steps_and_can_stop_the_training():
    seen = []
    torch_engine.train(
        SMALL,
        Recipe(epochs=3, batch_size=32),
        examples(),
        1,
        control=TrainControl(progress=lambda *steps: seen.append(steps)),
    )
    assert seen == [(20, 57), (40, 57), (57, 57)]

    def stop(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        torch_engine.train(SMALL, Recipe(epochs=3, batch_size=32), examples(), 1, control=TrainControl(progress=stop))


def test_a_missing_teacher_is_refused():
    with pytest.raises(RequestError, match="needs a teacher"):
        torch_engine.train(SMALL, Recipe(loss="kl"), examples(), seed=1)


# --- predicting -------------------------------------------------------------------------------


def test_bytes_are_read_as_fractions_of_255_and_floats_as_they_are():
    weights, images = initial_weights(EVERY_LAYER, SHAPE, 1), examples(2500).images
    logits = torch_engine.predict(EVERY_LAYER, weights, images)
    assert logits.shape == (2500, 4) and logits.dtype == np.float32
    as_floats = torch_engine.predict(EVERY_LAYER, weights, images / np.float32(255))
    np.testing.assert_array_equal(logits, as_floats)


def test_an_images_class_does_not_depend_on_its_batch():
    """More images than a batch, in reverse order, one alone, none, and a read-only array."""
    weights, images = initial_weights(EVERY_LAYER, SHAPE, 1), examples(1500).images
    images.setflags(write=False)
    logits = torch_engine.predict(EVERY_LAYER, weights, images)
    np.testing.assert_allclose(torch_engine.predict(EVERY_LAYER, weights, images[::-1])[::-1], logits, atol=1e-6)
    np.testing.assert_allclose(torch_engine.predict(EVERY_LAYER, weights, images[7:8])[0], logits[7], atol=1e-6)
    assert torch_engine.predict(EVERY_LAYER, weights, images[:0]).shape == (0, 4)


# --- modules ----------------------------------------------------------------------------------


def test_flat_weights_is_the_inverse_of_module_of():
    count = initial_weights(EVERY_LAYER, SHAPE, 0).size
    weights = np.random.default_rng(0).random(count).astype(np.float32)
    np.testing.assert_array_equal(
        torch_engine.flat_weights(torch_engine.module_of(EVERY_LAYER, SHAPE, weights)), weights
    )
    start = torch_engine.flat_weights(torch_engine.module_of(EVERY_LAYER, SHAPE))
    np.testing.assert_array_equal(start, initial_weights(EVERY_LAYER, SHAPE, 0))


def test_the_order_of_flat_weights():
    """Weight, then bias; of a batch norm scale, shift, mean, variance."""
    spec = parse_spec("conv 2x1x3, batchnorm, dense 2")
    weights = np.arange(6 + 2 + 8 + 2 * 12 + 2, dtype=np.float32)
    conv, norm, _, dense = torch_engine.module_of(spec, (1, 1, 8), weights)
    np.testing.assert_array_equal(conv.weight.detach().numpy(), weights[:6].reshape(2, 1, 1, 3))
    np.testing.assert_array_equal(conv.bias.detach().numpy(), weights[6:8])
    rest = [norm.weight, norm.bias, norm.running_mean, norm.running_variance]
    np.testing.assert_array_equal(torch.stack(rest).detach().numpy(), weights[8:16].reshape(4, 2))
    np.testing.assert_array_equal(dense.weight.detach().numpy(), weights[16:40].reshape(2, 12))


def test_a_repeat_is_one_module_whose_weights_are_stored_once():
    """Each batch norm of each round is a module of its own."""
    spec = parse_spec("repeat 3 [conv 2x3x3 same nobias, batchnorm, prelu], dense 1 nobias")
    count = 2 * 2 * 9 + 2 + 3 * 8 + 2 * 16
    weights = np.arange(count, dtype=np.float32)
    module = torch_engine.module_of(spec, (2, 4, 4), weights)
    convolutions = [layer for layer in module if isinstance(layer, torch.nn.Conv2d)]
    slopes = [layer for layer in module if isinstance(layer, torch.nn.PReLU)]
    assert len(convolutions) == len(slopes) == 3 and len({*convolutions, *slopes}) == 2
    assert convolutions[2].weight is convolutions[0].weight
    np.testing.assert_array_equal(slopes[1].weight.detach().numpy(), weights[44:46])
    norms = [layer.running_variance.tolist() for layer in module if hasattr(layer, "running_variance")]
    assert norms == [[42, 43], [52, 53], [60, 61]]
    np.testing.assert_array_equal(torch_engine.flat_weights(module), weights)
    assert sum(parameter.numel() for parameter in module.parameters()) == spec.parameters((2, 4, 4)) == count - 12


def test_a_repeats_gradient_is_that_of_one_layer_used_again():
    """A network with a repeat, a PReLU on a map and one on a vector, written out by hand in float64."""
    spec = parse_spec("repeat 3 [conv 2x3x3 same, prelu], dense 4, prelu, repeat 2 [dense 4 relu], dense 3")
    sizes = [(2, 2, 3, 3), (2,), (2,), (4, 50), (4,), (4,), (4, 4), (4,), (3, 4), (3,)]
    random = np.random.default_rng(0)
    pieces = [torch.tensor(random.normal(0, 0.5, size), requires_grad=True) for size in sizes]
    kernel, bias, slope, first, first_bias, first_slope, again, again_bias, last, last_bias = pieces
    images = torch.tensor(random.random((6, 2, 5, 5)))
    values = images
    for _ in range(3):
        values = torch.conv2d(values, kernel, bias, padding=1)
        values = values.clamp(min=0) + slope[:, None, None] * values.clamp(max=0)
    values = values.reshape(6, 50) @ first.T + first_bias
    values = values.clamp(min=0) + first_slope * values.clamp(max=0)
    for _ in range(2):
        values = (values @ again.T + again_bias).clamp(min=0)
    wanted = values @ last.T + last_bias
    wanted.square().sum().backward()

    weights = np.concatenate([piece.detach().numpy().ravel() for piece in pieces])
    module = torch_engine.module_of(spec, (2, 5, 5), weights.astype(np.float32)).double()
    for own, piece in zip(module.parameters(), pieces, strict=True):
        own.data.copy_(piece)  # float32 is not enough to tell
    logits = module(images)
    logits.square().sum().backward()
    torch.testing.assert_close(logits, wanted)
    for own, piece in zip(module.parameters(), pieces, strict=True):
        torch.testing.assert_close(own.grad, piece.grad)


def test_a_wrong_number_of_weights_is_refused():
    with pytest.raises(EngineError, match="has 142 weights and 138 are given"):
        torch_engine.module_of(SMALL, SHAPE, np.zeros(138, np.float32))


def test_a_module_trains_in_the_users_own_loop():
    module = torch_engine.module_of(EVERY_LAYER, SHAPE).train()
    before = torch_engine.flat_weights(module)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.rand(6, *SHAPE)).square().mean().backward()
    optimizer.step()
    assert (torch_engine.flat_weights(module) != before).mean() > 0.5


# --- name and device ------------------------------------------------------------------------


def test_the_name_is_the_version_and_the_device():
    assert torch_engine.available() == ""
    assert torch_engine.name() == f"torch-{torch.__version__.split('+')[0]}-cpu"


def test_an_unknown_device_is_refused(monkeypatch):
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "abacus")
    with pytest.raises(EngineError, match="SMIDGEN_TORCH_DEVICE='abacus' is not a device of this machine"):
        torch_engine.train(SMALL, Recipe(), examples(), seed=1)
