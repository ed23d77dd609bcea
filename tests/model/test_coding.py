"""The coders: what goes in comes out, in as few bytes as theory says, and the bytes never change."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import ModelFileError
from smidgen.model import CODERS, MAX_LEVEL, encode_levels, level_costs
from smidgen.model.coding.coders import FIRST_ORDER, _log2_of_stored, is_rising
from smidgen.model.coding.contexts import MODEL_COUNT, SIGN, as_matrix, decisions, fresh_models, zero_counts
from smidgen.model.coding.huffman import MAX_LENGTH, code_for
from smidgen.model.coding.range_coder import (
    BYPASS,
    FROZEN,
    HALF,
    MAX_SEEN,
    MIN_DECISION_BITS,
    ONE,
    BitModels,
    Decoder,
    Encoder,
)

Levels = npt.NDArray[np.int32]


def laplacian(count: int, scale: float, seed: int, largest: int = MAX_LEVEL) -> Levels:
    values = np.random.default_rng(seed).laplace(0, scale, count)
    return np.clip(np.rint(values), -largest, largest).astype(np.int32)


def entropy_bits(levels: Levels) -> float:
    """Return the entropy of the levels' frequencies."""
    _, counts = np.unique(levels, return_counts=True)
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def written(coder: str, levels: Levels) -> bytes:
    encoder = Encoder()
    CODERS[coder].write(encoder, levels, fresh_models())
    return encoder.finish()


def read(coder: str, content: bytes, shape: tuple[int, ...]) -> Levels:
    rows = shape[0] if len(shape) > 1 else 1
    decoder = Decoder(content)
    levels = CODERS[coder].read(decoder, rows, math.prod(shape) // rows, fresh_models())
    decoder.finish()
    return np.array(levels, np.int32).reshape(shape)


# --- the range coder -------------------------------------------------------------------------


@settings(max_examples=120)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), max_size=400),
    st.lists(st.integers(2**10, ONE - 2**10), min_size=4, max_size=4),
)
def test_decisions_come_back_whatever_their_models(sequence: list[tuple[int, int]], frozen: list[int]) -> None:
    def models() -> BitModels:
        made = BitModels(10)
        for index, probability in enumerate(frozen, 6):
            made.freeze(index, probability)
        return made

    encoder = Encoder()
    encoder.write(models(), [context for context, _ in sequence], [bit for _, bit in sequence])
    content, learned = encoder.finish(), models()
    decoder = Decoder(content)
    assert [decoder.bit(learned, context) for context, _ in sequence] == [bit for _, bit in sequence]
    decoder.finish()


def test_a_carry_goes_through_many_bytes() -> None:
    """Zeros at near certainty push the interval's low end up to the brink of one; then ones, then again."""
    models = BitModels(2)
    models.freeze(1, ONE - 2**10)
    rng = np.random.default_rng(5)
    for _ in range(60):
        bits = (rng.random(3000) < rng.choice([0.001, 0.5, 0.999])).astype(int).tolist()
        encoder = Encoder()
        encoder.write(models, [1] * len(bits), bits)
        decoder = Decoder(encoder.finish())
        assert [decoder.bit(models, 1) for _ in bits] == bits


def test_the_bytes_of_some_decisions_never_change() -> None:
    encoder, models = Encoder(), BitModels(3)
    encoder.write(models, [1, 2] * 40, [1, 0, 0, 0, 1] * 16)
    encoder.uint(0xABC, 12)
    encoder.exp_golomb(1000, 3)
    assert encoder.finish().hex() == "74e49cc7f0a08870ff8e939eb57e"
    assert (models.probability, models.seen) == ([HALF, 1688011, 1687925], [FROZEN, 40, 40])


