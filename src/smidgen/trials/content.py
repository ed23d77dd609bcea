"""What trials need, as bytes with a name: sent by a coordinator, kept in a folder by workers.

The name is the SHA-256 of the bytes, and the same things give the same bytes, so content is sent to a worker once.
Each piece is one safetensors file: a data set without its test split, a teacher's logits, or where a training starts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen import environment
from smidgen.atomic_files import write_whole
from smidgen.data import Dataset, Split
from smidgen.engine import Projection, Start
from smidgen.spec import InputSpec

Arrays = dict[str, npt.NDArray[Any]]
Facts = dict[str, Any]

CACHE_BYTES = 2_000_000_000
"""Limit on a worker's folder of content: the newest files are kept, and always the last one."""

_SPLITS = ("train", "selection", "confirmation")


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- the folder ------------------------------------------------------------------------------


def keep(digest: str, content: bytes) -> None:
    """Write content into the folder of the cache; if that fails, nothing is kept."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{digest}.safetensors", content)
        _drop_oldest(folder)
    except OSError:
        pass


def kept(digest: str) -> bytes | None:
    """Read content from the folder of the cache; None if it is missing or damaged."""
    try:
        content = (_folder() / f"{digest}.safetensors").read_bytes()
    except OSError:
        return None
    return content if digest_of(content) == digest else None


def _drop_oldest(folder: Path) -> None:
    sizes = {file: file.stat() for file in folder.iterdir()}
    total = 0
    for number, file in enumerate(sorted(sizes, key=lambda file: sizes[file].st_mtime, reverse=True)):
        total += sizes[file].st_size
        if number and total > CACHE_BYTES:
            file.unlink(missing_ok=True)


def _folder() -> Path:
    return environment.cache_directory() / "content"


# --- things <-> bytes ------------------------------------------------------------------------


def pack(arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> bytes:
    """Encode arrays and JSON-able facts as one safetensors file."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return bytes(save(contiguous, {"facts": json.dumps(facts, sort_keys=True)}))


def unpack(content: bytes) -> tuple[Arrays, Facts]:
    """Decode `pack`."""
    from safetensors.numpy import load

    length = int.from_bytes(content[:8], "little")
    facts: Facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["facts"])
    return load(content), facts


def pack_dataset(data: Dataset) -> bytes:
    """Encode a data set without its test split, in which candidates take no part."""
    splits = {name: getattr(data, name) for name in _SPLITS}
    images = {f"{name} images": split.images for name, split in splits.items()}
    labels = {f"{name} labels": split.labels for name, split in splits.items()}
    facts = {"name": data.name, "classes": data.class_names, "split_seed": data.split_seed, "digest": data.digest}
    facts["input"] = data.input.to_json()
    return pack(images | labels, facts)


def to_dataset(arrays: Arrays, facts: Facts) -> Dataset:
    """Decode `pack_dataset`; the test split is empty."""
    train, selection, confirmation = (Split(arrays[f"{name} images"], arrays[f"{name} labels"]) for name in _SPLITS)
    no_test = Split(train.images[:0], train.labels[:0])
    names, seed, read_as = tuple(facts["classes"]), facts["split_seed"], InputSpec.from_json(facts["input"])
    return Dataset(facts["name"], names, train, selection, confirmation, no_test, seed, facts["digest"], input=read_as)


def pack_logits(logits: npt.NDArray[np.float32]) -> bytes:
    """Encode a teacher's logits."""
    return pack({"logits": logits}, {})


def to_logits(arrays: Arrays, _: Facts) -> npt.NDArray[np.float32]:
    """Decode `pack_logits`."""
    return arrays["logits"]


def pack_start(start: Start) -> bytes:
    """Encode first weights and the constraints on them."""
    arrays: Arrays = {"weights": start.weights}
    arrays |= {name: array for name in ("fixed", "tied") if (array := getattr(start, name)) is not None}
    facts: Facts = {}
    if projection := start.projection:
        arrays["codebook"] = projection.codebook
        arrays |= {f"levels {book}": levels for book, levels in enumerate(projection.levels)}
        arrays |= {f"costs {book}": costs for book, costs in enumerate(projection.costs or ())}
        facts = {"books": len(projection.levels), "costs": projection.costs is not None}
    return pack(arrays, facts)


def to_start(arrays: Arrays, facts: Facts) -> Start:
    """Decode `pack_start`."""
    projection = None
    if facts:
        levels, costs = (
            tuple(arrays[f"{what} {book}"] for book in range(facts["books"]) if f"{what} {book}" in arrays)
            for what in ("levels", "costs")
        )
        projection = Projection(arrays["codebook"], levels, costs if facts["costs"] else None)
    return Start(arrays["weights"], arrays.get("fixed"), arrays.get("tied"), projection)
