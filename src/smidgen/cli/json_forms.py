"""Results as what `--json` prints; `json_answers` and `json_types` say what each key means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from smidgen.cli import json_answers as answers
    from smidgen.cli import json_types as types
    from smidgen.data import CachedDataset, DataSummary
    from smidgen.diagnosis import Diagnosis
    from smidgen.exporters import Export
    from smidgen.importers import Imported
    from smidgen.model import Inspection
    from smidgen.predictions import Predictions
    from smidgen.records import Floor, Score
    from smidgen.report.answer import Answer
    from smidgen.search.compress import CompressResult
    from smidgen.search.frontier import TurningPoint
    from smidgen.search.result import ShrinkResult
    from smidgen.search.sweep import SweepResult, Width
    from smidgen.spec import InputSpec
    from smidgen.spec.summary import NetworkSummary
    from smidgen.studies import Report


def shrunk(result: Answer) -> answers.ShrinkJson:
    """The result of `smidgen shrink`."""
    seeds = zip(result.fresh_seeds, result.fresh_seeds_hold, strict=True)
    return {
        "command": "shrink",
        "headline": result.headline,
        "question": result.question,
        "data": result.data.name,
        "floor": _floor(result.floor),
        "network": str(result.winner.spec),
        "parameters": result.outcome.parameters,
        "macs": result.winner.spec.macs(result.data.input_shape),
        "seed": result.winner.seed,
        "engine": result.winner.engine_name,
        "selection": _score(result.outcome.selection),
        "confirmation": _score(result.outcome.confirmation),
        "test": _score(result.test),
        "promise": result.promise,
        "teacher": _teacher(result),
        "file": _shortest_file(result),
        "device": _device(result),
        "turning_point": _turning_point(result.turning_point),
        "fresh_seeds": [
            {"seed": each.trial.seed, "validation": _score(each.outcome.validation), "holds": holds}
            for each, holds in seeds
        ],
        "trained": result.trained,
        "remembered": result.remembered,
        "seconds": result.seconds,
        "work": result.work,
        "notes": [*result.notes],
        "folder": _path(result.written_to),
    }


def _device(result: Answer) -> answers.DeviceJson | None:
    device = result.device
    if device is None:
        return None
    return {
        "form": device.form,
        "flash_bytes": device.flash_bytes,
        "flash_is_measured": device.flash_is_measured,
        "ram_bytes": device.ram_bytes,
        "instructions": dict(device.instructions),
        "nanoseconds": device.nanoseconds,
        "notes": [*device.notes, *device.exceeded(result.goal.limits)],
    }


def compressed(result: CompressResult) -> answers.CompressJson:
    """The result of `smidgen compress`."""
    winner = result.winner
    return {
        "command": "compress",
        "headline": result.headline,
        "data": result.data.name,
        "floor": _floor(result.floor),
        "network": str(winner.quantized.spec),
        "parameters": winner.outcome.parameters,
        "bytes": winner.file_bytes,
        "selection": _score(winner.outcome.selection),
        "confirmation": _score(winner.outcome.confirmation),
        "test": _score(result.test),
        "given_bytes": result.given_bytes,
        "given_test": _score(result.given_test),
        "stages": [
            {"name": stage.name, "bytes": stage.file_bytes, "selection": _score(stage.selection)}
            for stage in result.stages
        ],
        "rejected": len(result.rejected),
        "trained": result.trained,
        "remembered": result.remembered,
        "seconds": result.seconds,
        "file": _path(result.written_to),
    }


def swept(result: SweepResult) -> answers.SweepJson:
    """The result of `smidgen sweep`."""
    return {
        "command": "sweep",
        "headline": result.headline,
        "data": result.data.name,
        "family": result.family,
        "widths": [_width(row) for row in result.widths],
        "turning_point": _turning_point(result.turning_point),
        "trained": result.trained,
        "remembered": result.remembered,
        "folder": _path(result.written_to),
    }


def predicted(found: Predictions) -> types.PredictJson:
    """The result of `smidgen predict`."""
    return {
        "command": "predict",
        "predictions": [
            {"input": each.input, "name": each.name, "probabilities": dict(each.probabilities)} for each in found
        ],
        "notes": [*found.notes],
        "file": _path(found.written_to),
    }


def summarized(network: NetworkSummary) -> types.ShowJson:
    """The result of `smidgen show`."""
    return {
        "command": "show",
        "network": str(network.spec),
        "input_shape": [*network.input_shape],
        "reads": _input(network.input),
        "layers": [
            {
                "layer": str(plan.layer),
                "output_shape": [*plan.output_shape],
                "parameters": plan.parameters,
                "macs": plan.macs,
            }
            for plan in network.spec.plan(network.input_shape)
        ],
        "parameters": network.parameters,
        "running_statistics": network.running_stats,
        "bytes": network.size_bytes,
        "macs": network.macs,
        "activations": network.activations,
    }


def inspected(found: Inspection) -> types.InspectJson:
    """The result of `smidgen inspect`."""
    return {
        "command": "inspect",
        "network": str(found.spec),
        "input_shape": [*found.input_shape],
        "reads": _input(found.input),
        "class_names": [*found.class_names],
        "parameters": found.parameters,
        "bytes": found.size_bytes,
        "parts": [{"name": part.name, "bits": float(part.bits)} for part in found.parts],
        "tensors": [
            {
                "name": tensor.name,
                "weights": tensor.weights,
                "zeros": tensor.zeros,
                "grid": tensor.grid,
                "coder": tensor.coder,
                "lowest": tensor.lowest,
                "highest": tensor.highest,
            }
            for tensor in found.tensors
        ],
    }


def unpacked(written: tuple[Path, int]) -> types.UnpackJson:
    """The file that `smidgen unpack` wrote, and its length."""
    return {"command": "unpack", "file": str(written[0]), "bytes": written[1]}


def exported(made: Export) -> types.ExportJson:
    """The result of `smidgen export`."""
    size, proof = made.program_size, made.proof
    return {
        "command": "export",
        "file": str(made.path),
        "bytes": made.size_bytes,
        "flash_bytes": size.flash_bytes if size else None,
        "ram_bytes": size.ram_bytes if size else None,
        "proof": None
        if proof is None
        else {
            "examples": proof.images,
            "agreeing": proof.agreeing,
            "correct": proof.correct,
            "network_correct": proof.network_correct,
            "runner": proof.runner,
        },
    }


def imported(found: Imported) -> types.ImportJson:
    """The result of `smidgen import`."""
    model, proof = found.model, found.proof
    return {
        "command": "import",
        "network": str(model.spec),
        "parameters": model.spec.parameters(model.input_shape),
        "file": _path(found.written_to),
        "bytes": found.size_bytes,
        "notes": [*found.notes],
        "proof": {
            "inputs": proof.inputs,
            "count": proof.count,
            "agreeing": proof.agreeing,
            "largest_difference": proof.largest_difference,
            "correct": proof.correct,
        },
    }


def reproduced(reports: Sequence[Report]) -> types.ReproduceJson:
    """The result of `smidgen reproduce`."""
    return {
        "command": "reproduce",
        "reports": [
            {
                "name": report.name,
                "title": report.title,
                "tables": [
                    {"title": each.title, "heads": [*each.heads], "rows": [[*row] for row in each.rows]}
                    for each in report.tables
                ],
                "findings": [{"question": each.question, "answer": each.answer} for each in report.findings],
                "notes": [*report.notes],
                "trained": report.trained,
                "remembered": report.remembered,
                "seconds": report.seconds,
            }
            for report in reports
        ],
    }


def diagnosed(found: Diagnosis) -> types.DoctorJson:
    """The result of `smidgen doctor`."""
    core = found.core
    return {
        "command": "doctor",
        "version": found.version,
        "code": found.code,
        "python": found.python,
        "core": {
            "missing": core.missing,
            "failure": core.failure,
            "compiler": core.compiler,
            "instruction_sets": [*core.instruction_sets],
            "engine": core.engine,
        },
        "extras": [
            {"name": extra.name, "present": [*extra.present], "missing": [*extra.missing]} for extra in found.extras
        ],
        "cache": str(found.cache),
        "data": [*found.data],
        "store": found.store,
        "trials": found.trials,
        "problems": [*found.problems],
    }


def listed(rows: Sequence[CachedDataset]) -> types.DataListJson:
    """The result of `smidgen data list`."""
    return {
        "command": "data list",
        "data": [
            {"name": row.name, "complete": row.complete, "bytes": row.size_bytes, "folder": str(row.folder)}
            for row in rows
        ],
    }


def fetched(files: Mapping[str, Path]) -> types.DataFetchJson:
    """The result of `smidgen data fetch`."""
    return {"command": "data fetch", "files": {name: str(path) for name, path in files.items()}}


def described(found: DataSummary, picture: Path | None) -> types.DataShowJson:
    """The result of `smidgen data show`."""
    low, high = found.value_range
    return {
        "command": "data show",
        "name": found.name,
        "input_shape": [*found.input_shape],
        "dtype": cast(Literal["uint8", "float32"], found.dtype),
        "low": low,
        "high": high,
        "classes": [
            {
                "name": name,
                "train": found.class_counts["train"][k],
                "selection": found.class_counts["selection"][k],
                "confirmation": found.class_counts["confirmation"][k],
                "test": found.class_counts["test"][k],
            }
            for k, name in enumerate(found.class_names)
        ],
        "features": [{"name": name, "low": least, "high": most} for name, least, most in found.features],
        "majority_rate": found.majority_rate,
        "facts": [*found.facts],
        "digest": found.digest,
        "picture": _path(picture),
    }


# --- parts ------------------------------------------------------------------------------------


def _score(score: Score) -> answers.ScoreJson:
    low, high = score.interval()
    return {"correct": score.correct, "total": score.total, "rate": score.rate, "low": low, "high": high}


def _floor(floor: Floor) -> answers.FloorJson:
    return {"accuracy": floor.accuracy, "rule": cast(Literal["wilson", "rate", "strict"], floor.rule)}


def _turning_point(turn: TurningPoint | None) -> answers.TurningPointJson | None:
    if turn is None:
        return None
    return {"parameters": turn.parameters, "rate": turn.rate, "low": turn.low, "high": turn.high}


def _teacher(result: ShrinkResult) -> answers.TeacherJson | None:
    teacher, test = result.teacher, result.teacher_test
    if teacher is None:
        return None
    return {
        "name": teacher.name,
        "parameters": teacher.parameters or None,
        "test": _score(test) if test else None,
        "notes": [*teacher.notes],
    }


def _shortest_file(result: ShrinkResult) -> answers.ShortestFileJson | None:
    if result.file is None:
        return None
    winner = result.file.winner
    return {
        "network": str(winner.quantized.spec),
        "parameters": winner.outcome.parameters,
        "bytes": winner.file_bytes,
        "test": _score(result.file.test),
    }


def _width(row: Width) -> answers.WidthJson:
    return {
        "width": row.width,
        "network": str(row.spec),
        "parameters": row.parameters,
        "validation": list(map(_score, row.validation)),
        "test": list(map(_score, row.test)),
        "train_seconds": [*row.train_seconds],
        "engine": row.engine,
    }


def _input(input: InputSpec) -> str | None:
    return str(input) if input.is_stated else None


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)
