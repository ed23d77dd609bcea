"""What a user installs: a wheel with all its parts, also where there is no compiler."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PARTS_OF_THE_SOURCE = ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE", ".gitignore", "src", "native")


def copy_source(folder: Path) -> Path:
    source = folder / "source"
    source.mkdir()
    for part in PARTS_OF_THE_SOURCE:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, source / part)
    return source


def build_wheel(source: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build with what is installed here and no network; the wheel is beside the source."""
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--no-index"]
    inherited = {name: value for name, value in os.environ.items() if name != "SMIDGEN_REQUIRE_NATIVE"}
    return subprocess.run(
        [*pip, "--wheel-dir", str(source.parent), str(source)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def only_wheel(folder: Path) -> Path:
    (wheel,) = folder.glob("*.whl")
    return wheel


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def has_core(names: list[str]) -> bool:
    return any(re.fullmatch(r"smidgen/_core\..*\.(so|pyd)", name) for name in names)


@pytest.fixture(scope="module")
def wheel_without_compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without")
    built = build_wheel(copy_source(folder), CXX="/nonexistent/c++")
    assert built.returncode == 0, built.stderr
    return only_wheel(folder)


def test_without_a_compiler_the_wheel_is_pure_and_has_the_rest(wheel_without_compiler: Path) -> None:
    names = names_in(wheel_without_compiler)
    assert wheel_without_compiler.name.endswith("-py3-none-any.whl")
    assert not has_core(names), "a core that was built in the source tree went into a wheel for every platform"
    assert "smidgen/report/report.html.j2" in names
    in_the_source = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert in_the_source <= set(names)


def test_the_page_of_the_package_has_no_link_that_breaks(wheel_without_compiler: Path) -> None:
    """The page has none of the repository's files; no address of a repository is known to this build."""
    with zipfile.ZipFile(wheel_without_compiler) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        head, text = archive.read(name).decode().split("\n\n", 1)
    assert "Description-Content-Type: text/markdown" in head
    assert "smallest neural network" in text
    assert [target for target in re.findall(r"\]\(([^)]*)\)", text) if "://" not in target] == []
    assert {f"licenses/native/notices/{each}.txt" for each in ("nanobind", "robin-map")} <= {
        name.partition(".dist-info/")[2] for name in names_in(wheel_without_compiler)
    }


def test_the_page_of_the_package_leads_to_the_repository_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "native")
    package_page = importlib.import_module("package_page")
    page = package_page.page
    monkeypatch.setenv("SMIDGEN_HOME_URL", "https://example.org/smidgen")
    assert "](https://example.org/smidgen/blob/HEAD/" in package_page.dynamic_metadata("readme")["text"]
    text = "![a curve](docs/a.png)\n\nSee [docs](docs/x.md) and [elsewhere](https://example.org/)."
    assert page(text, "") == "See docs and [elsewhere](https://example.org/)."
    home = "https://example.org/smidgen/"
    assert page(text, home) == (
        "![a curve](https://example.org/smidgen/raw/HEAD/docs/a.png)\n\n"
        "See [docs](https://example.org/smidgen/blob/HEAD/docs/x.md) and [elsewhere](https://example.org/)."
    )


def test_without_the_core_the_engine_says_what_to_install(wheel_without_compiler: Path) -> None:
    code = "from smidgen.engine import native; print(native.available())"
    environment = os.environ | {"PYTHONPATH": str(wheel_without_compiler)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "apt-get install g++" in said.stdout
    assert "pip install --force-reinstall --no-cache-dir smidgen" in said.stdout


@pytest.fixture(scope="module")
def wheel_that_did_not_compile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    source = copy_source(folder)
    (source / "native" / "kernels" / "kernels.h").write_text("#error broken on purpose\n")
    built = build_wheel(source)
    assert built.returncode == 0, built.stderr
    assert not (source / "src" / "smidgen" / "core_failure.txt").exists(), "the source stays as it was"
    return only_wheel(folder)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="needs a C++ compiler")
def test_a_core_that_does_not_compile_is_kept_with_what_the_compiler_said(wheel_that_did_not_compile: Path) -> None:
    names = names_in(wheel_that_did_not_compile)
    assert not has_core(names)
    assert "smidgen/core_failure.txt" in names
    code = "from smidgen.engine import native; print(native.available()); print(native.build_failure())"
    # Unpacked: the file is read from the folder of the package.
    folder = wheel_that_did_not_compile.parent / "unpacked"
    zipfile.ZipFile(wheel_that_did_not_compile).extractall(folder)
    environment = os.environ | {"PYTHONPATH": str(folder)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    first, *more = said.stdout.splitlines()
    assert "was not built when Smidgen was installed (" in first
    assert "broken on purpose; `smidgen doctor` shows more); install a C++ compiler" in first
    assert any("broken on purpose" in line for line in more)


def test_where_the_core_is_required_a_build_without_it_fails(tmp_path: Path) -> None:
    built = build_wheel(copy_source(tmp_path), CXX="/nonexistent/c++", SMIDGEN_REQUIRE_NATIVE="1")
    assert built.returncode != 0
    assert "CMake configuration failed" in built.stderr
    assert not list(tmp_path.glob("*.whl"))


@pytest.mark.slow
def test_with_a_compiler_the_wheel_has_the_core(tmp_path: Path) -> None:
    built = build_wheel(copy_source(tmp_path), SMIDGEN_REQUIRE_NATIVE="1")
    assert built.returncode == 0, built.stderr
    names = names_in(only_wheel(tmp_path))
    assert has_core(names)
    assert "smidgen/report/report.html.j2" in names
    assert not [name for name in names if not name.startswith(("smidgen/", "smidgen-"))]


@pytest.mark.slow
def test_where_the_core_is_required_a_compile_error_is_not_hidden(tmp_path: Path) -> None:
    source = copy_source(tmp_path)
    (source / "native" / "plan.cpp").write_text("#error broken on purpose\n")
    built = build_wheel(source, SMIDGEN_REQUIRE_NATIVE="1")
    assert built.returncode != 0
    assert "broken on purpose" in built.stderr + built.stdout


def test_what_is_installed_is_whole() -> None:
    try:
        names = [file.as_posix() for file in files("smidgen") or ()]
    except PackageNotFoundError:
        pytest.skip("run from a source tree; `make test` installs the package")
    assert has_core(names)
    assert "smidgen/report/report.html.j2" in names


def test_the_changelog_has_this_version_first() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == PROJECT["project"]["version"]


def test_a_plain_install_brings_no_framework_and_draws_nothing() -> None:
    required = " ".join(PROJECT["project"]["dependencies"]).lower()
    assert not re.search(r"torch|tensorflow|keras|scikit-learn|scipy|pandas|matplotlib|pillow", required)
