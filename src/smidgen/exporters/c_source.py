"""Exports a network as C99 without dependencies or malloc, for microcontrollers and any other CPU.

    int NAME_class(const NAME_input *input);                         the class of an input in the user's units
    int NAME_classify(const NAME_input *input, float *scores);       the same, and what the network gives each class
    int NAME_classify_in(NAME_scratch *, const NAME_input *, float *)  the same in memory that the caller gives

A path that ends in .c gets a header beside it; one that ends in .h is a single header. The form says how the source
stores the weights:

    float     float32
    levels    one byte per weight, two where levels need it; a sum is multiplied by the step of its row
    levels4   half a byte per weight
    coded     range-coded levels as in the `.smidgen` file, decoded into RAM by the first call
    integer   one byte per weight and per intermediate value: no floating point (Jacob et al. 2018, arXiv 1712.05877).
              Training inputs determine its scales, and its classes can differ from the decoded network's.

Weights without a uniform grid, and all biases, are float32 in every form but the last, which rounds weights to one byte
and a step per row. All maps are windows of few rows in one block of memory (`smidgen.exporters.schedule`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smidgen.atomic_files import cannot_write, draft_files, write_checked
from smidgen.errors import ModelFileError, RequestError
from smidgen.exporters.c_float import float_parts
from smidgen.exporters.c_header import calls_text, declarations, header_text, memory_type
from smidgen.exporters.c_input import entry_of
from smidgen.exporters.c_integer import integer_parts
from smidgen.exporters.c_layers import KINDS, POOLING, number_type, table_text
from smidgen.exporters.c_text import Parts, float_text, sections
from smidgen.foreign_text import c_identifier, check_c_include
from smidgen.model import QuantizedModel

FORMS = {
    "float": "float32",
    "levels": "one byte per weight",
    "levels4": "half a byte per weight",
    "coded": "range-coded levels, decoded at start",
    "integer": "one byte per weight and per value: no floating point",
}
"""How the C source stores the weights."""

Inputs = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class CProgram:
    """The texts of a C export.

    Attributes:
        name: The first part of every name in it.
        source: The source; of a single header "".
        header: The header.
        ram_bytes: The static memory that it uses, an input not included.
        constant_bytes: The weights and tables in flash; the code comes on top.
    """

    name: str
    source: str
    header: str
    ram_bytes: int
    constant_bytes: int


def export_c(
    quantized: QuantizedModel,
    path: Path,
    form: str = "float",
    inputs: Inputs | None = None,
    entry: str | None = None,
    flash: str = "",
) -> int:
    """Write a C source and the header beside it, or a single header.

    Args:
        quantized: The network.
        path: The .c or .h file to write; its stem names the C functions.
        form: A key of `FORMS`.
        inputs: [n, channels, height, width] of the training split as the layers read them, for the form "integer".
        entry: The type of the numbers that the functions take: "float", "int16" or "uint8"; None for the network's own.
        flash: What the header says of flash in place of the bytes of the tables: "BYTES how they were measured".

    Returns:
        The length of the files in bytes.

    Raises:
        RequestError: The form is unknown, needs inputs, or cannot store the weights; or `path` ends otherwise.
        ModelFileError: The files cannot be written.
    """
    if path.suffix not in (".c", ".h"):
        raise RequestError(f"{path} is not the name of a C source; give one that ends in .c, or in .h for one header")
    header_path = path.with_suffix(".h")
    check_c_include(header_path.name)
    made = c_program(
        quantized, c_identifier(path.stem), form, inputs, header_path.name, entry, path.suffix == ".h", flash
    )
    texts = {header_path.name: made.header} | ({path.name: made.source} if made.source else {})
    try:
        with draft_files(path.parent, list(texts)) as draft:
            for file, text in texts.items():
                write_checked(draft / file, text.encode(), lambda written, text=text: _check(written, text))  # type: ignore[misc]
    except OSError as error:
        raise ModelFileError(cannot_write(path, error)) from error
    return sum(len(text.encode()) for text in texts.values())


def _check(draft: Path, text: str) -> None:
    if draft.read_bytes() != text.encode():
        raise RequestError("what was read back is not what was written; check the disk")


def c_program(
    quantized: QuantizedModel,
    name: str,
    form: str,
    inputs: Inputs | None = None,
    header: str = "",
    entry: str | None = None,
    single: bool = False,
    flash: str = "",
) -> CProgram:
    """Return the texts of an export; see `export_c`. `header` is the name of the header's file."""
    if form not in FORMS:
        raise RequestError(f"--form {form} is not known; use one of {', '.join(FORMS)}")
    if form == "integer" and inputs is None:
        raise RequestError("--form integer needs training data; give --data")
    entry = entry_of(quantized, entry)
    parts = parts_of(quantized, form, inputs, entry)
    return program_of_parts(parts, quantized, name, form, header, entry, single, flash)


