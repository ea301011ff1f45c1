"""From a cell to something that runs: the one list of stages, each verified."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch

from cellwright.backends import BACKENDS, Backend, Kernel, announce, opaque
from cellwright.errors import BackendError, did_you_mean
from cellwright.ir import Graph, check_sizes, simplify, to_text, verify_cell
from cellwright.settings import settings

__all__ = ["STAGES", "check_backend", "check_sizes", "choose", "compile", "lower"]

STAGES: tuple[Callable[[Graph], Graph], ...] = (verify_cell, simplify)


def lower(graph: Graph) -> Graph:
    """Run all stages on a graph, verifying after each."""
    for stage in STAGES:
        graph = verify_cell(stage(graph))
        if settings().debug >= 2:
            print(f"# {graph.name} after {stage.__name__}\n{to_text(graph)}", file=sys.stderr)
    return graph


def compile(
    graph: Graph,
    sizes: Mapping[str, int],
    *,
    backend: str = "auto",
    device: torch.device,
    dtype: torch.dtype,
) -> Kernel:
    """Make a cell ready to run.

    Parameters
    ----------
    graph
        The cell's traced equations.
    sizes
        Symbol -> number of units, for every symbol of the graph.
    backend
        A backend's name, or ``"auto"`` for the first one that can.
    device, dtype
        Where and in what precision it will run.

    Raises
    ------
    BackendError
        The backend does not exist, or was asked for by name and cannot run this cell there.
    GraphError
        A size is missing.

    Warns
    -----
    CellwrightWarning
        With ``"auto"``, a better backend cannot; once, by name and reason.
    """
    if torch.compiler.is_compiling():
        # torch.compile must not look into the choice, and guards only what has a name.
        return getattr(_shelf, _shelve(graph, sizes, backend, device, dtype))  # type: ignore[no-any-return]
    return _compile(graph, tuple(sorted(sizes.items())), backend, device, dtype)


class _Shelf:
    """Kernels that programs made by torch.compile use, as attributes."""


_shelf = _Shelf()


@opaque
def _shelve(
    graph: Graph, sizes: Mapping[str, int], backend: str, device: torch.device, dtype: torch.dtype
) -> str:
    """Make a cell ready to run, and put it on the shelf under the name that is returned."""
    kernel = _compile(graph, tuple(sorted(sizes.items())), backend, device, dtype)
    name = f"kernel{id(kernel)}"
    setattr(_shelf, name, kernel)
    return name


# Layers of one shape share a kernel; the bound keeps a search over cells from piling them up.
@lru_cache(maxsize=256)
def _compile(
    graph: Graph,
    sizes: tuple[tuple[str, int], ...],
    backend: str,
    device: torch.device,
    dtype: torch.dtype,
) -> Kernel:
    bound = dict(sizes)
    check_sizes(graph, bound)
    lowered = lower(graph)
    best, *others = _able(lowered, backend, device, dtype)
    if settings().debug >= 1:
        shown = ", ".join(f"{name}={units}" for name, units in sizes)
        print(f"# {graph.name} ({shown}): {best.name}, {dtype} on {device}", file=sys.stderr)
    otherwise = None
    for other in reversed(others):
        otherwise = other.build(lowered, bound, otherwise)
    return best.build(lowered, bound, otherwise)


def choose(graph: Graph, backend: str, device: torch.device, dtype: torch.dtype) -> Backend:
    """The backend asked for, or the first one that says yes."""
    return _able(graph, backend, device, dtype)[0]


def _able(
    graph: Graph, backend: str, device: torch.device, dtype: torch.dtype
) -> tuple[Backend, ...]:
    """The backends that may run a cell, best first; a better one that cannot is announced."""
    check_backend(backend)
    name = settings().backend if backend == "auto" else backend
    check_backend(name)
    candidates = tuple(BACKENDS.values()) if name == "auto" else (BACKENDS[name],)
    answers = {candidate: candidate.answer(graph, device, dtype) for candidate in candidates}
    able = tuple(candidate for candidate, answer in answers.items() if answer.possible)
    if not able:
        reasons = "; ".join(f"{c.name}: {answer.reason}" for c, answer in answers.items())
        raise BackendError(f"no backend can run cell {graph.name!r}: {reasons}")
    for candidate, answer in answers.items():
        if candidate is able[0]:
            break
        if answer.meant:
            announce(
                f"cell {graph.name!r} runs on the {able[0].name} backend, which is slower; "
                f"{candidate.name}: {answer.reason}"
            )
    return able


def check_backend(name: object) -> None:
    """Raise `BackendError` unless `name` is a backend's, or "auto"."""
    known = ("auto", *BACKENDS)
    if name not in known:
        raise BackendError(
            f"there is no backend {name!r}; known: {', '.join(known)}."
            f"{did_you_mean(str(name), known)}"
        )
