"""Kernels built otherwise: for older processors, and under the compiler's sanitizers.

Each build runs a selection of the conformance tests in a process of its own, because what a
sanitizer finds ends it.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        platform.system() != "Linux" or shutil.which("g++") is None, reason="needs g++ on Linux"
    ),
]
COMPILED, LASTING = (f"tests/conformance/test_{name}.py" for name in ("compiled", "lasting"))


# Chunks of seven steps, of all cells whose products last.
SOME_LASTING = "(lasting and 7-)"


def run(tests, flags, tmp_path, **environment):
    """Run tests with kernels compiled with these flags, kept nowhere."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ
        | {"CXX": "g++", "CELLWRIGHT_CXXFLAGS": flags, "CELLWRIGHT_CACHE_DIR": str(tmp_path)}
        | environment,
        capture_output=True,
        text=True,
    )
    said = done.stdout[-6_000:] + done.stderr[-6_000:]
    assert done.returncode == 0, said
    assert " passed" in done.stdout
    assert any(tmp_path.glob("*.so")), "nothing was compiled"
    return said


def runtime(name):
    """The library that must be there before any other."""
    found = subprocess.run(
        ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(found).is_absolute():
        pytest.skip(f"g++ has no {name}")
    return found


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86-64")
@pytest.mark.parametrize("flags", ["-march=x86-64-v3", "-march=x86-64", "-mavx -mno-fma"])
def test_other_processors(flags, tmp_path):
    if flags == "-mavx -mno-fma":
        flags = "-march=x86-64 -mavx"
    names = "(lstm or gru or normed or everything) and not record and not padding"
    tests = [COMPILED, LASTING, "tests/backends/test_vectors.py"]
    run([*tests, "-k", f"{names} or vectors or {SOME_LASTING}"], flags, tmp_path)


# Dense and ragged, rows shared and units shared, one thread and several, gradients and all.
CELLS = "gru or tied or normed or jordan or delayed"
WATCHED = [COMPILED, LASTING, "-k", f"spread and ({CELLS}) or padding or {SOME_LASTING}"]


def test_addresses(tmp_path):
    run(
        WATCHED,
        "-O1 -g -fsanitize=address -fno-omit-frame-pointer",
        tmp_path,
        LD_PRELOAD=runtime("libasan.so"),
        ASAN_OPTIONS="detect_leaks=0:abort_on_error=1",
    )


def test_undefined_behaviour(tmp_path):
    run(
        WATCHED,
        "-O1 -g -fsanitize=undefined -fno-sanitize-recover=all",
        tmp_path,
        UBSAN_OPTIONS="print_stacktrace=1",
    )


def test_races(tmp_path):
    # Torch's OpenMP is not instrumented: how its threads wait for each other is not seen. The
    # kernels' own pool is, and it shares the work in the same way.
    run(
        WATCHED,
        "-O1 -g -fsanitize=thread",
        tmp_path,
        LD_PRELOAD=runtime("libtsan.so"),
        TSAN_OPTIONS="halt_on_error=1:exitcode=66:report_signal_unsafe=0:ignore_noninstrumented_modules=1",
        CELLWRIGHT_TEST_OWN_THREADS="1",
    )
