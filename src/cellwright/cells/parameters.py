"""Counting the weights of a cell: as a formula in its sizes, and as numbers for given ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from cellwright.arguments import as_whole
from cellwright.errors import SettingError, did_you_mean
from cellwright.ir import HIDDEN, INPUT, Graph, Node, check_sizes, kept_entries, weight_shapes

__all__ = [
    "bind_sizes",
    "check_biases",
    "count_left_out",
    "count_parameters",
    "own_sizes",
    "parameter_formula",
    "size_letters",
]

Terms = Counter[tuple[str, ...]]


def bind_sizes(
    graph: Graph,
    input_size: int,
    hidden_size: int,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Symbol -> number of units, for every size of a cell.

    Raises
    ------
    SettingError
        A number is not a positive whole one, or a size of the cell's own is missing or unknown.
    GraphError
        There is no layer of these sizes: groups of units would be uneven.
    """
    own = own_sizes(sizes)
    known = ", ".join(sorted(graph.symbols)) or "none"
    for name in own:
        if name not in graph.symbols:
            raise SettingError(
                f"cell {graph.name!r} has no size {name!r}; sizes of its own: {known}."
                f"{did_you_mean(name, graph.symbols)}"
            )
    for name in sorted(graph.symbols - own.keys()):
        raise SettingError(
            f"cell {graph.name!r} has a size {name!r} of its own; give sizes={{{name!r}: …}}"
        )
    bound: dict[str, int] = {}
    for name, units in ({INPUT: input_size, HIDDEN: hidden_size} | own).items():
        number = as_whole(units)
        if number is None or number < 1:
            what = f"{name}_size" if name in (INPUT, HIDDEN) else f"sizes[{name!r}]"
            raise SettingError(f"{what} must be a positive whole number, not {units!r}")
        bound[name] = number
    check_sizes(graph, bound)
    return bound


def own_sizes(sizes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The sizes of a cell's own as they are given, or `SettingError` for what is no mapping."""
    if sizes is not None and not isinstance(sizes, Mapping):
        raise SettingError(f"sizes must be a mapping such as {{'proj': 32}}, not {sizes!r}")
    return dict(sizes or {})


def count_parameters(graph: Graph, sizes: Mapping[str, int], *, biases: int = 1) -> dict[str, int]:
    """Parameter -> how many numbers it holds, those that a mask leaves out included.

    Parameters
    ----------
    graph
        The cell's equations.
    sizes
        Symbol -> number of units, all of them.
    biases
        With 2 the bias of a sum that reads inputs *and* states counts twice, one beside either
        kind of matrix; that is how torch keeps them.

    Raises
    ------
    SettingError
        `biases` is neither 1 nor 2.
    """
    check_biases(biases)
    twice = set(_biases_of_both(graph)) if biases == 2 else set()
    found = {}
    for name, shape in weight_shapes(graph, sizes).items():
        found[name] = prod(shape) * (2 if name in twice else 1)
    return found


def check_biases(biases: int) -> int:
    """Return `biases` as a plain number if it is 1 or 2, else raise `SettingError`."""
    number = as_whole(biases)
    if number not in (1, 2):
        raise SettingError(f"biases must be 1 or 2, not {biases!r}")
    return number


def count_left_out(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """Parameter -> how many of its numbers its mask leaves out: they stay zero and never learn.

    Parameters
    ----------
    graph
        The cell's equations.
    sizes
        Symbol -> number of units, all of them.

    Returns
    -------
    dict
        Only those parameters that have a mask.
    """
    found = {}
    for name, shape in weight_shapes(graph, sizes).items():
        mask = graph.weights[name].attributes.get("mask")
        if mask is not None:
            rows, columns = shape
            found[name] = rows * columns - kept_entries(rows, columns, mask)
    return found


def parameter_formula(graph: Graph) -> str:
    """How many parameters one layer has, in I (input), H (hidden) and the cell's own sizes.

    An LSTM's is ``4·(H·(I + H) + H)``: what as many gates have in common is factored out. What
    a mask leaves out of a matrix is counted too. A cell whose own size is called I or H keeps
    that letter for it, and has the word ``input`` or ``hidden`` instead.
    """
    letters = size_letters(graph)
    terms: Terms = Counter()
    for weight in graph.weights.values():
        number = 1
        symbols = []
        for axis in (weight.size, weight.attributes.get("columns", 1)):
            if isinstance(axis, int):
                number *= axis
            else:
                symbols.append(letters.get(str(axis), str(axis)))
        terms[tuple(sorted(symbols))] += number
    return " + ".join(_factored(terms, letters[INPUT], letters[HIDDEN])) or "0"


def size_letters(graph: Graph) -> dict[str, str]:
    """How the sizes of inputs and units are written beside the cell's own, which keep their names.

    They are I and H, or the whole word where a size of the cell's own is called that.
    """
    letters = {INPUT: "I", HIDDEN: "H"}
    return {size: size if letter in graph.symbols else letter for size, letter in letters.items()}


def _factored(terms: Terms, inputs: str, units: str) -> Iterator[str]:
    rest = Counter(terms)
    of_inputs = min((units, inputs), (inputs, units))
    gates = terms[of_inputs]
    if gates and gates == terms[units, units]:
        # As many matrices for the input as for the state: one for both side by side.
        both = f"{units}·({inputs} + {units})"
        del rest[of_inputs], rest[units, units]
        if rest[units,] == gates > 1:
            both = f"({both} + {units})"
            del rest[units,]
        yield _times(gates, both)
    for names, number in sorted(rest.items(), key=lambda term: -len(term[0])):
        if number:
            square = len(names) == 2 and names[0] == names[1]
            yield _times(number, f"{names[0]}²" if square else "·".join(names))


def _times(number: int, what: str) -> str:
    return "·".join(filter(None, (str(number) if number != 1 or not what else "", what)))


def _biases_of_both(graph: Graph) -> Iterator[str]:
    """Biases that stand in a sum with matrices of both kinds: of inputs, and of states."""
    recurrent = graph.depends_on("state")
    inner = {s for v in graph.nodes if v.op == "add" for s in v.inputs if s.op == "add"}
    for value in graph.nodes:
        if value.op != "add" or value in inner:
            continue
        terms = list(_terms(value))
        kinds = {term in recurrent for term in terms if term.kind == "product"}
        if len(kinds) == 2:
            yield from (t.name for t in terms if t.attributes.get("role") == "bias")


def _terms(value: Node) -> Iterator[Node]:
    stack = [value]
    while stack:
        term = stack.pop()
        if term.op == "add":
            stack.extend(term.inputs)
        else:
            yield term
