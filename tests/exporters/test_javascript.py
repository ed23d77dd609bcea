"""JavaScript modules and pages: Node computes the decoded network's logits."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import smidgen.exporters
from exported_networks import NETWORKS, network_with_grids, some_images, torch_logits
from quantized_networks import GOLDEN
from smidgen.data import Dataset
from smidgen.engine import softmax
from smidgen.engine.losses import class_logits
from smidgen.errors import RequestError, RunError
from smidgen.exporters import classes_by_js, export, export_html, export_js
from smidgen.exporters.javascript import RUNTIME_PARTS, declarations_of, js_module, runtime
from smidgen.model import QuantizedModel, decode, encode, encode_description, flat_weights, save_smidgen, values_of
from smidgen.spec import InputSpec

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")

_LOGITS = """import { readFileSync } from "node:fs";
import { open } from "./network.mjs";
const found = JSON.parse(readFileSync(0)).map(({ file, inputs }) => {
  const network = open(Uint8Array.from(atob(file), (c) => c.charCodeAt(0)));
  return inputs.map((values) => Array.from(network.outputs(new Uint8Array(values)).pop()));
});
console.log(JSON.stringify(found));
"""


_OPEN = """import { readFileSync } from "node:fs";
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const some = (size) => Float32Array.from({ length: size }, (_, i) => (i * 37) % 11);
const logits = ({ shape, outputs }) => outputs(some(shape[0] * shape[1] * shape[2])).pop().join();
"""

_BOTH = (
    _OPEN
    + """import { open } from "./joined.mjs";
import { open as source } from "./runtime/network.mjs";
for (const file of JSON.parse(readFileSync(0)))
  console.log(logits(open(bytes(file))) === logits(source(bytes(file))) ? "the same" : "differs");
"""
)

_DESCRIBED = (
    _OPEN
    + """import { open } from "./joined.mjs";
const wrong = (...given) => {
  try {
    return open(...given) && "taken";
  } catch (error) {
    return error.message.replace(/^.*?: /, "").replace(/, not .*/, "");
  }
};
for (const { file, described, arrays } of JSON.parse(readFileSync(0))) {
  const given = arrays.map((text) => new Float32Array(bytes(text).buffer));
  const same = logits(open(bytes(file))) === logits(open(bytes(described), given)) ? "the same" : "differs";
  const few = wrong(bytes(described), []);
  console.log([same, few, wrong(bytes(described), [...given, given[0]])].join(", "));
}
"""
)


def logits_by_node(networks: list[QuantizedModel], inputs: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    """Run the program of the exports on several files at once."""
    jobs = [
        {"file": base64.b64encode(encode(network)).decode(), "inputs": values.reshape(len(values), -1).tolist()}
        for network, values in zip(networks, inputs, strict=True)
    ]
    (folder / "network.mjs").write_text(runtime(), "utf-8")
    (folder / "main.mjs").write_text(_LOGITS, "utf-8")
    line = ["node", "main.mjs"]
    done = subprocess.run(line, cwd=folder, input=json.dumps(jobs), capture_output=True, text=True, check=True)
    return [class_logits(np.array(found, np.float32)) for found in json.loads(done.stdout)]


@needs_node
def test_node_computes_the_decoded_networks_logits(tmp_path: Path) -> None:
    networks = [network_with_grids(*network) for network in NETWORKS.values()]
    networks += [decode((GOLDEN / f"{name}.smidgen").read_bytes()) for name in ("v1-digits", "v1-sparse")]
    images = [some_images(network.input_shape, 20) for network in networks]
    found = logits_by_node(networks, images, tmp_path)
    for network, given, made in zip(networks, images, found, strict=True):
        np.testing.assert_allclose(made, torch_logits(network, given), rtol=1e-4, atol=1e-4, err_msg=str(network.spec))


_SCORES = """import { readFileSync } from "node:fs";
import { classify, labels } from "./network.mjs";
const found = JSON.parse(readFileSync(0)).map((values) => classify(new Uint8Array(values)));
const same = found.every(({ label, index, scores }) => label === labels[index] && scores.length === labels.length);
console.log(JSON.stringify(same ? found.map(({ scores }) => scores) : []));
"""


@needs_node
@pytest.mark.parametrize("network", ["one output", "one output of a mean"])
def test_one_output_gives_the_probabilities_of_two_classes(network: str, tmp_path: Path) -> None:
    quantized = network_with_grids(*NETWORKS[network])
    images = some_images(quantized.input_shape, 20)
    (tmp_path / "network.mjs").write_text(js_module(quantized), "utf-8")
    (tmp_path / "main.mjs").write_text(_SCORES, "utf-8")
    given = json.dumps(images.reshape(len(images), -1).tolist())
    done = subprocess.run(["node", "main.mjs"], cwd=tmp_path, input=given, capture_output=True, text=True, check=True)
    wanted = softmax(torch_logits(quantized, images).astype(np.float64))
    assert wanted.shape == (20, 2)
    np.testing.assert_allclose(json.loads(done.stdout), wanted, rtol=1e-4, atol=1e-5)


@needs_node
def test_the_joined_program_computes_what_its_modules_compute(tmp_path: Path) -> None:
    """The modules run as they are; an export joins them to one scope, where two equal names would clash."""
    source = Path(smidgen.exporters.javascript.__file__).parent / "js" / "runtime"
    assert {path.stem for path in source.glob("*.mjs")} == set(RUNTIME_PARTS)
    shutil.copytree(source, tmp_path / "runtime")
    (tmp_path / "joined.mjs").write_text(runtime(), "utf-8")
    (tmp_path / "main.mjs").write_text(_BOTH, "utf-8")
    networks = [network_with_grids(*NETWORKS[name]) for name in ("residuals", "overlapping pools", "a signal")]
    content = json.dumps([base64.b64encode(encode(network)).decode() for network in networks])
    done = subprocess.run(["node", "main.mjs"], cwd=tmp_path, input=content, capture_output=True, text=True, check=True)
    assert done.stdout == "the same\n" * len(networks)


_AGAIN = (
    _OPEN
    + """import { open } from "./joined.mjs";
