"""The first stage of a search: the user's teacher is run, or a teacher is trained here."""

from __future__ import annotations

from dataclasses import replace

from smidgen.records import Outcome, Score, Trial
from smidgen.search.effort import Effort
from smidgen.search.goal import Goal
from smidgen.teacher import (
    Teacher,
    TeacherOutputs,
    context_with_teacher,
    default_recipe,
    default_spec,
    run_teacher,
)
from smidgen.text_forms import points_text
from smidgen.trials.evaluate import TrainingContext, score
from smidgen.trials.study import Study

SEEN_NOTE = (
    "if the teacher was trained on these validation images too, its rate on them is too high: --within then asks for "
    "more than it says, never for less"
)
"""A note on every teacher of the user's that a distance is measured from."""

CERTAIN_IMAGES = 20
"""If a distance to the teacher allows fewer additional errors than this, a note says that chance may exceed it."""


def prepare_teacher(
    study: Study, context: TrainingContext, goal: Goal, effort: Effort, seed: int, source: object
) -> tuple[TeacherOutputs | None, TrainingContext]:
    """Run the teacher in `source`, or train one where the goal or the effort needs one.

    Returns:
        The teacher, or None, and the context with its logits.

    Raises:
        TeacherError: The teacher cannot be read, or does not fit the data.
    """
    within = goal.target.within if goal.target else None
    if source is not None:
        teacher, context = _run(study, context, source if isinstance(source, Teacher) else Teacher(source))
    elif effort.compares_recipes or within is not None:
        teacher, context = _train(study, context, seed)
    else:
        return None, context
    notes = _notes_on_distance(within, len(context.dataset.selection), source is not None)
    return replace(teacher, notes=(*teacher.notes, *notes)), context


def _run(study: Study, context: TrainingContext, teacher: Teacher) -> tuple[TeacherOutputs, TrainingContext]:
    data = context.dataset
    images = len(data.train) + len(data.selection) + len(data.confirmation)
    study.reporter.stage("the teacher's logits", images)
    outputs = run_teacher(study.store, data, teacher, study.reporter)
    for note in outputs.notes:
        study.reporter.say(note)
    return outputs, replace(context, teacher_key=outputs.key, teacher_logits=outputs.logits)


def _train(study: Study, context: TrainingContext, seed: int) -> tuple[TeacherOutputs, TrainingContext]:
    """Train a teacher with all workers' threads on the one network."""
    data = context.dataset
    spec = default_spec(data.input_shape, data.classes)
    trial = context.trial(spec, default_recipe(len(data.train)), seed)
    (outcome,) = study.run(context, [trial], "teacher", threads=study.workers)
    context = context_with_teacher(study.store, context, trial, outcome, study.workers)
    return _trained_outputs(study, context, trial, outcome), context


def _trained_outputs(study: Study, context: TrainingContext, trial: Trial, outcome: Outcome) -> TeacherOutputs:
    logits = context.teacher_logits
    assert logits is not None, "context_with_teacher gives them"

    def test() -> Score:
        return score(context, trial.spec, outcome.weights, context.dataset.test, study.workers)

    return TeacherOutputs(
        key=trial.key,
        name=str(trial.spec),
        parameters=outcome.parameters,
        logits=logits,
        halves=outcome.halves,
        test=test,
        trial=trial,
        outcome=outcome,
    )


def _notes_on_distance(within: float | None, half_images: int, is_external: bool) -> list[str]:
    """What to beware of where a distance to the teacher is the target."""
    if within is None:
        return []
    allowed = within * half_images
    few = (
        f"a distance of {points_text(within)} is {allowed:.1f} of the {half_images:,} images of a half: the rates "
        "of so few are not that sure, and on other images the two may differ by more"
    )
    return [SEEN_NOTE] * is_external + [few] * (allowed < CERTAIN_IMAGES)
