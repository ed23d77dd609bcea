"""The result of a search: the network, the evidence, and everything that was trained on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smidgen.data import Dataset
from smidgen.model import Model
from smidgen.records import Floor, Outcome, Score, Trial
from smidgen.search.compress import CompressResult
from smidgen.search.frontier import TurningPoint
from smidgen.search.goal import Goal
from smidgen.teacher import TeacherOutputs
from smidgen.text_forms import points_text
from smidgen.trials.evaluate import TrainingContext, shipped


@dataclass(frozen=True, eq=False)
class TrainedCandidate:
    """One training of a search: its key, its outcome, and the stage that trained it."""

    trial: Trial
    outcome: Outcome
    stage: str


RecipeComparison = dict[str, tuple[TrainedCandidate, ...]]
"""Trainings of one network by each recipe, by the recipe's name."""


@dataclass(frozen=True, eq=False)
class ShrinkResult:
    """The smallest network that was found, and the evidence.

    Attributes:
        data: The data set; repeated images of rarer classes included, if the goal is balanced.
        context: The data and the teacher's logits that the winner learned from.
        goal: What was searched for.
        floor: The accuracy floor; where the goal has no target, the floor that the winner is shown to hold.
        is_met: Whether the winner meets the floor; False only with `Goal.fallback_to_best`.
        winner: The key of the winner's training.
        outcome: The outcome of that training.
        test: The winner's score on the test split, taken once, after everything was chosen.
        teacher: The teacher; None if none was given and the effort trains none.
        teacher_test: The teacher's score on the test split; None if its logits for those images are unknown.
        fresh_seeds: The winner's network and recipe, trained from seeds that took no part in the search.
        fresh_seeds_hold: Whether each of them holds the floor on the whole validation split.
        recipes: The trainings that compared the teacher with labels, by the recipe's name; empty without a teacher.
        candidates: Every training of a candidate, in order.
        rejected: Networks that met the floor on the selection half and failed on the confirmation half.
        turning_point: The last size before accuracy breaks down; None if the curve has none, or was not drawn.
        file: The shortest file that was found; None if it was not searched for, or none meets the floor.
        seconds: How long the search took.
        trained: Trainings that were run.
        remembered: Trainings that were found in the store.
        promise: The accuracy on new images that the confirmation half shows: at most 5 % of all searches end with a
            network below it. It is the exact lower bound at the winner's turn (`records.look_confidence`).
        work: The budget in multiply-accumulates of training; None without one.
        notes: What was found out on the way, one sentence each.
        written_to: The folder of its report; None if none was written.
    """

    data: Dataset
    context: TrainingContext
    goal: Goal
    floor: Floor
    is_met: bool
    winner: Trial
    outcome: Outcome
    test: Score
    teacher: TeacherOutputs | None
    teacher_test: Score | None
    fresh_seeds: tuple[TrainedCandidate, ...]
    fresh_seeds_hold: tuple[bool, ...]
    recipes: RecipeComparison
    candidates: tuple[TrainedCandidate, ...]
    rejected: tuple[TrainedCandidate, ...]
    turning_point: TurningPoint | None
    file: CompressResult | None
    seconds: float
    trained: int
    remembered: int
    promise: float = 0.0
    work: float | None = None
    notes: tuple[str, ...] = ()
    written_to: Path | None = None

    def __str__(self) -> str:
        """The headline, the network, its test score, and what was trained."""
        file = f"; {self.shortest_file}" if self.file else ""
        return (
            f"{self.headline}\n{self.winner.spec}\n"
            f"test: {self.test}; {self.outcome.parameters:,} parameters{file}\n"
            f"{self.trained:,} trained, {self.remembered:,} remembered, {self.seconds:.1f} s"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline}>"

    @property
    def headline(self) -> str:
        """The result in a line."""
        verb = "hold" if self.test.rate >= self.floor.accuracy else "were chosen to hold"
        accuracy = f"{100 * self.floor.accuracy:.6g} %"
        distance, target = "", self.goal.target
        if target and target.within is not None and self.floor.accuracy != target.floor:
            accuracy = f"{100 * self.floor.accuracy:.4g} %"
            distance = f", within {points_text(target.within)} of its teacher"
        balanced = " balanced accuracy" if self.goal.balanced else ""
        return f"{self.outcome.parameters:,} parameters {verb} {accuracy}{balanced} on {self.data.name}{distance}"

    @property
    def fresh_seeds_met(self) -> int:
        """How many of the fresh seeds hold the floor."""
        return sum(self.fresh_seeds_hold)

    @property
    def learned_from_teacher(self) -> bool:
        """Whether the winner learned from the teacher's outputs, and not from labels alone."""
        return bool(self.winner.teacher_key)

    @property
    def comes_from_larger(self) -> bool:
        """Whether the winner is what was left of a larger network, whose weights it was trained on from."""
        return bool(self.winner.start_digest)

    @property
    def shortest_file(self) -> str:
        """The answer in bytes, which names its network where that is another than the winner; "" without a file."""
        if self.file is None:
            return ""
        bytes_text = f"{self.file.winner.file_bytes:,} bytes"
        if not self.has_another_network_in_file:
            return f"fewest bytes: {bytes_text}, the same network"
        return f"fewest bytes: {bytes_text}, another network of {self.file.winner.outcome.parameters:,} parameters"

    @property
    def has_another_network_in_file(self) -> bool:
        """Whether the shortest file is that of another network than the winner."""
        return self.file is not None and self.file.winner.quantized.spec != self.winner.spec

    @property
    def model(self) -> Model:
        """The winner, which `smidgen.save` writes; it reads the user's values where its first layer allows it."""
        return shipped(self.data, self.winner.spec, self.outcome.weights)

    @property
    def question(self) -> str:
        """What was searched for, as a sentence."""
        target, limits = self.goal.target, str(self.goal.limits)
        if target is None:
            return f"The best network of {limits} on {self.data.name}."
        accuracy = f"{100 * self.floor.accuracy:.4g} %"
        if target.within is not None:
            accuracy += f", within {points_text(target.within)} of its teacher,"
        balanced = ", the mean over its classes," if self.goal.balanced else ""
        small = f"The smallest network{f' of {limits}' if limits else ''}"
        return f"{small} that holds {accuracy}{balanced} on {self.data.name}."
