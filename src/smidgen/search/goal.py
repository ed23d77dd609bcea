"""What a network must reach (`Target`), what it may cost (`Limits`), and the two together (`Goal`).

Goal(Target(0.97))                                     the smallest network that holds 97 %
Goal(Target(within=0.005))                             the smallest within half a point of its teacher
Goal(limits=Limits(parameters=1000))                   the most accurate of at most 1,000 parameters
Goal(Target(0.9), limits=Limits(ram_bytes=8192))       the smallest that holds 90 % in so little memory
Goal(Target(0.9), limits=Limits(flash_bytes=8192, form="integer"))       the smallest whose C program is no longer
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace

from smidgen.errors import RequestError
from smidgen.exporters.program_cost import COST_FORMS, check_form, program_cost
from smidgen.records import RULES, Floor
from smidgen.search.proposals import Space
from smidgen.spec import NetSpec, Shape

FLOAT_BYTES = 4
BITS_PER_WEIGHT = 4
"""Expected bits of a weight in the file of a small network that holds a floor (measured: 3 to 4.5)."""

LIMIT_NAMES = {
    "file_bytes": ("size-bytes", "bytes of file"),
    "parameters": ("parameters", "parameters"),
    "macs": ("macs", "multiply-accumulates"),
    "ram_bytes": ("ram-bytes", "bytes of RAM"),
    "flash_bytes": ("flash-bytes", "bytes of flash"),
    "instructions": ("instructions", "instructions for an input"),
}
"""Each limit's name in the name of a run's folder, and in a sentence."""

OPTIONS = {"file_bytes": "--bytes", "parameters": "--params", "macs": "--macs", "ram_bytes": "--ram"}
OPTIONS |= {"flash_bytes": "--flash", "instructions": "--instructions"}
"""The option of each limit."""

PROGRAM_LIMITS = ("flash_bytes", "instructions")
"""Limits that only the C program of a form has."""

PROCESSOR = "Cortex-M0+"
"""The processor whose flash and instructions are limited."""

LEAST_INSTRUCTIONS = 2
"""Instructions that a multiply-accumulate takes at least: a product and the loop around it."""


@dataclass(frozen=True)
class Target:
    """An accuracy that a network must reach. With both a floor and a distance, the stricter one counts.

    Attributes:
        floor: The accuracy, between 0 and 1.
        within: How far below its teacher's accuracy, on the same validation images, a network may be;
            0.005 is half a point.
        rule: "wilson" asks for 95 % confidence that the target is reached; "rate" compares the plain rates; "strict"
            has the confirmation half show the floor by itself, so that at most 5 % of all searches end with a network
            below it.
    """

    floor: float | None = None
    within: float | None = None
    rule: str = "wilson"

    def __post_init__(self) -> None:
        if self.floor is None and self.within is None:
            raise RequestError("a target needs an accuracy; give a floor as 0.97, or within as 0.005")
        if self.rule not in RULES:
            raise RequestError(f"rule='{self.rule}' is not known; use one of {', '.join(RULES)}")
        if self.floor is not None:
            Floor(self.floor, self.rule)  # refuses an accuracy outside 0 to 1
        if self.within is not None and not 0 <= self.within < 0.5:
            raise RequestError(f"within={self.within:g} must be at least 0 and below 0.5; half a point is 0.005")

    @property
    def accuracy_floor(self) -> Floor | None:
        """The floor with its rule; None where only a distance to the teacher is given."""
        return None if self.floor is None else Floor(self.floor, self.rule)


@dataclass(frozen=True)
class Limits:
    """What a network may cost at most; None is no limit.

    Attributes:
        file_bytes: The length of its .smidgen file.
        parameters: Its trainable parameters.
        macs: Multiply-accumulates for one image.
        ram_bytes: The values alive at once while one image passes through, as float32; with a form the memory of one
            call of the C program, an input and the stack not included.
        flash_bytes: Weights, tables and code of the C program on a Cortex-M0+, estimated.
        instructions: Of the C program for one input on a Cortex-M0+, estimated.
        form: How the C program stores its weights, a key of `COST_FORMS`; "" where no program is asked for.
    """

    file_bytes: int | None = None
    parameters: int | None = None
    macs: int | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    instructions: int | None = None
    form: str = ""

    def __post_init__(self) -> None:
        for name, limit in self.given.items():
            if limit < 1:
                raise RequestError(f"{name}={limit} must be at least 1; leave it out for no limit")
        if self.form:
            check_form(self.form)
        for name in PROGRAM_LIMITS:
            if name in self.given and not self.form:
                raise RequestError(
                    f"{OPTIONS[name]} {self.given[name]} limits a C program, whose form is not given; add --form "
                    f"{', --form '.join(COST_FORMS[:-1])} or --form {COST_FORMS[-1]}"
                )

    @property
    def given(self) -> dict[str, int]:
        """The limits that are not None, by name."""
        limits = {limit.name: getattr(self, limit.name) for limit in fields(self) if limit.name != "form"}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def __bool__(self) -> bool:
        return bool(self.given)

    def __str__(self) -> str:
        """ "at most 1,000 parameters and 8,192 bytes of RAM", or ""."""
        parts = [f"{limit:,} {LIMIT_NAMES[name][1]}" for name, limit in self.given.items()]
        program = f" as C of the form {self.form}" if self.form else ""
        return "at most " + " and ".join(parts) + program if parts else ""

    def satisfied_by(self, spec: NetSpec, shape: Shape) -> bool:
        """Whether a network for inputs of this shape is within all limits."""
        cheap = [name for name in self.given if not self._is_of_program(name)]
        if any(COSTS[name](spec, shape) > self.given[name] for name in cheap) or self._is_surely_over(spec, shape):
            return False
        try:
            return all(self.cost(name, spec, shape) <= limit for name, limit in self.given.items() if name not in cheap)
        except RequestError:  # the form cannot hold such a network
            return False

    def cost(self, name: str, spec: NetSpec, shape: Shape) -> int:
        """What a limit of that name counts of a network for inputs of this shape."""
        if not self._is_of_program(name):
            return COSTS[name](spec, shape)
        found = program_cost(spec, shape, self.form)
        return found.instructions[PROCESSOR] if name == "instructions" else int(getattr(found, name))

    def costs(self, name: str, specs: Iterable[NetSpec], shape: Shape) -> Iterator[int]:
        """Yield what a limit of that name counts of each network that the form can hold."""
        for spec in specs:
            with suppress(RequestError):
                yield self.cost(name, spec, shape)

    @property
    def most_weights(self) -> int | None:
        """The parameters that fit in the flash; None without such a limit."""
        return self.flash_bytes and self.flash_bytes // (FLOAT_BYTES if self.form == "float" else 1)

    @property
    def most_macs(self) -> int | None:
        """The multiply-accumulates that fit in the limits; None without such a limit."""
        most = [self.macs, self.instructions and self.instructions // LEAST_INSTRUCTIONS]
        return min((limit for limit in most if limit), default=None)

    def _is_of_program(self, name: str) -> bool:
        return name in PROGRAM_LIMITS or (name == "ram_bytes" and bool(self.form))

    def _is_surely_over(self, spec: NetSpec, shape: Shape) -> bool:
        """Whether a limit is exceeded for which no program needs to be planned."""
        weights, macs = self.most_weights, self.most_macs
        return bool(weights and spec.parameters(shape) > weights) or bool(macs and spec.macs(shape) > macs)


@dataclass(frozen=True)
class Goal:
    """What is searched for: a target, limits, or both.

    Attributes:
        target: The accuracy to reach; None asks for the most accurate network within the limits.
        limits: What a network may cost.
        balanced: Accuracy is the mean over the classes, and training repeats images of rarer classes until all
            classes are equally frequent.
        class_floor: The plain accuracy that each class must reach on both validation halves; 0 asks for nothing.
        fallback_to_best: Where no network reaches the target, the most accurate one is returned instead of an error.
    """

    target: Target | None = None
    limits: Limits = field(default_factory=Limits)
    balanced: bool = False
    class_floor: float = 0.0
    fallback_to_best: bool = False

    def __post_init__(self) -> None:
        if self.target is None and not self.limits:
            raise RequestError(
                "nothing is asked for; give an accuracy (--floor 0.97 or --within 0.5%), a limit (--bytes, --params, "
                "--macs, --ram, --flash, --instructions), or both"
            )
        if not 0 <= self.class_floor < 1:
            raise RequestError(f"class_floor={self.class_floor:g} must be at least 0 and below 1; give for example 0.8")
        if self.class_floor and self.target is None:
            raise RequestError(
                f"class_floor={self.class_floor:g} goes with an accuracy of all classes, and none is given; add for "
                f"example --floor {self.class_floor:g}"
            )

    @property
    def slug(self) -> str:
        """A name for a folder: "0.97", "within-0.005", "1000-parameters", "0.9-rate-balanced"."""
        target = self.target
        words = [f"{target.floor:g}"] if target and target.floor is not None else []
        words += [f"within-{target.within:g}"] if target and target.within is not None else []
        words += [f"{limit}-{LIMIT_NAMES[name][0]}" for name, limit in self.limits.given.items()]
        words += [self.limits.form] if self.limits.form else []
        words += ["rate"] if target and target.rule == "rate" else []
        words += ["balanced"] if self.balanced else []
        return "-".join([*words, f"classes-{self.class_floor:g}"] if self.class_floor else words)

    def satisfies(self, spec: NetSpec, shape: Shape) -> bool:
        """Whether a network for inputs of this shape is within the limits."""
        return self.limits.satisfied_by(spec, shape)

    def limited(self, space: Space) -> Space:
        """The part of a space that is within the limits."""
        limits = self.limits
        fit_in_file = limits.file_bytes and limits.file_bytes * 8 // BITS_PER_WEIGHT
        counts = [count for count in (limits.parameters, fit_in_file, limits.most_weights) if count]
        most = min(counts, default=space.most_parameters)
        most_macs = min(limits.most_macs or space.most_macs, space.most_macs)
        satisfies: Callable[[NetSpec], bool] = lambda spec: self.satisfies(spec, space.input_shape)  # noqa: E731
        return replace(space, most_parameters=most, most_macs=most_macs, satisfies=satisfies)


def as_goal(wanted: Goal | Floor | float) -> Goal:
    """The goal that a floor or a plain accuracy stands for."""
    if isinstance(wanted, Goal):
        return wanted
    floor = wanted if isinstance(wanted, Floor) else Floor(wanted)
    return Goal(Target(floor.accuracy, rule=floor.rule))


def expected_bytes(spec: NetSpec, shape: Shape) -> int:
    """The expected length of a network's file; the search for bytes measures the real one."""
    return BITS_PER_WEIGHT * sum(plan.parameters + plan.running_stats for plan in spec.plan(shape)) // 8


def ram_bytes(spec: NetSpec, shape: Shape) -> int:
    """The bytes of the values alive at once while one image passes through, layer by layer, as float32."""
    return FLOAT_BYTES * spec.activation_count(shape)


COSTS: dict[str, Callable[[NetSpec, Shape], int]] = {
    "file_bytes": expected_bytes,
    "parameters": NetSpec.parameters,
    "macs": NetSpec.macs,
    "ram_bytes": ram_bytes,
}
"""What a network for inputs of a shape costs, by the name of the limit."""
