"""The `.smidgen` file: a network in as few bytes as possible. docs/reference/file-format.md specifies it exactly.

    2 bytes     magic number and version
    the rest    one stream of decisions (`coding/range_coder.py`): input, layers, class names, then each tensor's grid
                and levels
    2 or 4      checksum of all bytes before it; 4 in files of 4,096 bytes and more

The checksum detects every flip of one bit and, because the writer tries them all, every truncation.
"""

from __future__ import annotations

import zlib
from binascii import crc_hqx
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from smidgen.atomic_files import write_checked
from smidgen.errors import ModelFileError, SpecError
from smidgen.model.coding.coders import is_rising
from smidgen.model.coding.input_coding import is_first_version, read_input, write_input
from smidgen.model.coding.layer_codes import VERSIONS, version_of
from smidgen.model.coding.range_coder import Decoder, Encoder
from smidgen.model.coding.spec_coding import write_spec
from smidgen.model.coding.spec_reading import read_spec
from smidgen.model.coding.tensor_stream import TensorStream
from smidgen.model.model import Model, check_activations, read_regular, tensor_shapes
from smidgen.model.quantized import QuantizedModel, Tensor, check_tensor, dequantize, equal_networks
from smidgen.model.safetensors_file import load_safetensors
from smidgen.spec import UNSTATED, NetSpec, Shape, classes_of

MAGIC = 0xB5
USUAL_NIBBLE = 5
"""High half of the second byte, unless a truncated file would then pass the checksum; the low half is the version."""
START_BYTES = 2
LARGE_BYTES = 4096
MAX_WEIGHTS = 2**26
MAX_NAME_BYTES = 2**12
MAX_FILE_BYTES = 2**29
"""Longest file that is read: more than the most weights in full precision and the longest names."""
FEW_WEIGHTS = 2**13
"""For networks of fewer weights, `encode` also tries one coder for all tensors instead of one per tensor."""


@dataclass(frozen=True)
class Part:
    """The share of one part of a file.

    Attributes:
        name: what the bits encode, for example "0.weight levels".
        bits: length in bits, fractions included.
    """

    name: str
    bits: float


# --- network -> file --------------------------------------------------------------------------


def save_smidgen(quantized: QuantizedModel, path: Path) -> int:
    """Write a `.smidgen` file; it takes its name once it has been decoded again and compared.

    Returns:
        The length of the file in bytes.

    Raises:
        ModelFileError: the network cannot be stored or `path` cannot be written.
    """

    def check(draft: Path) -> None:
        if not equal_networks(decode(draft.read_bytes()), quantized):
            raise ModelFileError(
                f"{path}: what was read back is not what was written; nothing was kept: check the disk"
            )

    return write_checked(path, encode(quantized), check)


def encode(quantized: QuantizedModel) -> bytes:
    """Encode a network as the bytes of a `.smidgen` file; the same network always gives the same bytes.

    Raises:
        ModelFileError: the tensors are not the network's, or something exceeds a limit of the format.
    """
    _check(quantized)
    streams = (_stream_of(quantized, *coders) for coders in _coder_choices(quantized))
    return _with_checksum(min(streams, key=len), _version(quantized))


def _version(quantized: QuantizedModel) -> int:
    """Version 1 has an image in bytes as its input, the layers of version 1, and an output for each class."""
    has_all_outputs = quantized.spec.output_shape(quantized.input_shape)[0] == len(quantized.class_names)
    is_first = is_first_version(quantized.input) and has_all_outputs
    return version_of(quantized.spec) if is_first else VERSIONS[-1]


def _coder_choices(quantized: QuantizedModel) -> list[tuple[str, str]]:
    """Return the pairs of coders, for weights and for other tensors, that replace "auto"; the shortest file wins.

    Choosing tensor by tensor is greedy: for few weights, one set of models for all can be shorter.
    """
    tensors = quantized.tensors.values()
    few = sum(tensor.levels.size for tensor in tensors) < FEW_WEIGHTS
    few = few and any(tensor.coder == "auto" and tensor.grid is not None for tensor in tensors)
    wholes = [(weights, rest) for weights in ("adaptive", "neighbours") for rest in ("auto", "rising", "adaptive")]
    return [("auto", "auto"), *(wholes if few else [])]


def _stream_of(quantized: QuantizedModel, weights: str, rest: str) -> bytes:
    encoder, tensors = Encoder(), TensorStream()
    _write_description(encoder, quantized)
    for name, tensor in quantized.tensors.items():
        coder = weights if name.endswith(".weight") else rest
        if coder == "rising" and not is_rising(tensor.levels):
            coder = "adaptive"
        tensors.write(encoder, name, replace(tensor, coder=coder) if tensor.coder == "auto" else tensor)
    return encoder.finish()


