"""The documents reproduced: the counts of every row, the recipes, the shape of every table, and sentences from numbers.

What is trained here is a few hundred small drawings for an epoch: no accuracy of it means anything.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smidgen.data import Dataset, from_arrays
from smidgen.data.augment import COPY_AUGMENTATION, transformed_copies
from smidgen.engine import Examples, Start, torch_engine
from smidgen.engine.torch_engine.affine import warp
from smidgen.errors import RequestError
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.search.frontier import TurningPoint
from smidgen.spec import parse_spec
from smidgen.streams import affine_maps
from smidgen.studies import (
    DOCUMENTS,
    NOTHING,
    Finding,
    Report,
    cautious,
    logit_regression,
    markdown,
    mimic,
    reduce_cnn,
    run,
    wanted,
    width_sweeps,
    write,
    write_index,
)
from smidgen.studies.authors import all_training_images, selecting_on_test
from smidgen.studies.border import without_constant
from smidgen.studies.copies import COPIES, on_copies
from smidgen.studies.features import feature_digest, features_of
from smidgen.studies.logit_findings import Measured, shape_answer, strict_answer
from smidgen.studies.mimic_findings import course_answer
from smidgen.studies.reduce_cnn import NETS as REDUCED
from smidgen.studies.statistics import Paired, fit, paired
from smidgen.studies.table import CSV_HEAD, Row, beaten, met
from smidgen.studies.trainings import EFFORTS, Bench, Effort, Job, Runs
from smidgen.trials.evaluate import TrainingContext, evaluate
from smidgen.trials.store import Store
from smidgen.trials.study import Study

SHAPE = (1, 28, 28)
TINY = Effort("tiny", most_seeds=2, row_macs=1e12, epoch_share=0.05, largest_macs=0.4e9)


def drawings(name: str, count: int = 240) -> Dataset:
    """Digits' labels 0 to 9 as bars of ten lengths, under noise; the border stays empty, as in MNIST."""
    generator = np.random.default_rng(len(name))
    labels = np.arange(count) % 10
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 : 6 + 2 * label, 8:20] = 200
        image[4:24, 4:24] += generator.integers(0, 50, (20, 20), np.uint8)
    return from_arrays(images, labels, name, test=(images[:60], labels[:60]))


@pytest.fixture(scope="module")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduce") / "store.sqlite"


@pytest.fixture(scope="module")
def reports(tiny_store: Path) -> dict[str, Report]:
    """All documents on drawings."""
    with Store(tiny_store) as store:
        return {report.name: report for report in run("all", store=store, data=drawings, effort=TINY)}


def runs_of(rates: list[float], total: int = 1000, epochs: int = 1, seed: int = 0) -> Runs:
    """Runs that scored so, on labels that are all 0; the validation score is the test's."""
    spec, recipe = parse_spec("dense 10"), Recipe(epochs=epochs)
    scores = tuple(Score(round(rate * total), total) for rate in rates)
    outcomes = tuple(Outcome(10, score, score, (1.0,) * epochs, 2.0, np.zeros(0, np.float32)) for score in scores)
    trials = tuple(Trial(spec, recipe, seed, "data", "engine") for seed in range(len(rates)))
    answers = np.ones((len(rates), total), np.uint8)
    generator = np.random.default_rng(seed)
    for row, score in zip(answers, scores, strict=True):
        row[generator.permutation(total)[: score.correct]] = 0
    return Runs(Job(spec, recipe, len(rates)), trials, outcomes, scores, answers)


# --- what the documents say, as data -------------------------------------------------------------


def test_width_sweeps_has_the_published_counts() -> None:
    assert len(width_sweeps.networks()) == 24
    for name, width in width_sweeps.networks():
        formula = {
            "mlp1": width**2 + 796 * width + 10,
            "mlp2": width**2 + 208 * width + 10,
            "cnn1": 1170 * width**2 + 56 * width + 10,
            "cnn2": 63 * width**2 + 335 * width + 10,
        }[name]
        assert width_sweeps.size(name, width) == formula
    published = {name: width_sweeps.size(name, row[2]) for name, row in width_sweeps.FAMILIES.items()}
    assert published == {"mlp1": 26_506, "mlp2": 17_418, "cnn1": 4_802, "cnn2": 932}
    assert (width_sweeps.size("mlp1", 512), width_sweeps.size("cnn1", 32)) == (669_706, 1_199_882)


