"""The CPU backend: answers what it can compile, and makes kernels."""

from __future__ import annotations

import sys
from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from cellwright.backends.contract import (
    Answer,
    Call,
    Kernel,
    Result,
    Weights,
    announce,
    check_weights,
)
from cellwright.backends.cpu.direct import Direct
from cellwright.backends.cpu.engine import Engine, engine
from cellwright.backends.cpu.library import REAL, Batch
from cellwright.backends.cpu.memory import readable
from cellwright.backends.cpu.operator import Face, is_watched, run_cell
from cellwright.backends.cpu.spec import Spec
from cellwright.backends.cpu.spelling import SPELLING
from cellwright.backends.cpu.stream import Chain
from cellwright.backends.opaque import opaque
from cellwright.backends.reference import ReferenceBackend
from cellwright.errors import ToolchainError
from cellwright.ir import Graph, Node, node, simplify, weight_shapes
from cellwright.plan.text import describe, describe_gradient
from cellwright.settings import settings
from cellwright.toolchain import compiler

__all__ = ["CpuBackend"]

_CPU = torch.device("cpu")


class CpuBackend:
    """Compiles cells to fused kernels for the processor at hand."""

    name = "cpu"

    def answer(self, graph: Graph, device: torch.device, dtype: torch.dtype) -> Answer:
        """Yes on a CPU with a compiler, in float32, float64 and, computed in float32, bfloat16."""
        if device.type != "cpu":
            return Answer(False, f"it compiles for the CPU, not for {device.type}", meant=False)
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

    def build(
        self, graph: Graph, sizes: Mapping[str, int], otherwise: Kernel | None = None
    ) -> CpuKernel:
        """Make the cell ready to run; it is compiled at its first call."""
        return CpuKernel(graph, sizes, otherwise)


