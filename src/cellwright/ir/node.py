"""Immutable, hash-consed nodes: equal expressions are one object.

`node` is the only way to make one. It checks op, inputs and attributes and derives the
size, so a node that exists is well formed; `verify` adds the rules of a whole graph.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias
from weakref import WeakValueDictionary

from cellwright.arguments import as_real
from cellwright.errors import GraphError, did_you_mean
from cellwright.ir.ops import OPS
from cellwright.ir.sizes import SCALAR, UNKNOWN, Size, check_size, join

__all__ = ["Attribute", "Node", "node", "topological"]

Attribute: TypeAlias = str | int | float | tuple[Any, ...] | None

MASKS = ("block_diagonal", "block_lower", "block_upper")
# What an attribute is where it is not given. Files hold only what differs: older ones lack them.
USUAL: Mapping[str, Attribute] = {"even": False}


class Node:
    """One value inside a step. Never make one by hand; call `node`.

    Attributes
    ----------
    op
        A name from `cellwright.ir.ops.OPS`.
    inputs
        The nodes it is computed from.
    attributes
        Its constants, such as a parameter's name.
    size
        How many units it has, usually as a symbol (for a matrix: its rows).
    """

    __slots__ = ("__weakref__", "attributes", "inputs", "op", "size")

    op: str
    inputs: tuple[Node, ...]
    attributes: Mapping[str, Attribute]
    size: Size

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("nodes are immutable")

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: object) -> Node:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a node has no meaning on its own; pickle its graph")

    def __repr__(self) -> str:
        parts = [f"{key}={value!r}" for key, value in self.attributes.items()]
        return f"<{self.op} {' '.join(parts)}: {self.size}>"

    @property
    def kind(self) -> str:
        """Kind of its op: leaf, weight, pointwise, truth, product or reduction."""
        return OPS[self.op].kind

    @property
    def name(self) -> str:
        """Name of a leaf or weight that has one."""
        return str(self.attributes["name"])


_interned: WeakValueDictionary[tuple[Any, ...], Node] = WeakValueDictionary()
_lock = threading.Lock()


def node(op: str, *inputs: Node, **attributes: Attribute) -> Node:
    """Return *the* node for this operation; equal arguments give the same object.

    Raises
    ------
    GraphError
        The op is unknown, or inputs, attributes or sizes do not fit it.
    """
    definition = OPS.get(op)
    if definition is None:
        raise GraphError(f"unknown op {op!r}.{did_you_mean(op, OPS)}")
    if len(inputs) != definition.arity:
        raise GraphError(f"{op} takes {definition.arity} inputs, got {len(inputs)}")
    attributes = {k: v for k, v in USUAL.items() if k in definition.attributes} | attributes
    if set(attributes) != set(definition.attributes):
        wanted = ", ".join(definition.attributes) or "none"
        raise GraphError(f"{op} takes the attributes {wanted}; got {sorted(attributes)}")
    checked = {key: _CHECKS[key](attributes[key]) for key in definition.attributes}
    size = _size(op, inputs, checked)
    # repr keeps 0.0 from -0.0, 1 from 1.0 and one NaN equal to itself.
    key = (op, tuple(id(value) for value in inputs), repr(checked))
    with _lock:
        found = _interned.get(key)
        if found is None:
            found = object.__new__(Node)
            object.__setattr__(found, "op", op)
            object.__setattr__(found, "inputs", inputs)
            object.__setattr__(found, "attributes", MappingProxyType(checked))
            object.__setattr__(found, "size", size)
            _interned[key] = found
    return found


def topological(roots: Iterable[Node], known: Container[Node] = ()) -> Iterator[Node]:
    """Every node that `roots` need, each once, inputs before users.

    Of what is `known`, nothing is needed: its inputs are left out. Without recursion, so that
    the depth of a (possibly hostile) graph does not matter.
    """
    seen: set[Node] = set()
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            current, ready = stack.pop()
            if ready:
                yield current
            elif current not in seen:
                seen.add(current)
                stack.append((current, True))
                if current not in known:
                    stack.extend((value, False) for value in reversed(current.inputs))


def _size(op: str, inputs: tuple[Node, ...], attributes: dict[str, Any]) -> Size:
    kind = OPS[op].kind
    for position, value in enumerate(inputs):
        wants_matrix = kind == "product" and position == 0
        if (value.op == "matrix") != wants_matrix:
            raise GraphError(f"{op}: a matrix stands only before a value, in a product")
        wants_truth = op == "where" and position == 0
        if (value.kind == "truth") != wants_truth:
            raise GraphError(
                "where chooses by a comparison, as in where(a > b, then, otherwise)"
                if wants_truth
                else "a comparison is no number; write where(condition, 1, 0)"
            )
    if kind in ("leaf", "weight"):
        size: Size = attributes.get("size", SCALAR)
        return size
    if kind == "reduction":
        return SCALAR
    if kind == "product":
        return _product_size(op, *inputs)
    size = SCALAR
    for value in inputs:
        size = join(size, value.size)
    return size


def _product_size(op: str, matrix: Node, value: Node) -> Size:
    rows, columns = matrix.size, check_size(matrix.attributes["columns"])
    taken, given = (rows, columns) if op == "matmul_transposed" else (columns, rows)
    if value.size not in (taken, UNKNOWN):
        turned = ", transposed," if op == "matmul_transposed" else ""
        raise GraphError(f"matrix {matrix.name!r}{turned} takes {taken} units, got {value.size}")
    return given


def _identifier(value: object) -> str:
    if not (isinstance(value, str) and value.isidentifier()):
        raise GraphError(f"a name must be a Python identifier, not {value!r}")
    return value


def _number(value: object) -> float:
    if isinstance(value, str) and value in ("inf", "-inf", "nan"):
        return float(value)
    number = as_real(value)
    if number is None:
        raise GraphError(f"expected a number, got {value!r}")
    return number


def _start(value: object) -> float:
    number = _number(value)
    if not math.isfinite(number):
        raise GraphError(f"a learned vector starts at a finite number, not {number}")
    return number


def _probability(value: object) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise GraphError(f"a probability lies in 0..1, not {number}")
    return number


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, (tuple, list)) or not value:
        raise GraphError(f"expected a list of numbers, got {value!r}")
    numbers = tuple(_number(item) for item in value)
    if not all(map(math.isfinite, numbers)):
        raise GraphError("per-unit constants must be finite")
    return numbers


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise GraphError(f"expected true or false, got {value!r}")
    return value


def _mask(value: object) -> tuple[str, int] | None:
    if value is None:
        return None
    if isinstance(value, (tuple, list)) and len(value) == 2 and value[0] in MASKS:
        blocks = check_size(value[1])
        if isinstance(blocks, int):
            return (str(value[0]), blocks)
    raise GraphError(f"a mask is one of {', '.join(MASKS)} with a number of blocks, not {value!r}")


def _choice(*allowed: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise GraphError(f"expected one of {', '.join(allowed)}; got {value!r}")
        return value

    return check


_CHECKS: dict[str, Callable[[object], Any]] = {
    "name": _identifier,
    "size": check_size,
    "columns": check_size,
    "of": check_size,
    "value": _number,
    "values": _numbers,
    "even": _truth,
    "probability": _probability,
    "per": _choice("step", "sequence"),
    "origin": _choice("later", "outside"),
    "role": _choice("bias", "scale"),
    "init": _start,
    "mask": _mask,
}
