"""Flat plans of residuals and repeats, strides and padding, by hand and against torch; limits."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import SpecError
from smidgen.spec import (
    MAX_LAYERS,
    MAX_VALUES,
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    NetSpec,
    Pointwise,
    PReLU,
    Repeat,
    Residual,
    lifetimes,
    parse_spec,
    same_padding,
)
from spec_strategies import residuals


def inputs_of(text, shape=(4, 8, 8)):
    return [plan.inputs for plan in parse_spec(text).plan(shape)]


def test_a_chain_reads_the_layer_before():
    assert inputs_of("prelu, repeat 2 [prelu, dropout 0], dense 3") == [(-1,), (0,), (1,), (2,), (3,), (4,)]


def test_an_add_reads_the_block_and_then_the_shortcut():
    assert inputs_of("prelu, residual [prelu, prelu], prelu") == [(-1,), (0,), (1,), (2, 0), (3,)]
    assert inputs_of("residual [prelu]") == [(-1,), (0, -1)]
    assert inputs_of("residual [prelu | prelu, prelu]") == [(-1,), (-1,), (1,), (0, 2)]
    assert inputs_of("residual [residual [prelu], prelu]") == [(-1,), (0, -1), (1,), (2, -1)]
    assert inputs_of("repeat 2 [residual [prelu]]") == [(-1,), (0, -1), (1,), (2, 1)]


def test_the_block_of_a_residual_is_planned_before_its_shortcut():
    text = "residual [conv 8x3x3 stride 2 same, batchnorm | pointwise 8 stride 2 nobias] relu6"
    plans = parse_spec(text).plan((4, 9, 9))
    assert list(map(str, (plan.layer for plan in plans))) == [
        "conv 8x3x3 stride 2 same",
        "batchnorm",
        "pointwise 8 stride 2 nobias",
        "add relu6",
    ]
    assert plans[-1].layer == Add(0.0, 6.0)
    assert [plan.output_shape for plan in plans] == 4 * [(8, 5, 5)]
    assert plans[-1].input_shape == (8, 5, 5)
    assert parse_spec(text).parameters((4, 9, 9)) == (8 * 4 * 9 + 8) + 16 + 32


def test_rounds_of_residuals_and_of_repeats_use_the_first_weights():
    plans = parse_spec("repeat 2 [residual [repeat 2 [conv 4x3x3 same], prelu]]").plan((4, 8, 8))
    assert [plan.source for plan in plans] == [None, 0, None, None, 0, 0, 2, None]
    assert sum(plan.parameters for plan in plans) == 4 * 4 * 9 + 4 + 4


@pytest.mark.parametrize(
    ("text", "shape", "output"),
    [
        ("conv 2x3x3 stride 2 same", (1, 28, 27), (2, 14, 14)),
        ("conv 2x3x3 stride 2", (1, 28, 27), (2, 13, 13)),
        ("conv 2x1x9 stride 1x4 same", (3, 1, 130), (2, 1, 33)),
        ("pointwise 3 stride 2x5", (1, 7, 10), (3, 4, 2)),
        ("depthwise 3x3 shared 2 stride 3", (5, 8, 9), (5, 2, 3)),
        ("maxpool 3 stride 2", (2, 8, 9), (2, 3, 4)),
        ("avgpool 1x4", (2, 1, 19), (2, 1, 4)),
        ("maxpool 2 stride 3x1", (2, 9, 9), (2, 3, 8)),
        ("crelu", (3, 2, 2), (6, 2, 2)),
    ],
)
def test_shapes_by_hand(text, shape, output):
    assert parse_spec(text).output_shape(shape) == output


def test_costs_by_hand():
    plan = parse_spec("depthwise 3x3 shared 2 same").plan((5, 4, 4))[0]
    assert (plan.weight_shape, plan.bias_count, plan.macs) == ((2, 1, 3, 3), 5, 5 * 9 * 16)
    plan = parse_spec("conv 4x3x5 stride 2 same nobias").plan((3, 8, 8))[0]
    assert (plan.parameters, plan.macs) == (4 * 3 * 15, 4 * 3 * 15 * 16)
    assert parse_spec("crelu, residual [crelu, pointwise 2]").macs((1, 4, 4)) == 2 * 4 * 16


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (28, 3, 1, (1, 1)),
        (28, 4, 1, (1, 2)),
        (28, 3, 2, (0, 1)),
        (27, 3, 2, (1, 1)),
        (5, 1, 2, (0, 0)),
        (4, 9, 4, (2, 3)),
    ],
)
def test_padding_by_hand(size, kernel, stride, padding):
    """TensorFlow's formula: total = max((ceil(n / s) - 1) * s + k - n, 0), the smaller half first."""
    assert same_padding(size, kernel, stride) == padding


