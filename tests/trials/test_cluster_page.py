"""The page about clusters: its shell lines run as written, with stand-ins where a program is not there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faults import LINE
from smidgen.trials.dask_certificates import SETTINGS

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "cluster.md").read_text("utf-8")
SCRIPTS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
LATE_SECONDS = 12
PATIENCE_SECONDS = 300

STAND_INS = {
    "hostname": "echo 127.0.0.1",
    "srun": '[ "$1" = --ntasks=32 ] || exit 9\nshift\n"$@" &\n"$@" &\nwait',
    "dask": f"""
kind=$1
shift
[ "$kind" != scheduler ] || sleep {LATE_SECONDS}
exec {sys.executable} -m distributed.cli.dask_$kind --no-dashboard "${{@/8786/$PORT}}"
""",
    "smidgen": f"""
line="${{*/8786/$PORT}}"
exec {sys.executable} smidgen_with_a_small_search.py ${{line/mnist --floor 0.97/digits --floor 0.9 --effort quick}}
""",
}
"""Programs of the page: SLURM's own, a scheduler that comes late, and a small search for the large one."""

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("openssl")), reason="the page is for bash, and needs openssl"
)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with what the page makes: the certificate, its key, and the settings."""
    lines = re.search(r"^```\n(openssl .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert lines is not None
    bash(lines[1], tmp_path)
    (tmp_path / "certificates.sh").write_text(next(script for script in SCRIPTS if "REQUIRE_ENCRYPTION" in script))
    return tmp_path


def bash(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_every_script_is_bash(script: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(script)
    bash("bash -n script", tmp_path)
    assert "tcp://" not in script


def test_the_settings_are_those_that_a_coordinator_reads(certificates: Path) -> None:
    printed = bash(f"cd /; source {certificates}/certificates.sh; env", certificates)
    values = dict(line.split("=", 1) for line in printed.splitlines() if line.startswith("DASK_"))
    files = [Path(values[name]) for name in SETTINGS.values()]
    assert files == [certificates / "cert.pem", certificates / "cert.pem", certificates / "key.pem"]
    assert all(file.is_file() for file in files)
    assert files[2].stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_the_script_for_slurm_waits_for_a_scheduler_that_is_late(certificates: Path) -> None:
    pytest.importorskip("distributed")
    from services import free_port

    programs = certificates / "bin"
    programs.mkdir()
    for name, script in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{script}\n")
        (programs / name).chmod(0o755)
    (certificates / "smidgen_with_a_small_search.py").write_text(LINE)
    port = str(free_port())
    script = next(script for script in SCRIPTS if "#SBATCH" in script)
    (certificates / "job").write_text(script.replace('$head/8786"', f'$head/{port}"'))
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PORT": port,
    }
    with subprocess.Popen(
        ["bash", "job"], cwd=certificates, env=environment, stdout=-1, stderr=-1, text=True, start_new_session=True
    ) as job:
        try:
            job.wait(PATIENCE_SECONDS)
        finally:
            os.killpg(job.pid, signal.SIGKILL)
        out, err = job.communicate()
    assert job.returncode == 0, out + err
    assert "hold 90 % on digits" in out
