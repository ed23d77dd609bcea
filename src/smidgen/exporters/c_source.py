"""Exports a network as C99 without dependencies or malloc (NAME.c and NAME.h), for microcontrollers and any other CPU.

    int NAME_classify(const unsigned char *image);    the class of an image's bytes
    int NAME_classify(const float *input);            of any other input: the class of its values in the user's units

The form says how the source stores the weights:

    float     float32
    levels    one byte per weight, multiplied by its step when it is used
    levels4   half a byte per weight
    coded     range-coded levels as in the `.smidgen` file, decoded into RAM by the first call
    integer   one byte per weight and per intermediate value: no floating point (Jacob et al. 2018, arXiv 1712.05877).
              Training images determine its scales, and its classes can differ from the decoded network's.

All forms but the last compute with the float32 weights of the decoded file; sums are in order of channel, row, column.
Biases whose levels do not fit, and tensors with a codebook, are float32 in every form but the last, which rounds them
to one byte and a step per row.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smidgen.atomic_files import cannot_write, draft_files, write_checked
from smidgen.errors import ModelFileError, RequestError
from smidgen.exporters.arena import arena_of
from smidgen.exporters.c_integer import integer_parts
from smidgen.exporters.c_text import Parts, array, dims, kernels, window
from smidgen.exporters.forward import activation_of, affine_of, arrays_of, reads_bytes
from smidgen.foreign_text import c_identifier, check_c_include, in_c_comment
from smidgen.model import QuantizedModel, Tensor, Uniform, encode_levels, values_of
from smidgen.spec import Add, AvgPool, BatchNorm, CReLU, Dropout, GlobalAvgPool, LayerPlan, MaxPool, PReLU
from smidgen.spec.shapes import product

FORMS = {
    "float": "float32",
    "levels": "one byte per weight",
    "levels4": "half a byte per weight",
    "coded": "range-coded levels, decoded at start",
    "integer": "one byte per weight and per value: no floating point",
}
"""How the C source stores the weights."""
MAX_LEVELS = {"levels": 127, "levels4": 7, "coded": 127}


def export_c(
    quantized: QuantizedModel, path: Path, form: str = "float", images: npt.NDArray[np.uint8] | None = None
) -> int:
    """Write a C source and the header beside it.

    Args:
        quantized: the network.
        path: the .c file to write; its stem names the C functions.
        form: a key of `FORMS`.
        images: uint8 [n, channels, height, width] of the training split, for the form "integer".

    Returns:
        The length of both files in bytes.

    Raises:
        RequestError: the form is unknown, needs images, or cannot store the weights; or `path` does not end in .c.
        ModelFileError: the files cannot be written.
    """
    name, header_path = c_identifier(path.stem), path.with_suffix(".h")
    if path.suffix != ".c":
        raise RequestError(f"{path} is not the name of a C source; give one that ends in .c")
    check_c_include(header_path.name)
    source, header = c_program(quantized, name, form, images, header_path.name)
    texts = {path.name: source, header_path.name: header}
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
    quantized: QuantizedModel, name: str, form: str, images: npt.NDArray[np.uint8] | None = None, header: str = ""
) -> tuple[str, str]:
    """Return the source and its header; see `export_c`. `header` is the name of the header's file."""
    if form not in FORMS:
        raise RequestError(f"--form {form} is not known; use one of {', '.join(FORMS)}")
    if form == "integer" and images is None:
        raise RequestError("--form integer needs training images; give --data")
    parts = (
        integer_parts(quantized, images) if form == "integer" and images is not None else _float_parts(quantized, form)
    )
    return _source(quantized, name, form, parts, header or f"{name}.h"), _header(quantized, name)


# --- the two files ---------------------------------------------------------------------------


def _header(quantized: QuantizedModel, name: str) -> str:
    guard, shape = f"{name.upper()}_H", "x".join(map(str, quantized.input_shape))
    inputs, classes = product(quantized.input_shape), len(quantized.class_names)
    size = "IMAGE_BYTES" if reads_bytes(quantized) else "INPUTS"
    what = "a picture" if reads_bytes(quantized) else in_c_comment(f"an input ({quantized.input})")
    return f"""/* Made by Smidgen: {quantized.spec} */
#ifndef {guard}
#define {guard}

#define {name.upper()}_{size} {inputs} /* {shape}: channels, rows, columns */
#define {name.upper()}_CLASSES {classes}

#ifdef __cplusplus
extern "C" {{
#endif

/* The class of {what}, from 0; of equals the first. It uses static memory: one call at a time. */
int {name}_classify({_argument(quantized)});

#ifdef __cplusplus
}}
#endif

#endif
"""