def _write_description(encoder: Encoder, quantized: QuantizedModel) -> None:
    """Write all but the tensors."""
    write_spec(encoder, quantized.spec, quantized.input_shape, _version(quantized))
    _write_names(encoder, quantized.class_names)
    if _version(quantized) > 1:
        write_input(encoder, quantized.input)


def encode_description(quantized: QuantizedModel) -> bytes:
    """Encode a `.smidgen` file that ends before its tensors, for a program that has their values in another form."""
    encoder = Encoder()
    _write_description(encoder, quantized)
    return _with_checksum(encoder.finish(), _version(quantized))


def _check(quantized: QuantizedModel) -> None:
    try:
        quantized.spec.check_head(quantized.input_shape, len(quantized.class_names))
    except SpecError as error:
        raise ModelFileError(f"the network cannot be stored: {error}") from error
    shapes = tensor_shapes(quantized.spec, quantized.input_shape)
    if list(shapes) != list(quantized.tensors):
        raise ModelFileError(
            f"'{quantized.spec}' has the tensors {', '.join(shapes)} and was given {', '.join(quantized.tensors)}; "
            "give all of them, in the network's order"
        )
    for name, tensor in quantized.tensors.items():
        check_tensor(name, tensor, shapes[name])
    weights = sum(tensor.levels.size for tensor in quantized.tensors.values())
    if weights > MAX_WEIGHTS:
        raise ModelFileError(f"the network has {weights:,} weights; a .smidgen file holds at most {MAX_WEIGHTS:,}")


def _write_names(encoder: Encoder, names: tuple[str, ...]) -> None:
    """Write class names; the names 0, 1, 2, ... take one bit."""
    encoder.uint(names != _numbers(len(names)), 1)
    if names == _numbers(len(names)):
        return
    for name in names:
        text = _utf8(name)
        if len(text) > MAX_NAME_BYTES:
            raise ModelFileError(f"the class name '{name[:40]}...' has {len(text)} bytes; give a shorter one")
        encoder.exp_golomb(len(text), 3)
        for byte in text:
            encoder.uint(byte, 8)


def _utf8(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise ModelFileError(f"the class name {name!a} is not text that UTF-8 can hold; give another name") from None


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


# --- the checksum ----------------------------------------------------------------------------


def checksum(content: bytes, width: int) -> bytes:
    """Return a CRC-16 (polynomial 0x1021, start 0xFFFF) if width is 2, else zlib's CRC-32; the high byte first."""
    return crc_hqx(content, 0xFFFF).to_bytes(2) if width == 2 else zlib.crc32(content).to_bytes(4)


def checksum_width(file_bytes: int) -> int:
    """Return the length of the checksum in a file of this length, in bytes."""
    return 2 if file_bytes < LARGE_BYTES else 4


def _with_checksum(stream: bytes, version: int) -> bytes:
    """Add the start and the checksum.

    One truncation in 65,536 ends in its own checksum by chance; another high half of the second byte changes them all.
    """
    for free in range(16):
        content = bytes([MAGIC, (USUAL_NIBBLE + free) % 16 << 4 | version]) + stream
        whole = content + checksum(content, checksum_width(len(content) + 2))
        if not _truncation_passes(whole):
            break
    return whole


def _truncation_passes(whole: bytes) -> bool:
    """Return whether some truncation of the file ends in its own checksum."""
    short, long = 0xFFFF, 0
    for end in range(len(whole)):
        if end + 2 < min(LARGE_BYTES, len(whole)) and whole[end : end + 2] == short.to_bytes(2):
            return True
        if LARGE_BYTES <= end + 4 < len(whole) and whole[end : end + 4] == long.to_bytes(4):
            return True
        short, long = crc_hqx(whole[end : end + 1], short), zlib.crc32(whole[end : end + 1], long)
    return False


# --- file -> network --------------------------------------------------------------------------


def load_smidgen(path: Path) -> QuantizedModel:
    """Read a `.smidgen` file.

    Raises:
        ModelFileError: the file does not exist or is not a `.smidgen` file; the message gives the byte.
    """
    return load_with_parts(path)[0]


def load_with_parts(path: Path) -> tuple[QuantizedModel, list[Part]]:
    """Read a `.smidgen` file, and say where its bits went.

    Raises:
        ModelFileError: the file does not exist or is not a `.smidgen` file; the message gives the byte.
    """
    try:
        return _read(read_regular(path, MAX_FILE_BYTES))
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}; give a .smidgen file") from error
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except MemoryError as error:
        raise ModelFileError(f"{path} needs more memory than there is; use a machine with more") from error


def open_model(path: Path) -> Model:
    """Read a `.smidgen` or `.safetensors` file in full precision.

    Raises:
        ModelFileError: the file does not exist or is not a network file.
    """
    return dequantize(load_smidgen(path)) if path.suffix.lower() == ".smidgen" else load_safetensors(path)


