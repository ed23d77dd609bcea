"""Small data in the form of the documents', and runs with given rates: no accuracy on them means anything."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from smidgen.data import Dataset, from_arrays
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.studies import deep_compression
from smidgen.studies.deep_compression_networks import Layer, Net
from smidgen.studies.document import Document
from smidgen.studies.trainings import Effort, Job, Runs

SHAPE = (1, 28, 28)
TINY = Effort("tiny", most_seeds=2, row_macs=1e12, epoch_share=0.05, largest_macs=0.4e9)

SMALL = Net(
    text="conv 4x5x5, maxpool 4, dense 30 relu, dense 10",
    layers=(Layer("conv", 0.5, 6, 8.0, 0.5), Layer("ip1", 0.1, 5, 9.0, 0.03), Layer("ip2", 0.25, 4, 7.0, 0.1)),
    reference_error=0.02,
    error=0.01,
    ratio=20,
    training=Recipe(),
    pruning=Recipe(),
    sharing=Recipe(),
)
"""In place of the networks of deep-compression, whose files take half a minute to write."""


def small_document(net: Net) -> Document[deep_compression.Compressed]:
    """deep-compression with one network."""
    train = partial(deep_compression.train, nets={"small": net}, teacher="small")
    return replace(deep_compression.DOCUMENT, train=train)


def drawings(name: str, count: int = 240) -> Dataset:
    """Digits' labels 0 to 9 as bars of ten lengths, under noise; the border stays empty, as in MNIST."""
    generator = np.random.default_rng(len(name))
    labels = np.arange(count) % 10
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 : 6 + 2 * label, 8:20] = 200
        image[4:24, 4:24] += generator.integers(0, 50, (20, 20), np.uint8)
    return from_arrays(images, labels, name, test=(images[:60], labels[:60]))


def runs_of(rates: list[float], total: int = 1000, epochs: int = 1, seed: int = 0) -> Runs:
    """Runs that scored so, on labels that are all 0; the validation score is the test's."""
    spec, recipe = parse_spec("dense 10"), Recipe(epochs=epochs)
    scores = tuple(Score(round(rate * total), total) for rate in rates)
    outcomes = tuple(Outcome(10, score, score, (1.0,) * epochs, 2.0, np.zeros(0, np.float32)) for score in scores)
    trials = tuple(Trial(spec, recipe, seed, "data", "engine") for seed in range(len(rates)))
    answers = np.ones((len(rates), total), np.uint8)
    generator = np.random.default_rng(seed)
    for row, score in zip(answers, scores, strict=True):
        row[generator.permutation(total)[: score.correct]] = 0
    return Runs(Job(spec, recipe, len(rates)), trials, outcomes, answers, np.zeros(total, np.int32))
