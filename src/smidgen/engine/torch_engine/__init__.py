"""The torch engine: the same network as an `nn.Module`, on a CPU or a GPU.

It serves GPUs, networks that are too large for the native core, users who want a network as a torch module
(`module_of`, `flat_weights`), and the tests of the native core, which compare with it.

    network.py        a spec as a module, its weights as one flat array
    training.py       the epochs and steps of a training
    constraints.py    the constraints of `engine.Start`
    optimizers.py     `records.OPTIMIZERS`
    losses.py         `losses.loss_and_gradient`, for autograd
    dropout_masks.py  the masks of dropout
    affine.py         bytes to values, and the maps of `records.Augmentation`
    device.py         the device, the threads

The same trial gives the same bits on the same kind of device with the same number of threads. torch is imported on
first use, because that takes most of a second.
"""

from __future__ import annotations

from importlib.util import find_spec

from smidgen.engine.torch_engine.affine import warp
from smidgen.engine.torch_engine.device import chosen_device
from smidgen.engine.torch_engine.losses import batch_loss
from smidgen.engine.torch_engine.network import flat_weights, module_of
from smidgen.engine.torch_engine.optimizers import update
from smidgen.engine.torch_engine.training import predict, train

__all__ = [
    "available",
    "batch_loss",
    "flat_weights",
    "module_of",
    "name",
    "predict",
    "train",
    "update",
    "warp",
]


def available() -> str:
    """Return "" if torch is installed, else what to install."""
    return "" if find_spec("torch") else "pip install 'smidgen[torch]'"


def name() -> str:
    """Return the engine and its arithmetic, for example "torch-2.13.0-cpu"."""
    import torch

    version = torch.__version__.partition("+")[0]
    return f"torch-{version}-{chosen_device().type}"
