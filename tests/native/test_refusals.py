"""Arrays that are wrong: the core refuses each, before it touches memory that is not its own."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import CNN, patterns

from smidgen import _core
from smidgen.engine import Examples, native
from smidgen.errors import RequestError
from smidgen.records import Recipe

REFUSED = (ValueError, TypeError)
NETWORK = {
    "layers": np.array([[0, 2, 3, 3, 0, 1, -1], [2, 0, 2, 2, 0, 0, -1], [4, 3, 1, 1, 0, 1, -1]], np.int32),
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
TRAIN = LESSON | {
    "rates": np.ones(1, np.float32),
    "optimizer": 0,
    "momentum": 0.9,
    "beta2": 0.9,
    "epsilon": 1e-8,
    "average": 0.9,
    "warps": np.tile(np.eye(2, 3, dtype=np.float32), (5, 1, 1)),
}
START = {
    "weights": np.zeros(47, np.float32),
    "fixed": np.zeros(47, np.uint8),
    "tied": np.full(47, -1, np.int32),
    "codebook": np.zeros(47, np.int32),
    "levels": [np.array([-1, 0, 1], np.float32)],
    "costs": [np.zeros(3, np.float32)],
}
GRADIENT = LESSON | {"out": np.zeros(47, np.float32)}
PREDICT = {"images": LESSON["images"], "first": 0, "logits": np.zeros((5, 3), np.float32)}


def layer(*row, source=-1):
    """A network of one layer: kind, out, kernel_y, kernel_x, same, bias."""
    return layers((*row, source), weights=0)


def layers(*rows, weights):
    """Of rows as `LayerRequest` has them, with so many weights."""
    return {
        "layers": np.array(rows, np.int32),
        "values": np.ones(len(rows), np.float32),
        "weights": np.zeros(weights, np.float32),
    }


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
        layer(8, 0, 1, 1, 0, 1),
        layer(6, 0, 1, 1, 0, 1),  # a batch norm without its weights
        layer(7, 0, 1, 1, 0, 1),
        # Layers that would use the weights of another:
        layer(0, 2, 3, 3, 1, 1, source=0),
        layer(0, 2, 3, 3, 1, 1, source=1),
        layer(0, 2, 3, 3, 1, 1, source=-2),
        layer(0, 2, 3, 3, 1, 1, source=2**31 - 1),
        layers((0, 1, 3, 3, 1, 1, -1), (0, 1, 5, 5, 1, 1, 0), (4, 3, 1, 1, 0, 1, -1), weights=121),
        layers((0, 1, 3, 3, 1, 1, -1), (0, 1, 3, 3, 1, 0, 0), (4, 3, 1, 1, 0, 1, -1), weights=121),
        layers((0, 2, 3, 3, 1, 1, -1), (0, 2, 3, 3, 1, 1, 0), (4, 3, 1, 1, 0, 1, -1), weights=239),
        layers((0, 1, 3, 3, 1, 1, -1), (1, 0, 3, 3, 1, 1, 0), (4, 3, 1, 1, 0, 1, -1), weights=121),
        layers((2, 0, 1, 1, 0, 0, -1), (0, 1, 3, 3, 1, 1, 0), (4, 3, 1, 1, 0, 1, -1), weights=111),
        layers((6, 0, 1, 1, 0, 1, -1), (7, 0, 1, 1, 0, 1, 0), (4, 3, 1, 1, 0, 1, -1), weights=115),
        layers((7, 0, 1, 1, 0, 0, -1), (2, 0, 2, 2, 0, 0, -1), (4, 1, 1, 1, 0, 1, 0), weights=1),
        {"layers": np.zeros((3, 6), np.int32)},
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
BAD_STEPS = [
    {"rates": np.zeros(0, np.float32)},
    {"rates": np.ones(1)},
    {"order": np.zeros(9, np.uint32)},  # two batches and one rate
    {"optimizer": 5},
    {"optimizer": -1},
    {"warps": np.zeros((4, 2, 3), np.float32)},
    {"warps": np.zeros((5, 3, 2), np.float32)},
    {"warps": np.zeros((5, 6), np.float32)},
    {"warps": np.zeros((5, 2, 3))},
    {"warps": np.full((5, 2, 3), np.nan, np.float32)},
    {"warps": np.full((5, 2, 3), np.inf, np.float32)},
    {"warps": np.zeros((10, 2, 3), np.float32)[::2]},
    {"warps": None},
]


@pytest.mark.parametrize("changes", BAD_LESSONS, ids=str)
def test_a_lesson_that_cannot_be_is_refused(changes):
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).train(**(TRAIN | changes))
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).gradient(**(GRADIENT | changes))


@pytest.mark.parametrize("changes", BAD_STEPS, ids=str)
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


BAD_STARTS = [
    {"weights": np.zeros(46, np.float32)},
    {"weights": np.zeros(47)},
    {"fixed": np.zeros(46, np.uint8)},
    {"fixed": np.zeros(47, bool)},
    {"tied": np.zeros(48, np.int32)},
    {"tied": np.full(47, 47, np.int32)},
    {"tied": np.full(47, -2, np.int32)},
    {"tied": np.full(47, 2**31 - 1, np.int32)},
    {"tied": np.zeros(47, np.int64)},
    {"codebook": np.zeros(46, np.int32)},
    {"codebook": np.ones(47, np.int32)},
    {"codebook": np.full(47, -2, np.int32)},
    {"levels": []},
    {"levels": [np.zeros(0, np.float32)]},
    {"levels": [np.array([0, 0, 1], np.float32)]},
    {"levels": [np.array([1, 0, -1], np.float32)]},
    {"levels": [np.array([0, np.nan, 1], np.float32)]},
    {"levels": [np.array([0, 1, np.inf], np.float32)]},
    {"levels": [np.zeros((3, 1), np.float32)]},
    {"costs": [np.zeros(2, np.float32)]},
    {"costs": [np.zeros(3, np.float32)] * 2},
]


@pytest.mark.parametrize("changes", BAD_STARTS, ids=str)
def test_a_start_that_cannot_be_is_refused(changes):
    _core.Network(**NETWORK).start(**START)
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).start(**(START | changes))


@pytest.mark.parametrize("map_", [1e30, -1e30, 1e9, -1e9, 3e9])
def test_a_map_may_lead_far_away(map_):
    """What is read outside of the image is zero: the loss is that of an image without ink."""
    images, far = np.full((5, 1, 6, 6), 255, np.uint8), np.full((5, 2, 3), map_, np.float32)
    network = NETWORK | {"weights": np.linspace(-1, 1, 47, dtype=np.float32)}
    losses = [
        _core.Network(**network).train(**(TRAIN | {"images": pixels, "warps": warps}))
        for pixels, warps in ((images, far), (0 * images, TRAIN["warps"]))
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("out", [np.zeros(46, np.float32), np.zeros(47), read_only(np.zeros(47, np.float32))])
def test_weights_go_only_where_they_fit(out):
    with pytest.raises(REFUSED):
        _core.Network(**NETWORK).weights(out)


def test_a_network_without_layers_gives_its_input_back():
    nothing = {"layers": np.zeros((0, 7), np.int32), "values": np.zeros(0, np.float32), "input_shape": [3, 1, 1]}
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
