"""The question: the smallest network that holds an accuracy floor.

    teacher -> generations of short trainings -> longer ones near the front -> finalists -> confirmation -> test

Everything is chosen on the selection half of the validation split. The floor asks for a rate whose 95 %
Wilson interval over the whole validation split lies above it; a network must reach that rate on the selection
half, and the smallest that does must reach it again on the confirmation half, which took no part in choosing. If it
fails, the next larger one is held against it. The test split is scored once, at the end.

What is trained depends on the arguments alone and never on the clock, so the same line run again finds every
trial in the store.

    smidgen.search.goal      what is asked, and the judge who says whether a network does it
    smidgen.search.effort    how much is tried
    smidgen.search.parameter_search       the stages
    smidgen.search.result    what comes of it
    smidgen.search.compress    the fewest bytes at a floor, with the evidence
"""

from __future__ import annotations

import time

from smidgen.data import Dataset, oversampled
from smidgen.errors import RequestError
from smidgen.records import Floor
from smidgen.reporter import Reporter
from smidgen.search.effort import Effort, named_effort
from smidgen.search.goal import Goal, as_goal
from smidgen.search.judge import needed_rate
from smidgen.search.parameter_search import Run
from smidgen.search.result import ShrinkResult
from smidgen.teacher import Teacher
from smidgen.trials.evaluate import TrainingContext
from smidgen.trials.store import Store, default_path
from smidgen.trials.study import Study
from smidgen.trials.workers import Pool


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
) -> ShrinkResult:
    """The smallest network that holds `floor` on `data`, which may be what `smidgen.data.load` takes.

    floor: an accuracy, or a `Goal`: within so much of the teacher, or the best under a limit
    teacher: what is imitated: a `smidgen.teacher.Teacher`, or anything that one has as its source; None trains one
    pool: workers in other processes or on other machines (`smidgen.trials.dask_pool.connect`); the answer is the same
    reporter: told of each stage, of its progress, and of what was found out about the teacher
    squeezes: whether the fewest bytes of a file are searched for at the end

    Raises:
        RequestError: a goal, an effort or a seed that cannot be, or a floor that so few images cannot show.
        TeacherError: a teacher that cannot be read, or does not fit the data.
        FloorNotMet: nothing that was tried holds the floor; the message gives the best.
    """
    start = time.perf_counter()
    goal = as_goal(goal)
    spent = effort if isinstance(effort, Effort) else named_effort(effort)
    if not 0 <= seed < 2**32:
        raise RequestError(f"seed={seed} must be at least 0 and below {2**32:,}")
    data = oversampled(data) if goal.balanced else data
    if goal.target and goal.target.accuracy_floor:
        needed_rate(data, goal.target.accuracy_floor, goal.balanced)
    brought = Teacher(teacher) if teacher is not None and not isinstance(teacher, Teacher) else teacher
    with store or Store(default_path()) as opened:
        run = Run(Study(opened, workers, reporter, pool), TrainingContext(data, engine), goal, spent, seed)
        return run.answer(start, brought, with_file)
