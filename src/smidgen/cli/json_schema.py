"""JSON schemas (draft 2020-12) of what `--json` prints, from the types in `smidgen.cli.json_types`."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from smidgen.cli.json_types import OUTPUTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema_of(words: str) -> dict[str, Any]:
    """Return the schema of a command's output, for example of "data show"."""
    kind = OUTPUTS[words]
    return {"$schema": DIALECT, "title": f"smidgen {words} --json", **_schema(kind)}


def _schema(kind: Any) -> dict[str, Any]:
    """The schema of a type: a `TypedDict`, a list, a dictionary by text, a choice, or a plain one."""
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if is_typeddict(kind):
        return _object(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return {**_schema(inner[0]), "description": inner[1]}
    if origin is Literal:
        return {"enum": [*inner]}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(inner[1])}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each) for each in inner]}
    raise TypeError(f"{kind} has no schema; add a case for it")


def _object(kind: Any) -> dict[str, Any]:
    fields = get_type_hints(kind, include_extras=True)
    return {
        "type": "object",
        "description": kind.__doc__,
        "properties": {name: _schema(each) for name, each in fields.items()},
        "required": [*fields],
        "additionalProperties": False,
    }
