"""What the page shows of a `ShrinkResult` beyond its fields: the curve, the confusion matrix and the wrong images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from smidgen.data import facts_of
from smidgen.records import Score
from smidgen.report.axes import TeacherMark, count_text, interval_text, percent_text
from smidgen.report.chart import Chart, Dot, lay_out
from smidgen.report.device import Device
from smidgen.report.measures import Measure, file_dots, measures
from smidgen.report.page_networks import MOST_CLASSES_IN_TABLE, PageNetwork, page_networks
from smidgen.report.page_teacher import PageTeacher, page_teacher
from smidgen.report.samples import Sample, samples_of
from smidgen.search.frontier import Point
from smidgen.search.judge import needed_rate
from smidgen.search.result import ShrinkResult, TrainedCandidate
from smidgen.spec import LayerPlan
from smidgen.teacher import TeacherOutputs
from smidgen.trials.evaluate import classify_in_units

MOST_PAIRS = 5
BRIEF_SHARE = 1 / 4
"""A training of less than this share of the longest one's epochs is a brief one."""
MOST_WRONG_IMAGES = 40
LONG_NAME = 6


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix; `heat` is 0 to 1 among the cells of its kind, correct or wrong."""

    images: int
    correct: bool
    heat: float
    title: str


@dataclass(frozen=True, eq=False)
class WrongImage:
    """A test image that the winner classifies wrongly.

    Attributes:
        pixels: uint8 [channels, height, width].
        truth: The name of the true class.
        predicted: The name of the predicted class.
        margin: The logit of the predicted class minus that of the true one.
    """

    pixels: npt.NDArray[np.uint8]
    truth: str
    predicted: str
    margin: float


@dataclass(frozen=True, eq=False)
class PageView:
    """A result as the page shows it.

    Attributes:
        result: The result of a search.
        logits: float32 [n, classes], the winner's logits for the test split.
        file_bytes: The length of winner.safetensors.
        command: The command line that started the run; "" if none did.
        networks: The networks that the page holds, the winner first and then its file; none for a page that only shows.
        page_teacher: The teacher as the page holds it; None if it does not.
        has_samples: Whether the page may hold test samples.
        device: The answer's C program; None leaves it out.
    """

    result: ShrinkResult
    logits: npt.NDArray[np.float32]
    file_bytes: int
    command: str = ""
    networks: tuple[PageNetwork, ...] = ()
    page_teacher: PageTeacher | None = None
    has_samples: bool = True
    device: Device | None = None

    @classmethod
    def of(
        cls,
        result: ShrinkResult,
        file_bytes: int,
        command: str = "",
        *,
        samples: bool = True,
        device: Device | None = None,
    ) -> PageView:
        """Classify the test split with the winner, collect what the page holds, and return the view."""
        logits = classify_in_units(result.context, result.winner.spec, result.outcome.weights, result.data.test)
        view = cls(result, logits, file_bytes, command, has_samples=samples, device=device)
        networks = page_networks(result, view.chart.rates[0])
        return replace(view, networks=networks, page_teacher=page_teacher(result))

    @property
    def evidence(self) -> str:
        """The test score, and how much smaller the winner is than its teacher."""
        test = self.result.test
        taught = self.teacher and self.result.learned_from_teacher
        smaller = f"; {self.times_smaller} times smaller than its teacher" if taught else ""
        return (
            f"{percent_text(test.rate)} ({count_text(test.correct)}/{count_text(test.total)}) on the test examples, "
            f"95 % interval {interval_text(test)}{smaller}"
        )

    @property
    def teacher(self) -> TeacherOutputs | None:
        """The teacher, if its size and its test score are known."""
        teacher = self.result.teacher
        return teacher if teacher and teacher.parameters and self.result.teacher_test else None

    @property
    def teacher_mark(self) -> TeacherMark | None:
        """The teacher on the curve; None if there is none."""
        return TeacherMark.of(self.result.teacher) if self.result.teacher else None

    @property
    def teacher_note(self) -> str:
        """What the page says of its teacher: how it runs there, or why it does not."""
        teacher, held = self.result.teacher, self.page_teacher
        if held:
            return (
                f"The teacher runs here with weights of {held.bits} bits; so it is right on "
                f"{percent_text(held.score.rate)} of the selection examples."
            )
        if teacher and teacher.outcome:
            return "The teacher is not in the page: it does not fit in 2 MB, even with weights of 4 bits."
        return "The teacher is not in the page: it was not trained here."

    @property
    def samples_note(self) -> str:
        """Which of the user's samples the page holds, as a sentence."""
        if not self.has_samples:
            return "This page holds none (--no-samples)."
        wrong = self.wrong[:MOST_WRONG_IMAGES]
        if not self.samples and not wrong:
            return "This page holds none."
        rows = [str(sample.row) for sample in self.samples if sample.row >= 0]
        known = f" (rows {', '.join(rows)} of the data, counted from 0)" if rows else ""
        parts = [f"{len(self.samples)} test samples{known}"] if self.samples else []
        parts += [f"the {len(wrong)} wrongly classified test examples that it shows"] if wrong else []
        return f"This page holds {' and '.join(parts)}. To leave them out: --no-samples."

    @property
    def has_long_names(self) -> bool:
        """Whether a class name is too long for large letters."""
        return max(map(len, self.result.data.class_names)) > LONG_NAME

    @property
    def times_smaller(self) -> str:
        """How many times the teacher's parameters exceed the winner's; "" without a teacher."""
        if self.teacher is None:
            return ""
        ratio = self.teacher.parameters / self.result.outcome.parameters
        return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        """The winner's layers."""
        return self.result.winner.spec.plan(self.result.data.input_shape)

    @property
    def file_is_quantized(self) -> bool:
        """Whether the .smidgen file has a quantized tensor; the shortest file can be one of float32 weights."""
        file = self.result.file
        return file is not None and any(tensor.grid is not None for tensor in file.winner.quantized.tensors.values())

    @property
    def needed_rate(self) -> float:
        """The accuracy on the validation split that holds the floor."""
        return needed_rate(self.result.data, self.result.floor, self.result.goal.balanced)

    @property
    def fresh_seeds(self) -> list[tuple[Score, bool]]:
        """The validation score of each fresh seed and whether it holds the floor, the best first."""
        found = [fresh.outcome.validation for fresh in self.result.fresh_seeds]
        scores = list(zip(found, self.result.fresh_seeds_hold, strict=True))
        return sorted(scores, key=lambda scored: -scored[0].rate)

    @property
    def data_facts(self) -> tuple[str, ...]:
        """How the data was understood, and what in it can mislead, one sentence each."""
        return facts_of(self.result.data)

    @property
    def seeds(self) -> list[int]:
        """Every seed that was trained with."""
        return sorted({candidate.trial.seed for candidate in self.result.candidates})

    @cached_property
    def candidates(self) -> list[TrainedCandidate]:
        """The candidates on the curve: all but those that diverged and the fresh seeds."""
        trained = [candidate for candidate in self.result.candidates if not candidate.outcome.diverged_at]
        return [candidate for candidate in trained if candidate.stage != "fresh seeds"]

    @property
    def stages(self) -> dict[str, list[TrainedCandidate]]:
        """The candidates of each stage, in the order in which the stages first came."""
        stages: dict[str, list[TrainedCandidate]] = {}
        for candidate in self.candidates:
            stages.setdefault(candidate.stage, []).append(candidate)
        return stages

    @property
    def points(self) -> list[Point]:
        """The candidates as points of the curve."""
        return [point_of(candidate, self._brief_epochs) for candidate in self.candidates]

    @cached_property
    def _brief_epochs(self) -> float:
        """The epochs below which a training from drawn weights is a brief one."""
        return max((one.trial.recipe.epochs for one in self.candidates), default=0) * BRIEF_SHARE

    @property
    def winner(self) -> Point:
        """The winner as a point of the curve."""
        return point_of(TrainedCandidate(self.result.winner, self.result.outcome, "the winner"))

    @cached_property
    def chart(self) -> Chart:
        """The curve."""
        stages = [candidate.stage for candidate in self.candidates]
        marks = list(zip(self.points, stages, strict=True))
        floor = self.result.floor.accuracy
        return lay_out(marks, self.winner, floor, self.result.turning_point, self.teacher_mark)

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """The curve over each size."""
        return measures(self.result, self.candidates, self.chart.rates)

    @property
    def file_dots(self) -> tuple[Dot, ...]:
        """The files on the curve over bytes; none if no file was searched for."""
        return file_dots(self.result, self.measures["bytes"]) if self.result.file else ()

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The test samples that the page offers."""
        return samples_of(self.result.data) if self.has_samples and self.networks else ()

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Test images by their true class (row) and their predicted class (column): int64 [classes, classes]."""
        classes = self.result.data.classes
        pairs = self.result.data.test.labels.astype(np.int64) * classes + self.logits.argmax(axis=1)
        return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)

    @property
    def errors(self) -> npt.NDArray[np.int64]:
        """The confusion matrix with zeros on its diagonal."""
        return self.confusion - np.diag(np.diag(self.confusion))

    @property
    def confused_pairs(self) -> list[tuple[str, str, int]]:
        """The most frequent errors as (true class, predicted class, images), at most five."""
        names, errors = self.result.data.class_names, self.errors
        flat = np.argsort(-errors, axis=None, kind="stable")[:MOST_PAIRS]
        pairs = [divmod(int(index), len(names)) for index in flat]
        return [(names[i], names[j], int(errors[i, j])) for i, j in pairs if errors[i, j]]

    @property
    def table(self) -> list[tuple[str, list[Cell], Score]]:
        """Each true class with its cells and its own score; empty for more than 30 classes."""
        names, worst = self.result.data.class_names, max(1, int(self.errors.max()))
        if len(names) > MOST_CLASSES_IN_TABLE:
            return []
        rows = []
        for i, name in enumerate(names):
            counts = [int(count) for count in self.confusion[i]]
            own = Score(counts[i], sum(counts))
            cells = [
                Cell(count, i == j, own.rate if i == j else count / worst, f"{name} taken for {names[j]}: {count}")
                for j, count in enumerate(counts)
            ]
            rows.append((name, cells, own))
        return rows

    @cached_property
    def wrong(self) -> tuple[WrongImage, ...]:
        """The wrongly classified test images, the largest margins first; none for data that are not images."""
        test, names = self.result.data.test, self.result.data.class_names
        if not self.has_samples or min(test.shape[2:]) < 2 or test.dtype != np.uint8:
            return ()
        predicted = self.logits.argmax(axis=1)
        rows = np.flatnonzero(predicted != test.labels)
        margins = self.logits[rows, predicted[rows]] - self.logits[rows, test.labels[rows]]
        return tuple(
            WrongImage(test.images[row], names[test.labels[row]], names[predicted[row]], margin)
            for margin, row in sorted(zip(margins.tolist(), rows.tolist(), strict=True), reverse=True)
        )


def point_of(candidate: TrainedCandidate, brief_epochs: float = 0) -> Point:
    """Return a training as a point of the curve, by its score on the validation split.

    Args:
        candidate: The training.
        brief_epochs: Below so many epochs it is brief, unless it goes on from another network's weights.
    """
    trial, outcome = candidate.trial, candidate.outcome
    is_brief = not trial.start_digest and trial.recipe.epochs < brief_epochs
    return Point(outcome.parameters, outcome.validation, str(trial.spec), trial.seed, is_brief)
