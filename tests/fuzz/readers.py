"""Every reader of files of unknown origin, as a function of some bytes: it returns, or raises a SmidgenError."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smidgen import data
from smidgen.data.readers.idx import IDX_NAMES
from smidgen.model import Model, inspect, load_safetensors
from smidgen.predictions import read_picture
from smidgen.records import Recipe, Trial
from smidgen.report.run_files import files_of_run, run_folder
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

CORPUS = Path(__file__).parent / "corpus"
SHAPE = (1, 8, 8)
DIGITS = Model(parse_spec("dense 3"), SHAPE, ("a", "b", "c"), np.zeros(195, np.float32))


@dataclass(frozen=True)
class Reader:
    """A reader: `read` gets a folder with nothing but the input, under this name."""

    name: str
    read: Callable[[Path], object]


def read_spec(file: Path) -> None:
    spec = parse_spec(file.read_bytes().decode("utf-8", "surrogateescape"))
    spec.check_head(SHAPE)
    assert parse_spec(str(spec)) == spec


def read_idx(file: Path) -> None:
    """One of the four files is the input; its first byte says which."""
    content = file.read_bytes()
    folder = file.parent / "idx"
    folder.mkdir(exist_ok=True)
    for name in IDX_NAMES:
        whole = CORPUS / "idx_whole" / name
        (folder / name).write_bytes(whole.read_bytes())
    (folder / IDX_NAMES[content[0] % 4 if content else 0]).write_bytes(content[1:])
    data.load(folder)


def read_csv(file: Path) -> None:
    content = file.read_bytes()
    data.load(file, group_column="group" if content.startswith(b"group") else "")


def read_onnx(file: Path) -> None:
    from smidgen.teacher.loaders.onnx_file import load_onnx

    load_onnx(file)


def read_logits(file: Path) -> None:
    from smidgen.teacher.external import _from_logits

    _from_logits(file, data.load(CORPUS / "csv" / "plain.csv"))


TRIAL = Trial(parse_spec("dense 3"), Recipe(), 0, "digest", "engine")


def read_store(file: Path) -> None:
    """A database whose pages were changed."""
    with Store(file) as store:
        store.rows()
        store.get(TRIAL)
        store.get_array("a")
        store.get_score(TRIAL.key, split="test", of="it")
        store.get_measurement("m")


def read_store_row(file: Path) -> None:
    """A whole database, one of whose columns holds the input, without a checksum."""
    content, path = file.read_bytes(), file.with_name("rows.sqlite")
    path.write_bytes((CORPUS / "store" / "whole.sqlite").read_bytes())
    columns = ["spec", "recipe", "losses", "weights", "parameters", "selection_correct", "train_seconds", "seed"]
    kind, value = (content[0], content[1:]) if content else (0, b"")
    typed = (value, value.decode("utf-8", "replace"), len(value))[kind // 8 % 3]
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"update trials set checksum = '', {columns[kind % 8]} = ?", (typed,))
        database.execute("update arrays set checksum = '', dtype = ?, shape = ?", (str(typed)[:9], str(typed)))
        database.commit()
    read_store(path)


def read_run(file: Path) -> None:
    folder = file.parent / "run"
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_bytes(file.read_bytes())
    assert all("/" not in name and name not in ("", "..") for name in files_of_run(folder))
    with run_folder(folder, "a run", "sweep") as draft:
        (draft / "sweep.csv").write_text("a\n1\n")


READERS = {
    "spec": Reader("network.txt", read_spec),
    "smidgen": Reader("n.smidgen", lambda file: inspect(file)),
    "safetensors": Reader("n.safetensors", load_safetensors),
    "npz": Reader("d.npz", data.load),
    "idx": Reader("input", read_idx),
    "csv": Reader("d.csv", read_csv),
    "parquet": Reader("d.parquet", data.load),
    "png": Reader("p.png", lambda file: read_picture(file, DIGITS)),
    "jpeg": Reader("p.jpg", lambda file: read_picture(file, DIGITS)),
    "onnx": Reader("t.onnx", read_onnx),
    "logits": Reader("l.npy", read_logits),
    "store": Reader("s.sqlite", read_store),
    "store_row": Reader("value", read_store_row),
    "run": Reader("run.json", read_run),
}
"""By the name of their folder in the corpus."""
