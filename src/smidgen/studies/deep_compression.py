"""deep-compression: pruning, shared weights, Huffman codes (Han, Mao & Dally 2016, arXiv 1510.00149), in bytes.

The paper's two networks on MNIST with the paper's settings: how many of each layer's weights are kept, how many
values they share, gaps and levels in Huffman codes. What it does not say is ours: how long is trained and from what,
three rounds of pruning (Zhu & Gupta 2017), how far k-means runs, eight bits for biases and sixteen for a shared value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smidgen.data import Dataset
from smidgen.engine import Start
from smidgen.model import Model, decode, encode, flat_weights
from smidgen.records import Recipe, Score
from smidgen.studies.deep_compression_networks import (
    BEST,
    DENSE,
    FINE,
    HUFFMAN,
    NETS,
    PRUNED,
    SHAPE,
    Net,
    Stored,
    stored,
    validation,
    with_one_coder,
)
from smidgen.studies.pictures import Mark, Series, curves
from smidgen.studies.shortest_files import shortest_answer, shortest_files, shortest_table
from smidgen.studies.table import NOTHING, Document, Finding, Picture, Report, Row, Table
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.transforms import gradual_shares, pruned_start, shared_start, smallest
from smidgen.trials.evaluate import TrainingContext

TEACHER = "LeNet-5"
"""Trained from labels, it teaches both networks while they are pruned and shared."""
AT_ONCE, SHARED = "pruned at once: ", "shared: "
ROUNDS = 3
K_MEANS_ROUNDS = 1
"""Chosen by validation: more rounds make the clusters more equal in number, which costs more bits than it gains."""


# --- trainings -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of each network at the end of each stage, by its name.

    runs: of the last stage
    gradual, at_once: pruned in rounds, and one of them in one round of as many epochs, if not left out
    """

    dense: Mapping[str, Model]
    pruned: Mapping[str, Model]
    shared: Mapping[str, Model]
    runs: Mapping[str, Runs]
    gradual: Mapping[str, Runs]
    at_once: Mapping[str, Runs]


def train(bench: Bench, context: TrainingContext) -> Trained:
    """Both networks side by side: from labels, then pruned round by round, then shared."""
    jobs = {name: Job(net.spec, net.training, 1, needed=True) for name, net in NETS.items()}
    gradual = bench.train(context, jobs, "deep-compression: from labels", "trained: ")
    taught = bench.taught(context, gradual[TEACHER])
    dense = pruned = _models(context, gradual)
    for done in range(ROUNDS):
        jobs = {name: _job(net, net.pruning, _pruned(net, pruned[name], ROUNDS, done)) for name, net in NETS.items()}
        gradual = bench.train(taught, jobs, f"deep-compression: pruning {done + 1}", f"pruned {done + 1}: ")
        pruned = _models(context, gradual)
    cheaper = min(NETS, key=lambda name: NETS[name].spec.macs(SHAPE))
    jobs = {AT_ONCE + cheaper: _at_once(NETS[cheaper], dense[cheaper])}
    for name, net in NETS.items():
        jobs[SHARED + name] = _job(net, net.sharing, _shared(net, pruned[name], K_MEANS_ROUNDS))
    found = bench.train(taught, jobs, "deep-compression: sharing")
    once, runs = ({name: found[stage + name] for name in NETS if stage + name in found} for stage in (AT_ONCE, SHARED))
    return Trained(dense, pruned, _models(context, runs), runs, gradual, once)


def _job(net: Net, recipe: Recipe, start: Start) -> Job:
    return Job(net.spec, recipe, 1, lambda _seed: start, needed=True)


def _at_once(net: Net, dense: Model) -> Job:
    recipe = replace(net.pruning, epochs=ROUNDS * net.pruning.epochs)
    return replace(_job(net, recipe, _pruned(net, dense, 1, 0)), needed=False)


def _pruned(net: Net, model: Model, rounds: int, done: int) -> Start:
    shares = {name: gradual_shares(1 - layer.kept, rounds)[done] for name, layer in net.tensors.items()}
    return pruned_start(model, smallest(model, shares))


def _shared(net: Net, model: Model, rounds: int) -> Start:
    """One of a layer's 2**bits values is zero."""
    return shared_start(model, {name: 2**layer.bits - 1 for name, layer in net.tensors.items()}, rounds)


def _models(context: TrainingContext, runs: Mapping[str, Runs]) -> dict[str, Model]:
    names = context.dataset.class_names
    return {
        name: Model(NETS[name].spec, SHAPE, names, found.outcomes[found.best].weights) for name, found in runs.items()
    }


# --- the report ----------------------------------------------------------------------------------

Files = Mapping[str, Sequence[Stored]]


