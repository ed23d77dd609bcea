"""The bench: efforts, starts, and the splits of the documents' authors."""

from __future__ import annotations

import numpy as np

from drawings import drawings
from smidgen.engine import Start
from smidgen.records import Recipe
from smidgen.spec import parse_spec
from smidgen.studies.datasets import all_training_images, selecting_on_test
from smidgen.studies.trainings import Bench, Effort, Job
from smidgen.trials.evaluate import TrainingContext


def test_an_effort_cuts_epochs_and_seeds_and_leaves_out_what_costs_too_much(bench: Bench) -> None:
    context = TrainingContext(drawings("mnist"))
    spec = parse_spec("dense 10")
    cost = context.cost(context.trial(spec, Recipe(epochs=2), 0))
    bench.effort = Effort("half", most_seeds=4, row_macs=3 * cost, epoch_share=0.5, largest_macs=cost)
    fitted = bench.fit(context, Job(spec, Recipe(epochs=4), seeds=10))
    assert fitted is not None
    assert (fitted.recipe.epochs, fitted.seeds) == (2, 3)
    assert bench.fit(context, Job(spec, Recipe(epochs=8), seeds=10)) is None
    needed = bench.fit(context, Job(spec, Recipe(epochs=8), seeds=10, needed=True))
    assert needed is not None
    assert (needed.recipe.epochs, needed.seeds) == (4, 1)
    assert bench.train(context, {"large": Job(spec, Recipe(epochs=8))}, "a ") == {}
    assert bench.left_out == ["a large"]


def test_a_job_with_a_start_begins_there(bench: Bench) -> None:
    context = TrainingContext(drawings("mnist"), "torch")
    spec, weights = parse_spec("dense 10"), np.arange(7850).astype(np.float32)
    fixed = np.ones(7850, bool)
    job = Job(spec, Recipe(epochs=1), seeds=2, start=lambda seed: Start(weights + np.float32(seed), fixed))
    runs = bench.train(context, {"held": job})["held"]
    assert [trial.start_digest for trial in runs.trials] == [
        Start(weights + np.float32(seed), fixed).digest for seed in (0, 1)
    ]
    for seed, outcome in enumerate(runs.outcomes):
        np.testing.assert_array_equal(outcome.weights, weights + np.float32(seed))


def test_the_authors_data_is_told_apart_and_keeps_the_test_split() -> None:
    data = drawings("mnist")
    everything, peeking = all_training_images(data), selecting_on_test(data)
    assert len({data.digest, everything.digest, peeking.digest}) == 3
    assert len(everything.train) == len(data.train) + len(data.selection) + len(data.confirmation)
    assert everything.test is data.test
    assert peeking.selection is peeking.test is data.test
    assert peeking.train is data.train
