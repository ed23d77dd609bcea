"""Schedules: no row is dropped that is still needed, and streaming never takes more memory than whole maps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from exported_networks import NETWORKS
from quantized_networks import networks
from smidgen.exporters.schedule import Schedule, schedule_of
from smidgen.spec import NetSpec, Shape, parse_spec
from smidgen.spec.liveness import most_alive

DEMO = (
    "conv 7x3x3 relu, avgpool 2, depthwise 4x4 nobias, pointwise 10 relu, maxpool 2, depthwise 3x3 nobias, "
    "pointwise 10 relu, depthwise 3x3 nobias, globalavgpool, dense 10"
)


def run(schedule: Schedule) -> list[int]:
    """Follow a schedule as the program does, check every row that is read, and return how often each stage ran."""
    stages, buffers = schedule.stages, schedule.buffers
    made, first = [buffer.top for buffer in buffers], [0] * len(stages)
    counts, at, last = [0] * len(stages), len(stages) - 1, len(stages) - 1
    while made[last] < buffers[last].rows:
        stage, buffer, y = stages[at], buffers[at], made[at] - buffers[at].top
        real = y < stage.lag + stage.shape[1]
        needs = [
            (source, y * stage.hop[0] + buffers[source].top + stages[source].lag - stage.pads[0])
            for source in stage.inputs
            if real
        ]
        missing = [source for source, row in needs if made[source] < row + stage.reach[0]]
        if schedule.waits[at] and real and made[stage.inputs[0]] < schedule.waits[at]:
            missing = [stage.inputs[0], *missing]
        if missing:
            at = missing[0]
            continue
        assert all(first[source] <= row for source, row in needs), "a row was dropped before it was read"
        if made[at] - first[at] == buffer.kept:
            first[at] += buffer.slide
        made[at] += 1
        counts[at] += 1
        at = schedule.following[at]
    return counts


@given(networks())
@settings(deadline=None)
def test_every_row_that_is_read_is_in_memory(network: tuple[NetSpec, Shape]) -> None:
    spec, shape = network
    schedule = schedule_of(spec.plan(shape), shape, 1, logits_apart=True)
    counts = run(schedule)
    assert counts[-1] == schedule.stages[-1].lag + 1
    assert all(count <= buffer.rows for count, buffer in zip(counts, schedule.buffers, strict=True))
    ends = [buffer.offset + buffer.kept * buffer.row for buffer in schedule.buffers]
    assert max(ends) <= schedule.bytes


@pytest.mark.parametrize("network", NETWORKS)
def test_a_schedule_takes_little_more_than_the_largest_maps_and_mostly_less(network: str) -> None:
    text, shape = NETWORKS[network]
    plans = parse_spec(text).plan(shape)
    assert schedule_of(plans, shape, 4).bytes <= 1.3 * 4 * most_alive(plans, shape)


def test_the_network_of_the_tutorial_takes_less_than_a_kilobyte() -> None:
    plans = parse_spec(DEMO).plan((1, 28, 28))
    assert most_alive(plans, (1, 28, 28)) == 5915
    assert schedule_of(plans, (1, 28, 28), 1, logits_apart=True).bytes <= 900
    assert schedule_of(plans, (1, 28, 28), 4).bytes <= 3500


def test_a_signal_streams_along_time() -> None:
    plans = parse_spec("conv 8x1x5 relu, maxpool 1x4, conv 8x1x5 relu, globalavgpool, dense 3").plan((3, 1, 512))
    schedule = schedule_of(plans, (3, 1, 512), 1, logits_apart=True)
    assert schedule.transposed
    assert schedule.bytes < 200


def test_a_dense_layer_on_a_large_map_takes_it_row_by_row() -> None:
    plans = parse_spec("conv 8x3x3 relu, dense 10").plan((1, 30, 30))
    schedule = schedule_of(plans, (1, 30, 30), 1, logits_apart=True)
    assert schedule.stages[-1].gathers
    assert schedule.bytes < 8 * 28 * 2
