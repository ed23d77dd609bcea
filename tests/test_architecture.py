"""The floors of docs/architecture.md: imports go strictly down, and what is heavy is loaded when it is needed."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import smidgen

PACKAGE = Path(smidgen.__file__).parent

FLOORS: tuple[set[str], ...] = (
    # Floors 1, 3 and 5 of the document have steps.
    {"_core", "errors"},
    {"spec"},
    {"records"},
    {"data", "families", "losses"},
    {"engine", "modelfile", "store", "frontier", "workers"},
    {"cluster", "compress", "moved"},
    {"report", "export", "search"},
    {"candidate"},
    {"teacher", "remote"},
    {"study"},
    {"squeeze"},
    {"shrink", "sweep", "predict", "reproduce"},
    {"run_folder", "estimator"},
    {"cli"},
)

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

Graph = Mapping[str, set[str]]
"""Module -> the modules that it imports, by their names below the package, as in "data.formats"."""


def module_name(path: Path) -> str:
    """The name below the package: "spec", "data.formats", "data" for its __init__, "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imported(source: str, known: set[str]) -> Iterator[str]:
    """The package's modules that a source imports, anywhere in it, and those that it reaches as `smidgen.NAME`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide on which floor a module stands"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}".removeprefix("smidgen.")
                yield from ((whole,) if whole in known else within(node.module or ""))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from within(alias.name)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "smidgen" and node.attr in known:
            yield node.attr


def within(module: str) -> tuple[str, ...]:
    return (module.removeprefix("smidgen."),) if module.startswith("smidgen.") else ()


def graph() -> Graph:
    """Of the whole package but its own __init__, whose table names what it loads on first use."""
    known = {*MODULES, "_core"}
    return {name: {*imported(path.read_text(), known)} - {name} for name, path in MODULES.items() if name}


def floor_of(module: str) -> int:
    """-1 for a module that stands on none."""
    return next((floor for floor, parts in enumerate(FLOORS) if module.split(".")[0] in parts), -1)


def complaints(imports: Graph) -> list[str]:
    found = [f"{module} stands on no floor" for module in imports if floor_of(module) < 0]
    for module, others in imports.items():
        for other in sorted(others):
            inside = module.split(".")[0] == other.split(".")[0]
            if not inside and floor_of(other) >= floor_of(module):
                found.append(f"{module} imports {other}, which is not below it")
    return found


def circle(imports: Graph) -> list[str]:
    """Modules that import each other, in the order of the imports; empty where there are none."""
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for other in sorted(imports.get(module, ())):
            if found := walk(other, [*way, module]):
                return found
        done.add(module)
        return []

    return next((found for module in imports if (found := walk(module, []))), [])


def module_level(path: Path) -> str:
    """A source without its functions and without what only a type checker reads."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.If)]
    return ast.unparse(tree)


# --- the house -------------------------------------------------------------------------------


def test_every_module_stands_on_a_floor_and_imports_go_strictly_down() -> None:
    imports = graph()
    assert {"records", "spec"} <= imports["store.schema"], "the imports were not found"
    assert {"report.page", "data.formats", "cli"} <= set(imports)
    assert complaints(imports) == []


def test_no_modules_import_each_other() -> None:
    known = {*MODULES, "_core"}
    loaded = {name: {*imported(module_level(path), known)} - {name} for name, path in MODULES.items() if name}
    assert loaded["study"] >= {"candidate", "store"}
    assert circle(loaded) == []


def test_no_part_of_a_package_is_reached_around_its_front() -> None:
    """What stands outside `report` and `engine` asks them, except for the pictures, which load matplotlib."""
    open_doors = {"report.pictures"}
    for module, others in graph().items():
        inner = {other for other in others if "." in other and other.split(".")[0] != module.split(".")[0]}
        assert inner <= open_doors, f"{module} reaches around a package's __init__ to {inner - open_doors}"


@pytest.mark.parametrize(
    ("imports", "complaint"),
    [
        ({"spec": {"cli"}}, "spec imports cli, which is not below it"),
        ({"shrink": {"sweep"}}, "shrink imports sweep, which is not below it"),
        ({"data.formats": {"engine"}}, "data.formats imports engine, which is not below it"),
        ({"utils": set()}, "utils stands on no floor"),
    ],
)
def test_a_wrong_import_is_found(imports: Graph, complaint: str) -> None:
    assert complaint in complaints(imports)


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_every_way_to_import_is_seen() -> None:
    source = """
import smidgen.store
from smidgen import study, __version__
def later():
    from smidgen.data import formats, load
    import numpy.linalg
    return smidgen.cli
"""
    assert {*imported(source, {*MODULES})} == {"store", "study", "data.formats", "data", "cli"}


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
    assert {"smidgen.cli", "smidgen.run_folder", "smidgen.engine.torch_engine"} <= modules
    assert modules & set(HEAVY) == set()


def test_the_package_itself_loads_next_to_nothing(child: Callable[..., subprocess.Popen[str]]) -> None:
    modules = loaded_by("import smidgen", child)
    assert modules & {"numpy", "typer", "rich", *HEAVY} == set()
    assert not [name for name in modules if name.startswith("smidgen.")]


def test_what_the_package_names_is_there() -> None:
    for name in smidgen.__all__:
        assert getattr(smidgen, name) is not None
    assert set(dir(smidgen)) == set(smidgen.__all__)
    with pytest.raises(AttributeError, match="no attribute 'shrimp'"):
        _ = smidgen.shrimp


@pytest.mark.parametrize("first", ["", "from smidgen.run_folder import write", "import smidgen.cli"])
def test_what_the_package_names_stays_what_it_is(first: str, child: Callable[..., subprocess.Popen[str]]) -> None:
    """The first line of the package's own example, said twice, and after its modules were imported."""
    lines = (
        first,
        "import smidgen",
        "for name in ('shrink', 'sweep', 'predict') * 2:",
        "    assert callable(getattr(smidgen, name))",
    )
    code = "\n".join(lines)
    _, err = child(code).communicate(timeout=120)
    assert err == ""
