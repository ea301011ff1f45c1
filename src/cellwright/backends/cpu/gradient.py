"""The gradient of a compiled cell, and the gradient of that gradient.

The first one is a kernel. The second one, which few ask for, comes from the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cellwright.backends.contract import Call, Weights, announce, are_batched
from cellwright.backends.cpu.engine import Engine
from cellwright.backends.cpu.memory import readable
from cellwright.backends.cpu.packing import Packing, active_of
from cellwright.backends.cpu.run import Run
from cellwright.backends.cpu.spec import Spec
from cellwright.backends.reference import ReferenceBackend

__all__ = [
    "differentiable",
    "first_gradient",
    "of_gradient",
    "of_run",
    "remember_gradient",
    "remember_run",
]


class Differentiable(torch.autograd.Function):
    """A run in training, told to torch's autograd without its dispatcher."""

    @staticmethod
    def forward(
        ctx: Any,
        known: Engine,
        active: Tensor | None,
        start: Tensor | None,
        reverse: bool,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        """Run, and remember what the gradient needs."""
        run = known.run(tensors, active, start, reverse)
        seen, after, saved = known.forward(run, True)
        packing = run.packing.tensors if run.packing else ()
        ctx.known, ctx.reverse, ctx.spec = known, reverse, known.spec
        _remember(ctx, tensors, start, seen, saved, packing)
        return (*seen, *after)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        """Gradients of the tensors that want one."""
        found = first_gradient(ctx, list(gradients), list(ctx.needs_input_grad[4:]), ctx.known)
        return (None, None, None, None, *found)


differentiable: Callable[..., tuple[Tensor, ...]] = Differentiable.apply


def remember_run(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    """Keep what the gradient of the operator needs."""
    text, values, states, weights, active, start, ctx.reverse, training = inputs
    ctx.spec = Spec.read(text)
    ctx.counts = len(values), len(states), len(weights)
    seen = len(ctx.spec.seen)
    after = output[seen + len(states) :] if training else []
    saved, packing = (after, []) if active is None else (after[:-3], after[-3:])
    _remember(ctx, (*values, *states, *weights), start, output[:seen], saved, packing)


def of_run(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    """The gradient of the operator: of inputs, states and weights."""
    values, states, _ = ctx.counts
    wanted = [bool(w) for group in ctx.needs_input_grad[1:4] for w in group]
    given = gradients[: len(ctx.spec.seen) + states]
    found = first_gradient(ctx, given, wanted, None)
    of_values, of_states = found[:values], found[values : values + states]
    return None, of_values, of_states, found[values + states :], None, None, None, None


def _remember(
    ctx: Any,
    tensors: Sequence[Tensor],
    start: Tensor | None,
    seen: Sequence[Tensor],
    saved: Sequence[Tensor],
    packing: Sequence[Tensor],
) -> None:
    ctx.set_materialize_grads(False)
    begun = () if start is None else (start,)
    ctx.cuts = len(tensors), len(seen), len(saved), len(packing), len(begun)
    save_tensors(ctx, (*tensors, *seen, *saved, *packing, *begun))


def save_tensors(ctx: Any, tensors: Sequence[Tensor]) -> None:
    """Save tensors for `saved_tensors`."""
    ctx.save_for_backward(*tensors)
    # A hook may keep them in its own way and give back others.
    hooked = torch._C._autograd._top_saved_tensors_default_hooks(True)
    ctx.kinds = [_kind(tensor) for tensor in tensors] if hooked else None


def saved_tensors(ctx: Any) -> Sequence[Tensor]:
    """What was saved, as a kernel wants to read it by its address.

    Raises
    ------
    RuntimeError
        Hooks of saved tensors have made something else of it.
    """
    found: Sequence[Tensor] = ctx.saved_tensors
    if ctx.kinds is None:
        return found
    for tensor, kind in zip(found, ctx.kinds, strict=True):
        if _kind(tensor) != kind:
            raise RuntimeError(
                f"a hook of saved tensors gave back {_kind(tensor)} where {kind} was saved"
            )
    return [readable(tensor) for tensor in found]


def _remembered(ctx: Any) -> list[list[Tensor]]:
    left, groups = list(saved_tensors(ctx)), []
    for count in ctx.cuts:
        groups.append(left[:count])
        left = left[count:]
    return groups


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype, torch.device]:
    return tensor.shape, tensor.dtype, tensor.device


def first_gradient(
    ctx: Any, gradients: list[Tensor | None], wanted: list[bool], known: Engine | None
) -> list[Tensor | None]:
    """Run the kernel of the gradient: directly, unless it is to be differentiated itself."""
    tensors, seen, saved, packing, begun = _remembered(ctx)
    start = begun[0] if begun else None
    values, states = len(ctx.spec.inputs), len(ctx.spec.inputs) + len(ctx.spec.states)
    inputs, before, weights = tensors[:values], tensors[values:states], tensors[states:]
    if are_batched(gradients):
        ctx.there, ctx.wanted = [g is not None for g in gradients], wanted
        active = active_of(*packing) if packing else None
        with torch.autocast("cpu", enabled=False), torch.enable_grad():
            inner = [t.detach().requires_grad_() for t in tensors]
            behind = [g for g in gradients if g is not None]
            return _by_reference(ctx.spec, inner, behind, ctx, active, start)
    if known and not torch.is_grad_enabled():
        packed = Packing.again(packing, known.code.ragged) if packing else None
        run = Run(inputs, before, weights, start, ctx.reverse, packed)
        given = [None if g is None else readable(g) for g in gradients]
        return known.backward(run, given, seen, saved, wanted)
    found = torch.ops.cellwright.run_backward(
        ctx.spec.text,
        [g for g in gradients if g is not None],
        [g is not None for g in gradients],
        inputs,
        before,
        weights,
        seen,
        saved,
        packing,
        start,
        ctx.reverse,
        wanted,
    )
    return [g if w else None for g, w in zip(found, wanted, strict=True)]


def remember_gradient(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    """Keep what the gradient of the gradient needs."""
    text, gradients, ctx.there, values, states, weights, seen, saved, packing, *rest = inputs
    start, ctx.reverse, ctx.wanted = rest
    ctx.spec = Spec.read(text)
    ctx.counts = len(values), len(states), len(weights)
    ctx.rest = len(seen), len(saved), len(packing)
    _remember(ctx, (*values, *states, *weights), start, gradients, (), packing)


def of_gradient(ctx: Any, outer: list[Tensor | None]) -> tuple[Any, ...]:
    """The gradient of the gradient: by what came in from behind, inputs, states and weights."""
    tensors, given, _, packing, begun = _remembered(ctx)
    spec: Spec = ctx.spec
    announce(
        f"cell {spec.graph.name!r}: gradients of gradients are computed by the reference "
        f"backend, which is slower"
    )
    again = torch.is_grad_enabled()  # a third derivative is wanted

    def fresh(value: Tensor) -> Tensor:
        # What is differentiated by must not be reached through something else that is, such
        # as a first state that was computed with the same weights.
        return value.view_as(value) if again else value.detach().requires_grad_()

    with torch.autocast("cpu", enabled=False), torch.enable_grad():
        inner, behind = [fresh(t) for t in tensors], [fresh(g) for g in given]
        active = active_of(*packing) if packing else None
        start = begun[0] if begun else None
        first = _by_reference(spec, inner, behind, ctx, active, start)
        pairs = [
            (f, o)
            for f, o in zip(first, outer, strict=True)
            if f is not None and o is not None and f.requires_grad
        ]
        asked = [t for t in (*behind, *inner) if t.requires_grad]
        found = (
            [None] * len(asked)
            if not pairs
            else torch.autograd.grad(
                [f for f, _ in pairs],
                asked,
                [o for _, o in pairs],
                create_graph=again,
                allow_unused=True,
            )
        )
    by_tensor = dict(zip(map(id, asked), found, strict=True))
    of_tensors = [by_tensor.get(id(t)) for t in inner]
    values, states, _ = ctx.counts
    nothing: list[list[None]] = [[None] * count for count in ctx.rest]
    return (
        None,
        [by_tensor.get(id(g)) for g in behind],
        None,
        of_tensors[:values],
        of_tensors[values : values + states],
        of_tensors[values + states :],
        *nothing,
        None,
        None,
        None,
    )


def _by_reference(
    spec: Spec,
    tensors: Sequence[Tensor],
    behind: Sequence[Tensor],
    ctx: Any,
    active: Tensor | None,
    start: Tensor | None,
) -> list[Tensor | None]:
    """What the kernel of the gradient has computed, once more and differentiably."""
    values, states = len(spec.inputs), len(spec.inputs) + len(spec.states)
    named: dict[str, dict[str, Tensor]] = {"input": {}, "below": {}, "bernoulli": {}}
    for leaf, value in zip(spec.inputs, tensors, strict=False):
        named[leaf.op][leaf.name] = value
    call = Call(
        inputs=named["input"],
        states=dict(zip(spec.states, tensors[values:states], strict=True)),
        weights=Weights(dict(zip(spec.blocks, tensors[states:], strict=True))),
        active=active,
        reverse=ctx.reverse,
        below=named["below"],
        draws=named["bernoulli"],
        start=start,
        record=spec.record,
    )
    result = ReferenceBackend().build(spec.graph, spec.bound)(call)
    outputs = [result.signals.get(name, result.output) for name in spec.seen]
    outputs += [result.states[name] for name in spec.states]
    reached = [o for o, there in zip(outputs, ctx.there, strict=True) if there]
    pairs = [(o, g) for o, g in zip(reached, behind, strict=True) if o.requires_grad]
    asked = [t for t, w in zip(tensors, ctx.wanted, strict=True) if w]
    if not pairs or not asked:
        return [None] * len(tensors)
    found = iter(
        torch.autograd.grad(
            [o for o, _ in pairs],
            asked,
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if w else None for w in ctx.wanted]
