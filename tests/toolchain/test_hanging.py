"""Compilers that never come back: they are ended, and it is said."""

import pytest

from cellwright.errors import CellwrightWarning, ToolchainError
from cellwright.toolchain import compiler, load, probe, program
from cellwright.toolchain import library as library_module

SOURCE = 'extern "C" __attribute__((visibility("default"))) int add(int a) { return a + 1; }\n'
HANGS = "exec sleep 100"
WORKS = 'exec "$REAL" "$@"'


def hanging_at(words):
    """A compiler that hangs where these words are in its command."""
    return f'case "$*" in *{words}*) {HANGS};; esac', WORKS


@pytest.fixture
def hurry(cache, monkeypatch):
    """Limits of a fraction of a second; compilers that work are tried before."""

    def call():
        monkeypatch.setattr(library_module, "_COMPILE_SECONDS", 0.5, raising=False)
        monkeypatch.setattr(program, "_PATIENCE", 0.2, raising=False)

    return call


def test_one_that_hangs_while_it_compiles_is_a_failing_one(script, hurry, monkeypatch, capsys):
    monkeypatch.setenv("CXX", str(script("hangs", *hanging_at("/add-"))))
    compiler()
    hurry()
    with pytest.raises(ToolchainError, match=r"hangs (.|\n)*took longer than 0.5 s"):
        load(SOURCE, name="add")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cellwright: compiling add-")
    assert line.endswith("has taken 0.2 s so far, and may take 0.5 s")


@pytest.fixture
def short(monkeypatch):
    """Trials of 2 s for the program `hangs`, and the usual limits for others."""
    run = probe.run

    def call(command, work, limit=None, *rest):
        return run(command, work, 2.0 if command[0].endswith("hangs") else limit, *rest)

    monkeypatch.setattr(probe, "run", call)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("probe.cpp", "hangs'?: it took longer than 2 s"),
        ("-dM", "does not list its macros: it took longer than 2 s"),
        ("--version", "does not tell its version: it took longer than 2 s"),
    ],
)
def test_one_that_hangs_in_its_trial_is_passed_over(cache, script, short, monkeypatch, words, why):
    monkeypatch.setenv("CXX", str(script("hangs", *hanging_at(words))))
    with pytest.warns(CellwrightWarning, match=why):
        found = compiler()
    assert "hangs" not in found.command[0]
    assert load(SOURCE, name="add").add(1) == 2


def test_one_that_hangs_in_its_trial_is_tried_once(cache, script, short, monkeypatch, tmp_path):
    log = tmp_path / "log"
    monkeypatch.setenv("CXX", str(script("hangs", f"echo >> {log}", HANGS)))
    with pytest.warns(CellwrightWarning, match="hangs"):
        compiler()
    assert log.read_text() == "\n"


@pytest.mark.parametrize("question", ["-dM", "--version"])
def test_no_question_waits_for_ever(cache, monkeypatch, question):
    limits = {}
    run = probe.run

    def watched(command, work, limit=None, *rest):
        limits[question in command] = limit
        return run(command, work, limit, *rest)

    monkeypatch.setattr(probe, "run", watched)
    compiler()
    assert limits[True] == 30.0