def test_logit_regression_has_the_published_counts() -> None:
    sizes = [logit_regression.size(h) for h in logit_regression.HIDDEN]
    assert sizes == [609_354, 314_090, 166_458, 92_642, 74_188, 55_734, 46_507, 37_280, 28_053]
    assert parse_spec(logit_regression.TEACHER).parameters(SHAPE) == 1_199_882
    assert parse_spec(logit_regression.CONVS).parameters(SHAPE) == 18_816


def test_mimic_has_the_published_counts() -> None:
    assert {name: net.parameters for name, net in mimic.NETS.items()} == {
        "CNN (teacher)": 209_898,
        "DNN 3 x 2000": 9_594_010,
        "DNN 3 x 64": 59_210,
        "SNN": 6_360_010,
        "SNN-mimic-8k L2": 263_710,
        "SNN-mimic-8k KL": 263_710,
        "mimic-400 KL": 28_110,
        "mimic-20k KL": 635_710,
    }
    plain = parse_spec(mimic.ABLATION["no bottleneck, KL"][0]).parameters(SHAPE)
    others = [784 * h + h + 10 * h + 10 for h in (mimic.PLAIN_HIDDEN - 1, mimic.PLAIN_HIDDEN, mimic.PLAIN_HIDDEN + 1)]
    assert plain == others[1] == min(others, key=lambda count: abs(count - 263_710)), "the nearest number of parameters"


def test_reduce_cnn_has_the_published_counts() -> None:
    counts = {name: (net.parameters, net.numbers) for name, net in REDUCED.items()}
    assert counts == {"baseline": (591_786, 591_786), "approach 1": (3_418, 3_578), "approach 2": (3_130, 3_226)}


def test_the_recipes_are_the_documents() -> None:
    def of(recipe: Recipe) -> tuple[Any, ...]:
        return recipe.optimizer, recipe.learning_rate, recipe.schedule, recipe.epochs, recipe.batch_size, recipe.loss

    jobs = width_sweeps.jobs("document")
    assert of(jobs["mlp1, n = 32"].recipe) == ("rmsprop", 0.001, "constant", 20, 128, "labels")
    assert of(jobs["cnn2, n = 2"].recipe) == ("adadelta", 1.0, "constant", 12, 128, "labels")
    student = logit_regression.student_jobs()["h = 6"]
    assert of(student.recipe) == ("adadelta", 1.0, "constant", 12, 128, "logits")
    assert str(student.spec) == "dropout 0.2, dense 6 relu, dense 10"
    assert of(mimic.NETS["CNN (teacher)"].recipe) == ("sgd", 0.01, "constant", 20, 128, "labels")
    assert mimic.NETS["SNN-mimic-8k L2"].recipe.loss == "probabilities"
    assert mimic.NETS["SNN-mimic-8k KL"].recipe.loss == "kl"
    stopped = reduce_cnn.documents_jobs(1)["approach 1"].recipe
    assert of(stopped) == ("adam-keras", 0.001, "constant", 30, 32, "labels")
    assert stopped.patience > 0


def test_what_was_published_is_in_the_rows(reports: dict[str, Report]) -> None:
    published = {name: {row.name: row.published for row in report.rows if row.published} for name, report in
                 reports.items()}  # fmt: skip
    assert published == {
        "logit-regression": {"teacher, h = 128": 0.99, "h = 6": 0.9626},
        "width-sweeps": {"mlp1, n = 32": 0.9711, "mlp2, n = 64": 0.9704, "cnn1, n = 2": 0.9748, "cnn2, n = 2": 0.97},
        "mimic": {
            "CNN (teacher)": 0.9024,
            "DNN 3 x 2000": 0.8948,
            "DNN 3 x 64": 0.8948,
            "SNN": 0.8887,
            "SNN-mimic-8k L2": 0.8262,
            "SNN-mimic-8k KL": 0.8709,
        },
        "reduce-cnn": {"baseline": 0.9859, "approach 1": 0.9793, "approach 2": 0.9666},
        "deep-compression": {"LeNet-300-100": 0.9842, "LeNet-5": 0.9926},
    }


