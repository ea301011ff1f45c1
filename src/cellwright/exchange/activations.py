"""The squashing functions of other libraries, written in the language of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from cellwright.cells.language import (
    exp,
    log,
    max_units,
    maximum,
    minimum,
    relu,
    sigmoid,
    sign,
    softplus,
    sqrt,
    sum_units,
    tanh,
    where,
)
from cellwright.cells.value import Value

__all__ = ["SIGMOID", "TANH", "Activation"]


class Activation(NamedTuple):
    """A function of one value, as plain data: its name in `FUNCTIONS`, and its numbers."""

    name: str
    numbers: tuple[float, ...] = ()

    def __call__(self, value: Value) -> Value:
        """The function's equation."""
        return FUNCTIONS[self.name](value, *self.numbers)

    def __str__(self) -> str:
        """As the user may write it, such as leaky_relu(0.01)."""
        return self.name + (f"({', '.join(map(str, self.numbers))})" if self.numbers else "")


def _between(value: Value, low: float, high: float) -> Value:
    return minimum(maximum(value, low), high)


def _elu(value: Value, alpha: float = 1.0) -> Value:
    # The branch that is not taken must stay finite, or its gradient becomes 0 times infinity.
    return where(value >= 0, value, alpha * (exp(minimum(value, 0.0)) - 1))


def _relu6(value: Value) -> Value:
    return _between(value, 0.0, 6.0)


def _exponentials(value: Value) -> Value:
    return exp(value - max_units(value))


def _softmax(value: Value) -> Value:
    powers = _exponentials(value)
    return powers / sum_units(powers)


def _log_softmax(value: Value) -> Value:
    return value - max_units(value) - log(sum_units(_exponentials(value)))


def _sparse_plus(value: Value) -> Value:
    return where(value >= 1, value, 0.25 * relu(value + 1) ** 2)


# The constants of Klambauer et al., "Self-normalizing neural networks" (2017).
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805

FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "elu": _elu,
    "exponential": exp,
    "hard_shrink": lambda v: where(abs(v) > 0.5, v, 0.0),
    "hard_sigmoid": lambda v, alpha, beta: _between(alpha * v + beta, 0.0, 1.0),
    "hard_silu": lambda v: v * _relu6(v + 3) / 6,
    "hard_tanh": lambda v: _between(v, -1.0, 1.0),
    "leaky_relu": lambda v, alpha: where(v >= 0, v, alpha * v),
    "line": lambda v, alpha, beta: alpha * v + beta,
    "linear": lambda v: v,
    "log_sigmoid": lambda v: -softplus(-v),
    "log_softmax": _log_softmax,
    "mish": lambda v: v * tanh(softplus(v)),
    "relu": relu,
    "relu6": _relu6,
    "scaled_tanh": lambda v, alpha, beta: alpha * tanh(beta * v),
    "selu": lambda v: _SELU_SCALE * _elu(v, _SELU_ALPHA),
    "sigmoid": sigmoid,
    "silu": lambda v: v * sigmoid(v),
    "soft_shrink": lambda v: sign(v) * relu(abs(v) - 0.5),
    "softmax": _softmax,
    "softplus": softplus,
    "softsign": lambda v: v / (1 + abs(v)),
    "sparse_plus": _sparse_plus,
    "squareplus": lambda v: (v + sqrt(v**2 + 4)) / 2,
    "tanh": tanh,
    "tanh_shrink": lambda v: v - tanh(v),
    "thresholded_relu": lambda v, alpha: where(v >= alpha, v, 0.0),
}

SIGMOID = Activation("sigmoid")
TANH = Activation("tanh")
RELU = Activation("relu")
