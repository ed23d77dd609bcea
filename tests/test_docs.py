"""The documents name everything that the package has, and their shell lines run as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smidgen

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path: path.read_text("utf-8") for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]}
REFERENCE = PAGES[DOCS / "reference" / "environment.md"]

sys.path.insert(0, str(DOCS))
from cli_reference import commands, reference  # noqa: E402

sys.path.remove(str(DOCS))


def shell_lines(path: Path) -> list[str]:
    """The lines of a page's code blocks without a language that run a command of ours."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGES[path], re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if re.match(r"(smidgen|make) ", line)]


# --- what is there is documented ---------------------------------------------------------------


def test_every_command_and_every_option_is_in_the_reference() -> None:
    text = reference()
    for path, command in commands():
        assert f"## {path}\n" in text
        section = text.split(f"## {path}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.name != "help":
                assert all(
                    f"`{name}`" in section
                    for name in (*parameter.opts, *parameter.secondary_opts)
                    if name.startswith("--")
                ), path
                assert getattr(parameter, "help", ""), f"{path} {parameter.name} has no help"
        assert "```\nsmidgen " in section, f"{path} has no example"


def test_every_command_is_used_on_a_page_that_people_read() -> None:
    pages = "\n".join(text for path, text in PAGES.items() if "reference" not in path.parts)
    missing = [path for path, _ in commands() if path not in pages]
    assert missing == []


def test_every_public_name_is_in_the_documents() -> None:
    everything = "\n".join(PAGES.values())
    names = [name for name in smidgen.__all__ if not name.startswith("__")]
    assert [name for name in names if not re.search(rf"\b{name}\b", everything)] == []


def test_every_environment_variable_is_in_the_table() -> None:
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "pyproject.toml"]
    used = {name for path in sources for name in re.findall(r"\bSMIDGEN_[A-Z_]+[A-Z]\b", path.read_text("utf-8"))}
    assert used, "no variable was found"
    assert {name for name in used if f"`{name}`" not in REFERENCE} == set()
    named = set(re.findall(r"`(SMIDGEN_[A-Z_]+)`", REFERENCE))
    assert named <= used, "the table names a variable that nothing reads"


def test_every_environment_variable_has_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert {name for name in re.findall(r"`(SMIDGEN_[A-Z_]+)`", REFERENCE) if name not in tests} == set()


def test_every_exit_code_is_in_the_table() -> None:
    from smidgen import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    rows = re.findall(r"^\| (\d+) \|", PAGES[DOCS / "reference" / "exit-codes.md"], re.MULTILINE)
    assert {str(kind.exit_code) for kind in kinds if hasattr(kind, "exit_code")} | {"0", "130"} == set(rows)


# --- links and pages ---------------------------------------------------------------------------


def links(path: Path) -> Iterator[str]:
    return (target for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[path]) if "://" not in target)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(path: Path) -> None:
    for target in links(path):
        file, _, heading = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{path.name} links to {target}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", found.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], target


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = [str(path.relative_to(DOCS)) for path in PAGES if DOCS in path.parents]
    assert [page for page in pages if page not in navigation] == []


def test_files_of_the_package_that_pages_name_are_there() -> None:
    for path, text in PAGES.items():
        for name in re.findall(r"`((?:src|native|tests|benchmarks|examples|results)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{path.name} names {name}"


# --- shell lines -------------------------------------------------------------------------------


def test_every_shell_line_is_a_command_that_is_there() -> None:
    """Options too: what is misspelt in a document ends in an error for whoever pastes it."""
    known = dict(commands())
    for path in PAGES:
        for line in shell_lines(path):
            words = line.split("#")[0].split()
            if words[0] == "make":
                assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
                continue
            name = next(name for name in (" ".join(words[:3]), " ".join(words[:2])) if name in known)
            options = {option for each in known[name].params for option in (*each.opts, *each.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= options, f"{path.name}: {line}"


def test_no_shell_line_has_prose_behind_it() -> None:
    """A shell would take its words for arguments; what is said beside a command is a comment."""
    for path, text in PAGES.items():
        blocks = re.findall(r"^```(?:bash)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for line in (line for block in blocks for line in block.splitlines()):
            if re.match(r"(smidgen|make|python|pip|dask|[A-Z_]+=\S+) ", line):
                assert not re.search(r"\S {2,}[^#\s]", line), f"{path.name}: {line}"


@pytest.mark.slow
def test_the_tutorial_runs_as_written(tmp_path: Path) -> None:
    bin_folder = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "SMIDGEN_STORE": str(tmp_path / "store.sqlite"),
    }
    for line in shell_lines(DOCS / "tutorial.md"):
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
    (python,) = re.findall(r"^```python\n(.*?)^```$", PAGES[DOCS / "tutorial.md"], re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", python], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.85


README_DATA = {"photos/": "a folder of the user's own", "model.onnx": "a teacher of the user's own"}


@pytest.mark.slow
def test_the_readme_runs_as_written(tmp_path: Path) -> None:
    """All its lines but those that need files of the user's own; `make test` would run itself."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    lines = [line for line in shell_lines(ROOT / "README.md") if not any(own in line for own in README_DATA)]
    lines = [line.replace("make demo", "smidgen shrink mnist --floor 0.97") for line in lines if line != "make test"]
    for line in lines:
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=3600, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
