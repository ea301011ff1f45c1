"""The rooms of the house: who may import whom, and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cellwright
from cellwright.ir import OPS

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "cellwright").rglob("*.py"))


def python(code):
    run = [sys.executable, "-c", code]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


def test_data_flows_one_way():
    # The layers stand in pyproject.toml.
    run = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    found = subprocess.run([*run, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert "1 kept" in found.stdout


def test_every_room_has_its_place_in_the_layers():
    text = (ROOT / "pyproject.toml").read_text()
    rooms = {path.stem for path in (ROOT / "src" / "cellwright").iterdir()}
    for room in rooms - {"__init__", "__pycache__", "py"}:
        assert f"cellwright.{room}" in text, f"{room} is in no layer"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for item in ast.walk(ast.parse(text)):
        if isinstance(item, ast.FunctionDef):
            first = item.body[0]
            has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if has_docstring else item.lineno
            assert item.end_lineno - start <= 60, f"{item.name} is too long"


def test_importing_the_package_imports_nothing_else():
    heavy = ("torch", "numpy", "sklearn", "matplotlib", "pandas", "pydantic", "lightning_fabric")
    code = f"import cellwright, sys; print([m for m in {heavy} if m in sys.modules])"
    assert python(code) == "[]"


def test_cells_can_be_written_and_read_without_torch():
    code = (
        "import sys, cellwright as cw\n"
        "assert cw.cells.lstm.equations\n"
        "assert 'torch' not in sys.modules\n"
    )
    python(code)


def test_torch_modules_bring_no_job_in():
    code = (
        "import sys, cellwright as cw; cw.LSTM\n"
        "print([m for m in ('sklearn', 'matplotlib', 'pandas', 'typer') if m in sys.modules])"
    )
    assert python(code) == "[]"


def test_every_public_name_is_there():
    for name in cellwright.__all__:
        assert getattr(cellwright, name) is not None, name


def test_nothing_happens_at_import(tmp_path):
    code = "import os, cellwright as cw; cw.LSTM, cw.cells.names(); print(os.listdir('.'))"
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.strip() == "[]"


def test_every_op_can_be_written_in_both_alphabets():
    from cellwright.ir import text

    computes = {op.name for op in OPS.values() if op.kind not in ("leaf", "weight")}
    assert set(text._UNICODE.spell) == computes
    assert set(text._LATEX.spell) == computes


def test_no_file_is_ever_unpickled():
    for path in SOURCES:
        tree = list(ast.walk(ast.parse(path.read_text())))
        imported = {
            name.name for node in tree if isinstance(node, ast.Import) for name in node.names
        }
        imported |= {str(node.module) for node in tree if isinstance(node, ast.ImportFrom)}
        assert not imported & {"pickle", "dill", "cloudpickle", "joblib", "shelve"}, path
        called = {ast.unparse(node.func) for node in tree if isinstance(node, ast.Call)}
        assert not called & {"torch.load", "eval", "exec", "yaml.load"}, path
