"""What has to be measured in a fresh process; prints one line of JSON.

    python child.py compile THREADS CONSTANT
    python child.py memory THREADS torch|cellwright BATCH STEPS INPUT HIDDEN

Imports nothing of the benchmark, so that its memory is that of its subject.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

import cellwright as cw
from cellwright import pipeline

LATER = 5


def probe(constant: float) -> cw.Cell:
    """A cell that was never compiled, if the constant is new."""

    @cw.cell(state=("h", "c"))
    def probe_cell(x, h, c):
        """A peephole LSTM with a constant in it."""
        i = cw.sigmoid(cw.affine("i", x, h) + cw.scale("i_peep", c))
        f = cw.sigmoid(cw.affine("f", x, h, bias=1.0) + cw.scale("f_peep", c))
        g = cw.tanh(cw.affine("g", x, h))
        c = f * c + constant * i * g
        o = cw.sigmoid(cw.affine("o", x, h) + cw.scale("o_peep", c))
        h = o * cw.tanh(c)
        return h, c

    return probe_cell


def step(net: torch.nn.Module, x: torch.Tensor, grad: torch.Tensor) -> float:
    """Seconds of a forward and a backward pass."""
    start = time.perf_counter()
    net(x)[0].backward(grad)
    return time.perf_counter() - start


def compiling(constant: str) -> dict[str, Any]:
    """The first step beyond a later one, and who computed it."""
    # Whatever torch does once is not ours to answer for.
    step(torch.nn.LSTM(8, 8), torch.randn(3, 2, 8), torch.randn(3, 2, 8))
    net = cw.Recurrent(probe(float(constant)), 64, 128, batch_first=False)
    x, grad = torch.randn(20, 32, 64), torch.randn(20, 32, 128)
    first = step(net, x, grad)
    later = statistics.median(step(net, x, grad) for _ in range(LATER))
    graph = pipeline.lower(net.graph)
    chosen = pipeline.choose(graph, "auto", torch.device("cpu"), torch.float32)
    return {"seconds": max(first - later, 0.0), "backend": chosen.name}


def memory(who: str, *shape: str) -> dict[str, Any]:
    """Peak MiB beyond what was there before the first step."""
    batch, steps, input, hidden = map(int, shape)
    made = {"torch": torch.nn.LSTM, "cellwright": cw.LSTM}[who]
    net = made(input, hidden)
    # Compiled, and with its threads, before it is measured.
    step(net, torch.randn(2, batch, input), torch.randn(2, batch, hidden))
    net.zero_grad()
    x = torch.randn(steps, batch, input, requires_grad=True)
    grad = torch.randn(steps, batch, hidden)
    before = peak(reset=True)
    for _ in range(2):
        step(net, x, grad)
        net.zero_grad()
        x.grad = None
    return {"MiB": peak() - before}


def peak(*, reset: bool = False) -> float:
    """The most MiB that were resident, since the start or since it was reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    what, threads, *rest = sys.argv[1:]
    torch.set_num_threads(int(threads))
    print(json.dumps({"compile": compiling, "memory": memory}[what](*rest)))
