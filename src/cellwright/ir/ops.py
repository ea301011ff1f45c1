"""The closed set of operations: name, kind, number of inputs, attributes.

What an op *means* is `backends.reference`, how it is *written* is `ir.text`, its gradient is
`autodiff.table`; its spelling in a target language is a further table elsewhere, each one
line an op. Where a derivative does not exist, at a tie or a kink, its value is a convention,
and part of the meaning here: it is torch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["OPS", "Kind", "Op"]

Kind: TypeAlias = Literal["leaf", "weight", "pointwise", "truth", "product", "reduction"]


@dataclass(frozen=True)
class Op:
    """One operation of the intermediate representation.

    Attributes
    ----------
    name
        The op's name, as in JSON.
    kind
        ``leaf`` (a value from outside), ``weight`` (a learned matrix or vector),
        ``pointwise``, ``truth`` (a pointwise comparison: true or false), ``product``
        (matrix times value) or ``reduction`` (over the units).
    arity
        Number of inputs.
    attributes
        Names of the attributes that every node of this op carries, no more and no less.
    meaning
        One line for readers.
    """

    name: str
    kind: Kind
    arity: int
    attributes: tuple[str, ...]
    meaning: str


_TABLE = (
    # Leaves: what comes from outside a step.
    Op("input", "leaf", 0, ("name", "size"), "a value given at every step"),
    Op("state", "leaf", 0, ("name", "size"), "a state before the step"),
    Op("below", "leaf", 0, ("name", "size"), "a state of the layer below, after its step"),
    Op("gradient", "leaf", 0, ("name", "size", "origin"), "a gradient that comes into a step"),
    Op("step", "leaf", 0, (), "the index of the step within its sequence, from 0"),
    Op("constant", "leaf", 0, ("value",), "a number"),
    Op("per_unit", "leaf", 0, ("values", "size", "even"), "constants, spread over blocks of units"),
    Op("count", "leaf", 0, ("of",), "the number of units of a size"),
    Op("bernoulli", "leaf", 0, ("name", "probability", "per", "size"), "1 or 0 at random"),
    # Weights: what is learned.
    Op("matrix", "weight", 0, ("name", "size", "columns", "mask", "even"), "a learned matrix"),
    Op("vector", "weight", 0, ("name", "size", "role", "init"), "a learned vector"),
    # Pointwise operations.
    Op("neg", "pointwise", 1, (), "-a"),
    Op("abs", "pointwise", 1, (), "|a|; its slope at 0 is 0"),
    Op("sign", "pointwise", 1, (), "-1, 0 or 1; 0 for NaN; passes no gradient"),
    Op("floor", "pointwise", 1, (), "greatest whole number not above a; passes no gradient"),
    Op("exp", "pointwise", 1, (), "e to the power a"),
    Op("log", "pointwise", 1, (), "natural logarithm"),
    Op("log1p", "pointwise", 1, (), "log(1 + a)"),
    Op("sqrt", "pointwise", 1, (), "square root"),
    Op("sin", "pointwise", 1, (), "sine"),
    Op("cos", "pointwise", 1, (), "cosine"),
    Op("sigmoid", "pointwise", 1, (), "1 / (1 + exp(-a))"),
    Op("tanh", "pointwise", 1, (), "hyperbolic tangent"),
    Op("relu", "pointwise", 1, (), "max(a, 0); its slope at 0 is 0"),
    Op("add", "pointwise", 2, (), "a + b"),
    Op("sub", "pointwise", 2, (), "a - b"),
    Op("mul", "pointwise", 2, (), "a b, unit by unit"),
    Op("div", "pointwise", 2, (), "a / b"),
    Op("maximum", "pointwise", 2, (), "the greater; a tie gives each half the gradient"),
    Op("minimum", "pointwise", 2, (), "the smaller; a tie gives each half the gradient"),
    Op("where", "pointwise", 3, (), "b where a is true, else c; a gets no gradient"),
    Op("less", "truth", 2, (), "a < b; like all truths passes no gradient"),
    Op("less_equal", "truth", 2, (), "a <= b"),
    Op("equal", "truth", 2, (), "a == b"),
    # Operations that mix units.
    Op("matmul", "product", 2, (), "matrix a times vector b"),
    Op("matmul_transposed", "product", 2, (), "matrix a, rows and columns swapped, times b"),
    Op("sum", "reduction", 1, (), "sum over the units"),
    Op("max", "reduction", 1, (), "greatest over the units; ties share the gradient equally"),
)

OPS: dict[str, Op] = {op.name: op for op in _TABLE}
