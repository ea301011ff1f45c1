"""A cell: one step of a recurrent network, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cellwright.cells.parameters import bind_sizes, count_parameters, parameter_formula
from cellwright.errors import CellError, did_you_mean
from cellwright.ir import Graph, to_latex, to_text

__all__ = ["Cell"]


class Cell:
    """One step of a recurrent network, as data.

    Made by `cell` from a function, or read from a model file, where no function is left.
    Calling a cell with its options returns a cell with those options:
    ``my_cell(activation="relu")``.

    Attributes
    ----------
    graph
        The traced equations.
    options
        Values of the function's keyword-only arguments.
    """

    def __init__(
        self,
        graph: Graph,
        options: Mapping[str, Any] | None = None,
        retrace: Callable[..., Graph] | None = None,
    ) -> None:
        self.graph = graph
        self.options = dict(options or {})
        self._retrace = retrace
        self.__doc__ = graph.summary

    def __call__(self, *values: object, **options: Any) -> Cell:
        """Return this cell with other options."""
        if values:
            raise CellError(
                f"cell {self.name!r} is not called on values: give it to Recurrent, or write its "
                f"equations as a plain function that several cells call"
            )
        for name in options:
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise CellError(
                    f"cell {self.name!r} has no option {name!r}; its options: {known}."
                    f"{did_you_mean(name, self.options)}"
                )
        if self._retrace is None:
            raise CellError(f"cell {self.name!r} was loaded as data; its options are fixed")
        merged = self.options | {name: _plain(value) for name, value in options.items()}
        return Cell(self._retrace(**merged), merged, self._retrace)

    def __copy__(self) -> Cell:
        return self

    def __deepcopy__(self, memo: object) -> Cell:
        return self  # a cell never changes, and a copy would lose the way to other options

    def __reduce__(self) -> tuple[Any, ...]:
        return Cell, (self.graph, self.options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.graph == other.graph

    def __hash__(self) -> int:
        return hash(self.graph)

    def __repr__(self) -> str:
        options = "".join(f", {key}={value!r}" for key, value in self.options.items())
        return f"<cell {self.name}{options}: states {', '.join(self.states)}>"

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.graph.name

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states; the first one is the output."""
        return tuple(self.graph.state_sizes)

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of everything that can be recorded."""
        return tuple(self.graph.observable)

    @property
    def summary(self) -> str:
        """The author's first sentence about the cell."""
        return self.graph.summary.strip().partition("\n\n")[0].replace("\n", " ")

    @property
    def equations(self) -> str:
        """The equations in Unicode, a line each."""
        return to_text(self.graph)

    @property
    def latex(self) -> str:
        """The equations in LaTeX, as the body of an ``aligned`` environment."""
        return to_latex(self.graph)

    @property
    def parameter_formula(self) -> str:
        """How many parameters one layer has, in I (input), H (hidden) and the cell's own sizes.

        What a mask leaves out of a matrix is counted too.

        >>> import cellwright as cw
        >>> cw.cells.lstm.parameter_formula
        '4·(H·(I + H) + H)'
        """
        return parameter_formula(self.graph)

    def count_parameters(
        self,
        input_size: int,
        hidden_size: int,
        sizes: Mapping[str, int] | None = None,
        *,
        biases: int = 1,
    ) -> int:
        """How many parameters one layer has for given sizes: the formula as a number.

        Those that a mask leaves out are counted too; `explain` says how many these are.

        Parameters
        ----------
        input_size, hidden_size
            Number of inputs I and of units H.
        sizes
            The cell's own sizes, such as ``{"proj": 64}``.
        biases
            With 2 the bias of a sum that reads inputs and states counts twice, as torch keeps
            them.

        Raises
        ------
        SettingError
            A size is missing, unknown, or not a positive whole number.
        GraphError
            There is no layer of these sizes: groups of units would be uneven.

        Examples
        --------
        >>> import cellwright as cw
        >>> cw.cells.lstm.count_parameters(28, 128)
        80384
        >>> cw.cells.lstm.count_parameters(28, 128, biases=2)  # torch.nn.LSTM(28, 128)
        80896
        """
        bound = bind_sizes(self.graph, input_size, hidden_size, sizes)
        return sum(count_parameters(self.graph, bound, biases=biases).values())


def _plain(value: Any) -> Any:
    """An option as it can be read again and stored: numbers of NumPy are those of Python."""
    if isinstance(value, Iterator):
        return tuple(value)  # tracing reads it several times
    return value.tolist() if hasattr(value, "tolist") else value
