"""`smidgen show` and `smidgen predict`: tables that say the facts in eighty columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.cli.screen import WIDTH
from smidgen.model import Model, save_safetensors
from smidgen.spec import parse_spec

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        (["show", "cnn2", "--width", "2"], ["conv 2x3x3 relu", "932 parameters", "dense 10", "69.7 %"]),
        (["show", "mlp1", "--width", "32"], ["25,120", "94.8 %"]),
        (["show", "conv 3x3x3 relu, maxpool 2, dense 7", "--input", "3x20x24"], ["7x1x1", "3x18x22", "3x9x11"]),
        (
            ["show", "conv 8x3x3, batchnorm relu, globalavgpool, dense 10"],
            ["16 running statistics that are not trained"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_tables_say_the_facts_in_eighty_columns(
    command: Command, work: Path, line: list[str], facts: list[str]
) -> None:
    said = command(*line)
    assert (said.code, said.err) == (0, "")
    for fact in facts:
        assert fact in said.out
    assert max(map(len, said.out.splitlines())) <= WIDTH


def test_the_teacher_of_the_first_table(command: Command) -> None:
    said = command("show", "conv 32x3x3 relu, conv 64x3x3 relu, maxpool 2, dense 128 relu, dense 10")
    assert "1,199,882 parameters, 4,799,528 bytes = 4.577 MiB as float32" in said.out


def test_a_small_network_has_bytes_and_no_mebibytes(command: Command) -> None:
    assert "3,728 bytes as float32" in command("show", "cnn2", "--width", "2").out


def test_show_reads_a_network_file(command: Command, work: Path) -> None:
    spec = parse_spec("dense 3 relu, dense 2")
    weights = np.zeros(spec.parameters((5, 1, 1)), np.float32)
    save_safetensors(Model(spec, (5, 1, 1), ("a", "b"), weights), Path("net.safetensors"))
    assert "26 parameters" in command("show", "net.safetensors").out
