"""Names of unknown origin, in every language that Smidgen writes them into."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from commands import Said
from hand_made_results import a_page
from smidgen.errors import RequestError
from smidgen.exporters import c_program, classes_by_c, export_c, onnx_bytes
from smidgen.foreign_text import c_identifier, in_c_comment, in_csv, shown
from smidgen.model import Model, QuantizedModel, as_quantized, save_smidgen
from smidgen.report.csv import csv_text
from smidgen.report.page import render
from smidgen.spec import parse_spec

NASTY = [
    *("*\\", "*/", "/*", "??/", "\\", "a\nint x;", "//", "\x1b]0;title\x07", "\x1b[2J", "\x9b2J", "\u202egnp.exe"),
    *("=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "<script>x()</script>", '"><b onload=x>'),
    *("]]>", "<!--", "{{ 7 * 7 }}", "{% raw %}", "[bold]", "[/]", ":smile:", "$x^2$", "\udcff", "a\u2028b", "\0"),
]


def tiny(class_names: tuple[str, ...]) -> QuantizedModel:
    """A network with these classes for pictures of 4x4."""
    spec = parse_spec(f"dense {len(class_names)}")
    weights = np.linspace(-1, 1, spec.parameters((1, 4, 4)), dtype=np.float32)
    return as_quantized(Model(spec, (1, 4, 4), class_names, weights))


names = st.sampled_from(NASTY) | st.text(max_size=20) | st.text("*/\\?\n\r\x1b=+-@<>&\"'[]{}$", max_size=12)
encodable = names.filter(lambda name: not re.search("[\ud800-\udfff]", name))


# --- the functions ----------------------------------------------------------------------------


@given(names)
@example("\N{NO-BREAK SPACE}")
def test_what_is_shown_has_no_control_characters_and_can_be_printed(name: str) -> None:
    found = shown(name)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]", found)
    found.encode()
    assert shown(found) == found
    if name.isprintable():
        assert found == name


@given(names)
def test_a_cell_of_csv_reads_back_and_is_no_formula(name: str) -> None:
    (_, (cell, number)) = csv.reader(io.StringIO(csv_text(("name", "number"), [(name, -1.5)]), newline=""))
    assert number == "-1.5"
    assert not cell.startswith(("=", "@", "\t", "\r"))
    assert not cell.startswith(("+", "-")) or float(cell) == float(name)
    assert cell.removeprefix("'") == shown(name).removeprefix("'")


@given(names)
def test_a_c_comment_holds_only_characters_that_cannot_end_or_continue_it(name: str) -> None:
    assert not re.search(r"[*/\\?\n\r\x00-\x1f]", in_c_comment(name))
    assert len(in_c_comment(name)) == len(name)


@given(names)
def test_a_c_identifier_is_one(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", c_identifier(name))


def test_numbers_and_usual_names_stay_as_they_are() -> None:
    usual = [-1, 0.5, "-1e-3", "T-shirt/top", "+inf"]
    assert [in_csv(cell) for cell in usual] == usual
    assert in_c_comment("Ankle boot, pâté 3.1 (日本)") == "Ankle boot, pâté 3.1 (日本)"
    assert shown("naïve \N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}") == "naïve 👩‍💻"


# --- what is written with them ----------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(names, min_size=3, max_size=3))
@example(["*\\", "/ int main(void) { return 1; } /*", "c"])
def test_generated_c_has_one_comment_of_names_and_the_same_code_for_all(class_names: list[str]) -> None:
    plain, hostile = (c_program(tiny(tuple(names)), "net", "float") for names in ("abc", class_names))
    assert _code(hostile.source) == _code(plain.source)
    assert _code(hostile.header) == _code(plain.header)


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_generated_c_of_all_nasty_names_compiles_without_a_warning(tmp_path: Path) -> None:
    export_c(tiny(tuple(NASTY)), tmp_path / "net.c", "float")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wcomment", "-trigraphs", "-c"]
    subprocess.run(["cc", *flags, "net.c", "-o", "net.o"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ['a".c', "a\nb.c", "a\\b.c", "a?.c", "\x1b.c"])
def test_a_file_name_that_could_leave_its_include_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="cannot be the name of a C file"):
        export_c(tiny(("a", "b")), tmp_path / name, "float")
    assert list(tmp_path.iterdir()) == []


def test_a_file_name_that_looks_like_an_option_is_no_option(work: Path) -> None:
    export_c(tiny(("a", "b")), Path("-fplugin=x.c"), "float")
    assert len(classes_by_c(Path("-fplugin=x.c"), np.zeros((2, 1, 4, 4), np.uint8))) == 2


@settings(max_examples=25)
@given(st.lists(encodable, min_size=3, max_size=3))
def test_an_onnx_graph_does_not_depend_on_names_and_its_metadata_have_them(class_names: list[str]) -> None:
    onnx = pytest.importorskip("onnx")
    found, plain = (onnx.load_from_string(onnx_bytes(tiny(tuple(names)))) for names in (class_names, "abc"))
    assert found.graph.SerializeToString() == plain.graph.SerializeToString()
    notes = {note.key: note.value for note in found.metadata_props}
    assert json.loads(notes["classes"]) == class_names


class _Seen(HTMLParser):
    """The tags and attribute names of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def _tags(page: str) -> list[tuple[str, tuple[str, ...]]]:
    seen = _Seen()
    seen.feed(page)
    return seen.found


