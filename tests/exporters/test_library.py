"""Arduino libraries, C++ programs and the memory of a caller: what users build around a C export."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from exported_networks import NETWORKS, needs_cc, network_with_grids, some_images, torch_logits
from smidgen.data import Dataset
from smidgen.exporters import FORMS, classes_by_c, export, export_c
from smidgen.model import QuantizedModel, save_smidgen

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
USE = """
#include <stdio.h>
#include "net.h"
int main()
{
    static net_scratch memory;
    static net_input input[NET_INPUTS];
    float scores[NET_CLASSES];
    int i, best = 0;
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        int found = net_classify(input, scores);
        for (i = 1, best = 0; i < NET_CLASSES; i++)
            best = scores[i] > scores[best] ? i : best;
        if (found != best || found != net_class(input) || found != net_classify_in(&memory, input, 0))
            return 1;
        if (!net_class_names[found] || sizeof memory != NET_RAM_BYTES)
            return 2;
    }
    return 0;
}
"""


@needs_cc
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no C++ compiler")
@pytest.mark.parametrize("suffix", [".c", ".h"])
@pytest.mark.parametrize("form", FORMS)
def test_an_export_is_a_library_of_c_and_of_cpp(form: str, suffix: str, tmp_path: Path) -> None:
    quantized = network_with_grids(*NETWORKS["residuals"])
    images = some_images(quantized.input_shape, 20)
    export_c(quantized, tmp_path / f"net{suffix}", form, images)
    (tmp_path / "use.c").write_text(USE.replace("main()", "main(void)"))
    (tmp_path / "use.cpp").write_text(USE)
    sources = [] if suffix == ".h" else ["net.c"]
    for compiler, standard, use in (("cc", "c99", "use.c"), ("g++", "c++11", "use.cpp")):
        subprocess.run([compiler, f"-std={standard}", *STRICT, use, *sources, "-o", "use"], cwd=tmp_path, check=True)
        subprocess.run([tmp_path / "use"], input=images.tobytes(), check=True)


ONE_OUTPUT = """#include <stdio.h>
#include "net.h"
int main(void)
{
    static net_input input[NET_INPUTS];
    float scores[NET_CLASSES];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        const int found = net_classify(input, scores);
        if (found != net_class(input) || found != (scores[1] > scores[0]))
            return 1;
        fwrite(scores, sizeof scores, 1, stdout);
    }
    return 0;
}
"""


@needs_cc
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("network", ["one output", "one output of a mean"])
def test_one_output_gives_the_scores_of_two_classes(network: str, form: str, tmp_path: Path) -> None:
    """The first score is 0, the second the output itself; whole numbers round it."""
    quantized = network_with_grids(*NETWORKS[network], bits=4 if form != "integer" else 8)
    images = some_images(quantized.input_shape, 100)
    export_c(quantized, tmp_path / "net.c", form, images)
    (tmp_path / "use.c").write_text(ONE_OUTPUT)
    subprocess.run(["cc", "-std=c99", *STRICT, "use.c", "net.c", "-o", "use"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "use"], input=images.tobytes(), capture_output=True, check=True)
    found, wanted = np.frombuffer(done.stdout, "<f4").reshape(-1, 2), torch_logits(quantized, images)
    assert found.shape == wanted.shape == (100, 2)
    assert not found[:, 0].any()
    largest = float(np.abs(wanted).max())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=largest * (0.05 if form == "integer" else 1e-5))


@needs_cc
def test_an_arduino_library_holds_what_was_proved(trained: QuantizedModel, digits: Dataset, tmp_path: Path) -> None:
    save_smidgen(trained, tmp_path / "digits.smidgen")
    made = export(tmp_path / "digits.smidgen", to="arduino", form="integer", data=digits)
    assert made.path == tmp_path / "digits.zip"
    assert made.proof is not None
    assert made.proof.agreeing >= 0.98 * made.proof.images
    with zipfile.ZipFile(made.path) as archive:
        names = archive.namelist()
        sketch = archive.read("digits/examples/classify/classify.ino").decode()
        assert b"name=digits\n" in archive.read("digits/library.properties")
    assert {"digits/src/digits.c", "digits/src/digits.h", "digits/keywords.txt"} <= set(names)
    assert f"static const digits_input sample[{digits.test.images[0].size}] = {{" in sketch
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(tmp_path)
    line = ["cc", "-std=c99", *STRICT, "-I../src", "digits_example.c", "../src/digits.c", "-o", "example"]
    subprocess.run(line, cwd=tmp_path / "digits/extras", check=True)
    (tmp_path / "digits/extras/input").write_bytes(digits.test.images[0].tobytes())
    said = [
        subprocess.run(["./example", *words], cwd=tmp_path / "digits/extras", capture_output=True, text=True).stdout
        for words in ([], ["input"])
    ]
    assert said[0] == said[1]
    assert said[0].split()[1] in digits.class_names
    content = made.path.read_bytes()
    assert export(tmp_path / "digits.smidgen", to="arduino", form="integer", data=digits).path.read_bytes() == content


@pytest.mark.skipif(not shutil.which("avr-gcc"), reason="needs Debian's gcc-avr and avr-libc")
@pytest.mark.parametrize("form", FORMS)
def test_an_export_compiles_for_avr(form: str, trained: QuantizedModel, tmp_path: Path) -> None:
    export_c(trained, tmp_path / "net.c", form, some_images(trained.input_shape, 5))
    line = ["avr-gcc", "-mmcu=atmega328p", "-Os", "-std=c99", *STRICT, "-c", "net.c", "-o", "net.o"]
    subprocess.run(line, cwd=tmp_path, check=True)


@pytest.mark.skipif(
    not (shutil.which("riscv64-linux-gnu-gcc") and shutil.which("qemu-riscv64")),
    reason="needs Debian's gcc-riscv64-linux-gnu and qemu-user",
)
@pytest.mark.parametrize("form", FORMS)
def test_risc_v_gives_the_same_classes(form: str, trained: QuantizedModel, digits: Dataset, tmp_path: Path) -> None:
    export_c(trained, tmp_path / "net.c", form, digits.train.images)
    text = USE.replace("main()", "main(void)").replace(
        "if (found != best", "putchar('a' + found);\n        if (found != best"
    )
    (tmp_path / "use.c").write_text(text)
    line = ["riscv64-linux-gnu-gcc", "-static", "-Os", "-std=c99", *STRICT, "use.c", "net.c", "-o", "use"]
    subprocess.run(line, cwd=tmp_path, check=True)
    images = digits.test.images
    said = subprocess.run(
        ["qemu-riscv64", "./use"], cwd=tmp_path, input=images.tobytes(), capture_output=True, check=True
    )
    assert [letter - ord("a") for letter in said.stdout] == classes_by_c(tmp_path / "net.c", images).tolist()
