"""Fit the model of flash and instructions (`smidgen.exporters.cost_model`) on emulated processors, and state its error.

    python benchmarks/instructions.py --out results/DATE-cost-model --write

Networks that a search draws and random ones of the whole language (edited several times) are fitted; others of both,
the families and the published networks at small widths are predicted and took no part. `--write` replaces the module.
What the folder has is not measured again. Needs what `boards.py` needs. Ends within 20 minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import numpy as np

import boards
from evidence import ROOT, markdown, write_readme
from smidgen.exporters import program_size
from smidgen.exporters.c_source import program_of_parts
from smidgen.exporters.cost_model import PROCESSORS
from smidgen.exporters.program_cost import COST_FORMS, code_parts, loop_counts, nominal_network, nominal_parts
from smidgen.search.edits import child
from smidgen.search.proposals import Space, first_generation
from smidgen.spec import NetSpec, Shape, parse_spec
from smidgen.spec.families import FAMILIES
from smidgen.spec.references import REFERENCES

SHAPES: tuple[Shape, ...] = ((1, 28, 28), (3, 1, 64), (20, 1, 1), (3, 16, 16))
CLASSES, MOST_MACS, MOST_PARAMETERS = 6, 150_000, 4_000
FITTED, FITTED_EDITED, OTHERS, EDITS = 10, 6, 3, 6
"""Networks of each shape: fitted as drawn, fitted after edits, of each other group; edits of a random network."""
MODULE = ROOT / "src" / "smidgen" / "exporters" / "cost_model.py"

_INFER = """#include "net.h"
int infer(void);
static const net_input image[NET_INPUTS] = {IMAGE};
int infer(void) { return net_class(image); }
"""


def networks() -> Iterator[tuple[str, NetSpec, Shape]]:
    """Yield each network with its group: "fitted", or one whose error is stated."""
    for shape in SHAPES:
        space = Space(shape, CLASSES, MOST_PARAMETERS, MOST_MACS)
        drawn = first_generation(space, FITTED + OTHERS, 0)
        yield from (("fitted", spec, shape) for spec in drawn[:FITTED])
        yield from (("other networks of a search", spec, shape) for spec in drawn[FITTED:])
        random = list(edited(space, drawn, OTHERS + FITTED_EDITED))
        yield from (("random networks of the language", spec, shape) for spec in random[:OTHERS])
        yield from (("fitted", spec, shape) for spec in random[OTHERS:])
    for build in FAMILIES.values():
        yield "families and published networks", build(3, CLASSES), SHAPES[0]
    for reference in REFERENCES.values():
        yield "families and published networks", reference.build(2, CLASSES), reference.input_shape


def edited(space: Space, drawn: Sequence[NetSpec], count: int) -> Iterator[NetSpec]:
    """Yield networks that are several edits away from those of a search."""
    random, found = Random(1), 0
    while found < count:
        spec = random.choice(drawn)
        for _ in range(EDITS):
            spec = child(random, spec)
        if space.contains(spec):
            found += 1
            yield spec


@dataclass(frozen=True)
class Measured:
    """A network in a form, what was measured, and what the model is told of it.

    Attributes:
        group: "fitted", or one whose error is stated.
        form: How the weights are stored.
        measured: By what was measured: "flash" or the name of a processor.
        known: What is exact of each: the constants of flash.
        counts: The parts of the code for "flash", the loops of the program for processors.
    """

    group: str
    form: str
    measured: Mapping[str, int]
    known: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]


WHAT = ("flash", *PROCESSORS)
COLUMNS = ("group", "shape", "form", *WHAT, "network")
Coefficients = Mapping[tuple[str, str], Mapping[str, float]]


def measure(spec: NetSpec, shape: Shape, form: str, folder: Path) -> list[int]:
    """Generate a program, and return its flash and its instructions on each processor."""
    quantized = nominal_network(spec, shape, seed=1)
    made = program_of_parts(nominal_parts(quantized, form), quantized, "net", form, "net.h")
    (folder / "net.c").write_text(made.source)
    (folder / "net.h").write_text(made.header)
    image = np.random.default_rng(2).integers(0, 256, shape).ravel().tolist()
    (folder / "infer.c").write_text(_INFER.replace("IMAGE", ", ".join(map(str, image))))
    sources = [folder / "infer.c", folder / "net.c"]
    size = program_size(folder / "net.c")
    assert size is not None
    return [size.flash_bytes, *(boards.cost_of(board, sources, folder).instructions for board in boards.BOARDS)]


def measure_all(path: Path) -> None:
    """Write a row for each network and form that has none yet."""
    boards.ROUNDS = 2
    known = keys(path)
    with tempfile.TemporaryDirectory() as folder, path.open("a", newline="") as file:
        table = csv.writer(file)
        if not known:
            table.writerow(COLUMNS)
        for group, spec, shape in networks():
            for form in COST_FORMS:
                head = [group, "x".join(map(str, shape)), form]
                if (*head, str(spec)) not in known:
                    table.writerow([*head, *measure(spec, shape, form, Path(folder)), spec])
                    file.flush()


def keys(path: Path) -> set[tuple[str, ...]]:
    """Return which networks and forms have a row."""
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {tuple(row[name] for name in ("group", "shape", "form", "network")) for row in csv.DictReader(file)}


def read(path: Path) -> list[Measured]:
    """Return the rows of a file that `measure_all` wrote."""
    with path.open(newline="") as file:
        return [_row(row) for row in csv.DictReader(file)]


def _row(row: Mapping[str, str]) -> Measured:
    channels, height, width = map(int, row["shape"].split("x"))
    quantized = nominal_network(parse_spec(row["network"]), (channels, height, width), seed=1)
    parts = nominal_parts(quantized, row["form"])
    made, loops = program_of_parts(parts, quantized, "net", row["form"]), loop_counts(parts)
    known = dict.fromkeys(PROCESSORS, 0) | {"flash": made.constant_bytes}
    counts = dict.fromkeys(PROCESSORS, loops) | {"flash": code_parts(parts)}
    return Measured(row["group"], row["form"], {what: int(row[what]) for what in WHAT}, known, counts)


def fitted(rows: Sequence[Measured]) -> dict[tuple[str, str], dict[str, float]]:
    """Return the coefficients of "flash" and of each processor, by form."""
    found = {}
    for what in WHAT:
        for form in COST_FORMS:
            used = [row for row in rows if (row.form, row.group) == (form, "fitted")]
            wanted = [row.measured[what] - row.known[what] for row in used]
            found[what, form] = fit([row.counts[what] for row in used], wanted, [row.measured[what] for row in used])
    return found


def fit(counts: Sequence[Mapping[str, int]], wanted: Sequence[int], whole: Sequence[int]) -> dict[str, float]:
    """Return coefficients of the least squared error as a share of `whole`; none is negative."""
    from scipy.optimize import lsq_linear

    names = sorted({name for each in counts for name, count in each.items() if count})
    shares = np.array([[each.get(name, 0) for name in names] for each in counts], float) / np.array(whole)[:, None]
    low, high = ([bound.get(name, end) for name in names] for bound, end in ((LEAST, 0.0), (MOST, np.inf)))
    found = lsq_linear(shares, np.array(wanted) / np.array(whole), (low, high)).x
    return {name: float(f"{value:.4g}") for name, value in zip(names, found, strict=True) if value > 1e-3}


LEAST = {"slid": 4, "read": 5, "windows": 8, "blocks": 10, "outputs": 8}
LEAST |= {"taps of one": 5, "taps of four": 12, "pooled": 4}
MOST = {"slid": 9}
"""Instructions that a loop takes at least, and one that copies a value at most: the fit alone cannot tell loops apart
that run about equally often.
"""


def miss(row: Measured, what: str, coefficients: Coefficients) -> float:
    """Return by how much the model misses, in percent of what was measured."""
    terms = coefficients[what, row.form]
    said = row.known[what] + sum(terms.get(name, 0.0) * count for name, count in row.counts[what].items())
    return 100 * said / row.measured[what] - 100


def errors(rows: Sequence[Measured], coefficients: Coefficients) -> Iterator[tuple[object, ...]]:
    """Yield the errors of flash and of each processor, by form and group of networks."""
    for what in WHAT:
        for form in COST_FORMS:
            for group in dict.fromkeys(row.group for row in rows):
                used = [row for row in rows if (row.form, row.group) == (form, group)]
                found = [abs(miss(row, what, coefficients)) for row in used]
                names = "flash, Cortex-M0+" if what == "flash" else f"instructions, {what}"
                yield names, f"`{form}`", group, len(used), f"{median(found):.1f}", f"{max(found):.1f}"


def module_text(coefficients: Coefficients, source: str) -> str:
    """Return the module with the coefficients."""
    code = {form: terms for (what, form), terms in coefficients.items() if what == "flash"}
    instructions = {key: terms for key, terms in coefficients.items() if key[0] != "flash"}
    return f'''"""The coefficients by which `smidgen.exporters.program_cost` estimates code and instructions.

