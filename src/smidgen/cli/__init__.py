"""The command line: each command calls one public function of `smidgen.api` and prints what it returns.

Errors that Smidgen raises on purpose are printed without a traceback; `smidgen.errors` has the table of exit codes.
After Ctrl-C the same line continues where it stopped.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer

import smidgen
from smidgen.cli import compress, data, doctor, files, importing, predict, reproduce, show, shrink, sweep
from smidgen.cli.output import with_output
from smidgen.errors import INTERRUPTED, SmidgenError
from smidgen.foreign_text import shown

app = typer.Typer(
    help="Find the smallest neural network that meets your accuracy floor.",
    epilog="Exit codes: 0 success, 1 failure, 2 wrong request, 3 no network meets the floor, 130 Ctrl-C.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="List, fetch and look at data sets.", no_args_is_help=True)

ENDING_SECONDS = 10
"""For so long after Ctrl-C, while a run ends in good order, further ones are ignored."""


def main() -> None:
    """Run the command `smidgen`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_once())
    try:
        app()
    except SmidgenError as error:
        typer.echo(f"smidgen: {shown(error)}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Typer turns Ctrl-C into this exit and prints nothing.
        if end.code == INTERRUPTED:
            typer.echo("\nsmidgen: stopped; every finished training is kept: run the same line to continue", err=True)
        raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


def _interrupt_once() -> Callable[[int, object], None]:
    """Return a handler that raises KeyboardInterrupt and ignores repeats for ENDING_SECONDS."""
    last = -math.inf

    def handle(_signal: int, _frame: object) -> None:
        nonlocal last
        if time.monotonic() - last > ENDING_SECONDS:
            last = time.monotonic()
            raise KeyboardInterrupt

    return handle


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


app.command(epilog=shrink.EPILOG)(with_output(shrink.shrink))
app.command(epilog=compress.EPILOG)(with_output(compress.compress))
app.command(epilog=sweep.EPILOG)(with_output(sweep.sweep))
app.command(epilog=predict.EPILOG)(with_output(predict.predict))
app.command(epilog=show.EPILOG)(with_output(show.show))
app.command(epilog=files.INSPECT_EPILOG)(with_output(files.inspect))
app.command(epilog=files.UNPACK_EPILOG)(with_output(files.unpack))
app.command(epilog=files.EXPORT_EPILOG)(with_output(files.export))
app.command("import", epilog=importing.EPILOG)(with_output(importing.import_))
app.command(epilog=reproduce.EPILOG)(with_output(reproduce.reproduce))
app.command(epilog=doctor.EPILOG)(with_output(doctor.doctor))
app.add_typer(data_app, name="data")
data_app.command("list", epilog=data.LIST_EPILOG)(with_output(data.list_))
data_app.command("fetch", epilog=data.FETCH_EPILOG)(with_output(data.fetch))
data_app.command("show", epilog=data.SHOW_EPILOG)(with_output(data.show))
