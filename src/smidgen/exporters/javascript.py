"""Writes a network as a JavaScript module, or as a web page of one file; both hold the bytes of its `.smidgen` file.

The module decodes the bytes and runs the network with the program in `js/runtime/`. It has no dependency.

The parts of a program are ES modules that run as they are; an export joins them, without imports and comments.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template

from smidgen.atomic_files import write_checked
from smidgen.errors import ModelFileError
from smidgen.model import QuantizedModel, decode, encode, equal_networks

JS_MARK = "// Made by Smidgen"
HTML_MARK = "<!-- Made by Smidgen"
"""The beginnings of the files."""


RUNTIME_PARTS = (
    *("stream", "checksum", "layers", "plan", "numbers", "levels", "tensors", "input", "forward", "network"),
)
"""The modules of the program that decodes and runs a network, each after those that it imports."""


@cache
def runtime() -> str:
    """Return the program that decodes and runs a network: an ES module that exports `open`."""
    return f"{runtime_body()}\nexport {{ open }};"


@cache
def runtime_body() -> str:
    """Return the program without its export; its last function is `open`."""
    return joined([_resource(f"runtime/{name}.mjs") for name in RUNTIME_PARTS])


@cache
def picture_program() -> str:
    """Return the functions of `js/picture.mjs`, which turn what is drawn into values, for a script of a page."""
    return joined([_resource("picture.mjs")])


def joined(modules: Sequence[str]) -> str:
    """Join ES modules to one scope, without imports, exports, comments and indentation.

    Args:
        modules: The text of each module, after those that it imports. An import stands in one line, a comment in lines
            of its own.
    """
    lines = (line.strip() for module in modules for line in module.splitlines())
    code = (line for line in lines if line and not line.startswith(("//", "import ")))
    return "\n".join(line.removeprefix("export ") for line in code)


def export_js(quantized: QuantizedModel, path: Path) -> int:
    """Write an ES module with a function `classify`, and its TypeScript declarations beside it.

    Args:
        quantized: The network.
        path: The module; the declarations have the same name with the suffix .d.mts.

    Returns:
        The length of the module in bytes.

    Raises:
        ModelFileError: The file cannot be written.
    """
    write_checked(declarations_of(path), _resource("module.d.mts").encode(), Path.read_bytes)
    return write_checked(path, js_module(quantized).encode(), lambda draft: _check(draft, quantized))


def export_html(quantized: QuantizedModel, path: Path) -> int:
    """Write a page of one file on which one draws, or types numbers, and the network answers.

    Returns:
        The length of the page in bytes.

    Raises:
        ModelFileError: The file cannot be written.
    """
    content = encode(quantized)
    title = html.escape(f"{path.stem}: {_parameters(quantized):,} parameters, {len(content):,} bytes")
    module = f"{_inline(_module_of(quantized, content))}\n{picture_program()}"
    page = Template(_resource("page.html")).substitute(title=title, module=module)
    return write_checked(path, f"{HTML_MARK} -->\n{page}".encode(), lambda draft: _check(draft, quantized))


def js_module(quantized: QuantizedModel) -> str:
    """Return the text of the ES module."""
    return _module_of(quantized, encode(quantized))


def _module_of(quantized: QuantizedModel, content: bytes) -> str:
    """Return the module's text; `content` is the network's `.smidgen` file, which takes long to encode."""
    shape = " x ".join(map(str, quantized.input_shape))
    return "\n".join(
        (
            f"{JS_MARK}: {_parameters(quantized)} parameters; input {shape} (channels, height, width).",
            runtime_body(),
            f"const FILE = '{base64.b64encode(content).decode()}';",
            _resource("module_end.mjs").strip(),
            "",
        )
    )


def declarations_of(path: Path) -> Path:
    """Return where the TypeScript declarations of a module stand: NAME.d.mts beside NAME.mjs."""
    return path.with_suffix(".d.mts")


def _parameters(quantized: QuantizedModel) -> int:
    return quantized.spec.parameters(quantized.input_shape)


def _inline(module: str) -> str:
    """Return a module's text for a script element of a page, which exports nothing."""
    lines = (line for line in module.splitlines() if not line.startswith("export default"))
    return "\n".join(line.removeprefix("export ") for line in lines)


def _check(draft: Path, quantized: QuantizedModel) -> None:
    """Check that the written file has the network's bytes in it."""
    text = draft.read_text("utf-8")
    encoded = text.partition("const FILE = '")[2].partition("'")[0]
    if not equal_networks(decode(base64.b64decode(encoded)), quantized):
        raise ModelFileError(f"{draft} does not hold the network that was written; report it")


def _resource(name: str) -> str:
    return files("smidgen.exporters").joinpath("js", name).read_text("utf-8")
