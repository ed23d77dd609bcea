"""Write the files that fuzzing starts from: small ones that every reader reads. Run it when a format changes.

PYTHONPATH=tests python -m fuzz.make_corpus
"""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
from PIL import Image

from exported_networks import NETWORKS, network_with_grids
from fuzz.readers import CORPUS, SHAPE, TRIAL
from smidgen.data.readers.idx import IDX_NAMES
from smidgen.exporters import onnx_bytes
from smidgen.model import Model, dequantize, encode, save_safetensors
from smidgen.records import Outcome, Score
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

SPECS = (
    *("dense 3", "conv 2x3x3 relu, maxpool 2, dense 3", "repeat 2 [depthwise 3x3 same, pointwise 1 relu], dense 3"),
    *("batchnorm, prelu, dropout 0.25, conv 4x2x3 same leaky_relu(0.2) , avgpool 2, globalavgpool, dense 3",),
    *("residual [conv 1x3x3 same relu6] relu, dense 3", "conv 4x3x3 stride 2 same, crelu, maxpool 2 stride 1, dense 3"),
    *("residual [conv 4x3x3 same nobias | pointwise 4], depthwise 3x3 shared 2, globalavgpool, pointwise 3",),
)


def write(reader: str, name: str, content: bytes) -> None:
    (CORPUS / reader).mkdir(parents=True, exist_ok=True)
    (CORPUS / reader / name).write_bytes(content)


def main() -> None:
    shutil.rmtree(CORPUS, ignore_errors=True)
    chance = np.random.default_rng(0)
    for index, text in enumerate(SPECS):
        write("spec", f"{index}.txt", text.encode())
    _networks(chance)
    _tables(chance)
    _pictures(chance)
    _store()
    write("run", "run.json", json.dumps({"run": "a", "command": "sweep", "files": {"sweep.csv": {}}}).encode())


def _networks(chance: np.random.Generator) -> None:
    for name in ("pools", "normalized", "repeated", "prelu", "one output"):
        network, stem = network_with_grids(*NETWORKS[name]), name.replace(" ", "-")
        write("smidgen", f"{stem}.smidgen", encode(network))
        write("onnx", f"{stem}.onnx", onnx_bytes(network))
        write("safetensors", f"{stem}.safetensors", b"")
        save_safetensors(dequantize(network), CORPUS / "safetensors" / f"{stem}.safetensors")
    for index, text in enumerate(SPECS[:2]):
        spec = parse_spec(text)
        weights = chance.normal(size=spec.parameters(SHAPE)).astype(np.float32)
        write("safetensors", f"{index}.safetensors", b"")
        save_safetensors(
            Model(spec, SHAPE, ("a", "b", "c"), weights, {"data": "x"}), CORPUS / "safetensors" / f"{index}.safetensors"
        )


def _tables(chance: np.random.Generator) -> None:
    labels = np.arange(60) % 3
    values = np.round(chance.normal(size=(60, 4)) + labels[:, None], 2)
    groups = [f"g{index // 2}" for index in range(60)]
    names = np.array(["red", "grün", "blue, dark"])[labels]
    for name, head, rows in (
        (
            "plain.csv",
            ["a", "b", "c", "d", "label"],
            [[*row, label] for row, label in zip(values, labels, strict=True)],
        ),
        (
            "groups.csv",
            ["group", "a", "label"],
            [[group, row[0], name] for group, row, name in zip(groups, values, names, strict=True)],
        ),
    ):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([head, *rows])
        write("csv", name, text.getvalue().encode())
    _arrays(chance, labels, values)


def _arrays(chance: np.random.Generator, labels: np.ndarray, values: np.ndarray) -> None:
    import pyarrow
    import pyarrow.parquet

    images = chance.integers(0, 256, (60, 4, 4)).astype(np.uint8)
    for name, save in (("plain", np.savez), ("packed", np.savez_compressed)):
        content = io.BytesIO()
        save(content, X=images, y=labels)
        write("npz", f"{name}.npz", content.getvalue())
    table = io.BytesIO()
    columns = {**{f"x{index}": values[:, index] for index in range(4)}, "label": labels}
    pyarrow.parquet.write_table(pyarrow.table(columns), table)
    write("parquet", "plain.parquet", table.getvalue())
    idx = {
        IDX_NAMES[0]: images,
        IDX_NAMES[1]: labels.astype(np.uint8),
        IDX_NAMES[2]: images[:9],
        IDX_NAMES[3]: labels[:9],
    }
    for name, array in idx.items():
        shape = b"".join(size.to_bytes(4) for size in array.shape)
        content = bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()
        write("idx_whole", name, content)
        write("idx", name, bytes([IDX_NAMES.index(name)]) + content)
    for split, size in (("train", 60), ("wrong", 7)):
        logits = io.BytesIO()
        np.save(logits, (chance.normal(size=(size, 3)) + 4 * np.eye(3)[labels[:size]]).astype(np.float32))
        write("logits", f"{split}.npy", logits.getvalue())


def _pictures(chance: np.random.Generator) -> None:
    for mode, channels in (("L", 1), ("RGB", 3), ("RGBA", 4)):
        pixels = chance.integers(0, 256, (9, 11, channels)).astype(np.uint8)
        picture = Image.fromarray(pixels.squeeze(), mode)
        for kind in ("png", "jpeg")[: 1 if mode == "RGBA" else 2]:
            content = io.BytesIO()
            picture.save(content, kind)
            write(kind, f"{mode}.{kind}", content.getvalue())


def _store() -> None:
    write("store", "whole.sqlite", b"")
    path = CORPUS / "store" / "whole.sqlite"
    outcome = Outcome(3, Score(9, 10), Score(8, 10), (0.5, 0.25), 1.5, np.arange(3, dtype=np.float32))
    with Store(path) as store:
        store.put(TRIAL, outcome)
        store.put_array("a", np.arange(6).reshape(2, 3))
        store.put_score(TRIAL.key, split="test", of="it", score=Score(1, 2))
        store.put_measurement("m", 1.5, unit="s")
    for name, kind, value in (
        ("spec", 8, b"dense 3"),
        ("recipe", 9, b'{"epochs": 3}'),
        ("losses", 10, b"[0.5]"),
        ("weights", 3, bytes(12)),
        ("count", 21, b"12345"),
    ):
        write("store_row", name, bytes([kind]) + value)


if __name__ == "__main__":
    main()
