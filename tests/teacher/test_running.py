"""A teacher over whole splits: parts that the store keeps, progress, and the expected time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_teachers import Told, outputs_of, prototypes

from smidgen.data import Dataset
from smidgen.teacher import Teacher, external, run_teacher, running
from smidgen.teacher.loaders import Network
from smidgen.trials.store import Store


@pytest.fixture
def counted(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A teacher from a file, in parts of 300 images; how many images each of its batches had."""
    run, batches = prototypes(digits, "nchw 0..1"), list[int]()

    def count(batch: np.ndarray) -> np.ndarray:
        batches.append(len(batch))
        return run(batch)

    network = Network("big.onnx", count, (1, 8, 8), 40_000_000, "a digest")
    monkeypatch.setattr(external, "open_network", lambda *_: network)
    monkeypatch.setattr(running, "PART_IMAGES", 300)
    return batches


def test_a_teacher_that_is_stopped_goes_on_where_it_was(digits: Dataset, store: Store, counted: list[int]) -> None:
    whole = outputs_of(store, digits, "big.onnx", input="nchw 0..1")
    needed = sum(counted)
    sampled = needed - len(digits.train) - len(digits.selection) - len(digits.confirmation)
    with Store(Path(store.location).with_name("other.sqlite")) as other:
        counted.clear()
        done = 0

        def stop(images: float) -> None:
            nonlocal done
            done += int(images)
            if done > 700:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_teacher(other, digits, Teacher("big.onnx", input="nchw 0..1"), Told(advance=stop))
        before = sum(counted)
        counted.clear()
        outputs = outputs_of(other, digits, "big.onnx", input="nchw 0..1")
        assert sum(counted) == needed - 600, "two parts of 300 were kept"
        assert before > 600 + sampled
    assert outputs.logits.tobytes() == whole.logits.tobytes()
    counted.clear()
    assert outputs_of(store, digits, "big.onnx", input="nchw 0..1").logits.tobytes() == whole.logits.tobytes()
    assert sum(counted) == sampled, "only the sample is run again"


def test_progress_comes_to_all_images(digits: Dataset, store: Store, counted: list[int]) -> None:
    told: list[float] = []
    for _ in range(2):
        told.clear()
        run_teacher(store, digits, Teacher("big.onnx"), Told(advance=told.append)).test()
        assert sum(told) == len(digits.train) + len(digits.selection) + len(digits.confirmation)
        assert max(told) <= 300


def test_how_long_a_large_teacher_takes_is_said_once(
    digits: Dataset, store: Store, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    run_teacher(store, digits, Teacher("big.onnx"), Told(say=said.append))
    assert said == [], "it is quick"
    monkeypatch.setattr(running, "LONG_SECONDS", 0.0)
    changed = replace(digits, digest="other data")
    run_teacher(store, changed, Teacher("big.onnx"), Told(say=said.append))
    assert len(said) == 1
    left = len(digits.train) + len(digits.selection) + len(digits.confirmation)
    assert "big.onnx (40,000,000 parameters) takes about" in said[0]
    assert f"minutes for the {left:,} examples left" in said[0]