@settings(max_examples=6)
@given(st.lists(names, min_size=3, max_size=3), names)
@example(NASTY[:3], '"><script>')
def test_the_page_and_its_svg_have_the_same_elements_whatever_the_names(class_names: list[str], data_name: str) -> None:
    page = render(a_page(candidates=3, class_names=class_names, data_name=data_name))
    assert _tags(page) == _tags(render(a_page(candidates=3)))
    assert "\x1b" not in page
    assert html.escape(shown(class_names[0])).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
    page.encode()


# --- the terminal -----------------------------------------------------------------------------


def test_inspect_prints_the_brackets_of_a_network(work: Path, command: Callable[..., Said]) -> None:
    spec = parse_spec("repeat 2 [depthwise 3x3 same relu], dense 2")
    weights = np.zeros(spec.parameters((1, 4, 4)), np.float32)
    save_smidgen(as_quantized(Model(spec, (1, 4, 4), ("a", "b"), weights)), Path("n.smidgen"))
    assert str(spec) in command("inspect", "n.smidgen").out


@pytest.mark.parametrize("name", [name for name in NASTY if "\0" not in name and "\udcff" not in name])
def test_no_control_character_of_a_name_reaches_the_terminal(
    work: Path, command: Callable[..., Said], name: str
) -> None:
    save_smidgen(tiny((name, f"{name}2")), Path("n.smidgen"))
    Image.new("L", (4, 4)).save("a.png")
    said = command("predict", "n.smidgen", "a.png")
    assert said.code == 0
    assert said.out.splitlines()[0] in shown(name).splitlines() + shown(f"{name}2").splitlines() + [""]
    missing = command("predict", f"{name.replace('/', '')}.smidgen", "a.png")
    for text in (said.out, said.err, missing.out, missing.err):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_tables_print_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from smidgen.cli.screen import console, table

    rows = table("[red]head", "b")
    rows.add_row("[bold]x[/bold]", ":smile: \x1b[2J")
    console().print(rows)
    console().print("[ conv ] [/] \x1b]0;x\x07")
    printed = capsys.readouterr().out
    for text in ("[red]head", "[bold]x[/bold]", r":smile: \x1b[2J", r"[ conv ] [/] \x1b]0;x\x07"):
        assert text in printed


def _code(source: str) -> str:
    """The code without its comments and the text of its strings."""
    plain = re.sub(r'class_names\[NET_CLASSES\] = \{(?:"[^"\n]*"(?:, )?)+\};', "", source)
    return re.sub(r"/\*.*?\*/", "", plain, flags=re.DOTALL)
