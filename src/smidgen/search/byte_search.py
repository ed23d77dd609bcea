"""The fewest bytes: trained networks put on grids, trained again at a price for each bit, and searched on.

    networks -> grids of a few coarsenesses, at a few prices -> generations: children of the best, each with
    grids or a price of its own -> confirmation -> one file

How it is chosen is how `shrink` chooses: a file must reach the rate that is needed on the selection half, and the
shortest that does must reach it again on the confirmation half. What is proposed depends on outcomes and the seed
alone, and every training is remembered.

A parent's waste is error times bytes: along the front of good files the error falls about as the size grows.

Of hundreds of files that are tried, those that look best on a half of the validation split are in part the lucky
ones. So an error is estimated by the mean of two: the one on the selection half, and the one on training images
plus what the selection half of all files errs more on average (a control variate: small networks err on both for
the same reasons, and of training images there are many). Files that hold by the estimate too come first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import fmean

from smidgen.data import Split
from smidgen.engine import Start
from smidgen.model import Model, QuantizedModel, as_quantized, dequantize, encode, flat_weights, nearest_step
from smidgen.records import Outcome, Recipe, Score, Trial, Weights
from smidgen.spec import NetSpec
from smidgen.transforms import (
    Steps,
    fold_batch_norm,
    grid_steps,
    quantization_aware_start,
    quantize_model,
    shortest,
    without_constant_inputs,
    without_dead_channels,
)
from smidgen.trials.evaluate import TrainingContext, score
from smidgen.trials.study import Study


@dataclass(frozen=True)
class ByteSearchEffort:
    """How much is tried.

    networks: at most so many are put on grids at first
    generations, children: and how many files each generation tries
    steps: optimizer steps of a training, unless it would take more than `training_macs` multiply-accumulates
    total_macs: after so many no further generation begins
    """

    networks: int
    generations: int
    children: int
    steps: int
    training_macs: float
    total_macs: float


BYTE_SEARCH_EFFORTS = {
    "glance": ByteSearchEffort(2, 1, 4, 2_000, 0.4e12, 4e12),
    "quick": ByteSearchEffort(1, 2, 8, 6_000, 1e12, 20e12),
    "normal": ByteSearchEffort(3, 10, 16, 8_000, 3e12, 60e12),
    "thorough": ByteSearchEffort(4, 40, 24, 16_000, 12e12, 480e12),
}

NOT_TRAINED = "not trained"
"""The stage of files whose weights are as they were given, or put on a fine grid."""
FINE_SHARE = 0.02
"""The step of a grid that weights are put on as they are, as a share of the root of a tensor's mean square."""
SHARES = (0.8, 1.2)
"""Steps of the first grids, as shares of `_share`."""
SHARE, SHARE_POWER = 0.25, 0.2
"""Of a network of `PRICE_PARAMETERS` parameters, as a share of the root of a tensor's mean square, and how it rises
with larger ones, which can do with coarser weights: of 100,000 it is 0.72."""
PRICES = (0.33, 1.0, 3.0)
"""Of a bit at first, as shares of `_price`."""
PRICE, PRICE_PARAMETERS, PRICE_POWER = 60.0, 500, 0.65
"""Nats over all training images together that a bit costs in a network of so many parameters, and how that falls with
larger ones: of 266,610 it is 1. By minimum description length it would be 0.7 (Hinton & van Camp 1993)."""
RELIEF = (0.25, 0.5, 1.0, 1.0)
PRESSURE = (0.5, 1.0, 1.5, 2.0)
COARSER, FINER = (1.0, 1.0, 1.15, 1.3), (0.75, 0.87, 1.0, 1.0)
RATES = (0.3, 1.0, 1.0, 2.0)
ONE_TENSOR = (0.7, 0.85, 1.2, 1.5)
"""What a child does to its parent's price and to all steps: of one that errs too much, and of one that has errors to
spare; and to the learning rate and to one tensor's step."""
PARENTS = 6
NEAR = (0.6, 1.7)
"""Parents err so much, or take so many bytes, as shares of what is allowed."""
LEAST_ALLOWED = 1e-4
"""A floor may allow no error at all."""
BATCH = 128
RATE, RATE_PARAMETERS, RATE_POWER = 0.01, 2_000, 0.35
"""The learning rate of a network of so many parameters, and how it falls with larger ones."""
TRAINING_IMAGES = 20_000
"""So many of them, the first, are looked at for an estimate of the error."""


