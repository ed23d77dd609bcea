"""Examples without labels, for a network that is trained: the rows of a table, an array, the pictures of a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from smidgen.data.readers.base import Array, ReadOptions
from smidgen.data.readers.columns import Table, column, label_by_name, numbers_the_rows
from smidgen.data.readers.csv import csv_table
from smidgen.data.readers.image_folder import is_image
from smidgen.data.readers.npz import npz_arrays
from smidgen.data.readers.parquet import parquet_table
from smidgen.data.readers.table import features_of
from smidgen.errors import DataError

ARRAY_NAMES = ("x", "x_test", "images", "inputs")
"""Names, in lower case, of the array of examples in a .npz file that has several."""
MOST_NAMES = 12


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures of a folder and of the folders in it, in the order of their paths.

    Raises:
        DataError: There is none.
    """
    found = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    pictures = sorted(path for path in found if is_image(path))
    if not pictures:
        raise DataError(f"{folder} has no pictures; give a folder with .png, .jpg, .bmp, .webp or .tif files")
    return pictures


def array_of(path: Path) -> Array:
    """Read the examples of a .npz file: its only array, or the one that is called X, x_test, images or inputs.

    Raises:
        DataError: The file is damaged, or no array is told from the others.
    """
    arrays = npz_arrays(path)
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    found = [array for wanted in ARRAY_NAMES for name, array in arrays.items() if name.lower() == wanted]
    if not found:
        raise DataError(f"{path} has {', '.join(arrays) or 'no array'}, and none is called X; name the examples X")
    return found[0]


def rows_of(path: Path, count: int, drop: Sequence[str]) -> Array:
    """Read the features of a .csv, .tsv or .parquet file, in the order of its columns: float64 [n, count].

    A column that is named as a label, or that only numbers the rows, is no feature.

    Raises:
        DataError: There are more or fewer features than the network reads, or a field is no number.
    """
    is_parquet = path.suffix.lower() == ".parquet"
    table = parquet_table(path) if is_parquet else csv_table(path, ReadOptions(drop=tuple(drop)))[0]
    places = _feature_places(table, drop)
    if len(places) != count:
        raise DataError(_wrong_count(table, places, count))
    return features_of(table, places)


def _feature_places(table: Table, drop: Sequence[str]) -> list[int]:
    dropped = {column(table.path, table.names, name, "--drop") for name in drop}
    kept = ["" if place in dropped else name for place, name in enumerate(table.names)]
    label = label_by_name(table.path, kept)
    return [
        place
        for place, name in enumerate(table.names)
        if place not in dropped
        and place != label
        and name not in table.index
        and not numbers_the_rows(name, table.columns[place])
    ]


def _wrong_count(table: Table, places: Sequence[int], count: int) -> str:
    names = [table.names[place] for place in places]
    shown = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    remedy = "leave columns out by --drop" if len(names) > count else "give the columns that it was trained on"
    return f"{table.path} has {len(names)} features ({shown}) and the network reads {count}; {remedy}"
