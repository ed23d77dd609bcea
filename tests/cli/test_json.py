"""`--json`, `--quiet` and `--verbose` of every command: what is on standard output is the result and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from commands import COMMANDS, Said
from smidgen.cli.json_schema import schema_of
from smidgen.cli.json_types import OUTPUTS
from smidgen.data import Dataset
from smidgen.model import Model, as_quantized, save_safetensors, save_smidgen
from smidgen.records import Score
from smidgen.search.result import ShrinkResult
from smidgen.spec import parse_spec
from smidgen.studies import Report
from smidgen.studies.document import Finding, Table

Command = Callable[..., Said]

SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"


def read(said: Said, words: str, code: int = 0) -> dict[str, Any]:
    """The JSON that a command printed, which keeps to the schema of the command."""
    assert said.code == code, said.err
    found: dict[str, Any] = json.loads(said.out)
    Draft202012Validator(schema_of(words)).validate(found)
    assert found["command"] == words
    return found


@pytest.fixture
def network(work: Path) -> Model:
    """A network for the digits, in net.smidgen and net.safetensors of the folder in which commands run."""
    spec = parse_spec("dense 10")
    weights = np.random.default_rng(0).normal(size=650).astype(np.float32)
    model = Model(spec, (1, 8, 8), tuple(map(str, range(10))), weights, {"data": "digits"})
    save_safetensors(model, work / "net.safetensors")
    save_smidgen(as_quantized(model), work / "net.smidgen")
    return model


# --- the schemas ------------------------------------------------------------------------------


def test_every_command_has_a_schema() -> None:
    assert set(OUTPUTS) == set(COMMANDS)


@pytest.mark.parametrize("words", OUTPUTS)
def test_a_schema_is_valid_and_the_one_in_the_documents(words: str) -> None:
    schema = schema_of(words)
    Draft202012Validator.check_schema(schema)
    file = SCHEMAS / f"{words.replace(' ', '-')}.json"
    assert json.loads(file.read_text("utf-8")) == schema, "run python docs/json_reference.py"
    with pytest.raises(Exception, match="required property"):
        Draft202012Validator(schema).validate({"command": words})


def test_a_type_that_has_no_schema_is_refused() -> None:
    from smidgen.cli.json_schema import _schema

    with pytest.raises(TypeError, match="has no schema"):
        _schema(bytes)


# --- each command -----------------------------------------------------------------------------


def test_shrink(command: Command, work: Path, known_store: Path, small: None, answer: ShrinkResult) -> None:
    found = read(command("shrink", "digits", "--floor", "0.9", "--effort", "quick", "--json"), "shrink")
    assert (found["network"], found["parameters"]) == (str(answer.winner.spec), answer.outcome.parameters)
    assert Score(found["test"]["correct"], found["test"]["total"]) == answer.test
    assert found["file"]["bytes"] == answer.file.winner.file_bytes if answer.file else found["file"] is None
    assert found["device"]["flash_bytes"] > 0 and found["device"]["ram_bytes"] > 0
    assert all(count > 0 for count in found["device"]["instructions"].values()) and found["device"]["instructions"]
    assert (work / found["folder"] / "report.html").is_file()


def test_sweep(command: Command, work: Path) -> None:
    line = ("sweep", "digits", "--family", "mlp1", "--widths", "2,1", "--seeds", "2", "--epochs", "1")
    found = read(command(*line, "--json"), "sweep")
    assert [row["width"] for row in found["widths"]] == [1, 2]
    assert [len(row["test"]) for row in found["widths"]] == [2, 2]
    assert (work / found["folder"] / "sweep.csv").is_file()


def test_compress(command: Command, monkeypatch: pytest.MonkeyPatch, answer: ShrinkResult, work: Path) -> None:
    from smidgen import api

    assert answer.file is not None
    result = replace(answer.file, written_to=work / "net.smidgen")
    monkeypatch.setattr(api, "compress", lambda *_, **__: result)
    found = read(command("compress", "winner.safetensors", "--floor", "0.9", "--json"), "compress")
    assert (found["bytes"], found["file"]) == (result.winner.file_bytes, str(work / "net.smidgen"))
    assert [stage["name"] for stage in found["stages"]] == [stage.name for stage in result.stages]


def test_show_inspect_and_unpack(command: Command, network: Model, work: Path) -> None:
    found = read(command("show", "net.smidgen", "--json"), "show")
    assert (found["parameters"], found["layers"][0]["output_shape"]) == (650, [10, 1, 1])
    found = read(command("inspect", "net.smidgen", "--json"), "inspect")
    assert sum(part["bits"] for part in found["parts"]) == pytest.approx(8 * found["bytes"])
    found = read(command("unpack", "net.smidgen", "--to", "out.safetensors", "--json"), "unpack")
    assert (work / "out.safetensors").stat().st_size == found["bytes"]


def test_predict(command: Command, network: Model, work: Path, digits: Dataset) -> None:
    np.savez(work / "some.npz", X=digits.test.images[:3, 0])
    found = read(command("predict", "net.smidgen", "some.npz", "--out", "out.csv", "--json"), "predict")
    assert [each["input"] for each in found["predictions"]] == ["1", "2", "3"]
    assert all(sum(each["probabilities"].values()) == pytest.approx(1) for each in found["predictions"])
    assert (work / found["file"]).is_file()


def test_export_and_import(command: Command, network: Model) -> None:
    pytest.importorskip("onnxruntime")
    found = read(command("export", "net.smidgen", "--to", "onnx", "--data", "digits", "--json"), "export")
    assert found["proof"]["agreeing"] == found["proof"]["examples"]
    found = read(command("import", "net.onnx", "--out", "again.safetensors", "--json"), "import")
    assert found["parameters"] == 650
    assert found["proof"]["agreeing"] == found["proof"]["count"]


def test_reproduce(command: Command, monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    from smidgen import api

    report = Report(
        name="mimic", title="A document", rows=(), pictures=(), runs={}, seconds=1.5, trained=2, remembered=3,
        tables=(Table("Accuracy", ("net", ">%"), (("cnn2", "97.1"),)),), findings=(Finding("Is it?", "Yes."),),
        notes=("a note",),
    )  # fmt: skip
    monkeypatch.setattr(api, "reproduce", lambda *_, **__: (report,))
    (found,) = read(command("reproduce", "mimic", "--quick", "--json"), "reproduce")["reports"]
    assert found["tables"][0]["rows"] == [["cnn2", "97.1"]]
    assert found["findings"] == [{"question": "Is it?", "answer": "Yes."}]


def test_doctor(command: Command, own_store: Path) -> None:
    found = read(command("doctor", "--json"), "doctor")
    assert (found["store"], found["trials"], found["problems"]) == (str(own_store), 0, [])
    missing = str(own_store.parent / "missing" / "store.sqlite")
    assert read(command("doctor", "--store", missing, "--json"), "doctor", code=1)["problems"]


def test_data(command: Command, work: Path) -> None:
    found = read(command("data", "list", "--json"), "data list")
    assert {each["name"] for each in found["data"]} >= {"mnist", "digits"}
    found = read(command("data", "fetch", "digits", "--json"), "data fetch")
    assert all(Path(path).is_file() for path in found["files"].values())
    found = read(command("data", "show", "digits", "--out", "sheet.png", "--json"), "data show")
    assert (len(found["classes"]), found["picture"]) == (10, "sheet.png")
    (work / "t.csv").write_text("a,b,label\n" + "".join(f"{n},{n % 7},{'xy'[n % 2]}\n" for n in (3, 1, 4, 5, 9, 2) * 9))
    found = read(command("data", "show", "t.csv", "--json"), "data show")
    assert ([each["name"] for each in found["features"]], found["picture"]) == (["a", "b"], None)


# --- quiet and verbose ------------------------------------------------------------------------

SWEEP = ("sweep", "digits", "--family", "mlp1", "--widths", "1", "--seeds", "1", "--epochs", "1")


def test_text_of_unknown_origin_stays_ascii(command: Command, work: Path) -> None:
    spec = parse_spec("dense 2")
    names = ("\x1b[31mred", "\N{RIGHT-TO-LEFT OVERRIDE}left")
    model = Model(spec, (2, 1, 1), names, np.zeros(6, np.float32))
    save_smidgen(as_quantized(model), work / "net.smidgen")
    said = command("inspect", "net.smidgen", "--json")
    assert said.out.isascii()
    assert "\x1b" not in said.out
    assert json.loads(said.out)["class_names"] == [*names]


def test_an_error_is_the_same_line_with_json(command: Command) -> None:
    said = command("show", "cnn9", "--json")
    assert (said.code, said.out) == (2, "")
    assert said.err == command("show", "cnn9").err


def test_quiet_prints_the_result_alone(command: Command, work: Path) -> None:
    said = command(*SWEEP, "--quiet")
    assert said.err == ""
    assert "1 training, 0 remembered" in said.out


def test_verbose_logs_each_stage_and_each_training(command: Command, work: Path, own_store: Path) -> None:
    said = command(*SWEEP, "--verbose")
    lines = said.err.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO) smidgen", lines[0])
    assert any("INFO smidgen: mlp1 at 1 widths" in line for line in lines)
    assert any("dense 1 relu, dense 1 relu, dense 10, seed 0: " in line for line in lines)
    assert any(f"0 of 1 trials are in the store {own_store}" in line for line in lines)
    assert command(*SWEEP).err == "", "the log ends with the command"
