"""What this installation can do and where it keeps things: the answer of `smidgen doctor`."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import smidgen
from smidgen import environment
from smidgen.data.cache import cached_dataset
from smidgen.data.published import PUBLISHED
from smidgen.engine import native
from smidgen.errors import SmidgenError
from smidgen.trials.identity import code_digest
from smidgen.trials.store import Store, open_store

TOOLS = ("dev", "docs")
"""Extras for those who work on Smidgen."""


@dataclass(frozen=True)
class Core:
    """The native core.

    Attributes:
        missing: why it cannot be used and what to do, or "".
        failure: what the compiler said when the package was built, if that failed; else "".
        compiler: what it was compiled with, such as "GCC 12.2.0".
        instruction_sets: those that this processor can run, best first.
        engine: the engine's name in the keys of trials, with the instruction set that is chosen.
    """

    missing: str
    failure: str = ""
    compiler: str = ""
    instruction_sets: tuple[str, ...] = ()
    engine: str = ""


@dataclass(frozen=True)
class Extra:
    """An optional part of the installation.

    Attributes:
        name: as in `pip install 'smidgen[NAME]'`.
        present: its packages that are installed, with their versions.
        missing: its packages that are not installed.
    """

    name: str
    present: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What this installation can do and where it keeps things.

    Attributes:
        version: Smidgen's version.
        code: the SHA-256 of the code that trains, which workers of a cluster must share.
        python: Python's version, and the machine.
        core: the native core.
        extras: the optional parts.
        cache: the folder of the cache.
        data: the published data sets that are in the cache.
        store: the store as messages name it.
        trials: the trainings in it.
        store_error: why it cannot be opened, or "".
    """

    version: str
    code: str
    python: str
    core: Core
    extras: tuple[Extra, ...]
    cache: Path
    data: tuple[str, ...]
    store: str
    trials: int
    store_error: str

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps a plain search from running."""
        return tuple(problem for problem in (self.core.missing, self.store_error) if problem)


def diagnose(store: Store | str | Path | None) -> Diagnosis:
    """Look at this installation; the store is opened, which makes it if there is none."""
    location, trials, store_error = _store(store)
    return Diagnosis(
        version=smidgen.__version__,
        code=code_digest(),
        python=f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        core=_core(),
        extras=_extras(),
        cache=environment.cache_directory(),
        data=tuple(name for name in PUBLISHED if cached_dataset(name).complete),
        store=location,
        trials=trials,
        store_error=store_error,
    )


def _core() -> Core:
    if missing := native.available():
        return Core(missing, native.build_failure())
    from smidgen import _core

    # A core in a source tree may be older than the code around it.
    compiler, sets = getattr(_core, "compiler", "not known: an older core"), tuple(_core.instruction_sets())
    try:
        return Core("", "", compiler, sets, native.name())
    except ValueError as error:  # SMIDGEN_INSTRUCTION_SET names one that is not there
        return Core(f"{error}; change {environment.INSTRUCTION_SET}", "", compiler, sets)


def _extras() -> tuple[Extra, ...]:
    """Read the extras from the metadata of the installed package."""
    packages: dict[str, list[str]] = {}
    for requirement in requires("smidgen") or ():
        found = re.match(r"([\w.-]+).*;.*\bextra == ['\"]([\w-]+)['\"]", requirement)
        if found and found[2] not in TOOLS:
            packages.setdefault(found[2], []).append(found[1])
    return tuple(_extra(name, names) for name, names in sorted(packages.items()))


def _extra(name: str, packages: list[str]) -> Extra:
    versions = {package: _version(package) for package in packages}
    present = tuple(f"{package} {found}" for package, found in versions.items() if found)
    return Extra(name, present, tuple(package for package, found in versions.items() if not found))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _store(store: Store | str | Path | None) -> tuple[str, int, str]:
    try:
        with open_store(store) as opened:
            return opened.location, opened.count(), ""
    except SmidgenError as error:
        return "", 0, str(error)
