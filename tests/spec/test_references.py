"""Published networks: their published counts, and texts that read back."""

from __future__ import annotations

import pytest

from smidgen.spec import parse_spec
from smidgen.spec.families import family
from smidgen.spec.references import REFERENCES


@pytest.mark.parametrize(
    ("name", "trained", "stored"),
    [
        ("ds-cnn", 23_756, 24_908),
        ("resnet8", 78_186, 78_666),
        ("mobilenet-0.25", 216_322, 221_794),
        ("tcn", 65_168, 65_824),
    ],
)
def test_published_networks_have_their_published_counts(name, trained, stored):
    """Keras counts these in MLPerf Tiny's reference code at commit 1afd2c9, ResNet-8 with 16 filters.

    Choi et al. 2019, table 1, give 66 K for TC-ResNet8.
    """
    reference = REFERENCES[name]
    spec = family(name, classes=reference.classes)
    plans = spec.plan(reference.input_shape)
    assert spec.parameters(reference.input_shape) == trained == reference.parameters
    assert trained + sum(plan.running_stats for plan in plans) == stored


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("width", [1, 2, 5])
def test_published_networks_have_a_text_at_every_width(name, width):
    spec = family(name, width, 7)
    assert parse_spec(str(spec)) == spec
    spec.check_head(REFERENCES[name].input_shape, 7)
    spec.check_head((1, 64, 64), 7)
