"""The C program of an answer, on the console and on the page."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hand_made_results import a_page
from smidgen.errors import RequestError, RunError
from smidgen.model import QuantizedModel
from smidgen.report import device
from smidgen.report.device import Device, device_of
from smidgen.report.page import render
from smidgen.search.goal import Limits
from smidgen.search.result import ShrinkResult

DEVICE = Device(
    "integer", "/* the program */", 900, 4_100, True, {"Cortex-M0+": 1_000_000, "Cortex-M4F": 400_000}, 2_500
)


def test_the_page_shows_the_program_and_offers_it() -> None:
    page = re.sub(r"\s+", " ", render(replace(a_page(), device=DEVICE)))
    assert "As C of the form integer" in page and "4,100 bytes of flash on a Cortex-M0+ (measured)" in page
    assert "1,000,000 on a Cortex-M0+, 400,000 on a Cortex-M4F." in page and "2.5 µs" in page
    link = re.search(r'href="data:text/x-c;base64,([^"]+)" download="winner.h"', page)
    assert link is not None and base64.b64decode(link[1]) == b"/* the program */"


def test_a_page_without_a_program_offers_none() -> None:
    assert "winner.h" not in render(a_page())


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(flash_bytes=4_000, form="integer"), "4,100 bytes of flash, more than --flash 4000"),
        (Limits(instructions=900_000, form="integer"), "1,000,000 instructions for an input, more than --instructions"),
    ],
)
def test_an_estimate_that_was_too_low_is_said(limits: Limits, said: str) -> None:
    (sentence,) = DEVICE.exceeded(limits)
    assert said in sentence and "which an estimate kept; give" in sentence


def test_limits_that_are_kept_or_of_no_program_are_not_mentioned() -> None:
    assert not DEVICE.exceeded(Limits(flash_bytes=4_100, ram_bytes=900, form="integer"))
    assert not DEVICE.exceeded(Limits(ram_bytes=100))


def test_a_form_that_cannot_hold_the_network_gives_way(answer: ShrinkResult, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search has ended by then, and its answer must not be lost."""
    made = device.c_program
    asked = replace(answer, goal=replace(answer.goal, limits=Limits(flash_bytes=9_000, form="integer")))

    def refuse_integers(quantized: QuantizedModel, name: str, form: str, *arguments: Any, **named: Any) -> Any:
        if form == "integer":
            raise RequestError("too much for whole numbers")
        return made(quantized, name, form, *arguments, **named)

    monkeypatch.setattr(device, "c_program", refuse_integers)
    found = device_of(asked)
    assert found is not None and found.form == "levels"
    assert found.notes == ("The network has no C program of the form integer: too much for whole numbers.",)


def test_a_compiler_that_fails_leaves_estimates(answer: ShrinkResult, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> Any:
        raise RunError("the program failed")

    monkeypatch.setattr(device, "program_size", fail)
    monkeypatch.setattr(device, "nanoseconds_by_c", fail)
    device._measured.cache_clear()
    found = device_of(answer)
    assert found is not None and not found.flash_is_measured and found.nanoseconds is None
    assert found.flash_bytes > 0
    device._measured.cache_clear()
