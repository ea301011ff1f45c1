"""Trying a compiler: whether its libraries can be loaded here, and for which CPU they are."""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cellwright.settings import settings
from cellwright.toolchain.features import FEATURES, features_of
from cellwright.toolchain.program import first_lines, out_of_space, run

__all__ = ["BASE_FLAGS", "TRIAL", "Compiler", "probe"]

_OURSELVES = Path("/proc/self/exe")

# Numbers keep their meaning: of what -ffast-math stands for, only what changes no result
# (errno, floating-point traps) and the fusing of products and sums.
BASE_FLAGS = (
    "-std=c++17",
    "-O3",
    "-shared",
    "-fPIC",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fno-exceptions",
    "-fno-rtti",
    "-fvisibility=hidden",
    "-pthread",
)
# zig links its own standard library into each library, with 2 MB of symbols for debuggers.
_ZIG_FLAGS = ("-s",)
# zig's first compilation ever builds that library, which takes a minute.
_PROBE_SECONDS = 300.0
_QUESTION_SECONDS = 30.0  # for what it answers without compiling
# It needs of the standard library what kernels need; a driver for C links none.
_SOURCE = """\
#include <cmath>
#include <cstdint>
#include <new>
#include <thread>
#include <vector>
extern "C" __attribute__((visibility("default"))) double cellwright_probe(double x) {
    double* found = new (std::nothrow) double(x);
    if (!found) return 0;
    std::vector<double> values(8, x);
    std::thread([&] { *found = std::exp(values.back()); }).join();
    const double result = *found;
    delete found;
    return result;
}
"""
# What is missing shows when a library is linked, and not only when it is loaded.
_COMPLETE = ("-Wl,-z,defs",)
# What decides, besides a compiler and its flags, what a trial finds.
TRIAL = (BASE_FLAGS, FEATURES, _SOURCE, _COMPLETE)
_SHARED = 3  # ELF's number for a library, where a program has 2 and an object file 1


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler that works, and what it compiles for.

    Attributes
    ----------
    command
        The program, with the arguments that belong to it.
    kind
        Whose compiler it is.
    version
        The first line of what it says about itself.
    features
        CPU features that compiled code will use, such as ``avx512f``, ``fma``, ``neon``.
    native
        The flags that ask for this machine's CPU.
    target
        A digest of everything that it predefines under its flags.
    """

    command: tuple[str, ...]
    kind: Literal["gcc", "clang", "zig"]
    version: str
    features: tuple[str, ...]
    native: tuple[str, ...]
    target: str

    def line(self, flags: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The command line without its files; the user's flags come last and win."""
        extra = _ZIG_FLAGS if self.kind == "zig" else ()
        user = tuple(shlex.split(settings().cxxflags))
        return (*self.command, *BASE_FLAGS, *extra, *self.native, *flags, *user)


def probe(command: tuple[str, ...], work: Path) -> Compiler | str:
    """Try a compiler; if it does not work, the answer is the reason.

    Raises
    ------
    OSError
        There is no room for its files.
    """
    source, library = work / "probe.cpp", work / "probe.so"
    source.write_text(_SOURCE)
    kind: Literal["gcc", "clang", "zig"] = "zig" if _is_zig(command) else "gcc"
    what = f"trying {shlex.join(command)}"
    why = ""
    for native in _native_flags():
        tried = Compiler(command, kind, "", (), native, "")
        line = (*tried.line(), *_completeness(), str(source), "-o", str(library))
        done = run(line, work, _PROBE_SECONDS, what)
        if full := out_of_space(done.errors) if done.code else None:
            raise full
        why = first_lines(done.errors, 3) or f"it ended with code {done.code}"
        if done.code == 0:
            break
        if done.late:
            return why
    else:
        return why
    if not library.is_file():
        return "it writes no file"
    if not _is_for_this_machine(library):
        return "it compiles for another machine"
    if not _is_shared(library):
        return "what it writes is no shared library"
    return _described(tried, work)


def _described(tried: Compiler, work: Path) -> Compiler | str:
    """What a compiler that works says about itself and this CPU, or why it does not."""
    empty = work / "empty.cpp"
    empty.write_text("")
    done = run((*tried.line(), "-dM", "-E", str(empty)), work, _QUESTION_SECONDS, "")
    if done.code:
        return f"it does not list its macros: {first_lines(done.errors, 3)}"
    macros = done.output
    is_clang = tried.kind == "gcc" and "__clang__" in macros
    version = run(_asking_for_version(tried.command), work, _QUESTION_SECONDS, "")
    if version.late:
        return f"it does not tell its version: {version.errors}"
    return Compiler(
        command=tried.command,
        kind="clang" if is_clang else tried.kind,
        version=("zig " if tried.kind == "zig" else "") + version.output.strip().partition("\n")[0],
        features=features_of(macros),
        native=tried.native,
        target=hashlib.sha256("\n".join(sorted(macros.splitlines())).encode()).hexdigest(),
    )


def _native_flags() -> tuple[tuple[str, ...], ...]:
    """Ways to ask for the CPU of this machine, the right spelling first."""
    if platform.machine().lower() in ("x86_64", "amd64", "i686", "i386"):
        return (("-march=native",), ())
    return (("-mcpu=native",), ("-march=native",), ())


def _is_zig(command: tuple[str, ...]) -> bool:
    return any(Path(word).stem in ("zig", "ziglang") for word in command)


def _asking_for_version(command: tuple[str, ...]) -> tuple[str, ...]:
    """The question for its version; zig's own, not that of the clang inside."""
    if not _is_zig(command):
        return (*command, "--version")
    program = command[: command.index("c++")] if "c++" in command else command
    return (*program, "version")


def _completeness() -> tuple[str, ...]:
    """Flags that let a library fail to be linked that lacks something, where linkers know them."""
    # clang leaves it to the program to bring what a sanitizer needs.
    sanitizes = "-fsanitize" in settings().cxxflags
    return _COMPLETE if _is_elf(_header(_OURSELVES)) and not sanitizes else ()


def _is_for_this_machine(library: Path) -> bool:
    """Compare the words of two ELF headers that say for which machine they are.

    Loading it instead could end this process: a library with a sanitizer does.
    """
    ours, theirs = _header(_OURSELVES), _header(library)
    if not _is_elf(ours):
        return True  # another system
    return (theirs[:6], theirs[18:20]) == (ours[:6], ours[18:20])


def _is_shared(library: Path) -> bool:
    """Whether an ELF header says that it is a library; other systems' headers say nothing here."""
    header = _header(library)
    return not _is_elf(header) or int.from_bytes(header[16:18], sys.byteorder) == _SHARED


def _is_elf(header: bytes) -> bool:
    return header.startswith(b"\x7fELF")


def _header(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(20)
    except OSError:
        return b""
