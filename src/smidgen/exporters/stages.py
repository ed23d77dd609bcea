"""Groups the layers of a plan into stages, each of which makes one map row by row.

A pool that follows a convolution is computed with it, a batch norm or PReLU changes each row where it lies, and a
dropout is left out. Maps lie as [row][column][channel].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from smidgen.exporters.forward import activation_of, paddings, stride_of
from smidgen.spec import Add, AvgPool, BatchNorm, CReLU, Dense, Dropout, GlobalAvgPool, LayerPlan, MaxPool, PReLU, Shape
from smidgen.spec.layers import LINEAR, NO_CEILING, RELU, Pair
from smidgen.spec.shapes import product

POOLS = (MaxPool, AvgPool, GlobalAvgPool)
PIXELWISE = (Add, BatchNorm, CReLU, PReLU)
TOTAL_BYTES = 4
"""A sum before it is rounded or activated: int32 or float32."""


@dataclass(frozen=True)
class Options:
    """What the layers are grouped by; the best for a network's memory is searched.

    Attributes:
        transposed: Whether rows and columns change places.
        fuses: Whether a pool is computed with the convolution before it.
        fuses_means: Whether that holds for a pool over the whole map, too.
    """

    transposed: bool = False
    fuses: bool = True
    fuses_means: bool = False


@dataclass(frozen=True)
class Stage:
    """One step of the program.

    Attributes:
        place: The index in the plan of the layer that it computes; -1 for the stage that reads the input.
        plan: That layer; None for the input.
        pool: The pool that is computed with it.
        posts: The indices of the layers that change its rows in place.
        output: The index of the layer whose output it makes.
        inputs: The stages that it reads.
        shape: (channels, height, width) of the map that it makes.
        kernel: Rows and columns of a window.
        stride: Rows and columns from a window to the next, without the pool.
        pads: Rows above and columns left of the input.
        gathers: Whether it takes its whole input row by row and adds up, and so makes one row after the last.
    """

    place: int
    plan: LayerPlan | None
    output: int
    inputs: tuple[int, ...]
    shape: Shape
    source: Shape = (0, 0, 0)
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pads: Pair = (0, 0)
    pool: LayerPlan | None = None
    pool_window: Pair = (1, 1)
    pool_stride: Pair = (1, 1)
    posts: tuple[int, ...] = ()
    gathers: bool = False

    @property
    def reach(self) -> Pair:
        """Rows and columns of the input that one output takes."""
        rows, columns = (
            (pool - 1) * stride + kernel
            for pool, stride, kernel in zip(self.pool_window, self.stride, self.kernel, strict=True)
        )
        return (1 if self.gathers else rows), columns

    @property
    def hop(self) -> Pair:
        """Rows and columns of the input from one output to the next."""
        rows, columns = (pool * stride for pool, stride in zip(self.pool_stride, self.stride, strict=True))
        return (1 if self.gathers else rows), columns

    @property
    def lag(self) -> int:
        """Rows that are counted as made before the first that is whole."""
        return self.source[1] - 1 if self.gathers else 0


def stages_of(plans: Sequence[LayerPlan], input_shape: Shape, options: Options, item_bytes: int) -> tuple[Stage, ...]:
    """Return the stages in the order of the plan; the first reads the input.

    Args:
        plans: The network.
        input_shape: (channels, height, width) of its input.
        options: How layers are grouped.
        item_bytes: The length of a value of a map.
    """
    stages = [Stage(-1, None, -1, (), _turned(input_shape, options))]
    owner, readers = {-1: 0}, _readers(plans)
    for place, plan in enumerate(plans):
        source = plan.inputs[0]
        before, alone = stages[owner[source]], readers[source] == 1 and stages[owner[source]].output == source
        if isinstance(plan.layer, Dropout):
            owner[place] = owner[source]
            stages[owner[source]] = replace(before, output=place) if alone else before
            continue
        joined = _joined(before, place, plan, options) if alone else None
        if joined is not None:
            stages[owner[source]] = joined
        else:
            stages.append(_stage(place, plan, tuple(owner[index] for index in plan.inputs), options))
        owner[place] = owner[source] if joined is not None else len(stages) - 1
    return tuple(_gathered(stages, index, item_bytes) for index in range(len(stages)))


def _readers(plans: Sequence[LayerPlan]) -> dict[int, int]:
    """Return how many inputs of layers each output is."""
    readers = dict.fromkeys(range(-1, len(plans)), 0)
    for plan in plans:
        for index in plan.inputs:
            readers[index] += 1
    for place in reversed(range(len(plans))):
        if isinstance(plans[place].layer, Dropout):
            readers[plans[place].inputs[0]] += readers[place] - 1 if readers[place] else 0
    return readers


def _joined(before: Stage, place: int, plan: LayerPlan, options: Options) -> Stage | None:
    """Return the stage before with this layer in it; None if the layer needs a stage of its own."""
    if isinstance(plan.layer, BatchNorm | PReLU):
        return replace(before, posts=(*before.posts, place), output=place)
    if not isinstance(plan.layer, POOLS) or not options.fuses or not _takes_pool(before, plan):
        return None
    if isinstance(plan.layer, GlobalAvgPool) and not options.fuses_means:
        return None
    window, stride = _sides_of_pool(plan, options)
    shape = _turned(plan.output_shape, options)
    return replace(before, pool=plan, pool_window=window, pool_stride=stride, output=place, shape=shape)


def _takes_pool(before: Stage, plan: LayerPlan) -> bool:
    """Return whether a stage's sums can be pooled before they are activated, and none is computed twice."""
    if before.plan is None or isinstance(before.plan.layer, (*POOLS, *PIXELWISE, Dense)) or before.pool or before.posts:
        return False
    slope, ceiling = activation_of(before.plan)
    is_exact = slope in (RELU, LINEAR) and ceiling == NO_CEILING
    fits = slope >= 0 if isinstance(plan.layer, MaxPool) else is_exact
    window = getattr(plan.layer, "window", (1, 1))
    return fits and all(a >= b for a, b in zip(getattr(plan.layer, "stride", (1, 1)), window, strict=True))


