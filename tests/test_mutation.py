"""Breaking the heart of the library, one line at a time, and seeing the tests fail.

A test that was never seen failing proves nothing. Each mutant is a copy of the sources with
one line changed; the tests that guard that line must notice. Run it with
``make mutation``; it prints each mutant and what happened to it.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """A line, what it becomes, and the tests that must notice."""

    what: str
    file: str
    line: str
    becomes: str
    tests: str


MUTANTS = (
    Mutant(
        "a gradient is cut: tanh passes none on",
        "backends/reference.py",
        '"tanh": torch.tanh,',
        '"tanh": lambda value: torch.tanh(value).detach(),',
        "tests/conformance/test_cells.py -k float64-full",
    ),
    Mutant(
        "a gradient is wrong: sigmoid passes on twice as much",
        "backends/reference.py",
        '"sigmoid": torch.sigmoid,',
        '"sigmoid": lambda value: 2 * torch.sigmoid(value) - torch.sigmoid(value).detach(),',
        "tests/conformance/test_drop_in.py -k float64-batch",
    ),
    Mutant(
        "the gradient of the initial state is lost",
        "nn/stack.py",
        "states=states[number][position],",
        "states={k: v.detach() for k, v in states[number][position].items()},",
        "tests/conformance/test_drop_in.py -k float64-batch",
    ),
    Mutant(
        "a gate is wrong: the forget gate is the input gate",
        "cells/zoo/lstm.py",
        "c = f * c + i * g",
        "c = i * c + i * g",
        "tests/conformance -k 'lstm and float64-full or LSTM and float64-batch'",
    ),
    Mutant(
        "a gate is wrong: the GRU keeps what it should replace",
        "cells/zoo/gru.py",
        "h = (1 - z) * n + z * h",
        "h = z * n + (1 - z) * h",
        "tests/conformance -k 'gru and float64-full or GRU and float64-batch'",
    ),
    Mutant(
        "a peephole looks at the memory before the step",
        "cells/zoo/lstm.py",
        'o = sigmoid(affine("o", x, h) + scale("o_peep", c, init=0.0))',
        'o = sigmoid(affine("o", x, h) + scale("o_peep", g, init=0.0))',
        "tests/conformance/test_cells.py -k peephole_lstm-reference-torch.float64-full",
    ),
    Mutant(
        "the drop-in swaps two gates of torch's weights",
        "nn/drop_in.py",
        'gates = (("i", "i"), ("f", "f"), ("g", "g"), ("o", "o"))',
        'gates = (("f", "f"), ("i", "i"), ("g", "g"), ("o", "o"))',
        "tests/conformance/test_drop_in.py -k float64-batch",
    ),
    Mutant(
        "a row goes on after its end",
        "backends/reference.py",
        "return rows if len(rows) < call.active.shape[1] else None",
        "return None",
        "tests/conformance/test_cells.py -k float64-ragged",
    ),
    Mutant(
        "a sequence in pieces starts its clock anew",
        "backends/reference.py",
        "count = count if call.start is None else call.start",
        "pass",
        "tests/nn/test_recurrent.py -k pieces",
    ),
    Mutant(
        "the simplifier drops what it must keep",
        "ir/simplify.py",
        'if value.op == "neg" and',
        'if value.op == "mul" and _is(inputs[1], 0.0):\n        return inputs[1]\n'
        '    if value.op == "neg" and',
        "tests/ir",
    ),
    Mutant(
        "the simplifier takes a difference apart wrongly",
        "ir/simplify.py",
        'if value.op == "sub" and _is(inputs[1], 0.0):',
        'if value.op == "sub" and _is(inputs[1], 1.0):',
        "tests/conformance/test_random_cells.py",
    ),
    Mutant(
        "a resumed training forgets the optimizer",
        "jobs/engine.py",
        'self.optimizer.load_state_dict({"state": state, "param_groups": groups})',
        "pass",
        "tests/jobs -k resume",
    ),
    Mutant(
        "a resumed training starts its random numbers anew",
        "jobs/engine.py",
        'np.random.SeedSequence([self.options["random_state"], number])',
        'np.random.SeedSequence([self.options["random_state"]]) if number == 0 else '
        "np.random.SeedSequence()",
        "tests/jobs -k resume",
    ),
    Mutant(
        "a model file is believed without a look at its tensors",
        "jobs/model_file.py",
        "if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:",
        "if False:",
        "tests/jobs -k model",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_the_tests_notice(mutant, tmp_path):
    sources = tmp_path / "src"
    shutil.copytree(ROOT / "src", sources, ignore=shutil.ignore_patterns("__pycache__"))
    path = sources / "cellwright" / mutant.file
    text = path.read_text()
    assert mutant.line in text, f"{mutant.file} has no line to change: {mutant.line}"
    path.write_text(text.replace(mutant.line, mutant.becomes))
    found = run_tests(mutant.tests, sources)
    # 1 is pytest's word for failed tests; a mutant that cannot even start proves nothing.
    assert found.returncode == 1, found.stdout[-3_000:]
    noticed = re.search(r"^FAILED (\S+)", found.stdout, re.MULTILINE)
    assert noticed, found.stdout[-3_000:]
    print(f"{mutant.what}: noticed by {noticed[1]}")


def run_tests(tests, sources):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *shlex.split(tests)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
