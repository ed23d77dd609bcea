"""The stages that train candidates: generations, finalists, more seeds, wider designs.

Each stage proposes networks from what was trained before and trains them. What is proposed depends on the arguments
and on outcomes, never on the clock, so the same search finds every trial in the store when it is run again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean, stdev

from smidgen.errors import FloorNotMet
from smidgen.search.confirm import confirm
from smidgen.search.designs import deep_design
from smidgen.search.effort import (
    BEST_FEW,
    BUDGET_SHARES,
    DEEP_MACS,
    DISTILLATION_RECIPES,
    FAMILY_WIDTHS,
    FINALIST_SEEDS,
    LABELS,
    RUNGS,
    SEARCHED_SIZES,
    SEED_ROUNDS,
    TEACHER,
    WIDENING_FACTOR,
    WIDENING_MACS,
    WIDENING_WORK,
    WIDENINGS,
    Effort,
)
from smidgen.search.goal import LIMIT_NAMES, OPTIONS, Limits, Target
from smidgen.search.proposals import Space, deep_networks, first_generation, next_generation, widened
from smidgen.search.ranking import (
    CandidateScore,
    by_error,
    by_error_times_size,
    expected_size,
    nearest,
)
from smidgen.search.result import RecipeComparison, TrainedCandidate
from smidgen.search.state import Search
from smidgen.spec import NetSpec, outputs_for
from smidgen.spec.families import FAMILIES

CLEAR = 2.0
"""Standard errors by which labels must be better than the teacher."""


def run_generations(search: Search) -> Search:
    """Train generations of new networks shortly, and the promising ones of those before longer, by successive halving.

    A generation is trained together with the networks that earlier ones promoted to longer trainings. Networks learn
    from the teacher, if there is one.

    Returns:
        The search, without its teacher where that has nothing to teach.

    Raises:
        FloorNotMet: No network satisfies the limits.
    """
    for generation in range(search.effort.generations + 1):
        _train_generation(search, generation)
        if generation == 1:
            search = without_useless_teacher(search)
    return search


def _train_generation(search: Search, generation: int) -> None:
    """Train one generation, and the longer trainings that those before it promoted."""
    effort = search.effort
    trials = {"short": search.trials(propose(search, generation), "short")}
    if generation >= 1 and effort.middle:
        trials["middle"] = search.trials(search.promising("middle", effort.middle), "middle")
    name = f"generation {generation} of {effort.generations}" if generation else "first generation"
    search.train_rungs(search.affordable_rungs(trials, BUDGET_SHARES["generations"]), name)
    if not search.history.runs["short"]:
        raise FloorNotMet(f"no candidate for {search.data.name} has {search.goal.limits}; {_raise_limits(search)}")


def _raise_limits(search: Search) -> str:
    without_limits = replace(search, goal=replace(search.goal, limits=Limits(), target=Target(0.5)))
    drawn = propose(without_limits, 0)
    limits, shape = search.goal.limits, search.data.input_shape
    costs = {name: [*limits.costs(name, drawn, shape)] for name in limits.given}
    least = [f"{min(found):,} {LIMIT_NAMES[name][1]}" for name, found in costs.items() if found]
    known = f" (least of {len(drawn)} drawn: {', '.join(least)})" if least else ""
    return "raise " + " or ".join(OPTIONS[name] for name in search.goal.limits.given) + known


def propose(search: Search, generation: int) -> tuple[NetSpec, ...]:
    """The networks of a generation: of every size at first, then of sizes near which the floor is expected."""
    space = search.space()
    if generation == 0:
        return first_networks(space, search.effort, search.seed)
    scores, children = search.expected, search.effort.children
    seed = search.seed * 1_000 + generation
    near = _near_target(search, space, scores)
    if not deep_design(space.input_shape):
        return next_generation(near, scores, children, seed)
    near = replace(near, most_macs=DEEP_MACS * near.most_macs)
    deep = deep_networks(replace(near, least_parameters=0), children // 2, seed, scores)
    return (*deep, *next_generation(near, scores, children - len(deep), seed))


def first_networks(space: Space, effort: Effort, seed: int) -> tuple[NetSpec, ...]:
    """The networks of the first generation: the families at small widths, and drawn ones of every size."""
    known = [build(width, outputs_for(space.classes)) for build in FAMILIES.values() for width in FAMILY_WIDTHS]
    drawn = first_generation(space, effort.first, seed)
    return tuple(dict.fromkeys((*filter(space.contains, known), *drawn)))


def _near_target(search: Search, space: Space, scores: Sequence[CandidateScore]) -> Space:
    """The part of the space around the size at which the requirement is expected to be met."""
    smaller, larger = SEARCHED_SIZES
    if not search.goal.target:
        best = sorted(scores, key=by_error)[:BEST_FEW]
        smallest = min((score.parameters for score in best), default=0)
        return replace(space, least_parameters=round(smaller * smallest))
    size = expected_size(scores, search.sized_error)
    if not size:
        return space
    size = min(size, space.most_parameters / larger)
    most = min(round(larger * size), space.most_parameters)
    return replace(space, least_parameters=round(smaller * size), most_parameters=most)


def without_useless_teacher(search: Search) -> Search:
    """Leave the teacher that was trained here out if a candidate is as accurate already: it has nothing to teach."""
    teacher = search.own_teacher
    if teacher is None or not search.context.teacher_key:
        return search
    best = max(search.history.candidates, key=lambda candidate: candidate.outcome.selection.rate).outcome
    if best.selection.rate < teacher.selection.rate:
        return search
    search.tell(
        f"the teacher that was trained here ({teacher.parameters:,} parameters) is right on {teacher.selection} of the "
        f"selection half and a candidate of {best.parameters:,} on {best.selection}: candidates learn from the labels"
    )
    return replace(search, recipe_name=LABELS, teacher_is_left_out=True)


def with_better_recipe(
    search: Search, specs: Sequence[NetSpec], stage: str
) -> tuple[Search, RecipeComparison, list[TrainedCandidate]]:
    """Train networks of middle length by both recipes if there is a teacher, and take the labels where they are better.

    The trainings by the recipe that is taken are trainings of middle length like all others.

    Returns:
        The search with the better recipe; the trainings that compared the two, by the recipe's name, which are none
        without a teacher or where the budget has no room for both; the trainings by the recipe that is taken.
    """
    names = (TEACHER, LABELS) if search.recipe_name == TEACHER else (LABELS,)
    wanted = [trial for name in names for trial in search.trials(specs, "middle", recipe_name=name)]
    trained = search.train(search.affordable(wanted, BUDGET_SHARES["wide designs"]), stage)
    recipes: RecipeComparison = {}
    if len(names) > 1 and len(trained) == len(wanted) > 0:
        recipes = {TEACHER: tuple(trained[: len(specs)]), LABELS: tuple(trained[len(specs) :])}
        errors = ([search.score(one).error for one in some] for some in recipes.values())
        search = replace(search, recipe_name=better_recipe(*errors))
    own = [one for one in trained if one.trial.recipe.loss == DISTILLATION_RECIPES[search.recipe_name].loss]
    search.history.runs["middle"] += map(search.score, own)
    return search, recipes, own


def better_recipe(by_teacher: Sequence[float], by_labels: Sequence[float]) -> str:
    """The teacher's recipe, unless labels leave less error by more than `CLEAR` standard errors of the mean difference.

    Wide networks, which are compared, gain less from a teacher than the small ones that come from them.

    Args:
        by_teacher: The error of each network that learned from the teacher.
        by_labels: The error of the same networks that learned from labels.
    """
    gains = [teacher - label for teacher, label in zip(by_teacher, by_labels, strict=True)]
    spread = stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return LABELS if fmean(gains) > CLEAR * spread else TEACHER


def train_finalists(search: Search, seeds: int = FINALIST_SEEDS) -> None:
    """Promote the most promising networks once more; the best are trained long from `seeds` seeds each."""
    effort, share = search.effort, BUDGET_SHARES["finalists"]
    if effort.middle:
        middle = {"middle": search.trials(search.promising("middle", effort.middle), "middle")}
        search.train_rungs(search.affordable_rungs(middle, share), "last promotions")
    finalists = search.trials(search.promising("long", effort.finalists), "long", seeds=seeds)
    search.train_rungs(search.affordable_rungs({"long": finalists}, share), "finalists")


def train_smaller_designs(search: Search) -> None:
    """Where trainings are cheap, train rounds of networks smaller than any that meets the requirement.

    The generations look near the size that they expect to be needed, and smaller networks of a few dozen parameters
    often meet the requirement too. The rounds end when several in a row find no smaller one.
    """
    failures = 0
    for number in range(search.effort.descents):
        before = search.smallest_selected()
        if before is None or not trainings_are_cheap(search) or failures > search.effort.patience:
            return
        specs = _smaller_designs(search, before.outcome.parameters, number)
        short = {"short": search.trials(specs, "short")}
        search.train_rungs(search.affordable_rungs(short, BUDGET_SHARES["finalists"]), "smaller designs")
        train_finalists(search, seeds=1)
        failures = 0 if search.smallest_selected() is not before else failures + 1


def trainings_are_cheap(search: Search) -> bool:
    """Whether so little work was done that there is time for more networks and seeds."""
    return search.history.work < search.effort.least_work


def _smaller_designs(search: Search, parameters: int, number: int) -> tuple[NetSpec, ...]:
    """Networks of somewhat fewer parameters: half of them edits of known ones, half drawn anew."""
    least, most = round(SEARCHED_SIZES[0] * parameters), parameters - 1
    space = replace(search.space(), least_parameters=least, most_parameters=most)
    seed, half = search.seed * 1_000 + search.effort.generations + 1 + number, search.effort.children // 2
    edited = next_generation(space, search.expected, half, seed)
    return (*edited, *first_generation(space, half, seed, search.expected))


def train_more_seeds(search: Search) -> None:
    """Train the networks that came nearest to the requirement from more seeds: one of them may meet it."""
    effort, runs = search.effort, search.history.runs["long"]
    for _ in range(SEED_ROUNDS):
        known = search.smallest_selected()
        most = known.outcome.parameters if known else math.inf
        specs = nearest(runs, search.sized_error, effort.near_misses, most)
        trials = [
            trial
            for spec in specs
            for trial in search.trials([spec], "long", seeds=effort.seeds, first_seed=_seeds_of(search, spec))
        ]
        search.train_rungs(search.affordable_rungs({"long": trials}, BUDGET_SHARES["finalists"]), "more seeds")


def _seeds_of(search: Search, spec: NetSpec) -> int:
    """How many seeds of a network were trained long."""
    return sum(run.spec == spec for run in search.history.runs["long"])


def train_wider_designs(search: Search, is_enough: Callable[[Search], bool]) -> None:
    """Widen the best designs again and again, until what was found is enough.

    Where no network meets the requirement, the size that it takes is larger than was expected. Larger networks cost
    more, so this ends after `WIDENING_WORK` times the work of all that came before.
    """
    if not search.goal.target:
        return
    space = search.space(macs_factor=WIDENING_MACS)
    designs = [spec for spec in _best_designs(search) if widened(space, spec, WIDENING_FACTOR)]
    designs = designs[: 2 * search.effort.finalists]
    most_work = (1 + WIDENING_WORK) * search.history.work
    for _ in range(WIDENINGS):
        if search.history.work >= most_work or is_enough(search):
            break
        designs = [wider for spec in designs if (wider := widened(space, spec, WIDENING_FACTOR))]
        trials = {"long": search.trials(designs, "long")}
        search.train_rungs(search.affordable_rungs(trials, BUDGET_SHARES["wider designs"]), "wider designs")


def is_selected(search: Search) -> bool:
    """Whether a network meets the requirement on the selection half."""
    return search.smallest_selected() is not None


def is_found(search: Search) -> bool:
    """Whether a network is confirmed, or has so much to spare on the selection half that one surely will be."""
    judge = search.judge
    if any(judge.is_met_with_margin(one.trial, one.outcome) for one in search.history.candidates):
        return True
    return confirm(search.by_size(), search.is_met).candidate is not None


def _best_designs(search: Search) -> list[NetSpec]:
    """All networks without repetition, those with the longest trainings first, each group by error times size."""
    groups = [sorted(search.history.runs[rung], key=by_error_times_size) for rung in reversed(RUNGS)]
    return list(dict.fromkeys(score.spec for group in groups for score in group))
