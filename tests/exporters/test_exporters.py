"""Exports: the decoded network's class on every image, by onnxruntime, by a C compiler, and on an emulated Cortex-M."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from smidgen.data import Dataset
from smidgen.engine import Examples, choose
from smidgen.errors import RequestError, RunError
from smidgen.exporters import (
    FORMS,
    c_program,
    classes_by_c,
    classes_by_onnx,
    export_c,
    export_onnx,
    onnx_bytes,
    program_size,
)
from smidgen.exporters.forward import layer_outputs
from smidgen.model import (
    Codebook,
    Model,
    QuantizedModel,
    Tensor,
    Uniform,
    as_quantized,
    decode,
    flat_weights,
    load_smidgen,
    named_arrays,
    nearest_step,
    tensor_shapes,
)
from smidgen.records import Recipe
from smidgen.spec import Shape, parse_spec

GOLDEN = Path(__file__).parents[1] / "golden"
Images = npt.NDArray[np.uint8]
TRAINED = "conv 4x3x3 relu, maxpool 2, dense 12 leaky_relu(0.1), dense 10"
NETWORKS: dict[str, tuple[str, Shape]] = {
    "convolutions": ("conv 5x3x2 relu, conv 4x2x3 same leaky_relu(0.2), conv 3x4x4 same nobias, dense 4", (2, 9, 8)),
    "separable": ("depthwise 3x3 same relu, pointwise 6 relu, depthwise 2x3 nobias, avgpool 2, pointwise 5", (3, 4, 5)),
    "pools": ("maxpool 2, conv 4x3x3 relu, avgpool 3, globalavgpool, dense 3", (1, 17, 19)),
    "dense": ("dense 9 relu, dropout 0.5, dense 7 leaky_relu(0.01), dense 5 nobias", (1, 6, 6)),
    "ends in a mean": ("conv 6x3x3 relu, pointwise 4, globalavgpool", (1, 8, 8)),
    "ends in a pool": ("conv 6x3x3 relu, pointwise 4, maxpool 6", (1, 8, 8)),
    "one layer": ("dense 3", (2, 3, 3)),
    "normalized": (
        "batchnorm, conv 4x3x3, batchnorm relu, maxpool 2, batchnorm leaky_relu(0.3), dense 4, batchnorm",
        (1, 9, 9),
    ),
    "prelu": ("conv 4x3x3, prelu, maxpool 2, pointwise 5, prelu, dense 6, prelu, dense 3", (1, 9, 9)),
    "repeated": (
        "conv 4x3x3 relu, repeat 3 [depthwise 3x3 same, batchnorm, pointwise 4 relu, prelu], globalavgpool, dense 3",
        (1, 9, 9),
    ),
}
"""Every layer, with sides that are not square and kernels that are not odd."""

needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
needs_arm = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="needs Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm",
)


def a_quantized_model(text: str, shape: Shape, bits: int = 4, seed: int = 0) -> QuantizedModel:
    """Random levels with grids of every kind; the last layer's logits are far enough apart to compare."""
    spec, rng, tensors = parse_spec(text), np.random.default_rng(seed), {}
    largest = 2 ** (bits - 1) - 1
    for place, (name, axes) in enumerate(tensor_shapes(spec, shape).items()):
        levels = rng.integers(-largest, largest + 1, axes).astype(np.int32)
        levels = np.abs(levels) + 1 if name.endswith("variance") else levels
        size = 1.0 / largest / np.sqrt(max(1, np.prod(axes[1:], dtype=int)))
        steps = size * rng.uniform(1, 2, axes[0] if place % 4 == 2 and len(axes) > 1 else 1)
        grid: Uniform | Codebook = Uniform(np.array([nearest_step(step) for step in steps]))
        if place % 8 == 6:
            grid = Codebook((np.arange(-largest - 1, largest + 2) * size * 1.3).astype(np.float32), largest + 1)
        tensors[name] = Tensor(levels, grid)
    return QuantizedModel(spec, shape, tuple(map(str, range(spec.output_shape(shape)[0]))), tensors)


