"""A cell run in every way in which it is used, beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cellwright.backends import Backend, Call, Kernel
from cellwright.backends.reference import MEANING, ReferenceBackend, ReferenceKernel
from cellwright.cells.cell import Cell
from cellwright.errors import GraphError
from cellwright.ir import HIDDEN, INPUT, Graph, check_sizes, units_of
from cellwright.nn.layer import Layer
from cellwright.nn.recurrent import Recurrent
from cellwright.pipeline import lower

__all__ = [
    "CPU",
    "FLAT",
    "ROUNDINGS",
    "TOLERANCE",
    "Compared",
    "Run",
    "outcome",
    "rounded",
    "runs_of",
]

# Of an error, relative to the greatest magnitude of the tensor in question, or to 1. Double
# precision sums hundreds of products at 1e-16 each, single precision at 6e-8; bfloat16 is what
# tensors are stored in between two runs, eight bits each.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 4e-6, torch.bfloat16: 1e-2}

# How much more than one rounding of each number, of what a cell is given and of what it computes,
# those of another order of the same sums may do.
ROUNDINGS = 8.0
# Operations that round; the others are exact.
_ROUNDED = {"exp", "log", "log1p", "sqrt", "sin", "cos", "sigmoid", "tanh"}
_ADDED_UP = {"matmul", "matmul_transposed", "sum"}
_ROUNDED |= {"add", "sub", "mul", "div", *_ADDED_UP}
# A zero that goes back through a flat op and meets an infinite slope becomes NaN in torch, but
# not in the gradient table, which lets nothing through (see `autodiff.derivative`).
FLAT = {op: lambda a, op=MEANING[op]: op(a.detach()) for op in ("sign", "floor")}

CPU = torch.device("cpu")  # whatever torch's default device is
_MANY = 8  # Of trials: the rounding of a single number may by chance be none.
_VAGUE = 0.1  # Of a bound: within it much may be wrong.
_FIELDS = ("inputs", "states", "below", "weights")
_MOST_GROUPS = 4096  # into which a cell may cut its units


def outcome(
    kernel: Kernel, call: Call, silent: Sequence[str] = (), dtype: torch.dtype | None = None
) -> dict[str, Tensor]:
    """Values and gradients of one run, by name; `silent` values get no gradient.

    The gradients that come in are rounded to `dtype`, that of the call if it is not given.
    """
    leaves = {
        f"gradient of {field} {name}": tensor.detach().clone().requires_grad_()
        for field in _FIELDS
        for name, tensor in getattr(call, field).items()
    }
    fields: dict[str, Any] = {
        field: {name: leaves[f"gradient of {field} {name}"] for name in getattr(call, field)}
        for field in _FIELDS
    }
    result = kernel(replace(call, **fields))
    values = {"output": result.output}
    values |= {f"signal {name}": value for name, value in result.signals.items()}
    values |= {f"after {name}": value for name, value in result.states.items()}
    dtype = call.inputs["x"].dtype if dtype is None else dtype
    wanted = [v for name, v in values.items() if name not in silent and v.requires_grad]
    incoming = [_weights_of(v.shape, dtype).to(v.dtype) for v in wanted]
    found: dict[str, Tensor | None] = dict.fromkeys(leaves)
    if wanted:
        gradients = torch.autograd.grad(wanted, list(leaves.values()), incoming, allow_unused=True)
        found = dict(zip(leaves, gradients, strict=True))
    values |= {
        name: torch.zeros_like(leaves[name]) if gradient is None else gradient
        for name, gradient in found.items()
    }
    return {name: v.detach() for name, v in values.items()} | {"count": result.count}


@dataclass(frozen=True)
class _Case:
    """A way in which a cell is used."""

    features: int
    units: int
    batch: int
    steps: int
    lengths: str = "full"
    reverse: bool = False
    begun: bool = True  # from states that it has reached, and at another step for every row
    recorded: bool = False
    silent: Sequence[str] = ()  # beginnings of the names of what gets no gradient
    drawn: bool = True


_CASES = (
    _Case(3, 5, batch=2, steps=4, begun=False, silent=("after",)),
    _Case(3, 5, batch=3, steps=6, lengths="ragged", reverse=True, recorded=True),
    _Case(17, 33, batch=7, steps=3, reverse=True, recorded=True),
    _Case(17, 33, batch=13, steps=5, lengths="ragged", silent=("output", "signal")),
    _Case(1, 1, batch=1, steps=7, recorded=True),
    _Case(1, 1, batch=4, steps=5, lengths="interrupted", reverse=True, begun=False),
    _Case(32, 64, batch=29, steps=9, begun=False),
    _Case(32, 64, batch=16, steps=8, lengths="ragged", reverse=True),
    _Case(8, 160, batch=3, steps=20),  # much work in few rows: it is spread over the units
    _Case(2, 3, batch=150, steps=8, lengths="ragged", drawn=False),  # in several blocks and chunks
    _Case(3, 5, batch=0, steps=3, recorded=True),
    _Case(3, 5, batch=2, steps=0, reverse=True),
)


@dataclass(frozen=True)
class Compared:
    """One tensor of one run beside that of the reference; see `Agreement`."""

    error: float
    allowed: float
    where: str
    numbers: int
    finite: int
    unlike: int
    unknown: int


class _Known(NamedTuple):
    """A tensor by the reference, how far roundings shift it, and what they leave finite or not."""

    wanted: Tensor
    shift: float
    steady: Tensor


def rounded(by: float, generator: torch.Generator) -> dict[str, Callable[..., Tensor]]:
    """Operations whose results are off at random, by about as much, relative to each."""

    def noisy(op: str, *inputs: Tensor) -> Tensor:
        value = MEANING[op](*inputs)
        # Without a gradient it follows from the step alone: times are exact, and decide who rests.
        if not value.requires_grad:
            return value
        found = _off(value, by, generator)
        if op in _ADDED_UP:
            # Each term has a rounding of its own, which stays where the terms nearly cancel.
            terms = MEANING[op](*(given.detach().square() for given in inputs)).sqrt()
            left = _off(terms, by, generator) - terms
            found = found + left.nan_to_num(0, 0, 0)  # an infinite sum is exact
        return found

    return {op: partial(noisy, op) for op in _ROUNDED}


def _off(value: Tensor, by: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(value.shape, generator=generator, device=CPU, dtype=value.dtype)
    return value * (1 + by * noise)


def runs_of(cell: Cell, chosen: Mapping[str, int], seed: int) -> Iterator[Run]:
    """Every way in which a cell is used; the sizes that are not chosen are odd and even ones."""
    for case in _CASES:
        yield Run(cell, _fitting(cell.graph, case, chosen), case, seed)


class Run:
    """One case of a cell, and what the reference says of it in each precision."""

    def __init__(self, cell: Cell, sizes: Mapping[str, int], case: _Case, seed: int) -> None:
        self.graph, self.sizes, self.case = cell.graph, sizes, case
        self.generator = torch.Generator(CPU).manual_seed(seed)
        self.reference = self._kernel({})
        self.call = self._call(cell, seed)
        self._known: dict[torch.dtype, tuple[Call, dict[str, _Known]]] = {}

    def compared(self, backend: Backend, dtype: torch.dtype) -> Iterator[Compared]:
        """Every tensor as that backend computes it, beside the reference's."""
        if dtype not in self._known:
            self._known[dtype] = self._expected(dtype)
        call, known = self._known[dtype]
        kernel = backend.build(lower(self.graph), self.sizes)
        found = self._outcome(kernel, call)
        with torch.no_grad():  # another program
            plain = self._outcome(kernel, call)
        pairs = [(name, name, value) for name, value in found.items()]
        pairs += [
            (name, f"{name} without a gradient", value)
            for name, value in plain.items()
            if not name.startswith("gradient")
        ]
        for name, told, value in pairs:
            wanted, shift, steady = known[name]
            got = value.to(wanted.dtype)
            scale = _greatest(wanted[steady], least=1.0)
            finite = wanted.isfinite()
            allowed = max(TOLERANCE[dtype], ROUNDINGS * shift / scale)
            yield Compared(
                error=_greatest((got - wanted)[steady]) / scale,
                allowed=allowed,
                where=f"{told}; {self}",
                numbers=wanted.numel(),
                finite=int(finite.sum()),
                unlike=int((steady & ~_are_alike(got, wanted)).sum()),
                unknown=int((~steady | (allowed > _VAGUE)).sum()),
            )

    def __str__(self) -> str:
        """The case in words."""
        case = self.case
        sizes = ", ".join(f"{name}={units}" for name, units in self.sizes.items())
        kind = case.lengths + " in reverse" * case.reverse + ", recorded" * case.recorded
        return f"{sizes}, batch={case.batch}, steps={case.steps}, {kind}"

    def _expected(self, dtype: torch.dtype) -> tuple[Call, dict[str, _Known]]:
        """The call in a precision, and what is known of each tensor that comes of it."""
        call = _converted(self.call, lambda v: v.to(dtype))
        doubled = _converted(call, Tensor.double)
        expected = self._outcome(self.reference, doubled, dtype)
        inner = torch.promote_types(dtype, torch.float32)  # that in which bfloat16 is computed
        unsteady = self._kernel(rounded(torch.finfo(inner).eps, self.generator))
        off = partial(_off, by=torch.finfo(dtype).eps, generator=self.generator)
        # A draw is a yes or a no, and has no rounding.
        others = [
            self._outcome(unsteady, replace(_converted(doubled, off), draws=doubled.draws), dtype)
            for _ in range(_MANY if self.sizes[HIDDEN] == 1 else 2)
        ]
        # In the precision itself, in which what is too great for it is not finite.
        own = _converted(call, lambda v: v.to(inner))
        others.append(self._outcome(self.reference, own, dtype))
        known = {}
        for name, wanted in expected.items():
            alike = [_are_alike(other[name], wanted) for other in others]
            steady = torch.stack(alike).all(0)
            shifts = [_greatest((other[name] - wanted)[steady].double()) for other in others]
            known[name] = _Known(wanted, max(shifts), steady)
        return call, known

    def _outcome(
        self, kernel: Kernel, call: Call, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        names = ["output", *(f"after {name}" for name in self.graph.state_sizes)]
        names += [f"signal {name}" for name in call.record]
        silent = [name for name in names if name.startswith(tuple(self.case.silent))]
        threads = torch.get_num_threads()
        if isinstance(kernel, ReferenceKernel):
            # For its many small steps, threads on a busy machine wait for each other tenfold.
            torch.set_num_threads(1)
        try:
            return outcome(kernel, call, silent, dtype)
        finally:
            torch.set_num_threads(threads)

    def _kernel(self, otherwise: Mapping[str, Callable[..., Tensor]]) -> ReferenceKernel:
        return ReferenceKernel(self.graph, self.sizes, MEANING | FLAT | dict(otherwise))

    def _call(self, cell: Cell, seed: int) -> Call:
        graph, case = self.graph, self.case
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            own = {k: n for k, n in self.sizes.items() if k not in (INPUT, HIDDEN)}
            net = Recurrent(
                cell,
                self.sizes[INPUT],
                self.sizes[HIDDEN],
                sizes=own or None,
                device=CPU,
                dtype=torch.float64,
                backend=ReferenceBackend.name,
            )
        (layer,) = (part for part in net.children() if isinstance(part, Layer))
        # What starts at zero or one must not stay there: much would cancel.
        weights = {
            name: (w.detach() + 0.5 * self._normal(*w.shape) / max(w.shape[-1], 1) ** 0.5)
            if w.dim() == 2
            else w.detach() + 0.3 * self._normal(*w.shape)
            for name, w in layer().items()
        }
        like = torch.zeros(1, case.batch, self.sizes[INPUT], device=CPU, dtype=torch.float64)
        start = layer.start(like)
        start.pop("t", None)
        call = Call(
            inputs=self._sequences({leaf.name: leaf.size for leaf in graph.inputs}),
            states={name: value.detach() for name, value in start.items()},
            weights=weights,
            below=self._sequences({leaf.name: leaf.size for leaf in graph.leaves("below")}),
            draws={
                leaf.name: self._draw(leaf.attributes)
                for leaf in graph.leaves("bernoulli")
                if case.drawn
            },
        )
        if case.begun:
            behind = self.reference(call)
            passed = torch.arange(case.batch, device=CPU).view(-1, 1)
            call = replace(call, states=behind.states, start=passed)
            call = replace(call, inputs=self._sequences({v.name: v.size for v in graph.inputs}))
        recorded = tuple(graph.observable) if case.recorded else ()
        return replace(call, active=self._active(), reverse=case.reverse, record=recorded)

    def _active(self) -> Tensor | None:
        steps, batch = self.case.steps, self.case.batch
        if self.case.lengths == "full":
            return None
        if self.case.lengths == "interrupted":
            return self._uniform(steps, batch) < 0.6
        rows, times = (torch.arange(n, device=CPU) for n in (batch, steps))
        lengths = rows * 5 % (steps + 1)  # none, some, and all of the steps
        return times[:, None] < lengths.flip(0)

    def _sequences(self, wanted: Mapping[str, object]) -> dict[str, Tensor]:
        shape = (self.case.steps, self.case.batch)
        return {name: self._normal(*shape, self._units(size)) for name, size in wanted.items()}

    def _draw(self, bernoulli: Mapping[str, Any]) -> Tensor:
        steps = [self.case.steps] if bernoulli["per"] == "step" else []
        shape = (*steps, self.case.batch, self._units(bernoulli["size"]))
        chance: float = bernoulli["probability"]
        return (self._uniform(*shape) < chance).double()

    def _units(self, size: object) -> int:
        return units_of(size, self.sizes)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=CPU, dtype=torch.float64)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=CPU, dtype=torch.float64)