class CpuKernel:
    """One cell of given sizes."""

    def __init__(
        self, graph: Graph, sizes: Mapping[str, int], otherwise: Kernel | None = None
    ) -> None:
        self.graph = graph
        self.sizes = tuple(sorted(sizes.items()))
        self.reference = ReferenceBackend().build(graph, sizes)
        self.otherwise = otherwise
        # Of each weight; read by torch.compile too, which takes no property that is computed once.
        self._shapes = weight_shapes(graph, sizes)
        self._prepared: dict[Any, tuple[Face, Engine] | tuple[None, None]] = {}

    def __call__(self, call: Call) -> Result:
        """Run the cell over a batch of sequences; see `Call` and `Result`."""
        compiling = torch.compiler.is_compiling()
        if not compiling and _beyond_kernels(self.graph.name):
            return self.reference(call)
        weights = Weights.of(call.weights)
        x = call.inputs["x"]
        check_weights(weights, self._shapes, x.dtype, x.device)
        # bfloat16 is what tensors are stored in and products are made of; sums, states and
        # everything pointwise are float32.
        inner = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        key = (weights.layout, call.record, tuple(call.draws), x.dtype)
        cell, known = (self.face(*key), None) if compiling else self.prepare(*key)
        if cell is None:
            assert self.otherwise is not None
            return self.otherwise(call)
        sources = {"input": call.inputs, "below": call.below, "bernoulli": call.draws}
        inputs = [sources[op][name] for op, name in cell.inputs]
        states = [call.states[name] for name in cell.states]
        blocks = weights.blocks
        if inner != x.dtype:
            inputs, states, blocks = ([v.to(inner) for v in t] for t in (inputs, states, blocks))
        seen, after = run_cell(
            cell,
            known,
            inputs,
            states,
            blocks,
            active=call.active,
            start=call.start,
            reverse=call.reverse,
        )
        if inner != x.dtype:
            seen, after = ([v.to(x.dtype) for v in t] for t in (seen, after))
        signals = dict(zip(cell.seen, seen, strict=True))
        return Result(
            output=seen[0],
            states=dict(zip(cell.states, after, strict=True)),
            signals={name: signals[name] for name in call.record},
            call=call,
        )

    def chain(
        self, above: Sequence[CpuKernel], weights: Sequence[Weights], batch: int, dtype: torch.dtype
    ) -> Chain | None:
        """Make a chain of this cell and others above it; None if it cannot be."""
        if dtype not in REAL:
            return None
        pairs = list(zip((self, *above), weights, strict=True))
        found = [kernel.prepare(given.layout, (), (), dtype)[1] for kernel, given in pairs]
        engines = [known for known in found if known is not None]
        if len(engines) < len(found):
            return None
        for kernel, given in pairs:
            check_weights(given, kernel._shapes, dtype, _CPU)
        blocks = [given.blocks for given in weights]
        return Chain(list(zip(engines, blocks, strict=True)), batch, dtype)

    def direct(
        self,
        weights: Weights,
        begun: Sequence[Tensor],
        shape: Sequence[int],
        dtype: torch.dtype,
        *,
        reverse: bool,
        stacked: bool,
        plain: bool,
        learns: bool,
    ) -> Direct | None:
        """The cell for batches of one shape, (T, B); None if it cannot be; see `Direct`."""
        given = {"below", "bernoulli"}.intersection(value.op for value in self.graph.nodes)
        if given or dtype not in REAL or settings().debug >= 4:
            return None
        if is_watched(weights.blocks):  # a kind of tensor may have no memory of its own to read
            return None
        known = self.prepare(weights.layout, (), (), dtype)[1]
        if known is None or len(known.spec.inputs) != 1:
            return None
        plain = plain and all(readable(value) is value for value in (*begun, *weights.blocks))
        batch = Batch(shape[0], shape[1], reverse)
        blocks = weights.blocks
        return Direct(known, batch, begun, blocks, stacked=stacked, plain=plain, learns=learns)

    @opaque
    def face(
        self,
        layout: tuple[tuple[str, ...], ...],
        record: tuple[str, ...],
        draws: tuple[str, ...],
        dtype: torch.dtype,
    ) -> Face | None:
        """What `prepare` returns first."""
        return self.prepare(layout, record, draws, dtype)[0]

    def prepare(
        self,
        layout: tuple[tuple[str, ...], ...],
        record: tuple[str, ...],
        draws: tuple[str, ...],
        dtype: torch.dtype,
    ) -> tuple[Face, Engine] | tuple[None, None]:
        """Compile the cell, or find it compiled; None where that failed and is announced.

        Parameters
        ----------
        layout
            Names of the weights in each block.
        record, draws
            Names of what is handed out at every step, and of the random draws that are given.
        dtype
            What the tensors are stored in.

        Raises
        ------
        ToolchainError
            It cannot be compiled, and there is nothing to run otherwise.
        """
        key = (layout, record, draws, dtype)
        try:
            return self._prepared[key]
        except KeyError:
            found = self._prepared[key] = self._compile(layout, record, draws, dtype)
        return found

    def _compile(
        self,
        layout: tuple[tuple[str, ...], ...],
        record: tuple[str, ...],
        draws: tuple[str, ...],
        dtype: torch.dtype,
    ) -> tuple[Face, Engine] | tuple[None, None]:
        drawn = simplify(self.graph.rewrite(partial(_expected, draws)))
        narrow = dtype == torch.bfloat16
        spec = Spec(drawn, self.sizes, layout, record, narrow)
        try:
            known = engine(spec, torch.float32 if narrow else dtype)
        except ToolchainError as error:
            if self.otherwise is None:
                raise
            announce(
                f"cell {self.graph.name!r} runs on the reference backend, which is slower; "
                f"cpu: {error}"
            )
            return None, None
        if settings().debug >= 1:
            print(describe(known.code.training, spec.bound, known.dtype.itemsize), file=sys.stderr)
        if settings().debug >= 2:
            text = describe_gradient(drawn, record)
            print(f"# {drawn.name} with its gradient\n{text}", file=sys.stderr)
        return Face.of(spec), known


def _beyond_kernels(cell: str) -> bool:
    """Whether something is going on that only the reference understands; announced."""
    if forward_ad._current_level >= 0 or _is_in_gradient_of_func():
        announce(
            f"cell {cell!r}: derivatives in forward mode, and those of torch.func, are computed "
            f"by the reference backend, which is slower"
        )
        return True
    if torch._C._get_tracing_state() is not None:
        announce(
            f"cell {cell!r} is traced as the reference backend runs it, step by step: what "
            f"torch.jit.trace records holds for this many steps only. Use torch.export"
        )
        return True
    return False


def _is_in_gradient_of_func() -> bool:
    """Whether a transform of torch.func differentiates; torch's own operators are let in there."""
    if not torch._C._are_functorch_transforms_active():
        return False
    stack: list[Any] = torch._C._functorch.get_interpreter_stack() or []
    return any(level.key() != torch._C._functorch.TransformType.Vmap for level in stack)


def _expected(given: Container[str], value: Node) -> Node:
    """A draw that is missing takes its expected value."""
    if value.op != "bernoulli" or value.name in given:
        return value
    probability = float(value.attributes["probability"])  # type: ignore[arg-type]
    return node("per_unit", values=(probability,), size=value.size)
