"""A teacher of the user's own, run once over the images: its logits, its scores, and what was found out about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset
from smidgen.errors import TeacherError
from smidgen.reporter import Reporter, SilentReporter
from smidgen.teacher.class_order import class_order, order_note
from smidgen.teacher.fitting import fit_input
from smidgen.teacher.loaders import open_network
from smidgen.teacher.logits import Logits, detect_kind, kind_note, to_logits
from smidgen.teacher.outputs import TeacherOutputs, outputs_from_logits
from smidgen.teacher.running import SplitRunner
from smidgen.trials.store import Store


@dataclass(frozen=True)
class Teacher:
    """A network that candidates learn from.

    Attributes:
        source: A file (.onnx, .keras, .safetensors, .smidgen, module.py:factory, or .npy for logits), an array of
            logits, a torch module, a Keras model, a fitted scikit-learn classifier, or a function of a batch.
        weights: The weights of module.py:factory, .safetensors or .pt.
        input: The axes and the range of its input, such as "nhwc 0..1". What is left out is found by trying
            (`smidgen.teacher.input_format`).
    """

    source: object
    weights: Path | None = None
    input: str = ""


def run_teacher(store: Store, data: Dataset, teacher: Teacher, reporter: Reporter) -> TeacherOutputs:
    """Compute the teacher's logits on the training split and its score on the validation split.

    Args:
        store: Where logits are kept as they are computed, so that a stopped run continues where it was.
        data: The data set.
        teacher: The network, or its logits.
        reporter: It is told how many images are done, of the training split and both halves of the validation split.

    Raises:
        TeacherError: The teacher cannot be read, does not fit the data, or is no better than chance.
    """
    source = teacher.source
    if isinstance(source, np.ndarray) or (isinstance(source, str | Path) and Path(source).suffix == ".npy"):
        return _from_logits(source, data)
    network = open_network(source, teacher.weights, data.class_names)
    fitted = fit_input(network, teacher.input, data)
    runner = SplitRunner(store, data, fitted, reporter)
    outputs = outputs_from_logits(runner.logits, data, fitted.name, network.parameters, fitted.notes)
    runner.reporter = SilentReporter()  # the test images are run later, during another stage
    return outputs


# --- logits that were computed elsewhere --------------------------------------------------------


def _from_logits(source: np.ndarray[Any, Any] | str | Path, data: Dataset) -> TeacherOutputs:
    """Use row i for image i of the data before it was cut into splits; the images of a given test split come last."""
    name = "the array of logits" if isinstance(source, np.ndarray) else Path(source).name
    array = source if isinstance(source, np.ndarray) else _read_logits(Path(source).expanduser())
    total, tests = data.total_images, data.own_test_images
    if array.ndim != 2 or len(array) not in (total, total - tests):
        wanted = f"{total:,}" + (f", or {total - tests:,} without those of the test examples" if tests else "")
        raise TeacherError(
            f"{name}: shape {array.shape}, and {data.name} has {total:,} examples; give an array of {wanted} rows, in "
            "the order of the data as it came"
        )
    kind = detect_kind(array, data.classes, name)
    logits = to_logits(array, kind, name)
    train = data.train
    order = class_order(logits[train.rows], train.labels)
    logits = np.ascontiguousarray(logits[:, order]) if order else logits
    notes = (*order_note(order, data.class_names, name), *kind_note(kind, name))

    def logits_of(split: str) -> Logits | None:
        rows = data.splits[split].rows
        return None if len(rows) and rows.max() >= len(logits) else logits[rows]

    return outputs_from_logits(logits_of, data, name, 0, notes)


def _read_logits(path: Path) -> npt.NDArray[Any]:
    if not path.exists():
        raise TeacherError(f"no logits at {path}; give a .npy file")
    if not path.is_file():
        raise TeacherError(f"{path} is not a regular file; give a .npy file")
    try:
        # Mapped: a header that states more than the file has is then refused before memory is taken.
        return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r"))
    except Exception as error:  # a header is Python text, and NumPy passes on whatever its parsers raise
        raise TeacherError(
            f"cannot read {path} as logits: {error}; write an array of numbers [examples, classes] with numpy.save "
            "(a file with Python objects in it is refused, because it can contain code)"
        ) from error
