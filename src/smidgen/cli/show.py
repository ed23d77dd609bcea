"""`smidgen show`: its options and its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from smidgen.cli import json_forms
from smidgen.cli.options import option
from smidgen.cli.output import emit
from smidgen.cli.screen import console, table

if TYPE_CHECKING:
    from smidgen.spec.summary import NetworkSummary

EPILOG = 'Examples:\n\nsmidgen show "conv 2x3x3 relu, maxpool 2, dense 10"\n\nsmidgen show cnn2 --width 2'

LEAST_MEBIBYTES = 0.1
"""Smaller sizes are printed in bytes alone."""


def show(
    network: Annotated[str, typer.Argument(help="A family or published network, the text of a network, or a file.")],
    width: Annotated[int | None, option("--width", "Width of a family (2 unless given) or published network.")] = None,
    input: Annotated[str, option("--input", "Channels x height x width of the input; a file has its own.")] = "1x28x28",
    classes: Annotated[int, option("--classes", "Classes of a family.")] = 10,
) -> None:
    """Print a network's layers: shapes, parameters and their shares, multiply-accumulates, memory."""
    from smidgen import api

    emit(api.show(network, width=width, input=input, classes=classes), print_summary, json_forms.summarized)


def print_summary(network: NetworkSummary) -> None:
    """Print a table of the layers, and the totals."""
    rows = table("layer", "output", ">parameters", ">share", ">multiply-adds")
    rows.add_row("input", "x".join(map(str, network.input_shape)), "", "", "")
    for plan in network.spec.plan(network.input_shape):
        counts = (f"{plan.parameters:,}", f"{100 * plan.parameters / network.parameters:.1f} %")
        output = "x".join(map(str, plan.output_shape))
        rows.add_row(str(plan.layer), output, *(counts if plan.parameters else ("", "")), f"{plan.macs:,}")
    screen, stats = console(), network.running_stats
    screen.print(rows)
    also = f" (and {stats:,} running statistics that are not trained)" if stats else ""
    size = f"{network.size_bytes:,} bytes"
    if network.size_bytes >= LEAST_MEBIBYTES * 2**20:
        size += f" = {network.size_bytes / 2**20:.3f} MiB"
    screen.print(f"{network.parameters:,} parameters{also}, {size} as float32")
    if network.input.is_stated:
        screen.print(f"reads a {network.input}")
    screen.print(f"{network.macs:,} multiply-adds an example; at most {network.activations:,} activations at once")
