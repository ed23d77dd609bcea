"""The tiers of docs/development/architecture.md hold, and what is heavy is loaded only when it is needed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import smidgen

PACKAGE = Path(smidgen.__file__).parent
ROOT = Path(__file__).parents[1]

HEAVY = (
    "torch",
    "sklearn",
    "scipy",
    "matplotlib",
    "sqlalchemy",
    "PIL",
    "pandas",
    "pyarrow",
    "jinja2",
    "safetensors",
    "distributed",
)


def module_name(path: Path) -> str:
    """The name below the package: "streams", "data.checks", "data" for its __init__, "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


# --- the tiers -------------------------------------------------------------------------------


def test_imports_go_strictly_down_the_tiers() -> None:
    """The contracts stand in pyproject.toml."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    lint = [sys.executable, "-c", command, "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    finished = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "0 broken" in finished.stdout


def test_no_module_has_the_name_of_a_public_function() -> None:
    """With a module smidgen.shrink, `import smidgen.shrink as module` would give the function."""
    public = {name for name in smidgen.__all__ if not isinstance(getattr(smidgen, name), ModuleType)}
    assert public & {name for name in MODULES if "." not in name} == set()


def test_no_package_gives_a_module_and_something_else_the_same_name() -> None:
    for name in MODULES:
        package, _, leaf = name.rpartition(".")
        if package:
            front = import_module(f"smidgen.{package}")
            import_module(f"smidgen.{name}")
            assert isinstance(getattr(front, leaf), ModuleType), f"smidgen.{package}.{leaf} is two things"


# --- what is said ----------------------------------------------------------------------------

SUBJECTLESS = ("Of ", "So ", "That ", "Whose ", "Such ", "From so ", "To what ", "In which ")


def test_no_docstring_begins_without_a_subject() -> None:
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""
            assert not str(text).strip().startswith(SUBJECTLESS), f"{path.relative_to(PACKAGE)}:{node.lineno}: {text}"


# --- what is loaded --------------------------------------------------------------------------


def loaded_by(code: str, child: Callable[..., subprocess.Popen[str]]) -> set[str]:
    """The modules that a fresh Python has after some code."""
    process = child(f"import sys\n{code}\nprint(*sys.modules)")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return set(out.split())


def test_no_module_loads_a_heavy_package_before_it_is_needed(child: Callable[..., subprocess.Popen[str]]) -> None:
    names = sorted(f"smidgen.{name}" if name else "smidgen" for name in MODULES)
    modules = loaded_by(f"from importlib import import_module\nfor name in {names}: import_module(name)", child)
    assert {"smidgen.cli", "smidgen.report.folder", "smidgen.engine.torch_engine"} <= modules
    assert modules & set(HEAVY) == set()


def test_the_package_itself_loads_next_to_nothing(child: Callable[..., subprocess.Popen[str]]) -> None:
    modules = loaded_by("import smidgen", child)
    assert modules & {"numpy", "typer", "rich", *HEAVY} == set()
    assert not [name for name in modules if name.startswith("smidgen.")]


def test_the_command_line_computes_nothing_before_it_is_asked(child: Callable[..., subprocess.Popen[str]]) -> None:
    assert loaded_by("import smidgen.cli", child) & {"numpy", *HEAVY} == set()


def test_what_the_package_names_is_there() -> None:
    for name in smidgen.__all__:
        assert getattr(smidgen, name) is not None
    assert set(dir(smidgen)) == set(smidgen.__all__)
    with pytest.raises(AttributeError, match="no attribute 'shrimp'"):
        _ = smidgen.shrimp


def test_no_test_imports_a_conftest() -> None:
    """Several folders have one, and which is meant depends on what ran before; what tests share has modules."""
    tests = (ROOT / "tests").rglob("*.py")
    assert [str(path) for path in tests if re.search(r"^\s*(import|from) conftest\b", path.read_text(), re.M)] == []