def reproduce(bench: Bench, data: Mapping[str, Dataset]) -> Report:
    """Train everything and say what it shows."""
    context = TrainingContext(data["mnist"], bench.engine)
    trained, threads = train(bench, context), bench.study.workers
    files = {
        name: stored(context, net, trained.dense[name], trained.pruned[name], trained.shared[name], threads)
        for name, net in NETS.items()
    }
    clusters = {name: rounds_of_k_means(context, net, trained.pruned[name], threads) for name, net in NETS.items()}
    ours = shortest_files(bench, context)
    float_bytes = {name: net.float_bytes for name, net in NETS.items()}
    ours_tables = (shortest_table(ours, float_bytes),) if ours else ()
    rows = [Row(name, net.parameters, 1 - net.error, trained.runs[name]) for name, net in NETS.items()]
    return Report(
        name="deep-compression",
        title=DOCUMENT.title,
        notes=NOTES,
        rows=tuple(rows),
        tables=(
            answer_table(files),
            stage_table(files),
            layer_table(files),
            cluster_table(clusters),
            *ours_tables,
        ),
        findings=(
            *findings(files, clusters, trained),
            Finding("How short can the files be?", shortest_answer(ours) or NOTHING, True),
        ),
        pictures=(picture(files),),
        runs=dict(bench.runs),
    )


NOTES = (
    "Every size is the length of a file that was decoded again, and the scores beside it are the decoded network's. "
    "'Times' is against four bytes a parameter.",
    f"Both networks are trained from labels with images moved at random, then pruned in {ROUNDS} rounds and shared, "
    f"from the probabilities of the trained {TEACHER}; the paper says no recipe.",
    "Zeros stay zero from the pruning on, and all weights of a cluster stay equal while they are trained.",
    "The paper's bits of a weight are its value's and its gap's with Huffman codes. Ours are all that the file has for "
    "a layer's levels, tables among them.",
)


def rounds_of_k_means(context: TrainingContext, net: Net, pruned: Model, threads: int) -> dict[int, tuple[int, Score]]:
    """By how far k-means runs: the bytes of the file, and the validation score before shared values are trained."""
    found = {}
    for rounds in (1, 5, 1000):
        model = replace(pruned, weights=_shared(net, pruned, rounds).weights)
        content = encode(with_one_coder(net, model, "gaps"))
        weights = flat_weights(decode(content))
        found[rounds] = len(content), validation(context, net.spec, weights, threads)
    return found


def answer_table(files: Files) -> Table:
    """The whole pipeline beside what was published."""
    rows = []
    for name, many in files.items():
        net, file = NETS[name], many[HUFFMAN]
        low, high = (100 * (1 - end) for end in reversed(file.test.interval()))
        ratios = (f"{net.float_bytes / file.size_bytes:.1f}", str(net.ratio))
        errors = (wrong(file.test), f"{low:.2f} to {high:.2f}", f"{100 * net.error:.2f}")
        rows.append((name, f"{net.float_bytes:,}", f"{file.size_bytes:,}", *ratios, *errors))
    heads = (
        *("", ">bytes of float32", ">bytes of the file", ">times", ">published", ">test error, %"),
        *("95 % interval", ">published, %"),
    )
    return Table("Pruned, shared and in Huffman codes", heads, tuple(rows))


def stage_table(files: Files) -> Table:
    """Every file: bytes, times smaller, errors, beside what was published."""
    rows = []
    for name, many in files.items():
        net = NETS[name]
        published = {DENSE: f"{100 * net.reference_error:.2f}", HUFFMAN: f"{100 * net.error:.2f} at {net.ratio}x"}
        for place, file in enumerate(many):
            size = (f"{file.size_bytes:,}", f"{net.float_bytes / file.size_bytes:.1f}")
            errors = (wrong(file.validation), wrong(file.test), published.get(place, ""))
            rows.append((name, file.stage, *size, *errors))
    heads = ("", "stage", ">bytes", ">times", ">validation error, %", ">test error, %", ">published error, %")
    return Table("Files, each decoded again and scored", heads, tuple(rows))


def layer_table(files: Files) -> Table:
    """Layer by layer: what is kept, and the bits of a kept weight, beside the paper's tables 2 and 3."""
    rows = []
    for name, many in files.items():
        for tensor, (weights, kept) in NETS[name].counts.items():
            layer = NETS[name].tensors[tensor]
            huffman, best = (bits_of(many[place], f"{tensor} levels") for place in (HUFFMAN, BEST))
            grid = bits_of(many[HUFFMAN], f"{tensor} grid")
            share = 100 * (huffman + grid) / (32 * weights)
            cells = (f"{layer.stored_bits:.1f}", f"{huffman / kept:.2f}", f"{best / kept:.2f}", f"{grid / 8:.0f}")
            counts = (f"{weights:,}", f"{100 * layer.kept:.0f}", str(layer.bits))
            rows.append((f"{name} {layer.name}", *counts, *cells, f"{100 * layer.share:.2f}", f"{share:.2f}"))
    heads = (
        *("", ">weights", ">kept, %", ">bits of a value", ">published bits a kept weight", ">Huffman", ">our coder"),
        *(">bytes of the codebook", ">published % of float32", ">% of float32"),
    )
    return Table("Bits of a kept weight, its gap among them", heads, tuple(rows))


