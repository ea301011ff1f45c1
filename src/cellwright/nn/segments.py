"""Training over long sequences: segments that are run again when their gradient is needed.

Shapes: T time, B batch, n the units of whatever is meant; time first throughout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad

from cellwright.arguments import as_whole
from cellwright.backends import Call, Kernel, Result, Weights, announce, are_batched
from cellwright.errors import SettingError
from cellwright.ir import Graph

__all__ = ["Every", "check_every", "run_in_segments", "steps_of_segment"]

# Steps a segment; "auto" for about the square root of all steps; None for no segments.
Every: TypeAlias = int | Literal["auto"] | None

# Starting a segment, twice, costs as much as a hundred steps of a single row (128 units): shorter
# segments would save a little memory and lose much time.
SHORTEST = 64


def check_every(value: object) -> Every:
    """Return `value` if it says how long segments are, else raise `SettingError`."""
    if value is None or value == "auto":
        return value
    steps = as_whole(value)
    if steps is not None and steps > 0:
        return steps
    raise SettingError(
        f"checkpoint_every must be None, 'auto' or a positive whole number of steps, not {value!r}"
    )


def steps_of_segment(steps: int, every: Every) -> int:
    r"""Steps of a segment of a sequence of so many steps.

    Between segments $s$ numbers are kept (all states of a row), $s T / L$ in all; while the
    gradient of one segment is computed, its $L$ steps keep $v$ numbers each. The sum
    $s T / L + v L$ is least at $L = \sqrt{T s / v}$, where both are the same: $2 \sqrt{T s v}$.
    ``"auto"`` takes $L = \sqrt{T}$, because $v$ is the backend's affair. That makes
    $(s + v) \sqrt{T}$: on the CPU, where an LSTM has $v = 3 s$ and a GRU $v = 5 s$, 1.15 and
    1.34 times the least; and longer segments lose less time between them.

    >>> [steps_of_segment(steps, "auto") for steps in (20, 100, 10_000, 1_000_000)]
    [64, 64, 100, 1000]
    >>> steps_of_segment(10_000, 64), steps_of_segment(10_000, None)
    (64, 10000)
    """
    if every is None:
        return steps
    return max(SHORTEST, math.isqrt(max(steps - 1, 0)) + 1) if every == "auto" else every


def _is_transformed() -> bool:
    """Whether a transform of torch.func or forward-mode differentiation is at work; announced."""
    if not (torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0):
        return False
    announce("checkpoint_every is without effect under torch.func and in forward mode")
    return True


def run_in_segments(kernel: Kernel, graph: Graph, call: Call, every: Every) -> Result:
    """Run a cell over a batch of sequences; where a gradient is wanted, in segments.

    The forward run keeps what it was given, what it returns and the states between segments.
    The backward run takes the segments from the last to the first, runs each forward again,
    and has it differentiated by the backend. So beside inputs, outputs and their gradients,
    it takes room for the states of T / L steps and for everything that L steps keep.

    Parameters
    ----------
    kernel
        Any backend's; each call is one segment.
    graph
        The cell's equations.
    call
        What to run.
    every
        Steps a segment, see `steps_of_segment`; None runs the kernel once.

    Returns
    -------
    Result
        As the kernel's own. In half precision, states are rounded between two segments.

    Warns
    -----
    CellwrightWarning
        A gradient is to be differentiated itself; it is computed over all steps at once.
    """
    slots = tuple(_slots(graph, call))
    tensors = [tensor for _, _, tensor in slots]
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
        return kernel(call)  # without a look at the steps, of which a program may have any number
    if torch.compiler.is_compiling() or _is_transformed():
        return kernel(call)  # they could not look into what is written for autograd alone
    steps = call.inputs["x"].shape[0]
    length = steps_of_segment(steps, every)
    if length >= steps:
        return kernel(call)
    where = tuple((field, name) for field, name, _ in slots)
    run = _Run(kernel, graph, where, call.reverse, call.record, steps, length)
    found: tuple[Tensor, ...] = _Segments.apply(run, *tensors)  # type: ignore[no-untyped-call]
    seen = dict(zip(run.seen, found, strict=False))
    return Result(
        output=seen[run.seen[0]],
        states=dict(zip(run.states, found[len(seen) :], strict=True)),
        signals={name: seen[name] for name in call.record},
        call=call,
    )


def _slots(graph: Graph, call: Call) -> Iterator[tuple[str, Any, Tensor]]:
    """Every tensor of a call: the field it stands in, its name there, and itself."""
    states = {name: call.states[name] for name in graph.state_sizes}
    fields: dict[str, Mapping[str, Tensor]] = {
        "inputs": call.inputs,
        "below": call.below,
        "draws": call.draws,
        "states": states,
    }
    for field, values in fields.items():
        for name, tensor in values.items():
            yield field, name, tensor
    weights = Weights.of(call.weights)
    for names, block in zip(weights.layout, weights.blocks, strict=True):
        yield "weights", names, block
    for field, optional in (("active", call.active), ("start", call.start)):
        if optional is not None:
            yield field, field, optional


@dataclass(frozen=True)
class _Between:
    """What is carried from one segment to the next."""

    states: Mapping[str, Tensor]
    count: Tensor | None


@dataclass(frozen=True)
class _Run:
    """A call without its tensors, and how it is cut; tensors come in the order of `slots`."""

    kernel: Kernel
    graph: Graph
    slots: tuple[tuple[str, Any], ...]
    reverse: bool
    record: tuple[str, ...]
    steps: int
    length: int

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states."""
        return tuple(self.graph.state_sizes)

    @property
    def seen(self) -> tuple[str, ...]:
        """Names of what is returned at every step, the output first, none twice."""
        return tuple(dict.fromkeys((self.states[0], *self.record)))

    @property
    def segments(self) -> list[slice]:
        """The steps of each segment, in the order in which they are read."""
        if self.reverse:
            ends = range(self.steps, 0, -self.length)
            return [slice(max(0, end - self.length), end) for end in ends]
        starts = range(0, self.steps, self.length)
        return [slice(start, min(start + self.length, self.steps)) for start in starts]

    def cut(self, tensors: Sequence[Tensor], segment: slice) -> list[Tensor]:
        """The tensors that run over time cut to a segment, the others as they are."""
        return [
            tensor[segment] if self.is_cut(place, tensor) else tensor
            for place, tensor in enumerate(tensors)
        ]

    def is_cut(self, place: int, tensor: Tensor) -> bool:
        """Whether a tensor runs over time; a draw for a whole sequence has two axes."""
        field = self.slots[place][0]
        return field in ("inputs", "below", "active") or (field == "draws" and tensor.dim() == 3)

    def call(self, tensors: Sequence[Tensor]) -> Call:
        """The call of which these are the tensors."""
        fields: dict[str, dict[Any, Tensor]] = {}
        for (field, name), tensor in zip(self.slots, tensors, strict=True):
            fields.setdefault(field, {})[name] = tensor
        return Call(
            inputs=fields["inputs"],
            states=fields.get("states", {}),
            weights=Weights(fields.get("weights", {})),
            active=fields.get("active", {}).get("active"),
            reverse=self.reverse,
            below=fields.get("below", {}),
            draws=fields.get("draws", {}),
            start=fields.get("start", {}).get("start"),
            record=self.record,
        )

    def call_from(self, tensors: Sequence[Tensor], between: _Between) -> Call:
        """The call of a segment, from its own tensors and what the one before left."""
        call = self.call(tensors)
        return Call(**{**vars(call), "states": between.states, "start": between.count})

    def results(self, result: Result) -> list[Tensor]:
        """Everything of a result that can be differentiated: what is seen, and the states."""
        seen = [result.signals.get(name, result.output) for name in self.seen]
        return seen + [result.states[name] for name in self.states]


