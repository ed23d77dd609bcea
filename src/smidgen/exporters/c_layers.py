"""The table of layers of a C source: how each stage of a schedule moves over its rows.

A number that all layers share is a constant and takes no memory; each other has the smallest type that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from smidgen.exporters.schedule import Schedule
from smidgen.exporters.stages import Stage
from smidgen.spec import Add, AvgPool, BatchNorm, CReLU, Depthwise, GlobalAvgPool, LayerPlan, MaxPool, PReLU
from smidgen.spec.layers import RELU
from smidgen.spec.shapes import product

KINDS = ("READ", "CONVOLUTION", "POOLS", "AFFINE", "PRELU", "CRELU", "SUM")
POOLING = ("NO_POOL", "MAXIMUM", "MEAN", "MEAN_OF_RELU")

Entry = dict[str, int | str]
"""A layer's numbers and, as C, its constants, by their names."""

INTEGERS = re.findall(
    r"\w+",
    "kind input next posts to from in_row base down pace reach rows run step width channels hop depth shared pool "
    "pool_rows pool_columns pool_down pool_right out_row left top height kept slide padded gathers sums other "
    "other_from other_base other_row other_reach area each before zero least most from_zero other_zero blank sloped "
    "opening",
)
POINTERS = {
    "weights": "const weight *",
    "values": "const float *",
    "bias": "const total *",
    "steps": "const float *",
    "factors": "const factor *",
    "multiple": "const coefficient *",
}
FLOATS = ("slope", "ceiling")
_TYPES = (("uint8_t", 0, 2**8), ("int8_t", -(2**7), 2**7), ("uint16_t", 0, 2**16), ("int16_t", -(2**15), 2**15))


@dataclass
class Table:
    """The layers while a source is built.

    Attributes:
        schedule: The stages.
        entries: A row for each stage and for each layer that works in place after it, in order.
        places: The row of each stage.
    """

    schedule: Schedule
    entries: list[Entry] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


def table_of(schedule: Schedule, plans: Sequence[LayerPlan], item_bytes: int) -> Table:
    """Return the table with all that does not depend on the form."""
    table, count = Table(schedule), 0
    for stage in schedule.stages:
        table.places.append(count)
        count += 1 + len(stage.posts)
    for index, stage in enumerate(schedule.stages):
        entry = _buffer_entry(table, index, item_bytes) | _kind_entry(stage) | _window_entry(table, index, item_bytes)
        table.entries.append(entry)
        for post in stage.posts:
            kind = "AFFINE" if isinstance(plans[post].layer, BatchNorm) else "PRELU"
            table.entries.append({"kind": kind, "width": stage.shape[2], "channels": stage.shape[0]})
    return table


def _buffer_entry(table: Table, index: int, item_bytes: int) -> Entry:
    stage, buffer = table.schedule.stages[index], table.schedule.buffers[index]
    channels, height, width = stage.shape
    padded = buffer.row != width * channels or buffer.rows > stage.lag + height or buffer.top > 0
    return {
        "next": table.places[table.schedule.following[index]],
        "posts": len(stage.posts),
        "to": buffer.offset // item_bytes,
        "out_row": buffer.row,
        "left": buffer.left * channels,
        "top": buffer.top,
        "height": stage.lag + height,
        "kept": buffer.kept,
        "slide": buffer.slide,
        "padded": int(padded),
        "width": width,
        "channels": channels,
    }


def _kind_entry(stage: Stage) -> Entry:
    match stage.plan.layer if stage.plan else None:
        case None:
            return {"kind": "READ", "gathers": 0}
        case MaxPool():
            return {"kind": "POOLS", "pool": "MAXIMUM"}
        case AvgPool() | GlobalAvgPool():
            return {"kind": "POOLS", "pool": "MEAN", "area": product(stage.kernel)}
        case BatchNorm():
            return {"kind": "AFFINE"}
        case PReLU():
            return {"kind": "PRELU"}
        case CReLU():
            return {"kind": "CRELU"}
        case Add():
            return {"kind": "SUM"}
    return {"kind": "CONVOLUTION"}


def _window_entry(table: Table, index: int, item_bytes: int) -> Entry:
    """Return how a stage reads its input."""
    stage = table.schedule.stages[index]
    if stage.plan is None:
        return {}
    wait = table.schedule.waits[index]
    entry: Entry = dict(_source(table, stage, stage.inputs[0], item_bytes))
    reach = int(entry.pop("reach"))
    entry |= {"down": stage.hop[0], "pace": 0 if wait else stage.hop[0], "reach": wait or reach}
    entry |= {"hop": stage.hop[1] * stage.source[0], "gathers": int(stage.gathers)}
    if stage.gathers:
        entry["sums"] = table.schedule.totals[index] // 4
    if len(stage.inputs) > 1:
        names = {"input": "other", "from": "other_from", "base": "other_base", "in_row": "other_row"}
        other = _source(table, stage, stage.inputs[1], item_bytes)
        entry |= {names.get(name, "other_reach"): value for name, value in other.items()}
    return entry | _kernel(stage, int(entry["in_row"]))


