"""C sources on an emulated Cortex-M, and the size of their programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exported_networks import some_images
from smidgen.data import Dataset
from smidgen.exporters import (
    FORMS,
    classes_by_c,
    export_c,
    program_size,
)
from smidgen.model import (
    QuantizedModel,
    flat_weights,
)

needs_arm = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="needs Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm",
)

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
    for (i = 0; i < sizeof images / NETWORK_INPUTS; i++) {
        const char letter = (char)('a' + network_class(images + i * NETWORK_INPUTS));
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
    image = int(np.prod(trained.input_shape))
    assert all(size is not None for size in sizes.values())
    found: dict[str, Any] = sizes
    assert found["float"].flash_bytes > 4 * weights
    assert found["float"].flash_bytes - found["levels"].flash_bytes > 2 * weights
    assert found["coded"].ram_bytes - found["levels"].ram_bytes > weights
    assert image < found["integer"].ram_bytes < 0.5 * found["float"].ram_bytes
    assert found["integer"].flash_bytes < found["levels"].flash_bytes
