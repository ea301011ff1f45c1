"""What a cell is and what it costs, for people: `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from textwrap import wrap
from typing import Any

from cellwright.arguments import as_whole
from cellwright.cells.catalogue import get
from cellwright.cells.cell import Cell
from cellwright.cells.parameters import (
    bind_sizes,
    check_biases,
    count_left_out,
    count_parameters,
    size_letters,
)
from cellwright.errors import CellError, SettingError
from cellwright.ir import Size
from cellwright.ir.text import spell
from cellwright.look.cost import Memory, Work, memory, work
from cellwright.look.diagrams import diagram
from cellwright.look.gates import gates

__all__ = ["Explanation", "explain"]

_LONGEST = 24
# Kind of a mask -> which blocks of the matrix it keeps.
_KEPT = {
    "block_diagonal": "on the diagonal",
    "block_lower": "on and below the diagonal",
    "block_upper": "on and above the diagonal",
}


@dataclass(frozen=True)
class Explanation:
    """What a cell is, and for given sizes what it costs; `str` for a terminal, HTML for notebooks.

    Attributes
    ----------
    cell
        The cell.
    states
        State -> its size, a symbol or a number; the first one is the output.
    gates
        Signal -> what it multiplies, as written in the equations. A gate lies between 0 and 1
        by its equation, whatever it is called.
    sizes
        Symbol -> number of units; None where no sizes were given, and then so are the numbers.
    parameters
        Parameter -> how many numbers it holds, two biases counted where they were asked for,
        and what a mask leaves out counted too.
    left_out
        Parameter with a mask -> how many of its numbers the mask leaves out: they never learn.
    biases
        1, or 2 as in torch.
    work
        Multiply-adds and pointwise operations of a step, for each sequence of a batch.
    memory
        What is carried from step to step, and what a training keeps of every step.
    """

    cell: Cell
    states: dict[str, Size]
    gates: dict[str, tuple[str, ...]]
    sizes: dict[str, int] | None = None
    parameters: dict[str, int] | None = None
    biases: int = 1
    work: Work | None = None
    memory: Memory | None = None
    left_out: dict[str, int] | None = None

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.cell.name

    @property
    def summary(self) -> str:
        """Its author's first sentence."""
        return self.cell.summary

    @property
    def citation(self) -> str:
        """The rest of what its author says: where it comes from, and what is special."""
        return self.cell.graph.summary.strip().partition("\n\n")[2].strip()

    @property
    def equations(self) -> str:
        """The equations in Unicode, a line each."""
        return self.cell.equations

    @property
    def latex(self) -> str:
        """The equations as the body of an ``aligned`` environment."""
        return self.cell.latex

    @property
    def signals(self) -> tuple[str, ...]:
        """Everything that can be recorded."""
        return self.cell.signals

    @property
    def parameter_formula(self) -> str:
        """Number of parameters in I (input), H (hidden) and the cell's own sizes."""
        return self.cell.parameter_formula

    @property
    def parameter_count(self) -> int | None:
        """Number of parameters for the given sizes, with those that masks leave out."""
        return None if self.parameters is None else sum(self.parameters.values())

    @property
    def learned_count(self) -> int | None:
        """How many of the parameters can learn: all but those that masks leave out."""
        if self.parameter_count is None or self.left_out is None:
            return None
        return self.parameter_count - sum(self.left_out.values())

    @property
    def masks(self) -> dict[str, tuple[str, int]]:
        """Matrix with a mask -> the mask, its kind and its number of blocks each way."""
        weights = self.cell.graph.weights.items()
        masks = ((name, weight.attributes.get("mask")) for name, weight in weights)
        return {name: (str(mask[0]), mask[1]) for name, mask in masks if isinstance(mask, tuple)}

    @cached_property
    def diagram(self) -> str:
        """The cell drawn from its equations, as SVG."""
        return diagram(self.cell)

    def facts(self) -> dict[str, Any]:
        """Everything but the diagram, as plain data for JSON."""
        found: dict[str, Any] = {
            "name": self.name,
            "summary": self.summary,
            "citation": self.citation,
            "states": self.states,
            "gates": {name: list(values) for name, values in self.gates.items()},
            "signals": list(self.signals),
            "parameters": self.parameter_formula,
            "masks": {name: list(mask) for name, mask in self.masks.items()},
            "equations": self.equations.splitlines(),
            "latex": self.latex,
        }
        if self.work is not None and self.memory is not None:
            found |= {
                "sizes": self.sizes,
                "parameter_count": self.parameter_count,
                "parameter_counts": self.parameters,
                "learned_count": self.learned_count,
                "left_out_counts": self.left_out,
                "biases": self.biases,
                "work": vars(self.work),
                "memory": vars(self.memory)
                | {
                    "carried_bytes": self.memory.carried_bytes,
                    "kept_bytes": self.memory.kept_bytes,
                },
            }
        return found

    def rows(self) -> list[tuple[str, str]]:
        """What is known beyond the equations, a heading and a line each."""
        states = [f"{name} ({self._letter(size)})" for name, size in self.states.items()]
        gate_rows = [
            f"{name} × {', '.join(v for v in values if len(v) <= _LONGEST) or '…'}"
            for name, values in self.gates.items()
        ]
        rows = [
            ("states", ", ".join(states)),
            ("gates", "; ".join(gate_rows) or "none"),
            ("signals", ", ".join(self.signals)),
            *(("" if number else "masks", line) for number, line in enumerate(self._mask_lines())),
            ("parameters", self.parameter_formula),
        ]
        return rows + (self._numbers() if self.sizes is not None else [])

    def _letter(self, size: Size) -> str:
        return size_letters(self.cell.graph).get(str(size), str(size))

    def _mask_lines(self) -> list[str]:
        """Which matrices of the equations are not whole, those with the same mask together."""
        written = spell(self.cell.graph)
        together: dict[tuple[str, int], list[str]] = {}
        for name, mask in self.masks.items():
            together.setdefault(mask, []).append(written[self.cell.graph.weights[name]])
        return [
            f"{', '.join(names)}: of {blocks} × {blocks} blocks only those {_KEPT[kind]}"
            for (kind, blocks), names in together.items()
        ]

    def _numbers(self) -> list[tuple[str, str]]:
        assert self.sizes is not None
        assert self.parameters is not None
        assert self.work is not None
        assert self.memory is not None
        sizes = ", ".join(f"{self._letter(name)} = {units}" for name, units in self.sizes.items())
        twice = ", two biases" if self.biases == 2 else ""
        w, m = self.work, self.memory
        carried = ", ".join(f"{name} {units:,}" for name, units in m.carried.items())
        named = {name: units for name, units in m.kept.items() if not name.isdigit()}
        masked = sum((self.left_out or {}).values())
        learned = f", {self.learned_count:,} without what masks leave out" if masked else ""
        weights = [f"{name}\u00a0{number:,}" for name, number in self.parameters.items()]
        kept = [f"{name} {units:,}" for name, units in named.items()]
        if others := len(m.kept) - len(named):
            units = sum(m.kept.values()) - sum(named.values())
            kept.append(f"{others} array{'s' * (others != 1)} without a name: {units:,}")
        mean = " on average, because units rest" if w.averaged else ""
        return [
            ("", f"= {self.parameter_count:,} for {sizes}{twice}{learned}"),
            *(("", line.replace("\u00a0", " ")) for line in wrap(", ".join(weights), 84)),
            ("work", f"{w.multiply_adds:,} multiply-adds a step of a sequence{mean}, of which"),
            ("", f"{w.hoisted_multiply_adds:,} for many steps at once, outside the loop;"),
            ("", f"{w.pointwise:,} pointwise operations, {w.hoisted_pointwise:,} of them outside;"),
            ("", f"{w.training_multiply_adds:,} multiply-adds in training"),
            ("memory", f"{m.carried_bytes:,} bytes carried ({carried})"),
            (
                "",
                f"{m.kept_bytes:,} bytes a step kept for training ({', '.join(kept) or 'nothing'})",
            ),
        ]

    def __str__(self) -> str:
        rows = "\n".join(f"{heading:<12}{text}".rstrip() for heading, text in self.rows())
        parts = (self.name, self.cell.graph.summary.strip(), self.equations, rows)
        return "\n\n".join(part for part in parts if part)

    def __repr__(self) -> str:
        return f"<explanation of {self.cell!r}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(heading)}</th>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for heading, text in self.rows()
        )
        return (
            f"<div class='cellwright-explanation'><h3>{escape(self.name)}</h3>"
            f"<p>{escape(self.summary)}</p><p><small>{escape(self.citation)}</small></p>"
            f"{self._picture()}\n$$\\begin{{aligned}}\n{escape(self.latex, quote=False)}\n"
            f"\\end{{aligned}}$$\n<table>{rows}</table></div>"
        )

    def _picture(self) -> str:
        try:
            return self.diagram
        except CellError:  # too large for a picture; all else can be shown
            return ""


