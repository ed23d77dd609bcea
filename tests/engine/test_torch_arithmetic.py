"""The torch engine's layers and optimizers against NumPy loops, formulas, and torch's own."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.engine import torch_engine
from smidgen.records import OPTIMIZERS
from smidgen.spec import parse_spec

torch = pytest.importorskip("torch")

SHAPE = (1, 8, 8)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cpu")


def convolved(image, kernels, bias, same):
    """A cross-correlation by loops: image [c, h, w], kernels [out, c, ky, kx]; each value from its definition."""
    out, _, kernel_y, kernel_x = kernels.shape
    top, left = ((kernel_y - 1) // 2, (kernel_x - 1) // 2) if same else (0, 0)
    height, width = image.shape[1:]
    rows, columns = (height, width) if same else (height - kernel_y + 1, width - kernel_x + 1)
    result = np.empty((out, rows, columns))
    for o, y, x in np.ndindex(out, rows, columns):
        total = bias[o]
        for dy, dx in np.ndindex(kernel_y, kernel_x):
            from_y, from_x = y + dy - top, x + dx - left
            if 0 <= from_y < height and 0 <= from_x < width:
                total += (image[:, from_y, from_x] * kernels[o, :, dy, dx]).sum()
        result[o, y, x] = total
    return result


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (4, 4), (2, 5), (6, 3), (7, 1)])
def test_convolutions_against_loops(kernel, same):
    text = f"conv 3x{kernel[0]}x{kernel[1]}{' same' if same else ''} leaky_relu(0.1)"
    random = np.random.default_rng(4)
    image, kernels, bias = random.random((2, 8, 7)), random.normal(size=(3, 2, *kernel)), random.normal(size=3)
    weights = np.concatenate([kernels.ravel(), bias]).astype(np.float32)
    logits = torch_engine.predict(parse_spec(text), weights, image[None].astype(np.float32))
    wanted = convolved(image, kernels, bias, same)
    np.testing.assert_allclose(logits[0], np.where(wanted > 0, wanted, 0.1 * wanted).ravel(), atol=1e-5)


@pytest.mark.parametrize("kernel", [(3, 3), (2, 4)])
def test_depthwise_convolutions_against_loops(kernel):
    random = np.random.default_rng(4)
    image, kernels, bias = random.random((3, 6, 5)), random.normal(size=(3, 1, *kernel)), random.normal(size=3)
    weights = np.concatenate([kernels.ravel(), bias]).astype(np.float32)
    spec = parse_spec(f"depthwise {kernel[0]}x{kernel[1]} same")
    logits = torch_engine.predict(spec, weights, image[None].astype(np.float32))
    wanted = [convolved(image[c : c + 1], kernels[c : c + 1], bias[c : c + 1], True) for c in range(3)]
    np.testing.assert_allclose(logits[0], np.ravel(wanted), atol=1e-5)


@pytest.mark.parametrize(("text", "reduce"), [("maxpool 3", np.max), ("avgpool 3", np.mean)])
def test_pools_drop_incomplete_windows(text, reduce):
    image = np.random.default_rng(4).random((2, 8, 7)).astype(np.float32)
    logits = torch_engine.predict(parse_spec(text), np.zeros(0, np.float32), image[None])
    windows = image[:, :6, :6].reshape(2, 2, 3, 2, 3)
    np.testing.assert_allclose(logits[0], reduce(windows, axis=(2, 4)).ravel(), rtol=1e-6)


def test_batch_norm_is_kerass():
    """Biased variances in the batch and in the running statistics, epsilon 0.001, momentum 0.99."""
    module = torch_engine.module_of(parse_spec("batchnorm"), (3, 4, 5)).train()
    values = np.random.default_rng(1).normal(2, 3, (6, 3, 4, 5))
    outputs = module(torch.tensor(values, dtype=torch.float32)).detach().numpy()
    mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3))
    wanted = (values - mean[:, None, None]) / np.sqrt(variance + 1e-3)[:, None, None]
    np.testing.assert_allclose(outputs, wanted.reshape(6, -1), atol=1e-5)
    running_stats = torch_engine.flat_weights(module)[6:]
    np.testing.assert_allclose(running_stats, np.r_[0.01 * mean, 0.99 + 0.01 * variance], rtol=1e-5)


def test_batch_norms_gradient_is_torchs():
    own = torch_engine.module_of(parse_spec("batchnorm"), (3, 4, 5)).double().train()
    theirs = torch.nn.Sequential(torch.nn.BatchNorm2d(3, eps=1e-3), torch.nn.Flatten()).double().train()
    values = torch.randn(6, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mine, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    own(mine).pow(3).sum().backward()
    theirs(other).pow(3).sum().backward()
    torch.testing.assert_close(mine.grad, other.grad)


def test_dropout_keeps_the_mean_and_drops_its_rate():
    """In the user's own loop, from torch's own generator."""
    module = torch_engine.module_of(parse_spec("dropout 0.25"), (1, 200, 200))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        outputs = module.train()(torch.ones(1, 1, 200, 200))
    assert outputs.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (outputs == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(module.eval()(torch.ones(1, 1, 200, 200)), torch.ones(1, 40_000))


# --- optimizers -------------------------------------------------------------------------------


def numpy_steps(name, weights, gradients, rate):
    """Each optimizer from the formula of its source, on float64, one yield a step."""
    o, a, b = OPTIMIZERS[name], np.zeros_like(weights), np.zeros_like(weights)
    for step, g in enumerate(gradients, 1):
        if o.kind == "adam":
            a, b = o.momentum * a + (1 - o.momentum) * g, o.beta2 * b + (1 - o.beta2) * g**2
            move = (a / (1 - o.momentum**step)) / (np.sqrt(b / (1 - o.beta2**step)) + o.epsilon)
        elif o.kind == "sgd":
            move = a = o.momentum * a + g
        elif o.kind == "nesterov":
            a = o.momentum * a + g
            move = g + o.momentum * a
        elif o.kind == "rmsprop":
            b = o.beta2 * b + (1 - o.beta2) * g**2
            move = g / np.sqrt(b + o.epsilon)
        else:
            b = o.beta2 * b + (1 - o.beta2) * g**2
            move = g * np.sqrt(a + o.epsilon) / np.sqrt(b + o.epsilon)
            a = o.beta2 * a + (1 - o.beta2) * move**2
        weights = weights - rate * move
        yield weights


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_against_their_formulas(name):
    random = np.random.default_rng(2)
    # Small gradients too, where the place of epsilon shows.
    gradients = random.normal(size=(5, 8)) * np.array([1, 1, 0.1, 0.01, 1e-3, 1e-4, 1e-6, 0])
    weights = torch.tensor(random.normal(size=8))
    state = torch.zeros_like(weights), torch.zeros_like(weights)
    for step, wanted in enumerate(numpy_steps(name, weights.numpy().copy(), gradients, 0.05), 1):
        torch_engine.update(OPTIMIZERS[name], weights, torch.tensor(gradients[step - 1]), state, 0.05, step)
        np.testing.assert_allclose(weights.numpy(), wanted, rtol=1e-12)


TORCH_OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, eps=1e-8),
    "adam-keras": lambda p: torch.optim.Adam(p, lr=0.05, eps=1e-7),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.05, rho=0.95, eps=1e-7),
}


@pytest.mark.parametrize("name", TORCH_OPTIMIZERS)
def test_optimizers_against_torchs(name):
    gradients = torch.tensor(np.random.default_rng(2).normal(size=(5, 8)))
    weights, theirs = torch.ones(8, dtype=torch.float64), torch.ones(8, dtype=torch.float64, requires_grad=True)
    state, optimizer = (torch.zeros_like(weights), torch.zeros_like(weights)), TORCH_OPTIMIZERS[name]([theirs])
    for step, gradient in enumerate(gradients, 1):
        torch_engine.update(OPTIMIZERS[name], weights, gradient, state, 0.05, step)
        theirs.grad = gradient
        optimizer.step()
    torch.testing.assert_close(weights, theirs.detach(), rtol=1e-10, atol=0)