class _Segments(torch.autograd.Function):
    """All segments of a run as one operation: what autograd keeps is what `forward` says."""

    @staticmethod
    def forward(ctx: Any, run: _Run, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run all segments, without a graph; returns what is seen, and the states."""
        first = run.call(tensors)
        between = _Between(first.states, first.start)
        kept: list[Tensor] = []
        seen: list[Tensor] = []
        segments = run.segments
        for number, segment in enumerate(segments):
            result = run.kernel(run.call_from(run.cut(tensors, segment), between))
            found = run.results(result)[: len(run.seen)]
            seen = seen or [s.new_empty(run.steps, *s.shape[1:]) for s in found]
            for whole, part in zip(seen, found, strict=True):
                whole[segment] = part
            between = _Between(result.states, result.count)
            carried = [*run.results(result)[len(run.seen) :], result.count]
            kept = kept or [c.new_empty(len(segments), *c.shape) for c in carried]
            for whole, part in zip(kept, carried, strict=True):
                whole[number] = part
        ctx.run, ctx.tensors = run, len(tensors)
        ctx.save_for_backward(*tensors, *kept)
        ctx.set_materialize_grads(False)
        # A state that a cell never changes may be a view of what it was given.
        after = [between.states[name].clone() for name in run.states]
        return (*seen, *after)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Run the segments again, from the last to the first, each with its gradient."""
        run: _Run = ctx.run
        saved = ctx.saved_tensors  # asked for once: whoever packed them unpacks them each time
        tensors, kept = saved[: ctx.tensors], saved[ctx.tensors :]
        wanted, cut = ctx.needs_input_grad[1:], len(run.seen)
        # A kernel knows of no autocast, and neither should what differentiates it.
        with torch.autocast(tensors[0].device.type, enabled=False):
            if torch.is_grad_enabled():
                announce(
                    f"cell {run.graph.name!r}: gradients of gradients are computed over all steps "
                    f"at once, as if checkpoint_every were None"
                )
                return None, *_at_once(run, tensors, gradients, wanted, again=True)
            if are_batched(gradients):
                with torch.enable_grad():
                    return None, *_at_once(run, tensors, gradients, wanted, again=False)
            first = run.call(tensors)
            sums = _Sums(run, tensors, wanted)
            of_states = list(gradients[cut:])
            for number, segment in reversed(list(enumerate(run.segments))):
                between = _Between(first.states, first.start)
                if number:
                    *left, count = (values[number - 1] for values in kept)
                    between = _Between(dict(zip(run.states, left, strict=True)), count)
                of_seen = [None if g is None else g[segment] for g in gradients[:cut]]
                of_states = _again(run, segment, tensors, between, [*of_seen, *of_states], sums)
            return None, *sums.finished(of_states)


class _Sums:
    """Gradients of the tensors of a run, gathered segment by segment; none where not wanted."""

    def __init__(self, run: _Run, tensors: Sequence[Tensor], wanted: Sequence[bool]) -> None:
        self.run, self.tensors, self.wanted = run, tensors, wanted
        self.totals: list[Tensor | None] = [None] * len(tensors)
        # Those of the states are handed from segment to segment.
        self.gathered = [
            w and field != "states" for (field, _), w in zip(run.slots, wanted, strict=True)
        ]

    def add(self, place: int, segment: slice, gradient: Tensor) -> None:
        """Take in what a segment contributes."""
        tensor, total = self.tensors[place], self.totals[place]
        over_time = self.run.is_cut(place, tensor)
        if total is None:
            # A thousand small numbers added in half precision would not arrive.
            narrow = tensor.dtype in (torch.float16, torch.bfloat16) and not over_time
            dtype = torch.float32 if narrow else tensor.dtype
            total = self.totals[place] = torch.zeros_like(tensor, dtype=dtype)
        if over_time:
            total[segment] = gradient
        else:
            total += gradient

    def finished(self, of_states: Sequence[Tensor | None]) -> list[Tensor | None]:
        """All gradients, given those of the states before the first step."""
        states = dict(zip(self.run.states, of_states, strict=True))
        found: list[Tensor | None] = []
        for place, (field, name) in enumerate(self.run.slots):
            total = states[name] if field == "states" else self.totals[place]
            if total is not None and self.wanted[place]:
                found.append(total.to(self.tensors[place].dtype))
            else:
                found.append(None)
        return found


def _again(
    run: _Run,
    segment: slice,
    tensors: Sequence[Tensor],
    between: _Between,
    given: Sequence[Tensor | None],
    sums: _Sums,
) -> list[Tensor | None]:
    """Run a segment again and differentiate it; returns the gradient of the states before it.

    What the segment keeps is let go on return, before the next one is run.
    """
    with torch.enable_grad():
        pairs = zip(run.cut(tensors, segment), sums.gathered, strict=True)
        leaves = [tensor.detach().requires_grad_(wanted) for tensor, wanted in pairs]
        states = {n: state.detach().requires_grad_() for n, state in between.states.items()}
        results = run.results(run.kernel(run.call_from(leaves, _Between(states, between.count))))
    places = [place for place, wanted in enumerate(sums.gathered) if wanted]
    asked = [*(leaves[place] for place in places), *states.values()]
    found = _gradients(results, given, asked)
    for place, gradient in zip(places, found, strict=False):
        if gradient is not None:
            sums.add(place, segment, gradient)
    return found[len(places) :]


def _gradients(
    results: Sequence[Tensor],
    given: Sequence[Tensor | None],
    asked: Sequence[Tensor],
    *,
    again: bool = False,
) -> list[Tensor | None]:
    """Gradients of what is asked for, from those of the results; None for zero."""
    pairs = zip(results, given, strict=True)
    known = [(r, g) for r, g in pairs if g is not None and r.requires_grad]
    if not known or not asked:
        return [None] * len(asked)
    return list(
        torch.autograd.grad(
            [result for result, _ in known],
            asked,
            [gradient for _, gradient in known],
            create_graph=again,
            allow_unused=True,
        )
    )


def _at_once(
    run: _Run,
    tensors: Sequence[Tensor],
    given: Sequence[Tensor | None],
    wanted: Sequence[bool],
    *,
    again: bool,
) -> list[Tensor | None]:
    """The gradient over all steps at once; `again` if it is to be differentiated itself."""
    # New tensors, so that the gradient of one is not reached through another: a first state
    # may itself be a function of the input.
    own = [t.view_as(t) if w else t for t, w in zip(tensors, wanted, strict=True)]
    asked = [tensor for tensor, w in zip(own, wanted, strict=True) if w]
    results = run.results(run.kernel(run.call(own)))
    found = iter(_gradients(results, given, asked, again=again))
    return [next(found) if w else None for w in wanted]