def _stage(place: int, plan: LayerPlan, inputs: tuple[int, ...], options: Options) -> Stage:
    source, shape = _turned(plan.input_shape, options), _turned(plan.output_shape, options)
    (top, _), (left, _) = paddings(plan)
    kernel, stride = plan.weight_shape[2:] or (1, 1), stride_of(plan)
    if isinstance(plan.layer, POOLS):
        kernel, stride = _sides_of_pool(plan, Options())
    elif isinstance(plan.layer, Dense):
        kernel = plan.input_shape[1:]
    rows, columns = kernel
    kernel, stride, pads = (_turned_pair(pair, options) for pair in ((rows, columns), stride, (top, left)))
    return Stage(place, plan, place, inputs, shape, source, kernel, stride, pads)


def _sides_of_pool(plan: LayerPlan, options: Options) -> tuple[Pair, Pair]:
    whole = (plan.input_shape[1], plan.input_shape[2])
    window, stride = getattr(plan.layer, "window", whole), getattr(plan.layer, "stride", (1, 1))
    return _turned_pair(window, options), _turned_pair(stride, options)


def _gathered(stages: list[Stage], index: int, item_bytes: int) -> Stage:
    """Return a stage that adds up row by row if that takes less memory than its whole input."""
    stage = stages[index]
    readers = [other for other in stages if index in other.inputs]
    if stage.plan is None or not isinstance(stage.plan.layer, Dense | GlobalAvgPool) or stage.source[1] == 1:
        return stage
    row = product((stage.source[0], stage.source[2])) * item_bytes
    saves = row + stage.shape[0] * TOTAL_BYTES < row * stage.source[1]
    return replace(stage, gathers=saves and not any(any(other.pads) for other in readers))


def _turned(shape: Shape, options: Options) -> Shape:
    return (shape[0], *_turned_pair((shape[1], shape[2]), options))


def _turned_pair(pair: Pair, options: Options) -> Pair:
    return (pair[1], pair[0]) if options.transposed else pair