@dataclass(frozen=True, eq=False)
class FileCandidate:
    """One file that was tried: the network on its grids, how long the file is, and how it classifies.

    price: of a bit, in nats over all training images
    outcome: of the network that the file decodes to
    training_error: on the first training images
    """

    quantized: QuantizedModel = field(repr=False)
    steps: Steps = field(repr=False)
    price: float
    file_bytes: int
    trial: Trial
    outcome: Outcome = field(repr=False)
    training_error: float
    stage: str

    @property
    def filed(self) -> Trial:
        """The trial with the network that is in the file, which may have lost channels."""
        return replace(self.trial, spec=self.quantized.spec)

    @property
    def error(self) -> float:
        """On the selection half."""
        return 1.0 - self.outcome.selection.rate


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is trained next."""

    model: Model
    steps: Steps
    price: float
    rate: float
    seed: int


class ByteSearch:
    """One search for the fewest bytes; `candidates` has every file in the order in which it was asked for."""

    def __init__(
        self,
        study: Study,
        context: TrainingContext,
        effort: ByteSearchEffort,
        allowed: float,
        seed: int,
        most_bytes: int | None = None,
    ) -> None:
        """allowed: the error that a file may have on either half; most_bytes: the size to search near instead."""
        self.study, self.context, self.effort, self.allowed, self.seed = study, context, effort, allowed, seed
        self.most_bytes = most_bytes
        self.candidates: list[FileCandidate] = []
        self.macs = 0.0

    def search(self, models: Sequence[Model]) -> None:
        """Fill `candidates`."""
        folded = [self._simplified(model) for model in models[: self.effort.networks]]
        for model, plain in zip(models, folded, strict=False):
            self.candidates += [self._not_trained(model, as_quantized(model)), self._on_fine_grids(plain)]
        self._train([plan for model in folded for plan in self._first(model)], "first grids")
        for generation in range(1, self.effort.generations + 1):
            if self.macs >= self.effort.total_macs:
                break
            random = Random(self.seed * 1_000 + generation)
            parents, error = self._parents(), self.estimates()
            drawn = [random.choice(parents) for _ in range(self.effort.children)]
            plans = [self._child(random, parent, self._spares(parent, error[parent.trial.key])) for parent in drawn]
            self._train(plans, f"bytes, generation {generation} of {self.effort.generations}")

    def ordered(self) -> list[FileCandidate]:
        """All files in the order of confirmation: those that meet the floor by their estimate first, then by length."""
        error = self.estimates()
        return sorted(
            self.candidates,
            key=lambda file: (error[file.trial.key] > self.allowed, file.file_bytes, file.error),
        )

    def best_within(self, file_bytes: int) -> FileCandidate | None:
        """The fewest errors, as they are estimated, among the files of at most so many bytes."""
        error = self.estimates()
        able = [tried for tried in self.candidates if tried.file_bytes <= file_bytes]
        return min(able, key=lambda tried: (error[tried.trial.key], tried.file_bytes), default=None)

    def estimates(self) -> dict[str, float]:
        """The error of each file, as surely as it can be known without the confirmation half, by its trial's key."""
        more = fmean(tried.error - tried.training_error for tried in self.candidates)
        return {tried.trial.key: (tried.error + tried.training_error + more) / 2 for tried in self.candidates}

    # --- what is tried ---

    def _first(self, model: Model) -> list[_Plan]:
        return [
            _Plan(model, grid_steps(model, share * _share(model)), price * _price(model), _rate(model), self.seed)
            for share in SHARES
            for price in PRICES
        ]

    def _simplified(self, model: Model) -> Model:
        """The same function on the training images, in fewer tensors and with fewer weights that matter."""
        return without_constant_inputs(fold_batch_norm(model), self.context.dataset.train.images)[0]

    def _parents(self) -> list[FileCandidate]:
        """Those that waste least among those that are about as they are wanted."""
        error = self.estimates()
        off = {t.trial.key: self._off(t, error[t.trial.key]) for t in self.candidates}
        near = [t for t in self.candidates if NEAR[0] <= off[t.trial.key] <= NEAR[1]]
        near = near or sorted(self.candidates, key=lambda t: abs(off[t.trial.key] - 1))[:PARENTS]
        return sorted(near, key=lambda t: error[t.trial.key] * t.file_bytes)[:PARENTS]

    def _off(self, tried: FileCandidate, error: float) -> float:
        """What it errs, or what it takes, as a share of what it may."""
        if self.most_bytes:
            return tried.file_bytes / self.most_bytes
        return error / max(self.allowed, LEAST_ALLOWED)

    def _spares(self, tried: FileCandidate, error: float) -> bool:
        """Whether it has errors to spare for fewer bytes."""
        return (self._off(tried, error) < 1) != bool(self.most_bytes)

    def _child(self, random: Random, parent: FileCandidate, spares: bool) -> _Plan:
        """Its parent's network with other grids, at another price: finer and lower to learn its errors away, or coarser
        and higher, for fewer bytes."""
        factor = random.choice(COARSER if spares else FINER)
        steps = {name: _scaled(step, factor) for name, step in parent.steps.items()}
        if random.random() < 0.5:
            name = random.choice(list(steps))
            steps[name] = _scaled(steps[name], random.choice(ONE_TENSOR))
        model = dequantize(parent.quantized)
        rate = _rate(model) * random.choice(RATES)
        price = parent.price * random.choice(PRESSURE if spares else RELIEF)
        return _Plan(model, steps, price, rate, random.randrange(2**31))

    # --- trying it ---

    def _train(self, plans: Sequence[_Plan], stage: str) -> None:
        images = len(self.context.dataset.train)
        starts = [quantization_aware_start(plan.model, plan.steps, plan.price / images) for plan in plans]
        context = replace(self.context, starts={start.digest: start for start in starts})
        trials = [self._trial(plan, start) for plan, start in zip(plans, starts, strict=True)]
        self.macs += sum(map(context.cost, trials))
        outcomes = self.study.run(context, trials, stage)
        for plan, trial, outcome in zip(plans, trials, outcomes, strict=True):
            if not outcome.diverged_at:
                quantized = quantize_model(replace(plan.model, weights=outcome.weights), plan.steps)
                found = shortest(without_dead_channels(quantized))
                self.candidates.append(self._squeezed(*found, plan.steps, plan.price, trial, stage))

    def _trial(self, plan: _Plan, start: Start) -> Trial:
        recipe = Recipe(batch_size=BATCH, learning_rate=plan.rate)
        if self.context.teacher_logits is not None:
            recipe = replace(recipe, loss="kl", temperature=2.0)
        trial = self.context.trial(plan.model.spec, recipe, plan.seed, start.digest)
        epochs = self.effort.steps / recipe.steps(len(self.context.dataset.train))
        epochs = min(epochs, self.effort.training_macs / (self.context.cost(trial) / recipe.epochs))
        return replace(trial, recipe=replace(recipe, epochs=max(1, round(epochs))))

    def _on_fine_grids(self, model: Model) -> FileCandidate:
        quantized, _ = shortest(quantize_model(model, grid_steps(model, FINE_SHARE)))
        return self._not_trained(model, quantized)

    def _not_trained(self, model: Model, quantized: QuantizedModel) -> FileCandidate:
        content = encode(quantized)
        start = f"{hashlib.sha256(content).hexdigest()} {NOT_TRAINED}"
        trial = self.context.trial(model.spec, Recipe(), self.seed, start)
        return self._squeezed(quantized, len(content), grid_steps(model, FINE_SHARE), _price(model), trial, NOT_TRAINED)

    def _squeezed(
        self, quantized: QuantizedModel, file_bytes: int, steps: Steps, price: float, trial: Trial, stage: str
    ) -> FileCandidate:
        """What the file decodes to is scored: moments are on grids now, and sorted channels add up in another order."""
        weights, data = flat_weights(quantized), self.context.dataset
        train = Split(data.train.images[:TRAINING_IMAGES], data.train.labels[:TRAINING_IMAGES])
        selection, confirmation, training = (
            self._score(trial, quantized.spec, weights, name, split)
            for name, split in (("selection", data.selection), ("confirmation", data.confirmation), ("train", train))
        )
        outcome = Outcome(quantized.spec.parameters(quantized.input_shape), selection, confirmation, (), 0.0, weights)
        return FileCandidate(quantized, steps, price, file_bytes, trial, outcome, 1 - training.rate, stage)

    def _score(self, trial: Trial, spec: NetSpec, weights: Weights, name: str, split: Split) -> Score:
        """Score a split, or find its score in the store: with a large network it takes seconds."""
        store = self.study.store
        found = store.get_score(trial.key, split=name, of="decoded file")
        if found is None:
            found = score(self.context, spec, weights, split, self.study.workers)
            store.put_score(trial.key, split=name, of="decoded file", score=found)
        return found


def _price(model: Model) -> float:
    return float(PRICE * (PRICE_PARAMETERS / max(1, model.weights.size)) ** PRICE_POWER)


def _share(model: Model) -> float:
    return float(SHARE * max(1.0, model.weights.size / PRICE_PARAMETERS) ** SHARE_POWER)


def _rate(model: Model) -> float:
    share = min(1.0, RATE_PARAMETERS / max(1, model.weights.size))
    return float(RATE * share**RATE_POWER)


def _scaled(step: float, factor: float) -> float:
    return float(nearest_step(step * factor))
