"""Ctrl-C while compilers run: all of them end, with what they have started."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cellwright.toolchain import compiler, probe

LSTM = "import torch, cellwright as cw; cw.LSTM(2, 3)(torch.zeros(4, 1, 2))"
ADD = "from cellwright.toolchain import load; load('int x;', name='add')"


def lives(pid):
    # One that was killed, and whose parent is gone, may not have been buried yet.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(is_so, seconds=30):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def sleepers(script, tmp_path, monkeypatch):
    """A compiler that hangs in a program that it has started; gives the ids of those."""
    log = tmp_path / "log"
    log.touch()

    def use(condition):
        lines = f'case "$*" in {condition}) sleep 60 & echo $! >> {log}; wait; exit 1;; esac'
        monkeypatch.setenv("CXX", str(script("hangs", lines, 'exec "$REAL" "$@"')))

    def started():
        return [int(line) for line in log.read_text().split()]

    yield use, started
    for pid in filter(lives, started()):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
@pytest.mark.parametrize(
    ("code", "condition", "number"),
    # A cell, what runs it and what multiplies for it are compiled at once.
    [(LSTM, "*lstm*|*runner*|*tiles*", 3), (ADD, "*probe.cpp*", 1), (LSTM, "*probe.cpp*", 1)],
)
def test_one_interrupt_is_enough(cache, process, sleepers, code, condition, number):
    use, started = sleepers
    use(condition)
    if "probe" not in condition:
        compiler()
    child = process(code)
    wait_until(lambda: len(started()) == number)
    time.sleep(0.2)  # until it knows that they have been started
    child.send_signal(signal.SIGINT)
    try:
        errors = child.communicate(timeout=10)[1]
    except subprocess.TimeoutExpired:
        pytest.fail("it goes on")
    assert b"KeyboardInterrupt" in errors
    assert len(started()) == number
    wait_until(lambda: not any(map(lives, started())), 5)
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


def test_what_a_compiler_has_started_ends_with_it(cache, sleepers, monkeypatch):
    use, started = sleepers
    use("*-dM*")
    monkeypatch.setattr(probe, "_QUESTION_SECONDS", 1.0)
    with pytest.warns(UserWarning, match="longer than 1 s"):
        compiler()
    assert started()
    wait_until(lambda: not any(map(lives, started())), 5)
