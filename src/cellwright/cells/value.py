"""The values that a cell function sees while it is traced."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, NoReturn, TypeAlias

from cellwright.arguments import as_real, as_whole
from cellwright.errors import CellError, GraphError
from cellwright.ir import Node, node

__all__ = ["Operand", "Value", "combine", "lift"]


class Value:
    """A traced value: arithmetic on it writes equations instead of computing numbers."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    def __add__(self, other: Operand) -> Value:
        return combine("add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return combine("add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return combine("sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return combine("sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return combine("mul", self, other)

    def __rmul__(self, other: Operand) -> Value:
        return combine("mul", other, self)

    def __truediv__(self, other: Operand) -> Value:
        return combine("div", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return combine("div", other, self)

    def __mod__(self, other: Operand) -> Value:
        """Remainder with the sign of the divisor, ``a - b * floor(a / b)``, as in Python."""
        return self - other * combine("floor", self / other)

    def __rmod__(self, other: Operand) -> Value:
        return lift(other) % self

    def __pow__(self, exponent: int) -> Value:
        times = as_whole(exponent)
        if times is None or times < 1:
            power = "a traced value" if isinstance(exponent, Value) else exponent
            raise CellError(
                f"only whole powers from 1 up are part of the language, not {power}; "
                f"write exp(power * log(base))"
            )
        result = self
        for _ in range(times - 1):
            result = result * self
        return result

    def __rpow__(self, base: object) -> NoReturn:
        raise CellError(f"{base} to a power that is traced is written exp(power * log({base}))")

    def __floordiv__(self, other: object) -> NoReturn:
        raise CellError("// is not part of the language; write floor(a / b)")

    __rfloordiv__ = __floordiv__

    def __neg__(self) -> Value:
        return combine("neg", self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return combine("abs", self)

    def __lt__(self, other: Operand) -> Value:
        return combine("less", self, other)

    def __le__(self, other: Operand) -> Value:
        return combine("less_equal", self, other)

    def __gt__(self, other: Operand) -> Value:
        return combine("less", other, self)

    def __ge__(self, other: Operand) -> Value:
        return combine("less_equal", other, self)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]
        return combine("equal", self, other)

    def __ne__(self, other: object) -> NoReturn:
        raise CellError("!= is not part of the language; write where(a == b, otherwise, then)")

    def __and__(self, *others: object) -> NoReturn:
        raise CellError(
            "&, |, ^ and ~ are not part of the language; write one where in another, as in "
            "where(a, where(b, then, otherwise), otherwise)"
        )

    __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = __and__

    __hash__ = None  # type: ignore[assignment]

    def __matmul__(self, other: object) -> NoReturn:
        raise CellError(
            'a product with a matrix is written affine("name", value), which makes the matrix too'
        )

    __rmatmul__ = __matmul__

    def __getattr__(self, name: str) -> NoReturn:
        # Python and NumPy ask for special names to find out what they have before them.
        if name.startswith("__"):
            raise AttributeError(name)
        raise CellError(
            f"a traced value has no .{name}; write {name}(value) if there is such a word"
        )

    def __format__(self, specification: str) -> NoReturn:
        raise CellError("a traced value has no number to print; record it while the network runs")

    def __bool__(self) -> NoReturn:
        raise CellError(
            "a traced value is neither true nor false while the equations are written down; "
            "instead of `if`, `and`, `or`, `not` or a chained comparison write "
            "where(condition, then, otherwise)"
        )

    def __float__(self) -> NoReturn:
        raise CellError(
            "a traced value is not a number; use cellwright's functions instead of those of math"
        )

    __int__ = __float__
    __index__ = __float__

    def __iter__(self) -> NoReturn:
        raise CellError("a traced value cannot be unpacked or iterated")

    def __getitem__(self, item: object) -> NoReturn:
        raise CellError("a traced value cannot be indexed; give parts their own state or affine")

    def __repr__(self) -> str:
        return f"Value({self.node!r})"

    # torch and numpy ask these before they touch a foreign argument.
    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: object, args: object = (), kwargs: object = None
    ) -> NoReturn:
        raise _foreign("torch", getattr(function, "__name__", str(function)))

    def __array_function__(
        self, function: Callable[..., Any], types: object, args: object, kwargs: object
    ) -> NoReturn:
        raise _foreign("numpy", function.__name__)

    def __array_ufunc__(
        self, function: Callable[..., Any], method: str, *args: object, **kwargs: object
    ) -> Value:
        # A number of numpy's on the left of an operator comes this way.
        if function.__name__ in _NUMPY_OPERATORS:
            return combine(_NUMPY_OPERATORS[function.__name__], *args)
        raise _foreign("numpy", function.__name__)


_NUMPY_OPERATORS = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div"}

Operand: TypeAlias = Value | float | int


def _foreign(library: str, name: str) -> CellError:
    return CellError(
        f"{library}'s {name!r} was called on a traced value; a cell is written with cellwright's "
        f"own functions, such as cellwright.sigmoid, so that it can be compiled"
    )


def lift(operand: object) -> Value:
    """Turn a number into a traced constant; leave a traced value as it is."""
    if isinstance(operand, Value):
        return operand
    if isinstance(operand, (list, tuple)):
        if any(isinstance(item, Value) for item in operand):
            raise CellError("a list of traced values is none itself; write them one by one")
        raise CellError("a list of constants must be written per_unit([...])")
    if isinstance(operand, bool) or not isinstance(operand, Real):
        raise CellError(
            f"expected a traced value or a number, got {type(operand).__name__}: {operand!r}"
        )
    number = as_real(operand)
    if number is None:
        raise CellError("a constant has more digits than any number that is reckoned with")
    if math.isnan(number):
        raise CellError("a constant is NaN")
    return Value(node("constant", value=number))


def combine(op: str, *operands: object) -> Value:
    """Apply a pointwise op or a reduction to operands."""
    if op == "div" and isinstance(operands[1], Real) and operands[1] == 0:
        raise CellError("a division by the constant 0")
    try:
        return Value(node(op, *(lift(operand).node for operand in operands)))
    except GraphError as error:
        raise CellError(str(error)) from error
