"""What a .smidgen file contains, and its weights in full precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import assert_refused
from quantized_networks import GOLDEN
from smidgen.model import CODERS, flat_weights, inspect, load_safetensors, load_smidgen


def test_inspect_says_where_each_byte_went(command: Callable[..., Any]) -> None:
    said = command("inspect", str(GOLDEN / "v1-digits.smidgen"))
    assert said.code == 0
    assert "386 parameters; 171 bytes" in said.out
    assert "2.weight levels" in said.out
    assert "neighbours" in said.out


def test_unpack_writes_the_decoded_weights(command: Callable[..., Any], tmp_path: Path) -> None:
    golden = GOLDEN / "v1-all-kinds.smidgen"
    assert command("unpack", str(golden), "--to", str(tmp_path / "all.safetensors")).code == 0
    assert (
        load_safetensors(tmp_path / "all.safetensors").weights.tobytes() == flat_weights(load_smidgen(golden)).tobytes()
    )


def test_unpack_writes_no_other_format(command: Callable[..., Any], tmp_path: Path) -> None:
    said = command("unpack", str(GOLDEN / "v1-digits.smidgen"), "--to", str(tmp_path / "a.txt"))
    assert_refused(said, "a.txt must end in .safetensors; give for example")
    assert list(tmp_path.iterdir()) == []


def test_an_inspection_adds_up_to_the_file() -> None:
    path = GOLDEN / "v1-all-kinds.smidgen"
    found, quantized = inspect(path), load_smidgen(path)
    assert found.size_bytes == path.stat().st_size
    assert sum(part.bits for part in found.parts) == pytest.approx(8 * found.size_bytes)
    assert found.parts[0].name == "signature"
    assert min(part.bits for part in found.parts) >= 0
    assert [tensor.name for tensor in found.tensors] == list(quantized.tensors)
    assert sum(tensor.weights for tensor in found.tensors) == flat_weights(quantized).size
    assert sum(tensor.zeros for tensor in found.tensors) == int((flat_weights(quantized) == 0).sum())
    assert {tensor.coder for tensor in found.tensors} == {*CODERS, ""}
