"""C sources: a compiled program gives each image the decoded network's class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from exported_networks import NETWORKS, needs_cc, network_with_grids, some_images, torch_logits
from smidgen.data import Dataset
from smidgen.errors import RequestError, RunError
from smidgen.exporters import (
    FORMS,
    c_program,
    classes_by_c,
    export_c,
)
from smidgen.model import (
    QuantizedModel,
    Tensor,
    Uniform,
)
from smidgen.spec import parse_spec

SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def flags_for(network: str) -> tuple[str, ...]:
    """Sanitizers end the program of these networks, which together use every layer, on a wrong memory access."""
    return SANITIZED if network in ("convolutions", "repeated", "normalized", "one layer") else ("-Os",)


def agree(found: npt.NDArray[np.intp], logits: npt.NDArray[np.float32]) -> None:
    """Each image's class is that of the logits, but where its two largest are the same to rounding."""
    ordered = np.sort(logits, axis=1)
    apart = ordered[:, -1] - ordered[:, -2] > 1e-5 * np.abs(logits).max()
    assert apart.mean() > 0.98
    assert np.array_equal(found[apart], logits.argmax(axis=1)[apart])


@needs_cc
@pytest.mark.parametrize("form", [form for form in FORMS if form != "integer"])
@pytest.mark.parametrize("network", NETWORKS)
def test_c_gives_the_decoded_networks_classes(network: str, form: str, tmp_path: Path) -> None:
    quantized, path = network_with_grids(*NETWORKS[network]), tmp_path / "network.c"
    images = some_images(quantized.input_shape)
    size_bytes = export_c(quantized, path, form)
    assert size_bytes == path.stat().st_size + path.with_suffix(".h").stat().st_size
    agree(classes_by_c(path, images, flags_for(network)), torch_logits(quantized, images))


@needs_cc
@pytest.mark.parametrize("network", NETWORKS)
def test_c_of_whole_numbers_gives_nearly_the_decoded_networks_classes(network: str, tmp_path: Path) -> None:
    quantized, path = network_with_grids(*NETWORKS[network], bits=8), tmp_path / "network.c"
    images = some_images(quantized.input_shape, 400)
    export_c(quantized, path, "integer", images[:200])
    text = path.read_text()
    computing = text[: text.index("_classify_in(")]
    assert "float" not in computing.partition("*/")[2]
    assert "double" not in text
    found = classes_by_c(path, images[200:], flags_for(network))
    assert (found == torch_logits(quantized, images[200:]).argmax(axis=1)).mean() > 0.9


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


def test_levels_lie_in_half_a_byte_a_byte_or_two() -> None:
    quantized = network_with_grids("dense 4 nobias", (9, 1, 1))
    levels = quantized.tensors["0.weight"].levels.ravel()
    eight, four = (c_program(quantized, "net", form).source for form in ("levels", "levels4"))
    assert ", ".join(map(str, levels.tolist()))[:60] in eight.replace("\n   ", "")
    halves = np.append(levels, -8)[: len(levels) + len(levels) % 2] + 8
    assert ", ".join(map(str, (halves[::2] | halves[1::2] << 4).tolist()))[:60] in four.replace("\n   ", "")
    wide = network_with_grids("dense 4 nobias", (1, 3, 3), bits=10)
    assert "typedef int16_t weight;" in c_program(wide, "net", "levels").source


@needs_cc
@pytest.mark.parametrize("form", ["levels", "coded"])
def test_levels_beyond_a_byte_are_exact(form: str, tmp_path: Path) -> None:
    quantized = network_with_grids(*NETWORKS["convolutions"], bits=9)
    assert max(np.abs(tensor.levels).max() for tensor in quantized.tensors.values()) > 127
    export_c(quantized, tmp_path / "net.c", form)
    images = some_images(quantized.input_shape)
    agree(classes_by_c(tmp_path / "net.c", images), torch_logits(quantized, images))


def test_no_form_allocates_or_needs_a_library() -> None:
    quantized = network_with_grids(*NETWORKS["repeated"])
    for form in FORMS:
        made = c_program(quantized, "net", form, some_images(quantized.input_shape, 5))
        assert "malloc" not in made.source
        included = [line for line in (made.source + made.header).splitlines() if line.startswith("#include")]
        assert included == ['#include "net.h"', "#include <stdint.h>"]
        assert max(map(len, made.source.splitlines())) < 150 + len(str(quantized.spec))


@pytest.mark.parametrize(
    ("form", "images", "name", "message"),
    [
        ("int4", None, "net.c", "--form int4 is not known; use one of float, levels"),
        ("integer", None, "net.c", "--form integer needs training data; give --data"),
        ("float", None, "net.cpp", "is not the name of a C source; give one that ends in .c, or in .h for one header"),
    ],
)
def test_a_wrong_form_is_refused(form: str, images: None, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        export_c(network_with_grids("dense 2", (1, 2, 2)), tmp_path / name, form, images)
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_fit_in_a_form_are_refused() -> None:
    quantized = network_with_grids("dense 2", (1, 5, 5), bits=6)
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
    export_c(network_with_grids("dense 2", (1, 2, 2)), path)
    path.write_text(path.read_text() + "int extra(void) { return missing; }\n")
    with pytest.raises(RunError, match="does not compile"):
        classes_by_c(path, some_images((1, 2, 2), 1))
