"""Figures of the code's structure: packages, imports between them, long files, long functions, constants, lines.

python benchmarks/code_figures.py src/smidgen
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

LONG_FILE, LONG_FUNCTION = 400, 30
"""Lines above which a file and a function count as long."""


def main(package: Path) -> None:
    """Print one line for each figure."""
    sources = {path: path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in sources.items()}
    edges = {(part(package, path), other) for path, tree in trees.items() for other in imported(tree)}
    print(f"packages and modules at the top: {len({part(package, path) for path in sources})}")
    print(f"import edges between them: {len({(a, b) for a, b in edges if a != b})}")
    print(f"lines: {sum(text.count(chr(10)) for text in sources.values()):,}")
    print(f"files over {LONG_FILE} lines: {sum(text.count(chr(10)) > LONG_FILE for text in sources.values())}")
    lengths = [length for tree in trees.values() for length in function_lines(tree)]
    print(f"functions: {len(lengths):,}, over {LONG_FUNCTION} lines: {sum(n > LONG_FUNCTION for n in lengths)}")
    print(f"module constants: {sum(constants(tree) for tree in trees.values())}")


def part(package: Path, path: Path) -> str:
    """The package or module directly below the root that a file belongs to; "" for the root's own file."""
    name = path.relative_to(package).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def imported(tree: ast.Module) -> Iterator[str]:
    """The packages and modules below the root that a source imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "smidgen":
            parts = (node.module or "").split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (n.name.split(".")[1] for n in node.names if n.name.startswith("smidgen."))


def function_lines(tree: ast.Module) -> Iterator[int]:
    """The length of each function without its signature and docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 0


def constants(tree: ast.Module) -> int:
    """The number of names in capitals that a module assigns at its top."""
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    names = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t]) if isinstance(e, ast.Name)]
    return sum(name.id.strip("_").isupper() for name in names)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
