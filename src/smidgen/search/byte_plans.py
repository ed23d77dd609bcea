"""Trainings that the search for the fewest bytes proposes: a network, the step of each grid, a price and a rate.

The first of each network follow from its size. Later ones are children of a file: its network with other steps, another
price of a bit or another learning rate, each drawn from a few factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from random import Random

from smidgen.model import Model, nearest_step
from smidgen.transforms import Steps, grid_steps
from smidgen.transforms.quantize import RUNNING_STATS

FIRST_GRIDS = ((1.0, 1.0), (0.8, 0.33), (1.2, 0.33), (0.8, 3.0), (1.2, 3.0), (0.8, 1.0))
"""The first grids of a network: steps as multiples of `step_share`, and prices as multiples of `usual_price`."""

STEP_SHARE, STEP_POWER = 0.25, 0.2
"""Step for a network of `PRICE_PARAMETERS` parameters, as a share of a tensor's root mean square, and the power of the
size by which it grows: larger networks work with coarser weights. At 100,000 parameters the share is 0.72."""

PRICE, PRICE_PARAMETERS, PRICE_POWER = 60.0, 500, 0.65
"""Price of a bit in a network of `PRICE_PARAMETERS` parameters, in nats over all training images, and the power of the
size by which it falls. At 266,610 parameters it is 1; minimum description length gives 0.7 (Hinton & van Camp 1993)."""

RELIEF = (0.25, 0.5, 1.0, 1.0)
PRESSURE = (0.5, 1.0, 1.5, 2.0)
COARSER, FINER = (1.0, 1.0, 1.15, 1.3), (0.75, 0.87, 1.0, 1.0)
"""Factors a mutation draws from: RELIEF (of the price) and FINER (of all steps) if the parent is too inaccurate,
PRESSURE and COARSER if it has error to spare."""

RATES = (0.3, 1.0, 1.0, 2.0)
"""Factors of the learning rate that a mutation draws from."""

ONE_TENSOR = (0.7, 0.85, 1.2, 1.5)
"""Factors of one tensor's step that a mutation draws from."""

SHARED = 1.6
"""Steps whose ratio is smaller become one: a tensor with the grid of the one before it says so in less than a bit."""

RATE, RATE_PARAMETERS, RATE_POWER = 0.01, 2_000, 0.35
"""Learning rate up to `RATE_PARAMETERS` parameters, and the power of the size by which it falls in larger networks."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A training to come.

    Attributes:
        model: The network whose weights it begins with.
        steps: The step of each tensor's grid.
        price: The price of a bit, in nats over all training images.
        rate: The learning rate.
        seed: The seed of the training.
        share: The share of the effort's steps that it takes.
    """

    model: Model
    steps: Steps
    price: float
    rate: float
    seed: int
    share: float = 1.0


def first_plans(models: Sequence[Model], count: int, seed: int) -> list[Plan]:
    """Each network on the first of the grids, then each on the second, until there are `count` plans."""
    return [
        Plan(model, _first_steps(model, share), price * usual_price(model), usual_rate(model), seed)
        for (share, price), model in islice(product(FIRST_GRIDS, models), count)
    ]


def child(random: Random, model: Model, steps: Steps, price: float, *, has_slack: bool, reach: float) -> Plan:
    """A file's network on other grids at another price: coarser and higher if the file has error to spare.

    Args:
        random: Draws the factors.
        model: The network that the file decodes to.
        steps: The steps of its grids.
        price: The price of a bit that it was trained at.
        has_slack: Whether it has error to spare.
        reach: The power to which all factors are raised.
    """
    factor = random.choice(COARSER if has_slack else FINER) ** reach
    steps = {name: _scaled(step, factor) for name, step in steps.items()}
    if random.random() < 0.5:
        name = random.choice(list(steps))
        steps[name] = _scaled(steps[name], random.choice(ONE_TENSOR) ** reach)
    rate = usual_rate(model) * random.choice(RATES)
    price = price * random.choice(PRESSURE if has_slack else RELIEF) ** reach
    return Plan(model, steps, price, rate, random.randrange(2**31))


def usual_price(model: Model) -> float:
    """The price of a bit that suits a network of this size, in nats over all training images."""
    return float(PRICE * (PRICE_PARAMETERS / max(1, model.weights.size)) ** PRICE_POWER)


def step_share(model: Model) -> float:
    """The step that suits a network of this size, as a share of a tensor's root mean square."""
    return float(STEP_SHARE * max(1.0, model.weights.size / PRICE_PARAMETERS) ** STEP_POWER)


def usual_rate(model: Model) -> float:
    """The learning rate that suits a network of this size."""
    share = min(1.0, RATE_PARAMETERS / max(1, model.weights.size))
    return float(RATE * share**RATE_POWER)


def _first_steps(model: Model, share: float) -> Steps:
    """A step for each tensor that suits its size, and the same for tensors whose steps are nearly equal."""
    steps, last = grid_steps(model, share * step_share(model)), dict[bool, float]()
    for name, step in steps.items():
        if not name.endswith(RUNNING_STATS):
            before = last.get(kind := name.endswith(".weight"), step)
            last[kind] = steps[name] = before if max(step / before, before / step) < SHARED else step
    return steps


def _scaled(step: float, factor: float) -> float:
    return float(nearest_step(step * factor))
