"""Exports of a file, as the command line and Python ask for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exported_networks import needs_cc, network_with_grids
from smidgen.data import Dataset, from_arrays, load
from smidgen.errors import RequestError, RunError
from smidgen.exporters import Export, export
from smidgen.model import QuantizedModel, dequantize, save_safetensors, save_smidgen


@needs_cc
def test_export_writes_and_proves(trained: QuantizedModel, command: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "digits.smidgen"
    save_smidgen(trained, path)
    said = command("export", str(path), "--to", "c", "--form", "coded", "--data", "digits")
    assert (said.code, said.err) == (0, "")
    assert f"{path.with_suffix('.c')} and {path.with_suffix('.h')}: " in said.out
    assert "test examples get the decoded network's class" in said.out
    save_safetensors(dequantize(trained), tmp_path / "whole.safetensors")
    assert command("export", str(tmp_path / "whole.safetensors"), "--to", "c", "--form", "float").code == 0
    refused = command("export", str(path), "--to", "keras")
    assert (refused.code, refused.err) == (
        2,
        "smidgen: --to keras is not known; use one of onnx, tflite, c, arduino, js, html, safetensors\n",
    )


@needs_cc
def test_an_export_says_what_was_proved(trained: QuantizedModel, digits: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "digits.smidgen"
    save_smidgen(trained, path)
    made = export(path, to="c", data=digits)
    header = made.path.with_suffix(".h")
    assert made.path == tmp_path / "digits.c"
    assert made.size_bytes == made.path.stat().st_size + header.stat().st_size
    assert made.proof is not None
    assert made.proof.images == made.proof.agreeing == len(digits.test)
    assert made.proof.correct == made.proof.network_correct > 0.85 * len(digits.test)


def test_an_export_without_data_is_not_run(trained: QuantizedModel, tmp_path: Path) -> None:
    path = tmp_path / "digits.smidgen"
    save_smidgen(trained, path)
    made = export(path, to="safetensors", out=tmp_path / "whole.safetensors")
    assert made == Export(tmp_path / "whole.safetensors", (tmp_path / "whole.safetensors").stat().st_size)


def test_data_of_floating_point_numbers_is_refused_before_anything_is_written(
    trained: QuantizedModel, tmp_path: Path
) -> None:
    save_smidgen(trained, tmp_path / "digits.smidgen")
    rng = np.random.default_rng(0)
    floats = from_arrays(rng.random((200, 8, 8), np.float32), np.arange(200) % 10, name="floats")
    with pytest.raises(RequestError, match="the network reads bytes, and floats has floating-point numbers"):
        export(tmp_path / "digits.smidgen", to="c", data=floats)
    with pytest.raises(RequestError, match="give the network's own data"):
        export(tmp_path / "digits.smidgen", to="c", form="integer", data=floats)
    assert [path.name for path in tmp_path.iterdir()] == ["digits.smidgen"]


@needs_cc
def test_an_export_that_differs_from_the_network_is_an_error(
    trained: QuantizedModel, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_smidgen(trained, tmp_path / "digits.smidgen")
    monkeypatch.setattr("smidgen.exporters.targets.classes_by_c", lambda _path, images: np.full(len(images), 10))
    with pytest.raises(RunError, match=r"digits\.c differs from the decoded network on \d+ of \d+ examples; report it"):
        export(tmp_path / "digits.smidgen", to="c", data=digits)


def test_an_export_replaces_what_an_export_wrote_and_nothing_else(trained: QuantizedModel, tmp_path: Path) -> None:
    path, whole = tmp_path / "winner.smidgen", tmp_path / "winner.safetensors"
    save_smidgen(trained, path)
    full = dequantize(trained)
    save_safetensors(replace(full, weights=full.weights * np.float32(1.01)), whole)
    before = whole.read_bytes()
    with pytest.raises(RequestError, match=r"winner\.safetensors exists and is not this export; give another .* --out"):
        export(path, to="safetensors")
    assert whole.read_bytes() == before
    (tmp_path / "winner.h").write_text("int mine;")
    with pytest.raises(RequestError, match=r"winner\.h exists and is not this export"):
        export(path, to="c")
    for to in ("safetensors", "c", "onnx"):
        out = tmp_path / f"other.{to}"
        export(path, to=to, out=out)
        made = out.read_bytes()
        save_smidgen(trained, tmp_path / "other.smidgen")
        assert export(tmp_path / "other.smidgen", to=to).path == out
        assert out.read_bytes() == made


def test_an_export_never_replaces_its_input(trained: QuantizedModel, tmp_path: Path) -> None:
    whole = tmp_path / "winner.safetensors"
    save_safetensors(dequantize(trained), whole)
    for to, out in (("safetensors", None), ("onnx", whole), ("c", whole)):
        with pytest.raises(RequestError, match=r"would replace its input .*winner\.safetensors; give another --out"):
            export(whole, to=to, out=out)


def test_a_target_without_forms_refuses_one(trained: QuantizedModel, tmp_path: Path) -> None:
    save_smidgen(trained, tmp_path / "digits.smidgen")
    with pytest.raises(RequestError, match="--form float is for --to c, and --to js takes none; leave out --form"):
        export(tmp_path / "digits.smidgen", to="js", form="float")


@pytest.fixture(scope="module")
def waves() -> Dataset:
    """Windows of a signal in raw units: two channels of very different size and offset."""
    rng, time = np.random.default_rng(0), np.arange(32)
    labels = rng.integers(0, 2, 200)
    large = np.stack([5000 + 800 * np.sin(time * (0.2 + 0.3 * label) + rng.uniform(0, 6)) for label in labels])
    small = 0.01 * rng.standard_normal((200, 32))
    return from_arrays(np.stack([large, small], axis=2).astype(np.float32), labels, "waves")


@pytest.mark.parametrize(("to", "form"), [("c", "float"), ("c", "levels"), ("onnx", None), ("js", None)])
def test_an_export_reads_signals_in_the_users_units(to: str, form: str | None, waves: Dataset, tmp_path: Path) -> None:
    if to == "js" and not shutil.which("node"):
        pytest.skip("Node is not installed")
    quantized = replace(
        network_with_grids("conv 3x1x5 stride 1x2 relu, globalavgpool, dense 2", (2, 1, 32)), input=waves.input
    )
    assert quantized.input.is_scaled
    file = tmp_path / "waves.smidgen"
    save_smidgen(quantized, file)
    made = export(file, to=to, form=form, data=waves)
    assert made.proof is not None
    assert made.proof.agreeing == made.proof.images == len(waves.test)


@needs_cc
def test_an_export_is_proved_on_data_that_is_read_with_options(command: Callable[..., Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    moves = np.repeat(np.arange(40) % 2, 16)
    sway = np.sin(np.arange(len(moves)) * (0.4 + 0.8 * moves)) + 0.1 * rng.standard_normal(len(moves))
    rows = [f"{value:.4f},{2 * value:.4f},{'run' if move else 'walk'}" for value, move in zip(sway, moves, strict=True)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["x,y,move", *rows]) + "\n")
    data = load(log, label="move", window=16)
    quantized = network_with_grids("conv 2x1x5 relu, globalavgpool, dense 2", data.input_shape)
    file = tmp_path / "moves.smidgen"
    save_smidgen(replace(quantized, input=data.input, class_names=data.class_names), file)
    said = command("export", str(file), "--to", "c", "--data", str(log), "--label", "move", "--window", "16")
    assert said.code == 0 and f"{len(data.test)} of {len(data.test)} test examples" in said.out
    others = command("export", str(file), "--to", "c", "--data", str(log), "--label", "move", "--window", "8")
    assert others.code == 2 and "reads 2x1x16, and log has 2x1x8; give the network's own data" in others.err
    alone = command("export", str(file), "--to", "c", "--window", "16")
    assert (alone.code, alone.err) == (2, "smidgen: --window says how data is read, and there is none; give --data\n")


def test_the_header_of_a_signal_takes_floats(waves: Dataset, tmp_path: Path) -> None:
    quantized = replace(network_with_grids("conv 3x1x5 relu, globalavgpool, dense 2", (2, 1, 32)), input=waves.input)
    save_smidgen(quantized, tmp_path / "waves.smidgen")
    export(tmp_path / "waves.smidgen", to="c")
    header = (tmp_path / "waves.h").read_text()
    assert "typedef float waves_input;" in header
    assert "#define WAVES_INPUTS 64" in header


@needs_cc
@pytest.mark.parametrize(("entry", "form"), [("float", "integer"), ("int16", "integer"), ("int16", "levels")])
def test_a_signal_is_read_as_an_adc_counts_it(entry: str, form: str, waves: Dataset, tmp_path: Path) -> None:
    raw = np.rint(waves.input.to_units(waves.train.images) * [[[1]], [[1000]]])
    counts = from_arrays(np.moveaxis(raw[:, :, 0], 1, 2).astype(np.float32), waves.train.labels, "counts")
    spec = "conv 3x1x5 stride 1x2 relu, globalavgpool, dense 2"
    quantized = replace(network_with_grids(spec, (2, 1, 32)), input=counts.input)
    save_smidgen(quantized, tmp_path / "counts.smidgen")
    made = export(tmp_path / "counts.smidgen", to="c", form=form, entry=entry, data=counts)
    assert f"typedef {'int16_t' if entry == 'int16' else 'float'} counts_input;" in (tmp_path / "counts.h").read_text()
    assert made.proof is not None
    assert made.proof.agreeing >= 0.9 * made.proof.images


def test_numbers_that_an_entry_cannot_take_are_refused(waves: Dataset, tmp_path: Path) -> None:
    quantized = replace(network_with_grids("globalavgpool, dense 2", (2, 1, 32)), input=waves.input)
    save_smidgen(quantized, tmp_path / "waves.smidgen")
    with pytest.raises(
        RequestError, match=r"--entry int16 takes whole numbers .*; use --entry float, or scale the data"
    ):
        export(tmp_path / "waves.smidgen", to="c", entry="int16", data=waves)
    with pytest.raises(RequestError, match="--entry int8 is not known; use one of float, int16, uint8"):
        export(tmp_path / "waves.smidgen", to="c", entry="int8")
