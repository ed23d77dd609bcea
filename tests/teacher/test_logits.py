"""A teacher's outputs become logits: probabilities, logarithms, one output for two classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_teachers import outputs_of, prototypes

from smidgen.data import Dataset
from smidgen.engine import softmax
from smidgen.engine.losses import log_softmax
from smidgen.errors import TeacherError
from smidgen.teacher.logits import MIN_PROBABILITY, OutputKind, detect_kind, to_logits
from smidgen.trials.store import Store

ROWS = st.lists(st.lists(st.floats(-12, 12), min_size=3, max_size=3), min_size=2, max_size=5)


@given(ROWS)
def test_probabilities_become_logits_of_the_same_softmax(rows: list[list[float]]) -> None:
    logits = np.array(rows)
    shares = softmax(logits).astype(np.float32)
    assert detect_kind(shares, 3, "t") == OutputKind.PROBABILITIES
    found = to_logits(shares, OutputKind.PROBABILITIES, "t")
    np.testing.assert_allclose(softmax(found.astype(np.float64)), shares, atol=3 * MIN_PROBABILITY + 1e-6)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)


def test_a_probability_of_zero_is_a_finite_logit() -> None:
    found = to_logits(np.array([[1.0, 0.0, 0.0]]), OutputKind.PROBABILITIES, "t")
    np.testing.assert_allclose(found[0, 0] - found[0, 1], -np.log(MIN_PROBABILITY), rtol=1e-5)


def test_logits_and_logarithms_of_probabilities_stay_as_they_are() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 4))
    for outputs in (logits, log_softmax(logits)):
        assert detect_kind(outputs, 4, "t") == OutputKind.LOGITS
        np.testing.assert_array_equal(to_logits(outputs, OutputKind.LOGITS, "t"), outputs.astype(np.float32))


def test_one_output_for_two_classes() -> None:
    logits = np.array([[-3.0], [0.5], [2.0]])
    assert detect_kind(logits, 2, "t") == OutputKind.ONE_LOGIT
    shares = 1 / (1 + np.exp(-logits))
    assert detect_kind(shares, 2, "t") == OutputKind.ONE_PROBABILITY
    for outputs, kind in ((logits, OutputKind.ONE_LOGIT), (shares, OutputKind.ONE_PROBABILITY)):
        found = to_logits(outputs, kind, "t")
        np.testing.assert_allclose(found[:, 1] - found[:, 0], logits[:, 0], rtol=1e-5)


def test_a_softmax_is_said_and_undone(digits: Dataset, store: Store) -> None:
    run = prototypes(digits, "nchw 0..1")
    plain = outputs_of(store, digits, run)
    soft = outputs_of(store, digits, lambda batch: softmax(run(batch).astype(np.float64)))
    assert any(note.startswith("warning:") and "probabilities" in note for note in soft.notes)
    assert not any("warning" in note for note in plain.notes)
    assert soft.validation == plain.validation


def test_a_sigmoid_for_each_class_is_said_and_undone(digits: Dataset, store: Store) -> None:
    run = prototypes(digits, "nchw 0..1")
    outputs = outputs_of(store, digits, lambda batch: 1 / (1 + np.exp(-(run(batch) + 3))), input="nchw 0..1")
    wanted = outputs_of(store, digits, run, input="nchw 0..1")
    np.testing.assert_allclose(outputs.logits, wanted.logits + 3, atol=2e-3)
    assert "gives a probability for each class on its own (a sigmoid each)" in " ".join(outputs.notes)


def test_a_sigmoid_that_saturates_is_a_finite_logit_and_a_larger_number_is_none() -> None:
    kind = detect_kind(np.array([[0.0, 1.0, 1.0], [0.2, 0.3, 0.1]]), 3, "t")
    assert kind == OutputKind.SIGMOIDS
    assert np.abs(to_logits(np.array([[0.0, 1.0, 0.5]]), kind, "t")).tolist() == [
        pytest.approx([16.1, 16.1, 0], abs=0.1)
    ]
    with pytest.raises(TeacherError, match=r"numbers from 0 to 1 on a sample, .* others at example 41"):
        to_logits(np.array([[0.5, 0.5, 0.5], [0.5, 1.7, 0.5]]), kind, "t", first_image=40)
