"""`smidgen compress`: what it takes, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli.options import (
    ClusterOption,
    CopiesOption,
    EngineOption,
    SplitOption,
    StoreOption,
    WorkersOption,
    check_writable,
    load_data,
    opened,
    points,
    pool_of,
    share,
)
from smidgen.cli.screen import bars, console, say, score_row, table
from smidgen.errors import RequestError

if TYPE_CHECKING:
    from smidgen.model import Model, Part
    from smidgen.search.compress import CompressResult
    from smidgen.search.goal import Goal

EPILOG = (
    "Examples:\n\nsmidgen compress runs/mnist-0.97/winner.safetensors --floor 0.97\n\n"
    "smidgen compress teacher.safetensors --within 0.1% --data mnist\n\n"
    "smidgen compress a.safetensors b.safetensors --bytes 256"
)


def compress(
    files: Annotated[list[Path], typer.Argument(help="One or more .safetensors files: the best of them is taken.")],
    floor: Annotated[str, typer.Option("--floor", help="The accuracy to hold, 0 to 1.")] = "",
    within: Annotated[str, typer.Option("--within", help="How far below the network that is given: 0.1%.")] = "",
    size_bytes: Annotated[int, typer.Option("--bytes", help="At most so many bytes of file; 0 is no limit.")] = 0,
    rule: Annotated[str, typer.Option("--rule", help="wilson or rate, as in shrink.")] = "wilson",
    data: Annotated[str, typer.Option("--data", help="What it was trained on; default: as the file says.")] = "",
    teacher: Annotated[
        str, typer.Option("--teacher", help="What to learn from; default: teacher.safetensors beside it, or itself.")
    ] = "",
    effort: Annotated[str, typer.Option("--effort", help="glance, quick, normal or thorough.")] = "normal",
    seed: Annotated[int, typer.Option("--seed", help="Of the search and of its trainings.")] = 0,
    copies: CopiesOption = 1,
    split_seed: SplitOption = 0,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write; default: beside the first.")] = None,
    store: StoreOption = "",
    workers: WorkersOption = 0,
    cluster: ClusterOption = "",
    engine: EngineOption = "auto",
) -> None:
    """Find the shortest file of a network that holds an accuracy floor.

    Writes NAME.smidgen, the curve of accuracy against bytes as NAME.png,
    and every file that was tried as NAME.csv. Run the same line again and
    nothing is trained twice.
    """
    from smidgen.model import open_model
    from smidgen.report.folder import write_compressed
    from smidgen.search.compress import compress as run

    goal = _goal(floor, within, rule, size_bytes)
    models = [open_model(file) for file in files]
    path = out or files[0].with_suffix(".smidgen")
    if path.suffix != ".smidgen":
        raise RequestError(f"--out {path} must end in .smidgen; give for example {path.with_suffix('.smidgen')}")
    check_writable(path.parent)
    dataset = load_data(data or _data_of(models[0], files[0]), split_seed, copies=copies)
    with bars() as reporter, opened(store) as memo, pool_of(cluster) as pool:
        found = run(
            models,
            dataset,
            goal,
            teacher=_teacher(teacher, files[0]),
            effort=effort,
            seed=seed,
            store=memo,
            workers=workers or None,
            engine=engine,
            reporter=reporter,
            pool=pool,
        )
    write_compressed(found, path)
    print_compressed(found, path)


def _goal(floor: str, within: str, rule: str, size_bytes: int) -> Goal:
    from smidgen.search.goal import Goal, Limits, Target

    if not floor and not within and not size_bytes:
        raise typer.BadParameter("give it, or --within, or --bytes", param_hint="--floor")
    accuracy, distance = share(floor, "--floor") if floor else None, points(within) if within else None
    target = Target(accuracy, distance, rule) if floor or within else None
    return Goal(target, Limits(file_bytes=size_bytes or None))


def _data_of(model: Model, file: Path) -> str:
    """The name of the data that the file says it was trained on."""
    name = model.metadata.get("data", "")
    if not name:
        raise RequestError(f"{file} does not say which data it was trained on; give --data")
    return name


def _teacher(source: str, file: Path) -> object:
    """A network file of ours, a teacher of the user's, the one that stands beside the file, or None for itself."""
    from smidgen.model import open_model
    from smidgen.teacher import Teacher

    beside = file.with_name("teacher.safetensors")
    if not source and beside.is_file():
        say(f"learning from {beside}")
        return open_model(beside)
    if source.endswith((".safetensors", ".smidgen")):
        return open_model(Path(source))
    return Teacher(source) if source else None


def print_compressed(found: CompressResult, path: Path) -> None:
    from smidgen.model import size_report

    screen, winner = console(), found.winner
    screen.print(f"\n[bold]{found.headline}[/bold]")
    screen.print(f"{winner.quantized.spec}")
    scores = table("", ">bytes", ">right", ">of", ">rate", "95 % interval")
    for name, size, score in (
        ("chosen on", winner.file_bytes, winner.outcome.selection),
        ("confirmed on", winner.file_bytes, winner.outcome.confirmation),
        ("test, once", winner.file_bytes, found.test),
        ("given, test", found.given_bytes, found.given_test),
    ):
        score_row(scores, name, size, score)
    screen.print(scores)
    compression_stages = table("stage", ">bytes", ">chosen on")
    for rung in found.stages:
        compression_stages.add_row(rung.name, f"{rung.file_bytes:,}", f"{100 * rung.selection.rate:.2f} %")
    screen.print(compression_stages)
    parts = table("where the bytes are", ">bits", ">share")
    for name, bits in _grouped(size_report(path.read_bytes())):
        parts.add_row(name, f"{bits:,.0f}", f"{100 * bits / (8 * winner.file_bytes):.1f} %")
    screen.print(parts)
    screen.print(f"{len(found.rejected)} shorter files held on the first half and not on the second.")
    screen.print(f"{found.trained} trainings, {found.remembered} remembered, {found.seconds:.1f} s")
    screen.print(f"file {path}", soft_wrap=True)


def _grouped(parts: list[Part]) -> list[tuple[str, float]]:
    """Weights layer by layer; all grids together, and the rest together."""
    groups: dict[str, float] = {}
    for part in parts:
        name = "grids" if part.name.endswith(" grid") else part.name.removesuffix(" levels")
        if not part.name.endswith((" grid", " levels", "input and layers")):
            name = "frame, names and checksum"
        groups[name] = groups.get(name, 0.0) + part.bits
    return list(groups.items())
