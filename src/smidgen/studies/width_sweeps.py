"""width-sweeps: four families swept over a width on MNIST, and where the curve of accuracy against size turns.

The document's layers have no dropout: with the two of Keras's example, cnn1 at width 2 comes nowhere near what was
published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from statistics import fmean

from smidgen.data import Dataset
from smidgen.records import Recipe
from smidgen.search.frontier import TurningPoint
from smidgen.search.turning_point import turning_point
from smidgen.spec import Dropout, NetSpec
from smidgen.spec.families import family
from smidgen.spec.plan import LayerPlan
from smidgen.studies.datasets import all_training_images
from smidgen.studies.document import SHAPE, Document, Network, Results, rows
from smidgen.studies.pictures import Picture, Series, series
from smidgen.studies.published import optional, published
from smidgen.studies.teachers import teacher, teacher_job
from smidgen.studies.trainings import Bench, Job, Runs

RMSPROP = Recipe(optimizer="rmsprop", learning_rate=0.001, schedule="constant", epochs=20, batch_size=128)
ADADELTA = Recipe(optimizer="adadelta", learning_rate=1.0, schedule="constant", epochs=12, batch_size=128)


stated = partial(optional, "width-sweeps")


@dataclass(frozen=True)
class Member(Network):
    """A network of a family, for ten classes, without the family's dropout."""

    family: str
    width: int

    @property
    def published(self) -> float | None:
        """The test accuracy that the document states."""
        return stated(str(self), "test accuracy")

    @property
    def spec(self) -> NetSpec:
        layers = family(self.family, self.width).layers
        return NetSpec(tuple(layer for layer in layers if not isinstance(layer, Dropout)))

    @property
    def layers(self) -> list[LayerPlan]:
        """The layers that have parameters."""
        return [plan for plan in self.spec.plan(SHAPE) if plan.parameters]

    def __str__(self) -> str:
        return f"{self.family}, n = {self.width}"


@dataclass(frozen=True)
class Sweep:
    """A family in the document: its widths, its recipe, and the author's turning point."""

    widths: tuple[int, ...]
    recipe: Recipe
    turn: Member

    @property
    def members(self) -> list[Member]:
        """The networks, the widest first."""
        return [Member(self.turn.family, width) for width in self.widths]

    def trained(self, runs: Mapping[str, Runs]) -> list[tuple[int, Runs]]:
        """Return (parameters, runs) of the networks that were trained, the widest first."""
        return [(net.parameters, runs[str(net)]) for net in self.members if str(net) in runs]

    def turning(self, runs: Mapping[str, Runs]) -> TurningPoint | None:
        """Return the turning point by our rule, on the validation split."""
        return turning_point({parameters: found.validation for parameters, found in self.trained(runs)})

    def smallest(self, runs: Mapping[str, Runs]) -> int | None:
        """Return the fewest parameters whose mean validation rate reaches the document's target."""
        rates = ((parameters, fmean(s.rate for s in found.validation)) for parameters, found in self.trained(runs))
        return min((parameters for parameters, rate in rates if rate >= TARGET), default=None)


MLP_WIDTHS, CNN_WIDTHS = (512, 256, 128, 64, 32, 16), (32, 16, 8, 4, 2, 1)
SWEEPS = {
    "mlp1": Sweep(MLP_WIDTHS, RMSPROP, Member("mlp1", 32)),
    "mlp2": Sweep(MLP_WIDTHS, RMSPROP, Member("mlp2", 64)),
    "cnn1": Sweep(CNN_WIDTHS, ADADELTA, Member("cnn1", 2)),
    "cnn2": Sweep(CNN_WIDTHS, ADADELTA, Member("cnn2", 2)),
}
NETS = {str(net): net for sweep in SWEEPS.values() for net in sweep.members}
TARGET = published("width-sweeps", "all", "target")
IMAGES = 50_000
OUR_MACS, LEAST_EPOCHS, MOST_EPOCHS = 0.25e12, 2, 30
"""Multiply-accumulates that a training of ours may take, and the bounds of its epochs."""
TINY, TINY_EPOCHS = 1_000, 100
"""Networks with fewer parameters cost little and gain from every epoch."""
HARD = 500
"""Networks with fewer parameters learn best from the teacher's probabilities at T = 1."""
CHEAP_MACS = 150_000
SEEDS = {"document": (10, 3, 1), "ours": (2, 1, 1), "distilled": (3, 2, 1)}
"""Seeds where a figure was published, of other networks below `CHEAP_MACS`, of the rest."""
TINY_SEEDS = 16
"""Seeds of distilled networks below `TINY` parameters: they differ so much that the selection half can choose one."""
LAYERS_SHOWN = (Member("mlp1", 32), Member("cnn1", 2))


