"""The stages that train candidates: generations, finalists, more seeds, wider designs.

Each stage proposes networks from what was trained before and trains them. What is proposed depends on the arguments
and on outcomes, never on the clock, so the same search finds every trial in the store when it is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from smidgen.errors import FloorNotMet
from smidgen.records import Trial
from smidgen.search.effort import (
    BEST_FEW,
    DISTILLATION_RECIPES,
    FAMILY_WIDTHS,
    FINALIST_SEEDS,
    RECIPE_SEEDS,
    SEARCHED_SIZES,
    WIDENING_FACTOR,
    WIDENING_MACS,
    WIDENINGS,
)
from smidgen.search.goal import COSTS, LIMIT_NAMES, Limits, Target
from smidgen.search.proposals import Space, first_generation, next_generation, widened
from smidgen.search.ranking import (
    CandidateScore,
    by_error,
    by_error_times_size,
    corrected,
    expected_size,
    nearest,
    promising,
)
from smidgen.search.result import RecipeComparison, TrainedCandidate
from smidgen.search.state import Search
from smidgen.spec import NetSpec
from smidgen.spec.families import FAMILIES


@dataclass(frozen=True, eq=False)
class Generations:
    """What the generations leave to the stages after them.

    Attributes:
        search: The search, with the recipe that learns best.
        promoted: Long trainings of the last generation that are still to be run.
        recipes: The trainings that compared the recipes, by the recipe's name; empty without a teacher.
    """

    search: Search
    promoted: list[Trial]
    recipes: RecipeComparison


def run_generations(search: Search) -> Generations:
    """Train generations of new networks shortly; train the promising ones of each long, beside the next generation.

    After generation 1 the most promising network is trained by every recipe, if there is a teacher, and the best
    recipe is used from there on.

    Raises:
        FloorNotMet: No network satisfies the limits.
    """
    recipes: RecipeComparison = {}
    promoted: list[Trial] = []
    for generation in range(search.effort.generations + 1):
        _train_generation(search, generation, promoted)
        if generation == 1 and search.context.teacher_key:
            recipes = compare_recipes(search)
            search = replace(search, recipe_name=best_recipe(search, recipes))
        if generation >= 2:
            promoted = promising_trials(search, search.effort.promoted)
    return Generations(search, promoted, recipes)


def _train_generation(search: Search, generation: int, promoted: Sequence[Trial]) -> None:
    """Train one generation, and the long trainings that the one before it promoted."""
    effort, history = search.effort, search.history
    specs = propose(search, generation)
    trials = search.trials(specs, effort.short_steps, recipe_name="labels")
    name = f"generation {generation} of {effort.generations}" if generation else "first generation"
    trained = search.train([*trials, *promoted], name)
    history.short_runs += map(search.score, trained[: len(trials)])
    history.long_runs += map(search.score, trained[len(trials) :])
    if not history.short_runs:
        raise FloorNotMet(f"no candidate for {search.data.name} has {search.goal.limits}; {_raise_limits(search)}")


def _raise_limits(search: Search) -> str:
    options = {"file_bytes": "--bytes", "parameters": "--params", "macs": "--macs", "ram_bytes": "--ram"}
    without_limits = replace(search, goal=replace(search.goal, limits=Limits(), target=Target(0.5)))
    drawn = propose(without_limits, 0)
    shape = search.data.input_shape
    least = [
        f"{min(COSTS[name](spec, shape) for spec in drawn):,} {LIMIT_NAMES[name][1]}"
        for name in search.goal.limits.given
        if drawn
    ]
    known = f" (least of {len(drawn)} drawn: {', '.join(least)})" if least else ""
    return "raise " + " or ".join(options[name] for name in search.goal.limits.given) + known


def propose(search: Search, generation: int) -> tuple[NetSpec, ...]:
    """The networks of a generation: of every size at first, then of sizes near which the floor is expected."""
    space = search.space()
    if generation == 0:
        known = [build(width, space.classes) for build in FAMILIES.values() for width in FAMILY_WIDTHS]
        drawn = first_generation(space, search.effort.first, search.seed)
        return tuple(dict.fromkeys((*filter(space.contains, known), *drawn)))
    scores = corrected(search.history.short_runs, search.history.long_runs)
    seed = search.seed * 1_000 + generation
    return next_generation(_near_target(search, space, scores), scores, search.effort.children, seed)


def _near_target(search: Search, space: Space, scores: Sequence[CandidateScore]) -> Space:
    """The part of the space around the size at which the requirement is expected to be met."""
    smaller, larger = SEARCHED_SIZES
    if not search.goal.target:
        best = sorted(scores, key=by_error)[:BEST_FEW]
        smallest = min((score.parameters for score in best), default=0)
        return replace(space, least_parameters=round(smaller * smallest))
    size = expected_size(scores, search.allowed_short_error)
    if not size:
        return space
    if search.goal.limits:
        size = min(size, space.most_parameters / larger)
    most = min(round(larger * size), space.most_parameters)
    return replace(space, least_parameters=round(smaller * size), most_parameters=most)


def compare_recipes(search: Search) -> RecipeComparison:
    """Train the most promising network by every recipe, from several seeds."""
    specs = promising(search.history.short_runs, [], search.allowed_short_error, 1)
    steps = search.effort.curve_steps
    by_recipe = [search.trials(specs, steps, seeds=RECIPE_SEEDS, recipe_name=name) for name in DISTILLATION_RECIPES]
    trained = search.train([trial for trials in by_recipe for trial in trials], "labels against teacher")
    groups = [tuple(trained[k : k + RECIPE_SEEDS]) for k in range(0, len(trained), RECIPE_SEEDS)]
    return dict(zip(DISTILLATION_RECIPES, groups, strict=True))


def best_recipe(search: Search, recipes: RecipeComparison) -> str:
    """The recipe whose trainings err least on the selection half."""

    def error(name: str) -> float:
        return sum(search.score(candidate).error for candidate in recipes[name])

    return min(recipes, key=error)


def promising_trials(search: Search, count: int, seeds: int = 1) -> list[Trial]:
    """Long trainings of the `count` most promising networks that had none yet."""
    history = search.history
    specs = promising(history.short_runs, history.long_runs, search.allowed_short_error, count)
    return search.trials(specs, search.effort.long_steps, seeds=seeds)


def train_finalists(search: Search, promoted: Sequence[Trial]) -> None:
    """Train the most promising networks long, from two seeds each."""
    trials = [*promoted, *promising_trials(search, search.effort.finalists, FINALIST_SEEDS)]
    search.train_long(trials, "finalists")


def train_more_seeds(search: Search) -> None:
    """Train the networks that came nearest to the requirement from more seeds: one of them may meet it."""
    effort = search.effort
    specs = nearest(search.history.long_runs, search.judge.requirement.allowed_error, effort.near_misses)
    trials = search.trials(specs, effort.long_steps, seeds=effort.seeds, first_seed=FINALIST_SEEDS)
    search.train_long(trials, "more seeds")


def train_wider_designs(search: Search) -> None:
    """Widen the best designs again and again, until one meets the requirement with a margin.

    Where no network meets it, the required size is larger than was expected. Where one meets it without a margin, the
    confirmation half may reject it, and there must be others to confirm.
    """
    space = search.space(macs_factor=WIDENING_MACS)
    designs = [spec for spec in _best_designs(search) if widened(space, spec, WIDENING_FACTOR)]
    designs = designs[: 2 * search.effort.finalists]
    for _ in range(WIDENINGS):
        if any(_is_met_with_margin(search, candidate) for candidate in search.history.candidates):
            break
        designs = [wider for spec in designs if (wider := widened(space, spec, WIDENING_FACTOR))]
        search.train_long(search.trials(designs, search.effort.long_steps), "wider designs")


def _best_designs(search: Search) -> list[NetSpec]:
    """All networks without repetition, those with long trainings first, each group by error times size."""
    history = search.history
    groups = [sorted(runs, key=by_error_times_size) for runs in (history.long_runs, history.short_runs)]
    return list(dict.fromkeys(score.spec for group in groups for score in group))


def _is_met_with_margin(search: Search, candidate: TrainedCandidate) -> bool:
    return search.judge.is_met_with_margin(candidate.trial, candidate.outcome)
