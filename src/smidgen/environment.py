"""Every environment variable that Smidgen reads.

| variable                  | meaning                                                | default                     |
|---------------------------|--------------------------------------------------------|-----------------------------|
| `SMIDGEN_STORE`           | where trials are remembered: a file or a database URL  | `store.sqlite` in the cache |
| `SMIDGEN_CACHE`           | the cache: store, downloads, data sent to workers      | `$XDG_CACHE_HOME/smidgen`   |
| `XDG_CACHE_HOME`          | the folder of all caches of the user                   | `~/.cache`                  |
| `SMIDGEN_DATA`            | a folder with data sets that need no download          | none                        |
| `SMIDGEN_MEMORY`          | most memory for the values of a data set, as 8GB       | half of the memory          |
| `SMIDGEN_INSTRUCTION_SET` | kernels of the native core: v2, v3, v4, neon, generic  | the best available          |
| `SMIDGEN_TORCH_DEVICE`    | device of the torch engine, such as `cpu` or `cuda:1`  | a GPU if there is one       |
| `KERAS_BACKEND`           | what Keras computes with, as Keras reads it            | Keras's settings            |
| `KERAS_HOME`              | the folder of Keras's settings, as Keras reads it      | `~/.keras`                  |
| `CI`                      | a service runs this, so no bars are drawn              | none                        |

A variable that is set to nothing counts as not set. Paths may begin with `~`. The environment is read at each call,
so a change takes effect at once.
"""

from __future__ import annotations

import os
from pathlib import Path

STORE = "SMIDGEN_STORE"
CACHE = "SMIDGEN_CACHE"
USER_CACHES = "XDG_CACHE_HOME"
DATA = "SMIDGEN_DATA"
MEMORY = "SMIDGEN_MEMORY"
INSTRUCTION_SET = "SMIDGEN_INSTRUCTION_SET"
TORCH_DEVICE = "SMIDGEN_TORCH_DEVICE"
KERAS_BACKEND = "KERAS_BACKEND"
KERAS_HOME = "KERAS_HOME"
RUN_BY_SERVICE = "CI"


def store() -> str:
    """Return `SMIDGEN_STORE`, a path or a URL, or ""."""
    return os.environ.get(STORE, "")


def cache_directory() -> Path:
    """Return the folder of the cache, which need not exist."""
    if chosen := _path(CACHE):
        return chosen
    return (_path(USER_CACHES) or Path("~/.cache").expanduser()) / "smidgen"


def data_directory() -> Path | None:
    """Return the folder `SMIDGEN_DATA`, or None if it is not set."""
    return _path(DATA)


def memory() -> str:
    """Return `SMIDGEN_MEMORY`, a size as text, or ""."""
    return os.environ.get(MEMORY, "")


def instruction_set() -> str:
    """Return `SMIDGEN_INSTRUCTION_SET`, or "" for the best instruction set of the processor."""
    return os.environ.get(INSTRUCTION_SET, "")


def torch_device() -> str:
    """Return `SMIDGEN_TORCH_DEVICE`, or "" for a GPU if there is one."""
    return os.environ.get(TORCH_DEVICE, "")


def keras_backend() -> str:
    """Return Keras's own `KERAS_BACKEND`, or "" if Keras is to choose."""
    return os.environ.get(KERAS_BACKEND, "")


def set_keras_backend(backend: str) -> None:
    """Have Keras compute with a backend when it is imported."""
    os.environ[KERAS_BACKEND] = backend


def keras_directory() -> Path:
    """Return the folder of Keras's own settings, `KERAS_HOME`."""
    return _path(KERAS_HOME) or Path("~/.keras").expanduser()


def is_ci() -> bool:
    """Return whether `CI` says that a service for continuous integration runs this."""
    return os.environ.get(RUN_BY_SERVICE, "").lower() not in ("", "0", "false", "no")


def _path(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value).expanduser() if value else None