def parts_of(quantized: QuantizedModel, form: str, inputs: Inputs | None, entry: str) -> Parts:
    """Return the parts of a source; `inputs` are needed by the form "integer"."""
    if form == "integer" and inputs is not None:
        parts = integer_parts(quantized, inputs, entry)
    else:
        parts = float_parts(quantized, form, entry)
    _add_functions(parts)
    return parts


def program_of_parts(
    parts: Parts,
    quantized: QuantizedModel,
    name: str,
    form: str,
    header: str = "",
    entry: str = "uint8",
    single: bool = False,
    flash: str = "",
) -> CProgram:
    """Return the texts that are made of parts; see `c_program`."""
    body, memory, constants, ram = _body(quantized, name, form, parts, single)
    flash = flash or f"{constants} the weights and tables alone"
    text = header_text(quantized, name, entry, form, memory, ram, flash, body if single else "")
    source = "" if single else f'{declarations(quantized, form)}\n#include "{header or name + ".h"}"\n\n{body}'
    return CProgram(name, source, text, ram, constants)


def _body(quantized: QuantizedModel, name: str, form: str, parts: Parts, single: bool) -> tuple[str, str, int, int]:
    """Return the definitions, the type of the memory, the bytes of the constants and of the static memory."""
    table, table_bytes = table_text(parts.table.entries)
    schedule, entries = parts.table.schedule, parts.table.entries
    count, count_bytes = number_type([max(buffer.rows for buffer in schedule.buffers) + 1])
    words = -(-schedule.bytes // 4)
    memory = memory_type(name, "int32_t" if form == "integer" else "float", words, count, len(entries))
    texts = [
        *(f"#define {key} {value}" for key, value in _constants(quantized, name, parts, count).items()),
        "enum { " + ", ".join(KINDS) + " };",
        "enum { " + ", ".join(POOLING) + " };",
        *parts.types,
        *sections(parts.sections & {"arithmetic"}, {}),
        *parts.preamble,
        *parts.tables,
        table.replace(
            "\n\n", "\n" + "\n".join(f"#define {key} {value}" for key, value in parts.macros.items()) + "\n\n"
        ),
        *sections(parts.sections - {"arithmetic"}, _replacements(parts, form)),
        calls_text(
            quantized, name, single, result=_result(parts, form), unit=float_text(parts.unit), first=parts.first
        ),
    ]
    ram = words * 4 + -(-2 * count_bytes * len(entries) // 4) * 4
    return _without_unused("\n".join(texts)), memory, parts.constants + table_bytes, ram


def _without_unused(text: str) -> str:
    """Leave out the macros that nothing uses."""
    for _ in range(2):
        words = Counter(re.findall(r"\b[A-Z]\w+", text))
        unused = [word for word, count in words.items() if count == 1]
        text = re.sub(rf"^#define ({'|'.join(unused)})[ (].*\n", "", text, flags=re.MULTILINE) if unused else text
    return text


def _constants(quantized: QuantizedModel, name: str, parts: Parts, count: str) -> dict[str, str]:
    """Return what the template's functions call the types and numbers of this network."""
    channels, height, width = quantized.input_shape
    down, right = (1, width) if parts.table.schedule.transposed else (width, 1)
    return {
        "SCRATCH": f"{name}_scratch",
        "input_type": f"{name}_input",
        "rows": f"{name}_rows",
        "count": count,
        "ENTRIES": str(len(parts.table.entries)),
        "LAST": str(parts.table.places[-1]),
        "INPUT_CHANNELS": str(channels),
        "INPUT_SIZE": str(height * width),
        "INPUT_DOWN": str(down),
        "INPUT_RIGHT": str(right),
        "PIXEL(v, c)": parts.pixel,
    }


_CASES = {
    "READ": "read(l, out, y, input)",
    "CONVOLUTION": "convolve(l, in, out, sums, y)",
    "POOLS": "pool(l, in, out, sums, y)",
    "AFFINE": "affine(l, in, out, sums)",
    "PRELU": "prelu(l, in, out)",
    "CRELU": "crelu(l, in, out, sums)",
    "SUM": "add(l, in,\n            memory + OTHER_FROM(l) + (y + OTHER_BASE(l) - scratch->progress[OTHER(l)].first) * "
    "OTHER_ROW(l),\n            out, sums)",
}
_SECTIONS = {"CONVOLUTION": "convolve", "POOLS": "pool", "AFFINE": "affine", "PRELU": "prelu", "CRELU": "crelu"}


def _add_functions(parts: Parts) -> None:
    """Add the functions of the kinds of layers that the network has."""
    kinds = {str(entry["kind"]) for entry in parts.table.entries}
    parts.sections |= {_SECTIONS[kind] for kind in kinds if kind in _SECTIONS} | {"layer", "rows"}
    if "CONVOLUTION" in kinds:
        parts.sections.add("rows of windows")
    if any(entry["kind"] == "CONVOLUTION" and int(entry["width"]) >= WINDOWS for entry in parts.table.entries):
        parts.sections.add("four")
    is_integer = "integer put" in parts.sections
    if "SUM" in kinds:
        parts.sections.add("integer add" if is_integer else "float add")
    if any(entry.get("gathers") for entry in parts.table.entries):
        parts.sections.add("gathered")
    if is_integer and not any("factors" in entry for entry in parts.table.entries):
        parts.sections = parts.sections - {"integer put"} | {"integer sums"}
    elif is_integer:
        parts.sections.add("integer finish")


def _replacements(parts: Parts, form: str) -> dict[str, str]:
    """Return what stands in the template for the kinds of layers that a network has."""
    stages = [parts.table.entries[place] for place in parts.table.places]
    kinds = [kind for kind in KINDS if any(entry["kind"] == kind for entry in stages)]
    cases = [f"    case {kind}:\n        {_CASES[kind]};\n        break;\n" for kind in kinds]
    posts = {entry["kind"] for place, entry in enumerate(parts.table.entries) if place not in parts.table.places}
    return {
        "KINDS": "".join(cases).rstrip("\n"),
        "WIDE": f"WIDTH(l) - x < {WINDOWS} ? 1 : {WINDOWS}" if "four" in parts.sections else "1",
        "WINDOWS": _FOUR if "four" in parts.sections else _ONE,
        "GATHERED": _GATHERED if "gathered" in parts.sections else "",
        "POSTED": _POSTED.format(call=_post_call(posts)) if posts else "",
        "OTHER": _OTHER if "SUM" in kinds else "",
        "UNIT": _UNIT.format(result=_result(parts, form)) if parts.unit_rows else "",
        "RESULT": _result(parts, form) if form == "integer" else "(total *)0",
    }


WINDOWS = 4
"""How many windows of a row are summed up together."""
_ONE = "                    found[0] = dot(l, from, start, w);"
_FOUR = """                    if (n == 1)
                        found[0] = dot(l, from, start, w);
                    else
                        dots(l, from, found, start, w);"""
_GATHERED = """    if (GATHERS(l)) {
        if (y < HEIGHT(l) - 1)
            return;
        gathered(l, out, sums, POSTS(l) ? 0 : last);
    }
"""
_POSTED = """    for (i = 1; i <= POSTS(l); i++) {{
        const layer *post = l + i;
        {call};
    }}
"""
_OTHER = """            else if (KIND(l) == SUM && scratch->progress[OTHER(l)].made < y + OTHER_REACH(l))
                missing = OTHER(l);
"""
_UNIT = """    for (at = 0; at < CHANNELS(layers + LAST); at++)
        {result}[at] = scaled(layers + ENTRIES - 1, {result}[at], at);
"""


def _post_call(kinds: set[int | str]) -> str:
    calls = {"AFFINE": "affine(post, out, out, i == POSTS(l) ? last : 0)", "PRELU": "prelu(post, out, out)"}
    if len(kinds) == 1:
        return calls[str(*kinds)]
    return f"if (KIND(post) == AFFINE)\n            {calls['AFFINE']};\n        else\n            {calls['PRELU']}"


def _result(parts: Parts, form: str) -> str:
    """Return where the logits lie, as C."""
    last = parts.table.schedule.stages[-1]
    index = len(parts.table.schedule.stages) - 1
    if form == "integer":
        return f"((total *)(scratch)->memory + {parts.table.schedule.totals[index] // 4})"
    assert last.shape[1:] == (1, 1)
    return f"((scratch)->memory + {parts.table.schedule.buffers[index].offset // 4})"
