"""External teachers: networks that cannot be used, and logits that were computed elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_teachers import all_logits, outputs_of, prototypes

from smidgen.data import Dataset, from_arrays
from smidgen.errors import TeacherError
from smidgen.records import Score
from smidgen.trials.store import Store


def constant(digits: Dataset, value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda batch: np.full((len(batch), 10), value)


BAD_NETWORKS: dict[str, tuple[Callable[[Dataset], Any], str]] = {
    "other classes": (
        lambda data: lambda batch: batch.reshape(len(batch), -1)[:, :7],
        "gives 7 outputs an example and the data has 10",
    ),
    "NaN": (lambda data: constant(data, np.nan), "gives NaN or infinity for 128 of 128 examples, the first at 0"),
    "infinity": (lambda data: constant(data, np.inf), "NaN or infinity"),
    "nothing learned": (lambda data: constant(data, 0.0), "naming the commonest class every time is right on"),
    "fails": (
        lambda data: lambda batch: 1 / 0,
        "fails on the data's images in every input format; nchw 0..1: division by zero",
    ),
    "text": (lambda data: lambda batch: np.full((len(batch), 10), "a"), "a teacher must give numbers"),
    "no teacher": (lambda data: 7, "cannot use an int as a teacher; pass a file, a torch module"),
}


@pytest.mark.parametrize("case", BAD_NETWORKS)
def test_a_bad_network_is_refused(digits: Dataset, store: Store, case: str) -> None:
    make, message = BAD_NETWORKS[case]
    with pytest.raises(TeacherError, match=message):
        outputs_of(store, digits, make(digits))


def test_classes_in_another_order_are_put_right_and_said(digits: Dataset, store: Store) -> None:
    run, order = prototypes(digits, "nchw 0..1"), [3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    outputs = outputs_of(store, digits, lambda batch: run(batch)[:, order])
    wanted = outputs_of(store, digits, run)
    np.testing.assert_array_equal(outputs.logits, wanted.logits)
    said = " ".join(outputs.notes)
    assert "in another order than the data's classes: 3, 4, 5, 6, 7, 8, 9, 0, 1, 2" in said
    assert "another order" not in " ".join(wanted.notes)


def test_a_teacher_in_text_order_for_classes_0_to_10(store: Store) -> None:
    """Better than chance as it comes, since 0 and 1 are in place; its logits from a file likewise."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 11, 900)
    data = from_arrays(4 * np.eye(11)[y] + generator.normal(0, 0.5, (900, 11)), y)
    text_order = sorted(range(11), key=str)
    for source in (lambda batch: batch.reshape(len(batch), -1)[:, text_order], all_logits(data)[:, text_order]):
        outputs = outputs_of(store, data, source)
        assert outputs.validation.rate > 0.97
        assert "0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9 (sorted as text); it is put right" in " ".join(outputs.notes)


def test_each_image_has_the_row_of_its_place_in_the_data(digits: Dataset, store: Store, tmp_path: Path) -> None:
    rows = all_logits(digits)
    np.save(tmp_path / "logits.npy", rows)
    outputs = outputs_of(store, digits, tmp_path / "logits.npy")
    np.testing.assert_array_equal(outputs.logits, rows[digits.train.rows])
    assert outputs.validation.rate > 0.99
    test = outputs.test()
    assert test is not None and test == Score(
        int((rows[digits.test.rows].argmax(1) == digits.test.labels).sum()), len(digits.test)
    )
    assert outputs.parameters == 0
    assert outputs.key == outputs_of(store, digits, rows).key


def test_logits_without_those_of_a_test_split_that_came_with_the_data(store: Store) -> None:
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(300, 5)), generator.integers(0, 3, 300)
    data = from_arrays(X[:200], y[:200], test=(X[200:], y[200:]))
    assert (data.total_images, data.own_test_images) == (300, 100)
    rows = all_logits(data)
    assert outputs_of(store, data, rows[:200]).test() is None
    assert outputs_of(store, data, rows).test() is not None
    with pytest.raises(TeacherError, match="give an array of 300, or 200 without those of the test examples rows"):
        outputs_of(store, data, rows[:199])


def test_bad_logits_are_refused(digits: Dataset, store: Store, tmp_path: Path) -> None:
    rows = all_logits(digits)
    with pytest.raises(
        TeacherError, match=r"shape \(1000, 10\), and digits has 1,797 examples; give an array of 1,797 rows"
    ):
        outputs_of(store, digits, rows[:1000])
    with pytest.raises(TeacherError, match="gives 9 outputs an example and the data has 10 classes"):
        outputs_of(store, digits, rows[:, :9])
    with pytest.raises(TeacherError, match="its rows are not in the order of the images"):
        outputs_of(store, digits, np.random.default_rng(1).permutation(rows))
    rows[77, 3] = np.nan
    with pytest.raises(TeacherError, match="NaN or infinity for 1 of 1,797 examples, the first at 77"):
        outputs_of(store, digits, rows)
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}] * 1797), allow_pickle=True)
    with pytest.raises(TeacherError, match="a file with Python objects in it is refused"):
        outputs_of(store, digits, tmp_path / "objects.npy")
    with pytest.raises(TeacherError, match=r"no logits at .*gone\.npy"):
        outputs_of(store, digits, tmp_path / "gone.npy")
