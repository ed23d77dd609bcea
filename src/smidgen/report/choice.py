"""How a network was chosen, in sentences for the page."""

from __future__ import annotations

from smidgen.report.axes import count_text, percent_text, short_percent_text
from smidgen.search.judge import needed_rate
from smidgen.search.result import ShrinkResult


def how_chosen(result: ShrinkResult) -> tuple[str, ...]:
    """Return the steps of the choice, one sentence each, with the run's own counts."""
    data = result.data
    networks = _counted(len({str(candidate.trial.spec) for candidate in result.candidates}), "network")
    return (
        f"{_counted(len(result.candidates), 'training')} of {networks} on {len(data.train):,} examples were compared "
        f"on {len(data.selection):,} other examples of the training data, the selection half of the validation split.",
        *(_by_floor(result) if result.goal.target else _by_limits(result)),
        *map(_sentence, (*(result.teacher.notes if result.teacher else ()), *result.notes)),
        f"The {len(data.test):,} test examples were scored once, after the choice.",
        *_fresh_seeds(result),
    )


def _sentence(note: str) -> str:
    """The note as a sentence; the name of a file or a variable at its beginning stays as it is written."""
    is_word = note.partition(" ")[0].isalpha()
    return f"{note[:1].upper() if is_word else note[:1]}{note[1:].removesuffix('.')}."


def _by_floor(result: ShrinkResult) -> tuple[str, str]:
    """Return what holding the floor means, and how the smallest network that holds it was confirmed."""
    data, floor, goal = result.data, result.floor, result.goal
    measure = "accuracy, the mean over the classes," if goal.balanced else "accuracy"
    if floor.rule == "strict":
        return _strictly(result), f"{_confirmation(result)} {_rejected(result)}"
    lowest = "lower end of the 95 % Wilson interval of the " if floor.rule == "wilson" else ""
    needed = percent_text(needed_rate(data, floor, goal.balanced))
    limits = f" Only networks of {goal.limits} were candidates." if goal.limits else ""
    return (
        f"A network holds the floor if the {lowest}{measure} on all validation examples is at least "
        f"{short_percent_text(floor.accuracy)}, which takes {needed} correct.{limits}",
        f"{_confirmation(result)} {_rejected(result)}",
    )


def _strictly(result: ShrinkResult) -> str:
    """Return what the rule "strict" asks for."""
    floor = short_percent_text(result.floor.accuracy)
    return (
        f"The confirmation half alone had to show {floor}: the exact lower bound (Clopper and Pearson) of a network's "
        "accuracy there, at 97.5 % confidence for the first network that was asked for, and with half the remaining "
        "error for each further one. So at most 5 % of such searches end with a network below its floor. The winner is "
        f"shown to reach {short_percent_text(result.promise)}."
    )


def _confirmation(result: ShrinkResult) -> str:
    images = f"the confirmation half, {len(result.data.confirmation):,} further examples that took no part in choosing"
    classes = result.goal.class_floor
    each = f" Each class had to reach {short_percent_text(classes)} on both halves." if classes else ""
    if result.is_met:
        return f"The smallest network that reached it on the selection half had to reach it again on {images}.{each}"
    return (
        f"No network reached it on the selection half and again on {images}.{each} The most accurate network on the "
        "selection half was chosen instead."
    )


def _rejected(result: ShrinkResult) -> str:
    if not result.rejected:
        return "No smaller network passed selection and failed confirmation."
    return f"{_counted(len(result.rejected), 'smaller network')} passed selection and failed confirmation."


def _by_limits(result: ShrinkResult) -> tuple[str, str]:
    """Return how the most accurate network within limits was chosen, and where its floor comes from."""
    data = result.data
    return (
        f"Of the networks of {result.goal.limits}, the one with the fewest errors on the selection half was chosen.",
        f"The confirmation half, {len(data.confirmation):,} further examples, took no part in choosing. The floor of "
        f"{short_percent_text(result.floor.accuracy)} is the lower end of the 95 % Wilson interval of the accuracy on "
        "the worse half.",
    )


def _fresh_seeds(result: ShrinkResult) -> tuple[str, ...]:
    seeds, images = len(result.fresh_seeds), len(result.data.selection) + len(result.data.confirmation)
    if not seeds:
        return ()
    again = "trained again, from the weights that its larger network left, with" if result.comes_from_larger else ""
    return (
        f"The same network and recipe were {again or 'trained again from'} {_counted(seeds, 'fresh seed')}: "
        f"{result.fresh_seeds_met} of {seeds} held the floor on all {images:,} validation examples.",
    )


def _counted(count: int, noun: str) -> str:
    return f"{count_text(count)} {noun}{'' if count == 1 else 's'}"
