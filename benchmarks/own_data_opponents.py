"""What a good engineer would try by hand on the sets of `own_data_sets.py`, at several sizes.

Each opponent is trained on the same training split, in the same scaled values, and gives its size as the count of the
numbers that it keeps: weights and biases of a network; a feature and a threshold for each split of a tree and a class
for each leaf. What scales the values is not counted for an opponent.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset
from smidgen.records import Score

if TYPE_CHECKING:
    import torch
    from torch import nn

Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]

HIDDEN = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
CHANNELS = (1, 2, 3, 4, 6, 8, 12)
LEAVES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
STEPS, MOST_EPOCHS, LEAST_EPOCHS, BATCH = 3_000, 200, 8, 64
MANY_IMAGES = 20_000
"""From here on each size is trained once, and only every second size."""
INT16_SCALE, FOREST_ROWS, FOREST_FEATURES = 1_000, 1_000, 100
"""Standardised values of a forest in emlearn's 16-bit integers; rows, and columns, that its program reads; for longer
rows scikit-learn's forest, whose thresholds are the same, gives the answers."""


@dataclass(frozen=True)
class Fit:
    """One trained opponent: its family, its setting, its numbers, and its scores."""

    family: str
    setting: str
    parameters: int
    selection: Score
    confirmation: Score
    test: Score
    seconds: float

    def holds(self, floor: float) -> bool:
        """Whether the plain rate of each validation half reaches the floor: the rule that Smidgen is given too."""
        return min(self.selection.rate, self.confirmation.rate) >= floor

    @property
    def validation(self) -> Score:
        """The score on both halves."""
        return self.selection + self.confirmation


def chosen(fits: list[Fit], floor: float) -> Fit:
    """The smallest that holds the floor; where none does, the most accurate on validation."""
    holding = [fit for fit in fits if fit.holds(floor)]
    if holding:
        return min(holding, key=lambda fit: (fit.parameters, -fit.validation.rate))
    return max(fits, key=lambda fit: fit.validation.rate)


def all_fits(data: Dataset, kind: str) -> Iterator[Fit]:
    """Train every opponent on the data; `kind` is "signal", "table" or "picture"."""
    for family in (_logistic, _trees, _forests, _perceptrons):
        yield from family(data)
    if kind != "table":
        yield from _convolutional(data, kind)


