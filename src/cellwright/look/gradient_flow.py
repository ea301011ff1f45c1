"""How far back a gradient reaches: what is left of it k steps before the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cellwright.cells.carrying import coefficient, straight_only
from cellwright.errors import ArgumentError, SettingError, ShapeError, did_you_mean
from cellwright.ir import Graph, Node, node, verify_cell
from cellwright.look.recording import evaluating
from cellwright.nn.recurrent import Recurrent
from cellwright.nn.stack import Direction, StackCall, StackResult, run_stack

__all__ = ["gradient_flow"]


def gradient_flow(
    network: Recurrent,
    x: Tensor,
    state: Any = None,
    *,
    of: str | None = None,
    along: str | None = None,
    lengths: Tensor | Sequence[int] | None = None,
    seed: int = 0,
    backend: str = "reference",
    **inputs: Tensor,
) -> list[dict[str, Tensor]]:
    r"""Measure the gradient of what a network says last, k steps back.

    $$r_k = \frac{1}{\sqrt n} \left\lVert v^\top \frac{\partial y_T}{\partial s_{T-k}}
    \right\rVert, \quad v \in \{-1, 1\}^n\ \text{at random}$$

    for every state $s$ of every layer, $k = 0 \dots T - 1$; $y_T$ is the output after the last
    step and $n$ its units. The derivative is the total one, through all that a state has to do
    with. Because $E\,\lVert v^\top J \rVert^2 = \lVert J \rVert_F^2$, the mean of $r_k^2$ over
    rows estimates that of the squared singular values of the Jacobian: 1 means that the
    gradient is kept, less that it vanishes, more that it explodes. All of it comes from one
    pass forward and one back, in evaluation mode.

    With `along` all other ways are cut, as in the truncated gradient of Hochreiter and
    Schmidhuber (1997): what is left is the way on which that state is weighed and added to,
    without a matrix or a squashing function, layer by layer,

    $$r_k = \frac{1}{\sqrt n} \left\lVert v \odot \prod_{j=0}^{k-1} A_{T-j} \right\rVert,
    \quad A_t = \frac{\partial s_t}{\partial s_{t-1}}\ \text{on that way};$$

    of an LSTM's memory, $A_t$ is the forget gate: with $f = 1$, $r_k$ is exactly 1 (the
    constant error carousel).

    Parameters
    ----------
    network
        A `Recurrent`; it is left as it was.
    x
        Input, laid out as the network wants it.
    state
        Where it starts.
    of
        Whose gradient: None for the output of the network, or a state of the last layer, such
        as "c". A bidirectional network ends twice, and both ends count.
    along
        A state, such as "c": its gradient by itself, along its own way alone.
    lengths
        Steps of each row, (batch,); k counts from the end of each row.
    seed
        Of the signs v.
    backend
        What runs it. The reference need not compile anything.
    **inputs
        The cell's extra inputs.

    Returns
    -------
    list of dict
        For each layer, state name -> $r_k$, (batch, steps); (batch, steps, 2) when the network
        is bidirectional, each direction counting back from its own end. NaN where a row is
        shorter.

    Raises
    ------
    ArgumentError, SettingError, ShapeError
        The network is something else, or a state is not there or has no way of its own.

    Examples
    --------
    >>> import cellwright as cw, torch
    >>> net = cw.Recurrent("lstm", 3, 16)
    >>> flow = cw.gradient_flow(net, torch.randn(8, 50, 3))
    >>> list(flow[0]), flow[0]["c"].shape
    (['h', 'c'], torch.Size([8, 50]))
    >>> bool(flow[0]["h"][:, 0].eq(1).all())  # the last output, by itself
    True
    """
    if not isinstance(network, Recurrent):
        raise ArgumentError(
            f"gradient_flow takes a Recurrent, not a {type(network).__name__}; of an estimator "
            f"that is .network_.recurrent, and in place of cellwright.LSTM write "
            f"Recurrent('lstm', …)"
        )
    _check_states(network, of, along)
    with evaluating(network), torch.no_grad():
        call = network.prepare(x, state, lengths=lengths, **inputs)
    if call.x.shape[0] == 0:
        raise ShapeError("x: there is no step from which a gradient could go back")
    call = replace(call, layers=_without_gradient(call), checkpoint_every=None, backend=backend)
    if along is not None:
        call = _along(call, along)
    call, probes = _probed(call)
    with torch.enable_grad():
        result = run_stack(**vars(call))
        ends = _ends(result, call, of, along)
        signs = _signs(ends, seed)
        given = torch.autograd.grad(ends, list(probes.values()), signs, allow_unused=True)
    found = {
        name: _norms(gradient, probe)
        for (name, probe), gradient in zip(probes.items(), given, strict=True)
    }
    width = ends[0].shape[-1] if along is None else None
    return _by_lag(call, found, width, along)


def _check_states(network: Recurrent, of: str | None, along: str | None) -> None:
    graph = network.graph
    if of is not None and along is not None:
        raise SettingError("give either of= or along=, whose gradient is that of the state itself")
    for word, name in (("of", of), ("along", along)):
        if name is not None and name not in graph.state_sizes:
            raise SettingError(
                f"{word}={name!r}: cell {network.cell.name!r} has the states "
                f"{', '.join(graph.state_sizes)}.{did_you_mean(name, graph.state_sizes)}"
            )
    if along is not None and coefficient(graph, along) is None:
        ways = [name for name in graph.state_sizes if coefficient(graph, name) is not None]
        others = f"; {', '.join(ways)} has one" if ways else ""
        raise SettingError(
            f"along={along!r}: {along} of cell {network.cell.name!r} reaches its next value "
            f"through a matrix or a squashing function only, so it has no way of its own{others}"
        )


def _without_gradient(call: StackCall) -> list[list[Direction]]:
    """The layers with weights whose gradient nobody asks for."""
    return [
        [replace(d, weights={n: w.detach() for n, w in d.weights.items()}) for d in layer]
        for layer in call.layers
    ]


def _place(layer: int, side: int, name: str) -> str:
    return f"{name}_of_layer_{layer}_{side}"


def _probed(call: StackCall) -> tuple[StackCall, dict[str, Tensor]]:
    """The same run with a zero added to every state; its gradient is that of the state."""
    probes: dict[str, Tensor] = {}
    layers = []
    for number, layer in enumerate(call.layers):
        sides = []
        for side, direction in enumerate(layer):
            inputs = {
                name: node("input", name=_place(number, side, f"probe_{name}"), size=size)
                for name, size in direction.graph.state_sizes.items()
            }
            for leaf in inputs.values():
                shape = (*call.x.shape[:2], direction.units(leaf.size))
                probes[leaf.name] = call.x.new_zeros(shape).requires_grad_()
            sides.append(replace(direction, graph=_with_probes(direction.graph, inputs)))
        layers.append(sides)
    return replace(call, layers=layers, inputs={**call.inputs, **probes}), probes


def _with_probes(graph: Graph, probes: Mapping[str, Node]) -> Graph:
    """Add an input to each state after the step, wherever that value is read.

    States that become the same value get the sum of their probes, which is fair: the gradient
    of one is that of the other. A value that is itself given from outside, such as another
    state's old value, is changed only as the state that it becomes.
    """
    of_value: dict[Node, list[Node]] = {}
    for name, value in graph.after.items():
        of_value.setdefault(value, []).append(probes[name])
    new: dict[Node, Node] = {}
    for value in graph.nodes:
        made = value
        if value.inputs:
            made = node(value.op, *(new[source] for source in value.inputs), **value.attributes)
            made = _plus(made, of_value.get(value, []))
        new[value] = made
    outputs = (
        new[value] if value.inputs else _plus(value, [probes[name]])
        for name, value in graph.after.items()
    )
    return verify_cell(
        replace(
            graph,
            inputs=(*graph.inputs, *probes.values()),
            outputs=tuple(outputs),
            signals=(),
        )
    )


def _plus(value: Node, probes: Sequence[Node]) -> Node:
    for probe in probes:
        value = node("add", value, probe)
    return value


def _along(call: StackCall, name: str) -> StackCall:
    """The same run, with all states read from what they were, but one on its own way."""
    with torch.no_grad():
        seen = run_stack(**vars(call), record=True).signals
    layers, given = [], dict(call.inputs)
    for number, layer in enumerate(call.layers):
        sides = []
        for side, direction in enumerate(layer):
            before = {
                state: node("input", name=_place(number, side, f"before_{state}"), size=size)
                for state, size in direction.graph.state_sizes.items()
            }
            for state, leaf in before.items():
                first = call.states[number][side][state]
                given[leaf.name] = _before(seen[number][side][state], first, call, side)
            graph = straight_only(direction.graph, name, before)
            sides.append(replace(direction, graph=graph))
        layers.append(sides)
    return replace(call, layers=layers, inputs=given)


def _before(after: Tensor, first: Tensor, call: StackCall, side: int) -> Tensor:
    """A state before every step, (T, B, n), from that after every step."""
    first = first.expand(after.shape[1:]).unsqueeze(0)
    if not side:
        return torch.cat([first, after[:-1]])
    shifted = torch.cat([after[1:], first])
    if call.active is None:
        return shifted
    last = torch.arange(len(after), device=after.device)[:, None] == call.active.sum(0) - 1
    return first.where(last.unsqueeze(-1), shifted)


def _ends(result: StackResult, call: StackCall, of: str | None, along: str | None) -> list[Tensor]:
    """What is differentiated, (B, n) each."""
    if along is not None:
        return [side[along] for layer in result.states for side in layer]
    if of is not None:
        return [side[of] for side in result.states[-1]]
    output, sides = result.output, len(call.layers[-1])
    at = _steps(call).clamp(min=1) - 1
    halves = list(output.chunk(sides, -1))
    rows = torch.arange(output.shape[1], device=output.device)
    return [halves[0][at, rows], *(half[0] for half in halves[1:])]


def _signs(ends: Sequence[Tensor], seed: int) -> list[Tensor]:
    random = torch.Generator("cpu").manual_seed(seed)
    draws = (torch.randint(2, end.shape, generator=random, device="cpu") for end in ends)
    return [(2 * draw - 1).to(end) for draw, end in zip(draws, ends, strict=True)]


def _steps(call: StackCall) -> Tensor:
    """Steps of each row, (B,)."""
    steps, batch = call.x.shape[:2]
    if call.active is None:
        return torch.full((batch,), steps, device=call.x.device)
    return call.active.sum(0)


def _norms(gradient: Tensor | None, probe: Tensor) -> Tensor:
    """Norm over the units, (T, B)."""
    gradient = torch.zeros_like(probe) if gradient is None else gradient
    norms: Tensor = torch.linalg.vector_norm(gradient.detach(), dim=-1)
    return norms


def _by_lag(
    call: StackCall, found: Mapping[str, Tensor], width: int | None, along: str | None
) -> list[dict[str, Tensor]]:
    """Layer, state -> norms by steps back, (B, T) or (B, T, 2), divided by the root of n."""
    steps = _steps(call)
    back = torch.arange(call.x.shape[0], device=call.x.device)[:, None]
    exists = back < steps
    result = []
    for number, layer in enumerate(call.layers):
        of_layer: dict[str, Tensor] = {}
        for name in layer[0].graph.state_sizes if along is None else [along]:
            columns = []
            for side, direction in enumerate(layer):
                norms = found[_place(number, side, f"probe_{name}")]
                at = (back if direction.reverse else steps - 1 - back).clamp(min=0)
                units = width or direction.units(direction.graph.state_sizes[name])
                lagged = norms.gather(0, at.expand_as(norms)) / units**0.5
                columns.append(lagged.where(exists, torch.nan).T)
            of_layer[name] = torch.stack(columns, -1) if len(columns) > 1 else columns[0]
        result.append(of_layer)
    return result
