"""The gradient of every op, one line an op.

An entry is given ``g``, the gradient of the op's result; ``y``, the result itself, which is
dearer to compute again than to keep; and the op's inputs. It returns for each input what flows
back into it: an expression, None for nothing, or, for a matrix, a pair whose outer product it
is. The formulas are torch's to the letter, also at ties, infinities and NaN, so that the
reference backend remains the definition of the gradient as it is that of the value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from cellwright.ir import Node, node, simpler

__all__ = ["FLAT", "GRADIENTS", "Contribution", "build"]

Contribution: TypeAlias = "Node | tuple[Node, Node] | None"


def build(op: str, *inputs: Node | float) -> Node:
    """Return the simplest node for an operation on simple nodes and numbers."""
    nodes = (v if isinstance(v, Node) else node("constant", value=v) for v in inputs)
    return simpler(node(op, *nodes))


neg, sin, cos, sign, total = (partial(build, op) for op in ("neg", "sin", "cos", "sign", "sum"))
add, sub, mul, div = (partial(build, op) for op in ("add", "sub", "mul", "div"))
less, less_equal, equal = (partial(build, op) for op in ("less", "less_equal", "equal"))
where, matmul = partial(build, "where"), partial(build, "matmul")
matmul_transposed = partial(build, "matmul_transposed")


def _unless_less(g: Node, a: Node, b: Node) -> Node:
    """All of `g` where a > b or either is NaN, half of it at a tie, nothing where a < b."""
    return where(equal(a, b), mul(g, 0.5), where(less(a, b), 0.0, g))


def _shared(g: Node, y: Node, a: Node) -> Node:
    """An equal share of `g` for every unit of `a` that attains the maximum `y`."""
    attains = where(equal(a, y), 1.0, 0.0)
    return div(mul(g, attains), total(attains))


# Ops that are constant wherever they have a derivative, and truths: nothing flows through them.
FLAT = frozenset({"sign", "floor", "less", "less_equal", "equal"})

GRADIENTS: dict[str, Callable[..., tuple[Contribution, ...]]] = {
    "neg": lambda g, y, a: (neg(g),),
    "abs": lambda g, y, a: (mul(g, sign(a)),),
    "exp": lambda g, y, a: (mul(g, y),),
    "log": lambda g, y, a: (div(g, a),),
    "log1p": lambda g, y, a: (div(g, add(a, 1.0)),),
    "sqrt": lambda g, y, a: (div(g, mul(2.0, y)),),
    "sin": lambda g, y, a: (mul(g, cos(a)),),
    "cos": lambda g, y, a: (mul(g, neg(sin(a))),),
    "sigmoid": lambda g, y, a: (mul(mul(g, sub(1.0, y)), y),),
    "tanh": lambda g, y, a: (mul(g, sub(1.0, mul(y, y))),),
    "relu": lambda g, y, a: (where(less_equal(y, 0.0), 0.0, g),),
    "add": lambda g, y, a, b: (g, g),
    "sub": lambda g, y, a, b: (g, neg(g)),
    "mul": lambda g, y, a, b: (mul(g, b), mul(g, a)),
    "div": lambda g, y, a, b: (div(g, b), mul(neg(g), div(y, b))),
    "maximum": lambda g, y, a, b: (_unless_less(g, a, b), _unless_less(g, b, a)),
    "minimum": lambda g, y, a, b: (_unless_less(g, b, a), _unless_less(g, a, b)),
    "where": lambda g, y, truth, a, b: (None, where(truth, g, 0.0), where(truth, 0.0, g)),
    "matmul": lambda g, y, matrix, a: ((g, a), matmul_transposed(matrix, g)),
    "matmul_transposed": lambda g, y, matrix, a: ((a, g), matmul(matrix, g)),
    "sum": lambda g, y, a: (g,),
    "max": lambda g, y, a: (_shared(g, y, a),),
}
