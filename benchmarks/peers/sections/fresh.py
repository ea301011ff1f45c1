"""What needs other processes: the first use of a cell, peak memory, and busy neighbours."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from peers.claims import OURS, Claim, Row, Samples, Section
from peers.machine import cores
from peers.sections.vendor import pair
from peers.setting import SHAPES, Setting, Shape
from peers.steps import training_step
from peers.timing import check_agreement, measure

__all__ = ["busy", "compiling", "memory"]

CHILD = Path(__file__).parents[1] / "child.py"
TORCH = "torch.nn.LSTM"
FIRST, COLD, WARM = "first compile ever", "cold compile", "warm load"
ALONE_OR_NOT: Shape = (32, 100, 128, 256)
# Ends with its parent, however that ends.
NEIGHBOUR = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


def compiling(setting: Setting) -> Section:
    """A new cell in a fresh process: the first ever, another one, and one that is in the cache."""
    result = Section("compile", "First use of a cell, beyond a later use")
    samples: dict[str, list[float]] = {FIRST: [], COLD: [], WARM: []}
    backends = set()
    for _ in range(1 if setting.quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            environment = {"CELLWRIGHT_CACHE_DIR": folder}
            one, other = (f"0.{secrets.randbelow(10**9):09}" for _ in range(2))
            for what, constant in ((FIRST, one), (COLD, other), (WARM, one), (WARM, other)):
                found = _child("compile", constant, environment=environment)
                samples[what].append(found["seconds"])
                backends.add(found["backend"])
    row = Row("peephole LSTM with a new constant", {n: Samples(s) for n, s in samples.items()})
    if backends == {"reference"}:
        result.notes.append("cellwright: the compiler is not built, the reference interprets")
    else:
        for what, most in ((FIRST, 3.0), (COLD, 3.0), (WARM, 0.05)):
            row.claims.append(Claim(what, row.samples[what].median, "s", at_most=most))
    result.rows.append(row)
    return result


def memory(setting: Setting) -> Section:
    """Peak memory of a training step, each in a fresh process."""
    result = Section("memory", "Peak memory of an LSTM training step")
    if not Path("/proc/self/clear_refs").exists():
        result.notes.append("this system does not tell the peak memory of a process")
        return result
    for shape in setting.shapes(SHAPES[3], *(() if setting.quick else (SHAPES[5], SHAPES[7]))):
        words = [str(number) for number in shape]
        found: dict[str, list[float]] = {OURS: [], TORCH: []}
        for _ in range(1 if setting.quick else 3):
            for name, who in ((OURS, "cellwright"), (TORCH, "torch")):
                found[name].append(_child("memory", who, *words)["MiB"])
        samples = {name: Samples(values, "MiB") for name, values in found.items()}
        row = Row(str(shape), samples)
        part = samples[OURS].over(samples[TORCH])
        row.claims.append(Claim(f"memory / {TORCH}'s", part, at_most=1.0))
        result.rows.append(row)
    return result


def busy(setting: Setting) -> Section:
    """A training step alone, and beside one busy process per core."""
    result = Section("busy", "LSTM training step beside one busy process per core")
    for shape in setting.shapes(ALONE_OR_NOT):
        batch, steps, input, hidden = shape
        x, grad = setting.random(steps, batch, input), setting.random(steps, batch, hidden)
        candidates = {
            name: training_step(lambda x, n=net: n(x)[0], x, dict(net.named_parameters()), grad)
            for name, net in zip((OURS, TORCH), pair("LSTM", shape), strict=True)
        }
        check_agreement(f"busy {shape}", candidates)
        alone = measure(candidates, setting.budget)
        with neighbours():
            beside = measure(candidates, replace(setting.budget, rounds=3), busy=True)
        row = Row(str(shape), alone.samples, meanwhile=alone.meanwhile)
        for name in candidates:
            row.samples[f"{name}, beside"] = beside.samples[name]
            slower = beside.samples[name].median / alone.samples[name].median
            asked = {"at_most": 3.0} if name == OURS else {}
            row.claims.append(Claim(f"{name}, beside / alone", slower, **asked))
        result.rows.append(row)
    return result


@contextlib.contextmanager
def neighbours() -> Iterator[None]:
    """One busy process per core."""
    processes = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) for _ in range(cores())]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _child(*words: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    command = [sys.executable, str(CHILD), words[0], str(torch.get_num_threads()), *words[1:]]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed in a process of its own:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
