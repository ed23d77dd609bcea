"""Places that cannot hold a file: the error says why, and what was there stays."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from permissions import posix, read_only
from safetensors_models import a_model
from small_disk import on_a_small_disk
from smidgen.errors import ModelFileError
from smidgen.model import save_safetensors


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file or directory; make that directory first"):
        save_safetensors(a_model(), tmp_path / "missing" / "model")


def test_a_directory_or_device_is_not_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(ModelFileError, match="is not a regular file"):
            save_safetensors(a_model(), path)
    assert not Path(os.devnull).is_file()


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A folder with a model that may not be written to."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "model").write_bytes(b"what was there")
    with read_only(place):
        yield place


@posix
def test_no_permission_is_said_and_nothing_changes(unprivileged: Path) -> None:
    with pytest.raises(ModelFileError, match="Permission denied; give a place that you may write to"):
        save_safetensors(a_model(), unprivileged / "model")
    assert (unprivileged / "model").read_bytes() == b"what was there"
    assert len(list(unprivileged.iterdir())) == 1


SAVES = """
import resource, sys
from pathlib import Path
import numpy as np
from smidgen.errors import ModelFileError
from smidgen.model import Model, save_safetensors
from smidgen.spec import parse_spec

model = Model(parse_spec("dense 2"), (100_000, 1, 1), ("a", "b"), np.ones(200_002, np.float32))
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    save_safetensors(model, Path(sys.argv[1]))
except ModelFileError as error:
    print(error, end="")
"""


def run(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@posix
def test_a_limit_on_the_size_of_a_file_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"what was there")
    printed = run([sys.executable, "-c", SAVES, str(path), "300000"])
    assert os.strerror(errno.EFBIG) in printed
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


SAVED_ON_A_FULL_DISK = """
echo before > "$disk/model"
"$@" "$disk/model" || exit 1
echo; cat "$disk/model"; ls -A "$disk"
"""


@posix
def test_a_full_disk_leaves_what_was_there(work: Path) -> None:
    finished = on_a_small_disk(work, "256k", SAVED_ON_A_FULL_DISK, sys.executable, "-c", SAVES)
    assert finished.returncode == 0, finished.stderr
    message, content, listing = finished.stdout.splitlines()
    assert os.strerror(errno.ENOSPC) in message
    assert "free some space" in message
    assert (content, listing) == ("before", "model")
