"""From equations to a plan: what is done for many steps at once, and what in the loop."""

from cellwright.plan.cell_plan import Plan, plan
from cellwright.plan.clocks import follows_from_step
from cellwright.plan.program import (
    Array,
    Group,
    Lasting,
    Outer,
    Part,
    Place,
    Program,
    Reduction,
    Sum,
    Sunk,
    Sweep,
)

__all__ = [
    "Array",
    "Group",
    "Lasting",
    "Outer",
    "Part",
    "Place",
    "Plan",
    "Program",
    "Reduction",
    "Sum",
    "Sunk",
    "Sweep",
    "follows_from_step",
    "plan",
]
