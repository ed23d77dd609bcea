"""The `.smidgen` file: a network in as few bytes as we can, and decodable without us. `docs/format.md` is exact.

    2 bytes     what it is, and the version
    the rest    one stream of decisions (`rangecoder.py`): input, layers, class names, then each tensor's grid
                and levels
    2 or 4      a checksum of all before it; 4 in files of 4,096 bytes and more

Every flip of one bit is found by the checksum, and so is every cut: the writer tries them all.
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
from smidgen.model.coding.range_coder import Decoder, Encoder
from smidgen.model.coding.spec_coding import read_spec, write_spec
from smidgen.model.coding.tensor_stream import TensorStream
from smidgen.model.model import Model, tensor_shapes
from smidgen.model.quantized import QuantizedModel, Tensor, check_tensor, dequantize, same
from smidgen.model.safetensors_file import load_safetensors
from smidgen.spec import NetSpec, Shape

MAGIC = 0xB5
VERSION, USUAL_NIBBLE = 1, 5
"""The second byte: the version in its low half; its high half is free, and 5 unless a cut of the file would pass."""
START_BYTES = 2
LARGE_BYTES = 4096
MOST_WEIGHTS = 2**26
MOST_NAME_BYTES = 2**12
FEW_WEIGHTS = 2**13


@dataclass(frozen=True)
class Part:
    """So many bits of a file are for this."""

    name: str
    bits: float


# --- network -> file --------------------------------------------------------------------------


def save_smidgen(quantized: QuantizedModel, path: Path) -> int:
    """Write a file, decode it again, compare; only then does it take its name.

    Returns:
        the length of the file in bytes.

    Raises:
        ModelFileError: a network that cannot be stored, or a place that cannot hold it.
    """

    def check(draft: Path) -> None:
        if not same(decode(draft.read_bytes()), quantized):
            raise ModelFileError(
                f"{path}: what was read back is not what was written; nothing was kept: check the disk"
            )

    return write_checked(path, encode(quantized), check)


def encode(quantized: QuantizedModel) -> bytes:
    """The file's bytes; the same network gives the same ones.

    Raises:
        ModelFileError: the tensors are not the network's, or something is out of the format's bounds.
    """
    _check(quantized)
    return _sealed(min((_stream_of(quantized, *coders) for coders in _whole_coders(quantized)), key=len))


def _whole_coders(quantized: QuantizedModel) -> list[tuple[str, str]]:
    """What "auto" is tried as, of weights and of the rest.

    Tensor by tensor is greedy: of few weights, one set of models for all may be shorter.
    """
    few = sum(tensor.levels.size for tensor in quantized.tensors.values()) < FEW_WEIGHTS
    wholes = [(weights, rest) for weights in ("adaptive", "neighbours") for rest in ("auto", "rising", "adaptive")]
    return [("auto", "auto"), *(wholes if few else [])]


def _stream_of(quantized: QuantizedModel, weights: str, rest: str) -> bytes:
    encoder, tensors = Encoder(), TensorStream()
    write_spec(encoder, quantized.spec, quantized.input_shape)
    _write_names(encoder, quantized.class_names)
    for name, tensor in quantized.tensors.items():
        coder = weights if name.endswith(".weight") else rest
        if coder == "rising" and not is_rising(tensor.levels):
            coder = "adaptive"
        tensors.write(encoder, name, replace(tensor, coder=coder) if tensor.coder == "auto" else tensor)
    return encoder.finish()


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
    if weights > MOST_WEIGHTS:
        raise ModelFileError(f"the network has {weights:,} weights; a .smidgen file holds at most {MOST_WEIGHTS:,}")


def _write_names(encoder: Encoder, names: tuple[str, ...]) -> None:
    """One bit where the names are 0, 1, 2, ..."""
    encoder.number(names != _numbers(len(names)), 1)
    if names == _numbers(len(names)):
        return
    for name in names:
        text = name.encode()
        if len(text) > MOST_NAME_BYTES:
            raise ModelFileError(f"the class name '{name[:40]}...' has {len(text)} bytes; give a shorter one")
        encoder.growing(len(text), 3)
        for byte in text:
            encoder.number(byte, 8)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


# --- the checksum ----------------------------------------------------------------------------


def checksum(content: bytes, width: int) -> bytes:
    """Of two bytes: CRC-16 (polynomial 0x1021, start 0xFFFF); of four: CRC-32 as zlib has it. High byte first."""
    return crc_hqx(content, 0xFFFF).to_bytes(2) if width == 2 else zlib.crc32(content).to_bytes(4)


def checksum_width(file_bytes: int) -> int:
    """The bytes of the checksum in a file of this length."""
    return 2 if file_bytes < LARGE_BYTES else 4


def _sealed(stream: bytes) -> bytes:
    """Start, stream and checksum. By chance a cut passes once in 65,536: the next free nibble changes them all."""
    for free in range(16):
        content = bytes([MAGIC, (USUAL_NIBBLE + free) % 16 << 4 | VERSION]) + stream
        whole = content + checksum(content, checksum_width(len(content) + 2))
        if not _a_cut_passes(whole):
            break
    return whole


def _a_cut_passes(whole: bytes) -> bool:
    """Whether some beginning of the file ends in its own checksum."""
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
        return _read(path.read_bytes())
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}; give a .smidgen file") from error
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error


def open_model(path: Path) -> Model:
    """The network in a .smidgen or a .safetensors file, in full precision.

    Raises:
        ModelFileError: no such file, or not such a file.
    """
    return dequantize(load_smidgen(path)) if path.suffix.lower() == ".smidgen" else load_safetensors(path)


def decode(content: bytes) -> QuantizedModel:
    """The network in a file's bytes.

    Raises:
        ModelFileError: it is not such a file, or it was damaged; the message says at which byte.
    """
    return _read(content)[0]


def size_report(content: bytes) -> list[Part]:
    """Where the bits of a file went, in its order; together they are all of it."""
    return _read(content)[1]


def _read(content: bytes) -> tuple[QuantizedModel, list[Part]]:
    stream, marks = _stream(content), [Part("start", 0.0)]
    decoder = Decoder(stream, first=START_BYTES)
    spec, input_shape = read_spec(decoder)
    shapes = _shapes(decoder, spec, input_shape)
    marks.append(Part("input and layers", decoder.bits_read))
    class_names = _read_names(decoder, spec.output_shape(input_shape)[0])
    marks.append(Part("class names", decoder.bits_read))
    tensors, reader = {}, TensorStream()
    for name, shape in shapes.items():
        grid = reader.read_grid(decoder, name, shape)
        marks.append(Part(f"{name} grid", decoder.bits_read))
        tensors[name] = reader.read_levels(decoder, name, shape, grid)
        marks.append(Part(f"{name} levels", decoder.bits_read))
        _check_read(decoder, name, tensors[name])
    decoder.finish()
    return QuantizedModel(spec, input_shape, class_names, tensors), _parts(marks, len(content))


def _stream(content: bytes) -> bytes:
    """What lies between the start and a checksum that is right."""
    if len(content) < START_BYTES or content[0] != MAGIC:
        raise ModelFileError(f"at byte 0 there is {content[:2].hex() or 'nothing'}: this is not a .smidgen file")
    if content[1] % 16 != VERSION:
        raise ModelFileError(
            f"at byte 1 the file says version {content[1] % 16}; this program reads version {VERSION}: get a newer one"
        )
    width = checksum_width(len(content))
    end = len(content) - width
    if end < START_BYTES or checksum(content[:end], width) != content[end:]:
        raise ModelFileError(f"at byte {max(end, 0)} the checksum is wrong: the file was cut or damaged; get it again")
    return content[START_BYTES:end]


def _shapes(decoder: Decoder, spec: NetSpec, input_shape: Shape) -> dict[str, tuple[int, ...]]:
    """The tensors that the file must have; nothing is set aside before their sizes were looked at."""
    try:
        spec.check_head(input_shape)
    except SpecError as error:
        raise decoder.error(f"has a network that cannot be ({error})") from error
    weights = sum(plan.parameters + plan.running_stats for plan in spec.plan(input_shape))
    most = min(MOST_WEIGHTS, decoder.decisions_left)
    if weights > most:
        raise decoder.error(f"has a network of {weights} weights; a file of this length holds at most {most}")
    return tensor_shapes(spec, input_shape)


def _read_names(decoder: Decoder, classes: int) -> tuple[str, ...]:
    if not decoder.number(1):
        return _numbers(classes)
    return tuple(_read_name(decoder) for _ in range(classes))


def _read_name(decoder: Decoder) -> str:
    count = decoder.growing(3, MOST_NAME_BYTES, "class name")
    text = bytes(decoder.number(8) for _ in range(count))
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
    """Marks are where each part ends, in bits of the stream."""
    width = checksum_width(file_bytes)
    stream_bits = 8.0 * (file_bytes - START_BYTES - width)
    parts = [Part(mark.name, mark.bits - before.bits) for before, mark in pairwise(marks)]
    rest = Part("end of the stream", stream_bits - marks[-1].bits)
    return [Part("what it is", 8.0 * START_BYTES), *parts, rest, Part("checksum", 8.0 * width)]
