"""How operations are written in a cell's picture, and what is recognised as one of them."""

from __future__ import annotations

from cellwright.ir import SCALAR, Node, topological

__all__ = [
    "BINARY",
    "FIXED",
    "UNARY",
    "WITH_NUMBER",
    "base_name",
    "first_weight",
    "fixed_text",
    "normalised",
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


def fixed_text(value: Node) -> str:
    """What is written for a value that depends on no input and no state."""
    if value.op == "step":
        return "t"
    if value.op == "constant":
        return f"{value.attributes['value']:.4g}"
    if value.op == "bernoulli":
        return value.name
    return "f(t)" if any(v.op == "step" for v in topological([value])) else "const"


def normalised(value: Node) -> Node | None:
    """What layer normalisation is applied to, if this is its quotient.

    Its mean may be that of several values side by side.
    """
    if value.op != "div" or [v.op for v in value.inputs] != ["sub", "sqrt"]:
        return None
    source, mean = value.inputs[0].inputs
    if mean.size != SCALAR or value.inputs[1].size != SCALAR:
        return None
    sums = (v for v in topological([mean]) if v.op == "sum")
    return source if any(v.inputs[0] is source for v in sums) else None


def softplus_of(value: Node) -> Node | None:
    """What is the argument, if this is how `softplus` is written."""
    if value.op != "add":
        return None
    greater, rest = value.inputs
    if greater.op != "maximum" or rest.op != "log1p" or rest.inputs[0].op != "exp":
        return None
    source = greater.inputs[0]
    return source if source in topological([rest]) else None
