"""Environment variables: what each of them means, and that a path may begin with `~`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import smidgen
from smidgen import environment
from smidgen.data.cache import cache_folder
from smidgen.errors import StoreError
from smidgen.trials.store import Store, default_path

SOURCES = Path(smidgen.__file__).parent


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variable is set, and the user's folder is an empty one."""
    for name in (environment.STORE, environment.CACHE, environment.USER_CACHES, environment.DATA):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_default_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_path() == tmp_path / "home" / ".cache" / "smidgen" / "store.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_path() == tmp_path / "xdg" / "smidgen" / "store.sqlite"
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "ours"))
    assert default_path() == tmp_path / "ours" / "store.sqlite"
    assert (tmp_path / "ours").is_dir()
    monkeypatch.setenv("SMIDGEN_STORE", "postgresql://host/db")
    assert default_path() == "postgresql://host/db"


def test_a_cache_directory_that_cannot_be_made_is_our_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("SMIDGEN_STORE", raising=False)
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StoreError, match="set SMIDGEN_CACHE to a directory"):
        default_path()


def test_a_tilde_in_a_variable_is_the_users_folder(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "~/caches")
    assert environment.cache_directory() == empty / "caches" / "smidgen"
    assert cache_folder("mnist") == empty / "caches" / "smidgen" / "data" / "mnist"
    monkeypatch.setenv("SMIDGEN_CACHE", "~/own")
    assert environment.cache_directory() == empty / "own"
    assert cache_folder("mnist") == empty / "own" / "data" / "mnist"
    monkeypatch.setenv("SMIDGEN_DATA", "~/data")
    assert environment.data_directory() == empty / "data"
    monkeypatch.setenv("SMIDGEN_STORE", "~/store.sqlite")
    empty.mkdir()
    with Store(default_path()) as store:
        assert store.location == str(empty / "store.sqlite")


def test_a_variable_that_is_set_to_nothing_is_not_set(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMIDGEN_STORE", "SMIDGEN_CACHE", "XDG_CACHE_HOME", "SMIDGEN_DATA"):
        monkeypatch.setenv(name, "")
    assert environment.cache_directory() == empty / ".cache" / "smidgen"
    assert environment.data_directory() is None
    assert default_path() == empty / ".cache" / "smidgen" / "store.sqlite"


def test_every_variable_is_read_in_one_module_and_stands_in_its_table() -> None:
    assert environment.__doc__
    read = set(re.findall(r'^[A-Z_]+ = "(\w+)"$', Path(environment.__file__).read_text(), re.M))
    assert read == set(re.findall(r"^\| `(\w+)`", environment.__doc__, re.M))
    others = [path for path in SOURCES.rglob("*.py") if path != Path(environment.__file__)]
    assert [str(path) for path in others if re.search(r"os\.environ|os\.getenv", path.read_text())] == []
