"""What a C program takes, known before a network is trained."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from exported_networks import NETWORKS, network_with_grids, some_images
from quantized_networks import networks
from smidgen.errors import RequestError
from smidgen.exporters import c_program, export_c, nanoseconds_by_c, program_size
from smidgen.exporters.c_integer import _factor
from smidgen.exporters.program_cost import COST_FORMS, nominal_network, nominal_parts, program_cost
from smidgen.exporters.schedule import schedule_of
from smidgen.spec import NetSpec, Shape, parse_spec

A_NETWORK = parse_spec("conv 4x3x3 relu, maxpool 2, dense 12 relu, dense 10")


def said_of_ram(header: str) -> int:
    found = re.search(r"NET_RAM_BYTES (\d+)", header)
    assert found is not None
    return int(found[1])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(), st.sampled_from(COST_FORMS))
def test_ram_is_what_the_header_of_other_weights_says(network: tuple[NetSpec, Shape], form: str) -> None:
    spec, shape = network
    try:
        made = c_program(network_with_grids(str(spec), shape), "net", form, some_images(shape, 4))
        found = program_cost(spec, shape, form)
    except RequestError as error:
        assume("by too much" not in str(error))
        raise
    assert found.ram_bytes == said_of_ram(made.header) == made.ram_bytes


@pytest.mark.parametrize("below", [2.0**-1, 2.0**-7, 2.0**3])
def test_a_multiple_just_below_a_power_of_two_is_held(below: float) -> None:
    up, down, shift = _factor(float(np.nextafter(below, 0)), 1.0, 15)
    assert up == down < 2**15 and up * 2.0**-shift == below


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("form", ["levels", "float"])
def test_constants_are_those_of_other_weights(name: str, form: str) -> None:
    spec, shape = parse_spec(NETWORKS[name][0]), NETWORKS[name][1]
    one, other = (
        c_program(nominal_network(spec, shape, seed), "net", form, some_images(shape, 4)).constant_bytes
        for seed in (0, 1)
    )
    assert one == other


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs Debian's gcc-arm-none-eabi")
@pytest.mark.parametrize("form", COST_FORMS)
def test_flash_is_about_what_the_linker_says(form: str, tmp_path: Path) -> None:
    shape = (1, 8, 8)
    export_c(nominal_network(A_NETWORK, shape), tmp_path / "net.c", form, some_images(shape, 8))
    size = program_size(tmp_path / "net.c")
    assert size is not None
    assert program_cost(A_NETWORK, shape, form).flash_bytes == pytest.approx(size.flash_bytes, rel=0.2)


@pytest.mark.parametrize("form", COST_FORMS)
def test_more_work_takes_more_of_everything(form: str) -> None:
    small, large = (program_cost(parse_spec(f"conv {n}x3x3 relu, dense 10"), (1, 12, 12), form) for n in (2, 8))
    assert small.flash_bytes < large.flash_bytes
    assert small.ram_bytes < large.ram_bytes
    assert all(0 < small.instructions[name] < large.instructions[name] for name in small.instructions)


def test_a_form_whose_cost_hangs_on_the_weights_is_refused() -> None:
    with pytest.raises(RequestError, match="--form coded is not known before training; use one of integer"):
        program_cost(A_NETWORK, (1, 8, 8), "coded")


def test_a_symmetric_network_needs_no_other_order_of_rows_and_columns() -> None:
    plans = A_NETWORK.plan((1, 8, 8))
    assert not schedule_of(plans, (1, 8, 8), 1).transposed
    assert schedule_of(plans, (1, 8, 8), 1).bytes == said_least(plans)


def said_least(plans: tuple) -> int:  # type: ignore[type-arg]
    """Return the least memory where both orders are tried."""
    from smidgen.exporters import schedule

    known, schedule._is_symmetric = schedule._is_symmetric, lambda *_: False
    try:
        return schedule_of(plans, (1, 8, 8), 1).bytes
    finally:
        schedule._is_symmetric = known


def test_parts_of_a_nominal_network_have_its_layers() -> None:
    parts = nominal_parts(nominal_network(A_NETWORK, (1, 8, 8)), "integer")
    assert {"convolve", "rows of windows"} <= parts.sections


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_the_time_of_an_inference_is_measured(tmp_path: Path) -> None:
    export_c(nominal_network(A_NETWORK, (1, 8, 8)), tmp_path / "net.h", "levels")
    assert 100 < nanoseconds_by_c(tmp_path / "net.h") < 10_000_000
