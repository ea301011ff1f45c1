"""The CPU backend: answers what it can compile, and makes kernels."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import partial

import torch
from torch import Tensor

from cellwright.backends.contract import Answer, Call, Result, Weights
from cellwright.backends.cpu.engine import engine
from cellwright.backends.cpu.library import REAL
from cellwright.backends.cpu.operator import run_cell
from cellwright.backends.cpu.spec import Spec
from cellwright.backends.cpu.spelling import SPELLING
from cellwright.errors import ToolchainError
from cellwright.ir import Graph, Node, node, simplify
from cellwright.toolchain import compiler

__all__ = ["CpuBackend"]


class CpuBackend:
    """Compiles cells to fused kernels for the processor at hand."""

    name = "cpu"

    def answer(self, graph: Graph, device: torch.device, dtype: torch.dtype) -> Answer:
        """Yes on a CPU with a compiler, in float32, float64 and, computed in float32, bfloat16."""
        if device.type != "cpu":
            return Answer(False, f"it compiles for the CPU, not for {device.type}")
        if dtype not in (*REAL, torch.bfloat16):
            return Answer(False, f"{dtype} is not among its types")
        known = {"leaf", "weight", "product", "reduction"}
        for value in graph.nodes:
            if value.kind not in known and value.op not in SPELLING:
                return Answer(False, f"it cannot spell {value.op!r}")
        try:
            compiler()
        except ToolchainError as error:
            return Answer(False, str(error))
        return Answer(True)

    def build(self, graph: Graph, sizes: Mapping[str, int]) -> CpuKernel:
        """Make the cell ready to run; it is compiled at its first call."""
        return CpuKernel(graph, sizes)


class CpuKernel:
    """One cell of given sizes."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int]) -> None:
        self.graph = graph
        self.sizes = tuple(sorted(sizes.items()))
        self._specs: dict[tuple[object, ...], Spec] = {}

    def spec(self, layout: tuple[tuple[str, ...], ...], call: Call) -> Spec:
        """What identifies the compiled cell that this call needs."""
        key = (layout, call.record, frozenset(call.draws))
        if key not in self._specs:
            drawn = simplify(self.graph.rewrite(partial(_expected, call.draws.keys())))
            self._specs[key] = Spec(drawn, self.sizes, layout, call.record)
        return self._specs[key]

    def __call__(self, call: Call) -> Result:
        """Run the cell over a batch of sequences; see `Call` and `Result`."""
        weights = Weights.of(call.weights)
        spec = self.spec(weights.layout, call)
        x = call.inputs["x"]
        # bfloat16 is what tensors are stored in; sums and states are kept in float32.
        inner = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        sources = {"input": call.inputs, "below": call.below, "bernoulli": call.draws}
        known = engine(spec, inner)
        seen, after = run_cell(
            spec,
            [sources[leaf.op][leaf.name].to(inner) for leaf in known.inputs],
            [call.states[name].to(inner) for name in known.states],
            [weight.to(inner) for weight in weights.blocks],
            active=call.active,
            start=call.start,
            reverse=call.reverse,
        )
        signals = {n: s.to(x.dtype) for n, s in zip(known.seen, seen, strict=True)}
        return Result(
            output=signals[known.states[0]],
            states={n: s.to(x.dtype) for n, s in zip(known.states, after, strict=True)},
            signals={name: signals[name] for name in call.record},
            count=_count(call),
        )


def _count(call: Call) -> Tensor:
    """How many steps each row has behind it after the call, (B, 1)."""
    steps, rows = call.inputs["x"].shape[:2]
    if call.active is None:
        done = torch.full((rows, 1), steps, dtype=torch.int64)
    else:
        done = call.active.sum(0).unsqueeze(1)
    return done if call.start is None else call.start + done


def _expected(given: Container[str], value: Node) -> Node:
    """A draw that is missing takes its expected value."""
    if value.op != "bernoulli" or value.name in given:
        return value
    return node("constant", value=value.attributes["probability"])
