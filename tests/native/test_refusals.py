"""The core refuses every argument that does not fit before it touches memory, and no float becomes an index outside."""

from __future__ import annotations

import numpy as np
import pytest
from core_calls import (
    HEAD,
    NETWORK,
    PREDICT,
    TRAIN,
    conv,
    gradient,
    layer,
    layers,
    network_of,
    plain,
    read_only,
    start,
    train,
)
from oracle import CNN, patterns

from smidgen import _core
from smidgen.engine import Examples, native
from smidgen.errors import RequestError
from smidgen.records import Recipe

REFUSED = (ValueError, TypeError)


def test_the_arguments_that_are_changed_below_are_right():
    network = network_of()
    assert np.isfinite(train(network))
    network.predict(**PREDICT)
    assert np.isfinite(gradient(network_of()))


@pytest.mark.parametrize(
    "changes",
    [
        layer("CONV", 0, (3, 3)),
        layer("CONV", -2, (3, 3)),
        layer("CONV", 2**31 - 1, (3, 3)),
        layer("CONV", 2**31, (3, 3)),
        layer("CONV", 2, (0, 0)),
        layer("CONV", 2, (-3, 3)),
        layer("CONV", 2, (2, 12), same=True),
        layer("CONV", 2, (1, 64), same=True),
        layer("CONV", 2, (7, 7)),
        layer("CONV", 2, (3, 3), stride=(0, 1)),
        layer("CONV", 2, (3, 3), stride=(-1, 1)),
        layer("CONV", 2, (3, 3), stride=(1, 2**40)),
        layer("CONV", 2, (3, 3), ceiling=0.0),
        layer("CONV", 2, (3, 3), ceiling=np.nan),
        layer("CONV", 2, (3, 3), shared=1),
        layer("CONV", 2, (3, 3), inputs=[0]),
        layer("CONV", 2, (3, 3), inputs=[-2]),
        layer("CONV", 2, (3, 3), inputs=[-1, -1]),
        layer("CONV", 2, (3, 3), inputs=[2**31 - 1]),
        layer("CONV", 2, (3, 3, 3)),
        layer("DEPTHWISE", kernel=(3, 0)),
        layer("DEPTHWISE", kernel=(12, 12), same=True),
        layer("DEPTHWISE", kernel=(3, 3), shared=-1),
        layer("DEPTHWISE", kernel=(3, 3), shared=2**40),
        layer("MAX_POOL", kernel=(2, 0)),
        layer("MAX_POOL", kernel=(0, 2)),
        layer("MAX_POOL", kernel=(-2, -2)),
        layer("MAX_POOL", kernel=(7, 7)),
        layer("AVG_POOL", kernel=(1, 2), stride=(0, 1)),
        layer("AVG_POOL", kernel=(1, 2), stride=(1, 2**31)),
        layer("DENSE", 0),
        layer("DENSE", -5),
        layer("DENSE", 2**31 - 1),
        layer("DENSE", 2**24),
        layer("DENSE", 3, (2, 2)),
        layer("DROPOUT", rate=1.0),
        layer("DROPOUT", rate=np.nan),
        layer("DROPOUT", rate=-0.5),
        layer("BATCH_NORM"),  # without its weights
        layer("PRELU"),
        layer("CRELU", kernel=(1, 2)),
        layer("CRELU", stride=(1, 2)),
        layer("ADD"),
        layer("ADD", inputs=[-1]),
        layer("ADD", inputs=[-1, -1, -1]),
        layer("ADD", inputs=[-1, 0]),
        layers(conv(3), conv(3) | {"inputs": [-1]}, HEAD, weights=131),  # nothing reads the first
        layers(plain("MAX_POOL", kernel=(2, 2)), plain("ADD") | {"inputs": [0, -1]}, HEAD, weights=30),
        # Layers that would use the weights of another:
        layer("CONV", 2, (3, 3), same=True, source=0),
        layer("CONV", 2, (3, 3), same=True, source=1),
        layer("CONV", 2, (3, 3), same=True, source=-2),
        layer("CONV", 2, (3, 3), same=True, source=2**31 - 1),
        layers(conv(3), conv(5, source=0), HEAD, weights=121),
        layers(conv(3), conv(3, source=0, bias=False), HEAD, weights=121),
        layers(conv(3, out=2), conv(3, out=2, source=0), HEAD, weights=239),
        layers(conv(3), conv(3, source=0) | {"kind": "DEPTHWISE", "out": 0}, HEAD, weights=121),
        layers(plain("MAX_POOL"), conv(3, source=0), HEAD, weights=111),
        layers(plain("BATCH_NORM", bias=True), plain("PRELU", bias=True, source=0), HEAD, weights=115),
        layers(plain("PRELU"), plain("MAX_POOL", kernel=(2, 2)), plain("DENSE", 1, bias=True, source=0), weights=1),
        {"layers": NETWORK["layers"][:2]},
        {"input_shape": [1, 6]},
        {"input_shape": [1, 6, 6, 1]},
        {"input_shape": [0, 6, 6]},
        {"input_shape": [1, -6, -6]},
        {"input_shape": [2**31 - 1, 2**31 - 1, 2**31 - 1]},
        {"input_shape": [2**24, 2**15, 2**15]},
        {"input_shape": [1, 2**26 + 1, 1]},
        {"input_shape": [2**62, 2**62, 4]},
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
        network_of(**changes)


@pytest.mark.parametrize("layers", [None, [None], [1], np.zeros((3, 7), np.int32)], ids=str)
def test_layers_of_another_type_are_refused(layers):
    with pytest.raises(REFUSED):
        _core.Network(**(NETWORK | {"layers": layers}))


@pytest.mark.parametrize("kinds", [_core.LayerKind, _core.LossKind, _core.OptimizerKind])
def test_kinds_that_do_not_exist_are_refused(kinds):
    for number in (-1, len(kinds), 99):
        with pytest.raises(REFUSED):
            kinds(number)
    for struct in (_core.Layer, _core.Loss, _core.Optimizer):
        with pytest.raises(REFUSED):
            struct(99)


BAD_BATCHES = [
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
    {"inverse_std": None},
    {"inverse_std": np.ones(2, np.float32)},
    {"inverse_std": np.ones(3)},
    {"order": np.array([5], np.uint32)},
    {"order": np.array([2**32 - 1], np.uint32)},
    {"order": np.arange(5)},
    {"order": np.zeros((1, 5), np.uint32)},
    {"loss": {"kind": "SQUARED", "temperature": "hot"}},
]
BAD_STEPS = [
    {"rates": np.zeros(0, np.float32)},
    {"rates": np.ones(1)},
    {"order": np.zeros(9, np.uint32)},  # two batches and one rate
    {"optimizer": {"kind": "ADAM", "beta2": "high"}},
    {"affine_maps": np.zeros((4, 2, 3), np.float32)},
    {"affine_maps": np.zeros((5, 3, 2), np.float32)},
    {"affine_maps": np.zeros((5, 6), np.float32)},
    {"affine_maps": np.zeros((5, 2, 3))},
    {"affine_maps": np.full((5, 2, 3), np.nan, np.float32)},
    {"affine_maps": np.full((5, 2, 3), np.inf, np.float32)},
    {"affine_maps": np.zeros((10, 2, 3), np.float32)[::2]},
    {"affine_maps": [[[1, 0, 0], [0, 1, 0]]] * 5},
]


@pytest.mark.parametrize("changes", BAD_BATCHES, ids=str)
def test_a_batch_that_does_not_fit_is_refused(changes):
    with pytest.raises(REFUSED):
        train(network_of(), **changes)
    with pytest.raises(REFUSED):
        gradient(network_of(), **changes)


@pytest.mark.parametrize("changes", BAD_STEPS, ids=str)
def test_steps_that_do_not_fit_are_refused_and_change_nothing(changes):
    network = network_of()
    with pytest.raises(REFUSED):
        train(network, **changes)
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
        gradient(network_of(), **changes)


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
        network_of().predict(**(PREDICT | changes))


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
    start(network_of())
    with pytest.raises(REFUSED):
        start(network_of(), **changes)


def map_of(*rows):
    """One affine map for each of five images: float32 [5, 2, 3]."""
    return np.tile(np.array(rows, np.float32), (5, 1, 1))


FAR_MAPS = {str(value): np.full((5, 2, 3), value, np.float32) for value in (1e30, -1e30, 1e9, -1e9, 3e9, 3e38, -3e38)}
NAN_MAPS = {
    "both": map_of([3e38, -3e38, 0], [-3e38, 3e38, 0]),
    "row": map_of([3e38, -3e38, 3e38], [0, 1, 0]),
    "column": map_of([1, 0, 0], [-3e38, 3e38, 1]),
}
"""Finite maps whose coordinates overflow to inf - inf = NaN from the third row and column on."""


@pytest.mark.parametrize("name", FAR_MAPS)
def test_a_map_may_point_far_outside(name, instruction_set):
    """What is read outside of the image is zero: the loss is that of a black image."""
    images = np.full((5, 1, 6, 6), 255, np.uint8)
    weights = np.linspace(-1, 1, 47, dtype=np.float32)
    losses = [
        train(network_of(weights=weights, instruction_set=instruction_set), images=pixels, affine_maps=maps)
        for pixels, maps in ((images, FAR_MAPS[name]), (0 * images, TRAIN["affine_maps"]))
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("pixels", [np.uint8, np.float32])
@pytest.mark.parametrize("name", NAN_MAPS)
def test_coordinates_that_are_not_numbers_read_zero(name, pixels, instruction_set):
    """The image of a finite map with NaN coordinates is read inside its frame, without a sanitizer or with one."""
    network = network_of(weights=np.linspace(-1, 1, 47, dtype=np.float32), instruction_set=instruction_set)
    images = np.full((5, 1, 6, 6), 255 if pixels == np.uint8 else 1, pixels)
    assert np.isfinite(train(network, images=images, affine_maps=NAN_MAPS[name]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (4, 0, 2), (4, 1, 1)])
def test_a_map_that_is_not_finite_is_refused(place, value):
    maps = TRAIN["affine_maps"].copy()
    maps[place] = value
    with pytest.raises(ValueError, match="affine map is not finite"):
        train(network_of(), affine_maps=maps)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("levels", [np.linspace(-1, 1, 5), [-1, -0.9, 0, 0.1, 7], [-3e38, 0, 3e38], [0.5]], ids=str)
def test_a_weight_that_is_not_finite_finds_a_level(levels, value):
    """No weight, however large, is looked up outside of its codebook and its costs."""
    network, out = network_of(), np.zeros(47, np.float32)
    levels = np.array(levels, np.float32)
    start(network, weights=np.full(47, value, np.float32), levels=[levels], costs=[np.abs(levels)])
    network.weights(out)
    assert np.isin(out, levels).all()
    train(network)


def test_costs_without_codebooks_change_nothing():
    network = network_of()
    start(network, codebook=None)
    assert np.isfinite(train(network))


@pytest.mark.parametrize("out", [np.zeros(46, np.float32), np.zeros(47), read_only(np.zeros(47, np.float32))])
def test_weights_go_only_where_they_fit(out):
    with pytest.raises(REFUSED):
        network_of().weights(out)


def test_a_network_without_layers_returns_its_input():
    network = network_of(layers=[], input_shape=[3, 1, 1], weights=np.zeros(0, np.float32))
    images, logits = np.arange(15, dtype=np.float32).reshape(5, 3), np.zeros((5, 3), np.float32)
    network.predict(images, 0, logits)
    np.testing.assert_array_equal(logits, images)
    assert np.isfinite(train(network, images=images))


def test_an_order_may_be_empty_or_name_an_image_twice():
    network, nothing = network_of(), np.zeros(0, np.uint32)
    assert train(network, order=nothing) == 0
    assert gradient(network, order=nothing) == 0
    assert np.isfinite(train(network, order=np.zeros(8, np.uint32)))


def test_arrays_may_be_read_only():
    frozen = {name: read_only(value) if isinstance(value, np.ndarray) else value for name, value in TRAIN.items()}
    assert np.isfinite(train(network_of(weights=read_only(NETWORK["weights"])), **frozen))


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
