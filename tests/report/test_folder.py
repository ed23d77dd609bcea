"""An answer on disk: five files that decode to what they say, or what was there before."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen import from_arrays
from smidgen.data import Dataset, Split
from smidgen.engine import choose
from smidgen.errors import RequestError
from smidgen.model import Model, load_safetensors
from smidgen.records import Score
from smidgen.report import folder as run_folder
from smidgen.report.choice import how_chosen
from smidgen.report.csv import trials_csv
from smidgen.report.folder import write
from smidgen.report.view import PageView
from smidgen.search.effort import Effort
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.trials.store import Store

FILES = (
    *("winner.safetensors", "teacher.safetensors", "winner.png", "winner.csv", "winner.smidgen"),
    *("report.html", "frontier.png", "trials.csv", "run.json"),
)
"""The files of a run folder, in the order in which they are written."""


@pytest.fixture(scope="module")
def written(answer: ShrinkResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `answer`."""
    folder = tmp_path_factory.mktemp("runs") / "deep" / "digits"
    write(answer, folder, "smidgen shrink digits --floor 0.9")
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def scored(model: Model, split: Split) -> Score:
    logits = choose().predict(model.spec, model.weights, split.images)
    return Score(int((logits.argmax(axis=1) == split.labels).sum()), len(split))


# --- what is written -------------------------------------------------------------------------


def test_there_are_nine_files_and_nothing_else(written: Path) -> None:
    assert set(content_of(written)) == set(FILES)


def test_the_winners_file_gets_right_what_the_report_says(written: Path, answer: ShrinkResult, digits: Dataset) -> None:
    model = load_safetensors(written / "winner.safetensors")
    assert str(model.spec) == str(answer.winner.spec)
    assert len(model.weights) == answer.outcome.parameters
    assert model.class_names == digits.class_names
    assert scored(model, digits.selection) == answer.outcome.selection
    assert scored(model, digits.confirmation) == answer.outcome.confirmation
    assert scored(model, digits.test) == answer.test
    assert f"{(written / 'winner.safetensors').stat().st_size:,} bytes" in (written / "report.html").read_text("utf-8")
    assert model.metadata["data_digest"] == digits.digest
    assert model.metadata["trial"] == answer.winner.key


def test_the_teachers_file_gets_right_what_the_report_says(
    written: Path, answer: ShrinkResult, digits: Dataset
) -> None:
    model = load_safetensors(written / "teacher.safetensors")
    assert answer.teacher is not None
    assert str(model.spec) == answer.teacher.name
    assert scored(model, digits.test) == answer.teacher_test


