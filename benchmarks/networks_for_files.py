"""The shortest file from few networks on many first grids beside many networks on one, after the same search.

    python benchmarks/networks_for_files.py mnist=0.97 --seeds 3 --out results/2026-11-29-networks-for-files

SET=FLOOR is what `smidgen shrink` takes. Each search is run once; its byte search is then run by each of `EFFORTS`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from evidence import asked_searches, collected, markdown, new_folder, write_readme
from smidgen.data import load
from smidgen.search.byte_search import ByteSearchEffort
from smidgen.search.effort import EFFORTS as SEARCHES
from smidgen.search.effort import SHRINK_BYTES
from smidgen.search.shrink import shrink
from smidgen.trials.store import Store

EFFORTS: dict[str, ByteSearchEffort] = {
    "three networks, six grids each": replace(SHRINK_BYTES["normal"], networks=3, first=18, generations=3),
    "eight networks, one grid each": SHRINK_BYTES["normal"],
}
HEADS = ("data", "floor", "seed", "files from", "bytes", "parameters", "test", "of", "trainings", "seconds")
Row = dict[str, object]


def rows_of(name: str, floor: float, seed: int, path: Path) -> Iterator[Row]:
    """Search once, then for the shortest file by each effort; everything before the files is remembered."""
    data = load(name)
    with Store(path) as store:
        shrink(data, floor, seed=seed, store=store, with_file=False)
        for files_from, byte_search in EFFORTS.items():
            effort, began = replace(SEARCHES["normal"], byte_search=byte_search), time.perf_counter()
            found = shrink(data, floor, effort=effort, seed=seed, store=store)
            row: Row = {"data": name, "floor": floor, "seed": seed, "files from": files_from}
            if found.file:
                file = found.file.winner
                row |= {"bytes": file.file_bytes, "parameters": file.outcome.parameters}
                row |= {"test": found.file.test.correct, "of": found.file.test.total}
            yield row | {"trainings": found.trained, "seconds": round(time.perf_counter() - began, 1)}


def main() -> None:
    """Read the command line, run, and write the folder."""
    given = asked_searches(__doc__)
    out = new_folder(given.out)
    with TemporaryDirectory() as folder:
        made = (
            row
            for name, floor, seed in given.searches
            for row in rows_of(name, floor, seed, Path(folder) / f"{name}-{seed}.sqlite")
        )
        rows = collected(out / "rows.csv", HEADS, made)
    medians = "; ".join(f"{each}: {_median(rows, each):g} bytes" for each in EFFORTS)
    cells = [[str(row.get(head, "")) for head in HEADS] for row in rows]
    text = f"Seconds are those of the search for the file and of looking up all before it. Medians: {medians}."
    write_readme(
        out, "The networks that files are made of", f"{given.seeds} seeds", f"{text}\n\n{markdown(HEADS, cells)}"
    )


def _median(rows: Sequence[Mapping[str, object]], files_from: str) -> float:
    return median(float(str(row["bytes"])) for row in rows if row["files from"] == files_from and "bytes" in row)


if __name__ == "__main__":
    main()
