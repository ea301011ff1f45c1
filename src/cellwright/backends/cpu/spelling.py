"""How every operation is written in C++, one line an op; what is missing cannot be compiled."""

from __future__ import annotations

__all__ = ["SPELLING"]

SPELLING: dict[str, str] = {
    "neg": "-{}",
    "abs": "absolute({})",
    "sign": "sign_of({})",
    "floor": "floor_of({})",
    "exp": "exponential({})",
    "log": "logarithm({})",
    "log1p": "logarithm_of_one_plus({})",
    "sqrt": "square_root({})",
    "sin": "sine({})",
    "cos": "cosine({})",
    "sigmoid": "logistic({})",
    "tanh": "hyperbolic_tangent({})",
    "relu": "rectified({})",
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "maximum": "greater_of({}, {})",
    "minimum": "smaller_of({}, {})",
    "where": "pick({}, {}, {})",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "equal": "{} == {}",
}
