"""Layer sizes that bring the parameters of a network closest to a wanted number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cellwright.errors import CellwrightError, SettingError

__all__ = ["matched_layers"]

_MOST_UNITS = 2**16
_STEPS_TO_A_VALID_SIZE = 256  # a cell of groups accepts every n-th size only


def matched_layers(
    count: Callable[[tuple[int, ...]], int], layers: Sequence[int], target: int
) -> tuple[int, ...]:
    """The layers, all made wider or narrower alike, with the parameters closest to a number.

    Sizes that the cell refuses, such as one that its groups do not divide, are passed over.

    Parameters
    ----------
    count
        Layers -> parameters of the whole network that can learn, by building it.
    layers
        What the layers are without matching; their proportions are kept.
    target
        The wanted number of parameters.

    Raises
    ------
    SettingError
        Even the smallest network has more than twice as many, or the largest has fewer.

    Examples
    --------
    >>> matched_layers(lambda layers: 10 * layers[0] ** 2, [128], 4100)
    (20,)
    """
    search = _Search(count, tuple(layers))
    below, above = search.valid_from(1), search.valid_from(2)
    if search.parameters(below) > 2 * target:
        raise SettingError(
            f"parameters={target}: the smallest network has {search.parameters(below)}"
        )
    while search.parameters(above) < target:
        if above >= _MOST_UNITS:
            raise SettingError(f"parameters={target}: layers of {above} units have fewer still")
        below, above = above, search.valid_from(2 * above)
    while (middle := search.valid_from((below + above) // 2)) not in (below, above):
        if search.parameters(middle) < target:
            below = middle
        else:
            above = middle
    # Between the middle and `above` the cell may refuse every size; below it may be some.
    tried = [below, above, *search.valid_between(below, above)]
    best = min(tried, key=lambda size: (abs(search.parameters(size) - target), size))
    return search.layers(best)


class _Search:
    """Parameters by the size of the first layer, each counted once."""

    def __init__(self, count: Callable[[tuple[int, ...]], int], layers: tuple[int, ...]) -> None:
        self._count, self._shape = count, layers
        self._known: dict[int, int | CellwrightError] = {}

    def layers(self, first: int) -> tuple[int, ...]:
        return tuple(max(1, round(first * units / self._shape[0])) for units in self._shape)

    def parameters(self, first: int) -> int:
        found = self._asked(first)
        if isinstance(found, CellwrightError):
            raise found
        return found

    def valid_from(self, first: int) -> int:
        """The smallest size from there on that the cell accepts."""
        for size in range(first, first + _STEPS_TO_A_VALID_SIZE):
            if not isinstance(self._asked(size), CellwrightError):
                return size
        return first  # its error says why

    def valid_between(self, below: int, above: int) -> list[int]:
        sizes = range(below + 1, min(above, below + _STEPS_TO_A_VALID_SIZE))
        return [size for size in sizes if not isinstance(self._asked(size), CellwrightError)]

    def _asked(self, first: int) -> int | CellwrightError:
        if first not in self._known:
            try:
                self._known[first] = self._count(self.layers(first))
            except CellwrightError as error:
                self._known[first] = error
        return self._known[first]
