"""The folder that compiled code is kept in, shared by all processes of a user."""

from __future__ import annotations

import errno
import mmap
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import BaseFileLock, FileLock, Timeout

from cellwright.errors import CellwrightWarning, SettingError, ToolchainError
from cellwright.settings import settings
from cellwright.toolchain.private import private_folder
from cellwright.toolchain.program import check_interrupt, tell

__all__ = [
    "avoid_if_forbidden",
    "cache_folder",
    "check_loadable",
    "in_a_folder",
    "is_avoided",
    "locked",
    "reason",
    "remove",
    "remove_folder",
    "work_folder",
]

# Longer than any compilation may take.
_LOCK_SECONDS = 660.0
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 0.5
_PATIENCE = 20.0  # seconds after which a user wants to know what is waited for

_Made = TypeVar("_Made")
_announced: set[str] = set()
_avoided: set[Path] = set()  # folders that hold a library, but let nobody load it


def cache_folder() -> Path:
    """Where compiled code is kept, as an absolute path; a private one for who has no home.

    Raises
    ------
    ToolchainError
        There is no home, and no private folder can be made.
    """
    given = settings()
    try:
        return given.cache_folder
    except SettingError as error:
        why = str(error)
    _warn_once(f"compiled code cannot be kept, and will be compiled again by every process: {why}")
    try:
        return private_folder()
    except OSError as error:
        raise ToolchainError(
            f"there is nowhere to put compiled code: {why}. A temporary folder: {reason(error)}"
        ) from error


def in_a_folder(action: Callable[[Path], _Made]) -> _Made:
    """Do something that writes: in the cache folder, or in a private one if that fails.

    Raises
    ------
    ToolchainError
        Neither folder can be written to.
    """
    folder = cache_folder()
    try:
        if folder in _avoided:
            raise _forbidden()
        return action(folder)
    except Timeout as error:
        why = f"something else has held the lock {error.lock_file} all the time"
        _warn_once(
            f"code is compiled for this process alone, because {why}; if that is a process which "
            f"hangs or is stopped, end it or let it go on"
        )
    except OSError as error:
        # Without the file's name, so that it is said once and not of every library.
        why = error.strerror or reason(error)
        _warn_once(
            f"compiled code cannot be kept in {folder} ({why}), and will be compiled again by "
            f"every process; set CELLWRIGHT_CACHE_DIR to another folder"
        )
    try:
        return action(private_folder())
    except OSError as error:
        raise ToolchainError(
            f"there is nowhere to put compiled code. {folder}: {why}. A temporary folder: "
            f"{reason(error)}. Set CELLWRIGHT_CACHE_DIR to another folder"
        ) from error


def check_loadable(folder: Path) -> None:
    """Raise `OSError` if the system loads no code from a folder, which can be written to."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(mmap.PAGESIZE))
        file.flush()
        if not _maps_as_code(file.fileno()):
            raise _forbidden()


def avoid_if_forbidden(library: Path) -> bool:
    """Whether it is its folder's fault that a library cannot be loaded; then that is avoided."""
    with suppress(OSError), library.open("rb") as file:
        if not _maps_as_code(file.fileno()):
            _avoided.add(library.parent)
            return True
    return False


def is_avoided(folder: Path) -> bool:
    """Whether a library in a folder could not be loaded because the system forbids it."""
    return folder in _avoided


def _maps_as_code(file: int) -> bool:
    """Do what a loader does first, and what nothing but a mount or a policy forbids."""
    if sys.platform != "linux":  # others ask for a signature
        return True
    try:
        mmap.mmap(file, mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
    except PermissionError:
        return False
    except (OSError, ValueError):
        pass  # it is empty, or shorter than a page
    return True


def _forbidden() -> OSError:
    words = "code cannot be loaded from there; is it mounted noexec?"
    return PermissionError(errno.EPERM, words)


@contextmanager
def locked(folder: Path, stem: str, timeout: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of one entry, which all processes and threads heed.

    The system releases it when its holder dies. The lock's file stays, because a waiter may
    have it open: if it went, two processes could each hold a lock of that name.
    """
    locks = folder / "locks"
    # Nobody else should be able to put code there that this user then runs.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    locks.mkdir(exist_ok=True)
    remove_folder(locks / f"{stem}.lock")
    lock = FileLock(locks / f"{stem}.lock")
    _acquire(lock, timeout)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, timeout: float) -> None:
    """Wait for a lock, and look now and then whether the caller has been interrupted."""
    start = time.monotonic()
    told = False
    while True:
        check_interrupt()
        waited = time.monotonic() - start
        if waited >= _PATIENCE and not told:
            tell(
                f"waiting for another process or thread that compiles {Path(lock.lock_file).stem}, "
                f"for {timeout:g} s at most"
            )
            told = True
        left = min(timeout - waited, _LOOK_SECONDS)
        try:
            lock.acquire(timeout=max(0.0, left), poll_interval=_POLL_SECONDS)
            return
        except Timeout:
            if time.monotonic() - start >= timeout:
                raise


@contextmanager
def work_folder(folder: Path, stem: str) -> Iterator[Path]:
    """A folder for unfinished files, on the file system of the finished ones.

    The caller holds the lock of `stem`; so what is already there was left by a process that
    was killed.
    """
    for left in folder.glob(f".{stem}[-.]*"):
        remove(left)
    work = Path(tempfile.mkdtemp(prefix=f".{stem}-", dir=folder))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, unless it is gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Make room for a file where a folder has its name."""
    if path.is_dir():
        remove(path)


def reason(error: OSError) -> str:
    """What the system says, with the path if it names one."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}"


def _warn_once(message: str) -> None:
    if message not in _announced:
        _announced.add(message)
        warnings.warn(message, CellwrightWarning, stacklevel=2)
