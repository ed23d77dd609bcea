"""The public functions that turn network files into other files: `export` and `import_model`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smidgen import arguments, places
from smidgen.arguments import Data
from smidgen.data import ReadOptions
from smidgen.errors import RequestError
from smidgen.exporters import Export
from smidgen.exporters import export as write_export
from smidgen.importers import Imported, import_network
from smidgen.places import Out
from smidgen.reporter import Reporter
from smidgen.text_forms import path_of


def export(
    file: str | Path,
    *,
    to: str,
    form: str | None = None,
    entry: str | None = None,
    data: Data | None = None,
    label: str = "",
    drop: Sequence[str] | None = None,
    classes: Sequence[str] | str | None = None,
    layout: str = "",
    group_column: str = "",
    window: int | None = None,
    step: int | None = None,
    time_column: str = "",
    resize: Sequence[int] | str | None = None,
    split_seed: int = 0,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Export:
    """Write a network file in another program's format; with `data`, run the result on the test images.

    Args:
        file: a .smidgen or .safetensors file.
        to: "onnx", "tflite", "c", "arduino", "js", "html" or "safetensors".
        form: how C stores the weights: "float", "levels", "levels4", "coded" or "integer"; None is "levels". Of
            "tflite" "float", the default, or "int8". Other targets take no form.
        entry: the type of the numbers that C takes, in your units: "float", "int16" (as an ADC counts) or "uint8"; None
            is "uint8" for images in bytes, else "float".
        data: what the network was trained on: name, path, `Dataset` or arrays (X, y), whose test images the export must
            classify as the network does. The C form "integer" also calibrates on its training split. None proves
            nothing.
        label: column of a table that has the labels; "" finds it.
        drop: columns of a table to leave out.
        classes: names of the classes in the order of the outputs: ("low", "high") or "low,high".
        layout: axes of an example, "time-channels" or another of `smidgen.data.layout.LAYOUTS`; "" finds them.
        group_column: column that names each row's group; rows of one group stay in one split.
        window: rows of a table in long form that make one window of a signal; None: each row is an example.
        step: rows from the begin of one window to that of the next; None: windows follow one another.
        time_column: column of a table in long form that has the times; "": rows are in order.
        resize: (height, width) to which the pictures of a folder are brought.
        split_seed: seed of the split that the network was trained on.
        out: the file to write, which is replaced if it exists; None: beside `file`, with the target's suffix. For C a
            name that ends in .h makes a single header.
        reporter: is told how the data was understood.

    Returns:
        The file that was written, and what was found when it was run.

    Raises:
        RequestError: the target or form is unknown, the data or the form do not fit the network's input, an option of
            data is given without `data`, or the target is `file` itself or, without `out`, a file that no export wrote.
        ModelFileError: `file` cannot be read or the target cannot be written.
        RunError: the export gives an image another class than the decoded network does. The C form "integer"
            rounds, so its differences are counted and not an error.
    """
    reading = ReadOptions.of(resize, group_column, label, drop, classes, window, step, time_column, layout)
    dataset = arguments.optional_dataset(data, split_seed=split_seed, reading=reading, reporter=reporter)
    return write_export(file, to=to, form=form, entry=entry, data=dataset, out=out, reporter=reporter)


def import_model(
    file: str | Path,
    *,
    data: Data | None = None,
    label: str = "",
    drop: Sequence[str] | None = None,
    classes: Sequence[str] | str | None = None,
    layout: str = "",
    group_column: str = "",
    window: int | None = None,
    step: int | None = None,
    time_column: str = "",
    resize: Sequence[int] | str | None = None,
    split_seed: int = 0,
    out: Out = None,
    reporter: Reporter | None = None,
) -> Imported:
    """Import a network that another program trained, and compare its outputs with the original's.

    `compress`, `show`, `predict` and `export` then take it.

    Args:
        file: an .onnx or .keras file.
        data: data whose test images both networks are given; None for random inputs from 0 to 1.
        label: column of a table that has the labels; "" finds it.
        drop: columns of a table to leave out.
        classes: names of the classes in the order of the outputs: ("low", "high") or "low,high".
        layout: axes of an example, "time-channels" or another of `smidgen.data.layout.LAYOUTS`; "" finds them.
        group_column: column that names each row's group; rows of one group stay in one split.
        window: rows of a table in long form that make one window of a signal; None: each row is an example.
        step: rows from the begin of one window to that of the next; None: windows follow one another.
        time_column: column of a table in long form that has the times; "": rows are in order.
        resize: (height, width) to which the pictures of a folder are brought.
        split_seed: seed of the split.
        out: the file to write, .smidgen or .safetensors; True: beside the file, where nothing is replaced; None: none.
        reporter: is told how the data was understood.

    Returns:
        The network, how it compares with the original, and what was written.

    Raises:
        RequestError: the file has a layer that the spec language has not, which the message names, or an option of data
            is given without `data`.
        ModelFileError: the file is damaged, or `out` cannot be written.
        RunError: the imported network computes something else than the original.
    """
    path = path_of(file, "file")
    reading = ReadOptions.of(resize, group_column, label, drop, classes, window, step, time_column, layout)
    dataset = arguments.optional_dataset(data, split_seed=split_seed, reading=reading, reporter=reporter)
    default = path.with_suffix(".safetensors")
    if out is True and default.exists():
        raise RequestError(f"{default} exists and would be replaced; give another name by --out")
    return import_network(path, dataset, places.folder_of(out, default))
