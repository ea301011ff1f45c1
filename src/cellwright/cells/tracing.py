"""Running a cell function once and writing down what it computes.

The function runs under a line tracer, which sees each local variable at the moment it is
bound: that is where signals get their names, in the author's words and order.
"""

from __future__ import annotations

import inspect
import linecache
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from cellwright.cells.value import Value
from cellwright.errors import CellError
from cellwright.ir import Node

__all__ = ["Tracing", "current"]

_active = threading.local()


def current(word: str) -> Tracing:
    """The tracing under way in this thread, for the word of the language that needs it."""
    tracing = getattr(_active, "tracing", None)
    if not isinstance(tracing, Tracing):
        raise CellError(f"{word} was called outside a cell; write it in a function under @cell")
    return tracing


class Tracing:
    """One run of a cell function on traced values.

    Attributes
    ----------
    signals
        Local variable -> node, in the order of their last binding.
    """

    def __init__(self, function: Callable[..., Any], cell_name: str) -> None:
        self.function = function
        # A decorator between the function and @cell calls it; what counts is the function.
        self.code = inspect.unwrap(function).__code__
        self.cell_name = cell_name
        self.signals: dict[str, Node] = {}
        self._named: dict[tuple[str, str], Node] = {}
        self._arguments: dict[str, Node] = {}
        self._line = self.code.co_firstlineno

    def run(self, arguments: Mapping[str, Node], options: Mapping[str, Any]) -> Any:
        """Call the function; return whatever it returns, with `signals` filled."""
        self._arguments = dict(arguments)
        values = {name: Value(node) for name, node in arguments.items()}
        before, outer = sys.gettrace(), getattr(_active, "tracing", None)
        _active.tracing = self
        sys.settrace(self._enter)
        try:
            return self.function(*values.values(), **options)
        except CellError as error:
            raise self.located(str(error)) from error
        except TypeError as error:
            # A word called with wrong arguments, or a value used as what it is not.
            raise self.located(str(error)) from error
        finally:
            sys.settrace(before)
            _active.tracing = outer

    def register(self, node: Node) -> Node:
        """Note a new weight or draw; a name used twice would silently share what it stands for."""
        if node.kind == "leaf" and node.name in self._arguments:
            raise CellError(f"{node.name!r} is an argument of the cell; give the draw another name")
        if (node.kind, node.name) in self._named:
            what = "parameter" if node.kind == "weight" else "draw"
            raise CellError(
                f"the {what} {node.name!r} exists already; give this one another name, or "
                f"bind the first result to a variable and use that"
            )
        self._named[node.kind, node.name] = node
        return node

    def name_of(self, node: Node) -> str | None:
        """The author's name of a value at this moment, if it has one."""
        for name, known in (self._arguments | self.signals).items():
            if known is node:
                return name
        return None

    def located(self, message: str) -> CellError:
        """The error with the cell's name and the equation at which the function stood."""
        text = linecache.getline(self.code.co_filename, self._line).strip()
        # Where the author says himself what is wrong, his words are enough.
        shown = text and not text.startswith("raise ")
        where = f"line {self._line}" + (f": `{text}`" if shown else "")
        return CellError(f"cell {self.cell_name!r}, {where}\n  {message}")

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is not self.code:
            return None
        # Several equations may share a line; a binding is seen at the next instruction.
        frame.f_trace_opcodes = True
        return self._watch

    def _watch(self, frame: FrameType, event: str, argument: object) -> Any:
        bound = frame.f_locals
        for name, value in bound.items():
            known = self.signals.get(name, self._arguments.get(name))
            if isinstance(value, Value) and known is not value.node:
                self.signals.pop(name, None)  # a name bound again moves to its new place
                self.signals[name] = value.node
        if event == "line":
            self._line = frame.f_lineno
        elif event == "return":
            # From Python 3.12 on the variables of a comprehension are seen too, while it runs.
            self.signals = {n: value for n, value in self.signals.items() if n in bound}
        return self._watch
