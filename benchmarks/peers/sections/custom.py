"""Cells that no library has: ours beside the loop, the compiled loop and JAX's scan."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cellwright import Recurrent
from peers import scans
from peers.cells import CELLS, pack, randomize
from peers.claims import OURS, Claim, Row, Section, ratio
from peers.loops import LOOPS
from peers.machine import cores, installed
from peers.sections.vendor import entries
from peers.setting import Setting, Shape
from peers.steps import training_step
from peers.timing import Candidate, check_agreement, measure

__all__ = ["section"]

SHAPE: Shape = (32, 100, 128, 256)
LSTM = "cellwright's lstm"
ASKED = {"eager loop": 3.0, "torch.compile": 2.2, "JAX scan": 2.2}
PER_OPERATION = 1.15
# What a quick run must have left to compile 100 unrolled steps once.
COMPILE_SECONDS = 90.0


def section(setting: Setting) -> Section:
    """A training step of each custom cell."""
    result = Section("cells", f"Custom cells, training step at {setting.short(SHAPE)}")
    if not installed("jax"):
        result.notes.append("JAX scan (jax): not installed")
    elif torch.get_num_threads() != cores():
        result.notes.append(f"JAX uses {cores()} threads, the others {torch.get_num_threads()}")
    for name in CELLS:
        if setting.wants(name):
            result.rows.append(_row(name, setting, result.notes))
    return result


def _row(name: str, setting: Setting, notes: list[str]) -> Row:
    batch, steps, input, hidden = setting.short(SHAPE)
    x, grad = setting.random(steps, batch, input), setting.random(steps, batch, hidden)
    torch.manual_seed(0)
    net = Recurrent(CELLS[name], input, hidden, batch_first=False)
    randomize(net)
    candidates = {OURS: _ours(net, x, grad, partial(pack, name))}
    packed = pack(name, _weights(net))
    candidates |= _peers(name, x, packed, grad, setting, notes)
    check_agreement(name, candidates)
    lstm = Recurrent("lstm", input, hidden, batch_first=False)
    candidates[LSTM] = _ours(lstm, x, grad)
    candidates[LSTM].call()  # compiles
    timed = measure(candidates, setting.budget)
    operations = {key: 6.0 * batch * steps * entries(of) for key, of in ((OURS, net), (LSTM, lstm))}
    row = Row(name, timed.samples, flops=operations[OURS], meanwhile=timed.meanwhile)
    for peer, asked in ASKED.items():
        if peer in candidates:
            row.claims.append(ratio(row, peer, at_least=asked))
    each = row.samples[OURS].over(row.samples[LSTM]) * operations[LSTM] / operations[OURS]
    row.claims.append(Claim(f"time per operation / {LSTM}", each, at_most=PER_OPERATION))
    return row


def _weights(net: Recurrent) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in net.layer0.named_parameters()}


def _ours(net: Recurrent, x: Tensor, grad: Tensor, *rename: Any) -> Candidate:
    weights = dict(net.layer0.named_parameters())
    return training_step(lambda x: net(x)[0], x, weights, grad, *rename)


def _peers(
    name: str,
    x: Tensor,
    packed: dict[str, Tensor],
    grad: Tensor,
    setting: Setting,
    notes: list[str],
) -> dict[str, Candidate]:
    found = {"eager loop": _loop(LOOPS[name], x, packed, grad)}
    if not setting.quick or (name == "peephole_lstm" and setting.seconds_left > COMPILE_SECONDS):
        compiled = torch.compile(LOOPS[name], fullgraph=True, dynamic=False)
        found["torch.compile"] = _loop(compiled, x, packed, grad)
        start = time.perf_counter()
        found["torch.compile"].call()
        seconds = time.perf_counter() - start
        notes.append(f"torch.compile of {name}: the first call took {seconds:.1f} s")
    else:
        notes.append(f"torch.compile of {name}: left out, a quick run has no time to compile it")
    if installed("jax"):
        found["JAX scan"] = scans.training_step(name, x, packed, grad)
    return found


def _loop(loop: Any, x: Tensor, packed: dict[str, Tensor], grad: Tensor) -> Candidate:
    leaves = {name: weight.clone().requires_grad_() for name, weight in packed.items()}
    return training_step(lambda x: loop(x, leaves), x, leaves, grad)
