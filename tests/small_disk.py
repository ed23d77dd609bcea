"""A disk that is soon full, for tests of what a full disk leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MOUNT = """
disk="$1"
mount -t tmpfs -o size="$2" tmpfs "$disk" || exit 77
script="$3"
shift 3
eval "$script"
"""


def on_a_small_disk(
    disk: Path, size: str, script: str, *command: str, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a shell script that finds a disk of a size at `$disk` and the command as `"$@"`.

    The disk is seen by the script alone and gone after it. The test is skipped if none can be mounted here.

    Args:
        disk: an empty folder, where the disk is mounted; the script runs in its parent folder.
        size: the size as `mount` takes it, such as "256k"; `mount -o remount,size=1m "$disk"` makes it larger.
        script: lines of `sh`.
        command: what the script runs as `"$@"`.
        seconds: the most that it may take.
    """
    line = ["unshare", "--mount", "--map-root-user", "sh", "-c", MOUNT, "sh", str(disk), size, script, *command]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            line, cwd=disk.parent, capture_output=True, text=True, env=environment, timeout=seconds, check=False
        )
    except FileNotFoundError:
        pytest.skip("needs unshare (Linux)")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    return done