def some_images(shape: Shape, count: int = 200, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


def torch_logits(quantized: QuantizedModel, images: Images) -> npt.NDArray[np.float32]:
    logits: npt.NDArray[np.float32] = choose("torch").predict(quantized.spec, flat_weights(quantized), images)
    return logits


def agree(found: npt.NDArray[np.intp], logits: npt.NDArray[np.float32]) -> None:
    """Each image's class is that of the logits, but where its two largest are the same to rounding."""
    ordered = np.sort(logits, axis=1)
    apart = ordered[:, -1] - ordered[:, -2] > 1e-5 * np.abs(logits).max()
    assert apart.mean() > 0.98
    assert np.array_equal(found[apart], logits.argmax(axis=1)[apart])


@pytest.fixture(scope="module")
def trained(digits: Dataset) -> QuantizedModel:
    """A small network of the digits, its weights on grids of 4 bits, its biases of 6."""
    spec = parse_spec(TRAINED)
    examples = Examples(digits.train.images, digits.train.labels)
    training = choose("torch").train(spec, Recipe(epochs=40, learning_rate=0.01), examples, 0)
    tensors = {}
    for name, array in named_arrays(spec, digits.input_shape, training.weights).items():
        largest = 7 if name.endswith("weight") else 31
        step = nearest_step(float(np.abs(array).max()) / largest)
        levels = np.clip(np.rint(array / step), -largest, largest).astype(np.int32)
        tensors[name] = Tensor(levels, Uniform(np.array([step])))
    return QuantizedModel(spec, digits.input_shape, digits.class_names, tensors)


# --- the layers in NumPy ---------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_the_layers_in_numpy_compute_what_torch_does(network: str) -> None:
    quantized = a_quantized_model(*NETWORKS[network])
    images = some_images(quantized.input_shape, 20)
    *_, last = layer_outputs(quantized, images)
    np.testing.assert_allclose(last[:, :, 0, 0], torch_logits(quantized, images), rtol=1e-4, atol=1e-5)


# --- ONNX ------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_onnx_computes_the_decoded_networks_logits(network: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    quantized = a_quantized_model(*NETWORKS[network])
    images, path = some_images(quantized.input_shape), tmp_path / "network.onnx"
    assert export_onnx(quantized, path) == path.stat().st_size
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(["logits"], {"image": images.astype(np.float32) / np.float32(255)})[0]
    np.testing.assert_allclose(found, torch_logits(quantized, images), rtol=1e-4, atol=1e-5)
    assert np.array_equal(classes_by_onnx(path, images), found.argmax(axis=1))


def test_onnx_is_one_file_of_an_opset_that_runtimes_read(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    quantized = decode((GOLDEN / "v1-digits.smidgen").read_bytes())
    export_onnx(quantized, tmp_path / "network.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]
    model = onnx.load(tmp_path / "network.onnx")
    assert (model.opset_import[0].version, model.ir_version) == (18, 8)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert stored["0.weight.levels"] == onnx.TensorProto.INT8
    assert onnx_bytes(quantized) == (tmp_path / "network.onnx").read_bytes()


def test_onnx_holds_the_weights_of_a_repeat_once() -> None:
    onnx = pytest.importorskip("onnx")
    quantized = a_quantized_model(*NETWORKS["repeated"])
    graph = onnx.load_from_string(onnx_bytes(quantized)).graph
    names = [tensor.name for tensor in graph.initializer]
    assert len(names) == len(set(names))
    assert sum(node.op_type == "Conv" for node in graph.node) == 7


# --- C ---------------------------------------------------------------------------------------


@needs_cc
@pytest.mark.parametrize("form", [form for form in FORMS if form != "integer"])
@pytest.mark.parametrize("network", NETWORKS)
def test_c_gives_the_decoded_networks_classes(network: str, form: str, tmp_path: Path) -> None:
    quantized, path = a_quantized_model(*NETWORKS[network]), tmp_path / "network.c"
    images = some_images(quantized.input_shape)
    size_bytes = export_c(quantized, path, form)
    assert size_bytes == path.stat().st_size + path.with_suffix(".h").stat().st_size
    agree(classes_by_c(path, images), torch_logits(quantized, images))


@needs_cc
@pytest.mark.parametrize("network", NETWORKS)
def test_c_of_whole_numbers_gives_nearly_the_decoded_networks_classes(network: str, tmp_path: Path) -> None:
    quantized, path = a_quantized_model(*NETWORKS[network], bits=8), tmp_path / "network.c"
    images = some_images(quantized.input_shape, 400)
    export_c(quantized, path, "integer", images[:200])
    text = path.read_text()
    assert "float" not in text
    assert "double" not in text
    found = classes_by_c(path, images[200:])
    assert (found == torch_logits(quantized, images[200:]).argmax(axis=1)).mean() > 0.9


@needs_cc
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("network", ["convolutions", "repeated", "normalized", "one layer"])
def test_c_touches_no_memory_but_its_own(network: str, form: str, tmp_path: Path) -> None:
    quantized, path = a_quantized_model(*NETWORKS[network]), tmp_path / "network.c"
    images = some_images(quantized.input_shape, 5)
    export_c(quantized, path, form, images)
    sanitized = classes_by_c(path, images, ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
    assert np.array_equal(sanitized, classes_by_c(path, images))


@needs_cc
@pytest.mark.parametrize("form", FORMS)
def test_a_trained_network_in_c_is_right_where_the_network_is(
    trained: QuantizedModel, form: str, digits: Dataset, tmp_path: Path
) -> None:
    path, labels = tmp_path / "digits.c", digits.test.labels
    export_c(trained, path, form, digits.train.images)
    found = classes_by_c(path, digits.test.images)
    wanted = torch_logits(trained, digits.test.images)
    assert (wanted.argmax(axis=1) == labels).mean() > 0.85
    if form == "integer":
        assert (found == wanted.argmax(axis=1)).mean() > 0.98
        assert abs(int((found == labels).sum()) - int((wanted.argmax(axis=1) == labels).sum())) <= 0.01 * len(labels)
    else:
        assert np.array_equal(found, wanted.argmax(axis=1))


def test_levels_lie_in_a_byte_or_half_a_byte() -> None:
    quantized = a_quantized_model("dense 4 nobias", (1, 3, 3))
    levels = quantized.tensors["0.weight"].levels.ravel()
    eight, _ = c_program(quantized, "net", "levels")
    four, _ = c_program(quantized, "net", "levels4")
    assert ", ".join(map(str, levels.tolist()))[:60] in eight.replace("\n   ", "")
    halves = levels + 8
    assert ", ".join(map(str, (halves[::2] | halves[1::2] << 4).tolist()))[:60] in four.replace("\n   ", "")


def test_no_form_allocates_or_needs_a_library() -> None:
    quantized = a_quantized_model(*NETWORKS["repeated"])
    for form in FORMS:
        source, header = c_program(quantized, "net", form, some_images(quantized.input_shape, 5))
        assert "malloc" not in source
        included = [line for line in (source + header).splitlines() if line.startswith("#include")]
        assert included == ['#include "net.h"', "#include <stdint.h>"]
        assert max(map(len, source.splitlines())) < 140 + len(str(quantized.spec))


@pytest.mark.parametrize(
    ("form", "images", "name", "message"),
    [
        ("int4", None, "net.c", "--form int4 is not known; use one of float, levels"),
        ("integer", None, "net.c", "--form integer needs training images; give --data"),
        ("float", None, "net.cpp", "is not the name of a C source; give one that ends in .c"),
    ],
)
def test_a_wrong_wish_is_refused(form: str, images: None, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        export_c(a_quantized_model("dense 2", (1, 2, 2)), tmp_path / name, form, images)
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_fit_in_a_form_are_refused() -> None:
    quantized = a_quantized_model("dense 2", (1, 5, 5), bits=6)
    with pytest.raises(RequestError, match=r"0\.weight has levels from -\d+ to \d+, and --form levels4 stores -7 to 7"):
        c_program(quantized, "net", "levels4")


def test_a_layer_whose_sums_do_not_fit_in_32_bits_is_refused() -> None:
    shape = (1, 300, 300)
    spec = parse_spec("dense 2 nobias")
    tensor = Tensor(np.full((2, 90_000), 127, np.int32), Uniform(np.array([1e-4], np.float32)))
    with pytest.raises(RequestError, match="layer 0 has sums of up to"):
        c_program(
            QuantizedModel(spec, shape, ("0", "1"), {"0.weight": tensor}), "net", "integer", some_images(shape, 2)
        )


@needs_cc
def test_a_source_that_does_not_compile_is_told_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "net.c"
    export_c(a_quantized_model("dense 2", (1, 2, 2)), path)
    path.write_text(path.read_text() + "int extra(void) { return missing; }\n")
    with pytest.raises(RunError, match="does not compile"):
        classes_by_c(path, some_images((1, 2, 2), 1))


# --- an emulated Cortex-M --------------------------------------------------------------------

LINK = """
ENTRY(reset)
MEMORY { flash (rx) : ORIGIN = 0, LENGTH = 256K  ram (rwx) : ORIGIN = 0x20000000, LENGTH = 16K }
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > flash
  .data : { *(.data*) } > ram
  .bss (NOLOAD) : { *(.bss*) *(COMMON) } > ram
  stack_top = ORIGIN(ram) + LENGTH(ram);
}
"""

BOARD = """
#include "network.h"
extern unsigned stack_top;
static const unsigned char images[] = {IMAGES};
static void ask(int operation, const void *what)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = what;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
void reset(void)
{
    unsigned i;
    for (i = 0; i < sizeof images / NETWORK_IMAGE_BYTES; i++) {
        const char letter = (char)('a' + network_classify(images + i * NETWORK_IMAGE_BYTES));
        ask(3, &letter);
    }
    ask(0x18, (const void *)0x20026);
    for (;;) {
    }
}
__attribute__((section(".vectors"), used)) const void *const vectors[2] = {&stack_top, (const void *)reset};
"""
"""Semihosting (Arm's document 100863): 3 writes a character, 0x18 ends the emulator."""


@needs_arm
@pytest.mark.parametrize("form", FORMS)
def test_an_emulated_microcontroller_gives_the_same_classes(
    trained: QuantizedModel, form: str, digits: Dataset, tmp_path: Path
) -> None:
    images = digits.test.images[:24]
    export_c(trained, tmp_path / "network.c", form, digits.train.images)
    (tmp_path / "link.ld").write_text(LINK)
    (tmp_path / "board.c").write_text(BOARD.replace("IMAGES", ", ".join(map(str, images.ravel().tolist()))))
    arm = ["arm-none-eabi-gcc", "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-Os", "-mcpu=cortex-m0", "-mthumb"]
    link = ["-nostartfiles", "-Wl,-T,link.ld", "--specs=nosys.specs", "board.c", "network.c", "-o", "network.elf"]
    subprocess.run([*arm, *link], cwd=tmp_path, check=True)
    machine = ["qemu-system-arm", "-machine", "microbit", "-nographic", "-monitor", "none", "-serial", "none"]
    hosted = ["-semihosting-config", "enable=on,target=native", "-kernel", "network.elf"]
    said = subprocess.run([*machine, *hosted], cwd=tmp_path, capture_output=True, timeout=60)
    found = np.frombuffer(said.stdout + said.stderr, np.uint8) - ord("a")
    assert np.array_equal(found, classes_by_c(tmp_path / "network.c", images))


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs Debian's gcc-arm-none-eabi")
def test_the_program_for_a_microcontroller_holds_the_weights_and_the_maps(
    trained: QuantizedModel, tmp_path: Path
) -> None:
    sizes = {}
    for form in FORMS:
        path = tmp_path / f"{form}.c"
        export_c(trained, path, form, some_images(trained.input_shape, 5))
        sizes[form] = program_size(path)
    weights = flat_weights(trained).size
    maps = max(int(np.prod(plan.output_shape)) for plan in trained.spec.plan(trained.input_shape))
    assert all(size is not None for size in sizes.values())
    found: dict[str, Any] = sizes
    assert found["float"].flash_bytes > 4 * weights
    assert found["float"].flash_bytes - found["levels"].flash_bytes > 2 * weights
    assert found["coded"].ram_bytes - found["levels"].ram_bytes > weights
    assert found["float"].ram_bytes > 4 * maps
    assert maps < found["integer"].ram_bytes < 0.5 * found["float"].ram_bytes
    assert found["integer"].flash_bytes < found["levels"].flash_bytes


# --- the command line ------------------------------------------------------------------------


def test_inspect_says_where_each_byte_went(command: Callable[..., Any]) -> None:
    said = command("inspect", str(GOLDEN / "v1-digits.smidgen"))
    assert said.code == 0
    assert "386 parameters; 171 bytes" in said.out
    assert "2.weight levels" in said.out
    assert "neighbours" in said.out


def test_unpack_writes_the_decoded_weights(command: Callable[..., Any], tmp_path: Path) -> None:
    from smidgen.model import load_safetensors

    golden = GOLDEN / "v1-all-kinds.smidgen"
    assert command("unpack", str(golden), "--to", str(tmp_path / "all.safetensors")).code == 0
    assert (
        load_safetensors(tmp_path / "all.safetensors").weights.tobytes() == flat_weights(load_smidgen(golden)).tobytes()
    )


@needs_cc
def test_export_writes_and_proves(trained: QuantizedModel, command: Callable[..., Any], tmp_path: Path) -> None:
    from smidgen.model import dequantize, save_safetensors, save_smidgen

    path = tmp_path / "digits.smidgen"
    save_smidgen(trained, path)
    said = command("export", str(path), "--to", "c", "--form", "coded", "--data", "digits")
    assert (said.code, said.err) == (0, "")
    assert f"{path.with_suffix('.c')}" in said.out.replace("\n", "")
    assert "test images get the decoded network's class" in said.out
    save_safetensors(dequantize(trained), tmp_path / "whole.safetensors")
    assert command("export", str(tmp_path / "whole.safetensors"), "--to", "c", "--form", "float").code == 0
    refused = command("export", str(path), "--to", "tflite")
    assert (refused.code, refused.err) == (2, "smidgen: --to tflite is not known; use one of onnx, c, safetensors\n")


def test_a_model_in_full_precision_is_exported_as_it_is(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    spec = parse_spec("dense 2")
    weights = np.arange(10, dtype=np.float32) / 7
    quantized = as_quantized(Model(spec, (1, 2, 2), ("a", "b"), weights))
    graph = onnx.load_from_string(onnx_bytes(quantized)).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert stored["0.weight"].tobytes() + stored["0.bias"].tobytes() == weights.tobytes()
