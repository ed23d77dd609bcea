"""What a process trains with: the digest covers the code that can change an outcome."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import smidgen
from smidgen.engine import choose
from smidgen.trials.identity import TRAINING_CODE, code_digest, identity

PACKAGE = Path(smidgen.__file__).parent

CHANGES_NO_OUTCOME = {
    "__init__.py",
    "atomic_files.py",
    "environment.py",
    "errors.py",
    "extras.py",
    "reporter.py",
    "text_forms.py",
    "trials/__init__.py",
    "trials/dask_certificates.py",
    "trials/dask_pool.py",
    "trials/dask_workers.py",
    "trials/workers.py",
}
"""Modules of a worker that carry what others compute, or name it."""

LOADED = """
import sys
from smidgen.engine import choose
from smidgen.trials import remote
choose("native")
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("smidgen")), sep="\\n")
"""


def test_the_digest_covers_whatever_a_worker_loads_to_train(child: Callable[..., subprocess.Popen[str]]) -> None:
    out, err = child(LOADED).communicate(timeout=60)
    files = {Path(line).relative_to(PACKAGE).as_posix() for line in out.split() if line.endswith(".py")}
    assert "trials/evaluate.py" in files, err
    covered = {name for name in files for part in TRAINING_CODE if name == part or name.startswith(f"{part}/")}
    assert files - covered == CHANGES_NO_OUTCOME & files
    assert CHANGES_NO_OUTCOME & covered == set()


def test_each_part_of_the_code_is_there() -> None:
    assert [name for name in TRAINING_CODE if not (PACKAGE / name).exists()] == []


def digest_of(package: Path) -> str:
    code = "from smidgen.trials.identity import code_digest; print(code_digest())"
    line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(package.parent)!r}); {code}"]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_the_digest_changes_with_the_code_and_with_nothing_else(tmp_path: Path) -> None:
    copy = tmp_path / "smidgen"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert digest_of(copy) == code_digest()
    (copy / "errors.py").write_text((PACKAGE / "errors.py").read_text() + "# a comment\n")
    assert digest_of(copy) == code_digest()
    (copy / "streams.py").write_text((PACKAGE / "streams.py").read_text() + "# a comment\n")
    assert digest_of(copy) != code_digest()


def test_the_identity_says_version_code_and_arithmetic() -> None:
    name = choose("auto").name()
    assert identity("auto") == f"Smidgen {smidgen.__version__}, code {code_digest()[:12]}, {name}"
