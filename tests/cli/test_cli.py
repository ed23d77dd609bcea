"""The command line: its help, its tables, its refusals, and Ctrl-C."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

import smidgen
from smidgen.cli import app
from smidgen.cli.screen import WIDTH
from smidgen.data import sources
from smidgen.data.readers import IDX_NAMES
from smidgen.model import Model, save_safetensors
from smidgen.search.effort import Effort
from smidgen.spec import parse_spec
from smidgen.trials.store import SCHEMA, Store

Command = Callable[..., Any]
PATIENCE_SECONDS = 60


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its words, as ("data fetch", command)."""

    def walk(words: tuple[str, ...], group: Any) -> Iterator[tuple[str, Any]]:
        for name, found in group.commands.items():
            if hasattr(found, "commands"):
                yield from walk((*words, name), found)
            else:
                yield " ".join((*words, name)), found

    yield from walk((), typer.main.get_command(app))


COMMANDS = dict(commands())

every_command = pytest.mark.parametrize("words", COMMANDS)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the one in which the command runs."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def examples(epilog: str) -> list[str]:
    return [line for line in epilog.splitlines() if line.startswith("smidgen ")]


def assert_refused(said: Any, message: str) -> None:
    """Exit 2, one line that says so, nothing printed, no traceback."""
    assert message in said.err
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("smidgen: ")
    assert said.err.count("\n") == 1, "one line"
    assert "Traceback" not in said.err


# --- help -------------------------------------------------------------------------------------


def test_the_commands_are_these() -> None:
    data = {"data list", "data fetch", "data show"}
    files = {"compress", "inspect", "unpack", "export"}
    assert set(COMMANDS) == {"shrink", "sweep", "reproduce", "show", "predict", *files, *data}


@every_command
def test_every_command_has_a_text_and_an_example_that_it_takes(words: str) -> None:
    found = COMMANDS[words]
    assert found.help, f"`smidgen {words}` has no docstring"
    assert (found.epilog or "").startswith("Example"), f"`smidgen {words}` has no example"
    lines = examples(found.epilog)
    assert lines, f"`smidgen {words}` has an example without a line"
    for line in lines:
        _, *arguments = shlex.split(line)
        assert arguments[: len(words.split())] == words.split()
        found.make_context(words, arguments[len(words.split()) :])  # raises where an option is not one


@every_command
def test_the_help_shows_the_text_every_option_and_the_example(words: str, command: Command) -> None:
    said = command(*words.split(), "--help")
    assert (said.code, said.err) == (0, "")
    text = " ".join(said.out.split())
    found = COMMANDS[words]
    assert found.help.splitlines()[0] in text
    for parameter in found.params:
        assert parameter.help, f"{parameter.name} of `smidgen {words}` has no help"
        for option in parameter.opts:
            assert option in text
    for line in examples(found.epilog):
        assert line in text, "an example is broken over two lines"
    assert max(map(len, said.out.splitlines())) <= WIDTH


def test_the_help_of_all_names_each_command(command: Command) -> None:
    said = command("--help")
    assert "The smallest neural network that still holds your accuracy floor." in said.out
    for words in COMMANDS:
        assert f" {words.split()[0]} " in said.out
    assert command("-h").out == said.out


def test_the_version(command: Command) -> None:
    said = command("--version")
    assert (said.code, said.out, said.err) == (0, f"smidgen {smidgen.__version__}\n", "")


@pytest.mark.parametrize("line", ["shrimp", "shrink", "shrink digits", "shrink digits --floor 0.9 --wrkers 2", "show"])
def test_a_line_that_is_no_command_is_explained(command: Command, line: str) -> None:
    said = command(*line.split())
    assert said.code == 2
    assert "Usage:" in said.err
    assert "Traceback" not in said.err


