"""The header of a C export, and the functions that it declares."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smidgen.exporters.c_input import ENTRIES
from smidgen.foreign_text import c_string, in_c_comment
from smidgen.model import QuantizedModel
from smidgen.spec.shapes import product


def header_text(
    quantized: QuantizedModel, name: str, entry: str, form: str, memory: str, ram: int, flash: str, body: str
) -> str:
    """Return the header; with `body`, a single one that also defines its functions.

    Args:
        quantized: The network.
        name: The first part of every name.
        entry: The type of the numbers that the functions take.
        form: How weights are stored.
        memory: The type of the memory, as C.
        ram: The bytes of the memory.
        flash: "BYTES how they were found".
        body: The definitions of a single header, else "".
    """
    guard, shape = f"{name.upper()}_H", "x".join(map(str, quantized.input_shape))
    flash_bytes, _, how = flash.partition(" ")
    what = in_c_comment(str(quantized.input))
    begin, end = ("", "") if body else ('#ifdef __cplusplus\nextern "C" {\n#endif\n', "#ifdef __cplusplus\n}\n#endif\n")
    functions = prefixed(body, name) if body else f"{_names(quantized, name, extern=True)}\n{_prototypes(name)}"
    return f"""{declarations(quantized, form)}
#ifndef {guard}
#define {guard}
#include <stdint.h>

#define {name.upper()}_INPUTS {product(quantized.input_shape)} /* {shape}: channels, rows, columns */
#define {name.upper()}_CLASSES {len(quantized.class_names)}
#define {name.upper()}_RAM_BYTES {ram} /* computed: {name}_scratch; an input and the stack come on top */
#define {name.upper()}_FLASH_BYTES {flash_bytes} /* {how} */

{begin}
/* {what[:1].upper() + what[1:]}. Channel by channel, each row by row. */
typedef {ENTRIES[entry]} {name}_input;

typedef struct {{
    {_count(memory)} made, first;
}} {name}_rows;

/* The memory of one call. */
{memory}

{functions}
{end}
#endif
"""


def declarations(quantized: QuantizedModel, form: str) -> str:
    """Return the comment at the head of a file."""
    names = in_c_comment(", ".join(quantized.class_names))
    return f"/* Made by Smidgen, form {form}: {quantized.spec}\n   Classes: {names} */"


def memory_type(name: str, cell: str, words: int, count: str, entries: int) -> str:
    """Return the type of the memory of a call, as C."""
    return f"""typedef struct {{
    {cell} memory[{words}];
    {name}_rows progress[{entries}]; /* {count} */
}} {name}_scratch;"""


def _count(memory: str) -> str:
    return memory.partition("/* ")[2].partition(" */")[0]


def _names(quantized: QuantizedModel, name: str, *, extern: bool) -> str:
    if extern:
        return f"extern const char *const {name}_class_names[{name.upper()}_CLASSES];"
    texts = ", ".join(map(c_string, quantized.class_names))
    return f"const char *const {name}_class_names[{name.upper()}_CLASSES] = {{{texts}}};"


def _prototypes(name: str) -> str:
    return f"""
/* The class of an input, from 0; of equals the first. It uses static memory: one call at a time. */
int {name}_class(const {name}_input *input);

/* The same, and what the network gives each class, the larger the likelier; `scores` may be a null pointer. */
int {name}_classify(const {name}_input *input, float *scores);

/* The same in memory that the caller gives, whatever it holds. */
int {name}_classify_in({name}_scratch *scratch, const {name}_input *input, float *scores);
"""


def calls_text(
    quantized: QuantizedModel, name: str, single: bool, *, result: str, unit: str, first: Sequence[str]
) -> str:
    """Return the exported functions.

    Args:
        quantized: The network.
        name: The first part of their names.
        single: Whether they stand in a header.
        result: Where the logits lie, as C.
        unit: What a logit is multiplied by.
        first: Statements before an input is read.
    """
    kind = "static inline " if single else ""
    is_one = quantized.spec.output_shape(quantized.input_shape)[0] == 1
    best, scores = (_one_output if is_one else _outputs)(name, result, "" if unit == "1.0f" else f" * {unit}")
    lines = "".join(f"{line}\n" for line in first)
    return f"""{"static " if single else ""}{_names(quantized, name, extern=False)}

static int best(SCRATCH *scratch, const input_type *input)
{{
{best.format(run=f"{lines}    run(scratch, input);")}
}}

static SCRATCH own;

{kind}int {name}_class(const {name}_input *input)
{{
    return best(&own, input);
}}

{kind}int {name}_classify_in({name}_scratch *scratch, const {name}_input *input, float *scores)
{{
    const int found = best(scratch, input);
{scores}
    return found;
}}

{kind}int {name}_classify(const {name}_input *input, float *scores)
{{
    return {name}_classify_in(&own, input, scores);
}}
"""


def _outputs(name: str, result: str, times: str) -> tuple[str, str]:
    """Return what finds the class, with {run} where the network runs, and what writes the scores."""
    best = f"""    int i, found = 0;
{{run}}
    for (i = 1; i < {name.upper()}_CLASSES; i++)
        if ({result}[i] > {result}[found])
            found = i;
    return found;"""
    scores = f"""    int i;
    if (scores)
        for (i = 0; i < {name.upper()}_CLASSES; i++)
            scores[i] = (float){result}[i]{times};"""
    return best, scores


def _one_output(_name: str, result: str, times: str) -> tuple[str, str]:
    """Return the same for one output, which is the second class's score if the first's is zero."""
    scores = f"""    if (scores) {{
        scores[0] = 0.0f;
        scores[1] = (float)*{result}{times};
    }}"""
    return f"{{run}}\n    return *{result} > 0;", scores


_DEFINED = re.compile(
    r"#define (\w+)|^enum \{ (.+) \}|^\} (\w+);|^typedef \S+ (.+);|^static .*?(\w+)[\[(;=]|"
    r"^static (?:const )?\w+ (\w+)",
    re.MULTILINE,
)


def prefixed(body: str, name: str) -> str:
    """Put a name before every name that a body defines, so that a single header meets no others."""
    words: set[str] = set()
    for found in _DEFINED.finditer(body):
        words |= {word for group in found.groups() if group for word in re.findall(r"\w+", group)}
    own = {word for word in words if not word.lower().startswith(f"{name.lower()}_") and not word.isdigit()}
    pattern = re.compile(rf"\b({'|'.join(sorted(own, key=len, reverse=True))})\b")
    return pattern.sub(lambda match: f"{name.upper() if match[0].isupper() else name}_{match[0]}", body)
