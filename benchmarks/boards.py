"""Count the instructions, the flash and the RAM of C sources on emulated processors (QEMU, `-icount shift=0`).

Needs Debian's gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm, gcc-riscv64-unknown-elf,
picolibc-riscv64-unknown-elf and qemu-system-misc. An emulated instruction takes a nanosecond of the emulated clock,
which SysTick shows on Arm; RISC-V counts its own. Instructions are not cycles: on a Cortex-M0+ a load or a taken branch
takes two cycles and nearly all else one, flash wait states apart.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS = 8
"""Inferences in a measurement: the emulated SysTick counts in steps of 40 instructions."""

_LINK = """
ENTRY(reset)
MEMORY {{ flash (rx) : ORIGIN = {flash}, LENGTH = 4M  ram (rwx) : ORIGIN = {ram}, LENGTH = 4M }}
SECTIONS {{
  .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.srodata*) *(.sdata2*) *(.ARM.ex*) *(.eh_frame*) }} > flash
  .data : {{ data_start = .; *(.data*) *(.sdata*) ; data_end = .; }} > ram AT > flash
  data_load = LOADADDR(.data);
  .bss (NOLOAD) : {{ *(.sbss*) *(.bss*) *(COMMON) ; . = ALIGN(8); end = .; }} > ram
  stack_top = ORIGIN(ram) + LENGTH(ram);
}}
"""

_ARM = """
static void ask(int operation, const void *what)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = what;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
#define CSR (*(volatile unsigned *)0xE000E010)
#define RELOAD (*(volatile unsigned *)0xE000E014)
#define VALUE (*(volatile unsigned *)0xE000E018)
#define SPENT(before, after) ((((before) - (after)) & 0xFFFFFFu) * 40u)
static void start_clock(void) { RELOAD = 0xFFFFFF; VALUE = 0; CSR = 5; }
static unsigned clock_now(void) { return VALUE; }
static void finish(void) { ask(0x18, (const void *)0x20026); }
static void early(void)
{
#ifdef __ARM_FP
    *(volatile unsigned *)0xE000ED88 |= 0xFu << 20;
#endif
}
void reset(void);
extern unsigned char stack_top;
__attribute__((section(".vectors"), used)) const void *const vectors[2] = {&stack_top, (const void *)reset};
"""

_RISCV = """
static void ask(int operation, const void *what)
{
    register long a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = what;
    __asm__ volatile(".option push\\n.option norvc\\n.balign 16\\nslli x0, x0, 0x1f\\nebreak\\nsrai x0, x0, 7\\n"
                     ".option pop"
                     : "+r"(a0) : "r"(a1) : "memory");
}
#define SPENT(before, after) ((after) - (before))
static void start_clock(void) { }
static unsigned clock_now(void) { unsigned v; __asm__ volatile("csrr %0, minstret" : "=r"(v)); return v; }
static void finish(void)
{
    static const long how[2] = {0x20026, 0};
    ask(0x18, how);
}
static void early(void) { }
extern unsigned char stack_top;
void reset(void);
__attribute__((section(".vectors"), naked, used)) void entry(void)
{
    __asm__ volatile("la sp, stack_top\\nj reset");
}
"""

_BOARD = """
#include <stdint.h>
extern unsigned char end, stack_top, data_start, data_end, data_load;
int infer(void);
MACHINE
static void number(unsigned long value)
{
    char text[12];
    int at = 11;
    text[at] = 0;
    do
        text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    ask(4, text + at);
    ask(4, " ");
}
void reset(void)
{
    unsigned before, spent, used;
    int i, found = 0;
    volatile unsigned char *at;
    const unsigned char *from = &data_load;
    early();
    for (at = &data_start; at < &data_end; at++)
        *at = *from++;
    for (at = &end; at < (unsigned char *)&i - 64; at++)
        *at = 0xA5;
    found = infer();
    for (at = &end; *at == 0xA5; at++) {
    }
    used = (unsigned)(&stack_top - at);
    start_clock();
    before = clock_now();
    for (i = 0; i < ROUNDS; i++)
        found = infer();
    spent = SPENT(before, clock_now());
    number((unsigned long)found);
    number(spent / ROUNDS);
    number(used);
    finish();
    for (;;) {
    }
}
"""

_EMPTY = "int infer(void);\nint infer(void) { return 0; }\n"


@dataclass(frozen=True)
class Board:
    """A processor that QEMU emulates, and how programs for it are compiled.

    Attributes:
        name: As tables show it.
        compiler: The command and its options.
        machine: The emulator's command.
        support: C of what the board's program needs of the machine.
        flash: Where flash begins.
        ram: Where RAM begins.
    """

    name: str
    compiler: tuple[str, ...]
    machine: tuple[str, ...]
    support: str
    flash: str
    ram: str

    @property
    def memory(self) -> str:
        return _LINK.format(flash=self.flash, ram=self.ram)


_ARM_GCC = ("arm-none-eabi-gcc", "-mthumb", "--specs=nosys.specs")
_M3, _M4 = (("qemu-system-arm", "-machine", machine) for machine in ("mps2-an385", "mps2-an386"))
_M4F = ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
_RISCV_GCC = ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-misa-spec=2.2", "-mabi=ilp32", "--specs=picolibc.specs")
BOARDS = (
    Board("Cortex-M0+", (*_ARM_GCC, "-mcpu=cortex-m0plus"), _M3, _ARM, "0", "0x20000000"),
    Board("Cortex-M4F", (*_ARM_GCC, *_M4F), _M4, _ARM, "0", "0x20000000"),
    Board(
        "RV32IMAC",
        _RISCV_GCC,
        ("qemu-system-riscv32", "-machine", "virt", "-bios", "none"),
        _RISCV,
        "0x80000000",
        "0x80400000",
    ),
)
"""The Cortex-M0+ runs on a Cortex-M3, which executes its instructions: QEMU's own M0 has 16 KB of RAM."""


