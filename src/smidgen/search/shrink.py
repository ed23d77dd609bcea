"""The search for the smallest network that holds an accuracy floor. Read this file second, after trials/evaluate.py.

    teacher -> generations of short trainings -> the best designs, trained wide -> removal of their channels
            -> confirmation -> fresh seeds and curve -> test -> file

Where no network that lost channels meets the floor, or trainings are cheap, others are trained long from drawn weights
before the confirmation: finalists, smaller designs, more seeds of near misses, and wider designs.

Everything is chosen on the selection half of the validation split. The floor asks for a rate whose 95 % Wilson
interval over the whole validation split lies above it. A network must reach that rate on the selection half, and the
smallest that does must reach it again on the confirmation half, which takes no part in choosing; if it fails, the next
larger one is confirmed. The test split is scored once, at the end.

What is trained depends on the arguments and never on the clock, so the same call again finds every trial in the store.

    smidgen.search.planning           the time that it will take, and the effort that a budget allows
    smidgen.search.goal               what is searched for
    smidgen.search.judge              what that requires of a network, and whether a network meets it
    smidgen.search.effort             how much is tried
    smidgen.search.teacher_stage      the first stage
    smidgen.search.parameter_search   the stages that train candidates from drawn weights
    smidgen.search.pruning            the stages that remove channels and train on
    smidgen.search.descent            the smallest network, made smaller still
    smidgen.search.confirm            confirmation on the second half
    smidgen.search.finish             the stages after the candidates
    smidgen.search.result             the result
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from smidgen.data import Dataset, oversampled
from smidgen.errors import RequestError
from smidgen.records import Floor, Score
from smidgen.reporter import Reporter
from smidgen.search.budget import WorkEstimate
from smidgen.search.compress import CompressResult
from smidgen.search.descent import descend, is_pruned
from smidgen.search.effort import EFFORTS, LABELS, TEACHER, Effort, effort_named
from smidgen.search.finish import Choice, choose_winner, draw_curve, score_on_test, search_file, train_fresh_seeds
from smidgen.search.frontier import TurningPoint
from smidgen.search.goal import Goal, as_goal
from smidgen.search.judge import Judge, Requirement, balanced_scores, needed_rate, shown_floor
from smidgen.search.moved import train_on_moved_copies, with_moved_copies
from smidgen.search.parameter_search import (
    is_found,
    is_selected,
    run_generations,
    train_finalists,
    train_more_seeds,
    train_smaller_designs,
    train_wider_designs,
    trainings_are_cheap,
    with_better_recipe,
)
from smidgen.search.planning import Budget, SearchPlan, plan_search, with_known_costs
from smidgen.search.progress import Progress
from smidgen.search.pruning import prune, wide_designs
from smidgen.search.result import RecipeComparison, ShrinkResult, TrainedCandidate
from smidgen.search.state import History, Search
from smidgen.search.teacher_stage import prepare_teacher
from smidgen.teacher import TeacherOutputs
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store, open_store
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool

NO_BUDGET = Budget()


def shrink(
    data: Dataset,
    goal: Goal | Floor | float,
    *,
    teacher: object = None,
    effort: str | Effort = "normal",
    seed: int = 0,
    store: Store | None = None,
    workers: int | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
    pool: Pool | None = None,
    with_file: bool = True,
    budget: Budget = NO_BUDGET,
) -> ShrinkResult:
    """Find the smallest network that meets a goal on a data set.

    Args:
        data: The images or vectors, and their splits.
        goal: An accuracy floor, or a `Goal` with a distance to the teacher or limits.
        teacher: The network to imitate: a `smidgen.teacher.Teacher` or anything that one takes as its source;
            None trains one.
        effort: A name in `EFFORTS`, or an `Effort`.
        seed: Seed of the search and of every training.
        store: Remembers trials; the user's own by default.
        workers: Trainings at once; None is one a CPU.
        engine: "auto", "native" or "torch".
        reporter: Is told of each stage, of its progress, and of what was found out about the teacher.
        pool: Workers in other processes or on other machines (`smidgen.trials.dask_pool.connect`); the result is the
            same.
        with_file: Whether the shortest file is searched for at the end.
        budget: Minutes or multiply-accumulates that the search may take; it then takes the place of `effort`.

    Raises:
        RequestError: The goal, the effort or the seed is invalid, or the data is too small to show the floor.
        TeacherError: The teacher cannot be read, or does not fit the data.
        FloorNotMet: No network reached the floor; the message names the best.
    """
    started = time.perf_counter()
    goal, effort = as_goal(goal), effort_named(effort, EFFORTS)
    if not 0 <= seed < 2**32:
        raise RequestError(f"seed={seed} must be at least 0 and below {2**32:,}")
    data = oversampled(data) if goal.balanced else data
    if goal.target and goal.target.accuracy_floor:
        needed_rate(data, goal.target.accuracy_floor, goal.balanced)  # before anything is trained
    with open_store(store) as opened:
        study = Study(opened, workers, reporter, pool)
        context = TrainingContext(data, engine)
        plan = plan_search(study, context, goal, effort, seed, budget=budget, trains_teacher=teacher is None)
        outputs, context, notes = prepare_teacher(study, context, goal, plan.effort, seed, teacher)
        search = _search(study, context, goal, seed, replace(plan, notes=(*plan.notes, *notes)), outputs)
        found = _run_stages(search, plan.estimate, outputs, with_file)
        return _result(found, plan, time.perf_counter() - started)


def _search(
    study: Study, context: TrainingContext, goal: Goal, seed: int, plan: SearchPlan, teacher: TeacherOutputs | None
) -> Search:
    halves = _scores_by_half(goal, context.dataset, teacher) if teacher else None
    requirement = Requirement.of(goal, context.dataset, halves)
    return Search(
        study=study,
        context=context,
        goal=goal,
        effort=plan.effort,
        seed=seed,
        judge=Judge(requirement, context),
        recipe_name=TEACHER if context.teacher_key else LABELS,
        own_teacher=teacher.outcome if teacher else None,
        most_work=plan.candidates_work,
        progress=Progress.begin(plan.expected_work, study.work) if study.is_followed else None,
        history=History(notes=list(plan.notes)),
    )


def _scores_by_half(goal: Goal, data: Dataset, teacher: TeacherOutputs) -> Mapping[str, Score]:
    return balanced_scores(data, teacher.validation_logits) if goal.balanced else teacher.halves


@dataclass(frozen=True, eq=False)
class _Found:
    """What the stages found; the attributes are those of `ShrinkResult`."""

    search: Search
    teacher: TeacherOutputs | None
    recipes: RecipeComparison
    choice: Choice
    fresh_seeds: tuple[TrainedCandidate, ...]
    turning_point: TurningPoint | None
    test: Score
    teacher_test: Score | None
    file: CompressResult | None


def _run_stages(search: Search, estimate: WorkEstimate, teacher: TeacherOutputs | None, with_file: bool) -> _Found:
    search = run_generations(search)
    designs = wide_designs(search)
    search, recipes, wide = with_better_recipe(with_known_costs(search, estimate, designs), designs, "wide designs")
    if wide:
        train_wider_designs(search, is_selected)
    prune(search, wide)
    descend(search)
    search = with_moved_copies(search, teacher)
    train_on_moved_copies(search)
    if not is_pruned(search) or trainings_are_cheap(search):
        train_finalists(search)
        train_smaller_designs(search)
        train_more_seeds(search)
        train_wider_designs(search, is_found)
    choice = choose_winner(search)
    fresh_seeds = train_fresh_seeds(search, choice.winner)
    turning_point = draw_curve(search, choice.winner)
    teacher = teacher if _is_shown(search, choice.winner) else None
    test, teacher_test = score_on_test(search, choice.winner), teacher.test() if teacher else None
    file = search_file(search, choice.winner, test) if with_file else None
    return _Found(
        search=search,
        teacher=teacher,
        recipes=recipes,
        choice=choice,
        fresh_seeds=fresh_seeds,
        turning_point=turning_point,
        test=test,
        teacher_test=teacher_test,
        file=file,
    )


def _is_shown(search: Search, winner: TrainedCandidate) -> bool:
    """Whether the result has the teacher: it taught the winner, or candidates, or a distance is measured from it."""
    measured = search.goal.target is not None and search.goal.target.within is not None
    return bool(winner.trial.teacher_key) or not search.teacher_is_left_out or measured


def _result(found: _Found, plan: SearchPlan, seconds: float) -> ShrinkResult:
    search, winner, judge = found.search, found.choice.winner, found.search.judge
    floor = judge.requirement.floor or shown_floor(winner.outcome)
    holds = tuple(judge.is_met_overall(fresh.trial, fresh.outcome, floor) for fresh in found.fresh_seeds)
    return ShrinkResult(
        data=search.data,
        context=search.context_of(winner.trial),
        goal=search.goal,
        floor=floor,
        is_met=found.choice.is_met,
        winner=winner.trial,
        outcome=winner.outcome,
        test=found.test,
        teacher=found.teacher,
        teacher_test=found.teacher_test,
        fresh_seeds=found.fresh_seeds,
        fresh_seeds_hold=holds,
        recipes=found.recipes,
        candidates=tuple(search.history.candidates),
        rejected=found.choice.rejected,
        turning_point=found.turning_point,
        file=found.file,
        seconds=seconds,
        trained=search.study.trained,
        remembered=search.study.remembered,
        promise=judge.promise(winner.trial, winner.outcome, search.look(winner)),
        work=plan.work,
        notes=tuple(search.history.notes),
    )
