"""A published data set of a few kilobytes, for the tests of the cache and its sources."""

from __future__ import annotations

import hashlib

import pytest
from sample_data import idx_files

from smidgen.data import published, sources


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A published data set `tiny` in a table of its own; returns a function that sets its sources."""
    monkeypatch.delenv("SMIDGEN_DATA", raising=False)
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in idx_files().items()}

    def publish(*source: sources.Source) -> None:
        monkeypatch.setitem(published.PUBLISHED, "tiny", published.Published(sha256, source, ("red", "amber", "green")))

    return publish
