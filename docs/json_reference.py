"""Write the JSON schemas of what `--json` prints, and fill `reference/json.md` from them: a hook of the site's build.

    python docs/json_reference.py

writes `docs/reference/schemas/`, after `smidgen.cli.json_types` has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACE = "<!-- outputs -->"
SCHEMAS = Path(__file__).parent / "reference" / "schemas"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put a table of every command's keys in the place that is left for it."""
    return markdown.replace(PLACE, reference()) if page.file.src_uri == "reference/json.md" else markdown


def reference() -> str:
    """The keys of every command's output, in Markdown."""
    from smidgen.cli.json_schema import schema_of
    from smidgen.cli.json_types import OUTPUTS

    return "\n\n".join("\n".join(_section(words, schema_of(words))) for words in OUTPUTS)


def _section(words: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"## smidgen {words} --json\n"
    yield f"[Schema](schemas/{words.replace(' ', '-')}.json)\n"
    yield "| key | type | meaning |\n|---|---|---|"
    yield from _rows("", schema)


def _rows(before: str, schema: dict[str, Any]) -> Iterator[str]:
    """A row for each key, and below it those of the objects that it has."""
    for name, each in schema["properties"].items():
        yield f"| `{before}{name}` | {_type(each)} | {each.get('description', '')} |"
        inner, path = _object(each), f"{before}{name}{'[]' if each.get('type') == 'array' else ''}."
        if inner is not None and "correct" not in inner["properties"]:
            yield from _rows(path, inner)


def _object(schema: dict[str, Any]) -> dict[str, Any] | None:
    options = schema.get("anyOf", [schema])
    found = [_object(each["items"]) if each.get("type") == "array" else each for each in options]
    return next((each for each in found if each and "properties" in each), None)


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f'"{each}"' for each in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if "properties" in schema and "correct" in schema["properties"] and "low" in schema["properties"]:
        return "score"
    return str(schema["type"])


def write_schemas() -> None:
    """Write the schema of each command."""
    from smidgen.cli.json_schema import schema_of
    from smidgen.cli.json_types import OUTPUTS

    SCHEMAS.mkdir(exist_ok=True)
    for words in OUTPUTS:
        text = json.dumps(schema_of(words), indent=2) + "\n"
        (SCHEMAS / f"{words.replace(' ', '-')}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
