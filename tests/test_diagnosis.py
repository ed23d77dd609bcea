"""What `smidgen doctor` finds, and when it fails."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import smidgen
from commands import Said
from smidgen import diagnosis
from smidgen.engine import native
from smidgen.records import Recipe, Trial
from smidgen.spec import parse_spec
from smidgen.trials.identity import code_digest
from smidgen.trials.store import Store
from store_samples import OUTCOME


def test_the_answer_is_this_installations(own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    with Store(own_store) as store:
        store.put(Trial(parse_spec("dense 10"), Recipe(), 0, "digest", "engine"), OUTCOME)
        found = smidgen.doctor(store=store)
    assert found == smidgen.doctor()
    assert (found.version, found.code, found.trials) == (smidgen.__version__, code_digest(), 1)
    assert (found.store, found.cache, found.data, found.problems) == (str(own_store), tmp_path / "cache", (), ())
    assert (found.core.engine, found.core.missing, found.core.failure) == (native.name(), "", "")
    assert found.core.compiler
    assert found.core.instruction_sets


def test_extras_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=1", "torch>=2; extra == 'torch'", 'no-such>=1 ; extra == "torch"', "ruff; extra == 'dev'"]
    monkeypatch.setattr(diagnosis, "requires", lambda _: lines)
    monkeypatch.setattr(diagnosis, "version", lambda name: {"torch": "2.9"}[name])
    monkeypatch.setattr(diagnosis, "PackageNotFoundError", KeyError)
    assert diagnosis._extras() == (diagnosis.Extra("torch", ("torch 2.9",), ("no-such",)),)


def test_the_command_prints_it(command: Callable[..., Said], own_store: Path) -> None:
    said = command("doctor")
    assert (said.code, said.err) == (0, "")
    for word in (code_digest()[:12], native.name(), "compiler", "instruction sets", own_store.name, "0 trainings"):
        assert word in said.out


def test_a_store_that_cannot_be_opened_is_a_problem(command: Callable[..., Said], tmp_path: Path) -> None:
    said = command("doctor", "--store", str(tmp_path / "missing" / "store.sqlite"))
    assert said.code == 1
    assert "is not a directory; make it first" in " ".join(said.out.split())


def test_an_instruction_set_that_is_not_there_is_a_problem(
    command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", "v9")
    said = command("doctor")
    assert said.code == 1
    assert "no instruction set 'v9'; change SMIDGEN_INSTRUCTION_SET" in " ".join(said.out.split())


def test_what_the_compiler_said_is_shown(command: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    failure = "plan.cpp:1:2: error: broken on purpose\nmore of it\n"
    monkeypatch.setattr(native, "build_failure", lambda: failure)
    monkeypatch.setitem(sys.modules, "smidgen._core", None)
    said = command("doctor")
    assert said.code == 1
    assert "plan.cpp:1:2: error: broken on purpose; `smidgen doctor` shows more" in " ".join(said.out.split())
    assert failure in said.out
