"""The zoo by family: a module of `cellwright.cells.zoo` is one, its first line the heading."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from cellwright.cells import zoo
from cellwright.cells.catalogue import get, names

__all__ = ["families"]


@cache
def families() -> dict[str, tuple[str, ...]]:
    """Heading -> names of the family's cells, in the order in which they are written.

    >>> list(families())[0]
    'Simple recurrent networks, before gates'
    """
    found: dict[str, tuple[str, ...]] = {}
    left = dict.fromkeys(names())
    for module in sorted(pkgutil.iter_modules(zoo.__path__), key=lambda module: module.name):
        family = importlib.import_module(f"{zoo.__name__}.{module.name}")
        # A family may use another's cell; each is shown once, where its name belongs.
        own = tuple(n for n, v in vars(family).items() if n in left and v is get(n))
        for name in own:
            del left[name]
        if own:
            heading = (family.__doc__ or module.name).strip().partition("\n")[0].rstrip(".")
            found[heading] = own
    return found
