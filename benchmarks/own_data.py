"""The smallest network on real data that ship in packages, beside what one would build by hand.

    python benchmarks/own_data.py ours SET... --work FOLDER --out ours.csv           a search for each floor
    python benchmarks/own_data.py opponents SET... --work FOLDER --out opponents.csv
    python benchmarks/own_data.py splits SET... --work FOLDER --out splits.csv       ten splits of each small set
    python benchmarks/own_data.py summary ours.csv opponents.csv
    python benchmarks/own_data.py promises splits.csv

`ours` runs the command line, with its output in a pipe: effort quick, plain rates, seed 0, an empty store. An opponent
has the same splits and the same rule: of each family the smallest that reaches the floor on both validation halves is
chosen, and the test split is scored for what was chosen. emlearn takes part where it is installed. Time: up to three
minutes for a search; half a minute (wine) to ten minutes (fashion-mnist) for the opponents of a set.
"""

from __future__ import annotations

import argparse
import csv
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import smidgen
from own_data_opponents import all_fits, chosen
from own_data_sets import SETS
from smidgen.data import Dataset, Split, load
from smidgen.engine import choose
from smidgen.model import Model
from smidgen.records import Score
from smidgen.transforms import parameters_with_input

Row = dict[str, object]
HELD_OUT, SPLITS, SPLIT_EFFORT = 0.25, 10, "glance"
RULES = ("rate", "wilson", "strict")


# --- ours -------------------------------------------------------------------------------------


def searched(name: str, folder: Path, floor: float, effort: str) -> Row:
    """Run `smidgen shrink` in a pipe and score the network file that it leaves."""
    data, out = SETS[name].write(folder / name), folder / f"{name}-{floor:g}"
    options = ["--floor", f"{floor:g}", "--rule", "rate", "--effort", effort, "--seed", "0", *SETS[name].options]
    with TemporaryDirectory() as memory:
        places = ["--store", f"{memory}/store.sqlite", "--out", str(out)]
        command = [sys.executable, "-m", "smidgen", "shrink", data, *options, *places]
        before = _processor_seconds()
        seconds, silence, code = _followed(command, folder / f"{name}-{floor:g}.log")
    row: Row = {"set": name, "floor": floor, "seconds": round(seconds, 1), "longest_silence": round(silence, 1)}
    row["processor_seconds"] = round(_processor_seconds() - before, 1)
    if code:
        return row | {"parameters": "", "network": "nothing met the floor"}
    return row | _found(out, load(data, **_reading(name)))


def _processor_seconds() -> float:
    """The processor time of all commands that were run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reading(name: str) -> dict[str, Any]:
    options = SETS[name].options
    return {option[2:].replace("-", "_"): text for option, text in zip(options[::2], options[1::2], strict=True)}


def _followed(command: list[str], log: Path) -> tuple[float, float, int]:
    """Seconds of a command, the longest time between two lines of its output, and its exit code."""
    began = last = time.perf_counter()
    silence = 0.0
    with log.open("w") as kept:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            now = time.perf_counter()
            silence, last = max(silence, now - last), now
            kept.write(f"{now - began:7.1f} {line}")
        code = process.wait()
    ended = time.perf_counter()
    return ended - began, max(silence, ended - last), code


def _found(out: Path, data: Dataset) -> Row:
    model = smidgen.load(out / "winner.safetensors").model
    scores = {name: _scored(model, data, data.splits[name]) for name in ("selection", "confirmation", "test")}
    file = out / "winner.smidgen"
    numbers: Row = {"parameters": parameters_with_input(model.spec, data.input)}
    numbers["bytes"] = file.stat().st_size if file.exists() else ""
    return {**numbers, "train": len(data.train), **_scores(scores), "network": str(model.spec)}


def _scored(model: Model, data: Dataset, split: Split) -> Score:
    """The score of a network file on values in the user's units."""
    images = model.input.to_network(data.input.to_units(split.images)) if data.input.is_scaled else split.images
    answers = choose("auto").predict(model.spec, model.weights, images, 1).argmax(axis=1)
    return Score(int((answers == split.labels).sum()), len(split))


def _scores(scores: dict[str, Score]) -> Row:
    row: Row = {split: f"{score.correct}/{score.total}" for split, score in scores.items()}
    low, high = scores["test"].interval()
    return row | {"test_rate": round(scores["test"].rate, 4), "test_interval": f"{low:.3f}..{high:.3f}"}


# --- opponents --------------------------------------------------------------------------------


