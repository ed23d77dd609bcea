"""How an engine is chosen, and both engines against each other."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from smidgen import engine
from smidgen.engine import Examples, Projection, Start, choose, native, torch_engine
from smidgen.engine.start import is_running_stat
from smidgen.errors import EngineError
from smidgen.records import Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights


@pytest.fixture
def installed(monkeypatch):
    """Set the reason why each engine cannot be used; "" if it can."""

    def set_reasons(native_reason="", torch_reason=""):
        monkeypatch.setattr(native, "available", lambda: native_reason)
        monkeypatch.setattr(torch_engine, "available", lambda: torch_reason)

    return set_reasons


# --- choose -----------------------------------------------------------------------------------


def test_native_comes_first_where_it_is_built(installed):
    installed()
    assert choose() is native
    assert choose("native") is native
    assert choose("torch") is torch_engine


def test_without_the_core_torch_trains(installed):
    installed(native_reason="not built")
    assert choose() is torch_engine


def test_without_any_engine_the_error_gives_each_reason(installed):
    installed(native_reason="not built", torch_reason="pip install 'smidgen[torch]'")
    with pytest.raises(EngineError, match=r"native: not built; torch: pip install 'smidgen\[torch\]'"):
        choose()
    installed(torch_reason="pip install 'smidgen[torch]'")
    with pytest.raises(EngineError, match="can be used here; torch: pip install"):
        choose("torch")


def test_an_unknown_engine_is_refused():
    with pytest.raises(EngineError, match="no engine 'jax'; use auto, native, torch"):
        choose("jax")


def test_without_the_core_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "smidgen._core", None)
    with pytest.raises(EngineError, match=r"install a C\+\+ compiler .* and run: pip install"):
        choose("native")


@pytest.mark.parametrize("name", engine.engines())
def test_an_engine_is_a_module_with_four_functions(name):
    for function in ("available", "name", "train", "predict"):
        assert callable(getattr(engine.engines()[name], function))


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


def constrained_starts(spec):
    """A start for each constraint, and one with all of them."""
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
def test_both_engines_train_alike_under_every_constraint(text, fields):
    spec, random = parse_spec(text), np.random.default_rng(0)
    if native.available() or torch_engine.available():
        pytest.skip("one of the engines is not here")
    pixels = random.integers(0, 256, (100, *SMALL_SHAPE)).astype(np.uint8)
    data = Examples(pixels, random.integers(0, 4, 100).astype(np.int32))
    recipe = Recipe(optimizer="sgd", learning_rate=0.02, epochs=2, batch_size=20, **fields)
    for name, start in constrained_starts(spec).items():
        ours, theirs = (used.train(spec, recipe, data, 1, start=start) for used in (native, torch_engine))
        np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-3, atol=1e-4, err_msg=name)
