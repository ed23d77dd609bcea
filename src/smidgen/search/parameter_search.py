"""One run of the question, stage by stage; `smidgen.search.shrink` says what it is for.

What is trained depends on the arguments alone and never on the clock, so the same line run again finds every
trial in the store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from smidgen.errors import FloorNotMet
from smidgen.model import Model
from smidgen.records import Floor, Score, Trial
from smidgen.search.compress import CompressResult, search_bytes
from smidgen.search.confirm import confirm
from smidgen.search.effort import (
    CURVE_REACH,
    CURVE_SEEDS,
    DISTILLATION_RECIPES,
    FAMILY_WIDTHS,
    FINALIST_SEEDS,
    GROWN_MACS,
    GROWTHS,
    LEAST_MACS,
    MOST_PARAMETERS,
    RECIPE_SEEDS,
    SEARCHED,
    WIDENED,
    Effort,
)
from smidgen.search.frontier import TurningPoint, turning_point
from smidgen.search.goal import Goal, Target
from smidgen.search.judge import Judge, Requirement, shown_floor
from smidgen.search.proposals import (
    CandidateScore,
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
from smidgen.search.result import ShrinkResult, TrainedCandidate
from smidgen.spec import NetSpec
from smidgen.spec.families import FAMILIES
from smidgen.teacher import (
    Teacher,
    TeacherOutputs,
    context_with_model,
    context_with_teacher,
    default_recipe,
    default_spec,
    run_teacher,
)
from smidgen.trials.evaluate import TrainingContext, score
from smidgen.trials.study import Study

SEEN = (
    "if the teacher was trained on these validation images too, its rate on them is too high: --within then asks for "
    "more than it says, never for less"
)
"""A note on every teacher that was brought and that the floor is measured by."""

CODED_RANGES = (1.0, 1.35, 1.8)
"""Sizes above the winner's, as shares of it, of which the best is squeezed too: more weights, fewer bits each."""
CODED_LOSS = 0.002
"""What the file of the best network within limits may lose, where its bytes are not limited."""

LEAST_ALLOWED_IMAGES = 20
"""Fewer than so many errors more than the teacher's are within chance, which is then said."""

BEST_FEW = 3
"""Where the best within limits is asked for, later generations search at the sizes of so many best ones."""


