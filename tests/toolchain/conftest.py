"""A cache folder and a process memory of their own, for tests that compile."""

import shlex
import stat
import sys

import pytest

from cellwright.toolchain import folder as folder_module
from cellwright.toolchain import library as library_module
from cellwright.toolchain import private, search


@pytest.fixture
def forget(monkeypatch, fresh_settings):
    """Makes this process as if it were a new one."""
    from cellwright.settings import settings

    def call():
        settings.cache_clear()
        search._found.clear()
        folder_module._announced.clear()
        private._folders.clear()
        folder_module._avoided.clear()
        library_module._failed.clear()

    call()
    yield call
    call()


@pytest.fixture
def cache(tmp_path, monkeypatch, forget):
    """An empty cache folder, which this process uses."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CELLWRIGHT_CACHE_DIR", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CELLWRIGHT_CXXFLAGS", raising=False)
    return folder


@pytest.fixture
def script(tmp_path):
    """Write a program of shell lines; ``$REAL`` stands for a real compiler, ``$C`` for one of C."""
    import shutil

    real = shutil.which("c++") or pytest.skip("there is no c++ to wrap")
    begin = f"REAL={shlex.quote(real)} C={shlex.quote(shutil.which('cc') or 'cc')}"

    def write(name, *lines):
        path = tmp_path / name
        path.write_text("\n".join(["#!/bin/sh", begin, *lines, ""]))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


@pytest.fixture
def counted(script, tmp_path):
    """A compiler that notes its command lines, and a function that reads them."""
    log = tmp_path / "log"
    log.touch()
    path = script("counted", f'echo "$@" >> {log}', 'exec "$REAL" "$@"')

    def compiled(name="add"):
        return [line for line in log.read_text().splitlines() if f"/{name}-" in line]

    def runs():
        return len(log.read_text().splitlines())

    compiled.runs = runs
    compiled.clear = lambda: log.write_text("")
    return path, compiled


@pytest.fixture
def process():
    """Start a Python process that runs some code, with this one's environment."""
    import subprocess

    started = []

    def start(code):
        run = [sys.executable, "-W", "error", "-c", code]
        started.append(subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()
