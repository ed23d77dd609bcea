"""Which run a file belongs to, and that no file of an older run stays beside a newer one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from commands import Said
from smidgen.cli.data import draw
from smidgen.data import Dataset
from smidgen.errors import ModelFileError, RequestError
from smidgen.model import load_safetensors
from smidgen.report.folder import write, write_compressed
from smidgen.report.run_files import files_of_run, read_manifest, run_folder
from smidgen.search.result import ShrinkResult


@pytest.fixture(scope="module")
def written(answer: ShrinkResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    write(answer, folder)
    return folder


def test_every_file_says_its_run_and_run_json_has_the_digest_of_each(written: Path) -> None:
    manifest = read_manifest(written)
    run, files = manifest["run"], manifest["files"]
    assert {path.name for path in written.iterdir()} == {"run.json", *files}
    for name, facts in files.items():
        content = (written / name).read_bytes()
        assert facts == {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    for name in ("winner.safetensors", "teacher.safetensors"):
        assert load_safetensors(written / name).metadata["run"] == run
    for name in ("frontier.png", "winner.png"):
        with Image.open(written / name) as picture:
            picture.load()
            assert picture.info["Run"] == run
    for name in ("trials.csv", "winner.csv"):
        rows = list(csv.DictReader((written / name).read_text("utf-8").splitlines()))
        assert {row["run"] for row in rows} == {run}
    assert f'<meta name="run" content="{run}">' in (written / "report.html").read_text("utf-8")


def test_the_run_is_named_by_what_was_asked_and_trained(answer: ShrinkResult, written: Path, tmp_path: Path) -> None:
    write(answer, tmp_path / "again", "another command line")
    write(replace(answer, candidates=answer.candidates[:-1]), tmp_path / "other")
    names = [read_manifest(folder)["run"] for folder in (written, tmp_path / "again", tmp_path / "other")]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("has_manifest", [True, False], ids=["with run.json", "of an older version"])
def test_an_older_answers_files_do_not_stay_beside_a_newer_report(
    answer: ShrinkResult, tmp_path: Path, has_manifest: bool
) -> None:
    folder = tmp_path / "out"
    write(answer, folder)
    (folder / "exported.onnx").write_text("mine")
    if not has_manifest:
        (folder / "run.json").unlink()
    write(replace(answer, teacher=None, file=None), folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("report.html", "frontier.png", "trials.csv", "winner.safetensors", "run.json"),
        "exported.onnx",
    }


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "\xff", '{"files": 3}', '{"files": {"../mine": {}}}', '{"files": {"a/b": {}}}', "[" * 9999),
        *('{"files": {"": {}}}', '{"files": {"..": {}}}', '{"files": {"/etc/passwd": {}}}'),
    ],
)
def test_a_run_json_of_unknown_origin_names_no_file_outside_its_folder(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "mine").write_text("mine")
    (folder / "kept.txt").write_text("mine")
    (folder / "run.json").write_text(text, "latin-1")
    assert files_of_run(folder) == set()
    with run_folder(folder, "a run", "sweep") as draft:
        (draft / "sweep.csv").write_text("a\n1\n")
    assert (tmp_path / "mine").read_text() == "mine"
    assert {path.name for path in folder.iterdir()} == {"kept.txt", "sweep.csv", "run.json"}
    assert json.loads((folder / "run.json").read_text())["run"] == "a run"


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let writes beyond this size fail, as on a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_one_line_in_compress_and_in_data_show(
    answer: ShrinkResult, digits: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "n.csv").write_text("earlier")
    for limit_bytes in (20, 2000):
        with largest_file(limit_bytes), pytest.raises(ModelFileError, match=r"cannot write n\.smidgen in"):
            write_compressed(answer.file, tmp_path / "n.smidgen")
        with largest_file(limit_bytes), pytest.raises(RequestError, match=r"cannot write .*File too large"):
            draw(digits, tmp_path / "sheet.png")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"n.csv": "earlier"}


def test_compress_does_not_replace_a_file_of_a_run(written: Path, command: Callable[..., Said]) -> None:
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    winner = written / "winner.safetensors"
    said = command("compress", str(winner), "--floor", "0.9", "--out", str(written / "winner.smidgen"))
    assert said.code == 2
    assert "is a file of the run in" in said.err
    assert "give another --out" in said.err
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before