def decode(content: bytes) -> QuantizedModel:
    """Decode the bytes of a `.smidgen` file.

    Raises:
        ModelFileError: the bytes are not a `.smidgen` file or were damaged; the message gives the byte.
    """
    return _read(content)[0]


def size_report(content: bytes) -> list[Part]:
    """Return the bits of each part of a `.smidgen` file, in the file's order; they add up to the whole file."""
    return _read(content)[1]


def _read(content: bytes) -> tuple[QuantizedModel, list[Part]]:
    stream, marks = _stream(content), [Part("start", 0.0)]
    decoder = Decoder(stream, first=START_BYTES)
    spec, input_shape = read_spec(decoder, content[1] % 16)
    shapes = _shapes(decoder, spec, input_shape)
    marks.append(Part("input and layers", decoder.bits_read))
    class_names = _read_names(decoder, _classes(decoder, spec.output_shape(input_shape)[0], content[1] % 16))
    marks.append(Part("class names", decoder.bits_read))
    described = UNSTATED
    if content[1] % 16 > 1:
        described = read_input(decoder, input_shape)
        marks.append(Part("what the input means", decoder.bits_read))
    tensors, reader = {}, TensorStream()
    for name, shape in shapes.items():
        grid = reader.read_grid(decoder, name, shape)
        marks.append(Part(f"{name} grid", decoder.bits_read))
        tensors[name] = reader.read_levels(decoder, name, shape, grid)
        marks.append(Part(f"{name} levels", decoder.bits_read))
        _check_read(decoder, name, tensors[name])
    decoder.finish()
    return QuantizedModel(spec, input_shape, class_names, tensors, described), _parts(marks, len(content))


def _stream(content: bytes) -> bytes:
    """Return the stream between the start and the checksum, which are checked."""
    if len(content) < START_BYTES or content[0] != MAGIC:
        raise ModelFileError(
            f"at byte 0 there is {content[:2].hex() or 'nothing'}: this is not a .smidgen file; give one that Smidgen "
            "wrote, for example by smidgen compress"
        )
    if content[1] % 16 not in VERSIONS:
        raise ModelFileError(
            f"at byte 1 the file says version {content[1] % 16}, and this program reads versions up to {VERSIONS[-1]}; "
            "install a newer Smidgen"
        )
    width = checksum_width(len(content))
    end = len(content) - width
    if end < START_BYTES or checksum(content[:end], width) != content[end:]:
        raise ModelFileError(f"at byte {max(end, 0)} the checksum is wrong: the file was cut or damaged; get it again")
    return content[START_BYTES:end]


def _shapes(decoder: Decoder, spec: NetSpec, input_shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the file's tensors; sizes are checked before any memory is taken."""
    try:
        spec.check_head(input_shape)
    except SpecError as error:
        raise decoder.error(f"has a network that cannot be ({error})") from error
    check_activations(spec, input_shape, "the file")
    weights = sum(plan.parameters + plan.running_stats for plan in spec.plan(input_shape))
    most = min(MAX_WEIGHTS, decoder.decisions_left)
    if weights > most:
        raise decoder.error(f"has a network of {weights} weights; a file of this length holds at most {most}")
    return tensor_shapes(spec, input_shape)


def _classes(decoder: Decoder, outputs: int, version: int) -> int:
    """Return the number of classes; in version 1 each has an output."""
    if outputs == 1 and version == 1:
        raise decoder.error("has a network of one output, which a file of version 1 cannot have")
    return classes_of(outputs)


def _read_names(decoder: Decoder, classes: int) -> tuple[str, ...]:
    if not decoder.uint(1):
        return _numbers(classes)
    return tuple(_read_name(decoder) for _ in range(classes))


def _read_name(decoder: Decoder) -> str:
    count = decoder.exp_golomb(3, MAX_NAME_BYTES, "class name")
    text = bytes(decoder.uint(8) for _ in range(count))
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise decoder.error("has a class name that is not UTF-8") from None


def _check_read(decoder: Decoder, name: str, tensor: Tensor) -> None:
    try:
        check_tensor(name, tensor, tensor.levels.shape)
    except ModelFileError as error:
        raise decoder.error(f"has a tensor that cannot be ({error})") from error


def _parts(marks: list[Part], file_bytes: int) -> list[Part]:
    """Turn marks (where each part ends, in bits of the stream) into lengths.

    The last part takes the bits that the range coder rounds by at the end of the stream, which can be less than none.
    """
    width = checksum_width(file_bytes)
    stream_bits = 8.0 * (file_bytes - START_BYTES - width)
    marks = [*marks[:-1], Part(marks[-1].name, stream_bits)]
    parts = [Part(mark.name, mark.bits - previous.bits) for previous, mark in pairwise(marks)]
    return [Part("signature", 8.0 * START_BYTES), *parts, Part("checksum", 8.0 * width)]
