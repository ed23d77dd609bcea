"""The search for the fewest bytes: networks are quantized, trained on their grids at a price for each bit, and varied.

    networks -> grids of a few steps, at a few prices -> generations: children of the best files, each with other
    grids or another price, in ever smaller steps -> confirmation -> one file

A file is chosen as a network is chosen in `shrink`: it must reach the required rate on the selection half, and the
shortest that does must reach it again on the confirmation half. What is proposed depends on outcomes and the seed
alone, and every training is remembered.

Files of different lengths are compared by their bytes, where one that errs more than is allowed counts as longer.

Of hundreds of files, those that look best on the selection half are in part lucky. Their error is therefore estimated
as the mean of two: the error on the selection half, and the error on training images plus the average difference of
the two over all files. This is a control variate: small networks err on both for the same reasons, and there are many
training images. Files whose estimate meets the floor are confirmed first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from smidgen.engine import Start
from smidgen.model import Model, QuantizedModel, as_quantized, dequantize, encode, flat_weights
from smidgen.records import Outcome, Recipe, Trial, Weights
from smidgen.search.byte_plans import Plan, child, first_plans, usual_price
from smidgen.search.ranking import estimated_errors
from smidgen.transforms import (
    Steps,
    fold_batch_norm,
    grid_steps,
    parameters_with_input,
    quantization_aware_start,
    quantize_model,
    shortest,
    with_equal_scales,
    with_positive_weights,
    without_constant_inputs,
    without_dead_channels,
    without_idle_biases,
)
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.study import Study


@dataclass(frozen=True)
class ByteSearchEffort:
    """How much a search for bytes tries.

    Attributes:
        networks: At most so many of the given networks are quantized.
        first: Trainings on first grids: each network once, then each on other grids at other prices.
        generations: Generations after the first grids.
        children: Files of each generation.
        steps: Optimizer steps of a training.
        training_macs: Fewer steps are taken if a training would need more multiply-accumulates than this.
        total_macs: No further generation begins after so many multiply-accumulates of training.
        children_share: The share of `steps` that a child takes: it goes on from its parent's weights.
    """

    networks: int
    first: int
    generations: int
    children: int
    steps: int
    training_macs: float
    total_macs: float
    children_share: float = 1.0


BYTE_SEARCH_EFFORTS = {
    "glance": ByteSearchEffort(2, 12, 1, 4, 2_000, 0.4e12, 4e12),
    "quick": ByteSearchEffort(1, 6, 2, 8, 6_000, 1e12, 20e12),
    "normal": ByteSearchEffort(3, 18, 10, 16, 8_000, 3e12, 60e12),
    "thorough": ByteSearchEffort(4, 24, 40, 24, 16_000, 12e12, 480e12),
}

MOST_PASSES = 150
"""Passes over the training images at most: 2,000 steps would pass 360 pictures 333 times."""

NOT_TRAINED = "not trained"
"""The stage of files whose weights are as they were given, or rounded to a fine grid."""

FINE_STEP = 0.02
"""Step of a grid that hardly changes a network, as a share of a tensor's root mean square."""

LAST_REACH = 0.25
"""The power of all factors in the last generation; in the first it is 1. Large changes find the region of short files,
small ones the shortest file that meets the floor: most files near it miss it by a few images."""

PARENTS = 6
"""How many files have children."""

EXCESS_POWER = 2
"""A file that errs twice as much as is allowed counts for this power of two times its bytes. Error times bytes would
favour short files that never come near the floor: in a search on MNIST a tenth less error took a sixth more bytes."""

LEAST_ALLOWED = 1e-4
"""Lower bound of a denominator: a floor may allow no error."""

BATCH = 128
"""Images of a batch."""

Rate = Callable[[Trial, Outcome, str], float]

TRAINING_IMAGES = 20_000
"""Training images used to estimate a file's error (the first N)."""


@dataclass(frozen=True, eq=False)
class FileCandidate:
    """One file that was tried.

    Attributes:
        quantized: The network on its grids.
        steps: The steps of the grids.
        price: The price of a bit, in nats over all training images.
        file_bytes: The length of the file.
        trial: The key of the training.
        outcome: The scores and weights of the network that the file decodes to.
        error: The error on the selection half, by the measure of the search.
        training_error: The error on the first training images.
        stage: The stage of the search that made it.
    """

    quantized: QuantizedModel = field(repr=False)
    steps: Steps = field(repr=False)
    price: float
    file_bytes: int
    trial: Trial
    outcome: Outcome = field(repr=False)
    error: float
    training_error: float
    stage: str

    @property
    def filed(self) -> Trial:
        """The trial with the network that is in the file, which may have lost channels."""
        return replace(self.trial, spec=self.quantized.spec)

    @property
    def model(self) -> Model:
        """The network that the file decodes to."""
        return dequantize(self.quantized)


