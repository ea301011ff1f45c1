"""A cell as a picture, drawn from its equations as textbooks draw one."""

from __future__ import annotations

from cellwright.cells.catalogue import get
from cellwright.cells.cell import Cell
from cellwright.errors import CellError
from cellwright.ir import Graph, Node
from cellwright.look.diagrams.parts import contract
from cellwright.look.diagrams.places import place
from cellwright.look.diagrams.routes import NoWayError, route
from cellwright.look.diagrams.svg import write_svg

__all__ = ["diagram"]

_MOST_PARTS = 160
_DEEPEST = 240


def diagram(cell: str | Cell, *, standalone: bool = False) -> str:
    """Draw a cell as SVG.

    The memory runs along the top from left to right, the gates stand below it, the inputs come
    from below and the states after the step leave on the right. A box is learned: its matrices,
    their bias, and the function written in it; amber boxes are gates. A circle computes unit by
    unit. A bar joins values that several boxes read side by side, and a dashed line is scaled
    by a learned vector (a peephole). The same equations always give the same picture, and no
    line runs through a part or along another line.

    Parameters
    ----------
    cell
        A cell, or the name of one of the zoo.
    standalone
        Whether the picture is a file of its own. Then it brings its own ink, pale where the
        reader prefers dark pages; else it takes the colour of the text around it.

    Returns
    -------
    str
        An ``<svg>`` element.

    Raises
    ------
    CellError
        There is no such cell, or it has too many parts for a picture.

    Examples
    --------
    >>> import cellwright as cw
    >>> print(cw.look.diagram("lstm")[:28])
    <svg xmlns="http://www.w3.or
    """
    chosen = get(cell)
    if _depth(chosen.graph) > _DEEPEST or len(chosen.graph.nodes) > 8 * _MOST_PARTS:
        raise CellError(f"cell {chosen.name!r} is too large for a picture; print its equations")
    parts = contract(chosen.graph)
    if len(parts) > _MOST_PARTS:
        raise CellError(
            f"cell {chosen.name!r} has {len(parts)} parts, too many for a picture (at most "
            f"{_MOST_PARTS}); print its equations"
        )
    try:
        routes = route(place(parts))
    except NoWayError:
        raise CellError(
            f"no room was found for all lines of cell {chosen.name!r}; print its equations"
        ) from None
    return write_svg(chosen.name, routes, standalone=standalone)


def _depth(graph: Graph) -> int:
    """How many operations follow on each other, at most."""
    depth: dict[Node, int] = {}
    for value in graph.nodes:
        depth[value] = 1 + max((depth[source] for source in value.inputs), default=0)
    return max(depth.values())
