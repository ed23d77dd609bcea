"""Pruning masks: exact counts, and weights that stay zero in training."""

from __future__ import annotations

import numpy as np
import pytest

from random_models import (
    CHAIN,
    SHAPE,
    a_model,
    digits_model,
)
from smidgen.data import load
from smidgen.engine import Examples, choose
from smidgen.errors import RequestError
from smidgen.model import (
    tensor_shapes,
)
from smidgen.records import Recipe, Score, Weights
from smidgen.spec import parse_spec
from smidgen.transforms import (
    gradual_shares,
    prunable,
    pruned_start,
    smallest,
    tensor_places,
)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.92, 1.0])
def test_the_smallest_of_a_tensor_are_as_many_as_asked_and_none_is_larger_than_one_that_stays(share: float) -> None:
    model = a_model(CHAIN)
    mask = smallest(model, {"5.weight": share, "9.weight": share})
    places = tensor_places(model.spec, SHAPE, tensor_shapes(model.spec, SHAPE))
    for name, place in places.items():
        asked = round(share * (place.stop - place.start)) if name in ("5.weight", "9.weight") else 0
        assert mask[place].sum() == asked
        gone, kept = np.abs(model.weights[place][mask[place]]), np.abs(model.weights[place][~mask[place]])
        assert gone.max(initial=0) <= kept.min(initial=np.inf)


def test_only_weights_of_convolutions_and_dense_layers_can_be_pruned() -> None:
    names = ("0.weight", "1.weight", "5.weight", "7.weight", "9.weight", "10.weight")
    assert prunable(parse_spec(CHAIN), SHAPE) == names


def test_what_cannot_be_pruned_is_refused() -> None:
    model = a_model(CHAIN)
    with pytest.raises(RequestError, match=r"0\.bias cannot be pruned; the prunable tensors of .* are 0\.weight"):
        smallest(model, {"0.bias": 0.5})
    with pytest.raises(RequestError, match=r"has no tensor 6\.weight; it has 0\.weight"):
        smallest(model, {"6.weight": 0.5})
    with pytest.raises(RequestError, match=r"a share of 1\.5 cannot be pruned; give one from 0 to 1"):
        smallest(model, {"0.weight": 1.5})


def test_shares_rise_as_the_cube_has_it() -> None:
    assert gradual_shares(0.9, 1) == (0.9,)
    shares = gradual_shares(0.8, 4)
    np.testing.assert_allclose(shares, [0.8 * (1 - 27 / 64), 0.8 * (1 - 8 / 64), 0.8 * (1 - 1 / 64), 0.8])


def selection(weights: Weights) -> Score:
    data, spec = load("digits"), digits_model().spec
    classes = choose().predict(spec, weights, data.selection.images).argmax(axis=1)
    return Score(int((classes == data.selection.labels).sum()), len(data.selection))


def test_pruned_weights_stay_zero_while_the_others_are_trained() -> None:
    model, data = digits_model(), load("digits")
    mask = smallest(model, {"0.weight": 0.8, "1.weight": 0.5})
    start = pruned_start(model, mask)
    examples = Examples(data.train.images, data.train.labels)
    trained = choose().train(model.spec, Recipe(epochs=3), examples, 0, start=start).weights
    assert not trained[mask].any()
    assert (trained[~mask] != model.weights[~mask]).mean() > 0.8
    assert selection(trained).correct > selection(start.weights).correct
