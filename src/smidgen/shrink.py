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

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from smidgen.candidate import Lessons, score
from smidgen.data import Dataset
from smidgen.errors import FloorNotHeld, RequestError
from smidgen.families import FAMILIES
from smidgen.frontier import Point, TurningPoint, pareto, turning_point
from smidgen.records import Floor, Outcome, Recipe, Score, Trial
from smidgen.search import Ranked, Space, crossing, expected_share, first_generation, next_generation, promising
from smidgen.spec import NetSpec
from smidgen.store import Store, default_path
from smidgen.study import Progress, Study
from smidgen.teacher import default_recipe, default_spec, lessons_of


@dataclass(frozen=True)
class Effort:
    """How much is tried. Steps are optimizer steps; epochs follow from them and the size of the data.

    first, generations, children: networks that are trained for `short_steps`
    promoted: of each generation, trained for `middle_steps`
    finalists: of those, trained for `long_steps` from `seeds` seeds
    """

    first: int
    generations: int
    children: int
    promoted: int
    finalists: int
    seeds: int
    fresh_seeds: int
    short_steps: int
    middle_steps: int
    long_steps: int


EFFORTS = {
    "quick": Effort(32, 3, 16, 4, 3, 1, 3, 1_600, 4_000, 12_000),
    "normal": Effort(64, 6, 32, 6, 6, 2, 4, 1_600, 6_400, 25_000),
    "thorough": Effort(128, 24, 48, 8, 16, 4, 8, 2_400, 10_000, 50_000),
}

MOST_PARAMETERS, MOST_MACS = 20_000, 300_000
"""Of a candidate: more would not be small, or would not be trained in a second."""

SEARCHED = (0.5, 1.15)
"""Sizes that later generations try, as shares of the size that is expected to come to the floor."""

FAMILY_WIDTHS = (1, 2, 3)
"""Of each family, in the first generation."""

WAYS = {
    "labels": Recipe(batch_size=64, learning_rate=0.02),
    "KL, T = 2": Recipe(batch_size=64, learning_rate=0.02, loss="kl", temperature=2),
    "KL, T = 4": Recipe(batch_size=64, learning_rate=0.02, loss="kl", temperature=4),
    "logits": Recipe(batch_size=64, learning_rate=0.02, loss="standardised-logits"),
}
"""What a candidate may learn from; the best on the selection half is used for all long trainings."""