# --- memory -----------------------------------------------------------------------------------


def test_a_residual_keeps_its_input_while_its_block_is_computed():
    spec, shape = parse_spec("pointwise 2, residual [pointwise 8, pointwise 2], pointwise 1"), (1, 10, 10)
    assert [(life.first, life.last, life.values) for life in lifetimes(spec.plan(shape), shape)] == [
        (0, 0, 100),
        (0, 3, 200),
        (1, 2, 800),
        (2, 3, 200),
        (3, 4, 200),
        (4, 4, 100),
    ]
    assert spec.activation_count(shape) == 200 + 800 + 200


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["pointwise 7", "crelu", "maxpool 2", "prelu", "dense 9"]), min_size=1, max_size=6))
def test_a_chain_needs_the_largest_sum_of_input_and_output(pieces):
    try:
        plans = parse_spec(", ".join(pieces)).plan((2, 16, 16))
    except SpecError:
        return
    sizes = [2 * 16 * 16, *(plan.output_shape[0] * plan.output_shape[1] * plan.output_shape[2] for plan in plans)]
    most = max(a + b for a, b in pairwise(sizes))
    assert parse_spec(", ".join(pieces)).activation_count((2, 16, 16)) == most


# --- against torch ----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.data(), st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9)))
def test_residuals_have_torchs_shapes_and_parameters(data, shape):
    torch = pytest.importorskip("torch")
    from smidgen.engine import torch_engine

    layers, value = [], shape
    for _ in range(data.draw(st.integers(1, 3))):
        layers.append(data.draw(residuals(value)))
        value = NetSpec(tuple(layers)).output_shape(shape)
    spec = NetSpec((*layers, Dense(3)))
    assert parse_spec(str(spec)) == spec
    module = torch_engine.module_of(spec, shape)
    assert sum(parameter.numel() for parameter in module.parameters()) == spec.parameters(shape)
    with torch.no_grad():
        assert module(torch.zeros(2, *shape)).shape == (2, 3)


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("residual [pointwise 3]", "adds a map of 3x8x8 of its layers to a map of 4x8x8 of its shortcut; make them"),
        ("residual [conv 4x3x3]", "a map of 4x6x6 of its layers to a map of 4x8x8"),
        ("residual [dense 4]", "adds 4 values of its layers to a map of 4x8x8"),
        ("depthwise 3x3 shared 5", "shares 5 kernels among 4 channels; share at most 4"),
        ("avgpool 9x1", "'avgpool 9x1' is given a map of 8x8; use a smaller pool"),
        ("repeat 2 [residual [pointwise 4 stride 2 | pointwise 5 stride 2]]", "adds a map of 4x4x4 of its layers to"),
        (
            "repeat 2 [crelu, pointwise 4, crelu]",
            "'pointwise 4' is repeated with weights of shape 4x8x1x1 and then 4x16",
        ),
        ("repeat 2 [depthwise 3x3 shared 2 same, crelu], dense 2", None),
    ],
)
def test_layers_that_do_not_fit_are_refused(text, message):
    if message is None:
        assert parse_spec(text).plan((4, 8, 8))
        return
    with pytest.raises(SpecError, match=message):
        parse_spec(text).plan((4, 8, 8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dense 3, crelu", "ends in 6 values"),
        ("dense 2 relu, crelu", "the last layer 'crelu' must give logits"),
        ("dense 4, residual [dense 4] relu", "the last layer 'add relu' must give logits"),
        ("dense 4 relu6", "the last layer 'dense 4 relu6' must give logits"),
    ],
)
def test_a_network_that_gives_no_logits_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(text).check_head((1, 8, 8), 4)


