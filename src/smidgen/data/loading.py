"""Data sets from published names, files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from smidgen.data.build import build
from smidgen.data.cache import cached_files
from smidgen.data.dataset import Dataset
from smidgen.data.published import NAMES, PUBLISHED
from smidgen.data.readers import NO_OPTIONS, READERS, Contents, Raw, ReadOptions, read
from smidgen.data.readers.csv import read_csv
from smidgen.data.readers.idx import read_idx_folder
from smidgen.errors import DataError
from smidgen.reporter import Reporter


def load(
    name_or_path: str | Path,
    split_seed: int = 0,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    *,
    resize: Sequence[int] | str | None = None,
    group_column: str = "",
    label: str = "",
    drop: Sequence[str] | None = None,
    classes: Sequence[str] | str | None = None,
    window: int | None = None,
    step: int | None = None,
    time_column: str = "",
    layout: str = "",
) -> Dataset:
    """Load a published data set by name (one of `NAMES`), or a file or folder of your own.

    Args:
        name_or_path: A name that is also a file here means the published data set; write `./mnist` for the file.
        split_seed: The seed of the cuts.
        cache: Where published data sets are kept; None is SMIDGEN_CACHE, else the user's own cache.
        reporter: It is told which files are fetched from where.
        resize: (height, width) or "32x32", in pixels, to which the images of a folder are resized.
        group_column: The column, or the array of a .npz file, with the group of each row; images of one group stay in
            one split.
        label: The column of a table with the labels; "" finds it.
        drop: Columns of a table to leave out.
        classes: The names of the classes in the order of the outputs: ("low", "high") or "low,high".
        window: Rows of a table in long form that make one window of a signal; None: each row is an example.
        step: Rows from the begin of one window to that of the next; None: windows follow one another.
        time_column: The column of a table in long form that has the times; "" if rows are in order.
        layout: The axes of an example, "time-channels" or another of `smidgen.data.layout.LAYOUTS`; "" finds them.

    Raises:
        DataError: The data is not found, not readable, or does not fit a classifier; the message says what to do.
    """
    options = ReadOptions.of(resize, group_column, label, drop, classes, window, step, time_column, layout)
    return load_with(name_or_path, options, split_seed, cache, reporter)


def load_with(
    name_or_path: str | Path,
    options: ReadOptions,
    split_seed: int = 0,
    cache: Path | None = None,
    reporter: Reporter | None = None,
) -> Dataset:
    """Load as `load` does, with the options in one object."""
    if isinstance(name_or_path, str) and name_or_path in PUBLISHED:
        if options != NO_OPTIONS:
            raise DataError(
                f"{name_or_path} is a published data set and is used as it is; {options.given} is for files and "
                "folders of your own"
            )
        contents = _published(name_or_path, cache, reporter)
        return build(name_or_path, contents, split_seed, PUBLISHED[name_or_path].class_names)
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, str) and _is_name(name_or_path) and not (name_or_path and path.exists()):
        raise DataError(unknown_name(name_or_path))
    name = path.resolve().name if path.is_dir() else path.stem
    contents = read(path, options)
    contents = replace(contents, layout=options.layout or contents.layout)
    return build(name, contents, split_seed, order=options.classes)


def unknown_name(name: str) -> str:
    """The message of an error about a name that is neither published nor a file or folder."""
    near = get_close_matches(name.lower(), NAMES, n=1, cutoff=0.5)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return (
        f"no data set '{name}'{hint} and no file or folder of that name; known: {', '.join(NAMES)}; "
        f"or give the path of a folder or of a file ending in {', '.join(READERS)}"
    )


def _published(name: str, cache: Path | None, reporter: Reporter | None) -> Contents:
    paths = cached_files(name, cache, reporter)
    if name != "digits":
        return read_idx_folder(next(iter(paths.values())).parent)
    table = read_csv(paths["digits.csv"], ReadOptions(label="65")).train
    # scikit-learn's values are whole numbers from 0 to 16.
    return Contents(Raw(np.rint(table.images * 255 / 16).reshape(-1, 8, 8), table.labels))


def _is_name(text: str) -> bool:
    return Path(text).name == text and not Path(text).suffix
