"""What is asked: an accuracy to hold, limits to keep, or both; and the judge who says whether a network does.

Goal(floor=Floor(0.97))                     the smallest network that holds 97 %
Goal(within=0.005)                          the smallest within half a point of its teacher
Goal(parameters=1000)                       the best network of at most 1,000 parameters
Goal(floor=Floor(0.9), ram_bytes=8192)      the smallest that holds 90 % in so little memory
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from smidgen.errors import RequestError
from smidgen.records import Floor
from smidgen.search.proposals import Space
from smidgen.spec import NetSpec, Shape

FLOAT_BYTES = 4
CODED_BITS = 4
"""Of a weight in the file of a small network that holds a floor; 3 to 4.5 were seen."""


@dataclass(frozen=True)
class Goal:
    """What a network must do; at least one of the first six is given.

    floor: an accuracy to hold
    within: how far below the teacher it may be on the same validation images: 0.005 is half a point
    surely: whether that is to be 95 % sure, one-sided; else the plain rates say it
    size_bytes: of its .smidgen file
    parameters, macs: at most; multiply-accumulates are for one image
    ram_bytes: of the values alive at once while one image goes through, float32
    balanced: accuracy is the mean of every class's own, and rarer classes are trained on as often as the commonest
    class_floor: what each class's own accuracy must reach on both halves, by the plain rate; 0 asks for nothing
    or_best: where nothing holds the floor, the most accurate is the answer, and says that it does not hold
    """

    floor: Floor | None = None
    within: float | None = None
    surely: bool = True
    size_bytes: int | None = None
    parameters: int | None = None
    macs: int | None = None
    ram_bytes: int | None = None
    balanced: bool = False
    class_floor: float = 0.0
    fallback_to_best: bool = False

    def __post_init__(self) -> None:
        if self.floor is None and self.within is None and not self.limits:
            raise RequestError(
                "nothing is asked for; give an accuracy (--floor 0.97 or --within 0.5%), a limit (--bytes, --params, "
                "--macs, --ram), or both"
            )
        for name, limit in self.limits.items():
            if limit < 1:
                raise RequestError(f"{name}={limit} must be at least 1")
        if self.within is not None and not 0 <= self.within < 0.5:
            raise RequestError(f"within={self.within:g} must be at least 0 and below 0.5; half a point is 0.005")
        if not 0 <= self.class_floor < 1:
            raise RequestError(f"class_floor={self.class_floor:g} must be at least 0 and below 1; give for example 0.8")

    @property
    def limits(self) -> dict[str, int]:
        """The limits that are given, by name."""
        names = ("size_bytes", "parameters", "macs", "ram_bytes")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def has_floor(self) -> bool:
        """Whether an accuracy is asked for; else the best within the limits is."""
        return self.floor is not None or self.within is not None

    @property
    def slug(self) -> str:
        """A name for a folder: "0.97", "within-0.005", "1000-parameters"."""
        words = [] if self.floor is None else [f"{self.floor.accuracy:g}"]
        words += [] if self.within is None else [f"within-{self.within:g}"]
        return "-".join((*words, *(f"{limit}-{name.replace('_', '-')}" for name, limit in self.limits.items())))

    @property
    def limits_text(self) -> str:
        """ "at most 1,000 parameters and 8,192 bytes of RAM", or ""."""
        words = {"size_bytes": "bytes of file", "parameters": "parameters", "macs": "multiply-accumulates"}
        parts = [f"{limit:,} {words.get(name, 'bytes of RAM')}" for name, limit in self.limits.items()]
        return "at most " + " and ".join(parts) if parts else ""

    def keeps(self, spec: NetSpec, shape: Shape) -> bool:
        """Whether a network is within the limits."""
        costs = {
            "size_bytes": expected_bytes,
            "parameters": NetSpec.parameters,
            "macs": NetSpec.macs,
            "ram_bytes": ram_bytes,
        }
        return all(costs[name](spec, shape) <= limit for name, limit in self.limits.items())

    def limited(self, space: Space) -> Space:
        """The part of a space that is within the limits."""
        coded = self.size_bytes and self.size_bytes * 8 // CODED_BITS
        counts = [count for count in (self.parameters, coded) if count]
        most = min(counts, default=space.most_parameters)
        most_macs = space.most_macs if self.macs is None else min(self.macs, space.most_macs)
        keeps: Callable[[NetSpec], bool] = lambda spec: self.keeps(spec, space.input_shape)  # noqa: E731
        return replace(space, most_parameters=most, most_macs=most_macs, keeps=keeps)


def expected_bytes(spec: NetSpec, shape: Shape) -> int:
    """What a network's file will take, about; the search for bytes then says."""
    return CODED_BITS * sum(plan.parameters + plan.running_stats for plan in spec.plan(shape)) // 8


def ram_bytes(spec: NetSpec, shape: Shape) -> int:
    """The values alive at once while one image goes through, layer by layer, as float32."""
    return FLOAT_BYTES * spec.activation_count(shape)


# --- the floor that follows -----------------------------------------------------------------------


# --- the judge ------------------------------------------------------------------------------------
