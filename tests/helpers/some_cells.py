"""Cells that stand for the others where every one more is a source to compile."""

import math

import pytest

import cellwright as cw

TYPICAL = {"elman", "elman_relu", "lstm", "projected_lstm", "peephole_lstm", "gru", "jordan"}
TYPICAL |= {"gru_reset_before", "clockwork", "slstm", "layer_norm_lstm", "min_gru"}
TYPICAL |= {"uneven_clockwork"}  # of odd_cells.py


def typical(names=None, chosen=TYPICAL):
    """All names, of the zoo if none are given, those that are not chosen for the slow set only."""
    names = cw.cells.names() if names is None else names
    return [n if n in chosen else pytest.param(n, marks=pytest.mark.slow) for n in names]


def units_for(graph, units):
    """The next number of units that a cell takes, whose groups may have to be equal."""
    tables = [value.attributes for value in graph.leaves("per_unit")]
    groups = math.lcm(*(len(table["values"]) for table in tables if table["even"]))
    return math.ceil(units / groups) * groups


def own_sizes(name, units):
    """What a cell's own sizes are bound to, beside input and hidden."""
    return dict.fromkeys({"proj", "output"} & set(cw.cells.get(name).graph.symbols), units)


def recurrent_dropout(name, chance):
    """The chance, where some state meets a matrix; else none."""
    graph = cw.cells.get(name).graph
    of_state = graph.depends_on("state")
    return chance if any(v.inputs[1] in of_state for v in graph.leaves("matmul")) else 0.0
