"""An `Effort` on its way to a child process, as text on the child's command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from smidgen.search.byte_search import ByteSearchEffort
from smidgen.search.effort import Effort


def effort_text(effort: Effort, **changes: Any) -> str:
    """The effort, with other values for some fields, as JSON."""
    return json.dumps(asdict(effort) | changes)


def effort_from(text: str) -> Effort:
    """The effort that `effort_text` wrote."""
    fields = json.loads(text)
    return Effort(**{**fields, "byte_search": ByteSearchEffort(**fields["byte_search"])})