def cluster_table(clusters: Mapping[str, Mapping[int, tuple[int, Score]]]) -> Table:
    """How far k-means runs, for the shared values as they are before they are trained."""
    rows = tuple(
        (name, f"{rounds:,}", f"{size:,}", f"{NETS[name].float_bytes / size:.1f}", wrong(found))
        for name, many in clusters.items()
        for rounds, (size, found) in many.items()
    )
    heads = ("", ">rounds of k-means, at most", ">bytes", ">times", ">validation error, %")
    return Table("Shared values before they are trained, by how far k-means runs", heads, rows)


def bits_of(file: Stored, part: str) -> float:
    return next(each.bits for each in file.parts if each.name == part)


def wrong(found: Score) -> str:
    """The error in % and the count."""
    return f"{100 * (1 - found.rate):.2f} ({found.total - found.correct}/{found.total})"


def findings(
    files: Files, clusters: Mapping[str, Mapping[int, tuple[int, Score]]], trained: Trained
) -> tuple[Finding, ...]:
    """Questions, with answers from the files."""
    return (
        Finding("Is the published ratio reached, in bytes of a file?", each(files, ratio_answer), True),
        Finding("And the published error?", each(files, error_answer), True),
        Finding("What does pruning save by itself?", each(files, pruned_answer)),
        Finding("What does a better coder save on the same levels?", each(files, coder_answer)),
        Finding("Does it pay to let k-means run to its end?", cluster_answer(clusters)),
        Finding(f"Does it pay to prune in {ROUNDS} rounds?", rounds_answer(trained.gradual, trained.at_once)),
    )


def each(files: Files, answer: Callable[[Net, Sequence[Stored]], str]) -> str:
    return " ".join(f"{name}: {answer(NETS[name], many)}" for name, many in files.items())


def ratio_answer(net: Net, many: Sequence[Stored]) -> str:
    ratio = net.float_bytes / many[HUFFMAN].size_bytes
    verdict = "reached" if ratio >= net.ratio else "not reached"
    return f"{many[HUFFMAN].size_bytes:,} bytes, {ratio:.1f} times smaller (published {net.ratio}): {verdict}."


def error_answer(net: Net, many: Sequence[Stored]) -> str:
    found = many[HUFFMAN].test
    verdict = "held" if 1 - found.rate <= net.error else "not held"
    return f"{100 * (1 - found.rate):.2f} % on test (published {100 * net.error:.2f} %): {verdict}."


def pruned_answer(net: Net, many: Sequence[Stored]) -> str:
    weights, kept = (sum(counts) for counts in zip(*net.counts.values(), strict=True))
    saved = many[DENSE].size_bytes - many[PRUNED].size_bytes
    return (
        f"{100 * (1 - kept / weights):.0f} % of the weights are zero and the float32 file is {saved:,} bytes smaller; "
        f"with 12-bit levels and gaps it is {net.float_bytes / many[FINE].size_bytes:.1f} times smaller."
    )


def coder_answer(_net: Net, many: Sequence[Stored]) -> str:
    huffman, best = many[HUFFMAN].size_bytes, many[BEST].size_bytes
    return f"{huffman:,} bytes to {best:,}, {100 * (1 - best / huffman):.1f} % less."


def cluster_answer(clusters: Mapping[str, Mapping[int, tuple[int, Score]]]) -> str:
    answers = []
    for name, many in clusters.items():
        (few, (short, first)), *_, (most, (long, last)) = many.items()
        answers.append(
            f"{name}: from {few} to at most {most:,} rounds the file grows by {long - short:,} bytes and "
            f"{last.correct - first.correct:+d} of {last.total} validation images are right."
        )
    return " ".join(answers)


def rounds_answer(gradual: Mapping[str, Runs], at_once: Mapping[str, Runs]) -> str:
    """By the validation split."""
    answers = []
    for name, runs in at_once.items():
        rounds, once = gradual[name].validation[0], runs.validation[0]
        wrong_rounds, wrong_once = (score.total - score.correct for score in (rounds, once))
        answers.append(
            f"{name}: {wrong_rounds} of {rounds.total} validation images are wrong after {ROUNDS} rounds, {wrong_once} "
            "after one round of as many epochs."
        )
    return " ".join(answers) or NOTHING


def picture(files: Files) -> Picture:
    title = "Deep Compression, stage by stage"
    series = [
        Series(name, tuple((file.size_bytes, (file.test.rate,)) for file in many), colour=colour)
        for colour, (name, many) in enumerate(files.items())
    ]
    marks = [Mark(name, net.float_bytes / net.ratio, 1 - net.error) for name, net in NETS.items()]

    def draw(path: Path) -> None:
        curves(title, series, marks, path, x_label="bytes of the file", y_label="test accuracy, %", lowest=0.9)

    return Picture("accuracy.png", title, draw)


DOCUMENT = Document(
    "deep-compression", "deep-compression: pruning, shared weights, Huffman codes on MNIST", ("mnist",), reproduce
)
