"""Shared weights: clusters against Lloyd's rounds by hand, ties that hold through a real training, exact files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from smidgen.data import load
from smidgen.engine import Examples, Start, choose
from smidgen.errors import RequestError
from smidgen.model import (
    Codebook,
    Model,
    QuantizedModel,
    decode,
    dequantize,
    encode,
    equal_networks,
    flat_weights,
    values_of,
)
from smidgen.records import Recipe, Weights
from smidgen.spec import parse_spec
from smidgen.transforms import k_means, pruned_start, shared_start, smallest, tensor_places, with_codebooks

ENTRIES = {"0.weight": 15, "1.weight": 7}
SPEC = parse_spec("dense 24 relu, dense 10")


def trained(recipe: Recipe, start: Start | None = None) -> Weights:
    data = load("digits")
    found: Weights = (
        choose().train(SPEC, recipe, Examples(data.train.images, data.train.labels), 0, start=start).weights
    )
    return found


def rate(weights: Weights) -> float:
    data = load("digits")
    classes = choose().predict(SPEC, weights, data.selection.images).argmax(axis=1)
    return float((classes == data.selection.labels).mean())


@cache
def pruned_model() -> Model:
    data = load("digits")
    model = Model(SPEC, data.input_shape, data.class_names, trained(Recipe(epochs=6)))
    start = pruned_start(model, smallest(model, {"0.weight": 0.7, "1.weight": 0.4}))
    return replace(model, weights=trained(Recipe(epochs=4), start))


@cache
def shared_model() -> tuple[Start, Model]:
    start = shared_start(pruned_model(), ENTRIES)
    return start, replace(pruned_model(), weights=trained(Recipe(epochs=3, learning_rate=0.005), start))


def places() -> dict[str, slice]:
    model = pruned_model()
    return tensor_places(model.spec, model.input_shape, ("0.weight", "0.bias", "1.weight", "1.bias"))


# --- k-means -------------------------------------------------------------------------------------


def rounds_by_hand(weights: npt.NDArray[np.float64], entries: int, rounds: int) -> npt.NDArray[np.float64]:
    """Lloyd's rounds from evenly spread centres, distance by distance."""
    centres = np.linspace(weights.min(), weights.max(), entries)
    for _ in range(rounds):
        nearest = np.abs(weights[:, None] - centres).argmin(axis=1)
        for number in set(nearest.tolist()):
            centres[number] = weights[nearest == number].mean()
    return np.unique(centres[np.abs(weights[:, None] - centres).argmin(axis=1)])


@pytest.mark.parametrize("rounds", [1, 3, 300])
@pytest.mark.parametrize("entries", [2, 7, 40])
def test_centres_are_those_of_lloyds_rounds_from_a_linear_start(entries: int, rounds: int) -> None:
    weights = np.random.default_rng(entries).laplace(0, 0.1, 500).astype(np.float32)
    centres, numbers = k_means(weights, entries, rounds)
    np.testing.assert_allclose(centres, rounds_by_hand(weights.astype(np.float64), entries, rounds), rtol=1e-6)
    assert np.array_equal(np.unique(numbers), np.arange(len(centres))), "a cluster without a weight was kept"


def test_at_its_end_each_weight_is_at_its_nearest_centre_and_each_centre_is_a_mean() -> None:
    weights = np.random.default_rng(1).normal(0, 1, 2000).astype(np.float32)
    centres, numbers = k_means(weights, 16)
    assert len(centres) == 16 and (np.diff(centres) > 0).all()
    np.testing.assert_array_equal(numbers, np.abs(weights[:, None] - centres).argmin(axis=1))
    means = [weights[numbers == number].mean(dtype=np.float64) for number in range(16)]
    np.testing.assert_allclose(centres, means, rtol=1e-5)


def test_few_values_are_kept_as_they_are() -> None:
    weights = np.array([0.5, -2, 0.5, 7], np.float32)
    centres, numbers = k_means(weights, 3)
    np.testing.assert_array_equal(centres[numbers], weights)


# --- training ------------------------------------------------------------------------------------