def test_a_model_learns_as_krichevsky_and_trofimov_say() -> None:
    models, bits = BitModels(2), (np.random.default_rng(0).random(MAX_SEEN) < 0.1).astype(int).tolist()
    encoder = Encoder()
    for seen, bit in enumerate(bits):
        expected = (sum(bits[:seen]) + 0.5) / (seen + 1)
        assert models.probability[1] / ONE == pytest.approx(expected, abs=3e-4)
        encoder.write(models, [1], [bit])


@pytest.mark.parametrize("bit", [0, 1])
def test_no_decision_is_cheaper_than_the_bound_that_guards_the_decoder(bit: int) -> None:
    encoder, models = Encoder(), BitModels(2)
    encoder.write(models, [1] * 20_000, [bit] * 20_000)
    probability = models.probability[1] if bit else ONE - models.probability[1]
    assert 0 < -math.log2(probability / ONE) < 2 * MIN_DECISION_BITS
    assert -math.log2(probability / ONE) > MIN_DECISION_BITS
    assert models.seen[1] == MAX_SEEN


def test_the_end_of_a_stream_costs_a_byte_at_most() -> None:
    rng = np.random.default_rng(1)
    for count in range(1, 200):
        encoder = Encoder()
        encoder.uint(int(rng.integers(2**62)) >> (62 - min(count, 62)), min(count, 62))
        assert len(encoder.finish()) <= math.ceil(min(count, 62) / 8)


@pytest.mark.parametrize("order", [0, 1, 3, 8])
def test_a_growing_number_is_as_long_as_exp_golomb_says(order: int) -> None:
    for value in (0, 1, 2, 7, 8, 255, 256, 65_535):
        encoder = Encoder()
        encoder.exp_golomb(value, order)
        decoder = Decoder(encoder.finish())
        assert decoder.exp_golomb(order, 65_535, "number") == value
        width = (value + 2**order).bit_length()
        assert decoder.bits_read == pytest.approx(2 * width - 1 - order, abs=0.02)


def test_a_number_that_is_too_large_is_refused_and_said_where() -> None:
    encoder = Encoder()
    encoder.exp_golomb(1001, 2)
    content = encoder.finish()
    with pytest.raises(ModelFileError, match=r"at byte \d+ the file has a width of 1001; the most is 1000"):
        Decoder(content).exp_golomb(2, 1000, "width")
    with pytest.raises(ModelFileError, match="at byte 6 the file has a width of more than 3"):
        Decoder(b"\0" * 4, first=2).exp_golomb(0, 3, "width")


def test_a_stream_that_ends_too_soon_or_too_late_is_refused() -> None:
    levels = laplacian(500, 3, 0)
    content = written("adaptive", levels)
    with pytest.raises(ModelFileError, match=f"at byte {len(content) - 6} the file ends before its last weight"):
        read("adaptive", content[:-6], levels.shape)
    with pytest.raises(ModelFileError, match="6 bytes after its last weight"):
        read("adaptive", content + b"123456789", levels.shape)
    with pytest.raises(ModelFileError, match="four bytes that no encoder writes"):
        Decoder(b"\xff" * 8)


# --- the coders of levels --------------------------------------------------------------------

some_levels = st.one_of(
    st.integers(-3, 3), st.just(0), st.integers(-200, 200), st.sampled_from([MAX_LEVEL, -MAX_LEVEL, 2**15, -(2**15)])
)
small_levels = st.one_of(st.integers(-9, 9), st.just(0))


@st.composite
def coded_levels(draw: st.DrawFn, coder: str) -> Levels:
    """Levels that the coder may be given, as a vector or a matrix."""
    kind = small_levels if coder in ("huffman", "gaps") else draw(st.sampled_from([some_levels, small_levels]))
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    levels = np.array(draw(st.lists(kind, min_size=rows * columns, max_size=rows * columns)), np.int32)
    shape = (rows, columns) if draw(st.booleans()) else (rows * columns,)
    return (np.sort(levels) if coder == "rising" else levels).reshape(shape)


