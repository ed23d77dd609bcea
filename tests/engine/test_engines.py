"""What both engines start from and are held to, how images are moved, and how an engine is chosen."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen import engine
from smidgen.engine import Examples, Projection, Start, check_start, choose, native, torch_engine
from smidgen.engine.start import is_running_stat
from smidgen.errors import EngineError
from smidgen.records import Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.spec.families import family
from smidgen.streams import affine_maps, epoch_order, initial_weights

MNIST = (1, 28, 28)


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


@pytest.fixture
def installed(monkeypatch):
    """Says which engines are here, whichever are."""

    def set_reasons(native_reason="", torch_reason=""):
        monkeypatch.setattr(native, "available", lambda: native_reason)
        monkeypatch.setattr(torch_engine, "available", lambda: torch_reason)

    return set_reasons


# --- choosing ---------------------------------------------------------------------------------


def test_native_comes_first_where_it_is_built(installed):
    installed()
    assert choose() is native
    assert choose("native") is native
    assert choose("torch") is torch_engine


def test_without_the_core_torch_trains(installed):
    installed(native_reason="not built")
    assert choose() is torch_engine


def test_without_any_engine_each_reason_is_given(installed):
    installed(native_reason="not built", torch_reason="pip install 'smidgen[torch]'")
    with pytest.raises(EngineError, match=r"native: not built; torch: pip install 'smidgen\[torch\]'"):
        choose()
    installed(torch_reason="pip install 'smidgen[torch]'")
    with pytest.raises(EngineError, match="can be used here; torch: pip install"):
        choose("torch")


def test_an_unknown_engine_is_named():
    with pytest.raises(EngineError, match="no engine 'jax'; use auto, native, torch"):
        choose("jax")


def test_a_core_that_was_not_built_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "smidgen._core", None)
    with pytest.raises(EngineError, match=r"install a C\+\+ compiler .* and run: pip install"):
        choose("native")


@pytest.mark.parametrize("name", engine.engines())
def test_an_engine_is_a_module_with_four_functions(name):
    for function in ("available", "name", "train", "predict"):
        assert callable(getattr(engine.engines()[name], function))


# --- the first weights ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seed", "pinned"),
    [
        ("dense 10", 0, "1b8534758fdd8bec"),
        ("dense 10", 1, "b160226334318889"),
        ("conv 2x3x3 relu, maxpool 2, depthwise 3x3, pointwise 4, globalavgpool, dense 10", 7, "55cadc00f144d0aa"),
        ("conv 2x3x3, batchnorm relu, dense 10", 7, "2b7b43d2a108117e"),
        ("conv 2x3x3, prelu, repeat 3 [conv 2x3x3 same, batchnorm, prelu], dense 10", 7, "ce947056e4471763"),
    ],
)
def test_the_first_weights_never_change(text, seed, pinned):
    assert digest(initial_weights(parse_spec(text), MNIST, seed)) == pinned


def test_a_few_weights_by_value():
    weights = initial_weights(parse_spec("dense 2"), (3, 1, 1), 0)
    expected = [-0.11121227, -0.23871583, 0.16863005, -0.46118477, -0.73869896, -0.6931888, 0.0, 0.0]
    np.testing.assert_array_equal(weights, np.array(expected, np.float32))


def test_weights_are_glorots():
    """Uniform within sqrt(6 / (fan in + fan out)), mean 0; biases are 0."""
    spec, shape = parse_spec("conv 30x5x5, dense 40"), (4, 12, 12)
    weights = initial_weights(spec, shape, 3)
    start = 0
    for plan, fans in zip(spec.plan(shape), (4 * 25 + 30 * 25, 30 * 64 + 40), strict=True):
        matrix, limit = weights[start : start + plan.weight_count], np.sqrt(6 / fans)
        assert 0.99 * limit < np.abs(matrix).max() <= limit
        assert abs(matrix.mean()) < 5 * limit / np.sqrt(3 * matrix.size)
        assert abs(matrix.std() / (limit / np.sqrt(3)) - 1) < 0.05
        start += plan.parameters
        assert not weights[start - plan.bias_count : start].any()
    assert start == weights.size


def test_a_batch_norm_starts_as_nothing():
    weights = initial_weights(parse_spec("batchnorm, dense 1"), (2, 1, 1), 0)
    np.testing.assert_array_equal(weights[:8], [1, 1, 0, 0, 0, 0, 1, 1])


def test_a_prelu_starts_at_a_quarter_and_what_is_repeated_has_weights_once():
    spec = parse_spec("repeat 3 [pointwise 2, batchnorm, prelu], dense 1")
    weights = initial_weights(spec, (2, 1, 1), 0)
    assert weights.size == 4 + 2 + 3 * 8 + 2 + 3
    once = initial_weights(parse_spec("pointwise 2, batchnorm, prelu, dense 1"), (2, 1, 1), 0)
    np.testing.assert_array_equal(weights[:16], once[:16])
    np.testing.assert_array_equal(weights[14:16], [0.25, 0.25])
    np.testing.assert_array_equal(weights[16:32].reshape(2, 8), [[1, 1, 0, 0, 0, 0, 1, 1]] * 2)


def test_layers_and_seeds_have_weights_of_their_own():
    spec, shape = parse_spec("dense 20, dense 20"), (20, 1, 1)
    first, second = initial_weights(spec, shape, 0).reshape(2, 420)
    other = initial_weights(spec, shape, 1)[:420]
    assert np.abs(np.corrcoef([first, second, other])[np.triu_indices(3, 1)]).max() < 0.2


def test_a_network_without_parameters_has_no_weights():
    assert initial_weights(parse_spec("maxpool 2, globalavgpool"), MNIST, 0).shape == (0,)


@pytest.mark.parametrize("name", ["mlp1", "mlp2", "cnn1", "cnn2"])
def test_there_are_as_many_weights_as_the_spec_counts(name):
    spec = family(name, 3)
    weights = initial_weights(spec, MNIST, 0)
    assert weights.dtype == np.float32 and weights.shape == (spec.parameters(MNIST),)


# --- the order of the images ------------------------------------------------------------------


def test_the_order_never_changes():
    assert epoch_order(8, seed=0, epoch=0).tolist() == [5, 1, 7, 0, 6, 4, 2, 3]
    assert digest(epoch_order(10_000, seed=3, epoch=5)) == "a5f83a6b341b3872"


@given(images=st.integers(0, 400), seed=st.integers(0, 2**64), epoch=st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_an_order_is_a_permutation(images, seed, epoch):
    order = epoch_order(images, seed, epoch)
    assert order.dtype == np.uint32
    np.testing.assert_array_equal(np.sort(order), np.arange(images))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    same = [(one == other).sum() for index, one in enumerate(orders) for other in orders[:index]]
    assert max(same) < 10  # about one image in a thousand stays in place by chance


# --- how images are moved -----------------------------------------------------------------------

SIZE = (28, 20)
MIDDLE = np.array([13.5, 9.5])


def maps(images=4000, seed=1, epoch=0, **augment):
    found = affine_maps(Augmentation(**augment), images, SIZE, seed, epoch)
    assert found.dtype == np.float32 and found.shape == (images, 2, 3)
    return found.astype(np.float64)


def spread(values, least, most):
    """Within its bounds, and in all of them alike."""
    tenth = (most - least) / 10
    inside = values.min() >= least - 1e-6 and values.max() <= most + 1e-6
    return inside and values.min() < least + tenth and values.max() > most - tenth


def test_images_that_are_not_moved_stay():
    np.testing.assert_array_equal(maps(10), np.broadcast_to(np.eye(2, 3), (10, 2, 3)))


def test_a_shift_is_down_and_across():
    found = maps(shift=3)
    np.testing.assert_array_equal(found[:, :, :2], np.broadcast_to(np.eye(2), (4000, 2, 2)))
    assert spread(found[:, 0, 2], -3, 3) and spread(found[:, 1, 2], -3, 3)
    assert abs(np.corrcoef(found[:, :, 2].T)[0, 1]) < 0.05


@pytest.mark.parametrize("moves", [{"rotation": 70}, {"scale": 0.4}, {"shear": 0.6}, {"rotation": 70, "scale": 0.4}])
def test_the_middle_stays_unless_it_is_shifted(moves):
    found = maps(**moves)
    np.testing.assert_allclose(found @ [*MIDDLE, 1], np.broadcast_to(MIDDLE, (4000, 2)), atol=1e-5)
    assert (np.abs(found[:, :, :2] - np.eye(2)).max(axis=(1, 2)) > 0).all()
    shifted = maps(shift=2, **moves) @ [*MIDDLE, 1] - MIDDLE
    np.testing.assert_allclose(shifted, maps(shift=2)[:, :, 2], atol=1e-5)


def test_a_rotation_turns_and_a_scale_enlarges():
    matrices = maps(rotation=30)[:, :, :2]
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(2), (4000, 2, 2)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-6)
    assert spread(np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), -30, 30)
    zooms = maps(scale=0.25)[:, :, :2]
    np.testing.assert_array_equal(zooms, zooms[:, :1, :1] * np.eye(2))
    assert spread(1 / zooms[:, 0, 0], 0.75, 1.25)


def test_a_shear_slants_and_keeps_the_area():
    matrices = maps(shear=0.5)[:, :, :2]
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-6)
    slants = matrices - np.eye(2)
    assert spread(slants[:, 1, 0], -0.5, 0.5)
    slants[:, 1, 0] = 0
    np.testing.assert_array_equal(slants, 0)


def test_the_maps_never_change():
    found = affine_maps(Augmentation(2, 15, 0.1, 0.2), 100, SIZE, 7, 3)
    # Sines may differ in the last bit from one machine to another.
    pinned = [[0.92868358, 0.22675939, -0.99275714], [-0.30771154, 0.90891725, 6.9238658]]
    np.testing.assert_allclose(found[5], pinned, rtol=1e-6)
    every = [affine_maps(Augmentation(2), 100, SIZE, seed, epoch)[:, 0, 2] for seed in (1, 2) for epoch in (0, 1)]
    assert np.abs(np.corrcoef(every)[np.triu_indices(4, 1)]).max() < 0.4


# --- what a training starts from ----------------------------------------------------------------

HELD = Start(
    np.arange(9, dtype=np.float32),
    np.arange(9) % 2 == 0,
    np.arange(9, dtype=np.int32) % 3,
    Projection(np.full(9, -1, np.int32), (np.zeros(1, np.float32),), (np.ones(1, np.float32),)),
)


def test_a_digest_changes_with_everything_that_a_start_has():
    book = HELD.projection
    others = [
        Start(HELD.weights),
        Start(HELD.weights, fixed=HELD.fixed),
        Start(HELD.weights, tied=HELD.tied),
        Start(HELD.weights, projection=book),
        Start(HELD.weights, tied=HELD.weights.view(np.int32)),
        replace(HELD, weights=HELD.weights + 1),
        replace(HELD, weights=HELD.weights.reshape(3, 3)),
        replace(HELD, fixed=~HELD.fixed),
        replace(HELD, tied=HELD.tied + 1),
        replace(HELD, projection=None),
        replace(HELD, projection=replace(book, codebook=book.codebook + 1)),
        replace(HELD, projection=replace(book, levels=(np.ones(1, np.float32),))),
        replace(HELD, projection=replace(book, levels=(*book.levels, *book.levels), costs=())),
        replace(HELD, projection=replace(book, costs=None)),
        replace(HELD, projection=replace(book, costs=(np.zeros(1, np.float32),))),
    ]
    assert len({start.digest for start in [HELD, *others]}) == len(others) + 1


def test_equal_starts_have_equal_digests_however_they_lie_in_memory():
    apart = np.zeros((9, 2), np.float32)
    apart[:, 1] = HELD.weights
    assert not apart[:, 1].flags.c_contiguous
    again = Start(apart[:, 1], HELD.fixed.copy(), HELD.tied[::-1].copy()[::-1], HELD.projection)
    assert again.digest == HELD.digest
    assert HELD.digest[:16] == "ba996ca60a8f4f39"


NORMS = parse_spec("dense 2 nobias, batchnorm, dense 1 nobias")


def test_moments_stand_behind_what_their_batch_norm_trains():
    assert np.flatnonzero(is_running_stat(NORMS, (1, 1, 1))).tolist() == [6, 7, 8, 9]
    assert is_running_stat(NORMS, (1, 1, 1)).size == initial_weights(NORMS, (1, 1, 1), 0).size == 12
    assert is_running_stat(parse_spec("maxpool 2"), MNIST).size == 0


def floats(*values):
    return np.array(values, np.float32)


def numbers(*places, of=12, number=0):
    """-1, and at these places a number."""
    found = np.full(of, -1, np.int32)
    found[list(places)] = number
    return found


STARTS_THAT_FIT = [
    {},
    {"fixed": np.ones(12, np.bool_)},
    {"tied": numbers(0, 1, 11, number=11)},
    {"projection": Projection(numbers(), ())},
    {"projection": Projection(numbers(0, 1, 11), (floats(-1, 2),), (floats(2, 2),))},
    {"fixed": np.ones(12, np.bool_), "projection": Projection(numbers(0, 11), (floats(0, 3),))},
]


@pytest.mark.parametrize("held", STARTS_THAT_FIT)
def test_starts_that_fit(held):
    check_start(NORMS, (1, 1, 1), Start(np.zeros(12, np.float32), **held))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (
            {"weights": floats(1)},
            r"the start's weights is float32 \[1\]; 'dense 2 .*' needs float32 \[12\], a value for",
        ),
        ({"weights": np.zeros(12)}, r"weights is float64 \[12\]; .* needs float32 \[12\]"),
        ({"weights": np.full(12, np.nan, np.float32)}, "weights has 12 of 12 values that are not finite; give numbers"),
        ({"fixed": np.zeros(11, np.bool_)}, r"fixed is bool \[11\]; .* needs bool \[12\]"),
        ({"fixed": np.zeros(12, np.int8)}, r"fixed is int8 \[12\]; .* needs bool \[12\]"),
        ({"tied": numbers(of=13)}, r"tied is int32 \[13\]"),
        ({"tied": numbers(2, number=12)}, "tied has the number 12; give -1 for none, or 0 to 11"),
        ({"tied": numbers(2, number=-2)}, "tied has the number -2; give -1 for none"),
        ({"tied": numbers(6)}, "tied names moments of a batch norm, which follow the data; give them -1"),
        ({"projection": Projection(np.zeros(12), ())}, r"codebook is float64 \[12\]; .* needs int32"),
        ({"projection": Projection(numbers(0), ())}, "codebook has the number 0; give -1 for none"),
        ({"projection": Projection(numbers(9), (floats(0),))}, "codebook names moments of a batch norm"),
        ({"projection": Projection(numbers(), (floats(0),), ())}, "there are 1 codebooks and 0 lists of costs"),
        ({"projection": Projection(numbers(), (floats(),))}, r"levels of codebook 0 are float32 \[0\]; give float32"),
        ({"projection": Projection(numbers(), (np.zeros(2),))}, r"levels of codebook 0 are float64 \[2\]"),
        ({"projection": Projection(numbers(), (floats([0]),))}, r"levels of codebook 0 are float32 \[1, 1\]"),
        (
            {"projection": Projection(numbers(), (floats(0),), (floats(0, 1),))},
            r"costs of codebook 0 are float32 \[2\]",
        ),
        (
            {"projection": Projection(numbers(), (floats(0, np.inf),))},
            "levels of codebook 0 has 1 of 2 values that are",
        ),
        ({"projection": Projection(numbers(), (floats(0), floats(1, 1)))}, "levels of codebook 1 do not ascend; sort"),
        (
            {"fixed": np.ones(12, np.bool_), "projection": Projection(numbers(11), (floats(1, 2),))},
            "a weight is fixed at 0, which is no level of its codebook 0; give it codebook -1",
        ),
    ],
)
def test_a_start_that_does_not_fit_is_named(held, message):
    start = Start(**{"weights": np.zeros(12, np.float32), **held})
    with pytest.raises(EngineError, match=message):
        check_start(NORMS, (1, 1, 1), start)


# --- both engines alike ---------------------------------------------------------------------------

SMALL_SHAPE = (2, 8, 8)
ALIKE = {
    "plain": "conv 3x3x3 relu, maxpool 2, dense 4",
    "a vector's prelu": "dense 5, prelu, dense 4",
    "repeats": "pointwise 3, prelu, repeat 3 [conv 3x3x3 same, prelu], dense 4",
    "norms": "conv 4x3x3 same nobias, batchnorm relu, repeat 2 [pointwise 4 nobias, batchnorm relu], dense 4",
}
RECIPES = {
    "as they are": {},
    "moved": {"augment": Augmentation(1, 20, 0.1, 0.1)},
    "averaged": {"average": 0.9},
}


def held_starts(spec):
    """A start for each thing that weights can be held to, and one for all of them at once."""
    weights, random = initial_weights(spec, SMALL_SHAPE, 1), np.random.default_rng(0)
    trained, fixed = ~is_running_stat(spec, SMALL_SHAPE), random.random(weights.size) < 0.3
    levels = tuple(np.sort(random.normal(0, 0.2, size)).astype(np.float32) for size in (5, 9))
    codebook = np.where(trained & ~fixed, random.integers(-1, 2, weights.size), -1).astype(np.int32)
    tied = np.where(trained & (random.random(weights.size) < 0.2), random.integers(0, 9, weights.size), -1)
    tied, costs = tied.astype(np.int32), tuple(own**2 for own in levels)
    return {
        "nothing": Start(weights),
        "fixed": Start(weights, fixed),
        "tied": Start(weights, tied=tied),
        "levels": Start(weights, projection=Projection(codebook, levels)),
        "costs": Start(weights, projection=Projection(codebook, levels, costs)),
        "all": Start(weights, fixed, tied, Projection(codebook, levels, costs)),
    }


@pytest.mark.parametrize("text", ALIKE.values(), ids=ALIKE)
@pytest.mark.parametrize("fields", RECIPES.values(), ids=RECIPES)
def test_both_engines_train_alike_whatever_weights_are_held_to(text, fields):
    spec, random = parse_spec(text), np.random.default_rng(0)
    if native.available() or torch_engine.available():
        pytest.skip("one of the engines is not here")
    pixels = random.integers(0, 256, (100, *SMALL_SHAPE)).astype(np.uint8)
    data = Examples(pixels, random.integers(0, 4, 100).astype(np.int32))
    recipe = Recipe(optimizer="sgd", learning_rate=0.02, epochs=2, batch_size=20, **fields)
    for name, start in held_starts(spec).items():
        ours, theirs = (used.train(spec, recipe, data, 1, start=start) for used in (native, torch_engine))
        np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-3, atol=1e-4, err_msg=name)
