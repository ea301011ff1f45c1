"""A plan in words: what a step does, in which order, and what it leaves in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cellwright.autodiff import differentiate
from cellwright.ir import Graph, Node, to_text, units_of
from cellwright.plan.cell_plan import Plan
from cellwright.plan.program import Array, Group, Part, Program, Sweep

__all__ = ["describe", "describe_gradient"]


def describe(plan: Plan, sizes: Mapping[str, int], width: int) -> str:
    """Return what a plan does, in words and numbers.

    Parameters
    ----------
    plan
        The plan, for use or for training.
    sizes
        Symbol -> number of units.
    width
        Bytes of a number.
    """
    return "\n".join(_lines(plan, sizes, width))


def describe_gradient(graph: Graph, record: Sequence[str] = ()) -> str:
    """Return the equations of a step and of its gradient.

    Parameters
    ----------
    graph
        The cell's equations.
    record
        Names of the signals and states, beside the output, that are handed out.
    """
    found = differentiate(graph, record)
    signals = [
        *graph.observable.items(),
        *((f"δ{name}_before", value) for name, value in found.states.items()),
        *((f"δ{leaf.name}", value) for leaf, value in found.inputs.items()),
        *((f"δ{name}", value) for name, value in found.vectors.items()),
    ]
    return to_text(Graph(f"gradient of {graph.name}", graph.inputs, (), (), tuple(signals)))


def _lines(plan: Plan, sizes: Mapping[str, int], width: int) -> Iterator[str]:
    names = {value: name for name, value in plan.graph.observable.items()}
    yield from _program(plan.forward, names)
    if plan.backward is None:
        return
    yield from _program(plan.backward, names)
    kept = [a for a in plan.forward.arrays if a.name.startswith("seen ")]
    yield from _memory("handed out", kept, sizes, width)
    yield from _memory("saved for the gradient", plan.saved, sizes, width)
    again = ", ".join(sorted(set(_computed_again(plan, names))))
    yield f"#   computed again for the gradient: {again or 'nothing that has a name'}"


def _program(program: Program, names: Mapping[Node, str]) -> Iterator[str]:
    order = ", from the last step to the first" if program.backward else ""
    count = len(program.sweeps)
    yield f"# {program.name}: {count} pass{'es' * (count != 1)} over the units a step{order}"
    for number, sweep in enumerate(program.ahead, 1):
        yield from _sweep(f"ahead, for many steps at once, {number}", sweep, names, program)
    for number, sweep in enumerate(program.sweeps, 1):
        yield from _sweep(str(number), sweep, names, program)
    hoisted = [_product(p) for g in _groups(program) for p in g.parts if p.hoistable]
    if hoisted:
        yield f"#   may be done for many steps before the loop: {_joined(hoisted)}"
    sunk = [_product(part) for sunk in program.sunk for part in sunk.parts]
    if sunk:
        yield f"#   behind the loop, for many steps at once: {_joined(sunk)}"
    outers = [outer.matrix.name for outer in program.outers]
    if outers:
        yield f"#   behind the loop, one product for each gradient of: {_joined(outers)}"
    sums = [each.vector.name for each in program.sums]
    if sums:
        yield f"#   behind the loop, one sum for each gradient of: {_joined(sums)}"


def _sweep(number: str, sweep: Sweep, names: Mapping[Node, str], program: Program) -> Iterator[str]:
    products = _joined(
        _product(part) + _resting(group, part) + _lasting(part, program)
        for group, part in _parts(sweep)
    )
    writes = _joined(array.name for _, array in sweep.stores)
    reduced = "".join(f"; reduces to {r.result.name}" for r in sweep.reductions)
    named = _joined(names[value] for value in sweep.nodes if value in names)
    count, idle = len(sweep.nodes), len(sweep.idle)
    yield (
        f"#   {number}. over {sweep.size}: {products or 'no product'}; "
        f"{count} operation{'s' * (count != 1)}{f' ({named})' if named else ''}"
        f"{f', {idle} of them for units that tick' if idle else ''}; "
        f"writes {writes or 'nothing'}{reduced}"
    )


def _groups(program: Program) -> Iterator[Group]:
    for sweep in program.sweeps:
        yield from sweep.groups


def _product(part: Part) -> str:
    matrix, source = part.matrix, part.source
    turned = "ᵀ" if part.transposed else ""
    return f"{matrix.name}{turned} · {source.name}"


def _parts(sweep: Sweep) -> Iterator[tuple[Group, Part]]:
    for group in sweep.groups:
        for part in group.parts:
            yield group, part


def _resting(group: Group, part: Part) -> str:
    """What of a product is left out, because units rest."""
    shown = " for units that tick" if group.clock else ""
    return shown + (" of units that tick" if part.clock else "")


def _lasting(part: Part, program: Program) -> str:
    """When a product with a state that rests comes anew."""
    if program.lasting is None or part not in program.lasting.parts:
        return ""
    return " (once between ticks)" if program.backward else " (anew where it has changed)"


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _computed_again(plan: Plan, names: Mapping[Node, str]) -> Iterator[str]:
    """Named values of the forward step that the gradient's passes work out a second time."""
    assert plan.backward is not None
    for sweep in plan.backward.sweeps:
        for value in sweep.nodes:
            if value in names and value not in plan.backward.loads:
                yield names[value]


def _memory(
    what: str, arrays: Iterable[Array], sizes: Mapping[str, int], width: int
) -> Iterator[str]:
    found = [(array.name, units_of(array.size, sizes)) for array in arrays]
    total = sum(units for _, units in found) * width
    shown = ", ".join(f"{name} ({units})" for name, units in found)
    yield f"#   {what}: {total} bytes for each step of each row: {shown or 'nothing'}"