# --- tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        (["show", "cnn2", "--width", "2"], ["conv 2x3x3 relu", "932 parameters", "dense 10", "69.7 %"]),
        (["show", "mlp1", "--width", "32"], ["25,120", "94.8 %"]),
        (["show", "conv 3x3x3 relu, maxpool 2, dense 7", "--input", "3x20x24"], ["7x1x1", "3x18x22", "3x9x11"]),
        (["show", "conv 8x3x3, batchnorm relu, globalavgpool, dense 10"], ["16 moments that are not trained"]),
        (["data", "list"], ["mnist", "fashion-mnist", "digits"]),
        (["data", "show", "digits"], ["1x8x8, 10 classes", "1,079", "180", "179", "359"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_tables_say_the_facts_in_eighty_columns(
    command: Command, work: Path, line: list[str], facts: list[str]
) -> None:
    said = command(*line)
    assert (said.code, said.err) == (0, "")
    for fact in facts:
        assert fact in said.out
    assert max(map(len, said.out.splitlines())) <= WIDTH


def test_the_teacher_of_the_first_table(command: Command) -> None:
    said = command("show", "conv 32x3x3 relu, conv 64x3x3 relu, maxpool 2, dense 128 relu, dense 10")
    assert "1,199,882 parameters, 4,799,528 bytes = 4.577 MiB as float32" in said.out


def test_show_reads_a_network_file(command: Command, work: Path) -> None:
    spec = parse_spec("dense 3 relu, dense 2")
    weights = np.zeros(spec.parameters((5, 1, 1)), np.float32)
    save_safetensors(Model(spec, (5, 1, 1), ("a", "b"), weights), Path("net.safetensors"))
    assert "26 parameters" in command("show", "net.safetensors").out


def test_shrink_is_quiet_and_its_table_fits(command: Command, work: Path, small: None) -> None:
    said = command("shrink", "digits", "--floor", "0.9", "--effort", "quick")
    assert (said.code, said.err) == (0, ""), "what is not a terminal gets no progress bars"
    assert max(map(len, said.out.splitlines())) <= WIDTH
    assert "\x1b" not in said.out, "no colours in a pipe"
    for row in ("chosen on", "confirmed on", "test, once", "its teacher, test", "fresh seeds hold the floor"):
        assert row in said.out
    assert {path.name for path in (work / "runs").iterdir()} == {"digits-0.9"}
    again = command("shrink", "digits", "--floor", "0.9", "--effort", "quick")
    assert "\n0 trainings, " in again.out
    table, count = said.out.split("trainings, ")[0].rsplit("\n", 1)
    assert int(count) > 0
    assert again.out.startswith(table), "the same line again gives the same answer"


def test_data_show_writes_a_contact_sheet(command: Command, work: Path) -> None:
    command("data", "show", "digits", "--out", "sheet.png")
    with Image.open("sheet.png") as sheet:
        sheet.load()
        assert sheet.size[1] >= 10 * 8
    assert [path.name for path in work.iterdir()] == ["sheet.png"]


# --- bad input --------------------------------------------------------------------------------

BAD_LINES = {
    "a floor in percent": ("shrink digits --floor 97", "floor=97 must lie between 0 and 1; give for example 0.97"),
    "a floor of nothing": ("shrink digits --floor 0", "floor=0 must lie between 0 and 1"),
    "a floor of all": ("shrink digits --floor 1", "floor=1 must lie between 0 and 1"),
    "a floor below nothing": ("shrink digits --floor=-0.5", "floor=-0.5 must lie between 0 and 1"),
    "a floor that is a word": ("shrink digits --floor x", "--floor x is not a number; give a share of 1"),
    "a floor that is no number": ("shrink digits --floor nan", "floor=nan must lie between 0 and 1"),
    "a floor without end": ("shrink digits --floor inf", "floor=inf must lie between 0 and 1"),
    "a floor too high to show": ("shrink digits --floor 0.999", "359 images for validation"),
    "unknown data": ("shrink mnits --floor 0.9", "no data set 'mnits' (did you mean 'mnist'?)"),
    "a missing file": ("shrink gone.npz --floor 0.9", "gone.npz does not exist"),
    "unknown effort": (
        "shrink digits --floor 0.9 --effort quik",
        "effort='quik' is not known; use one of glance, quick",
    ),
    "unknown engine": ("shrink digits --floor 0.9 --engine jax", "no engine 'jax'; use auto, native, torch"),
    "unknown rule": ("shrink digits --floor 0.9 --rule t", "rule='t' is not known; use one of wilson, rate"),
    "a split below nothing": ("shrink digits --floor 0.9 --split-seed=-1", "split_seed=-1 must be at least 0"),
    "workers below nothing": ("shrink digits --floor 0.9 --workers=-1", "workers=-1 must be at least 1"),
    "a seed below nothing": ("shrink digits --floor 0.9 --seed=-1", "seed=-1 must be at least 0"),
    "a store in no folder": ("shrink digits --floor 0.9 --store gone/s.sqlite", "gone"),
    "a store of an unknown kind": ("shrink digits --floor 0.9 --store odd://s", "odd"),
    "unknown family": ("sweep digits --family cnn3", "no family 'cnn3' (did you mean 'cnn"),
    "a family that does not fit": ("sweep digits --family cnn2", "a kernel of 3x3 and is given a map of 2x2"),
    "no widths": ("sweep digits --widths ,", "--widths , cannot be read; give whole numbers of at least 1"),
    "a width of nothing": ("sweep digits --widths 4,0", "--widths 4,0 cannot be read"),
    "a width of a word": ("sweep digits --widths four", "--widths four cannot be read"),
    "no seeds": ("sweep digits --family mlp1 --seeds 0", "seeds=0 leave nothing to train"),
    "an unknown optimizer": ("sweep digits --optimizer lion", "optimizer='lion' is not known; use one of adam"),
    "epochs below nothing": ("sweep digits --family mlp1 --epochs=-1", "epochs=-1 must be at least 1"),
    "an unknown layer": ("show 'convv 2x3x3 relu, dense 10'", "convv"),
    "a kernel larger than the map": ("show 'conv 2x5x5, dense 10' --input 1x4x4", "a kernel of 5x5 and is given a map"),
    "a missing head": ("show 'conv 2x3x3 relu, maxpool 2'", "the network has no head"),
    "an empty network": ("show ''", "network"),
    "an input that is none": ("show cnn2 --input 28x28", "--input 28x28 cannot be read"),
    "a family of no width": ("show cnn2 --width 0", "width=0 must be at least 1"),
    "a network file that is missing": ("show gone.safetensors", "gone.safetensors"),
    "a picture without a network": ("predict gone.safetensors digit.png", "gone.safetensors"),
    "a data set that has no name": ("data fetch mnits", "mnits"),
    "data to show that is unknown": ("data show mnits", "no data set 'mnits' (did you mean 'mnist'?)"),
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.values(), ids=list(BAD_LINES))
def test_a_wrong_line_is_refused_in_a_line(command: Command, work: Path, line: str, message: str) -> None:
    assert_refused(command(*shlex.split(line)), message)
    assert list(work.iterdir()) == [], "nothing is left behind"


def npz(**arrays: Any) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        np.savez(folder / "own.npz", **arrays)
        return "own.npz"

    return make


def idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def truncated_idx(folder: Path) -> str:
    """Four files in MNIST's names, the first cut off in the middle."""
    images, labels = np.zeros((100, 6, 6), np.uint8), np.arange(100, dtype=np.uint8) % 10
    for name in IDX_NAMES:
        (folder / name).write_bytes(idx(images if "images" in name else labels))
    whole = (folder / IDX_NAMES[0]).read_bytes()
    (folder / IDX_NAMES[0]).write_bytes(whole[: len(whole) // 2])
    return "."


def truncated_gzip(folder: Path) -> str:
    truncated_idx(folder)
    (folder / IDX_NAMES[0]).write_bytes(gzip.compress(bytes(1_000))[:-12])
    return "."


def text_as_npz(folder: Path) -> str:
    (folder / "own.npz").write_text("no arrays")
    return "own.npz"


X, Y = np.arange(400, dtype=np.float32).reshape(100, 2, 2), np.arange(100) % 2
WITH_NAN = np.where(X == 17, np.nan, X)

BAD_DATA: dict[str, tuple[Callable[[Path], str], str]] = {
    "no labels": (npz(X=X), "it needs arrays X and y"),
    "values that are not numbers": (npz(X=WITH_NAN, y=Y), "1 values that are not finite"),
    "one class": (npz(X=X, y=np.zeros(100, int)), "the number of classes is 1"),
    "three images": (npz(X=X[:3], y=Y[:3]), "of the 3 images to train on; give at least 5 images of each class"),
    "no images": (npz(X=X[:0], y=Y[:0]), "there is nothing in them"),
    "labels of another number": (npz(X=X, y=Y[:50]), "100 images and 50 labels"),
    "labels in halves": (npz(X=X, y=Y / 4), "labels are not whole numbers"),
    "objects": (npz(X=X, y=np.array([{}] * 100)), "cannot read own.npz"),
    "no arrays": (text_as_npz, "not a whole .npz file"),
    "a truncated IDX file": (truncated_idx, "is cut off or overlong"),
    "a truncated gzip file": (truncated_gzip, "is a damaged gzip file"),
}


@pytest.mark.parametrize(("make", "message"), BAD_DATA.values(), ids=list(BAD_DATA))
@pytest.mark.parametrize("line", ["shrink {} --floor 0.9 --out out", "sweep {} --out out", "data show {}"])
def test_bad_data_is_refused_in_a_line(
    command: Command, work: Path, line: str, make: Callable[[Path], str], message: str
) -> None:
    data = make(work)
    before = sorted(work.iterdir())
    assert_refused(command(*line.format(data).split()), message)
    assert sorted(work.iterdir()) == before, "nothing is left behind"


def test_a_floor_that_nothing_holds_is_exit_2(command: Command, work: Path, known_store: Path, small: None) -> None:
    said = command("shrink", "digits", "--floor", "0.985", "--effort", "quick")
    assert_refused(said, "nothing that was tried holds a floor of 0.985 on digits")
    assert "lower the floor, raise --effort, or give more data" in said.err
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("line", ["shrink digits --floor 0.9 --out file/out", "sweep digits --out file"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_trained(
    command: Command, work: Path, own_store: Path, line: str
) -> None:
    (work / "file").write_text("here")
    assert_refused(command(*line.split()), "file is not a folder that you may write to; give another --out")
    assert (work / "file").read_text() == "here"
    assert not own_store.exists()


def test_a_contact_sheet_that_cannot_be_written_is_refused(command: Command, work: Path) -> None:
    assert_refused(command("data", "show", "digits", "--out", "gone/sheet.png"), "gone/sheet.png")
    assert list(work.iterdir()) == []


def test_a_store_from_a_newer_version_is_refused(command: Command, work: Path, own_store: Path) -> None:
    Store(own_store).close()
    with closing(sqlite3.connect(own_store)) as database, database:
        database.execute("update meta set value = ? where key = 'schema'", (SCHEMA + 1,))
    for line in ("shrink digits --floor 0.9", "sweep digits --family mlp1"):
        assert_refused(command(*line.split()), f"has schema {SCHEMA + 1} and this Smidgen knows {SCHEMA}")
    assert list(work.iterdir()) == []


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(command: Command, work: Path) -> None:
    (work / "notes.txt").write_text("mine " * 300)
    assert_refused(command("sweep", "digits", "--family", "mlp1", "--store", "notes.txt"), "notes.txt")
    assert (work / "notes.txt").read_text() == "mine " * 300
    assert [path.name for path in work.iterdir()] == ["notes.txt"]


# --- the cache of data ------------------------------------------------------------------------


def test_a_damaged_file_in_the_cache_is_fetched_anew(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    assert command("data", "fetch", "digits").code == 0
    file = tmp_path / "cache" / "data" / "digits" / "digits.csv"
    whole = file.read_bytes()
    file.write_bytes(whole[:1_000])
    said = command("data", "fetch", "digits")
    assert (said.code, said.out) == (0, f"digits.csv: {file}\n")
    assert file.read_bytes() == whole


def test_a_damaged_file_that_no_source_has_is_said(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SMIDGEN_DATA", raising=False)
    folder = tmp_path / "cache" / "data" / "digits"
    folder.mkdir(parents=True)
    (folder / "digits.csv").write_text("damaged")
    (tmp_path / "empty").mkdir()
    sha256 = sources.PUBLISHED["digits"].sha256
    local = sources.Published(sha256, (sources.Folder(tmp_path / "empty"),))
    monkeypatch.setitem(sources.PUBLISHED, "digits", local)
    said = command("shrink", "digits", "--floor", "0.9", "--out", str(tmp_path / "out"))
    assert said.code == 2
    assert "digits.csv could not be fetched" in said.err
    assert f"{tmp_path / 'empty'}: has no digits.csv" in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "out").exists()


# --- Ctrl-C -----------------------------------------------------------------------------------

# Where Python is started in the background of a shell it ignores SIGINT, and so do its children.
RUNS_LONG = """
import json, signal, sys
from importlib import import_module
signal.signal(signal.SIGINT, signal.default_int_handler)
effort = json.loads(sys.argv.pop(1))
table = import_module("smidgen.search.effort")
effort["byte_search"] = import_module("smidgen.search.byte_search").ByteSearchEffort(**effort["byte_search"])
table.EFFORTS["thorough"] = table.Effort(**effort)
from smidgen.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to a child")
def test_ctrl_c_ends_with_130_and_leaves_the_store_usable(
    work: Path, own_store: Path, small_effort: Effort, child: Callable[..., subprocess.Popen[str]], command: Command
) -> None:
    effort = asdict(small_effort) | {"first": 300, "short_steps": 20_000}
    process = child(RUNS_LONG, json.dumps(effort), "shrink", "digits", "--floor", "0.9", "--effort", "thorough")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while trials_in(own_store) < 5 and process.poll() is None:
        assert time.monotonic() < deadline, "nothing was trained"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "smidgen: stopped; what was trained is kept, and the same line goes on from there"
    assert list(work.iterdir()) == []
    kept = trials_in(own_store)
    assert kept >= 5
    assert command("sweep", "digits", "--family", "mlp1", "--widths", "1", "--seeds", "1", "--epochs", "1").code == 0
    assert trials_in(own_store) == kept + 1


def trials_in(path: Path) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("select count(*) from sqlite_master where name = 'trials'").fetchone()[0]
        return int(database.execute("select count(*) from trials").fetchone()[0]) if tables else 0
