"""The compiled cell as operators of torch: what torch.compile, torch.export and vmap see.

One operator serves every cell; which one it runs is told by a text, so that a program that
was exported runs wherever cellwright is installed. Where nothing looks on, `run_cell` leaves
torch's dispatcher out: for a short sequence it takes longer than the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cellwright.backends.cpu import gradient
from cellwright.backends.cpu.engine import Engine, engine
from cellwright.backends.cpu.packing import Packing
from cellwright.backends.cpu.run import Run
from cellwright.backends.cpu.spec import Spec

__all__ = ["Face", "is_watched", "run_cell"]

# The results are, one after the other, everything seen, the states after the last step,
# everything saved for the gradient, and how rows are packed.
torch.library.define(
    "cellwright::run",
    "(str spec, Tensor[] inputs, Tensor[] states, Tensor[] weights, Tensor? active, "
    "Tensor? start, bool reverse, bool training) -> Tensor[]",
)
# `given` says which gradients of the results are there, for torch knows no lists with gaps. The
# results are gradients of inputs, states and weights; an empty tensor for what is not wanted.
torch.library.define(
    "cellwright::run_backward",
    "(str spec, Tensor[] gradients, bool[] given, Tensor[] inputs, Tensor[] states, "
    "Tensor[] weights, Tensor[] seen, Tensor[] saved, Tensor[] packing, Tensor? start, "
    "bool reverse, bool[] wanted) -> Tensor[]",
)

_PLAIN = frozenset({Tensor, torch.nn.Parameter})


class Face(NamedTuple):
    """What a cell takes and gives, as plain data: torch.compile takes it for a constant.

    Attributes
    ----------
    text
        The specification, as the operators want it.
    inputs
        Op and name of each leaf that is given a value at every step.
    states, seen
        Names of the states, and of what is handed out at every step, the output first.
    """

    text: str
    inputs: tuple[tuple[str, str], ...]
    states: tuple[str, ...]
    seen: tuple[str, ...]

    @staticmethod
    def of(spec: Spec) -> Face:
        """The face of a cell."""
        inputs = tuple((leaf.op, leaf.name) for leaf in spec.inputs)
        return Face(spec.text, inputs, spec.states, spec.seen)


def run_cell(
    cell: Face,
    known: Engine | None,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    *,
    active: Tensor | None,
    start: Tensor | None,
    reverse: bool,
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Run a compiled cell over a batch of sequences; differentiable.

    Without an engine it goes through the operator, and so it does where somebody looks on.

    Returns
    -------
    seen
        What is handed out at every step, (T, B, n), the output first.
    states
        States after the last step of each row, (B, n).
    """
    given = [value for values in (inputs, states, weights) for value in values]
    # Kernels read memory, in which neither order nor sign may be another than the tensor's.
    tensors = [value.resolve_neg().contiguous() for value in given]
    start = None if start is None else start.contiguous()
    training = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    first, second = len(inputs), len(inputs) + len(states)
    if known is None or is_watched(tensors):
        if known is not None and torch._C._are_functorch_transforms_active():
            # Within torch.vmap no tensor says whether somebody outside wants its gradient.
            training = torch.is_grad_enabled()
        groups = tensors[:first], tensors[first:second], tensors[second:]
        found = torch.ops.cellwright.run(cell.text, *groups, active, start, reverse, training)
    elif training:
        found = gradient.differentiable(known, active, start, reverse, *tensors)
    else:
        seen, after, _ = known.forward(known.run(tensors, active, start, reverse), False)
        return seen, after
    count = len(cell.seen)
    return found[:count], found[count : count + len(states)]


def is_watched(tensors: Sequence[Tensor]) -> bool:
    """Whether somebody wants to see the operator: a tracer, a transform, a kind of tensor."""
    return bool(
        torch._C._len_torch_dispatch_stack()
        or torch._C._are_functorch_transforms_active()
        or not _PLAIN.issuperset(map(type, tensors))
    )


def _engine(text: str, like: Tensor) -> Engine:
    return engine(Spec.read(text), like.dtype)


