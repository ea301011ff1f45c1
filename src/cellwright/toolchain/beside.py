"""Work in a thread beside the caller's, which ends when the caller is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from cellwright.toolchain.program import programs_of_the_caller

__all__ = ["beside"]

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


class _Start(Protocol):
    def __call__(
        self, work: Callable[_Given, _Made], *given: _Given.args, **named: _Given.kwargs
    ) -> Future[_Made]: ...


@contextmanager
def beside() -> Iterator[_Start]:
    """Within it, what is given to the function that it yields is done in another thread.

    Its end waits for that thread. When an interrupt comes, the programs that either has started
    are ended first, and nothing more is started: else that thread would go on to wait for a
    compiler that hangs, and the caller for the thread.
    """
    with programs_of_the_caller() as programs:
        pool = ThreadPoolExecutor(1)

        def start(
            work: Callable[_Given, _Made], *given: _Given.args, **named: _Given.kwargs
        ) -> Future[_Made]:
            return pool.submit(copy_context().run, partial(work, *given, **named))

        try:
            try:
                yield start
            except Exception:
                pool.shutdown()  # what it compiles is of use to the next caller
                raise
            pool.shutdown()
        except Exception:
            raise
        except BaseException:
            programs.stop()
            pool.shutdown()
            raise
