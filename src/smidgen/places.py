"""Where a public function writes its results, checked before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from smidgen import arguments
from smidgen.arguments import Data
from smidgen.errors import RequestError
from smidgen.report.run_files import files_of_run
from smidgen.search.effort import Effort
from smidgen.search.goal import Goal
from smidgen.text_forms import path_of

Out = str | Path | Literal[True] | None
"""A path, True for the place that the command line uses, or None to write nothing."""


def folder_of(out: Out, default: Path) -> Path | None:
    """The folder to write, checked before anything is trained."""
    return None if out is None else arguments.writable(default if out is True else path_of(out, "out"))


def file_of(out: Out, first: Path | None) -> Path | None:
    """The .smidgen file to write, checked before anything is trained."""
    if out is None:
        return None
    if out is True and first is None:
        raise RequestError("out=True is beside the first file, and a Model was given; give out='NAME.smidgen'")
    beside = None if first is None else first.with_name(f"{first.stem}-compressed.smidgen")
    path = beside if beside is not None and out is True else path_of(out, "out")
    if path.suffix != ".smidgen":
        raise RequestError(f"--out {path} must end in .smidgen; give for example {path.with_suffix('.smidgen')}")
    arguments.writable(path.parent)
    if path.name in files_of_run(path.parent):
        raise RequestError(
            f"{path} is a file of the run in {path.parent}, whose report would no longer describe it; "
            "give another --out"
        )
    return path


def run_stem(data: Data, goal: Goal, effort: str | Effort, seed: int) -> str:
    """The name of a run's folder: data, goal, and effort and seed where they are not the usual ones."""
    words = [arguments.data_stem(data), goal.slug]
    words += [effort if isinstance(effort, str) else "own-effort"] if effort != "normal" else []
    return "-".join([*words, f"seed-{seed}"] if seed else words)
