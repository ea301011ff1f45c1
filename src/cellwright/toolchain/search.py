"""Finding a C++ compiler, and remembering what was found."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import platform
import shlex
import shutil
import warnings
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cellwright.errors import CellwrightWarning, ToolchainError
from cellwright.settings import settings
from cellwright.storage import replace_file
from cellwright.toolchain.folder import (
    cache_folder,
    in_a_folder,
    locked,
    remove_folder,
    work_folder,
)
from cellwright.toolchain.probe import TRIAL, Compiler, probe

__all__ = ["Compiler", "compiler"]

_PROGRAMS = ("c++", "g++", "clang++")

# What was found in this process; a failure is kept as its message. Plain assignments: two
# threads may both look it up, and find the same. A forked child goes on with it.
_found: dict[tuple[tuple[_Candidate, ...], str], Compiler | str] = {}


@dataclass(frozen=True)
class _Candidate:
    """Something that may be a compiler: its command, or why there is none."""

    label: str
    command: tuple[str, ...] = ()
    missing: str = ""


def compiler() -> Compiler:
    """The C++ compiler: ``$CXX``, c++, g++, clang++ or that of the ziglang package.

    The first one that works. It is tried once; later processes read what was found from the
    cache folder, until compiler or CPU are others.

    Raises
    ------
    ToolchainError
        None works; the message says what was tried, and why each failed.
    """
    candidates = _candidates()
    key = (candidates, settings().cxxflags)
    if key not in _found:
        _found[key] = _search(candidates)
    found = _found[key]
    if isinstance(found, str):
        raise ToolchainError(found)
    return found


def _candidates() -> tuple[_Candidate, ...]:
    """Everything that may be a compiler, in the order of preference."""
    found = []
    if asked := os.environ.get("CXX", "").strip():
        try:
            words = shlex.split(asked)
        except ValueError as error:
            found.append(_Candidate(f"CXX={asked!r}", missing=str(error)))
        else:
            found.append(_program(f"CXX={asked!r}", *words))
    found += [_program(name, name) for name in _PROGRAMS]
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        found.append(_Candidate("the ziglang package", missing="it is not installed"))
    else:
        # The program itself, which `python -m ziglang` only finds and starts.
        zig = Path(spec.origin).with_name("zig")
        found.append(_program("the ziglang package", str(zig), "c++"))
    return tuple(found)


def _program(label: str, name: str, *arguments: str) -> _Candidate:
    path = shutil.which(name)
    if path is None:
        parts = itertools.accumulate(arguments, "{} {}".format, initial=name)
        spaces = any(shutil.which(part) for part in parts)
        hint = "; quote a path with spaces" if spaces else ""
        return _Candidate(label, missing=f"there is no program {name!r}{hint}")
    # Not the file behind a symbolic link: some programs do what their name says.
    return _Candidate(label, (str(Path(path).absolute()), *arguments))


def _search(candidates: tuple[_Candidate, ...]) -> Compiler | str:
    """The first candidate that works, or a message that says why none does."""
    reasons: list[str] = []
    for candidate in candidates:
        found = _tried(candidate.command) if candidate.command else candidate.missing
        if isinstance(found, Compiler):
            if reasons and candidates[0].label.startswith("CXX="):
                warnings.warn(
                    f"{reasons[0]}; {shlex.join(found.command)} compiles instead",
                    CellwrightWarning,
                    stacklevel=3,
                )
            return found
        reasons.append(f"{candidate.label}: {found}")
    flags = settings().cxxflags
    listed = "".join(f"\n  {text}" for text in reasons)
    return (
        f"there is no working C++ compiler. Tried{f' with {flags}' if flags else ''}:{listed}\n"
        f"Install g++ or clang++ (Debian, Ubuntu: apt install g++), or without an "
        f"administrator: pip install 'cellwright[compiler]'"
    )


def _tried(command: tuple[str, ...]) -> Compiler | str:
    """What a compiler is, as remembered in the cache folder, or found out and remembered."""
    stem = f"compiler-{_identity(command)}"
    known = _remembered(cache_folder(), stem)
    return known or in_a_folder(lambda folder: _try(command, folder, stem))


def _try(command: tuple[str, ...], folder: Path, stem: str) -> Compiler | str:
    with locked(folder, stem):
        if known := _remembered(folder, stem):
            return known
        with work_folder(folder, stem) as work:
            found = probe(command, work)
        if isinstance(found, Compiler):
            remove_folder(folder / f"{stem}.json")
            replace_file(folder / f"{stem}.json", json.dumps(asdict(found), indent=1))
        return found


def _remembered(folder: Path, stem: str) -> Compiler | None:
    try:
        text = (folder / f"{stem}.json").read_bytes()
        return TypeAdapter(Compiler).validate_json(text)
    except (OSError, ValidationError):
        return None


def _identity(command: tuple[str, ...]) -> str:
    """A digest of all that decides what a probe finds: programs, flags, CPU, our own code."""
    programs = []
    for word in command:
        # Behind ccache or env, the compiler itself is an argument.
        path = None if word.startswith("-") else shutil.which(word)
        if path is not None:
            real = Path(path).resolve()
            facts = real.stat()
            programs.append((str(real), facts.st_mtime_ns, facts.st_size))
    ours = (TRIAL, settings().cxxflags)
    known = repr((command, programs, ours, _processor()))
    return hashlib.sha256(known.encode(errors="replace")).hexdigest()[:24]


@cache
def _processor() -> str:
    """What the system says that the CPU can do."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:  # it has many; those of the first core are enough
                if line.startswith(("flags", "Features")):
                    return line
    except OSError:
        pass
    return f"{platform.machine()} {platform.processor()}"