def test_a_residual_may_be_the_last_layer():
    parse_spec("dense 4, residual [dense 4 relu]").check_head((1, 8, 8), 4)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Dense(0)], "a Dense has units of 0; give 1 to 67,108,864"),
        ([Dense(10**5000)], r"a Dense has units of over 2\^16609; give 1 to"),
        ([Conv(2, (3, 0))], "a Conv has kernel of 0"),
        ([Conv(2, (12, 3))], "has a kernel of 12; give at most 11"),
        ([Pointwise(2, stride=(64, 1))], "has a stride of 64"),
        ([Depthwise((3, 3), shared=-1)], "shares -1 kernels"),
        ([AvgPool(0)], "a AvgPool has window of 0"),
        ([Dense(2, slope=0.1, ceiling=6.0)], "only relu6"),
        ([BatchNorm(slope=0.0, ceiling=5.0)], "only relu6"),
        ([Residual((), (PReLU(),))], "a residual has no layers"),
    ],
)
def test_layers_that_cannot_be_are_refused(layers, message):
    with pytest.raises(SpecError, match=message):
        NetSpec(tuple(layers)).plan((1, 8, 8))


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        (
            "repeat 1000 [prelu, prelu, prelu, prelu, prelu]",
            (1, 8, 8),
            "has 5,000 layers with repeats written out; the",
        ),
        ("repeat 1000 [repeat 1000 [repeat 1000 [prelu]]]", (1, 8, 8), "has 1,000,000,000 layers"),
        (
            "conv 65x1x1",
            (1, 1024, 1024),
            "'conv 65x1x1' takes the values of one map to 68,157,440, and the most are 67,",
        ),
        ("dense 20000000", (1, 8, 8), "takes the parameters to 1,280,000,000, and the most are 268,435,456"),
        (
            "dense 16384, dense 16000, dense 16000",
            (1, 1, 1),
            "the network has 518,208,768 parameters, and the most are",
        ),
        (
            "prelu",
            (1, 2**14, 2**14),
            "an input of 1 x 16,384 x 16,384 cannot be; each size is at least 1 and their pro",
        ),
        ("prelu", (1, 0, 5), "an input of 1 x 0 x 5 cannot be"),
        ("prelu", (1, 10**5000, 5), r"an input of 1 x over 2\^16609 x 5 cannot be"),
        ("repeat 900 [conv 64x11x11 same]", (64, 1000, 1000), "multiply-accumulates, and the most are 281,474,976,"),
    ],
)
def test_plans_that_are_too_large_are_refused_at_once(text, shape, message):
    began = time.process_time()
    with pytest.raises(SpecError, match=message):
        parse_spec(text).plan(shape)
    assert time.process_time() - began < 1


def test_brackets_made_in_python_nest_three_deep():
    layer = PReLU()
    for _ in range(3):
        layer = Repeat(2, (layer,))
    assert len(NetSpec((layer,)).plan((1, 2, 2))) == 8
    with pytest.raises(SpecError, match="brackets nest deeper than 3"):
        NetSpec((Residual((layer,)),)).plan((1, 2, 2))


def test_the_largest_plan_is_planned():
    spec = parse_spec("repeat 1000 [prelu, prelu, prelu, prelu], repeat 96 [prelu]")
    assert len(spec.plan((1, 1, 1))) == MAX_LAYERS
    assert parse_spec("prelu").plan((1, 2**13, 2**13))[0].output_shape == (1, 2**13, 2**13)
    assert MAX_VALUES == 2**13 * 2**13
