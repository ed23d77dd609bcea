"""`smidgen data list`, `fetch` and `show`: tables, the contact sheet, and a cache that is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from commands import assert_refused
from smidgen.cli.screen import WIDTH
from smidgen.data import published, sources

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        (["data", "list"], ["mnist", "fashion-mnist", "digits"]),
        (
            ["data", "show", "digits"],
            ["1x8x8, 10 classes", "values 0 to 255, read as value / 255", "1,079", "180", "179", "359"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_tables_say_the_facts_in_eighty_columns(
    command: Command, work: Path, line: list[str], facts: list[str]
) -> None:
    said = command(*line)
    assert (said.code, said.err) == (0, "")
    for fact in facts:
        assert fact in said.out
    assert max(map(len, said.out.splitlines())) <= WIDTH


def test_data_show_lists_the_classes_in_order(command: Command, work: Path) -> None:
    names = [f"[red]{index:02}" for index in range(14)]
    rows = "".join(f"{n * 9 % 140 / 8},{n * 3 % 140 / 4},{names[n % 14]}\n" for n in range(140))
    Path("table.csv").write_text("length,width,colour\n" + rows)
    lines = command("data", "show", "table.csv").out.splitlines()
    assert "values 0 to 34.75, scaled" in lines
    assert "labels are column 'colour', the last; --label names another" in lines
    assert [line.split() for line in lines if line.split()[:1] == ["width"]] == [["width", "0", "34.75"]]
    assert "answering always with the commonest class is 7.1% accurate" in lines
    listed = [line.split() for line in lines if line.strip().startswith("[red]")]
    assert [line[0] for line in listed] == names[:12]
    assert all(len(line) == 5 and sum(map(int, line[1:])) == 10 for line in listed)
    assert "... and 2 more classes" in lines
    assert max(map(len, lines)) <= WIDTH


def test_data_show_writes_a_contact_sheet(command: Command, work: Path) -> None:
    command("data", "show", "digits", "--out", "sheet.png")
    with Image.open("sheet.png") as sheet:
        sheet.load()
        assert sheet.size[1] >= 10 * 8
    assert [path.name for path in work.iterdir()] == ["sheet.png"]


def test_a_contact_sheet_that_cannot_be_written_is_refused(command: Command, work: Path) -> None:
    assert_refused(command("data", "show", "digits", "--out", "gone/sheet.png"), "gone/sheet.png")
    assert list(work.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_fetched_anew(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    assert command("data", "fetch", "digits").code == 0
    file = tmp_path / "cache" / "data" / "digits" / "digits.csv"
    whole = file.read_bytes()
    file.write_bytes(whole[:1_000])
    said = command("data", "fetch", "digits")
    assert (said.code, said.out) == (0, f"digits.csv: {file}\n")
    assert file.read_bytes() == whole


def test_a_damaged_file_that_no_source_has_is_said(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SMIDGEN_DATA", raising=False)
    folder = tmp_path / "cache" / "data" / "digits"
    folder.mkdir(parents=True)
    (folder / "digits.csv").write_text("damaged")
    (tmp_path / "empty").mkdir()
    sha256 = published.PUBLISHED["digits"].sha256
    sizes = published.PUBLISHED["digits"].size_bytes
    local = published.Published(sha256, (sources.Folder(tmp_path / "empty"),), size_bytes=sizes)
    monkeypatch.setitem(published.PUBLISHED, "digits", local)
    said = command("shrink", "digits", "--floor", "0.9", "--out", str(tmp_path / "out"))
    assert said.code == 2
    assert "digits.csv could not be fetched" in said.err
    assert f"{tmp_path / 'empty'}: has no digits.csv" in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "out").exists()


def test_every_command_says_how_it_read_a_table_before_it_trains(command: Command, work: Path, own_store: Path) -> None:
    rows = "".join(f"{n * 9 % 140 / 8},{n * 3 % 140 / 4},Graz,{'ab'[n % 20 == 0]}\n" for n in range(140))
    Path("table.csv").write_text("length,width,city,kind\n" + rows)
    assert_refused(command("sweep", "table.csv"), "column 'city' has text in 140 rows ('Graz' in row 1)")
    options = ("--drop", "city", "--label", "kind", "--classes", "b,a")
    said = command("sweep", "table.csv", *options, "--family", "mlp1", "--widths", "1", "--seeds", "1", "--epochs", "1")
    assert said.code == 0
    read, first, second = said.err.splitlines()
    assert read.startswith("input: vector of 2 features")
    assert first == "labels are column 'kind'"
    assert second.startswith(
        "class 'a' has 133 examples and 'b' 7: answering always 'a' is 95.0% accurate; --balanced asks"
    )