# --- a run ---------------------------------------------------------------------------------------


def test_every_table_has_its_shape(reports: dict[str, Report]) -> None:
    rows = {name: len(report.rows) for name, report in reports.items()}
    assert rows == {"logit-regression": 10, "width-sweeps": 24, "mimic": 8, "reduce-cnn": 3, "deep-compression": 2}
    for report in reports.values():
        assert len(report.tables[0].rows) == len(report.rows)
        for table in report.tables:
            assert {len(row) for row in table.rows} == {len(table.heads)}, table.title
        assert len({finding.question for finding in report.findings}) == len(report.findings) >= 4
        assert all(finding.answer.strip() for finding in report.findings)
        assert any("not the figures to quote" in note for note in report.notes)
        assert any(note.startswith("Left out: ") for note in report.notes) == (report.name != "deep-compression")


def test_again_it_trains_nothing_and_says_the_same(
    reports: dict[str, Report], tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("smidgen.studies.features.classify")
    monkeypatch.delattr("smidgen.data.augment.transformed_copies")
    with Store(tiny_store) as store:
        again = {report.name: report for report in run("all", store=store, data=drawings, effort=TINY)}
    for name, report in again.items():
        assert (report.trained, report.remembered > 0) == (0, True)
        assert report.tables == reports[name].tables
        assert report.findings == reports[name].findings


def test_a_cut_run_says_so_beside_published_figures(reports: dict[str, Report]) -> None:
    cut = "After 5 % of the epochs, so no test of what was published. "
    for report in reports.values():
        compared = [finding.answer for finding in report.findings if finding.against_published]
        assert len(compared) >= 2
        assert all(answer.startswith(cut) or answer == NOTHING for answer in compared)
        assert any(answer.startswith(cut) for answer in compared)
        assert not any(f.answer.startswith(cut) for f in report.findings if not f.against_published)
    finding = Finding("Met?", "Yes.", against_published=True)
    assert cautious(finding, EFFORTS["full"]) is finding


def test_where_epochs_are_cut_nothing_learns_from_the_validation_images(reports: dict[str, Report]) -> None:
    assert not any("all images" in name for report in reports.values() for name in report.runs)


def test_on_all_images_the_validation_images_are_learned_from_too(own_store: Path) -> None:
    whole = Effort("whole", most_seeds=1, row_macs=1.0, epoch_share=1.0, largest_macs=1e12)
    with Store(own_store) as store:
        (report,) = run("reduce-cnn", store=store, data=drawings, effort=whole)
    runs = {name: found for name, found in report.runs.items() if "all images" in name}
    assert list(runs) == ["ours, all images: approach 1", "ours, all images: approach 2"]
    (table,) = (table for table in report.tables if table.heads[-1] == ">60,000 images")
    assert [row[-1] for row in table.rows] == [str(found) for found in runs.values()]
    assert [row[-2] for row in table.rows] == [str(row.ours) for row in report.rows[1:]]


def test_the_scores_are_those_of_the_trials(reports: dict[str, Report]) -> None:
    dataset = drawings("mnist")
    context = TrainingContext(dataset)
    runs = reports["width-sweeps"].runs["document: mlp2, n = 16"]
    assert [trial.seed for trial in runs.trials] == [0, 1]
    for trial, outcome, test, answers in zip(runs.trials, runs.outcomes, runs.test, runs.answers, strict=True):
        assert trial.recipe.epochs == 1, "a twentieth of 20"
        assert outcome.selection == evaluate(context, trial).selection
        assert test == Score(int((answers == dataset.test.labels).sum()), 60)


def test_what_is_written(reports: dict[str, Report], tmp_path: Path) -> None:
    for name, report in reports.items():
        files = write(report, tmp_path)
        assert {path.name for path in (tmp_path / name).iterdir()} == {path.name for path in files}
        rows = list(csv.DictReader(io.StringIO((tmp_path / name / "table.csv").read_text("utf-8"))))
        assert tuple(rows[0]) == CSV_HEAD
        assert len(rows) == sum(len(runs.trials) for runs in report.runs.values())
        assert {row["document"] for row in rows} == {name}
        assert markdown(report.tables[0]) in (tmp_path / name / "table.md").read_text("utf-8")
        for path in files:
            if path.suffix == ".png":
                with Image.open(path) as picture:
                    assert picture.size == (1280, 832)
    index = write_index(list(reports.values()), tmp_path).read_text("utf-8")
    for report in reports.values():
        assert all(finding.answer in index for finding in report.findings)
        assert all(f"({report.name}/{picture.file})" in index for picture in report.pictures)


def test_a_document_that_is_not_known_is_refused() -> None:
    with pytest.raises(RequestError, match=r"no document 'width-sweep' .did you mean 'width-sweeps'"):
        run("width-sweep")
    assert wanted("all") == tuple(DOCUMENTS)


def test_the_command(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reports: dict[str, Report],
    tiny_store: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr("smidgen.cli.options.load_data", lambda name, split_seed: drawings(name))
    monkeypatch.setitem(EFFORTS, "quick", TINY)
    said = command("reproduce", "reduce-cnn", "--quick", "--out", str(tmp_path / "out"), "--store", str(tiny_store))
    assert said.code == 0, said.err
    assert (tmp_path / "out" / "index.md").exists()
    assert max(len(line) for line in said.out.splitlines() if str(tmp_path) not in line) <= 80
    for row in reports["reduce-cnn"].rows:
        assert f"{row.parameters:,}" in said.out
    assert "0 trainings" in said.out
    refused = command("reproduce", "nothing")
    assert (refused.code, refused.out) == (2, "")
    assert "no document 'nothing'" in refused.err


# --- the bench -----------------------------------------------------------------------------------


@pytest.fixture
def bench(own_store: Path) -> Iterator[Bench]:
    with Store(own_store) as store:
        yield Bench(Study(store, workers=1), EFFORTS["full"])


def test_an_effort_cuts_epochs_and_seeds_and_leaves_out_what_costs_too_much(bench: Bench) -> None:
    context = TrainingContext(drawings("mnist"))
    spec = parse_spec("dense 10")
    cost = context.cost(context.trial(spec, Recipe(epochs=2), 0))
    bench.effort = Effort("half", most_seeds=4, row_macs=3 * cost, epoch_share=0.5, largest_macs=cost)
    fitted = bench.fit(context, Job(spec, Recipe(epochs=4), seeds=10))
    assert fitted is not None
    assert (fitted.recipe.epochs, fitted.seeds) == (2, 3)
    assert bench.fit(context, Job(spec, Recipe(epochs=8), seeds=10)) is None
    needed = bench.fit(context, Job(spec, Recipe(epochs=8), seeds=10, needed=True))
    assert needed is not None
    assert (needed.recipe.epochs, needed.seeds) == (4, 1)
    assert bench.train(context, {"large": Job(spec, Recipe(epochs=8))}, "stage", "a ") == {}
    assert bench.left_out == ["a large"]


def test_a_job_with_a_start_begins_there(bench: Bench) -> None:
    context = TrainingContext(drawings("mnist"), "torch")
    spec, weights = parse_spec("dense 10"), np.arange(7850).astype(np.float32)
    fixed = np.ones(7850, bool)
    job = Job(spec, Recipe(epochs=1), seeds=2, start=lambda seed: Start(weights + np.float32(seed), fixed))
    runs = bench.train(context, {"held": job}, "stage")["held"]
    assert [trial.start_digest for trial in runs.trials] == [
        Start(weights + np.float32(seed), fixed).digest for seed in (0, 1)
    ]
    for seed, outcome in enumerate(runs.outcomes):
        np.testing.assert_array_equal(outcome.weights, weights + np.float32(seed))


def test_the_authors_data_is_told_apart_and_keeps_the_test_split() -> None:
    data = drawings("mnist")
    everything, peeking = all_training_images(data), selecting_on_test(data)
    assert len({data.digest, everything.digest, peeking.digest}) == 3
    assert len(everything.train) == len(data.train) + len(data.selection) + len(data.confirmation)
    assert everything.test is data.test
    assert peeking.selection is peeking.test is data.test
    assert peeking.train is data.train


# --- moved copies --------------------------------------------------------------------------------


def test_copies_are_moved_as_the_engines_move_them() -> None:
    import torch

    images = np.random.default_rng(0).integers(0, 256, (7, 2, 9, 6), np.uint8)
    found = transformed_copies(images, COPIES, workers=2)
    assert found.dtype == np.uint8
    assert found.shape == (COPIES * 7, 2, 9, 6)
    np.testing.assert_array_equal(found[:7], images)
    for copy in range(1, COPIES):
        maps = torch.from_numpy(affine_maps(COPY_AUGMENTATION, 7, (9, 6), 0, copy))
        expected = warp(torch.from_numpy(images).float(), maps).numpy()
        np.testing.assert_allclose(found[7 * copy : 7 * copy + 7], expected, atol=0.501)  # rounded to a byte


def test_a_student_on_copies_learns_what_the_teacher_says_to_each(bench: Bench) -> None:
    context = TrainingContext(drawings("mnist"), "torch")
    spec = parse_spec("dense 10")
    teacher = bench.train(context, {"teacher": Job(spec, Recipe(epochs=2), 1)}, "stage")["teacher"]
    job = Job(spec, Recipe("kl", epochs=3, learning_rate=0.01, batch_size=32), 1)
    found = on_copies(bench, context, teacher, {"student": job}, "stage", "copies: ")["student"]
    images = transformed_copies(np.asarray(context.dataset.train.images, np.uint8), COPIES)
    logits = torch_engine.predict(spec, teacher.outcomes[0].weights, images)
    labels = np.tile(context.dataset.train.labels, COPIES)
    expected = torch_engine.train(spec, job.recipe, Examples(images, labels, logits), 0)
    np.testing.assert_array_equal(found.outcomes[0].weights, expected.weights)
    assert found.trials[0].data_digest != context.dataset.digest


# --- frozen layers -------------------------------------------------------------------------------

LAYERS = parse_spec("conv 3x3x3 relu, maxpool 2, conv 4x4x2 leaky_relu(0.1)")


def test_a_head_on_features_learns_as_the_whole_with_its_layers_fixed(bench: Bench) -> None:
    """Same order of images, same first weights: the two trainings differ by rounding alone."""
    context = TrainingContext(drawings("mnist"), "torch")
    whole = parse_spec(f"{LAYERS}, dense 5 relu, dense 10")
    weights = np.random.default_rng(2).normal(0, 0.2, whole.parameters(SHAPE)).astype(np.float32)
    below = LAYERS.parameters(SHAPE)
    fixed = np.arange(len(weights)) < below
    recipe = Recipe(epochs=3, learning_rate=0.01, batch_size=32)
    held = Job(whole, recipe, 1, start=lambda seed: Start(weights, fixed))
    features = features_of(context, LAYERS, weights, "a trial")
    assert features.digest == feature_digest(context.dataset, LAYERS, "a trial") != context.dataset.digest
    for name, split in features.splits.items():
        shape, dtype = split.shape, split.dtype
        assert "images" not in vars(split), f"{name}: known before it is computed"
        assert (split.images.shape, split.images.dtype) == (shape, dtype)
    head = Job(parse_spec("dense 5 relu, dense 10"), recipe, 1, start=lambda seed: Start(weights[below:]))
    first = bench.train(context, {"held": held}, "stage")["held"].outcomes[0]
    second = bench.train(replace(context, dataset=features), {"head": head}, "stage")["head"].outcomes[0]
    np.testing.assert_allclose(first.weights[below:], second.weights, atol=2e-4)
    assert np.abs(second.weights - weights[below:]).max() > 0.01, "it has learned"


def test_constant_features_move_into_the_biases() -> None:
    head = parse_spec("dropout 0.2, dense 3 relu, dense 2")
    generator = np.random.default_rng(3)
    features = generator.normal(size=(20, 6, 1, 1)).astype(np.float32)
    features[:, [1, 4]] = np.array([0.5, 0.0], np.float32).reshape(2, 1, 1)
    constant = np.isin(np.arange(6), (1, 4))
    weights = generator.normal(size=head.parameters((6, 1, 1))).astype(np.float32)
    pruned = without_constant(head, weights, constant, features[0].reshape(-1))
    assert (pruned[:18].reshape(3, 6)[:, constant] == 0).all()
    assert (weights[:18].reshape(3, 6)[:, constant] != 0).all(), "the original is as it was"
    before, after = (torch_engine.predict(head, w, features) for w in (weights, pruned))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


# --- statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 14), (120, 85), (300, 300)])
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert Paired(gained, lost, 10_000).p_value == pytest.approx(expected, rel=1e-9)


def test_a_pair_is_counted_image_by_image() -> None:
    labels = np.array([0, 1, 2, 3, 4])
    pair = paired(np.array([0, 1, 2, 0, 0]), np.array([0, 0, 0, 0, 4]), labels)
    assert pair == Paired(gained=2, lost=1, total=5)
    assert pair.difference == pytest.approx(0.2)
    low, high = Paired(120, 80, 10_000).interval()
    # Agresti 2002, eq. 10.2: the variance of p12 - p21 is ((p12 + p21) - (p12 - p21)^2) / n.
    half = 1.959964 * ((0.02 - 0.004**2) / 10_000) ** 0.5
    assert [low, high] == pytest.approx([0.004 - half, 0.004 + half], rel=1e-5)


def test_a_line_and_what_it_explains() -> None:
    from scipy.stats import linregress

    x, y = [1.0, 2.0, 4.0, 8.0], [0.2, 0.5, 0.4, 0.9]
    line, expected = fit(x, y), linregress(x, y)
    assert line.slope == pytest.approx(expected.slope)
    assert line.r_squared == pytest.approx(expected.rvalue**2)
    assert fit(x, [3.0] * 4).r_squared == pytest.approx(1.0)


# --- sentences follow the numbers ----------------------------------------------------------------


def test_whether_a_figure_is_met_follows_from_it() -> None:
    runs = runs_of([0.970, 0.974, 0.972])
    said = {published: met([Row("net", 10, published, runs)]).answer for published in (0.971, 0.973, 0.99)}
    assert said[0.971] == (
        "net: published 97.10 %, measured 97.20 ± 0.20 % (3 seeds), 97.00 to 97.40 %, 2 of 3 at or above it: met."
    )
    assert said[0.973].endswith("1 of 3 at or above it: 0.10 points below, within one standard deviation of the seeds.")
    assert said[0.99].endswith("0 of 3 at or above it: missed by 1.80 points, 9.0 standard deviations.")
    assert "run it without --quick" in met([Row("net", 10, 0.97)]).answer
    assert beaten([Row("net", 10, 0.97, None, runs)]).answer == "net: +0.20 points to 97.20 % (published 97.00 %)."


def rows_of(rates: dict[int, float]) -> list[Row]:
    students = [Row(f"h = {h}", 9_227 * h + 18_826, None, runs_of([rate], seed=h)) for h, rate in rates.items()]
    return [Row("teacher", 1_199_882, 0.99, runs_of([0.99])), *students]


def test_the_strict_inequality_is_judged_by_the_rates() -> None:
    context = TrainingContext(
        replace(drawings("mnist"), test=replace(drawings("mnist").test, labels=np.zeros(1000, np.int32)))
    )

    def said(rates: dict[int, float]) -> str:
        return strict_answer(Measured(rows_of(rates), {}, {}, {}, {}, None, context))

    assert said({8: 0.97, 4: 0.90, 2: 0.60}).startswith("Among these sizes it holds")
    assert "in 2 of 2 pairs" in said({8: 0.97, 4: 0.90, 2: 0.60})
    assert said({8: 0.90, 4: 0.92, 2: 0.60}).startswith(
        "No. The smaller is as good or better in 1: h = 4 against h = 8"
    )


def test_straight_lines_are_judged_by_their_fit() -> None:
    straight = shape_answer(rows_of({8: 0.9, 6: 0.8, 4: 0.7, 2: 0.6})[1:])
    assert "accuracy is linear with R² = 1.000" in straight
    assert "it is 9,227 h + 18,826 by its formula" in straight
    bent = shape_answer(rows_of({8: 0.9, 4: 0.8, 2: 0.7, 1: 0.6})[1:])
    assert "accuracy R² = 1.000" in bent
    assert "linear with R² = 1.000" not in bent


def test_the_target_and_the_turning_points_follow_the_runs() -> None:
    runs = {width_sweeps.title("cnn2", w): runs_of([r]) for w, r in ((8, 0.99), (4, 0.98), (2, 0.968), (1, 0.9))}
    assert "cnn2: 2,358 by its recipe" in width_sweeps.target_answer(runs, {})
    better = {**runs, width_sweeps.title("cnn2", 2): runs_of([0.971])}
    assert "cnn2: 2,358 by its recipe, 932 by our recipe (the author: 932)" in width_sweeps.target_answer(runs, better)
    turn = TurningPoint(932, 0.97, 800, 1_000, "")
    assert "contains the author's 932" in width_sweeps.turning_answer({"cnn2": (turn, None)})
    other = replace(turn, parameters=408, low=408, high=408)
    assert "does not contain the author's 932" in width_sweeps.turning_answer({"cnn2": (other, None)})


def test_the_ratios_are_the_published_ones() -> None:
    said = width_sweeps.ratio_answer()
    for ratio in ("1/25 of 669,706", "1/38 of 669,706", "1/250 of 1,199,882", "18.7x below mlp2"):
        assert ratio in said
    assert "1/1287 of 1,199,882" in said, "the document rounds it to 1/1000"


def test_a_student_above_its_teacher_is_named() -> None:
    course = [(1, runs_of([0.8]), runs_of([0.82])), (4, runs_of([0.9]), runs_of([0.88]))]
    said = course_answer(course)
    assert "0.60 points a teacher's point" in said
    assert "above its teacher after 1 teacher's epochs" in said
    assert "above its teacher" not in course_answer([(1, runs_of([0.8]), runs_of([0.7])), course[1]])


# --- the real thing ------------------------------------------------------------------------------

FLOORS_OF_OURS = {
    ("width-sweeps", "cnn2, n = 2"): 0.98,
    ("width-sweeps", "cnn2, n = 1"): 0.95,
    ("logit-regression", "h = 6"): 0.985,
    ("mimic", "ours, all images: SNN-mimic-8k L2"): 0.90,
    ("reduce-cnn", "ours, all images: approach 1"): 0.988,
    ("reduce-cnn", "ours, all images: approach 2"): 0.987,
}
"""Mean test accuracy of a row or of trainings; on all 60,000 images where the document trained on them."""
MISSED = {("reduce-cnn", "ours, all images: approach 2"): 0.985}
"""Floors that are not reached, and what is held in their place: docs/reproduce.md says what was tried."""


@pytest.mark.slow
def test_our_recipes_reach_their_floors_on_the_real_data(own_store: Path) -> None:
    """Half an hour, or seconds with SMIDGEN_REPRODUCED, a store that `smidgen reproduce all` has filled."""
    with Store(os.environ.get("SMIDGEN_REPRODUCED") or own_store) as store:
        reports = list(run("all", store=store))
    found = {(report.name, row.name): row.ours for report in reports for row in report.rows}
    found |= {(report.name, name): runs for report in reports for name, runs in report.runs.items()}
    means = {key: ours.mean for key in FLOORS_OF_OURS if (ours := found[key])}
    below = {key: mean for key, mean in means.items() if mean < FLOORS_OF_OURS[key]}
    assert below.keys() == MISSED.keys()
    assert all(mean >= MISSED[key] for key, mean in below.items())
    assert means.keys() == FLOORS_OF_OURS.keys()
