"""What comes of the question: the network, the evidence, and everything that was tried on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from smidgen.data import Dataset
from smidgen.model import Model
from smidgen.records import Floor, Outcome, Score, Trial
from smidgen.search.compress import CompressResult
from smidgen.search.frontier import TurningPoint
from smidgen.search.goal import Goal
from smidgen.teacher import TeacherOutputs
from smidgen.trials.evaluate import TrainingContext


@dataclass(frozen=True, eq=False)
class TrainedCandidate:
    """One training of the run: what was asked, what came of it, and at which stage."""

    trial: Trial
    outcome: Outcome
    stage: str


@dataclass(frozen=True, eq=False)
class ShrinkResult:
    """The network that does what was asked, and the evidence.

    floor: the accuracy that was asked for; where the best within limits was, the one that it is shown to hold
    is_met: whether the winner meets it; False only with `Goal.fallback_to_best`
    test: of the winner; teacher_test: of the teacher; both scored once, after everything was chosen.
        None for a teacher of which only logits without those of the test images were given
    teacher: None where the effort has none trained and none was brought
    fresh_seeds: the winner's network and recipe from seeds that took no part in the run; `fresh_seeds_met` of them
        hold the floor on the whole validation split.
    rejected: networks that held the floor on the selection half and not on the confirmation half.
    file: the winner, or a network near it, in the fewest bytes that were found; None where that was not asked
        for, or nothing that was tried holds what the winner does
    written_to: the folder of its report; None where none was written
    """

    data: Dataset = field(repr=False)
    context: TrainingContext = field(repr=False)
    goal: Goal
    floor: Floor
    is_met: bool
    winner: Trial
    outcome: Outcome
    test: Score
    teacher: TeacherOutputs | None
    teacher_test: Score | None
    fresh_seeds: tuple[TrainedCandidate, ...] = field(repr=False)
    fresh_seeds_met: int
    recipes: dict[str, tuple[TrainedCandidate, ...]] = field(repr=False)
    candidates: tuple[TrainedCandidate, ...] = field(repr=False)
    rejected: tuple[TrainedCandidate, ...] = field(repr=False)
    turning_point: TurningPoint | None
    file: CompressResult | None
    seconds: float
    trained: int
    remembered: int
    written_to: Path | None = None

    @property
    def headline(self) -> str:
        """The answer in a line."""
        verb = "hold" if self.test.rate >= self.floor.accuracy else "were chosen to hold"
        return f"{self.outcome.parameters:,} parameters {verb} {100 * self.floor.accuracy:.6g} % on {self.data.name}"

    @property
    def model(self) -> Model:
        """The winner as what a file holds (`smidgen.save`)."""
        return Model(self.winner.spec, self.data.input_shape, self.data.class_names, self.outcome.weights)

    @property
    def question(self) -> str:
        """What was asked, as a sentence."""
        target, limits = self.goal.target, str(self.goal.limits)
        if target is None:
            return f"The best network of {limits} on {self.data.name}."
        accuracy = f"{100 * self.floor.accuracy:.4g} %"
        if target.within is not None:
            accuracy += f", within {100 * target.within:g} points of its teacher,"
        balanced = ", the mean over its classes," if self.goal.balanced else ""
        small = f"The smallest network{f' of {limits}' if limits else ''}"
        return f"{small} that holds {accuracy}{balanced} on {self.data.name}."
