"""Build the core with every compiler, for every processor and Python, and compare the bits that it computes.

    python benchmarks/compilers.py --python python3.11 --python python3.12 --python python3.13 --json compilers.json

"package" builds a wheel, installs it into a clean environment of each Python that it fits, and trains networks there
with every instruction set that fuses; "program" builds `tests/native/core_bits.cpp`, as `make test-arm64` does, and
runs it, under qemu for 64-bit ARM. Bits are equal if the digest is that of the first row of its kind.

A package takes four minutes of processor time, a program one. `--only NAME` takes the rows whose name has that text;
rows that the JSON file has already are kept. Needs pip's network, and for ARM Debian's g++-aarch64-linux-gnu and
qemu-user.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "compilers"
FIRST_STABLE = (3, 12)
"""The first Python whose wheel fits all later ones."""

Version = tuple[int, int]


@dataclass(frozen=True)
class Compiler:
    """A compiler and what is built with it.

    Attributes:
        name: As in the table.
        command: The program.
        flags: What it is given besides.
        wheels: The Python versions to build a wheel for.
        targets: The processors to build the program for: "x86-64", "generic", "arm64".
    """

    name: str
    command: str
    flags: str = ""
    wheels: tuple[Version, ...] = ()
    targets: tuple[str, ...] = ("x86-64",)


COMPILERS = (
    Compiler("GCC 12", "g++-12", "", ((3, 11), (3, 12)), ("x86-64", "generic")),
    Compiler("GCC 11", "g++-11", "", ((3, 11),)),
    Compiler("clang 14", "clang++-14", "", ((3, 11),), ("x86-64", "arm64")),
    Compiler("clang 16", "clang++-16", "", ((3, 12),)),
    Compiler("clang 19", "clang++-19", "", (), ("x86-64", "generic", "arm64")),
    Compiler("clang 19 libc++", "clang++-19", "-stdlib=libc++", ((3, 12),)),
    Compiler("GCC 12 cross", "aarch64-linux-gnu-g++", "", (), ("arm64",)),
)

TARGET_FLAGS = {
    "x86-64": ["-march=x86-64-v3", "-DKERNELS=kernels_v3"],
    "generic": ["-march=x86-64-v3", "-DKERNELS=kernels_generic", "-DSMIDGEN_GENERIC"],
    "arm64": ["-DKERNELS=kernels_neon"],
}
PROGRAM_FLAGS = ["-std=c++20", "-O2", "-ftree-vectorize", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]


@dataclass(frozen=True)
class Row:
    """One line of the table; `digest` is "" if it was not built or did not run, and then `fault` says why."""

    kind: str
    compiler: str
    version: str
    architecture: str
    python: str
    seconds: float
    digest: str
    fault: str = ""

    @property
    def key(self) -> str:
        """What the row is about."""
        return f"{self.kind}, {self.compiler}, {self.architecture}, {self.python}"


# --- the program without Python ---------------------------------------------------------------


def program_rows(compiler: Compiler) -> Iterator[Row]:
    """Build and run the program for each processor."""
    for target in compiler.targets:
        began, fault, digest = time.perf_counter(), "", ""
        try:
            digest = _program_digest(compiler, target)
        except subprocess.CalledProcessError as error:
            fault = _last_line(error)
        yield Row("program", compiler.name, version_of(compiler), target, "", _since(began), digest, fault)


def _program_digest(compiler: Compiler, target: str) -> str:
    folder = BUILD / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"{compiler.name}-{target}".replace(" ", "-")
    sources = [path for path in sorted((ROOT / "native").glob("*.cpp")) if path.name != "bindings.cpp"]
    sources += [ROOT / "native" / "kernels" / "kernels.cpp", ROOT / "tests" / "native" / "core_bits.cpp"]
    cross = ["--target=aarch64-linux-gnu"] if target == "arm64" and "clang" in compiler.command else []
    flags = [*compiler.flags.split(), *cross, *PROGRAM_FLAGS, *TARGET_FLAGS[target], "-static", "-pthread"]
    run([compiler.command, *flags, *map(str, sources), "-o", str(program)])
    text = run([*(["qemu-aarch64"] if target == "arm64" else []), str(program)])
    return sha256(text.encode()).hexdigest()


# --- the package ------------------------------------------------------------------------------


def package_rows(compiler: Compiler, pythons: dict[Version, str]) -> Iterator[Row]:
    """Build each wheel, and run it in a clean environment of each Python that it fits."""
    for built_for in compiler.wheels:
        began = time.perf_counter()
        folder = BUILD / f"{compiler.name}-{built_for[1]}".replace(" ", "-")
        fault = ""
        try:
            wheel = _wheel(compiler, pythons[built_for], folder)
        except subprocess.CalledProcessError as error:
            fault = _last_line(error)
        seconds = _since(began)
        for python in pythons:
            if python == built_for or (built_for >= FIRST_STABLE and python >= built_for):
                digest, said = ("", fault) if fault else _package_digest(wheel, pythons[python], folder)
                name = f"{python[0]}.{python[1]}"
                yield Row("package", compiler.name, version_of(compiler), "x86-64", name, seconds, digest, said)


def _wheel(compiler: Compiler, python: str, folder: Path) -> Path:
    for old in folder.glob("*.whl"):
        old.unlink()
    flags = {"CXX": compiler.command, "CXXFLAGS": compiler.flags, "LDFLAGS": compiler.flags}
    pip = [python, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-cache-dir"]
    where = ["-C", f"build-dir={folder / 'cmake'}", "--wheel-dir", str(folder), str(ROOT)]
    run([*pip, *where], SMIDGEN_REQUIRE_NATIVE="1", CMAKE_BUILD_PARALLEL_LEVEL="1", **flags)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _package_digest(wheel: Path, python: str, folder: Path) -> tuple[str, str]:
    """The digest in a clean environment, or "" and what went wrong."""
    venv = folder / f"venv-{Path(python).resolve().name}"
    try:
        run([python, "-m", "venv", "--clear", str(venv)])
        pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        run([*pip, "install", "--quiet", str(wheel)])
        run([*pip, "check"])
        return run([str(venv / "bin" / "python"), str(Path(__file__).resolve()), "--digest"]).strip(), ""
    except subprocess.CalledProcessError as error:
        return "", _last_line(error)


def digest() -> str:
    """Train networks of every layer with every instruction set that fuses, and return the digest of their bits."""
    import numpy as np

    from smidgen import _core
    from smidgen.engine import Examples, native
    from smidgen.records import LOSSES, OPTIMIZERS, Recipe
    from smidgen.spec import parse_spec

    specs = [parse_spec(text) for text in DIGEST_NETWORKS]
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (150, 1, 28, 28)).astype(np.uint8)
    labels, logits = random.integers(0, 4, 150).astype(np.int32), random.standard_normal((150, 4)).astype(np.float32)
    found = set()
    for name in filter(_core.fused, _core.instruction_sets()):
        os.environ["SMIDGEN_INSTRUCTION_SET"] = name
        total = sha256()
        for number, (loss, optimizer) in enumerate((loss, each) for loss in LOSSES for each in OPTIMIZERS):
            recipe = Recipe(loss=loss, optimizer=optimizer, learning_rate=0.005, epochs=2, batch_size=50)
            trained = native.train(specs[number % len(specs)], recipe, Examples(images, labels, logits), number)
            total.update(trained.weights.tobytes())
        found.add(total.hexdigest())
    if len(found) != 1:
        raise SystemExit("the instruction sets differ")
    return found.pop()


DIGEST_NETWORKS = (
    "conv 6x3x3 same leaky_relu(0.2), maxpool 2, dropout 0.1, depthwise 3x2 same relu, pointwise 9, batchnorm relu, "
    "avgpool 2, conv 5x2x4, prelu, repeat 2 [depthwise 2x1 same, pointwise 5 relu], globalavgpool, dense 4",
    "conv 18x3x3 relu, conv 17x3x3 relu, maxpool 2, conv 37x3x3 same relu, maxpool 2, dense 400, dense 4",
    "conv 5x5x5 stride 2 same relu6, residual [conv 5x3x3 same relu, depthwise 3x3 shared 2 same, batchnorm] relu, "
    "crelu, pointwise 8 stride 2, maxpool 3 stride 2, dense 200 relu, residual [dense 300 relu, dense 200], dense 4",
)

# --- the table --------------------------------------------------------------------------------


def run(command: Sequence[str], **environment: str) -> str:
    """Run a command and return its standard output."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return done.stdout


