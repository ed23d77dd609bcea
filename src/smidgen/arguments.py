"""Arguments of the public functions -> what the search takes: a goal, data, a teacher, a store, workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy.typing as npt

from smidgen.data import (
    NAMES,
    NO_OPTIONS,
    Dataset,
    ReadOptions,
    facts_of,
    from_arrays,
    load_with,
    usual_copies,
    with_copies,
)
from smidgen.errors import RequestError
from smidgen.model import Model, open_model
from smidgen.records import OPTIMIZERS, RULES, Recipe
from smidgen.reporter import Reporter, SilentReporter
from smidgen.search.goal import Goal, Limits, Target
from smidgen.search.planning import Budget
from smidgen.teacher import Teacher
from smidgen.text_forms import accuracy, optional_whole, path_of, points, shortened, whole_number
from smidgen.trials.dask_pool import connect
from smidgen.trials.store import Store, open_store
from smidgen.trials.workers import Pool, default_workers

Data = str | Path | Dataset | tuple[npt.ArrayLike, npt.ArrayLike]
"""A published name, the path of a file or folder, a data set, or arrays (X, y)."""

ONE_OPTIMIZER_EPOCHS = 12
"""Epochs of a sweep whose optimizer is given and whose number of epochs is not."""


# --- what is asked ----------------------------------------------------------------------------


def goal_of(
    floor: float | str | None,
    within: float | str | None,
    limits: Mapping[str, int | str | None],
    *,
    rule: str = "wilson",
    balanced: bool = False,
    class_floor: float | str | None = None,
    form: str | None = None,
) -> Goal:
    """The goal that the options describe.

    `limits` holds "bytes", "params", "macs", "ram", "flash" and "instructions", None without a limit.

    Raises:
        RequestError: nothing is asked for, or a value cannot be.
    """
    if rule not in RULES:
        raise RequestError(f"rule='{rule}' is not known; use one of {', '.join(RULES)}")
    most = {name: optional_whole(limit, name, "leave it out for no limit") for name, limit in limits.items()}
    highest = Limits(
        file_bytes=most.get("bytes"),
        parameters=most.get("params"),
        macs=most.get("macs"),
        ram_bytes=most.get("ram"),
        flash_bytes=most.get("flash"),
        instructions=most.get("instructions"),
        form=form or "",
    )
    if floor is None and within is None and not highest:
        options = ", ".join(f"--{name}" for name in limits)
        raise RequestError(f"nothing is asked for; give --floor 0.97, --within 0.5% or a limit ({options})")
    if rule != "wilson" and floor is None and within is None:
        raise RequestError(
            f"rule='{rule}' says how an accuracy is met, and none is given; add for example --floor 0.97"
        )
    target = None
    if floor is not None or within is not None:
        target = Target(None if floor is None else accuracy(floor), None if within is None else points(within), rule)
    lowest = 0.0 if class_floor is None else accuracy(class_floor, "class_floor")
    return Goal(target, highest, balanced, lowest)


def budget_of(minutes: float | str | None, work: float | str | None, effort: object) -> Budget:
    """The budget that the options describe.

    Raises:
        RequestError: two budgets, a budget beside an effort, or a value that is not a number above 0.
    """
    budget = Budget(_number(minutes, "minutes"), _number(work, "work"))
    if budget and effort != "normal":
        raise RequestError(f"effort={shortened(repr(effort))} and a budget exclude each other; give one of them")
    return budget


def _number(value: float | str | None, name: str) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise RequestError(f"{name}={shortened(repr(value))} is not a number; give for example 5") from None


def seed_of(value: int | str) -> int:
    """The seed of a search.

    Raises:
        RequestError: it is not a whole number of at least 0.
    """
    return whole_number(value, "seed", "leave it out for 0", least=0)


def workers_of(value: int | str | None) -> int | None:
    """How many trainings run at once; None uses every CPU.

    Raises:
        RequestError: it is not a whole number of at least 1.
    """
    return optional_whole(value, "workers", "leave it out to use every CPU")


# --- data and teachers ------------------------------------------------------------------------


def check_data(data: object) -> None:
    """Check that the data is of a kind that `dataset` reads.

    Raises:
        RequestError: it is an array without its labels, or something else.
    """
    if isinstance(data, str | Path | Dataset) or (isinstance(data, tuple) and len(data) == 2):
        return
    if isinstance(data, tuple | list) or hasattr(data, "shape"):
        raise RequestError("give arrays as one pair: shrink((X, y), floor=0.97)")
    raise RequestError(
        f"data={shortened(data)} is not data; give a published name as 'mnist', a path, a Dataset or arrays (X, y)"
    )


def dataset(
    data: Data,
    *,
    split_seed: int = 0,
    reading: ReadOptions = NO_OPTIONS,
    copies: int | None = 1,
    reporter: Reporter | None = None,
) -> Dataset:
    """Read, split and augment the data that a caller names or hands over, and say how it was understood.

    Without a number of `copies` there are several where the training images are few.

    Raises:
        DataError: it cannot be found, read or used. RequestError: an option that does not apply to such data.
    """
    check_data(data)
    split_seed = whole_number(split_seed, "split_seed", "leave it out for 0", least=0)
    copies = optional_whole(copies, "copies", "give 1 for the images as they are")
    for_arrays = ReadOptions(layout=reading.layout)
    if not isinstance(data, str | Path) and reading != (for_arrays if isinstance(data, tuple) else NO_OPTIONS):
        raise RequestError(f"{reading.given} is for files and folders; leave it out, or give a path")
    if isinstance(data, Dataset):
        if split_seed not in (0, data.split_seed):
            raise RequestError(f"{data.name} is split already, by split_seed={data.split_seed}; leave split_seed out")
        found = data
    elif isinstance(data, tuple):
        found = from_arrays(*data, split_seed=split_seed, layout=reading.layout)
    else:
        found = load_with(data, reading, split_seed, reporter=reporter)
    say = (reporter or SilentReporter()).say
    for line in facts_of(found):
        say(line)
    usual = usual_copies(found) if copies is None else copies
    if copies is None and usual > 1:
        say(
            f"{len(found.train):,} training images are few: {usual} copies of each, moved a little; --copies 1 has none"
        )
    return with_copies(found, usual, default_workers())


def optional_dataset(
    data: Data | None, *, split_seed: int, reading: ReadOptions, reporter: Reporter | None
) -> Dataset | None:
    """The data that something is compared on, as `dataset` reads it; None where none is given.

    Raises:
        RequestError: an option says how data is read, and none is given.
    """
    if data is None and reading != NO_OPTIONS:
        raise RequestError(f"{reading.given} says how data is read, and there is none; give --data")
    return None if data is None else dataset(data, split_seed=split_seed, reading=reading, reporter=reporter)


def data_stem(data: Data) -> str:
    """The name of the data in the name of a folder: "mnist", "photos"."""
    if isinstance(data, tuple):
        return "arrays"
    return data.name if isinstance(data, Dataset) else Path(data).stem


def teacher_of(
    source: object, weights: str | Path | None, logits: str | Path | None, input_format: str
) -> Teacher | None:
    """The teacher that the four options describe; None where they are not given.

    Raises:
        RequestError: two teachers, or a part of one without it.
    """
    if source is not None and logits is not None:
        raise RequestError("--teacher and --teacher-logits are two teachers; give one of them")
    if isinstance(source, Teacher) and (weights is not None or input_format):
        raise RequestError("a Teacher has its weights and its input format; leave --weights and --teacher-input out")
    if logits is not None and path_of(logits, "teacher_logits").suffix != ".npy":
        raise RequestError(
            f"--teacher-logits {logits} is not a .npy file; write an array [images, classes] with numpy.save"
        )
    if source is None and logits is None:
        if weights is not None or input_format:
            raise RequestError("--weights and --teacher-input belong to a teacher; give --teacher")
        return None
    weights = None if weights is None else path_of(weights, "weights")
    return (
        source if isinstance(source, Teacher) else Teacher((logits and Path(logits)) or source, weights, input_format)
    )


def model_teacher(source: object, file: Path | None, reporter: Reporter) -> object:
    """The teacher of a network to compress: a network file of ours, another teacher, or teacher.safetensors beside it.

    Returns:
        A `Model`, a teacher, or None: the network teaches itself.
    """
    beside = None if file is None else file.with_name("teacher.safetensors")
    if source is None and beside is not None and beside.is_file():
        reporter.say(f"learning from {beside}")
        return open_model(beside)
    if isinstance(source, str | Path) and str(source).endswith((".safetensors", ".smidgen")):
        return open_model(Path(source))
    return source


def data_of(model: Model, name: str) -> str:
    """The name of the data that a network's file says it was trained on.

    Raises:
        RequestError: the file does not say it.
    """
    data = model.metadata.get("data")
    if not data:
        raise RequestError(f"{name} does not say which data it was trained on; give --data")
    if data not in NAMES and not Path(data).exists():
        raise RequestError(f"{name} says that it was trained on '{data}'; give the data's path as --data PATH")
    return data


def recipe_of(optimizer: str | None, epochs: int | None) -> Recipe | None:
    """One recipe for all sizes of a sweep; None leaves each size its own."""
    epochs = optional_whole(epochs, "epochs", "leave it out for the number that the recipe says")
    if optimizer is None:
        return None if epochs is None else Recipe(epochs=epochs, learning_rate=0.01)
    rate = OPTIMIZERS[optimizer].learning_rate if optimizer in OPTIMIZERS else 1.0
    return Recipe(optimizer=optimizer, learning_rate=rate, schedule="constant", epochs=epochs or ONE_OPTIMIZER_EPOCHS)


# --- where things are -------------------------------------------------------------------------


@contextmanager
def opened(store: Store | str | Path | None) -> Iterator[Store]:
    """Open the store, and close it at the end; a `Store` stays open, because it is the caller's."""
    if store is not None and not isinstance(store, Store | str | Path):
        raise RequestError(f"store={shortened(store)} is not a store; give a path, a database URL or a Store")
    with open_store(store) as ready:
        yield ready


@contextmanager
def connected(cluster: Pool | str | None) -> Iterator[Pool | None]:
    """Connect to the workers of a cluster; None are threads of this process."""
    if not isinstance(cluster, Pool | str | None):
        raise RequestError(f"cluster={shortened(cluster)} is not a cluster; give an address, 'local:4' or a Pool")
    if not isinstance(cluster, str):
        yield cluster
        return
    with connect(cluster) as pool:
        yield pool


def writable(folder: Path) -> Path:
    """Check before minutes of training that the results can be written.

    Raises:
        RequestError: they cannot.
    """
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise RequestError(
            f"cannot write to {folder}: {nearest} is not a folder that you may write to; give another --out"
        )
    return folder
