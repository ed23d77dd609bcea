"""Compare the search with Optuna's NSGA-II and TPE and with random search, in the same time.

    python benchmarks/search_contestants.py accelerometer=0.95 --seeds 3 --out results/DATE-search-contestants

SET=FLOOR is a set of `own_data_sets.py` or of `smidgen data list`, and a plain rate that both validation halves must
reach. `smidgen.search.shrink` runs first, at effort quick and without the search for bytes; each contestant then has as
many seconds as that took, with the teacher that was trained in that time. Contestants draw from the designs of the
first generation, learn by the recipe of the answer and train two networks at once: shortly in `SHORT_SHARE` of the
time that is left, then long, the smallest networks first whose error was at most `NEAR` times what the floor allows;
where no smaller ones are left, they draw again. A network that was drawn before is drawn anew, after `REPEATS` times at
random. Accuracy on test is scored once, for the smallest network that holds the floor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import optuna

from evidence import asked_searches, collected, markdown, new_folder, write_readme
from own_data_sets import source_of
from smidgen.data import Dataset, load
from smidgen.records import Outcome, Recipe, Trial
from smidgen.search.designs import designs_for
from smidgen.search.effort import EFFORTS, epochs_of
from smidgen.search.goal import Goal, Target
from smidgen.search.proposals import Space, fitted
from smidgen.search.result import ShrinkResult
from smidgen.search.shrink import shrink
from smidgen.search.state import space_of
from smidgen.spec import NetSpec
from smidgen.trials.evaluate import TrainingContext, score_in_units
from smidgen.trials.store import Store
from smidgen.trials.study import Study

T = TypeVar("T")

EFFORT = EFFORTS["quick"]
SHORT_SHARE, NEAR, AT_ONCE, REPEATS = 0.6, 1.3, 2, 50
SAMPLERS: dict[str, Callable[[int], Any]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "TPE": lambda seed: optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=16, multivariate=True, group=True, constant_liar=True
    ),
    "NSGA-II": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=16),
}
HEADS = ("data", "floor", "seed", "method", "parameters", "test", "n", "trained", "seconds", "network")


class Suggested(Random):
    """Random numbers that Optuna suggests; a number is named by the design and by how many were drawn before it."""

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__(0)
        self._trial, self._design, self._count = trial, "", 0

    def random(self) -> float:
        return float(self._trial.suggest_float(self._name("share"), 0.0, 1.0))

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        place = int(self._trial.suggest_categorical(self._name(f"of {len(seq)}"), list(range(len(seq)))))
        self._design = self._design or f"design {place}"
        return seq[place]

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self._design} {self._count} {kind}" if self._design else "design"


@dataclass(eq=False)
class Contest:
    """What a contestant trains, and what came of it."""

    context: TrainingContext
    study: Study
    space: Space
    floor: float
    recipe: Recipe
    seed: int
    until: float
    outcomes: dict[Trial, Outcome] = field(default_factory=dict)
    drawn: set[NetSpec] = field(default_factory=set)

    @cached_property
    def explorer(self) -> optuna.samplers.BaseSampler:
        """What draws where a sampler repeats itself."""
        return optuna.samplers.RandomSampler(seed=self.seed)

    def train(self, specs: Sequence[NetSpec], rung: str, seed: int) -> list[Outcome]:
        """Train networks at once, or look them up."""
        recipe = replace(self.recipe, epochs=epochs_of(EFFORT, rung, len(self.context.dataset.train)))
        trials = [self.context.trial(spec, recipe, seed) for spec in specs]
        found = self.study.run(self.context, trials, rung)
        self.outcomes |= dict(zip(trials, found, strict=True))
        return found

    def is_met(self, outcome: Outcome) -> bool:
        return min(outcome.selection.rate, outcome.confirmation.rate) >= self.floor

    def best(self) -> tuple[Trial, Outcome] | None:
        """The smallest network that holds the floor on both halves."""
        met = [(trial, outcome) for trial, outcome in self.outcomes.items() if self.is_met(outcome)]
        return min(met, key=lambda each: each[1].parameters, default=None)


def contend(contest: Contest, sampler: optuna.samplers.BaseSampler) -> None:
    """Draw and train until the time is over."""
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    while (left := contest.until - time.perf_counter()) > 0:
        search(contest, study, time.perf_counter() + SHORT_SHARE * left)
        train_long(contest)


def search(contest: Contest, study: optuna.Study, until: float) -> None:
    """Draw networks and train them shortly: fewer parameters and less error on the selection half."""
    while time.perf_counter() < until:
        drawn = [drawn_by(study, contest) for _ in range(AT_ONCE)]
        found = contest.train([spec for _, spec in drawn], "short", contest.seed)
        for (trial, _), outcome in zip(drawn, found, strict=True):
            study.tell(trial, (outcome.parameters, 1 - outcome.selection.rate))


def drawn_by(study: optuna.Study, contest: Contest) -> tuple[optuna.Trial, NetSpec]:
    """Return a network of the space that was not drawn before; any other counts as a failed trial."""
    sampler, tries = study.sampler, 0
    while True:
        study.sampler = sampler if tries < REPEATS else contest.explorer
        trial, tries = study.ask(), tries + 1
        random = Suggested(trial)
        spec = fitted(contest.space, random.choice(designs_for(contest.space.input_shape))(random))
        study.sampler = sampler
        if spec not in contest.drawn and contest.space.contains(spec):
            contest.drawn.add(spec)
            return trial, spec
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def train_long(contest: Contest) -> None:
    """Train the smallest networks that came near the floor until the time is over, from more seeds in each round."""
    near = NEAR * (1 - contest.floor)
    found = [(outcome.parameters, trial.spec) for trial, outcome in contest.outcomes.items()
             if 1 - outcome.selection.rate <= near]  # fmt: skip
    specs = [spec for _, spec in sorted(found, key=lambda each: each[0])] or [
        trial.spec for trial, _ in sorted(contest.outcomes.items(), key=lambda each: -each[1].selection.rate)[:8]
    ]
    for seed in range(contest.seed, contest.seed + 100):
        for place in range(0, len(specs), AT_ONCE):
            if time.perf_counter() >= contest.until:
                return
            some, best = specs[place : place + AT_ONCE], contest.best()
            if best and min(spec.parameters(contest.space.input_shape) for spec in some) >= best[1].parameters:
                break
            contest.train(some, "long", seed)


def rows_of(name: str, floor: float, seed: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Run the search, then each contestant for as long."""
    data = load(source_of(name, folder / name))
    with Store(folder / f"{name}-{seed}.sqlite") as store:
        began = time.perf_counter()
        goal = Goal(Target(floor, rule="rate"))
        answer = shrink(data, goal, effort=EFFORT, seed=seed, store=store, with_file=False)
        seconds = time.perf_counter() - began
    trained = len(answer.candidates)
    yield _row(data, floor, seed, "smidgen", (answer.winner, answer.outcome), answer, trained, seconds)
    for method, sampler in SAMPLERS.items():
        with Store(folder / f"{name}-{seed}-{method}.sqlite") as store:
            began = time.perf_counter()
            contest = Contest(
                answer.context, Study(store, AT_ONCE), space_of(data, goal, EFFORT, 1), floor,
                answer.winner.recipe, seed, began + seconds,
            )  # fmt: skip
            contend(contest, sampler(seed))
            spent = time.perf_counter() - began
        yield _row(data, floor, seed, method, contest.best(), answer, len(contest.outcomes), spent)