def explain(
    cell: str | Cell,
    input_size: int | None = None,
    hidden_size: int | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    biases: int = 1,
    bytes_per_number: int = 4,
) -> Explanation:
    """Say what a cell is, and for given sizes what it costs.

    Parameters
    ----------
    cell
        A cell, or the name of one of the zoo.
    input_size, hidden_size
        Number of inputs I and of units H; without them only formulas.
    sizes
        The cell's own sizes, such as ``{"proj": 64}``.
    biases
        With 2 the bias of a sum that reads inputs and states counts twice, as in torch.
    bytes_per_number
        4 for float32, 8 for float64.

    Returns
    -------
    Explanation
        ``print`` it, or leave it at the end of a notebook's cell.

    Raises
    ------
    CellError
        There is no such cell.
    SettingError
        A size is missing, unknown, or not a positive whole number, as `bytes_per_number` must be
        too; or `biases` is neither 1 nor 2.
    GraphError
        There is no layer of these sizes: groups of units would be uneven.

    Examples
    --------
    >>> import cellwright as cw
    >>> lstm = cw.explain("lstm", 28, 128)
    >>> lstm.gates
    {'i': ('gₜ',), 'f': ('cₜ₋₁',), 'o': ('tanh(cₜ)',)}
    >>> lstm.parameter_count, lstm.work.multiply_adds, lstm.work.hoisted_multiply_adds
    (80384, 79872, 14336)
    >>> print(cw.explain("elman"))
    elman
    <BLANKLINE>
    Elman network with tanh units: the hidden layer sees its own last value.
    <BLANKLINE>
    Elman, "Finding structure in time", Cognitive Science 14 (1990).
    <BLANKLINE>
    hₜ = tanh(W_hx xₜ + W_hh hₜ₋₁ + b_h)
    <BLANKLINE>
    states      h (H)
    gates       none
    signals     h
    parameters  H·(I + H) + H
    """
    chosen = get(cell)
    biases, width = check_biases(biases), as_whole(bytes_per_number)
    if width is None or width < 1:
        raise SettingError(
            f"bytes_per_number must be a positive whole number, not {bytes_per_number!r}"
        )
    graph = chosen.graph
    written = spell(graph)
    found = {name: tuple(written[v] for v in values) for name, values in gates(graph).items()}
    states = dict(graph.state_sizes)
    if input_size is None and hidden_size is None and not sizes:
        return Explanation(chosen, states, found, biases=biases)
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
        if value is None:
            raise SettingError(f"give {name} too: numbers need every size of the cell")
    assert input_size is not None
    assert hidden_size is not None
    bound = bind_sizes(graph, input_size, hidden_size, sizes)
    return Explanation(
        chosen,
        states,
        found,
        bound,
        count_parameters(graph, bound, biases=biases),
        biases,
        work(graph, bound),
        memory(graph, bound, width),
        count_left_out(graph, bound),
    )