@torch.library.impl("cellwright::run", "CPU")
def _run(
    spec: str,
    inputs: list[Tensor],
    states: list[Tensor],
    weights: list[Tensor],
    active: Tensor | None,
    start: Tensor | None,
    reverse: bool,
    training: bool,
) -> list[Tensor]:
    known = _engine(spec, inputs[0])
    run = known.run([*inputs, *states, *weights], active, start, reverse)
    seen, after, saved = known.forward(run, training)
    packing = run.packing.tensors if run.packing and training else ()
    for block in saved:  # an operator must not hand out what memory held before
        known.clear_unwritten(block, run)
    return [*seen, *after, *saved, *packing]


@torch.library.register_fake("cellwright::run")  # type: ignore[untyped-decorator]
def _run_fake(
    spec: str,
    inputs: list[Tensor],
    states: list[Tensor],
    weights: list[Tensor],
    active: Tensor | None,
    start: Tensor | None,
    reverse: bool,
    training: bool,
) -> list[Tensor]:
    known = _engine(spec, inputs[0])
    steps, rows = inputs[0].shape[:2]
    new = inputs[0].new_empty
    found = [new(steps, rows, units) for units in known.units_of_seen()]
    found += [new(rows, units) for units in known.units_of_states()]
    if training:
        numbers = known.places_of_saved(steps * rows)[-1]
        found += [new(numbers)] if numbers else []
        if active is not None:
            found += [new(n, dtype=torch.int64) for n in (steps * rows, rows, rows)]
    return found


@torch.library.impl("cellwright::run_backward", "CPU")
def _run_backward(
    spec: str,
    gradients: list[Tensor],
    given: list[bool],
    inputs: list[Tensor],
    states: list[Tensor],
    weights: list[Tensor],
    seen: list[Tensor],
    saved: list[Tensor],
    packing: list[Tensor],
    start: Tensor | None,
    reverse: bool,
    wanted: list[bool],
) -> list[Tensor]:
    known = _engine(spec, inputs[0])
    packed = Packing.again(packing, known.code.ragged) if packing else None
    run = Run(inputs, states, weights, start, reverse, packed)
    there = iter(gradients)
    flat = [next(there).resolve_neg().contiguous() if g else None for g in given]
    found = known.backward(run, flat, seen, saved, wanted)
    return [inputs[0].new_empty(0) if g is None else g for g in found]


@torch.library.register_fake("cellwright::run_backward")  # type: ignore[untyped-decorator]
def _run_backward_fake(
    spec: str,
    gradients: list[Tensor],
    given: list[bool],
    inputs: list[Tensor],
    states: list[Tensor],
    weights: list[Tensor],
    seen: list[Tensor],
    saved: list[Tensor],
    packing: list[Tensor],
    start: Tensor | None,
    reverse: bool,
    wanted: list[bool],
) -> list[Tensor]:
    tensors = (*inputs, *states, *weights)
    pairs = zip(tensors, wanted, strict=True)
    return [torch.empty_like(t) if w else inputs[0].new_empty(0) for t, w in pairs]


def _one_by_one(
    operator: Callable[..., list[Tensor]], info: Any, axes: tuple[Any, ...], *arguments: Any
) -> tuple[list[Tensor], list[int]]:
    """What torch.vmap makes of an operator: a run for each, because each has weights of its own."""

    def pick(value: Any, axis: Any, number: int) -> Any:
        if isinstance(value, (list, tuple)) and isinstance(axis, (list, tuple)):
            return [pick(v, a, number) for v, a in zip(value, axis, strict=True)]
        return value if axis is None else value.select(axis, number).contiguous()

    runs = [
        operator(*(pick(v, a, number) for v, a in zip(arguments, axes, strict=True)))
        for number in range(info.batch_size)
    ]
    found = [torch.stack(results) for results in zip(*runs, strict=True)]
    return found, [0] * len(found)


for _name in ("run", "run_backward"):
    _operator = getattr(torch.ops.cellwright, _name)
    torch.library.register_vmap(f"cellwright::{_name}", partial(_one_by_one, _operator))
torch.library.register_autograd(
    "cellwright::run", gradient.of_run, setup_context=gradient.remember_run
)
torch.library.register_autograd(
    "cellwright::run_backward", gradient.of_gradient, setup_context=gradient.remember_gradient
)
