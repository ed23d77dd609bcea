"""Places what a program keeps in one block of memory, by the time that each part is needed."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.spec.liveness import Lifetime

__all__ = ["Lifetime", "placed"]


def placed(spans: Sequence[Lifetime], alignment: int = 1) -> dict[int, int]:
    """Place every span where no other lies that is needed at the same time, the largest first (first fit).

    Args:
        spans: What is placed; `values` is its size.
        alignment: Every place is a multiple of it.

    Returns:
        The place of each span by its `layer`.
    """
    places: dict[int, int] = {}
    known: list[tuple[int, Lifetime]] = []
    for span in sorted(spans, key=lambda each: (-each.values, each.layer)):
        places[span.layer] = _first_fit(span, known, alignment)
        known.append((places[span.layer], span))
    return places


def _first_fit(span: Lifetime, known: list[tuple[int, Lifetime]], alignment: int) -> int:
    """Return the first place where the span meets none of those that are needed with it."""
    place = 0
    for offset, other in sorted(known, key=lambda pair: pair[0]):
        together = other.first <= span.last and span.first <= other.last
        if together and offset < place + span.values and place < offset + other.values:
            place = -(-(offset + other.values) // alignment) * alignment
    return place