def _fitting(graph: Graph, case: _Case, chosen: Mapping[str, int]) -> dict[str, int]:
    """Sizes of a case, those that are not chosen as much greater as groups of units ask for."""
    free = {INPUT: case.features, HIDDEN: case.units} | dict.fromkeys(graph.symbols, case.units)
    for more in count():
        sizes = {name: units + more for name, units in free.items()}
        sizes.update(chosen)
        try:
            check_sizes(graph, sizes)
        except GraphError:
            if more == _MOST_GROUPS or sizes.keys() == chosen.keys():
                raise
        else:
            return sizes
    raise AssertionError


def _converted(call: Call, convert: Callable[[Tensor], Tensor]) -> Call:
    fields: dict[str, Any] = {
        field: {name: convert(value) for name, value in getattr(call, field).items()}
        for field in (*_FIELDS, "draws")
    }
    return replace(call, **fields)


def _are_alike(one: Tensor, other: Tensor) -> Tensor:
    """Where both are finite, or the same that is not."""
    finite = one.isfinite() & other.isfinite()
    return finite | (one == other) | (one.isnan() & other.isnan())


def _greatest(value: Tensor, least: float = 0.0) -> float:
    """The greatest finite magnitude in it."""
    return max(float(value.abs().nan_to_num(0, 0, 0).max()), least) if value.numel() else least


def _weights_of(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A gradient from outside in which every entry is different."""
    entries = torch.Size(shape).numel()
    return torch.cos(torch.arange(entries, device=CPU, dtype=torch.float64)).view(*shape).to(dtype)
