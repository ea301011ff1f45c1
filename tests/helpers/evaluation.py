"""Expressions evaluated on tensors, node by node."""

import torch

from cellwright.backends.reference import MEANING
from cellwright.ir import block_of_units, topological


def evaluate(roots, known, sizes):
    """Values of `roots` in double precision; `known` has those of all leaves but constants."""
    values = dict(known)
    for value in topological(roots):
        if value not in values:
            inputs = [values[source] for source in value.inputs]
            values[value] = MEANING[value.op](*inputs) if inputs else number(value, sizes)
    return [values[root] for root in roots]


def number(value, sizes):
    """What a leaf is that comes from nowhere."""
    of = value.attributes.get("of", value.size)
    units = sizes.get(of, of)
    match value.op:
        case "constant":
            numbers = [value.attributes["value"]]
        case "count":
            numbers = [units]
        case "per_unit":
            table = value.attributes["values"]
            numbers = [table[block] for block in block_of_units(units, len(table))]
        case _:
            raise AssertionError(f"{value} must be given")
    return torch.tensor(numbers, dtype=torch.float64)