def test_the_table_has_one_row_a_training(written: Path, answer: ShrinkResult, answer_store: Path) -> None:
    with (written / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1 + len(answer.candidates)
    assert rows[0]["stage"] == "teacher"
    with Store(answer_store) as store:
        outcomes = {trial.key: (trial, outcome) for trial, outcome in store.rows()}
    filed = {tried.trial.key for tried in answer.file.candidates}
    assert {row["key"] for row in rows} == set(outcomes) - filed
    for row in rows:
        trial, outcome = outcomes[row["key"]]
        assert (row["spec"], int(row["seed"])) == (str(trial.spec), trial.seed)
        assert (row["loss"], int(row["epochs"])) == (trial.recipe.loss, trial.recipe.epochs)
        counts = [int(row[f"{half}_{what}"]) for half in ("selection", "confirmation") for what in ("correct", "total")]
        selection, confirmation = outcome.selection, outcome.confirmation
        assert counts == [selection.correct, selection.total, confirmation.correct, confirmation.total]
        assert int(row["parameters"]) == outcome.parameters


def test_the_confusion_and_the_wrong_images_are_of_the_test_split(answer: ShrinkResult, digits: Dataset) -> None:
    view, test = PageView.of(answer, 1), answer.test
    assert (int(view.confusion.trace()), int(view.confusion.sum())) == (test.correct, test.total)
    assert view.confusion.sum(axis=1).tolist() == np.bincount(digits.test.labels, minlength=10).tolist()
    assert len(view.wrong) == test.total - test.correct
    margins = [wrong.margin for wrong in view.wrong]
    assert margins == sorted(margins, reverse=True)
    assert min(margins) >= 0
    assert all(wrong.truth != wrong.predicted for wrong in view.wrong)


def test_what_each_stage_saves_is_of_the_files_own_network(answer: ShrinkResult) -> None:
    assert answer.file is not None
    weights = 4 * answer.file.winner.outcome.parameters
    assert weights <= answer.file.stages[0].file_bytes <= weights + 64


def test_the_page_says_the_command_the_counts_and_how_it_was_chosen(
    written: Path, answer: ShrinkResult, digits: Dataset
) -> None:
    page = re.sub(r"<[^>]*>|\s+", " ", (written / "report.html").read_text("utf-8"))
    page = re.sub(r"\s+", " ", page)
    assert "smidgen shrink digits --floor 0.9" in page
    assert f"{answer.test.correct}/{answer.test.total}" in page
    assert digits.digest[:12] in page
    for sentence in how_chosen(answer):
        assert sentence in page
    assert answer.file is not None
    other = f"another network, of {answer.file.winner.outcome.parameters:,} parameters"
    assert (other in page) == answer.has_another_network_in_file
    told = " ".join(how_chosen(answer))
    assert f"on {len(digits.train):,} examples" in told
    assert f"{len(answer.candidates):,} trainings" in told
    assert f"{len({str(tried.trial.spec) for tried in answer.candidates}):,} networks" in told


def test_the_picture_is_one(written: Path) -> None:
    with Image.open(written / "frontier.png") as picture:
        picture.load()
        assert min(picture.size) > 300


def test_what_failed_to_learn_is_in_the_table_and_not_on_the_curve(answer: ShrinkResult) -> None:
    diverged = replace(answer.candidates[0], outcome=replace(answer.candidates[0].outcome, diverged_at=1))
    bent = replace(answer, candidates=(diverged, *answer.candidates[1:]))
    assert len(PageView.of(bent, 1).points) == len(PageView.of(answer, 1).points) - 1
    assert trials_csv(bent).count("\n") == trials_csv(answer).count("\n")


def test_vectors_and_fractions_have_no_pictures_of_errors(
    tmp_path: Path, own_store: Path, small_effort: Effort
) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 600)
    X = labels[:, None] + generator.normal(0, 0.45, (600, 3))
    bytes_effort = replace(small_effort.byte_search, children=1, steps=50)
    effort = replace(small_effort, first=4, generations=1, children=2, fresh_seeds=0, compares_recipes=False)
    effort = replace(effort, byte_search=bytes_effort)
    answer = shrink(from_arrays(X, labels), 0.6, effort=effort, store=Store(own_store))
    write(answer, tmp_path / "out")
    assert set(content_of(tmp_path / "out")) == set(FILES) - {"teacher.safetensors"}
    assert answer.test.correct < answer.test.total
    assert PageView.of(answer, 1).wrong == ()


# --- a place that can or cannot be written ----------------------------------------------------


def test_a_second_answer_replaces_the_first_and_leaves_what_is_not_ours(
    written: Path, answer: ShrinkResult, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(written, folder)
    first = content_of(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "winner.safetensors").write_bytes(b"an older one")
    write(answer, folder)
    second = content_of(folder)
    assert second.pop("notes.txt") == b"mine"
    assert second["winner.safetensors"] == first["winner.safetensors"]
    assert set(second) == set(FILES)


def test_a_place_below_a_file_is_refused_and_left_as_it_is(answer: ShrinkResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RequestError, match="everything that was trained is kept") as told:
            write(answer, place)
        assert str(place) in str(told.value)
    assert content_of(tmp_path) == {"file": b"here"}


def test_an_error_in_the_middle_leaves_no_file(
    answer: ShrinkResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "frontier_picture", full)
    with pytest.raises(RequestError, match="No space left on device"):
        write(answer, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def first_to_fail(answer: ShrinkResult, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """The sizes of the files that are larger than all before them, without the teacher's, which is the largest."""
    folder = tmp_path_factory.mktemp("runs") / "without teacher"
    write(replace(answer, teacher=None), folder)
    sizes = [len(content_of(folder)[name]) for name in FILES if name != "teacher.safetensors"]
    return sorted(set(accumulate(sizes, max)))


@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of a file")
@pytest.mark.parametrize("before", [False, True], ids=["a new folder", "an earlier answer"])
def test_a_disk_that_is_full_at_any_of_the_files_leaves_what_was_there(
    written: Path, answer: ShrinkResult, first_to_fail: list[int], tmp_path: Path, before: bool
) -> None:
    without_teacher = replace(answer, teacher=None)
    folder = tmp_path / "out"
    if before:
        folder.mkdir()
        for name in FILES:
            (folder / name).write_bytes(b"earlier")
    cases = [(without_teacher, size_bytes - 1) for size_bytes in first_to_fail]
    for result, limit_bytes in ((answer, len(content_of(written)["teacher.safetensors"]) - 1), *cases):
        with largest_file(limit_bytes), pytest.raises(RequestError) as told:
            write(result, folder)
        assert str(told.value).startswith(f"cannot write to {folder}: File too large; give another place by --out")
        assert [path.name for path in tmp_path.iterdir()] == (["out"] if before else [])
        assert not before or content_of(folder) == dict.fromkeys(FILES, b"earlier")


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let writes beyond this size fail with "File too large"."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
