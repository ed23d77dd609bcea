"""Network texts, shapes and counts: round trips, closed forms, torch's own shapes, messages."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smidgen.errors import RequestError, SpecError
from smidgen.spec import NetSpec, classes_of, outputs_for, parse_spec
from smidgen.spec.families import FAMILIES, family
from spec_strategies import LAYERS, SPECS, shrunk

MNIST = (1, 28, 28)
TEACHER = "conv 32x3x3 relu, conv 64x3x3 relu, maxpool 2, dropout 0.25, dense 128 relu, dropout 0.5, dense 10"


# --- text <-> spec ----------------------------------------------------------------------------


@settings(deadline=None)
@given(SPECS)
def test_a_text_reads_back_as_the_same_network(spec):
    assert parse_spec(str(spec)) == spec
    assert str(parse_spec(str(spec))) == str(spec)


@settings(deadline=None)
@given(SPECS, SPECS)
def test_different_networks_have_different_texts(one, other):
    assert (one == other) == (str(one) == str(other))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("  conv 2x3x3   relu ,dense 10", "conv 2x3x3 relu, dense 10"),
        ("maxpool 2, flatten, dense 10 linear", "maxpool 2, dense 10"),
        ("conv 2x3x3 valid, conv 2x3x5 same", "conv 2x3x3, conv 2x3x5 same"),
        ("dense 4 leaky_relu(0)", "dense 4 relu"),
        ("dropout 0.50, dropout 0, dropout 1e-5", "dropout 0.5, dropout 0, dropout 1e-05"),
        ("batchnorm leaky_relu(0.1234567)", "batchnorm leaky_relu(0.1234567)"),
        ("repeat  2[dense 4  relu ,flatten,prelu ], dense 1", "repeat 2 [dense 4 relu, prelu], dense 1"),
        ("repeat 1 [depthwise 3x3 nobias], repeat 3 [prelu]", "repeat 1 [depthwise 3x3 nobias], repeat 3 [prelu]"),
        ("conv 2x3x3 stride 2x2 valid relu6", "conv 2x3x3 stride 2 relu6"),
        ("conv 2x1x9 stride 1x2 same nobias", "conv 2x1x9 stride 1x2 same nobias"),
        ("pointwise 2 stride 1, pointwise 02 stride 3x1 relu", "pointwise 2, pointwise 2 stride 3x1 relu"),
        ("depthwise 3x3 shared 3 stride 2 same relu", "depthwise 3x3 shared 3 stride 2 same relu"),
        ("maxpool 2x2 stride 2x2, avgpool 1x4 stride 1x4", "maxpool 2, avgpool 1x4"),
        ("maxpool 3 stride 2, avgpool 25x5 stride 5x2", "maxpool 3 stride 2, avgpool 25x5 stride 5x2"),
        ("residual[prelu,crelu|crelu ] relu6", "residual [prelu, crelu | crelu] relu6"),
        ("residual [repeat 2 [residual [prelu]]]", "residual [repeat 2 [residual [prelu]]]"),
        ("repeat 2 [repeat 3 [prelu]]", "repeat 2 [repeat 3 [prelu]]"),
    ],
)
def test_a_network_is_printed_in_one_form(text, printed):
    assert str(parse_spec(text)) == printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the network text is empty; give for example"),
        ("dense 10,, dense 10", "unknown layer ''"),
        ("dens 10", r"unknown layer 'dens 10'; known: conv, .* \(did you mean 'dense'\?\)"),
        ("conv 3x3", "cannot read layer 'conv 3x3'; write it like 'conv 2x3x3 relu'"),
        ("conv 2x3x3 relu same", "cannot read layer 'conv 2x3x3 relu same'"),
        ("dense 10 tanh", "cannot read layer 'dense 10 tanh'; write it like 'dense 10'"),
        ("conv 0x3x3", "'conv 0x3x3' has a size of 0; give at least 1"),
        ("maxpool 0", "'maxpool 0' has a size of 0; give at least 1"),
        ("depthwise 3x12", "'depthwise 3x12' has a kernel of 12; give at most 11 .or 63 where the other side is 1."),
        ("conv 2x64x1", "'conv 2x64x1' has a kernel of 64; give at most 63"),
        ("conv 2x3x3 stride 64", "has a stride of 64; give at most 63"),
        ("conv 2x3x3 stride 0", "has a size of 0; give at least 1"),
        ("conv 2x3x3 same stride 2", "cannot read layer 'conv 2x3x3 same stride 2'"),
        ("depthwise 3x3 shared 0", "has a size of 0; give at least 1"),
        ("maxpool 2x2x2", "cannot read layer 'maxpool 2x2x2'; write it like 'maxpool 2'"),
        ("crelu relu", "cannot read layer 'crelu relu'"),
        ("add relu", "unknown layer 'add relu'"),
        ("residual []", "unknown layer ''"),
        ("residual [prelu | ]", "unknown layer ''"),
        ("residual [ | prelu]", "unknown layer ''"),
        ("residual [flatten]", "has no layers beside a bar or bracket"),
        ("residual [prelu | prelu | prelu]", "has 2 bars; give at most one"),
        ("prelu | prelu", "cannot read layer 'prelu | prelu'"),
        ("repeat 2 [prelu | prelu]", "cannot read layer 'prelu | prelu'"),
        ("residual 2 [prelu]", "cannot read layer 'residual 2 .prelu.'; write it like 'residual .conv"),
        (f"dense {'9' * 4301}", "has a size of a number of 4,301 digits; give at most 67,108,864"),
        (f"dense {2**26 + 1}", "has a size of 67108865; give at most 67,108,864"),
        (f"dense 1 leaky_relu({'1' * 5000})", "where a number from 0 to below 1 is needed"),
        (f"maxpool {'9' * 50}x2", "has a size of a number of 50 digits"),
        ("dropout 1", "'dropout 1' has '1' where a number from 0 to below 1 is needed; give for example 0.25"),
        ("dropout -0.5", "has '-0.5' where a number from 0 to below 1 is needed"),
        ("dropout 1.2.3", "has '1.2.3' where a number from 0 to below 1 is needed"),
        ("dense 4 leaky_relu(1.0)", "has '1.0' where a number from 0 to below 1 is needed"),
        ("prelu 2", "cannot read layer 'prelu 2'; write it like 'prelu'"),
        ("prelu relu", "cannot read layer 'prelu relu'"),
        ("repeat 0 [prelu]", "'repeat 0 .prelu.' has a size of 0; give at least 1"),
        ("repeat 1001 [prelu]", "'repeat 1001 .prelu.' repeats 1001 times; give at most 1000"),
        (
            "repeat 2 prelu",
            "cannot read layer 'repeat 2 prelu'; write it like 'repeat 2 .depthwise 3x3 same, pointwise",
        ),
        ("repeat [prelu]", "cannot read layer 'repeat .prelu.'"),
        ("repeat 2 [prelu", "'repeat 2 .prelu' has unbalanced brackets"),
        ("repeat 2 prelu]", "'repeat 2 prelu.' has unbalanced brackets"),
        ("repeat 2 [residual [repeat 2 [residual [prelu]]]]", "has brackets 4 deep; nest at most 3"),
        ("]repeat 2 [prelu", "has unbalanced brackets"),
        ("repeat 2 [dens 4]", "unknown layer 'dens 4'"),
        ("repeat 2 []", "unknown layer ''"),
    ],
)
def test_a_wrong_text_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(text)


# --- counts -----------------------------------------------------------------------------------

CLOSED_FORMS = {
    "mlp1": lambda n: n**2 + 796 * n + 10,
    "mlp2": lambda n: n**2 + 208 * n + 10,
    "cnn1": lambda n: 1170 * n**2 + 56 * n + 10,
    "cnn2": lambda n: 63 * n**2 + 335 * n + 10,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families_have_the_parameters_of_their_closed_forms(name):
    counted = [family(name, width).parameters(MNIST) for width in range(1, 65)]
    assert counted == [CLOSED_FORMS[name](width) for width in range(1, 65)]


def test_the_published_counts():
    assert parse_spec(TEACHER).parameters(MNIST) == 1_199_882
    assert family("cnn1", 32).layers[0] == parse_spec(TEACHER).layers[0]
    assert family("cnn1", 32).parameters(MNIST) == 1_199_882
    assert family("cnn2", 2).parameters(MNIST) == 932
    assert parse_spec("dense 300 relu, dense 100 relu, dense 10").parameters(MNIST) == 266_610
    lenet5 = "conv 20x5x5, maxpool 2, conv 50x5x5, maxpool 2, dense 500 relu, dense 10"
    assert parse_spec(lenet5).parameters(MNIST) == 431_080


def test_running_statistics_are_stored_and_not_trained():
    """The first network of the reduce-cnn document: 3,418 trained, 3,578 in all."""
    spec = parse_spec(
        "conv 32x4x4 relu, maxpool 2, batchnorm, maxpool 2, batchnorm, conv 16x2x2 relu, maxpool 2, batchnorm, dense 10"
    )
    assert spec.parameters(MNIST) == 3_418
    assert spec.parameters(MNIST) + sum(plan.running_stats for plan in spec.plan(MNIST)) == 3_578


def test_a_repeat_counts_parameters_once_and_macs_each_time():
    """Each batch norm of each round has its own parameters."""
    shape, block = (4, 6, 6), "depthwise 3x3 same, pointwise 4 relu, batchnorm, prelu"
    once, thrice = (parse_spec(f"repeat {times} [{block}], dense 10") for times in (1, 3))
    assert once.plan(shape) == parse_spec(f"{block}, dense 10").plan(shape)
    assert once.parameters(shape) == (36 + 4) + (16 + 4) + 8 + 4 + 1450
    assert thrice.parameters(shape) == once.parameters(shape) + 2 * 8
    assert thrice.macs(shape) - 1440 == 3 * (once.macs(shape) - 1440) == 3 * (36 * 36 + 36 * 16 + 2 * 144)
    assert sum(plan.running_stats for plan in thrice.plan(shape)) == 24


def test_later_rounds_have_the_weights_of_the_first():
    plans = parse_spec("prelu, repeat 3 [conv 2x3x3 same, maxpool 1, prelu, batchnorm], dense 2").plan((2, 4, 4))
    assert [plan.source for plan in plans] == [None] * 5 + 2 * [1, None, 3, None] + [None]
    for plan in plans:
        if plan.source is not None:
            first = plans[plan.source]
            assert plan.parameters == 0 < first.parameters
            assert (plan.layer, plan.weight_shape, plan.bias_count) == (
                first.layer,
                first.weight_shape,
                first.bias_count,
            )


def test_a_repeat_without_shared_weights_may_change_the_shape():
    assert parse_spec("repeat 2 [maxpool 2]").output_shape((3, 8, 8)) == (3, 2, 2)
    assert parse_spec("repeat 2 [dense 4, dense 4]").parameters((4, 1, 1)) == 40
    assert parse_spec("repeat 3 [depthwise 3x3, batchnorm]").output_shape((3, 8, 8)) == (3, 2, 2)


def test_macs_and_activation_counts_by_hand():
    spec = parse_spec("conv 2x3x3 relu, maxpool 2, dense 10")
    assert spec.macs((1, 6, 6)) == 2 * 9 * 16 + 2 * 2 * 2 * 10
    assert spec.activation_count((1, 6, 6)) == 36 + 2 * 4 * 4


def test_fans_are_kerass():
    plans = parse_spec("conv 4x3x5, depthwise 3x3, pointwise 6, batchnorm, dense 10").plan((2, 9, 9))
    assert [plan.fan for plan in plans] == [(30, 60), (9, 36), (4, 6), (0, 0), (6 * 5 * 3, 10)]


@settings(deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=4), st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12)))
def test_shapes_and_counts_are_those_of_torchs_modules(layers, input_shape):
    torch = pytest.importorskip("torch")
    from smidgen.engine import torch_engine

    spec = NetSpec(tuple(map(shrunk, layers)))
    try:
        plans = spec.plan(input_shape)
    except SpecError:
        assume(False)
    module = torch_engine.module_of(spec, input_shape).eval()
    assert sum(parameter.numel() for parameter in module.parameters()) == spec.parameters(input_shape)
    assert sum(buffer.numel() for buffer in module.buffers()) == sum(plan.running_stats for plan in plans)
    channels, height, width = spec.output_shape(input_shape)
    with torch.no_grad():
        assert module(torch.zeros(2, *input_shape)).shape == (2, channels * height * width)


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maxpool 4, conv 2x5x3", "'conv 2x5x3' has a kernel of 5x3 and is given a map of 2x2; use a smaller kernel"),
        ("maxpool 9", "'maxpool 9' is given a map of 8x8; use a smaller pool"),
        ("dense 4, avgpool 2", "'avgpool 2' is given a map of 1x1"),
        ("flatten", "the network has no layers; end it with a dense layer"),
        ("repeat 2 [conv 3x3x3 same]", "'conv 3x3x3 same' is repeated with weights of shape 3x1x3x3 and then 3x3x3x3;"),
        (
            "repeat 2 [dense 4]",
            "'dense 4' is repeated with weights of shape 4x64 and then 4x4; repeat layers that keep",
        ),
        ("repeat 5 [depthwise 3x3]", "'depthwise 3x3' has a kernel of 3x3 and is given a map of 2x2"),
        (
            "repeat 2 [pointwise 2, batchnorm]",
            "'pointwise 2' is repeated with weights of shape 2x1x1x1 and then 2x2x1x1",
        ),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(text).plan((1, 8, 8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dense 9", "the network ends in 9 values and the data has 10 classes; end it with 'dense 10'"),
        ("conv 10x3x3", "the network has no head: it ends in a map of 10x6x6"),
        ("dense 10 relu", "the last layer 'dense 10 relu' must give logits"),
        ("dense 10, batchnorm relu, dropout 0.5", "the last layer 'batchnorm relu' must give logits"),
        ("dense 10, prelu", "the last layer 'prelu' must give logits"),
        ("dense 10, repeat 2 [dense 10 relu]", "the last layer 'dense 10 relu' must give logits"),
    ],
)
def test_a_network_that_gives_no_logits_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(text).check_head((1, 8, 8), 10)


def test_a_head_needs_parameters():
    with pytest.raises(SpecError, match="'globalavgpool' has no parameters to train; end it with 'dense 10'"):
        parse_spec("globalavgpool").check_head((10, 8, 8), 10)


def test_heads_that_fit():
    for text in (
        "dense 10",
        "dense 10, batchnorm",
        "dense 3 relu, dense 10, dropout 0.5",
        "conv 10x3x3, globalavgpool",
        "dense 10, repeat 2 [prelu, dense 10]",
    ):
        parse_spec(text).check_head((1, 8, 8), 10)


def test_one_output_is_enough_for_two_classes_and_for_no_other_number():
    for text in ("dense 1", "dense 2", "pointwise 1, globalavgpool", "dense 3 relu, dense 1 nobias"):
        parse_spec(text).check_head((1, 8, 8), 2)
        parse_spec(text).check_head((1, 8, 8))
    assert parse_spec("dense 1").parameters((30, 1, 1)) == parse_spec("dense 1").macs((30, 1, 1)) + 1 == 31
    assert [outputs_for(classes) for classes in (2, 3, 10)] == [1, 3, 10]
    assert [classes_of(outputs) for outputs in (1, 2, 3, 10)] == [2, 2, 3, 10]
    assert str(family("mlp1", 3, 2)) == "dense 3 relu, dense 3 relu, dense 1"


@pytest.mark.parametrize(
    ("text", "classes", "message"),
    [
        ("dense 1", 3, "ends in 1 value and the data has 3 classes; one output stands for two classes; end it with"),
        ("dense 3", 2, "ends in 3 values and the data has 2 classes; end it with 'dense 1' or 'dense 2'"),
        ("conv 1x3x3", 2, "ends in a map of 1x6x6; end it with 'dense 1' or 'dense 2'"),
        ("dense 1", 1, "a network tells two or more classes apart and was given 1; give more classes"),
        ("dense 1 relu", 2, "the last layer 'dense 1 relu' must give logits"),
    ],
)
def test_one_output_that_fits_no_classes_is_refused(text, classes, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(text).check_head((1, 8, 8), classes)


def test_unknown_families_and_widths_are_refused():
    with pytest.raises(
        RequestError,
        match=r"no family 'cnn3' \(did you mean 'cnn\d'\?\); known: mlp1, mlp2, cnn1, cnn2, ds-cnn, ",
    ):
        family("cnn3", 2)
    with pytest.raises(RequestError, match="width=0 must be at least 1"):
        family("cnn2", 0)
