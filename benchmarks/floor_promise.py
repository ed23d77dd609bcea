"""Is the floor's promise kept? The question asked anew on several splits and seeds, each from nothing.

    python benchmarks/floor_promise.py --data mnist --floor 0.97 --runs 10 --json promise.json

Run k uses split seed k and search seed k, and a store of its own, so that nothing is shared but the test split. The
promise is kept where the winner's test accuracy is at or above the floor; the file's network is scored too. With
--stores the stores are kept there, and a measurement that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from smidgen.data import load
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.trials.store import Store


def main() -> None:
    """Run, print a line a run, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--floor", type=float, default=0.97)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--effort", default="normal")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stores", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.stores or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [one(options.data, options.floor, options.effort, run, folder) for run in range(options.runs)]
    kept, by_files = (
        sum(row[what]["correct"] >= options.floor * row[what]["total"] for row in rows)
        for what in ("test", "file_test")
    )
    print(f"kept in {kept} of {len(rows)} runs, by the files in {by_files}")
    if options.json:
        found = {**vars(options), "json": None, "stores": None, "kept": kept, "kept_by_files": by_files, "rows": rows}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def one(data: str, floor: float, effort: str, run: int, folder: Path) -> dict[str, Any]:
    """One run of the question, with a store of its own."""
    with Store(folder / f"run-{run}.sqlite") as store:
        answer = shrink(load(data, split_seed=run), floor, effort=effort, seed=run, store=store)
    row = row_of(answer, run)
    print(
        f"{run:2d}  {row['parameters']:5,d} parameters  selection {answer.outcome.selection}  "
        f"confirmation {answer.outcome.confirmation}  test {answer.test}  "
        f"file {row['file_bytes']:,} bytes, test {row['file_test']['correct']:,}  "
        f"refused {row['refused']}  fresh {row['fresh_held']}/{row['fresh']}  {answer.seconds:.0f} s",
        flush=True,
    )
    return row


def row_of(answer: ShrinkResult, run: int) -> dict[str, Any]:
    """What is kept of an answer."""
    outcome = answer.outcome
    assert answer.file is not None, "the search was asked for one"
    return {
        "run": run,
        "spec": str(answer.winner.spec),
        "loss": answer.winner.recipe.loss,
        "parameters": outcome.parameters,
        "selection": asdict(outcome.selection),
        "confirmation": asdict(outcome.confirmation),
        "test": asdict(answer.test),
        "teacher_test": answer.teacher_test and asdict(answer.teacher_test),
        "file_bytes": answer.file.winner.file_bytes,
        "file_test": asdict(answer.file.test),
        "refused": len(answer.rejected),
        "fresh": len(answer.fresh_seeds),
        "fresh_held": answer.fresh_seeds_met,
        "trainings": answer.trained,
        "seconds": round(answer.seconds, 1),
    }


if __name__ == "__main__":
    main()
