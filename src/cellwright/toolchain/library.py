"""From a source to a library that is loaded, compiled only if nobody has done it before."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cellwright.errors import ToolchainError
from cellwright.settings import settings
from cellwright.storage import replace_file
from cellwright.toolchain.folder import (
    avoid_if_forbidden,
    cache_folder,
    check_loadable,
    in_a_folder,
    is_avoided,
    locked,
    remove_folder,
    work_folder,
)
from cellwright.toolchain.probe import Compiler
from cellwright.toolchain.program import first_lines, out_of_space, run
from cellwright.toolchain.search import compiler

__all__ = ["compile_library", "load", "open_library"]

_LINES = 30  # of what a compiler says
_NAME_LENGTH = 60
# Far longer than any kernel takes: a compiler that is not done by then never will be.
_COMPILE_SECONDS = 600.0

# What could not be made in this process -> what is said of it; else every layer would try again.
_failed: dict[str, str] = {}


def load(
    source: str, *, name: str, flags: tuple[str, ...] = (), functions: tuple[str, ...] = ()
) -> ctypes.CDLL:
    """Compile a C++ source, unless that has been done before, and load the library.

    Parameters
    ----------
    source
        All of it: it includes nothing but the standard library.
    name
        What the files in the cache folder begin with.
    flags
        Further flags for the compiler.
    functions
        Names that the library must have.

    Raises
    ------
    ToolchainError
        There is no compiler, it failed, the library cannot be loaded, or lacks a function.
    """
    path = compile_library(source, name=name, flags=flags)
    try:
        return open_library(path, functions)
    except ToolchainError:
        # It is deleted by now, or its folder avoided; a new one may be sound, and if not its error
        # is the one to see.
        path = compile_library(source, name=name, flags=flags)
    try:
        return open_library(path, functions)
    except ToolchainError as error:
        _failed[path.stem] = str(error)
        raise


def compile_library(source: str, *, name: str, flags: tuple[str, ...] = ()) -> Path:
    """Compile a C++ source, unless that has been done before; returns the library's path.

    Any number of processes and threads may ask for the same library at once: one compiles.
    The source is kept beside it. What has failed once in this process is not tried again.

    Parameters
    ----------
    source, name, flags
        See `load`.

    Raises
    ------
    ToolchainError
        There is no compiler, or it failed.
    """
    found = compiler()
    command = found.line(flags)
    readable = re.sub(r"[^\w-]", "_", name)[:_NAME_LENGTH]
    stem = f"{readable}-{_key(source, command, found)}"
    _check_failed(stem)
    kept = _library(cache_folder(), stem)
    if not is_avoided(kept.parent) and _is_whole(kept):
        return kept
    return in_a_folder(lambda folder: _compile(folder, stem, source, command))


def open_library(path: Path, functions: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Load a library; one that cannot be loaded, or is another, is deleted, to be compiled again.

    Unless the system loads nothing from its folder: then that is avoided from now on.

    Raises
    ------
    ToolchainError
        It cannot be loaded, or lacks one of these functions.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        if not avoid_if_forbidden(path):
            _delete(path)
        raise ToolchainError(f"a compiled library cannot be loaded: {error}") from error
    for name in functions:
        if not hasattr(library, name):
            _delete(path)
            raise ToolchainError(f"a compiled library has no function {name!r}: {path}")
    return library


def _delete(path: Path) -> None:
    for file in (path, _checksum(path)):
        with suppress(OSError):
            file.unlink()


def _check_failed(stem: str) -> None:
    if stem in _failed:
        raise ToolchainError(_failed[stem])


def _key(source: str, command: tuple[str, ...], found: Compiler) -> str:
    """A digest of all that decides what the compiler makes."""
    text = repr((source, command, found.version, found.target))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:24]


def _library(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.so"


def _checksum(library: Path) -> Path:
    return library.with_name(f"{library.name}.sha256")


def _is_whole(library: Path) -> bool:
    """Whether a library is what the compiler wrote; loading half of one can end the process."""
    try:
        wanted = _checksum(library).read_bytes()
        return _digest(library.stem, library.read_bytes()).encode() == wanted
    except OSError:
        return False


def _digest(stem: str, content: bytes) -> str:
    """A checksum of a library and of what it is: another one, whole as it may be, is not it."""
    return hashlib.sha256(stem.encode() + b"\0" + content).hexdigest()


def _compile(folder: Path, stem: str, source: str, command: tuple[str, ...]) -> Path:
    path, written = _library(folder, stem), folder / f"{stem}.cpp"
    with locked(folder, stem):
        _check_failed(stem)  # another thread had the lock
        check_loadable(folder)
        if _is_whole(path):  # another process had the lock
            return path
        for file in (path, _checksum(path), written):
            remove_folder(file)
        replace_file(written, source)
        with work_folder(folder, stem) as work:
            made, start = work / path.name, time.perf_counter()
            whole_command = (*command, str(written), "-o", str(made))
            done = run(whole_command, work, _COMPILE_SECONDS, f"compiling {stem}")
            if done.code or not made.is_file():
                if full := out_of_space(done.errors):
                    raise full
                # The unfinished file has another name each time, which tells the user nothing.
                shown = [word.replace(str(made), str(path)) for word in whole_command]
                errors = done.errors.replace(str(work), str(folder))
                errors += (
                    "" if done.code else "\nIt ended as if it had done its work, and wrote no file"
                )
                _failed[stem] = _failure(shown, errors, written)
                raise ToolchainError(_failed[stem])
            if settings().debug >= 3:
                seconds = time.perf_counter() - start
                print(f"# {shlex.join(whole_command)}\n# took {seconds:.2f} s", file=sys.stderr)
            _move(made, path)
    return path


def _move(made: Path, path: Path) -> None:
    """Put a finished library where it belongs, its checksum first: alone it stands for nothing."""
    with made.open("rb+") as file:
        digest = _digest(path.stem, file.read())
        os.fsync(file.fileno())
    replace_file(_checksum(path), digest)
    made.replace(path)


def _failure(command: Sequence[str], errors: str, source: Path) -> str:
    return (
        f"the C++ compiler failed.\n$ {shlex.join(command)}\n{first_lines(errors, _LINES)}\n"
        f"The source is kept in {source}"
    )
