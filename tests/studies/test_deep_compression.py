"""deep-compression: the paper's settings, files that are what they say, and answers from numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drawings import SMALL, drawings, small_document
from smidgen.data import Dataset
from smidgen.model import Codebook, Model, Part, Uniform, decode, encode, flat_weights, named_arrays
from smidgen.records import Recipe, Score
from smidgen.spec import parse_spec
from smidgen.studies import Report, shortest_files, teachers
from smidgen.studies import deep_compression as document
from smidgen.studies.deep_compression_networks import (
    NETS,
    Stages,
    Stored,
    stored,
    validation,
    with_one_coder,
)
from smidgen.studies.document import effort_notes, render
from smidgen.studies.trainings import Bench, Effort
from smidgen.transforms import gradual_shares, shared_start, smallest
from smidgen.trials.evaluate import TrainingContext, score
from smidgen.trials.store import Store
from smidgen.trials.study import Study

DATA = drawings("mnist", 200)
TINY = Effort("tiny", most_seeds=1, row_macs=1e12, epoch_share=0.05, largest_macs=0.4e9)


@pytest.fixture(scope="module")
def context() -> TrainingContext:
    return TrainingContext(DATA)


@pytest.fixture(scope="module")
def models() -> tuple[Model, Model, Model]:
    """A network of random weights, pruned, and shared."""
    weights = np.random.default_rng(2).laplace(0, 0.1, SMALL.parameters).astype(np.float32)
    dense = Model(SMALL.spec, (1, 28, 28), tuple("0123456789"), weights)
    mask = smallest(dense, {name: 1 - layer.kept for name, layer in SMALL.tensors.items()})
    pruned = replace(dense, weights=np.where(mask, np.float32(0), weights))
    entries = {name: 2**layer.bits - 1 for name, layer in SMALL.tensors.items()}
    return dense, pruned, replace(pruned, weights=shared_start(pruned, entries, 1).weights)


@pytest.fixture(scope="module")
def files(context: TrainingContext, models: tuple[Model, Model, Model]) -> Stages:
    return stored(context, SMALL, *models, threads=1)


# --- what the paper says -------------------------------------------------------------------------


def test_the_networks_and_settings_are_the_papers() -> None:
    assert {name: (net.parameters, net.float_bytes) for name, net in NETS.items()} == {
        "LeNet-300-100": (266_610, 1_066_440),
        "LeNet-5": (431_080, 1_724_320),
    }
    assert {name: [(layer.kept, layer.bits) for layer in net.layers] for name, net in NETS.items()} == {
        "LeNet-300-100": [(0.08, 6), (0.09, 6), (0.26, 6)],
        "LeNet-5": [(0.66, 8), (0.12, 8), (0.08, 5), (0.19, 5)],
    }
    assert {name: (net.reference_error, net.error, net.ratio) for name, net in NETS.items()} == {
        "LeNet-300-100": (0.0164, 0.0158, 40),
        "LeNet-5": (0.0080, 0.0074, 39),
    }


def test_as_many_weights_are_kept_as_the_paper_keeps() -> None:
    kept = {name: [kept for _, kept in net.counts.values()] for name, net in NETS.items()}
    assert kept == {"LeNet-300-100": [18_816, 2_700, 260], "LeNet-5": [330, 3_000, 32_000, 950]}
    for counts, weights in zip(kept.values(), (266_200, 430_500), strict=True):
        assert round(100 * sum(counts) / weights) == 8


# --- files ---------------------------------------------------------------------------------------


def test_the_levels_of_a_file_have_the_settings(models: tuple[Model, Model, Model]) -> None:
    quantized = decode(encode(with_one_coder(SMALL, models[2], "gaps")))
    for name, (weights, kept) in SMALL.counts.items():
        tensor, layer = quantized.tensors[name], SMALL.tensors[name]
        assert (tensor.levels.size, np.count_nonzero(tensor.levels)) == (weights, kept)
        assert tensor.coder == "gaps"
        assert isinstance(tensor.grid, Codebook) and 2 ** (layer.bits - 2) < len(tensor.grid.entries) <= 2**layer.bits
    for name in ("0.bias", "2.bias", "3.bias"):
        grid = quantized.tensors[name].grid
        assert isinstance(grid, Uniform) and np.abs(quantized.tensors[name].levels).max() in range(100, 140)


def test_a_file_stands_for_the_weights_to_half_precision(models: tuple[Model, Model, Model]) -> None:
    found = named_arrays(SMALL.spec, (1, 28, 28), flat_weights(with_one_coder(SMALL, models[2], "auto")))
    for name, array in named_arrays(SMALL.spec, (1, 28, 28), models[2].weights).items():
        largest = np.abs(array).max()
        limit = array.astype(np.float16).astype(np.float32) if name.endswith("weight") else array
        np.testing.assert_allclose(found[name], limit, rtol=0, atol=0 if name.endswith("weight") else largest / 200)


def test_each_stage_is_a_file_with_its_own_score(
    context: TrainingContext, files: Stages, models: tuple[Model, Model, Model]
) -> None:
    dense, pruned, shared = models
    assert files.dense.size_bytes == files.pruned.size_bytes > SMALL.float_bytes
    assert files.fine.size_bytes > files.huffman.size_bytes > files.best.size_bytes
    for file, coder in ((files.huffman, "gaps"), (files.best, "auto")):
        content = encode(with_one_coder(SMALL, shared, coder))
        assert file.size_bytes == len(content) == sum(part.bits for part in file.parts) / 8
        weights = flat_weights(decode(content))
        assert file.test == score(context, SMALL.spec, weights, context.dataset.test)
        assert file.validation == validation(context, SMALL.spec, weights, 1)
    assert files.huffman.validation == files.best.validation
    assert files.pruned.validation == validation(context, SMALL.spec, pruned.weights, 1)
    assert files.dense.validation == validation(context, SMALL.spec, dense.weights, 1)


# --- the whole, on drawings ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deep-compression") / "store.sqlite"


def reproduced(place: Path, data: Dataset) -> tuple[Report, Bench]:
    """Reproduce the document with one small network instead of its two."""
    small = small_document(replace(SMALL, pruning=Recipe("kl", epochs=120), ratio=2))
    with Store(place) as store:
        bench = Bench(Study(store, 1), TINY)
        return small.reproduce(bench, {"mnist": data}), bench


@pytest.fixture(scope="module")
def first(place: Path, context: TrainingContext) -> tuple[Report, Bench]:
    return reproduced(place, context.dataset)


def test_every_stage_is_trained_from_the_one_before(first: tuple[Report, Bench]) -> None:
    _, bench = first
    assert list(bench.runs) == ["trained: small", *(f"pruned {n}: small" for n in (1, 2, 3)), "shared: small"]
    assert bench.left_out == ["pruned at once: small"] and effort_notes(bench)[1] == "Left out: pruned at once: small."
    before = bench.runs["trained: small"].outcomes[0].weights
    for done, (name, runs) in enumerate(list(bench.runs.items())[1:4]):
        arrays = named_arrays(SMALL.spec, (1, 28, 28), runs.outcomes[0].weights)
        for tensor, layer in SMALL.tensors.items():
            size = arrays[tensor].size
            zeros = round(gradual_shares(1 - layer.kept, 3)[done] * size)
            assert np.count_nonzero(arrays[tensor] == 0) == zeros, f"{name}, {tensor}"
        assert not np.array_equal(runs.outcomes[0].weights, before)
    shared = bench.runs["shared: small"].outcomes[0].weights
    np.testing.assert_array_equal(shared == 0, bench.runs["pruned 3: small"].outcomes[0].weights == 0)


def test_the_tables_are_of_the_files(first: tuple[Report, Bench], context: TrainingContext) -> None:
    report, bench = first
    answer, stages, layers, clusters = report.tables[:4]
    for table in report.tables:
        assert {len(row) for row in table.rows} == {len(table.heads)}, table.title
    assert len(answer.rows) == len(report.rows) == 1 and report.rows[0].published == 0.99
    weights = bench.runs["shared: small"].outcomes[0].weights
    model = Model(SMALL.spec, (1, 28, 28), context.dataset.class_names, weights)
    content = encode(with_one_coder(SMALL, model, "gaps"))
    assert answer.rows[0][1:4] == (
        f"{SMALL.float_bytes:,}",
        f"{len(content):,}",
        f"{SMALL.float_bytes / len(content):.1f}",
    )
    assert [row[1] for row in stages.rows] == [
        "trained, float32",
        "pruned, float32",
        "pruned, 12-bit levels, gaps",
        "pruned and shared, Huffman",
        "the same levels, our best coder",
    ]
    found = score(context, SMALL.spec, flat_weights(decode(content)), context.dataset.test)
    assert stages.rows[3][5] == f"{100 * (1 - found.rate):.2f} ({60 - found.correct}/60)"
    assert [row[0] for row in layers.rows] == ["small conv", "small ip1", "small ip2"]
    assert [row[1] for row in clusters.rows] == ["1", "5", "1,000"]


def test_again_it_trains_nothing_and_says_the_same(
    first: tuple[Report, Bench], place: Path, context: TrainingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smidgen.trials.evaluate.evaluate", None)
    report, bench = reproduced(place, context.dataset)
    assert (bench.study.trained, bench.study.remembered) == (0, 5)
    assert (report.tables, report.findings) == (first[0].tables, first[0].findings)


@pytest.mark.slow
def test_the_papers_networks_have_a_row_each(place: Path) -> None:
    """Their files take half a minute to write, whatever they were trained on."""
    with Store(place) as store:
        report = document.DOCUMENT.reproduce(Bench(Study(store, 1), TINY), {"mnist": DATA})
    assert {row.name: row.published for row in report.rows} == {"LeNet-300-100": 0.9842, "LeNet-5": 0.9926}
    assert [len(table.rows) for table in report.tables] == [2, 10, 7, 6]
    assert all(finding.answer.strip() for finding in report.findings)


# --- answers -------------------------------------------------------------------------------------


def lengths(*sizes: int, wrong: int = 0) -> Stages:
    found = Score(1000 - wrong, 1000)
    parts = tuple(Part(f"{name} {part}", 8) for name in NETS["LeNet-300-100"].tensors for part in ("levels", "grid"))
    return Stages(*(Stored("", size, parts, found, found) for size in sizes))


def answer(files: Stages, question: str, clusters: tuple[document.Clustered, ...] = ()) -> str:
    """What the page answers for one network."""
    name = "LeNet-300-100"
    found = document.Compressed(
        rows=(), nets={name: NETS[name]}, files={name: files}, clusters={name: clusters} if clusters else {}
    )
    findings = render("deep-compression", found).findings
    return next(each.answer for each in findings if each.question == question)


def test_whether_a_figure_is_reached_follows_from_the_file() -> None:
    ratio, error = "Is the published ratio reached, in bytes of a file?", "And the published error?"
    good, bad = (lengths(9, 9, 9, size, 9, wrong=wrong) for size, wrong in ((26_661, 15), (26_662, 16)))
    assert answer(good, ratio) == "LeNet-300-100: 26,661 bytes, 40.0 times smaller (published 40): reached."
    assert answer(bad, ratio).endswith("40.0 times smaller (published 40): not reached.")
    assert answer(good, error) == "LeNet-300-100: 1.50 % on test (published 1.58 %): reached."
    assert answer(bad, error) == "LeNet-300-100: 1.60 % on test (published 1.58 %): not reached."


def test_what_is_saved_follows_from_the_files() -> None:
    assert answer(lengths(1000, 1000, 106_644, 9, 9), "What does pruning save by itself?") == (
        "LeNet-300-100: 92 % of the weights are zero and the float32 file is 0 bytes smaller; with 12-bit levels and "
        "gaps it is 10.0 times smaller."
    )
    coder = "What does a better coder save on the same levels?"
    assert answer(lengths(9, 9, 9, 2000, 1500), coder) == "LeNet-300-100: 2,000 bytes to 1,500, 25.0 % less."
    rounds = ((1, 900, 90), (5, 950, 95), (1000, 1000, 89))
    clusters = tuple(document.Clustered(count, size, Score(correct, 100)) for count, size, correct in rounds)
    assert answer(lengths(9, 9, 9, 9, 9), "Does it pay to let k-means run to its end?", clusters) == (
        "LeNet-300-100: from 1 to at most 1,000 rounds the file grows by 100 bytes and -1 of 100 validation images "
        "are right."
    )


# --- ours, trained for the length of the file ------------------------------------------------------


def test_the_shortest_file_holds_what_was_asked_and_beats_coding_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(teachers.TEACHERS, "mnist", ("dense 16 relu, dense 10", Recipe(epochs=20)))
    spec = "maxpool 2, dense 10"
    aim = shortest_files.Aim(0.2, spec, Recipe("kl", epochs=60), 2_600, 0.01, "somebody")
    effort = replace(shortest_files.EFFORT, children=2, steps=200)
    data = DATA
    whole = Effort("whole", most_seeds=1, row_macs=1e12, epoch_share=1.0, largest_macs=1e12)
    with Store(tmp_path / "store.sqlite") as store:
        bench = Bench(Study(store, 1), whole)
        files = shortest_files.shortest_files(bench, TrainingContext(data), {"small": aim}, effort)
    found = files["small"].file
    assert found.file_bytes == len(encode(found.quantized))
    for half in (data.selection, data.confirmation):
        assert (
            1
            - score(
                TrainingContext(data), found.quantized.spec, flat_weights(decode(encode(found.quantized))), half
            ).rate
            <= 0.2
        )
    count = parse_spec(spec).parameters(data.input_shape)
    assert found.file_bytes < count
    net = replace(SMALL, text=spec)
    page = render("deep-compression", document.Compressed(rows=(), nets={"small": net}, files={}, shortest=files))
    table = next(table for table in page.tables if table.title == "Trained for the length of the file")
    assert table.rows[0][2] == f"{found.file_bytes:,}"
    assert f"{found.file_bytes:,} bytes" in page.findings[-1].answer


def test_where_epochs_are_cut_no_file_is_searched_for(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        assert shortest_files.shortest_files(Bench(Study(store, 1), TINY), TrainingContext(DATA)) == {}
