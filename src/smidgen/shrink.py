"""The question: the smallest network that holds an accuracy floor.

    teacher -> generations of short trainings -> longer ones near the front -> finalists -> confirmation -> test

Everything is chosen on the selection half of the validation split. The floor asks for a rate whose 95 %
Wilson interval over the whole validation split lies above it; a network must reach that rate on the selection
half, and the smallest that does must reach it again on the confirmation half, which took no part in choosing. If it
fails, the next larger one is held against it. The test split is scored once, at the end.

What is trained depends on the arguments alone and never on the clock, so the same line run again finds every
trial in the store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from smidgen.candidate import Lessons, score
from smidgen.data import Dataset, load
from smidgen.errors import FloorNotHeld, RequestError
from smidgen.families import FAMILIES
from smidgen.frontier import TurningPoint, turning_point
from smidgen.records import Floor, Outcome, Recipe, Score, Trial
from smidgen.search import (
    Ranked,
    Space,
    corrected,
    expected_share,
    expected_size,
    first_generation,
    nearest,
    next_generation,
    promising,
    widened,
)
from smidgen.spec import NetSpec
from smidgen.store import Store, default_path
from smidgen.study import Progress, Study
from smidgen.teacher import default_recipe, default_spec, lessons_of


@dataclass(frozen=True)
class Effort:
    """How much is tried. Steps are optimizer steps; epochs follow from them and the size of the data.

    first, children: networks of the first and of each later generation, trained for `short_steps`
    promoted: of each generation, trained for `long_steps`
    finalists: after the generations, trained for `long_steps` from two seeds each
    near_misses, seeds: of the networks that came nearest to the floor, so many more seeds each
    curve_steps: of the networks that draw accuracy against size
    macs_a_value: the most multiply-accumulates of a candidate, for each value of an input
    """

    first: int
    generations: int
    children: int
    promoted: int
    finalists: int
    near_misses: int
    seeds: int
    fresh_seeds: int
    short_steps: int
    curve_steps: int
    long_steps: int
    macs_a_value: int


EFFORTS = {
    "quick": Effort(
        first=32,
        generations=3,
        children=16,
        promoted=1,
        finalists=2,
        near_misses=1,
        seeds=2,
        fresh_seeds=2,
        short_steps=1_600,
        curve_steps=1_600,
        long_steps=12_000,
        macs_a_value=100,
    ),
    "normal": Effort(
        first=48,
        generations=7,
        children=24,
        promoted=2,
        finalists=2,
        near_misses=2,
        seeds=3,
        fresh_seeds=3,
        short_steps=1_600,
        curve_steps=2_400,
        long_steps=20_000,
        macs_a_value=100,
    ),
    "thorough": Effort(
        first=128,
        generations=20,
        children=48,
        promoted=4,
        finalists=12,
        near_misses=8,
        seeds=8,
        fresh_seeds=8,
        short_steps=3_200,
        curve_steps=8_000,
        long_steps=64_000,
        macs_a_value=400,
    ),
}

MOST_PARAMETERS, LEAST_MACS = 20_000, 80_000
"""Of a candidate: more parameters would not be small; so many multiply-accumulates it may always have."""

SEARCHED = (0.7, 1.1)
"""Sizes that later generations try, as shares of the size at which the floor is expected."""

FAMILY_WIDTHS = (1, 2, 3)
"""Of each family, in the first generation."""

WAYS = {
    "labels": Recipe(batch_size=64, learning_rate=0.03),
    "KL, T = 2": Recipe(batch_size=64, learning_rate=0.03, loss="kl", temperature=2),
    "logits": Recipe(batch_size=64, learning_rate=0.03, loss="standardised-logits"),
}
"""What a candidate may learn from; the best on the selection half is used for all long trainings."""

WAY_SEEDS = 3
FINALIST_SEEDS = 2
GROWTHS, WIDENED, GROWN_MACS = 6, 1.4, 16
"""Where nothing holds: how often the best designs grow, by what factor in width, and what room they have."""

CURVE_SEEDS, CURVE_REACH = 2, 4
"""Of each size on the curve; how many times larger than the winner the largest may be."""


@dataclass(frozen=True, eq=False)
class Tried:
    """One training of the run: what was asked, what came of it, and at which stage."""

    trial: Trial
    outcome: Outcome
    stage: str


@dataclass(frozen=True, eq=False)
class Answer:
    """The smallest network that held the floor, and the evidence.

    test: of the winner; teacher_test: of the teacher; both scored once, after everything was chosen.
    fresh: the winner's network and recipe from seeds that took no part in the run.
    refused: networks that held the floor on the selection half and not on the confirmation half.
    """

    data: Dataset = field(repr=False)
    lessons: Lessons = field(repr=False)
    floor: Floor
    winner: Trial
    outcome: Outcome
    test: Score
    teacher: Tried
    teacher_test: Score
    fresh: tuple[Tried, ...] = field(repr=False)
    ways: dict[str, tuple[Tried, ...]] = field(repr=False)
    tried: tuple[Tried, ...] = field(repr=False)
    refused: tuple[Tried, ...] = field(repr=False)
    turning: TurningPoint | None
    seconds: float
    trained: int
    remembered: int

    @property
    def fresh_held(self) -> int:
        """How many fresh seeds hold the floor on the whole validation split."""
        return sum(self.floor.holds(tried.outcome.validation) for tried in self.fresh)


def shrink(
    data: Dataset | str | Path,
    floor: float | Floor,
    *,
    effort: str = "normal",
    seed: int = 0,
    store: Store | None = None,
    workers: int | None = None,
    engine: str = "auto",
    progress: Progress | None = None,
) -> Answer:
    """The smallest network that holds `floor` on `data`, which may be what `smidgen.data.load` takes.

    Raises:
        RequestError: a floor, an effort or a seed that cannot be, or one that so few images cannot show.
        FloorNotHeld: nothing that was tried holds the floor; the message gives the best.
    """
    start = time.perf_counter()
    floor = floor if isinstance(floor, Floor) else Floor(floor)
    if effort not in EFFORTS:
        raise RequestError(f"effort='{effort}' is not known; use one of {', '.join(EFFORTS)}")
    if not 0 <= seed < 2**32:
        raise RequestError(f"seed={seed} must be at least 0 and below {2**32:,}")
    data = data if isinstance(data, Dataset) else load(data)
    needed_rate(data, floor)
    with store or Store(default_path()) as opened:
        study = Study(opened, workers, progress)
        return _Run(study, Lessons(data, engine), floor, EFFORTS[effort], seed).answer(start)


def needed_rate(data: Dataset, floor: Floor) -> float:
    """The rate that holds the floor on the whole validation split; both of its halves must reach it.

    Raises:
        RequestError: so few images cannot show so high a floor.
    """
    total = len(data.selection) + len(data.confirmation)
    needed = floor.needed(total)
    if needed is None:
        best = Score(total, total).interval()[0]
        raise RequestError(
            f"{data.name} has {total} images for validation, and all of them right show no more than {best:.4f}; "
            f"give more data, a floor of at most {best:.3f}, or --rule rate"
        )
    return needed.rate


class _Run:
    """One run of the question: the state that its stages share."""

    def __init__(self, study: Study, lessons: Lessons, floor: Floor, effort: Effort, seed: int) -> None:
        self.study, self.lessons, self.floor, self.effort, self.seed = study, lessons, floor, effort, seed
        self.data = lessons.dataset
        self.needed = needed_rate(self.data, floor)
        self.way = "labels"
        self.tried: list[Tried] = []
        self.short: list[Ranked] = []
        self.long: list[Ranked] = []

    def answer(self, start: float) -> Answer:
        teacher = self._teach()
        ways = self._search()
        winner, refused = self._confirm()
        again = [winner.trial.with_seed(self._fresh_seed(k)) for k in range(self.effort.fresh_seeds)]
        fresh = self._run(again, "fresh seeds")
        turning = self._curve(winner.outcome.parameters)
        return Answer(
            data=self.data,
            lessons=self.lessons,
            floor=self.floor,
            winner=winner.trial,
            outcome=winner.outcome,
            test=self._test(winner),
            teacher=teacher,
            teacher_test=self._test(teacher),
            fresh=tuple(fresh),
            ways=ways,
            tried=tuple(self.tried),
            refused=tuple(refused),
            turning=turning,
            seconds=time.perf_counter() - start,
            trained=self.study.trained,
            remembered=self.study.remembered,
        )

    # --- stages ---

    def _teach(self) -> Tried:
        """Train the teacher with every worker on it, and let the lessons have its logits."""
        spec = default_spec(self.data.input_shape, self.data.classes)
        trial = self.lessons.trial(spec, default_recipe(len(self.data.train)), self.seed)
        (outcome,) = self.study.run(self.lessons, [trial], "teacher", threads=self.study.workers)
        self.lessons = lessons_of(self.study.store, self.lessons, trial, outcome, self.study.workers)
        return Tried(trial, outcome, "teacher")

    def _search(self) -> dict[str, tuple[Tried, ...]]:
        """Generations of short trainings; the promising of each are trained long beside the next."""
        ways: dict[str, tuple[Tried, ...]] = {}
        promoted: list[Trial] = []
        for generation in range(self.effort.generations + 1):
            trials = [self._trial(spec, self.effort.short_steps, "labels") for spec in self._generation(generation)]
            done = self._run(trials + promoted, f"generation {generation} of {self.effort.generations}")
            self.short += map(_ranked, done[: len(trials)])
            self.long += map(_ranked, done[len(trials) :])
            if generation == 1:
                ways = self._compare_ways()
            if generation >= 2:
                promoted = self._promoted(self.effort.promoted, 1)
        finalists = promoted + self._promoted(self.effort.finalists, FINALIST_SEEDS)
        self.long += map(_ranked, self._run(finalists, "finalists"))
        self._try_seeds()
        self._grow_until_held()
        return ways

    def _grow_until_held(self) -> None:
        """Where nothing holds, the floor lies farther than was expected: the best designs again, ever wider."""
        space = replace(self._space(), most_macs=GROWN_MACS * self._space().most_macs)
        best = sorted(self.long, key=lambda ranked: ranked.waste)
        designs = list(dict.fromkeys(ranked.spec for ranked in best))[: 2 * self.effort.finalists]
        for _ in range(GROWTHS):
            if any(tried.outcome.selection.rate >= self.needed for tried in self.tried):
                break
            designs = [grown for design in designs if (grown := widened(space, design, WIDENED))]
            trials = self._seeded(designs, self.effort.long_steps, 1)
            self.long += map(_ranked, self._run(trials, "wider designs"))

    def _try_seeds(self) -> None:
        """More seeds for the networks that came nearest to the floor: one of them may hold it."""
        specs = nearest(self.long, 1.0 - self.needed, self.effort.near_misses)
        trials = self._seeded(specs, self.effort.long_steps, self.effort.seeds, first=FINALIST_SEEDS)
        self.long += map(_ranked, self._run(trials, "more seeds"))

    def _compare_ways(self) -> dict[str, tuple[Tried, ...]]:
        """Train the most promising network in every way, for a while, and go on in the way that errs least."""
        (spec,) = promising(self.short, [], self._allowed(), 1)
        steps = self.effort.curve_steps
        trials = [trial for way in WAYS for trial in self._seeded([spec], steps, WAY_SEEDS, way=way)]
        done = self._run(trials, "labels against teacher")
        ways = {way: tuple(done[k * WAY_SEEDS : (k + 1) * WAY_SEEDS]) for k, way in enumerate(WAYS)}
        self.way = min(ways, key=lambda way: sum(_ranked(tried).error for tried in ways[way]))
        return ways

    def _confirm(self) -> tuple[Tried, list[Tried]]:
        """The smallest that holds on the selection half and, untouched until now, on the confirmation half."""
        holding = [tried for tried in self.tried if tried.outcome.selection.rate >= self.needed]
        refused: list[Tried] = []
        for tried in sorted(holding, key=lambda tried: (tried.outcome.parameters, _ranked(tried).error)):
            if tried.outcome.confirmation.rate >= self.needed:
                return tried, refused
            refused.append(tried)
        raise FloorNotHeld(self._not_held())

    def _test(self, tried: Tried) -> Score:
        return score(self.lessons, tried.trial.spec, tried.outcome.weights, self.data.test, self.study.workers)

    def _curve(self, winner: int) -> TurningPoint | None:
        """The best design of each doubling of the size, trained longer from several seeds: accuracy against size."""
        best: dict[int, Ranked] = {}
        for ranked in sorted(self.short, key=lambda ranked: ranked.error, reverse=True):
            if ranked.parameters <= CURVE_REACH * winner:
                best[ranked.parameters.bit_length()] = ranked
        specs = [best[doubling].spec for doubling in sorted(best)]
        done = self._run(self._seeded(specs, self.effort.curve_steps, CURVE_SEEDS), "the curve")
        groups: dict[int, list[Score]] = {}
        for tried in done:
            groups.setdefault(tried.outcome.parameters, []).append(tried.outcome.validation)
        return turning_point(groups)

    # --- what the stages share ---

    def _run(self, trials: Sequence[Trial], stage: str) -> list[Tried]:
        outcomes = self.study.run(self.lessons, trials, stage)
        done = [Tried(trial, outcome, stage) for trial, outcome in zip(trials, outcomes, strict=True)]
        known = {tried.trial.key for tried in self.tried}
        self.tried += {tried.trial.key: tried for tried in done if tried.trial.key not in known}.values()
        return done

    def _trial(self, spec: NetSpec, steps: int, way: str = "") -> Trial:
        recipe = WAYS[way or self.way]
        epochs = max(1, round(steps / recipe.steps(len(self.data.train))))
        return self.lessons.trial(spec, replace(recipe, epochs=epochs), self.seed)

    def _generation(self, generation: int) -> tuple[NetSpec, ...]:
        """Networks of every size at first; then of the sizes near which the floor is expected."""
        space = self._space()
        if generation == 0:
            known = (build(width, space.classes) for build in FAMILIES.values() for width in FAMILY_WIDTHS)
            drawn = first_generation(space, self.effort.first, self.seed)
            return tuple(dict.fromkeys((*(spec for spec in known if space.holds(spec)), *drawn)))
        history = corrected(self.short, self.long)
        if target := expected_size(history, self._allowed()):
            least, most = (round(share * target) for share in SEARCHED)
            space = replace(space, least_parameters=least, most_parameters=min(most, MOST_PARAMETERS))
        return next_generation(space, history, self.effort.children, self.seed * 1_000 + generation)

    def _space(self) -> Space:
        shape = self.data.input_shape
        macs = max(LEAST_MACS, self.effort.macs_a_value * math.prod(shape))
        return Space(shape, self.data.classes, MOST_PARAMETERS, macs)

    def _promoted(self, count: int, seeds: int) -> list[Trial]:
        specs = promising(self.short, self.long, self._allowed(), count)
        return self._seeded(specs, self.effort.long_steps, seeds)

    def _seeded(self, specs: Sequence[NetSpec], steps: int, seeds: int, first: int = 0, way: str = "") -> list[Trial]:
        """Each network from so many seeds, of which the run has used `first` already."""
        trials = [self._trial(spec, steps, way) for spec in specs]
        return [trial.with_seed(self.seed + first + k) for trial in trials for k in range(seeds)]

    def _allowed(self) -> float:
        """The error that a short training may have to be expected to end at the floor in a long one."""
        return (1.0 - self.needed) / expected_share(self.short, self.long)

    def _fresh_seed(self, index: int) -> int:
        return 1_000_003 * (self.seed + 1) + index

    def _not_held(self) -> str:
        best = max(self.tried, key=lambda tried: tried.outcome.validation.rate)
        return (
            f"nothing that was tried holds a floor of {self.floor.accuracy:g} on {self.data.name}: that takes "
            f"{100 * self.needed:.2f} % on both halves of the validation split, and the best of {len(self.tried)} "
            f"trainings has {best.outcome.validation} on both, with {best.outcome.parameters:,} parameters; "
            "lower the floor, raise --effort, or give more data"
        )


def _ranked(tried: Tried) -> Ranked:
    return Ranked(tried.trial.spec, tried.outcome.parameters, 1.0 - tried.outcome.selection.rate)
