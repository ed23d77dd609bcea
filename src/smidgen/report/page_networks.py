"""The networks that the page holds, so that its floor can be moved: those that are the smallest at some floor.

They are chosen on the validation split. The page has their weights and their confusion matrices on that split, and
never a test score of theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from smidgen.data import Split
from smidgen.errors import RequestError
from smidgen.model import QuantizedModel, as_quantized, encode, flat_weights, size_report
from smidgen.records import Outcome, Trial
from smidgen.search.byte_search import FileCandidate
from smidgen.search.goal import Target, ram_bytes
from smidgen.search.judge import HALVES, Judge, Requirement
from smidgen.search.result import ShrinkResult, TrainedCandidate
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import classify, classify_in_units, shipped

FLOOR_STEPS = 10_000
"""Floors are told apart by a hundredth of a point."""

MOST_CLASSES_IN_TABLE = 30
"""With more classes the page has no confusion matrices."""

MEASURES = ("parameters", "macs", "ram")
"""Sizes of a network that is no file."""

THREADS = os.cpu_count() or 1


@dataclass(frozen=True)
class FilePart:
    """The bytes of a file that one thing takes: a tensor, or a part of the head."""

    name: str
    size_bytes: float


@dataclass(frozen=True, eq=False)
class PageNetwork:
    """A network of the page.

    Attributes:
        quantized: Its layers, input and weights.
        trial: The key of its training.
        outcome: Its scores on the validation split.
        stage: The stage of the search that made it.
        sizes: Its size by each measure: parameters, macs, ram; bytes if it is a file.
        holds: The highest floor that it holds on both halves of the validation split, by the run's own rule.
        confusion: int64 [classes, classes], validation images by true (row) and predicted class (column).
    """

    quantized: QuantizedModel = field(repr=False)
    trial: Trial
    outcome: Outcome = field(repr=False)
    stage: str
    sizes: Mapping[str, int]
    holds: float
    confusion: npt.NDArray[np.int64] = field(repr=False)

    @property
    def is_file(self) -> bool:
        """Whether it is one of the files that the search for bytes tried."""
        return "bytes" in self.sizes

    @cached_property
    def parts(self) -> tuple[FilePart, ...]:
        """Where the bytes of its file go; as float32 if it is no file yet."""
        return file_parts(self.quantized) if self.is_file else float_parts(self.quantized)


def file_parts(quantized: QuantizedModel) -> tuple[FilePart, ...]:
    """Return where the bytes of a `.smidgen` file went; a tensor has its grid and its levels together."""
    sizes: dict[str, float] = {}
    for part in size_report(encode(quantized)):
        name = _part_name(quantized, part.name.removesuffix(" levels").removesuffix(" grid"))
        sizes[name] = sizes.get(name, 0.0) + part.bits / 8
    return tuple(FilePart(name, size) for name, size in sizes.items())


def float_parts(quantized: QuantizedModel) -> tuple[FilePart, ...]:
    """Return the bytes of each tensor as float32."""
    return tuple(
        FilePart(_part_name(quantized, name), 4.0 * tensor.levels.size) for name, tensor in quantized.tensors.items()
    )


def _part_name(quantized: QuantizedModel, name: str) -> str:
    """Return a part's name for a reader: "weights of conv 5x3x3 relu" for "0.weight"."""
    index, _, kind = name.partition(".")
    if not index.isdigit():
        return {"signature": "signature", "checksum": "checksum"}.get(name, name)
    layer = quantized.spec.plan(quantized.input_shape)[int(index)].layer
    words = {"weight": "weights", "bias": "biases", "mean": "means", "variance": "variances"}
    return f"{words[kind]} of {layer} (layer {int(index) + 1})"


# --- which networks ---------------------------------------------------------------------------


def sizes_of(spec: NetSpec, parameters: int, shape: tuple[int, int, int]) -> dict[str, int]:
    """Return the sizes of a network that is no file, by the name of the measure."""
    return {"parameters": parameters, "macs": spec.macs(shape), "ram": ram_bytes(spec, shape)}


def page_networks(result: ShrinkResult, lowest: float) -> tuple[PageNetwork, ...]:
    """Return the winner, its file if there is one, and then the networks and files that are smallest at some floor.

    Args:
        result: The result of a search.
        lowest: The lowest floor that the page shows.
    """
    floors, winner = Floors(result), TrainedCandidate(result.winner, result.outcome, "the winner")
    candidates = {each.trial.key: each for each in (winner, *_front_candidates(result, lowest))} | {
        winner.trial.key: winner
    }
    chosen = [result.file.winner] if result.file else []
    files = {_file_key(file): file for file in (*chosen, *_front_files(result, lowest))}
    made = [_candidate(result, candidate, floors) for candidate in candidates.values()]
    filed = [_file(result, file, floors) for file in files.values()]
    return (made[0], *filed[:1], *made[1:], *filed[1:])


