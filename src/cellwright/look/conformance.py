"""Whether every backend computes a cell as the reference does: values, states and gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from cellwright.arguments import as_whole
from cellwright.backends import BACKENDS
from cellwright.backends.reference import ReferenceBackend
from cellwright.cells import get
from cellwright.cells.cell import Cell
from cellwright.errors import BackendError, ConformanceError, SettingError
from cellwright.ir import HIDDEN, INPUT
from cellwright.look.conformance_runs import CPU, TOLERANCE, Run, runs_of
from cellwright.nn.arguments import bound_sizes

__all__ = ["Agreement", "Conformance", "check"]


@dataclass(frozen=True)
class Agreement:
    """What one backend does in one precision.

    Attributes
    ----------
    backend, precision
        Which.
    runs, numbers
        How often the cell ran, and how many numbers were compared.
    error, allowed
        Of the tensor that comes closest to its bound: its greatest error, relative to its
        greatest magnitude (or to 1), and the bound. The bound is greater than that of the
        precision where a rounding of what the cell is given or computes makes as much of a
        difference.
    where
        Which tensor, in which run.
    unlike
        How many numbers are not finite in one of the two and something else in the other.
    unknown
        How many numbers nothing is said of: roundings decide whether they are finite, or change
        them so much that a tenth of the greatest would not be seen.
    """

    backend: str
    precision: str
    runs: int
    numbers: int
    error: float
    allowed: float
    where: str
    unlike: int = 0
    unknown: int = 0

    @property
    def agrees(self) -> bool:
        """Whether the backend computes what the reference does."""
        return self.error <= self.allowed and not self.unlike


@dataclass(frozen=True)
class Conformance:
    """What `check` has found of a cell; ``print`` it.

    Attributes
    ----------
    cell
        Name of the cell.
    lines
        A line for every backend and precision.
    refused
        Backend -> why it cannot run the cell.
    finite
        Share of the compared numbers that are finite in the reference. Those of a cell that
        takes the logarithm of its input may not be.
    """

    cell: str
    lines: tuple[Agreement, ...]
    refused: Mapping[str, str]
    finite: float

    @property
    def agrees(self) -> bool:
        """Whether all backends compute what the reference does."""
        return all(line.agrees for line in self.lines)

    def __str__(self) -> str:
        """A table, and what else is to be known."""
        verdict = "is computed alike by every backend" if self.agrees else "is NOT computed alike"
        rows: list[tuple[str, ...]] = [
            ("backend", "precision", "runs", "numbers", "error", "allowed", "worst")
        ]
        rows += [_row(line) for line in self.lines]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        more = [f"{name}: {reason}" for name, reason in self.refused.items()]
        more += [
            f"{line.backend}, {line.precision}: nothing is said of "
            f"{line.unknown / line.numbers:.2%} of these numbers, which roundings decide"
            for line in self.lines
            if line.unknown
        ]
        if self.finite < 1:
            more.append(f"of these numbers {1 - self.finite:.2%} are not finite")
        return "\n".join([f"{self.cell} {verdict}", *table, *more])


def check(
    cell: str | Cell,
    input_size: int | None = None,
    hidden_size: int | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    precisions: Sequence[torch.dtype] = (torch.float64, torch.float32),
    seed: int = 0,
) -> Conformance:
    r"""Hold every backend that can run a cell against the reference.

    The output at every step, the last states, every signal and the gradient with respect to
    every weight, input and first state are compared: forwards and in reverse, of full, ragged and
    interrupted sequences, from nothing and from states that the cell has reached, recorded or
    not, with a gradient, through some of the values only, and without one, for none, few and many
    rows, for units that fill the processor's vectors and that do not. The reference
    computes in double precision from the same numbers; a tensor $v$ agrees where

    $$\max \lvert v - v_{\text{reference}} \rvert \le
    \epsilon \max(1, \lvert v_{\text{reference}} \rvert)$$

    with $\epsilon$ = 1e-12 in double and 4e-6 in single precision, and more where a rounding of
    what the cell is given, or of what it computes, would itself make as much of a difference.

    Parameters
    ----------
    cell
        A cell, or the name of one of the zoo.
    input_size, hidden_size
        Number of inputs I and of units H; some odd and some even ones if they are not given.
    sizes
        The cell's own sizes, such as ``{"proj": 64}``; as many as units if they are not given.
    precisions
        In which the backends run: torch.float64, torch.float32, torch.bfloat16.
    seed
        Of inputs and weights, which are the cell's own at the start of training, and noise.

    Returns
    -------
    Conformance
        ``print`` it.

    Raises
    ------
    ConformanceError
        A backend computes something else: its fault, not the cell's.
    BackendError
        No backend but the reference can run the cell; the message says why.
    CellError, GraphError, SettingError
        There is no such cell, or a size or a precision is not one.

    Examples
    --------
    >>> import cellwright as cw
    >>> found = cw.check("gru", 3, 17)
    >>> found.agrees, [(line.backend, line.precision) for line in found.lines]
    (True, [('cpu', 'float64'), ('cpu', 'float32')])
    """
    cell = get(cell)
    graph = cell.graph
    chosen = bound_sizes((1,), sizes)[0]
    del chosen[HIDDEN]
    for name, number in ((INPUT, input_size), (HIDDEN, hidden_size)):
        if number is not None:
            whole = as_whole(number)
            chosen[name] = number if whole is None else whole  # which is refused in words
    asked = list(precisions) if isinstance(precisions, Iterable) else [precisions]
    if not asked or any(dtype not in list(TOLERANCE) for dtype in asked):
        known = ", ".join(map(str, TOLERANCE))
        raise SettingError(f"precisions={precisions!r}: choose from {known}")
    whole = as_whole(seed)
    if whole is None or not -(2**63) <= whole < 2**63:
        raise SettingError(f"seed={seed!r}: must be a whole number of 64 bits")
    answers = {
        (name, dtype): backend.answer(graph, CPU, dtype)
        for name, backend in BACKENDS.items()
        if name != ReferenceBackend.name
        for dtype in asked
    }
    able = [each for each, answer in answers.items() if answer.possible]
    refused = {name: a.reason for (name, _), a in answers.items() if not a.possible}
    if not able:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise BackendError(f"no backend but the reference can run cell {graph.name!r}: {reasons}")
    # Whatever the caller has chosen for computations of its own.
    with torch.inference_mode(False), torch.enable_grad():
        runs = list(runs_of(cell, chosen, whole))
        lines, finite = zip(*(_agreement(runs, *each) for each in able), strict=True)
    numbers = sum(line.numbers for line in lines)
    found = Conformance(graph.name, lines, refused, sum(finite) / numbers)
    if not found.agrees:
        raise ConformanceError(
            f"{found}\nThis is a fault of the backend, not of the cell: "
            f"backend='{ReferenceBackend.name}' computes it as it is written."
        )
    return found


def _agreement(runs: Sequence[Run], backend: str, dtype: torch.dtype) -> tuple[Agreement, int]:
    """What a backend does in a precision, and how many of the compared numbers are finite."""
    compared = [one for run in runs for one in run.compared(BACKENDS[backend], dtype)]
    worst = max(compared, key=lambda one: (one.unlike > 0, one.error / one.allowed))
    line = Agreement(
        backend=backend,
        precision=str(dtype).removeprefix("torch."),
        runs=len(runs),
        numbers=sum(one.numbers for one in compared),
        error=worst.error,
        allowed=worst.allowed,
        where=worst.where,
        unlike=sum(one.unlike for one in compared),
        unknown=sum(one.unknown for one in compared),
    )
    return line, sum(one.finite for one in compared)


def _row(line: Agreement) -> tuple[str, ...]:
    numbers = f"{line.numbers:,}" + f" ({line.unlike:,} not finite alike)" * bool(line.unlike)
    shown = (str(line.runs), numbers, f"{line.error:.1e}", f"{line.allowed:.0e}")
    return (line.backend, line.precision, *shown, line.where)
