"""What the page's script reads, as JSON, and the script: the runtime of the exports and the modules of `web/`."""

from __future__ import annotations

import base64
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from smidgen.exporters.javascript import joined, picture_program, runtime_body
from smidgen.model import QuantizedModel, encode_description, values_of
from smidgen.report.measures import Measure
from smidgen.report.page_networks import MOST_CLASSES_IN_TABLE, PageNetwork
from smidgen.report.page_teacher import PageTeacher, tensor_bytes
from smidgen.report.samples import Sample, is_made_as_mnist, value_ranges

if TYPE_CHECKING:
    from smidgen.report.view import PageView

MODULES = (
    *("elements", "page", "colours", "tiles", "inside", "teacher", "answers"),
    *("sheet", "bend", "samples", "panels", "curve", "slider", "main"),
)
"""The modules of `web/`, each after those that it imports."""

MOST_WEIGHT_BYTES = 600_000
"""Most bytes of the weights of all networks but the teacher; what does not fit is left out."""


@cache
def program() -> str:
    """Return the text of the script. The runtime is a function, whose text a worker takes for itself."""
    modules = [files("smidgen.report").joinpath("web", f"{name}.mjs").read_text("utf-8") for name in MODULES]
    return f"function makeRuntime() {{\n{runtime_body()}\nreturn open;\n}}\n{picture_program()}\n{joined(modules)}"


def page_json(view: PageView) -> str:
    """Return what the script reads, as JSON in which no `<` can end a script element."""
    return json.dumps(_page(view), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _page(view: PageView) -> dict[str, Any]:
    data, chart = view.result.data, view.chart
    low, high = value_ranges(data)
    kind = data.input.kind
    return {
        "input": {"kind": kind, "shape": data.input_shape, "centred": is_made_as_mnist(data), "low": low, "high": high},
        "classes": data.class_names,
        "floor": view.result.floor.accuracy,
        "frame": {"rates": chart.rates, "top": chart.top, "bottom": chart.bottom},
        "measures": {name: _measure(each) for name, each in view.measures.items()},
        "networks": _networks(view),
        "teacher": _teacher(view.page_teacher) if view.page_teacher else None,
        "samples": [_sample(sample) for sample in view.samples],
    }


def _measure(measure: Measure) -> dict[str, Any]:
    ticks = [[tick.at, tick.text, tick.minor] for tick in measure.ticks]
    return {"ticks": ticks, "front": measure.front, "places": measure.places, "fronts": measure.fronts}


def _networks(view: PageView) -> list[dict[str, Any]]:
    left, found = MOST_WEIGHT_BYTES, []
    for network in view.networks:
        size = 4 * sum(tensor.levels.size for tensor in network.quantized.tensors.values())
        found.append(_network(view, network, with_weights=size <= left))
        left -= size if size <= left else 0
    return found


def _network(view: PageView, network: PageNetwork, *, with_weights: bool) -> dict[str, Any]:
    quantized, score = network.quantized, network.outcome.validation
    scale = view.measures["parameters"].scale
    shown = [name for name in view.measures if (name == "bytes") == network.is_file]
    return {
        "sizes": network.sizes,
        "right": score.correct,
        "images": score.total,
        "holds": network.holds,
        "spec": str(quantized.spec),
        "at": {name: view.measures[name].scale.x(max(1, network.sizes[name])) for name in shown},
        "y": scale.y(score.rate),
        "layers": _layers(quantized),
        "confusion": network.confusion.tolist() if view.result.data.classes <= MOST_CLASSES_IN_TABLE else None,
        "parts": [[part.name, round(part.size_bytes, 2)] for part in network.parts],
        "about": _text(encode_description(quantized)),
        "tensors": [_text(values_of(each).astype("<f4").tobytes()) for each in quantized.tensors.values()]
        if with_weights
        else None,
    }


def _layers(quantized: QuantizedModel) -> list[list[Any]]:
    plans = quantized.spec.plan(quantized.input_shape)
    return [[str(plan.layer), "x".join(map(str, plan.output_shape)), plan.parameters, plan.macs] for plan in plans]


def _teacher(teacher: PageTeacher) -> dict[str, Any]:
    tensors = [
        {name: _text(content) for name, content in tensor_bytes(tensor, teacher.bits).items()}
        for tensor in teacher.quantized.tensors.values()
    ]
    sizes = [tensor.levels.size for tensor in teacher.quantized.tensors.values()]
    about = _text(encode_description(teacher.quantized))
    return {"about": about, "bits": teacher.bits, "tensors": tensors, "sizes": sizes}


def _sample(sample: Sample) -> dict[str, Any]:
    values = sample.values if sample.values.dtype.kind == "u" else sample.values.astype("<f4")
    return {"row": sample.row, "label": sample.label, "values": _text(values.tobytes())}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