def counted() -> dict[tuple[str, str], float]:
    """Return what the document states and no training is needed for, by (row, figure)."""
    found: dict[tuple[str, str], float] = {}
    for name, net in NETS.items():
        base = SWEEPS[net.family[:3] + "1"].members[0]
        largest = max(plan.parameters for plan in net.layers)
        found |= {(name, "parameters"): net.parameters, (name, "times smaller"): base.parameters / net.parameters}
        found[name, "parameters of the largest layer"] = largest
        found[name, "share of the largest layer"] = largest / net.parameters
    mlp2, cnn2 = (SWEEPS[name].turn for name in ("mlp2", "cnn2"))
    return found | {(str(cnn2), "times below mlp2"): mlp2.parameters / cnn2.parameters}


def ours(net: Member) -> Recipe:
    """Return one-cycle Adam, with a lower peak for larger networks, for as many epochs as `OUR_MACS` allows."""
    parameters = net.parameters
    if parameters < TINY:
        return Recipe(learning_rate=0.03, epochs=TINY_EPOCHS)
    rate = 0.01 if parameters < 10_000 else 0.005 if parameters < 100_000 else 0.002
    epochs = round(OUR_MACS / (3 * IMAGES * net.macs))
    return Recipe(learning_rate=rate, epochs=min(MOST_EPOCHS, max(LEAST_EPOCHS, epochs)))


def jobs(recipe: str) -> dict[str, Job]:
    """Return all networks by "document", "ours" (labels) or "distilled"; more seeds where a figure was published."""
    made = {}
    for name, net in NETS.items():
        how = SWEEPS[net.family].recipe if recipe == "document" else ours(net)
        if recipe == "distilled":
            how = replace(how, loss="kl", temperature=1.0 if net.parameters < HARD else 2.0)
        made[name] = Job(net.spec, how, seeds(net, recipe))
    return made


def seeds(net: Member, recipe: str) -> int:
    """Return from how many seeds a network is trained by "document", "ours" or "distilled"."""
    if recipe == "distilled" and net.parameters < TINY:
        return TINY_SEEDS
    shown, cheap, rest = SEEDS[recipe]
    return shown if net.published else cheap if net.macs < CHEAP_MACS else rest


@dataclass(frozen=True, eq=False, kw_only=True)
class Swept(Results):
    """The runs by the document's recipes, on all 60,000 images too, and by ours from labels and from our teacher."""

    theirs: Mapping[str, Runs]
    all_images: Mapping[str, Runs]
    plain: Mapping[str, Runs]
    soft: Mapping[str, Runs]

    @cached_property
    def turns(self) -> list[tuple[Sweep, TurningPoint | None, TurningPoint | None]]:
        """Each sweep with its turning points on the validation split, by the document's recipe and by ours."""
        return [(sweep, sweep.turning(self.theirs), sweep.turning(self.soft)) for sweep in SWEEPS.values()]

    @property
    def gains(self) -> list[tuple[str, float, float]]:
        """What the teacher adds to our recipe, the most first: (network, gain, mean rate from the teacher)."""
        rates = ((name, runs.mean, self.soft[name].mean) for name, runs in self.plain.items() if name in self.soft)
        return sorted(((name, soft - plain, soft) for name, plain, soft in rates), key=lambda row: -row[1])


def train(bench: Bench, data: Mapping[str, Dataset]) -> Swept:
    """Train the four sweeps by the document's recipes and by ours, from labels and from our teacher."""
    context, everything = bench.context(data["mnist"]), bench.context(all_training_images(data["mnist"]))
    theirs = bench.train(context, jobs("document"), "document: ", teacher_job(context))
    _, taught = teacher(bench, context)
    plain = bench.train(context, jobs("ours"), "ours, labels: ")
    soft = bench.train(taught, jobs("distilled"), "ours, distilled: ")
    shown = {n: job for n, job in jobs("document").items() if NETS[n].published and bench.effort.is_whole}
    on_all = bench.train(everything, shown, "document, all images: ")
    return Swept(
        rows=rows("width-sweeps", NETS, theirs, soft), theirs=theirs, all_images=on_all, plain=plain, soft=soft
    )


def pictures(found: Swept) -> Iterator[Picture]:
    marks = tuple((NETS[name].family, size, rate) for name, size, rate in found.marks)
    first, second = "The four sweeps by the document's recipes", "The same by ours, from a teacher and from labels"
    by_ours = (*lines(found.soft, ", distilled"), *lines(found.plain, ", labels", "--"))
    yield Picture("document.png", first, lines(found.theirs), marks, lowest=0.85)
    yield Picture("ours.png", second, by_ours, marks, lowest=0.85)


def lines(runs: Mapping[str, Runs], suffix: str = "", line: str = "-") -> tuple[Series, ...]:
    """Return one series for each family."""
    return tuple(
        series(name + suffix, sweep.trained(runs), colour, line=line)
        for colour, (name, sweep) in enumerate(SWEEPS.items())
    )


DOCUMENT = Document("width-sweeps", "four families over a width, on MNIST", ("mnist",), train, pictures)
