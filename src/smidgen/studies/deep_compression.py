"""deep-compression: pruning, shared weights, Huffman codes (Han, Mao & Dally 2016, arXiv 1510.00149), in bytes.

The paper's two networks on MNIST with the paper's settings: how many of each layer's weights are kept, how many
values they share, gaps and levels in Huffman codes. The paper does not give the recipes; ours are: epochs and start,
three rounds of pruning (Zhu & Gupta 2017), rounds of k-means, 8 bits for a bias and 16 for a shared value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from smidgen.data import Dataset
from smidgen.engine import Start
from smidgen.model import Model, decode, encode, flat_weights
from smidgen.records import Recipe, Score
from smidgen.studies.deep_compression_networks import NETS, Net, Stages, stored, validation, with_one_coder
from smidgen.studies.document import SHAPE, Document, Results, Row
from smidgen.studies.pictures import Picture, Series
from smidgen.studies.shortest_files import Shortest, shortest_files
from smidgen.studies.trainings import Bench, Job, Runs
from smidgen.transforms import gradual_shares, pruned_start, shared_start, smallest
from smidgen.trials.evaluate import TrainingContext

TEACHER = "LeNet-5"
"""Trained from labels, it teaches both networks while they are pruned and shared."""
AT_ONCE, SHARED = "pruned at once: ", "shared: "
ROUNDS = 3
K_MEANS_ROUNDS = 1
"""Chosen by validation: more rounds make the clusters more equal in number, which costs more bits than it gains."""
K_MEANS_COMPARED = (1, 5, 1000)

Models = dict[str, Model]


@dataclass(frozen=True)
class Clustered:
    """A file whose shared values come from at most so many rounds of k-means and were not trained."""

    rounds: int
    size_bytes: int
    validation: Score


@dataclass(frozen=True, eq=False, kw_only=True)
class Compressed(Results):
    """The files and the runs of the paper's networks, each by the network's name.

    Attributes:
        gradual: Validation scores after pruning in `ROUNDS` rounds.
        at_once: Validation scores after one round of as many epochs, where it was not left out.
        shortest: Our shortest files; empty where the effort cuts epochs.
    """

    nets: Mapping[str, Net]
    files: Mapping[str, Stages]
    clusters: Mapping[str, tuple[Clustered, ...]] = field(default_factory=dict)
    gradual: Mapping[str, Score] = field(default_factory=dict)
    at_once: Mapping[str, Score] = field(default_factory=dict)
    shortest: Mapping[str, Shortest] = field(default_factory=dict)


def counted() -> dict[tuple[str, str], float]:
    """Return what the paper states and no training is needed for, by (row, figure)."""
    return {(name, "size before"): net.float_bytes for name, net in NETS.items()}


def train(
    bench: Bench, data: Mapping[str, Dataset], nets: Mapping[str, Net] = NETS, teacher: str = TEACHER
) -> Compressed:
    """Train both networks side by side through all stages, and write and score the files."""
    context, threads = bench.context(data["mnist"]), bench.study.workers
    jobs = {name: Job(net.spec, net.training, 1, needed=True) for name, net in nets.items()}
    runs = bench.train(context, jobs, "trained: ")
    taught = bench.taught(context, runs[teacher])
    dense = pruned = models(context, runs)
    for done in range(ROUNDS):
        jobs = {name: job(net, net.pruning, pruned_to(net, pruned[name], ROUNDS, done)) for name, net in nets.items()}
        runs = bench.train(taught, jobs, f"pruned {done + 1}: ")
        pruned = models(context, runs)
    once, shared_runs = share(bench, taught, nets, dense, pruned)
    shared = models(context, shared_runs)
    return Compressed(
        rows=tuple(Row(name, net.parameters, 1 - net.error, shared_runs[name]) for name, net in nets.items()),
        nets=nets,
        files={n: stored(context, net, dense[n], pruned[n], shared[n], threads) for n, net in nets.items()},
        clusters={n: rounds_of_k_means(context, net, pruned[n], threads) for n, net in nets.items()},
        gradual={name: found.validation[0] for name, found in runs.items()},
        at_once={name: found.validation[0] for name, found in once.items()},
        shortest=shortest_files(bench, context),
    )


def share(
    bench: Bench, taught: TrainingContext, nets: Mapping[str, Net], dense: Models, pruned: Models
) -> tuple[dict[str, Runs], dict[str, Runs]]:
    """Train shared values; beside them the cheaper network is pruned in one round. Return (at once, shared)."""
    name = min(nets, key=lambda name: nets[name].spec.macs(SHAPE))
    recipe = replace(nets[name].pruning, epochs=ROUNDS * nets[name].pruning.epochs)
    at_once = job(nets[name], recipe, pruned_to(nets[name], dense[name], 1, 0))
    jobs = {AT_ONCE + name: replace(at_once, needed=False)}
    jobs |= {SHARED + n: job(net, net.sharing, shared_to(net, pruned[n], K_MEANS_ROUNDS)) for n, net in nets.items()}
    runs = bench.train(taught, jobs)
    once, shared = ({n: runs[stage + n] for n in nets if stage + n in runs} for stage in (AT_ONCE, SHARED))
    return once, shared


def job(net: Net, recipe: Recipe, start: Start) -> Job:
    return Job(net.spec, recipe, 1, lambda _seed: start, needed=True)


def pruned_to(net: Net, model: Model, rounds: int, done: int) -> Start:
    """Return a start with the smallest weights zero, as many as the round after `done` prunes (Zhu & Gupta 2017)."""
    shares = {name: gradual_shares(1 - layer.kept, rounds)[done] for name, layer in net.tensors.items()}
    return pruned_start(model, smallest(model, shares))


def shared_to(net: Net, model: Model, rounds: int) -> Start:
    """Return a start with 2**bits values in each layer, one of them zero."""
    return shared_start(model, {name: 2**layer.bits - 1 for name, layer in net.tensors.items()}, rounds)


def models(context: TrainingContext, runs: Mapping[str, Runs]) -> Models:
    names = context.dataset.class_names
    return {name: Model(found.job.spec, SHAPE, names, found.best[1].weights) for name, found in runs.items()}


def rounds_of_k_means(context: TrainingContext, net: Net, pruned: Model, threads: int) -> tuple[Clustered, ...]:
    """Write and score a file for each number of rounds in `K_MEANS_COMPARED`."""
    found = []
    for rounds in K_MEANS_COMPARED:
        model = replace(pruned, weights=shared_to(net, pruned, rounds).weights)
        content = encode(with_one_coder(net, model, "gaps"))
        weights = flat_weights(decode(content))
        found.append(Clustered(rounds, len(content), validation(context, net.spec, weights, threads)))
    return tuple(found)


def pictures(found: Compressed) -> Iterator[Picture]:
    lines = tuple(
        Series(name, tuple((file.size_bytes, (file.test.rate,)) for file in files), colour=colour)
        for colour, (name, files) in enumerate(found.files.items())
    )
    marks = tuple((name, net.float_bytes / net.ratio, 1 - net.error) for name, net in found.nets.items())
    title = "Deep Compression, stage by stage"
    yield Picture("accuracy.png", title, lines, marks, x_label="bytes of the file", lowest=0.9)


DOCUMENT = Document("deep-compression", "pruning, shared weights, Huffman codes on MNIST", ("mnist",), train, pictures)
