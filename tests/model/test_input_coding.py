"""What an input means, in a `.smidgen` file: it reads back exactly, and takes few bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from second_decoder import decode as decode_again
from smidgen.model import Model, as_quantized, decode, encode, size_report
from smidgen.model.coding.input_coding import coded_input, read_input, write_input
from smidgen.model.coding.range_coder import Decoder, Encoder
from smidgen.spec import UNSTATED, InputSpec, parse_spec

numbers = st.floats(-1e6, 1e6, width=32)
steps, exponents = st.integers(-2000, 2000), st.integers(-20, 20)
shorts = st.builds(lambda step, exponent: (step / 2 * 2.0**exponent, 2.0**-exponent), steps, exponents)
pairs = st.one_of(shorts, st.tuples(numbers, st.floats(2.0**-20, 1e6, width=32)))


def coded(input: InputSpec) -> tuple[InputSpec, int]:
    encoder = Encoder()
    write_input(encoder, input)
    content = encoder.finish()
    decoder = Decoder(content)
    found = read_input(decoder, input.shape)
    decoder.finish()
    return found, len(content)


@given(st.lists(pairs, min_size=1, max_size=9), st.sampled_from(["vector", "signal", "image-floats"]), st.booleans())
def test_offsets_and_scales_read_back_exactly(found: list[tuple[float, float]], kind: str, one: bool) -> None:
    shape = (len(found), 1, 1) if kind == "vector" else (len(found), 2, 5)
    offset, scale = zip(*found[: 1 if one else None], strict=True)
    input = InputSpec(kind, shape, offset, scale, axes="time-channels" if kind == "signal" else "")
    assert coded(input)[0] == coded_input(input)


@pytest.mark.parametrize(
    "input",
    [
        InputSpec("image-bytes", (1, 4, 4)),
        UNSTATED,
        InputSpec("signal", (2, 1, 9), axes="channels-time"),
        InputSpec("signal", (2, 1, 9), axes="time-channels"),
        InputSpec("vector", (3, 1, 1)),
    ],
)
def test_kinds_and_axes_read_back(input: InputSpec) -> None:
    found, size_bytes = coded(input)
    assert (found, found.is_stated) == (input, input.is_stated)
    assert size_bytes <= 1


def test_the_range_in_training_is_kept_roughly() -> None:
    vector = InputSpec("vector", (2, 1, 1), (100.0, 0.0), (0.5, 4.0), (94.0, -1.0), (107.0, 0.5))
    found, _ = coded(vector)
    assert (found.low, found.high) == ((92.0, -1.0), (108.0, 1.0))
    picture = InputSpec("image-floats", (1, 4, 4), low=(-0.97,), high=(0.99,))
    assert coded(picture)[0].byte_unit == ("-1..1", -1.0, 1.0)
    assert coded(InputSpec("image-floats", (1, 4, 4), low=(-2.0,), high=(3.0,)))[0].byte_unit is None


def test_a_column_takes_about_a_byte() -> None:
    random = np.random.default_rng(0)
    exponents = random.integers(-4, 5, 30)
    offset = tuple(float(k) / 2 * 2.0**e for k, e in zip(random.integers(0, 16, 30), exponents, strict=True))
    described = InputSpec("vector", (30, 1, 1), offset, tuple(2.0**-e for e in map(float, exponents)))
    assert coded(described)[1] <= 45


SIGNAL = InputSpec("signal", (2, 1, 6), (0.5, 0.0), (2.0, 0.25), (-1.0, 0.0), (4.0, 8.0), "time-channels")


@pytest.mark.parametrize(
    ("input", "version"), [(SIGNAL, 2), (InputSpec("image-bytes", (2, 1, 6)), 1), (InputSpec("vector", (12, 1, 1)), 2)]
)
def test_a_file_keeps_it_and_a_second_decoder_reads_it(input: InputSpec, version: int) -> None:
    spec = parse_spec("dense 2")
    model = Model(spec, input.shape, ("0", "1"), np.arange(26, dtype=np.float32), input=input)
    content = encode(as_quantized(model))
    found = decode(content)
    assert content[1] % 16 == version
    assert found.input == coded_input(input) or version == 1
    names = [part.name for part in size_report(content)]
    assert ("what the input means" in names) == (version == 2)
    again = decode_again(content)["meaning"]
    assert again["kind"] == (input.kind if version == 2 else "image-bytes")
    assert (again["offset"], again["scale"]) == (list(input.offsets), list(input.scales))
