"""``cellwright doctor`` as a user types it."""

import os
import subprocess
import sys
from unittest import mock

import pytest

import cellwright as cw
from cellwright import toolchain
from cellwright.backends import BACKENDS, Answer
from cellwright.cli import main
from cellwright.toolchain import search


@pytest.fixture
def doctor(capsys, tmp_path, monkeypatch, fresh_settings):
    """Run it with a cache folder of its own; gives exit code, output and errors."""
    monkeypatch.setenv("CELLWRIGHT_CACHE_DIR", str(tmp_path / "cache"))

    def call(*words):
        with mock.patch.object(sys, "argv", ["cellwright", "doctor", *words]):
            code = 0
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return code, *capsys.readouterr()

    search._found.clear()
    yield call
    search._found.clear()


def test_it_tells_what_there_is(doctor, tmp_path):
    import torch

    code, output, errors = doctor()
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0] == f"cellwright  {cw.__version__}"
    assert f"torch       {torch.__version__}" in lines
    found = toolchain.compiler()
    assert f"compiler    {found.kind}: {found.version}" in lines
    assert f"features    {' '.join(found.features)}" in lines
    assert f"cache       {tmp_path / 'cache'}" in lines
    assert any("0 kernels" in line and "can be written to" in line for line in lines)
    assert "cell        lstm" in lines
    for dtype in ("float32", "float64", "bfloat16"):
        assert any(dtype in line and "yes" in line for line in lines)
    assert all(name in output for name in BACKENDS)
    assert "\x1b" not in output


def test_it_asks_every_backend_about_the_cell(doctor, monkeypatch):
    import torch

    asked = []

    class Picky:
        name = "picky"

        def answer(self, graph, device, dtype, *rest, **named):
            asked.append((graph.name, str(device), dtype))
            return Answer(dtype is torch.float32, "it counts in quarters\nand halves")

    monkeypatch.setitem(BACKENDS, "picky", Picky())
    code, output, _ = doctor("gru")
    assert code == 0
    dtypes = (torch.float32, torch.float64, torch.bfloat16)
    assert asked == [("gru", "cpu", dtype) for dtype in dtypes]
    wanted = (
        "            float64   cpu   no, because it counts in quarters\n            and halves\n"
    )
    assert "picky       float32   cpu   yes\n" + wanted in output


def test_without_a_compiler_it_reports_and_succeeds(doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    real = search.importlib.util.find_spec
    monkeypatch.setattr(
        search.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ziglang" else real(name, *rest),
    )
    code, output, errors = doctor()
    assert (code, errors) == (0, "")
    assert "compiler    none: there is no working C++ compiler. Tried:\n" in output
    assert "\n              g++: there is no program 'g++'\n" in output
    assert "pip install 'cellwright[compiler]'" in output


@pytest.mark.filterwarnings("default")
def test_a_cache_that_cannot_be_written_to_is_reported(doctor, monkeypatch, tmp_path):
    (tmp_path / "cache").touch()
    code, output, errors = doctor()
    assert code == 0
    # A warning of ours, without the place in our files where it stands.
    assert errors.startswith("cellwright: ")
    assert ".py:" not in errors
    assert "0 kernels, 0.0 MB; cannot be written to: " in output


def test_the_cache_is_cleared(doctor, tmp_path):
    toolchain.compile_library("int x;", name="one")
    toolchain.compile_library("int y;", name="two")
    assert "2 kernels" in doctor()[1]
    code, output, errors = doctor("--clear-cache")
    assert (code, errors) == (0, "")
    assert output.startswith("deleted 2 kernels\n\ncellwright")
    assert not list((tmp_path / "cache").glob("*.so"))


def test_an_unknown_cell_is_the_usual_error(doctor):
    code, output, errors = doctor("lstn")
    assert (code, output) == (1, "")
    assert errors.startswith("cellwright: there is no cell 'lstn'. Did you mean 'lstm'?")


def test_the_backend_that_is_asked_for_is_told(doctor, monkeypatch):
    assert "CELLWRIGHT_BACKEND" not in doctor()[1]
    monkeypatch.setenv("CELLWRIGHT_BACKEND", "reference")
    cw.settings.settings.cache_clear()
    assert "\nbackend     CELLWRIGHT_BACKEND=reference: " in doctor()[1]
    monkeypatch.setenv("CELLWRIGHT_BACKEND", "referense")
    cw.settings.settings.cache_clear()
    code, output, _ = doctor()
    assert code == 0
    assert "backend     CELLWRIGHT_BACKEND=referense: there is no backend 'referense'" in output
    assert "Did you mean 'reference'?" in output


def test_a_terminal_that_knows_few_characters_is_enough(tmp_path):
    environment = os.environ | {
        "PYTHONIOENCODING": "ascii",
        "CELLWRIGHT_CACHE_DIR": str(tmp_path / "größe"),
    }
    code = (
        "import sys; sys.argv = ['cellwright', 'doctor']; from cellwright.cli import main; main()"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{tmp_path}/gr\\xf6\\xdfe" in done.stdout