def test_a_start_has_at_most_so_many_values_and_leaves_zeros_and_biases_alone() -> None:
    model, start = pruned_model(), shared_model()[0]
    assert start.fixed is not None and start.tied is not None
    clusters = 0
    for name, place in places().items():
        before, after = model.weights[place], start.weights[place]
        if name in ENTRIES:
            found = len(np.unique(after[after != 0]))
            assert ENTRIES[name] - 2 <= found <= ENTRIES[name]  # where pruning left a hole, clusters are empty
            clusters += found
            np.testing.assert_array_equal(start.fixed[place], before == 0)
            np.testing.assert_array_equal(start.tied[place] >= 0, before != 0)
        else:
            np.testing.assert_array_equal(after, before)
            assert not start.fixed[place].any() and (start.tied[place] == -1).all()
    assert set(np.unique(start.tied)) == {*range(-1, clusters)}, "tensors share a cluster's number"


def test_trained_clusters_stay_equal_and_move_and_zeros_stay() -> None:
    start, model = shared_model()
    assert start.fixed is not None and start.tied is not None
    assert not model.weights[start.fixed].any()
    moved = 0
    for number in range(int(start.tied.max()) + 1):
        values_of_it = np.unique(model.weights[start.tied == number])
        assert len(values_of_it) == 1
        moved += values_of_it[0] != start.weights[start.tied == number][0]
    assert moved > 0.9 * (start.tied.max() + 1)
    assert rate(model.weights) > 0.85


def test_what_no_codebook_holds_is_refused() -> None:
    with pytest.raises(RequestError, match=r"1\.weight is to have 4096 values; give from 1 to 4095"):
        shared_start(pruned_model(), {"1.weight": 4096})
    with pytest.raises(RequestError, match=r"has no tensor 2\.weight"):
        shared_start(pruned_model(), {"2.weight": 3})
    wide = Model(parse_spec("dense 5000, dense 2"), (1, 1, 1), ("a", "b"), np.arange(20002, dtype=np.float32))
    with pytest.raises(RequestError, match=r"0\.weight has 5000 values and a codebook stores 4096"):
        with_codebooks(wide, ("0.weight",))


# --- files ---------------------------------------------------------------------------------------


def test_a_file_of_shared_weights_is_the_trained_network() -> None:
    model = shared_model()[1]
    quantized = with_codebooks(model, ENTRIES)
    assert flat_weights(quantized).tobytes() == model.weights.tobytes()
    for name, entries in ENTRIES.items():
        grid = quantized.tensors[name].grid
        assert isinstance(grid, Codebook) and len(grid.entries) <= entries + 1 and grid.entries[grid.zero] == 0
    for coder in ("gaps", "auto"):
        coded = with_coder(quantized, coder)
        decoded = decode(encode(coded))
        assert equal_networks(decoded, coded)
        assert dequantize(decoded).weights.tobytes() == model.weights.tobytes()


def with_coder(quantized: QuantizedModel, coder: str) -> QuantizedModel:
    tensors = {n: replace(t, coder=coder) if n in ENTRIES else t for n, t in quantized.tensors.items()}
    return replace(quantized, tensors=tensors)


def test_half_precision_rounds_the_values_and_saves_two_bytes_each() -> None:
    model = shared_model()[1]
    whole, half = (with_coder(with_codebooks(model, ENTRIES, half=half), "gaps") for half in (False, True))
    for name in ENTRIES:
        rounded = values_of(whole.tensors[name]).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(values_of(half.tensors[name]), rounded)
    saved = len(encode(whole)) - len(encode(half))
    entries = sum(len(np.unique(values_of(whole.tensors[name]))) for name in ENTRIES)
    assert abs(saved - 2 * entries) <= 2


def test_a_tensor_without_zeros_begins_at_its_smallest_value() -> None:
    model = replace(pruned_model(), weights=np.where(pruned_model().weights < 0, np.float32(-0.25), np.float32(2)))
    tensor = with_codebooks(model, ("0.weight",)).tensors["0.weight"]
    assert isinstance(tensor.grid, Codebook) and tensor.grid.zero == 0
    assert set(np.unique(tensor.levels)) == {0, 1}
