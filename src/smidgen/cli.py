"""The command line: one command is one public function of the library.

Errors that Smidgen raises on purpose are printed without a traceback: exit 2 for a wrong request, 1 for a
run that failed, 130 for Ctrl-C, after which the same line goes on where it was.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import smidgen
from smidgen.errors import RequestError, SmidgenError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.table import Table

    from smidgen.data import Dataset
    from smidgen.records import Score
    from smidgen.report import RunReport
    from smidgen.shrink import Answer
    from smidgen.store import Store
    from smidgen.sweep import Sweep

app = typer.Typer(
    help="The smallest neural network that still holds your accuracy floor.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="The data sets that come by name, and yours.", no_args_is_help=True)
app.add_typer(data_app, name="data")

WIDTH = 80

INTERRUPTED = 130
"""What Typer makes of Ctrl-C: an exit with this code, and no word about it."""

DataArgument = Annotated[str, typer.Argument(help="mnist, fashion-mnist, digits, or the path of your own data.")]
StoreOption = Annotated[str, typer.Option("--store", help="Where trials are remembered: a file or a database URL.")]
WorkersOption = Annotated[int, typer.Option("--workers", help="Trainings at once; 0 is one a CPU.")]
EngineOption = Annotated[str, typer.Option("--engine", help="auto, native or torch.")]
SplitOption = Annotated[int, typer.Option("--split-seed", help="Which images are set aside for validation.")]


def main() -> None:
    """What the command `smidgen` runs."""
    try:
        app()
    except SmidgenError as error:
        typer.echo(f"smidgen: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            typer.echo("\nsmidgen: stopped; what was trained is kept, and the same line goes on from there", err=True)
        raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


# --- commands ---------------------------------------------------------------------------------


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"smidgen {smidgen.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


@app.command(
    epilog="Examples:\n\nsmidgen shrink mnist --floor 0.97\n\nsmidgen shrink photos/ --floor 0.9 --effort quick"
)
def shrink(
    data: DataArgument,
    floor: Annotated[str, typer.Option("--floor", help="The accuracy to hold, 0 to 1.")],
    rule: Annotated[
        str, typer.Option("--rule", help="wilson: the interval's lower end holds; rate: the rate.")
    ] = "wilson",
    effort: Annotated[str, typer.Option("--effort", help="quick, normal or thorough.")] = "normal",
    seed: Annotated[int, typer.Option("--seed", help="Of the search and of its trainings.")] = 0,
    split_seed: SplitOption = 0,
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write; default runs/DATA-FLOOR.")] = None,
    store: StoreOption = "",
    workers: WorkersOption = 0,
    engine: EngineOption = "auto",
) -> None:
    """Find the smallest network that holds an accuracy floor.

    Writes report.html, frontier.png, trials.csv, winner.safetensors and teacher.safetensors. Run the same
    line again and nothing is trained twice; stop it, and it goes on where it was.
    """
    from smidgen.records import Floor
    from smidgen.run_folder import write
    from smidgen.shrink import shrink as run

    wanted = Floor(_accuracy(floor), rule)
    folder = out or Path("runs") / f"{Path(data).stem}-{wanted.accuracy:g}"
    _check_writable(folder)
    dataset = _load(data, split_seed)
    with _bars() as progress, _opened(store) as memo:
        answer = run(
            dataset,
            wanted,
            effort=effort,
            seed=seed,
            store=memo,
            workers=workers or None,
            engine=engine,
            progress=progress,
        )
    report = write(answer, folder, shlex.join(["smidgen", *sys.argv[1:]]))
    _print_answer(answer, report, folder)


@app.command(epilog="Example:\n\nsmidgen sweep mnist --family cnn2 --widths 32,16,8,4,2,1 --seeds 3")
def sweep(
    data: DataArgument,
    family: Annotated[str, typer.Option("--family", help="mlp1, mlp2, cnn1 or cnn2.")] = "cnn2",
    widths: Annotated[str, typer.Option("--widths", help="Numbers with commas between.")] = "8,4,2,1",
    seeds: Annotated[int, typer.Option("--seeds", help="Trainings of each width.")] = 3,
    epochs: Annotated[int, typer.Option("--epochs", help="0 is the recipe's own.")] = 0,
    optimizer: Annotated[
        str, typer.Option("--optimizer", help="adam, sgd, nesterov, rmsprop, adadelta; one rate.")
    ] = "",
    split_seed: SplitOption = 0,
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write; default runs/DATA-FAMILY.")] = None,
    store: StoreOption = "",
    workers: WorkersOption = 0,
    engine: EngineOption = "auto",
) -> None:
    """Train one family at several widths: table, CSV, picture and turning point."""
    from smidgen.sweep import sweep as run
    from smidgen.sweep import write

    folder = out or Path("runs") / f"{Path(data).stem}-{family}"
    sizes = _numbers(widths, "--widths")
    _check_writable(folder)
    dataset = _load(data, split_seed)
    with _bars() as progress, _opened(store) as memo:
        result = run(
            dataset,
            family,
            sizes,
            seeds=seeds,
            recipe=_recipe(optimizer, epochs),
            store=memo,
            workers=workers or None,
            engine=engine,
            progress=progress,
        )
    write(result, folder)
    _print_sweep(result, folder)


@app.command(epilog='Examples:\n\nsmidgen show "conv 2x3x3 relu, maxpool 2, dense 10"\n\nsmidgen show cnn2 --width 2')
def show(
    network: Annotated[str, typer.Argument(help="A family's name, a network's text, or a .safetensors file.")],
    width: Annotated[int, typer.Option("--width", help="Of a family.")] = 2,
    input_shape: Annotated[str, typer.Option("--input", help="channels x height x width.")] = "1x28x28",
    classes: Annotated[int, typer.Option("--classes", help="Of a family.")] = 10,
) -> None:
    """Print a network's layers: shapes, parameters and their shares, multiply-accumulates, memory."""
    from smidgen.families import FAMILIES, family
    from smidgen.modelfile import load
    from smidgen.spec import parse_spec

    if network.endswith(".safetensors"):
        model = load(Path(network))
        spec, shape = model.spec, model.input_shape
    else:
        channels, height, columns = _numbers(input_shape, "--input", separator="x", count=3)
        spec = family(network, width, classes) if network in FAMILIES else parse_spec(network)
        shape = (channels, height, columns)
        spec.check_head(shape)
    _print_spec(spec, shape)


