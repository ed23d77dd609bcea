"""The public functions that describe: a network (`show`) and this installation (`doctor`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from smidgen.diagnosis import Diagnosis, diagnose
from smidgen.errors import SpecError
from smidgen.model import Model, open_model
from smidgen.spec import NetSpec, parse_spec
from smidgen.spec.families import NAMES as FAMILIES
from smidgen.spec.families import family
from smidgen.spec.summary import NetworkSummary
from smidgen.text_forms import optional_whole, whole_number, whole_numbers
from smidgen.trials.store import Store


def show(
    network: str | Path | Model | NetSpec,
    *,
    width: int | None = None,
    input: Sequence[int] | str = "1x28x28",
    classes: int = 10,
) -> NetworkSummary:
    """Describe a network: its layers, their shapes, parameters, multiply-accumulates and memory.

    Args:
        network: the name of a family, the text of a network, a network file, a `Model` or a `NetSpec`.
        width: width of a family or published network; None for 2, or for the published width.
        input: (channels, height, width) or "1x28x28"; a file and a `Model` have their own.
        classes: classes of a family.

    Raises:
        SpecError: the text cannot be read, or does not fit the input. ModelFileError: the file cannot be read.
    """
    if isinstance(network, str | Path) and str(network).endswith((".safetensors", ".smidgen")):
        network = open_model(Path(network))
    if isinstance(network, Model):
        return NetworkSummary(network.spec, network.input_shape, network.input)
    channels, height, columns = whole_numbers(input, "input", separator="x", count=3)
    spec = network if isinstance(network, NetSpec) else _spec_of(str(network), width, classes)
    spec.check_head((channels, height, columns))
    return NetworkSummary(spec, (channels, height, columns))


def doctor(*, store: Store | str | Path | None = None) -> Diagnosis:
    """Tell what this installation can do and where it keeps things: core, compiler, extras, cache, store.

    Args:
        store: path, database URL or `Store` that is looked at; it is made if there is none. A `Store` stays open.
    """
    return diagnose(store)


def _spec_of(text: str, width: int | None, classes: int) -> NetSpec:
    """The network of a family's name or of a text."""
    if text in FAMILIES:
        width = optional_whole(width, "width", "leave it out for 2, or for the published width")
        return family(text, width, whole_number(classes, "classes", "leave it out for 10"))
    try:
        return parse_spec(text)
    except SpecError as error:
        if re.fullmatch(r"\S*[.\d]\S*", text) and "," not in text:
            known = f"a family ({', '.join(FAMILIES)})"
            raise SpecError(
                f"'{text}' is neither a network file (.safetensors, .smidgen), {known} nor a network's text; "
                "give for example cnn2 or 'conv 2x3x3 relu, maxpool 2, dense 10'"
            ) from error
        raise
