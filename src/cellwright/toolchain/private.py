"""The folder of one process, for compiled code that cannot be kept."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import suppress

# Unlike atexit, it also runs at the end of multiprocessing's children, and only in the
# process that asked for it.
from multiprocessing.util import Finalize
from pathlib import Path

try:
    # Not filelock: a forked child that ends would release its parent's lock with its own copy.
    import fcntl
except ImportError:  # another system: what is left there stays
    fcntl = None  # type: ignore[assignment]

__all__ = ["private_folder"]

_PREFIX = "cellwright-"
_MARK = "in-use"  # the file that is locked for as long as the process lives

_folders: list[Path] = []


def private_folder() -> Path:
    """A folder of this process, removed when it ends; a forked child uses its parent's.

    One that was killed could not remove its own: the next one that makes a folder does.

    Raises
    ------
    OSError
        It cannot be made.
    """
    if not _folders or not _folders[-1].is_dir():
        _remove_left(Path(tempfile.gettempdir()))
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=0)
        _mark(folder)
        _folders.append(folder)
    return _folders[-1]


def _mark(folder: Path) -> None:
    """Hold a lock in a folder until this process, and all that it has forked, have ended."""
    if fcntl is None:
        return
    new = folder / f"new-{_MARK}"
    file = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    # Whoever sees its name finds it locked.
    new.rename(folder / _MARK)


def _remove_left(place: Path) -> None:
    """Remove this user's folders whose processes have ended."""
    if fcntl is None:
        return
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                continue
            mark = os.open(folder / _MARK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(mark)
