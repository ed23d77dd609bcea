"""The device and the threads of the torch engine, and the way of arrays to the device."""

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
    """Return the device that the environment names, else the GPU if there is one, else the CPU.

    Raises:
        EngineError: The environment names a device that is not on this machine.
    """
    import torch

    wanted = environment.torch_device() or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        name = environment.TORCH_DEVICE
        raise EngineError(f"{name}='{wanted}' is not a device of this machine; use cpu, or leave it unset") from error


@contextmanager
def settings(threads: int) -> Iterator[None]:
    """Use this many threads and deterministic kernels, and restore torch's own settings afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)


def tensor_of(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy an array to the device."""
    import torch

    # torch.tensor copies: torch warns of arrays that are read-only, and cannot use negative strides.
    return torch.tensor(np.ascontiguousarray(array), device=device)