def _source(table: Table, stage: Stage, source: int, item_bytes: int) -> Mapping[str, int]:
    """Return where an input of a stage lies, and the rows of it that its first output needs."""
    buffer, before = table.schedule.buffers[source], table.schedule.stages[source]
    base = buffer.top + before.lag - stage.pads[0]
    return {
        "input": table.places[source],
        "from": buffer.offset // item_bytes + (buffer.left - stage.pads[1]) * before.shape[0],
        "base": base,
        "in_row": buffer.row,
        "reach": base + stage.reach[0],
    }


def _kernel(stage: Stage, in_row: int) -> Entry:
    """Return the loops over the window of a convolution or a pool."""
    assert stage.plan is not None
    layer, channels = stage.plan.layer, stage.source[0]
    rows, columns = stage.kernel
    own = {"rows": 1 if stage.gathers else rows, "run": columns}
    if isinstance(layer, MaxPool | AvgPool | GlobalAvgPool):
        return dict(own)
    if not stage.plan.weight_shape or isinstance(layer, PReLU):
        return {}
    alone, kernels = isinstance(layer, Depthwise), stage.plan.weight_shape[0]
    run, step = (columns, channels) if alone else (columns * channels, 1)
    if run * step == in_row:  # the rows of a window follow each other without a gap
        own, run = {"rows": 1}, run * own["rows"]
    right, down = (stage.stride[1] * channels, stage.stride[0] * in_row) if stage.pool is not None else (0, 0)
    entry: Entry = {
        "rows": own["rows"],
        "run": run,
        "step": step,
        "depth": int(alone),
        "shared": kernels * rows * columns if alone and kernels < channels else 0,
        "pool": "NO_POOL",
        "pool_rows": stage.pool_window[0],
        "pool_columns": stage.pool_window[1],
        "pool_down": down - stage.pool_window[1] * right,
        "pool_right": right,
    }
    if stage.pool is not None:
        is_relu = getattr(layer, "slope", 1.0) == RELU
        mean = "MEAN_OF_RELU" if is_relu else "MEAN"
        entry["pool"] = "MAXIMUM" if isinstance(stage.pool.layer, MaxPool) else mean
    return entry


def table_text(entries: Sequence[Entry]) -> tuple[str, int]:
    """Return the type of a layer, its accessors and the table as C, and the table's bytes on a 32-bit processor."""
    columns = {name: [entry.get(name) for entry in entries] for name in (*POINTERS, *INTEGERS, *FLOATS)}
    used = {name: values for name, values in columns.items() if len({*values} - {None}) > 1}
    members = sorted(((_width(name, values), name) for name, values in used.items()), key=lambda pair: -pair[0][1])
    lines = [f"    {kind}{'' if kind.endswith('*') else ' '}{name};" for (kind, _), name in members]
    names = [name for _, name in members]
    fixed = {name: next((v for v in values if v is not None), 0) for name, values in columns.items()}
    access = [_accessor(name, name in used, fixed[name], columns) for name in columns]
    rows = ",\n".join("    {" + ", ".join(_value(entry.get(name)) for name in names) + "}" for entry in entries)
    table = f"static const layer layers[ENTRIES] = {{\n{rows}\n}};"
    struct = "typedef struct {\n" + "\n".join(lines or ["    uint8_t none;"]) + "\n} layer;"
    size = sum(width for (_, width), _ in members)
    return "\n".join([struct, *access]) + "\n\n" + table, len(entries) * -(-size // 4) * 4


def _width(name: str, values: Sequence[int | str | None]) -> tuple[str, int]:
    """Return the C type of a member and its bytes."""
    if name in POINTERS:
        return POINTERS[name], 4
    if name in FLOATS:
        return "float", 4
    return number_type([_number(value) for value in values if value is not None])


def number_type(numbers: Sequence[int]) -> tuple[str, int]:
    """Return the smallest C type that holds all numbers, and its bytes."""
    low, high = min(numbers, default=0), max(numbers, default=0)
    for kind, least, most in _TYPES:
        if least <= low and high < most:
            return kind, 1 if "8" in kind else 2
    return "int32_t", 4


def _number(value: int | str) -> int:
    """Return the number of a name that is one."""
    if isinstance(value, int):
        return value
    return KINDS.index(value) if value in KINDS else POOLING.index(value)


def _accessor(name: str, is_member: bool, fixed: int | str, columns: Mapping[str, Sequence[int | str | None]]) -> str:
    if is_member:
        read = f"(l)->{name}" if name in POINTERS or name in FLOATS else f"(int32_t)(l)->{name}"
        return f"#define {name.upper()}(l) ({read})"
    value = _value(fixed) if fixed or name not in POINTERS else "0"
    value = f"({POINTERS[name]})0" if name in POINTERS and value == "0" else value
    return f"#define {name.upper()}(l) {value if value.isidentifier() or value.isdigit() else f'({value})'}"


def _value(value: int | str | None) -> str:
    return "0" if value is None else str(value)
