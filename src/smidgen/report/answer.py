"""The result of a search as Python users handle it: shown, drawn, tabled, exported, and its network changed."""

from __future__ import annotations

import html
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from smidgen.errors import RequestError
from smidgen.exporters import TARGETS, Export, export
from smidgen.extras import install_line
from smidgen.model import Model, as_quantized, save_smidgen
from smidgen.records import Outcome, Trial
from smidgen.report.csv import TRIALS_HEAD, trials_rows
from smidgen.report.device import Device, device_of
from smidgen.report.folder import float_file_bytes, frontier_of
from smidgen.report.page import render, write_page
from smidgen.report.view import PageView
from smidgen.search.result import ShrinkResult
from smidgen.spec import NetSpec, parse_spec
from smidgen.text_forms import path_of
from smidgen.trials.evaluate import evaluate, shipped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRAME = (
    '<iframe srcdoc="{page}" title="{title}" sandbox="allow-scripts" loading="lazy" '
    'style="width:100%;height:900px;border:1px solid #8888;border-radius:8px"></iframe>'
)
"""The page in a frame of its own: neither its style nor its script reaches the notebook."""


MODULE_SUFFIX = ".js"
"""Also written by the target "js", besides its own suffix."""


@dataclass(frozen=True, eq=False)
class Retrained:
    """A network of the user's own, trained as the winner was.

    Attributes:
        trial: The network, the recipe and the seed.
        outcome: Its scores on both halves of the validation split; the test split is left alone.
        model: The network with its weights, which `smidgen.save` writes.
    """

    trial: Trial
    outcome: Outcome = field(repr=False)
    model: Model = field(repr=False)

    def __str__(self) -> str:
        return f"{self.trial.spec}: {self.outcome.validation} on validation, {self.outcome.parameters:,} parameters"


@dataclass(frozen=True, eq=False, repr=False)
class Answer(ShrinkResult):
    """The result of a search, with a rich display, and what can be done with it.

        answer = smidgen.shrink("mnist", 0.97)
        answer.plot()
        answer.to_frame().sort_values("parameters")
        answer.export("net.c", form="float")
        answer.retrain(answer.winner.spec.edited(0, "conv 3x3x3 relu"))

    Attributes:
        samples: Whether the display may hold test samples.
        command: The command line that the display shows; "" for none.
    """

    samples: bool = True
    command: str = ""

    @classmethod
    def of(cls, result: ShrinkResult, *, samples: bool = True, command: str = "") -> Answer:
        """Return a result with a rich display."""
        known = {field.name: getattr(result, field.name) for field in fields(result)}
        return cls(**known, samples=samples, command=command)

    def plot(self) -> Figure:
        """Draw accuracy against size: candidates, Pareto front, floor, winner and teacher.

        Returns:
            A matplotlib figure, which a notebook shows; `figure.savefig(path)` writes it.

        Raises:
            RequestError: matplotlib is not installed.
        """
        return frontier_of(self._view)

    def report(self, path: str | Path = "report.html") -> Path:
        """Write the page about the run, as in its folder, and return its path."""
        place = path_of(path, "path")
        try:
            write_page(self._view, place)
        except OSError as error:
            raise RequestError(f"cannot write {place}: {error.strerror or error}; give another path") from error
        return place

    def export(
        self, path: str | Path, *, to: str | None = None, form: str | None = None, prove: bool = False
    ) -> Export:
        """Write the winner for another program.

        Args:
            path: The file to write.
            to: "onnx", "c", "js", "html" or "safetensors"; None: as the path's suffix says.
            form: How C stores the weights, as in `smidgen.export`.
            prove: Run the export on the test images, and compare its classes with the network's.

        Returns:
            The file that was written, its size, and how it classified the test images.

        Raises:
            RequestError: The target is unknown, or a package that it needs is missing.
        """
        place = path_of(path, "path")
        with TemporaryDirectory(prefix="smidgen-") as folder:
            file = Path(folder) / "winner.smidgen"
            save_smidgen(as_quantized(self.model), file)
            return export(file, to=to or _target(place), form=form, data=self.data if prove else None, out=place)

    def to_frame(self) -> Any:
        """Return a pandas data frame with a row for each training, the columns of trials.csv.

        Raises:
            RequestError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise RequestError(f"a data frame needs pandas: {error}; {install_line('pandas')}") from error
        frame = pandas.DataFrame(trials_rows(self), columns=list(TRIALS_HEAD))
        return frame.assign(spec=frame["spec"].map(str))

    def retrain(self, spec: NetSpec | str, *, seed: int | None = None) -> Retrained:
        """Train a network of your own as the winner was trained: the same data, teacher and recipe.

        Args:
            spec: The network, or its text; `answer.winner.spec.edited` changes a layer of the winner.
            seed: Seed of the training; None: the winner's.

        Raises:
            SpecError: The network cannot be read, or does not fit the data.
        """
        network = parse_spec(spec) if isinstance(spec, str) else spec
        trial = self.context.trial(network, self.winner.recipe, self.winner.seed if seed is None else seed)
        outcome = evaluate(self.context, trial)
        return Retrained(trial, outcome, shipped(self.data, network, outcome.weights))

    def _repr_html_(self) -> str:
        """Return the page in a frame, for a notebook."""
        return FRAME.format(page=html.escape(render(self._view)), title=html.escape(self.headline))

    @cached_property
    def device(self) -> Device | None:
        """The answer's C program, with what it takes on a device; it is compiled where compilers are installed.

        None where the network has no C program.
        """
        return device_of(self)

    @property
    def _view(self) -> PageView:
        return PageView.of(
            self, float_file_bytes(self), self.command, samples=self.samples, device=self.__dict__.get("device")
        )


def _target(path: Path) -> str:
    """The target that a file's suffix names."""
    suffixes = {suffix: name for name, suffix in TARGETS.items()} | {MODULE_SUFFIX: "js"}
    if path.suffix not in suffixes:
        raise RequestError(f"{path} names no target; give to=, one of {', '.join(TARGETS)}")
    return suffixes[path.suffix]
