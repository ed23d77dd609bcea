"""The first stage of a search: the user's teacher is run, or a teacher is trained here."""

from __future__ import annotations

import math
from dataclasses import replace

from smidgen.errors import TeacherError
from smidgen.records import Outcome, Score, Trial
from smidgen.search.effort import Effort
from smidgen.search.goal import Goal
from smidgen.teacher import (
    CHANCE_ERRORS,
    Teacher,
    TeacherOutputs,
    chance_rate,
    context_with_teacher,
    default_recipe,
    default_spec,
    run_teacher,
    score_of_logits,
)
from smidgen.teacher.logits import Logits
from smidgen.text_forms import points_text
from smidgen.trials.evaluate import TrainingContext, classify, score
from smidgen.trials.study import Study

SEEN_NOTE = (
    "if the teacher was trained on these validation examples too, its rate on them is too high: --within then asks for "
    "more than it says, never for less"
)
"""A note on every teacher of the user's that a distance is measured from."""

CERTAIN_IMAGES = 20
"""If a distance to the teacher allows fewer additional errors than this, a note says that chance may exceed it."""


def prepare_teacher(
    study: Study, context: TrainingContext, goal: Goal, effort: Effort, seed: int, source: object
) -> tuple[TeacherOutputs | None, TrainingContext, tuple[str, ...]]:
    """Run the teacher in `source`, or train one where the goal or the effort needs one.

    Returns:
        The teacher, or None; the context with its logits; and a note where the teacher that was trained here knows
        nothing and is therefore not used.

    Raises:
        TeacherError: The teacher cannot be read, does not fit the data, or was trained here to measure a distance from
            and knows nothing.
    """
    within = goal.target.within if goal.target else None
    if source is not None:
        teacher, context = _run(study, context, source if isinstance(source, Teacher) else Teacher(source))
    elif effort.compares_recipes or within is not None:
        teacher, taught = _train(study, context, seed, effort.teacher_length)
        if not _is_above_chance(teacher, context):
            _refuse_distance(within, teacher)
            study.reporter.say(note := unused_note(teacher))
            return None, context, (note,)
        context = taught
    else:
        return None, context, ()
    notes = _notes_on_distance(within, len(context.dataset.selection), source is not None)
    return replace(teacher, notes=(*teacher.notes, *notes)), context, ()


def _run(study: Study, context: TrainingContext, teacher: Teacher) -> tuple[TeacherOutputs, TrainingContext]:
    data = context.dataset
    images = len(data.train) + len(data.selection) + len(data.confirmation)
    study.reporter.stage("the teacher's logits", images)
    outputs = run_teacher(study.store, data, teacher, study.reporter)
    for note in outputs.notes:
        study.reporter.say(note)
    return outputs, replace(context, teacher_key=outputs.key, teacher_logits=outputs.logits)


def _train(study: Study, context: TrainingContext, seed: int, length: int) -> tuple[TeacherOutputs, TrainingContext]:
    """Train a teacher with all workers' threads on the one network."""
    trial = teacher_trial(context, seed, length)
    (outcome,) = study.run(context, [trial], "teacher", threads=study.workers)
    context = context_with_teacher(study.store, context, trial, outcome, study.workers)
    return _trained_outputs(study, context, trial, outcome), context


def teacher_trial(context: TrainingContext, seed: int, length: int = 1) -> Trial:
    """The training of the teacher that is trained here, for `length` times the epochs of its recipe."""
    data = context.dataset
    spec = default_spec(data.input_shape, data.classes, len(data.train) // data.copies)
    recipe = default_recipe(len(data.train), data.input_shape)
    return context.trial(spec, replace(recipe, epochs=length * recipe.epochs), seed)


def _is_above_chance(teacher: TeacherOutputs, context: TrainingContext) -> bool:
    """Whether it is better than naming the commonest class, beyond doubt, on the selection half."""
    found, chance = teacher.halves["selection"], chance_rate(context.dataset)
    return found.rate > chance + CHANCE_ERRORS * math.sqrt(chance * (1 - chance) / found.total)


def unused_note(teacher: TeacherOutputs) -> str:
    """The sentence about a teacher that knows nothing."""
    return (
        f"the teacher that was trained here ({teacher.parameters:,} parameters) is right on "
        f"{teacher.halves['selection']} of the selection half, hardly more than always naming the commonest class: "
        "candidates learn from the labels"
    )


def _refuse_distance(within: float | None, teacher: TeacherOutputs) -> None:
    if within is not None:
        raise TeacherError(
            f"--within measures from a teacher, and the one that was trained here is right on only "
            f"{teacher.validation} of the validation examples; give --teacher, or --floor in place of --within"
        )


def _trained_outputs(study: Study, context: TrainingContext, trial: Trial, outcome: Outcome) -> TeacherOutputs:
    logits = context.teacher_logits
    assert logits is not None, "context_with_teacher gives them"

    def test() -> Score:
        return score(context, trial.spec, outcome.weights, context.dataset.test, study.workers)

    def validation_logits(half: str) -> Logits:
        return classify(context, trial.spec, outcome.weights, context.dataset.splits[half])

    known = score_of_logits(logits, context.dataset.train.labels)
    return TeacherOutputs(
        key=trial.key,
        name=str(trial.spec),
        parameters=outcome.parameters,
        logits=logits,
        halves=outcome.halves,
        validation_logits=validation_logits,
        test=test,
        notes=(memory_note(known, sum(outcome.halves.values(), Score(0, 0))),),
        trial=trial,
        outcome=outcome,
    )


def memory_note(train: Score, validation: Score) -> str:
    """The sentence on what a teacher knows of its training images and of others: they differ by what it memorised."""
    return f"the teacher is right on {train} of its training examples and {validation} of the validation examples"


def _notes_on_distance(within: float | None, half_images: int, is_external: bool) -> list[str]:
    """What to beware of where a distance to the teacher is the target."""
    if within is None:
        return []
    allowed = within * half_images
    few = (
        f"a distance of {points_text(within)} is {allowed:.1f} of the {half_images:,} examples of a half: the rates "
        "of so few are not that sure, and on other examples the two may differ by more"
    )
    return [SEEN_NOTE] * is_external + [few] * (allowed < CERTAIN_IMAGES)