const other = (values) => values.map((value) => 3 - value);
for (const file of JSON.parse(readFileSync(0))) {
  const { shape: [c, h, w], outputs, classify } = open(bytes(file));
  const values = some(c * h * w);
  const [made, again] = [outputs(values), outputs(values)];
  const text = made.join(";");
  classify(other(values));
  console.log(made.join(";") === text && again.join(";") === text && outputs(values).join(";") === text);
}
"""
)


@needs_node
def test_an_input_leaves_the_outputs_of_others_alone(tmp_path: Path) -> None:
    """Steps use their memory again: what was given away stays, and nothing of an earlier input is left in it."""
    (tmp_path / "joined.mjs").write_text(runtime(), "utf-8")
    (tmp_path / "main.mjs").write_text(_AGAIN, "utf-8")
    files = [base64.b64encode(encode(network_with_grids(*each))).decode() for each in NETWORKS.values()]
    line = ["node", "main.mjs"]
    done = subprocess.run(line, cwd=tmp_path, input=json.dumps(files), capture_output=True, text=True, check=True)
    assert done.stdout == "true\n" * len(NETWORKS)


@needs_node
def test_tensors_may_come_beside_a_description(tmp_path: Path) -> None:
    """A page has the weights of many networks as plain float32, which are written faster than files."""
    networks = [network_with_grids(*NETWORKS[name]) for name in ("residuals", "repeated", "normalized", "a signal")]
    networks += [replace(networks[-1], input=InputSpec("signal", networks[-1].input_shape, (1.5,), (0.25,)))]
    jobs = []
    for network in networks:
        arrays = [base64.b64encode(values_of(each).tobytes()).decode() for each in network.tensors.values()]
        described = base64.b64encode(encode_description(network)).decode()
        jobs.append({"file": base64.b64encode(encode(network)).decode(), "described": described, "arrays": arrays})
    (tmp_path / "joined.mjs").write_text(runtime(), "utf-8")
    (tmp_path / "main.mjs").write_text(_DESCRIBED, "utf-8")
    line = ["node", "main.mjs"]
    done = subprocess.run(line, cwd=tmp_path, input=json.dumps(jobs), capture_output=True, text=True, check=True)
    refused = "a tensor of undefined values, tensors are left over\n"
    assert done.stdout == f"the same, {refused}" * len(networks)


@needs_node
def test_node_decodes_every_value_of_the_golden_files(tmp_path: Path) -> None:
    script = """import { readFileSync } from "node:fs";
