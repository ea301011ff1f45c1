"""Ctrl-C between steps, and not within one."""

from __future__ import annotations

import signal
import threading
from types import TracebackType
from typing import Any

from typing_extensions import Self

__all__ = ["Interrupts"]


class Interrupts:
    """Lets Ctrl-C wait while something is done that must not be left half done.

    It listens within its own block; that of `held_back` is cheap enough for every step.

    >>> with Interrupts() as interrupts:
    ...     with interrupts.held_back:
    ...         pass  # Ctrl-C waits until here
    """

    def __init__(self) -> None:
        self.held_back = _Held()
        self._before: Any = None

    def __enter__(self) -> Self:
        before = signal.getsignal(signal.SIGINT)
        # Only the main thread is interrupted, and only where somebody listens.
        if threading.current_thread() is threading.main_thread() and callable(before):
            self._before = self.held_back.then = before
            signal.signal(signal.SIGINT, self.held_back.caught)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


class _Held:
    """The block that is not interrupted."""

    def __init__(self) -> None:
        self.then: Any = None
        self._depth = 0
        self._waiting: list[tuple[Any, ...]] = []

    def caught(self, *given: Any) -> None:
        """What is called in place of the listener that was there before."""
        if self._depth:
            self._waiting.append(given)
        else:
            self.then(*given)

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._waiting and not self._depth:
            given = self._waiting.pop()
            self._waiting.clear()
            self.then(*given)