def check_levels(coder: str, levels: Levels) -> None:
    if coder == "rising" and not is_rising(levels):
        assert CODERS[coder].bits(levels, zero_counts()) == math.inf
    else:
        assert np.array_equal(read(coder, written(coder, levels), levels.shape), levels)


@pytest.mark.parametrize("coder", CODERS)
@settings(max_examples=40)
@given(data=st.data())
def test_levels_come_back(coder: str, data: st.DataObject) -> None:
    check_levels(coder, data.draw(coded_levels(coder)))


@pytest.mark.slow
@pytest.mark.parametrize("coder", CODERS)
@settings(max_examples=2000)
@given(data=st.data())
def test_levels_come_back_thousands_of_times(coder: str, data: st.DataObject) -> None:
    check_levels(coder, data.draw(coded_levels(coder)))


def test_what_rises_by_more_than_a_level_can_be_is_not_rising() -> None:
    assert is_rising(np.array([[-1, MAX_LEVEL - 1], [MAX_LEVEL, MAX_LEVEL]], np.int32))
    assert not is_rising(np.array([-1, MAX_LEVEL], np.int32))
    assert not is_rising(np.array([1, 0], np.int32))


def test_levels_that_rise_beyond_the_largest_are_refused_at_once() -> None:
    encoder, models = Encoder(), fresh_models()
    encoder.exp_golomb(0, FIRST_ORDER)
    steps = np.full(5000, MAX_LEVEL, np.int32)
    contexts, bits = decisions(steps, neighbours=False)
    encoder.write(models, contexts[contexts != SIGN].tolist(), bits[contexts != SIGN].tolist())
    with pytest.raises(ModelFileError, match=f"a level of {2 * MAX_LEVEL}; the most is {MAX_LEVEL}"):
        read("rising", encoder.finish(), (5001,))


@pytest.mark.parametrize("coder", CODERS)
def test_what_a_coder_would_take_is_what_it_takes(coder: str) -> None:
    for count, scale, keep in ((40, 2.0, 1.0), (3000, 4.0, 1.0), (20_000, 1.5, 0.1))[: 1 if coder == "rising" else 3]:
        levels = laplacian(count, scale, count)
        levels[np.random.default_rng(count).random(count) > keep] = 0
        matrix = (np.sort(levels) if coder == "rising" else levels).reshape(10, -1)
        size_bits = 8 * len(written(coder, matrix))
        assert CODERS[coder].bits(matrix, zero_counts()) == pytest.approx(size_bits, rel=0.02, abs=24)


PINNED = {
    "adaptive": "11962f05b72e3c541bf6ba073941f741718e78cd517a663a17",
    "neighbours": "114c6dd60ece17a53a759ed474869ef17155a740f1789d93",
    "fixed": "7b7eefd4db2b91f6fd4db2b555555555555555555552b91f6fd4db2b91f6fd40",
    "huffman": "7a96f557d75756ea6d00d0841753680685ffffe8420ba9b40342105d4da0",
    "gaps": "ecfb76ffe7fe7bff7807fbff7a979779797978ba704acc574e095915662ba704acc574e0",
    "static": "e33379d3bfbbb7bbbbf8319403c01e2d2665a7b69f637630c08776e9c96bd74c",
    "rising": "7be6dafa95094534",
}


@pytest.mark.parametrize("coder", CODERS)
def test_the_bytes_of_some_levels_never_change(coder: str) -> None:
    levels = (np.arange(60) * 37 % 11 - 5).astype(np.int32)
    levels[20:40] = 0
    levels = np.sort(levels) if coder == "rising" else levels
    assert written(coder, levels.reshape(3, 20)).hex() == PINNED[coder]


