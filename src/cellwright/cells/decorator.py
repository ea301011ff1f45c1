"""The decorator that makes a cell of a function: it checks, traces and explains mistakes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from numbers import Real
from typing import Any

from cellwright.cells.cell import Cell
from cellwright.cells.language import WORDS
from cellwright.cells.tracing import Tracing
from cellwright.cells.value import Value, lift
from cellwright.errors import CellError, GraphError, did_you_mean
from cellwright.ir import HIDDEN, INPUT, Graph, Node, Size, node, verify_cell
from cellwright.ir.sizes import UNKNOWN, check_size

__all__ = ["cell"]

# What a network is called with beside the extra inputs, which are given by name.
_CALLED_WITH = ("lengths", "mask", "network", "record", "self", "state")


def cell(
    state: str | Sequence[str], *, inputs: Mapping[str, Size] | None = None
) -> Callable[[Callable[..., Any]], Cell]:
    """Make a cell of a function that writes one step as equations.

    The function takes ``x``, then each state by name, and returns the states after the step
    in the same order. Further positional arguments are ``t`` (index of the step within its
    sequence, from 0), ``{state}_below`` (that state of the layer below, after its step; zero
    in the first layer) and the extra inputs. Keyword-only arguments are the cell's options.
    Every local variable becomes a signal that can be recorded.

    Parameters
    ----------
    state
        Names of the states. The first one is the cell's output. A state has the size of
        what it becomes.
    inputs
        Extra values given at every step beside ``x``: name -> size (a number, or a symbol
        that is bound when a layer is built).

    Raises
    ------
    CellError
        At once, where the function is written, naming cell, line and equation.

    Examples
    --------
    >>> from cellwright import affine, cell, sigmoid, tanh
    >>> @cell(state="h")
    ... def leaky(x, h, *, keep=0.9):
    ...     "A leaky integrator."
    ...     n = tanh(affine("n", x, h))
    ...     h = keep * h + (1 - keep) * n
    ...     return h
    >>> print(leaky.equations)
    nₜ = tanh(W_nx xₜ + W_nh hₜ₋₁ + b_n)
    hₜ = 0.9 ⊙ hₜ₋₁ + 0.1 ⊙ nₜ
    """
    given = (state,) if isinstance(state, str) or not isinstance(state, Iterable) else state
    names = tuple(given)
    if isinstance(state, Set) or not all(isinstance(name, str) for name in names):  # no order
        raise CellError('write @cell(state=("h", …)), with the names of the states')
    if not isinstance(inputs, Mapping | None):
        raise CellError('write inputs={"gap": 1, …}, with the size of each extra input')

    def decorate(function: Callable[..., Any]) -> Cell:
        if not inspect.isfunction(function):
            raise CellError(f"a cell is made of a function, not of {function!r}")
        options = _options(function)
        _check_arguments(function, names, dict(inputs or {}))

        def retrace(**chosen: Any) -> Graph:
            return _trace(function, names, dict(inputs or {}), chosen)

        return Cell(retrace(**options), options, retrace)

    return decorate


def _options(function: Callable[..., Any]) -> dict[str, Any]:
    options = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                raise CellError(
                    f"cell {function.__name__!r}: option {parameter.name!r} needs a default"
                )
            options[parameter.name] = parameter.default
    return options


def _positional(function: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def _check_arguments(
    function: Callable[..., Any], states: tuple[str, ...], inputs: dict[str, Size]
) -> None:
    name, given = function.__name__, _positional(function)
    if not states or len(set(states)) != len(states):
        raise CellError(f"cell {name!r} needs one or more states with different names")
    below = [f"{state}_below" for state in states]
    for reserved in ("x", "t", *below):
        if reserved in states or reserved in inputs:
            raise CellError(f"cell {name!r}: {reserved!r} cannot name a state or an extra input")
    for extra, size in inputs.items():
        try:
            check_size(size)
        except GraphError as error:
            raise CellError(f"cell {name!r}, input {extra!r}: {error}") from error
        if extra in states:
            raise CellError(f"cell {name!r}: {extra!r} names both a state and an extra input")
        if extra in _CALLED_WITH:
            raise CellError(
                f"cell {name!r}: {extra!r} cannot name an extra input, because networks are "
                f"called with an argument of that name; call it otherwise"
            )
    wanted = ["x", *states]
    if given[: len(wanted)] != wanted:
        raise CellError(
            f"cell {name!r} must take ({', '.join(wanted)}, …), the input and then its states; "
            f"it takes ({', '.join(given)})"
        )
    extras = ["t", *below, *inputs]
    for argument in given[len(wanted) :]:
        if argument not in extras:
            raise CellError(
                f"cell {name!r}: unknown argument {argument!r}; beyond x and the states a cell "
                f"may take {', '.join(extras)}.{did_you_mean(argument, extras)} Options are "
                f"keyword-only arguments, after a *"
            )
    for extra in inputs:
        if extra not in given:
            raise CellError(f"cell {name!r} declares the input {extra!r} but does not take it")


def _trace(
    function: Callable[..., Any],
    states: tuple[str, ...],
    inputs: dict[str, Size],
    options: dict[str, Any],
) -> Graph:
    # A state has the size of what it becomes, which only tracing tells: trace with unknown
    # sizes first, then until nothing changes.
    sizes: dict[str, Size] = dict.fromkeys(states, UNKNOWN)
    for _ in range(2 * len(states) + 2):
        graph = _trace_once(function, sizes, inputs, options)
        found = {
            name: sizes[name] if value.op == "constant" else value.size
            for name, value in graph.after.items()
        }
        if found == sizes:
            if UNKNOWN not in found.values():
                return verify_cell(graph)
            # Nothing says more: what is still open is as wide as the layer.
            found = {name: HIDDEN if size == UNKNOWN else size for name, size in found.items()}
        sizes = found
    raise CellError(f"cell {function.__name__!r}: the sizes of its states contradict each other")


def _trace_once(
    function: Callable[..., Any],
    sizes: dict[str, Size],
    inputs: dict[str, Size],
    options: dict[str, Any],
) -> Graph:
    arguments: dict[str, Node] = {"x": node("input", name="x", size=INPUT)}
    for name, size in sizes.items():
        arguments[name] = node("state", name=name, size=size)
        arguments[f"{name}_below"] = node("below", name=name, size=size)
    for name, size in inputs.items():
        arguments[name] = node("input", name=name, size=size)
    arguments["t"] = node("step")
    taken = {name: arguments[name] for name in _positional(function)}
    tracing = Tracing(function, function.__name__)
    try:
        returned = tracing.run(taken, options)
    except NameError as error:
        raise tracing.located(_unknown_name(error, tracing)) from error
    return Graph(
        name=function.__name__,
        summary=inspect.getdoc(function) or "",
        inputs=tuple(arguments[name] for name in ("x", *inputs)),
        states=tuple(arguments[name] for name in sizes),
        outputs=_outputs(returned, tuple(sizes), tracing),
        signals=tuple(tracing.signals.items()),
    )


def _outputs(returned: Any, states: tuple[str, ...], tracing: Tracing) -> tuple[Node, ...]:
    values = returned if isinstance(returned, tuple) else (returned,)
    wanted = f"return {', '.join(states)}"
    if returned is None:
        raise tracing.located(f"the function returns nothing; end it with `{wanted}`")
    if len(values) != len(states):
        raise tracing.located(
            f"the cell has {len(states)} states ({', '.join(states)}) but the function returns "
            f"{len(values)}; end it with `{wanted}`"
        )
    for name, value in zip(states, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, (Value, Real)):
            raise tracing.located(
                f"state {name!r} becomes {type(value).__name__}, not a traced value"
            )
    try:
        nodes = tuple(lift(value).node for value in values)
    except CellError as error:
        raise tracing.located(str(error)) from error
    for name, value in zip(states, nodes, strict=True):
        if value.kind == "truth":
            raise tracing.located(f"state {name!r} becomes a comparison; write where(…, 1, 0)")
    return nodes


def _unknown_name(error: NameError, tracing: Tracing) -> str:
    if isinstance(error, UnboundLocalError):
        return str(error)
    name = error.name or ""
    known = {*WORDS, *tracing.code.co_varnames}
    hint = did_you_mean(name, known)
    if name in WORDS:
        hint = f" Write `from cellwright import {name}` above the cell."
    return f"unknown name {name!r}.{hint}"