class Run:
    """One run of the question: the state that its stages share."""

    def __init__(self, study: Study, context: TrainingContext, goal: Goal, effort: Effort, seed: int) -> None:
        self.study, self.context, self.goal, self.effort, self.seed = study, context, goal, effort, seed
        self.data = context.dataset
        self.judge: Judge
        self.way = "labels"
        self.candidates: list[TrainedCandidate] = []
        self.short_runs: list[CandidateScore] = []
        self.long_runs: list[CandidateScore] = []

    def answer(self, start: float, brought: Teacher | None, with_file: bool) -> ShrinkResult:
        teacher = self._teach(brought)
        self.judge = Judge(Requirement.of(self.goal, self.data, teacher.halves if teacher else None), self.context)
        floor = self.judge.requirement.floor
        ways = self._search(floor)
        winner, rejected, is_met = self._confirm(floor) if floor else (self._best(), (), True)
        again = [winner.trial.with_seed(self._fresh_seed(k)) for k in range(self.effort.fresh_seeds)]
        fresh = self._run(again, "fresh seeds")
        turning = self._curve(winner.outcome.parameters)
        shown = floor or shown_floor(winner.outcome)
        test = self._test(winner)
        return ShrinkResult(
            data=self.data,
            context=self.context,
            goal=self.goal,
            floor=shown,
            is_met=is_met,
            winner=winner.trial,
            outcome=winner.outcome,
            test=test,
            teacher=teacher,
            teacher_test=teacher.test() if teacher else None,
            fresh_seeds=tuple(fresh),
            fresh_seeds_met=sum(self._met_overall(tried, shown) for tried in fresh),
            recipes=ways,
            candidates=tuple(self.candidates),
            rejected=rejected,
            turning_point=turning,
            file=self._squeezed(winner, shown, test, start) if with_file else None,
            seconds=time.perf_counter() - start,
            trained=self.study.trained,
            remembered=self.study.remembered,
        )

    # --- stages ---

    def _teach(self, brought: Teacher | None) -> TeacherOutputs | None:
        """The teacher that was brought, or one trained here; the context then have its logits."""
        if brought is not None:
            halves = len(self.data.selection) + len(self.data.confirmation)
            self.study.reporter.stage("the teacher's logits", len(self.data.train) + halves)
            taught = run_teacher(self.study.store, self.data, brought, self.study.reporter)
            self.context = replace(self.context, teacher_key=taught.key, teacher_logits=taught.logits)
            for note in taught.notes:
                self.study.reporter.say(note)
        elif self.effort.compares_recipes or (self.goal.target and self.goal.target.within is not None):
            taught = self._train_teacher()
        else:
            return None
        return replace(taught, notes=(*taught.notes, *self._notes_on_within(brought is not None)))

    def _notes_on_within(self, brought: bool) -> list[str]:
        """What to beware of where the floor is measured by the teacher."""
        target = self.goal.target
        if target is None or target.within is None:
            return []
        images = len(self.data.selection)
        allowed = target.within * images
        few = (
            f"{100 * target.within:g} points of the {images:,} images of a half are {allowed:.1f} images: the rates "
            "of so few are not that sure, and on other images the two may differ by more"
        )
        return [SEEN] * brought + [few] * (allowed < LEAST_ALLOWED_IMAGES)

    def _train_teacher(self) -> TeacherOutputs:
        """Train a teacher with every worker on it."""
        spec = default_spec(self.data.input_shape, self.data.classes)
        trial = self.context.trial(spec, default_recipe(len(self.data.train)), self.seed)
        (outcome,) = self.study.run(self.context, [trial], "teacher", threads=self.study.workers)
        self.context = context_with_teacher(self.study.store, self.context, trial, outcome, self.study.workers)
        logits = self.context.teacher_logits
        assert logits is not None, "context_with_teacher gives them"

        def test() -> Score:
            return self._test(TrainedCandidate(trial, outcome, "teacher"))

        return TeacherOutputs(
            trial.key, str(spec), outcome.parameters, logits, outcome.halves, test, trial=trial, outcome=outcome
        )

    def _search(self, floor: Floor | None) -> dict[str, tuple[TrainedCandidate, ...]]:
        """Generations of short trainings; the promising of each are trained long beside the next."""
        ways: dict[str, tuple[TrainedCandidate, ...]] = {}
        promoted: list[Trial] = []
        for generation in range(self.effort.generations + 1):
            trials = [self._trial(spec, self.effort.short_steps, "labels") for spec in self._generation(generation)]
            done = self._run(trials + promoted, f"generation {generation} of {self.effort.generations}")
            self.short_runs += map(self._ranked, done[: len(trials)])
            self.long_runs += map(self._ranked, done[len(trials) :])
            if not self.short_runs:
                raise FloorNotMet(f"no candidate for {self.data.name} has {self.goal.limits}; raise the limit")
            if generation == 1 and self.context.teacher_key:
                ways = self._compare_ways()
            if generation >= 2:
                promoted = self._promoted(self.effort.promoted, 1)
        finalists = promoted + self._promoted(self.effort.finalists, FINALIST_SEEDS)
        self.long_runs += map(self._ranked, self._run(finalists, "finalists"))
        self._try_seeds()
        if floor is not None:
            self._grow_until_held()
        return ways

    def _grow_until_held(self) -> None:
        """The best designs again, ever wider, until one holds with room to spare.

        Where nothing holds, the floor lies farther than was expected; where something holds by a hair, the
        confirmation half may refuse it, and must not be left with nothing else to look at.
        """
        space = self.goal.limited(replace(self._whole_space(), most_macs=GROWN_MACS * self._whole_space().most_macs))
        best = [*sorted(self.long_runs, key=_error_times_size), *sorted(self.short_runs, key=_error_times_size)]
        able = [spec for spec in dict.fromkeys(ranked.spec for ranked in best) if widened(space, spec, WIDENED)]
        designs = able[: 2 * self.effort.finalists]
        for _ in range(GROWTHS):
            if any(self.judge.is_met_with_margin(tried.trial, tried.outcome) for tried in self.candidates):
                break
            designs = [grown for design in designs if (grown := widened(space, design, WIDENED))]
            trials = self._seeded(designs, self.effort.long_steps, 1)
            self.long_runs += map(self._ranked, self._run(trials, "wider designs"))

    def _try_seeds(self) -> None:
        """More seeds for the networks that came nearest to the floor: one of them may hold it."""
        specs = nearest(self.long_runs, self.judge.requirement.allowed_error, self.effort.near_misses)
        trials = self._seeded(specs, self.effort.long_steps, self.effort.seeds, first=FINALIST_SEEDS)
        self.long_runs += map(self._ranked, self._run(trials, "more seeds"))

    def _compare_ways(self) -> dict[str, tuple[TrainedCandidate, ...]]:
        """Train the most promising network in every way, for a while, and go on in the way that errs least."""
        (spec,) = promising(self.short_runs, [], self._allowed(), 1)
        steps = self.effort.curve_steps
        trials = [trial for way in DISTILLATION_RECIPES for trial in self._seeded([spec], steps, RECIPE_SEEDS, way=way)]
        done = self._run(trials, "labels against teacher")
        ways = {
            way: tuple(done[k * RECIPE_SEEDS : (k + 1) * RECIPE_SEEDS]) for k, way in enumerate(DISTILLATION_RECIPES)
        }
        self.way = min(ways, key=lambda way: sum(self._ranked(tried).error for tried in ways[way]))
        return ways

    def _confirm(self, floor: Floor) -> tuple[TrainedCandidate, tuple[TrainedCandidate, ...], bool]:
        """The smallest that holds on the selection half and, untouched until now, on the confirmation half.

        Also those that did not on the second, and whether there is one.
        """
        ordered = sorted(self.candidates, key=lambda tried: (tried.outcome.parameters, self._ranked(tried).error))
        confirmed = confirm(ordered, self._is_met)
        if confirmed.candidate:
            return confirmed.candidate, confirmed.rejected, True
        if self.goal.fallback_to_best:
            return self._best(), confirmed.rejected, False
        raise FloorNotMet(self._not_held(floor))

    def _best(self) -> TrainedCandidate:
        """The most accurate on the selection half, of equals the smallest; its limits it keeps already."""
        return min(self.candidates, key=lambda tried: (self._ranked(tried).error, tried.outcome.parameters))

    def _test(self, tried: TrainedCandidate) -> Score:
        return score(self.context, tried.trial.spec, tried.outcome.weights, self.data.test, self.study.workers)

    def _curve(self, winner: int) -> TurningPoint | None:
        """The best design of each doubling of the size, trained longer from several seeds: accuracy against size."""
        if not self.effort.curve_steps:
            return None
        best: dict[int, CandidateScore] = {}
        for ranked in sorted(self.short_runs, key=lambda ranked: ranked.error, reverse=True):
            if ranked.parameters <= CURVE_REACH * winner:
                best[ranked.parameters.bit_length()] = ranked
        specs = [best[doubling].spec for doubling in sorted(best)]
        done = self._run(self._seeded(specs, self.effort.curve_steps, CURVE_SEEDS), "the curve")
        groups: dict[int, list[Score]] = {}
        for tried in done:
            groups.setdefault(tried.outcome.parameters, []).append(tried.outcome.validation)
        return turning_point(groups)

    def _squeezed(self, winner: TrainedCandidate, shown: Floor, test: Score, start: float) -> CompressResult | None:
        """The winner, and networks near it that may take fewer bytes because their weights may be coarser."""
        models = [self._model(tried) for tried in (winner, *self._above(winner.outcome.parameters))]
        context = self.context
        if context.teacher_logits is None:
            context = context_with_model(self.study.store, context, models[0], self.study.workers)
        goal, requirement = self.goal, self.judge.requirement if self.goal.target else None
        if not goal.target and goal.limits.file_bytes is None:
            goal = replace(goal, target=Target(within=CODED_LOSS))
        effort = self.effort.byte_search
        try:
            return search_bytes(self.study, context, models, goal, effort, self.seed, start, test, requirement)
        except FloorNotMet:
            if self.goal.limits.file_bytes is not None:
                raise
            return None

    def _above(self, parameters: int) -> list[TrainedCandidate]:
        """The most accurate network, on the selection half, of each range of sizes above this one."""
        ranges = (
            [t for t in self.candidates if low * parameters < t.outcome.parameters <= high * parameters]
            for low, high in pairwise(CODED_RANGES)
        )
        return [min(tried, key=lambda t: self._ranked(t).error) for tried in ranges if tried]

    def _model(self, tried: TrainedCandidate) -> Model:
        return Model(tried.trial.spec, self.data.input_shape, self.data.class_names, tried.outcome.weights)

    # --- what the stages share ---

    def _run(self, trials: Sequence[Trial], stage: str) -> list[TrainedCandidate]:
        outcomes = self.study.run(self.context, trials, stage)
        done = [TrainedCandidate(trial, outcome, stage) for trial, outcome in zip(trials, outcomes, strict=True)]
        known = {tried.trial.key for tried in self.candidates}
        self.candidates += {tried.trial.key: tried for tried in done if tried.trial.key not in known}.values()
        return done

    def _trial(self, spec: NetSpec, steps: int, way: str = "") -> Trial:
        recipe = DISTILLATION_RECIPES[way or self.way]
        epochs = max(1, round(steps / recipe.steps(len(self.data.train))))
        return self.context.trial(spec, replace(recipe, epochs=epochs), self.seed)

    def _generation(self, generation: int) -> tuple[NetSpec, ...]:
        """Networks of every size at first; then of the sizes near which the floor is expected."""
        space = self._space()
        if generation == 0:
            known = (build(width, space.classes) for build in FAMILIES.values() for width in FAMILY_WIDTHS)
            drawn = first_generation(space, self.effort.first, self.seed)
            return tuple(dict.fromkeys((*(spec for spec in known if space.contains(spec)), *drawn)))
        history = corrected(self.short_runs, self.long_runs)
        return next_generation(
            self._searched(space, history), history, self.effort.children, self.seed * 1_000 + generation
        )

    def _searched(self, space: Space, history: Sequence[CandidateScore]) -> Space:
        """The part of the space around the size at which what is asked for is expected."""
        if not self.goal.target:
            best = sorted(history, key=lambda ranked: ranked.error)[:BEST_FEW]
            smallest = min((ranked.parameters for ranked in best), default=0)
            return replace(space, least_parameters=round(SEARCHED[0] * smallest))
        target = expected_size(history, self._allowed())
        if not target:
            return space
        if self.goal.limits:
            target = min(target, space.most_parameters / SEARCHED[1])
        least, most = (round(share * target) for share in SEARCHED)
        return replace(space, least_parameters=least, most_parameters=min(most, space.most_parameters))

    def _space(self) -> Space:
        return self.goal.limited(self._whole_space())

    def _whole_space(self) -> Space:
        shape = self.data.input_shape
        macs = max(LEAST_MACS, self.effort.macs_a_value * math.prod(shape))
        return Space(shape, self.data.classes, MOST_PARAMETERS, macs)

    def _promoted(self, count: int, seeds: int) -> list[Trial]:
        specs = promising(self.short_runs, self.long_runs, self._allowed(), count)
        return self._seeded(specs, self.effort.long_steps, seeds)

    def _seeded(self, specs: Sequence[NetSpec], steps: int, seeds: int, first: int = 0, way: str = "") -> list[Trial]:
        """Each network from so many seeds, of which the run has used `first` already."""
        trials = [self._trial(spec, steps, way) for spec in specs]
        return [trial.with_seed(self.seed + first + k) for trial in trials for k in range(seeds)]

    def _allowed(self) -> float:
        """The error that a short training may have to be expected to end at the floor in a long one."""
        return (self.judge.requirement.allowed_error) / expected_share(self.short_runs, self.long_runs)

    def _fresh_seed(self, index: int) -> int:
        return 1_000_003 * (self.seed + 1) + index

    def _ranked(self, tried: TrainedCandidate) -> CandidateScore:
        error = 1.0 - self.judge.rate(tried.trial, tried.outcome, "selection")
        return CandidateScore(tried.trial.spec, tried.outcome.parameters, error)

    def _is_met(self, tried: TrainedCandidate, half: str) -> bool:
        return self.judge.is_met(tried.trial, tried.outcome, half)

    def _met_overall(self, tried: TrainedCandidate, floor: Floor) -> bool:
        return self.judge.is_met_overall(tried.trial, tried.outcome, floor)

    def _not_held(self, floor: Floor) -> str:
        best = max(self.candidates, key=lambda tried: tried.outcome.validation.rate)
        within = f" of {self.goal.limits}" if self.goal.limits else ""
        classes = f", and {100 * self.goal.class_floor:g} % of each class" if self.goal.class_floor else ""
        return (
            f"nothing{within} that was tried holds a floor of {floor.accuracy:.6g} on {self.data.name}: that takes "
            f"{self.judge.requirement.requirement_text}{classes}, and the best of "
            f"{len(self.candidates)} trainings has {best.outcome.validation} on both, with {best.outcome.parameters:,} "
            f"parameters; lower the floor, raise {'the limit or ' if within else ''}--effort, or give more data"
        )


def _error_times_size(ranked: CandidateScore) -> float:
    return ranked.error_times_size
