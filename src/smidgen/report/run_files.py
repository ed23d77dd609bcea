"""Which run the files of a folder belong to: run.json names the run and every file of it with its SHA-256.

A page, a picture, a table and a .safetensors file also carry the run's name themselves; a .smidgen file has no room.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import smidgen
from smidgen.atomic_files import write_whole
from smidgen.atomic_folders import changed_folder
from smidgen.report.png import with_text

RUN_FILE = "run.json"
RUN_DIGITS = 16
MOST_MANIFEST_BYTES = 2**20

_BEFORE_RUN_FILES = {
    "report.html": {
        *("report.html", "frontier.png", "trials.csv", "winner.safetensors", "teacher.safetensors"),
        *("winner.smidgen", "winner.png", "winner.csv"),
    },
    "sweep.csv": {"sweep.csv", "sweep.png"},
}
"""Files of a folder without run.json, as versions before it wrote, by the file that shows which command it was."""


def run_name(*facts: object) -> str:
    """Return the name of a run: the first digits of a SHA-256 of what was asked for and what was trained."""
    return hashlib.sha256(json.dumps([str(fact) for fact in facts]).encode()).hexdigest()[:RUN_DIGITS]


@contextmanager
def run_folder(folder: Path, run: str, command: str) -> Iterator[Path]:
    """Open an empty folder whose files become the run in `folder`, all at once and in place of an older run's.

    Args:
        folder: The folder, which is made if it is missing. Files in it that no run wrote are kept.
        run: The name of the run.
        command: The command that made it: "shrink" or "sweep".

    Raises:
        OSError: A file cannot be written; the folder is then as it was.
    """
    older = files_of_run(folder)
    with changed_folder(folder, lambda name: name in older, last=RUN_FILE) as draft:
        yield draft
        for file in draft.iterdir():
            stamp(file, run)
        write_whole(draft / RUN_FILE, _manifest(sorted(draft.iterdir()), run, command))


def files_of_run(folder: Path) -> set[str]:
    """Return the names of the files in a folder that a run wrote, run.json included; none if no run is there."""
    manifest = read_manifest(folder)
    if manifest:
        return {RUN_FILE, *manifest["files"]}
    return {name for shown, names in _BEFORE_RUN_FILES.items() if (folder / shown).is_file() for name in names}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what run.json of a folder says; {} if it is missing or is not one that Smidgen wrote."""
    path = folder / RUN_FILE
    try:
        if not path.is_file() or path.stat().st_size > MOST_MANIFEST_BYTES:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    files = found.get("files") if isinstance(found, dict) else None
    names = list(files) if isinstance(files, dict) else [""]
    return found if all(name and name != ".." and Path(name).name == name for name in names) else {}


def stamp(file: Path, run: str) -> None:
    """Write the name of its run into a page, a picture or a table; other files are left as they are."""
    if file.suffix == ".png":
        file.write_bytes(with_text(file.read_bytes(), "Run", run))
    elif file.suffix == ".csv":
        head, *rows = csv.reader(io.StringIO(file.read_text("utf-8"), newline=""))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([[*head, "run"], *([*row, run] for row in rows)])
        file.write_text(text.getvalue(), encoding="utf-8")
    elif file.suffix == ".html":
        mark = '<meta charset="utf-8">'
        page = file.read_text("utf-8")
        file.write_text(page.replace(mark, f'{mark}\n<meta name="run" content="{run}">', 1), encoding="utf-8")


def _manifest(files: Iterable[Path], run: str, command: str) -> str:
    found = {file.name: _facts(file.read_bytes()) for file in files}
    return json.dumps({"run": run, "command": command, "smidgen": smidgen.__version__, "files": found}, indent=1) + "\n"


def _facts(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