def _argument(quantized: QuantizedModel) -> str:
    return "const unsigned char *image" if reads_bytes(quantized) else "const float *input"


def _source(quantized: QuantizedModel, name: str, form: str, parts: Parts, header: str) -> str:
    classes, image_bytes = len(quantized.class_names), int(np.prod(quantized.input_shape))
    plans = quantized.spec.plan(quantized.input_shape)
    names = in_c_comment(", ".join(quantized.class_names))
    last, first = (parts.arena.offsets[layer] for layer in (len(plans) - 1, -1))
    result = "logits" if form == "integer" else f"(memory + {last})"
    pieces = [
        f"/* Made by Smidgen, form {form}: {quantized.spec}\n   Classes: {names} */",
        f'#include "{header}"\n#include <stdint.h>',
        *parts.preamble,
        *_sections(parts.sections),
        *parts.tables,
        *_memory(parts, classes, form),
        f"int {name}_classify({_argument(quantized)})\n{{\n    int32_t i, best = 0;",
        *parts.first_calls,
        f"    for (i = 0; i < {image_bytes}; i++)\n        memory[{first} + i] = {parts.pixel};",
        *(f"    {call}" for call in parts.calls),
        f"    for (i = 1; i < {classes}; i++)\n        if ({result}[i] > {result}[best])\n            best = i;",
        "    return (int)best;\n}\n",
    ]
    return "\n".join(pieces)


def _memory(parts: Parts, classes: int, form: str) -> list[str]:
    """Return the static memory of intermediate values."""
    memory = f"static {'int8_t' if form == 'integer' else 'float'} memory[{parts.arena.size}];"
    return [memory, f"static int32_t logits[{classes}];"] if form == "integer" else [memory]


def _sections(wanted: list[str]) -> list[str]:
    """Return the wanted sections of the template, in its order."""
    template = files("smidgen.exporters").joinpath("network.c.txt").read_text()
    parts = re.split(r"/\*@ (.+) \*/\n", template)[1:]
    known = dict(zip(parts[::2], parts[1::2], strict=True))
    return [text for section, text in known.items() if section in wanted]


# --- with floating point ---------------------------------------------------------------------


def _float_parts(quantized: QuantizedModel, form: str) -> Parts:
    plans = quantized.spec.plan(quantized.input_shape)
    parts = Parts(arena_of(plans, quantized.input_shape), pixel="(float)image[i] / 255.0f")
    if not reads_bytes(quantized):
        parts.pixel = _scaled_input(parts, quantized)
    parts.sections.append("float weights" if form == "float" else "level weights")
    if form != "float":
        parts.sections.append("four bits" if form == "levels4" else "eight bits")
    _float_tensors(parts, quantized, form)
    for place, plan in enumerate(plans):
        _float_layer(parts, quantized, place, plan)
    parts.sections.append("float")
    if any(" activated" in call or "activation" in call for call in parts.calls):
        parts.sections.append("float activated")
    return parts


def _scaled_input(parts: Parts, quantized: QuantizedModel) -> str:
    """Add tables of the input's offsets and scales, and return the first layer's input as C."""
    described, value = quantized.input, "input[i]"
    for name, operator, numbers in (("offset", "-", described.offset), ("scale", "*", described.scale)):
        if numbers:
            parts.tables.append(f"static const float input_{name}{array(np.array(numbers, np.float32))};")
            index = f"i / {product(described.shape[1:])}" if len(numbers) > 1 else "0"
            value = f"({value} {operator} input_{name}[{index}])"
    return value


def _float_tensors(parts: Parts, quantized: QuantizedModel, form: str) -> None:
    """Add tables of all tensors but those of batch norms, which become a factor and an offset."""
    plans = quantized.spec.plan(quantized.input_shape)
    tensors = {
        name: tensor
        for name, tensor in quantized.tensors.items()
        if not isinstance(plans[int(name.partition(".")[0])].layer, BatchNorm)
    }
    if form == "float":
        for name, tensor in tensors.items():
            parts.tables.append(f"static const float {_name(name)}{array(values_of(tensor))};")
        return
    _check_fit(tensors, form)
    small = {name: tensor for name, tensor in tensors.items() if _fits(tensor, MAX_LEVELS[form])}
    if form == "coded" and small:
        _range_coded(parts, small)
    first = 0
    for name, tensor in tensors.items():
        if name in small:
            _level_table(parts, name, tensor, form, first)
            first += tensor.levels.size
        else:
            parts.tables.append(f"static const float {_name(name)}_values{array(values_of(tensor))};")
            parts.tables.append(f"static const tensor {_name(name)} = {{{_name(name)}_values, 0, 1}};")


