"""The stages that train candidates: generations, finalists, more seeds, wider designs.

Each stage proposes networks from what was trained before and trains them. What is proposed depends on the arguments
and on outcomes, never on the clock, so the same search finds every trial in the store when it is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from smidgen.errors import FloorNotMet
from smidgen.records import Trial
from smidgen.search.confirm import confirm
from smidgen.search.effort import (
    BEST_FEW,
    BUDGET_SHARES,
    DISTILLATION_RECIPES,
    FAMILY_WIDTHS,
    FINALIST_SEEDS,
    RECIPE_SEEDS,
    SEARCHED_SIZES,
    WIDENING_FACTOR,
    WIDENING_MACS,
    WIDENING_WORK,
    WIDENINGS,
    Effort,
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
        if generation == 1:
            search = without_useless_teacher(search)
        if generation == 1 and search.context.teacher_key:
            recipes = compare_recipes(search)
            search = replace(search, recipe_name=best_recipe(search, recipes)) if recipes else search
        if generation >= 2:
            promoted = promising_trials(search, search.effort.promoted)
    return Generations(search, promoted, recipes)


def _train_generation(search: Search, generation: int, promoted: Sequence[Trial]) -> None:
    """Train one generation, and the long trainings that the one before it promoted."""
    effort, history = search.effort, search.history
    specs = propose(search, generation)
    trials = search.affordable(
        search.trials(specs, effort.short_steps, recipe_name="labels"), BUDGET_SHARES["generations"]
    )
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
        return first_networks(space, search.effort, search.seed)
    scores = corrected(search.history.short_runs, search.history.long_runs)
    seed = search.seed * 1_000 + generation
    return next_generation(_near_target(search, space, scores), scores, search.effort.children, seed)


def first_networks(space: Space, effort: Effort, seed: int) -> tuple[NetSpec, ...]:
    """The networks of the first generation: the families at small widths, and drawn ones of every size."""
    known = [build(width, space.classes) for build in FAMILIES.values() for width in FAMILY_WIDTHS]
    drawn = first_generation(space, effort.first, seed)
    return tuple(dict.fromkeys((*filter(space.contains, known), *drawn)))


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


def without_useless_teacher(search: Search) -> Search:
    """Leave the teacher that was trained here out if a candidate is as accurate already: it has nothing to teach."""
    teacher = search.own_teacher
    if teacher is None or not search.context.teacher_key or not search.history.candidates:
        return search
    best = max(search.history.candidates, key=lambda candidate: candidate.outcome.selection.rate).outcome
    if best.selection.rate < teacher.selection.rate:
        return search
    search.tell(
        f"the teacher that was trained here ({teacher.parameters:,} parameters) is right on {teacher.selection} of the "
        f"selection half and a candidate of {best.parameters:,} on {best.selection}: candidates learn from the labels"
    )
    return replace(search, context=replace(search.context, teacher_key="", teacher_logits=None))


def compare_recipes(search: Search) -> RecipeComparison:
    """Train the most promising network by every recipe, from several seeds; nothing where the budget has no room."""
    specs = promising(search.history.short_runs, [], search.allowed_short_error, 1)
    steps = search.effort.curve_steps
    by_recipe = [search.trials(specs, steps, seeds=RECIPE_SEEDS, recipe_name=name) for name in DISTILLATION_RECIPES]
    wanted = [trial for trials in by_recipe for trial in trials]
    if search.affordable(wanted, BUDGET_SHARES["generations"]) != wanted:
        return {}
    trained = search.train(wanted, "labels against teacher")
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
    search.train_long(search.affordable(trials, BUDGET_SHARES["finalists"]), "finalists")


def train_more_seeds(search: Search) -> None:
    """Train the networks that came nearest to the requirement from more seeds: one of them may meet it."""
    effort = search.effort
    specs = nearest(search.history.long_runs, search.judge.requirement.allowed_error, effort.near_misses)
    trials = search.trials(specs, effort.long_steps, seeds=effort.seeds, first_seed=FINALIST_SEEDS)
    search.train_long(search.affordable(trials, BUDGET_SHARES["finalists"]), "more seeds")


def train_wider_designs(search: Search) -> None:
    """Widen the best designs again and again, until one is confirmed or meets the requirement with a margin.

    Where no network meets it, the required size is larger than was expected. Larger networks cost more, so this ends
    after `WIDENING_WORK` times the work of all that came before.
    """
    space = search.space(macs_factor=WIDENING_MACS)
    designs = [spec for spec in _best_designs(search) if widened(space, spec, WIDENING_FACTOR)]
    designs = designs[: 2 * search.effort.finalists]
    most_work = (1 + WIDENING_WORK) * search.history.work
    for _ in range(WIDENINGS):
        if search.history.work >= most_work or _is_found(search):
            break
        designs = [wider for spec in designs if (wider := widened(space, spec, WIDENING_FACTOR))]
        trials = search.trials(designs, search.effort.long_steps)
        search.train_long(search.affordable(trials, BUDGET_SHARES["wider designs"]), "wider designs")


def _is_found(search: Search) -> bool:
    """Whether a network is confirmed, or has so much to spare on the selection half that one surely will be."""
    if any(_is_met_with_margin(search, candidate) for candidate in search.history.candidates):
        return True
    return confirm(search.by_size(), search.is_met).candidate is not None


def _best_designs(search: Search) -> list[NetSpec]:
    """All networks without repetition, those with long trainings first, each group by error times size."""
    history = search.history
    groups = [sorted(runs, key=by_error_times_size) for runs in (history.long_runs, history.short_runs)]
    return list(dict.fromkeys(score.spec for group in groups for score in group))


def _is_met_with_margin(search: Search, candidate: TrainedCandidate) -> bool:
    return search.judge.is_met_with_margin(candidate.trial, candidate.outcome)