WAY_SEEDS = 3


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
    data: Dataset,
    floor: float | Floor,
    *,
    effort: str = "normal",
    seed: int = 0,
    store: Store | None = None,
    workers: int | None = None,
    engine: str = "auto",
    progress: Progress | None = None,
) -> Answer:
    """The smallest network that holds `floor` on `data`.

    Raises:
        RequestError: a floor or an effort that cannot be, or one that so few images cannot show.
        FloorNotHeld: nothing that was tried holds the floor; the message gives the best.
    """
    start = time.perf_counter()
    floor = floor if isinstance(floor, Floor) else Floor(floor)
    if effort not in EFFORTS:
        raise RequestError(f"effort='{effort}' is not known; use one of {', '.join(EFFORTS)}")
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
        self.middle: list[Ranked] = []
        self.long: list[Ranked] = []

    def answer(self, start: float) -> Answer:
        teacher = self._teach()
        ways = self._search()
        self._train_finalists()
        winner, refused = self._confirm()
        again = [winner.trial.with_seed(self._fresh_seed(k)) for k in range(self.effort.fresh_seeds)]
        return Answer(
            data=self.data,
            lessons=self.lessons,
            floor=self.floor,
            winner=winner.trial,
            outcome=winner.outcome,
            fresh=tuple(self._run(again, "fresh seeds")),
            test=self._test(winner),
            teacher=teacher,
            teacher_test=self._test(teacher),
            ways=ways,
            tried=tuple(self.tried),
            refused=tuple(refused),
            turning=self._turning(),
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
        """Generations of short trainings; the promising ones are trained longer beside the next generation."""
        ways: dict[str, tuple[Tried, ...]] = {}
        promoted: list[Trial] = []
        for generation in range(self.effort.generations + 1):
            trials = [self._trial(spec, self.effort.short_steps, "labels") for spec in self._generation(generation)]
            stage = f"generation {generation} of {self.effort.generations}"
            done = self._run(trials + promoted, stage)
            self.short += map(_ranked, done[: len(trials)])
            self.middle += map(_ranked, done[len(trials) :])
            if generation == 1:
                ways = self._compare_ways()
            promoted = [self._trial(spec, self.effort.middle_steps) for spec in self._promoted()]
        self.middle += map(_ranked, self._run(promoted, "longer trainings"))
        return ways

    def _compare_ways(self) -> dict[str, tuple[Tried, ...]]:
        """Train the most promising network in every way, and go on in the way that errs least."""
        (spec,) = promising(self.short, [], self._allowed(2), 1)
        steps, seeds = self.effort.middle_steps, range(self.seed, self.seed + WAY_SEEDS)
        trials = {way: [self._trial(spec, steps, way).with_seed(seed) for seed in seeds] for way in WAYS}
        done = self._run([trial for some in trials.values() for trial in some], "labels against teacher")
        ways = {way: tuple(done[k * WAY_SEEDS : (k + 1) * WAY_SEEDS]) for k, way in enumerate(WAYS)}
        self.way = min(ways, key=lambda way: sum(_ranked(tried).error for tried in ways[way]))
        return ways

    def _train_finalists(self) -> None:
        """The most promising networks from several seeds; then once more, with what the first round showed."""
        for finalists in (self.effort.finalists, self.effort.finalists // 2):
            specs = promising(self.middle, self.long, self._allowed(0), finalists)
            seeds = range(self.seed, self.seed + self.effort.seeds)
            trials = [self._trial(spec, self.effort.long_steps).with_seed(seed) for spec in specs for seed in seeds]
            self.long += map(_ranked, self._run(trials, "long trainings"))

    def _confirm(self) -> tuple[Tried, list[Tried]]:
        """The smallest that holds on the selection half and, untouched until now, on the confirmation half."""
        holding = [tried for tried in self.tried if tried.outcome.selection.rate >= self.needed]
        refused = []
        for tried in sorted(holding, key=lambda tried: (tried.outcome.parameters, _ranked(tried).error)):
            if tried.outcome.confirmation.rate >= self.needed:
                return tried, refused
            refused.append(tried)
        raise FloorNotHeld(self._not_held())

    def _test(self, tried: Tried) -> Score:
        return score(self.lessons, tried.trial.spec, tried.outcome.weights, self.data.test, self.study.workers)

    def _turning(self) -> TurningPoint | None:
        """Of the front of the short trainings, which are of every size and of one recipe."""
        epochs = min(tried.trial.recipe.epochs for tried in self.tried)
        short = [tried for tried in self.tried if tried.trial.recipe.epochs == epochs]
        front = pareto(Point(t.outcome.parameters, t.outcome.validation, str(t.trial.spec)) for t in short)
        return turning_point({point.parameters: [point.score] for point in front})

    # --- what the stages share ---

    def _run(self, trials: Sequence[Trial], stage: str) -> list[Tried]:
        outcomes = self.study.run(self.lessons, trials, stage)
        done = [Tried(trial, outcome, stage) for trial, outcome in zip(trials, outcomes, strict=True)]
        self.tried += done
        return done

    def _trial(self, spec: NetSpec, steps: int, way: str = "") -> Trial:
        recipe = WAYS[way or self.way]
        epochs = max(1, round(steps / recipe.steps(len(self.data.train))))
        return self.lessons.trial(spec, replace(recipe, epochs=epochs), self.seed)

    def _generation(self, generation: int) -> tuple[NetSpec, ...]:
        """Networks of every size at first; then of the sizes near which the floor is expected."""
        shape, classes = self.data.input_shape, self.data.classes
        space = Space(shape, classes, MOST_PARAMETERS, MOST_MACS)
        if generation == 0:
            known = (build(width, classes) for build in FAMILIES.values() for width in FAMILY_WIDTHS)
            drawn = first_generation(space, self.effort.first, self.seed)
            return tuple(dict.fromkeys((*(spec for spec in known if space.holds(spec)), *drawn)))
        if target := crossing(self.short, self._allowed(2)):
            least, most = (round(share * target) for share in SEARCHED)
            space = replace(space, least_parameters=least, most_parameters=most)
        return next_generation(space, self.short, self.effort.children, self.seed * 1_000 + generation)

    def _promoted(self) -> tuple[NetSpec, ...]:
        return promising(self.short, self.middle, self._allowed(1), self.effort.promoted)

    def _allowed(self, rungs: int) -> float:
        """The error that a training may have, so many rungs below a long one, to be expected to end at the floor."""
        allowed = 1.0 - self.needed
        if rungs >= 1:
            allowed /= expected_share(self.middle, self.long)
        if rungs >= 2:
            allowed /= expected_share(self.short, self.middle)
        return allowed

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
