"""Every error that Smidgen raises on purpose, one tree.

    SmidgenError
    ├── RequestError          the request is wrong: exit 2, nothing was done
    │   ├── SpecError         a network text or shape that cannot be
    │   ├── DataError         data that cannot be found, read or used
    │   ├── TeacherError      a teacher that cannot be read, or does not fit the data
    │   ├── StoreError        a store that cannot be opened or written
    │   ├── ModelFileError    a file that is not a network of ours
    │   └── EngineError       an engine that is not installed or cannot run a layer
    └── RunError              the run failed: exit 1
        └── FloorNotHeld      nothing that was tried holds the floor

A message states the fact, the values and the remedy, in that order.
"""

from __future__ import annotations


class SmidgenError(Exception):
    """The root; `exit_code` is what the command line exits with."""

    exit_code = 1


class RequestError(SmidgenError):
    """The request itself is wrong; nothing was changed."""

    exit_code = 2


class SpecError(RequestError):
    """A network text that does not parse, or whose shapes cannot be."""


class DataError(RequestError):
    """Data that cannot be found, read, or used for a classifier."""


class TeacherError(RequestError):
    """A network to imitate that cannot be read, or does not fit the data."""


class StoreError(RequestError):
    """A store of trials that cannot be opened, read or written."""


class ModelFileError(RequestError):
    """A file that does not hold a network that we can read, or a place that cannot hold one."""


class EngineError(RequestError):
    """No engine that is installed can run this network."""


class RunError(SmidgenError):
    """The request was right, and the run failed."""


class FloorNotHeld(RunError):
    """Nothing that was tried holds the floor; the message gives the best that was found."""

    exit_code = 2