@app.command(epilog="Example:\n\nsmidgen predict runs/mnist-0.97/winner.safetensors digit.png")
def predict(
    model: Annotated[Path, typer.Argument(help="A network file, as shrink writes it.")],
    picture: Annotated[Path, typer.Argument(help="A PNG or JPEG file.")],
) -> None:
    """Classify a picture by a network file."""
    from smidgen.predict import predict as run

    prediction = run(model, picture)
    typer.echo(prediction.name)
    for name, probability in prediction.probabilities[:3]:
        typer.echo(f"  {100 * probability:5.1f} %  {name}")


@data_app.command("list", epilog="Example:\n\nsmidgen data list")
def data_list() -> None:
    """List the data sets that come by name, and which are here."""
    from smidgen.data import status

    table = _table("data set", "here", ">MB", "where")
    for row in status():
        table.add_row(row.name, "yes" if row.complete else "no", f"{row.size_bytes / 1e6:.1f}", str(row.folder))
    _console().print(table)


@data_app.command("fetch", epilog="Example:\n\nsmidgen data fetch mnist")
def data_fetch(name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or digits.")]) -> None:
    """Fetch a data set into the cache, checked by its SHA-256."""
    from smidgen.data import NAMES, fetch

    if name not in NAMES:
        raise RequestError(f"no data set '{name}' comes by name; use one of {', '.join(NAMES)}")
    for file, path in fetch(name, say=_say).items():
        typer.echo(f"{file}: {path}")


@data_app.command("show", epilog="Example:\n\nsmidgen data show fashion-mnist --out fashion.png")
def data_show(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", help="The picture to write.")] = Path("contact-sheet.png"),
    split_seed: SplitOption = 0,
) -> None:
    """Print what a data set holds, and write ten images of each class as a picture."""
    from smidgen.report.pictures import contact_sheet

    dataset = _load(data, split_seed)
    pictures = min(dataset.input_shape[1:]) > 1
    if pictures:
        try:
            contact_sheet(dataset.train.images, dataset.train.labels, dataset.class_names, out)
        except OSError as error:
            raise RequestError(f"cannot write {out}: {error.strerror or error}; give another --out") from error
    table = _table("split", ">images", "used for")
    uses = ("training", "choosing", "confirming the choice", "the report, once")
    splits = (dataset.train, dataset.selection, dataset.confirmation, dataset.test)
    for name, split, use in zip(("train", "selection", "confirmation", "test"), splits, uses, strict=True):
        table.add_row(name, f"{len(split):,}", use)
    console = _console()
    console.print(f"{dataset.name}: {'x'.join(map(str, dataset.input_shape))}, {dataset.classes} classes")
    console.print(table)
    console.print(f"digest {dataset.digest}")
    if pictures:
        console.print(f"picture {out}")


# --- what is printed --------------------------------------------------------------------------


def _print_answer(answer: Answer, report: RunReport, folder: Path) -> None:
    console = _console()
    console.print(f"\n[bold]{report.headline}[/bold]")
    console.print(f"{answer.winner.spec}")
    table = _table("", ">parameters", ">right", ">of", ">rate", "95 % interval")
    outcome, teacher = answer.outcome, answer.teacher.outcome
    _score_row(table, "chosen on", outcome.parameters, outcome.selection)
    _score_row(table, "confirmed on", outcome.parameters, outcome.confirmation)
    _score_row(table, "test, once", outcome.parameters, answer.test)
    _score_row(table, "its teacher, test", teacher.parameters, answer.teacher_test)
    console.print(table)
    seeds = len(answer.fresh)
    console.print(f"{answer.fresh_held} of {seeds} fresh seeds hold the floor on all validation images.")
    if answer.turning:
        turn = answer.turning
        console.print(f"Turning point: {turn.parameters:,} parameters ({turn.low:,} to {turn.high:,}).")
    console.print(
        f"{answer.trained} trainings, {answer.remembered} remembered, {answer.seconds:.1f} s; "
        f"{report.winner.file_bytes:,} bytes in full precision."
    )
    console.print(f"report {folder / 'report.html'}", soft_wrap=True)


def _score_row(table: Table, name: str, parameters: int, score: Score) -> None:
    low, high = score.interval()
    counts = (f"{parameters:,}", f"{score.correct:,}", f"{score.total:,}")
    table.add_row(name, *counts, f"{100 * score.rate:.2f} %", f"{100 * low:.2f} to {100 * high:.2f} %")


def _print_sweep(result: Sweep, folder: Path) -> None:
    from smidgen.sweep import mean_and_spread

    table = _table(">width", ">parameters", ">validation %", ">test %", ">± sd", ">seconds")
    for row in result.widths:
        (validation, _), (test, spread) = mean_and_spread(row.validation), mean_and_spread(row.test)
        seconds = sum(row.train_seconds) / len(row.train_seconds)
        rates = (f"{100 * validation:.2f}", f"{100 * test:.2f}", f"{100 * spread:.2f}")
        table.add_row(str(row.width), f"{row.parameters:,}", *rates, f"{seconds:.2f}")
    console = _console()
    console.print(f"{result.family} on {result.data.name}, {len(result.widths[0].test)} seeds a width")
    console.print(table)
    turn = result.turning
    console.print(
        f"Turning point: {turn.parameters:,} parameters ({turn.low:,} to {turn.high:,}), {turn.note}."
        if turn
        else "No turning point: the curve does not bend by more than its noise, or the largest still pays."
    )
    console.print(f"{result.trained} trainings, {result.remembered} remembered; {folder}/sweep.csv, sweep.png")


def _print_spec(spec: Any, shape: Any) -> None:
    plans, total = spec.plan(shape), spec.parameters(shape)
    table = _table("layer", "output", ">parameters", ">share", ">multiply-adds")
    table.add_row("input", "x".join(map(str, shape)), "", "", "")
    for plan in plans:
        share = f"{100 * plan.parameters / total:.1f} %" if plan.parameters else ""
        output = "x".join(map(str, plan.output_shape))
        table.add_row(
            str(plan.layer), output, f"{plan.parameters:,}" if plan.parameters else "", share, f"{plan.macs:,}"
        )
    console = _console()
    console.print(table)
    moments = sum(plan.moments for plan in plans)
    also = f" (and {moments:,} moments that are not trained)" if moments else ""
    size_bytes = 4 * (total + moments)
    console.print(f"{total:,} parameters{also}, {size_bytes:,} bytes = {size_bytes / 2**20:.3f} MiB as float32")
    console.print(
        f"{spec.macs(shape):,} multiply-adds an image; at most {spec.activation_count(shape):,} activations at once"
    )


def _console() -> Console:
    from rich.console import Console

    width = Console().width
    return Console(width=min(WIDTH, width) if sys.stdout.isatty() else WIDTH, highlight=False)


def _table(*heads: str) -> Table:
    """A table whose columns that begin with ">" are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head.lstrip(">"), justify="right" if head.startswith(">") else "left", overflow="fold")
    return table


class _Bars:
    """Stages as progress bars with the time left, on the terminal alone."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.task: Any = None

    def stage(self, name: str, total: float) -> None:
        if self.task is not None:
            self.bars.remove_task(self.task)
        self.task = self.bars.add_task(name, total=total or None)

    def advance(self, amount: float) -> None:
        self.bars.advance(self.task, amount)


@contextmanager
def _bars() -> Iterator[_Bars]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield _Bars(bars)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        typer.echo(text, err=True)


# --- what is read -----------------------------------------------------------------------------


def _accuracy(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RequestError(f"--floor {text} is not a number; give a share of 1, for example --floor 0.97") from None


def _numbers(text: str, option: str, separator: str = ",", count: int = 0) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(separator)]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1 or (count and len(numbers) != count):
        example = separator.join(("1", "28", "28") if count else ("8", "4", "2", "1"))
        raise RequestError(f"{option} {text} cannot be read; give whole numbers of at least 1, for example {example}")
    return numbers


def _recipe(optimizer: str, epochs: int) -> Any:
    """A recipe for all widths, or None for each width's own."""
    from smidgen.records import OPTIMIZERS, Recipe

    if not optimizer and not epochs:
        return None
    if not optimizer:
        return Recipe(epochs=epochs, learning_rate=0.01)
    rate = OPTIMIZERS[optimizer].learning_rate if optimizer in OPTIMIZERS else 1.0
    return Recipe(optimizer=optimizer, learning_rate=rate, schedule="constant", epochs=epochs or 12)


def _load(data: str, split_seed: int) -> Dataset:
    from smidgen.data import load

    return load(data, split_seed, say=_say)


@contextmanager
def _opened(store: str) -> Iterator[Store]:
    from smidgen.store import Store, default_path

    with Store(store or default_path()) as opened:
        yield opened


def _check_writable(folder: Path) -> None:
    """Before minutes of training: whether the results will have a place."""
    import os

    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise RequestError(
            f"cannot write to {folder}: {nearest} is not a folder that you may write to; give another --out"
        )
