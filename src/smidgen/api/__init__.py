"""The public functions: one for each command of the command line, which calls it once.

A function has the name of its command, and each parameter the name and the default of an option: `--class-floor` is
`class_floor`. A parameter takes a value or the text of the command line: `within=0.005` is `within="0.5%"`,
`resize=(32, 32)` is `resize="32x32"`.

A function writes its results to a file or folder only where `out` names one; True stands for the place that the command
line uses.
"""

from smidgen.api.files import doctor, export, import_model, show
from smidgen.api.searches import compress, reproduce, shrink, sweep
from smidgen.model import inspect, unpack
from smidgen.predictions import predict
from smidgen.predictor import load, save

__all__ = [
    "compress",
    "doctor",
    "export",
    "import_model",
    "inspect",
    "load",
    "predict",
    "reproduce",
    "save",
    "show",
    "shrink",
    "sweep",
    "unpack",
]
