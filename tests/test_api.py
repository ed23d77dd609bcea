"""The public functions are the command line's twins: same names, same options, same defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smidgen
from commands import COMMANDS
from smidgen.data import Dataset
from smidgen.errors import RequestError
from smidgen.model import Model
from smidgen.search.byte_search import BYTE_SEARCH_EFFORTS
from smidgen.search.effort import EFFORTS
from smidgen.search.result import ShrinkResult
from smidgen.spec import parse_spec

PYTHON_NAMES = {"import": "import_model"}
"""Commands whose names Python keeps for itself."""

NOT_COMMANDS = {"from_arrays", "from_dataset", "load", "parse_spec", "save"}
"""Public functions that make or keep Python objects."""

OPTIONS_ALONE = {"out", "json", "quiet", "verbose"}
"""Options about what is printed and written; Python writes nothing unless `out` says where."""

PARAMETERS_ALONE = {"out", "reporter", "command", "cache"}
"""Parameters that the command line fills in itself."""

BY_POSITION = {
    "shrink": {"floor"},
    "compress": {"floor"},
    "predict": {"engine"},
    "unpack": {"to"},
    "data fetch": {"cache", "reporter"},
    "data list": {"cache"},
    "data show": {"split_seed", "cache", "reporter"},
}
"""Parameters that may be given by position although they are options."""

FUNCTIONS: dict[str, Callable[..., Any]] = {
    words: getattr(
        smidgen.data if words.startswith("data ") else smidgen, PYTHON_NAMES.get(words, words.removeprefix("data "))
    )
    for words in COMMANDS
}


def options_of(words: str) -> dict[str, Any]:
    """The options and arguments of a command with their defaults; those that must be given have `inspect._empty`."""
    return {
        name: inspect.Parameter.empty if parameter.required else parameter.default
        for parameter in COMMANDS[words].params
        if (name := (parameter.name if parameter.param_type_name == "argument" else parameter.opts[0]))
        and (name := name.removeprefix("--").replace("-", "_")) not in OPTIONS_ALONE
    }


def parameters_of(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    return {name: each.default for name, each in parameters.items() if name not in PARAMETERS_ALONE}


# --- the twins --------------------------------------------------------------------------------


def test_each_command_is_a_public_function_and_each_public_function_a_command() -> None:
    functions = {name for name in smidgen.__all__ if inspect.isfunction(getattr(smidgen, name))}
    assert functions - NOT_COMMANDS == {PYTHON_NAMES.get(words, words) for words in COMMANDS if " " not in words}
    assert all(map(inspect.isfunction, FUNCTIONS.values()))


@pytest.mark.parametrize("words", FUNCTIONS)
def test_options_and_parameters_have_the_same_names_and_defaults(words: str) -> None:
    assert parameters_of(FUNCTIONS[words]) == options_of(words)


@pytest.mark.parametrize("words", FUNCTIONS)
def test_only_what_comes_first_may_be_given_by_position(words: str) -> None:
    parameters = inspect.signature(FUNCTIONS[words]).parameters.values()
    by_position = {each.name for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY}
    arguments = {each.name for each in COMMANDS[words].params if each.param_type_name == "argument"}
    assert arguments <= by_position <= arguments | BY_POSITION.get(words, set())


@pytest.mark.parametrize("words", FUNCTIONS)
def test_every_parameter_is_documented(words: str) -> None:
    text = inspect.getdoc(FUNCTIONS[words]) or ""
    for name in inspect.signature(FUNCTIONS[words]).parameters:
        assert f"    {name}: " in text, f"{words}: {name}"


# --- what Python takes beyond text ------------------------------------------------------------


TINY = replace(
    EFFORTS["glance"],
    first=4,
    children=2,
    finalists=1,
    near_misses=0,
    short_steps=60,
    long_steps=300,
    byte_search=replace(BYTE_SEARCH_EFFORTS["glance"], children=1, steps=60),
)


def test_shrink_takes_a_data_set_and_an_effort_and_writes_the_folder_that_it_is_given(
    digits: Dataset, tmp_path: Path
) -> None:
    result = smidgen.shrink(digits, params=120, effort=TINY, out=tmp_path / "run")
    assert result.outcome.parameters <= 120
    assert result.written_to == tmp_path / "run"
    assert (tmp_path / "run" / "report.html").is_file()


def test_nothing_is_written_unless_asked_for(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = smidgen.sweep(digits, family="mlp1", widths=(1,), seeds=1, epochs=1)
    assert result.written_to is None
    assert list(tmp_path.iterdir()) == [own_store]


def test_arrays_are_data(digits: Dataset) -> None:
    result = smidgen.sweep((digits.test.images, digits.test.labels), family="mlp1", widths=(1,), seeds=1, epochs=1)
    assert (result.data.name, result.data.input_shape, result.data.classes) == ("arrays", (1, 8, 8), 10)
    with pytest.raises(RequestError, match="give at least 5 examples of each class"):
        smidgen.shrink((digits.test.images[:3], digits.test.labels[:3]), "90%")


def test_a_data_set_is_not_read_or_split_again(digits: Dataset) -> None:
    with pytest.raises(RequestError, match="is split already"):
        smidgen.shrink(digits, 0.9, split_seed=1)
    with pytest.raises(RequestError, match="--resize is for files and folders; leave it out"):
        smidgen.shrink(digits, 0.9, resize=(4, 4))


def test_sweep_takes_widths_as_text_or_numbers(digits: Dataset) -> None:
    text = smidgen.sweep(digits, family="mlp1", widths="2,1", seeds=1, epochs=1)
    numbers = smidgen.sweep(digits, family="mlp1", widths=(2, 1), seeds=1, epochs=1)
    assert (text.trained, numbers.trained, numbers.remembered) == (2, 0, 2)


def test_show_takes_what_can_be_a_network() -> None:
    spec = parse_spec("dense 3 relu, dense 2")
    model = Model(spec, (5, 1, 1), ("a", "b"), np.zeros(spec.parameters((5, 1, 1)), np.float32))
    for network in (model, spec, "dense 3 relu, dense 2"):
        summary = smidgen.show(network, input=(5, 1, 1))
        assert (summary.parameters, summary.size_bytes, summary.macs) == (26, 104, 21)


def test_a_network_to_compress_must_say_its_data_or_be_given_it() -> None:
    spec = parse_spec("dense 2")
    model = Model(spec, (5, 1, 1), ("a", "b"), np.zeros(spec.parameters((5, 1, 1)), np.float32))
    with pytest.raises(RequestError, match="does not say which data it was trained on; give --data"):
        smidgen.compress(model, 0.9)
    with pytest.raises(RequestError, match="out=True is beside the first file"):
        smidgen.compress(model, 0.9, out=True)
    with pytest.raises(RequestError, match="give at least one"):
        smidgen.compress([], 0.9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teacher": "a.onnx", "teacher_logits": "b.npy"}, "are two teachers; give one of them"),
        ({"teacher_logits": "b.csv"}, "b.csv is not a .npy file"),
        ({"weights": "w.pt"}, "belong to a teacher; give --teacher"),
        ({"teacher_input": "nhwc"}, "belong to a teacher; give --teacher"),
        ({"teacher": smidgen.Teacher("a.onnx"), "teacher_input": "nhwc"}, "a Teacher has its weights"),
    ],
)
def test_parts_of_a_teacher_that_do_not_go_together(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        smidgen.shrink("digits", 0.9, **arguments)


# --- values that cannot be --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"params": 12.5}, "params=12.5 is not a whole number"),
        ({"bytes": 0}, "bytes=0 must be at least 1; leave it out for no limit"),
        ({"seed": "a"}, "seed=a is not a whole number"),
        ({"seed": 1.5}, "seed=1.5 is not a whole number"),
        ({"workers": "a"}, "workers=a is not a whole number"),
        ({"copies": 1.5}, "copies=1.5 is not a whole number"),
        ({"split_seed": "a"}, "split_seed=a is not a whole number"),
        ({"effort": 3}, "effort=3 is not known; use one of glance, .*, or an object of the class Effort"),
        ({"class_floor": "x"}, "class_floor=x is not a number"),
        ({"out": 5}, "out=5 is not a path"),
        ({"teacher_logits": 5}, "teacher_logits=5 is not a path"),
        ({"store": 5}, "store=5 is not a store; give a path, a database URL or a Store"),
        ({"cluster": 5}, "cluster=5 is not a cluster"),
    ],
)
def test_a_value_of_another_type_is_refused_before_anything_is_trained(
    arguments: dict[str, Any], message: str, own_store: Path
) -> None:
    with pytest.raises(RequestError, match=message):
        smidgen.shrink("digits", 0.9, **arguments)


@pytest.mark.parametrize("data", [np.zeros((9, 4)), [[0.0, 1.0]], (1, 2, 3)], ids=["array", "list", "three"])
def test_arrays_that_are_not_a_pair_are_refused(data: Any) -> None:
    with pytest.raises(RequestError, match=r"give arrays as one pair: shrink\(\(X, y\), floor=0.97\)"):
        smidgen.shrink(data, np.zeros(9))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="data=None is not data; give a published name"):
        smidgen.sweep(None)  # type: ignore[arg-type]


def test_predict_refuses_an_array() -> None:
    with pytest.raises(RequestError, match=r"for arrays use smidgen.load\(file\).predict\(X\)"):
        smidgen.predict("net.smidgen", np.zeros((8, 8)))  # type: ignore[arg-type]


@pytest.mark.parametrize("files", [None, 3, [None]])
def test_what_is_no_network_file_is_not_compressed(files: Any) -> None:
    with pytest.raises(RequestError, match=r"files=.* is not a path"):
        smidgen.compress(files, 0.9)


def test_a_network_of_own_data_asks_for_its_path(work: Path) -> None:
    spec = parse_spec("dense 2")
    weights = np.zeros(spec.parameters((5, 1, 1)), np.float32)
    model = Model(spec, (5, 1, 1), ("a", "b"), weights, {"data": "flowers"})
    with pytest.raises(RequestError, match="trained on 'flowers'; give the data's path as --data PATH"):
        smidgen.compress(model, 0.9)


def test_a_family_for_images_is_refused_for_vectors() -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(RequestError, match="arrays has vectors and cnn2 takes images; give --family mlp1"):
        smidgen.sweep((X, np.arange(60) % 2))


# --- what is printed --------------------------------------------------------------------------


def test_a_printed_answer_is_short(digits: Dataset, answer: ShrinkResult) -> None:
    swept = smidgen.sweep(digits, family="mlp1", widths=(1,), seeds=1, epochs=1)
    assert answer.file is not None
    for result in (answer, answer.file, swept):
        assert str(result).count("\n") == 3
        assert str(result).startswith(result.headline)
        assert result.headline in repr(result)
        assert len(str(result)) < 500
    assert swept.headline == "mlp1 on digits, 1 seed for each width"
