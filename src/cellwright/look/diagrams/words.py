"""How operations are written in a cell's picture, and what is recognised as one of them."""

from __future__ import annotations

from cellwright.cells.language import softplus
from cellwright.cells.value import Value
from cellwright.ir import Node, node

__all__ = [
    "BINARY",
    "FIXED",
    "UNARY",
    "WITH_NUMBER",
    "base_name",
    "first_weight",
    "mean_of",
    "normalised",
    "number_text",
    "softplus_of",
]

UNARY = {
    "sigmoid": "σ",
    "neg": "−",
    "abs": "|·|",
    "floor": "⌊·⌋",
    "sqrt": "√",
    "sum": "Σ",
    "max": "max",
}
BINARY = {
    "add": ("+", "", ""),
    "sub": ("+", "", "−"),
    "mul": ("×", "", ""),
    "div": ("×", "", "÷"),
    "maximum": ("max", "", ""),
    "minimum": ("min", "", ""),
    "less": ("<", "1", "2"),
    "less_equal": ("≤", "1", "2"),
    "equal": ("=", "", ""),
    "where": ("if", "?", "yes", "no"),
}
WITH_NUMBER = {
    "add": ("+{0}", "+{0}"),
    "sub": ("{0}−", "−{0}"),
    "mul": ("×{0}", "×{0}"),
    "div": ("{0}÷", "÷{0}"),
    "maximum": ("max {0}", "max {0}"),
    "minimum": ("min {0}", "min {0}"),
    "less": ("{0}<", "<{0}"),
    "less_equal": ("{0}≤", "≤{0}"),
    "equal": ("={0}", "={0}"),
}
_DIGITS = 8
# What depends on no input and no state.
FIXED = frozenset({"step", "constant", "per_unit", "count", "bernoulli"})


def base_name(value: Node) -> str:
    """The gate's letter in a parameter's name: i of i_x and of i_bias."""
    return value.name.rpartition("_")[0] or value.name


def first_weight(term: Node) -> Node | None:
    """The first parameter of a learned term."""
    while term.kind != "weight":
        weights = [source for source in term.inputs if source.kind == "weight"]
        if not (weights or term.inputs):
            return None
        term = (weights or term.inputs)[0]
    return term


def number_text(constant: Node) -> str:
    """A number as in the equations, or with four digits where that is too long to read."""
    number = constant.attributes["value"]
    written = f"{number:.12g}"
    return written if len(written) <= _DIGITS else f"{number:.4g}"


def mean_of(value: Node) -> Node | None:
    """What this is the mean of, over its units."""
    if value.op != "div" or value.inputs[0].op != "sum":
        return None
    (source,) = value.inputs[0].inputs
    return source if value.inputs[1].attributes.get("of") == source.size else None


def normalised(value: Node) -> Node | None:
    """What layer normalisation is applied to, if this is its quotient.

    Its mean and its spread may be those of several values side by side.
    """
    if value.op != "div" or [v.op for v in value.inputs] != ["sub", "sqrt"]:
        return None
    source, mean = value.inputs[0].inputs
    spread = value.inputs[1].inputs[0]
    if spread.op == "add" and spread.inputs[1].op == "constant":
        spread = spread.inputs[0]
    together = _mean_of_several(mean)
    centred = [node("sub", each, mean) for each in together]
    squares = {node("mul", each, each) for each in centred}
    return source if source in together and squares == set(_mean_of_several(spread)) else None


def _mean_of_several(value: Node) -> list[Node]:
    """What this is the mean of, side by side; nothing if it is no mean."""
    number = 1.0
    if value.op == "div" and value.inputs[1].op == "constant":
        number = float(str(value.inputs[1].attributes["value"]))
        value = value.inputs[0]
    found, stack, seen = [], [value], set()
    while stack:
        term = stack.pop()
        if term in seen:
            return []
        seen.add(term)
        if term.op == "add":
            stack += term.inputs
        elif (source := mean_of(term)) is not None:
            found.append(source)
        else:
            return []
    return found if len(found) == number else []


def softplus_of(value: Node) -> Node | None:
    """What is the argument, if this is how `softplus` is written."""
    if value.op != "add" or value.inputs[0].op != "maximum":
        return None
    source = value.inputs[0].inputs[0]
    return source if softplus(Value(source)).node is value else None