def test_the_logarithms_of_stored_probabilities_have_the_same_bits_everywhere() -> None:
    found = _log2_of_stored()
    exact = [math.log2((2 * n + 1) / 512) for n in range(256)]
    assert (np.abs(found - exact) <= np.spacing(np.abs(exact))).all()
    assert hashlib.sha256(found.astype("<f8").tobytes()).hexdigest()[:16] == "80dedda4cc8a5122"


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 12.0, 50.0])
@pytest.mark.parametrize("coder", ["adaptive", "neighbours", "static"])
def test_large_tensors_take_two_percent_more_than_their_entropy_at_most(coder: str, scale: float) -> None:
    levels = laplacian(60_000, scale, 7).reshape(200, 300)
    assert entropy_bits(levels) < 8 * len(written(coder, levels)) < 1.02 * entropy_bits(levels) + 300


def test_neighbours_is_shorter_where_zeros_stand_together() -> None:
    levels = laplacian(40_000, 3, 3).reshape(200, 200)
    levels[:, 50:150] = 0
    assert len(written("neighbours", levels)) < 0.95 * len(written("adaptive", levels))


def test_gaps_are_shorter_than_huffman_where_most_levels_are_zero() -> None:
    levels = laplacian(20_000, 3, 3).reshape(100, 200)
    levels[np.random.default_rng(0).random(levels.shape) < 0.95] = 0
    assert len(written("gaps", levels)) < 0.5 * len(written("huffman", levels))


def test_the_contexts_are_of_models_that_exist_and_of_one_place_each() -> None:
    levels = np.array([[0, 1, -1, 2, -3, 7, -8, 100, MAX_LEVEL, -MAX_LEVEL]], np.int32)
    for neighbours in (False, True):
        contexts, bits = decisions(levels, neighbours)
        assert contexts.min() == BYPASS
        assert contexts.max() < MODEL_COUNT
        assert set(bits.tolist()) == {0, 1}
    assert as_matrix(np.zeros((4, 3, 2, 2), np.int32)).shape == (4, 12)
    assert as_matrix(np.zeros(5, np.int32)).shape == (1, 5)


# --- rates -----------------------------------------------------------------------------------


def test_the_costs_of_levels_add_up_to_the_tensor() -> None:
    levels = laplacian(20_000, 2, 1, largest=15)
    costs = level_costs(levels, largest=15)
    assert costs.shape == (31,)
    assert costs[15] == costs.min()
    assert costs[levels + 15].sum() == pytest.approx(CODERS["adaptive"].bits(levels, zero_counts()), rel=0.01)
    assert 0.98 < (2.0**-costs).sum() <= 1.0 + 1e-9


def test_levels_alone_are_one_stream_of_the_adaptive_coder() -> None:
    levels = laplacian(300, 3, 2)
    assert np.array_equal(read("adaptive", encode_levels(levels), (300,)), levels)


# --- Huffman ---------------------------------------------------------------------------------


def shortest_bits(counts: list[int]) -> int:
    """The cost of an optimal code: the sum of all joined groups (Huffman 1952), by plain sorting."""
    groups, total = sorted(count for count in counts if count), 0
    if len(groups) == 1:
        return groups[0]
    while len(groups) > 1:
        joined = groups[0] + groups[1]
        total += joined
        groups = sorted([joined, *groups[2:]])
    return total


@settings(max_examples=200)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any))
def test_a_huffman_code_is_the_shortest(counts: list[int]) -> None:
    code = code_for(np.array(counts))
    assert code.is_valid
    assert sum(count * length for count, length in zip(counts, code.lengths, strict=True)) == shortest_bits(counts)
    table = {format(value, f"0{length}b"): symbol for (length, value), symbol in code.codes().items()}
    assert sorted(table.values()) == [symbol for symbol, count in enumerate(counts) if count]
    assert not [a for a in table for b in table if a != b and b.startswith(a)]


def test_a_huffman_code_is_never_longer_than_its_table_can_say() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    code = code_for(np.array(fibonacci))
    assert max(code.lengths) <= MAX_LENGTH
    assert code.is_valid
