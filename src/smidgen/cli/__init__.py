"""The command line: one command is one public function of the library.

Errors that Smidgen raises on purpose are printed without a traceback: exit 2 for a wrong request, 1 for a
run that failed, 130 for Ctrl-C, after which the same line goes on where it was.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import smidgen
from smidgen.cli import compress, files, reproduce, shrink
from smidgen.cli.options import (
    ClusterOption,
    DataArgument,
    EngineOption,
    SplitOption,
    StoreOption,
    WorkersOption,
    check_writable,
    load_data,
    numbers,
    opened,
    pool_of,
)
from smidgen.cli.screen import Lines, bars, console, table
from smidgen.errors import RequestError, SmidgenError

if TYPE_CHECKING:
    from smidgen.search.sweep import SweepResult

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

INTERRUPTED = 130
"""What Typer makes of Ctrl-C: an exit with this code, and no word about it."""

ENDING_SECONDS = 10
"""A run that was stopped has so long to end in good order, without hearing another Ctrl-C."""


def main() -> None:
    """What the command `smidgen` runs."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _once_in_a_while())
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


def _once_in_a_while() -> Callable[[int, object], None]:
    """Ctrl-C as Python takes it, but for those that come while an earlier one is being obeyed."""
    last = -math.inf

    def heard(_signal: int, _frame: object) -> None:
        nonlocal last
        if time.monotonic() - last > ENDING_SECONDS:
            last = time.monotonic()
            raise KeyboardInterrupt

    return heard


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


app.command(epilog=shrink.EPILOG)(shrink.shrink)
app.command(epilog=compress.EPILOG)(compress.compress)
app.command(epilog=reproduce.EPILOG)(reproduce.reproduce)
app.command(epilog=files.INSPECT_EPILOG)(files.inspect)
app.command(epilog=files.UNPACK_EPILOG)(files.unpack)
app.command(epilog=files.EXPORT_EPILOG)(files.export)


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
    cluster: ClusterOption = "",
    engine: EngineOption = "auto",
) -> None:
    """Train one family at several widths: table, CSV, picture and turning point."""
    from smidgen.report.sweep_folder import write_sweep
    from smidgen.search.sweep import sweep as run

    folder = out or Path("runs") / f"{Path(data).stem}-{family}"
    sizes = numbers(widths, "--widths")
    check_writable(folder)
    dataset = load_data(data, split_seed)
    with bars() as reporter, opened(store) as memo, pool_of(cluster) as pool:
        result = run(
            dataset,
            family,
            sizes,
            seeds=seeds,
            recipe=_recipe(optimizer, epochs),
            store=memo,
            workers=workers or None,
            engine=engine,
            reporter=reporter,
            pool=pool,
        )
    write_sweep(result, folder)
    _print_sweep(result, folder)


@app.command(epilog='Examples:\n\nsmidgen show "conv 2x3x3 relu, maxpool 2, dense 10"\n\nsmidgen show cnn2 --width 2')
def show(
    network: Annotated[str, typer.Argument(help="A family's name, a network's text, or a network file.")],
    width: Annotated[int, typer.Option("--width", help="Of a family.")] = 2,
    input_shape: Annotated[str, typer.Option("--input", help="channels x height x width.")] = "1x28x28",
    classes: Annotated[int, typer.Option("--classes", help="Of a family.")] = 10,
) -> None:
    """Print a network's layers: shapes, parameters and their shares, multiply-accumulates, memory."""
    from smidgen.model import open_model
    from smidgen.spec import parse_spec
    from smidgen.spec.families import FAMILIES, family

    if network.endswith((".safetensors", ".smidgen")):
        model = open_model(Path(network))
        spec, shape = model.spec, model.input_shape
    else:
        channels, height, columns = numbers(input_shape, "--input", separator="x", count=3)
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
    from smidgen.predictor import predict as run

    prediction = run(model, picture)
    typer.echo(prediction.name)
    for name, probability in prediction.probabilities[:3]:
        typer.echo(f"  {100 * probability:5.1f} %  {name}")


@data_app.command("list", epilog="Example:\n\nsmidgen data list")
def data_list() -> None:
    """List the data sets that come by name, and which are here."""
    from smidgen.data import status

    rows = table("data set", "here", ">MB", "where")
    for row in status():
        rows.add_row(row.name, "yes" if row.complete else "no", f"{row.size_bytes / 1e6:.1f}", str(row.folder))
    console().print(rows)


