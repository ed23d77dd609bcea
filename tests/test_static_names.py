"""What editors and type checkers see of the package: every public name with its type, and none besides."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jedi
import pytest

import smidgen

USER_SCRIPT = """
import numpy as np
import smidgen

random = np.random.default_rng(0)
answer = smidgen.shrink((random.normal(size=(300, 4)), np.arange(300) % 3), floor="50%", effort="glance")
parameters: int = answer.outcome.parameters
spec: smidgen.data.Dataset = answer.data
network = smidgen.load("winner.smidgen")
classes = network.predict(random.normal(size=(3, 4)))
fitted = smidgen.SmallestClassifier(floor=0.9).fit([[0.0], [1.0]], [0, 1])
with smidgen.Store("store.sqlite") as store:
    smidgen.sweep("digits", family="mlp1", store=store)
"""

FAULTS = {
    'smidgen.shrnk("digits")': 'Module has no attribute "shrnk"',
    'smidgen.shrink("digits", flor=0.9)': 'Unexpected keyword argument "flor" for "shrink"',
    'smidgen.shrink("digits", effort=3)': 'Argument "effort" to "shrink" has incompatible type "int"',
    "answer.outcome.parameter": '"Outcome" has no attribute "parameter"',
}
"""A wrong line, and what mypy says of it."""


def test_the_static_imports_are_the_public_names_and_where_they_are_found() -> None:
    tree = ast.parse(Path(smidgen.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    homes = {name.name: each.module for each in block.body if isinstance(each, ast.ImportFrom) for name in each.names}
    assert {*homes, "__version__"} == set(smidgen.__all__)
    for name, module in homes.items():
        assert getattr(smidgen, name) is getattr(sys.modules[str(module)], name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'smidgen' has no attribute 'shrnk'"):
        smidgen.shrnk  # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    assert files("smidgen").joinpath("py.typed").is_file()


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("smidgen.", {"shrink", "sweep", "compress", "load", "SmallestClassifier", "data", "Recipe"}),
        ("smidgen.data.", {"load", "show", "fetch", "from_arrays"}),
        ("smidgen.shrink('digits').", {"winner", "outcome", "test", "candidates", "model"}),
        ("smidgen.load('x.smidgen').", {"predict", "predict_proba", "class_names"}),
        ("smidgen.SmallestClassifier().", {"fit", "predict", "save", "export"}),
    ],
)
def test_an_editor_completes(typed: str, wanted: set[str]) -> None:
    found = {each.name for each in jedi.Script(f"import smidgen\n{typed}").complete()}
    assert wanted <= found


def test_an_editor_shows_the_parameters_of_a_function() -> None:
    (signature,) = jedi.Script("import smidgen\nsmidgen.shrink(").get_signatures()
    names = [parameter.name for parameter in signature.params]
    assert names[:3] == ["data", "floor", "within"]
    assert "Find the smallest network that holds an accuracy floor" in signature.docstring()


@pytest.mark.slow
def test_a_users_script_is_checked_strictly(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(USER_SCRIPT)
    wrong.write_text(USER_SCRIPT + "\n".join(FAULTS))
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "--no-error-summary"]
    done = subprocess.run([*mypy, right.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    done = subprocess.run([*mypy, wrong.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    for said in FAULTS.values():
        assert said in done.stdout
    assert done.stdout.count("error:") == len(FAULTS)