def opposed(name: str, folder: Path) -> Iterator[Row]:
    """Train every opponent on a set; the chosen one of each family, for each floor, and all that were tried."""
    data = load(SETS[name].write(folder / name), **_reading(name))
    fits = list(all_fits(data, SETS[name].kind))
    for floor in SETS[name].floors:
        for family in dict.fromkeys(fit.family for fit in fits):
            own = [fit for fit in fits if fit.family == family]
            best = chosen(own, floor)
            scores = {"selection": best.selection, "confirmation": best.confirmation, "test": best.test}
            row: Row = {"set": name, "floor": floor, "family": family, "setting": best.setting, "fits": len(own)}
            row |= {"parameters": best.parameters, "holds": int(best.holds(floor)), **_scores(scores)}
            yield row | {"seconds": round(sum(fit.seconds for fit in own), 1)}


# --- ten splits -------------------------------------------------------------------------------


def split_again(name: str, folder: Path, number: int) -> Iterator[Row]:
    """Hold out a quarter of a set, search in the rest by each rule, score what was found on the held-out quarter."""
    data = load(SETS[name].write(folder / name), **_reading(name))
    X = np.concatenate([data.input.to_units(split.images) for split in data.splits.values()])
    X = X[:, :, 0, 0] if SETS[name].kind == "table" else X
    y = np.concatenate([split.labels for split in data.splits.values()])
    held = _stratified(y, np.random.default_rng(number))
    floor = SETS[name].floors[0]
    with TemporaryDirectory() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rule in RULES:
            fitted = smidgen.SmallestClassifier(
                floor, rule=rule, effort=SPLIT_EFFORT, random_state=0, store=f"{memory}/store.sqlite"
            ).fit(X[~held], y[~held])
            right = fitted.predict(X[held]) == y[held]
            row: Row = {"set": name, "floor": floor, "split": number, "rule": rule, "searched_in": int((~held).sum())}
            row |= {"parameters": fitted.n_parameters_, "met": int(fitted.met_), "promise": round(fitted.promise_, 4)}
            yield row | {"right": int(right.sum()), "held_out": int(held.sum())}


def _stratified(y: Any, generator: np.random.Generator) -> Any:
    """True for a quarter of each class: bool [n]."""
    held = np.zeros(len(y), bool)
    for label in np.unique(y):
        rows = generator.permutation(np.flatnonzero(y == label))
        held[rows[: max(1, round(HELD_OUT * len(rows)))]] = True
    return held


# --- the command ------------------------------------------------------------------------------


def summary(files: list[Path]) -> None:
    """Print a line for each set and floor: ours, then the chosen opponents."""
    rows = [row for file in files for row in csv.DictReader(file.open())]
    for name, floor in dict.fromkeys((row["set"], row["floor"]) for row in rows):
        print(f"{name}, {100 * float(floor):g} %")
        for row in (row for row in rows if (row["set"], row["floor"]) == (name, floor)):
            who = row.get("family") or "Smidgen"
            missed = "" if row.get("holds", "1") == "1" else " (missed on validation)"
            print(f"  {who:20} {row['parameters']:>7}  {row['test']:>12}  {row['test_interval']}{missed}")


def promises(rows: Iterable[dict[str, str]]) -> None:
    """Print for each set and rule how many searches claim the floor and how many of these miss it when held out."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["rule"]), []).append(row)
    for (name, rule), group in groups.items():
        rates = [int(row["right"]) / int(row["held_out"]) for row in group]
        claims = [rate >= float(row["floor"]) for row, rate in zip(group, rates, strict=True) if row["met"] == "1"]
        broken = sum(rate < float(row["promise"]) for row, rate in zip(group, rates, strict=True))
        kept = f"{sum(claims)} of {len(claims)} claims kept"
        print(f"{name:20} {rule:8} {len(group)} splits, {kept}; promise_ above what was held out: {broken}")


def append(path: Path, rows: Iterable[Row]) -> None:
    """Add rows to a table as they come; columns are those of the first row."""
    for row in rows:
        is_new = not path.exists()
        columns = list(row) if is_new else next(csv.reader(path.open()))
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ours", "opponents", "splits", "summary", "promises"))
    parser.add_argument("sets", nargs="+", help=f"of {', '.join(SETS)}; all; or the tables of a summary")
    parser.add_argument("--work", type=Path, default=Path("own-data"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--effort", default="quick")
    given = parser.parse_args()
    if given.what in ("summary", "promises"):
        files = [Path(file) for file in given.sets]
        summary(files) if given.what == "summary" else promises(
            row for file in files for row in csv.DictReader(file.open())
        )
        return
    given.work.mkdir(parents=True, exist_ok=True)
    for name in SETS if given.sets == ["all"] else given.sets:
        append(given.out or given.work / f"{given.what}.csv", _rows(given.what, name, given.work, given.effort))


def _rows(what: str, name: str, work: Path, effort: str) -> Iterator[Row]:
    if what == "ours":
        yield from (searched(name, work, floor, effort) for floor in SETS[name].floors)
    elif what == "opponents":
        yield from opposed(name, work)
    elif SETS[name].is_small:
        for number in range(SPLITS):
            yield from split_again(name, work, number)


if __name__ == "__main__":
    main()