@data_app.command("fetch", epilog="Example:\n\nsmidgen data fetch mnist")
def data_fetch(name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or digits.")]) -> None:
    """Fetch a data set into the cache, checked by its SHA-256."""
    from smidgen.data import NAMES, fetch

    if name not in NAMES:
        raise RequestError(f"no data set '{name}' comes by name; use one of {', '.join(NAMES)}")
    for file, path in fetch(name, reporter=Lines()).items():
        typer.echo(f"{file}: {path}")


@data_app.command("show", epilog="Example:\n\nsmidgen data show fashion-mnist --out fashion.png")
def data_show(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", help="The picture to write.")] = Path("contact-sheet.png"),
    split_seed: SplitOption = 0,
) -> None:
    """Print what a data set holds, and write ten images of each class as a picture."""
    from smidgen.report.plots import contact_sheet

    dataset = load_data(data, split_seed)
    pictures = min(dataset.input_shape[1:]) > 1
    if pictures:
        try:
            contact_sheet(dataset.train.images, dataset.train.labels, dataset.class_names, out)
        except OSError as error:
            raise RequestError(f"cannot write {out}: {error.strerror or error}; give another --out") from error
    rows = table("split", ">images", "used for")
    uses = ("training", "choosing", "confirming the choice", "the report, once")
    splits = (dataset.train, dataset.selection, dataset.confirmation, dataset.test)
    for name, split, use in zip(("train", "selection", "confirmation", "test"), splits, uses, strict=True):
        rows.add_row(name, f"{len(split):,}", use)
    screen = console()
    screen.print(f"{dataset.name}: {'x'.join(map(str, dataset.input_shape))}, {dataset.classes} classes")
    screen.print(rows)
    screen.print(f"digest {dataset.digest}")
    if pictures:
        screen.print(f"picture {out}")


# --- what is printed --------------------------------------------------------------------------


def _print_sweep(result: SweepResult, folder: Path) -> None:
    from smidgen.search.sweep import mean_and_spread

    rows = table(">width", ">parameters", ">validation %", ">test %", ">± sd", ">seconds")
    for row in result.widths:
        (validation, _), (test, spread) = mean_and_spread(row.validation), mean_and_spread(row.test)
        seconds = sum(row.train_seconds) / len(row.train_seconds)
        rates = (f"{100 * validation:.2f}", f"{100 * test:.2f}", f"{100 * spread:.2f}")
        rows.add_row(str(row.width), f"{row.parameters:,}", *rates, f"{seconds:.2f}")
    screen = console()
    screen.print(f"{result.family} on {result.data.name}, {len(result.widths[0].test)} seeds a width")
    screen.print(rows)
    turn = result.turning_point
    screen.print(
        f"Turning point: {turn.parameters:,} parameters ({turn.low:,} to {turn.high:,}), {turn.note}."
        if turn
        else "No turning point: the curve does not bend by more than its noise, or the largest still pays."
    )
    engines = ", ".join(dict.fromkeys(row.engine for row in result.widths))
    screen.print(f"{result.trained} trainings, {result.remembered} remembered; engine {engines}")
    screen.print(f"{folder}/sweep.csv, sweep.png")


def _print_spec(spec: Any, shape: Any) -> None:
    plans, total = spec.plan(shape), spec.parameters(shape)
    rows = table("layer", "output", ">parameters", ">share", ">multiply-adds")
    rows.add_row("input", "x".join(map(str, shape)), "", "", "")
    for plan in plans:
        share = f"{100 * plan.parameters / total:.1f} %" if plan.parameters else ""
        output = "x".join(map(str, plan.output_shape))
        rows.add_row(
            str(plan.layer), output, f"{plan.parameters:,}" if plan.parameters else "", share, f"{plan.macs:,}"
        )
    screen = console()
    screen.print(rows)
    running_stats = sum(plan.running_stats for plan in plans)
    also = f" (and {running_stats:,} moments that are not trained)" if running_stats else ""
    size_bytes = 4 * (total + running_stats)
    screen.print(f"{total:,} parameters{also}, {size_bytes:,} bytes = {size_bytes / 2**20:.3f} MiB as float32")
    screen.print(
        f"{spec.macs(shape):,} multiply-adds an image; at most {spec.activation_count(shape):,} activations at once"
    )


# --- what is read -----------------------------------------------------------------------------


def _recipe(optimizer: str, epochs: int) -> Any:
    """A recipe for all widths, or None for each width's own."""
    from smidgen.records import OPTIMIZERS, Recipe

    if not optimizer and not epochs:
        return None
    if not optimizer:
        return Recipe(epochs=epochs, learning_rate=0.01)
    rate = OPTIMIZERS[optimizer].learning_rate if optimizer in OPTIMIZERS else 1.0
    return Recipe(optimizer=optimizer, learning_rate=rate, schedule="constant", epochs=epochs or 12)
