"""What every command does with its result and its progress: text or JSON, with or without messages.

`--json`, `--quiet` and `--verbose` are options of every command. They are added here, so that a command's own function
has only the options of its twin in `smidgen.api`.
"""

from __future__ import annotations

import functools
import inspect
import json as json_text
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from smidgen import progress
from smidgen.cli.options import option
from smidgen.reporter import Reporter, SilentReporter

Result = TypeVar("Result")

PANEL = "Output"
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

JsonOption = Annotated[bool, option("--json", "Print the result as JSON on standard output.", PANEL)]
QuietOption = Annotated[bool, option("--quiet", "Print the result and errors alone: no progress, no notes.", PANEL)]
VerboseOption = Annotated[bool, option("--verbose", "Log each stage and each training on standard error.", PANEL)]
_OPTIONS = {"json": JsonOption, "quiet": QuietOption, "verbose": VerboseOption}


@dataclass
class _Choice:
    """How the command that is running prints."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False


_choice = _Choice()


def with_output(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options about its output."""

    @functools.wraps(function)
    def command(*, json: bool = False, quiet: bool = False, verbose: bool = False, **given: Any) -> None:
        _choice.json, _choice.quiet, _choice.verbose = json, quiet, verbose
        with _logged() if verbose else nullcontext():
            function(**given)

    signature = inspect.signature(function, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(name, keyword, default=False, annotation=kind) for name, kind in _OPTIONS.items()]
    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *more])  # type: ignore[attr-defined]
    command.__annotations__ = {**function.__annotations__, **_OPTIONS}
    return command


def emit(result: Result, as_text: Callable[[Result], None], as_json: Callable[[Result], Mapping[str, Any]]) -> None:
    """Print a result in the form that was asked for."""
    if _choice.json:
        typer.echo(json_text.dumps(as_json(result), indent=1, allow_nan=False))
    else:
        as_text(result)


@contextmanager
def bars() -> Iterator[Reporter]:
    """Show progress while the block runs, as far as it was asked for."""
    if _choice.quiet or _choice.verbose:
        yield SilentReporter()
    else:
        with progress.bars() as reporter:
            yield reporter


def lines() -> Reporter:
    """What messages are told to by a command that has no stages."""
    return progress.Logged(SilentReporter() if _choice.quiet or _choice.verbose else progress.Lines())


@contextmanager
def _logged() -> Iterator[None]:
    """Write the package's log to standard error while the block runs."""
    logger, handler = logging.getLogger("smidgen"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
