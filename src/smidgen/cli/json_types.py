"""What `--json` prints, a type for each command; `smidgen.cli.json_schema` writes their JSON schemas.

`smidgen.cli.json_answers` has the types of the commands that search. A key that has nothing to say has null, and no key
is left out. Shapes are [channels, height, width].
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from smidgen.cli.json_answers import CompressJson, File, Network, ShrinkJson, SweepJson

Shape = Annotated[list[int], "[channels, height, width]"]


class PredictionJson(TypedDict):
    """The class of one example."""

    input: Annotated[str, "The picture's path, or the row of a table or array, from 1."]
    name: Annotated[str, "The most probable class."]
    probabilities: Annotated[dict[str, float], "The softmax of each class, the most probable first."]


class PredictJson(TypedDict):
    """What `smidgen predict --json` prints."""

    command: Literal["predict"]
    predictions: list[PredictionJson]
    notes: Annotated[list[str], "What looks wrong with the values."]
    file: File | None


class LayerJson(TypedDict):
    """One layer of a network, repeats and residuals written out."""

    layer: str
    output_shape: Shape
    parameters: int
    macs: int


class ShowJson(TypedDict):
    """What `smidgen show --json` prints."""

    command: Literal["show"]
    network: Network
    input_shape: Shape
    reads: Annotated[str | None, "What the numbers of an input mean, as far as the file says."]
    layers: list[LayerJson]
    parameters: int
    running_statistics: Annotated[int, "Means and variances of batch normalization; they are not trained."]
    bytes: Annotated[int, "All of these as float32."]
    macs: int
    activations: Annotated[int, "Most values alive at once while one example is classified."]


class PartJson(TypedDict):
    """A part of a file and its share of the bits."""

    name: str
    bits: float


class TensorJson(TypedDict):
    """One tensor of a `.smidgen` file."""

    name: str
    weights: int
    zeros: int
    grid: Annotated[str, "What an integer level stands for."]
    coder: str
    lowest: Annotated[int | None, "The smallest level; null in full precision."]
    highest: int | None


class InspectJson(TypedDict):
    """What `smidgen inspect --json` prints."""

    command: Literal["inspect"]
    network: Network
    input_shape: Shape
    reads: str | None
    class_names: list[str]
    parameters: int
    bytes: int
    parts: list[PartJson]
    tensors: list[TensorJson]


class UnpackJson(TypedDict):
    """What `smidgen unpack --json` prints."""

    command: Literal["unpack"]
    file: File
    bytes: int


class ExportProofJson(TypedDict):
    """How an exported file classified the test examples."""

    examples: int
    agreeing: Annotated[int, "Examples that get the decoded network's class."]
    correct: int
    network_correct: int
    runner: Annotated[str, "What ran the export."]


class ExportJson(TypedDict):
    """What `smidgen export --json` prints."""

    command: Literal["export"]
    file: File
    bytes: int
    flash_bytes: Annotated[int | None, "On a Cortex-M0+; null unless C was written and a compiler for it is there."]
    ram_bytes: int | None
    proof: ExportProofJson | None


class ImportProofJson(TypedDict):
    """How the imported network compares with the original."""

    inputs: Annotated[str, "What both were given."]
    count: int
    agreeing: int
    largest_difference: Annotated[float, "Of any two outputs, as a share of the largest output."]
    correct: int | None


class ImportJson(TypedDict):
    """What `smidgen import --json` prints."""

    command: Literal["import"]
    network: Network
    parameters: int
    file: File | None
    bytes: int
    notes: list[str]
    proof: ImportProofJson


class TableJson(TypedDict):
    """A table of text."""

    title: str
    heads: list[str]
    rows: list[list[str]]


class FindingJson(TypedDict):
    """A question of a document and the answer that the numbers give."""

    question: str
    answer: str


class ReportJson(TypedDict):
    """One reproduced document."""

    name: str
    title: str
    tables: list[TableJson]
    findings: list[FindingJson]
    notes: list[str]
    trained: int
    remembered: int
    seconds: float


class ReproduceJson(TypedDict):
    """What `smidgen reproduce --json` prints."""

    command: Literal["reproduce"]
    reports: list[ReportJson]


class CoreJson(TypedDict):
    """The native core."""

    missing: Annotated[str, "Why it cannot be used and what to do, or an empty text."]
    failure: Annotated[str, "What the compiler said when the package was built, if that failed."]
    compiler: str
    instruction_sets: list[str]
    engine: str


class ExtraJson(TypedDict):
    """An optional part of the installation."""

    name: str
    present: list[str]
    missing: list[str]


class DoctorJson(TypedDict):
    """What `smidgen doctor --json` prints."""

    command: Literal["doctor"]
    version: str
    code: Annotated[str, "SHA-256 of the code that trains."]
    python: str
    core: CoreJson
    extras: list[ExtraJson]
    cache: str
    data: Annotated[list[str], "The published data sets that are in the cache."]
    store: str
    trials: int
    problems: Annotated[list[str], "What keeps a plain search from running; the exit code is 1 if there are any."]


class PublishedJson(TypedDict):
    """A published data set, and what the cache has of it."""

    name: str
    complete: bool
    bytes: int
    folder: str


class DataListJson(TypedDict):
    """What `smidgen data list --json` prints."""

    command: Literal["data list"]
    data: list[PublishedJson]


class DataFetchJson(TypedDict):
    """What `smidgen data fetch --json` prints."""

    command: Literal["data fetch"]
    files: Annotated[dict[str, str], "The path of each file, by its name."]


class ClassCountsJson(TypedDict):
    """The examples of a class in each split."""

    name: str
    train: int
    selection: int
    confirmation: int
    test: int


class FeatureJson(TypedDict):
    """A feature of vectors, with its range in all splits."""

    name: str
    low: float
    high: float


class DataShowJson(TypedDict):
    """What `smidgen data show --json` prints."""

    command: Literal["data show"]
    name: str
    input_shape: Shape
    dtype: Literal["uint8", "float32"]
    low: Annotated[float, "The least value, in the user's units."]
    high: float
    classes: Annotated[list[ClassCountsJson], "In the order of the network's outputs."]
    features: list[FeatureJson]
    majority_rate: Annotated[float, "Accuracy of answering always with the commonest class."]
    facts: Annotated[list[str], "What was understood or can mislead."]
    digest: Annotated[str, "SHA-256 of the class names and of every split."]
    picture: File | None


OUTPUTS: dict[str, type] = {
    "shrink": ShrinkJson,
    "compress": CompressJson,
    "sweep": SweepJson,
    "predict": PredictJson,
    "show": ShowJson,
    "inspect": InspectJson,
    "unpack": UnpackJson,
    "export": ExportJson,
    "import": ImportJson,
    "reproduce": ReproduceJson,
    "doctor": DoctorJson,
    "data list": DataListJson,
    "data fetch": DataFetchJson,
    "data show": DataShowJson,
}
"""The type of every command's output, by the command's words."""