Fitted by `python benchmarks/instructions.py`; {source}/ has the measurements and the errors.
"""

from __future__ import annotations

PROCESSORS = {PROCESSORS!r}
"""Names as `benchmarks/boards.py` has them."""

CODE: dict[str, dict[str, float]] = {code!r}
"""Bytes of code on a Cortex-M0+ for each part of a program, by form."""

INSTRUCTIONS: dict[tuple[str, str], dict[str, float]] = {instructions!r}
"""Instructions for each run of a loop of a program, by processor and form."""
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="replace the module with the coefficients")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    measure_all(given.out / "networks.csv")
    rows = read(given.out / "networks.csv")
    coefficients = fitted(rows)
    if given.write:
        MODULE.write_text(module_text(coefficients, f"results/{given.out.name}"))
        subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(MODULE)], check=False)
    heads = ("what", "form", "networks", "n", "median error, %", "worst, %")
    n = f"{len(rows) // len(COST_FORMS)} networks in {len(COST_FORMS)} forms; 2 inferences in a measurement"
    text = f"{_TEXT}\n{markdown(heads, errors(rows, coefficients))}"
    write_readme(given.out, "The model of flash and instructions", n, text, ("numpy", "scipy"))
    print(text)


_TEXT = """
`networks.csv` has what was measured: flash as `arm-none-eabi-gcc -Os` links it, instructions as QEMU counts them
(`-icount shift=0`). The model is fitted to the group "fitted" alone. Errors are shares of what was measured. RAM has no
error: it is computed.
"""


if __name__ == "__main__":
    main()