@dataclass(frozen=True)
class Cost:
    """What a program needs, and the class that it found.

    Attributes:
        flash_bytes: Code, constants and what they need of the compiler's library.
        ram_bytes: Static memory, the input included, and the deepest stack.
        instructions: Of one inference.
        found: The class.
    """

    flash_bytes: int
    ram_bytes: int
    instructions: int
    found: int


def cost_of(board: Board, sources: list[Path], folder: Path, optimize: str = "-Os") -> Cost:
    """Compile C sources that define `int infer(void)` for a board and run them on an input of their own.

    Args:
        board: The processor.
        sources: C files.
        folder: Where programs are built.
        optimize: The compiler's level.
    """
    (folder / "board.c").write_text(_BOARD.replace("MACHINE", board.support).replace("ROUNDS", str(ROUNDS)))
    (folder / "link.ld").write_text(board.memory)
    empty, size = _empty_size(board, folder, optimize), _linked(board, folder, sources, "board.elf", optimize)
    found, instructions, stack = _run(board, folder)
    return Cost(size[0] - empty[0], size[1] - empty[1] + stack, instructions, found)


@lru_cache
def _empty_size(board: Board, folder: Path, optimize: str) -> tuple[int, int]:
    """Return flash and static RAM of a program that does nothing."""
    (folder / "empty.c").write_text(_EMPTY)
    return _linked(board, folder, [folder / "empty.c"], "empty.elf", optimize)


def _linked(board: Board, folder: Path, sources: list[Path], program: str, optimize: str) -> tuple[int, int]:
    """Build a program and return its flash and static RAM."""
    line = [*board.compiler, optimize, "-std=gnu99", "-ffunction-sections", "-fdata-sections", "-nostartfiles", "-I."]
    line += ["-Wl,--gc-sections", "-Tlink.ld", "board.c", *map(str, sources), "-lm", "-o", program]
    subprocess.run(line, cwd=folder, check=True, capture_output=True)
    size = board.compiler[0].removesuffix("gcc") + "size"
    lines = subprocess.run([size, program], cwd=folder, check=True, capture_output=True, text=True).stdout
    text, data, bss = map(int, lines.splitlines()[1].split()[:3])
    return text + data, data + bss


def _run(board: Board, folder: Path) -> list[int]:
    line = [*board.machine, "-icount", "shift=0", "-display", "none", "-monitor", "none", "-serial", "none"]
    line += ["-semihosting-config", "enable=on,target=native", "-kernel", "board.elf"]
    said = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=40, stdin=subprocess.DEVNULL)
    return [int(word) for word in (said.stdout + said.stderr).split()[:3]]


_CLASSES = """
#include "net.h"
extern unsigned char stack_top;
extern const net_input inputs[], inputs_end[];
__asm__(".section .rodata\\n.balign 4\\n.global inputs\\ninputs:\\n.incbin \\"inputs.bin\\"\\n"
        ".global inputs_end\\ninputs_end:\\n.previous");
MACHINE
void reset(void)
{
    const net_input *at;
    early();
    for (at = inputs; at < inputs_end; at += NET_INPUTS) {
        const char letter = (char)('A' + net_class(at));
        ask(3, &letter);
    }
    finish();
    for (;;) {
    }
}
"""
MOST_BYTES = 3_000_000
"""Inputs that a board holds at once."""


def classes_on_board(board: Board, path: Path, inputs: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Classify inputs with a C source on an emulated board.

    Args:
        board: The processor.
        path: `net.c`, its header beside it.
        inputs: [n, ...] of the type that the source takes.
    """
    count = max(1, MOST_BYTES // inputs[0].nbytes)
    pieces = [_classes(board, path, inputs[first : first + count]) for first in range(0, len(inputs), count)]
    return np.concatenate(pieces)


def _classes(board: Board, path: Path, inputs: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    folder = path.parent
    (folder / "inputs.bin").write_bytes(inputs.tobytes())
    (folder / "classes.c").write_text(_CLASSES.replace("MACHINE", board.support))
    (folder / "link.ld").write_text(board.memory)
    line = [
        *board.compiler,
        "-Os",
        "-std=gnu99",
        "-nostartfiles",
        "-Wl,--gc-sections",
        "-Tlink.ld",
        "-ffunction-sections",
    ]
    subprocess.run(
        [*line, "classes.c", path.name, "-lm", "-o", "classes.elf"], cwd=folder, check=True, capture_output=True
    )
    line = [*board.machine, "-display", "none", "-monitor", "none", "-serial", "none"]
    line += ["-semihosting-config", "enable=on,target=native", "-kernel", "classes.elf"]
    said = subprocess.run(line, cwd=folder, capture_output=True, timeout=400, stdin=subprocess.DEVNULL)
    return np.frombuffer(said.stdout + said.stderr, np.uint8).astype(np.intp) - ord("A")
