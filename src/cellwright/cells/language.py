"""The words in which a cell is written.

Every function here takes and returns traced values (`Value`) or plain numbers, and may be
used only inside a function that `cell` decorates. `B` stands for the batch, `n` and `m` for
the sizes of values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cellwright.cells.tracing import Tracing, current
from cellwright.cells.value import Operand, Value, combine, lift
from cellwright.errors import CellError, GraphError
from cellwright.ir import HIDDEN, Node, Size, node

__all__ = [
    "affine",
    "bernoulli",
    "bias",
    "cos",
    "exp",
    "floor",
    "layer_norm",
    "log",
    "log1p",
    "max_units",
    "maximum",
    "mean_units",
    "minimum",
    "per_unit",
    "relu",
    "scale",
    "sigmoid",
    "sign",
    "sin",
    "softplus",
    "sqrt",
    "sum_units",
    "tanh",
    "where",
]


def affine(
    name: str,
    *sources: Operand,
    bias: float | None = 0.0,
    size: Size = HIDDEN,
    mask: tuple[str, int] | None = None,
    even: bool = False,
) -> Value:
    r"""A learned matrix for each source, plus a learned bias.

    $$\text{affine}(s_1, \dots, s_k) = \sum_j W_j\, s_j + b$$

    Parameters
    ----------
    name
        The gate's letter. The matrix of source ``x`` becomes the parameter ``{name}_x``,
        shape (size, units of x); that of an unnamed expression ``{name}_{position}``. The
        bias becomes ``{name}_bias``, shape (size,).
    *sources
        Traced values of shape (B, n), each with its own matrix.
    bias
        What every entry of the bias starts at; ``None`` for no bias.
    size
        Units of the result: ``"hidden"``, a symbol bound when a layer is built, or a number.
    mask
        Structure of the matrices: ``("block_diagonal" | "block_lower" | "block_upper",
        blocks)`` keeps only those blocks, the units being cut into that many parts, as equal
        as can be.
    even
        Whether the blocks must be equal: a layer whose units they do not divide is refused
        when it is built.

    Returns
    -------
    Value
        Shape (B, size).
    """
    tracing = current("affine")
    if not isinstance(name, str):
        raise CellError('affine takes its name first, as in affine("i", x, h)')
    if not sources:
        raise CellError(f'affine("{name}") has no source; write affine("{name}", x, h)')
    try:
        nodes = [lift(source).node for source in sources]
        names = [tracing.name_of(source) for source in nodes]
        terms = [
            _matmul(
                tracing,
                # Two sources of one name (a state before and after) are told apart by position.
                f"{name}_{label if _tells_apart(label, names) else position}",
                source,
                size,
                mask,
                even,
            )
            for position, (source, label) in enumerate(zip(nodes, names, strict=True))
        ]
        if bias is not None:
            terms.append(_vector(tracing, f"{name}_bias", size, "bias", bias))
    except GraphError as error:
        raise CellError(f'affine("{name}"): {error}') from error
    total = Value(terms[0])
    for term in terms[1:]:
        total = total + Value(term)
    return total


def scale(name: str, value: Operand, init: float = 1.0) -> Value:
    r"""A learned vector times a value, unit by unit: $w \odot v$.

    Parameters
    ----------
    name
        Name of the parameter, shape (n,): for instance ``"i_peep"`` for a peephole.
    value
        Shape (B, n).
    init
        What every entry of the vector starts at.
    """
    tracing = current("scale")
    if not isinstance(name, str):
        raise CellError('scale takes its name first, as in scale("i_peep", c)')
    source = lift(value)
    try:
        return Value(_vector(tracing, name, source.node.size, "scale", init)) * source
    except GraphError as error:
        raise CellError(f'scale("{name}"): {error}') from error


def bias(name: str, init: float = 0.0, size: Size = HIDDEN) -> Value:
    """A learned vector, shape (size,), for sums that no `affine` closes.

    Parameters
    ----------
    name
        Name of the parameter.
    init
        What every entry starts at.
    size
        Units: ``"hidden"``, a symbol bound when a layer is built, or a number.
    """
    tracing = current("bias")
    if not isinstance(name, str):
        raise CellError('bias takes its name first, as in bias("i_bias")')
    try:
        return Value(_vector(tracing, name, size, "bias", init))
    except GraphError as error:
        raise CellError(f'bias("{name}"): {error}') from error


def per_unit(values: Sequence[float], size: Size = HIDDEN, *, even: bool = False) -> Value:
    """Constants for each unit, shape (size,): a clock's periods, for instance.

    Parameters
    ----------
    values
        The constants. With fewer than units each serves a contiguous block of units, the
        blocks as equal as can be.
    size
        Units: ``"hidden"``, a symbol bound when a layer is built, or a number.
    even
        Whether the blocks must be equal: a layer whose units they do not divide is refused
        when it is built.
    """
    current("per_unit")
    try:
        constants = tuple(values) if isinstance(values, Iterable) else values
        return Value(node("per_unit", values=constants, size=size, even=even))
    except GraphError as error:
        raise CellError(f"per_unit: {error}") from error


def bernoulli(name: str, probability: float, *, per: str = "step", size: Size = HIDDEN) -> Value:
    """Ones with `probability`, else zeros, drawn anew for each row and unit.

    In evaluation it *is* the probability, the expected value.

    Parameters
    ----------
    name
        Name of the draw.
    probability
        Chance of a one, 0 to 1.
    per
        ``"step"`` draws at every step, ``"sequence"`` once for the whole sequence.
    size
        Units, shape (B, size).
    """
    tracing = current("bernoulli")
    if str(name).startswith(("zoneout_", "recurrent_dropout_")):
        raise CellError(f"a draw named {name!r} would meet those of zoneout and recurrent dropout")
    try:
        draw = node("bernoulli", name=name, probability=probability, per=per, size=size)
        return Value(tracing.register(draw))
    except GraphError as error:
        raise CellError(f'bernoulli("{name}"): {error}') from error


def where(condition: Value, then: Operand, otherwise: Operand) -> Value:
    """`then` where the condition is true, else `otherwise`, unit by unit."""
    return combine("where", condition, then, otherwise)


def sigmoid(value: Operand) -> Value:
    r"""Logistic function $\sigma(a) = 1 / (1 + e^{-a})$, in (0, 1)."""
    return combine("sigmoid", value)


def tanh(value: Operand) -> Value:
    r"""Hyperbolic tangent, in (-1, 1)."""
    return combine("tanh", value)


def relu(value: Operand) -> Value:
    r"""Rectifier $\max(a, 0)$."""
    return combine("relu", value)


def exp(value: Operand) -> Value:
    """Exponential."""
    return combine("exp", value)


def log(value: Operand) -> Value:
    """Natural logarithm."""
    return combine("log", value)


def log1p(value: Operand) -> Value:
    r"""$\log(1 + a)$, accurate for small $a$."""
    return combine("log1p", value)


def sqrt(value: Operand) -> Value:
    """Square root."""
    return combine("sqrt", value)


def sin(value: Operand) -> Value:
    """Sine, of radians."""
    return combine("sin", value)


def cos(value: Operand) -> Value:
    """Cosine, of radians."""
    return combine("cos", value)


def floor(value: Operand) -> Value:
    """Greatest whole number not above the value."""
    return combine("floor", value)


def sign(value: Operand) -> Value:
    """-1, 0 or 1."""
    return combine("sign", value)


def maximum(left: Operand, right: Operand) -> Value:
    """The greater of two values, unit by unit."""
    return combine("maximum", left, right)


def minimum(left: Operand, right: Operand) -> Value:
    """The smaller of two values, unit by unit."""
    return combine("minimum", left, right)


def softplus(value: Operand) -> Value:
    r"""$\log(1 + e^a)$, without overflow."""
    return maximum(value, 0.0) + log1p(exp(-abs(lift(value))))


def sum_units(value: Operand) -> Value:
    """Sum over the units, shape (B, 1)."""
    return combine("sum", value)


def max_units(value: Operand) -> Value:
    """Greatest over the units, shape (B, 1)."""
    return combine("max", value)


def mean_units(value: Operand) -> Value:
    """Mean over the units, shape (B, 1)."""
    return sum_units(value) / Value(node("count", of=lift(value).node.size))


def layer_norm(name: str, value: Operand, *, epsilon: float = 1e-5) -> Value:
    r"""Layer normalisation (Ba, Kiros and Hinton 2016), with learned gain and bias.

    $$\gamma \odot \frac{v - \bar v}{\sqrt{\overline{(v - \bar v)^2} + \epsilon}} + \beta$$

    The gain becomes the parameter ``{name}_gain`` and the bias ``{name}_bias``.
    """
    tracing = current("layer_norm")
    source = lift(value)
    centred = source - mean_units(source)
    normal = centred / sqrt(mean_units(centred**2) + epsilon)
    try:
        shift = _vector(tracing, f"{name}_bias", source.node.size, "bias", 0.0)
    except GraphError as error:
        raise CellError(f'layer_norm("{name}"): {error}') from error
    return scale(f"{name}_gain", normal) + Value(shift)


def _tells_apart(label: str | None, labels: list[str | None]) -> bool:
    """Whether a source's name can name its matrix, beside a bias and the other sources."""
    return label is not None and label != "bias" and labels.count(label) == 1


def _matmul(
    tracing: Tracing,
    name: str,
    source: Node,
    size: Size,
    mask: tuple[str, int] | None,
    even: bool,
) -> Node:
    even = even and mask is not None  # of a whole matrix there is nothing to cut
    matrix = node("matrix", name=name, size=size, columns=source.size, mask=mask, even=even)
    return node("matmul", tracing.register(matrix), source)


def _vector(tracing: Tracing, name: str, size: Size, role: str, init: float) -> Node:
    return tracing.register(node("vector", name=name, size=size, role=role, init=init))


# What a cell function may call: offered when it uses a name that does not exist.
WORDS: Mapping[str, object] = {name: globals()[name] for name in __all__}
