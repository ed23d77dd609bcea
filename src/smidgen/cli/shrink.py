"""`smidgen shrink`: what is asked, as people state it, and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smidgen.cli.options import (
    ClusterOption,
    CopiesOption,
    DataArgument,
    EngineOption,
    SplitOption,
    StoreOption,
    WorkersOption,
    check_writable,
    command_line,
    load_data,
    numbers,
    opened,
    points,
    pool_of,
    share,
)
from smidgen.cli.screen import bars, console, score_row, table
from smidgen.errors import RequestError

if TYPE_CHECKING:
    from smidgen.data import Reading
    from smidgen.report import RunReport
    from smidgen.search.goal import Goal
    from smidgen.search.result import ShrinkResult
    from smidgen.teacher import Teacher

ASKED, BROUGHT, DATA = "What is asked", "Your teacher", "Your data"
EPILOG = (
    "Examples:\n\nsmidgen shrink mnist --floor 0.97\n\nsmidgen shrink photos/ --floor 0.9 --resize 32x32\n\n"
    "smidgen shrink mnist --within 0.5% --teacher big.onnx\n\nsmidgen shrink mnist --params 1000 --ram 8192"
)


def _asked(name: str, text: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel=ASKED)


def _limit(name: str, text: str) -> Any:
    return typer.Option(name, help=f"{text}; 0 is no limit.", rich_help_panel=ASKED)


def _brought(name: str, text: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel=BROUGHT)


def shrink(
    data: DataArgument,
    floor: Annotated[str, _asked("--floor", "The accuracy to hold, 0 to 1.")] = "",
    within: Annotated[str, _asked("--within", "How far below its teacher it may be: 0.5%.")] = "",
    size_bytes: Annotated[int, _limit("--bytes", "At most so many bytes of file")] = 0,
    params: Annotated[int, _limit("--params", "At most so many parameters")] = 0,
    macs: Annotated[int, _limit("--macs", "At most so many multiply-accumulates an image")] = 0,
    ram: Annotated[int, _limit("--ram", "At most so many bytes of values at once, as float32")] = 0,
    rule: Annotated[
        str, _asked("--rule", "wilson: it holds with 95 % confidence; rate: by the plain rate.")
    ] = "wilson",
    balanced: Annotated[bool, _asked("--balanced", "Accuracy is the mean over the classes.")] = False,
    class_floor: Annotated[float, _asked("--class-floor", "What each class must reach alone.")] = 0.0,
    teacher: Annotated[str, _brought("--teacher", "model.onnx, model.keras, or module.py:factory (torch).")] = "",
    weights: Annotated[Path | None, _brought("--weights", "Of a torch teacher: w.safetensors or w.pt.")] = None,
    teacher_logits: Annotated[Path | None, _brought("--teacher-logits", "logits.npy: a row an image.")] = None,
    teacher_input: Annotated[
        str, _brought("--teacher-input", "How it wants its images, as 'nhwc 0..1'; found without.")
    ] = "",
    group_column: Annotated[
        str, typer.Option("--group-column", help="Rows of one group stay in one split.", rich_help_panel=DATA)
    ] = "",
    resize: Annotated[
        str, typer.Option("--resize", help="Of a folder of pictures: height x width, as 32x32.", rich_help_panel=DATA)
    ] = "",
    effort: Annotated[str, typer.Option("--effort", help="glance, quick, normal or thorough.")] = "normal",
    seed: Annotated[int, typer.Option("--seed", help="Of the search and of its trainings.")] = 0,
    copies: CopiesOption = 1,
    split_seed: SplitOption = 0,
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write; default runs/DATA-FLOOR.")] = None,
    store: StoreOption = "",
    workers: WorkersOption = 0,
    cluster: ClusterOption = "",
    engine: EngineOption = "auto",
) -> None:
    """Find the smallest network that holds an accuracy floor, or the best under a limit.

    Give an accuracy (--floor or --within), limits, or both. Writes
    report.html, frontier.png, trials.csv, winner.smidgen and, in full
    precision, winner.safetensors and teacher.safetensors. Run the same
    line again and nothing is trained twice; stop it, and it goes on
    where it was.
    """
    from smidgen.report.folder import write
    from smidgen.search.shrink import shrink as run

    limits = {"file_bytes": size_bytes, "parameters": params, "macs": macs, "ram_bytes": ram}
    goal = _goal(floor, within, rule, limits, balanced, class_floor)
    brought = _teacher(teacher, teacher_logits, weights, teacher_input)
    folder = out or Path("runs") / f"{Path(data).stem}-{goal.slug}"
    check_writable(folder)
    dataset = load_data(data, split_seed, _reading(resize, group_column), copies)
    with bars() as reporter, opened(store) as memo, pool_of(cluster) as pool:
        answer = run(
            dataset,
            goal,
            teacher=brought,
            effort=effort,
            seed=seed,
            store=memo,
            workers=workers or None,
            engine=engine,
            reporter=reporter,
            pool=pool,
        )
    report = write(answer, folder, command_line())
    _print_answer(answer, report, folder)


# --- what is read -----------------------------------------------------------------------------


def _goal(floor: str, within: str, rule: str, limits: dict[str, int], balanced: bool, class_floor: float) -> Goal:
    from smidgen.search.goal import Goal, Limits, Target

    if not floor and not within and not any(limits.values()):
        raise typer.BadParameter(
            "give it, or --within, or a limit: --bytes, --params, --macs, --ram", param_hint="--floor"
        )
    accuracy, distance = share(floor, "--floor") if floor else None, points(within) if within else None
    target = Target(accuracy, distance, rule) if floor or within else None
    most = Limits(**{name: limit or None for name, limit in limits.items()})
    return Goal(target, most, balanced=balanced, class_floor=class_floor)


def _teacher(source: str, logits: Path | None, weights: Path | None, text: str) -> Teacher | None:
    from smidgen.teacher import Teacher

    if source and logits:
        raise RequestError("--teacher and --teacher-logits are two teachers; give one of them")
    if logits is not None and logits.suffix != ".npy":
        raise RequestError(
            f"--teacher-logits {logits} is no .npy file; write an array [images, classes] with numpy.save"
        )
    if not source and logits is None:
        if weights is not None or text:
            raise RequestError("--weights and --teacher-input belong to a teacher; give --teacher")
        return None
    return Teacher(source or logits, weights, text)


def _reading(resize: str, group_column: str) -> Reading:
    from smidgen.data import Reading

    if not resize:
        return Reading(None, group_column)
    height, width = numbers(resize, "--resize", separator="x", count=2)
    return Reading((height, width), group_column)


# --- what is printed --------------------------------------------------------------------------


def _print_answer(answer: ShrinkResult, report: RunReport, folder: Path) -> None:
    screen = console()
    screen.print(f"\n[bold]{report.headline}[/bold]")
    screen.print(f"{answer.winner.spec}")
    rows = table("", ">parameters", ">right", ">of", ">rate", "95 % interval")
    outcome, teacher = answer.outcome, answer.teacher
    score_row(rows, "chosen on", outcome.parameters, outcome.selection)
    score_row(rows, "confirmed on", outcome.parameters, outcome.confirmation)
    score_row(rows, "test, once", outcome.parameters, answer.test)
    coded = answer.file
    if coded:
        score_row(rows, "its file, test", coded.winner.outcome.parameters, coded.test)
    if teacher and answer.teacher_test:
        score_row(rows, "its teacher, test", teacher.parameters, answer.teacher_test)
    screen.print(rows)
    for note in teacher.notes if teacher else ():
        screen.print(f"- {note}", markup=False)
    seeds = len(answer.fresh_seeds)
    screen.print(f"{answer.fresh_seeds_met} of {seeds} fresh seeds hold the floor on all validation images.")
    if answer.turning_point:
        turn = answer.turning_point
        screen.print(f"Turning point: {turn.parameters:,} parameters ({turn.low:,} to {turn.high:,}).")
    if coded:
        screen.print(f"{coded.winner.file_bytes:,} bytes of file; {report.winner.file_bytes:,} in full precision.")
    if teacher and teacher.parameters:
        screen.print(_beside(answer, teacher.parameters))
    screen.print(
        f"{answer.trained} trainings, {answer.remembered} remembered, {answer.seconds:.1f} s; "
        f"engine {report.run.engine}."
    )
    screen.print(f"report {folder / 'report.html'}", soft_wrap=True)


def _beside(answer: ShrinkResult, parameters: int) -> str:
    """How much less than its teacher it takes."""
    text = f"1/{parameters / answer.outcome.parameters:,.0f} of its teacher's parameters"
    if answer.file:
        text += f", 1/{4 * parameters / answer.file.winner.file_bytes:,.0f} of its bytes (4 a parameter)"
    return f"{text}."
