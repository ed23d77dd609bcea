"""What `--json` prints of the commands that search: `shrink`, `compress` and `sweep`.

A key that has nothing to say has null, and no key is left out.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

Network = Annotated[str, "The layers, as `smidgen show` takes them."]
Folder = Annotated[str, "The folder that was written."]
File = Annotated[str, "The file that was written."]


class ScoreJson(TypedDict):
    """How many examples a network classifies correctly."""

    correct: int
    total: int
    rate: Annotated[float, "correct / total"]
    low: Annotated[float, "Lower end of the 95 % Wilson interval of the rate."]
    high: Annotated[float, "Upper end of the interval."]


class FloorJson(TypedDict):
    """The accuracy floor; where none was given, the one that the network is shown to hold."""

    accuracy: float
    rule: Literal["wilson", "rate", "strict"]


class TurningPointJson(TypedDict):
    """The size from which on more parameters gain too little."""

    parameters: int
    rate: float
    low: Annotated[int, "Lower end of its range under resampling (2.5 %)."]
    high: Annotated[int, "Upper end (97.5 %)."]


class TeacherJson(TypedDict):
    """What the candidates learned from."""

    name: str
    parameters: Annotated[int | None, "null if unknown"]
    test: ScoreJson | None
    notes: list[str]


class ShortestFileJson(TypedDict):
    """The shortest file that was found, which may be another network than the winner."""

    network: Network
    parameters: int
    bytes: int
    test: ScoreJson


class FreshSeedJson(TypedDict):
    """The winner's network, trained from a seed that took no part in the search."""

    seed: int
    validation: ScoreJson
    holds: Annotated[bool, "Whether it holds the floor on all validation examples."]


class DeviceJson(TypedDict):
    """The C program of the shortest file, or of the winner where there is no file."""

    form: Annotated[str, "How it stores the weights."]
    flash_bytes: Annotated[int, "Weights, tables and code on a Cortex-M0+."]
    flash_is_measured: Annotated[bool, "Whether a compiler linked it; else it is estimated."]
    ram_bytes: Annotated[int, "Memory of one call; an input and the stack come on top."]
    instructions: Annotated[dict[str, int], "Of one inference, estimated, for each processor."]
    nanoseconds: Annotated[float | None, "Of one inference on this machine; null without a C compiler."]
    notes: Annotated[list[str], "What does not fit what was asked for."]


class ShrinkJson(TypedDict):
    """What `smidgen shrink --json` prints."""

    command: Literal["shrink"]
    headline: str
    question: str
    data: str
    floor: FloorJson
    network: Network
    parameters: int
    macs: Annotated[int, "Multiply-accumulates of one example."]
    seed: int
    engine: str
    selection: Annotated[ScoreJson, "On the half of the validation split that the network was chosen on."]
    confirmation: Annotated[ScoreJson, "On the half that took no part in choosing."]
    test: Annotated[ScoreJson, "On the test split, taken once."]
    promise: Annotated[float, "Accuracy on new examples that the confirmation half shows."]
    teacher: TeacherJson | None
    file: ShortestFileJson | None
    device: Annotated[DeviceJson | None, "null where no form of C can hold the network."]
    turning_point: TurningPointJson | None
    fresh_seeds: list[FreshSeedJson]
    trained: int
    remembered: Annotated[int, "Trainings that were found in the store."]
    seconds: float
    work: Annotated[float | None, "The budget in multiply-accumulates of training."]
    notes: list[str]
    folder: Folder | None


class StageJson(TypedDict):
    """One stage between a network and its file."""

    name: str
    bytes: int
    selection: ScoreJson


class CompressJson(TypedDict):
    """What `smidgen compress --json` prints."""

    command: Literal["compress"]
    headline: str
    data: str
    floor: FloorJson
    network: Network
    parameters: int
    bytes: int
    selection: ScoreJson
    confirmation: ScoreJson
    test: ScoreJson
    given_bytes: Annotated[int, "Bytes of the given network's parameters as float32."]
    given_test: ScoreJson
    stages: list[StageJson]
    rejected: Annotated[int, "Shorter files that passed selection but failed confirmation."]
    trained: int
    remembered: int
    seconds: float
    file: File | None


class WidthJson(TypedDict):
    """One width of a sweep, with a score for each seed."""

    width: int
    network: Network
    parameters: int
    validation: list[ScoreJson]
    test: list[ScoreJson]
    train_seconds: list[float]
    engine: str


class SweepJson(TypedDict):
    """What `smidgen sweep --json` prints."""

    command: Literal["sweep"]
    headline: str
    data: str
    family: str
    widths: list[WidthJson]
    turning_point: TurningPointJson | None
    trained: int
    remembered: int
    folder: Folder | None
