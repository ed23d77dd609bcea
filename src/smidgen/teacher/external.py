"""A teacher of the user's own, run once over the images: its logits, its scores, and what was found out about it.

Logits are computed in parts of `PART_IMAGES` and kept in the store as they come, under the digest of the
teacher's files, the way its input is made and the digest of the data: a run that is stopped goes on at the
part where it was. An object in memory has no file to be known by, and is run anew.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset, Split
from smidgen.errors import TeacherError
from smidgen.records import Outcome, Score, Trial
from smidgen.reporter import Reporter, SilentReporter
from smidgen.teacher.input_format import TeacherInputFormat, input_formats
from smidgen.teacher.loaders import Network, open_network
from smidgen.teacher.logits import PROBABILITIES, Logits, kind_of, to_logits
from smidgen.trials.store import Store

PART_IMAGES = 4_096
BATCH_IMAGES = 128
FIRST_SAMPLE_IMAGES, FIRST_MARGIN, SAMPLE_IMAGES = 200, 0.05, 2_000
"""Images on which all ways to make a teacher's input are tried; how far behind the best a way may be there to be
tried on more; how many those are."""

LONG_SECONDS = 10.0
"""From so many on, it is said before how long a teacher will take."""

CHANCE_ERRORS = 4.0
"""Standard errors above the share of the commonest class that any real teacher has."""


@dataclass(frozen=True)
class Teacher:
    """What the user brings to be imitated.

    source: a file (.onnx, .keras, module.py:factory, or .npy for logits), an array of logits, a torch module, a
        Keras model, a fitted scikit-learn classifier, or a function of a batch
    weights: of module.py:factory: .safetensors or .pt
    input: how it wants its images, as "nhwc 0..1"; what is left out is found (`smidgen.teacher.input_format`)
    """

    source: object
    weights: Path | None = None
    input: str = ""


@dataclass(frozen=True, eq=False)
class TeacherOutputs:
    """A teacher at work.

    key: what it is known by in the trials that learn from it
    name: its network text, or what it was brought as
    parameters: 0 where they are not known
    logits: float32 [n, classes], row i for image i of the training split
    halves: its scores on "selection" and "confirmation", the halves of the validation split
    test: asked for once, after everything was chosen; None where it cannot be known
    notes: what was found out about it and what to beware of, a sentence each
    trial, outcome: of a network that was trained here; None for one that was brought
    """

    key: str
    name: str
    parameters: int
    logits: Logits = field(repr=False)
    halves: Mapping[str, Score]
    test: Callable[[], Score | None] = field(repr=False)
    notes: tuple[str, ...] = ()
    trial: Trial | None = None
    outcome: Outcome | None = field(default=None, repr=False)

    @property
    def validation(self) -> Score:
        return sum(self.halves.values(), Score(0, 0))


def run_teacher(store: Store, data: Dataset, teacher: Teacher, reporter: Reporter) -> TeacherOutputs:
    """The teacher's logits on the training split and its score on the validation split.

    reporter: told how many images were done, of `len(data.train)` and both halves of the validation split

    Raises:
        TeacherError: it cannot be read, does not fit the data, or is right no more often than by chance.
    """
    source = teacher.source
    if isinstance(source, np.ndarray) or (isinstance(source, str | Path) and Path(source).suffix == ".npy"):
        return _from_logits(source, data)
    network = open_network(source, teacher.weights, data.class_names)
    running = _find_input(network, teacher.input, data)
    work = _Work(store, data, running, reporter)
    taught = _taught(work.logits, data, running.name, network.parameters, running.notes)
    work.reporter = SilentReporter()  # the test images come later, in the middle of another stage
    return taught


# --- logits that were computed elsewhere --------------------------------------------------------


def _from_logits(source: np.ndarray[Any, Any] | str | Path, data: Dataset) -> TeacherOutputs:
    """Row i belongs to image i of the data as it came, before it was cut into splits; its test images come last."""
    name = "the logits" if isinstance(source, np.ndarray) else Path(source).name
    array = source if isinstance(source, np.ndarray) else _read_logits(Path(source).expanduser())
    total, tests = data.total_images, data.own_test_images
    if array.ndim != 2 or len(array) not in (total, total - tests):
        wanted = f"{total:,}" + (f", or {total - tests:,} without those of the test images" if tests else "")
        raise TeacherError(
            f"{name}: shape {array.shape}, and {data.name} has {total:,} images; give an array of {wanted} rows, in "
            "the order of the data as it came"
        )
    kind = kind_of(array, data.classes, name)
    logits = to_logits(array, kind, name)

    def of(split: str) -> Logits | None:
        rows = getattr(data, split).rows
        return None if len(rows) and rows.max() >= len(logits) else logits[rows]

    return _taught(of, data, name, 0, _softmax_note(kind, name))


def _read_logits(path: Path) -> npt.NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError:
        raise TeacherError(f"no logits at {path}; give a .npy file") from None
    except (ValueError, EOFError, OSError) as error:
        raise TeacherError(
            f"{path} cannot be read as logits: {error}; write an array of numbers [images, classes] with numpy.save "
            "(a file with Python objects in it is refused, for it can hold code)"
        ) from error


# --- networks -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Running:
    """A network of which the input and the kind of its outputs are known."""

    network: Network
    way: TeacherInputFormat
    kind: str
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.network.name

    def logits(self, images: npt.NDArray[Any], first_image: int = 0) -> Logits:
        return to_logits(_outputs(self.network, self.way(images)), self.kind, self.name, first_image)


def _outputs(network: Network, batch: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """One batch; a network that takes one number of images alone is given so many at a time."""
    size = network.batch_size
    if not size:
        return np.asarray(network.run(batch))
    pieces = []
    for start in range(0, len(batch), size):
        piece = batch[start : start + size]
        filled = np.concatenate([piece, np.repeat(piece[-1:], size - len(piece), axis=0)])
        pieces.append(np.asarray(network.run(filled))[: len(piece)])
    return np.concatenate(pieces)


def _find_input(network: Network, text: str, data: Dataset) -> _Running:
    """The way to make its input that makes it right most often on a sample of the training split.

    Of ways that cannot be told apart it is the first of the table, which is the commonest. The loss has no say: a
    range that is too wide makes a network surer, and its loss on what it knows lower.
    """
    failures: list[str] = []
    open_ways = input_formats(text, data.train, network.input_shape, network.name)
    found = [running for way in open_ways if (running := _try(network, way, data, failures))]
    if not found:
        raise TeacherError(
            f"{network.name} fails on the data's images in every layout; {failures[0]}; give a teacher for images of "
            f"{'x'.join(map(str, data.input_shape))}, or the data in its size (--resize)"
        )
    first = [_right(running, _sample(data, FIRST_SAMPLE_IMAGES)) for running in found]
    most = max(right.mean() for right in first)
    left = [running for running, right in zip(found, first, strict=True) if right.mean() >= most - FIRST_MARGIN]
    rights = [_right(running, _sample(data, SAMPLE_IMAGES)) for running in left]
    best = max(rights, key=np.sum)
    equal = [place for place, right in enumerate(rights) if not _surely_better(best, right)]
    running, score = left[equal[0]], Score(int(rights[equal[0]].sum()), len(best))
    how = f"found by trying {len(open_ways)} ways" if len(open_ways) > 1 else "as it was given"
    if len(equal) > 1:
        how += f"; '{left[equal[1]].way}' does as well: name the right one by --teacher-input"
    note = f"{running.name} takes its images as '{running.way}': {score} of a sample of the training images; {how}"
    return replace(running, notes=(note, *_softmax_note(running.kind, running.name)))


def _surely_better(best: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> bool:
    """Whether one is right more often than the other by more than a standard error of where they differ."""
    return bool(int(best.sum()) - int(other.sum()) > float((best != other).sum()) ** 0.5)


def _try(network: Network, way: TeacherInputFormat, data: Dataset, failures: list[str]) -> _Running | None:
    """The network fed in this way, and what its outputs are; None where it fails, which `failures` then says."""
    try:
        outputs = _outputs(network, way(_sample(data, FIRST_SAMPLE_IMAGES).images))
    except Exception as error:  # a network that is given another shape than its own may raise anything
        failures.append(f"{way}: {(str(error).strip() or type(error).__name__).splitlines()[0][:160]}")
        return None
    return _Running(network, way, kind_of(outputs, data.classes, network.name))


def _sample(data: Dataset, count: int) -> Split:
    """So many images, evenly spaced over the training split, which may be sorted by class."""
    rows = np.linspace(0, len(data.train) - 1, min(count, len(data.train)), dtype=np.int64)
    return Split(data.train.images[rows], data.train.labels[rows])


def _right(running: _Running, sample: Split) -> npt.NDArray[np.bool_]:
    """Which images of the sample it classifies right: bool [n]."""
    logits = np.concatenate([running.logits(batch) for batch in _batches(sample.images)])
    return np.asarray(logits.argmax(axis=1) == sample.labels)


def _softmax_note(kind: str, name: str) -> tuple[str, ...]:
    if kind != PROBABILITIES:
        return ()
    return (f"warning: {name} gives probabilities and not logits; their logarithms are used, which float32 cuts off",)


def _batches(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return [images[start : start + BATCH_IMAGES] for start in range(0, len(images), BATCH_IMAGES)]


class _Work:
    """Runs a network over the splits, part by part; what the store has is not computed again."""

    def __init__(self, store: Store, data: Dataset, running: _Running, reporter: Reporter) -> None:
        self.store, self.data, self.running, self.reporter = store, data, running, reporter
        self.told, self.kept = False, 0

    def logits(self, split: str) -> Logits:
        """float32 [n, classes] for a split by its name."""
        images = getattr(self.data, split).images
        starts = range(0, len(images), PART_IMAGES)
        parts = [self._part(split, start, images[start : start + PART_IMAGES]) for start in starts]
        return np.concatenate([np.zeros((0, self.data.classes), np.float32), *parts])

    def _part(self, split: str, start: int, images: npt.NDArray[Any]) -> Logits:
        running = self.running
        key = f"{running.network.digest} {running.way} {running.kind} {self.data.digest} {split} {start}"
        kept = self.store.get_array(key) if running.network.digest else None
        if kept is not None:
            self.kept += len(images)
            self.reporter.advance(len(images))
            return kept
        pieces: list[Logits] = []
        for batch in _batches(images):
            began = time.perf_counter()
            pieces.append(running.logits(batch, start + BATCH_IMAGES * len(pieces)))
            self._say_how_long((time.perf_counter() - began) / len(batch))
            self.reporter.advance(len(batch))
        logits = np.concatenate(pieces)
        if running.network.digest:
            self.store.put_array(key, logits)
        return logits

    def _say_how_long(self, image_seconds: float) -> None:
        """Once, after the first batch that is not in the store yet."""
        left = len(self.data.train) + len(self.data.selection) + len(self.data.confirmation) - self.kept
        if not self.told and image_seconds * left > LONG_SECONDS:
            size = f"{self.running.network.parameters:,} parameters" if self.running.network.parameters else "it"
            self.reporter.say(
                f"{self.running.name}: {size}, about {image_seconds * left / 60:.1f} minutes for the {left:,} images "
                f"left; kept in parts of {PART_IMAGES:,}, so it may be stopped and goes on from there"
            )
        self.told = True


# --- what both have in common -------------------------------------------------------------------


def _taught(
    logits_of: Callable[[str], Logits | None], data: Dataset, name: str, parameters: int, notes: tuple[str, ...]
) -> TeacherOutputs:
    logits = logits_of("train")
    selection, confirmation = logits_of("selection"), logits_of("confirmation")
    assert logits is not None and selection is not None and confirmation is not None, "they are cut from training data"
    own = _score(logits, data.train.labels)
    _check_above_chance(logits, data, own, name)
    halves = {
        "selection": _score(selection, data.selection.labels),
        "confirmation": _score(confirmation, data.confirmation.labels),
    }

    def test() -> Score | None:
        tested = logits_of("test")
        return None if tested is None else _score(tested, data.test.labels)

    whole = sum(halves.values(), Score(0, 0))
    right = f"{name} is right on {own} of the training images and {whole} of the validation images"
    key = "logits " + hashlib.sha256(logits.tobytes()).hexdigest()
    return TeacherOutputs(key, name, parameters, logits, halves, test, (*notes, right))


def _score(logits: Logits, labels: npt.NDArray[np.int32]) -> Score:
    return Score(int((logits.argmax(axis=1) == labels).sum()), len(labels))


def _check_above_chance(logits: Logits, data: Dataset, own: Score, name: str) -> None:
    """A teacher that knows nothing of these images was given them in another order, or knows other classes."""
    counts = np.bincount(data.train.labels, minlength=data.classes)
    chance = float(counts.max() / counts.sum())
    if own.rate > chance + CHANCE_ERRORS * (chance * (1 - chance) / own.total) ** 0.5:
        return
    raise TeacherError(
        f"{name} is right on {own} of the training images, and naming the commonest class every time is right on "
        f"{100 * chance:.2f} %: {_order_hint(logits, data)}"
    )


def _order_hint(logits: Logits, data: Dataset) -> str:
    """Whether its classes stand in another order, which a table of its answers against the labels shows."""
    table = np.zeros((data.classes, data.classes), np.int64)
    np.add.at(table, (logits.argmax(axis=1), data.train.labels), 1)
    order = table.argmax(axis=1)
    right = int(table.max(axis=1).sum())
    if len(set(order.tolist())) == data.classes and right > 0.5 * table.sum():
        names = ", ".join(data.class_names[place] for place in order[:8])
        return (
            f"its classes stand in another order, as it seems {names}; with that it would be right on "
            f"{100 * right / table.sum():.1f} %. Put its outputs in the order of the data's classes"
        )
    return (
        "its rows are not in the order of the images, or it was trained on other data or another input; check the "
        "order of the rows, the classes and --teacher-input"
    )
