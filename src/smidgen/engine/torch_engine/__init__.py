"""The torch engine: the same network as an `nn.Module`, on a CPU or a GPU, one training or many at once.

It runs every layer, for GPUs, for networks too large for the native core and for the user's own use of a
network in torch (`module_of`, `flat_weights`); and it is the oracle of the native core's tests.

    network.py     a spec as a module, its weights as one flat array
    training.py    the steps of a training, of one network or of many copies of it
    hold.py        what weights are held to: `engine.Start`
    optimizers.py  `records.OPTIMIZERS`
    losses.py      `losses.loss_and_gradient`, for autograd
    masks.py       the masks of dropouts
    pictures.py    bytes to values, and the maps of `records.Augmentation`
    machine.py     the device, the threads

The same trial gives the same bits on the same kind of device for the same number of threads.
torch is imported on first use: it costs most of a second.
"""

from __future__ import annotations

from importlib.util import find_spec

from smidgen.engine.torch_engine.affine import moved
from smidgen.engine.torch_engine.device import chosen_device
from smidgen.engine.torch_engine.losses import batch_loss
from smidgen.engine.torch_engine.network import flat_weights, module_of
from smidgen.engine.torch_engine.optimizers import update
from smidgen.engine.torch_engine.training import predict, train, train_many

__all__ = [
    "available",
    "batch_loss",
    "flat_weights",
    "module_of",
    "moved",
    "name",
    "predict",
    "train",
    "train_many",
    "update",
]


def available() -> str:
    """The empty string when torch is installed, else what to install."""
    return "" if find_spec("torch") else "pip install 'smidgen[torch]'"


def name() -> str:
    """The engine and its arithmetic, for example "torch-2.13.0-cpu"."""
    import torch

    version = torch.__version__.partition("+")[0]
    return f"torch-{version}-{chosen_device().type}"
