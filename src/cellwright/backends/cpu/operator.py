"""The compiled cell as an operator of torch, with a gradient: what compile and export see.

One operator serves every cell; which one it runs is told by a text, so that a program that
was exported runs wherever cellwright is installed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cellwright.backends.contract import Call, Weights
from cellwright.backends.cpu.engine import Engine, Run, engine
from cellwright.backends.cpu.packing import Packing
from cellwright.backends.cpu.spec import Spec
from cellwright.backends.reference import ReferenceBackend
from cellwright.errors import CellwrightWarning

__all__ = ["run_cell"]

# A name space of torch's dispatcher; the results are, one after the other, everything seen,
# the states after the last step, everything saved for the gradient, and how rows are packed.
torch.library.define(
    "cellwright::run",
    "(str spec, Tensor[] inputs, Tensor[] states, Tensor[] weights, Tensor? active, "
    "Tensor? start, bool reverse, bool training) -> Tensor[]",
)
torch.library.define(
    "cellwright::run_backward",
    "(str spec, Tensor?[] gradients, Tensor[] inputs, Tensor[] states, Tensor[] weights, "
    "Tensor[] seen, Tensor[] saved, Tensor[] packing, Tensor? start, bool reverse, "
    "bool[] wanted) -> Tensor[]",
)


def run_cell(
    spec: Spec,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    *,
    active: Tensor | None,
    start: Tensor | None,
    reverse: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    """Run a compiled cell over a batch of sequences; differentiable.

    Returns
    -------
    seen
        What is handed out at every step, (T, B, n), the output first.
    states
        States after the last step of each row, (B, n).
    """
    tensors = (*inputs, *states, *weights)
    training = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    results = torch.ops.cellwright.run(
        spec.text,
        [value.contiguous() for value in inputs],
        [value.contiguous() for value in states],
        [value.contiguous() for value in weights],
        active,
        None if start is None else start.contiguous(),
        reverse,
        training,
    )
    seen = len(dict.fromkeys((spec.graph.states[0].name, *spec.record)))
    return results[:seen], results[seen : seen + len(states)]


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
    packing = None if active is None else Packing.of(active, reverse)
    run = Run(inputs, states, weights, start, reverse, packing)
    seen, after, saved = _engine(spec, inputs[0]).forward(run, training)
    packed = [packing.places, packing.order, packing.lengths] if packing and training else []
    return [*seen, *after, *saved, *packed]


@torch.library.register_fake("cellwright::run")
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
        found += [new(steps * rows, units) for units in known.units_of_saved()]
        if active is not None:
            found += [new(n, dtype=torch.int64) for n in (steps * rows, rows, rows)]
    return found


@torch.library.impl("cellwright::run_backward", "CPU")
def _run_backward(
    spec: str,
    gradients: list[Tensor | None],
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
    run = Run(inputs, states, weights, start, reverse, Packing(*packing) if packing else None)
    known = _engine(spec, inputs[0])
    flat = [None if g is None else g.contiguous() for g in gradients]
    found = known.backward(run, flat, seen, saved, wanted)
    return [inputs[0].new_empty(0) if g is None else g for g in found]


@torch.library.register_fake("cellwright::run_backward")
def _run_backward_fake(
    spec: str,
    gradients: list[Tensor | None],
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


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    spec, values, states, weights, active, start, ctx.reverse, training = inputs
    ctx.spec = spec
    ctx.has = (active is not None, start is not None)
    ctx.counts = len(values), len(states), len(weights)
    kept = output if training else []
    ctx.results = len(output)
    ctx.set_materialize_grads(False)
    optional = [t for t in (active, start) if t is not None]
    ctx.save_for_backward(*values, *states, *weights, *optional, *kept)


class _Remembered:
    """What the forward run left, taken apart again."""

    def __init__(self, ctx: Any) -> None:
        tensors = list(ctx.saved_tensors)
        self.spec = Spec.read(ctx.spec)
        values, states, weights = ctx.counts
        self.inputs, tensors = tensors[:values], tensors[values:]
        self.states, tensors = tensors[:states], tensors[states:]
        self.weights, tensors = tensors[:weights], tensors[weights:]
        self.active = tensors.pop(0) if ctx.has[0] else None
        self.start = tensors.pop(0) if ctx.has[1] else None
        self.packing = [tensors.pop() for _ in range(3)][::-1] if ctx.has[0] else []
        seen = len(dict.fromkeys((self.spec.graph.states[0].name, *self.spec.record)))
        self.seen, self.saved = tensors[:seen], tensors[seen + states :]


def _gradient(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    left = _Remembered(ctx)
    given = gradients[: len(left.seen) + len(left.states)]
    tensors = [*left.inputs, *left.states, *left.weights]
    wanted = [bool(t.requires_grad) for t in tensors]
    if torch.is_grad_enabled() and any(g is not None and g.requires_grad for g in given):
        found = _gradient_of_reference(ctx, left, given, wanted)
    else:
        found = torch.ops.cellwright.run_backward(
            ctx.spec,
            given,
            left.inputs,
            left.states,
            left.weights,
            left.seen,
            left.saved,
            left.packing,
            left.start,
            ctx.reverse,
            wanted,
        )
    found = [g if w else None for g, w in zip(found, wanted, strict=True)]
    values, states, _ = ctx.counts
    return (
        None,
        found[:values],
        found[values : values + states],
        found[values + states :],
        None,
        None,
        None,
        None,
    )


_announced: set[str] = set()


def _gradient_of_reference(
    ctx: Any, left: _Remembered, gradients: Sequence[Tensor | None], wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The gradient by the reference, because it is to be differentiated itself."""
    if left.spec.graph.name not in _announced:
        _announced.add(left.spec.graph.name)
        warnings.warn(
            f"cell {left.spec.graph.name!r}: gradients of gradients are computed by the "
            f"reference backend, which is slower",
            CellwrightWarning,
            stacklevel=2,
        )
    known = engine(left.spec, left.inputs[0].dtype)
    named = {"input": {}, "below": {}, "bernoulli": {}}
    for leaf, value in zip(known.inputs, left.inputs, strict=True):
        named[leaf.op][leaf.name] = value
    call = Call(
        inputs=named["input"],
        states=dict(zip(known.states, left.states, strict=True)),
        weights=Weights(dict(zip(left.spec.blocks, left.weights, strict=True))),
        active=left.active,
        reverse=ctx.reverse,
        below=named["below"],
        draws=named["bernoulli"],
        start=left.start,
        record=left.spec.record,
    )
    result = ReferenceBackend().build(left.spec.graph, left.spec.bound)(call)
    outputs = [result.signals.get(name, result.output) for name in known.seen]
    outputs += [result.states[name] for name in known.states]
    pairs = [(o, g) for o, g in zip(outputs, gradients, strict=True) if g is not None]
    tensors = [*left.inputs, *left.states, *left.weights]
    asked = [t for t, w in zip(tensors, wanted, strict=True) if w]
    found = iter(
        torch.autograd.grad(
            [o for o, _ in pairs],
            asked,
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if w else None for w in wanted]


torch.library.register_autograd("cellwright::run", _gradient, setup_context=_remember)