def _row(
    data: Dataset, floor: float, seed: int, method: str, found: tuple[Trial, Outcome] | None, answer: ShrinkResult,
    trained: int, seconds: float,
) -> dict[str, Any]:  # fmt: skip
    row = {"data": data.name, "floor": floor, "seed": seed, "method": method, "parameters": "", "test": "", "n": ""}
    row |= {"trained": trained, "seconds": round(seconds, 1), "network": "nothing held the floor"}
    if found:
        test = score_in_units(answer.context, found[0].spec, found[1].weights, data.test)
        row |= {"parameters": found[1].parameters, "test": test.correct, "n": test.total, "network": str(found[0].spec)}
    return row


def main() -> None:
    """Read the command line, run, and write the folder."""
    given = asked_searches(__doc__)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    out = new_folder(given.out)
    with TemporaryDirectory() as folder:
        made = (row for name, floor, seed in given.searches for row in rows_of(name, floor, seed, Path(folder)))
        found = collected(out / "rows.csv", HEADS, made)
    cells = [[str(row[head]) for head in HEADS[:-1]] for row in found]
    text = f"{__doc__}\n{markdown(HEADS[:-1], cells)}"
    write_readme(out, "The search beside Optuna", f"{given.seeds} seeds a set", text, ("numpy", "optuna"))


if __name__ == "__main__":
    main()
