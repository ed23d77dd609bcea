"""Networks, teacher and samples of the page are those of the run, and its floors those of the run's rule."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from hand_made_results import a_live_page, a_page
from smidgen.data import Dataset, from_arrays
from smidgen.model import encode, flat_weights, values_of
from smidgen.report.page import render
from smidgen.report.page_networks import PageNetwork, file_parts, page_networks
from smidgen.report.page_script import MODULES, page_json, program
from smidgen.report.page_teacher import page_teacher, tensor_bytes
from smidgen.report.samples import is_made_as_mnist, samples_of, value_ranges
from smidgen.report.view import PageView
from smidgen.search.goal import Goal, Target
from smidgen.search.judge import HALVES, Judge, Requirement
from smidgen.search.result import ShrinkResult
from smidgen.trials.evaluate import score

LOWEST = 0.8


@pytest.fixture(scope="module")
def networks(answer: ShrinkResult) -> tuple[PageNetwork, ...]:
    return page_networks(answer, LOWEST)


# --- networks --------------------------------------------------------------------------------


def test_the_winner_and_its_file_come_first(networks: tuple[PageNetwork, ...], answer: ShrinkResult) -> None:
    assert networks[0].trial == answer.winner and not networks[0].is_file
    assert answer.file is not None
    assert networks[1].sizes["bytes"] == answer.file.winner.file_bytes
    assert min(networks[0].holds, networks[1].holds) >= answer.floor.accuracy - 0.01
    assert networks[0].holds >= answer.floor.accuracy


def test_confusion_matrices_count_what_the_scores_count(networks: tuple[PageNetwork, ...]) -> None:
    for network in networks:
        assert int(np.trace(network.confusion)) == network.outcome.validation.correct
        assert int(network.confusion.sum()) == network.outcome.validation.total


def test_a_network_holds_its_highest_floor_and_no_higher_one(
    networks: tuple[PageNetwork, ...], answer: ShrinkResult
) -> None:
    for network in networks:
        for floor, is_held in ((network.holds, True), (network.holds + 0.0001, False)):
            goal = Goal(Target(floor))
            judge = Judge(Requirement.of(goal, answer.data), answer.context)
            assert all(judge.is_met(network.trial, network.outcome, half) for half in HALVES) == is_held


def test_at_each_floor_the_smallest_candidate_that_holds_it_is_there(
    networks: tuple[PageNetwork, ...], answer: ShrinkResult
) -> None:
    for floor in np.arange(0.82, 0.92, 0.02):
        judge = Judge(Requirement.of(Goal(Target(float(floor))), answer.data), answer.context)
        held = [
            candidate.outcome.parameters
            for candidate in answer.candidates
            if candidate.stage != "fresh seeds"
            and all(judge.is_met(candidate.trial, candidate.outcome, half) for half in HALVES)
        ]
        shown = [each.sizes["parameters"] for each in networks if not each.is_file and each.holds >= floor - 1e-9]
        assert min(shown) == min(held)


def test_the_bytes_of_a_file_add_up(networks: tuple[PageNetwork, ...]) -> None:
    for network in networks[1:2]:
        parts = file_parts(network.quantized)
        assert sum(part.size_bytes for part in parts) == pytest.approx(len(encode(network.quantized)))
        assert any(part.name.startswith("weights of ") for part in parts)
    assert sum(part.size_bytes for part in networks[0].parts) == 4 * flat_weights(networks[0].quantized).size


# --- the teacher -----------------------------------------------------------------------------


def test_the_teacher_is_scored_with_the_weights_that_the_page_has(answer: ShrinkResult) -> None:
    teacher = page_teacher(answer)
    assert teacher is not None and teacher.bits == 8
    weights = flat_weights(teacher.quantized)
    assert teacher.score == score(answer.context, teacher.quantized.spec, weights, answer.data.selection)
    exact = answer.teacher.outcome.weights  # type: ignore[union-attr]
    assert np.abs(weights - exact).max() < np.abs(exact).max() / 100


@pytest.mark.parametrize("bits", [8, 4])
def test_levels_are_packed_so_that_they_can_be_read_again(
    answer: ShrinkResult, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smidgen.report.page_teacher.BITS", (bits,))
    teacher = page_teacher(answer)
    assert teacher is not None
    for tensor in teacher.quantized.tensors.values():
        found = tensor_bytes(tensor, bits)
        if "values" in found:
            np.testing.assert_array_equal(np.frombuffer(found["values"], "<f4"), values_of(tensor).ravel())
            continue
        packed = np.frombuffer(found["levels"], np.int8 if bits == 8 else np.uint8)
        levels = packed if bits == 8 else np.stack([packed & 15, packed >> 4], 1).ravel().astype(int) - 8
        np.testing.assert_array_equal(levels[: tensor.levels.size], tensor.levels.ravel())
        assert levels.min() >= -(2 ** (bits - 1))


def test_a_teacher_that_does_not_fit_is_left_out_and_the_page_says_so(
    answer: ShrinkResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smidgen.report.page_teacher.MOST_BYTES", 100)
    assert page_teacher(answer) is None
    view = PageView.of(answer, 100)
    page = render(view)
    assert "it does not fit in 2 MB" in page and 'data-who="teacher"' not in page.partition("page-data")[0]


# --- samples ---------------------------------------------------------------------------------


def test_samples_are_of_the_test_split_in_turns_of_the_classes(digits: Dataset) -> None:
    samples = samples_of(digits)
    assert [sample.label for sample in samples] == list(range(10)) * 3
    for sample in samples:
        index = int(np.flatnonzero(digits.test.rows == sample.row)[0])
        np.testing.assert_array_equal(sample.values, digits.test.images[index])


def test_samples_of_scaled_data_are_in_the_users_units() -> None:
    X = np.random.default_rng(0).normal(1000, 50, (60, 4))
    data = from_arrays(X, np.arange(60) % 3)
    for sample in samples_of(data):
        np.testing.assert_allclose(sample.values.ravel(), X[sample.row], rtol=1e-5)
    low, high = value_ranges(data)
    assert len(low) == len(high) == 4 and all(800 < one < two < 1200 for one, two in zip(low, high, strict=True))


def test_only_images_that_are_as_mnists_ask_for_centred_drawings(digits: Dataset) -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((40, 28, 28), np.uint8)
    for image in images:
        image[4:24, 14 - (half := int(rng.integers(2, 10))) : 14 + half + 1] = 200
    labels = np.arange(40) % 2
    assert is_made_as_mnist(from_arrays(images, labels))
    assert not is_made_as_mnist(from_arrays(np.roll(images, 3, axis=2), labels))
    assert not is_made_as_mnist(digits)


# --- the page --------------------------------------------------------------------------------


def test_the_page_names_the_samples_that_it_holds_or_says_that_it_holds_none() -> None:
    data = from_arrays(np.random.default_rng(0).normal(size=(90, 5)), np.arange(90) % 3)
    view = a_live_page(data, "dense 3")
    rows = ", ".join(str(sample.row) for sample in view.samples)
    assert f"9 test samples (rows {rows} of the data, counted from 0)" in view.samples_note
    assert len(json.loads(page_json(view).replace("\\u003c", "<"))["samples"]) == 9
    bare = replace(view, has_samples=False)
    assert bare.samples == () and bare.wrong == () and "none (--no-samples)" in bare.samples_note
    assert json.loads(page_json(bare))["samples"] == []


def test_the_script_is_whole_and_ends_no_element() -> None:
    text = program()
    assert "</" not in text and "import " not in text and len(MODULES) == len(set(MODULES))
    evil = "</script><script>alert(1)</script>"
    names = (evil, "dog", "owl")
    data = from_arrays(np.random.default_rng(0).normal(size=(90, 5)), np.arange(90) % 3)
    view = a_live_page(replace(data, class_names=names), "dense 3")
    page = render(view)
    assert page.count("</script>") == 3 and "alert(1)" in page


def test_networks_that_are_too_large_for_the_page_lose_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    data = from_arrays(np.random.default_rng(0).normal(size=(90, 5)), np.arange(90) % 3)
    view = a_live_page(data, "dense 3")
    whole = json.loads(page_json(view))["networks"][0]
    floats = [np.frombuffer(base64.b64decode(text), "<f4") for text in whole["tensors"]]
    np.testing.assert_array_equal(np.concatenate(floats), flat_weights(view.networks[0].quantized))
    monkeypatch.setattr("smidgen.report.page_script.MOST_WEIGHT_BYTES", 10)
    assert json.loads(page_json(view))["networks"][0]["tensors"] is None


def test_a_page_without_networks_has_no_script() -> None:
    assert "<script" not in render(a_page())
