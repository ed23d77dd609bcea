"""`smidgen sweep`: its options and its output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from smidgen.cli import json_forms
from smidgen.cli.options import (
    RUN,
    ClassesOption,
    ClusterOption,
    DataArgument,
    DropOption,
    EngineOption,
    GroupOption,
    LabelOption,
    LayoutOption,
    ResizeOption,
    SplitOption,
    StepOption,
    StoreOption,
    TimeOption,
    WindowOption,
    WorkersOption,
    option,
)
from smidgen.cli.output import bars, emit
from smidgen.cli.screen import console, table
from smidgen.extras import NO_PICTURES, can_draw
from smidgen.text_forms import counted

if TYPE_CHECKING:
    from smidgen.search.sweep import SweepResult

EPILOG = "Example:\n\nsmidgen sweep mnist --family cnn2 --widths 32,16,8,4,2,1 --seeds 3"


def sweep(
    data: DataArgument,
    family: Annotated[
        str, option("--family", "mlp1, mlp2, cnn1, cnn2, ds-cnn, resnet8, mobilenet-0.25, tcn.")
    ] = "cnn2",
    widths: Annotated[str, option("--widths", "Widths to train, separated by commas.")] = "8,4,2,1",
    seeds: Annotated[int, option("--seeds", "Trainings of each width.")] = 3,
    epochs: Annotated[int | None, option("--epochs", "Epochs; default: as each width's recipe says.")] = None,
    optimizer: Annotated[
        str | None,
        option(
            "--optimizer",
            "adam, adam-keras, sgd, nesterov, rmsprop or adadelta, at a constant rate; default: one-cycle.",
        ),
    ] = None,
    label: LabelOption = "",
    drop: DropOption = None,
    classes: ClassesOption = None,
    layout: LayoutOption = "",
    group_column: GroupOption = "",
    window: WindowOption = None,
    step: StepOption = None,
    time_column: TimeOption = "",
    resize: ResizeOption = None,
    split_seed: SplitOption = 0,
    out: Annotated[Path | None, option("--out", "The folder to write; default: runs/DATA-FAMILY.", RUN)] = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    engine: EngineOption = "auto",
) -> None:
    """Train one family of networks at several widths: table, CSV, picture and turning point."""
    from smidgen import api

    with bars() as reporter:
        result = api.sweep(
            data, family=family, widths=widths, seeds=seeds, epochs=epochs, optimizer=optimizer, label=label,
            drop=drop, classes=classes, layout=layout, group_column=group_column, window=window, step=step,
            time_column=time_column, resize=resize, split_seed=split_seed,
            out=out or True, store=store, workers=workers, cluster=cluster, engine=engine, reporter=reporter,
        )  # fmt: skip
    emit(result, print_sweep, json_forms.swept)


def print_sweep(result: SweepResult) -> None:
    """Print a table of the widths, and the turning point."""
    from smidgen.search.sweep import mean_and_spread

    rows = table(">width", ">parameters", ">validation %", ">test %", ">± sd", ">seconds")
    for row in result.widths:
        (validation, _), (test, spread) = mean_and_spread(row.validation), mean_and_spread(row.test)
        seconds = sum(row.train_seconds) / len(row.train_seconds)
        rates = (f"{100 * validation:.2f}", f"{100 * test:.2f}", f"{100 * spread:.2f}")
        rows.add_row(str(row.width), f"{row.parameters:,}", *rates, f"{seconds:.2f}")
    screen = console()
    screen.print(result.headline)
    screen.print(rows)
    turn = result.turning_point
    screen.print(
        f"Turning point: {turn.parameters:,} parameters ({turn.low:,} to {turn.high:,}), {turn.note}."
        if turn
        else "No turning point: the curve does not bend by more than its noise, or the largest network still gains."
    )
    engines = ", ".join(dict.fromkeys(row.engine for row in result.widths))
    screen.print(f"{counted(result.trained, 'training')}, {result.remembered} remembered; engine {engines}")
    screen.print(f"{result.written_to}/sweep.csv{', sweep.png' if can_draw() else ''}", soft_wrap=True)
    if not can_draw():
        screen.print(NO_PICTURES)