def plain_rate(trial: Trial, outcome: Outcome, half: str) -> float:
    """The share of the images of a half that are classified correctly."""
    return outcome.halves[half].rate


class ByteSearch:
    """One search for the fewest bytes; `candidates` has every file, in order."""

    def __init__(
        self,
        study: Study,
        context: TrainingContext,
        effort: ByteSearchEffort,
        allowed: float,
        seed: int,
        most_bytes: int | None = None,
        rate: Rate = plain_rate,
    ) -> None:
        """Prepare a search.

        Args:
            study: Runs trials and remembers them.
            context: The data, and the logits to imitate.
            effort: How much is tried.
            allowed: The error that a file may have on the selection half.
            seed: Seed of the search and of every training.
            most_bytes: The length to search near, where no accuracy is required.
            rate: Measures a file's accuracy, from the trial, the outcome and the name of a half.
        """
        self.study, self.context, self.effort, self.allowed, self.seed = study, context, effort, allowed, seed
        self.most_bytes, self.rate = most_bytes, rate
        self.candidates: list[FileCandidate] = []
        self.macs = 0.0

    def run(self, models: Sequence[Model]) -> None:
        """Put these networks on fine grids; quantize the first of them, and train and vary the files."""
        simplified = [self._simplified(model) for model in models]
        for model, simple in zip(models, simplified, strict=True):
            self.candidates += [self._not_trained(model, as_quantized(model)), self._on_fine_grids(simple)]
        going = [without_idle_biases(model, may_pad=True) for model in simplified[: self.effort.networks]]
        self._train(first_plans(going, self.effort.first, self.seed), "first grids")
        for generation in range(1, self.effort.generations + 1):
            if self.macs >= self.effort.total_macs:
                break
            self._train(self._children(generation), f"bytes, generation {generation} of {self.effort.generations}")

    def ordered(self) -> list[FileCandidate]:
        """All files in the order of confirmation: those whose estimated error is allowed first, then by length."""
        errors = self.estimates()
        return sorted(
            self.candidates, key=lambda file: (errors[file.trial.key] > self.allowed, file.file_bytes, file.error)
        )

    def best_within(self, file_bytes: int) -> FileCandidate | None:
        """The file with the lowest estimated error among those of at most `file_bytes` bytes."""
        errors = self.estimates()
        within = [file for file in self.candidates if file.file_bytes <= file_bytes]
        return min(within, key=lambda file: (errors[file.trial.key], file.file_bytes), default=None)

    def estimates(self) -> dict[str, float]:
        """The estimated error of each file, by its trial's key; the confirmation half takes no part in it."""
        return estimated_errors({file.trial.key: (file.error, file.training_error) for file in self.candidates})

    # --- what is proposed ---

    def _simplified(self, model: Model) -> Model:
        """A network that computes the same on the training images, with fewer tensors and grids, and fewer weights."""
        simple = without_constant_inputs(fold_batch_norm(model), self.context.dataset.train.images)[0]
        return with_positive_weights(with_equal_scales(without_idle_biases(simple)))

    def _children(self, generation: int) -> list[Plan]:
        random = Random(self.seed * 1_000 + generation)
        parents, errors = self._parents(), self.estimates()
        drawn = [random.choice(parents) for _ in range(self.effort.children)]
        reach = LAST_REACH ** ((generation - 1) / max(1, self.effort.generations - 1))
        plans = (self._child(random, parent, errors[parent.trial.key], reach) for parent in drawn)
        return [replace(plan, share=self.effort.children_share) for plan in plans]

    def _child(self, random: Random, parent: FileCandidate, error: float, reach: float) -> Plan:
        has_slack = self._has_slack(parent, error)
        return child(random, parent.model, parent.steps, parent.price, has_slack=has_slack, reach=reach)

    def _parents(self) -> list[FileCandidate]:
        """The shortest files, or near a limit of bytes the most accurate; those beyond what is allowed count worse."""
        errors = self.estimates()
        trained = [file for file in self.candidates if file.stage != NOT_TRAINED] or self.candidates
        return sorted(trained, key=lambda file: self._counted(file, errors[file.trial.key]))[:PARENTS]

    def _counted(self, file: FileCandidate, error: float) -> float:
        """What a file counts for: its bytes, or its error, and more if it exceeds what is allowed."""
        excess = max(1.0, self._share_of_allowed(file, error))
        return (error if self.most_bytes else file.file_bytes) * excess**EXCESS_POWER

    def _share_of_allowed(self, file: FileCandidate, error: float) -> float:
        """The file's error as a share of the allowed error, or its bytes as a share of the limit."""
        if self.most_bytes:
            return file.file_bytes / self.most_bytes
        return error / max(self.allowed, LEAST_ALLOWED)

    def _has_slack(self, file: FileCandidate, error: float) -> bool:
        """Whether the file has error to spare for fewer bytes."""
        return (self._share_of_allowed(file, error) < 1) != bool(self.most_bytes)

    # --- how it is trained and measured ---

    def _train(self, plans: Sequence[Plan], stage: str) -> None:
        """Train the plans and add their files, each made while others are trained; one that diverged has none."""
        images = len(self.context.dataset.train)
        starts = [quantization_aware_start(plan.model, plan.steps, plan.price / images) for plan in plans]
        context = replace(self.context, starts={start.digest: start for start in starts})
        trials = [self._trial(plan, start) for plan, start in zip(plans, starts, strict=True)]
        self.macs += sum(map(context.cost, trials))
        plan_of = {trial.key: plan for trial, plan in zip(trials, plans, strict=True)}
        file_of: dict[str, tuple[QuantizedModel, int]] = {}

        def make_file(trial: Trial, outcome: Outcome) -> None:
            if not outcome.diverged_at and trial.key not in file_of:
                file_of[trial.key] = _shortest_file(plan_of[trial.key], outcome.weights)

        outcomes = self.study.run(context, trials, stage, on_outcome=make_file)
        for plan, trial, outcome in zip(plans, trials, outcomes, strict=True):
            make_file(trial, outcome)
            if file := file_of.get(trial.key):
                self.candidates.append(self._measured(*file, plan.steps, plan.price, trial, stage))

    def _trial(self, plan: Plan, start: Start) -> Trial:
        recipe = Recipe(batch_size=BATCH, learning_rate=plan.rate)
        if self.context.teacher_logits is not None:
            recipe = replace(recipe, loss="kl", temperature=2.0)
        trial = self.context.trial(plan.model.spec, recipe, plan.seed, start.digest)
        epoch_steps, copies = recipe.steps(len(self.context.dataset.train)), self.context.dataset.copies
        epochs = passes(plan.share * self.effort.steps, epoch_steps, copies)
        epochs = min(epochs, self.effort.training_macs / (self.context.cost(trial) / recipe.epochs))
        return replace(trial, recipe=replace(recipe, epochs=max(1, round(epochs))))

    def _on_fine_grids(self, model: Model) -> FileCandidate:
        quantized, _ = shortest(quantize_model(model, grid_steps(model, FINE_STEP)))
        return self._not_trained(model, quantized)

    def _not_trained(self, model: Model, quantized: QuantizedModel) -> FileCandidate:
        content = encode(quantized)
        start = f"{hashlib.sha256(content).hexdigest()} {NOT_TRAINED}"
        trial = self.context.trial(model.spec, Recipe(), self.seed, start)
        steps = grid_steps(model, FINE_STEP)
        return self._measured(quantized, len(content), steps, usual_price(model), trial, NOT_TRAINED)

    def _measured(
        self, quantized: QuantizedModel, file_bytes: int, steps: Steps, price: float, trial: Trial, stage: str
    ) -> FileCandidate:
        """Score the network that the file decodes to.

        It may differ from the trained one: running statistics are on grids, and reordered channels add up in another
        order.
        """
        weights, data = flat_weights(quantized), self.context.dataset
        network, first = (quantized.spec, weights), data.train.first(TRAINING_IMAGES)
        selection, confirmation, training = (
            self.study.score(self.context, trial, network, split, name=name, of="decoded file")
            for name, split in (("selection", data.selection), ("confirmation", data.confirmation), ("train", first))
        )
        parameters = parameters_with_input(quantized.spec, quantized.input)
        outcome = Outcome(parameters, selection, confirmation, (), 0.0, weights)
        error = 1 - self.rate(replace(trial, spec=quantized.spec), outcome, "selection")
        return FileCandidate(quantized, steps, price, file_bytes, trial, outcome, error, 1 - training.rate, stage)


def _shortest_file(plan: Plan, weights: Weights) -> tuple[QuantizedModel, int]:
    """The trained network of a plan on its grids, in its shortest form, and the length of its file."""
    quantized = quantize_model(replace(plan.model, weights=weights), plan.steps)
    return shortest(without_dead_channels(quantized))


def passes(steps: float, epoch_steps: int, copies: int = 1) -> float:
    """The epochs of a training of so many steps, at most `MOST_PASSES` over few images."""
    return min(steps / epoch_steps, MOST_PASSES / copies)