import { open } from "./network.mjs";
const network = open(new Uint8Array(readFileSync(0)));
const values = network.plans.filter((plan) => plan.source === undefined).flatMap((plan) => plan.values);
for (const each of values) process.stdout.write(new Uint8Array(each.buffer));
"""
    (tmp_path / "network.mjs").write_text(runtime(), "utf-8")
    (tmp_path / "main.mjs").write_text(script, "utf-8")
    for path in sorted(GOLDEN.glob("*.smidgen")):
        content = path.read_bytes()
        done = subprocess.run(["node", "main.mjs"], cwd=tmp_path, input=content, capture_output=True, check=True)
        assert done.stdout == flat_weights(decode(content)).tobytes(), path.name


@needs_node
def test_the_export_is_proved_on_the_test_images(trained: QuantizedModel, digits: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "winner.smidgen"
    save_smidgen(trained, file)
    for to, name in (("js", "winner.mjs"), ("html", "winner.html")):
        made = export(file, to=to, data=digits)
        assert made.path == tmp_path / name
        assert made.size_bytes == made.path.stat().st_size
        assert made.proof is not None
        assert made.proof.agreeing == made.proof.images == len(digits.test.images)
        assert made.proof.correct == made.proof.network_correct > 0.8 * made.proof.images
        assert made.proof.runner == "node"
        export(file, to=to)  # an earlier export is replaced
    assert (tmp_path / "winner.d.mts").read_text().count("export declare") == 4


@needs_node
def test_the_program_alone_is_small(trained: QuantizedModel, tmp_path: Path) -> None:
    assert len(gzip.compress(runtime().encode(), 9)) <= 8 * 1024
    assert "//" not in runtime()
    size = export_js(trained, tmp_path / "a.mjs")
    assert size < len(runtime()) + len(encode(trained)) * 4 / 3 + 600


@needs_node
def test_a_damaged_file_and_a_wrong_number_of_values_are_refused(trained: QuantizedModel) -> None:
    module = js_module(trained)
    content = bytearray(encode(trained))
    content[len(content) // 2] ^= 4
    damaged = module.replace(base64.b64encode(encode(trained)).decode(), base64.b64encode(content).decode())
    with pytest.raises(RunError, match="wrong checksum"):
        classes_by_js(damaged, some_images(trained.input_shape, 1))
    with pytest.raises(RunError, match="give 64 values, not 32"):
        classes_by_js(module.replace("classify = network.classify", "classify = (v) => network.classify(v.slice(32))"),
                      some_images(trained.input_shape, 1))  # fmt: skip


def test_node_that_is_missing_is_named(trained: QuantizedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.exporters.prove.shutil.which", lambda name: None)
    with pytest.raises(RequestError, match="'node' is not installed"):
        classes_by_js(js_module(trained), some_images(trained.input_shape, 1))


def test_names_of_files_and_classes_stay_text_in_the_page(trained: QuantizedModel, tmp_path: Path) -> None:
    path = tmp_path / "<img src=x onerror=alert(1)>.html"
    named = QuantizedModel(
        trained.spec, trained.input_shape, tuple(f"</script>{name}" for name in trained.class_names), trained.tensors
    )
    export_html(named, path)
    page = path.read_text("utf-8")
    assert "<img" not in page
    assert page.count("</script>") == 1, "class names stand in the file's bytes alone"
    assert declarations_of(Path("a.mjs")) == Path("a.d.mts")
