"""Paired tests and straight lines, against scipy."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.studies.statistics import Paired, fit, paired


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 14), (120, 85), (300, 300)])
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert Paired(gained, lost, 10_000).p_value == pytest.approx(expected, rel=1e-9)


def test_a_pair_is_counted_image_by_image() -> None:
    labels = np.array([0, 1, 2, 3, 4])
    pair = paired(np.array([0, 1, 2, 0, 0]), np.array([0, 0, 0, 0, 4]), labels)
    assert pair == Paired(gained=2, lost=1, total=5)
    assert pair.difference == pytest.approx(0.2)
    low, high = Paired(120, 80, 10_000).interval()
    # Agresti 2002, eq. 10.2: the variance of p12 - p21 is ((p12 + p21) - (p12 - p21)^2) / n.
    half = 1.959964 * ((0.02 - 0.004**2) / 10_000) ** 0.5
    assert [low, high] == pytest.approx([0.004 - half, 0.004 + half], rel=1e-5)


def test_a_line_and_what_it_explains() -> None:
    from scipy.stats import linregress

    x, y = [1.0, 2.0, 4.0, 8.0], [0.2, 0.5, 0.4, 0.9]
    line, expected = fit(x, y), linregress(x, y)
    assert line.slope == pytest.approx(expected.slope)
    assert line.r_squared == pytest.approx(expected.rvalue**2)
    assert fit(x, [3.0] * 4).r_squared == pytest.approx(1.0)
