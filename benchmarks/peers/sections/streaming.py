"""One step at a time, batch 1, from Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from peers import onnx_nodes
from peers.claims import OURS, Claim, Row, Section, ratio
from peers.machine import installed
from peers.sections.vendor import pair
from peers.setting import Setting
from peers.timing import Candidate, check_agreement, measure

__all__ = ["section"]

# (input, hidden) -> seconds asked for a step.
SIZES = {(16, 16): 2.5e-6, (32, 64): 4e-6, (128, 256): 12e-6}
# Calls in a timing: together some milliseconds.
INNER = 200
STEPS = 8


@dataclass(frozen=True)
class Stepper:
    """Something that is fed one step at a time: `step` is timed, `feed` tells what comes out."""

    step: Callable[[], Any]
    feed: Callable[[Tensor], Tensor]

    def candidate(self, x: Tensor) -> Candidate:
        """All steps of x, (T, 1, I), to compare."""
        return Candidate(
            lambda: torch.stack([self.feed(row).reshape(-1) for row in x]).clone(),
            lambda output: {"output": output},
        )


@torch.inference_mode()
def section(setting: Setting) -> Section:
    """LSTM streams of three sizes."""
    result = Section("streaming", "Streaming, one LSTM step at batch 1")
    if not (with_onnx := installed("onnxruntime") and installed("onnx")):
        result.notes.append("ONNX Runtime (onnxruntime, onnx): not installed")
    for (input, hidden), asked in SIZES.items():
        case = f"{input} → {hidden}"
        if not setting.wants(case):
            continue
        ours, theirs = pair("LSTM", (1, 1, input, hidden))
        x = setting.random(STEPS, 1, input)
        steppers = {"torch.nn.LSTM": _torch(theirs, x[:1])}
        if hasattr(ours, "stream"):
            steppers = {OURS: _ours(ours, x[0])} | steppers
        if with_onnx:
            steppers["ONNX Runtime"] = _onnx(theirs, x[:1], bound=False)
            steppers["ONNX Runtime, bound buffers"] = _onnx(theirs, x[:1], bound=True)
        check_agreement(f"streaming {case}", {n: s.candidate(x) for n, s in steppers.items()})
        candidates = {name: Candidate(s.step, inner=INNER) for name, s in steppers.items()}
        timed = measure(candidates, setting.budget)
        row = Row(case, timed.samples, meanwhile=timed.meanwhile)
        if OURS in steppers:
            row.claims.append(Claim("a step", timed.samples[OURS].median, "s", at_most=asked))
            row.claims += [ratio(row, peer) for peer in steppers if peer != OURS]
        result.rows.append(row)
    if result.rows and OURS not in result.rows[0].samples:
        result.notes.append("cellwright: streams are not built")
    return result


def _ours(net: Any, x: Tensor) -> Stepper:
    stream = net.stream(batch_size=1)
    return Stepper(partial(stream.step, x), lambda row: torch.as_tensor(stream.step(row)).clone())


def _torch(net: nn.LSTM, x: Tensor) -> Stepper:
    state: Any = None

    def feed(row: Tensor) -> Tensor:
        nonlocal state
        output, state = net(row.unsqueeze(0), state)
        return output

    def step() -> None:
        nonlocal state
        _, state = net(x, state)

    return Stepper(step, feed)


def _onnx(net: nn.LSTM, x: Tensor, *, bound: bool) -> Stepper:
    """As most people run it, or with buffers bound once, which is faster."""
    import onnxruntime  # noqa: PLC0415 an optional peer

    run = onnx_nodes.session(net, 1, 1)
    zero = np.zeros((1, 1, net.hidden_size), np.float32)
    states = onnx_nodes.STATES["LSTM"]
    if not bound:
        before: dict[str, Any] = {f"{state}_before": zero for state in states}

        def plain(array: np.ndarray) -> np.ndarray:
            output, *after = run.run(None, {"x": array, **before})
            before.update(zip(before, after, strict=True))
            return output

        return Stepper(
            partial(plain, x.numpy()), lambda row: torch.from_numpy(plain(row.numpy()[None]))
        )
    # An OrtValue is a view of the array that it is made from.
    given, output, *sides = (
        onnxruntime.OrtValue.ortvalue_from_numpy(array.copy())
        for array in (x.numpy(), zero[None], *(zero,) * 2 * len(states))
    )
    # The node may not write the states that it reads, so two bindings take turns.
    sides = [sides[: len(states)], sides[len(states) :]]
    turns = []
    for before, after in (sides, sides[::-1]):
        binding = run.io_binding()
        binding.bind_ortvalue_input("x", given)
        binding.bind_ortvalue_output("y", output)
        for state, old, new in zip(states, before, after, strict=True):
            binding.bind_ortvalue_input(f"{state}_before", old)
            binding.bind_ortvalue_output(state, new)
        turns.append(binding)
    turn = cycle(turns)

    def in_place(array: np.ndarray) -> None:
        given.update_inplace(array)
        run.run_with_iobinding(next(turn))

    def feed(row: Tensor) -> Tensor:
        in_place(row.numpy()[None])
        return torch.from_numpy(output.numpy().copy())

    return Stepper(partial(in_place, x.numpy()), feed)
