"""What there is: the compiler, and what the cache folder holds."""

from __future__ import annotations

import re
import stat
import tempfile
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from cellwright.errors import ToolchainError
from cellwright.toolchain.folder import cache_folder, check_loadable, locked, reason, remove
from cellwright.toolchain.search import Compiler, compiler

__all__ = ["Survey", "clear_cache", "describe"]

# Only what this room has written: a user may keep other things in that folder too.
_OURS = re.compile(r"\.?(?P<stem>[^.].*?-[0-9a-f]{24})[.-][\w.]+")


@dataclass(frozen=True)
class Survey:
    """What the toolchain finds on this machine.

    Attributes
    ----------
    compiler
        The compiler, if there is one.
    problem
        Why there is none.
    folder
        The cache folder.
    libraries
        How many libraries it holds.
    size
        Bytes of all its files.
    unwritable
        Why it cannot be written to, if that is so.
    unloadable
        Why compiled code cannot be loaded from it, if that is so.
    """

    compiler: Compiler | None
    problem: str
    folder: Path
    libraries: int
    size: int
    unwritable: str
    unloadable: str


def describe() -> Survey:
    """Look at the compiler and the cache folder."""
    found, problem = None, ""
    try:
        found = compiler()
    except ToolchainError as error:
        problem = str(error)
    sizes = _sizes()
    unwritable = _why_unwritable(cache_folder())
    return Survey(
        compiler=found,
        problem=problem,
        folder=cache_folder(),
        libraries=sum(path.suffix == ".so" for path in sizes),
        size=sum(sizes.values()),
        unwritable=unwritable,
        unloadable="" if unwritable else _why_unloadable(cache_folder()),
    )


def clear_cache() -> int:
    """Delete what the cache folder holds; returns the number of libraries.

    Processes that have loaded them go on with them. What another process is compiling stays.

    Raises
    ------
    OSError
        Something cannot be deleted.
    """
    libraries = 0
    for stem, paths in _entries().items():
        try:
            with locked(cache_folder(), stem, timeout=0):
                for path in paths:
                    libraries += path.suffix == ".so"
                    remove(path)
        except Timeout:
            continue
    return libraries


def _entries() -> dict[str, list[Path]]:
    """The files of each entry; none if there is no folder, or it cannot be read."""
    found = defaultdict(list)
    try:
        for path in cache_folder().iterdir():
            if ours := _OURS.fullmatch(path.name):
                found[ours["stem"]].append(path)
    except OSError:
        return {}
    return found


def _sizes() -> dict[Path, int]:
    """Bytes of each file that is ours; another process may be deleting them."""
    found = {}
    for path in (path for paths in _entries().values() for path in paths):
        with suppress(OSError):
            facts = path.stat()
            if stat.S_ISREG(facts.st_mode):
                found[path] = facts.st_size
    return found


def _why_unwritable(folder: Path) -> str:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))
    except OSError as error:
        return reason(error)
    return ""


def _why_unloadable(folder: Path) -> str:
    try:
        check_loadable(folder)
    except OSError as error:
        return reason(error)
    return ""
