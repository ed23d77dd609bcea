"""`benchmarks/reproduce.py`: the folder of results and the page that it writes, from a report made here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from smidgen.studies import Finding, Report, Table
from smidgen.studies.output import write, write_index
from smidgen.studies.pictures import Picture

ROOT = Path(__file__).parents[2]
PAGE = "# How to\n\nWritten by hand.\n\n## What was missed\n\nAlso by hand.\n\n## Results\n\n### old\n\nOld figures.\n"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The script on a checkout of its own, whose page has an older picture."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import reproduce

    docs = tmp_path / "checkout" / "docs"
    docs.mkdir(parents=True)
    (docs / "page.md").write_text(PAGE, "utf-8")
    (docs / "reproduce-old.png").write_bytes(b"old")
    (docs / "other.png").write_bytes(b"other")
    monkeypatch.setattr(reproduce, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(reproduce, "PAGE", docs / "page.md")
    monkeypatch.setattr(reproduce, "COMMIT", "0123456789ab")
    yield reproduce
    for name in ("reproduce", "evidence"):
        sys.modules.pop(name, None)


def report_of(name: str) -> Report:
    table = Table("Sizes", ("", ">parameters"), (("net", "10"),))
    finding = Finding("Is it small?", "Yes: 10 parameters.")
    return Report(
        notes=("A note.",),
        tables=(table,),
        findings=(finding,),
        name=name,
        title=f"{name}: about nets",
        rows=(),
        pictures=(Picture("size.png", "Accuracy against size", ()),),
        runs={},
        seconds=1.0,
        trained=1,
        remembered=0,
    )


@pytest.fixture
def written(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of results, after the page was written; the pictures are the text "drawn"."""
    monkeypatch.setattr(Picture, "draw", lambda picture, path: path.write_text("drawn"))
    reports = [report_of("one"), report_of("two")]
    full, out = tmp_path / "full", tmp_path / "checkout" / "results" / "2030-01-02-reproduce"
    out.mkdir(parents=True)
    for report in reports:
        write(report, full)
    write_index(reports, full)
    script.keep(reports, full, out)
    script.write_page(reports, out, "It took 5 minutes 3 seconds.")
    return out


def test_the_page_keeps_what_is_written_by_hand_above_its_results(script: ModuleType, written: Path) -> None:
    text = script.PAGE.read_text("utf-8")
    by_hand, _, results = text.partition("## Results\n")
    assert by_hand == PAGE.partition("## Results\n")[0]
    assert "Old figures" not in results
    assert results.startswith(
        "\nWritten at commit `0123456789ab` by `python benchmarks/reproduce.py --out results/2030-01-02-reproduce` "
        "(`results/2030-01-02-reproduce/`). It took 5 minutes 3 seconds.\n\n### one: about nets\n\n- A note.\n"
    )
    assert "| net | 10 |" in results
    assert "**Is it small?**\n\nYes: 10 parameters.\n" in results
    assert results.count("\n### ") == 2


def test_the_pictures_lie_beside_the_page_and_older_ones_are_removed(script: ModuleType, written: Path) -> None:
    assert {path.name for path in script.PAGE.parent.glob("*.png")} == {
        "reproduce-one-size.png",
        "reproduce-two-size.png",
        "other.png",
    }
    assert "![Accuracy against size](reproduce-two-size.png)" in script.PAGE.read_text("utf-8")


def test_the_folder_has_the_texts_and_links_no_picture(written: Path) -> None:
    texts = ("table.csv", "table.md", "findings.md")
    assert {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()} == {
        "index.md",
        *(f"{name}/{text}" for name in ("one", "two") for text in texts),
    }
    index = (written / "index.md").read_text("utf-8")
    assert "## one: about nets" in index
    assert "![" not in index


def test_the_folder_states_the_times_and_the_papers_sizes(script: ModuleType) -> None:
    said = script.about([report_of("one"), report_of("two")], "It took 5 minutes 3 seconds.")
    assert "\n\nIt took 5 minutes 3 seconds. one 0 minutes 1 seconds; two 0 minutes 1 seconds.\n\n" in said
    assert said.endswith("have 27 and 44 KB (its table 1)."), "which README.md compares our files with"


@pytest.mark.parametrize("out", ["outside", "checkout", "checkout/docs", "checkout/results"])
def test_a_folder_outside_the_results_is_refused_before_anything_is_trained(
    script: ModuleType, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "--out", str(tmp_path / out)])
    monkeypatch.setattr(script, "timed", None)
    with pytest.raises(SystemExit):
        script.main()
    assert "is not a folder in" in capsys.readouterr().err
    assert script.PAGE.exists()


def test_the_commit_of_a_measurement_is_read_before_it(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = sys.modules["evidence"]
    monkeypatch.setattr(evidence, "commit", lambda: "another one, made while it measured")
    assert evidence.stated("one run")["commit"] == evidence.COMMIT