def _file_key(file: FileCandidate) -> str:
    return f"{file.trial.key} {file.file_bytes}"


def _front_candidates(result: ShrinkResult, lowest: float) -> list[TrainedCandidate]:
    """Return the candidates of which none is smaller, by some measure, and no worse."""
    shape = result.data.input_shape
    usable = [each for each in result.candidates if not each.outcome.diverged_at and each.stage != "fresh seeds"]
    usable = [each for each in usable if _worse_half(each.outcome) >= lowest]
    sizes = [sizes_of(each.trial.spec, each.outcome.parameters, shape) for each in usable]
    rates = [_worse_half(each.outcome) for each in usable]
    chosen = {index for measure in MEASURES for index in _front([size[measure] for size in sizes], rates)}
    return [usable[index] for index in sorted(chosen, key=lambda at: sizes[at]["parameters"])]


def _front_files(result: ShrinkResult, lowest: float) -> list[FileCandidate]:
    """Return the files of which none is shorter and no worse."""
    tried = result.file.candidates if result.file else ()
    files = [file for file in tried if _worse_half(file.outcome) >= lowest]
    chosen = _front([file.file_bytes for file in files], [_worse_half(file.outcome) for file in files])
    return [files[index] for index in chosen]


def _worse_half(outcome: Outcome) -> float:
    return min(outcome.selection.rate, outcome.confirmation.rate)


def _front(sizes: Sequence[int], rates: Sequence[float]) -> list[int]:
    """Return the indices of those that no other beats in both size and rate, by size; of equals the first."""
    front: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda at: (sizes[at], -rates[at])):
        if not front or rates[index] > rates[front[-1]]:
            front.append(index)
    return front


def _candidate(result: ShrinkResult, candidate: TrainedCandidate, floors: Floors) -> PageNetwork:
    trial, outcome = candidate.trial, candidate.outcome
    model = shipped(result.data, trial.spec, outcome.weights)
    return PageNetwork(
        quantized=as_quantized(model),
        trial=trial,
        outcome=outcome,
        stage=candidate.stage,
        sizes=sizes_of(trial.spec, outcome.parameters, result.data.input_shape),
        holds=floors.highest(trial, outcome),
        confusion=_confusion(
            result, lambda split: classify_in_units(result.context, trial.spec, outcome.weights, split, THREADS)
        ),
    )


def _file(result: ShrinkResult, file: FileCandidate, floors: Floors) -> PageNetwork:
    quantized, weights = file.quantized, flat_weights(file.quantized)
    sizes = sizes_of(quantized.spec, file.outcome.parameters, result.data.input_shape)
    return PageNetwork(
        quantized=quantized,
        trial=file.filed,
        outcome=file.outcome,
        stage=file.stage,
        sizes=sizes | {"bytes": file.file_bytes},
        holds=floors.highest(file.filed, file.outcome),
        confusion=_confusion(result, lambda split: classify(result.context, quantized.spec, weights, split, THREADS)),
    )


def _confusion(result: ShrinkResult, logits_of: Callable[[Split], npt.NDArray[np.float32]]) -> npt.NDArray[np.int64]:
    """Count the validation images by true and predicted class."""
    classes = result.data.classes
    counts = np.zeros(classes * classes, np.int64)
    for half in HALVES:
        split = result.data.splits[half]
        pairs = split.labels.astype(np.int64) * classes + logits_of(split).argmax(axis=1)
        counts += np.bincount(pairs, minlength=classes * classes)
    return counts.reshape(classes, classes)


# --- which floors they hold -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Floors:
    """Says which floors a network holds, by the rule of a run.

    Attributes:
        result: The result of the run.
    """

    result: ShrinkResult
    _judges: dict[int, Judge | None] = field(default_factory=dict, repr=False)

    def highest(self, trial: Trial, outcome: Outcome) -> float:
        """Return the highest floor that a network holds on both halves, in hundredths of a point; 0 for none."""
        low, high = 0, FLOOR_STEPS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._holds(trial, outcome, middle) else (low, middle)
        return low / FLOOR_STEPS

    def _holds(self, trial: Trial, outcome: Outcome, step: int) -> bool:
        if step not in self._judges:
            self._judges[step] = self._judge(step)
        judge = self._judges[step]
        return judge is not None and all(judge.is_met(trial, outcome, half) for half in HALVES)

    def _judge(self, step: int) -> Judge | None:
        """Return the judge of a floor; None if the validation split is too small to show it."""
        target = Target(step / FLOOR_STEPS, rule=self.result.floor.rule)
        try:
            requirement = Requirement.of(replace(self.result.goal, target=target), self.result.data)
        except RequestError:
            return None
        return Judge(requirement, self.result.context)
