"""Every instruction set of this processor in turn, and torch on the CPU."""

from __future__ import annotations

import pytest

from smidgen.engine import native

pytest.register_assert_rewrite("oracle")


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SMIDGEN_TORCH_DEVICE", "cpu")
    monkeypatch.delenv("SMIDGEN_INSTRUCTION_SET", raising=False)


def instruction_sets():
    """None without the core; `oracle` then skips each file."""
    if native.available():
        return []
    from smidgen import _core

    return _core.instruction_sets()


@pytest.fixture(params=instruction_sets())
def instruction_set(request, monkeypatch):
    monkeypatch.setenv("SMIDGEN_INSTRUCTION_SET", request.param)
    return request.param
