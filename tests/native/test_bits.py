"""The same bits for a seed, on any number of threads and on every instruction set that fuses."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from oracle import CNN, EVERY_LAYER, FUSED, LAYERED, MNIST, RATES, RESIDUAL, SEPARABLE, SETS, WIDE, patterns

from smidgen.engine import Projection, Start, TrainControl, native
from smidgen.engine.start import is_running_stat
from smidgen.records import LOSSES, OPTIMIZERS, Augmentation, Recipe
from smidgen.spec import parse_spec
from smidgen.streams import initial_weights

PARALLEL = parse_spec(
    "conv 4x3x3 same relu, avgpool 2, depthwise 3x3 same nobias, pointwise 7 relu, avgpool 2, dense 4"
)
"""Its images take 42,140 multiply-accumulates, and no layer needs the whole batch."""
SMALL = parse_spec("conv 2x3x3 relu, maxpool 2, dense 4")
"""Its images take 13,520 multiply-accumulates."""
SHORT = Recipe(loss="kl", temperature=3, label_weight=0.2, epochs=2, batch_size=50)


def trained(spec, recipe=SHORT, seed=5, threads=1, start=None):
    training = native.train(
        spec, recipe, patterns(images=170), seed, start=start, control=TrainControl(threads=threads)
    )
    assert training.diverged_at == 0
    return training


@pytest.mark.parametrize("spec", [EVERY_LAYER, LAYERED, RESIDUAL], ids=["by chunk", "by layer", "residual"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(spec, instruction_set):
    one, again, other = trained(spec), trained(spec), trained(spec, seed=6)
    assert one.weights.tobytes() == again.weights.tobytes() and one.losses == again.losses
    assert np.abs(one.weights - other.weights).max() > 0.01


@pytest.mark.parametrize(
    "spec",
    [LAYERED, WIDE, RESIDUAL, SEPARABLE, CNN, PARALLEL],
    ids=["narrow", "wide", "residual", "separable", "by chunk", "parallel"],
)
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_do_not_change_a_bit(threads, spec, instruction_set):
    one, shared = trained(spec), trained(spec, threads=threads)
    assert one.weights.tobytes() == shared.weights.tobytes() and one.losses == shared.losses


@pytest.mark.parametrize("spec", [LAYERED, WIDE, CNN], ids=["narrow", "wide", "by chunk"])
def test_a_changing_number_of_threads_does_not_change_a_bit(spec, instruction_set, monkeypatch):
    monkeypatch.setattr(native, "_IMAGES_BETWEEN_REPORTS", 50)
    lent = iter([3, None, 1, 2, 8, 1, 3, 3])
    changing = native.train(
        spec, SHORT, patterns(images=170), 5, control=TrainControl(progress=lambda done, total: next(lent))
    )
    assert changing.weights.tobytes() == trained(spec).weights.tobytes() and next(lent, None) is None


def test_networks_of_enough_arithmetic_or_with_layers_that_need_a_whole_batch_use_threads():
    """Such a layer is a large dense layer or a batch norm. No more threads have work than a batch has chunks."""

    def threads(spec, batch_size=64):
        return native._network(spec, MNIST, initial_weights(spec, MNIST, 0), batch_size, 3, 0).threads

    assert [threads(spec) for spec in (LAYERED, WIDE, EVERY_LAYER, CNN, SMALL)] == [3, 3, 3, 3, 1]
    assert threads(CNN, batch_size=17) == 2


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


AUGMENTED = replace(SHORT, augment=Augmentation(shift=2, rotation=10, scale=0.1, shear=0.1), average=0.9)


def constrained_start(spec):
    """A third of the weights fixed, a third on 16 levels at a cost, the others in pairs of one gradient."""
    weights = initial_weights(spec, MNIST, 5)
    kind = np.where(is_running_stat(spec, MNIST), -1, np.arange(weights.size) % 3)
    levels, costs = np.linspace(-0.5, 0.5, 16, dtype=np.float32), np.linspace(0, 0.1, 16, dtype=np.float32) ** 2
    projection = Projection(np.where(kind == 1, 0, -1).astype(np.int32), (levels,), (costs,))
    return Start(weights, kind == 0, np.where(kind == 2, np.arange(weights.size) // 6, -1).astype(np.int32), projection)


@pytest.mark.parametrize("constrained", [False, True], ids=["free", "constrained"])
@pytest.mark.parametrize("recipe", [SHORT, AUGMENTED], ids=["plain", "augmented and averaged"])
@pytest.mark.parametrize(
    "spec",
    [EVERY_LAYER, LAYERED, WIDE, RESIDUAL, SEPARABLE],
    ids=["every layer", "by layer", "wide", "residual", "separable"],
)
def test_augmentation_averages_and_constraints_keep_the_same_bits(spec, recipe, constrained, monkeypatch):
    """Every instruction set that fuses gives them, on one thread and on three."""
    bits = set()
    for name in FUSED:
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", name)
        start = constrained_start(spec) if constrained else None
        bits |= {trained(spec, recipe, threads=threads, start=start).weights.tobytes() for threads in (1, 3)}
    assert len(bits) == 1


@pytest.mark.skipif(len(SETS) == len(FUSED), reason="every instruction set here fuses")
def test_an_instruction_set_that_does_not_fuse_is_close_and_named_apart(monkeypatch):
    found = {}
    for name in (FUSED[0], "v2"):
        monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", name)
        found[native.name()] = trained(EVERY_LAYER, Recipe(optimizer="sgd", epochs=1, batch_size=50)).weights
    fused, unfused = found[f"native-{native.ARITHMETIC}-fused"], found[f"native-{native.ARITHMETIC}-unfused"]
    assert fused.tobytes() != unfused.tobytes()
    np.testing.assert_allclose(fused, unfused, atol=1e-4)


PINNED = {
    "every layer": (EVERY_LAYER, SHORT),
    "by layer": (LAYERED, SHORT),
    "wide": (WIDE, replace(SHORT, average=0.9)),
    "separable": (SEPARABLE, SHORT),
    "by chunk": (CNN, SHORT),
    "parallel": (PARALLEL, SHORT),
    "small": (SMALL, SHORT),
}
ARITHMETIC = (
    "native-3-fused",
    {
        "every layer": "86de366c83692395",
        "by layer": "fd5c28d93b40920c",
        "wide": "a4398732b9e65895",
        "separable": "36f27260368550e6",
        "by chunk": "e43286cd06cc76fb",
        "parallel": "f2a89429bab42a8b",
        "small": "2f0a1cadc3d27dfe",
    },
)


def test_the_arithmetic_is_the_one_that_its_number_names():
    """Stores find their trainings by this number. Raise `native.ARITHMETIC` when the bits change."""
    bits = {name: trained(spec, recipe).weights.tobytes() for name, (spec, recipe) in PINNED.items()}
    digests = {name: hashlib.sha256(these).hexdigest()[:16] for name, these in bits.items()}
    assert (native.name(), digests) == ARITHMETIC


def test_an_unknown_instruction_set_is_named_in_the_error(monkeypatch):
    monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", "v9")
    with pytest.raises(ValueError, match="v9"):
        native.predict(CNN, initial_weights(CNN, MNIST, 0), np.zeros((1, *MNIST), np.uint8))
