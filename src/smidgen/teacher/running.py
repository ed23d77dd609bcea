"""An external teacher run over whole splits, in parts that the store keeps as they are computed.

The store's key of a part has the digest of the teacher's files, the input format, the kind and the order of the
outputs, and the digest of the data. A run that was stopped continues with the part at which it was. An object in memory
has no file to be identified by, and is run anew.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data import Dataset
from smidgen.reporter import Reporter
from smidgen.teacher.fitting import BATCH_IMAGES, FittedNetwork, batches
from smidgen.teacher.logits import Logits
from smidgen.trials.store import Store

PART_IMAGES = 4_096
LONG_SECONDS = 10.0
"""Announce the expected time if it exceeds this many seconds."""


class SplitRunner:
    """Computes a teacher's logits split by split, and reads from the store what it has."""

    def __init__(self, store: Store, data: Dataset, fitted: FittedNetwork, reporter: Reporter) -> None:
        self.store, self.data, self.fitted, self.reporter = store, data, fitted, reporter
        self.remembered_images = 0
        self.announced = False

    def logits(self, split: str) -> Logits:
        """Compute the logits of a split: float32 [n, classes].

        Args:
            split: "train", "selection", "confirmation" or "test".
        """
        images = self.data.splits[split].images
        starts = range(0, len(images), PART_IMAGES)
        parts = [self._part(split, start, images[start : start + PART_IMAGES]) for start in starts]
        return np.concatenate([np.zeros((0, self.data.classes), np.float32), *parts])

    def _part(self, split: str, start: int, images: npt.NDArray[Any]) -> Logits:
        fitted, digest = self.fitted, self.fitted.network.digest
        key = f"{fitted.key} {self.data.digest} {split} {start}"
        remembered = self.store.get_array(key) if digest else None
        if remembered is not None:
            self.remembered_images += len(images)
            self.reporter.advance(len(images))
            return remembered
        logits = self._compute(start, images)
        if digest:
            self.store.put_array(key, logits)
        return logits

    def _compute(self, start: int, images: npt.NDArray[Any]) -> Logits:
        pieces: list[Logits] = []
        for batch in batches(images):
            began = time.perf_counter()
            pieces.append(self.fitted.logits(batch, start + BATCH_IMAGES * len(pieces)))
            self._announce((time.perf_counter() - began) / len(batch))
            self.reporter.advance(len(batch))
        return np.concatenate(pieces)

    def _announce(self, image_seconds: float) -> None:
        """Report the expected time if it is long, once, after the first batch that is not in the store."""
        data, network = self.data, self.fitted.network
        left = len(data.train) + len(data.selection) + len(data.confirmation) - self.remembered_images
        if not self.announced and image_seconds * left > LONG_SECONDS:
            size = f" ({network.parameters:,} parameters)" if network.parameters else ""
            self.reporter.say(
                f"{network.name}{size} takes about {image_seconds * left / 60:.1f} minutes for the {left:,} examples "
                f"left; its logits are kept in parts of {PART_IMAGES:,} examples, so it can be stopped and continued"
            )
        self.announced = True