def _check_fit(tensors: dict[str, Tensor], form: str) -> None:
    """Raise RequestError if weights do not fit: float32 in their place would not be the form that was asked for."""
    for name, tensor in tensors.items():
        if name.endswith(".weight") and isinstance(tensor.grid, Uniform) and not _fits(tensor, MAX_LEVELS[form]):
            raise RequestError(
                f"{name} has levels from {tensor.levels.min()} to {tensor.levels.max()}, and --form {form} stores "
                f"-{MAX_LEVELS[form]} to {MAX_LEVELS[form]}; use another form, or quantize to fewer bits"
            )


def _fits(tensor: Tensor, largest: int) -> bool:
    return isinstance(tensor.grid, Uniform) and bool(np.abs(tensor.levels).max(initial=0) <= largest)


def _level_table(parts: Parts, name: str, tensor: Tensor, form: str, first: int) -> None:
    assert isinstance(tensor.grid, Uniform)
    made, levels, steps = _name(name), tensor.levels.ravel(), tensor.grid.steps
    parts.tables.append(f"static const float {made}_steps{array(steps)};")
    at = f"{made}_levels"
    if form == "coded":
        at = f"levels + {first}"
    elif form == "levels":
        parts.tables.append(f"static const int8_t {at}{array(levels)};")
    else:
        halves = np.append(levels, -8)[: len(levels) + len(levels) % 2] + 8
        parts.tables.append(f"static const uint8_t {at}{array(halves[::2] | halves[1::2] << 4)};")
        at = f"(const int8_t *){at}"
    parts.tables.append(f"static const tensor {made} = {{{made}_steps, {at}, {len(steps)}}};")


def _range_coded(parts: Parts, small: dict[str, Tensor]) -> None:
    """Add the range-coded stream, the array it is decoded into, and the call that decodes it once."""
    levels = np.concatenate([tensor.levels.ravel() for tensor in small.values()])
    parts.preamble += [
        f"#define OCTAVES {max(1, int(np.abs(levels).max()).bit_length())}",
        f"static const uint8_t coded{array(np.frombuffer(encode_levels(levels) or bytes(1), np.uint8))};",
        f"static int8_t levels[{len(levels)}];",
    ]
    parts.sections.append("decoder")
    parts.first_calls.append("    if (!reader.range)\n        decode();")


def _float_layer(parts: Parts, quantized: QuantizedModel, place: int, plan: LayerPlan) -> None:
    own = place if plan.source is None else plan.source
    here, there, shape = parts.at(plan.inputs[0]), parts.at(place), dims(plan.input_shape)
    match plan.layer:
        case MaxPool() | AvgPool() | GlobalAvgPool():
            kind = "maxpool" if isinstance(plan.layer, MaxPool) else "avgpool"
            parts.call(f"float {kind}", f"{kind}({parts.between(place, plan)}, {window(plan)});")
        case BatchNorm():
            factor, shift = affine_of(arrays_of(quantized, place, plan))
            parts.tables.append(f"static const float t{place}_factor{array(factor)};")
            parts.tables.append(f"static const float t{place}_shift{array(shift)};")
            factors = f"t{place}_factor, t{place}_shift, {_activation(plan)}"
            parts.call("float affine", f"affine({here}, {there}, {shape}, {factors});")
        case PReLU():
            parts.call("float prelu", f"prelu({here}, {there}, {shape}, {_name(f'{own}.weight')});")
        case CReLU():
            parts.call("float crelu", f"crelu({here}, {there}, {product(plan.input_shape)});")
        case Add():
            other = f"{parts.at(plan.inputs[1])}, {there}, {product(plan.input_shape)}, {_activation(plan)}"
            parts.call("float add", f"add({here}, {other});")
        case Dropout():
            parts.copy(place, plan)
        case _:
            _float_convolution(parts, own, place, plan)


def _float_convolution(parts: Parts, own: int, place: int, plan: LayerPlan) -> None:
    weight, bias = _name(f"{own}.weight"), _name(f"{own}.bias")
    tensors = f"{weight}, {bias if plan.bias_count else weight}, {int(plan.bias_count > 0)}"
    moves = f"{window(plan)}, {kernels(plan)}"
    parts.call("float convolve", f"convolve({parts.between(place, plan)}, {moves}, {tensors}, {_activation(plan)});")


def _activation(plan: LayerPlan) -> str:
    slope, ceiling = activation_of(plan)
    return f"(activation){{{_number(slope)}, {_number(min(ceiling, float(np.finfo(np.float32).max)))}}}"


def _name(tensor: str) -> str:
    place, _, part = tensor.partition(".")
    return f"t{place}_{part}"


def _number(value: float) -> str:
    text = repr(float(np.float32(value)))
    return text + "f"
