"""A training returns all the memory that it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ENDURANCE = Path(__file__).parents[2] / "benchmarks" / "endurance.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_two_thousand_trainings_do_not_grow_memory():
    """The benchmark exits with 1 if memory has grown."""
    command = [sys.executable, str(ENDURANCE), "--trainings", "2000"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