def _last_line(error: subprocess.CalledProcessError) -> str:
    lines = (error.stderr or error.stdout or "").strip().splitlines() or ["no message"]
    return next((line for line in lines if "error" in line.lower()), lines[-1])[:200]


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 1)


def version_of(compiler: Compiler) -> str:
    """The version that the compiler prints of itself."""
    return run([compiler.command, "-dumpfullversion", "-dumpversion"]).strip()


def version_of_python(python: str) -> Version:
    major, minor = run([python, "-c", "import sys; print(*sys.version_info[:2])"]).split()
    return int(major), int(minor)


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| what | compiler | processor | Python | built | tested | bits equal |", "|---|---|---|---|---|---|---|"]
    reference: dict[str, str] = {}
    for row in rows:
        equal = row.digest and row.digest == reference.setdefault(row.kind, row.digest)
        said = ("yes", "yes", "yes" if equal else "NO") if row.digest else (row.fault, "no", "no")
        compiler = f"{row.compiler} ({row.version})"
        lines.append(f"| {row.kind} | {compiler} | {row.architecture} | {row.python} | {' | '.join(said)} |")
    return "\n".join(lines)


def all_rows(pythons: dict[Version, str], only: str, known: set[str]) -> Iterator[Row]:
    """Every row that is asked for and not known yet."""
    for compiler in COMPILERS:
        for kind, make in (("program", program_rows), ("package", lambda each: package_rows(each, pythons))):
            name = f"{kind}, {compiler.name},"
            if only in name and not any(key.startswith(name) for key in known):
                yield from make(compiler)


def main() -> None:
    """Build, run, print the table and write the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="an interpreter; repeatable")
    parser.add_argument("--only", default="", help="a text of the rows to make, such as 'package, GCC 11'")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--digest", action="store_true", help="print the digest of the package that is installed")
    options = parser.parse_args()
    if options.digest:
        print(digest())
        return
    kept: list[dict[str, Any]] = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    rows = [Row(**each) for each in kept]
    pythons = {version_of_python(each): each for each in options.python or [sys.executable]}
    for row in all_rows(pythons, options.only, {row.key for row in rows}):
        rows.append(row)
        if options.json:
            options.json.write_text(json.dumps([asdict(each) for each in rows], indent=1) + "\n")
    order = [compiler.name for compiler in COMPILERS]
    print(table(sorted(rows, key=lambda row: (row.kind, order.index(row.compiler)))))


if __name__ == "__main__":
    main()
