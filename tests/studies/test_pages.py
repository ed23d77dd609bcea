"""The notes, sentences and tables that the pages make from numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from drawings import SHAPE, runs_of
from smidgen.search.frontier import TurningPoint
from smidgen.spec import parse_spec
from smidgen.studies import mimic
from smidgen.studies.document import Results, Row, render
from smidgen.studies.logit_regression import Regressed
from smidgen.studies.reduce_cnn import Rates, Reduced, Stopped
from smidgen.studies.trainings import Runs
from smidgen.studies.width_sweeps import SWEEPS, Swept

COURSE = "Does a better teacher make a better student?"
PAGES = {Reduced: "reduce-cnn", Regressed: "logit-regression", Swept: "width-sweeps", mimic.Mimicked: "mimic"}


def answer(results: Results, question: str) -> str:
    """What a page answers."""
    findings = render(PAGES[type(results)], results).findings
    return next(finding.answer for finding in findings if finding.question == question)


def reduced(
    *rows: Row, stopped: tuple[Stopped, ...] = (), training: Rates | None = None, ours: Rates | None = None
) -> Reduced:
    return Reduced(rows=rows, stopped=stopped, training=training or {}, our_training=ours or {})


def swept(
    theirs: Mapping[str, Runs], plain: Mapping[str, Runs] | None = None, soft: Mapping[str, Runs] | None = None
) -> Swept:
    return Swept(rows=(), theirs=theirs, all_images={}, plain=plain or {}, soft=soft or {})


def regressed(rates: dict[int, float]) -> Regressed:
    """A teacher and students of so many hidden neurons with these rates."""
    teacher = runs_of([0.99])
    students = [Row(f"h = {h}", 9_227 * h + 18_826, None, runs_of([rate], seed=h)) for h, rate in rates.items()]
    rows = (Row("teacher", 1_199_882, 0.99, teacher), *students)
    return Regressed(rows=rows, our_teacher=teacher, dropouts={}, kinds={}, losses={}, border=None)


def mimicked(
    *course: mimic.Lesson, half: Mapping[str, Runs] | None = None, whole: Mapping[str, Runs] | None = None
) -> mimic.Mimicked:
    """The course, and the ablation on Fashion-MNIST after half its epochs and all of them."""
    return mimic.Mimicked(
        rows=(),
        theirs={},
        notebook={},
        ablation={"fashion-mnist": whole or {}, "mnist": {}},
        half_ablation={"fashion-mnist": half or {}, "mnist": {}},
        course=course,
        logit_seconds=1.0,
    )


def ablated(rates: Mapping[str, list[float]], epochs: int) -> dict[str, Runs]:
    """Networks of the ablation with these rates, from as many seeds, after so many epochs."""
    return {name: replace(runs_of(found, epochs=epochs), macs=1.0) for name, found in rates.items()}


def test_whether_a_figure_is_met_follows_from_it() -> None:
    runs = runs_of([0.970, 0.974, 0.972])

    def met(row: Row) -> str:
        return answer(replace(swept({}), rows=(row,)), "Does the document's own recipe give its published accuracy?")

    said = {published: met(Row("net", 10, published, runs)) for published in (0.971, 0.973, 0.99)}
    assert said[0.971] == (
        "net: published 97.10 %, measured 97.20 ± 0.20 % (3 seeds), 97.00 to 97.40 %, 2 of 3 at or above it: met."
    )
    assert said[0.973].endswith("1 of 3 at or above it: 0.10 points below, within one standard deviation of the seeds.")
    assert said[0.99].endswith("0 of 3 at or above it: missed by 1.80 points, 9.0 standard deviations.")
    assert "run it without --quick" in met(Row("net", 10, 0.97))
    beaten = answer(
        replace(swept({}), rows=(Row("net", 10, 0.97, None, runs),)), "What does our recipe give at the same size?"
    )
    assert beaten == "net: +0.20 points to 97.20 % (published 97.00 %)."


STRICT = "Is s(f1) < s(f2) strict for f1 < f2?"


def test_the_inequality_is_judged_by_the_table_of_the_smallest_sizes() -> None:
    found = regressed({8: 0.97, 4: 0.90, 2: 0.60})
    page = render("logit-regression", found)
    said = answer(found, STRICT)
    assert said == (
        "No: s(f) never falls as f rises, and it is a step function, equal wherever one size is the smallest to hold "
        "both, as s(92 %) = s(97 %) = 92,642. Of two neighbouring sizes the larger has the higher test accuracy in 2 "
        "of 2 pairs, with p < 0.05 in 2 (McNemar's exact test, the middle seeds)."
    )
    assert page.notes[0].endswith(f"(its author says no): {said}")
    (table,) = (table for table in page.tables if table.title.startswith("s(f)"))
    sizes = {row[0]: row[1] for row in table.rows}
    assert sizes["92 %"] == sizes["97 %"] == "92,642 (h = 8)"
    assert (sizes["90 %"], sizes["98 %"]) == ("55,734 (h = 4)", "1,199,882 (teacher)")


def test_neighbours_of_which_the_smaller_is_better_are_named() -> None:
    said = answer(regressed({8: 0.90, 4: 0.92, 2: 0.60}), STRICT)
    assert "the higher test accuracy in 1 of 2 pairs, with p < 0.05 in 1 (" in said
    assert "The smaller is as good or better: h = 4 against h = 8 (+2.00, p" in said


def test_sizes_that_no_two_floors_share_are_not_named() -> None:
    said = answer(regressed({}), STRICT)
    assert "both, as s(90 %) = s(99 %) = 1,199,882." in said, "the teacher alone holds every floor"
    untrained = replace(regressed({}), rows=())
    assert answer(untrained, STRICT).endswith("one size is the smallest to hold both.")


def test_straight_lines_are_judged_by_their_fit() -> None:
    question = "Does accuracy fall linearly and size exponentially?"
    straight = answer(regressed({8: 0.9, 6: 0.8, 4: 0.7, 2: 0.6}), question)
    assert "accuracy is linear with R² = 1.000" in straight
    assert "it is 9,227 h + 18,826 by its formula" in straight
    bent = answer(regressed({8: 0.9, 4: 0.8, 2: 0.7, 1: 0.6}), question)
    assert "accuracy R² = 1.000" in bent
    assert "linear with R² = 1.000" not in bent


def test_the_target_and_the_turning_points_follow_the_runs() -> None:
    runs = {f"cnn2, n = {w}": runs_of([r]) for w, r in ((8, 0.99), (4, 0.98), (2, 0.968), (1, 0.9))}
    target = "What is the smallest that holds 97% on validation?"
    assert "cnn2: 2,358 by its recipe (" in answer(swept(runs), target)
    better = {**runs, "cnn2, n = 2": runs_of([0.971])}
    said = answer(swept(runs, soft=better), target)
    assert "cnn2: 2,358 by its recipe, 932 by our recipe (the author: 932)" in said
    assert "mlp1: none that was trained (the author: 26,506)" in said


@pytest.mark.parametrize(("low", "high", "verdict"), [(800, 1_000, "contains"), (408, 408, "does not contain")])
def test_the_authors_turning_point_lies_in_the_range_or_not(low: int, high: int, verdict: str) -> None:
    found = swept({})
    turn = TurningPoint(low, 0.97, low, high, "")
    found.__dict__["turns"] = [(SWEEPS["cnn2"], turn, None)]
    said = answer(found, "Where does the curve turn?")
    assert f"the range {verdict} the author's 932; none with ours." in said


def test_what_the_teacher_adds_follows_the_runs() -> None:
    plain = {name: runs_of([rate]) for name, rate in (("cnn2, n = 2", 0.96), ("cnn2, n = 1", 0.95))}
    soft = {name: runs_of([rate]) for name, rate in (("cnn2, n = 2", 0.97), ("cnn2, n = 1", 0.945))}
    assert answer(swept({}, plain=plain, soft=soft), "What does the teacher add to our recipe?") == (
        "It is better at 1 of 2 sizes, by +0.25 points on average; most at cnn2, n = 2 (+1.00, to 97.00 %), least at "
        "cnn2, n = 1 (-0.50)."
    )


def test_the_seed_of_a_small_network_is_chosen_by_its_selection_half() -> None:
    runs = runs_of([0.95, 0.97, 0.96])
    lowest, highest, median = runs.outcomes
    runs = replace(runs, outcomes=(highest, lowest, median))
    found = replace(swept({}), rows=(Row("small", 408, ours=runs), Row("one seed", 408, ours=runs_of([0.9]))))
    tables = render("width-sweeps", found).tables
    (row,) = next(table.rows for table in tables if table.title.startswith("Our seeds of the smallest networks"))
    assert row == ("small", "95.00", "96.00", "97.00", "95.00", "93.47 to 96.19", "3")


def test_the_ratios_are_the_published_ones() -> None:
    said = answer(swept({}), "How much smaller are the turning points?")
    for ratio in ("1/25 of 669,706", "1/38 of 669,706", "1/250 of 1,199,882", "18.7x below mlp2"):
        assert ratio in said
    assert "1/1287 of 1,199,882" in said, "the document rounds it to 1/1000"


def test_mimic_begins_with_the_sizes_of_its_two_networks() -> None:
    note = render("mimic", mimicked()).notes[0]
    assert note.startswith(
        "Its question first: SNN and SNN-mimic come to the same number of parameters in the paper by"
    )
    hidden = int(re.findall(r"takes ([\d,]+) hidden units", note)[0].replace(",", ""))
    wide, narrow = (parse_spec(mimic.bottleneck(h)).parameters(SHAPE) for h in (hidden, 8_000))
    assert f"they have 6,360,010 and {narrow:,} parameters" in note
    assert abs(wide - 6_360_010) <= mimic.BOTTLENECK + 11, "one hidden unit more or less"


def test_a_student_above_its_teacher_is_named() -> None:
    second = mimic.Lesson(4, runs_of([0.9]), runs_of([0.88]))
    said = answer(mimicked(mimic.Lesson(1, runs_of([0.8]), runs_of([0.82])), second), COURSE)
    assert "0.60 points a teacher's point" in said
    assert "above its teacher after 1 teacher's epochs" in said
    assert "above its teacher" not in answer(mimicked(mimic.Lesson(1, runs_of([0.8]), runs_of([0.7])), second), COURSE)


ABLATION = "Why does the SNN beat the mimic?"


def test_a_step_is_stable_where_both_lengths_show_the_same_sign_beyond_chance() -> None:
    # The first seed is the middle one: all first seeds err on the same images, as far as they err.
    rates = {"SNN, labels": [0.88], "SNN, KL": [0.90], "no bottleneck, labels": [0.861, 0.86, 0.862]}
    rates |= {"no bottleneck, KL": [0.84], "bottleneck, labels": [0.87], "bottleneck, KL": [0.871]}
    earlier = rates | {"SNN, KL": [0.89], "no bottleneck, labels": [0.89, 0.88, 0.9], "bottleneck, KL": [0.869]}
    found = mimicked(half=ablated(earlier, 6), whole=ablated(rates, 12))
    assert [(str(step).partition(", ")[2][:22], step.stability) for step in found.steps] == [
        ("the loss, at the SNN's", "same"),  # +1 and +2 points
        ("the parameters (6,360,", "other"),  # +1 and -1.9
        ("the bottleneck at equa", "other"),  # -2 and +0.9
        ("the bottleneck at equa", "same"),  # +2.9 and +3.1
        ("the loss behind the bo", "open"),  # -0.1 and +0.1
    ]
    said = answer(found, ABLATION)
    assert "the loss, at the SNN's size (n = 1 and 1): +2.00 points (" in said
    assert "from labels (n = 1 and 3): -1.90 points (" in said
    assert "After 6 epochs as after 12, 2 of 5 steps have the same sign with p < 0.05. Another sign" in said
    assert (
        "from labels (+1.00 and -1.90 points); fashion-mnist, the bottleneck at equal parameters, from labels" in said
    )
    assert said.endswith("both: fashion-mnist, the loss behind the bottleneck (-0.10 and +0.10 points).")


def test_an_ablation_of_one_length_claims_nothing_of_it() -> None:
    runs = ablated({"bottleneck, labels": [0.87], "bottleneck, KL": [0.85]}, 1)
    page = render("mimic", mimicked(half=runs, whole=runs))
    said = next(finding.answer for finding in page.findings if finding.question == ABLATION)
    assert said.endswith(
        "Both lengths of the ablation are 1 epoch here, so this does not show whether the answers depend on it."
    )
    assert "same sign" not in said
    assert any("trains every network for 1 epoch, on both data sets. The second length" in note for note in page.notes)
    table = next(table for table in page.tables if table.title.startswith("Ablation"))
    assert table.heads == ("", ">parameters", ">Fashion-MNIST, 1 epoch", ">MNIST, 1 epoch")
    assert [row[2] for row in table.rows] == ["87.00 (1; 1)", "85.00 (1; 1)"]


def test_an_ablation_of_two_lengths_shows_both() -> None:
    found = mimicked(half=ablated({"SNN, KL": [0.87]}, 6), whole=ablated({"SNN, KL": [0.88]}, 12))
    table = next(table for table in render("mimic", found).tables if table.title.startswith("Ablation"))
    assert table.heads[2:4] == (">Fashion-MNIST, 6 epochs", ">Fashion-MNIST, 12 epochs")
    assert table.rows == (("SNN, KL", "10", "87.00 (1; 6)", "88.00 (1; 12)", "", ""),)


def test_reduce_cnn_tells_the_tables_training_accuracy_from_the_notebooks_test_accuracy() -> None:
    theirs, ours = runs_of([0.985, 0.981], epochs=7), runs_of([0.99], epochs=4)
    first = Row("baseline", 591_786, 0.9859, theirs, ours)
    second = Row("approach 2", 3_130, 0.9666, theirs)
    notebook = Stopped("baseline", theirs, theirs, runs_of([0.9855, 0.987, 0.988], 10_000, epochs=5))
    training: Rates = {"baseline": (0.995, 0.993), "approach 2": (0.9632, 0.9654)}
    page = render(
        "reduce-cnn", reduced(first, second, stopped=(notebook,), training=training, ours={"baseline": (0.999,)})
    )
    tables = {table.title: table for table in page.tables}
    main = tables["Test accuracy in %, mean ± standard deviation (seeds; epochs)"]
    assert main.heads[2] == ">notebook, test"
    assert main.rows[0][:5] == ("baseline", "591,786", "98.59", "98.30 ±0.28 (2; 7)", "99.00 (1; 4)")
    (both,) = (table for title, table in tables.items() if title.startswith("Training accuracy in %"))
    assert both.heads[1:5] == (">table, training", ">its recipe, training", ">ours, training", ">notebook, test")
    assert both.rows == (
        ("baseline", "98", "99.40 ±0.14 (2; 7)", "99.90 (1; 4)", "98.59", "98.30 ±0.28 (2; 7)", "99.00 (1; 4)"),
        ("approach 2", "97", "96.43 ±0.16 (2; 7)", "", "96.66", "98.30 ±0.28 (2; 7)", ""),
    )
    stopping = tables["Early stopping; test accuracy in % (seeds; epochs)"]
    assert stopping.rows == (("baseline", "98.30 ±0.28 (2; 7)", "98.30 ±0.28 (2; 7)", "98.68 ±0.13 (3; 5)"),)
    answers = {finding.question: finding.answer for finding in page.findings}
    assert answers["Does the document's recipe give the training accuracy of its table?"] == (
        "baseline: the table has 98 %, measured 99.40 ± 0.14 % (2 seeds), 99.30 to 99.50 %: met. "
        "approach 2: the table has 97 %, measured 96.43 ± 0.16 % (2 seeds), 96.32 to 96.54 %: missed by 0.57 points."
    )
    assert answers["Does the notebook's recipe give its test accuracy?"] == (
        "baseline: notebook 98.59 %, measured 98.68 ± 0.13 % (3 seeds), 98.55 to 98.80 %, 2 of 3 at or above it: met."
    )
    assert not any("published" in answer for answer in answers.values())


def test_the_notebooks_epochs_stand_beside_the_slides() -> None:
    theirs = {"DNN 3 x 64": runs_of([0.88, 0.89], epochs=30), "SNN-mimic-8k KL": runs_of([0.87], epochs=30)}
    notebook = {"DNN 3 x 64": runs_of([0.885], epochs=50), "SNN-mimic-8k KL": runs_of([0.86, 0.87], epochs=20)}
    found = replace(mimicked(), theirs=theirs, notebook=notebook)
    table = next(table for table in render("mimic", found).tables if table.title.startswith("The notebook's epochs"))
    assert table.heads[1:] == (">published", ">30 epochs, as the slides say", ">epochs of the notebook")
    assert table.rows == (
        ("DNN 3 x 64", "89.48", "88.50 ±0.71 (2; 30)", "88.50 (1; 50)"),
        ("SNN-mimic-8k KL", "87.09", "87.00 (1; 30)", "86.50 ±0.71 (2; 20)"),
    )
