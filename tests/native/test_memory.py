"""Memory: what a training takes is given back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ENDURANCE = Path(__file__).parents[2] / "benchmarks" / "endurance.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_two_thousand_trainings_leave_nothing_behind():
    """The benchmark itself ends with 1 where memory has grown."""
    command = [sys.executable, str(ENDURANCE), "--trainings", "2000"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
