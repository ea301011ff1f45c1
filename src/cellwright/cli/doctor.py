"""``cellwright doctor``: what there is on this machine, and what can run where."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

import cellwright as cw
from cellwright import toolchain
from cellwright.cells import get
from cellwright.errors import BackendError
from cellwright.settings import settings

if TYPE_CHECKING:
    from cellwright.backends import Answer, Backend
    from cellwright.ir import Graph

__all__ = ["doctor"]

_DTYPES = ("float32", "float64", "bfloat16")


def doctor(
    cell: Annotated[str, typer.Argument(help="The cell that the backends are asked about.")] = (
        "lstm"
    ),
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Delete the compiled kernels that are kept.")
    ] = False,
) -> None:
    """What is installed, the compiler, its cache, and which backend can run a cell."""
    chosen = get(cell)
    if clear_cache:
        number = toolchain.clear_cache()
        print(f"deleted {number} kernel{'' if number == 1 else 's'}\n")
    _print(_versions())
    print()
    _print(_compiler())
    print()
    _print(_answers(chosen.name, chosen.graph))


def _print(lines: Iterator[tuple[str, str]]) -> None:
    for name, text in lines:
        print(f"{name:<11} " + text.replace("\n", "\n" + 12 * " "))


def _versions() -> Iterator[tuple[str, str]]:
    import torch  # noqa: PLC0415 --help does not wait for it

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "cellwright", cw.__version__
    yield "python", platform.python_version()
    yield "torch", torch.__version__
    yield "platform", platform.platform()
    yield (
        "processors",
        f"{os.cpu_count()}, of which this process may use {allowed}; "
        f"torch computes with {torch.get_num_threads()}",
    )


def _compiler() -> Iterator[tuple[str, str]]:
    found = toolchain.describe()
    if found.compiler is None:
        yield "compiler", f"none: {found.problem}"
    else:
        yield "compiler", f"{found.compiler.kind}: {found.compiler.version}"
        yield "command", " ".join(found.compiler.line())
        yield "features", " ".join(found.compiler.features) or "none that are known by name"
    noun = "kernel" if found.libraries == 1 else "kernels"
    state = "can be written to"
    if found.unwritable:
        state = f"cannot be written to: {found.unwritable}"
    elif found.unloadable:
        state = f"cannot be loaded from: {found.unloadable}"
    yield (
        "cache",
        f"{found.folder}\n{found.libraries} {noun}, {found.size / 1e6:.1f} MB; {state}",
    )


def _answers(name: str, graph: Graph) -> Iterator[tuple[str, str]]:
    from cellwright.backends import BACKENDS  # noqa: PLC0415 it imports torch
    from cellwright.pipeline import check_backend, lower  # noqa: PLC0415 it imports torch

    yield "cell", name
    if (chosen := settings().backend) != "auto":
        try:
            check_backend(chosen)
        except BackendError as error:
            yield "backend", f"CELLWRIGHT_BACKEND={chosen}: {error}"
        else:
            yield "backend", f"CELLWRIGHT_BACKEND={chosen}: what backend='auto' means"
    lowered = lower(graph)
    for backend in BACKENDS.values():
        for dtype in _DTYPES:
            answer = _asked(backend, lowered, dtype)
            said = "yes" if answer.possible else f"no, because {answer.reason}"
            yield backend.name if dtype == _DTYPES[0] else "", f"{dtype:<9} cpu   {said}"


def _asked(backend: Backend, graph: Graph, dtype: str) -> Answer:
    import torch  # noqa: PLC0415 --help does not wait for it

    return backend.answer(graph, torch.device("cpu"), getattr(torch, dtype))
