"""Each measured figure in README.md and docs/ stands in a folder under results/ that the text names.

A figure is a number with a unit of something measured: a percentage, bytes, seconds, a ratio, a count of a count; in a
table whose section names a folder also every number with a point or a comma. It needs a folder: one that its own line
of a table or its own paragraph names, else one that its section or a section above names. A page or a text file in that
folder must contain the number, digit for digit. A test that the paragraph names may contain it instead, and so may the
table of what others published. What is no measurement is in `EXEMPT`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from smidgen.records import Floor, Score

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

NUMBER = r"(?<![\w.,/^-])\d[\d,]*(?:\.\d+)?"
WORDS = "KiB|MiB|KB|MB|bytes?|points?|times|ms|s|milliseconds?|seconds?|minutes?|hours?|images a second"
FIGURE = re.compile(rf"({NUMBER})(?: ?%|x\b| (?:{WORDS})\b| of (?=\d))")
BARE = re.compile(r"(?<![\w.,/^-])\d+(?:,\d{3})*\.\d+(?!\w)|(?<![\w.,/^-])\d{1,3}(?:,\d{3})+(?!\w)")
TEST = re.compile(r"`(tests/[\w/]+\.py)`")
FOLDER = re.compile(r"results/(\d{4}-\d\d-\d\d-[\w-]+)")

EXEMPT = (
    # The rules of statistics; `test_what_a_formula_gives` computes the figures among them.
    r"95 % (?:Wilson )?interval|95 % confidence|middle 95 %|close to 95 %|Near 100 %|Wilson's, 95 %",
    r"97\.5 % confidence, the second at 98\.75 %|at most 5 %|same 5 %|at most 5 of 100 fits",
    r"is 97\.34 %|97\.48 % instead of 97\.34 %|97\.34 % of 5,000 images has a lower end of 96\.86 %",
    r"show no more than 98\.1 %|right, show 95\.2 %",
    r"18,816 of 1,199,882",
    r"10,000 images and a teacher of 98\.7 %, half a point leaves 0\.22 points",
    # What a user asks for.
    r"(?:floor of|for|meets|at|At|For|To) \d\d(?:\.\d)? %(?! on test)",
    r"\d\d %, (?:\w+) rule",
    r"at most [\d.]+ % error|[\d.]+ and [\d.]+ % error at most",
    r"at most 256 bytes|at most 8,192 bytes",
    # Settings of the code and parts of the file format.
    r"at most \d+ times|up to 1\.8 times the winner's size",
    r"widened to 2\.2 times the size|until 5 % of the parameters are gone|at most 40 % of it are spent",
    r"quantiles at 5 % and 95 %|by up to 8 %|8 degrees and 8 %",
    r"after 40 s|for 30 s|waits 300 s|60 s if there was none|waits, 30 s at most|pause of [\d.]+ s",
    r"[Ff]iles? of 4,096 bytes and more|names above 4,096 bytes|within 4,095 bytes|in a file of 4,096 bytes and more",
    r"trials of [\d.]+ s|takes? more than 2 MB",
    # Arithmetic that the sentence itself does, and made-up examples.
    r"three bits is 150 bytes|1 % of a file of 200 bytes|never seen one is 99 % accurate|peak can exceed 100 %",
)
"""What is no measurement, as patterns, each of which occurs in some document."""

OWED: tuple[str, ...] = ()
"""Paragraphs whose measurement has no folder yet, by page and beginning. Each is to be measured again, or taken out."""


@dataclass(frozen=True)
class Block:
    """A paragraph, or a line of a table, with the folders that it or its section names."""

    page: str
    line: int
    text: str
    folders: tuple[str, ...]
    tests: tuple[str, ...] = ()


def blocks(page: Path) -> Iterator[Block]:
    """Split a page into paragraphs and lines of tables, without code."""
    text = re.sub(
        r"^```.*?^```", lambda code: "\n" * code.group().count("\n"), page.read_text("utf-8"), flags=re.M | re.S
    )
    section: list[tuple[int, str]] = []
    above: dict[int, tuple[str, ...]] = {}
    for number, line in enumerate([*text.splitlines(), "# end"], start=1):
        if line.startswith("#"):
            yield from _of_section(page, section, above)
            section = []
        section.append((number, line))


def _of_section(page: Path, lines: list[tuple[int, str]], above: dict[int, tuple[str, ...]]) -> Iterator[Block]:
    """Yield the blocks of a section, which names folders for the sections below it too; `above` has those by depth."""
    depth = len(lines[0][1]) - len(lines[0][1].lstrip("#")) if lines else 0
    for deeper in [each for each in above if each >= depth]:
        del above[deeper]
    found = tuple(dict.fromkeys(FOLDER.findall("\n".join(line for _, line in lines))))
    if found and depth > 1:
        above[depth] = found
    named = found or (above[max(above)] if above else ())
    paragraph: list[tuple[int, str]] = []
    for number, line in [*lines, (0, "")]:
        begins = line.startswith(("|", "- ")) or not line.strip()
        if begins and paragraph:
            text = " ".join(line.strip() for _, line in paragraph)
            own = tuple(dict.fromkeys(FOLDER.findall(text)))
            yield Block(
                str(page.relative_to(ROOT)),
                paragraph[0][0],
                re.sub(r"`[^`]*`", "``", text),
                own or named,
                tuple(TEST.findall(text)),
            )
            paragraph = []
        if line.strip():
            paragraph.append((number, line))


def figures(text: str) -> list[str]:
    """Return the measured figures of a block, as they are written."""
    for pattern in EXEMPT:
        text = re.sub(pattern, "", text)
    found = [match.group(1) for match in FIGURE.finditer(text)]
    return found + (BARE.findall(text) if text.startswith("|") else [])


@cache
def numbers_of(folder: str) -> frozenset[str]:
    """Return every number in the texts of a folder, without the commas between thousands."""
    files = [path for path in sorted((RESULTS / folder).rglob("*")) if path.suffix in (".md", ".txt")]
    text = "\n".join(path.read_text("utf-8") for path in files)
    return frozenset(found.replace(",", "") for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text))


@cache
def published() -> frozenset[str]:
    """Return the numbers that others published."""
    rows = csv.DictReader((ROOT / "src/smidgen/studies/published.csv").read_text("utf-8").splitlines())
    return frozenset(row["value"] for row in rows if len(row["value"]) > 2)


@cache
def numbers_of_test(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"\d+(?:\.\d+)?", (ROOT / name).read_text("utf-8").replace("_", "")))


def without_evidence(block: Block) -> list[str]:
    """Return the figures of a block that no folder or test which it names contains, and that nobody published."""
    known = frozenset().union(*map(numbers_of, block.folders), *map(numbers_of_test, block.tests))
    text = block.text if block.folders else block.text.lstrip("| ")
    plain = [(figure, figure.replace(",", "")) for figure in figures(text)]
    return [figure for figure, number in plain if number not in known | published()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_measured_figure_has_its_evidence(page: Path) -> None:
    owed = tuple(each.partition(": ")[2] for each in OWED if each.startswith(str(page.relative_to(ROOT))))
    kept = [block for block in blocks(page) if not block.text.startswith(owed)]
    missing = [(block, figures) for block in kept if (figures := without_evidence(block))]
    wrong = [
        f"{block.page}:{block.line}: {', '.join(figures)} not in {', '.join(block.folders) or 'any: none is named'}"
        for block, figures in missing
    ]
    assert not wrong, "\n".join(["a measured figure needs a folder under results/ that contains it:", *wrong])


def test_what_is_owed_still_lacks_evidence() -> None:
    for each in OWED:
        page, _, start = each.partition(": ")
        found = [block for block in blocks(ROOT / page) if block.text.startswith(start)]
        assert any(map(without_evidence, found)), f"take {start} out of OWED"


def test_each_exemption_is_used() -> None:
    texts = [block.text for page in PAGES for block in blocks(page)]
    assert [pattern for pattern in EXEMPT if not any(re.search(pattern, text) for text in texts)] == []


@pytest.mark.parametrize("folder", sorted(RESULTS.iterdir()), ids=lambda folder: folder.name)
def test_each_folder_states_how_it_was_made(folder: Path) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-[a-z0-9-]+", folder.name)
    told = dict(
        re.findall(
            r"^- (command|commit|date|machine|versions|n): (.+)$", (folder / "README.md").read_text("utf-8"), re.M
        )
    )
    assert list(told) == ["command", "commit", "date", "machine", "versions", "n"]
    assert re.search(r"\b[0-9a-f]{7,40}\b", told["commit"]), "the commit's hash"
    assert told["date"] == folder.name[:10]


@pytest.mark.parametrize("folder", sorted(RESULTS.iterdir()), ids=lambda folder: folder.name)
def test_no_folder_names_the_place_of_a_file_on_one_machine(folder: Path) -> None:
    texts = [file for file in folder.rglob("*") if file.suffix in (".md", ".json", ".csv", ".txt")]
    assert [file.name for file in texts if re.search(r'File \\?"/', file.read_text("utf-8"))] == []


def test_a_figure_without_evidence_is_found(tmp_path: Path) -> None:
    def wrong(text: str, folders: tuple[str, ...] = ("2026-11-20-bytes",)) -> list[str]:
        return without_evidence(Block("page", 1, text, folders))

    assert wrong("a file of 216 bytes, 97.57 % on test") == []
    assert wrong("a file of 215 bytes, 97.58 % on test") == ["215", "97.58"]
    assert wrong("16,725 bytes and 16,724 bytes", ()) == ["16,725", "16,724"]
    assert wrong("took 12 s, 3.5 ms, 4.9x, 7 times, 31 of 32, 2 minutes", ()) == ["12", "3.5", "4.9", "7", "31", "2"]
    assert wrong("its 95 % interval, a floor of 97 %, 40 networks of 3x3") == []
    assert wrong("published: 90.24 % and 8,560 bytes", ()) == []


def test_what_a_formula_gives() -> None:
    """The figures in docs/concepts/floor-and-validation.md and docs/how-to/ that are computed and not measured."""
    wilson, strict = Floor(0.97).needed(10_000), Floor(0.97, "strict").needed(5_000)
    assert wilson is not None
    assert strict is not None
    assert (wilson.correct, f"{strict.rate:.4f}") == (9_734, "0.9748")
    assert f"{Score(4_867, 5_000).interval()[0]:.4f}" == "0.9686"
    assert f"{Score(200, 200).interval()[0]:.3f}" == "0.981"
    assert f"{Score(75, 75).lower_bound(0.975):.3f}" == "0.952"
