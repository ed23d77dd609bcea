"""`smidgen predict`: its options and its output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smidgen.cli.options import EngineOption
from smidgen.foreign_text import shown

EPILOG = "Example:\n\nsmidgen predict runs/mnist-0.97/winner.safetensors digit.png"


def predict(
    model: Annotated[Path, typer.Argument(help="A .smidgen or .safetensors file.")],
    picture: Annotated[Path, typer.Argument(help="A PNG or JPEG file.")],
    engine: EngineOption = "auto",
) -> None:
    """Classify a picture with a network file."""
    from smidgen import api

    prediction = api.predict(model, picture, engine=engine)
    typer.echo(shown(prediction.name))
    for name, probability in prediction.probabilities[:3]:
        typer.echo(f"  {100 * probability:5.1f} %  {shown(name)}")
