"""Dropout as Keras' cells have it, written into the equations of any cell."""

from __future__ import annotations

from cellwright.cells.cell import Cell
from cellwright.cells.transform import masked
from cellwright.ir import Node, node

__all__ = ["with_dropout"]


def with_dropout(cell: Cell, *, inputs: float, states: float, by_gate: bool) -> Cell:
    r"""Drop units of the input and of the states where they enter a matrix.

    $$W v \leftarrow W \left(\frac{m}{1 - rate} \odot v\right), \quad
    m \sim \text{Bernoulli}(1 - rate)\ \text{once a sequence}$$

    Parameters
    ----------
    cell
        Any cell.
    inputs, states
        The two rates, 0 to 1, 1 excluded.
    by_gate
        Whether each gate draws for itself, or all share one draw.
    """
    if not inputs and not states:
        return cell

    def dropped(value: Node, gate: str) -> Node:
        """A value before a matrix: the input, a state, or a product such as r * h."""
        if value.op == "mul":
            return node("mul", *(dropped(factor, gate) for factor in value.inputs))
        kind = {"input": "input", "state": "state"}.get(value.op)
        rate = {"input": inputs, "state": states, None: 0.0}[kind]
        if not rate:
            return value
        return masked(value, f"{kind}_dropout_{value.name}{f'_{gate}' if by_gate else ''}", rate)

    def rule(value: Node) -> Node:
        if value.op != "matmul":
            return value
        matrix, source = value.inputs
        return node("matmul", matrix, dropped(source, matrix.name.split("_")[0]))

    return Cell(cell.graph.rewrite(rule), cell.options)
