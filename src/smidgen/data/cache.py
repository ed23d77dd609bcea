"""The cache of published data sets: every file in it has the published SHA-256.

A file that is missing or damaged is requested from one source after another. If all fail, one error names each of
them with its failure.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from smidgen import environment
from smidgen.atomic_files import write_whole
from smidgen.data.published import PUBLISHED
from smidgen.data.sources import Folder
from smidgen.errors import DataError
from smidgen.reporter import Reporter, SilentReporter


@dataclass(frozen=True)
class CachedDataset:
    """What the cache has of a published data set.

    Attributes:
        name: The published name.
        folder: Where its files are kept.
        complete: Whether every file is there; their content is not read.
        size_bytes: The size of the files that are there.
    """

    name: str
    folder: Path
    complete: bool
    size_bytes: int


def cached_dataset(name: str, cache: Path | None = None) -> CachedDataset:
    """Look up which files of a published data set are in the cache."""
    folder = cache_folder(name, cache)
    paths = [folder / file for file in PUBLISHED[name].sha256]
    present = [path for path in paths if path.is_file()]
    return CachedDataset(name, folder, len(present) == len(paths), sum(path.stat().st_size for path in present))


def cache_folder(name: str, cache: Path | None = None) -> Path:
    """Return the folder of a data set, under `cache` or else under the user's cache (`environment.cache_directory`)."""
    return (cache or environment.cache_directory()) / "data" / name


def cached_files(name: str, cache: Path | None = None, reporter: Reporter | None = None) -> dict[str, Path]:
    """Return the path of each file of a published data set, fetched if it is missing or its SHA-256 is wrong.

    Raises:
        DataError: No source has every file, or the cache cannot be written.
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
    """Request from each source what is still missing; `missing` is emptied on the way."""
    failures = []
    for source in (*_user_folders(name), *PUBLISHED[name].sources):
        reporter.say(f"fetching {name}: {', '.join(missing)} from {source}")
        try:
            for file, content in source.files({file: PUBLISHED[name].size_bytes[file] for file in missing}):
                _check_sha256(file, content, PUBLISHED[name].sha256[file])
                write_whole(folder / file, content)
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
        # A cache that cannot be written is reported here once, and not as a failure of every source.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"cannot write to the cache {folder}: {error.strerror}; set SMIDGEN_CACHE to a folder that can be written"
        ) from error


def _check_sha256(file: str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(f"{file} has SHA-256 {found[:12]}..., but the published file has {sha256[:12]}...")
