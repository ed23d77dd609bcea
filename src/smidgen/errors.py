"""Every error that Smidgen raises on purpose, in one tree, and the exit code of each.

    SmidgenError              exit 1
    ├── RequestError          exit 2  the request is wrong; nothing was changed
    │   ├── SpecError                 a network's text does not parse, or its shapes do not fit
    │   ├── DataError                 data cannot be found, read or used
    │   ├── TeacherError              a teacher cannot be read, or does not fit the data
    │   ├── StoreError                a store cannot be opened, read or written
    │   ├── ModelFileError            a file is not a network of this package, or cannot be written
    │   └── EngineError               no installed engine can run the network
    └── RunError              exit 1  the request was right and the run failed
        └── FloorNotMet       exit 3  no network meets the floor within the limits

Exit code 0 is success, and 130 (`INTERRUPTED`) is Ctrl-C. A message states the fact, the values and the remedy,
in that order.
"""

from __future__ import annotations

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as a shell reports it."""


class SmidgenError(Exception):
    """The base class of all errors that Smidgen raises on purpose.

    Attributes:
        exit_code: the exit code of the command line when this error ends it.
    """

    exit_code = 1


class RequestError(SmidgenError):
    """The request is wrong; nothing was changed."""

    exit_code = 2


class SpecError(RequestError):
    """A network's text does not parse, or its shapes do not fit together."""


class DataError(RequestError):
    """Data cannot be found, cannot be read, or cannot train a classifier."""


class TeacherError(RequestError):
    """A teacher cannot be read, or does not fit the data."""


class StoreError(RequestError):
    """A store of trials cannot be opened, read or written."""


class ModelFileError(RequestError):
    """A file is not a network that Smidgen can read, or a file cannot be written."""


class EngineError(RequestError):
    """No installed engine can run the network."""


class RunError(SmidgenError):
    """The request was right and the run failed."""


class FloorNotMet(RunError):
    """No network meets the floor within the limits; the message names the best one."""

    exit_code = 3
