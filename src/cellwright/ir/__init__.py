"""The intermediate representation: one step of a cell as an immutable graph."""

from cellwright.ir.binding import check_sizes, weight_shapes
from cellwright.ir.graph import Graph
from cellwright.ir.node import Node, node, topological
from cellwright.ir.ops import OPS
from cellwright.ir.serial import from_json, to_json
from cellwright.ir.simplify import simpler, simplify
from cellwright.ir.sizes import (
    HIDDEN,
    INPUT,
    SCALAR,
    Size,
    block_of_units,
    kept_entries,
    units_of,
)
from cellwright.ir.text import to_dot, to_latex, to_text
from cellwright.ir.verify import verify, verify_cell

__all__ = [
    "HIDDEN",
    "INPUT",
    "OPS",
    "SCALAR",
    "Graph",
    "Node",
    "Size",
    "block_of_units",
    "check_sizes",
    "from_json",
    "kept_entries",
    "node",
    "simpler",
    "simplify",
    "to_dot",
    "to_json",
    "to_latex",
    "to_text",
    "topological",
    "units_of",
    "verify",
    "verify_cell",
    "weight_shapes",
]