def values(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The values that a network reads: bytes divided by 255."""
    return (images / np.float32(255) if images.dtype == np.uint8 else images).astype(np.float32)


def _fit(data: Dataset, family: str, setting: str, began: float, parameters: int, predict: Predict) -> Fit:
    seconds = time.perf_counter() - began
    splits = (data.selection, data.confirmation, data.test)
    with np.errstate(all="ignore"):  # emlearn lets underflows be errors, for all others too
        right = [int((predict(values(split.images)) == split.labels).sum()) for split in splits]
    selection, confirmation, test = (Score(count, len(split)) for count, split in zip(right, splits, strict=True))
    return Fit(family, setting, parameters, selection, confirmation, test, seconds)


def _flat(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return images.reshape(len(images), -1)


def _is_large(data: Dataset) -> bool:
    return len(data.train) > MANY_IMAGES


# --- scikit-learn and emlearn -----------------------------------------------------------------


def _logistic(data: Dataset) -> Iterator[Fit]:
    from sklearn.linear_model import LogisticRegression

    X, y = _flat(values(data.train.images)), data.train.labels
    for strength in (1.0,) if _is_large(data) else (0.001, 0.01, 0.1, 1.0, 10.0):
        began = time.perf_counter()
        model = LogisticRegression(C=strength, max_iter=60 if _is_large(data) else 2_000)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            model.fit(X, y)
        numbers = model.coef_.size + model.intercept_.size
        yield _fit(data, "logistic regression", f"C={strength:g}", began, numbers, _flat_predict(model))


def _tree_numbers(trees: list[Any]) -> int:
    return sum(2 * int((tree.children_left >= 0).sum()) + int((tree.children_left < 0).sum()) for tree in trees)


def _trees(data: Dataset) -> Iterator[Fit]:
    from sklearn.tree import DecisionTreeClassifier

    X, y = _flat(values(data.train.images)), data.train.labels
    for leaves in LEAVES:
        began = time.perf_counter()
        model = DecisionTreeClassifier(max_leaf_nodes=max(leaves, 2), random_state=0).fit(X, y)
        yield _fit(data, "tree", f"{leaves} leaves", began, _tree_numbers([model.tree_]), _flat_predict(model))


def _forests(data: Dataset) -> Iterator[Fit]:
    """Random forests as emlearn converts them: 16-bit thresholds and shared leaves; none where it is not installed."""
    if find_spec("emlearn") is None:
        return
    emlearn: Any = import_module("emlearn")
    from sklearn.ensemble import RandomForestClassifier

    X, y = _integers(values(data.train.images)), data.train.labels
    for trees, leaves in ((3, 4), (3, 8), (5, 8), (5, 16), (10, 16), (10, 32), (20, 32)):
        began = time.perf_counter()
        model = RandomForestClassifier(trees, max_leaf_nodes=leaves, random_state=0).fit(X, y)
        with TemporaryDirectory() as folder, chdir(folder):  # it compiles the forest in the current folder
            converted = emlearn.convert(model, method="inline", dtype="int16_t")
            nodes, _, kept = converted.forest_
            numbers = 2 * len(nodes) + len(kept)
            predict = partial(_forest_predict, converted if X.shape[1] <= FOREST_FEATURES else model)
            yield _fit(data, "emlearn forest", f"{trees} trees of {leaves}", began, numbers, predict)


def _integers(images: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Values as 16-bit integers, which is what emlearn's thresholds are."""
    return np.clip(np.rint(_flat(images) * INT16_SCALE), -32_768, 32_767).astype(np.int64)


def _forest_predict(model: Any, images: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Run the compiled program, which reads its inputs from a file of text, in parts."""
    rows = _integers(images)
    return np.concatenate(
        [model.predict(rows[first : first + FOREST_ROWS]) for first in range(0, len(rows), FOREST_ROWS)]
    )


def _flat_predict(model: Any) -> Predict:
    return lambda images: np.asarray(model.predict(_flat(images)))


def _epochs(data: Dataset) -> int:
    return int(np.clip(STEPS // -(-len(data.train) // BATCH), LEAST_EPOCHS, MOST_EPOCHS))


def _perceptrons(data: Dataset) -> Iterator[Fit]:
    from sklearn.neural_network import MLPClassifier

    X, y = _flat(values(data.train.images)), data.train.labels
    for units in HIDDEN[1::2] if _is_large(data) else HIDDEN:
        for seed in range(1 if _is_large(data) else 3):
            began = time.perf_counter()
            model = MLPClassifier(
                (units,),
                batch_size=min(BATCH, len(y)),
                learning_rate_init=0.01,
                max_iter=_epochs(data),
                random_state=seed,
            )
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                model.fit(X, y)
            numbers = sum(each.size for each in (*model.coefs_, *model.intercepts_))
            yield _fit(data, "MLP", f"{units} units, seed {seed}", began, numbers, _flat_predict(model))


# --- torch ------------------------------------------------------------------------------------


def _convolutional(data: Dataset, kind: str) -> Iterator[Fit]:
    import torch

    torch.set_num_threads(1)
    for channels in CHANNELS[1::2] if _is_large(data) else CHANNELS:
        for name, build in _DESIGNS[kind].items():
            for seed in range(1 if _is_large(data) else 2):
                began = time.perf_counter()
                torch.manual_seed(seed)
                module = _trained(build(data.input_shape, channels, data.classes), data)
                numbers = sum(weight.numel() for weight in module.parameters())
                setting = f"{name}, {channels} channels, seed {seed}"
                yield _fit(data, "torch CNN", setting, began, numbers, partial(_torch_predict, module))


def _torch_predict(module: nn.Module, images: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    import torch

    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(images)).argmax(1))


def _trained(module: nn.Module, data: Dataset) -> nn.Module:
    """Train by Adam on a one-cycle schedule."""
    import torch
    from torch.nn.functional import cross_entropy

    X, y = torch.from_numpy(values(data.train.images)), torch.from_numpy(data.train.labels.astype(np.int64))
    steps = _epochs(data) * -(-len(X) // BATCH)
    optimizer = torch.optim.Adam(module.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=steps)
    for _ in range(_epochs(data)):
        for rows in torch.randperm(len(X)).split(BATCH):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            cross_entropy(module(X[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return module.eval()


def _two_in_time(shape: tuple[int, ...], channels: int, classes: int) -> nn.Module:
    """Two convolutions along time with a pool between them, then the mean over time."""
    from torch import nn

    kernel = (1, 7) if shape[2] >= 64 else (1, 5)
    return nn.Sequential(
        nn.Conv2d(shape[0], channels, kernel), nn.ReLU(), nn.MaxPool2d((1, 2)),
        nn.Conv2d(channels, 2 * channels, kernel), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * channels, classes),
    )  # fmt: skip


def _one_in_time(shape: tuple[int, ...], channels: int, classes: int) -> nn.Module:
    """One convolution along time, then the mean."""
    from torch import nn

    convolution = nn.Conv2d(shape[0], 2 * channels, (1, 5))
    return nn.Sequential(
        convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * channels, classes)
    )


def _two_in_space(shape: tuple[int, ...], channels: int, classes: int) -> nn.Module:
    """Two convolutions with pools, then a dense layer on the whole map."""
    from torch import nn

    body = nn.Sequential(
        nn.Conv2d(shape[0], channels, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip
    return nn.Sequential(body, nn.Linear(_width(body, shape), classes))


def _pooled_space(shape: tuple[int, ...], channels: int, classes: int) -> nn.Module:
    """Two convolutions with a pool between them, then the mean over the map."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(shape[0], channels, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(channels, 2 * channels, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * channels, classes),
    )  # fmt: skip


def _width(body: nn.Module, shape: tuple[int, ...]) -> int:
    import torch

    with torch.no_grad():
        outputs: torch.Tensor = body(torch.zeros(1, *shape))
    return int(outputs.shape[1])


_DESIGNS: dict[str, dict[str, Callable[[tuple[int, ...], int, int], Any]]] = {
    "signal": {"two convolutions": _two_in_time, "one convolution": _one_in_time},
    "picture": {"two convolutions": _two_in_space, "and a mean": _pooled_space},
}
