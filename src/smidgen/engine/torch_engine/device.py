"""Where the torch engine runs: its device, its threads, and arrays that are brought there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smidgen import environment
from smidgen.errors import EngineError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def chosen_device() -> torch.device:
    """The device that the environment names, else a GPU when there is one.

    Raises:
        EngineError: the device that is asked for is not here.
    """
    import torch

    wanted = environment.torch_device() or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        name = environment.TORCH_DEVICE
        raise EngineError(f"{name}='{wanted}' is no device here; use cpu, or leave it unset") from error


@contextmanager
def settings(threads: int) -> Iterator[None]:
    """So many threads, and kernels that give the same bits each time; torch is left as it was found."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)


def tensor_of(array: npt.NDArray[np.generic], place: torch.device) -> Tensor:
    """A copy on the device: torch warns of arrays that it may not write to, and reads no negative strides."""
    import torch

    return torch.tensor(np.ascontiguousarray(array), device=place)
